/*
 * store/records.h - one person's record in a table: users, train or test.
 *
 * In a store that is not encrypted a record lies under the person's key as it
 * is.  In an encrypted one it lies under a name that only the person's secret
 * gives, sealed with that secret (store/keyring.h).  Whoever reads or writes
 * records of people goes through these functions; other tables (items among
 * them) pass through as they are.
 */
#ifndef STO_RECORDS_H
#define STO_RECORDS_H

#include <lmdb.h>

#include "store/env.h"

/* Where records are read: a view, or a change in the making. */
struct sto_at {
    struct sto *st;
    MDB_txn *txn;
    const struct sto_ring *ring;
};
struct sto_at sto_at_view(const struct sto_view *v);
struct sto_at sto_at_change(const struct sto_txn *t);

/* *out: the record, in LMDB's memory or (encrypted) in buf; mv_data is NULL
 * when there is none.  ERR_FORMAT when it cannot be decrypted. */
ERR_CHECK
enum err sto_record_get(const struct sto_at *at, enum sto_db db, uint64_t key,
                        struct sto_buffer *buf, MDB_val *out);

/* Who has no key yet in an encrypted store gets none here: sto_keys_need(). */
ERR_CHECK
enum err sto_record_put(struct sto_txn *t, enum sto_db db, uint64_t key,
                        const void *data, size_t n);
/* *found: whether there was one; may be NULL. */
ERR_CHECK
enum err sto_record_remove(struct sto_txn *t, enum sto_db db, uint64_t key,
                           bool *found);

/* Every record in ascending order of keys; stops at and returns the first
 * error of fn.  The record is valid inside fn only. */
ERR_CHECK
enum err sto_record_each(
    const struct sto_at *at, enum sto_db db, struct sto_buffer *buf,
    enum err (*fn)(void *arg, uint64_t key, const MDB_val *record), void *arg);

/* The least key >= *key that has a record, for loops that write; *found false
 * when there is none. */
ERR_CHECK
enum err sto_record_next(const struct sto_at *at, enum sto_db db, uint64_t *key,
                         bool *found);

/* All three records of a person under a fresh secret, the old one destroyed. */
ERR_CHECK
enum err sto_record_renew(struct sto_txn *t, uint64_t user);

/* What a record of that table is sealed for. */
unsigned char sto_record_table(enum sto_db db);

/* Put bytes that are sealed already, under k's name. */
ERR_CHECK
enum err sto_record_put_sealed(struct sto_txn *t, enum sto_db db,
                               const struct sto_ring_key *k, const void *sealed,
                               size_t n);

#endif
