/*
 * store/encrypt.c - the records of a store that is not encrypted, sealed into
 * the file that is to take its place (store/vacuum.c).
 *
 * Names are spread at random, and LMDB fills a file best in their order: so
 * each table of people is written in the order of names.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/keystore.h"
#include "store/records.h"

struct copy {
    struct sto *st;
    MDB_txn *from, *to;
    const struct sto_ring_key **key; /* [n] by name */
    size_t n;
    struct sto_buffer buf;
};

static int by_name(const void *va, const void *vb)
{
    const struct sto_ring_key *const *a = va, *const *b = vb;

    return memcmp((*a)->name, (*b)->name, sizeof((*a)->name));
}

/* Everybody who has a record of the table users: so has who has rows. */
static enum err new_ring(struct copy *c, struct sto_ring **ring)
{
    const struct sto_at at = {c->st, c->from, NULL};
    struct sto_ring *empty;
    uint64_t *user = NULL, key = 0;
    size_t room = 0, n = 0;
    bool found = true;
    enum err e = ERR_OK;

    while (e == ERR_OK) {
        e = sto_record_next(&at, STO_DB_USERS, &key, &found);
        if (e != ERR_OK || !found)
            break;
        e = mem_grow(&user, &room, n + 1, sizeof(*user));
        if (e == ERR_OK)
            user[n++] = key;
        if (key++ == UINT64_MAX)
            break;
    }
    if (e == ERR_OK)
        e = sto_ring_new(&empty);
    if (e == ERR_OK) {
        e = sto_ring_add(ring, empty, user, n);
        sto_ring_free(empty);
    }
    free(user);
    return e;
}

static enum err sort_names(struct copy *c, const struct sto_ring *ring)
{
    c->n = ring->n;
    c->key = mem_array(ring->n, sizeof(*c->key));
    if (c->key == NULL)
        return err_set(ERR_NOMEM, "no memory for the keys of %zu people",
                       ring->n);
    for (size_t i = 0; i < c->n; i++)
        c->key[i] = &ring->key[i];
    qsort(c->key, c->n, sizeof(*c->key), by_name);
    return ERR_OK;
}

static enum err seal_one(struct copy *c, enum sto_db db, MDB_dbi dbi,
                         const struct sto_ring_key *k, size_t *sealed)
{
    const struct sto_at at = {c->st, c->from, NULL};
    MDB_val name = {sizeof(k->name), (void *)(uintptr_t)k->name}, val;

    ERR_TRY(sto_record_get(&at, db, k->user, NULL, &val));
    if (val.mv_data == NULL)
        return ERR_OK;
    ERR_TRY(mem_grow(&c->buf.data, &c->buf.room, val.mv_size + STO_SEAL, 1));
    memcpy(c->buf.data + STO_SEAL_HEAD, val.mv_data, val.mv_size);
    sto_seal(k, sto_record_table(db), c->buf.data, val.mv_size);
    val = (MDB_val){val.mv_size + STO_SEAL, c->buf.data};
    ++*sealed;
    return sto_lmdb(mdb_put(c->to, dbi, &name, &val, MDB_APPEND), c->st,
                    "encrypting");
}

static enum err seal_table(struct copy *c, enum sto_db db)
{
    MDB_stat stat = {0};
    size_t sealed = 0;
    MDB_dbi dbi;

    ERR_TRY(sto_lmdb(mdb_dbi_open(c->to, sto_db_name[db], MDB_CREATE, &dbi),
                     c->st, "encrypting"));
    for (size_t i = 0; i < c->n; i++)
        ERR_TRY(seal_one(c, db, dbi, c->key[i], &sealed));
    (void)mdb_stat(c->from, c->st->dbi[db], &stat);
    return sealed == stat.ms_entries
               ? ERR_OK
               : err_set(ERR_FORMAT,
                         "store %s: it holds rows of people whom it does not "
                         "know: it is damaged",
                         c->st->dir);
}

enum err sto_encrypt_copy(struct sto *st, MDB_txn *from, MDB_txn *to,
                          uint64_t generation, struct sto_ring **out)
{
    struct copy c = {.st = st, .from = from, .to = to};
    struct sto_ring *ring = NULL;
    enum err e = new_ring(&c, &ring);

    if (e == ERR_OK)
        e = sort_names(&c, ring);
    if (e == ERR_OK)
        e = seal_table(&c, STO_DB_USERS);
    if (e == ERR_OK)
        e = seal_table(&c, STO_DB_TRAIN);
    if (e == ERR_OK)
        e = seal_table(&c, STO_DB_TEST);
    free(c.key);
    free(c.buf.data);
    if (e == ERR_OK) {
        ring->generation = generation;
        *out = ring;
    } else {
        sto_ring_free(ring);
    }
    return e;
}
