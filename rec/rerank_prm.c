/*
 * rec/rerank_prm.c - self-attention over the list, positions added.
 *
 * Source: Pei et al., Personalized re-ranking for recommendation, RecSys 2019.
 * Differs: layer norm and residuals as in the paper (the public code has a
 * batch norm that is never updated); the loss is list-wise.
 */
#include "rec/faithful.h"
#include "rec/rerank.h"

static struct nn_tensor *build(struct nn_tape *t, const struct rec_lists *l)
{
    const size_t shape[2] = {l->n, l->dim};
    const struct nn_init small = {.kind = NN_INIT_NORMAL, .scale = 0.02};
    struct nn_tensor *h = nn_linear(t, l->x, "net/in", l->dim, NN_NONE);

    h = nn_map_add(t, h, nn_linear_param(t, "net/position", 2, shape, small));
    h = rec_lists_block(t, l, h, "net/block", 2);
    h = nn_linear(t, h, "net/last", l->dim, NN_RELU);
    return rec_lists_flat(t, l, nn_linear(t, h, "net/out", 1, NN_NONE));
}

/* As the public code has it: positions as wide as the features, one block of 64
 * without residual, and a loss for each probability of a softmax. */
static struct nn_tensor *build_faithful(struct nn_tape *t,
                                        const struct rec_lists *l)
{
    const size_t shape[2] = {l->n, l->features};
    const struct nn_init unit = {.kind = NN_INIT_NORMAL, .scale = 1};
    struct nn_tensor *h =
        nn_map_add(t, l->x, nn_linear_param(t, "net/position", 2, shape, unit));

    h = rec_faithful_block(t, l, h, 64, 1, 128);
    h = rec_faithful_head(t, l, h, 64, 0, true);
    return nn_map_mul(t, nn_reduce_softmax(t, h, NULL), l->mask);
}

static const struct rec_faithful faithful = {build_faithful,
                                             rec_faithful_log_loss};

extern const struct rec_reranker rec_reranker_prm;
const struct rec_reranker rec_reranker_prm = {
    .name = "prm",
    .help = "self-attention with positions",
    .build = build,
    .faithful = &faithful,
};
