/* kernels/topk.c - the k best of a stream, plain C. */
#include <math.h>
#include <stdbool.h>

#include "kernels/twins.h"

/* Whether held i ranks below held j. */
static bool topk_below(const struct krn_topk *t, size_t i, size_t j)
{
    return t->score[i] < t->score[j] ||
           (t->score[i] == t->score[j] && t->id[i] > t->id[j]);
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

/* Restore the heap (worst first) of n below i. */
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

void krn_topk_sort_f32(struct krn_topk *t)
{
    for (size_t i = t->n / 2; i-- > 0;)
        topk_sift(t, i, t->n);
    for (size_t n = t->n; n-- > 1;) { /* worst to the end, heap of the rest */
        topk_swap(t, 0, n);
        topk_sift(t, 0, n);
    }
    t->n = t->n < t->k ? t->n : t->k;
}

void krn_topk_prune_f32(struct krn_topk *t)
{
    if (t->n <= t->k)
        return;
    krn_topk_sort_f32(t);
    t->floor = t->score[t->k - 1];
}

/* Whether `id` is to be left out. */
static bool topk_skips(struct krn_topk *t, uint32_t id)
{
    while (t->skip < t->skip_end && *t->skip < id)
        t->skip++;
    return t->skip < t->skip_end && *t->skip == id;
}

void krn_topk_push_f32(struct krn_topk *t, const float *score,
                       uint32_t first_id, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t id = first_id + (uint32_t)i;
        const float s = isnan(score[i]) ? -INFINITY : score[i];

        if (s < t->floor || topk_skips(t, id))
            continue;
        if (t->n == t->room)
            krn_topk_prune_f32(t);
        t->score[t->n] = s;
        t->id[t->n++] = id;
    }
}

static float score_one(const struct krn_score *s, size_t r, size_t j)
{
    const float *a = s->a + r * s->lda;
    const float *b = s->b + j / KRN_PANEL * s->ldb + j % KRN_PANEL;
    float sum = 0;

    for (size_t l = 0; l < s->k; l++)
        sum = fmaf(a[l], b[l * KRN_PANEL], sum);
    return sum;
}

void krn_score_f32(const struct krn_score *s)
{
    for (size_t r = 0; r < s->m; r++) {
        for (size_t j = 0; j < s->n; j++) {
            const float score = score_one(s, r, j);

            krn_topk_push_f32(&s->list[r], &score, s->first_id + (uint32_t)j,
                              1);
        }
    }
}
