/*
 * rec/lego.h - what the files of the model `legonet` share: its options, what
 * it keeps in memory, and scores.
 */
#ifndef REC_LEGO_H
#define REC_LEGO_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "rec/adapter.h"
#include "rec/encoder.h"
#include "rec/model.h"

#define REC_LEGO_ACTIVE 64 /* most adapters of a person */

struct rec_lego_opts {
    int64_t adapters, active;
    double reg;
    const char *encoder, *heads;
    int64_t epochs;
    double lr, decay;
};

/* What the options say: the encoder, whether heads are learnt, and adapters of
 * a person. */
static inline enum rec_encoder_kind rec_lego_kind(const struct rec_lego_opts *o)
{
    return strcmp(o->encoder, "public") == 0       ? REC_PUBLIC
           : strcmp(o->encoder, "attributes") == 0 ? REC_ATTRIBUTES
                                                   : REC_SIGNS;
}

static inline bool rec_lego_learns(const struct rec_lego_opts *o)
{
    return strcmp(o->heads, "softmax") == 0;
}

static inline size_t rec_lego_active_of(const struct rec_lego_opts *o)
{
    return (size_t)(o->active < o->adapters ? o->active : o->adapters);
}

struct rec_lego {
    size_t n, active; /* adapters */
    float reg;
    struct rec_encoder encoder;
    uint64_t *sign; /* [n_items] of the encoder, or NULL */
    float *key;     /* [n][REC_ENCODING] of the encoder of signs, or NULL */
    struct rec_adapter *adapter; /* [n]; their members, and closed forms where
                                    somebody asked */
    uint32_t *members; /* all lists of members, one behind the other */
    pthread_mutex_t lock;
    /* Learnt heads, or NULL: items head_item[head_ptr[a]..head_ptr[a + 1]] and
     * as many times (REC_ENCODING + 1) weights. */
    const uint64_t *head_ptr;
    const uint32_t *head_item;
    const float *head_weight;
};

/* ops->score of the model: scores of a person's adapters are divided by their
 * deviation over the items (closed forms) or are probabilities (learnt heads),
 * and averaged. */
ERR_CHECK
enum err rec_lego_score(const struct rec_model *m, const struct rec_query *q,
                        float *scores);

/* Whether m's arrays, which come from a file, are a model. */
bool rec_lego_valid(const struct rec_model *m);

/* The adapters that a history activates, [active], nearest first. */
void rec_lego_activate(const struct rec_lego *l, const uint32_t *item, size_t n,
                       uint32_t *active);

/* A history's encoding at length 1: what learnt heads read. */
void rec_lego_unit(const struct rec_lego *l, const uint32_t *item, size_t n,
                   float z[REC_ENCODING]);

/* The arrays of learnt heads (see struct rec_lego); owned. */
struct rec_lego_heads {
    uint64_t *ptr;
    uint32_t *item;
    float *weight;
};

/* Heads for the people of d, whom l already lists.  Those of the adapters with
 * train[a] == 0 are copied from `before`, whose members and seed were the same;
 * train NULL: all are trained.  ERR_NOMEM, ERR_NUM. */
ERR_CHECK
enum err rec_lego_heads_make(struct rec_lego_heads *h, const struct rec_lego *l,
                             const struct rec_lego_opts *o, uint64_t seed,
                             const struct rec_data *d,
                             const struct rec_model *before,
                             const uint8_t *train);
void rec_lego_heads_free(struct rec_lego_heads *h);

#endif
