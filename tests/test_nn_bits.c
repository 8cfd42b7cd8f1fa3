/*
 * tests/test_nn_bits.c - the same bits for all instruction sets and any number
 * of threads.
 */
#include "tests/kern.h"

#include <stdio.h>
#include <unistd.h>

#include "base/key.h"
#include "base/par.h"
#include "tests/nn_cases.h"

/* --- kernels -----------------------------------------------------------------
 */

#define ROOM 1200

/* Arrays that a kernel may read (a, b, c) or read and write (x, y, z). */
struct bench {
    _Alignas(64) float a[ROOM], b[ROOM], c[ROOM], x[ROOM], y[ROOM], z[ROOM];
    double value;
};

static void bench_fill(struct bench *s)
{
    kern_fill(s->a, ROOM, 1);
    kern_fill(s->b, ROOM, 2);
    kern_fill(s->c, ROOM, 3);
    kern_fill(s->x, ROOM, 4);
    kern_fill(s->y, ROOM, 5);
    kern_fill(s->z, ROOM, 6);
    for (size_t i = 0; i < ROOM; i++) {
        s->a[i] *= i % 7 == 0 ? 40 : 5;
        s->c[i] = s->c[i] > 0 ? 1 : 0;
    }
    s->value = 0;
}

static const struct krn_step some_step = {.01, .9, .99, 1e-8, .001, .002};

typedef void run(const struct krn_tape *k, struct bench *s, size_t n);

static void run_maps(const struct krn_tape *k, struct bench *s, size_t n)
{
    for (enum krn_map f = KRN_MAP_NONE; f <= KRN_MAP_SQUARE; f++) {
        k->map(f, .1, s->x, s->a, n);
        k->map_grad(f, .1, false, s->y, s->b, s->a, s->x, n);
        k->map_grad(f, .1, true, s->z, s->b, s->a, s->x, n);
        k->bias_map(f, .1, s->x, NULL, s->b, 1, n, n);
    }
}

static void run_zips(const struct krn_tape *k, struct bench *s, size_t n)
{
    for (enum krn_zip f = KRN_ZIP_ADD; f <= KRN_ZIP_MIN; f++) {
        k->zip(f, s->x, s->a, s->b, n);
        k->zip_grad(f, s->y, true, s->z, true, s->x, s->a, s->b, n);
    }
    k->scale(s->x, true, 1.3, s->a, .2, n);
    k->product(s->x, true, s->a, s->b, n);
    k->clip(s->y, s->a, -.5, .7, n);
    k->clip_grad(s->z, true, s->b, s->a, -.5, .7, n);
}

static void run_draws(const struct krn_tape *k, struct bench *s, size_t n)
{
    k->drop(s->x, false, s->a, 7, 8, 9, .3, n);
    k->drop(s->y, true, s->a, 7, 8, 9, .3, n);
    k->gauss(s->z, 7, 8, 9, n);
}

static void run_sums(const struct krn_tape *k, struct bench *s, size_t n)
{
    s->value = k->sum(s->a, n) + k->dot(s->a, s->b, n);
    k->columns(s->x, true, s->a, 5, n / 5, n / 5);
}

static void run_softs(const struct krn_tape *k, struct bench *s, size_t n)
{
    k->softmax(s->x, s->a, NULL, n);
    k->softmax(s->y, s->a, s->c, n);
    k->softmax_grad(s->z, true, s->b, s->x, n);
    k->log_softmax(s->x, s->a, n);
    k->log_softmax_grad(s->z, true, s->b, s->x, n);
    s->value = k->ce(s->x, s->a, n / 2, n);
    s->value += k->list_ce(s->y, s->a, s->c, NULL, n);
}

static void run_norms(const struct krn_tape *k, struct bench *s, size_t n)
{
    float keep[2];

    k->norm(s->x, keep, s->a, s->b, s->c, n, 1e-5);
    k->norm_grad(s->x, true, s->y, s->z, s->b, s->a, s->c, keep, n);
    k->unit(s->y, keep, s->a, n, 1e-5);
    k->unit_grad(s->z, true, s->b, s->y, keep, n);
}

static void run_cells(const struct krn_tape *k, struct bench *s, size_t n)
{
    const size_t h = n / 4;

    k->gru(&(struct krn_gru){h, s->x, s->a, s->y, s->b, s->z});
    k->gru_grad(
        &(struct krn_gru_grad){h, s->x, s->y, s->b, s->c, s->a, s->z, s->c});
    k->lstm(&(struct krn_lstm){h, s->x, s->b, s->y, s->z});
    k->lstm_grad(
        &(struct krn_lstm_grad){h, s->x, s->b, s->y, s->c, s->z, s->a, s->z});
}

static void run_steps(const struct krn_tape *k, struct bench *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s->z[i] *= s->z[i];
    k->sgd(s->x, NULL, s->a, n, .9, &some_step);
    k->sgd(s->x, s->y, s->a, n, .9, &some_step);
    k->adam(s->x, s->y, s->z, s->a, n, .9, &some_step);
    k->adagrad(s->x, s->z, s->a, n, .9, &some_step);
}

static void check_kernels(const char *what, run *fn)
{
    static struct bench want, got;

    for (enum krn_isa isa = KRN_AVX2; isa <= KRN_AVX512; isa++) {
        if (cpu_ops_of(isa) == NULL)
            continue;
        for (size_t n = 1; n < 300; n += n < 40 ? 1 : 37) {
            bench_fill(&want);
            bench_fill(&got);
            fn(krn_tape_of(KRN_REFERENCE), &want, n);
            fn(krn_tape_of(isa), &got, n);
            const size_t at =
                kern_differ(got.a, want.a, sizeof(want) / sizeof(float) - 16);

            if (at < sizeof(want) / sizeof(float) - 16)
                fail_msg("%s of %zu, %s: array %zu, element %zu is %a, not %a",
                         what, n, krn_tape_of(isa)->name, at / ROOM, at % ROOM,
                         (double)got.a[at], (double)want.a[at]);
            assert_memory_equal(&got.value, &want.value, sizeof(double));
        }
    }
}

static void all_instruction_sets_give_the_same_bits(void **state)
{
    static const struct {
        const char *name;
        run *fn;
    } all[] = {{"maps", run_maps},   {"zips", run_zips},   {"draws", run_draws},
               {"sums", run_sums},   {"softs", run_softs}, {"norms", run_norms},
               {"cells", run_cells}, {"steps", run_steps}};

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        check_kernels(all[i].name, all[i].fn);
}

static void dropout_draws_are_those_of_philox(void **state)
{
    static float x[1000], y[1000];

    (void)state;
    for (size_t i = 0; i < 1000; i++)
        x[i] = 1;
    krn_tape_of(KRN_REFERENCE)
        ->drop(y, false, x, 12345, 0x1234567890abcdefu, 77, 0.25, 999);
    for (uint32_t i = 0; i < 999; i++) {
        const struct krn_u32x4 c = {{i / 4, 77, 0x90abcdefu, 0x12345678u}};
        const bool kept = krn_philox(12345, c).v[i % 4] >= 0x40000000u;

        assert_true(y[i] == (kept ? (float)(1 / 0.75) : 0));
    }
    assert_true(y[999] == 0);
}

/* --- threads -----------------------------------------------------------------
 */

static void check_threads(const struct nn_case *c)
{
    static const size_t threads[] = {1, 2, 3, 7};
    float *first = NULL;

    for (size_t i = 0; i < 4; i++) {
        struct nn_case_net g;

        par_set_threads(threads[i]);
        nn_case_open(&g, c, NN_F32, 11);
        assert_int_equal(nn_tape_forward(g.t), ERR_OK);
        assert_int_equal(nn_tape_backward(g.t), ERR_OK);
        const size_t n = nn_params_size(g.p), m = g.leaf[0] ? g.leaf[0]->n : 0;
        float *all = mem_array(n + m + 1, sizeof(float));

        assert_non_null(all);
        memcpy(all, nn_params_grads(g.p), n * sizeof(float));
        for (size_t j = 0; j < m; j++)
            all[n + j] = (float)nn_tape_grad_at(g.t, g.leaf[0], j);
        all[n + m] = (float)nn_tape_at(g.t, g.loss, 0);
        if (first == NULL)
            first = all;
        if (memcmp(first, all, (n + m + 1) * sizeof(float)) != 0)
            fail_msg("%s: other bits with %zu threads", c->name, threads[i]);
        if (first != all)
            free(all);
        nn_case_close(&g);
    }
    free(first);
    par_set_threads(0);
}

static void any_number_of_threads_gives_the_same_gradients(void **state)
{
    (void)state;
    for (const struct nn_case *c = nn_cases; c->name != NULL; c++)
        check_threads(c);
}

/* A network with something of everything, large enough for many tasks. */
struct whole {
    struct nn_params *p;
    struct nn_tape *t;
    struct nn_tensor *items, *labels, *mask, *loss;
};

enum { BATCH = 48, STEPS = 20, ITEMS = 500, WIDTH = 32 };

static void whole_build(struct whole *w)
{
    struct nn_tape *t;

    assert_int_equal(nn_params_new(&w->p, NN_F32, 5), ERR_OK);
    assert_int_equal(nn_tape_new(&w->t, w->p), ERR_OK);
    t = w->t;
    w->items = nn_tape_ids(t, "items", 2, (size_t[]){BATCH, STEPS});
    w->labels = nn_tape_ids(t, "labels", 1, (size_t[]){BATCH});
    w->mask = nn_tape_input(t, "mask", 2, (size_t[]){BATCH, STEPS});
    struct nn_tensor *x = nn_embed(t, w->items, "item", ITEMS, WIDTH, 0.1);
    struct nn_tensor *y = nn_attend_self(
        t, nn_map_drop(t, x, "drop", 0.1, NULL), "attend", WIDTH,
        &(struct nn_attend){.heads = 2, .mask = w->mask, .causal = true});

    x = nn_norm(t, nn_map_add(t, x, y), "norm");
    y = nn_linear(t, nn_linear(t, x, "up", 3 * WIDTH, NN_GELU), "down", WIDTH,
                  NN_NONE);
    x = nn_map_add(t, x, y);
    y = nn_gru(t, x, "gru", WIDTH, &(struct nn_gru){.mask = w->mask});
    x = nn_lstm(t, x, "lstm", WIDTH, &(struct nn_lstm){.reverse = true});
    x = nn_shape_concat(t, 2, (struct nn_tensor *[]){x, y}, 2);
    x = nn_conv(t, x, "conv", WIDTH, &(struct nn_conv){3, 2, 0, NN_SWISH});
    x = nn_reduce_axis_mean(t, x, 1);
    x = nn_linear_product(t, x, nn_embed_table(t, "out", ITEMS, WIDTH, 0.1),
                          true);
    w->loss = nn_reduce_mean(t, nn_loss_ce(t, x, w->labels), NULL);
    assert_int_equal(nn_tape_plan(t, w->loss), ERR_OK);
}

static void whole_fill(struct whole *w, uint64_t step)
{
    static uint32_t items[BATCH * STEPS], labels[BATCH];
    static float mask[BATCH * STEPS];

    for (size_t i = 0; i < BATCH * STEPS; i++) {
        const float u = rng_f32(step, RNG_SYNTH, i);

        items[i] = u < 0.1f ? NN_PAD : (uint32_t)(ITEMS * u * u);
        mask[i] = u < 0.1f ? 0 : 1;
        labels[i / STEPS] = (uint32_t)(ITEMS * u);
    }
    assert_int_equal(nn_tape_set_ids(w->t, w->items, items), ERR_OK);
    assert_int_equal(nn_tape_set_ids(w->t, w->labels, labels), ERR_OK);
    nn_tape_set(w->t, w->mask, mask);
    nn_tape_step(w->t, step);
}

static float *whole_train(size_t threads, size_t *n)
{
    const struct nn_optim_opt opt = {
        .kind = NN_ADAM, .lr = 0.01, .clip = 0.5, .l2 = 1e-4};
    struct nn_optim *o;
    struct whole w;

    par_set_threads(threads);
    whole_build(&w);
    assert_int_equal(nn_optim_new(&o, w.p, &opt), ERR_OK);
    for (uint64_t step = 0; step < 4; step++) {
        whole_fill(&w, step);
        assert_int_equal(nn_tape_forward(w.t), ERR_OK);
        assert_int_equal(nn_tape_backward(w.t), ERR_OK);
        assert_int_equal(nn_optim_step(o), ERR_OK);
    }
    *n = nn_params_size(w.p);
    float *x = kern_copy(nn_params_values(w.p), *n);

    for (size_t i = 0; i < *n; i++)
        assert_true(x[i] - x[i] == 0);
    nn_optim_free(o);
    nn_tape_free(w.t);
    nn_params_free(w.p);
    par_set_threads(0);
    return x;
}

static void any_number_of_threads_trains_the_same_weights(void **state)
{
    size_t n, m;
    float *one = whole_train(1, &n);

    (void)state;
    for (size_t threads = 2; threads <= 7; threads += threads == 3 ? 4 : 1) {
        float *x = whole_train(threads, &m);

        assert_int_equal(n, m);
        kern_assert_same(x, one, n, "weights", threads, 0, 0);
        free(x);
    }
    free(one);
}

/* The digest of the weights as text, computed by this program run anew. */
static void digest_under(const char *isa, char *out, size_t room)
{
    char command[300];
    FILE *f;

    (void)snprintf(command, sizeof(command),
                   "RECD_ISA=%s /proc/%ld/exe --digest", isa, (long)getpid());
    f = popen(command, "r");
    assert_non_null(f);
    assert_non_null(fgets(out, (int)room, f));
    assert_int_equal(pclose(f), 0);
}

static void any_instruction_set_trains_the_same_weights(void **state)
{
    char want[80], got[80];

    (void)state;
    digest_under("reference", want, sizeof(want));
    assert_int_equal(strlen(want), 65);
    digest_under("avx2", got, sizeof(got));
    assert_string_equal(got, want);
    digest_under("avx512", got, sizeof(got));
    assert_string_equal(got, want);
}

static int print_digest(void)
{
    unsigned char digest[KEY_DIGEST_BYTES];
    char text[2 * KEY_DIGEST_BYTES + 1];
    struct key_digest d;
    size_t n;
    float *x = whole_train(2, &n);

    key_digest_init(&d);
    key_digest_add(&d, x, n * sizeof(*x));
    key_digest_end(&d, digest);
    key_hex(digest, sizeof(digest), text);
    puts(text);
    free(x);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--digest") == 0)
        return print_digest();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_instruction_sets_give_the_same_bits),
        cmocka_unit_test(dropout_draws_are_those_of_philox),
        cmocka_unit_test(any_number_of_threads_gives_the_same_gradients),
        cmocka_unit_test(any_number_of_threads_trains_the_same_weights),
        cmocka_unit_test(any_instruction_set_trains_the_same_weights),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
