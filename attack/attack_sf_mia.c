/*
 * attack/attack_sf_mia.c - whether a list is nearer to the person's history or
 * to what is popular.  Source: Chi et al., IJCAI 2024.
 *
 * Two deviations, which --faithful takes back: the popular items are those of
 * all histories (the paper takes the members', whom the attacker does not
 * know), and both distances are used as they are (its program adds 1e-4 for
 * non-members alone).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attack/attack.h"
#include "attack/features.h"
#include "attack/stat.h"
#include "base/mem.h"

#define POPULAR 100

static double distance(const float *a, const float *b, size_t dim)
{
    double sum = 0;

    for (size_t d = 0; d < dim; d++)
        sum += ((double)a[d] - (double)b[d]) * ((double)a[d] - (double)b[d]);
    return sqrt(sum);
}

/* Mean vector of the most popular items; log_count is used up. */
static void popular_vector(const struct atk_items *t, double *log_count,
                           float *out)
{
    size_t used = 0;

    memset(out, 0, t->dim * sizeof(*out));
    for (size_t k = 0; k < POPULAR && k < t->n; k++) {
        size_t best = 0;

        for (size_t i = 1; i < t->n; i++) {
            if (log_count[i] > log_count[best])
                best = i;
        }
        log_count[best] = -1;
        if (!t->known[best])
            continue;
        used++;
        for (size_t d = 0; d < t->dim; d++)
            out[d] += t->vec[best * t->dim + d];
    }
    for (size_t d = 0; d < t->dim && used > 0; d++)
        out[d] /= (float)used;
}

/* By the people's true labels: as published, popularity is that of the members'
 * histories, and a stranger's distance to it has 1e-4 more. */
static void count_members(const struct atk_people *p, size_t n_items,
                          double *count)
{
    for (size_t i = 0; i < n_items; i++)
        count[i] = 0;
    for (size_t u = 0; u < p->n; u++) {
        for (size_t r = p->hist_ptr[u]; r < p->hist_ptr[u + 1] && p->member[u];
             r++)
            count[p->hist[r]]++;
    }
}

static enum err score(const struct atk_people *p, const struct atk_items *t,
                      bool by_labels, double *out)
{
    struct mem_scratch m = {0};
    double *log_count = mem_take(&m, t->n, 1, sizeof(*log_count));
    float *popular = mem_take(&m, t->dim, 1, sizeof(*popular));
    float *hist = mem_take(&m, p->n, t->dim, sizeof(*hist));
    float *list = mem_take(&m, p->n, t->dim, sizeof(*list));

    if (m.failed) {
        mem_drop(&m);
        return err_set(ERR_NOMEM, "no memory for mean vectors");
    }
    if (by_labels)
        count_members(p, t->n, log_count);
    else
        atk_popularity(p, t->n, log_count);
    popular_vector(t, log_count, popular);
    atk_history_vectors(p, t, hist);
    atk_list_vectors(p, t, list);
    for (size_t u = 0; u < p->n; u++) {
        const float *r = list + u * t->dim;
        const double more = by_labels && !p->member[u] ? 1e-4 : 1e-12;

        out[u] = log(distance(r, popular, t->dim) + more) -
                 log(distance(r, hist + u * t->dim, t->dim) + 1e-12);
    }
    mem_drop(&m);
    return ERR_OK;
}

static void turn(double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = -x[i];
}

/* Which way round, by the attacker's own people. */
static bool is_inverted(const struct atk_people *p, const double *x)
{
    double sum[2] = {0, 0};

    for (size_t u = 0; u < p->n; u++)
        sum[p->member[u]] += x[u];
    return sum[1] / (double)p->n_members <
           sum[0] / (double)(p->n - p->n_members);
}

static enum err run(const struct atk_case *c, struct atk_scores *out)
{
    ERR_TRY(score(&c->target, &c->items, false, out->target));
    out->has_threshold = true; /* the paper's rule: S1 > S2 */
    out->threshold = 0;
    if (c->shadow.n == 0)
        return ERR_OK;
    ERR_TRY(score(&c->shadow, &c->items, false, out->shadow));
    out->has_shadow = true;
    if (is_inverted(&c->shadow, out->shadow)) {
        turn(out->shadow, c->shadow.n);
        turn(out->target, c->target.n);
        (void)snprintf(out->note, sizeof(out->note),
                       "inverted, as the attacker's own people say");
    }
    return ERR_OK;
}

static enum err faithful(const struct atk_case *c, struct atk_scores *out)
{
    out->has_threshold = out->sees_labels = true;
    out->threshold = 0;
    (void)snprintf(out->note, sizeof(out->note),
                   "as published, with the target's true labels: popularity is "
                   "the members' own, a stranger's distance to it has 1e-4 "
                   "more");
    return score(&c->target, &c->items, true, out->target);
}

extern const struct atk_attack atk_attack_sf_mia;
const struct atk_attack atk_attack_sf_mia = {
    .name = "sf-mia",
    .help = "is the list nearer to the history or to what is popular",
    .sees = "a person's history and list; vectors of items",
    .source = "Chi et al., IJCAI 2024",
    .needs = ATK_NEEDS_VECTORS,
    .run = run,
    .faithful = faithful,
};
