/*
 * unlearn/journal.h - what a journal says of the rows that went, and of the
 * keys; and the journal of a restored backup.
 */
#ifndef UNL_JOURNAL_H
#define UNL_JOURNAL_H

#include <jansson.h>

#include "base/err.h"
#include "store/forget.h"

/* Complete the journal by what was removed (of an encrypted store also: whose
 * keys) and put it, inside the transaction that removes. */
ERR_CHECK
enum err unl_journal_put(struct sto_txn *t, json_t *journal,
                         const struct sto_removed *done);

/* Add what the journal says of keys to an object, under the names
 * keys_destroyed and keys_renewed; nothing where the store is not encrypted. */
void unl_journal_keys(const json_t *journal, json_t *to);

/* Of the journal of a restored backup: train again, by their recipes, models
 * whose weights the backup did not hold. */
ERR_CHECK
enum err unl_restore_models(const char *dir, const json_t *journal);

/*
 * A backup of an encrypted store was put back: take out whom the keystore of
 * today does not know (sto_restore()), repair models, erase, certify.
 * *report as of unl_forget(), or NULL when there was nothing to do.
 * Errors: those of sto_restore() and unl_forget().
 */
ERR_CHECK
enum err unl_restore(const char *dir, json_t **report);

#endif
