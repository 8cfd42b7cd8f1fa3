/*
 * privacy_sim/study.h - many simulations side by side: means over seeds with
 * intervals, and which mechanism is better.
 *
 * Cells are objects as cmd_sim_cell() makes them, with "draws", "dataset",
 * "arm" (the name of a mechanism) and "seed".  A setting is (dataset, model,
 * sensitivity); in it, arms are compared pair by pair.
 *
 * Intervals: cluster bootstrap over people nested in seeds, 95 %; differences
 * are paired by person, seed and draw; p-values are corrected by Holm's method
 * over the pairs of a setting.
 */
#ifndef SIM_STUDY_H
#define SIM_STUDY_H

#include <jansson.h>
#include <stdio.h>

/* {settings: [{dataset, model, sensitivity, arms: [...], contrasts: [...]}]};
 * cells in any order, the result in the order of first appearance.  NULL
 * without memory. */
json_t *sim_study_summary(const json_t *cells);

/* A line for each cell, each round, each group. */
void sim_study_cells_csv(const json_t *cells, FILE *out);
void sim_study_rounds_csv(const json_t *cells, FILE *out);
void sim_study_groups_csv(const json_t *cells, FILE *out);

/* One self-contained page; facts: an object of strings for its head. */
void sim_study_html(const json_t *cells, const json_t *summary, json_t *facts,
                    FILE *out);

#endif
