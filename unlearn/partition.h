/*
 * unlearn/partition.h - which shard a row goes to.
 *
 *   hash         the person's key: whole persons, whatever they did
 *   lsh          the person's own items, hashed towards K fixed random
 *                directions (cross-polytope hashing): like persons together
 *   user         balanced k-means of persons   (RecEraser's UBP)
 *   item         balanced k-means of items     (IBP)
 *   interaction  balanced k-means of rows      (InBP)
 *
 * The first two look at nothing but the person's own rows, so taking somebody
 * away moves nobody else: forgetting is exact.  The other three learn from
 * everybody's embeddings; the assignment is recorded with the model and stays,
 * and forgetting is exact given that assignment.
 *
 * Sources: Chen, Sun, Zhang, Ding, Recommendation Unlearning, WWW 2022,
 * algorithms 1 and 2; Andoni et al., Practical and optimal LSH for angular
 * distance, NIPS 2015.  Differs: docs/papers.md.
 */
#ifndef UNL_PARTITION_H
#define UNL_PARTITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rec/data.h"

struct unl_partition {
    const char *name, *help;
    bool exact; /* depends on the row's own person alone */
    /* shard[n_rows] of d into 0..k-1; ERR_NOMEM. */
    enum err (*assign)(const struct rec_data *d, size_t k, uint64_t seed,
                       uint8_t *shard);
};

/* Ended by name == NULL. */
extern const struct unl_partition unl_partitions[];

/* NULL when there is none of that name. */
const struct unl_partition *unl_partition_find(const char *name);

/*
 * Balanced k-means: each of n points (row p: x[p][d], second space y[p][e] or
 * y == NULL) goes to one of k parts of at most 1.2 n / k points: the nearest
 * pairs (anchor, point) first, until `rounds` are over or nothing moves.  The
 * distance is |a - x|, times |b - y| where there is a second space.  Anchors
 * start at points drawn without replacement.  Ties: lower point, lower part.
 * Time O(rounds n k (d + e)), memory O(n k).  ERR_NOMEM.
 */
struct unl_points {
    size_t n, d, e;
    const float *x, *y;
    const uint32_t *x_of, *y_of; /* [n] point p is row x_of[p] of x; NULL: p */
};
ERR_CHECK
enum err unl_balance(const struct unl_points *p, size_t k, size_t rounds,
                     uint64_t seed, uint8_t *part);

#endif
