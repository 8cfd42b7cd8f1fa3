/* rec/counts.c - what people have met together, as whole numbers. */
#include "rec/counts.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/par.h"

#define ITEMS 32 /* rows of the triangle of a task */

enum err rec_counts_new(struct rec_counts *out, size_t n_items)
{
    const double pairs = 0.5 * (double)n_items * ((double)n_items + 1);

    *out = (struct rec_counts){.n_items = n_items};
    ERR_TRY(mem_budget(pairs * sizeof(*out->pair), "counts of pairs of items"));
    out->pair = mem_array(n_items * (n_items + 1) / 2, sizeof(*out->pair));
    return out->pair == NULL
               ? err_set(ERR_NOMEM, "no memory for counts of pairs of items")
               : ERR_OK;
}

void rec_counts_free(struct rec_counts *c)
{
    free(c->pair);
    *c = (struct rec_counts){.n_items = 0};
}

struct work {
    struct rec_counts *c;
    const struct rec_count_change *list;
    size_t n;
};

static size_t first_from(const struct rec_count_change *x, size_t item)
{
    size_t lo = 0, hi = x->n;

    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;

        if (x->item[mid] < item)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Everybody's pairs whose larger item is in the task's rows. */
static void change_task(void *arg, size_t task, size_t thread)
{
    const struct work *w = arg;
    const size_t last = (task + 1) * ITEMS;

    (void)thread;
    for (size_t p = 0; p < w->n; p++) {
        const struct rec_count_change *x = &w->list[p];

        for (size_t a = first_from(x, task * ITEMS);
             a < x->n && x->item[a] < last; a++) {
            const size_t i = x->item[a];
            uint64_t *row = w->c->pair + i * (i + 1) / 2;

            for (size_t b = 0; b <= a; b++)
                row[x->item[b]] += x->weight;
        }
    }
}

void rec_counts_change(struct rec_counts *c,
                       const struct rec_count_change *list, size_t n)
{
    struct work w = {c, list, n};

    if (n > 0)
        par_for((c->n_items + ITEMS - 1) / ITEMS, change_task, &w);
}
