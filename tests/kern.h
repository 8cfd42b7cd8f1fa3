/* tests/kern.h - what the tests of kernels share: random input, comparison. */
#ifndef TESTS_KERN_H
#define TESTS_KERN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/rng.h"

/* Uniform in [-1, 1) from a generator of the test's own purpose. */
static inline void kern_fill(float *x, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        x[i] = 2 * rng_f32(seed, RNG_SYNTH, i) - 1;
}

static inline float *kern_new(size_t n, uint64_t seed)
{
    float *x = mem_array(n, sizeof(*x));

    assert_non_null(x);
    kern_fill(x, n, seed);
    return x;
}

static inline float *kern_copy(const float *x, size_t n)
{
    float *y = mem_array(n, sizeof(*y));

    assert_non_null(y);
    memcpy(y, x, n * sizeof(*x));
    return y;
}

/* The first element whose bits differ (two NaN are the same), or n. */
static inline size_t kern_differ(const float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (memcmp(x + i, y + i, sizeof(*x)) != 0 &&
            (x[i] == x[i] || y[i] == y[i]))
            return i;
    }
    return n;
}

#define kern_assert_same(x, y, n, what, a, b, c)                               \
    do {                                                                       \
        const size_t kern_at_ = kern_differ(x, y, n);                          \
        if (kern_at_ < (n))                                                    \
            fail_msg("%s, sizes %zu %zu %zu: element %zu is %a, not %a", what, \
                     (size_t)(a), (size_t)(b), (size_t)(c), kern_at_,          \
                     (double)(x)[kern_at_], (double)(y)[kern_at_]);            \
    } while (0)

/* The vector twins that this processor and build have; NULL ends the list. */
static inline const struct krn_ops **kern_twins(void)
{
    static const struct krn_ops *list[3];
    size_t n = 0;

    for (enum krn_isa isa = KRN_AVX2; isa <= KRN_AVX512; isa++) {
        if (cpu_ops_of(isa) != NULL)
            list[n++] = cpu_ops_of(isa);
    }
    list[n] = NULL;
    return list;
}

#endif
