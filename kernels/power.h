/*
 * kernels/power.h - powers of positive doubles without the C library.
 *
 * Built from exactly rounded operations (and frexp(), ldexp(), which are
 * exact), so that every compiler and library gives the same bits.  Relative
 * error below 1e-14 for |p log2 x| <= 64 (tests/test_power.c measures it).
 */
#ifndef KRN_POWER_H
#define KRN_POWER_H

#include <math.h>

/* log2 x for normal x > 0: x = m 2^e, ln m = 2 atanh((m - 1) / (m + 1)) by its
 * series; the argument is at most .172, so that 11 terms leave 1e-18. */
static inline double krn_log2_f64(double x)
{
    int e;
    double m = frexp(x, &e), sum = 0;

    if (m < 0.70710678118654752) {
        m *= 2;
        e--;
    }
    const double s = (m - 1) / (m + 1), z = s * s;

    for (int k = 21; k >= 1; k -= 2)
        sum = sum * z + 1.0 / k;
    return s * sum * 2.8853900817779268 + e; /* 2 / ln 2 */
}

/* 2^y for |y| <= 1000: 2^n times Taylor's exp for at most ln(2) / 2. */
static inline double krn_exp2_f64(double y)
{
    const double n = floor(y + 0.5);
    const double r = (y - n) * 0.69314718055994531;
    double sum = 1;

    for (int k = 13; k >= 1; k--)
        sum = 1 + sum * r / k;
    return ldexp(sum, (int)n);
}

/* x^p for normal x > 0 and |p log2 x| <= 1000. */
static inline double krn_power_f64(double x, double p)
{
    return krn_exp2_f64(p * krn_log2_f64(x));
}

#endif
