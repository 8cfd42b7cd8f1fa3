/*
 * tests/test_seq.c - models of sequences in a world whose rule is known, and
 * that a person's vector hangs on their own rows alone; NeuMF against its
 * formula.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rec/metrics.h"
#include "rec/model.h"
#include "rec/rank.h"
#include "tests/rec_cases.h"

#define USERS 300
#define ITEMS 40
#define ROWS 12

static const char *const names[] = {"gru4rec", "caser", "sasrec", "bert4rec"};
#define NAMES (sizeof(names) / sizeof(names[0]))

/* Everybody begins somewhere and goes on by steps of seven; the numbers of
 * items do not tell the order, times do. */
static uint32_t nth(size_t u, size_t r)
{
    return (uint32_t)((u * 11 + r * 7) % ITEMS);
}

struct row {
    uint32_t item;
    int64_t time;
};

static int by_item(const void *a, const void *b)
{
    const struct row *x = a, *y = b;

    return (x->item > y->item) - (x->item < y->item);
}

static struct rec_data world(void)
{
    struct rec_data d = {.n_users = USERS, .n_items = ITEMS};

    d.user_key = mem_array(USERS, sizeof(*d.user_key));
    d.item_key = mem_array(ITEMS, sizeof(*d.item_key));
    d.user_ptr = mem_array(USERS + 1, sizeof(*d.user_ptr));
    d.item = mem_array(USERS * ROWS, sizeof(*d.item));
    d.time = mem_array(USERS * ROWS, sizeof(*d.time));
    assert_true(d.user_key && d.item_key && d.user_ptr && d.item && d.time);
    for (size_t i = 0; i < ITEMS; i++)
        d.item_key[i] = case_key(i, ITEMS);
    for (size_t u = 0; u < USERS; u++) {
        const size_t n = 4 + u % (ROWS - 3);
        struct row row[ROWS];

        d.user_key[u] = case_key(u, USERS);
        for (size_t r = 0; r < n; r++)
            row[r] = (struct row){nth(u, r), (int64_t)(1000 + r)};
        qsort(row, n, sizeof(row[0]), by_item);
        for (size_t r = 0; r < n; r++) {
            d.time[d.n_rows] = row[r].time;
            d.item[d.n_rows++] = row[r].item;
        }
        d.user_ptr[u + 1] = d.n_rows;
    }
    return d;
}

/* thin: names and values of further options, ended by NULL. */
static struct rec_model *train_thin(const char *name, const struct rec_data *d,
                                    const char *epochs, const char *negatives,
                                    const char *const *thin)
{
    const struct rec_model_ops *ops;
    struct rec_model *m;

    assert_int_equal(rec_model_find(name, &ops), ERR_OK);
    assert_int_equal(rec_model_new(&m, ops), ERR_OK);
    m->seed = 3;
    assert_int_equal(opt_assign(ops->opts, m->opts, "dim", "16"), ERR_OK);
    assert_int_equal(opt_assign(ops->opts, m->opts, "batch", "32"), ERR_OK);
    assert_int_equal(opt_assign(ops->opts, m->opts, "epochs", epochs), ERR_OK);
    assert_int_equal(opt_assign(ops->opts, m->opts, "negatives", negatives),
                     ERR_OK);
    assert_int_equal(opt_assign(ops->opts, m->opts, "lr", "0.01"), ERR_OK);
    if (strcmp(name, "caser") == 0) /* else the next three are as good */
        assert_int_equal(opt_assign(ops->opts, m->opts, "targets", "1"),
                         ERR_OK);
    if (strcmp(name, "ncf") != 0)
        assert_int_equal(opt_assign(ops->opts, m->opts, "drop", "0.1"), ERR_OK);
    for (; *thin != NULL; thin += 2)
        assert_int_equal(opt_assign(ops->opts, m->opts, thin[0], thin[1]),
                         ERR_OK);
    if (rec_model_fit(m, d, NULL) != ERR_OK)
        fail_msg("%s: %s", name, err_note());
    return m;
}

static struct rec_model *train(const char *name, const struct rec_data *d,
                               const char *epochs, const char *negatives)
{
    return train_thin(name, d, epochs, negatives, (const char *const[]){NULL});
}

#define ASKED 50

/* How many of those who went from 0, 1, ... on, two to ten rows, get the next
 * one first. */
static size_t right_guesses(const struct rec_model *m)
{
    uint32_t user[ASKED], item[ASKED * ROWS], first[ASKED];
    int64_t time[ASKED * ROWS];
    size_t ptr[ASKED + 1] = {0}, right = 0;
    const struct rec_query q = {ASKED, user, ptr, item, NULL, time};

    for (size_t s = 0; s < ASKED; s++) {
        const size_t n = 2 + s % 9;
        struct row row[ROWS];

        user[s] = REC_NOBODY;
        for (size_t r = 0; r < n; r++)
            row[r] = (struct row){nth(s, r), (int64_t)r};
        qsort(row, n, sizeof(row[0]), by_item);
        for (size_t r = 0; r < n; r++) {
            item[ptr[s] + r] = row[r].item;
            time[ptr[s] + r] = row[r].time;
        }
        ptr[s + 1] = ptr[s] + n;
    }
    assert_int_equal(rec_rank(m, &q, 1, true, first, NULL), ERR_OK);
    for (size_t s = 0; s < ASKED; s++)
        right += first[s] == nth(s, 2 + s % 9);
    return right;
}

/* Every item is as frequent as every other: only the order tells. */
static void the_next_row_is_found(void **state)
{
    static const char *const negatives[] = {"0", "10"};
    struct rec_data d = world();

    (void)state;
    for (size_t i = 0; i < 2 * NAMES; i++) {
        struct rec_model *m =
            train(names[i % NAMES], &d, i % NAMES == 3 ? "120" : "60",
                  negatives[i / NAMES]);
        const size_t right = right_guesses(m);

        if (right < 40)
            fail_msg("%s, %s negatives: %zu of 50", m->ops->name,
                     negatives[i / NAMES], right);
        rec_model_free(m);
    }
    rec_data_free(&d);
}

static size_t weights_of(const struct rec_model *m)
{
    size_t bytes = 0;

    for (size_t i = 3; i < m->n_arrays; i++) {
        if (strcmp(m->array[i].name, "items") != 0)
            bytes += m->array[i].rows * m->array[i].cols;
    }
    return bytes;
}

/* Half of the weights find it too: packed, in levels, or in a narrower network
 * (levels: the sparsest has a quarter). */
static void the_next_row_is_found_by_fewer_weights(void **state)
{
    static const char *const packed[] = {"sparsity", "0.5", "pattern",
                                         "shfl-bw:8", NULL};
    static const char *const levels[] = {
        "sparsity", "0.5", "pattern", "shfl-bw:8", "levels", "2", NULL};
    static const char *const narrow[] = {"sparsity", "0.4", "schedule", "chex",
                                         NULL};
    static const char *const *const how[] = {packed, levels, narrow};
    struct rec_data d = world();
    struct rec_model *whole = train("sasrec", &d, "1", "0");

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct rec_model *m = train_thin("sasrec", &d, "60", "0", how[i]);

        for (size_t level = 0; level <= (i == 1 ? 2 : 0); level++) {
            assert_int_equal(rec_model_set_level(m, level), ERR_OK);
            if (right_guesses(m) < 35)
                fail_msg("way %zu, level %zu: %zu of 50", i, level,
                         right_guesses(m));
        }
        assert_int_equal(rec_model_set_level(m, i == 1 ? 3 : 2), ERR_ARG);
        assert_true(weights_of(m) < weights_of(whole) * 9 / 10);
        rec_model_free(m);
    }
    rec_model_free(whole);
    rec_data_free(&d);
}

/* Alone, or with others of any length: the same bits. */
static void a_vector_is_a_persons_own(void **state)
{
    struct rec_data d = world();
    uint32_t user[USERS];

    (void)state;
    for (size_t u = 0; u < USERS; u++)
        user[u] = (uint32_t)u;
    for (size_t i = 0; i < NAMES; i++) {
        struct rec_model *m = train(names[i], &d, "1", "0");
        float *all = mem_array(USERS * 16, sizeof(*all)), one[16];
        const struct rec_query q = {USERS,  user, d.user_ptr,
                                    d.item, NULL, d.time};

        assert_int_equal(m->ops->embed(m, &q, all), ERR_OK);
        for (size_t u = 0; u < USERS; u += 17) {
            const struct rec_query alone = {1,      user + u, d.user_ptr + u,
                                            d.item, NULL,     d.time};

            assert_int_equal(m->ops->embed(m, &alone, one), ERR_OK);
            assert_memory_equal(one, all + u * 16, sizeof(one));
        }
        free(all);
        rec_model_free(m);
    }
    rec_data_free(&d);
}

/* The same rows in another order are another question. */
static void order_matters(void **state)
{
    struct rec_data d = world();
    const uint32_t nobody = REC_NOBODY, item[3] = {3, 9, 20};
    const int64_t up[3] = {1, 2, 3}, down[3] = {3, 2, 1};
    const size_t ptr[2] = {0, 3};

    (void)state;
    for (size_t i = 0; i < NAMES; i++) {
        struct rec_model *m = train(names[i], &d, "2", "0");
        const struct rec_query a = {1, &nobody, ptr, item, NULL, up};
        const struct rec_query b = {1, &nobody, ptr, item, NULL, down};
        const struct rec_query none = {1, &nobody, ptr, item, NULL, NULL};
        float x[16], y[16], z[16];

        assert_int_equal(m->ops->embed(m, &a, x), ERR_OK);
        assert_int_equal(m->ops->embed(m, &b, y), ERR_OK);
        assert_int_equal(m->ops->embed(m, &none, z), ERR_OK);
        assert_memory_not_equal(x, y, sizeof(x));
        assert_memory_equal(x, z, sizeof(x)); /* without times: as they are */
        rec_model_free(m);
    }
    rec_data_free(&d);
}

/* As many parameters as the options allow, and no more. */
static void options_at_their_limits_are_no_accident(void **state)
{
    static const struct {
        const char *model, *name, *value;
        enum err want;
    } tried[] = {{"sasrec", "blocks", "32", ERR_OK},
                 {"gru4rec", "layers", "8", ERR_OK},
                 {"caser", "length", "64", ERR_OK},
                 {"caser", "length", "65", ERR_ARG},
                 {"bert4rec", "heads", "3", ERR_ARG}};
    struct rec_data d = world();

    (void)state;
    for (size_t i = 0; i < sizeof(tried) / sizeof(tried[0]); i++) {
        const struct rec_model_ops *ops;
        struct rec_model *m;

        assert_int_equal(rec_model_find(tried[i].model, &ops), ERR_OK);
        assert_int_equal(rec_model_new(&m, ops), ERR_OK);
        assert_int_equal(opt_assign(ops->opts, m->opts, "dim", "4"), ERR_OK);
        assert_int_equal(opt_assign(ops->opts, m->opts, "batch", "32"), ERR_OK);
        assert_int_equal(opt_assign(ops->opts, m->opts, "length", "4"), ERR_OK);
        assert_int_equal(opt_assign(ops->opts, m->opts, "epochs", "1"), ERR_OK);
        assert_int_equal(
            opt_assign(ops->opts, m->opts, tried[i].name, tried[i].value),
            ERR_OK);
        assert_int_equal(rec_model_fit(m, &d, NULL), tried[i].want);
        rec_model_free(m);
    }
    rec_data_free(&d);
}

/* --- NeuMF
 * --------------------------------------------------------------------
 */

static double layer(const struct rec_model *m, const char *weight,
                    const char *bias, const double *x, size_t in, size_t out,
                    double *y)
{
    const float *w = rec_model_array(m, weight), *b = rec_model_array(m, bias);

    for (size_t k = 0; k < out; k++) {
        y[k] = (double)b[k];
        for (size_t j = 0; j < in; j++)
            y[k] += x[j] * (double)w[j * out + k];
        y[k] = y[k] > 0 ? y[k] : 0;
    }
    return y[0];
}

/* Equations 8 to 12 of the paper, in double. */
static double neumf(const struct rec_model *m, size_t u, size_t i)
{
    const float *user = (float *)rec_model_array(m, "users") + u * 32;
    const float *item = (float *)rec_model_array(m, "items") + i * 32;
    const float *out = rec_model_array(m, "out/weight");
    double x[32], h[16], g[8], f[4], sum = 0;

    for (size_t k = 0; k < 16; k++) {
        x[k] = (double)user[16 + k];
        x[16 + k] = (double)item[16 + k];
        sum += (double)user[k] * (double)item[k] * (double)out[k];
    }
    (void)layer(m, "m0/weight", "m0/bias", x, 32, 16, h);
    (void)layer(m, "m1/weight", "m1/bias", h, 16, 8, g);
    (void)layer(m, "m2/weight", "m2/bias", g, 8, 4, f);
    for (size_t k = 0; k < 4; k++)
        sum += f[k] * (double)out[16 + k];
    return sum;
}

static void ncf_scores_by_the_papers_formula(void **state)
{
    struct rec_data d = case_data(50, ITEMS, 0.3, false, 3);
    struct rec_model *m = train("ncf", &d, "3", "4");
    float *scores = mem_array(50 * ITEMS, sizeof(*scores));
    uint32_t user[50];
    const struct rec_query q = {50, user, d.user_ptr, d.item, NULL, NULL};

    (void)state;
    for (size_t u = 0; u < 50; u++)
        user[u] = (uint32_t)u;
    assert_int_equal(m->ops->score(m, &q, scores), ERR_OK);
    for (size_t u = 0; u < 50; u++) {
        for (size_t i = 0; i < ITEMS; i++) {
            const double want = neumf(m, u, i);

            if (fabs((double)scores[u * ITEMS + i] - want) >
                1e-5 * (1 + fabs(want)))
                fail_msg("%zu, %zu: %.7f, not %.7f", u, i,
                         (double)scores[u * ITEMS + i], want);
        }
    }
    free(scores);
    rec_model_free(m);
    rec_data_free(&d);
}

static bool same_weights(const struct rec_model *a, const struct rec_model *b)
{
    for (size_t i = 0; i < a->n_arrays; i++) {
        const struct sto_array *x = &a->array[i], *y = &b->array[i];

        if (x->type == STO_F32 &&
            memcmp(x->data, y->data, x->rows * x->cols * sizeof(float)) != 0)
            return false;
    }
    return a->n_arrays == b->n_arrays;
}

/* Whoever has more than six rows had the two earliest the other way round. */
static void swap_earliest(struct rec_data *d)
{
    for (size_t u = 0; u < d->n_users; u++) {
        const size_t from = d->user_ptr[u], to = d->user_ptr[u + 1];

        for (size_t r = from; r < to && to - from > 6; r++) {
            if (d->time[r] < 1002)
                d->time[r] = 2001 - d->time[r];
        }
    }
}

/* With --length 3, what somebody did before the latest rows is learnt from with
 * --older alone. */
static void older_rows_count_where_that_is_wanted(void **state)
{
    static const char *const name[] = {"gru4rec", "sasrec", "bert4rec"};
    static const char *const latest[] = {"length", "3", NULL};
    static const char *const all[] = {"length", "3", "older", "true", NULL};
    struct rec_data d = world(), swapped = world();

    (void)state;
    swap_earliest(&swapped);
    for (size_t i = 0; i < 3; i++) {
        struct rec_model *m[] = {
            train_thin(name[i], &d, "2", "0", latest),
            train_thin(name[i], &swapped, "2", "0", latest),
            train_thin(name[i], &d, "2", "0", all),
            train_thin(name[i], &swapped, "2", "0", all)};

        assert_true(same_weights(m[0], m[1]));
        assert_false(same_weights(m[0], m[2]));
        assert_false(same_weights(m[2], m[3]));
        for (size_t k = 0; k < 4; k++)
            rec_model_free(m[k]);
    }
    rec_data_free(&d);
    rec_data_free(&swapped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_row_is_found),
        cmocka_unit_test(the_next_row_is_found_by_fewer_weights),
        cmocka_unit_test(a_vector_is_a_persons_own),
        cmocka_unit_test(order_matters),
        cmocka_unit_test(older_rows_count_where_that_is_wanted),
        cmocka_unit_test(options_at_their_limits_are_no_accident),
        cmocka_unit_test(ncf_scores_by_the_papers_formula),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
