/*
 * rec/train_cuda.h - what models that learn from rows against random items
 * (rec/pairs.h, rec/contrast.h) hold on the GPU, and the steps they share.
 *
 * Rows, vectors and moments stay there from the first epoch to the last; draws
 * are those of the CPU.  Sums differ from the CPU's by rounding.
 */
#ifndef REC_TRAIN_CUDA_H
#define REC_TRAIN_CUDA_H

#include "base/device.h"
#include "kernels/ops.h"
#include "rec/data.h"

struct rec_cuda {
    const struct rec_data *d;
    size_t n, dim;                /* people and items; length of a vector */
    float *e, *m, *v, *grad;      /* [n][dim] vectors, moments, gradient */
    uint32_t *order;              /* [n_rows] of the epoch */
    struct krn_cuda_compare loss; /* filled but for a batch's rows and seeds */
    struct krn_cuda_order by;     /* filled but for names, seed and epoch */
    struct device_room room;      /* take more here */
};

/* Rows of d, and vectors from e [n][dim].  loss: chunk, negatives, loss and
 * temperature.  batch: most rows of a step.  user_of [n_rows].  Drop `room`
 * either way.  ERR_NOMEM, ERR_IO. */
ERR_CHECK
enum err rec_cuda_open(struct rec_cuda *c, const struct rec_data *d, size_t dim,
                       const float *e, const uint32_t *user_of, size_t batch,
                       const struct krn_cuda_compare *loss);

/* grad = gradient, by vec, of the rows first..first + rows - 1 of the order;
 * seed, name: those of the first chunk's draws. */
ERR_CHECK
enum err rec_cuda_compare(struct rec_cuda *c, const float *vec, size_t first,
                          size_t rows, uint64_t seed, uint64_t name);

/* A step on all vectors by `grad`. */
ERR_CHECK
enum err rec_cuda_adam(const struct rec_cuda *c, const float *grad,
                       const struct krn_adam *how);

#endif
