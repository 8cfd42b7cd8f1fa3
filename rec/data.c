/* rec/data.c - matrices in memory: finding, copying, parts, columns. */
#include "rec/data.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

uint32_t rec_key_find(const uint64_t *keys, size_t n, uint64_t key)
{
    size_t lo = 0, hi = n, step = 1;
    size_t at = (size_t)((unsigned __int128)key * n >> 64);

    if (n == 0)
        return REC_NOBODY;
    /* gallop away from the guess until lo <= position < hi */
    if (keys[at] <= key) {
        for (lo = at; at + step < n && keys[at + step] <= key; step *= 2)
            lo = at + step;
        hi = at + step < n ? at + step : n;
    } else {
        for (hi = at; step <= at && keys[at - step] > key; step *= 2)
            hi = at - step;
        lo = step <= at ? at - step : 0;
    }
    while (hi - lo > 1) {
        const size_t mid = lo + (hi - lo) / 2;

        if (keys[mid] <= key)
            lo = mid;
        else
            hi = mid;
    }
    return keys[lo] == key ? (uint32_t)lo : REC_NOBODY;
}

void rec_data_free(struct rec_data *d)
{
    if (d == NULL)
        return;
    free(d->user_key);
    free(d->item_key);
    free(d->user_ptr);
    free(d->item);
    free(d->value);
    free(d->time);
    free(d->lost);
    free(d->open);
    free(d->trait_ptr);
    free(d->trait);
    free(d->group_ptr);
    free(d->group);
    memset(d, 0, sizeof(*d));
}

static void *data_copy(const void *from, size_t n, size_t size)
{
    void *to = mem_array(n, size);

    if (to != NULL && n > 0)
        memcpy(to, from, n * size);
    return to;
}

enum err rec_data_copy_keys(struct rec_data *d, const uint64_t *user_key,
                            size_t n_users, const uint64_t *item_key,
                            size_t n_items)
{
    d->n_users = n_users;
    d->n_items = n_items;
    d->user_key = data_copy(user_key, n_users, sizeof(*user_key));
    d->item_key = data_copy(item_key, n_items, sizeof(*item_key));
    if (d->user_key == NULL || d->item_key == NULL)
        return err_set(ERR_NOMEM,
                       "no memory for the keys of %zu people and "
                       "%zu items",
                       n_users, n_items);
    return ERR_OK;
}

static enum err data_nomem(size_t rows)
{
    return err_set(ERR_NOMEM, "no memory for %zu interactions", rows);
}

/* --- parts ------------------------------------------------------------------
 */

enum err rec_data_copy_traits(struct rec_data *out, const struct rec_data *d)
{
    if (d->trait_ptr == NULL)
        return ERR_OK;
    out->trait_ptr =
        data_copy(d->trait_ptr, d->n_items + 1, sizeof(*d->trait_ptr));
    out->trait =
        data_copy(d->trait, d->trait_ptr[d->n_items], sizeof(*d->trait));
    return out->trait_ptr != NULL && out->trait != NULL ? ERR_OK
                                                        : data_nomem(d->n_rows);
}

/* The same people's attributes. */
static enum err copy_groups(struct rec_data *out, const struct rec_data *d)
{
    if (d->group_ptr == NULL)
        return ERR_OK;
    out->group_ptr =
        data_copy(d->group_ptr, d->n_users + 1, sizeof(*d->group_ptr));
    out->group =
        data_copy(d->group, d->group_ptr[d->n_users], sizeof(*d->group));
    return out->group_ptr != NULL && out->group != NULL ? ERR_OK
                                                        : data_nomem(d->n_rows);
}

static enum err subset_room(struct rec_data *s, const struct rec_data *d)
{
    ERR_TRY(rec_data_copy_keys(s, d->user_key, d->n_users, d->item_key,
                               d->n_items));
    s->user_ptr = mem_array(s->n_users + 1, sizeof(*s->user_ptr));
    s->item = mem_array(s->n_rows, sizeof(*s->item));
    if (d->value != NULL)
        s->value = mem_array(s->n_rows, sizeof(*s->value));
    if (d->time != NULL)
        s->time = mem_array(s->n_rows, sizeof(*s->time));
    if (d->lost != NULL)
        s->lost = data_copy(d->lost, d->n_users, sizeof(*s->lost));
    if (d->open != NULL)
        s->open = data_copy(d->open, d->n_users, sizeof(*s->open));
    ERR_TRY(rec_data_copy_traits(s, d));
    ERR_TRY(copy_groups(s, d));
    if (s->user_ptr == NULL || s->item == NULL ||
        (d->value != NULL && s->value == NULL) ||
        (d->time != NULL && s->time == NULL) ||
        (d->lost != NULL && s->lost == NULL) ||
        (d->open != NULL && s->open == NULL))
        return data_nomem(s->n_rows);
    return ERR_OK;
}

enum err rec_data_subset(struct rec_data *out, const struct rec_data *d,
                         const uint8_t *keep)
{
    struct rec_data s = {0};
    size_t n = 0;

    for (size_t r = 0; r < d->n_rows; r++)
        s.n_rows += keep[r] != 0;
    if (subset_room(&s, d) != ERR_OK) {
        rec_data_free(&s);
        return ERR_NOMEM;
    }
    for (size_t u = 0; u < d->n_users; u++) {
        for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++) {
            if (!keep[r])
                continue;
            s.item[n] = d->item[r];
            if (s.value != NULL)
                s.value[n] = d->value[r];
            if (s.time != NULL)
                s.time[n] = d->time[r];
            n++;
        }
        s.user_ptr[u + 1] = n;
    }
    *out = s;
    return ERR_OK;
}

/* Move attributes of person u to number n <= u, from group `at` on; returns
 * where they end. */
static size_t keep_groups(struct rec_data *d, size_t n, size_t u, size_t at)
{
    const size_t first = d->group_ptr[u], end = d->group_ptr[u + 1];

    d->group_ptr[n] = at; /* n <= u: read before written */
    for (size_t g = first; g < end; g++)
        d->group[at++] = d->group[g];
    return at;
}

/* Keep the people that have rows. */
static void drop_empty_users(struct rec_data *d)
{
    size_t n = 0, groups = 0;

    for (size_t u = 0; u < d->n_users; u++) {
        const size_t end = d->user_ptr[u + 1];

        if (end == d->user_ptr[u])
            continue;
        if (d->group_ptr != NULL)
            groups = keep_groups(d, n, u, groups);
        d->user_key[n] = d->user_key[u];
        if (d->lost != NULL)
            d->lost[n] = d->lost[u];
        if (d->open != NULL)
            d->open[n] = d->open[u];
        d->user_ptr[++n] = end; /* n <= u + 1: read before written */
    }
    if (d->group_ptr != NULL)
        d->group_ptr[n] = groups;
    d->n_users = n;
}

/* Attributes of the items that have a row (place[i] != 0). */
static void drop_traits(struct rec_data *d, const uint32_t *place)
{
    size_t n = 0, at = 0;

    for (size_t i = 0; i < d->n_items; i++) {
        const size_t first = d->trait_ptr[i], end = d->trait_ptr[i + 1];

        if (place[i] == 0)
            continue;
        d->trait_ptr[n++] = at; /* n <= i: read before written */
        for (size_t t = first; t < end; t++)
            d->trait[at++] = d->trait[t];
    }
    d->trait_ptr[n] = at;
}

/* Keep the items that have rows, or (listed) attributes; place[n_items] is
 * scratch, zeroed. */
static void drop_empty_items(struct rec_data *d, uint32_t *place, bool listed)
{
    uint32_t n = 0;

    for (size_t r = 0; r < d->n_rows; r++)
        place[d->item[r]] = 1;
    for (size_t i = 0; i < d->n_items && listed && d->trait_ptr != NULL; i++)
        place[i] |= d->trait_ptr[i] < d->trait_ptr[i + 1];
    if (d->trait_ptr != NULL)
        drop_traits(d, place);
    for (size_t i = 0; i < d->n_items; i++) {
        if (place[i] == 0)
            continue;
        d->item_key[n] = d->item_key[i];
        place[i] = n++;
    }
    for (size_t r = 0; r < d->n_rows; r++)
        d->item[r] = place[d->item[r]];
    d->n_items = n;
}

static void drop_plain_values(struct rec_data *d)
{
    bool plain = true;

    for (size_t r = 0; d->value != NULL && r < d->n_rows; r++)
        plain = plain && d->value[r] == 1.0f;
    if (plain) {
        free(d->value);
        d->value = NULL;
    }
    plain = true;
    for (size_t r = 0; d->time != NULL && r < d->n_rows; r++)
        plain = plain && d->time[r] == INT64_MIN;
    if (plain) {
        free(d->time);
        d->time = NULL;
    }
}

static enum err compact(struct rec_data *out, const struct rec_data *d,
                        const uint8_t *keep, bool listed)
{
    uint32_t *place = mem_array(d->n_items, sizeof(*place));
    enum err e;

    if (place == NULL)
        return data_nomem(d->n_rows);
    e = rec_data_subset(out, d, keep);
    if (e == ERR_OK) {
        drop_empty_users(out);
        drop_empty_items(out, place, listed);
        drop_plain_values(out);
    }
    free(place);
    return e;
}

enum err rec_data_compact(struct rec_data *out, const struct rec_data *d,
                          const uint8_t *keep)
{
    return compact(out, d, keep, false);
}

enum err rec_data_compact_listed(struct rec_data *out, const struct rec_data *d,
                                 const uint8_t *keep)
{
    return compact(out, d, keep, true);
}

enum err rec_data_same_items(struct rec_data *out, const struct rec_data *d,
                             const uint8_t *keep)
{
    const enum err e = rec_data_subset(out, d, keep);

    if (e == ERR_OK)
        drop_empty_users(out);
    return e;
}

bool rec_data_has(const struct rec_data *d, size_t u, uint32_t item)
{
    size_t lo = d->user_ptr[u], hi = d->user_ptr[u + 1];

    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;

        if (d->item[mid] < item)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < d->user_ptr[u + 1] && d->item[lo] == item;
}

size_t rec_data_most_rows(const struct rec_data *d)
{
    size_t most = 0;

    for (size_t u = 0; u < d->n_users; u++) {
        const size_t n = d->user_ptr[u + 1] - d->user_ptr[u];

        most = n > most ? n : most;
    }
    return most;
}

void rec_data_digest(const struct rec_data *d,
                     unsigned char digest[KEY_DIGEST_BYTES])
{
    const uint64_t shape[5] = {d->n_users, d->n_items, d->n_rows,
                               d->value != NULL, d->time != NULL};
    struct key_digest k;

    key_digest_init(&k);
    key_digest_add(&k, shape, sizeof(shape));
    key_digest_add(&k, d->user_key, d->n_users * sizeof(*d->user_key));
    key_digest_add(&k, d->item_key, d->n_items * sizeof(*d->item_key));
    key_digest_add(&k, d->user_ptr, (d->n_users + 1) * sizeof(*d->user_ptr));
    key_digest_add(&k, d->item, d->n_rows * sizeof(*d->item));
    if (d->value != NULL)
        key_digest_add(&k, d->value, d->n_rows * sizeof(*d->value));
    if (d->time != NULL)
        key_digest_add(&k, d->time, d->n_rows * sizeof(*d->time));
    key_digest_end(&k, digest);
}

void rec_data_holdout(const struct rec_data *d, double share, uint64_t seed,
                      uint8_t *keep)
{
    for (size_t u = 0; u < d->n_users; u++) {
        uint32_t most = 0;
        size_t last = d->user_ptr[u], kept = 0;

        for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++) {
            const uint32_t draw = rng_pair(seed, RNG_HOLDOUT, d->user_key[u],
                                           d->item_key[d->item[r]])
                                      .v[0];

            keep[r] = (double)draw * 0x1p-32 >= share;
            kept += keep[r];
            if (draw >= most) {
                most = draw;
                last = r;
            }
        }
        if (kept == 0 && d->user_ptr[u] < d->user_ptr[u + 1])
            keep[last] = 1;
    }
}

/* --- by item ----------------------------------------------------------------
 */

void rec_columns_free(struct rec_columns *c)
{
    if (c == NULL)
        return;
    free(c->ptr);
    free(c->user);
    free(c->row);
    memset(c, 0, sizeof(*c));
}

enum err rec_columns_build(struct rec_columns *out, const struct rec_data *d)
{
    struct rec_columns c = {mem_array(d->n_items + 2, sizeof(*c.ptr)),
                            mem_array(d->n_rows, sizeof(*c.user)),
                            mem_array(d->n_rows, sizeof(*c.row))};

    if (c.ptr == NULL || c.user == NULL || c.row == NULL) {
        rec_columns_free(&c);
        return data_nomem(d->n_rows);
    }
    /* ptr[i + 2] counts, then ptr[i + 1] is where item i writes next */
    for (size_t r = 0; r < d->n_rows; r++)
        c.ptr[d->item[r] + (size_t)2]++;
    for (size_t i = 2; i <= d->n_items; i++)
        c.ptr[i] += c.ptr[i - 1];
    for (size_t u = 0; u < d->n_users; u++) {
        for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++) {
            const size_t at = c.ptr[d->item[r] + (size_t)1]++;

            c.user[at] = (uint32_t)u;
            c.row[at] = r;
        }
    }
    *out = c;
    return ERR_OK;
}
