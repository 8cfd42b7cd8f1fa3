/* privacy_sim/world_group.h - the groups of the people of a simulation. */
#ifndef SIM_WORLD_GROUP_H
#define SIM_WORLD_GROUP_H

#include "base/err.h"
#include "base/mem.h"
#include "privacy_sim/world.h"

/* Fill w's group, group_name and n_groups; its people and rows are there, and
 * w->group has room for them.  value[n_users]: what each person's group is
 * called; NULL: five parts of equal size by length of the profile.  Scratch
 * from m.  ERR_NOMEM. */
ERR_CHECK
enum err sim_world_group(struct sim_world *w, char *const *value,
                         struct mem_scratch *m);

#endif
