/* unlearn/journal.c - what went, in the words of a journal. */
#include "unlearn/journal.h"

#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/restore.h"
#include "unlearn/forget.h"
#include "unlearn/shards.h"

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for a journal");
}

static json_t *removed_json(const struct sto_removed *done)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "users", (json_int_t)done->users,
                     "items", (json_int_t)done->items, "train",
                     (json_int_t)done->train, "test", (json_int_t)done->test);
}

static json_t *keys_json(const struct sto_removed *done)
{
    return json_pack("{s:I, s:I}", "keys_destroyed",
                     (json_int_t)done->keys_destroyed, "keys_renewed",
                     (json_int_t)done->keys_renewed);
}

enum err unl_journal_put(struct sto_txn *t, json_t *journal,
                         const struct sto_removed *done)
{
    struct sto_removed n = *done;
    const bool encrypted = sto_removed_keys(t, &n);

    if (json_object_set_new(journal, "removed", removed_json(&n)) != 0 ||
        (encrypted && json_object_set_new(journal, "keys", keys_json(&n)) != 0))
        return no_memory();
    char *text = json_dumps(journal, JSON_COMPACT);
    const enum err e = text == NULL ? no_memory() : sto_journal_put(t, text);

    free(text);
    return e;
}

void unl_journal_keys(const json_t *journal, json_t *to)
{
    json_t *keys = json_object_get(journal, "keys");

    if (keys != NULL && to != NULL)
        (void)json_object_update(to, keys);
}

/* --- a restored backup ----------------------------------------------------
 */

struct lost {
    struct sto_view *v;
    struct sto_model *model;
    size_t n, room;
};

static enum err add_lost(void *arg, const struct sto_model *m)
{
    struct lost *l = arg;

    if (!sto_weights_missing(l->v, m->name))
        return ERR_OK;
    ERR_TRY(mem_grow(&l->model, &l->room, l->n + 1, sizeof(*l->model)));
    ERR_TRY(sto_model_get(l->v, m->name, &l->model[l->n]));
    l->n++;
    return ERR_OK;
}

static enum err find_lost(const char *dir, struct lost *l)
{
    struct sto *st;

    ERR_TRY(sto_open(&st, dir, STO_READ));
    enum err e = sto_view_open(&l->v, st);

    if (e == ERR_OK) {
        e = sto_each_model(l->v, add_lost, l);
        sto_view_close(l->v);
    }
    sto_close(st);
    return e;
}

enum err unl_restore_models(const char *dir, const json_t *journal)
{
    struct lost l = {.n = 0};
    enum err e = json_object_get(journal, "restored") != NULL
                     ? find_lost(dir, &l)
                     : ERR_OK;

    for (size_t i = 0; i < l.n; i++) {
        if (e == ERR_OK) {
            log_info("model %s: its weights are not in the backup: training it "
                     "again",
                     l.model[i].name);
            e = unl_train_into(dir, &l.model[i]);
        }
        sto_model_free(&l.model[i]);
    }
    free(l.model);
    return e;
}

struct restored {
    json_t *journal;
    struct sto_removed n;
};

static enum err put_restored(void *arg, struct sto_txn *t)
{
    struct restored *r = arg;

    return unl_journal_put(t, r->journal, &r->n);
}

enum err unl_restore(const char *dir, json_t **report)
{
    struct restored r = {
        .journal = json_pack(
            "{s:[], s:[], s:b, s:I, s:b, s:s}", "requests", "search",
            "restored", true, "requested_at", (json_int_t)time(NULL),
            "deferred", false, "note",
            "a backup was put back: whoever had no key in the keystore any "
            "more was taken out")};
    bool whole;
    enum err e = r.journal == NULL ? no_memory() : ERR_OK;

    *report = NULL;
    if (e == ERR_OK)
        e = sto_restore(dir, &r.n, &whole, put_restored, &r);
    json_decref(r.journal);
    return e == ERR_OK ? unl_forget_finish(dir, true, report) : e;
}
