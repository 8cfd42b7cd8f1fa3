/*
 * rec/rerank_gsf.c - groups of items score each other.
 *
 * Groups of two: an item's score is the mean of what a network says of it
 * beside each of the others and itself.  The network's first layer is a sum of
 * what it sees of the one and of the other, so that it is computed once for
 * each item.
 *
 * Source: Ai et al., Learning groupwise multivariate scoring functions using
 * deep neural networks, ICTIR 2019.
 */
#include "rec/faithful.h"
#include "rec/rerank.h"

static struct nn_tensor *build(struct nn_tape *t, const struct rec_lists *l)
{
    const size_t width = l->dim / 2;
    struct nn_tensor *own = nn_linear(t, l->x, "net/own", width, NN_NONE);
    struct nn_tensor *other = nn_linear_free(t, l->x, "net/other", width);

    /* [batch][n][n][width]: item i beside item j */
    own = nn_shape_repeat(t, own, 2, l->n);
    other = nn_shape_repeat(t, other, 1, l->n);
    struct nn_tensor *h = nn_map(t, nn_map_add(t, own, other), NN_RELU);

    h = nn_linear(t, h, "net/second", width, NN_RELU);
    h = nn_linear(t, h, "net/out", 1, NN_NONE);
    h = nn_shape_as(t, h, 3, (size_t[]){l->batch, l->n, l->n});
    return nn_reduce_axis_mean(t, h, 2);
}

/* As the public code has it: groups of one, so that an item's score knows
 * nothing of the others; empty places take part in the softmax. */
static struct nn_tensor *build_faithful(struct nn_tape *t,
                                        const struct rec_lists *l)
{
    struct nn_tensor *h = rec_faithful_norm(t, l, l->x, "net/norm1");

    h = nn_linear(t, h, "net/first", 512, NN_RELU);
    h = rec_faithful_norm(t, l, h, "net/norm2");
    h = nn_linear(t, h, "net/second", 256, NN_RELU);
    h = rec_faithful_norm(t, l, h, "net/norm3");
    h = nn_linear(t, h, "net/third", 128, NN_RELU);
    h = rec_faithful_norm(t, l, h, "net/norm4");
    h = nn_linear(t, h, "net/out", 1, NN_SIGMOID);
    return nn_reduce_softmax(t, rec_lists_flat(t, l, h), NULL);
}

static const struct rec_faithful faithful = {build_faithful,
                                             rec_faithful_softmax_loss};

extern const struct rec_reranker rec_reranker_gsf;
const struct rec_reranker rec_reranker_gsf = {
    .name = "gsf",
    .help = "items scored beside each of the others",
    .build = build,
    .faithful = &faithful,
};
