/*
 * nn/loss.h - losses, one number a row; nn_reduce_mean() makes them one.
 *
 * Targets, labels, rewards and masks are inputs; no gradient goes there.
 */
#ifndef NN_LOSS_H
#define NN_LOSS_H

#include "nn/tape.h"

/* Binary cross entropy of logits x and targets y in [0, 1], element by
 * element. */
struct nn_tensor *nn_loss_bce(struct nn_tape *t, struct nn_tensor *x,
                              struct nn_tensor *y);
/* (x - y)^2, element by element. */
struct nn_tensor *nn_loss_square(struct nn_tape *t, struct nn_tensor *x,
                                 struct nn_tensor *y);
/* -ln softmax(x)[label]: x [..][c], labels [..] -> [..].  Label NN_PAD: 0. */
struct nn_tensor *nn_loss_ce(struct nn_tape *t, struct nn_tensor *x,
                             struct nn_tensor *label);
/*
 * Sampled softmax: positive [n], negative [n][s] -> [n].  logq_*: logarithms
 * of the probability with which each was sampled, subtracted; both or none.
 * Source: Jean et al., ACL 2015; Bengio & Senecal, 2003.
 */
struct nn_tensor *nn_loss_sampled(struct nn_tape *t, struct nn_tensor *positive,
                                  struct nn_tensor *negative,
                                  struct nn_tensor *logq_positive,
                                  struct nn_tensor *logq_negative);
/* -ln sigmoid(positive - negative), element by element.
 * Source: Rendle et al., UAI 2009. */
struct nn_tensor *nn_loss_bpr(struct nn_tape *t, struct nn_tensor *positive,
                              struct nn_tensor *negative);
/* max(0, margin - positive + negative) */
struct nn_tensor *nn_loss_hinge(struct nn_tape *t, struct nn_tensor *positive,
                                struct nn_tensor *negative, double margin);
/*
 * List-wise cross entropy: scores, labels >= 0 and mask (or NULL) [n][l] ->
 * [n]: sum_j (y_j / sum y) -ln softmax(scores)_j; 0 without positive labels.
 * Source: Cao et al., ICML 2007 (ListNet, top-one).
 */
struct nn_tensor *nn_loss_list(struct nn_tape *t, struct nn_tensor *scores,
                               struct nn_tensor *labels,
                               struct nn_tensor *mask);
/* KL(N(mean, e^logvar) || N(0, 1)): [n][d] -> [n].
 * Source: Kingma & Welling, ICLR 2014, appendix B. */
struct nn_tensor *nn_loss_kl_gauss(struct nn_tape *t, struct nn_tensor *mean,
                                   struct nn_tensor *logvar);
/* KL(vMF(mu, kappa) || uniform) on the unit sphere in R^m, m >= 2, whatever
 * mu: kappa > 0, element by element.
 * The value (not its gradient) uses the C library's logarithms.
 * Source: Davidson et al., UAI 2018, equation 17. */
struct nn_tensor *nn_loss_kl_vmf(struct nn_tape *t, struct nn_tensor *kappa,
                                 size_t m);
/* rec + beta kl; rows of equal number. */
struct nn_tensor *nn_loss_elbo(struct nn_tape *t, struct nn_tensor *rec,
                               struct nn_tensor *kl, double beta);
/* Entropy of softmax(x): [..][c] -> [..]. */
struct nn_tensor *nn_loss_entropy(struct nn_tape *t, struct nn_tensor *x);
/* -logp (reward - baseline); no gradient into reward and baseline (NULL: 0).
 * Source: Williams, Machine Learning 8, 1992. */
struct nn_tensor *nn_loss_policy(struct nn_tape *t, struct nn_tensor *logp,
                                 struct nn_tensor *reward,
                                 struct nn_tensor *baseline);
/* -min(r A, clip(r, 1 - eps, 1 + eps) A), r = exp(logp - old).
 * Source: Schulman et al., 2017, equation 7. */
struct nn_tensor *nn_loss_ppo(struct nn_tape *t, struct nn_tensor *logp,
                              struct nn_tensor *old,
                              struct nn_tensor *advantage, double eps);

/* I_{v+1}(x) / I_v(x) of modified Bessel functions, x >= 0, v >= 0. */
double nn_loss_bessel_ratio(double v, double x);
/* ln I_v(x), x > 0, v >= 0. */
double nn_loss_bessel_log(double v, double x);

#endif
