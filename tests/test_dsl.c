/*
 * tests/test_dsl.c - vectors that are trained under a budget, and how they are
 * stored.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/par.h"
#include "base/rng.h"
#include "nn/optim.h"
#include "rec/dsl.h"
#include "rec/edges.h"
#include "rec/holes.h"
#include "rec/stage.h"
#include "tests/rec_cases.h"
#include "tests/store_fake.h"

enum { ROWS = 40, DIM = 12, CELLS = ROWS * DIM, STEPS = 400 };

static struct rec_dsl dsl_new(const char *schedule, size_t rows,
                              struct mem_scratch *s)
{
    const struct rec_dsl_opts o = {0.5, schedule};
    struct rec_dsl t;

    assert_int_equal(rec_dsl_init(&t, &o, STEPS, rows, DIM, s), ERR_OK);
    return t;
}

static size_t count(const struct rec_dsl *t)
{
    size_t n = 0;

    for (size_t i = 0; i < t->rows * t->dim; i++)
        n += t->mask[i];
    return n;
}

struct cell {
    float size;
    size_t at;
};

static int by_size(const void *a, const void *b)
{
    const struct cell *x = a, *y = b;

    if (x->size < y->size || x->size > y->size)
        return x->size < y->size ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* The last step that moves weights. */
#define LAST (STEPS * 9 / 10 + 1)

/* Weights that are there behind a step: from a half to nine tenths of the
 * steps they fall to a half with the cube of what is left of that time. */
static size_t allowed(size_t step)
{
    const double part = ((double)step - STEPS * 0.5) / (STEPS * 0.4);
    const double left = part < 0 ? 1 : part > 1 ? 0 : pow(1 - part, 3);

    return CELLS / 2 + (size_t)(left * CELLS / 2);
}

static bool is_move(size_t step)
{
    return step == LAST || (step < LAST && step % (STEPS / REC_DSL_MOVES) == 0);
}

/* The mask behind a step, by sorting: what is allowed, after a share of what
 * was there has been replaced. */
static void expect(const struct rec_dsl *t, const float *x, uint8_t *mask)
{
    const uint64_t step = t->step + 1;
    const struct nn_optim_opt share = {
        .lr = REC_DSL_FIRST, .rate = NN_RATE_COSINE, .period = LAST};
    struct cell small[CELLS], large[CELLS];
    size_t n = 0, gone = 0, go = 0, come = 0;

    for (size_t i = 0; i < CELLS; i++) {
        if (t->mask[i])
            small[n++] = (struct cell){fabsf(x[i]), i};
        else
            large[gone++] = (struct cell){-fabsf(t->sum[i]), i};
    }
    qsort(small, n, sizeof(*small), by_size);
    qsort(large, gone, sizeof(*large), by_size);
    if (is_move(step) && allowed(step) < CELLS) {
        come = (size_t)(nn_optim_lr(&share, step) * (double)n);
        come = come < gone ? come : gone;
        go = n - allowed(step) + come;
    }
    memcpy(mask, t->mask, CELLS);
    for (size_t i = 0; i < go; i++)
        mask[small[i].at] = 0;
    for (size_t i = 0; i < come; i++)
        mask[large[i].at] = 1;
}

/* The smallest weights go, those with the largest gradients come, equal ones in
 * order; the budget is met, and what went is zero. */
static void weights_move_as_sorting_says(void **state)
{
    struct mem_scratch s = {0};
    struct rec_dsl t = dsl_new("dsl", ROWS, &s);
    float x[CELLS], g[CELLS], m1[CELLS], m2[CELLS];
    uint8_t want[CELLS];
    size_t moved = 0;

    (void)state;
    for (size_t i = 0; i < CELLS; i++)
        x[i] = (float)(i * 37 % 19) - 9;
    for (size_t step = 1; step <= STEPS; step++) {
        for (size_t i = 0; i < CELLS; i++) {
            g[i] = (float)((i * 53 + step * 7) % 11) - 5;
            m1[i] = 1;
            m2[i] = t.mask[i] ? 3 : 0;
        }
        rec_dsl_take(&t, 0, ROWS, g);
        for (size_t i = 0; i < CELLS; i++) {
            assert_true(t.mask[i] || g[i] == 0);
            x[i] -= .1f * g[i];
        }
        expect(&t, x, want);
        moved += memcmp(want, t.mask, CELLS) != 0;
        rec_dsl_step(&t, &(struct rec_dsl_side){x, m1, m2});
        assert_memory_equal(t.mask, want, CELLS);
        if (is_move(step))
            assert_true(count(&t) == allowed(step));
        for (size_t i = 0; i < CELLS; i++) {
            assert_true(t.mask[i] || x[i] == 0);
            assert_true(m2[i] == (t.mask[i] ? 3 : 0));
        }
    }
    assert_true(moved > 10);
    assert_true(count(&t) == CELLS / 2);
    mem_drop(&s);
}

static void once_keeps_the_largest(void **state)
{
    struct mem_scratch s = {0};
    struct rec_dsl t = dsl_new("once", ROWS, &s);
    float x[CELLS], m1[CELLS] = {0};

    (void)state;
    for (size_t i = 0; i < CELLS; i++)
        x[i] = (float)((i * 101) % CELLS);
    for (size_t step = 1; step <= STEPS; step++) {
        rec_dsl_step(&t, &(struct rec_dsl_side){x, m1, NULL});
        assert_true(count(&t) == (step < STEPS / 2 ? CELLS : CELLS / 2));
    }
    for (size_t i = 0; i < CELLS; i++)
        assert_true(t.mask[i] == ((i * 101) % CELLS >= CELLS / 2));
    mem_drop(&s);
}

/* One step of a block of two tables is that of each. */
static void both_tables_are_each(void **state)
{
    struct mem_scratch s = {0};
    struct rec_dsl both[2] = {dsl_new("dsl", 15, &s), dsl_new("dsl", 25, &s)};
    struct rec_dsl each[2] = {dsl_new("dsl", 15, &s), dsl_new("dsl", 25, &s)};
    float a[CELLS], b[CELLS], m[4][CELLS] = {{0}};
    const size_t items = (size_t)15 * DIM;

    (void)state;
    for (size_t step = 1; step <= STEPS; step++) {
        for (size_t i = 0; i < CELLS; i++)
            a[i] = b[i] = (float)(i * 31 % 17) - 8;
        for (size_t first = 0; first < ROWS; first += 7)
            rec_dsl_take_both(both, first, ROWS - first < 7 ? ROWS - first : 7,
                              a + first * DIM);
        rec_dsl_take(&each[0], 0, 15, b);
        rec_dsl_take(&each[1], 0, 25, b + items);
        assert_memory_equal(a, b, sizeof(a));
        assert_int_equal(rec_dsl_step_both(both, a, m[0], m[1]), ERR_OK);
        const struct rec_dsl_side side[2] = {
            {b, m[2], m[3]},
            {b + items, m[2] + items, m[3] + items},
        };

        assert_int_equal(rec_dsl_steps(each, side), ERR_OK);
        assert_memory_equal(a, b, sizeof(a));
        assert_memory_equal(m[1], m[3], sizeof(m[1]));
    }
    mem_drop(&s);
}

static double score_of(const float *x, size_t user, size_t item)
{
    double sum = 0;

    for (size_t k = 0; k < DIM; k++)
        sum += (double)x[user * DIM + k] * (double)x[item * DIM + k];
    return sum;
}

/* Vectors of rank DIM / 2 whose numbers are all of a size: brought to other
 * axes before half of them go, they lose nothing.  The optimiser keeps the mean
 * square. */
static void check_turned(enum rec_dsl_axes axes)
{
    enum { USERS = 15 };
    struct mem_scratch s = {0};
    struct rec_dsl t[2] = {dsl_new("once", USERS, &s),
                           dsl_new("once", ROWS - USERS, &s)};
    float x[CELLS] = {0}, was[CELLS], m1[CELLS], m2[CELLS];
    size_t kept = 0;

    t[0].axes = axes;
    for (size_t i = 0; i < CELLS; i++) { /* sums of six fixed directions */
        for (size_t k = 0; k < DIM / 2; k++)
            x[i] += (float)rng_normal(1, RNG_INIT, i / DIM * DIM + k) *
                    (float)rng_normal(2, RNG_INIT, k * DIM + i % DIM);
        m1[i] = 1;
        m2[i] = (float)(i % DIM);
    }
    memcpy(was, x, sizeof(was));
    for (size_t step = 1; step <= STEPS / 2; step++)
        assert_int_equal(rec_dsl_step_both(t, x, m1, m2), ERR_OK);
    for (size_t i = 0; i < CELLS; i++) {
        kept += x[i] < 0 || x[i] > 0;
        assert_true(m1[i] == 0);
        assert_true(m2[i] == (x[i] < 0 || x[i] > 0 ? (DIM - 1) / 2.0f : 0));
    }
    assert_true(kept == CELLS / 2);
    for (size_t u = 0; u < USERS; u++) {
        for (size_t i = USERS; i < ROWS; i++)
            assert_true(fabs(score_of(x, u, i) - score_of(was, u, i)) < 1e-3);
    }
    mem_drop(&s);
}

static void vectors_are_turned_before_numbers_go(void **state)
{
    (void)state;
    check_turned(REC_DSL_ALIKE);
    check_turned(REC_DSL_ITEMS);
}

/* Where numbers are dropped in training, those that stay are what they were. */
static void vectors_stay_where_they_are_told_to(void **state)
{
    enum { USERS = 15 };
    struct mem_scratch s = {0};
    struct rec_dsl t[2] = {dsl_new("once", USERS, &s),
                           dsl_new("once", ROWS - USERS, &s)};
    float x[CELLS], was[CELLS], m1[CELLS] = {0}, m2[CELLS] = {0};

    (void)state;
    t[0].axes = REC_DSL_STAY;
    for (size_t i = 0; i < CELLS; i++)
        x[i] = was[i] = (float)rng_normal(1, RNG_INIT, i);
    for (size_t step = 1; step <= STEPS / 2; step++)
        assert_int_equal(rec_dsl_step_both(t, x, m1, m2), ERR_OK);
    for (size_t i = 0; i < CELLS; i++)
        assert_true(x[i] * (was[i] - x[i]) == 0); /* it, or nothing */
    mem_drop(&s);
}

/* What goes does least in scores: |x| times the size of its coordinate on the
 * other side, and for items the fourth root of one more than their rows.  Items
 * are made so that their coordinates are principal axes already. */
static void what_does_little_in_scores_goes(void **state)
{
    enum { PEOPLE = 20, ITEMS = 16, D = 8, ALL = PEOPLE + ITEMS };
    struct mem_scratch s = {0};
    struct rec_data d = case_data(PEOPLE, ITEMS, 0.3, false, 3);
    const struct rec_dsl_opts o = {0.5, "once"};
    struct rec_dsl t[2];
    float x[ALL * D], was[ALL * D], m1[ALL * D] = {0}, m2[ALL * D] = {0};
    double worth[ALL * D], size[2][D] = {{0}}, met[ITEMS] = {0};

    (void)state;
    for (size_t r = 0; r < d.n_rows; r++)
        met[d.item[r]]++;
    for (size_t i = 0; i < (size_t)ALL * D; i++) {
        const size_t row = i / D, k = i % D, item = row - PEOPLE;
        const bool odd =
            row >= PEOPLE && __builtin_parityll(item & (k * 2 + 1));

        x[i] = row < PEOPLE ? (float)rng_normal(1, RNG_INIT, i)
                            : (odd ? -1.0f : 1.0f) / (float)(k + 1);
        was[i] = x[i];
        size[row >= PEOPLE][k] += (double)x[i] * (double)x[i];
    }
    for (size_t i = 0; i < (size_t)ALL * D; i++) {
        const bool of_item = i / D >= PEOPLE;

        worth[i] = fabs((double)was[i]) * sqrt(size[!of_item][i % D]) *
                   (of_item ? pow(met[i / D - PEOPLE] + 1, 0.25) : 1);
    }
    assert_int_equal(rec_dsl_init_both(t, &o, REC_DSL_ITEMS, 2, &d, D, &s),
                     ERR_OK);
    assert_int_equal(rec_dsl_step_both(t, x, m1, m2), ERR_OK);
    for (size_t side = 0; side < 2; side++) {
        const size_t from = side * PEOPLE * D;
        const size_t to = side == 0 ? PEOPLE * D : ALL * D;
        double least = 1e9, most = 0;
        size_t kept = 0;

        for (size_t i = from; i < to; i++) {
            const bool there = x[i] < 0 || x[i] > 0;

            kept += there;
            least = there && worth[i] < least ? worth[i] : least;
            most = !there && worth[i] > most ? worth[i] : most;
            assert_true(!there || fabsf(fabsf(x[i]) - fabsf(was[i])) < 1e-5f);
        }
        assert_true(kept == (to - from) / 2);
        assert_true(least > most * 0.9999);
    }
    mem_drop(&s);
    rec_data_free(&d);
}

/* --- storing ---------------------------------------------------------------
 */

static void rows_come_back_and_damage_is_seen(void **state)
{
    struct rec_data d = case_data(60, 300, 0.1, false, 4), back;
    const size_t n = rec_edges_bytes(&d);
    uint8_t *bytes = malloc(n + 1);

    (void)state;
    assert_non_null(bytes);
    rec_edges_store(&d, bytes);
    assert_true(n < 2 * d.n_rows + 60);
    assert_int_equal(rec_edges_open(&back, bytes, n, 60, 300), ERR_OK);
    assert_true(back.n_rows == d.n_rows);
    assert_memory_equal(back.item, d.item, d.n_rows * sizeof(*d.item));
    assert_memory_equal(back.user_ptr, d.user_ptr, 61 * sizeof(*d.user_ptr));
    rec_data_free(&back);
    bytes[n] = 0;
    assert_int_equal(rec_edges_open(&back, bytes, n + 1, 60, 300), ERR_FORMAT);
    assert_int_equal(rec_edges_open(&back, bytes, n, 60, 200), ERR_FORMAT);
    for (size_t cut = 0; cut < n; cut += 7)
        assert_int_equal(rec_edges_open(&back, bytes, cut, 60, 300),
                         ERR_FORMAT);
    for (size_t i = 0; i < n; i++) { /* refused, or rows that are in range */
        bytes[i] ^= 0x55;
        if (rec_edges_open(&back, bytes, n, 60, 300) == ERR_OK) {
            for (size_t r = 0; r < back.n_rows; r++)
                assert_true(back.item[r] < 300);
            rec_data_free(&back);
        }
        bytes[i] ^= 0x55;
    }
    free(bytes);
    rec_data_free(&d);
}

/* The model's arrays with holes are its vectors, in half of the bytes. */
static void tables_with_holes_come_back(void **state)
{
    static const struct rec_holes h = {"users.mask", "users.kept"};
    struct rec_data d = case_data(60, 30, 0.1, false, 4);
    struct rec_array_spec spec[2];
    const struct rec_model_ops *ops;
    struct rec_model *m;
    float x[60 * 13], back[60 * 13];

    (void)state;
    for (size_t i = 0; i < (size_t)60 * 13; i++)
        x[i] = i * 7 % 5 < 2 ? (float)i - 100 : 0;
    assert_int_equal(rec_model_find("bpr", &ops), ERR_OK);
    assert_int_equal(rec_model_new(&m, ops), ERR_OK);
    rec_holes_spec(&h, x, 60, 13, spec);
    assert_int_equal(rec_model_alloc(m, &d, spec, 2), ERR_OK);
    rec_holes_store(&h, m, x, 60, 13);
    assert_true(rec_holes_valid(&h, m, 60, 13));
    rec_holes_open(&h, m, 60, 13, back);
    assert_memory_equal(x, back, sizeof(x));
    uint8_t *mask = rec_model_array(m, "users.mask");

    mask[1] |= 0x80; /* coordinate 15 of 13 */
    assert_false(rec_holes_valid(&h, m, 60, 13));
    mask[1] &= 0x7f;
    mask[0] ^= 1; /* one number more or less */
    assert_false(rec_holes_valid(&h, m, 60, 13));
    rec_model_free(m);
    rec_data_free(&d);
}

/* The tables of a network are pruned by an optimiser that is not theirs alone:
 * half of their numbers are there, the layers are whole, and the model answers
 * as before when its tables are opened again. */
static void a_network_keeps_its_layers(void **state)
{
    struct rec_data d = case_data(60, 30, 0.2, false, 4);
    const size_t ptr[2] = {0, d.user_ptr[1]};
    const uint32_t user = 0;
    const struct rec_query q = {1, &user, ptr, d.item, NULL, NULL};
    const struct rec_model_ops *ops;
    struct rec_model *m;
    float was[30], now[30];

    (void)state;
    assert_int_equal(rec_model_find("ncf", &ops), ERR_OK);
    assert_int_equal(rec_model_new(&m, ops), ERR_OK);
    assert_int_equal(opt_assign(ops->opts, m->opts, "sparsity", "0.5"), ERR_OK);
    assert_int_equal(opt_assign(ops->opts, m->opts, "dim", "8"), ERR_OK);
    assert_int_equal(opt_assign(ops->opts, m->opts, "batch", "32"), ERR_OK);
    if (rec_model_fit(m, &d, NULL) != ERR_OK)
        fail_msg("%s", err_note());
    assert_true(rec_model_has(m, "users.kept", STO_F32, 60 * 16 / 2, 1));
    assert_true(rec_model_has(m, "items.kept", STO_F32, 30 * 16 / 2, 1));
    assert_true(rec_model_has(m, "m0/weight", STO_F32, 16, 8));
    assert_true(rec_model_cols(m, "users") == 0);
    assert_int_equal(ops->score(m, &q, was), ERR_OK);
    assert_int_equal(ops->ready(m), ERR_OK);
    assert_int_equal(ops->score(m, &q, now), ERR_OK);
    assert_memory_equal(was, now, sizeof(was));
    assert_true(ops->valid(m));
    rec_model_free(m);
    rec_data_free(&d);
}

/* A file with whole tables of one width and tables with holes of another. */
static void tables_of_two_widths_are_refused(void **state)
{
    static const struct rec_holes users = {"users.mask", "users.kept"};
    static const struct rec_holes items = {"items.mask", "items.kept"};
    static const float zero[60 * 8];
    struct rec_data d = case_data(60, 30, 0.2, false, 4);
    struct rec_array_spec spec[] = {
        {"map", STO_F32, 8, 8},         {NULL, STO_U8, 0, 0},
        {NULL, STO_F32, 0, 0},          {NULL, STO_U8, 0, 0},
        {NULL, STO_F32, 0, 0},          {"items", STO_F32, 30, 16},
        {"out/weight", STO_F32, 10, 1}, {"m0/weight", STO_F32, 16, 8},
        {"m0/bias", STO_F32, 1, 8},     {"m1/weight", STO_F32, 8, 4},
        {"m1/bias", STO_F32, 1, 4},     {"m2/weight", STO_F32, 4, 2},
        {"m2/bias", STO_F32, 1, 2}};
    const struct rec_model_ops *ops;
    struct rec_model *m;

    (void)state;
    assert_int_equal(rec_model_find("ncf", &ops), ERR_OK);
    for (int same = 0; same < 2; same++) {
        const char *const dim = same ? "4" : "8";

        assert_int_equal(rec_model_new(&m, ops), ERR_OK);
        assert_int_equal(opt_assign(ops->opts, m->opts, "dim", dim), ERR_OK);
        rec_holes_spec(&users, zero, 60, 8, spec + 1);
        rec_holes_spec(&items, zero, 30, 8, spec + 3);
        if (same) /* and what fits */
            memcpy(spec + 6,
                   (struct rec_array_spec[]){{"out/weight", STO_F32, 5, 1},
                                             {"m0/weight", STO_F32, 8, 4},
                                             {"m0/bias", STO_F32, 1, 4},
                                             {"m1/weight", STO_F32, 4, 2},
                                             {"m1/bias", STO_F32, 1, 2},
                                             {"m2/weight", STO_F32, 2, 1},
                                             {"m2/bias", STO_F32, 1, 1}},
                   7 * sizeof(*spec));
        assert_int_equal(rec_model_alloc(m, &d, spec, 13), ERR_OK);
        assert_int_equal(ops->valid(m), same);
        rec_model_free(m);
    }
    rec_data_free(&d);
}

/* --- where there are no masks ----------------------------------------------
 */

static void stages_have_no_masks(void **state)
{
    static const char *const names[] = {"bpr", "wmf", "lightgcn", "lfm", "ncf"};
    const struct rec_stage stage = {.epochs = 1, .all = 2};
    struct rec_data d = case_data(60, 30, 0.1, false, 4);

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const struct rec_model_ops *ops;
        struct rec_model *m;

        assert_int_equal(rec_model_find(names[i], &ops), ERR_OK);
        assert_int_equal(rec_model_new(&m, ops), ERR_OK);
        assert_int_equal(opt_assign(ops->opts, m->opts, "sparsity", "0.5"),
                         ERR_OK);
        m->stage = &stage;
        assert_int_equal(rec_model_fit(m, &d, NULL), ERR_ARG);
        assert_non_null(strstr(err_note(), "--slices"));
        m->stage = NULL;
        assert_int_equal(opt_assign(ops->opts, m->opts, "sparsity", "0"),
                         ERR_OK);
        assert_int_equal(opt_assign(ops->opts, m->opts, "schedule", "once"),
                         ERR_OK);
        assert_int_equal(rec_model_fit(m, &d, NULL), ERR_ARG);
        assert_non_null(strstr(err_note(), "without --sparsity"));
        rec_model_free(m);
    }
    rec_data_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stages_have_no_masks),
        cmocka_unit_test(weights_move_as_sorting_says),
        cmocka_unit_test(once_keeps_the_largest),
        cmocka_unit_test(both_tables_are_each),
        cmocka_unit_test(vectors_are_turned_before_numbers_go),
        cmocka_unit_test(vectors_stay_where_they_are_told_to),
        cmocka_unit_test(what_does_little_in_scores_goes),
        cmocka_unit_test(rows_come_back_and_damage_is_seen),
        cmocka_unit_test(tables_with_holes_come_back),
        cmocka_unit_test(a_network_keeps_its_layers),
        cmocka_unit_test(tables_of_two_widths_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
