/* privacy_sim/game.c - rounds of training and of choosing. */
#include "privacy_sim/game.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "privacy_sim/play.h"

#define BUNCH 16 /* people of a task */

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for a simulation");
}

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void sim_result_free(struct sim_result *r)
{
    free(r->round);
    free(r->person);
    free(r->choice);
    *r = (struct sim_result){.n_users = 0};
}

/* --- the people ------------------------------------------------------------
 */

/* Nobody does where the platform draws, or somebody outside decides. */
static bool people_choose(const struct sim_game_opts *o)
{
    return o->m.rule != SIM_FIXED && o->outside == NULL;
}

static double best_choice(struct sim_play *g, struct sim_eval *e, size_t u,
                          double *solved)
{
    const uint64_t round =
        rng_derive(g->o->seed, RNG_DISCLOSE, g->w->all.user_key[u]);
    const struct sim_task t = {
        .m = &g->o->m,
        /* a temperature's noise stays with a person */
        .stream = g->o->temperature > 0
                      ? round
                      : rng_derive(round, RNG_DISCLOSE, g->round),
        .samples = g->o->samples,
        .rate = g->o->rate,
        .temperature = g->o->temperature,
        .policy = g->policy};
    const struct sim_task yardstick = {.m = &g->o->m};
    const double found = g->o->solver->best(e, &t);
    double best = found;

    *solved = found;
    memcpy(g->next + g->w->seg_ptr[u], e->on, e->n);
    if ((g->o->solver != &sim_solver_exact || g->o->temperature > 0) &&
        sim_solver_exact.lacks(&g->o->m, e->n) == NULL)
        best = fmax(best, sim_solver_exact.best(e, &yardstick));
    return best;
}

static void look(const struct sim_eval *e, struct sim_person *p, uint32_t *list)
{
    const struct sim_world *w = e->w;
    const size_t rows = w->all.user_ptr[e->user + 1] - w->all.user_ptr[e->user];
    uint32_t on = 0;

    for (size_t k = 0; k < e->n; k++)
        on += e->on[k];
    *p = (struct sim_person){
        .lambda = e->lambda,
        .disclosed = (double)e->shown / (double)rows,
        .cost = sim_eval_cost(e),
        .anticipated = sim_eval_quality(e, false),
        .quality = sim_eval_quality(e, true),
        .recall10 = sim_eval_recall(e, 10),
        .recall20 = sim_eval_recall(e, 20),
        .ndcg20 = sim_eval_ndcg(e, 20),
        .utility_anticipated = sim_eval_anticipated(e),
        .utility = sim_eval_realised(e),
        .shown = on,
        .segments = (uint32_t)e->n,
        .rows = (double)rows,
    };
    for (size_t k = 0; k < SIM_LIST; k++)
        list[k] = k < e->top.n ? e->top.id[k] : REC_NOBODY;
}

static void one_person(struct sim_play *g, struct sim_eval *e, size_t u)
{
    const size_t at = g->w->seg_ptr[u];
    struct sim_person *p = &g->out->person[u];
    double solved = 0;

    e->r = &g->rows[g->fold[u]];
    sim_eval_user(e, u, g->lambda[u]);
    sim_eval_choose(e, g->choice + at);
    look(e, p, g->list + u * SIM_LIST);
    memcpy(g->next + at, g->choice + at, e->n);
    sim_eval_length(e, e->how->cut);
    if (g->choices > 0) {
        sim_exact_table(e, &g->o->m, g->quality + u * g->choices);
    } else if (people_choose(g->o)) {
        p->residual =
            fmax(0, best_choice(g, e, u, &solved) - p->utility_anticipated);
        p->solver_gain = solved - p->utility_anticipated;
    }
    sim_eval_leave(e);
}

static void people_task(void *arg, size_t task, size_t thread)
{
    struct sim_play *g = arg;
    const size_t n = g->w->all.n_users, last = (task + 1) * BUNCH;

    for (size_t u = task * BUNCH; u < last && u < n; u++)
        one_person(g, &g->eval[thread], u);
}

/* --- beliefs ---------------------------------------------------------------
 */

/* What is usual: the mean quality of each choice in each group. */
static void learn_usual(struct sim_play *g)
{
    const struct sim_world *w = g->w;
    const size_t n = g->choices;

    for (size_t k = 0; k < w->n_groups; k++) {
        for (size_t i = 0; i < n; i++) {
            double sum = 0, people = 0;

            for (size_t u = 0; u < w->all.n_users; u++) {
                if (w->group[u] != k)
                    continue;
                sum += (double)g->quality[u * n + i];
                people++;
            }
            g->usual[k * n + i] = (float)(people > 0 ? sum / people : 0);
        }
    }
}

/* Choices by what people believe: their own table, shrunk to the usual. */
static void believe_task(void *arg, size_t task, size_t thread)
{
    struct sim_play *g = arg;
    struct sim_eval *e = &g->eval[thread];
    const struct sim_world *w = g->w;
    const size_t n = w->all.n_users, last = (task + 1) * BUNCH;

    for (size_t u = task * BUNCH; u < last && u < n; u++) {
        const size_t at = w->seg_ptr[u];
        const double items = (double)(w->decide_ptr[u + 1] - w->decide_ptr[u]);
        const struct sim_belief b = {g->quality + u * g->choices,
                                     g->usual + w->group[u] * g->choices,
                                     items / (items + g->o->shrink)};
        const struct sim_task t = {
            .m = &g->o->m,
            .stream = rng_derive(g->o->seed, RNG_DISCLOSE, w->all.user_key[u]),
            .temperature = g->o->temperature};
        const size_t now =
            sim_exact_number(&g->o->m, g->choice + at, sim_segments(w, u));
        const struct sim_task yardstick = {.m = &g->o->m};
        double best;

        sim_eval_stand(e, u, g->lambda[u]);
        const size_t i = sim_exact_best(e, &t, &b, &best);

        if (g->o->temperature > 0) /* chance picks; the best is the yardstick */
            (void)sim_exact_best(e, &yardstick, &b, &best);
        sim_exact_show(&g->o->m, e->n, i, g->next + at);
        g->out->person[u].residual =
            fmax(0, best - sim_exact_utility(e, &g->o->m, &b, now));
    }
}

/* The choice that the solver found is taken where the person reconsiders now
 * and would gain. */
static double reconsider(struct sim_play *g)
{
    const struct sim_world *w = g->w;
    const double chance = g->o->inertia / (1 + (double)g->round / 10);
    const uint64_t stream =
        rng_derive(g->o->seed, RNG_DISCLOSE, STREAM_MOVE + g->round);
    double moved = 0;

    for (size_t u = 0; u < w->all.n_users; u++) {
        const size_t at = w->seg_ptr[u], n = sim_segments(w, u);
        const uint64_t own =
            rng_derive(stream, RNG_DISCLOSE, w->all.user_key[u]);
        const bool gains = g->o->temperature > 0 ||
                           g->out->person[u].residual > g->o->threshold;

        if (!gains || !(rng_f64(own, RNG_DISCLOSE, 0) < chance) ||
            memcmp(g->choice + at, g->next + at, n) == 0)
            continue;
        memcpy(g->choice + at, g->next + at, n);
        moved++;
    }
    return moved / (double)w->all.n_users;
}

/* --- the whole -------------------------------------------------------------
 */

static enum err learn_policy(struct sim_play *g)
{
    const struct sim_crowd c = {
        .eval = g->eval,
        .rows = g->rows,
        .fold = g->fold,
        .lambda = g->lambda,
        .learns = g->learns,
        .samples = g->o->samples,
        .seed = rng_derive(g->o->seed, RNG_DISCLOSE, STREAM_POLICY + g->round),
    };

    return sim_policy_learn(g->policy, &c);
}

/* Who takes part in learning, and the network. */
static enum err open_policy(struct sim_play *g)
{
    const size_t n = sim_segments(g->w, 0);
    const uint64_t stream = rng_derive(g->o->seed, RNG_DISCLOSE, STREAM_POLICY);

    for (size_t u = 0; u < g->w->all.n_users; u++) {
        const uint64_t own =
            rng_derive(stream, RNG_DISCLOSE, g->w->all.user_key[u]);

        g->learns[u] = rng_f64(own, RNG_DISCLOSE, 0) < g->o->learners;
        if (sim_segments(g->w, u) != n)
            return err_set(ERR_ARG,
                           "--solver policy needs as many segments for "
                           "everybody: whole, type or blocks, and attributes "
                           "that everybody has");
    }
    return sim_policy_new(&g->policy, &g->o->m, g->w, n, stream);
}

static enum err play_round(struct sim_play *g, struct sim_round *r)
{
    const double start = seconds();

    ERR_TRY(sim_train(g));
    const double trained = seconds();

    if (g->policy != NULL)
        ERR_TRY(learn_policy(g));
    par_for((g->w->all.n_users + BUNCH - 1) / BUNCH, people_task, g);
    if (g->choices > 0) {
        learn_usual(g);
        par_for((g->w->all.n_users + BUNCH - 1) / BUNCH, believe_task, g);
    }
    sim_sum_up(g, r);
    g->out->train_seconds += trained - start;
    g->out->solve_seconds += seconds() - trained;
    return log_stopping() ? err_set(ERR_STOPPED, "stopped") : ERR_OK;
}

/* Somebody else chooses. */
static enum err ask_outside(struct sim_play *g, bool *stop)
{
    const struct sim_world *w = g->w;

    ERR_TRY(g->o->outside(g->o->outside_arg, g->round, g->out->person,
                          g->choice, stop));
    for (size_t u = 0; u < w->all.n_users; u++) {
        if (!sim_is_legal(&g->o->m, g->choice + w->seg_ptr[u],
                          sim_segments(w, u)))
            return err_set(ERR_ARG,
                           "person %zu: the rule does not allow this "
                           "choice",
                           u);
    }
    return ERR_OK;
}

/* Whether a round that was played comes out again when it is played again:
 * nothing of it hangs on rounds before but the choices. */
static bool returns(const struct sim_game_opts *o)
{
    return !o->fictitious && !o->solver->shared && !(o->temperature > 0);
}

/* Remember the choices of the round that is nearest to rest. */
static void remember(struct sim_play *g, const struct sim_round *r)
{
    const double share = r->residual / fmax(1e-9, fabs(r->utility_anticipated));

    if (g->round > 0 && !(share < g->nearest_share))
        return;
    g->nearest_share = share;
    memcpy(g->nearest, g->choice, g->w->seg_ptr[g->w->all.n_users]);
}

/* Back to those choices, for the last round; returns how many change. */
static double go_back(struct sim_play *g)
{
    const struct sim_world *w = g->w;
    double moved = 0;

    for (size_t u = 0; u < w->all.n_users; u++) {
        const size_t at = w->seg_ptr[u], n = sim_segments(w, u);

        moved += memcmp(g->choice + at, g->nearest + at, n) != 0;
        memcpy(g->choice + at, g->nearest + at, n);
    }
    return moved / (double)w->all.n_users;
}

static enum err play(struct sim_play *g)
{
    const size_t rounds = g->o->rounds;
    struct sim_result *out = g->out;
    bool stop = false;

    for (g->round = 0; g->round < rounds; g->round++) {
        struct sim_round *r = &out->round[g->round];

        log_tick("rounds", g->round, rounds, NULL);
        ERR_TRY(play_round(g, r));
        out->n_rounds = g->round + 1;
        out->settled =
            r->residual <= g->o->settled * fabs(r->utility_anticipated);
        if (g->o->m.rule == SIM_FIXED)
            out->settled = true;
        if (g->o->outside != NULL) {
            ERR_TRY(ask_outside(g, &stop));
            if (stop)
                break;
            continue;
        }
        if (out->settled || g->round + 1 == rounds)
            break;
        remember(g, r);
        r->moved = returns(g->o) && g->round + 2 == rounds ? go_back(g)
                                                           : reconsider(g);
    }
    log_tick("rounds", rounds, rounds, NULL);
    return g->o->retrain > 0 ? sim_retrain_some(g) : ERR_OK;
}

/* Everything, nothing, or by the platform's own draw. */
static void first_choice(struct sim_play *g)
{
    const struct sim_world *w = g->w;
    const uint64_t stream = rng_derive(g->o->seed, RNG_DISCLOSE, STREAM_FIXED);

    for (size_t u = 0; u < w->all.n_users; u++) {
        const uint64_t own =
            rng_derive(stream, RNG_DISCLOSE, w->all.user_key[u]);
        const bool on = g->o->m.rule == SIM_FIXED
                            ? rng_f64(own, RNG_DISCLOSE, 0) < g->o->m.share
                            : !g->o->cold;

        memset(g->choice + w->seg_ptr[u], on, sim_segments(w, u));
    }
    memcpy(g->past, g->choice, w->seg_ptr[w->all.n_users]);
}

/* Beliefs that shrink need choices that mean the same for everybody. */
static enum err check_shrink(struct sim_play *g)
{
    const size_t n = sim_segments(g->w, 0);

    if (g->o->solver != &sim_solver_exact)
        return err_set(ERR_ARG, "--shrink goes with --solver exact");
    for (size_t u = 0; u < g->w->all.n_users; u++) {
        if (sim_segments(g->w, u) != n)
            return err_set(ERR_ARG,
                           "--shrink needs segments that mean the same for "
                           "everybody: whole, type or blocks, and attributes "
                           "that everybody has");
    }
    g->choices = sim_exact_choices(&g->o->m, n);
    return ERR_OK;
}

/* One's own change is a change of the present recommender of all. */
static enum err check_retrain(const struct sim_game_opts *o)
{
    if (o->retrain == 0 || (o->folds < 2 && !o->fictitious && people_choose(o)))
        return ERR_OK;
    return err_set(ERR_ARG,
                   "--retrain trains again on what everybody shows: not with "
                   "--folds, --fictitious, fixed:Q or choices from outside");
}

static enum err check(struct sim_play *g)
{
    ERR_TRY(check_retrain(g->o));
    if (!people_choose(g->o))
        return ERR_OK;
    for (size_t u = 0; u < g->w->all.n_users; u++) {
        const char *why = g->o->solver->lacks(&g->o->m, sim_segments(g->w, u));

        if (why != NULL)
            return err_set(ERR_ARG, "%s", why);
    }
    return g->o->shrink > 0 ? check_shrink(g) : ERR_OK;
}

static enum err take_room(struct sim_play *g, struct mem_scratch *m)
{
    const struct sim_world *w = g->w;
    const size_t n = w->all.n_users, segments = w->seg_ptr[n];

    ERR_TRY(mem_budget((double)n * (double)g->choices * sizeof(float),
                       "the table of what people believe"));
    g->lambda = mem_take(m, n, 1, sizeof(*g->lambda));
    g->fold = mem_take(m, n, 1, sizeof(*g->fold));
    g->learns = mem_take(m, n, 1, 1);
    g->quality = mem_take(m, n, g->choices, sizeof(*g->quality));
    g->usual = mem_take(m, w->n_groups, g->choices, sizeof(*g->usual));
    g->next = mem_take(m, segments, 1, 1);
    g->past = mem_take(m, segments, 1, 1);
    g->nearest = mem_take(m, segments, 1, 1);
    g->keep = mem_take(m, w->all.n_rows, 1, 1);
    g->list = mem_take(m, n, SIM_LIST, sizeof(*g->list));
    g->listed = mem_take(m, w->all.n_items, 1, 1);
    g->sort = mem_take(m, n, 1, sizeof(*g->sort));
    g->eval = mem_take(m, par_threads(), 1, sizeof(*g->eval));
    if (m->failed)
        return no_memory();
    for (size_t t = 0; t < par_threads(); t++)
        sim_eval_open(&g->eval[t], m, w, &g->rows[0], &g->o->wants);
    *g->out = (struct sim_result){
        .n_users = n,
        .round = mem_array(g->o->rounds, sizeof(*g->out->round)),
        .person = mem_array(n, sizeof(*g->out->person)),
        .choice = mem_array(segments, 1),
    };
    g->choice = g->out->choice;
    return m->failed || g->out->round == NULL || g->out->person == NULL ||
                   g->choice == NULL
               ? no_memory()
               : ERR_OK;
}

enum err sim_play(struct sim_result *out, const struct sim_world *w,
                  const struct sim_game_opts *o)
{
    struct sim_play g = {.w = w, .o = o, .out = out};
    struct mem_scratch m = {0};
    enum err e = check(&g);

    *out = (struct sim_result){.n_users = 0};
    if (e == ERR_OK)
        e = take_room(&g, &m);
    if (e == ERR_OK)
        e = rec_model_options_json(o->like, &g.options);
    if (e == ERR_OK) {
        for (size_t u = 0; u < w->all.n_users; u++)
            g.lambda[u] = o->lambda != NULL ? o->lambda[u]
                                            : sim_taste_of(&o->tastes, o->seed,
                                                           w->all.user_key[u]);
        e = sim_keep_counts(&g, &m);
        sim_deal(&g);
        first_choice(&g);
        if (e == ERR_OK && o->solver->shared && people_choose(o))
            e = open_policy(&g);
        if (e == ERR_OK)
            e = play(&g);
    }
    for (size_t f = 0; f < SIM_FOLDS; f++)
        sim_rows_free(&g.rows[f]);
    rec_counts_free(&g.counts);
    sim_policy_free(g.policy);
    free(g.options);
    mem_drop(&m);
    if (e != ERR_OK)
        sim_result_free(out);
    return e;
}
