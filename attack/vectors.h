/* attack/vectors.h - vectors of items, learnt by the attacker. */
#ifndef ATK_VECTORS_H
#define ATK_VECTORS_H

#include "attack/people.h"
#include "base/err.h"

#define ATK_VECTOR_DIM 64

/* Histories as a matrix: rows are people of p, in their order, columns the n
 * items; to be freed with rec_data_free().  ERR_NOMEM. */
struct rec_data;
ERR_CHECK
enum err atk_histories(struct rec_data *out, const struct atk_people *p,
                       const struct atk_items *t);

/* Fill t->vec and t->known from the histories of p: the item factors of ials.
 * Items in none of them have no vector.  ERR_NOMEM, ERR_NUM. */
ERR_CHECK
enum err atk_items_learn(struct atk_items *t, const struct atk_people *p,
                         uint64_t seed);

#endif
