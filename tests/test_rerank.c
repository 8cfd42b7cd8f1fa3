/* tests/test_rerank.c - networks that order lists anew. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rec/metrics.h"
#include "rec/model.h"
#include "rec/rank.h"
#include "rec/rerank_learn.h"
#include "tests/rec_cases.h"

#define BATCH 6
#define LIST 12
#define WIDTH 9

struct net {
    struct nn_params *params;
    struct nn_tape *tape;
    struct rec_lists l;
    struct nn_tensor *scores;
};

static void open_net(struct net *k, const struct rec_reranker *r, bool training,
                     struct nn_tensor **label)
{
    struct nn_tensor *loss = NULL;

    assert_int_equal(nn_params_new(&k->params, NN_F32, 5), ERR_OK);
    assert_int_equal(nn_tape_new(&k->tape, k->params), ERR_OK);
    k->l = (struct rec_lists){
        .x = nn_tape_input(k->tape, "x", 3, (size_t[]){BATCH, LIST, WIDTH}),
        .mask = nn_tape_input(k->tape, "mask", 2, (size_t[]){BATCH, LIST}),
        .keys = nn_tape_keys(k->tape, "keys", BATCH),
        .batch = BATCH,
        .n = LIST,
        .features = WIDTH,
        .dim = 16,
    };
    if (r->items) {
        k->l.n_items = LIST * BATCH;
        k->l.item = nn_tape_ids(k->tape, "item", 2, (size_t[]){BATCH, LIST});
        k->l.past =
            nn_tape_ids(k->tape, "past", 2, (size_t[]){BATCH, REC_PAST});
        k->l.past_mask =
            nn_tape_input(k->tape, "pm", 2, (size_t[]){BATCH, REC_PAST});
    }
    k->scores = r->build(k->tape, &k->l);
    if (training) {
        *label = nn_tape_input(k->tape, "y", 2, (size_t[]){BATCH, LIST});
        loss = nn_reduce_mean(
            k->tape, nn_loss_list(k->tape, k->scores, *label, k->l.mask), NULL);
    }
    nn_tape_keep(k->tape, k->scores);
    assert_int_equal(nn_tape_plan(k->tape, loss), ERR_OK);
    nn_tape_fill(k->tape, k->l.mask, 1);
    if (r->items) {
        uint32_t item[BATCH * LIST], past[BATCH * REC_PAST];

        for (size_t i = 0; i < BATCH * LIST; i++)
            item[i] = 7; /* so that items may change places */
        for (size_t i = 0; i < BATCH * REC_PAST; i++)
            past[i] = (uint32_t)(i % LIST);
        nn_tape_fill(k->tape, k->l.past_mask, 1);
        assert_int_equal(nn_tape_set_ids(k->tape, k->l.item, item), ERR_OK);
        assert_int_equal(nn_tape_set_ids(k->tape, k->l.past, past), ERR_OK);
    }
}

static void close_net(struct net *k)
{
    nn_tape_free(k->tape);
    nn_params_free(k->params);
}

static void fill(float *x, uint64_t seed)
{
    for (size_t i = 0; i < BATCH * LIST * WIDTH; i++)
        x[i] = 2 * rng_f32(seed, RNG_SYNTH, i) - 1;
}

/* Items in another order get the same scores in that order: for all that see
 * a list as a set; with positions, or one after the other, they must not. */
static void sets_have_no_order(void **state)
{
    static const char *const ordered[] = {"prm", "dlcm", "srga"};
    float x[BATCH * LIST * WIDTH], turned[BATCH * LIST * WIDTH];
    float a[BATCH * LIST], b[BATCH * LIST];
    uint32_t order[LIST];

    (void)state;
    fill(x, 1);
    rng_shuffle(2, RNG_SHUFFLE, LIST, order);
    for (size_t l = 0; l < BATCH; l++) {
        for (size_t k = 0; k < LIST; k++)
            memcpy(turned + (l * LIST + k) * WIDTH,
                   x + (l * LIST + order[k]) * WIDTH, WIDTH * sizeof(*x));
    }
    for (size_t r = 0; rec_rerankers[r] != NULL; r++) {
        const char *name = rec_rerankers[r]->name;
        struct net k;
        double worst = 0;

        if (rec_rerankers[r]->build == NULL)
            continue;
        open_net(&k, rec_rerankers[r], false, NULL);
        nn_tape_set(k.tape, k.l.x, x);
        assert_int_equal(nn_tape_forward(k.tape), ERR_OK);
        nn_tape_get(k.tape, k.scores, a);
        nn_tape_set(k.tape, k.l.x, turned);
        assert_int_equal(nn_tape_forward(k.tape), ERR_OK);
        nn_tape_get(k.tape, k.scores, b);
        for (size_t l = 0; l < BATCH; l++) {
            for (size_t i = 0; i < LIST; i++)
                worst = fmax(worst, fabs((double)b[l * LIST + i] -
                                         (double)a[l * LIST + order[i]]));
        }
        bool is_ordered = false;

        for (size_t i = 0; i < sizeof(ordered) / sizeof(*ordered); i++)
            is_ordered = is_ordered || strcmp(name, ordered[i]) == 0;

        if (is_ordered != (worst > 1e-4))
            fail_msg("%s: scores move by %g", name, worst);
        close_net(&k);
    }
}

/* One list's scores do not depend on the others of its batch. */
static void lists_do_not_meet(void **state)
{
    float x[BATCH * LIST * WIDTH], a[BATCH * LIST], b[BATCH * LIST];

    (void)state;
    for (size_t r = 0; rec_rerankers[r] != NULL; r++) {
        struct net k;

        if (rec_rerankers[r]->build == NULL)
            continue;
        open_net(&k, rec_rerankers[r], false, NULL);
        fill(x, 3);
        nn_tape_set(k.tape, k.l.x, x);
        assert_int_equal(nn_tape_forward(k.tape), ERR_OK);
        nn_tape_get(k.tape, k.scores, a);
        for (size_t i = LIST * WIDTH; i < BATCH * LIST * WIDTH; i++)
            x[i] = -x[i];
        nn_tape_set(k.tape, k.l.x, x);
        assert_int_equal(nn_tape_forward(k.tape), ERR_OK);
        nn_tape_get(k.tape, k.scores, b);
        assert_memory_equal(a, b, LIST * sizeof(*a));
        close_net(&k);
    }
}

/* What is right hangs on the list: the item nearest to the mean of feature 1,
 * among those whose feature 0 is positive.  One weight a feature cannot say
 * that; networks that read the list can. */
static void networks_learn_what_hangs_on_the_list(void **state)
{
    const struct nn_optim_opt adam = {.kind = NN_ADAM, .lr = 0.005};
    double loss[32] = {0};
    size_t logistic = 0;

    (void)state;
    for (size_t r = 0; rec_rerankers[r] != NULL; r++) {
        struct nn_tensor *label;
        struct nn_optim *o;
        struct net k;
        double last = 0;

        if (rec_rerankers[r]->build == NULL)
            continue;
        if (strcmp(rec_rerankers[r]->name, "logistic") == 0)
            logistic = r;
        open_net(&k, rec_rerankers[r], true, &label);
        assert_int_equal(nn_optim_new(&o, k.params, &adam), ERR_OK);
        for (uint64_t step = 0; step < 1500; step++) {
            float x[BATCH * LIST * WIDTH], y[BATCH * LIST] = {0};

            fill(x, 100 + step);
            for (size_t l = 0; l < BATCH; l++) {
                float mean = 0, best = 9;
                size_t hit = 0;

                for (size_t i = 0; i < LIST; i++)
                    mean += x[(l * LIST + i) * WIDTH + 1] / LIST;
                for (size_t i = 0; i < LIST; i++) {
                    const float *at = x + (l * LIST + i) * WIDTH;
                    const float far = fabsf(at[1] - mean) + (at[0] < 0 ? 4 : 0);

                    if (far < best) {
                        best = far;
                        hit = i;
                    }
                }
                y[l * LIST + hit] = 1;
            }
            nn_tape_set(k.tape, k.l.x, x);
            nn_tape_set(k.tape, label, y);
            assert_int_equal(nn_optim_train(o, k.tape, &last), ERR_OK);
            if (step >= 1400)
                loss[r] += last / 100;
        }
        nn_optim_free(o);
        close_net(&k);
    }
    for (size_t r = 0; rec_rerankers[r] != NULL; r++) {
        if (r != logistic && !(loss[r] < 0.75 * loss[logistic]))
            fail_msg("%s: loss %.3f, logistic %.3f", rec_rerankers[r]->name,
                     loss[r], loss[logistic]);
    }
}

/* --- the model -------------------------------------------------------------
 */

static struct rec_model *trained(const struct rec_data *d, const char *ranker)
{
    static const char *const set[][2] = {{"base", "ease"},
                                         {"also", "itemknn"},
                                         {"candidates", "15"},
                                         {"epochs", "4"},
                                         {"dim", "16"}};
    const struct rec_reranker *how;
    const struct rec_model_ops *ops;
    struct rec_model *m;

    assert_int_equal(rec_reranker_find(ranker, &how), ERR_OK);
    assert_int_equal(rec_model_find("rerank", &ops), ERR_OK);
    assert_int_equal(rec_model_new(&m, ops), ERR_OK);
    for (size_t i = 0; i < sizeof(set) / sizeof(set[0]); i++)
        if (i < 3 || how->reads == NULL ||
            strstr(how->reads, set[i][0]) != NULL)
            assert_int_equal(
                opt_assign(ops->opts, m->opts, set[i][0], set[i][1]), ERR_OK);
    assert_int_equal(opt_assign(ops->opts, m->opts, "ranker", ranker), ERR_OK);
    m->seed = 3;
    assert_int_equal(rec_model_fit(m, d, NULL), ERR_OK);
    return m;
}

static int by_number(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* The first fifteen are the first stage's, in another order; behind them come
 * the others in the first stage's order. */
static void candidates_are_the_first_stages(void **state)
{
    struct rec_data d = case_data(120, 60, 0.2, false, 6);
    const struct rec_model_ops *ops;
    struct rec_model *ease;
    uint32_t want[120 * 40], got[120 * 40];
    size_t moved = 0;

    (void)state;
    assert_int_equal(rec_model_find("ease", &ops), ERR_OK);
    assert_int_equal(rec_model_new(&ease, ops), ERR_OK);
    assert_int_equal(rec_model_fit(ease, &d, NULL), ERR_OK);
    assert_int_equal(
        rec_rank_users(ease, &d, 0, d.n_users, 40, true, want, NULL), ERR_OK);
    for (size_t r = 0; rec_rerankers[r] != NULL; r++) {
        struct rec_model *m = trained(&d, rec_rerankers[r]->name);

        assert_int_equal(
            rec_rank_users(m, &d, 0, d.n_users, 40, true, got, NULL), ERR_OK);
        for (size_t u = 0; u < d.n_users; u++) {
            uint32_t *a = got + u * 40, b[15];

            if (d.user_ptr[u] == d.user_ptr[u + 1])
                continue; /* popular items: no model is asked */
            moved += memcmp(a, want + u * 40, 15 * sizeof(*a)) != 0;
            assert_memory_equal(a + 15, want + u * 40 + 15, 25 * sizeof(*a));
            memcpy(b, want + u * 40, sizeof(b));
            qsort(a, 15, sizeof(*a), by_number);
            qsort(b, 15, sizeof(*b), by_number);
            assert_memory_equal(a, b, sizeof(b));
        }
        rec_model_free(m);
    }
    assert_true(moved > d.n_users);
    rec_model_free(ease);
    rec_data_free(&d);
}

#define MERGED 15
#define PARTS 3

/* What a merged list holds, said once more: the best sums of 1 / (60 + rank)
 * over the lists own[PARTS][MERGED], in the order of the whole list of the
 * base. */
static void merged_list(const uint32_t own[PARTS][MERGED], const uint32_t *base,
                        size_t n_items, uint32_t *out)
{
    bool in[60] = {false};
    float sum[60] = {0};
    size_t n = 0;

    for (size_t r = 0; r < MERGED; r++) {
        for (size_t g = 0; g < PARTS; g++)
            sum[own[g][r]] += 1 / (61 + (float)r);
    }
    for (size_t k = 0; k < MERGED; k++) {
        size_t best = n_items;

        for (size_t i = 0; i < n_items; i++) {
            if (!in[i] && sum[i] > 0 && (best == n_items || sum[i] > sum[best]))
                best = i;
        }
        in[best] = true;
    }
    for (size_t k = 0; k < n_items && base[k] != REC_NOBODY; k++) {
        if (in[base[k]])
            out[n++] = base[k];
    }
    assert_int_equal(n, MERGED);
}

static struct rec_model *merging(const char *also)
{
    static const char *const set[][2] = {{"base", "ease"},
                                         {"candidates", "15"},
                                         {"merge", "true"},
                                         {"ranker", "logistic"},
                                         {"epochs", "2"}};
    const struct rec_model_ops *ops;
    struct rec_model *m;

    assert_int_equal(rec_model_find("rerank", &ops), ERR_OK);
    assert_int_equal(rec_model_new(&m, ops), ERR_OK);
    for (size_t i = 0; i < sizeof(set) / sizeof(set[0]); i++)
        assert_int_equal(opt_assign(ops->opts, m->opts, set[i][0], set[i][1]),
                         ERR_OK);
    assert_int_equal(opt_assign(ops->opts, m->opts, "also", also), ERR_OK);
    m->seed = 3;
    return m;
}

/* Everybody's list by a model of that name alone. */
static void lists_of(const char *name, const struct rec_data *d, size_t k,
                     uint32_t *item)
{
    const struct rec_model_ops *ops;
    struct rec_model *m;

    assert_int_equal(rec_model_find(name, &ops), ERR_OK);
    assert_int_equal(rec_model_new(&m, ops), ERR_OK);
    m->seed = 3;
    assert_int_equal(rec_model_fit(m, d, NULL), ERR_OK);
    assert_int_equal(rec_rank_users(m, d, 0, d->n_users, k, true, item, NULL),
                     ERR_OK);
    rec_model_free(m);
}

/* Lists of everybody by `ask` against own[PARTS][people][MERGED]; ranks[] of
 * the generators in x, before its columns were brought to one scale. */
static void check_asked(const struct rec_lessons *ask,
                        const struct rec_lessons *learn,
                        const uint32_t *const own[PARTS], size_t u,
                        const uint32_t *want)
{
    const uint32_t *item = ask->item + u * MERGED;

    assert_memory_equal(item, want, MERGED * sizeof(*want));
    assert_memory_equal(ask->before + u * MERGED, own[0] + u * MERGED,
                        MERGED * sizeof(*want));
    for (size_t k = 0; k < MERGED; k++) {
        const float *x = ask->x + (u * MERGED + k) * ask->features;

        for (size_t g = 0; g < PARTS; g++) {
            const size_t f = 2 * g + 1;
            size_t r = 0;

            while (r < MERGED && own[g][u * MERGED + r] != item[k])
                r++;
            assert_true(learn->unit[f] > 0);
            assert_float_equal(x[f] / learn->unit[f] + learn->mean[f],
                               logf((float)r + 1), 1e-4);
        }
    }
}

/* Merged candidates are the best of all generators' lists, whatever base: the
 * lists to learn from and to order, and what is served. */
static void merged_candidates_are_the_best_of_all(void **state)
{
    static const char *const name[PARTS] = {"ease", "itemknn", "ials"};
    struct rec_data d = case_data(120, 60, 0.2, false, 6);
    uint32_t own[PARTS][120 * MERGED], whole[120 * 60], got[120 * 60];
    const uint32_t *const all[PARTS] = {own[0], own[1], own[2]};
    struct rec_model *m = merging("itemknn,ials");
    struct rec_lessons learn, ask;
    struct mem_scratch s = {0};
    size_t new = 0;

    (void)state;
    for (size_t g = 0; g < PARTS; g++)
        lists_of(name[g], &d, MERGED, own[g]);
    lists_of("ease", &d, 60, whole);
    assert_int_equal(rec_rerank_lists(m, &d, &d, &learn, &ask, &s), ERR_OK);
    assert_int_equal(rec_model_fit(m, &d, NULL), ERR_OK);
    assert_int_equal(rec_rank_users(m, &d, 0, d.n_users, 60, true, got, NULL),
                     ERR_OK);
    for (size_t u = 0; u < d.n_users; u++) {
        uint32_t lists[PARTS][MERGED], want[MERGED], *a = got + u * 60;
        const uint32_t *base = whole + u * 60;
        size_t at = MERGED;

        if (d.user_ptr[u] == d.user_ptr[u + 1])
            continue; /* popular items: no model is asked */
        for (size_t g = 0; g < PARTS; g++)
            memcpy(lists[g], own[g] + u * MERGED, sizeof(lists[g]));
        merged_list(lists, base, d.n_items, want);
        check_asked(&ask, &learn, all, u, want);
        new += memcmp(want, base, sizeof(want)) != 0;
        qsort(want, MERGED, sizeof(*want), by_number);
        /* the base's order, without them, stands behind them */
        for (size_t k = 0; k < 60 && base[k] != REC_NOBODY; k++) {
            if (bsearch(&base[k], want, MERGED, sizeof(*want), by_number) ==
                NULL)
                assert_int_equal(a[at++], base[k]);
        }
        qsort(a, MERGED, sizeof(*a), by_number);
        assert_memory_equal(a, want, sizeof(want));
    }
    assert_true(new > d.n_users / 4); /* others do bring something */
    mem_drop(&s);
    rec_model_free(m);
    rec_data_free(&d);
}

/* Bytes of what m keeps of its network, and a digest of all of it. */
static size_t fit_sparse(const char *ranker, bool sparse, bool damage,
                         unsigned char digest[KEY_DIGEST_BYTES])
{
    const char *const set[][2] = {{"dim", "32"},
                                  {"epochs", "4"},
                                  {"also", ""},
                                  {"base", "itemknn"},
                                  {"candidates", "12"},
                                  {"ranker", ranker},
                                  {"sparsity", sparse ? "0.75" : "0"}};
    struct rec_data d = case_data(150, 90, 0.2, false, 8);
    const struct rec_model_ops *ops;
    struct rec_model *m;
    size_t bytes = 0;

    assert_int_equal(rec_model_find("rerank", &ops), ERR_OK);
    assert_int_equal(rec_model_new(&m, ops), ERR_OK);
    for (size_t i = 0; i < sizeof(set) / sizeof(set[0]); i++)
        assert_int_equal(opt_assign(ops->opts, m->opts, set[i][0], set[i][1]),
                         ERR_OK);
    m->seed = 4;
    if (rec_model_fit(m, &d, NULL) != ERR_OK)
        fail_msg("%s: %s", ranker, err_note());
    rec_model_digest(m, digest);
    for (size_t i = 0; i < m->n_arrays; i++) {
        const struct sto_array *a = &m->array[i];

        if (strncmp(a->name, "sparse", 6) == 0 || strcmp(a->name, "net") == 0)
            bytes += a->rows * a->cols * 4;
        if (damage && strcmp(a->name, "sparse0") == 0) { /* a wrong row */
            ((uint32_t *)a->data)[a->rows - 1] = 1u << 30;
            assert_int_equal(ops->ready(m), ERR_FORMAT);
        }
    }
    rec_model_free(m);
    rec_data_free(&d);
    return bytes;
}

/* A sparse network keeps packed matrices instead of whole ones, comes back from
 * its arrays, and the same options give the same bits: networks of one pass,
 * generators, and what compares lists. */
static void sparse_networks_are_kept_packed(void **state)
{
    static const char *const ranker[] = {"prm", "seq2slate", "egr", "grn",
                                         "cmr", "prs",       "pier"};

    (void)state;
    for (size_t r = 0; r < sizeof(ranker) / sizeof(ranker[0]); r++) {
        unsigned char digest[3][KEY_DIGEST_BYTES];
        const size_t sparse = fit_sparse(ranker[r], true, false, digest[0]);
        const size_t again = fit_sparse(ranker[r], true, true, digest[1]);
        const size_t whole = fit_sparse(ranker[r], false, false, digest[2]);

        assert_int_equal(sparse, again);
        assert_memory_equal(digest[0], digest[1], KEY_DIGEST_BYTES);
        if (sparse >= whole)
            fail_msg("%s: %zu bytes, whole %zu", ranker[r], sparse, whole);
    }
}

/* Levels of one model give different lists, and there are only so many. */
static void levels_are_chosen_when_serving(void **state)
{
    static const char *const set[][2] = {
        {"sparsity", "0.5"},      {"dim", "32"},
        {"epochs", "6"},          {"also", ""},
        {"base", "itemknn"},      {"ranker", "midnn"},
        {"pattern", "shfl-bw:8"}, {"levels", "2"}};
    struct rec_data d = case_data(150, 90, 0.2, false, 8);
    const size_t ptr[2] = {0, d.user_ptr[1]};
    const uint32_t user = 0;
    const struct rec_query q = {1, &user, ptr, d.item, NULL, NULL};
    float low[90], high[90], whole[90];
    const struct rec_model_ops *ops;
    struct rec_model *m;

    (void)state;
    assert_int_equal(rec_model_find("rerank", &ops), ERR_OK);
    assert_int_equal(rec_model_new(&m, ops), ERR_OK);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(opt_assign(ops->opts, m->opts, set[i][0], set[i][1]),
                         ERR_OK);
    m->seed = 4;
    assert_int_equal(rec_model_fit(m, &d, NULL), ERR_OK);
    assert_int_equal(ops->score(m, &q, whole), ERR_OK);
    assert_int_equal(rec_model_set_level(m, 2), ERR_OK);
    assert_int_equal(ops->score(m, &q, high), ERR_OK);
    assert_int_equal(rec_model_set_level(m, 1), ERR_OK);
    assert_int_equal(ops->score(m, &q, low), ERR_OK);
    assert_memory_equal(whole, high, sizeof(whole));
    assert_memory_not_equal(low, high, sizeof(low));
    assert_int_equal(rec_model_set_level(m, 3), ERR_ARG);
    rec_model_free(m);
    rec_data_free(&d);
}

static void mistakes_are_named(void **state)
{
    static const char *const wrong[][3] = {
        {"ranker", "pm", "did you mean"},
        {"base", "rerank", "cannot stand"},
        {"also", "ease,ease,ease,ease", "at most three"},
        {"also", "what", "no model"},
        {"schedule", "once", "means nothing without --sparsity"},
        {"trees", "7", "means nothing to --ranker prm"},
        {"base", "gfcf:dims=3", "did you mean"},
        {"base", "gfcf:dim", "is not OPTION=VALUE"},
        {"pattern", "shfl-bw:9", "V is 8"}};
    struct rec_model *alone = merging("");
    struct rec_data d = case_data(40, 30, 0.3, false, 6);
    const struct rec_model_ops *ops;

    (void)state;
    assert_int_equal(rec_model_find("rerank", &ops), ERR_OK);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct rec_model *m;

        assert_int_equal(rec_model_new(&m, ops), ERR_OK);
        assert_int_equal(
            opt_assign(ops->opts, m->opts, wrong[i][0], wrong[i][1]), ERR_OK);
        assert_int_equal(rec_model_fit(m, &d, NULL), ERR_ARG);
        if (strstr(err_note(), wrong[i][2]) == NULL)
            fail_msg("%s %s: %s", wrong[i][0], wrong[i][1], err_note());
        rec_model_free(m);
    }
    assert_int_equal(rec_model_fit(alone, &d, NULL), ERR_ARG);
    assert_non_null(strstr(err_note(), "--merge means nothing without"));
    rec_model_free(alone);
    rec_data_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_have_no_order),
        cmocka_unit_test(lists_do_not_meet),
        cmocka_unit_test(networks_learn_what_hangs_on_the_list),
        cmocka_unit_test(candidates_are_the_first_stages),
        cmocka_unit_test(merged_candidates_are_the_best_of_all),
        cmocka_unit_test(sparse_networks_are_kept_packed),
        cmocka_unit_test(levels_are_chosen_when_serving),
        cmocka_unit_test(mistakes_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
