/* unlearn/shards.c - shards: training and repairing. */
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
#include "unlearn/shards_job.h"

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for the shards of a model");
}

/* --- training shards -------------------------------------------------------
 */

/* In stages; m == NULL: only find out with which one to begin. */
static enum err train_slices(struct unl_job *j, size_t s, struct rec_model *m,
                             const struct rec_data *rows)
{
    const size_t n = (size_t)j->plan->slices;
    const uint64_t seed = unl_plan_partition_seed(j->plan, j->like->seed);
    struct unl_shard *out = &j->shard[s];

    unl_slices_free(&out->is);
    unl_slices_free(&out->was);
    if (j->model != NULL)
        ERR_TRY(unl_slices_open(&out->was, j->model, s, n));
    return unl_slices_train(&out->is, m, rows, n, seed,
                            j->model != NULL ? &out->was : NULL);
}

static enum err train_rows(struct unl_job *j, size_t s,
                           const struct rec_data *rows)
{
    struct rec_train_result result;
    struct rec_model *m;

    ERR_TRY(rec_model_new(&m, j->like->ops));
    j->shard[s].fresh = m;
    memcpy(m->opts, j->like->opts, m->ops->opts_bytes);
    m->seed = rng_derive(j->like->seed, RNG_SHARD, s + 1);
    memcpy(m->secret, j->like->secret, sizeof(m->secret));
    return j->plan->slices > 1 ? train_slices(j, s, m, rows)
                               : rec_train(m, rows, &j->plan->train, &result);
}

static enum err train_shard(struct unl_job *j, size_t s)
{
    struct unl_shard *out = &j->shard[s];
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
        if (!j->moved && j->before != NULL && s < j->before->n &&
            memcmp(out->rows, j->digest + s * KEY_DIGEST_BYTES,
                   KEY_DIGEST_BYTES) == 0)
            out->kept = j->before->shard[s];
        else if (!j->ask)
            e = train_rows(j, s, &rows);
        if (e == ERR_OK && j->plan->slices > 1 && out->is.n == 0)
            e = train_slices(j, s, NULL, &rows);
    }
    rec_data_free(&rows);
    return e;
}

/* An error's sentence stays on the thread where it happened: carry it over. */
static void shard_task(void *arg, size_t s, size_t thread)
{
    struct unl_job *j = arg;
    struct unl_shard *out = &j->shard[s];

    (void)thread;
    log_quiet_thread(j->n > 1);
    out->e = train_shard(j, s);
    log_quiet_thread(false);
    if (out->e != ERR_OK)
        (void)snprintf(out->note, sizeof(out->note), "%s", err_note());
}

static void todo_task(void *arg, size_t i, size_t thread)
{
    struct unl_job *j = arg;

    shard_task(j, j->todo[i], thread);
}

/* Which shards are to be trained: all, or in a repair those with other rows. */
static size_t find_todo(struct unl_job *j)
{
    static const unsigned char none[KEY_DIGEST_BYTES];
    const bool ask = j->ask;
    size_t n = 0;

    j->ask = true;
    if (j->before != NULL)
        par_for(j->n, shard_task, j);
    j->ask = ask;
    for (size_t s = 0; s < j->n && !ask; s++) {
        const struct unl_shard *x = &j->shard[s];

        if (j->before == NULL || (x->e == ERR_OK && x->kept == NULL &&
                                  memcmp(x->rows, none, sizeof(none)) != 0))
            j->todo[n++] = s;
    }
    return n;
}

/* A few shards are trained one after the other, each by all threads. */
static enum err train_shards(struct unl_job *j)
{
    const size_t n = find_todo(j);

    for (size_t i = 0; n < par_threads() && i < n; i++)
        todo_task(j, i, 0);
    if (n >= par_threads())
        par_for(n, todo_task, j);
    for (size_t s = 0; s < j->n; s++) {
        if (j->shard[s].e != ERR_OK)
            return err_set(j->shard[s].e, "shard %zu: %s", s, j->shard[s].note);
    }
    return ERR_OK;
}

static void job_free(struct unl_job *j)
{
    for (size_t s = 0; s < j->n && j->shard != NULL; s++) {
        rec_model_free(j->shard[s].fresh);
        unl_slices_free(&j->shard[s].was);
        unl_slices_free(&j->shard[s].is);
    }
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

static enum err run_job(struct unl_job *j, struct rec_model **out)
{
    j->shard = mem_array(j->n, sizeof(*j->shard));
    if (j->shard == NULL)
        return no_memory();
    ERR_TRY(train_shards(j));
    return out != NULL ? unl_job_pack(j, out) : ERR_OK;
}

enum err unl_train(struct rec_model **out, struct rec_model *like,
                   const struct unl_plan *plan, const struct rec_data *d,
                   const uint8_t *assign, struct rec_train_result *result)
{
    struct unl_job j = {.like = like,
                        .plan = plan,
                        .d = d,
                        .assign = assign,
                        .n = (size_t)plan->shards};
    uint8_t *own = NULL;
    enum err e = ERR_OK;

    *result = (struct rec_train_result){0, 0};
    ERR_TRY(unl_slices_check(plan, like->ops));
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

static void report_shards(const struct unl_job *j, struct unl_repair *what)
{
    static const unsigned char none[KEY_DIGEST_BYTES];

    what->n = 0;
    for (size_t s = 0; s < j->n; s++) {
        const bool filled = memcmp(j->shard[s].rows, none, sizeof(none)) != 0;
        const bool was = j->before->shard[s] != NULL;

        /* a shard that lost its last row changes too, at no cost */
        if ((filled && j->shard[s].kept == NULL) || (!filled && was)) {
            what->began[what->n] = (uint8_t)j->shard[s].is.began;
            what->shard[what->n++] = (uint8_t)s;
        }
    }
}

static enum err repair_parts(struct rec_model **out, struct rec_model *m,
                             struct rec_model *like, const struct rec_data *d,
                             struct unl_repair *what)
{
    const struct unl_parts *p = m->parts;
    struct unl_job j = {.like = like,
                        .plan = &what->plan,
                        .d = d,
                        .before = p,
                        .model = m,
                        .digest = rec_model_array(m, "rows"),
                        .ask = out == NULL,
                        .moved = what->moved,
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

/* Bits are those of the device that makes them: shards of two devices would be
 * a model that no training gives. */
static bool is_moved(const struct rec_model_ops *ops,
                     const struct sto_model *info)
{
    char word[DEVICE_WORD];

    rec_model_device(ops, word);
    return strcmp(word, info->device[0] != '\0' ? info->device : "cpu") != 0;
}

static void say_moved(const struct sto_model *info, const struct rec_model *m)
{
    char word[DEVICE_WORD];

    rec_model_device(m->ops, word);
    log_info("model %s was trained on \"%s\": all of it is trained again, on "
             "\"%s\"",
             info->name, info->device[0] != '\0' ? info->device : "cpu", word);
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
    what->moved = is_moved(like->ops, info);
    what->exact = what->plan.shards == 1 ||
                  unl_partition_find(what->plan.partition)->exact;
    rec_data_digest(d, rows);
    what->changed =
        info->state != STO_WHOLE || memcmp(rows, info->rows, sizeof(rows)) != 0;
    if (!what->changed || d->n_rows == 0)
        return ERR_OK;
    ERR_TRY(unl_slices_check(&what->plan, like->ops));
    if (what->moved && out != NULL)
        say_moved(info, like);
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
