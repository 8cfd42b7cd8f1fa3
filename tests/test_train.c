/*
 * tests/test_train.c - looks, early stopping, refit.
 *
 * The model of this test knows the truth, and tells the more of it the nearer
 * its epoch is to PEAK: what is told at one distance is part of what is told
 * at a smaller one, so the watched metric has one top.
 */
#include <stdlib.h>
#include <string.h>

#include "rec/train.h"
#include "tests/rec_cases.h"
#include "tests/store_fake.h"

#define PEAK 7
#define USERS 100
#define ITEMS 60

struct know {
    int64_t epochs;
};

static const struct rec_data *truth;
static size_t rows_seen; /* by the last fit */

static enum err know_fit(struct rec_model *m, const struct rec_data *d,
                         const struct rec_watch *watch)
{
    const struct know *o = m->opts;
    const struct rec_array_spec spec = {"epoch", STO_U32, 1, 1};
    bool stop = false;

    rows_seen = d->n_rows;
    ERR_TRY(rec_model_alloc(m, d, &spec, 1));
    for (m->epochs = 0; m->epochs < (uint64_t)o->epochs && !stop;) {
        *(uint32_t *)rec_model_array(m, "epoch") = (uint32_t)++m->epochs;
        if (watch != NULL)
            ERR_TRY(watch->epoch(watch->arg, m, m->epochs, &stop));
    }
    return ERR_OK;
}

static enum err know_score(const struct rec_model *m, const struct rec_query *q,
                           float *scores)
{
    const int far = abs((int)*(uint32_t *)rec_model_array(m, "epoch") - PEAK);

    memset(scores, 0, q->n * m->n_items * sizeof(*scores));
    for (size_t p = 0; p < q->n; p++) {
        const size_t u = q->user[p];

        for (size_t r = truth->user_ptr[u]; r < truth->user_ptr[u + 1]; r++) {
            if (rng_u32(4, RNG_BOOT, r) % 16 >= (uint32_t)far)
                scores[p * m->n_items + truth->item[r]] = 1;
        }
    }
    return ERR_OK;
}

static const struct opt rows[] = {{"epochs", 0, OPT_INT,
                                   offsetof(struct know, epochs), "14", 1, 1000,
                                   "N", "epochs"},
                                  {.name = NULL}};
static const struct rec_model_ops know = {.name = "know",
                                          .opts = rows,
                                          .opts_bytes = sizeof(struct know),
                                          .iterates = true,
                                          .fit = know_fit,
                                          .score = know_score};
static const struct rec_model_ops closed = {.name = "closed",
                                            .opts = rows,
                                            .opts_bytes = sizeof(struct know),
                                            .fit = know_fit,
                                            .score = know_score};

struct outcome {
    struct rec_train_result result;
    uint32_t epoch;   /* in the weights returned */
    uint64_t epochs;  /* that the model says */
    int64_t option;   /* the option "epochs" afterwards */
    size_t rows_seen; /* by the last fit */
    unsigned char digest[KEY_DIGEST_BYTES];
};

static struct outcome train(const struct rec_model_ops *ops,
                            struct rec_train_opts o)
{
    struct rec_model *m = NULL;
    struct outcome got;

    assert_int_equal(rec_model_new(&m, ops), ERR_OK);
    m->seed = 3;
    if (rec_train(m, truth, &o, &got.result) != ERR_OK)
        fail_msg("%s", err_note());
    got.epoch = *(uint32_t *)rec_model_array(m, "epoch");
    got.epochs = m->epochs;
    got.option = ((struct know *)m->opts)->epochs;
    got.rows_seen = rows_seen;
    rec_model_digest(m, got.digest);
    rec_model_free(m);
    return got;
}

static struct rec_train_opts defaults(void)
{
    struct rec_train_opts o;

    opt_defaults(rec_train_rows, &o);
    return o;
}

static int setup(void **state)
{
    static struct rec_data d;

    (void)state;
    d = case_data(USERS, ITEMS, 0.3, false, 1);
    truth = &d;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rec_data_free((struct rec_data *)truth);
    return 0;
}

static void without_validation_all_rows_and_epochs_are_used(void **state)
{
    const struct outcome got = train(&know, defaults());

    (void)state;
    assert_true(got.epoch == 14 && got.epochs == 14);
    assert_int_equal(got.rows_seen, truth->n_rows);
    assert_true(got.result.best == 0 && got.result.best_epoch == 0);
}

static void the_weights_are_those_of_the_best_look(void **state)
{
    struct rec_train_opts o = defaults();

    (void)state;
    o.validate = 0.2;
    for (o.patience = 1; o.patience < 20; o.patience += 6) {
        const struct outcome got = train(&know, o);

        assert_true(got.epoch == PEAK && got.epochs == PEAK);
        assert_true(got.result.best_epoch == PEAK && got.result.best > 0.9);
        assert_true(got.rows_seen < truth->n_rows);
    }
}

static void the_earliest_of_equal_looks_is_the_best(void **state)
{
    struct rec_train_opts o = defaults();

    (void)state;
    o.validate = 0.2;
    o.every = 2; /* 6 and 8 are equally far from the peak */
    const struct outcome got = train(&know, o);

    assert_true(got.epoch == 6 && got.result.best_epoch == 6);
}

static void a_refit_sees_all_rows_for_the_best_number_of_epochs(void **state)
{
    struct rec_train_opts o = defaults();

    (void)state;
    o.validate = 0.2;
    o.refit = true;
    const struct outcome got = train(&know, o);

    assert_true(got.epoch == PEAK && got.epochs == PEAK);
    assert_int_equal(got.option, PEAK);
    assert_int_equal(got.rows_seen, truth->n_rows);
}

static void a_closed_form_is_looked_at_once(void **state)
{
    struct rec_train_opts o = defaults();

    (void)state;
    o.validate = 0.2;
    const struct outcome got = train(&closed, o);

    assert_true(got.result.best_epoch == 0 && got.result.best > 0);
    assert_true(got.rows_seen < truth->n_rows);
}

static void fewer_epochs_than_a_look_apart_give_one_look(void **state)
{
    struct rec_train_opts o = defaults();

    (void)state;
    o.validate = 0.2;
    o.every = 1000;
    const struct outcome got = train(&know, o);

    assert_true(got.epoch == 14 && got.result.best_epoch == 14);
}

static void a_run_is_deterministic(void **state)
{
    struct rec_train_opts o = defaults();

    (void)state;
    o.validate = 0.3;
    const struct outcome a = train(&know, o), b = train(&know, o);

    assert_memory_equal(a.digest, b.digest, sizeof(a.digest));
    assert_true(a.result.best == b.result.best);
}

static void wrong_metrics_and_empty_parts_are_refused(void **state)
{
    struct rec_train_opts o = defaults();
    struct rec_model *m = NULL;
    struct rec_train_result r = {7, 7};

    (void)state;
    assert_int_equal(rec_model_new(&m, &know), ERR_OK);
    o.validate = 0.2;
    o.metric = "beauty@20";
    assert_int_equal(rec_train(m, truth, &o, &r), ERR_ARG);
    o.metric = "ndcg@20";
    o.validate = 1e-9;
    assert_int_equal(rec_train(m, truth, &o, &r), ERR_ARG);
    assert_true(r.best == 7 && r.best_epoch == 7);
    rec_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_validation_all_rows_and_epochs_are_used),
        cmocka_unit_test(the_weights_are_those_of_the_best_look),
        cmocka_unit_test(the_earliest_of_equal_looks_is_the_best),
        cmocka_unit_test(a_refit_sees_all_rows_for_the_best_number_of_epochs),
        cmocka_unit_test(a_closed_form_is_looked_at_once),
        cmocka_unit_test(fewer_epochs_than_a_look_apart_give_one_look),
        cmocka_unit_test(a_run_is_deterministic),
        cmocka_unit_test(wrong_metrics_and_empty_parts_are_refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
