/*
 * tests/test_forget.c - what `recd forget` promises (docs/unlearning.md,
 * docs/erasure.md): equal to a training without the rows, gone from the files,
 * certified, finished after a kill.
 */
#include "tests/forget_case.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "base/mem.h"
#include "base/par.h"
#include "store/forget.h"
#include "unlearn/cert.h"
#include "unlearn/cert_check.h"
#include "unlearn/partition.h"

static char dir[64], other[80];

static int new_folders(void **state)
{
    (void)state;
    return case_folders(dir, sizeof(dir), other, sizeof(other), "test-forget");
}

static int drop_folders(void **state)
{
    (void)state;
    remove_folder(dir);
    remove_folder(other);
    return 0;
}

/* --- the models that are watched
 * ---------------------------------------------------
 */

static const char *const few[] = {"dim", "8", "epochs", "3", NULL};

static const char *const weighed[] = {"user-exponent", "0.5", NULL};

static const char *const holes[] = {"dim",      "8",   "epochs", "3",
                                    "sparsity", "0.5", NULL};

static const char *const narrow[] = {
    "base",     "ease", "also",     "itemknn", "candidates", "8",     "epochs",
    "3",        "dim",  "16",       "ranker",  "prm",        "share", "0.5",
    "sparsity", "0.3",  "schedule", "chex",    NULL};

static const char *const lists[] = {
    "base", "ease", "also", "itemknn", "candidates", "8", "epochs",
    "2",    "dim",  "8",    "ranker",  "setrank",    NULL};

static const char *const merged[] = {
    "base", "ease",  "also",   "itemknn,ials", "candidates",
    "8",    "merge", "true",   "epochs",       "2",
    "dim",  "8",     "ranker", "setrank",      NULL};

static const char *const on_public[] = {"encoder", "public", "adapters", "6",
                                        "active",  "2",      NULL};
static const char *const learnt_heads[] = {
    "encoder", "public", "heads",  "softmax", "adapters", "6",
    "active",  "2",      "epochs", "3",       NULL};

static const struct watched {
    const char *name, *model;
    const char *const *options;
    int64_t shards;
    const char *partition, *aggregate;
    double validate;
    int64_t slices;
} watched[] = {
    {"pop", "pop", NULL, 1, "hash", "mean", 0, 1},
    {"ease", "ease", NULL, 1, "hash", "mean", 0, 1},
    {"knn", "itemknn", NULL, 1, "hash", "mean", 0, 1},
    {"ials", "ials", few, 1, "hash", "mean", 0, 1},
    {"ials-hash", "ials", few, 4, "hash", "mean", 0, 1},
    {"ials-lsh", "ials", few, 3, "lsh", "static", 0, 1},
    {"ials-stop", "ials", few, 3, "hash", "mean", 0.3, 1},
    {"ease-hash", "ease", NULL, 3, "hash", "mean", 0, 1},
    {"graph-hash", "lightgcn", few, 2, "hash", "attention", 0, 1},
    {"seq-hash", "sasrec", few, 2, "hash", "attention", 0, 1},
    {"lego", "legonet", NULL, 1, "hash", "mean", 0, 1},
    {"lego-public", "legonet", on_public, 1, "hash", "mean", 0, 1},
    {"lego-heads", "legonet", learnt_heads, 1, "hash", "mean", 0, 1},
    {"lists", "rerank", lists, 1, "hash", "mean", 0, 1},
    {"lists-merged", "rerank", merged, 1, "hash", "mean", 0, 1},
    {"ials-slices", "ials", few, 3, "hash", "mean", 0, 3},
    {"wmf-slices", "wmf", few, 2, "lsh", "mean", 0, 4},
    {"bpr-slices", "bpr", few, 2, "hash", "static", 0, 3},
    {"graph-slices", "lightgcn", few, 2, "hash", "attention", 0, 3},
    {"lfm-slices", "lfm", few, 2, "hash", "mean", 0, 5},
    {"pairs-holes", "bpr", holes, 1, "hash", "mean", 0, 1},
    {"graph-holes", "lightgcn", holes, 2, "hash", "mean", 0, 1},
    {"lists-narrow", "rerank", narrow, 1, "hash", "mean", 0, 1},
    {"ease-weighed", "ease", weighed, 1, "hash", "mean", 0, 1},
};
#define N_WATCHED (sizeof(watched) / sizeof(watched[0]))

static struct unl_plan plan_of(const struct watched *w)
{
    struct unl_plan p;

    opt_defaults(unl_plan_rows, &p);
    p.shards = w->shards;
    p.slices = w->slices;
    p.partition = w->partition;
    p.aggregate = w->aggregate;
    p.aggregate_epochs = 3;
    p.train.validate = w->validate;
    return p;
}

static void train_all(const char *where)
{
    for (size_t i = 0; i < N_WATCHED; i++) {
        const struct unl_plan p = plan_of(&watched[i]);

        case_train(where, watched[i].name, watched[i].model, watched[i].options,
                   &p, NULL);
    }
}

static void same_models(void)
{
    for (size_t i = 0; i < N_WATCHED; i++) {
        unsigned char a[KEY_DIGEST_BYTES], b[KEY_DIGEST_BYTES];

        assert_true(case_digest(dir, watched[i].name, a));
        assert_true(case_digest(other, watched[i].name, b));
        if (memcmp(a, b, sizeof(a)) != 0)
            fail_msg("%s differs from training without the rows",
                     watched[i].name);
    }
}

/* What a store that never held the rows gives. */
static void compare_with_never(const struct forget_case *c)
{
    remove_folder(other);
    case_import(other, c);
    train_all(other);
    same_models();
}

static void forget(const struct unl_request *r, size_t n)
{
    json_t *report = NULL;

    if (unl_forget(dir, r, n, false, false, &report) != ERR_OK)
        fail_msg("%s", err_note());
    assert_true(json_is_true(json_object_get(report, "erased")));
    json_decref(report);
}

/* --- exactness
 * --------------------------------------------------------------------
 */

static void forgetting_equals_training_without_them(void **state)
{
    struct forget_case c;
    const struct unl_request batch[] = {
        {UNL_USER, case_user(3), NULL, 0},
        {UNL_INTERACTION, case_user(4), case_item(4), 0},
        {UNL_ITEM, NULL, case_item(7), 0},
        {UNL_USER, case_user(21), NULL, 0}};

    (void)state;
    case_fill(&c, 1);
    case_import(dir, &c);
    train_all(dir);
    forget(batch, 4);
    for (size_t i = 0; i < CASE_ITEMS; i++)
        c.row[3][i] = c.row[21][i] = false;
    for (size_t u = 0; u < CASE_USERS; u++)
        c.row[u][7] = false;
    c.row[4][4] = false;
    compare_with_never(&c);
}

/* --partition-secret: exact as any other hash; another store's key parts the
 * persons otherwise. */
static void a_secret_partition_is_exact_and_the_stores_own(void **state)
{
    const struct unl_request gone = {UNL_USER, case_user(3), NULL, 0};
    unsigned char after[KEY_DIGEST_BYTES], never[KEY_DIGEST_BYTES];
    struct unl_plan p = plan_of(&watched[4]), q;
    struct unl_keys k;
    struct forget_case c;
    char line[300];

    (void)state;
    case_fill(&c, 5);
    case_import(dir, &c);
    p.partition_secret = true;
    assert_int_equal(unl_plan_open(&p, dir), ERR_OK);
    case_train(dir, "m", "ials", few, &p, NULL);
    assert_true(case_digest(dir, "m", never));
    forget(&gone, 1);
    assert_true(case_digest(dir, "m", after));
    assert_memory_not_equal(never, after, sizeof(after));
    memset(c.row[3], 0, sizeof(c.row[3]));
    case_import(other, &c);
    (void)snprintf(line, sizeof(line), "cp %s/*.key %s", dir, other);
    assert_int_equal(system(line), 0);
    case_train(other, "m", "ials", few, &p, NULL);
    assert_true(case_digest(other, "m", never));
    assert_memory_equal(never, after, sizeof(after));

    remove_folder(other);
    case_import(other, &c);
    assert_int_equal(unl_keys_open(&k, other), ERR_OK);
    unl_keys_close(&k);
    q = p;
    assert_int_equal(unl_plan_open(&q, other), ERR_OK);
    assert_true(q.secret != p.secret);
    assert_true(unl_plan_partition_seed(&q, 1) !=
                unl_plan_partition_seed(&p, 1));
    q.partition = "user";
    assert_int_equal(unl_plan_open(&q, other), ERR_ARG);
    q.partition = "hash";
    q.shards = 1;
    assert_int_equal(unl_plan_open(&q, other), ERR_ARG);
}

static void requests_in_any_order_give_the_same(void **state)
{
    unsigned char first[N_WATCHED][KEY_DIGEST_BYTES];

    (void)state;
    for (int order = 0; order < 2; order++) {
        struct forget_case c;

        remove_folder(dir);
        case_fill(&c, 2);
        case_import(dir, &c);
        train_all(dir);
        for (size_t k = 0; k < 3; k++) {
            const struct unl_request r = {
                UNL_USER, case_user(5 + (order == 0 ? k : 2 - k)), NULL, 0};

            forget(&r, 1);
        }
        for (size_t i = 0; i < N_WATCHED; i++) {
            unsigned char d[KEY_DIGEST_BYTES];

            assert_true(case_digest(dir, watched[i].name, d));
            if (order == 0)
                memcpy(first[i], d, sizeof(d));
            assert_memory_equal(first[i], d, sizeof(d));
        }
    }
}

static void coming_back_and_leaving_again_leaves_nothing(void **state)
{
    const struct unl_request r = {UNL_USER, case_user(9), NULL, 0};
    struct forget_case c, again = {0};

    (void)state;
    case_fill(&c, 3);
    case_import(dir, &c);
    train_all(dir);
    forget(&r, 1);
    again.row[9][1] = again.row[9][2] = true;
    case_import(dir, &again);
    forget(&r, 1);
    memset(c.row[9], 0, sizeof(c.row[9]));
    compare_with_never(&c);
}

/* Requests at random; RECD_REQUESTS says how many (make check-long: 10,000). */
static void random_requests_never_differ(void **state)
{
    const char *want = getenv("RECD_REQUESTS");
    const long n = want != NULL ? strtol(want, NULL, 10) : 12;
    struct forget_case c;
    uint64_t left = 0;

    (void)state;
    for (long k = 0; k < n; k++) {
        const uint64_t draw = rng_u64(77, RNG_BOOT, (uint64_t)k);
        const size_t u = draw % CASE_USERS, i = draw / 64 % CASE_ITEMS;
        struct unl_request r = {UNL_INTERACTION, case_user(u), case_item(i), 0};
        bool any = false;

        if (left == 0) {
            remove_folder(dir);
            case_fill(&c, (uint64_t)k);
            case_import(dir, &c);
            train_all(dir);
            left = 6;
        }
        left--;
        if (draw >> 60 < 6)
            r = (struct unl_request){UNL_USER, case_user(u), NULL, 0};
        else if (draw >> 60 < 8)
            r = (struct unl_request){UNL_ITEM, NULL, case_item(i), 0};
        for (size_t a = 0; a < CASE_USERS; a++) {
            for (size_t b = 0; b < CASE_ITEMS; b++) {
                const bool hit = (r.what == UNL_ITEM || a == u) &&
                                 (r.what == UNL_USER || b == i);

                any = any || (hit && c.row[a][b]);
                c.row[a][b] = c.row[a][b] && !hit;
            }
        }
        if (!any)
            continue;
        forget(&r, 1);
        if (left == 0 || want != NULL)
            compare_with_never(&c);
    }
}

static void learnt_partitions_keep_the_recorded_assignment(void **state)
{
    static const char *const partition[] = {"user", "item", "interaction"};

    (void)state;
    for (size_t k = 0; k < 3; k++) {
        struct unl_plan p;
        struct forget_case c;
        struct rec_data d;
        struct sto_view *v;
        struct sto *st;
        unsigned char a[KEY_DIGEST_BYTES], b[KEY_DIGEST_BYTES];
        uint8_t all[CASE_USERS * CASE_ITEMS], rest[CASE_USERS * CASE_ITEMS];
        const uint64_t gone = key_of(case_user(8), strlen(case_user(8)));
        size_t n = 0;

        remove_folder(dir);
        remove_folder(other);
        case_fill(&c, 4);
        case_import(dir, &c);
        opt_defaults(unl_plan_rows, &p);
        p.shards = 3;
        p.partition = partition[k];
        case_train(dir, "m", "ials", few, &p, NULL);
        /* the same assignment, worked out on the whole rows */
        assert_int_equal(sto_open(&st, dir, STO_READ), ERR_OK);
        assert_int_equal(sto_view_open(&v, st), ERR_OK);
        assert_int_equal(rec_data_load(&d, v), ERR_OK);
        sto_view_close(v);
        sto_close(st);
        assert_int_equal(
            unl_partition_find(partition[k])->assign(&d, 3, 11, all), ERR_OK);
        for (size_t u = 0; u < d.n_users; u++) {
            for (size_t r = d.user_ptr[u]; r < d.user_ptr[u + 1]; r++) {
                if (d.user_key[u] != gone)
                    rest[n++] = all[r];
            }
        }
        rec_data_free(&d);
        forget(&(struct unl_request){UNL_USER, case_user(8), NULL, 0}, 1);
        memset(c.row[8], 0, sizeof(c.row[8]));
        case_import(other, &c);
        case_train(other, "m", "ials", few, &p, rest);
        assert_true(case_digest(dir, "m", a) && case_digest(other, "m", b));
        assert_memory_equal(a, b, sizeof(a));
    }
}

static void shards_side_by_side_equal_one_after_the_other(void **state)
{
    unsigned char one[KEY_DIGEST_BYTES], many[KEY_DIGEST_BYTES];
    const struct unl_plan p = plan_of(&watched[4]);
    struct forget_case c;

    (void)state;
    case_fill(&c, 5);
    case_import(dir, &c);
    par_set_threads(1);
    case_train(dir, "one", "ials", few, &p, NULL);
    par_set_threads(7);
    case_train(dir, "many", "ials", few, &p, NULL);
    par_set_threads(0);
    assert_true(case_digest(dir, "one", one) && case_digest(dir, "many", many));
    assert_memory_equal(one, many, sizeof(one));
}

/* --- requests that cannot be
 * ---------------------------------------------------------
 */

/* A certificate names the adapters that a request touched, and no others. */
static void adapters_are_named(void **state)
{
    const struct unl_request gone = {UNL_USER, case_user(4), NULL, 0};
    struct unl_plan p;
    struct forget_case c;
    json_t *report = NULL;

    (void)state;
    opt_defaults(unl_plan_rows, &p);
    case_fill(&c, 8);
    case_import(dir, &c);
    case_train(dir, "lego", "legonet", NULL, &p, NULL);
    assert_int_equal(unl_forget(dir, &gone, 1, false, false, &report), ERR_OK);
    const json_t *model = json_array_get(json_object_get(report, "models"), 0);

    /* eight of the 64 learn from each person */
    assert_int_equal(json_array_size(json_object_get(model, "adapters")), 8);
    assert_int_equal(json_integer_value(json_object_get(model, "of_adapters")),
                     64);
    json_decref(report);
}

static void an_unknown_person_is_refused_and_nothing_changes(void **state)
{
    const struct unl_request r[] = {{UNL_USER, case_user(1), NULL, 1},
                                    {UNL_USER, "nobody", NULL, 2}};
    struct forget_case c;
    json_t *report = NULL;

    (void)state;
    case_fill(&c, 6);
    case_import(dir, &c);
    train_all(dir);
    assert_int_equal(unl_forget(dir, r, 2, false, false, &report),
                     ERR_NOTFOUND);
    assert_string_equal(err_note(), "line 2: user \"nobody\" is not in the "
                                    "store (nothing was forgotten)");
    compare_with_never(&c);
}

static void a_dry_run_says_what_would_be_done_and_does_nothing(void **state)
{
    const struct unl_request r = {UNL_USER, case_user(1), NULL, 0};
    struct forget_case c;
    json_t *report = NULL;

    (void)state;
    case_fill(&c, 6);
    case_import(dir, &c);
    train_all(dir);
    assert_int_equal(unl_forget(dir, &r, 1, true, false, &report), ERR_OK);
    assert_int_equal(json_array_size(json_object_get(report, "models")),
                     N_WATCHED);
    json_decref(report);
    compare_with_never(&c);
}

/* --- erasure
 * -----------------------------------------------------------------------
 */

/* Files of the store that hold `word`. */
static size_t files_with(const char *path, const char *word)
{
    char command[300];
    unsigned n = 0;
    FILE *p;

    (void)snprintf(command, sizeof(command), "grep -rlaF -- '%s' %s | wc -l",
                   word, path);
    p = popen(command, "r");
    assert_non_null(p);
    assert_int_equal(fscanf(p, "%u", &n), 1);
    assert_int_equal(pclose(p), 0);
    return n;
}

static void no_byte_of_the_forgotten_is_left_in_any_file(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 2; seed++) {
        struct forget_case c;

        remove_folder(dir);
        case_fill(&c, 20 + seed);
        case_import(dir, &c);
        train_all(dir);
        for (size_t u = seed; u < CASE_USERS; u += 7) {
            const struct unl_request r = {UNL_USER, case_user(u), NULL, 0};

            assert_true(files_with(dir, case_user(u)) > 0);
            forget(&r, 1);
            assert_int_equal(files_with(dir, case_user(u)), 0);
            assert_true(files_with(dir, case_user((u + 1) % CASE_USERS)) > 0);
        }
    }
}

static void deferred_erases_at_once_and_repairs_later(void **state)
{
    const struct unl_request r = {UNL_USER, case_user(2), NULL, 0};
    struct forget_case c;
    json_t *report = NULL;

    (void)state;
    case_fill(&c, 30);
    case_import(dir, &c);
    train_all(dir);
    assert_int_equal(unl_forget(dir, &r, 1, false, true, &report), ERR_OK);
    assert_true(json_is_true(json_object_get(report, "pending")));
    json_decref(report);
    assert_int_equal(files_with(dir, case_user(2)), 0);
    assert_int_equal(unl_forget_finish(dir, true, &report), ERR_OK);
    assert_non_null(report);
    assert_null(json_object_get(report, "pending"));
    json_decref(report);
    assert_int_equal(unl_forget_finish(dir, true, &report), ERR_OK);
    assert_null(report); /* nothing waits any more */
    memset(c.row[2], 0, sizeof(c.row[2]));
    compare_with_never(&c);
}

static void a_model_trained_meanwhile_is_not_stored(void **state)
{
    const struct unl_request r = {UNL_USER, case_user(2), NULL, 0};
    struct sto_model info = {.name = "late", .model = "pop"};
    struct forget_case c;
    uint64_t removals = 0;
    struct sto_view *v;
    struct sto *st;

    (void)state;
    case_fill(&c, 31);
    case_import(dir, &c);
    assert_int_equal(sto_open(&st, dir, STO_READ), ERR_OK);
    assert_int_equal(sto_view_open(&v, st), ERR_OK);
    assert_int_equal(sto_removals(v, &removals), ERR_OK);
    sto_view_close(v);
    sto_close(st);
    forget(&r, 1);
    info.removals = removals + 1;
    assert_int_equal(sto_open(&st, dir, STO_WRITE), ERR_OK);
    assert_int_equal(sto_model_put(st, &info, NULL, 0), ERR_STALE);
    sto_close(st);
}

/* --- kills
 * -------------------------------------------------------------------------
 */

static void forget_until_killed(long microseconds)
{
    const struct unl_request r = {UNL_USER, case_user(6), NULL, 0};
    const pid_t child = fork();
    json_t *report = NULL;
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        par_set_threads(1);
        _exit(unl_forget(dir, &r, 1, false, false, &report) != ERR_OK);
    }
    (void)nanosleep(&(struct timespec){microseconds / 1000000,
                                       microseconds % 1000000 * 1000},
                    NULL);
    (void)kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
}

static bool knows(const char *user)
{
    struct sto_entity e;
    struct sto_view *v;
    struct sto *st;

    assert_int_equal(sto_open(&st, dir, STO_READ), ERR_OK);
    assert_int_equal(sto_view_open(&v, st), ERR_OK);
    const bool known = sto_find_entity(v, STO_USERS, user, &e) == ERR_OK;

    sto_view_close(v);
    sto_close(st);
    return known;
}

static void killed_at_any_time_the_next_command_finishes_it(void **state)
{
    struct forget_case c, left;
    size_t begun = 0;

    (void)state;
    par_set_threads(1); /* a forked child has no other threads */
    case_fill(&c, 40);
    left = c;
    memset(left.row[6], 0, sizeof(left.row[6]));
    case_import(other, &left);
    train_all(other);
    /* on a busy machine it may take longer until one has begun */
    for (long k = 0; k < 12 || (begun == 0 && k < 60); k++) {
        json_t *report = NULL;

        remove_folder(dir);
        case_import(dir, &c);
        train_all(dir);
        forget_until_killed(200 + k * k * 240);
        assert_int_equal(unl_forget_finish(dir, true, &report), ERR_OK);
        json_decref(report);
        if (knows(case_user(6))) /* killed before it had begun */
            continue;
        begun++;
        assert_int_equal(files_with(dir, case_user(6)), 0);
        same_models();
    }
    par_set_threads(0);
    assert_true(begun > 0);
}

/* --- certificates
 * ---------------------------------------------------------------------
 */

static char *exported(uint64_t number)
{
    struct sto_view *v;
    struct sto *st;
    char *text = NULL;

    assert_int_equal(sto_open(&st, dir, STO_READ), ERR_OK);
    assert_int_equal(sto_view_open(&v, st), ERR_OK);
    assert_int_equal(unl_cert_export(v, number, &text), ERR_OK);
    sto_view_close(v);
    sto_close(st);
    return text;
}

static bool verifies(const char *text, size_t n, const char *key)
{
    struct unl_verdict r;

    assert_int_equal(unl_cert_verify(text, n, key, &r), ERR_OK);
    assert_true(r.good == (r.reason[0] == '\0'));
    return r.good;
}

static void three_certificates(void)
{
    const struct unl_plan p = plan_of(&watched[4]);
    struct forget_case c;

    case_fill(&c, 50);
    case_import(dir, &c);
    case_train(dir, "m", "ials", few, &p, NULL);
    for (size_t u = 0; u < 3; u++)
        forget(&(struct unl_request){UNL_USER, case_user(u), NULL, 0}, 1);
}

static void any_changed_byte_of_a_certificate_is_found(void **state)
{
    (void)state;
    three_certificates();
    char *text = exported(3);
    const size_t n = strlen(text);

    assert_true(verifies(text, n, NULL));
    for (size_t i = 0; i < n; i++) {
        text[i] = (char)(text[i] ^ 1);
        if (verifies(text, n, NULL))
            fail_msg("byte %zu changed and nobody saw", i);
        text[i] = (char)(text[i] ^ 1);
        if (i % 7 == 0)
            assert_false(verifies(text, i, NULL)); /* cut short */
    }
    free(text);
}

static void a_missing_or_swapped_link_is_found(void **state)
{
    struct unl_verdict r;

    (void)state;
    three_certificates();
    char *text = exported(3);
    json_t *file = json_loads(text, 0, NULL);
    json_t *chain = json_object_get(file, "chain");

    for (int how = 0; how < 3; how++) {
        json_t *bad = json_deep_copy(file);
        json_t *list = json_object_get(bad, "chain");
        char *changed;

        if (how < 2) { /* without the first, or the second */
            (void)json_array_remove(list, (size_t)how);
        } else {
            (void)json_array_set(list, 0, json_array_get(chain, 1));
            (void)json_array_set(list, 1, json_array_get(chain, 0));
        }
        changed = unl_cert_file(list);
        assert_non_null(changed);
        assert_int_equal(unl_cert_verify(changed, strlen(changed), NULL, &r),
                         ERR_OK);
        assert_false(r.good);
        assert_non_null(strstr(r.reason, "missing or moved"));
        free(changed);
        json_decref(bad);
    }
    json_decref(file);
    free(text);
}

static void another_stores_key_does_not_verify(void **state)
{
    char key[UNL_KEY_HEX];
    struct unl_keys k;

    (void)state;
    three_certificates();
    char *text = exported(2);

    assert_int_equal(unl_keys_open(&k, dir), ERR_OK);
    key_hex(k.public_key, sizeof(k.public_key), key);
    assert_true(verifies(text, strlen(text), key));
    key[0] = key[0] == '0' ? '1' : '0';
    assert_false(verifies(text, strlen(text), key));
    unl_keys_close(&k);
    free(text);
}

static void certificates_name_nobody(void **state)
{
    (void)state;
    three_certificates();
    char *text = exported(3);

    assert_null(strstr(text, "canary"));
    assert_non_null(strstr(text, "\\\"exactness\\\":\\\"exact\\\""));
    free(text);
}

#define CASE(name)                                                             \
    cmocka_unit_test_setup_teardown(name, new_folders, drop_folders)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(forgetting_equals_training_without_them),
        CASE(a_secret_partition_is_exact_and_the_stores_own),
        CASE(requests_in_any_order_give_the_same),
        CASE(coming_back_and_leaving_again_leaves_nothing),
        CASE(random_requests_never_differ),
        CASE(learnt_partitions_keep_the_recorded_assignment),
        CASE(shards_side_by_side_equal_one_after_the_other),
        CASE(adapters_are_named),
        CASE(an_unknown_person_is_refused_and_nothing_changes),
        CASE(a_dry_run_says_what_would_be_done_and_does_nothing),
        CASE(no_byte_of_the_forgotten_is_left_in_any_file),
        CASE(deferred_erases_at_once_and_repairs_later),
        CASE(a_model_trained_meanwhile_is_not_stored),
        CASE(killed_at_any_time_the_next_command_finishes_it),
        CASE(any_changed_byte_of_a_certificate_is_found),
        CASE(a_missing_or_swapped_link_is_found),
        CASE(another_stores_key_does_not_verify),
        CASE(certificates_name_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
