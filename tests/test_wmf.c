/*
 * tests/test_wmf.c - the gradients of whole-row factorisation, against central
 * differences of its loss written out over every person and item, in double.
 */
#include "rec/model_wmf.c"

#include "tests/rec_cases.h"

#define USERS 20
#define ITEMS_ALL 15
#define DIM 5
#define BATCH 8

static const struct wmf_opts opts = {.dim = DIM,
                                     .batch = BATCH,
                                     .epochs = 1,
                                     .weight = .3,
                                     .drop = .4,
                                     .start = .7,
                                     .lr = .05};

static bool has_met(const struct wmf *w, size_t i, size_t item)
{
    for (size_t e = w->ptr[i]; e < w->ptr[i + 1]; e++) {
        if (w->idx[e] == item)
            return true;
    }
    return false;
}

/* Of the batch's thinned vectors b and all items' q. */
static double loss(const struct wmf *w, const double *b, const double *q)
{
    double sum = 0;

    for (size_t i = 0; i < w->n; i++) {
        for (size_t v = 0; v < ITEMS_ALL; v++) {
            double s = 0;

            for (size_t k = 0; k < DIM; k++)
                s += b[i * DIM + k] * q[v * DIM + k];
            sum += opts.weight * s * s;
            if (has_met(w, i, v))
                sum += (1 - opts.weight) * s * s - 2 * s;
        }
    }
    return sum;
}

static void check(const struct wmf *w, double *x, size_t n, const float *half,
                  const double *b, const double *q)
{
    double largest = 0;

    for (size_t i = 0; i < n; i++) {
        const double kept = x[i], h = 1e-5;

        x[i] = kept + h;
        const double up = loss(w, b, q);
        x[i] = kept - h;
        const double slope = (up - loss(w, b, q)) / (2 * h);
        x[i] = kept;
        largest = fmax(largest, fabs(slope));
        assert_true(fabs(2 * (double)half[i] - slope) <
                    1e-4 + 1e-4 * fabs(slope));
    }
    assert_true(largest > .1);
}

static void gradients_are_those_of_the_loss(void **state)
{
    struct rec_data d = case_data(USERS, ITEMS_ALL, .4, false, 3);
    static float p[USERS * DIM], q[ITEMS_ALL * DIM];
    double b_double[BATCH * DIM], q_double[ITEMS_ALL * DIM];
    struct rec_model m = {.seed = 4};
    struct mem_scratch s = {0};
    struct wmf w = {.o = &opts, .d = &d, .m = &m, .p = p, .q = q, .epoch = 1};
    size_t dropped = 0;

    (void)state;
    w.order = mem_take(&s, USERS, 1, sizeof(*w.order));
    take(&w, &s);
    assert_false(s.failed);
    start(p, d.user_key, USERS, m.seed, &opts);
    start(q, d.item_key, ITEMS_ALL, ~m.seed, &opts);
    assert_int_equal(nn_order(w.order, d.user_key, USERS, m.seed, 1), ERR_OK);
    w.n = BATCH;
    thin_task(&w, 0, 0);
    take_rows(&w);
    assert_true(w.ptr[BATCH] > BATCH);
    assert_int_equal(gradients(&w), ERR_OK);
    for (size_t i = 0; i < BATCH * DIM; i++) {
        b_double[i] = (double)w.b[i];
        dropped += w.b[i] == 0;
    }
    for (size_t i = 0; i < ITEMS_ALL * DIM; i++)
        q_double[i] = (double)q[i];
    check(&w, b_double, BATCH * DIM, w.b_grad, b_double, q_double);
    check(&w, q_double, ITEMS_ALL * DIM, w.q_grad, b_double, q_double);
    assert_true(dropped > 5 && dropped < BATCH * DIM - 5);
    mem_drop(&s);
    rec_data_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_the_loss),
    };

    return cmocka_run_group_tests_name("wmf", tests, NULL, NULL);
}
