/* tests/test_ready.c - ready-made lists: reading, order, metrics. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rec/ready.h"
#include "tests/rec_cases.h"

static enum err read_text(struct rec_ready *r, const char *text)
{
    char path[] = "/tmp/recd-test-ready-XXXXXX";
    FILE *f = fdopen(mkstemp(path), "w");

    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    const enum err e = rec_ready_read(r, path);

    assert_int_equal(remove(path), 0);
    return e;
}

static void files_are_read(void **state)
{
    struct rec_ready r;

    (void)state;
    assert_int_equal(read_text(&r, "# a word\n"
                                   "2 qid:a 1:0.5 3:-1e-1\n"
                                   "\n"
                                   "0 qid:a\t2:7 # attract=.5 stay=.25\n"
                                   "1 qid:b 1:1\n"
                                   "0 qid:a 5:2\n"),
                     ERR_OK);
    assert_int_equal(r.n, 3); /* a list ends where another qid comes */
    assert_int_equal(r.n_rows, 4);
    assert_int_equal(r.features, 5);
    assert_int_equal(r.most, 2);
    assert_int_equal(r.ptr[1], 2);
    assert_int_equal(r.at[1], 2);
    assert_int_equal(r.feature[1], 3);
    assert_true(fabsf(r.value[1] + 0.1F) < 1e-7F);
    assert_true(r.label[0] > 1.5F);
    assert_null(r.attract); /* not of all items */
    rec_ready_free(&r);
}

static void mistakes_name_their_line(void **state)
{
    static const char *const wrong[][2] = {
        {"1 1:2\n", ":1: qid:N is wanted"},
        {"1 qid:1 1:2\nx qid:1 1:2\n", ":2: a label"},
        {"-1 qid:1 1:2\n", ":1: a label"},
        {"31 qid:1 1:2\n", ":1: a label"},
        {"1 qid:1 0:2\n", "numbers from 1"},
        {"1 qid:1 1.5:2\n", "numbers from 1"},
        {"1 qid:1 100001:2\n", "numbers from 1"},
        {"1 qid:1 2:1 2:1\n", "must ascend"},
        {"1 qid:1 1:nan\n", "is no number"},
        {"1 qid:1 1:1e99\n", "is no number"},
        {"1 qid:1 1\n", "NUMBER:VALUE"},
        {"1 qid:1234567890123456789012345678901234567890123456789012345678901"
         "2345 1:1\n",
         "too long"},
        {"1 qid:1\n", "no lists with features"},
        {"", "no lists with features"}};
    char *long_list = mem_array(600, 16);

    (void)state;
    for (size_t k = 0; k < sizeof(wrong) / sizeof(wrong[0]); k++) {
        struct rec_ready r;

        if (read_text(&r, wrong[k][0]) != ERR_FORMAT ||
            strstr(err_note(), wrong[k][1]) == NULL)
            fail_msg("%s: %s", wrong[k][0], err_note());
    }
    assert_non_null(long_list);
    for (size_t k = 0, at = 0; k < 513; k++)
        at += (size_t)snprintf(long_list + at, 600 * 16 - at, "0 qid:1 1:1\n");
    struct rec_ready r;

    assert_int_equal(read_text(&r, long_list), ERR_FORMAT);
    assert_non_null(strstr(err_note(), ":513: a list has more than 512"));
    free(long_list);
}

/* Features are brought to mean 0; the score orders lists; without one they are
 * shuffled, the same way for the same seed. */
static void lists_are_taken_in_the_first_stages_order(void **state)
{
    struct rec_ready_how how = {.score = 2, .category = 3, .seed = 4};
    struct mem_scratch s = {0};
    struct rec_ready_lists l[3];
    struct rec_ready r;
    size_t moved = 0;

    (void)state;
    assert_int_equal(read_text(&r, "0 qid:1 1:1 2:.1 3:8\n"
                                   "1 qid:1 1:2 2:.9 3:9\n"
                                   "0 qid:1 1:3 2:.5 3:8\n"
                                   "0 qid:2 1:4 2:.5\n"
                                   "0 qid:2 1:5 2:.5\n"
                                   "1 qid:2 1:6 2:.5\n"
                                   "0 qid:2 1:7 2:.5\n"),
                     ERR_OK);
    assert_int_equal(rec_ready_take(&l[0], &s, &r, &how, 4, 3, NULL), ERR_OK);
    assert_int_equal(l[0].t.n, 2);
    assert_int_equal(l[0].row[0], 1);
    assert_int_equal(l[0].row[1], 2);
    assert_int_equal(l[0].row[2], 0);
    assert_true(l[0].row[3] == SIZE_MAX);
    assert_int_equal(l[0].category[0], 9);
    assert_true(l[0].t.label[0] > 0.5F);
    for (size_t k = 4; k < 8; k++) /* ties as they stand */
        assert_int_equal(l[0].row[k], k - 1);
    for (size_t f = 0; f < l[0].t.features; f++) {
        double sum = 0;

        for (size_t k = 0; k < 8; k++)
            sum += (double)l[0].t.x[k * l[0].t.features + f];
        assert_true(fabs(sum) < 1e-5);
    }
    how.score = 0;
    for (size_t k = 1; k < 3; k++)
        assert_int_equal(rec_ready_take(&l[k], &s, &r, &how, 4, 3, NULL),
                         ERR_OK);
    assert_memory_equal(l[1].row, l[2].row, 8 * sizeof(size_t));
    for (how.seed = 5; how.seed < 9; how.seed++) {
        assert_int_equal(rec_ready_take(&l[2], &s, &r, &how, 4, 3, NULL),
                         ERR_OK);
        moved += memcmp(l[1].row, l[2].row, 8 * sizeof(size_t)) != 0;
    }
    assert_true(moved >= 2);
    rec_ready_free(&r);
    mem_drop(&s);
}

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-6;
}

/* Four items, the second and the last taken, categories 1 1 2 1. */
static void metrics_by_hand(void **state)
{
    const struct rec_ready_how how = {.score = 1, .category = 2};
    const size_t cut[2] = {2, 4};
    const float turned[4] = {1, 2, 3, 4}; /* the last first */
    struct mem_scratch s = {0};
    struct rec_ready_report o;
    struct rec_ready_lists l;
    struct rec_ready r;
    const double log3 = log2(3), log5 = log2(5);

    (void)state;
    assert_int_equal(read_text(&r, "0 qid:1 1:4 2:1\n"
                                   "2 qid:1 1:3 2:1\n"
                                   "0 qid:1 1:2 2:2\n"
                                   "1 qid:1 1:1 2:1\n"),
                     ERR_OK);
    assert_int_equal(rec_ready_take(&l, &s, &r, &how, 4, 2, NULL), ERR_OK);
    assert_int_equal(rec_ready_measure(&r, &l, NULL, &l, cut, 2, &o), ERR_OK);
    assert_true(near(o.value[0][REC_READY_NDCG], 3 / log3 / (3 + 1 / log3)));
    assert_true(near(o.value[1][REC_READY_NDCG],
                     (3 / log3 + 1 / log5) / (3 + 1 / log3)));
    assert_true(near(o.value[0][REC_READY_MAP], 0.5)); /* hits inside alone */
    assert_true(near(o.value[1][REC_READY_MAP], 0.5));
    assert_true(near(o.value[0][REC_READY_CLICKS], 1));
    assert_true(near(o.value[1][REC_READY_CLICKS], 2));
    assert_true(near(o.value[0][REC_READY_ILAD], 0));
    assert_true(near(o.value[1][REC_READY_ILAD], 0.5));
    assert_true(
        near(o.value[0][REC_READY_ERR_IA], (0.5 + 0.5 / 3) / (0.5 + 0.125)));
    assert_true(near(o.value[1][REC_READY_UTILITY], 2)); /* all where it was */
    assert_true(isnan(o.expected));
    assert_int_equal(rec_ready_measure(&r, &l, turned, &l, cut, 2, &o), ERR_OK);
    assert_true(near(o.value[0][REC_READY_MAP], 1));
    assert_true(near(o.value[1][REC_READY_MAP], (1 + 2.0 / 3) / 2));
    /* from place 4 to 1 and from 2 to 3: nobody clicked on 1 and 3 there, the
     * counts are 1 and 1 on 2 and 4 */
    assert_true(fabs(o.value[0][REC_READY_UTILITY] / 1e-6 - 1) < 1e-3);
    rec_ready_free(&r);
    mem_drop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_read),
        cmocka_unit_test(mistakes_name_their_line),
        cmocka_unit_test(lists_are_taken_in_the_first_stages_order),
        cmocka_unit_test(metrics_by_hand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
