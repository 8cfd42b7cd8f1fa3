/*
 * tests/test_encrypt.c - what docs/erasure.md promises of an encrypted store:
 * it reads as any other, its files name nobody, and a backup of its records
 * tells nothing of whoever was forgotten since.
 */
#include "tests/forget_case.h"

#include <lmdb.h>
#include <sys/stat.h>

#include "store/forget.h"
#include "store/keyring.h"
#include "store/vacuum.h"
#include "unlearn/cert.h"
#include "unlearn/journal.h"

static char dir[64], other[80], backup[80];

static void shell(const char *format, const char *a, const char *b)
{
    char command[1000];

    (void)snprintf(command, sizeof(command), format, a, b);
    assert_int_equal(system(command), 0);
}

static int new_folders(void **state)
{
    (void)state;
    if (case_folders(dir, sizeof(dir), other, sizeof(other), "test-encrypt") !=
        0)
        return -1;
    (void)snprintf(backup, sizeof(backup), "%s-backup", dir);
    return 0;
}

static int drop_folders(void **state)
{
    (void)state;
    case_encrypt = false;
    remove_folder(dir);
    remove_folder(other);
    remove_folder(backup);
    return 0;
}

static void import_encrypted(const char *where, const struct forget_case *c)
{
    case_encrypt = true;
    case_import(where, c);
    case_encrypt = false;
}

static uint64_t user_key(size_t u)
{
    return key_of(case_user(u), strlen(case_user(u)));
}

static uint64_t item_key(size_t i)
{
    return key_of(case_item(i), strlen(case_item(i)));
}

/* --- what a store says ------------------------------------------------------
 */

struct said {
    struct sto_view *v;
    FILE *to;
};

static enum err say_history(void *arg, const struct sto_history *h)
{
    struct said *s = arg;
    struct sto_entity who, what;

    assert_int_equal(sto_get_entity(s->v, STO_USERS, h->user, &who), ERR_OK);
    assert_int_equal(who.key, h->user);
    for (size_t r = 0; r < h->n; r++) {
        assert_int_equal(sto_get_entity(s->v, STO_ITEMS, h->item[r], &what),
                         ERR_OK);
        fprintf(s->to, "%s %s %g %lld\n", who.id, what.id,
                h->value != NULL ? (double)h->value[r] : 1.0,
                h->time != NULL ? (long long)h->time[r] : -1LL);
    }
    return ERR_OK;
}

static enum err say_entity(void *arg, const struct sto_entity *e)
{
    struct said *s = arg;

    fprintf(s->to, "%s %s %d %d\n", e->id, e->attributes, e->listed, e->open);
    return ERR_OK;
}

/* Rows, people and items, in the store's own order; free() it. */
static char *all_of(const char *where)
{
    struct said s;
    struct sto *st;
    char *text = NULL;
    size_t n = 0;

    s.to = open_memstream(&text, &n);
    assert_non_null(s.to);
    if (sto_open(&st, where, STO_READ) != ERR_OK)
        fail_msg("%s", err_note());
    assert_int_equal(sto_view_open(&s.v, st), ERR_OK);
    assert_int_equal(sto_each_history(s.v, STO_TRAIN, say_history, &s), ERR_OK);
    assert_int_equal(sto_each_history(s.v, STO_TEST, say_history, &s), ERR_OK);
    assert_int_equal(sto_each_entity(s.v, STO_USERS, say_entity, &s), ERR_OK);
    assert_int_equal(sto_each_entity(s.v, STO_ITEMS, say_entity, &s), ERR_OK);
    sto_view_close(s.v);
    sto_close(st);
    assert_int_equal(fclose(s.to), 0);
    return text;
}

static void say_the_same(const char *a, const char *b)
{
    char *x = all_of(a), *y = all_of(b);

    assert_string_equal(x, y);
    free(x);
    free(y);
}

static bool is_encrypted(const char *where)
{
    struct sto_counts n;
    struct sto_view *v;
    struct sto *st;

    assert_int_equal(sto_open(&st, where, STO_READ), ERR_OK);
    assert_int_equal(sto_view_open(&v, st), ERR_OK);
    assert_int_equal(sto_count(v, &n), ERR_OK);
    assert_true(n.encrypted == sto_view_encrypted(v));
    sto_view_close(v);
    sto_close(st);
    return n.encrypted;
}

static const char *const few[] = {"dim", "4", "epochs", "2", NULL};

static void train_some(const char *where)
{
    struct unl_plan plan;

    opt_defaults(unl_plan_rows, &plan);
    case_train(where, "ease", "ease", NULL, &plan, NULL);
    plan.shards = 3;
    case_train(where, "ials", "ials", few, &plan, NULL);
}

static void same_models(void)
{
    static const char *const name[] = {"ease", "ials"};

    for (size_t i = 0; i < 2; i++) {
        unsigned char a[KEY_DIGEST_BYTES], b[KEY_DIGEST_BYTES];

        assert_true(case_digest(dir, name[i], a));
        assert_true(case_digest(other, name[i], b));
        assert_memory_equal(a, b, sizeof(a));
    }
}

static void forget_in(const char *where, const struct unl_request *r, size_t n,
                      json_t **report)
{
    json_t *mine = NULL;

    if (unl_forget(where, r, n, false, false, &mine) != ERR_OK)
        fail_msg("%s", err_note());
    if (report != NULL)
        *report = mine;
    else
        json_decref(mine);
}

static void split(const char *where)
{
    uint64_t moved;
    struct sto *st;

    assert_int_equal(sto_open(&st, where, STO_WRITE), ERR_OK);
    assert_int_equal(sto_split_rows(st, 0.25, false, 3, &moved), ERR_OK);
    assert_true(moved > 0);
    sto_close(st);
}

/* A person's row in the test split beside what a split moves there. */
static void import_test_row(const char *where, size_t u, size_t i)
{
    const struct sto_import_opts opts = {.split = STO_TEST};
    const struct sto_row row = {case_user(u), case_item(i), 2, 77};
    struct sto_import_stats stats;
    struct sto_import *im;
    struct sto *st;

    assert_int_equal(sto_import_new(&im, &opts), ERR_OK);
    assert_int_equal(sto_import_rows(im, &row, 1), ERR_OK);
    assert_int_equal(
        sto_import_entity(im, STO_USERS, case_user(u), "{\"age\":\"7\"}"),
        ERR_OK);
    assert_int_equal(
        sto_import_entity(im, STO_USERS, "only-listed", "{\"age\":\"8\"}"),
        ERR_OK);
    assert_int_equal(sto_open(&st, where, STO_WRITE), ERR_OK);
    assert_int_equal(sto_import_commit(im, st, &stats), ERR_OK);
    sto_close(st);
    sto_import_free(im);
}

/* Whatever is done to both, they say the same; models are the same bits. */
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

/* --- what its files say ------------------------------------------------------
 */

struct bytes {
    unsigned char *at;
    size_t n;
};

static struct bytes file_of(const char *where, const char *name)
{
    struct bytes b = {NULL, 0};
    char path[300];
    struct stat s;

    (void)snprintf(path, sizeof(path), "%s/%s", where, name);
    assert_int_equal(stat(path, &s), 0);
    b.n = (size_t)s.st_size;
    b.at = malloc(b.n + 1);
    FILE *f = fopen(path, "rb");

    assert_true(f != NULL && b.at != NULL);
    assert_int_equal(fread(b.at, 1, b.n, f), b.n);
    assert_int_equal(fclose(f), 0);
    return b;
}

static size_t hits(const struct bytes *b, const void *what, size_t n)
{
    const unsigned char *p = b->at, *end = b->at + b->n;
    size_t found = 0;

    while ((p = memmem(p, (size_t)(end - p), what, n)) != NULL) {
        found++;
        p++;
    }
    return found;
}

static size_t key_hits(const struct bytes *b, uint64_t key)
{
    const uint64_t big = __builtin_bswap64(key);

    return hits(b, &key, sizeof(key)) + hits(b, &big, sizeof(big));
}

/* The first items of a person, as a history holds them. */
static size_t list_hits(const struct bytes *b, const struct forget_case *c,
                        size_t u)
{
    uint64_t list[CASE_ITEMS];
    size_t n = 0;

    for (size_t i = 0; i < CASE_ITEMS; i++) {
        size_t at = n;

        if (!c->row[u][i])
            continue;
        for (; at > 0 && list[at - 1] > item_key(i); at--)
            list[at] = list[at - 1];
        list[at] = item_key(i);
        n++;
    }
    return hits(b, list, (n < 3 ? n : 3) * sizeof(list[0]));
}

/* Ids, keys of ids, attributes and item lists of people. */
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

/* --- backups ----------------------------------------------------------------
 */

/* Of every record of people in the data file at `where`: how many there are,
 * and how many open with some key of the keystore at `keys`. */
struct opened {
    size_t records, open, bytes;
};

static struct opened try_keys(const char *where, const char *keys)
{
    static const struct {
        const char *name;
        unsigned char table;
    } tables[] = {{"users", 'u'}, {"train", 'r'}, {"test", 'e'}};
    struct opened n = {0, 0, 0};
    struct sto_ring *ring;
    MDB_cursor *cur;
    MDB_val key, val;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;

    assert_int_equal(sto_ring_read(&ring, keys), ERR_OK);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 8), 0);
    assert_int_equal(mdb_env_open(env, where, MDB_RDONLY, 0666), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    for (size_t t = 0; t < 3; t++) {
        assert_int_equal(mdb_dbi_open(txn, tables[t].name, 0, &dbi), 0);
        assert_int_equal(mdb_cursor_open(txn, dbi, &cur), 0);
        while (mdb_cursor_get(cur, &key, &val, MDB_NEXT) == 0) {
            unsigned char *plain = malloc(val.mv_size);
            bool open = false;

            assert_non_null(plain);
            for (size_t i = 0; i < ring->n && !open; i++) {
                const struct sto_ring_key *k = &ring->key[i];

                open = sto_unseal(k, tables[t].table, val.mv_data, val.mv_size,
                                  plain);
                /* for another table it never does */
                assert_false(
                    sto_unseal(k, 'x', val.mv_data, val.mv_size, plain));
            }
            n.records++;
            n.open += open;
            n.bytes += val.mv_size;
            free(plain);
        }
        mdb_cursor_close(cur);
    }
    mdb_txn_abort(txn);
    mdb_env_close(env);
    sto_ring_free(ring);
    return n;
}

/* The one file of the folder keys/. */
static const char *keystore_of(const char *where)
{
    static char path[300];
    char command[200];

    (void)snprintf(command, sizeof(command), "ls %s/keys/*", where);
    FILE *p = popen(command, "r");

    assert_non_null(p);
    assert_int_equal(fscanf(p, "%299s", path), 1);
    assert_int_equal(fscanf(p, "%*s"), EOF); /* no second one */
    assert_int_equal(pclose(p), 0);
    return path;
}

static void shell3(const char *format, const char *a, const char *b,
                   const char *c)
{
    char command[1000];

    (void)snprintf(command, sizeof(command), format, a, b, c);
    assert_int_equal(system(command), 0);
}

/* The data file, and nothing else. */
static void back_up(void)
{
    shell3("mkdir -p %s && cp %s/data.mdb %s", backup, dir, backup);
}

static void put_back(void)
{
    shell3("cp %s/data.mdb %s && rm -f %s/lock.mdb", backup, dir, dir);
}

static void refused_with(const char *sentence)
{
    struct sto *st = NULL;

    assert_int_equal(sto_open(&st, dir, STO_READ), ERR_FORMAT);
    if (strstr(err_note(), sentence) == NULL)
        fail_msg("not \"%s\": %s", sentence, err_note());
    assert_int_equal(sto_open(&st, dir, STO_WRITE), ERR_FORMAT);
}

static void restore(void)
{
    json_t *report = NULL;

    refused_with("recd repair --restored");
    if (unl_restore(dir, &report) != ERR_OK)
        fail_msg("%s", err_note());
    assert_non_null(report);
    json_decref(report);
    assert_int_equal(unl_restore(dir, &report), ERR_OK);
    assert_null(report); /* nothing to do a second time */
}

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
        CASE(a_backup_tells_nothing_of_the_forgotten),
        CASE(a_backup_tells_nothing_of_a_forgotten_row),
        CASE(a_last_row_takes_the_key_along),
        CASE(a_restored_backup_keeps_no_idle_key),
        CASE(an_older_keystore_opens_what_it_can),
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
