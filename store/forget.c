/* store/forget.c - dropping records; the journal; certificates. */
#include "store/forget.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/keystore.h"
#include "store/records.h"

static const enum sto_db splits[] = {STO_DB_TRAIN, STO_DB_TEST};

/* --- histories
 * ------------------------------------------------------------------
 */

/* A copy of a person's history in one split: n == 0 when there is none. */
static enum err copy_history(struct sto_txn *t, enum sto_db db, uint64_t user,
                             struct sto_buffer *copy, struct sto_history *h)
{
    const struct sto_at at = sto_at_change(t);
    MDB_val val;

    *h = (struct sto_history){.user = user};
    ERR_TRY(sto_record_get(&at, db, user, copy, &val));
    if (val.mv_data == NULL)
        return ERR_OK;
    if (val.mv_data != copy->data) {
        ERR_TRY(mem_grow(&copy->data, &copy->room, val.mv_size, 1));
        memcpy(copy->data, val.mv_data, val.mv_size);
        val.mv_data = copy->data; /* malloc()ed, hence aligned */
    }
    return sto_history_decode(h, user, &val, NULL);
}

/* Values and times are kept where some row needs them: what is left of a
 * history is written as a history of those rows alone would be. */
static enum err put_without(struct sto_txn *t, enum sto_db db,
                            const struct sto_history *h, size_t gone)
{
    struct mem_scratch s = {0};
    const size_t n = h->n - 1;
    uint64_t *item = mem_take(&s, n, 1, sizeof(*item));
    float *value = mem_take(&s, n, 1, sizeof(*value));
    int64_t *time = mem_take(&s, n, 1, sizeof(*time));
    unsigned char *bytes = mem_take(&s, n + 1, 24, 1);
    struct sto_history left = {h->user, n, item, NULL, NULL};
    enum err e = ERR_OK;

    if (s.failed)
        e = err_set(ERR_NOMEM, "no memory to change a history");
    for (size_t r = 0, at = 0; r < h->n && e == ERR_OK; r++) {
        if (r == gone)
            continue;
        item[at] = h->item[r];
        value[at] = h->value != NULL ? h->value[r] : 1;
        time[at] = h->time != NULL ? h->time[r] : INT64_MIN;
        if (value[at] != 1)
            left.value = value;
        if (time[at] != INT64_MIN)
            left.time = time;
        at++;
    }
    if (e == ERR_OK) {
        sto_history_encode(&left, bytes);
        e = sto_record_put(
            t, db, h->user, bytes,
            sto_history_bytes(n, left.value != NULL, left.time != NULL));
    }
    mem_drop(&s);
    return e;
}

static uint64_t ids(struct sto_txn *t, enum sto_db db)
{
    MDB_stat s = {0};

    (void)mdb_stat(t->txn, t->st->dbi[db], &s);
    return s.ms_entries;
}

static void count(struct sto_removed *n, enum sto_db db, uint64_t rows)
{
    *(db == STO_DB_TRAIN ? &n->train : &n->test) += rows;
}

/* Take row r out of h. */
static enum err drop_row(struct sto_txn *t, enum sto_db db,
                         const struct sto_history *h, size_t r,
                         struct sto_removed *n)
{
    ERR_TRY(h->n == 1 ? sto_record_remove(t, db, h->user, NULL)
                      : put_without(t, db, h, r));
    count(n, db, 1);
    ERR_TRY(sto_entity_refer(t, STO_ITEMS, h->item[r], NULL, 0, -1));
    return sto_entity_refer(t, STO_USERS, h->user, NULL, 0, -1);
}

static enum err drop_history(struct sto_txn *t, enum sto_db db, uint64_t user,
                             struct sto_buffer *copy, struct sto_removed *n)
{
    struct sto_history h;

    ERR_TRY(copy_history(t, db, user, copy, &h));
    if (h.n == 0)
        return ERR_OK;
    ERR_TRY(sto_record_remove(t, db, user, NULL));
    count(n, db, h.n);
    for (size_t r = 0; r < h.n; r++)
        ERR_TRY(sto_entity_refer(t, STO_ITEMS, h.item[r], NULL, 0, -1));
    return ERR_OK;
}

/*
 * What is left of a person is encrypted anew under a fresh key, and the key of
 * somebody of whom nothing is left is destroyed: in a backup neither the rows
 * that went nor the person's others can be read any more.
 */
static enum err end_key(struct sto_txn *t, uint64_t user)
{
    const struct sto_at at = sto_at_change(t);
    struct sto_buffer buf = {NULL, 0};
    MDB_val val = {0, NULL};

    if (t->ring == NULL)
        return ERR_OK;
    const enum err e = sto_record_get(&at, STO_DB_USERS, user, &buf, &val);
    const bool stays = val.mv_data != NULL;

    free(buf.data);
    if (e != ERR_OK)
        return e;
    return stays ? sto_record_renew(t, user) : sto_keys_destroy(t, user);
}

struct before {
    uint64_t users, items;
};

static struct before ids_before(struct sto_txn *t)
{
    return (struct before){ids(t, STO_DB_USERS), ids(t, STO_DB_ITEMS)};
}

static void count_ids(struct sto_txn *t, struct before b, struct sto_removed *n)
{
    n->users += b.users - ids(t, STO_DB_USERS);
    n->items += b.items - ids(t, STO_DB_ITEMS);
}

static enum err nothing_of(const char *what)
{
    return err_set(ERR_NOTFOUND, "the store knows no such %s", what);
}

enum err sto_drop_user(struct sto_txn *t, uint64_t user, struct sto_removed *n)
{
    const struct before b = ids_before(t);
    struct sto_buffer copy = {0};
    enum err e = ERR_OK;

    for (size_t i = 0; i < 2 && e == ERR_OK; i++)
        e = drop_history(t, splits[i], user, &copy, n);
    free(copy.data);
    if (e == ERR_OK) /* the id record, rows or not */
        e = sto_record_remove(t, STO_DB_USERS, user, NULL);
    if (e != ERR_OK)
        return e;
    if (ids(t, STO_DB_USERS) == b.users)
        return nothing_of("user");
    count_ids(t, b, n);
    return sto_keys_destroy(t, user);
}

enum err sto_drop_interaction(struct sto_txn *t, uint64_t user, uint64_t item,
                              struct sto_removed *n)
{
    const struct before b = ids_before(t);
    struct sto_buffer copy = {0};
    bool found = false;
    enum err e = ERR_OK;

    for (size_t i = 0; i < 2 && e == ERR_OK; i++) {
        struct sto_history h;

        e = copy_history(t, splits[i], user, &copy, &h);
        for (size_t r = 0; e == ERR_OK && r < h.n; r++) {
            if (h.item[r] != item)
                continue;
            e = drop_row(t, splits[i], &h, r, n);
            found = true;
            break;
        }
    }
    free(copy.data);
    if (e == ERR_OK && !found)
        return nothing_of("interaction");
    if (e == ERR_OK)
        count_ids(t, b, n);
    return e == ERR_OK ? end_key(t, user) : e;
}

/* --- an item -------------------------------------------------------------- */

struct people {
    uint64_t item;
    uint64_t *user;
    size_t n, room;
    struct sto_buffer align;
};

static enum err add_if_met(void *arg, uint64_t user, const MDB_val *record)
{
    struct people *p = arg;
    struct sto_history h;

    ERR_TRY(sto_history_decode(&h, user, record, &p->align));
    for (size_t r = 0; r < h.n; r++) {
        if (h.item[r] != p->item)
            continue;
        ERR_TRY(mem_grow(&p->user, &p->room, p->n + 1, sizeof(*p->user)));
        p->user[p->n++] = user;
    }
    return ERR_OK;
}

/* Add the people with the item in one split, in the order of their keys. */
static enum err people_with(struct sto_txn *t, enum sto_db db, struct people *p)
{
    const struct sto_at at = sto_at_change(t);
    struct sto_buffer buf = {NULL, 0};
    const enum err e = sto_record_each(&at, db, &buf, add_if_met, p);

    free(buf.data);
    return e;
}

static enum err drop_item_of(struct sto_txn *t, enum sto_db db, uint64_t user,
                             uint64_t item, struct sto_buffer *copy,
                             struct sto_removed *n)
{
    struct sto_history h;

    ERR_TRY(copy_history(t, db, user, copy, &h));
    for (size_t r = 0; r < h.n; r++) {
        if (h.item[r] == item)
            return drop_row(t, db, &h, r, n);
    }
    return ERR_OK;
}

/* Everybody's rows with the item; then the keys of those who had one. */
static enum err drop_rows_of(struct sto_txn *t, struct people *p,
                             struct sto_removed *n)
{
    struct sto_buffer copy = {NULL, 0};
    enum err e = ERR_OK;

    for (size_t i = 0; i < 2 && e == ERR_OK; i++) {
        const size_t from = p->n;

        e = people_with(t, splits[i], p);
        for (size_t u = from; u < p->n && e == ERR_OK; u++)
            e = drop_item_of(t, splits[i], p->user[u], p->item, &copy, n);
    }
    free(copy.data);
    for (size_t u = 0; u < p->n && e == ERR_OK; u++)
        e = end_key(t, p->user[u]);
    return e;
}

enum err sto_drop_item(struct sto_txn *t, uint64_t item, struct sto_removed *n)
{
    const struct before b = ids_before(t);
    struct people p = {.item = item};
    enum err e = drop_rows_of(t, &p, n);

    free(p.user);
    free(p.align.data);
    if (e == ERR_OK)
        e = sto_record_remove(t, STO_DB_ITEMS, item, NULL);
    if (e == ERR_OK && ids(t, STO_DB_ITEMS) == b.items)
        return nothing_of("item");
    if (e == ERR_OK)
        count_ids(t, b, n);
    return e;
}

bool sto_removed_keys(const struct sto_txn *t, struct sto_removed *n)
{
    sto_ring_compare(t->was, t->ring, &n->keys_destroyed, &n->keys_renewed);
    return t->ring != NULL;
}

/* --- journal and certificates
 * ------------------------------------------------------
 */

static enum err get_text(MDB_txn *txn, const struct sto *st, enum sto_db db,
                         MDB_val *key, char **text)
{
    MDB_val val;
    const int rc = mdb_get(txn, st->dbi[db], key, &val);

    *text = NULL;
    if (rc == MDB_NOTFOUND)
        return ERR_OK;
    ERR_TRY(sto_lmdb(rc, st, "reading a note"));
    *text = mem_array(val.mv_size + 1, 1);
    if (*text == NULL)
        return err_set(ERR_NOMEM, "no memory for a note");
    memcpy(*text, val.mv_data, val.mv_size);
    return ERR_OK;
}

static enum err put_text(struct sto_txn *t, enum sto_db db, MDB_val *key,
                         const char *text)
{
    MDB_val val = {strlen(text), (void *)(uintptr_t)text};

    return sto_lmdb(mdb_put(t->txn, t->st->dbi[db], key, &val, 0), t->st,
                    "writing a note");
}

static MDB_val journal_key(void)
{
    return (MDB_val){7, (void *)(uintptr_t) "journal"};
}

enum err sto_journal_put(struct sto_txn *t, const char *text)
{
    MDB_val key = journal_key();

    return put_text(t, STO_DB_META, &key, text);
}

enum err sto_journal_clear(struct sto_txn *t)
{
    MDB_val key = journal_key();
    const int rc = mdb_del(t->txn, t->st->dbi[STO_DB_META], &key, NULL);

    return rc == MDB_NOTFOUND ? ERR_OK : sto_lmdb(rc, t->st, "clearing a note");
}

enum err sto_journal_get(struct sto_view *v, char **text)
{
    MDB_val key = journal_key();

    return get_text(v->txn, v->st, STO_DB_META, &key, text);
}

enum err sto_cert_put(struct sto_txn *t, uint64_t number, const char *text)
{
    struct sto_key k = sto_key_pack(number);
    MDB_val key = {sizeof(k), &k};

    return put_text(t, STO_DB_CERTS, &key, text);
}

enum err sto_cert_count(struct sto_view *v, uint64_t *out)
{
    MDB_stat s = {0};
    const int rc = mdb_stat(v->txn, v->st->dbi[STO_DB_CERTS], &s);

    *out = s.ms_entries;
    return sto_lmdb(rc, v->st, "counting certificates");
}

enum err sto_cert_get(struct sto_view *v, uint64_t number, char **text)
{
    struct sto_key k = sto_key_pack(number);
    MDB_val key = {sizeof(k), &k};

    ERR_TRY(get_text(v->txn, v->st, STO_DB_CERTS, &key, text));
    return *text != NULL
               ? ERR_OK
               : err_set(ERR_NOTFOUND, "the store holds no certificate %llu",
                         (unsigned long long)number);
}
