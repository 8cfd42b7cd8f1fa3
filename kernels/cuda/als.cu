/*
 * kernels/cuda/als.cu - a block for each system: rows of implicit ALS by
 * Cholesky, and systems that are there already.
 */
#include "kernels/cuda/chol.cuh"

#define THREADS CHOL_THREADS
#define CHUNK 16 /* entries whose vectors are held at once */

struct chunk {
    float *w, *c; /* [CHUNK][n] vectors, [CHUNK] c_e */
};

/* Entries e..: their vectors, zeros where there are none. */
static __device__ inline void load_chunk(const struct krn_cuda_als &s,
                                         const struct chunk &k, unsigned n,
                                         uint64_t e, uint64_t end)
{
    for (unsigned at = threadIdx.x; at < CHUNK * n; at += THREADS) {
        const unsigned j = at / n, i = at % n;

        k.w[at] = e + j < end && i < s.d
                      ? s.dev_fixed[s.dev_idx[e + j] * s.d + i]
                      : 0;
    }
    if (threadIdx.x < CHUNK) {
        const uint64_t at = e + threadIdx.x;

        k.c[threadIdx.x] =
            at >= end ? 0
                      : s.alpha * (s.dev_value != NULL ? s.dev_value[at] : 1);
    }
}

/* The chunk's part of a tile of 4 x 4. */
static __device__ inline void add_tile(const struct chol &c,
                                       const struct chunk &k, unsigned row,
                                       unsigned column)
{
    float sum[4][4] = {};

    KRN_UNROLL
    for (int e = 0; e < CHUNK; e++) {
        const float *w = k.w + e * c.n;
        const float4 l = *reinterpret_cast<const float4 *>(w + row);
        const float4 r = *reinterpret_cast<const float4 *>(w + column);
        const float left[4] = {l.x * k.c[e], l.y * k.c[e], l.z * k.c[e],
                               l.w * k.c[e]};
        const float right[4] = {r.x, r.y, r.z, r.w};

        KRN_UNROLL
        for (int i = 0; i < 4; i++) {
            KRN_UNROLL
            for (int q = 0; q < 4; q++)
                sum[i][q] = fmaf(left[i], right[q], sum[i][q]);
        }
    }
    KRN_UNROLL
    for (int i = 0; i < 4; i++) {
        KRN_UNROLL
        for (int q = 0; q < 4; q++)
            c.a[(row + i) * c.ld + column + q] += sum[i][q];
    }
}

static __device__ inline void assemble(const struct krn_cuda_als &s,
                                       const struct chol &c,
                                       const struct chunk &k, uint64_t from,
                                       uint64_t end)
{
    const unsigned side = c.n / 4;

    for (uint64_t e = from; e < end; e += CHUNK) {
        load_chunk(s, k, c.n, e, end);
        __syncthreads();
        for (unsigned t = threadIdx.x; t < side * (side + 1) / 2;
             t += THREADS) {
            unsigned column;
            const unsigned row = krn_lane_triangle(t, &column);

            add_tile(c, k, row * 4, column * 4);
        }
        for (unsigned i = threadIdx.x; i < s.d; i += THREADS) {
            float sum = c.y[i];

            for (int j = 0; j < CHUNK && e + j < end; j++)
                sum = fmaf(1 + k.c[j], k.w[j * c.n + i], sum);
            c.y[i] = sum;
        }
        __syncthreads();
    }
}

static __global__ void __launch_bounds__(THREADS)
    als_kernel(struct krn_cuda_als s)
{
    KRN_SHARED(float, room);
    const uint64_t from = s.dev_ptr[blockIdx.x];
    const uint64_t end = s.dev_ptr[blockIdx.x + 1];
    const struct chol c = chol_place(room, s.d);
    const struct chunk k = {room + chol_room(s.d),
                            room + chol_room(s.d) + CHUNK * c.n};
    const float reg = s.reg * powf((float)(end - from) + s.base, s.exponent);

    for (unsigned at = threadIdx.x; at < c.n * c.ld; at += THREADS) {
        const unsigned i = at / c.ld, j = at % c.ld;

        c.a[at] = i != j ? 0 : i < s.d ? s.dev_gram[i] + reg : 1;
    }
    for (unsigned i = threadIdx.x; i < c.n; i += THREADS)
        c.y[i] = 0;
    __syncthreads();
    assemble(s, c, k, from, end);
    chol_factor(c);
    chol_forward(c);
    chol_backward(c);
    for (unsigned i = threadIdx.x; i < s.d; i += THREADS)
        s.dev_x[blockIdx.x * s.d + i] = c.x[i];
}

static __global__ void __launch_bounds__(THREADS)
    chol_kernel(struct krn_cuda_chol s)
{
    KRN_SHARED(float, room);
    const struct chol c = chol_place(room, s.d);
    const float *a = s.dev_a + (size_t)blockIdx.x * s.d * s.d;
    float *b = s.dev_b + (size_t)blockIdx.x * s.d;

    for (unsigned at = threadIdx.x; at < c.n * c.n; at += THREADS) {
        const unsigned i = at / c.n, j = at % c.n;

        c.a[i * c.ld + j] = i < s.d && j < s.d ? a[i * s.d + j]
                            : i == j           ? 1.0f
                                               : 0.0f;
    }
    for (unsigned i = threadIdx.x; i < c.n; i += THREADS)
        c.y[i] = i < s.d ? b[i] : 0;
    chol_factor(c);
    chol_forward(c);
    chol_backward(c);
    for (unsigned i = threadIdx.x; i < s.d; i += THREADS)
        b[i] = c.x[i];
}

template <typename F>
static int allow_shared(F *kernel, size_t bytes, char *why)
{
    return krn_cuda_check(
        cudaFuncSetAttribute(
            kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes),
        "asking for shared memory", why);
}

int krn_cuda_als_run(const struct krn_cuda_als *a, char *why)
{
    const size_t bytes =
        (chol_room(a->d) + CHUNK * (chol_rows(a->d) + 1)) * sizeof(float);

    if (a->rows == 0)
        return 0;
    if (a->steps > 0)
        return krn_cuda_cg_run(a, why);
    if (a->d > KRN_CUDA_EXACT)
        return krn_cuda_say(why, "ALS", "by Cholesky at most 128 factors");
    if (allow_shared(als_kernel, bytes, why))
        return 1;
    KRN_LAUNCH(als_kernel, (unsigned)a->rows, THREADS, bytes, *a);
    return KRN_CUDA_LAUNCHED("ALS", why);
}

int krn_cuda_chol_run(const struct krn_cuda_chol *c, char *why)
{
    const size_t bytes = chol_room(c->d) * sizeof(float);

    if (c->n == 0)
        return 0;
    if (c->d > KRN_CUDA_EXACT)
        return krn_cuda_say(why, "Cholesky", "systems of at most 128");
    if (allow_shared(chol_kernel, bytes, why))
        return 1;
    KRN_LAUNCH(chol_kernel, (unsigned)c->n, THREADS, bytes, *c);
    return KRN_CUDA_LAUNCHED("Cholesky", why);
}
