/*
 * privacy_sim/solver_greedy.c - from nothing and from everything, the best
 * single change again and again.
 */
#include <string.h>

#include "privacy_sim/solver.h"

/* Changes of one segment while they gain; returns the utility. */
static double climb(struct sim_eval *e, const struct sim_task *t)
{
    double now = sim_eval_anticipated(e);

    for (;;) {
        size_t best = e->n;
        double most = now;

        for (size_t k = 0; k < e->n; k++) {
            if (!sim_solver_may_toggle(e, t, k))
                continue;
            sim_eval_toggle(e, k);
            const double u = sim_eval_anticipated(e);

            sim_eval_toggle(e, k);
            if (u > most) {
                most = u;
                best = k;
            }
        }
        if (best == e->n)
            return now;
        sim_eval_toggle(e, best);
        now = most;
    }
}

static void set_all(struct sim_eval *e, uint8_t on)
{
    for (size_t k = 0; k < e->n; k++) {
        if (e->on[k] != on)
            sim_eval_toggle(e, k);
    }
}

static double best(struct sim_eval *e, const struct sim_task *t)
{
    set_all(e, 0);
    const double up = climb(e, t);
    uint8_t *kept = e->kept_choice; /* found from below */

    memcpy(kept, e->on, e->n);
    set_all(e, 1);
    const double down = climb(e, t);

    if (down > up)
        return down;
    sim_eval_choose(e, kept);
    return up;
}

static const char *lacks(const struct sim_mechanism *m, size_t n)
{
    (void)n;
    return m->rule == SIM_FREE || m->rule == SIM_ATLEAST
               ? NULL
               : "greedy changes one segment at a time, which this rule "
                 "forbids: take exact";
}

extern const struct sim_solver sim_solver_greedy;
const struct sim_solver sim_solver_greedy = {
    .name = "greedy",
    .help = "the best single change, again and again; for many segments",
    .best = best,
    .lacks = lacks,
};
