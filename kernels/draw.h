/*
 * kernels/draw.h - named draws from Philox, for the CPU (base/rng.h, where the
 * words are explained) and for CUDA kernels: the same bits.  `what` is an enum
 * rng_purpose.
 */
#ifndef KRN_DRAW_H
#define KRN_DRAW_H

#include "kernels/philox.h"

KRN_INLINE uint32_t krn_draw_u32(uint64_t seed, uint32_t what, uint64_t i)
{
    const struct krn_u32x4 ctr = {
        {(uint32_t)(i >> 2), (uint32_t)(i >> 34), what, 0}};

    return krn_philox(seed, ctr).v[i & 3];
}

/* Uniform in [0, 1), 24 bits. */
KRN_INLINE float krn_draw_f32(uint64_t seed, uint32_t what, uint64_t i)
{
    return (float)(krn_draw_u32(seed, what, i) >> 8) * (1 / 16777216.0f);
}

KRN_INLINE struct krn_u32x4 krn_draw_pair(uint64_t seed, uint32_t what,
                                          uint64_t a, uint64_t b)
{
    /* Philox permutes (a, b) under a key: no two pairs of one stream meet. */
    const struct krn_u32x4 ctr = {
        {(uint32_t)a, (uint32_t)(a >> 32), (uint32_t)b, (uint32_t)(b >> 32)}};
    const struct krn_u32x4 key = {{what, 0, 0, 1}};
    const struct krn_u32x4 k = krn_philox(seed, key);

    return krn_philox((uint64_t)k.v[1] << 32 | k.v[0], ctr);
}

KRN_INLINE uint64_t krn_draw_derive(uint64_t seed, uint32_t what, uint64_t name)
{
    const struct krn_u32x4 ctr = {
        {(uint32_t)name, (uint32_t)(name >> 32), what, 2}};
    const struct krn_u32x4 r = krn_philox(seed, ctr);

    return (uint64_t)r.v[1] << 32 | r.v[0];
}

KRN_INLINE uint64_t krn_draw_u64(uint64_t seed, uint32_t what, uint64_t i)
{
    const struct krn_u32x4 ctr = {
        {(uint32_t)(i >> 1), (uint32_t)(i >> 33), what, 0}};
    const struct krn_u32x4 r = krn_philox(seed, ctr);
    const unsigned w = (unsigned)(i & 1) * 2;

    return (uint64_t)r.v[w + 1] << 32 | r.v[w];
}

/* Map 64 random bits to 0..n-1 (n >= 1) by multiplication. */
KRN_INLINE uint64_t krn_draw_scale(uint64_t bits, uint64_t n)
{
    return (uint64_t)((unsigned __int128)bits * n >> 64);
}

/* A draw for the order of samples in an epoch (nn/order.h). */
KRN_INLINE uint64_t krn_draw_order(uint64_t seed, uint64_t epoch, uint64_t key)
{
    const struct krn_u32x4 c = {{(uint32_t)key, (uint32_t)(key >> 32),
                                 (uint32_t)epoch, (uint32_t)(epoch >> 32)}};
    const struct krn_u32x4 u = krn_philox(seed ^ 0x6f72646572ull, c);

    return (uint64_t)u.v[0] << 32 | u.v[1];
}

#endif
