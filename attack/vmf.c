/* attack/vmf.c - draws from the von Mises-Fisher distribution. */
#include "attack/vmf.h"

#include <math.h>

#include "base/rng.h"

#define TRIES 1000 /* one in two is accepted */

/* Gamma(n / 2, 1): a sum of n / 2 exponential deviates, and for odd n half the
 * square of a normal one.  Draws first, first + 1, ... are used. */
static double gamma_half(size_t n, uint64_t stream, uint64_t first)
{
    double sum = 0, product = 1;

    for (size_t i = 0; i < n / 2; i++) {
        product *= 1 - rng_f64(stream, RNG_NOISE, first + i);
        if (i % 16 == 15) { /* before it gets too small */
            sum -= log(product);
            product = 1;
        }
    }
    sum -= log(product);
    if (n % 2 == 1) {
        const double g = rng_normal(stream, RNG_NOISE, first + n / 2);

        sum += g * g / 2;
    }
    return sum;
}

/* Beta((m - 1) / 2, (m - 1) / 2). */
static double beta(size_t m, uint64_t stream, uint64_t try)
{
    const uint64_t first = TRIES + try * 2 * (uint64_t)m;
    const double x = gamma_half(m - 1, stream, first);

    return x / (x + gamma_half(m - 1, stream, first + m));
}

double atk_vmf_along(double kappa, size_t m, uint64_t seed, uint64_t name,
                     double *slope)
{
    const uint64_t stream = rng_derive(seed, RNG_NOISE, name);
    const double k = (double)(m - 1);
    const double root = sqrt(4 * kappa * kappa + k * k);
    const double b = k / (root + 2 * kappa); /* (root - 2 kappa) / k */
    const double x0 = (1 - b) / (1 + b);
    const double c = kappa * x0 + k * log(1 - x0 * x0);
    double e = 0.5, w = 0;

    for (uint64_t try = 0; try < TRIES; try++) {
        const double u = rng_f64(stream, RNG_NOISE, try);

        e = beta(m, stream, try);
        w = (1 - (1 + b) * e) / (1 - (1 - b) * e);
        if (kappa * w + k * log(1 - x0 * w) - c >= log(u))
            break;
    }
    /* dw/db, and db/dkappa = -2 b / root */
    const double below = 1 - (1 - b) * e;
    const double dw_db = (-e * below - (1 - (1 + b) * e) * e) / (below * below);

    *slope = dw_db * (-2 * b / root);
    return w;
}
