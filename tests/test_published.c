/*
 * tests/test_published.c - closed forms on real data against figures that
 * others measured.
 *
 * Data: the split of MovieLens-1M that Chen et al. (Recommendation unlearning,
 * WWW 2022) trained on, in $RECD_DATA/ml-1m-receraser or beside the sources.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/adjacency.h"
#include "rec/metrics.h"
#include "rec/model.h"
#include "tests/rec_cases.h"
#include "tests/store_fake.h"

static bool find_data(const char *file, char path[4096])
{
    const char *data = getenv("RECD_DATA"), *src = getenv("srcdir");

    if (data != NULL)
        (void)snprintf(path, 4096, "%s/ml-1m-receraser/%s", data, file);
    else
        (void)snprintf(path, 4096, "%s/../shared/data/ml-1m-receraser/%s",
                       src == NULL ? "." : src, file);
    return access(path, R_OK) == 0;
}

static struct rec_data train, test;

static void load(void)
{
    char a[4096], b[4096];
    struct pairs p = {0}, q = {0};

    if (train.n_rows > 0)
        return;
    if (!find_data("train.txt", a)) {
        print_message("no data (set RECD_DATA): ");
        skip();
    }
    assert_true(find_data("test.txt", b));
    pairs_read(&p, a);
    pairs_read(&q, b);
    train = pairs_data(&p, NULL);
    test = pairs_data(&q, &train);
    free(p.user);
    free(p.item);
    free(q.user);
    free(q.item);
}

static struct rec_report evaluated_two(const char *name, const char *option,
                                       const char *value, const char *other,
                                       const char *second)
{
    static const size_t cuts[3] = {10, 20, 50};
    const struct rec_model_ops *ops = NULL;
    struct rec_model *m = NULL;
    struct rec_report got;

    assert_int_equal(rec_model_find(name, &ops), ERR_OK);
    assert_int_equal(rec_model_new(&m, ops), ERR_OK);
    assert_int_equal(opt_assign(ops->opts, m->opts, option, value), ERR_OK);
    if (other != NULL)
        assert_int_equal(opt_assign(ops->opts, m->opts, other, second), ERR_OK);
    assert_int_equal(rec_model_fit(m, &train, NULL), ERR_OK);
    assert_int_equal(rec_evaluate(m, &train, &test, cuts, 3, &got), ERR_OK);
    rec_model_free(m);
    return got;
}

static struct rec_report evaluated(const char *name, const char *option,
                                   const char *value)
{
    return evaluated_two(name, option, value, NULL, NULL);
}

/* An independent implementation (numpy, ridge 1200) on the same files. */
static void ease_on_movielens_gives_the_figures_of_another_program(void **state)
{
    static const double want[3][2] = {
        {.1616, .3659}, {.2499, .3580}, {.4086, .3849}};
    struct rec_report got;

    (void)state;
    load();
    got = evaluated("ease", "reg", "1200");
    assert_int_equal(got.n_users, 6034);
    for (size_t c = 0; c < 3; c++) {
        assert_true(fabs(got.value[c][REC_RECALL] - want[c][0]) < 1.01e-4);
        assert_true(fabs(got.value[c][REC_NDCG] - want[c][1]) < 1.01e-4);
    }
}

/* Full retraining of RecEraser's best base model, all figures of its table. */
static void weighed_ease_is_above_the_best_that_receraser_retrains(void **state)
{
    struct rec_report got;

    (void)state;
    load();
    got = evaluated_two("ease", "reg", "73", "user-exponent", "0.5");
    assert_true(got.value[0][REC_RECALL] > .1592);
    assert_true(got.value[1][REC_RECALL] > .2507);
    assert_true(got.value[2][REC_RECALL] > .4165);
    assert_true(got.value[0][REC_NDCG] > .3546);
    assert_true(got.value[1][REC_NDCG] > .3509);
}

static void ease_beats_itemknn_on_movielens(void **state)
{
    (void)state;
    load();
    const struct rec_report knn = evaluated("itemknn", "item-exponent", "0.5");
    const struct rec_report ease = evaluated("ease", "reg", "0");

    assert_true(knn.value[1][REC_RECALL] > .21);
    assert_true(ease.value[1][REC_RECALL] > .25);
}

static int teardown(void **state)
{
    (void)state;
    rec_data_free(&train);
    rec_data_free(&test);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            ease_on_movielens_gives_the_figures_of_another_program),
        cmocka_unit_test(
            weighed_ease_is_above_the_best_that_receraser_retrains),
        cmocka_unit_test(ease_beats_itemknn_on_movielens),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
