/* attack/serve.c - the target and its references, trained on coins. */
#include "attack/serve.h"

#include <stdlib.h>
#include <string.h>

#include "attack/serve_pool.h"
#include "attack/signal.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "rec/rank.h"

#define LEAST_PEOPLE 40

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for an audit");
}

static bool coin(const struct atk_pool *p, uint64_t seed, size_t model,
                 size_t user)
{
    const uint64_t stream = rng_derive(seed, RNG_AUDIT, model);

    return (rng_derive(stream, RNG_AUDIT, p->coin[user]) & 1) != 0;
}

enum err atk_pool_open(struct atk_pool *p, struct mem_scratch *m,
                       const struct rec_data *d)
{
    *p = (struct atk_pool){
        .d = d,
        .coin = mem_take(m, d->n_users, 1, sizeof(*p->coin)),
        .role = mem_take(m, d->n_users, 1, 1),
        .target = mem_take(m, d->n_users, 1, sizeof(*p->target)),
        .shadow = mem_take(m, d->n_users, 1, sizeof(*p->shadow)),
    };
    return m->failed ? no_memory() : ERR_OK;
}

void atk_pool_sides(struct atk_pool *p)
{
    for (size_t u = 0; u < p->d->n_users; u++) {
        if (p->role[u] == ATK_ATTACKED)
            p->target[p->n_target++] = (uint32_t)u;
        if (p->role[u] == ATK_ATTACKERS)
            p->shadow[p->n_shadow++] = (uint32_t)u;
    }
}

/* --- rows of some people ---------------------------------------------------
 */

/* Whether row r of person u is among what a model learns from. */
static bool learns(const struct atk_pool *p, size_t u, size_t r, bool in)
{
    return in || (p->row != NULL && p->row[u] != r);
}

/* The rows that the coins leave, and all items. */
static enum err pick(struct rec_data *out, const struct atk_pool *p,
                     const uint8_t *in)
{
    const struct rec_data *d = p->d;
    uint8_t *keep = mem_array(d->n_rows, 1);

    if (keep == NULL)
        return no_memory();
    for (size_t u = 0; u < d->n_users; u++) {
        for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++)
            keep[r] = learns(p, u, r, in[u] != 0);
    }
    const enum err e = rec_data_same_items(out, d, keep);

    free(keep);
    return e;
}

static enum err train(const struct atk_pool *p, const struct atk_serving *how,
                      size_t model, uint8_t *in, struct rec_model **out)
{
    struct rec_data d = {0};

    for (size_t u = 0; u < p->d->n_users; u++)
        in[u] = coin(p, how->seed, model, u);
    enum err e = pick(&d, p, in);

    if (e == ERR_OK)
        e = how->train(how->arg, &d, how->seed + model, out);
    rec_data_free(&d);
    return e;
}

/* --- asking ----------------------------------------------------------------
 */

struct asked {
    struct rec_query q;
    uint32_t *user;
    size_t *ptr;
    uint32_t *item;
    float *value;
    int64_t *time;
    uint64_t *key;
    uint32_t *probe; /* the rows in question, where rows are; else NULL */
};

static void asked_free(struct asked *a)
{
    free(a->user);
    free(a->ptr);
    free(a->item);
    free(a->value);
    free(a->time);
    free(a->key);
    free(a->probe);
}

/* A person's rows, without the one in question. */
static size_t copy_history(struct asked *a, size_t at, const struct atk_pool *p,
                           uint32_t u)
{
    const struct rec_data *d = p->d;

    for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++) {
        if (p->row != NULL && p->row[u] == r)
            continue;
        a->item[at] = d->item[r];
        if (d->value != NULL)
            a->value[at] = d->value[r];
        if (d->time != NULL)
            a->time[at] = d->time[r];
        at++;
    }
    return at;
}

/* A query of these people as strangers, with their histories; where rows are in
 * question, people are known to the models and asked as such. */
static enum err ask(struct asked *a, const struct atk_pool *p,
                    const uint32_t *people, size_t n)
{
    const struct rec_data *d = p->d;
    size_t rows = 0;

    for (size_t i = 0; i < n; i++)
        rows += d->user_ptr[people[i] + 1] - d->user_ptr[people[i]];
    *a = (struct asked){
        .user = mem_array(n, sizeof(*a->user)),
        .ptr = mem_array(n + 1, sizeof(*a->ptr)),
        .item = mem_array(rows, sizeof(*a->item)),
        .value = mem_array(rows, sizeof(*a->value)),
        .time = mem_array(rows, sizeof(*a->time)),
        .key = mem_array(n, sizeof(*a->key)),
        .probe = p->row != NULL ? mem_array(n, sizeof(*a->probe)) : NULL,
    };
    if (a->user == NULL || a->ptr == NULL || a->item == NULL ||
        a->value == NULL || a->time == NULL || a->key == NULL ||
        (p->row != NULL && a->probe == NULL))
        return no_memory();
    for (size_t i = 0; i < n; i++) {
        a->user[i] = REC_NOBODY;
        a->key[i] = d->user_key[people[i]];
        if (p->row != NULL)
            a->probe[i] = d->item[p->row[people[i]]];
        a->ptr[i + 1] = copy_history(a, a->ptr[i], p, people[i]);
    }
    a->q = (struct rec_query){n,
                              a->user,
                              a->ptr,
                              a->item,
                              d->value != NULL ? a->value : NULL,
                              d->time != NULL ? a->time : NULL};
    return ERR_OK;
}

/* How well m fits what is in question. */
static enum err signal_of(const struct rec_model *m, struct asked *a,
                          uint64_t seed, double *phi)
{
    for (size_t i = 0; i < a->q.n && a->probe != NULL; i++)
        a->user[i] = rec_key_find(m->user_key, m->n_users, a->key[i]);
    return atk_signal(m, &a->q, a->probe, a->key, seed, phi);
}

/* --- lists -----------------------------------------------------------------
 */

#define POOL ((size_t)10) /* times as many popular items to draw from */

/* k of the `pool` most popular items, by names; pick is room for k. */
static void draw_popular(const uint32_t *popular, size_t pool, size_t k,
                         uint64_t seed, size_t *pick, uint32_t *item)
{
    rng_sample(seed, RNG_AUDIT, pool, k, pick);
    for (size_t j = 0; j < k; j++)
        item[j] = popular[pick[j]];
}

/* What strangers get is drawn anew for each. */
static enum err randomise(const struct rec_model *m, const struct asked *a,
                          size_t k, const struct atk_serving *how,
                          const uint8_t *member, uint32_t *item)
{
    const size_t pool = POOL * k < m->n_items ? POOL * k : m->n_items;
    const uint32_t nobody = REC_NOBODY;
    const size_t none[2] = {0, 0};
    const struct rec_query q = {1, &nobody, none, NULL, NULL, NULL};
    struct mem_scratch s = {0};
    uint32_t *popular = mem_take(&s, pool, 1, sizeof(*popular));
    size_t *pick = mem_take(&s, k, 1, sizeof(*pick));
    enum err e =
        s.failed ? no_memory() : rec_rank(m, &q, pool, false, popular, NULL);

    for (size_t i = 0; i < a->q.n && e == ERR_OK; i++) {
        if (!member[i])
            draw_popular(popular, pool, k,
                         rng_derive(how->seed, RNG_AUDIT, a->key[i]), pick,
                         item + i * k);
    }
    mem_drop(&s);
    return e;
}

/* As the papers serve: members by what was learnt for them, strangers by
 * popularity alone (an empty history). */
static enum err published_lists(const struct rec_model *m,
                                const struct asked *a, size_t k,
                                const struct atk_serving *how,
                                const uint8_t *member, uint32_t *item)
{
    const size_t none[2] = {0, 0};

    for (size_t i = 0; i < a->q.n; i++) {
        const uint32_t user = rec_key_find(m->user_key, m->n_users, a->key[i]);
        const size_t own[2] = {a->ptr[i], a->ptr[i + 1]};
        const struct rec_query q = {1,
                                    member[i] ? &user : a->user,
                                    member[i] ? own : none,
                                    a->item,
                                    a->q.value,
                                    a->q.time};

        ERR_TRY(rec_rank(m, &q, k, false, item + i * k, NULL));
    }
    return how->randomised ? randomise(m, a, k, how, member, item) : ERR_OK;
}

static enum err fill_lists(struct atk_people *p, const struct rec_model *m,
                           const struct asked *a, const struct atk_serving *how)
{
    const size_t k = how->k < m->n_items ? how->k : m->n_items;
    uint32_t *item = mem_array(p->n * k, sizeof(*item));
    enum err e = item == NULL ? no_memory() : ERR_OK;

    if (e == ERR_OK)
        e = how->published ? published_lists(m, a, k, how, p->member, item)
                           : rec_rank(m, &a->q, k, true, item, NULL);
    for (size_t u = 0; u < p->n && e == ERR_OK; u++) {
        size_t n = p->list_ptr[u];

        for (size_t j = 0; j < k && item[u * k + j] != REC_NOBODY; j++)
            p->list[n++] = item[u * k + j];
        p->list_ptr[u + 1] = n;
    }
    free(item);
    return e;
}

static enum err fill_people(struct atk_people *out, const struct atk_pool *p,
                            const uint32_t *people, size_t n, size_t k)
{
    const struct rec_data *d = p->d;
    size_t rows = 0;

    for (size_t i = 0; i < n; i++)
        rows += d->user_ptr[people[i] + 1] - d->user_ptr[people[i]];
    ERR_TRY(atk_people_take(out, n, rows, n * k));
    for (size_t i = 0; i < n; i++) {
        size_t at = out->hist_ptr[i];

        out->key[i] = d->user_key[people[i]];
        for (size_t r = d->user_ptr[people[i]]; r < d->user_ptr[people[i] + 1];
             r++) {
            if (p->row == NULL || p->row[people[i]] != r)
                out->hist[at++] = d->item[r];
        }
        out->hist_ptr[i + 1] = at;
    }
    return ERR_OK;
}

/* --- signals ---------------------------------------------------------------
 */

static enum err take_signals(struct atk_signals *s, size_t people, size_t refs)
{
    *s = (struct atk_signals){
        .n_refs = refs,
        .phi = mem_array(people, sizeof(*s->phi)),
        .ref = mem_array(people * refs, sizeof(*s->ref)),
        .in = mem_array(people * refs, 1),
    };
    return s->phi == NULL || s->ref == NULL || s->in == NULL ? no_memory()
                                                             : ERR_OK;
}

static void copy_in(uint8_t *to, const uint8_t *in, const uint32_t *people,
                    size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = in[people[i]];
}

struct work {
    const struct atk_pool *p;
    const struct atk_serving *how;
    struct asked target, shadow;
    uint8_t *in; /* [n_users] of the model at hand */
    struct atk_case *c;
};

/* Model 0 is the target; model j > 0 is reference j - 1, and reference 0 the
 * model of the attacker's own people. */
static enum err one_model(struct work *w, size_t j, struct atk_served *info)
{
    const struct atk_pool *p = w->p;
    struct atk_case *c = w->c;
    const size_t n = p->n_target, s = p->n_shadow, r = j - 1;
    struct rec_model *m = NULL;
    enum err e = train(p, w->how, j, w->in, &m);

    if (e != ERR_OK)
        return e;
    double *of_target = j == 0 ? c->of_target.phi : c->of_target.ref + r * n;
    double *of_shadow =
        j == 0 ? c->of_population.phi : c->of_population.ref + r * s;

    e = signal_of(m, &w->target, w->how->seed, of_target);
    if (e == ERR_OK)
        e = signal_of(m, &w->shadow, w->how->seed, of_shadow);
    if (j == 0) {
        copy_in(c->target.member, w->in, p->target, n);
        copy_in(c->population_in, w->in, p->shadow, s);
        if (info != NULL)
            rec_model_digest(m, info->target_digest);
    } else {
        copy_in(c->of_target.in + r * n, w->in, p->target, n);
        copy_in(c->of_population.in + r * s, w->in, p->shadow, s);
    }
    if (j == 1) {
        copy_in(c->shadow.member, w->in, p->shadow, s);
        memcpy(c->of_shadow.phi, of_shadow, s * sizeof(*of_shadow));
    } else if (j > 1) {
        copy_in(c->of_shadow.in + (r - 1) * s, w->in, p->shadow, s);
        memcpy(c->of_shadow.ref + (r - 1) * s, of_shadow,
               s * sizeof(*of_shadow));
    }
    if (e == ERR_OK && j == 0 && p->row == NULL)
        e = fill_lists(&c->target, m, &w->target, w->how);
    if (e == ERR_OK && j == 1 && p->row == NULL)
        e = fill_lists(&c->shadow, m, &w->shadow, w->how);
    rec_model_free(m);
    return e;
}

static enum err take_case(struct work *w)
{
    const struct atk_pool *p = w->p;
    const struct rec_data *d = p->d;
    struct atk_case *c = w->c;
    const size_t refs = w->how->n_refs;

    c->items.n = d->n_items;
    c->items.key = mem_array(d->n_items, sizeof(*c->items.key));
    c->population_in = mem_array(p->n_shadow, 1);
    if (c->items.key == NULL || c->population_in == NULL || w->in == NULL)
        return no_memory();
    memcpy(c->items.key, d->item_key, d->n_items * sizeof(*d->item_key));
    ERR_TRY(fill_people(&c->target, p, p->target, p->n_target, w->how->k));
    ERR_TRY(fill_people(&c->shadow, p, p->shadow, p->n_shadow, w->how->k));
    ERR_TRY(take_signals(&c->of_target, p->n_target, refs));
    ERR_TRY(take_signals(&c->of_population, p->n_shadow, refs));
    ERR_TRY(take_signals(&c->of_shadow, p->n_shadow, refs - 1));
    ERR_TRY(ask(&w->target, p, p->target, p->n_target));
    return ask(&w->shadow, p, p->shadow, p->n_shadow);
}

static size_t count_members(const struct atk_people *p)
{
    size_t n = 0;

    for (size_t u = 0; u < p->n; u++)
        n += p->member[u];
    return n;
}

enum err atk_pool_serve(struct atk_case *c, const struct atk_pool *p,
                        const struct atk_serving *how, struct atk_served *info,
                        const char *what)
{
    struct work w = {.p = p, .how = how, .c = c};
    enum err e;

    *c = (struct atk_case){.no_lists = p->row != NULL, .seed = how->seed};
    w.in = mem_array(p->d->n_users, 1);
    e = take_case(&w);
    for (size_t j = 0; j <= how->n_refs && e == ERR_OK; j++) {
        log_tick(what, j, how->n_refs + 1, NULL);
        log_quiet_thread(true);
        e = one_model(&w, j, info);
        log_quiet_thread(false);
        if (e == ERR_OK && log_stopping())
            e = err_set(ERR_STOPPED, "stopped before the audit was over");
    }
    log_tick(what, how->n_refs + 1, how->n_refs + 1, NULL);
    c->target.n_members = count_members(&c->target);
    c->shadow.n_members = count_members(&c->shadow);
    if (info != NULL)
        info->models = how->n_refs + 1;
    asked_free(&w.target);
    asked_free(&w.shadow);
    free(w.in);
    return e;
}

/* One row of each who has three or more, drawn by names. */
static void draw_rows(const struct rec_data *d, uint64_t seed, size_t *row)
{
    for (size_t u = 0; u < d->n_users; u++) {
        const size_t n = d->user_ptr[u + 1] - d->user_ptr[u];
        uint32_t least = UINT32_MAX;

        row[u] = SIZE_MAX;
        for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1] && n > 2; r++) {
            const uint32_t draw = rng_pair(seed, RNG_AUDIT, d->user_key[u],
                                           d->item_key[d->item[r]])
                                      .v[0];

            if (draw <= least) {
                least = draw;
                row[u] = r;
            }
        }
    }
}

enum err atk_serve(struct atk_case *out, const struct rec_data *d,
                   const struct atk_serving *how, struct atk_served *info)
{
    struct mem_scratch m = {0};
    struct atk_pool p;
    size_t *row = NULL;

    *out = (struct atk_case){0};
    if (d->n_users < LEAST_PEOPLE)
        return err_set(ERR_ARG,
                       "an audit needs %d people and more: the store has %zu",
                       LEAST_PEOPLE, d->n_users);
    if (how->rows && (row = mem_take(&m, d->n_users, 1, sizeof(*row))) != NULL)
        draw_rows(d, how->seed, row);
    enum err e = atk_pool_open(&p, &m, d);

    for (size_t u = 0; u < d->n_users && e == ERR_OK; u++) {
        const uint64_t draw =
            rng_derive(rng_derive(how->seed, RNG_AUDIT, UINT64_MAX), RNG_AUDIT,
                       d->user_key[u]);

        p.coin[u] = d->user_key[u];
        p.role[u] = row != NULL && row[u] == SIZE_MAX ? ATK_NOBODYS
                    : (draw & 1) != 0                 ? ATK_ATTACKED
                                                      : ATK_ATTACKERS;
    }
    if (e == ERR_OK) {
        p.row = row;
        atk_pool_sides(&p);
        e = atk_pool_serve(out, &p, how, info, "training references");
    }
    mem_drop(&m);
    return e;
}
