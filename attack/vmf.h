/*
 * attack/vmf.h - draws from the von Mises-Fisher distribution.
 */
#ifndef ATK_VMF_H
#define ATK_VMF_H

#include <stddef.h>
#include <stdint.h>

#include "nn/tape.h"

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

/* A draw from vMF(mu, kappa) on a tape, for each row. */
struct atk_vmf_draw {
    size_t rows, dim;
    struct nn_tensor *kappa;                   /* [rows][1], the caller's */
    struct nn_tensor *tangent, *along, *slope; /* its noise: inputs */
};

/* The inputs; then mu [rows][dim], of length one -> [rows][dim]. */
void atk_vmf_draw_inputs(struct nn_tape *t, struct atk_vmf_draw *d);
struct nn_tensor *atk_vmf_draw_from(struct nn_tape *t, struct nn_tensor *mu,
                                    const struct atk_vmf_draw *d);
/* Once kappa is known (nn_tape_forward_to), the noise of draw `name`. */
void atk_vmf_draw_put(struct nn_tape *t, const struct atk_vmf_draw *d,
                      uint64_t seed, uint64_t name);

#endif
