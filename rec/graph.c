/*
 * rec/graph.c - sums of powers of the adjacency matrix.
 *
 * Horner's scheme: y = x; then y = x + A y, `layers` times.  One buffer less
 * than adding layers up, and no pass over memory but those of the products.
 */
#include "rec/graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/par.h"

#define TASK 1024 /* nodes */

static void fill(struct rec_graph *g, const struct rec_data *d,
                 const struct rec_columns *c)
{
    const size_t n = d->n_users;

    memcpy(g->ptr, d->user_ptr, (n + 1) * sizeof(*g->ptr));
    for (size_t i = 0; i < d->n_items; i++)
        g->ptr[n + i + 1] = d->n_rows + c->ptr[i + 1];
    for (size_t r = 0; r < d->n_rows; r++) {
        g->idx[r] = (uint32_t)(n + d->item[r]);
        g->idx[d->n_rows + r] = c->user[r];
    }
    for (size_t a = 0; a < g->n_nodes; a++) {
        for (size_t e = g->ptr[a]; e < g->ptr[a + 1]; e++) {
            const size_t b = g->idx[e];

            g->val[e] = 1.0f / sqrtf((float)(g->ptr[a + 1] - g->ptr[a]) *
                                     (float)(g->ptr[b + 1] - g->ptr[b]));
        }
    }
}

enum err rec_graph_build(struct rec_graph *out, const struct rec_data *d)
{
    struct rec_graph g = {.n_users = d->n_users,
                          .n_nodes = d->n_users + d->n_items};
    struct rec_columns c = {0};

    if (g.n_nodes >= UINT32_MAX)
        return err_set(ERR_ARG, "a graph has at most 4,294,967,294 people and "
                                "items: shard the data");
    ERR_TRY(rec_columns_build(&c, d));
    g.ptr = mem_array(g.n_nodes + 1, sizeof(*g.ptr));
    g.idx = mem_array(2 * d->n_rows, sizeof(*g.idx));
    g.val = mem_array(2 * d->n_rows, sizeof(*g.val));
    if (g.ptr == NULL || g.idx == NULL || g.val == NULL) {
        rec_columns_free(&c);
        rec_graph_free(&g);
        return err_set(ERR_NOMEM, "no memory for the graph of %zu rows",
                       d->n_rows);
    }
    fill(&g, d, &c);
    rec_columns_free(&c);
    *out = g;
    return ERR_OK;
}

void rec_graph_free(struct rec_graph *g)
{
    free(g->ptr);
    free(g->idx);
    free(g->val);
    memset(g, 0, sizeof(*g));
}

struct pass {
    const struct rec_graph *g;
    size_t dim;
    const float *x, *from; /* from NULL: y = scale x */
    float *y;
    float scale;
};

static void pass_task(void *arg, size_t task, size_t thread)
{
    const struct pass *p = arg;
    const size_t first = task * TASK;
    const size_t left = p->g->n_nodes - first;
    const size_t n = left < TASK ? left : TASK;
    const struct krn_spmm s = {.add = true,
                               .first = first,
                               .last = first + n,
                               .d = p->dim,
                               .ptr = p->g->ptr,
                               .idx = p->g->idx,
                               .val = p->g->val,
                               .x = p->from,
                               .ldx = p->dim,
                               .y = p->y,
                               .ldy = p->dim};

    (void)thread;
    memcpy(p->y + first * p->dim, p->x + first * p->dim,
           n * p->dim * sizeof(*p->y));
    if (p->from != NULL)
        cpu_ops()->spmm_f32(&s);
    if (p->scale != 1)
        cpu_ops()->scale_f32(p->y + first * p->dim, p->scale, n * p->dim);
}

void rec_graph_sum(const struct rec_graph *g, size_t layers, float scale,
                   size_t dim, const float *x, float *out, float *tmp)
{
    const size_t tasks = (g->n_nodes + TASK - 1) / TASK;
    struct pass p = {.g = g, .dim = dim, .x = x, .scale = scale};

    if (layers == 0) {
        p.y = out;
        par_for(tasks, pass_task, &p);
        return;
    }
    p.from = x;
    for (size_t l = 0; l < layers; l++) {
        p.y = (layers - l) % 2 == 1 ? out : tmp; /* the last one is out */
        p.scale = l + 1 == layers ? scale : 1;
        par_for(tasks, pass_task, &p);
        p.from = p.y;
    }
}
