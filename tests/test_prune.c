/*
 * tests/test_prune.c - training that ends in sparse weights.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/nn.h"
#include "tests/kern.h"

enum { BATCH = 64, IN = 24, HIDDEN = 48, EPOCHS = 20, STEPS = 20 };

/* Two hidden layers learn a function of the inputs' first columns. */
struct net {
    struct nn_params *params;
    struct nn_tape *tape, *serve;
    struct nn_tensor *x, *y, *out, *given;
};

static struct nn_tensor *layers(struct nn_tape *t, struct nn_tensor *x)
{
    struct nn_tensor *h = nn_linear(t, x, "first", HIDDEN, NN_RELU);

    h = nn_linear(t, h, "second", HIDDEN, NN_RELU);
    return nn_linear(t, h, "out", 1, NN_NONE);
}

static struct net net_new(void)
{
    struct net k = {.params = NULL};

    assert_int_equal(nn_params_new(&k.params, NN_F32, 3), ERR_OK);
    assert_int_equal(nn_tape_new(&k.tape, k.params), ERR_OK);
    assert_int_equal(nn_tape_new(&k.serve, k.params), ERR_OK);
    k.x = nn_tape_input(k.tape, "x", 2, (size_t[]){BATCH, IN});
    k.y = nn_tape_input(k.tape, "y", 2, (size_t[]){BATCH, 1});
    k.given = nn_tape_input(k.serve, "x", 2, (size_t[]){BATCH, IN});
    struct nn_tensor *loss = nn_reduce_mean(
        k.tape, nn_loss_square(k.tape, layers(k.tape, k.x), k.y), NULL);

    k.out = layers(k.serve, k.given);
    nn_tape_keep(k.serve, k.out);
    assert_int_equal(nn_tape_plan(k.tape, loss), ERR_OK);
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
    kern_fill(x, (size_t)BATCH * IN, step + 1);
    for (size_t b = 0; b < BATCH; b++)
        y[b] = x[b * IN] * x[b * IN + 1] + x[b * IN + 2];
}

/* Train under o; returns the mean loss of the last epoch. */
static double train(struct net *k, struct nn_prune *prune)
{
    const struct nn_optim_opt adam = {.kind = NN_ADAM, .lr = 0.01};
    float x[BATCH * IN], y[BATCH];
    struct nn_optim *optim;
    double sum = 0;

    assert_int_equal(nn_optim_new(&optim, k->params, &adam), ERR_OK);
    const size_t passes = prune != NULL ? nn_prune_passes(prune) : EPOCHS;

    for (size_t epoch = 0; epoch < passes; epoch++) {
        if (prune != NULL)
            assert_int_equal(nn_prune_epoch(prune, epoch, optim), ERR_OK);
        sum = 0;
        for (size_t s = 0; s < STEPS; s++) {
            double loss;

            draw(x, y, epoch * STEPS + s);
            nn_tape_set(k->tape, k->x, x);
            nn_tape_set(k->tape, k->y, y);
            assert_int_equal(nn_optim_train(optim, k->tape, &loss), ERR_OK);
            if (prune != NULL)
                nn_prune_step(prune);
            sum += loss / STEPS;
        }
    }
    if (prune != NULL)
        assert_int_equal(nn_prune_end(prune), ERR_OK);
    nn_optim_free(optim);
    return sum;
}

static void serve(struct net *k, float *out)
{
    float x[BATCH * IN], y[BATCH];

    draw(x, y, 12345);
    nn_tape_set(k->serve, k->given, x);
    assert_int_equal(nn_tape_forward(k->serve), ERR_OK);
    nn_tape_get(k->serve, k->out, out);
}

static struct nn_prune *prune_new(const struct net *k, const char *pattern,
                                  enum nn_schedule schedule, double sparsity)
{
    struct nn_prune_opt o = {.sparsity = sparsity,
                             .schedule = schedule,
                             .epochs = EPOCHS,
                             .seed = 5};
    struct nn_prune *p;

    assert_int_equal(nn_pattern_parse(&o.pattern, pattern), ERR_OK);
    assert_int_equal(nn_prune_new(&p, k->params, &o), ERR_OK);
    return p;
}

/* Every schedule ends with the share that was asked for, learns, gives the same
 * weights twice, and serves the same packed as dense. */
static void schedules_end_sparse_and_learn(void **state)
{
    static const char *const patterns[] = {"unstructured", "shfl-bw:8",
                                           "vector:16",    "nm:2:8",
                                           "gs:8:4",       "block:8"};
    struct net dense = net_new();
    const double best = train(&dense, NULL);

    (void)state;
    assert_true(best < 0.02);
    for (size_t i = 0; i < 6 * 4; i++) {
        const enum nn_schedule how = (enum nn_schedule)(i % 4);
        struct net k = net_new(), again = net_new();
        struct nn_prune *p = prune_new(&k, patterns[i / 4], how, 0.75);
        struct nn_prune *q = prune_new(&again, patterns[i / 4], how, 0.75);
        const double loss = train(&k, p);
        float out[BATCH], packed[BATCH];
        struct nn_sparse s[2];

        (void)train(&again, q);
        assert_memory_equal(nn_params_values(k.params),
                            nn_params_values(again.params),
                            nn_params_size(k.params) * sizeof(float));
        assert_int_equal(nn_prune_count(p), 2);
        if (fabs(nn_prune_sparsity(p) - 0.75) > 0.04)
            fail_msg("%s: %.3f is zero", patterns[i / 4], nn_prune_sparsity(p));
        /* blocks of 8 x 8 cannot follow three inputs as well */
        if (loss > (i / 4 == 5 ? 0.2 : 0.1))
            fail_msg("%s, schedule %zu: loss %.4f (dense %.4f)",
                     patterns[i / 4], i % 4, loss, best);
        serve(&k, out);
        for (size_t m = 0; m < 2; m++) {
            assert_int_equal(nn_prune_pack(p, m, &s[m]), ERR_OK);
            nn_params_serve(k.params, nn_prune_number(p, m), &s[m], 0);
        }
        serve(&k, packed);
        for (size_t b = 0; b < BATCH; b++) {
            if (nn_pattern_in_groups(&s[0].pattern))
                assert_true(packed[b] == out[b]);
            assert_true(fabsf(packed[b] - out[b]) < 1e-5f);
        }
        nn_sparse_free(&s[0]);
        nn_sparse_free(&s[1]);
        nn_prune_free(p);
        nn_prune_free(q);
        net_free(&k);
        net_free(&again);
    }
    net_free(&dense);
}

/* With gap every weight has been free at some time: some of those that are kept
 * were masked at first. */
static void gap_moves_the_mask(void **state)
{
    struct net k = net_new();
    struct nn_prune *p = prune_new(&k, "unstructured", NN_PRUNE_GAP, 0.75);
    const struct nn_param *w = nn_params_find(k.params, "second/weight");
    const float *values = (const float *)nn_params_values(k.params) + w->at;
    uint8_t first[HIDDEN * HIDDEN];
    size_t moved = 0, on = 0;

    (void)state;
    assert_int_equal(nn_prune_epoch(p, 0, NULL), ERR_OK);
    /* the first part grows at once; "second" is in the other one */
    for (size_t i = 0; i < w->n; i++)
        first[i] = values[i] != 0;
    (void)train(&k, p);
    for (size_t i = 0; i < w->n; i++) {
        on += values[i] != 0;
        moved += values[i] != 0 && !first[i];
    }
    if (moved < on / 8)
        fail_msg("%zu of %zu weights are new", moved, on);
    nn_prune_free(p);
    net_free(&k);
}

/* The sparsest level is the network that is trained at that share alone, to the
 * bit (of packs: but for the order of sums), whatever is learnt around it;
 * others hold more, and learn more. */
static void levels_of(const char *pattern, double sparsity, const char *lone,
                      double alone_sparsity)
{
    enum { LEVELS = 3 };
    struct nn_prune_opt o = {.sparsity = sparsity,
                             .schedule = NN_PRUNE_GAP,
                             .epochs = EPOCHS,
                             .levels = LEVELS,
                             .seed = 5};
    struct net k = net_new(), alone = net_new();
    struct nn_prune *p, *q;
    struct nn_sparse s[2];
    float want[BATCH], got[BATCH];
    double loss[LEVELS];

    assert_int_equal(nn_pattern_parse(&o.pattern, pattern), ERR_OK);
    assert_int_equal(nn_prune_new(&p, k.params, &o), ERR_OK);
    for (size_t l = 0; l < LEVELS; l++) {
        nn_prune_level(p, l);
        loss[l] = train(&k, p);
    }
    if (!(loss[2] < loss[0]))
        fail_msg("%s: losses %.4f, %.4f", pattern, loss[0], loss[2]);
    q = prune_new(&alone, lone, NN_PRUNE_GAP, alone_sparsity);
    (void)train(&alone, q);
    serve(&alone, want);
    for (size_t m = 0; m < 2; m++) {
        const struct nn_param *x =
            nn_params_view(k.params, nn_prune_number(p, m));

        assert_int_equal(nn_prune_pack(p, m, &s[m]), ERR_OK);
        assert_int_equal(nn_sparse_check(&s[m]), ERR_OK);
        assert_int_equal(s[m].n_levels, LEVELS);
        assert_true(nn_sparse_weights(&s[m], 0) * 3 <
                    nn_sparse_weights(&s[m], 2));
        assert_true(nn_sparse_weights(&s[m], 2) <= x->n * 6 / 10);
        nn_params_serve(k.params, nn_prune_number(p, m), &s[m], 0);
    }
    serve(&k, got);
    for (size_t b = 0; b < BATCH; b++) {
        if (nn_pattern_in_groups(&o.pattern))
            assert_true(got[b] == want[b]);
        assert_true(fabsf(got[b] - want[b]) < 1e-4f);
    }
    for (size_t m = 0; m < 2; m++)
        nn_sparse_free(&s[m]);
    nn_prune_free(p);
    nn_prune_free(q);
    net_free(&k);
    net_free(&alone);
}

static void levels_are_nested(void **state)
{
    (void)state;
    levels_of("shfl-bw:8", 0.6, "shfl-bw:8", 0.9);
    levels_of("nm:4:8", 0.5, "nm:1:8", 0.875);
    levels_of("gs:8:4", 0.6, "gs:8:4", 0.9);
    levels_of("gs-scatter:8:2", 0.6, "gs-scatter:8:2", 0.9);
}

static void mistakes_are_refused(void **state)
{
    struct net k = net_new();
    struct nn_prune_opt o = {.sparsity = 0.8, .epochs = EPOCHS};
    struct nn_prune *p;
    enum nn_schedule s;

    (void)state;
    assert_int_equal(nn_pattern_parse(&o.pattern, "nm:2:4"), ERR_OK);
    assert_int_equal(nn_prune_new(&p, k.params, &o), ERR_ARG);
    assert_non_null(strstr(err_note(), "--sparsity 0.5"));
    o.sparsity = 1;
    assert_int_equal(nn_prune_new(&p, k.params, &o), ERR_ARG);
    o.sparsity = 0.5;
    o.levels = 3; /* of two weights */
    assert_int_equal(nn_prune_new(&p, k.params, &o), ERR_ARG);
    assert_non_null(strstr(err_note(), "levels halve"));
    assert_int_equal(nn_prune_parse(&s, "gab"), ERR_ARG);
    assert_non_null(strstr(err_note(), "did you mean \"gap\""));
    net_free(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedules_end_sparse_and_learn),
        cmocka_unit_test(gap_moves_the_mask),
        cmocka_unit_test(levels_are_nested),
        cmocka_unit_test(mistakes_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
