/*
 * rec/lego_score.c - asking adapters.
 *
 * Adapter by adapter, up to COLUMNS people at once.  Of closed forms they are
 * the columns of two products: W with the counts of shared items, then X^T with
 * that.  Of learnt heads they are the rows of one.  No product's bits depend on
 * who else is asked for.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/la.h"
#include "base/mem.h"
#include "base/par.h"
#include "rec/head.h"
#include "rec/lego.h"

#define COLUMNS ((size_t)64)
#define D ((size_t)REC_ENCODING)

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for adapters");
}

void rec_lego_unit(const struct rec_lego *l, const uint32_t *item, size_t n,
                   float z[REC_ENCODING])
{
    double square = 0;

    rec_encoder_encode(&l->encoder, item, n, z);
    for (size_t d = 0; d < D; d++)
        square += (double)z[d] * (double)z[d];
    for (size_t d = 0; d < D && square > 0; d++)
        z[d] /= (float)sqrt(square);
}

/* --- building a closed form -------------------------------------------------
 */

struct building {
    const struct rec_model *m;
    struct rec_lego *l;
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
static enum err build_all(const struct rec_model *m, struct rec_lego *l,
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

/* --- closed forms -----------------------------------------------------------
 */

struct scoring {
    const struct rec_model *m;
    const struct rec_lego *l;
    const struct rec_query *q;
    const struct rec_adapter *a; /* at hand */
    uint32_t *active;            /* [q->n][active] */
    uint32_t *who;               /* [COLUMNS] queries of the adapter at hand */
    size_t n;                    /* how many */
    float *shared, *weight;      /* [most members][COLUMNS] */
    float *y;                    /* [n_items][COLUMNS] */
    float *one;                  /* [threads][n_items] */
    float *z;                    /* [COLUMNS][D] encodings */
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

static enum err ask_closed(struct scoring *s)
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

/* --- learnt heads ------------------------------------------------------------
 */

/* s->y is [COLUMNS][n_items], s->one has room for their encodings. */
static enum err ask_head(struct scoring *s)
{
    const struct rec_lego *l = s->l;
    const struct rec_query *q = s->q;
    const size_t a = (size_t)(s->a - l->adapter);
    const uint64_t at = l->head_ptr[a];
    const size_t n = (size_t)(l->head_ptr[a + 1] - at);

    for (size_t c = 0; c < s->n; c++) {
        const size_t first = q->ptr[s->who[c]];

        rec_lego_unit(l, q->item + first, q->ptr[s->who[c] + 1] - first,
                      s->z + c * D);
    }
    ERR_TRY(rec_head_ask(l->head_weight + at * (D + 1), n, s->z, s->n, s->y));
    for (size_t c = 0; c < s->n; c++) {
        float *out = s->out + s->who[c] * s->m->n_items;

        for (size_t i = 0; i < n; i++)
            out[l->head_item[at + i]] += s->y[c * n + i] / (float)l->active;
    }
    return ERR_OK;
}

/* --- both --------------------------------------------------------------------
 */

static enum err ask_adapter(struct scoring *s)
{
    return s->l->head_ptr != NULL ? ask_head(s) : ask_closed(s);
}

static enum err ask_all(struct scoring *s)
{
    const struct rec_lego *l = s->l;

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

enum err rec_lego_score(const struct rec_model *m, const struct rec_query *q,
                        float *scores)
{
    struct rec_lego *l = m->parts;
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
    s.z = mem_take(&room, COLUMNS, D, sizeof(*s.z));
    enum err e = room.failed ? no_memory() : ERR_OK;

    for (size_t u = 0; u < q->n && e == ERR_OK; u++)
        rec_lego_activate(l, q->item + q->ptr[u], q->ptr[u + 1] - q->ptr[u],
                          s.active + u * l->active);
    if (e == ERR_OK && l->head_ptr == NULL)
        e = build_all(m, l, s.active, q->n * l->active);
    if (e == ERR_OK) {
        memset(scores, 0, q->n * m->n_items * sizeof(*scores));
        e = ask_all(&s);
    }
    mem_drop(&room);
    return e;
}
