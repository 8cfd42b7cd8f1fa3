/* unlearn/plan.c - the options of a plan. */
#include "unlearn/plan.h"

#define P(member) offsetof(struct unl_plan, member)
const struct opt unl_plan_rows[] = {
    UNL_PLAN_OPTS(P),
    {.name = NULL},
};
