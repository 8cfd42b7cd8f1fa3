/*
 * base/la.h - the parallel drivers of the large kernels.
 *
 * They split outputs into tasks of fixed size, give each thread its scratch,
 * and so keep the kernels' promise: same bits for any number of threads.
 */
#ifndef BASE_LA_H
#define BASE_LA_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "kernels/ops.h"

/* g->scratch is ignored (taken inside).  ERR_NOMEM. */
ERR_CHECK
enum err la_gemm(const struct krn_gemm *g);

/* s->first/last give the rows.  Rows are split so that entries balance. */
void la_spmm(const struct krn_spmm *s);

/* Likewise. */
void la_sddmm(const struct krn_sddmm *s);

/*
 * G[d][d] = X^T X (both triangles) for X [n][d]: partial sums over fixed
 * chunks of 4096 rows, added in chunk order.  ERR_NOMEM.
 */
ERR_CHECK
enum err la_gram(float *gram, const float *x, size_t n, size_t d);

/*
 * Replace the SPD matrix a[n][n] (lower triangle) by its inverse (both
 * triangles), in place, by blocked Cholesky, inversion of the factor and
 * L^-T L^-1; fixed order.  For EASE: n up to 60,000.
 * ERR_NUM: not positive definite (names the pivot).  Cost n^3 multiply-adds.
 */
ERR_CHECK
enum err la_spd_inverse(float *a, size_t n);

#endif
