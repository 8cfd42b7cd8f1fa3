/* tests/test_la.c - drivers: right, and the same for any number of threads. */
#include "tests/kern.h"

#include <math.h>

#include "base/la.h"
#include "base/par.h"

static const size_t threads[] = {1, 2, 3, 7};
#define NESTED 40 /* products at a time */
#define N_THREADS (sizeof(threads) / sizeof(threads[0]))

static void gemm_is_the_naive_chain_for_any_threads(void **state)
{
    static const size_t shape[][3] = {
        {1, 1, 1},     {0, 5, 5},       {5, 0, 5},    {5, 7, 0},
        {67, 131, 41}, {130, 260, 300}, {515, 33, 9}, {3, 1100, 17}};

    (void)state;
    for (size_t i = 0; i < sizeof(shape) / sizeof(shape[0]); i++) {
        const size_t m = shape[i][0], n = shape[i][1], k = shape[i][2];
        float *a = kern_new(m * k, i), *b = kern_new(k * n, i + 100);
        float *want = kern_new(m * n, i), *got = kern_new(m * n, i);
        struct krn_gemm g = {.m = m,
                             .n = n,
                             .k = k,
                             .a = a,
                             .lda = k,
                             .b = b,
                             .ldb = n,
                             .c = want,
                             .ldc = n};

        krn_ops_reference.gemm_f32(&g);
        for (size_t t = 0; t < N_THREADS; t++) {
            par_set_threads(threads[t]);
            kern_fill(got, m * n, 77);
            g.c = got;
            assert_int_equal(la_gemm(&g), ERR_OK);
            kern_assert_same(got, want, m * n, "gemm", m, n, k);
        }
        free(a);
        free(b);
        free(want);
        free(got);
    }
    par_set_threads(0);
}

struct nested {
    struct krn_gemm g;
    float *c; /* [tasks][m n] */
    enum err result[NESTED];
};

static void nested_task(void *arg, size_t task, size_t thread)
{
    struct nested *w = arg;
    struct krn_gemm g = w->g;

    (void)thread;
    g.c = w->c + task * g.m * g.n;
    w->result[task] = la_gemm(&g);
}

/* Products inside tasks, many at a time: each has working memory of its own. */
static void products_may_meet(void **state)
{
    const size_t m = 130, n = 260, k = 300;
    float *a = kern_new(m * k, 1), *b = kern_new(k * n, 2);
    float *want = kern_new(m * n, 3), *got = kern_new(NESTED * m * n, 4);
    struct nested w = {.g = {.m = m,
                             .n = n,
                             .k = k,
                             .sub = true, /* B is copied */
                             .a = a,
                             .lda = k,
                             .b = b,
                             .ldb = n,
                             .c = want,
                             .ldc = n},
                       .c = got};

    (void)state;
    for (size_t i = 0; i < NESTED; i++)
        memcpy(got + i * m * n, want, m * n * sizeof(*want));
    krn_ops_reference.gemm_f32(&w.g);
    par_set_threads(7);
    par_for(NESTED, nested_task, &w);
    par_set_threads(0);
    for (size_t i = 0; i < NESTED; i++) {
        assert_int_equal(w.result[i], ERR_OK);
        kern_assert_same(got + i * m * n, want, m * n, "nested", m, n, i);
    }
    free(a);
    free(b);
    free(want);
    free(got);
}

/* rows of 0, 1, 2, ... 40, 0, ... entries in a matrix of n by n */
static size_t *sparse_rows(size_t n, uint32_t **idx, float **val)
{
    size_t *ptr = mem_array(n + 1, sizeof(*ptr)), nnz = 0;

    assert_non_null(ptr);
    for (size_t r = 0; r < n; r++)
        ptr[r + 1] = nnz += r % 41;
    *val = kern_new(nnz, 5);
    *idx = mem_array(nnz, sizeof(**idx));
    assert_non_null(*idx);
    for (size_t e = 0; e < nnz; e++)
        (*idx)[e] = (uint32_t)rng_below(6, RNG_SYNTH, e, n);
    return ptr;
}

static void spmm_is_the_same_for_any_threads(void **state)
{
    enum { N = 3000, D = 19 };
    uint32_t *idx;
    float *val, *x = kern_new(N * D, 1), *want = kern_new(N * D, 2);
    float *got = kern_new(N * D, 2);
    size_t *ptr = sparse_rows(N, &idx, &val);
    struct krn_spmm s = {.first = 3,
                         .last = N,
                         .d = D,
                         .ptr = ptr,
                         .idx = idx,
                         .val = val,
                         .x = x,
                         .ldx = D,
                         .y = want,
                         .ldy = D};

    (void)state;
    krn_ops_reference.spmm_f32(&s);
    s.y = got;
    for (size_t t = 0; t < N_THREADS; t++) {
        par_set_threads(threads[t]);
        kern_fill(got, N * D, 2);
        la_spmm(&s);
        kern_assert_same(got, want, (size_t)N * D, "spmm", N, D, t);
    }
    par_set_threads(0);
    free(ptr);
    free(idx);
    free(val);
    free(x);
    free(want);
    free(got);
}

static void sddmm_is_the_same_for_any_threads(void **state)
{
    enum { N = 3000, D = 19 };
    uint32_t *idx;
    float *val, *x = kern_new(N * D, 1), *y = kern_new(N * D, 2);
    size_t *ptr = sparse_rows(N, &idx, &val);
    float *want = kern_new(ptr[N], 3), *got = kern_new(ptr[N], 3);
    struct krn_sddmm s = {.first = 3,
                          .last = N,
                          .d = D,
                          .ptr = ptr,
                          .idx = idx,
                          .a = x,
                          .lda = D,
                          .b = y,
                          .ldb = D,
                          .out = want};

    (void)state;
    krn_ops_reference.sddmm_f32(&s);
    s.out = got;
    for (size_t t = 0; t < N_THREADS; t++) {
        par_set_threads(threads[t]);
        kern_fill(got, ptr[N], 3);
        la_sddmm(&s);
        kern_assert_same(got, want, ptr[N], "sddmm", N, D, t);
    }
    par_set_threads(0);
    free(idx);
    free(val);
    free(x);
    free(y);
    free(want);
    free(got);
    free(ptr);
}

static void gram_is_right_and_the_same_for_any_threads(void **state)
{
    enum { N = 9001, D = 13 };
    float *x = kern_new(N * D, 8), first[D * D], g[D * D];

    (void)state;
    for (size_t t = 0; t < N_THREADS; t++) {
        par_set_threads(threads[t]);
        assert_int_equal(la_gram(g, x, N, D), ERR_OK);
        if (t == 0)
            memcpy(first, g, sizeof(g));
        assert_memory_equal(first, g, sizeof(g));
    }
    for (size_t i = 0; i < D * D; i++) {
        double want = 0;

        for (size_t r = 0; r < N; r++)
            want += (double)x[r * D + i / D] * x[r * D + i % D];
        assert_true(fabs(want - g[i]) < 2e-2);
    }
    par_set_threads(0);
    free(x);
}

/* A = X^T X + I for random X [n][n] / sqrt(n): well conditioned. */
static float *spd_new(size_t n, uint64_t seed)
{
    float *x = kern_new(n * n, seed), *a = mem_array(n * n, sizeof(*a));

    assert_non_null(a);
    krn_ops_reference.scale_f32(x, 1 / sqrtf((float)n), n * n);
    assert_int_equal(la_gram(a, x, n, n), ERR_OK);
    for (size_t i = 0; i < n; i++)
        a[i * n + i] += 1;
    free(x);
    return a;
}

/* The largest element of |A B - I|. */
static double inverse_residual(const float *a, const float *b, size_t n)
{
    float *c = mem_array(n * n, sizeof(*c));
    const struct krn_gemm g = {.m = n,
                               .n = n,
                               .k = n,
                               .a = a,
                               .lda = n,
                               .b = b,
                               .ldb = n,
                               .c = c,
                               .ldc = n};
    double worst = 0;

    assert_non_null(c);
    assert_int_equal(la_gemm(&g), ERR_OK);
    for (size_t i = 0; i < n * n; i++)
        worst = fmax(worst, fabs(c[i] - (i / n == i % n ? 1.0 : 0.0)));
    free(c);
    return worst;
}

static void spd_inverse_inverts(void **state)
{
    static const size_t size[] = {0,   1,   2,   15,  32,  33,
                                  100, 511, 512, 513, 700, 1100};

    (void)state;
    for (size_t i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
        const size_t n = size[i];
        float *a = spd_new(n, i), *b = kern_copy(a, n * n);

        for (size_t r = 0; r < n; r++) /* only the lower triangle is read */
            for (size_t c = r + 1; c < n; c++)
                b[r * n + c] = NAN;
        assert_int_equal(la_spd_inverse(b, n), ERR_OK);
        for (size_t r = 0; r < n * n; r++)
            assert_true(b[r] == b[r % n * n + r / n]);
        assert_true(inverse_residual(a, b, n) < 2e-5);
        free(a);
        free(b);
    }
}

static void spd_inverse_is_the_same_for_any_threads(void **state)
{
    enum { N = 1200 };
    float *a = spd_new(N, 3), *first = NULL;

    (void)state;
    for (size_t t = 0; t < N_THREADS; t++) {
        float *b = kern_copy(a, N * N);

        par_set_threads(threads[t]);
        assert_int_equal(la_spd_inverse(b, N), ERR_OK);
        if (first == NULL)
            first = kern_copy(b, N * N);
        kern_assert_same(b, first, (size_t)N * N, "inverse", N, threads[t], 0);
        free(b);
    }
    par_set_threads(0);
    free(first);
    free(a);
}

static void spd_inverse_names_the_pivot_that_fails(void **state)
{
    enum { N = 600 };
    float *a = spd_new(N, 4), *b = kern_copy(a, N * N);

    (void)state;
    b[555 * N + 555] = -1;
    assert_int_equal(la_spd_inverse(b, N), ERR_NUM);
    assert_non_null(strstr(err_note(), "pivot 555"));
    free(b);
    b = kern_copy(a, N * N);
    b[20 * N + 3] = NAN;
    assert_int_equal(la_spd_inverse(b, N), ERR_NUM);
    assert_non_null(strstr(err_note(), "pivot 20"));
    free(b);
    free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gemm_is_the_naive_chain_for_any_threads),
        cmocka_unit_test(products_may_meet),
        cmocka_unit_test(spmm_is_the_same_for_any_threads),
        cmocka_unit_test(sddmm_is_the_same_for_any_threads),
        cmocka_unit_test(gram_is_right_and_the_same_for_any_threads),
        cmocka_unit_test(spd_inverse_inverts),
        cmocka_unit_test(spd_inverse_is_the_same_for_any_threads),
        cmocka_unit_test(spd_inverse_names_the_pivot_that_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
