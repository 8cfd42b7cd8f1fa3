/* kernels/simd/vec.c - vectors, and the optimisers' steps. */
#include "kernels/simd/v16.h"

float KRN_TWIN(krn_dot_f32)(const float *a, const float *b, size_t n)
{
    struct v16 sum = v_zero();
    size_t i = 0;

    for (; i + 16 <= n; i += 16)
        sum = v_fma(v_load(a + i), v_load(b + i), sum);
    if (i < n) /* lanes beyond n keep their sign of zero */
        sum = v_pick(v_mask_n(n - i),
                     v_fma(v_load_n(a + i, n - i), v_load_n(b + i, n - i), sum),
                     sum);
    return v_tree(sum);
}

float KRN_TWIN(krn_sum_f32)(const float *a, size_t n)
{
    struct v16 sum = v_zero();
    size_t i = 0;

    for (; i + 16 <= n; i += 16)
        sum = v_add(sum, v_load(a + i));
    if (i < n)
        sum = v_pick(v_mask_n(n - i), v_add(sum, v_load_n(a + i, n - i)), sum);
    return v_tree(sum);
}

void KRN_TWIN(krn_axpy_f32)(float *y, float a, const float *x, size_t n)
{
    const struct v16 va = v_set1(a);
    size_t i = 0;

    for (; i + 16 <= n; i += 16)
        v_store(y + i, v_fma(va, v_load(x + i), v_load(y + i)));
    if (i < n)
        v_store_n(y + i,
                  v_fma(va, v_load_n(x + i, n - i), v_load_n(y + i, n - i)),
                  n - i);
}

void KRN_TWIN(krn_scale_f32)(float *y, float a, size_t n)
{
    const struct v16 va = v_set1(a);
    size_t i = 0;

    for (; i + 16 <= n; i += 16)
        v_store(y + i, v_mul(v_load(y + i), va));
    if (i < n)
        v_store_n(y + i, v_mul(v_load_n(y + i, n - i), va), n - i);
}

/* Four rows at a time share the loads of x and hide each other's latency. */
static void gemv_rows4(float *y, const float *a, size_t lda, const float *x,
                       size_t n)
{
    struct v16 sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    size_t i = 0;

    for (; i + 16 <= n; i += 16) {
        const struct v16 vx = v_load(x + i);

        V_UNROLL
        for (size_t r = 0; r < 4; r++)
            sum[r] = v_fma(v_load(a + r * lda + i), vx, sum[r]);
    }
    if (i < n) {
        const struct v16m m = v_mask_n(n - i);
        const struct v16 vx = v_load_n(x + i, n - i);

        V_UNROLL
        for (size_t r = 0; r < 4; r++)
            sum[r] = v_pick(
                m, v_fma(v_load_n(a + r * lda + i, n - i), vx, sum[r]), sum[r]);
    }
    V_UNROLL
    for (size_t r = 0; r < 4; r++)
        y[r] = v_tree(sum[r]);
}

void KRN_TWIN(krn_gemv_f32)(float *y, const float *a, size_t lda,
                            const float *x, size_t m, size_t n)
{
    size_t i = 0;

    for (; i + 4 <= m; i += 4)
        gemv_rows4(y + i, a + i * lda, lda, x, n);
    for (; i < m; i++)
        y[i] = KRN_TWIN(krn_dot_f32)(a + i * lda, x, n);
}

void KRN_TWIN(krn_adam_f32)(float *p, float *m, float *v, const float *g,
                            size_t n, const struct krn_adam *o)
{
    const struct v16 b1 = v_set1(o->beta1), c1 = v_set1(1.0f - o->beta1);
    const struct v16 b2 = v_set1(o->beta2), c2 = v_set1(1.0f - o->beta2);
    const struct v16 lr = v_set1(o->lr), eps = v_set1(o->eps);
    const struct v16 decay = v_set1(o->decay);

    V_FOR(i, k, n)
    {
        const struct v16 vg = v_load_n(g + i, k), vp = v_load_n(p + i, k);
        const struct v16 vm = v_fma(c1, vg, v_mul(b1, v_load_n(m + i, k)));
        const struct v16 vv =
            v_fma(v_mul(c2, vg), vg, v_mul(b2, v_load_n(v + i, k)));
        const struct v16 by = v_div(v_mul(lr, vm), v_add(v_sqrt(vv), eps));

        v_store_n(m + i, vm, k);
        v_store_n(v + i, vv, k);
        v_store_n(p + i, v_sub(v_fnma(decay, vp, vp), by), k);
    }
}

void KRN_TWIN(krn_adagrad_f32)(float *p, float *s, const float *g, size_t n,
                               float lr, float eps)
{
    const struct v16 vlr = v_set1(lr), veps = v_set1(eps);

    V_FOR(i, k, n)
    {
        const struct v16 vg = v_load_n(g + i, k);
        const struct v16 vs = v_fma(vg, vg, v_load_n(s + i, k));
        const struct v16 by = v_div(v_mul(vlr, vg), v_add(v_sqrt(vs), veps));

        v_store_n(s + i, vs, k);
        v_store_n(p + i, v_sub(v_load_n(p + i, k), by), k);
    }
}

#ifdef KRN_WITH_AVX512
#define SPIN_ROWS 24 /* of 32 registers */
#else
#define SPIN_ROWS 6 /* twice: 12 of 16 */
#endif

float KRN_TWIN(krn_spin_f32)(size_t rounds)
{
    const struct v16 by = v_set1(0.75f), plus = v_set1(0.5f);
    float sum = 0;

    for (size_t first = 0; first < KRN_SPIN_ROWS; first += SPIN_ROWS) {
        struct v16 acc[SPIN_ROWS];

        V_UNROLL
        for (size_t row = 0; row < SPIN_ROWS; row++)
            acc[row] = v_set1((float)(first + row));
        for (size_t r = 0; r < rounds; r++) {
            V_UNROLL
            for (size_t row = 0; row < SPIN_ROWS; row++)
                acc[row] = v_fma(acc[row], by, plus);
        }
        for (size_t row = 0; row < SPIN_ROWS; row++)
            sum += v_tree(acc[row]);
    }
    return sum;
}
