/* privacy_sim/world.c - people, what they have, and its pieces. */
#include "privacy_sim/world.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/key.h"
#include "base/mem.h"
#include "base/rng.h"
#include "privacy_sim/world_group.h"

#define ITEM_COST 20 /* units; 5 % of an item is one */
#define DECIDE 0.2   /* of a person's rows */
#define REPORT 0.2

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for the people of a simulation");
}

void sim_world_free(struct sim_world *w)
{
    rec_data_free(&w->all);
    free(w->segment);
    free(w->seg_ptr);
    free(w->weight);
    free(w->is_attribute);
    free(w->decide_ptr);
    free(w->report_ptr);
    free(w->decide_item);
    free(w->report_item);
    free(w->group);
    for (size_t g = 0; g < w->n_groups; g++)
        free(w->group_name[g]);
    free(w->group_name);
    *w = (struct sim_world){.n_groups = 0};
}

/* --- words of an option ----------------------------------------------------
 */

struct words {
    char text[16][64];
    size_t n;
};

static enum err words_read(struct words *out, const char *list)
{
    out->n = 0;
    for (const char *p = list; *p != '\0';) {
        const size_t n = strcspn(p, ",");

        if (n == 0 || n >= sizeof(out->text[0]) || out->n == 16)
            return err_set(ERR_ARG,
                           "\"%s\" is not a list of attributes (at most 16 "
                           "names, separated by commas)",
                           list);
        memcpy(out->text[out->n], p, n);
        out->text[out->n++][n] = '\0';
        p += n + (p[n] == ',');
    }
    return ERR_OK;
}

/* --- what is read ----------------------------------------------------------
 */

/* An attribute of a person, as an item. */
struct owned {
    uint32_t user; /* of the kept */
    uint64_t key;
};

struct reader {
    const struct sim_world_opts *o;
    struct sto_view *v;
    struct rec_data raw;
    struct words names;
    uint8_t *user_in, *item_in; /* of raw */
    size_t n_users;
    struct owned *owned;
    size_t n_owned, owned_room;
    char **value; /* [n_users] of the attribute that groups, or NULL */
};

/* Items with enough people, then people with enough of those items. */
static enum err choose(struct reader *r, struct mem_scratch *m, size_t *left)
{
    const struct rec_data *d = &r->raw;
    uint32_t *count = mem_take(m, d->n_items, 1, sizeof(*count));

    r->item_in = mem_take(m, d->n_items, 1, 1);
    r->user_in = mem_take(m, d->n_users, 1, 1);
    if (m->failed)
        return no_memory();
    for (size_t k = 0; k < d->n_rows; k++)
        count[d->item[k]]++;
    for (size_t i = 0; i < d->n_items; i++)
        r->item_in[i] = count[i] > 0 && count[i] >= r->o->min_people;
    for (size_t u = 0; u < d->n_users; u++) {
        size_t n = 0;

        for (size_t k = d->user_ptr[u]; k < d->user_ptr[u + 1]; k++)
            n += r->item_in[d->item[k]];
        r->user_in[u] = n >= r->o->min_rows;
        r->n_users += r->user_in[u];
    }
    *left = d->n_users - r->n_users;
    return r->n_users >= 2
               ? ERR_OK
               : err_set(ERR_ARG,
                         "only %zu people have %zu rows or more: nobody is "
                         "left to simulate (--min-rows lowers that)",
                         r->n_users, r->o->min_rows);
}

static void as_item(char *out, size_t room, const char *name, const char *value)
{
    (void)snprintf(out, room, "\001attribute %s=%s", name, value);
}

static enum err own(struct reader *r, uint32_t user, const json_t *all)
{
    for (size_t a = 0; a < r->names.n; a++) {
        const char *value =
            json_string_value(json_object_get(all, r->names.text[a]));
        char text[256];

        if (value == NULL || value[0] == '\0')
            continue;
        as_item(text, sizeof(text), r->names.text[a], value);
        ERR_TRY(mem_grow(&r->owned, &r->owned_room, r->n_owned + 1,
                         sizeof(*r->owned)));
        r->owned[r->n_owned++] =
            (struct owned){user, key_of(text, strlen(text))};
    }
    return ERR_OK;
}

/* Attributes of the kept people, and the one that groups them. */
static enum err read_people(struct reader *r, const char *group_by)
{
    uint32_t n = 0;

    for (size_t u = 0; u < r->raw.n_users; u++) {
        struct sto_entity e;

        if (!r->user_in[u])
            continue;
        ERR_TRY(sto_get_entity(r->v, STO_USERS, r->raw.user_key[u], &e));
        json_t *all = json_loads(e.attributes, 0, NULL);
        enum err err = own(r, n, all);

        if (r->value != NULL) {
            const char *value =
                json_string_value(json_object_get(all, group_by));

            r->value[n] = mem_text(value != NULL ? value : "unknown");
            if (r->value[n] == NULL)
                err = no_memory();
        }
        json_decref(all);
        ERR_TRY(err);
        n++;
    }
    if (r->names.n > 0 && r->n_owned == 0)
        return err_set(ERR_ARG,
                       "nobody in the store has an attribute \"%s\" (`recd "
                       "import --users FILE` reads them)",
                       r->o->attributes);
    return ERR_OK;
}

/* --- universe --------------------------------------------------------------
 */

static int by_key(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static enum err universe(struct sim_world *w, const struct reader *r)
{
    const struct rec_data *d = &r->raw;
    struct mem_scratch m = {0};
    uint64_t *item = mem_take(&m, d->n_items + r->n_owned, 1, sizeof(*item));
    uint64_t *attr = mem_take(&m, r->n_owned, 1, sizeof(*attr));
    uint64_t *user = mem_take(&m, r->n_users, 1, sizeof(*user));
    size_t n = 0, a = 0, p = 0;
    enum err e = m.failed ? no_memory() : ERR_OK;

    for (size_t k = 0; k < r->n_owned && e == ERR_OK; k++)
        attr[k] = r->owned[k].key;
    if (e == ERR_OK)
        qsort(attr, r->n_owned, sizeof(*attr), by_key);
    for (size_t k = 0; k < r->n_owned && e == ERR_OK; k++) {
        if (a == 0 || attr[a - 1] != attr[k])
            attr[a++] = attr[k];
    }
    for (size_t i = 0; i < d->n_items && e == ERR_OK; i++) {
        if (r->item_in[i])
            item[n++] = d->item_key[i];
    }
    for (size_t k = 0; k < a && e == ERR_OK; k++)
        item[n++] = attr[k];
    for (size_t u = 0; u < d->n_users && e == ERR_OK; u++) {
        if (r->user_in[u])
            user[p++] = d->user_key[u];
    }
    if (e == ERR_OK) {
        qsort(item, n, sizeof(*item), by_key);
        e = rec_data_copy_keys(&w->all, user, p, item, n);
    }
    w->is_attribute = mem_array(n, 1);
    if (e == ERR_OK && w->is_attribute == NULL)
        e = no_memory();
    for (size_t k = 0; k < a && e == ERR_OK; k++)
        w->is_attribute[rec_key_find(w->all.item_key, n, attr[k])] = 1;
    mem_drop(&m);
    return e;
}

/* --- a person --------------------------------------------------------------
 */

/* A row on its way: first in order of time, then of items. */
struct row {
    int64_t time;
    uint64_t draw;
    uint32_t item, segment;
};

static int by_time(const void *a, const void *b)
{
    const struct row *x = a, *y = b;

    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return (x->draw > y->draw) - (x->draw < y->draw);
}

static int by_item(const void *a, const void *b)
{
    const struct row *x = a, *y = b;

    return (x->item > y->item) - (x->item < y->item);
}

struct filler {
    struct sim_world *w;
    const struct sim_world_opts *o;
    struct row *row;    /* [most rows of a person] */
    uint32_t *category; /* [n_items] of SIM_CATEGORY: rank of its category */
    uint32_t *place;    /* [n_categories or most rows] scratch */
    size_t n_categories;
    size_t at, decide, report, segments;
};

/* Segments of behaviours k < n in order of time; returns how many.  first: the
 * number of the first. */
static size_t cut(struct filler *f, size_t n, uint32_t first)
{
    const size_t b = f->o->blocks;
    uint32_t used = 0;

    switch (f->o->split) {
    case SIM_WHOLE:
    case SIM_TYPE:
        for (size_t k = 0; k < n; k++)
            f->row[k].segment = first;
        return 1;
    case SIM_BLOCKS: /* block j holds positions floor(j n / b)... */
        for (size_t j = 0; j < b; j++) {
            for (size_t k = j * n / b; k < (j + 1) * n / b; k++)
                f->row[k].segment = first + (uint32_t)j;
        }
        return b;
    case SIM_ITEM:
        for (size_t k = 0; k < n; k++)
            f->row[k].segment = first + (uint32_t)k;
        return n;
    case SIM_CATEGORY: /* the person's categories, in order of number */
        memset(f->place, 0, f->n_categories * sizeof(*f->place));
        for (size_t k = 0; k < n; k++)
            f->place[f->category[f->row[k].item]] = 1;
        for (size_t c = 0; c < f->n_categories; c++)
            f->place[c] = f->place[c] != 0 ? used++ : 0;
        for (size_t k = 0; k < n; k++)
            f->row[k].segment = first + f->place[f->category[f->row[k].item]];
        return used;
    }
    return 0;
}

/* Attributes come first, so that "the most recent segments" end with them. */
static size_t cut_attributes(const struct filler *f, struct row *own, size_t n)
{
    for (size_t a = 0; a < n; a++)
        own[a].segment = f->o->split == SIM_ITEM ? (uint32_t)a : 0;
    if (n == 0 || f->o->split == SIM_WHOLE)
        return 0;
    return f->o->split == SIM_ITEM ? n : 1;
}

static void put_items(uint32_t *to, size_t *at, struct row *row, size_t n)
{
    qsort(row, n, sizeof(*row), by_item);
    for (size_t k = 0; k < n; k++)
        to[(*at)++] = row[k].item;
}

/* n rows in f->row, then n_own attributes behind them. */
static void fill_person(struct filler *f, size_t u, size_t n, size_t n_own)
{
    struct sim_world *w = f->w;
    const size_t decide = (size_t)(DECIDE * (double)n + 1e-9);
    const size_t report = (size_t)(REPORT * (double)n + 1e-9);
    const size_t profile = n - decide - report;
    struct row *row = f->row;

    qsort(row, n, sizeof(*row), by_time);
    put_items(w->decide_item, &f->decide, row + profile, decide);
    put_items(w->report_item, &f->report, row + profile + decide, report);
    w->decide_ptr[u + 1] = f->decide;
    w->report_ptr[u + 1] = f->report;
    memmove(row + profile, row + n, n_own * sizeof(*row));
    const size_t own = cut_attributes(f, row + profile, n_own);
    const size_t segments = own + cut(f, profile, (uint32_t)own);
    const double unit = f->o->attribute_cost * ITEM_COST * (double)profile;

    for (size_t k = 0; k < profile + n_own; k++)
        w->weight[f->segments + row[k].segment] +=
            w->is_attribute[row[k].item] ? (int64_t)(unit + 0.5) : ITEM_COST;
    qsort(row, profile + n_own, sizeof(*row), by_item);
    for (size_t k = 0; k < profile + n_own; k++) {
        w->all.item[f->at] = row[k].item;
        w->segment[f->at++] = row[k].segment;
    }
    w->all.user_ptr[u + 1] = f->at;
    f->segments += segments;
    w->seg_ptr[u + 1] = f->segments;
}

static enum err fill(struct sim_world *w, const struct reader *r,
                     struct filler *f)
{
    const struct rec_data *d = &r->raw;
    size_t u = 0, own = 0;

    for (size_t from = 0; from < d->n_users; from++) {
        size_t n = 0, n_own = 0;

        if (!r->user_in[from])
            continue;
        for (size_t k = d->user_ptr[from]; k < d->user_ptr[from + 1]; k++) {
            const uint64_t key = d->item_key[d->item[k]];
            const struct krn_u32x4 x =
                rng_pair(r->o->seed, RNG_DISCLOSE, d->user_key[from], key);

            if (!r->item_in[d->item[k]])
                continue;
            f->row[n++] = (struct row){
                .time = d->time != NULL ? d->time[k] : 0,
                .draw = (uint64_t)x.v[1] << 32 | x.v[0],
                .item = rec_key_find(w->all.item_key, w->all.n_items, key)};
        }
        for (; own < r->n_owned && r->owned[own].user == u; own++)
            f->row[n + n_own++] = (struct row){
                .item = rec_key_find(w->all.item_key, w->all.n_items,
                                     r->owned[own].key)};
        fill_person(f, u++, n, n_own);
    }
    w->all.n_rows = f->at;
    return ERR_OK;
}

/* --- categories ------------------------------------------------------------
 */

struct category {
    char *name;
    uint64_t key;
    size_t items;
};

struct categories {
    struct category *c;
    size_t n, room;
};

static uint32_t category_of(struct categories *t, const char *name,
                            bool *failed)
{
    const uint64_t key = key_of(name, strlen(name));

    for (size_t c = 0; c < t->n; c++) {
        if (t->c[c].key == key)
            return (uint32_t)c;
    }
    if (mem_grow(&t->c, &t->room, t->n + 1, sizeof(*t->c)) != ERR_OK)
        *failed = true;
    else
        t->c[t->n++] = (struct category){NULL, key, 0};
    return (uint32_t)(t->n - 1);
}

/* The categories of an item, by turns, into list[]; returns how many. */
static size_t categories_of(const json_t *value, const char **list, size_t room)
{
    size_t n = 0;

    if (json_is_string(value) && room > 0)
        list[n++] = json_string_value(value);
    for (size_t i = 0; i < json_array_size(value) && n < room; i++) {
        const char *name = json_string_value(json_array_get(value, i));

        if (name != NULL)
            list[n++] = name;
    }
    return n;
}

/* Twice over the items: count the categories, then take each item's rarest
 * (ties: the one met first); category 0 is "none". */
static enum err read_categories(struct filler *f, struct sto_view *v,
                                struct mem_scratch *m)
{
    const struct rec_data *d = &f->w->all;
    struct categories t = {.n = 0};
    bool failed = false;

    f->category = mem_take(m, d->n_items, 1, sizeof(*f->category));
    if (m->failed)
        return no_memory();
    (void)category_of(&t, "", &failed);
    for (int pass = 0; pass < 2 && !failed; pass++) {
        for (size_t i = 0; i < d->n_items && !failed; i++) {
            const char *name[32];
            struct sto_entity e;
            uint32_t best = 0;

            if (f->w->is_attribute[i] ||
                sto_get_entity(v, STO_ITEMS, d->item_key[i], &e) != ERR_OK)
                continue;
            json_t *all = json_loads(e.attributes, 0, NULL);
            const size_t n =
                categories_of(json_object_get(all, f->o->category), name, 32);

            for (size_t c = 0; c < n && !failed; c++) {
                const uint32_t at = category_of(&t, name[c], &failed);

                t.c[at].items += pass == 0;
                if (best == 0 || t.c[at].items < t.c[best].items)
                    best = at;
            }
            f->category[i] = best;
            json_decref(all);
        }
    }
    f->n_categories = t.n;
    free(t.c);
    if (failed)
        return no_memory();
    return f->n_categories > 1
               ? ERR_OK
               : err_set(ERR_ARG,
                         "no item has a category \"%s\" (`recd import "
                         "--catalogue FILE` reads them; --category names the "
                         "column)",
                         f->o->category);
}

/* --- the whole -------------------------------------------------------------
 */

static enum err take_room(struct sim_world *w, const struct reader *r)
{
    const size_t n = r->n_users, rows = r->raw.n_rows + r->n_owned;
    const size_t segments =
        r->o->split == SIM_BLOCKS ? n * (r->o->blocks + 1) : rows + 2 * n;

    w->all.user_ptr = mem_array(n + 1, sizeof(*w->all.user_ptr));
    w->all.item = mem_array(rows, sizeof(*w->all.item));
    w->segment = mem_array(rows, sizeof(*w->segment));
    w->seg_ptr = mem_array(n + 1, sizeof(*w->seg_ptr));
    w->weight = mem_array(segments, sizeof(*w->weight));
    w->decide_ptr = mem_array(n + 1, sizeof(*w->decide_ptr));
    w->report_ptr = mem_array(n + 1, sizeof(*w->report_ptr));
    w->decide_item = mem_array(rows, sizeof(*w->decide_item));
    w->report_item = mem_array(rows, sizeof(*w->report_item));
    w->group = mem_array(n, sizeof(*w->group));
    return w->all.user_ptr == NULL || w->all.item == NULL ||
                   w->segment == NULL || w->seg_ptr == NULL ||
                   w->weight == NULL || w->decide_ptr == NULL ||
                   w->report_ptr == NULL || w->decide_item == NULL ||
                   w->report_item == NULL || w->group == NULL
               ? no_memory()
               : ERR_OK;
}

static enum err build(struct sim_world *w, struct reader *r,
                      const char *group_by)
{
    const bool activity = strcmp(group_by, "activity") == 0;
    struct filler f = {.w = w, .o = r->o};
    struct mem_scratch m = {0};
    enum err e = choose(r, &m, &w->n_left_out);

    if (e == ERR_OK && !activity) {
        r->value = mem_take(&m, r->n_users, 1, sizeof(*r->value));
        e = m.failed ? no_memory() : ERR_OK;
    }
    if (e == ERR_OK)
        e = read_people(r, group_by);
    if (e == ERR_OK)
        e = universe(w, r);
    if (e == ERR_OK)
        e = take_room(w, r);
    if (e == ERR_OK && r->o->split == SIM_CATEGORY)
        e = read_categories(&f, r->v, &m);
    f.row = mem_take(&m, rec_data_most_rows(&r->raw) + 16, 1, sizeof(*f.row));
    f.place = mem_take(&m, f.n_categories, 1, sizeof(*f.place));
    if (e == ERR_OK)
        e = m.failed ? no_memory() : fill(w, r, &f);
    if (e == ERR_OK)
        e = sim_world_group(w, activity ? NULL : r->value, &m);
    for (size_t u = 0; r->value != NULL && u < r->n_users; u++)
        free(r->value[u]);
    mem_drop(&m);
    return e;
}

enum err sim_world_load(struct sim_world *out, struct sto_view *v,
                        const struct sim_world_opts *o, const char *group_by)
{
    struct reader r = {.o = o, .v = v};

    *out = (struct sim_world){.n_groups = 0};
    ERR_TRY(words_read(&r.names, o->attributes));
    enum err e = rec_data_load(&r.raw, v);

    if (e == ERR_OK)
        e = build(out, &r, group_by);
    rec_data_free(&r.raw);
    free(r.owned);
    if (e != ERR_OK)
        sim_world_free(out);
    return e;
}
