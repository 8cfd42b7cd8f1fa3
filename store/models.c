/*
 * store/models.c - what the store says of a model; its weights lie in a file of
 * their own (store/weights.c), named by the record.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/opt.h"
#include "store/env.h"

void sto_model_free(struct sto_model *m)
{
    free(m->options);
    free(m->training);
    m->options = m->training = NULL;
}

/* --- the file ---------------------------------------------------------------
 */

static char *record_text(const struct sto_model *m, const char *file)
{
    char hex[2 * KEY_DIGEST_BYTES + 1], rows[2 * KEY_DIGEST_BYTES + 1];
    char *text;

    key_hex(m->digest, KEY_DIGEST_BYTES, hex);
    key_hex(m->rows, KEY_DIGEST_BYTES, rows);
    json_t *j = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:I, s:f, s:s, "
        "s:s}",
        "training", m->training != NULL ? m->training : "{}", "rows", rows,
        "name", m->name, "model", m->model, "options",
        m->options != NULL ? m->options : "{}", "seed", (json_int_t)m->seed,
        "epochs", (json_int_t)m->epochs, "shards", (json_int_t)m->shards,
        "partition", m->partition, "aggregate", m->aggregate, "trained_at",
        (json_int_t)m->trained_at, "seconds", m->seconds, "digest", hex, "file",
        file);

    if (j == NULL)
        return NULL;
    if (m->device[0] != '\0' && strcmp(m->device, "cpu") != 0)
        (void)json_object_set_new(j, "device", json_string(m->device));
    text = json_dumps(j, JSON_COMPACT);
    json_decref(j);
    return text;
}

static bool unhex(const char *hex, unsigned char *out, size_t n)
{
    if (strlen(hex) != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        const char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        char *end;

        out[i] = (unsigned char)strtoul(pair, &end, 16);
        if (*end != '\0')
            return false;
    }
    return true;
}

static void copy_word(char *to, const char *from)
{
    (void)snprintf(to, STO_NAME_BYTES, "%s", from);
}

/* A file name that stays inside the models folder. */
static bool plain_file(const char *file)
{
    return file[0] != '\0' && file[0] != '.' && strchr(file, '/') == NULL &&
           strlen(file) < 200;
}

static enum err record_parse(const MDB_val *val, struct sto_model *m,
                             char file[256])
{
    const char *name, *model, *options, *part, *agg, *hex, *where, *run, *rows;
    const char *device = "cpu";
    json_int_t seed, epochs, shards, at;
    double seconds;
    json_t *j = json_loadb(val->mv_data, val->mv_size, 0, NULL);
    enum err e = ERR_OK;

    if (json_unpack(j,
                    "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:I, "
                    "s:F, s:s, s:s, s?s}",
                    "training", &run, "rows", &rows, "name", &name, "model",
                    &model, "options", &options, "seed", &seed, "epochs",
                    &epochs, "shards", &shards, "partition", &part, "aggregate",
                    &agg, "trained_at", &at, "seconds", &seconds, "digest",
                    &hex, "file", &where, "device", &device) != 0 ||
        !unhex(hex, m->digest, KEY_DIGEST_BYTES) ||
        !unhex(rows, m->rows, KEY_DIGEST_BYTES) || !plain_file(where)) {
        e = err_set(ERR_FORMAT, "the store holds a damaged model record");
    } else {
        copy_word(m->name, name);
        copy_word(m->model, model);
        copy_word(m->partition, part);
        copy_word(m->aggregate, agg);
        copy_word(m->device, device);
        m->seed = (uint64_t)seed;
        m->epochs = (uint64_t)epochs;
        m->shards = (uint64_t)shards;
        m->trained_at = at;
        m->seconds = seconds;
        (void)snprintf(file, 256, "%s", where);
        m->training = mem_text(run);
        if ((m->options = mem_text(options)) == NULL || m->training == NULL)
            e = err_set(ERR_NOMEM, "no memory for a model record");
    }
    json_decref(j);
    return e;
}

static int get_record(MDB_txn *txn, const struct sto *st, const char *name,
                      MDB_val *val)
{
    MDB_val key = {strlen(name), (void *)(uintptr_t)name};

    return mdb_get(txn, st->dbi[STO_DB_MODELS], &key, val);
}

/* --- writing
 * ------------------------------------------------------------------ */

struct put_job {
    const struct sto_model *m;
    const struct sto_array *a;
    size_t n;
    char file[256], old[256];
};

static void old_file(struct sto_txn *t, const char *name, char old[256])
{
    struct sto_model m = {0};
    MDB_val val;

    old[0] = '\0';
    if (get_record(t->txn, t->st, name, &val) == 0 &&
        record_parse(&val, &m, old) != ERR_OK)
        old[0] = '\0';
    sto_model_free(&m);
}

/* --- removals: a counter in the table "meta" ---------------------------------
 */

static enum err read_removals(MDB_txn *txn, const struct sto *st, uint64_t *out)
{
    MDB_val key = {8, (void *)(uintptr_t) "removals"}, val;
    const int rc = mdb_get(txn, st->dbi[STO_DB_META], &key, &val);

    *out = 0;
    if (rc == MDB_NOTFOUND)
        return ERR_OK;
    if (rc == 0 && val.mv_size == sizeof(*out))
        memcpy(out, val.mv_data, sizeof(*out));
    return sto_lmdb(rc, st, "reading the count of removals");
}

enum err sto_removals(struct sto_view *v, uint64_t *out)
{
    return read_removals(v->txn, v->st, out);
}

enum err sto_removals_add(struct sto_txn *t)
{
    uint64_t n = 0;
    MDB_val key = {8, (void *)(uintptr_t) "removals"}, val = {sizeof(n), &n};

    ERR_TRY(read_removals(t->txn, t->st, &n));
    n++;
    return sto_lmdb(mdb_put(t->txn, t->st->dbi[STO_DB_META], &key, &val, 0),
                    t->st, "counting a removal");
}

static enum err check_removals(struct sto_txn *t, const struct sto_model *m)
{
    uint64_t now = 0;

    if (m->removals == 0)
        return ERR_OK;
    ERR_TRY(read_removals(t->txn, t->st, &now));
    if (now + 1 == m->removals)
        return ERR_OK;
    return err_set(ERR_STALE,
                   "rows were removed from the store while model %s was "
                   "trained on them: train it again",
                   m->name);
}

static enum err put_model(void *arg, struct sto_txn *t)
{
    struct put_job *job = arg;
    MDB_val key = {strlen(job->m->name), (void *)(uintptr_t)job->m->name};

    ERR_TRY(check_removals(t, job->m));
    old_file(t, job->m->name, job->old);
    ERR_TRY(sto_weights_write(t->st, job->file, job->a, job->n));
    char *text = record_text(job->m, job->file);

    if (text == NULL)
        return err_set(ERR_NOMEM, "no memory for a model record");
    MDB_val val = {strlen(text), text};
    const enum err e =
        sto_lmdb(mdb_put(t->txn, t->st->dbi[STO_DB_MODELS], &key, &val, 0),
                 t->st, "writing a model");
    free(text);
    return e;
}

static enum err check_name(const char *name)
{
    for (const char *p = name; *p != '\0'; p++)
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                   "0123456789-_.",
                   *p) == NULL)
            return err_set(ERR_ARG,
                           "model name \"%s\": only letters, digits, '-', "
                           "'_' and '.' are allowed",
                           name);
    if (name[0] == '\0' || name[0] == '.')
        return err_set(ERR_ARG, "a model needs a name that does not begin "
                                "with a dot");
    return ERR_OK;
}

enum err sto_model_put(struct sto *st, const struct sto_model *m,
                       const struct sto_array *a, size_t n)
{
    struct put_job job = {.m = m, .a = a, .n = n};
    char hex[2 * KEY_DIGEST_BYTES + 1];

    ERR_TRY(check_name(m->name));
    key_hex(m->digest, KEY_DIGEST_BYTES, hex);
    (void)snprintf(job.file, sizeof(job.file), "%s-%.16s.w", m->name, hex);
    ERR_TRY(sto_write(st, put_model, &job));
    if (job.old[0] != '\0' && strcmp(job.old, job.file) != 0)
        sto_weights_drop(st, job.old);
    return ERR_OK;
}

static enum err remove_model(void *arg, struct sto_txn *t)
{
    struct put_job *job = arg;
    MDB_val key = {strlen(job->m->name), (void *)(uintptr_t)job->m->name};

    old_file(t, job->m->name, job->old);
    return sto_lmdb(mdb_del(t->txn, t->st->dbi[STO_DB_MODELS], &key, NULL),
                    t->st, "removing a model");
}

enum err sto_model_remove(struct sto *st, const char *name)
{
    struct sto_model m = {0};
    struct put_job job = {.m = &m};
    struct sto_view *v;

    ERR_TRY(sto_view_open(&v, st));
    struct sto_model known = {0};
    const enum err e = sto_model_get(v, name, &known);

    sto_model_free(&known);
    sto_view_close(v);
    if (e != ERR_OK)
        return e;
    copy_word(m.name, name);
    ERR_TRY(sto_write(st, remove_model, &job));
    if (job.old[0] != '\0')
        sto_weights_drop(st, job.old);
    return ERR_OK;
}

/* --- reading
 * ------------------------------------------------------------------ */

struct names {
    const char *word[64];
    char text[64][STO_NAME_BYTES];
    size_t n;
};

static enum err add_name(void *arg, const struct sto_model *m)
{
    struct names *list = arg;

    if (list->n < 63) {
        copy_word(list->text[list->n], m->name);
        list->word[list->n] = list->text[list->n];
        list->n++;
    }
    return ERR_OK;
}

static enum err no_such_model(struct sto_view *v, const char *name)
{
    struct names list = {.n = 0};

    ERR_TRY(sto_each_model(v, add_name, &list));
    const char *near = opt_nearest(name, list.word);

    if (near != NULL)
        return err_set(ERR_NOTFOUND,
                       "the store holds no model \"%s\" (did you mean "
                       "\"%s\"?)",
                       name, near);
    return err_set(ERR_NOTFOUND,
                   "the store holds no model \"%s\" (`recd info` lists them)",
                   name);
}

enum err sto_model_find(struct sto_view *v, const char *name,
                        struct sto_model *out, char file[256])
{
    MDB_val val;
    const int rc =
        name[0] == '\0' ? MDB_NOTFOUND : get_record(v->txn, v->st, name, &val);

    if (rc == MDB_NOTFOUND || rc == MDB_BAD_VALSIZE)
        return no_such_model(v, name);
    ERR_TRY(sto_lmdb(rc, v->st, "reading a model"));
    ERR_TRY(record_parse(&val, out, file));
    out->state = sto_weights_state(v->st, file);
    return ERR_OK;
}

enum err sto_model_get(struct sto_view *v, const char *name,
                       struct sto_model *out)
{
    struct sto_model m = {0};
    char file[256];

    ERR_TRY(sto_model_find(v, name, &m, file));
    *out = m;
    return ERR_OK;
}

enum err sto_each_model(struct sto_view *v,
                        enum err (*fn)(void *arg, const struct sto_model *m),
                        void *arg)
{
    MDB_cursor *cur;
    MDB_val key, val;
    enum err e =
        sto_lmdb(mdb_cursor_open(v->txn, v->st->dbi[STO_DB_MODELS], &cur),
                 v->st, "reading models");

    if (e != ERR_OK)
        return e;
    int rc = mdb_cursor_get(cur, &key, &val, MDB_FIRST);

    while (rc == 0 && e == ERR_OK) {
        struct sto_model m = {0};
        char file[256];

        if ((e = record_parse(&val, &m, file)) == ERR_OK) {
            m.state = sto_weights_state(v->st, file);
            e = fn(arg, &m);
        }
        sto_model_free(&m);
        if (e == ERR_OK)
            rc = mdb_cursor_get(cur, &key, &val, MDB_NEXT);
    }
    mdb_cursor_close(cur);
    if (e != ERR_OK || rc == MDB_NOTFOUND)
        return e;
    return sto_lmdb(rc, v->st, "reading models");
}

bool sto_model_names_file(struct sto_txn *t, const char *file)
{
    struct sto_view v = {.st = t->st, .txn = t->txn};
    MDB_cursor *cur;
    MDB_val key, val;
    bool named = false;

    if (mdb_cursor_open(v.txn, t->st->dbi[STO_DB_MODELS], &cur) != 0)
        return true;
    for (int rc = mdb_cursor_get(cur, &key, &val, MDB_FIRST); rc == 0 && !named;
         rc = mdb_cursor_get(cur, &key, &val, MDB_NEXT)) {
        struct sto_model m = {0};
        char have[256] = "";

        named =
            record_parse(&val, &m, have) != ERR_OK || strcmp(have, file) == 0;
        sto_model_free(&m);
    }
    mdb_cursor_close(cur);
    return named;
}
