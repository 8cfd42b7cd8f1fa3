/*
 * kernels/cuda/shfl.cu - Shfl-BW weights times a dense matrix on tensor cores.
 *
 * A block has one group of V rows and KRN_SHFL_COLS columns of the result; each
 * warp has 16 of the rows.  Per step: KRN_SHFL_STEP stored vectors, and the
 * rows of x that their columns name, are copied to shared memory ahead of use
 * (cp.async, two buffers); ldmatrix turns both into fragments of
 * mma.m16n8k16 (bf16 in, float sums).  Results go to the rows' own places.
 *
 * Source: the format and the scheme of Huang et al., Shfl-BW, DAC 2022.
 */
#include "kernels/cuda/parts.cuh"

#define STEP ((size_t)KRN_SHFL_STEP)
#define COLS ((size_t)KRN_SHFL_COLS)
#define PARTS (KRN_SHFL_COLS / 8) /* of 8 columns */

template <int V> struct tiles {
    uint16_t a[2][STEP * (V + KRN_SHFL_PAD)];
    uint16_t b[2][STEP * (COLS + KRN_SHFL_PAD)];
};

/* Vectors first.. of the group, and the rows of x that they meet. */
template <int V>
static __device__ void fetch(struct tiles<V> *s, int buffer,
                             const struct krn_cuda_shfl &g, size_t first,
                             size_t end, size_t column)
{
    const size_t threads = V * 2;

    for (size_t c = threadIdx.x; c < STEP * V / 8; c += threads) {
        const size_t p = first + c / (V / 8), at = c % (V / 8) * 8;
        const bool is = p < end;

        krn_copy16(&s->a[buffer][c / (V / 8) * (V + KRN_SHFL_PAD) + at],
                   g.dev_val + (is ? p : first) * V + at, is);
    }
    for (size_t c = threadIdx.x; c < STEP * COLS / 8; c += threads) {
        const size_t p = first + c / (COLS / 8), at = c % (COLS / 8) * 8;
        const bool is = p < end && column + at < g.n;

        krn_copy16(&s->b[buffer][c / (COLS / 8) * (COLS + KRN_SHFL_PAD) + at],
                   g.dev_x + (is ? g.dev_col[p] * g.n + column + at : 0), is);
    }
    krn_copy_commit();
}

template <int V>
static __device__ void consume(const struct tiles<V> *s, int buffer,
                               float c[PARTS][4])
{
    const int lane = threadIdx.x % 32;
    const size_t row = threadIdx.x / 32 * 16;

    for (size_t k = 0; k < STEP; k += 16) {
        uint32_t a[4], b[4];

        krn_ldmatrix4t(a, s->a[buffer] +
                              krn_lane_a_at(lane, k, row, V + KRN_SHFL_PAD));
        KRN_UNROLL
        for (size_t j = 0; j < PARTS; j += 2) { /* 16 columns at once */
            krn_ldmatrix4t(b,
                           s->b[buffer] + krn_lane_b_at(lane, k, j * 8,
                                                        COLS + KRN_SHFL_PAD));
            krn_mma(c[j], a, b);
            krn_mma(c[j + 1], a, b + 2);
        }
    }
}

template <int V>
static __global__ void __launch_bounds__(V * 2)
    shfl_kernel(struct krn_cuda_shfl g)
{
    __shared__ __align__(16) struct tiles<V> s;
    const int lane = threadIdx.x % 32;
    const size_t group = blockIdx.y, column = blockIdx.x * COLS;
    const size_t first = g.dev_ptr[group], end = g.dev_ptr[group + 1];
    float c[PARTS][4] = {};
    int buffer = 0;

    fetch<V>(&s, 0, g, first, end, column);
    for (size_t p = first; p < end; p += STEP, buffer ^= 1) {
        if (p + STEP < end)
            fetch<V>(&s, buffer ^ 1, g, p + STEP, end, column);
        else
            krn_copy_commit();
        krn_copy_wait<1>();
        __syncthreads();
        consume<V>(&s, buffer, c);
        __syncthreads();
    }
    krn_copy_wait<0>();
    for (size_t j = 0; j < PARTS; j++) {
        for (int i = 0; i < 4; i++) {
            const size_t r =
                group * V + threadIdx.x / 32 * 16 + krn_lane_c_row(lane, i);
            const size_t n = column + j * 8 + krn_lane_c_col(lane, i);

            if (n < g.n)
                g.dev_y[g.dev_row[r] * g.n + n] = c[j][i];
        }
    }
}

int krn_cuda_shfl_run(const struct krn_cuda_shfl *s, char *why)
{
    const dim3 grid((unsigned)((s->n + COLS - 1) / COLS), (unsigned)s->groups);

    if ((s->v != 64 && s->v != 128) || s->n % 8 != 0)
        return krn_cuda_say(why, "Shfl-BW",
                            "groups are of 64 or 128 rows, and columns a "
                            "multiple of 8");
    if (s->groups == 0 || s->n == 0)
        return 0;
    if (s->v == 64)
        KRN_LAUNCH(shfl_kernel<64>, grid, 128, 0, *s);
    else
        KRN_LAUNCH(shfl_kernel<128>, grid, 256, 0, *s);
    return KRN_CUDA_LAUNCHED("Shfl-BW", why);
}
