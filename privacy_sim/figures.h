/*
 * privacy_sim/figures.h - what a round came to, by name; and how sure its means
 * are.
 */
#ifndef SIM_FIGURES_H
#define SIM_FIGURES_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "privacy_sim/game.h"

/* The fields of struct sim_round that are means or shares; ends with a NULL
 * name. */
struct sim_figure {
    const char *name;
    size_t offset;
};
extern const struct sim_figure sim_figures[];
double sim_figure_of(const struct sim_round *r, size_t figure);

/* One round as an object of its figures. */
json_t *sim_round_json(const struct sim_round *r);

/* The figures that are compared between mechanisms. */
enum sim_compared {
    SIM_UTILITY,
    SIM_QUALITY,
    SIM_DISCLOSED,
    SIM_ANTICIPATED,
    SIM_COMPARED
};
extern const char *const sim_compared_name[SIM_COMPARED];

#define SIM_DRAWS 1000 /* of the bootstrap */

/*
 * Means over people drawn with replacement: mean[compared][draw].  The draws
 * are named by (seed, draw, place), so that two games of the same people and
 * seed are compared on the same people.  Threads inside.
 */
void sim_bootstrap(const struct sim_result *r, uint64_t seed,
                   double mean[SIM_COMPARED][SIM_DRAWS]);

#define SIM_GROUP_LEAST 10 /* people; smaller groups are not shown */

/* [{group, people, ...}], small groups without figures. */
json_t *sim_groups_json(const struct sim_world *w, const struct sim_result *r);

#endif
