/* unlearn/attention.h - RecEraser's attention over shards.  For unlearn/. */
#ifndef UNL_ATTENTION_H
#define UNL_ATTENTION_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rec/data.h"

struct unl_attention {
    size_t n, d, hidden; /* shards, numbers of a vector, units of the network */
    int64_t epochs;      /* passes */
    double lr, reg;
};

/* Numbers of its weights: two maps [n d][d], then the networks'. */
size_t unl_attention_size(const struct unl_attention *a);

/*
 * weights[unl_attention_size()] from the rows of d and the shards' vectors of
 * people x[0][n_users][n d] and of items x[1][n_items][n d]; unlearn/
 * attention.c says how.  The same bits for any number of threads.
 * ERR_NOMEM, ERR_NUM, ERR_STOPPED.  Cost: that of unl_transfer_solve(), and a
 * pass 6 (n_users + n_items) n d hidden + 4 n_rows d multiply-adds.
 */
ERR_CHECK
enum err unl_attention_learn(const struct unl_attention *a,
                             const struct rec_data *d, float *const x[2],
                             float *weights);

/* joined[rows][d] from the shards' vectors x[rows][n d] of people (side 0) or
 * of items (1). */
ERR_CHECK
enum err unl_attention_join(const struct unl_attention *a, const float *weights,
                            size_t side, const float *x, size_t rows,
                            float *joined);

#endif
