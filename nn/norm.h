/*
 * nn/norm.h - normalisation of rows.
 */
#ifndef NN_NORM_H
#define NN_NORM_H

#include "nn/tape.h"

#define NN_NORM_EPS 1e-5

/* Layer norm over the last dimension, with name/gain (1) and name/bias (0).
 * Source: Ba, Kiros & Hinton, 2016. */
struct nn_tensor *nn_norm(struct nn_tape *t, struct nn_tensor *x,
                          const char *name);
/* Rows of length one: x / sqrt(|x|^2 + 1e-12). */
struct nn_tensor *nn_norm_unit(struct nn_tape *t, struct nn_tensor *x);
/*
 * Batch norm of columns, name/gain and name/bias, with the mean and variance
 * of this batch, in training and out of it (no running averages: a batch
 * means the same to both).  At least two rows.
 * Source: Ioffe & Szegedy, ICML 2015.
 */
struct nn_tensor *nn_norm_batch(struct nn_tape *t, struct nn_tensor *x,
                                const char *name);

#endif
