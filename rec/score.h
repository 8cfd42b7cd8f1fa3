/* rec/score.h - the scores of all items, whichever way a model has. */
#ifndef REC_SCORE_H
#define REC_SCORE_H

#include <stddef.h>

#include "base/err.h"
#include "rec/model.h"

/* Floats of scratch that rec_scores() needs for one person. */
size_t rec_scores_room(const struct rec_model *m);

/* scores[q->n][n_items]; vec: rec_scores_room() floats for each person.
 * Threads inside; costs n_items times the room for each person, or what
 * ops->score() does.  Errors of the model. */
ERR_CHECK
enum err rec_scores(const struct rec_model *m, const struct rec_query *q,
                    float *scores, float *vec);

#endif
