/* tests/test_encrypt.c - what docs/erasure.md promises of an encrypted store:
 * it reads as any other, and its files name nobody. */
#include "tests/encrypt_case.h"

static void an_encrypted_store_reads_as_any_other(void **state)
{
    const struct unl_request batch[] = {
        {UNL_USER, case_user(3), NULL, 0},
        {UNL_INTERACTION, case_user(4), case_item(4), 0},
        {UNL_ITEM, NULL, case_item(7), 0}};
    struct forget_case c;

    (void)state;
    for (uint64_t seed = 1; seed < 4; seed++) {
        case_fill(&c, seed);
        case_import(other, &c);
        import_encrypted(dir, &c);
        assert_true(is_encrypted(dir) && !is_encrypted(other));
        say_the_same(dir, other);
        train_some(dir);
        train_some(other);
        same_models();
        split(dir);
        split(other);
        import_test_row(dir, 5, 3);
        import_test_row(other, 5, 3);
        say_the_same(dir, other);
        forget_in(dir, batch, 3, NULL);
        forget_in(other, batch, 3, NULL);
        say_the_same(dir, other);
        same_models();
        case_fill(&c, seed + 10); /* people come back, others get more rows */
        case_import(dir, &c);
        case_import(other, &c);
        say_the_same(dir, other);
        remove_folder(dir);
        remove_folder(other);
    }
}

static void the_data_file_names_nobody(void **state)
{
    struct forget_case c;

    (void)state;
    case_fill(&c, 5);
    case_import(other, &c);
    import_encrypted(dir, &c);
    import_test_row(dir, 5, 3);
    import_test_row(other, 5, 3);
    struct bytes plain = file_of(other, "data.mdb");
    struct bytes sealed = file_of(dir, "data.mdb");

    for (size_t u = 0; u < CASE_USERS; u++) {
        const char *id = case_user(u);

        assert_true(hits(&plain, id, strlen(id)) > 0);
        assert_true(key_hits(&plain, user_key(u)) > 0);
        assert_true(list_hits(&plain, &c, u) > 0);
        assert_int_equal(hits(&sealed, id, strlen(id)), 0);
        assert_int_equal(key_hits(&sealed, user_key(u)), 0);
        assert_int_equal(list_hits(&sealed, &c, u), 0);
    }
    assert_true(hits(&plain, "only-listed", 11) > 0);
    assert_int_equal(hits(&sealed, "only-listed", 11), 0);
    assert_int_equal(hits(&sealed, "\"age\"", 5), 0);
    /* what is not encrypted, and docs/erasure.md says so: items */
    assert_true(hits(&sealed, case_item(3), strlen(case_item(3))) > 0);
    free(plain.at);
    free(sealed.at);
}

/* --- what is left of the past
 * -------------------------------------------------
 */

/* Bytes cannot equal those of a store that never knew: keys and nonces are
 * drawn.  Records, their sizes and what they say can. */
static void a_store_that_forgot_says_as_much_as_one_that_never_knew(
    void **state)
{
    const struct unl_request gone[] = {
        {UNL_USER, case_user(3), NULL, 0},
        {UNL_INTERACTION, case_user(4), case_item(4), 0}};
    struct opened a, b;
    struct forget_case c;
    char keys[300];

    (void)state;
    case_fill(&c, 11);
    import_encrypted(dir, &c);
    forget_in(dir, gone, 2, NULL);
    memset(c.row[3], 0, sizeof(c.row[3]));
    c.row[4][4] = false;
    import_encrypted(other, &c);
    a = try_keys(dir, keystore_of(dir));
    (void)snprintf(keys, sizeof(keys), "%s", keystore_of(dir));
    b = try_keys(other, keystore_of(other));
    assert_int_equal(a.records, b.records);
    assert_int_equal(a.open, b.open);
    assert_int_equal(a.bytes, b.bytes);
    struct bytes x = file_of(".", keys), y = file_of(".", keystore_of(other));

    assert_int_equal(x.n, y.n);
    free(x.at);
    free(y.at);
    say_the_same(dir, other);
}

/* --- a store that becomes encrypted
 * -------------------------------------------------
 */

static enum err vacuum_encrypt(const char *where)
{
    struct sto_vacuumed n;
    struct sto *st;

    assert_int_equal(sto_open(&st, where, STO_WRITE), ERR_OK);
    const enum err e = sto_vacuum_encrypt(st, &n);

    sto_close(st);
    return e;
}

static void a_store_can_be_encrypted_later(void **state)
{
    struct forget_case c;

    (void)state;
    case_fill(&c, 12);
    case_import(dir, &c);
    case_import(other, &c);
    split(dir);
    split(other);
    train_some(dir);
    train_some(other);
    if (vacuum_encrypt(dir) != ERR_OK)
        fail_msg("%s", err_note());
    assert_true(is_encrypted(dir));
    say_the_same(dir, other);
    same_models();
    struct opened n = try_keys(dir, keystore_of(dir));
    struct bytes b = file_of(dir, "data.mdb");

    assert_int_equal(n.open, n.records);
    for (size_t u = 0; u < CASE_USERS; u++) {
        assert_int_equal(hits(&b, case_user(u), strlen(case_user(u))), 0);
        assert_int_equal(key_hits(&b, user_key(u)), 0);
    }
    free(b.at);
    assert_int_equal(vacuum_encrypt(dir), ERR_ARG);
    assert_non_null(strstr(err_note(), "is encrypted already"));
    forget_in(dir, &(struct unl_request){UNL_USER, case_user(3), NULL, 0}, 1,
              NULL);
    forget_in(other, &(struct unl_request){UNL_USER, case_user(3), NULL, 0}, 1,
              NULL);
    say_the_same(dir, other);
    same_models();
}

static void people_in_the_clear_are_not_joined_by_others(void **state)
{
    const struct sto_import_opts opts = {.encrypt = true};
    const struct sto_row row = {"somebody", "something", 1, 1};
    struct sto_import_stats stats;
    struct sto_import *im;
    struct forget_case c;
    struct sto *st;

    (void)state;
    case_fill(&c, 13);
    case_import(dir, &c);
    case_import(other, &c);
    assert_int_equal(sto_import_new(&im, &opts), ERR_OK);
    assert_int_equal(sto_import_rows(im, &row, 1), ERR_OK);
    assert_int_equal(sto_open(&st, dir, STO_WRITE), ERR_OK);
    assert_int_equal(sto_import_commit(im, st, &stats), ERR_ARG);
    assert_non_null(strstr(err_note(), "recd vacuum --encrypt"));
    assert_int_equal(sto_encrypt(st), ERR_ARG);
    sto_close(st);
    sto_import_free(im);
    say_the_same(dir, other);
    /* a keystore that lies there already is somebody's */
    shell("mkdir %s/keys && touch %s/keys/people-3.keys", dir, dir);
    assert_int_equal(vacuum_encrypt(dir), ERR_ARG);
    assert_non_null(strstr(err_note(), "move it away first"));
    say_the_same(dir, other);
}

/* --- keystores that are not what they should be
 * -------------------------------
 */

static void change_byte(const char *path, long at, int to)
{
    FILE *f = fopen(path, "r+b");

    assert_non_null(f);
    assert_int_equal(fseek(f, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    assert_int_equal(fputc(to, f), to);
    assert_int_equal(fclose(f), 0);
}

static void each_wrong_keystore_has_its_sentence(void **state)
{
    struct forget_case c;
    char path[300], keep[320];

    (void)state;
    case_fill(&c, 14);
    import_encrypted(dir, &c);
    import_encrypted(other, &c);
    (void)snprintf(path, sizeof(path), "%s", keystore_of(dir));
    (void)snprintf(keep, sizeof(keep), "%s/keep", dir);
    shell("cp %s %s", path, keep);

    assert_int_equal(remove(path), 0);
    refused_with("keys/people-1.keys is missing: put it back from your copy");
    shell("cp %s %s", keep, path);
    for (long at = 0; at < 48 + 56 * CASE_USERS + 32; at += 5) {
        if (at >= 8 && at < 12) /* the version */
            continue;
        struct bytes b = file_of(".", path);

        change_byte(path, at, b.at[at] ^ 0x10);
        free(b.at);
        refused_with("is damaged, or no keystore of recd: put it back");
        shell("cp %s %s", keep, path);
    }
    change_byte(path, 8, 7);
    refused_with("is a keystore of version 7 and this recd reads version 1");
    shell("truncate -s -1 %s%s", path, "");
    refused_with("is a keystore of version 7");
    shell("cp %s %s", keep, path);
    shell("truncate -s -1 %s%s", path, "");
    refused_with("is damaged, or no keystore of recd: put it back");
    shell("cp %s %s", keystore_of(other), path);
    refused_with("is the keystore of another store: put its own back");
    shell("cp %s %s", keep, path);
    assert_int_equal(is_encrypted(dir), true);
}

/* DIR/keys may lead to another volume; the search of a forget follows it. */
static void the_keystore_may_lie_elsewhere(void **state)
{
    const struct unl_request gone = {UNL_USER, case_user(9), NULL, 0};
    struct forget_case c;
    struct bytes b;
    char path[100];

    (void)state;
    case_fill(&c, 15);
    (void)snprintf(path, sizeof(path), "%s/keys", dir);
    assert_int_equal(mkdir(backup, 0700), 0);
    shell("ln -s ../%s %s/keys", backup, dir);
    import_encrypted(dir, &c);
    assert_true(is_encrypted(dir));
    b = file_of(".", keystore_of(dir));
    assert_true(key_hits(&b, user_key(9)) > 0);
    free(b.at);
    forget_in(dir, &gone, 1, NULL);
    b = file_of(".", keystore_of(dir));
    assert_int_equal(key_hits(&b, user_key(9)), 0);
    assert_true(key_hits(&b, user_key(8)) > 0);
    free(b.at);
    struct stat s;

    assert_int_equal(stat(keystore_of(dir), &s), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
}

/* --- others at the same time
 * ---------------------------------------------------
 */

static enum err drop_one(void *arg, struct sto_txn *t)
{
    const size_t *u = arg;
    struct sto_removed n = {0};

    return sto_drop_user(t, user_key(*u), &n);
}

/* A view that was open before keeps its keys, as it keeps its pages. */
static void a_view_reads_on_beside_a_change_of_keys(void **state)
{
    struct sto_history h;
    struct forget_case c;
    struct sto_view *v, *later;
    struct sto *st;
    size_t who = 4;

    (void)state;
    case_fill(&c, 16);
    import_encrypted(dir, &c);
    assert_int_equal(sto_open(&st, dir, STO_WRITE), ERR_OK);
    assert_int_equal(sto_view_open(&v, st), ERR_OK);
    assert_int_equal(sto_write(st, drop_one, &who), ERR_OK);
    assert_int_equal(sto_view_open(&later, st), ERR_OK);
    assert_int_equal(sto_get_history(v, STO_TRAIN, user_key(4), &h), ERR_OK);
    assert_true(h.n > 0);
    assert_int_equal(sto_get_history(later, STO_TRAIN, user_key(4), &h),
                     ERR_OK);
    assert_int_equal(h.n, 0);
    assert_int_equal(sto_get_history(later, STO_TRAIN, user_key(5), &h),
                     ERR_OK);
    assert_true(h.n > 0);
    sto_view_close(v);
    sto_view_close(later);
    sto_close(st);
}

static enum err give_up(void *arg, struct sto_txn *t)
{
    ERR_TRY(drop_one(arg, t));
    return err_set(ERR_ARG, "changed my mind");
}

static void a_change_that_fails_changes_no_key(void **state)
{
    struct forget_case c;
    struct sto *st;
    size_t who = 4;

    (void)state;
    case_fill(&c, 17);
    import_encrypted(dir, &c);
    case_import(other, &c);
    assert_int_equal(sto_open(&st, dir, STO_WRITE), ERR_OK);
    struct bytes before = file_of(".", keystore_of(dir));

    assert_int_equal(sto_write(st, give_up, &who), ERR_ARG);
    sto_close(st);
    struct bytes after = file_of(".", keystore_of(dir));

    assert_int_equal(before.n, after.n);
    assert_memory_equal(before.at, after.at, before.n);
    free(before.at);
    free(after.at);
    say_the_same(dir, other);
}

/* --- certificates -----------------------------------------------------------
 */

static void a_certificate_says_which_keys_went(void **state)
{
    const struct unl_request gone[] = {
        {UNL_USER, case_user(9), NULL, 0},
        {UNL_USER, case_user(10), NULL, 0},
        {UNL_INTERACTION, case_user(4), case_item(4), 0}};
    struct forget_case c;
    struct unl_verdict verdict;
    struct sto_view *v;
    struct sto *st;
    char *text = NULL;
    json_t *report;

    (void)state;
    case_fill(&c, 18);
    import_encrypted(dir, &c);
    train_some(dir);
    forget_in(dir, gone, 3, &report);
    assert_int_equal(
        json_integer_value(json_object_get(report, "keys_destroyed")), 2);
    assert_int_equal(
        json_integer_value(json_object_get(report, "keys_renewed")), 1);
    json_decref(report);
    assert_int_equal(sto_open(&st, dir, STO_READ), ERR_OK);
    assert_int_equal(sto_view_open(&v, st), ERR_OK);
    assert_int_equal(unl_cert_export(v, 1, &text), ERR_OK);
    sto_view_close(v);
    sto_close(st);
    assert_non_null(strstr(text, "\\\"keys_destroyed\\\":2,\\\"keys_renewed"
                                 "\\\":1,"));
    assert_int_equal(unl_cert_verify(text, strlen(text), NULL, &verdict),
                     ERR_OK);
    assert_true(verdict.good);
    free(text);
    /* a store that is not encrypted has none to speak of */
    case_import(other, &c);
    forget_in(other, gone, 1, &report);
    assert_null(json_object_get(report, "keys_destroyed"));
    json_decref(report);
}

#define CASE(name)                                                             \
    cmocka_unit_test_setup_teardown(name, new_folders, drop_folders)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_encrypted_store_reads_as_any_other),
        CASE(the_data_file_names_nobody),
        CASE(a_store_that_forgot_says_as_much_as_one_that_never_knew),
        CASE(a_store_can_be_encrypted_later),
        CASE(people_in_the_clear_are_not_joined_by_others),
        CASE(each_wrong_keystore_has_its_sentence),
        CASE(the_keystore_may_lie_elsewhere),
        CASE(a_view_reads_on_beside_a_change_of_keys),
        CASE(a_change_that_fails_changes_no_key),
        CASE(a_certificate_says_which_keys_went),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
