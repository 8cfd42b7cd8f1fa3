/*
 * rec/head.h - a learnt adapter: from a person's encoding to what its members
 * met.
 *
 * Multinomial logistic regression: softmax(z W + b) over the items that some
 * member has met, z the encoding at length 1; loss: list-wise cross entropy
 * with each member's items.  W begins at zero and b at the logarithms of the
 * items' counts, so that no draw is needed; only the order of the batches is
 * drawn, by people's keys.  What it learns depends on its members' rows and the
 * seed alone: neither on other items nor on other people.
 */
#ifndef REC_HEAD_H
#define REC_HEAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rec/encoder.h"

struct rec_head_opts {
    size_t epochs;
    double rate, decay; /* Adam's, and the decay of W */
    uint64_t seed;
};

/* Who teaches it, and everybody's rows and encodings. */
struct rec_head_lesson {
    size_t n_members, n_items;
    const uint32_t *member;   /* [n_members] ascending */
    const uint64_t *user_key; /* of everybody */
    const uint64_t *ptr;
    const uint32_t *item;
    const float *z; /* [people][REC_ENCODING] of length 1 */
};

/* Mark the items that a member met; returns how many. */
size_t rec_head_items(const struct rec_head_lesson *l, uint8_t *met);

/*
 * own [n]: the marked items, ascending.  weights [REC_ENCODING + 1][n]: W, then
 * b.  ERR_NOMEM, ERR_NUM (the loss is not finite: lower the rate).
 * Cost: 6 epochs x members x n x REC_ENCODING.
 */
ERR_CHECK
enum err rec_head_train(const struct rec_head_lesson *l,
                        const struct rec_head_opts *o, const uint32_t *own,
                        size_t n, float *weights);

/* Probabilities of n items for rows z [rows][REC_ENCODING]: p [rows][n]. */
ERR_CHECK
enum err rec_head_ask(const float *weights, size_t n, const float *z,
                      size_t rows, float *p);

#endif
