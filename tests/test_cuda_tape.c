/*
 * tests/test_cuda_tape.c - networks on the (emulated) device against the CPU:
 * every operation that has a form there, its gradients, and training.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/device.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tests/emulated.h"
#include "tests/nn_cases.h"

/* Operations that have none yet: these and no others are refused. */
static const char *const without[] = {
    "map_sample", "shape_swap",  "reduce_axes", "norm_unit",
    "embed_bags", "gru_first",   "lstm_plain",  "lstm_full",
    "conv_same",  "conv_causal", "loss_vmf",
};

static bool has_form(const char *name)
{
    for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++) {
        if (strcmp(without[i], name) == 0)
            return false;
    }
    return true;
}

#define ROOM 40000

/* What a run of a case gives. */
struct result {
    double loss, number[ROOM];
    size_t n;
};

static void add(struct result *r, double x)
{
    assert_true(r->n < ROOM);
    r->number[r->n++] = x;
}

static void run_case(const struct nn_case *c, const char *device,
                     struct result *r)
{
    struct nn_case_net g;

    assert_int_equal(device_open(device), ERR_OK);
    nn_case_open(&g, c, NN_F32, 5);
    assert_int_equal(nn_tape_forward(g.t), ERR_OK);
    r->loss = nn_tape_loss(g.t);
    r->n = 0;
    assert_int_equal(nn_tape_backward(g.t), ERR_OK);
    for (size_t i = 0; i < g.out->n; i++)
        add(r, nn_tape_at(g.t, g.out, i));
    for (size_t k = 0; k < g.n_leaves; k++) {
        for (size_t i = 0; i < g.leaf[k]->n; i++)
            add(r, nn_tape_grad_at(g.t, g.leaf[k], i));
    }
    const float *grad = nn_params_grads(g.p);

    for (size_t k = 0; k < nn_params_count(g.p); k++) {
        const struct nn_param *q = nn_params_view(g.p, k);

        for (size_t i = 0; i < q->n; i++)
            add(r, (double)grad[q->at + i]);
    }
    nn_case_close(&g);
    assert_int_equal(device_open("cpu"), ERR_OK);
}

static void operations_compute_what_the_cpu_computes(void **state)
{
    static struct result cpu, gpu, again;
    size_t checked = 0;

    (void)state;
    for (const struct nn_case *c = nn_cases; c->name != NULL; c++) {
        if (!has_form(c->name))
            continue;
        run_case(c, "cpu", &cpu);
        run_case(c, "cuda", &gpu);
        run_case(c, "cuda", &again);
        assert_int_equal(cpu.n, gpu.n);
        assert_memory_equal(gpu.number, again.number, gpu.n * sizeof(double));
        if (!(fabs(cpu.loss - gpu.loss) <= 3e-5 * (10 + fabs(cpu.loss))))
            fail_msg("%s: the loss is %.9g, not %.9g", c->name, gpu.loss,
                     cpu.loss);
        for (size_t i = 0; i < cpu.n; i++) {
            if (!(fabs(cpu.number[i] - gpu.number[i]) <=
                  3e-5 * (3 + fabs(cpu.number[i]))))
                fail_msg("%s: number %zu of %zu is %.9g, not %.9g", c->name, i,
                         cpu.n, gpu.number[i], cpu.number[i]);
        }
        checked++;
    }
    assert_true(checked >= 30);
}

static void what_has_no_form_is_refused_when_planned(void **state)
{
    (void)state;
    for (const struct nn_case *c = nn_cases; c->name != NULL; c++) {
        struct nn_case_net g;

        if (has_form(c->name))
            continue;
        assert_int_equal(device_open("cuda"), ERR_OK);
        if (nn_case_build(&g, c, NN_F32, 5) != ERR_ARG)
            fail_msg("%s has a form", c->name);
        assert_non_null(strstr(err_note(), "has no form for the GPU"));
        nn_case_close(&g);
        assert_int_equal(device_open("cpu"), ERR_OK);
    }
}

/* --- training ---------------------------------------------------------------
 */

enum { BATCH = 12, STEPS = 6, WORDS = 9, WIDE = 8 };

struct net {
    struct nn_params *p;
    struct nn_tape *t;
    struct nn_tensor *ids, *label, *loss;
    struct nn_optim *o;
};

static void open_net(struct net *n, const struct nn_optim_opt *how)
{
    assert_int_equal(nn_params_new(&n->p, NN_F32, 3), ERR_OK);
    assert_int_equal(nn_tape_new(&n->t, n->p), ERR_OK);
    n->ids = nn_tape_ids(n->t, "ids", 2, (size_t[]){BATCH, 3});
    n->label = nn_tape_ids(n->t, "label", 1, (size_t[]){BATCH});
    struct nn_tensor *x = nn_embed(n->t, n->ids, "words", WORDS, WIDE, .5);

    x = nn_norm(n->t, x, "norm");
    /* without biases: that of keys has no gradient but rounding, which Adam
     * would follow */
    x = nn_attend(
        n->t, nn_linear_free(n->t, x, "q", WIDE),
        nn_linear_free(n->t, x, "k", WIDE), nn_linear_free(n->t, x, "v", WIDE),
        &(struct nn_attend){.heads = 2, .drop = .2, .drop_name = "drop"});
    x = nn_reduce_axis_mean(n->t, x, 1);
    x = nn_map_drop(n->t, nn_linear(n->t, x, "hidden", 7, NN_GELU), "out", .1,
                    NULL);
    n->loss = nn_reduce_mean(
        n->t,
        nn_loss_ce(n->t, nn_linear(n->t, x, "last", 4, NN_NONE), n->label),
        NULL);
    nn_tape_on_device(n->t);
    if (nn_tape_plan(n->t, n->loss) != ERR_OK)
        fail_msg("%s", err_note());
    assert_int_equal(nn_optim_new(&n->o, n->p, how), ERR_OK);
}

static void close_net(struct net *n)
{
    nn_optim_free(n->o);
    nn_tape_free(n->t);
    nn_params_free(n->p);
}

/* Weights after some steps; *n of them. */
static float *train(const char *device, const struct nn_optim_opt *how,
                    double *loss, size_t *n)
{
    uint32_t ids[BATCH * 3], label[BATCH];
    struct net net;

    assert_int_equal(device_open(device), ERR_OK);
    open_net(&net, how);
    for (uint64_t s = 0; s < STEPS; s++) {
        for (size_t i = 0; i < BATCH * 3; i++)
            ids[i] = (uint32_t)rng_below(s, RNG_SYNTH, i, WORDS);
        for (size_t i = 0; i < BATCH; i++)
            label[i] = (ids[3 * i] + ids[3 * i + 1]) % 4;
        assert_int_equal(nn_tape_set_ids(net.t, net.ids, ids), ERR_OK);
        assert_int_equal(nn_tape_set_ids(net.t, net.label, label), ERR_OK);
        if (nn_optim_train(net.o, net.t, loss) != ERR_OK)
            fail_msg("%s", err_note());
    }
    *n = nn_params_size(net.p);
    float *w = mem_array(*n, sizeof(*w));

    assert_non_null(w);
    memcpy(w, nn_params_values(net.p), *n * sizeof(*w));
    close_net(&net);
    assert_int_equal(device_open("cpu"), ERR_OK);
    return w;
}

static void training_goes_the_cpus_way(void **state)
{
    static const struct nn_optim_opt how[] = {
        {.kind = NN_ADAM, .lr = .01, .decay = .1},
        {.kind = NN_ADAM, .lr = .02, .clip = .05, .l2 = .01},
        {.kind = NN_SGD, .lr = .1, .beta1 = .9},
        {.kind = NN_SGD, .lr = .1},
        {.kind = NN_ADAGRAD, .lr = .1, .decay = .01},
    };

    (void)state;
    for (size_t h = 0; h < sizeof(how) / sizeof(how[0]); h++) {
        double cpu_loss, gpu_loss;
        size_t n, m;
        float *cpu = train("cpu", &how[h], &cpu_loss, &n);
        float *gpu = train("cuda", &how[h], &gpu_loss, &m);

        assert_int_equal(n, m);
        assert_true(fabs(cpu_loss - gpu_loss) < 1e-4);
        for (size_t i = 0; i < n; i++) {
            if (!(fabs((double)cpu[i] - (double)gpu[i]) < 1e-4))
                fail_msg("optimiser %zu: weight %zu is %g, not %g", h, i,
                         (double)gpu[i], (double)cpu[i]);
        }
        free(cpu);
        free(gpu);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_compute_what_the_cpu_computes),
        cmocka_unit_test(what_has_no_form_is_refused_when_planned),
        cmocka_unit_test(training_goes_the_cpus_way),
    };

    if (!emulated_named())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
