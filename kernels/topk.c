/* kernels/topk.c - the k best of a stream, plain C. */
#include "kernels/topk.h"

#include <math.h>
#include <string.h>

#include "kernels/twins.h"

/* Put (score, id) where it belongs among the n sorted ones. */
static void topk_insert_sorted(struct krn_topk *t, float score, uint32_t id)
{
    size_t at = 0;

    while (at < t->n && krn_topk_worse(t->score[at], t->id[at], score, id))
        at++;
    if (t->n < t->k) {
        memmove(t->score + at + 1, t->score + at,
                (t->n - at) * sizeof(*t->score));
        memmove(t->id + at + 1, t->id + at, (t->n - at) * sizeof(*t->id));
        t->n++;
    } else { /* the worst one falls out at the front; at >= 1 */
        at--;
        memmove(t->score, t->score + 1, at * sizeof(*t->score));
        memmove(t->id, t->id + 1, at * sizeof(*t->id));
    }
    t->score[at] = score;
    t->id[at] = id;
}

static bool topk_below(const struct krn_topk *t, size_t i, size_t j)
{
    return krn_topk_worse(t->score[i], t->id[i], t->score[j], t->id[j]);
}

static void topk_swap(struct krn_topk *t, size_t i, size_t j)
{
    const float score = t->score[i];
    const uint32_t id = t->id[i];

    t->score[i] = t->score[j];
    t->id[i] = t->id[j];
    t->score[j] = score;
    t->id[j] = id;
}

/* Restore the heap of n below i. */
static void topk_sift(struct krn_topk *t, size_t i, size_t n)
{
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && topk_below(t, child + 1, child))
            child++;
        if (!topk_below(t, child, i))
            return;
        topk_swap(t, i, child);
    }
}

static void topk_insert_heap(struct krn_topk *t, float score, uint32_t id)
{
    size_t at = t->n < t->k ? t->n++ : 0;

    t->score[at] = score;
    t->id[at] = id;
    if (at == 0) {
        topk_sift(t, 0, t->n);
        return;
    }
    for (; at > 0 && topk_below(t, at, (at - 1) / 2); at = (at - 1) / 2)
        topk_swap(t, at, (at - 1) / 2);
}

void krn_topk_offer(struct krn_topk *t, float score, uint32_t id)
{
    if (isnan(score))
        score = -INFINITY;
    if (t->n == t->k && !krn_topk_worse(t->score[0], t->id[0], score, id))
        return;
    if (t->k <= KRN_TOPK_SORTED)
        topk_insert_sorted(t, score, id);
    else
        topk_insert_heap(t, score, id);
}

void krn_topk_push_f32(struct krn_topk *t, const float *score,
                       uint32_t first_id, size_t n)
{
    for (size_t i = 0; i < n; i++)
        krn_topk_offer(t, score[i], first_id + (uint32_t)i);
}

void krn_topk_sort(struct krn_topk *t)
{
    for (size_t n = t->n; n-- > 1;) { /* worst to the end, heap of the rest */
        topk_swap(t, 0, n);
        topk_sift(t, 0, n);
    }
}
