/* attack/judge.c - one attack on one case, judged. */
#include "attack/judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attack/features.h"
#include "base/mem.h"
#include "base/rng.h"

#define COVER_LEAST 85 /* of 100 intervals of 95 %: fewer once in 25,000 */
#define EPS_MOST 10    /* of 100 bounds at 5 % */

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory to judge an attack");
}

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void atk_judged_free(struct atk_judged *j)
{
    free(j->scores.target);
    free(j->scores.shadow);
    free(j->risk);
    atk_roc_free(&j->roc);
    *j = (struct atk_judged){0};
}

/* --- samples -------------------------------------------------------------- */

/* The scores of those with keep (NULL: all), by label. */
static struct atk_sample sample_of(const double *score, const uint8_t *member,
                                   const uint8_t *keep, size_t n, double *room)
{
    size_t m = 0, o = n;

    for (size_t u = 0; u < n; u++) {
        if (keep != NULL && !keep[u])
            continue;
        if (member[u])
            room[m++] = score[u];
        else
            room[--o] = score[u];
    }
    return (struct atk_sample){room, room + o, m, n - o};
}

static struct atk_counts counts_at(const struct atk_sample *s, double threshold)
{
    struct atk_counts c = {0, s->n_member, 0, s->n_other};

    for (size_t i = 0; i < s->n_member; i++)
        c.tp += s->member[i] >= threshold;
    for (size_t i = 0; i < s->n_other; i++)
        c.fp += s->other[i] >= threshold;
    return c;
}

static double balanced(const struct atk_counts *c)
{
    return (1 + (double)c->tp / (double)c->p - (double)c->fp / (double)c->q) /
           2;
}

/* --- the threshold ---------------------------------------------------------
 */

/* From the shadow's own labels, halfway to the next score below. */
static enum err learn_threshold(const struct atk_case *c, struct atk_judged *j,
                                double *room)
{
    const struct atk_sample s =
        sample_of(j->scores.shadow, c->shadow.member, NULL, c->shadow.n, room);
    struct atk_roc r;

    ERR_TRY(atk_roc_build(&r, &s));
    const size_t best = atk_roc_best(&r);

    j->threshold = best + 1 < r.n && best > 0
                       ? (r.score[best] + r.score[best + 1]) / 2
                       : r.score[best];
    atk_roc_free(&r);
    return ERR_OK;
}

/* --- risk ----------------------------------------------------------------- */

static enum err find_risk(const struct atk_case *c, struct atk_judged *j)
{
    const struct atk_logistic fit = atk_logistic_fit(
        j->scores.shadow, c->shadow.member, c->shadow.n, c->shadow.n_members);

    j->risk = mem_array(c->target.n, sizeof(*j->risk));
    if (j->risk == NULL)
        return no_memory();
    for (size_t u = 0; u < c->target.n; u++)
        j->risk[u] = atk_logistic_at(&fit, j->scores.target[u]);
    return ERR_OK;
}

/* --- slices --------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Thirds of the people by x, least first. */
static enum err slice_by(const struct atk_case *c, const struct atk_judged *j,
                         const double *x, const char *const name[3],
                         struct atk_slice out[3])
{
    const size_t n = c->target.n;
    struct mem_scratch m = {0};
    double *sorted = mem_take(&m, n, 1, sizeof(*sorted));
    double *room = mem_take(&m, n, 1, sizeof(*room));
    uint8_t *keep = mem_take(&m, n, 1, 1);
    enum err e = m.failed ? no_memory() : ERR_OK;

    if (e == ERR_OK) {
        memcpy(sorted, x, n * sizeof(*sorted));
        qsort(sorted, n, sizeof(*sorted), ascending);
    }
    for (size_t s = 0; s < 3 && e == ERR_OK; s++) {
        const double lo = s == 0 ? -INFINITY : sorted[n * s / 3];
        const double hi = s == 2 ? INFINITY : sorted[n * (s + 1) / 3];

        for (size_t u = 0; u < n; u++)
            keep[u] = x[u] >= lo && x[u] < hi;
        const struct atk_sample sample =
            sample_of(j->scores.target, c->target.member, keep, n, room);

        out[s] = (struct atk_slice){.name = name[s],
                                    .n_member = sample.n_member,
                                    .n_other = sample.n_other};
        out[s].judged = sample.n_member >= ATK_SLICE_LEAST &&
                        sample.n_other >= ATK_SLICE_LEAST;
        if (out[s].judged)
            e = atk_area(&sample, &out[s].area);
    }
    mem_drop(&m);
    return e;
}

static enum err find_slices(const struct atk_case *c, struct atk_judged *j)
{
    static const char *const by_length[3] = {
        "short histories", "middle histories", "long histories"};
    static const char *const by_taste[3] = {"rare items", "middling items",
                                            "popular items"};
    const struct atk_people *p = &c->target;
    struct mem_scratch m = {0};
    double *x = mem_take(&m, p->n, 1, sizeof(*x));
    double *log_count = mem_take(&m, c->items.n, 1, sizeof(*log_count));
    enum err e = m.failed ? no_memory() : ERR_OK;

    for (size_t u = 0; u < p->n && e == ERR_OK; u++)
        x[u] = (double)(p->hist_ptr[u + 1] - p->hist_ptr[u]);
    if (e == ERR_OK)
        e = slice_by(c, j, x, by_length, j->slice);
    if (e == ERR_OK)
        atk_popularity(p, c->items.n, log_count);
    for (size_t u = 0; u < p->n && e == ERR_OK; u++) {
        const double length = x[u];

        x[u] = 0;
        for (size_t r = p->hist_ptr[u]; r < p->hist_ptr[u + 1]; r++)
            x[u] += log_count[p->hist[r]] / length;
    }
    if (e == ERR_OK)
        e = slice_by(c, j, x, by_taste, j->slice + 3);
    mem_drop(&m);
    return e;
}

/* --- figures -------------------------------------------------------------- */

static void find_rates(struct atk_judged *j)
{
    static const double fpr[3] = {0.1, 0.01, 0.001};

    for (size_t i = 0; i < 3; i++) {
        const size_t at = atk_roc_at(&j->roc, fpr[i]);

        j->at[i] = (struct atk_at){
            .fpr = fpr[i],
            .resolvable = (double)j->roc.n_other * fpr[i] >= 1,
            .tp = j->roc.true_pos[at],
            .fp = j->roc.false_pos[at],
            .tpr = atk_rate(j->roc.true_pos[at], j->roc.n_member, 0.025),
        };
    }
}

struct ranked {
    double score;
    uint32_t user;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return (x->user > y->user) - (x->user < y->user);
}

/* Guesses for the surest tenth: half of them the highest scores as members,
 * half the lowest as non-members; the number is fixed by the people's. */
static enum err find_one_run(const struct atk_case *c, struct atk_judged *j)
{
    const size_t n = c->target.n, half = n / 20;
    struct ranked *r = mem_array(n, sizeof(*r));

    if (r == NULL)
        return no_memory();
    for (size_t u = 0; u < n; u++)
        r[u] = (struct ranked){j->scores.target[u], (uint32_t)u};
    qsort(r, n, sizeof(*r), by_rank);
    j->guesses = 2 * half;
    for (size_t i = 0; i < half; i++)
        j->right += (uint64_t)c->target.member[r[i].user] +
                    (c->target.member[r[n - 1 - i].user] == 0 ? 1u : 0u);
    j->has_one_run = true;
    j->eps_one_run =
        atk_epsilon_one_run(n, j->guesses, j->right, ATK_DELTA, ATK_ALPHA);
    free(r);
    return ERR_OK;
}

static enum err find_figures(const struct atk_case *c, struct atk_judged *j,
                             double *room)
{
    struct atk_sample s;

    j->has_threshold = j->scores.has_threshold || j->scores.has_shadow;
    if (j->scores.has_threshold)
        j->threshold = j->scores.threshold;
    else if (j->scores.has_shadow)
        ERR_TRY(learn_threshold(c, j, room));
    s = sample_of(j->scores.target, c->target.member, NULL, c->target.n, room);
    ERR_TRY(atk_roc_build(&j->roc, &s));
    ERR_TRY(atk_area(&s, &j->area));
    const size_t best = atk_roc_best(&j->roc);

    j->advantage = (double)j->roc.true_pos[best] / (double)j->roc.n_member -
                   (double)j->roc.false_pos[best] / (double)j->roc.n_other;
    j->best_accuracy = (1 + j->advantage) / 2;
    find_rates(j);
    if (!j->has_threshold)
        return ERR_OK;
    j->counts = counts_at(&s, j->threshold);
    j->accuracy = balanced(&j->counts);
    j->eps_rates = atk_epsilon_rates(&j->counts, ATK_DELTA, ATK_ALPHA);
    j->eps_gauss = atk_epsilon_gauss(&j->counts, ATK_DELTA, ATK_ALPHA);
    return ERR_OK;
}

/* --- controls ------------------------------------------------------------- */

/* With labels shuffled there is nothing to find. */
static enum err shuffle_labels(const struct atk_case *c, struct atk_judged *j,
                               double *room)
{
    const size_t n = c->target.n;
    struct mem_scratch m = {0};
    uint32_t *order = mem_take(&m, n, 1, sizeof(*order));
    uint8_t *member = mem_take(&m, n, 1, 1);
    enum err e = m.failed ? no_memory() : ERR_OK;

    for (unsigned k = 0; k < ATK_SHUFFLES && e == ERR_OK; k++) {
        struct atk_interval area;

        rng_shuffle(rng_derive(c->seed, RNG_BOOT, k), RNG_BOOT, n, order);
        for (size_t u = 0; u < n; u++)
            member[u] = c->target.member[order[u]];
        const struct atk_sample s =
            sample_of(j->scores.target, member, NULL, n, room);

        e = atk_area(&s, &area);
        j->shuffles_cover += area.lo <= 0.5 && area.hi >= 0.5;
        if (j->has_threshold) {
            const struct atk_counts at = counts_at(&s, j->threshold);

            j->shuffles_eps += atk_epsilon_rates(&at, ATK_DELTA, ATK_ALPHA) > 0;
        }
    }
    mem_drop(&m);
    return e;
}

static enum err take_scores(const struct atk_case *c, struct atk_scores *s)
{
    s->target = mem_array(c->target.n, sizeof(double));
    s->shadow = mem_array(c->shadow.n, sizeof(double));
    return s->target == NULL || s->shadow == NULL ? no_memory() : ERR_OK;
}

static enum err try_planted(const struct atk_attack *a,
                            const struct atk_case *planted,
                            struct atk_judged *j)
{
    struct atk_scores s = {0};
    double *room = mem_array(planted->target.n, sizeof(*room));
    enum err e = room == NULL ? no_memory() : take_scores(planted, &s);

    if (e == ERR_OK)
        e = atk_attack_run(a, planted, &s);
    if (e == ERR_OK) {
        const struct atk_sample sample = sample_of(
            s.target, planted->target.member, NULL, planted->target.n, room);

        e = atk_area(&sample, &j->positive);
        j->has_positive = e == ERR_OK;
    }
    free(s.target);
    free(s.shadow);
    free(room);
    return e;
}

static void check_controls(struct atk_judged *j)
{
    if (j->scores.sees_labels)
        (void)snprintf(j->doubt, sizeof(j->doubt),
                       "no evidence: as published, it uses the true labels "
                       "that it is to find");
    else if (j->shuffles_cover < COVER_LEAST)
        (void)snprintf(j->doubt, sizeof(j->doubt),
                       "not to be trusted: with shuffled labels only %u of %d "
                       "intervals cover one half",
                       j->shuffles_cover, ATK_SHUFFLES);
    else if (j->shuffles_eps > EPS_MOST)
        (void)snprintf(j->doubt, sizeof(j->doubt),
                       "not to be trusted: with shuffled labels %u of %d "
                       "bounds of epsilon are above 0",
                       j->shuffles_eps, ATK_SHUFFLES);
    else if (!j->has_positive)
        (void)snprintf(j->doubt, sizeof(j->doubt),
                       "a low area proves nothing: it could not be tried on "
                       "planted members");
    else if (j->positive.lo <= 0.9)
        (void)snprintf(j->doubt, sizeof(j->doubt),
                       "a low area proves nothing: of planted members, which "
                       "it must find, it finds area %.2f",
                       j->positive.value);
    j->trusted = j->doubt[0] == '\0';
}

static enum err judge(const struct atk_case *c, const struct atk_case *planted,
                      bool coins, struct atk_judged *j)
{
    const size_t most = c->target.n > c->shadow.n ? c->target.n : c->shadow.n;
    double *room = mem_array(most, sizeof(*room));
    enum err e = room == NULL ? no_memory() : take_scores(c, &j->scores);

    if (e == ERR_OK)
        e = atk_attack_run(j->attack, c, &j->scores);
    if (e == ERR_OK)
        e = find_figures(c, j, room);
    if (e == ERR_OK && coins)
        e = find_one_run(c, j);
    if (e == ERR_OK)
        e = find_slices(c, j);
    if (e == ERR_OK && j->scores.has_shadow)
        e = find_risk(c, j);
    if (e == ERR_OK)
        e = shuffle_labels(c, j, room);
    if (e == ERR_OK && planted != NULL && !j->scores.sees_labels)
        e = try_planted(j->attack, planted, j);
    free(room);
    j->ran = e == ERR_OK;
    if (j->ran)
        check_controls(j);
    return e;
}

enum err atk_judge(const struct atk_attack *a, const struct atk_case *c,
                   const struct atk_case *planted, bool coins,
                   struct atk_judged *out)
{
    const char *lacks = atk_attack_lacks(a, c);
    const double start = now();

    *out = (struct atk_judged){.attack = a};
    if (lacks != NULL) {
        (void)snprintf(out->why, sizeof(out->why), "it needs %s", lacks);
        return ERR_OK;
    }
    const enum err e = judge(c, planted, coins, out);

    out->seconds = now() - start;
    if (e != ERR_OK && e != ERR_NOMEM && e != ERR_STOPPED) {
        (void)snprintf(out->why, sizeof(out->why), "it failed: %s", err_note());
        return ERR_OK;
    }
    return e;
}
