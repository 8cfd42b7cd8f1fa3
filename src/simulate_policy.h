/*
 * src/simulate_policy.h - a policy file: datasets x models x mechanisms x
 * sensitivities x seeds.
 */
#ifndef SRC_SIMULATE_POLICY_H
#define SRC_SIMULATE_POLICY_H

#include "src/simulate.h"

#define SWEEP_MOST 32     /* of each factor */
#define SWEEP_SETTINGS 16 /* of each word */

/* A word of the file with settings behind it: key=value. */
struct sweep_choice {
    char *name, *what;                                 /* owned */
    char *key[SWEEP_SETTINGS], *value[SWEEP_SETTINGS]; /* owned */
    size_t at, line[SWEEP_SETTINGS];                   /* lines of the file */
    size_t n;
};

struct sweep_policy {
    const char *path;
    struct sweep_choice dataset[SWEEP_MOST], model[SWEEP_MOST],
        mechanism[SWEEP_MOST], taste[SWEEP_MOST];
    size_t n_datasets, n_models, n_mechanisms, n_tastes;
    uint64_t seed[SWEEP_MOST];
    size_t n_seeds;
    char *out;
    struct sweep_choice set; /* options for all cells */
};

/* Read and check everything that can be known before anything runs.  ERR_FORMAT
 * with FILE:LINE; ERR_IO.  cmd_sweep_policy_free() in any case. */
ERR_CHECK
enum err cmd_sweep_policy_read(struct sweep_policy *p, const char *path);
void cmd_sweep_policy_free(struct sweep_policy *p);

/* One simulation of the sweep. */
struct sweep_cell {
    size_t dataset, model, mechanism, taste, seed;
};
size_t cmd_sweep_cells(const struct sweep_policy *p);
struct sweep_cell cmd_sweep_cell_of(const struct sweep_policy *p, size_t i);

/* Its options; its model, untrained, to be freed. */
ERR_CHECK
enum err cmd_sweep_values_of(struct cmd_sim_values *v,
                             const struct sweep_policy *p,
                             const struct sweep_cell *c);
ERR_CHECK
enum err cmd_sweep_model_of(struct rec_model **out,
                            const struct sweep_policy *p, size_t model);

#endif
