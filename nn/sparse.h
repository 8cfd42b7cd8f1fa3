/*
 * nn/sparse.h - sparse matrices, packed for serving.
 *
 * Two ways to store what a pattern allows (nn/pattern.h):
 *
 *   groups   columns that V rows share, and V weights for each: block, vector,
 *            shfl-bw; unstructured and N:M are V = 1, which is CSR (N:M rows
 * have equal lengths, zeros where a block holds fewer); gs       packs of B
 * weights and columns.
 *
 * Levels: one set of weights holds sparser sub-models.  Level l of L (the last
 * one has everything) is a prefix of each group, chosen when multiplying; it
 * costs a pointer a group and copies nothing.  Of N:M, level l has
 * N / 2^(L - 1 - l) of M; not for nm-both, whose tiles have no halves.
 */
#ifndef NN_SPARSE_H
#define NN_SPARSE_H

#include "nn/pattern.h"

#define NN_LEVELS 8 /* at most */

struct nn_sparse {
    struct nn_pattern pattern;
    size_t rows, cols;
    size_t n_groups; /* of v rows */
    size_t n_levels; /* 1, or more */
    size_t n;        /* vectors, or packs */
    size_t width;    /* weights of each: V or B */
    uint32_t *ptr;   /* [n_groups + 1] into vectors or packs */
    uint32_t *to;    /* [n_levels][n_groups] end of each level; packs of one
                        level: not used */
    uint32_t *idx;   /* [n] columns of vectors; [n][B] of packs */
    float *val;      /* [n][width] */
    uint32_t *row;   /* [n_groups * v] (KRN_NO_ROW: none) */
};

/*
 * Pack W under the mask (mask[rows][cols], order as nn_pattern_project() gave
 * them).  ERR_ARG: the pattern does not allow this mask; ERR_NOMEM.
 *
 * level, if not NULL, says from which level on (0 is the sparsest) a weight is
 * there: level[rows][cols], each one constant where the mask has to be.
 */
ERR_CHECK
enum err nn_sparse_pack(struct nn_sparse *out, const struct nn_pattern *p,
                        const struct nn_matrix *w, const uint8_t *mask,
                        const uint32_t *order, const uint8_t *level,
                        size_t n_levels);
void nn_sparse_free(struct nn_sparse *s);

/* w[rows][cols] of a level: 0 where nothing is. */
void nn_sparse_unpack(const struct nn_sparse *s, size_t level, float *w);

/* Whether every index, count and pointer is in range: for what comes from a
 * file.  ERR_FORMAT. */
ERR_CHECK
enum err nn_sparse_check(const struct nn_sparse *s);

/* Bytes of an image; write it; read it back (checked).  ERR_FORMAT. */
size_t nn_sparse_save_bytes(const struct nn_sparse *s);
void nn_sparse_save(const struct nn_sparse *s, void *out);
ERR_CHECK
enum err nn_sparse_load(struct nn_sparse *out, const void *image, size_t bytes);

/* Weights that are stored (padding included), of a level. */
size_t nn_sparse_weights(const struct nn_sparse *s, size_t level);

/*
 * y[m][rows] = x[m][cols] W^T of a level: what a layer does.  Cost: weights *
 * m. scratch: nn_sparse_scratch() floats.  One thread; the caller splits m.
 * Each output is a chain over its stored weights, in their order; of one level
 * in groups that is ascending columns, and the bits of the dense product.
 */
size_t nn_sparse_scratch(const struct nn_sparse *s);
void nn_sparse_product(const struct nn_sparse *s, size_t level, size_t m,
                       const float *x, size_t ldx, float *y, size_t ldy,
                       float *scratch);
/* x[m][cols] += y[m][rows] W: what its backward pass needs. */
void nn_sparse_product_back(const struct nn_sparse *s, size_t level, size_t m,
                            const float *y, size_t ldy, float *x, size_t ldx);

/* --- for nn/sparse*.c alone ------------------------------------------------
 */

/* Columns that are stored: one for each vector, or one for each weight. */
static inline size_t nn_sparse_places(const struct nn_sparse *s)
{
    return nn_pattern_in_groups(&s->pattern) ? s->n : s->n * s->width;
}
/* Where each group ends at a level: [n_groups]. */
static inline const uint32_t *nn_sparse_ends(const struct nn_sparse *s,
                                             size_t level)
{
    return !nn_pattern_in_groups(&s->pattern) && s->n_levels == 1
               ? s->ptr + 1
               : s->to + level * s->n_groups;
}
/* Arrays for the counts that stand in s.  ERR_NOMEM. */
ERR_CHECK
enum err nn_sparse_room(struct nn_sparse *s);

#endif
