/* rec/faithful.c - the parts that the public code's networks share. */
#include "rec/faithful.h"

#include <stdio.h>

#define EPS 1e-3   /* of its batch norm */
#define TINY 1e-7  /* inside its logarithms */
#define STEEP 1e12 /* a step from 0 to 1, without gradient */

/* [..][c] as rows [r][c]. */
static struct nn_tensor *rows_of(struct nn_tape *t, struct nn_tensor *x)
{
    const size_t c = x->dim[x->n_dims - 1];

    return nn_shape_as(t, x, 2, (size_t[]){x->n / c, c});
}

struct nn_tensor *rec_faithful_norm(struct nn_tape *t,
                                    const struct rec_lists *l,
                                    struct nn_tensor *x, const char *name)
{
    const size_t c = x->dim[x->n_dims - 1];
    const struct nn_init one = {.kind = NN_INIT_CONSTANT, .scale = 1};
    const struct nn_init zero = {.kind = NN_INIT_ZERO};
    char gain[64], bias[64];
    struct nn_tensor *learning =
        nn_shape_as(t, nn_shape_repeat(t, l->learning, 1, c), 1, (size_t[]){c});
    struct nn_tensor *mean = nn_reduce_axis_mean(t, rows_of(t, x), 0);
    struct nn_tensor *far = nn_map_sub(t, rows_of(t, x), mean);
    struct nn_tensor *variance =
        nn_reduce_axis_mean(t, nn_map(t, far, NN_SQUARE), 0);

    (void)snprintf(gain, sizeof(gain), "%s/gain", name);
    (void)snprintf(bias, sizeof(bias), "%s/bias", name);
    /* 1 + learning (variance - 1): 1 when serving */
    variance = nn_map_mul(t, nn_map_scale(t, variance, 1, -1), learning);
    variance = nn_map(t, nn_map_scale(t, variance, 1, 1 + EPS), NN_SQRT);
    x = nn_map_sub(t, x, nn_map_mul(t, mean, learning));
    x = nn_map_div(t, x, variance);
    x = nn_map_mul(t, x, nn_linear_param(t, gain, 1, &c, one));
    return nn_map_add(t, x, nn_linear_param(t, bias, 1, &c, zero));
}

/* 0 where there is no item. */
static struct nn_tensor *hide(struct nn_tape *t, const struct rec_lists *l,
                              struct nn_tensor *x)
{
    return nn_map_mul(t, x,
                      nn_shape_repeat(t, l->mask, 2, x->dim[x->n_dims - 1]));
}

struct nn_tensor *rec_faithful_block(struct nn_tape *t,
                                     const struct rec_lists *l,
                                     struct nn_tensor *x, size_t width,
                                     size_t heads, size_t inner)
{
    const struct nn_attend how = {.heads = heads,
                                  .mask = l->mask,
                                  .drop = l->drop,
                                  .drop_name = "net/attend/drop",
                                  .keys = l->keys};

    x = hide(t, l, nn_attend_self(t, x, "net/attend", width, &how));
    x = rec_faithful_norm(t, l, x, "net/norm1");
    struct nn_tensor *y = nn_linear(t, x, "net/wide", inner, NN_RELU);

    y = nn_linear(t, y, "net/narrow", width, NN_NONE);
    y = nn_map_drop(t, y, "net/drop", l->drop, l->keys);
    return rec_faithful_norm(t, l, nn_map_add(t, y, x), "net/norm2");
}

struct nn_tensor *rec_faithful_head(struct nn_tape *t,
                                    const struct rec_lists *l,
                                    struct nn_tensor *x, size_t first,
                                    size_t second, bool drop)
{
    x = rec_faithful_norm(t, l, x, "net/last");
    x = nn_linear(t, x, "net/first", first, NN_RELU);
    if (drop)
        x = nn_map_drop(t, x, "net/drop1", l->drop, l->keys);
    if (second > 0) {
        x = nn_linear(t, x, "net/second", second, NN_RELU);
        x = nn_map_drop(t, x, "net/drop2", l->drop, l->keys);
    }
    return rec_lists_flat(t, l, nn_linear(t, x, "net/out", 1, NN_NONE));
}

/* --- losses ----------------------------------------------------------------
 */

static struct nn_tensor *safe_log(struct nn_tape *t, struct nn_tensor *p)
{
    return nn_map(t, nn_map_scale(t, p, 1, TINY), NN_LOG);
}

struct nn_tensor *rec_faithful_log_loss(struct nn_tape *t,
                                        const struct rec_lists *l,
                                        struct nn_tensor *p,
                                        struct nn_tensor *label)
{
    struct nn_tensor *yes = nn_map_mul(t, safe_log(t, p), label);
    struct nn_tensor *no = safe_log(t, nn_map_scale(t, p, -1, 1));

    (void)l; /* empty places count too */
    no = nn_map_mul(t, no, nn_map_scale(t, label, -1, 1));
    return nn_map_scale(t, nn_reduce_mean(t, nn_map_add(t, yes, no), NULL), -1,
                        0);
}

/* x of each list divided by its sum. */
static struct nn_tensor *share_of(struct nn_tape *t, const struct rec_lists *l,
                                  struct nn_tensor *x)
{
    struct nn_tensor *sum =
        nn_map_scale(t, nn_reduce_axis_sum(t, x, 1), 1, TINY);

    return nn_map_div(t, x, nn_shape_repeat(t, sum, 1, l->n));
}

struct nn_tensor *rec_faithful_softmax_loss(struct nn_tape *t,
                                            const struct rec_lists *l,
                                            struct nn_tensor *p,
                                            struct nn_tensor *label)
{
    struct nn_tensor *x = nn_map_mul(t, share_of(t, l, label), safe_log(t, p));

    return nn_map_scale(t, nn_reduce_sum(t, x, NULL), -1, 0);
}

/* e^x where x is above 0, else 0; no gradient in the step. */
static struct nn_tensor *above(struct nn_tape *t, struct nn_tensor *x)
{
    struct nn_tensor *step = nn_map_clip(t, nn_map_scale(t, x, STEEP, 0), 0, 1);

    return nn_map_mul(t, nn_map(t, x, NN_EXP), nn_map_stop(t, step));
}

struct nn_tensor *rec_faithful_share_loss(struct nn_tape *t,
                                          const struct rec_lists *l,
                                          struct nn_tensor *score,
                                          struct nn_tensor *label)
{
    return rec_faithful_log_loss(t, l, share_of(t, l, above(t, score)),
                                 share_of(t, l, above(t, label)));
}
