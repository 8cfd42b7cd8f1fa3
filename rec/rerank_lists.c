/* rec/rerank_lists.c - candidates and their features. */
#include "rec/rerank_lists.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/par.h"
#include "kernels/power.h"
#include "rec/score.h"

#define LN2 0.69314718055994531
#define NEAREST ((size_t)5)
#define FUSED 61.0F /* of a first place; 60 and the rank, from 1 */

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for lists to re-rank");
}

enum err rec_batch_open(struct rec_batch *b, struct mem_scratch *s,
                        const struct rec_generators *g, size_t n)
{
    const size_t width = rec_generators_features(g);
    const size_t n_items = g->part[0]->n_items;

    *b = (struct rec_batch){
        .n = n,
        .item = mem_take(s, REC_ASK, n, sizeof(*b->item)),
        .len = mem_take(s, REC_ASK, 1, sizeof(*b->len)),
        .past = mem_take(s, REC_ASK, REC_PAST, sizeof(*b->past)),
        .x = mem_take(s, REC_ASK, n * width, sizeof(*b->x)),
        .first = mem_take_raw(s, REC_ASK, n_items, sizeof(*b->first)),
    };
    if (g->merge)
        b->own = mem_take(s, REC_ASK * g->n, n, sizeof(*b->own));
    return s->failed ? no_memory() : ERR_OK;
}

/* --- popularity ------------------------------------------------------------
 */

struct counted {
    uint32_t rows, item;
};

static int by_rows(const void *a, const void *b)
{
    const struct counted *x = a, *y = b;

    if (x->rows != y->rows)
        return x->rows < y->rows ? -1 : 1;
    return (x->item > y->item) - (x->item < y->item);
}

enum err rec_generators_place(struct rec_generators *g, size_t n_items)
{
    struct counted *c = mem_array(n_items, sizeof(*c));

    if (c == NULL)
        return no_memory();
    for (size_t i = 0; i < n_items; i++)
        c[i] = (struct counted){g->popularity[i], (uint32_t)i};
    qsort(c, n_items, sizeof(*c), by_rows);
    for (size_t k = 0; k < n_items; k++)
        g->place[c[k].item] = (float)k / (float)n_items;
    free(c);
    return ERR_OK;
}

/* --- lists -----------------------------------------------------------------
 */

size_t rec_generators_features(const struct rec_generators *g)
{
    return 2 * g->n + 3 + (g->near != NULL ? 2 : 0) +
           (g->traits != NULL ? REC_TRAIT_FEATURES : 0);
}

struct maker {
    const struct rec_generators *g;
    const struct rec_query *q;
    struct rec_batch *out;
    const float *scores[REC_GENERATORS]; /* [people][n_items] */
    size_t n_items;
    struct krn_topk *top; /* [threads] */
    struct ranked *order; /* [threads][generators * n] */
    uint16_t *slot; /* [threads][n_items] a candidate's place, from 1; else 0 */
    float *most;    /* [threads][n][NEAREST] of each candidate, descending */
    float *taste;   /* [threads][REC_KINDS_MOST] */
};

struct ranked {
    float score;
    uint32_t at;
};

static int by_score(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->score > y->score || x->score < y->score)
        return x->score > y->score ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* The best of generator g; returns how many. */
static size_t best_of(const struct maker *w, size_t p, size_t thread, size_t g,
                      uint32_t *item)
{
    const struct krn_ops *ops = cpu_ops();
    struct krn_topk *t = &w->top[thread];

    *t = krn_topk_start(w->out->n, t->score, t->id);
    t->skip = w->q->item + w->q->ptr[p];
    t->skip_end = w->q->item + w->q->ptr[p + 1];
    ops->topk_push_f32(t, w->scores[g] + p * w->n_items, 0, w->n_items);
    ops->topk_sort_f32(t);
    for (size_t k = 0; k < w->out->n; k++)
        item[k] = k < t->n ? t->id[k] : REC_NOBODY;
    return t->n;
}

/* What all generators' lists say of each item together: the sum of 1 / (FUSED +
 * rank), found[generators * n]; returns how many items there are. */
static size_t fuse(const struct maker *w, const uint32_t *own, uint16_t *slot,
                   struct ranked *found)
{
    const size_t n = w->out->n, parts = w->g->n;
    size_t all = 0;

    for (size_t turn = 0; turn < n * parts; turn++) {
        const uint32_t i = own[turn % parts * n + turn / parts];

        if (i == REC_NOBODY)
            continue;
        if (slot[i] == 0) {
            found[all] = (struct ranked){0, i};
            slot[i] = (uint16_t)++all;
        }
        found[slot[i] - 1].score += 1 / (FUSED + (float)(turn / parts));
    }
    for (size_t k = 0; k < all; k++)
        slot[found[k].at] = 0;
    qsort(found, all, sizeof(*found), by_score);
    return all;
}

/* Candidates from all generators, in the order of the base. */
static size_t merge(const struct maker *w, size_t p, size_t thread,
                    uint32_t *item)
{
    const float *base = w->scores[0] + p * w->n_items;
    const size_t n = w->out->n, parts = w->g->n;
    uint32_t *own = w->out->own + p * parts * n;
    struct ranked *found = w->order + thread * n * parts;

    for (size_t g = 0; g < parts; g++)
        (void)best_of(w, p, thread, g, own + g * n);
    const size_t all = fuse(w, own, w->slot + thread * w->n_items, found);
    const size_t len = all < n ? all : n;

    for (size_t k = 0; k < len; k++)
        found[k].score = base[found[k].at];
    qsort(found, len, sizeof(*found), by_score);
    for (size_t k = 0; k < n; k++)
        item[k] = k < len ? found[k].at : REC_NOBODY;
    return len;
}

static float rank_feature(size_t r)
{
    return (float)(LN2 * krn_log2_f64((double)r + 1));
}

/* Ranks in the generators' own lists, for the first len candidates. */
static void own_ranks(const struct maker *w, size_t p, size_t thread, float *x,
                      size_t width)
{
    const size_t n = w->out->n, parts = w->g->n, len = w->out->len[p];
    const uint32_t *item = w->out->item + p * n;
    const uint32_t *own = w->out->own + p * parts * n;
    uint16_t *slot = w->slot + thread * w->n_items;

    for (size_t k = 0; k < len; k++)
        slot[item[k]] = (uint16_t)(k + 1);
    for (size_t g = 0; g < parts; g++) {
        for (size_t k = 0; k < len; k++)
            x[k * width + 2 * g + 1] = rank_feature(n);
        for (size_t r = 0; r < n && own[g * n + r] != REC_NOBODY; r++) {
            const size_t at = slot[own[g * n + r]];

            if (at > 0)
                x[(at - 1) * width + 2 * g + 1] = rank_feature(r);
        }
    }
    for (size_t k = 0; k < len; k++)
        slot[item[k]] = 0;
}

/* The two features of generator g, for the first len candidates. */
static void of_generator(const struct maker *w, size_t p, size_t g,
                         struct ranked *order, float *x, size_t width)
{
    const float *scores = w->scores[g] + p * w->n_items;
    const uint32_t *item = w->out->item + p * w->out->n;
    const size_t len = w->out->len[p];
    double mean = 0, square = 0;

    for (size_t k = 0; k < len; k++) {
        mean += (double)scores[item[k]] / (double)len;
        order[k] = (struct ranked){scores[item[k]], (uint32_t)k};
    }
    for (size_t k = 0; k < len; k++) {
        const double d = (double)scores[item[k]] - mean;

        square += d * d / (double)len;
    }
    const double unit = square > 1e-30 ? 1 / sqrt(square) : 0;

    qsort(order, len, sizeof(*order), by_score);
    for (size_t r = 0; r < len; r++) {
        float *to = x + order[r].at * width + 2 * g;

        to[0] = (float)(((double)order[r].score - mean) * unit);
        to[1] = rank_feature(r);
    }
}

/* Of a longer history every so many: numbers of items follow a hash, so that
 * this is a draw that hangs on the history alone. */
static void take_past(const struct rec_query *q, size_t p, uint32_t *past)
{
    const uint32_t *item = q->item + q->ptr[p];
    const size_t n = q->ptr[p + 1] - q->ptr[p];

    for (size_t k = 0; k < REC_PAST; k++)
        past[k] = n > REC_PAST ? item[k * n / REC_PAST]
                  : k < n      ? item[k]
                               : NN_PAD;
}

/* Keep the NEAREST largest, descending. */
static void keep_largest(float *most, float x)
{
    size_t at = NEAREST;

    for (; at > 0 && x > most[at - 1]; at--) {
        if (at < NEAREST)
            most[at] = most[at - 1];
    }
    if (at < NEAREST)
        most[at] = x;
}

/* From what of the history the candidates are near: the largest weight and the
 * mean of the NEAREST largest. */
static void of_history(const struct maker *w, size_t p, size_t thread, float *x,
                       size_t width)
{
    const struct rec_query *q = w->q;
    const uint64_t *ptr = rec_model_array(w->g->near, "ptr");
    const uint32_t *near = rec_model_array(w->g->near, "item");
    const float *weight = rec_model_array(w->g->near, "weight");
    const uint32_t *item = w->out->item + p * w->out->n;
    uint16_t *slot = w->slot + thread * w->n_items;
    float *most = w->most + thread * w->out->n * NEAREST;

    memset(most, 0, w->out->n * NEAREST * sizeof(*most));
    for (size_t k = 0; k < w->out->len[p]; k++)
        slot[item[k]] = (uint16_t)(k + 1);
    for (size_t r = q->ptr[p]; r < q->ptr[p + 1]; r++) {
        const size_t j = q->item[r];

        for (uint64_t a = ptr[j]; a < ptr[j + 1]; a++) {
            if (slot[near[a]] > 0)
                keep_largest(most + (slot[near[a]] - 1U) * NEAREST, weight[a]);
        }
    }
    for (size_t k = 0; k < w->out->len[p]; k++) {
        float sum = 0;

        slot[item[k]] = 0;
        for (size_t e = 0; e < NEAREST; e++)
            sum += most[k * NEAREST + e];
        x[k * width] = most[k * NEAREST];
        x[k * width + 1] = sum / NEAREST;
    }
}

/* What attributes say. */
static void of_attributes(const struct maker *w, size_t p, size_t thread,
                          float *x, size_t width)
{
    const struct rec_query *q = w->q;
    const uint32_t *item = w->out->item + p * w->out->n;
    float *taste = w->taste + thread * REC_KINDS_MOST;

    rec_traits_taste(w->g->traits, q->item + q->ptr[p],
                     q->ptr[p + 1] - q->ptr[p], taste);
    for (size_t k = 0; k < w->out->len[p]; k++)
        rec_traits_features(w->g->traits, q->user[p], taste, w->n_items,
                            item[k], x + k * width);
}

static void list_task(void *arg, size_t p, size_t thread)
{
    const struct maker *w = arg;
    const size_t width = rec_generators_features(w->g), n = w->out->n;
    float *x = w->out->x + p * n * width, *more = x + 2 * w->g->n + 3;
    const size_t met = w->q->ptr[p + 1] - w->q->ptr[p];

    w->out->len[p] = w->g->merge
                         ? merge(w, p, thread, w->out->item + p * n)
                         : best_of(w, p, thread, 0, w->out->item + p * n);
    take_past(w->q, p, w->out->past + p * REC_PAST);
    memset(x, 0, n * width * sizeof(*x));
    for (size_t g = 0; g < w->g->n; g++)
        of_generator(w, p, g, w->order + thread * n * w->g->n, x, width);
    if (w->g->merge)
        own_ranks(w, p, thread, x, width);
    for (size_t k = 0; k < w->out->len[p]; k++) {
        const uint32_t i = w->out->item[p * n + k];
        float *to = x + k * width + 2 * w->g->n;

        to[0] = (float)(LN2 * krn_log2_f64(1 + (double)w->g->popularity[i]));
        to[1] = w->g->place[i];
        to[2] = (float)(LN2 * krn_log2_f64(1 + (double)met));
    }
    if (w->g->near != NULL) {
        of_history(w, p, thread, more, width);
        more += 2;
    }
    if (w->g->traits != NULL)
        of_attributes(w, p, thread, more, width);
}

enum err rec_lists_make(const struct rec_generators *g,
                        const struct rec_query *q, struct rec_batch *out)
{
    const size_t n_items = g->part[0]->n_items;
    const size_t room = KRN_TOPK_ROOM(out->n);
    struct mem_scratch s = {0};
    struct maker w = {
        .g = g,
        .q = q,
        .out = out,
        .n_items = n_items,
        .scores = {out->first},
        .top = mem_take(&s, par_threads(), 1, sizeof(*w.top)),
        .order = mem_take(&s, par_threads() * g->n, out->n, sizeof(*w.order)),
        .slot = mem_take(&s, par_threads(), n_items, sizeof(*w.slot)),
        .most = mem_take(&s, par_threads(), out->n * NEAREST, sizeof(*w.most)),
        .taste = mem_take(&s, par_threads(), REC_KINDS_MOST, sizeof(*w.taste)),
    };
    enum err e = ERR_OK;

    for (size_t t = 0; t < par_threads() && !s.failed; t++) {
        w.top[t].score = mem_take(&s, room, 1, sizeof(float));
        w.top[t].id = mem_take(&s, room, 1, sizeof(uint32_t));
    }
    for (size_t k = 0; k < g->n && e == ERR_OK; k++) {
        float *scores = k == 0 ? out->first
                               : mem_take_raw(&s, q->n, n_items, sizeof(float));
        float *vec =
            mem_take(&s, q->n, rec_scores_room(g->part[k]), sizeof(float));

        w.scores[k] = scores;
        e = s.failed ? no_memory() : rec_scores(g->part[k], q, scores, vec);
    }
    if (e == ERR_OK)
        par_for(q->n, list_task, &w);
    mem_drop(&s);
    return e;
}
