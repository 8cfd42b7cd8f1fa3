/*
 * tests/test_nn_grad.c - every gradient of every operation, by central
 * differences in double; and float against double.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/nn_cases.h"

#define STEP 1e-5
#define TOLERANCE 1e-6 /* relative to 1 + size */

static double loss_of(struct nn_case_net *g)
{
    assert_int_equal(nn_tape_forward(g->t), ERR_OK);
    return nn_tape_at(g->t, g->loss, 0);
}

/* (L(x + h) - L(x - h)) / 2h of element i of the array x. */
static double difference(struct nn_case_net *g, double *x, size_t i)
{
    const double was = x[i];

    x[i] = was + STEP;
    const double up = loss_of(g);

    x[i] = was - STEP;
    const double down = loss_of(g);

    x[i] = was;
    return (up - down) / (2 * STEP);
}

static void check_array(struct nn_case_net *g, const char *name,
                        const char *what, double *x, const double *grad,
                        size_t n)
{
    const size_t skip = n > 300 ? n / 50 : 1;

    for (size_t i = 0; i < n; i += skip) {
        const double want = difference(g, x, i);

        if (!(fabs(grad[i] - want) <= TOLERANCE * (1 + fabs(want))))
            fail_msg("%s: gradient of %s, element %zu of %zu, is %.9g, not "
                     "%.9g",
                     name, what, i, n, grad[i], want);
    }
}

static void check_case(const struct nn_case *c, uint64_t seed)
{
    struct nn_case_net g;

    nn_case_open(&g, c, NN_F64, seed);
    (void)loss_of(&g);
    assert_int_equal(nn_tape_backward(g.t), ERR_OK);
    for (size_t k = 0; k < g.n_leaves; k++) {
        double grad[12000];

        assert_true(g.leaf[k]->n <= 12000);
        for (size_t i = 0; i < g.leaf[k]->n; i++)
            grad[i] = nn_tape_grad_at(g.t, g.leaf[k], i);
        if (g.leaf[k]->needs_grad)
            check_array(&g, c->name, "an input", g.leaf[k]->data, grad,
                        g.leaf[k]->n);
    }
    for (size_t k = 0; k < nn_params_count(g.p); k++) {
        const struct nn_param *q = nn_params_view(g.p, k);

        check_array(&g, c->name, q->name,
                    (double *)nn_params_values(g.p) + q->at,
                    (const double *)nn_params_grads(g.p) + q->at, q->n);
    }
    nn_case_close(&g);
}

static void every_gradient_is_the_slope_of_the_loss(void **state)
{
    (void)state;
    for (const struct nn_case *c = nn_cases; c->name != NULL; c++) {
        check_case(c, 1);
        check_case(c, 77);
    }
}

static void close_to(const char *name, const char *what, double got,
                     double want, double scale)
{
    if (!(fabs(got - want) <= 3e-5 * (scale + fabs(want))))
        fail_msg("%s: %s is %.9g in float, %.9g in double", name, what, got,
                 want);
}

static void float_computes_what_double_computes(void **state)
{
    (void)state;
    for (const struct nn_case *c = nn_cases; c->name != NULL; c++) {
        struct nn_case_net f, d;

        nn_case_open(&f, c, NN_F32, 5);
        nn_case_open(&d, c, NN_F64, 5);
        close_to(c->name, "the loss", loss_of(&f), loss_of(&d), 10);
        assert_int_equal(nn_tape_backward(f.t), ERR_OK);
        assert_int_equal(nn_tape_backward(d.t), ERR_OK);
        for (size_t k = 0; k < f.n_leaves; k++) {
            for (size_t i = 0; i < f.leaf[k]->n; i++)
                close_to(c->name, "a gradient",
                         nn_tape_grad_at(f.t, f.leaf[k], i),
                         nn_tape_grad_at(d.t, d.leaf[k], i), 1);
        }
        for (size_t i = 0; i < nn_params_size(f.p); i++)
            close_to(c->name, "a weight's gradient",
                     (double)((float *)nn_params_grads(f.p))[i],
                     ((double *)nn_params_grads(d.p))[i], 3);
        nn_case_close(&f);
        nn_case_close(&d);
    }
}

static void reversed_gradients_have_the_other_sign(void **state)
{
    struct nn_params *p;
    struct nn_tape *t;

    (void)state;
    assert_int_equal(nn_params_new(&p, NN_F32, 1), ERR_OK);
    assert_int_equal(nn_tape_new(&t, p), ERR_OK);
    struct nn_tensor *x = nn_tape_leaf(t, "x", 1, (size_t[]){3});
    struct nn_tensor *f = nn_tape_input(t, "f", 1, (size_t[]){1});
    struct nn_tensor *y =
        nn_reduce_sum(t, nn_map(t, nn_map_reverse(t, x, f), NN_SQUARE), NULL);

    assert_int_equal(nn_tape_plan(t, y), ERR_OK);
    nn_tape_set(t, x, (float[]){1, 2, -3});
    nn_tape_fill(t, f, 0.5);
    assert_int_equal(nn_tape_forward(t), ERR_OK);
    assert_true(nn_tape_at(t, y, 0) == 14);
    assert_int_equal(nn_tape_backward(t), ERR_OK);
    for (size_t i = 0; i < 3; i++)
        assert_true(nn_tape_grad_at(t, x, i) == -nn_tape_at(t, x, i));
    nn_tape_free(t);
    nn_params_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_gradient_is_the_slope_of_the_loss),
        cmocka_unit_test(float_computes_what_double_computes),
        cmocka_unit_test(reversed_gradients_have_the_other_sign),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
