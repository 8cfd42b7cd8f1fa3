/*
 * kernels/simd/als.c - rows of alternating least squares.
 *
 * Four rows of x at a time: their products with w hide each other's latency,
 * and their places, which are random, are fetched ahead.
 */
#include "kernels/simd/v16.h"

#ifdef KRN_WITH_AVX512
#define CG_NV 4 /* vectors of a column block: accumulators in registers */
#else
#define CG_NV 2
#endif

/* 16 rows of x from column k, scaled, become 16 columns of `to`. */
V_FN void gather_block(float *to, size_t m, const float *x, size_t ldx,
                       const uint32_t *idx, struct v16 by, const float *c,
                       size_t rows, size_t cols, size_t room)
{
    struct v16 v[16];

    for (size_t j = 0; j < 16; j++)
        v[j] = v_zero();
    for (size_t j = 0; j < rows; j++)
        v[j] = v_mul(v_mul(v_load_n(x + (size_t)idx[j] * ldx, cols), by),
                     v_set1(c[j]));
    v_transpose(v);
    for (size_t k = 0; k < cols; k++)
        v_store_n(to + k * m, v[k], room);
}

void KRN_TWIN(krn_gather_t_f32)(float *to, size_t m, const float *x, size_t ldx,
                                const uint32_t *idx, const float *by,
                                const float *c, size_t n, size_t d)
{
    for (size_t j = 0; j < m; j += 16) {
        const size_t room = m - j < 16 ? m - j : 16;
        const size_t rows = n <= j ? 0 : n - j < 16 ? n - j : 16;

        for (size_t k = 0; k < d; k += 16) {
            const size_t cols = d - k < 16 ? d - k : 16;

            gather_block(to + k * m + j, m, x + k, ldx, idx + j,
                         v_load_n(by + k, cols), c + j, rows, cols, room);
        }
    }
}

/* --- conjugate gradients -----------------------------------------------------
 */

V_FN const float *cg_row(const struct krn_cg *s, size_t j)
{
    return s->x + (size_t)s->idx[j] * s->ldx;
}

/* y[j] = x_j . p for rows at..at+rows-1 (rows a constant). */
V_FN void cg_dots(const struct krn_cg *s, const float *p, size_t at,
                  size_t rows)
{
    struct v16 sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    const float *x[4];
    size_t i = 0;

    V_UNROLL
    for (size_t r = 0; r < rows; r++)
        x[r] = cg_row(s, at + r);
    for (; i + 16 <= s->d; i += 16) {
        const struct v16 vp = v_load(p + i);

        V_UNROLL
        for (size_t r = 0; r < rows; r++)
            sum[r] = v_fma(v_load(x[r] + i), vp, sum[r]);
    }
    if (i < s->d) {
        const struct v16m some = v_mask_n(s->d - i);
        const struct v16 vp = v_load_n(p + i, s->d - i);

        V_UNROLL
        for (size_t r = 0; r < rows; r++)
            sum[r] = v_pick(
                some, v_fma(v_load_n(x[r] + i, s->d - i), vp, sum[r]), sum[r]);
    }
    V_UNROLL
    for (size_t r = 0; r < rows; r++)
        s->y[at + r] = v_tree(sum[r]);
}

static void cg_all_dots(const struct krn_cg *s, const float *p)
{
    size_t j = 0;

    for (; j + 4 <= s->n; j += 4)
        cg_dots(s, p, j, 4);
    for (; j < s->n; j++)
        cg_dots(s, p, j, 1);
}

V_FN struct v16 cg_load(const float *p, size_t v, size_t nv, size_t rest)
{
    return v + 1 < nv || rest == 16 ? v_load(p + 16 * v)
                                    : v_load_n(p + 16 * v, rest);
}

V_FN void cg_store(float *p, struct v16 a, size_t v, size_t nv, size_t rest)
{
    if (v + 1 < nv || rest == 16)
        v_store(p + 16 * v, a);
    else
        v_store_n(p + 16 * v, a, rest);
}

/* to[k] = sign * diag[k] from[k] + sum_j y[j] x_j[k], columns k.. */
V_FN void cg_sum(const struct krn_cg *s, const float *from, bool minus,
                 float *to, size_t k, size_t nv, size_t rest)
{
    struct v16 acc[CG_NV];

    V_UNROLL
    for (size_t v = 0; v < nv; v++) {
        acc[v] = v_mul(cg_load(s->diag + k, v, nv, rest),
                       cg_load(from + k, v, nv, rest));
        if (minus)
            acc[v] = v_mul(v_set1(-1.0f), acc[v]);
    }
    for (size_t j = 0; j < s->n; j++) {
        const float *x = cg_row(s, j) + k;
        const struct v16 t = v_set1(s->y[j]);

        V_UNROLL
        for (size_t v = 0; v < nv; v++)
            acc[v] = v_fma(t, cg_load(x, v, nv, rest), acc[v]);
    }
    V_UNROLL
    for (size_t v = 0; v < nv; v++)
        cg_store(to + k, acc[v], v, nv, rest);
}

/* to[k] = 1 / (diag[k] + sum_j c[j] x_j[k]^2), columns k.. */
V_FN void cg_diagonal(const struct krn_cg *s, float *to, size_t k, size_t nv,
                      size_t rest)
{
    struct v16 acc[CG_NV];

    V_UNROLL
    for (size_t v = 0; v < nv; v++)
        acc[v] = cg_load(s->diag + k, v, nv, rest);
    for (size_t j = 0; j < s->n; j++) {
        const float *row = cg_row(s, j) + k;
        const struct v16 c = v_set1(s->c[j]);

        V_UNROLL
        for (size_t v = 0; v < nv; v++) {
            const struct v16 x = cg_load(row, v, nv, rest);

            acc[v] = v_fma(v_mul(c, x), x, acc[v]);
        }
    }
    V_UNROLL
    for (size_t v = 0; v < nv; v++)
        cg_store(to + k, v_div(v_set1(1.0f), acc[v]), v, nv, rest);
}

/* f(..., nv, rest) over column blocks with constants where it matters. */
#define CG_BLOCKS(f, ...)                                                      \
    do {                                                                       \
        size_t k_ = 0;                                                         \
        for (; k_ + 16 * CG_NV <= s->d; k_ += 16 * CG_NV)                      \
            f(__VA_ARGS__, k_, CG_NV, 16);                                     \
        for (; k_ < s->d; k_ += 16)                                            \
            f(__VA_ARGS__, k_, 1, s->d - k_ < 16 ? s->d - k_ : 16);            \
    } while (0)

static void cg_start(const struct krn_cg *s, const float *w, float *r, float *m)
{
    cg_all_dots(s, w);
    V_FOR(j, n, s->n)
    {
        const struct v16 c = v_load_n(s->c + j, n);

        v_store_n(s->y + j,
                  v_fnma(c, v_load_n(s->y + j, n), v_add(v_set1(1.0f), c)), n);
    }
    CG_BLOCKS(cg_sum, s, w, true, r);
    CG_BLOCKS(cg_diagonal, s, m);
}

static void cg_product(const struct krn_cg *s, const float *p, float *q)
{
    cg_all_dots(s, p);
    V_FOR(j, n, s->n)
    {
        v_store_n(s->y + j, v_mul(v_load_n(s->c + j, n), v_load_n(s->y + j, n)),
                  n);
    }
    CG_BLOCKS(cg_sum, s, p, false, q);
}

/* z = m r, and r . z */
static float cg_scale(const struct krn_cg *s, const float *m, const float *r,
                      float *z)
{
    V_FOR(k, n, s->d)
    {
        v_store_n(z + k, v_mul(v_load_n(m + k, n), v_load_n(r + k, n)), n);
    }
    return KRN_TWIN(krn_dot_f32)(r, z, s->d);
}

void KRN_TWIN(krn_cg_row_f32)(float *w, const struct krn_cg *s)
{
    const size_t d = s->d;
    float *r = s->v, *m = r + d, *p = m + d, *q = p + d, *z = q + d;

    cg_start(s, w, r, m);
    float rz = cg_scale(s, m, r, p);

    for (size_t step = 0; step < s->steps && rz > KRN_CG_LEAST; step++) {
        cg_product(s, p, q);
        const float a = rz / KRN_TWIN(krn_dot_f32)(p, q, d);

        KRN_TWIN(krn_axpy_f32)(w, a, p, d);
        KRN_TWIN(krn_axpy_f32)(r, -a, q, d);
        const float next = cg_scale(s, m, r, z), b = next / rz;

        V_FOR(k, n, d)
        {
            v_store_n(p + k,
                      v_fma(v_set1(b), v_load_n(p + k, n), v_load_n(z + k, n)),
                      n);
        }
        rz = next;
    }
}
