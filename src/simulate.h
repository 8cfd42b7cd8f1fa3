/* src/simulate.h - what the files of `recd simulate` share. */
#ifndef SRC_SIMULATE_H
#define SRC_SIMULATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/opt.h"
#include "rec/model.h"
#include "src/cmd.h"

/* The options of a simulation; also what a line of a policy file may set. */
struct cmd_sim_values {
    const char *model, *mechanism, *sensitivity, *factors, *solver, *exclude,
        *utility, *attributes, *category, *group, *start, *usual, *people,
        *report;
    int64_t samples, folds, rounds, min_rows, min_people, retrain;
    double rate, inertia, threshold, bound, power, attribute_cost, temperature,
        learners, effort, stickiness, present, shrink, data_cost;
    bool fictitious, dry_run;
};
extern const struct opt cmd_sim_rows[];

/*
 * Simulate: *out is everything that it came to, as an object.  draws: with the
 * bootstrap's means, for comparisons.  The model is untrained: a kind and its
 * options.  Errors of sim_play(), of the options, of the store.
 */
ERR_CHECK
enum err cmd_sim_cell(json_t **out, const struct cmd_sim_values *v,
                      const char *store, const struct rec_model *model,
                      uint64_t seed, bool draws);

/* The same pieces, for who plays by hand (src/simulate_env.c). */
struct sim_game_opts;
struct sim_mechanism;
struct sim_world;
ERR_CHECK
enum err cmd_sim_game(struct sim_game_opts *out, const struct cmd_sim_values *v,
                      const struct rec_model *model, uint64_t seed);
ERR_CHECK
enum err cmd_sim_world(struct sim_world *w, const struct cmd_sim_values *v,
                       const struct sim_mechanism *m, const char *store,
                       uint64_t seed);
/* lambda[n_users] by the options; free it. */
ERR_CHECK
enum err cmd_sim_lambda(double **out, const struct cmd_sim_values *v,
                        const struct sim_world *w,
                        const struct sim_game_opts *o);

/* JSON lines on stdin and stdout: returns an enum cmd_exit. */
int cmd_sim_env(const struct cmd_common *c, const struct cmd_sim_values *v,
                const struct rec_model *model);

/* A policy file: returns an enum cmd_exit. */
int cmd_sim_sweep(const struct cmd_common *c, const char *path, bool dry_run);

#endif
