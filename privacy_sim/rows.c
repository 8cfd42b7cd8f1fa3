/* privacy_sim/rows.c - what each item of a history gives to the scores. */
#include "privacy_sim/rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "rec/score.h"

#define BATCH 64
#define PROBES 24
#define SAME 0.999   /* cosine of scores and sums that counts as adding up */
#define SPARSE 0.125 /* rows with fewer entries are kept as lists */

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for the rows of a recommender");
}

void sim_rows_free(struct sim_rows *r)
{
    free(r->dense);
    free(r->ptr);
    free(r->item);
    free(r->weight);
    free(r->popular);
    *r = (struct sim_rows){0};
}

void sim_rows_add(const struct sim_rows *r, uint32_t i, int32_t sign,
                  int32_t *to)
{
    if (r->dense != NULL) {
        struct krn_pick none = {.k = 1, .floor = INT32_MAX};

        cpu_ops()->pick_i32(to, r->dense + (size_t)i * r->n_items, sign,
                            r->n_items, &none);
        return;
    }
    for (size_t a = r->ptr[i]; a < r->ptr[i + 1]; a++)
        to[r->item[a]] += sign * r->weight[a];
}

/* --- asking the model ------------------------------------------------------
 */

struct asker {
    const struct rec_model *m;
    float *scores; /* [BATCH][n_items] */
    float *vec;
    uint32_t *nobody; /* [BATCH] */
    uint32_t *item;   /* [n_items] 0, 1, 2... */
    size_t *ptr;      /* [n_items + 1] likewise */
};

/* Scores of the histories {first}, {first + 1}, ... */
static enum err ask_single(const struct asker *a, size_t first, size_t n)
{
    const struct rec_query q = {n,       a->nobody, a->ptr + first,
                                a->item, NULL,      NULL};

    return rec_scores(a->m, &q, a->scores, a->vec);
}

/* Calls fn for every item's row. */
static enum err each_row(const struct asker *a, void *arg,
                         enum err (*fn)(void *arg, size_t i, const float *row))
{
    const size_t n = a->m->n_items;

    for (size_t first = 0; first < n; first += BATCH) {
        const size_t some = n - first < BATCH ? n - first : BATCH;

        ERR_TRY(ask_single(a, first, some));
        for (size_t i = 0; i < some; i++)
            ERR_TRY(fn(arg, first + i, a->scores + i * n));
    }
    return ERR_OK;
}

/* --- rounding --------------------------------------------------------------
 */

struct fill {
    struct sim_rows *r;
    double *most; /* [n_items] sum of |w[i][j]| over i: bounds any score of j */
    size_t entries, room, item_room, weight_room;
    double scale;
};

static enum err measure(void *arg, size_t i, const float *row)
{
    struct fill *f = arg;

    (void)i;
    for (size_t j = 0; j < f->r->n_items; j++) {
        f->most[j] += fabs((double)row[j]);
        f->entries += fpclassify(row[j]) != FP_ZERO;
    }
    return ERR_OK;
}

static enum err keep(void *arg, size_t i, const float *row)
{
    struct fill *f = arg;
    struct sim_rows *r = f->r;

    if (r->dense != NULL) {
        int32_t *to = r->dense + i * r->n_items;

        for (size_t j = 0; j < r->n_items; j++)
            to[j] = (int32_t)lrint(f->scale * (double)row[j]);
        return ERR_OK;
    }
    size_t at = r->ptr[i];

    ERR_TRY(
        mem_grow(&r->item, &f->item_room, at + r->n_items, sizeof(*r->item)));
    ERR_TRY(mem_grow(&r->weight, &f->weight_room, at + r->n_items,
                     sizeof(*r->weight)));
    for (size_t j = 0; j < r->n_items; j++) {
        if (fpclassify(row[j]) == FP_ZERO)
            continue;
        r->item[at] = (uint32_t)j;
        r->weight[at++] = (int32_t)lrint(f->scale * (double)row[j]);
    }
    r->ptr[i + 1] = at;
    return ERR_OK;
}

static enum err round_rows(struct sim_rows *r, const struct asker *a,
                           double *most)
{
    const size_t n = r->n_items;
    struct fill f = {.r = r, .most = most};
    double top = 0;

    ERR_TRY(each_row(a, &f, measure));
    for (size_t j = 0; j < n; j++)
        top = fmax(top, most[j]);
    /* each rounding adds at most one half */
    f.scale = top > 0 ? ((double)SIM_SCORE - (double)n) / top : 0;
    if ((double)f.entries >= SPARSE * (double)n * (double)n) {
        ERR_TRY(mem_budget(4.0 * (double)n * (double)n,
                           "the rows of a recommender (--min-people leaves "
                           "out rare items)"));
        r->dense = mem_array(n * n, sizeof(*r->dense));
    } else {
        r->ptr = mem_array(n + 1, sizeof(*r->ptr));
    }
    if (r->dense == NULL && r->ptr == NULL)
        return no_memory();
    return each_row(a, &f, keep);
}

/* --- do they add up? -------------------------------------------------------
 */

static double cosine(const float *x, const int32_t *y, size_t n)
{
    double xy = 0, xx = 0, yy = 0;

    for (size_t j = 0; j < n; j++) {
        xy += (double)x[j] * (double)y[j];
        xx += (double)x[j] * (double)x[j];
        yy += (double)y[j] * (double)y[j];
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 1;
}

static enum err check_sums(const struct sim_rows *r, const struct asker *a,
                           const struct rec_data *d, int32_t *sum)
{
    const size_t n = r->n_items;

    for (size_t p = 0; p < PROBES && p < d->n_users; p++) {
        const size_t u = p * d->n_users / PROBES % d->n_users;
        const struct rec_query q = {1,       a->nobody, d->user_ptr + u,
                                    d->item, NULL,      NULL};

        ERR_TRY(rec_scores(a->m, &q, a->scores, a->vec));
        memset(sum, 0, n * sizeof(*sum));
        for (size_t k = d->user_ptr[u]; k < d->user_ptr[u + 1]; k++)
            sim_rows_add(r, d->item[k], 1, sum);
        if (cosine(a->scores, sum, n) < SAME)
            return err_set(ERR_ARG,
                           "scores of \"%s\" are not a sum over the history: "
                           "simulate itemknn, ease, bpr or lightgcn",
                           a->m->ops->name);
    }
    return ERR_OK;
}

static enum err asker_open(struct asker *a, struct mem_scratch *s,
                           const struct rec_model *m)
{
    *a = (struct asker){
        .m = m,
        .scores = mem_take(s, BATCH, m->n_items, sizeof(float)),
        .vec = mem_take(s, BATCH, rec_scores_room(m), sizeof(float)),
        .nobody = mem_take(s, BATCH, 1, sizeof(uint32_t)),
        .item = mem_take(s, m->n_items, 1, sizeof(uint32_t)),
        .ptr = mem_take(s, m->n_items + 1, 1, sizeof(size_t)),
    };
    if (s->failed)
        return no_memory();
    for (size_t i = 0; i < BATCH; i++)
        a->nobody[i] = REC_NOBODY;
    for (size_t i = 0; i < m->n_items; i++) {
        a->item[i] = (uint32_t)i;
        a->ptr[i + 1] = i + 1;
    }
    return ERR_OK;
}

enum err sim_rows_of(struct sim_rows *out, const struct rec_model *m,
                     const struct rec_data *d)
{
    const size_t n = m->n_items;
    struct mem_scratch s = {0};
    double *most = mem_take(&s, n, 1, sizeof(*most));
    int32_t *sum = mem_take(&s, n, 1, sizeof(*sum));
    struct asker a;
    enum err e = asker_open(&a, &s, m);

    *out = (struct sim_rows){.n_items = n,
                             .popular = mem_array(n, sizeof(int32_t))};
    if (e == ERR_OK && out->popular == NULL)
        e = no_memory();
    for (size_t i = 0; i < n && e == ERR_OK; i++)
        out->popular[i] =
            (int32_t)(m->popularity[i] < (uint32_t)SIM_SCORE ? m->popularity[i]
                                                             : SIM_SCORE);
    if (e == ERR_OK)
        e = round_rows(out, &a, most);
    if (e == ERR_OK)
        e = check_sums(out, &a, d, sum);
    mem_drop(&s);
    if (e != ERR_OK)
        sim_rows_free(out);
    return e;
}
