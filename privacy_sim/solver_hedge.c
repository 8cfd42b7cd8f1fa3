/*
 * privacy_sim/solver_hedge.c - multiplicative weights for each segment.
 *
 * Each segment is shown with chance p = sigma(eta S), S being what showing it
 * has gained so far beside the choices that were drawn; eta = sqrt(ln 2 / sum
 * of the squares of those gains), which is Hedge's rate (Freund and Schapire,
 * JCSS 1997) without knowing their size.  The answer is what the mean of p
 * shows, or the best choice that was met on the way, if that is better.  A draw
 * costs two changes for each segment.
 */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "privacy_sim/solver.h"

#define LN2 0.69314718055994531

struct hedge {
    double *gain, *square, *mean; /* [n] each */
    uint8_t *best;                /* [n] */
    double most;
};

static double chance(const struct hedge *h, size_t k)
{
    const double x =
        h->square[k] > 0 ? h->gain[k] * sqrt(LN2 / h->square[k]) : 0;

    return 1 / (1 + sim_exp(-x));
}

static void remember(const struct sim_eval *e, struct hedge *h, double u)
{
    if (!(u > h->most))
        return;
    h->most = u;
    memcpy(h->best, e->on, e->n);
}

/* What showing each segment gains beside the present choice. */
static void look_around(struct sim_eval *e, const struct sim_task *t,
                        struct hedge *h)
{
    const double here = sim_eval_anticipated(e);

    remember(e, h, here);
    for (size_t k = 0; k < e->n; k++) {
        if (!sim_solver_may_toggle(e, t, k))
            continue;
        sim_eval_toggle(e, k);
        const double there = sim_eval_anticipated(e);
        const double gain = e->on[k] ? there - here : here - there;

        remember(e, h, there);
        sim_eval_toggle(e, k);
        h->gain[k] += gain;
        h->square[k] += gain * gain;
    }
}

static double best(struct sim_eval *e, const struct sim_task *t)
{
    const size_t n = e->n;
    struct hedge h = {.gain = e->theta,
                      .square = e->theta + n,
                      .mean = e->theta + 2 * n,
                      .best = e->kept_choice,
                      .most = -INFINITY};
    uint8_t *on = e->kept_choice + n;

    memset(e->theta, 0, 3 * n * sizeof(*e->theta));
    for (size_t s = 0; s < t->samples; s++) {
        for (size_t k = 0; k < n; k++) {
            const double p = chance(&h, k);

            h.mean[k] += p / (double)t->samples;
            on[k] = rng_f64(t->stream, RNG_DISCLOSE, s * n + k) < p;
        }
        if (!sim_is_legal(t->m, on, n))
            memset(on, 1, n);
        sim_eval_choose(e, on);
        look_around(e, t, &h);
    }
    for (size_t k = 0; k < n; k++)
        on[k] = h.mean[k] > 0.5;
    if (sim_is_legal(t->m, on, n)) {
        sim_eval_choose(e, on);
        remember(e, &h, sim_eval_anticipated(e));
    }
    sim_eval_choose(e, h.best);
    return h.most;
}

static const char *lacks(const struct sim_mechanism *m, size_t n)
{
    (void)n;
    return m->rule == SIM_FREE || m->rule == SIM_ATLEAST
               ? NULL
               : "hedge weighs single segments, which this rule forbids: take "
                 "exact";
}

extern const struct sim_solver sim_solver_hedge;
const struct sim_solver sim_solver_hedge = {
    .name = "hedge",
    .help = "multiplicative weights for each segment; for many segments",
    .best = best,
    .lacks = lacks,
};
