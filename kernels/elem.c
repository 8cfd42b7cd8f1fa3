/* kernels/elem.c - functions element by element, plain C references. */

#include "kernels/elem.h"

#include "kernels/lanes.h"
#include "kernels/twins.h"

void krn_exp_f32(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = krn_exp1(x[i]);
}

void krn_log_f32(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = krn_log1(x[i]);
}

void krn_tanh_f32(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = krn_tanh1(x[i]);
}

void krn_sigmoid_f32(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = krn_sigmoid1(x[i]);
}

/* The largest of x; NaN is passed over. */
static float elem_max(const float *x, size_t n)
{
    float lane[KRN_LANES];

    for (size_t i = 0; i < KRN_LANES; i++)
        lane[i] = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        float *l = lane + i % KRN_LANES;

        *l = x[i] > *l ? x[i] : *l;
    }
    return krn_max16(lane);
}

float krn_logsumexp_f32(const float *x, size_t n)
{
    const float max = elem_max(x, n);
    float lane[KRN_LANES] = {0};

    for (size_t i = 0; i < n; i++)
        lane[i % KRN_LANES] += krn_exp1(x[i] - max);
    return max + krn_log1(krn_tree16(lane));
}

void krn_softmax_f32(float *y, const float *x, size_t n)
{
    const float max = elem_max(x, n);
    float lane[KRN_LANES] = {0};

    for (size_t i = 0; i < n; i++) {
        y[i] = krn_exp1(x[i] - max);
        lane[i % KRN_LANES] += y[i];
    }
    krn_scale_f32(y, 1.0f / krn_tree16(lane), n);
}

void krn_layernorm_f32(float *y, const float *x, const float *gain,
                       const float *bias, size_t n, float eps)
{
    float lane[KRN_WIDE] = {0};

    for (size_t i = 0; i < n; i++)
        lane[i % KRN_WIDE] += x[i];
    const float mean = krn_tree64(lane) / (float)n;

    memset(lane, 0, sizeof(lane));
    for (size_t i = 0; i < n; i++) {
        const float off = x[i] - mean;

        lane[i % KRN_WIDE] = fmaf(off, off, lane[i % KRN_WIDE]);
    }
    const float inv = 1.0f / sqrtf(krn_tree64(lane) / (float)n + eps);

    for (size_t i = 0; i < n; i++)
        y[i] = fmaf((x[i] - mean) * inv, gain != NULL ? gain[i] : 1.0f,
                    bias != NULL ? bias[i] : 0.0f);
}
