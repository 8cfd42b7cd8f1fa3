/*
 * tests/test_chex.c - training that ends in a narrower network.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/par.h"
#include "nn/nn.h"
#include "tests/kern.h"

enum {
    BATCH = 8,
    LIST = 6,
    IN = 5,
    DIM = 48,
    CELLS = BATCH * LIST,
    EPOCHS = 10
};

struct net {
    struct nn_params *params;
    struct nn_tape *tape, *serve;
    struct nn_tensor *x, *y, *given, *out;
};

/* Attention, two layers with dropout between, one more. */
static struct nn_tensor *layers(struct nn_tape *t, struct nn_tensor *x)
{
    const struct nn_attend how = {.heads = 2};
    struct nn_tensor *h = nn_linear(t, x, "in", DIM, NN_NONE);
    struct nn_tensor *y = nn_attend_self(t, h, "attend", DIM, &how);

    h = nn_map_add(t, h, nn_linear(t, y, "mix", DIM, NN_NONE));
    y = nn_linear(t, h, "wide", 2 * DIM, NN_RELU);
    y = nn_map_drop(t, y, "drop", 0.1, NULL);
    h = nn_norm(t, nn_map_add(t, h, nn_linear(t, y, "narrow", DIM, NN_NONE)),
                "norm");
    h = nn_linear(t, h, "last", DIM, NN_RELU);
    return nn_linear(t, h, "out", 1, NN_NONE);
}

/* loss false: a network that serves, narrower where `like` says so. */
static struct net net_new(bool loss, const struct nn_chex *like)
{
    const size_t in[3] = {BATCH, LIST, IN}, out[3] = {BATCH, LIST, 1};
    struct nn_tensor *sum = NULL;
    struct net k = {.params = NULL};

    assert_int_equal(nn_params_new(&k.params, NN_F32, 3), ERR_OK);
    for (size_t l = 0; like != NULL && l < nn_chex_count(like); l++)
        assert_int_equal(nn_params_narrow(k.params, nn_chex_name(like, l),
                                          nn_chex_outputs(like, l)),
                         ERR_OK);
    assert_int_equal(nn_tape_new(&k.serve, k.params), ERR_OK);
    k.given = nn_tape_input(k.serve, "x", 3, in);
    k.out = layers(k.serve, k.given);
    nn_tape_keep(k.serve, k.out);
    assert_int_equal(nn_tape_new(&k.tape, k.params), ERR_OK);
    if (loss) {
        k.x = nn_tape_input(k.tape, "x", 3, in);
        k.y = nn_tape_input(k.tape, "y", 3, out);
        sum = nn_reduce_mean(
            k.tape, nn_loss_square(k.tape, layers(k.tape, k.x), k.y), NULL);
        assert_int_equal(nn_tape_plan(k.tape, sum), ERR_OK);
    }
    assert_int_equal(nn_tape_plan(k.serve, NULL), ERR_OK);
    return k;
}

static void net_free(struct net *k)
{
    nn_tape_free(k->tape);
    nn_tape_free(k->serve);
    nn_params_free(k->params);
}

static void draw(float *x, float *y, size_t step)
{
    kern_fill(x, (size_t)CELLS * IN, step + 1);
    for (size_t b = 0; b < CELLS; b++)
        y[b] = x[b * IN] * x[b * IN + 1] + x[b / LIST * LIST * IN + 2];
}

/* Returns the mean loss of the last epoch. */
static double train(struct net *k, struct nn_chex *c)
{
    const struct nn_optim_opt adam = {.kind = NN_ADAM, .lr = 0.003};
    float x[CELLS * IN], y[CELLS];
    struct nn_optim *optim;
    double sum = 0;

    assert_int_equal(nn_optim_new(&optim, k->params, &adam), ERR_OK);
    for (size_t epoch = 0; epoch < EPOCHS; epoch++) {
        if (c != NULL)
            assert_int_equal(nn_chex_epoch(c, epoch), ERR_OK);
        sum = 0;
        for (size_t s = 0; s < 40; s++) {
            double loss;

            draw(x, y, epoch * 40 + s);
            nn_tape_set(k->tape, k->x, x);
            nn_tape_set(k->tape, k->y, y);
            assert_int_equal(nn_optim_train(optim, k->tape, &loss), ERR_OK);
            if (c != NULL)
                nn_chex_step(c);
            sum += loss / 40;
        }
    }
    if (c != NULL)
        assert_int_equal(nn_chex_end(c), ERR_OK);
    nn_optim_free(optim);
    return sum;
}

static void serve(const struct net *k, float *out)
{
    float x[CELLS * IN], y[CELLS];

    draw(x, y, 12345);
    nn_tape_set(k->serve, k->given, x);
    assert_int_equal(nn_tape_forward(k->serve), ERR_OK);
    nn_tape_get(k->serve, k->out, out);
}

static struct nn_chex *chex_new(const struct net *k, double share)
{
    const struct nn_chex_opt o = {share, EPOCHS, 5};
    struct nn_chex *c;

    if (nn_chex_new(&c, k->tape, &o) != ERR_OK)
        fail_msg("%s", err_note());
    return c;
}

/* Half of the multiply-adds, the loss of a network that learns, the answers of
 * the wide one, the same weights for any number of threads. */
static void a_narrow_network_answers_as_the_wide_one(void **state)
{
    struct net whole = net_new(true, NULL), k = net_new(true, NULL);
    struct net again = net_new(true, NULL);
    struct nn_chex *c = chex_new(&k, 0.5), *d = chex_new(&again, 0.5);
    const double best = train(&whole, NULL), loss = train(&k, c);
    float want[CELLS], got[CELLS];

    (void)state;
    par_set_threads(1);
    assert_true(train(&again, d) == loss);
    par_set_threads(0);
    assert_memory_equal(nn_params_values(k.params),
                        nn_params_values(again.params),
                        nn_params_size(k.params) * sizeof(float));
    assert_true(nn_chex_share(c) <= 0.5 && nn_chex_share(c) > 0.4);
    assert_int_equal(nn_chex_count(c), 3); /* attend, wide, last */
    if (loss > 2 * best + 0.05)
        fail_msg("loss %.4f, of the whole network %.4f", loss, best);
    struct net small = net_new(false, c);

    nn_chex_copy(c, small.params);
    assert_true(nn_params_size(small.params) * 10 <
                nn_params_size(k.params) * 7);
    serve(&k, want);
    serve(&small, got);
    for (size_t i = 0; i < CELLS; i++)
        assert_true(fabsf(want[i] - got[i]) < 1e-4f * (1 + fabsf(want[i])));
    nn_chex_free(c);
    nn_chex_free(d);
    net_free(&whole);
    net_free(&k);
    net_free(&again);
    net_free(&small);
}

static float *weights_of(const struct net *k, const char *name, size_t *n)
{
    const struct nn_param *x = nn_params_find(k->params, name);

    assert_non_null(x);
    *n = x->n;
    return (float *)nn_params_values(k->params) + x->at;
}

/* Of "wide" every other channel reads and is read with much larger weights:
 * these stay, and what comes back has what it had. */
static void channels_that_matter_stay(void **state)
{
    struct net k = net_new(true, NULL);
    struct nn_chex *c = chex_new(&k, 0.4);
    size_t n, back = 0;
    float *in = weights_of(&k, "wide/weight", &n);
    float *out = weights_of(&k, "narrow/weight", &n);
    float was[2 * DIM * DIM];

    (void)state;
    for (size_t e = 0; e < n; e++) {
        in[e] *= e % (2 * DIM) % 2 == 0 ? 1 : 0.01f;
        out[e] *= e / DIM % 2 == 0 ? 1 : 0.01f;
    }
    memcpy(was, in, sizeof(was));
    for (size_t epoch = 0; epoch < EPOCHS; epoch++) {
        assert_int_equal(nn_chex_epoch(c, epoch), ERR_OK);
        for (size_t e = 0; e < n; e++) {
            assert_true(in[e] == 0 || in[e] == was[e]);
            back += epoch < 6 && e % 2 == 1 && in[e] != 0;
        }
    }
    assert_true(back > 0);
    for (size_t j = 0; j < 2 * DIM; j++) /* small ones are gone */
        assert_true(j % 2 == 0 || in[j] == 0);
    nn_chex_free(c);
    net_free(&k);
}

static void mistakes_are_refused(void **state)
{
    struct net k = net_new(true, NULL);
    struct nn_chex_opt o = {.share = 0.97, .epochs = EPOCHS};
    struct nn_params *p;
    struct nn_tape *t;
    struct nn_chex *c;

    (void)state;
    assert_int_equal(nn_chex_new(&c, k.tape, &o), ERR_ARG);
    assert_non_null(strstr(err_note(), "lower it"));
    o.share = 1;
    assert_int_equal(nn_chex_new(&c, k.tape, &o), ERR_ARG);
    o.share = 0.5;
    assert_int_equal(nn_params_new(&p, NN_F32, 1), ERR_OK);
    assert_int_equal(nn_tape_new(&t, p), ERR_OK);
    struct nn_tensor *x = nn_tape_input(t, "x", 2, (size_t[]){4, 3});
    struct nn_tensor *y = nn_linear(t, x, "only", 32, NN_RELU);

    assert_int_equal(nn_tape_plan(t, nn_reduce_mean(t, y, NULL)), ERR_OK);
    assert_int_equal(nn_chex_new(&c, t, &o), ERR_ARG);
    assert_non_null(strstr(err_note(), "no channels"));
    nn_tape_free(t);
    nn_params_free(p);
    net_free(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_narrow_network_answers_as_the_wide_one),
        cmocka_unit_test(channels_that_matter_stay),
        cmocka_unit_test(mistakes_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
