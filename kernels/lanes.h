/* kernels/lanes.h - reductions in 16 virtual lanes (the rule in ops.h). */
#ifndef KRN_LANES_H
#define KRN_LANES_H

#include <stddef.h>

#define KRN_LANES 16

/* Add the lanes by a fixed tree: + 8, + 4, + 2, + 1.  Destroys l. */
static inline float krn_tree16(float l[KRN_LANES])
{
    for (size_t half = KRN_LANES / 2; half > 0; half /= 2) {
        for (size_t i = 0; i < half; i++)
            l[i] += l[i + half];
    }
    return l[0];
}

/* Four times as many lanes, where a row is long and waits for its sum. */
#define KRN_WIDE (4 * KRN_LANES)

/* + 32, + 16, then the tree above.  Destroys l. */
static inline float krn_tree64(float l[KRN_WIDE])
{
    for (size_t half = KRN_WIDE / 2; half >= KRN_LANES; half /= 2) {
        for (size_t i = 0; i < half; i++)
            l[i] += l[i + half];
    }
    return krn_tree16(l);
}

/* The same tree with the larger of two; NaN on the left of > loses. */
static inline float krn_max16(float l[KRN_LANES])
{
    for (size_t half = KRN_LANES / 2; half > 0; half /= 2) {
        for (size_t i = 0; i < half; i++)
            l[i] = l[i + half] > l[i] ? l[i + half] : l[i];
    }
    return l[0];
}

#endif
