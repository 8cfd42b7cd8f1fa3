/*
 * kernels/cuda/tape_mm.cu - products of matrices with gaps, many at once: a
 * block of 256 threads for 64 x 64 numbers of C, 4 x 4 a thread, 16 of k at a
 * time through shared memory.  A number is one chain of fmaf() over k, from C
 * or from 0: the CPU's bits.
 */
#include "kernels/cuda/parts.cuh"
#include "kernels/cuda/tape.h"

#define THREADS 256
#define TILE 64
#define DEEP 16
#define LONG (TILE + 4)

struct tile {
    float a[DEEP][LONG], b[DEEP][LONG];
};

/* TILE rows of op(A) (or columns of op(B)) from `first`, DEEP of k from `k`:
 * element (i, q) is at x[i * ld + q], or x[q * ld + i] when across. */
static __device__ inline void load(float to[DEEP][LONG], const float *x,
                                   size_t ld, int across, size_t first,
                                   size_t rows, size_t k, size_t deep)
{
    for (unsigned at = threadIdx.x; at < TILE * DEEP; at += THREADS) {
        const unsigned i = across ? at % TILE : at / DEEP;
        const unsigned q = across ? at / TILE : at % DEEP;
        const bool is = first + i < rows && k + q < deep;

        to[q][i] = !is      ? 0
                   : across ? x[(k + q) * ld + first + i]
                            : x[(first + i) * ld + k + q];
    }
}

static __device__ inline void multiply(const struct tile &t, unsigned row,
                                       unsigned col, unsigned deep,
                                       float c[4][4])
{
    for (unsigned q = 0; q < deep; q++) {
        float a[4], b[4];

        KRN_UNROLL
        for (int i = 0; i < 4; i++) {
            a[i] = t.a[q][row + i];
            b[i] = t.b[q][col + i];
        }
        KRN_UNROLL
        for (int i = 0; i < 4; i++) {
            KRN_UNROLL
            for (int e = 0; e < 4; e++)
                c[i][e] = fmaf(a[i], b[e], c[i][e]);
        }
    }
}

static __device__ inline size_t place(const struct krn_cuda_step &s,
                                      const struct krn_cuda_mm &g)
{
    return blockIdx.z / g.inner * s.out + blockIdx.z % g.inner * s.in;
}

static __global__ void __launch_bounds__(THREADS)
    mm_kernel(struct krn_cuda_mm g)
{
    __shared__ struct tile t;
    const size_t first_row = (size_t)blockIdx.y * TILE;
    const size_t first_col = (size_t)blockIdx.x * TILE;
    const unsigned row = threadIdx.x / 16 * 4, col = threadIdx.x % 16 * 4;
    const float *a = g.a + place(g.a_step, g), *b = g.b + place(g.b_step, g);
    float *c = g.c + place(g.c_step, g), sum[4][4] = {};

    KRN_UNROLL
    for (int i = 0; i < 4; i++) {
        KRN_UNROLL
        for (int e = 0; e < 4; e++) {
            const size_t r = first_row + row + i, s = first_col + col + e;

            sum[i][e] = g.add && r < g.m && s < g.n ? c[r * g.ldc + s] : 0;
        }
    }
    for (size_t k = 0; k < g.k; k += DEEP) {
        __syncthreads();
        load(t.a, a, g.lda, g.ta, first_row, g.m, k, g.k);
        load(t.b, b, g.ldb, !g.tb, first_col, g.n, k, g.k);
        __syncthreads();
        multiply(t, row, col, g.k - k < DEEP ? (unsigned)(g.k - k) : DEEP, sum);
    }
    for (int i = 0; i < 4; i++) {
        for (int e = 0; e < 4; e++) {
            const size_t r = first_row + row + i, s = first_col + col + e;

            if (r < g.m && s < g.n)
                c[r * g.ldc + s] = sum[i][e];
        }
    }
}

int krn_cuda_mm_run(const struct krn_cuda_mm *wanted, char *why)
{
    struct krn_cuda_mm g = *wanted;

    g.batch = g.batch > 0 ? g.batch : 1;
    g.inner = g.inner > 0 ? g.inner : 1;
    if (g.m == 0 || g.n == 0)
        return 0;
    /* the third side of a grid has at most 65,535 */
    for (size_t z = 0, all = g.batch; z < all; z += 65535 / g.inner * g.inner) {
        const size_t most = 65535 / g.inner * g.inner;
        const dim3 grid(krn_cuda_blocks(g.n, TILE), krn_cuda_blocks(g.m, TILE),
                        (unsigned)(all - z < most ? all - z : most));
        struct krn_cuda_mm part = g;

        part.a += z / g.inner * g.a_step.out;
        part.b += z / g.inner * g.b_step.out;
        part.c += z / g.inner * g.c_step.out;
        KRN_LAUNCH(mm_kernel, grid, THREADS, 0, part);
    }
    return KRN_CUDA_LAUNCHED("product of tensors", why);
}
