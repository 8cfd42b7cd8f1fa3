/*
 * rec/fold.h - models of two tables of vectors, and people whom they never saw.
 *
 * Strangers get the sum of a linear image of their items' vectors, over the
 * root of their number; the map is the ridge regression of the known people's
 * vectors on the same sums of theirs.
 */
#ifndef REC_FOLD_H
#define REC_FOLD_H

#include <stdbool.h>
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

/* Store these two with their zeros as holes (rec/holes.h), and the map
 * ("map" [dim][dim]) in place of the images; they are whole in memory again at
 * once.  Other arrays (at most 8) stay.  ERR_NOMEM, ERR_NUM. */
ERR_CHECK
enum err rec_fold_pack(struct rec_model *m, const struct rec_data *d,
                       size_t dim);

/* Members of struct rec_model_ops for models of these three arrays: a person's
 * own vector, or that of their history; the items' vectors; whether the arrays
 * are there and fit; making tables with holes whole.  And taking room for the
 * three arrays. */
enum err rec_fold_embed(const struct rec_model *m, const struct rec_query *q,
                        float *vec);
const float *rec_fold_items(const struct rec_model *m, size_t *d);
bool rec_fold_valid(const struct rec_model *m);
enum err rec_fold_ready(struct rec_model *m);
ERR_CHECK
enum err rec_fold_alloc(struct rec_model *m, const struct rec_data *d,
                        size_t dim);

#endif
