/*
 * kernels/cuda/pack.h - weights of 2:4 as mma.sp reads them, for
 * krn_cuda_two_four: of each four numbers of a row two, and where they are.
 */
#ifndef KRN_CUDA_PACK_H
#define KRN_CUDA_PACK_H

#include <stdbool.h>

#include "kernels/cuda/lane.h"

/* Round to nearest, ties to even; NaN stays one. */
KRN_INLINE uint16_t krn_pack_bf16(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, 4);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Two of the four numbers at w: all that are not 0, lower places first. */
static inline bool krn_pack_four(const float *w, uint16_t val[2],
                                 uint32_t *where)
{
    int place[2] = {0, 1}, n = 0;

    for (int i = 0; i < 4; i++) {
        if (w[i] == 0)
            continue;
        if (n == 2)
            return false;
        place[n++] = i;
    }
    if (n == 1) { /* a second place, and they ascend */
        if (place[0] == 3)
            place[0] = 2, place[1] = 3;
        else
            place[1] = 3;
    }
    val[0] = krn_pack_bf16(w[place[0]]);
    val[1] = krn_pack_bf16(w[place[1]]);
    *where = (uint32_t)place[0] | (uint32_t)place[1] << 2;
    return true;
}

/*
 * w[m][k], m a multiple of 16 and k of 32, to val[m][k / 2] and where[m /
 * 16][k / 32][16]: words 2 q and 2 q + 1 are those of lanes 4 q and 4 q + 1.
 * False: four numbers hold three that are not 0.
 */
static inline bool krn_pack_two_four(const float *w, size_t m, size_t k,
                                     uint16_t *val, uint32_t *where)
{
    memset(where, 0, m / 16 * (k / 32) * 16 * sizeof(*where));
    for (size_t row = 0; row < m; row++) {
        for (size_t c = 0; c < k; c += 4) {
            const int r = (int)(row % 16), at = (int)(c % 32 / 2);
            const int lane = krn_lane_sp_lane(r, at);
            uint32_t *word = where + (row / 16 * (k / 32) + c / 32) * 16 +
                             lane / 4 * 2 + lane % 4;
            uint32_t two;

            if (!krn_pack_four(w + row * k + c, val + (row * k + c) / 2, &two))
                return false;
            *word |= two << krn_lane_sp_bit(r, at);
        }
    }
    return true;
}

#endif
