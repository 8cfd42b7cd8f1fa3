/*
 * nn/shape.h - the same numbers in other places.
 */
#ifndef NN_SHAPE_H
#define NN_SHAPE_H

#include "nn/tape.h"

/* The same memory seen in another shape (of as many elements); free. */
struct nn_tensor *nn_shape_as(struct nn_tape *t, struct nn_tensor *x,
                              size_t n_dims, const size_t *dim);
/* n tensors one behind the other along `axis`; other dimensions agree. */
struct nn_tensor *nn_shape_concat(struct nn_tape *t, size_t n,
                                  struct nn_tensor *const *x, size_t axis);
/* Elements first..last-1 along `axis`. */
struct nn_tensor *nn_shape_slice(struct nn_tape *t, struct nn_tensor *x,
                                 size_t axis, size_t first, size_t last);
/* Axes a and b exchanged. */
struct nn_tensor *nn_shape_swap(struct nn_tape *t, struct nn_tensor *x,
                                size_t a, size_t b);
/* A new axis number `axis` of length `times`, along which x is repeated. */
struct nn_tensor *nn_shape_repeat(struct nn_tape *t, struct nn_tensor *x,
                                  size_t axis, size_t times);
/* x [n][l][d] and ids [n][k] below l -> [n][k][d]: of each list, the elements
 * that ids name (NN_PAD: zeros); a permutation, masked positions, last states.
 */
struct nn_tensor *nn_shape_pick(struct nn_tape *t, struct nn_tensor *x,
                                struct nn_tensor *ids);

#endif
