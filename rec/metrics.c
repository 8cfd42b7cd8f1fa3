/* rec/metrics.c - ranking for everybody who has test rows, and averaging. */
#include "rec/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "rec/rank.h"

#define CUTS_MAX 8
#define PEOPLE 8192 /* ranked at once */

const char *const rec_metric_name[REC_METRICS] = {
    "recall", "ndcg", "hit", "precision", "map", "mrr", "coverage"};

/*
 * log2(x) for x >= 1 without libm, whose last bit differs between processors:
 * the stopping rule of a training run hangs on it.  x = 2^e m, and log m by
 * the series of 2 artanh((m - 1) / (m + 1)), |argument| <= 1/3.
 */
static double log2_of(double x)
{
    double e = 0, z, z2, sum = 0;

    while (x >= 2) {
        x *= 0.5;
        e += 1;
    }
    z = (x - 1) / (x + 1);
    z2 = z * z;
    for (int k = 37; k >= 1; k -= 2)
        sum = sum * z2 + 1.0 / k;
    return e + 2 * z * sum * 0x1.71547652b82fep+0; /* 1 / ln 2 */
}

static double gain_at(size_t rank) /* from 1 */
{
    return 1 / log2_of((double)rank + 1);
}

static bool is_relevant(const uint32_t *relevant, size_t n, uint32_t item)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;

        if (relevant[mid] < item)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && relevant[lo] == item;
}

void rec_metrics_one(const uint32_t *list, size_t len, const uint32_t *relevant,
                     size_t n_relevant, size_t n_lost, size_t k,
                     double out[REC_METRICS])
{
    const size_t n = n_relevant + n_lost, best = n < k ? n : k;
    double hits = 0, dcg = 0, ideal = 0, precisions = 0, first = 0;

    for (size_t r = 1; r <= k && r <= len; r++) {
        if (list[r - 1] == REC_NOBODY ||
            !is_relevant(relevant, n_relevant, list[r - 1]))
            continue;
        hits += 1;
        dcg += gain_at(r);
        precisions += hits / (double)r;
        if (hits == 1)
            first = 1 / (double)r;
    }
    for (size_t r = 1; r <= best; r++)
        ideal += gain_at(r);
    out[REC_RECALL] = n > 0 ? hits / (double)n : 0;
    out[REC_NDCG] = best > 0 ? dcg / ideal : 0;
    out[REC_HIT] = hits > 0;
    out[REC_PRECISION] = k > 0 ? hits / (double)k : 0;
    out[REC_MAP] = best > 0 ? precisions / (double)best : 0;
    out[REC_MRR] = first;
    out[REC_COVERAGE] = 0; /* of all lists together: see rec_evaluate() */
}

/* --- everybody --------------------------------------------------------------
 */

struct evaluation {
    const struct rec_model *m;
    const struct rec_data *train, *test;
    const size_t *cuts;
    size_t n_cuts, k, n_people, room; /* k = the longest list */
    uint32_t *person; /* [n_people] with a test item, ascending */
    size_t *ptr;      /* [PEOPLE + 1] histories of a batch */
    uint32_t *item;   /* [room] */
    float *value;     /* [room] or NULL */
    int64_t *time;    /* [room] or NULL */
    uint32_t *list;   /* [PEOPLE][k] */
    uint8_t *shown;   /* [n_items] least cut + 1 whose lists hold the item */
    bool best;        /* what is relevant is moved to the head of each list */
};

static size_t rows_of(const struct rec_data *d, size_t u)
{
    return d->user_ptr[u + 1] - d->user_ptr[u];
}

static size_t lost_of(const struct rec_data *d, size_t u)
{
    return d->lost == NULL ? 0 : d->lost[u];
}

static void find_people(struct evaluation *e)
{
    for (size_t u = 0; u < e->test->n_users; u++) {
        if (rows_of(e->test, u) + lost_of(e->test, u) > 0)
            e->person[e->n_people++] = (uint32_t)u;
    }
}

/* The most history rows that any batch has. */
static size_t find_room(const struct evaluation *e)
{
    size_t most = 0;

    for (size_t b = 0; b < e->n_people; b += PEOPLE) {
        size_t rows = 0;

        for (size_t i = b; i < e->n_people && i < b + PEOPLE; i++)
            rows += rows_of(e->train, e->person[i]);
        most = rows > most ? rows : most;
    }
    return most;
}

static struct rec_query batch_query(struct evaluation *e, size_t first,
                                    size_t n)
{
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        const size_t u = e->person[first + i], rows = rows_of(e->train, u);
        const size_t from = e->train->user_ptr[u];

        e->ptr[i] = at;
        memcpy(e->item + at, e->train->item + from, rows * sizeof(*e->item));
        if (e->value != NULL)
            memcpy(e->value + at, e->train->value + from,
                   rows * sizeof(*e->value));
        if (e->time != NULL)
            memcpy(e->time + at, e->train->time + from,
                   rows * sizeof(*e->time));
        at += rows;
    }
    e->ptr[n] = at;
    return (struct rec_query){n,       e->person + first, e->ptr,
                              e->item, e->value,          e->time};
}

/* The best order of a list. */
static void move_up(const struct evaluation *e, size_t u, uint32_t *list)
{
    const uint32_t *relevant = e->test->item + e->test->user_ptr[u];
    size_t head = 0;

    for (size_t r = 0; r < e->k && list[r] != REC_NOBODY; r++) {
        const uint32_t item = list[r];

        if (!is_relevant(relevant, rows_of(e->test, u), item))
            continue;
        memmove(list + head + 1, list + head, (r - head) * sizeof(*list));
        list[head++] = item;
    }
}

static void add_person(struct evaluation *e, size_t u, uint32_t *list,
                       struct rec_report *out)
{
    const size_t longest = e->cuts[e->n_cuts - 1];

    if (e->best)
        move_up(e, u, list);
    for (size_t c = 0; c < e->n_cuts; c++) {
        double one[REC_METRICS];

        rec_metrics_one(list, e->k, e->test->item + e->test->user_ptr[u],
                        rows_of(e->test, u), lost_of(e->test, u), e->cuts[c],
                        one);
        for (size_t x = 0; x < REC_METRICS; x++)
            out->value[c][x] += one[x];
    }
    for (size_t r = 0, c = 0; r < longest && list[r] != REC_NOBODY; r++) {
        while (r >= e->cuts[c])
            c++;
        if (e->shown[list[r]] == 0 || e->shown[list[r]] > c + 1)
            e->shown[list[r]] = (uint8_t)(c + 1);
    }
}

static void finish_report(const struct evaluation *e, struct rec_report *out)
{
    for (size_t c = 0; c < e->n_cuts; c++) {
        size_t items = 0;

        for (size_t i = 0; i < e->m->n_items; i++)
            items += e->shown[i] > 0 && e->shown[i] <= c + 1;
        for (size_t x = 0; x < REC_METRICS && e->n_people > 0; x++)
            out->value[c][x] /= (double)e->n_people;
        out->value[c][REC_COVERAGE] =
            e->m->n_items > 0 ? (double)items / (double)e->m->n_items : 0;
    }
}

static enum err evaluate_in(struct evaluation *e, struct mem_scratch *s,
                            struct rec_report *out)
{
    e->person = mem_take(s, e->test->n_users, 1, sizeof(*e->person));
    if (s->failed)
        return err_set(ERR_NOMEM, "no memory for evaluating");
    find_people(e);
    e->room = find_room(e);
    e->ptr = mem_take(s, PEOPLE + 1, 1, sizeof(*e->ptr));
    e->item = mem_take(s, e->room, 1, sizeof(*e->item));
    if (e->train->value != NULL)
        e->value = mem_take(s, e->room, 1, sizeof(*e->value));
    if (e->train->time != NULL)
        e->time = mem_take(s, e->room, 1, sizeof(*e->time));
    e->list = mem_take(s, e->n_people < PEOPLE ? e->n_people : PEOPLE, e->k,
                       sizeof(*e->list));
    e->shown = mem_take(s, e->m->n_items, 1, sizeof(*e->shown));
    if (s->failed)
        return err_set(ERR_NOMEM, "no memory for evaluating");
    for (size_t b = 0; b < e->n_people; b += PEOPLE) {
        const size_t left = e->n_people - b, n = left < PEOPLE ? left : PEOPLE;
        const struct rec_query q = batch_query(e, b, n);

        if (log_stopping())
            return err_set(ERR_STOPPED, "stopped while evaluating");
        ERR_TRY(rec_rank(e->m, &q, e->k, true, e->list, NULL));
        for (size_t i = 0; i < n; i++)
            add_person(e, e->person[b + i], e->list + i * e->k, out);
        log_tick("evaluate", b + n, e->n_people, NULL);
    }
    finish_report(e, out);
    return ERR_OK;
}

static enum err evaluate(const struct rec_model *m,
                         const struct rec_data *train,
                         const struct rec_data *test, size_t among,
                         const size_t *cuts, size_t n_cuts,
                         struct rec_report *out)
{
    struct mem_scratch s = {0};
    struct rec_report report = {.n_cuts = n_cuts};
    struct evaluation e = {
        .m = m, .train = train, .test = test, .cuts = cuts, .n_cuts = n_cuts};
    enum err err;

    if (n_cuts == 0 || n_cuts > CUTS_MAX)
        return err_set(ERR_ARG,
                       "between 1 and %d cuts can be evaluated at "
                       "once",
                       CUTS_MAX);
    for (size_t c = 0; c < n_cuts; c++) {
        if (cuts[c] <= (c > 0 ? cuts[c - 1] : 0))
            return err_set(ERR_ARG, "cuts must be positive and ascending");
    }
    e.best = among > 0;
    e.k = among > cuts[n_cuts - 1] ? among : cuts[n_cuts - 1];
    err = evaluate_in(&e, &s, &report);
    mem_drop(&s);
    if (err == ERR_OK) {
        report.n_users = e.n_people;
        *out = report;
    }
    return err;
}

enum err rec_evaluate(const struct rec_model *m, const struct rec_data *train,
                      const struct rec_data *test, const size_t *cuts,
                      size_t n_cuts, struct rec_report *out)
{
    return evaluate(m, train, test, 0, cuts, n_cuts, out);
}

enum err rec_evaluate_ceiling(const struct rec_model *m,
                              const struct rec_data *train,
                              const struct rec_data *test, size_t among,
                              const size_t *cuts, size_t n_cuts,
                              struct rec_report *out)
{
    return evaluate(m, train, test, among, cuts, n_cuts, out);
}

enum err rec_metric_parse(const char *text, enum rec_metric *metric,
                          size_t *cut)
{
    const char *at = strchr(text, '@');
    const size_t len = at == NULL ? strlen(text) : (size_t)(at - text);
    char *end = NULL;
    unsigned long k = 20;

    if (at != NULL && at[1] >= '0' && at[1] <= '9')
        k = strtoul(at + 1, &end, 10);
    for (size_t x = 0; x < REC_METRICS; x++) {
        if (strlen(rec_metric_name[x]) != len ||
            memcmp(rec_metric_name[x], text, len) != 0)
            continue;
        if ((at != NULL && (end == NULL || *end != '\0')) || k == 0 ||
            k > 100000)
            return err_set(ERR_ARG,
                           "\"%s\": the cut after @ must be a number "
                           "from 1 to 100000",
                           text);
        *metric = (enum rec_metric)x;
        *cut = (size_t)k;
        return ERR_OK;
    }
    return err_set(ERR_ARG,
                   "\"%s\" is no metric: use recall, ndcg, hit, "
                   "precision, map, mrr or coverage, with a cut as "
                   "in ndcg@20",
                   text);
}
