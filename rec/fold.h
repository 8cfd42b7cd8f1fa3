/*
 * rec/fold.h - people whom a factor model never saw.
 *
 * They get the sum of a linear image of their items' vectors, over the root of
 * their number; the map is the ridge regression of the known people's vectors
 * on the same sums of theirs.
 */
#ifndef REC_FOLD_H
#define REC_FOLD_H

#include <stddef.h>

#include "base/err.h"
#include "rec/data.h"
#include "rec/model.h"

/* Fill m's array "fold" [n_items][dim], the images, from its "users"
 * [n_users][dim] and "items" [n_items][dim], which were learnt from d.
 * ERR_NOMEM, ERR_NUM.  Threads inside. */
ERR_CHECK
enum err rec_fold_fit(struct rec_model *m, const struct rec_data *d,
                      size_t dim);

/* vec[q->n][dim]: the person's own vector, or that of their history. */
void rec_fold_embed(const struct rec_model *m, const struct rec_query *q,
                    size_t dim, float *vec);

#endif
