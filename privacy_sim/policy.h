/*
 * privacy_sim/policy.h - one policy for everybody: a small network that sees a
 * person and says what to disclose.
 *
 * It is learnt by REINFORCE on batches of people, four tries each, the mean of
 * the other three being the baseline (Kool, van Hoof & Welling, Buy 4 REINFORCE
 * samples, get a baseline for free, ICLR workshop 2019).  What it sees of a
 * person: sensitivity, length of the profile, weight and popularity of each
 * segment, and the utility of each segment alone, of all but it, of all and of
 * nothing.  So it can decide for people whom it never learnt from.
 *
 * Half of the tries that are left after looking go into learning; with the
 * other half each person starts from the best that is known and tries single
 * changes, first where the network is least sure.
 */
#ifndef SIM_POLICY_H
#define SIM_POLICY_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "privacy_sim/eval.h"
#include "privacy_sim/mechanism.h"

#define SIM_POLICY_MOST 64 /* segments */

struct sim_policy;

/* Everybody has n segments.  ERR_ARG: more than SIM_POLICY_MOST; ERR_NOMEM. */
ERR_CHECK
enum err sim_policy_new(struct sim_policy **out, const struct sim_mechanism *m,
                        const struct sim_world *w, size_t n, uint64_t seed);
void sim_policy_free(struct sim_policy *p);

/* Whom a round of learning sees. */
struct sim_crowd {
    struct sim_eval *eval; /* [threads], recommenders set per person by: */
    const struct sim_rows *rows; /* [folds] */
    const uint32_t *fold;        /* [n_users] of rows */
    const double *lambda;        /* [n_users] */
    const uint8_t *learns;       /* [n_users] who takes part in learning */
    size_t samples;              /* evaluations a person, features included */
    uint64_t seed;               /* of the round's draws */
};

/* Look at everybody, learn from those who take part, and decide for all. */
ERR_CHECK
enum err sim_policy_learn(struct sim_policy *p, const struct sim_crowd *c);

/* What it says for a person: the policy's mode, or what was better among the
 * tries; into on[n]. */
void sim_policy_choice(const struct sim_policy *p, size_t user, uint8_t *on);

#endif
