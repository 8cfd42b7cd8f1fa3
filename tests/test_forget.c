/* tests/test_forget.c - what `recd forget` promises of models
 * (docs/unlearning.md): equal to a training without the rows. */
#include "tests/forget_watch.h"

#include "base/par.h"
#include "unlearn/cert.h"

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
/* RECD_REQUESTS of them, from number RECD_FIRST on (12, compared now and then).
 */
static void random_requests_never_differ(void **state)
{
    const char *want = getenv("RECD_REQUESTS"), *first = getenv("RECD_FIRST");
    const long from = first != NULL ? strtol(first, NULL, 10) : 0;
    const long n = from + (want != NULL ? strtol(want, NULL, 10) : 12);
    struct forget_case c;
    uint64_t left = 0;

    (void)state;
    for (long k = from; k < n; k++) {
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
