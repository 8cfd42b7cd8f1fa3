/*
 * nn/pattern.h - where a sparse matrix may have weights.
 *
 * A pattern says which masks are allowed; a projection finds, for a matrix W
 * [rows][cols] and a share of weights to keep, the mask that keeps much of
 * |W|.  Rows are outputs, columns inputs.
 *
 *   unstructured       any weights
 *   block:V            V x V blocks
 *   vector:V           V rows beside each other share their columns
 *   shfl-bw:V          the same after the rows were put into another order
 *   nm:N:M             N of M neighbours of each row
 *   nm-both:N:M        of each row and of each column (N:M = 2:4)
 *   gs:B:K             gather-scatter: packs of B weights from B / K rows, K of
 *                      each, whose columns differ modulo B
 *   gs-scatter:B:K     the same, of rows that need not be neighbours
 *
 * Sources: Shfl-BW: Huang et al., DAC 2022; gather-scatter: Lu et al., 2021
 * (arXiv 2112.10898); transposable 2:4: Hubara et al., NeurIPS 2021.
 */
#ifndef NN_PATTERN_H
#define NN_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum nn_pattern_kind {
    NN_UNSTRUCTURED,
    NN_BLOCK,
    NN_VECTOR,
    NN_SHFL,
    NN_NM,
    NN_NM_BOTH,
    NN_GS
};

struct nn_pattern {
    enum nn_pattern_kind kind;
    size_t v;           /* rows of a group: 1, V, or B / K */
    size_t n, m;        /* of nm */
    size_t banks, each; /* of gs: B, K */
    bool scatter;
};

/* Stored as columns that v rows share (v = 1: CSR). */
static inline bool nn_pattern_in_groups(const struct nn_pattern *p)
{
    return p->kind != NN_GS;
}
static inline bool nn_pattern_is_nm(const struct nn_pattern *p)
{
    return p->kind == NN_NM || p->kind == NN_NM_BOTH;
}

/* Names and meanings for --help and `recd list patterns`, ended by NULL. */
struct nn_pattern_name {
    const char *name, *help;
};
extern const struct nn_pattern_name nn_pattern_names[];

/* From text as above; V is 16 where it is not given.  ERR_ARG. */
ERR_CHECK
enum err nn_pattern_parse(struct nn_pattern *out, const char *text);

/* The share of weights that the pattern keeps whatever is asked for (N of M),
 * or 0. */
double nn_pattern_density(const struct nn_pattern *p);

/* A matrix that is read with strides: W[r][c] = w[r * row + c * col]. */
struct nn_matrix {
    const float *w;
    size_t rows, cols, row, col;
};

/* Whether sub-models of `levels` levels can be nested in it, each with half of
 * the next one's weights. */
static inline bool nn_pattern_has_levels(const struct nn_pattern *p,
                                         size_t levels)
{
    return levels <= 1 ||
           (p->kind == NN_NM ? p->n >> (levels - 1) << (levels - 1) == p->n
                             : p->kind != NN_NM_BOTH);
}

/* Groups of p->v rows: so many, with the last one not always full. */
size_t nn_pattern_groups(const struct nn_pattern *p, size_t rows);

/*
 * The mask that keeps about `density` of W: mask[rows][cols] of 0 and 1, and
 * order[groups * v]: the row at each place (KRN_NO_ROW where the last group is
 * not full); rows beside each other but for shfl-bw and gs-scatter.
 *
 * Deterministic: ties go to the lower row, then column.  keep, if not NULL, is
 * an order to keep instead of finding one (levels share theirs).  ERR_NOMEM.
 */
ERR_CHECK
enum err nn_pattern_project(const struct nn_pattern *p,
                            const struct nn_matrix *w, double density,
                            const uint32_t *keep, uint8_t *mask,
                            uint32_t *order);

/* Whether the mask is one that the pattern allows, given the order. */
bool nn_pattern_allows(const struct nn_pattern *p, size_t rows, size_t cols,
                       const uint8_t *mask, const uint32_t *order);

/* --- for nn/pattern*.c alone -----------------------------------------------
 */
static inline float nn_matrix_size(const struct nn_matrix *w, size_t r,
                                   size_t c)
{
    const float x = w->w[r * w->row + c * w->col];

    return x < 0 ? -x : x;
}

/* take[n] = 1 for the `most` largest scores; ties: the first ones. */
ERR_CHECK
enum err nn_pattern_best(const double *score, size_t n, size_t most,
                         uint8_t *take);
ERR_CHECK
enum err nn_pattern_cluster(const struct nn_pattern *p,
                            const struct nn_matrix *w, double density,
                            uint32_t *order);
ERR_CHECK
enum err nn_pattern_project_nm(const struct nn_pattern *p,
                               const struct nn_matrix *w, uint8_t *mask);
ERR_CHECK
enum err nn_pattern_project_gs(const struct nn_pattern *p,
                               const struct nn_matrix *w, double density,
                               bool reorder, uint8_t *mask, uint32_t *order);

#endif
