/* kernels/sort.c - least significant digit radix sorts. */
#include "kernels/sort.h"

#include <stdbool.h>
#include <string.h>

#define DIGITS 256

/* First place of each digit; false when all n keys have the same one. */
static bool sort_places(size_t count[DIGITS], size_t n)
{
    size_t place = 0;

    for (size_t i = 0; i < DIGITS; i++) {
        const size_t c = count[i];

        if (c == n)
            return false;
        count[i] = place;
        place += c;
    }
    return true;
}

/* One pass by the digit at `shift`, for keys of type T. */
#define SORT_PASS(T)                                                           \
    static void sort_pass_##T(const T *key, const uint32_t *value, T *to,      \
                              uint32_t *value_to, size_t n, unsigned shift,    \
                              size_t place[DIGITS])                            \
    {                                                                          \
        for (size_t i = 0; i < n; i++) {                                       \
            const size_t at = place[key[i] >> shift & (DIGITS - 1)]++;         \
                                                                               \
            to[at] = key[i];                                                   \
            if (value != NULL)                                                 \
                value_to[at] = value[i];                                       \
        }                                                                      \
    }

/* All digits are counted in one reading; passes swap the two buffers. */
#define SORT(T, NAME)                                                          \
    SORT_PASS(T)                                                               \
    void NAME(T *key, uint32_t *value, T *key_tmp, uint32_t *value_tmp,        \
              size_t n)                                                        \
    {                                                                          \
        size_t count[sizeof(T)][DIGITS] = {{0}};                               \
        T *from = key, *to = key_tmp;                                          \
        uint32_t *v_from = value, *v_to = value_tmp;                           \
                                                                               \
        for (size_t i = 0; i < n; i++) {                                       \
            for (unsigned b = 0; b < sizeof(T); b++)                           \
                count[b][key[i] >> 8 * b & (DIGITS - 1)]++;                    \
        }                                                                      \
        for (unsigned b = 0; b < sizeof(T); b++) {                             \
            T *const t = from;                                                 \
            uint32_t *const v = v_from;                                        \
                                                                               \
            if (!sort_places(count[b], n))                                     \
                continue;                                                      \
            sort_pass_##T(from, v_from, to, v_to, n, 8 * b, count[b]);         \
            from = to, to = t;                                                 \
            v_from = v_to, v_to = v;                                           \
        }                                                                      \
        if (from != key) {                                                     \
            memcpy(key, from, n * sizeof(*key));                               \
            if (value != NULL)                                                 \
                memcpy(value, v_from, n * sizeof(*value));                     \
        }                                                                      \
    }

SORT(uint64_t, krn_sort_u64)
SORT(uint32_t, krn_sort_u32)
