/*
 * store/import.c - rows in memory become histories in the store.
 *
 * People are written in the order of their keys, so that LMDB appends; each
 * person's rows are sorted by item key and merged with what is there.
 */
#include "store/import.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "kernels/sort.h"
#include "store/env.h"
#include "store/rows.h"

enum err sto_import_new(struct sto_import **out,
                        const struct sto_import_opts *opts)
{
    struct sto_import *im = mem_array(1, sizeof(*im));

    if (im == NULL)
        return err_set(ERR_NOMEM, "no memory to import");
    im->opts = *opts;
    if (opts->columns != NULL &&
        (im->columns = mem_text(opts->columns)) == NULL) {
        free(im);
        return err_set(ERR_NOMEM, "no memory to import");
    }
    im->opts.columns = im->columns;
    *out = im;
    return ERR_OK;
}

void sto_import_free(struct sto_import *im)
{
    if (im == NULL)
        return;
    sto_ids_free(&im->users);
    sto_ids_free(&im->items);
    free(im->columns);
    free(im->user);
    free(im->item);
    free(im->value);
    free(im->time);
    free(im);
}

enum err sto_rows_add(struct sto_import *im, const char *user, size_t user_len,
                      const char *item, size_t item_len, float value,
                      int64_t time)
{
    const size_t n = im->n;
    uint32_t u, i;

    if (im->opts.has_min_rating && (double)value < im->opts.min_rating) {
        im->skipped++;
        return ERR_OK;
    }
    ERR_TRY(sto_ids_find(&im->users, user, user_len, &u));
    ERR_TRY(sto_ids_find(&im->items, item, item_len, &i));
    ERR_TRY(mem_grow(&im->user, &im->user_room, n + 1, sizeof(*im->user)));
    ERR_TRY(mem_grow(&im->item, &im->item_room, n + 1, sizeof(*im->item)));
    ERR_TRY(mem_grow(&im->value, &im->value_room, n + 1, sizeof(*im->value)));
    ERR_TRY(mem_grow(&im->time, &im->time_room, n + 1, sizeof(*im->time)));
    im->user[n] = u;
    im->item[n] = i;
    im->value[n] = value;
    im->time[n] = time;
    im->any_value |= value != 1.0f;
    im->any_time |= time != STO_NO_TIME;
    im->n++;
    return ERR_OK;
}

enum err sto_import_rows(struct sto_import *im, const struct sto_row *row,
                         size_t n)
{
    for (size_t r = 0; r < n; r++)
        ERR_TRY(sto_rows_add(im, row[r].user, strlen(row[r].user), row[r].item,
                             strlen(row[r].item), row[r].value, row[r].time));
    return ERR_OK;
}

/* --- one person
 * --------------------------------------------------------------- */

struct cell {
    uint64_t item;
    int64_t time;
    float value;
    uint32_t number; /* of the item in this import; UINT32_MAX: was stored */
};

struct merge {
    struct cell *cell;
    size_t n, room;
    unsigned char *bytes; /* encoded */
    size_t bytes_room;
    uint64_t *item; /* the same as columns */
    int64_t *time;
    float *value;
    size_t item_room, time_room, value_room;
};

/* By item, then the row to keep first: later time, then greater value; of
 * equals, the one that was stored already. */
static int cell_order(const void *va, const void *vb)
{
    const struct cell *a = va, *b = vb;

    if (a->item != b->item)
        return a->item < b->item ? -1 : 1;
    if (a->time != b->time)
        return a->time > b->time ? -1 : 1;
    if (a->value < b->value || a->value > b->value)
        return a->value > b->value ? -1 : 1;
    return (a->number != UINT32_MAX) - (b->number != UINT32_MAX);
}

static enum err merge_add(struct merge *m, struct cell c)
{
    ERR_TRY(mem_grow(&m->cell, &m->room, m->n + 1, sizeof(*m->cell)));
    m->cell[m->n++] = c;
    return ERR_OK;
}

static enum err merge_stored(struct merge *m, const struct sto_history *h)
{
    for (size_t r = 0; r < h->n; r++)
        ERR_TRY(merge_add(
            m, (struct cell){
                   h->item[r], h->time != NULL ? h->time[r] : STO_NO_TIME,
                   h->value != NULL ? h->value[r] : 1.0f, UINT32_MAX}));
    return ERR_OK;
}

/* Keep the first cell of each item; count references of items that are new
 * to this person. */
static size_t merge_unique(struct merge *m, uint32_t *item_refs)
{
    size_t kept = 0;

    qsort(m->cell, m->n, sizeof(*m->cell), cell_order);
    for (size_t r = 0; r < m->n;) {
        const struct cell c = m->cell[r];
        uint32_t number = c.number;
        bool stored = false;

        for (; r < m->n && m->cell[r].item == c.item; r++) {
            stored |= m->cell[r].number == UINT32_MAX;
            if (m->cell[r].number != UINT32_MAX)
                number = m->cell[r].number;
        }
        if (!stored)
            item_refs[number]++;
        m->cell[kept++] = c;
    }
    return kept;
}

static enum err merge_encode(struct merge *m, size_t n, size_t *bytes)
{
    bool values = false, times = false;

    ERR_TRY(mem_grow(&m->item, &m->item_room, n, sizeof(*m->item)));
    ERR_TRY(mem_grow(&m->time, &m->time_room, n, sizeof(*m->time)));
    ERR_TRY(mem_grow(&m->value, &m->value_room, n, sizeof(*m->value)));
    for (size_t r = 0; r < n; r++) {
        m->item[r] = m->cell[r].item;
        m->time[r] = m->cell[r].time;
        m->value[r] = m->cell[r].value;
        values |= m->value[r] < 1.0f || m->value[r] > 1.0f;
        times |= m->time[r] != STO_NO_TIME;
    }
    const struct sto_history h = {.n = n,
                                  .item = m->item,
                                  .value = values ? m->value : NULL,
                                  .time = times ? m->time : NULL};

    *bytes = sto_history_bytes(n, values, times);
    ERR_TRY(mem_grow(&m->bytes, &m->bytes_room, *bytes, 1));
    sto_history_encode(&h, m->bytes);
    return ERR_OK;
}

static void merge_free(struct merge *m)
{
    free(m->cell);
    free(m->bytes);
    free(m->item);
    free(m->time);
    free(m->value);
}

/* --- everybody
 * ------------------------------------------------------------------ */

struct commit {
    const struct sto_import *im;
    uint32_t *order;     /* [users] numbers by ascending key */
    size_t *ptr;         /* [users + 1] rows of user u in by_user */
    uint32_t *by_user;   /* [n] row numbers */
    uint32_t *item_refs; /* [items] new rows per item */
    struct merge merge;
    uint64_t stored;
};

static enum err write_person(struct commit *c, struct sto_txn *t, uint32_t u)
{
    const struct sto_import *im = c->im;
    const MDB_dbi dbi =
        t->st->dbi[im->opts.split == STO_TRAIN ? STO_DB_TRAIN : STO_DB_TEST];
    struct sto_key k = sto_key_pack(im->users.key[u]);
    MDB_val key = {sizeof(k), &k}, val;
    struct sto_history old = {.n = 0};
    struct sto_buffer buf = {0};
    struct merge *m = &c->merge;
    const int rc = mdb_get(t->txn, dbi, &key, &val);
    enum err e = ERR_OK;

    m->n = 0;
    if (rc == 0) {
        if ((e = sto_history_decode(&old, im->users.key[u], &val, &buf)) ==
            ERR_OK)
            e = merge_stored(m, &old);
        free(buf.data);
    } else if (rc != MDB_NOTFOUND) {
        e = sto_lmdb(rc, t->st, "reading a history");
    }
    for (size_t p = c->ptr[u]; p < c->ptr[u + 1] && e == ERR_OK; p++) {
        const size_t r = c->by_user[p];

        e = merge_add(m, (struct cell){im->items.key[im->item[r]], im->time[r],
                                       im->value[r], im->item[r]});
    }
    if (e != ERR_OK)
        return e;
    const size_t n = merge_unique(m, c->item_refs), added = n - old.n;
    size_t bytes;

    ERR_TRY(merge_encode(m, n, &bytes));
    val = (MDB_val){bytes, m->bytes};
    ERR_TRY(sto_lmdb(mdb_put(t->txn, dbi, &key, &val, 0), t->st,
                     "writing a history"));
    c->stored += added;
    return sto_entity_refer(t, STO_USERS, im->users.key[u],
                            im->users.arena + im->users.text[u],
                            im->users.len[u], (int64_t)added);
}

/* Numbers 0..n-1 in the order of their keys. */
static enum err key_order(const struct sto_ids *ids, uint32_t *order)
{
    struct mem_scratch tmp = {0};
    uint64_t *key = mem_take(&tmp, ids->n, 1, sizeof(*key));
    uint64_t *key_tmp = mem_take(&tmp, ids->n, 1, sizeof(*key_tmp));
    uint32_t *order_tmp = mem_take(&tmp, ids->n, 1, sizeof(*order_tmp));

    if (tmp.failed) {
        mem_drop(&tmp);
        return err_set(ERR_NOMEM, "no memory to sort %zu ids", ids->n);
    }
    for (size_t i = 0; i < ids->n; i++) {
        key[i] = ids->key[i];
        order[i] = (uint32_t)i;
    }
    krn_sort_u64(key, order, key_tmp, order_tmp, ids->n);
    mem_drop(&tmp);
    return ERR_OK;
}

static enum err write_all(void *arg, struct sto_txn *t)
{
    struct commit *c = arg;
    const struct sto_ids *users = &c->im->users, *items = &c->im->items;

    c->stored = 0;
    memset(c->item_refs, 0, items->n * sizeof(*c->item_refs));
    ERR_TRY(key_order(users, c->order));
    for (size_t i = 0; i < users->n; i++) {
        ERR_TRY(write_person(c, t, c->order[i]));
        if (i % 1024 == 0)
            log_tick("writing", i, users->n, NULL);
        if (log_stopping())
            return err_set(ERR_STOPPED, "stopped: the store is as before");
    }
    ERR_TRY(key_order(items, c->order));
    for (size_t i = 0; i < items->n; i++) {
        const uint32_t j = c->order[i];

        ERR_TRY(sto_entity_refer(t, STO_ITEMS, items->key[j],
                                 items->arena + items->text[j], items->len[j],
                                 c->item_refs[j]));
    }
    log_tick("writing", users->n, users->n, NULL);
    return ERR_OK;
}

/* Row numbers grouped by person: counting sort. */
static void group_rows(struct commit *c)
{
    const struct sto_import *im = c->im;

    for (size_t r = 0; r < im->n; r++)
        c->ptr[im->user[r] + 1]++;
    for (size_t u = 0; u < im->users.n; u++)
        c->ptr[u + 1] += c->ptr[u];
    for (size_t r = im->n; r > 0; r--)
        c->by_user[--c->ptr[im->user[r - 1] + 1]] = (uint32_t)(r - 1);
    /* ptr[u + 1] is now where u begins: shift it down by one person. */
    memmove(c->ptr, c->ptr + 1, im->users.n * sizeof(*c->ptr));
    c->ptr[im->users.n] = im->n;
}

enum err sto_import_commit(struct sto_import *im, struct sto *st,
                           struct sto_import_stats *out)
{
    struct commit c = {.im = im};
    struct mem_scratch tmp = {0};
    const size_t most = im->users.n > im->items.n ? im->users.n : im->items.n;

    if (im->n >= UINT32_MAX)
        return err_set(ERR_ARG,
                       "%zu rows in one import: import them in parts "
                       "of four billion",
                       im->n);
    c.order = mem_take(&tmp, most, 1, sizeof(*c.order));
    c.ptr = mem_take(&tmp, im->users.n + 1, 1, sizeof(*c.ptr));
    c.by_user = mem_take(&tmp, im->n, 1, sizeof(*c.by_user));
    c.item_refs = mem_take(&tmp, im->items.n, 1, sizeof(*c.item_refs));
    enum err e = tmp.failed
                     ? err_set(ERR_NOMEM, "no memory to sort %zu rows", im->n)
                     : ERR_OK;

    if (e == ERR_OK) {
        group_rows(&c);
        e = sto_write(st, write_all, &c);
    }
    merge_free(&c.merge);
    mem_drop(&tmp);
    if (e != ERR_OK)
        return e;
    *out = (struct sto_import_stats){.read = im->n + im->skipped,
                                     .stored = c.stored,
                                     .duplicates = im->n - c.stored,
                                     .skipped = im->skipped,
                                     .users = im->users.n,
                                     .items = im->items.n,
                                     .seconds = out->seconds};
    return ERR_OK;
}
