/* tests/test_svd.c - leading singular vectors against a dense eigensolver. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/par.h"
#include "base/rng.h"
#include "kernels/eig.h"
#include "rec/svd.h"

enum { ROWS = 60, COLS = 40, MOST = ROWS * COLS };

static struct sample {
    size_t row_ptr[ROWS + 1], col_ptr[COLS + 1];
    uint32_t col[MOST], row[MOST];
    float row_val[MOST], col_val[MOST];
    uint64_t key[COLS];
    double dense[ROWS][COLS];
} s;

/* About every fifth entry, columns from `rank` on empty; rows repeat after
 * `kinds`. */
static struct rec_svd sample_of(size_t rank, size_t kinds)
{
    size_t n = 0;

    for (size_t r = 0; r < ROWS; r++) {
        for (uint32_t c = 0; c < COLS; c++) {
            const float x = rng_f32(5, RNG_NEGATIVE, r % kinds * COLS + c);

            s.dense[r][c] = c < rank && x < .2f ? (double)(x + .1f) : 0;
            if (s.dense[r][c] > 0) {
                s.col[n] = c;
                s.row_val[n++] = (float)s.dense[r][c];
            }
        }
        s.row_ptr[r + 1] = n;
    }
    n = 0;
    for (size_t c = 0; c < COLS; c++) {
        s.key[c] = UINT64_C(0x9E3779B97F4A7C15) * (c + 1);
        for (uint32_t r = 0; r < ROWS; r++)
            if (s.dense[r][c] > 0) {
                s.row[n] = r;
                s.col_val[n++] = (float)s.dense[r][c];
            }
        s.col_ptr[c + 1] = n;
    }
    return (struct rec_svd){ROWS,      COLS,  s.row_ptr, s.col, s.row_val,
                            s.col_ptr, s.row, s.col_val, s.key, 1};
}

static struct rec_svd sample(size_t rank)
{
    return sample_of(rank, ROWS);
}

/* P = R^T R; w and the rows of vec are its eigenvalues and eigenvectors. */
static double *dense_eig(double *w, double *vec)
{
    static double p[COLS * COLS], work[2 * COLS];

    for (size_t i = 0; i < COLS; i++)
        for (size_t j = 0; j < COLS; j++) {
            p[i * COLS + j] = 0;
            for (size_t r = 0; r < ROWS; r++)
                p[i * COLS + j] += s.dense[r][i] * s.dense[r][j];
        }
    memcpy(vec, p, sizeof(p));
    assert_true(krn_eig_sym_f64(vec, w, work, COLS));
    return p;
}

static void vectors_are_those_of_the_dense_problem(void **state)
{
    enum { K = 6 };
    const struct rec_svd r = sample(COLS);
    static float v[COLS * K];
    static double vec[COLS * COLS];
    double w[K], want[COLS];
    const double *p = dense_eig(want, vec);

    (void)state;
    assert_int_equal(rec_svd_top(&r, K, v, w), ERR_OK);
    for (size_t j = 0; j < K; j++) {
        assert_true(fabs(w[j] / want[j] - 1) < 1e-5);
        double off = 0, dot = 0; /* |P v - w v|^2; cosine with the oracle */

        for (size_t i = 0; i < COLS; i++) {
            double x = -want[j] * (double)v[i * K + j];

            for (size_t c = 0; c < COLS; c++)
                x += p[i * COLS + c] * (double)v[c * K + j];
            off += x * x;
            dot += (double)v[i * K + j] * vec[j * COLS + i];
        }
        assert_true(sqrt(off) < 1e-2 * want[j]);
        assert_true(fabs(dot - 1) < 1e-5);
    }
}

static void beyond_the_rank_there_are_zeros(void **state)
{
    enum { K = 50, RANK = 3 };
    const struct rec_svd r = sample(RANK);
    static float v[COLS * K];
    double w[K];

    (void)state;
    assert_int_equal(rec_svd_top(&r, K, v, w), ERR_OK);
    for (size_t j = 0; j < K; j++) {
        assert_true(j < RANK ? w[j] > 0 : w[j] == 0);
        for (size_t i = 0; i < COLS; i++)
            assert_true(j < RANK || v[i * K + j] == 0);
    }
}

/* People who met the same things, or fewer people than vectors. */
static void rows_that_repeat_are_no_accident(void **state)
{
    static float v[COLS * 36];
    static double vec[COLS * COLS];
    double w[36], want[COLS];

    (void)state;
    for (size_t kinds = 1; kinds <= 20; kinds++) {
        struct rec_svd r = sample_of(COLS, kinds);

        (void)dense_eig(want, vec);
        assert_int_equal(rec_svd_top(&r, 36, v, w), ERR_OK);
        for (size_t j = 0; j < 36; j++) {
            if (fabs(w[j] - want[j]) > 1e-3 * want[0])
                fail_msg("%zu kinds, value %zu: %g, not %g", kinds, j, w[j],
                         want[j]);
        }
        assert_true(kinds > 15 || w[kinds] <= 1e-5 * w[0]);
    }
}

/* The first rows alone, fewer than the block is wide. */
static void fewer_rows_than_vectors_are_no_accident(void **state)
{
    static float v[COLS * 36];
    double w[36];

    (void)state;
    for (size_t rows = 1; rows <= 20; rows++) {
        struct rec_svd r = sample(COLS);
        size_t n = 0;

        for (size_t c = 0; c < COLS; c++) { /* the columns of these rows */
            const size_t first = n;

            for (uint32_t u = 0; u < rows; u++) {
                if (s.dense[u][c] > 0) {
                    s.row[n] = u;
                    s.col_val[n++] = (float)s.dense[u][c];
                }
            }
            s.col_ptr[c] = first;
        }
        s.col_ptr[COLS] = n;
        r.n_rows = rows;
        assert_int_equal(rec_svd_top(&r, 36, v, w), ERR_OK);
        for (size_t j = 0; j < 36; j++)
            assert_true(w[j] - w[j] == 0 && (j < rows || w[j] == 0));
    }
}

static void threads_do_not_change_a_bit(void **state)
{
    enum { K = 10 };
    const struct rec_svd r = sample(COLS);
    static float one[COLS * K], seven[COLS * K];
    double w[K];

    (void)state;
    par_set_threads(1);
    assert_int_equal(rec_svd_top(&r, K, one, w), ERR_OK);
    par_set_threads(7);
    assert_int_equal(rec_svd_top(&r, K, seven, w), ERR_OK);
    par_set_threads(0);
    assert_memory_equal(one, seven, sizeof(one));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_are_those_of_the_dense_problem),
        cmocka_unit_test(beyond_the_rank_there_are_zeros),
        cmocka_unit_test(rows_that_repeat_are_no_accident),
        cmocka_unit_test(fewer_rows_than_vectors_are_no_accident),
        cmocka_unit_test(threads_do_not_change_a_bit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
