/*
 * rec/rank.h - the best k items for each person of a batch.
 *
 * Order: score descending, then item number ascending (canonical order), so
 * that ties have one answer.  NaN scores rank last.
 *
 * A person whose history in the query is empty gets the items in the order of
 * popularity, whatever the model is.
 */
#ifndef REC_RANK_H
#define REC_RANK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rec/model.h"

/*
 * item[n][k] and score[n][k] (score may be NULL) for the n people of q;
 * short lists (fewer than k candidates) end with REC_NOBODY and -infinity.
 * hide_seen leaves out the items of the query's history.  Threads inside;
 * memory O(threads * 256 * n_items) floats at most, about 4 million otherwise,
 * for models that score whole rows; a copy of the item vectors, the vectors of
 * at most 8192 people and 4.2 MB a thread for inner products; 1.3 KB a thread
 * for each of k (at most n_items).
 */
ERR_CHECK
enum err rec_rank(const struct rec_model *m, const struct rec_query *q,
                  size_t k, bool hide_seen, uint32_t *item, float *score);

/* rec_rank() for people first..first+n-1 of `d` (d in m's universe), whose
 * rows in d are their histories. */
ERR_CHECK
enum err rec_rank_users(const struct rec_model *m, const struct rec_data *d,
                        size_t first, size_t n, size_t k, bool hide_seen,
                        uint32_t *item, float *score);

#endif
