/*
 * kernels/chol.c - solving small SPD systems by Cholesky, plain C references.
 *
 * A = L L^T, left-looking: L[i][j] is a chain over k < j that starts at
 * A[i][j], times 1 / L[j][j]; b rides along as one more row of A, which makes
 * it L^-1 b; the way back is a chain over descending k.  One system alone and
 * the same system among 16 give the same bits.
 */
#include <math.h>
#include <string.h>

#include "kernels/twins.h"

/* 1 / sqrt(s), or NaN where s is not a positive number. */
static float chol_pivot(float s)
{
    return s > 0 && s <= 3.402823466e38f ? 1.0f / sqrtf(s) : NAN;
}

/* v - sum over k < n of x[k] y[k], as a chain. */
static float chol_chain(float v, const float *x, const float *y, size_t n,
                        size_t step)
{
    for (size_t k = 0; k < n; k++)
        v = fmaf(-x[k * step], y[k * step], v);
    return v;
}

/* Both solvers: element (i, j) of the matrix stands at a[i * lda + j * step].
 * The diagonal keeps 1 / L[j][j].  False when some pivot was no good. */
static bool chol_lane(float *a, size_t lda, float *b, size_t d, size_t step)
{
    bool good = true;

    for (size_t j = 0; j < d; j++) {
        float *row = a + j * lda;
        const float inv =
            chol_pivot(chol_chain(row[j * step], row, row, j, step));

        good = good && inv > 0;
        row[j * step] = inv;
        for (size_t i = j + 1; i < d; i++) {
            float *to = a + i * lda;

            to[j * step] = chol_chain(to[j * step], to, row, j, step) * inv;
        }
        b[j * step] = chol_chain(b[j * step], b, row, j, step) * inv;
    }
    for (size_t k = d; k-- > 0;) {
        b[k * step] *= a[k * lda + k * step];
        for (size_t j = 0; j < k; j++)
            b[j * step] =
                fmaf(-a[k * lda + j * step], b[k * step], b[j * step]);
    }
    return good;
}

bool krn_chol_solve_f32(float *a, size_t lda, float *b, size_t d)
{
    return chol_lane(a, lda, b, d, 1);
}

void krn_chol_solve16_f32(float *a, float *b, size_t d)
{
    for (size_t lane = 0; lane < 16; lane++)
        (void)chol_lane(a + lane, d * 16, b + lane, d, 16);
}

void krn_interleave16_f32(float *to, const float *a, size_t stride, size_t lda,
                          size_t d)
{
    for (size_t j = 0; j < d; j++) {
        for (size_t k = 0; k <= j; k++) {
            for (size_t lane = 0; lane < 16; lane++)
                to[(j * d + k) * 16 + lane] = a[lane * stride + j * lda + k];
        }
    }
}
