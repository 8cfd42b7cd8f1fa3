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

#include "base/key.h"
#include "kernels/sort.h"
#include "rec/metrics.h"
#include "rec/model.h"
#include "tests/rec_cases.h"
#include "tests/store_fake.h"

/* One `user item item ...` line after the other: rows of numbers. */
struct pairs {
    uint32_t *user, *item;
    size_t n, user_room, item_room;
};

static bool open_data(const char *file, FILE **out)
{
    const char *data = getenv("RECD_DATA"), *src = getenv("srcdir");
    char path[4096];

    if (data != NULL)
        (void)snprintf(path, sizeof(path), "%s/ml-1m-receraser/%s", data, file);
    else
        (void)snprintf(path, sizeof(path),
                       "%s/../shared/data/ml-1m-receraser/%s",
                       src == NULL ? "." : src, file);
    *out = fopen(path, "r");
    return *out != NULL;
}

static void pairs_read(struct pairs *p, FILE *f)
{
    char *line = NULL;
    size_t room = 0;

    while (getline(&line, &room, f) > 0) {
        char *at = line, *end;
        const unsigned long u = strtoul(at, &end, 10);

        for (at = end; at > line; at = end) {
            const unsigned long i = strtoul(at, &end, 10);

            if (end == at)
                break;
            assert_int_equal(mem_grow(&p->user, &p->user_room, p->n + 1, 4),
                             ERR_OK);
            assert_int_equal(mem_grow(&p->item, &p->item_room, p->n + 1, 4),
                             ERR_OK);
            p->user[p->n] = (uint32_t)u;
            p->item[p->n++] = (uint32_t)i;
        }
    }
    free(line);
    fclose(f);
}

static uint64_t number_key(uint32_t number)
{
    char text[16];
    const int n = snprintf(text, sizeof(text), "%u", number);

    return key_of(text, (size_t)n);
}

/* The ascending distinct keys of numbers[0..n). */
static uint64_t *keys_of(const uint32_t *number, size_t n, size_t *n_keys)
{
    uint64_t *key = mem_array(n, 8), *tmp = mem_array(n, 8);

    for (size_t r = 0; r < n; r++)
        key[r] = number_key(number[r]);
    krn_sort_u64(key, NULL, tmp, NULL, n);
    *n_keys = 0;
    for (size_t r = 0; r < n; r++) {
        if (r == 0 || key[r] != key[r - 1])
            key[(*n_keys)++] = key[r];
    }
    free(tmp);
    return key;
}

/* The rows of p in the universe of `like` (NULL: their own), sorted. */
static struct rec_data pairs_data(const struct pairs *p,
                                  const struct rec_data *like)
{
    struct rec_data d = {0};
    uint64_t *cell = mem_array(p->n, 8), *tmp = mem_array(p->n, 8);
    size_t n = 0;

    if (like != NULL) {
        assert_int_equal(rec_data_copy_keys(&d, like->user_key, like->n_users,
                                            like->item_key, like->n_items),
                         ERR_OK);
    } else {
        d.user_key = keys_of(p->user, p->n, &d.n_users);
        d.item_key = keys_of(p->item, p->n, &d.n_items);
    }
    d.lost = mem_array(d.n_users, 4);
    for (size_t r = 0; r < p->n; r++) {
        const uint64_t u =
            rec_key_find(d.user_key, d.n_users, number_key(p->user[r]));
        const uint32_t i =
            rec_key_find(d.item_key, d.n_items, number_key(p->item[r]));

        if (u == REC_NOBODY)
            continue;
        if (i == REC_NOBODY)
            d.lost[u]++;
        else
            cell[n++] = u << 32 | i;
    }
    krn_sort_u64(cell, NULL, tmp, NULL, n);
    d.item = mem_array(n, 4);
    d.user_ptr = mem_array(d.n_users + 1, sizeof(size_t));
    for (size_t r = 0; r < n; r++) {
        if (r > 0 && cell[r] == cell[r - 1])
            continue;
        d.item[d.n_rows++] = (uint32_t)cell[r];
        d.user_ptr[(cell[r] >> 32) + 1]++;
    }
    for (size_t u = 0; u < d.n_users; u++)
        d.user_ptr[u + 1] += d.user_ptr[u];
    free(cell);
    free(tmp);
    return d;
}

static struct rec_data train, test;

static void load(void)
{
    FILE *a, *b;
    struct pairs p = {0}, q = {0};

    if (train.n_rows > 0)
        return;
    if (!open_data("train.txt", &a)) {
        print_message("no data (set RECD_DATA): ");
        skip();
    }
    assert_true(open_data("test.txt", &b));
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
