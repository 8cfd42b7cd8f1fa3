/*
 * kernels/topk.h - what the twins of topk_push share.
 *
 * Up to KRN_TOPK_SORTED the held scores are sorted, worst first: an insertion
 * is one search and one short move without a mispredicted branch, and a
 * sorted array is a heap.  Above, a binary heap.
 */
#ifndef KRN_TOPK_H
#define KRN_TOPK_H

#include "kernels/ops.h"

#define KRN_TOPK_SORTED 1024

/* Whether (score s, id i) ranks below (score r, id j). */
static inline bool krn_topk_worse(float s, uint32_t i, float r, uint32_t j)
{
    return s < r || (s == r && i > j);
}

/* Offer one score; NaN counts as -infinity. */
void krn_topk_offer(struct krn_topk *t, float score, uint32_t id);

#endif
