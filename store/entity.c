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
#include "store/records.h"

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
    const size_t n = HEAD_BYTES + r->id_len + attr_len + 2;
    unsigned char *p = mem_array(n, 1);
    const uint16_t len = (uint16_t)r->id_len;

    if (p == NULL)
        return err_set(ERR_NOMEM, "no memory for an id record");
    memcpy(p, &r->refs, 8);
    p[8] = (unsigned char)((r->listed ? LISTED : 0) | (r->open ? OPEN : 0));
    memcpy(p + 9, &len, 2);
    memcpy(p + HEAD_BYTES, r->id, r->id_len);
    memcpy(p + HEAD_BYTES + r->id_len + 1, r->attributes, attr_len);
    const enum err e = sto_record_put(t, db, key, p, n);

    free(p);
    return e;
}

static enum sto_db kind_db(enum sto_kind kind)
{
    return kind == STO_USERS ? STO_DB_USERS : STO_DB_ITEMS;
}

/* The record under key, in buf where it was encrypted; *found false when there
 * is none.  Another id under the same key is an error. */
static enum err load(struct sto_txn *t, enum sto_db db, uint64_t key,
                     const char *id, size_t id_len, struct sto_buffer *buf,
                     struct record *r, bool *found)
{
    const struct sto_at at = sto_at_change(t);
    MDB_val val;

    ERR_TRY(sto_record_get(&at, db, key, buf, &val));
    *found = val.mv_data != NULL;
    if (!*found)
        return ERR_OK;
    ERR_TRY(decode(r, &val));
    if (id != NULL && (r->id_len != id_len || memcmp(r->id, id, id_len) != 0))
        return err_set(ERR_FORMAT,
                       "the ids \"%.*s\" and \"%s\" have the same key: rename "
                       "one of them",
                       (int)id_len, id, r->id);
    return ERR_OK;
}

/* A record that nobody listed goes with its last row. */
static enum err put_or_remove(struct sto_txn *t, enum sto_db db, uint64_t key,
                              const struct record *r)
{
    return r->refs == 0 && !r->listed ? sto_record_remove(t, db, key, NULL)
                                      : put(t, db, key, r);
}

enum err sto_entity_refer(struct sto_txn *t, enum sto_kind kind, uint64_t key,
                          const char *id, size_t id_len, int64_t refs)
{
    const enum sto_db db = kind_db(kind);
    struct record r = {.id = id, .id_len = id_len, .attributes = ""};
    struct sto_buffer buf = {NULL, 0};
    bool found;
    enum err e = load(t, db, key, id, id_len, &buf, &r, &found);

    if (e == ERR_OK && !found && id == NULL)
        e = err_set(ERR_FORMAT, "the store holds rows of somebody or something "
                                "that it does not know: it is damaged");
    if (e == ERR_OK) {
        r.refs = (uint64_t)((int64_t)r.refs + refs);
        e = put_or_remove(t, db, key, &r);
    }
    free(buf.data);
    return e;
}

enum err sto_entity_list(struct sto_txn *t, enum sto_kind kind, const char *id,
                         size_t id_len, const char *attributes)
{
    const enum sto_db db = kind_db(kind);
    const uint64_t key = key_of(id, id_len);
    struct record r = {.id = id, .id_len = id_len};
    struct sto_buffer buf = {NULL, 0};
    bool found;
    enum err e = load(t, db, key, id, id_len, &buf, &r, &found);

    if (e == ERR_OK) {
        r.listed = true;
        r.attributes = attributes;
        e = put(t, db, key, &r);
    }
    free(buf.data);
    return e;
}

enum err sto_entity_recount(struct sto_txn *t, uint64_t item, uint64_t refs,
                            uint64_t *was, bool *gone)
{
    struct sto_buffer buf = {NULL, 0};
    struct record r;
    bool found;

    ERR_TRY(load(t, STO_DB_ITEMS, item, NULL, 0, &buf, &r, &found));
    assert(found);
    *was = r.refs;
    *gone = refs == 0 && !r.listed;
    r.refs = refs;
    return *was == refs ? ERR_OK : put_or_remove(t, STO_DB_ITEMS, item, &r);
}

enum err sto_entity_declare(struct sto_txn *t, uint64_t key)
{
    struct sto_buffer buf = {NULL, 0};
    struct record r;
    bool found;
    enum err e = load(t, STO_DB_USERS, key, NULL, 0, &buf, &r, &found);

    if (e == ERR_OK) {
        assert(found);
        if (!r.open) {
            r.open = true;
            e = put(t, STO_DB_USERS, key, &r);
        }
    }
    free(buf.data);
    return e;
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

struct each {
    enum err (*fn)(void *arg, const struct sto_entity *e);
    void *arg;
};

static enum err each_one(void *arg, uint64_t key, const MDB_val *val)
{
    const struct each *each = arg;
    struct sto_entity one;

    ERR_TRY(to_entity(&one, key, val));
    return each->fn(each->arg, &one);
}

enum err sto_each_entity(struct sto_view *v, enum sto_kind kind,
                         enum err (*fn)(void *arg, const struct sto_entity *e),
                         void *arg)
{
    const struct sto_at at = sto_at_view(v);

    return sto_record_each(&at, kind_db(kind), &v->each_person, each_one,
                           &(struct each){fn, arg});
}

enum err sto_get_entity(struct sto_view *v, enum sto_kind kind, uint64_t key,
                        struct sto_entity *out)
{
    const struct sto_at at = sto_at_view(v);
    MDB_val val;

    ERR_TRY(sto_record_get(&at, kind_db(kind), key, &v->person, &val));
    if (val.mv_data == NULL)
        return err_set(ERR_NOTFOUND, "the store knows no such %s",
                       kind == STO_USERS ? "user" : "item");
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
