/*
 * kernels/cuda/spmm.cu - sparse products by a warp for each row (or entry).
 *
 * A warp reads 32 entries at once and hands them round; the rows of x that
 * eight of them name are asked for before the first is used.  A number is one
 * chain of fmaf() over the entries in order: the CPU's bits.
 *
 * Source: the scheme of Huang et al., GE-SpMM, SC 2020.  Differs: no shared
 * memory, entries go round by shuffles.
 */
#include "kernels/cuda/parts.cuh"

#define WARPS 8
#define AHEAD 8 /* rows of x asked for at once */

template <int N>
static __device__ inline void load(float to[N], const float *from, bool is)
{
    for (int i = 0; i < N; i++)
        to[i] = 0;
    if (!is)
        return;
    if (N == 2) {
        const float2 v = *reinterpret_cast<const float2 *>(from);

        to[0] = v.x;
        to[N - 1] = v.y;
    } else {
        to[0] = *from;
    }
}

/* Up to 32 entries: mine is entry `lane`; N numbers from `column` on. */
template <int N>
static __device__ inline void add_entries(float sum[N], uint32_t idx, float val,
                                          int n, const float *x, size_t d,
                                          size_t column)
{
    for (int j = 0; j < n; j += AHEAD) {
        float row[AHEAD][N];

        KRN_UNROLL
        for (int q = 0; q < AHEAD; q++) {
            const size_t r = __shfl_sync(KRN_ALL, idx, j + q);

            load<N>(row[q], x + r * d + column, j + q < n && column < d);
        }
        KRN_UNROLL
        for (int q = 0; q < AHEAD; q++) {
            const float v = __shfl_sync(KRN_ALL, val, j + q);

            KRN_UNROLL
            for (int i = 0; i < N; i++)
                sum[i] = j + q < n ? fmaf(v, row[q][i], sum[i]) : sum[i];
        }
    }
}

template <int N>
static __global__ void __launch_bounds__(WARPS * 32)
    spmm_kernel(struct krn_cuda_spmm s)
{
    const unsigned lane = threadIdx.x % 32;
    const size_t row = (size_t)blockIdx.x * WARPS + threadIdx.x / 32;

    if (row >= s.rows)
        return;
    for (size_t base = 0; base < s.d; base += 32 * N) {
        const size_t column = base + lane * N, at = row * s.d + column;
        float sum[N];

        load<N>(sum, s.dev_add != NULL ? s.dev_add + at : s.dev_y,
                s.dev_add != NULL && column < s.d);
        for (uint64_t e = s.dev_ptr[row]; e < s.dev_ptr[row + 1]; e += 32) {
            const uint64_t left = s.dev_ptr[row + 1] - e;
            const bool is = lane < left;
            const uint32_t idx = is ? s.dev_idx[e + lane] : 0;
            const float val = is && s.dev_val != NULL ? s.dev_val[e + lane] : 1;

            add_entries<N>(sum, idx, val, left < 32 ? (int)left : 32, s.dev_x,
                           s.d, column);
        }
        for (int i = 0; i < N && column < s.d; i++)
            s.dev_y[at + i] = s.scale == 1 ? sum[i] : sum[i] * s.scale;
    }
}

int krn_cuda_spmm_run(const struct krn_cuda_spmm *s, char *why)
{
    if (s->rows * s->d == 0)
        return 0;
    if (s->d % 2 == 0)
        KRN_LAUNCH(spmm_kernel<2>, krn_cuda_blocks(s->rows, WARPS), WARPS * 32,
                   0, *s);
    else
        KRN_LAUNCH(spmm_kernel<1>, krn_cuda_blocks(s->rows, WARPS), WARPS * 32,
                   0, *s);
    return KRN_CUDA_LAUNCHED("sparse product", why);
}

static __global__ void __launch_bounds__(WARPS * 32)
    sddmm_kernel(struct krn_cuda_sddmm s)
{
    const size_t e = (size_t)blockIdx.x * WARPS + threadIdx.x / 32;
    float sum = 0;

    if (e >= s.n)
        return;
    for (size_t k = threadIdx.x % 32; k < s.d; k += 32)
        sum = fmaf(s.dev_a[s.dev_row[e] * s.d + k],
                   s.dev_b[s.dev_idx[e] * s.d + k], sum);
    sum = krn_warp_sum(sum);
    if (threadIdx.x % 32 == 0)
        s.dev_out[e] = sum * s.by + s.more;
}

int krn_cuda_sddmm_run(const struct krn_cuda_sddmm *s, char *why)
{
    if (s->n == 0)
        return 0;
    KRN_LAUNCH(sddmm_kernel, krn_cuda_blocks(s->n, WARPS), WARPS * 32, 0, *s);
    return KRN_CUDA_LAUNCHED("sampled product", why);
}
