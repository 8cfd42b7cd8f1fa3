/* attack/plant.c - a case in which lists give membership away. */
#include <stdlib.h>
#include <string.h>

#include "attack/features.h"
#include "attack/judge.h"
#include "base/mem.h"

struct ranked {
    double log_count;
    uint32_t item;
};

static int by_count(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->log_count != y->log_count)
        return x->log_count < y->log_count ? 1 : -1;
    return (x->item > y->item) - (x->item < y->item);
}

static enum err copy_people(struct atk_people *to, const struct atk_people *p)
{
    ERR_TRY(atk_people_take(to, p->n, p->hist_ptr[p->n], p->list_ptr[p->n]));
    to->n_members = p->n_members;
    memcpy(to->key, p->key, p->n * sizeof(*p->key));
    memcpy(to->member, p->member, p->n);
    memcpy(to->hist_ptr, p->hist_ptr, (p->n + 1) * sizeof(*p->hist_ptr));
    memcpy(to->list_ptr, p->list_ptr, (p->n + 1) * sizeof(*p->list_ptr));
    memcpy(to->hist, p->hist, p->hist_ptr[p->n] * sizeof(*p->hist));
    memcpy(to->list, p->list, p->list_ptr[p->n] * sizeof(*p->list));
    return ERR_OK;
}

static enum err plant(struct atk_people *p, size_t n_items)
{
    struct mem_scratch m = {0};
    double *log_count = mem_take(&m, n_items, 1, sizeof(*log_count));
    struct ranked *order = mem_take(&m, n_items, 1, sizeof(*order));

    if (m.failed) {
        mem_drop(&m);
        return err_set(ERR_NOMEM, "no memory for a positive control");
    }
    atk_popularity(p, n_items, log_count);
    for (size_t i = 0; i < n_items; i++)
        order[i] = (struct ranked){log_count[i], (uint32_t)i};
    qsort(order, n_items, sizeof(*order), by_count);
    for (size_t u = 0; u < p->n; u++) {
        const size_t k = p->list_ptr[u + 1] - p->list_ptr[u];
        const size_t h = p->hist_ptr[u + 1] - p->hist_ptr[u];
        uint32_t *list = p->list + p->list_ptr[u];

        for (size_t i = 0; i < k; i++) {
            if (p->member[u] && h > 0)
                list[i] = p->hist[p->hist_ptr[u] + i % h];
            else if (!p->member[u])
                list[i] = order[i % n_items].item;
        }
    }
    mem_drop(&m);
    return ERR_OK;
}

static enum err copy_items(struct atk_items *to, const struct atk_items *t)
{
    *to = (struct atk_items){
        .n = t->n, .dim = t->dim, .key = mem_array(t->n, sizeof(*t->key))};
    if (to->key == NULL)
        return err_set(ERR_NOMEM, "no memory for a positive control");
    memcpy(to->key, t->key, t->n * sizeof(*t->key));
    if (t->vec == NULL)
        return ERR_OK;
    to->vec = mem_array(t->n * t->dim, sizeof(*t->vec));
    to->known = mem_array(t->n, 1);
    if (to->vec == NULL || to->known == NULL)
        return err_set(ERR_NOMEM, "no memory for a positive control");
    memcpy(to->vec, t->vec, t->n * t->dim * sizeof(*t->vec));
    memcpy(to->known, t->known, t->n);
    return ERR_OK;
}

enum err atk_plant_lists(struct atk_case *out, const struct atk_case *c)
{
    *out = (struct atk_case){
        .seed = c->seed, .faithful = c->faithful, .epochs = c->epochs};
    ERR_TRY(copy_items(&out->items, &c->items));
    ERR_TRY(copy_people(&out->target, &c->target));
    ERR_TRY(plant(&out->target, c->items.n));
    if (c->shadow.n == 0)
        return ERR_OK;
    ERR_TRY(copy_people(&out->shadow, &c->shadow));
    return plant(&out->shadow, c->items.n);
}
