/*
 * kernels/simd/gemm_tile.h - the innermost loops of dense products: a tile of
 * C in registers while k runs.  For kernels/simd/gemm.c.
 */
#ifndef KRN_SIMD_GEMM_TILE_H
#define KRN_SIMD_GEMM_TILE_H

#include "kernels/simd/v16.h"

#ifdef KRN_WITH_AVX512
#define GEMM_MR 14 /* 14 x 2 of 32 registers accumulate */
#define GEMM_NV 2
#define GEMM_MOST_NV 3 /* of wide tiles */
#else
#define GEMM_MR 6 /* 6 x 2 of 16 */
#define GEMM_NV 1
#define GEMM_MOST_NV 1
#endif
#define GEMM_NR (16 * GEMM_NV)
/* One tile of C and where to find its operands. */
struct gemm_tile {
    const float *a, *b;
    float *c;
    const float *next; /* the tile of C after this one, for prefetch */
    size_t ahead;      /* from a row of B to what to fetch early */
    size_t lda;        /* 0: a is a packed panel; else its row stride */
    size_t ldb, ldc, kc;
    size_t n;  /* columns, up to 16 nv */
    bool zero; /* start from 0, not from C */
};

V_FN void gemm_load(struct v16 acc[][GEMM_MOST_NV], const struct gemm_tile *t,
                    size_t mr, size_t nv)
{
    const bool full = t->n == 16 * nv;

    V_UNROLL
    for (size_t r = 0; r < mr; r++) {
        V_UNROLL
        for (size_t v = 0; v < nv; v++) {
            const float *c = t->c + r * t->ldc + 16 * v;

            acc[r][v] = t->zero              ? v_zero()
                        : full || v + 1 < nv ? v_load(c)
                                             : v_load_n(c, t->n - 16 * v);
        }
    }
}

V_FN void gemm_store(struct v16 acc[][GEMM_MOST_NV], const struct gemm_tile *t,
                     size_t mr, size_t nv)
{
    const bool full = t->n == 16 * nv;

    V_UNROLL
    for (size_t r = 0; r < mr; r++) {
        V_UNROLL
        for (size_t v = 0; v < nv; v++) {
            float *c = t->c + r * t->ldc + 16 * v;

            if (full || v + 1 < nv)
                v_store(c, acc[r][v]);
            else
                v_store_n(c, acc[r][v], t->n - 16 * v);
        }
    }
}

V_FN void gemm_prefetch(const struct gemm_tile *t, size_t mr)
{
    V_UNROLL
    for (size_t r = 0; r < mr; r++) {
        _mm_prefetch((const char *)(t->next + r * t->ldc), _MM_HINT_T1);
        _mm_prefetch((const char *)(t->next + r * t->ldc + 16), _MM_HINT_T1);
    }
}

/* A in a panel: element (r, k) at a[k * GEMM_MR + r]. */
V_FN void gemm_run_packed(const struct gemm_tile *t, size_t mr, size_t nv)
{
    const float *a = t->a, *b = t->b, *end = a + t->kc * GEMM_MR;
    struct v16 acc[GEMM_MR][GEMM_MOST_NV], vb[GEMM_MOST_NV];

    gemm_load(acc, t, mr, nv);
    gemm_prefetch(t, mr);
    for (; a < end; a += GEMM_MR, b += t->ldb) {
        V_UNROLL
        for (size_t v = 0; v < nv; v++) {
            vb[v] = v_load(b + 16 * v);
            _mm_prefetch((const char *)(b + t->ahead + 16 * v), _MM_HINT_T0);
        }
        V_UNROLL
        for (size_t r = 0; r < mr; r++) {
            const struct v16 va = v_set1(a[r]);

            V_UNROLL
            for (size_t v = 0; v < nv; v++)
                acc[r][v] = v_fma(va, vb[v], acc[r][v]);
        }
    }
    gemm_store(acc, t, mr, nv);
}

/* A where it is: element (r, k) at a[r * lda + k]. */
V_FN void gemm_run(const struct gemm_tile *t, size_t mr, size_t nv)
{
    const size_t lda = t->lda;
    const float *a[5], *b = t->b, *end = b + t->kc * t->ldb;
    struct v16 acc[GEMM_MR][GEMM_MOST_NV], vb[GEMM_MOST_NV];

    gemm_load(acc, t, mr, nv);
    gemm_prefetch(t, mr);
    V_UNROLL /* a register for three rows: there are not enough for each */
        for (size_t i = 0; i < 5; i++) a[i] = t->a + 3 * i * lda;
    for (; b < end; b += t->ldb) {
        V_UNROLL
        for (size_t v = 0; v < nv; v++) {
            vb[v] = v_load(b + 16 * v);
            _mm_prefetch((const char *)(b + t->ahead + 16 * v), _MM_HINT_T0);
        }
        V_UNROLL
        for (size_t r = 0; r < mr; r++) {
            const struct v16 va = v_set1(a[r / 3][r % 3 * lda]);

            V_UNROLL
            for (size_t v = 0; v < nv; v++)
                acc[r][v] = v_fma(va, vb[v], acc[r][v]);
        }
        V_UNROLL
        for (size_t i = 0; i < 5; i++)
            a[i]++;
    }
    gemm_store(acc, t, mr, nv);
}

/* A function per tile shape, so that each keeps its registers. */
#define GEMM_SHAPE(MR)                                                         \
    static void gemm_tile_##MR(const struct gemm_tile *t)                      \
    {                                                                          \
        const bool wide = t->n > 16 * (GEMM_NV - 1);                           \
                                                                               \
        if (t->lda != 0 && wide)                                               \
            gemm_run(t, MR, GEMM_NV);                                          \
        else if (t->lda != 0)                                                  \
            gemm_run(t, MR, 1);                                                \
        else if (wide)                                                         \
            gemm_run_packed(t, MR, GEMM_NV);                                   \
        else                                                                   \
            gemm_run_packed(t, MR, 1);                                         \
    }
GEMM_SHAPE(1)
GEMM_SHAPE(2)
GEMM_SHAPE(3)
GEMM_SHAPE(4)
GEMM_SHAPE(5)
GEMM_SHAPE(6)
#ifdef KRN_WITH_AVX512
GEMM_SHAPE(7)
GEMM_SHAPE(8)
GEMM_SHAPE(9)
GEMM_SHAPE(10)
GEMM_SHAPE(11)
GEMM_SHAPE(12)
GEMM_SHAPE(13)
GEMM_SHAPE(14)
#endif

static void (*const gemm_tile_of[GEMM_MR + 1])(const struct gemm_tile *) = {
    NULL,         gemm_tile_1,  gemm_tile_2,  gemm_tile_3,
    gemm_tile_4,  gemm_tile_5,  gemm_tile_6,
#ifdef KRN_WITH_AVX512
    gemm_tile_7,  gemm_tile_8,  gemm_tile_9,  gemm_tile_10,
    gemm_tile_11, gemm_tile_12, gemm_tile_13, gemm_tile_14,
#endif
};

#ifdef KRN_WITH_AVX512
/* Few rows over a B that is read where it is: wider tiles take longer pieces
 * of its rows. */
#define GEMM_WIDE_MR 8
#define GEMM_WIDE_NR 48
#define GEMM_WIDE(MR)                                                          \
    static void gemm_wide_##MR(const struct gemm_tile *t)                      \
    {                                                                          \
        gemm_run(t, MR, 3);                                                    \
    }
GEMM_WIDE(1)
GEMM_WIDE(2)
GEMM_WIDE(3)
GEMM_WIDE(4)
GEMM_WIDE(5)
GEMM_WIDE(6)
GEMM_WIDE(7)
GEMM_WIDE(8)

static void (*const gemm_wide_of[GEMM_WIDE_MR + 1])(const struct gemm_tile *) =
    {NULL,        gemm_wide_1, gemm_wide_2, gemm_wide_3, gemm_wide_4,
     gemm_wide_5, gemm_wide_6, gemm_wide_7, gemm_wide_8};
#else
#define GEMM_WIDE_MR GEMM_MR
#define GEMM_WIDE_NR GEMM_NR
#define gemm_wide_of gemm_tile_of
#endif
#define GEMM_WIDE_ROWS 24 /* of C, at most */

#endif
