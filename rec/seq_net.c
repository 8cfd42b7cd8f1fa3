/* rec/seq_net.c - networks over sequences: tapes, losses, blocks. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "rec/seq.h"

#define SHORTEST 8                    /* no tape is shorter, but the only one */
#define MASK_KEY UINT64_C(0x6d61736b) /* names the row of what is hidden */

void rec_seq_close(struct rec_seq_work *w)
{
    for (size_t i = 0; i < w->n_tapes; i++)
        nn_tape_free(w->tape[i].tape);
    nn_params_free(w->params);
    for (size_t i = 0; i < w->n_packed; i++)
        nn_sparse_free(&w->packed[i]);
    free(w->packed);
    *w = (struct rec_seq_work){.net = NULL};
}

size_t rec_seq_tape_of(const struct rec_seq_work *w, size_t n)
{
    size_t best = 0;

    for (size_t i = 1; i < w->n_tapes; i++) {
        if (w->tape[i].in.length >= n)
            best = i;
    }
    return best;
}

/* --- order ----------------------------------------------------------------
 */

static int by_time(const void *a, const void *b)
{
    const struct rec_seq_event *x = a, *y = b;

    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return (x->item > y->item) - (x->item < y->item);
}

void rec_seq_sort(const uint32_t *item, const int64_t *time, size_t n,
                  struct rec_seq_event *room, uint32_t *out)
{
    for (size_t r = 0; r < n; r++)
        room[r] = (struct rec_seq_event){time != NULL ? time[r] : 0, item[r]};
    if (time != NULL)
        qsort(room, n, sizeof(*room), by_time);
    for (size_t r = 0; r < n; r++)
        out[r] = room[r].item;
}

static size_t rows_of_param(const struct nn_param *v)
{
    return v->n_dims > 1 ? v->dim[0] : 1;
}

void rec_seq_copy(const struct rec_model *m, const struct nn_params *params)
{
    const float *block = nn_params_values((struct nn_params *)params);

    for (size_t i = 0; i < nn_params_count(params); i++) {
        const struct nn_param *v = nn_params_view(params, i);
        const size_t rows = rows_of_param(v);

        if (rec_model_has(m, v->name, STO_F32, rows, v->n / rows))
            memcpy(rec_model_array(m, v->name), block + v->at,
                   v->n * sizeof(float));
    }
}

static enum err load_one(struct rec_seq_work *w, const struct rec_model *m,
                         size_t i)
{
    const struct nn_param *v = nn_params_view(w->params, i);
    const struct sto_array *a = rec_thin_array(m, v->name);
    const size_t rows = rows_of_param(v);

    if (a != NULL && a->type == STO_U32 && v->n_dims == 2)
        return rec_thin_load(&w->packed[w->n_packed++], a, w->params, i,
                             m->level);
    if (!rec_model_has(m, v->name, STO_F32, rows, v->n / rows))
        return err_set(ERR_FORMAT, "the weights of a network are damaged");
    memcpy((float *)nn_params_values(w->params) + v->at, a->data,
           v->n * sizeof(float));
    return ERR_OK;
}

enum err rec_seq_load(struct rec_seq_work *w, const struct rec_model *m)
{
    w->packed = mem_array(nn_params_count(w->params), sizeof(*w->packed));
    if (w->packed == NULL)
        return err_set(ERR_NOMEM, "no memory for a network over sequences");
    for (size_t i = 0; i < nn_params_count(w->params); i++)
        ERR_TRY(load_one(w, m, i));
    return ERR_OK;
}

/* Layers as narrow as those that were trained. */
static enum err narrow(struct rec_seq_work *w, const struct rec_model *m,
                       const struct nn_chex *like)
{
    for (size_t l = 0; like != NULL && l < nn_chex_count(like); l++)
        ERR_TRY(nn_params_narrow(w->params, nn_chex_name(like, l),
                                 nn_chex_outputs(like, l)));
    if (like != NULL || w->o->thin.sparsity <= 0 ||
        !rec_thin_narrows(&w->o->thin))
        return ERR_OK;
    for (size_t i = 0; i < m->n_arrays; i++) {
        const char *end = strrchr(m->array[i].name, '/');

        if (end != NULL && strcmp(end, "/weight") == 0 && m->array[i].cols > 0)
            ERR_TRY(nn_params_narrow(w->params, m->array[i].name,
                                     m->array[i].cols));
    }
    return ERR_OK;
}

/* --- blocks ----------------------------------------------------------------
 */

static struct nn_tensor *named(struct nn_tape *t, struct nn_tensor *x,
                               struct nn_tensor *(*fn)(struct nn_tape *,
                                                       struct nn_tensor *,
                                                       const char *),
                               size_t block, const char *what)
{
    char name[24];

    (void)snprintf(name, sizeof(name), "b%zu.%s", block % 100, what);
    return fn(t, x, name);
}

static struct nn_tensor *drop(struct nn_tape *t, struct nn_tensor *x,
                              const struct rec_seq_in *in, size_t block,
                              const char *what)
{
    char name[24];

    (void)snprintf(name, sizeof(name), "b%zu.%s", block % 100, what);
    return nn_map_drop(t, x, name, in->o->drop, in->keys);
}

static struct nn_tensor *attention(struct nn_tape *t, struct nn_tensor *x,
                                   const struct rec_seq_in *in, size_t block,
                                   size_t heads, bool causal)
{
    char name[24], product[24], weights[24];
    struct nn_attend how = {.heads = heads,
                            .causal = causal,
                            .mask = in->there,
                            .drop = in->o->drop,
                            .drop_name = weights,
                            .keys = in->keys};

    (void)snprintf(name, sizeof(name), "b%zu", block % 100);
    (void)snprintf(product, sizeof(product), "b%zu.out", block % 100);
    (void)snprintf(weights, sizeof(weights), "b%zu.weights", block % 100);
    x = nn_attend_self(t, x, name, (size_t)in->o->dim, &how);
    return nn_linear(t, x, product, (size_t)in->o->dim, NN_NONE);
}

static struct nn_tensor *wide(struct nn_tape *t, struct nn_tensor *x,
                              const struct rec_seq_in *in, size_t block,
                              enum nn_act act)
{
    char up[24], down[24];

    (void)snprintf(up, sizeof(up), "b%zu.up", block % 100);
    (void)snprintf(down, sizeof(down), "b%zu.down", block % 100);
    x = nn_linear(t, x, up, 2 * (size_t)in->o->dim, act);
    x = drop(t, x, in, block, "drop up");
    return nn_linear(t, x, down, (size_t)in->o->dim, NN_NONE);
}

enum err rec_seq_check_heads(int64_t dim, int64_t heads)
{
    return dim % heads == 0
               ? ERR_OK
               : err_set(ERR_ARG, "--heads %lld does not divide --dim %lld",
                         (long long)heads, (long long)dim);
}

struct nn_tensor *rec_seq_blocks(struct nn_tape *t, const struct rec_seq_in *in,
                                 size_t blocks, size_t heads, bool causal,
                                 enum nn_act act)
{
    const size_t dim = (size_t)in->o->dim;
    struct nn_tensor *place =
        nn_embed(t, in->place, "place", in->most, dim, 0.02);
    struct nn_tensor *x = nn_map_scale(t, in->x, sqrt((double)dim), 0);

    x = nn_map_drop(t, nn_map_add(t, x, place), "in", in->o->drop, in->keys);
    for (size_t b = 0; b < blocks; b++) {
        struct nn_tensor *y = named(t, x, nn_norm, b, "norm1");

        y = attention(t, y, in, b, heads, causal);
        x = nn_map_add(t, x, drop(t, y, in, b, "drop attention"));
        y = wide(t, named(t, x, nn_norm, b, "norm2"), in, b, act);
        x = nn_map_add(t, x, drop(t, y, in, b, "drop down"));
    }
    return nn_norm(t, x, "norm");
}

/* --- tapes ------------------------------------------------------------
 */

static size_t rows_of(const struct rec_seq_work *w)
{
    return w->n_items + (w->net->how == REC_SEQ_MASKED);
}

/* Rows of a sequence that are predicted. */
static size_t targets_of(const struct rec_seq_work *w, size_t length)
{
    switch (w->net->how) {
    case REC_SEQ_EACH:
        return length;
    case REC_SEQ_LAST:
        return (size_t)w->o->targets;
    case REC_SEQ_MASKED:
        break;
    }
    return 1 + (size_t)(1.5 * w->o->mask * (double)length);
}

static struct nn_tensor *vectors(const struct rec_seq_work *w,
                                 struct nn_tape *t, struct nn_tensor *ids)
{
    return nn_embed(t, ids, "items", rows_of(w), (size_t)w->o->dim, 0.02);
}

/* The states that have targets: [batch targets][dim]. */
static struct nn_tensor *predicting(const struct rec_seq_work *w,
                                    struct rec_seq_tape *p, struct nn_tensor *h)
{
    const size_t dim = (size_t)w->o->dim;

    if (w->net->how == REC_SEQ_LAST)
        h = nn_shape_repeat(
            p->tape, nn_shape_as(p->tape, h, 2, (size_t[]){p->in.batch, dim}),
            1, p->targets);
    if (w->net->how == REC_SEQ_MASKED) {
        p->pick = nn_tape_ids(p->tape, "pick", 2,
                              (size_t[]){p->in.batch, p->targets});
        h = nn_shape_pick(p->tape, h, p->pick);
    }
    return nn_shape_as(p->tape, h, 2,
                       (size_t[]){p->in.batch * p->targets, dim});
}

/* Softmax against the batch's negatives, or against everything. */
static struct nn_tensor *loss_of(const struct rec_seq_work *w,
                                 struct rec_seq_tape *p, struct nn_tensor *h)
{
    const size_t n = p->in.batch * p->targets, dim = (size_t)w->o->dim;
    struct nn_tape *t = p->tape;

    p->target = nn_tape_ids(t, "target", 1, &n);
    p->weight = nn_tape_input(t, "weight", 1, &n);
    if (w->n_negatives == 0) {
        struct nn_tensor *table =
            nn_embed_table(t, "items", rows_of(w), dim, 0.02);

        table = nn_shape_slice(t, table, 0, 0, w->n_items);
        return nn_reduce_mean(
            t, nn_loss_ce(t, nn_linear_product(t, h, table, true), p->target),
            p->weight);
    }
    p->negative = nn_tape_ids(t, "negative", 1, &w->n_negatives);
    p->clash = nn_tape_input(t, "clash", 2, (size_t[]){n, w->n_negatives});
    struct nn_tensor *met =
        nn_reduce_axis_sum(t, nn_map_mul(t, h, vectors(w, t, p->target)), 1);
    struct nn_tensor *drawn = nn_map_add(
        t, nn_linear_product(t, h, vectors(w, t, p->negative), true), p->clash);

    return nn_reduce_mean(t, nn_loss_sampled(t, met, drawn, NULL, NULL),
                          p->weight);
}

/* What is asked for: the state behind the last row. */
static struct nn_tensor *last_state(const struct rec_seq_work *w,
                                    const struct rec_seq_tape *p,
                                    struct nn_tensor *h)
{
    const size_t n = w->net->how == REC_SEQ_LAST ? 1 : p->in.length;

    return nn_shape_as(p->tape, nn_shape_slice(p->tape, h, 1, n - 1, n), 2,
                       (size_t[]){p->in.batch, (size_t)w->o->dim});
}

static enum err build(struct rec_seq_work *w, struct rec_seq_tape *p,
                      bool training, struct nn_tensor **loss)
{
    const size_t shape[2] = {p->in.batch, p->in.length};

    ERR_TRY(nn_tape_new(&p->tape, w->params));
    p->in.ids = nn_tape_ids(p->tape, "ids", 2, shape);
    p->in.place = nn_tape_ids(p->tape, "places", 2, shape);
    p->in.there = nn_tape_input(p->tape, "there", 2, shape);
    p->in.keys = nn_tape_keys(p->tape, "people", p->in.batch);
    p->in.x = vectors(w, p->tape, p->in.ids);
    p->targets = targets_of(w, p->in.length);
    struct nn_tensor *h = w->net->states(p->tape, &p->in);

    *loss = NULL;
    if (training) {
        *loss = loss_of(w, p, predicting(w, p, h));
        return ERR_OK;
    }
    p->state = last_state(w, p, h);
    nn_tape_keep(p->tape, p->state);
    return ERR_OK;
}

/* length, length / 2, ...; windows are of one length. */
static void plan_lengths(struct rec_seq_work *w, size_t batch)
{
    const size_t most = (size_t)w->o->length;

    for (size_t n = most; w->n_tapes < REC_SEQ_TAPES; n /= 2) {
        if (w->n_tapes > 0 && (n < SHORTEST || w->net->how == REC_SEQ_LAST))
            break;
        w->tape[w->n_tapes++].in = (struct rec_seq_in){
            .batch = batch, .length = n, .most = most, .o = w->o};
    }
}

static enum err name_rows(const struct rec_seq_work *w)
{
    uint64_t *key = mem_array(rows_of(w), sizeof(*key));

    if (key == NULL)
        return err_set(ERR_NOMEM, "no memory for a network over sequences");
    memcpy(key, w->item_key, w->n_items * sizeof(*key));
    if (rows_of(w) > w->n_items)
        key[w->n_items] = MASK_KEY;
    const enum err e = nn_params_init_rows(w->params, "items", key);

    free(key);
    return e;
}

enum err rec_seq_open(struct rec_seq_work *w, const struct rec_seq_net *net,
                      const struct rec_model *m, const uint64_t *item_key,
                      size_t n_items, size_t batch, bool training,
                      const struct nn_chex *like)
{
    const struct rec_seq_opts *o = m->opts;
    struct nn_tensor *loss[REC_SEQ_TAPES] = {NULL};

    *w = (struct rec_seq_work){
        .net = net, .o = o, .item_key = item_key, .n_items = n_items};
    if ((size_t)o->negatives < n_items / 2)
        w->n_negatives = (size_t)o->negatives;
    ERR_TRY(nn_params_new(&w->params, NN_F32, m->seed));
    if (!training)
        ERR_TRY(narrow(w, m, like));
    plan_lengths(w, batch);
    for (size_t i = 0; i < w->n_tapes; i++)
        ERR_TRY(build(w, &w->tape[i], training, &loss[i]));
    for (size_t i = 0; i < w->n_tapes; i++)
        ERR_TRY(nn_tape_plan(w->tape[i].tape, loss[i]));
    return training ? name_rows(w) : ERR_OK;
}
