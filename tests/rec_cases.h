/* tests/rec_cases.h - what the tests of rec/ share: invented interactions. */
#ifndef TESTS_REC_CASES_H
#define TESTS_REC_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "rec/data.h"

/* Key number i of `n` ascending ones, spread over all 64 bits. */
static inline uint64_t case_key(size_t i, size_t n)
{
    return (UINT64_MAX / (n + 1)) * (i + 1) + i % 7;
}

static inline bool case_met(uint64_t seed, size_t u, size_t i, size_t n_items,
                            double density)
{
    /* two taste groups and a slope of popularity; every fifth person is
     * left without rows */
    const double slope = 2.0 * (double)(n_items - i) / (double)n_items;
    const double taste = (u + i) % 2 == 0 ? 1.6 : 0.4;

    return u % 5 != 4 &&
           (double)rng_f32(rng_derive(seed, RNG_SYNTH, u), RNG_SYNTH, i) <
               density * slope * taste;
}

/* People x items with about `density` of the cells taken; free by
 * rec_data_free().  with_values: ratings 1..5. */
static inline struct rec_data case_data(size_t n_users, size_t n_items,
                                        double density, bool with_values,
                                        uint64_t seed)
{
    struct rec_data d = {.n_users = n_users, .n_items = n_items};

    d.user_key = mem_array(n_users, sizeof(*d.user_key));
    d.item_key = mem_array(n_items, sizeof(*d.item_key));
    d.user_ptr = mem_array(n_users + 1, sizeof(*d.user_ptr));
    d.item = mem_array(n_users * n_items, sizeof(*d.item));
    if (with_values)
        d.value = mem_array(n_users * n_items, sizeof(*d.value));
    assert_true(d.user_key && d.item_key && d.user_ptr && d.item);
    for (size_t i = 0; i < n_items; i++)
        d.item_key[i] = case_key(i, n_items);
    for (size_t u = 0; u < n_users; u++) {
        d.user_key[u] = case_key(u, n_users);
        for (size_t i = 0; i < n_items; i++) {
            if (!case_met(seed, u, i, n_items, density))
                continue;
            if (with_values)
                d.value[d.n_rows] = (float)(1 + (u * 7 + i) % 5);
            d.item[d.n_rows++] = (uint32_t)i;
        }
        d.user_ptr[u + 1] = d.n_rows;
    }
    return d;
}

/* Times in no order: without any, rows would be read in that of their items. */
static inline void case_times(struct rec_data *d, uint64_t seed)
{
    d->time = mem_array(d->n_rows, sizeof(*d->time));
    assert_non_null(d->time);
    for (size_t r = 0; r < d->n_rows; r++)
        d->time[r] = (int64_t)rng_u32(seed, RNG_SYNTH, r);
}

#endif
