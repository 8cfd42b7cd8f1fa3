/*
 * rec/traits.h - what attributes of people and items say of a candidate.
 *
 * A group is an attribute that at least REC_GROUP_LEAST people have ("sex=F");
 * its lift of an item is the logarithm of how much oftener its people met the
 * item than their number of rows would have it.  A kind is an attribute that
 * at least REC_KIND_LEAST items have ("genres=Drama"); a person's taste for it
 * is the logarithm of how much oftener their history holds it than everybody's
 * rows do.  Both are drawn to 0 where little is known.  Of a candidate: the sum
 * and the largest of the lifts of the person's groups, and the sum and the
 * largest of the tastes for its kinds.
 *
 * All of it is counted from the rows of one matrix and from what the store says
 * of those people and items.
 */
#ifndef REC_TRAITS_H
#define REC_TRAITS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "rec/data.h"
#include "rec/model.h"

#define REC_TRAITS 16 /* of a person or an item at most; the commonest stay */
#define REC_GROUPS_MOST 64
#define REC_GROUP_LEAST 20
#define REC_KINDS_MOST 256
#define REC_KIND_LEAST 5
#define REC_TRAIT_FEATURES 4

struct rec_traits {
    size_t n_groups, n_kinds;
    const uint32_t *who;  /* [n_users][REC_TRAITS] groups, NN_PAD behind */
    const float *lift;    /* [n_groups][n_items] */
    const uint32_t *what; /* [n_items][REC_TRAITS] kinds, NN_PAD behind */
    const float *share;   /* [n_kinds] rows whose item has it, of all rows */
};

/* Count d's.  Memory from s, which must outlive t.  ERR_ARG: nobody and nothing
 * has a common attribute; ERR_NOMEM. */
ERR_CHECK
enum err rec_traits_make(struct rec_traits *t, struct mem_scratch *s,
                         const struct rec_data *d);

/* In a model: the four arrays, their content, and t as a view of them
 * (ERR_FORMAT: they are not such arrays). */
size_t rec_traits_arrays(const struct rec_traits *t, const struct rec_data *d,
                         struct rec_array_spec spec[4]);
void rec_traits_store(const struct rec_traits *t, struct rec_model *m);
ERR_CHECK
enum err rec_traits_view(struct rec_traits *t, const struct rec_model *m);

/* A person's tastes, taste[n_kinds], by their history. */
void rec_traits_taste(const struct rec_traits *t, const uint32_t *history,
                      size_t n, float *taste);
/* The features of an item for person `user` (or REC_NOBODY). */
void rec_traits_features(const struct rec_traits *t, uint32_t user,
                         const float *taste, size_t n_items, uint32_t item,
                         float out[REC_TRAIT_FEATURES]);

#endif
