/* attack/alike.c - target and shadow, counted. */
#include "attack/alike.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "rec/metrics.h"

struct seen {
    uint8_t *met, *listed[2]; /* [n_items] */
    uint32_t *owner; /* [n_items] 1 + who had the item in their history last */
};

/* Person u; how many of their list are their own. */
static size_t count_person(const struct atk_people *p, size_t u, struct seen *s)
{
    size_t own = 0;

    for (size_t i = p->hist_ptr[u]; i < p->hist_ptr[u + 1]; i++) {
        s->met[p->hist[i]] = 1;
        s->owner[p->hist[i]] = (uint32_t)u + 1;
    }
    for (size_t i = p->list_ptr[u]; i < p->list_ptr[u + 1]; i++) {
        s->listed[p->member[u] != 0][p->list[i]] = 1;
        own += s->owner[p->list[i]] == u + 1;
    }
    return own;
}

static size_t sum(const uint8_t *flag, size_t n)
{
    size_t k = 0;

    for (size_t i = 0; i < n; i++)
        k += flag[i];
    return k;
}

static double mean(double total, double n)
{
    return n > 0 ? total / n : 0;
}

static void count_side(struct atk_counted *c, const struct atk_people *p,
                       size_t n_items, struct seen *s)
{
    double rows[2] = {0, 0}, list[2] = {0, 0}, own[2] = {0, 0};

    for (size_t u = 0; u < p->n; u++) {
        const int m = p->member[u] != 0;

        own[m] += (double)count_person(p, u, s);
        rows[m] += (double)(p->hist_ptr[u + 1] - p->hist_ptr[u]);
        list[m] += (double)(p->list_ptr[u + 1] - p->list_ptr[u]);
        c->people[m]++;
    }
    for (int m = 0; m < 2; m++) {
        c->history[m] = mean(rows[m], (double)c->people[m]);
        c->list[m] = mean(list[m], (double)c->people[m]);
        c->own[m] = mean(own[m], list[m]);
        c->different[m] = sum(s->listed[m], n_items);
    }
    c->met = sum(s->met, n_items);
}

static int by_key(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static size_t people_of_both(const struct atk_people *a,
                             const struct atk_people *b, uint64_t *key)
{
    size_t n = 0;

    for (size_t u = 0; u < b->n; u++)
        key[u] = b->key[u];
    qsort(key, b->n, sizeof(*key), by_key);
    for (size_t u = 0; u < a->n && b->n > 0; u++)
        n += bsearch(&a->key[u], key, b->n, sizeof(*key), by_key) != NULL;
    return n;
}

enum err atk_alike(struct atk_alike *out, const struct atk_people *target,
                   const struct atk_people *shadow, size_t n_items)
{
    const struct atk_people *side[2] = {target, shadow};
    struct atk_counted *to[2] = {&out->target, &out->shadow};
    struct mem_scratch m = {0};
    struct seen s[2];
    uint64_t *key = mem_take(&m, shadow->n, 1, sizeof(*key));

    *out = (struct atk_alike){.both = 0};
    for (int i = 0; i < 2; i++)
        s[i] = (struct seen){
            mem_take(&m, n_items, 1, 1),
            {mem_take(&m, n_items, 1, 1), mem_take(&m, n_items, 1, 1)},
            mem_take(&m, n_items, 1, sizeof(*s[i].owner)),
        };
    if (m.failed) {
        mem_drop(&m);
        return err_set(ERR_NOMEM, "no memory to compare target and shadow");
    }
    for (int i = 0; i < 2; i++)
        count_side(to[i], side[i], n_items, &s[i]);
    for (size_t i = 0; i < n_items; i++)
        out->both += s[0].met[i] && s[1].met[i];
    out->people = people_of_both(target, shadow, key);
    mem_drop(&m);
    return ERR_OK;
}

void atk_useful(struct atk_useful *out, const struct atk_people *p,
                const struct rec_data *held, size_t cut)
{
    *out = (struct atk_useful){.people = {0, 0}};
    for (size_t u = 0; u < p->n; u++) {
        const uint32_t at =
            rec_key_find(held->user_key, held->n_users, p->key[u]);
        const size_t first = at == REC_NOBODY ? 0 : held->user_ptr[at];
        const size_t rows =
            at == REC_NOBODY ? 0 : held->user_ptr[at + 1] - first;
        const size_t lost = rows > 0 && held->lost != NULL ? held->lost[at] : 0;
        const int m = p->member[u] != 0;
        double metric[REC_METRICS];

        if (rows == 0)
            continue;
        rec_metrics_one(p->list + p->list_ptr[u],
                        p->list_ptr[u + 1] - p->list_ptr[u], held->item + first,
                        rows, lost, cut, metric);
        out->recall[m] += metric[REC_RECALL];
        out->ndcg[m] += metric[REC_NDCG];
        out->people[m]++;
    }
    for (int m = 0; m < 2; m++) {
        out->recall[m] = mean(out->recall[m], (double)out->people[m]);
        out->ndcg[m] = mean(out->ndcg[m], (double)out->people[m]);
    }
}

void atk_counted_say(const struct atk_counted *c, bool lists, char *text,
                     size_t size)
{
    const int n = snprintf(
        text, size,
        "%zu members and %zu others with %.1f and %.1f items in a history, %zu "
        "different ones",
        c->people[1], c->people[0], c->history[1], c->history[0], c->met);

    if (lists && n > 0 && (size_t)n < size)
        (void)snprintf(text + n, size - (size_t)n,
                       "; lists of %.1f and %.1f items, %zu and %zu different "
                       "ones, of which %.1f %% and %.1f %% are in the owner's "
                       "history",
                       c->list[1], c->list[0], c->different[1], c->different[0],
                       100 * c->own[1], 100 * c->own[0]);
}
