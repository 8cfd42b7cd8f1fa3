/* kernels/cuda/gram.cu - x^T x: a block for each chunk of rows, tiles of 4 x 4
 * a thread, then the chunks' sums in order. */
#include "kernels/cuda/parts.cuh"

#define THREADS 256
#define LEAST 256 /* rows of a chunk */
#define MOST 128  /* chunks */
#define HELD 16   /* rows in shared memory */

static size_t rows_of(size_t n)
{
    return n > (size_t)LEAST * MOST ? (n + MOST - 1) / MOST : LEAST;
}

static size_t chunks_of(size_t n)
{
    return n > 0 ? (n + rows_of(n) - 1) / rows_of(n) : 1;
}

size_t krn_cuda_gram_bytes(size_t n, size_t d)
{
    return chunks_of(n) * d * d * sizeof(float);
}

static __device__ inline void add_rows(const float *held, unsigned wide,
                                       unsigned i, unsigned k, float sum[4][4])
{
    KRN_UNROLL
    for (int r = 0; r < HELD; r++) {
        const float4 l = *reinterpret_cast<const float4 *>(held + r * wide + i);
        const float4 m = *reinterpret_cast<const float4 *>(held + r * wide + k);
        const float left[4] = {l.x, l.y, l.z, l.w};
        const float right[4] = {m.x, m.y, m.z, m.w};

        KRN_UNROLL
        for (int a = 0; a < 4; a++) {
            KRN_UNROLL
            for (int b = 0; b < 4; b++)
                sum[a][b] = fmaf(left[a], right[b], sum[a][b]);
        }
    }
}

/* blockIdx.x: the chunk; blockIdx.y: THREADS of its tiles. */
static __global__ void __launch_bounds__(THREADS)
    chunk_kernel(const float *x, size_t n, size_t d, size_t rows, float *part)
{
    KRN_SHARED(float, held);
    const unsigned side = (unsigned)((d + 3) / 4), wide = side * 4;
    const unsigned t = blockIdx.y * THREADS + threadIdx.x;
    const bool has = t < side * side;
    const unsigned i = has ? t / side * 4 : 0, k = has ? t % side * 4 : 0;
    const size_t first = blockIdx.x * rows;
    const size_t end = first + rows < n ? first + rows : n;
    float sum[4][4] = {};

    for (size_t r = first; r < end; r += HELD) {
        __syncthreads();
        for (unsigned at = threadIdx.x; at < HELD * wide; at += THREADS) {
            const size_t row = r + at / wide, column = at % wide;

            held[at] = row < end && column < d ? x[row * d + column] : 0;
        }
        __syncthreads();
        if (has)
            add_rows(held, wide, i, k, sum);
    }
    for (unsigned a = 0; a < 4 && has; a++) {
        for (unsigned b = 0; b < 4; b++) {
            if (i + a < d && k + b < d)
                part[(blockIdx.x * d + i + a) * d + k + b] = sum[a][b];
        }
    }
}

static __global__ void sum_kernel(const float *part, size_t chunks, size_t n,
                                  float scale, float *out)
{
    const size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    float sum = 0;

    if (i >= n)
        return;
    for (size_t c = 0; c < chunks; c++)
        sum += part[c * n + i];
    out[i] = sum * scale;
}

int krn_cuda_gram_run(const struct krn_cuda_gram *g, char *why)
{
    const size_t side = (g->d + 3) / 4;
    const dim3 grid((unsigned)chunks_of(g->n),
                    krn_cuda_blocks(side * side, THREADS));
    const size_t bytes = HELD * side * 4 * sizeof(float);

    if (g->d == 0)
        return 0;
    if (g->d > 704) /* 16 rows in 48 KB */
        return krn_cuda_say(why, "Gram matrix", "at most 704 columns");
    KRN_LAUNCH(chunk_kernel, grid, THREADS, bytes, g->dev_x, g->n, g->d,
               rows_of(g->n), (float *)g->dev_room);
    KRN_LAUNCH(sum_kernel, krn_cuda_blocks(g->d * g->d, THREADS), THREADS, 0,
               (const float *)g->dev_room, chunks_of(g->n), g->d * g->d,
               g->scale, g->dev_gram);
    return KRN_CUDA_LAUNCHED("Gram matrix", why);
}
