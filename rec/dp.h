/*
 * rec/dp.h - user-level differential privacy: the account, and the noise.
 *
 * A round samples each person with probability q, adds up what they contribute,
 * each clipped to length C, and adds normal noise of deviation sigma C to every
 * number.  Removing or adding one person then changes what is seen by a factor
 * of e^epsilon at most, but for a chance of delta.
 *
 * Source: Abadi et al., Deep learning with differential privacy, CCS 2016;
 * Mironov, Talwar & Zhang, Renyi differential privacy of the sampled Gaussian
 * mechanism, 2019 (integer orders); to (epsilon, delta): Canonne, Kamath &
 * Steinke, NeurIPS 2020, proposition 12.
 * Limits: the noise is made in floating point (Mironov, CCS 2012, shows what
 * that can give away to somebody who sees all bits).
 */
#ifndef REC_DP_H
#define REC_DP_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define REC_DP_KEY 32 /* bytes of the secret that noise is drawn from */

/* One kind of round: how often, with which noise. */
struct rec_dp_rounds {
    double sigma, rate; /* rate: of sampling, in (0, 1] */
    uint64_t n;
};

/* The least epsilon at delta in (0, 1) that the rounds of all kinds together
 * keep to.  Cost: n_kinds times 250 orders. */
double rec_dp_epsilon(const struct rec_dp_rounds *kind, size_t n_kinds,
                      double delta);

/*
 * The least noise for which `rounds` rounds of sigma, and one of `first` times
 * sigma with everybody, keep to epsilon.  ERR_ARG: no noise up to 10^6 does.
 */
ERR_CHECK
enum err rec_dp_sigma(double epsilon, double delta, double rate,
                      uint64_t rounds, double first, double *sigma);

/* Add deviation times standard normal numbers to x[n]: the ChaCha20 stream of
 * the key (libsodium) at block `what`. */
ERR_CHECK
enum err rec_dp_noise(float *x, size_t n, double deviation,
                      const unsigned char key[REC_DP_KEY], uint64_t what);

#endif
