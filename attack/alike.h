/*
 * attack/alike.h - how far the shadow that an attacker learns from is like the
 * target: what can be counted of either, for the report.
 */
#ifndef ATK_ALIKE_H
#define ATK_ALIKE_H

#include <stdbool.h>
#include <stddef.h>

#include "attack/people.h"
#include "base/err.h"
#include "rec/data.h"

/* Of the others [0] and the members [1] of one side. */
struct atk_counted {
    size_t people[2];
    double history[2];   /* items of one, on average */
    double list[2];      /* likewise */
    double own[2];       /* share of the lists that is in the owner's history */
    size_t different[2]; /* items in lists */
    size_t met;          /* items in histories of either */
};

struct atk_alike {
    struct atk_counted target, shadow;
    size_t both;   /* items in histories of target and shadow */
    size_t people; /* who are on both sides, by their names */
};

/* shadow->n == 0: nobody.  ERR_NOMEM. */
ERR_CHECK
enum err atk_alike(struct atk_alike *out, const struct atk_people *target,
                   const struct atk_people *shadow, size_t n_items);

/* How well the others [0] and the members [1] of one side are served: their
 * lists against rows that no model learnt from. */
struct atk_useful {
    size_t people[2];          /* who have such a row and a list */
    double recall[2], ndcg[2]; /* at `cut`, on average; 0: nobody */
};

/* held: such rows, of any people, in the universe of items of the lists. */
void atk_useful(struct atk_useful *out, const struct atk_people *p,
                const struct rec_data *held, size_t cut);

/* A side in words (no full stop); lists: there are some. */
void atk_counted_say(const struct atk_counted *c, bool lists, char *text,
                     size_t size);

#endif
