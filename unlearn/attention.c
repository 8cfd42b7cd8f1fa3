/*
 * unlearn/attention.c - transfer into one space, attention over shards.
 *
 *   t_s = x_s W_s + b_s                    (the same W_s for people and items)
 *   a_s = softmax over s of h . relu(t_s W + b)      (of their own for each)
 *   joined = sum_s a_s t_s
 *
 * RecEraser, equations 8 to 12.  The loss is, for all models,
 *   sum over all (u, i) of c s^2 + sum over rows of (1 - c) s^2 - 2 s
 * with s = joined_u . joined_i and c = UNMET: the whole-data loss of its WMF;
 * it needs no negatives, so nothing is drawn.
 */
#include "unlearn/attention.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/la.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "kernels/eig.h"
#include "nn/nn.h"

#define UNMET 0.1f
#define CHUNK 2048 /* rows of a pass of the network */
#define ITERATIONS 8

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
    struct nn_tensor *x, *joined, *pull; /* pull: gradient of the loss */
};

struct net {
    struct nn_params *params;
    size_t n, d, hidden;
    struct side side[2];
};

static struct nn_tensor *score_of(struct nn_tape *t, struct nn_tensor *x,
                                  const char *side, size_t hidden)
{
    char name[32];
    struct nn_tensor *h;

    (void)snprintf(name, sizeof(name), "%s/hidden", side);
    h = nn_linear(t, x, name, hidden, NN_RELU);
    (void)snprintf(name, sizeof(name), "%s/score", side);
    return nn_linear_free(t, h, name, 1);
}

static void build_side(struct net *n, size_t which, const char *name)
{
    struct side *s = &n->side[which];
    struct nn_tensor *moved[UNL_SHARDS_MAX], *score[UNL_SHARDS_MAX];

    s->x = nn_tape_input(s->tape, "x", 2, (size_t[]){CHUNK, n->n * n->d});
    for (size_t k = 0; k < n->n; k++) {
        char transfer[32];

        (void)snprintf(transfer, sizeof(transfer), "transfer/%zu", k);
        moved[k] = nn_linear(
            s->tape, nn_shape_slice(s->tape, s->x, 1, k * n->d, (k + 1) * n->d),
            transfer, n->d, NN_NONE);
        score[k] = score_of(s->tape, moved[k], name, n->hidden);
    }
    struct nn_tensor *all = nn_shape_concat(s->tape, n->n, moved, 1);
    struct nn_tensor *weight = nn_reduce_softmax(
        s->tape, nn_shape_concat(s->tape, n->n, score, 1), NULL);

    all = nn_shape_as(s->tape, all, 3, (size_t[]){CHUNK, n->n, n->d});
    weight = nn_shape_as(s->tape, weight, 3, (size_t[]){CHUNK, 1, n->n});
    s->joined =
        nn_shape_as(s->tape, nn_linear_product(s->tape, weight, all, false), 2,
                    (size_t[]){CHUNK, n->d});
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
        s->pull = nn_tape_input(s->tape, "pull", 2, (size_t[]){CHUNK, n->d});
        loss = nn_reduce_sum(s->tape, nn_map_mul(s->tape, s->joined, s->pull),
                             NULL);
    }
    return nn_tape_plan(s->tape, loss);
}

static enum err net_new(struct net *out, const struct unl_parts *p, bool learn)
{
    struct net n = {
        .n = p->n, .d = p->d, .hidden = (size_t)p->plan.aggregate_hidden};
    enum err e = nn_params_new(&n.params, NN_F32, 1);

    for (size_t i = 0; i < 2 && e == ERR_OK; i++)
        e = nn_tape_new(&n.side[i].tape, n.params);
    if (e == ERR_OK) {
        build_side(&n, 0, "person");
        build_side(&n, 1, "item");
    }
    for (size_t i = 0; i < 2 && e == ERR_OK; i++)
        e = plan_side(&n, i, learn);
    if (e != ERR_OK)
        net_free(&n);
    else
        *out = n;
    return e;
}

size_t unl_attention_size(const struct unl_plan *plan, size_t n, size_t d)
{
    const size_t hidden = (size_t)plan->aggregate_hidden;

    return n * (d * d + d) + 2 * (d * hidden + hidden + hidden);
}

/* Copy all weights into flat (or back), in the order of names of the network.
 */
static void net_copy(const struct net *n, float *flat, bool out)
{
    float *block = nn_params_values(n->params);

    for (size_t i = 0; i < nn_params_count(n->params); i++) {
        const struct nn_param *v = nn_params_view(n->params, i);

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

/* Rows first..first+CHUNK-1 of x[rows][width], the last ones filled with 0. */
static void set_rows(struct side *s, struct nn_tensor *to, const float *x,
                     size_t first, size_t rows, float *room)
{
    const size_t width = to->dim[1];
    const size_t n = rows - first < CHUNK ? rows - first : CHUNK;

    if (n == CHUNK) {
        nn_tape_set(s->tape, to, x + first * width);
        return;
    }
    memset(room, 0, CHUNK * width * sizeof(*room));
    memcpy(room, x + first * width, n * width * sizeof(*room));
    nn_tape_set(s->tape, to, room);
}

static enum err join_rows(struct net *n, size_t which, const float *x,
                          size_t rows, float *joined, float *room)
{
    struct side *s = &n->side[which];

    for (size_t first = 0; first < rows; first += CHUNK) {
        const size_t left = rows - first < CHUNK ? rows - first : CHUNK;

        set_rows(s, s->x, x, first, rows, room);
        ERR_TRY(nn_tape_forward_to(s->tape, s->joined, true));
        nn_tape_get(s->tape, s->joined, room);
        memcpy(joined + first * n->d, room, left * n->d * sizeof(*joined));
    }
    return ERR_OK;
}

enum err unl_attention_join(const struct unl_parts *p, const float *weights,
                            bool items, const float *x, size_t rows,
                            float *joined)
{
    struct net n;
    float *room = mem_array(CHUNK * p->n * p->d, sizeof(*room));
    enum err e = room == NULL ? no_memory() : net_new(&n, p, false);

    if (e == ERR_OK) {
        net_copy(&n, (float *)(uintptr_t)weights, false);
        e = join_rows(&n, items, x, rows, joined, room);
        net_free(&n);
    }
    free(room);
    return e;
}

/* --- learning
 * ---------------------------------------------------------------------
 */

struct learn {
    struct net net;
    const struct rec_data *d;
    struct rec_columns cols;
    size_t rows[2];                    /* people, items */
    float *x[2], *joined[2], *pull[2]; /* [rows][n d], [rows][d] */
    float *gram;                       /* [d][d] */
    float *coef, *coef_t; /* [n_rows] of the rows, by person, by item */
    float *room;
};

/* coef = 2 ((1 - c) s - 1) of each row. */
static void coef_task(void *arg, size_t u, size_t thread)
{
    struct learn *l = arg;
    const size_t d = l->net.d;

    (void)thread;
    for (size_t r = l->d->user_ptr[u]; r < l->d->user_ptr[u + 1]; r++) {
        const float s = cpu_ops()->dot_f32(l->joined[0] + u * d,
                                           l->joined[1] + l->d->item[r] * d, d);

        l->coef[r] = 2 * ((1 - UNMET) * s - 1);
    }
}

/* pull of one side = 2 c joined (gram of the other) + rows . other side. */
static enum err pull_side(struct learn *l, size_t side, const size_t *ptr,
                          const uint32_t *idx, const float *val)
{
    const size_t d = l->net.d, n = l->rows[side];
    const float *other = l->joined[1 - side];

    ERR_TRY(la_gram(l->gram, other, l->rows[1 - side], d));
    for (size_t i = 0; i < d * d; i++)
        l->gram[i] *= 2 * UNMET;
    ERR_TRY(la_gemm(&(struct krn_gemm){.m = n,
                                       .n = d,
                                       .k = d,
                                       .a = l->joined[side],
                                       .lda = d,
                                       .b = l->gram,
                                       .ldb = d,
                                       .c = l->pull[side],
                                       .ldc = d}));
    la_spmm(&(struct krn_spmm){.add = true,
                               .last = n,
                               .d = d,
                               .ptr = ptr,
                               .idx = idx,
                               .val = val,
                               .x = other,
                               .ldx = d,
                               .y = l->pull[side],
                               .ldy = d});
    return ERR_OK;
}

static enum err push_back(struct learn *l, size_t side)
{
    struct side *s = &l->net.side[side];

    for (size_t first = 0; first < l->rows[side]; first += CHUNK) {
        set_rows(s, s->x, l->x[side], first, l->rows[side], l->room);
        set_rows(s, s->pull, l->pull[side], first, l->rows[side], l->room);
        ERR_TRY(nn_tape_forward(s->tape));
        ERR_TRY(nn_tape_backward(s->tape));
    }
    return ERR_OK;
}

static enum err learn_pass(struct learn *l, struct nn_optim *o)
{
    for (size_t side = 0; side < 2; side++)
        ERR_TRY(join_rows(&l->net, side, l->x[side], l->rows[side],
                          l->joined[side], l->room));
    par_for(l->d->n_users, coef_task, l);
    for (size_t r = 0; r < l->d->n_rows; r++)
        l->coef_t[r] = l->coef[l->cols.row[r]];
    ERR_TRY(pull_side(l, 0, l->d->user_ptr, l->d->item, l->coef));
    ERR_TRY(pull_side(l, 1, l->cols.ptr, l->cols.user, l->coef_t));
    for (size_t side = 0; side < 2; side++) {
        const float scale = 1 / (float)l->rows[0];

        for (size_t i = 0; i < l->rows[side] * l->net.d; i++)
            l->pull[side][i] *= scale;
        ERR_TRY(push_back(l, side));
    }
    return nn_optim_step(o);
}

/* --- where it starts
 * --------------------------------------------------------------
 */

/* z[width][d] gets orthonormal columns. */
static enum err orthonormal(float *z, size_t width, size_t d, float *tmp,
                            float *gram, double *eig)
{
    ERR_TRY(la_gram(gram, z, width, d));
    for (size_t i = 0; i < d * d; i++)
        eig[i] = (double)gram[i];
    if (!krn_eig_sym_f64(eig, eig + d * d, eig + d * d + d, d))
        return err_set(ERR_NUM, "the vectors of the shards are no numbers");
    for (size_t k = 0; k < d; k++) {
        const double w = eig[d * d + k];
        const double by = w > 1e-30 ? 1 / sqrt(w) : 0;

        for (size_t j = 0; j < d; j++)
            gram[j * d + k] = (float)(eig[k * d + j] * by);
    }
    memcpy(tmp, z, width * d * sizeof(*z));
    return la_gemm(&(struct krn_gemm){.m = width,
                                      .n = d,
                                      .k = d,
                                      .a = tmp,
                                      .lda = d,
                                      .b = gram,
                                      .ldb = d,
                                      .c = z,
                                      .ldc = d});
}

/* The leading d directions of the items' vectors x[rows][width], by subspace
 * iteration: z[width][d]. */
static enum err leading(const float *x, size_t rows, size_t width, size_t d,
                        float *z)
{
    struct mem_scratch s = {0};
    float *g = mem_take(&s, width, width, sizeof(*g));
    float *tmp = mem_take(&s, width, d, sizeof(*tmp));
    float *gram = mem_take(&s, d, d, sizeof(*gram));
    double *eig = mem_take(&s, d + 4, d, sizeof(*eig));
    enum err e = s.failed ? no_memory() : la_gram(g, x, rows, width);

    for (size_t i = 0; i < width * d && e == ERR_OK; i++)
        z[i] = (float)rng_normal(1, RNG_PROJECT, i);
    for (size_t k = 0; k < ITERATIONS && e == ERR_OK; k++) {
        e = orthonormal(z, width, d, tmp, gram, eig);
        memcpy(tmp, z, width * d * sizeof(*z));
        if (e == ERR_OK)
            e = la_gemm(&(struct krn_gemm){.m = width,
                                           .n = d,
                                           .k = width,
                                           .a = g,
                                           .lda = width,
                                           .b = tmp,
                                           .ldb = d,
                                           .c = z,
                                           .ldc = d});
    }
    if (e == ERR_OK)
        e = orthonormal(z, width, d, tmp, gram, eig);
    mem_drop(&s);
    return e;
}

/* With even attention, joined_u . joined_i is then the mean of the shards'
 * scores in the leading directions. */
static enum err start(struct learn *l)
{
    const size_t n = l->net.n, d = l->net.d;
    float *z = mem_array(n * d * d, sizeof(*z));
    float *block = nn_params_values(l->net.params);
    enum err e =
        z == NULL ? no_memory() : leading(l->x[1], l->rows[1], n * d, d, z);

    for (size_t s = 0; s < n && e == ERR_OK; s++) {
        char name[40];

        (void)snprintf(name, sizeof(name), "transfer/%zu/weight", s);
        const struct nn_param *v = nn_params_find(l->net.params, name);

        for (size_t i = 0; i < d * d; i++)
            block[v->at + i] = sqrtf((float)n) * z[s * d * d + i];
    }
    free(z);
    return e;
}

static enum err fill_vectors(struct learn *l, const struct rec_model *m)
{
    const struct unl_parts *p = m->parts;
    const size_t width = p->n * p->d;
    struct mem_scratch s = {0};
    uint32_t *user = mem_take(&s, m->n_users, 1, sizeof(*user));
    const struct rec_query q = {m->n_users, user,        l->d->user_ptr,
                                l->d->item, l->d->value, l->d->time};
    enum err e = s.failed ? no_memory() : ERR_OK;

    for (size_t u = 0; u < m->n_users && e == ERR_OK; u++)
        user[u] = (uint32_t)u;
    for (size_t k = 0; k < p->n && e == ERR_OK; k++) {
        e = unl_parts_embed(p, k, &q, l->x[0] + k * p->d, width);
        if (e == ERR_OK)
            e = unl_parts_items(p, k, m->n_items, l->x[1] + k * p->d, width);
    }
    mem_drop(&s);
    return e;
}

static enum err learn_room(struct learn *l, const struct rec_model *m,
                           struct mem_scratch *s)
{
    const struct unl_parts *p = m->parts;

    l->rows[0] = m->n_users;
    l->rows[1] = m->n_items;
    for (size_t i = 0; i < 2; i++) {
        l->x[i] = mem_take(s, l->rows[i], p->n * p->d, sizeof(float));
        l->joined[i] = mem_take(s, l->rows[i], p->d, sizeof(float));
        l->pull[i] = mem_take(s, l->rows[i], p->d, sizeof(float));
    }
    l->gram = mem_take(s, p->d, p->d, sizeof(float));
    l->coef = mem_take(s, l->d->n_rows, 1, sizeof(float));
    l->coef_t = mem_take(s, l->d->n_rows, 1, sizeof(float));
    l->room = mem_take(s, CHUNK, p->n * p->d, sizeof(float));
    return s->failed ? no_memory() : ERR_OK;
}

static enum err learn(struct learn *l, const struct rec_model *m)
{
    const struct unl_plan *plan = &((struct unl_parts *)m->parts)->plan;
    const struct nn_optim_opt adam = {
        .kind = NN_ADAM, .lr = plan->aggregate_lr, .l2 = plan->aggregate_reg};
    struct nn_optim *o = NULL;
    enum err e = fill_vectors(l, m);

    if (e == ERR_OK)
        e = start(l);
    if (e == ERR_OK)
        e = nn_optim_new(&o, l->net.params, &adam);
    for (int64_t k = 0; k < plan->aggregate_epochs && e == ERR_OK; k++) {
        e = log_stopping() ? err_set(ERR_STOPPED, "training was interrupted")
                           : learn_pass(l, o);
        log_tick("learning to aggregate", (uint64_t)k + 1,
                 (uint64_t)plan->aggregate_epochs, NULL);
    }
    nn_optim_free(o);
    return e;
}

enum err unl_attention_learn(const struct rec_model *m,
                             const struct rec_data *d, float *weights)
{
    struct mem_scratch s = {0};
    struct learn l = {.d = d};
    enum err e = rec_columns_build(&l.cols, d);

    if (e == ERR_OK)
        e = learn_room(&l, m, &s);
    if (e == ERR_OK)
        e = net_new(&l.net, m->parts, true);
    if (e == ERR_OK) {
        e = learn(&l, m);
        if (e == ERR_OK)
            net_copy(&l.net, weights, true);
        net_free(&l.net);
    }
    rec_columns_free(&l.cols);
    mem_drop(&s);
    return e;
}
