/* tests/test_import_bad.c - deliberately broken files: the exact sentence, and
 * a store that is as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/mem.h"
#include "store/import.h"
#include "store/store.h"

static char dir[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "test-bad-XXXXXX");
    return mkdtemp(dir) == NULL || chdir(dir) != 0 ? -1 : 0;
}

static int teardown(void **state)
{
    char command[160];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    return chdir("..") != 0 ? -1 : system(command);
}

static void put(const char *name, const void *bytes, size_t n)
{
    FILE *f = fopen(name, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static enum err import(const char *name, const struct sto_import_opts *opts,
                       struct sto_import_stats *stats)
{
    struct sto_import *im;
    struct sto *st;

    assert_int_equal(sto_import_new(&im, opts), ERR_OK);
    enum err e = sto_import_read(im, name);

    if (e == ERR_OK) {
        assert_int_equal(sto_open(&st, "store", STO_WRITE), ERR_OK);
        e = sto_import_commit(im, st, stats);
        sto_close(st);
    }
    sto_import_free(im);
    return e;
}

static void import_good(void)
{
    const struct sto_import_opts opts = {.skip_bad = false};
    struct sto_import_stats stats;

    put("good.csv", "user,item\na,b\n", 14);
    assert_int_equal(import("good.csv", &opts, &stats), ERR_OK);
}

static uint64_t rows_now(void)
{
    struct sto_counts c;
    struct sto_view *v;
    struct sto *st;

    assert_int_equal(sto_open(&st, "store", STO_READ), ERR_OK);
    assert_int_equal(sto_view_open(&v, st), ERR_OK);
    assert_int_equal(sto_count(v, &c), ERR_OK);
    sto_view_close(v);
    sto_close(st);
    return c.train;
}

#define TEXT(s) s, sizeof(s) - 1

static const struct bad {
    const char *name, *bytes;
    size_t n;
    const char *sentence;
} table[] = {
    {"empty.csv", TEXT(""), "empty.csv: the file is empty"},
    {"nul.csv", TEXT("user,item\na,\0b\nc,d\n"),
     "nul.csv:2: a NUL byte: this is not a text file"},
    {"range.csv", TEXT("user,item,rating\na,b,1e999\n"),
     "range.csv:2: column 3: rating \"1e999\" is not a number (use --skip-bad to "
     "leave such rows out)"},
    {"word.csv", TEXT("user,item,rating\na,b,good\n"),
     "word.csv:2: column 3: rating \"good\" is not a number (use --skip-bad to "
     "leave such rows out)"},
    {"time.csv",
     TEXT("user,item,rating,timestamp\na,b,3,99999999999999999999\n"),
     "time.csv:2: column 4: timestamp \"99999999999999999999\" is out of range "
     "(use --skip-bad to leave such rows out)"},
    {"cols.csv", TEXT("user,item,rating\na,b,3\na,c\n"),
     "cols.csv:3: 2 columns where 3 are expected (use --skip-bad to leave such "
     "rows out)"},
    {"quote.csv", TEXT("user,item\n\"a,b\n"),
     "quote.csv:2: the quotes do not match, or a quoted cell holds a line break "
     "(use --skip-bad to leave such rows out)"},
    {"mac.csv", TEXT("user,item\ra,b\rc,d\r"),
     "mac.csv:1: the lines end with CR alone: turn them into LF first (tr "
     "'\\r' '\\n' <FILE >NEW)"},
    {"names.csv", TEXT("person,thing\n7,8\n"),
     "names.csv:1: cannot tell which column is the user and which the item "
     "(say it with --columns user,item,rating,timestamp; - skips a column)"},
    {"half.csv", TEXT("user,rating\na,4\n"),
     "half.csv:1: cannot tell which column is the user and which the item "
     "(say it with --columns user,item,rating,timestamp; - skips a column)"},
    {"letters.csv", TEXT("u,i,r\na,b,1\n"),
     "letters.csv:1: cannot tell which column is the user and which the item "
     "(say it with --columns user,item,rating,timestamp; - skips a column)"},
    {"monday.csv", TEXT("user,item,timestamp\na,b,monday\n"),
     "monday.csv:2: column 3: timestamp \"monday\" is not a number of seconds "
     "(--columns can skip the column) (use --skip-bad to leave such rows out)"},
    {"big.csv", TEXT("user,item,rating\na,b,1e99\n"),
     "big.csv:2: column 3: rating \"1e99\" is out of range (use --skip-bad to "
     "leave such rows out)"},
    {"none.csv", TEXT("user,item\n,b\n"),
     "none.csv:2: column 1: the user is empty (use --skip-bad to leave such "
     "rows out)"},
    {"atomic.inter", TEXT("user_id:token\titem_id:token\na\n"),
     "atomic.inter:2: 1 columns where 2 are expected (use --skip-bad to leave "
     "such rows out)"},
};

static void each_mistake_is_named_with_file_and_line(void **state)
{
    const struct sto_import_opts opts = {.skip_bad = false};
    struct sto_import_stats stats;

    (void)state;
    import_good();
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        put(table[i].name, table[i].bytes, table[i].n);
        assert_int_equal(import(table[i].name, &opts, &stats), ERR_FORMAT);
        assert_string_equal(err_note(), table[i].sentence);
        assert_int_equal(rows_now(), 1);
    }
}

static void bad_rows_can_be_left_out(void **state)
{
    const struct sto_import_opts opts = {.skip_bad = true};
    struct sto_import_stats stats;

    (void)state;
    put("some.csv",
        TEXT("user,item,rating\na,b,3\na,c\nd,e,x\nf,g,1e999\nh,i,2\n"));
    assert_int_equal(import("some.csv", &opts, &stats), ERR_OK);
    assert_int_equal(stats.stored, 2);
    assert_int_equal(stats.skipped, 3);
}

static void a_gz_file_that_is_cut_off_is_refused(void **state)
{
    const struct sto_import_opts opts = {.skip_bad = false};
    struct sto_import_stats stats;
    unsigned char bytes[4096];
    gzFile z = gzopen("whole.csv.gz", "wb");

    (void)state;
    assert_non_null(z);
    gzputs(z, "user,item\n");
    for (int i = 0; i < 200; i++)
        gzprintf(z, "u%d,i%d\n", i * 7919 % 1000, i);
    assert_int_equal(gzclose(z), Z_OK);
    FILE *f = fopen("whole.csv.gz", "rb");
    const size_t n = fread(bytes, 1, sizeof(bytes), f);

    fclose(f);
    import_good();
    for (size_t cut = 11; cut < n; cut += 37) {
        put("cut.csv.gz", bytes, cut);
        assert_int_equal(import("cut.csv.gz", &opts, &stats), ERR_FORMAT);
        assert_non_null(strstr(err_note(), "cut.csv.gz:"));
        assert_non_null(strstr(err_note(), "damaged or cut off"));
        assert_int_equal(rows_now(), 1);
    }
    assert_int_equal(import("whole.csv.gz", &opts, &stats), ERR_OK);
    assert_int_equal(stats.stored, 200);
}

static void a_line_of_ten_megabytes_is_refused(void **state)
{
    const struct sto_import_opts opts = {.skip_bad = false};
    struct sto_import_stats stats;
    const size_t n = 10 << 20;
    char *line = mem_array(n + 16, 1);

    (void)state;
    memcpy(line, "user,item\n", 10);
    memset(line + 10, 'x', n);
    memcpy(line + 10 + n, ",b\n", 3);
    put("long.csv", line, n + 13);
    free(line);
    assert_int_equal(import("long.csv", &opts, &stats), ERR_FORMAT);
    assert_string_equal(err_note(), "long.csv:2: the line is longer than "
                                    "1048576 bytes: this is not a table of "
                                    "rows");
}

static void what_is_odd_but_right_is_read(void **state)
{
    const struct sto_import_opts opts = {.skip_bad = false};
    struct sto_import_stats stats;
    static const struct bad odd[] = {
        {"ends.csv", TEXT("user,item\r\na,b\nc,d\r\ne,f"), NULL},
        {"mark.csv", TEXT("\357\273\277user,item\na,b\nc,d\ne,f\n"), NULL},
        {"latin.csv", TEXT("user,item\na,caf\351\nb,x\nc,y\n"), NULL},
    };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        put(odd[i].name, odd[i].bytes, odd[i].n);
        assert_int_equal(import(odd[i].name, &opts, &stats), ERR_OK);
        assert_int_equal(stats.read, 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            each_mistake_is_named_with_file_and_line, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_rows_can_be_left_out, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_gz_file_that_is_cut_off_is_refused,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_line_of_ten_megabytes_is_refused,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_odd_but_right_is_read, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
