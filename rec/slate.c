/* rec/slate.c - a generator on a tape: built, asked, followed. */
#include "rec/slate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "kernels/power.h"

#define LOG2_E 1.4426950408889634
#define SHUT (-1e9F) /* added to what may not be chosen */

/* --- the network -----------------------------------------------------------
 */

/* Items as they are seen: [batch][n][dim]. */
static struct nn_tensor *encode(struct rec_slate *g,
                                const struct rec_rerank_opts *o)
{
    const size_t dim = (size_t)o->dim;
    struct nn_tensor *h = nn_linear(g->tape, g->x, "gen/in", 2 * dim, NN_RELU);

    h = nn_map_drop(g->tape, h, "gen/drop", o->drop, g->keys);
    return nn_linear(g->tape, h, "gen/item", dim, NN_RELU);
}

struct state {
    struct nn_tensor *h, *cell; /* [batch][dim], NULL: zero */
};

/* Read one item more; the output is the new state. */
static void step_state(struct rec_slate *g, struct state *s,
                       struct nn_tensor *in, size_t dim)
{
    const size_t flat[2] = {g->batch, dim};
    struct nn_tensor *cell = NULL;

    if (g->kind->lstm) {
        const struct nn_lstm how = {
            .start = s->h, .start_cell = s->cell, .cell = &cell};

        s->h = nn_lstm(g->tape, in, "gen/state", dim, &how);
        s->cell = nn_shape_as(g->tape, cell, 2, flat);
    } else {
        const struct nn_gru how = {.start = s->h};

        s->h = nn_gru(g->tape, in, "gen/state", dim, &how);
    }
    s->h = nn_shape_as(g->tape, s->h, 2, flat);
}

/* Weights [batch][dim][1] of the last layer, out of the preference. */
static struct nn_tensor *steering(struct rec_slate *g, size_t dim)
{
    struct nn_tensor *v = nn_linear(g->tape, g->wish, "gen/wish", dim, NN_RELU);

    /* or each of dim inputs would move a weight at every step */
    v = nn_map_scale(g->tape, v, 1 / sqrt((double)dim), 0);
    v = nn_linear(g->tape, v, "net/out", dim, NN_NONE);
    return nn_shape_as(g->tape, v, 3, (size_t[]){g->batch, dim, 1});
}

/* Scores of all items for a place, [batch][n]. */
static struct nn_tensor *place_scores(struct rec_slate *g,
                                      struct nn_tensor *items,
                                      struct nn_tensor *state,
                                      struct nn_tensor *steer, size_t dim)
{
    struct nn_tensor *z = nn_linear(g->tape, state, "gen/now", dim, NN_NONE);

    if (g->wish != NULL)
        z = nn_map_add(g->tape, z,
                       nn_linear_free(g->tape, g->wish, "gen/aim", dim));
    z = nn_map_add(g->tape, items, nn_shape_repeat(g->tape, z, 1, g->n));
    z = nn_map(g->tape, z, g->kind->pointer ? NN_TANH : NN_RELU);
    if (!g->kind->pointer)
        z = nn_linear(g->tape, z, "gen/second", dim, NN_RELU);
    z = steer != NULL ? nn_linear_product(g->tape, z, steer, false)
                      : nn_linear(g->tape, z, "net/out", 1, NN_NONE);
    return nn_shape_as(g->tape, z, 2, (size_t[]){g->batch, g->n});
}

static void build(struct rec_slate *g, const struct rec_rerank_opts *o)
{
    const size_t dim = (size_t)o->dim, list[2] = {g->batch, g->n};
    const struct nn_init one = {.kind = NN_INIT_CONSTANT, .scale = 1};
    struct nn_tensor *item = encode(g, o), *steer = NULL;
    struct nn_tensor *seen =
        nn_linear_free(g->tape, item, "gen/seen", dim); /* for every place */
    struct nn_tensor *first = nn_linear_product(
        g->tape, nn_shape_slice(g->tape, g->x, 2, 0, 1),
        nn_linear_param(g->tape, "net/first", 2, (size_t[]){1, 1}, one), false);
    const struct rec_lists l = {.mask = g->mask, .batch = g->batch, .n = g->n};
    struct nn_tensor *score;
    struct state s = {NULL, NULL};

    first = nn_shape_as(g->tape, first, 2, list);
    if (g->kind->pooled)
        s.h = nn_linear(g->tape, rec_lists_mean(g->tape, &l, item), "gen/start",
                        dim, NN_TANH);
    if (g->kind->lstm && s.h != NULL)
        s.cell = s.h;
    if (g->kind->steered)
        steer = steering(g, dim);
    for (size_t k = 0; k < g->places; k++) {
        g->before[k] =
            nn_tape_ids(g->tape, "before", 2, (size_t[]){g->batch, 1});
        g->shut[k] = nn_tape_input(g->tape, "shut", 2, list);
        step_state(g, &s, nn_shape_pick(g->tape, item, g->before[k]), dim);
        score = place_scores(g, seen, s.h, steer, dim);
        if (!g->faithful)
            score = nn_map_add(g->tape, score, first);
        g->logit[k] = nn_map_add(g->tape, score, g->shut[k]);
        nn_tape_keep(g->tape, g->logit[k]);
    }
}

/* [places][batch] of [batch] for each place. */
static struct nn_tensor *stack(struct rec_slate *g, struct nn_tensor **x)
{
    return nn_shape_as(g->tape, nn_shape_concat(g->tape, g->places, x, 0), 2,
                       (size_t[]){g->places, g->batch});
}

/* What was taken against what was not, of what is open: list-wise. */
static struct nn_tensor *among_open(struct rec_slate *g, size_t k)
{
    const size_t list[2] = {g->batch, g->n};

    g->open_now[k] = nn_tape_input(g->tape, "open", 2, list);
    return nn_loss_list(g->tape, g->logit[k], g->label, g->open_now[k]);
}

/* The public code's: how far the least of what was taken stays below the best
 * of what was not, and one more, of what is open. */
static struct nn_tensor *hinge(struct rec_slate *g, size_t k)
{
    struct nn_tape *t = g->tape;
    struct nn_tensor *shut = nn_map_scale(t, g->shut[k], 2, 0);
    struct nn_tensor *taken = nn_map_scale(t, g->logit[k], -1, 0);
    struct nn_tensor *other =
        nn_map_add(t, g->logit[k],
                   nn_map_scale(t, g->untaken, -(double)SHUT, (double)SHUT));

    /* -(score + shut) + 2 shut: what is shut is as low as before */
    taken = nn_map_add(t, nn_map_add(t, taken, shut),
                       nn_map_scale(t, g->untaken, (double)SHUT, 0));
    taken = nn_reduce_axis_max(t, taken, 1);
    other = nn_reduce_axis_max(t, other, 1);
    return nn_map(t, nn_map_scale(t, nn_map_add(t, taken, other), 1, 1),
                  NN_RELU);
}

static void add_loss(struct rec_slate *g)
{
    const size_t shape[2] = {g->places, g->batch};
    struct nn_tensor *cost[REC_PLACES_MOST], *doubt[REC_PLACES_MOST];
    const double share = 1 / (double)(g->batch * g->places);

    g->worth = nn_tape_input(g->tape, "worth", 2, shape);
    if (g->kind->loss == REC_SLATE_LABELS) {
        g->label =
            nn_tape_input(g->tape, "label", 2, (size_t[]){g->batch, g->n});
        g->untaken =
            nn_tape_input(g->tape, "untaken", 2, (size_t[]){g->batch, g->n});
    }
    for (size_t k = 0; k < g->places; k++) {
        if (g->kind->loss == REC_SLATE_LABELS) {
            cost[k] = g->faithful ? hinge(g, k) : among_open(g, k);
            continue;
        }
        g->placed[k] = nn_tape_ids(g->tape, "placed", 1, &g->batch);
        cost[k] = nn_loss_ce(g->tape, g->logit[k], g->placed[k]);
        doubt[k] = nn_loss_entropy(g->tape, g->logit[k]);
    }
    g->cost = stack(g, cost);
    nn_tape_keep(g->tape, g->cost);
    if (g->kind->loss == REC_SLATE_LABELS) {
        g->loss = nn_reduce_sum(g->tape, g->cost, g->worth);
        g->loss = nn_map_scale(g->tape, g->loss, 1 / (double)g->batch, 0);
        return;
    }
    struct nn_tensor *logp = nn_map_scale(g->tape, g->cost, -1, 0);

    g->old = nn_tape_input(g->tape, "old", 2, shape);
    g->loss = nn_map_sub(
        g->tape,
        nn_reduce_sum(g->tape,
                      nn_loss_ppo(g->tape, logp, g->old, g->worth, 0.1), NULL),
        nn_map_scale(g->tape, nn_reduce_sum(g->tape, stack(g, doubt), NULL),
                     0.001, 0));
    g->loss = nn_map_scale(g->tape, g->loss, share, 0);
}

enum err rec_slate_open(struct rec_slate *g, struct nn_params *params,
                        const struct rec_slate_kind *kind,
                        const struct rec_rerank_opts *o, size_t batch, size_t n,
                        size_t features, bool training)
{
    const size_t places = (size_t)o->places < n ? (size_t)o->places : n;

    *g = (struct rec_slate){.kind = kind,
                            .batch = batch,
                            .n = n,
                            .features = features,
                            .places = places,
                            .faithful = o->faithful};
    g->open = mem_take(&g->s, batch, n, sizeof(*g->open));
    g->value = mem_take(&g->s, batch, n, sizeof(*g->value));
    g->last = mem_take(&g->s, batch, 1, sizeof(*g->last));
    if (g->s.failed)
        return err_set(ERR_NOMEM, "no memory for a generator of lists");
    ERR_TRY(nn_tape_new(&g->tape, params));
    g->x = nn_tape_input(g->tape, "x", 3, (size_t[]){batch, n, features});
    g->mask = nn_tape_input(g->tape, "mask", 2, (size_t[]){batch, n});
    g->keys = nn_tape_keys(g->tape, "people", batch);
    if (kind->steered)
        g->wish = nn_tape_input(g->tape, "wish", 2, (size_t[]){batch, 2});
    build(g, o);
    if (training)
        add_loss(g);
    return nn_tape_plan(g->tape, g->loss);
}

void rec_slate_close(struct rec_slate *g)
{
    nn_tape_free(g->tape);
    mem_drop(&g->s);
    *g = (struct rec_slate){.n = 0};
}

void rec_slate_steer(struct rec_slate *g, const double *wish)
{
    for (size_t b = 0; b < g->batch && g->wish != NULL; b++) {
        nn_tape_put(g->tape, g->wish, 2 * b, wish[b]);
        nn_tape_put(g->tape, g->wish, 2 * b + 1, 1 - wish[b]);
    }
}

/* --- choosing --------------------------------------------------------------
 */

static void set_lists(struct rec_slate *g, const struct rec_asked *a)
{
    nn_tape_set(g->tape, g->x, a->x);
    nn_tape_set(g->tape, g->mask, a->mask);
    nn_tape_set_keys(g->tape, g->keys, a->key);
    for (size_t e = 0; e < g->batch * g->n; e++)
        g->open[e] = a->mask[e] > 0 ? 0 : SHUT;
    for (size_t b = 0; b < g->batch; b++)
        g->last[b] = NN_PAD;
}

/* Scores of place k, given what stands above. */
static enum err ask(struct rec_slate *g, size_t k)
{
    ERR_TRY(nn_tape_set_ids(g->tape, g->before[k], g->last));
    nn_tape_set(g->tape, g->shut[k], g->open);
    return nn_tape_forward_to(g->tape, g->logit[k], k == 0);
}

static size_t best_of(const float *score, const float *open, size_t n)
{
    size_t at = n;

    for (size_t c = 0; c < n; c++) {
        if (open[c] >= 0 && (at == n || score[c] > score[at]))
            at = c;
    }
    return at;
}

/* even: whatever the scores. */
static size_t draw_of(const float *score, const float *open, size_t n, double u,
                      bool even)
{
    const size_t top = best_of(score, open, n);
    double weight[REC_LIST_MOST], sum = 0;
    size_t last = top;

    for (size_t c = 0; c < n; c++) {
        const double far = open[c] < 0 ? -100
                           : even      ? 0
                                       : (double)score[c] - (double)score[top];

        weight[c] = far > -60 ? krn_exp2_f64(LOG2_E * far) : 0;
        sum += weight[c];
    }
    u *= sum;
    for (size_t c = 0; c < n; c++) {
        if (weight[c] > 0)
            last = c;
        u -= weight[c];
        if (weight[c] > 0 && u < 0)
            return c;
    }
    return last;
}

/* Behind the last place: the others as they were scored last, then the places
 * that are empty. */
static void finish(const struct rec_slate *g, size_t b, size_t chosen,
                   uint32_t *order)
{
    const float *open = g->open + b * g->n, *value = g->value + b * g->n;
    struct rec_placed rest[REC_LIST_MOST];
    bool done[REC_LIST_MOST] = {false};
    size_t n = 0;

    for (size_t k = 0; k < chosen; k++)
        done[order[k]] = true;
    for (size_t c = 0; c < g->n; c++) {
        if (!done[c])
            rest[n++] = (struct rec_placed){open[c] >= 0 ? value[c] : -INFINITY,
                                            (uint32_t)c};
    }
    qsort(rest, n, sizeof(*rest), rec_by_place);
    for (size_t k = 0; k < n; k++)
        order[chosen + k] = rest[k].at;
}

enum err rec_slate_choose(struct rec_slate *g, const struct rec_asked *a,
                          uint64_t draw, uint32_t *order)
{
    set_lists(g, a);
    for (size_t k = 0; k < g->places; k++) {
        ERR_TRY(ask(g, k));
        nn_tape_get(g->tape, g->logit[k], g->value);
        for (size_t b = 0; b < g->batch; b++) {
            float *open = g->open + b * g->n;
            const float *score = g->value + b * g->n;
            const size_t at =
                best_of(score, open, g->n) == g->n ? g->n
                : draw == 0
                    ? best_of(score, open, g->n)
                    : draw_of(score, open, g->n,
                              rng_f64(rng_derive(draw, RNG_NOISE, a->key[b]),
                                      RNG_NOISE, k),
                              g->even);

            g->last[b] = at < g->n ? (uint32_t)at : NN_PAD;
            if (at == g->n)
                continue; /* a shorter list: finish() puts what is empty */
            order[b * g->n + k] = (uint32_t)at;
            open[at] = SHUT;
        }
    }
    for (size_t b = 0; b < g->batch; b++) {
        size_t there = 0;

        while (there < g->n && a->mask[b * g->n + there] > 0)
            there++;
        finish(g, b, there < g->places ? there : g->places, order + b * g->n);
    }
    return ERR_OK;
}

/* Place k: what is open; a place counts as NDCG counts it. */
static void set_open(struct rec_slate *g, size_t k)
{
    const double weight = 1 / krn_log2_f64((double)k + 2);

    for (size_t e = 0; e < g->batch * g->n; e++)
        g->value[e] = g->open[e] >= 0 ? 1 : 0;
    if (g->open_now[k] != NULL)
        nn_tape_set(g->tape, g->open_now[k], g->value);
    for (size_t b = 0; b < g->batch; b++)
        nn_tape_put(g->tape, g->worth, k * g->batch + b, weight);
}

enum err rec_slate_follow(struct rec_slate *g, const struct rec_asked *a,
                          const uint32_t *order, const float *label)
{
    set_lists(g, a);
    if (label != NULL) {
        nn_tape_set(g->tape, g->label, label);
        for (size_t e = 0; e < g->batch * g->n; e++)
            nn_tape_put(g->tape, g->untaken, e, !(label[e] > 0));
    }
    for (size_t k = 0; k < g->places; k++) {
        ERR_TRY(ask(g, k));
        if (label != NULL)
            set_open(g, k);
        for (size_t b = 0; b < g->batch; b++) {
            const uint32_t at = order[b * g->n + k];
            const bool there = a->mask[b * g->n + at] > 0;

            g->last[b] = there ? at : NN_PAD;
            g->open[b * g->n + at] = SHUT;
        }
        if (label == NULL)
            ERR_TRY(nn_tape_set_ids(g->tape, g->placed[k], g->last));
        for (size_t b = 0; b < g->batch && g->faithful; b++)
            g->last[b] = a->mask[b * g->n + k] > 0 ? (uint32_t)k : NN_PAD;
    }
    return nn_tape_forward_to(g->tape, g->loss, false);
}

void rec_slate_values(const struct rec_slate *g, const uint32_t *order,
                      float *value)
{
    for (size_t b = 0; b < g->batch; b++) {
        for (size_t k = 0; k < g->n; k++)
            value[b * g->n + order[b * g->n + k]] = -(float)k;
    }
}
