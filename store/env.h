/*
 * store/env.h - what the files of store/ share: the environment, its
 * databases, and the one place where LMDB's codes become ours.
 */
#ifndef STO_ENV_H
#define STO_ENV_H

#include <lmdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/keyring.h"
#include "store/store.h"

enum sto_db {
    STO_DB_META,
    STO_DB_USERS,
    STO_DB_ITEMS,
    STO_DB_TRAIN,
    STO_DB_TEST,
    STO_DB_MODELS,
    STO_DB_CERTS,
    STO_DBS
};

struct sto {
    MDB_env *env;
    MDB_dbi dbi[STO_DBS];
    char *dir;
    enum sto_mode mode;
    bool restoring;        /* store/restore.h: keys of another state */
    struct sto_ring *ring; /* the last that was read, or NULL */
    size_t n_views;
};

/* Bytes that an LMDB value is copied into when it is not aligned. */
struct sto_buffer {
    unsigned char *data;
    size_t room;
};

struct sto_view {
    struct sto *st;
    MDB_txn *txn;
    struct sto_ring *ring; /* NULL: not encrypted */
    struct sto_buffer history[2], each[2], person, each_person;
};

struct sto_txn {
    struct sto *st;
    MDB_txn *txn;
    struct sto_ring *was;  /* keys when it began; NULL: not encrypted */
    struct sto_ring *ring; /* was, until somebody's key changes */
    uint64_t next;         /* generation of a changed ring */
};

/* Keys as LMDB sorts them: big-endian bytes. */
struct sto_key {
    unsigned char byte[8];
};
struct sto_key sto_key_pack(uint64_t key);
uint64_t sto_key_unpack(const void *bytes);

/* LMDB's code to ours, with `doing` in the sentence.  MDB_MAP_FULL gives
 * ERR_AGAIN, MDB_NOTFOUND gives ERR_NOTFOUND. */
enum err sto_lmdb(int rc, const struct sto *st, const char *doing);

/* The path of a file of the store; false when it is too long. */
bool sto_path(const struct sto *st, const char *file, char path[4096]);
/* An environment of recd's databases in `dir`, whose map may hold 64 GiB, or
 * less where the system grants less. */
int sto_env_open(MDB_env **out, const char *dir, unsigned flags);
extern const char *const sto_db_name[STO_DBS];

/* For store/restore.c alone: with whatever keystore of the store is newest. */
ERR_CHECK
enum err sto_open_restored(struct sto **out, const char *dir);

/* --- rewriting (store/vacuum.c) -------------------------------------------
 */

/* Finish what a vacuum that was killed left, as far as readers allow.  Under
 * the writer's lock. */
ERR_CHECK
enum err sto_vacuum_sweep(struct sto *st);

/* --- histories (store/history.c) ------------------------------------------ */

/* Read a stored history; copies into buf when data is not 8-byte aligned.
 * ERR_FORMAT when the size is not that of a history. */
ERR_CHECK
enum err sto_history_decode(struct sto_history *out, uint64_t user,
                            const MDB_val *data, struct sto_buffer *buf);
/* Bytes of a history of n rows, and writing it to out. */
size_t sto_history_bytes(size_t n, bool has_value, bool has_time);
void sto_history_encode(const struct sto_history *h, unsigned char *out);

/* --- entities (store/entity.c) ---------------------------------------------
 */

/* Add `refs` rows (may be negative) to the entity, creating it with `id`
 * (may be NULL when it must exist); an entity that is not listed and has no
 * rows left is removed.  ERR_FORMAT when another id has the same key. */
ERR_CHECK
enum err sto_entity_refer(struct sto_txn *t, enum sto_kind kind, uint64_t key,
                          const char *id, size_t id_len, int64_t refs);
/* Create or update an entity as listed, with these attributes. */
ERR_CHECK
enum err sto_entity_list(struct sto_txn *t, enum sto_kind kind, const char *id,
                         size_t id_len, const char *attributes);

/* An item that exists has `refs` rows; *was: how many it said, *gone: it went,
 * since nobody listed it and it has none. */
ERR_CHECK
enum err sto_entity_recount(struct sto_txn *t, uint64_t item, uint64_t refs,
                            uint64_t *was, bool *gone);

/* Note that a person's rows are public; the person must exist. */
ERR_CHECK
enum err sto_entity_declare(struct sto_txn *t, uint64_t key);

/* --- models' records (store/models.c) --------------------------------------
 */

/* A model's record and the name of its file of weights.  ERR_NOTFOUND names
 * the nearest. */
ERR_CHECK
enum err sto_model_find(struct sto_view *v, const char *name,
                        struct sto_model *out, char file[256]);
/* Whether some record names this file (or cannot be read). */
bool sto_model_names_file(struct sto_txn *t, const char *file);

/* --- weights files (store/weights.c) ---------------------------------------
 */

/* After "recdw" and a zero: the state; after that a one. */
#define STO_STATE_AT 6
#define STO_ENTRY_AT 16 /* of the first array */
#define STO_ENTRY_BYTES 64
#define STO_SHAPE_AT 32 /* inside an entry: rows, columns */

/* The state of DIR/models/FILE; a file that cannot be read is whole. */
enum sto_state sto_weights_state(const struct sto *st, const char *file);

/* Write DIR/models/FILE so that it is there whole or not at all. */
ERR_CHECK
enum err sto_weights_write(const struct sto *st, const char *file,
                           const struct sto_array *a, size_t n);
/* Overwrite and remove it; one that is in use is left for the next sweep. */
void sto_weights_drop(const struct sto *st, const char *file);

/* Remove files in DIR/models that no record names.  Under the writer lock. */
ERR_CHECK
enum err sto_weights_sweep(struct sto_txn *t);

/* The same, waiting for readers of such files; counts files overwritten.
 * ERR_STALE when a reader does not let go. */
ERR_CHECK
enum err sto_weights_erase(struct sto *st, uint64_t *files);

#endif
