/* tests/test_models.c - closed forms against dense solutions in double. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rec/model.h"
#include "tests/rec_cases.h"
#include "tests/store_fake.h"

#define USERS 80
#define N 40

static struct rec_model *fitted(const char *name, const struct rec_data *d,
                                const char *opt, const char *value,
                                const char *opt2, const char *value2)
{
    const struct rec_model_ops *ops = NULL;
    struct rec_model *m = NULL;

    assert_int_equal(rec_model_find(name, &ops), ERR_OK);
    assert_int_equal(rec_model_new(&m, ops), ERR_OK);
    assert_int_equal(opt_assign(ops->opts, m->opts, opt, value), ERR_OK);
    if (opt2 != NULL)
        assert_int_equal(opt_assign(ops->opts, m->opts, opt2, value2), ERR_OK);
    assert_int_equal(rec_model_fit(m, d, NULL), ERR_OK);
    return m;
}

/* c[i][j]: people who met both. */
static void dense_counts(const struct rec_data *d, double c[N][N])
{
    memset(c, 0, sizeof(double) * N * N);
    for (size_t u = 0; u < d->n_users; u++) {
        for (size_t a = d->user_ptr[u]; a < d->user_ptr[u + 1]; a++) {
            for (size_t b = d->user_ptr[u]; b < d->user_ptr[u + 1]; b++)
                c[d->item[a]][d->item[b]]++;
        }
    }
}

/* Solve a x = b by Gauss and Jordan with pivots; a and b are destroyed. */
static void dense_solve(size_t n, double a[N][N], double b[N])
{
    for (size_t k = 0; k < n; k++) {
        size_t p = k;

        for (size_t i = k; i < n; i++)
            p = fabs(a[i][k]) > fabs(a[p][k]) ? i : p;
        for (size_t j = 0; j < n; j++) {
            const double t = a[k][j];

            a[k][j] = a[p][j];
            a[p][j] = t;
        }
        const double t = b[k];

        b[k] = b[p];
        b[p] = t;
        for (size_t i = 0; i < n; i++) {
            const double f = i == k ? 0 : a[i][k] / a[k][k];

            for (size_t j = 0; j < n; j++)
                a[i][j] -= f * a[k][j];
            b[i] -= f * b[k];
        }
    }
    for (size_t k = 0; k < n; k++)
        b[k] /= a[k][k];
}

/* Column j of B is the ridge regression of item j on all the others: the
 * normal equations without row and column j, not Steck's short cut. */
static void ease_solves_the_normal_equations_of_each_item(void **state)
{
    struct rec_data d = case_data(USERS, N, 0.3, true, 1);
    struct rec_model *m = fitted("ease", &d, "reg", "7.5", NULL, NULL);
    const float *b = rec_model_array(m, "weights");
    static double c[N][N], a[N][N];

    (void)state;
    dense_counts(&d, c);
    for (size_t j = 0; j < N; j++) {
        double x[N];

        for (size_t r = 0, i = 0; i < N; i++) {
            if (i == j)
                continue;
            for (size_t s = 0, k = 0; k < N; k++) {
                if (k != j)
                    a[r][s++] = c[i][k] + (i == k ? 7.5 : 0);
            }
            x[r++] = c[i][j];
        }
        dense_solve(N - 1, a, x);
        assert_true(b[j * N + j] == 0);
        for (size_t r = 0, i = 0; i < N; i++) {
            if (i == j)
                continue;
            if (fabs((double)b[i * N + j] - x[r]) > 1e-5)
                fail_msg("weight %zu %zu is %g, not %g", i, j,
                         (double)b[i * N + j], x[r]);
            r++;
        }
    }
    rec_model_free(m);
    rec_data_free(&d);
}

static void scores_of_ease_are_sums_over_the_history(void **state)
{
    struct rec_data d = case_data(USERS, N, 0.3, false, 2);
    struct rec_model *m = fitted("ease", &d, "reg", "5", NULL, NULL);
    const float *b = rec_model_array(m, "weights");
    static float got[11 * N];
    uint32_t user[11] = {0};
    const struct rec_query q = {11, user, d.user_ptr + 3, d.item, NULL};

    (void)state;
    assert_int_equal(m->ops->score(m, &q, got), ERR_OK);
    for (size_t p = 0; p < 11; p++) {
        for (size_t i = 0; i < N; i++) {
            double want = 0;

            for (size_t r = q.ptr[p]; r < q.ptr[p + 1]; r++)
                want += (double)b[d.item[r] * N + i];
            assert_true(fabs(want - (double)got[p * N + i]) < 1e-5);
        }
    }
    rec_model_free(m);
    rec_data_free(&d);
}

static void the_default_ridge_is_five_rows_per_item(void **state)
{
    struct rec_data d = case_data(USERS, N, 0.3, false, 2);
    char text[64];

    (void)state;
    (void)snprintf(text, sizeof(text), "%.17g",
                   5 * (double)d.n_rows / (double)N);
    struct rec_model *a = fitted("ease", &d, "reg", "0", NULL, NULL);
    struct rec_model *b = fitted("ease", &d, "reg", text, NULL, NULL);

    assert_memory_equal(rec_model_array(a, "weights"),
                        rec_model_array(b, "weights"), N * N * sizeof(float));
    rec_model_free(a);
    rec_model_free(b);
    rec_data_free(&d);
}

/* Rank of j among the others near i by (similarity desc, number asc). */
static size_t place_of(double s[N][N], size_t i, size_t j)
{
    size_t before = 0;

    for (size_t k = 0; k < N; k++) {
        if (k != i && k != j &&
            ((float)s[i][k] > (float)s[i][j] ||
             ((float)s[i][k] == (float)s[i][j] && k < j)))
            before++;
    }
    return before;
}

static void itemknn_keeps_the_nearest_of_the_dense_cosines(void **state)
{
    static double c[N][N], s[N][N];

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        /* few people: many equal similarities */
        struct rec_data d = case_data(5 + seed * 4, N, 0.2, false, seed);
        struct rec_model *m =
            fitted("itemknn", &d, "neighbours", "6", "shrink", "1.5");
        static float got[N * N];
        uint32_t user[N] = {0}, item[N];
        size_t ptr[N + 1];
        const struct rec_query each = {N, user, ptr, item, NULL};

        for (size_t j = 0; j <= N; j++)
            ptr[j] = j;
        for (size_t j = 0; j < N; j++)
            item[j] = (uint32_t)j; /* person j met item j alone */
        dense_counts(&d, c);
        for (size_t i = 0; i < N; i++) {
            for (size_t j = 0; j < N; j++)
                s[i][j] = c[i][j] / (sqrt(c[i][i] * c[j][j]) + 1.5);
        }
        assert_int_equal(m->ops->score(m, &each, got), ERR_OK);
        for (size_t i = 0; i < N; i++) {
            for (size_t j = 0; j < N; j++) {
                const float want =
                    i == j || place_of(s, i, j) >= 6 ? 0 : (float)s[i][j];

                if (got[j * N + i] != want)
                    fail_msg("seed %d: %zu near %zu is %g, not %g", (int)seed,
                             j, i, (double)got[j * N + i], (double)want);
            }
        }
        rec_model_free(m);
        rec_data_free(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ease_solves_the_normal_equations_of_each_item),
        cmocka_unit_test(scores_of_ease_are_sums_over_the_history),
        cmocka_unit_test(the_default_ridge_is_five_rows_per_item),
        cmocka_unit_test(itemknn_keeps_the_nearest_of_the_dense_cosines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
