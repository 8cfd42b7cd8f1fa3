/*
 * rec/model_legonet.c - a fixed encoder and many small adapters, each learnt
 * from the few people whose encoding is near its key.
 *
 * Encoder: every item has 64 random signs, named by its key; a person's
 * encoding is the sum over their own history.  An adapter's key is a random
 * direction.  A person activates the `active` adapters whose keys are nearest.
 * Neither depends on anybody's rows but the person's own: taking somebody out
 * moves nobody else, and an adapter that somebody did not activate never saw
 * them.
 *
 * Adapter: EASE on its members alone, in its dual form (rec/adapter.h).  Scores
 * of a person's adapters are divided by their deviation over the items and
 * averaged.
 *
 * What is kept is who met what and which adapters that activates; inverses are
 * made when somebody asks, once, and live in memory.
 *
 * Source of the design: Yu et al., LegoNet, 2022 (arXiv 2210.16023), carried
 * over to recommendation; docs/papers.md says what differs.
 */
#include <math.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/la.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "rec/adapter.h"
#include "rec/model.h"

#define SIGNS 64

struct lego_opts {
    int64_t adapters, active;
    double reg;
};

#define AT(f) offsetof(struct lego_opts, f)
static const struct opt rows[] = {
    {"adapters", 0, OPT_INT, AT(adapters), "64", 1, 65536, "N",
     "small models; people x active / N of them learn together"},
    {"active", 0, OPT_INT, AT(active), "8", 1, 64, "A",
     "adapters that learn from, and answer, each person (at most --adapters)"},
    {"reg", 0, OPT_REAL, AT(reg), "150", 1e-3, 1e9, "L",
     "ridge penalty of an adapter"},
    {.name = NULL},
};

/* --- adapters --------------------------------------------------------------
 */

struct lego {
    size_t n, active; /* adapters */
    float reg;
    uint64_t *sign; /* [n_items] */
    float *key;     /* [n][SIGNS] */
    struct rec_adapter *adapter;
    uint32_t *members; /* all lists of members, one behind the other */
    pthread_mutex_t lock;
};

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for adapters");
}

static void lego_free(void *arg)
{
    struct lego *l = arg;

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

/* Signs of items and keys of adapters: functions of the seed and of names. */
static enum err lego_new(struct lego **out, const struct lego_opts *o,
                         uint64_t seed, const uint64_t *item_key,
                         size_t n_items)
{
    struct lego *l = mem_array(1, sizeof(*l));

    if (l == NULL)
        return no_memory();
    l->n = (size_t)o->adapters;
    l->active = (size_t)(o->active < o->adapters ? o->active : o->adapters);
    l->reg = (float)o->reg;
    (void)pthread_mutex_init(&l->lock, NULL);
    l->sign = mem_array(n_items, sizeof(*l->sign));
    l->key = mem_array(l->n * SIGNS, sizeof(*l->key));
    l->adapter = mem_array(l->n, sizeof(*l->adapter));
    if (l->sign == NULL || l->key == NULL || l->adapter == NULL) {
        lego_free(l);
        return no_memory();
    }
    for (size_t i = 0; i < n_items; i++)
        l->sign[i] = rng_derive(seed, RNG_PROJECT, item_key[i]);
    for (size_t a = 0; a < l->n; a++) {
        const uint64_t stream = rng_derive(seed, RNG_PROJECT, a);
        float *key = l->key + a * SIGNS;
        double square = 0;

        for (size_t d = 0; d < SIGNS; d++) {
            key[d] = (float)rng_normal(stream, RNG_INIT, d);
            square += (double)key[d] * (double)key[d];
        }
        for (size_t d = 0; d < SIGNS; d++)
            key[d] /= (float)sqrt(square);
    }
    *out = l;
    return ERR_OK;
}

/* sum[d]: how often sign d of the items is plus, less how often it is minus.
 * Counted in binary, all signs at once: plane b holds bit b of 64 counters. */
static void encode(const struct lego *l, const uint32_t *item, size_t n,
                   float sum[SIGNS])
{
    uint64_t plane[40] = {0};

    for (size_t r = 0; r < n; r++) {
        uint64_t carry = l->sign[item[r]];

        for (size_t b = 0; b < 40 && carry != 0; b++) {
            const uint64_t both = plane[b] & carry;

            plane[b] ^= carry;
            carry = both;
        }
    }
    for (size_t d = 0; d < SIGNS; d++) {
        uint64_t plus = 0;

        for (size_t b = 0; b < 40; b++)
            plus |= (plane[b] >> d & 1) << b;
        sum[d] = (float)plus - (float)(n - plus);
    }
}

/* The adapters whose keys are nearest to a history's encoding, best first; ties
 * go to the lower number. */
static void activate(const struct lego *l, const uint32_t *item, size_t n,
                     uint32_t *active)
{
    float sum[SIGNS], near[64];
    size_t held = 0;

    encode(l, item, n, sum);
    for (size_t a = 0; a < l->n; a++) {
        float x = 0;

        for (size_t d = 0; d < SIGNS; d++)
            x += sum[d] * l->key[a * SIGNS + d];
        if (held == l->active && x <= near[held - 1])
            continue;
        size_t at = held < l->active ? held++ : held - 1;

        for (; at > 0 && x > near[at - 1]; at--) {
            near[at] = near[at - 1];
            active[at] = active[at - 1];
        }
        near[at] = x;
        active[at] = (uint32_t)a;
    }
}

/* --- what is learnt --------------------------------------------------------
 */

static double fit_bytes(const struct rec_data *d, const void *opts)
{
    const struct lego_opts *o = opts;
    const double n =
        (double)d->n_users * (double)o->active / (double)o->adapters;

    /* inverses, with half as many again for adapters of unequal size; counts
     * by item of one adapter a thread; rows */
    return 6 * n * n * (double)o->adapters +
           8 * (double)d->n_items * (double)o->adapters +
           8 * (double)d->n_rows * (double)o->active +
           16 * (double)d->n_users * (double)o->active;
}

struct routing {
    const struct lego *l;
    const uint64_t *ptr;
    const uint32_t *item;
    uint32_t *active;
};

static void route_task(void *arg, size_t u, size_t thread)
{
    const struct routing *r = arg;

    (void)thread;
    activate(r->l, r->item + r->ptr[u], (size_t)(r->ptr[u + 1] - r->ptr[u]),
             r->active + u * r->l->active);
}

static enum err ready(struct rec_model *m);

static enum err fit(struct rec_model *m, const struct rec_data *d,
                    const struct rec_watch *watch)
{
    const struct lego_opts *o = m->opts;
    struct lego *l = NULL;

    (void)watch;
    ERR_TRY(lego_new(&l, o, m->seed, d->item_key, d->n_items));
    const struct rec_array_spec spec[] = {
        {"ptr", STO_U64, d->n_users + 1, 1},
        {"item", STO_U32, d->n_rows, 1},
        {"active", STO_U32, d->n_users, l->active},
    };
    const enum err e = rec_model_alloc(m, d, spec, 3);

    if (e == ERR_OK) {
        uint64_t *ptr = rec_model_array(m, "ptr");
        uint32_t *item = rec_model_array(m, "item");

        for (size_t u = 0; u <= d->n_users; u++)
            ptr[u] = d->user_ptr[u];
        memcpy(item, d->item, d->n_rows * sizeof(*item));
        par_for(d->n_users, route_task,
                &(struct routing){l, ptr, item, rec_model_array(m, "active")});
    }
    lego_free(l);
    return e == ERR_OK ? ready(m) : e;
}

static uint64_t rows_of(const struct rec_model *m, const char *name)
{
    for (size_t i = 0; i < m->n_arrays; i++) {
        if (strcmp(m->array[i].name, name) == 0)
            return m->array[i].rows;
    }
    return 0;
}

static bool valid(const struct rec_model *m)
{
    const struct lego_opts *o = m->opts;
    const uint64_t active =
        (uint64_t)(o->active < o->adapters ? o->active : o->adapters);
    const uint64_t n = rows_of(m, "item");

    if (!rec_model_has(m, "ptr", STO_U64, m->n_users + 1, 1) ||
        !rec_model_has(m, "item", STO_U32, n, 1) ||
        !rec_model_has(m, "active", STO_U32, m->n_users, active))
        return false;
    const uint64_t *ptr = rec_model_array(m, "ptr");
    const uint32_t *item = rec_model_array(m, "item");
    const uint32_t *who = rec_model_array(m, "active");

    if (ptr[0] != 0 || ptr[m->n_users] != n)
        return false;
    for (size_t u = 0; u < m->n_users; u++) {
        if (ptr[u] > ptr[u + 1])
            return false;
    }
    for (uint64_t r = 0; r < n; r++) {
        if (item[r] >= m->n_items)
            return false;
    }
    for (uint64_t i = 0; i < m->n_users * active; i++) {
        if (who[i] >= (uint64_t)o->adapters)
            return false;
    }
    return true;
}

/* Lists of members, people ascending; who has no rows is nowhere. */
static enum err ready(struct rec_model *m)
{
    const uint32_t *active = rec_model_array(m, "active");
    const uint64_t *ptr = rec_model_array(m, "ptr");
    struct lego *l = NULL;

    ERR_TRY(lego_new(&l, m->opts, m->seed, m->item_key, m->n_items));
    const size_t n = m->n_users * l->active;

    l->members = mem_array(n, sizeof(*l->members));
    if (l->members == NULL) {
        lego_free(l);
        return no_memory();
    }
    for (size_t i = 0; i < n; i++)
        l->adapter[active[i]].n += ptr[i / l->active] < ptr[i / l->active + 1];
    size_t at = 0;

    for (size_t a = 0; a < l->n; a++) {
        l->adapter[a].user = l->members + at;
        at += l->adapter[a].n;
        l->adapter[a].n = 0;
    }
    for (size_t i = 0; i < n; i++) {
        struct rec_adapter *a = &l->adapter[active[i]];

        if (ptr[i / l->active] < ptr[i / l->active + 1])
            a->user[a->n++] = (uint32_t)(i / l->active);
    }
    if (m->parts_free != NULL)
        m->parts_free(m->parts);
    m->parts = l;
    m->parts_free = lego_free;
    return ERR_OK;
}

/* --- building an adapter ----------------------------------------------------
 */

struct building {
    const struct rec_model *m;
    struct lego *l;
    const uint32_t *todo;
    enum err *result; /* [todo] */
};

static void build_task(void *arg, size_t task, size_t thread)
{
    const struct building *b = arg;
    struct rec_adapter *a = &b->l->adapter[b->todo[task]];

    (void)thread;
    b->result[task] = rec_adapter_build(a, rec_model_array(b->m, "ptr"),
                                        rec_model_array(b->m, "item"),
                                        b->m->n_items, b->l->reg);
    if (b->result[task] != ERR_OK)
        rec_adapter_drop(a);
}

/* Whatever the queries' adapters lack. */
static enum err build_all(const struct rec_model *m, struct lego *l,
                          const uint32_t *active, size_t n)
{
    struct mem_scratch s = {0};
    uint8_t *wanted = mem_take(&s, l->n, 1, 1);
    uint32_t *todo = mem_take(&s, l->n, 1, sizeof(*todo));
    enum err *result = mem_take(&s, l->n, 1, sizeof(*result));
    enum err e = s.failed ? no_memory() : ERR_OK;
    size_t k = 0;

    for (size_t i = 0; i < n && e == ERR_OK; i++)
        wanted[active[i]] = 1;
    (void)pthread_mutex_lock(&l->lock);
    for (size_t a = 0; a < l->n && e == ERR_OK; a++) {
        if (wanted[a] && !l->adapter[a].ready)
            todo[k++] = (uint32_t)a;
    }
    if (k > 0)
        par_for(k, build_task, &(struct building){m, l, todo, result});
    for (size_t i = 0; i < k && e == ERR_OK; i++)
        e = result[i];
    (void)pthread_mutex_unlock(&l->lock);
    mem_drop(&s);
    /* notes of other threads are theirs */
    return e == ERR_NOMEM ? no_memory()
           : e != ERR_OK  ? err_set(e, "an adapter cannot be inverted: raise "
                                        "--reg, or take more --adapters")
                          : ERR_OK;
}

/* --- what a request touched -------------------------------------------------
 */

static bool same_rows(const struct rec_model *a, size_t u,
                      const struct rec_model *b, size_t v)
{
    const uint64_t *p = rec_model_array(a, "ptr"),
                   *q = rec_model_array(b, "ptr");
    const uint32_t *x = rec_model_array(a, "item"),
                   *y = rec_model_array(b, "item");

    if (p[u + 1] - p[u] != q[v + 1] - q[v])
        return false;
    for (uint64_t r = 0; r < p[u + 1] - p[u]; r++) {
        if (a->item_key[x[p[u] + r]] != b->item_key[y[q[v] + r]])
            return false;
    }
    return true;
}

/* The adapters of everybody in a who is not, or not so, in b. */
static void mark_changed(const struct rec_model *a, const struct rec_model *b,
                         size_t active, uint8_t *mark)
{
    const uint32_t *of = rec_model_array(a, "active");

    for (size_t u = 0; u < a->n_users; u++) {
        const uint32_t v =
            rec_key_find(b->user_key, b->n_users, a->user_key[u]);

        if (v != REC_NOBODY && same_rows(a, u, b, v))
            continue;
        for (size_t k = 0; k < active; k++)
            mark[of[u * active + k]] = 1;
    }
}

static size_t touched(const struct rec_model *before,
                      const struct rec_model *after, uint32_t *part, size_t *of)
{
    const struct lego *l = before->parts;
    size_t n = 0;

    *of = l->n;
    if (part == NULL)
        return 0;
    uint8_t *mark = mem_array(l->n, 1);

    for (size_t a = 0; mark == NULL && a < l->n; a++)
        part[a] = (uint32_t)a; /* no memory to say less than all */
    if (mark == NULL)
        return l->n;
    mark_changed(before, after, l->active, mark);
    mark_changed(after, before, l->active, mark);
    for (size_t a = 0; a < l->n; a++) {
        if (mark[a])
            part[n++] = (uint32_t)a;
    }
    free(mark);
    return n;
}

/* --- scores ------------------------------------------------------------------
 *
 * Adapter by adapter, up to COLUMNS people at once, who are the columns of two
 * products: W with the counts of shared items, then X^T with that.  Neither
 * product's bits depend on who else is asked for. */

#define COLUMNS ((size_t)64)

struct scoring {
    const struct rec_model *m;
    const struct lego *l;
    const struct rec_query *q;
    const struct rec_adapter *a; /* at hand */
    uint32_t *active;            /* [q->n][active] */
    uint32_t *who;               /* [COLUMNS] queries of the adapter at hand */
    size_t n;                    /* how many */
    float *shared, *weight;      /* [most members][COLUMNS] */
    float *y;                    /* [n_items][COLUMNS] */
    float *one;                  /* [threads][n_items] */
    float *out;                  /* [q->n][n_items] */
};

static float deviation(const float *x, size_t n)
{
    double mean = 0, square = 0;

    for (size_t i = 0; i < n; i++)
        mean += (double)x[i];
    mean /= (double)n;
    for (size_t i = 0; i < n; i++)
        square += ((double)x[i] - mean) * ((double)x[i] - mean);
    return (float)sqrt(square / (double)n);
}

/* Column `task`: scores, their deviation, their share of the mean. */
static void add_task(void *arg, size_t task, size_t thread)
{
    const struct scoring *s = arg;
    const struct rec_query *q = s->q;
    const size_t n_items = s->m->n_items, u = s->who[task];
    float *one = s->one + thread * n_items, *out = s->out + u * n_items;

    for (size_t i = 0; i < n_items; i++)
        one[i] = s->y[i * s->n + task] / s->a->gap[i];
    for (size_t r = q->ptr[u]; r < q->ptr[u + 1]; r++) /* 1 - (1 - y) / g */
        one[q->item[r]] += 1 - 1 / s->a->gap[q->item[r]];
    const float d = deviation(one, n_items);

    for (size_t i = 0; i < n_items && d > 0; i++)
        out[i] += one[i] / d / (float)s->l->active;
}

static enum err ask_adapter(struct scoring *s)
{
    const struct rec_adapter *a = s->a;
    const struct rec_query *q = s->q;

    memset(s->shared, 0, a->n * s->n * sizeof(*s->shared));
    for (size_t c = 0; c < s->n; c++) {
        for (size_t r = q->ptr[s->who[c]]; r < q->ptr[s->who[c] + 1]; r++) {
            const uint32_t i = q->item[r];

            for (size_t x = a->ptr[i]; x < a->ptr[i + 1]; x++)
                s->shared[a->who[x] * s->n + c] += 1;
        }
    }
    ERR_TRY(la_gemm(&(struct krn_gemm){.m = a->n,
                                       .n = s->n,
                                       .k = a->n,
                                       .a = a->inverse,
                                       .lda = a->n,
                                       .b = s->shared,
                                       .ldb = s->n,
                                       .c = s->weight,
                                       .ldc = s->n}));
    la_spmm(&(struct krn_spmm){.last = s->m->n_items,
                               .d = s->n,
                               .ptr = a->ptr,
                               .idx = a->who,
                               .x = s->weight,
                               .ldx = s->n,
                               .y = s->y,
                               .ldy = s->n});
    par_for(s->n, add_task, s);
    return ERR_OK;
}

static enum err ask_all(struct scoring *s)
{
    const struct lego *l = s->l;

    for (size_t a = 0; a < l->n; a++) {
        s->a = &l->adapter[a];
        s->n = 0;
        for (size_t i = 0; i < s->q->n * l->active && s->a->n > 0; i++) {
            if (s->active[i] == a)
                s->who[s->n++] = (uint32_t)(i / l->active);
            if (s->n == COLUMNS) {
                ERR_TRY(ask_adapter(s));
                s->n = 0;
            }
        }
        if (s->n > 0)
            ERR_TRY(ask_adapter(s));
    }
    return ERR_OK;
}

static enum err score(const struct rec_model *m, const struct rec_query *q,
                      float *scores)
{
    struct lego *l = m->parts;
    struct mem_scratch room = {0};
    struct scoring s = {.m = m, .l = l, .q = q, .out = scores};
    size_t most = 1;

    for (size_t a = 0; a < l->n; a++)
        most = l->adapter[a].n > most ? l->adapter[a].n : most;
    s.active = mem_take(&room, q->n, l->active, sizeof(*s.active));
    s.who = mem_take(&room, COLUMNS, 1, sizeof(*s.who));
    s.shared = mem_take(&room, most, COLUMNS, sizeof(*s.shared));
    s.weight = mem_take(&room, most, COLUMNS, sizeof(*s.weight));
    s.y = mem_take(&room, m->n_items, COLUMNS, sizeof(*s.y));
    s.one = mem_take(&room, par_threads(), m->n_items, sizeof(*s.one));
    enum err e = room.failed ? no_memory() : ERR_OK;

    for (size_t u = 0; u < q->n && e == ERR_OK; u++)
        activate(l, q->item + q->ptr[u], q->ptr[u + 1] - q->ptr[u],
                 s.active + u * l->active);
    if (e == ERR_OK)
        e = build_all(m, l, s.active, q->n * l->active);
    if (e == ERR_OK) {
        memset(scores, 0, q->n * m->n_items * sizeof(*scores));
        e = ask_all(&s);
    }
    mem_drop(&room);
    return e;
}

extern const struct rec_model_ops rec_model_legonet;
const struct rec_model_ops rec_model_legonet = {
    .name = "legonet",
    .help = "many small EASE models, each of people alike; forgets at once",
    .opts = rows,
    .opts_bytes = sizeof(struct lego_opts),
    .fit_bytes = fit_bytes,
    .fit = fit,
    .score = score,
    .valid = valid,
    .touched = touched,
    .ready = ready,
};
