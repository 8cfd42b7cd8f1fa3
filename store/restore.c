/* store/restore.c - records that no key opens, and keys that open none. */
#include "store/restore.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/keystore.h"
#include "store/records.h"

struct named {
    const struct sto_ring_key *key;
    bool has_record;
};

struct restore {
    struct sto_removed *n;
    enum err (*then)(void *arg, struct sto_txn *t);
    void *arg;
    struct named *named; /* [n_named] by name */
    size_t n_named;
    unsigned char (*gone)[STO_NAME]; /* [n_gone] of one table */
    uint64_t *item;                  /* [n_rows] of every row that is left */
    size_t n_gone, gone_room, n_rows, room;
    struct sto_buffer buf;
    bool *whole;
};

static int by_name(const void *va, const void *vb)
{
    const struct named *a = va, *b = vb;

    return memcmp(a->key->name, b->key->name, sizeof(a->key->name));
}

static enum err name_all(struct restore *r, const struct sto_ring *ring)
{
    r->n_named = ring->n;
    r->named = mem_array(ring->n, sizeof(*r->named));
    if (r->named == NULL)
        return err_set(ERR_NOMEM, "no memory for the keys of %zu people",
                       ring->n);
    for (size_t i = 0; i < ring->n; i++) {
        r->named[i].key = &ring->key[i];
    }
    qsort(r->named, r->n_named, sizeof(*r->named), by_name);
    return ERR_OK;
}

static enum err damaged(const struct sto_txn *t, const char *what)
{
    return err_set(ERR_FORMAT, "store %s holds %s: the backup is damaged",
                   t->st->dir, what);
}

/* --- records --------------------------------------------------------------
 */

static enum err keep_record(struct restore *r, struct sto_txn *t,
                            enum sto_db db, struct named *who,
                            const MDB_val *val)
{
    struct sto_history h;

    who->has_record |= db == STO_DB_USERS;
    if (db == STO_DB_USERS)
        return ERR_OK;
    ERR_TRY(mem_grow(&r->buf.data, &r->buf.room, val->mv_size, 1));
    if (!sto_unseal(who->key, sto_record_table(db), val->mv_data, val->mv_size,
                    r->buf.data))
        return damaged(t, "a record that does not open with its key");
    const MDB_val plain = {val->mv_size - STO_SEAL, r->buf.data};

    ERR_TRY(sto_history_decode(&h, who->key->user, &plain, NULL));
    ERR_TRY(mem_grow(&r->item, &r->room, r->n_rows + h.n, sizeof(*r->item)));
    memcpy(r->item + r->n_rows, h.item, h.n * sizeof(*h.item));
    r->n_rows += h.n;
    return ERR_OK;
}

static enum err sort_record(struct restore *r, struct sto_txn *t,
                            enum sto_db db, const MDB_val *key,
                            const MDB_val *val)
{
    struct sto_ring_key name;
    const struct named like = {&name, false};
    struct named *who;

    if (key->mv_size != sizeof(name.name))
        return damaged(t, "a record under no name of a person");
    memcpy(name.name, key->mv_data, sizeof(name.name));
    who = r->n_named == 0
              ? NULL
              : bsearch(&like, r->named, r->n_named, sizeof(like), by_name);
    if (who != NULL)
        return keep_record(r, t, db, who, val);
    ERR_TRY(mem_grow(&r->gone, &r->gone_room, r->n_gone + 1, sizeof(*r->gone)));
    memcpy(r->gone[r->n_gone++], name.name, sizeof(*r->gone));
    return ERR_OK;
}

/* Keep what a key opens, drop what none does. */
static enum err filter(struct restore *r, struct sto_txn *t, enum sto_db db)
{
    MDB_cursor *cur;
    MDB_val key, val;
    enum err e = sto_lmdb(mdb_cursor_open(t->txn, t->st->dbi[db], &cur), t->st,
                          "reading records");

    if (e != ERR_OK)
        return e;
    int rc = mdb_cursor_get(cur, &key, &val, MDB_FIRST);

    r->n_gone = 0;
    for (; rc == 0 && e == ERR_OK;
         rc = mdb_cursor_get(cur, &key, &val, MDB_NEXT))
        e = sort_record(r, t, db, &key, &val);
    mdb_cursor_close(cur);
    if (e == ERR_OK && rc != 0 && rc != MDB_NOTFOUND)
        e = sto_lmdb(rc, t->st, "reading records");
    for (size_t i = 0; i < r->n_gone && e == ERR_OK; i++) {
        key = (MDB_val){sizeof(r->gone[i]), r->gone[i]};
        e = sto_lmdb(mdb_del(t->txn, t->st->dbi[db], &key, NULL), t->st,
                     "removing a record");
    }
    r->n->users += db == STO_DB_USERS ? r->n_gone : 0;
    return e;
}

/* --- items ----------------------------------------------------------------
 */

static int by_value(const void *va, const void *vb)
{
    const uint64_t a = *(const uint64_t *)va, b = *(const uint64_t *)vb;

    return (a > b) - (a < b);
}

/* Rows of this item among those that are left, which are sorted. */
static uint64_t rows_of(const struct restore *r, uint64_t item, size_t *at)
{
    const size_t from = *at;

    while (*at < r->n_rows && r->item[*at] == item)
        ++*at;
    return *at - from;
}

/* Items come in the order of their keys, as the rows do. */
static enum err count_items(struct restore *r, struct sto_txn *t)
{
    const struct sto_at at = sto_at_change(t);
    uint64_t item = 0, was, is;
    bool found = true, gone;
    size_t row = 0;

    qsort(r->item, r->n_rows, sizeof(*r->item), by_value);
    while (found) {
        ERR_TRY(sto_record_next(&at, STO_DB_ITEMS, &item, &found));
        if (!found)
            break;
        is = rows_of(r, item, &row);
        ERR_TRY(sto_entity_recount(t, item, is, &was, &gone));
        r->n->train += was > is ? was - is : 0;
        r->n->items += gone;
        if (item++ == UINT64_MAX)
            break;
    }
    return row == r->n_rows ? ERR_OK
                            : damaged(t, "rows with items that it lacks");
}

/* --- the whole --------------------------------------------------------------
 */

static enum err restore_all(void *arg, struct sto_txn *t)
{
    struct restore *r = arg;
    struct sto_keys_named named;
    struct sto_ring *ring;

    *r->n = (struct sto_removed){0};
    r->n_rows = 0;
    ERR_TRY(sto_keys_named(t->st, t->txn, &named));
    *r->whole = memcmp(named.digest, t->was->digest, KEY_DIGEST_BYTES) == 0;
    if (*r->whole) /* another process was faster */
        return ERR_OK;
    /* a ring of its own: what is written is a generation after all others */
    ERR_TRY(sto_ring_copy(&ring, t->was));
    t->ring = ring;
    ERR_TRY(filter(r, t, STO_DB_USERS));
    ERR_TRY(filter(r, t, STO_DB_TRAIN));
    ERR_TRY(filter(r, t, STO_DB_TEST));
    for (size_t i = 0; i < r->n_named; i++) {
        if (!r->named[i].has_record)
            ERR_TRY(sto_keys_destroy(t, r->named[i].key->user));
    }
    ERR_TRY(count_items(r, t));
    ERR_TRY(sto_removals_add(t));
    return r->then(r->arg, t);
}

/* Whether what the data file names is there: then there is nothing to do. */
static enum err is_whole(const char *dir, bool *whole)
{
    struct sto *st = NULL;
    const enum err e = sto_open(&st, dir, STO_READ);

    *whole = e == ERR_OK;
    sto_close(st);
    return e == ERR_FORMAT ? ERR_OK : e;
}

enum err sto_restore(const char *dir, struct sto_removed *n, bool *whole,
                     enum err (*then)(void *arg, struct sto_txn *t), void *arg)
{
    struct restore r = {.n = n, .then = then, .arg = arg, .whole = whole};
    struct sto *st = NULL;

    ERR_TRY(is_whole(dir, whole));
    if (*whole)
        return ERR_OK;
    ERR_TRY(sto_open_restored(&st, dir));
    struct sto_ring *ring = sto_ring_hold(st->ring);
    enum err e =
        ring != NULL
            ? name_all(&r, ring)
            : err_set(ERR_ARG, "store %s is not encrypted: it has no keystore",
                      dir);

    if (e == ERR_OK)
        e = sto_write(st, restore_all, &r);
    sto_ring_free(ring);
    free(r.named);
    free(r.gone);
    free(r.item);
    free(r.buf.data);
    sto_close(st);
    return e;
}
