/*
 * rec/stage.h - training in stages: each goes on where the one before ended,
 * on the same rows and more.
 *
 * A model that can (ops->stages) hands its parameters, and what its optimiser
 * keeps beside them, to rec_stage_begin() when they have their first values and
 * to rec_stage_end() when the epochs are over.  They travel by key: who was
 * there in the stage before goes on, who is new keeps the first values.  So
 * what a stage ends with is a function of the rows of its stage and those
 * before.
 */
#ifndef REC_STAGE_H
#define REC_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rec/data.h"
#include "rec/model.h"

/* What a stage ended with. */
struct rec_state {
    struct sto_array *array; /* "user_key", "item_key", then the parts; owned */
    size_t n;
    void *block; /* that holds them; owned, or NULL: they are somebody else's */
};
void rec_state_free(struct rec_state *s); /* NULL is harmless */

/* Whether arrays that come from a file can be a state of that many columns;
 * what is in them is not looked at but for the keys. */
bool rec_state_valid(const struct rec_state *s);

/* One of several runs that make one model: m->stage. */
struct rec_stage {
    uint64_t first, epochs, all;    /* epochs before it, of it, of all stages */
    const struct rec_state *before; /* or NULL: there is none */
    struct rec_state *after;        /* is filled; or NULL: not asked for */
};

/* Epochs of this run are from + 1 .. to, of `all`, where the option says
 * `epochs`. */
static inline uint64_t rec_stage_from(const struct rec_model *m)
{
    return m->stage != NULL ? m->stage->first : 0;
}
static inline uint64_t rec_stage_to(const struct rec_model *m, uint64_t epochs)
{
    return m->stage != NULL ? m->stage->first + m->stage->epochs : epochs;
}
static inline uint64_t rec_stage_all(const struct rec_model *m, uint64_t epochs)
{
    return m->stage != NULL ? m->stage->all : epochs;
}

enum rec_stage_of { REC_OF_USERS, REC_OF_ITEMS, REC_OF_ALL };

struct rec_stage_part {
    const char *name; /* at most 15 bytes */
    enum rec_stage_of of;
    float *data; /* [users, items, or 1][cols] */
    size_t cols;
};

/* Both do nothing where m is not trained in stages.  ERR_FORMAT: the state
 * before is not of this model. */
ERR_CHECK
enum err rec_stage_begin(const struct rec_model *m, const struct rec_data *d,
                         const struct rec_stage_part *part, size_t n);
/* ERR_NOMEM. */
ERR_CHECK
enum err rec_stage_end(const struct rec_model *m, const struct rec_data *d,
                       const struct rec_stage_part *part, size_t n);

#endif
