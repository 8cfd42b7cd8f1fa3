/*
 * store/store.h - the embedded store: people, items, interactions, models.
 *
 * Caveats first.
 *  - A store is a directory on a local file system.  Open it once a process.
 *  - One writer at a time (others wait); readers never wait and see the state
 *    of the moment they began.  A view left open pins old pages: be brief.
 *  - Durability: ACID.  When sto_write() returns ERR_OK the change is on disk
 *    (fsync); killed earlier, the store is as before.  Nothing in between.
 *  - Never open a data file from somebody you do not trust: LMDB maps it.
 *
 * What is kept (docs/format.md has the bytes).  No internal number is ever
 * stored: users and items go by key_of(external id), so the content does not
 * depend on the order in which rows arrived, nor on what was forgotten.
 *
 *   meta    format version
 *   users   key -> external id, attributes
 *   items   key -> external id, attributes, whether the catalogue lists it
 *   train   user key -> that person's history, ascending by item key
 *   test    the same for held-out rows
 *   models  name -> how it was trained, digest, and its weights file
 *   certs   number -> certificate of a forget request (store/forget.h)
 *
 * In an encrypted store (sto_encrypt()) what lies in users, train and test is
 * sealed under a key of each person's own, which DIR/keys/ holds
 * (store/keystore.h); the functions here are the same for both kinds.
 */
#ifndef STO_STORE_H
#define STO_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/key.h"

#define STO_FORMAT 1           /* version written into new stores */
#define STO_FORMAT_ENCRYPTED 2 /* of those whose people are encrypted */
#define STO_ID_BYTES 400       /* longest external id */
#define STO_NAME_BYTES 64      /* longest model name, with its NUL */

struct sto;      /* an open store */
struct sto_view; /* one consistent state of it, for reading */
struct sto_txn;  /* one change in the making */

enum sto_mode {
    STO_READ,  /* ERR_NOTFOUND when there is no store at dir */
    STO_WRITE, /* created when missing */
};
enum sto_split { STO_TRAIN, STO_TEST };

/*
 * Errors: ERR_NOTFOUND, ERR_IO, ERR_NOMEM; ERR_FORMAT when the store's format
 * version is not STO_FORMAT (the sentence names both).  Clears stale readers.
 */
ERR_CHECK
enum err sto_open(struct sto **out, const char *dir, enum sto_mode mode);
void sto_close(struct sto *st); /* NULL is harmless */
const char *sto_dir(const struct sto *st);

/* --- reading -------------------------------------------------------------- */

/* ERR_STALE: the store was rewritten (store/vacuum.h) since it was opened. */
ERR_CHECK
enum err sto_view_open(struct sto_view **out, struct sto *st);
void sto_view_close(struct sto_view *v);
const char *sto_view_dir(const struct sto_view *v);
bool sto_view_encrypted(const struct sto_view *v);

struct sto_counts {
    uint64_t users, items;            /* known ids, whatever they did */
    uint64_t open;                    /* of the users: declared public */
    uint64_t train, test;             /* interactions */
    uint64_t train_users, test_users; /* people with such rows */
    uint64_t models, certificates;
    uint64_t bytes; /* of all files of the store */
    bool encrypted;
};
ERR_CHECK
enum err sto_count(struct sto_view *v, struct sto_counts *out);

/* One person's rows in one split.  Arrays are borrowed from the view. */
struct sto_history {
    uint64_t user;
    size_t n;
    const uint64_t *item; /* [n] keys, strictly ascending; 8-byte aligned */
    const float *value;   /* [n] rating or count, or NULL: all 1 */
    const int64_t *time;  /* [n] seconds since 1970, or NULL: unknown */
};

/* Call fn for every history of the split in ascending key order; stops at and
 * returns the first error of fn.  The history is valid inside fn only. */
ERR_CHECK
enum err sto_each_history(struct sto_view *v, enum sto_split split,
                          enum err (*fn)(void *arg,
                                         const struct sto_history *h),
                          void *arg);

/* History of one person; ERR_OK with n == 0 when there is none.  The arrays
 * live until the next call on v with the same split or its close. */
ERR_CHECK
enum err sto_get_history(struct sto_view *v, enum sto_split split,
                         uint64_t user, struct sto_history *out);

enum sto_kind { STO_USERS, STO_ITEMS };

struct sto_entity {
    uint64_t key;
    const char *id; /* external id, NUL-ended, borrowed from the view */
    size_t id_len;
    const char *attributes; /* JSON object text, or "" (NUL-ended) */
    bool listed; /* items: named by a catalogue; users: by a user file */
    bool open;   /* users: declared public (import --public) */
};

/* All users or items in ascending key order. */
ERR_CHECK
enum err sto_each_entity(struct sto_view *v, enum sto_kind kind,
                         enum err (*fn)(void *arg, const struct sto_entity *e),
                         void *arg);

/* By key, or by external id; ERR_NOTFOUND (the sentence names the id).  A
 * person's texts live until the next such call for a person on v. */
ERR_CHECK
enum err sto_get_entity(struct sto_view *v, enum sto_kind kind, uint64_t key,
                        struct sto_entity *out);
ERR_CHECK
enum err sto_find_entity(struct sto_view *v, enum sto_kind kind, const char *id,
                         struct sto_entity *out);

/* --- writing -------------------------------------------------------------- */

/*
 * Run fn inside one write transaction and commit it durably, or leave the
 * store as it was when fn or the commit fails.  fn may run more than once
 * (when the map had to grow), so it must start from its inputs each time.
 * fn passes store errors up unchanged (ERR_AGAIN among them).  ERR_STALE as
 * for sto_view_open().
 */
ERR_CHECK
enum err sto_write(struct sto *st, enum err (*fn)(void *arg, struct sto_txn *t),
                   void *arg);

/* Make a store that holds nobody yet an encrypted one; one that is encrypted
 * stays as it is.  ERR_ARG when it holds people (sto_vacuum_encrypt()). */
ERR_CHECK
enum err sto_encrypt(struct sto *st);

/* How often rows were removed from this store: a model that was trained
 * while the number changed may hold what was removed. */
ERR_CHECK
enum err sto_removals(struct sto_view *v, uint64_t *out);
ERR_CHECK
enum err sto_removals_add(struct sto_txn *t);

/* --- models --------------------------------------------------------------- */

enum sto_type { STO_F32, STO_U32, STO_U64, STO_F64, STO_I64, STO_U8 };

/* A named array of a model's weights. */
struct sto_array {
    char name[24];
    enum sto_type type;
    uint64_t rows, cols;
    void *data; /* [rows][cols], 64-byte aligned */
};
size_t sto_type_bytes(enum sto_type type);

/* What a file of weights holds. */
enum sto_state {
    STO_WHOLE,   /* what its record says */
    STO_TORN,    /* it was being changed when its program was killed */
    STO_INTERIM, /* it was corrected for rows that left, and serves until the
                    model is trained again: the record's digest is not its */
};

struct sto_model {
    char name[STO_NAME_BYTES];  /* as typed after --name */
    char model[STO_NAME_BYTES]; /* entry of the table of models */
    char *options; /* JSON object text: every option and its value; owned */
    uint64_t seed;
    uint64_t epochs; /* that were run; 0 where the word has no meaning */
    uint64_t shards; /* 1 = not sharded */
    char partition[STO_NAME_BYTES], aggregate[STO_NAME_BYTES]; /* or "" */
    int64_t trained_at; /* seconds since 1970 */
    double seconds;
    unsigned char digest[KEY_DIGEST_BYTES]; /* over all arrays, in order */
    char *training; /* JSON object text: the other options of the run (shards,
                       validation ...), so that it can be repeated; owned */
    unsigned char rows[KEY_DIGEST_BYTES]; /* of the rows that it learnt from */
    char device[STO_NAME_BYTES]; /* that trained it, where bits hang on it; ""
                                    is "cpu" */
    uint64_t removals; /* sto_removals() when those rows were read, + 1; 0: not
                          checked */
    enum sto_state state; /* of its file, when it was read; not written */
};
void sto_model_free(struct sto_model *m);

/* Fill digest: BLAKE2b of every array's name, type, shape and bytes. */
void sto_arrays_digest(const struct sto_array *a, size_t n,
                       unsigned char digest[KEY_DIGEST_BYTES]);

/*
 * Store (or replace) a model: its weights go to a file of their own that is
 * synced before the record which names it commits; an old file is removed
 * after that.  A kill leaves the old model or the new one, whole.
 * ERR_STALE when m->removals says that rows were removed since the model's
 * rows were read: nothing is stored, else the forgotten would come back.
 */
ERR_CHECK
enum err sto_model_put(struct sto *st, const struct sto_model *m,
                       const struct sto_array *a, size_t n);

/* The record of one model: ERR_NOTFOUND suggests the nearest name. */
ERR_CHECK
enum err sto_model_get(struct sto_view *v, const char *name,
                       struct sto_model *out);

/* Weights, mapped read-only from their file. */
struct sto_weights {
    struct sto_array *array; /* [n] */
    size_t n;
    void *map;
    size_t map_bytes;
    int fd; /* holds a shared lock while the file is mapped */
    enum sto_state state;
};
/* Every size in the file is checked against the file before use: ERR_FORMAT.
 * The digest is not recomputed here (sto_arrays_digest() does that).  Waits up
 * to two seconds for somebody who changes the file.  ERR_STALE: it is torn, or
 * was replaced meanwhile. */
ERR_CHECK
enum err sto_weights_open(struct sto_view *v, const char *name,
                          struct sto_weights *out);
void sto_weights_close(struct sto_weights *w);
/* Whether a model is known whose file is not there: a backup of the records
 * alone was put back. */
bool sto_weights_missing(struct sto_view *v, const char *name);

/*
 * Weights to be changed where they lie (store/weights_edit.c): mapped for
 * writing, under a lock that keeps others from opening them until _end, or
 * until they are closed.  Between _begin and _end the file is marked as torn,
 * on disk, so that nobody takes the half for the whole after a kill. ERR_STALE:
 * somebody has them open, or they are not whole.
 */
ERR_CHECK
enum err sto_weights_edit(struct sto_view *v, const char *name,
                          struct sto_weights *out);
ERR_CHECK
enum err sto_weights_begin(struct sto_weights *w);
/* array[n], as w->array but for fewer rows or columns: what the arrays are now;
 * the bytes that they gave up are overwritten.  state: STO_INTERIM, or
 * STO_WHOLE where nothing was changed.  Others may open the file now, before it
 * is synced: a loss of power in between may leave parts of it as they were. */
ERR_CHECK
enum err sto_weights_end(struct sto_weights *w, const struct sto_array *array,
                         enum sto_state state);
ERR_CHECK
enum err sto_weights_sync(struct sto_weights *w);

ERR_CHECK
enum err sto_each_model(struct sto_view *v,
                        enum err (*fn)(void *arg, const struct sto_model *m),
                        void *arg);
ERR_CHECK
enum err sto_model_remove(struct sto *st, const char *name);

#endif
