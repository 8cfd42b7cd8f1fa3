/*
 * rec/rerank_grn.c - a pointer network that learns from an evaluator which
 * reads the list from both ends and attends to all of it.
 *
 * Reward of a place: what the evaluator says of its item and of all below, less
 * what it would say with another item there (rec/slate_learn.c).
 *
 * Source: Feng et al., GRN: Generative rerank network for context-wise
 * recommendation, arXiv 2104.00860.  Differs: the paper's self reward is that
 * of the item alone; its differential reward asks how the others do without the
 * item, in a list that is one shorter: another item in its place says the same
 * of a list as it will be (in the world of rec/clicks.h .974 of the best clicks
 * instead of .956, docs/rerank.md).
 */
#include "rec/slate.h"

static const struct rec_slate_maker maker = {
    .kind = {.pointer = true, .pooled = true, .loss = REC_SLATE_PPO},
    .judge = rec_judge_attending,
    .reward = rec_slate_return,
};

REC_SLATE_RERANKER(
    grn, "a pointer network that learns from an evaluator of both ends", maker,
    false, "")
