/* tests/test_slates.c - re-rankers that are no single pass of a network. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/par.h"
#include "rec/boost.h"
#include "rec/clicks.h"
#include "rec/kin.h"
#include "rec/ready.h"
#include "rec/slate.h"
#include "tests/rec_cases.h"
#include "tests/slopes.h"

#define BATCH 5
#define LIST 9
#define WIDTH 6

static struct rec_model *model_of(const char *ranker)
{
    const struct rec_model_ops *ops;
    struct rec_model *m;

    assert_int_equal(rec_model_find("rerank", &ops), ERR_OK);
    assert_int_equal(rec_model_new(&m, ops), ERR_OK);
    assert_int_equal(opt_assign(ops->opts, m->opts, "ranker", ranker), ERR_OK);
    m->seed = 3;
    return m;
}

static void set(struct rec_model *m, const char *name, const char *value)
{
    assert_int_equal(opt_assign(m->ops->opts, m->opts, name, value), ERR_OK);
}

/* --- orders ----------------------------------------------------------------
 */

struct batch {
    float x[BATCH * LIST * WIDTH], mask[BATCH * LIST];
    uint64_t key[BATCH];
    struct rec_asked asked;
};

/* Lists of LIST, LIST - 1... items. */
static void fill(struct batch *b, uint64_t seed)
{
    memset(b, 0, sizeof(*b));
    for (size_t p = 0; p < BATCH; p++) {
        b->key[p] = 100 + p;
        for (size_t k = 0; k < LIST - p; k++) {
            b->mask[p * LIST + k] = 1;
            for (size_t f = 0; f < WIDTH; f++)
                b->x[(p * LIST + k) * WIDTH + f] =
                    2 * rng_f32(seed, RNG_SYNTH, (p * LIST + k) * WIDTH + f) -
                    1;
        }
    }
    b->asked = (struct rec_asked){.x = b->x, .mask = b->mask, .key = b->key};
}

static void order_of(const float *value, uint32_t *order)
{
    struct rec_placed placed[LIST];

    for (size_t k = 0; k < LIST; k++)
        placed[k] = (struct rec_placed){value[k], (uint32_t)k};
    qsort(placed, LIST, sizeof(*placed), rec_by_place);
    for (size_t k = 0; k < LIST; k++)
        order[k] = placed[k].at;
}

/* Whatever orders a list: the items come before the empty places, each once;
 * the same answer twice; and other lists of the batch do not matter. */
static void lists_are_ordered_whole_and_apart(void **state)
{
    struct batch b;

    (void)state;
    for (size_t r = 0; rec_rerankers[r] != NULL; r++) {
        struct rec_model *m = model_of(rec_rerankers[r]->name);
        float value[BATCH * LIST], again[BATCH * LIST];
        struct rec_net k;

        if (rec_rerankers[r]->ways == NULL) {
            rec_model_free(m);
            continue;
        }
        set(m, "candidates", "9");
        assert_int_equal(rec_net_open(&k, m, WIDTH, 0, BATCH, false), ERR_OK);
        fill(&b, 4);
        assert_int_equal(rec_net_order(&k, &b.asked, value), ERR_OK);
        for (size_t p = 0; p < BATCH; p++) {
            uint32_t order[LIST];
            bool seen[LIST] = {false};

            order_of(value + p * LIST, order);
            for (size_t c = 0; c < LIST; c++) {
                assert_false(seen[order[c]]);
                seen[order[c]] = true;
                if ((order[c] < LIST - p) != (c < LIST - p))
                    fail_msg("%s: place %zu of a list of %zu is %u",
                             rec_rerankers[r]->name, c, LIST - p, order[c]);
            }
        }
        assert_int_equal(rec_net_order(&k, &b.asked, again), ERR_OK);
        assert_memory_equal(value, again, sizeof(value));
        for (size_t e = LIST * WIDTH; e < BATCH * LIST * WIDTH; e++)
            b.x[e] = -b.x[e];
        assert_int_equal(rec_net_order(&k, &b.asked, again), ERR_OK);
        assert_memory_equal(value, again, LIST * sizeof(*value));
        rec_net_free(&k);
        rec_model_free(m);
    }
}

/* --- what learns nothing ---------------------------------------------------
 */

/* Nine items, the second the twin of the first. */
static void twins(struct batch *b)
{
    fill(b, 6);
    for (size_t k = 0; k < LIST; k++)
        b->x[k * WIDTH] = (float)(LIST - k); /* the first stage's score */
    for (size_t f = 1; f < WIDTH; f++)
        b->x[WIDTH + f] = b->x[f];
}

static void diversity_parts_twins(void **state)
{
    static const char *const name[] = {"mmr", "dpp"};
    struct batch b;
    float kin[BATCH * LIST * REC_KIN] = {0};

    (void)state;
    twins(&b);
    /* items 0 and 1 alike, the others across */
    for (size_t k = 0; k < BATCH * LIST; k++)
        kin[k * REC_KIN + (k % LIST == 1 ? 0 : k % LIST)] = 1;
    b.asked.kin = kin;
    b.asked.n_kin = REC_KIN;
    for (size_t r = 0; r < 2; r++) {
        for (size_t pure = 0; pure < 2; pure++) {
            struct rec_model *m = model_of(name[r]);
            float value[BATCH * LIST];
            uint32_t order[LIST];
            struct rec_net k;

            set(m, "candidates", "9");
            set(m, "trade", pure ? "1" : "0.5");
            assert_int_equal(rec_net_open(&k, m, WIDTH, 0, BATCH, false),
                             ERR_OK);
            assert_int_equal(rec_net_order(&k, &b.asked, value), ERR_OK);
            order_of(value, order);
            assert_int_equal(order[0], 0);
            if (pure && r == 0) {
                for (size_t c = 0; c < LIST; c++)
                    assert_int_equal(order[c], c);
            }
            if (!pure) /* the twin is put off, what is unlike comes first */
                assert_int_equal(order[1], 2);
            rec_net_free(&k);
            rec_model_free(m);
        }
    }
}

/* People of even number meet even items alone. */
static void kinship_is_what_the_same_people_meet(void **state)
{
    struct rec_data d = case_data(80, 40, 0.8, false, 3);
    float kin[40 * REC_KIN];
    double same = 0, other = 0;
    size_t rows = 0, n_same = 0, n_other = 0;

    (void)state;
    for (size_t u = 0, e = 0; u < d.n_users; u++) {
        const size_t end = d.user_ptr[u + 1];

        d.user_ptr[u] = rows;
        for (; e < end; e++) {
            if (d.item[e] % 2 == u % 2)
                d.item[rows++] = d.item[e];
        }
    }
    d.user_ptr[d.n_users] = d.n_rows = rows;
    assert_int_equal(rec_kin_make(&d, 1, kin), ERR_OK);
    for (size_t i = 0; i < 40; i++) {
        for (size_t j = 0; j < i; j++) {
            double c = 0;

            for (size_t k = 0; k < REC_KIN; k++)
                c += (double)(kin[i * REC_KIN + k] * kin[j * REC_KIN + k]);
            *(i % 2 == j % 2 ? &same : &other) += c;
            *(i % 2 == j % 2 ? &n_same : &n_other) += 1;
            if (i % 2 != j % 2 && fabs(c) > 1e-3)
                fail_msg("items %zu and %zu share nobody: %g", i, j, c);
        }
    }
    assert_true(same / (double)n_same > 0.1);
    rec_data_free(&d);
}

/* --- trees -----------------------------------------------------------------
 */

struct target {
    const float *y;
    size_t n;
};

static void square_slope(void *arg, const double *score, float *g, float *h)
{
    const struct target *t = arg;

    for (size_t r = 0; r < t->n; r++) {
        g[r] = (float)(score[r] - (double)t->y[r]);
        h[r] = 1;
    }
}

#define ROWS 600

static double loss_of(const struct rec_boost *b, const float *x, const float *y)
{
    double sum = 0;

    for (size_t r = 0; r < ROWS; r++) {
        const double d = rec_boost_score(b, x + r * 3) - (double)y[r];

        sum += d * d / ROWS;
    }
    return sum;
}

/* The exclusive or of two signs: no sum of functions of one feature says it. */
static void trees_learn_what_hangs_on_two_features(void **state)
{
    float x[ROWS * 3], y[ROWS];
    struct rec_boost b[3];
    struct target t = {y, ROWS};
    const struct rec_boost_loss loss = {square_slope, &t};
    struct rec_boost_opt o = {.leaves = 8, .least = 5, .rate = 0.3, .l2 = 1e-3};

    (void)state;
    for (size_t e = 0; e < ROWS * 3; e++)
        x[e] = 2 * rng_f32(9, RNG_SYNTH, e) - 1;
    for (size_t r = 0; r < ROWS; r++)
        y[r] = (x[r * 3] > 0) != (x[r * 3 + 1] > 0) ? 1 : -1;
    for (size_t k = 0; k < 3; k++) {
        o.trees = k == 0 ? 1 : 30;
        par_set_threads(k == 2 ? 1 : 2);
        assert_int_equal(rec_boost_fit(&b[k], x, ROWS, 3, &o, &loss), ERR_OK);
        assert_true(rec_boost_valid(b[k].words, b[k].n_words, 3));
    }
    par_set_threads(0);
    assert_true(loss_of(&b[1], x, y) < 0.05);
    assert_true(loss_of(&b[0], x, y) > 0.2);
    /* the same bits for any number of threads */
    assert_int_equal(b[1].n_words, b[2].n_words);
    assert_memory_equal(b[1].words, b[2].words,
                        b[1].n_words * sizeof(*b[1].words));
    for (size_t k = 0; k < 3; k++)
        rec_boost_free(&b[k]);
}

static void damaged_trees_are_refused(void **state)
{
    /* one tree over two features: a cut and two leaves */
    static const uint32_t good[] = {1, 2, 3, 0,          0, 1, 0, UINT32_MAX,
                                    0, 0, 0, UINT32_MAX, 0, 0, 0};
    static const struct {
        size_t at;
        uint32_t value;
    } wrong[] = {{0, 2}, {1, 3}, {2, 4}, {2, 0}, {3, 2}, {5, 0}, {5, 2}};
    const size_t n = sizeof(good) / sizeof(*good);

    (void)state;
    assert_true(rec_boost_valid(good, n, 2));
    assert_false(rec_boost_valid(good, n - 1, 2));
    assert_false(rec_boost_valid(good, n, 3));
    assert_false(rec_boost_valid(NULL, 0, 2));
    for (size_t k = 0; k < sizeof(wrong) / sizeof(*wrong); k++) {
        uint32_t words[sizeof(good) / sizeof(*good)];

        memcpy(words, good, sizeof(good));
        words[wrong[k].at] = wrong[k].value;
        if (rec_boost_valid(words, n, 2))
            fail_msg("word %zu = %u passed", wrong[k].at, wrong[k].value);
    }
}

/* --- gradients -------------------------------------------------------------
 */

struct followed {
    struct rec_slate g;
    struct batch b;
    uint32_t order[BATCH * LIST];
    float label[BATCH * LIST];
};

static enum err follow(void *arg)
{
    struct followed *f = arg;

    return rec_slate_follow(&f->g, &f->b.asked, f->order,
                            f->g.kind->loss == REC_SLATE_LABELS ? f->label
                                                                : NULL);
}

static void slopes_of_generators(void **state)
{
    static const struct rec_slate_kind kinds[] = {
        {.lstm = true, .loss = REC_SLATE_LABELS},
        {.lstm = true, .loss = REC_SLATE_PPO},
        {.pointer = true, .pooled = true, .loss = REC_SLATE_PPO},
        {.pointer = true,
         .pooled = true,
         .steered = true,
         .loss = REC_SLATE_PPO}};
    struct rec_model *m = model_of("egr");

    (void)state;
    set(m, "dim", "8");
    set(m, "places", "4");
    set(m, "drop", "0");
    for (size_t k = 0; k < 4; k++) {
        struct followed f;
        struct nn_params *p;
        char name[32];

        fill(&f.b, 5);
        assert_int_equal(nn_params_new(&p, NN_F64, 2), ERR_OK);
        assert_int_equal(rec_slate_open(&f.g, p, &kinds[k], m->opts, BATCH,
                                        LIST, WIDTH, true),
                         ERR_OK);
        double wish[BATCH]; /* of each list its own */

        for (size_t b = 0; b < BATCH; b++)
            wish[b] = 0.1 + 0.2 * (double)(b % 5);
        rec_slate_steer(&f.g, wish);
        for (size_t e = 0; e < BATCH * LIST; e++)
            f.label[e] = f.b.mask[e] > 0 && e % 3 == 1;
        assert_int_equal(rec_slate_choose(&f.g, &f.b.asked, 77, f.order),
                         ERR_OK);
        for (size_t e = 0; e < 4 * BATCH; e++)
            nn_tape_put(f.g.tape, f.g.worth, e, 0.3 * (double)(e % 5) - 0.5);
        if (f.g.old != NULL)
            nn_tape_fill(f.g.tape, f.g.old, -2);
        (void)snprintf(name, sizeof(name), "generator %zu", k);
        check_slopes(name, p, f.g.tape, follow, &f);
        rec_slate_close(&f.g);
        nn_params_free(p);
    }
    rec_model_free(m);
}

static enum err forward(void *tape)
{
    return nn_tape_forward(tape);
}

static void slopes_of_judges(void **state)
{
    static rec_judge_build *const build[] = {
        rec_judge_gru, rec_judge_both_ways, rec_judge_attending,
        rec_judge_channels, rec_judge_omni};
    struct rec_model *m = model_of("egr");
    uint32_t order[BATCH * LIST];
    float p_of[BATCH * LIST];
    struct batch b;

    (void)state;
    set(m, "dim", "8");
    set(m, "drop", "0");
    fill(&b, 5);
    for (size_t e = 0; e < BATCH * LIST; e++)
        order[e] = (uint32_t)(e % LIST);
    for (size_t k = 0; k < 5; k++) {
        struct nn_params *p;
        struct rec_judge j;
        char name[32];

        assert_int_equal(nn_params_new(&p, NN_F64, 2), ERR_OK);
        assert_int_equal(
            rec_judge_open(&j, p, build[k], m->opts, BATCH, LIST, WIDTH, true),
            ERR_OK);
        for (size_t e = 0; e < BATCH * LIST; e++)
            nn_tape_put(j.tape, j.label, e, e % 3 == 1);
        assert_int_equal(rec_judge_ask(&j, &b.asked, LIST, order, p_of),
                         ERR_OK);
        (void)snprintf(name, sizeof(name), "judge %zu", k);
        check_slopes(name, p, j.tape, forward, j.tape);
        rec_judge_close(&j);
        nn_params_free(p);
    }
    rec_model_free(m);
}

/* --- the world of clicks ---------------------------------------------------
 */

static double best_by_trying(const float *a, const float *s, uint32_t *order,
                             size_t k, size_t n)
{
    double best = 0;

    if (k == n)
        return rec_clicks_expected(a, s, order, n);
    for (size_t i = k; i < n; i++) {
        const uint32_t x = order[k];

        order[k] = order[i];
        order[i] = x;
        best = fmax(best, best_by_trying(a, s, order, k + 1, n));
        order[i] = order[k];
        order[k] = x;
    }
    return best;
}

static void the_best_order_is_that_of_all(void **state)
{
    const float a[2] = {0.5F, 0.4F}, s[2] = {0.2F, 1};

    (void)state;
    /* .5 + (1 - .5 * .8) * .4 */
    assert_true(fabs(rec_clicks_expected(a, s, NULL, 2) - 0.74) < 1e-6);
    assert_true(fabs(rec_clicks_best(a, s, 2) - 0.9) < 1e-6);
    for (uint64_t l = 0; l < 20; l++) {
        float attract[5], stay[5];
        uint32_t order[5] = {0, 1, 2, 3, 4};

        for (size_t i = 0; i < 5; i++) {
            attract[i] = rng_f32(l, RNG_SYNTH, 2 * i);
            stay[i] = rng_f32(l, RNG_SYNTH, 2 * i + 1);
        }
        assert_true(fabs(rec_clicks_best(attract, stay, 5) -
                         best_by_trying(attract, stay, order, 0, 5)) < 1e-12);
    }
}

/* Lists of the world as a file, read back. */
static void make_world(struct rec_ready *r, size_t lists, size_t length,
                       uint64_t part)
{
    char path[] = "/tmp/recd-test-clicks-XXXXXX";
    const int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");

    assert_non_null(f);
    assert_int_equal(rec_clicks_write(f, lists, length, 1, part), ERR_OK);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rec_ready_read(r, path), ERR_OK);
    assert_int_equal(remove(path), 0);
}

/* Clicks of made-up people come as often as the truth says. */
static void clicks_follow_the_truth(void **state)
{
    const struct rec_ready_how how = {.score = REC_CLICKS_SCORE};
    struct mem_scratch s = {0};
    struct rec_ready r;
    struct rec_ready_lists l;
    struct rec_ready_report report;
    const size_t cut = 6;

    (void)state;
    make_world(&r, 4000, 6, 1);
    assert_int_equal(rec_ready_take(&l, &s, &r, &how, 6, r.features, NULL),
                     ERR_OK);
    assert_int_equal(rec_ready_measure(&r, &l, NULL, &l, &cut, 1, &report),
                     ERR_OK);
    /* about a click a list: four deviations of the mean of 4,000 */
    assert_true(fabs(report.value[0][REC_READY_CLICKS] - report.expected) <
                4 * 0.9 / sqrt(4000.0));
    assert_true(report.best > 1.1 * report.expected);
    rec_ready_free(&r);
    mem_drop(&s);
}

/* Share of the best order's clicks after learning. */
static double share_of(const char *ranker, const char *epochs)
{
    const struct rec_ready_how how = {.score = REC_CLICKS_SCORE};
    struct rec_model *m = model_of(ranker);
    struct rec_ready learn, test;
    struct rec_ready_lists from, to;
    struct rec_ready_report report;
    struct mem_scratch s = {0};
    struct rec_net k;
    struct rec_step p;
    const size_t cut = 5;

    make_world(&learn, 1500, 5, 1);
    make_world(&test, 256, 5, 2);
    set(m, "candidates", "5");
    if (strcmp(ranker, "lambdamart") == 0)
        set(m, "trees", "20");
    if (strcmp(ranker, "cmr") == 0)
        set(m, "trade", "1"); /* clicks alone */
    if (epochs != NULL) {
        set(m, "epochs", epochs);
        set(m, "batch", "64");
        set(m, "dim", "16");
        set(m, "rate", "0.003");
        set(m, "drop", "0");
    }
    assert_int_equal(
        rec_ready_take(&from, &s, &learn, &how, 5, learn.features, NULL),
        ERR_OK);
    assert_int_equal(
        rec_ready_take(&to, &s, &test, &how, 5, learn.features, &from.t),
        ERR_OK);
    assert_int_equal(rec_net_learn(&k, m, &from.t), ERR_OK);
    float *value = mem_take(&s, 256, 5, sizeof(*value));

    assert_int_equal(rec_step_open(&p, k.batch, &to.t), ERR_OK);
    for (size_t first = 0; first < 256; first += k.batch) {
        rec_step_set(&p, &to.t, first);
        assert_int_equal(rec_net_order(&k, &p.asked, value + first * 5),
                         ERR_OK);
    }
    assert_int_equal(
        rec_ready_measure(&test, &to, value, &from, &cut, 1, &report), ERR_OK);
    rec_step_close(&p);
    rec_net_free(&k);
    rec_ready_free(&learn);
    rec_ready_free(&test);
    rec_model_free(m);
    mem_drop(&s);
    return report.expected / report.best;
}

/* What looks at the whole list finds that some clicks cost others; what scores
 * items by their clicks does not. */
static void evaluators_see_what_clicks_cost(void **state)
{
    const double plain = share_of("identity", NULL);
    const double trees = share_of("lambdamart", NULL);
    const double searched = share_of("prs", "10");
    const double made = share_of("egr", "10");
    const double pointed = share_of("grn", "10");
    const double steered = share_of("cmr", "25");

    (void)state;
    if (!(searched > 0.95) || !(made > 0.92) || !(pointed > 0.94) ||
        !(steered > 0.88) || !(trees < made))
        fail_msg("identity %.3f, lambdamart %.3f, prs %.3f, egr %.3f, grn "
                 "%.3f, cmr %.3f",
                 plain, trees, searched, made, pointed, steered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_ordered_whole_and_apart),
        cmocka_unit_test(diversity_parts_twins),
        cmocka_unit_test(kinship_is_what_the_same_people_meet),
        cmocka_unit_test(trees_learn_what_hangs_on_two_features),
        cmocka_unit_test(damaged_trees_are_refused),
        cmocka_unit_test(slopes_of_generators),
        cmocka_unit_test(slopes_of_judges),
        cmocka_unit_test(the_best_order_is_that_of_all),
        cmocka_unit_test(clicks_follow_the_truth),
        cmocka_unit_test(evaluators_see_what_clicks_cost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
