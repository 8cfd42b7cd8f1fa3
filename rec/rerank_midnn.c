/*
 * rec/rerank_midnn.c - each item with its place among the others.
 *
 * An item is seen as its features and as their position between the least and
 * the largest of the list; three layers follow.
 *
 * Source: Zhuang, Ou & Wang, Globally optimized mutual influence aware ranking
 * in e-commerce search, IJCAI 2018.  Differs: layer norm where the public code
 * has a batch norm that is never updated; the loss is list-wise.
 */
#include "rec/faithful.h"
#include "rec/rerank.h"

/* The largest of each feature over the list, [batch][1][features] repeated to
 * [batch][n][features]; turned: the least. */
static struct nn_tensor *extreme(struct nn_tape *t, const struct rec_lists *l,
                                 struct nn_tensor *x, bool least)
{
    struct nn_tensor *y = least ? nn_map_scale(t, x, -1, 0) : x;

    y = nn_reduce_axis_max(t, y, 1);
    y = nn_shape_repeat(t, y, 1, l->n);
    return least ? nn_map_scale(t, y, -1, 0) : y;
}

static struct nn_tensor *build(struct nn_tape *t, const struct rec_lists *l)
{
    struct nn_tensor *lo = extreme(t, l, l->x, true);
    struct nn_tensor *hi = extreme(t, l, l->x, false);
    struct nn_tensor *range = nn_map_scale(t, nn_map_sub(t, hi, lo), 1, 1e-3);
    struct nn_tensor *both[2] = {l->x,
                                 nn_map_div(t, nn_map_sub(t, l->x, lo), range)};
    struct nn_tensor *h = nn_shape_concat(t, 2, both, 2);

    h = nn_linear(t, h, "net/first", 4 * l->dim, NN_RELU);
    h = nn_norm(t, h, "net/norm");
    h = nn_map_drop(t, h, "net/drop1", l->drop, l->keys);
    h = nn_linear(t, h, "net/second", 2 * l->dim, NN_RELU);
    h = nn_map_drop(t, h, "net/drop2", l->drop, l->keys);
    h = nn_linear(t, h, "net/third", l->dim, NN_RELU);
    return rec_lists_flat(t, l, nn_linear(t, h, "net/out", 1, NN_NONE));
}

/* As the public code has it: widths of 512, 256 and 128, and a loss for each
 * item by itself. */
static struct nn_tensor *build_faithful(struct nn_tape *t,
                                        const struct rec_lists *l)
{
    struct nn_tensor *lo = extreme(t, l, l->x, true);
    struct nn_tensor *hi = extreme(t, l, l->x, false);
    struct nn_tensor *range = nn_map_scale(t, nn_map_sub(t, hi, lo), 1, 1e-8);
    struct nn_tensor *both[2] = {l->x,
                                 nn_map_div(t, nn_map_sub(t, l->x, lo), range)};
    struct nn_tensor *h = nn_shape_concat(t, 2, both, 2);

    h = rec_faithful_norm(t, l, h, "net/norm");
    h = nn_linear(t, h, "net/first", 512, NN_RELU);
    h = nn_map_drop(t, h, "net/drop1", l->drop, l->keys);
    h = nn_linear(t, h, "net/second", 256, NN_RELU);
    h = nn_map_drop(t, h, "net/drop2", l->drop, l->keys);
    h = nn_linear(t, h, "net/third", 128, NN_RELU);
    h = nn_map_drop(t, h, "net/drop3", l->drop, l->keys);
    return rec_lists_flat(t, l, nn_linear(t, h, "net/out", 1, NN_SIGMOID));
}

static const struct rec_faithful faithful = {build_faithful,
                                             rec_faithful_log_loss};

extern const struct rec_reranker rec_reranker_midnn;
const struct rec_reranker rec_reranker_midnn = {
    .name = "midnn",
    .help = "items with their place between the list's extremes, three layers",
    .build = build,
    .faithful = &faithful,
};
