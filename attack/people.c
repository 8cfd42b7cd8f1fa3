/* attack/people.c - people and items from files. */
#include "attack/people.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/key.h"
#include "base/mem.h"
#include "rec/data.h"
#include "store/lines.h"
#include "store/rows.h"

#define FILES 4 /* of one side */

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for the people of an audit");
}

void atk_people_free(struct atk_people *p)
{
    for (size_t u = 0; p->id != NULL && u < p->n; u++)
        free(p->id[u]);
    free(p->id);
    free(p->key);
    free(p->member);
    free(p->hist_ptr);
    free(p->hist);
    free(p->list_ptr);
    free(p->list);
    *p = (struct atk_people){0};
}

enum err atk_people_take(struct atk_people *p, size_t n, size_t hist,
                         size_t list)
{
    *p = (struct atk_people){
        .n = n,
        .id = mem_array(n, sizeof(*p->id)),
        .key = mem_array(n, sizeof(*p->key)),
        .member = mem_array(n, sizeof(*p->member)),
        .hist_ptr = mem_array(n + 1, sizeof(*p->hist_ptr)),
        .hist = mem_array(hist, sizeof(*p->hist)),
        .list_ptr = mem_array(n + 1, sizeof(*p->list_ptr)),
        .list = mem_array(list, sizeof(*p->list)),
    };
    return p->id == NULL || p->key == NULL || p->member == NULL ||
                   p->hist_ptr == NULL || p->hist == NULL ||
                   p->list_ptr == NULL || p->list == NULL
               ? no_memory()
               : ERR_OK;
}

void atk_items_free(struct atk_items *t)
{
    free(t->key);
    free(t->vec);
    free(t->known);
    *t = (struct atk_items){0};
}

/* --- one table ------------------------------------------------------------ */

/* The rows of a file by person, in the file's order. */
struct table {
    struct sto_import *rows;
    size_t *ptr; /* [n_users + 1] */
    size_t *row; /* [rows] */
};

static void close_table(struct table *t)
{
    sto_import_free(t->rows);
    free(t->ptr);
    free(t->row);
}

static enum err open_table(struct table *t, const char *path, const char *what)
{
    const struct sto_import_opts opts = {.format = STO_AUTO};

    if (path == NULL)
        return err_set(ERR_ARG, "an audit of files needs --%s FILE", what);
    ERR_TRY(sto_import_new(&t->rows, &opts));
    ERR_TRY(sto_import_read(t->rows, path));
    const size_t n = t->rows->n, users = t->rows->users.n;

    t->ptr = mem_array(users + 2, sizeof(*t->ptr));
    t->row = mem_array(n, sizeof(*t->row));
    if (t->ptr == NULL || t->row == NULL)
        return no_memory();
    for (size_t r = 0; r < n; r++)
        t->ptr[t->rows->user[r] + 2]++;
    for (size_t u = 0; u < users; u++)
        t->ptr[u + 2] += t->ptr[u + 1];
    for (size_t r = 0; r < n; r++)
        t->row[t->ptr[t->rows->user[r] + 1]++] = r;
    return ERR_OK;
}

/* --- the universe --------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static enum err all_items(struct atk_items *items, const struct table *t,
                          size_t n)
{
    size_t most = 0;

    for (size_t i = 0; i < n; i++)
        most += t[i].rows->items.n;
    items->key = mem_array(most, sizeof(*items->key));
    if (items->key == NULL)
        return no_memory();
    most = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(items->key + most, t[i].rows->items.key,
               t[i].rows->items.n * sizeof(*items->key));
        most += t[i].rows->items.n;
    }
    qsort(items->key, most, sizeof(*items->key), by_key);
    for (size_t i = 0; i < most; i++) {
        if (items->n == 0 || items->key[items->n - 1] != items->key[i])
            items->key[items->n++] = items->key[i];
    }
    return ERR_OK;
}

/* --- one side --------------------------------------------------------------
 */

/* A person of a history's file and of the lists' file beside it. */
struct pair {
    uint64_t key;
    uint32_t hist, list; /* numbers in the two tables */
    bool member;
};

static int by_pair(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;

    return (x->key > y->key) - (x->key < y->key);
}

/* Whoever stands in both tables; returns how many. */
static size_t match(const struct table *hist, const struct table *list,
                    bool member, struct pair *out)
{
    const struct sto_ids *a = &hist->rows->users, *b = &list->rows->users;
    size_t n = 0;

    /* list's people by key, behind what comes out */
    struct pair *sorted = out + a->n;

    for (size_t u = 0; u < b->n; u++)
        sorted[u] = (struct pair){b->key[u], 0, (uint32_t)u, member};
    qsort(sorted, b->n, sizeof(*sorted), by_pair);
    for (size_t u = 0; u < a->n; u++) {
        const struct pair want = {.key = a->key[u]};
        const struct pair *found =
            bsearch(&want, sorted, b->n, sizeof(*sorted), by_pair);

        if (found != NULL)
            out[n++] =
                (struct pair){want.key, (uint32_t)u, found->list, member};
    }
    return n;
}

static size_t copy_rows(const struct table *t, uint32_t user,
                        const struct atk_items *items, uint32_t *to)
{
    const size_t n = t->ptr[user + 1] - t->ptr[user];

    for (size_t i = 0; i < n; i++) {
        const size_t row = t->row[t->ptr[user] + i];

        to[i] = rec_key_find(items->key, items->n,
                             t->rows->items.key[t->rows->item[row]]);
    }
    return n;
}

static enum err fill(struct atk_people *p, const struct pair *pair, size_t n,
                     const struct table *t, const struct atk_items *items)
{
    ERR_TRY(atk_people_take(p, n, t[0].rows->n + t[1].rows->n,
                            t[2].rows->n + t[3].rows->n));
    for (size_t u = 0; u < n; u++) {
        const bool member = pair[u].member;
        const struct table *hist = &t[member ? 0 : 1];
        const struct table *list = &t[member ? 2 : 3];
        const struct sto_ids *ids = &hist->rows->users;

        p->id[u] = mem_text(ids->arena + ids->text[pair[u].hist]);
        if (p->id[u] == NULL)
            return no_memory();
        p->key[u] = pair[u].key;
        p->member[u] = member;
        p->n_members += member;
        p->hist_ptr[u + 1] =
            p->hist_ptr[u] +
            copy_rows(hist, pair[u].hist, items, p->hist + p->hist_ptr[u]);
        p->list_ptr[u + 1] =
            p->list_ptr[u] +
            copy_rows(list, pair[u].list, items, p->list + p->list_ptr[u]);
    }
    return ERR_OK;
}

static enum err side(struct atk_people *p, const struct table *t,
                     const struct atk_items *items)
{
    const size_t room = t[0].rows->users.n + t[1].rows->users.n +
                        t[2].rows->users.n + t[3].rows->users.n;
    struct pair *pair = mem_array(room, sizeof(*pair));
    enum err e = ERR_OK;

    if (pair == NULL)
        return no_memory();
    size_t n = match(&t[0], &t[2], true, pair);

    n += match(&t[1], &t[3], false, pair + n);
    qsort(pair, n, sizeof(*pair), by_pair);
    for (size_t u = 1; u < n && e == ERR_OK; u++) {
        if (pair[u].key == pair[u - 1].key)
            e = err_set(
                ERR_ARG,
                "\"%s\" is among the members and among the "
                "non-members: the two must be different people",
                t[0].rows->users.arena +
                    t[0].rows->users.text[pair[u - 1].member ? pair[u - 1].hist
                                                             : pair[u].hist]);
    }
    if (e == ERR_OK)
        e = fill(p, pair, n, t, items);
    p->dropped = t[0].rows->users.n + t[1].rows->users.n + t[2].rows->users.n +
                 t[3].rows->users.n - 2 * n;
    free(pair);
    return e;
}

enum err atk_people_read(struct atk_people *people, struct atk_items *items,
                         const struct atk_files *files, size_t n)
{
    struct table t[2 * FILES] = {{0}};
    enum err e = ERR_OK;

    for (size_t i = 0; i < n && e == ERR_OK; i++) {
        const char *const path[FILES] = {
            files[i].member_history, files[i].other_history,
            files[i].member_list, files[i].other_list};
        static const char *const what[2][FILES] = {
            {"target-members", "target-nonmembers", "member-lists",
             "nonmember-lists"},
            {"shadow-members", "shadow-nonmembers", "shadow-member-lists",
             "shadow-nonmember-lists"}};

        for (size_t f = 0; f < FILES && e == ERR_OK; f++)
            e = open_table(&t[i * FILES + f], path[f], what[i][f]);
    }
    if (e == ERR_OK)
        e = all_items(items, t, n * FILES);
    for (size_t i = 0; i < n && e == ERR_OK; i++)
        e = side(&people[i], t + i * FILES, items);
    for (size_t i = 0; i < n * FILES; i++)
        close_table(&t[i]);
    return e;
}

/* --- vectors ---------------------------------------------------------------
 */

static enum err bad_vector(const struct sto_lines *in, const char *why)
{
    return err_set(ERR_FORMAT,
                   "%s:%llu: %s (an item and its numbers, "
                   "the same count on every line)",
                   in->path, (unsigned long long)in->number, why);
}

static size_t read_numbers(char *text, double *out, size_t room, bool *bad)
{
    size_t n = 0;

    for (char *p = text; *p != '\0' && !*bad;) {
        char *end;

        p += strspn(p, " \t,");
        if (*p == '\0')
            break;
        const double x = strtod(p, &end);

        *bad = end == p || !(x > -1e30 && x < 1e30) || n == room;
        if (!*bad)
            out[n++] = x;
        p = end;
    }
    return n;
}

static enum err read_vectors(struct atk_items *t, struct sto_lines *in)
{
    double x[4096];
    char *line;
    size_t len;

    for (;;) {
        bool bad = false;

        ERR_TRY(sto_lines_next(in, &line, &len));
        if (line == NULL)
            return ERR_OK;
        const size_t id = strcspn(line, " \t,");

        if (len == 0)
            continue;
        if (id == 0)
            return bad_vector(in, "the line begins with a blank");
        const size_t n = read_numbers(line + id, x, 4096, &bad);

        if (bad || n == 0)
            return bad_vector(in, "this is no vector");
        if (t->vec == NULL) {
            t->dim = n;
            t->vec = mem_array(t->n * n, sizeof(*t->vec));
            t->known = mem_array(t->n, 1);
            if (t->vec == NULL || t->known == NULL)
                return no_memory();
        }
        if (n != t->dim)
            return bad_vector(in, "another number of columns than above");
        const uint32_t i = rec_key_find(t->key, t->n, key_of(line, id));

        if (i == REC_NOBODY)
            continue;
        t->known[i] = 1;
        for (size_t d = 0; d < n; d++)
            t->vec[i * n + d] = (float)x[d];
    }
}

enum err atk_items_read(struct atk_items *t, const char *path)
{
    struct sto_lines in;

    ERR_TRY(sto_lines_open(&in, path));
    enum err e = read_vectors(t, &in);

    sto_lines_close(&in);
    if (e == ERR_OK && t->vec == NULL)
        e = err_set(ERR_FORMAT, "%s: there are no vectors in it", path);
    return e;
}
