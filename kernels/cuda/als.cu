/*
 * kernels/cuda/als.cu - a block for each row of implicit ALS: its matrix in
 * shared memory, Cholesky, two triangular solves.
 */
#include "kernels/cuda/parts.cuh"

#define THREADS 128
#define CHUNK 8 /* entries whose vectors are held at once */

static __device__ void assemble(const struct krn_cuda_als &s, uint64_t from,
                                uint64_t end, float *a, float *w, float *b)
{
    const size_t d = s.d;

    for (uint64_t e = from; e < end; e += CHUNK) {
        const size_t n = end - e < CHUNK ? (size_t)(end - e) : CHUNK;

        for (size_t c = threadIdx.x; c < n * d; c += THREADS)
            w[c] = s.dev_fixed[s.dev_idx[e + c / d] * d + c % d];
        __syncthreads();
        krn_lane_outer(a, w, n, s.alpha, d, threadIdx.x, THREADS);
        for (size_t i = threadIdx.x; i < d; i += THREADS) {
            for (size_t j = 0; j < n; j++)
                b[i] += (1 + s.alpha) * w[j * d + i];
        }
        __syncthreads();
    }
}

static __device__ void factor(float *a, size_t d)
{
    for (size_t j = 0; j < d; j++) {
        __syncthreads();
        if (threadIdx.x == 0)
            a[j * d + j] = sqrtf(a[j * d + j]);
        __syncthreads();
        krn_lane_chol_scale(a, d, j, a[j * d + j], threadIdx.x, THREADS);
        __syncthreads();
        krn_lane_chol_update(a, d, j, threadIdx.x, THREADS);
    }
    __syncthreads();
}

static __device__ void substitute(const float *a, float *b, size_t d, int back)
{
    for (size_t s = 0; s < d; s++) {
        const size_t j = back ? d - 1 - s : s;

        if (threadIdx.x == 0)
            b[j] /= a[j * d + j];
        __syncthreads();
        krn_lane_solve(a, b, d, j, back, threadIdx.x, THREADS);
        __syncthreads();
    }
}

static __global__ void als_kernel(struct krn_cuda_als s)
{
    extern __shared__ float room[];
    const size_t d = s.d, r = blockIdx.x;
    const uint64_t from = s.dev_ptr[r], end = s.dev_ptr[r + 1];
    float *a = room, *w = room + d * d, *b = w + CHUNK * d;
    const float reg =
        s.reg * powf((float)(end - from) + s.base, s.exponent);

    for (size_t c = threadIdx.x; c < d * d; c += THREADS)
        a[c] = s.dev_gram[c] + (c / d == c % d ? reg : 0.0f);
    for (size_t i = threadIdx.x; i < d; i += THREADS)
        b[i] = 0;
    __syncthreads();
    assemble(s, from, end, a, w, b);
    factor(a, d);
    substitute(a, b, d, 0);
    substitute(a, b, d, 1);
    for (size_t i = threadIdx.x; i < d; i += THREADS)
        s.dev_x[r * d + i] = b[i];
}

int krn_cuda_als_run(const struct krn_cuda_als *a, char *why)
{
    const size_t bytes = (a->d * a->d + (CHUNK + 1) * a->d) * sizeof(float);

    if (a->d > 128)
        return krn_cuda_say(why, "ALS", "at most 128 factors");
    if (a->rows == 0)
        return 0;
    if (krn_cuda_check(cudaFuncSetAttribute(
                           als_kernel,
                           cudaFuncAttributeMaxDynamicSharedMemorySize,
                           (int)bytes),
                       "asking for shared memory", why))
        return 1;
    als_kernel<<<(unsigned)a->rows, THREADS, bytes>>>(*a);
    return KRN_CUDA_LAUNCHED("ALS", why);
}
