/*
 * rec/rerank_cmr.c - lists between accuracy and diversity, chosen by a
 * preference when serving.
 *
 * One generator for all preferences: the weights of its last layer come out of
 * a small network that reads the preference, and what is scored hangs on it.
 * Reward of a place: preference times what the evaluator says of its item and
 * those below, in means of all items, and the rest times how unlike they are to
 * what stands above them.
 *
 * Source: Chen et al., Controllable multi-objective re-ranking with policy
 * hypernetworks, KDD 2023.  Differs: the public code counts a later place with
 * .3 to the power of how far it is, which does not see what a click costs
 * below; diversity is one less the largest cosine of kinship (of features,
 * where lists have no items), not of categories; what a choice gained is told
 * by another one in its place; it learns by PPO, and half of the lists practise
 * the preference that it serves by default.
 */
#include <stdlib.h>

#include "rec/rerank_plain.h"
#include "rec/slate.h"

/* One less the largest cosine with what stands above; the first is no nearer
 * to anything. */
static float unlike(const float *alike, size_t n, const uint32_t *order,
                    size_t k)
{
    float most = k == 0 ? 0 : -1;

    for (size_t above = 0; above < k; above++) {
        const float c = alike[order[k] * n + order[above]];

        most = c > most ? c : most;
    }
    return 1 - most;
}

static enum err reward(struct rec_judge *j, const struct rec_asked *a,
                       const struct rec_tried *t, float *out)
{
    const size_t n = t->n, w = a->kin != NULL ? a->n_kin : j->features;
    const float *of = a->kin != NULL ? a->kin : a->x;
    float *p = mem_array(j->batch * n, sizeof(*p));
    float *alike = mem_array(n * n, sizeof(*alike));
    enum err e = p == NULL || alike == NULL
                     ? err_set(ERR_NOMEM, "no memory for rewards")
                     : rec_judge_ask(j, a, n, t->order, p);
    const double mean = j->taken + 1e-6; /* so that both are about 1 */

    for (size_t b = 0; b < j->batch && e == ERR_OK; b++) {
        const double wish = t->wish[b];
        float next = 0;

        rec_plain_alike(of + b * n * w, w, n, alike);
        for (size_t k = t->places; k-- > 0;) {
            next = (float)(wish * (double)p[b * n + k] / mean) +
                   (float)(1 - wish) * unlike(alike, n, t->order + b * n, k) +
                   next;
            out[b * t->places + k] = next;
        }
    }
    free(alike);
    free(p);
    return e;
}

static const struct rec_slate_maker maker = {
    .kind = {.pointer = true,
             .pooled = true,
             .steered = true,
             .loss = REC_SLATE_PPO},
    .judge = rec_judge_channels,
    .reward = reward,
};

REC_SLATE_RERANKER(cmr, "lists between accuracy and diversity (--trade)", maker,
                   true, " trade")
