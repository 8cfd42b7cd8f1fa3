/*
 * rec/counts.h - what people have met together, as whole numbers.
 *
 * pair(i, j) is the sum, over the people who met both, of what each of them
 * weighs.  Weights are whole numbers (fixed-point where a model wants
 * fractions), so that people can be added and taken away in any order and leave
 * no trace: a model that is made from counts is the same, bit for bit, as one
 * that is trained on the rows (rec_model_ops.fit_counts).
 */
#ifndef REC_COUNTS_H
#define REC_COUNTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct rec_counts {
    size_t n_items;
    uint64_t *pair; /* lower triangle by rows, with the diagonal */
};

/* One person's items (ascending), and what they add to each pair of them.
 * Negative weights, in two's complement, take away. */
struct rec_count_change {
    const uint32_t *item;
    size_t n;
    uint64_t weight;
};

/* No rows yet.  8 bytes a pair: ERR_NOMEM where that is beyond the budget. */
ERR_CHECK
enum err rec_counts_new(struct rec_counts *out, size_t n_items);
void rec_counts_free(struct rec_counts *c);

/* All changes of the list.  Threads inside; cost: the sum of n * n / 2. */
void rec_counts_change(struct rec_counts *c,
                       const struct rec_count_change *list, size_t n);

/* pair(i, j) for j <= i. */
static inline uint64_t rec_counts_at(const struct rec_counts *c, size_t i,
                                     size_t j)
{
    return c->pair[i * (i + 1) / 2 + j];
}

#endif
