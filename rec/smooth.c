/* rec/smooth.c - walks over the graph, and what is kept of them. */
#include "rec/smooth.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/par.h"
#include "rec/edges.h"
#include "rec/holes.h"

static void fold_task(void *arg, size_t i, size_t thread)
{
    const struct rec_smooth *r = arg;
    const size_t *ptr = r->graph->ptr + r->n_users + i;
    const float degree = ptr[1] > ptr[0] ? (float)(ptr[1] - ptr[0]) : 1;
    float *fold = r->fold + i * r->dim;

    (void)thread;
    memcpy(fold, r->g + (r->n_users + i) * r->dim, r->dim * sizeof(*fold));
    cpu_ops()->scale_f32(fold, 1 / sqrtf(degree), r->dim);
}

void rec_smooth_finish(struct rec_smooth *r)
{
    const size_t people = r->n_users * r->dim;
    const float mean = 1 / (float)(r->layers + 1);

    rec_graph_sum(r->graph, r->layers, mean, r->dim, r->e, r->f, r->tmp);
    memcpy(r->user, r->f, people * sizeof(float));
    memcpy(r->item, r->f + people, r->n_items * r->dim * sizeof(float));
    rec_graph_sum(r->graph, r->layers - 1, mean, r->dim, r->e, r->g, r->tmp);
    par_for(r->n_items, fold_task, r);
}

/* --- with holes ------------------------------------------------------------
 */

static const struct rec_holes user_holes = {"user.mask", "user.kept"};
static const struct rec_holes item_holes = {"item.mask", "item.kept"};

/* Final vectors of a model that stores e: m->parts. */
struct whole {
    struct mem_scratch s;
    float *user, *item, *fold;
};

static void whole_free(void *parts)
{
    struct whole *w = parts;

    if (w != NULL)
        mem_drop(&w->s);
    free(w);
}

void rec_smooth_drop(struct rec_model *m)
{
    if (m->parts != NULL)
        m->parts_free(m->parts);
    m->parts = NULL;
}

enum err rec_smooth_pack(struct rec_model *m, const struct rec_data *d,
                         const float *e, size_t dim)
{
    const float *items = e + d->n_users * dim;
    struct rec_array_spec spec[5] = {
        {"rows", STO_U8, rec_edges_bytes(d), 1},
    };

    rec_holes_spec(&user_holes, e, d->n_users, dim, spec + 1);
    rec_holes_spec(&item_holes, items, d->n_items, dim, spec + 3);
    ERR_TRY(rec_model_alloc(m, d, spec, 5));
    rec_edges_store(d, rec_model_array(m, "rows"));
    rec_holes_store(&user_holes, m, e, d->n_users, dim);
    rec_holes_store(&item_holes, m, items, d->n_items, dim);
    return ERR_OK;
}

static enum err take_whole(struct whole *w, const struct rec_model *m,
                           size_t dim)
{
    w->user = mem_take(&w->s, m->n_users, dim, sizeof(float));
    w->item = mem_take(&w->s, m->n_items, dim, sizeof(float));
    w->fold = mem_take(&w->s, m->n_items, dim, sizeof(float));
    return w->s.failed ? err_set(ERR_NOMEM, "no memory for vectors") : ERR_OK;
}

/* w from m's arrays, over the graph of its rows. */
static enum err walk(struct whole *w, const struct rec_model *m,
                     const struct rec_graph *graph, size_t layers, size_t dim)
{
    const size_t n = m->n_users + m->n_items;
    struct mem_scratch s = {0};
    float *e = mem_take(&s, n, dim, sizeof(*e));
    struct rec_smooth f = {.graph = graph,
                           .layers = layers,
                           .dim = dim,
                           .n_users = m->n_users,
                           .n_items = m->n_items,
                           .e = e,
                           .f = mem_take(&s, n, dim, sizeof(float)),
                           .g = mem_take(&s, n, dim, sizeof(float)),
                           .tmp = mem_take(&s, n, dim, sizeof(float)),
                           .user = w->user,
                           .item = w->item,
                           .fold = w->fold};
    const bool failed = s.failed;

    if (!failed) {
        rec_holes_open(&user_holes, m, m->n_users, dim, e);
        rec_holes_open(&item_holes, m, m->n_items, dim, e + m->n_users * dim);
        rec_smooth_finish(&f);
    }
    mem_drop(&s);
    return failed ? err_set(ERR_NOMEM, "no memory for vectors") : ERR_OK;
}

/* Bytes of the rows. */
static size_t rows_of(const struct rec_model *m)
{
    for (size_t i = 0; i < m->n_arrays; i++) {
        if (strcmp(m->array[i].name, "rows") == 0)
            return m->array[i].rows;
    }
    return 0;
}

enum err rec_smooth_ready(struct rec_model *m, size_t layers, size_t dim)
{
    struct rec_graph graph = {0};
    struct rec_data d = {0};
    struct whole *w;

    rec_smooth_drop(m);
    w = mem_array(1, sizeof(*w));
    if (w == NULL)
        return err_set(ERR_NOMEM, "no memory for vectors");
    m->parts = w;
    m->parts_free = whole_free;
    enum err e = take_whole(w, m, dim);

    if (e == ERR_OK)
        e = rec_edges_open(&d, rec_model_array(m, "rows"), rows_of(m),
                           m->n_users, m->n_items);
    if (e == ERR_OK)
        e = rec_graph_build(&graph, &d);
    if (e == ERR_OK)
        e = walk(w, m, &graph, layers, dim);
    rec_graph_free(&graph);
    rec_data_free(&d);
    return e;
}

bool rec_smooth_valid(const struct rec_model *m, size_t dim)
{
    return rec_model_has(m, "rows", STO_U8, rows_of(m), 1) &&
           rec_holes_valid(&user_holes, m, m->n_users, dim) &&
           rec_holes_valid(&item_holes, m, m->n_items, dim);
}

const float *rec_smooth_table(const struct rec_model *m, const char *name)
{
    const struct whole *w = m->parts;

    if (w == NULL)
        return rec_model_array(m, name);
    return name[0] == 'u' ? w->user : name[0] == 'i' ? w->item : w->fold;
}
