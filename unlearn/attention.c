/*
 * unlearn/attention.c - transfer into one space, attention over shards.
 *
 *   t_s = x_s W_s                     (of people, of items: W of their own)
 *   a   = softmax over s of h . relu(t_s V + b) / width of h   (likewise)
 *   joined = sum over s of a_s t_s
 *
 * RecEraser, equations 8 to 12.  With a person's score of an item joined_u .
 * joined_i and N the rows, each divided by the roots of how many its person and
 * its item have, the loss is |N - D^-1/2 scores D^-1/2|^2, for all models.  For
 * even attention the best W are known in closed form (unlearn/transfer.h);
 * from there the attention alone is learnt, by full passes of Adam: no
 * negatives, so nothing is drawn.
 */
#include "unlearn/attention.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/la.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/par.h"
#include "nn/nn.h"
#include "unlearn/transfer.h"

#define CHUNK 256 /* most rows of a pass of the network: near the processor */
#define TASK 1024 /* rows of a task */

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for the attention over shards");
}

/* --- the network
 * ------------------------------------------------------------------
 */

/* One side of it: people or items. */
struct side {
    struct nn_tape *tape;
    struct nn_tensor *t, *joined, *pull; /* pull: gradient of the loss */
};

struct net {
    struct nn_params *params;
    size_t n, d, hidden;
    size_t rows; /* of a pass */
    struct side side[2];
};

static const char *const side_name[2] = {"person", "item"};

static void build_side(struct net *n, size_t which)
{
    struct side *s = &n->side[which];
    const size_t rows = n->rows, every = rows * n->n;
    char name[32];

    s->t = nn_tape_input(s->tape, "t", 2, (size_t[]){rows, n->n * n->d});
    (void)snprintf(name, sizeof(name), "%s/hidden", side_name[which]);
    struct nn_tensor *h = nn_linear(
        s->tape, nn_shape_as(s->tape, s->t, 2, (size_t[]){every, n->d}), name,
        n->hidden, NN_RELU);

    (void)snprintf(name, sizeof(name), "%s/score", side_name[which]);
    struct nn_tensor *score = nn_map_scale(
        s->tape, nn_linear_free(s->tape, h, name, 1), 1 / (double)n->hidden, 0);
    struct nn_tensor *weight = nn_reduce_softmax(
        s->tape, nn_shape_as(s->tape, score, 2, (size_t[]){rows, n->n}), NULL);
    struct nn_tensor *all =
        nn_shape_as(s->tape, s->t, 3, (size_t[]){rows, n->n, n->d});

    weight = nn_shape_as(s->tape, weight, 3, (size_t[]){rows, 1, n->n});
    s->joined =
        nn_shape_as(s->tape, nn_linear_product(s->tape, weight, all, false), 2,
                    (size_t[]){rows, n->d});
}

static void net_free(struct net *n)
{
    nn_tape_free(n->side[0].tape);
    nn_tape_free(n->side[1].tape);
    nn_params_free(n->params);
}

static enum err plan_side(struct net *n, size_t which, bool learn)
{
    struct side *s = &n->side[which];
    struct nn_tensor *loss = NULL;

    if (learn) {
        s->pull = nn_tape_input(s->tape, "pull", 2, (size_t[]){n->rows, n->d});
        loss = nn_reduce_sum(s->tape, nn_map_mul(s->tape, s->joined, s->pull),
                             NULL);
    }
    return nn_tape_plan(s->tape, loss);
}

/* For passes of at most so many rows; one side, or to learn: both. */
static enum err net_new(struct net *out, const struct unl_attention *a,
                        size_t rows, size_t side, bool learn)
{
    struct net n = {.n = a->n,
                    .d = a->d,
                    .hidden = a->hidden,
                    .rows = rows < 1       ? 1
                            : rows < CHUNK ? rows
                                           : CHUNK};
    enum err e = nn_params_new(&n.params, NN_F32, 1);

    for (size_t i = 0; i < 2 && e == ERR_OK; i++) {
        if (!learn && i != side)
            continue;
        e = nn_tape_new(&n.side[i].tape, n.params);
        if (e == ERR_OK)
            build_side(&n, i);
    }
    for (size_t i = 0; i < 2 && e == ERR_OK; i++) {
        if (n.side[i].tape != NULL)
            e = plan_side(&n, i, learn);
    }
    if (e != ERR_OK)
        net_free(&n);
    else
        *out = n;
    return e;
}

/* --- weights ----------------------------------------------------------------
 * map of people, map of items [n d][d], then those of the network of people,
 * of that of items.
 */

static size_t map_size(const struct unl_attention *a)
{
    return a->n * a->d * a->d;
}

static size_t net_size(const struct unl_attention *a)
{
    return a->hidden * (a->d + 2);
}

size_t unl_attention_size(const struct unl_attention *a)
{
    return 2 * map_size(a) + 2 * net_size(a);
}

/* Copy what a side's network has learnt into flat, or back. */
static void net_copy(const struct net *n, size_t side, float *flat, bool out)
{
    const char *name = side_name[side];
    float *block = nn_params_values(n->params);

    for (size_t i = 0; i < nn_params_count(n->params); i++) {
        const struct nn_param *v = nn_params_view(n->params, i);

        if (strncmp(v->name, name, strlen(name)) != 0)
            continue;
        if (out)
            memcpy(flat, block + v->at, v->n * sizeof(*flat));
        else
            memcpy(block + v->at, flat, v->n * sizeof(*flat));
        flat += v->n;
    }
}

/* --- running it
 * -------------------------------------------------------------------
 */

/* t[rows][n d] from x, shard by shard. */
static enum err transfer(const struct unl_attention *a, const float *map,
                         const float *x, size_t rows, float *t)
{
    const size_t width = a->n * a->d;

    for (size_t s = 0; s < a->n; s++)
        ERR_TRY(la_gemm(&(struct krn_gemm){.m = rows,
                                           .n = a->d,
                                           .k = a->d,
                                           .a = x + s * a->d,
                                           .lda = width,
                                           .b = map + s * a->d * a->d,
                                           .ldb = a->d,
                                           .c = t + s * a->d,
                                           .ldc = width}));
    return ERR_OK;
}

/* Rows first.. of x[rows][width], filled with 0 up to those of a pass. */
static void set_rows(const struct net *n, struct side *s, struct nn_tensor *to,
                     const float *x, size_t first, size_t rows, float *room)
{
    const size_t width = to->dim[1];
    const size_t left = rows - first < n->rows ? rows - first : n->rows;

    if (left == n->rows) {
        nn_tape_set(s->tape, to, x + first * width);
        return;
    }
    memset(room, 0, n->rows * width * sizeof(*room));
    memcpy(room, x + first * width, left * width * sizeof(*room));
    nn_tape_set(s->tape, to, room);
}

static enum err join_rows(struct net *n, size_t which, const float *t,
                          size_t rows, float *joined, float *room)
{
    struct side *s = &n->side[which];

    for (size_t first = 0; first < rows; first += n->rows) {
        const size_t left = rows - first < n->rows ? rows - first : n->rows;

        set_rows(n, s, s->t, t, first, rows, room);
        ERR_TRY(nn_tape_forward_to(s->tape, s->joined, true));
        nn_tape_get(s->tape, s->joined, room);
        memcpy(joined + first * n->d, room, left * n->d * sizeof(*joined));
    }
    return ERR_OK;
}

enum err unl_attention_join(const struct unl_attention *a, const float *weights,
                            size_t side, const float *x, size_t rows,
                            float *joined)
{
    struct net n;
    struct mem_scratch s = {0};
    float *t = mem_take_raw(&s, rows, a->n * a->d, sizeof(*t));
    float *room =
        mem_take(&s, rows < CHUNK ? rows + 1 : CHUNK, a->n * a->d, sizeof(*t));
    enum err e = s.failed ? no_memory() : net_new(&n, a, rows, side, false);

    if (e == ERR_OK) {
        net_copy(&n, side,
                 (float *)(uintptr_t)(weights + 2 * map_size(a) +
                                      side * net_size(a)),
                 false);
        e = transfer(a, weights + side * map_size(a), x, rows, t);
        if (e == ERR_OK)
            e = join_rows(&n, side, t, rows, joined, room);
        net_free(&n);
    }
    mem_drop(&s);
    return e;
}

/* --- learning
 * ---------------------------------------------------------------------
 */

struct learn {
    const struct unl_attention *a;
    struct net net;
    struct unl_transfer rows;
    float *t[2];                /* [rows][n d] */
    float *joined[2], *pull[2]; /* [rows][d]; joined times the roots */
    float *gram;                /* [d][d] */
    float *room;
    struct mem_scratch s;
};

struct rooting {
    float *x;
    const float *root;
    size_t n, d;
    float by;
};

static void root_task(void *arg, size_t task, size_t thread)
{
    const struct rooting *r = arg;

    (void)thread;
    for (size_t i = task * TASK; i < (task + 1) * TASK && i < r->n; i++) {
        for (size_t k = 0; k < r->d; k++)
            r->x[i * r->d + k] *= r->by * r->root[i];
    }
}

/* x[rows of side][d] times `by` and the roots. */
static void times_roots(const struct learn *l, size_t side, float *x, float by)
{
    const size_t n = l->rows.rows[side];

    par_for((n + TASK - 1) / TASK, root_task,
            &(struct rooting){x, l->rows.root[side], n, l->a->d, by});
}

/* With p, q the joined vectors times the roots, the loss is |p q^T|^2 - 2 <N,
 * p q^T> and a constant; by p: 2 (p (q^T q) - N q). */
static enum err pull_side(struct learn *l, size_t side)
{
    const size_t d = l->a->d, n = l->rows.rows[side];
    const float *other = l->joined[1 - side];

    unl_transfer_met(&l->rows, side, other, l->pull[side], d);
    ERR_TRY(la_gram(l->gram, other, l->rows.rows[1 - side], d));
    for (size_t i = 0; i < d * d; i++)
        l->gram[i] = -l->gram[i];
    ERR_TRY(la_gemm(&(struct krn_gemm){.add = true,
                                       .m = n,
                                       .n = d,
                                       .k = d,
                                       .a = l->joined[side],
                                       .lda = d,
                                       .b = l->gram,
                                       .ldb = d,
                                       .c = l->pull[side],
                                       .ldc = d}));
    times_roots(l, side, l->pull[side], -2);
    return ERR_OK;
}

static enum err push_back(struct learn *l, size_t side)
{
    struct side *s = &l->net.side[side];
    const size_t rows = l->rows.rows[side];

    for (size_t first = 0; first < rows; first += l->net.rows) {
        set_rows(&l->net, s, s->t, l->t[side], first, rows, l->room);
        set_rows(&l->net, s, s->pull, l->pull[side], first, rows, l->room);
        ERR_TRY(nn_tape_forward(s->tape));
        ERR_TRY(nn_tape_backward(s->tape));
    }
    return ERR_OK;
}

/* The gradient by the attention's weights, added to the network's. */
static enum err gradient(struct learn *l)
{
    for (size_t side = 0; side < 2; side++) {
        ERR_TRY(join_rows(&l->net, side, l->t[side], l->rows.rows[side],
                          l->joined[side], l->room));
        times_roots(l, side, l->joined[side], 1);
    }
    for (size_t side = 0; side < 2; side++)
        ERR_TRY(pull_side(l, side));
    for (size_t side = 0; side < 2; side++)
        ERR_TRY(push_back(l, side));
    return ERR_OK;
}

static float *values_of(struct net *n, const char *side, const char *name,
                        size_t *size)
{
    char full[40];

    (void)snprintf(full, sizeof(full), "%s/%s", side, name);
    const struct nn_param *v = nn_params_find(n->params, full);

    *size = v->n;
    return (float *)nn_params_values(n->params) + v->at;
}

/* Attention begins even; its hidden units see numbers of size 1. */
static void start(struct learn *l, size_t side)
{
    const size_t n = l->rows.rows[side] * l->a->n * l->a->d;
    double square = 0;
    size_t size;
    float *w = values_of(&l->net, side_name[side], "score/weight", &size);

    memset(w, 0, size * sizeof(*w));
    for (size_t i = 0; i < n; i++)
        square += (double)l->t[side][i] * (double)l->t[side][i];
    w = values_of(&l->net, side_name[side], "hidden/weight", &size);
    for (size_t i = 0; i < size && square > 0; i++)
        w[i] *= (float)sqrt((double)n / square);
}

/* The maps, for even attention: the mean over shards. */
static enum err solve(struct learn *l, float *weights)
{
    const size_t n = map_size(l->a);

    ERR_TRY(unl_transfer_solve(&l->rows, l->a->d,
                               (float *const[]){weights, weights + n}));
    for (size_t i = 0; i < 2 * n; i++)
        weights[i] *= (float)l->a->n;
    return ERR_OK;
}

static enum err bring_over(struct learn *l, const float *weights)
{
    for (size_t side = 0; side < 2; side++)
        ERR_TRY(transfer(l->a, weights + side * map_size(l->a), l->rows.x[side],
                         l->rows.rows[side], l->t[side]));
    return ERR_OK;
}

static enum err attend(struct learn *l)
{
    const struct nn_optim_opt adam = {
        .kind = NN_ADAM, .lr = l->a->lr, .l2 = l->a->reg};
    const uint64_t epochs = (uint64_t)l->a->epochs;
    struct nn_optim *o = NULL;
    enum err e = nn_optim_new(&o, l->net.params, &adam);

    for (uint64_t k = 0; k < epochs && e == ERR_OK; k++) {
        e = log_stopping() ? err_set(ERR_STOPPED, "training was interrupted")
                           : gradient(l);
        if (e == ERR_OK)
            e = nn_optim_step(o);
        log_tick("learning to aggregate", k + 1, epochs, NULL);
    }
    nn_optim_free(o);
    return e;
}

static enum err learn_room(struct learn *l)
{
    const size_t d = l->a->d, width = l->a->n * d;
    struct mem_scratch *s = &l->s;

    for (size_t i = 0; i < 2; i++) {
        l->t[i] = mem_take_raw(s, l->rows.rows[i], width, sizeof(float));
        l->joined[i] = mem_take_raw(s, l->rows.rows[i], d, sizeof(float));
        l->pull[i] = mem_take_raw(s, l->rows.rows[i], d, sizeof(float));
    }
    l->gram = mem_take(s, d, d, sizeof(float));
    l->room = mem_take_raw(s, CHUNK, width, sizeof(float));
    return s->failed ? no_memory() : ERR_OK;
}

static enum err run(struct learn *l, float *weights)
{
    ERR_TRY(solve(l, weights));
    ERR_TRY(bring_over(l, weights));
    for (size_t side = 0; side < 2; side++)
        start(l, side);
    ERR_TRY(attend(l));
    for (size_t side = 0; side < 2; side++)
        net_copy(&l->net, side,
                 weights + 2 * map_size(l->a) + side * net_size(l->a), true);
    return ERR_OK;
}

static void learn_free(struct learn *l)
{
    unl_transfer_free(&l->rows);
    net_free(&l->net);
    mem_drop(&l->s);
}

/* Free by learn_free() either way. */
static enum err learn_init(struct learn *l, const struct unl_attention *a,
                           const struct rec_data *d, float *const x[2])
{
    *l = (struct learn){.a = a};
    ERR_TRY(unl_transfer_init(&l->rows, d, x, a->n * a->d));
    ERR_TRY(learn_room(l));
    return net_new(&l->net, a,
                   d->n_users > d->n_items ? d->n_users : d->n_items, 0, true);
}

enum err unl_attention_learn(const struct unl_attention *a,
                             const struct rec_data *d, float *const x[2],
                             float *weights)
{
    struct learn l;
    enum err e = learn_init(&l, a, d, x);

    if (e == ERR_OK)
        e = run(&l, weights);
    learn_free(&l);
    return e;
}
