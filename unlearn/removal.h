/*
 * unlearn/removal.h - the first step of a forget request: rows and ids go, in
 * one transaction, and the journal says what is to be done.
 */
#ifndef UNL_REMOVAL_H
#define UNL_REMOVAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/forget.h"
#include "unlearn/cert.h"
#include "unlearn/forget.h"

struct unl_correct;

struct unl_removal {
    const struct unl_request *r;
    size_t n;
    uint64_t (*key)[2]; /* [n] of user, item */
    json_t *journal;
    struct sto_removed done;
    struct unl_correct *correct; /* models that serve corrected, or NULL */
    json_t *interim;             /* what it did */
};

/* Keys of all that is asked for; ERR_NOTFOUND names the id and its line. */
ERR_CHECK
enum err unl_removal_find(struct unl_removal *m, struct sto_view *v);

/* What is to be done, in keys and pseudonyms; NULL: no memory. */
json_t *unl_removal_journal(const struct unl_removal *m, struct sto_view *v,
                            const struct unl_keys *k, bool defer);

/* Take the rows out and put m->journal into the store, or neither. */
ERR_CHECK
enum err unl_removal_commit(struct unl_removal *m, struct sto *st);

/* Whether this row is asked to go. */
bool unl_removal_asks(const struct unl_removal *m, uint64_t user,
                      uint64_t item);

#endif
