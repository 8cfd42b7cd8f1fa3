/*
 * privacy_sim/game.h - people and platform answer each other.
 *
 * Each round the platform trains its recommender on what is disclosed, and some
 * of the people reconsider what they disclose, the recommender being fixed.
 * It ends when hardly anybody could gain by another choice: when the mean
 * residual (gain of the best choice over the present one) is a small share of
 * the mean utility.
 */
#ifndef SIM_GAME_H
#define SIM_GAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "privacy_sim/eval.h"
#include "privacy_sim/mechanism.h"
#include "privacy_sim/solver.h"
#include "privacy_sim/world.h"
#include "rec/model.h"

#define SIM_FOLDS 32 /* at most */
#define SIM_LIST 10  /* items of the lists whose coverage is counted */

struct sim_person;
struct sim_game_opts {
    struct sim_mechanism m;
    struct sim_tastes tastes;
    struct sim_wants wants;
    const struct sim_solver *solver;
    size_t samples;
    double learners; /* of a shared policy: share of people it learns from */
    double rate, temperature;
    const struct rec_model *like; /* untrained: kind and options */
    size_t folds;     /* above 1: people are dealt into so many parts, and get
                         their lists from a recommender that learnt from the
                         other parts: nobody's own data flatters their list */
    size_t rounds;    /* at most */
    double inertia;   /* chance to reconsider in round 1; in round t
                         that over 1 + t / 10 */
    double shrink;    /* people trust their own decision items n / (n + shrink),
                         and else what is usual in their group; 0: themselves */
    double threshold; /* least gain that moves anybody */
    double settled;   /* mean residual over mean utility at the end */
    bool cold;        /* begin with nothing disclosed, else all */
    bool fictitious;  /* train on a draw from everybody's past
                         choices, not on the present ones */
    const double *lambda; /* [n_users] of the world, or NULL: by tastes */
    /* In the place of people: called after each round but the last with what
     * everybody has come to; changes choice[segments of all], which stays legal
     * (ERR_ARG otherwise), or ends the game with *stop.  NULL: solver. */
    enum err (*outside)(void *arg, size_t round,
                        const struct sim_person *person, uint8_t *choice,
                        bool *stop);
    void *outside_arg;
    size_t retrain; /* people for the residual by training again
           with their own change */
    uint64_t seed;
};

/* What a round came to; means are over people. */
struct sim_round {
    size_t round;
    double disclosed;       /* share of the behaviours and attributes */
    double none, part, all; /* share of the people who show that */
    double anticipated;     /* quality on decision items */
    double quality;         /* on report items */
    double recall10, recall20, ndcg20;
    double utility_anticipated, utility; /* on decision, on report items */
    double utility_median, utility_p10, utility_gini;
    double cost, lambda_cost;
    double coverage;     /* share of items in some list of SIM_LIST */
    double quality_none; /* of people who show nothing */
    double residual, residual_p95, residual_max, residual_share; /* > .01 */
    double solver_unseen; /* the next, of people whom a shared policy
                             never learnt from */
    double solver_share;  /* what the solver gains over the present
                        choices, of what exact gains */
    double moved;         /* share of people who changed their choice */
};

/* A person at the end. */
struct sim_person {
    double lambda, disclosed, cost, anticipated, quality, recall10, recall20,
        ndcg20, utility_anticipated, utility, residual,
        solver_gain;          /* of the solver's choice over the present one */
    uint32_t shown, segments; /* segments shown, of how many */
    double rows;              /* that could be disclosed */
};

struct sim_result {
    struct sim_round *round; /* [n_rounds] */
    size_t n_rounds;
    struct sim_person *person; /* [n_users] in the order of the world */
    uint8_t *choice;           /* [seg_ptr[n_users]] */
    size_t n_users;
    bool settled;
    size_t n_retrained; /* people whose residual was found by training again */
    double own_effect;  /* mean of what training again adds to the utility
                           of their best choice; may be negative */
    double own_effect_size;  /* mean of its absolute value */
    double retrained_before; /* mean residual of the same people */
    double retrained_residual, retrained_max; /* residual + own effect, or 0:
                                                 mean, largest */
    unsigned char digest[KEY_DIGEST_BYTES];   /* of the last recommender */
    double evaluations;                       /* choices that were tried */
    double solve_seconds, train_seconds;
};

/* Play.  ERR_ARG: the solver cannot do the mechanism, the model's scores do
 * not add up; errors of training; ERR_STOPPED.  The same bytes (but for the
 * seconds) for any number of threads. */
ERR_CHECK
enum err sim_play(struct sim_result *out, const struct sim_world *w,
                  const struct sim_game_opts *o);
void sim_result_free(struct sim_result *r);

#endif
