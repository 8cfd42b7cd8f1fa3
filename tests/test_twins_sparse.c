/*
 * tests/test_twins_sparse.c - every instruction set gives the bits of the
 * reference: products with sparse matrices.
 */
#include "tests/twins.h"

static void check_spmm(const struct krn_ops *twin)
{
    enum { ROWS = 50, COLS = 40, LD = 262 };
    float *x = kern_new(COLS * LD, 1), *val = kern_new(ROWS * 9, 2);
    float *want = kern_new(ROWS * LD, 3), *got = kern_new(ROWS * LD, 3);
    size_t ptr[ROWS + 1] = {0};
    uint32_t idx[ROWS * 9];

    for (size_t r = 0; r < ROWS; r++)
        ptr[r + 1] = ptr[r] + r % 10;
    for (size_t e = 0; e < ROWS * 9; e++)
        idx[e] = (uint32_t)rng_below(4, RNG_SYNTH, e, COLS);
    for (size_t i = 0; i < N_SIZES * 4; i++) {
        struct krn_spmm s = {.add = i & 1,
                             .first = i % 7,
                             .last = ROWS - i % 3,
                             .d = sizes[i / 4],
                             .ptr = ptr,
                             .idx = idx,
                             .val = i & 2 ? val : NULL,
                             .x = x,
                             .ldx = LD,
                             .y = want,
                             .ldy = LD - 1};

        krn_ops_reference.spmm_f32(&s);
        s.y = got;
        twin->spmm_f32(&s);
        kern_assert_same(got, want, (size_t)ROWS * LD, twin->name, s.d, i, 0);
    }
    free(x);
    free(val);
    free(want);
    free(got);
}

/* Groups of every height, with holes, for few and many people. */
static void check_groups(const struct krn_ops *twin)
{
    enum { GROUPS = 6, K = 50, LD = 262, ROWS = GROUPS * 40 };
    static const size_t heights[] = {1, 8, 16, 24, 32, 40},
                        people[] = {1, 3, 4, 15, 16, 25, 48, 63, 150, 17};
    float *x = kern_new(160 * LD, 1), *val = kern_new(GROUPS * K * 40, 2);
    float *want = kern_new(ROWS * LD, 3), *got = kern_new(ROWS * LD, 3);
    float *scratch = kern_new(KRN_GROUPS_SLAB * (K + ROWS), 4);
    uint32_t from[GROUPS], to[GROUPS], idx[GROUPS * K], row[ROWS];

    for (uint32_t g = 0; g < GROUPS; g++) {
        from[g] = g * K;
        to[g] = g * K + g * 9; /* none, and up to 45 */
        for (uint32_t p = 0; p < K; p++)
            idx[g * K + p] = p;
    }
    for (size_t i = 0; i < 6 * 20; i++) {
        const size_t v = heights[i / 20], n = GROUPS - i % 2;
        const bool turned = i % 20 >= 10, far = i % 3 == 0;
        struct krn_groups s = {.v = v,
                               .n = n,
                               .m = people[i % 10],
                               .k = K,
                               .rows = n * v,
                               .from = from,
                               .to = to,
                               .idx = idx,
                               .val = val,
                               .row = row,
                               .x = x,
                               .ldx = turned ? far ? 262 : 155 : K + 1,
                               .y = want,
                               .ldy = turned ? 155 : LD - 1,
                               .scratch = scratch};
        void (*const run[])(const struct krn_groups *) = {
            turned ? krn_ops_reference.groups_turned_f32
                   : krn_ops_reference.groups_f32,
            turned ? twin->groups_turned_f32 : twin->groups_f32};

        for (size_t r = 0; r < n * v; r++)
            row[r] = (uint32_t)(n * v - 1 - r);
        if (v > 1) { /* the last group is not full */
            row[n * v - 1] = KRN_NO_ROW;
            s.rows--;
            for (size_t r = 0; r + 1 < n * v; r++)
                row[r]--;
        }
        run[0](&s);
        s.y = got;
        run[1](&s);
        kern_assert_same(got, want, (size_t)ROWS * LD, twin->name, v, s.m, i);
    }
    free(x);
    free(val);
    free(want);
    free(got);
    free(scratch);
}

static void check_packs(const struct krn_ops *twin)
{
    enum { GROUPS = 7, K = 50, LD = 60, PACKS = 12, M = 3 };
    static const size_t shape[][2] = {{1, 16}, {16, 1}, {4, 4},  {1, 8},
                                      {8, 1},  {3, 8},  {2, 32}, {64, 1}};
    float *x = kern_new(M * LD, 1), *val = kern_new(GROUPS * PACKS * 64, 2);
    uint32_t ptr[GROUPS + 1] = {0}, idx[GROUPS * PACKS * 64], row[GROUPS * 64];

    for (uint32_t g = 0; g < GROUPS; g++)
        ptr[g + 1] = ptr[g] + g * 5 % PACKS;
    for (size_t e = 0; e < sizeof(idx) / sizeof(*idx); e++)
        idx[e] = (uint32_t)rng_below(4, RNG_SYNTH, e, K);
    for (size_t i = 0; i < sizeof(shape) / sizeof(*shape); i++) {
        const size_t rows = GROUPS * shape[i][0];
        float *want = kern_new(M * rows, 3), *got = kern_new(M * rows, 3);
        struct krn_packs s = {.n = GROUPS,
                              .v = shape[i][0],
                              .each = shape[i][1],
                              .m = M,
                              .from = ptr,
                              .to = ptr + 1,
                              .idx = idx,
                              .val = val,
                              .row = row,
                              .x = x,
                              .ldx = LD,
                              .y = want,
                              .ldy = rows};

        for (size_t r = 0; r < rows; r++)
            row[r] = r % 9 == 8 ? KRN_NO_ROW : (uint32_t)(rows - 1 - r);
        krn_ops_reference.packs_f32(&s);
        s.y = got;
        twin->packs_f32(&s);
        kern_assert_same(got, want, M * rows, twin->name, s.v, s.each, i);
        free(want);
        free(got);
    }
    free(x);
    free(val);
}

static void check_sddmm(const struct krn_ops *twin)
{
    enum { ROWS = 50, COLS = 40, LD = 262 };
    float *a = kern_new(ROWS * LD, 1), *b = kern_new(COLS * LD, 2);
    float *want = kern_new(ROWS * 9, 3), *got = kern_new(ROWS * 9, 3);
    size_t ptr[ROWS + 1] = {0};
    uint32_t idx[ROWS * 9];

    for (size_t r = 0; r < ROWS; r++)
        ptr[r + 1] = ptr[r] + r % 10;
    for (size_t e = 0; e < ROWS * 9; e++)
        idx[e] = (uint32_t)rng_below(4, RNG_SYNTH, e, COLS);
    for (size_t i = 0; i < N_SIZES; i++) {
        struct krn_sddmm s = {.first = i % 7,
                              .last = ROWS - i % 3,
                              .d = sizes[i],
                              .ptr = ptr,
                              .idx = idx,
                              .a = a,
                              .lda = LD,
                              .b = b,
                              .ldb = LD - 1,
                              .out = want};

        krn_ops_reference.sddmm_f32(&s);
        s.out = got;
        twin->sddmm_f32(&s);
        kern_assert_same(got, want, ROWS * 9, twin->name, sizes[i], i, 0);
    }
    free(a);
    free(b);
    free(want);
    free(got);
}

TWIN_TEST(spmm_has_the_same_bits, check_spmm)
TWIN_TEST(groups_have_the_same_bits, check_groups)
TWIN_TEST(packs_have_the_same_bits, check_packs)
TWIN_TEST(sddmm_has_the_same_bits, check_sddmm)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spmm_has_the_same_bits),
        cmocka_unit_test(groups_have_the_same_bits),
        cmocka_unit_test(packs_have_the_same_bits),
        cmocka_unit_test(sddmm_has_the_same_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
