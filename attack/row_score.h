/*
 * attack/row_score.h - what each single row gives away: the privacy score of
 * RecPS.
 *
 * Of the models that learnt from a row and those that did not, the fits of that
 * row are parted by the one threshold that does it best; with p and f the
 * shares of either kind above it, the score is the larger of ln p/f and ln
 * (1-f)/(1-p), or 0.  It is what differential privacy bounds, row by row, as
 * far as so few models can show it: half a model is added to each of the four
 * counts, so that a row which is parted wholly by k models of each kind has ln
 * (2k + 1).
 *
 * The threshold is chosen on the models that it is judged on, so that a row
 * which says nothing has more than 0: the same computation with the coins of
 * the models drawn anew says how much more.
 *
 * Source: Li et al., RecPS, RecSys 2025.  Differs: the half models (theirs are
 * some 500, and what they do with a count of none is not known); one row a
 * person, so that a person's score, the mean over theirs, is that row's.
 */
#ifndef ATK_ROW_SCORE_H
#define ATK_ROW_SCORE_H

#include <stddef.h>
#include <stdint.h>

#include "attack/attack.h"
#include "base/err.h"

struct atk_row_scores {
    size_t n, models;
    double *score; /* [n] */
    double mean, median;
    double tenth;  /* one row in ten is above */
    double chance; /* the mean with coins drawn anew */
    double most;   /* the mean if each row were parted wholly */
};

/* Of the n rows in question under the references; key names rows for the coins
 * that are drawn anew.  ERR_NOMEM.  To be freed after an error too. */
ERR_CHECK
enum err atk_row_scores(struct atk_row_scores *out, const struct atk_signals *s,
                        const uint64_t *key, size_t n, uint64_t seed);
void atk_row_scores_free(struct atk_row_scores *r);

#endif
