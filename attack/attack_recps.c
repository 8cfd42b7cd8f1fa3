/*
 * attack/attack_recps.c - does the model fit this better than models that never
 * saw it fit others?  All references' fits of what they did not see make one
 * normal distribution; the score is the chance of less.
 *
 * Source: Li et al., RecPS, RecSys 2025 (its attack, RecLiRA).  It asks about
 * single rows: `recd audit membership --unit interaction`.  Differs: the fit is
 * standardised by the model's own scores of other items (attack/signal.h), not
 * the logit of one probability.
 */
#include <math.h>

#include "attack/attack.h"

static void score(const struct atk_signals *s, size_t n, double *out)
{
    double sum = 0, square = 0;
    size_t count = 0;

    for (size_t i = 0; i < s->n_refs * n; i++) {
        if (s->in[i])
            continue;
        sum += s->ref[i];
        square += s->ref[i] * s->ref[i];
        count++;
    }
    const double mean = count > 0 ? sum / (double)count : 0;
    const double spread = count > 0 ? square / (double)count - mean * mean : 1;
    const double deviation = sqrt(fmax(spread, 1e-18));

    for (size_t u = 0; u < n; u++)
        out[u] = 0.5 * erfc((mean - s->phi[u]) / (deviation * sqrt(2)));
}

static enum err run(const struct atk_case *c, struct atk_scores *out)
{
    score(&c->of_target, c->target.n, out->target);
    out->has_shadow = c->of_shadow.n_refs > 0;
    if (out->has_shadow)
        score(&c->of_shadow, c->shadow.n, out->shadow);
    return ERR_OK;
}

extern const struct atk_attack atk_attack_recps;
const struct atk_attack atk_attack_recps = {
    .name = "recps",
    .help = "a fit that models without it do not reach, all pooled",
    .sees = "a history or a row, the model's scores of all items, and models "
            "trained the same way without it",
    .source = "Li et al., RecSys 2025",
    .needs = ATK_NEEDS_MODELS,
    .run = run,
};
