/*
 * store/history.c - one person's rows as one value.
 *
 * Bytes: u64 flags (1 = values, 2 = times), u64 item[n], i64 time[n] if there,
 * f32 value[n] if there; n follows from the size.  Little-endian.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/env.h"

#define HAS_VALUE 1u
#define HAS_TIME 2u

static size_t row_bytes(uint64_t flags)
{
    return 8 + (flags & HAS_TIME ? 8u : 0u) + (flags & HAS_VALUE ? 4u : 0u);
}

size_t sto_history_bytes(size_t n, bool has_value, bool has_time)
{
    return 8 + n * (8 + (has_time ? 8u : 0u) + (has_value ? 4u : 0u));
}

void sto_history_encode(const struct sto_history *h, unsigned char *out)
{
    const uint64_t flags =
        (h->value != NULL ? HAS_VALUE : 0) | (h->time != NULL ? HAS_TIME : 0);

    memcpy(out, &flags, 8);
    out += 8;
    memcpy(out, h->item, 8 * h->n);
    out += 8 * h->n;
    if (h->time != NULL) {
        memcpy(out, h->time, 8 * h->n);
        out += 8 * h->n;
    }
    if (h->value != NULL)
        memcpy(out, h->value, 4 * h->n);
}

/* The value at an 8-byte boundary: where it is, or copied into buf. */
static enum err align_value(const MDB_val *data, struct sto_buffer *buf,
                            const unsigned char **out)
{
    if ((uintptr_t)data->mv_data % 8 == 0) {
        *out = data->mv_data;
        return ERR_OK;
    }
    ERR_TRY(mem_grow(&buf->data, &buf->room, data->mv_size, 1));
    memcpy(buf->data, data->mv_data, data->mv_size);
    *out = buf->data;
    return ERR_OK;
}

enum err sto_history_decode(struct sto_history *out, uint64_t user,
                            const MDB_val *data, struct sto_buffer *buf)
{
    uint64_t flags = 0;
    const unsigned char *p;

    if (data->mv_size >= 8)
        memcpy(&flags, data->mv_data, 8);
    if (data->mv_size < 8 || flags > (HAS_VALUE | HAS_TIME) ||
        (data->mv_size - 8) % row_bytes(flags) != 0)
        return err_set(ERR_FORMAT, "the store holds a history of an "
                                   "impossible size: it is damaged");
    ERR_TRY(align_value(data, buf, &p));
    const size_t n = (data->mv_size - 8) / row_bytes(flags);
    struct sto_history h = {.user = user, .n = n};

    p += 8;
    h.item = (const void *)p;
    p += 8 * n;
    if (flags & HAS_TIME) {
        h.time = (const void *)p;
        p += 8 * n;
    }
    if (flags & HAS_VALUE)
        h.value = (const void *)p;
    *out = h;
    return ERR_OK;
}

static enum sto_db split_db(enum sto_split split)
{
    return split == STO_TRAIN ? STO_DB_TRAIN : STO_DB_TEST;
}

enum err sto_each_history(struct sto_view *v, enum sto_split split,
                          enum err (*fn)(void *arg,
                                         const struct sto_history *h),
                          void *arg)
{
    MDB_cursor *cur;
    MDB_val key, val;
    enum err e =
        sto_lmdb(mdb_cursor_open(v->txn, v->st->dbi[split_db(split)], &cur),
                 v->st, "reading histories");

    if (e != ERR_OK)
        return e;
    int rc = mdb_cursor_get(cur, &key, &val, MDB_FIRST);

    while (rc == 0 && e == ERR_OK) {
        struct sto_history h;

        e = sto_history_decode(&h, sto_key_unpack(key.mv_data), &val,
                               &v->history[split]);
        if (e == ERR_OK)
            e = fn(arg, &h);
        if (e == ERR_OK)
            rc = mdb_cursor_get(cur, &key, &val, MDB_NEXT);
    }
    mdb_cursor_close(cur);
    if (e != ERR_OK || rc == MDB_NOTFOUND)
        return e;
    return sto_lmdb(rc, v->st, "reading histories");
}

enum err sto_get_history(struct sto_view *v, enum sto_split split,
                         uint64_t user, struct sto_history *out)
{
    struct sto_key k = sto_key_pack(user);
    MDB_val key = {sizeof(k), &k}, val;
    const int rc = mdb_get(v->txn, v->st->dbi[split_db(split)], &key, &val);

    if (rc == MDB_NOTFOUND) {
        *out = (struct sto_history){.user = user};
        return ERR_OK;
    }
    ERR_TRY(sto_lmdb(rc, v->st, "reading a history"));
    return sto_history_decode(out, user, &val, &v->history[split]);
}
