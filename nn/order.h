/*
 * nn/order.h - in which order samples are trained on.
 *
 * The order of an epoch is that of a random number for each sample's key: it
 * does not depend on where samples are stored, and taking one away leaves the
 * others in the order they had.
 */
#ifndef NN_ORDER_H
#define NN_ORDER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* order[n]: positions 0..n-1.  keys[n] are names of the samples; where two
 * are equal the earlier position comes first.  ERR_NOMEM. */
ERR_CHECK
enum err nn_order(uint32_t *order, const uint64_t *keys, size_t n,
                  uint64_t seed, uint64_t epoch);

#endif
