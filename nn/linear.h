/*
 * nn/linear.h - linear layers and products of tensors.
 */
#ifndef NN_LINEAR_H
#define NN_LINEAR_H

#include "nn/map.h"
#include "nn/params.h"
#include "nn/tape.h"

/* f(x W + b): x [...][in] -> [...][out].  Parameters name/weight [in][out] (He
 * for relu, leaky and gelu, else Xavier) and name/bias [out] (zero). */
struct nn_tensor *nn_linear(struct nn_tape *t, struct nn_tensor *x,
                            const char *name, size_t out, enum nn_act act);
/* x W, without bias. */
struct nn_tensor *nn_linear_free(struct nn_tape *t, struct nn_tensor *x,
                                 const char *name, size_t out);

/*
 * a b, or a b^T when turned: a [...][m][k] with b [k][n] ([n][k] turned) for
 * all of a; or a [batch][m][k] with b [batch][k][n] ([batch][n][k] turned).
 * Scores of all items are nn_linear_product(t, h, table, true).
 */
struct nn_tensor *nn_linear_product(struct nn_tape *t, struct nn_tensor *a,
                                    struct nn_tensor *b, bool turned);

/* A parameter as a tensor of its own (positions, a learnt start state...). */
struct nn_tensor *nn_linear_param(struct nn_tape *t, const char *name,
                                  size_t n_dims, const size_t *dim,
                                  struct nn_init init);

#endif
