/*
 * rec/kin.h - which items are alike: vectors whose cosine tells.
 *
 * The leading right singular vectors of the binary matrix of who met what, each
 * row divided by the square root of the person's rows and each column by that
 * of the item's, times their singular values; an item's row is brought to
 * length 1.  Alike is what the same people meet.
 */
#ifndef REC_KIN_H
#define REC_KIN_H

#include "base/err.h"
#include "rec/data.h"
#include "rec/rerank.h"

/* kin[n_items][REC_KIN]; zeros for items without rows.  Cost: rec_svd_top().
 * ERR_NOMEM, ERR_STOPPED. */
ERR_CHECK
enum err rec_kin_make(const struct rec_data *d, uint64_t seed, float *kin);

/* Rows item[n] of kin (NN_PAD: zeros). */
void rec_kin_gather(const float *kin, const uint32_t *item, size_t n,
                    float *out);

#endif
