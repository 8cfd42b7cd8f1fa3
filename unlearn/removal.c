/* unlearn/removal.c - the first step of a forget request: rows and ids go. */
#include "unlearn/removal.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/key.h"
#include "store/forget.h"
#include "unlearn/journal.h"

static enum err not_known(const struct unl_request *r)
{
    if (r->line == 0)
        return ERR_NOTFOUND; /* the sentence is there */
    char why[400];

    (void)snprintf(why, sizeof(why), "%s", err_note());
    return err_set(ERR_NOTFOUND, "line %zu: %s (nothing was forgotten)",
                   r->line, why);
}

static enum err find(struct sto_view *v, enum sto_kind kind, const char *id,
                     uint64_t *key)
{
    struct sto_entity e;

    if (id == NULL)
        return ERR_OK;
    ERR_TRY(sto_find_entity(v, kind, id, &e));
    *key = e.key;
    return ERR_OK;
}

enum err unl_removal_find(struct unl_removal *m, struct sto_view *v)
{
    for (size_t i = 0; i < m->n; i++) {
        enum err e = find(v, STO_USERS, m->r[i].user, &m->key[i][0]);

        if (e == ERR_OK)
            e = find(v, STO_ITEMS, m->r[i].item, &m->key[i][1]);
        if (e != ERR_OK)
            return e == ERR_NOTFOUND ? not_known(&m->r[i]) : e;
    }
    return ERR_OK;
}

static bool asked_before(const struct unl_removal *m, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (m->r[k].what == m->r[i].what && m->key[k][0] == m->key[i][0] &&
            m->key[k][1] == m->key[i][1])
            return true;
    }
    return false;
}

/* Whether an earlier request of the batch takes this row along. */
static bool row_is_gone(const struct unl_removal *m, size_t i)
{
    for (size_t k = 0; k < m->n; k++) {
        if ((m->r[k].what == UNL_USER && m->key[k][0] == m->key[i][0]) ||
            (m->r[k].what == UNL_ITEM && m->key[k][1] == m->key[i][1]))
            return true;
    }
    return false;
}

static enum err drop_one(const struct unl_removal *m, size_t i,
                         struct sto_txn *t, struct sto_removed *done)
{
    switch (m->r[i].what) {
    case UNL_USER:
        return sto_drop_user(t, m->key[i][0], done);
    case UNL_ITEM:
        return sto_drop_item(t, m->key[i][1], done);
    case UNL_INTERACTION:
        break;
    }
    return row_is_gone(m, i)
               ? ERR_OK
               : sto_drop_interaction(t, m->key[i][0], m->key[i][1], done);
}

/* Runs again from the start when the map had to grow. */
static enum err remove_rows(void *arg, struct sto_txn *t)
{
    struct unl_removal *m = arg;
    struct sto_removed done = {0};
    enum err e = ERR_OK;

    /* single rows first: later a whole person or item may take them along */
    for (int pass = 0; pass < 2 && e == ERR_OK; pass++) {
        for (size_t i = 0; i < m->n && e == ERR_OK; i++) {
            if ((m->r[i].what == UNL_INTERACTION) != (pass == 0) ||
                asked_before(m, i))
                continue;
            e = drop_one(m, i, t, &done);
            /* the last row of an unlisted item took the item along */
            if (e == ERR_NOTFOUND && m->r[i].what == UNL_ITEM && i > 0)
                e = ERR_OK;
            if (e == ERR_NOTFOUND)
                e = not_known(&m->r[i]);
        }
    }
    if (e != ERR_OK)
        return e;
    m->done = done;
    e = unl_journal_put(t, m->journal, &done);
    return e == ERR_OK ? sto_removals_add(t) : e;
}

static json_t *request_json(const struct unl_keys *k,
                            const struct unl_request *r)
{
    static const char *const kind[] = {"user", "interaction", "item"};
    char person[UNL_PSEUDONYM_HEX] = "", item[UNL_PSEUDONYM_HEX] = "";
    json_t *j = json_pack("{s:s}", "kind", kind[r->what]);

    if (r->user != NULL) {
        unl_keys_pseudonym(k, "user", r->user, person);
        (void)json_object_set_new(j, "person", json_string(person));
    }
    if (r->item != NULL) {
        unl_keys_pseudonym(k, "item", r->item, item);
        (void)json_object_set_new(j, "item", json_string(item));
    }
    return j;
}

/* A key to search the files for afterwards: not where an item (or a person)
 * of the same id stays, for whom the same bytes stand. */
static void add_search(json_t *list, struct sto_view *v, enum sto_kind other,
                       uint64_t key)
{
    struct sto_entity e;
    unsigned char bytes[8];
    char hex[17];

    if (sto_get_entity(v, other, key, &e) == ERR_OK)
        return;
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(key >> (56 - 8 * i));
    key_hex(bytes, sizeof(bytes), hex);
    (void)json_array_append_new(list, json_string(hex));
}

json_t *unl_removal_journal(const struct unl_removal *m, struct sto_view *v,
                            const struct unl_keys *k, bool defer)
{
    json_t *requests = json_array(), *search = json_array();

    for (size_t i = 0; i < m->n; i++) {
        if (asked_before(m, i))
            continue;
        (void)json_array_append_new(requests, request_json(k, &m->r[i]));
        if (m->r[i].what == UNL_USER)
            add_search(search, v, STO_ITEMS, m->key[i][0]);
        if (m->r[i].what == UNL_ITEM)
            add_search(search, v, STO_USERS, m->key[i][1]);
    }
    return json_pack("{s:o, s:o, s:I, s:b}", "requests", requests, "search",
                     search, "requested_at", (json_int_t)time(NULL), "deferred",
                     defer);
}

bool unl_removal_asks(const struct unl_removal *m, uint64_t user, uint64_t item)
{
    for (size_t i = 0; i < m->n; i++) {
        const enum unl_what w = m->r[i].what;

        if ((w == UNL_ITEM || m->key[i][0] == user) &&
            (w == UNL_USER || m->key[i][1] == item))
            return true;
    }
    return false;
}

enum err unl_removal_commit(struct unl_removal *m, struct sto *st)
{
    return sto_write(st, remove_rows, m);
}
