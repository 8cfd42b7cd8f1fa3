/*
 * attack/stat.h - how well scores tell members from non-members, and how sure
 * that is.
 *
 * A score is higher for people who look like members.  Everything here is a
 * function of two samples of scores; equal scores are one block, so that the
 * order of people does not matter.
 */
#ifndef ATK_STAT_H
#define ATK_STAT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Scores by label.  NaN counts as the lowest. */
struct atk_sample {
    const double *member, *other;
    size_t n_member, n_other;
};

/* One step of the curve for each distinct score, from the highest. */
struct atk_roc {
    size_t n;          /* steps, the first is (0, 0) */
    double *score;     /* [n] threshold: score >= this; [0] is infinite */
    size_t *true_pos;  /* [n] members at or above it */
    size_t *false_pos; /* [n] non-members at or above it */
    size_t n_member, n_other;
};
/* ERR_NOMEM; ERR_ARG without people of both kinds. */
ERR_CHECK
enum err atk_roc_build(struct atk_roc *out, const struct atk_sample *s);
void atk_roc_free(struct atk_roc *r);

/* Area under the curve: share of pairs in which the member scores higher, ties
 * count half. */
double atk_roc_area(const struct atk_roc *r);

/* The step with the largest TPR - FPR: a threshold chosen on labels. */
size_t atk_roc_best(const struct atk_roc *r);

/* The last step with FPR <= f: no interpolation. */
size_t atk_roc_at(const struct atk_roc *r, double f);

struct atk_interval {
    double value, lo, hi;
};

/*
 * Area with a 95 % interval over people, from the placements of DeLong, DeLong
 * and Clarke-Pearson (Biometrics 44, 1988); where the samples do not overlap,
 * Clopper and Pearson's on the smaller sample.  ERR_NOMEM, ERR_ARG.
 */
ERR_CHECK
enum err atk_area(const struct atk_sample *s, struct atk_interval *out);

/* Difference of the areas a - b of two scores of the same people, paired. */
ERR_CHECK
enum err atk_area_difference(const struct atk_sample *a,
                             const struct atk_sample *b,
                             struct atk_interval *out);

/* k of n, with Clopper and Pearson's interval (Biometrika 26, 1934) that leaves
 * out `tail` on each side. */
struct atk_interval atk_rate(uint64_t k, uint64_t n, double tail);

/*
 * Chance of membership, given a score, where one in two is a member: logistic
 * regression of one standardised number, members and others weighing half each,
 * with a ridge of .01.
 */
struct atk_logistic {
    double mean, deviation, slope, shift;
};
struct atk_logistic atk_logistic_fit(const double *x, const uint8_t *member,
                                     size_t n, size_t n_members);
double atk_logistic_at(const struct atk_logistic *f, double x);

/* Cumulative distribution of the standard normal, and its inverse (0 < p <
 * 1). */
double atk_normal(double x);
double atk_normal_inverse(double p);

#endif
