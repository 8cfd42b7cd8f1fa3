/* store/records.c - records of people, as they are or sealed. */
#include "store/records.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/mem.h"
#include "store/keystore.h"

struct sto_at sto_at_view(const struct sto_view *v)
{
    return (struct sto_at){v->st, v->txn, v->ring};
}

struct sto_at sto_at_change(const struct sto_txn *t)
{
    return (struct sto_at){t->st, t->txn, t->ring};
}

unsigned char sto_record_table(enum sto_db db)
{
    return db == STO_DB_USERS ? 'u' : db == STO_DB_TRAIN ? 'r' : 'e';
}

static bool is_sealed(const struct sto_ring *r, enum sto_db db)
{
    return r != NULL &&
           (db == STO_DB_USERS || db == STO_DB_TRAIN || db == STO_DB_TEST);
}

static MDB_val name_of(struct sto_lock *l)
{
    return (MDB_val){sizeof(l->name), l->name};
}

static MDB_val plain_key(struct sto_key *k, uint64_t key)
{
    *k = sto_key_pack(key);
    return (MDB_val){sizeof(*k), k};
}

/* --- reading --------------------------------------------------------------
 */

static enum err open_sealed(const struct sto_at *at, enum sto_db db,
                            const struct sto_lock *l, struct sto_buffer *buf,
                            MDB_val *val)
{
    ERR_TRY(mem_grow(&buf->data, &buf->room, val->mv_size, 1));
    if (!sto_unseal(l, sto_record_table(db), val->mv_data, val->mv_size,
                    buf->data))
        return err_set(ERR_FORMAT,
                       "store %s: a person's record does not open with the "
                       "person's key: it is damaged",
                       at->st->dir);
    *val = (MDB_val){val->mv_size - STO_SEAL, buf->data};
    return ERR_OK;
}

static enum err get_sealed(const struct sto_at *at, enum sto_db db,
                           const struct sto_ring_key *k, struct sto_buffer *buf,
                           MDB_val *out)
{
    struct sto_lock l;
    MDB_val val;

    sto_lock_of(k, &l);
    MDB_val name = name_of(&l);
    const int rc = mdb_get(at->txn, at->st->dbi[db], &name, &val);
    enum err e = ERR_OK;

    if (rc == 0)
        e = open_sealed(at, db, &l, buf, &val);
    else if (rc == MDB_NOTFOUND)
        val = (MDB_val){0, NULL};
    else
        e = sto_lmdb(rc, at->st, "reading a record");
    sodium_memzero(&l, sizeof(l));
    if (e == ERR_OK)
        *out = val;
    return e;
}

enum err sto_record_get(const struct sto_at *at, enum sto_db db, uint64_t key,
                        struct sto_buffer *buf, MDB_val *out)
{
    const struct sto_ring_key *k = NULL;
    struct sto_key packed;
    MDB_val mk = plain_key(&packed, key), val;

    if (is_sealed(at->ring, db)) {
        k = sto_ring_find(at->ring, key);
        if (k != NULL)
            return get_sealed(at, db, k, buf, out);
        *out = (MDB_val){0, NULL};
        return ERR_OK;
    }
    const int rc = mdb_get(at->txn, at->st->dbi[db], &mk, &val);

    if (rc == MDB_NOTFOUND) {
        *out = (MDB_val){0, NULL};
        return ERR_OK;
    }
    ERR_TRY(sto_lmdb(rc, at->st, "reading a record"));
    *out = val;
    return ERR_OK;
}

static enum err each_plain(const struct sto_at *at, enum sto_db db,
                           enum err (*fn)(void *arg, uint64_t key,
                                          const MDB_val *record),
                           void *arg)
{
    MDB_cursor *cur;
    MDB_val key, val;
    enum err e = sto_lmdb(mdb_cursor_open(at->txn, at->st->dbi[db], &cur),
                          at->st, "reading records");

    if (e != ERR_OK)
        return e;
    int rc = mdb_cursor_get(cur, &key, &val, MDB_FIRST);

    while (rc == 0 && e == ERR_OK) {
        e = fn(arg, sto_key_unpack(key.mv_data), &val);
        if (e == ERR_OK)
            rc = mdb_cursor_get(cur, &key, &val, MDB_NEXT);
    }
    mdb_cursor_close(cur);
    if (e != ERR_OK || rc == MDB_NOTFOUND)
        return e;
    return sto_lmdb(rc, at->st, "reading records");
}

/* The ring is in the order of keys; the table is not. */
enum err sto_record_each(
    const struct sto_at *at, enum sto_db db, struct sto_buffer *buf,
    enum err (*fn)(void *arg, uint64_t key, const MDB_val *record), void *arg)
{
    if (!is_sealed(at->ring, db))
        return each_plain(at, db, fn, arg);
    for (size_t i = 0; i < at->ring->n; i++) {
        const struct sto_ring_key *k = &at->ring->key[i];
        MDB_val val;

        if (sto_ring_is_dead(k))
            continue;
        ERR_TRY(get_sealed(at, db, k, buf, &val));
        if (val.mv_data != NULL)
            ERR_TRY(fn(arg, k->user, &val));
    }
    return ERR_OK;
}

static enum err next_sealed(const struct sto_at *at, enum sto_db db,
                            uint64_t *key, bool *found)
{
    *found = false;
    for (size_t i = sto_ring_place(at->ring, *key); i < at->ring->n; i++) {
        struct sto_lock l;
        MDB_val val;

        if (sto_ring_is_dead(&at->ring->key[i]))
            continue;
        sto_lock_of(&at->ring->key[i], &l);
        MDB_val name = name_of(&l);
        const int rc = mdb_get(at->txn, at->st->dbi[db], &name, &val);

        sodium_memzero(&l, sizeof(l));
        if (rc == MDB_NOTFOUND)
            continue;
        ERR_TRY(sto_lmdb(rc, at->st, "reading records"));
        *key = at->ring->key[i].user;
        *found = true;
        break;
    }
    return ERR_OK;
}

enum err sto_record_next(const struct sto_at *at, enum sto_db db, uint64_t *key,
                         bool *found)
{
    struct sto_key packed;
    MDB_val mk = plain_key(&packed, *key), val;
    MDB_cursor *cur;

    if (is_sealed(at->ring, db))
        return next_sealed(at, db, key, found);
    ERR_TRY(sto_lmdb(mdb_cursor_open(at->txn, at->st->dbi[db], &cur), at->st,
                     "reading records"));
    const int rc = mdb_cursor_get(cur, &mk, &val, MDB_SET_RANGE);

    *found = rc == 0;
    if (rc == 0)
        *key = sto_key_unpack(mk.mv_data);
    mdb_cursor_close(cur);
    return rc == MDB_NOTFOUND ? ERR_OK
                              : sto_lmdb(rc, at->st, "reading records");
}

/* --- writing --------------------------------------------------------------
 */

enum err sto_record_put_sealed(struct sto_txn *t, enum sto_db db,
                               const struct sto_lock *l, const void *sealed,
                               size_t n)
{
    MDB_val name = {sizeof(l->name), (void *)(uintptr_t)l->name};
    MDB_val val = {n, (void *)(uintptr_t)sealed};

    return sto_lmdb(mdb_put(t->txn, t->st->dbi[db], &name, &val, 0), t->st,
                    "writing a record");
}

static enum err no_key(const struct sto_txn *t)
{
    return err_set(ERR_FORMAT,
                   "store %s: its keystore lacks somebody's key: it is damaged",
                   t->st->dir);
}

static enum err put_sealed(struct sto_txn *t, enum sto_db db, uint64_t key,
                           const void *data, size_t n)
{
    const struct sto_ring_key *k = sto_ring_find(t->ring, key);
    unsigned char *buf = k != NULL ? mem_array(n + STO_SEAL, 1) : NULL;
    struct sto_lock l;

    if (k == NULL)
        return no_key(t);
    if (buf == NULL)
        return err_set(ERR_NOMEM, "no memory for a record");
    sto_lock_of(k, &l);
    memcpy(buf + STO_SEAL_HEAD, data, n);
    sto_seal(&l, sto_record_table(db), buf, n);
    const enum err e = sto_record_put_sealed(t, db, &l, buf, n + STO_SEAL);

    sodium_memzero(&l, sizeof(l));
    free(buf);
    return e;
}

enum err sto_record_put(struct sto_txn *t, enum sto_db db, uint64_t key,
                        const void *data, size_t n)
{
    struct sto_key packed;
    MDB_val mk = plain_key(&packed, key), val = {n, (void *)(uintptr_t)data};

    return is_sealed(t->ring, db)
               ? put_sealed(t, db, key, data, n)
               : sto_lmdb(mdb_put(t->txn, t->st->dbi[db], &mk, &val, 0), t->st,
                          "writing a record");
}

enum err sto_record_remove(struct sto_txn *t, enum sto_db db, uint64_t key,
                           bool *found)
{
    const struct sto_ring_key *k = NULL;
    struct sto_lock l;
    struct sto_key packed;
    MDB_val mk = plain_key(&packed, key);

    if (found != NULL)
        *found = false;
    if (is_sealed(t->ring, db)) {
        if ((k = sto_ring_find(t->ring, key)) == NULL)
            return ERR_OK;
        sto_lock_of(k, &l);
        mk = name_of(&l);
    }
    const int rc = mdb_del(t->txn, t->st->dbi[db], &mk, NULL);

    if (found != NULL)
        *found = rc == 0;
    return rc == MDB_NOTFOUND ? ERR_OK
                              : sto_lmdb(rc, t->st, "removing a record");
}

enum err sto_record_renew(struct sto_txn *t, uint64_t user)
{
    static const enum sto_db db[] = {STO_DB_USERS, STO_DB_TRAIN, STO_DB_TEST};
    const struct sto_at at = sto_at_change(t);
    struct sto_buffer buf[3] = {{NULL, 0}};
    MDB_val val[3] = {{0, NULL}};
    enum err e = ERR_OK;

    if (t->ring == NULL)
        return ERR_OK;
    for (size_t i = 0; i < 3 && e == ERR_OK; i++) {
        e = sto_record_get(&at, db[i], user, &buf[i], &val[i]);
        if (e == ERR_OK)
            e = sto_record_remove(t, db[i], user, NULL);
    }
    if (e == ERR_OK)
        e = sto_keys_renew(t, user);
    for (size_t i = 0; i < 3; i++) {
        if (e == ERR_OK && val[i].mv_data != NULL)
            e = sto_record_put(t, db[i], user, val[i].mv_data, val[i].mv_size);
        free(buf[i].data);
    }
    return e;
}
