/* kernels/cuda/tape_each.cuh - one element of a job; formulas are those of
 * kernels/tape_map.inc, tape_row.inc and tape_cell.inc. */
#ifndef KRN_CUDA_TAPE_EACH_CUH
#define KRN_CUDA_TAPE_EACH_CUH

#include "kernels/cuda/parts.cuh"
#include "kernels/cuda/tape.h"
#include "kernels/elem.h"
#include "kernels/tape.h"

#define NOTHING 0xffffffffu /* an id: NN_PAD */

static __device__ inline void put(const struct krn_cuda_job &j, float *at,
                                  float value)
{
    *at = j.add ? *at + value : value;
}

/* As r_log() of kernels/tape_math.inc: a floor for what is not normal. */
static __device__ inline float log_of(float x)
{
    return krn_log1(x > 1.17549435e-38f || x != x ? x : 1.17549435e-38f);
}

static __device__ inline float softplus(float x)
{
    return (x > 0 ? x : 0.0f) + log_of(1.0f + krn_exp1(-fabsf(x)));
}

static __device__ inline float gelu_in(float x)
{
    return 0.7978845608028654f * (x + 0.044715f * x * x * x);
}

static __device__ inline float map(int f, float slope, float x)
{
    switch (f) {
    case KRN_MAP_RELU:
        return x > 0 ? x : 0.0f;
    case KRN_MAP_LEAKY:
        return x > 0 ? x : slope * x;
    case KRN_MAP_GELU:
        return 0.5f * x * (1.0f + krn_tanh1(gelu_in(x)));
    case KRN_MAP_TANH:
        return krn_tanh1(x);
    case KRN_MAP_SIGMOID:
        return krn_sigmoid1(x);
    case KRN_MAP_SOFTPLUS:
        return softplus(x);
    case KRN_MAP_SWISH:
        return x * krn_sigmoid1(x);
    case KRN_MAP_EXP:
        return krn_exp1(x);
    case KRN_MAP_LOG:
        return log_of(x);
    case KRN_MAP_SQRT:
        return sqrtf(x);
    case KRN_MAP_SQUARE:
        return x * x;
    default:
        return x;
    }
}

static __device__ inline float gelu_slope(float x)
{
    const float t = krn_tanh1(gelu_in(x));
    const float in = 0.7978845608028654f * (1.0f + 0.134145f * x * x);

    return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * in;
}

static __device__ inline float map_slope(int f, float slope, float x, float y)
{
    float s;

    switch (f) {
    case KRN_MAP_RELU:
        return y > 0 ? 1.0f : 0.0f;
    case KRN_MAP_LEAKY:
        return y > 0 ? 1.0f : slope;
    case KRN_MAP_GELU:
        return gelu_slope(x);
    case KRN_MAP_TANH:
        return 1.0f - y * y;
    case KRN_MAP_SIGMOID:
        return y * (1.0f - y);
    case KRN_MAP_SOFTPLUS:
        return krn_sigmoid1(x);
    case KRN_MAP_SWISH:
        s = krn_sigmoid1(x);
        return s * (1.0f + x * (1.0f - s));
    case KRN_MAP_EXP:
        return y;
    case KRN_MAP_LOG:
        return 1.0f / x;
    case KRN_MAP_SQRT:
        return 0.5f / y;
    case KRN_MAP_SQUARE:
        return 2.0f * x;
    default:
        return 1.0f;
    }
}

static __device__ inline float zip(int f, float a, float b)
{
    switch (f) {
    case KRN_ZIP_ADD:
        return a + b;
    case KRN_ZIP_SUB:
        return a - b;
    case KRN_ZIP_MUL:
        return a * b;
    case KRN_ZIP_DIV:
        return a / b;
    default:
        return a <= b ? a : b;
    }
}

static __device__ inline float zip_a(int f, float dy, float a, float b)
{
    switch (f) {
    case KRN_ZIP_MUL:
        return dy * b;
    case KRN_ZIP_DIV:
        return dy / b;
    case KRN_ZIP_MIN:
        return a <= b ? dy : 0.0f;
    default:
        return dy;
    }
}

static __device__ inline float zip_b(int f, float dy, float a, float b)
{
    switch (f) {
    case KRN_ZIP_ADD:
        return dy;
    case KRN_ZIP_SUB:
        return -dy;
    case KRN_ZIP_MUL:
        return dy * a;
    case KRN_ZIP_DIV:
        return -dy * a / (b * b);
    default:
        return a <= b ? 0.0f : dy;
    }
}

/* What element c of a row called `key` is multiplied by. */
static __device__ inline float drop_factor(const struct krn_cuda_job &j,
                                           uint64_t seed, uint64_t key,
                                           size_t c)
{
    const uint32_t least = (uint32_t)(j.rate * 4294967296.0);
    const struct krn_u32x4 at = {{(uint32_t)(c / 4), (uint32_t)j.step,
                                  (uint32_t)key, (uint32_t)(key >> 32)}};
    const struct krn_u32x4 u = krn_philox(seed ^ (j.step >> 32), at);

    return u.v[c & 3] >= least ? (float)(1 / (1 - j.rate)) : 0.0f;
}

/* x: the input's part [.][3 h], r z n; becomes the gates.  rows: sequences, n:
 * h; ldx: steps; queries: now.  u: the state's part [rows][3 h]; v: states
 * before, w: mask (or NULL); z: kept n part of u; y: states. */
static __device__ inline void gru_one(const struct krn_cuda_job &j, size_t r,
                                      size_t c)
{
    const size_t at = r * j.ldx + j.queries, h = j.n;
    float *gate = j.v_out + at * 3 * h;
    const float *own = j.u + r * 3 * h, prev = j.v[at * h + c];

    if (j.w != NULL && j.w[at] == 0) {
        j.y[at * h + c] = prev;
        return;
    }
    const float reset = krn_sigmoid1(gate[c] + own[c]);
    const float mix = krn_sigmoid1(gate[h + c] + own[h + c]);
    const float fresh = krn_tanh1(gate[2 * h + c] + reset * own[2 * h + c]);

    gate[c] = reset;
    gate[h + c] = mix;
    gate[2 * h + c] = fresh;
    j.z[at * h + c] = own[2 * h + c];
    j.y[at * h + c] = fresh + mix * (prev - fresh);
}

/* u: gates, v: states before, w: mask; x: kept n part; z: carry [rows][h], in
 * and out; y: gradients by the input's part, v_out: by the state's. */
static __device__ inline void gru_grad_one(const struct krn_cuda_job &j,
                                           size_t r, size_t c)
{
    const size_t at = r * j.ldx + j.queries, h = j.n;
    const float *gate = j.u + at * 3 * h;
    float *di = j.y + at * 3 * h, *dh = j.v_out + at * 3 * h;
    float *carry = j.z + r * h + c;

    if (j.w != NULL && j.w[at] == 0) {
        di[c] = di[h + c] = di[2 * h + c] = 0;
        dh[c] = dh[h + c] = dh[2 * h + c] = 0;
        return;
    }
    const float reset = gate[c], mix = gate[h + c], fresh = gate[2 * h + c];
    const float d = *carry;
    const float dn = d * (1.0f - mix) * (1.0f - fresh * fresh);
    const float dz = d * (j.v[at * h + c] - fresh) * mix * (1.0f - mix);
    const float dr = dn * j.x[at * h + c] * reset * (1.0f - reset);

    di[c] = dh[c] = dr;
    di[h + c] = dh[h + c] = dz;
    di[2 * h + c] = dn;
    dh[2 * h + c] = dn * reset;
    *carry = d * mix;
}

/* As k_sgd, k_adam and k_adagrad of kernels/tape_row.inc. */
static __device__ inline void step_one(const struct krn_cuda_job &j, size_t at)
{
    float *p = j.y + at, *g = j.v_out + at;
    const float d = j.clip * *g + j.l2 * *p;

    if (j.work == KRN_JOB_STEP_SGD) {
        const float v = j.z != NULL ? j.beta1 * j.z[at] + d : d;

        if (j.z != NULL)
            j.z[at] = v;
        *p = *p * j.keep - j.lr * v;
    } else if (j.work == KRN_JOB_STEP_ADAM) {
        float *m = j.z + at, *v = const_cast<float *>(j.w) + at;

        *m = j.beta1 * *m + j.a * d;
        *v = j.beta2 * *v + j.b * d * d;
        *p = *p * j.keep - j.lr * *m / (sqrtf(*v) + j.eps);
    } else {
        float *s = j.z + at;

        *s += d * d;
        *p = *p * j.keep - j.lr * d / (sqrtf(*s) + j.eps);
    }
    *g = 0;
}

#endif
