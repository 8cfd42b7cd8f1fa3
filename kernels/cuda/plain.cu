/* kernels/cuda/plain.cu - kernels of one number a thread: gather, sorted
 * scatter, optimisers, draws. */
#include "kernels/cuda/parts.cuh"

#define THREADS 256

static __device__ inline size_t own()
{
    return (size_t)blockIdx.x * THREADS + threadIdx.x;
}

static __global__ void gather_kernel(struct krn_cuda_gather g)
{
    const size_t at = own();

    if (at < g.rows * g.d)
        g.dev_out[at] = g.dev_x[g.dev_idx[at / g.d] * g.d + at % g.d];
}

int krn_cuda_gather_run(const struct krn_cuda_gather *g, char *why)
{
    if (g->rows * g->d == 0)
        return 0;
    KRN_LAUNCH(gather_kernel, krn_cuda_blocks(g->rows * g->d, THREADS), THREADS,
               0, *g);
    return KRN_CUDA_LAUNCHED("gather", why);
}

static __global__ void scatter_kernel(size_t n_out, size_t d,
                                      const uint32_t *start,
                                      const uint32_t *row, const float *g,
                                      float *out)
{
    const size_t at = own();

    if (at < n_out * d) {
        float *to = out + row[at / d] * d + at % d;

        *to = krn_lane_segment(start, g, d, at / d, at % d, *to);
    }
}

int krn_cuda_scatter_run(size_t n_out, size_t d, const uint32_t *dev_start,
                         const uint32_t *dev_row, const float *dev_g,
                         float *dev_out, char *why)
{
    if (n_out * d == 0)
        return 0;
    KRN_LAUNCH(scatter_kernel, krn_cuda_blocks(n_out * d, THREADS), THREADS, 0,
               n_out, d, dev_start, dev_row, dev_g, dev_out);
    return KRN_CUDA_LAUNCHED("sorted scatter", why);
}

static __global__ void axpy_kernel(struct krn_cuda_axpy a)
{
    const size_t i = own();

    if (i < a.rows * a.d)
        a.dev_y[i] = fmaf(a.dev_by[i / a.d], a.dev_x[i], a.dev_y[i]);
}

int krn_cuda_axpy_run(const struct krn_cuda_axpy *a, char *why)
{
    if (a->rows * a->d == 0)
        return 0;
    KRN_LAUNCH(axpy_kernel, krn_cuda_blocks(a->rows * a->d, THREADS), THREADS,
               0, *a);
    return KRN_CUDA_LAUNCHED("adding rows", why);
}

static __global__ void adam_kernel(struct krn_cuda_adam a)
{
    const size_t i = own();

    if (i < a.n)
        krn_lane_adam(&a.dev_p[i], &a.dev_m[i], &a.dev_v[i], a.dev_g[i], a.lr,
                      a.beta1, a.beta2, a.eps, a.decay);
}

int krn_cuda_adam_run(const struct krn_cuda_adam *a, char *why)
{
    if (a->n == 0)
        return 0;
    KRN_LAUNCH(adam_kernel, krn_cuda_blocks(a->n, THREADS), THREADS, 0, *a);
    return KRN_CUDA_LAUNCHED("Adam", why);
}

static __global__ void adagrad_kernel(struct krn_cuda_adagrad a)
{
    const size_t i = own();

    if (i >= a.rows * a.d)
        return;
    const size_t row = a.dev_row != NULL ? a.dev_row[i / a.d] : i / a.d;
    const size_t at = row * a.d + i % a.d;
    const bool gone = a.dev_thin != NULL && a.dev_thin[i] == 0;
    const float g = gone ? 0 : a.dev_g[i] * a.scale;

    krn_lane_adagrad(&a.dev_p[at], &a.dev_s[at], 2 * (g + a.reg * a.dev_p[at]),
                     a.lr, a.eps);
}

int krn_cuda_adagrad_run(const struct krn_cuda_adagrad *a, char *why)
{
    if (a->rows * a->d == 0)
        return 0;
    KRN_LAUNCH(adagrad_kernel, krn_cuda_blocks(a->rows * a->d, THREADS),
               THREADS, 0, *a);
    return KRN_CUDA_LAUNCHED("Adagrad", why);
}

static __global__ void thin_kernel(struct krn_cuda_thin t)
{
    const size_t i = own();

    if (i >= t.rows * t.d)
        return;
    const size_t row = t.dev_row[i / t.d], k = i % t.d;
    const float scale = 1 / (1 - t.drop);
    const uint64_t seed = krn_draw_derive(t.seed, t.what, t.dev_name[row]);

    t.dev_out[i] = krn_draw_f32(seed, t.what, k) < t.drop
                       ? 0
                       : t.dev_x[row * t.d + k] * scale;
}

int krn_cuda_thin_run(const struct krn_cuda_thin *t, char *why)
{
    if (t->rows * t->d == 0)
        return 0;
    KRN_LAUNCH(thin_kernel, krn_cuda_blocks(t->rows * t->d, THREADS), THREADS,
               0, *t);
    return KRN_CUDA_LAUNCHED("thinning", why);
}

static __global__ void philox_kernel(uint32_t *out, size_t n, uint64_t key,
                                     uint64_t first)
{
    const size_t i = own();

    if (i >= n)
        return;
    const uint64_t at = first + i;
    const struct krn_u32x4 c = {{(uint32_t)at, (uint32_t)(at >> 32), 0, 0}};
    const struct krn_u32x4 r = krn_philox(key, c);

    for (int w = 0; w < 4; w++)
        out[4 * i + w] = r.v[w];
}

int krn_cuda_philox_run(uint32_t *dev_out, size_t n, uint64_t key,
                        uint64_t first, char *why)
{
    if (n == 0)
        return 0;
    KRN_LAUNCH(philox_kernel, krn_cuda_blocks(n, THREADS), THREADS, 0, dev_out,
               n, key, first);
    return KRN_CUDA_LAUNCHED("Philox", why);
}
