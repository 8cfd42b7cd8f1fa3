/* tests/test_power.c - kernels/power.h beside the C library. */
#include <math.h>

#include "base/rng.h"
#include "kernels/power.h"
#include "tests/rec_cases.h"

static void powers_are_those_of_the_c_library(void **state)
{
    (void)state;
    for (size_t i = 0; i < 100000; i++) {
        const double x = exp2(80 * rng_f64(1, RNG_BOOT, 2 * i) - 40);
        const double p = 3 * rng_f64(1, RNG_BOOT, 2 * i + 1) - 1.5;
        const double want = pow(x, p), got = krn_power_f64(x, p);

        if (!(fabs(got - want) <= 1e-14 * want))
            fail_msg("%g ^ %g is %.17g, not %.17g", x, p, want, got);
    }
}

static void whole_powers_of_two_are_exact(void **state)
{
    (void)state;
    for (int n = -60; n <= 60; n++) {
        assert_true(krn_power_f64(2, n) == ldexp(1, n));
        assert_true(krn_power_f64(ldexp(1, n), 0) == 1);
        assert_true(krn_power_f64(ldexp(1, n), 0.5) == krn_exp2_f64(n / 2.0));
    }
    assert_true(krn_power_f64(1, -0.37) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(powers_are_those_of_the_c_library),
        cmocka_unit_test(whole_powers_of_two_are_exact),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
