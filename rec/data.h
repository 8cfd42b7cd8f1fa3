/*
 * rec/data.h - interactions as matrices, in canonical order.
 *
 * User and item numbers are positions in the ascending order of keys.  They
 * exist only in memory and only for one universe of keys.
 *
 * The universe of a model: the items that a catalogue lists or that have a
 * training row; the people who have a training row.
 */
#ifndef REC_DATA_H
#define REC_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/key.h"
#include "store/store.h"

#define REC_NOBODY UINT32_MAX /* a person (or item) that a model never saw */

struct rec_data {
    size_t n_users, n_items, n_rows;
    uint64_t *user_key; /* [n_users] ascending */
    uint64_t *item_key; /* [n_items] ascending */
    size_t *user_ptr;   /* [n_users + 1] rows of user u: user_ptr[u]..[u+1]-1 */
    uint32_t *item;     /* [n_rows] ascending inside a user */
    float *value;       /* [n_rows], or NULL: all 1 */
    int64_t *time;      /* [n_rows], or NULL */
    uint32_t *lost;     /* [n_users] rows dropped because their item is not in
                           the universe (test data), or NULL: none */
    /* What models may build on that nobody's request takes away; of training
     * rows alone, and no part of rec_data_digest(). */
    uint8_t *open;     /* [n_users] 1: declared public, or NULL: nobody is */
    size_t *trait_ptr; /* [n_items + 1] attributes of item i in the catalogue:
                          trait[trait_ptr[i]..], or NULL: there are none */
    uint64_t *trait;   /* key_of("name=value"), in the catalogue's order */
    size_t
        *group_ptr; /* [n_users + 1] the same of person u in a file of people:
                       group[group_ptr[u]..], or NULL: there are none */
    uint64_t *group;
};

/* The training rows of the view, with their own universe. */
ERR_CHECK
enum err rec_data_load(struct rec_data *out, struct sto_view *v);

/* The rows of `split` inside a given universe (keys are copied): people
 * outside it are left out, rows with items outside are counted in lost. */
ERR_CHECK
enum err rec_data_load_in(struct rec_data *out, struct sto_view *v,
                          enum sto_split split, const uint64_t *user_key,
                          size_t n_users, const uint64_t *item_key,
                          size_t n_items);

/* An empty matrix's universe: copies of the keys.  ERR_NOMEM leaves what is
 * there to rec_data_free(). */
ERR_CHECK
enum err rec_data_copy_keys(struct rec_data *d, const uint64_t *user_key,
                            size_t n_users, const uint64_t *item_key,
                            size_t n_items);

/* The rows r with keep[r] != 0, in the same universe.  For validation, shards
 * and "train on this subset". */
ERR_CHECK
enum err rec_data_subset(struct rec_data *out, const struct rec_data *d,
                         const uint8_t *keep);

/* rec_data_subset(), then people and items without a row leave the universe:
 * what is left depends on the kept rows alone. */
ERR_CHECK
enum err rec_data_compact(struct rec_data *out, const struct rec_data *d,
                          const uint8_t *keep);

/* rec_data_compact(), but items with attributes stay: the universe of a store
 * whose catalogue lists just these. */
ERR_CHECK
enum err rec_data_compact_listed(struct rec_data *out, const struct rec_data *d,
                                 const uint8_t *keep);

/* rec_data_subset(), then people without a row leave; all items stay, so that
 * their numbers mean the same before and after. */
ERR_CHECK
enum err rec_data_same_items(struct rec_data *out, const struct rec_data *d,
                             const uint8_t *keep);

/* out, of the same items, gets d's attributes.  ERR_NOMEM. */
ERR_CHECK
enum err rec_data_copy_traits(struct rec_data *out, const struct rec_data *d);

/* Whether person u has met the item. */
bool rec_data_has(const struct rec_data *d, size_t u, uint32_t item);

/* Rows of who has most of them. */
size_t rec_data_most_rows(const struct rec_data *d);

/* BLAKE2b of universe and rows. */
void rec_data_digest(const struct rec_data *d,
                     unsigned char digest[KEY_DIGEST_BYTES]);

void rec_data_free(struct rec_data *d);

/* The same rows by item: users of item i are user[ptr[i]..ptr[i+1]-1],
 * ascending; row[] says where each stands in the user-major arrays. */
struct rec_columns {
    size_t *ptr;    /* [n_items + 1] */
    uint32_t *user; /* [n_rows] */
    size_t *row;    /* [n_rows] */
};
ERR_CHECK
enum err rec_columns_build(struct rec_columns *out, const struct rec_data *d);
void rec_columns_free(struct rec_columns *c);

/* Position of key in ascending keys[n], or REC_NOBODY.  Keys are hashes,
 * hence uniform: interpolation finds them in about two probes. */
uint32_t rec_key_find(const uint64_t *keys, size_t n, uint64_t key);

/*
 * Hold out rows for validation: keep[r] = 0 for about a share of each
 * person's rows, 1 for the others; at least one row of each person is kept.
 * A row is held out when its own draw, keyed with the seed, the person and
 * the item, is below `share`, so that taking a row away moves no other.
 */
void rec_data_holdout(const struct rec_data *d, double share, uint64_t seed,
                      uint8_t *keep);

#endif
