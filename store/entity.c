/*
 * store/entity.c - external ids, attributes, and who still refers to them.
 *
 * Bytes: u64 rows that refer to it, u8 flags, u16 id length, id, NUL,
 * attributes, NUL.  An entity that nobody listed disappears with its last
 * row, so that the table does not remember whom the store forgot.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/env.h"

#define HEAD_BYTES 11

enum { LISTED = 1, OPEN = 2 }; /* flags */

struct record {
    uint64_t refs;
    bool listed, open;
    const char *id;
    size_t id_len;
    const char *attributes;
};

static enum err decode(struct record *r, const MDB_val *val)
{
    const unsigned char *p = val->mv_data;
    uint16_t len = 0;

    if (val->mv_size >= HEAD_BYTES)
        memcpy(&len, p + 9, 2);
    if (val->mv_size < HEAD_BYTES + (size_t)len + 2 ||
        p[HEAD_BYTES + len] != '\0' || p[val->mv_size - 1] != '\0')
        return err_set(ERR_FORMAT, "the store holds a damaged id record");
    memcpy(&r->refs, p, 8);
    r->listed = (p[8] & LISTED) != 0;
    r->open = (p[8] & OPEN) != 0;
    r->id = (const char *)p + HEAD_BYTES;
    r->id_len = len;
    r->attributes = r->id + len + 1;
    return ERR_OK;
}

static enum err put(struct sto_txn *t, enum sto_db db, uint64_t key,
                    const struct record *r)
{
    const size_t attr_len = strlen(r->attributes);
    struct sto_key k = sto_key_pack(key);
    MDB_val mk = {sizeof(k), &k};
    MDB_val val = {HEAD_BYTES + r->id_len + attr_len + 2, NULL};
    unsigned char *p = mem_array(val.mv_size, 1);
    const uint16_t len = (uint16_t)r->id_len;

    if (p == NULL)
        return err_set(ERR_NOMEM, "no memory for an id record");
    memcpy(p, &r->refs, 8);
    p[8] = (unsigned char)((r->listed ? LISTED : 0) | (r->open ? OPEN : 0));
    memcpy(p + 9, &len, 2);
    memcpy(p + HEAD_BYTES, r->id, r->id_len);
    memcpy(p + HEAD_BYTES + r->id_len + 1, r->attributes, attr_len);
    val.mv_data = p;
    const enum err e = sto_lmdb(mdb_put(t->txn, t->st->dbi[db], &mk, &val, 0),
                                t->st, "writing an id");
    free(p);
    return e;
}

static enum sto_db kind_db(enum sto_kind kind)
{
    return kind == STO_USERS ? STO_DB_USERS : STO_DB_ITEMS;
}

static int get(MDB_txn *txn, MDB_dbi dbi, uint64_t key, MDB_val *val)
{
    struct sto_key k = sto_key_pack(key);
    MDB_val mk = {sizeof(k), &k};

    return mdb_get(txn, dbi, &mk, val);
}

/* The record under key; *found false when there is none.  Another id under
 * the same key is an error. */
static enum err load(struct sto_txn *t, enum sto_db db, uint64_t key,
                     const char *id, size_t id_len, struct record *r,
                     bool *found)
{
    MDB_val val;
    const int rc = get(t->txn, t->st->dbi[db], key, &val);

    *found = rc == 0;
    if (rc == MDB_NOTFOUND)
        return ERR_OK;
    ERR_TRY(sto_lmdb(rc, t->st, "reading an id"));
    ERR_TRY(decode(r, &val));
    if (id != NULL && (r->id_len != id_len || memcmp(r->id, id, id_len) != 0))
        return err_set(ERR_FORMAT,
                       "the ids \"%.*s\" and \"%s\" have the same key: rename "
                       "one of them",
                       (int)id_len, id, r->id);
    return ERR_OK;
}

enum err sto_entity_refer(struct sto_txn *t, enum sto_kind kind, uint64_t key,
                          const char *id, size_t id_len, int64_t refs)
{
    const enum sto_db db = kind_db(kind);
    struct record r = {.id = id, .id_len = id_len, .attributes = ""};
    bool found;

    ERR_TRY(load(t, db, key, id, id_len, &r, &found));
    assert(found || id != NULL);
    r.refs = (uint64_t)((int64_t)r.refs + refs);
    if (r.refs == 0 && !r.listed) {
        struct sto_key k = sto_key_pack(key);
        MDB_val mk = {sizeof(k), &k};

        return found ? sto_lmdb(mdb_del(t->txn, t->st->dbi[db], &mk, NULL),
                                t->st, "removing an id")
                     : ERR_OK;
    }
    return put(t, db, key, &r);
}

enum err sto_entity_list(struct sto_txn *t, enum sto_kind kind, const char *id,
                         size_t id_len, const char *attributes)
{
    const enum sto_db db = kind_db(kind);
    const uint64_t key = key_of(id, id_len);
    struct record r = {.id = id, .id_len = id_len};
    bool found;

    ERR_TRY(load(t, db, key, id, id_len, &r, &found));
    r.listed = true;
    r.attributes = attributes;
    return put(t, db, key, &r);
}

enum err sto_entity_declare(struct sto_txn *t, uint64_t key)
{
    struct record r;
    bool found;

    ERR_TRY(load(t, STO_DB_USERS, key, NULL, 0, &r, &found));
    assert(found);
    if (r.open)
        return ERR_OK;
    r.open = true;
    return put(t, STO_DB_USERS, key, &r);
}

/* --- reading -------------------------------------------------------------- */

static enum err to_entity(struct sto_entity *out, uint64_t key,
                          const MDB_val *val)
{
    struct record r;

    ERR_TRY(decode(&r, val));
    *out = (struct sto_entity){.key = key,
                               .id = r.id,
                               .id_len = r.id_len,
                               .attributes = r.attributes,
                               .listed = r.listed,
                               .open = r.open};
    return ERR_OK;
}

enum err sto_each_entity(struct sto_view *v, enum sto_kind kind,
                         enum err (*fn)(void *arg, const struct sto_entity *e),
                         void *arg)
{
    MDB_cursor *cur;
    MDB_val key, val;
    enum err e =
        sto_lmdb(mdb_cursor_open(v->txn, v->st->dbi[kind_db(kind)], &cur),
                 v->st, "reading ids");

    if (e != ERR_OK)
        return e;
    int rc = mdb_cursor_get(cur, &key, &val, MDB_FIRST);

    while (rc == 0 && e == ERR_OK) {
        struct sto_entity one;

        e = to_entity(&one, sto_key_unpack(key.mv_data), &val);
        if (e == ERR_OK)
            e = fn(arg, &one);
        if (e == ERR_OK)
            rc = mdb_cursor_get(cur, &key, &val, MDB_NEXT);
    }
    mdb_cursor_close(cur);
    if (e != ERR_OK || rc == MDB_NOTFOUND)
        return e;
    return sto_lmdb(rc, v->st, "reading ids");
}

enum err sto_get_entity(struct sto_view *v, enum sto_kind kind, uint64_t key,
                        struct sto_entity *out)
{
    MDB_val val;
    const int rc = get(v->txn, v->st->dbi[kind_db(kind)], key, &val);

    if (rc == MDB_NOTFOUND)
        return err_set(ERR_NOTFOUND, "the store knows no such %s",
                       kind == STO_USERS ? "user" : "item");
    ERR_TRY(sto_lmdb(rc, v->st, "reading an id"));
    return to_entity(out, key, &val);
}

enum err sto_find_entity(struct sto_view *v, enum sto_kind kind, const char *id,
                         struct sto_entity *out)
{
    const enum err e = sto_get_entity(v, kind, key_of(id, strlen(id)), out);

    if (e == ERR_NOTFOUND || (e == ERR_OK && strcmp(out->id, id) != 0))
        return err_set(ERR_NOTFOUND, "%s \"%s\" is not in the store",
                       kind == STO_USERS ? "user" : "item", id);
    return e;
}
