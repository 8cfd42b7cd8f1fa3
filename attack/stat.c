/* attack/stat.c - curves, areas, intervals. */
#include "attack/stat.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define Z95 1.959963984540054

struct labelled {
    double score;
    bool member;
};

static double clean(double x)
{
    return isnan(x) ? -INFINITY : x;
}

static int by_score(const void *a, const void *b)
{
    const double x = ((const struct labelled *)a)->score;
    const double y = ((const struct labelled *)b)->score;

    return (x < y) - (x > y);
}

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory to compare scores");
}

/* --- the curve ------------------------------------------------------------ */

static enum err sorted(const struct atk_sample *s, struct labelled **out)
{
    const size_t n = s->n_member + s->n_other;
    struct labelled *l = mem_array(n, sizeof(*l));

    if (l == NULL)
        return no_memory();
    for (size_t i = 0; i < s->n_member; i++)
        l[i] = (struct labelled){clean(s->member[i]), true};
    for (size_t i = 0; i < s->n_other; i++)
        l[s->n_member + i] = (struct labelled){clean(s->other[i]), false};
    qsort(l, n, sizeof(*l), by_score);
    *out = l;
    return ERR_OK;
}

enum err atk_roc_build(struct atk_roc *out, const struct atk_sample *s)
{
    const size_t n = s->n_member + s->n_other;
    struct labelled *l = NULL;

    if (s->n_member == 0 || s->n_other == 0)
        return err_set(ERR_ARG, "an attack is judged on members and on "
                                "non-members: one of them is missing");
    ERR_TRY(sorted(s, &l));
    *out = (struct atk_roc){
        .score = mem_array(n + 1, sizeof(*out->score)),
        .true_pos = mem_array(n + 1, sizeof(*out->true_pos)),
        .false_pos = mem_array(n + 1, sizeof(*out->false_pos)),
        .n_member = s->n_member,
        .n_other = s->n_other,
    };
    if (out->score == NULL || out->true_pos == NULL || out->false_pos == NULL) {
        free(l);
        atk_roc_free(out);
        return no_memory();
    }
    out->score[0] = INFINITY;
    out->n = 1;
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || l[i].score < l[i - 1].score) { /* a new block */
            out->score[out->n] = l[i].score;
            out->true_pos[out->n] = out->true_pos[out->n - 1];
            out->false_pos[out->n] = out->false_pos[out->n - 1];
            out->n++;
        }
        out->true_pos[out->n - 1] += l[i].member;
        out->false_pos[out->n - 1] += !l[i].member;
    }
    free(l);
    return ERR_OK;
}

void atk_roc_free(struct atk_roc *r)
{
    free(r->score);
    free(r->true_pos);
    free(r->false_pos);
    *r = (struct atk_roc){0};
}

double atk_roc_area(const struct atk_roc *r)
{
    double pairs = 0;

    for (size_t i = 1; i < r->n; i++)
        pairs += (double)(r->false_pos[i] - r->false_pos[i - 1]) *
                 ((double)r->true_pos[i - 1] +
                  (double)(r->true_pos[i] - r->true_pos[i - 1]) / 2);
    return pairs / ((double)r->n_member * (double)r->n_other);
}

size_t atk_roc_best(const struct atk_roc *r)
{
    size_t best = 0;
    double most = 0;

    for (size_t i = 1; i < r->n; i++) {
        const double gain = (double)r->true_pos[i] / (double)r->n_member -
                            (double)r->false_pos[i] / (double)r->n_other;

        if (gain > most) {
            most = gain;
            best = i;
        }
    }
    return best;
}

size_t atk_roc_at(const struct atk_roc *r, double f)
{
    size_t at = 0;

    for (size_t i = 1; i < r->n; i++) {
        if ((double)r->false_pos[i] <= f * (double)r->n_other)
            at = i;
    }
    return at;
}

/* --- areas ---------------------------------------------------------------- */

/* For each member the share of non-members below, and for each non-member the
 * share of members above; ties half. */
struct places {
    double *member, *other; /* [n_member], [n_other] */
};

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* How many of v[n] (ascending) are below x, equal ones half. */
static double below(const double *v, size_t n, double x)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;

        if (v[mid] < x)
            lo = mid + 1;
        else
            hi = mid;
    }
    size_t end = n;

    for (hi = lo; hi < end;) {
        const size_t mid = (hi + end) / 2;

        if (v[mid] <= x)
            hi = mid + 1;
        else
            end = mid;
    }
    return (double)lo + (double)(hi - lo) / 2;
}

static void sort_copy(double *to, const double *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = clean(from[i]);
    qsort(to, n, sizeof(*to), ascending);
}

static enum err places_of(struct mem_scratch *m, const struct atk_sample *s,
                          struct places *out)
{
    double *a = mem_take(m, s->n_member, 1, sizeof(*a));
    double *b = mem_take(m, s->n_other, 1, sizeof(*b));

    out->member = mem_take(m, s->n_member, 1, sizeof(double));
    out->other = mem_take(m, s->n_other, 1, sizeof(double));
    if (m->failed)
        return no_memory();
    sort_copy(a, s->member, s->n_member);
    sort_copy(b, s->other, s->n_other);
    for (size_t i = 0; i < s->n_member; i++)
        out->member[i] =
            below(b, s->n_other, clean(s->member[i])) / (double)s->n_other;
    for (size_t i = 0; i < s->n_other; i++)
        out->other[i] =
            1 - below(a, s->n_member, clean(s->other[i])) / (double)s->n_member;
    return ERR_OK;
}

static double mean_of(const double *x, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum / (double)n;
}

/* Variance of a mean. */
static double error_of(const double *x, size_t n)
{
    const double mean = mean_of(x, n);
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (x[i] - mean) * (x[i] - mean);
    return n > 1 ? sum / (double)(n - 1) / (double)n : 0;
}

static struct atk_interval around(double value, double error, double lo,
                                  double hi)
{
    return (struct atk_interval){value, fmax(lo, value - Z95 * error),
                                 fmin(hi, value + Z95 * error)};
}

static enum err check_sizes(const struct atk_sample *s)
{
    return s->n_member > 0 && s->n_other > 0
               ? ERR_OK
               : err_set(ERR_ARG, "an area needs members and non-members");
}

enum err atk_area(const struct atk_sample *s, struct atk_interval *out)
{
    struct mem_scratch m = {0};
    struct places p;

    ERR_TRY(check_sizes(s));
    const enum err e = places_of(&m, s, &p);

    if (e == ERR_OK) {
        const double area = mean_of(p.member, s->n_member);
        const double variance =
            error_of(p.member, s->n_member) + error_of(p.other, s->n_other);
        const size_t least =
            s->n_member < s->n_other ? s->n_member : s->n_other;

        *out = around(area, sqrt(variance), 0, 1);
        if (variance <= 0 && area >= 1)
            out->lo = 1 - atk_rate(0, least, 0.025).hi;
        if (variance <= 0 && area <= 0)
            out->hi = atk_rate(0, least, 0.025).hi;
    }
    mem_drop(&m);
    return e;
}

enum err atk_area_difference(const struct atk_sample *a,
                             const struct atk_sample *b,
                             struct atk_interval *out)
{
    struct mem_scratch m = {0};
    struct places p, q;

    ERR_TRY(check_sizes(a));
    if (a->n_member != b->n_member || a->n_other != b->n_other)
        return err_set(ERR_ARG, "scores to compare are of different people");
    enum err e = places_of(&m, a, &p);

    if (e == ERR_OK)
        e = places_of(&m, b, &q);
    if (e == ERR_OK) {
        for (size_t i = 0; i < a->n_member; i++)
            p.member[i] -= q.member[i];
        for (size_t i = 0; i < a->n_other; i++)
            p.other[i] -= q.other[i];
        *out = around(mean_of(p.member, a->n_member),
                      sqrt(error_of(p.member, a->n_member) +
                           error_of(p.other, a->n_other)),
                      -1, 1);
    }
    mem_drop(&m);
    return e;
}

/* --- rates ---------------------------------------------------------------- */

static double log_choose(double n, double k)
{
    int sign;

    return lgamma_r(n + 1, &sign) - lgamma_r(k + 1, &sign) -
           lgamma_r(n - k + 1, &sign);
}

/* P[Bin(n, p) <= k], summed from its largest term. */
static double binomial_below(uint64_t k, uint64_t n, double p)
{
    const double odds = p / (1 - p);
    double term, sum = 0;

    if (k >= n || p <= 0)
        return 1;
    if (p >= 1)
        return 0;
    if ((double)k > (double)n * p) { /* the other tail is the short one */
        term = exp(log_choose((double)n, (double)(k + 1)) +
                   (double)(k + 1) * log(p) + (double)(n - k - 1) * log1p(-p));
        for (uint64_t i = k + 1; i <= n && term > sum * 1e-18; i++) {
            sum += term;
            term *= (double)(n - i) / (double)(i + 1) * odds;
        }
        return 1 - sum;
    }
    term = exp(log_choose((double)n, (double)k) + (double)k * log(p) +
               (double)(n - k) * log1p(-p));
    for (uint64_t i = k + 1; i-- > 0 && term > sum * 1e-18;) {
        sum += term;
        term *= (double)i / (double)(n - i + 1) / odds;
    }
    return sum;
}

/* The p with P[Bin(n, p) <= k] == tail; decreasing in p. */
static double solve(uint64_t k, uint64_t n, double tail)
{
    double lo = 0, hi = 1;

    for (int i = 0; i < 60; i++) {
        const double mid = (lo + hi) / 2;

        if (binomial_below(k, n, mid) > tail)
            lo = mid;
        else
            hi = mid;
    }
    return (lo + hi) / 2;
}

struct atk_interval atk_rate(uint64_t k, uint64_t n, double tail)
{
    if (n == 0)
        return (struct atk_interval){0, 0, 1};
    return (struct atk_interval){
        .value = (double)k / (double)n,
        .lo = k == 0 ? 0 : solve(k - 1, n, 1 - tail),
        .hi = k == n ? 1 : solve(k, n, tail),
    };
}

/* --- one number's logistic regression --------------------------------------
 */

double atk_logistic_at(const struct atk_logistic *f, double x)
{
    return 1 / (1 + exp(-(f->slope * (x - f->mean) / f->deviation + f->shift)));
}

/* One step of Newton's method; false when there is none to make. */
static bool logistic_step(struct atk_logistic *f, const double *x,
                          const uint8_t *member, size_t n, size_t n_members)
{
    double g[2] = {-0.01 * f->slope, 0}, h[3] = {0.01, 0, 1e-9};

    for (size_t u = 0; u < n; u++) {
        const double z = (x[u] - f->mean) / f->deviation;
        const double q = atk_logistic_at(f, x[u]);
        const double w = 0.5 / (double)(member[u] ? n_members : n - n_members);

        g[0] += w * (member[u] - q) * z;
        g[1] += w * (member[u] - q);
        h[0] += w * q * (1 - q) * z * z;
        h[1] += w * q * (1 - q) * z;
        h[2] += w * q * (1 - q);
    }
    const double det = h[0] * h[2] - h[1] * h[1];

    if (!(det > 1e-12))
        return false;
    f->slope += (h[2] * g[0] - h[1] * g[1]) / det;
    f->shift += (h[0] * g[1] - h[1] * g[0]) / det;
    return true;
}

struct atk_logistic atk_logistic_fit(const double *x, const uint8_t *member,
                                     size_t n, size_t n_members)
{
    struct atk_logistic f = {mean_of(x, n), 1, 0, 0};
    const double variance = error_of(x, n) * (double)n;

    if (variance > 0)
        f.deviation = sqrt(variance);
    for (int i = 0; i < 30; i++) {
        if (!logistic_step(&f, x, member, n, n_members))
            break;
    }
    return f;
}

/* --- the normal distribution ---------------------------------------------- */

double atk_normal(double x)
{
    return erfc(-x * 0.70710678118654752440) / 2;
}

double atk_normal_inverse(double p)
{
    double lo = -40, hi = 40;

    for (int i = 0; i < 100; i++) {
        const double mid = (lo + hi) / 2;

        if (atk_normal(mid) < p)
            lo = mid;
        else
            hi = mid;
    }
    return (lo + hi) / 2;
}
