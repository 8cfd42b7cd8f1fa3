/*
 * store/restore.h - a backup of an encrypted store, put back beside the
 * keystore of today.
 *
 * Whoever was forgotten since the backup has no key in that keystore, and who
 * lost a row has another one: their records cannot be read.  An open store
 * whose records and keystore are of two states is refused (ERR_FORMAT); this
 * makes one state of them.
 */
#ifndef STO_RESTORE_H
#define STO_RESTORE_H

#include "base/err.h"
#include "store/forget.h"
#include "store/store.h"

/*
 * Take out of the store at dir every record of a person that no key of the
 * newest keystore opens, and out of the keystore every key that opens none;
 * count the rows of items anew.  *n: people, items and (all as train: which
 * split they were in cannot be told) rows that went.  then: runs in the same
 * transaction, which also counts as a removal (sto_removals()).
 * *whole: records and keystore are of one state already, nothing was done.
 * Errors: ERR_ARG when the store is not encrypted; ERR_FORMAT when DIR/keys
 * holds no keystore of it, or a record is damaged; those of sto_write().
 */
ERR_CHECK
enum err sto_restore(const char *dir, struct sto_removed *n, bool *whole,
                     enum err (*then)(void *arg, struct sto_txn *t), void *arg);

#endif
