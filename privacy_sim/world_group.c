/* privacy_sim/world_group.c - people alike. */
#include "privacy_sim/world_group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for the groups of a simulation");
}

static int by_key(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Five parts of equal size by the length of the profile. */
static enum err group_by_activity(struct sim_world *w, struct mem_scratch *m)
{
    const size_t n = w->all.n_users;
    uint64_t *order = mem_take(m, n, 1, sizeof(*order));

    w->group_name = mem_array(5, sizeof(*w->group_name));
    if (m->failed || w->group_name == NULL)
        return no_memory();
    for (size_t u = 0; u < n; u++) /* length first, then the person's number */
        order[u] =
            (uint64_t)(w->all.user_ptr[u + 1] - w->all.user_ptr[u]) << 32 | u;
    qsort(order, n, sizeof(*order), by_key);
    for (size_t k = 0; k < n; k++)
        w->group[order[k] & UINT32_MAX] = (uint32_t)(5 * k / n);
    for (; w->n_groups < 5; w->n_groups++) {
        char text[40];
        const size_t first = (w->n_groups * n + 4) / 5;

        (void)snprintf(text, sizeof(text), "%zu: from %llu rows",
                       w->n_groups + 1,
                       (unsigned long long)(order[first] >> 32));
        w->group_name[w->n_groups] = mem_text(text);
        if (w->group_name[w->n_groups] == NULL)
            return no_memory();
    }
    return ERR_OK;
}

static enum err group_by_value(struct sim_world *w, char *const *value,
                               struct mem_scratch *m)
{
    const size_t n = w->all.n_users;
    char **sorted = mem_take(m, n, 1, sizeof(*sorted));

    if (m->failed)
        return no_memory();
    memcpy(sorted, value, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), by_text);
    w->group_name = mem_array(n, sizeof(*w->group_name));
    if (w->group_name == NULL)
        return no_memory();
    for (size_t u = 0; u < n; u++) {
        if (u > 0 && strcmp(sorted[u], sorted[u - 1]) == 0)
            continue;
        w->group_name[w->n_groups] = mem_text(sorted[u]);
        if (w->group_name[w->n_groups++] == NULL)
            return no_memory();
    }
    for (size_t u = 0; u < n; u++) {
        char *const *at = bsearch(&value[u], w->group_name, w->n_groups,
                                  sizeof(*w->group_name), by_text);

        w->group[u] = (uint32_t)(at - w->group_name);
    }
    return ERR_OK;
}

enum err sim_world_group(struct sim_world *w, char *const *value,
                         struct mem_scratch *m)
{
    return value == NULL ? group_by_activity(w, m)
                         : group_by_value(w, value, m);
}
