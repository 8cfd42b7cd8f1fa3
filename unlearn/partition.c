/* unlearn/partition.c - the table of partitions. */
#include "unlearn/partition.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "rec/model.h"

#define ROUNDS 50 /* of balanced k-means, as in the paper's code */

static enum err no_memory(size_t rows)
{
    return err_set(ERR_NOMEM, "no memory to part %zu interactions", rows);
}

/* Every row of person u goes to `to`. */
static void put_person(const struct rec_data *d, size_t u, uint8_t to,
                       uint8_t *shard)
{
    memset(shard + d->user_ptr[u], to, d->user_ptr[u + 1] - d->user_ptr[u]);
}

/* --- hash -------------------------------------------------------------------
 */

static enum err assign_hash(const struct rec_data *d, size_t k, uint64_t seed,
                            uint8_t *shard)
{
    for (size_t u = 0; u < d->n_users; u++) {
        const uint64_t bits = rng_derive(seed, RNG_SHARD, d->user_key[u]);

        put_person(d, u, (uint8_t)rng_scale(bits, k), shard);
    }
    return ERR_OK;
}

/* --- lsh --------------------------------------------------------------------
 */

struct lsh {
    const struct rec_data *d;
    size_t k;
    uint64_t seed;
    float *axis; /* [n_items][k] */
    uint8_t *shard;
};

static void axis_task(void *arg, size_t i, size_t thread)
{
    struct lsh *l = arg;
    const uint64_t seed = rng_derive(l->seed, RNG_SHARD, l->d->item_key[i]);

    (void)thread;
    for (size_t c = 0; c < l->k; c++)
        l->axis[i * l->k + c] = (float)rng_normal(seed, RNG_SHARD, c);
}

static void lsh_task(void *arg, size_t u, size_t thread)
{
    struct lsh *l = arg;
    const struct rec_data *d = l->d;
    float sum[256] = {0};
    size_t best = 0;

    (void)thread;
    for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++) {
        const float *axis = l->axis + d->item[r] * l->k;

        for (size_t c = 0; c < l->k; c++)
            sum[c] += axis[c];
    }
    for (size_t c = 1; c < l->k; c++)
        best = sum[c] > sum[best] ? c : best;
    put_person(d, u, (uint8_t)best, l->shard);
}

static enum err assign_lsh(const struct rec_data *d, size_t k, uint64_t seed,
                           uint8_t *shard)
{
    struct lsh l = {d, k, seed, mem_array(d->n_items * k, sizeof(float)),
                    shard};

    if (l.axis == NULL)
        return no_memory(d->n_rows);
    par_for(d->n_items, axis_task, &l);
    par_for(d->n_users, lsh_task, &l);
    free(l.axis);
    return ERR_OK;
}

/* --- learnt from embeddings
 * ---------------------------------------------------
 */

/* The vectors that RecEraser parts by: those of a weighted factorisation of
 * all rows with its defaults. */
static enum err pretrain(const struct rec_data *d, uint64_t seed,
                         struct rec_model **out)
{
    const struct rec_model_ops *ops;
    struct rec_model *m;

    ERR_TRY(rec_model_find("ials", &ops));
    ERR_TRY(rec_model_new(&m, ops));
    m->seed = seed;
    const enum err e = rec_model_fit(m, d, NULL);

    if (e != ERR_OK)
        rec_model_free(m);
    else
        *out = m;
    return e;
}

/* Part p of d by points made from the pre-trained vectors. */
static enum err balance_by(const struct rec_data *d, size_t k, uint64_t seed,
                           bool by_user, bool by_item, const uint32_t *user_of,
                           size_t n, uint8_t *part)
{
    struct rec_model *m = NULL;
    struct unl_points p = {.n = n};

    ERR_TRY(pretrain(d, seed, &m));
    (void)m->ops->item_vectors(m, &p.d);
    if (by_user)
        p.x = rec_model_array(m, "users");
    if (by_item && by_user)
        p.y = rec_model_array(m, "items");
    else if (by_item)
        p.x = rec_model_array(m, "items");
    p.e = p.y != NULL ? p.d : 0;
    p.x_of = user_of;
    p.y_of = p.y != NULL ? d->item : NULL;
    const enum err e = unl_balance(&p, k, ROUNDS, seed, part);

    rec_model_free(m);
    return e;
}

static enum err assign_user(const struct rec_data *d, size_t k, uint64_t seed,
                            uint8_t *shard)
{
    uint8_t *part = mem_array(d->n_users, 1);

    if (part == NULL)
        return no_memory(d->n_rows);
    const enum err e =
        balance_by(d, k, seed, true, false, NULL, d->n_users, part);

    for (size_t u = 0; u < d->n_users && e == ERR_OK; u++)
        put_person(d, u, part[u], shard);
    free(part);
    return e;
}

static enum err assign_item(const struct rec_data *d, size_t k, uint64_t seed,
                            uint8_t *shard)
{
    uint8_t *part = mem_array(d->n_items, 1);

    if (part == NULL)
        return no_memory(d->n_rows);
    const enum err e =
        balance_by(d, k, seed, false, true, NULL, d->n_items, part);

    for (size_t r = 0; r < d->n_rows && e == ERR_OK; r++)
        shard[r] = part[d->item[r]];
    free(part);
    return e;
}

static enum err assign_interaction(const struct rec_data *d, size_t k,
                                   uint64_t seed, uint8_t *shard)
{
    uint32_t *user_of = mem_array(d->n_rows, sizeof(*user_of));

    if (user_of == NULL)
        return no_memory(d->n_rows);
    for (size_t u = 0; u < d->n_users; u++) {
        for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++)
            user_of[r] = (uint32_t)u;
    }
    const enum err e =
        balance_by(d, k, seed, true, true, user_of, d->n_rows, shard);

    free(user_of);
    return e;
}

const struct unl_partition unl_partitions[] = {
    {"hash", "whole persons, by a hash of their id: exact forgetting", true,
     assign_hash},
    {"lsh", "whole persons, by a hash of what they met: exact forgetting", true,
     assign_lsh},
    {"user", "whole persons, by balanced clusters (RecEraser UBP)", false,
     assign_user},
    {"item", "whole items, by balanced clusters (RecEraser IBP)", false,
     assign_item},
    {"interaction", "single rows, by balanced clusters (RecEraser InBP)", false,
     assign_interaction},
    {.name = NULL},
};

const struct unl_partition *unl_partition_find(const char *name)
{
    for (const struct unl_partition *p = unl_partitions; p->name != NULL; p++) {
        if (strcmp(p->name, name) == 0)
            return p;
    }
    return NULL;
}
