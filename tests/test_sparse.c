/*
 * tests/test_sparse.c - patterns and what is packed by them.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "kernels/ops.h"
#include "nn/sparse.h"
#include "tests/kern.h"

static const char *const patterns[] = {
    "unstructured",    "block:8", "vector:16", "shfl-bw:8",
    "shfl-bw:16",      "nm:2:4",  "nm:1:8",    "nm-both:2:4",
    "gs:16:16",        "gs:16:1", "gs:16:4",   "gs-scatter:8:2",
    "gs-scatter:16:16"};
#define N_PATTERNS (sizeof(patterns) / sizeof(*patterns))

struct packed {
    struct nn_matrix w;
    float *values;
    uint8_t *mask;
    uint32_t *order;
    struct nn_pattern p;
    struct nn_sparse s;
};

static struct packed packed_new(const char *pattern, size_t rows, size_t cols,
                                double density)
{
    struct packed k = {.values = kern_new(rows * cols, rows + cols)};

    k.w = (struct nn_matrix){k.values, rows, cols, cols, 1};
    assert_int_equal(nn_pattern_parse(&k.p, pattern), ERR_OK);
    k.mask = mem_array(rows * cols, 1);
    k.order =
        mem_array(nn_pattern_groups(&k.p, rows) * k.p.v, sizeof(*k.order));
    assert_int_equal(
        nn_pattern_project(&k.p, &k.w, density, NULL, k.mask, k.order), ERR_OK);
    assert_true(nn_pattern_allows(&k.p, rows, cols, k.mask, k.order));
    assert_int_equal(nn_sparse_pack(&k.s, &k.p, &k.w, k.mask, k.order, NULL, 1),
                     ERR_OK);
    return k;
}

static void packed_free(struct packed *k)
{
    nn_sparse_free(&k->s);
    free(k->values);
    free(k->mask);
    free(k->order);
}

static double kept(const struct packed *k)
{
    double on = 0, all = 0;

    for (size_t i = 0; i < k->w.rows * k->w.cols; i++) {
        all += fabs((double)k->values[i]);
        on += k->mask[i] ? fabs((double)k->values[i]) : 0;
    }
    return on / all;
}

static void names_are_parsed(void **state)
{
    static const char *const wrong[] = {
        "",        "shfl",     "shfl-bw:7",  "shfl-bw:16:2", "block:136",
        "nm:4:2",  "nm:2",     "nm:2:4:1",   "gs:16",        "gs:16:5",
        "gs:65:1", "vector:x", "nm-both:1:4"};
    struct nn_pattern p;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        if (nn_pattern_parse(&p, wrong[i]) != ERR_ARG)
            fail_msg("\"%s\" is a pattern", wrong[i]);
    }
    assert_int_equal(nn_pattern_parse(&p, "shfl-bw"), ERR_OK);
    assert_int_equal(p.v, 16);
    assert_int_equal(nn_pattern_parse(&p, "gs-scatter:16:4"), ERR_OK);
    assert_true(p.scatter && p.v == 4 && p.banks == 16);
}

/* What is packed and taken apart is the matrix under the mask; about as much
 * of it stays as was asked for; and an image comes back whole. */
static void packing_keeps_what_the_mask_keeps(void **state)
{
    static const size_t shapes[][2] = {{64, 64}, {37, 50}, {8, 130}, {100, 9}};

    (void)state;
    for (size_t i = 0; i < N_PATTERNS * 4; i++) {
        const size_t rows = shapes[i % 4][0], cols = shapes[i % 4][1];
        struct packed k = packed_new(patterns[i / 4], rows, cols, 0.25);
        float *back = mem_array(rows * cols, sizeof(*back));
        const size_t bytes = nn_sparse_save_bytes(&k.s);
        unsigned char *image = mem_array(bytes, 1);
        struct nn_sparse again;
        size_t on = 0;

        nn_sparse_unpack(&k.s, 0, back);
        for (size_t e = 0; e < rows * cols; e++) {
            assert_true(back[e] == (k.mask[e] ? k.values[e] : 0));
            on += k.mask[e];
        }
        const double density =
            nn_pattern_density(&k.p) > 0 ? nn_pattern_density(&k.p) : 0.25;
        const double share = (double)on / (double)(rows * cols);

        /* units and packs are rounded; edges of N of M keep more */
        if (rows == 64 && fabs(share - density) > 0.07)
            fail_msg("%s keeps %.3f", patterns[i / 4], share);
        nn_sparse_save(&k.s, image);
        assert_int_equal(nn_sparse_load(&again, image, bytes), ERR_OK);
        memset(back, 0, rows * cols * sizeof(*back));
        nn_sparse_unpack(&again, 0, back);
        for (size_t e = 0; e < rows * cols; e++)
            assert_true(back[e] == (k.mask[e] ? k.values[e] : 0));
        nn_sparse_free(&again);
        free(image);
        free(back);
        packed_free(&k);
    }
}

/* Whatever byte is wrong, an image is refused or is safe to multiply with. */
static void wrong_images_are_refused(void **state)
{
    float x[50] = {0}, y[37] = {0};

    (void)state;
    for (size_t i = 0; i < N_PATTERNS; i++) {
        struct packed k = packed_new(patterns[i], 37, 50, 0.3);
        const size_t bytes = nn_sparse_save_bytes(&k.s);
        unsigned char *image = mem_array(bytes, 1);
        float *scratch = mem_array(nn_sparse_scratch(&k.s), sizeof(*scratch));
        size_t refused = 0;

        nn_sparse_save(&k.s, image);
        for (size_t cut = 0; cut < bytes; cut += 7) {
            struct nn_sparse s;

            assert_int_equal(nn_sparse_load(&s, image, cut), ERR_FORMAT);
        }
        for (size_t b = 0; b < bytes; b++) {
            struct nn_sparse s;
            const unsigned char was = image[b];

            image[b] = (unsigned char)(was ^ (0x80 >> b % 8));
            const enum err e = nn_sparse_load(&s, image, bytes);

            image[b] = was;
            refused += e != ERR_OK;
            /* what has another shape is its owner's to refuse */
            if (e == ERR_OK && s.rows <= 37 && s.cols <= 50)
                nn_sparse_product(&s, 0, 1, x, 50, y, 37, scratch);
            nn_sparse_free(&s);
        }
        assert_true(refused > 0);
        free(scratch);
        free(image);
        packed_free(&k);
    }
}

/* Groups give the bits of the dense chain, the others the same within rounding;
 * and back. */
static void products_are_those_of_the_dense_matrix(void **state)
{
    enum { ROWS = 53, COLS = 70, MOST = 70 };
    static const size_t people[] = {1, 2, 16, 50, MOST};
    float *x = kern_new(MOST * COLS, 5);

    (void)state;
    for (size_t i = 0; i < N_PATTERNS * 5; i++) {
        const size_t m = people[i % 5];
        struct packed k = packed_new(patterns[i / 5], ROWS, COLS, 0.3);
        const bool exact = nn_pattern_in_groups(&k.p);
        float *scratch = mem_array(nn_sparse_scratch(&k.s), sizeof(*scratch));
        float *y = mem_array(m * ROWS, sizeof(*y)),
              *back = kern_new(m * COLS, 6);
        double *want = mem_array(m * COLS, sizeof(*want));

        for (size_t e = 0; e < m * COLS; e++)
            want[e] = (double)back[e];
        nn_sparse_product(&k.s, 0, m, x, COLS, y, ROWS, scratch);
        for (size_t b = 0; b < m; b++) {
            for (size_t r = 0; r < ROWS; r++) {
                float sum = 0;

                for (size_t c = 0; c < COLS; c++) {
                    const float w = k.values[r * COLS + c];

                    if (!k.mask[r * COLS + c])
                        continue;
                    sum = fmaf(w, x[b * COLS + c], sum);
                    want[b * COLS + c] += (double)w * (double)y[b * ROWS + r];
                }
                const float got = y[b * ROWS + r];

                if (exact ? got != sum : fabsf(got - sum) > 1e-5f)
                    fail_msg("%s: %g, not %g", patterns[i / 5], (double)got,
                             (double)sum);
            }
        }
        nn_sparse_product_back(&k.s, 0, m, y, ROWS, back, COLS);
        for (size_t e = 0; e < m * COLS; e++)
            assert_true(fabs((double)back[e] - want[e]) < 1e-4);
        free(scratch);
        free(y);
        free(back);
        free(want);
        packed_free(&k);
    }
    free(x);
}

/* Rows of 16 hidden kinds, each with its own taste for columns. */
static void give_kinds(struct nn_matrix *w, float *values)
{
    for (size_t r = 0; r < w->rows; r++) {
        const uint64_t kind = rng_below(8, RNG_SYNTH, r, 16);

        for (size_t c = 0; c < w->cols; c++)
            values[r * w->cols + c] *= (float)exp(
                rng_normal(rng_derive(9, RNG_SYNTH, kind), RNG_SYNTH, c));
    }
}

static double kept_by(const char *pattern, const float *values, size_t n,
                      double density)
{
    struct packed k = {.w = {values, n, n, n, 1}};
    double share;

    assert_int_equal(nn_pattern_parse(&k.p, pattern), ERR_OK);
    k.values = mem_array(n * n, sizeof(*k.values));
    memcpy(k.values, values, n * n * sizeof(*values));
    k.mask = mem_array(n * n, 1);
    k.order = mem_array(n + 128, sizeof(*k.order));
    assert_int_equal(
        nn_pattern_project(&k.p, &k.w, density, NULL, k.mask, k.order), ERR_OK);
    share = kept(&k);
    packed_free(&k);
    return share;
}

/* Of the size of W the freer pattern keeps more; clustering finds rows that
 * belong together. */
static void freer_patterns_keep_more(void **state)
{
    enum { N = 512 };
    float *values = mem_array((size_t)N * N, sizeof(*values));
    struct nn_matrix w = {values, N, N, N, 1};

    (void)state;
    for (size_t i = 0; i < (size_t)N * N; i++)
        values[i] = (float)rng_normal(7, RNG_SYNTH, i);
    for (int kinds = 0; kinds < 2; kinds++) {
        if (kinds)
            give_kinds(&w, values);
        const double any = kept_by("unstructured", values, N, 0.25);
        const double gs = kept_by("gs:16:16", values, N, 0.25);
        const double vertical = kept_by("gs:16:1", values, N, 0.25);
        const double nm = kept_by("nm:4:16", values, N, 0.25);
        const double shfl = kept_by("shfl-bw:16", values, N, 0.25);
        const double vector = kept_by("vector:16", values, N, 0.25);
        const double block = kept_by("block:16", values, N, 0.25);

        printf("kept: any %.3f, gs:16:16 %.3f, gs:16:1 %.3f, nm:4:16 %.3f, "
               "shfl-bw:16 %.3f, vector %.3f, block %.3f\n",
               any, gs, vertical, nm, shfl, vector, block);
        assert_true(any > gs && gs > nm && any > vertical && nm > shfl);
        assert_true(shfl >= vector && vector > block);
        if (kinds)
            assert_true(shfl > vector + 0.1);
        assert_true(kept_by("nm:2:4", values, N, 0) >
                    kept_by("nm-both:2:4", values, N, 0));
    }
    free(values);
}

/* Levels are prefixes: the same weights, fewer of them. */
static void levels_are_prefixes(void **state)
{
    enum { ROWS = 40, COLS = 60, LEVELS = 3 };
    static const char *const nested[] = {"unstructured", "block:8",
                                         "vector:16",    "shfl-bw:8",
                                         "gs:8:2",       "gs-scatter:8:4"};

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        struct packed k = packed_new(nested[i], ROWS, COLS, 0.6);
        uint8_t *level = mem_array((size_t)ROWS * COLS, 1);
        uint8_t *some = mem_array((size_t)ROWS * COLS, 1);
        float *w = mem_array((size_t)ROWS * COLS, sizeof(*w));
        struct nn_sparse s;

        memset(level, LEVELS - 1, (size_t)ROWS * COLS);
        for (size_t l = LEVELS - 1; l-- > 0;) {
            struct nn_matrix inner = k.w;
            float *v = mem_array((size_t)ROWS * COLS, sizeof(*v));

            for (size_t e = 0; e < (size_t)ROWS * COLS; e++)
                v[e] = k.mask[e] && level[e] == l + 1 ? k.values[e] : 0;
            inner.w = v;
            assert_int_equal(nn_pattern_project(&k.p, &inner,
                                                0.2 * (double)(l + 1), k.order,
                                                some, k.order),
                             ERR_OK);
            for (size_t e = 0; e < (size_t)ROWS * COLS; e++) {
                if (some[e] && level[e] == l + 1)
                    level[e] = (uint8_t)l;
            }
            free(v);
        }
        assert_int_equal(
            nn_sparse_pack(&s, &k.p, &k.w, k.mask, k.order, level, LEVELS),
            ERR_OK);
        assert_int_equal(nn_sparse_check(&s), ERR_OK);
        for (size_t l = 0; l < LEVELS; l++) {
            size_t on = 0;

            nn_sparse_unpack(&s, l, w);
            for (size_t e = 0; e < (size_t)ROWS * COLS; e++) {
                const bool there = k.mask[e] && level[e] <= l;

                assert_true(w[e] == (there ? k.values[e] : 0));
                on += there;
            }
            assert_true(on > 0 && (l == 0 || nn_sparse_weights(&s, l) >
                                                 nn_sparse_weights(&s, l - 1)));
        }
        nn_sparse_free(&s);
        free(level);
        free(some);
        free(w);
        packed_free(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_parsed),
        cmocka_unit_test(packing_keeps_what_the_mask_keeps),
        cmocka_unit_test(wrong_images_are_refused),
        cmocka_unit_test(products_are_those_of_the_dense_matrix),
        cmocka_unit_test(freer_patterns_keep_more),
        cmocka_unit_test(levels_are_prefixes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
