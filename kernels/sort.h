/* kernels/sort.h - stable radix sorts; the caller gives scratch of n. */
#ifndef KRN_SORT_H
#define KRN_SORT_H

#include <stddef.h>
#include <stdint.h>

/* Sort key[n] ascending, carrying value[n] (may be NULL) along; stable.
 * Least significant digit radix, 8-bit digits, constant digits skipped. */
void krn_sort_u64(uint64_t *key, uint32_t *value, uint64_t *key_tmp,
                  uint32_t *value_tmp, size_t n);
void krn_sort_u32(uint32_t *key, uint32_t *value, uint32_t *key_tmp,
                  uint32_t *value_tmp, size_t n);

#endif
