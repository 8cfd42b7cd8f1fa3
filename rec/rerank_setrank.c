/*
 * rec/rerank_setrank.c - self-attention over the list as a set.
 *
 * Without positions, so that the order in which items are given does not
 * matter: two blocks of multi-head self-attention (MSAB).
 *
 * Source: Pang et al., SetRank: learning a permutation-invariant ranking model
 * for information retrieval, SIGIR 2020, section 3.3.1.
 */
#include "rec/faithful.h"
#include "rec/rerank.h"

static struct nn_tensor *build(struct nn_tape *t, const struct rec_lists *l)
{
    struct nn_tensor *h = nn_linear(t, l->x, "net/in", l->dim, NN_NONE);

    h = rec_lists_block(t, l, h, "net/block1", 4);
    h = rec_lists_block(t, l, h, "net/block2", 4);
    return rec_lists_flat(t, l, nn_linear(t, h, "net/out", 1, NN_NONE));
}

/* As the public code has it: one block of eight heads, and a loss of shares. */
static struct nn_tensor *build_faithful(struct nn_tape *t,
                                        const struct rec_lists *l)
{
    struct nn_tensor *h = rec_faithful_block(t, l, l->x, 256, 8, 64);

    h = nn_map(t, rec_faithful_head(t, l, h, 200, 80, true), NN_SIGMOID);
    return nn_map_mul(t, h, l->mask);
}

static const struct rec_faithful faithful = {build_faithful,
                                             rec_faithful_share_loss};

extern const struct rec_reranker rec_reranker_setrank;
const struct rec_reranker rec_reranker_setrank = {
    .name = "setrank",
    .help = "self-attention over the list as a set",
    .build = build,
    .faithful = &faithful,
};
