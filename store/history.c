/*
 * store/history.c - one person's rows as one value.
 *
 * Bytes: u64 flags (1 = values, 2 = times), u64 item[n], i64 time[n] if there,
 * f32 value[n] if there; n follows from the size.  Little-endian.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/records.h"

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

struct each {
    struct sto_buffer *align;
    enum err (*fn)(void *arg, const struct sto_history *h);
    void *arg;
};

static enum err each_one(void *arg, uint64_t key, const MDB_val *val)
{
    const struct each *each = arg;
    struct sto_history h;

    ERR_TRY(sto_history_decode(&h, key, val, each->align));
    return each->fn(each->arg, &h);
}

enum err sto_each_history(struct sto_view *v, enum sto_split split,
                          enum err (*fn)(void *arg,
                                         const struct sto_history *h),
                          void *arg)
{
    const struct sto_at at = sto_at_view(v);
    /* what is decrypted into the buffer lies aligned there */
    struct each each = {&v->each[split], fn, arg};

    return sto_record_each(&at, split_db(split), &v->each[split], each_one,
                           &each);
}

enum err sto_get_history(struct sto_view *v, enum sto_split split,
                         uint64_t user, struct sto_history *out)
{
    const struct sto_at at = sto_at_view(v);
    MDB_val val;

    ERR_TRY(
        sto_record_get(&at, split_db(split), user, &v->history[split], &val));
    if (val.mv_data == NULL) {
        *out = (struct sto_history){.user = user};
        return ERR_OK;
    }
    return sto_history_decode(out, user, &val, &v->history[split]);
}
