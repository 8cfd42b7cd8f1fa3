/*
 * unlearn/correct.h - the first of two tiers: models that serve corrected,
 * while their repair is still to come.
 *
 * Right after the rows left, a model that can (ops->correct: ease, pop) is
 * changed where its file lies to what is left, but for rounding.  It then
 * serves, is known as interim (`recd info`), and is no part of a certificate:
 * the repair (unlearn/mend.h) makes the model anew from the rows and gives the
 * certified bits.  Nothing is kept of the change itself: the factors of a
 * correction would give the person's rows away, and so would the old weights
 * beside the new ones.
 *
 * A model that learnt from other rows than those of now, one that somebody has
 * open, and one with shards stay as they are until their repair.
 */
#ifndef UNL_CORRECT_H
#define UNL_CORRECT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

struct unl_correct;

/* Before the removal: the rows, and the models that will be corrected, locked.
 * *out is NULL when there is none. */
ERR_CHECK
enum err unl_correct_open(struct unl_correct **out, struct sto_view *v);
void unl_correct_free(struct unl_correct *c); /* NULL is harmless */

/* Rows that leave: of a person (item NULL), of an item (user NULL), or one. */
void unl_correct_drop(struct unl_correct *c, const uint64_t *user,
                      const uint64_t *item);

/* After the removal, which v sees: correct and unlock the models.  Appends to
 * `done` {"name", "seconds"}, from the call to the moment that it serves.
 * waits: their repair is a matter of hours, so they are synced afterwards. What
 * cannot be corrected is left to the repair: no error. */
ERR_CHECK
enum err unl_correct_apply(struct unl_correct *c, struct sto_view *v,
                           bool waits, json_t *done);

/* Whether some model was left in the middle of a correction, and serves nobody
 * until its repair, which then should not wait. */
ERR_CHECK
enum err unl_correct_torn(const char *dir, bool *torn);

#endif
