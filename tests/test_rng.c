/* tests/test_rng.c - known answers, and what the draws promise. */
#include "tests/kern.h"

#include <math.h>

/* Known answers of Philox4x32-10: Random123, kat_vectors. */
static void philox_gives_the_known_answers(void **state)
{
    static const struct {
        uint64_t key;
        struct krn_u32x4 ctr, want;
    } row[] = {
        {0, {{0}}, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}},
        {UINT64_MAX,
         {{UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX}},
         {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}},
        {0x299f31d0a4093822u,
         {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
         {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        const struct krn_u32x4 r = krn_philox(row[i].key, row[i].ctr);

        assert_memory_equal(&r, &row[i].want, sizeof(r));
    }
}

static void streams_differ_by_seed_purpose_and_name(void **state)
{
    const uint64_t first = rng_u64(1, RNG_INIT, 5);
    const struct krn_u32x4 pair = rng_pair(1, RNG_SPLIT, 2, 3);
    const struct krn_u32x4 swap = rng_pair(1, RNG_SPLIT, 3, 2);

    (void)state;
    assert_true(first != rng_u64(2, RNG_INIT, 5));
    assert_true(first != rng_u64(1, RNG_NEGATIVE, 5));
    assert_true(first != rng_u64(1, RNG_INIT, 6));
    assert_memory_not_equal(&pair, &swap, sizeof(pair));
    assert_true(rng_derive(1, RNG_INIT, 1) != rng_derive(1, RNG_INIT, 2));
    assert_true((uint32_t)rng_u64(1, RNG_INIT, 5) == rng_u32(1, RNG_INIT, 10));
}

static void below_is_uniform_by_chi_square(void **state)
{
    enum { N = 7, DRAWS = 70000 };
    double chi = 0;
    size_t count[N] = {0};

    (void)state;
    for (uint64_t i = 0; i < DRAWS; i++)
        count[rng_below(3, RNG_SYNTH, i, N)]++;
    for (size_t i = 0; i < N; i++) {
        const double off = (double)count[i] - DRAWS / N;

        chi += off * off / (DRAWS / N);
    }
    assert_true(chi < 22.5); /* 6 degrees of freedom, p = .001 */
    assert_true(rng_scale(UINT64_MAX, 5) == 4 && rng_scale(0, 5) == 0);
}

/* Kolmogorov and Smirnov's distance to the normal distribution. */
static void normal_deviates_are_normal(void **state)
{
    enum { N = 20000, BINS = 400 };
    size_t count[BINS] = {0}, sum = 0;
    double worst = 0;

    (void)state;
    for (uint64_t i = 0; i < N; i++) {
        const double x = rng_normal(9, RNG_NOISE, i) * 40 + BINS / 2;

        count[x < 0 ? 0 : x >= BINS ? BINS - 1 : (size_t)x]++;
    }
    for (size_t i = 0; i < BINS; i++) {
        const double edge = ((double)i + 1 - BINS / 2) / 40;

        sum += count[i];
        if (i + 1 < BINS)
            worst =
                fmax(worst, fabs((double)sum / N - erfc(-edge / sqrt(2)) / 2));
    }
    assert_true(worst < 1.95 / sqrt(N)); /* p = .001 */
}

/* Against libm, which is only a judge here. */
static void normal_deviates_follow_box_and_muller(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 1000; i++) {
        const uint64_t bits = rng_u64(4, RNG_NOISE, i);
        const double u = ((double)(bits >> 32) + 1) * 0x1p-32;
        const double t = (double)(bits & 0xffffffffu) * 0x1p-32;
        const double want = sqrt(-2 * log(u)) * sin(2 * acos(-1) * t);

        assert_true(fabs(rng_normal_of(bits) - want) <
                    1e-13 * fabs(want) + 1e-14);
    }
    assert_true(rng_normal_of(UINT64_MAX) == 0); /* u = 1 */
    assert_true(isfinite(rng_normal_of(0)));
}

static void shuffle_is_a_permutation_and_moves_things(void **state)
{
    uint32_t order[100];
    bool seen[100] = {0};
    size_t fixed = 0;

    (void)state;
    rng_shuffle(11, RNG_SHUFFLE, 100, order);
    for (uint32_t i = 0; i < 100; i++) {
        assert_true(order[i] < 100 && !seen[order[i]]);
        seen[order[i]] = true;
        fixed += order[i] == i;
    }
    assert_true(fixed < 10);
    rng_shuffle(11, RNG_SHUFFLE, 0, order);
}

static void sample_is_ascending_and_every_one_is_as_likely(void **state)
{
    size_t count[10] = {0}, pick[10];

    (void)state;
    for (uint64_t seed = 0; seed < 20000; seed++) {
        rng_sample(seed, RNG_PARTITION, 10, 3, pick);
        assert_true(pick[0] < pick[1] && pick[1] < pick[2] && pick[2] < 10);
        for (size_t i = 0; i < 3; i++)
            count[pick[i]]++;
    }
    for (size_t i = 0; i < 10; i++) /* 6000 +- 5 sigma of 65 */
        assert_true(count[i] > 5675 && count[i] < 6325);
    rng_sample(1, RNG_PARTITION, 10, 10, pick);
    for (size_t i = 0; i < 10; i++)
        assert_true(pick[i] == i);
    rng_sample(1, RNG_PARTITION, 10, 0, pick);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_known_answers),
        cmocka_unit_test(streams_differ_by_seed_purpose_and_name),
        cmocka_unit_test(below_is_uniform_by_chi_square),
        cmocka_unit_test(normal_deviates_are_normal),
        cmocka_unit_test(normal_deviates_follow_box_and_muller),
        cmocka_unit_test(shuffle_is_a_permutation_and_moves_things),
        cmocka_unit_test(sample_is_ascending_and_every_one_is_as_likely),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
