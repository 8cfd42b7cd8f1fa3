/*
 * kernels/simd/spmm.c - sparse times dense: a row of the result stays in
 * registers while its entries are gathered; rows of X some entries ahead are
 * fetched meanwhile, as their places are random.
 */
#include "kernels/simd/v16.h"

#ifdef KRN_WITH_AVX512
#define SPMM_NV 8
#else
#define SPMM_NV 4
#endif
#define SPMM_AHEAD 16

/* Columns col.. of all rows: nv vectors, `rest` lanes in the last. */
V_FN void spmm_columns(const struct krn_spmm *s, size_t col, size_t nv,
                       size_t rest)
{
    const size_t end = s->ptr[s->last];
    const float *x = s->x + col;

    for (size_t r = s->first; r < s->last; r++) {
        float *y = s->y + r * s->ldy + col;
        struct v16 acc[SPMM_NV];

        V_UNROLL
        for (size_t v = 0; v < nv; v++)
            acc[v] = !s->add                    ? v_zero()
                     : v + 1 < nv || rest == 16 ? v_load(y + 16 * v)
                                                : v_load_n(y + 16 * v, rest);
        for (size_t e = s->ptr[r]; e < s->ptr[r + 1]; e++) {
            const float *row = x + (size_t)s->idx[e] * s->ldx;
            const struct v16 w = v_set1(s->val != NULL ? s->val[e] : 1.0f);

            if (e + SPMM_AHEAD < end) {
                const float *far = x + (size_t)s->idx[e + SPMM_AHEAD] * s->ldx;

                V_UNROLL
                for (size_t v = 0; v < nv; v++)
                    _mm_prefetch((const char *)(far + 16 * v), _MM_HINT_T0);
            }
            V_UNROLL
            for (size_t v = 0; v < nv; v++)
                acc[v] = v_fma(w,
                               v + 1 < nv || rest == 16
                                   ? v_load(row + 16 * v)
                                   : v_load_n(row + 16 * v, rest),
                               acc[v]);
        }
        V_UNROLL
        for (size_t v = 0; v < nv; v++) {
            if (v + 1 < nv || rest == 16)
                v_store(y + 16 * v, acc[v]);
            else
                v_store_n(y + 16 * v, acc[v], rest);
        }
    }
}

#define SPMM_WIDTH(NV)                                                         \
    static void spmm_columns_##NV(const struct krn_spmm *s, size_t col,        \
                                  size_t rest)                                 \
    {                                                                          \
        if (rest == 16)                                                        \
            spmm_columns(s, col, NV, 16);                                      \
        else                                                                   \
            spmm_columns(s, col, NV, rest);                                    \
    }
SPMM_WIDTH(1)
SPMM_WIDTH(2)
SPMM_WIDTH(3)
SPMM_WIDTH(4)
#ifdef KRN_WITH_AVX512
SPMM_WIDTH(5)
SPMM_WIDTH(6)
SPMM_WIDTH(7)
SPMM_WIDTH(8)
#endif

static void (*const spmm_columns_of[SPMM_NV + 1])(const struct krn_spmm *,
                                                  size_t, size_t) = {
    NULL,           spmm_columns_1, spmm_columns_2, spmm_columns_3,
    spmm_columns_4,
#ifdef KRN_WITH_AVX512
    spmm_columns_5, spmm_columns_6, spmm_columns_7, spmm_columns_8,
#endif
};

void KRN_TWIN(krn_spmm_f32)(const struct krn_spmm *s)
{
    for (size_t col = 0; col < s->d; col += 16 * SPMM_NV) {
        const size_t left = s->d - col;
        const size_t nv = left < 16 * SPMM_NV ? (left + 15) / 16 : SPMM_NV;
        const size_t last = left < 16 * SPMM_NV ? v_rest(left) : 16;

        spmm_columns_of[nv](s, col, last);
    }
}

/* The products of row `a` with n <= 4 rows of b: four chains hide each other's
 * latency. */
V_FN void sddmm_some(const struct krn_sddmm *s, const float *a, size_t e,
                     size_t n)
{
    const float *b[4];
    struct v16 sum[4];
    size_t i = 0;

    V_UNROLL
    for (size_t k = 0; k < 4; k++) {
        b[k] = s->b + (size_t)s->idx[k < n ? e + k : e] * s->ldb;
        sum[k] = v_zero();
    }
    for (; i + 16 <= s->d; i += 16) {
        const struct v16 va = v_load(a + i);

        V_UNROLL
        for (size_t k = 0; k < 4; k++)
            sum[k] = v_fma(va, v_load(b[k] + i), sum[k]);
    }
    for (size_t k = 0; k < n; k++) {
        if (i < s->d) /* lanes beyond d keep their sign of zero */
            sum[k] = v_pick(v_mask_n(s->d - i),
                            v_fma(v_load_n(a + i, s->d - i),
                                  v_load_n(b[k] + i, s->d - i), sum[k]),
                            sum[k]);
        s->out[e + k] = v_tree(sum[k]);
    }
}

void KRN_TWIN(krn_sddmm_f32)(const struct krn_sddmm *s)
{
    for (size_t r = s->first; r < s->last; r++) {
        const float *a = s->a + r * s->lda;

        for (size_t e = s->ptr[r]; e < s->ptr[r + 1]; e += 4)
            sddmm_some(s, a, e, s->ptr[r + 1] - e < 4 ? s->ptr[r + 1] - e : 4);
    }
}
