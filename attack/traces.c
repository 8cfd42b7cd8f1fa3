/* attack/traces.c - histories of people who are not in the store (any more). */
#include <stdlib.h>
#include <string.h>

#include "attack/forgotten.h"
#include "base/mem.h"
#include "store/rows.h"

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for histories");
}

void atk_traces_free(struct atk_traces *t)
{
    free(t->key);
    free(t->ptr);
    free(t->item);
    free(t->value);
    free(t->time);
    *t = (struct atk_traces){0};
}

enum err atk_traces_of(struct atk_traces *out, const struct rec_data *d,
                       const uint8_t *pick)
{
    size_t n = 0, rows = 0;

    for (size_t u = 0; u < d->n_users; u++) {
        if (pick[u]) {
            n++;
            rows += d->user_ptr[u + 1] - d->user_ptr[u];
        }
    }
    *out = (struct atk_traces){
        .n = n,
        .key = mem_array(n, sizeof(*out->key)),
        .ptr = mem_array(n + 1, sizeof(*out->ptr)),
        .item = mem_array(rows, sizeof(*out->item)),
        .value = d->value != NULL ? mem_array(rows, sizeof(*out->value)) : NULL,
        .time = d->time != NULL ? mem_array(rows, sizeof(*out->time)) : NULL,
    };
    if (out->key == NULL || out->ptr == NULL || out->item == NULL ||
        (d->value != NULL && out->value == NULL) ||
        (d->time != NULL && out->time == NULL))
        return no_memory();
    n = 0;
    for (size_t u = 0; u < d->n_users; u++) {
        size_t at = out->ptr[n];

        if (!pick[u])
            continue;
        for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++, at++) {
            out->item[at] = d->item_key[d->item[r]];
            if (d->value != NULL)
                out->value[at] = d->value[r];
            if (d->time != NULL)
                out->time[at] = d->time[r];
        }
        out->key[n++] = d->user_key[u];
        out->ptr[n] = at;
    }
    return ERR_OK;
}

/* --- from a file ------------------------------------------------------------
 */

struct entry {
    uint64_t user, item;
    int64_t time;
    float value;
    uint32_t number; /* of the user in the file */
};

/* Of two rows of one item the later comes first, then the one of greater
 * value: the row that an import would keep. */
static int by_user_item(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->user != y->user)
        return x->user < y->user ? -1 : 1;
    if (x->item != y->item)
        return x->item < y->item ? -1 : 1;
    if (x->time != y->time)
        return x->time > y->time ? -1 : 1;
    return (x->value < y->value) - (x->value > y->value);
}

static enum err fill_from(struct atk_traces *out, char **id,
                          const struct sto_import *im, struct entry *e)
{
    size_t rows = 0;
    bool valued = false, timed = false;

    for (size_t r = 0; r < im->n; r++)
        e[r] = (struct entry){im->users.key[im->user[r]],
                              im->items.key[im->item[r]], im->time[r],
                              im->value[r], im->user[r]};
    qsort(e, im->n, sizeof(*e), by_user_item);
    for (size_t r = 0; r < im->n; r++) {
        const bool fresh = r == 0 || e[r].user != e[r - 1].user;

        if (fresh) {
            id[out->n] =
                mem_text(im->users.arena + im->users.text[e[r].number]);
            if (id[out->n] == NULL)
                return no_memory();
            out->key[out->n++] = e[r].user;
        }
        if (fresh || e[r].item != e[r - 1].item) {
            out->value[rows] = e[r].value;
            valued = valued || e[r].value < 1 || e[r].value > 1;
            out->time[rows] = e[r].time;
            timed = timed || e[r].time != STO_NO_TIME;
            out->item[rows++] = e[r].item;
        }
        out->ptr[out->n] = rows;
    }
    if (!valued) {
        free(out->value);
        out->value = NULL;
    }
    if (!timed) {
        free(out->time);
        out->time = NULL;
    }
    return ERR_OK;
}

enum err atk_traces_read(struct atk_traces *out, char ***id, const char *path)
{
    const struct sto_import_opts opts = {.format = STO_AUTO};
    struct sto_import *im = NULL;
    struct entry *entries = NULL;

    *out = (struct atk_traces){0};
    *id = NULL;
    enum err e = sto_import_new(&im, &opts);

    if (e == ERR_OK)
        e = sto_import_read(im, path);
    if (e == ERR_OK) {
        entries = mem_array(im->n, sizeof(*entries));
        *id = mem_array(im->users.n, sizeof(**id));
        out->key = mem_array(im->users.n, sizeof(*out->key));
        out->ptr = mem_array(im->users.n + 1, sizeof(*out->ptr));
        out->item = mem_array(im->n, sizeof(*out->item));
        out->value = mem_array(im->n, sizeof(*out->value));
        out->time = mem_array(im->n, sizeof(*out->time));
        if (entries == NULL || *id == NULL || out->key == NULL ||
            out->ptr == NULL || out->item == NULL || out->value == NULL ||
            out->time == NULL)
            e = no_memory();
    }
    if (e == ERR_OK)
        e = fill_from(out, *id, im, entries);
    free(entries);
    sto_import_free(im);
    return e;
}

/* --- with others -------------------------------------------------------------
 */

static int by_key(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* a and b in ascending order, each key once; returns how many. */
static size_t unite(uint64_t *out, const uint64_t *a, size_t n,
                    const uint64_t *b, size_t m)
{
    size_t k = 0;

    memcpy(out, a, n * sizeof(*out));
    memcpy(out + n, b, m * sizeof(*out));
    qsort(out, n + m, sizeof(*out), by_key);
    for (size_t i = 0; i < n + m; i++) {
        if (k == 0 || out[k - 1] != out[i])
            out[k++] = out[i];
    }
    return k;
}

/* Both sides' rows ascend by the keys of items, and nobody is on both. */
static enum err join_rows(struct rec_data *out, const struct rec_data *d,
                          const struct atk_traces *t)
{
    const size_t rows = d->n_rows + t->ptr[t->n];
    const bool valued = d->value != NULL || t->value != NULL;
    const bool timed = d->time != NULL || t->time != NULL;

    out->user_ptr = mem_array(out->n_users + 1, sizeof(*out->user_ptr));
    out->item = mem_array(rows, sizeof(*out->item));
    out->value = valued ? mem_array(rows, sizeof(*out->value)) : NULL;
    out->time = timed ? mem_array(rows, sizeof(*out->time)) : NULL;
    if (out->user_ptr == NULL || out->item == NULL ||
        (valued && out->value == NULL) || (timed && out->time == NULL))
        return no_memory();
    for (size_t u = 0; u < out->n_users; u++) {
        const uint32_t a =
            rec_key_find(d->user_key, d->n_users, out->user_key[u]);
        const bool there = a != REC_NOBODY;
        const uint32_t b =
            there ? 0 : rec_key_find(t->key, t->n, out->user_key[u]);
        const float *value = there ? d->value : t->value;
        const int64_t *time = there ? d->time : t->time;
        const size_t end = there ? d->user_ptr[a + 1] : t->ptr[b + 1];

        for (size_t r = there ? d->user_ptr[a] : t->ptr[b]; r < end; r++) {
            const uint64_t key = there ? d->item_key[d->item[r]] : t->item[r];

            if (valued)
                out->value[out->n_rows] = value != NULL ? value[r] : 1;
            if (timed)
                out->time[out->n_rows] = time != NULL ? time[r] : STO_NO_TIME;
            out->item[out->n_rows++] =
                rec_key_find(out->item_key, out->n_items, key);
        }
        out->user_ptr[u + 1] = out->n_rows;
    }
    return ERR_OK;
}

/* Who of d is public, and what its catalogue says. */
static enum err join_extras(struct rec_data *out, const struct rec_data *d)
{
    if (d->open != NULL && (out->open = mem_array(out->n_users, 1)) == NULL)
        return no_memory();
    for (size_t u = 0; u < d->n_users && d->open != NULL; u++)
        out->open[rec_key_find(out->user_key, out->n_users, d->user_key[u])] =
            d->open[u];
    if (d->trait_ptr == NULL)
        return ERR_OK;
    const size_t n = d->trait_ptr[d->n_items];

    out->trait_ptr = mem_array(out->n_items + 1, sizeof(*out->trait_ptr));
    out->trait = mem_array(n, sizeof(*out->trait));
    if (out->trait_ptr == NULL || out->trait == NULL)
        return no_memory();
    memcpy(out->trait, d->trait, n * sizeof(*d->trait)); /* both ascend */
    for (size_t i = 0, k = 0; i < out->n_items; i++) {
        k += k < d->n_items && d->item_key[k] == out->item_key[i];
        out->trait_ptr[i + 1] = d->trait_ptr[k];
    }
    return ERR_OK;
}

enum err atk_traces_join(struct rec_data *out, const struct rec_data *d,
                         const struct atk_traces *t)
{
    struct mem_scratch m = {0};
    const size_t rows = t->ptr[t->n];
    uint64_t *user = mem_take(&m, d->n_users + t->n, 1, sizeof(*user));
    uint64_t *item = mem_take(&m, d->n_items + rows, 1, sizeof(*item));
    enum err e = m.failed ? no_memory() : ERR_OK;

    *out = (struct rec_data){0};
    for (size_t u = 0; u < t->n && e == ERR_OK; u++) {
        if (rec_key_find(d->user_key, d->n_users, t->key[u]) != REC_NOBODY)
            e = err_set(ERR_ARG, "somebody of the file is in the store: they "
                                 "were not forgotten, or came back");
    }
    if (e == ERR_OK) {
        const size_t n = unite(user, d->user_key, d->n_users, t->key, t->n);
        const size_t i = unite(item, d->item_key, d->n_items, t->item, rows);

        e = rec_data_copy_keys(out, user, n, item, i);
    }
    if (e == ERR_OK)
        e = join_rows(out, d, t);
    if (e == ERR_OK)
        e = join_extras(out, d);
    mem_drop(&m);
    return e;
}
