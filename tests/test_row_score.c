/* tests/test_row_score.c - privacy scores of rows against counting, against
 * what they must be, and against chance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "attack/row_score.h"
#include "base/rng.h"

#define N 400
#define MOST 64

struct made {
    double ref[MOST * N];
    uint8_t in[MOST * N];
    uint64_t key[N];
    struct atk_signals s;
};

/* Fits that are `shift` higher in models that learnt from the row, rounded to a
 * grid so that some are equal. */
static struct made *make(size_t models, double shift, uint64_t seed)
{
    struct made *m = calloc(1, sizeof(*m));

    assert_non_null(m);
    for (size_t i = 0; i < models * N; i++) {
        m->in[i] = (uint8_t)(rng_u32(seed, RNG_AUDIT, i) & 1);
        m->ref[i] =
            round(8 * (rng_normal(seed, RNG_BOOT, i) + shift * m->in[i])) / 8;
    }
    for (size_t u = 0; u < N; u++)
        m->key[u] = rng_derive(seed, RNG_SYNTH, u);
    m->s = (struct atk_signals){.n_refs = models, .ref = m->ref, .in = m->in};
    return m;
}

static struct atk_row_scores score(const struct made *m)
{
    struct atk_row_scores r;

    assert_int_equal(atk_row_scores(&r, &m->s, m->key, N, 5), ERR_OK);
    assert_int_equal(r.n, N);
    assert_int_equal(r.models, m->s.n_refs);
    return r;
}

/* Every fit as a threshold, counted anew for each. */
static double by_counting(const struct made *m, size_t u)
{
    double best = 0, score = 0;

    for (size_t t = 0; t < m->s.n_refs; t++) {
        double above[2] = {0, 0}, all[2] = {0, 0}, p[2];

        for (size_t r = 0; r < m->s.n_refs; r++) {
            const int in = m->in[r * N + u];

            all[in]++;
            above[in] += m->ref[r * N + u] > m->ref[t * N + u];
        }
        if (all[0] == 0 || all[1] == 0)
            return 0;
        for (int in = 0; in < 2; in++)
            p[in] = (above[in] + 0.5) / (all[in] + 1);
        const double gap = above[1] / all[1] - above[0] / all[0];
        const double here =
            fmax(log(p[1] / p[0]), log((1 - p[0]) / (1 - p[1])));

        if (gap > best || (gap == best && gap > 0 && here > score)) {
            best = gap;
            score = fmax(here, 0);
        }
    }
    return score;
}

static void scores_are_those_of_counting(void **state)
{
    static const size_t models[] = {2, 5, 16, 63};

    (void)state;
    for (size_t k = 0; k < 4; k++) {
        struct made *m = make(models[k], 1, 1 + k);
        struct atk_row_scores r = score(m);
        double mean = 0;
        size_t above = 0;

        for (size_t u = 0; u < N; u++) {
            const double want = by_counting(m, u);

            if (!(fabs(r.score[u] - want) < 1e-12))
                fail_msg("row %zu of %zu models: %g, not %g", u, models[k],
                         r.score[u], want);
            mean += want / N;
            above += r.score[u] > r.tenth;
        }
        assert_true(fabs(mean - r.mean) < 1e-9);
        assert_true(above <= N / 10 && r.median <= r.tenth);
        assert_true(r.mean <= r.most + 1e-9);
        atk_row_scores_free(&r);
        free(m);
    }
}

/* Eight models of each kind whose fits do not overlap: ln 17. */
static void a_row_that_is_parted_wholly_has_the_most(void **state)
{
    struct made *m = make(16, 0, 3);

    (void)state;
    for (size_t i = 0; i < 16 * (size_t)N; i++) {
        m->in[i] = i / N % 2 == 0;
        m->ref[i] = m->in[i] ? 1 + (double)i : -(double)i;
    }
    struct atk_row_scores r = score(m);

    for (size_t u = 0; u < N; u++)
        assert_true(fabs(r.score[u] - log(17)) < 1e-12);
    assert_true(fabs(r.most - log(17)) < 1e-9 && r.chance < 0.8 * r.most);
    atk_row_scores_free(&r);

    /* the other way round, a higher fit without the row gives nothing away */
    for (size_t i = 0; i < 16 * (size_t)N; i++)
        m->ref[i] = -m->ref[i];
    r = score(m);
    assert_true(r.mean == 0);
    atk_row_scores_free(&r);
    free(m);
}

/* Rows that say nothing score what the coins that are drawn anew score; rows
 * that say something, more; and more models leave less to chance. */
static void chance_is_what_nothing_scores(void **state)
{
    double chance[2];

    (void)state;
    for (int many = 0; many < 2; many++) {
        struct made *m = make(many ? 64 : 16, 0, 7);
        struct atk_row_scores r = score(m);

        if (!(fabs(r.mean - r.chance) < 0.06))
            fail_msg("%.3f, by chance %.3f", r.mean, r.chance);
        chance[many] = r.chance;
        atk_row_scores_free(&r);
        free(m);
        m = make(many ? 64 : 16, 2, 7);
        r = score(m);
        if (!(r.mean > r.chance + 0.8))
            fail_msg("%.3f, by chance %.3f", r.mean, r.chance);
        atk_row_scores_free(&r);
        free(m);
    }
    if (!(chance[1] < 0.75 * chance[0]))
        fail_msg("%.3f, %.3f", chance[0], chance[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_those_of_counting),
        cmocka_unit_test(a_row_that_is_parted_wholly_has_the_most),
        cmocka_unit_test(chance_is_what_nothing_scores),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
