/*
 * rec/svd.h - the leading singular vectors of a sparse matrix.
 *
 * Source: Zhou, Saad, Tiago & Chelikowsky, "Self-consistent-field calculations
 * using Chebyshev-filtered subspace iteration", J. Comput. Phys. 219 (2006),
 * algorithm 4.1, on R^T R.
 * Differs: a fixed number of rounds of fixed degree (an answer must not depend
 * on a tolerance that a compiler may round); Cholesky QR twice; a block that
 * is wider than asked, so that the last wanted vectors settle too.
 */
#ifndef REC_SVD_H
#define REC_SVD_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* R [n_rows][n_cols] sparse, twice: by rows (CSR) and by columns. */
struct rec_svd {
    size_t n_rows, n_cols;
    const size_t *row_ptr; /* [n_rows + 1] */
    const uint32_t *col;   /* [row_ptr[n_rows]] */
    const float *row_val;  /* [row_ptr[n_rows]] */
    const size_t *col_ptr; /* [n_cols + 1] */
    const uint32_t *row;   /* the same entries by columns */
    const float *col_val;
    const uint64_t *col_key; /* [n_cols] names of the columns: they seed the
                                start, so that other columns do not matter */
    uint64_t seed;
};

/*
 * v[n_cols][k]: column j of v is the j-th right singular vector, of length 1,
 * its largest entry positive; w[k]: squares of the singular values,
 * descending.  Where R has fewer than k of them (rank below k, or k above
 * n_cols), the columns that are left over are zero, and so are their w.
 *
 * Errors: ERR_NOMEM; ERR_NUM (NaN in the values); ERR_STOPPED.
 * Cost: 3 blocks [n_cols][k'] and 1 [n_rows][k'], k' = k + k/8 + 8 (see
 * rec_svd_bytes); about 40 n_cols k'^2 + 80 entries k' multiply-adds.
 * Same bits for any number of threads.
 */
ERR_CHECK
enum err rec_svd_top(const struct rec_svd *r, size_t k, float *v, double *w);

/* Bytes that rec_svd_top() takes for itself. */
double rec_svd_bytes(size_t n_rows, size_t n_cols, size_t k);

#endif
