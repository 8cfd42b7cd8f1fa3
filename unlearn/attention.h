/* unlearn/attention.h - RecEraser's attention over shards.  For unlearn/. */
#ifndef UNL_ATTENTION_H
#define UNL_ATTENTION_H

#include <stddef.h>

#include "base/err.h"
#include "rec/data.h"
#include "unlearn/parts.h"

/* Numbers of its weights, for n shards of vectors [d]. */
size_t unl_attention_size(const struct unl_plan *plan, size_t n, size_t d);

/*
 * weights[unl_attention_size()] from the rows of d, by full passes of Adam
 * over the whole-data squared loss (unlearn/attention.c says which).  Starts
 * at the best rank-d summary of the mean of the shards.  ERR_NOMEM, ERR_NUM,
 * ERR_STOPPED.  Cost of a pass: 6 (n_users + n_items) n d^2 multiply-adds.
 */
ERR_CHECK
enum err unl_attention_learn(const struct rec_model *m,
                             const struct rec_data *d, float *weights);

/* joined[rows][d] from the shards' vectors x[rows][n * d], of people or of
 * items. */
ERR_CHECK
enum err unl_attention_join(const struct unl_parts *p, const float *weights,
                            bool items, const float *x, size_t rows,
                            float *joined);

#endif
