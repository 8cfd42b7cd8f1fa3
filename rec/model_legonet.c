/*
 * rec/model_legonet.c - a fixed encoder and many small adapters, each learnt
 * from the few people whose encoding is near its key.
 *
 * The encoder (rec/encoder.h) and the keys are not learnt from rows that others
 * may ask to be forgotten: taking somebody out moves nobody else, and an
 * adapter that somebody did not activate never saw them.
 *
 * Adapters: EASE on their members alone, in its dual form (rec/adapter.h), or
 * learnt heads over the encoding (rec/head.h).
 *
 * What is kept is who met what and which adapters that activates, the encoder
 * where it is not made of names alone, and the weights of learnt heads.  The
 * inverses of closed forms are made when somebody asks, once, and live in
 * memory.
 *
 * Source of the design: Yu et al., LegoNet, 2022 (arXiv 2210.16023), carried
 * over to recommendation; docs/papers.md says what differs.
 */
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/par.h"
#include "rec/lego.h"

#define D ((size_t)REC_ENCODING)

#define AT(f) offsetof(struct rec_lego_opts, f)
static const struct opt rows[] = {
    {"adapters", 0, OPT_INT, AT(adapters), "64", 1, 65536, "N",
     "small models; people x active / N of them learn together"},
    {"active", 0, OPT_INT, AT(active), "8", 1, REC_LEGO_ACTIVE, "A",
     "adapters that learn from, and answer, each person (at most --adapters)"},
    {"reg", 0, OPT_REAL, AT(reg), "150", 1e-3, 1e9, "L",
     "ridge penalty of a closed form"},
    {"encoder", 0, OPT_CHOICE, AT(encoder), "signs", 0, 0,
     "signs|attributes|public",
     "what it stands on: nothing learnt, the catalogue, or public people"},
    {"heads", 0, OPT_CHOICE, AT(heads), "ease", 0, 0, "ease|softmax",
     "adapters: closed forms, or learnt over the encoding"},
    {"epochs", 0, OPT_INT, AT(epochs), "10", 1, 1e4, "N",
     "passes of a learnt head over its people"},
    {"lr", 0, OPT_REAL, AT(lr), ".1", 1e-6, 10, "R", "of learnt heads (Adam)"},
    {"decay", 0, OPT_REAL, AT(decay), ".4", 0, 1e3, "L",
     "of the weights of learnt heads, times the rate, a step"},
    {.name = NULL},
};

enum { CLOSED = 1, LEARNT = 2 }; /* heads */
static const struct opt_use meant_for[] = {
    {"reg", CLOSED},   {"epochs", LEARNT}, {"lr", LEARNT},
    {"decay", LEARNT}, {NULL, 0},
};

/* --- in memory --------------------------------------------------------------
 */

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for adapters");
}

static void lego_free(void *arg)
{
    struct rec_lego *l = arg;

    if (l == NULL)
        return;
    for (size_t a = 0; l->adapter != NULL && a < l->n; a++)
        rec_adapter_drop(&l->adapter[a]);
    (void)pthread_mutex_destroy(&l->lock);
    free(l->adapter);
    free(l->members);
    free(l->sign);
    free(l->key);
    free(l);
}

/* Without members; an encoder of signs is made, another is set by the caller.
 */
static enum err lego_new(struct rec_lego **out, const struct rec_lego_opts *o,
                         uint64_t seed, const uint64_t *item_key,
                         size_t n_items)
{
    struct rec_lego *l = mem_array(1, sizeof(*l));

    if (l == NULL)
        return no_memory();
    l->n = (size_t)o->adapters;
    l->active = rec_lego_active_of(o);
    l->reg = (float)o->reg;
    l->encoder.n_keys = l->n;
    (void)pthread_mutex_init(&l->lock, NULL);
    l->adapter = mem_array(l->n, sizeof(*l->adapter));
    if (rec_lego_kind(o) == REC_SIGNS) {
        l->sign = mem_array(n_items, sizeof(*l->sign));
        l->key = mem_array(l->n * D, sizeof(*l->key));
    }
    if (l->adapter == NULL || (rec_lego_kind(o) == REC_SIGNS &&
                               (l->sign == NULL || l->key == NULL))) {
        lego_free(l);
        return no_memory();
    }
    if (l->sign != NULL) {
        rec_encoder_signs(l->sign, item_key, n_items, seed);
        rec_encoder_directions(l->key, l->n, seed);
        l->encoder.sign = l->sign;
        l->encoder.key = l->key;
    }
    *out = l;
    return ERR_OK;
}

void rec_lego_activate(const struct rec_lego *l, const uint32_t *item, size_t n,
                       uint32_t *active)
{
    float sum[REC_ENCODING];

    rec_encoder_encode(&l->encoder, item, n, sum);
    rec_encoder_nearest(&l->encoder, sum, l->active, active);
}

/* Rows and what they activate: of a model, or of one in the making. */
struct routes {
    size_t n_users;
    const uint64_t *user_key, *item_key;
    const uint64_t *ptr;
    const uint32_t *item;
    const uint32_t *active;
};

static struct routes routes_of(const struct rec_model *m)
{
    return (struct routes){m->n_users,
                           m->user_key,
                           m->item_key,
                           rec_model_array(m, "ptr"),
                           rec_model_array(m, "item"),
                           rec_model_array(m, "active")};
}

/* Lists of members, people ascending; who has no rows is nowhere. */
static enum err list_members(struct rec_lego *l, const struct routes *r)
{
    const size_t n = r->n_users * l->active;
    size_t at = 0;

    l->members = mem_array(n, sizeof(*l->members));
    if (l->members == NULL)
        return no_memory();
    for (size_t i = 0; i < n; i++)
        l->adapter[r->active[i]].n +=
            r->ptr[i / l->active] < r->ptr[i / l->active + 1];
    for (size_t a = 0; a < l->n; a++) {
        l->adapter[a].user = l->members + at;
        at += l->adapter[a].n;
        l->adapter[a].n = 0;
    }
    for (size_t i = 0; i < n; i++) {
        struct rec_adapter *a = &l->adapter[r->active[i]];

        if (r->ptr[i / l->active] < r->ptr[i / l->active + 1])
            a->user[a->n++] = (uint32_t)(i / l->active);
    }
    return ERR_OK;
}

static enum err ready(struct rec_model *m)
{
    const struct rec_lego_opts *o = m->opts;
    const struct routes r = routes_of(m);
    struct rec_lego *l = NULL;

    ERR_TRY(lego_new(&l, o, m->seed, m->item_key, m->n_items));
    const enum err e = list_members(l, &r);

    if (e != ERR_OK) {
        lego_free(l);
        return e;
    }
    if (rec_lego_kind(o) != REC_SIGNS) {
        l->encoder.code = rec_model_array(m, "code");
        l->encoder.centre = rec_model_array(m, "centre");
        l->encoder.key = rec_model_array(m, "key");
    }
    if (rec_lego_learns(o)) {
        l->head_ptr = rec_model_array(m, "head_ptr");
        l->head_item = rec_model_array(m, "head_item");
        l->head_weight = rec_model_array(m, "head_weight");
    }
    if (m->parts_free != NULL)
        m->parts_free(m->parts);
    m->parts = l;
    m->parts_free = lego_free;
    return ERR_OK;
}

/* --- what a request touched -------------------------------------------------
 */

static bool same_rows(const struct routes *a, size_t u, const struct routes *b,
                      size_t v)
{
    const uint64_t n = a->ptr[u + 1] - a->ptr[u];

    if (n != b->ptr[v + 1] - b->ptr[v])
        return false;
    for (uint64_t r = 0; r < n; r++) {
        if (a->item_key[a->item[a->ptr[u] + r]] !=
            b->item_key[b->item[b->ptr[v] + r]])
            return false;
    }
    return true;
}

/* The adapters of everybody in a who is not, or not so, in b. */
static void mark_changed(const struct routes *a, const struct routes *b,
                         size_t active, uint8_t *mark)
{
    for (size_t u = 0; u < a->n_users; u++) {
        const uint32_t v =
            rec_key_find(b->user_key, b->n_users, a->user_key[u]);

        if (v != REC_NOBODY && same_rows(a, u, b, v))
            continue;
        for (size_t k = 0; k < active; k++)
            mark[a->active[u * active + k]] = 1;
    }
}

static bool same_encoder(const struct rec_model *m, const unsigned char *source)
{
    const struct rec_lego_opts *o = m->opts;

    return rec_lego_kind(o) == REC_SIGNS ||
           memcmp(rec_model_array(m, "source"), source, KEY_DIGEST_BYTES) == 0;
}

static size_t touched(const struct rec_model *before,
                      const struct rec_model *after, uint32_t *part, size_t *of)
{
    const struct rec_lego *l = before->parts;
    size_t n = 0;

    *of = l->n;
    if (part == NULL)
        return 0;
    const struct routes a = routes_of(before), b = routes_of(after);
    uint8_t *mark = mem_array(l->n, 1);
    const bool all = mark == NULL || /* no memory to say less than all */
                     (l->sign == NULL &&
                      !same_encoder(before, rec_model_array(after, "source")));

    if (!all) {
        mark_changed(&a, &b, l->active, mark);
        mark_changed(&b, &a, l->active, mark);
    }
    for (size_t i = 0; i < l->n; i++) {
        if (all || mark[i])
            part[n++] = (uint32_t)i;
    }
    free(mark);
    return n;
}

/* --- training ---------------------------------------------------------------
 */

static double fit_bytes(const struct rec_data *d, const void *opts)
{
    const struct rec_lego_opts *o = opts;
    const double n =
        (double)d->n_users * (double)o->active / (double)o->adapters;
    /* a learnt head: its weights, as many of an optimiser's and gradients, and
     * a batch's rows on two tapes' sides; at most all items or all rows */
    const double items =
        n * (double)d->n_rows / (double)(d->n_users > 0 ? d->n_users : 1);
    const double own = items < (double)d->n_items ? items : (double)d->n_items;

    if (rec_lego_learns(o))
        return 4 * own * (double)(D + 1) * (double)o->adapters +
               4 * own * (4 * (double)(D + 1) + 6 * 64) *
                   (double)par_threads() +
               16 * (double)d->n_rows * (double)o->active +
               (16 * (double)o->active + 4 * (double)D) * (double)d->n_users;
    /* inverses, with half as many again for adapters of unequal size; counts
     * by item of one adapter a thread; rows */
    return 6 * n * n * (double)o->adapters +
           8 * (double)d->n_items * (double)o->adapters +
           8 * (double)d->n_rows * (double)o->active +
           16 * (double)d->n_users * (double)o->active;
}

/* A model in the making. */
struct making {
    const struct rec_data *d;
    const struct rec_lego_opts *o;
    uint64_t seed;
    struct rec_lego *l;
    uint64_t *ptr;              /* [n_users + 1] */
    uint32_t *active;           /* [n_users][l->active] */
    float *code, *centre, *key; /* of an encoder that is learnt */
    unsigned char source[KEY_DIGEST_BYTES];
    struct rec_lego_heads heads;
    struct routes was; /* of a model with the same encoder, or n_users 0 */
    struct mem_scratch room;
};

static struct routes routes_now(const struct making *k)
{
    return (struct routes){k->d->n_users, k->d->user_key, k->d->item_key,
                           k->ptr,        k->d->item,     k->active};
}

/* Who activates what; the same as before for those whose rows are the same. */
static void route_task(void *arg, size_t u, size_t thread)
{
    const struct making *k = arg;
    const size_t active = k->l->active;
    const struct routes now = routes_now(k);
    const uint32_t v =
        rec_key_find(k->was.user_key, k->was.n_users, k->d->user_key[u]);

    (void)thread;
    if (v != REC_NOBODY && same_rows(&now, u, &k->was, v)) {
        memcpy(k->active + u * active, k->was.active + v * active,
               active * sizeof(*k->active));
        return;
    }
    rec_lego_activate(k->l, k->d->item + k->ptr[u],
                      (size_t)(k->ptr[u + 1] - k->ptr[u]),
                      k->active + u * k->l->active);
}

/* The encoder of `before` over the items of now: those that are new have no
 * part in what it was made from, or it would be another. */
static void copy_encoder(struct making *k, const struct rec_model *before)
{
    const float *code = rec_model_array(before, "code");

    memcpy(k->centre, rec_model_array(before, "centre"), D * sizeof(float));
    memcpy(k->key, rec_model_array(before, "key"), k->l->n * D * sizeof(float));
    for (size_t i = 0; i < k->d->n_items; i++) {
        const uint32_t was =
            rec_key_find(before->item_key, before->n_items, k->d->item_key[i]);

        if (was != REC_NOBODY)
            memcpy(k->code + i * D, code + was * D, D * sizeof(float));
    }
}

static bool has_new_items(const struct rec_data *d, const struct rec_model *old)
{
    for (size_t i = 0; i < d->n_items; i++) {
        if (rec_key_find(old->item_key, old->n_items, d->item_key[i]) ==
            REC_NOBODY)
            return true;
    }
    return false;
}

static enum err make_encoder(struct making *k, const struct rec_model *before,
                             bool *kept)
{
    const enum rec_encoder_kind kind = rec_lego_kind(k->o);

    *kept = before != NULL;
    if (kind == REC_SIGNS)
        return ERR_OK;
    k->code = mem_take(&k->room, k->d->n_items, D, sizeof(*k->code));
    k->centre = mem_take(&k->room, D, 1, sizeof(*k->centre));
    k->key = mem_take(&k->room, k->l->n, D, sizeof(*k->key));
    if (k->room.failed)
        return no_memory();
    rec_encoder_source(kind, k->d, k->source);
    *kept = before != NULL && same_encoder(before, k->source) &&
            !has_new_items(k->d, before);
    if (*kept)
        copy_encoder(k, before);
    else if (before != NULL && !rec_encoder_possible(kind, k->d))
        rec_encoder_blank(k->d, k->seed, k->l->n, k->code, k->key);
    else
        ERR_TRY(rec_encoder_learn(kind, k->d, k->seed, k->l->n, k->code,
                                  k->centre, k->key));
    k->l->encoder.code = k->code;
    k->l->encoder.centre = k->centre;
    k->l->encoder.key = k->key;
    return ERR_OK;
}

/* Which heads must be trained: those of adapters whose members are not those of
 * before. */
static enum err make_heads(struct making *k, const struct rec_model *before,
                           bool kept)
{
    const struct routes now = routes_now(k);
    uint8_t *train = NULL;

    ERR_TRY(list_members(k->l, &now));
    if (!rec_lego_learns(k->o))
        return ERR_OK;
    if (kept) {
        const struct routes was = routes_of(before);

        train = mem_array(k->l->n, 1);
        if (train == NULL)
            return no_memory();
        mark_changed(&was, &now, k->l->active, train);
        mark_changed(&now, &was, k->l->active, train);
    }
    const enum err e = rec_lego_heads_make(&k->heads, k->l, k->o, k->seed, k->d,
                                           before, train);

    free(train);
    return e;
}

static enum err keep(struct rec_model *m, const struct making *k)
{
    const struct rec_data *d = k->d;
    const size_t n = k->l->n, active = k->l->active;
    const size_t own = rec_lego_learns(k->o) ? (size_t)k->heads.ptr[n] : 0;
    const struct {
        struct rec_array_spec spec;
        const void *from;
        bool there;
    } all[] = {
        {{"ptr", STO_U64, d->n_users + 1, 1}, k->ptr, true},
        {{"item", STO_U32, d->n_rows, 1}, d->item, true},
        {{"active", STO_U32, d->n_users, active}, k->active, true},
        {{"source", STO_U8, 1, KEY_DIGEST_BYTES}, k->source, k->code != NULL},
        {{"code", STO_F32, d->n_items, D}, k->code, k->code != NULL},
        {{"centre", STO_F32, 1, D}, k->centre, k->code != NULL},
        {{"key", STO_F32, n, D}, k->key, k->code != NULL},
        {{"head_ptr", STO_U64, n + 1, 1}, k->heads.ptr, rec_lego_learns(k->o)},
        {{"head_item", STO_U32, own, 1}, k->heads.item, rec_lego_learns(k->o)},
        {{"head_weight", STO_F32, own, D + 1},
         k->heads.weight,
         rec_lego_learns(k->o)},
    };
    const size_t most = sizeof(all) / sizeof(*all);
    struct rec_array_spec spec[sizeof(all) / sizeof(*all)];
    size_t n_specs = 0;

    for (size_t i = 0; i < most; i++) {
        if (all[i].there)
            spec[n_specs++] = all[i].spec;
    }
    ERR_TRY(rec_model_alloc(m, d, spec, n_specs));
    for (size_t i = 0; i < most; i++) {
        const struct rec_array_spec *s = &all[i].spec;
        const size_t bytes = s->rows * s->cols * sto_type_bytes(s->type);

        if (all[i].there && bytes > 0)
            memcpy(rec_model_array(m, s->name), all[i].from, bytes);
    }
    return ERR_OK;
}

static enum err make(struct making *k, struct rec_model *m,
                     const struct rec_model *before)
{
    const struct rec_data *d = k->d;
    bool kept = false;

    ERR_TRY(lego_new(&k->l, k->o, k->seed, d->item_key, d->n_items));
    ERR_TRY(make_encoder(k, before, &kept));
    k->ptr = mem_take(&k->room, d->n_users + 1, 1, sizeof(*k->ptr));
    k->active =
        mem_take(&k->room, d->n_users, k->l->active, sizeof(*k->active));
    if (k->room.failed)
        return no_memory();
    for (size_t u = 0; u <= d->n_users; u++)
        k->ptr[u] = d->user_ptr[u];
    if (kept)
        k->was = routes_of(before);
    par_for(d->n_users, route_task, k);
    ERR_TRY(make_heads(k, before, kept));
    return keep(m, k);
}

static enum err refit(struct rec_model *m, const struct rec_data *d,
                      const struct rec_model *before)
{
    struct making k = {.d = d, .o = m->opts, .seed = m->seed};
    const enum err e = make(&k, m, before);

    lego_free(k.l);
    rec_lego_heads_free(&k.heads);
    mem_drop(&k.room);
    return e == ERR_OK ? ready(m) : e;
}

static enum err fit(struct rec_model *m, const struct rec_data *d,
                    const struct rec_watch *watch)
{
    const struct rec_lego_opts *o = m->opts;

    (void)watch;
    ERR_TRY(
        opt_check_use(rows, o, meant_for, rec_lego_learns(o) ? LEARNT : CLOSED,
                      rec_lego_learns(o) ? "--heads softmax" : "--heads ease"));
    return refit(m, d, NULL);
}

extern const struct rec_model_ops rec_model_legonet;
const struct rec_model_ops rec_model_legonet = {
    .name = "legonet",
    .help = "many small models, each of people alike; forgets at once",
    .opts = rows,
    .opts_bytes = sizeof(struct rec_lego_opts),
    .fit_bytes = fit_bytes,
    .fit = fit,
    .refit = refit,
    .score = rec_lego_score,
    .valid = rec_lego_valid,
    .touched = touched,
    .ready = ready,
};
