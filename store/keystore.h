/*
 * store/keystore.h - the keystore of an encrypted store: DIR/keys/.
 *
 * Caveats first.
 *  - Without the keystore nobody's records can be read, by anybody.
 *  - Backups of the data file may be kept; of the keystore only the newest
 *    copy, written over after each forget request: docs/erasure.md.
 *  - DIR/keys may be a symbolic link to a folder elsewhere.
 *
 * The file people-N.keys (store/keyring.h) is generation N.  A change of keys
 * writes generation N + 1 whole under another name and syncs it; the record
 * "keys" of the table "meta", which names the generation and its digest,
 * changes in the same LMDB transaction as the records.  So the commit of that
 * transaction is the one instant at which the old keys end and the new ones
 * count.  Afterwards the new file gets its name, and the old one is overwritten
 * and removed: by the same call, else by the next command that writes.
 *
 * A file that the data file does not name is touched only under the writer's
 * lock, and only when the one that it names is there and whole.
 */
#ifndef STO_KEYSTORE_H
#define STO_KEYSTORE_H

#include <lmdb.h>

#include "store/env.h"
#include "store/keyring.h"

/*
 * The ring that goes with what txn sees; *out is NULL when the store is not
 * encrypted.  The caller's to sto_ring_free().
 * ERR_FORMAT: the keystore is missing, damaged, of another store, of another
 * version, or of another state than the data file (a restored backup:
 * store/restore.h); each said in its own sentence.
 */
ERR_CHECK
enum err sto_keys_load(struct sto *st, MDB_txn *txn, struct sto_ring **out);

/* What the data file names. */
struct sto_keys_named {
    bool encrypted;
    unsigned char store[STO_RING_ID];
    uint64_t generation;
    unsigned char digest[KEY_DIGEST_BYTES]; /* of the file */
};
ERR_CHECK
enum err sto_keys_named(const struct sto *st, MDB_txn *txn,
                        struct sto_keys_named *out);

/* Inside a transaction: the store becomes encrypted from here on.  ERR_ARG
 * when it holds people already, or when DIR/keys holds a keystore; an encrypted
 * one stays as it is. */
ERR_CHECK
enum err sto_keys_begin(struct sto_txn *t);
/* ERR_ARG when DIR/keys holds a keystore, whoever's. */
ERR_CHECK
enum err sto_keys_refuse_others(const struct sto *st);

/* Every one of user[n] (any order, may repeat; reordered) has a key. */
ERR_CHECK
enum err sto_keys_need(struct sto_txn *t, uint64_t *user, size_t n);
/* The person's key is no more, or another (the records are the caller's). */
ERR_CHECK
enum err sto_keys_destroy(struct sto_txn *t, uint64_t user);
ERR_CHECK
enum err sto_keys_renew(struct sto_txn *t, uint64_t user);

/* Before the commit: write a changed ring as generation t->next, and name it.
 */
ERR_CHECK
enum err sto_keys_save(struct sto_txn *t);
/* The file of a ring, not in effect before something names it. */
ERR_CHECK
enum err sto_keys_write(const struct sto *st, struct sto_ring *r);

/*
 * Under the writer's lock: what `named` says gets its place, everything else
 * that was of this store is overwritten, synced and removed.  ERR_IO.
 */
ERR_CHECK
enum err sto_keys_settle(const struct sto *st,
                         const struct sto_keys_named *named);

/* The newest keystore of that store in DIR/keys, and its generation: 0 when
 * there is none. */
uint64_t sto_keys_newest(const struct sto *st,
                         const unsigned char store[STO_RING_ID]);
ERR_CHECK
enum err sto_keys_read(const struct sto *st, uint64_t generation,
                       struct sto_ring **out);
/* Put what meta says of keys into an environment being filled. */
int sto_keys_put(MDB_txn *txn, MDB_dbi meta, const struct sto_ring *r);

/* Fill the tables of people of another environment with those of this one,
 * sealed: under keys of the new ring *out (store/encrypt.c). */
ERR_CHECK
enum err sto_encrypt_copy(struct sto *st, MDB_txn *from, MDB_txn *to,
                          uint64_t generation, struct sto_ring **out);

#endif
