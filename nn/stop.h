/*
 * nn/stop.h - early stopping: keep the best weights, stop when none come.
 */
#ifndef NN_STOP_H
#define NN_STOP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "nn/params.h"

struct nn_stop {
    struct nn_params *params;
    size_t patience; /* so many tellings without a better one end it */
    bool lower;      /* less is better (a loss) */
    double best;
    size_t told, best_at; /* tellings; the best one's number, from 1 */
    void *weights;        /* of the best */
};

/* After planning.  ERR_NOMEM. */
ERR_CHECK
enum err nn_stop_init(struct nn_stop *s, struct nn_params *params,
                      size_t patience, bool lower);
void nn_stop_free(struct nn_stop *s);

/* True: go on.  NaN is never better. */
bool nn_stop_tell(struct nn_stop *s, double metric);
/* Put the best weights back (none told: leave them). */
void nn_stop_restore(struct nn_stop *s);

#endif
