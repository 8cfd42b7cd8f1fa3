/* privacy_sim/solver_policy.c - what a policy for everybody says. */
#include "privacy_sim/policy.h"
#include "privacy_sim/solver.h"

static double best(struct sim_eval *e, const struct sim_task *t)
{
    sim_policy_choice(t->policy, e->user, e->kept_choice);
    sim_eval_choose(e, e->kept_choice);
    return sim_eval_anticipated(e);
}

static const char *lacks(const struct sim_mechanism *m, size_t n)
{
    (void)m;
    return n <= SIM_POLICY_MOST ? NULL
                                : "policy knows at most 64 segments: take "
                                  "blocks:64 or fewer, or greedy";
}

extern const struct sim_solver sim_solver_policy;
const struct sim_solver sim_solver_policy = {
    .name = "policy",
    .help = "one network for everybody, learnt by REINFORCE",
    .best = best,
    .lacks = lacks,
    .shared = true,
};
