/*
 * privacy_sim/rows.h - a recommender whose scores add up over a history.
 *
 * The score of item j for a history is the sum of w[i][j] over its items i (up
 * to a positive factor, which no list depends on): so it is for itemknn, ease,
 * and for factor models that fold people in by a sum.  The rows are rounded to
 * whole numbers once; sums of them are then exact in any order, and toggling a
 * segment there and back leaves no trace.
 */
#ifndef SIM_ROWS_H
#define SIM_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rec/model.h"

/* |sum| over any history is at most SIM_SCORE; what no list may hold is put
 * SIM_BARRED below. */
#define SIM_SCORE ((int32_t)1 << 28)
#define SIM_BARRED ((int32_t)1 << 30)

struct sim_rows {
    size_t n_items;
    int32_t *dense; /* [n_items][n_items], or NULL: */
    size_t *ptr;    /* [n_items + 1] */
    uint32_t *item;
    int32_t *weight;
    int32_t *popular; /* [n_items] rows of each item: for who shows nothing */
};

/* From a trained model; d is what it learnt from.  ERR_ARG when the model's
 * scores do not add up (tried on histories of d); ERR_NOMEM. */
ERR_CHECK
enum err sim_rows_of(struct sim_rows *out, const struct rec_model *m,
                     const struct rec_data *d);
void sim_rows_free(struct sim_rows *r);

/* to[n_items] += sign * the row of item i. */
void sim_rows_add(const struct sim_rows *r, uint32_t i, int32_t sign,
                  int32_t *to);

#endif
