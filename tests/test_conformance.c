/*
 * tests/test_conformance.c - what every model of the table promises; of bits
 * and of memory: test_conformance_bits.c, test_conformance_memory.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rec/metrics.h"
#include "rec/model.h"
#include "rec/rank.h"
#include "tests/model_cases.h"
#include "tests/store_fake.h"

static void every_model_is_complete(void **state)
{
    (void)state;
    EACH_MODEL(o)
    {
        const struct rec_model_ops *found = NULL;

        assert_true(o->name && o->help && o->fit && o->fit_bytes);
        assert_true((o->score != NULL) != (o->embed != NULL));
        assert_true((o->item_vectors != NULL) == (o->embed != NULL));
        assert_int_equal(rec_model_find(o->name, &found), ERR_OK);
        assert_ptr_equal(found, o);
    }
}

static void a_mistyped_name_gets_a_suggestion(void **state)
{
    const struct rec_model_ops *found = NULL;

    (void)state;
    assert_int_equal(rec_model_find("itemkn", &found), ERR_ARG);
    assert_non_null(strstr(err_note(), "did you mean \"itemknn\""));
    assert_null(found);
}

static void a_trained_model_has_the_universe_of_its_data(void **state)
{
    struct rec_data d = case_data(USERS, ITEMS, 0.2, false, 1);

    (void)state;
    EACH_MODEL(o)
    {
        struct rec_model *m = model_fit(o, &d);

        assert_true(m->n_users == USERS && m->n_items == ITEMS);
        assert_memory_equal(m->user_key, d.user_key, USERS * 8);
        assert_memory_equal(m->item_key, d.item_key, ITEMS * 8);
        size_t exact = 0;

        for (size_t i = 0; i < ITEMS; i++) {
            uint32_t n = 0;

            for (size_t r = 0; r < d.n_rows; r++)
                n += d.item[r] == i;
            exact += m->popularity[i] == n;
        }
        /* a private model does not give the numbers away */
        assert_true(o->secretive ? exact < ITEMS / 2 : exact == ITEMS);
        assert_true(o->fit_bytes(&d, m->opts) > 0);
        assert_true(o->iterates ? m->epochs > 0 : m->epochs == 0);
        if (o->embed != NULL) {
            size_t dim = 0;

            assert_non_null(o->item_vectors(m, &dim));
            assert_true(dim > 0);
        }
        rec_model_free(m);
    }
    rec_data_free(&d);
}

/* --- storing ----------------------------------------------------------------
 */

static void a_stored_model_comes_back_whole(void **state)
{
    struct rec_data d = case_data(USERS, ITEMS, 0.2, false, 4);

    (void)state;
    EACH_MODEL(o)
    {
        struct rec_model *m = model_fit(o, &d), *back = NULL;
        struct sto_model info = {.name = "mine"}, found;
        static uint32_t want[USERS * 7], got[USERS * 7];
        struct digest a = digest_of(m), b;

        assert_int_equal(rec_model_save(m, NULL, &info), ERR_OK);
        assert_memory_equal(info.digest, &a, sizeof(a));
        assert_int_equal(rec_model_open(&back, NULL, "mine", &found), ERR_OK);
        b = digest_of(back);
        assert_digest(o, &a, &b, "after storing");
        assert_string_equal(found.model, o->name);
        assert_string_equal(found.options, info.options);
        assert_true(back->seed == m->seed && back->epochs == m->epochs);
        assert_int_equal(rec_rank_users(m, &d, 0, USERS, 7, true, want, NULL),
                         ERR_OK);
        assert_int_equal(rec_rank_users(back, &d, 0, USERS, 7, true, got, NULL),
                         ERR_OK);
        assert_memory_equal(want, got, sizeof(want));
        rec_model_free(back);
        rec_model_free(m);
        sto_model_free(&info);
        sto_model_free(&found);
    }
    assert_int_equal(rec_model_open(NULL, NULL, "other", NULL), ERR_NOTFOUND);
    fake_forget();
    rec_data_free(&d);
}

static void wrong_shapes_in_a_file_are_refused(void **state)
{
    struct rec_data d = case_data(USERS, ITEMS, 0.2, false, 4);

    (void)state;
    EACH_MODEL(o)
    {
        struct rec_model *m = model_fit(o, &d);
        struct sto_model info = {.name = "mine"};
        const size_t n = m->n_arrays;

        assert_int_equal(rec_model_save(m, NULL, &info), ERR_OK);
        for (size_t i = 0; i < n; i++) {
            struct rec_model *back = NULL;
            const struct sto_array good = fake.array[i];

            fake.array[i].rows /= 2; /* too short; people may be fewer in
                                        models that keep nothing of them */
            if (i > 0 &&
                rec_model_open(&back, NULL, "mine", NULL) != ERR_FORMAT)
                fail_msg("%s: a short %s was accepted", o->name, good.name);
            fake.array[i] = good;
            fake.array[i].name[0] = '?'; /* missing */
            if (rec_model_open(&back, NULL, "mine", NULL) != ERR_FORMAT)
                fail_msg("%s: no %s, and accepted", o->name, good.name);
            fake.array[i] = good;
            assert_null(back);
        }
        rec_model_free(m);
        sto_model_free(&info);
    }
    fake_forget();
    rec_data_free(&d);
}

/* Some other value that row r accepts. */
static void change_option(const struct opt *r, struct rec_model *m)
{
    static const char *const tries[] = {"false", "true", "3",   "2",
                                        "1",     "0.25", "0.5", "1000"};
    char now[64];

    opt_value_text(r, m->opts, now, sizeof(now));
    for (size_t i = 0; i < 8; i++) {
        if (strcmp(tries[i], now) != 0 &&
            opt_assign(m->ops->opts, m->opts, r->name, tries[i]) == ERR_OK)
            return;
    }
}

static void options_survive_json(void **state)
{
    (void)state;
    EACH_MODEL(o)
    {
        struct rec_model *m = model_new(o), *back = model_new(o);
        char *want = NULL, *got = NULL;

        for (const struct opt *r = o->opts; r && r->name; r++)
            change_option(r, m);
        assert_int_equal(rec_model_options_json(m, &want), ERR_OK);
        assert_int_equal(rec_model_options_parse(back, want), ERR_OK);
        assert_int_equal(rec_model_options_json(back, &got), ERR_OK);
        assert_string_equal(want, got);
        assert_int_equal(rec_model_options_parse(back, "[1]"), ERR_FORMAT);
        assert_int_equal(rec_model_options_parse(back, "{"), ERR_FORMAT);
        free(want);
        free(got);
        rec_model_free(m);
        rec_model_free(back);
    }
}

/* --- sense ------------------------------------------------------------------
 */

static void strangers_are_served_by_their_history(void **state)
{
    struct rec_data d = case_data(USERS, ITEMS, 0.2, false, 7);
    const uint32_t user[2] = {REC_NOBODY, REC_NOBODY};
    const uint32_t history[3] = {1, 3, 50};
    const size_t ptr[3] = {0, 3, 3};
    const struct rec_query q = {2, user, ptr, history, NULL, NULL};

    (void)state;
    EACH_MODEL(o)
    {
        struct rec_model *m = model_fit(o, &d);
        uint32_t list[2 * ITEMS];
        float score[2 * ITEMS];

        assert_int_equal(rec_rank(m, &q, ITEMS, true, list, score), ERR_OK);
        for (size_t r = 0; r < ITEMS - 3; r++) {
            assert_true(list[r] < ITEMS && list[r] != 1 && list[r] != 3 &&
                        list[r] != 50);
            assert_true(score[r] - score[r] == 0);
        }
        assert_true(list[ITEMS - 3] == REC_NOBODY);
        for (size_t r = ITEMS + 1; r < 2 * ITEMS; r++)
            assert_true(m->popularity[list[r - 1]] >= m->popularity[list[r]]);
        rec_model_free(m);
    }
    rec_data_free(&d);
}

/* Person u of d joins (or leaves) the counts. */
static void count_person(struct rec_counts *c, const struct rec_model *m,
                         const struct rec_data *d, size_t u, bool joins)
{
    const size_t first = d->user_ptr[u], n = d->user_ptr[u + 1] - first;
    const uint64_t w = m->ops->pair_weight(m->opts, n);
    const struct rec_count_change change = {d->item + first, n,
                                            joins ? w : 0 - w};

    rec_counts_change(c, &change, 1);
}

/* People come in any order, others come and go: the bits are those of training
 * on the rows. */
static void counts_give_the_same_bits_as_rows(void **state)
{
    struct rec_data d = case_data(USERS, ITEMS, 0.15, false, 3);
    struct rec_data other = case_data(USERS, ITEMS, 0.3, false, 4);
    size_t order[USERS], tried = 0;

    (void)state;
    rng_sample(1, RNG_SHUFFLE, USERS, USERS, order);
    EACH_MODEL(o)
    {
        struct rec_counts c;

        if (o->fit_counts == NULL)
            continue;
        struct rec_model *a = model_fit(o, &d), *b = model_new(o);

        assert_int_equal(rec_counts_new(&c, ITEMS), ERR_OK);
        for (size_t k = 0; k < USERS; k++)
            count_person(&c, b, &other, k, true);
        for (size_t k = 0; k < USERS; k++) {
            count_person(&c, b, &d, order[k], true);
            count_person(&c, b, &other, USERS - 1 - k, false);
        }
        assert_int_equal(rec_model_fit_counts(b, &d, &c), ERR_OK);
        const struct digest x = digest_of(a), y = digest_of(b);

        assert_digest(o, &x, &y, "from counts");
        rec_counts_free(&c);
        rec_model_free(a);
        rec_model_free(b);
        tried++;
    }
    assert_true(tried >= 2);
    rec_data_free(&d);
    rec_data_free(&other);
}

static void every_model_beats_chance_on_rows_held_out(void **state)
{
    struct rec_data d = case_data(300, ITEMS, 0.25, false, 8), fit, held;
    uint8_t *keep = mem_array(d.n_rows, 1);
    const size_t cut = 10;

    (void)state;
    case_times(&d, 9);
    rec_data_holdout(&d, 0.2, 1, keep);
    assert_int_equal(rec_data_subset(&fit, &d, keep), ERR_OK);
    for (size_t r = 0; r < d.n_rows; r++)
        keep[r] = !keep[r];
    assert_int_equal(rec_data_subset(&held, &d, keep), ERR_OK);
    variant = WHOLE; /* models have their own defaults here */
    EACH_OF_VARIANT(o)
    {
        struct rec_model *m = NULL; /* with its own defaults */
        struct rec_report got;

        assert_int_equal(rec_model_new(&m, o), ERR_OK);
        /* networks that read sequences need not end to be seen learning */
        if (takes(o, "length", NULL))
            assert_int_equal(opt_assign(o->opts, m->opts, "epochs", "20"),
                             ERR_OK);
        assert_int_equal(rec_model_fit(m, &fit, NULL), ERR_OK);
        assert_int_equal(rec_evaluate(m, &fit, &held, &cut, 1, &got), ERR_OK);
        /* chance: 10 of about 68 candidates */
        if (!(got.value[0][REC_RECALL] > 1.3 * 10 / 68))
            fail_msg("%s: recall@10 is %.3f", o->name,
                     got.value[0][REC_RECALL]);
        rec_model_free(m);
    }
    free(keep);
    rec_data_free(&fit);
    rec_data_free(&held);
    rec_data_free(&d);
}

static void tiny_data_are_no_accident(void **state)
{
    static const size_t shape[][2] = {{1, 1}, {1, 5}, {3, 1}, {2, 2}};

    (void)state;
    for (size_t c = 0; c < 4; c++) {
        struct rec_data d = case_data(shape[c][0], shape[c][1], 9, false, 1);

        EACH_MODEL(o)
        {
            struct rec_model *m = model_new(o);
            uint32_t list[3 * 4];
            const enum err e = rec_model_fit(m, &d, NULL);

            if (e != ERR_OK && e != ERR_ARG)
                fail_msg("%s on %zu x %zu: %s", o->name, shape[c][0],
                         shape[c][1], err_note());
            if (e == ERR_OK)
                assert_int_equal(
                    rec_rank_users(m, &d, 0, shape[c][0], 4, false, list, NULL),
                    ERR_OK);
            rec_model_free(m);
        }
        rec_data_free(&d);
    }
}

static void no_rows_are_refused_with_a_reason(void **state)
{
    struct rec_data d = case_data(3, 3, 0, false, 1);

    (void)state;
    EACH_MODEL(o)
    {
        struct rec_model *m = model_new(o);

        assert_int_equal(rec_model_fit(m, &d, NULL), ERR_ARG);
        rec_model_free(m);
    }
    rec_data_free(&d);
}

static enum err stop_at_two(void *arg, struct rec_model *m, uint64_t epoch,
                            bool *stop)
{
    uint64_t *last = arg;

    (void)m;
    assert_int_equal(epoch, *last + 1);
    *last = epoch;
    *stop = epoch == 2;
    return ERR_OK;
}

/* A schedule of sparse training ends where its epochs end. */
static void a_watch_sees_each_epoch_and_may_stop(void **state)
{
    struct rec_data d = case_data(USERS, ITEMS, 0.2, false, 9);

    (void)state;
    EACH_MODEL(o)
    {
        struct rec_model *m = model_new(o);
        uint64_t last = 0;
        const struct rec_watch watch = {stop_at_two, &last};

        assert_int_equal(rec_model_fit(m, &d, &watch), ERR_OK);
        assert_int_equal(last, o->iterates && variant == WHOLE ? 2 : 0);
        assert_int_equal(m->epochs, !o->iterates       ? 0
                                    : variant == WHOLE ? 2
                                                       : 3);
        rec_model_free(m);
    }
    rec_data_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_model_is_complete),
        cmocka_unit_test(a_mistyped_name_gets_a_suggestion),
        cmocka_unit_test(a_trained_model_has_the_universe_of_its_data),
        cmocka_unit_test(a_stored_model_comes_back_whole),
        cmocka_unit_test(wrong_shapes_in_a_file_are_refused),
        cmocka_unit_test(options_survive_json),
        cmocka_unit_test(strangers_are_served_by_their_history),
        cmocka_unit_test(counts_give_the_same_bits_as_rows),
        cmocka_unit_test(every_model_beats_chance_on_rows_held_out),
        cmocka_unit_test(tiny_data_are_no_accident),
        cmocka_unit_test(no_rows_are_refused_with_a_reason),
        cmocka_unit_test(a_watch_sees_each_epoch_and_may_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
