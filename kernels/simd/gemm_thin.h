/*
 * kernels/simd/gemm_thin.h - products of a few rows.  For kernels/simd/gemm.c.
 *
 * Each element of B is used a few times only, so that B must come as fast as
 * memory gives it: a few of its rows at a time are read in order, from end to
 * end, and a stretch of C stays in the cache.
 */
#ifndef KRN_SIMD_GEMM_THIN_H
#define KRN_SIMD_GEMM_THIN_H

#include "kernels/simd/v16.h"

#define GEMM_THIN 4         /* rows of C, at most */
#define GEMM_THIN_K 8       /* rows of B at a time */
#define GEMM_THIN_NV 4      /* vectors of a row of C in registers, at most */
#define GEMM_STRETCH 2048   /* floats of a row of C */
#define GEMM_SOON 512       /* floats that are fetched early */
#define GEMM_NEAR (1 << 20) /* floats of B that the caches may still hold */

/* GEMM_THIN_WIDE(m): vectors of a row of C in registers.  GEMM_THIN_FETCH: from
 * so many rows of C on, rows of B that are far are asked for early; with fewer
 * the processor keeps up by itself, and does better. */
#ifdef KRN_WITH_AVX512
#define GEMM_THIN_WIDE(m) GEMM_THIN_NV
#define GEMM_THIN_FETCH 2
#else
#define GEMM_THIN_WIDE(m) ((m) == 1 ? 4 : (m) == 2 ? 2 : 1)
#define GEMM_THIN_FETCH 1
#endif

struct gemm_thin {
    const float *b; /* [rows][n] */
    float *c;       /* [m][n] */
    size_t ldb, ldc, n, rows;
    bool near; /* B is: registers count more than how it is read */
    float a[GEMM_THIN][GEMM_THIN_K];
};

/* The columns from x on: nv whole vectors, or one of fewer lanes. */
V_FN void gemm_thin_part(const struct gemm_thin *t, size_t m, size_t nv,
                         size_t rows, size_t x, size_t lanes, size_t soon)
{
    struct v16 sum[GEMM_THIN][GEMM_THIN_NV];

    V_UNROLL
    for (size_t i = 0; i < m; i++) {
        V_UNROLL
        for (size_t v = 0; v < nv; v++)
            sum[i][v] = lanes == 16
                            ? v_load(t->c + i * t->ldc + x + 16 * v)
                            : v_load_n(t->c + i * t->ldc + x + 16 * v, lanes);
    }
    V_UNROLL
    for (size_t r = 0; r < rows; r++) {
        const float *at = t->b + r * t->ldb + x;
        struct v16 b[GEMM_THIN_NV];

        V_UNROLL
        for (size_t v = 0; v < nv; v++) {
            if (soon > 0)
                _mm_prefetch((const char *)(at + 16 * v + soon), _MM_HINT_T0);
            b[v] = lanes == 16 ? v_load(at + 16 * v)
                               : v_load_n(at + 16 * v, lanes);
        }
        V_UNROLL
        for (size_t i = 0; i < m; i++) {
            const struct v16 a = v_set1(t->a[i][r]);

            V_UNROLL
            for (size_t v = 0; v < nv; v++)
                sum[i][v] = v_fma(a, b[v], sum[i][v]);
        }
    }
    V_UNROLL
    for (size_t i = 0; i < m; i++) {
        V_UNROLL
        for (size_t v = 0; v < nv; v++) {
            float *c = t->c + i * t->ldc + x + 16 * v;

            if (lanes == 16)
                v_store(c, sum[i][v]);
            else
                v_store_n(c, sum[i][v], lanes);
        }
    }
}

/* Some rows of B over the whole stretch. */
V_FN void gemm_thin_rows(const struct gemm_thin *t, size_t m, size_t rows,
                         size_t nv, bool fetch)
{
    /* further on in these rows; from their ends, in the next ones */
    const size_t round = rows * t->ldb - t->n, step = 16 * nv;
    size_t x = 0;

    for (; x + step <= t->n; x += step) {
        const size_t far = GEMM_SOON + (x + GEMM_SOON < t->n ? 0 : round);

        gemm_thin_part(t, m, nv, rows, x, 16, fetch ? far : 0);
    }
    for (; x + 16 <= t->n; x += 16)
        gemm_thin_part(t, m, 1, rows, x, 16, 0);
    if (x < t->n)
        gemm_thin_part(t, m, 1, rows, x, t->n - x, 0);
}

V_FN void gemm_thin_of(struct gemm_thin *t, size_t m)
{
    const bool fetch = m >= GEMM_THIN_FETCH;

    if (t->rows == GEMM_THIN_K) {
        if (t->near || m == 1)
            gemm_thin_rows(t, m, GEMM_THIN_K, GEMM_THIN_WIDE(m),
                           fetch && !t->near);
        else
            gemm_thin_rows(t, m, GEMM_THIN_K, 1, fetch);
        return;
    }
    for (size_t l = 0; l < t->rows; l++) { /* the last of B, one by one */
        gemm_thin_rows(t, m, 1, GEMM_THIN_WIDE(m), false);
        t->b += t->ldb;
        for (size_t i = 0; i < m && l + 1 < t->rows; i++)
            t->a[i][0] = t->a[i][l + 1];
    }
}

static void gemm_thin_strip(struct gemm_thin *t, size_t m)
{
    switch (m) {
    case 1:
        gemm_thin_of(t, 1);
        break;
    case 2:
        gemm_thin_of(t, 2);
        break;
    case 3:
        gemm_thin_of(t, 3);
        break;
    case GEMM_THIN:
        gemm_thin_of(t, GEMM_THIN);
        break;
    default: /* no rows */
        break;
    }
}

/* g->m rows, at most GEMM_THIN; B neither turned nor in panels. */
static void gemm_thin(const struct krn_gemm *g)
{
    struct gemm_thin t = {
        .ldb = g->ldb, .ldc = g->ldc, .near = g->k * g->n <= GEMM_NEAR};

    for (size_t j = 0; j < g->n; j += GEMM_STRETCH) {
        t.c = g->c + j;
        t.n = g->n - j < GEMM_STRETCH ? g->n - j : GEMM_STRETCH;
        for (size_t l = 0; l < g->k; l += GEMM_THIN_K) {
            t.b = g->b + l * g->ldb + j;
            t.rows = g->k - l < GEMM_THIN_K ? g->k - l : GEMM_THIN_K;
            for (size_t i = 0; i < g->m; i++) {
                for (size_t r = 0; r < t.rows; r++) {
                    const float a = g->ta ? g->a[(l + r) * g->lda + i]
                                          : g->a[i * g->lda + l + r];

                    t.a[i][r] = g->sub ? -a : a;
                }
            }
            gemm_thin_strip(&t, g->m);
        }
    }
}

#endif
