/* unlearn/mend.c - which models a removal touches, and their repair. */
#include "unlearn/mend.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/key.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/forget.h"
#include "unlearn/shards.h"

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory to repair models");
}

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct names {
    char (*name)[STO_NAME_BYTES];
    size_t n, room;
};

static enum err add_name(void *arg, const struct sto_model *m)
{
    struct names *l = arg;

    ERR_TRY(mem_grow(&l->name, &l->room, l->n + 1, sizeof(*l->name)));
    memcpy(l->name[l->n++], m->name, sizeof(m->name));
    return ERR_OK;
}

static void add_parts(json_t *out, const struct unl_repair *what)
{
    json_t *list = what->part != NULL ? json_array() : NULL;

    for (size_t i = 0; list != NULL && i < what->n_parts; i++)
        (void)json_array_append_new(list, json_integer(what->part[i]));
    if (list == NULL || out == NULL)
        return;
    (void)json_object_set_new(out, "adapters", list);
    (void)json_object_set_new(out, "of_adapters",
                              json_integer((json_int_t)what->of_parts));
}

/* With which stage each of the shards began. */
static void add_slices(json_t *out, const struct unl_repair *what)
{
    json_t *list = what->plan.slices > 1 ? json_array() : NULL;

    for (size_t i = 0; list != NULL && i < what->n; i++)
        (void)json_array_append_new(list, json_integer(what->began[i]));
    if (list == NULL || out == NULL)
        return;
    (void)json_object_set_new(out, "slices", list);
    (void)json_object_set_new(out, "of_slices",
                              json_integer((json_int_t)what->plan.slices));
}

static json_t *model_json(const struct sto_model *info,
                          const struct unl_repair *what, const char *after,
                          double seconds, bool pending)
{
    char before[2 * KEY_DIGEST_BYTES + 1];
    json_t *shards = json_array(), *out;

    key_hex(info->digest, KEY_DIGEST_BYTES, before);
    for (size_t i = 0; i < what->n; i++)
        (void)json_array_append_new(shards, json_integer(what->shard[i]));
    out = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:o, s:I, s:s, s:s, s:s, s:f, "
        "s:b}",
        "name", info->name, "model", info->model, "options", info->options,
        "seed", (json_int_t)info->seed, "of_shards", (json_int_t)info->shards,
        "partition", info->partition, "aggregate", info->aggregate, "shards",
        shards, "retrained", (json_int_t)what->n, "exactness",
        what->exact ? "exact" : "exact-given-partition", "digest_before",
        before, "digest", after, "seconds", seconds, "pending", pending);
    add_parts(out, what);
    add_slices(out, what);
    return out;
}

/* Which adapters a request touched, where the model has such. */
static enum err find_parts(struct sto_view *v, const struct sto_model *info,
                           const struct rec_model *made,
                           struct unl_repair *what)
{
    struct rec_model *old;

    ERR_TRY(rec_model_open(&old, v, info->name, NULL));
    (void)made->ops->touched(old, made, NULL, &what->of_parts);
    what->part = mem_array(what->of_parts, sizeof(*what->part));
    if (what->part != NULL)
        what->n_parts =
            made->ops->touched(old, made, what->part, &what->of_parts);
    rec_model_free(old);
    return what->part != NULL ? ERR_OK : no_memory();
}

/* Train again what must be, and save it; `entry` says what was done. */
static enum err repair_one(struct sto *st, struct sto_view **v,
                           const struct rec_data *d, uint64_t removals,
                           const char *name, json_t *entries)
{
    struct sto_model info = {0};
    struct rec_model *made = NULL;
    struct unl_repair what;
    char hex[2 * KEY_DIGEST_BYTES + 1] = "";
    const double start = now();
    enum err e = sto_model_get(*v, name, &info);

    if (e != ERR_OK)
        return e == ERR_NOTFOUND ? ERR_OK : e; /* removed meanwhile */
    e = unl_repair(&made, *v, &info, d, &what);
    if (e == ERR_OK && made != NULL && made->ops->touched != NULL) {
        e = find_parts(*v, &info, made, &what);
        if (e != ERR_OK)
            unl_repair_free(&what);
    }
    if (e == ERR_OK && what.changed) {
        struct sto_model fresh = {.removals = removals + 1,
                                  .trained_at = (int64_t)time(NULL),
                                  .seconds = now() - start};

        memcpy(fresh.name, info.name, sizeof(fresh.name));
        sto_view_close(*v); /* the map may have to grow */
        *v = NULL;
        e = made != NULL ? unl_save(made, &what.plan, d, st, &fresh)
                         : sto_model_remove(st, name);
        if (e == ERR_OK && made != NULL)
            key_hex(fresh.digest, KEY_DIGEST_BYTES, hex);
        if (e == ERR_OK)
            (void)json_array_append_new(
                entries, model_json(&info, &what, hex, now() - start, false));
        sto_model_free(&fresh);
        if (e == ERR_OK)
            e = sto_view_open(v, st);
    }
    if (e == ERR_OK)
        unl_repair_free(&what);
    rec_model_free(made);
    sto_model_free(&info);
    return e;
}

/* Which models would be (or wait to be) repaired. */
static enum err plan_one(struct sto_view *v, const struct rec_data *d,
                         const char *name, json_t *entries)
{
    struct sto_model info = {0};
    struct unl_repair what;

    ERR_TRY(sto_model_get(v, name, &info));
    const enum err e = unl_repair(NULL, v, &info, d, &what);

    if (e == ERR_OK && what.changed)
        (void)json_array_append_new(
            entries,
            model_json(&info, &what, "",
                       info.seconds * (double)what.n / (double)info.shards,
                       true));
    if (e == ERR_OK)
        unl_repair_free(&what);
    sto_model_free(&info);
    return e;
}

enum err unl_mend_plan(struct sto_view *v, const struct rec_data *d,
                       json_t *entries)
{
    struct names l = {0};
    enum err e = sto_each_model(v, add_name, &l);

    for (size_t i = 0; i < l.n && e == ERR_OK; i++)
        e = plan_one(v, d, l.name[i], entries);
    free(l.name);
    return e;
}

static json_t *entry_of(const json_t *entries, const char *name)
{
    for (size_t i = 0; i < json_array_size(entries); i++) {
        json_t *one = json_array_get(entries, i);
        const char *is = json_string_value(json_object_get(one, "name"));

        if (is != NULL && strcmp(is, name) == 0)
            return one;
    }
    return NULL;
}

static enum err put_journal(void *arg, struct sto_txn *t)
{
    return sto_journal_put(t, arg);
}

/*
 * Note in the journal which models are to be repaired, before the first is:
 * one that was repaired before a kill is found in order afterwards, and
 * belongs in the certificate all the same.
 */
static enum err note_plan(struct sto *st, struct sto_view **v,
                          const struct rec_data *d, json_t *journal)
{
    json_t *planned = json_array();
    char *text = NULL;
    enum err e = planned == NULL ? no_memory() : unl_mend_plan(*v, d, planned);

    if (e == ERR_OK && json_array_size(planned) > 0) {
        (void)json_object_set(journal, "planned", planned);
        text = json_dumps(journal, JSON_COMPACT);
        sto_view_close(*v); /* the map may have to grow */
        *v = NULL;
        e = text == NULL ? no_memory() : sto_write(st, put_journal, text);
        if (e == ERR_OK)
            e = sto_view_open(v, st);
    }
    json_decref(planned);
    free(text);
    return e;
}

/* One planned model that this run did not have to touch: as it is now. */
static enum err add_repaired(struct sto_view *v, const char *name,
                             const json_t *plan, json_t *entries)
{
    char hex[2 * KEY_DIGEST_BYTES + 1] = "";
    struct sto_model info = {0};
    json_t *one = json_deep_copy(plan);
    const enum err e = sto_model_get(v, name, &info);

    if (e == ERR_OK)
        key_hex(info.digest, KEY_DIGEST_BYTES, hex);
    if (one == NULL ||
        json_object_set_new(one, "digest", json_string(hex)) != 0 ||
        json_object_set_new(one, "seconds", json_real(info.seconds)) != 0 ||
        json_object_set_new(one, "pending", json_false()) != 0 ||
        json_array_append(entries, one) != 0) {
        json_decref(one);
        sto_model_free(&info);
        return no_memory();
    }
    json_decref(one);
    sto_model_free(&info);
    return e == ERR_NOTFOUND ? ERR_OK : e; /* no row was left to train on */
}

/* Complete the entries of this run by those of runs that did not end. */
static enum err add_earlier(struct sto_view *v, const json_t *planned,
                            json_t *entries)
{
    for (size_t i = 0; i < json_array_size(planned); i++) {
        const json_t *plan = json_array_get(planned, i);
        const char *name = json_string_value(json_object_get(plan, "name"));
        json_t *done = name != NULL ? entry_of(entries, name) : NULL;

        if (done != NULL)
            (void)json_object_set(done, "digest_before",
                                  json_object_get(plan, "digest_before"));
        else if (name != NULL)
            ERR_TRY(add_repaired(v, name, plan, entries));
    }
    return ERR_OK;
}

/* With the rows of now in d; *v is closed and opened again. */
static enum err mend(struct sto *st, struct sto_view **v,
                     const struct rec_data *d, uint64_t removals,
                     json_t *journal, json_t *entries)
{
    struct names l = {0};
    enum err e = json_object_get(journal, "planned") == NULL
                     ? note_plan(st, v, d, journal)
                     : ERR_OK;

    if (e == ERR_OK)
        e = sto_each_model(*v, add_name, &l);
    for (size_t i = 0; i < l.n && e == ERR_OK; i++) {
        e = repair_one(st, v, d, removals, l.name[i], entries);
        log_tick("repairing models", i + 1, l.n, NULL);
    }
    free(l.name);
    return e == ERR_OK
               ? add_earlier(*v, json_object_get(journal, "planned"), entries)
               : e;
}

enum err unl_mend_all(const char *dir, json_t *journal, json_t *entries)
{
    struct rec_data d = {0};
    struct sto_view *v = NULL;
    uint64_t removals = 0;
    struct sto *st;
    enum err e = sto_open(&st, dir, STO_WRITE);

    if (e != ERR_OK)
        return e;
    e = sto_view_open(&v, st);
    if (e == ERR_OK)
        e = sto_removals(v, &removals);
    if (e == ERR_OK)
        e = rec_data_load(&d, v);
    if (e == ERR_OK)
        e = journal == NULL ? unl_mend_plan(v, &d, entries)
                            : mend(st, &v, &d, removals, journal, entries);
    sto_view_close(v);
    rec_data_free(&d);
    sto_close(st);
    return e;
}
