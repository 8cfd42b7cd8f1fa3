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

#include "kernels/philox.h" /* KRN_INLINE */

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

/* --- Cholesky of A[d][d] in place, by columns; phases with a barrier between
 * them; thread t of n ---------------------------------------------------------
 */

/* Add n_w outer products of w [n_w][d], times alpha: a number's terms in order.
 */
KRN_INLINE void krn_lane_outer(float *a, const float *w, size_t n_w,
                               float alpha, size_t d, size_t t, size_t n)
{
    for (size_t c = t; c < d * d; c += n) {
        const size_t i = c / d, k = c % d;
        float sum = a[c];

        for (size_t e = 0; e < n_w && k <= i; e++)
            sum = fmaf(alpha * w[e * d + i], w[e * d + k], sum);
        a[c] = sum;
    }
}

/* b = b - column j of the factor times b[j] (forwards), or row j (backwards).
 */
KRN_INLINE void krn_lane_solve(const float *a, float *b, size_t d, size_t j,
                               int back, size_t t, size_t n)
{
    if (back) {
        for (size_t i = t; i < j; i += n)
            b[i] -= a[j * d + i] * b[j];
    } else {
        for (size_t i = j + 1 + t; i < d; i += n)
            b[i] -= a[i * d + j] * b[j];
    }
}

/* Column j below the diagonal, divided. */
KRN_INLINE void krn_lane_chol_scale(float *a, size_t d, size_t j, float root,
                                    size_t t, size_t n)
{
    for (size_t i = j + 1 + t; i < d; i += n)
        a[i * d + j] /= root;
}

/* What is right of column j, lower triangle. */
KRN_INLINE void krn_lane_chol_update(float *a, size_t d, size_t j, size_t t,
                                     size_t n)
{
    const size_t side = d - j - 1;

    for (size_t c = t; c < side * side; c += n) {
        const size_t i = j + 1 + c / side, k = j + 1 + c % side;

        if (k <= i)
            a[i * d + k] -= a[i * d + j] * a[k * d + j];
    }
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

/* And for the two of a 16 x 8 fragment of B, [k][column]; lanes 16.. repeat. */
KRN_INLINE size_t krn_lane_b_at(int lane, size_t k, size_t column,
                                size_t stride)
{
    return (k + (size_t)lane % 16) * stride + column;
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

#endif
