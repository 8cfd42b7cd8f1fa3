/* kernels/eig.h - eigenvectors of small symmetric matrices, in double. */
#ifndef KRN_EIG_H
#define KRN_EIG_H

#include <stdbool.h>
#include <stddef.h>

/*
 * a[d][d] symmetric (both triangles), overwritten: on return row i of a is the
 * unit eigenvector of w[i]; w descending; the largest-magnitude entry of each
 * vector (first among equals) is positive, so that the answer is one.
 * Householder tridiagonalisation and implicit QL.  work holds 2*d doubles.
 * False when 64 iterations do not settle an eigenvalue (NaN input).
 * Source: Golub & Van Loan, Matrix Computations, 8.3.
 */
bool krn_eig_sym_f64(double *a, double *w, double *work, size_t d);

#endif
