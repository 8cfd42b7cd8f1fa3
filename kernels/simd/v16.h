/*
 * kernels/simd/v16.h - sixteen floats: one register of AVX-512, two of AVX2.
 *
 * The bodies of the vector twins are written once over these functions and
 * compiled once per instruction set (KRN_WITH_AVX512 or not).  v_X_n() treat
 * the first n lanes only; a load gives 0 in the others.
 */
#ifndef KRN_SIMD_V16_H
#define KRN_SIMD_V16_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/twins.h"

#define V_FN static inline __attribute__((always_inline, unused))
#ifdef __clang__
#define V_UNROLL _Pragma("unroll")
#else
#define V_UNROLL _Pragma("GCC unroll 32")
#endif

#ifdef KRN_WITH_AVX512
#include "kernels/simd/v16_avx512.h"
#define KRN_TWIN(name) name##__avx512
#else
#include "kernels/simd/v16_avx2.h"
#define KRN_TWIN(name) name##__avx2
#endif

/* Lanes of the last of the vectors that hold n elements, n >= 1: 1..16. */
V_FN size_t v_rest(size_t n)
{
    return (n - 1) % 16 + 1;
}

/* dst[n] = f of 16 lanes at a time, for elementwise loops: i, lanes. */
#define V_FOR(i, lanes, n)                                                     \
    for (size_t i = 0, lanes; i < (n) && (lanes = (n)-i < 16 ? (n)-i : 16, 1); \
         i += 16)

#endif
