/*
 * rec/model_rerank.c - a first stage, and a network that orders its lists anew.
 *
 * Without a leak: the rows are split into A and B by draws of their own (a
 * share of each person's rows is B).  The generators learn from A; the network
 * learns to find the rows of B among the candidates that they make for A; then
 * the generators learn again from A and B, and the network orders what they
 * make.  It never sees a label that its features were made of.
 *
 * The network's score is added to the first stage's, which has a weight of its
 * own: a residual.  Loss: list-wise cross entropy; lists without a row of B
 * have nothing to say and are left out.
 *
 * A re-ranker is a model like others: its digest depends on rows, options and
 * seed alone, and forgetting trains it again.
 */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "kernels/power.h"
#include "rec/part.h"
#include "rec/rerank.h"
#include "rec/rerank_lists.h"

struct rerank_opts {
    const char *base, *also, *ranker;
    int64_t candidates, epochs, dim, batch;
    double share, rate, drop, decay;
};

#define AT(f) offsetof(struct rerank_opts, f)
static const struct opt rows[] = {
    {"base", 0, OPT_TEXT, AT(base), "gfcf", 0, 0, "MODEL",
     "the first stage, which makes the candidates"},
    {"also", 0, OPT_TEXT, AT(also), "itemknn,ials", 0, 0, "A,B",
     "up to three more models whose scores are features"},
    {"ranker", 0, OPT_TEXT, AT(ranker), "prm", 0, 0, "RANKER",
     "what orders the lists (`recd list rerankers`)"},
    {"candidates", 0, OPT_INT, AT(candidates), "50", 2, 500, "N",
     "items of a list"},
    {"share", 0, OPT_REAL, AT(share), "0.2", 0.01, 0.9, "X",
     "of each person's rows: what the network learns to find"},
    {"epochs", 0, OPT_INT, AT(epochs), "10", 1, 1e4, "N",
     "passes over the lists"},
    {"dim", 0, OPT_INT, AT(dim), "64", 8, 1024, "N", "width of the network"},
    {"batch", 0, OPT_INT, AT(batch), "128", 2, 4096, "N", "lists of a step"},
    {"rate", 0, OPT_REAL, AT(rate), "0.001", 1e-6, 1, "X",
     "learning rate, falling like a cosine"},
    {"drop", 0, OPT_REAL, AT(drop), "0.1", 0, 0.9, "P", "dropout"},
    {"decay", 0, OPT_REAL, AT(decay), "0.01", 0, 10, "X", "weight decay"},
    {.name = NULL},
};

#define PEOPLE_LEAST 16 /* with fewer the first order stays */
#define ASK 64 /* people of a batch of lists, and of a batch of serving */
static const char *const prefix[REC_GENERATORS] = {"0", "1", "2", "3"};

/* --- the generators --------------------------------------------------------
 */

static enum err add_part(struct rec_generators *g, const char *name, size_t len,
                         uint64_t seed)
{
    const struct rec_model_ops *ops;
    char word[64];

    if (g->n == REC_GENERATORS || len >= sizeof(word))
        return err_set(ERR_ARG, "--also takes at most three models");
    (void)snprintf(word, sizeof(word), "%.*s", (int)len, name);
    if (strcmp(word, "rerank") == 0)
        return err_set(ERR_ARG, "a re-ranker cannot stand on a re-ranker");
    ERR_TRY(rec_model_find(word, &ops));
    ERR_TRY(rec_model_new(&g->part[g->n], ops));
    g->part[g->n++]->seed = seed;
    return ERR_OK;
}

/* Untrained generators by the options. */
static enum err open_parts(struct rec_generators *g, const struct rec_model *m)
{
    const struct rerank_opts *o = m->opts;

    *g = (struct rec_generators){.n = 0};
    ERR_TRY(add_part(g, o->base, strlen(o->base), m->seed));
    for (const char *p = o->also; *p != '\0';) {
        const size_t len = strcspn(p, ",");

        if (len > 0)
            ERR_TRY(add_part(g, p, len, m->seed));
        p += len + (p[len] == ',');
    }
    return ERR_OK;
}

static void close_parts(struct rec_generators *g)
{
    for (size_t k = 0; k < REC_GENERATORS; k++)
        rec_model_free(g->part[k]);
    free(g->place);
    *g = (struct rec_generators){.n = 0};
}

static enum err know_popularity(struct rec_generators *g)
{
    g->popularity = g->part[0]->popularity;
    g->place = mem_array(g->part[0]->n_items, sizeof(*g->place));
    if (g->place == NULL)
        return err_set(ERR_NOMEM, "no memory to re-rank");
    return rec_generators_place(g, g->part[0]->n_items);
}

static enum err train_parts(struct rec_generators *g, const struct rec_model *m,
                            const struct rec_data *d)
{
    enum err e = open_parts(g, m);

    for (size_t k = 0; k < g->n && e == ERR_OK; k++)
        e = rec_model_fit(g->part[k], d, NULL);
    return e == ERR_OK ? know_popularity(g) : e;
}

/* --- the network -----------------------------------------------------------
 */

struct net {
    struct nn_params *params;
    struct nn_tape *tape;
    struct nn_tensor *x, *mask, *keys, *label, *scores;
    size_t batch, n, features;
};

static void net_free(struct net *k)
{
    nn_tape_free(k->tape);
    nn_params_free(k->params);
}

/* training: with labels and a loss. */
static enum err net_open(struct net *k, const struct rec_model *m,
                         size_t features, size_t batch, bool training)
{
    const struct rerank_opts *o = m->opts;
    const struct nn_init one = {.kind = NN_INIT_CONSTANT, .scale = 1};
    const struct rec_reranker *how;
    struct nn_tensor *loss = NULL;

    *k = (struct net){
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

/* --- lists to learn from ---------------------------------------------------
 */

struct lessons {
    size_t n, list, features; /* lists, items of each, features */
    float *x;                 /* [n][list][features] */
    float *label, *mask;      /* [n][list] */
    uint64_t *key;            /* [n] */
    float mean[REC_FEATURES(REC_GENERATORS)],
        unit[REC_FEATURES(REC_GENERATORS)];
};

static bool has(const struct rec_data *d, size_t u, uint32_t item)
{
    size_t lo = d->user_ptr[u], hi = d->user_ptr[u + 1];

    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;

        if (d->item[mid] < item)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < d->user_ptr[u + 1] && d->item[lo] == item;
}

/* The lists of a batch that hold a row of all that is not in A. */
static void take_lessons(struct lessons *t, const struct rec_batch *b,
                         const struct rec_data *all, size_t first, size_t n)
{
    const size_t list = t->list, row = list * t->features;

    for (size_t p = 0; p < n; p++) {
        float *label = t->label + t->n * list, *mask = t->mask + t->n * list;
        size_t hits = 0;

        for (size_t k = 0; k < list; k++) {
            const bool there = k < b->len[p];

            mask[k] = there;
            label[k] = there && has(all, first + p, b->item[p * list + k]);
            hits += label[k] > 0;
        }
        if (hits == 0 || hits == b->len[p])
            continue;
        memcpy(t->x + t->n * row, b->x + p * row, row * sizeof(*t->x));
        t->key[t->n++] = all->user_key[first + p];
    }
}

/* Mean and 1 / deviation of each feature over all items of all lists. */
static void standardise(struct lessons *t)
{
    const size_t w = t->features;

    for (size_t f = 0; f < w; f++) {
        double sum = 0, square = 0, count = 0;

        for (size_t k = 0; k < t->n * t->list; k++) {
            const double x = (double)t->x[k * w + f];

            if (!(t->mask[k] > 0))
                continue;
            sum += x;
            square += x * x;
            count++;
        }
        const double mean = count > 0 ? sum / count : 0;
        const double variance = count > 0 ? square / count - mean * mean : 0;

        t->mean[f] = (float)mean;
        t->unit[f] = variance > 1e-12 ? (float)(1 / sqrt(variance)) : 0;
    }
}

static void apply(const float *mean, const float *unit, size_t w, float *x,
                  const float *mask, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        for (size_t f = 0; f < w; f++)
            x[k * w + f] = mask[k] > 0 ? (x[k * w + f] - mean[f]) * unit[f] : 0;
    }
}

static enum err batch_open(struct rec_batch *b, struct mem_scratch *s,
                           size_t people, size_t n, size_t features,
                           size_t n_items)
{
    *b = (struct rec_batch){
        .n = n,
        .item = mem_take(s, people, n, sizeof(*b->item)),
        .len = mem_take(s, people, 1, sizeof(*b->len)),
        .x = mem_take(s, people, n * features, sizeof(*b->x)),
        .first = mem_take_raw(s, people, n_items, sizeof(*b->first)),
    };
    return s->failed ? err_set(ERR_NOMEM, "no memory for lists to re-rank")
                     : ERR_OK;
}

static enum err make_lessons(struct lessons *t, struct mem_scratch *s,
                             const struct rec_generators *g,
                             const struct rec_data *a,
                             const struct rec_data *all)
{
    struct mem_scratch room = {0};
    struct rec_batch b;
    uint32_t user[ASK];
    enum err e = batch_open(&b, &room, ASK, t->list, t->features, a->n_items);

    t->x = mem_take_raw(s, a->n_users, t->list * t->features, sizeof(*t->x));
    t->label = mem_take_raw(s, a->n_users, t->list, sizeof(*t->label));
    t->mask = mem_take_raw(s, a->n_users, t->list, sizeof(*t->mask));
    t->key = mem_take(s, a->n_users, 1, sizeof(*t->key));
    if (e == ERR_OK && s->failed)
        e = err_set(ERR_NOMEM, "no memory for lists to learn from");
    for (size_t first = 0; first < a->n_users && e == ERR_OK; first += ASK) {
        const size_t n = a->n_users - first < ASK ? a->n_users - first : ASK;

        for (size_t p = 0; p < n; p++)
            user[p] = (uint32_t)(first + p);
        e = rec_lists_make(g,
                           &(struct rec_query){n, user, a->user_ptr + first,
                                               a->item, a->value},
                           &b);
        if (e == ERR_OK)
            take_lessons(t, &b, all, first, n);
    }
    mem_drop(&room);
    if (e == ERR_OK && t->n == 0)
        log_warn("no list of %zu candidates holds a row that was held out: "
                 "the first stage's order stays (more --candidates, another "
                 "--base)",
                 t->list);
    if (e == ERR_OK) {
        standardise(t);
        apply(t->mean, t->unit, t->features, t->x, t->mask, t->n * t->list);
    }
    return e;
}

/* --- learning --------------------------------------------------------------
 */

/* Lists of a step, as the tape wants them; what is missing at the end of an
 * epoch comes from its beginning. */
static void set_step(struct net *k, const struct lessons *t,
                     const uint32_t *order, size_t first, float *x,
                     float *label, float *mask, uint64_t *key)
{
    const size_t row = t->list * t->features;

    for (size_t b = 0; b < k->batch; b++) {
        const size_t l = order[(first + b) % t->n];

        memcpy(x + b * row, t->x + l * row, row * sizeof(*x));
        memcpy(label + b * t->list, t->label + l * t->list,
               t->list * sizeof(*label));
        memcpy(mask + b * t->list, t->mask + l * t->list,
               t->list * sizeof(*mask));
        key[b] = t->key[l];
    }
    nn_tape_set(k->tape, k->x, x);
    nn_tape_set(k->tape, k->label, label);
    nn_tape_set(k->tape, k->mask, mask);
    nn_tape_set_keys(k->tape, k->keys, key);
}

static enum err epochs(struct net *k, struct nn_optim *optim,
                       const struct rec_model *m, const struct lessons *t)
{
    const struct rerank_opts *o = m->opts;
    struct mem_scratch s = {0};
    float *x = mem_take(&s, k->batch, t->list * t->features, sizeof(*x));
    float *label = mem_take(&s, k->batch, t->list, sizeof(*label));
    float *mask = mem_take(&s, k->batch, t->list, sizeof(*mask));
    uint64_t *key = mem_take(&s, k->batch, 1, sizeof(*key));
    uint32_t *order = mem_take(&s, t->n, 1, sizeof(*order));
    enum err e =
        s.failed ? err_set(ERR_NOMEM, "no memory to learn to re-rank") : ERR_OK;

    for (size_t epoch = 0; epoch < (size_t)o->epochs && e == ERR_OK; epoch++) {
        double loss = 0, last = 0;

        rng_shuffle(rng_derive(m->seed, RNG_SHUFFLE, epoch), RNG_SHUFFLE, t->n,
                    order);
        for (size_t first = 0; first < t->n && e == ERR_OK; first += k->batch) {
            set_step(k, t, order, first, x, label, mask, key);
            e = log_stopping() ? err_set(ERR_STOPPED, "stopped")
                               : nn_optim_train(optim, k->tape, &last);
            loss += last * (double)k->batch / (double)t->n;
        }
        char note[40];

        (void)snprintf(note, sizeof(note), "loss %.4f", loss);
        log_tick("learning to re-rank", epoch + 1, (uint64_t)o->epochs, note);
    }
    mem_drop(&s);
    return e;
}

struct placed {
    float score;
    uint32_t at;
};

static int by_place(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;

    if (x->score > y->score || x->score < y->score)
        return x->score > y->score ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* --- how it went -----------------------------------------------------------
 */

struct gain {
    double before, after;
};

/* NDCG@20 of a list in the order of `score` (NULL: as it is). */
static double ndcg_of(const struct lessons *t, size_t l, const float *score)
{
    struct placed order[512];
    const float *label = t->label + l * t->list;
    double sum = 0, ideal = 0;
    size_t n = 0, hits = 0;

    for (; n < t->list && t->mask[l * t->list + n] > 0; n++) {
        order[n] =
            (struct placed){score != NULL ? score[n] : -(float)n, (uint32_t)n};
        hits += label[n] > 0;
    }
    qsort(order, n, sizeof(*order), by_place);
    for (size_t r = 0; r < n && r < 20; r++) {
        const double gain = 1 / krn_log2_f64((double)r + 2);

        sum += label[order[r].at] > 0 ? gain : 0;
        ideal += r < hits ? gain : 0;
    }
    return ideal > 0 ? sum / ideal : 0;
}

/* On the lists that it learnt from. */
static enum err look_back(struct net *k, const struct lessons *t,
                          struct gain *out)
{
    struct mem_scratch s = {0};
    float *x = mem_take(&s, k->batch, t->list * t->features, sizeof(*x));
    float *label = mem_take(&s, k->batch, t->list, sizeof(*label));
    float *mask = mem_take(&s, k->batch, t->list, sizeof(*mask));
    uint64_t *key = mem_take(&s, k->batch, 1, sizeof(*key));
    uint32_t *order = mem_take(&s, t->n, 1, sizeof(*order));
    enum err e =
        s.failed ? err_set(ERR_NOMEM, "no memory to look back") : ERR_OK;

    *out = (struct gain){.before = 0};
    for (size_t l = 0; l < t->n && e == ERR_OK; l++)
        order[l] = (uint32_t)l;
    nn_tape_training(k->tape, false);
    for (size_t first = 0; first < t->n && e == ERR_OK; first += k->batch) {
        set_step(k, t, order, first, x, label, mask, key);
        e = nn_tape_forward(k->tape);
        for (size_t b = 0; b < k->batch && first + b < t->n && e == ERR_OK;
             b++) {
            float score[512];

            for (size_t c = 0; c < t->list; c++)
                score[c] =
                    (float)nn_tape_at(k->tape, k->scores, b * t->list + c);
            out->before += ndcg_of(t, first + b, NULL) / (double)t->n;
            out->after += ndcg_of(t, first + b, score) / (double)t->n;
        }
    }
    mem_drop(&s);
    return e;
}

static enum err learn(struct net *k, const struct rec_model *m,
                      const struct lessons *t)
{
    const struct rerank_opts *o = m->opts;
    const size_t most = t->n > 0 ? t->n : 1;
    const size_t batch = (size_t)o->batch < most ? (size_t)o->batch : most;
    const size_t steps = (t->n + batch - 1) / batch;
    const struct nn_optim_opt adam = {
        .kind = NN_ADAM,
        .lr = o->rate,
        .decay = o->decay,
        .clip = 5,
        .rate = NN_RATE_COSINE,
        .period = steps * (uint64_t)o->epochs,
    };
    struct nn_optim *optim = NULL;
    struct gain g;
    enum err e = net_open(k, m, t->features, batch, t->n > 0);

    /* the last layer begins with nothing to say: the first stage's order */
    if (e == ERR_OK)
        e = nn_params_draw(k->params, "net/out/weight",
                           (struct nn_init){.kind = NN_INIT_ZERO});
    if (t->n == 0)
        return e;
    if (e == ERR_OK)
        e = nn_optim_new(&optim, k->params, &adam);
    if (e == ERR_OK)
        e = epochs(k, optim, m, t);
    if (e == ERR_OK)
        e = look_back(k, t, &g);
    if (e == ERR_OK)
        log_info("%zu lists to learn from: ndcg@20 of their held-out rows "
                 "%.4f before, %.4f after",
                 t->n, g.before, g.after);
    nn_optim_free(optim);
    return e;
}

/* --- fit -------------------------------------------------------------------
 */

static double fit_bytes(const struct rec_data *d, const void *opts)
{
    const struct rerank_opts *o = opts;
    const double cells = (double)d->n_users * (double)o->candidates;

    /* lists, and one batch of scores; the generators check for themselves */
    return cells * (4.0 * REC_FEATURES(REC_GENERATORS) + 8) +
           ASK * 4.0 * REC_GENERATORS * (double)d->n_items;
}

/* Arrays of the generators, of the network and of the features' scales. */
static enum err keep(struct rec_model *m, const struct rec_data *d,
                     const struct rec_generators *g, const struct net *k,
                     const struct lessons *t)
{
    const struct rec_array_spec more[] = {
        {"net", STO_F32, nn_params_size(k->params), 1},
        {"mean", STO_F32, t->features, 1},
        {"unit", STO_F32, t->features, 1},
    };
    struct rec_part part[REC_GENERATORS];

    for (size_t w = 0; w < g->n; w++)
        part[w] = (struct rec_part){prefix[w], g->part[w]};
    ERR_TRY(rec_part_gather(m, d, part, g->n, more, 3));
    memcpy(rec_model_array(m, "net"), nn_params_values(k->params),
           nn_params_size(k->params) * sizeof(float));
    memcpy(rec_model_array(m, "mean"), t->mean, t->features * sizeof(float));
    memcpy(rec_model_array(m, "unit"), t->unit, t->features * sizeof(float));
    return ERR_OK;
}

static enum err fit_with(struct rec_model *m, const struct rec_data *d,
                         const struct rec_data *a)
{
    const struct rerank_opts *o = m->opts;
    struct rec_generators g = {.n = 0};
    struct mem_scratch s = {0};
    struct lessons t = {.list = (size_t)o->candidates};
    struct net k = {.n = 0};
    enum err e = open_parts(&g, m);

    t.features = REC_FEATURES(g.n);
    close_parts(&g);
    if (e == ERR_OK && d->n_users >= PEOPLE_LEAST)
        e = train_parts(&g, m, a);
    if (e == ERR_OK && d->n_users >= PEOPLE_LEAST)
        e = make_lessons(&t, &s, &g, a, d);
    if (e == ERR_OK)
        e = learn(&k, m, &t);
    close_parts(&g);
    if (e == ERR_OK)
        e = train_parts(&g, m, d);
    if (e == ERR_OK)
        e = keep(m, d, &g, &k, &t);
    close_parts(&g);
    net_free(&k);
    mem_drop(&s);
    return e;
}

static enum err ready(struct rec_model *m);

static enum err fit(struct rec_model *m, const struct rec_data *d,
                    const struct rec_watch *watch)
{
    const struct rerank_opts *o = m->opts;
    uint8_t *keep_row = mem_array(d->n_rows, 1);
    struct rec_data a = {0};
    enum err e = keep_row == NULL
                     ? err_set(ERR_NOMEM, "no memory to learn to re-rank")
                     : ERR_OK;

    (void)watch;
    if (e == ERR_OK) {
        rec_data_holdout(d, o->share, m->seed, keep_row);
        e = rec_data_subset(&a, d, keep_row);
    }
    if (e == ERR_OK)
        e = fit_with(m, d, &a);
    free(keep_row);
    rec_data_free(&a);
    return e == ERR_OK ? ready(m) : e;
}

/* --- serving ---------------------------------------------------------------
 */

static enum err net_load(struct net *k, const struct rec_model *m,
                         size_t features)
{
    ERR_TRY(net_open(k, m, features, ASK, false));
    if (!rec_model_has(m, "net", STO_F32, nn_params_size(k->params), 1) ||
        !rec_model_has(m, "mean", STO_F32, features, 1) ||
        !rec_model_has(m, "unit", STO_F32, features, 1))
        return err_set(ERR_FORMAT, "the network of the re-ranker is damaged");
    memcpy(nn_params_values(k->params), rec_model_array(m, "net"),
           nn_params_size(k->params) * sizeof(float));
    return ERR_OK;
}

static void parts_free(void *parts)
{
    close_parts(parts);
    free(parts);
}

static enum err ready(struct rec_model *m)
{
    struct rec_generators *g = mem_array(1, sizeof(*g));
    struct net k = {.n = 0};

    if (g == NULL)
        return err_set(ERR_NOMEM, "no memory to re-rank");
    if (m->parts != NULL)
        m->parts_free(m->parts);
    m->parts = g;
    m->parts_free = parts_free;
    ERR_TRY(open_parts(g, m));
    for (size_t w = 0; w < g->n; w++)
        ERR_TRY(rec_part_view(m, prefix[w], g->part[w]));
    ERR_TRY(know_popularity(g));
    const enum err e = net_load(&k, m, REC_FEATURES(g->n));

    net_free(&k);
    return e;
}

/* The first stage's scores, and above them all the list in its new order. */
static void place_list(const struct rec_batch *b, size_t p, size_t n_items,
                       const float *value, float *scores)
{
    const float *first = b->first + p * n_items;
    struct placed order[512];
    float most = 0;

    for (size_t i = 0; i < n_items; i++)
        most = first[i] > most ? first[i] : most;
    memcpy(scores, first, n_items * sizeof(*scores));
    for (size_t k = 0; k < b->len[p]; k++)
        order[k] = (struct placed){value[k], (uint32_t)k};
    qsort(order, b->len[p], sizeof(*order), by_place);
    /* steps that a float near `most` can tell apart */
    const float step = 1 + most / 1024;

    for (size_t r = 0; r < b->len[p]; r++)
        scores[b->item[p * b->n + order[r].at]] =
            most + step * (float)(b->len[p] - r);
}

static enum err serve(const struct rec_model *m, struct net *k,
                      const struct rec_query *q, struct rec_batch *b,
                      float *mask, float *value, uint64_t *key, float *scores)
{
    const struct rec_generators *g = m->parts;
    const float *mean = rec_model_array(m, "mean");
    const float *unit = rec_model_array(m, "unit");
    const size_t list = k->n, w = k->features;

    ERR_TRY(rec_lists_make(g, q, b));
    memset(mask, 0, ASK * list * sizeof(*mask));
    for (size_t p = 0; p < q->n; p++) {
        for (size_t c = 0; c < b->len[p]; c++)
            mask[p * list + c] = 1;
    }
    apply(mean, unit, w, b->x, mask, ASK * list);
    nn_tape_set(k->tape, k->x, b->x);
    nn_tape_set(k->tape, k->mask, mask);
    nn_tape_set_keys(k->tape, k->keys, key);
    ERR_TRY(nn_tape_forward(k->tape));
    nn_tape_get(k->tape, k->scores, value);
    for (size_t p = 0; p < q->n; p++)
        place_list(b, p, m->n_items, value + p * list, scores + p * m->n_items);
    return ERR_OK;
}

static enum err score(const struct rec_model *m, const struct rec_query *q,
                      float *scores)
{
    const struct rerank_opts *o = m->opts;
    const struct rec_generators *g = m->parts;
    const size_t list = (size_t)o->candidates, w = REC_FEATURES(g->n);
    struct mem_scratch s = {0};
    struct net k = {.n = 0};
    struct rec_batch b;
    enum err e = batch_open(&b, &s, ASK, list, w, m->n_items);
    float *mask = mem_take(&s, ASK, list, sizeof(*mask));
    float *value = mem_take(&s, ASK, list, sizeof(*value));
    uint64_t *key = mem_take(&s, ASK, 1, sizeof(*key));

    if (e == ERR_OK)
        e = s.failed ? err_set(ERR_NOMEM, "no memory to re-rank")
                     : net_load(&k, m, w);
    for (size_t first = 0; first < q->n && e == ERR_OK; first += ASK) {
        const size_t n = q->n - first < ASK ? q->n - first : ASK;
        const struct rec_query some = {n, q->user + first, q->ptr + first,
                                       q->item, q->value};

        e = serve(m, &k, &some, &b, mask, value, key,
                  scores + first * m->n_items);
    }
    net_free(&k);
    mem_drop(&s);
    return e;
}

/* Shapes are checked when the parts are opened (ready()). */
static bool valid(const struct rec_model *m)
{
    for (size_t i = 0; i < m->n_arrays; i++) {
        if (strcmp(m->array[i].name, "net") == 0)
            return true;
    }
    return false;
}

extern const struct rec_model_ops rec_model_rerank;
const struct rec_model_ops rec_model_rerank = {
    .name = "rerank",
    .help = "a first stage, and a network that orders its lists anew",
    .opts = rows,
    .opts_bytes = sizeof(struct rerank_opts),
    .fit_bytes = fit_bytes,
    .fit = fit,
    .score = score,
    .valid = valid,
    .ready = ready,
};
