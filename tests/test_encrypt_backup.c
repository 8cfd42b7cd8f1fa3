/* tests/test_encrypt_backup.c - a backup of an encrypted store tells nothing of
 * whoever was forgotten since. */
#include "tests/encrypt_case.h"

/* The point of it all. */
static void a_backup_tells_nothing_of_the_forgotten(void **state)
{
    const struct unl_request gone = {UNL_USER, case_user(9), NULL, 0};
    struct forget_case c;
    struct opened n;

    (void)state;
    case_fill(&c, 6);
    import_encrypted(dir, &c);
    split(dir);
    train_some(dir);
    back_up();
    n = try_keys(backup, keystore_of(dir));
    assert_true(n.records > 2 * CASE_USERS);
    assert_int_equal(n.open, n.records);
    const size_t all = n.records;

    forget_in(dir, &gone, 1, NULL);
    n = try_keys(backup, keystore_of(dir));
    assert_int_equal(n.records, all);
    assert_int_equal(n.open, all - 3); /* id, train rows, test rows */
    struct bytes b = file_of(backup, "data.mdb");

    assert_int_equal(hits(&b, case_user(9), strlen(case_user(9))), 0);
    assert_int_equal(key_hits(&b, user_key(9)), 0);
    assert_int_equal(list_hits(&b, &c, 9), 0);
    free(b.at);

    /* put back, it is as if the forget had been done there: but for the split,
     * which moves rows person by person, so nobody else's */
    put_back();
    restore();
    memset(c.row[9], 0, sizeof(c.row[9]));
    case_import(other, &c);
    split(other);
    train_some(other);
    say_the_same(dir, other);
    same_models();
}

/* A row cannot be taken out of a backup: so the person goes from it. */
static void a_backup_tells_nothing_of_a_forgotten_row(void **state)
{
    const struct unl_request gone[] = {
        {UNL_INTERACTION, case_user(4), case_item(4), 0},
        {UNL_ITEM, NULL, case_item(7), 0}};
    struct forget_case c;
    json_t *report;
    struct opened n;
    size_t met = 0;

    (void)state;
    case_fill(&c, 7);
    import_encrypted(dir, &c);
    back_up();
    for (size_t u = 0; u < CASE_USERS; u++)
        met += c.row[u][7] || u == 4;
    forget_in(dir, gone, 2, &report);
    assert_int_equal(
        json_integer_value(json_object_get(report, "keys_renewed")), met);
    assert_int_equal(
        json_integer_value(json_object_get(report, "keys_destroyed")), 0);
    json_decref(report);
    n = try_keys(backup, keystore_of(dir));
    assert_int_equal(n.records - n.open, 2 * met);
    n = try_keys(dir, keystore_of(dir));
    assert_int_equal(n.records, n.open);
    put_back();
    restore();
    for (size_t u = 0; u < CASE_USERS; u++) {
        if (c.row[u][7] || u == 4)
            memset(c.row[u], 0, sizeof(c.row[u]));
    }
    case_import(other, &c);
    say_the_same(dir, other);
}

/* Somebody's last row: a person whom nobody listed goes with it. */
static void a_last_row_takes_the_key_along(void **state)
{
    const struct unl_request gone = {UNL_INTERACTION, case_user(2),
                                     case_item(2), 0};
    struct forget_case c;
    json_t *report;

    (void)state;
    case_fill(&c, 8);
    memset(c.row[2], 0, sizeof(c.row[2]));
    c.row[2][2] = true;
    import_encrypted(dir, &c);
    forget_in(dir, &gone, 1, &report);
    assert_int_equal(
        json_integer_value(json_object_get(report, "keys_destroyed")), 1);
    assert_int_equal(
        json_integer_value(json_object_get(report, "keys_renewed")), 0);
    json_decref(report);
}

/* What else was written after the backup is lost with it, and whoever joined
 * since is in no keystore. */
static void a_restored_backup_keeps_no_idle_key(void **state)
{
    struct forget_case c, more = {0};
    struct sto_ring *ring;

    (void)state;
    case_fill(&c, 9);
    for (size_t u = 20; u < CASE_USERS; u++) {
        memcpy(more.row[u], c.row[u], sizeof(c.row[u]));
        memset(c.row[u], 0, sizeof(c.row[u]));
    }
    import_encrypted(dir, &c);
    back_up();
    case_import(dir, &more);
    put_back();
    restore();
    assert_int_equal(sto_ring_read(&ring, keystore_of(dir)), ERR_OK);
    assert_int_equal(ring->n, 20);
    sto_ring_free(ring);
    case_import(other, &c);
    say_the_same(dir, other);
}

/* An older keystore beside newer records: who came since has no key. */
static void an_older_keystore_opens_what_it_can(void **state)
{
    struct forget_case c, more = {0};

    (void)state;
    case_fill(&c, 10);
    for (size_t u = 20; u < CASE_USERS; u++) {
        memcpy(more.row[u], c.row[u], sizeof(c.row[u]));
        memset(c.row[u], 0, sizeof(c.row[u]));
    }
    import_encrypted(dir, &c);
    shell("cp -r %s/keys %s", dir, backup);
    case_import(dir, &more);
    shell3("rm -r %s/keys && cp -r %s %s/keys", dir, backup, dir);
    refused_with("holds the older people-1.keys: put the newer one back");
    restore();
    case_import(other, &c);
    say_the_same(dir, other);
}

#define CASE(name)                                                             \
    cmocka_unit_test_setup_teardown(name, new_folders, drop_folders)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_backup_tells_nothing_of_the_forgotten),
        CASE(a_backup_tells_nothing_of_a_forgotten_row),
        CASE(a_last_row_takes_the_key_along),
        CASE(a_restored_backup_keeps_no_idle_key),
        CASE(an_older_keystore_opens_what_it_can),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
