/* unlearn/shards.c - shards: training, packing, saving, opening, repairing. */
#include "unlearn/shards.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "unlearn/aggregate.h"
#include "unlearn/partition.h"
#include "unlearn/parts.h"

#define AGGREGATE_SPECS 8

struct shard {
    struct rec_model *fresh;      /* trained now; owned */
    const struct rec_model *kept; /* of the model before */
    unsigned char rows[KEY_DIGEST_BYTES];
    enum err e;
    char note[256];
};

struct job {
    struct rec_model *like;
    const struct unl_plan *plan;
    const struct rec_data *d;
    const uint8_t *assign;          /* [d->n_rows] */
    const struct unl_parts *before; /* or NULL */
    const unsigned char *digest;    /* [n][KEY_DIGEST_BYTES] of before */
    bool ask;                       /* only find out which would be trained */
    struct shard *shard;            /* [n] */
    size_t n, done;
};

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for the shards of a model");
}

/* --- training shards -------------------------------------------------------
 */

static enum err train_rows(struct job *j, size_t s, const struct rec_data *rows)
{
    struct rec_train_result result;
    struct rec_model *m;

    ERR_TRY(rec_model_new(&m, j->like->ops));
    j->shard[s].fresh = m;
    memcpy(m->opts, j->like->opts, m->ops->opts_bytes);
    m->seed = rng_derive(j->like->seed, RNG_SHARD, s + 1);
    memcpy(m->secret, j->like->secret, sizeof(m->secret));
    return rec_train(m, rows, &j->plan->train, &result);
}

static enum err train_shard(struct job *j, size_t s)
{
    struct shard *out = &j->shard[s];
    struct rec_data rows = {0};
    uint8_t *keep = mem_array(j->d->n_rows, 1);
    enum err e;

    if (keep == NULL)
        return no_memory();
    for (size_t r = 0; r < j->d->n_rows; r++)
        keep[r] = j->assign[r] == s;
    e = rec_data_compact(&rows, j->d, keep);
    free(keep);
    if (e == ERR_OK && rows.n_rows > 0) {
        rec_data_digest(&rows, out->rows);
        if (j->before != NULL && s < j->before->n &&
            memcmp(out->rows, j->digest + s * KEY_DIGEST_BYTES,
                   KEY_DIGEST_BYTES) == 0)
            out->kept = j->before->shard[s];
        else if (!j->ask)
            e = train_rows(j, s, &rows);
    }
    rec_data_free(&rows);
    return e;
}

/* An error's sentence stays on the thread where it happened: carry it over. */
static void shard_task(void *arg, size_t s, size_t thread)
{
    struct job *j = arg;
    struct shard *out = &j->shard[s];

    (void)thread;
    log_quiet_thread(j->n > 1);
    out->e = train_shard(j, s);
    log_quiet_thread(false);
    if (out->e != ERR_OK)
        (void)snprintf(out->note, sizeof(out->note), "%s", err_note());
}

static enum err train_shards(struct job *j)
{
    par_for(j->n, shard_task, j);
    for (size_t s = 0; s < j->n; s++) {
        if (j->shard[s].e != ERR_OK)
            return err_set(j->shard[s].e, "shard %zu: %s", s, j->shard[s].note);
    }
    return ERR_OK;
}

static const struct rec_model *model_of(const struct shard *s)
{
    return s->fresh != NULL ? s->fresh : s->kept;
}

/* --- packing into one model ------------------------------------------------
 */

/* Arrays that record a learnt assignment. */
static size_t assign_specs(const struct job *j, struct rec_array_spec *spec)
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

static void assign_fill(const struct job *j, struct rec_model *m)
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

static size_t shard_specs(const struct job *j, struct rec_array_spec *spec,
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
    }
    return n;
}

static void shard_fill(const struct job *j, struct rec_model *m, size_t first)
{
    struct sto_array *to = m->array + first;

    for (size_t s = 0; s < j->n; s++) {
        const struct rec_model *sub = model_of(&j->shard[s]);

        for (size_t i = 0; sub != NULL && i < sub->n_arrays; i++, to++)
            memcpy(to->data, sub->array[i].data,
                   (size_t)(to->rows * to->cols) * sto_type_bytes(to->type));
    }
}

static size_t count_arrays(const struct job *j)
{
    size_t n = 0;

    for (size_t s = 0; s < j->n; s++) {
        const struct rec_model *m = model_of(&j->shard[s]);

        n += m != NULL ? m->n_arrays : 0;
    }
    return n;
}

/* Width of the shards' vectors; 0 for models that score whole rows. */
static size_t width_of(const struct job *j)
{
    size_t d = 0;

    for (size_t s = 0; s < j->n && d == 0; s++) {
        const struct rec_model *m = model_of(&j->shard[s]);

        if (m != NULL && m->ops->item_vectors != NULL)
            (void)m->ops->item_vectors(m, &d);
    }
    return d;
}

static enum err pack_arrays(const struct job *j, struct rec_model *m,
                            struct rec_array_spec *spec, char (*name)[48])
{
    size_t n = 0, first;

    spec[n++] = (struct rec_array_spec){"rows", STO_U8, j->n, KEY_DIGEST_BYTES};
    n += assign_specs(j, spec + n);
    n += unl_aggregate_specs(j->plan, j->n, width_of(j), spec + n);
    first = n;
    n += shard_specs(j, spec + n, name);
    ERR_TRY(rec_model_alloc(m, j->d, spec, n));
    uint8_t *rows = rec_model_array(m, "rows");

    for (size_t s = 0; s < j->n; s++)
        memcpy(rows + s * KEY_DIGEST_BYTES, j->shard[s].rows, KEY_DIGEST_BYTES);
    assign_fill(j, m);
    shard_fill(j, m, m->n_arrays - n + first);
    for (size_t s = 0; s < j->n; s++) {
        const struct rec_model *sub = model_of(&j->shard[s]);

        if (sub != NULL && sub->epochs > m->epochs)
            m->epochs = sub->epochs;
    }
    return ERR_OK;
}

static enum err pack(const struct job *j, struct rec_model **out)
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

static void job_free(struct job *j)
{
    for (size_t s = 0; s < j->n && j->shard != NULL; s++)
        rec_model_free(j->shard[s].fresh);
    free(j->shard);
}

/* --- training --------------------------------------------------------------
 */

static enum err check_plan(const struct rec_model *like,
                           const struct unl_plan *plan)
{
    const struct unl_aggregate *a = unl_aggregate_find(plan->aggregate);

    if (like->ops->secretive)
        return err_set(ERR_ARG,
                       "%s keeps to its epsilon as one model alone: leave "
                       "--shards out (its repair is as quick)",
                       like->ops->name);

    if (a->vectors && like->ops->item_vectors == NULL)
        return err_set(ERR_ARG,
                       "--aggregate %s needs a model with vectors, and %s has "
                       "none: take --aggregate mean or static",
                       a->name, like->ops->name);
    return ERR_OK;
}

static enum err run_job(struct job *j, struct rec_model **out)
{
    j->shard = mem_array(j->n, sizeof(*j->shard));
    if (j->shard == NULL)
        return no_memory();
    ERR_TRY(train_shards(j));
    return out != NULL ? pack(j, out) : ERR_OK;
}

enum err unl_train(struct rec_model **out, struct rec_model *like,
                   const struct unl_plan *plan, const struct rec_data *d,
                   const uint8_t *assign, struct rec_train_result *result)
{
    struct job j = {.like = like,
                    .plan = plan,
                    .d = d,
                    .assign = assign,
                    .n = (size_t)plan->shards};
    uint8_t *own = NULL;
    enum err e = ERR_OK;

    *result = (struct rec_train_result){0, 0};
    if (plan->shards == 1) {
        *out = like;
        return rec_train(like, d, &plan->train, result);
    }
    ERR_TRY(check_plan(like, plan));
    if (d->n_rows == 0)
        return err_set(ERR_ARG, "there are no training interactions: import "
                                "some first");
    if (assign == NULL) {
        own = mem_array(d->n_rows, 1);
        if (own == NULL)
            return no_memory();
        e = unl_partition_find(plan->partition)
                ->assign(d, j.n, unl_plan_partition_seed(plan, like->seed),
                         own);
        j.assign = own;
    }
    if (e == ERR_OK)
        e = run_job(&j, out);
    job_free(&j);
    free(own);
    return e;
}

/* --- repair ----------------------------------------------------------------
 */

/* What a model recorded of its partition. */
struct record {
    const struct rec_model *m;
    const uint8_t *assign;
    const uint64_t *ptr;   /* where single rows are parted; else NULL */
    const uint32_t *items; /* likewise */
    bool by_user;
};

/* Shard of a row of person u and item i of the model, or UINT8_MAX: not
 * recorded. */
static uint8_t recorded(const struct record *a, uint32_t u, uint32_t i)
{
    if (a->ptr == NULL) {
        const uint32_t at = a->by_user ? u : i;

        return at == REC_NOBODY ? UINT8_MAX : a->assign[at];
    }
    if (u == REC_NOBODY || i == REC_NOBODY)
        return UINT8_MAX;
    uint64_t lo = a->ptr[u], hi = a->ptr[u + 1]; /* items ascend */

    while (lo < hi) {
        const uint64_t mid = lo + (hi - lo) / 2;

        if (a->items[mid] < i)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < a->ptr[u + 1] && a->items[lo] == i ? a->assign[lo] : UINT8_MAX;
}

static enum err recorded_all(const struct record *a, const struct rec_data *d,
                             uint8_t *shard)
{
    const struct rec_model *m = a->m;
    uint32_t *item = mem_array(d->n_items, sizeof(*item));

    if (item == NULL)
        return no_memory();
    for (size_t i = 0; i < d->n_items; i++)
        item[i] = rec_key_find(m->item_key, m->n_items, d->item_key[i]);
    for (size_t u = 0; u < d->n_users; u++) {
        const uint32_t user =
            rec_key_find(m->user_key, m->n_users, d->user_key[u]);

        for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++) {
            const uint8_t known = recorded(a, user, item[d->item[r]]);

            if (known != UINT8_MAX)
                shard[r] = known;
        }
    }
    free(item);
    return ERR_OK;
}

/* Rows that came after the training go where a hash of the person says. */
static enum err assign_again(const struct rec_model *m,
                             const struct unl_plan *plan,
                             const struct rec_data *d, uint8_t *shard)
{
    const struct unl_partition *p = unl_partition_find(plan->partition);

    if (p->exact)
        return p->assign(d, (size_t)plan->shards,
                         unl_plan_partition_seed(plan, m->seed), shard);
    ERR_TRY(unl_partition_find("hash")->assign(d, (size_t)plan->shards, m->seed,
                                               shard));
    const bool rows = strcmp(plan->partition, "interaction") == 0;
    const struct record a = {
        .m = m,
        .assign = rec_model_array(m, "assign"),
        .ptr = rows ? rec_model_array(m, "assign_ptr") : NULL,
        .items = rows ? rec_model_array(m, "assign_item") : NULL,
        .by_user = strcmp(plan->partition, "user") == 0,
    };

    return recorded_all(&a, d, shard);
}

static void report_shards(const struct job *j, struct unl_repair *what)
{
    static const unsigned char none[KEY_DIGEST_BYTES];

    what->n = 0;
    for (size_t s = 0; s < j->n; s++) {
        const bool filled = memcmp(j->shard[s].rows, none, sizeof(none)) != 0;
        const bool was = j->before->shard[s] != NULL;

        /* a shard that lost its last row changes too, at no cost */
        if ((filled && j->shard[s].kept == NULL) || (!filled && was))
            what->shard[what->n++] = (uint8_t)s;
    }
}

static enum err repair_parts(struct rec_model **out, struct rec_model *m,
                             struct rec_model *like, const struct rec_data *d,
                             struct unl_repair *what)
{
    const struct unl_parts *p = m->parts;
    struct job j = {.like = like,
                    .plan = &what->plan,
                    .d = d,
                    .before = p,
                    .digest = rec_model_array(m, "rows"),
                    .ask = out == NULL,
                    .n = p->n};
    uint8_t *assign = mem_array(d->n_rows, 1);
    enum err e = assign == NULL ? no_memory() : ERR_OK;

    if (e == ERR_OK)
        e = assign_again(m, &what->plan, d, assign);
    j.assign = assign;
    if (e == ERR_OK)
        e = run_job(&j, out);
    if (e == ERR_OK)
        report_shards(&j, what);
    job_free(&j);
    free(assign);
    return e;
}

/* A model that can keep parts of itself does. */
static enum err refit(struct rec_model **out, struct sto_view *v,
                      const char *name, struct rec_model *like,
                      const struct rec_data *d)
{
    struct rec_model *old;

    ERR_TRY(rec_model_open(&old, v, name, NULL));
    const enum err e = rec_model_refit(like, d, old);

    rec_model_free(old);
    if (e == ERR_OK)
        *out = like;
    return e;
}

static enum err repair_whole(struct rec_model **out, struct sto_view *v,
                             const char *name, struct rec_model *like,
                             const struct rec_data *d, struct unl_repair *what)
{
    struct rec_train_result result;

    what->n = 1;
    what->shard[0] = 0;
    if (out == NULL)
        return ERR_OK;
    if (like->ops->refit != NULL && what->plan.train.validate <= 0)
        return refit(out, v, name, like, d);
    return unl_train(out, like, &what->plan, d, NULL, &result);
}

static enum err repair(struct rec_model **out, struct sto_view *v,
                       const struct sto_model *info, const struct rec_data *d,
                       struct rec_model *like, struct unl_repair *what)
{
    unsigned char rows[KEY_DIGEST_BYTES];
    struct rec_model *old = NULL;

    ERR_TRY(rec_model_options_parse(like, info->options));
    ERR_TRY(unl_plan_parse(&what->plan, info->training, &what->texts));
    ERR_TRY(unl_plan_open(&what->plan, sto_view_dir(v)));
    ERR_TRY(unl_plan_secret(like, sto_view_dir(v)));
    what->exact = what->plan.shards == 1 ||
                  unl_partition_find(what->plan.partition)->exact;
    rec_data_digest(d, rows);
    what->changed = memcmp(rows, info->rows, sizeof(rows)) != 0;
    if (!what->changed || d->n_rows == 0)
        return ERR_OK;
    if (what->plan.shards == 1)
        return repair_whole(out, v, info->name, like, d, what);
    ERR_TRY(unl_open(&old, v, info->name, NULL));
    const enum err e = repair_parts(out, old, like, d, what);

    rec_model_free(old);
    return e;
}

enum err unl_repair(struct rec_model **out, struct sto_view *v,
                    const struct sto_model *info, const struct rec_data *d,
                    struct unl_repair *what)
{
    const struct rec_model_ops *base;
    struct rec_model *like = NULL, *made = NULL;

    *what = (struct unl_repair){.n = 0};
    ERR_TRY(rec_model_find(info->model, &base));
    ERR_TRY(rec_model_new(&like, base));
    like->seed = info->seed;
    const enum err e =
        repair(out != NULL ? &made : NULL, v, info, d, like, what);

    if (made != like)
        rec_model_free(like);
    if (e != ERR_OK) {
        rec_model_free(made);
        unl_repair_free(what);
    } else if (out != NULL) {
        *out = made;
    }
    return e;
}

void unl_repair_free(struct unl_repair *what)
{
    json_decref(what->texts);
    what->texts = NULL;
    free(what->part);
    what->part = NULL;
}
