/* rec/dp.c - the account of user-level privacy, and its noise. */
#include "rec/dp.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/rng.h"

#define ORDERS 250 /* 2..ORDERS + 1 */

/* ln of the binomial coefficient. */
static double log_choose(size_t a, size_t k)
{
    return lgamma((double)a + 1) - lgamma((double)k + 1) -
           lgamma((double)(a - k) + 1);
}

/* Renyi divergence of order a of one round. */
static double renyi(const struct rec_dp_rounds *r, size_t a)
{
    const double s2 = r->sigma * r->sigma, q = r->rate;
    double most = -INFINITY, sum = 0, term[ORDERS + 2];

    if (q >= 1)
        return (double)a / (2 * s2);
    for (size_t k = 0; k <= a; k++) {
        term[k] = log_choose(a, k) + (double)(a - k) * log1p(-q) +
                  (double)k * log(q) + (double)k * ((double)k - 1) / (2 * s2);
        most = term[k] > most ? term[k] : most;
    }
    for (size_t k = 0; k <= a; k++)
        sum += exp(term[k] - most);
    return (most + log(sum)) / (double)(a - 1);
}

double rec_dp_epsilon(const struct rec_dp_rounds *kind, size_t n_kinds,
                      double delta)
{
    double best = INFINITY;

    for (size_t a = 2; a <= ORDERS + 1; a++) {
        double sum = 0;

        for (size_t i = 0; i < n_kinds; i++)
            sum += (double)kind[i].n * renyi(&kind[i], a);
        const double eps = sum + log1p(-1 / (double)a) -
                           (log(delta) + log((double)a)) / (double)(a - 1);

        best = eps < best ? eps : best;
    }
    return best > 0 ? best : 0;
}

enum err rec_dp_sigma(double epsilon, double delta, double rate,
                      uint64_t rounds, double first, double *sigma)
{
    double lo = 0.01, hi = 1e6;

    for (int i = 0; i < 80; i++) {
        const double mid = sqrt(lo * hi);
        const struct rec_dp_rounds kind[] = {{mid, rate, rounds},
                                             {first * mid, 1, 1}};

        if (rec_dp_epsilon(kind, 2, delta) <= epsilon)
            hi = mid;
        else
            lo = mid;
    }
    /* rounded up, so that no bit of a model hangs on the C library's lgamma */
    *sigma = ceil(hi * 1000) / 1000;
    return hi < 9e5 ? ERR_OK
                    : err_set(ERR_ARG,
                              "no noise keeps to --dp-epsilon %g: raise it, or "
                              "lower --rounds",
                              epsilon);
}

enum err rec_dp_noise(float *x, size_t n, double deviation,
                      const unsigned char key[REC_DP_KEY], uint64_t what)
{
    unsigned char nonce[crypto_stream_chacha20_NONCEBYTES];
    uint64_t block[512]; /* 64 blocks of the stream */

    _Static_assert(sizeof(nonce) == sizeof(what), "the nonce is a number");
    _Static_assert(REC_DP_KEY == crypto_stream_chacha20_KEYBYTES, "key");
    if (sodium_init() < 0)
        return err_set(ERR_IO, "libsodium does not start");
    memcpy(nonce, &what, sizeof(nonce));
    for (size_t at = 0; at < n; at += 512) {
        memset(block, 0, sizeof(block));
        (void)crypto_stream_chacha20_xor_ic(
            (unsigned char *)block, (unsigned char *)block, sizeof(block),
            nonce, at / 512 * 64, key);
        for (size_t i = 0; i < 512 && at + i < n; i++)
            x[at + i] += (float)(deviation * rng_normal_of(block[i]));
    }
    sodium_memzero(block, sizeof(block));
    return ERR_OK;
}
