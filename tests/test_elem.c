/* tests/test_elem.c - accuracy of the functions, judged by double. */
#include "tests/kern.h"

#include <math.h>

/* |got - want| in units of the last place of `want` as a float. */
static double ulps(float got, double want)
{
    const float near = (float)want;
    int e;

    if (isinf(near) || isinf(got))
        return got == near ? 0 : 1e9;
    (void)frexp(want, &e);
    return fabs((double)got - want) / ldexp(1, (e < -125 ? -125 : e) - 24);
}

typedef void function(float *y, const float *x, size_t n);

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* The worst error over every 997th float from lo to hi (bits ascending). */
static double worst_ulps(function *f, double (*judge)(double), float lo,
                         float hi)
{
    uint32_t at, end;
    double worst = 0;

    memcpy(&at, &lo, sizeof(at));
    memcpy(&end, &hi, sizeof(end));
    for (; at <= end; at += 997) {
        float x, y;

        memcpy(&x, &at, sizeof(x));
        f(&y, &x, 1);
        worst = fmax(worst, ulps(y, judge(x)));
    }
    return worst;
}

static void exp_is_within_2_ulp(void **state)
{
    function *f = cpu_ops()->exp_f32;

    (void)state;
    assert_true(worst_ulps(f, exp, 0.0f, 90.0f) <= 2);
    assert_true(worst_ulps(f, exp, -0.0f, -110.0f) <= 2);
}

static void log_is_within_2_ulp(void **state)
{
    (void)state;
    assert_true(worst_ulps(cpu_ops()->log_f32, log, 1e-45f, 3.4e38f) <= 2);
}

static void tanh_is_within_3_ulp(void **state)
{
    function *f = cpu_ops()->tanh_f32;

    (void)state;
    assert_true(worst_ulps(f, tanh, 0.0f, 100.0f) <= 3);
    assert_true(worst_ulps(f, tanh, -0.0f, -100.0f) <= 3);
}

static void sigmoid_is_within_3_ulp(void **state)
{
    function *f = cpu_ops()->sigmoid_f32;

    (void)state;
    assert_true(worst_ulps(f, sigmoid, 0.0f, 200.0f) <= 3);
    assert_true(worst_ulps(f, sigmoid, -0.0f, -86.0f) <= 3);
}

static void special_numbers_have_their_values(void **state)
{
    const struct krn_ops *o = cpu_ops();
    const float x[6] = {INFINITY, -INFINITY, NAN, 0.0f, -0.0f, -1.0f};
    float y[6];

    (void)state;
    o->exp_f32(y, x, 6);
    assert_true(isinf(y[0]) && y[1] == 0 && isnan(y[2]) && y[3] == 1);
    o->log_f32(y, x, 6);
    assert_true(isinf(y[0]) && isnan(y[1]) && isnan(y[2]));
    assert_true(y[3] == -INFINITY && y[4] == -INFINITY && isnan(y[5]));
    o->tanh_f32(y, x, 6);
    assert_true(y[0] == 1 && y[1] == -1 && isnan(y[2]));
    assert_true(y[3] == 0 && !signbit(y[3]) && y[4] == 0 && signbit(y[4]));
    o->sigmoid_f32(y, x, 6);
    assert_true(y[0] == 1 && y[1] == 0 && isnan(y[2]) && y[3] == 0.5f);
}

static void softmax_sums_to_one_and_survives_large_input(void **state)
{
    const float x[3] = {1000.0f, 999.0f, -1000.0f};
    float y[3];

    (void)state;
    cpu_ops()->softmax_f32(y, x, 3);
    assert_true(fabs(y[0] - 1 / (1 + exp(-1))) < 1e-6);
    assert_true(fabs(y[0] + y[1] - 1) < 1e-6 && y[2] == 0);
    assert_true(fabs(cpu_ops()->logsumexp_f32(x, 3) - (1000 + log1p(exp(-1)))) <
                1e-4);
}

static void layernorm_has_mean_0_and_variance_1(void **state)
{
    enum { N = 77 };
    float *x = kern_new(N, 1), y[N];
    double mean = 0, square = 0;

    (void)state;
    cpu_ops()->layernorm_f32(y, x, NULL, NULL, N, 0);
    for (size_t i = 0; i < N; i++) {
        mean += y[i] / N;
        square += (double)y[i] * y[i] / N;
    }
    assert_true(fabs(mean) < 1e-6 && fabs(square - 1) < 1e-5);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_within_2_ulp),
        cmocka_unit_test(log_is_within_2_ulp),
        cmocka_unit_test(tanh_is_within_3_ulp),
        cmocka_unit_test(sigmoid_is_within_3_ulp),
        cmocka_unit_test(special_numbers_have_their_values),
        cmocka_unit_test(softmax_sums_to_one_and_survives_large_input),
        cmocka_unit_test(layernorm_has_mean_0_and_variance_1),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
