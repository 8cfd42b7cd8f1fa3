/*
 * store/entities.c - catalogues and files of people, with attributes.
 *
 * Known layouts: MovieLens u.item and u.user (|), movies.dat and users.dat
 * (::), RecBole (.item, .user: name:type header), CSV/TSV with a header, one
 * id a line.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/keystore.h"
#include "store/lines.h"
#include "store/parse.h"
#include "store/rows.h"

/* Columns of files without a header, in order. */
static const char *const item_100k[] = {
    "id",          "title",      "release_date", "video_release_date",
    "url",         "unknown",    "Action",       "Adventure",
    "Animation",   "Children's", "Comedy",       "Crime",
    "Documentary", "Drama",      "Fantasy",      "Film-Noir",
    "Horror",      "Musical",    "Mystery",      "Romance",
    "Sci-Fi",      "Thriller",   "War",          "Western"};
static const char *const user_100k[] = {"id", "age", "gender", "occupation",
                                        "zip"};
static const char *const item_1m[] = {"id", "title", "genres"};
static const char *const user_1m[] = {"id", "gender", "age", "occupation",
                                      "zip"};

struct one {
    char *id, *attributes; /* owned */
};

struct sto_listed {
    struct sto_listed *older;
    enum sto_kind kind;
    bool skip_bad;
    struct sto_lines in;
    char separator;     /* 0: one id a line */
    bool header, flags; /* flags: columns 5.. of u.item are genre bits */
    size_t n_names;
    char *name[STO_CELLS]; /* owned */
    bool list[STO_CELLS];  /* cell is a list: token_seq, genres */
    char list_separator;
    struct one *one;
    size_t n, room;
    uint64_t skipped;
};

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for a catalogue");
}

static enum err set_names(struct sto_listed *t, const char *const *name,
                          size_t n)
{
    for (t->n_names = 0; t->n_names < n; t->n_names++)
        if ((t->name[t->n_names] = mem_text(name[t->n_names])) == NULL)
            return no_memory();
    return ERR_OK;
}

/* Names (and types) of a header's cells; the first column is the id. */
static enum err header_names(struct sto_listed *t, char *line, size_t len)
{
    struct sto_cell cell[STO_CELLS];
    size_t n;

    ERR_TRY(sto_cells(line, len, t->separator, cell, &n));
    if (n == 0 || n > STO_CELLS)
        return err_set(ERR_FORMAT, "%s:1: a header that cannot be read",
                       t->in.path);
    for (size_t i = 0; i < n; i++) {
        char *colon = strchr(cell[i].text, ':');

        if (colon != NULL) {
            *colon = '\0';
            t->list[i] = strcmp(colon + 1, "token_seq") == 0;
        }
        if (strcasecmp(cell[i].text, "genres") == 0)
            t->list[i] = true;
        if ((t->name[i] = mem_text(cell[i].text)) == NULL)
            return no_memory();
        t->n_names = i + 1;
    }
    t->header = true;
    return ERR_OK;
}

static enum err layout(struct sto_listed *t, char *line, size_t len)
{
    const bool items = t->kind == STO_ITEMS;
    const size_t bars = sto_count_char(line, '|');

    t->list_separator = '|';
    if (strstr(line, "::") != NULL) {
        t->separator = ':';
        t->list[2] = items;
        return items ? set_names(t, item_1m, 3) : set_names(t, user_1m, 5);
    }
    if (bars == 23 && items) {
        t->separator = '|';
        t->flags = true;
        return set_names(t, item_100k, 24);
    }
    if (bars == 4 && !items) {
        t->separator = '|';
        return set_names(t, user_100k, 5);
    }
    t->separator = strchr(line, '\t') != NULL  ? '\t'
                   : strchr(line, ',') != NULL ? ','
                   : strchr(line, ';') != NULL ? ';'
                                               : 0;
    if (t->separator == 0)
        return set_names(t, user_100k, 1);
    if (t->separator == '\t' && strchr(line, ':') != NULL)
        t->list_separator = ' ';
    return header_names(t, line, len);
}

/* Text of one cell, in UTF-8, as a JSON string. */
static json_t *json_text(const char *text, size_t len)
{
    char *room = malloc(2 * len + 1);
    json_t *j = NULL;

    if (room != NULL) {
        const char *utf8 = sto_utf8(text, &len, room);

        j = json_stringn(utf8, len);
    }
    free(room);
    return j;
}

/* Appending and setting take NULL as a failure, so that one test at the end
 * of a chain is enough. */
static json_t *json_list(char *text, char separator)
{
    json_t *list = json_array();
    int bad = list == NULL;

    for (char *p = text; *p != '\0' && !bad;) {
        const size_t n = strcspn(p, (char[]){separator, '\0'});

        if (n > 0)
            bad = json_array_append_new(list, json_text(p, n));
        p += n + (p[n] != '\0');
    }
    if (!bad)
        return list;
    json_decref(list);
    return NULL;
}

/* NULL when there is no memory. */
static json_t *attributes_of(const struct sto_listed *t,
                             const struct sto_cell *cell, size_t n)
{
    json_t *object = json_object(), *genres = json_array();
    int bad = object == NULL || genres == NULL;

    for (size_t i = 1; i < n && !bad; i++) {
        if (t->flags && i >= 5) {
            if (cell[i].text[0] == '1')
                bad = json_array_append_new(genres, json_string(t->name[i]));
        } else if (cell[i].len > 0) {
            bad = json_object_set_new(
                object, t->name[i],
                t->list[i] ? json_list(cell[i].text, t->list_separator)
                           : json_text(cell[i].text, cell[i].len));
        }
    }
    if (!bad && json_array_size(genres) > 0)
        bad = json_object_set(object, "genres", genres);
    json_decref(genres);
    if (!bad)
        return object;
    json_decref(object);
    return NULL;
}

static enum err add_one(struct sto_listed *t, const struct sto_cell *cell,
                        size_t n)
{
    char id[2 * STO_ID_BYTES + 2];
    size_t len = cell[0].len;

    if (len == 0 || len > STO_ID_BYTES)
        return err_set(ERR_FORMAT,
                       "%s:%llu: the id is %s (use --skip-bad to leave such "
                       "rows out)",
                       t->in.path, (unsigned long long)t->in.number,
                       len == 0 ? "empty" : "too long");
    ERR_TRY(mem_grow(&t->one, &t->room, t->n + 1, sizeof(*t->one)));
    json_t *object = attributes_of(t, cell, n);

    if (object == NULL)
        return no_memory();
    struct one o = {mem_text(sto_utf8(cell[0].text, &len, id)),
                    json_object_size(object) > 0
                        ? json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS)
                        : mem_text("")};

    json_decref(object);
    t->one[t->n++] = o;
    return o.id != NULL && o.attributes != NULL ? ERR_OK : no_memory();
}

static enum err read_one(struct sto_listed *t, char *line, size_t len)
{
    struct sto_cell cell[STO_CELLS] = {{line, len}};
    size_t n = 1;

    if (len == 0)
        return ERR_OK;
    if (t->separator != 0)
        ERR_TRY(sto_cells(line, len, t->separator, cell, &n));
    enum err e = n == t->n_names
                     ? add_one(t, cell, n)
                     : err_set(ERR_FORMAT,
                               "%s:%llu: %zu columns where %zu are expected "
                               "(use --skip-bad to leave such rows out)",
                               t->in.path, (unsigned long long)t->in.number, n,
                               t->n_names);

    if (e == ERR_FORMAT && t->skip_bad) {
        t->skipped++;
        return ERR_OK;
    }
    return e;
}

static enum err read_table(struct sto_listed *t)
{
    char *line;
    size_t len;

    ERR_TRY(sto_lines_next(&t->in, &line, &len));
    if (line == NULL)
        return err_set(ERR_FORMAT, "%s: the file is empty", t->in.path);
    ERR_TRY(layout(t, line, len));
    if (t->header)
        ERR_TRY(sto_lines_next(&t->in, &line, &len));
    while (line != NULL) {
        ERR_TRY(read_one(t, line, len));
        ERR_TRY(sto_lines_next(&t->in, &line, &len));
    }
    return ERR_OK;
}

/* In an encrypted store each person who is listed needs a key. */
static enum err need_keys(const struct sto_listed *l, struct sto_txn *t)
{
    struct mem_scratch tmp = {0};

    if (l->kind != STO_USERS || t->ring == NULL)
        return ERR_OK;
    uint64_t *user = mem_take(&tmp, l->n, 1, sizeof(*user));
    enum err e = tmp.failed ? no_memory() : ERR_OK;

    for (size_t i = 0; i < l->n && e == ERR_OK; i++)
        user[i] = key_of(l->one[i].id, strlen(l->one[i].id));
    if (e == ERR_OK)
        e = sto_keys_need(t, user, l->n);
    mem_drop(&tmp);
    return e;
}

enum err sto_listed_write(const struct sto_listed *l, struct sto_txn *t,
                          struct sto_import_stats *out)
{
    for (; l != NULL; l = l->older) {
        ERR_TRY(need_keys(l, t));
        for (size_t i = 0; i < l->n; i++)
            ERR_TRY(sto_entity_list(t, l->kind, l->one[i].id,
                                    strlen(l->one[i].id),
                                    l->one[i].attributes));
        out->read += l->n + l->skipped;
        out->stored += l->n;
        out->skipped += l->skipped;
        out->users += l->kind == STO_USERS ? l->n : 0;
        out->items += l->kind == STO_ITEMS ? l->n : 0;
    }
    return ERR_OK;
}

static void free_one(struct sto_listed *t)
{
    sto_lines_close(&t->in);
    for (size_t i = 0; i < STO_CELLS; i++)
        free(t->name[i]);
    for (size_t i = 0; i < t->n; i++) {
        free(t->one[i].id);
        free(t->one[i].attributes);
    }
    free(t->one);
    free(t);
}

void sto_listed_free(struct sto_listed *l)
{
    while (l != NULL) {
        struct sto_listed *older = l->older;

        free_one(l);
        l = older;
    }
}

enum err sto_import_entities(struct sto_import *im, enum sto_kind kind,
                             const char *path)
{
    struct sto_listed *t = mem_array(1, sizeof(*t));

    if (t == NULL)
        return no_memory();
    t->kind = kind;
    t->skip_bad = im->opts.skip_bad;
    enum err e = sto_lines_open(&t->in, path);

    if (e == ERR_OK)
        e = read_table(t);
    if (e != ERR_OK) {
        free_one(t);
        return e;
    }
    t->older = im->listed;
    im->listed = t;
    return ERR_OK;
}

enum err sto_import_entity(struct sto_import *im, enum sto_kind kind,
                           const char *id, const char *attributes)
{
    struct sto_listed *t = im->listed;

    if (t == NULL || t->in.path != NULL || t->kind != kind) {
        t = mem_array(1, sizeof(*t)); /* a list of its own, from no file */
        if (t == NULL)
            return no_memory();
        t->kind = kind;
        t->older = im->listed;
        im->listed = t;
    }
    ERR_TRY(mem_grow(&t->one, &t->room, t->n + 1, sizeof(*t->one)));
    const struct one o = {mem_text(id), mem_text(attributes)};

    t->one[t->n++] = o;
    return o.id != NULL && o.attributes != NULL ? ERR_OK : no_memory();
}
