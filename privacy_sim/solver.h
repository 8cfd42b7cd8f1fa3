/*
 * privacy_sim/solver.h - how a person finds a choice.
 *
 * A solver is a file privacy_sim/solver_NAME.c that defines sim_solver_NAME,
 * and that file under SIM_SOLVERS in Makefile.am.  Given the recommender, a
 * person's problem is a bandit of one step: no return has to be discounted.
 */
#ifndef SIM_SOLVER_H
#define SIM_SOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "privacy_sim/eval.h"
#include "privacy_sim/mechanism.h"

struct sim_policy;
struct sim_task {
    const struct sim_mechanism *m;
    uint64_t stream;    /* draws of this person, in this round */
    size_t samples;     /* of the learning solvers */
    double rate;        /* of learning; 0: the usual one */
    double temperature; /* above 0: a choice by chance, ~ exp(utility / t) */
    const struct sim_policy *policy; /* of a shared solver */
};

struct sim_solver {
    const char *name; /* as typed after --solver */
    const char *help;
    /* Leave the person that e stands on with the choice; returns the utility
     * that is anticipated from it.  Not for SIM_FIXED. */
    double (*best)(struct sim_eval *e, const struct sim_task *t);
    /* Whether it can for n segments, or why not. */
    const char *(*lacks)(const struct sim_mechanism *m, size_t n);
    bool shared; /* asks a policy that was learnt from many (policy.h) */
};

/* In Makefile.am order, ending with NULL. */
extern const struct sim_solver *const sim_solvers[];
ERR_CHECK
enum err sim_solver_find(const char *name, const struct sim_solver **out);

/* Whether the rule allows the choice of e with segment k toggled. */
bool sim_solver_may_toggle(struct sim_eval *e, const struct sim_task *t,
                           size_t k);

/* d/dtheta of log p(on), times `advantage`, for independent coins of the logits
 * theta[n]: what REINFORCE climbs (privacy_sim/solver_reinforce.c). */
void sim_coin_gradient(const uint8_t *on, const double *theta, size_t n,
                       double advantage, double *gradient);

/* --- exact (privacy_sim/solver_exact.c), also the others' yardstick ---------
 */
extern const struct sim_solver sim_solver_exact;

/* Legal choices are numbered: binary 0, 1; prefix by recent segments shown;
 * the others by the mask of segments (with atleast, some are not legal). */
size_t sim_exact_choices(const struct sim_mechanism *m, size_t n);
size_t sim_exact_number(const struct sim_mechanism *m, const uint8_t *on,
                        size_t n);
void sim_exact_choose(struct sim_eval *e, const struct sim_mechanism *m,
                      size_t i);
void sim_exact_show(const struct sim_mechanism *m, size_t n, size_t i,
                    uint8_t *on);

/* quality[choices] on the decision items, for the person that e stands on. */
void sim_exact_table(struct sim_eval *e, const struct sim_mechanism *m,
                     float *quality);

/* What a person expects of a choice: their own quality, or (usual not NULL) a
 * mean of that, at weight `own`, and of what is usual for people like them. */
struct sim_belief {
    const float *quality, *usual; /* [choices] */
    double own;
};

/* Utility of choice i; the number of the best one, and its utility. */
double sim_exact_utility(const struct sim_eval *e,
                         const struct sim_mechanism *m,
                         const struct sim_belief *b, size_t i);
size_t sim_exact_best(const struct sim_eval *e, const struct sim_task *t,
                      const struct sim_belief *b, double *utility);

#endif
