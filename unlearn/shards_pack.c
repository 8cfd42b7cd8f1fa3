/* unlearn/shards_pack.c - trained shards become one model. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "unlearn/aggregate.h"
#include "unlearn/shards_job.h"

#define AGGREGATE_SPECS 8

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for the shards of a model");
}

static const struct rec_model *model_of(const struct unl_shard *s)
{
    return s->fresh != NULL ? s->fresh : s->kept;
}

/* Arrays that record a learnt assignment. */
static size_t assign_specs(const struct unl_job *j, struct rec_array_spec *spec)
{
    const struct rec_data *d = j->d;

    if (strcmp(j->plan->partition, "user") == 0) {
        spec[0] = (struct rec_array_spec){"assign", STO_U8, d->n_users, 1};
        return 1;
    }
    if (strcmp(j->plan->partition, "item") == 0) {
        spec[0] = (struct rec_array_spec){"assign", STO_U8, d->n_items, 1};
        return 1;
    }
    if (strcmp(j->plan->partition, "interaction") == 0) {
        spec[0] =
            (struct rec_array_spec){"assign_ptr", STO_U64, d->n_users + 1, 1};
        spec[1] = (struct rec_array_spec){"assign_item", STO_U32, d->n_rows, 1};
        spec[2] = (struct rec_array_spec){"assign", STO_U8, d->n_rows, 1};
        return 3;
    }
    return 0;
}

static void assign_fill(const struct unl_job *j, struct rec_model *m)
{
    const struct rec_data *d = j->d;
    uint8_t *to;

    if (strcmp(j->plan->partition, "hash") == 0 ||
        strcmp(j->plan->partition, "lsh") == 0)
        return;
    to = rec_model_array(m, "assign");
    if (strcmp(j->plan->partition, "user") == 0) {
        for (size_t u = 0; u < d->n_users; u++)
            to[u] = j->assign[d->user_ptr[u]];
    } else if (strcmp(j->plan->partition, "item") == 0) {
        for (size_t r = 0; r < d->n_rows; r++)
            to[d->item[r]] = j->assign[r];
    } else {
        uint64_t *ptr = rec_model_array(m, "assign_ptr");

        for (size_t u = 0; u <= d->n_users; u++)
            ptr[u] = d->user_ptr[u];
        memcpy(rec_model_array(m, "assign_item"), d->item,
               d->n_rows * sizeof(*d->item));
        memcpy(to, j->assign, d->n_rows);
    }
}

static size_t shard_specs(const struct unl_job *j, struct rec_array_spec *spec,
                          char (*name)[48])
{
    size_t n = 0;

    for (size_t s = 0; s < j->n; s++) {
        const struct rec_model *m = model_of(&j->shard[s]);

        for (size_t i = 0; m != NULL && i < m->n_arrays; i++, n++) {
            const struct sto_array *a = &m->array[i];

            (void)snprintf(name[n], sizeof(name[n]), "s%03zu.%.18s", s % 1000,
                           a->name);
            spec[n] = (struct rec_array_spec){name[n], a->type, (size_t)a->rows,
                                              (size_t)a->cols};
        }
        if (j->shard[s].is.n > 0)
            n += unl_slices_specs(&j->shard[s].is, s, spec + n, name + n);
    }
    return n;
}

/* The digests of the stages' rows. */
static void slices_fill(const struct unl_job *j, struct rec_model *m)
{
    const size_t each = (size_t)j->plan->slices * KEY_DIGEST_BYTES;
    unsigned char *to = rec_model_array(m, "slices");

    for (size_t s = 0; s < j->n; s++) {
        if (j->shard[s].is.n > 0)
            memcpy(to + s * each, j->shard[s].is.rows, each);
    }
}

static void shard_fill(const struct unl_job *j, struct rec_model *m,
                       size_t first)
{
    struct sto_array *to = m->array + first;

    for (size_t s = 0; s < j->n; s++) {
        const struct rec_model *sub = model_of(&j->shard[s]);

        for (size_t i = 0; sub != NULL && i < sub->n_arrays; i++, to++)
            memcpy(to->data, sub->array[i].data,
                   (size_t)(to->rows * to->cols) * sto_type_bytes(to->type));
        if (j->shard[s].is.n > 0)
            to = unl_slices_fill(&j->shard[s].is, to);
    }
}

static size_t count_arrays(const struct unl_job *j)
{
    size_t n = 0;

    for (size_t s = 0; s < j->n; s++) {
        const struct rec_model *m = model_of(&j->shard[s]);

        n += m != NULL ? m->n_arrays : 0;
        if (j->shard[s].is.n > 0)
            n += unl_slices_count(&j->shard[s].is);
    }
    return n;
}

/* Width of the shards' vectors; 0 for models that score whole rows. */
static size_t width_of(const struct unl_job *j)
{
    size_t d = 0;

    for (size_t s = 0; s < j->n && d == 0; s++) {
        const struct rec_model *m = model_of(&j->shard[s]);

        if (m != NULL && m->ops->item_vectors != NULL)
            (void)m->ops->item_vectors(m, &d);
    }
    return d;
}

static enum err pack_arrays(const struct unl_job *j, struct rec_model *m,
                            struct rec_array_spec *spec, char (*name)[48])
{
    size_t n = 0, first;

    spec[n++] = (struct rec_array_spec){"rows", STO_U8, j->n, KEY_DIGEST_BYTES};
    if (j->plan->slices > 1)
        spec[n++] = (struct rec_array_spec){
            "slices", STO_U8, j->n * (size_t)j->plan->slices, KEY_DIGEST_BYTES};
    n += assign_specs(j, spec + n);
    n += unl_aggregate_specs(j->plan, j->n, width_of(j), spec + n);
    first = n;
    n += shard_specs(j, spec + n, name);
    ERR_TRY(rec_model_alloc(m, j->d, spec, n));
    uint8_t *rows = rec_model_array(m, "rows");

    for (size_t s = 0; s < j->n; s++)
        memcpy(rows + s * KEY_DIGEST_BYTES, j->shard[s].rows, KEY_DIGEST_BYTES);
    assign_fill(j, m);
    if (j->plan->slices > 1)
        slices_fill(j, m);
    shard_fill(j, m, m->n_arrays - n + first);
    for (size_t s = 0; s < j->n; s++) {
        const struct rec_model *sub = model_of(&j->shard[s]);

        if (sub != NULL && sub->epochs > m->epochs)
            m->epochs = sub->epochs;
    }
    return ERR_OK;
}

enum err unl_job_pack(const struct unl_job *j, struct rec_model **out)
{
    struct mem_scratch s = {0};
    const size_t n = count_arrays(j);
    struct rec_array_spec *spec =
        mem_take(&s, n + AGGREGATE_SPECS + 4, 1, sizeof(*spec));
    char(*name)[48] = mem_take(&s, n, 1, sizeof(*name));
    struct rec_model *m = NULL;
    char *options = NULL;
    enum err e = s.failed ? no_memory() : ERR_OK;

    if (e == ERR_OK)
        e = rec_model_options_json(j->like, &options);
    if (e == ERR_OK)
        e = unl_parts_new(&m, j->like->ops, options, j->plan);
    if (e == ERR_OK) {
        m->seed = j->like->seed;
        e = pack_arrays(j, m, spec, name);
    }
    if (e == ERR_OK)
        e = rec_model_adopt(m, "of shards");
    if (e == ERR_OK)
        e = unl_aggregate_learn(m, j->d);
    free(options);
    mem_drop(&s);
    if (e != ERR_OK)
        rec_model_free(m);
    else
        *out = m;
    return e;
}
