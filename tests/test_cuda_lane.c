/*
 * tests/test_cuda_lane.c - what threads of the CUDA kernels compute, run on the
 * host: index arithmetic, order of sums, layouts of fragments.
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
#include "kernels/cuda/lane.h"

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

/* A block of ALS: assembly, factor, both substitutions, phase by phase with 37
 * threads; then A x = b must hold. */
static void a_block_of_als_solves_its_system(void **state)
{
    enum { D = 33, ROWS = 11, THREADS = 37 };
    static float a[D * D], full[D * D], w[ROWS * D], b[D], x[D];

    (void)state;
    for (size_t i = 0; i < ROWS * D; i++)
        w[i] = draw(i);
    for (size_t i = 0; i < D * D; i++)
        a[i] = i / D == i % D ? 2.0f : 0.0f;
    for (size_t t = 0; t < THREADS; t++)
        krn_lane_outer(a, w, ROWS, 3.0f, D, t, THREADS);
    for (size_t i = 0; i < D; i++) {
        for (size_t k = 0; k < D; k++)
            full[i * D + k] = k <= i ? a[i * D + k] : a[k * D + i];
        b[i] = x[i] = draw(900 + i);
    }
    for (size_t j = 0; j < D; j++) {
        a[j * D + j] = sqrtf(a[j * D + j]);
        for (size_t t = 0; t < THREADS; t++)
            krn_lane_chol_scale(a, D, j, a[j * D + j], t, THREADS);
        for (size_t t = 0; t < THREADS; t++)
            krn_lane_chol_update(a, D, j, t, THREADS);
    }
    for (int back = 0; back < 2; back++) {
        for (size_t s = 0; s < D; s++) {
            const size_t j = back ? D - 1 - s : s;

            x[j] /= a[j * D + j];
            for (size_t t = 0; t < THREADS; t++)
                krn_lane_solve(a, x, D, j, back, t, THREADS);
        }
    }
    for (size_t i = 0; i < D; i++) {
        double sum = 0;

        for (size_t k = 0; k < D; k++)
            sum += (double)full[i * D + k] * (double)x[k];
        assert_true(fabs(sum - (double)b[i]) < 1e-3);
    }
}

/* --- fragments
 * ----------------------------------------------------------------
 */

enum { V = 64, STEP = KRN_SHFL_STEP, COLS = KRN_SHFL_COLS };

/* What ldmatrix gives lane `lane` in register `reg` from a tile stored by rows
 * of `stride`, when lane l points at at[l]: eight rows of eight numbers, turned
 * over: stored row 2 (lane % 4) + half, stored column lane / 4. */
static float ldmatrix_turned(const float *tile, const size_t *at, int lane,
                             int reg, int half)
{
    return tile[at[reg * 8 + lane % 4 * 2 + half] + (size_t)lane / 4];
}

/* A warp's part of a tile: fragments by ldmatrix, multiplied as mma does by
 * PTX's tables, put where the kernel writes them, against plain sums. */
static void fragments_multiply_as_the_format_says(void **state)
{
    static float a[STEP * (V + KRN_SHFL_PAD)], b[STEP * (COLS + KRN_SHFL_PAD)],
        got[V][COLS];
    const size_t a_stride = V + KRN_SHFL_PAD, b_stride = COLS + KRN_SHFL_PAD;

    (void)state;
    for (size_t p = 0; p < STEP; p++) {
        for (size_t r = 0; r < V; r++)
            a[p * a_stride + r] = (float)((p * 7 + r * 3) % 11) - 5;
        for (size_t n = 0; n < COLS; n++)
            b[p * b_stride + n] = (float)((p * 5 + n * 13) % 17) - 8;
    }
    for (size_t warp = 0; warp < V / 16; warp++) {
        for (size_t k = 0; k < STEP; k += 16) {
            for (size_t j = 0; j < COLS / 8; j++) {
                float fa[16][16], fb[16][8];
                size_t at_a[32], at_b[32];

                for (int l = 0; l < 32; l++) {
                    at_a[l] = krn_lane_a_at(l, k, warp * 16, a_stride);
                    at_b[l] = krn_lane_b_at(l, k, j * 8, b_stride);
                }
                for (int l = 0; l < 32; l++) {
                    for (int i = 0; i < 8; i++)
                        fa[krn_lane_a_row(l, i)][krn_lane_a_col(l, i)] =
                            ldmatrix_turned(a, at_a, l, i / 2, i % 2);
                    for (int i = 0; i < 4; i++)
                        fb[krn_lane_b_row(l, i)][krn_lane_b_col(l)] =
                            ldmatrix_turned(b, at_b, l, i / 2, i % 2);
                }
                for (int l = 0; l < 32; l++) {
                    for (int i = 0; i < 4; i++) {
                        const int r = krn_lane_c_row(l, i);
                        const int n = krn_lane_c_col(l, i);

                        for (int q = 0; q < 16; q++)
                            got[warp * 16 + (size_t)r][j * 8 + (size_t)n] +=
                                fa[r][q] * fb[q][n];
                    }
                }
            }
        }
    }
    for (size_t r = 0; r < V; r++) {
        for (size_t n = 0; n < COLS; n++) {
            float want = 0;

            for (size_t p = 0; p < STEP; p++)
                want += a[p * a_stride + r] * b[p * b_stride + n];
            if (fabsf(want - got[r][n]) > 0.5f)
                fail_msg("row %zu, column %zu: %g, not %g", r, n,
                         (double)got[r][n], (double)want);
        }
    }
}

/* Rows that ldmatrix reads at once begin in different groups of four banks. */
static void rows_of_a_fragment_lie_in_different_banks(void **state)
{
    static const size_t stride[] = {64 + KRN_SHFL_PAD, 128 + KRN_SHFL_PAD,
                                    COLS + KRN_SHFL_PAD};

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
        cmocka_unit_test(a_block_of_als_solves_its_system),
        cmocka_unit_test(fragments_multiply_as_the_format_says),
        cmocka_unit_test(rows_of_a_fragment_lie_in_different_banks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
