/*
 * tests/test_nn_train.c - planning, weights, optimisers, and what training
 * promises.  malloc() and its kin are wrapped, to count and to fail them.
 */
#include "tests/kern.h"

#include <errno.h>
#include <math.h>

#include "base/par.h"
#include "nn/nn.h"

/* --- allocations -------------------------------------------------------------
 */

static size_t n_allocations, fail_at = SIZE_MAX; /* from 0 */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);

static bool refused(void)
{
    return n_allocations++ == fail_at;
}

void *__wrap_malloc(size_t n)
{
    return refused() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return refused() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return refused() ? NULL : __real_realloc(p, n);
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
    return refused() ? NULL : __real_aligned_alloc(align, n);
}

/* --- a network to try things on ----------------------------------------------
 */

enum { BATCH = 24, STEPS = 6, ITEMS = 40, WIDTH = 16 };

struct net {
    struct nn_params *p;
    struct nn_tape *t;
    struct nn_tensor *items, *target, *keys, *score, *loss;
};

static struct nn_tensor *net_body(struct net *n, double drop)
{
    struct nn_tape *t = n->t;

    n->items = nn_tape_ids(t, "items", 2, (size_t[]){BATCH, STEPS});
    n->target = nn_tape_input(t, "target", 1, (size_t[]){BATCH});
    n->keys = nn_tape_keys(t, "keys", BATCH);
    struct nn_tensor *x = nn_embed(t, n->items, "item", ITEMS, WIDTH, 0.3);

    x = nn_map_drop(t, x, "drop", drop, n->keys);
    x = nn_attend_self(t, x, "attend", WIDTH,
                       &(struct nn_attend){.heads = 2, .causal = true});
    x = nn_gru(t, nn_norm(t, x, "norm"), "gru", WIDTH, NULL);
    x = nn_shape_slice(t, x, 1, STEPS - 1, STEPS);
    x = nn_linear(t, x, "last", 1, NN_NONE);
    n->score = nn_shape_as(t, x, 1, (size_t[]){BATCH});
    return n->score;
}

static enum err net_open(struct net *n, uint64_t seed)
{
    *n = (struct net){0};
    ERR_TRY(nn_params_new(&n->p, NN_F32, seed));
    ERR_TRY(nn_tape_new(&n->t, n->p));
    struct nn_tensor *x = net_body(n, 0.1);

    n->loss = nn_reduce_mean(n->t, nn_loss_bce(n->t, x, n->target), NULL);
    return nn_tape_plan(n->t, n->loss);
}

static void net_close(struct net *n)
{
    nn_tape_free(n->t);
    nn_params_free(n->p);
}

/* A batch whose answer can be learnt: is the first item above the last? */
static void net_fill(struct net *n, uint64_t step)
{
    uint32_t items[BATCH * STEPS];
    float target[BATCH];
    uint64_t keys[BATCH];

    for (size_t b = 0; b < BATCH; b++) {
        for (size_t i = 0; i < STEPS; i++)
            items[b * STEPS + i] =
                (uint32_t)((float)(ITEMS / 2) *
                           rng_f32(step, RNG_SYNTH, b * STEPS + i));
        target[b] = items[b * STEPS] > items[b * STEPS + STEPS - 1] ? 1 : 0;
        keys[b] = step * BATCH + b;
    }
    assert_int_equal(nn_tape_set_ids(n->t, n->items, items), ERR_OK);
    nn_tape_set(n->t, n->target, target);
    nn_tape_set_keys(n->t, n->keys, keys);
    nn_tape_step(n->t, step);
}

static double net_step(struct net *n, struct nn_optim *o, uint64_t step)
{
    net_fill(n, step);
    assert_int_equal(nn_tape_forward(n->t), ERR_OK);
    assert_int_equal(nn_tape_backward(n->t), ERR_OK);
    assert_int_equal(nn_optim_step(o), ERR_OK);
    return nn_tape_at(n->t, n->loss, 0);
}

static const struct nn_optim_opt adam = {
    .kind = NN_ADAM, .lr = 0.01, .clip = 1, .warm_up = 5};

static void a_training_step_allocates_nothing(void **state)
{
    struct nn_optim *o;
    struct net n;

    (void)state;
    assert_int_equal(net_open(&n, 1), ERR_OK);
    assert_int_equal(nn_optim_new(&o, n.p, &adam), ERR_OK);
    const size_t before = n_allocations;

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
    for (size_t i = 0;; i++) {
        struct nn_optim *o = NULL;
        struct net n;
        enum err e;

        fail_at = n_allocations + i;
        e = net_open(&n, 1);
        if (e == ERR_OK)
            e = nn_optim_new(&o, n.p, &adam);
        const bool reached = n_allocations > fail_at;

        fail_at = SIZE_MAX;
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
        cmocka_unit_test(early_stopping_brings_the_best_weights_back),
        cmocka_unit_test(the_order_of_samples_belongs_to_their_names),
        cmocka_unit_test(bessel_functions_have_their_published_values),
        cmocka_unit_test(
            the_divergence_of_von_mises_fisher_is_right_on_the_sphere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
