/*
 * privacy_sim/solver.h - how a person finds a choice.
 *
 * A solver is a file privacy_sim/solver_NAME.c that defines sim_solver_NAME,
 * and that file under SIM_SOLVERS in Makefile.am.  Given the recommender, a
 * person's problem is a bandit of one step: no return has to be discounted.
 */
#ifndef SIM_SOLVER_H
#define SIM_SOLVER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "privacy_sim/eval.h"
#include "privacy_sim/mechanism.h"

/* Most segments whose subsets are all tried: 2^16 masks. */
#define SIM_EXACT_MOST 16

struct sim_task {
    const struct sim_mechanism *m;
    uint64_t stream;    /* draws of this person, in this round */
    size_t samples;     /* of the learning solvers */
    double rate;        /* of learning; 0: the usual one */
    double temperature; /* above 0: a choice by chance, ~ exp(utility / t) */
};

struct sim_solver {
    const char *name; /* as typed after --solver */
    const char *help;
    /* Leave the person that e stands on with the choice; returns the utility
     * that is anticipated from it.  Not for SIM_FIXED. */
    double (*best)(struct sim_eval *e, const struct sim_task *t);
    /* Whether it can for n segments, or why not. */
    const char *(*lacks)(const struct sim_mechanism *m, size_t n);
};

/* In Makefile.am order, ending with NULL. */
extern const struct sim_solver *const sim_solvers[];
ERR_CHECK
enum err sim_solver_find(const char *name, const struct sim_solver **out);

/* What exact does, for any mechanism that it can: also the yardstick of the
 * others' residuals. */
extern const struct sim_solver sim_solver_exact;

#endif
