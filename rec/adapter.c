/* rec/adapter.c - EASE on a few people, in its dual form. */
#include "rec/adapter.h"

#include <math.h>
#include <stdlib.h>

#include "base/la.h"
#include "base/mem.h"

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for an adapter");
}

void rec_adapter_drop(struct rec_adapter *a)
{
    free(a->inverse);
    free(a->gap);
    free(a->ptr);
    free(a->who);
    a->ready = false;
    a->inverse = a->gap = NULL;
    a->ptr = NULL;
    a->who = NULL;
}

static enum err index_members(struct rec_adapter *a, const uint64_t *ptr,
                              const uint32_t *item, size_t n_items)
{
    uint64_t total = 0;

    for (size_t k = 0; k < a->n; k++)
        total += ptr[a->user[k] + 1] - ptr[a->user[k]];
    a->ptr = mem_array(n_items + 2, sizeof(*a->ptr));
    a->who = mem_array((size_t)total, sizeof(*a->who));
    if (a->ptr == NULL || a->who == NULL)
        return no_memory();
    for (size_t k = 0; k < a->n; k++) {
        for (uint64_t r = ptr[a->user[k]]; r < ptr[a->user[k] + 1]; r++)
            a->ptr[item[r] + 2]++;
    }
    for (size_t i = 0; i < n_items; i++)
        a->ptr[i + 2] += a->ptr[i + 1];
    for (size_t k = 0; k < a->n; k++) {
        for (uint64_t r = ptr[a->user[k]]; r < ptr[a->user[k] + 1]; r++)
            a->who[a->ptr[item[r] + 1]++] = (uint32_t)k;
    }
    return ERR_OK;
}

/* X X^T, lower triangle: how many items two members share. */
static void count_shared(const struct rec_adapter *a, size_t n_items, float reg)
{
    for (size_t i = 0; i < n_items; i++) {
        for (size_t x = a->ptr[i]; x < a->ptr[i + 1]; x++) {
            float *row = a->inverse + a->who[x] * a->n;

            for (size_t y = a->ptr[i]; y <= x; y++)
                row[a->who[y]] += 1;
        }
    }
    for (size_t k = 0; k < a->n; k++)
        a->inverse[k * a->n + k] += reg;
}

static void find_gaps(const struct rec_adapter *a, size_t n_items)
{
    for (size_t i = 0; i < n_items; i++) {
        double sum = 0;

        for (size_t x = a->ptr[i]; x < a->ptr[i + 1]; x++) {
            const float *row = a->inverse + a->who[x] * a->n;
            float part = 0;

            for (size_t y = a->ptr[i]; y < x; y++)
                part += row[a->who[y]];
            sum += 2 * (double)part + (double)row[a->who[x]];
        }
        a->gap[i] = (float)fmax(1 - sum, 1e-6);
    }
}

enum err rec_adapter_build(struct rec_adapter *a, const uint64_t *ptr,
                           const uint32_t *item, size_t n_items, float reg)
{
    ERR_TRY(index_members(a, ptr, item, n_items));
    a->inverse = mem_array(a->n * a->n, sizeof(*a->inverse));
    a->gap = mem_array(n_items, sizeof(*a->gap));
    if (a->inverse == NULL || a->gap == NULL)
        return no_memory();
    count_shared(a, n_items, reg);
    if (a->n > 0)
        ERR_TRY(la_spd_inverse(a->inverse, a->n));
    find_gaps(a, n_items);
    a->ready = true;
    return ERR_OK;
}
