/*
 * rec/ready_measure.c - how good an order of ready-made lists is.
 *
 * Source: the definitions of LibRerank's evaluation and of its forks.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/power.h"
#include "rec/clicks.h"
#include "rec/ready.h"

const char *const rec_ready_metric_name[REC_READY_METRICS] = {
    "ndcg", "map", "clicks", "utility", "ilad", "err_ia"};

#define CATEGORIES 4096 /* further ones share places by remainder */
#define LEAST 1e-6      /* added to counts of clicks */

/* A list in an order. */
struct ordered {
    size_t n;
    const float *label;       /* of the list as it was shown */
    const uint32_t *category; /* likewise, or NULL */
    uint32_t order[REC_LIST_MOST];
};

/* --- metrics of one list ---------------------------------------------------
 */

static double map_of(const struct ordered *o, size_t k)
{
    double sum = 0;
    size_t hits = 0;

    for (size_t r = 0; r < o->n && r < k; r++) {
        if (o->label[o->order[r]] > 0)
            sum += (double)++hits / (double)(r + 1);
    }
    return hits > 0 ? sum / (double)hits : 0;
}

static double clicks_of(const struct ordered *o, size_t k)
{
    double sum = 0;

    for (size_t r = 0; r < o->n && r < k; r++)
        sum += o->label[o->order[r]] > 0;
    return sum;
}

static double ilad_of(const struct ordered *o, size_t k)
{
    const size_t n = o->n < k ? o->n : k;
    double differ = 0;

    for (size_t r = 0; r < n; r++) {
        for (size_t s = 0; s < r; s++)
            differ += o->category[o->order[r]] != o->category[o->order[s]];
    }
    return n > 1 ? differ / ((double)n * (double)(n - 1) / 2) : 0;
}

static double err_ia_of(const struct ordered *o, size_t k)
{
    const size_t n = o->n < k ? o->n : k;
    double sum = 0, most = 0;

    for (size_t r = 0; r < n; r++) {
        double same = 0;

        for (size_t s = 0; s < r; s++)
            same += o->category[o->order[r]] == o->category[o->order[s]];
        sum += 1 / ((double)(r + 1) * (1 + krn_exp2_f64(same)));
        /* the published norm, which is not the largest value */
        most += 1 / ((double)(r + 1) * krn_exp2_f64((double)(r + 1)));
    }
    return most > 0 ? sum / most : 0;
}

/* --- how much places are looked at -----------------------------------------
 */

/* share[category][place]: clicks there by clicks on the first place. */
static double *looked_at(const struct rec_ready_lists *l)
{
    const size_t list = l->t.list;
    double *share = mem_array(CATEGORIES * list, sizeof(*share));

    if (share == NULL)
        return NULL;
    for (size_t at = 0; at < l->t.n * list; at++) {
        const size_t c = l->category != NULL ? l->category[at] % CATEGORIES : 0;

        share[c * list + at % list] += l->t.mask[at] > 0 && l->t.label[at] > 0;
    }
    for (size_t c = 0; c < CATEGORIES; c++) {
        const double first = share[c * list] + LEAST;

        for (size_t k = 0; k < list; k++)
            share[c * list + k] = (share[c * list + k] + LEAST) / first;
    }
    return share;
}

static double utility_of(const struct ordered *o, const double *share,
                         size_t list, size_t k)
{
    double sum = 0;

    for (size_t r = 0; r < o->n && r < k; r++) {
        const size_t old = o->order[r];
        const size_t c =
            o->category != NULL ? o->category[old] % CATEGORIES : 0;

        if (o->label[old] > 0)
            sum += share[c * list + r] / share[c * list + old];
    }
    return sum;
}

/* --- all lists -------------------------------------------------------------
 */

static void put_in_order(struct ordered *o, const struct rec_ready_lists *l,
                         size_t at, const float *score)
{
    struct rec_placed placed[REC_LIST_MOST];
    const size_t list = l->t.list;

    o->n = 0;
    o->label = l->t.label + at * list;
    o->category = l->category != NULL ? l->category + at * list : NULL;
    for (size_t k = 0; k < list && l->t.mask[at * list + k] > 0; k++, o->n++)
        placed[k] = (struct rec_placed){
            score != NULL ? score[at * list + k] : -(float)k, (uint32_t)k};
    qsort(placed, o->n, sizeof(*placed), rec_by_place);
    for (size_t k = 0; k < o->n; k++)
        o->order[k] = placed[k].at;
}

/* Expected clicks of the order, and of the best one. */
static void ask_truth(const struct rec_ready *r,
                      const struct rec_ready_lists *l, size_t at,
                      const struct ordered *o, struct rec_ready_report *out)
{
    float attract[REC_LIST_MOST], stay[REC_LIST_MOST];

    if (r->attract == NULL)
        return;
    for (size_t k = 0; k < o->n; k++) {
        const size_t row = l->row[at * l->t.list + k];

        attract[k] = r->attract[row];
        stay[k] = r->stay[row];
    }
    out->expected +=
        rec_clicks_expected(attract, stay, o->order, o->n) / (double)l->t.n;
    if (o->n <= REC_CLICKS_MOST)
        out->best += rec_clicks_best(attract, stay, o->n) / (double)l->t.n;
    else
        out->best = NAN;
}

enum err rec_ready_measure(const struct rec_ready *r,
                           const struct rec_ready_lists *l, const float *score,
                           const struct rec_ready_lists *logged,
                           const size_t *cut, size_t n_cuts,
                           struct rec_ready_report *out)
{
    const double part = 1 / (double)l->t.n;
    const size_t list = l->t.list;
    double *share = looked_at(logged);
    struct ordered o;

    if (share == NULL)
        return err_set(ERR_NOMEM, "no memory to measure lists");
    memset(out, 0, sizeof(*out));
    for (size_t at = 0; at < l->t.n; at++) {
        const float *own = score != NULL ? score + at * list : NULL;

        put_in_order(&o, l, at, score);
        ask_truth(r, l, at, &o, out);
        for (size_t c = 0; c < n_cuts; c++) {
            double *v = out->value[c];

            v[REC_READY_NDCG] +=
                part * rec_lessons_ndcg(&l->t, at, own, cut[c]);
            v[REC_READY_MAP] += part * map_of(&o, cut[c]);
            v[REC_READY_CLICKS] += part * clicks_of(&o, cut[c]);
            v[REC_READY_UTILITY] += part * utility_of(&o, share, list, cut[c]);
            if (l->category == NULL)
                continue;
            v[REC_READY_ILAD] += part * ilad_of(&o, cut[c]);
            v[REC_READY_ERR_IA] += part * err_ia_of(&o, cut[c]);
        }
    }
    for (size_t c = 0; c < n_cuts && l->category == NULL; c++)
        out->value[c][REC_READY_ILAD] = out->value[c][REC_READY_ERR_IA] = NAN;
    if (r->attract == NULL)
        out->expected = out->best = NAN;
    free(share);
    return ERR_OK;
}
