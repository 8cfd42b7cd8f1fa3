/*
 * rec/turn.h - other axes for factors whose inner products are scores: no score
 * changes but by rounding.
 */
#ifndef REC_TURN_H
#define REC_TURN_H

#include <stddef.h>

#include "base/err.h"

/* The Gram matrix g[d][d] becomes its eigenvectors, one a row, gram[d] its
 * eigenvalues, descending.  ERR_NOMEM, ERR_NUM. */
ERR_CHECK
enum err rec_turn_basis(float *g, float *gram, size_t d);

/*
 * Turn both sides into the basis in which the Gram matrix of x is diagonal:
 * x[n][d] and other[n_other][d] in place, the diagonal into gram[d],
 * descending.  Time n d^2 + n_other d^2 + 10 d^3.  ERR_NOMEM, ERR_NUM (x holds
 * what is no number).
 */
ERR_CHECK
enum err rec_turn_axes(float *x, size_t n, float *other, size_t n_other,
                       size_t d, float *gram);

/*
 * Bring x[n_x][d] and y[n_y][d] to the axes of the singular vectors of x y^T,
 * both with the root of the singular values: the Gram matrices of both are the
 * same diagonal, descending.  Lengths change, as the axes of the two sides are
 * not the same.  Time and errors as above.
 */
ERR_CHECK
enum err rec_turn_alike(float *x, size_t n_x, float *y, size_t n_y, size_t d);

#endif
