/* privacy_sim/solver_table.c - the table of solvers, from SIM_SOLVERS. */
#include <string.h>

#include "base/opt.h"
#include "privacy_sim/solver.h"

#define X(name) extern const struct sim_solver sim_solver_##name;
#include "privacy_sim/solvers.def"
#undef X

const struct sim_solver *const sim_solvers[] = {
#define X(name) &sim_solver_##name,
#include "privacy_sim/solvers.def"
#undef X
    NULL,
};

enum err sim_solver_find(const char *name, const struct sim_solver **out)
{
    const char *names[16] = {NULL};

    for (size_t i = 0; sim_solvers[i] != NULL; i++) {
        if (strcmp(sim_solvers[i]->name, name) == 0) {
            *out = sim_solvers[i];
            return ERR_OK;
        }
        if (i + 1 < 16)
            names[i] = sim_solvers[i]->name;
    }
    return opt_unknown("solver", name, names, "`recd list solvers` names them");
}

bool sim_solver_may_toggle(struct sim_eval *e, const struct sim_task *t,
                           size_t k)
{
    e->on[k] = !e->on[k];
    const bool legal = sim_is_legal(t->m, e->on, e->n);

    e->on[k] = !e->on[k];
    return legal;
}
