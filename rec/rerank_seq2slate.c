/*
 * rec/rerank_seq2slate.c - places filled one after the other, learnt from what
 * was taken.
 *
 * Source: Bello et al., Seq2Slate, arXiv 1810.02019, cross entropy.
 * Differs: the public code feeds the first stage's order while it learns, and
 * has a hinge between the least of what was taken and the best of what was not,
 * which follows the noise of single labels; here the state reads the items that
 * were placed, and every place counts as NDCG counts it.  --faithful has the
 * public code's prefix and hinge, and draws the order when serving.
 */
#include "rec/slate.h"

static const struct rec_slate_maker maker = {
    .kind = {.lstm = true, .loss = REC_SLATE_LABELS},
};

REC_SLATE_RERANKER(seq2slate, "places filled one after the other", maker, false,
                   " faithful")
