/*
 * rec/rerank_net.c - the network of a re-ranker.
 *
 * The ranker's score is added to the first stage's, which has a weight of its
 * own: a residual.
 */
#include <stdlib.h>
#include <string.h>

#include "rec/rerank_learn.h"

void rec_net_free(struct rec_net *k)
{
    for (size_t i = 0; i < k->n_packed; i++)
        nn_sparse_free(&k->packed[i]);
    free(k->packed);
    nn_prune_free(k->prune);
    nn_tape_free(k->tape);
    nn_params_free(k->params);
}

enum err rec_net_open(struct rec_net *k, const struct rec_model *m,
                      size_t features, size_t batch, bool training)
{
    const struct rec_rerank_opts *o = m->opts;
    const struct nn_init one = {.kind = NN_INIT_CONSTANT, .scale = 1};
    const struct rec_reranker *how;
    struct nn_tensor *loss = NULL;

    *k = (struct rec_net){
        .batch = batch, .n = (size_t)o->candidates, .features = features};
    ERR_TRY(rec_reranker_find(o->ranker, &how));
    ERR_TRY(nn_params_new(&k->params, NN_F32, m->seed));
    ERR_TRY(nn_tape_new(&k->tape, k->params));
    k->x = nn_tape_input(k->tape, "x", 3, (size_t[]){batch, k->n, features});
    k->mask = nn_tape_input(k->tape, "mask", 2, (size_t[]){batch, k->n});
    k->keys = nn_tape_keys(k->tape, "people", batch);
    const struct rec_lists l = {
        .x = k->x,
        .mask = k->mask,
        .keys = k->keys,
        .batch = batch,
        .n = k->n,
        .features = features,
        .dim = (size_t)o->dim,
        .drop = o->drop,
    };
    struct nn_tensor *first =
        nn_shape_as(k->tape, nn_shape_slice(k->tape, k->x, 2, 0, 1), 2,
                    (size_t[]){batch, k->n});
    struct nn_tensor *weight =
        nn_linear_param(k->tape, "net/first", 2, (size_t[]){1, 1}, one);

    first = rec_lists_flat(
        k->tape, &l,
        nn_linear_product(
            k->tape, nn_shape_as(k->tape, first, 3, (size_t[]){batch, k->n, 1}),
            weight, false));
    k->scores = nn_map_add(k->tape, how->build(k->tape, &l), first);
    if (training) {
        k->label = nn_tape_input(k->tape, "label", 2, (size_t[]){batch, k->n});
        loss = nn_reduce_mean(
            k->tape, nn_loss_list(k->tape, k->scores, k->label, k->mask), NULL);
    }
    nn_tape_keep(k->tape, k->scores);
    return nn_tape_plan(k->tape, loss);
}

/* --- in a model ------------------------------------------------------------
 *
 * "net" holds the parameters; those that were pruned stand in "sparse0",
 * "sparse1"... instead, as images of nn/sparse.h.
 */

static const char *const sparse_name[REC_SPARSE_MOST] = {
    "sparse0",  "sparse1",  "sparse2",  "sparse3", "sparse4",  "sparse5",
    "sparse6",  "sparse7",  "sparse8",  "sparse9", "sparse10", "sparse11",
    "sparse12", "sparse13", "sparse14", "sparse15"};

/* Copy the parameters that are not in number[n] to (or from) values; returns
 * how many elements they have. */
static size_t dense_part(struct nn_params *p, const size_t *number, size_t n,
                         float *values, bool back)
{
    size_t at = 0;

    for (size_t i = 0, pruned = 0; i < nn_params_count(p); i++) {
        const struct nn_param *x = nn_params_view(p, i);
        float *own = (float *)nn_params_values(p) + x->at;

        if (pruned < n && number[pruned] == i) {
            pruned++;
            continue;
        }
        if (values != NULL && back)
            memcpy(own, values + at, x->n * sizeof(*own));
        else if (values != NULL)
            memcpy(values + at, own, x->n * sizeof(*own));
        at += x->n;
    }
    return at;
}

enum err rec_net_pack(struct rec_net *k)
{
    const size_t n = k->prune != NULL ? nn_prune_count(k->prune) : 0;

    if (n == 0)
        return ERR_OK;
    k->packed = mem_array(n, sizeof(*k->packed));
    if (k->packed == NULL)
        return err_set(ERR_NOMEM, "no memory for a sparse network");
    for (; k->n_packed < n; k->n_packed++)
        ERR_TRY(nn_prune_pack(k->prune, k->n_packed, &k->packed[k->n_packed]));
    return ERR_OK;
}

size_t rec_net_arrays(const struct rec_net *k, struct rec_array_spec *spec)
{
    size_t number[REC_SPARSE_MOST];

    for (size_t i = 0; i < k->n_packed; i++)
        number[i] = nn_prune_number(k->prune, i);
    spec[0] = (struct rec_array_spec){
        "net", STO_F32, dense_part(k->params, number, k->n_packed, NULL, false),
        1};
    for (size_t i = 0; i < k->n_packed; i++)
        spec[i + 1] =
            (struct rec_array_spec){sparse_name[i], STO_U32,
                                    nn_sparse_save_bytes(&k->packed[i]) / 4, 1};
    return k->n_packed + 1;
}

void rec_net_store(const struct rec_net *k, struct rec_model *m)
{
    size_t number[REC_SPARSE_MOST];

    for (size_t i = 0; i < k->n_packed; i++) {
        number[i] = nn_prune_number(k->prune, i);
        nn_sparse_save(&k->packed[i], rec_model_array(m, sparse_name[i]));
    }
    (void)dense_part(k->params, number, k->n_packed, rec_model_array(m, "net"),
                     false);
}

static enum err damaged(void)
{
    return err_set(ERR_FORMAT, "the network of the re-ranker is damaged");
}

static const struct sto_array *array_of(const struct rec_model *m,
                                        const char *name)
{
    for (size_t i = 0; i < m->n_arrays; i++) {
        if (strcmp(m->array[i].name, name) == 0)
            return &m->array[i];
    }
    return NULL;
}

/* One pruned matrix: into the block, and beside it for serving. */
static enum err load_sparse(struct rec_net *k, const struct rec_model *m,
                            size_t i, size_t number)
{
    const struct nn_param *x = nn_params_view(k->params, number);
    const struct sto_array *a = array_of(m, sparse_name[i]);
    float *own = (float *)nn_params_values(k->params) + x->at;
    struct nn_sparse *s = &k->packed[i];
    float *turned;

    if (a == NULL || a->type != STO_U32 || a->cols != 1)
        return damaged();
    ERR_TRY(nn_sparse_load(s, a->data, a->rows * 4));
    k->n_packed = i + 1;
    const size_t level = m->level > 0 ? m->level - 1 : s->n_levels - 1;

    if (s->rows != x->dim[1] || s->cols != x->dim[0])
        return damaged();
    turned = mem_array(x->n, sizeof(*turned));
    if (turned == NULL)
        return err_set(ERR_NOMEM, "no memory for a sparse network");
    if (m->level > s->n_levels) {
        free(turned);
        return damaged();
    }
    nn_sparse_unpack(s, level, turned);
    for (size_t e = 0; e < x->n; e++)
        own[e % s->cols * s->rows + e / s->cols] = turned[e];
    free(turned);
    nn_params_serve(k->params, number, s, level);
    return ERR_OK;
}

static enum err load_params(struct rec_net *k, const struct rec_model *m)
{
    size_t number[REC_SPARSE_MOST];
    size_t n = nn_prune_list(k->params, number, REC_SPARSE_MOST);

    if (array_of(m, sparse_name[0]) == NULL)
        n = 0;
    if (n > REC_SPARSE_MOST ||
        !rec_model_has(m, "net", STO_F32,
                       dense_part(k->params, number, n, NULL, false), 1))
        return damaged();
    (void)dense_part(k->params, number, n, rec_model_array(m, "net"), true);
    if (n == 0)
        return ERR_OK;
    k->packed = mem_array(n, sizeof(*k->packed));
    if (k->packed == NULL)
        return err_set(ERR_NOMEM, "no memory for a sparse network");
    for (size_t i = 0; i < n; i++)
        ERR_TRY(load_sparse(k, m, i, number[i]));
    return ERR_OK;
}

enum err rec_net_load(struct rec_net *k, const struct rec_model *m,
                      size_t features, size_t batch)
{
    ERR_TRY(rec_net_open(k, m, features, batch, false));
    if (!rec_model_has(m, "mean", STO_F32, features, 1) ||
        !rec_model_has(m, "unit", STO_F32, features, 1))
        return damaged();
    return load_params(k, m);
}

int rec_by_place(const void *a, const void *b)
{
    const struct rec_placed *x = a, *y = b;

    if (x->score > y->score || x->score < y->score)
        return x->score > y->score ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}
