/*
 * rec/rerank_net.c - the network of a re-ranker.
 *
 * The ranker's score is added to the first stage's, which has a weight of its
 * own: a residual.
 */
#include <string.h>

#include "rec/rerank_learn.h"

void rec_net_free(struct rec_net *k)
{
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

enum err rec_net_load(struct rec_net *k, const struct rec_model *m,
                      size_t features, size_t batch)
{
    ERR_TRY(rec_net_open(k, m, features, batch, false));
    if (!rec_model_has(m, "net", STO_F32, nn_params_size(k->params), 1) ||
        !rec_model_has(m, "mean", STO_F32, features, 1) ||
        !rec_model_has(m, "unit", STO_F32, features, 1))
        return err_set(ERR_FORMAT, "the network of the re-ranker is damaged");
    memcpy(nn_params_values(k->params), rec_model_array(m, "net"),
           nn_params_size(k->params) * sizeof(float));
    return ERR_OK;
}

int rec_by_place(const void *a, const void *b)
{
    const struct rec_placed *x = a, *y = b;

    if (x->score > y->score || x->score < y->score)
        return x->score > y->score ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}
