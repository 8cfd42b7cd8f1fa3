/*
 * kernels/simd/gemm_step.h - the innermost step of dense products: a tile of C
 * in registers while k runs.  For kernels/simd/gemm_tile.h and score.c.
 */
#ifndef KRN_SIMD_GEMM_STEP_H
#define KRN_SIMD_GEMM_STEP_H

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
/* Heights of tiles, each a function of its own, so that it keeps its
 * registers. */
#ifdef KRN_WITH_AVX512
#define GEMM_SHAPES(F)                                                         \
    F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11) F(12) F(13) F(14)
#else
#define GEMM_SHAPES(F) F(1) F(2) F(3) F(4) F(5) F(6)
#endif

/* Rows of the next tile when `left` remain: as even as can be. */
V_FN size_t gemm_rows(size_t left, size_t most)
{
    const size_t tiles = (left + most - 1) / most;

    return (left + tiles - 1) / tiles;
}

/* One tile of C and where to find its operands. */
struct gemm_tile {
    const float *a, *b;
    float *c;
    const float *next; /* the tile of C after this one, for prefetch */
    const float *soon; /* of B, what to fetch early; a row at a time */
    size_t soon_step;
    size_t lda; /* 0: a is a packed panel; else its row stride */
    size_t ldb, ldc, kc;
    size_t n;  /* columns, up to 16 nv */
    bool zero; /* start from 0, not from C */
};

/* What moves while a tile runs. */
struct gemm_walk {
    const float *a[5]; /* a register for three rows: there are not enough for
                          each; of a panel the first alone */
    const float *b, *soon;
};

/* One k: mr x nv products.  A in a panel has lda = 0: element (r, k) at
 * a[k * GEMM_MR + r]; else it is where it is, at a[r * lda + k]. */
V_FN void gemm_step(struct v16 acc[][GEMM_MOST_NV], struct gemm_walk *w,
                    const struct gemm_tile *t, size_t mr, size_t nv,
                    bool packed)
{
    struct v16 vb[GEMM_MOST_NV];

    V_UNROLL
    for (size_t v = 0; v < nv; v++) {
        vb[v] = v_load(w->b + 16 * v);
        _mm_prefetch((const char *)(w->soon + 16 * v), _MM_HINT_T1);
    }
    V_UNROLL
    for (size_t r = 0; r < mr; r++) {
        const struct v16 va =
            v_set1(packed ? w->a[0][r] : w->a[r / 3][r % 3 * t->lda]);

        V_UNROLL
        for (size_t v = 0; v < nv; v++)
            acc[r][v] = v_fma(va, vb[v], acc[r][v]);
    }
    V_UNROLL
    for (size_t i = 0; i < 5; i++)
        w->a[i] += packed ? GEMM_MR : 1;
    w->b += t->ldb;
    w->soon += t->soon_step;
}

V_FN struct gemm_walk gemm_walk_start(const struct gemm_tile *t)
{
    struct gemm_walk w = {.b = t->b, .soon = t->soon};

    V_UNROLL
    for (size_t i = 0; i < 5; i++)
        w.a[i] = t->a + 3 * i * t->lda;
    return w;
}

#endif
