/*
 * kernels/cuda/two_four.cu - weights of 2:4 times a dense matrix by mma.sp.
 *
 * A block has ROWS rows and COLS columns of the result, a warp 32 x 64 of them.
 * Per step 64 columns of the weights (32 stored numbers a row) and as many rows
 * of x go to shared memory ahead of use (cp.async, three buffers); ldmatrix
 * makes fragments of both; each word of places goes from global memory to the
 * two lanes of four that mma.sp asks.
 *
 * Source: the PTX manual, "Sparse matrix storage" and the fragments of
 * mma.sp.m16n8k32; Mishra et al., Accelerating sparse deep neural networks,
 * arXiv:2104.08378.
 */
#include "kernels/cuda/parts.cuh"

#define ROWS 64
#define COLS 128
#define STEP 64 /* columns of the weights */
#define BUFFERS 3
#define THREADS 128 /* 2 x 2 warps */
#define A_LONG (STEP / 2 + 8)
#define B_LONG (COLS + 8)

struct tile {
    uint16_t a[ROWS * A_LONG], b[STEP * B_LONG];
};

static __device__ inline void fetch(struct tile *t,
                                    const struct krn_cuda_two_four &g, size_t k,
                                    size_t row, size_t column)
{
    if (k < g.k) { /* the same to all threads */
        for (unsigned c = threadIdx.x; c < ROWS * STEP / 16; c += THREADS) {
            const unsigned r = c / (STEP / 16), at = c % (STEP / 16) * 8;

            krn_copy16(t->a + r * A_LONG + at,
                       g.dev_val + ((row + r) * g.k + k) / 2 + at, true);
        }
        for (unsigned c = threadIdx.x; c < STEP * COLS / 8; c += THREADS) {
            const unsigned r = c / (COLS / 8), at = c % (COLS / 8) * 8;
            const bool is = column + at < g.n;

            krn_copy16(t->b + r * B_LONG + at,
                       g.dev_x + (k + r) * g.n + (is ? column + at : 0), is);
        }
    }
    krn_copy_commit();
}

/* Half a step: 32 columns of the weights for the warp's 32 x 64 results. */
static __device__ inline void consume(const struct tile *t, unsigned half,
                                      const uint32_t where[2], unsigned row,
                                      unsigned column, float c[2][8][4])
{
    const unsigned lane = threadIdx.x % 32, q = lane / 8, r = lane % 8;
    uint32_t a[2][4], b[4];

    KRN_UNROLL
    for (int i = 0; i < 2; i++) /* [row][stored]: not turned */
        krn_ldmatrix4(a[i], t->a + (row + 16 * i + q % 2 * 8 + r) * A_LONG +
                                half * 16 + q / 2 * 8);
    KRN_UNROLL
    for (int j = 0; j < 8; j++) {
        krn_ldmatrix4t(b, t->b + (half * 32 + lane) * B_LONG + column + j * 8);
        KRN_UNROLL
        for (int i = 0; i < 2; i++)
            krn_mma_sp(c[i][j], a[i], b, where[i]);
    }
}

static __global__ void __launch_bounds__(THREADS)
    two_four_kernel(struct krn_cuda_two_four g)
{
    KRN_SHARED(struct tile, tiles);
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const unsigned row = warp / 2 * 32, column = warp % 2 * 64;
    const size_t first_row = (size_t)blockIdx.y * ROWS;
    const size_t first_column = (size_t)blockIdx.x * COLS;
    const uint32_t *place = g.dev_where +
                            (first_row + row) / 16 * (g.k / 32) * 16 +
                            lane / 4 * 2 + lane % 2;
    float c[2][8][4] = {};
    unsigned buffer = 0;

    for (unsigned i = 0; i < BUFFERS - 1; i++)
        fetch(tiles + i, g, i * STEP, first_row, first_column);
    for (size_t k = 0; k < g.k; k += STEP) {
        const unsigned into = (buffer + BUFFERS - 1) % BUFFERS;
        uint32_t where[2][2];

        KRN_UNROLL
        for (int half = 0; half < 2; half++) {
            KRN_UNROLL
            for (int i = 0; i < 2; i++)
                where[half][i] = place[(i * (g.k / 32) + k / 32 + half) * 16];
        }
        krn_copy_wait<BUFFERS - 2>();
        __syncthreads(); /* what was copied is there, and `into` is read */
        fetch(tiles + into, g, k + (BUFFERS - 1) * STEP, first_row,
              first_column);
        consume(tiles + buffer, 0, where[0], row, column, c);
        consume(tiles + buffer, 1, where[1], row, column, c);
        buffer = (buffer + 1) % BUFFERS;
    }
    KRN_UNROLL
    for (int i = 0; i < 2; i++) {
        KRN_UNROLL
        for (int j = 0; j < 8; j++) {
            KRN_UNROLL
            for (int e = 0; e < 4; e++) {
                const size_t r = first_row + row + 16 * i +
                                 (size_t)krn_lane_c_row((int)lane, e);
                const size_t n = first_column + column + 8 * j +
                                 (size_t)krn_lane_c_col((int)lane, e);

                if (n < g.n)
                    g.dev_y[r * g.n + n] = c[i][j][e];
            }
        }
    }
}

int krn_cuda_two_four_run(const struct krn_cuda_two_four *s, char *why)
{
    const dim3 grid(krn_cuda_blocks(s->n, COLS), krn_cuda_blocks(s->m, ROWS));
    const size_t bytes = BUFFERS * sizeof(struct tile);

    if (s->m % ROWS != 0 || s->k % STEP != 0 || s->n % 8 != 0)
        return krn_cuda_say(why, "2:4",
                            "rows and columns of weights are multiples of 64, "
                            "columns of x of 8");
    if (s->m == 0 || s->n == 0)
        return 0;
    if (krn_cuda_check(
            cudaFuncSetAttribute(two_four_kernel,
                                 cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 (int)bytes),
            "asking for shared memory", why))
        return 1;
    KRN_LAUNCH(two_four_kernel, grid, THREADS, bytes, *s);
    return KRN_CUDA_LAUNCHED("2:4", why);
}
