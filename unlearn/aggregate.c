/* unlearn/aggregate.c - mean and learnt weights; attention is by its side. */
#include "unlearn/aggregate.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "kernels/elem.h"
#include "unlearn/attention.h"

#define MOST_ROWS 500000 /* of the rows that weights are learnt from */
#define SCORED 256       /* people whose whole rows are scored at once */

const struct unl_aggregate unl_aggregates[] = {
    {"mean", "the mean of the shards' scores (SISA); learns nothing", false,
     false},
    {"static", "a weighted mean, weights learnt (GraphEraser)", true, false},
    {"attention", "one space, attention over shards (RecEraser)", true, true},
    {.name = NULL},
};

const struct unl_aggregate *unl_aggregate_find(const char *name)
{
    for (const struct unl_aggregate *a = unl_aggregates; a->name != NULL; a++) {
        if (strcmp(a->name, name) == 0)
            return a;
    }
    return NULL;
}

static bool is_called(const struct unl_plan *plan, const char *name)
{
    return strcmp(plan->aggregate, name) == 0;
}

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory to aggregate shards");
}

static struct unl_attention attention_of(const struct unl_plan *plan, size_t n,
                                         size_t d)
{
    return (struct unl_attention){.n = n,
                                  .d = d,
                                  .hidden = (size_t)plan->aggregate_hidden,
                                  .epochs = plan->aggregate_epochs,
                                  .lr = plan->aggregate_lr,
                                  .reg = plan->aggregate_reg};
}

size_t unl_aggregate_specs(const struct unl_plan *plan, size_t n, size_t d,
                           struct rec_array_spec *spec)
{
    if (is_called(plan, "static")) {
        spec[0] = (struct rec_array_spec){"weight", STO_F32, n, 1};
        return 1;
    }
    if (is_called(plan, "attention")) {
        const struct unl_attention a = attention_of(plan, n, d);

        spec[0] = (struct rec_array_spec){"attention", STO_F32,
                                          unl_attention_size(&a), 1};
        return 1;
    }
    return 0;
}

/* --- vectors
 * ------------------------------------------------------------------
 */

/* Vectors of all shards side by side: [n_items][n d]. */
static enum err items_side_by_side(const struct rec_model *m,
                                   const struct unl_parts *p, float *to)
{
    for (size_t s = 0; s < p->n; s++)
        ERR_TRY(unl_parts_items(p, s, m->n_items, to + s * p->d, p->n * p->d));
    return ERR_OK;
}

/* Attention's vectors of items: times the root of how many rows an item has,
 * for what comparisons teach (bpr) says how much an item is liked by those who
 * could meet it, and the scores that are learnt how often it is met. */
static enum err items_by_root(const struct rec_model *m,
                              const struct unl_parts *p, float *to)
{
    const size_t width = p->n * p->d;

    ERR_TRY(items_side_by_side(m, p, to));
    for (size_t i = 0; i < m->n_items; i++)
        cpu_ops()->scale_f32(to + i * width, sqrtf((float)m->popularity[i]),
                             width);
    return ERR_OK;
}

static void scale_shards(const struct unl_parts *p, float *x, size_t rows)
{
    for (size_t i = 0; i < rows; i++) {
        for (size_t s = 0; s < p->n; s++) {
            float *v = x + (i * p->n + s) * p->d;

            for (size_t c = 0; c < p->d; c++)
                v[c] *= p->weight[s];
        }
    }
}

static enum err ready_vectors(struct rec_model *m, struct unl_parts *p)
{
    const bool attend = is_called(&p->plan, "attention");
    const struct unl_attention a = attention_of(&p->plan, p->n, p->d);
    float *all = mem_array(m->n_items * p->n * p->d, sizeof(*all));
    enum err e = all == NULL ? no_memory()
                 : attend    ? items_by_root(m, p, all)
                             : items_side_by_side(m, p, all);

    p->width = attend ? p->d : p->n * p->d;
    free(p->items);
    p->items = NULL;
    if (e == ERR_OK && attend) {
        p->items = mem_array(m->n_items * p->d, sizeof(*p->items));
        e = p->items == NULL
                ? no_memory()
                : unl_attention_join(&a, rec_model_array(m, "attention"), 1,
                                     all, m->n_items, p->items);
        free(all);
    } else if (e == ERR_OK) {
        scale_shards(p, all, m->n_items);
        p->items = all;
    } else {
        free(all);
    }
    return e;
}

enum err unl_aggregate_ready(struct rec_model *m, struct unl_parts *p)
{
    const struct unl_attention a = attention_of(&p->plan, p->n, p->d);

    p->weight = p->even;
    if (is_called(&p->plan, "static")) {
        if (!rec_model_has(m, "weight", STO_F32, p->n, 1))
            return err_set(ERR_FORMAT, "a sharded model without its weights: "
                                       "train it again");
        p->weight = rec_model_array(m, "weight");
    }
    if (is_called(&p->plan, "attention") &&
        !rec_model_has(m, "attention", STO_F32, unl_attention_size(&a), 1))
        return err_set(ERR_FORMAT, "a sharded model without its attention: "
                                   "train it again");
    return p->d > 0 ? ready_vectors(m, p) : ERR_OK;
}

enum err unl_aggregate_embed(const struct rec_model *m,
                             const struct unl_parts *p,
                             const struct rec_query *q, float *vec)
{
    const bool attend = is_called(&p->plan, "attention");
    const struct unl_attention a = attention_of(&p->plan, p->n, p->d);
    const size_t width = p->n * p->d;
    float *all = attend ? mem_array(q->n * width, sizeof(*all)) : vec;
    enum err e = all == NULL ? no_memory() : ERR_OK;

    for (size_t s = 0; s < p->n && e == ERR_OK; s++)
        e = unl_parts_embed(p, s, q, attend, all + s * p->d, width);
    if (attend) {
        if (e == ERR_OK)
            e = unl_attention_join(&a, rec_model_array(m, "attention"), 0, all,
                                   q->n, vec);
        free(all);
    }
    return e;
}

/* --- learnt weights
 * -------------------------------------------------------------
 *
 * Logistic loss of (score of a met item - score of a drawn one), by full
 * passes of Adam on the logarithms of the weights.
 */

struct weights {
    struct rec_model *m;
    const struct rec_data *d;
    size_t n_rows, every;         /* rows used, one in `every` of a person's */
    uint32_t *user, *met, *drawn; /* [n_rows] */
    float *gap;                   /* [n_rows][n shards] */
};

static bool person_has(const struct rec_data *d, size_t u, uint32_t item)
{
    size_t lo = d->user_ptr[u], hi = d->user_ptr[u + 1];

    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;

        if (d->item[mid] < item)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < d->user_ptr[u + 1] && d->item[lo] == item;
}

static void draw_rows(struct weights *w)
{
    const struct rec_data *d = w->d;
    const uint64_t seed = w->m->seed;

    w->n_rows = 0;
    for (size_t u = 0; u < d->n_users; u++) {
        for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++) {
            const struct krn_u32x4 draw = rng_pair(
                seed, RNG_NEGATIVE, d->user_key[u], d->item_key[d->item[r]]);
            const uint32_t other = (uint32_t)rng_scale(
                (uint64_t)draw.v[1] << 32 | draw.v[0], d->n_items);

            if (draw.v[2] % w->every != 0 || person_has(d, u, other))
                continue;
            w->user[w->n_rows] = (uint32_t)u;
            w->met[w->n_rows] = d->item[r];
            w->drawn[w->n_rows++] = other;
        }
    }
}

/* People first..first+n-1 as a question. */
static struct rec_query people(const struct rec_data *d, uint32_t *user,
                               size_t first, size_t n)
{
    for (size_t i = 0; i < n; i++)
        user[i] = (uint32_t)(first + i);
    return (struct rec_query){n,       user,     d->user_ptr + first,
                              d->item, d->value, d->time};
}

struct gap_job {
    const struct weights *w;
    size_t s, first, row;       /* shard; first person of the batch; its row */
    const float *users, *items; /* vectors, or scores[n][n_from] */
    size_t d, n_from;
};

static float score_at(const struct gap_job *j, uint32_t user, uint32_t item)
{
    const struct unl_parts *p = j->w->m->parts;

    if (j->items != NULL)
        return cpu_ops()->dot_f32(j->users + (user - j->first) * j->d,
                                  j->items + item * j->d, j->d);
    item = p->item[j->s][item];
    return item == REC_NOBODY ? 0
                              : j->users[(user - j->first) * j->n_from + item];
}

static void fill_gaps(const struct gap_job *j, size_t n_people)
{
    const struct weights *w = j->w;
    const size_t n = ((struct unl_parts *)w->m->parts)->n;

    for (size_t r = j->row; r < w->n_rows && w->user[r] < j->first + n_people;
         r++)
        w->gap[r * n + j->s] = score_at(j, w->user[r], w->met[r]) -
                               score_at(j, w->user[r], w->drawn[r]);
}

/* The gaps of shard s. */
static enum err gaps_of(struct weights *w, size_t s)
{
    const struct unl_parts *p = w->m->parts;
    const size_t n_from =
        p->d > 0 ? p->d : p->shard[s]->n_items; /* numbers for a person */
    struct mem_scratch t = {0};
    uint32_t *user = mem_take(&t, SCORED, 1, sizeof(*user));
    float *from = mem_take(&t, SCORED, n_from, sizeof(*from));
    float *items =
        p->d > 0 ? mem_take(&t, w->m->n_items, p->d, sizeof(*items)) : NULL;
    struct gap_job j = {w, s, 0, 0, from, items, p->d, n_from};
    enum err e = t.failed ? no_memory() : ERR_OK;

    if (e == ERR_OK && p->d > 0)
        e = unl_parts_items(p, s, w->m->n_items, items, p->d);
    for (; j.first < w->d->n_users && e == ERR_OK; j.first += SCORED) {
        const size_t left = w->d->n_users - j.first;
        const size_t n = left < SCORED ? left : SCORED;
        const struct rec_query q = people(w->d, user, j.first, n);
        struct unl_query own = {.user = NULL};

        if (p->d > 0)
            e = unl_parts_embed(p, s, &q, false, from, p->d);
        else if ((e = unl_query_make(&own, p, s, &q)) == ERR_OK)
            e = p->base->score(p->shard[s], &own.q, from);
        unl_query_free(&own);
        if (e == ERR_OK)
            fill_gaps(&j, n);
        while (j.row < w->n_rows && w->user[j.row] < j.first + n)
            j.row++;
    }
    mem_drop(&t);
    return e;
}

/* One pass of Adam on the logarithms a[n] of the weights. */
static void weights_pass(const struct weights *w, const struct unl_plan *plan,
                         double *a, double *mean, double *square, int64_t pass)
{
    const size_t n = ((struct unl_parts *)w->m->parts)->n;
    double pull[UNL_SHARDS_MAX] = {0}, weight[UNL_SHARDS_MAX];

    for (size_t s = 0; s < n; s++)
        weight[s] = (double)krn_exp1((float)a[s]);
    for (size_t r = 0; r < w->n_rows; r++) {
        double x = 0;

        for (size_t s = 0; s < n; s++)
            x += weight[s] * (double)w->gap[r * n + s];
        const double g = -1 / (1 + (double)krn_exp1((float)x));

        for (size_t s = 0; s < n; s++)
            pull[s] += g * (double)w->gap[r * n + s];
    }
    double fade1 = 1, fade2 = 1;

    for (int64_t i = 0; i < pass; i++) {
        fade1 *= .9;
        fade2 *= .999;
    }
    for (size_t s = 0; s < n; s++) {
        const double g = pull[s] * weight[s] / (double)(w->n_rows + 1) +
                         plan->aggregate_reg * a[s];

        mean[s] += .1 * (g - mean[s]);
        square[s] += .001 * (g * g - square[s]);
        a[s] -= plan->aggregate_lr * (mean[s] / (1 - fade1)) /
                (sqrt(square[s] / (1 - fade2)) + 1e-8);
    }
}

static enum err learn_weights(struct weights *w, float *out)
{
    const struct unl_parts *p = w->m->parts;
    double a[UNL_SHARDS_MAX] = {0}, mean[UNL_SHARDS_MAX] = {0},
           square[UNL_SHARDS_MAX] = {0};
    float sum = 0;

    draw_rows(w);
    for (size_t s = 0; s < p->n; s++) {
        if (p->shard[s] != NULL)
            ERR_TRY(gaps_of(w, s));
    }
    for (int64_t k = 1; k <= p->plan.aggregate_epochs; k++)
        weights_pass(w, &p->plan, a, mean, square, k);
    for (size_t s = 0; s < p->n; s++) {
        out[s] = p->shard[s] != NULL ? krn_exp1((float)a[s]) : 0;
        sum += out[s];
    }
    for (size_t s = 0; s < p->n; s++)
        out[s] /= sum;
    return ERR_OK;
}

static enum err learn_static(struct rec_model *m, const struct rec_data *d)
{
    struct mem_scratch s = {0};
    const size_t n = ((struct unl_parts *)m->parts)->n;
    struct weights w = {.m = m, .d = d, .every = d->n_rows / MOST_ROWS + 1};

    w.user = mem_take(&s, d->n_rows, 1, sizeof(*w.user));
    w.met = mem_take(&s, d->n_rows, 1, sizeof(*w.met));
    w.drawn = mem_take(&s, d->n_rows, 1, sizeof(*w.drawn));
    w.gap = mem_take(&s, d->n_rows / w.every + d->n_rows / 4 + 1024, n,
                     sizeof(*w.gap));
    const enum err e = s.failed
                           ? no_memory()
                           : learn_weights(&w, rec_model_array(m, "weight"));

    mem_drop(&s);
    return e;
}

/* --- attention --------------------------------------------------------------
 */

/* The shards' vectors of everybody and everything, side by side. */
static enum err people_and_items(const struct rec_model *m,
                                 const struct rec_data *d, float *const x[2])
{
    const struct unl_parts *p = m->parts;
    const size_t width = p->n * p->d;
    uint32_t *user = mem_array(m->n_users, sizeof(*user));
    enum err e = user == NULL ? no_memory() : items_by_root(m, p, x[1]);

    if (e == ERR_OK) {
        const struct rec_query q = people(d, user, 0, m->n_users);

        for (size_t s = 0; s < p->n && e == ERR_OK; s++)
            e = unl_parts_embed(p, s, &q, true, x[0] + s * p->d, width);
    }
    free(user);
    return e;
}

static enum err learn_attention(struct rec_model *m, const struct rec_data *d)
{
    const struct unl_parts *p = m->parts;
    const struct unl_attention a = attention_of(&p->plan, p->n, p->d);
    struct mem_scratch s = {0};
    float *const x[2] = {
        mem_take_raw(&s, m->n_users, p->n * p->d, sizeof(float)),
        mem_take_raw(&s, m->n_items, p->n * p->d, sizeof(float)),
    };
    enum err e = s.failed ? no_memory() : people_and_items(m, d, x);

    if (e == ERR_OK)
        e = unl_attention_learn(&a, d, x, rec_model_array(m, "attention"));
    mem_drop(&s);
    return e;
}

enum err unl_aggregate_learn(struct rec_model *m, const struct rec_data *d)
{
    struct unl_parts *p = m->parts;

    if (is_called(&p->plan, "mean"))
        return ERR_OK;
    ERR_TRY(is_called(&p->plan, "static") ? learn_static(m, d)
                                          : learn_attention(m, d));
    return unl_aggregate_ready(m, p);
}
