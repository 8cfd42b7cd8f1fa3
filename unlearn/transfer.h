/*
 * unlearn/transfer.h - one space for the vectors of all shards, in closed form.
 * For unlearn/ alone.
 *
 * With X and Y the vectors of people and items in all shards side by side, R
 * the rows (0/1), and D the diagonals of how many rows a person, an item has,
 * it finds the maps A and B into few numbers that minimise, over all pairs,
 *
 *   | D^-1/2 (R - X A B^T Y^T) D^-1/2 |^2
 *
 * a singular value decomposition between the spaces that the vectors span.
 *
 * Source: the transfer of RecEraser (Chen et al., WWW 2022, equation 8).
 * Differs: people and items have maps of their own, without constants; they
 * are solved for, not stepped to; the loss is that of all pairs, each divided
 * by how often its person and its item occur (the matrix of LightGCN and
 * GF-CF), for every model.
 */
#ifndef UNL_TRANSFER_H
#define UNL_TRANSFER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "rec/data.h"

/* What is learnt from.  Side 0: people, 1: items. */
struct unl_transfer {
    size_t rows[2], width;   /* entities; numbers of one in all shards */
    float *x[2];             /* [rows][width] */
    const size_t *ptr[2];    /* [rows + 1] whom each entity met, in idx */
    const uint32_t *idx[2];  /* ... as numbers of the other side */
    float *val[2];           /* of D^-1/2 R D^-1/2, in the same order */
    float *root[2];          /* [rows] 1 / sqrt(rows of the entity), or 0 */
    struct rec_columns cols; /* the rows by item */
    struct mem_scratch s;    /* of val and root; x is the caller's */
};

/* x[side][rows][width] and d stay the caller's.  ERR_NOMEM.  Free by
 * unl_transfer_free() either way. */
ERR_CHECK
enum err unl_transfer_init(struct unl_transfer *t, const struct rec_data *d,
                           float *const x[2], size_t width);
void unl_transfer_free(struct unl_transfer *t);

/* y[rows of side][n] = D^-1/2 R D^-1/2 x, x[rows of the other side][n]. */
void unl_transfer_met(const struct unl_transfer *t, size_t side, const float *x,
                      float *y, size_t n);

/*
 * map[side][width][to].  Numbers that are the same for all (an empty shard's)
 * get no weight; each variance is raised by a thousandth.  The same bits for
 * any number of threads.  ERR_NOMEM, ERR_NUM.  Cost: (people + items + width)
 * width^2 + rows width multiply-adds; 5 blocks [width][width].
 */
ERR_CHECK
enum err unl_transfer_solve(const struct unl_transfer *t, size_t to,
                            float *const map[2]);

#endif
