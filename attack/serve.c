/* attack/serve.c - the target and its references, trained on coins. */
#include "attack/serve.h"

#include <stdlib.h>
#include <string.h>

#include "attack/signal.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "rec/rank.h"

#define LEAST_PEOPLE 40
#define CANARIES 100
#define COPIES 50
#define CANARY_REFS 4
#define FIRST_CANARY ((uint64_t)1 << 40) /* of streams: models come before */

enum role { NOBODYS, ATTACKED, ATTACKERS };

/* People and what is decided about them. */
struct pool {
    const struct rec_data *d;
    uint64_t *coin; /* [n_users] whose coin decides: copies share one */
    uint8_t *role;  /* [n_users] */
    uint32_t *target, *shadow; /* numbers of the two sides */
    size_t n_target, n_shadow;
};

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for an audit");
}

static bool coin(const struct pool *p, uint64_t seed, size_t model, size_t user)
{
    const uint64_t stream = rng_derive(seed, RNG_AUDIT, model);

    return (rng_derive(stream, RNG_AUDIT, p->coin[user]) & 1) != 0;
}

static enum err pool_open(struct pool *p, struct mem_scratch *m,
                          const struct rec_data *d)
{
    *p = (struct pool){
        .d = d,
        .coin = mem_take(m, d->n_users, 1, sizeof(*p->coin)),
        .role = mem_take(m, d->n_users, 1, 1),
        .target = mem_take(m, d->n_users, 1, sizeof(*p->target)),
        .shadow = mem_take(m, d->n_users, 1, sizeof(*p->shadow)),
    };
    return m->failed ? no_memory() : ERR_OK;
}

static void pool_sides(struct pool *p)
{
    for (size_t u = 0; u < p->d->n_users; u++) {
        if (p->role[u] == ATTACKED)
            p->target[p->n_target++] = (uint32_t)u;
        if (p->role[u] == ATTACKERS)
            p->shadow[p->n_shadow++] = (uint32_t)u;
    }
}

/* --- rows of some people ---------------------------------------------------
 */

/* The people with keep, and all items. */
static enum err pick(struct rec_data *out, const struct rec_data *d,
                     const uint8_t *keep)
{
    uint8_t *rows = mem_array(d->n_rows, 1);

    if (rows == NULL)
        return no_memory();
    for (size_t u = 0; u < d->n_users; u++)
        memset(rows + d->user_ptr[u], keep[u],
               d->user_ptr[u + 1] - d->user_ptr[u]);
    const enum err e = rec_data_same_items(out, d, rows);

    free(rows);
    return e;
}

static enum err train(const struct pool *p, const struct atk_serving *how,
                      size_t model, uint8_t *in, struct rec_model **out)
{
    struct rec_data d = {0};

    for (size_t u = 0; u < p->d->n_users; u++)
        in[u] = coin(p, how->seed, model, u);
    enum err e = pick(&d, p->d, in);

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
};

static void asked_free(struct asked *a)
{
    free(a->user);
    free(a->ptr);
    free(a->item);
    free(a->value);
    free(a->time);
    free(a->key);
}

/* A query of these people as strangers, with their histories. */
static enum err ask(struct asked *a, const struct rec_data *d,
                    const uint32_t *people, size_t n)
{
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
    };
    if (a->user == NULL || a->ptr == NULL || a->item == NULL ||
        a->value == NULL || a->time == NULL || a->key == NULL)
        return no_memory();
    for (size_t i = 0; i < n; i++) {
        const size_t from = d->user_ptr[people[i]];
        const size_t k = d->user_ptr[people[i] + 1] - from;

        a->user[i] = REC_NOBODY;
        a->key[i] = d->user_key[people[i]];
        memcpy(a->item + a->ptr[i], d->item + from, k * sizeof(*a->item));
        if (d->value != NULL)
            memcpy(a->value + a->ptr[i], d->value + from,
                   k * sizeof(*a->value));
        if (d->time != NULL)
            memcpy(a->time + a->ptr[i], d->time + from, k * sizeof(*a->time));
        a->ptr[i + 1] = a->ptr[i] + k;
    }
    a->q = (struct rec_query){n,
                              a->user,
                              a->ptr,
                              a->item,
                              d->value != NULL ? a->value : NULL,
                              d->time != NULL ? a->time : NULL};
    return ERR_OK;
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

static enum err fill_people(struct atk_people *p, const struct rec_data *d,
                            const uint32_t *people, size_t n, size_t k)
{
    size_t rows = 0;

    for (size_t i = 0; i < n; i++)
        rows += d->user_ptr[people[i] + 1] - d->user_ptr[people[i]];
    ERR_TRY(atk_people_take(p, n, rows, n * k));
    for (size_t i = 0; i < n; i++) {
        const size_t from = d->user_ptr[people[i]];
        const size_t len = d->user_ptr[people[i] + 1] - from;

        p->key[i] = d->user_key[people[i]];
        memcpy(p->hist + p->hist_ptr[i], d->item + from,
               len * sizeof(*p->hist));
        p->hist_ptr[i + 1] = p->hist_ptr[i] + len;
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
    const struct pool *p;
    const struct atk_serving *how;
    struct asked target, shadow;
    uint8_t *in; /* [n_users] of the model at hand */
    struct atk_case *c;
};

/* Model 0 is the target; model j > 0 is reference j - 1, and reference 0 the
 * model of the attacker's own people. */
static enum err one_model(struct work *w, size_t j, struct atk_served *info)
{
    const struct pool *p = w->p;
    struct atk_case *c = w->c;
    const size_t n = p->n_target, s = p->n_shadow, r = j - 1;
    struct rec_model *m = NULL;
    enum err e = train(p, w->how, j, w->in, &m);

    if (e != ERR_OK)
        return e;
    double *of_target = j == 0 ? c->of_target.phi : c->of_target.ref + r * n;
    double *of_shadow =
        j == 0 ? c->of_population.phi : c->of_population.ref + r * s;

    e = atk_signal(m, &w->target.q, w->target.key, w->how->seed, of_target);
    if (e == ERR_OK)
        e = atk_signal(m, &w->shadow.q, w->shadow.key, w->how->seed, of_shadow);
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
    if (e == ERR_OK && j == 0)
        e = fill_lists(&c->target, m, &w->target, w->how);
    if (e == ERR_OK && j == 1)
        e = fill_lists(&c->shadow, m, &w->shadow, w->how);
    rec_model_free(m);
    return e;
}

static enum err take_case(struct work *w)
{
    const struct pool *p = w->p;
    const struct rec_data *d = p->d;
    struct atk_case *c = w->c;
    const size_t refs = w->how->n_refs;

    c->items.n = d->n_items;
    c->items.key = mem_array(d->n_items, sizeof(*c->items.key));
    c->population_in = mem_array(p->n_shadow, 1);
    if (c->items.key == NULL || c->population_in == NULL || w->in == NULL)
        return no_memory();
    memcpy(c->items.key, d->item_key, d->n_items * sizeof(*d->item_key));
    ERR_TRY(fill_people(&c->target, d, p->target, p->n_target, w->how->k));
    ERR_TRY(fill_people(&c->shadow, d, p->shadow, p->n_shadow, w->how->k));
    ERR_TRY(take_signals(&c->of_target, p->n_target, refs));
    ERR_TRY(take_signals(&c->of_population, p->n_shadow, refs));
    ERR_TRY(take_signals(&c->of_shadow, p->n_shadow, refs - 1));
    ERR_TRY(ask(&w->target, d, p->target, p->n_target));
    return ask(&w->shadow, d, p->shadow, p->n_shadow);
}

static size_t count_members(const struct atk_people *p)
{
    size_t n = 0;

    for (size_t u = 0; u < p->n; u++)
        n += p->member[u];
    return n;
}

static enum err serve_pool(struct atk_case *c, const struct pool *p,
                           const struct atk_serving *how,
                           struct atk_served *info, const char *what)
{
    struct work w = {.p = p, .how = how, .c = c};
    enum err e;

    *c = (struct atk_case){.seed = how->seed};
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

enum err atk_serve(struct atk_case *out, const struct rec_data *d,
                   const struct atk_serving *how, struct atk_served *info)
{
    struct mem_scratch m = {0};
    struct pool p;

    *out = (struct atk_case){0};
    if (d->n_users < LEAST_PEOPLE)
        return err_set(ERR_ARG,
                       "an audit needs %d people and more: the store has %zu",
                       LEAST_PEOPLE, d->n_users);
    enum err e = pool_open(&p, &m, d);

    for (size_t u = 0; u < d->n_users && e == ERR_OK; u++) {
        const uint64_t draw =
            rng_derive(rng_derive(how->seed, RNG_AUDIT, UINT64_MAX), RNG_AUDIT,
                       d->user_key[u]);

        p.coin[u] = d->user_key[u];
        p.role[u] = (draw & 1) != 0 ? ATTACKED : ATTACKERS;
    }
    if (e == ERR_OK) {
        pool_sides(&p);
        e = serve_pool(out, &p, how, info, "training references");
    }
    mem_drop(&m);
    return e;
}

/* --- canaries --------------------------------------------------------------
 */

/* Key of copy k of canary c: a hash, like those of people. */
static uint64_t canary_key(uint64_t seed, size_t c, size_t k)
{
    return rng_derive(rng_derive(seed, RNG_AUDIT, FIRST_CANARY + c), RNG_AUDIT,
                      k + 1);
}

struct keyed {
    uint64_t key;
    uint32_t from; /* number of a person, or n_users + canary * COPIES + copy */
};

static int by_key(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;

    return (x->key > y->key) - (x->key < y->key);
}

static size_t median_length(const struct rec_data *d)
{
    /* the mean would do as well: what matters is the order of magnitude */
    const size_t mean = d->n_rows / (d->n_users > 0 ? d->n_users : 1);

    return mean < 2 ? 2 : mean > 50 ? 50 : mean;
}

/* The people of d and the copies of canaries, in the order of keys. */
static enum err with_canaries(struct rec_data *out, const struct rec_data *d,
                              uint64_t seed, struct keyed *list)
{
    const size_t n = d->n_users + CANARIES * COPIES;
    const size_t len =
        median_length(d) < d->n_items ? median_length(d) : d->n_items;
    uint64_t *key = mem_array(n, sizeof(*key));
    size_t *choice = mem_array(len, sizeof(*choice));

    *out = (struct rec_data){0};
    if (key == NULL || choice == NULL) {
        free(key);
        free(choice);
        return no_memory();
    }
    for (size_t u = 0; u < n; u++) {
        const size_t c = u - d->n_users;

        list[u].from = (uint32_t)u;
        list[u].key = u < d->n_users ? d->user_key[u]
                                     : canary_key(seed, c / COPIES, c % COPIES);
    }
    qsort(list, n, sizeof(*list), by_key);
    for (size_t u = 0; u < n; u++)
        key[u] = list[u].key;
    enum err e = rec_data_copy_keys(out, key, n, d->item_key, d->n_items);

    out->user_ptr = mem_array(n + 1, sizeof(*out->user_ptr));
    out->item =
        mem_array(d->n_rows + CANARIES * COPIES * len, sizeof(*out->item));
    if (e == ERR_OK && (out->user_ptr == NULL || out->item == NULL))
        e = no_memory();
    for (size_t u = 0; u < n && e == ERR_OK; u++) {
        uint32_t *to = out->item + out->n_rows;
        const uint32_t from = list[u].from;
        size_t rows = len;

        if (from < d->n_users) {
            rows = d->user_ptr[from + 1] - d->user_ptr[from];
            memcpy(to, d->item + d->user_ptr[from], rows * sizeof(*to));
        } else {
            rng_sample(rng_derive(seed, RNG_AUDIT,
                                  FIRST_CANARY + (from - d->n_users) / COPIES),
                       RNG_AUDIT, d->n_items, len, choice);
            for (size_t i = 0; i < len; i++)
                to[i] = (uint32_t)choice[i];
        }
        out->n_rows += rows;
        out->user_ptr[u + 1] = out->n_rows;
    }
    free(key);
    free(choice);
    return e;
}

enum err atk_serve_canaries(struct atk_case *out, const struct rec_data *d,
                            const struct atk_serving *how)
{
    struct atk_serving few = *how;
    struct mem_scratch m = {0};
    struct rec_data all = {0};
    struct pool p = {0};
    struct keyed *list =
        mem_take(&m, d->n_users + CANARIES * COPIES, 1, sizeof(*list));
    enum err e =
        m.failed ? no_memory() : with_canaries(&all, d, how->seed, list);

    *out = (struct atk_case){0};
    few.n_refs = CANARY_REFS;
    few.published = false;
    if (e == ERR_OK)
        e = pool_open(&p, &m, &all);
    for (size_t u = 0; u < all.n_users && e == ERR_OK; u++) {
        const bool person = list[u].from < d->n_users;
        const size_t c = person ? 0 : list[u].from - d->n_users;

        p.coin[u] = person ? list[u].key : canary_key(how->seed, c / COPIES, 0);
        p.role[u] = person ? ATTACKERS : c % COPIES == 0 ? ATTACKED : NOBODYS;
    }
    if (e == ERR_OK) {
        pool_sides(&p);
        e = serve_pool(out, &p, &few, NULL, "training on canaries");
    }
    rec_data_free(&all);
    mem_drop(&m);
    return e;
}
