/* unlearn/plan.c - the options of a plan. */
#include "unlearn/plan.h"

#include "base/rng.h"
#include "rec/model.h"
#include "unlearn/cert.h"
#include "unlearn/partition.h"

#define P(member) offsetof(struct unl_plan, member)
const struct opt unl_plan_rows[] = {
    UNL_PLAN_OPTS(P),
    {.name = NULL},
};

enum err unl_plan_parse(struct unl_plan *plan, const char *json, void **texts)
{
    opt_defaults(unl_plan_rows, plan);
    return rec_options_parse(unl_plan_rows, plan, json, texts);
}

enum err unl_plan_open(struct unl_plan *plan, const char *dir)
{
    struct unl_keys k;

    plan->secret = 0;
    if (!plan->partition_secret)
        return ERR_OK;
    if (plan->shards == 1)
        return err_set(ERR_ARG, "--partition-secret parts shards: say how many "
                                "with --shards");
    if (!unl_partition_find(plan->partition)->exact)
        return err_set(ERR_ARG,
                       "--partition-secret goes with --partition hash or lsh: "
                       "%s is learnt from the rows",
                       plan->partition);
    ERR_TRY(unl_keys_open(&k, dir));
    plan->secret = unl_keys_partition(&k);
    unl_keys_close(&k);
    return ERR_OK;
}

enum err unl_plan_secret(struct rec_model *m, const char *dir)
{
    struct unl_keys k;

    if (!m->ops->secretive)
        return ERR_OK;
    ERR_TRY(unl_keys_open(&k, dir));
    unl_keys_noise(&k, m->secret);
    unl_keys_close(&k);
    return ERR_OK;
}

uint64_t unl_plan_partition_seed(const struct unl_plan *plan, uint64_t seed)
{
    return plan->partition_secret ? rng_derive(seed, RNG_SHARD, plan->secret)
                                  : seed;
}
