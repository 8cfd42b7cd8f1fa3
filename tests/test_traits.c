/* tests/test_traits.c - what attributes say, counted another way; and models
 * that read them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/nn.h"
#include "rec/model.h"
#include "rec/rerank.h"
#include "rec/traits.h"
#include "tests/rec_cases.h"

#define PEOPLE 120
#define ITEMS 30
#define COMMON 900 /* keys of groups and kinds; 7 is rare */

/* Person u is in group u % 2 and in 10 + u % 3; item i is of kind i % 2; all
 * have an attribute of their own, too. */
static struct rec_data told(void)
{
    struct rec_data d = case_data(PEOPLE, ITEMS, 0.3, false, 6);

    d.group_ptr = mem_array(PEOPLE + 1, sizeof(*d.group_ptr));
    d.group = mem_array(3 * PEOPLE, sizeof(*d.group));
    d.trait_ptr = mem_array(ITEMS + 1, sizeof(*d.trait_ptr));
    d.trait = mem_array(2 * ITEMS, sizeof(*d.trait));
    assert_true(d.group_ptr && d.group && d.trait_ptr && d.trait);
    for (size_t u = 0; u < PEOPLE; u++) {
        d.group[3 * u] = 5000 + u;
        d.group[3 * u + 1] = COMMON + u % 2;
        d.group[3 * u + 2] = COMMON + 10 + u % 3;
        d.group_ptr[u + 1] = 3 * (u + 1);
    }
    for (size_t i = 0; i < ITEMS; i++) {
        d.trait[2 * i] = 6000 + i;
        d.trait[2 * i + 1] = COMMON + i % 2;
        d.trait_ptr[i + 1] = 2 * (i + 1);
    }
    return d;
}

static bool in_group(size_t u, uint64_t key)
{
    return key == COMMON + u % 2 || key == COMMON + 10 + u % 3;
}

/* ln((met by the group + 5) / (expected + 5)), counted cell by cell. */
static double lift_of(const struct rec_data *d, uint64_t key, uint32_t item)
{
    double met = 0, rows = 0, all = 0;

    for (size_t u = 0; u < PEOPLE; u++) {
        const bool in = in_group(u, key), has = rec_data_has(d, u, item);

        met += in && has;
        all += has;
        rows += in ? (double)(d->user_ptr[u + 1] - d->user_ptr[u]) : 0;
    }
    return log((met + 5) / (rows * all / (double)d->n_rows + 5));
}

static double taste_of(const struct rec_data *d, size_t u, size_t kind)
{
    const size_t from = d->user_ptr[u], end = d->user_ptr[u + 1];
    double own = 0, all = 0;

    for (size_t r = 0; r < d->n_rows; r++) {
        all += d->item[r] % 2 == kind;
        own += d->item[r] % 2 == kind && r >= from && r < end;
    }
    return log((own + 2) /
               ((double)(end - from) * all / (double)d->n_rows + 2));
}

static void features_are_counts(void **state)
{
    struct rec_data d = told();
    struct mem_scratch s = {0};
    struct rec_traits t;
    float taste[REC_KINDS_MOST], x[REC_TRAIT_FEATURES];

    (void)state;
    assert_int_equal(rec_traits_make(&t, &s, &d), ERR_OK);
    assert_int_equal(t.n_groups, 5); /* what one person has is no group */
    assert_int_equal(t.n_kinds, 2);
    for (size_t u = 0; u < PEOPLE; u += 7) {
        rec_traits_taste(&t, d.item + d.user_ptr[u],
                         d.user_ptr[u + 1] - d.user_ptr[u], taste);
        for (uint32_t i = 0; i < ITEMS; i += 4) {
            const double a = lift_of(&d, COMMON + u % 2, i),
                         b = lift_of(&d, COMMON + 10 + u % 3, i),
                         c = taste_of(&d, u, i % 2);

            rec_traits_features(&t, (uint32_t)u, taste, ITEMS, i, x);
            assert_true(fabs((double)x[0] - (a + b)) < 1e-4);
            assert_true(fabs((double)x[1] - fmax(a, b)) < 1e-4);
            assert_true(fabs((double)x[2] - c) < 1e-4);
            assert_true(fabs((double)x[3] - c) < 1e-4);
            /* a stranger is in no group */
            rec_traits_features(&t, REC_NOBODY, taste, ITEMS, i, x);
            assert_true(x[0] == 0 && x[1] == 0);
        }
    }
    mem_drop(&s);
    rec_data_free(&d);
}

/* Subsets of rows keep what is known of the people that are left. */
static void attributes_go_with_the_person(void **state)
{
    struct rec_data d = told(), less;
    uint8_t *keep = mem_array(d.n_rows, 1);
    size_t at = 0;

    (void)state;
    assert_non_null(keep);
    for (size_t u = 0; u < PEOPLE; u++) {
        for (size_t r = d.user_ptr[u]; r < d.user_ptr[u + 1]; r++)
            keep[r] = u % 3 != 1;
    }
    assert_int_equal(rec_data_compact(&less, &d, keep), ERR_OK);
    for (size_t u = 0; u < PEOPLE; u++) {
        if (u % 3 == 1 || d.user_ptr[u] == d.user_ptr[u + 1])
            continue;
        assert_int_equal(less.user_key[at], d.user_key[u]);
        assert_int_equal(less.group_ptr[at + 1] - less.group_ptr[at], 3);
        assert_memory_equal(less.group + less.group_ptr[at], d.group + 3 * u,
                            3 * sizeof(*d.group));
        at++;
    }
    assert_int_equal(less.n_users, at);
    free(keep);
    rec_data_free(&less);
    rec_data_free(&d);
}

static struct rec_model *model_of(const char *ranker)
{
    static const char *const set[][2] = {
        {"base", "ease"}, {"also", "itemknn"}, {"candidates", "15"}};
    const struct rec_model_ops *ops;
    struct rec_model *m;

    assert_int_equal(rec_model_find("rerank", &ops), ERR_OK);
    assert_int_equal(rec_model_new(&m, ops), ERR_OK);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(opt_assign(ops->opts, m->opts, set[i][0], set[i][1]),
                         ERR_OK);
    assert_int_equal(opt_assign(ops->opts, m->opts, "ranker", ranker), ERR_OK);
    m->seed = 3;
    return m;
}

/* With --attributes a model hangs on them, answers strangers, and refuses
 * arrays that are damaged; without, they are nothing to it; and where there are
 * none, the option is refused. */
static void models_read_them_when_told_to(void **state)
{
    struct rec_data d = told();
    unsigned char digest[3][KEY_DIGEST_BYTES];
    struct rec_model *m;

    (void)state;
    for (int k = 0; k < 3; k++) {
        m = model_of("logistic");
        if (k > 0)
            assert_int_equal(
                opt_assign(m->ops->opts, m->opts, "attributes", "true"),
                ERR_OK);
        if (k == 2)
            d.group[1] = COMMON + 1; /* one person says something else */
        assert_int_equal(rec_model_fit(m, &d, NULL), ERR_OK);
        rec_model_digest(m, digest[k]);
        if (k == 1) {
            const uint32_t nobody = REC_NOBODY;
            const size_t ptr[2] = {0, d.user_ptr[1]};
            const struct rec_query q = {1, &nobody, ptr, d.item, NULL, NULL};
            float scores[ITEMS];
            uint32_t *who = rec_model_array(m, "who"), was = who[0];

            assert_int_equal(m->ops->score(m, &q, scores), ERR_OK);
            who[0] = 77;
            assert_int_equal(m->ops->ready(m), ERR_FORMAT);
            who[0] = was;
            assert_int_equal(m->ops->ready(m), ERR_OK);
        }
        rec_model_free(m);
    }
    assert_memory_not_equal(digest[0], digest[1], KEY_DIGEST_BYTES);
    assert_memory_not_equal(digest[1], digest[2], KEY_DIGEST_BYTES);
    rec_data_free(&d);
    d = case_data(PEOPLE, ITEMS, 0.3, false, 6);
    m = model_of("logistic");
    assert_int_equal(opt_assign(m->ops->opts, m->opts, "attributes", "true"),
                     ERR_OK);
    assert_int_equal(rec_model_fit(m, &d, NULL), ERR_ARG);
    assert_non_null(strstr(err_note(), "knows no attribute"));
    rec_model_free(m);
    rec_data_free(&d);
}

/* Whom an item suits hangs on the person's group alone: with attributes a
 * re-ranker finds it. */
static void groups_are_learnt(void **state)
{
    struct rec_data d = {.n_users = 300, .n_items = 40};
    double hits[2] = {0, 0};

    (void)state;
    d.user_key = mem_array(300, sizeof(*d.user_key));
    d.item_key = mem_array(40, sizeof(*d.item_key));
    d.user_ptr = mem_array(301, sizeof(*d.user_ptr));
    d.item = mem_array(300 * 40, sizeof(*d.item));
    d.group_ptr = mem_array(301, sizeof(*d.group_ptr));
    d.group = mem_array(300, sizeof(*d.group));
    assert_true(d.user_key && d.item_key && d.user_ptr && d.item &&
                d.group_ptr && d.group);
    for (size_t i = 0; i < 40; i++)
        d.item_key[i] = case_key(i, 40);
    for (size_t u = 0; u < 300; u++) {
        d.user_key[u] = case_key(u, 300);
        d.group[u] = COMMON + u % 2;
        d.group_ptr[u + 1] = u + 1;
        for (size_t i = 0; i < 40; i++) {
            const double p = i % 2 == u % 2 ? 0.2 : 0.02;

            if (rng_f64(9, RNG_SYNTH, u * 40 + i) < p)
                d.item[d.n_rows++] = (uint32_t)i;
        }
        d.user_ptr[u + 1] = d.n_rows;
    }
    for (int k = 0; k < 2; k++) {
        struct rec_model *m = model_of("logistic");

        assert_int_equal(opt_assign(m->ops->opts, m->opts, "base", "pop"),
                         ERR_OK);
        assert_int_equal(opt_assign(m->ops->opts, m->opts, "also", ""), ERR_OK);
        assert_int_equal(opt_assign(m->ops->opts, m->opts, "rate", "0.05"),
                         ERR_OK);
        assert_int_equal(opt_assign(m->ops->opts, m->opts, "candidates", "30"),
                         ERR_OK);
        if (k == 1)
            assert_int_equal(
                opt_assign(m->ops->opts, m->opts, "attributes", "true"),
                ERR_OK);
        assert_int_equal(rec_model_fit(m, &d, NULL), ERR_OK);
        for (uint32_t u = 0; u < 300; u++) {
            const size_t ptr[2] = {d.user_ptr[u], d.user_ptr[u + 1]};
            const struct rec_query q = {1, &u, ptr, d.item, NULL, NULL};
            float scores[40];
            size_t best = 40;

            if (ptr[0] == ptr[1])
                continue;
            assert_int_equal(m->ops->score(m, &q, scores), ERR_OK);
            for (size_t i = 0; i < 40; i++) {
                if (!rec_data_has(&d, u, (uint32_t)i) &&
                    (best == 40 || scores[i] > scores[best]))
                    best = i;
            }
            hits[k] += best % 2 == u % 2;
        }
        rec_model_free(m);
    }
    if (!(hits[1] > 280 && hits[0] < 220))
        fail_msg("of 300 people %g get an item of theirs with attributes, %g "
                 "without",
                 hits[1], hits[0]);
    rec_data_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features_are_counts),
        cmocka_unit_test(attributes_go_with_the_person),
        cmocka_unit_test(models_read_them_when_told_to),
        cmocka_unit_test(groups_are_learnt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
