/* tests/test_dp.c - the account of privacy, its noise, and the private model.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rec/dp.h"
#include "rec/model.h"
#include "tests/rec_cases.h"

/* --- the account ----------------------------------------------------------
 */

/* P(N(mu, 1) > x) */
static double tail(double x, double mu)
{
    return 0.5 * erfc((x - mu) / sqrt(2));
}

/* The exact delta of a normal mechanism of shift mu at epsilon (Balle & Wang,
 * ICML 2018, theorem 8). */
static double exact_delta(double mu, double epsilon)
{
    return tail(-mu / 2 + epsilon / mu, 0) -
           exp(epsilon) * tail(mu / 2 + epsilon / mu, 0);
}

/* Never below the truth, and not far above it. */
static void without_sampling_it_bounds_the_exact_answer(void **state)
{
    const double delta = 1e-5;

    (void)state;
    for (double sigma = 0.7; sigma < 40; sigma *= 1.7) {
        for (uint64_t n = 1; n <= 64; n *= 4) {
            const struct rec_dp_rounds r = {sigma, 1, n};
            const double mu = sqrt((double)n) / sigma;
            const double got = rec_dp_epsilon(&r, 1, delta);
            double lo = 0, hi = 500;

            for (int i = 0; i < 80; i++) {
                const double mid = (lo + hi) / 2;

                if (exact_delta(mu, mid) > delta)
                    lo = mid;
                else
                    hi = mid;
            }
            if (got < hi - 1e-9 || got > 1.25 * hi + 0.05)
                fail_msg("sigma %g, %d rounds: %g, exactly %g", sigma, (int)n,
                         got, hi);
        }
    }
}

/* E of the likelihood ratio to the power a, by the trapezium rule; in
 * logarithms, since the largest terms are beyond a double. */
static double renyi_by_hand(double sigma, double q, double a)
{
    const double step = 0.01 * sigma;
    double most = -INFINITY, sum = 0;

    for (int pass = 0; pass < 2; pass++) {
        for (double x = -20 * sigma; x < a + 20 * sigma; x += step) {
            const double ratio =
                log1p(q * expm1((2 * x - 1) / (2 * sigma * sigma)));
            const double term = -x * x / (2 * sigma * sigma) + a * ratio;

            if (pass == 0)
                most = term > most ? term : most;
            else
                sum += exp(term - most);
        }
    }
    return (most + log(sum * step / (sigma * sqrt(2 * 3.14159265358979)))) /
           (a - 1);
}

static void sampling_is_accounted_as_by_integration(void **state)
{
    static const double sigma[] = {0.8, 1.3, 3}, q[] = {0.01, 0.2, 0.7};

    (void)state;
    for (size_t i = 0; i < 9; i++) {
        const struct rec_dp_rounds r = {sigma[i % 3], q[i / 3], 50};
        double best = INFINITY;

        for (double a = 2; a <= 251; a++) {
            const double e = 50 * renyi_by_hand(r.sigma, r.rate, a) +
                             log1p(-1 / a) - (log(1e-6) + log(a)) / (a - 1);

            best = e < best ? e : best;
        }
        const double got = rec_dp_epsilon(&r, 1, 1e-6);

        if (fabs(got - best) > 1e-3 * best)
            fail_msg("sigma %g, rate %g: %g, by hand %g", r.sigma, r.rate, got,
                     best);
    }
}

static void the_noise_that_is_found_keeps_to_epsilon(void **state)
{
    static const double eps[] = {0.1, 1, 4, 20};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        double sigma;

        assert_int_equal(rec_dp_sigma(eps[i], 1e-5, 0.5, 5, 2, &sigma), ERR_OK);
        const struct rec_dp_rounds kind[] = {{sigma, 0.5, 5},
                                             {2 * sigma, 1, 1}};
        const struct rec_dp_rounds less[] = {{0.98 * sigma, 0.5, 5},
                                             {1.96 * sigma, 1, 1}};

        assert_true(rec_dp_epsilon(kind, 2, 1e-5) <= eps[i]);
        assert_true(rec_dp_epsilon(less, 2, 1e-5) > eps[i]);
    }
}

static void noise_is_normal_and_named(void **state)
{
    const size_t n = 200000;
    unsigned char key[REC_DP_KEY] = {1}, other[REC_DP_KEY] = {2};
    float *x = mem_array(n, sizeof(*x)), y[8] = {0}, z[8] = {0}, w[8] = {0};
    double sum = 0, square = 0, fourth = 0;

    (void)state;
    assert_int_equal(rec_dp_noise(x, n, 3, key, 7), ERR_OK);
    for (size_t i = 0; i < n; i++) {
        const double v = (double)x[i] / 3;

        sum += v;
        square += v * v;
        fourth += v * v * v * v;
    }
    assert_true(fabs(sum / (double)n) < 0.01);
    assert_true(fabs(square / (double)n - 1) < 0.02);
    assert_true(fabs(fourth / (double)n - 3) < 0.1);
    assert_int_equal(rec_dp_noise(y, 8, 3, key, 7), ERR_OK);
    assert_memory_equal(x, y, sizeof(y));
    assert_int_equal(rec_dp_noise(z, 8, 3, key, 8), ERR_OK);
    assert_int_equal(rec_dp_noise(w, 8, 3, other, 7), ERR_OK);
    assert_memory_not_equal(y, z, sizeof(y));
    assert_memory_not_equal(y, w, sizeof(y));
    free(x);
}

/* --- the model
 * ------------------------------------------------------------------
 */

#define USERS 120
#define ITEMS 30

static struct rec_model *new_model(const char *epsilon, const char *rounds,
                                   unsigned char secret)
{
    const char *const option[][2] = {
        {"dp-epsilon", epsilon}, {"rounds", rounds},     {"dim", "4"},
        {"clip", "1"},           {"item-exponent", "0"}, {"popularity", "0"}};
    const struct rec_model_ops *ops;
    struct rec_model *m;

    assert_int_equal(rec_model_find("dpsvd", &ops), ERR_OK);
    assert_int_equal(rec_model_new(&m, ops), ERR_OK);
    for (size_t i = 0; i < sizeof(option) / sizeof(option[0]); i++)
        assert_int_equal(
            opt_assign(ops->opts, m->opts, option[i][0], option[i][1]), ERR_OK);
    m->seed = 4;
    m->secret[0] = secret;
    return m;
}

static struct rec_model *train(const struct rec_data *d, const char *epsilon,
                               const char *rounds, unsigned char secret)
{
    struct rec_model *m = new_model(epsilon, rounds, secret);

    assert_int_equal(rec_model_fit(m, d, NULL), ERR_OK);
    return m;
}

/* Without noise, the basis is that of the sum of outer products of people at
 * length one: G v = w v. */
static void without_noise_vectors_are_eigenvectors(void **state)
{
    struct rec_data d = case_data(USERS, ITEMS, 0.3, false, 3);
    struct rec_model *m = train(&d, "1e5", "300", 0);
    const float *v = rec_model_array(m, "items");
    static double g[ITEMS][ITEMS];

    (void)state;
    for (size_t u = 0; u < USERS; u++) {
        const size_t from = d.user_ptr[u], end = d.user_ptr[u + 1];

        for (size_t a = from; a < end; a++) {
            for (size_t b = from; b < end; b++)
                g[d.item[a]][d.item[b]] += 1 / (double)(end - from);
        }
    }
    for (size_t j = 0; j < 4; j++) {
        double gv[ITEMS] = {0}, w = 0, off = 0, length = 0;

        for (size_t i = 0; i < ITEMS; i++) {
            for (size_t k = 0; k < ITEMS; k++)
                gv[i] += g[i][k] * (double)v[k * 4 + j];
            w += gv[i] * (double)v[i * 4 + j];
            length += (double)v[i * 4 + j] * (double)v[i * 4 + j];
        }
        for (size_t i = 0; i < ITEMS; i++)
            off += pow(gv[i] - w * (double)v[i * 4 + j], 2);
        assert_true(fabs(length - 1) < 1e-4);
        if (j < 2 && sqrt(off) > 0.01 * w) /* the last ones may be close */
            fail_msg("vector %zu: %g off, eigenvalue %g", j, sqrt(off), w);
    }
    rec_model_free(m);
    rec_data_free(&d);
}

/* A rate so low that nobody takes part leaves no direction, and no accident. */
static void a_round_without_people_is_no_accident(void **state)
{
    struct rec_data d = case_data(USERS, ITEMS, 0.3, false, 3);
    struct rec_model *m = new_model("1e5", "2", 0);
    const uint32_t nobody = REC_NOBODY;
    const struct rec_query q = {1, &nobody, d.user_ptr, d.item, NULL, NULL};
    float vec[4];

    (void)state;
    assert_int_equal(opt_assign(m->ops->opts, m->opts, "rate", "1e-4"), ERR_OK);
    assert_int_equal(rec_model_fit(m, &d, NULL), ERR_OK);
    assert_int_equal(m->ops->embed(m, &q, vec), ERR_OK);
    for (size_t j = 0; j < 4; j++)
        assert_true(vec[j] == 0);
    rec_model_free(m);
    rec_data_free(&d);
}

/* Half of the people a round: other sums than everybody's, half as large. */
static void a_rate_samples_people(void **state)
{
    struct rec_data d = case_data(2000, ITEMS, 0.3, false, 3);
    struct rec_model *all = new_model("1e5", "1", 0);
    struct rec_model *half = new_model("1e5", "1", 0);

    (void)state;
    assert_int_equal(opt_assign(half->ops->opts, half->opts, "rate", ".5"),
                     ERR_OK);
    assert_int_equal(rec_model_fit(all, &d, NULL), ERR_OK);
    assert_int_equal(rec_model_fit(half, &d, NULL), ERR_OK);
    const float *x = rec_model_array(all, "items");
    const float *y = rec_model_array(half, "items");
    double dot = 0;

    for (size_t i = 0; i < ITEMS; i++) /* the leading direction */
        dot += (double)x[i * 4] * (double)y[i * 4];
    assert_true(fabs(dot) > 0.99 && fabs(dot) < 0.9999999);
    rec_model_free(all);
    rec_model_free(half);
    rec_data_free(&d);
}

/* The secret makes the noise; so do the rows: one person less is not the same
 * noise without the person. */
static void noise_hangs_on_the_secret_and_on_the_rows(void **state)
{
    struct rec_data d = case_data(USERS, ITEMS, 0.3, false, 3), less;
    uint8_t *keep = mem_array(d.n_rows, 1);
    unsigned char a[KEY_DIGEST_BYTES], b[KEY_DIGEST_BYTES];
    struct rec_model *one = train(&d, "4", "3", 1);
    struct rec_model *same = train(&d, "4", "3", 1);
    struct rec_model *other = train(&d, "4", "3", 2);
    double gap = 0;

    (void)state;
    rec_model_digest(one, a);
    rec_model_digest(same, b);
    assert_memory_equal(a, b, sizeof(a));
    rec_model_digest(other, b);
    assert_memory_not_equal(a, b, sizeof(a));
    memset(keep, 1, d.n_rows);
    keep[0] = 0;
    assert_int_equal(rec_data_subset(&less, &d, keep), ERR_OK);
    struct rec_model *after = train(&less, "4", "3", 1);
    const float *x = rec_model_array(one, "items");
    const float *y = rec_model_array(after, "items");

    for (size_t i = 0; i < ITEMS * 4; i++)
        gap += fabs((double)x[i] - (double)y[i]) / (ITEMS * 4);
    assert_true(gap > 0.02); /* one row moves a few entries by less */
    rec_model_free(one);
    rec_model_free(same);
    rec_model_free(other);
    rec_model_free(after);
    rec_data_free(&less);
    rec_data_free(&d);
    free(keep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_sampling_it_bounds_the_exact_answer),
        cmocka_unit_test(sampling_is_accounted_as_by_integration),
        cmocka_unit_test(the_noise_that_is_found_keeps_to_epsilon),
        cmocka_unit_test(noise_is_normal_and_named),
        cmocka_unit_test(without_noise_vectors_are_eigenvectors),
        cmocka_unit_test(a_round_without_people_is_no_accident),
        cmocka_unit_test(a_rate_samples_people),
        cmocka_unit_test(noise_hangs_on_the_secret_and_on_the_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
