/*
 * attack/people.h - what an attacker sees: for each person a history and a list
 * of recommended items; and what the auditor knows beside it: who was in the
 * training data.
 */
#ifndef ATK_PEOPLE_H
#define ATK_PEOPLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct atk_people {
    size_t n, n_members;
    char **id;        /* [n] as people write it */
    uint64_t *key;    /* [n] of the id */
    uint8_t *member;  /* [n] 1: was in the training data */
    size_t *hist_ptr; /* [n + 1] */
    uint32_t *hist;   /* numbers of items, in the order of the file */
    size_t *list_ptr; /* [n + 1] */
    uint32_t *list;   /* best first */
    size_t dropped;   /* people with a history or a list alone: not used */
};
void atk_people_free(struct atk_people *p);

/* Take room for n people with so many entries.  ERR_NOMEM. */
ERR_CHECK
enum err atk_people_take(struct atk_people *p, size_t n, size_t hist,
                         size_t list);

/* The items of target and shadow, and vectors of them. */
struct atk_items {
    size_t n, dim;
    uint64_t *key;  /* [n] ascending */
    float *vec;     /* [n][dim], or NULL */
    uint8_t *known; /* [n] whether an item has a vector */
};
void atk_items_free(struct atk_items *t);

/* --- from files -------------------------------------------------------------
 */

/* Paths of four tables of (user, item): any format that `recd import` reads.
 * In a history's file the order does not matter, in a list's it is the rank. */
struct atk_files {
    const char *member_history, *other_history, *member_list, *other_list;
};

/*
 * Fill people[i] from files[i], i < n, over one universe of items.
 * ERR_ARG: a file is not named; somebody is member and non-member; ERR_FORMAT,
 * ERR_IO, ERR_NOMEM.  people and items are to be freed after an error too.
 */
ERR_CHECK
enum err atk_people_read(struct atk_people *people, struct atk_items *items,
                         const struct atk_files *files, size_t n);

/* Vectors of items: a line "ITEM X X X ..." for each, separated by blanks,
 * tabs or commas.  Items that the universe lacks are passed over. */
ERR_CHECK
enum err atk_items_read(struct atk_items *t, const char *path);

#endif
