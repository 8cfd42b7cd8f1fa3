/*
 * nn/pattern_gs.c - gather-scatter: packs whose columns are in different banks.
 *
 * The rows of a group are served together: a pack holds `each` weights of every
 * row, and no two of its columns are equal modulo `banks`, so that a memory of
 * that many banks gives all of them at once.  How many packs a group gets is
 * what a threshold on |W| leaves of it; packs are built greedily, the largest
 * weight that still fits first (Lu et al., 2021, sec. 4).  Differs: what
 * rounding to whole packs takes from a group goes to the next one, where the
 * paper rounds up, so that the matrix keeps as many weights as were asked for.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/ops.h"
#include "nn/pattern.h"

struct gs {
    const struct nn_pattern *p;
    const struct nn_matrix *w;
    uint8_t *mask;
    uint32_t
        *sorted;  /* [v][cols] columns of each row of a group, largest first */
    size_t *next; /* [v] first of sorted[] that may be free */
    size_t *owes; /* [v] of the present pack */
    uint8_t *taken; /* [banks] likewise */
};

struct sized {
    float size;
    uint32_t at;
};

static int larger(const void *a, const void *b)
{
    const struct sized *x = a, *y = b;

    if (x->size > y->size || x->size < y->size)
        return x->size > y->size ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* Weights above the threshold in each row. */
static enum err count_rows(const struct nn_matrix *w, double density,
                           uint32_t *count)
{
    const size_t n = w->rows * w->cols;
    double *score = mem_array(n, sizeof(*score));
    uint8_t *take = mem_array(n, 1);
    enum err e = score == NULL || take == NULL
                     ? err_set(ERR_NOMEM, "no memory to prune")
                     : ERR_OK;

    for (size_t i = 0; e == ERR_OK && i < n; i++)
        score[i] = (double)nn_matrix_size(w, i / w->cols, i % w->cols);
    if (e == ERR_OK)
        e = nn_pattern_best(score, n, (size_t)(density * (double)n + 0.5),
                            take);
    for (size_t i = 0; e == ERR_OK && i < n; i++)
        count[i / w->cols] += take[i];
    free(score);
    free(take);
    return e;
}

/* Rows that have as much to keep become neighbours. */
static enum err order_by_count(const struct nn_matrix *w, const uint32_t *count,
                               uint32_t *order)
{
    struct sized *row = mem_array(w->rows, sizeof(*row));

    if (row == NULL)
        return err_set(ERR_NOMEM, "no memory to prune");
    for (size_t r = 0; r < w->rows; r++)
        row[r] = (struct sized){(float)count[r], (uint32_t)r};
    qsort(row, w->rows, sizeof(*row), larger);
    for (size_t r = 0; r < w->rows; r++)
        order[r] = row[r].at;
    free(row);
    return ERR_OK;
}

static void sort_group(struct gs *s, const uint32_t *row, struct sized *room)
{
    for (size_t i = 0; i < s->p->v; i++) {
        s->next[i] = 0;
        for (size_t c = 0; c < s->w->cols && row[i] != KRN_NO_ROW; c++)
            room[c] =
                (struct sized){nn_matrix_size(s->w, row[i], c), (uint32_t)c};
        if (row[i] == KRN_NO_ROW)
            continue;
        qsort(room, s->w->cols, sizeof(*room), larger);
        for (size_t c = 0; c < s->w->cols; c++)
            s->sorted[i * s->w->cols + c] = room[c].at;
    }
}

/* The largest free weight of row i whose bank is free, or cols. */
static size_t candidate(struct gs *s, const uint32_t *row, size_t i)
{
    const size_t cols = s->w->cols;
    const uint32_t *sorted = s->sorted + i * cols;
    const uint8_t *mask = s->mask + row[i] * cols;

    while (s->next[i] < cols && mask[sorted[s->next[i]]])
        s->next[i]++;
    for (size_t k = s->next[i]; k < cols; k++) {
        if (!mask[sorted[k]] && !s->taken[sorted[k] % s->p->banks])
            return sorted[k];
    }
    return cols;
}

/* One pack; false when nothing was left to take. */
static bool build_pack(struct gs *s, const uint32_t *row)
{
    const size_t cols = s->w->cols;
    bool any = false;

    memset(s->taken, 0, s->p->banks);
    for (size_t i = 0; i < s->p->v; i++)
        s->owes[i] = row[i] == KRN_NO_ROW ? 0 : s->p->each;
    for (size_t b = 0; b < s->p->banks; b++) {
        size_t best = s->p->v, column = cols;
        float most = -1;

        for (size_t i = 0; i < s->p->v; i++) {
            const size_t c = s->owes[i] > 0 ? candidate(s, row, i) : cols;

            if (c < cols && nn_matrix_size(s->w, row[i], c) > most) {
                most = nn_matrix_size(s->w, row[i], c);
                best = i;
                column = c;
            }
        }
        if (best == s->p->v)
            break;
        s->mask[row[best] * cols + column] = 1;
        s->taken[column % s->p->banks] = 1;
        s->owes[best]--;
        any = true;
    }
    return any;
}

enum err nn_pattern_project_gs(const struct nn_pattern *p,
                               const struct nn_matrix *w, double density,
                               bool reorder, uint8_t *mask, uint32_t *order)
{
    struct mem_scratch m = {0};
    uint32_t *count = mem_take(&m, w->rows, 1, sizeof(*count));
    struct sized *room = mem_take(&m, w->cols, 1, sizeof(*room));
    struct gs s = {.p = p, .w = w, .mask = mask};

    s.sorted = mem_take(&m, p->v, w->cols, sizeof(*s.sorted));
    s.next = mem_take(&m, p->v, 1, sizeof(*s.next));
    s.owes = mem_take(&m, p->v, 1, sizeof(*s.owes));
    s.taken = mem_take(&m, p->banks, 1, 1);
    enum err e = m.failed ? err_set(ERR_NOMEM, "no memory to prune")
                          : count_rows(w, density, count);

    if (e == ERR_OK && p->scatter && reorder)
        e = order_by_count(w, count, order);
    memset(mask, 0, w->rows * w->cols);
    size_t items = p->banks / 2; /* not yet in a pack */

    for (size_t g = 0; e == ERR_OK && g < nn_pattern_groups(p, w->rows); g++) {
        const uint32_t *row = order + g * p->v;

        for (size_t i = 0; i < p->v; i++)
            items += row[i] == KRN_NO_ROW ? 0 : count[row[i]];
        sort_group(&s, row, room);
        for (; items >= p->banks; items -= p->banks) {
            if (!build_pack(&s, row))
                break;
        }
    }
    mem_drop(&m);
    return e;
}
