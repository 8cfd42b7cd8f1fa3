/*
 * privacy_sim/world.h - people, what they have, and the pieces in which they
 * can show it.
 *
 * A person has behaviours (items met) and attributes.  An attribute is an item
 * of its own, "age=25", that no list may hold: so every recommender can learn
 * from it.  Behaviours are split by time (or, without times, by draws) into a
 * profile that may be disclosed (60 %), items on which decisions are made
 * (20 %) and items on which results are reported (20 %).  A split rule cuts
 * profile and attributes into disjoint segments.
 *
 * Source of the framework: Chen et al., Studying the impact of data disclosure
 * mechanism in recommender systems via simulation, TOIS 41(3), 2023 (its text
 * beyond the abstract was not at hand: docs/papers.md).
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rec/data.h"
#include "store/store.h"

enum sim_split { SIM_WHOLE, SIM_TYPE, SIM_BLOCKS, SIM_CATEGORY, SIM_ITEM };

struct sim_world_opts {
    enum sim_split split;
    size_t blocks;          /* of SIM_BLOCKS */
    const char *attributes; /* names, separated by commas, or "" */
    const char *category;   /* the catalogue's attribute with categories */
    size_t min_rows;        /* of a person; others are left out */
    size_t min_people;      /* of an item; others are left out */
    double attribute_cost;  /* of one, as a share of the profile's items */
    uint64_t seed;
};

struct sim_world {
    struct rec_data all;   /* profile and attributes of everybody: what would be
                              disclosed at most; all.item ascends in a person */
    uint32_t *segment;     /* [all.n_rows] of a row, from 0 in a person */
    size_t *seg_ptr;       /* [n_users + 1] segments of user u: seg_ptr[u].. */
    int64_t *weight;       /* [seg_ptr[n_users]] in units of the cost: 20 for an
                              item; see sim_world_opts.attribute_cost */
    uint8_t *is_attribute; /* [n_items] */
    size_t *decide_ptr, *report_ptr;     /* [n_users + 1] */
    uint32_t *decide_item, *report_item; /* ascending in a person */
    uint32_t *group;                     /* [n_users] number of the group */
    char **group_name;                   /* [n_groups] */
    size_t n_groups;
    size_t n_left_out; /* people with too few rows */
};

/*
 * The people of the store's training rows.  group_by: an attribute whose values
 * are the groups, or "activity" (five parts by length of the profile).
 * ERR_ARG: an attribute or category that nobody has; nobody left; ERR_NOMEM.
 * Cost: O(rows log rows).
 */
ERR_CHECK
enum err sim_world_load(struct sim_world *out, struct sto_view *v,
                        const struct sim_world_opts *o, const char *group_by);
void sim_world_free(struct sim_world *w);

static inline size_t sim_segments(const struct sim_world *w, size_t user)
{
    return w->seg_ptr[user + 1] - w->seg_ptr[user];
}

#endif
