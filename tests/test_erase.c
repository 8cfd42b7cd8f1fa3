/*
 * tests/test_erase.c - promises of docs/erasure.md and docs/unlearning.md that
 * have no other test: what a deletion alone leaves, what erasing refuses to
 * guess, who is waited for, what is not searched for, what a batch costs.
 */
#include "tests/forget_case.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <time.h>

#include "store/forget.h"
#include "store/pages.h"
#include "unlearn/cert.h"

static char dir[64];

static int new_folder(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "test-erase-XXXXXX");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int drop_folder(void **state)
{
    char command[100];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command);
}

static uint64_t hits_of(const char *id)
{
    const struct sto_pattern p = {id, strlen(id)};
    struct sto_scan out;
    struct sto *st;

    assert_int_equal(sto_open(&st, dir, STO_READ), ERR_OK);
    assert_int_equal(sto_scan_files(st, &p, 1, &out), ERR_OK);
    sto_close(st);
    return out.hits;
}

static enum err drop_one(void *arg, struct sto_txn *t)
{
    const size_t *u = arg;
    struct sto_removed n = {0};

    return sto_drop_user(t, key_of(case_user(*u), strlen(case_user(*u))), &n);
}

/* Why sto_erase() exists: LMDB leaves what it deletes. */
static void a_deletion_alone_leaves_bytes_that_erasing_takes(void **state)
{
    struct sto_scrubbed done;
    struct forget_case c;
    struct sto *st;
    size_t left = 0;

    (void)state;
    case_fill(&c, 1);
    case_import(dir, &c);
    for (size_t u = 0; u < 10; u++) {
        assert_true(hits_of(case_user(u)) > 0);
        assert_int_equal(sto_open(&st, dir, STO_WRITE), ERR_OK);
        assert_int_equal(sto_write(st, drop_one, &u), ERR_OK);
        sto_close(st);
        left += hits_of(case_user(u)) > 0;
        if (sto_erase(dir, &done) != ERR_OK)
            fail_msg("%s", err_note());
        assert_int_equal(hits_of(case_user(u)), 0);
        assert_true(hits_of(case_user(u + 1)) > 0);
    }
    assert_true(left > 5); /* else there was nothing to erase */
}

/* Change (or give back) the flags of a leaf page with somebody's id in it;
 * false when the page is none. */
static bool change_flags(FILE *f, long page, uint16_t from, uint16_t to)
{
    static const char id[] = "canary-person";
    unsigned char bytes[4096];
    struct sto_page h;

    assert_int_equal(fseek(f, page * 4096, SEEK_SET), 0);
    if (fread(bytes, sizeof(bytes), 1, f) != 1)
        return false;
    memcpy(&h, bytes, sizeof(h));
    if (h.flags != from || h.number != (uint64_t)page ||
        memmem(bytes, sizeof(bytes), id, strlen(id)) == NULL)
        return false;
    h.flags = to;
    assert_int_equal(fseek(f, page * 4096, SEEK_SET), 0);
    assert_int_equal(fwrite(&h, sizeof(h), 1, f), 1);
    return fflush(f) == 0;
}

/* A page in use whose header is of no layout that recd knows: it says so, and
 * overwrites nothing of it. */
static void a_page_of_an_unknown_layout_is_refused(void **state)
{
    const uint16_t strange = STO_PAGE_LEAF | 0x100;
    struct sto_scrubbed done;
    struct forget_case c;
    size_t refused = 0;
    char path[100];

    (void)state;
    case_fill(&c, 2);
    case_import(dir, &c);
    (void)snprintf(path, sizeof(path), "%s/data.mdb", dir);
    FILE *f = fopen(path, "r+b");

    assert_non_null(f);
    for (long page = 2; page < 64; page++) {
        if (!change_flags(f, page, STO_PAGE_LEAF, strange))
            continue;
        const enum err e = sto_erase(dir, &done);

        refused +=
            e == ERR_FORMAT && strstr(err_note(), "it does not guess") != NULL;
        (void)change_flags(f, page, strange, STO_PAGE_LEAF);
    }
    assert_int_equal(fclose(f), 0);
    assert_true(refused > 0);
    if (sto_erase(dir, &done) != ERR_OK)
        fail_msg("%s", err_note());
    for (size_t u = 0; u < CASE_USERS; u++)
        assert_true(hits_of(case_user(u)) > 0);
}

static void forget_one(const struct unl_request *r, bool defer, json_t **report)
{
    json_t *mine = NULL;

    if (unl_forget(dir, r, 1, false, defer, &mine) != ERR_OK)
        fail_msg("%s", err_note());
    if (report != NULL)
        *report = mine;
    else
        json_decref(mine);
}

/* Person "7" and item "7": the item stays, and with it its bytes. */
static void an_id_that_an_item_shares_is_forgotten_too(void **state)
{
    static const struct sto_row row[] = {
        {"seven", "7", 1, 1}, {"7", "7", 2, 2}, {"7", "8", 3, 3}};
    const struct sto_import_opts opts = {.skip_bad = false};
    struct sto_import_stats stats;
    struct sto_entity e;
    struct sto_import *im;
    struct sto_view *v;
    struct sto *st;

    (void)state;
    assert_int_equal(sto_import_new(&im, &opts), ERR_OK);
    assert_int_equal(sto_import_rows(im, row, 3), ERR_OK);
    assert_int_equal(sto_open(&st, dir, STO_WRITE), ERR_OK);
    assert_int_equal(sto_import_commit(im, st, &stats), ERR_OK);
    sto_import_free(im);
    sto_close(st);
    forget_one(&(struct unl_request){UNL_USER, "7", NULL, 0}, false, NULL);
    assert_int_equal(sto_open(&st, dir, STO_READ), ERR_OK);
    assert_int_equal(sto_view_open(&v, st), ERR_OK);
    assert_int_equal(sto_find_entity(v, STO_USERS, "7", &e), ERR_NOTFOUND);
    assert_int_equal(sto_find_entity(v, STO_ITEMS, "7", &e), ERR_OK);
    sto_view_close(v);
    sto_close(st);
}

static json_t *certificate(uint64_t number)
{
    struct sto_view *v;
    struct sto *st;
    char *text = NULL;

    assert_int_equal(sto_open(&st, dir, STO_READ), ERR_OK);
    assert_int_equal(sto_view_open(&v, st), ERR_OK);
    assert_int_equal(sto_cert_get(v, number, &text), ERR_OK);
    sto_view_close(v);
    sto_close(st);
    json_t *c = json_loads(text, 0, NULL);

    assert_non_null(c);
    free(text);
    return c;
}

/* A model that waits may hold the keys yet: the first certificate says so and
 * was searched for nothing, the second names the model. */
static void a_deferred_request_is_certified_twice(void **state)
{
    struct unl_plan plan;
    struct forget_case c;
    json_t *report = NULL;

    (void)state;
    case_fill(&c, 3);
    case_import(dir, &c);
    opt_defaults(unl_plan_rows, &plan);
    case_train(dir, "ease", "ease", NULL, &plan, NULL);
    forget_one(&(struct unl_request){UNL_USER, case_user(4), NULL, 0}, true,
               NULL);
    assert_int_equal(unl_forget_finish(dir, true, &report), ERR_OK);
    json_decref(report);
    for (uint64_t n = 1; n <= 2; n++) {
        json_t *cert = certificate(n);
        const json_t *model =
            json_array_get(json_object_get(cert, "models"), 0);
        const json_t *erasure = json_object_get(cert, "erasure");

        assert_true(json_is_true(json_object_get(cert, "pending")) == (n == 1));
        assert_true(json_is_true(json_object_get(model, "pending")) ==
                    (n == 1));
        assert_string_equal(json_string_value(json_object_get(model, "name")),
                            "ease");
        assert_int_equal(
            json_integer_value(json_object_get(erasure, "searched_for")), 0);
        json_decref(cert);
    }
}

static unsigned model_files(void)
{
    char command[100];
    unsigned n = 0;

    (void)snprintf(command, sizeof(command), "ls %s/models | wc -l", dir);
    FILE *p = popen(command, "r");

    assert_non_null(p);
    assert_int_equal(fscanf(p, "%u", &n), 1);
    assert_int_equal(pclose(p), 0);
    return n;
}

/* Hold the file of a model, and nothing else, for a while; say so before and
 * after. */
static void hold_weights(int say)
{
    struct sto_weights w;
    struct sto_view *v;
    struct sto *st;

    if (sto_open(&st, dir, STO_READ) != ERR_OK ||
        sto_view_open(&v, st) != ERR_OK ||
        sto_weights_open(v, "ease", &w) != ERR_OK)
        _exit(1);
    sto_view_close(v);
    if (write(say, "1", 1) != 1)
        _exit(2);
    (void)nanosleep(&(struct timespec){0, 700000000}, NULL);
    if (write(say, "2", 1) != 1)
        _exit(3);
    sto_weights_close(&w);
    sto_close(st);
    _exit(0);
}

/* Who has an old model's file mapped is waited for; then it is gone. */
static void an_old_model_in_use_is_waited_for(void **state)
{
    struct unl_plan plan;
    struct forget_case c;
    int status, said[2];
    char word = 0;

    (void)state;
    case_fill(&c, 4);
    case_import(dir, &c);
    opt_defaults(unl_plan_rows, &plan);
    case_train(dir, "ease", "ease", NULL, &plan, NULL);
    assert_int_equal(pipe(said), 0);
    const pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0)
        hold_weights(said[1]);
    assert_int_equal(read(said[0], &word, 1), 1);
    forget_one(&(struct unl_request){UNL_USER, case_user(4), NULL, 0}, false,
               NULL);
    assert_int_equal(fcntl(said[0], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(read(said[0], &word, 1), 1); /* it has let go */
    assert_int_equal(word, '2');
    assert_int_equal(model_files(), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    (void)close(said[0]);
    (void)close(said[1]);
}

/* Requests of one batch that touch the same shard cost one retraining, and
 * doing it again costs none. */
static void a_batch_costs_a_shard_once(void **state)
{
    static const char *const few[] = {"dim", "4", "epochs", "2", NULL};
    struct unl_request r[6];
    struct unl_plan plan;
    struct forget_case c;
    json_t *report = NULL;

    (void)state;
    case_fill(&c, 5);
    case_import(dir, &c);
    opt_defaults(unl_plan_rows, &plan);
    plan.shards = 2;
    case_train(dir, "ials", "ials", few, &plan, NULL);
    for (size_t i = 0; i < 6; i++)
        r[i] = (struct unl_request){UNL_USER, case_user(3 * i), NULL, 0};
    assert_int_equal(unl_forget(dir, r, 6, false, false, &report), ERR_OK);
    const json_t *model = json_array_get(json_object_get(report, "models"), 0);

    assert_int_equal(json_integer_value(json_object_get(model, "retrained")),
                     2);
    json_decref(report);
    assert_int_equal(unl_forget_finish(dir, true, &report), ERR_OK);
    assert_null(report);
}

#define CASE(name)                                                             \
    cmocka_unit_test_setup_teardown(name, new_folder, drop_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_deletion_alone_leaves_bytes_that_erasing_takes),
        CASE(a_page_of_an_unknown_layout_is_refused),
        CASE(an_id_that_an_item_shares_is_forgotten_too),
        CASE(a_deferred_request_is_certified_twice),
        CASE(an_old_model_in_use_is_waited_for),
        CASE(a_batch_costs_a_shard_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
