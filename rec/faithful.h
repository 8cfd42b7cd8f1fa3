/*
 * rec/faithful.h - re-rankers as the public code has them, with its defects.
 *
 * For comparing with what was published, not for use: batch norm whose
 * averages are never updated, so that it learns with the statistics of a batch
 * and serves with mean 0 and variance 1; attention without residual, norm or
 * product behind it; losses for each item by itself; no word of the first
 * stage's score.  Widths are those of the public code, whatever --dim says.
 *
 * Source: LibRerank, the library of Liu et al., Neural re-ranking in
 * multi-stage recommender systems, IJCAI 2022.  Differs: what is no item is
 * known by the mask (there: by a row of features whose sum is 0); weight decay
 * is that of the optimiser; lists are shuffled, and those without a label are
 * left out.  Of the generators (rec/slate.h) it is the wrong prefix, the order
 * that is drawn, the loss or the reward that are the public code's; their
 * widths are --dim.
 */
#ifndef REC_FAITHFUL_H
#define REC_FAITHFUL_H

#include "rec/rerank.h"

/* A network and its loss (one number).  Scores are what the public code ranks
 * by. */
struct rec_faithful {
    struct nn_tensor *(*build)(struct nn_tape *t, const struct rec_lists *l);
    struct nn_tensor *(*loss)(struct nn_tape *t, const struct rec_lists *l,
                              struct nn_tensor *scores,
                              struct nn_tensor *label);
};

/* Batch norm, name/gain and name/bias: by the batch where l->learning is 1, by
 * mean 0 and variance 1 where it is 0. */
struct nn_tensor *rec_faithful_norm(struct nn_tape *t,
                                    const struct rec_lists *l,
                                    struct nn_tensor *x, const char *name);
/* One block: attention of `heads`, then two layers with the first `inner`
 * wide.  x [batch][n][..] -> [batch][n][width]. */
struct nn_tensor *rec_faithful_block(struct nn_tape *t,
                                     const struct rec_lists *l,
                                     struct nn_tensor *x, size_t width,
                                     size_t heads, size_t inner);
/* x [batch][n][..] through layers of these widths, each with dropout, to
 * name-less logits [batch][n]. */
struct nn_tensor *rec_faithful_head(struct nn_tape *t,
                                    const struct rec_lists *l,
                                    struct nn_tensor *x, size_t first,
                                    size_t second, bool drop);

/* Losses on probabilities p [batch][n]: of each place by itself; of softmax
 * p over the list; of shares of e^score (0 and below: none). */
struct nn_tensor *rec_faithful_log_loss(struct nn_tape *t,
                                        const struct rec_lists *l,
                                        struct nn_tensor *p,
                                        struct nn_tensor *label);
struct nn_tensor *rec_faithful_softmax_loss(struct nn_tape *t,
                                            const struct rec_lists *l,
                                            struct nn_tensor *p,
                                            struct nn_tensor *label);
struct nn_tensor *rec_faithful_share_loss(struct nn_tape *t,
                                          const struct rec_lists *l,
                                          struct nn_tensor *score,
                                          struct nn_tensor *label);

#endif
