/*
 * tests/test_cuda_lane.c - what threads of the CUDA kernels compute, run on the
 * host: index arithmetic, order of sums, layouts.  Whole kernels:
 * tests/test_cuda_emulated.sh.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "base/rng.h"
#include "kernels/cuda/pack.h"

static float draw(uint64_t i)
{
    return (float)rng_normal(9, RNG_SYNTH, i);
}

/* The bits of the CPU's sparse product. */
static void sparse_products_have_the_cpus_bits(void **state)
{
    enum { ROWS = 13, COLS = 9, D = 21 };
    size_t ptr[ROWS + 1] = {0};
    uint64_t ptr64[ROWS + 1];
    uint32_t idx[ROWS * COLS];
    float val[ROWS * COLS], x[COLS * D], y[ROWS * D];

    (void)state;
    for (size_t r = 0; r < ROWS; r++) {
        ptr[r + 1] = ptr[r];
        for (uint32_t c = 0; c < COLS; c++) {
            if (draw(r * COLS + c) > 0.2f) {
                val[ptr[r + 1]] = draw(1000 + r * COLS + c);
                idx[ptr[r + 1]++] = c;
            }
        }
    }
    for (size_t i = 0; i < COLS * D; i++)
        x[i] = draw(5000 + i);
    for (size_t r = 0; r <= ROWS; r++)
        ptr64[r] = ptr[r];
    for (int valued = 0; valued < 2; valued++) {
        cpu_ops()->spmm_f32(&(struct krn_spmm){.last = ROWS,
                                               .d = D,
                                               .ptr = ptr,
                                               .idx = idx,
                                               .val = valued ? val : NULL,
                                               .x = x,
                                               .ldx = D,
                                               .y = y,
                                               .ldy = D});
        for (size_t r = 0; r < ROWS; r++) {
            for (size_t c = 0; c < D; c++) {
                const float got =
                    krn_lane_spmm(ptr64, idx, valued ? val : NULL, x, D, r, c);

                assert_memory_equal(&got, &y[r * D + c], sizeof(got));
            }
        }
    }
}

static void keys_sort_as_scores_and_items(void **state)
{
    static const float score[] = {-INFINITY, -3.5f, -1e-30f, -0.0f, 0.0f,
                                  1e-38f,    0.1f,  2,       1e30f};
    const size_t n = sizeof(score) / sizeof(score[0]);

    (void)state;
    for (size_t a = 0; a < n; a++) {
        const uint64_t key = krn_lane_key(score[a], (uint32_t)(7 + a));
        const float back = krn_lane_key_score(key);

        assert_memory_equal(&back, &score[a], sizeof(back));
        assert_int_equal(krn_lane_key_item(key), 7 + a);
        assert_true(key != 0);
        assert_true(krn_lane_key(score[a], 3) > krn_lane_key(score[a], 4));
        for (size_t b = 0; b < a; b++)
            assert_true(krn_lane_key(score[a], 9) > krn_lane_key(score[b], 1));
    }
}

/* The sort of a block, thread after thread. */
static void bitonic_steps_sort(void **state)
{
    enum { N = 2048 };
    uint64_t *key = malloc(N * sizeof(*key));

    (void)state;
    assert_non_null(key);
    for (size_t i = 0; i < N; i++)
        key[i] = i % 5 == 0 ? 0 : rng_u64(3, RNG_SYNTH, i);
    for (size_t size = 2; size <= N; size *= 2) {
        for (size_t stride = size / 2; stride > 0; stride /= 2) {
            for (size_t t = 0; t < N / 2; t++) {
                const size_t i = krn_lane_bitonic(t, stride), j = i + stride;
                const uint64_t a = key[i], b = key[j];

                assert_true(j < N && (i & stride) == 0);
                if ((a < b) == krn_lane_bitonic_down(i, size)) {
                    key[i] = b;
                    key[j] = a;
                }
            }
        }
    }
    for (size_t i = 1; i < N; i++)
        assert_true(key[i - 1] >= key[i]);
    free(key);
}

static void triangles_are_counted_row_by_row(void **state)
{
    unsigned t = 0;

    (void)state;
    for (unsigned row = 0; row < 600; row++) {
        for (unsigned column = 0; column <= row; column++, t++) {
            unsigned got;

            assert_int_equal(krn_lane_triangle(t, &got), row);
            assert_int_equal(got, column);
        }
    }
}

/* What the words of places say gives the weights back. */
static void weights_of_two_of_four_are_packed_in_order(void **state)
{
    enum { M = 32, K = 64 };
    float w[M * K], back[M * K] = {0};
    uint16_t val[M * K / 2];
    uint32_t where[M * K / 32];

    (void)state;
    for (size_t i = 0; i < M * K; i++) { /* 0, 1 or 2 of 4 */
        const size_t at = rng_below(4, RNG_SYNTH, i / 4, 4);

        w[i] = i % 4 == at || i % 4 == rng_below(5, RNG_SYNTH, i / 4, 4)
                   ? (float)(1 + i % 100)
                   : 0;
        w[i] = i % 7 == 0 ? 0 : w[i];
    }
    assert_true(krn_pack_two_four(w, M, K, val, where));
    for (size_t row = 0; row < M; row++) {
        for (size_t c = 0; c < K; c += 2) { /* a stored number */
            const int r = (int)(row % 16), at = (int)(c % 32 / 2);
            const int lane = krn_lane_sp_lane(r, at);
            const uint32_t *word = where + (row / 16 * (K / 32) + c / 32) * 16;
            const int col =
                krn_lane_sp_col(at, word[lane / 4 * 2 + lane % 4], r);
            const uint32_t bits = (uint32_t)val[(row * K + c) / 2] << 16;
            float x;

            assert_true(lane % 4 < 2);
            memcpy(&x, &bits, sizeof(x));
            back[row * K + c / 32 * 32 + (size_t)col] += x;
        }
    }
    for (size_t i = 0; i < M * K; i++)
        assert_true(w[i] == back[i]);
    w[0] = w[1] = w[2] = 1;
    assert_false(krn_pack_two_four(w, M, K, val, where));
}

/* Rows that ldmatrix reads at once begin in different groups of four banks. */
static void rows_of_a_fragment_lie_in_different_banks(void **state)
{
    static const size_t stride[] = {64 + KRN_SHFL_PAD, 128 + KRN_SHFL_PAD,
                                    KRN_SHFL_COLS + KRN_SHFL_PAD};

    (void)state;
    for (size_t s = 0; s < 3; s++) {
        unsigned seen = 0;

        for (int l = 0; l < 8; l++)
            seen |= 1u << krn_lane_a_at(l, 0, 0, stride[s]) * 2 / 16 % 8;
        assert_int_equal(seen, 0xff);
        assert_int_equal(stride[s] * 2 % 16, 0); /* 16-byte copies */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sparse_products_have_the_cpus_bits),
        cmocka_unit_test(keys_sort_as_scores_and_items),
        cmocka_unit_test(bitonic_steps_sort),
        cmocka_unit_test(triangles_are_counted_row_by_row),
        cmocka_unit_test(weights_of_two_of_four_are_packed_in_order),
        cmocka_unit_test(rows_of_a_fragment_lie_in_different_banks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
