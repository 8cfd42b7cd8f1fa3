/* rec/fold.c - the map and the sums it is applied to. */
#include "rec/fold.h"

#include <math.h>
#include <string.h>

#include "base/la.h"
#include "base/mem.h"
#include "base/par.h"

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

enum err rec_fold_fit(struct rec_model *m, const struct rec_data *d, size_t dim)
{
    struct mem_scratch s = {0};
    const float *items = rec_model_array(m, "items");
    struct sums sums = {d, items, mem_take(&s, d->n_users, dim, sizeof(float)),
                        dim};
    float *gram = mem_take(&s, dim, dim, sizeof(*gram));
    float *both = mem_take(&s, dim, dim, sizeof(*both));
    float *map = mem_take(&s, dim, dim, sizeof(*map));
    enum err e =
        s.failed ? err_set(ERR_NOMEM, "no memory to fold people in") : ERR_OK;

    if (e == ERR_OK) {
        par_for(d->n_users, sums_task, &sums);
        e = regress(sums.out, rec_model_array(m, "users"), d->n_users, dim,
                    gram, both, map);
    }
    if (e == ERR_OK)
        e = la_gemm(&(struct krn_gemm){.m = d->n_items,
                                       .n = dim,
                                       .k = dim,
                                       .a = items,
                                       .lda = dim,
                                       .b = map,
                                       .ldb = dim,
                                       .c = rec_model_array(m, "fold"),
                                       .ldc = dim});
    mem_drop(&s);
    return e;
}

static size_t dim_of(const struct rec_model *m)
{
    return rec_model_cols(m, "items");
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
    struct asking a = {q, rec_model_array(m, "users"),
                       rec_model_array(m, "fold"), dim_of(m), vec};

    par_for((q->n + PEOPLE - 1) / PEOPLE, embed_task, &a);
    return ERR_OK;
}

const float *rec_fold_items(const struct rec_model *m, size_t *d)
{
    *d = dim_of(m);
    return rec_model_array(m, "items");
}

bool rec_fold_valid(const struct rec_model *m)
{
    const size_t d = dim_of(m);

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

    return rec_model_alloc(m, d, spec, 3);
}
