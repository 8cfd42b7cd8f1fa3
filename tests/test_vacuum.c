/*
 * tests/test_vacuum.c - the data file written anew: what it holds depends on
 * the records alone; views and other openers come to no harm.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "store/forget.h"
#include "store/pages.h"
#include "store/vacuum.h"
#include "tests/forget_case.h"

static char dir[2][64]; /* two stores */

static int new_stores(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(dir[i], sizeof(dir[i]), "/tmp/recd-vacuum-XXXXXX");
        assert_non_null(mkdtemp(dir[i]));
    }
    return 0;
}

static int drop_stores(void **state)
{
    char line[200];

    (void)state;
    (void)snprintf(line, sizeof(line), "rm -rf %s %s", dir[0], dir[1]);
    return system(line);
}

static void vacuum(const char *where)
{
    struct sto_vacuumed n;
    struct sto *st;

    assert_int_equal(sto_open(&st, where, STO_WRITE), ERR_OK);
    if (sto_vacuum(st, &n) != ERR_OK)
        fail_msg("%s", err_note());
    assert_true(n.before > 0 && n.after > 0);
    sto_close(st);
}

static enum err drop_two(void *arg, struct sto_txn *t)
{
    struct sto_removed n = {0};

    (void)arg;
    for (size_t u = 3; u < 5; u++)
        ERR_TRY(
            sto_drop_user(t, key_of(case_user(u), strlen(case_user(u))), &n));
    return ERR_OK;
}

static unsigned char *file_of(const char *where, size_t *n)
{
    char path[200];
    unsigned char *bytes;
    struct stat s;
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/data.mdb", where);
    assert_int_equal(stat(path, &s), 0);
    *n = (size_t)s.st_size;
    bytes = malloc(*n);
    f = fopen(path, "rb");
    assert_true(bytes != NULL && f != NULL);
    assert_int_equal(fread(bytes, 1, *n, f), *n);
    assert_int_equal(fclose(f), 0);
    return bytes;
}

/* The numbers of transactions, and which of the two meta pages is the newer,
 * are what is left of the past. */
static void hide_numbers(unsigned char *file)
{
    struct sto_page_meta m[2];

    for (size_t i = 0; i < 2; i++) {
        memcpy(&m[i], file + i * 4096 + STO_PAGE_HEADER, sizeof(m[i]));
        assert_int_equal(m[i].magic, STO_PAGE_MAGIC);
    }
    const bool newer = m[1].txn > m[0].txn;

    m[0].txn = m[1].txn = 0;
    for (size_t i = 0; i < 2; i++)
        memcpy(file + i * 4096 + STO_PAGE_HEADER, &m[newer ? 1 - i : i],
               sizeof(m[i]));
}

static void a_store_that_forgot_equals_one_that_never_knew(void **state)
{
    struct forget_case c;
    struct sto *st;
    size_t n[2];

    (void)state;
    case_fill(&c, 1);
    case_import(dir[0], &c);
    assert_int_equal(sto_open(&st, dir[0], STO_WRITE), ERR_OK);
    assert_int_equal(sto_write(st, drop_two, NULL), ERR_OK);
    sto_close(st);
    for (size_t u = 3; u < 5; u++)
        memset(c.row[u], 0, sizeof(c.row[u]));
    case_import(dir[1], &c);
    vacuum(dir[0]);
    vacuum(dir[1]);

    unsigned char *a = file_of(dir[0], &n[0]), *b = file_of(dir[1], &n[1]);

    hide_numbers(a);
    hide_numbers(b);
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(a, b, n[0]);
    free(a);
    free(b);
}

static uint64_t people(const char *where)
{
    struct sto_counts n;
    struct sto_view *v;
    struct sto *st;

    assert_int_equal(sto_open(&st, where, STO_READ), ERR_OK);
    assert_int_equal(sto_view_open(&v, st), ERR_OK);
    assert_int_equal(sto_count(v, &n), ERR_OK);
    sto_view_close(v);
    sto_close(st);
    return n.users;
}

/* Written to after a vacuum, however many transactions came before. */
static void a_rewritten_store_goes_on(void **state)
{
    struct forget_case c;

    (void)state;
    case_fill(&c, 2);
    for (size_t i = 0; i < 5; i++) {
        struct sto *st;

        case_import(dir[0], &c);
        if (i % 2 == 1) { /* an odd number of transactions more */
            assert_int_equal(sto_open(&st, dir[0], STO_WRITE), ERR_OK);
            assert_int_equal(sto_write(st, drop_two, NULL), ERR_OK);
            sto_close(st);
        }
        vacuum(dir[0]);
        assert_int_equal(people(dir[0]),
                         i % 2 == 1 ? CASE_USERS - 2 : CASE_USERS);
    }
}

/* Who had the store open is told, and loses no change. */
static void another_opener_is_told(void **state)
{
    struct forget_case c;
    struct sto_view *v;
    int status, ready[2], done[2];
    char one = 0;
    struct sto *st;
    pid_t child;

    (void)state;
    case_fill(&c, 3);
    case_import(dir[0], &c);
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(done), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (sto_open(&st, dir[0], STO_WRITE) != ERR_OK ||
            write(ready[1], &one, 1) != 1 || read(done[0], &one, 1) != 1)
            _exit(1);
        if (sto_view_open(&v, st) != ERR_STALE ||
            strstr(err_note(), "open it again") == NULL)
            _exit(2);
        if (sto_write(st, drop_two, NULL) != ERR_STALE)
            _exit(3);
        sto_close(st);
        _exit(0);
    }
    assert_int_equal(read(ready[0], &one, 1), 1);
    vacuum(dir[0]);
    assert_int_equal(write(done[1], &one, 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(people(dir[0]), CASE_USERS);
    for (size_t i = 0; i < 2; i++) {
        (void)close(ready[i]);
        (void)close(done[i]);
    }
}

/* A view that is open keeps the old file until it is closed. */
static void a_view_is_waited_for(void **state)
{
    struct sto_history h;
    struct forget_case c;
    struct sto_view *v;
    int status, ready[2];
    struct sto *st;
    char one = 0;
    pid_t child;

    (void)state;
    case_fill(&c, 4);
    case_import(dir[0], &c);
    assert_int_equal(pipe(ready), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const uint64_t key = key_of(case_user(3), strlen(case_user(3)));

        if (sto_open(&st, dir[0], STO_READ) != ERR_OK ||
            sto_view_open(&v, st) != ERR_OK || write(ready[1], &one, 1) != 1)
            _exit(1);
        (void)nanosleep(&(struct timespec){0, 700000000}, NULL);
        if (sto_get_history(v, STO_TRAIN, key, &h) != ERR_OK || h.n == 0)
            _exit(2);
        sto_view_close(v);
        sto_close(st);
        _exit(0);
    }
    assert_int_equal(read(ready[0], &one, 1), 1);
    vacuum(dir[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    (void)close(ready[0]);
    (void)close(ready[1]);
}

static enum err count_one(void *arg, struct sto_txn *t)
{
    (void)arg;
    return sto_removals_add(t);
}

/* Openers and writers beside a process that rewrites the store again and
 * again: an opening never fails, and what was said to be written is there. */
static void no_change_is_lost_beside_it(void **state)
{
    uint64_t written = 0, there = 0;
    struct forget_case c;
    struct sto_view *v;
    struct sto *st;
    int status = 0;
    pid_t child;

    (void)state;
    case_fill(&c, 6);
    case_import(dir[0], &c);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        for (size_t i = 0; i < 40; i++)
            vacuum(dir[0]);
        _exit(0);
    }
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (sto_open(&st, dir[0], STO_WRITE) != ERR_OK)
            fail_msg("%s", err_note());
        const enum err e = sto_write(st, count_one, NULL);

        assert_true(e == ERR_OK || e == ERR_STALE);
        written += e == ERR_OK;
        sto_close(st);
    }
    assert_int_equal(status, 0);
    assert_true(written > 0);
    assert_int_equal(sto_open(&st, dir[0], STO_READ), ERR_OK);
    assert_int_equal(sto_view_open(&v, st), ERR_OK);
    assert_int_equal(sto_removals(v, &there), ERR_OK);
    assert_int_equal(there, written);
    sto_view_close(v);
    sto_close(st);
    assert_int_equal(people(dir[0]), CASE_USERS);
}

/* --- keys that only branch pages hold ----------------------------------------
 */

#define MANY 4000

static uint64_t many_key(bool item, size_t u)
{
    char id[40];

    (void)snprintf(id, sizeof(id), item ? "thing-of-%zu" : "person-%zu", u);
    return key_of(id, strlen(id));
}

/* People enough for branch pages, each with a thing that nobody else has. */
static void import_many(const char *where)
{
    const struct sto_import_opts opts = {.format = STO_CSV};
    struct sto_import_stats stats;
    struct sto_import *im;
    struct sto *st;
    char path[200];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s.csv", where);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs("user,item\n", f);
    for (size_t u = 0; u < MANY; u++)
        fprintf(f, "person-%zu,thing-of-%zu\nperson-%zu,all\n", u, u, u);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(sto_open(&st, where, STO_WRITE), ERR_OK);
    assert_int_equal(sto_import_new(&im, &opts), ERR_OK);
    assert_int_equal(sto_import_read(im, path), ERR_OK);
    assert_int_equal(sto_import_commit(im, st, &stats), ERR_OK);
    sto_import_free(im);
    sto_close(st);
    assert_int_equal(unlink(path), 0);
}

static enum err drop_some(void *arg, struct sto_txn *t)
{
    const size_t *from = arg;
    struct sto_removed n = {0};

    for (size_t u = *from; u < *from + 50; u++)
        ERR_TRY(sto_drop_user(t, many_key(false, u), &n));
    return n.users == 50 && n.items == 50 ? ERR_OK : ERR_FORMAT;
}

static uint64_t hits_of(const char *where, size_t from, size_t n)
{
    unsigned char bytes[200][8];
    struct sto_pattern p[200];
    struct sto_scan out;
    struct sto *st;

    for (size_t k = 0; k < 2 * n; k++) {
        const uint64_t key = many_key(k % 2 == 1, from + k / 2);

        for (size_t b = 0; b < 8; b++)
            bytes[k][b] = (unsigned char)(key >> (56 - 8 * b));
        p[k] = (struct sto_pattern){bytes[k], 8};
    }
    assert_int_equal(sto_open(&st, where, STO_READ), ERR_OK);
    assert_int_equal(sto_scan_files(st, p, 2 * n, &out), ERR_OK);
    sto_close(st);
    return out.hits;
}

/* The least key of a page stands in the page above it too, and deleting it
 * leaves it there. */
static void no_key_is_left_in_branch_pages(void **state)
{
    size_t rewritten = 0;

    (void)state;
    import_many(dir[0]);
    assert_true(hits_of(dir[0], 0, 100) >= 200);
    for (size_t from = 0; from < MANY / 2; from += 50) {
        struct sto_scrubbed done;
        struct sto *st;

        assert_int_equal(sto_open(&st, dir[0], STO_WRITE), ERR_OK);
        assert_int_equal(sto_write(st, drop_some, &from), ERR_OK);
        sto_close(st);
        if (sto_erase(dir[0], &done) != ERR_OK)
            fail_msg("%s", err_note());
        rewritten += done.keys > 0;
        assert_int_equal(hits_of(dir[0], from, 50), 0);
        assert_int_equal(people(dir[0]), MANY - from - 50);
    }
    assert_true(rewritten > 0); /* else the case was not met */
}

#define VACUUM_TEST(name)                                                      \
    cmocka_unit_test_setup_teardown(name, new_stores, drop_stores)

int main(void)
{
    const struct CMUnitTest tests[] = {
        VACUUM_TEST(a_store_that_forgot_equals_one_that_never_knew),
        VACUUM_TEST(a_rewritten_store_goes_on),
        VACUUM_TEST(another_opener_is_told),
        VACUUM_TEST(a_view_is_waited_for),
        VACUUM_TEST(no_change_is_lost_beside_it),
        VACUUM_TEST(no_key_is_left_in_branch_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
