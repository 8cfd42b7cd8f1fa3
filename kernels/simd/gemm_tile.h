/*
 * kernels/simd/gemm_tile.h - tiles of dense products, from C and back to it.
 * For kernels/simd/gemm.c.
 */
#ifndef KRN_SIMD_GEMM_TILE_H
#define KRN_SIMD_GEMM_TILE_H

#include "kernels/simd/gemm_step.h"

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

/* Row r of the next tile of C. */
V_FN void gemm_prefetch(const struct gemm_tile *t, size_t r, size_t nv)
{
    V_UNROLL
    for (size_t v = 0; v < nv; v++)
        _mm_prefetch((const char *)(t->next + r * t->ldc + 16 * v),
                     _MM_HINT_T0);
}

/* The next tile of C is fetched towards the end, a row every GEMM_PER k: all at
 * once and early, the fetches would stand in the way of A and B. */
#define GEMM_PER 8

V_FN void gemm_run(const struct gemm_tile *t, size_t mr, size_t nv, bool packed)
{
    const size_t per = t->kc >= GEMM_PER * mr ? GEMM_PER : t->kc / mr;
    const size_t early = t->kc - per * mr;
    struct gemm_walk w = gemm_walk_start(t);
    struct v16 acc[GEMM_MR][GEMM_MOST_NV];

    gemm_load(acc, t, mr, nv);
    for (size_t l = 0; l < early; l++)
        gemm_step(acc, &w, t, mr, nv, packed);
    for (size_t r = 0; r < mr; r++) {
        gemm_prefetch(t, r, nv);
        for (size_t l = 0; l < per; l++)
            gemm_step(acc, &w, t, mr, nv, packed);
    }
    gemm_store(acc, t, mr, nv);
}

#define GEMM_SHAPE(MR)                                                         \
    static void gemm_tile_##MR(const struct gemm_tile *t)                      \
    {                                                                          \
        const bool wide = t->n > 16 * (GEMM_NV - 1);                           \
                                                                               \
        if (t->lda != 0 && wide)                                               \
            gemm_run(t, MR, GEMM_NV, false);                                   \
        else if (t->lda != 0)                                                  \
            gemm_run(t, MR, 1, false);                                         \
        else if (wide)                                                         \
            gemm_run(t, MR, GEMM_NV, true);                                    \
        else                                                                   \
            gemm_run(t, MR, 1, true);                                          \
    }
GEMM_SHAPES(GEMM_SHAPE)

#define GEMM_NAME(MR) gemm_tile_##MR,
static void (*const gemm_tile_of[GEMM_MR + 1])(const struct gemm_tile *) = {
    NULL, GEMM_SHAPES(GEMM_NAME)};

#ifdef KRN_WITH_AVX512
/* Few rows over a B that is read where it is: wider tiles take longer pieces
 * of its rows. */
#define GEMM_WIDE_MR 8
#define GEMM_WIDE_NR 48
#define GEMM_WIDE(MR)                                                          \
    static void gemm_wide_##MR(const struct gemm_tile *t)                      \
    {                                                                          \
        gemm_run(t, MR, 3, false);                                             \
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
