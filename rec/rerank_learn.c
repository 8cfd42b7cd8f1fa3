/*
 * rec/rerank_learn.c - lists to learn from, and learning.
 *
 * Loss: list-wise cross entropy; lists without a row that was held out have
 * nothing to say and are left out.
 */
#include "rec/rerank_learn.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/rng.h"
#include "kernels/power.h"

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
static void take_lessons(struct rec_lessons *t, const struct rec_batch *b,
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
static void standardise(struct rec_lessons *t)
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

void rec_lessons_scale(const float *mean, const float *unit, size_t w, float *x,
                       const float *mask, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        for (size_t f = 0; f < w; f++)
            x[k * w + f] = mask[k] > 0 ? (x[k * w + f] - mean[f]) * unit[f] : 0;
    }
}

enum err rec_lessons_make(struct rec_lessons *t, struct mem_scratch *s,
                          const struct rec_generators *g,
                          const struct rec_data *a, const struct rec_data *all)
{
    struct mem_scratch room = {0};
    struct rec_batch b;
    uint32_t user[REC_ASK];
    enum err e =
        rec_batch_open(&b, &room, REC_ASK, t->list, t->features, a->n_items);

    t->x = mem_take_raw(s, a->n_users, t->list * t->features, sizeof(*t->x));
    t->label = mem_take_raw(s, a->n_users, t->list, sizeof(*t->label));
    t->mask = mem_take_raw(s, a->n_users, t->list, sizeof(*t->mask));
    t->key = mem_take(s, a->n_users, 1, sizeof(*t->key));
    if (e == ERR_OK && s->failed)
        e = err_set(ERR_NOMEM, "no memory for lists to learn from");
    for (size_t first = 0; first < a->n_users && e == ERR_OK;
         first += REC_ASK) {
        const size_t n =
            a->n_users - first < REC_ASK ? a->n_users - first : REC_ASK;

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
        rec_lessons_scale(t->mean, t->unit, t->features, t->x, t->mask,
                          t->n * t->list);
    }
    return e;
}

/* --- steps -----------------------------------------------------------------
 */

/* Lists of a step, as the tape wants them. */
struct step {
    struct mem_scratch s;
    float *x, *label, *mask;
    uint64_t *key;
    uint32_t *order; /* [lists] */
};

static enum err step_open(struct step *p, const struct rec_net *k,
                          const struct rec_lessons *t)
{
    *p = (struct step){.x = NULL};
    p->x = mem_take(&p->s, k->batch, t->list * t->features, sizeof(*p->x));
    p->label = mem_take(&p->s, k->batch, t->list, sizeof(*p->label));
    p->mask = mem_take(&p->s, k->batch, t->list, sizeof(*p->mask));
    p->key = mem_take(&p->s, k->batch, 1, sizeof(*p->key));
    p->order = mem_take(&p->s, t->n, 1, sizeof(*p->order));
    return p->s.failed ? err_set(ERR_NOMEM, "no memory to learn to re-rank")
                       : ERR_OK;
}

/* Lists of a step, as the tape wants them; what is missing at the end of an
 * epoch comes from its beginning. */
static void set_step(struct rec_net *k, const struct rec_lessons *t,
                     const struct step *p, size_t first)
{
    const size_t row = t->list * t->features;

    for (size_t b = 0; b < k->batch; b++) {
        const size_t l = p->order[(first + b) % t->n];

        memcpy(p->x + b * row, t->x + l * row, row * sizeof(*p->x));
        memcpy(p->label + b * t->list, t->label + l * t->list,
               t->list * sizeof(*p->label));
        memcpy(p->mask + b * t->list, t->mask + l * t->list,
               t->list * sizeof(*p->mask));
        p->key[b] = t->key[l];
    }
    nn_tape_set(k->tape, k->x, p->x);
    nn_tape_set(k->tape, k->label, p->label);
    nn_tape_set(k->tape, k->mask, p->mask);
    nn_tape_set_keys(k->tape, k->keys, p->key);
}

static enum err epochs(struct rec_net *k, struct nn_optim *optim,
                       const struct rec_model *m, const struct rec_lessons *t)
{
    const struct rec_rerank_opts *o = m->opts;
    struct step p;
    enum err e = step_open(&p, k, t);

    for (size_t epoch = 0; epoch < (size_t)o->epochs && e == ERR_OK; epoch++) {
        double loss = 0, last = 0;

        if (k->prune != NULL)
            e = nn_prune_epoch(k->prune, epoch);
        rng_shuffle(rng_derive(m->seed, RNG_SHUFFLE, epoch), RNG_SHUFFLE, t->n,
                    p.order);
        for (size_t first = 0; first < t->n && e == ERR_OK; first += k->batch) {
            set_step(k, t, &p, first);
            e = log_stopping() ? err_set(ERR_STOPPED, "stopped")
                               : nn_optim_train(optim, k->tape, &last);
            if (k->prune != NULL)
                nn_prune_step(k->prune);
            loss += last * (double)k->batch / (double)t->n;
        }
        char note[40];

        (void)snprintf(note, sizeof(note), "loss %.4f", loss);
        log_tick("learning to re-rank", epoch + 1, (uint64_t)o->epochs, note);
    }
    mem_drop(&p.s);
    return e;
}

/* --- how it went -----------------------------------------------------------
 */

struct gain {
    double before, after;
};

/* NDCG@20 of a list in the order of `score` (NULL: as it is). */
static double ndcg_of(const struct rec_lessons *t, size_t l, const float *score)
{
    struct rec_placed order[REC_LIST_MOST];
    const float *label = t->label + l * t->list;
    double sum = 0, ideal = 0;
    size_t n = 0, hits = 0;

    for (; n < t->list && t->mask[l * t->list + n] > 0; n++) {
        order[n] = (struct rec_placed){score != NULL ? score[n] : -(float)n,
                                       (uint32_t)n};
        hits += label[n] > 0;
    }
    qsort(order, n, sizeof(*order), rec_by_place);
    for (size_t r = 0; r < n && r < 20; r++) {
        const double gain = 1 / krn_log2_f64((double)r + 2);

        sum += label[order[r].at] > 0 ? gain : 0;
        ideal += r < hits ? gain : 0;
    }
    return ideal > 0 ? sum / ideal : 0;
}

/* On the lists that it learnt from. */
static enum err look_back(struct rec_net *k, const struct rec_lessons *t,
                          struct gain *out)
{
    struct step p;
    enum err e = step_open(&p, k, t);

    *out = (struct gain){.before = 0};
    for (size_t l = 0; l < t->n && e == ERR_OK; l++)
        p.order[l] = (uint32_t)l;
    nn_tape_training(k->tape, false);
    for (size_t first = 0; first < t->n && e == ERR_OK; first += k->batch) {
        set_step(k, t, &p, first);
        e = nn_tape_forward(k->tape);
        for (size_t b = 0; b < k->batch && first + b < t->n && e == ERR_OK;
             b++) {
            float score[REC_LIST_MOST];

            for (size_t c = 0; c < t->list; c++)
                score[c] =
                    (float)nn_tape_at(k->tape, k->scores, b * t->list + c);
            out->before += ndcg_of(t, first + b, NULL) / (double)t->n;
            out->after += ndcg_of(t, first + b, score) / (double)t->n;
        }
    }
    mem_drop(&p.s);
    return e;
}

/* Learn from here on; of a network with levels, level l alone. */
static enum err learn_level(struct rec_net *k, const struct nn_optim_opt *adam,
                            const struct rec_model *m,
                            const struct rec_lessons *t, size_t l)
{
    struct nn_optim *optim;

    ERR_TRY(nn_optim_new(&optim, k->params, adam));
    if (k->prune != NULL)
        nn_prune_level(k->prune, l);
    enum err e = epochs(k, optim, m, t);

    if (e == ERR_OK && k->prune != NULL)
        e = nn_prune_end(k->prune);
    nn_optim_free(optim);
    return e;
}

static enum err open_prune(struct rec_net *k, const struct rec_model *m)
{
    const struct rec_rerank_opts *o = m->opts;
    struct nn_prune_opt how = {.sparsity = o->sparsity,
                               .epochs = (size_t)o->epochs,
                               .levels = (size_t)o->levels,
                               .seed = m->seed};

    ERR_TRY(nn_pattern_parse(&how.pattern, o->pattern));
    ERR_TRY(nn_prune_parse(&how.schedule, o->schedule));
    ERR_TRY(nn_prune_new(&k->prune, k->params, &how));
    return nn_prune_count(k->prune) <= REC_SPARSE_MOST
               ? ERR_OK
               : err_set(ERR_ARG,
                         "--sparsity is for networks of up to %d "
                         "layers that can be pruned",
                         REC_SPARSE_MOST);
}

enum err rec_net_learn(struct rec_net *k, const struct rec_model *m,
                       const struct rec_lessons *t)
{
    const struct rec_rerank_opts *o = m->opts;
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
    struct gain g;
    enum err e = rec_net_open(k, m, t->features, batch, t->n > 0);

    /* the last layer begins with nothing to say: the first stage's order */
    if (e == ERR_OK)
        e = nn_params_draw(k->params, "net/out/weight",
                           (struct nn_init){.kind = NN_INIT_ZERO});
    if (t->n == 0)
        return e;
    if (e == ERR_OK && o->sparsity > 0)
        e = open_prune(k, m);
    for (size_t l = 0; e == ERR_OK && l < (size_t)o->levels; l++)
        e = learn_level(k, &adam, m, t, l);
    if (e == ERR_OK)
        e = look_back(k, t, &g);
    if (e == ERR_OK)
        log_info("%zu lists to learn from: ndcg@20 of their held-out rows "
                 "%.4f before, %.4f after",
                 t->n, g.before, g.after);
    return e;
}
