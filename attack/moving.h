/*
 * attack/moving.h - a large table of which a step touches few rows, moved as
 * Adam moves the whole.
 *
 * Adam goes on moving a row after its last gradient, by the momentum that is
 * left.  A row that waits is brought up to date when it is next asked for, all
 * missed steps at once: a step costs what it touches, and the row is where it
 * would be.  Source: Kingma & Ba, ICLR 2015; rates 1e-3, .9, .999, 1e-8.
 */
#ifndef ATK_MOVING_H
#define ATK_MOVING_H

#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "kernels/tape.h"

struct atk_moving {
    size_t rows, d;
    float *value;   /* [rows][d], the caller's to begin with */
    float *m, *v;   /* moments */
    uint32_t *step; /* [rows] up to which step a row is moved; 0: never yet */
};

/* Taken from s, which says when there was no memory. */
void atk_moving_take(struct mem_scratch *s, struct atk_moving *t, size_t rows,
                     size_t d);

/* Move the row up to `step`; returns its values. */
float *atk_moving_bring(const struct atk_moving *t, const struct krn_tape *k,
                        size_t row, uint32_t step);

/* What Adam's step number `step` (from 1) does to any numbers. */
struct krn_step atk_moving_rates(uint32_t step);

/* That step of a row, with a gradient [d]. */
void atk_moving_step(const struct atk_moving *t, const struct krn_tape *k,
                     size_t row, const float *grad, uint32_t step,
                     const struct krn_step *rates);

#endif
