/*
 * rec/rerank_dlcm.c - a recurrent network reads the list.
 *
 * From the last item to the first; the last state tells what the list is like,
 * and scores an item by its own state.
 *
 * Source: Ai et al., Learning a deep listwise context model for ranking
 * refinement, SIGIR 2018 (the public code reads from the first to the last).
 */
#include "rec/faithful.h"
#include "rec/rerank.h"

static struct nn_tensor *build(struct nn_tape *t, const struct rec_lists *l)
{
    const struct nn_gru how = {.reverse = true, .mask = l->mask};
    struct nn_tensor *x = nn_linear(t, l->x, "net/in", l->dim, NN_RELU);
    struct nn_tensor *h = nn_gru(t, x, "net/gru", l->dim, &how);
    struct nn_tensor *s = nn_shape_slice(t, h, 1, 0, 1); /* read last */

    s = nn_shape_as(t, s, 2, (size_t[]){l->batch, l->dim});
    s = nn_linear(t, s, "net/context", l->dim, NN_TANH);
    s = nn_map_drop(t, s, "net/drop", l->drop, l->keys);
    s = nn_shape_repeat(t, s, 1, l->n);
    h = nn_map_mul(t, nn_norm(t, h, "net/norm"), s);
    return rec_lists_flat(t, l, nn_linear(t, h, "net/out", 1, NN_NONE));
}

/* As the public code has it: read from the first item to the last, scores above
 * the least of the list, and a loss of shares. */
static struct nn_tensor *build_faithful(struct nn_tape *t,
                                        const struct rec_lists *l)
{
    const struct nn_gru how = {.mask = l->mask};
    struct nn_tensor *h = nn_gru(t, l->x, "net/gru", 64, &how);
    struct nn_tensor *s = nn_shape_slice(t, h, 1, l->n - 1, l->n);

    s = nn_shape_as(t, s, 2, (size_t[]){l->batch, 64});
    s = rec_faithful_norm(t, l, s, "net/norm1");
    s = nn_linear(t, s, "net/context", 64, NN_TANH);
    s = nn_map_drop(t, s, "net/drop", l->drop, l->keys);
    s = nn_shape_repeat(t, s, 1, l->n);
    h = nn_map_mul(t, rec_faithful_norm(t, l, h, "net/norm2"), s);
    h = rec_lists_flat(t, l, nn_linear(t, h, "net/out", 1, NN_NONE));
    h = nn_map_mul(t, h, l->mask);
    s = nn_reduce_axis_max(t, nn_map_scale(t, h, -1, 0),
                           1); /* less the least */
    return nn_map_add(t, h, nn_shape_repeat(t, s, 1, l->n));
}

static const struct rec_faithful faithful = {build_faithful,
                                             rec_faithful_share_loss};

extern const struct rec_reranker rec_reranker_dlcm;
const struct rec_reranker rec_reranker_dlcm = {
    .name = "dlcm",
    .help = "a recurrent network that reads the list from its end",
    .build = build,
    .faithful = &faithful,
};
