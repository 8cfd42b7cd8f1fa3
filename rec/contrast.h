/*
 * rec/contrast.h - the loss of a batch of rows against random items, and its
 * gradient.
 *
 * A batch of n rows (u, i) is cut into pieces of REC_CONTRAST_ROWS; a piece
 * draws `negatives` items j, uniformly and with replacement, that all its
 * rows share, so that scores and gradients are products of dense matrices.
 * Items that the person has met do not count.  With s = inner products:
 *
 *   softmax  -log(e^(s_ui/t) / (e^(s_ui/t) + sum_j e^(s_uj/t)))
 *   bpr      mean over j of -log sigmoid(s_ui - s_uj)
 *
 * averaged over the rows.  Sources: softmax: Oord et al., arXiv:1807.03748,
 * eq. 4; bpr: Rendle et al., UAI 2009.  Differs: shared negatives.
 */
#ifndef REC_CONTRAST_H
#define REC_CONTRAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "rec/data.h"

#define REC_CONTRAST_ROWS 128 /* the bits of models depend on it */

struct rec_contrast_opts {
    size_t dim, batch; /* most rows in a batch */
    size_t negatives;  /* of a piece */
    bool bpr;          /* else softmax */
    float temperature; /* t of softmax, > 0 */
};

struct rec_contrast {
    const struct rec_data *d;
    struct rec_contrast_opts o;
    size_t ld;          /* of a row of scores */
    uint32_t *row_user; /* [n_rows] */
    /* what rows give to nodes: people, items, negatives of the pieces */
    float *part;                    /* [2 batch + pieces * negatives][dim] */
    uint32_t *node, *node_tmp;      /* the node of each part */
    uint32_t *from, *from_tmp;      /* parts in the order of nodes */
    size_t *ptr;                    /* [n_users + n_items + 1] into from */
    double *loss;                   /* [pieces] */
    struct rec_contrast_room *room; /* [threads] */
    struct mem_scratch s;
};

/* Bytes that rec_contrast_init() takes. */
double rec_contrast_bytes(const struct rec_data *d,
                          const struct rec_contrast_opts *o);

/* d stays the caller's.  ERR_NOMEM.  Free by rec_contrast_free() either way. */
ERR_CHECK
enum err rec_contrast_init(struct rec_contrast *c, const struct rec_data *d,
                           const struct rec_contrast_opts *o);
void rec_contrast_free(struct rec_contrast *c);

/*
 * The mean loss of n <= batch rows (row numbers of d, ascending) for vectors
 * vec[n_users + n_items][dim], people first, and in grad (all of it is
 * written) its gradient.  The negatives are a function of seed and shapes.
 * The same bits for any number of threads.
 */
double rec_contrast_step(struct rec_contrast *c, const uint32_t *row, size_t n,
                         uint64_t seed, const float *vec, float *grad);

#endif
