/*
 * attack/attack_rmia.c - does somebody gain more from this model than people
 * who are not in it?  Source: Zarifzadeh, Liu & Shokri, ICML 2024.
 *
 * Offline: the references in which somebody is not stand for all; a = .3, the
 * paper's default, moves their mean towards 1.  A likelihood is the logistic of
 * the signal.
 */
#include <math.h>
#include <stdlib.h>

#include "attack/attack.h"
#include "base/mem.h"

#define A 0.3

static double chance(double phi)
{
    return 1 / (1 + exp(-phi));
}

/* Log of the person's ratio: likelihood here over the likelihood elsewhere. */
static double log_ratio(const struct atk_signals *s, size_t n, size_t u)
{
    double sum = 0;
    size_t outside = 0;

    for (size_t r = 0; r < s->n_refs; r++) {
        if (s->in[r * n + u])
            continue;
        sum += chance(s->ref[r * n + u]);
        outside++;
    }
    const double p = outside > 0 ? sum / (double)outside : 0.5;

    return log(chance(s->phi[u]) + 1e-300) -
           log(((1 + A) * p + (1 - A)) / 2 + 1e-300);
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Share of the population z that x passes. */
static double share_below(const double *z, size_t n, double x)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;

        if (z[mid] < x)
            lo = mid + 1;
        else
            hi = mid;
    }
    return n > 0 ? (double)lo / (double)n : 0.5;
}

/* Scores of x's n people against those of the population who are not in the
 * model. */
static enum err score(const struct atk_signals *x, size_t n,
                      const struct atk_signals *z, const uint8_t *in,
                      size_t n_z, double *out)
{
    double *sorted = mem_array(n_z, sizeof(*sorted));
    size_t m = 0;

    if (sorted == NULL)
        return err_set(ERR_NOMEM, "no memory for an attack");
    for (size_t u = 0; u < n_z; u++) {
        if (!in[u])
            sorted[m++] = log_ratio(z, n_z, u);
    }
    qsort(sorted, m, sizeof(*sorted), ascending);
    for (size_t u = 0; u < n; u++)
        out[u] = share_below(sorted, m, log_ratio(x, n, u));
    free(sorted);
    return ERR_OK;
}

static enum err run(const struct atk_case *c, struct atk_scores *out)
{
    ERR_TRY(score(&c->of_target, c->target.n, &c->of_population,
                  c->population_in, c->shadow.n, out->target));
    out->has_shadow = c->of_shadow.n_refs > 0;
    return out->has_shadow ? score(&c->of_shadow, c->shadow.n, &c->of_shadow,
                                   c->shadow.member, c->shadow.n, out->shadow)
                           : ERR_OK;
}

extern const struct atk_attack atk_attack_rmia;
const struct atk_attack atk_attack_rmia = {
    .name = "rmia",
    .help = "does a person gain more from this model than strangers do",
    .sees = "a person's history, the model's scores of all items, and models "
            "trained the same way on known people",
    .source = "Zarifzadeh, Liu & Shokri, ICML 2024",
    .needs = ATK_NEEDS_MODELS,
    .run = run,
};
