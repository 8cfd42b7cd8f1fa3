/* tests/test_stat.c - figures of audits against counting and published values.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>

#include "attack/epsilon.h"
#include "attack/features.h"
#include "attack/stat.h"
#include "base/rng.h"

#define N 60
#define M 45

static void fill(double *x, size_t n, uint64_t seed, double shift, double grid)
{
    for (size_t i = 0; i < n; i++)
        x[i] = round((rng_normal(seed, RNG_BOOT, i) + shift) * grid) / grid;
}

static double by_pairs(const struct atk_sample *s)
{
    double pairs = 0;

    for (size_t i = 0; i < s->n_member; i++) {
        for (size_t k = 0; k < s->n_other; k++)
            pairs += s->member[i] > s->other[k]    ? 1
                     : s->member[i] == s->other[k] ? 0.5
                                                   : 0;
    }
    return pairs / (double)(s->n_member * s->n_other);
}

/* Grids make ties: on the coarsest nearly everything is equal. */
static void an_area_is_the_share_of_pairs(void **state)
{
    static const double grid[] = {1e6, 4, 1, 0.3};
    double a[N], b[M];

    (void)state;
    for (size_t g = 0; g < 4; g++) {
        const struct atk_sample s = {a, b, N, M};
        struct atk_interval area;
        struct atk_roc roc;

        fill(a, N, g, 0.7, grid[g]);
        fill(b, M, g + 100, 0, grid[g]);
        assert_int_equal(atk_roc_build(&roc, &s), ERR_OK);
        assert_int_equal(atk_area(&s, &area), ERR_OK);
        assert_true(fabs(atk_roc_area(&roc) - by_pairs(&s)) < 1e-12);
        assert_true(fabs(area.value - by_pairs(&s)) < 1e-12);
        assert_true(area.lo < area.value && area.value < area.hi);
        assert_int_equal(roc.true_pos[roc.n - 1], N);
        assert_int_equal(roc.false_pos[roc.n - 1], M);
        atk_roc_free(&roc);
    }
}

static void swapped_labels_and_increasing_transforms(void **state)
{
    double a[N], b[M], c[N], d[M];
    const struct atk_sample s = {a, b, N, M}, swapped = {b, a, M, N},
                            bent = {c, d, N, M};
    struct atk_interval x, y, z;

    (void)state;
    fill(a, N, 1, 0.5, 4);
    fill(b, M, 2, 0, 4);
    for (size_t i = 0; i < N; i++)
        c[i] = exp(a[i]);
    for (size_t i = 0; i < M; i++)
        d[i] = exp(b[i]);
    assert_int_equal(atk_area(&s, &x), ERR_OK);
    assert_int_equal(atk_area(&swapped, &y), ERR_OK);
    assert_int_equal(atk_area(&bent, &z), ERR_OK);
    assert_true(fabs(x.value + y.value - 1) < 1e-12);
    assert_true(fabs(x.lo + y.hi - 1) < 1e-12);
    assert_true(x.value == z.value && x.lo == z.lo && x.hi == z.hi);
}

/* Hanley and McNeil's half-width at area one half is .025 for 1000 + 1000. */
static void intervals_are_as_wide_as_they_should_be(void **state)
{
    static double a[1000], b[1000];
    const struct atk_sample s = {a, b, 1000, 1000};
    struct atk_interval x;

    (void)state;
    fill(a, 1000, 3, 0, 1e9);
    fill(b, 1000, 4, 0, 1e9);
    assert_int_equal(atk_area(&s, &x), ERR_OK);
    assert_true(fabs((x.hi - x.lo) / 2 - 0.0253) < 0.001);
}

static void where_nothing_overlaps_the_interval_is_not_a_point(void **state)
{
    const double a[] = {2, 3, 4}, b[] = {0, 1, 1.5};
    const struct atk_sample s = {a, b, 3, 3}, t = {b, a, 3, 3};
    struct atk_interval x;

    (void)state;
    assert_int_equal(atk_area(&s, &x), ERR_OK);
    assert_true(x.value == 1 && x.hi == 1 && x.lo > 0.2 && x.lo < 0.4);
    assert_int_equal(atk_area(&t, &x), ERR_OK);
    assert_true(x.value == 0 && x.lo == 0 && x.hi > 0.6);
}

/* A hundred splits of one population: nothing is to be found. */
static void null_data_gives_nothing(void **state)
{
    static double x[1000], a[1000], b[1000];
    unsigned cover = 0, above = 0;

    (void)state;
    fill(x, 1000, 5, 0, 1e9);
    for (uint64_t k = 0; k < 100; k++) {
        struct atk_counts at = {0, 0, 0, 0};
        struct atk_interval area;
        size_t n = 0, m = 0;

        for (size_t i = 0; i < 1000; i++) {
            const int in = (rng_u32(k, RNG_AUDIT, i) & 1) != 0;

            *(in ? &a[n++] : &b[m++]) = x[i];
            *(in ? &at.p : &at.q) += 1;
            *(in ? &at.tp : &at.fp) += x[i] > 1;
        }
        const struct atk_sample s = {a, b, n, m};

        assert_int_equal(atk_area(&s, &area), ERR_OK);
        cover += area.lo <= 0.5 && area.hi >= 0.5;
        above += atk_epsilon_rates(&at, 1e-5, 0.05) > 0;
    }
    if (cover < 90 || cover > 99 || above > 5)
        fail_msg("%u cover, %u above 0", cover, above);
}

static void a_difference_of_areas_is_paired(void **state)
{
    double a[N], b[M];
    const struct atk_sample s = {a, b, N, M};
    struct atk_interval x;

    (void)state;
    fill(a, N, 6, 0.3, 1e9);
    fill(b, M, 7, 0, 1e9);
    assert_int_equal(atk_area_difference(&s, &s, &x), ERR_OK);
    assert_true(x.value == 0 && x.lo == 0 && x.hi == 0);
}

/* --- published values ----------------------------------------------------- */

static void close_to(double got, double want, double by, const char *what)
{
    if (fabs(got - want) > by)
        fail_msg("%s: %.6f, not %.6f", what, got, want);
}

static void rates_have_the_limits_of_clopper_and_pearson(void **state)
{
    static const struct {
        uint64_t k, n;
        double tail, hi;
    } v[] = {
        {0, 1000, .025, .003682}, {0, 1000, .05, .002991},
        {1, 1000, .025, .005559}, {10, 1000, .025, .018313},
        {0, 100, .05, .029513},   {0, 10000, .025, .000369},
        {5, 970, .025, .011988},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
        const struct atk_interval x = atk_rate(v[i].k, v[i].n, v[i].tail);
        const struct atk_interval y =
            atk_rate(v[i].n - v[i].k, v[i].n, v[i].tail);

        close_to(x.hi, v[i].hi, 1e-6, "upper");
        close_to(1 - y.lo, v[i].hi, 1e-6, "lower");
    }
}

static void epsilon_from_rates(void **state)
{
    static const struct {
        struct atk_counts c;
        double delta, eps;
    } v[] = {
        {{1000, 1000, 0, 1000}, 0, 5.6006},
        {{500, 1000, 0, 1000}, 0, 4.8462},
        {{100, 1000, 0, 1000}, 1e-5, 3.1044},
        {{50, 1000, 1, 1000}, 0, 1.9045},
        {{900, 1000, 100, 1000}, 0, 1.9897},
        {{970, 970, 0, 969},
         1e-5,
         5.5701}, /* the mirror: one way alone gives 5.5690 */
        {{100, 10000, 0, 10000}, 1e-5, 3.0934},
        {{10, 10000, 0, 10000}, 0, .2627},
        {{500, 1000, 500, 1000}, 1e-5, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
        close_to(atk_epsilon_rates(&v[i].c, v[i].delta, 0.05), v[i].eps, 1e-3,
                 "rates");
}

static void epsilon_from_one_run(void **state)
{
    static const struct {
        uint64_t m, r, v;
        double delta, eps;
    } v[] = {
        {1000, 100, 100, 0, 3.4930},
        {1000, 100, 100, 1e-5, 3.4654},
        {1000, 100, 95, 0, 2.1724},
        {1000, 100, 95, 1e-5, 2.1652},
        {1000, 1000, 1000, 1e-5, 5.7823},
        {1000, 1000, 800, 0, 1.2543},
        {1000, 1000, 800, 1e-5, 1.2540},
        {1000, 1000, 550, 0, 0.0942},
        {1000, 1000, 525, 0, 0},
        {100, 50, 50, 0, 2.7847},
        {10, 10, 10, 0, 1.0519},
        {10000, 1000, 990, 1e-5, 4.0212},
        {10000, 2000, 1900, 1e-5, 2.7679},
        {2000, 200, 200, 1e-6, 4.1882},
        {5, 5, 5, 0, .1978},
        {5000, 5000, 5000, 0, 7.4197},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
        close_to(atk_epsilon_one_run(v[i].m, v[i].r, v[i].v, v[i].delta, 0.05),
                 v[i].eps, 1e-3, "one run");
}

/* A Gaussian mechanism of mu 1 has delta .1269 at epsilon 1 (Dong et al.,
 * equation 6); rates far beyond doubt must come near it and not above. */
static void epsilon_of_a_gaussian_trade_off(void **state)
{
    /* at the threshold 1/2 a mu = 1 mechanism has TPR .6915, FPR .3085 */
    const struct atk_counts c = {69146246, 100000000, 30853754, 100000000};
    const struct atk_counts worse = {400, 1000, 600, 1000};

    (void)state;
    close_to(atk_epsilon_gauss(&c, 0.126937, 0.05), 1, 2e-3, "gauss");
    close_to(atk_epsilon_gauss(&worse, 1e-5, 0.05), 0, 0, "worse than chance");
}

/* --- two kinds of numbers ----------------------------------------------------
 */

#define KIND ((size_t)400) /* numbers of each */

/* Oracle: the cost of every cut, from scratch. */
static double cost_at(const double *x, size_t n, double cut)
{
    double cost = 0;

    for (int kind = 0; kind < 2; kind++) {
        double mean = 0, spread = 0, share = 0;

        for (size_t i = 0; i < n; i++)
            share += (x[i] > cut) == kind;
        for (size_t i = 0; i < n; i++)
            mean += (x[i] > cut) == kind ? x[i] / share : 0;
        for (size_t i = 0; i < n; i++)
            spread += (x[i] > cut) == kind
                          ? (x[i] - mean) * (x[i] - mean) / share
                          : 0;
        if (share < (double)n / 20)
            return INFINITY;
        cost += share * (log(spread) / 2 - log(share / (double)n));
    }
    return cost;
}

/* A kind that keeps close together gets no strangers: the cut is nearer to it
 * than halfway, and no other cut costs less. */
static void a_cut_parts_close_from_wide(void **state)
{
    double x[2 * KIND], turned[2 * KIND], cut, other;
    size_t wrong[2] = {0, 0};

    (void)state;
    for (size_t i = 0; i < KIND; i++) {
        x[2 * i] = 0.1 * rng_normal(1, RNG_SYNTH, i);
        x[2 * i + 1] = 4 + 1.5 * rng_normal(2, RNG_SYNTH, i);
    }
    assert_int_equal(atk_cut(x, 2 * KIND, &cut), ERR_OK);
    assert_true(cut > 0.25 && cut < 1);
    for (size_t i = 0; i < 2 * KIND; i++) {
        assert_true(cost_at(x, 2 * KIND, x[i]) >
                    cost_at(x, 2 * KIND, cut) - 1e-6);
        wrong[0] += (x[i] > cut) != (i % 2 == 1);
        wrong[1] += (x[i] > 2) != (i % 2 == 1);
        turned[i] = 10 - 3 * x[i];
    }
    assert_true(wrong[0] * 3 < wrong[1]);
    assert_int_equal(atk_cut(turned, 2 * KIND, &other), ERR_OK);
    assert_true(fabs(other - (10 - 3 * cut)) < 1e-9);
    for (size_t i = 0; i < 2 * KIND; i++)
        x[i] = 5;
    assert_int_equal(atk_cut(x, 2 * KIND, &cut), ERR_OK);
    assert_true(cut == 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_parts_close_from_wide),
        cmocka_unit_test(an_area_is_the_share_of_pairs),
        cmocka_unit_test(swapped_labels_and_increasing_transforms),
        cmocka_unit_test(intervals_are_as_wide_as_they_should_be),
        cmocka_unit_test(where_nothing_overlaps_the_interval_is_not_a_point),
        cmocka_unit_test(null_data_gives_nothing),
        cmocka_unit_test(a_difference_of_areas_is_paired),
        cmocka_unit_test(rates_have_the_limits_of_clopper_and_pearson),
        cmocka_unit_test(epsilon_from_rates),
        cmocka_unit_test(epsilon_from_one_run),
        cmocka_unit_test(epsilon_of_a_gaussian_trade_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
