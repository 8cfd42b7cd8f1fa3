/* lib/recd.c - the public functions, over the layers below. */
#include "lib/recd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/par.h"
#include "rec/metrics.h"
#include "rec/rank.h"
#include "store/import.h"
#include "unlearn/forget.h"
#include "unlearn/shards.h"

struct recd_store {
    struct sto *st; /* NULL while other code has the store open */
    char *dir;
    enum recd_mode mode;
};

struct recd_model {
    struct sto_view *v;
    struct rec_model *m;
};

static enum recd_status status(enum err e)
{
    switch (e) {
    case ERR_OK:
        return RECD_OK;
    case ERR_ARG:
        return RECD_USAGE;
    case ERR_NOTFOUND:
        return RECD_NOTFOUND;
    default:
        return RECD_FAILED;
    }
}

const char *recd_version(void)
{
    return PACKAGE_VERSION;
}

const char *recd_error(void)
{
    return err_note();
}

void recd_set_threads(size_t n)
{
    par_set_threads(n);
}

/* --- stores
 * ---------------------------------------------------------------------
 */

static enum err reopen(struct recd_store *s)
{
    return s->st != NULL
               ? ERR_OK
               : sto_open(&s->st, s->dir,
                          s->mode == RECD_READ ? STO_READ : STO_WRITE);
}

enum recd_status recd_store_open(struct recd_store **out, const char *dir,
                                 enum recd_mode mode)
{
    struct recd_store *s = mem_array(1, sizeof(*s));
    enum err e = ERR_OK;

    if (s == NULL || (s->dir = mem_text(dir)) == NULL)
        e = err_set(ERR_NOMEM, "no memory to open a store");
    if (e == ERR_OK) {
        s->mode = mode;
        e = reopen(s);
    }
    if (e == ERR_OK && mode == RECD_WRITE_ENCRYPTED)
        e = sto_encrypt(s->st);
    if (e != ERR_OK)
        recd_store_close(s);
    else
        *out = s;
    return status(e);
}

void recd_store_close(struct recd_store *s)
{
    if (s == NULL)
        return;
    sto_close(s->st);
    free(s->dir);
    free(s);
}

static enum err writable(const struct recd_store *s)
{
    return s->mode != RECD_READ
               ? ERR_OK
               : err_set(ERR_ARG,
                         "store %s was opened for reading: open it "
                         "with RECD_WRITE",
                         s->dir);
}

static enum err import(struct recd_store *s, const char *path,
                       const struct sto_import_opts *o,
                       struct sto_import_stats *stats)
{
    struct sto_import *im;

    ERR_TRY(writable(s));
    ERR_TRY(reopen(s));
    ERR_TRY(sto_import_new(&im, o));
    enum err e = sto_import_read(im, path);

    if (e == ERR_OK)
        e = sto_import_commit(im, s->st, stats);
    sto_import_free(im);
    return e;
}

enum recd_status recd_import(struct recd_store *s, const char *path,
                             const char *format, enum recd_split split,
                             struct recd_imported *out)
{
    struct sto_import_opts o = {.split =
                                    split == RECD_TEST ? STO_TEST : STO_TRAIN};
    struct sto_import_stats stats = {0};
    enum err e = format != NULL ? sto_format_parse(format, &o.format) : ERR_OK;

    if (e == ERR_OK)
        e = import(s, path, &o, &stats);
    if (e == ERR_OK && out != NULL)
        *out = (struct recd_imported){stats.read,       stats.stored,
                                      stats.duplicates, stats.skipped,
                                      stats.users,      stats.items};
    return status(e);
}

/* --- training
 * -------------------------------------------------------------------- */

static bool has_row(const struct opt *rows, const char *name)
{
    for (; rows != NULL && rows->name != NULL; rows++) {
        if (strcmp(rows->name, name) == 0)
            return true;
    }
    return false;
}

static enum err assign(struct rec_model *m, struct unl_plan *plan,
                       const char *const *options)
{
    opt_defaults(unl_plan_rows, plan);
    for (; options != NULL && options[0] != NULL; options += 2) {
        if (options[1] == NULL)
            return err_set(ERR_ARG, "option \"%s\" has no value", options[0]);
        if (strcmp(options[0], "seed") == 0)
            m->seed = strtoull(options[1], NULL, 10);
        else if (has_row(unl_plan_rows, options[0]))
            ERR_TRY(opt_assign(unl_plan_rows, plan, options[0], options[1]));
        else
            ERR_TRY(opt_assign(m->ops->opts, m->opts, options[0], options[1]));
    }
    return ERR_OK;
}

static enum err load(struct recd_store *s, struct rec_data *d,
                     struct sto_model *info)
{
    struct sto_view *v;
    uint64_t removals = 0;

    ERR_TRY(sto_view_open(&v, s->st));
    enum err e = sto_removals(v, &removals);

    if (e == ERR_OK)
        e = rec_data_load(d, v);
    info->removals = removals + 1;
    sto_view_close(v);
    return e;
}

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static enum err train(struct recd_store *s, struct rec_model *m,
                      const struct unl_plan *plan, struct sto_model *info)
{
    struct rec_train_result result;
    struct rec_model *made = NULL;
    struct rec_data d = {0};
    const double start = now();
    enum err e = load(s, &d, info);

    if (e == ERR_OK)
        e = unl_plan_secret(m, sto_dir(s->st));
    if (e == ERR_OK)
        e = unl_train(&made, m, plan, &d, NULL, &result);
    info->seconds = now() - start;
    info->trained_at = (int64_t)time(NULL);
    if (e == ERR_OK)
        e = unl_save(made, plan, &d, s->st, info);
    if (made != m)
        rec_model_free(made);
    rec_data_free(&d);
    return e;
}

enum recd_status recd_train(struct recd_store *s, const char *model,
                            const char *name, const char *const *options,
                            struct recd_trained *out)
{
    const struct rec_model_ops *ops;
    struct rec_model *m = NULL;
    struct sto_model info = {0};
    struct unl_plan plan;
    enum err e = writable(s);

    if (e == ERR_OK)
        e = reopen(s);
    if (e == ERR_OK)
        e = rec_model_find(model, &ops);
    if (e == ERR_OK)
        e = rec_model_new(&m, ops);
    if (e == ERR_OK)
        e = assign(m, &plan, options);
    if (e == ERR_OK) {
        (void)snprintf(info.name, sizeof(info.name), "%s",
                       name != NULL ? name : model);
        e = train(s, m, &plan, &info);
    }
    if (e == ERR_OK && out != NULL) {
        out->seconds = info.seconds;
        out->epochs = info.epochs;
        key_hex(info.digest, KEY_DIGEST_BYTES, out->digest);
    }
    sto_model_free(&info);
    rec_model_free(m);
    return status(e);
}

enum recd_status recd_remove(struct recd_store *s, const char *name)
{
    enum err e = writable(s);

    if (e == ERR_OK)
        e = reopen(s);
    return status(e == ERR_OK ? sto_model_remove(s->st, name) : e);
}

/* --- models
 * ------------------------------------------------------------------------ */

enum recd_status recd_model_open(struct recd_model **out, struct recd_store *s,
                                 const char *name)
{
    struct recd_model *m = mem_array(1, sizeof(*m));
    enum err e =
        m == NULL ? err_set(ERR_NOMEM, "no memory for a model") : reopen(s);

    if (e == ERR_OK)
        e = sto_view_open(&m->v, s->st);
    if (e == ERR_OK)
        e = unl_open(&m->m, m->v, name, NULL);
    if (e != ERR_OK)
        recd_model_close(m);
    else
        *out = m;
    return status(e);
}

void recd_model_close(struct recd_model *m)
{
    if (m == NULL)
        return;
    rec_model_free(m->m);
    sto_view_close(m->v);
    free(m);
}

static enum err evaluate(struct recd_model *m, size_t k,
                         struct rec_report *report)
{
    const struct rec_model *r = m->m;
    struct rec_data train_rows = {0}, test_rows = {0};
    enum err e = rec_data_load_in(&train_rows, m->v, STO_TRAIN, r->user_key,
                                  r->n_users, r->item_key, r->n_items);

    if (e == ERR_OK)
        e = rec_data_load_in(&test_rows, m->v, STO_TEST, r->user_key,
                             r->n_users, r->item_key, r->n_items);
    if (e == ERR_OK && test_rows.n_rows == 0)
        e = err_set(ERR_NOTFOUND, "the store holds no test rows");
    if (e == ERR_OK)
        e = rec_evaluate(r, &train_rows, &test_rows, &k, 1, report);
    rec_data_free(&train_rows);
    rec_data_free(&test_rows);
    return e;
}

enum recd_status recd_evaluate(struct recd_store *s, const char *name, size_t k,
                               struct recd_metrics *out)
{
    struct rec_report r;
    struct recd_model *m;
    enum recd_status opened;
    enum err e;

    if (k < 1 || k > 10000)
        return status(err_set(ERR_ARG, "k is %zu, and may be 1 to 10000", k));
    opened = recd_model_open(&m, s, name);
    if (opened != RECD_OK)
        return opened;
    e = evaluate(m, k, &r);
    recd_model_close(m);
    if (e == ERR_OK)
        *out = (struct recd_metrics){r.n_users,
                                     r.value[0][REC_RECALL],
                                     r.value[0][REC_NDCG],
                                     r.value[0][REC_HIT],
                                     r.value[0][REC_PRECISION],
                                     r.value[0][REC_MAP],
                                     r.value[0][REC_MRR],
                                     r.value[0][REC_COVERAGE]};
    return status(e);
}

/* A person's training rows in the model's numbers. */
static enum err history(const struct recd_model *m, uint64_t user,
                        struct mem_scratch *tmp, struct rec_query *q,
                        size_t ptr[2])
{
    struct sto_history h;

    ERR_TRY(sto_get_history(m->v, STO_TRAIN, user, &h));
    uint32_t *item = mem_take(tmp, h.n, 1, sizeof(*item));
    float *value = mem_take(tmp, h.n, 1, sizeof(*value));

    if (tmp->failed)
        return err_set(ERR_NOMEM, "no memory for a history");
    ptr[0] = ptr[1] = 0;
    for (size_t r = 0; r < h.n; r++) {
        const uint32_t i =
            rec_key_find(m->m->item_key, m->m->n_items, h.item[r]);

        if (i == REC_NOBODY)
            continue;
        value[ptr[1]] = h.value != NULL ? h.value[r] : 1;
        item[ptr[1]++] = i;
    }
    q->ptr = ptr;
    q->item = item;
    q->value = h.value != NULL ? value : NULL;
    return ERR_OK;
}

static enum err recommend(struct recd_model *m, const char *user, bool seen,
                          struct recd_item *list, size_t *n)
{
    struct mem_scratch tmp = {0};
    struct sto_entity who;
    uint32_t number;
    size_t ptr[2], got = 0;
    struct rec_query q = {.n = 1, .user = &number};

    ERR_TRY(sto_find_entity(m->v, STO_USERS, user, &who));
    number = rec_key_find(m->m->user_key, m->m->n_users, who.key);
    uint32_t *item = mem_take(&tmp, *n, 1, sizeof(*item));
    float *score = mem_take(&tmp, *n, 1, sizeof(*score));
    enum err e = tmp.failed ? err_set(ERR_NOMEM, "no memory for a list")
                            : history(m, who.key, &tmp, &q, ptr);

    if (e == ERR_OK)
        e = rec_rank(m->m, &q, *n, !seen, item, score);
    for (size_t r = 0; e == ERR_OK && r < *n && item[r] != REC_NOBODY; r++) {
        struct sto_entity one;

        e = sto_get_entity(m->v, STO_ITEMS, m->m->item_key[item[r]], &one);
        if (e == ERR_OK)
            list[got++] = (struct recd_item){one.id, score[r]};
    }
    mem_drop(&tmp);
    if (e == ERR_OK)
        *n = got;
    return e;
}

enum recd_status recd_recommend(struct recd_model *m, const char *user,
                                int include_seen, struct recd_item *list,
                                size_t *n)
{
    if (*n < 1 || *n > 10000)
        return status(
            err_set(ERR_ARG, "a list of %zu: 1 to 10000 are possible", *n));
    return status(recommend(m, user, include_seen != 0, list, n));
}

/* --- forgetting
 * ---------------------------------------------------------------------- */

enum recd_status recd_forget_users(struct recd_store *s,
                                   const char *const *users, size_t n,
                                   uint64_t *certificate)
{
    struct unl_request *r = mem_array(n, sizeof(*r));
    json_t *report = NULL;
    enum err e = writable(s);

    if (e == ERR_OK && r == NULL)
        e = err_set(ERR_NOMEM, "no memory for a forget request");
    for (size_t i = 0; i < n && e == ERR_OK; i++)
        r[i] = (struct unl_request){UNL_USER, users[i], NULL, 0};
    if (e == ERR_OK) { /* the work opens the store anew, more than once */
        sto_close(s->st);
        s->st = NULL;
        e = unl_forget(s->dir, r, n, false, false, &report);
    }
    if (e == ERR_OK && certificate != NULL)
        *certificate = (uint64_t)json_integer_value(
            json_object_get(report, "certificate"));
    json_decref(report);
    free(r);
    return status(e);
}
