/*
 * kernels/simd/elem.c - exp, log and their kin, sixteen at a time.
 *
 * Line by line the operations of kernels/elem.h, where the why stands.
 */
#include "kernels/elem.h"
#include "kernels/simd/v16.h"

V_FN struct v16 elem_pow2(struct v16i n)
{
    return v_float(v_sll(v_addi(n, v_set1i(127)), 23));
}

V_FN struct v16 elem_exp_tail(struct v16 r)
{
    struct v16 q = v_set1(1.0f / 5040);

    q = v_fma(q, r, v_set1(1.0f / 720));
    q = v_fma(q, r, v_set1(1.0f / 120));
    q = v_fma(q, r, v_set1(1.0f / 24));
    q = v_fma(q, r, v_set1(1.0f / 6));
    return v_fma(q, r, v_set1(0.5f));
}

V_FN struct v16 elem_exp_reduce(struct v16 x, struct v16 *n)
{
    const struct v16 magic = v_set1(KRN_ROUND);

    *n = v_sub(v_fma(x, v_set1(KRN_LOG2E), magic), magic);
    return v_fnma(*n, v_set1(KRN_LN2_LO), v_fnma(*n, v_set1(KRN_LN2_HI), x));
}

V_FN struct v16 elem_exp(struct v16 x)
{
    struct v16 n;

    x = v_min(v_set1(KRN_EXP_MAX), x);
    x = v_max(v_set1(KRN_EXP_MIN), x);
    const struct v16 r = elem_exp_reduce(x, &n);
    const struct v16 p =
        v_add(v_fma(v_mul(r, r), elem_exp_tail(r), r), v_set1(1.0f));

#ifdef KRN_WITH_AVX512
    return v_times_pow2(p, n); /* rounds once, like the two steps below */
#else
    const struct v16i whole = v_to_int(n), half = v_sra(whole, 1);

    return v_mul(v_mul(p, elem_pow2(half)), elem_pow2(v_subi(whole, half)));
#endif
}

V_FN struct v16 elem_log_tail(struct v16 z)
{
    struct v16 q = v_set1(2.0f / 9);

    q = v_fma(q, z, v_set1(2.0f / 7));
    q = v_fma(q, z, v_set1(2.0f / 5));
    return v_fma(q, z, v_set1(2.0f / 3));
}

V_FN struct v16 elem_log(struct v16 x)
{
    const struct v16m small = v_lt(x, v_set1(0x1p-126f));
    const struct v16i u = v_int(v_pick(small, v_mul(x, v_set1(0x1p23f)), x));
    const struct v16i base = v_set1i(0x3f3504f3), top = v_subi(u, base);
    const struct v16 e = v_of_int(v_sra(top, 23));
    const struct v16 n = v_pick(small, v_sub(e, v_set1(23.0f)), e);
    const struct v16 m = v_float(v_addi(v_andi(top, v_set1i(0x7fffff)), base));
    const struct v16 f = v_sub(m, v_set1(1.0f));
    const struct v16 s = v_div(f, v_add(m, v_set1(1.0f))), z = v_mul(s, s);
    const struct v16 h = v_fnma(z, elem_log_tail(z), f);
    const struct v16 low = v_fma(s, h, v_mul(n, v_set1(-KRN_LN2_LO)));
    struct v16 y = v_fma(n, v_set1(KRN_LN2_HI), v_sub(f, low));

    y = v_pick(v_eq(x, v_set1(INFINITY)), x, y);
    y = v_pick(v_eq(x, v_zero()), v_set1(-INFINITY), y);
    return v_pick(v_ge(x, v_zero()), y, v_set1(NAN));
}

V_FN struct v16 elem_tanh(struct v16 x)
{
    const struct v16i sign = v_andi(v_int(x), v_set1i(INT32_MIN));
    const struct v16 abs = v_float(v_andi(v_int(x), v_set1i(INT32_MAX)));
    const struct v16 a = v_min(v_set1(10.0f), abs);
    struct v16 n;
    const struct v16 r = elem_exp_reduce(v_add(a, a), &n);
    const struct v16 p = v_fma(v_mul(r, r), elem_exp_tail(r), r);
    const struct v16 scale = elem_pow2(v_to_int(n));
    const struct v16 t = v_fma(p, scale, v_sub(scale, v_set1(1.0f)));

    return v_float(v_ori(v_int(v_div(t, v_add(t, v_set1(2.0f)))), sign));
}

V_FN struct v16 elem_sigmoid(struct v16 x)
{
    const struct v16 one = v_set1(1.0f);
    const struct v16 minus = v_float(v_ori(v_int(x), v_set1i(INT32_MIN)));
    const struct v16 e = elem_exp(minus);

    return v_div(v_pick(v_lt(x, v_zero()), e, one), v_add(one, e));
}

/* Full vectors first, so that they carry no mask. */
#define ELEM_LOOP(FN, y, x, n)                                                 \
    do {                                                                       \
        size_t i_ = 0;                                                         \
        for (; i_ + 16 <= (n); i_ += 16)                                       \
            v_store((y) + i_, FN(v_load((x) + i_)));                           \
        if (i_ < (n))                                                          \
            v_store_n((y) + i_, FN(v_load_n((x) + i_, (n)-i_)), (n)-i_);       \
    } while (0)

void KRN_TWIN(krn_exp_f32)(float *y, const float *x, size_t n)
{
    ELEM_LOOP(elem_exp, y, x, n);
}

void KRN_TWIN(krn_log_f32)(float *y, const float *x, size_t n)
{
    ELEM_LOOP(elem_log, y, x, n);
}

void KRN_TWIN(krn_tanh_f32)(float *y, const float *x, size_t n)
{
    ELEM_LOOP(elem_tanh, y, x, n);
}

void KRN_TWIN(krn_sigmoid_f32)(float *y, const float *x, size_t n)
{
    ELEM_LOOP(elem_sigmoid, y, x, n);
}

static float elem_max(const float *x, size_t n)
{
    struct v16 max = v_set1(-INFINITY);
    size_t i = 0;

    for (; i + 16 <= n; i += 16)
        max = v_max(v_load(x + i), max);
    if (i < n)
        max = v_pick(v_mask_n(n - i), v_max(v_load_n(x + i, n - i), max), max);
    return v_tree_max(max);
}

/* Lanes of exp(x - max), and those terms into y unless y is NULL. */
V_FN float elem_exp_sum(float *y, const float *x, size_t n, float max)
{
    const struct v16 off = v_set1(max);
    struct v16 sum = v_zero();
    size_t i = 0;

    for (; i + 16 <= n; i += 16) {
        const struct v16 e = elem_exp(v_sub(v_load(x + i), off));

        sum = v_add(sum, e);
        if (y != NULL)
            v_store(y + i, e);
    }
    if (i < n) {
        const struct v16 e = elem_exp(v_sub(v_load_n(x + i, n - i), off));

        sum = v_pick(v_mask_n(n - i), v_add(sum, e), sum);
        if (y != NULL)
            v_store_n(y + i, e, n - i);
    }
    return v_tree(sum);
}

float KRN_TWIN(krn_logsumexp_f32)(const float *x, size_t n)
{
    const float max = elem_max(x, n);

    return max + krn_log1(elem_exp_sum(NULL, x, n, max));
}

void KRN_TWIN(krn_softmax_f32)(float *y, const float *x, size_t n)
{
    const float sum = elem_exp_sum(y, x, n, elem_max(x, n));

    KRN_TWIN(krn_scale_f32)(y, 1.0f / sum, n);
}

/* sum of (x - mean)^2, or of x, in 64 lanes. */
V_FN float elem_wide_sum(const float *x, size_t n, struct v16 mean, bool square)
{
    struct v16 sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    size_t i = 0;

    for (; i + 64 <= n; i += 64) {
        V_UNROLL
        for (size_t k = 0; k < 4; k++) {
            const struct v16 v = v_load(x + i + 16 * k), off = v_sub(v, mean);

            sum[k] = square ? v_fma(off, off, sum[k]) : v_add(sum[k], v);
        }
    }
    for (size_t k = 0; i < n; i += 16, k++) {
        const size_t rest = n - i < 16 ? n - i : 16;
        const struct v16 v = v_load_n(x + i, rest), off = v_sub(v, mean);

        sum[k] =
            v_pick(v_mask_n(rest),
                   square ? v_fma(off, off, sum[k]) : v_add(sum[k], v), sum[k]);
    }
    sum[0] = v_add(sum[0], sum[2]);
    sum[1] = v_add(sum[1], sum[3]);
    return v_tree(v_add(sum[0], sum[1]));
}

V_FN void elem_norm(float *y, const float *x, const float *gain,
                    const float *bias, size_t n, struct v16 mean,
                    struct v16 inv)
{
    const struct v16 one = v_set1(1.0f), none = v_zero();
    size_t i = 0;

    for (; i + 16 <= n; i += 16) {
        const struct v16 z = v_mul(v_sub(v_load(x + i), mean), inv);

        v_store(y + i, v_fma(z, gain != NULL ? v_load(gain + i) : one,
                             bias != NULL ? v_load(bias + i) : none));
    }
    if (i < n) {
        const size_t k = n - i;
        const struct v16 z = v_mul(v_sub(v_load_n(x + i, k), mean), inv);

        v_store_n(y + i,
                  v_fma(z, gain != NULL ? v_load_n(gain + i, k) : one,
                        bias != NULL ? v_load_n(bias + i, k) : none),
                  k);
    }
}

void KRN_TWIN(krn_layernorm_f32)(float *y, const float *x, const float *gain,
                                 const float *bias, size_t n, float eps)
{
    const struct v16 mean =
        v_set1(elem_wide_sum(x, n, v_zero(), false) / (float)n);
    const float square = elem_wide_sum(x, n, mean, true);
    const struct v16 inv = v_set1(1.0f / sqrtf(square / (float)n + eps));

    if (gain == NULL && bias == NULL)
        elem_norm(y, x, NULL, NULL, n, mean, inv);
    else
        elem_norm(y, x, gain, bias, n, mean, inv);
}
