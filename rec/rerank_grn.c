/*
 * rec/rerank_grn.c - a pointer network whose places are rewarded for
 * themselves and for what they do to the others.
 *
 * Reward of a place: what the evaluator says of its item and of all below, and
 * OTHERS times how much more the others are taken than if the item were not
 * there.
 *
 * Source: Feng et al., GRN: Generative rerank network for context-wise
 * recommendation, arXiv 2104.00860.  Differs: the paper's own reward is that
 * of the item alone, and both count the same; another item in the same place,
 * which every reward is compared with here (rec/slate_learn.c), tells most of
 * what an item does to the others, and tells it of lists that can be
 * (docs/rerank.md has figures).  An item that is taken out leaves an empty
 * place at the end.
 */
#include <stdlib.h>
#include <string.h>

#include "rec/slate.h"

/* With none .972 of the best clicks and .42 of ndcg@5 in the sample of
 * docs/rerank.md, with 1 .956 and .62. */
#define OTHERS 0.5

struct room {
    float *whole, *without; /* [batch][n] */
    uint32_t *order;        /* [batch][n] */
    float *mask;            /* [batch][n] of a's lists, one item hidden */
};

/* The lists without what stands at place k, which goes to the end. */
static void leave_out(const struct rec_judge *j, const struct rec_asked *a,
                      size_t n, const uint32_t *order, size_t k,
                      const struct room *r)
{
    memcpy(r->mask, a->mask, j->batch * n * sizeof(*r->mask));
    for (size_t b = 0; b < j->batch; b++) {
        const uint32_t *from = order + b * n;
        uint32_t *to = r->order + b * n;

        memcpy(to, from, k * sizeof(*to));
        memcpy(to + k, from + k + 1, (n - k - 1) * sizeof(*to));
        to[n - 1] = from[k];
        r->mask[b * n + from[k]] = 0;
    }
}

/* What the others, which stand behind place k and before it, gain by it. */
static enum err others(struct rec_judge *j, const struct rec_asked *a, size_t n,
                       const uint32_t *order, size_t k, const struct room *r,
                       float *out, size_t stride)
{
    struct rec_asked hidden = *a;

    hidden.mask = r->mask;
    leave_out(j, a, n, order, k, r);
    ERR_TRY(rec_judge_ask(j, &hidden, n, r->order, r->without));
    for (size_t b = 0; b < j->batch; b++) {
        double sum = 0;

        for (size_t c = 0; c < n; c++) {
            const size_t at = b * n + c;

            if (c != k && a->mask[b * n + order[at]] > 0)
                sum += (double)r->whole[at] - (double)r->without[at - (c > k)];
        }
        out[b * stride + k] += (float)(OTHERS * sum);
    }
    return ERR_OK;
}

static enum err reward(struct rec_judge *j, const struct rec_asked *a,
                       const struct rec_tried *t, float *out)
{
    struct mem_scratch s = {0};
    struct room r = {
        .whole = mem_take(&s, j->batch, t->n, sizeof(float)),
        .without = mem_take(&s, j->batch, t->n, sizeof(float)),
        .order = mem_take(&s, j->batch, t->n, sizeof(uint32_t)),
        .mask = mem_take(&s, j->batch, t->n, sizeof(float)),
    };
    enum err e = s.failed ? err_set(ERR_NOMEM, "no memory for rewards")
                          : rec_judge_ask(j, a, t->n, t->order, r.whole);

    if (e == ERR_OK)
        rec_judge_rewards(j, t->n, t->places, r.whole, out);
    for (size_t k = t->first; k < t->end && e == ERR_OK; k++)
        e = others(j, a, t->n, t->order, k, &r, out, t->places);
    mem_drop(&s);
    return e;
}

static const struct rec_slate_maker maker = {
    .kind = {.pointer = true, .pooled = true, .loss = REC_SLATE_PPO},
    .judge = rec_judge_attending,
    .reward = reward,
};

REC_SLATE_RERANKER(grn,
                   "a pointer network that learns what its items do to others",
                   maker, false, "")
