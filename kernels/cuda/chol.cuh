/*
 * kernels/cuda/chol.cuh - Cholesky and substitution of one system by a block,
 * in shared memory.
 *
 * Systems are padded to a multiple of eight rows (1 on the diagonal).  Eight
 * columns at a time: every thread factors the 8 x 8 block on the diagonal for
 * itself, in registers, and solves a row below it; what is right of them is
 * updated in tiles of 4 x 4.  Rows are four numbers longer than they need, so
 * that eight that are read at once lie in different banks.
 */
#ifndef KRN_CUDA_CHOL_CUH
#define KRN_CUDA_CHOL_CUH

#include "kernels/cuda/parts.cuh"

#define CHOL_THREADS 128
#define CHOL_PANEL 8

static __host__ __device__ inline size_t chol_rows(size_t d)
{
    return (d + CHOL_PANEL - 1) / CHOL_PANEL * CHOL_PANEL;
}

struct chol {
    unsigned n, ld;         /* n = chol_rows(d) <= CHOL_THREADS, ld = n + 4 */
    float *a, *inv, *y, *x; /* [n][ld]; [n] 1 / diagonal; right side; result */
};

/* Floats of a system. */
static __host__ __device__ inline size_t chol_room(size_t d)
{
    return chol_rows(d) * (chol_rows(d) + 4 + 3);
}

static __device__ inline struct chol chol_place(float *room, size_t d)
{
    const unsigned n = (unsigned)chol_rows(d), ld = n + 4;

    return {
        n, ld, room, room + n * ld, room + n * ld + n, room + n * ld + 2 * n};
}

static __device__ inline void load8(float to[8], const float *from)
{
    const float4 lo = *reinterpret_cast<const float4 *>(from);
    const float4 hi = *reinterpret_cast<const float4 *>(from + 4);

    to[0] = lo.x, to[1] = lo.y, to[2] = lo.z, to[3] = lo.w;
    to[4] = hi.x, to[5] = hi.y, to[6] = hi.z, to[7] = hi.w;
}

/* The lower triangle of block j of the diagonal. */
static __device__ inline void load_block(float l[8][8], const struct chol &c,
                                         unsigned j)
{
    KRN_UNROLL
    for (int i = 0; i < 8; i++)
        load8(l[i], c.a + (j + i) * c.ld + j);
}

/* Factor the block in registers; inv[i] = 1 / l[i][i]. */
static __device__ inline void factor_block(float l[8][8], float inv[8])
{
    KRN_UNROLL
    for (int k = 0; k < 8; k++) {
        const float root = sqrtf(l[k][k]);

        l[k][k] = root;
        inv[k] = 1 / root;
        KRN_UNROLL
        for (int i = k + 1; i < 8; i++)
            l[i][k] *= inv[k];
        KRN_UNROLL
        for (int i = k + 1; i < 8; i++) {
            KRN_UNROLL
            for (int m = k + 1; m <= i; m++)
                l[i][m] = fmaf(-l[i][k], l[m][k], l[i][m]);
        }
    }
}

/* The panel of columns j..j + 7: thread t has row j + t. */
static __device__ inline void factor_panel(const struct chol &c, unsigned j)
{
    const unsigned i = j + threadIdx.x;
    float l[8][8], inv[8], own[8];

    load_block(l, c, j);
    factor_block(l, inv);
    if (i < c.n)
        load8(own, c.a + i * c.ld + j);
    __syncthreads(); /* all have read */
    if (i >= c.n)
        return;
    KRN_UNROLL
    for (int k = 0; k < 8; k++) {
        if (i == j + k)
            c.inv[i] = inv[k];
        own[k] *= inv[k];
        KRN_UNROLL
        for (int m = k + 1; m < 8; m++)
            own[m] = fmaf(-own[k], l[m][k], own[m]);
    }
    if (i < j + 8) { /* a row of the block itself */
        KRN_UNROLL
        for (int r = 0; r < 8; r++) {
            KRN_UNROLL
            for (int k = 0; k < 8; k++)
                own[k] = i == j + r ? l[r][k] : own[k];
        }
    }
    KRN_UNROLL
    for (int k = 0; k < 8; k++)
        c.a[i * c.ld + j + k] = own[k];
}

/* a[i..i + 3][k..k + 3] -= P_i P_k^T for the panel at j. */
static __device__ inline void update_tile(const struct chol &c, unsigned j,
                                          unsigned i, unsigned k)
{
    float sum[4][4], right[4][8];

    KRN_UNROLL
    for (int q = 0; q < 4; q++)
        load8(right[q], c.a + (k + q) * c.ld + j);
    KRN_UNROLL
    for (int r = 0; r < 4; r++) {
        float *to = c.a + (i + r) * c.ld + k, left[8];
        float4 was = *reinterpret_cast<float4 *>(to);

        load8(left, c.a + (i + r) * c.ld + j);
        sum[r][0] = was.x, sum[r][1] = was.y;
        sum[r][2] = was.z, sum[r][3] = was.w;
        KRN_UNROLL
        for (int p = 0; p < 8; p++) {
            KRN_UNROLL
            for (int q = 0; q < 4; q++)
                sum[r][q] = fmaf(-left[p], right[q][p], sum[r][q]);
        }
        was.x = sum[r][0], was.y = sum[r][1];
        was.z = sum[r][2], was.w = sum[r][3];
        *reinterpret_cast<float4 *>(to) = was;
    }
}

/* The lower triangle of a becomes its factor; begins and ends with a barrier.
 */
static __device__ inline void chol_factor(const struct chol &c)
{
    __syncthreads();
    for (unsigned j = 0; j < c.n; j += 8) {
        const unsigned first = j + 8, side = (c.n - first) / 4;

        factor_panel(c, j);
        __syncthreads();
        for (unsigned t = threadIdx.x; t < side * (side + 1) / 2;
             t += CHOL_THREADS) {
            unsigned column;
            const unsigned row = krn_lane_triangle(t, &column);

            update_tile(c, j, first + row * 4, first + column * 4);
        }
        __syncthreads();
    }
}

/* L y' = y, then L^T x = y'; every thread solves the eight of a block. */
static __device__ inline void chol_forward(const struct chol &c)
{
    for (unsigned j = 0; j < c.n; j += 8) {
        const unsigned i = j + 8 + threadIdx.x;
        float l[8][8], v[8], own[8];

        load_block(l, c, j);
        load8(v, c.y + j);
        KRN_UNROLL
        for (int k = 0; k < 8; k++) {
            v[k] *= c.inv[j + k];
            KRN_UNROLL
            for (int m = k + 1; m < 8; m++)
                v[m] = fmaf(-v[k], l[m][k], v[m]);
        }
        KRN_UNROLL
        for (int k = 0; k < 8; k++) {
            if (threadIdx.x == (unsigned)k)
                c.x[j + k] = v[k];
        }
        if (i < c.n) {
            float left = c.y[i];

            load8(own, c.a + i * c.ld + j);
            KRN_UNROLL
            for (int k = 0; k < 8; k++)
                left = fmaf(-own[k], v[k], left);
            c.y[i] = left;
        }
        __syncthreads();
    }
}

static __device__ inline void chol_backward(const struct chol &c)
{
    for (unsigned j = c.n; j > 0; j -= 8) {
        const unsigned at = j - 8, i = threadIdx.x;
        float l[8][8], v[8];

        load_block(l, c, at);
        load8(v, c.x + at);
        KRN_UNROLL
        for (int k = 7; k >= 0; k--) {
            v[k] *= c.inv[at + k];
            KRN_UNROLL
            for (int m = 0; m < k; m++)
                v[m] = fmaf(-v[k], l[k][m], v[m]);
        }
        __syncthreads(); /* all have read x */
        if (i < at) {
            float left = c.x[i];

            KRN_UNROLL
            for (int k = 0; k < 8; k++)
                left = fmaf(-c.a[(at + k) * c.ld + i], v[k], left);
            c.x[i] = left;
        }
        KRN_UNROLL
        for (int k = 0; k < 8; k++) {
            if (threadIdx.x == (unsigned)k)
                c.x[at + k] = v[k];
        }
        __syncthreads();
    }
}

#endif
