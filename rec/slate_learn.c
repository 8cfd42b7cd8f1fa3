/*
 * rec/rec_slate_learn.c - how generators of lists learn, and serve as
 * re-rankers.
 *
 * With a judge: it learns first, from lists as they stand; then the generator
 * makes lists, and the judge says what each place of them is worth, and what it
 * would be with another of the items that were left: choices that do better
 * than that become likelier.  (What else happens in a list is the same for
 * both, and does not blur the comparison; the means of several lists of a
 * person, which a faithful one compares with, differ by all of their places.)
 * The judge is left behind; a model keeps the generator alone.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "rec/slate.h"

#define TRIES ((size_t)2) /* lists that are made of each */
#define FAITHFUL_TRIES ((size_t)5)
#define EXPLORED 0.2 /* of the batches, of a faithful generator */

struct own {
    struct rec_slate g;
    const struct rec_slate_maker *how;
    double trade;    /* preference when serving */
    double *wish;    /* [batch] */
    uint64_t draw;   /* 0: the best each time */
    uint32_t *order; /* [batch][n] */
};

enum err rec_slate_ways_open(struct rec_net *k, const struct rec_model *m,
                             bool training, const struct rec_slate_maker *how)
{
    const struct rec_rerank_opts *o = m->opts;
    struct own *w = mem_array(1, sizeof(*w));

    if (w == NULL)
        return err_set(ERR_NOMEM, "no memory for a generator of lists");
    k->own = w;
    *w = (struct own){.how = how,
                      .trade = o->trade,
                      .wish = mem_array(k->batch, sizeof(*w->wish)),
                      .draw = o->faithful ? m->seed | 1 : 0,
                      .order = mem_array(k->batch * k->n, sizeof(*w->order))};
    if (w->order == NULL || w->wish == NULL)
        return err_set(ERR_NOMEM, "no memory for a generator of lists");
    return rec_slate_open(&w->g, k->params, &how->kind, o, k->batch, k->n,
                          k->features, training);
}

void rec_slate_ways_close(struct rec_net *k)
{
    struct own *w = k->own;

    if (w == NULL)
        return;
    rec_slate_close(&w->g);
    free(w->order);
    free(w->wish);
    free(w);
}

enum err rec_slate_ways_order(struct rec_net *k, const struct rec_asked *a,
                              float *value)
{
    struct own *w = k->own;

    for (size_t b = 0; b < w->g.batch; b++)
        w->wish[b] = w->trade;
    rec_slate_steer(&w->g, w->wish);
    nn_tape_training(w->g.tape, false);
    ERR_TRY(rec_slate_choose(&w->g, a, w->draw, w->order));
    rec_slate_values(&w->g, w->order, value);
    return ERR_OK;
}

/* --- learning --------------------------------------------------------------
 */

struct lesson {
    struct own *w;
    struct rec_thin *thin; /* of the generator */
    struct rec_judge judge;
    struct nn_optim *optim; /* of the step */
    uint64_t seed, steps;
    size_t tries;
    struct mem_scratch s;
    uint32_t *order[FAITHFUL_TRIES]; /* [batch][n] */
    float *reward[FAITHFUL_TRIES];   /* [batch][places] */
    float *old[FAITHFUL_TRIES];      /* [places][batch] */
    float *worth[FAITHFUL_TRIES];    /* [places][batch]: advantages */
    uint32_t *other;                 /* [batch][n] */
    float *instead;                  /* [batch][places] */
};

static enum err open_lesson(struct lesson *l, struct rec_net *k)
{
    struct own *w = k->own;
    const size_t cells = w->g.batch * w->g.places;

    l->tries = w->g.faithful ? FAITHFUL_TRIES : TRIES;
    for (size_t r = 0; r < l->tries; r++) {
        l->order[r] = mem_take(&l->s, w->g.batch, w->g.n, sizeof(uint32_t));
        l->reward[r] = mem_take(&l->s, cells, 1, sizeof(float));
        l->old[r] = mem_take(&l->s, cells, 1, sizeof(float));
        l->worth[r] = mem_take(&l->s, cells, 1, sizeof(float));
    }
    l->other = mem_take(&l->s, w->g.batch, w->g.n, sizeof(uint32_t));
    l->instead = mem_take(&l->s, cells, 1, sizeof(float));
    l->w = w;
    l->thin = &k->thin;
    return l->s.failed ? err_set(ERR_NOMEM, "no memory to learn to make lists")
                       : ERR_OK;
}

/* A step towards what is above the loss that was followed last. */
static enum err descend(struct lesson *l, double *loss)
{
    struct rec_slate *g = &l->w->g;

    *loss = nn_tape_loss(g->tape);
    if (!isfinite(*loss))
        return err_set(ERR_NUM, "the generator's loss is not finite: a lower "
                                "--rate may help");
    ERR_TRY(nn_tape_backward(g->tape));
    ERR_TRY(nn_optim_step(l->optim));
    nn_tape_step(g->tape, nn_optim_steps(l->optim));
    rec_thin_step(l->thin);
    return ERR_OK;
}

static uint64_t draw_name(const struct lesson *l, size_t r)
{
    return rng_derive(l->seed, RNG_NOISE, l->steps * FAITHFUL_TRIES + r) | 1;
}

/* The public code explores: of every fifth batch, lists by even draws. */
static void explore(struct lesson *l)
{
    struct rec_slate *g = &l->w->g;

    g->even = g->faithful && rng_f64(rng_derive(l->seed, RNG_PROJECT, 1),
                                     RNG_PROJECT, l->steps) < EXPLORED;
}

/* What was taken comes before what was not, along lists that it makes. */
static enum err label_step(void *arg, struct rec_step *p,
                           struct nn_optim *optim, double *loss)
{
    struct lesson *l = arg;
    struct rec_slate *g = &l->w->g;

    l->optim = optim;
    explore(l);
    ERR_TRY(rec_slate_choose(g, &p->asked, draw_name(l, 0), l->order[0]));
    g->even = false;
    ERR_TRY(rec_slate_follow(g, &p->asked, l->order[0], p->label));
    l->steps++;
    return descend(l, loss);
}

/* --- what choices gained ---------------------------------------------------
 */

/* Against the mean of the lists that were made of the same, by their deviation:
 * of a faithful one. */
static void gain_over_mean(struct lesson *l, size_t b, size_t k)
{
    const struct rec_slate *g = &l->w->g;
    const size_t at = b * g->places + k;
    const double share = 1 / (double)l->tries;
    double mean = 0, square = 0;

    for (size_t r = 0; r < l->tries; r++)
        mean += (double)l->reward[r][at] * share;
    for (size_t r = 0; r < l->tries; r++) {
        const double d = (double)l->reward[r][at] - mean;

        square += d * d * share;
    }
    const double unit = square > 1e-12 ? 1 / sqrt(square) : 1;

    for (size_t r = 0; r < l->tries; r++)
        l->worth[r][k * g->batch + b] =
            (float)(((double)l->reward[r][at] - mean) * unit);
}

static size_t items_of(const struct rec_asked *a, size_t b, size_t n)
{
    size_t there = 0;

    while (there < n && a->mask[b * n + there] > 0)
        there++;
    return there;
}

/* Lists r with what stands at place k and something below in each other's
 * place. */
static void swap_below(struct lesson *l, const struct rec_asked *a, size_t r,
                       size_t k)
{
    const size_t batch = l->w->g.batch, n = l->w->g.n;

    memcpy(l->other, l->order[r], batch * n * sizeof(*l->other));
    for (size_t b = 0; b < batch; b++) {
        uint32_t *order = l->other + b * n;
        const size_t there = items_of(a, b, n);

        if (k + 1 >= there)
            continue;
        const uint64_t name =
            rng_derive(draw_name(l, r), RNG_NEGATIVE, a->key[b]);
        const size_t at =
            k + 1 + (size_t)rng_below(name, RNG_NEGATIVE, k, there - k - 1);
        const uint32_t kept = order[k];

        order[k] = order[at];
        order[at] = kept;
    }
}

/* Against the same list with another choice there. */
static enum err gain_over_others(struct lesson *l, const struct rec_asked *a,
                                 size_t r)
{
    const struct rec_slate *g = &l->w->g;
    const struct rec_tried t = {
        .order = l->other, .n = g->n, .places = g->places, .wish = l->w->wish};

    for (size_t k = 0; k < g->places; k++) {
        swap_below(l, a, r, k);
        ERR_TRY(l->w->how->reward(&l->judge, a, &t, l->instead));
        for (size_t b = 0; b < g->batch; b++)
            l->worth[r][k * g->batch + b] =
                l->reward[r][b * g->places + k] - l->instead[b * g->places + k];
    }
    return ERR_OK;
}

/* So that the mean of their squares is one. */
static void scale_gains(struct lesson *l)
{
    const size_t cells = l->w->g.batch * l->w->g.places;
    double square = 0;

    for (size_t r = 0; r < l->tries; r++) {
        for (size_t e = 0; e < cells; e++)
            square += (double)l->worth[r][e] * (double)l->worth[r][e];
    }
    square /= (double)(cells * l->tries);
    const float unit = square > 1e-12 ? (float)(1 / sqrt(square)) : 1;

    for (size_t r = 0; r < l->tries; r++) {
        for (size_t e = 0; e < cells; e++)
            l->worth[r][e] *= unit;
    }
}

static enum err gains(struct lesson *l, const struct rec_asked *a)
{
    const struct rec_slate *g = &l->w->g;

    for (size_t e = 0; g->faithful && e < g->batch * g->places; e++)
        gain_over_mean(l, e / g->places, e % g->places);
    if (g->faithful)
        return ERR_OK;
    for (size_t r = 0; r < l->tries; r++)
        ERR_TRY(gain_over_others(l, a, r));
    scale_gains(l);
    return ERR_OK;
}

/* Lists of its own, and what the judge says of them. */
static enum err try_lists(struct lesson *l, struct rec_step *p)
{
    struct rec_slate *g = &l->w->g;

    nn_tape_training(g->tape, false);
    explore(l);
    for (size_t r = 0; r < l->tries; r++) {
        const struct rec_tried t = {.order = l->order[r],
                                    .n = g->n,
                                    .places = g->places,
                                    .end = g->places,
                                    .wish = l->w->wish};

        ERR_TRY(rec_slate_choose(g, &p->asked, draw_name(l, r), l->order[r]));
        ERR_TRY(l->w->how->reward(&l->judge, &p->asked, &t, l->reward[r]));
        /* probabilities before the steps that these lists lead to */
        nn_tape_fill(g->tape, g->worth, 0);
        nn_tape_fill(g->tape, g->old, 0);
        ERR_TRY(rec_slate_follow(g, &p->asked, l->order[r], NULL));
        nn_tape_get(g->tape, g->cost, l->old[r]);
        for (size_t e = 0; e < g->batch * g->places; e++)
            l->old[r][e] = -l->old[r][e];
    }
    g->even = false;
    nn_tape_training(g->tape, true);
    return gains(l, &p->asked);
}

/* Half of the lists practise what it serves by default. */
static void draw_wishes(struct lesson *l, const uint64_t *key)
{
    const uint64_t name = rng_derive(l->seed, RNG_PROJECT, l->steps);

    for (size_t b = 0; b < l->w->g.batch; b++) {
        const double u = rng_f64(name, RNG_PROJECT, key[b]);

        l->w->wish[b] = u < 0.5 ? l->w->trade : 2 * u - 1;
    }
    rec_slate_steer(&l->w->g, l->w->wish);
}

static enum err reward_step(void *arg, struct rec_step *p,
                            struct nn_optim *optim, double *loss)
{
    struct lesson *l = arg;
    struct rec_slate *g = &l->w->g;
    double last = 0;

    l->optim = optim;
    if (g->kind->steered)
        draw_wishes(l, p->key);
    ERR_TRY(try_lists(l, p));
    for (size_t r = 0; r < l->tries; r++) {
        nn_tape_set(g->tape, g->worth, l->worth[r]);
        nn_tape_set(g->tape, g->old, l->old[r]);
        ERR_TRY(rec_slate_follow(g, &p->asked, l->order[r], NULL));
        ERR_TRY(descend(l, &last));
        *loss += last / (double)l->tries;
    }
    l->steps++;
    return ERR_OK;
}

static enum err learn_judge(struct lesson *l, struct nn_params **params,
                            const struct rec_net *k, const struct rec_model *m,
                            const struct rec_lessons *t)
{
    ERR_TRY(nn_params_new(params, NN_F32, m->seed));
    ERR_TRY(rec_judge_open(&l->judge, *params, l->w->how->judge, m->opts,
                           k->batch, k->n, k->features, true));
    return rec_judge_learn(&l->judge, m, t);
}

static enum err learn_lists(struct lesson *l, struct rec_net *k,
                            const struct rec_model *m,
                            const struct rec_lessons *t)
{
    const bool labels = l->w->how->judge == NULL;

    return rec_net_teach(k, m, t, l->w->g.tape, labels ? 1 : l->tries,
                         "learning to make lists",
                         labels ? label_step : reward_step, l);
}

enum err rec_slate_ways_learn(struct rec_net *k, const struct rec_model *m,
                              const struct rec_lessons *t,
                              const struct rec_slate_maker *how)
{
    struct lesson l = {.seed = m->seed};
    struct nn_params *judges = NULL;
    enum err e = open_lesson(&l, k);

    if (e == ERR_OK && how->judge != NULL)
        e = learn_judge(&l, &judges, k, m, t);
    if (e == ERR_OK)
        e = learn_lists(&l, k, m, t);
    rec_judge_close(&l.judge);
    nn_params_free(judges);
    mem_drop(&l.s);
    return e;
}
