/*
 * rec/rerank_srga.c - what stands above, and what stands near, through a gate.
 *
 * A reader comes from above: attention of global scope sees the items before
 * alone; attention of local scope sees the neighbours; a gate says, for each
 * item and dimension, which of them counts.
 *
 * Source: Qian et al., Scope-aware re-ranking with gated attention in feed,
 * WSDM 2022.  Differs: residuals and layer norm around each part; the loss is
 * list-wise.
 */
#include "rec/rerank.h"

#define NEAR 3 /* places on each side */

static struct nn_tensor *build(struct nn_tape *t, const struct rec_lists *l)
{
    const size_t shape[2] = {l->n, l->dim};
    const struct nn_init small = {.kind = NN_INIT_NORMAL, .scale = 0.02};
    const struct nn_attend above = {
        .heads = 2, .causal = true, .mask = l->mask};
    const struct nn_attend near = {.heads = 2, .window = NEAR, .mask = l->mask};
    struct nn_tensor *h = nn_linear(t, l->x, "net/in", l->dim, NN_NONE);

    h = nn_map_add(t, h, nn_linear_param(t, "net/position", 2, shape, small));
    struct nn_tensor *scope[2] = {
        nn_attend_self(t, h, "net/above", l->dim, &above),
        nn_attend_self(t, h, "net/near", l->dim, &near)};
    struct nn_tensor *gate = nn_linear(t, nn_shape_concat(t, 2, scope, 2),
                                       "net/gate", l->dim, NN_SIGMOID);
    struct nn_tensor *mixed = nn_map_add(
        t, scope[1], nn_map_mul(t, gate, nn_map_sub(t, scope[0], scope[1])));

    mixed = nn_map_drop(t, mixed, "net/drop1", l->drop, l->keys);
    h = nn_norm(t, nn_map_add(t, h, mixed), "net/norm1");
    struct nn_tensor *wide = nn_linear(t, h, "net/wide", 2 * l->dim, NN_RELU);

    wide = nn_linear(t, wide, "net/narrow", l->dim, NN_NONE);
    wide = nn_map_drop(t, wide, "net/drop2", l->drop, l->keys);
    h = nn_norm(t, nn_map_add(t, h, wide), "net/norm2");
    return rec_lists_flat(t, l, nn_linear(t, h, "net/out", 1, NN_NONE));
}

extern const struct rec_reranker rec_reranker_srga;
const struct rec_reranker rec_reranker_srga = {
    .name = "srga",
    .help = "attention above and near, gated",
    .build = build,
};
