/* privacy_sim/policy.c - a network that says what to disclose. */
#include "privacy_sim/policy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "kernels/power.h"
#include "nn/nn.h"

#define BATCH 256
#define TRIES 4
#define WIDTH 64
#define RATE 3e-3
#define ENTROPY 0.003
#define FLOOR 0.01 /* of a coin's chance while learning */

struct sim_policy {
    const struct sim_mechanism *m;
    const struct sim_world *w;
    size_t n, n_in, n_out; /* segments, features, numbers that it says */
    struct nn_params *params;
    struct nn_tape *tape;
    struct nn_optim *optim;
    struct nn_tensor *x, *push, *logits;
    uint64_t step;
    struct mem_scratch room;
    float *features;        /* [n_users][n_in] */
    float *said;            /* [n_users][n_out] */
    uint64_t *tried;        /* [n_users] the best mask that was tried */
    double *worth;          /* [n_users] its utility */
    float *in, *out, *grad; /* of a batch */
    uint32_t *who;          /* [BATCH] */
    uint64_t *mask;         /* [BATCH][TRIES] */
    double *reward;         /* [BATCH][TRIES] */
};

static bool is_row(const struct sim_mechanism *m)
{
    return m->rule == SIM_BINARY || m->rule == SIM_PREFIX;
}

static size_t choices(const struct sim_mechanism *m, size_t n)
{
    return m->rule == SIM_BINARY ? 2 : n + 1;
}

static uint64_t all_of(size_t n)
{
    return n < 64 ? ((uint64_t)1 << n) - 1 : UINT64_MAX;
}

/* The mask of choice j of a row of choices. */
static uint64_t recent(const struct sim_policy *p, size_t j)
{
    if (j == 0)
        return 0;
    if (p->m->rule == SIM_BINARY)
        return all_of(p->n);
    return all_of(p->n) & ~all_of(p->n - j);
}

static uint64_t legal(const struct sim_policy *p, uint64_t mask)
{
    const size_t on = (size_t)__builtin_popcountll(mask);

    return p->m->rule == SIM_ATLEAST && on < p->m->least ? 0 : mask;
}

/* --- making ----------------------------------------------------------------
 */

static enum err build(struct sim_policy *p, uint64_t seed)
{
    const struct nn_optim_opt adam = {.kind = NN_ADAM, .lr = RATE};

    ERR_TRY(nn_params_new(&p->params, NN_F32, seed));
    ERR_TRY(nn_tape_new(&p->tape, p->params));
    p->x = nn_tape_input(p->tape, "x", 2, (size_t[]){BATCH, p->n_in});
    p->push = nn_tape_input(p->tape, "push", 2, (size_t[]){BATCH, p->n_out});
    struct nn_tensor *h = nn_linear(p->tape, p->x, "first", WIDTH, NN_TANH);

    h = nn_linear(p->tape, h, "second", WIDTH, NN_TANH);
    p->logits = nn_linear(p->tape, h, "logits", p->n_out, NN_NONE);
    /* its gradient by the logits is `push` itself */
    struct nn_tensor *loss =
        nn_reduce_sum(p->tape, nn_map_mul(p->tape, p->logits, p->push), NULL);

    nn_tape_keep(p->tape, p->logits);
    ERR_TRY(nn_tape_plan(p->tape, loss));
    return nn_optim_new(&p->optim, p->params, &adam);
}

enum err sim_policy_new(struct sim_policy **out, const struct sim_mechanism *m,
                        const struct sim_world *w, size_t n, uint64_t seed)
{
    struct sim_policy *p = mem_array(1, sizeof(*p));
    const size_t users = w->all.n_users;

    if (p == NULL)
        return err_set(ERR_NOMEM, "no memory for a policy");
    *p = (struct sim_policy){
        .m = m,
        .w = w,
        .n = n,
        .n_in = 4 * n + 4,
        .n_out = is_row(m) ? choices(m, n) : n,
    };
    p->features = mem_take(&p->room, users, p->n_in, sizeof(float));
    p->said = mem_take(&p->room, users, p->n_out, sizeof(float));
    p->tried = mem_take(&p->room, users, 1, sizeof(uint64_t));
    p->worth = mem_take(&p->room, users, 1, sizeof(double));
    p->in = mem_take(&p->room, BATCH, p->n_in, sizeof(float));
    p->out = mem_take(&p->room, BATCH, p->n_out, sizeof(float));
    p->grad = mem_take(&p->room, BATCH, p->n_out, sizeof(float));
    p->who = mem_take(&p->room, BATCH, 1, sizeof(uint32_t));
    p->mask = mem_take(&p->room, BATCH, TRIES, sizeof(uint64_t));
    p->reward = mem_take(&p->room, BATCH, TRIES, sizeof(double));
    enum err e =
        p->room.failed ? err_set(ERR_NOMEM, "no memory for a policy") : ERR_OK;

    if (e == ERR_OK && n > SIM_POLICY_MOST)
        e = err_set(ERR_ARG, "a policy knows at most %d segments",
                    SIM_POLICY_MOST);
    if (e == ERR_OK)
        e = build(p, seed);
    if (e == ERR_OK)
        *out = p;
    else
        sim_policy_free(p);
    return e;
}

void sim_policy_free(struct sim_policy *p)
{
    if (p == NULL)
        return;
    nn_optim_free(p->optim);
    nn_tape_free(p->tape);
    nn_params_free(p->params);
    mem_drop(&p->room);
    free(p);
}

/* --- looking at people -----------------------------------------------------
 */

struct look {
    struct sim_policy *p;
    const struct sim_crowd *c;
    size_t refine; /* tries that are left to each person in the end */
};

static void turn_to(const struct look *l, struct sim_eval *e, size_t u)
{
    e->r = &l->c->rows[l->c->fold[u]];
    sim_eval_user(e, u, l->c->lambda[u]);
    sim_eval_length(e, e->how->cut);
}

static double value_of(const struct sim_policy *p, struct sim_eval *e,
                       uint64_t mask)
{
    for (size_t k = 0; k < p->n; k++)
        e->kept_choice[k] = mask >> k & 1;
    sim_eval_choose(e, e->kept_choice);
    return sim_eval_anticipated(e);
}

/* The same, and remember the best; one task a person. */
static double try_mask(struct sim_policy *p, struct sim_eval *e, uint64_t mask)
{
    const double utility = value_of(p, e, mask);

    if (sim_is_legal(p->m, e->on, e->n) && utility > p->worth[e->user]) {
        p->worth[e->user] = utility;
        p->tried[e->user] = mask;
    }
    return utility;
}

/* Share of each segment's items that are among the popular half of rows. */
static void popularity_of(const struct sim_eval *e, float *out)
{
    const struct sim_world *w = e->w;
    double sum[SIM_POLICY_MOST] = {0}, count[SIM_POLICY_MOST] = {0};

    for (size_t r = w->all.user_ptr[e->user]; r < w->all.user_ptr[e->user + 1];
         r++) {
        sum[w->segment[r]] +=
            (double)e->r->popular[w->all.item[r]] / (double)w->all.n_users;
        count[w->segment[r]]++;
    }
    for (size_t k = 0; k < e->n; k++)
        out[k] = (float)(count[k] > 0 ? 4 * sum[k] / count[k] : 0);
}

/* What the network sees; utilities are scaled to about one. */
static void look_task(void *arg, size_t u, size_t thread)
{
    const struct look *l = arg;
    struct sim_policy *p = l->p;
    struct sim_eval *e = &l->c->eval[thread];
    const size_t n = p->n;
    const size_t rows = p->w->all.user_ptr[u + 1] - p->w->all.user_ptr[u];
    float *x = p->features + u * p->n_in;

    turn_to(l, e, u);
    p->tried[u] = 0;
    p->worth[u] = -INFINITY;
    const double none = try_mask(p, e, 0);
    const double all = try_mask(p, e, all_of(n));

    for (size_t k = 0; k < n; k++) {
        const uint64_t one = (uint64_t)1 << k;
        const int64_t weight = e->w->weight[e->w->seg_ptr[u] + k];

        /* a segment alone and all but it; or, in a row, the choices */
        const uint64_t a = is_row(p->m) ? recent(p, k + 1) : one;
        const uint64_t b = is_row(p->m) ? recent(p, k) : all_of(n) & ~one;

        x[k] = (float)(5 * (try_mask(p, e, a) - none));
        x[n + k] = (float)(5 * (all - try_mask(p, e, b)));
        x[2 * n + k] =
            (float)(4 * (double)weight / (double)(e->total + 1)) - 0.5f;
    }
    popularity_of(e, x + 3 * n);
    x[4 * n] = (float)(5 * l->c->lambda[u]);
    x[4 * n + 1] = (float)(5 * (all - none));
    x[4 * n + 2] = (float)(5 * none);
    x[4 * n + 3] = (float)(0.14 * krn_log2_f64((double)rows + 1) - 0.8);
    sim_eval_leave(e);
}

/* --- trying ----------------------------------------------------------------
 */

static void try_task(void *arg, size_t b, size_t thread)
{
    const struct look *l = arg;
    struct sim_eval *e = &l->c->eval[thread];

    turn_to(l, e, l->p->who[b]);
    for (size_t s = 0; s < TRIES; s++)
        l->p->reward[b * TRIES + s] =
            value_of(l->p, e, l->p->mask[b * TRIES + s]);
    sim_eval_leave(e);
}

/* In order: a person may be in a batch twice.  Tries are legal. */
static void remember(struct sim_policy *p)
{
    for (size_t t = 0; t < BATCH * TRIES; t++) {
        const uint32_t u = p->who[t / TRIES];

        if (p->reward[t] > p->worth[u]) {
            p->worth[u] = p->reward[t];
            p->tried[u] = p->mask[t];
        }
    }
}

static double sigmoid(double x)
{
    const double p = 1 / (1 + sim_exp(-x));

    return p < FLOOR ? FLOOR : p > 1 - FLOOR ? 1 - FLOOR : p;
}

static void soften(const float *logit, double *chance, size_t n)
{
    double most = (double)logit[0], sum = 0;

    for (size_t j = 1; j < n; j++)
        most = fmax(most, (double)logit[j]);
    for (size_t j = 0; j < n; j++)
        sum += chance[j] = sim_exp((double)logit[j] - most);
    for (size_t j = 0; j < n; j++)
        chance[j] /= sum;
}

/* Chances of the numbers of person b of the batch. */
static void chances(const struct sim_policy *p, size_t b, double *chance)
{
    const float *logit = p->out + b * p->n_out;

    if (is_row(p->m)) {
        soften(logit, chance, p->n_out);
        return;
    }
    for (size_t k = 0; k < p->n; k++)
        chance[k] = sigmoid((double)logit[k]);
}

/* Draw tries; `drawn` says choice j or the coins, before the rule forbids. */
static void draw(struct sim_policy *p, size_t b, uint64_t stream,
                 uint64_t *drawn)
{
    double chance[SIM_POLICY_MOST + 1];

    chances(p, b, chance);
    for (size_t s = 0; s < TRIES; s++) {
        const size_t at = b * TRIES + s;

        if (is_row(p->m)) {
            double x = rng_f64(stream, RNG_DISCLOSE, at);
            size_t j = 0;

            while (j + 1 < p->n_out && x >= chance[j])
                x -= chance[j++];
            drawn[at] = j;
            p->mask[at] = recent(p, j);
            continue;
        }
        drawn[at] = 0;
        for (size_t k = 0; k < p->n; k++) {
            const double x =
                rng_f64(stream, RNG_DISCLOSE, at * SIM_POLICY_MOST + k);

            drawn[at] |= (uint64_t)(x < chance[k]) << k;
        }
        p->mask[at] = legal(p, drawn[at]);
    }
}

/* Where the loss pushes the logits: minus the score-function estimate. */
static void push(struct sim_policy *p, size_t b, const uint64_t *drawn)
{
    double chance[SIM_POLICY_MOST + 1], mean = 0, spread = 0;
    float *g = p->grad + b * p->n_out;
    const double *reward = p->reward + b * TRIES;

    chances(p, b, chance);
    for (size_t s = 0; s < TRIES; s++)
        mean += reward[s] / TRIES;
    for (size_t s = 0; s < TRIES; s++)
        spread += (reward[s] - mean) * (reward[s] - mean) / TRIES;
    spread = sqrt(spread) + 0.01;
    memset(g, 0, p->n_out * sizeof(*g));
    for (size_t s = 0; s < TRIES; s++) {
        /* r - mean of the others = (r - mean) * TRIES / (TRIES - 1) */
        const double a = (reward[s] - mean) / spread / (TRIES - 1);

        for (size_t k = 0; k < p->n_out; k++) {
            const bool hit = is_row(p->m)
                                 ? drawn[b * TRIES + s] == k
                                 : (drawn[b * TRIES + s] >> k & 1) != 0;

            g[k] -= (float)(a * ((hit ? 1.0 : 0.0) - chance[k]) / BATCH);
        }
    }
    for (size_t k = 0; k < p->n_out && !is_row(p->m); k++)
        g[k] += (float)(ENTROPY * (double)p->out[b * p->n_out + k] * chance[k] *
                        (1 - chance[k]) / BATCH);
}

static enum err forward(struct sim_policy *p, size_t n)
{
    memset(p->in, 0, BATCH * p->n_in * sizeof(*p->in));
    for (size_t b = 0; b < n; b++)
        memcpy(p->in + b * p->n_in, p->features + p->who[b] * p->n_in,
               p->n_in * sizeof(*p->in));
    nn_tape_set(p->tape, p->x, p->in);
    ERR_TRY(nn_tape_forward(p->tape));
    nn_tape_get(p->tape, p->logits, p->out);
    return ERR_OK;
}

static enum err one_step(struct look *l, uint64_t stream, uint64_t *drawn)
{
    struct sim_policy *p = l->p;

    ERR_TRY(forward(p, BATCH));
    for (size_t b = 0; b < BATCH; b++)
        draw(p, b, stream, drawn);
    par_for(BATCH, try_task, l);
    remember(p);
    for (size_t b = 0; b < BATCH; b++)
        push(p, b, drawn);
    nn_tape_set(p->tape, p->push, p->grad);
    /* the loss is recomputed with the push; people and logits are the same */
    return nn_optim_train(p->optim, p->tape, NULL);
}

/* The people of a step: a walk through a shuffled list of who takes part. */
static enum err walk(struct look *l, const uint32_t *people, size_t n,
                     size_t steps)
{
    uint64_t *drawn = mem_array(BATCH * TRIES, sizeof(*drawn));
    uint32_t *order = mem_array(n, sizeof(*order));
    enum err e = drawn == NULL || order == NULL
                     ? err_set(ERR_NOMEM, "no memory for a policy")
                     : ERR_OK;

    for (size_t s = 0, at = 0, lap = 0; s < steps && e == ERR_OK; s++) {
        for (size_t b = 0; b < BATCH; b++, at++) {
            if (at % n == 0)
                rng_shuffle(rng_derive(l->c->seed, RNG_DISCLOSE, lap++),
                            RNG_DISCLOSE, n, order);
            l->p->who[b] = people[order[at % n]];
        }
        log_tick("learning a policy", s, steps, NULL);
        e = log_stopping() ? err_set(ERR_STOPPED, "stopped")
                           : one_step(l,
                                      rng_derive(l->c->seed, RNG_DISCLOSE,
                                                 ((uint64_t)1 << 40) + s),
                                      drawn);
    }
    free(drawn);
    free(order);
    return e;
}

static enum err decide(struct sim_policy *p)
{
    const size_t users = p->w->all.n_users;

    for (size_t first = 0; first < users; first += BATCH) {
        const size_t n = users - first < BATCH ? users - first : BATCH;

        for (size_t b = 0; b < n; b++)
            p->who[b] = (uint32_t)(first + b);
        ERR_TRY(forward(p, n));
        memcpy(p->said + first * p->n_out, p->out,
               n * p->n_out * sizeof(*p->said));
    }
    return ERR_OK;
}

static uint64_t mode_of(const struct sim_policy *p, size_t u)
{
    const float *logit = p->said + u * p->n_out;
    uint64_t mask = 0;
    size_t best = 0;

    if (is_row(p->m)) {
        for (size_t j = 1; j < p->n_out; j++)
            best = logit[j] > logit[best] ? j : best;
        return recent(p, best);
    }
    for (size_t k = 0; k < p->n; k++)
        mask |= (uint64_t)(logit[k] > 0) << k;
    return legal(p, mask);
}

/* Segments by how sure the network is of them, the least sure first. */
static void order_doubts(const struct sim_policy *p, size_t u, size_t *order)
{
    const float *logit = p->said + u * p->n_out;

    for (size_t k = 0; k < p->n; k++) {
        size_t at = k;

        for (; at > 0 && fabsf(logit[order[at - 1]]) > fabsf(logit[k]); at--)
            order[at] = order[at - 1];
        order[at] = k;
    }
}

/* The mode, and then single changes of the best so far while tries are left
 * and something changes. */
static void mode_task(void *arg, size_t u, size_t thread)
{
    const struct look *l = arg;
    struct sim_policy *p = l->p;
    struct sim_eval *e = &l->c->eval[thread];
    size_t order[SIM_POLICY_MOST], left = l->refine;
    bool better = !is_row(p->m);

    turn_to(l, e, u);
    (void)try_mask(p, e, mode_of(p, u));
    order_doubts(p, u, order);
    while (better && left > 0) {
        better = false;
        for (size_t k = 0; k < p->n && left > 0; k++, left--) {
            const uint64_t before = p->tried[u];

            (void)try_mask(p, e, before ^ (uint64_t)1 << order[k]);
            better = better || p->tried[u] != before;
        }
    }
    sim_eval_leave(e);
}

enum err sim_policy_learn(struct sim_policy *p, const struct sim_crowd *c)
{
    const size_t users = p->w->all.n_users, seen = 2 * p->n + 2;
    const size_t left = c->samples > seen ? c->samples - seen : 0;
    uint32_t *people = mem_array(users, sizeof(*people));
    struct look l = {p, c, is_row(p->m) ? 0 : left / 2};
    size_t n = 0;

    if (people == NULL)
        return err_set(ERR_NOMEM, "no memory for a policy");
    for (size_t u = 0; u < users; u++) {
        if (c->learns[u])
            people[n++] = (uint32_t)u;
    }
    par_for(users, look_task, &l);
    enum err e =
        n > 0 ? walk(&l, people, n, (left - l.refine) * n / (BATCH * TRIES))
              : ERR_OK;

    if (e == ERR_OK)
        e = decide(p);
    if (e == ERR_OK)
        par_for(users, mode_task, &l);
    free(people);
    return e;
}

void sim_policy_choice(const struct sim_policy *p, size_t user, uint8_t *on)
{
    for (size_t k = 0; k < p->n; k++)
        on[k] = p->tried[user] >> k & 1;
}
