/*
 * rec/clicks.h - a made-up world of people who look at lists and click, whose
 * truth is known.
 *
 * The dependent click model: people look at the first item; they click what
 * they look at with probability attract; after no click they look at the next
 * item, after a click they do so with probability stay, else they leave.
 *
 * Source: Guo, Liu & Wang, Efficient multiple-click models in web search, WSDM
 * 2009.  Differs: stay hangs on the item, not on the place, so that the order
 * of a list matters beyond its attractions.
 */
#ifndef REC_CLICKS_H
#define REC_CLICKS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

/* Clicks that a list of n items is worth; order[n], or NULL: as it is. */
double rec_clicks_expected(const float *attract, const float *stay,
                           const uint32_t *order, size_t n);

/* The most that any order of n <= REC_CLICKS_MOST items is worth: how likely
 * people are still there depends on which items stand above, not on their
 * order, so that sets are enough (2^n n operations). */
#define REC_CLICKS_MOST 16
double rec_clicks_best(const float *attract, const float *stay, size_t n);

/*
 * Write `lists` lists of `length` items with 12 features, clicks drawn by the
 * model, in the order of a first stage that knows a part of the attraction
 * (its score is feature 13); the truth stands behind each line.  seed draws the
 * world, part the people.  ERR_NOMEM.
 */
ERR_CHECK
enum err rec_clicks_write(FILE *out, size_t lists, size_t length, uint64_t seed,
                          uint64_t part);
#define REC_CLICKS_SCORE 13 /* the feature */

#endif
