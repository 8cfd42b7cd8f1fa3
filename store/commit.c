/*
 * store/commit.c - rows in memory become histories in the store.
 *
 * People are written in the order of their keys (in an encrypted store, of
 * their names), so that LMDB appends.  They are taken a block at a time: what
 * is stored of them is looked up, their rows are sorted, merged with it and
 * sealed by all threads, and the histories are put in order.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/par.h"
#include "kernels/sort.h"
#include "store/keystore.h"
#include "store/records.h"
#include "store/rows.h"

#define PEOPLE 1024                  /* most people of a block */
#define BLOCK_ROWS ((size_t)1 << 18) /* a block ends when it holds as many */

struct person {
    uint32_t number;        /* in im->users */
    struct sto_history old; /* what is stored */
    struct sto_buffer buf;  /* of old */
    size_t at;              /* first cell of the block that is this person's */
    size_t n, n_dropped;    /* rows to write; new rows that are not counted */
    size_t bytes;           /* of the encoded history */
};

/* One per cell of the block: rows of the import, then rows stored. */
struct block {
    struct person person[PEOPLE];
    size_t n, cells;
    size_t rank_room, row_room, rank_tmp_room, row_tmp_room;
    size_t item_room, time_room, value_room, bytes_room, dropped_room;
    uint32_t *rank, *row, *rank_tmp, *row_tmp; /* sorting */
    uint64_t *item;
    int64_t *time;
    float *value;
    unsigned char *bytes; /* see bytes_before() */
    uint32_t *dropped;    /* item numbers of rows that were there already */
};

struct commit {
    const struct sto_import *im;
    uint32_t *order;     /* [users] numbers in the order of writing */
    uint32_t *by_item;   /* [items] likewise */
    uint32_t *rank;      /* [items] place of each item in that order */
    size_t *ptr;         /* [users + 1] rows of user u in by_user */
    uint32_t *by_user;   /* [n] row numbers */
    uint32_t *item_refs; /* [items] new rows per item */
    struct block *block;
    const struct sto_ring_key **key; /* [users] or NULL: not encrypted */
    uint64_t stored;
    struct sto_import_stats listed;
};

static enum sto_db db_of(const struct commit *c)
{
    return c->im->opts.split == STO_TRAIN ? STO_DB_TRAIN : STO_DB_TEST;
}

/* --- one person ----------------------------------------------------------- */

/* Bytes before a person whose first cell is `at`, the i-th of the block. */
static size_t bytes_before(size_t at, size_t i)
{
    return i * (8 + STO_SEAL) + at * 20;
}

struct cell {
    int64_t time;
    float value;
};

/* Of two rows of one item the later stays, then the one of greater value. */
static bool better(struct cell a, struct cell b)
{
    return a.time != b.time ? a.time > b.time : a.value > b.value;
}

static void sort_rows(const struct commit *c, const struct person *p, size_t n)
{
    const struct block *b = c->block;
    const uint32_t *row = c->by_user + c->ptr[p->number];

    for (size_t j = 0; j < n; j++) {
        b->rank[p->at + j] = c->rank[c->im->item[row[j]]];
        b->row[p->at + j] = row[j];
    }
    krn_sort_u32(b->rank + p->at, b->row + p->at, b->rank_tmp + p->at,
                 b->row_tmp + p->at, n);
}

/* The best of row `*j` and those after it that are of the same item, and of
 * what is there (had); the others are dropped. */
static struct cell take_item(const struct commit *c, struct person *p,
                             size_t *j, size_t n, bool had, struct cell best)
{
    const struct sto_import *im = c->im;
    const uint32_t *row = c->block->row + p->at;
    const uint32_t item = im->item[row[*j]];

    for (; *j < n && im->item[row[*j]] == item; ++*j) {
        const struct cell x = {im->time[row[*j]], im->value[row[*j]]};

        if (had)
            c->block->dropped[p->at + p->n_dropped++] = item;
        if (!had || better(x, best))
            best = x;
        had = true;
    }
    return best;
}

static void merge_rows(const struct commit *c, struct person *p, size_t n)
{
    const struct sto_history *old = &p->old;
    const struct sto_import *im = c->im;
    struct block *b = c->block;
    size_t i = 0, j = 0;

    p->n = p->n_dropped = 0;
    while (i < old->n || j < n) {
        const uint64_t new_key =
            j < n ? im->items.key[im->item[b->row[p->at + j]]] : UINT64_MAX;
        const bool had = i < old->n && (j == n || old->item[i] <= new_key);
        const size_t to = p->at + p->n++;
        struct cell x = {STO_NO_TIME, 1.0f};

        b->item[to] = had ? old->item[i] : new_key;
        if (had) {
            x.time = old->time != NULL ? old->time[i] : STO_NO_TIME;
            x.value = old->value != NULL ? old->value[i] : 1.0f;
            i++;
        }
        if (j < n && new_key == b->item[to])
            x = take_item(c, p, &j, n, had, x);
        b->time[to] = x.time;
        b->value[to] = x.value;
    }
}

static void encode(const struct commit *c, size_t i)
{
    struct block *b = c->block;
    struct person *p = &b->person[i];
    unsigned char *to = b->bytes + bytes_before(p->at, i);
    bool values = false, times = false;

    for (size_t r = p->at; r < p->at + p->n; r++) {
        values |= b->value[r] < 1.0f || b->value[r] > 1.0f;
        times |= b->time[r] != STO_NO_TIME;
    }
    const struct sto_history h = {.n = p->n,
                                  .item = b->item + p->at,
                                  .value = values ? b->value + p->at : NULL,
                                  .time = times ? b->time + p->at : NULL};

    p->bytes = sto_history_bytes(p->n, values, times);
    if (c->key == NULL) {
        sto_history_encode(&h, to);
        return;
    }
    sto_history_encode(&h, to + STO_SEAL_HEAD);
    sto_seal(c->key[p->number], sto_record_table(db_of(c)), to, p->bytes);
    p->bytes += STO_SEAL;
}

static void merge_task(void *arg, size_t task, size_t thread)
{
    const struct commit *c = arg;
    struct person *p = &c->block->person[task];
    const size_t n = c->ptr[p->number + 1] - c->ptr[p->number];

    (void)thread;
    sort_rows(c, p, n);
    merge_rows(c, p, n);
    encode(c, task);
}

/* --- a block of people ---------------------------------------------------- */

static enum err stored_rows(const struct commit *c, const struct sto_txn *t,
                            struct person *p)
{
    const struct sto_at at = sto_at_change(t);
    const uint64_t user = c->im->users.key[p->number];
    MDB_val val;

    p->old = (struct sto_history){.user = user};
    ERR_TRY(sto_record_get(&at, db_of(c), user, &p->buf, &val));
    return val.mv_data == NULL
               ? ERR_OK
               : sto_history_decode(&p->old, user, &val, &p->buf);
}

/* The next people from place *first of the order; *first moves on. */
static enum err fill_block(struct commit *c, const struct sto_txn *t,
                           size_t *first)
{
    struct block *b = c->block;

    b->n = b->cells = 0;
    while (*first < c->im->users.n && b->n < PEOPLE && b->cells < BLOCK_ROWS) {
        struct person *p = &b->person[b->n++];

        p->number = c->order[(*first)++];
        ERR_TRY(stored_rows(c, t, p));
        p->at = b->cells;
        b->cells += c->ptr[p->number + 1] - c->ptr[p->number] + p->old.n;
    }
    const size_t n = b->cells;

    ERR_TRY(mem_grow(&b->rank, &b->rank_room, n, sizeof(*b->rank)));
    ERR_TRY(mem_grow(&b->row, &b->row_room, n, sizeof(*b->row)));
    ERR_TRY(mem_grow(&b->rank_tmp, &b->rank_tmp_room, n, sizeof(*b->rank)));
    ERR_TRY(mem_grow(&b->row_tmp, &b->row_tmp_room, n, sizeof(*b->row)));
    ERR_TRY(mem_grow(&b->item, &b->item_room, n, sizeof(*b->item)));
    ERR_TRY(mem_grow(&b->time, &b->time_room, n, sizeof(*b->time)));
    ERR_TRY(mem_grow(&b->value, &b->value_room, n, sizeof(*b->value)));
    ERR_TRY(mem_grow(&b->dropped, &b->dropped_room, n, sizeof(*b->dropped)));
    return mem_grow(&b->bytes, &b->bytes_room, bytes_before(n, b->n), 1);
}

static void free_block(struct block *b)
{
    if (b == NULL)
        return;
    for (size_t i = 0; i < PEOPLE; i++)
        free(b->person[i].buf.data);
    free(b->rank);
    free(b->row);
    free(b->rank_tmp);
    free(b->row_tmp);
    free(b->item);
    free(b->time);
    free(b->value);
    free(b->dropped);
    free(b->bytes);
    free(b);
}

static enum err put_person(struct commit *c, struct sto_txn *t, size_t i)
{
    const struct block *b = c->block;
    const struct person *p = &b->person[i];
    const struct sto_ids *users = &c->im->users;
    const uint32_t u = p->number;
    const unsigned char *bytes = b->bytes + bytes_before(p->at, i);

    /* `old` is gone from here on: the page that held it may be reused */
    ERR_TRY(c->key != NULL
                ? sto_record_put_sealed(t, db_of(c), c->key[u], bytes, p->bytes)
                : sto_record_put(t, db_of(c), users->key[u], bytes, p->bytes));
    for (size_t d = 0; d < p->n_dropped; d++)
        c->item_refs[b->dropped[p->at + d]]--;
    c->stored += p->n - p->old.n;
    ERR_TRY(sto_entity_refer(t, STO_USERS, users->key[u],
                             users->arena + users->text[u], users->len[u],
                             (int64_t)(p->n - p->old.n)));
    return c->im->opts.open ? sto_entity_declare(t, users->key[u]) : ERR_OK;
}

/* Numbers 0..n-1 in the order of key[n]. */
static enum err key_order(const uint64_t *of, size_t n, uint32_t *order)
{
    struct mem_scratch tmp = {0};
    uint64_t *key = mem_take(&tmp, n, 1, sizeof(*key));
    uint64_t *key_tmp = mem_take(&tmp, n, 1, sizeof(*key_tmp));
    uint32_t *order_tmp = mem_take(&tmp, n, 1, sizeof(*order_tmp));

    if (tmp.failed) {
        mem_drop(&tmp);
        return err_set(ERR_NOMEM, "no memory to sort %zu ids", n);
    }
    for (size_t i = 0; i < n; i++) {
        key[i] = of[i];
        order[i] = (uint32_t)i;
    }
    krn_sort_u64(key, order, key_tmp, order_tmp, n);
    mem_drop(&tmp);
    return ERR_OK;
}

/* --- an encrypted store ----------------------------------------------------
 */

/* Everybody has a key; c->key and the order of names follow from them.  The
 * memory is tmp's; the ring changes no more in this transaction. */
static enum err find_keys(struct commit *c, struct sto_txn *t,
                          struct mem_scratch *tmp)
{
    const size_t n = c->im->users.n;
    uint64_t *user = mem_take(tmp, n, 1, sizeof(*user));
    uint64_t *name = mem_take(tmp, n, 1, sizeof(*name));

    c->key = mem_take(tmp, n, 1, sizeof(*c->key));
    if (tmp->failed)
        return err_set(ERR_NOMEM, "no memory for the keys of %zu people", n);
    memcpy(user, c->im->users.key, n * sizeof(*user));
    ERR_TRY(sto_keys_need(t, user, n));
    for (size_t u = 0; u < n; u++) {
        c->key[u] = sto_ring_find(t->ring, c->im->users.key[u]);
        name[u] = sto_key_unpack(c->key[u]->name);
    }
    return key_order(name, n, c->order);
}

/* --- everybody ------------------------------------------------------------ */

static enum err write_people(struct commit *c, struct sto_txn *t)
{
    const size_t n = c->im->users.n;

    for (size_t next = 0; next < n;) {
        ERR_TRY(fill_block(c, t, &next));
        par_for(c->block->n, merge_task, c);
        for (size_t i = 0; i < c->block->n; i++)
            ERR_TRY(put_person(c, t, i));
        log_tick("writing", next, n, NULL);
        if (log_stopping())
            return err_set(ERR_STOPPED, "stopped: the store is as before");
    }
    return ERR_OK;
}

static enum err write_rows(struct commit *c, struct sto_txn *t)
{
    const struct sto_import *im = c->im;
    const struct sto_ids *items = &im->items;

    memset(c->item_refs, 0, items->n * sizeof(*c->item_refs));
    for (size_t r = 0; r < im->n; r++)
        c->item_refs[im->item[r]]++;
    ERR_TRY(write_people(c, t));
    for (size_t i = 0; i < items->n; i++) {
        const uint32_t j = c->by_item[i];

        ERR_TRY(sto_entity_refer(t, STO_ITEMS, items->key[j],
                                 items->arena + items->text[j], items->len[j],
                                 c->item_refs[j]));
    }
    return ERR_OK;
}

/* May be run again with a larger map: it begins anew. */
static enum err write_all(void *arg, struct sto_txn *t)
{
    struct mem_scratch tmp = {0};
    struct commit *c = arg;

    c->stored = 0;
    c->listed = (struct sto_import_stats){0};
    c->key = NULL;
    if (c->im->opts.encrypt)
        ERR_TRY(sto_keys_begin(t));
    ERR_TRY(sto_listed_write(c->im->listed, t, &c->listed));
    enum err e = t->ring != NULL ? find_keys(c, t, &tmp) : ERR_OK;

    if (e == ERR_OK)
        e = write_rows(c, t);
    mem_drop(&tmp);
    return e;
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

static enum err sort_all(struct commit *c)
{
    ERR_TRY(key_order(c->im->users.key, c->im->users.n, c->order));
    ERR_TRY(key_order(c->im->items.key, c->im->items.n, c->by_item));
    for (size_t i = 0; i < c->im->items.n; i++)
        c->rank[c->by_item[i]] = (uint32_t)i;
    group_rows(c);
    return ERR_OK;
}

enum err sto_import_commit(struct sto_import *im, struct sto *st,
                           struct sto_import_stats *out)
{
    struct commit c = {.im = im};
    struct mem_scratch tmp = {0};

    if (im->n >= UINT32_MAX)
        return err_set(ERR_ARG,
                       "%zu rows in one import: import them in parts "
                       "of four billion",
                       im->n);
    c.order = mem_take(&tmp, im->users.n, 1, sizeof(*c.order));
    c.by_item = mem_take(&tmp, im->items.n, 1, sizeof(*c.by_item));
    c.rank = mem_take(&tmp, im->items.n, 1, sizeof(*c.rank));
    c.ptr = mem_take(&tmp, im->users.n + 1, 1, sizeof(*c.ptr));
    c.by_user = mem_take(&tmp, im->n, 1, sizeof(*c.by_user));
    c.item_refs = mem_take(&tmp, im->items.n, 1, sizeof(*c.item_refs));
    c.block = mem_array(1, sizeof(*c.block));
    enum err e = tmp.failed || c.block == NULL
                     ? err_set(ERR_NOMEM, "no memory to sort %zu rows", im->n)
                     : sort_all(&c);

    if (e == ERR_OK)
        e = sto_write(st, write_all, &c);
    free_block(c.block);
    mem_drop(&tmp);
    if (e != ERR_OK)
        return e;
    if (im->n + im->skipped == 0) { /* lists alone */
        c.listed.seconds = out->seconds;
        *out = c.listed;
        return ERR_OK;
    }
    *out = (struct sto_import_stats){.read = im->n + im->skipped,
                                     .stored = c.stored,
                                     .duplicates = im->n - c.stored,
                                     .skipped = im->skipped,
                                     .users = im->users.n,
                                     .items = im->items.n,
                                     .seconds = out->seconds};
    return ERR_OK;
}
