/* tests/encrypt_case.h - encrypted stores: what they and their files say, and
 * backups. */
#ifndef TESTS_ENCRYPT_CASE_H
#define TESTS_ENCRYPT_CASE_H

#include "tests/forget_case.h"

#include <lmdb.h>
#include <sys/stat.h>

#include "store/forget.h"
#include "store/keyring.h"
#include "store/vacuum.h"
#include "unlearn/cert.h"
#include "unlearn/journal.h"

static char dir[64], other[80], backup[80];

static inline void shell(const char *format, const char *a, const char *b)
{
    char command[1000];

    (void)snprintf(command, sizeof(command), format, a, b);
    assert_int_equal(system(command), 0);
}

static inline int new_folders(void **state)
{
    (void)state;
    if (case_folders(dir, sizeof(dir), other, sizeof(other), "test-encrypt") !=
        0)
        return -1;
    (void)snprintf(backup, sizeof(backup), "%s-backup", dir);
    return 0;
}

static inline int drop_folders(void **state)
{
    (void)state;
    case_encrypt = false;
    remove_folder(dir);
    remove_folder(other);
    remove_folder(backup);
    return 0;
}

static inline void import_encrypted(const char *where,
                                    const struct forget_case *c)
{
    case_encrypt = true;
    case_import(where, c);
    case_encrypt = false;
}

static inline uint64_t user_key(size_t u)
{
    return key_of(case_user(u), strlen(case_user(u)));
}

static inline uint64_t item_key(size_t i)
{
    return key_of(case_item(i), strlen(case_item(i)));
}

/* --- what a store says ------------------------------------------------------
 */

struct said {
    struct sto_view *v;
    FILE *to;
};

static inline enum err say_history(void *arg, const struct sto_history *h)
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

static inline enum err say_entity(void *arg, const struct sto_entity *e)
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

static inline void say_the_same(const char *a, const char *b)
{
    char *x = all_of(a), *y = all_of(b);

    assert_string_equal(x, y);
    free(x);
    free(y);
}

static inline bool is_encrypted(const char *where)
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

static inline void train_some(const char *where)
{
    struct unl_plan plan;

    opt_defaults(unl_plan_rows, &plan);
    case_train(where, "ease", "ease", NULL, &plan, NULL);
    plan.shards = 3;
    case_train(where, "ials", "ials", few, &plan, NULL);
}

static inline void same_models(void)
{
    static const char *const name[] = {"ease", "ials"};

    for (size_t i = 0; i < 2; i++) {
        unsigned char a[KEY_DIGEST_BYTES], b[KEY_DIGEST_BYTES];

        assert_true(case_digest(dir, name[i], a));
        assert_true(case_digest(other, name[i], b));
        assert_memory_equal(a, b, sizeof(a));
    }
}

static inline void forget_in(const char *where, const struct unl_request *r,
                             size_t n, json_t **report)
{
    json_t *mine = NULL;

    if (unl_forget(where, r, n, false, false, &mine) != ERR_OK)
        fail_msg("%s", err_note());
    if (report != NULL)
        *report = mine;
    else
        json_decref(mine);
}

static inline void split(const char *where)
{
    uint64_t moved;
    struct sto *st;

    assert_int_equal(sto_open(&st, where, STO_WRITE), ERR_OK);
    assert_int_equal(sto_split_rows(st, 0.25, false, 3, &moved), ERR_OK);
    assert_true(moved > 0);
    sto_close(st);
}

/* A person's row in the test split beside what a split moves there. */
static inline void import_test_row(const char *where, size_t u, size_t i)
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
/* --- what its files say ------------------------------------------------------
 */

struct bytes {
    unsigned char *at;
    size_t n;
};

static inline struct bytes file_of(const char *where, const char *name)
{
    struct bytes b = {NULL, 0};
    char path[400];
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

static inline size_t hits(const struct bytes *b, const void *what, size_t n)
{
    const unsigned char *p = b->at, *end = b->at + b->n;
    size_t found = 0;

    while ((p = memmem(p, (size_t)(end - p), what, n)) != NULL) {
        found++;
        p++;
    }
    return found;
}

static inline size_t key_hits(const struct bytes *b, uint64_t key)
{
    const uint64_t big = __builtin_bswap64(key);

    return hits(b, &key, sizeof(key)) + hits(b, &big, sizeof(big));
}

/* The first items of a person, as a history holds them. */
static inline size_t list_hits(const struct bytes *b,
                               const struct forget_case *c, size_t u)
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
/* --- backups ----------------------------------------------------------------
 */

/* Of every record of people in the data file at `where`: how many there are,
 * and how many open with some key of the keystore at `keys`. */
struct opened {
    size_t records, open, bytes;
};

static inline struct opened try_keys(const char *where, const char *keys)
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

static inline void shell3(const char *format, const char *a, const char *b,
                          const char *c)
{
    char command[1000];

    (void)snprintf(command, sizeof(command), format, a, b, c);
    assert_int_equal(system(command), 0);
}

/* The data file, and nothing else. */
static inline void back_up(void)
{
    shell3("mkdir -p %s && cp %s/data.mdb %s", backup, dir, backup);
}

static inline void put_back(void)
{
    shell3("cp %s/data.mdb %s && rm -f %s/lock.mdb", backup, dir, dir);
}

static inline void refused_with(const char *sentence)
{
    struct sto *st = NULL;

    assert_int_equal(sto_open(&st, dir, STO_READ), ERR_FORMAT);
    if (strstr(err_note(), sentence) == NULL)
        fail_msg("not \"%s\": %s", sentence, err_note());
    assert_int_equal(sto_open(&st, dir, STO_WRITE), ERR_FORMAT);
}

static inline void restore(void)
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

#endif /* TESTS_ENCRYPT_CASE_H */
