/*
 * attack/attack_lira.c - is a person's fit that of models which learnt from
 * them, or of models which did not?  Source: Carlini et al., S&P 2022.
 *
 * For each person the mean of either kind of reference; one deviation for all,
 * as the paper advises below 64 references.
 */
#include <math.h>
#include <stdlib.h>

#include "attack/attack.h"
#include "base/mem.h"

struct normals {
    double *mean[2]; /* [out, in][people] */
    double deviation[2];
};

static double reference(const struct atk_signals *s, size_t n, size_t r,
                        size_t u)
{
    return s->ref[r * n + u];
}

/* Somebody whose coins all fell alike gets the mean of the one kind, moved by
 * the mean difference of everybody. */
static void fit(const struct atk_signals *s, size_t n, struct normals *f)
{
    double gap = 0, square[2] = {0, 0};
    size_t both = 0, count[2] = {0, 0};

    for (int pass = 0; pass < 2; pass++) {
        for (size_t u = 0; u < n; u++) {
            double sum[2] = {0, 0};
            size_t k[2] = {0, 0};

            for (size_t r = 0; r < s->n_refs; r++) {
                const bool in = s->in[r * n + u] != 0;

                sum[in] += reference(s, n, r, u);
                k[in]++;
            }
            if (pass == 0 && k[0] > 0 && k[1] > 0) {
                gap += sum[1] / (double)k[1] - sum[0] / (double)k[0];
                both++;
            }
            for (int in = 0; in < 2 && pass == 1; in++) {
                const double other = sum[!in] / (double)k[!in];

                f->mean[in][u] = k[in] > 0 ? sum[in] / (double)k[in]
                                 : in      ? other + gap
                                           : other - gap;
            }
        }
        if (pass == 0 && both > 0)
            gap /= (double)both;
    }
    for (size_t r = 0; r < s->n_refs; r++) {
        for (size_t u = 0; u < n; u++) {
            const bool in = s->in[r * n + u] != 0;
            const double x = reference(s, n, r, u) - f->mean[in][u];

            square[in] += x * x;
            count[in]++;
        }
    }
    for (int in = 0; in < 2; in++)
        f->deviation[in] = fmax(
            1e-9, sqrt(square[in] / (double)(count[in] > 0 ? count[in] : 1)));
}

static enum err score(const struct atk_signals *s, size_t n, double *out)
{
    struct mem_scratch m = {0};
    struct normals f = {.mean = {mem_take(&m, n, 1, sizeof(double)),
                                 mem_take(&m, n, 1, sizeof(double))}};

    if (m.failed) {
        mem_drop(&m);
        return err_set(ERR_NOMEM, "no memory for an attack");
    }
    fit(s, n, &f);
    for (size_t u = 0; u < n; u++) {
        double z[2];

        for (int in = 0; in < 2; in++)
            z[in] = (s->phi[u] - f.mean[in][u]) / f.deviation[in];
        out[u] = (z[0] * z[0] - z[1] * z[1]) / 2 + log(f.deviation[0]) -
                 log(f.deviation[1]);
    }
    mem_drop(&m);
    return ERR_OK;
}

static enum err run(const struct atk_case *c, struct atk_scores *out)
{
    ERR_TRY(score(&c->of_target, c->target.n, out->target));
    out->has_shadow = c->of_shadow.n_refs > 0;
    if (out->has_shadow)
        ERR_TRY(score(&c->of_shadow, c->shadow.n, out->shadow));
    (void)snprintf(out->note, sizeof(out->note), "%zu reference models",
                   c->of_target.n_refs);
    return ERR_OK;
}

extern const struct atk_attack atk_attack_lira;
const struct atk_attack atk_attack_lira = {
    .name = "lira",
    .help = "likelihood ratio of models that learnt from somebody and not",
    .sees = "a person's history, the model's scores of all items, and models "
            "trained the same way on known people",
    .source = "Carlini et al., S&P 2022",
    .needs = ATK_NEEDS_MODELS,
    .run = run,
};
