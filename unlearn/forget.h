/*
 * unlearn/forget.h - a forget request from the first row to the certificate.
 *
 *   1. one transaction: the rows and ids leave the store, a journal says what
 *      is to be done (keys and keyed hashes, never an id)
 *   2. models that can serve corrected from now on (unlearn/correct.h); then
 *      every model that holds one of those people or rows is repaired
 *   3. the bytes are overwritten, the files searched
 *   4. one transaction: certificate in, journal out; then the journal's own
 *      bytes are overwritten
 *
 * Killed between 1 and 4, the next command that writes goes on with the
 * journal (unl_forget_finish()); killed in 1, nothing was asked.
 */
#ifndef UNL_FORGET_H
#define UNL_FORGET_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

enum unl_what { UNL_USER, UNL_INTERACTION, UNL_ITEM };

/* One request; ids borrowed. */
struct unl_request {
    enum unl_what what;
    const char *user, *item; /* NULL where the kind has none */
    size_t line;             /* of the file that it stands in, or 0 */
};

/*
 * Forget all of r[n] in one batch.  dry_run: only find out what would be
 * done.  defer: do 1 and 3, certify that models wait, and leave their repair
 * to unl_forget_finish(dir, true, ...).
 * *report is the command's JSON object (design: users, interactions, models,
 * erased, certificate, seconds; "interim" names the models that served
 * corrected, and after how many seconds); the caller's to json_decref().
 * Errors: ERR_NOTFOUND (nothing is done: the sentence names the id and line),
 * ERR_STALE (a reader keeps old pages: records are gone, the journal stays),
 * those of the store and of training.
 */
ERR_CHECK
enum err unl_forget(const char *dir, const struct unl_request *r, size_t n,
                    bool dry_run, bool defer, json_t **report);

/*
 * Go on with what a journal asks for; *report is NULL when there is none, or
 * (deferred == false) when it waits for `recd repair`.
 */
ERR_CHECK
enum err unl_forget_finish(const char *dir, bool deferred, json_t **report);

#endif
