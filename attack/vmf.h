/*
 * attack/vmf.h - draws from the von Mises-Fisher distribution.
 */
#ifndef ATK_VMF_H
#define ATK_VMF_H

#include <stddef.h>
#include <stdint.h>

/*
 * The component w along the mean direction of a draw from vMF(mu, kappa) in R^m
 * (m >= 2, kappa > 0): accept and reject.  *slope is dw/dkappa with the
 * accepted uniform and Beta draws held fixed.  Draws are numbered: the same
 * (seed, name) gives the same w. Source: Ulrich, Applied Statistics 33, 1984;
 * Wood, Communications in Statistics 23, 1994; the derivative: Davidson et al.,
 * UAI 2018, section 3.
 */
double atk_vmf_along(double kappa, size_t m, uint64_t seed, uint64_t name,
                     double *slope);

#endif
