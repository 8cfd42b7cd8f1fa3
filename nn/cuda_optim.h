/* nn/cuda_optim.h - steps of optimisers on the device; only nn/ includes this.
 */
#ifndef NN_CUDA_OPTIM_H
#define NN_CUDA_OPTIM_H

#include "nn/cuda.h"

struct nn_optim_cuda;

/* State for parameters that are on the device: one or two numbers each. */
ERR_CHECK
enum err nn_cuda_optim_new(struct nn_optim_cuda **out, struct nn_params *p,
                           bool one, bool two);
void nn_cuda_optim_free(struct nn_optim_cuda *c);

/* Norm of the gradients. */
ERR_CHECK
enum err nn_cuda_optim_norm(struct nn_optim_cuda *c, double *norm);

/* Step one parameter (frozen: forget its gradient), which leaves its gradient
 * at zero. */
ERR_CHECK
enum err nn_cuda_optim_step(struct nn_optim_cuda *c, const struct nn_param *q,
                            enum krn_cuda_work work, const struct krn_step *how,
                            double clip);

/* The state, from and to arrays of the host (or NULL). */
void nn_cuda_optim_get(struct nn_optim_cuda *c, float *m, float *v);
void nn_cuda_optim_put(struct nn_optim_cuda *c, const float *m, const float *v);

#endif
