/* tests/test_store.c - files become rows, rows become histories, and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/import.h"
#include "store/store.h"

static char dir[64], file[80];

static int new_folder(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "test-store-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    (void)snprintf(file, sizeof(file), "%s/rows.txt", dir);
    return 0;
}

static int drop_folder(void **state)
{
    char command[160];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command);
}

static void write_file(const void *text, size_t n)
{
    FILE *f = fopen(file, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static enum err import(const char *text, size_t n, bool skip_bad,
                       struct sto_import_stats *stats)
{
    const struct sto_import_opts opts = {.skip_bad = skip_bad};
    struct sto_import *im;
    struct sto *st;

    write_file(text, n);
    assert_int_equal(sto_import_new(&im, &opts), ERR_OK);
    enum err e = sto_import_read(im, file);

    if (e == ERR_OK) {
        e = sto_open(&st, dir, STO_WRITE);
        if (e == ERR_OK)
            e = sto_import_commit(im, st, stats);
        sto_close(st);
    }
    sto_import_free(im);
    return e;
}

/* Every row as "user item value time;" in canonical order. */
static char dump[4096];

struct dumper {
    struct sto_view *v;
};

static enum err dump_history(void *arg, const struct sto_history *h)
{
    struct dumper *d = arg;
    struct sto_entity user, item;

    assert_int_equal(sto_get_entity(d->v, STO_USERS, h->user, &user), ERR_OK);
    for (size_t r = 0; r < h->n; r++) {
        const size_t used = strlen(dump);

        assert_int_equal(sto_get_entity(d->v, STO_ITEMS, h->item[r], &item),
                         ERR_OK);
        (void)snprintf(dump + used, sizeof(dump) - used, "%s %s %g %lld;",
                       user.id, item.id,
                       h->value != NULL ? (double)h->value[r] : 1.0,
                       h->time != NULL ? (long long)h->time[r] : -1LL);
    }
    return ERR_OK;
}

static void dump_store(void)
{
    struct sto *st;
    struct dumper d;

    dump[0] = '\0';
    assert_int_equal(sto_open(&st, dir, STO_READ), ERR_OK);
    assert_int_equal(sto_view_open(&d.v, st), ERR_OK);
    assert_int_equal(sto_each_history(d.v, STO_TRAIN, dump_history, &d),
                     ERR_OK);
    sto_view_close(d.v);
    sto_close(st);
}

/* --- what people bring -------------------------------------------------------
 */

static const struct {
    const char *text;
    uint64_t read, stored, users, items;
} good[] = {
    {"1 10 11\n2 10\n3\n", 3, 3, 2, 2}, /* adjacency */
    {"1\t10\t5\t881250949\n1\t11\t3\t891717742\n", 2, 2, 1, 2},
    {"1::10::5::978300760\n2::10::3::978302109\n", 2, 2, 2, 1},
    {"userId,movieId,rating,timestamp\n1,10,4.5,1\r\n2,11,3,2\n", 2, 2, 2, 2},
    {"\xef\xbb\xbfuser;item\na;b\n", 1, 1, 1, 1},
    {"user_id:token\titem_id:token\trating:float\nx\ty\t4\n", 1, 1, 1, 1},
    {"userID\tartistID\tweight\n2\t51\t13883\n", 1, 1, 1, 1},
    {"a,b\nc,d", 2, 2, 2, 2}, /* no header, no last line end */
    {"user,item\n\"o,ne\",\"say \"\"hi\"\"\"\n", 1, 1, 1, 1},
    {"a,b,1\na,b,2\na,b,2\n", 3, 1, 1, 1}, /* duplicates */
};

static void every_layout_is_recognised(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct sto_import_stats s = {0};

        assert_int_equal(new_folder(NULL), 0);
        if (import(good[i].text, strlen(good[i].text), false, &s) != ERR_OK)
            fail_msg("case %zu: %s", i, err_note());
        assert_int_equal(s.read, good[i].read);
        assert_int_equal(s.stored, good[i].stored);
        assert_int_equal(s.duplicates, good[i].read - good[i].stored);
        assert_int_equal(s.users, good[i].users);
        assert_int_equal(s.items, good[i].items);
        assert_int_equal(drop_folder(NULL), 0);
    }
}

static void bad_rows_are_left_out_when_asked(void **state)
{
    static const char text[] = "user,item,rating\na,b,abc\na,c,4\nx\n";
    struct sto_import_stats s;

    (void)state;
    assert_int_equal(import(text, sizeof(text) - 1, true, &s), ERR_OK);
    assert_int_equal(s.stored, 1);
    assert_int_equal(s.skipped, 2);
}

static void a_long_line_is_refused(void **state)
{
    char *text = malloc(10 << 20);
    struct sto_import_stats s;

    (void)state;
    assert_non_null(text);
    memset(text, 'a', 10 << 20);
    assert_int_equal(import(text, 10 << 20, false, &s), ERR_FORMAT);
    assert_non_null(strstr(err_note(), ":1: the line is longer than"));
    free(text);
}

/* --- what is kept
 * --------------------------------------------------------------- */

static void the_order_of_arrival_does_not_matter(void **state)
{
    static const char *const part[2][2] = {
        {"a,x,1,5\na,y,2,6\nb,x,3,7\n", "a,x,4,5\nc,z,1,1\nb,x,9,2\n"},
        {"b,x,9,2\nc,z,1,1\na,x,4,5\n", "b,x,3,7\na,y,2,6\na,x,1,5\n"}};
    char first[4096];
    struct sto_import_stats s;

    (void)state;
    for (int order = 0; order < 2; order++) {
        assert_int_equal(new_folder(NULL), 0);
        for (int k = 0; k < 2; k++)
            assert_int_equal(
                import(part[order][k], strlen(part[order][k]), false, &s),
                ERR_OK);
        dump_store();
        if (order == 0)
            memcpy(first, dump, sizeof(first));
        assert_int_equal(drop_folder(NULL), 0);
    }
    assert_string_equal(first, dump);
    assert_non_null(strstr(dump, "a x 4 5;")); /* same time: greater value */
    assert_non_null(strstr(dump, "b x 3 7;")); /* later time */
}

static void a_split_moves_rows_and_loses_none(void **state)
{
    static const char text[] = "a,1\na,2\na,3\na,4\na,5\nb,1\nb,2\nc,9\n";
    struct sto_import_stats s;
    struct sto_counts c;
    struct sto_view *v;
    struct sto *st;
    uint64_t moved;

    (void)state;
    assert_int_equal(import(text, sizeof(text) - 1, false, &s), ERR_OK);
    assert_int_equal(sto_open(&st, dir, STO_WRITE), ERR_OK);
    assert_int_equal(sto_split_rows(st, 0.4, false, 1, &moved), ERR_OK);
    assert_int_equal(moved, 3); /* 2 of 5, 1 of 2, 0 of 1 */
    assert_int_equal(sto_split_rows(st, 0.4, false, 1, &moved), ERR_ARG);
    assert_int_equal(sto_view_open(&v, st), ERR_OK);
    assert_int_equal(sto_count(v, &c), ERR_OK);
    assert_int_equal(c.train, 5);
    assert_int_equal(c.test, 3);
    sto_view_close(v);
    sto_close(st);
}

static void models_come_back_as_they_were(void **state)
{
    float weight[6] = {1, 2, 3, 4, 5, 6};
    struct sto_array a = {"w", STO_F32, 2, 3, weight};
    struct sto_model m = {.name = "m-1",
                          .model = "ease",
                          .seed = 7,
                          .shards = 1,
                          .seconds = .5},
                     got;
    struct sto_weights w;
    struct sto_view *v;
    struct sto *st;

    (void)state;
    m.options = mem_text("{\"reg\":2}");
    sto_arrays_digest(&a, 1, m.digest);
    assert_int_equal(sto_open(&st, dir, STO_WRITE), ERR_OK);
    assert_int_equal(sto_model_put(st, &m, &a, 1), ERR_OK);
    assert_int_equal(sto_view_open(&v, st), ERR_OK);
    assert_int_equal(sto_model_get(v, "m-1", &got), ERR_OK);
    assert_string_equal(got.options, m.options);
    assert_memory_equal(got.digest, m.digest, sizeof(m.digest));
    assert_int_equal(sto_weights_open(v, "m-1", &w), ERR_OK);
    assert_int_equal(w.n, 1);
    assert_memory_equal(w.array[0].data, weight, sizeof(weight));
    sto_weights_close(&w);
    sto_model_free(&got);
    assert_int_equal(sto_model_get(v, "m1", &got), ERR_NOTFOUND);
    assert_non_null(strstr(err_note(), "did you mean \"m-1\""));
    sto_view_close(v);
    assert_int_equal(sto_model_remove(st, "m-1"), ERR_OK);
    assert_int_equal(sto_model_remove(st, "m-1"), ERR_NOTFOUND);
    m.name[0] = '/';
    assert_int_equal(sto_model_put(st, &m, &a, 1), ERR_ARG);
    sto_model_free(&m);
    sto_close(st);
}

static void an_unknown_format_version_is_refused_by_name(void **state)
{
    const uint32_t version = 99;
    MDB_val key = {6, (void *)(uintptr_t) "format"};
    MDB_val val = {4, (void *)(uintptr_t)&version};
    struct sto *st;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;

    (void)state;
    assert_int_equal(sto_open(&st, dir, STO_WRITE), ERR_OK);
    sto_close(st);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 8), 0);
    assert_int_equal(mdb_env_open(env, dir, 0, 0666), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "meta", 0, &dbi), 0);
    assert_int_equal(mdb_put(txn, dbi, &key, &val, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    assert_int_equal(sto_open(&st, dir, STO_READ), ERR_FORMAT);
    assert_non_null(strstr(err_note(), "format version 99"));
}

static void a_missing_store_is_named(void **state)
{
    struct sto *st;

    (void)state;
    assert_int_equal(sto_open(&st, "no-such-folder", STO_READ), ERR_NOTFOUND);
    assert_non_null(strstr(err_note(), "no-such-folder"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layout_is_recognised),
        cmocka_unit_test_setup_teardown(bad_rows_are_left_out_when_asked,
                                        new_folder, drop_folder),
        cmocka_unit_test_setup_teardown(a_long_line_is_refused, new_folder,
                                        drop_folder),
        cmocka_unit_test(the_order_of_arrival_does_not_matter),
        cmocka_unit_test_setup_teardown(a_split_moves_rows_and_loses_none,
                                        new_folder, drop_folder),
        cmocka_unit_test_setup_teardown(models_come_back_as_they_were,
                                        new_folder, drop_folder),
        cmocka_unit_test_setup_teardown(
            an_unknown_format_version_is_refused_by_name, new_folder,
            drop_folder),
        cmocka_unit_test(a_missing_store_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
