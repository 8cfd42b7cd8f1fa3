/*
 * rec/rerank_pier.c - all orders of the first five, of which an evaluator reads
 * the most fitting.
 *
 * Of the 120 orders of the first PLACES items the --kept whose vectors (items
 * weighed by how much their place is looked at) are nearest to the list's as a
 * whole, by bits of random hyperplanes, are read by an evaluator with attention
 * over all of them; the one with the most expected clicks is shown, and the
 * rest of the list follows as it was.  Vectors and evaluator learn together:
 * the order in which something was taken is nearer than the one turned around.
 *
 * Source: Shi et al., PIER: permutation-level interest-based end-to-end
 * re-ranking framework in e-commerce, KDD 2023.  Differs: lists come without
 * a history of pages, so that interest is the mean of the list's items; all
 * orders are kept unless --kept says less (published: 20); the order as it was
 * is always among them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "rec/judge.h"

#define PLACES ((size_t)5)
#define ORDERS ((size_t)120)
#define BITS ((size_t)32)
#define CONTRAST 0.01 /* weight of the vectors' loss */

/* how much a place is looked at, as published */
static const float exposure[PLACES] = {1, 0.9F, 0.8F, 0.7F, 0.6F};

struct own {
    struct nn_tape *tape;
    struct nn_tensor *x, *mask, *keys, *whole, *label, *p, *item, *interest;
    struct mem_scratch s;
    size_t batch, n, m, features, dim; /* m: places that are ordered */
    uint64_t seed;
    float *lists, *there, *means; /* [batch][m][features], [batch][m],
                                     [batch][features] */
    float *vec, *wish, *plane;    /* [batch][m][dim], [batch][dim],
                                     [BITS][dim] */
    float *value;                 /* [batch][m] */
    uint8_t *kept;                /* [batch][n_kept] numbers of orders */
    size_t n_kept;
    double *best;   /* [batch] */
    uint8_t *shown; /* [batch] */
    uint8_t perm[ORDERS][PLACES];
    size_t n_perm;
};

/* --- the network -----------------------------------------------------------
 */

/* Items of [batch][m] weighed by place: [batch][dim]; turned: the last first.
 */
static struct nn_tensor *order_vector(struct own *w, bool turned)
{
    float weight[PLACES] = {0};

    for (size_t k = 0; k < w->m; k++)
        weight[k] = exposure[turned ? w->m - 1 - k : k];
    struct nn_tensor *by =
        nn_shape_repeat(w->tape,
                        nn_tape_constant(w->tape, turned ? "turned" : "places",
                                         2, (size_t[]){1, w->m}, weight),
                        0, w->batch);
    struct nn_tensor *sum =
        nn_linear_product(w->tape, by, w->item, false); /* [batch][1][dim] */

    return nn_shape_as(w->tape, sum, 2, (size_t[]){w->batch, w->dim});
}

/* -ln sigmoid(what the order is nearer than the order turned around), of lists
 * in which something was taken. */
static struct nn_tensor *contrast(struct own *w)
{
    struct nn_tensor *ahead =
        nn_map_sub(w->tape, order_vector(w, false), order_vector(w, true));
    struct nn_tensor *nearer =
        nn_reduce_axis_sum(w->tape, nn_map_mul(w->tape, ahead, w->interest), 1);
    struct nn_tensor *taken = nn_reduce_axis_max(w->tape, w->label, 1);

    nearer = nn_map(w->tape, nn_map_scale(w->tape, nearer, -1, 0), NN_SOFTPLUS);
    return nn_reduce_mean(w->tape, nn_map_mul(w->tape, nearer, taken), NULL);
}

static enum err build(struct own *w, const struct rec_rerank_opts *o,
                      bool training)
{
    const size_t list[2] = {w->batch, w->m};
    struct nn_tensor *logit, *loss = NULL;

    w->x =
        nn_tape_input(w->tape, "x", 3, (size_t[]){w->batch, w->m, w->features});
    w->mask = nn_tape_input(w->tape, "mask", 2, list);
    w->keys = nn_tape_keys(w->tape, "people", w->batch);
    w->whole =
        nn_tape_input(w->tape, "whole", 2, (size_t[]){w->batch, w->features});
    const struct rec_lists l = {.x = w->x,
                                .mask = w->mask,
                                .keys = w->keys,
                                .batch = w->batch,
                                .n = w->m,
                                .features = w->features,
                                .dim = w->dim,
                                .drop = o->drop};

    w->item = nn_linear(w->tape, w->x, "net/vector", w->dim, NN_TANH);
    w->interest = nn_linear(w->tape, w->whole, "net/vector", w->dim, NN_TANH);
    logit = rec_judge_omni(w->tape, &l);
    w->p = nn_map(w->tape, logit, NN_SIGMOID);
    nn_tape_keep(w->tape, w->item);
    nn_tape_keep(w->tape, w->interest);
    nn_tape_keep(w->tape, w->p);
    if (training) {
        w->label = nn_tape_input(w->tape, "label", 2, list);
        loss = nn_map_add(w->tape,
                          nn_reduce_mean(w->tape,
                                         nn_loss_bce(w->tape, logit, w->label),
                                         w->mask),
                          nn_map_scale(w->tape, contrast(w), CONTRAST, 0));
    }
    return nn_tape_plan(w->tape, loss);
}

/* All orders of m places, in lexical order: the first is as it was. */
static void make_orders(struct own *w, uint8_t *now, size_t k, unsigned used)
{
    if (k == w->m) {
        memcpy(w->perm[w->n_perm++], now, w->m);
        return;
    }
    for (uint8_t i = 0; i < w->m; i++) {
        if ((used >> i & 1) != 0)
            continue;
        now[k] = i;
        make_orders(w, now, k + 1, used | 1U << i);
    }
}

static enum err take_room(struct own *w)
{
    w->lists = mem_take(&w->s, w->batch * w->m, w->features, sizeof(float));
    w->there = mem_take(&w->s, w->batch, w->m, sizeof(float));
    w->means = mem_take(&w->s, w->batch, w->features, sizeof(float));
    w->vec = mem_take(&w->s, w->batch * w->m, w->dim, sizeof(float));
    w->wish = mem_take(&w->s, w->batch, w->dim, sizeof(float));
    w->plane = mem_take(&w->s, BITS, w->dim, sizeof(float));
    w->value = mem_take(&w->s, w->batch, w->m, sizeof(float));
    w->kept = mem_take(&w->s, w->batch, w->n_kept, 1);
    w->best = mem_take(&w->s, w->batch, 1, sizeof(double));
    w->shown = mem_take(&w->s, w->batch, 1, 1);
    if (w->s.failed)
        return err_set(ERR_NOMEM, "no memory to compare orders");
    for (size_t e = 0; e < BITS * w->dim; e++)
        w->plane[e] = (float)rng_normal(w->seed, RNG_PROJECT, e);
    return ERR_OK;
}

static enum err open_orders(struct rec_net *k, const struct rec_model *m,
                            bool training)
{
    const struct rec_rerank_opts *o = m->opts;
    struct own *w = mem_array(1, sizeof(*w));
    uint8_t now[PLACES];

    k->own = w;
    if (w == NULL)
        return err_set(ERR_NOMEM, "no memory to compare orders");
    w->batch = k->batch;
    w->n = k->n;
    w->m = k->n < PLACES ? k->n : PLACES;
    w->features = k->features;
    w->dim = (size_t)o->dim;
    w->seed = m->seed;
    w->n_kept = (size_t)o->kept;
    make_orders(w, now, 0, 0);
    ERR_TRY(take_room(w));
    ERR_TRY(nn_tape_new(&w->tape, k->params));
    return build(w, o, training);
}

static void close_orders(struct rec_net *k)
{
    struct own *w = k->own;

    if (w == NULL)
        return;
    nn_tape_free(w->tape);
    mem_drop(&w->s);
    free(w);
}

/* --- asking ----------------------------------------------------------------
 */

/* The first m items in order number perm[b] (NULL: as they are), and the mean
 * of the whole list. */
static void set_lists(struct own *w, const float *x, const float *mask,
                      const uint64_t *key, const uint8_t *perm)
{
    const size_t f = w->features;

    memset(w->means, 0, w->batch * f * sizeof(float));
    for (size_t b = 0; b < w->batch; b++) {
        const uint8_t *order = w->perm[perm != NULL ? perm[b] : 0];
        float n = 0;

        for (size_t k = 0; k < w->m; k++) {
            const size_t from = b * w->n + order[k];

            memcpy(w->lists + (b * w->m + k) * f, x + from * f,
                   f * sizeof(float));
            w->there[b * w->m + k] = mask[from];
        }
        for (size_t k = 0; k < w->n; k++)
            n += mask[b * w->n + k];
        for (size_t k = 0; k < w->n && n > 0; k++) {
            for (size_t e = 0; e < f; e++)
                w->means[b * f + e] +=
                    mask[b * w->n + k] * x[(b * w->n + k) * f + e] / n;
        }
    }
    nn_tape_set(w->tape, w->x, w->lists);
    nn_tape_set(w->tape, w->mask, w->there);
    nn_tape_set(w->tape, w->whole, w->means);
    nn_tape_set_keys(w->tape, w->keys, key);
}

static enum err step(void *arg, struct rec_step *p, struct nn_optim *optim,
                     double *loss)
{
    struct own *w = arg;

    set_lists(w, p->x, p->mask, p->key, NULL);
    for (size_t b = 0; b < w->batch; b++) {
        for (size_t k = 0; k < w->m; k++)
            nn_tape_put(w->tape, w->label, b * w->m + k,
                        p->label[b * w->n + k] > 0);
    }
    return nn_optim_train(optim, w->tape, loss);
}

static enum err learn(struct rec_net *k, const struct rec_model *m,
                      const struct rec_lessons *t)
{
    struct own *w = k->own;

    return rec_net_teach(k, m, t, w->tape, 1, "learning to judge orders", step,
                         w);
}

/* Bits of a vector by the side of each hyperplane. */
static uint32_t bits_of(const double *dot)
{
    uint32_t bits = 0;

    for (size_t h = 0; h < BITS; h++)
        bits |= (uint32_t)(dot[h] > 0) << h;
    return bits;
}

static double along(const struct own *w, const float *v, size_t h)
{
    double sum = 0;

    for (size_t e = 0; e < w->dim; e++)
        sum += (double)v[e] * (double)w->plane[h * w->dim + e];
    return sum;
}

static unsigned differ(uint32_t a, uint32_t b)
{
    return (unsigned)__builtin_popcount(a ^ b);
}

/* The n_kept orders that are nearest to the list as a whole; the order as it
 * was comes first whatever its distance. */
static void keep_nearest(struct own *w, size_t b)
{
    double item[PLACES][BITS], dot[BITS];
    unsigned far[ORDERS];
    uint8_t *kept = w->kept + b * w->n_kept;
    size_t n = 0;

    for (size_t h = 0; h < BITS; h++) {
        dot[h] = along(w, w->wish + b * w->dim, h);
        for (size_t k = 0; k < w->m; k++)
            item[k][h] = along(w, w->vec + (b * w->m + k) * w->dim, h);
    }
    const uint32_t wish = bits_of(dot);

    for (size_t p = 0; p < w->n_perm; p++) {
        for (size_t h = 0; h < BITS; h++) {
            dot[h] = 0;
            for (size_t k = 0; k < w->m; k++)
                dot[h] += (double)exposure[k] * item[w->perm[p][k]][h];
        }
        far[p] = differ(bits_of(dot), wish);
    }
    kept[n++] = 0;
    for (unsigned d = 0; d <= BITS && n < w->n_kept; d++) {
        for (size_t p = 1; p < w->n_perm && n < w->n_kept; p++) {
            if (far[p] == d)
                kept[n++] = (uint8_t)p;
        }
    }
    for (; n < w->n_kept; n++)
        kept[n] = 0;
}

/* Kept order number r of everybody: the best so far stays. */
static enum err compare(struct own *w, const struct rec_asked *a, size_t r,
                        uint8_t *now)
{
    for (size_t b = 0; b < w->batch; b++)
        now[b] = w->kept[b * w->n_kept + r];
    set_lists(w, a->x, a->mask, a->key, now);
    ERR_TRY(nn_tape_forward(w->tape));
    nn_tape_get(w->tape, w->p, w->value);
    for (size_t b = 0; b < w->batch; b++) {
        double sum = 0;
        bool whole = true; /* no empty place between items */

        for (size_t k = 0; k < w->m; k++) {
            sum += (double)(w->value[b * w->m + k] * w->there[b * w->m + k]);
            whole = whole && (k == 0 || w->there[b * w->m + k] <=
                                            w->there[b * w->m + k - 1]);
        }
        if (r == 0 || (whole && sum > w->best[b])) {
            w->best[b] = sum;
            w->shown[b] = now[b];
        }
    }
    return ERR_OK;
}

static enum err order(struct rec_net *k, const struct rec_asked *a,
                      float *value)
{
    struct own *w = k->own;
    uint8_t *now = mem_array(w->batch, 1);

    if (now == NULL)
        return err_set(ERR_NOMEM, "no memory to compare orders");
    set_lists(w, a->x, a->mask, a->key, NULL);
    enum err e = nn_tape_forward(w->tape);

    nn_tape_get(w->tape, w->item, w->vec);
    nn_tape_get(w->tape, w->interest, w->wish);
    for (size_t b = 0; b < w->batch; b++)
        keep_nearest(w, b);
    for (size_t r = 0; r < w->n_kept && r < w->n_perm && e == ERR_OK; r++)
        e = compare(w, a, r, now);
    for (size_t b = 0; b < w->batch; b++) {
        for (size_t c = 0; c < w->n; c++)
            value[b * w->n + c] = -(float)c;
        for (size_t c = 0; c < w->m; c++)
            value[b * w->n + w->perm[w->shown[b]][c]] = -(float)c;
    }
    free(now);
    return e;
}

static const struct rec_reranker_ways ways = {
    .open = open_orders,
    .learn = learn,
    .order = order,
    .close = close_orders,
};

extern const struct rec_reranker rec_reranker_pier;
const struct rec_reranker rec_reranker_pier = {
    .name = "pier",
    .help = "all orders of the first five, the best by an evaluator",
    .ways = &ways,
    .reads = "epochs dim batch rate drop decay kept " REC_READ_BY_THIN,
};
