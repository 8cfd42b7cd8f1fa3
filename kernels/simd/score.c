/*
 * kernels/simd/score.c - products whose every row keeps its k best.
 *
 * A tile of scores never leaves the registers: each person's are compared with
 * the floor of that person's list, and only what passes, which is rare, is
 * written and offered.  A panel of items stays in the first cache while all
 * people go over it.
 */
#include <math.h>

#include "kernels/simd/gemm_step.h"

/* Person r's scores of the items from j on. */
V_FN void score_offer(const struct krn_score *s, size_t r, size_t j,
                      const struct v16 *acc)
{
    struct krn_topk *t = s->list + r;
    const struct v16 floor = v_set1(t->floor);
    uint32_t good = !(t->floor > -INFINITY); /* then NaN passes too */

    V_UNROLL
    for (size_t v = 0; v < GEMM_NV; v++)
        good |= (uint32_t)v_bits(v_ge(acc[v], floor));
    if (good != 0) {
        float row[GEMM_NR];

        V_UNROLL
        for (size_t v = 0; v < GEMM_NV; v++)
            v_store(row + 16 * v, acc[v]);
        KRN_TWIN(krn_topk_push_f32)
        (t, row, s->first_id + (uint32_t)j,
         s->n - j < GEMM_NR ? s->n - j : GEMM_NR);
    }
}

V_FN void score_run(const struct krn_score *s, const struct gemm_tile *t,
                    size_t r0, size_t j, size_t mr)
{
    struct v16 acc[GEMM_MR][GEMM_MOST_NV];
    struct gemm_walk w = gemm_walk_start(t);

    V_UNROLL
    for (size_t r = 0; r < mr; r++) {
        V_UNROLL
        for (size_t v = 0; v < GEMM_NV; v++)
            acc[r][v] = v_zero();
    }
    for (size_t l = 0; l < s->k; l++)
        gemm_step(acc, &w, t, mr, GEMM_NV, false);
    V_UNROLL
    for (size_t r = 0; r < mr; r++)
        score_offer(s, r0 + r, j, acc[r]);
}

#define SCORE_SHAPE(MR)                                                        \
    static void score_tile_##MR(const struct krn_score *s,                     \
                                const struct gemm_tile *t, size_t r, size_t j) \
    {                                                                          \
        score_run(s, t, r, j, MR);                                             \
    }
GEMM_SHAPES(SCORE_SHAPE)

#define SCORE_NAME(MR) score_tile_##MR,
static void (*const score_tile_of[GEMM_MR + 1])(const struct krn_score *,
                                                const struct gemm_tile *,
                                                size_t r, size_t j) = {
    NULL, GEMM_SHAPES(SCORE_NAME)};

void KRN_TWIN(krn_score_f32)(const struct krn_score *s)
{
    struct gemm_tile t = {
        .lda = s->lda, .ldb = KRN_PANEL, .soon_step = KRN_PANEL};

    for (size_t j = 0; j < s->n; j += GEMM_NR) {
        const size_t in = j % KRN_PANEL;

        t.b = s->b + j / KRN_PANEL * s->ldb + in;
        t.soon =
            t.b +
            (in + GEMM_NR < KRN_PANEL ? GEMM_NR : s->ldb + GEMM_NR - KRN_PANEL);
        for (size_t i = 0, mr; i < s->m; i += mr) {
            mr = gemm_rows(s->m - i, GEMM_MR);
            t.a = s->a + i * s->lda;
            score_tile_of[mr](s, &t, i, j);
            t.soon = t.b; /* the first tile has fetched the next items */
        }
    }
}
