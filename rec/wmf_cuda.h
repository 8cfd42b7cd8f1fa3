/*
 * rec/wmf_cuda.h - wmf's batches on the GPU: vectors and Adagrad's sums stay
 * there; the rows of an epoch's people go there in the order of the epoch.
 */
#ifndef REC_WMF_CUDA_H
#define REC_WMF_CUDA_H

#include "base/err.h"
#include "rec/data.h"

struct rec_wmf_cuda;

struct rec_wmf_how {
    size_t dim, batch;                  /* batch: most people of a step */
    float lr, weight, drop, reg, first; /* first: sums at the start */
    float eps;
};

/* p [n_users][dim] and q [n_items][dim] as they begin.  *out is given back by
 * rec_wmf_cuda_free() either way.  ERR_NOMEM, ERR_IO. */
ERR_CHECK
enum err rec_wmf_cuda_new(struct rec_wmf_cuda **out, const struct rec_data *d,
                          const struct rec_wmf_how *how, const float *p,
                          const float *q);
void rec_wmf_cuda_free(struct rec_wmf_cuda *w);

/* The people of the epoch, in order, [n_users]. */
ERR_CHECK
enum err rec_wmf_cuda_order(struct rec_wmf_cuda *w, const uint32_t *order);

/* A step on the people first..first + n - 1 of the order; seed: of what is
 * dropped, together with their keys. */
ERR_CHECK
enum err rec_wmf_cuda_step(struct rec_wmf_cuda *w, size_t first, size_t n,
                           uint64_t seed);

ERR_CHECK
enum err rec_wmf_cuda_get(const struct rec_wmf_cuda *w, float *p, float *q);

#endif
