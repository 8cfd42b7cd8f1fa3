/* tests/test_nn_train.c - planning, and what training promises. */
#include "tests/nn_net.h"

#include <errno.h>

#include "base/par.h"
#include "tests/failing.h"

static void a_training_step_allocates_nothing(void **state)
{
    struct nn_optim *o;
    struct net n;

    (void)state;
    assert_int_equal(net_open(&n, 1), ERR_OK);
    assert_int_equal(nn_optim_new(&o, n.p, &adam), ERR_OK);
    const long before = n_allocations;

    for (uint64_t s = 0; s < 3; s++)
        (void)net_step(&n, o, s);
    assert_int_equal(n_allocations, before);
    nn_optim_free(o);
    net_close(&n);
    assert_true(before > 10); /* the counter counts */
}

static void training_learns_what_can_be_learnt(void **state)
{
    struct nn_optim *o;
    struct net n;
    double first = 0, last = 0;

    (void)state;
    assert_int_equal(net_open(&n, 1), ERR_OK);
    assert_int_equal(nn_optim_new(&o, n.p, &adam), ERR_OK);
    for (uint64_t s = 0; s < 300; s++) {
        const double loss = net_step(&n, o, s);

        first += s < 20 ? loss / 20 : 0;
        last += s >= 280 ? loss / 20 : 0;
    }
    assert_true(first > 0.6 && last < 0.3);
    nn_optim_free(o);
    net_close(&n);
}

static void every_failing_allocation_is_reported(void **state)
{
    (void)state;
    for (long i = 0;; i++) {
        struct nn_optim *o = NULL;
        struct net n;
        enum err e;

        fail_at = i;
        e = net_open(&n, 1);
        if (e == ERR_OK)
            e = nn_optim_new(&o, n.p, &adam);
        const bool reached = fail_at < 0;

        fail_at = -1;
        nn_optim_free(o);
        net_close(&n);
        if (!reached) {
            assert_int_equal(e, ERR_OK);
            assert_true(i > 30);
            return;
        }
        assert_int_equal(e, ERR_NOMEM);
    }
}

/* --- plans -------------------------------------------------------------------
 */

static void a_batch_that_does_not_fit_says_so_before_it_starts(void **state)
{
    struct nn_params *p;
    struct nn_tape *t;

    (void)state;
    assert_int_equal(nn_params_new(&p, NN_F32, 1), ERR_OK);
    assert_int_equal(nn_tape_new(&t, p), ERR_OK);
    struct nn_tensor *x = nn_tape_input(t, "x", 2, (size_t[]){1000, 1000});
    struct nn_tensor *y = nn_linear(t, x, "l", 1000, NN_RELU);

    nn_tape_budget(t, 8 << 20);
    assert_int_equal(nn_tape_plan(t, nn_reduce_mean(t, y, NULL)), ERR_NOMEM);
    assert_non_null(strstr(err_note(), "8.0 MiB are allowed"));
    assert_null(nn_params_values(p));
    assert_int_equal(nn_tape_forward(t), ERR_ARG);
    nn_tape_free(t);

    assert_int_equal(nn_tape_new(&t, p), ERR_OK);
    x = nn_tape_input(t, "x", 2, (size_t[]){(size_t)1 << 30, 1000});
    assert_int_equal(nn_tape_plan(t, NULL), ERR_NOMEM);
    assert_non_null(strstr(err_note(), "GiB"));
    nn_tape_free(t);
    nn_params_free(p);
}

static void networks_of_thousands_of_nodes_are_planned(void **state)
{
    struct nn_params *p;
    struct nn_tape *t;

    (void)state;
    for (int training = 0; training < 2; training++) {
        assert_int_equal(nn_params_new(&p, NN_F32, 1), ERR_OK);
        assert_int_equal(nn_tape_new(&t, p), ERR_OK);
        struct nn_tensor *x = nn_tape_leaf(t, "x", 1, (size_t[]){1000});
        struct nn_tensor *y = x;

        for (size_t i = 0; i < 4000; i++)
            y = i % 2 == 0 ? nn_map_scale(t, y, 2, 1)
                           : nn_map_scale(t, nn_map_add(t, y, x), 0.5, 0);
        y = nn_reduce_mean(t, y, NULL);
        assert_int_equal(nn_tape_plan(t, training ? y : NULL), ERR_OK);
        nn_tape_fill(t, x, 1);
        assert_int_equal(nn_tape_forward(t), ERR_OK);
        /* y -> y + 1/2 + 1/2, 2000 times, from 1 */
        assert_true(nn_tape_at(t, y, 0) == 2001);
        if (training) {
            assert_int_equal(nn_tape_backward(t), ERR_OK);
            assert_true(fabs(nn_tape_grad_at(t, x, 5) - 1.001) < 1e-4);
        } else {
            assert_true(nn_tape_bytes(t) < (2 << 20) * 10 * par_threads());
        }
        nn_tape_free(t);
        nn_params_free(p);
    }
}

static void inference_shares_memory_and_gives_the_same_scores(void **state)
{
    struct net n, m = {0};
    struct nn_tape *t;

    (void)state;
    assert_int_equal(net_open(&n, 3), ERR_OK);
    m.p = n.p;
    assert_int_equal(nn_tape_new(&m.t, m.p), ERR_OK);
    (void)net_body(&m, 0.1);
    assert_int_equal(nn_tape_plan(m.t, NULL), ERR_OK);
    assert_true(nn_tape_bytes(m.t) < nn_tape_bytes(n.t));
    net_fill(&n, 1);
    net_fill(&m, 1);
    nn_tape_training(n.t, false);
    assert_int_equal(nn_tape_forward(n.t), ERR_OK);
    assert_int_equal(nn_tape_forward(m.t), ERR_OK);
    for (size_t i = 0; i < BATCH; i++)
        assert_true(nn_tape_at(n.t, n.score, i) == nn_tape_at(m.t, m.score, i));
    assert_int_equal(nn_tape_backward(m.t), ERR_ARG);
    t = m.t;
    nn_tape_free(t);
    net_close(&n);
}

static void more_threads_than_planned_are_refused(void **state)
{
    struct net n;

    (void)state;
    par_set_threads(1);
    assert_int_equal(net_open(&n, 3), ERR_OK);
    net_fill(&n, 0);
    par_set_threads(2);
    if (par_threads() == 2) {
        assert_int_equal(nn_tape_forward(n.t), ERR_ARG);
        assert_non_null(strstr(err_note(), "planned for 1 threads"));
    }
    par_set_threads(0);
    net_close(&n);
}

static struct nn_tensor *wrong_width(struct nn_tape *t)
{
    struct nn_tensor *a = nn_tape_input(t, "a", 2, (size_t[]){2, 3});
    struct nn_tensor *b = nn_tape_input(t, "b", 2, (size_t[]){2, 3});

    return nn_linear_product(t, a, b, false);
}

static struct nn_tensor *wrong_sum(struct nn_tape *t)
{
    struct nn_tensor *a = nn_tape_input(t, "a", 2, (size_t[]){2, 3});

    return nn_map_add(t, a, nn_tape_input(t, "b", 1, (size_t[]){2}));
}

static struct nn_tensor *wrong_name(struct nn_tape *t)
{
    struct nn_tensor *a = nn_tape_input(t, "a", 2, (size_t[]){2, 3});

    return nn_linear(t, nn_linear(t, a, "l", 4, NN_RELU), "l", 4, NN_RELU);
}

static struct nn_tensor *wrong_heads(struct nn_tape *t)
{
    struct nn_tensor *a = nn_tape_input(t, "a", 3, (size_t[]){2, 3, 4});

    return nn_attend_self(t, a, "x", 4, &(struct nn_attend){.heads = 3});
}

static struct nn_tensor *wrong_slice(struct nn_tape *t)
{
    return nn_shape_slice(t, nn_tape_input(t, "a", 1, (size_t[]){2}), 0, 1, 3);
}

static struct nn_tensor *wrong_labels(struct nn_tape *t)
{
    struct nn_tensor *a = nn_tape_input(t, "a", 2, (size_t[]){2, 3});

    return nn_loss_ce(t, a, nn_tape_ids(t, "b", 1, (size_t[]){3}));
}

static void mistakes_in_building_are_named_by_the_plan(void **state)
{
    static const struct {
        struct nn_tensor *(*build)(struct nn_tape *t);
        const char *word;
    } all[] = {
        {wrong_width, "widths differ (3 and 2)"},
        {wrong_sum, "cannot be combined"},
        {wrong_name, "used with two shapes"},
        {wrong_heads, "3 heads"},
        {wrong_slice, "no slice 1..3"},
        {wrong_labels, "2 ids are wanted"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct nn_params *p;
        struct nn_tape *t;

        assert_int_equal(nn_params_new(&p, NN_F32, 1), ERR_OK);
        assert_int_equal(nn_tape_new(&t, p), ERR_OK);
        struct nn_tensor *x = all[i].build(t);

        x = nn_reduce_mean(t, nn_norm(t, x, "after"), NULL); /* skipped */
        assert_int_equal(nn_tape_plan(t, x), ERR_ARG);
        if (strstr(err_note(), all[i].word) == NULL)
            fail_msg("'%s' lacks '%s'", err_note(), all[i].word);
        nn_tape_free(t);
        nn_params_free(p);
    }
}

static void ids_outside_the_table_are_refused(void **state)
{
    struct net n;
    uint32_t items[BATCH * STEPS] = {0};

    (void)state;
    assert_int_equal(net_open(&n, 3), ERR_OK);
    items[5] = ITEMS;
    assert_int_equal(nn_tape_set_ids(n.t, n.items, items), ERR_ARG);
    assert_non_null(strstr(err_note(), "id 40 at position 5"));
    items[5] = NN_PAD;
    assert_int_equal(nn_tape_set_ids(n.t, n.items, items), ERR_OK);
    net_close(&n);
}

static void a_run_can_stop_halfway_and_go_on(void **state)
{
    struct nn_params *p;
    struct nn_tape *t;

    (void)state;
    assert_int_equal(nn_params_new(&p, NN_F32, 1), ERR_OK);
    assert_int_equal(nn_tape_new(&t, p), ERR_OK);
    struct nn_tensor *x = nn_tape_input(t, "x", 1, (size_t[]){2});
    struct nn_tensor *chosen = nn_tape_input(t, "chosen", 1, (size_t[]){2});
    struct nn_tensor *a = nn_map(t, x, NN_SQUARE);
    struct nn_tensor *b = nn_map_mul(t, a, chosen);

    nn_tape_keep(t, a);
    assert_int_equal(nn_tape_plan(t, NULL), ERR_OK);
    nn_tape_set(t, x, (float[]){2, 3});
    assert_int_equal(nn_tape_forward_to(t, a, true), ERR_OK);
    nn_tape_put(t, chosen, 0, nn_tape_at(t, a, 1));
    nn_tape_put(t, chosen, 1, nn_tape_at(t, a, 0));
    assert_int_equal(nn_tape_forward_to(t, b, false), ERR_OK);
    assert_true(nn_tape_at(t, b, 0) == 36 && nn_tape_at(t, b, 1) == 36);
    nn_tape_free(t);
    nn_params_free(p);
}

/* --- the rest ----------------------------------------------------------------
 */

static void early_stopping_brings_the_best_weights_back(void **state)
{
    struct nn_stop s;
    struct net n;
    float *x;

    (void)state;
    assert_int_equal(net_open(&n, 3), ERR_OK);
    assert_int_equal(nn_stop_init(&s, n.p, 2, true), ERR_OK);
    x = nn_params_values(n.p);
    assert_true(nn_stop_tell(&s, NAN));
    assert_true(nn_stop_tell(&s, 0.5));
    x[0] = 42;
    assert_true(nn_stop_tell(&s, 0.4));
    x[0] = 43;
    assert_true(nn_stop_tell(&s, 0.6));
    assert_false(nn_stop_tell(&s, NAN));
    nn_stop_restore(&s);
    assert_true(x[0] == 42 && s.best == 0.4 && s.best_at == 3);
    nn_stop_free(&s);
    net_close(&n);
}

static void the_order_of_samples_belongs_to_their_names(void **state)
{
    uint64_t keys[50], turned[49];
    uint32_t order[50], other[49], again[50];

    (void)state;
    for (size_t i = 0; i < 50; i++)
        keys[i] = 1000 + 7 * i;
    for (size_t i = 0; i < 49; i++) /* without number 0, from behind */
        turned[i] = keys[49 - i];
    assert_int_equal(nn_order(order, keys, 50, 3, 1), ERR_OK);
    assert_int_equal(nn_order(other, turned, 49, 3, 1), ERR_OK);
    for (size_t i = 0, j = 0; i < 50; i++) {
        if (order[i] == 0)
            continue;
        assert_int_equal(keys[order[i]], turned[other[j]]);
        j++;
    }
    assert_int_equal(nn_order(again, keys, 50, 3, 2), ERR_OK);
    assert_memory_not_equal(again, order, sizeof(order));
}

static void bessel_functions_have_their_published_values(void **state)
{
    (void)state;
    /* Abramowitz & Stegun, tables 9.8 and 9.9 */
    assert_true(fabs(nn_loss_bessel_log(0, 1) - log(1.2660658777520084)) <
                1e-14);
    assert_true(fabs(nn_loss_bessel_ratio(0, 1) -
                     0.5651591039924850 / 1.2660658777520084) < 1e-15);
    /* the two agree: ln I_{v+1} - ln I_v = ln ratio */
    for (double v = 0; v < 60; v += 7.5) {
        for (double x = 0.01; x < 2000; x *= 3)
            assert_true(fabs(nn_loss_bessel_log(v + 1, x) -
                             nn_loss_bessel_log(v, x) -
                             log(nn_loss_bessel_ratio(v, x))) < 1e-9);
    }
}

static void the_divergence_of_von_mises_fisher_is_right_on_the_sphere(
    void **state)
{
    static const float kappa[4] = {0.01f, 1, 10, 80};
    struct nn_params *p;
    struct nn_tape *t;

    (void)state;
    assert_int_equal(nn_params_new(&p, NN_F64, 9), ERR_OK);
    assert_int_equal(nn_tape_new(&t, p), ERR_OK);
    struct nn_tensor *k = nn_tape_input(t, "k", 1, (size_t[]){4});
    struct nn_tensor *y = nn_loss_kl_vmf(t, k, 3);

    assert_int_equal(nn_tape_plan(t, NULL), ERR_OK);
    nn_tape_set(t, k, kappa);
    assert_int_equal(nn_tape_forward(t), ERR_OK);
    for (size_t i = 0; i < 4; i++) {
        /* m = 3: density k / (4 pi sinh k) exp(k x) */
        const double c = (double)kappa[i];
        const double want = log(c / sinh(c)) + c / tanh(c) - 1;

        assert_true(fabs(nn_tape_at(t, y, i) - want) < 1e-9);
    }
    nn_tape_free(t);
    nn_params_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_training_step_allocates_nothing),
        cmocka_unit_test(training_learns_what_can_be_learnt),
        cmocka_unit_test(every_failing_allocation_is_reported),
        cmocka_unit_test(a_batch_that_does_not_fit_says_so_before_it_starts),
        cmocka_unit_test(networks_of_thousands_of_nodes_are_planned),
        cmocka_unit_test(inference_shares_memory_and_gives_the_same_scores),
        cmocka_unit_test(more_threads_than_planned_are_refused),
        cmocka_unit_test(mistakes_in_building_are_named_by_the_plan),
        cmocka_unit_test(ids_outside_the_table_are_refused),
        cmocka_unit_test(a_run_can_stop_halfway_and_go_on),
        cmocka_unit_test(early_stopping_brings_the_best_weights_back),
        cmocka_unit_test(the_order_of_samples_belongs_to_their_names),
        cmocka_unit_test(bessel_functions_have_their_published_values),
        cmocka_unit_test(
            the_divergence_of_von_mises_fisher_is_right_on_the_sphere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
