/* privacy_sim/game_sum.c - what a round came to. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "privacy_sim/play.h"

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void spread(struct sim_play *g, struct sim_round *r)
{
    const size_t n = g->out->n_users;
    double sum = 0, ranked = 0, least;

    for (size_t u = 0; u < n; u++)
        g->sort[u] = g->out->person[u].utility;
    qsort(g->sort, n, sizeof(*g->sort), by_value);
    r->utility_median = g->sort[n / 2];
    r->utility_p10 = g->sort[n / 10];
    least = fmin(0, g->sort[0]); /* Gini needs what is not negative */
    for (size_t u = 0; u < n; u++) {
        sum += g->sort[u] - least;
        ranked += (g->sort[u] - least) * (double)(u + 1);
    }
    r->utility_gini =
        sum > 0 ? 2 * ranked / ((double)n * sum) - ((double)n + 1) / (double)n
                : 0;
    for (size_t u = 0; u < n; u++)
        g->sort[u] = g->out->person[u].residual;
    qsort(g->sort, n, sizeof(*g->sort), by_value);
    r->residual_p95 = g->sort[n * 95 / 100];
    r->residual_max = g->sort[n - 1];
}

static double coverage(struct sim_play *g)
{
    size_t shown = 0, items = 0;

    memset(g->listed, 0, g->w->all.n_items);
    for (size_t k = 0; k < g->out->n_users * SIM_LIST; k++) {
        if (g->list[k] != REC_NOBODY)
            g->listed[g->list[k]] = 1;
    }
    for (size_t i = 0; i < g->w->all.n_items; i++) {
        shown += g->listed[i];
        items += !g->w->is_attribute[i];
    }
    return items > 0 ? (double)shown / (double)items : 0;
}

void sim_sum_up(struct sim_play *g, struct sim_round *r)
{
    const size_t n = g->out->n_users;
    double shown = 0, rows = 0, nobodies = 0, solved = 0, unseen = 0, best = 0;

    *r = (struct sim_round){.round = g->round, .coverage = coverage(g)};
    for (size_t u = 0; u < n; u++) {
        const struct sim_person *p = &g->out->person[u];
        const double one = 1 / (double)n;

        shown += p->disclosed * p->rows;
        rows += p->rows;
        r->none += p->shown == 0 ? one : 0;
        r->all += p->shown == p->segments ? one : 0;
        r->part += p->shown > 0 && p->shown < p->segments ? one : 0;
        r->anticipated += p->anticipated * one;
        r->quality += p->quality * one;
        r->recall10 += p->recall10 * one;
        r->recall20 += p->recall20 * one;
        r->ndcg20 += p->ndcg20 * one;
        r->utility_anticipated += p->utility_anticipated * one;
        r->utility += p->utility * one;
        r->cost += p->cost * one;
        r->lambda_cost += p->lambda * p->cost * one;
        r->residual += p->residual * one;
        r->residual_share += p->residual > 0.01 ? one : 0;
        solved += p->solver_gain * one;
        if (g->policy != NULL && !g->learns[u]) {
            unseen += p->solver_gain;
            best += p->residual;
        }
        if (p->shown == 0) {
            r->quality_none += p->quality;
            nobodies++;
        }
    }
    r->solver_share = g->choices > 0    ? 1
                      : r->residual > 0 ? solved / r->residual
                                        : 1;
    r->solver_unseen = best > 0 ? unseen / best : 0;
    r->disclosed = shown / rows;
    r->quality_none = nobodies > 0 ? r->quality_none / nobodies : 0;
    spread(g, r);
}
