/*
 * nn/reduce.h - sums, means and maxima; soft maxima of rows.
 */
#ifndef NN_REDUCE_H
#define NN_REDUCE_H

#include "nn/tape.h"

/* One number: the sum of x, each times its weight (same shape; NULL: 1). */
struct nn_tensor *nn_reduce_sum(struct nn_tape *t, struct nn_tensor *x,
                                struct nn_tensor *weight);
/* The same divided by the sum of the weights (0 when that is 0). */
struct nn_tensor *nn_reduce_mean(struct nn_tape *t, struct nn_tensor *x,
                                 struct nn_tensor *weight);
/* Along one axis, which disappears (a vector becomes [1]).  The gradient of
 * the largest goes to the first of equals. */
struct nn_tensor *nn_reduce_axis_sum(struct nn_tape *t, struct nn_tensor *x,
                                     size_t axis);
struct nn_tensor *nn_reduce_axis_mean(struct nn_tape *t, struct nn_tensor *x,
                                      size_t axis);
struct nn_tensor *nn_reduce_axis_max(struct nn_tape *t, struct nn_tensor *x,
                                     size_t axis);

/* Over the last dimension.  mask (shape of x, or NULL): entries of 0 get
 * probability 0; a row of zeros gives zeros. */
struct nn_tensor *nn_reduce_softmax(struct nn_tape *t, struct nn_tensor *x,
                                    struct nn_tensor *mask);
struct nn_tensor *nn_reduce_log_softmax(struct nn_tape *t, struct nn_tensor *x);

#endif
