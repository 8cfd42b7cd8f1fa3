/*
 * kernels/simd/topk.c - the k best of a stream.
 *
 * Sixteen scores are compared with the worst held one at once; what passes is
 * rare and is inserted into the sorted list by one pass of compare and shift.
 */
#include "kernels/topk.h"

#include <math.h>
#include <string.h>

#include "kernels/simd/v16.h"

/* The list is full and (score, id) better than [0]: those that are worse,
 * which are a prefix, move down by one. */
static void topk_replace(struct krn_topk *t, float score, uint32_t id)
{
    const struct v16 s = v_set1(score);
    size_t at = 0;

    for (size_t i = 1; i < t->k; i += 16) {
        const size_t n = t->k - i < 16 ? t->k - i : 16;
        const struct v16 held = v_load_n(t->score + i, n);
        const uint32_t all = 0xffffu >> (16 - n);
        const uint32_t less = v_bits(v_lt(held, s)) & all;
        const uint32_t same = v_bits(v_eq(held, s)) & all;
        size_t worse = (size_t)__builtin_popcount(less);

        for (uint32_t rest = same; rest != 0 && t->id[i + worse] > id;
             rest &= rest - 1)
            worse++;
        if (worse == 0)
            break;
        v_store_n(t->score + i - 1, held, worse);
        v_store_n((float *)(t->id + i - 1),
                  v_load_n((const float *)(t->id + i), worse), worse);
        at += worse;
        if (worse < 16)
            break;
    }
    t->score[at] = score;
    t->id[at] = id;
}

/* One that may be better than [0]. */
static void topk_try(struct krn_topk *t, float score, uint32_t id)
{
    if (t->k > KRN_TOPK_SORTED)
        krn_topk_offer(t, score, id);
    else if (krn_topk_worse(t->score[0], t->id[0], score, id))
        topk_replace(t, score, id);
}

void KRN_TWIN(krn_topk_push_f32)(struct krn_topk *t, const float *score,
                                 uint32_t first_id, size_t n)
{
    size_t i = 0;

    for (; i < n && t->n < t->k; i++)
        krn_topk_offer(t, score[i], first_id + (uint32_t)i);
    for (; i < n; i += 16) {
        const size_t m = n - i < 16 ? n - i : 16;
        const struct v16 s = v_load_n(score + i, m);
        uint32_t maybe = v_bits(v_ge(s, v_set1(t->score[0])));

        maybe &= 0xffffu >> (16 - m);
        if (t->score[0] == -INFINITY) /* NaN has a chance: leave it to offer */
            maybe = 0xffffu >> (16 - m);
        for (; maybe != 0; maybe &= maybe - 1) {
            const size_t at = i + (size_t)__builtin_ctz(maybe);
            const float x = score[at];

            topk_try(t, x == x ? x : -INFINITY, first_id + (uint32_t)at);
        }
    }
}
