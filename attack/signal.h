/*
 * attack/signal.h - how well a model's scores fit a person's history.
 */
#ifndef ATK_SIGNAL_H
#define ATK_SIGNAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rec/model.h"

/*
 * phi[q->n]: mean score of the history's items minus the logarithm of the mean
 * exponential of ten times as many other items' scores, all divided by the
 * deviation of the latter; the others are drawn by (seed, key[q]).  Somebody
 * without history, or who has all items, gets 0.  probe [q->n]: the fit of that
 * item alone, which is not in the history; NULL: of the history.  Threads
 * inside.  ERR_NOMEM.
 */
ERR_CHECK
enum err atk_signal(const struct rec_model *m, const struct rec_query *q,
                    const uint32_t *probe, const uint64_t *key, uint64_t seed,
                    double *phi);

#endif
