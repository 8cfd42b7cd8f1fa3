/* unlearn/parts.c - a sharded model as a rec_model. */
#include "unlearn/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/mem.h"
#include "base/par.h"
#include "unlearn/aggregate.h"
#include "unlearn/partition.h"

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for the shards of a model");
}

/* --- life -------------------------------------------------------------------
 */

static void parts_free(void *arg)
{
    struct unl_parts *p = arg;

    if (p == NULL)
        return;
    for (size_t s = 0; s < p->n; s++) {
        if (p->shard != NULL)
            rec_model_free(p->shard[s]);
        if (p->user != NULL)
            free(p->user[s]);
        if (p->item != NULL)
            free(p->item[s]);
    }
    free(p->shard);
    free(p->user);
    free(p->item);
    free(p->items);
    free(p->even);
    free(p->options);
    free(p);
}

enum err unl_parts_new(struct rec_model **out, const struct rec_model_ops *base,
                       const char *options, const struct unl_plan *plan)
{
    struct unl_parts *p = mem_array(1, sizeof(*p));
    struct rec_model *m = NULL;

    if (p == NULL)
        return no_memory();
    p->base = base;
    p->plan = *plan;
    /* whose texts may go before the model does */
    p->plan.partition = unl_partition_find(plan->partition)->name;
    p->plan.aggregate = unl_aggregate_find(plan->aggregate)->name;
    p->plan.train.metric = NULL;
    p->options = mem_text(options);
    enum err e = p->options == NULL ? no_memory() : ERR_OK;

    if (e == ERR_OK)
        e = rec_model_new(&m, base->score != NULL ? &unl_parts_rows
                                                  : &unl_parts_dot);
    if (e != ERR_OK) {
        parts_free(p);
        return e;
    }
    m->parts = p;
    m->parts_free = parts_free;
    *out = m;
    return ERR_OK;
}

/* --- from arrays to sub-models
 * ------------------------------------------------
 */

static enum err bad(const char *what)
{
    return err_set(ERR_FORMAT,
                   "the weights of a sharded model are damaged (%s): train it "
                   "again",
                   what);
}

static bool belongs(const struct sto_array *a, size_t s)
{
    char prefix[32];

    (void)snprintf(prefix, sizeof(prefix), "s%03zu.", s);
    return strncmp(a->name, prefix, 5) == 0;
}

/* The arrays of shard s as a model of their own; NULL when there are none. */
static enum err open_shard(const struct rec_model *m, struct unl_parts *p,
                           size_t s)
{
    struct rec_model *sub;
    size_t n = 0;

    for (size_t i = 0; i < m->n_arrays; i++)
        n += belongs(&m->array[i], s);
    if (n == 0)
        return ERR_OK;
    ERR_TRY(rec_model_new(&sub, p->base));
    p->shard[s] = sub;
    p->n_filled++;
    ERR_TRY(rec_model_options_parse(sub, p->options));
    sub->seed = m->seed;
    sub->array = mem_array(n, sizeof(*sub->array));
    if (sub->array == NULL)
        return no_memory();
    for (size_t i = 0; i < m->n_arrays; i++) {
        if (!belongs(&m->array[i], s))
            continue;
        struct sto_array *a = &sub->array[sub->n_arrays++];

        *a = m->array[i];
        memset(a->name, 0, sizeof(a->name));
        memcpy(a->name, m->array[i].name + 5, sizeof(a->name) - 5);
    }
    return rec_model_adopt(sub, "of a shard");
}

static uint32_t *translate(const uint64_t *from, size_t n, const uint64_t *to,
                           size_t n_to)
{
    uint32_t *map = mem_array(n, sizeof(*map));

    for (size_t i = 0; i < n && map != NULL; i++)
        map[i] = rec_key_find(to, n_to, from[i]);
    return map;
}

static enum err open_maps(const struct rec_model *m, struct unl_parts *p,
                          size_t s)
{
    const struct rec_model *sub = p->shard[s];

    if (sub == NULL)
        return ERR_OK;
    p->user[s] =
        translate(m->user_key, m->n_users, sub->user_key, sub->n_users);
    p->item[s] =
        translate(m->item_key, m->n_items, sub->item_key, sub->n_items);
    return p->user[s] == NULL || p->item[s] == NULL ? no_memory() : ERR_OK;
}

static enum err open_all(const struct rec_model *m, struct unl_parts *p)
{
    p->shard = mem_array(p->n, sizeof(*p->shard));
    p->user = mem_array(p->n, sizeof(*p->user));
    p->item = mem_array(p->n, sizeof(*p->item));
    p->even = mem_array(p->n, sizeof(*p->even));
    if (p->shard == NULL || p->user == NULL || p->item == NULL ||
        p->even == NULL)
        return no_memory();
    for (size_t s = 0; s < p->n; s++) {
        ERR_TRY(open_shard(m, p, s));
        ERR_TRY(open_maps(m, p, s));
    }
    for (size_t s = 0; s < p->n; s++) {
        if (p->shard[s] == NULL)
            continue;
        p->even[s] = 1.0f / (float)p->n_filled;
        if (p->base->item_vectors != NULL)
            (void)p->base->item_vectors(p->shard[s], &p->d);
    }
    return ERR_OK;
}

static enum err parts_ready(struct rec_model *m)
{
    struct unl_parts *p = m->parts;

    for (size_t i = 0; i < m->n_arrays; i++) {
        if (strcmp(m->array[i].name, "rows") == 0)
            p->n = (size_t)m->array[i].rows;
    }
    if (p->n < 1 || p->n > UNL_SHARDS_MAX ||
        !rec_model_has(m, "rows", STO_U8, p->n, KEY_DIGEST_BYTES))
        return bad("rows");
    ERR_TRY(open_all(m, p));
    if (p->n_filled == 0)
        return bad("no shard");
    return unl_aggregate_ready(m, p);
}

/* --- asking a shard
 * ------------------------------------------------------------
 */

void unl_query_free(struct unl_query *q)
{
    free(q->user);
    free(q->item);
    free(q->ptr);
    free(q->value);
    free(q->time);
    *q = (struct unl_query){0};
}

enum err unl_query_make(struct unl_query *out, const struct unl_parts *p,
                        size_t s, const struct rec_query *q)
{
    const size_t rows = q->ptr[q->n] - q->ptr[0];
    struct unl_query t = {
        .user = mem_array(q->n, sizeof(*t.user)),
        .item = mem_array(rows, sizeof(*t.item)),
        .ptr = mem_array(q->n + 1, sizeof(*t.ptr)),
        .value = q->value != NULL ? mem_array(rows, sizeof(*t.value)) : NULL,
        .time = q->time != NULL ? mem_array(rows, sizeof(*t.time)) : NULL};
    size_t at = 0;

    if (t.user == NULL || t.item == NULL || t.ptr == NULL ||
        (q->value != NULL && t.value == NULL) ||
        (q->time != NULL && t.time == NULL)) {
        unl_query_free(&t);
        return no_memory();
    }
    for (size_t i = 0; i < q->n; i++) {
        t.user[i] =
            q->user[i] == REC_NOBODY ? REC_NOBODY : p->user[s][q->user[i]];
        for (size_t r = q->ptr[i]; r < q->ptr[i + 1]; r++) {
            const uint32_t item = p->item[s][q->item[r]];

            if (item == REC_NOBODY)
                continue;
            if (t.value != NULL)
                t.value[at] = q->value[r];
            if (t.time != NULL)
                t.time[at] = q->time[r];
            t.item[at++] = item;
        }
        t.ptr[i + 1] = at;
    }
    t.q = (struct rec_query){q->n, t.user, t.ptr, t.item, t.value, t.time};
    *out = t;
    return ERR_OK;
}

enum err unl_parts_embed(const struct unl_parts *p, size_t s,
                         const struct rec_query *q, bool fold, float *vec,
                         size_t stride)
{
    struct unl_query t;
    float *tmp;
    enum err e;

    for (size_t i = 0; i < q->n; i++)
        memset(vec + i * stride, 0, p->d * sizeof(*vec));
    if (p->shard[s] == NULL)
        return ERR_OK;
    ERR_TRY(unl_query_make(&t, p, s, q));
    for (size_t i = 0; i < q->n && fold; i++)
        t.user[i] = REC_NOBODY;
    tmp = mem_array(q->n * p->d, sizeof(*tmp));
    e = tmp == NULL ? no_memory() : p->base->embed(p->shard[s], &t.q, tmp);
    for (size_t i = 0; i < q->n && e == ERR_OK; i++) {
        /* whom nothing is known about here has nothing to say */
        if (t.user[i] != REC_NOBODY || t.ptr[i] < t.ptr[i + 1])
            memcpy(vec + i * stride, tmp + i * p->d, p->d * sizeof(*vec));
    }
    free(tmp);
    unl_query_free(&t);
    return e;
}

enum err unl_parts_items(const struct unl_parts *p, size_t s, size_t n_items,
                         float *vec, size_t stride)
{
    size_t d = p->d;
    const float *from =
        p->shard[s] == NULL ? NULL : p->base->item_vectors(p->shard[s], &d);

    if (d != p->d)
        return bad("width of a shard");
    for (size_t i = 0; i < n_items; i++) {
        const uint32_t at = from == NULL ? REC_NOBODY : p->item[s][i];

        if (at == REC_NOBODY)
            memset(vec + i * stride, 0, d * sizeof(*vec));
        else
            memcpy(vec + i * stride, from + at * d, d * sizeof(*vec));
    }
    return ERR_OK;
}

/* --- scoring
 * ------------------------------------------------------------------
 */

static enum err parts_embed(const struct rec_model *m,
                            const struct rec_query *q, float *vec)
{
    return unl_aggregate_embed(m, m->parts, q, vec);
}

static const float *parts_vectors(const struct rec_model *m, size_t *d)
{
    const struct unl_parts *p = m->parts;

    *d = p->width;
    return p->items;
}

/* scores += weight * what shard s says. */
struct adding {
    float *scores;
    const float *from;
    const uint32_t *item;
    size_t n_items, n_from;
    float weight;
};

static void add_task(void *arg, size_t i, size_t thread)
{
    const struct adding *a = arg;
    float *to = a->scores + i * a->n_items;
    const float *from = a->from + i * a->n_from;

    (void)thread;
    for (size_t k = 0; k < a->n_items; k++) {
        if (a->item[k] != REC_NOBODY)
            to[k] += a->weight * from[a->item[k]];
    }
}

static enum err parts_score(const struct rec_model *m,
                            const struct rec_query *q, float *scores)
{
    const struct unl_parts *p = m->parts;
    float *tmp = mem_array(q->n * m->n_items, sizeof(*tmp));
    enum err e = tmp == NULL ? no_memory() : ERR_OK;

    if (e == ERR_OK)
        memset(scores, 0, q->n * m->n_items * sizeof(*scores));
    for (size_t s = 0; s < p->n && e == ERR_OK; s++) {
        struct unl_query t;

        if (p->shard[s] == NULL)
            continue;
        e = unl_query_make(&t, p, s, q);
        if (e != ERR_OK)
            break;
        e = p->base->score(p->shard[s], &t.q, tmp);
        if (e == ERR_OK)
            par_for(q->n, add_task,
                    &(struct adding){scores, tmp, p->item[s], m->n_items,
                                     p->shard[s]->n_items, p->weight[s]});
        unl_query_free(&t);
    }
    free(tmp);
    return e;
}

/* Sharded models are trained by unlearn/shards.c: a model of this kind cannot
 * be asked for by name. */
static enum err no_fit(struct rec_model *m, const struct rec_data *d,
                       const struct rec_watch *watch)
{
    (void)m;
    (void)d;
    (void)watch;
    return err_set(ERR_ARG, "a sharded model is trained shard by shard");
}

const struct rec_model_ops unl_parts_dot = {
    .name = "sharded",
    .help = "sub-models on parts of the rows",
    .fit = no_fit,
    .embed = parts_embed,
    .item_vectors = parts_vectors,
    .ready = parts_ready,
};

const struct rec_model_ops unl_parts_rows = {
    .name = "sharded",
    .help = "sub-models on parts of the rows",
    .fit = no_fit,
    .score = parts_score,
    .ready = parts_ready,
};
