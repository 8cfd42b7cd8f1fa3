/* tests/test_models.c - closed forms against dense solutions in double. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rec/model.h"
#include "tests/rec_cases.h"
#include "tests/store_fake.h"

#define USERS 80
#define N 40

/* A model with the options of opt[n_opts][2]. */
static struct rec_model *fitted_as(const char *name, const struct rec_data *d,
                                   const char *const opt[][2], size_t n_opts)
{
    const struct rec_model_ops *ops = NULL;
    struct rec_model *m = NULL;

    assert_int_equal(rec_model_find(name, &ops), ERR_OK);
    assert_int_equal(rec_model_new(&m, ops), ERR_OK);
    for (size_t i = 0; i < n_opts; i++)
        assert_int_equal(opt_assign(ops->opts, m->opts, opt[i][0], opt[i][1]),
                         ERR_OK);
    assert_int_equal(rec_model_fit(m, d, NULL), ERR_OK);
    return m;
}

static struct rec_model *fitted(const char *name, const struct rec_data *d,
                                const char *opt, const char *value)
{
    const char *const one[][2] = {{opt, value}};

    return fitted_as(name, d, one, 1);
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
    struct rec_model *m = fitted("ease", &d, "reg", "7.5");
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
    struct rec_model *m = fitted("ease", &d, "reg", "5");
    const float *b = rec_model_array(m, "weights");
    static float got[11 * N];
    uint32_t user[11] = {0};
    const struct rec_query q = {11, user, d.user_ptr + 3, d.item, NULL, NULL};

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

/* Column j of B again, with people who weigh their number of rows to the
 * power -1/2: an oracle in double, without fixed point. */
static void people_of_ease_weigh_by_their_rows(void **state)
{
    struct rec_data d = case_data(USERS, N, 0.3, true, 1);
    struct rec_model *m;
    const struct rec_model_ops *ops;
    static double c[N][N], a[N][N];
    double most = 0;

    (void)state;
    assert_int_equal(rec_model_find("ease", &ops), ERR_OK);
    assert_int_equal(rec_model_new(&m, ops), ERR_OK);
    assert_int_equal(opt_assign(ops->opts, m->opts, "reg", "1.5"), ERR_OK);
    assert_int_equal(opt_assign(ops->opts, m->opts, "user-exponent", "0.5"),
                     ERR_OK);
    assert_int_equal(rec_model_fit(m, &d, NULL), ERR_OK);
    const float *b = rec_model_array(m, "weights");

    memset(c, 0, sizeof(c));
    for (size_t u = 0; u < d.n_users; u++) {
        const size_t first = d.user_ptr[u], last = d.user_ptr[u + 1];

        for (size_t r = first; r < last; r++) {
            for (size_t s = first; s < last; s++)
                c[d.item[r]][d.item[s]] += 1 / sqrt((double)(last - first));
        }
    }
    for (size_t j = 0; j < N; j++) {
        double x[N];

        for (size_t i = 0; i < N; i++) {
            for (size_t k = 0; k < N; k++) /* row and column j: nothing */
                a[i][k] =
                    i == j || k == j ? i == k : c[i][k] + (i == k ? 1.5 : 0);
            x[i] = i == j ? 0 : c[i][j];
        }
        dense_solve(N, a, x);
        for (size_t i = 0; i < N; i++)
            most = fmax(most, fabs((double)b[i * N + j] - x[i]));
    }
    assert_true(most < 1e-5);

    struct rec_counts counts;
    struct rec_model *from;

    assert_int_equal(rec_counts_new(&counts, N), ERR_OK);
    for (size_t u = d.n_users; u-- > 0;) {
        const size_t n = d.user_ptr[u + 1] - d.user_ptr[u];

        rec_counts_change(
            &counts,
            &(struct rec_count_change){d.item + d.user_ptr[u], n,
                                       ops->pair_weight(m->opts, n)},
            1);
    }
    assert_int_equal(rec_model_new(&from, ops), ERR_OK);
    memcpy(from->opts, m->opts, ops->opts_bytes);
    assert_int_equal(rec_model_fit_counts(from, &d, &counts), ERR_OK);
    assert_memory_equal(rec_model_array(from, "weights"), b,
                        N * N * sizeof(float));
    rec_model_free(from);
    rec_counts_free(&counts);
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
    struct rec_model *a = fitted("ease", &d, "reg", "0");
    struct rec_model *b = fitted("ease", &d, "reg", text);

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

/* Row j: the scores of a person who met item j alone. */
static void score_each(const struct rec_model *m, float got[N * N])
{
    uint32_t user[N] = {0}, item[N];
    size_t ptr[N + 1];
    const struct rec_query each = {N, user, ptr, item, NULL, NULL};

    for (size_t j = 0; j <= N; j++)
        ptr[j] = j;
    for (size_t j = 0; j < N; j++)
        item[j] = (uint32_t)j;
    assert_int_equal(m->ops->score(m, &each, got), ERR_OK);
}

static void itemknn_keeps_the_nearest_of_the_dense_cosines(void **state)
{
    static const char *const cosine[][2] = {{"neighbours", "6"},
                                            {"shrink", "1.5"},
                                            {"user-exponent", "0"},
                                            {"item-exponent", "0.5"}};
    static double c[N][N], s[N][N];

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        /* few people: many equal similarities */
        struct rec_data d = case_data(5 + seed * 4, N, 0.2, false, seed);
        struct rec_model *m = fitted_as("itemknn", &d, cosine, 4);
        static float got[N * N];

        dense_counts(&d, c);
        for (size_t i = 0; i < N; i++) {
            for (size_t j = 0; j < N; j++)
                s[i][j] = c[i][j] / (sqrt(c[i][i] * c[j][j]) + 1.5);
        }
        score_each(m, got);
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

/* w[i][j] / (c_i^b c_j^h + shrink), w adding d^-a: a, b, h are .7, .3, .4. */
static void dense_weighted(const struct rec_data *d, double s[N][N])
{
    static double c[N][N];

    dense_counts(d, c);
    memset(s, 0, sizeof(double) * N * N);
    for (size_t u = 0; u < d->n_users; u++) {
        const size_t first = d->user_ptr[u], end = d->user_ptr[u + 1];

        for (size_t x = first; x < end; x++)
            for (size_t y = first; y < end; y++)
                s[d->item[x]][d->item[y]] += pow((double)(end - first), -.7);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++)
            s[i][j] = i == j
                          ? 0
                          : s[i][j] / (pow(c[i][i], .3) * pow(c[j][j], .4) + 2);
}

static void itemknn_weighs_people_and_items_by_powers_of_their_rows(
    void **state)
{
    static const char *const opts[][2] = {
        {"neighbours", "1000"},      {"shrink", "2"},
        {"user-exponent", "0.7"},    {"item-exponent", "0.3"},
        {"history-exponent", "0.4"}, {"normalise", "true"}};
    struct rec_data d = case_data(USERS, N, 0.3, false, 2);
    static double s[N][N];
    static float got[N * N];

    (void)state;
    dense_weighted(&d, s);
    for (size_t n = 5; n <= 6; n++) { /* with and without normalising */
        struct rec_model *m = fitted_as("itemknn", &d, opts, n);

        score_each(m, got);
        for (size_t i = 0; i < N; i++) {
            double sum = n == 5 ? 1 : 0;

            for (size_t j = 0; j < N && n == 6; j++)
                sum += s[i][j];
            for (size_t j = 0; j < N; j++)
                assert_true(fabs((double)got[j * N + i] - s[i][j] / sum) <
                            1e-6);
        }
        rec_model_free(m);
    }
    rec_data_free(&d);
}

static double deviation(const float *x)
{
    double mean = 0, square = 0;

    for (size_t i = 0; i < N; i++)
        mean += (double)x[i] / N;
    for (size_t i = 0; i < N; i++)
        square += ((double)x[i] - mean) * ((double)x[i] - mean) / N;
    return sqrt(square);
}

static void blend_adds_the_scores_of_its_parts_in_their_deviations(void **state)
{
    static const char *const blend[][2] = {{"dim", "6"},
                                           {"epochs", "3"},
                                           {"reg", "0.1"},
                                           {"vectors", "7"},
                                           {"weight", "1.5"}};
    static const char *const learnt[][2] = {
        {"dim", "6"}, {"epochs", "3"}, {"reg", "0.1"}};
    struct rec_data d = case_data(USERS, N, 0.3, false, 6);
    struct rec_model *m = fitted_as("blend", &d, blend, 5);
    struct rec_model *a = fitted("gfcf", &d, "dim", "7");
    struct rec_model *b = fitted_as("lightgcn", &d, learnt, 3);
    const float *item = rec_model_array(b, "item");
    const float *user = rec_model_array(b, "user");
    static float got[3 * N], first[3 * N], second[N];
    const uint32_t people[3] = {0, 1, 2};
    const struct rec_query q = {3, people, d.user_ptr, d.item, NULL, NULL};

    (void)state;
    assert_int_equal(m->ops->score(m, &q, got), ERR_OK);
    assert_int_equal(a->ops->score(a, &q, first), ERR_OK);
    for (size_t u = 0; u < 3; u++) {
        for (size_t i = 0; i < N; i++) {
            second[i] = 0;
            for (size_t k = 0; k < 6; k++)
                second[i] += user[u * 6 + k] * item[i * 6 + k];
        }
        for (size_t i = 0; i < N; i++) {
            const double want =
                (double)first[u * N + i] / deviation(first + u * N) +
                1.5 * (double)second[i] / deviation(second);

            assert_true(fabs((double)got[u * N + i] - want) < 1e-3);
        }
    }
    rec_model_free(m);
    rec_model_free(a);
    rec_model_free(b);
    rec_data_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ease_solves_the_normal_equations_of_each_item),
        cmocka_unit_test(people_of_ease_weigh_by_their_rows),
        cmocka_unit_test(scores_of_ease_are_sums_over_the_history),
        cmocka_unit_test(the_default_ridge_is_five_rows_per_item),
        cmocka_unit_test(itemknn_keeps_the_nearest_of_the_dense_cosines),
        cmocka_unit_test(
            blend_adds_the_scores_of_its_parts_in_their_deviations),
        cmocka_unit_test(
            itemknn_weighs_people_and_items_by_powers_of_their_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
