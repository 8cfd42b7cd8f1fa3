/*
 * kernels/elem.h - exp, log, tanh and the logistic function of one number.
 *
 * Written with fmaf() and exactly rounded operations only, so that every
 * compiler and every vector twin gives the same bits.  Errors are below 2 ulp
 * (tests/test_elem.c measures them over the whole range).
 */
#ifndef KRN_ELEM_H
#define KRN_ELEM_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "kernels/philox.h" /* KRN_INLINE */

#define KRN_LOG2E 1.44269504f
#define KRN_LN2_HI 0.693359375f      /* 355 / 512: times |n| < 2^14 exact */
#define KRN_LN2_LO (-2.12194440e-4f) /* ln 2 - KRN_LN2_HI */
#define KRN_ROUND 12582912.0f        /* 1.5 * 2^23: adding rounds to integer */
#define KRN_EXP_MAX 88.8f            /* above: infinity */
#define KRN_EXP_MIN (-104.0f)        /* below: 0 */

KRN_INLINE uint32_t krn_bits(float x)
{
    uint32_t u;

    memcpy(&u, &x, sizeof(u));
    return u;
}

KRN_INLINE float krn_float(uint32_t u)
{
    float x;

    memcpy(&x, &u, sizeof(x));
    return x;
}

/* 2^n for -126 <= n <= 127. */
KRN_INLINE float krn_pow2(int32_t n)
{
    return krn_float((uint32_t)(n + 127) << 23);
}

/* exp(r) = 1 + r + r^2 q(r) for |r| <= ln(2) / 2: Taylor to r^7, the rest of
 * which is 5e-9. */
KRN_INLINE float krn_exp_tail(float r)
{
    float q = 1.0f / 5040;

    q = fmaf(q, r, 1.0f / 720);
    q = fmaf(q, r, 1.0f / 120);
    q = fmaf(q, r, 1.0f / 24);
    q = fmaf(q, r, 1.0f / 6);
    return fmaf(q, r, 0.5f);
}

/* x = n ln 2 + r; n as a float. */
KRN_INLINE float krn_exp_reduce(float x, float *n)
{
    *n = fmaf(x, KRN_LOG2E, KRN_ROUND) - KRN_ROUND;
    return fmaf(-*n, KRN_LN2_LO, fmaf(-*n, KRN_LN2_HI, x));
}

KRN_INLINE float krn_exp1(float x)
{
    float n;

    if (x != x)
        return x;
    x = KRN_EXP_MAX < x ? KRN_EXP_MAX : x;
    x = KRN_EXP_MIN > x ? KRN_EXP_MIN : x;
    const float r = krn_exp_reduce(x, &n);
    const float p = fmaf(r * r, krn_exp_tail(r), r) + 1.0f;
    /* two steps: 2^n alone may be out of range where the result is not */
    const int32_t whole = (int32_t)n, half = whole >> 1;

    return p * krn_pow2(half) * krn_pow2(whole - half);
}

/* 2 s + s^3 (2/3 + ...) = ln((1+s)/(1-s)) for |s| <= .172, rest 2e-9. */
KRN_INLINE float krn_log_tail(float z)
{
    float q = 2.0f / 9;

    q = fmaf(q, z, 2.0f / 7);
    q = fmaf(q, z, 2.0f / 5);
    return fmaf(q, z, 2.0f / 3);
}

KRN_INLINE float krn_log1(float x)
{
    if (x != x || x < 0)
        return NAN;
    if (x == 0)
        return -INFINITY;
    if (x == INFINITY)
        return x;
    const bool small = x < 0x1p-126f;
    const uint32_t u = krn_bits(small ? x * 0x1p23f : x);
    /* m in [sqrt(1/2), sqrt(2)): bits above those of sqrt(1/2) give n */
    const uint32_t top = u - 0x3f3504f3u;
    const int32_t e = (int32_t)top >> 23;
    const float m = krn_float((top & 0x7fffffu) + 0x3f3504f3u);
    const float n = (float)(small ? e - 23 : e);
    const float f = m - 1.0f, s = f / (m + 1.0f), z = s * s;
    /* ln m = f - s (f - z q): keeps f, which is exact, apart */
    const float h = fmaf(-z, krn_log_tail(z), f);

    return fmaf(n, KRN_LN2_HI, f - fmaf(s, h, -(n * KRN_LN2_LO)));
}

/* tanh |x| = t / (t + 2), t = exp(2|x|) - 1, without cancellation. */
KRN_INLINE float krn_tanh1(float x)
{
    const uint32_t sign = krn_bits(x) & 0x80000000u;
    float n, a = krn_float(krn_bits(x) ^ sign);

    if (x != x)
        return x;
    a = 10.0f < a ? 10.0f : a;
    const float r = krn_exp_reduce(2 * a, &n);
    const float p = fmaf(r * r, krn_exp_tail(r), r);
    const float scale = krn_pow2((int32_t)n);
    const float t = fmaf(p, scale, scale - 1.0f);

    return krn_float(krn_bits(t / (t + 2.0f)) | sign);
}

/* 1 / (1 + exp(-x)), accurate on both tails. */
KRN_INLINE float krn_sigmoid1(float x)
{
    const float e = krn_exp1(-fabsf(x));

    return (x < 0 ? e : 1.0f) / (1.0f + e);
}

#endif
