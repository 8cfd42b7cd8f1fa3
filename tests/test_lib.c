/* tests/test_lib.c - a program that knows nothing but recd.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/recd.h"

static char dir[64], file[80];

/* Training rows, or test rows of the same people and items. */
static void write_rows(const char *path, int test)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs("user,item\n", f);
    for (int u = 0; u < 40; u++) {
        for (int i = 0; i < 24; i++) {
            const int met = (u + i) % 3 == 0 || i % 10 == u % 10;

            if (test ? !met && (u + i) % 3 == 1 && i % 4 == 0 : met)
                fprintf(f, "u%d,i%d\n", u, i);
        }
    }
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "test-lib-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    (void)snprintf(file, sizeof(file), "%s/rows.csv", dir);
    return 0;
}

static int teardown(void **state)
{
    char command[160];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command);
}

static struct recd_store *filled_as(enum recd_mode mode)
{
    struct recd_store *s;
    struct recd_imported in;

    assert_int_equal(recd_store_open(&s, dir, mode), RECD_OK);
    write_rows(file, 0);
    assert_int_equal(recd_import(s, file, NULL, RECD_TRAIN, &in), RECD_OK);
    assert_int_equal(in.users, 40);
    assert_true(in.stored > 300);
    write_rows(file, 1);
    assert_int_equal(recd_import(s, file, "csv", RECD_TEST, NULL), RECD_OK);
    return s;
}

static struct recd_store *filled(void)
{
    return filled_as(RECD_WRITE);
}

static void from_a_file_to_recommendations(void **state)
{
    static const char *const options[] = {"dim", "8", "seed", "3", NULL};
    struct recd_store *s = filled();
    struct recd_trained t;
    struct recd_metrics q;
    struct recd_model *m;
    struct recd_item list[5];
    size_t n = 5;

    (void)state;
    assert_int_equal(recd_train(s, "ials", "mine", options, &t), RECD_OK);
    assert_int_equal(strlen(t.digest), 64);
    assert_true(t.epochs > 0);
    assert_int_equal(recd_train(s, "pop", NULL, NULL, NULL), RECD_OK);
    assert_int_equal(recd_evaluate(s, "pop", 5, &q), RECD_OK);
    assert_int_equal(q.users, 40);
    assert_true(q.recall > 0 && q.recall <= 1);
    assert_int_equal(recd_model_open(&m, s, "mine"), RECD_OK);
    assert_int_equal(recd_recommend(m, "u7", 0, list, &n), RECD_OK);
    assert_int_equal(n, 5);
    for (size_t r = 1; r < n; r++)
        assert_true(list[r - 1].score >= list[r].score);
    for (size_t r = 0; r < n; r++)
        assert_int_not_equal(strcmp(list[r].id, "i7"), 0); /* u7 has met it */
    recd_model_close(m);
    assert_int_equal(recd_remove(s, "pop"), RECD_OK);
    assert_int_equal(recd_remove(s, "pop"), RECD_NOTFOUND);
    recd_store_close(s);
}

static void the_forgotten_are_not_served(void **state)
{
    static const char *const users[] = {"u3", "u4"};
    struct recd_store *s = filled();
    struct recd_item list[5];
    struct recd_model *m;
    uint64_t number = 0;
    size_t n = 5;

    (void)state;
    assert_int_equal(recd_train(s, "ease", NULL, NULL, NULL), RECD_OK);
    assert_int_equal(recd_forget_users(s, users, 2, &number), RECD_OK);
    assert_int_equal(number, 1);
    assert_int_equal(recd_model_open(&m, s, "ease"), RECD_OK);
    assert_int_equal(recd_recommend(m, "u3", 0, list, &n), RECD_NOTFOUND);
    assert_int_equal(recd_recommend(m, "u5", 0, list, &n), RECD_OK);
    recd_model_close(m);
    recd_store_close(s);
}

static void errors_are_sentences(void **state)
{
    struct recd_store *s;

    (void)state;
    assert_int_equal(recd_store_open(&s, "no-such-store", RECD_READ),
                     RECD_NOTFOUND);
    assert_non_null(strstr(recd_error(), "no-such-store"));
    s = filled();
    assert_int_equal(recd_train(s, "eese", NULL, NULL, NULL), RECD_USAGE);
    assert_non_null(strstr(recd_error(), "did you mean \"ease\""));
    recd_store_close(s);
    assert_int_equal(recd_store_open(&s, dir, RECD_READ), RECD_OK);
    assert_int_equal(recd_train(s, "ease", NULL, NULL, NULL), RECD_USAGE);
    recd_store_close(s);
}

/* Nobody's id is in its data file, and all else is as in the others. */
static void an_encrypted_store_works_as_any_other(void **state)
{
    struct recd_trained plain, sealed;
    struct recd_store *s = filled();
    const char *gone[] = {"u7"};
    struct recd_model *m;
    struct recd_item list[5];
    char command[200];
    size_t n = 5;

    (void)state;
    assert_int_equal(recd_train(s, "ease", NULL, NULL, &plain), RECD_OK);
    recd_store_close(s);
    assert_int_equal(recd_store_open(&s, dir, RECD_WRITE_ENCRYPTED),
                     RECD_USAGE);
    (void)snprintf(command, sizeof(command), "rm -rf %s/*", dir);
    assert_int_equal(system(command), 0);
    s = filled_as(RECD_WRITE_ENCRYPTED);
    assert_int_equal(recd_train(s, "ease", NULL, NULL, &sealed), RECD_OK);
    assert_string_equal(plain.digest, sealed.digest);
    recd_store_close(s);
    assert_int_equal(recd_store_open(&s, dir, RECD_WRITE), RECD_OK);
    assert_int_equal(recd_model_open(&m, s, "ease"), RECD_OK);
    assert_int_equal(recd_recommend(m, "u7", 0, list, &n), RECD_OK);
    assert_int_equal(n, 5);
    recd_model_close(m);
    assert_int_equal(recd_forget_users(s, gone, 1, NULL), RECD_OK);
    assert_int_equal(recd_model_open(&m, s, "ease"), RECD_OK);
    assert_int_equal(recd_recommend(m, "u7", 0, list, &n), RECD_NOTFOUND);
    recd_model_close(m);
    recd_store_close(s);
    assert_int_equal(recd_store_open(&s, dir, RECD_WRITE_ENCRYPTED), RECD_OK);
    recd_store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(from_a_file_to_recommendations, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_forgotten_are_not_served, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_encrypted_store_works_as_any_other,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(errors_are_sentences, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
