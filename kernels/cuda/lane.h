/*
 * kernels/cuda/lane.h - what one thread of a kernel computes, compiled for the
 * device by nvcc and for the host by the tests: index arithmetic, order of
 * sums, layouts of fragments.
 */
#ifndef KRN_CUDA_LANE_H
#define KRN_CUDA_LANE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/draw.h" /* KRN_INLINE */

/* --- sparse products: entries in order, one chain a number: the CPU's bits --
 */

KRN_INLINE float krn_lane_spmm(const uint64_t *ptr, const uint32_t *idx,
                               const float *val, const float *x, size_t d,
                               size_t row, size_t column)
{
    float sum = 0;

    for (uint64_t e = ptr[row]; e < ptr[row + 1]; e++)
        sum = fmaf(val != NULL ? val[e] : 1.0f, x[idx[e] * d + column], sum);
    return sum;
}

/* Rows start[i]..start[i + 1] of g, in order. */
KRN_INLINE float krn_lane_segment(const uint32_t *start, const float *g,
                                  size_t d, size_t i, size_t column, float sum)
{
    for (uint32_t r = start[i]; r < start[i + 1]; r++)
        sum += g[r * d + column];
    return sum;
}

/* --- lists: a score and an item as one number that sorts --------------------
 */

/* Larger is better: the score, then the lower item; 0: nothing. */
KRN_INLINE uint64_t krn_lane_key(float score, uint32_t item)
{
    uint32_t bits;

    memcpy(&bits, &score, 4);
    bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (uint64_t)bits << 32 | (0xffffffffu - item);
}

KRN_INLINE uint32_t krn_lane_key_item(uint64_t key)
{
    return 0xffffffffu - (uint32_t)key;
}

KRN_INLINE float krn_lane_key_score(uint64_t key)
{
    uint32_t bits = (uint32_t)(key >> 32);
    float score;

    bits = bits & 0x80000000u ? bits & 0x7fffffffu : ~bits;
    memcpy(&score, &bits, 4);
    return score;
}

/* Bitonic sort, descending: in the step (size, stride), what thread t (of n /
 * 2) compares, and whether it puts the larger first. */
KRN_INLINE size_t krn_lane_bitonic(size_t t, size_t stride)
{
    return 2 * t - (t & (stride - 1));
}

KRN_INLINE int krn_lane_bitonic_down(size_t i, size_t size)
{
    return (i & size) == 0;
}

/* --- steps of optimisers, as kernels/step.c ---------------------------------
 */

KRN_INLINE void krn_lane_adam(float *p, float *m, float *v, float g, float lr,
                              float beta1, float beta2, float eps, float decay)
{
    *m = fmaf(1.0f - beta1, g, beta1 * *m);
    *v = fmaf((1.0f - beta2) * g, g, beta2 * *v);
    *p = fmaf(-decay, *p, *p) - lr * *m / (sqrtf(*v) + eps);
}

KRN_INLINE void krn_lane_adagrad(float *p, float *s, float g, float lr,
                                 float eps)
{
    *s = fmaf(g, g, *s);
    *p -= lr * g / (sqrtf(*s) + eps);
}

/* --- searching
 * ----------------------------------------------------------------
 */

/* How many of the ascending x[n] are below `least`. */
KRN_INLINE size_t krn_lane_below(const uint32_t *x, size_t n, uint32_t least)
{
    size_t from = 0;

    while (n > 0) {
        const size_t half = n / 2;

        if (x[from + half] < least) {
            from += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return from;
}

/* --- triangles of tiles: tile t of the rows 0, 1 1, 2 2 2, ...
 * -----------------
 */

KRN_INLINE unsigned krn_lane_triangle(unsigned t, unsigned *column)
{
    unsigned row = (unsigned)((sqrtf(8.0f * (float)t + 1) - 1) / 2);

    while (row * (row + 1) / 2 > t) /* the root is rounded */
        row--;
    while ((row + 1) * (row + 2) / 2 <= t)
        row++;
    *column = t - row * (row + 1) / 2;
    return row;
}

/* --- Shfl-BW: a tile of KRN_SHFL_STEP vectors of a group in shared memory, and
 * as many rows of x; rows are KRN_SHFL_PAD longer than they need, so that eight
 * of them, read at once, lie in different banks -------------------------------
 */

#define KRN_SHFL_STEP 32
#define KRN_SHFL_COLS 64 /* columns of y that a block computes */
#define KRN_SHFL_PAD 8

/* Where lane `lane` points for the four 8 x 8 matrices of a 16 x 16 fragment of
 * A, which is stored by columns: [k][row]; ldmatrix turns them over. */
KRN_INLINE size_t krn_lane_a_at(int lane, size_t k, size_t row, size_t stride)
{
    const size_t q = (size_t)lane / 8, r = (size_t)lane % 8;

    return (k + q / 2 * 8 + r) * stride + row + q % 2 * 8;
}

/* And for those of two 16 x 8 fragments of B, [k][column], side by side: the
 * first two matrices are of columns 0..7. */
KRN_INLINE size_t krn_lane_b_at(int lane, size_t k, size_t column,
                                size_t stride)
{
    const size_t q = (size_t)lane / 8, r = (size_t)lane % 8;

    return (k + q % 2 * 8 + r) * stride + column + q / 2 * 8;
}

/* --- fragments of mma.sync.m16n8k16, bf16 (PTX ISA, "Matrix fragments") ------
 *
 * Lane l has a[0..7] of A [16][16], b[0..3] of B [16][8], c[0..3] of C [16][8].
 */

KRN_INLINE int krn_lane_a_row(int lane, int i)
{
    return lane / 4 + ((i / 2) & 1 ? 8 : 0);
}

KRN_INLINE int krn_lane_a_col(int lane, int i)
{
    return lane % 4 * 2 + (i & 1) + (i >= 4 ? 8 : 0);
}

KRN_INLINE int krn_lane_b_row(int lane, int i)
{
    return lane % 4 * 2 + (i & 1) + (i >= 2 ? 8 : 0);
}

KRN_INLINE int krn_lane_b_col(int lane)
{
    return lane / 4;
}

KRN_INLINE int krn_lane_c_row(int lane, int i)
{
    return lane / 4 + (i >= 2 ? 8 : 0);
}

KRN_INLINE int krn_lane_c_col(int lane, int i)
{
    return lane % 4 * 2 + (i & 1);
}

/* --- mma.sp.m16n8k32, bf16: A [16][32] has two of each four numbers, stored as
 * [16][16] like A above; where they are, 2 bits each, stands in the words of
 * lanes 0 and 1 of each four (selector 0)
 * ---------------------------------------
 */

/* The lane whose word says where stored number `at` of `row` belongs, */
KRN_INLINE int krn_lane_sp_lane(int row, int at)
{
    return row % 8 * 4 + at / 8;
}

/* in which bits, */
KRN_INLINE int krn_lane_sp_bit(int row, int at)
{
    return row / 8 * 16 + at % 8 * 2;
}

/* and the column that the word says. */
KRN_INLINE int krn_lane_sp_col(int at, uint32_t word, int row)
{
    return at / 2 * 4 + (int)(word >> krn_lane_sp_bit(row, at) & 3);
}

/* B [32][8]: lane l has b[0..7]; the column is krn_lane_b_col(). */
KRN_INLINE int krn_lane_sp_b_row(int lane, int i)
{
    return lane % 4 * 2 + (i & 1) + i / 2 * 8;
}

#endif
