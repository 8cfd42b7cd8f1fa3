/*
 * rec/data_load.c - from histories in the store to matrices.
 *
 * Two passes over the histories: the first counts and looks items up (4 bytes
 * a row are kept of it), the second fills.  Attributes and who is public
 * come last.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/mem.h"
#include "rec/data.h"

static enum err load_nomem(size_t rows)
{
    return err_set(ERR_NOMEM, "no memory for %zu interactions", rows);
}

/* Attributes that were read. */
struct traits {
    uint64_t *key;
    size_t n, room;
};

struct load {
    struct rec_data d;
    bool fixed;     /* the universe of people is given */
    bool has_value; /* some value is not 1 */
    bool has_time;
    bool any_lost;
    size_t at_user, at_row; /* second pass */
    uint64_t *key;          /* [n_known] items known to the store */
    uint32_t *place;        /* [n_known] 1 = in use, later the item's number */
    size_t n_known, room;
    uint32_t *met; /* [rows] of the first pass: each row's place in key[] */
    size_t n_met, met_room, next_met;
    bool any_traits, any_groups;
    size_t at_item, at_person; /* third pass */
    struct traits trait, group;
};

static enum err load_item(void *arg, const struct sto_entity *e)
{
    struct load *l = arg;
    size_t room = l->room;

    ERR_TRY(mem_grow(&l->key, &room, l->n_known + 1, sizeof(*l->key)));
    ERR_TRY(mem_grow(&l->place, &l->room, l->n_known + 1, sizeof(*l->place)));
    l->key[l->n_known] = e->key;
    l->place[l->n_known++] = e->listed;
    l->any_traits = l->any_traits || e->attributes[0] != '\0';
    return ERR_OK;
}

static bool load_values_matter(const struct sto_history *h)
{
    for (size_t r = 0; h->value != NULL && r < h->n; r++) {
        if (h->value[r] != 1.0f)
            return true;
    }
    return false;
}

static enum err count_history(void *arg, const struct sto_history *h)
{
    struct load *l = arg;

    if (l->fixed) {
        if (rec_key_find(l->d.user_key, l->d.n_users, h->user) == REC_NOBODY)
            return ERR_OK;
    } else {
        l->d.n_users += h->n > 0;
    }
    l->has_value = l->has_value || load_values_matter(h);
    l->has_time = l->has_time || h->time != NULL;
    l->d.n_rows += h->n;
    if (!l->fixed)
        ERR_TRY(
            mem_grow(&l->met, &l->met_room, l->n_met + h->n, sizeof(*l->met)));
    for (size_t r = 0; l->place != NULL && r < h->n; r++) {
        const uint32_t i = rec_key_find(l->key, l->n_known, h->item[r]);

        if (i == REC_NOBODY)
            return err_set(ERR_FORMAT, "the store holds a row whose item it "
                                       "does not know: import it again");
        l->place[i] = 1;
        l->met[l->n_met++] = i;
    }
    return ERR_OK;
}

static void fill_row(struct load *l, const struct sto_history *h, size_t r,
                     uint32_t item)
{
    const size_t at = l->at_row++;

    l->d.item[at] = item;
    if (l->d.value != NULL)
        l->d.value[at] = h->value == NULL ? 1.0f : h->value[r];
    if (l->d.time != NULL)
        l->d.time[at] = h->time == NULL ? INT64_MIN : h->time[r];
}

static enum err fill_history(void *arg, const struct sto_history *h)
{
    struct load *l = arg;
    size_t u = l->at_user;

    if (h->n == 0)
        return ERR_OK;
    if (l->fixed) {
        u = rec_key_find(l->d.user_key, l->d.n_users, h->user);
        if (u == REC_NOBODY)
            return ERR_OK;
    } else {
        l->d.user_key[u] = h->user;
    }
    for (; l->at_user < u; l->at_user++) /* people without rows */
        l->d.user_ptr[l->at_user + 1] = l->at_row;
    for (size_t r = 0; r < h->n; r++) {
        /* what the first pass found is not looked for again */
        const uint32_t i =
            l->fixed ? rec_key_find(l->d.item_key, l->d.n_items, h->item[r])
                     : l->place[l->met[l->next_met++]];

        if (i != REC_NOBODY)
            fill_row(l, h, r, i);
        else
            l->d.lost[u]++, l->any_lost = true;
    }
    l->d.user_ptr[++l->at_user] = l->at_row;
    return ERR_OK;
}

/* Room for what the first pass counted; keys are there when fixed. */
static enum err load_room(struct load *l)
{
    struct rec_data *d = &l->d;

    if (d->n_users >= REC_NOBODY || d->n_items >= REC_NOBODY)
        return err_set(ERR_ARG, "more people or items than 2^32 - 2");
    if (d->user_key == NULL)
        d->user_key = mem_array(d->n_users, sizeof(*d->user_key));
    d->user_ptr = mem_array(d->n_users + 1, sizeof(*d->user_ptr));
    d->item = mem_array(d->n_rows, sizeof(*d->item));
    d->lost = mem_array(d->n_users, sizeof(*d->lost));
    if (l->has_value)
        d->value = mem_array(d->n_rows, sizeof(*d->value));
    if (l->has_time)
        d->time = mem_array(d->n_rows, sizeof(*d->time));
    if (d->user_key == NULL || d->user_ptr == NULL || d->item == NULL ||
        d->lost == NULL || (l->has_value && d->value == NULL) ||
        (l->has_time && d->time == NULL))
        return load_nomem(d->n_rows);
    return ERR_OK;
}

static enum err load_fill(struct load *l, struct sto_view *v,
                          enum sto_split split)
{
    ERR_TRY(load_room(l));
    ERR_TRY(sto_each_history(v, split, fill_history, l));
    for (; l->at_user < l->d.n_users; l->at_user++)
        l->d.user_ptr[l->at_user + 1] = l->at_row;
    l->d.n_rows = l->at_row;
    if (!l->any_lost) {
        free(l->d.lost);
        l->d.lost = NULL;
    }
    return ERR_OK;
}

/* The items in use, in the order of the store: that of keys. */
static enum err load_universe(struct load *l)
{
    for (size_t i = 0; i < l->n_known; i++)
        l->d.n_items += l->place[i];
    l->d.item_key = mem_array(l->d.n_items, sizeof(*l->d.item_key));
    if (l->d.item_key == NULL)
        return load_nomem(l->d.n_rows);
    for (size_t i = 0, n = 0; i < l->n_known; i++) {
        if (!l->place[i])
            continue;
        l->d.item_key[n] = l->key[i];
        l->place[i] = (uint32_t)n++; /* now the item's number */
    }
    return ERR_OK;
}

/* --- attributes and public people ------------------------------------------
 */

/* An attribute's name is its value's too: "genres=Drama". */
static enum err add_trait(struct traits *t, const char *name,
                          const json_t *value)
{
    const char *text = json_string_value(value);
    const size_t n = strlen(name), m = text != NULL ? strlen(text) : 0;

    if (m == 0)
        return ERR_OK;
    char *both = mem_array(n + m + 2, 1);

    if (both == NULL)
        return err_set(ERR_NOMEM, "no memory for attributes");
    memcpy(both, name, n);
    both[n] = '=';
    memcpy(both + n + 1, text, m);
    const uint64_t key = key_of(both, n + m + 1);

    free(both);
    ERR_TRY(mem_grow(&t->key, &t->room, t->n + 1, sizeof(*t->key)));
    t->key[t->n++] = key;
    return ERR_OK;
}

static enum err add_traits(struct traits *t, const char *attributes)
{
    json_t *all = json_loads(attributes, 0, NULL), *value, *one;
    enum err e = ERR_OK;
    const char *name;
    size_t i;

    if (!json_is_object(all))
        e = err_set(ERR_FORMAT, "the store holds attributes that are not a "
                                "JSON object: import the catalogue again");
    json_object_foreach(all, name, value)
    {
        if (e == ERR_OK && !json_is_array(value))
            e = add_trait(t, name, value);
        json_array_foreach(value, i, one)
        {
            if (e == ERR_OK)
                e = add_trait(t, name, one);
        }
    }
    json_decref(all);
    return e;
}

/* Items come in the order of their keys, as in the universe. */
static enum err item_traits(void *arg, const struct sto_entity *e)
{
    struct load *l = arg;
    struct rec_data *d = &l->d;

    if (l->at_item == d->n_items || d->item_key[l->at_item] != e->key)
        return ERR_OK; /* not in use */
    if (e->attributes[0] != '\0')
        ERR_TRY(add_traits(&l->trait, e->attributes));
    d->trait_ptr[++l->at_item] = l->trait.n;
    return ERR_OK;
}

/* The same of people. */
static enum err user_groups(void *arg, const struct sto_entity *e)
{
    struct load *l = arg;
    struct rec_data *d = &l->d;

    if (l->at_person == d->n_users || d->user_key[l->at_person] != e->key)
        return ERR_OK; /* has no training row */
    if (e->attributes[0] != '\0')
        ERR_TRY(add_traits(&l->group, e->attributes));
    d->group_ptr[++l->at_person] = l->group.n;
    return ERR_OK;
}

/* Who is public, and whether anybody has attributes. */
static enum err user_open(void *arg, const struct sto_entity *e)
{
    struct load *l = arg;
    struct rec_data *d = &l->d;
    const bool told = e->attributes[0] != '\0';

    if (!e->open && !told)
        return ERR_OK;
    const uint32_t u = rec_key_find(d->user_key, d->n_users, e->key);

    if (u == REC_NOBODY) /* has no training row */
        return ERR_OK;
    l->any_groups = l->any_groups || told;
    if (!e->open)
        return ERR_OK;
    if (d->open == NULL && (d->open = mem_array(d->n_users, 1)) == NULL)
        return load_nomem(d->n_rows);
    d->open[u] = 1;
    return ERR_OK;
}

static enum err load_extras(struct load *l, struct sto_view *v)
{
    if (l->any_traits) {
        l->d.trait_ptr = mem_array(l->d.n_items + 1, sizeof(*l->d.trait_ptr));
        if (l->d.trait_ptr == NULL)
            return load_nomem(l->d.n_rows);
        ERR_TRY(sto_each_entity(v, STO_ITEMS, item_traits, l));
    }
    ERR_TRY(sto_each_entity(v, STO_USERS, user_open, l));
    if (!l->any_groups)
        return ERR_OK;
    l->d.group_ptr = mem_array(l->d.n_users + 1, sizeof(*l->d.group_ptr));
    if (l->d.group_ptr == NULL)
        return load_nomem(l->d.n_rows);
    return sto_each_entity(v, STO_USERS, user_groups, l);
}

static enum err load_train(struct load *l, struct sto_view *v)
{
    ERR_TRY(sto_each_entity(v, STO_ITEMS, load_item, l));
    if (l->n_known == 0)
        return err_set(ERR_NOTFOUND, "the store holds no items: import "
                                     "interactions first");
    ERR_TRY(sto_each_history(v, STO_TRAIN, count_history, l));
    ERR_TRY(load_universe(l));
    ERR_TRY(load_fill(l, v, STO_TRAIN));
    return load_extras(l, v);
}

/* Hand d over, or free it. */
static enum err load_end(struct load *l, enum err e, struct rec_data *out)
{
    free(l->key);
    free(l->place);
    free(l->met);
    l->d.trait = l->trait.key;
    l->d.group = l->group.key;
    if (e == ERR_OK)
        *out = l->d;
    else
        rec_data_free(&l->d);
    return e;
}

enum err rec_data_load(struct rec_data *out, struct sto_view *v)
{
    struct load l = {0};
    const enum err e = load_train(&l, v);

    return load_end(&l, e, out);
}

enum err rec_data_load_in(struct rec_data *out, struct sto_view *v,
                          enum sto_split split, const uint64_t *user_key,
                          size_t n_users, const uint64_t *item_key,
                          size_t n_items)
{
    struct load l = {.fixed = true};
    enum err e = rec_data_copy_keys(&l.d, user_key, n_users, item_key, n_items);

    if (e == ERR_OK)
        e = sto_each_history(v, split, count_history, &l);
    if (e == ERR_OK)
        e = load_fill(&l, v, split);
    return load_end(&l, e, out);
}
