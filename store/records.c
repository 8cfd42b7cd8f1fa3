/* store/records.c - records of people, as they are or sealed. */
#include "store/records.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/sort.h"
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

static MDB_val name_of(const struct sto_ring_key *k)
{
    return (MDB_val){sizeof(k->name), (void *)(uintptr_t)k->name};
}

static MDB_val plain_key(struct sto_key *k, uint64_t key)
{
    *k = sto_key_pack(key);
    return (MDB_val){sizeof(*k), k};
}

/* --- reading --------------------------------------------------------------
 */

static enum err open_sealed(const struct sto_at *at, enum sto_db db,
                            const struct sto_ring_key *k,
                            struct sto_buffer *buf, MDB_val *val)
{
    ERR_TRY(mem_grow(&buf->data, &buf->room, val->mv_size, 1));
    if (!sto_unseal(k, sto_record_table(db), val->mv_data, val->mv_size,
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
    MDB_val name = name_of(k), val;
    const int rc = mdb_get(at->txn, at->st->dbi[db], &name, &val);
    enum err e = ERR_OK;

    if (rc == 0)
        e = open_sealed(at, db, k, buf, &val);
    else if (rc == MDB_NOTFOUND)
        val = (MDB_val){0, NULL};
    else
        e = sto_lmdb(rc, at->st, "reading a record");
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

/* --- everybody of an encrypted table
 * ------------------------------------------
 *
 * The ring is in the order of keys, the table in that of names, which have
 * nothing to do with one another.  A block of people at a time: their names
 * are sorted and looked up in the order of the table (page after page, instead
 * of a walk down the tree to a random one each), then their records are
 * decrypted and given away in the order of keys.
 */

#define PEOPLE 65536 /* of a block */

struct block {
    MDB_val *val; /* [PEOPLE]; mv_data NULL: no record */
    uint64_t *name, *name_tmp;
    uint32_t *order, *order_tmp;
};

static void name_block(struct block *b, const struct sto_ring_key *k, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        b->name[i] = sto_key_unpack(k[i].name);
        b->order[i] = (uint32_t)i;
    }
    krn_sort_u64(b->name, b->order, b->name_tmp, b->order_tmp, n);
}

/* A destroyed key's name is in no table. */
static enum err find_block(const struct sto_at *at, MDB_cursor *cur,
                           struct block *b, const struct sto_ring_key *k,
                           size_t n)
{
    for (size_t j = 0; j < n; j++) {
        const uint32_t i = b->order[j];
        MDB_val name = name_of(&k[i]);
        const int rc = mdb_cursor_get(cur, &name, &b->val[i], MDB_SET);

        if (rc == MDB_NOTFOUND)
            b->val[i] = (MDB_val){0, NULL};
        else
            ERR_TRY(sto_lmdb(rc, at->st, "reading records"));
    }
    return ERR_OK;
}

static enum err each_sealed(
    const struct sto_at *at, enum sto_db db, MDB_cursor *cur, struct block *b,
    struct sto_buffer *buf,
    enum err (*fn)(void *arg, uint64_t key, const MDB_val *record), void *arg)
{
    const struct sto_ring *r = at->ring;

    for (size_t first = 0; first < r->n; first += PEOPLE) {
        const size_t n = r->n - first < PEOPLE ? r->n - first : PEOPLE;

        const struct sto_ring_key *k = r->key + first;

        name_block(b, k, n);
        ERR_TRY(find_block(at, cur, b, k, n));
        for (size_t i = 0; i < n; i++) {
            if (b->val[i].mv_data == NULL)
                continue;
            ERR_TRY(open_sealed(at, db, &k[i], buf, &b->val[i]));
            ERR_TRY(fn(arg, k[i].user, &b->val[i]));
        }
    }
    return ERR_OK;
}

static enum err each_of_blocks(
    const struct sto_at *at, enum sto_db db, struct sto_buffer *buf,
    enum err (*fn)(void *arg, uint64_t key, const MDB_val *record), void *arg)
{
    const size_t n = at->ring->n < PEOPLE ? at->ring->n : PEOPLE;
    struct mem_scratch m = {0};
    struct block b = {.val = mem_take(&m, n, 1, sizeof(*b.val)),
                      .name = mem_take(&m, n, 1, sizeof(*b.name)),
                      .name_tmp = mem_take(&m, n, 1, sizeof(*b.name)),
                      .order = mem_take(&m, n, 1, sizeof(*b.order)),
                      .order_tmp = mem_take(&m, n, 1, sizeof(*b.order))};
    MDB_cursor *cur = NULL;
    enum err e = m.failed
                     ? err_set(ERR_NOMEM, "no memory to read records")
                     : sto_lmdb(mdb_cursor_open(at->txn, at->st->dbi[db], &cur),
                                at->st, "reading records");

    if (e == ERR_OK)
        e = each_sealed(at, db, cur, &b, buf, fn, arg);
    if (cur != NULL)
        mdb_cursor_close(cur);
    mem_drop(&m);
    return e;
}

enum err sto_record_each(
    const struct sto_at *at, enum sto_db db, struct sto_buffer *buf,
    enum err (*fn)(void *arg, uint64_t key, const MDB_val *record), void *arg)
{
    return is_sealed(at->ring, db) ? each_of_blocks(at, db, buf, fn, arg)
                                   : each_plain(at, db, fn, arg);
}

static enum err next_sealed(const struct sto_at *at, enum sto_db db,
                            uint64_t *key, bool *found)
{
    *found = false;
    for (size_t i = sto_ring_place(at->ring, *key); i < at->ring->n; i++) {
        MDB_val name = name_of(&at->ring->key[i]), val;
        const int rc = mdb_get(at->txn, at->st->dbi[db], &name, &val);

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
                               const struct sto_ring_key *k, const void *sealed,
                               size_t n)
{
    MDB_val name = name_of(k);
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

    if (k == NULL)
        return no_key(t);
    if (buf == NULL)
        return err_set(ERR_NOMEM, "no memory for a record");
    memcpy(buf + STO_SEAL_HEAD, data, n);
    sto_seal(k, sto_record_table(db), buf, n);
    const enum err e = sto_record_put_sealed(t, db, k, buf, n + STO_SEAL);

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
    struct sto_key packed;
    MDB_val mk = plain_key(&packed, key);

    if (found != NULL)
        *found = false;
    if (is_sealed(t->ring, db)) {
        if ((k = sto_ring_find(t->ring, key)) == NULL)
            return ERR_OK;
        mk = name_of(k);
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
