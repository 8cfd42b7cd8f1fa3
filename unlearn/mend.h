/*
 * unlearn/mend.h - step 2 of a forget request: repair what rows left.
 *
 * The journal says beforehand which models are to be repaired, so that the
 * certificate names those too that were repaired before a kill.
 */
#ifndef UNL_MEND_H
#define UNL_MEND_H

#include <jansson.h>

#include "base/err.h"
#include "rec/data.h"
#include "store/store.h"

/* Append to entries one object (docs/certificate.md, "models") for each model
 * whose rows differ from those in d; "pending", with an estimate of seconds. */
ERR_CHECK
enum err unl_mend_plan(struct sto_view *v, const struct rec_data *d,
                       json_t *entries);

/*
 * Repair every model of the store whose rows have changed, save it, and append
 * to entries what was done, by this run and by earlier ones that the journal
 * (extended, and put into the store) tells of.  journal == NULL: plan only.
 * Errors: ERR_STALE when rows were removed while a model trained: call again.
 */
ERR_CHECK
enum err unl_mend_all(const char *dir, json_t *journal, json_t *entries);

#endif
