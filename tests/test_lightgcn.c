/*
 * tests/test_lightgcn.c - smoothing over the graph and the contrastive loss
 * against dense matrices and central differences; the model on top of them.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/par.h"
#include "rec/contrast.h"
#include "rec/graph.h"
#include "rec/metrics.h"
#include "rec/model.h"
#include "rec/rank.h"
#include "tests/rec_cases.h"
#include "tests/store_fake.h"

#define USERS 30
#define ITEMS 20
#define NODES (USERS + ITEMS)
#define DIM 5
#define LAYERS 3

static bool met(const struct rec_data *d, size_t u, size_t i)
{
    for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++) {
        if (d->item[r] == i)
            return true;
    }
    return false;
}

/* out = (x + A x + ... + A^layers x) / (layers + 1), A written out. */
static void smooth_slowly(const struct rec_data *d, size_t layers,
                          const double *x, double *out)
{
    static double a[NODES][NODES], now[NODES * DIM], next[NODES * DIM];
    double degree[NODES] = {0};

    memset(a, 0, sizeof(a));
    for (size_t u = 0; u < USERS; u++) {
        for (size_t i = 0; i < ITEMS; i++) {
            degree[u] += met(d, u, i);
            degree[USERS + i] += met(d, u, i);
        }
    }
    for (size_t u = 0; u < USERS; u++) {
        for (size_t i = 0; i < ITEMS; i++) {
            if (met(d, u, i))
                a[u][USERS + i] = a[USERS + i][u] =
                    1 / sqrt(degree[u] * degree[USERS + i]);
        }
    }
    memcpy(now, x, sizeof(now));
    memcpy(out, x, sizeof(now));
    for (size_t l = 0; l < layers; l++) {
        memset(next, 0, sizeof(next));
        for (size_t p = 0; p < NODES; p++)
            for (size_t q = 0; q < NODES; q++)
                for (size_t k = 0; k < DIM; k++)
                    next[p * DIM + k] += a[p][q] * now[q * DIM + k];
        memcpy(now, next, sizeof(now));
        for (size_t k = 0; k < NODES * DIM; k++)
            out[k] += now[k];
    }
    for (size_t k = 0; k < NODES * DIM; k++)
        out[k] /= (double)(layers + 1);
}

static void invent(double *x)
{
    for (size_t k = 0; k < NODES * DIM; k++)
        x[k] = 0.7 * rng_normal(3, RNG_INIT, k);
}

static void to_float(float *to, const double *from)
{
    for (size_t k = 0; k < NODES * DIM; k++)
        to[k] = (float)from[k];
}

static void smoothing_is_the_mean_of_powers_of_the_matrix(void **state)
{
    struct rec_data d = case_data(USERS, ITEMS, 0.3, false, 1);
    double x[NODES * DIM], want[NODES * DIM];
    float in[NODES * DIM], got[NODES * DIM], tmp[NODES * DIM];
    struct rec_graph g;

    (void)state;
    invent(x);
    to_float(in, x);
    assert_int_equal(rec_graph_build(&g, &d), ERR_OK);
    for (size_t layers = 0; layers <= 4; layers++) {
        smooth_slowly(&d, layers, x, want);
        rec_graph_sum(&g, layers, 1 / (float)(layers + 1), DIM, in, got, tmp);
        for (size_t k = 0; k < NODES * DIM; k++) {
            if (!(fabs((double)got[k] - want[k]) < 2e-6))
                fail_msg("%zu layers: number %zu is %g, not %g", layers, k,
                         (double)got[k], want[k]);
        }
    }
    rec_graph_free(&g);
    rec_data_free(&d);
}

/* --- gradients --------------------------------------------------------------
 */

struct negatives {
    size_t n;
    uint32_t item[4][64]; /* of each piece */
};

/* The negatives of each piece, drawn as the header of contrast.c says. */
static void draw(struct negatives *w, uint64_t seed)
{
    for (size_t p = 0; p < 4; p++) {
        const uint64_t s = rng_derive(seed, RNG_NEGATIVE, p);

        for (size_t m = 0; m < w->n; m++)
            w->item[p][m] = (uint32_t)rng_below(s, RNG_NEGATIVE, m, ITEMS);
    }
}

static double inner(const double *f, size_t a, size_t b)
{
    double s = 0;

    for (size_t k = 0; k < DIM; k++)
        s += f[a * DIM + k] * f[b * DIM + k];
    return s;
}

static double row_loss(const struct rec_data *d, const double *f, size_t u,
                       size_t i, const uint32_t *other, size_t n,
                       const struct rec_contrast_opts *o)
{
    const double own = inner(f, u, USERS + i), t = (double)o->temperature;
    double sum = 0, z = exp(own / t);
    size_t counted = 0;

    for (size_t m = 0; m < n; m++) {
        const double s = inner(f, u, USERS + other[m]);

        if (met(d, u, other[m]))
            continue;
        counted++;
        sum += log(1 + exp(s - own));
        z += exp(s / t);
    }
    if (o->bpr)
        return counted > 0 ? sum / (double)counted : 0;
    return log(z) - own / t;
}

/* The mean loss as a function of the vectors before smoothing. */
static double loss_slowly(const struct rec_data *d, const double *e,
                          const uint32_t *row, size_t n,
                          const struct negatives *w,
                          const struct rec_contrast_opts *o)
{
    static double f[NODES * DIM];
    double sum = 0;

    smooth_slowly(d, LAYERS, e, f);
    for (size_t b = 0; b < n; b++) {
        size_t u = 0;

        while (d->user_ptr[u + 1] <= row[b])
            u++;
        sum += row_loss(d, f, u, d->item[row[b]],
                        w->item[b / REC_CONTRAST_ROWS], w->n, o);
    }
    return sum / (double)n;
}

static void check_gradient(bool bpr, float temperature)
{
    struct rec_data d = case_data(USERS, ITEMS, 0.3, false, 1);
    const struct rec_contrast_opts o = {.dim = DIM,
                                        .batch = d.n_rows,
                                        .negatives = 13,
                                        .bpr = bpr,
                                        .temperature = temperature};
    struct negatives w = {.n = 13};
    struct rec_contrast c;
    struct rec_graph g;
    double e[NODES * DIM];
    float in[NODES * DIM], f[NODES * DIM], grad[NODES * DIM], tmp[NODES * DIM];
    uint32_t row[512];

    assert_true(d.n_rows > REC_CONTRAST_ROWS && d.n_rows < 512);
    for (uint32_t r = 0; r < d.n_rows; r++)
        row[r] = r;
    invent(e);
    to_float(in, e);
    draw(&w, 77);
    assert_int_equal(rec_graph_build(&g, &d), ERR_OK);
    assert_int_equal(rec_contrast_init(&c, &d, &o), ERR_OK);
    rec_graph_sum(&g, LAYERS, 0.25f, DIM, in, f, tmp);
    const double got = rec_contrast_step(&c, row, d.n_rows, 77, f, grad);
    const double want = loss_slowly(&d, e, row, d.n_rows, &w, &o);

    assert_true(fabs(got - want) < 1e-5 * (1 + want));
    rec_graph_sum(&g, LAYERS, 0.25f, DIM, grad, f, tmp);
    for (size_t k = 0; k < NODES * DIM; k++) {
        const double at = e[k], h = 1e-5;

        e[k] = at + h;
        const double up = loss_slowly(&d, e, row, d.n_rows, &w, &o);
        e[k] = at - h;
        const double down = loss_slowly(&d, e, row, d.n_rows, &w, &o);
        const double slope = (up - down) / (2 * h);

        e[k] = at;
        if (!(fabs((double)f[k] - slope) < 2e-6 + 1e-4 * fabs(slope)))
            fail_msg("number %zu: the gradient is %g, differences say %g", k,
                     (double)f[k], slope);
    }
    rec_contrast_free(&c);
    rec_graph_free(&g);
    rec_data_free(&d);
}

static void the_gradient_of_softmax_is_that_of_differences(void **state)
{
    (void)state;
    check_gradient(false, 1.0f);
    check_gradient(false, 0.3f);
}

static void the_gradient_of_bpr_is_that_of_differences(void **state)
{
    (void)state;
    check_gradient(true, 1.0f);
}

/* --- the model --------------------------------------------------------------
 */

static struct rec_model *fitted(const struct rec_data *d, const char *name,
                                const char *value)
{
    const struct rec_model_ops *ops = NULL;
    struct rec_model *m = NULL;

    assert_int_equal(rec_model_find("lightgcn", &ops), ERR_OK);
    assert_int_equal(rec_model_new(&m, ops), ERR_OK);
    m->seed = 3;
    assert_int_equal(opt_assign(ops->opts, m->opts, "dim", "8"), ERR_OK);
    assert_int_equal(opt_assign(ops->opts, m->opts, "epochs", "2"), ERR_OK);
    if (name != NULL)
        assert_int_equal(opt_assign(ops->opts, m->opts, name, value), ERR_OK);
    assert_int_equal(rec_model_fit(m, d, NULL), ERR_OK);
    return m;
}

/* Enough people for several tasks of each loop. */
static void threads_do_not_change_a_large_graph(void **state)
{
    struct rec_data d = case_data(9000, 60, 0.1, false, 2);
    unsigned char want[KEY_DIGEST_BYTES], got[KEY_DIGEST_BYTES];

    (void)state;
    for (size_t threads = 1; threads <= 5; threads += 2) {
        par_set_threads(threads);
        struct rec_model *m = fitted(&d, NULL, NULL);

        rec_model_digest(m, threads == 1 ? want : got);
        if (threads > 1)
            assert_memory_equal(got, want, sizeof(got));
        rec_model_free(m);
    }
    par_set_threads(0);
    rec_data_free(&d);
}

static void every_option_matters(void **state)
{
    static const char *const change[][2] = {
        {"dim", "7"},       {"layers", "2"}, {"epochs", "3"},
        {"lr", "0.01"},     {"reg", "0.1"},  {"batch", "64"},
        {"negatives", "9"}, {"loss", "bpr"}, {"temperature", "0.5"},
        {"init", "0.2"}};
    struct rec_data d = case_data(60, 30, 0.3, false, 4);
    struct rec_model *m = fitted(&d, NULL, NULL);
    unsigned char want[KEY_DIGEST_BYTES], got[KEY_DIGEST_BYTES];

    (void)state;
    rec_model_digest(m, want);
    for (size_t i = 0; i < sizeof(change) / sizeof(change[0]); i++) {
        struct rec_model *other = fitted(&d, change[i][0], change[i][1]);

        rec_model_digest(other, got);
        if (memcmp(got, want, sizeof(got)) == 0)
            fail_msg("--%s changes nothing", change[i][0]);
        rec_model_free(other);
    }
    rec_model_free(m);
    rec_data_free(&d);
}

static void a_stranger_is_the_mean_of_folded_items(void **state)
{
    struct rec_data d = case_data(80, 40, 0.3, false, 5);
    struct rec_model *m = fitted(&d, NULL, NULL);
    const uint32_t user[2] = {1, REC_NOBODY};
    const size_t n = d.user_ptr[2] - d.user_ptr[1];
    const float *fold = rec_model_array(m, "fold");
    const float *known = rec_model_array(m, "user");
    uint32_t history[2 * 40];
    const size_t ptr[3] = {0, n, 2 * n};
    const struct rec_query q = {2, user, ptr, history, NULL, NULL};
    float vec[2 * 8];

    (void)state;
    for (size_t r = 0; r < n; r++)
        history[r] = history[n + r] = d.item[d.user_ptr[1] + r];
    assert_int_equal(m->ops->embed(m, &q, vec), ERR_OK);
    assert_memory_equal(vec, known + 8, 8 * sizeof(float));
    for (size_t k = 0; k < 8; k++) {
        double sum = 0;

        for (size_t r = 0; r < n; r++)
            sum += (double)fold[history[r] * 8 + k];
        assert_true(fabs((double)vec[8 + k] - sum / sqrt((double)n)) <
                    1e-5 * (1 + fabs(sum)));
    }
    rec_model_free(m);
    rec_data_free(&d);
}

/* f_u = e_u / (L + 1) + fold of the history.  In models that are hardly
 * trained e_u is the start, which does not depend on the number of layers. */
static void known_people_and_strangers_differ_by_their_own_vector(void **state)
{
    static const char *const layers[2] = {"1", "3"};
    struct rec_data d = case_data(80, 40, 0.3, false, 5);
    float own[2][8];

    (void)state;
    for (size_t c = 0; c < 2; c++) {
        const struct rec_model_ops *ops = NULL;
        struct rec_model *m = NULL;
        const uint32_t user[1] = {REC_NOBODY};
        float vec[8];

        assert_int_equal(rec_model_find("lightgcn", &ops), ERR_OK);
        assert_int_equal(rec_model_new(&m, ops), ERR_OK);
        assert_int_equal(opt_assign(ops->opts, m->opts, "dim", "8"), ERR_OK);
        assert_int_equal(opt_assign(ops->opts, m->opts, "epochs", "1"), ERR_OK);
        assert_int_equal(opt_assign(ops->opts, m->opts, "lr", "1e-9"), ERR_OK);
        assert_int_equal(opt_assign(ops->opts, m->opts, "layers", layers[c]),
                         ERR_OK);
        assert_int_equal(rec_model_fit(m, &d, NULL), ERR_OK);
        const size_t ptr[2] = {0, d.user_ptr[4] - d.user_ptr[3]};
        const struct rec_query q = {1,    user, ptr, d.item + d.user_ptr[3],
                                    NULL, NULL};

        assert_int_equal(ops->embed(m, &q, vec), ERR_OK);
        for (size_t k = 0; k < 8; k++)
            own[c][k] =
                (c == 0 ? 2.0f : 4.0f) *
                (((float *)rec_model_array(m, "user"))[3 * 8 + k] - vec[k]);
        rec_model_free(m);
    }
    for (size_t k = 0; k < 8; k++) {
        assert_true(fabsf(own[0][k]) > 1e-4f);
        assert_true(fabsf(own[0][k] - own[1][k]) < 1e-5f);
    }
    rec_data_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smoothing_is_the_mean_of_powers_of_the_matrix),
        cmocka_unit_test(the_gradient_of_softmax_is_that_of_differences),
        cmocka_unit_test(the_gradient_of_bpr_is_that_of_differences),
        cmocka_unit_test(threads_do_not_change_a_large_graph),
        cmocka_unit_test(every_option_matters),
        cmocka_unit_test(a_stranger_is_the_mean_of_folded_items),
        cmocka_unit_test(known_people_and_strangers_differ_by_their_own_vector),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
