/*
 * rec/rerank_lists.h - candidates of a first stage, and what is known of each.
 *
 * Candidates are the base's best; merged ones are those of which the lists of
 * all generators (as long as that of the candidates) say most together, by
 * reciprocal rank fusion (Cormack, Clarke & Buettcher, SIGIR 2009), and stand
 * in the base's order too.
 *
 * Features of a candidate, all from the generators and their training rows: for
 * each generator its score in deviations from the list's mean and the logarithm
 * of its rank in the list (merged: in the generator's own list, or the place
 * behind its end); the item's popularity (logarithm, and rank among all
 * items), and the length of the person's history; where itemknn is among the
 * generators, the largest of its weights from the history to the candidate, and
 * the mean of the five largest; with attributes, those of rec/traits.h.
 */
#ifndef REC_RERANK_LISTS_H
#define REC_RERANK_LISTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "rec/model.h"
#include "rec/rerank.h"
#include "rec/traits.h"

#define REC_GENERATORS 4
#define REC_FEATURES_MOST (2 * REC_GENERATORS + 5 + REC_TRAIT_FEATURES)

struct rec_generators {
    struct rec_model *part[REC_GENERATORS]; /* [0] makes the candidates */
    size_t n;
    bool merge;                 /* candidates come from all parts' lists */
    const uint32_t *popularity; /* [n_items] rows that the parts learnt from */
    float *place;               /* [n_items] share of items less popular */
    const struct rec_model *near; /* the part that is itemknn, or NULL */
    const struct rec_traits
        *traits; /* &own, or NULL: attributes are not read */
    struct rec_traits own;
    struct mem_scratch s; /* what own is made of, where it is no view */
};

/* Features of a candidate. */
size_t rec_generators_features(const struct rec_generators *g);

/* Lists of a batch of people. */
struct rec_batch {
    size_t n;       /* candidates at most */
    uint32_t *item; /* [people][n], best of the first stage first */
    size_t *len;    /* [people] */
    uint32_t *past; /* [people][REC_PAST] of the history, NN_PAD behind */
    float *x;       /* [people][n][features] raw; 0 behind len */
    float *first;   /* [people][n_items] scores of the first stage */
    uint32_t *own;  /* merged: [people][generators][n] best of each, in its
                       order, REC_NOBODY behind; else NULL */
};

#define REC_ASK 64 /* people of a batch of lists */

/* Room for a batch of REC_ASK people and lists of n; memory from s.
 * ERR_NOMEM. */
ERR_CHECK
enum err rec_batch_open(struct rec_batch *b, struct mem_scratch *s,
                        const struct rec_generators *g, size_t n);

/* Fill place[n_items] from popularity. */
ERR_CHECK
enum err rec_generators_place(struct rec_generators *g, size_t n_items);

/* The n candidates of everybody of q, without their history, and features.
 * Threads inside; memory n_items floats a person for each generator beyond the
 * first. */
ERR_CHECK
enum err rec_lists_make(const struct rec_generators *g,
                        const struct rec_query *q, struct rec_batch *out);

#endif
