/*
 * rec/rerank_mir.c - the list beside the person's history.
 *
 * Items have vectors of their own, learnt here; the list is read by
 * self-attention, the history as a set; each candidate attends to the history,
 * and the history to the list; what both say is scored by two layers.
 *
 * Source: Xi et al., Multi-level interaction reranking with user behavior
 * history, SIGIR 2022.  Differs: histories have no order here, so that there is
 * no LSTM over them and no decay with time; the affinity of candidates and
 * history is that of scaled attention; the loss is list-wise.
 */
#include "rec/rerank.h"

#define HEADS 2
#define DEV 0.02 /* of the first vectors */

/* The history as one vector that knows the list, for each candidate. */
static struct nn_tensor *history(struct nn_tape *t, const struct rec_lists *l,
                                 struct nn_tensor *v, struct nn_tensor *q)
{
    const struct nn_attend to_list = {.heads = HEADS, .mask = l->mask};
    struct nn_tensor *h =
        nn_attend(t, nn_linear_free(t, v, "net/past/q", l->dim),
                  nn_linear_free(t, q, "net/past/k", l->dim),
                  nn_linear_free(t, q, "net/past/v", l->dim), &to_list);
    struct nn_tensor *weight =
        nn_shape_as(t, l->past_mask, 3, (size_t[]){l->batch, 1, REC_PAST});

    h = nn_map(t, nn_map_add(t, v, h), NN_TANH);
    h = nn_linear_product(t, weight, h, false); /* [batch][1][dim] */
    h = nn_shape_as(t, nn_map_scale(t, h, 1.0 / REC_PAST, 0), 2,
                    (size_t[]){l->batch, l->dim});
    return nn_shape_repeat(t, h, 1, l->n);
}

static struct nn_tensor *build(struct nn_tape *t, const struct rec_lists *l)
{
    const struct nn_attend to_past = {.heads = HEADS, .mask = l->past_mask};
    struct nn_tensor *q = nn_linear(t, l->x, "net/in", l->dim, NN_NONE);
    struct nn_tensor *v =
        nn_embed(t, l->past, "net/item", l->n_items, l->dim, DEV);

    q = nn_map_add(t, q,
                   nn_embed(t, l->item, "net/item", l->n_items, l->dim, DEV));
    q = rec_lists_block(t, l, q, "net/list", HEADS);
    struct nn_tensor *met =
        nn_attend(t, nn_linear_free(t, q, "net/met/q", l->dim),
                  nn_linear_free(t, v, "net/met/k", l->dim),
                  nn_linear_free(t, v, "net/met/v", l->dim), &to_past);
    struct nn_tensor *all[4] = {q, met, nn_map_mul(t, q, met),
                                history(t, l, v, q)};
    struct nn_tensor *h = nn_shape_concat(t, 4, all, 2);

    h = nn_linear(t, h, "net/first", 2 * l->dim, NN_RELU);
    h = nn_map_drop(t, h, "net/drop", l->drop, l->keys);
    h = nn_linear(t, h, "net/second", l->dim, NN_RELU);
    return rec_lists_flat(t, l, nn_linear(t, h, "net/out", 1, NN_NONE));
}

extern const struct rec_reranker rec_reranker_mir;
const struct rec_reranker rec_reranker_mir = {
    .name = "mir",
    .help = "the list beside the person's history, with vectors of the items",
    .build = build,
    .items = true,
};
