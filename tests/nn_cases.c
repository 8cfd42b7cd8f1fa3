/* tests/nn_cases.c - the table of small networks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/nn_cases.h"

#define DIM(...)                                                               \
    (sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t)), (size_t[])             \
    {                                                                          \
        __VA_ARGS__                                                            \
    }

static struct nn_tensor *leaf_in(struct nn_case_net *g, double low, double high,
                                 size_t n_dims, const size_t *dim)
{
    const size_t i = g->n_leaves++;

    g->low[i] = low;
    g->high[i] = high;
    g->leaf[i] = nn_tape_leaf(g->t, "leaf", n_dims, dim);
    return g->leaf[i];
}

static struct nn_tensor *leaf(struct nn_case_net *g, size_t n_dims,
                              const size_t *dim)
{
    return leaf_in(g, -1, 1, n_dims, dim);
}

/* An input without gradient: of 0 and 1 (mask), or numbers. */
static struct nn_tensor *fixed(struct nn_case_net *g, bool mask, double low,
                               double high, size_t n_dims, const size_t *dim)
{
    const size_t i = g->n_leaves++;

    g->low[i] = low;
    g->high[i] = high;
    g->step[i] = mask;
    g->leaf[i] = nn_tape_input(g->t, "fixed", n_dims, dim);
    return g->leaf[i];
}

static struct nn_tensor *mask_of(struct nn_case_net *g, size_t n_dims,
                                 const size_t *dim)
{
    return fixed(g, true, 0, 1, n_dims, dim);
}

static struct nn_tensor *ids_of(struct nn_case_net *g, size_t n_dims,
                                const size_t *dim)
{
    g->ids[g->n_ids] = nn_tape_ids(g->t, "ids", n_dims, dim);
    return g->ids[g->n_ids++];
}

/* --- linear ------------------------------------------------------------------
 */

#define LINEAR(NAME, ACT)                                                      \
    static struct nn_tensor *NAME(struct nn_case_net *g)                       \
    {                                                                          \
        return nn_linear(g->t, leaf(g, DIM(5, 3)), "l", 4, ACT);               \
    }
LINEAR(linear_none, NN_NONE)
LINEAR(linear_relu, NN_RELU)
LINEAR(linear_leaky, NN_LEAKY)
LINEAR(linear_gelu, NN_GELU)
LINEAR(linear_tanh, NN_TANH)
LINEAR(linear_sigmoid, NN_SIGMOID)
LINEAR(linear_softplus, NN_SOFTPLUS)
LINEAR(linear_swish, NN_SWISH)

static struct nn_tensor *linear_shared(struct nn_case_net *g)
{
    struct nn_tensor *x = leaf(g, DIM(2, 3, 4));

    x = nn_linear(g->t, x, "l", 4, NN_TANH);
    return nn_linear_free(g->t, nn_linear(g->t, x, "l", 4, NN_TANH), "m", 2);
}

static struct nn_tensor *linear_large(struct nn_case_net *g)
{
    return nn_linear(g->t, leaf(g, DIM(150, 70)), "l", 130, NN_GELU);
}

static struct nn_tensor *linear_long(struct nn_case_net *g)
{
    return nn_linear(g->t, leaf(g, DIM(2100, 3)), "l", 2, NN_TANH);
}

static struct nn_tensor *product_one(struct nn_case_net *g)
{
    struct nn_tensor *a = leaf(g, DIM(2, 3, 4));

    return nn_linear_product(g->t, a, leaf(g, DIM(4, 5)), false);
}

static struct nn_tensor *product_turned(struct nn_case_net *g)
{
    struct nn_tensor *a = leaf(g, DIM(3, 4));

    return nn_linear_product(g->t, a, nn_embed_table(g->t, "e", 5, 4, 1), true);
}

static struct nn_tensor *product_many(struct nn_case_net *g)
{
    struct nn_tensor *a = leaf(g, DIM(3, 2, 4));

    return nn_linear_product(g->t, a, leaf(g, DIM(3, 4, 5)), false);
}

static struct nn_tensor *product_square(struct nn_case_net *g)
{
    struct nn_tensor *a = leaf(g, DIM(3, 2, 4));

    return nn_linear_product(g->t, a, a, true);
}

/* --- element by element ------------------------------------------------------
 */

#define MAP(NAME, ACT, LOW, HIGH)                                              \
    static struct nn_tensor *NAME(struct nn_case_net *g)                       \
    {                                                                          \
        struct nn_tensor *x = leaf_in(g, LOW, HIGH, DIM(5, 7));                \
        return nn_map_mul(g->t, nn_map(g->t, x, ACT), x);                      \
    }
MAP(map_relu, NN_RELU, -3, 3)
MAP(map_leaky, NN_LEAKY, -3, 3)
MAP(map_gelu, NN_GELU, -3, 3)
MAP(map_tanh, NN_TANH, -3, 3)
MAP(map_sigmoid, NN_SIGMOID, -5, 5)
MAP(map_softplus, NN_SOFTPLUS, -5, 5)
MAP(map_swish, NN_SWISH, -5, 5)
MAP(map_exp, NN_EXP, -3, 3)
MAP(map_log, NN_LOG, 0.2, 3)
MAP(map_sqrt, NN_SQRT, 0.2, 3)
MAP(map_square, NN_SQUARE, -3, 3)

static struct nn_tensor *map_scale(struct nn_case_net *g)
{
    struct nn_tensor *x = leaf(g, DIM(40));

    return nn_map_clip(g->t, nn_map_scale(g->t, x, -3, 0.5), -1, 2);
}

static struct nn_tensor *map_twice(struct nn_case_net *g)
{
    struct nn_tensor *x = leaf(g, DIM(4, 3)), *y = leaf(g, DIM(4, 3));
    struct nn_tensor *b = leaf_in(g, 1, 2, DIM(3));

    x = nn_map_add(g->t, x, nn_map_mul(g->t, x, x));
    return nn_map_sub(g->t, nn_map_div(g->t, x, b), nn_map_min(g->t, y, x));
}

static struct nn_tensor *map_rows(struct nn_case_net *g)
{
    struct nn_tensor *x = leaf(g, DIM(2, 5, 3));
    struct nn_tensor *a = leaf(g, DIM(5, 3)), *b = leaf_in(g, 1, 2, DIM(3));

    x = nn_map_mul(g->t, nn_map_add(g->t, x, a), b);
    return nn_map_min(g->t, nn_map_div(g->t, nn_map_sub(g->t, x, b), b), a);
}

static struct nn_tensor *map_drop(struct nn_case_net *g)
{
    return nn_map_drop(g->t, leaf(g, DIM(6, 7)), "d", 0.4, NULL);
}

static struct nn_tensor *map_sample(struct nn_case_net *g)
{
    struct nn_tensor *m = leaf(g, DIM(4, 5)), *v = leaf(g, DIM(4, 5));

    return nn_map_sample(g->t, m, v, "z", NULL);
}

/* --- shapes and reductions ---------------------------------------------------
 */

static struct nn_tensor *shape_concat(struct nn_case_net *g)
{
    struct nn_tensor *a = leaf(g, DIM(2, 3, 2)), *b = leaf(g, DIM(2, 1, 2));
    struct nn_tensor *x =
        nn_shape_concat(g->t, 3, (struct nn_tensor *[]){a, b, a}, 1);

    x = nn_shape_slice(g->t, x, 1, 1, 6);
    x = nn_shape_concat(g->t, 2, (struct nn_tensor *[]){x, x}, 2);
    return nn_shape_slice(g->t, x, 2, 1, 3);
}

static struct nn_tensor *shape_swap(struct nn_case_net *g)
{
    struct nn_tensor *x = leaf(g, DIM(2, 3, 4, 2));

    x = nn_map(g->t, nn_shape_swap(g->t, x, 1, 3), NN_TANH);
    x = nn_shape_swap(g->t, x, 0, 1);
    return nn_shape_as(g->t, x, DIM(6, 8));
}

static struct nn_tensor *shape_repeat(struct nn_case_net *g)
{
    struct nn_tensor *x = leaf(g, DIM(2, 3));

    x = nn_shape_repeat(g->t, nn_shape_repeat(g->t, x, 2, 2), 1, 3);
    return nn_map(g->t, x, NN_SQUARE);
}

static struct nn_tensor *shape_pick(struct nn_case_net *g)
{
    struct nn_tensor *x = leaf(g, DIM(3, 7, 4));
    struct nn_tensor *y = nn_shape_pick(g->t, x, ids_of(g, DIM(3, 5)));

    return nn_map_mul(g->t, y, nn_shape_pick(g->t, x, ids_of(g, DIM(3, 5))));
}

static struct nn_tensor *reduce_all(struct nn_case_net *g)
{
    struct nn_tensor *x = leaf(g, DIM(9, 11)), *w = mask_of(g, DIM(9, 11));
    struct nn_tensor *a = nn_reduce_mean(g->t, nn_map(g->t, x, NN_SQUARE), w);

    return nn_map_mul(g->t, a, nn_reduce_sum(g->t, x, NULL));
}

static struct nn_tensor *reduce_axes(struct nn_case_net *g)
{
    struct nn_tensor *x = leaf(g, DIM(3, 4, 5));
    struct nn_tensor *a = nn_reduce_axis_sum(g->t, x, 0);  /* [4][5] */
    struct nn_tensor *b = nn_reduce_axis_mean(g->t, x, 1); /* [3][5] */
    struct nn_tensor *c = nn_reduce_axis_sum(g->t, x, 2);  /* [3][4] */
    struct nn_tensor *m = nn_reduce_axis_max(g->t, x, 1);  /* [3][5] */
    struct nn_tensor *n = nn_reduce_axis_max(g->t, m, 1);  /* [3] */

    a = nn_linear_product(g->t, c, a, false); /* [3][5] */
    a = nn_map_add(g->t, nn_map_mul(g->t, a, b), m);
    return nn_map_mul(g->t, nn_reduce_axis_mean(g->t, a, 1), n);
}

static struct nn_tensor *reduce_softmax(struct nn_case_net *g)
{
    struct nn_tensor *x = leaf(g, DIM(6, 21)), *m = mask_of(g, DIM(6, 21));

    return nn_map_add(g->t, nn_reduce_softmax(g->t, x, m),
                      nn_reduce_softmax(g->t, x, NULL));
}

static struct nn_tensor *reduce_log_softmax(struct nn_case_net *g)
{
    return nn_reduce_log_softmax(g->t, leaf(g, DIM(4, 19)));
}

static struct nn_tensor *norm_layer(struct nn_case_net *g)
{
    struct nn_tensor *x = leaf(g, DIM(6, 19));

    return nn_norm(g->t, nn_map_add(g->t, x, nn_norm(g->t, x, "n")), "n");
}

static struct nn_tensor *norm_unit(struct nn_case_net *g)
{
    return nn_norm_unit(g->t, leaf(g, DIM(6, 19)));
}

static struct nn_tensor *norm_batch(struct nn_case_net *g)
{
    return nn_norm_batch(g->t, leaf(g, DIM(2, 3, 5)), "n");
}

/* --- look-ups ----------------------------------------------------------------
 */

static struct nn_tensor *embed_rows(struct nn_case_net *g)
{
    struct nn_tensor *a = nn_embed(g->t, ids_of(g, DIM(3, 4)), "e", 7, 5, 1);
    struct nn_tensor *b = nn_embed(g->t, ids_of(g, DIM(3, 4)), "e", 7, 5, 1);

    return nn_map_mul(g->t, a, b);
}

static struct nn_tensor *embed_bags(struct nn_case_net *g)
{
    struct nn_tensor *w = fixed(g, false, 0.5, 2, DIM(4, 3));
    struct nn_tensor *i = ids_of(g, DIM(4, 3));
    struct nn_tensor *a = nn_embed_bag(g->t, i, w, "e", 7, 5, 1, true);

    return nn_map_add(g->t, a,
                      nn_embed_bag(g->t, i, NULL, "e", 7, 5, 1, false));
}

static struct nn_tensor *embed_tied(struct nn_case_net *g)
{
    struct nn_tensor *h = nn_embed(g->t, ids_of(g, DIM(6)), "e", 7, 5, 1);
    struct nn_tensor *e = nn_embed_table(g->t, "e", 7, 5, 1);

    return nn_linear_product(g->t, h, e, true);
}

/* --- attention ---------------------------------------------------------------
 */

static struct nn_tensor *attend_plain(struct nn_case_net *g)
{
    struct nn_tensor *q = leaf(g, DIM(2, 3, 6)), *k = leaf(g, DIM(2, 5, 6));
    struct nn_tensor *v = leaf(g, DIM(2, 5, 6));

    return nn_attend(
        g->t, q, k, v,
        &(struct nn_attend){.heads = 2, .mask = mask_of(g, DIM(2, 5))});
}

static struct nn_tensor *attend_causal(struct nn_case_net *g)
{
    struct nn_tensor *x = leaf(g, DIM(2, 5, 3));

    return nn_attend_self(
        g->t, x, "a", 6,
        &(struct nn_attend){
            .heads = 3, .causal = true, .drop = 0.3, .drop_name = "a/drop"});
}

static struct nn_tensor *attend_window(struct nn_case_net *g)
{
    struct nn_tensor *x = leaf(g, DIM(2, 7, 4));
    struct nn_tensor *y =
        nn_attend(g->t, x, x, x, &(struct nn_attend){.heads = 2, .window = 2});

    return nn_attend_self(
        g->t, y, "a", 4,
        &(struct nn_attend){.heads = 1, .mask = mask_of(g, DIM(2, 7))});
}

/* --- sequences ---------------------------------------------------------------
 */

static struct nn_tensor *gru_plain(struct nn_case_net *g)
{
    return nn_gru(g->t, leaf(g, DIM(3, 4, 2)), "g", 5, NULL);
}

static struct nn_tensor *gru_full(struct nn_case_net *g)
{
    struct nn_tensor *x = leaf(g, DIM(3, 4, 2));
    const struct nn_gru how = {.reverse = true,
                               .start = leaf(g, DIM(3, 5)),
                               .mask = mask_of(g, DIM(3, 4))};

    x = nn_gru(g->t, x, "g", 5, &how);
    return nn_gru(g->t, x, "h", 3, NULL);
}

static struct nn_tensor *gru_first(struct nn_case_net *g)
{
    struct nn_tensor *x = leaf(g, DIM(19, 4, 2));
    const struct nn_gru how = {.reset_first = true,
                               .reverse = true,
                               .start = leaf(g, DIM(19, 5)),
                               .mask = mask_of(g, DIM(19, 4))};

    x = nn_gru(g->t, x, "g", 5, &how);
    return nn_gru(g->t, x, "h", 3, &(struct nn_gru){.reset_first = true});
}

static struct nn_tensor *gru_long(struct nn_case_net *g)
{
    return nn_gru(g->t, leaf(g, DIM(700, 3, 2)), "g", 2, NULL);
}

static struct nn_tensor *lstm_plain(struct nn_case_net *g)
{
    return nn_lstm(g->t, leaf(g, DIM(3, 4, 2)), "l", 5, NULL);
}

static struct nn_tensor *lstm_full(struct nn_case_net *g)
{
    struct nn_tensor *cell = NULL, *x = leaf(g, DIM(3, 4, 2));
    const struct nn_lstm how = {.reverse = true,
                                .start = leaf(g, DIM(3, 5)),
                                .start_cell = leaf(g, DIM(3, 5)),
                                .mask = mask_of(g, DIM(3, 4)),
                                .cell = &cell};

    x = nn_lstm(g->t, x, "l", 5, &how);
    return nn_map_mul(g->t, nn_map_add(g->t, x, cell), cell);
}

static struct nn_tensor *conv_same(struct nn_case_net *g)
{
    struct nn_tensor *x = leaf(g, DIM(2, 5, 3));

    x = nn_conv(g->t, x, "c", 4, &(struct nn_conv){3, 1, 1, NN_TANH});
    return nn_conv(g->t, x, "d", 2, &(struct nn_conv){2, 0, 0, NN_NONE});
}

static struct nn_tensor *conv_causal(struct nn_case_net *g)
{
    struct nn_tensor *x = leaf(g, DIM(2, 5, 3));

    return nn_map_add(
        g->t, nn_conv(g->t, x, "c", 3, &(struct nn_conv){3, 2, 0, NN_NONE}), x);
}

/* --- losses ------------------------------------------------------------------
 */

static struct nn_tensor *loss_bce(struct nn_case_net *g)
{
    struct nn_tensor *x = leaf_in(g, -4, 4, DIM(3, 5));

    return nn_loss_bce(g->t, x, fixed(g, false, 0, 1, DIM(3, 5)));
}

static struct nn_tensor *loss_square(struct nn_case_net *g)
{
    struct nn_tensor *x = leaf(g, DIM(3, 5));

    return nn_loss_square(g->t, x, fixed(g, false, 0, 1, DIM(3, 5)));
}

static struct nn_tensor *loss_ce(struct nn_case_net *g)
{
    struct nn_tensor *x = leaf_in(g, -4, 4, DIM(6, 7));

    return nn_loss_ce(g->t, x, ids_of(g, DIM(6)));
}

static struct nn_tensor *loss_sampled(struct nn_case_net *g)
{
    struct nn_tensor *p = leaf(g, DIM(4)), *n = leaf(g, DIM(4, 6));
    struct nn_tensor *lp = fixed(g, false, -3, -1, DIM(4));

    return nn_loss_sampled(g->t, p, n, lp, fixed(g, false, -3, -1, DIM(4, 6)));
}

static struct nn_tensor *loss_pairs(struct nn_case_net *g)
{
    struct nn_tensor *p = leaf(g, DIM(9)), *n = leaf(g, DIM(9));

    return nn_map_add(g->t, nn_loss_bpr(g->t, p, n),
                      nn_loss_hinge(g->t, p, n, 0.3));
}

static struct nn_tensor *loss_list(struct nn_case_net *g)
{
    struct nn_tensor *x = leaf_in(g, -3, 3, DIM(6, 8));
    struct nn_tensor *y = mask_of(g, DIM(6, 8));

    return nn_map_add(g->t, nn_loss_list(g->t, x, y, mask_of(g, DIM(6, 8))),
                      nn_loss_list(g->t, x, y, NULL));
}

static struct nn_tensor *loss_elbo(struct nn_case_net *g)
{
    struct nn_tensor *m = leaf(g, DIM(4, 5)), *v = leaf(g, DIM(4, 5));
    struct nn_tensor *k = nn_loss_kl_gauss(g->t, m, v);

    return nn_loss_elbo(g->t, leaf(g, DIM(4)), k, 0.3);
}

static struct nn_tensor *loss_vmf(struct nn_case_net *g)
{
    struct nn_tensor *k = leaf_in(g, 0.5, 60, DIM(8));

    return nn_map_add(g->t, nn_loss_kl_vmf(g->t, k, 50),
                      nn_loss_kl_vmf(g->t, k, 3));
}

static struct nn_tensor *loss_entropy(struct nn_case_net *g)
{
    return nn_loss_entropy(g->t, leaf_in(g, -3, 3, DIM(4, 6)));
}

static struct nn_tensor *loss_policy(struct nn_case_net *g)
{
    struct nn_tensor *logp = leaf(g, DIM(20));
    struct nn_tensor *r = fixed(g, false, -2, 2, DIM(20));

    return nn_loss_policy(g->t, logp, r, fixed(g, false, -1, 1, DIM(20)));
}

static struct nn_tensor *loss_ppo(struct nn_case_net *g)
{
    struct nn_tensor *logp = leaf(g, DIM(30));
    struct nn_tensor *old = fixed(g, false, -1, 1, DIM(30));

    return nn_loss_ppo(g->t, logp, old, fixed(g, false, -2, 2, DIM(30)), 0.2);
}

#define CASE(f)                                                                \
    {                                                                          \
#f, f                                                                  \
    }
const struct nn_case nn_cases[] = {
    CASE(linear_none),
    CASE(linear_relu),
    CASE(linear_leaky),
    CASE(linear_gelu),
    CASE(linear_tanh),
    CASE(linear_sigmoid),
    CASE(linear_softplus),
    CASE(linear_swish),
    CASE(linear_shared),
    CASE(linear_large),
    CASE(linear_long),
    CASE(gru_long),
    CASE(gru_first),
    CASE(product_one),
    CASE(product_turned),
    CASE(product_many),
    CASE(product_square),
    CASE(map_relu),
    CASE(map_leaky),
    CASE(map_gelu),
    CASE(map_tanh),
    CASE(map_sigmoid),
    CASE(map_softplus),
    CASE(map_swish),
    CASE(map_exp),
    CASE(map_log),
    CASE(map_sqrt),
    CASE(map_square),
    CASE(map_scale),
    CASE(map_twice),
    CASE(map_rows),
    CASE(map_drop),
    CASE(map_sample),
    CASE(shape_concat),
    CASE(shape_swap),
    CASE(shape_repeat),
    CASE(reduce_all),
    CASE(shape_pick),
    CASE(reduce_axes),
    CASE(reduce_softmax),
    CASE(reduce_log_softmax),
    CASE(norm_layer),
    CASE(norm_unit),
    CASE(norm_batch),
    CASE(embed_rows),
    CASE(embed_bags),
    CASE(embed_tied),
    CASE(attend_plain),
    CASE(attend_causal),
    CASE(attend_window),
    CASE(gru_plain),
    CASE(gru_full),
    CASE(lstm_plain),
    CASE(lstm_full),
    CASE(conv_same),
    CASE(conv_causal),
    CASE(loss_bce),
    CASE(loss_square),
    CASE(loss_ce),
    CASE(loss_sampled),
    CASE(loss_pairs),
    CASE(loss_list),
    CASE(loss_elbo),
    CASE(loss_vmf),
    CASE(loss_entropy),
    CASE(loss_policy),
    CASE(loss_ppo),
    {NULL, NULL},
};
