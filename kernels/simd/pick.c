/*
 * kernels/simd/pick.c - the k best of sums of whole numbers.
 *
 * Sixteen sums are compared with the floor at once; what passes is rare.
 */
#include "kernels/pick.h"
#include "kernels/simd/v16.h"

/* Sixteen whole numbers; GCC and clang split them as the machine needs. */
typedef int32_t pick16 __attribute__((vector_size(64), aligned(4)));

static inline uint32_t pick_above(const int32_t *x, int32_t floor)
{
#ifdef KRN_WITH_AVX512
    return _mm512_cmpgt_epi32_mask(_mm512_loadu_si512(x),
                                   _mm512_set1_epi32(floor));
#else
    const __m256i bar = _mm256_set1_epi32(floor);
    const __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)x);
    const __m256i b =
        _mm256_loadu_si256((const __m256i *)(const void *)(x + 8));
    const uint32_t low = (uint32_t)_mm256_movemask_ps(
        _mm256_castsi256_ps(_mm256_cmpgt_epi32(a, bar)));
    const uint32_t high = (uint32_t)_mm256_movemask_ps(
        _mm256_castsi256_ps(_mm256_cmpgt_epi32(b, bar)));

    return low | high << 8;
#endif
}

static inline void pick_step(int32_t *sum, const int32_t *step, bool minus)
{
    pick16 *y = (pick16 *)(void *)sum;
    const pick16 *x = (const pick16 *)(const void *)step;

    *y = minus ? *y - *x : *y + *x;
}

void KRN_TWIN(krn_pick_i32)(int32_t *sum, const int32_t *step, int32_t sign,
                            size_t n, struct krn_pick *t)
{
    size_t i = 0;

    for (; i + 16 <= n; i += 16) {
        if (step != NULL)
            pick_step(sum + i, step + i, sign < 0);
        for (uint32_t bits = pick_above(sum + i, t->floor); bits != 0;
             bits &= bits - 1) {
            const size_t at = i + (size_t)__builtin_ctz(bits);

            if (sum[at] > t->floor) /* which may have risen since */
                krn_pick_put(t, sum[at], (uint32_t)at);
        }
    }
    for (; i < n; i++) {
        if (step != NULL)
            sum[i] += sign * step[i];
        if (sum[i] > t->floor)
            krn_pick_put(t, sum[i], (uint32_t)i);
    }
}
