/*
 * store/forget.h - taking records out, and their bytes off the disk.
 *
 * Caveats first.
 *  - The functions that drop run inside sto_write(); a person or item of whom
 *    nothing is left (no row, not listed by a file of users or a catalogue)
 *    goes with the last row, so that the content equals that of a store which
 *    never held the rows.
 *  - What was dropped is still readable in the file until sto_erase():
 *    docs/erasure.md says where, and why scrubbing is enough.
 *  - In an encrypted store the key of a person of whom nothing is left is
 *    destroyed with the commit; who lost a row gets a fresh key, under which
 *    the others are encrypted anew: no backup shows the row.
 */
#ifndef STO_FORGET_H
#define STO_FORGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

struct sto_removed {
    uint64_t users, items; /* id records that went */
    uint64_t train, test;  /* rows that went */
    /* of an encrypted store, from sto_removed_keys() */
    uint64_t keys_destroyed, keys_renewed;
};

/* How many people's keys the change, as it stands, destroys or replaces: of
 * whom nothing is left, and who lost a row.  false: the store is not encrypted.
 */
bool sto_removed_keys(const struct sto_txn *t, struct sto_removed *n);

/* Everything of a person: rows of both splits, id, attributes.  Adds to *n.
 * ERR_NOTFOUND when the store knows nothing of that key. */
ERR_CHECK
enum err sto_drop_user(struct sto_txn *t, uint64_t user, struct sto_removed *n);
/* One row, in whichever split it is; ERR_NOTFOUND. */
ERR_CHECK
enum err sto_drop_interaction(struct sto_txn *t, uint64_t user, uint64_t item,
                              struct sto_removed *n);
/* An item: everybody's rows with it, id, attributes.  Reads all histories. */
ERR_CHECK
enum err sto_drop_item(struct sto_txn *t, uint64_t item, struct sto_removed *n);

/* --- a note of unfinished work
 * ------------------------------------------------
 *
 * One text, kept in the table "meta"; put inside the transaction that drops,
 * cleared inside the one that ends the work. */
ERR_CHECK
enum err sto_journal_put(struct sto_txn *t, const char *text);
ERR_CHECK
enum err sto_journal_clear(struct sto_txn *t);
/* *text is NULL when there is none; free() it. */
ERR_CHECK
enum err sto_journal_get(struct sto_view *v, char **text);

/* --- certificates
 * -------------------------------------------------------------- */

/* Texts by number, from 1 without gaps. */
ERR_CHECK
enum err sto_cert_put(struct sto_txn *t, uint64_t number, const char *text);
ERR_CHECK
enum err sto_cert_count(struct sto_view *v, uint64_t *out);
/* free(*text); ERR_NOTFOUND. */
ERR_CHECK
enum err sto_cert_get(struct sto_view *v, uint64_t number, char **text);

/* --- erasing
 * --------------------------------------------------------------------- */

struct sto_scrubbed {
    uint64_t free_pages; /* that held something and were overwritten */
    uint64_t gaps;       /* of live pages, likewise */
    uint64_t tail_bytes; /* cut from the end of the file */
    uint64_t files;      /* old files of weights that were overwritten */
    uint64_t
        keys; /* left in branch pages: the file was written anew for them */
};

/*
 * Overwrite every byte of the store's files that no live record needs: freed
 * pages, gaps and overflow tails of live pages, the file's tail, files of
 * weights that no record names, keystores of older states. Where a branch page
 * still holds a key that is gone, sto_vacuum() follows.  Opens the store
 * itself, since LMDB's buffers carry old bytes; this process has no view of it
 * open.  Waits up to ten seconds for readers elsewhere.  Syncs.
 *
 * Errors: ERR_IO; ERR_FORMAT when the file is not of the LMDB layout that this
 * code knows (it refuses to guess); ERR_AGAIN never; ERR_STALE when a reader
 * kept old pages in use: the dropping holds, call again later.
 * Cost: one look at every page; where it is written anew, the whole file.
 */
ERR_CHECK
enum err sto_erase(const char *dir, struct sto_scrubbed *out);

/* Byte strings to look for. */
struct sto_pattern {
    const void *bytes;
    size_t n; /* >= 4 */
};
struct sto_scan {
    uint64_t files, bytes, hits;
    char where[256]; /* file and place of the first hit, or "" */
};
/* Search all files of the store, raw. */
ERR_CHECK
enum err sto_scan_files(struct sto *st, const struct sto_pattern *p, size_t n,
                        struct sto_scan *out);

#endif
