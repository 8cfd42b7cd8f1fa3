/* tests/test_als.c - rows of alternating least squares against a plain dense
 * solution in double. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "base/par.h"
#include "base/rng.h"
#include "rec/als.h"
#include "rec/model.h"
#include "rec/turn.h"
#include "tests/rec_cases.h"

#define D 24
#define ITEMS 60

struct problem {
    struct rec_data data;
    float fixed[ITEMS * D], gram[D];
    struct rec_als als;
    float *out;
};

static int setup(void **state)
{
    struct problem *p = mem_array(1, sizeof(*p));
    float other[D] = {0};

    p->data = case_data(80, ITEMS, 0.3, true, 5);
    for (size_t i = 0; i < (size_t)ITEMS * D; i++)
        p->fixed[i] = (float)rng_normal(3, RNG_INIT, i) * 0.3f;
    assert_int_equal(rec_turn_axes(p->fixed, ITEMS, other, 1, D, p->gram),
                     ERR_OK);
    p->out = mem_array(80 * D, sizeof(float));
    p->als = (struct rec_als){.n = 80,
                              .ptr = p->data.user_ptr,
                              .idx = p->data.item,
                              .value = p->data.value,
                              .n_fixed = ITEMS,
                              .d = D,
                              .fixed = p->fixed,
                              .gram = p->gram,
                              .alpha = 3,
                              .reg = 0.02f,
                              .exponent = 1,
                              .out = p->out};
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct problem *p = *state;

    rec_data_free(&p->data);
    free(p->out);
    free(p);
    return 0;
}

/* Gaussian elimination with pivots, double: a[D][D] x = b in place. */
static void solve_plain(double a[D][D], double b[D])
{
    for (size_t k = 0; k < D; k++) {
        size_t best = k;

        for (size_t i = k + 1; i < D; i++)
            best = fabs(a[i][k]) > fabs(a[best][k]) ? i : best;
        for (size_t j = 0; j < D; j++) {
            const double t = a[k][j];

            a[k][j] = a[best][j];
            a[best][j] = t;
        }
        const double t = b[k];

        b[k] = b[best];
        b[best] = t;
        for (size_t i = k + 1; i < D; i++) {
            const double f = a[i][k] / a[k][k];

            for (size_t j = k; j < D; j++)
                a[i][j] -= f * a[k][j];
            b[i] -= f * b[k];
        }
    }
    for (size_t k = D; k-- > 0;) {
        for (size_t j = k + 1; j < D; j++)
            b[k] -= a[k][j] * b[j];
        b[k] /= a[k][k];
    }
}

/* The solution of person u by the formula of the header, nothing else. */
static void expected(const struct problem *p, size_t u, double x[D])
{
    const struct rec_data *d = &p->data;
    const double n = (double)(d->user_ptr[u + 1] - d->user_ptr[u]);
    double a[D][D] = {{0}};

    memset(x, 0, D * sizeof(*x));
    for (size_t i = 0; i < ITEMS; i++) {
        for (size_t j = 0; j < D; j++) {
            for (size_t k = 0; k < D; k++)
                a[j][k] +=
                    (double)p->fixed[i * D + j] * (double)p->fixed[i * D + k];
        }
    }
    for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++) {
        const float *f = p->fixed + d->item[r] * D;
        const double c = 3 * (double)d->value[r];

        for (size_t j = 0; j < D; j++) {
            x[j] += (1 + c) * (double)f[j];
            for (size_t k = 0; k < D; k++)
                a[j][k] += c * (double)f[j] * (double)f[k];
        }
    }
    for (size_t j = 0; j < D; j++)
        a[j][j] += 0.02 * (n + ITEMS / 3.0);
    solve_plain(a, x);
}

static double worst_error(const struct problem *p)
{
    double worst = 0;

    for (size_t u = 0; u < p->data.n_users; u++) {
        double x[D];

        expected(p, u, x);
        for (size_t k = 0; k < D; k++)
            worst = fmax(worst, fabs(x[k] - (double)p->out[u * D + k]));
    }
    return worst;
}

static void the_exact_solver_solves_the_equations(void **state)
{
    struct problem *p = *state;

    p->als.steps = 0;
    assert_int_equal(rec_als_solve(&p->als), ERR_OK);
    assert_true(worst_error(p) < 2e-5);
}

static void conjugate_gradients_get_there(void **state)
{
    struct problem *p = *state;

    p->als.steps = 3;
    memset(p->out, 0, p->data.n_users * D * sizeof(float));
    assert_int_equal(rec_als_solve(&p->als), ERR_OK);
    const double few = worst_error(p);

    p->als.steps = 40;
    assert_int_equal(rec_als_solve(&p->als), ERR_OK);
    assert_true(worst_error(p) < 2e-5);
    assert_true(worst_error(p) < few);
}

static void a_factor_of_nothing_stays_finite(void **state)
{
    struct problem *p = *state;

    for (size_t i = 0; i < (size_t)ITEMS * D; i++)
        p->fixed[i] *= 1e-18f;
    memset(p->gram, 0, sizeof(p->gram));
    memset(p->out, 0, p->data.n_users * D * sizeof(float));
    p->als.steps = 3;
    assert_int_equal(rec_als_solve(&p->als), ERR_OK);
    for (size_t i = 0; i < p->data.n_users * D; i++)
        assert_true(isfinite(p->out[i]));
}

static void any_number_of_threads_gives_the_same_bits(void **state)
{
    struct problem *p = *state;
    const size_t bytes = p->data.n_users * D * sizeof(float);
    float *first = mem_array(bytes, 1);
    const size_t threads[] = {1, 2, 3, 7};

    for (size_t steps = 0; steps < 6; steps += 3) {
        for (size_t t = 0; t < 4; t++) {
            par_set_threads(threads[t]);
            memset(p->out, 0, bytes);
            p->als.steps = steps;
            assert_int_equal(rec_als_solve(&p->als), ERR_OK);
            if (t == 0)
                memcpy(first, p->out, bytes);
            assert_memory_equal(first, p->out, bytes);
        }
    }
    par_set_threads(0);
    free(first);
}

static void run_kernels(const struct krn_ops *ops, const struct problem *p,
                        size_t u, float out[D], float turned[D * 64])
{
    const struct rec_data *d = &p->data;
    float c[64], y[64], v[5 * D], diag[D], by[D];
    const struct krn_cg g = {.n = d->user_ptr[u + 1] - d->user_ptr[u],
                             .d = D,
                             .steps = 3,
                             .x = p->fixed,
                             .ldx = D,
                             .idx = d->item + d->user_ptr[u],
                             .c = c,
                             .diag = diag,
                             .y = y,
                             .v = v};

    for (size_t j = 0; j < 64; j++)
        c[j] = 1 + 0.25f * (float)j;
    for (size_t k = 0; k < D; k++) {
        diag[k] = p->gram[k] + 0.5f;
        by[k] = 1 / diag[k];
        out[k] = 0;
    }
    ops->cg_row_f32(out, &g);
    ops->gather_t_f32(turned, 64, p->fixed, D, g.idx, by, c, g.n, D);
}

static void all_instruction_sets_give_the_same_bits(void **state)
{
    struct problem *p = *state;
    const struct krn_ops *reference = cpu_ops_of(KRN_REFERENCE);

    for (size_t u = 0; u < p->data.n_users; u++) {
        float out[2][D], turned[2][D * 64];

        run_kernels(reference, p, u, out[0], turned[0]);
        for (int isa = KRN_AVX2; isa <= KRN_AVX512; isa++) {
            const struct krn_ops *ops = cpu_ops_of((enum krn_isa)isa);

            if (ops == NULL)
                continue;
            run_kernels(ops, p, u, out[1], turned[1]);
            assert_memory_equal(out[0], out[1], sizeof(out[0]));
            assert_memory_equal(turned[0], turned[1], sizeof(turned[0]));
        }
    }
}

/* One person, and an item that nobody met: the Gram matrix is of rank one with
 * rounding errors of zero beside it, and its eigenvalues have to be found. */
static void one_person_is_enough(void **state)
{
    uint64_t person = 5, item[5];
    size_t ptr[2] = {0, 4};
    uint32_t met[4] = {0, 1, 2, 3};
    const struct rec_data d = {.n_users = 1,
                               .n_items = 5,
                               .n_rows = 4,
                               .user_key = &person,
                               .item_key = item,
                               .user_ptr = ptr,
                               .item = met};
    const struct rec_model_ops *ops;
    struct rec_model *m;

    (void)state;
    for (uint64_t i = 0; i < 5; i++)
        item[i] = (i + 1) << 60;
    assert_int_equal(rec_model_find("ials", &ops), ERR_OK);
    assert_int_equal(rec_model_new(&m, ops), ERR_OK);
    m->seed = 1;
    assert_int_equal(rec_model_fit(m, &d, NULL), ERR_OK);
    rec_model_free(m);
}

/* Both sides by the singular vectors of their products: the products stay, the
 * Gram matrices become one and diagonal; a direction that one side lacks goes
 * to the end. */
static void sides_become_alike(void **state)
{
    enum { N = 40, M = 25 };
    float x[N * D], y[M * D];
    double was[N][M], most = 0;

    (void)state;
    for (size_t i = 0; i < N * D; i++)
        x[i] = (float)rng_normal(1, RNG_INIT, i) * (float)(1 + i % D);
    for (size_t i = 0; i < M * D; i++)
        y[i] = i % D == 1 ? 0 : (float)rng_normal(2, RNG_INIT, i);
    for (size_t u = 0; u < N; u++) {
        for (size_t i = 0; i < M; i++) {
            was[u][i] = 0;
            for (size_t k = 0; k < D; k++)
                was[u][i] += (double)x[u * D + k] * (double)y[i * D + k];
        }
    }
    assert_int_equal(rec_turn_alike(x, N, y, M, D), ERR_OK);
    for (size_t u = 0; u < N; u++) {
        for (size_t i = 0; i < M; i++) {
            double now = 0;

            for (size_t k = 0; k < D; k++)
                now += (double)x[u * D + k] * (double)y[i * D + k];
            assert_true(fabs(now - was[u][i]) < 1e-3);
        }
    }
    for (size_t k = 0; k < D; k++) {
        for (size_t l = 0; l < D; l++) {
            double a = 0, b = 0;

            for (size_t u = 0; u < N; u++)
                a += (double)x[u * D + k] * (double)x[u * D + l];
            for (size_t i = 0; i < M; i++)
                b += (double)y[i * D + k] * (double)y[i * D + l];
            if (k == 0 && l == 0)
                most = a;
            assert_true(fabs(a - b) < 1e-4 * most);
            assert_true(k == l || fabs(a) < 1e-4 * most);
        }
    }
    for (size_t i = 0; i < M; i++) /* the direction that was not there */
        assert_true(fabs((double)y[i * D + D - 1]) < 1e-2 * sqrt(most));
    x[7] = NAN;
    assert_int_equal(rec_turn_alike(x, N, y, M, D), ERR_NUM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sides_become_alike),
        cmocka_unit_test(one_person_is_enough),
        cmocka_unit_test_setup_teardown(the_exact_solver_solves_the_equations,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(conjugate_gradients_get_there, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_factor_of_nothing_stays_finite, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(all_instruction_sets_give_the_same_bits,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            any_number_of_threads_gives_the_same_bits, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
