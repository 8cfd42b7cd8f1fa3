/* tests/test_rank.c - lists against a full sort, by both ways of scoring. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/par.h"
#include "rec/rank.h"
#include "tests/rec_cases.h"

#define D 7

static float user_vec(size_t u, size_t j)
{
    return (float)((u * 5 + j * 3) % 7) - 3; /* whole numbers: many ties */
}

static float items[3000 * D];

static enum err embed(const struct rec_model *m, const struct rec_query *q,
                      float *vec)
{
    (void)m;
    for (size_t p = 0; p < q->n; p++) {
        for (size_t j = 0; j < D; j++)
            vec[p * D + j] = user_vec(q->user[p], j);
    }
    return ERR_OK;
}

static const float *item_vectors(const struct rec_model *m, size_t *d)
{
    (void)m;
    *d = D;
    return items;
}

static float one_score(size_t u, size_t i)
{
    float s = 0;

    for (size_t j = 0; j < D; j++)
        s = fmaf(user_vec(u, j), items[i * D + j], s);
    return s;
}

static enum err whole_rows(const struct rec_model *m, const struct rec_query *q,
                           float *scores)
{
    for (size_t p = 0; p < q->n; p++) {
        for (size_t i = 0; i < m->n_items; i++)
            scores[p * m->n_items + i] = one_score(q->user[p], i);
    }
    return ERR_OK;
}

static enum err refuses(const struct rec_model *m, const struct rec_query *q,
                        float *scores)
{
    (void)m;
    (void)q;
    (void)scores;
    return err_set(ERR_NUM, "no score today");
}

static const struct rec_model_ops products = {
    .name = "products", .embed = embed, .item_vectors = item_vectors};
static const struct rec_model_ops rows = {.name = "rows", .score = whole_rows};
static const struct rec_model_ops failing = {.name = "bad", .score = refuses};

struct cell {
    float score;
    uint32_t id;
};

static int by_order(const void *a, const void *b)
{
    const struct cell *x = a, *y = b;

    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

struct world {
    struct rec_data d;
    uint32_t *popularity;
    struct rec_model m;
};

static struct world world_new(size_t users, size_t n_items, bool with_nan)
{
    struct world w = {.d = case_data(users, n_items, 0.05, false, n_items)};

    for (size_t x = 0; x < n_items * D; x++)
        items[x] = (float)((x * x + x / 3) % 5) - 2;
    for (size_t i = 0; with_nan && i < n_items; i += 11)
        items[i * D] = NAN;
    w.popularity = mem_array(n_items, sizeof(uint32_t));
    for (size_t r = 0; r < w.d.n_rows; r++)
        w.popularity[w.d.item[r]]++;
    w.m = (struct rec_model){
        .n_users = users, .n_items = n_items, .popularity = w.popularity};
    return w;
}

static void world_free(struct world *w)
{
    rec_data_free(&w->d);
    free(w->popularity);
}

static size_t slow_order(const struct world *w, size_t u, bool hide,
                         struct cell *out)
{
    const size_t first = w->d.user_ptr[u], end = w->d.user_ptr[u + 1];
    size_t n = 0;

    for (size_t i = 0, r = first; i < w->d.n_items; i++) {
        const bool seen = r < end && w->d.item[r] == i;
        float s = first == end ? (float)w->popularity[i] : one_score(u, i);

        r += seen;
        if (seen && hide)
            continue;
        s = s != s ? -INFINITY : s;
        out[n++] = (struct cell){s, (uint32_t)i};
    }
    qsort(out, n, sizeof(*out), by_order);
    return n;
}

static void check_lists(struct world *w, const struct rec_model_ops *ops,
                        size_t k, bool hide)
{
    const size_t n = w->d.n_users;
    uint32_t *item = mem_array(n * k, sizeof(*item));
    float *score = mem_array(n * k, sizeof(*score));
    struct cell *want = mem_array(w->d.n_items, sizeof(*want));

    w->m.ops = ops;
    assert_int_equal(rec_rank_users(&w->m, &w->d, 0, n, k, hide, item, score),
                     ERR_OK);
    for (size_t u = 0; u < n; u++) {
        const size_t have = slow_order(w, u, hide, want);

        for (size_t r = 0; r < k; r++) {
            const uint32_t id = r < have ? want[r].id : REC_NOBODY;
            const float s = r < have ? want[r].score : -INFINITY;

            if (item[u * k + r] != id || score[u * k + r] != s)
                fail_msg("%s, %zu items, k %zu, person %zu, rank %zu: item %u "
                         "score %g, not %u and %g",
                         ops->name, w->d.n_items, k, u, r, item[u * k + r],
                         (double)score[u * k + r], id, (double)s);
        }
    }
    free(item);
    free(score);
    free(want);
}

static void lists_equal_a_full_sort(void **state)
{
    static const size_t shape[][3] = {/* people, items, k */
                                      {1, 1, 1},      {30, 3, 20},
                                      {113, 511, 5},  {7, 512, 600},
                                      {40, 1025, 20}, {300, 3000, 100}};

    (void)state;
    for (size_t c = 0; c < sizeof(shape) / sizeof(shape[0]); c++) {
        for (int nan = 0; nan < 2; nan++) {
            struct world w = world_new(shape[c][0], shape[c][1], nan);

            check_lists(&w, &products, shape[c][2], true);
            check_lists(&w, &products, shape[c][2], false);
            check_lists(&w, &rows, shape[c][2], true);
            check_lists(&w, &rows, shape[c][2], false);
            world_free(&w);
        }
    }
}

static void lists_do_not_depend_on_threads(void **state)
{
    static const size_t threads[] = {1, 2, 3, 7};
    struct world w = world_new(300, 2000, false);

    (void)state;
    for (size_t t = 0; t < 4; t++) {
        par_set_threads(threads[t]);
        check_lists(&w, &products, 20, true);
        check_lists(&w, &rows, 20, true);
    }
    par_set_threads(0);
    world_free(&w);
}

static void no_history_means_popularity_order(void **state)
{
    struct world w = world_new(10, 200, false);
    const uint32_t user[1] = {REC_NOBODY};
    const size_t ptr[2] = {0, 0};
    const struct rec_query q = {1, user, ptr, NULL, NULL, NULL};
    uint32_t item[200];

    (void)state;
    w.m.ops = &rows;
    assert_int_equal(rec_rank(&w.m, &q, 200, true, item, NULL), ERR_OK);
    for (size_t r = 1; r < 200; r++) {
        const uint32_t a = w.popularity[item[r - 1]];
        const uint32_t b = w.popularity[item[r]];

        assert_true(a > b || (a == b && item[r - 1] < item[r]));
    }
    world_free(&w);
}

static void nobody_and_nothing_are_no_work(void **state)
{
    const struct rec_query none = {0, NULL, NULL, NULL, NULL, NULL};
    struct world w = world_new(3, 5, false);

    (void)state;
    w.m.ops = &rows;
    assert_int_equal(rec_rank(&w.m, &none, 5, true, NULL, NULL), ERR_OK);
    assert_int_equal(rec_rank_users(&w.m, &w.d, 0, 3, 0, true, NULL, NULL),
                     ERR_OK);
    world_free(&w);
}

static void an_error_of_the_model_comes_through(void **state)
{
    struct world w = world_new(10, 20, false);
    uint32_t item[100];

    (void)state;
    w.m.ops = &failing;
    assert_int_equal(rec_rank_users(&w.m, &w.d, 0, 10, 10, true, item, NULL),
                     ERR_NUM);
    assert_string_equal(err_note(), "no score today");
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_equal_a_full_sort),
        cmocka_unit_test(lists_do_not_depend_on_threads),
        cmocka_unit_test(no_history_means_popularity_order),
        cmocka_unit_test(nobody_and_nothing_are_no_work),
        cmocka_unit_test(an_error_of_the_model_comes_through),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
