/* rec/fold.c - the map and the sums it is applied to. */
#include "rec/fold.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/la.h"
#include "base/mem.h"
#include "base/par.h"
#include "rec/holes.h"

#define PEOPLE 64 /* of a task */

struct sums {
    const struct rec_data *d;
    const float *items;
    float *out; /* [n_users][dim] */
    size_t dim;
};

static void sum_history(float *v, const float *x, const uint32_t *item,
                        size_t n, size_t dim)
{
    memset(v, 0, dim * sizeof(*v));
    for (size_t r = 0; r < n; r++) {
        for (size_t k = 0; k < dim; k++)
            v[k] += x[item[r] * dim + k];
    }
    for (size_t k = 0; k < dim && n > 0; k++)
        v[k] /= sqrtf((float)n);
}

static void sums_task(void *arg, size_t u, size_t thread)
{
    const struct sums *s = arg;
    const size_t first = s->d->user_ptr[u];

    (void)thread;
    sum_history(s->out + u * s->dim, s->items, s->d->item + first,
                s->d->user_ptr[u + 1] - first, s->dim);
}

/* map[dim][dim] of the ridge regression users ~ sums map. */
static enum err regress(const float *sums, const float *users, size_t n,
                        size_t dim, float *gram, float *both, float *map)
{
    ERR_TRY(la_gram(gram, sums, n, dim));
    float trace = 0;

    for (size_t k = 0; k < dim; k++)
        trace += gram[k * dim + k];
    for (size_t k = 0; k < dim; k++)
        gram[k * dim + k] += 1e-3f * trace / (float)dim + 1e-20f;
    ERR_TRY(la_spd_inverse(gram, dim));
    ERR_TRY(la_gemm(&(struct krn_gemm){.ta = true,
                                       .m = dim,
                                       .n = dim,
                                       .k = n,
                                       .a = sums,
                                       .lda = dim,
                                       .b = users,
                                       .ldb = dim,
                                       .c = both,
                                       .ldc = dim}));
    return la_gemm(&(struct krn_gemm){.m = dim,
                                      .n = dim,
                                      .k = dim,
                                      .a = gram,
                                      .lda = dim,
                                      .b = both,
                                      .ldb = dim,
                                      .c = map,
                                      .ldc = dim});
}

/* The map of m's arrays, which are whole. */
static enum err learn_map(const struct rec_model *m, const struct rec_data *d,
                          size_t dim, float *map)
{
    struct mem_scratch s = {0};
    struct sums sums = {d, rec_model_array(m, "items"),
                        mem_take(&s, d->n_users, dim, sizeof(float)), dim};
    float *gram = mem_take(&s, dim, dim, sizeof(*gram));
    float *both = mem_take(&s, dim, dim, sizeof(*both));
    enum err e =
        s.failed ? err_set(ERR_NOMEM, "no memory to fold people in") : ERR_OK;

    if (e == ERR_OK) {
        par_for(d->n_users, sums_task, &sums);
        e = regress(sums.out, rec_model_array(m, "users"), d->n_users, dim,
                    gram, both, map);
    }
    mem_drop(&s);
    return e;
}

static enum err apply_map(const float *items, const float *map, size_t n,
                          size_t dim, float *fold)
{
    return la_gemm(&(struct krn_gemm){.m = n,
                                      .n = dim,
                                      .k = dim,
                                      .a = items,
                                      .lda = dim,
                                      .b = map,
                                      .ldb = dim,
                                      .c = fold,
                                      .ldc = dim});
}

enum err rec_fold_fit(struct rec_model *m, const struct rec_data *d, size_t dim)
{
    float *map = mem_array(dim * dim, sizeof(*map));
    enum err e = map == NULL ? err_set(ERR_NOMEM, "no memory to fold people in")
                             : learn_map(m, d, dim, map);

    if (e == ERR_OK)
        e = apply_map(rec_model_array(m, "items"), map, d->n_items, dim,
                      rec_model_array(m, "fold"));
    free(map);
    return e;
}

/* --- tables with holes -----------------------------------------------------
 */

static const struct rec_holes users_holes = {"users.mask", "users.kept"};
static const struct rec_holes items_holes = {"items.mask", "items.kept"};

/* Whole tables of a model that stores them with holes: m->parts. */
struct whole {
    struct mem_scratch s;
    float *users, *items, *fold;
    size_t dim;
};

static void whole_free(void *parts)
{
    struct whole *w = parts;

    if (w != NULL)
        mem_drop(&w->s);
    free(w);
}

static void drop_whole(struct rec_model *m)
{
    if (m->parts != NULL)
        m->parts_free(m->parts);
    m->parts = NULL;
}

/* What else a model has stays as it is. */
#define OTHERS 8

struct others {
    struct rec_array_spec spec[OTHERS];
    void *data[OTHERS];
    size_t n;
};

static bool is_replaced(const char *name)
{
    static const char *const names[] = {"user_key", "item_key", "popularity",
                                        "users",    "items",    "fold"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static size_t array_bytes(const struct rec_array_spec *a)
{
    return (size_t)(a->rows * a->cols) * sto_type_bytes(a->type);
}

/* Copies, with memory from s. */
static void take_others(struct others *o, const struct rec_model *m,
                        struct mem_scratch *s)
{
    for (size_t i = 0; i < m->n_arrays; i++) {
        const struct sto_array *a = &m->array[i];

        if (is_replaced(a->name))
            continue;
        assert(o->n < OTHERS);
        struct rec_array_spec *spec = &o->spec[o->n];

        *spec = (struct rec_array_spec){a->name, a->type, a->rows, a->cols};
        o->data[o->n] = mem_take(s, array_bytes(spec), 1, 1);
        if (o->data[o->n] != NULL)
            memcpy(o->data[o->n], a->data, array_bytes(spec));
        o->n++;
    }
}

/* Arrays for tables with holes and for the others, and their content. */
static enum err store_holes(struct rec_model *m, const struct rec_data *d,
                            const float *users, const float *items,
                            const float *map, size_t dim,
                            const struct others *others)
{
    struct rec_array_spec spec[5 + OTHERS] = {{"map", STO_F32, dim, dim}};
    size_t first;

    rec_holes_spec(&users_holes, users, d->n_users, dim, spec + 1);
    rec_holes_spec(&items_holes, items, d->n_items, dim, spec + 3);
    memcpy(spec + 5, others->spec, others->n * sizeof(*spec));
    ERR_TRY(rec_model_alloc(m, d, spec, 5 + others->n));
    memcpy(rec_model_array(m, "map"), map, dim * dim * sizeof(*map));
    rec_holes_store(&users_holes, m, users, d->n_users, dim);
    rec_holes_store(&items_holes, m, items, d->n_items, dim);
    first = m->n_arrays - others->n;
    for (size_t i = 0; i < others->n; i++)
        memcpy(m->array[first + i].data, others->data[i],
               array_bytes(&others->spec[i]));
    return ERR_OK;
}

enum err rec_fold_pack(struct rec_model *m, const struct rec_data *d,
                       size_t dim)
{
    struct mem_scratch s = {0};
    struct others others = {.n = 0};
    float *users = mem_take(&s, d->n_users, dim, sizeof(*users));
    float *items = mem_take(&s, d->n_items, dim, sizeof(*items));
    float *map = mem_take(&s, dim, dim, sizeof(*map));

    take_others(&others, m, &s);
    enum err e =
        s.failed ? err_set(ERR_NOMEM, "no memory to store vectors with holes")
                 : learn_map(m, d, dim, map);

    if (e == ERR_OK) {
        memcpy(users, rec_model_array(m, "users"),
               d->n_users * dim * sizeof(*users));
        memcpy(items, rec_model_array(m, "items"),
               d->n_items * dim * sizeof(*items));
        e = store_holes(m, d, users, items, map, dim, &others);
    }
    mem_drop(&s);
    return e == ERR_OK ? rec_fold_ready(m) : e;
}

enum err rec_fold_ready(struct rec_model *m)
{
    const size_t dim = rec_model_cols(m, "map");
    struct whole *w;

    drop_whole(m);
    if (dim == 0)
        return ERR_OK;
    w = mem_array(1, sizeof(*w));
    if (w == NULL)
        return err_set(ERR_NOMEM, "no memory for vectors");
    m->parts = w;
    m->parts_free = whole_free;
    w->dim = dim;
    w->users = mem_take(&w->s, m->n_users, dim, sizeof(float));
    w->items = mem_take(&w->s, m->n_items, dim, sizeof(float));
    w->fold = mem_take(&w->s, m->n_items, dim, sizeof(float));
    if (w->s.failed)
        return err_set(ERR_NOMEM, "no memory for vectors");
    rec_holes_open(&users_holes, m, m->n_users, dim, w->users);
    rec_holes_open(&items_holes, m, m->n_items, dim, w->items);
    return apply_map(w->items, rec_model_array(m, "map"), m->n_items, dim,
                     w->fold);
}

/* --- scores ------------------------------------------------------------------
 */

static size_t dim_of(const struct rec_model *m)
{
    const struct whole *w = m->parts;

    return w != NULL ? w->dim : rec_model_cols(m, "items");
}

struct asking {
    const struct rec_query *q;
    const float *users, *fold;
    size_t dim;
    float *vec;
};

static void embed_task(void *arg, size_t task, size_t thread)
{
    const struct asking *a = arg;
    const struct rec_query *q = a->q;
    const size_t dim = a->dim;

    (void)thread;
    for (size_t i = task * PEOPLE; i < (task + 1) * PEOPLE && i < q->n; i++) {
        if (q->user[i] != REC_NOBODY)
            memcpy(a->vec + i * dim, a->users + q->user[i] * dim,
                   dim * sizeof(*a->vec));
        else
            sum_history(a->vec + i * dim, a->fold, q->item + q->ptr[i],
                        q->ptr[i + 1] - q->ptr[i], dim);
    }
}

enum err rec_fold_embed(const struct rec_model *m, const struct rec_query *q,
                        float *vec)
{
    const struct whole *w = m->parts;
    struct asking a = {q, w != NULL ? w->users : rec_model_array(m, "users"),
                       w != NULL ? w->fold : rec_model_array(m, "fold"),
                       dim_of(m), vec};

    par_for((q->n + PEOPLE - 1) / PEOPLE, embed_task, &a);
    return ERR_OK;
}

const float *rec_fold_items(const struct rec_model *m, size_t *d)
{
    const struct whole *w = m->parts;

    *d = dim_of(m);
    return w != NULL ? w->items : rec_model_array(m, "items");
}

bool rec_fold_valid(const struct rec_model *m)
{
    const size_t holes = rec_model_cols(m, "map");
    const size_t d = rec_model_cols(m, "items");

    if (holes > 0)
        return rec_model_has(m, "map", STO_F32, holes, holes) &&
               rec_holes_valid(&users_holes, m, m->n_users, holes) &&
               rec_holes_valid(&items_holes, m, m->n_items, holes);

    return d > 0 && rec_model_has(m, "users", STO_F32, m->n_users, d) &&
           rec_model_has(m, "items", STO_F32, m->n_items, d) &&
           rec_model_has(m, "fold", STO_F32, m->n_items, d);
}

enum err rec_fold_alloc(struct rec_model *m, const struct rec_data *d,
                        size_t dim)
{
    const struct rec_array_spec spec[] = {{"users", STO_F32, d->n_users, dim},
                                          {"items", STO_F32, d->n_items, dim},
                                          {"fold", STO_F32, d->n_items, dim}};

    drop_whole(m);
    return rec_model_alloc(m, d, spec, 3);
}
