/* tests/test_kernels.c - kernels against what they should compute: sums in
 * double, full sorts, residuals. */
#include "tests/kern.h"

#include <float.h>
#include <math.h>

#include "kernels/eig.h"
#include "kernels/sort.h"

/* |C - C64| <= (k + 2) eps sum |a| |b|, element by element. */
static void gemm_is_within_the_error_bound_of_a_chain(void **state)
{
    enum { M = 23, N = 37, K = 1031 };
    float *a = kern_new(M * K, 1), *b = kern_new(K * N, 2), c[M * N];
    const struct krn_gemm g = {.m = M,
                               .n = N,
                               .k = K,
                               .a = a,
                               .lda = K,
                               .b = b,
                               .ldb = N,
                               .c = c,
                               .ldc = N,
                               .scratch =
                                   mem_array(KRN_GEMM_SCRATCH, sizeof(float))};

    (void)state;
    assert_non_null(g.scratch);
    cpu_ops()->gemm_f32(&g);
    for (size_t i = 0; i < M * N; i++) {
        double sum = 0, size = 0;

        for (size_t k = 0; k < K; k++) {
            const double p = (double)a[i / N * K + k] * b[k * N + i % N];

            sum += p;
            size += fabs(p);
        }
        assert_true(fabs(c[i] - sum) <= (K + 2) * (FLT_EPSILON / 2) * size);
    }
    free(a);
    free(b);
    free(g.scratch);
}

struct scored {
    float score;
    uint32_t id;
};

static int scored_cmp(const void *x, const void *y)
{
    const struct scored *a = x, *b = y;

    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* Ties, NaN and infinities among n scores; k may exceed n. */
static void check_topk(size_t n, size_t k, uint64_t seed)
{
    struct scored *all = mem_array(n, sizeof(*all));
    float *x = mem_array(n, sizeof(*x));
    struct krn_topk t =
        krn_topk_start(k, mem_array(KRN_TOPK_ROOM(k), sizeof(float)),
                       mem_array(KRN_TOPK_ROOM(k), sizeof(uint32_t)));

    assert_true(all != NULL && x != NULL && t.score != NULL && t.id != NULL);
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t r = rng_u64(seed, RNG_SYNTH, i);

        x[i] = r % 50 == 0   ? NAN
               : r % 51 == 0 ? INFINITY
               : r % 3 == 0  ? (float)(r >> 8 & 7)
                             : rng_f32(seed, RNG_BOOT, i) * 8;
        all[i].id = i + 5;
        all[i].score = isnan(x[i]) ? -INFINITY : x[i];
    }
    qsort(all, n, sizeof(*all), scored_cmp);
    cpu_ops()->topk_push_f32(&t, x, 5, n);
    cpu_ops()->topk_sort_f32(&t);
    assert_int_equal(t.n, n < k ? n : k);
    for (size_t i = 0; i < t.n; i++) {
        assert_true(t.score[i] == all[i].score);
        assert_int_equal(t.id[i], all[i].id);
    }
    free(all);
    free(x);
    free(t.score);
    free(t.id);
}

static void topk_is_the_head_of_a_full_sort(void **state)
{
    static const size_t ks[] = {1, 2, 3, 10, 20, 64, 100, 1000, 1024, 1500};

    (void)state;
    for (size_t i = 0; i < sizeof(ks) / sizeof(ks[0]); i++) {
        check_topk(3001, ks[i], i);
        check_topk(i * 7, ks[i], i + 100);
    }
}

/* ||A x - b|| is small beside d eps ||A|| ||x||, all norms largest element. */
static void chol_solve_leaves_a_small_residual(void **state)
{
    static const size_t size[] = {1, 5, 16, 33, 64, 128, 200};

    (void)state;
    for (size_t s = 0; s < sizeof(size) / sizeof(size[0]); s++) {
        const size_t d = size[s];
        float *x = kern_new(3 * d * d, s), *b = kern_new(d, s);
        float *a = mem_array(d * d, sizeof(*a)), *f, *y = kern_copy(b, d);
        double worst = 0, big = 0, long_x = 0;
        uint32_t idx[600];

        assert_non_null(a);
        for (uint32_t i = 0; i < 3 * d; i++)
            idx[i] = i;
        cpu_ops()->syrk_rows_f32(a, d, x, d, idx, NULL, 3 * d, d);
        for (size_t i = 0; i < d; i++)
            a[i * d + i] += 1;
        f = kern_copy(a, d * d);
        assert_true(cpu_ops()->chol_solve_f32(f, d, y, d));
        for (size_t i = 0; i < d; i++) {
            double r = -(double)b[i];

            for (size_t j = 0; j < d; j++)
                r += (double)(i > j ? a[i * d + j] : a[j * d + i]) * y[j];
            worst = fmax(worst, fabs(r));
            big = fmax(big, fabs(a[i * d + i]));
            long_x = fmax(long_x, fabs(y[i]));
        }
        assert_true(worst <= (double)d * FLT_EPSILON * big * (long_x + 1));
        free(x);
        free(a);
        free(b);
        free(f);
        free(y);
    }
}

static void chol_solve_refuses_what_is_not_positive_definite(void **state)
{
    float a[4] = {1, 0, 2, 1}, b[2] = {1, 1}; /* [[1 2] [2 1]] */

    (void)state;
    assert_false(cpu_ops()->chol_solve_f32(a, 2, b, 2));
    assert_true(isnan(b[0]) && isnan(b[1]));
}

/* A = Q^T diag(w) Q to 1e-12, Q Q^T = I, w descending, signs fixed. */
static void check_eig(const double *a, size_t d)
{
    double *q = mem_array(d * d, sizeof(*q)), *w = mem_array(d, sizeof(*w));
    double *work = mem_array(2 * d, sizeof(*work)), size = 1;

    assert_true(q != NULL && w != NULL && work != NULL);
    memcpy(q, a, d * d * sizeof(*a));
    assert_true(krn_eig_sym_f64(q, w, work, d));
    for (size_t i = 0; i < d; i++)
        size = fmax(size, fabs(w[i]));
    for (size_t i = 0; i < d; i++) {
        size_t big = 0;

        assert_true(i == 0 || w[i] <= w[i - 1]);
        for (size_t j = 0; j < d; j++) {
            double r = 0, dot = 0;

            for (size_t k = 0; k < d; k++) {
                r += a[j * d + k] * q[i * d + k];
                dot += q[i * d + k] * q[j * d + k];
            }
            assert_true(fabs(r - w[i] * q[i * d + j]) <
                        1e-14 * size * (double)(d + 10));
            assert_true(fabs(dot - (i == j)) < 1e-14 * (double)(d + 10));
            big = fabs(q[i * d + j]) > fabs(q[i * d + big]) ? j : big;
        }
        assert_true(q[i * d + big] > 0);
    }
    free(q);
    free(w);
    free(work);
}

static void eig_diagonalises_and_is_orthogonal(void **state)
{
    static const size_t size[] = {1, 2, 3, 10, 33, 64, 120};

    (void)state;
    for (size_t s = 0; s < sizeof(size) / sizeof(size[0]) * 3; s++) {
        const size_t d = size[s / 3];
        double *a = mem_array(d * d, sizeof(*a));

        assert_non_null(a);
        for (size_t i = 0; i < d; i++) {
            for (size_t j = 0; j <= i; j++) { /* random; diagonal; rank one */
                const double r = rng_f64(s, RNG_SYNTH, i * d + j) - .5;

                a[i * d + j] = a[j * d + i] = s % 3 == 0 ? r
                                              : s % 3 == 1
                                                  ? (i == j ? floor(4 * r) : 0)
                                                  : (double)((i + 1) * (j + 1));
            }
        }
        check_eig(a, d);
        free(a);
    }
}

static void eig_of_nan_fails(void **state)
{
    double a[9] = {1, NAN, 0, NAN, 1, 0, 0, 0, 1}, w[3], work[6];

    (void)state;
    assert_false(krn_eig_sym_f64(a, w, work, 3));
    assert_true(krn_eig_sym_f64(a, w, work, 0));
}

/* Stable: among equal keys the values, which were ascending, still are. */
static void sort_is_ascending_and_stable(void **state)
{
    static const size_t size[] = {0, 1, 2, 255, 256, 5000};
    static const uint64_t mask[] = {3, 0xff00, 0xffffffff, UINT64_MAX};
    static uint64_t k64[5000], t64[5000];
    static uint32_t k32[5000], t32[5000], v[5000], v_tmp[5000];

    (void)state;
    for (size_t s = 0; s < 6 * 4; s++) {
        const size_t n = size[s / 4];

        for (uint32_t i = 0; i < n; i++) {
            k64[i] = rng_u64(s, RNG_SYNTH, i) & mask[s % 4];
            k32[i] = (uint32_t)k64[i];
            v[i] = i;
        }
        krn_sort_u64(k64, v, t64, v_tmp, n);
        for (size_t i = 0; i < n; i++) {
            assert_true((rng_u64(s, RNG_SYNTH, v[i]) & mask[s % 4]) == k64[i]);
            assert_true(i == 0 || k64[i - 1] < k64[i] ||
                        (k64[i - 1] == k64[i] && v[i - 1] < v[i]));
        }
        krn_sort_u32(k32, NULL, t32, NULL, n);
        for (size_t i = 1; i < n; i++)
            assert_true(k32[i - 1] <= k32[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gemm_is_within_the_error_bound_of_a_chain),
        cmocka_unit_test(topk_is_the_head_of_a_full_sort),
        cmocka_unit_test(chol_solve_leaves_a_small_residual),
        cmocka_unit_test(chol_solve_refuses_what_is_not_positive_definite),
        cmocka_unit_test(eig_diagonalises_and_is_orthogonal),
        cmocka_unit_test(eig_of_nan_fails),
        cmocka_unit_test(sort_is_ascending_and_stable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
