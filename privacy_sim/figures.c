/* privacy_sim/figures.c - figures by name, bootstrap, groups. */
#include "privacy_sim/figures.h"

#include <string.h>

#include "base/par.h"
#include "base/rng.h"

#define AT(field) offsetof(struct sim_round, field)
const struct sim_figure sim_figures[] = {
    {"disclosed", AT(disclosed)},
    {"none", AT(none)},
    {"part", AT(part)},
    {"all", AT(all)},
    {"quality", AT(quality)},
    {"anticipated", AT(anticipated)},
    {"utility", AT(utility)},
    {"utility_anticipated", AT(utility_anticipated)},
    {"utility_median", AT(utility_median)},
    {"utility_p10", AT(utility_p10)},
    {"utility_gini", AT(utility_gini)},
    {"cost", AT(cost)},
    {"lambda_cost", AT(lambda_cost)},
    {"recall@10", AT(recall10)},
    {"recall@20", AT(recall20)},
    {"ndcg@20", AT(ndcg20)},
    {"coverage", AT(coverage)},
    {"quality_of_undisclosed", AT(quality_none)},
    {"residual", AT(residual)},
    {"residual_p95", AT(residual_p95)},
    {"residual_max", AT(residual_max)},
    {"residual_share", AT(residual_share)},
    {"solver_share", AT(solver_share)},
    {"solver_unseen", AT(solver_unseen)},
    {"moved", AT(moved)},
    {NULL, 0},
};

double sim_figure_of(const struct sim_round *r, size_t figure)
{
    double x;

    memcpy(&x, (const char *)r + sim_figures[figure].offset, sizeof(x));
    return x;
}

json_t *sim_round_json(const struct sim_round *r)
{
    json_t *out = json_pack("{s:I}", "round", (json_int_t)r->round);

    for (size_t f = 0; sim_figures[f].name != NULL; f++)
        (void)json_object_set_new(out, sim_figures[f].name,
                                  json_real(sim_figure_of(r, f)));
    return out;
}

/* --- bootstrap -------------------------------------------------------------
 */

const char *const sim_compared_name[SIM_COMPARED] = {
    [SIM_UTILITY] = "utility",
    [SIM_QUALITY] = "quality",
    [SIM_DISCLOSED] = "disclosed",
    [SIM_ANTICIPATED] = "utility_anticipated"};

struct boot {
    const struct sim_result *r;
    uint64_t seed;
    double (*mean)[SIM_DRAWS];
};

static void boot_task(void *arg, size_t draw, size_t thread)
{
    const struct boot *b = arg;
    const uint64_t stream = rng_derive(b->seed, RNG_BOOT, draw);
    const size_t n = b->r->n_users;
    double sum[SIM_COMPARED] = {0}, rows = 0;

    (void)thread;
    for (size_t k = 0; k < n; k++) {
        const struct sim_person *p =
            &b->r->person[rng_below(stream, RNG_BOOT, k, n)];

        sum[SIM_UTILITY] += p->utility;
        sum[SIM_QUALITY] += p->quality;
        sum[SIM_DISCLOSED] += p->disclosed * p->rows;
        rows += p->rows;
        sum[SIM_ANTICIPATED] += p->utility_anticipated;
    }
    for (int c = 0; c < SIM_COMPARED; c++)
        b->mean[c][draw] = sum[c] / (c == SIM_DISCLOSED ? rows : (double)n);
}

void sim_bootstrap(const struct sim_result *r, uint64_t seed,
                   double mean[SIM_COMPARED][SIM_DRAWS])
{
    struct boot b = {r, seed, mean};

    par_for(SIM_DRAWS, boot_task, &b);
}

/* --- groups ----------------------------------------------------------------
 */

json_t *sim_groups_json(const struct sim_world *w, const struct sim_result *r)
{
    json_t *out = json_array();

    for (size_t g = 0; g < w->n_groups; g++) {
        double n = 0, disclosed = 0, quality = 0, utility = 0, none = 0;
        json_t *one;

        for (size_t u = 0; u < r->n_users; u++) {
            const struct sim_person *p = &r->person[u];

            if (w->group[u] != g)
                continue;
            n++;
            disclosed += p->disclosed;
            quality += p->quality;
            utility += p->utility;
            none += p->shown == 0;
        }
        if (n < SIM_GROUP_LEAST)
            one = json_pack("{s:s, s:s}", "group", w->group_name[g], "people",
                            "fewer than 10: not shown");
        else
            one = json_pack("{s:s, s:I, s:f, s:f, s:f, s:f}", "group",
                            w->group_name[g], "people", (json_int_t)n,
                            "disclosed", disclosed / n, "none", none / n,
                            "quality", quality / n, "utility", utility / n);
        (void)json_array_append_new(out, one);
    }
    return out;
}
