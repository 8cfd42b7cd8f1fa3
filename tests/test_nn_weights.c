/* tests/test_nn_weights.c - first values of weights, saving them, optimisers.
 */
#include "tests/nn_net.h"

#include "base/par.h"

/* --- weights -----------------------------------------------------------------
 */

static void first_values_depend_on_names_not_on_order(void **state)
{
    struct nn_params *p[2];
    struct nn_tape *t[2];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(nn_params_new(&p[i], NN_F32, 9), ERR_OK);
        assert_int_equal(nn_tape_new(&t[i], p[i]), ERR_OK);
        struct nn_tensor *x = nn_tape_input(t[i], "x", 2, (size_t[]){2, 3});

        (void)nn_linear(t[i], x, i == 0 ? "one" : "two", 3, NN_TANH);
        (void)nn_linear(t[i], x, i == 0 ? "two" : "one", 3, NN_TANH);
        assert_int_equal(nn_tape_plan(t[i], NULL), ERR_OK);
    }
    const float *a = nn_params_values(p[0]), *b = nn_params_values(p[1]);
    const size_t at = nn_params_find(p[0], "two/weight")->at;

    assert_true(at != nn_params_find(p[1], "two/weight")->at);
    assert_memory_equal(a + at, b + nn_params_find(p[1], "two/weight")->at,
                        9 * sizeof(float));
    assert_memory_not_equal(a + at, a + nn_params_find(p[0], "one/weight")->at,
                            9 * sizeof(float));
    for (size_t i = 0; i < 2; i++) {
        nn_tape_free(t[i]);
        nn_params_free(p[i]);
    }
}

static void rows_of_tables_are_named_by_keys(void **state)
{
    const uint64_t keys[ITEMS] = {11, 22, 33}, turned[ITEMS] = {33, 22, 11};
    struct net n, m;

    (void)state;
    assert_int_equal(net_open(&n, 3), ERR_OK);
    assert_int_equal(net_open(&m, 3), ERR_OK);
    assert_int_equal(nn_params_init_rows(n.p, "item", keys), ERR_OK);
    assert_int_equal(nn_params_init_rows(m.p, "item", turned), ERR_OK);
    const size_t at = nn_params_find(n.p, "item")->at;
    const float *a = (float *)nn_params_values(n.p) + at;
    const float *b = (float *)nn_params_values(m.p) + at;

    assert_memory_equal(a, b + 2 * WIDTH, WIDTH * sizeof(float));
    assert_memory_equal(a + WIDTH, b + WIDTH, WIDTH * sizeof(float));
    assert_memory_not_equal(a, b, WIDTH * sizeof(float));
    assert_int_equal(nn_params_init_rows(n.p, "users", keys), ERR_NOTFOUND);
    net_close(&n);
    net_close(&m);
}

static void initial_deviations_are_what_was_asked_for(void **state)
{
    struct nn_params *p;
    struct nn_tape *t;
    double sum = 0, square = 0, most = 0;

    (void)state;
    assert_int_equal(nn_params_new(&p, NN_F32, 9), ERR_OK);
    assert_int_equal(nn_tape_new(&t, p), ERR_OK);
    struct nn_tensor *x = nn_tape_input(t, "x", 2, (size_t[]){2, 200});

    (void)nn_linear(t, x, "he", 300, NN_RELU);
    (void)nn_linear(t, x, "xavier", 300, NN_TANH);
    assert_int_equal(nn_tape_plan(t, NULL), ERR_OK);
    const float *he =
        (float *)nn_params_values(p) + nn_params_find(p, "he/weight")->at;
    const float *xa =
        (float *)nn_params_values(p) + nn_params_find(p, "xavier/weight")->at;

    for (size_t i = 0; i < 60000; i++) {
        sum += (double)he[i] / 60000;
        square += (double)he[i] * (double)he[i] / 60000;
        most = fabs((double)xa[i]) > most ? fabs((double)xa[i]) : most;
    }
    assert_true(fabs(sum) < 0.002 && fabs(square - 2.0 / 200) < 2e-4);
    assert_true(most <= sqrt(6.0 / 500) && most > 0.99 * sqrt(6.0 / 500));
    nn_tape_free(t);
    nn_params_free(p);
}

static void dropout_follows_the_keys_of_rows(void **state)
{
    const uint64_t keys[4] = {5, 6, 7, 8}, turned[4] = {8, 7, 6, 5};
    struct nn_params *p;
    struct nn_tape *t;
    float a[400], b[400];
    size_t zeros = 0;

    (void)state;
    assert_int_equal(nn_params_new(&p, NN_F32, 9), ERR_OK);
    assert_int_equal(nn_tape_new(&t, p), ERR_OK);
    struct nn_tensor *x = nn_tape_input(t, "x", 2, (size_t[]){4, 100});
    struct nn_tensor *k = nn_tape_keys(t, "k", 4);
    struct nn_tensor *y = nn_map_drop(t, x, "d", 0.25, k);

    assert_int_equal(nn_tape_plan(t, NULL), ERR_OK);
    nn_tape_fill(t, x, 3);
    nn_tape_set_keys(t, k, keys);
    assert_int_equal(nn_tape_forward(t), ERR_OK);
    assert_true(nn_tape_at(t, y, 17) == 3); /* not training: untouched */
    nn_tape_training(t, true);
    assert_int_equal(nn_tape_forward(t), ERR_OK);
    nn_tape_get(t, y, a);
    nn_tape_set_keys(t, k, turned);
    assert_int_equal(nn_tape_forward(t), ERR_OK);
    nn_tape_get(t, y, b);
    for (size_t i = 0; i < 400; i++) {
        assert_true(a[i] == 0 || a[i] == 4);
        assert_true(a[i] == b[(3 - i / 100) * 100 + i % 100]);
        zeros += a[i] == 0;
    }
    assert_in_range(zeros, 70, 130);
    nn_tape_step(t, 1);
    assert_int_equal(nn_tape_forward(t), ERR_OK);
    nn_tape_get(t, y, a);
    assert_memory_not_equal(a, b, sizeof(a));
    nn_tape_free(t);
    nn_params_free(p);
}

static void frozen_weights_rest(void **state)
{
    struct nn_optim *o;
    struct net n;

    (void)state;
    assert_int_equal(net_open(&n, 3), ERR_OK);
    nn_params_freeze(n.p, "gru/", true);
    assert_int_equal(nn_optim_new(&o, n.p, &adam), ERR_OK);
    const struct nn_param *q = nn_params_find(n.p, "gru/state_weight");
    const struct nn_param *r = nn_params_find(n.p, "last/weight");
    float *x = nn_params_values(n.p);
    float *was = kern_copy(x, nn_params_size(n.p));

    nn_params_freeze(n.p, "item", true);
    (void)net_step(&n, o, 0);
    assert_true(nn_optim_norm(n.p) == 0);
    nn_params_freeze(n.p, "item", false);
    assert_true(nn_optim_norm(n.p) == 0); /* nothing was left behind */
    assert_memory_equal(x + q->at, was + q->at, q->n * sizeof(float));
    assert_memory_not_equal(x + r->at, was + r->at, r->n * sizeof(float));
    free(was);
    nn_optim_free(o);
    net_close(&n);
}

/* --- saving ------------------------------------------------------------------
 */

static void a_saved_run_continues_to_the_same_bits(void **state)
{
    struct nn_optim *o, *q;
    struct net n, m;

    (void)state;
    assert_int_equal(net_open(&n, 3), ERR_OK);
    assert_int_equal(nn_optim_new(&o, n.p, &adam), ERR_OK);
    for (uint64_t s = 0; s < 5; s++)
        (void)net_step(&n, o, s);
    const size_t more = nn_optim_state_size(o);
    const size_t bytes = nn_params_save_bytes(n.p, more);
    float *opt = mem_array(more, sizeof(float));
    unsigned char *image = mem_array(bytes, 1);

    assert_non_null(opt);
    assert_non_null(image);
    nn_optim_state(o, opt);
    nn_params_save(n.p, opt, more, image);

    assert_int_equal(net_open(&m, 3), ERR_OK);
    assert_int_equal(nn_optim_new(&q, m.p, &adam), ERR_OK);
    (void)net_step(&m, q, 77); /* other weights, other state */
    assert_int_equal(nn_params_load(m.p, opt, more, image, bytes), ERR_OK);
    nn_optim_restore(q, opt);
    assert_int_equal(nn_optim_steps(q), 5);
    for (uint64_t s = 5; s < 9; s++)
        assert_true(net_step(&n, o, s) == net_step(&m, q, s));
    assert_memory_equal(nn_params_values(n.p), nn_params_values(m.p),
                        nn_params_size(n.p) * sizeof(float));
    free(opt);
    free(image);
    nn_optim_free(o);
    nn_optim_free(q);
    net_close(&n);
    net_close(&m);
}

static void broken_images_are_refused_and_change_nothing(void **state)
{
    struct net n;

    (void)state;
    assert_int_equal(net_open(&n, 3), ERR_OK);
    const size_t bytes = nn_params_save_bytes(n.p, 0);
    unsigned char *image = mem_array(bytes + 1, 1);
    float *was = kern_copy(nn_params_values(n.p), nn_params_size(n.p));

    assert_non_null(image);
    nn_params_save(n.p, NULL, 0, image);
    nn_params_reset(n.p, 8);
    free(was);
    was = kern_copy(nn_params_values(n.p), nn_params_size(n.p));
    for (size_t cut = 0; cut < bytes; cut += cut < 200 ? 1 : 997)
        assert_int_equal(nn_params_load(n.p, NULL, 0, image, cut), ERR_FORMAT);
    assert_int_equal(nn_params_load(n.p, NULL, 0, image, bytes + 1),
                     ERR_FORMAT);
    for (size_t at = 0; at < 48; at++) { /* header, first name and shape */
        image[at] ^= 1;
        assert_int_equal(nn_params_load(n.p, NULL, 0, image, bytes),
                         ERR_FORMAT);
        image[at] ^= 1;
    }
    assert_memory_equal(was, nn_params_values(n.p),
                        nn_params_size(n.p) * sizeof(float));
    assert_int_equal(nn_params_load(n.p, NULL, 0, image, bytes), ERR_OK);
    free(was);
    free(image);
    net_close(&n);
}

/* --- optimisers --------------------------------------------------------------
 */

/* One parameter [1][1] with loss p * g, so that its gradient is g. */
struct one {
    struct nn_params *p;
    struct nn_tape *t;
    struct nn_tensor *g;
    struct nn_optim *o;
};

static void one_open(struct one *s, const struct nn_optim_opt *opt)
{
    assert_int_equal(nn_params_new(&s->p, NN_F64, 1), ERR_OK);
    assert_int_equal(nn_tape_new(&s->t, s->p), ERR_OK);
    s->g = nn_tape_input(s->t, "g", 2, (size_t[]){1, 1});
    struct nn_tensor *y =
        nn_linear_param(s->t, "p", 2, (size_t[]){1, 1},
                        (struct nn_init){NN_INIT_CONSTANT, 2, 0, 0});

    assert_int_equal(
        nn_tape_plan(s->t,
                     nn_reduce_sum(s->t, nn_map_mul(s->t, y, s->g), NULL)),
        ERR_OK);
    assert_int_equal(nn_optim_new(&s->o, s->p, opt), ERR_OK);
}

static double one_step(struct one *s, double g)
{
    nn_tape_fill(s->t, s->g, g);
    assert_int_equal(nn_tape_forward(s->t), ERR_OK);
    assert_int_equal(nn_tape_backward(s->t), ERR_OK);
    assert_int_equal(nn_optim_step(s->o), ERR_OK);
    return *(double *)nn_params_values(s->p);
}

static void one_close(struct one *s)
{
    nn_optim_free(s->o);
    nn_tape_free(s->t);
    nn_params_free(s->p);
}

static void same(double a, double b)
{
    if (!(fabs(a - b) <= 1e-12 * (1 + fabs(b))))
        fail_msg("%.15g is not %.15g", a, b);
}

static void optimisers_do_what_their_papers_say(void **state)
{
    static const double g[3] = {0.5, -1.5, 2};
    struct one s;
    double p = 2, m = 0, v = 0;

    (void)state;
    one_open(&s, &(struct nn_optim_opt){.kind = NN_SGD, .lr = .1, .l2 = .01});
    for (size_t i = 0; i < 3; i++)
        same(one_step(&s, g[i]), p -= .1 * (g[i] + .01 * p));
    one_close(&s);

    p = 2;
    one_open(&s, &(struct nn_optim_opt){.kind = NN_SGD, .lr = .1, .beta1 = .9});
    for (size_t i = 0; i < 3; i++) {
        m = .9 * m + g[i];
        same(one_step(&s, g[i]), p -= .1 * m);
    }
    one_close(&s);

    p = 2, m = 0;
    one_open(&s,
             &(struct nn_optim_opt){.kind = NN_ADAM, .lr = .1, .decay = .02});
    for (size_t i = 0; i < 3; i++) { /* Loshchilov & Hutter, algorithm 2 */
        m = .9 * m + .1 * g[i];
        v = .999 * v + .001 * g[i] * g[i];
        const double mh = m / (1 - pow(.9, (double)i + 1));
        const double vh = v / (1 - pow(.999, (double)i + 1));

        p = p * (1 - .1 * .02) - .1 * mh / (sqrt(vh) + 1e-8);
        same(one_step(&s, g[i]), p);
    }
    one_close(&s);

    p = 2, v = 0;
    one_open(&s,
             &(struct nn_optim_opt){.kind = NN_ADAGRAD, .lr = .1, .clip = 1});
    for (size_t i = 0; i < 3; i++) {
        const double c = fabs(g[i]) > 1 ? g[i] / fabs(g[i]) : g[i];

        v += c * c;
        same(one_step(&s, g[i]), p -= .1 * c / (sqrt(v) + 1e-10));
    }
    one_close(&s);
}

static void a_gradient_that_is_not_finite_is_an_error(void **state)
{
    struct one s;

    (void)state;
    one_open(&s, &(struct nn_optim_opt){.kind = NN_SGD, .lr = .1, .clip = 1});
    nn_tape_fill(s.t, s.g, NAN);
    assert_int_equal(nn_tape_forward(s.t), ERR_OK);
    assert_int_equal(nn_tape_backward(s.t), ERR_OK);
    assert_int_equal(nn_optim_step(s.o), ERR_NUM);
    assert_int_equal(nn_optim_train(s.o, s.t, NULL), ERR_NUM);
    assert_non_null(strstr(err_note(), "loss is not finite in step 0"));
    assert_true(*(double *)nn_params_values(s.p) == 2);
    one_close(&s);
}

static void gradients_of_several_passes_and_tapes_add_up(void **state)
{
    struct nn_params *p;
    struct nn_tape *t[2];
    struct nn_tensor *x[2];

    (void)state;
    assert_int_equal(nn_params_new(&p, NN_F64, 1), ERR_OK);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(nn_tape_new(&t[i], p), ERR_OK);
        x[i] = nn_tape_input(t[i], "x", 2, (size_t[]){1 + i, 1});
        struct nn_tensor *y = nn_linear_free(t[i], x[i], "one", 1);

        assert_int_equal(nn_tape_plan(t[i], nn_reduce_sum(t[i], y, NULL)),
                         ERR_OK);
        nn_tape_fill(t[i], x[i], i == 0 ? 3 : 5);
        assert_int_equal(nn_tape_forward(t[i]), ERR_OK);
    }
    const double *g = nn_params_grads(p);

    assert_int_equal(nn_tape_backward(t[0]), ERR_OK);
    assert_true(g[0] == 3);
    assert_int_equal(nn_tape_backward(t[0]), ERR_OK);
    assert_int_equal(nn_tape_backward(t[1]), ERR_OK);
    assert_true(g[0] == 3 + 3 + 2 * 5);
    nn_params_clear(p);
    assert_true(g[0] == 0);
    for (size_t i = 0; i < 2; i++)
        nn_tape_free(t[i]);
    nn_params_free(p);
}

static void rates_follow_their_schedules(void **state)
{
    struct nn_optim_opt o = {.lr = 2, .warm_up = 4, .period = 10};

    (void)state;
    same(nn_optim_lr(&o, 0), 0.5);
    same(nn_optim_lr(&o, 3), 2);
    same(nn_optim_lr(&o, 1000), 2);
    o.rate = NN_RATE_STEP;
    same(nn_optim_lr(&o, 13), 2);
    same(nn_optim_lr(&o, 14), 0.2);
    same(nn_optim_lr(&o, 24), 0.02);
    o.rate = NN_RATE_COSINE;
    o.factor = 0.1;
    same(nn_optim_lr(&o, 4), 2);
    same(nn_optim_lr(&o, 9), 1.1);
    same(nn_optim_lr(&o, 14), 0.2);
    same(nn_optim_lr(&o, 99), 0.2);
    o = (struct nn_optim_opt){.lr = 2, .rate = NN_RATE_COSINE, .period = 1000};
    for (uint64_t s = 0; s <= 1000; s++)
        same(nn_optim_lr(&o, s), 1 + cos(acos(-1) * (double)s / 1000));
}

static void only_rows_that_were_looked_up_are_stepped(void **state)
{
    struct nn_optim *o;
    struct net n;

    (void)state;
    assert_int_equal(net_open(&n, 3), ERR_OK);
    assert_int_equal(nn_optim_new(&o, n.p, &adam), ERR_OK);
    const struct nn_param *q = nn_params_find(n.p, "item");
    float *x = (float *)nn_params_values(n.p) + q->at;
    float *was = kern_copy(x, q->n);

    assert_true(q->by_rows);
    (void)net_step(&n, o, 0);
    (void)net_step(&n, o, 1); /* ids are below ITEMS / 2 */
    assert_memory_equal(x + q->n / 2, was + q->n / 2, q->n / 2 * sizeof(float));
    assert_memory_not_equal(x, was, q->n / 2 * sizeof(float));
    assert_int_equal(q->n_touched, 0);
    assert_true(nn_optim_norm(n.p) == 0);
    free(was);
    nn_optim_free(o);
    net_close(&n);
}

static void a_table_used_as_a_whole_must_be_planned_first(void **state)
{
    struct net n;
    struct nn_tape *t;

    (void)state;
    assert_int_equal(net_open(&n, 3), ERR_OK);
    for (int training = 0; training < 2; training++) {
        assert_int_equal(nn_tape_new(&t, n.p), ERR_OK);
        struct nn_tensor *x = nn_tape_input(t, "x", 2, (size_t[]){3, WIDTH});
        struct nn_tensor *e = nn_embed_table(t, "item", ITEMS, WIDTH, 0.3);

        x = nn_linear_product(t, x, e, true);
        x = nn_reduce_mean(t, x, NULL);
        assert_int_equal(nn_tape_plan(t, training ? x : NULL),
                         training ? ERR_ARG : ERR_OK);
        if (training)
            assert_non_null(strstr(err_note(), "table 'item'"));
        nn_tape_free(t);
    }
    net_close(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_values_depend_on_names_not_on_order),
        cmocka_unit_test(rows_of_tables_are_named_by_keys),
        cmocka_unit_test(initial_deviations_are_what_was_asked_for),
        cmocka_unit_test(dropout_follows_the_keys_of_rows),
        cmocka_unit_test(frozen_weights_rest),
        cmocka_unit_test(a_saved_run_continues_to_the_same_bits),
        cmocka_unit_test(broken_images_are_refused_and_change_nothing),
        cmocka_unit_test(optimisers_do_what_their_papers_say),
        cmocka_unit_test(a_gradient_that_is_not_finite_is_an_error),
        cmocka_unit_test(gradients_of_several_passes_and_tapes_add_up),
        cmocka_unit_test(rates_follow_their_schedules),
        cmocka_unit_test(only_rows_that_were_looked_up_are_stepped),
        cmocka_unit_test(a_table_used_as_a_whole_must_be_planned_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
