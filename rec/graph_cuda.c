/* rec/graph_cuda.c - lightgcn's batches on the GPU (rec/model_lightgcn.c says
 * what a batch is). */
#include "rec/graph_cuda.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "rec/train_cuda.h"

#define LOOK 16 /* steps between two looks at the loss, each of which waits */

struct rec_graph_cuda {
    struct rec_cuda c;
    struct krn_cuda_spmm pass; /* filled but for x, add and y */
    size_t layers;
    float *f, *tmp;  /* [n][dim] */
    float *by;       /* [n] weight of the penalty, or NULL */
    uint32_t *other; /* [n_rows] what is sorted along */
    void *sort_room;
    int bits; /* of a row's number */
    uint64_t steps;
    float loss;
};

/* The weight of a node's penalty: the share of rows that it has. */
static float *penalties(const struct rec_graph *g, float reg)
{
    float *by = mem_array(g->n_nodes, sizeof(*by));

    for (size_t a = 0; a < g->n_nodes && by != NULL; a++) {
        const double share = (double)(g->ptr[a + 1] - g->ptr[a]) /
                             (double)(g->ptr[g->n_nodes] / 2);

        by[a] = (float)((double)reg * share);
    }
    return by;
}

static uint32_t *rows_users(const struct rec_data *d)
{
    uint32_t *user = mem_array(d->n_rows, sizeof(*user));

    for (size_t u = 0; u < d->n_users && user != NULL; u++)
        for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++)
            user[r] = (uint32_t)u;
    return user;
}

static void take_graph(struct rec_graph_cuda *c, const struct rec_graph *g,
                       const float *by)
{
    struct device_room *r = &c->c.room;
    const struct rec_data *d = c->c.d;
    const size_t edges = g->ptr[g->n_nodes], bytes = c->c.n * c->c.dim * 4;

    c->pass = (struct krn_cuda_spmm){
        .rows = g->n_nodes,
        .d = c->c.dim,
        .dev_ptr = device_take(r, g->ptr, (g->n_nodes + 1) * sizeof(*g->ptr)),
        .dev_idx = device_take(r, g->idx, edges * sizeof(*g->idx)),
        .dev_val = device_take(r, g->val, edges * sizeof(*g->val)),
    };
    c->f = device_take(r, NULL, bytes);
    c->tmp = device_take(r, NULL, bytes);
    c->other = device_take(r, NULL, d->n_rows * sizeof(*c->other));
    c->sort_room =
        device_take(r, NULL, device_cuda()->sort_bytes(c->c.loss.rows));
    c->by = by != NULL ? device_take(r, by, g->n_nodes * sizeof(*by)) : NULL;
    c->c.loss.dev_loss = device_take(r, NULL, sizeof(float));
    c->c.by.what = RNG_SHUFFLE;
    c->c.by.dev_a =
        device_take(r, d->user_key, d->n_users * sizeof(*d->user_key));
    c->c.by.dev_b =
        device_take(r, d->item_key, d->n_items * sizeof(*d->item_key));
    c->c.by.dev_of_a = c->c.loss.dev_user;
    c->c.by.dev_of_b = c->c.loss.dev_item;
}

enum err rec_graph_cuda_new(struct rec_graph_cuda **out,
                            const struct rec_graph *g, const struct rec_data *d,
                            const struct rec_contrast_opts *o, size_t layers,
                            float reg, const float *e)
{
    const struct krn_cuda_compare how = {
        .chunk = REC_CONTRAST_ROWS,
        .negatives = o->negatives,
        .loss = o->bpr ? KRN_CUDA_BPR_COUNTED : KRN_CUDA_SOFTMAX,
        .temperature = o->bpr ? 1 : o->temperature};
    struct rec_graph_cuda *c = mem_array(1, sizeof(*c));
    uint32_t *user = rows_users(d);
    float *by = penalties(g, reg);
    enum err got = ERR_OK;

    *out = c;
    if (c == NULL || user == NULL || by == NULL)
        got = err_set(ERR_NOMEM, "no memory for lightgcn on the GPU");
    if (got == ERR_OK)
        got = rec_cuda_open(&c->c, d, o->dim, e, user, o->batch, &how);
    if (got == ERR_OK) {
        c->layers = layers;
        while (d->n_rows >> c->bits > 0)
            c->bits++;
        take_graph(c, g, reg > 0 ? by : NULL);
        got = c->c.room.e;
    }
    free(user);
    free(by);
    return got;
}

void rec_graph_cuda_free(struct rec_graph_cuda *c)
{
    if (c == NULL)
        return;
    device_room_drop(&c->c.room);
    free(c);
}

enum err rec_graph_cuda_order(struct rec_graph_cuda *c, uint64_t seed)
{
    char why[KRN_CUDA_WHY] = "";

    c->c.by.seed = seed;
    return device_said(device_cuda()->order(&c->c.by, why), why);
}

/* y = mean over the layers of A^l x, as rec_graph_sum(). */
static int smooth(const struct rec_graph_cuda *c, const float *x, float *y,
                  char *why)
{
    struct krn_cuda_spmm p = c->pass;

    p.dev_add = p.dev_x = x;
    for (size_t l = 0; l < c->layers; l++) {
        p.dev_y = (c->layers - l) % 2 == 1 ? y : c->tmp;
        p.scale = l + 1 == c->layers ? 1 / (float)(c->layers + 1) : 1;
        if (device_cuda()->spmm(&p, why))
            return 1;
        p.dev_x = p.dev_y;
    }
    return 0;
}

/* The rows of a batch ascend. */
static int sort_rows(const struct rec_graph_cuda *c, size_t first, size_t n,
                     char *why)
{
    const struct krn_cuda_sort s = {.n = n,
                                    .bits = c->bits,
                                    .dev_key = c->c.order + first,
                                    .dev_val = c->other,
                                    .dev_room = c->sort_room};

    return device_cuda()->sort(&s, why);
}

enum err rec_graph_cuda_step(struct rec_graph_cuda *c, size_t first, size_t n,
                             uint64_t seed, const struct krn_adam *how,
                             double *loss)
{
    const struct krn_cuda_axpy penalty = {c->c.n, c->c.dim, c->by, c->c.e,
                                          c->f};
    char why[KRN_CUDA_WHY] = "";

    if (c->steps++ % LOOK == 1)
        ERR_TRY(device_get(&c->loss, c->c.loss.dev_loss, sizeof(c->loss)));
    *loss = (double)c->loss;
    ERR_TRY(device_said(
        sort_rows(c, first, n, why) || smooth(c, c->c.e, c->f, why), why));
    ERR_TRY(rec_cuda_compare(&c->c, c->f, first, n, seed, 0));
    ERR_TRY(
        device_said(smooth(c, c->c.grad, c->f, why) ||
                        (c->by != NULL && device_cuda()->axpy(&penalty, why)),
                    why));
    return rec_cuda_adam(&c->c, c->f, how);
}

enum err rec_graph_cuda_get(struct rec_graph_cuda *c, float *e)
{
    return device_get(e, c->c.e, c->c.n * c->c.dim * sizeof(*e));
}
