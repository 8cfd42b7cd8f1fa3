/*
 * store/vacuum.h - writing the data file anew from its records.
 *
 * Caveats first.
 *  - Afterwards `st` is of the file that was replaced: close it.  Other
 *    processes that have the store open get ERR_STALE from their next view or
 *    change, and open it again.
 *  - Needs room for a second data file beside the first.
 *
 * What the new file holds depends on the records alone, byte for byte, but for
 * the number of the last transaction in the two meta pages: not on what was
 * ever written or removed before (docs/erasure.md).  The old file is
 * overwritten, synced and removed; before that, views on it are waited for,
 * ten seconds at most.
 */
#ifndef STO_VACUUM_H
#define STO_VACUUM_H

#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

struct sto_vacuumed {
    uint64_t before, after; /* bytes of the data file */
    uint64_t files;         /* old files of weights that were overwritten */
};

/*
 * Killed at any instant, the store is as before or as after; the next command
 * that writes overwrites what is left of the other file.
 * Errors: ERR_IO, ERR_NOMEM, ERR_FORMAT (an LMDB whose layout is unknown);
 * ERR_STALE: done, but somebody still reads the old file, which stays until
 * the next command that writes.
 */
ERR_CHECK
enum err sto_vacuum(struct sto *st, struct sto_vacuumed *out);

/*
 * The same, and the store is an encrypted one from then on (sto_encrypt()).
 * The old file, which is not, is overwritten as always; copies of it elsewhere
 * are out of reach.  Errors besides: ERR_ARG when it is encrypted already, or
 * when DIR/keys holds the keystore of another store.
 */
ERR_CHECK
enum err sto_vacuum_encrypt(struct sto *st, struct sto_vacuumed *out);

#endif
