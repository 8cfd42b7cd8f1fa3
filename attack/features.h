/*
 * attack/features.h - numbers about a history and a list.
 */
#ifndef ATK_FEATURES_H
#define ATK_FEATURES_H

#include "attack/people.h"
#include "base/err.h"

/* log(1 + people of p whose history has the item), per item: log_count
 * [n_items]. */
void atk_popularity(const struct atk_people *p, size_t n_items,
                    double *log_count);

/* Each fills out [p->n]; people with an empty list get 0.  ERR_NOMEM. */
/* Mean of value[item] over the list. */
void atk_list_mean(const struct atk_people *p, const double *value,
                   double *out);
/* Share of the list that is in the history. */
ERR_CHECK
enum err atk_overlap(const struct atk_people *p, size_t n_items, double *out);
/* Mean over the list of the share of people who are shown the item. */
ERR_CHECK
enum err atk_consensus(const struct atk_people *p, size_t n_items, double *out);

/* Mean vector of the history, or of the list; items without a vector are left
 * out.  out [p->n][t->dim]. */
void atk_history_vectors(const struct atk_people *p, const struct atk_items *t,
                         float *out);
void atk_list_vectors(const struct atk_people *p, const struct atk_items *t,
                      float *out);
/* History minus list.  Source: Zhang et al., CCS 2021 (there with a list whose
 * first items count more: ranked); DL-MIA, KDD 2022.  ERR_NOMEM. */
ERR_CHECK
enum err atk_difference(const struct atk_people *p, const struct atk_items *t,
                        float *out);
ERR_CHECK
enum err atk_difference_ranked(const struct atk_people *p,
                               const struct atk_items *t, float *out);

/*
 * Where n numbers part into two kinds, at least one in twenty of each: the cut
 * of least error if each kind is normal, with mean and deviation of its own, so
 * that a kind that keeps close together gets no strangers.  *cut lies halfway
 * between two of them.  Source: Kittler & Illingworth, Pattern Recognition 19,
 * 1986.  ERR_NOMEM.
 */
ERR_CHECK
enum err atk_cut(const double *x, size_t n, double *cut);

/* x[n] becomes (x - mean) / deviation; zeros where all are equal. */
void atk_standardise(double *x, size_t n);

#endif
