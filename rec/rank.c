/*
 * rec/rank.c - the best k items for many people.
 *
 * Inner products: a task owns a block of people, whose vectors stay in the
 * cache, and goes over the items; scores are compared with each person's k best
 * while they are in registers, and those that pass are offered, but for the
 * items that are to be left out.  Whole rows: a batch of rows is scored by the
 * model, then each person's row is offered.
 *
 * The k best are a set that does not depend on the order of offers, and each
 * score is one chain: same lists for any tile, block and number of threads.
 */
#include "rec/rank.h"

#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "base/device.h"
#include "base/mem.h"
#include "base/par.h"
#include "rec/rank_cuda.h"

#define RANK_PEOPLE 112
#define RANK_EMBED 8192       /* people whose vectors are held at once */
#define RANK_ROWS 256         /* most rows of a batch, for whole rows */
#define RANK_FLOATS (4 << 20) /* about so many scores in such a batch */

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

struct ranking {
    const struct rec_model *m;
    const struct rec_query *q;
    size_t k;
    bool hide_seen;
    uint32_t *item; /* [n][k] */
    float *score;   /* [n][k] or NULL */
    size_t most;    /* k, or all items if they are fewer */
    float *held;    /* [threads][RANK_PEOPLE] lists in the making */
    uint32_t *held_id;
    size_t first; /* person of q that the buffers below begin with */
    size_t n;     /* people in them */
    const float *vec, *items; /* [n][d], panels of KRN_PANEL items */
    size_t d;
    const float *rows; /* [n][n_items] whole rows, or one row of popularity */
};

static bool has_history(const struct rec_query *q, size_t i)
{
    return q->ptr[i] < q->ptr[i + 1];
}

static struct krn_topk list_of(const struct ranking *r, size_t q, size_t list)
{
    const size_t at = list * KRN_TOPK_ROOM(r->most);
    struct krn_topk t = krn_topk_start(r->most, r->held + at, r->held_id + at);

    if (r->hide_seen && has_history(r->q, q)) {
        t.skip = r->q->item + r->q->ptr[q];
        t.skip_end = r->q->item + r->q->ptr[q + 1];
    }
    return t;
}

/* The list of person q, best first. */
static void finish(const struct ranking *r, struct krn_topk *t, size_t q)
{
    cpu_ops()->topk_sort_f32(t);
    for (size_t j = 0; j < r->k; j++) {
        r->item[q * r->k + j] = j < t->n ? t->id[j] : REC_NOBODY;
        if (r->score != NULL)
            r->score[q * r->k + j] = j < t->n ? t->score[j] : -INFINITY;
    }
}

/* --- inner products ---------------------------------------------------------
 */

static void product_task(void *arg, size_t task, size_t thread)
{
    const struct ranking *r = arg;
    const size_t person = task * RANK_PEOPLE;
    struct krn_topk list[RANK_PEOPLE];
    const struct krn_score s = {.m = min_size(RANK_PEOPLE, r->n - person),
                                .n = r->m->n_items,
                                .k = r->d,
                                .a = r->vec + person * r->d,
                                .lda = r->d,
                                .b = r->items,
                                .ldb = r->d * KRN_PANEL,
                                .list = list};

    for (size_t p = 0; p < s.m; p++)
        list[p] = list_of(r, r->first + person + p, thread * RANK_PEOPLE + p);
    cpu_ops()->score_f32(&s);
    for (size_t p = 0; p < s.m; p++)
        finish(r, &list[p], r->first + person + p);
}

struct paneling {
    const float *from; /* [n][d] */
    float *to;         /* [panels][d][KRN_PANEL] */
    size_t n, d;
};

static void panel_task(void *arg, size_t panel, size_t thread)
{
    const struct paneling *t = arg;
    const size_t first = panel * KRN_PANEL,
                 n = min_size(KRN_PANEL, t->n - first);
    float *to = t->to + first * t->d;

    (void)thread;
    for (size_t j = 0; j < t->d; j++) {
        for (size_t i = 0; i < n; i++)
            to[j * KRN_PANEL + i] = t->from[(first + i) * t->d + j];
    }
}

/* The vectors of the items as the product reads them. */
static const float *items_in_panels(struct mem_scratch *s,
                                    const struct rec_model *m, size_t *d)
{
    const size_t panels = (m->n_items + KRN_PANEL - 1) / KRN_PANEL;
    struct paneling t = {.n = m->n_items};

    t.from = m->ops->item_vectors(m, d);
    t.d = *d;
    t.to = mem_take(s, panels * KRN_PANEL, t.d, sizeof(float));
    if (t.to != NULL)
        par_for(panels, panel_task, &t);
    return t.to;
}

static struct rec_query query_part(const struct rec_query *q, size_t first,
                                   size_t n)
{
    return (struct rec_query){n,       q->user + first, q->ptr + first,
                              q->item, q->value,        q->time};
}

static enum err rank_on_cpu(struct ranking *r, struct mem_scratch *s)
{
    const size_t batch = min_size(r->q->n, RANK_EMBED);
    float *vec;

    r->items = items_in_panels(s, r->m, &r->d);
    vec = mem_take(s, batch, r->d, sizeof(float));
    if (s->failed)
        return err_set(ERR_NOMEM, "no memory for ranking");
    r->vec = vec;
    for (r->first = 0; r->first < r->q->n; r->first += r->n) {
        r->n = min_size(batch, r->q->n - r->first);
        const struct rec_query part = query_part(r->q, r->first, r->n);

        ERR_TRY(r->m->ops->embed(r->m, &part, vec));
        par_for((r->n + RANK_PEOPLE - 1) / RANK_PEOPLE, product_task, r);
    }
    return ERR_OK;
}

static enum err rank_products(struct ranking *r, struct mem_scratch *s)
{
    return device_cuda() != NULL ? rec_rank_cuda(r->m, r->q, r->k, r->hide_seen,
                                                 r->item, r->score)
                                 : rank_on_cpu(r, s);
}

/* --- whole rows -------------------------------------------------------------
 */

static void row_task(void *arg, size_t task, size_t thread)
{
    const struct ranking *r = arg;
    struct krn_topk list = list_of(r, r->first + task, thread * RANK_PEOPLE);

    cpu_ops()->topk_push_f32(&list, r->rows + task * r->m->n_items, 0,
                             r->m->n_items);
    finish(r, &list, r->first + task);
}

static enum err rank_rows(struct ranking *r, struct mem_scratch *s)
{
    size_t batch = RANK_FLOATS / (r->m->n_items + 1) + 1;
    float *rows;

    batch = batch < 8 ? 8 : batch;
    batch = min_size(r->q->n, min_size(batch, RANK_ROWS * par_threads()));
    rows = mem_take(s, batch, r->m->n_items, sizeof(float));
    if (s->failed)
        return err_set(ERR_NOMEM, "no memory for ranking");
    r->rows = rows;
    for (r->first = 0; r->first < r->q->n; r->first += r->n) {
        r->n = min_size(batch, r->q->n - r->first);
        const struct rec_query part = query_part(r->q, r->first, r->n);

        ERR_TRY(r->m->ops->score(r->m, &part, rows));
        par_for(r->n, row_task, r);
    }
    return ERR_OK;
}

/* --- people without a history -----------------------------------------------
 */

static void newcomer_task(void *arg, size_t task, size_t thread)
{
    const struct ranking *r = arg;
    struct krn_topk list;

    if (has_history(r->q, task))
        return;
    list = list_of(r, task, thread * RANK_PEOPLE);
    cpu_ops()->topk_push_f32(&list, r->rows, 0, r->m->n_items);
    finish(r, &list, task);
}

/* Popularity order for those who have no history, whatever the model says. */
static enum err rank_newcomers(struct ranking *r, struct mem_scratch *s)
{
    size_t n = 0;
    float *row;

    for (size_t i = 0; i < r->q->n; i++)
        n += !has_history(r->q, i);
    if (n == 0)
        return ERR_OK;
    row = mem_take(s, 1, r->m->n_items, sizeof(float));
    if (row == NULL)
        return err_set(ERR_NOMEM, "no memory for ranking");
    for (size_t i = 0; i < r->m->n_items; i++)
        row[i] = (float)r->m->popularity[i];
    r->rows = row;
    par_for(r->q->n, newcomer_task, r);
    return ERR_OK;
}

/* Lists in the making: for blocks of people, or one a thread. */
static void take_lists(struct ranking *r, struct mem_scratch *s)
{
    const size_t places = KRN_TOPK_ROOM(r->most);
    const size_t lists = par_threads() * RANK_PEOPLE;

    r->held = mem_take(s, lists, places, sizeof(*r->held));
    r->held_id = mem_take(s, lists, places, sizeof(*r->held_id));
}

enum err rec_rank(const struct rec_model *m, const struct rec_query *q,
                  size_t k, bool hide_seen, uint32_t *item, float *score)
{
    struct mem_scratch s = {0};
    struct ranking r = {.m = m,
                        .q = q,
                        .k = k,
                        .most = min_size(k, m->n_items),
                        .hide_seen = hide_seen,
                        .item = item,
                        .score = score};
    enum err e;

    if (k == 0 || q->n == 0)
        return ERR_OK;
    if (device_cuda() != NULL && m->ops->score != NULL)
        return err_set(ERR_ARG,
                       "--device cuda makes lists of models of vectors; %s "
                       "scores whole rows: leave it out",
                       m->ops->name);
    r.most = r.most > 0 ? r.most : 1;
    take_lists(&r, &s);
    if (s.failed)
        e = err_set(ERR_NOMEM, "no memory for ranking");
    else
        e = m->ops->score != NULL ? rank_rows(&r, &s) : rank_products(&r, &s);
    if (e == ERR_OK)
        e = rank_newcomers(&r, &s);
    mem_drop(&s);
    return e;
}

enum err rec_rank_users(const struct rec_model *m, const struct rec_data *d,
                        size_t first, size_t n, size_t k, bool hide_seen,
                        uint32_t *item, float *score)
{
    struct mem_scratch s = {0};
    uint32_t *user = mem_take(&s, n, 1, sizeof(*user));
    const struct rec_query q = {n,       user,     d->user_ptr + first,
                                d->item, d->value, d->time};
    enum err e;

    if (s.failed)
        return err_set(ERR_NOMEM, "no memory for ranking");
    for (size_t i = 0; i < n; i++)
        user[i] = (uint32_t)(first + i);
    e = rec_rank(m, &q, k, hide_seen, item, score);
    mem_drop(&s);
    return e;
}
