/* tests/test_nn_forward.c - layers are their formulas. */
#include "tests/nn_lab.h"

static const double *weights(const struct lab *l, const char *name)
{
    const struct nn_param *q = nn_params_find(l->p, name);

    assert_non_null(q);
    return (const double *)nn_params_values(l->p) + q->at;
}

/* --- layers ------------------------------------------------------------------
 */

static void activations_are_their_formulas(void **state)
{
    static const enum nn_act act[] = {NN_RELU,  NN_LEAKY,   NN_GELU,
                                      NN_TANH,  NN_SIGMOID, NN_SOFTPLUS,
                                      NN_SWISH, NN_EXP,     NN_SQUARE};
    struct nn_tensor *y[9], *x;
    struct lab l;

    (void)state;
    lab_open(&l);
    x = nn_tape_input(l.t, "x", 1, (size_t[]){20});
    for (size_t k = 0; k < 9; k++)
        y[k] = nn_map(l.t, x, act[k]);
    lab_plan(&l);
    lab_fill(&l, x);
    lab_run(&l);
    for (size_t i = 0; i < 20; i++) {
        const double v = at(x, i);
        const double want[9] = {
            fmax(v, 0),
            fmax(v, 0) + 0.01 * fmin(v, 0),
            v / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (v + 0.044715 * v * v * v))),
            tanh(v),
            sigmoid(v),
            log(1 + exp(v)),
            v * sigmoid(v),
            exp(v),
            v * v};

        for (size_t k = 0; k < 9; k++)
            same(at(y[k], i), want[k]);
    }
    lab_close(&l);
}

static void linear_layers_multiply_and_add(void **state)
{
    struct lab l;

    (void)state;
    lab_open(&l);
    struct nn_tensor *x = nn_tape_input(l.t, "x", 3, (size_t[]){2, 3, 4});
    struct nn_tensor *y = nn_linear(l.t, x, "l", 5, NN_TANH);

    lab_plan(&l);
    lab_fill(&l, x);
    lab_run(&l);
    const double *w = weights(&l, "l/weight"), *b = weights(&l, "l/bias");

    for (size_t r = 0; r < 6; r++) {
        for (size_t j = 0; j < 5; j++) {
            double s = b[j];

            for (size_t i = 0; i < 4; i++)
                s += at(x, r * 4 + i) * w[i * 5 + j];
            same(at(y, r * 5 + j), tanh(s));
        }
    }
    lab_close(&l);
}

/* Attention of one query row, from the definition. */
static void attend_slowly(const struct nn_tensor *q, const struct nn_tensor *k,
                          const struct nn_tensor *v,
                          const struct nn_attend *how, size_t b, size_t i,
                          double *out)
{
    const size_t n = q->dim[1], m = k->dim[1], d = q->dim[2];
    const size_t w = d / how->heads;

    for (size_t h = 0; h < how->heads; h++) {
        double e[16], sum = 0;

        for (size_t j = 0; j < m; j++) {
            const bool hidden =
                (how->mask != NULL && at(how->mask, b * m + j) == 0) ||
                (how->causal && j > i) ||
                (how->window != 0 &&
                 (j > i + how->window || i > j + how->window));
            double s = 0;

            for (size_t c = h * w; c < (h + 1) * w; c++)
                s += at(q, (b * n + i) * d + c) * at(k, (b * m + j) * d + c);
            e[j] = hidden ? 0 : exp(s / sqrt((double)w));
            sum += e[j];
        }
        for (size_t c = h * w; c < (h + 1) * w; c++) {
            out[c] = 0;
            for (size_t j = 0; j < m; j++)
                out[c] +=
                    sum == 0 ? 0 : e[j] / sum * at(v, (b * m + j) * d + c);
        }
    }
}

static void attention_sees_what_it_may_see(void **state)
{
    struct nn_attend how[4] = {{.heads = 2},
                               {.heads = 3, .causal = true},
                               {.heads = 1, .window = 1},
                               {.heads = 6, .causal = true, .window = 2}};
    struct nn_tensor *y[2][4];
    struct lab l;

    (void)state;
    lab_open(&l);
    /* fewer queries than keys, and more */
    struct nn_tensor *q[2] = {
        nn_tape_input(l.t, "q", 3, (size_t[]){3, 4, 6}),
        nn_tape_input(l.t, "more", 3, (size_t[]){3, 9, 6})};
    struct nn_tensor *k = nn_tape_input(l.t, "k", 3, (size_t[]){3, 5, 6});
    struct nn_tensor *v = nn_tape_input(l.t, "v", 3, (size_t[]){3, 5, 6});
    struct nn_tensor *mask = nn_tape_input(l.t, "m", 2, (size_t[]){3, 5});

    how[0].mask = how[3].mask = mask;
    for (size_t c = 0; c < 8; c++)
        y[c / 4][c % 4] = nn_attend(l.t, q[c / 4], k, v, &how[c % 4]);
    lab_plan(&l);
    lab_fill(&l, q[0]);
    lab_fill(&l, q[1]);
    lab_fill(&l, k);
    lab_fill(&l, v);
    for (size_t i = 0; i < 15; i++) /* the last list has no keys at all */
        nn_tape_put(l.t, mask, i, i % 3 != 1 && i < 10);
    lab_run(&l);
    for (size_t c = 0; c < 8; c++) {
        const size_t n = q[c / 4]->dim[1];

        for (size_t r = 0; r < 3 * n; r++) {
            double want[6];

            attend_slowly(q[c / 4], k, v, &how[c % 4], r / n, r % n, want);
            for (size_t j = 0; j < 6; j++)
                same(at(y[c / 4][c % 4], r * 6 + j), want[j]);
        }
    }
    lab_close(&l);
}

static void self_attention_has_three_parts_side_by_side(void **state)
{
    struct nn_attend how = {.heads = 2, .causal = true};
    struct lab l;

    (void)state;
    lab_open(&l);
    struct nn_tensor *x = nn_tape_input(l.t, "x", 3, (size_t[]){2, 4, 3});
    struct nn_tensor *y = nn_attend_self(l.t, x, "a", 6, &how);
    struct nn_tensor *qkv = nn_linear(l.t, x, "a", 18, NN_NONE);
    struct nn_tensor *z = nn_attend(l.t, nn_shape_slice(l.t, qkv, 2, 0, 6),
                                    nn_shape_slice(l.t, qkv, 2, 6, 12),
                                    nn_shape_slice(l.t, qkv, 2, 12, 18), &how);

    lab_plan(&l);
    lab_fill(&l, x);
    lab_run(&l);
    for (size_t i = 0; i < y->n; i++)
        same(at(y, i), at(z, i));
    lab_close(&l);
}

/* x W + b, column j of a row */
static double dot_column(const struct nn_tensor *x, size_t row, size_t n,
                         const double *w, size_t cols, size_t j)
{
    double s = 0;

    for (size_t i = 0; i < n; i++)
        s += at(x, row * n + i) * w[i * cols + j];
    return s;
}

enum { B = 2, T = 4, D = 3, H = 2 };

static void gru_steps_are_their_formulas(void **state)
{
    struct lab l;

    (void)state;
    for (int form = 0; form < 4; form++) {
        const bool reverse = form & 1, first = form & 2;

        lab_open(&l);
        struct nn_tensor *x = nn_tape_input(l.t, "x", 3, (size_t[]){B, T, D});
        struct nn_tensor *mask = nn_tape_input(l.t, "m", 2, (size_t[]){B, T});
        struct nn_tensor *y =
            nn_gru(l.t, x, "g", H,
                   &(struct nn_gru){
                       .reverse = reverse, .reset_first = first, .mask = mask});

        lab_plan(&l);
        lab_fill(&l, x);
        nn_tape_fill(l.t, mask, 1);
        nn_tape_put(l.t, mask, T + 3, 0);
        lab_run(&l);
        const double *wx = weights(&l, "g/input_weight");
        const double *wh = weights(&l, "g/state_weight");
        const double *bx = weights(&l, "g/input_bias");
        const double *bh = weights(&l, "g/state_bias");

        for (size_t b = 0; b < B; b++) {
            double h[H] = {0};

            for (size_t s = 0; s < T; s++) {
                const size_t row = b * T + (reverse ? T - 1 - s : s);
                double a[3 * H], c[3 * H];

                for (size_t j = 0; j < 3 * H; j++) {
                    a[j] = dot_column(x, row, D, wx, 3 * H, j) + bx[j];
                    c[j] = bh[j];
                    for (size_t i = 0; i < H; i++)
                        c[j] += h[i] * wh[i * 3 * H + j];
                }
                double next[H];

                for (size_t j = 0; j < H; j++) {
                    const double r = sigmoid(a[j] + c[j]);
                    const double z = sigmoid(a[H + j] + c[H + j]);
                    double m = r * c[2 * H + j];

                    if (first) { /* (r h) Wh_n instead of r (h Wh_n) */
                        m = bh[2 * H + j];
                        for (size_t i = 0; i < H; i++)
                            m += sigmoid(a[i] + c[i]) * h[i] *
                                 wh[i * 3 * H + 2 * H + j];
                    }
                    next[j] = (1 - z) * tanh(a[2 * H + j] + m) + z * h[j];
                }
                for (size_t j = 0; j < H && row != T + 3; j++)
                    h[j] = next[j];
                for (size_t j = 0; j < H; j++)
                    same(at(y, row * H + j), h[j]);
            }
        }
        lab_close(&l);
    }
}

static void lstm_steps_are_their_formulas(void **state)
{
    struct nn_tensor *cell = NULL;
    struct lab l;

    (void)state;
    lab_open(&l);
    struct nn_tensor *x = nn_tape_input(l.t, "x", 3, (size_t[]){B, T, D});
    struct nn_tensor *h0 = nn_tape_input(l.t, "h", 2, (size_t[]){B, H});
    struct nn_tensor *c0 = nn_tape_input(l.t, "c", 2, (size_t[]){B, H});
    struct nn_tensor *y = nn_lstm(
        l.t, x, "l", H,
        &(struct nn_lstm){.start = h0, .start_cell = c0, .cell = &cell});

    lab_plan(&l);
    lab_fill(&l, x);
    lab_fill(&l, h0);
    lab_fill(&l, c0);
    lab_run(&l);
    const double *wx = weights(&l, "l/input_weight");
    const double *wh = weights(&l, "l/state_weight");
    const double *bias = weights(&l, "l/bias");

    for (size_t b = 0; b < B; b++) {
        double h[H], c[H];

        for (size_t j = 0; j < H; j++) {
            h[j] = at(h0, b * H + j);
            c[j] = at(c0, b * H + j);
        }
        for (size_t s = 0; s < T; s++) {
            double g[4 * H];

            for (size_t j = 0; j < 4 * H; j++) {
                g[j] = dot_column(x, b * T + s, D, wx, 4 * H, j) + bias[j];
                for (size_t i = 0; i < H; i++)
                    g[j] += h[i] * wh[i * 4 * H + j];
            }
            for (size_t j = 0; j < H; j++) {
                c[j] = sigmoid(g[H + j]) * c[j] +
                       sigmoid(g[j]) * tanh(g[2 * H + j]);
                h[j] = sigmoid(g[3 * H + j]) * tanh(c[j]);
                same(at(y, (b * T + s) * H + j), h[j]);
                same(at(cell, (b * T + s) * H + j), c[j]);
            }
        }
    }
    lab_close(&l);
}

static void convolutions_slide_along_the_steps(void **state)
{
    struct lab l;

    (void)state;
    lab_open(&l);
    struct nn_tensor *x = nn_tape_input(l.t, "x", 3, (size_t[]){2, 5, 3});
    struct nn_tensor *y =
        nn_conv(l.t, x, "c", 2, &(struct nn_conv){3, 2, 1, NN_NONE});

    lab_plan(&l);
    lab_fill(&l, x);
    lab_run(&l);
    const double *w = weights(&l, "c/weight"), *b = weights(&l, "c/bias");

    assert_int_equal(y->dim[1], 6);
    for (size_t r = 0; r < 2; r++) {
        for (int i = 0; i < 6; i++) {
            for (size_t o = 0; o < 2; o++) {
                double s = b[o];

                for (int k = 0; k < 3; k++) {
                    const int p = i + k - 2;

                    for (size_t c = 0; p >= 0 && p < 5 && c < 3; c++)
                        s += at(x, (r * 5 + (size_t)p) * 3 + c) *
                             w[((size_t)k * 3 + c) * 2 + o];
                }
                same(at(y, (r * 6 + (size_t)i) * 2 + o), s);
            }
        }
    }
    lab_close(&l);
}

static void norms_have_mean_zero_and_deviation_one(void **state)
{
    struct lab l;

    (void)state;
    lab_open(&l);
    struct nn_tensor *x = nn_tape_input(l.t, "x", 2, (size_t[]){6, 19});
    struct nn_tensor *y = nn_norm(l.t, x, "n"), *u = nn_norm_unit(l.t, x);
    struct nn_tensor *z = nn_norm_batch(l.t, x, "b");

    lab_plan(&l);
    nn_params_reset(l.p, 1); /* gain 1, bias 0 */
    lab_fill(&l, x);
    lab_run(&l);
    for (size_t r = 0; r < 6; r++) {
        double sum = 0, square = 0, unit = 0;

        for (size_t j = 0; j < 19; j++) {
            sum += at(y, r * 19 + j);
            square += at(y, r * 19 + j) * at(y, r * 19 + j);
            unit += at(u, r * 19 + j) * at(u, r * 19 + j);
            same(at(u, r * 19 + j) / at(u, r * 19),
                 at(x, r * 19 + j) / at(x, r * 19));
        }
        assert_true(fabs(sum) < 1e-12 && fabs(square / 19 - 1) < 1e-4);
        assert_true(fabs(unit - 1) < 1e-12);
    }
    for (size_t j = 0; j < 19; j++) {
        double sum = 0, square = 0;

        for (size_t r = 0; r < 6; r++) {
            sum += at(z, r * 19 + j);
            square += at(z, r * 19 + j) * at(z, r * 19 + j);
        }
        assert_true(fabs(sum) < 1e-12 && fabs(square / 6 - 1) < 1e-3);
    }
    lab_close(&l);
}

static void bags_are_weighted_sums_and_means(void **state)
{
    static const uint32_t ids[6] = {4, 1, NN_PAD, 2, NN_PAD, NN_PAD};
    struct lab l;

    (void)state;
    lab_open(&l);
    struct nn_tensor *i = nn_tape_ids(l.t, "i", 2, (size_t[]){2, 3});
    struct nn_tensor *w = nn_tape_input(l.t, "w", 2, (size_t[]){2, 3});
    struct nn_tensor *sum = nn_embed_bag(l.t, i, w, "e", 5, 3, 1, false);
    struct nn_tensor *mean = nn_embed_bag(l.t, i, w, "e", 5, 3, 1, true);

    lab_plan(&l);
    lab_fill(&l, w);
    assert_int_equal(nn_tape_set_ids(l.t, i, ids), ERR_OK);
    lab_run(&l);
    const double *e = weights(&l, "e");

    for (size_t j = 0; j < 3; j++) {
        const double s = at(w, 0) * e[4 * 3 + j] + at(w, 1) * e[1 * 3 + j];

        same(at(sum, j), s);
        same(at(mean, j), s / (at(w, 0) + at(w, 1)));
        same(at(mean, 3 + j), e[2 * 3 + j]);
    }
    lab_close(&l);
}

static void shapes_move_numbers_where_they_belong(void **state)
{
    static const uint32_t ids[4] = {2, 0, NN_PAD, 1};
    struct lab l;

    (void)state;
    lab_open(&l);
    struct nn_tensor *x = nn_tape_input(l.t, "x", 3, (size_t[]){2, 3, 4});
    struct nn_tensor *y = nn_tape_input(l.t, "y", 3, (size_t[]){2, 2, 4});
    struct nn_tensor *i = nn_tape_ids(l.t, "i", 2, (size_t[]){2, 2});
    struct nn_tensor *c =
        nn_shape_concat(l.t, 2, (struct nn_tensor *[]){x, y}, 1);
    struct nn_tensor *s = nn_shape_slice(l.t, c, 1, 2, 4);
    struct nn_tensor *w = nn_shape_swap(l.t, x, 0, 2);
    struct nn_tensor *r = nn_shape_repeat(l.t, x, 2, 5);
    struct nn_tensor *p = nn_shape_pick(l.t, x, i);

    lab_plan(&l);
    lab_fill(&l, x);
    lab_fill(&l, y);
    assert_int_equal(nn_tape_set_ids(l.t, i, ids), ERR_OK);
    lab_run(&l);
    for (size_t b = 0; b < 2; b++) {
        for (size_t d = 0; d < 4; d++) {
            same(at(s, (b * 2) * 4 + d), at(x, (b * 3 + 2) * 4 + d));
            same(at(s, (b * 2 + 1) * 4 + d), at(y, (b * 2) * 4 + d));
            for (size_t k = 0; k < 3; k++)
                same(at(w, (d * 3 + k) * 2 + b), at(x, (b * 3 + k) * 4 + d));
            for (size_t k = 0; k < 15; k++)
                same(at(r, (b * 15 + k) * 4 + d),
                     at(x, (b * 3 + k / 5) * 4 + d));
            for (size_t k = 0; k < 2; k++) {
                const uint32_t id = ids[b * 2 + k];

                same(at(p, (b * 2 + k) * 4 + d),
                     id == NN_PAD ? 0 : at(x, (b * 3 + id) * 4 + d));
            }
        }
    }
    lab_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_are_their_formulas),
        cmocka_unit_test(linear_layers_multiply_and_add),
        cmocka_unit_test(attention_sees_what_it_may_see),
        cmocka_unit_test(self_attention_has_three_parts_side_by_side),
        cmocka_unit_test(gru_steps_are_their_formulas),
        cmocka_unit_test(lstm_steps_are_their_formulas),
        cmocka_unit_test(convolutions_slide_along_the_steps),
        cmocka_unit_test(norms_have_mean_zero_and_deviation_one),
        cmocka_unit_test(bags_are_weighted_sums_and_means),
        cmocka_unit_test(shapes_move_numbers_where_they_belong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
