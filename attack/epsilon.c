/* attack/epsilon.c - lower bounds of epsilon. */
#include "attack/epsilon.h"

#include <math.h>

#include "attack/stat.h"

double atk_epsilon_rates(const struct atk_counts *c, double delta, double alpha)
{
    const double miss = atk_rate(c->p - c->tp, c->p, alpha / 2).hi;
    const double wrong = atk_rate(c->fp, c->q, alpha / 2).hi;
    const double a = (1 - miss - delta) / wrong;
    const double b = (1 - wrong - delta) / miss;

    return fmax(0, log(fmax(1, fmax(a, b))));
}

/* delta at epsilon of a mu-Gaussian trade-off; decreasing in epsilon. */
static double gauss_delta(double eps, double mu)
{
    return atk_normal(-eps / mu + mu / 2) -
           exp(eps) * atk_normal(-eps / mu - mu / 2);
}

double atk_epsilon_gauss(const struct atk_counts *c, double delta, double alpha)
{
    const double miss = atk_rate(c->p - c->tp, c->p, alpha / 2).hi;
    const double wrong = atk_rate(c->fp, c->q, alpha / 2).hi;
    double lo = 0, hi = 100;

    if (miss >= 1 || wrong >= 1)
        return 0;
    /* signed: an attack worse than guessing proves nothing */
    const double mu = atk_normal_inverse(1 - wrong) - atk_normal_inverse(miss);

    if (mu <= 0 || gauss_delta(0, mu) <= delta)
        return 0;
    for (int i = 0; i < 80; i++) {
        const double mid = (lo + hi) / 2;

        if (gauss_delta(mid, mu) > delta)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

/* ln P[Bin(r, q) == k] */
static double log_mass(double r, double k, double q)
{
    int sign;

    return lgamma_r(r + 1, &sign) - lgamma_r(k + 1, &sign) -
           lgamma_r(r - k + 1, &sign) + k * log(q) + (r - k) * log1p(-q);
}

/* The chance, under epsilon, of doing as well or better. */
static double chance(uint64_t m, uint64_t r, uint64_t v, double delta,
                     double eps)
{
    const double q = 1 / (1 + exp(-eps));
    double beta = 0, worst = 0, between = 0;

    for (uint64_t k = r + 1; k-- > v;)
        beta += exp(log_mass((double)r, (double)k, q));
    for (uint64_t i = 1; i <= v && delta > 0; i++) {
        between += exp(log_mass((double)r, (double)(v - i), q));
        worst = fmax(worst, between / (double)i);
    }
    return fmin(1, beta + 2 * (double)m * delta * worst);
}

double atk_epsilon_one_run(uint64_t m, uint64_t r, uint64_t v, double delta,
                           double alpha)
{
    double lo = 0, hi = 64;

    if (chance(m, r, v, delta, 0) >= alpha)
        return 0;
    for (int i = 0; i < 50; i++) {
        const double mid = (lo + hi) / 2;

        if (chance(m, r, v, delta, mid) < alpha)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}
