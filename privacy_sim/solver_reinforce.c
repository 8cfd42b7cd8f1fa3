/*
 * privacy_sim/solver_reinforce.c - a policy of one's own, learnt by trying.
 *
 * free, atleast: an independent coin for each segment, theta its logit;
 * binary, prefix: a soft maximum over the legal choices.  A sample's advantage
 * is its utility minus a running mean, over the root of a running variance.
 * The decision is the policy's mode, or the best that was tried where that is
 * better: what a choice is worth does not change while a person learns.
 *
 * Source: Williams, Simple statistical gradient-following algorithms for
 * connectionist reinforcement learning, Machine Learning 8, 1992.
 */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "privacy_sim/solver.h"

#define RATE_SHORT 0.3 /* for at most SHORT samples, else RATE_LONG */
#define RATE_LONG 0.1
#define SHORT 200
#define ENTROPY 0.01
#define FLOOR 0.01 /* of a coin's chance while learning */

struct running {
    double mean, variance;
    bool any;
};

static double advantage(struct running *b, double reward)
{
    if (!b->any)
        *b = (struct running){reward, 1e-4, true};
    const double d = reward - b->mean;

    b->mean += 0.1 * d;
    b->variance = 0.95 * b->variance + 0.05 * d * d;
    return d / sqrt(b->variance + 1e-8);
}

static double rate_of(const struct sim_task *t)
{
    if (t->rate > 0)
        return t->rate;
    return t->samples <= SHORT ? RATE_SHORT : RATE_LONG;
}

static double sigmoid(double x)
{
    return 1 / (1 + sim_exp(-x));
}

/* --- coins -----------------------------------------------------------------
 */

static double chance(double theta)
{
    const double p = sigmoid(theta);

    return p < FLOOR ? FLOOR : p > 1 - FLOOR ? 1 - FLOOR : p;
}

/* A draw that the rule allows: nothing, where it does not. */
static void draw_coins(const struct sim_eval *e, const struct sim_task *t,
                       const double *theta, size_t sample, uint8_t *on)
{
    for (size_t k = 0; k < e->n; k++)
        on[k] = rng_f64(t->stream, RNG_DISCLOSE, sample * e->n + k) <
                chance(theta[k]);
    if (!sim_is_legal(t->m, on, e->n))
        memset(on, 0, e->n);
}

void sim_coin_gradient(const uint8_t *on, const double *theta, size_t n,
                       double advantage, double *gradient)
{
    for (size_t k = 0; k < n; k++)
        gradient[k] = advantage * ((double)on[k] - chance(theta[k]));
}

static double learn_coins(struct sim_eval *e, const struct sim_task *t)
{
    const double rate = rate_of(t);
    double *theta = e->theta, *gradient = e->theta + e->n;
    uint8_t *on = e->kept_choice, *tried = e->kept_choice + e->n;
    struct running b = {.any = false};
    double most = 0;

    memset(theta, 0, e->n * sizeof(*theta));
    for (size_t s = 0; s < t->samples; s++) {
        const double entropy = ENTROPY * (1 - (double)s / (double)t->samples);

        draw_coins(e, t, theta, s, on);
        sim_eval_choose(e, on);
        const double u = sim_eval_anticipated(e);
        const double a = advantage(&b, u);

        if (s == 0 || u > most) {
            most = u;
            memcpy(tried, on, e->n);
        }
        sim_coin_gradient(on, theta, e->n, a, gradient);
        for (size_t k = 0; k < e->n; k++) {
            const double p = chance(theta[k]);

            theta[k] += rate * (gradient[k] - entropy * theta[k] * p * (1 - p));
        }
    }
    for (size_t k = 0; k < e->n; k++)
        on[k] = theta[k] > 0;
    if (!sim_is_legal(t->m, on, e->n))
        memset(on, 0, e->n);
    sim_eval_choose(e, on);
    const double mode = sim_eval_anticipated(e);

    if (mode >= most)
        return mode;
    sim_eval_choose(e, tried);
    return most;
}

/* --- one of a row of choices -----------------------------------------------
 */

static void soften(const double *theta, double *p, size_t n)
{
    double most = theta[0], sum = 0;

    for (size_t j = 1; j < n; j++)
        most = fmax(most, theta[j]);
    for (size_t j = 0; j < n; j++)
        sum += p[j] = sim_exp(theta[j] - most);
    for (size_t j = 0; j < n; j++)
        p[j] /= sum;
}

/* Choice j of a binary or prefix rule: how many recent segments it shows. */
static void choose_recent(struct sim_eval *e, const struct sim_task *t,
                          size_t j)
{
    const size_t shown = t->m->rule == SIM_BINARY ? j * e->n : j;
    uint8_t *on = e->kept_choice;

    for (size_t k = 0; k < e->n; k++)
        on[k] = k >= e->n - shown;
    sim_eval_choose(e, on);
}

static double learn_row(struct sim_eval *e, const struct sim_task *t)
{
    const size_t n = t->m->rule == SIM_BINARY ? 2 : e->n + 1;
    const double rate = rate_of(t);
    double *theta = e->theta, *p = e->theta + n;
    struct running b = {.any = false};
    size_t best = 0, tried = 0;
    double most = 0;

    memset(theta, 0, n * sizeof(*theta));
    for (size_t s = 0; s < t->samples; s++) {
        double at = rng_f64(t->stream, RNG_DISCLOSE, s);
        size_t j = 0;

        soften(theta, p, n);
        while (j + 1 < n && at >= p[j])
            at -= p[j++];
        choose_recent(e, t, j);
        const double u = sim_eval_anticipated(e);
        const double a = advantage(&b, u);

        if (s == 0 || u > most) {
            most = u;
            tried = j;
        }

        for (size_t i = 0; i < n; i++)
            theta[i] += rate * a * ((i == j ? 1.0 : 0.0) - p[i]);
    }
    for (size_t j = 1; j < n; j++) {
        if (theta[j] > theta[best])
            best = j;
    }
    choose_recent(e, t, best);
    const double mode = sim_eval_anticipated(e);

    if (mode >= most)
        return mode;
    choose_recent(e, t, tried);
    return most;
}

static double best(struct sim_eval *e, const struct sim_task *t)
{
    return t->m->rule == SIM_BINARY || t->m->rule == SIM_PREFIX
               ? learn_row(e, t)
               : learn_coins(e, t);
}

static const char *lacks(const struct sim_mechanism *m, size_t n)
{
    (void)m;
    (void)n;
    return NULL;
}

extern const struct sim_solver sim_solver_reinforce;
const struct sim_solver sim_solver_reinforce = {
    .name = "reinforce",
    .help = "a policy of one's own for each person, learnt by REINFORCE",
    .best = best,
    .lacks = lacks,
};
