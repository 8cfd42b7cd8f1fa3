/*
 * rec/pairs.h - learning vectors from comparisons: what was met should score
 * above what was not.
 *
 * A step takes a batch of rows in random order.  A chunk of REC_PAIRS_CHUNK
 * rows shares its negatives, so scores and gradients are matrix products
 * (about ten times the comparisons a second of drawing for each row alone);
 * what the row's own person has met is masked out.  With s+ the score of the
 * row and s_j those of its negatives, t the temperature:
 *
 *   bpr       mean over j of -log sigmoid((s+ - s_j) / t)       (Rendle 2009)
 *   hard      the same, weighted by softmax(s_j / t)  (Zhang et al., WWW 2013
 *             and Rendle & Freudenthaler, WSDM 2014, in the limit of many)
 *   softmax   -log(exp(s+/t) / (exp(s+/t) + sum_j exp(s_j/t)))
 *
 * Adam on everything, its rate falling to nothing on a cosine.
 *
 * Determinism: the order of rows is that of a draw for each row's keys, the
 * draws of negatives are named by epoch and chunk; gradients are added by a
 * sparse product in a fixed order.  Same bits for any number of threads.
 */
#ifndef REC_PAIRS_H
#define REC_PAIRS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rec/data.h"
#include "rec/dsl.h"
#include "rec/model.h"

#define REC_PAIRS_CHUNK 256

enum rec_pairs_loss { REC_PAIRS_BPR, REC_PAIRS_HARD, REC_PAIRS_SOFTMAX };

struct rec_pairs {
    size_t dim, batch, negatives; /* negatives of a chunk */
    uint64_t epochs;
    double lr, reg, start, temperature; /* start: deviation of first values */
    enum rec_pairs_loss loss;
    struct rec_dsl_opts dsl; /* masks of the vectors */
};

/* "bpr", "hard" or "softmax"; anything else is softmax. */
enum rec_pairs_loss rec_pairs_loss_of(const char *word);

/* Bytes of rec_pairs_fit() beyond its results. */
double rec_pairs_bytes(const struct rec_data *d, const struct rec_pairs *o);

/*
 * Fill m's arrays "users" [n_users][dim] and "items" [n_items][dim].
 * Calls watch after each epoch.  ERR_NOMEM, ERR_NUM, ERR_STOPPED.
 */
ERR_CHECK
enum err rec_pairs_fit(struct rec_model *m, const struct rec_data *d,
                       const struct rec_pairs *o,
                       const struct rec_watch *watch);

#endif
