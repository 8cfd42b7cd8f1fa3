/*
 * rec/model_rerank.c - a first stage, and a network that orders its lists anew.
 *
 * Without a leak: the rows are split into A and B by draws of their own (a
 * share of each person's rows is B).  The generators learn from A; the network
 * learns to find the rows of B among the candidates that they make for A; then
 * the generators learn again from A and B, and the network orders what they
 * make.  It never sees a label that its features were made of.
 *
 * The network's score is added to the first stage's, which has a weight of its
 * own: a residual.  Loss: list-wise cross entropy; lists without a row of B
 * have nothing to say and are left out.
 *
 * A re-ranker is a model like others: its digest depends on rows, options and
 * seed alone, and forgetting trains it again.
 */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "rec/kin.h"
#include "rec/part.h"
#include "rec/rerank_learn.h"

#define PEOPLE_LEAST 16 /* with fewer the first order stays */
static const char *const prefix[REC_GENERATORS] = {"0", "1", "2", "3"};

extern const struct rec_model_ops rec_model_rerank;

/* --- the generators --------------------------------------------------------
 */

/* MODEL, or MODEL:OPTION=VALUE:...; changes text. */
static enum err add_part(struct rec_generators *g, char *text, uint64_t seed)
{
    const struct rec_model_ops *ops;
    struct rec_model *part;
    char *rest, *name = strtok_r(text, ":", &rest);

    if (g->n == REC_GENERATORS)
        return err_set(ERR_ARG, "--also takes at most three models");
    if (name == NULL)
        return err_set(ERR_ARG, "--base and --also want names of models");
    if (strcmp(name, "rerank") == 0)
        return err_set(ERR_ARG, "a re-ranker cannot stand on a re-ranker");
    ERR_TRY(rec_model_find(name, &ops));
    if (ops->secretive)
        return err_set(ERR_ARG,
                       "%s keeps to its epsilon alone: what is learnt from its "
                       "lists and from people's rows does not",
                       ops->name);
    ERR_TRY(rec_model_new(&g->part[g->n], ops));
    part = g->part[g->n++];
    part->seed = seed;
    while ((name = strtok_r(NULL, ":", &rest)) != NULL) {
        char *value = strchr(name, '=');

        if (value == NULL)
            return err_set(ERR_ARG, "\"%s\" behind %s is not OPTION=VALUE",
                           name, ops->name);
        *value++ = '\0';
        ERR_TRY(opt_assign(ops->opts, part->opts, name, value));
    }
    return ERR_OK;
}

/* Untrained generators by the options. */
static enum err open_parts(struct rec_generators *g, const struct rec_model *m)
{
    const struct rec_rerank_opts *o = m->opts;
    char *base = mem_text(o->base), *also = mem_text(o->also), *rest;
    enum err e = base == NULL || also == NULL
                     ? err_set(ERR_NOMEM, "no memory to re-rank")
                     : ERR_OK;

    *g = (struct rec_generators){.n = 0};
    if (e == ERR_OK)
        e = add_part(g, base, m->seed);
    for (char *p = e == ERR_OK ? strtok_r(also, ",", &rest) : NULL;
         p != NULL && e == ERR_OK; p = strtok_r(NULL, ",", &rest))
        e = add_part(g, p, m->seed);
    for (size_t k = g->n; k-- > 0;) {
        if (strcmp(g->part[k]->ops->name, "itemknn") == 0)
            g->near = g->part[k];
    }
    g->merge = o->merge;
    if (o->attributes)
        g->traits = &g->own;
    free(base);
    free(also);
    return e;
}

static void close_parts(struct rec_generators *g)
{
    for (size_t k = 0; k < REC_GENERATORS; k++)
        rec_model_free(g->part[k]);
    free(g->place);
    mem_drop(&g->s);
    *g = (struct rec_generators){.n = 0};
}

static enum err know_popularity(struct rec_generators *g)
{
    g->popularity = g->part[0]->popularity;
    g->place = mem_array(g->part[0]->n_items, sizeof(*g->place));
    if (g->place == NULL)
        return err_set(ERR_NOMEM, "no memory to re-rank");
    return rec_generators_place(g, g->part[0]->n_items);
}

static enum err train_parts(struct rec_generators *g, const struct rec_model *m,
                            const struct rec_data *d)
{
    enum err e = open_parts(g, m);

    for (size_t k = 0; k < g->n && e == ERR_OK; k++)
        e = rec_model_fit(g->part[k], d, NULL);
    if (e == ERR_OK && g->traits != NULL)
        e = rec_traits_make(&g->own, &g->s, d);
    return e == ERR_OK ? know_popularity(g) : e;
}

/* --- fit -------------------------------------------------------------------
 */

static double fit_bytes(const struct rec_data *d, const void *opts)
{
    const struct rec_rerank_opts *o = opts;
    const double cells =
        (double)d->n_users * (double)o->candidates * (double)o->folds;

    /* lists, and one batch of scores; the generators check for themselves */
    return cells * (4.0 * REC_FEATURES_MOST + 12) +
           REC_ASK * 4.0 * REC_GENERATORS * (double)d->n_items;
}

/* Arrays of the generators, of the network and of the features' scales. */
static enum err keep(struct rec_model *m, const struct rec_data *d,
                     const struct rec_generators *g, struct rec_net *k,
                     const struct rec_lessons *t)
{
    struct rec_array_spec more[REC_SPARSE_MOST + REC_MEMBERS_MOST + 10] = {
        {"mean", STO_F32, t->features, 1},
        {"unit", STO_F32, t->features, 1},
    };
    struct rec_part part[REC_GENERATORS];
    size_t n = 2;

    for (size_t w = 0; w < g->n; w++)
        part[w] = (struct rec_part){prefix[w], g->part[w]};
    ERR_TRY(rec_net_pack(k));
    n += rec_net_arrays(k, more + n);
    if (k->how->kin)
        more[n++] =
            (struct rec_array_spec){"kin", STO_F32, d->n_items, REC_KIN};
    if (g->traits != NULL)
        n += rec_traits_arrays(g->traits, d, more + n);
    ERR_TRY(rec_part_gather(m, d, part, g->n, more, n));
    rec_net_store(k, m);
    if (g->traits != NULL)
        rec_traits_store(g->traits, m);
    if (k->how->kin)
        ERR_TRY(rec_kin_make(d, m->seed, rec_model_array(m, "kin")));
    memcpy(rec_model_array(m, "mean"), t->mean, t->features * sizeof(float));
    memcpy(rec_model_array(m, "unit"), t->unit, t->features * sizeof(float));
    return ERR_OK;
}

/* Kinship of the items by the rows of A, where the re-ranker reads it: one of
 * them does not learn from it, so that one split's is enough. */
static enum err learn_kin(struct rec_lessons *t, struct mem_scratch *s,
                          const struct rec_model *m, const struct rec_data *a)
{
    const struct rec_rerank_opts *o = m->opts;
    const struct rec_reranker *how;
    float *kin;

    ERR_TRY(rec_reranker_find(o->ranker, &how));
    if (!(how->kin || t->any_kin) || t->kin != NULL)
        return ERR_OK;
    kin = mem_take(s, a->n_items, REC_KIN, sizeof(*kin));
    if (kin == NULL)
        return err_set(ERR_NOMEM, "no memory for kinship");
    t->kin = kin;
    return rec_kin_make(a, m->seed, kin);
}

/* The lists of one split into A and B. */
static enum err add_split(struct rec_lessons *t, struct mem_scratch *s,
                          const struct rec_model *m, const struct rec_data *d,
                          uint64_t seed)
{
    const struct rec_rerank_opts *o = m->opts;
    uint8_t *keep_row = mem_array(d->n_rows, 1);
    struct rec_generators g = {.n = 0};
    struct rec_data a = {0};
    enum err e = keep_row == NULL
                     ? err_set(ERR_NOMEM, "no memory to learn to re-rank")
                     : ERR_OK;

    if (e == ERR_OK) {
        rec_data_holdout(d, o->share, seed, keep_row);
        e = rec_data_subset(&a, d, keep_row);
    }
    if (e == ERR_OK)
        e = train_parts(&g, m, &a);
    if (e == ERR_OK)
        e = learn_kin(t, s, m, &a);
    if (e == ERR_OK)
        e = rec_lessons_add(t, &g, &a, d);
    close_parts(&g);
    rec_data_free(&a);
    free(keep_row);
    return e;
}

static enum err make_lessons(struct rec_lessons *t, struct mem_scratch *s,
                             const struct rec_model *m,
                             const struct rec_data *d)
{
    const struct rec_rerank_opts *o = m->opts;
    const size_t folds = (size_t)o->folds;

    ERR_TRY(rec_lessons_open(t, s, d->n_users * folds, true));
    for (size_t f = 0; f < folds && d->n_users >= PEOPLE_LEAST; f++)
        ERR_TRY(
            add_split(t, s, m, d,
                      f == 0 ? m->seed : rng_derive(m->seed, RNG_HOLDOUT, f)));
    rec_lessons_ready(t);
    if (t->n == 0)
        log_warn("no list of %zu candidates holds a row that was held out: "
                 "the first stage's order stays (more --candidates, another "
                 "--base)",
                 t->list);
    return ERR_OK;
}

/* The lists of everybody in d, as they would be served. */
static enum err make_asked(struct rec_lessons *ask, struct mem_scratch *s,
                           const struct rec_model *m, const struct rec_data *d,
                           const struct rec_data *test,
                           const struct rec_lessons *learn)
{
    struct rec_generators g = {.n = 0};
    enum err e = rec_lessons_open(ask, s, d->n_users, true);

    if (e == ERR_OK)
        e = train_parts(&g, m, d);
    if (e == ERR_OK && g.merge)
        ask->before = mem_take_raw(s, d->n_users, ask->list, sizeof(uint32_t));
    if (e == ERR_OK && s->failed)
        e = err_set(ERR_NOMEM, "no memory for lists to order");
    if (e == ERR_OK)
        e = learn_kin(ask, s, m, d);
    if (e == ERR_OK)
        e = rec_lessons_add(ask, &g, d, test);
    close_parts(&g);
    if (e == ERR_OK)
        rec_lessons_scale(learn->mean, learn->unit, learn->features, ask->x,
                          ask->mask, ask->n * ask->list);
    return e;
}

enum err rec_rerank_lists(const struct rec_model *m, const struct rec_data *d,
                          const struct rec_data *test,
                          struct rec_lessons *learn, struct rec_lessons *ask,
                          struct mem_scratch *s)
{
    const struct rec_rerank_opts *o = m->opts;
    struct rec_generators g;
    enum err e = open_parts(&g, m);

    *learn = (struct rec_lessons){.list = (size_t)o->candidates,
                                  .features = rec_generators_features(&g),
                                  .n_items = d->n_items,
                                  .any_kin = true};
    *ask = *learn;
    ask->whole = true;
    close_parts(&g);
    if (e == ERR_OK)
        e = make_lessons(learn, s, m, d);
    return e == ERR_OK ? make_asked(ask, s, m, d, test, learn) : e;
}

static enum err fit_checked(struct rec_model *m, const struct rec_data *d)
{
    const struct rec_rerank_opts *o = m->opts;
    struct rec_generators g = {.n = 0};
    struct mem_scratch s = {0};
    struct rec_lessons t = {.list = (size_t)o->candidates,
                            .n_items = d->n_items};
    struct rec_net k = {.n = 0};
    enum err e = open_parts(&g, m);

    t.features = rec_generators_features(&g);
    close_parts(&g);
    if (e == ERR_OK)
        e = make_lessons(&t, &s, m, d);
    if (e == ERR_OK)
        e = rec_net_learn(&k, m, &t);
    if (e == ERR_OK)
        e = train_parts(&g, m, d);
    if (e == ERR_OK)
        e = keep(m, d, &g, &k, &t);
    close_parts(&g);
    rec_net_free(&k);
    mem_drop(&s);
    return e;
}

static enum err ready(struct rec_model *m);

static enum err fit(struct rec_model *m, const struct rec_data *d,
                    const struct rec_watch *watch)
{
    (void)watch;
    ERR_TRY(rec_rerank_check(m));
    ERR_TRY(fit_checked(m, d));
    return ready(m);
}

/* --- serving ---------------------------------------------------------------
 */

static void parts_free(void *parts)
{
    close_parts(parts);
    free(parts);
}

static enum err ready(struct rec_model *m)
{
    struct rec_generators *g = mem_array(1, sizeof(*g));
    struct rec_net k = {.n = 0};

    if (g == NULL)
        return err_set(ERR_NOMEM, "no memory to re-rank");
    if (m->parts != NULL)
        m->parts_free(m->parts);
    m->parts = g;
    m->parts_free = parts_free;
    ERR_TRY(open_parts(g, m));
    for (size_t w = 0; w < g->n; w++)
        ERR_TRY(rec_part_view(m, prefix[w], g->part[w]));
    ERR_TRY(know_popularity(g));
    if (g->traits != NULL)
        ERR_TRY(rec_traits_view(&g->own, m));
    const enum err e = rec_net_load(&k, m, rec_generators_features(g), REC_ASK);

    rec_net_free(&k);
    return e;
}

/* The first stage's scores, and above them all the list in its new order. */
static void place_list(const struct rec_batch *b, size_t p, size_t n_items,
                       const float *value, float *scores)
{
    const float *first = b->first + p * n_items;
    struct rec_placed order[REC_LIST_MOST];
    float most = 0;

    for (size_t i = 0; i < n_items; i++)
        most = first[i] > most ? first[i] : most;
    memcpy(scores, first, n_items * sizeof(*scores));
    for (size_t k = 0; k < b->len[p]; k++)
        order[k] = (struct rec_placed){value[k], (uint32_t)k};
    qsort(order, b->len[p], sizeof(*order), rec_by_place);
    /* steps that a float near `most` can tell apart */
    const float step = 1 + most / 1024;

    for (size_t r = 0; r < b->len[p]; r++)
        scores[b->item[p * b->n + order[r].at]] =
            most + step * (float)(b->len[p] - r);
}

/* Room of a batch that is served. */
struct serving {
    struct mem_scratch s;
    struct rec_batch b;
    float *mask, *value, *kin; /* kin NULL: not read */
    uint64_t *key;
};

static enum err serving_open(struct serving *w, const struct rec_model *m,
                             size_t list)
{
    *w = (struct serving){.key = NULL};
    ERR_TRY(rec_batch_open(&w->b, &w->s, m->parts, list));
    w->mask = mem_take(&w->s, REC_ASK, list, sizeof(*w->mask));
    w->value = mem_take(&w->s, REC_ASK, list, sizeof(*w->value));
    w->key = mem_take(&w->s, REC_ASK, 1, sizeof(*w->key));
    if (rec_model_has(m, "kin", STO_F32, m->n_items, REC_KIN))
        w->kin = mem_take(&w->s, REC_ASK * list, REC_KIN, sizeof(*w->kin));
    return w->s.failed ? err_set(ERR_NOMEM, "no memory to re-rank") : ERR_OK;
}

static enum err serve(const struct rec_model *m, struct rec_net *k,
                      const struct rec_query *q, struct serving *s,
                      float *scores)
{
    struct rec_batch *b = &s->b;
    const struct rec_asked asked = {.x = b->x,
                                    .mask = s->mask,
                                    .key = s->key,
                                    .item = b->item,
                                    .past = b->past,
                                    .kin = s->kin,
                                    .n_kin = REC_KIN};
    const struct rec_generators *g = m->parts;
    const float *mean = rec_model_array(m, "mean");
    const float *unit = rec_model_array(m, "unit");
    const size_t list = k->n, w = k->features;

    ERR_TRY(rec_lists_make(g, q, b));
    memset(s->mask, 0, REC_ASK * list * sizeof(*s->mask));
    for (size_t p = 0; p < q->n; p++) {
        for (size_t c = 0; c < b->len[p]; c++)
            s->mask[p * list + c] = 1;
    }
    rec_lessons_scale(mean, unit, w, b->x, s->mask, REC_ASK * list);
    if (s->kin != NULL)
        rec_kin_gather(rec_model_array(m, "kin"), b->item, REC_ASK * list,
                       s->kin);
    ERR_TRY(rec_net_order(k, &asked, s->value));
    for (size_t p = 0; p < q->n; p++)
        place_list(b, p, m->n_items, s->value + p * list,
                   scores + p * m->n_items);
    return ERR_OK;
}

static enum err score(const struct rec_model *m, const struct rec_query *q,
                      float *scores)
{
    const struct rec_rerank_opts *o = m->opts;
    const struct rec_generators *g = m->parts;
    const size_t list = (size_t)o->candidates, w = rec_generators_features(g);
    struct rec_net k = {.n = 0};
    struct serving s;
    enum err e = serving_open(&s, m, list);

    if (e == ERR_OK)
        e = rec_net_load(&k, m, w, REC_ASK);
    for (size_t first = 0; first < q->n && e == ERR_OK; first += REC_ASK) {
        const size_t n = q->n - first < REC_ASK ? q->n - first : REC_ASK;
        const struct rec_query some = {n,       q->user + first, q->ptr + first,
                                       q->item, q->value,        q->time};

        e = serve(m, &k, &some, &s, scores + first * m->n_items);
    }
    rec_net_free(&k);
    mem_drop(&s.s);
    return e;
}

const struct rec_model *rec_rerank_base(const struct rec_model *m,
                                        size_t *among, bool *merged)
{
    const struct rec_rerank_opts *o = m->opts;

    if (m->ops != &rec_model_rerank || m->parts == NULL)
        return NULL;
    *among = (size_t)o->candidates;
    *merged = o->merge;
    return ((const struct rec_generators *)m->parts)->part[0];
}

static size_t levels(const struct rec_model *m)
{
    return (size_t)((const struct rec_rerank_opts *)m->opts)->thin.levels;
}

/* Shapes are checked when the parts are opened (ready()). */
static bool valid(const struct rec_model *m)
{
    for (size_t i = 0; i < m->n_arrays; i++) {
        if (strcmp(m->array[i].name, "mean") == 0)
            return true;
    }
    return false;
}

const struct rec_model_ops rec_model_rerank = {
    .name = "rerank",
    .help = "a first stage, and a network that orders its lists anew",
    .opts = rec_rerank_rows,
    .opts_bytes = sizeof(struct rec_rerank_opts),
    .fit_bytes = fit_bytes,
    .fit = fit,
    .score = score,
    .valid = valid,
    .ready = ready,
    .levels = levels,
};
