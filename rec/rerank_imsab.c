/*
 * rec/rerank_imsab.c - SetRank with induced points: cost grows with the length
 * of the list, not with its square.
 *
 * POINTS learnt vectors attend to the list, then the list attends to them.
 *
 * Source: Pang et al., SetRank, SIGIR 2020, section 3.3.2; Lee et al., Set
 * transformer, ICML 2019.
 */
#include <stdio.h>

#include "rec/rerank.h"

#define POINTS 20
#define HEADS 4

static const char *part_of(char out[64], const char *name, const char *part)
{
    (void)snprintf(out, 64, "%s/%s", name, part);
    return out;
}

/* x reads y (mask: of y, or NULL), each step added and normalised. */
static struct nn_tensor *read_set(struct nn_tape *t, const struct rec_lists *l,
                                  struct nn_tensor *x, struct nn_tensor *y,
                                  struct nn_tensor *mask, const char *name)
{
    const struct nn_attend how = {.heads = HEADS, .mask = mask};
    char at[64];
    struct nn_tensor *q = nn_linear_free(t, x, part_of(at, name, "q"), l->dim);
    struct nn_tensor *k = nn_linear_free(t, y, part_of(at, name, "k"), l->dim);
    struct nn_tensor *v = nn_linear_free(t, y, part_of(at, name, "v"), l->dim);
    struct nn_tensor *h = nn_attend(t, q, k, v, &how);

    h = nn_linear(t, h, part_of(at, name, "mix"), l->dim, NN_NONE);
    h = nn_norm(t, nn_map_add(t, x, h), part_of(at, name, "norm1"));
    struct nn_tensor *wide =
        nn_linear(t, h, part_of(at, name, "wide"), 2 * l->dim, NN_RELU);

    wide = nn_linear(t, wide, part_of(at, name, "narrow"), l->dim, NN_NONE);
    return nn_norm(t, nn_map_add(t, h, wide), part_of(at, name, "norm2"));
}

static struct nn_tensor *block(struct nn_tape *t, const struct rec_lists *l,
                               struct nn_tensor *x, const char *name)
{
    const size_t shape[2] = {POINTS, l->dim};
    const struct nn_init unit = {.kind = NN_INIT_NORMAL, .scale = 1};
    char at[64], in[64], out[64];
    struct nn_tensor *points =
        nn_linear_param(t, part_of(at, name, "points"), 2, shape, unit);

    points = nn_shape_repeat(t, points, 0, l->batch);
    points = read_set(t, l, points, x, l->mask, part_of(in, name, "in"));
    return read_set(t, l, x, points, NULL, part_of(out, name, "out"));
}

static struct nn_tensor *build(struct nn_tape *t, const struct rec_lists *l)
{
    struct nn_tensor *h = nn_linear(t, l->x, "net/in", l->dim, NN_NONE);

    h = block(t, l, h, "net/block1");
    h = nn_map_drop(t, h, "net/drop1", l->drop, l->keys);
    h = block(t, l, h, "net/block2");
    h = nn_map_drop(t, h, "net/drop2", l->drop, l->keys);
    return rec_lists_flat(t, l, nn_linear(t, h, "net/out", 1, NN_NONE));
}

extern const struct rec_reranker rec_reranker_imsab;
const struct rec_reranker rec_reranker_imsab = {
    .name = "imsab",
    .help = "setrank through induced points",
    .build = build,
};
