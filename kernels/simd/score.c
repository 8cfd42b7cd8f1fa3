/*
 * kernels/simd/score.c - products whose every row keeps its k best.
 *
 * A tile of scores is compared, in registers, with the floors of its people's
 * lists; only those who have one that passes are offered theirs.  A panel of
 * items stays in the first cache while all people go over it.
 */
#include "kernels/simd/gemm_step.h"

/* Bit r: one of person r's scores is not below the floor of the list.  Without
 * a branch, so that the next tile can begin meanwhile. */
V_FN uint32_t score_good(const struct krn_topk *list,
                         struct v16 acc[][GEMM_MOST_NV], size_t mr)
{
    uint32_t good = 0;

    V_UNROLL
    for (size_t r = 0; r < mr; r++) {
        const struct v16 floor = v_set1(list[r].floor);
        uint32_t below = 0xffff;

        V_UNROLL
        for (size_t v = 0; v < GEMM_NV; v++)
            below &= (uint32_t)v_bits(v_lt(acc[r][v], floor));
        good |= (uint32_t)(below != 0xffff) << r;
    }
    return good;
}

V_FN void score_run(const struct krn_score *s, const struct gemm_tile *t,
                    size_t r0, size_t j, size_t mr)
{
    struct v16 acc[GEMM_MR][GEMM_MOST_NV];
    struct gemm_walk w = gemm_walk_start(t);
    float row[GEMM_MR][GEMM_NR];

    V_UNROLL
    for (size_t r = 0; r < mr; r++) {
        V_UNROLL
        for (size_t v = 0; v < GEMM_NV; v++)
            acc[r][v] = v_zero();
    }
    for (size_t l = 0; l < s->k; l++)
        gemm_step(acc, &w, t, mr, GEMM_NV, false);
    uint32_t good = score_good(s->list + r0, acc, mr);

    if (good == 0)
        return;
    V_UNROLL
    for (size_t r = 0; r < mr; r++) {
        V_UNROLL
        for (size_t v = 0; v < GEMM_NV; v++)
            v_store(row[r] + 16 * v, acc[r][v]);
    }
    for (; good != 0; good &= good - 1) {
        const size_t r = (size_t)__builtin_ctz(good);

        KRN_TWIN(krn_topk_push_f32)
        (s->list + r0 + r, row[r], s->first_id + (uint32_t)j,
         s->n - j < GEMM_NR ? s->n - j : GEMM_NR);
    }
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
