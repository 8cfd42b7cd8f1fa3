/*
 * rec/rerank_net.c - what orders lists: opened, asked, kept in a model.
 *
 * Of a network of one pass the score is added to the first stage's, which has a
 * weight of its own: a residual.
 */
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "rec/faithful.h"
#include "rec/rerank_learn.h"

static void free_one(struct rec_net *k)
{
    if (k->how != NULL && k->how->ways != NULL && k->how->ways->close != NULL)
        k->how->ways->close(k);
    rec_thin_close(&k->thin);
    free(k->layers);
    nn_tape_free(k->tape);
    nn_params_free(k->params);
}

void rec_net_free(struct rec_net *k)
{
    struct rec_net *next = k->next;

    free_one(k);
    while (next != NULL) {
        struct rec_net *now = next;

        next = now->next;
        free_one(now);
        free(now);
    }
}

/* The first stage's score (column 0) times a weight of its own. */
static struct nn_tensor *first_stage(struct nn_tape *t,
                                     const struct rec_lists *l)
{
    const struct nn_init one = {.kind = NN_INIT_CONSTANT, .scale = 1};
    struct nn_tensor *weight =
        nn_linear_param(t, "net/first", 2, (size_t[]){1, 1}, one);

    return rec_lists_flat(
        t, l,
        nn_linear_product(t, nn_shape_slice(t, l->x, 2, 0, 1), weight, false));
}

/* One pass: inputs, scores, and the loss for training. */
static enum err open_pass(struct rec_net *k, const struct rec_rerank_opts *o,
                          bool training)
{
    const size_t list[2] = {k->batch, k->n};
    struct nn_tensor *loss = NULL;

    ERR_TRY(nn_tape_new(&k->tape, k->params));
    k->x =
        nn_tape_input(k->tape, "x", 3, (size_t[]){k->batch, k->n, k->features});
    k->mask = nn_tape_input(k->tape, "mask", 2, list);
    k->keys = nn_tape_keys(k->tape, "people", k->batch);
    if (k->how->items) {
        k->item = nn_tape_ids(k->tape, "item", 2, list);
        k->past =
            nn_tape_ids(k->tape, "past", 2, (size_t[]){k->batch, REC_PAST});
        k->past_mask = nn_tape_input(k->tape, "past_mask", 2,
                                     (size_t[]){k->batch, REC_PAST});
    }
    if (o->faithful)
        k->learning = nn_tape_input(k->tape, "learning", 1, (size_t[]){1});
    const struct rec_lists l = {
        .learning = k->learning,
        .x = k->x,
        .mask = k->mask,
        .keys = k->keys,
        .item = k->item,
        .past = k->past,
        .past_mask = k->past_mask,
        .batch = k->batch,
        .n = k->n,
        .features = k->features,
        .n_items = k->n_items,
        .dim = (size_t)o->dim,
        .drop = o->drop,
    };

    if (training)
        k->label = nn_tape_input(k->tape, "label", 2, list);
    if (o->faithful) {
        k->scores = k->how->faithful->build(k->tape, &l);
        if (training)
            loss = k->how->faithful->loss(k->tape, &l, k->scores, k->label);
    } else {
        k->scores = nn_map_add(k->tape, k->how->build(k->tape, &l),
                               first_stage(k->tape, &l));
    }
    if (training && !o->faithful) {
        loss = nn_reduce_mean(
            k->tape, nn_loss_list(k->tape, k->scores, k->label, k->mask), NULL);
    }
    nn_tape_keep(k->tape, k->scores);
    return nn_tape_plan(k->tape, loss);
}

/* layers: what a narrow network is built by, n_layers bytes; or NULL. */
static enum err open_one(struct rec_net *k, const struct rec_model *m,
                         size_t features, size_t n_items, size_t batch,
                         bool training, uint64_t seed, const char *layers,
                         size_t n_layers)
{
    const struct rec_rerank_opts *o = m->opts;

    *k = (struct rec_net){.batch = batch,
                          .n = (size_t)o->candidates,
                          .features = features,
                          .n_items = n_items,
                          .seed = seed};
    ERR_TRY(rec_reranker_find(o->ranker, &k->how));
    if (k->how->items && n_items == 0)
        return err_set(ERR_ARG,
                       "--ranker %s reads items and histories, which "
                       "ready-made lists do not have",
                       o->ranker);
    ERR_TRY(nn_params_new(&k->params, NN_F32, seed));
    if (layers != NULL)
        ERR_TRY(rec_thin_narrow(k->params, layers, n_layers));
    return k->how->ways != NULL ? k->how->ways->open(k, m, training)
                                : open_pass(k, o, training);
}

enum err rec_net_open(struct rec_net *k, const struct rec_model *m,
                      size_t features, size_t n_items, size_t batch,
                      bool training)
{
    const struct rec_rerank_opts *o = m->opts;
    struct rec_net *last = k;

    ERR_TRY(
        open_one(k, m, features, n_items, batch, training, m->seed, NULL, 0));
    for (uint64_t i = 1; i < (uint64_t)o->members; i++) {
        last->next = mem_array(1, sizeof(*last->next));
        if (last->next == NULL)
            return err_set(ERR_NOMEM, "no memory for networks");
        last = last->next;
        ERR_TRY(open_one(last, m, features, n_items, batch, training,
                         rng_derive(m->seed, RNG_INIT, i), NULL, 0));
    }
    return ERR_OK;
}

enum err rec_net_narrow(struct rec_net *k, const struct rec_model *m)
{
    struct rec_net small = {.n = 0};
    char *layers;

    ERR_TRY(rec_thin_layers(&k->thin, &layers));
    enum err e = open_one(&small, m, k->features, k->n_items, k->batch, false,
                          m->seed, layers, strlen(layers));

    small.layers = layers;
    if (e != ERR_OK) {
        rec_net_free(&small);
        return e;
    }
    nn_chex_copy(k->thin.chex, small.params);
    rec_net_free(k);
    *k = small;
    return ERR_OK;
}

enum err rec_net_set(struct rec_net *k, const struct rec_asked *a)
{
    nn_tape_set(k->tape, k->x, a->x);
    nn_tape_set(k->tape, k->mask, a->mask);
    nn_tape_set_keys(k->tape, k->keys, a->key);
    if (!k->how->items)
        return ERR_OK;
    ERR_TRY(nn_tape_set_ids(k->tape, k->item, a->item));
    ERR_TRY(nn_tape_set_ids(k->tape, k->past, a->past));
    for (size_t p = 0; p < k->batch * REC_PAST; p++)
        nn_tape_put(k->tape, k->past_mask, p, a->past[p] != NN_PAD);
    return ERR_OK;
}

/* Add what the other networks say. */
static enum err add_others(struct rec_net *k, const struct rec_asked *a,
                           float *value)
{
    float *other = mem_array(k->batch * k->n, sizeof(*other));
    const enum err e = other == NULL ? err_set(ERR_NOMEM, "no memory to order")
                                     : rec_net_order(k->next, a, other);

    for (size_t i = 0; i < k->batch * k->n && e == ERR_OK; i++)
        value[i] += other[i];
    free(other);
    return e;
}

enum err rec_net_order(struct rec_net *k, const struct rec_asked *a,
                       float *value)
{
    if (k->how->ways != NULL)
        return k->how->ways->order(k, a, value);
    ERR_TRY(rec_net_set(k, a));
    if (k->learning != NULL)
        nn_tape_fill(k->tape, k->learning, 0);
    ERR_TRY(nn_tape_forward(k->tape));
    nn_tape_get(k->tape, k->scores, value);
    return k->next != NULL ? add_others(k, a, value) : ERR_OK;
}

/* --- in a model ------------------------------------------------------------
 *
 * "own" holds the words of ways of its own; "net" the parameters, of the shapes
 * that "layers" says where the network is narrow; those that were pruned stand
 * in "sparse0", "sparse1"... instead, as images of nn/sparse.h.
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
    return rec_thin_pack(&k->thin);
}

static const uint32_t *own_words(const struct rec_net *k, size_t *n)
{
    *n = 0;
    return k->how->ways != NULL && k->how->ways->words != NULL
               ? k->how->ways->words(k, n)
               : NULL;
}

/* Elements of the parameters that are kept dense. */
static size_t dense_size(const struct rec_net *k)
{
    size_t number[REC_SPARSE_MOST];

    for (size_t i = 0; i < k->thin.n_packed; i++)
        number[i] = nn_prune_number(k->thin.prune, i);
    return dense_part(k->params, number, k->thin.n_packed, NULL, false);
}

static const char *const other_name[REC_MEMBERS_MOST] = {
    "net", "net1", "net2", "net3", "net4", "net5", "net6", "net7"};

size_t rec_net_arrays(const struct rec_net *k, struct rec_array_spec *spec)
{
    const struct rec_net *other = k->next;
    size_t n = 0, words;

    if (dense_size(k) > 0)
        spec[n++] = (struct rec_array_spec){"net", STO_F32, dense_size(k), 1};
    for (size_t i = 1; other != NULL; other = other->next)
        spec[n++] = (struct rec_array_spec){other_name[i++], STO_F32,
                                            dense_size(other), 1};
    for (size_t i = 0; i < k->thin.n_packed; i++)
        spec[n++] = (struct rec_array_spec){
            sparse_name[i], STO_U32,
            nn_sparse_save_bytes(&k->thin.packed[i]) / 4, 1};
    if (k->layers != NULL)
        spec[n++] =
            (struct rec_array_spec){"layers", STO_U8, strlen(k->layers), 1};
    (void)own_words(k, &words);
    if (words > 0)
        spec[n++] = (struct rec_array_spec){"own", STO_U32, words, 1};
    return n;
}

void rec_net_store(const struct rec_net *k, struct rec_model *m)
{
    size_t number[REC_SPARSE_MOST], n;
    const uint32_t *words = own_words(k, &n);

    for (size_t i = 0; i < k->thin.n_packed; i++) {
        number[i] = nn_prune_number(k->thin.prune, i);
        nn_sparse_save(&k->thin.packed[i], rec_model_array(m, sparse_name[i]));
    }
    if (dense_size(k) > 0)
        (void)dense_part(k->params, number, k->thin.n_packed,
                         rec_model_array(m, "net"), false);
    if (k->layers != NULL)
        memcpy(rec_model_array(m, "layers"), k->layers, strlen(k->layers));
    size_t member = 1;

    for (const struct rec_net *other = k->next; other != NULL;
         other = other->next)
        (void)dense_part(other->params, NULL, 0,
                         rec_model_array(m, other_name[member++]), false);
    if (n > 0)
        memcpy(rec_model_array(m, "own"), words, n * sizeof(*words));
}

static enum err damaged(void)
{
    return err_set(ERR_FORMAT, "the network of the re-ranker is damaged");
}

static enum err load_params(struct rec_net *k, const struct rec_model *m)
{
    size_t number[REC_SPARSE_MOST];
    size_t n = nn_prune_list(k->params, number, REC_SPARSE_MOST);

    if (rec_thin_array(m, sparse_name[0]) == NULL)
        n = 0;
    if (n > REC_SPARSE_MOST)
        return damaged();
    const size_t dense = dense_part(k->params, number, n, NULL, false);

    if (dense > 0 && !rec_model_has(m, "net", STO_F32, dense, 1))
        return damaged();
    if (dense > 0)
        (void)dense_part(k->params, number, n, rec_model_array(m, "net"), true);
    if (n == 0)
        return ERR_OK;
    k->thin.packed = mem_array(n, sizeof(*k->thin.packed));
    if (k->thin.packed == NULL)
        return err_set(ERR_NOMEM, "no memory for a sparse network");
    for (size_t i = 0; i < n; i++) {
        k->thin.n_packed = i + 1;
        ERR_TRY(rec_thin_load(&k->thin.packed[i],
                              rec_thin_array(m, sparse_name[i]), k->params,
                              number[i], m->level));
    }
    return ERR_OK;
}

static enum err load_others(struct rec_net *k, const struct rec_model *m)
{
    size_t i = 1;

    for (struct rec_net *x = k->next; x != NULL; x = x->next, i++) {
        const size_t n = dense_part(x->params, NULL, 0, NULL, false);

        if (!rec_model_has(m, other_name[i], STO_F32, n, 1))
            return damaged();
        (void)dense_part(x->params, NULL, 0, rec_model_array(m, other_name[i]),
                         true);
    }
    return ERR_OK;
}

static enum err load_own(struct rec_net *k, const struct rec_model *m)
{
    const struct sto_array *a = rec_thin_array(m, "own");

    if (k->how->ways == NULL || k->how->ways->load == NULL)
        return ERR_OK;
    if (a != NULL && (a->type != STO_U32 || a->cols != 1))
        return damaged();
    return k->how->ways->load(k, a != NULL ? a->data : NULL,
                              a != NULL ? a->rows : 0);
}

enum err rec_net_load(struct rec_net *k, const struct rec_model *m,
                      size_t features, size_t batch)
{
    const struct sto_array *layers = rec_thin_array(m, "layers");
    const struct rec_rerank_opts *o = m->opts;

    if (layers != NULL && (layers->type != STO_U8 || layers->cols != 1 ||
                           !rec_thin_narrows(&o->thin) || o->members > 1))
        return damaged();
    ERR_TRY(layers != NULL
                ? open_one(k, m, features, m->n_items, batch, false, m->seed,
                           layers->data, layers->rows)
                : rec_net_open(k, m, features, m->n_items, batch, false));
    if (!rec_model_has(m, "mean", STO_F32, features, 1) ||
        !rec_model_has(m, "unit", STO_F32, features, 1) ||
        (k->how->kin && m->n_items > 0 &&
         !rec_model_has(m, "kin", STO_F32, m->n_items, REC_KIN)))
        return damaged();
    ERR_TRY(load_params(k, m));
    ERR_TRY(load_others(k, m));
    return load_own(k, m);
}

int rec_by_place(const void *a, const void *b)
{
    const struct rec_placed *x = a, *y = b;

    if (x->score > y->score || x->score < y->score)
        return x->score > y->score ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}
