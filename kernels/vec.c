/* kernels/vec.c - vectors, plain C references. */
#include <math.h>

#include "kernels/lanes.h"
#include "kernels/twins.h"

float krn_dot_f32(const float *a, const float *b, size_t n)
{
    float lane[KRN_LANES] = {0};

    for (size_t i = 0; i < n; i++)
        lane[i % KRN_LANES] = fmaf(a[i], b[i], lane[i % KRN_LANES]);
    return krn_tree16(lane);
}

float krn_sum_f32(const float *a, size_t n)
{
    float lane[KRN_LANES] = {0};

    for (size_t i = 0; i < n; i++)
        lane[i % KRN_LANES] += a[i];
    return krn_tree16(lane);
}

void krn_axpy_f32(float *y, float a, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = fmaf(a, x[i], y[i]);
}

void krn_scale_f32(float *y, float a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] *= a;
}

void krn_gemv_f32(float *y, const float *a, size_t lda, const float *x,
                  size_t m, size_t n)
{
    for (size_t i = 0; i < m; i++)
        y[i] = krn_dot_f32(a + i * lda, x, n);
}

float krn_spin_f32(size_t rounds)
{
    float sum = 0;

    for (size_t row = 0; row < KRN_SPIN_ROWS; row++) {
        float lane[KRN_LANES];

        for (size_t i = 0; i < KRN_LANES; i++) {
            lane[i] = (float)row;
            for (size_t r = 0; r < rounds; r++)
                lane[i] = fmaf(lane[i], 0.75f, 0.5f);
        }
        sum += krn_tree16(lane);
    }
    return sum;
}
