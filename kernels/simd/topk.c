/*
 * kernels/simd/topk.c - the k best of a stream.
 *
 * Sixteen scores are compared with the floor at once; what passes is rare and
 * is packed behind what is held.  To drop all but the k best, bisect for the
 * k-th score: 32 counts at most, without a branch that depends on the data.
 */
#include <math.h>
#include <string.h>

#include "kernels/simd/v16.h"

/* Floats as integers of the same order, and back. */
static int32_t topk_key(float x)
{
    int32_t bits;

    memcpy(&bits, &x, sizeof(bits));
    return bits ^ (bits >> 31 & INT32_MAX);
}

static float topk_of_key(int32_t key)
{
    float x;

    key ^= key >> 31 & INT32_MAX;
    memcpy(&x, &key, sizeof(x));
    return x;
}

/* How many of the held are at least so good. */
static size_t topk_count(const struct krn_topk *t, float least)
{
    const struct v16 bar = v_set1(least);
    size_t count = 0;

    V_FOR(i, lanes, t->n)
    {
        const uint32_t good = v_bits(v_ge(v_load_n(t->score + i, lanes), bar));

        count += (size_t)__builtin_popcount(good & 0xffffu >> (16 - lanes));
    }
    return count;
}

/* The k-th best score; k <= n.  *above: how many are at least that. */
static float topk_kth(const struct krn_topk *t, size_t *above)
{
    int64_t lo = topk_key(t->floor), hi = (int64_t)topk_key(INFINITY) + 1;

    *above = t->n; /* at lo */
    while (*above > t->k && hi - lo > 1) {
        const int64_t mid = lo + (hi - lo) / 2;
        const size_t n = topk_count(t, topk_of_key((int32_t)mid));

        if (n >= t->k) {
            lo = mid;
            *above = n;
        } else {
            hi = mid;
        }
    }
    return topk_of_key((int32_t)lo);
}

/* Of those that tie with the k-th score, the id that the last one kept has. */
static uint32_t topk_last_tie(const struct krn_topk *t, float kth, size_t drop)
{
    uint64_t lo = 0, hi = UINT32_MAX; /* the answer is in lo..hi */

    while (lo < hi) {
        const uint64_t mid = lo + (hi - lo) / 2;
        size_t beyond = 0;

        for (size_t i = 0; i < t->n; i++)
            beyond += t->score[i] == kth && t->id[i] > mid;
        if (beyond > drop)
            lo = mid + 1;
        else
            hi = mid;
    }
    return (uint32_t)lo;
}

/* score and id of the lanes of `bits` behind what is held. */
V_FN void topk_pack(struct krn_topk *t, struct v16 score, struct v16 id,
                    uint32_t bits)
{
    v_pack(t->score + t->n, score, bits);
    v_pack((float *)(t->id + t->n), id, bits);
    t->n += (size_t)__builtin_popcount(bits);
}

void KRN_TWIN(krn_topk_prune_f32)(struct krn_topk *t)
{
    const size_t n = t->n;
    uint32_t last = UINT32_MAX;
    size_t above;

    if (n <= t->k)
        return;
    const float kth = topk_kth(t, &above);

    if (above > t->k)
        last = topk_last_tie(t, kth, above - t->k);
    t->n = 0;
    t->floor = kth;
    V_FOR(i, lanes, n)
    {
        const struct v16 s = v_load_n(t->score + i, lanes);
        const struct v16 id = v_load_n((const float *)(t->id + i), lanes);
        const uint32_t all = 0xffffu >> (16 - lanes);
        uint32_t keep = v_bits(v_ge(s, v_set1(kth))) & all;
        uint32_t ties = above > t->k ? v_bits(v_eq(s, v_set1(kth))) & all : 0;

        for (; ties != 0; ties &= ties - 1) {
            const size_t at = (size_t)__builtin_ctz(ties);

            if (t->id[i + at] > last)
                keep &= ~(1u << at);
        }
        topk_pack(t, s, id, keep);
    }
}

#define TOPK_FEW 256

/* How many of the held rank above held i. */
static size_t topk_above(const struct krn_topk *t, size_t i)
{
    const struct v16 bar = v_set1(t->score[i]);
    size_t above = 0;

    V_FOR(j, lanes, t->n)
    {
        const struct v16 s = v_load_n(t->score + j, lanes);
        const uint32_t all = 0xffffu >> (16 - lanes);
        uint32_t ties = v_bits(v_eq(s, bar)) & all;

        above += (size_t)__builtin_popcount(v_bits(v_lt(bar, s)) & all);
        for (; ties != 0; ties &= ties - 1)
            above += t->id[j + (size_t)__builtin_ctz(ties)] < t->id[i];
    }
    return above;
}

/* Few are put where their rank says: no branch depends on the data. */
void KRN_TWIN(krn_topk_sort_f32)(struct krn_topk *t)
{
    float score[TOPK_FEW];
    uint32_t id[TOPK_FEW];

    KRN_TWIN(krn_topk_prune_f32)(t);
    if (t->n > TOPK_FEW) {
        krn_topk_sort_f32(t);
        return;
    }
    for (size_t i = 0; i < t->n; i++) {
        const size_t to = topk_above(t, i);

        score[to] = t->score[i];
        id[to] = t->id[i];
    }
    memcpy(t->score, score, t->n * sizeof(*score));
    memcpy(t->id, id, t->n * sizeof(*id));
}

/* Those of the ids from `first` on, up to 16, that are not to be left out. */
static uint32_t topk_wanted(struct krn_topk *t, uint32_t first, size_t lanes)
{
    uint32_t bits = 0xffff;

    for (; t->skip < t->skip_end; t->skip++) {
        if (*t->skip < first)
            continue;
        if (*t->skip - first >= lanes)
            break;
        bits &= ~(1u << (*t->skip - first));
    }
    return bits;
}

/* Those of up to sixteen scores that `good` marks, with ids from `first` on. */
static void topk_take(struct krn_topk *t, struct v16 score, uint32_t first,
                      size_t lanes, uint32_t good)
{
    static const int32_t lane[16] = {0, 1, 2,  3,  4,  5,  6,  7,
                                     8, 9, 10, 11, 12, 13, 14, 15};
    const struct v16i id =
        v_addi(v_int(v_load((const float *)lane)), v_set1i((int32_t)first));

    good &= 0xffffu >> (16 - lanes);
    if (t->skip != t->skip_end)
        good &= topk_wanted(t, first, lanes);
    if (t->n + 16 > t->room) {
        KRN_TWIN(krn_topk_prune_f32)(t);
        good &= v_bits(v_ge(score, v_set1(t->floor)));
    }
    topk_pack(t, score, v_float(id), good);
}

#define TOPK_BLOCK 128

/* Bit i: one of the sixteen scores from 16 i on reaches the floor, which is a
 * number. */
V_FN uint32_t topk_good(const float *score, struct v16 floor)
{
    uint32_t good = 0;

    V_UNROLL
    for (uint32_t i = 0; i < TOPK_BLOCK / 16; i++)
        good |= (uint32_t)(v_bits(v_ge(v_load(score + 16 * i), floor)) != 0)
                << i;
    return good;
}

/* NaN becomes -infinity, which only an infinite floor lets pass. */
static void topk_some(struct krn_topk *t, const float *score, uint32_t first,
                      size_t lanes)
{
    const struct v16 s = v_max(v_load_n(score, lanes), v_set1(-INFINITY));
    const uint32_t good = v_bits(v_ge(s, v_set1(t->floor)));

    if (good != 0)
        topk_take(t, s, first, lanes, good);
}

void KRN_TWIN(krn_topk_push_f32)(struct krn_topk *t, const float *score,
                                 uint32_t first_id, size_t n)
{
    size_t i = 0;

    while (i + TOPK_BLOCK <= n && t->floor > -INFINITY) {
        uint32_t good = topk_good(score + i, v_set1(t->floor));

        for (; good != 0; good &= good - 1) {
            const size_t at = i + 16 * (size_t)__builtin_ctz(good);

            topk_some(t, score + at, first_id + (uint32_t)at, 16);
        }
        i += TOPK_BLOCK;
    }
    for (; i < n; i += 16)
        topk_some(t, score + i, first_id + (uint32_t)i,
                  n - i < 16 ? n - i : 16);
}
