/*
 * privacy_sim/game_own.c - the residual with one's own effect.
 *
 * The residual of a round takes the recommender as given; a person's change
 * also changes what it learns.  For some people that is measured: the
 * recommender is trained again with their best choice.
 */
#include <math.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "privacy_sim/play.h"

/* Anticipated utility of the choice in g->next under a recommender. */
static double utility_under(struct sim_play *g, const struct sim_rows *r,
                            size_t u)
{
    struct sim_eval *e = &g->eval[0];
    double out;

    e->r = r;
    sim_eval_user(e, u, g->lambda[u]);
    sim_eval_choose(e, g->next + g->w->seg_ptr[u]);
    out = sim_eval_anticipated(e);
    sim_eval_leave(e);
    return out;
}

/* Utility of person u's best choice under the recommender trained again with
 * it, less the same under the recommender of the round. */
static enum err own_effect(struct sim_play *g, size_t u, double *effect)
{
    struct sim_rows own = {0};

    ERR_TRY(sim_train_changed(g, u, &own));
    *effect =
        utility_under(g, &own, u) - utility_under(g, &g->rows[g->fold[u]], u);
    sim_rows_free(&own);
    return ERR_OK;
}

enum err sim_retrain_some(struct sim_play *g)
{
    const size_t n = g->w->all.n_users;
    const size_t some = g->o->retrain < n ? g->o->retrain : n;
    size_t *pick = mem_array(some, sizeof(*pick));
    struct sim_result *out = g->out;
    enum err e = pick == NULL ? err_set(ERR_NOMEM, "no memory for a simulation")
                              : ERR_OK;

    if (e == ERR_OK)
        rng_sample(rng_derive(g->o->seed, RNG_DISCLOSE, STREAM_RETRAIN),
                   RNG_DISCLOSE, n, some, pick);
    for (size_t k = 0; k < some && e == ERR_OK; k++) {
        double effect = 0;

        log_tick("training again for single people", k, some, NULL);
        e = log_stopping() ? err_set(ERR_STOPPED, "stopped")
                           : own_effect(g, pick[k], &effect);
        const double gain = fmax(0, out->person[pick[k]].residual + effect);

        out->retrained_before += out->person[pick[k]].residual / (double)some;
        out->own_effect += effect / (double)some;
        out->own_effect_size += fabs(effect) / (double)some;
        out->retrained_residual += gain / (double)some;
        out->retrained_max = fmax(out->retrained_max, gain);
    }
    out->n_retrained = some;
    free(pick);
    return e;
}
