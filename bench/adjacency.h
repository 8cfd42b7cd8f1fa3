/* bench/adjacency.h - files of `user item item ...` lines as rec_data. */
#ifndef BENCH_ADJACENCY_H
#define BENCH_ADJACENCY_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/key.h"
#include "base/mem.h"
#include "kernels/sort.h"
#include "rec/data.h"

struct pairs {
    uint32_t *user, *item;
    size_t n, user_room, item_room;
};

static inline void bench_die(const char *what)
{
    (void)fprintf(stderr, "%s: %s\n", what, err_note());
    exit(1);
}

static inline void pairs_add(struct pairs *p, unsigned long u, unsigned long i)
{
    if (mem_grow(&p->user, &p->user_room, p->n + 1, 4) != ERR_OK ||
        mem_grow(&p->item, &p->item_room, p->n + 1, 4) != ERR_OK)
        bench_die("reading");
    p->user[p->n] = (uint32_t)u;
    p->item[p->n++] = (uint32_t)i;
}

/* A file, or several with commas between their names. */
static inline void pairs_read(struct pairs *p, const char *names)
{
    char *copy = mem_text(names), *name = copy, *line = NULL;
    size_t room = 0;

    for (char *next = NULL; name != NULL; name = next) {
        next = strchr(name, ',');
        if (next != NULL)
            *next++ = '\0';
        FILE *f = fopen(name, "r");

        if (f == NULL) {
            perror(name);
            exit(1);
        }
        while (getline(&line, &room, f) > 0) {
            char *end, *at = line;
            const unsigned long u = strtoul(at, &end, 10);

            for (at = end; at > line; at = end) {
                const unsigned long i = strtoul(at, &end, 10);

                if (end == at)
                    break;
                pairs_add(p, u, i);
            }
        }
        (void)fclose(f);
    }
    free(line);
    free(copy);
}

static inline uint64_t number_key(uint32_t number)
{
    char text[16];
    const int n = snprintf(text, sizeof(text), "%u", number);

    return key_of(text, (size_t)n);
}

/* The ascending distinct keys of number[0..n). */
static inline uint64_t *pairs_keys(const uint32_t *number, size_t n,
                                   size_t *n_keys)
{
    uint64_t *key = mem_array(n, 8), *tmp = mem_array(n, 8);

    if (key == NULL || tmp == NULL)
        bench_die("keys");
    for (size_t r = 0; r < n; r++)
        key[r] = number_key(number[r]);
    krn_sort_u64(key, NULL, tmp, NULL, n);
    *n_keys = 0;
    for (size_t r = 0; r < n; r++) {
        if (r == 0 || key[r] != key[r - 1])
            key[(*n_keys)++] = key[r];
    }
    free(tmp);
    return key;
}

/* The rows of p in the universe of `like`, or in their own. */
static inline struct rec_data pairs_data(const struct pairs *p,
                                         const struct rec_data *like)
{
    struct rec_data d = {0};
    uint64_t *cell = mem_array(p->n, 8), *tmp = mem_array(p->n, 8);
    size_t n = 0;

    if (like != NULL) {
        if (rec_data_copy_keys(&d, like->user_key, like->n_users,
                               like->item_key, like->n_items) != ERR_OK)
            bench_die("keys");
    } else {
        d.user_key = pairs_keys(p->user, p->n, &d.n_users);
        d.item_key = pairs_keys(p->item, p->n, &d.n_items);
    }
    d.lost = mem_array(d.n_users, 4);
    d.user_ptr = mem_array(d.n_users + 1, sizeof(size_t));
    if (cell == NULL || tmp == NULL || d.lost == NULL || d.user_ptr == NULL)
        bench_die("rows");
    for (size_t r = 0; r < p->n; r++) {
        const uint64_t u =
            rec_key_find(d.user_key, d.n_users, number_key(p->user[r]));
        const uint32_t i =
            rec_key_find(d.item_key, d.n_items, number_key(p->item[r]));

        if (u != REC_NOBODY && i == REC_NOBODY)
            d.lost[u]++;
        else if (u != REC_NOBODY)
            cell[n++] = u << 32 | i;
    }
    krn_sort_u64(cell, NULL, tmp, NULL, n);
    free(tmp);
    d.item = mem_array(n, 4);
    if (d.item == NULL)
        bench_die("rows");
    for (size_t r = 0; r < n; r++) {
        if (r > 0 && cell[r] == cell[r - 1])
            continue;
        d.item[d.n_rows++] = (uint32_t)cell[r];
        d.user_ptr[(cell[r] >> 32) + 1]++;
    }
    for (size_t u = 0; u < d.n_users; u++)
        d.user_ptr[u + 1] += d.user_ptr[u];
    free(cell);
    return d;
}

#endif
