/*
 * tests/test_correct.c - the first of two tiers: models that serve corrected
 * while their repair is still to come (docs/unlearning.md).
 */
#include "tests/forget_case.h"

#include <fcntl.h>
#include <math.h>

#include "base/mem.h"
#include "store/forget.h"
#include "unlearn/correct.h"

static char dir[64], other[80];

static int new_folders(void **state)
{
    (void)state;
    return case_folders(dir, sizeof(dir), other, sizeof(other), "test-correct");
}

static int drop_folders(void **state)
{
    (void)state;
    remove_folder(dir);
    remove_folder(other);
    return 0;
}

static const char *const with_reg[] = {"reg", "20", NULL};
static const char *const weighed[] = {"reg", "2", "user-exponent", "0.5", NULL};

static void train(const char *where, const char *model,
                  const char *const *options)
{
    struct unl_plan p;

    opt_defaults(unl_plan_rows, &p);
    case_train(where, model, model, options, &p, NULL);
}

/* Forget and leave the repair for later; how many models serve corrected. */
static size_t defer(const struct unl_request *r, size_t n)
{
    json_t *report = NULL;

    if (unl_forget(dir, r, n, false, true, &report) != ERR_OK)
        fail_msg("%s", err_note());
    const size_t corrected =
        json_array_size(json_object_get(report, "interim"));

    assert_true(json_is_true(json_object_get(report, "pending")));
    json_decref(report);
    return corrected;
}

static void repair(void)
{
    json_t *report = NULL;

    assert_int_equal(unl_forget_finish(dir, true, &report), ERR_OK);
    assert_non_null(report);
    json_decref(report);
}

static enum sto_state state_of(const char *name)
{
    struct sto_model info = {0};
    struct sto_view *v;
    struct sto *st;

    assert_int_equal(sto_open(&st, dir, STO_READ), ERR_OK);
    assert_int_equal(sto_view_open(&v, st), ERR_OK);
    assert_int_equal(sto_model_get(v, name, &info), ERR_OK);
    const enum sto_state s = info.state;

    sto_model_free(&info);
    sto_view_close(v);
    sto_close(st);
    return s;
}

static void same_digest(const char *name)
{
    unsigned char a[KEY_DIGEST_BYTES], b[KEY_DIGEST_BYTES];

    assert_true(case_digest(dir, name, a) && case_digest(other, name, b));
    assert_memory_equal(a, b, sizeof(a));
}

/* The same keys and counts; weights that differ by at most `most` of the
 * largest. */
static void nearly_same(const char *name, double most)
{
    struct rec_model *a, *b;
    struct sto_view *v[2];
    struct sto *st[2];

    assert_int_equal(sto_open(&st[0], dir, STO_READ), ERR_OK);
    assert_int_equal(sto_open(&st[1], other, STO_READ), ERR_OK);
    assert_int_equal(sto_view_open(&v[0], st[0]), ERR_OK);
    assert_int_equal(sto_view_open(&v[1], st[1]), ERR_OK);
    if (rec_model_open(&a, v[0], name, NULL) != ERR_OK)
        fail_msg("%s", err_note());
    assert_int_equal(rec_model_open(&b, v[1], name, NULL), ERR_OK);
    assert_int_equal(a->n_arrays, b->n_arrays);
    for (size_t i = 0; i < a->n_arrays; i++) {
        const struct sto_array *x = &a->array[i], *y = &b->array[i];
        const size_t n = (size_t)(x->rows * x->cols);
        double worst = 0, largest = 0;

        assert_int_equal(x->rows, y->rows);
        assert_int_equal(x->cols, y->cols);
        if (x->type != STO_F32) {
            assert_memory_equal(x->data, y->data, n * sto_type_bytes(x->type));
            continue;
        }
        for (size_t k = 0; k < n; k++) {
            const double p = (double)((const float *)x->data)[k];
            const double q = (double)((const float *)y->data)[k];

            worst = fmax(worst, fabs(p - q));
            largest = fmax(largest, fabs(q));
        }
        if (!(worst <= most * largest))
            fail_msg("%s: %s differs by %g of %g", name, x->name, worst,
                     largest);
    }
    rec_model_free(a);
    rec_model_free(b);
    for (size_t i = 0; i < 2; i++) {
        sto_view_close(v[i]);
        sto_close(st[i]);
    }
}

/* --- as good as trained without them ----------------------------------------
 */

/* What is asked for leaves c. */
static void leave(struct forget_case *c, const struct unl_request *r, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        for (size_t u = 0; u < CASE_USERS; u++) {
            for (size_t i = 0; i < CASE_ITEMS; i++) {
                const bool who =
                    r[k].user != NULL && strcmp(r[k].user, case_user(u)) == 0;
                const bool what =
                    r[k].item != NULL && strcmp(r[k].item, case_item(i)) == 0;

                if ((who || r[k].user == NULL) && (what || r[k].item == NULL))
                    c->row[u][i] = false;
            }
        }
    }
}

/* Forget, look at what serves, repair, look at the bits. */
static void served_and_certified(const struct unl_request *r, size_t n,
                                 const char *const *options, double most)
{
    struct forget_case c;

    remove_folder(dir);
    remove_folder(other);
    case_fill(&c, 7);
    memset(c.row[13], 0, sizeof(c.row[13])); /* whom alone item 19 has met */
    for (size_t u = 0; u < CASE_USERS; u++)
        c.row[u][19] = u == 13;
    case_import(dir, &c);
    train(dir, "ease", options);
    train(dir, "pop", NULL);
    assert_int_equal(defer(r, n), 2);
    assert_int_equal(state_of("ease"), STO_INTERIM);
    leave(&c, r, n);
    case_import(other, &c);
    train(other, "ease", options);
    train(other, "pop", NULL);
    nearly_same("ease", most);
    nearly_same("pop", 0);
    repair();
    assert_int_equal(state_of("ease"), STO_WHOLE);
    same_digest("ease");
    same_digest("pop");
}

static void people_rows_items_and_batches_are_corrected(void **state)
{
    const struct unl_request alone[] = {{UNL_USER, case_user(13), NULL, 0}},
                             one[] = {{UNL_USER, case_user(3), NULL, 0}},
                             row[] = {{UNL_INTERACTION, case_user(4),
                                       case_item(4), 0}},
                             item[] = {{UNL_ITEM, NULL, case_item(7), 0}},
                             batch[] = {{UNL_USER, case_user(3), NULL, 0},
                                        {UNL_INTERACTION, case_user(4),
                                         case_item(4), 0},
                                        {UNL_ITEM, NULL, case_item(7), 0},
                                        {UNL_USER, case_user(13), NULL, 0},
                                        {UNL_ITEM, NULL, case_item(0), 0},
                                        {UNL_USER, case_user(21), NULL, 0}};

    (void)state;
    served_and_certified(one, 1, with_reg, 2e-5);
    served_and_certified(alone, 1, with_reg, 2e-5); /* an item goes along */
    served_and_certified(row, 1, with_reg, 2e-5);
    served_and_certified(item, 1, with_reg, 2e-5);
    served_and_certified(batch, 6, with_reg, 2e-5);
    served_and_certified(one, 1, weighed, 2e-5);
    served_and_certified(row, 1, weighed, 2e-5); /* weighs more afterwards */
    served_and_certified(item, 1, weighed, 2e-5);
    served_and_certified(batch, 6, weighed, 2e-5);
}

/* More columns than are added row by row. */
static void many_people_are_corrected_at_once(void **state)
{
    struct unl_request r[14];

    (void)state;
    for (size_t i = 0; i < 14; i++)
        r[i] = (struct unl_request){UNL_USER, case_user(2 * i), NULL, 0};
    served_and_certified(r, 14, with_reg, 2e-5);
}

/* Without --reg the ridge hangs on the number of rows: the correction leaves it
 * at what it was, and is as far off as the ridge has moved. */
static void a_ridge_that_hangs_on_the_rows_is_left_to_the_repair(void **state)
{
    const struct unl_request one[] = {{UNL_USER, case_user(3), NULL, 0}};

    (void)state;
    served_and_certified(one, 1, NULL, 0.05);
}

/* --- when not ---------------------------------------------------------------
 */

static void a_model_of_other_rows_is_left_to_the_repair(void **state)
{
    const struct unl_request one[] = {{UNL_USER, case_user(3), NULL, 0}};
    struct forget_case c, more = {0};

    (void)state;
    case_fill(&c, 8);
    c.row[5][1] = false;
    case_import(dir, &c);
    train(dir, "ease", with_reg);
    more.row[5][1] = c.row[5][1] = true; /* after the training */
    case_import(dir, &more);
    assert_int_equal(defer(one, 1), 0);
    assert_int_equal(state_of("ease"), STO_WHOLE);
    repair();
    leave(&c, one, 1);
    case_import(other, &c);
    train(other, "ease", with_reg);
    same_digest("ease");
}

static void a_model_that_somebody_has_open_is_not_touched(void **state)
{
    const struct unl_request one[] = {{UNL_USER, case_user(3), NULL, 0}};
    struct forget_case c;
    struct rec_model *m;
    struct sto_view *v;
    struct sto *st;

    (void)state;
    case_fill(&c, 8);
    case_import(dir, &c);
    train(dir, "ease", with_reg);
    assert_int_equal(sto_open(&st, dir, STO_READ), ERR_OK);
    assert_int_equal(sto_view_open(&v, st), ERR_OK);
    assert_int_equal(rec_model_open(&m, v, "ease", NULL), ERR_OK);
    sto_view_close(v);
    sto_close(st);
    assert_int_equal(defer(one, 1), 0);
    assert_int_equal(state_of("ease"), STO_WHOLE);
    rec_model_free(m);
    repair();
    leave(&c, one, 1);
    case_import(other, &c);
    train(other, "ease", with_reg);
    same_digest("ease");
}

/* Their rows are back before the repair: the digest of the rows is that of
 * before, and the model is made anew all the same. */
static void who_comes_back_before_the_repair_is_learnt_anew(void **state)
{
    const struct unl_request one[] = {{UNL_USER, case_user(3), NULL, 0}};
    struct forget_case c, again = {0};

    (void)state;
    case_fill(&c, 9);
    case_import(dir, &c);
    train(dir, "ease", with_reg);
    assert_int_equal(defer(one, 1), 1);
    memcpy(again.row[3], c.row[3], sizeof(c.row[3]));
    case_import(dir, &again);
    repair();
    case_import(other, &c);
    train(other, "ease", with_reg);
    same_digest("ease");
    assert_int_equal(state_of("ease"), STO_WHOLE);
}

/* --- what is left on the disk -----------------------------------------------
 */

/* While their model waits for its repair, no file holds the person's key. */
static void the_corrected_file_has_no_key_of_theirs(void **state)
{
    const struct unl_request one[] = {{UNL_USER, case_user(13), NULL, 0}};
    const uint64_t key = key_of(case_user(13), strlen(case_user(13)));
    const struct sto_pattern p = {&key, sizeof(key)};
    struct sto_scan before, after;
    struct forget_case c;
    struct sto *st;

    (void)state;
    case_fill(&c, 10);
    case_import(dir, &c);
    train(dir, "ease", with_reg);
    assert_int_equal(sto_open(&st, dir, STO_READ), ERR_OK);
    assert_int_equal(sto_scan_files(st, &p, 1, &before), ERR_OK);
    sto_close(st);
    assert_true(before.hits > 0);
    assert_int_equal(defer(one, 1), 1);
    assert_int_equal(sto_open(&st, dir, STO_READ), ERR_OK);
    assert_int_equal(sto_scan_files(st, &p, 1, &after), ERR_OK);
    sto_close(st);
    assert_int_equal(after.hits, 0);
}

/* Set the byte that says what a file holds. */
static void mark(const char *name, enum sto_state s)
{
    char path[400], line[500];
    const unsigned char byte = (unsigned char)s;
    FILE *f;

    (void)snprintf(line, sizeof(line), "ls %s/models/%s-*.w", dir, name);
    f = popen(line, "r");
    assert_non_null(f);
    assert_non_null(fgets(path, sizeof(path), f));
    assert_int_equal(pclose(f), 0);
    path[strcspn(path, "\n")] = '\0';
    const int fd = open(path, O_WRONLY);

    assert_int_equal(pwrite(fd, &byte, 1, 6), 1);
    assert_int_equal(close(fd), 0);
}

static void a_torn_model_serves_nobody_and_is_made_anew(void **state)
{
    const struct unl_request one[] = {{UNL_USER, case_user(3), NULL, 0}};
    struct forget_case c;
    struct rec_model *m;
    struct sto_view *v;
    struct sto *st;
    bool torn;

    (void)state;
    case_fill(&c, 11);
    case_import(dir, &c);
    train(dir, "ease", with_reg);
    assert_int_equal(defer(one, 1), 1);
    mark("ease", STO_TORN);
    assert_int_equal(sto_open(&st, dir, STO_READ), ERR_OK);
    assert_int_equal(sto_view_open(&v, st), ERR_OK);
    assert_int_equal(rec_model_open(&m, v, "ease", NULL), ERR_STALE);
    assert_non_null(strstr(err_note(), "recd repair"));
    sto_view_close(v);
    sto_close(st);
    assert_int_equal(unl_correct_torn(dir, &torn), ERR_OK);
    assert_true(torn);
    repair();
    assert_int_equal(unl_correct_torn(dir, &torn), ERR_OK);
    assert_false(torn);
    leave(&c, one, 1);
    case_import(other, &c);
    train(other, "ease", with_reg);
    same_digest("ease");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, new_folders, drop_folders)
        TEST(people_rows_items_and_batches_are_corrected),
        TEST(many_people_are_corrected_at_once),
        TEST(a_ridge_that_hangs_on_the_rows_is_left_to_the_repair),
        TEST(a_model_of_other_rows_is_left_to_the_repair),
        TEST(a_model_that_somebody_has_open_is_not_touched),
        TEST(who_comes_back_before_the_repair_is_learnt_anew),
        TEST(the_corrected_file_has_no_key_of_theirs),
        TEST(a_torn_model_serves_nobody_and_is_made_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
