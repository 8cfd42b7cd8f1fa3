/* rec/head.c - a learnt adapter. */
#include "rec/head.h"

#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/la.h"
#include "base/mem.h"
#include "nn/nn.h"

#define D ((size_t)REC_ENCODING)
#define BATCH ((size_t)64)

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for a learnt adapter");
}

size_t rec_head_items(const struct rec_head_lesson *l, uint8_t *met)
{
    size_t n = 0;

    memset(met, 0, l->n_items);
    for (size_t k = 0; k < l->n_members; k++) {
        const uint32_t u = l->member[k];

        for (uint64_t r = l->ptr[u]; r < l->ptr[u + 1]; r++) {
            n += !met[l->item[r]];
            met[l->item[r]] = 1;
        }
    }
    return n;
}

/* --- training -------------------------------------------------------------
 */

struct head {
    const struct rec_head_lesson *l;
    size_t n, batch;
    struct nn_params *params;
    struct nn_tape *tape;
    struct nn_optim *optim;
    struct nn_tensor *z, *met, *weight;
    uint32_t *place; /* [l->n_items] position of an item in own */
    uint32_t *order; /* [n_members] */
    uint64_t *key;   /* [n_members] */
    float *x, *y, *w;
};

static enum err open_head(struct head *h, const struct rec_head_opts *o)
{
    const struct nn_optim_opt adam = {
        .kind = NN_ADAM, .lr = o->rate, .decay = o->decay};

    ERR_TRY(nn_params_new(&h->params, NN_F32, o->seed));
    ERR_TRY(nn_tape_new(&h->tape, h->params));
    h->z = nn_tape_input(h->tape, "z", 2, (size_t[]){h->batch, D});
    h->met = nn_tape_input(h->tape, "met", 2, (size_t[]){h->batch, h->n});
    h->weight = nn_tape_input(h->tape, "weight", 1, &h->batch);
    struct nn_tensor *s = nn_linear(h->tape, h->z, "head", h->n, NN_NONE);
    struct nn_tensor *loss = nn_reduce_mean(
        h->tape, nn_loss_list(h->tape, s, h->met, NULL), h->weight);

    ERR_TRY(nn_tape_plan(h->tape, loss));
    return nn_optim_new(&h->optim, h->params, &adam);
}

static float *weights_of(const struct head *h, const char *name)
{
    return (float *)nn_params_values(h->params) +
           nn_params_find(h->params, name)->at;
}

static void first_weights(const struct head *h)
{
    float *bias = weights_of(h, "head/bias");

    memset(weights_of(h, "head/weight"), 0, D * h->n * sizeof(float));
    for (size_t k = 0; k < h->l->n_members; k++) {
        const uint32_t u = h->l->member[k];

        h->key[k] = h->l->user_key[u];
        for (uint64_t r = h->l->ptr[u]; r < h->l->ptr[u + 1]; r++)
            bias[h->place[h->l->item[r]]] += 1;
    }
    cpu_ops()->log_f32(bias, bias, h->n);
}

static void fill_batch(const struct head *h, size_t first)
{
    const struct rec_head_lesson *l = h->l;

    memset(h->x, 0, h->batch * D * sizeof(*h->x));
    memset(h->y, 0, h->batch * h->n * sizeof(*h->y));
    for (size_t b = 0; b < h->batch; b++) {
        h->w[b] = first + b < l->n_members;
        if (h->w[b] <= 0)
            continue;
        const uint32_t u = l->member[h->order[first + b]];

        memcpy(h->x + b * D, l->z + u * D, D * sizeof(*h->x));
        for (uint64_t r = l->ptr[u]; r < l->ptr[u + 1]; r++)
            h->y[b * h->n + h->place[l->item[r]]] = 1;
    }
    nn_tape_set(h->tape, h->z, h->x);
    nn_tape_set(h->tape, h->met, h->y);
    nn_tape_set(h->tape, h->weight, h->w);
}

static enum err learn(struct head *h, const struct rec_head_opts *o)
{
    first_weights(h);
    for (uint64_t e = 0; e < o->epochs; e++) {
        ERR_TRY(nn_order(h->order, h->key, h->l->n_members, o->seed, e));
        for (size_t b = 0; b < h->l->n_members; b += h->batch) {
            fill_batch(h, b);
            ERR_TRY(nn_optim_train(h->optim, h->tape, NULL));
        }
    }
    return ERR_OK;
}

enum err rec_head_train(const struct rec_head_lesson *l,
                        const struct rec_head_opts *o, const uint32_t *own,
                        size_t n, float *weights)
{
    struct head h = {
        .l = l, .n = n, .batch = l->n_members < BATCH ? l->n_members : BATCH};
    struct mem_scratch s = {0};

    if (n == 0)
        return ERR_OK;
    h.place = mem_take(&s, l->n_items, 1, sizeof(*h.place));
    h.order = mem_take(&s, l->n_members, 1, sizeof(*h.order));
    h.key = mem_take(&s, l->n_members, 1, sizeof(*h.key));
    h.x = mem_take(&s, h.batch, D, sizeof(*h.x));
    h.y = mem_take(&s, h.batch, n, sizeof(*h.y));
    h.w = mem_take(&s, h.batch, 1, sizeof(*h.w));
    enum err e = s.failed ? no_memory() : ERR_OK;

    for (size_t i = 0; i < n && e == ERR_OK; i++)
        h.place[own[i]] = (uint32_t)i;
    if (e == ERR_OK)
        e = open_head(&h, o);
    if (e == ERR_OK)
        e = learn(&h, o);
    if (e == ERR_OK) {
        memcpy(weights, weights_of(&h, "head/weight"), D * n * sizeof(float));
        memcpy(weights + D * n, weights_of(&h, "head/bias"), n * sizeof(float));
    }
    nn_optim_free(h.optim);
    nn_tape_free(h.tape);
    nn_params_free(h.params);
    mem_drop(&s);
    return e;
}

/* --- asking ------------------------------------------------------------------
 */

enum err rec_head_ask(const float *weights, size_t n, const float *z,
                      size_t rows, float *p)
{
    const float *bias = weights + D * n;

    ERR_TRY(la_gemm(&(struct krn_gemm){.m = rows,
                                       .n = n,
                                       .k = D,
                                       .a = z,
                                       .lda = D,
                                       .b = weights,
                                       .ldb = n,
                                       .c = p,
                                       .ldc = n}));
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < n; i++)
            p[r * n + i] += bias[i];
        cpu_ops()->softmax_f32(p + r * n, p + r * n, n);
    }
    return ERR_OK;
}
