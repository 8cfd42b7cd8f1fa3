/*
 * unlearn/parts.h - inside a sharded model: its sub-models, and how numbers of
 * people and items translate.  For unlearn/ alone.
 *
 * A sharded model is a rec_model like any other: its arrays are its own keys
 * and popularity, "rows" (digest of the rows of each shard), the recorded
 * assignment where the partition is learnt, the weights of the aggregation,
 * and then the arrays of every shard, named "s000." and so on.  A shard's
 * arrays depend on the shard's rows alone.
 */
#ifndef UNL_PARTS_H
#define UNL_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/key.h"
#include "rec/model.h"
#include "unlearn/plan.h"

struct unl_parts {
    const struct rec_model_ops *base;
    char *options;            /* of the base model, JSON; owned */
    struct unl_plan plan;     /* without the metric */
    size_t n;                 /* shards */
    struct rec_model **shard; /* [n]; NULL: no rows, no sub-model */
    size_t n_filled;          /* that are not NULL */
    uint32_t **user, **item;  /* [n] number in the shard, or REC_NOBODY, of
                                 each person and item of the whole */
    size_t d;                 /* of a shard's vectors; 0: whole rows */
    size_t width;             /* of the vectors that come out */
    float *items;             /* [n_items][width], or NULL: whole rows */
    const float *weight;      /* [n] of the shards' answers */
    float *even;              /* [n] what weight is without learnt weights */
};

extern const struct rec_model_ops unl_parts_dot;  /* inner products */
extern const struct rec_model_ops unl_parts_rows; /* whole rows */

/* An empty sharded model over `base` (options as JSON text). */
ERR_CHECK
enum err unl_parts_new(struct rec_model **out, const struct rec_model_ops *base,
                       const char *options, const struct unl_plan *plan);

/* The same question to shard s: fill q and give it back with
 * unl_query_free(). */
struct unl_query {
    struct rec_query q;
    uint32_t *user, *item;
    size_t *ptr;
    float *value;
    int64_t *time;
};
ERR_CHECK
enum err unl_query_make(struct unl_query *out, const struct unl_parts *p,
                        size_t s, const struct rec_query *q);
void unl_query_free(struct unl_query *q);

/* Vectors of the people of q in shard s: vec[i * stride], d numbers each;
 * zeros where the shard is empty.  Whom the shard never saw is folded in with
 * their whole history; all are, when `fold`. */
ERR_CHECK
enum err unl_parts_embed(const struct unl_parts *p, size_t s,
                         const struct rec_query *q, bool fold, float *vec,
                         size_t stride);
/* Vectors of all n_items in shard s, likewise; zeros for items it never saw. */
ERR_CHECK
enum err unl_parts_items(const struct unl_parts *p, size_t s, size_t n_items,
                         float *vec, size_t stride);

#endif
