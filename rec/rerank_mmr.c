/*
 * rec/rerank_mmr.c - the best score among what is unlike that which stands
 * above: trade score - (1 - trade) cosine with the nearest of the chosen.
 *
 * Source: Carbonell & Goldstein, The use of MMR, SIGIR 1998.
 */
#include "rec/rerank_plain.h"

static void choose(const struct rec_plain *l, uint32_t *order)
{
    float nearest[REC_LIST_MOST];
    bool taken[REC_LIST_MOST] = {false};

    for (size_t k = 0; k < l->n; k++)
        nearest[k] = 0;
    for (size_t place = 0; place < l->n; place++) {
        double best = -1e30;
        size_t at = 0;

        for (size_t k = 0; k < l->n; k++) {
            const double worth = l->trade * (double)l->score[k] -
                                 (1 - l->trade) * (double)nearest[k];

            if (!taken[k] && worth > best) {
                best = worth;
                at = k;
            }
        }
        taken[at] = true;
        order[place] = (uint32_t)at;
        for (size_t k = 0; k < l->n; k++) {
            const float a = l->alike[at * l->n + k];

            nearest[k] = place == 0 || a > nearest[k] ? a : nearest[k];
        }
    }
}

REC_PLAIN_RERANKER(mmr, "score against being like what stands above (greedy)",
                   choose, true, "trade")
