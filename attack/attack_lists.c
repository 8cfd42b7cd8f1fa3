/*
 * attack/attack_lists.c - four numbers about a list, weighed by logistic
 * regression on the attacker's own people.
 *
 * Each number is standardised inside its own set of people: shadow and target
 * may differ in size, catalogue and taste.
 */
#include <math.h>
#include <stdlib.h>

#include "attack/attack.h"
#include "attack/features.h"
#include "base/mem.h"

#define N_NUMBERS 4
#define STEPS 50
#define RIDGE 1e-3 /* keeps the weights finite where the sets separate */

struct numbers {
    double *x[N_NUMBERS]; /* [people] */
};

static enum err find_numbers(struct numbers *f, struct mem_scratch *m,
                             const struct atk_people *p,
                             const struct atk_items *t)
{
    double *log_count = mem_take(m, t->n, 1, sizeof(*log_count));
    float *diff = mem_take(m, p->n, t->dim, sizeof(*diff));

    for (size_t k = 0; k < N_NUMBERS; k++)
        f->x[k] = mem_take(m, p->n, 1, sizeof(double));
    if (m->failed)
        return err_set(ERR_NOMEM, "no memory for the numbers of lists");
    atk_popularity(p, t->n, log_count);
    atk_list_mean(p, log_count, f->x[0]);
    ERR_TRY(atk_overlap(p, t->n, f->x[1]));
    ERR_TRY(atk_consensus(p, t->n, f->x[2]));
    ERR_TRY(atk_difference(p, t, diff));
    for (size_t u = 0; u < p->n; u++) {
        double sum = 0;

        for (size_t d = 0; d < t->dim; d++)
            sum += (double)diff[u * t->dim + d] * (double)diff[u * t->dim + d];
        f->x[3][u] = sqrt(sum);
    }
    for (size_t k = 0; k < N_NUMBERS; k++)
        atk_standardise(f->x[k], p->n);
    return ERR_OK;
}

static double logit_of(const double w[N_NUMBERS + 1], const struct numbers *f,
                       size_t u)
{
    double sum = w[N_NUMBERS];

    for (size_t k = 0; k < N_NUMBERS; k++)
        sum += w[k] * f->x[k][u];
    return sum;
}

/* Gaussian elimination of the 5 x 5 normal equations. */
static void solve(double a[N_NUMBERS + 1][N_NUMBERS + 2],
                  double x[N_NUMBERS + 1])
{
    const size_t n = N_NUMBERS + 1;

    for (size_t i = 0; i < n; i++) {
        for (size_t r = i + 1; r < n; r++) { /* definite: no pivoting */
            const double f = a[r][i] / a[i][i];

            for (size_t k = i; k <= n; k++)
                a[r][k] -= f * a[i][k];
        }
    }
    for (size_t i = n; i-- > 0;) {
        x[i] = a[i][n];
        for (size_t k = i + 1; k < n; k++)
            x[i] -= a[i][k] * x[k];
        x[i] /= a[i][i];
    }
}

/* One step of Newton's method. */
static double step(double w[N_NUMBERS + 1], const struct numbers *f,
                   const struct atk_people *p)
{
    const size_t n = N_NUMBERS + 1;
    double a[N_NUMBERS + 1][N_NUMBERS + 2] = {{0}}, move[N_NUMBERS + 1];
    double largest = 0;

    for (size_t u = 0; u < p->n; u++) {
        const double q = 1 / (1 + exp(-logit_of(w, f, u)));
        const double share = 1 / (double)p->n;

        for (size_t i = 0; i < n; i++) {
            const double xi = i < N_NUMBERS ? f->x[i][u] : 1;

            for (size_t k = 0; k < n; k++)
                a[i][k] +=
                    share * q * (1 - q) * xi * (k < N_NUMBERS ? f->x[k][u] : 1);
            a[i][n] += share * (p->member[u] - q) * xi;
        }
    }
    for (size_t i = 0; i < n; i++) {
        a[i][i] += RIDGE;
        a[i][n] -= RIDGE * w[i];
    }
    solve(a, move);
    for (size_t i = 0; i < n; i++) {
        w[i] += move[i];
        largest = fmax(largest, fabs(move[i]));
    }
    return largest;
}

static enum err run(const struct atk_case *c, struct atk_scores *out)
{
    struct mem_scratch m = {0};
    struct numbers shadow, target;
    double w[N_NUMBERS + 1] = {0};
    enum err e = find_numbers(&shadow, &m, &c->shadow, &c->items);

    if (e == ERR_OK)
        e = find_numbers(&target, &m, &c->target, &c->items);
    for (int i = 0; i < STEPS && e == ERR_OK; i++) {
        if (step(w, &shadow, &c->shadow) < 1e-10)
            break;
    }
    for (size_t u = 0; u < c->shadow.n && e == ERR_OK; u++)
        out->shadow[u] = logit_of(w, &shadow, u);
    for (size_t u = 0; u < c->target.n && e == ERR_OK; u++)
        out->target[u] = logit_of(w, &target, u);
    out->has_shadow = out->has_threshold = true;
    out->threshold = 0;
    if (e == ERR_OK)
        (void)snprintf(out->note, sizeof(out->note),
                       "weights: popularity %.2f, overlap %.2f, consensus "
                       "%.2f, distance %.2f",
                       w[0], w[1], w[2], w[3]);
    mem_drop(&m);
    return e;
}

extern const struct atk_attack atk_attack_lists;
const struct atk_attack atk_attack_lists = {
    .name = "lists",
    .help = "popularity, overlap, consensus and distance of a list, weighed",
    .sees = "a person's history and list; people of known membership",
    .source = "docs/audit.md",
    .needs = ATK_NEEDS_SHADOW | ATK_NEEDS_VECTORS,
    .run = run,
};
