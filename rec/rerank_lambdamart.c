/*
 * rec/rerank_lambdamart.c - boosted trees on the features: the baseline that
 * re-rankers have to beat.
 *
 * Source: Burges, From RankNet to LambdaRank to LambdaMART, MSR-TR-2010-82.
 * Pairs weigh what their exchange would change in NDCG; pairs below place 30
 * are left out, and a list's weights are scaled by log2(1 + sum) / sum, as in
 * LightGBM.
 */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/par.h"
#include "kernels/power.h"
#include "rec/boost.h"
#include "rec/rerank_learn.h"

#define LOG2_E 1.4426950408889634
#define TOP 30 /* places whose pairs count */

/* Rows of all lists, one behind the other. */
struct rows {
    const struct rec_lessons *t;
    size_t *ptr;                    /* [lists + 1] */
    float *x;                       /* [rows][features] */
    double *gain;                   /* [rows] 2^label - 1 */
    double discount[REC_LIST_MOST]; /* of places */
    double *ideal; /* [lists] 1 / DCG of the best order, or 0 */
    const double *score;
    float *g, *h;
};

static double gain_of(float label)
{
    return krn_power_f64(2, (double)label) - 1;
}

/* Items i above j in `order`; add what their pair says. */
static double pair(const struct rows *r, size_t l, size_t i, size_t j,
                   size_t place_i, size_t place_j)
{
    const float *label = r->t->label + l * r->t->list;
    const bool i_better = label[i] > label[j];
    const size_t better = r->ptr[l] + (i_better ? i : j);
    const size_t worse = r->ptr[l] + (i_better ? j : i);
    const double delta = fabs(r->gain[better] - r->gain[worse]) *
                         fabs(r->discount[place_i] - r->discount[place_j]) *
                         r->ideal[l];
    const double far = r->score[better] - r->score[worse];
    const double rho = 1 / (1 + krn_exp2_f64(LOG2_E * far));

    r->g[better] -= (float)(rho * delta);
    r->g[worse] += (float)(rho * delta);
    r->h[better] += (float)(rho * (1 - rho) * delta);
    r->h[worse] += (float)(rho * (1 - rho) * delta);
    return 2 * rho * delta;
}

static void slope_task(void *arg, size_t l, size_t thread)
{
    const struct rows *r = arg;
    const float *label = r->t->label + l * r->t->list;
    struct rec_placed order[REC_LIST_MOST];
    const size_t first = r->ptr[l], n = r->ptr[l + 1] - first;
    double sum = 0;

    (void)thread;
    for (size_t k = 0; k < n; k++) {
        order[k] = (struct rec_placed){(float)r->score[first + k], (uint32_t)k};
        r->g[first + k] = 0;
        r->h[first + k] = 0;
    }
    qsort(order, n, sizeof(*order), rec_by_place);
    for (size_t a = 0; a < n && a < TOP; a++) {
        for (size_t b = a + 1; b < n; b++) {
            const size_t i = order[a].at, j = order[b].at;

            if (label[i] > label[j] || label[i] < label[j])
                sum += pair(r, l, i, j, a, b);
        }
    }
    const float scale = sum > 0 ? (float)(krn_log2_f64(1 + sum) / sum) : 0;

    for (size_t k = first; k < first + n; k++) {
        r->g[k] *= scale;
        r->h[k] *= scale;
    }
}

static void slope(void *arg, const double *score, float *g, float *h)
{
    struct rows *r = arg;

    r->score = score;
    r->g = g;
    r->h = h;
    par_for(r->t->n, slope_task, r);
}

static int by_label(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;

    return (x < y) - (x > y);
}

static double ideal_of(const struct rows *r, const float *label, size_t n)
{
    float best[REC_LIST_MOST];
    double sum = 0;

    for (size_t k = 0; k < n; k++)
        best[k] = label[k];
    qsort(best, n, sizeof(*best), by_label);
    for (size_t k = 0; k < n && k < TOP; k++)
        sum += gain_of(best[k]) * r->discount[k];
    return sum > 0 ? 1 / sum : 0;
}

static enum err take_rows(struct rows *r, struct mem_scratch *s)
{
    const struct rec_lessons *t = r->t;

    r->ptr = mem_take(s, t->n + 1, 1, sizeof(*r->ptr));
    r->x = mem_take_raw(s, t->n * t->list, t->features, sizeof(*r->x));
    r->ideal = mem_take(s, t->n, 1, sizeof(*r->ideal));
    r->gain = mem_take(s, t->n, t->list, sizeof(*r->gain));
    if (s->failed)
        return err_set(ERR_NOMEM, "no memory for rows of trees");
    for (size_t k = 0; k < REC_LIST_MOST; k++)
        r->discount[k] = 1 / krn_log2_f64((double)k + 2);
    for (size_t l = 0; l < t->n; l++) {
        const float *x = t->x + l * t->list * t->features;
        size_t n = 0;

        for (; n < t->list && t->mask[l * t->list + n] > 0; n++) {
            for (size_t f = 0; f < t->features; f++)
                r->x[(r->ptr[l] + n) * t->features + f] =
                    x[n * t->features + f];
        }
        r->ptr[l + 1] = r->ptr[l] + n;
        for (size_t k = 0; k < n; k++)
            r->gain[r->ptr[l] + k] = gain_of(t->label[l * t->list + k]);
        r->ideal[l] = ideal_of(r, t->label + l * t->list, n);
    }
    return ERR_OK;
}

static enum err open_trees(struct rec_net *k, const struct rec_model *m,
                           bool training)
{
    (void)m;
    (void)training;
    k->own = mem_array(1, sizeof(struct rec_boost));
    return k->own != NULL ? nn_params_plan(k->params, false)
                          : err_set(ERR_NOMEM, "no memory for trees");
}

static enum err learn(struct rec_net *k, const struct rec_model *m,
                      const struct rec_lessons *t)
{
    const struct rec_rerank_opts *o = m->opts;
    struct rows r = {.t = t};
    const struct rec_boost_loss loss = {slope, &r};
    const struct rec_boost_opt opt = {.trees = (size_t)o->trees,
                                      .leaves = (size_t)o->leaves,
                                      .least = 20,
                                      .rate = o->shrinkage,
                                      .l2 = 1e-3};
    struct mem_scratch s = {0};
    enum err e = take_rows(&r, &s);

    if (e == ERR_OK)
        e = rec_boost_fit(k->own, r.x, r.ptr[t->n], t->features, &opt, &loss);
    mem_drop(&s);
    return e;
}

struct scorer {
    const struct rec_net *k;
    const struct rec_asked *a;
    float *value;
};

static void score_task(void *arg, size_t l, size_t thread)
{
    const struct scorer *s = arg;
    const struct rec_boost *b = s->k->own;

    (void)thread;
    for (size_t c = 0; c < s->k->n; c++) {
        const size_t at = l * s->k->n + c;

        s->value[at] =
            b->words == NULL
                ? -(float)c
                : (float)rec_boost_score(b, s->a->x + at * s->k->features);
    }
}

static enum err order(struct rec_net *k, const struct rec_asked *a,
                      float *value)
{
    struct scorer s = {k, a, value};

    par_for(k->batch, score_task, &s);
    return ERR_OK;
}

static const uint32_t *words(const struct rec_net *k, size_t *n)
{
    const struct rec_boost *b = k->own;

    *n = b->n_words;
    return b->words;
}

static enum err load(struct rec_net *k, const uint32_t *from, size_t n)
{
    struct rec_boost *b = k->own;

    if (n == 0)
        return ERR_OK; /* there was nothing to learn from */
    if (!rec_boost_valid(from, n, k->features))
        return err_set(ERR_FORMAT, "the trees of the re-ranker are damaged");
    b->words = mem_array(n, sizeof(*b->words));
    if (b->words == NULL)
        return err_set(ERR_NOMEM, "no memory for trees");
    b->n_words = n;
    for (size_t w = 0; w < n; w++)
        b->words[w] = from[w];
    return ERR_OK;
}

static void close_trees(struct rec_net *k)
{
    if (k->own != NULL)
        rec_boost_free(k->own);
    free(k->own);
}

static const struct rec_reranker_ways ways = {
    .open = open_trees,
    .learn = learn,
    .order = order,
    .words = words,
    .load = load,
    .close = close_trees,
};

extern const struct rec_reranker rec_reranker_lambdamart;
const struct rec_reranker rec_reranker_lambdamart = {
    .name = "lambdamart",
    .help = "boosted regression trees on the features",
    .ways = &ways,
    .reads = "trees leaves shrinkage",
};
