/*
 * rec/als.h - alternating least squares: every row of one side, the other
 * side fixed.
 *
 * The loss is that of Hu, Koren and Volinsky (ICDM 2008): with confidence
 * 1 + c on what was met and 1 on the rest,
 *
 *   sum_{all u,i} conf (p - w_u . h_i)^2 + sum_u L_u |w_u|^2 + sum_i L_i
 * |h_i|^2
 *
 * p = 1 for what was met, else 0; c = alpha, or alpha times the row's value;
 * L_u = reg * (|N_u| + n_items / alpha)^exponent, likewise for items: Rendle et
 * al., Revisiting the performance of iALS, RecSys 2022, eq. 7, where a0 = 1 /
 * alpha and lambda = reg / alpha.  Differs: the target of their positives is 1
 * after that division, ours is 1 + 1 / alpha.
 *
 * The one idea: rows of both sides are held in the basis in which the Gram
 * matrix H^T H of the fixed side is diagonal (scores do not change with the
 * basis).  Then a row's matrix is diagonal plus a sum over its few entries:
 * conjugate gradients touch nothing of size d^2 and have a good scaling, and a
 * row with n < d entries is solved exactly through an n x n system.
 */
#ifndef REC_ALS_H
#define REC_ALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct rec_als {
    size_t n;               /* rows to solve */
    const uint32_t *row;    /* [n] which ones, or NULL: 0..n-1 */
    const size_t *ptr;      /* entries of row r: ptr[r]..ptr[r + 1] - 1 */
    const uint32_t *idx;    /* rows of `fixed` */
    const float *value;     /* > 0, or NULL: all 1 */
    const size_t *value_at; /* entry e has value[value_at[e]]; NULL: value[e] */
    size_t n_fixed, d;
    const float *fixed; /* [n_fixed][d] */
    const float *gram;  /* [d] diagonal of fixed^T fixed, which has no more */
    float alpha, reg, exponent;
    size_t steps; /* of conjugate gradients; 0: exact, by Cholesky */
    float *out;   /* [*][d]: start (for conjugate gradients), then solution */
};

/* Solve the rows; each depends on nothing but its own entries.  Threads
 * inside.  ERR_NOMEM.  A matrix that is not positive definite leaves NaN. */
ERR_CHECK
enum err rec_als_solve(const struct rec_als *a);

/* Bytes that rec_als_solve() takes for rows of at most n_most entries. */
double rec_als_bytes(size_t n, size_t n_most, size_t d, bool exact);

#endif
