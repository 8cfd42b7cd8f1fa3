/*
 * unlearn/aggregate.h - how shards answer together.
 *
 *   mean       the mean of the shards' scores (SISA, Bourtoule et al., IEEE
 *              S&P 2021); nothing is learnt
 *   static     a weighted mean, weights learnt on the remaining rows
 *              (GraphEraser, Chen et al., CCS 2022)
 *   attention  RecEraser (Chen et al., WWW 2022, section 3.3): the vectors of
 *              the shards are transferred into one space, then each person and
 *              item weighs the shards by attention; learnt likewise
 *              (unlearn/attention.h, transfer.h)
 *
 * Differs from all three: a person whom a shard never saw is folded in with
 * their own history, where their papers have a random vector or none; for
 * attention everybody is, so that each shard's vector says all that is known.
 */
#ifndef UNL_AGGREGATE_H
#define UNL_AGGREGATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "rec/data.h"
#include "rec/model.h"
#include "unlearn/parts.h"

struct unl_aggregate {
    const char *name, *help;
    bool learns;
    bool vectors; /* works for models of inner products alone */
};

/* Ended by name == NULL. */
extern const struct unl_aggregate unl_aggregates[];
const struct unl_aggregate *unl_aggregate_find(const char *name);

/* The arrays that an aggregation adds to a model of n shards: at most 8. */
size_t unl_aggregate_specs(const struct unl_plan *plan, size_t n, size_t d,
                           struct rec_array_spec *spec);

/* Make p->weight, width and items from the arrays of m. */
ERR_CHECK
enum err unl_aggregate_ready(struct rec_model *m, struct unl_parts *p);

/* Fill the arrays of unl_aggregate_specs() in m from the rows of d (in m's
 * universe); m's parts are open. */
ERR_CHECK
enum err unl_aggregate_learn(struct rec_model *m, const struct rec_data *d);

/* Vectors of the people of q: vec[q->n][width]. */
ERR_CHECK
enum err unl_aggregate_embed(const struct rec_model *m,
                             const struct unl_parts *p,
                             const struct rec_query *q, float *vec);

#endif
