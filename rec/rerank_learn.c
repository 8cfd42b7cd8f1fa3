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
#include "rec/kin.h"

/* The lists of a batch that hold a row of all that is not in A. */
static void take_lessons(struct rec_lessons *t, const struct rec_batch *b,
                         const struct rec_data *all, size_t parts, size_t first,
                         size_t n)
{
    const size_t list = t->list, row = list * t->features;

    for (size_t p = 0; p < n; p++) {
        float *label = t->label + t->n * list, *mask = t->mask + t->n * list;
        size_t hits = 0;

        for (size_t k = 0; k < list; k++) {
            const bool there = k < b->len[p];

            mask[k] = there;
            label[k] =
                there && rec_data_has(all, first + p, b->item[p * list + k]);
            hits += label[k] > 0;
        }
        if (!t->whole && (hits == 0 || hits == b->len[p]))
            continue;
        memcpy(t->x + t->n * row, b->x + p * row, row * sizeof(*t->x));
        memcpy(t->item + t->n * list, b->item + p * list,
               list * sizeof(*t->item));
        memcpy(t->past + t->n * REC_PAST, b->past + p * REC_PAST,
               REC_PAST * sizeof(*t->past));
        if (t->before != NULL)
            memcpy(t->before + t->n * list, b->own + p * parts * list,
                   list * sizeof(*t->before));
        t->key[t->n++] = all->user_key[first + p];
    }
}

/* Mean and 1 / deviation of each feature over all items of all lists. */
static void measure(struct rec_lessons *t)
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

enum err rec_lessons_open(struct rec_lessons *t, struct mem_scratch *s,
                          size_t most, bool items)
{
    t->x = mem_take_raw(s, most, t->list * t->features, sizeof(*t->x));
    t->label = mem_take_raw(s, most, t->list, sizeof(*t->label));
    t->mask = mem_take_raw(s, most, t->list, sizeof(*t->mask));
    t->key = mem_take(s, most, 1, sizeof(*t->key));
    if (items) {
        t->item = mem_take_raw(s, most, t->list, sizeof(*t->item));
        t->past = mem_take_raw(s, most, REC_PAST, sizeof(*t->past));
    }
    t->mean = mem_take(s, t->features, 1, sizeof(*t->mean));
    t->unit = mem_take(s, t->features, 1, sizeof(*t->unit));
    return s->failed ? err_set(ERR_NOMEM, "no memory for lists to learn from")
                     : ERR_OK;
}

enum err rec_lessons_add(struct rec_lessons *t, const struct rec_generators *g,
                         const struct rec_data *a, const struct rec_data *all)
{
    struct mem_scratch room = {0};
    struct rec_batch b;
    uint32_t user[REC_ASK];
    enum err e = rec_batch_open(&b, &room, g, t->list);

    for (size_t first = 0; first < a->n_users && e == ERR_OK;
         first += REC_ASK) {
        const size_t n =
            a->n_users - first < REC_ASK ? a->n_users - first : REC_ASK;

        for (size_t p = 0; p < n; p++)
            user[p] = (uint32_t)(first + p);
        e = rec_lists_make(g,
                           &(struct rec_query){n, user, a->user_ptr + first,
                                               a->item, a->value, a->time},
                           &b);
        if (e == ERR_OK)
            take_lessons(t, &b, all, g->n, first, n);
    }
    mem_drop(&room);
    return e;
}

void rec_lessons_ready(struct rec_lessons *t)
{
    measure(t);
    rec_lessons_scale(t->mean, t->unit, t->features, t->x, t->mask,
                      t->n * t->list);
}

/* --- steps -----------------------------------------------------------------
 */

enum err rec_step_open(struct rec_step *p, size_t batch,
                       const struct rec_lessons *t)
{
    *p = (struct rec_step){.batch = batch, .list = t->list};
    p->x = mem_take(&p->s, batch, t->list * t->features, sizeof(*p->x));
    p->label = mem_take(&p->s, batch, t->list, sizeof(*p->label));
    p->mask = mem_take(&p->s, batch, t->list, sizeof(*p->mask));
    p->key = mem_take(&p->s, batch, 1, sizeof(*p->key));
    p->order = mem_take(&p->s, t->n, 1, sizeof(*p->order));
    p->asked = (struct rec_asked){.x = p->x, .mask = p->mask, .key = p->key};
    if (t->item != NULL) {
        p->item = mem_take(&p->s, batch, t->list, sizeof(*p->item));
        p->past = mem_take(&p->s, batch, REC_PAST, sizeof(*p->past));
        p->asked.item = p->item;
        p->asked.past = p->past;
    }
    if (t->kin != NULL) {
        p->kin = mem_take(&p->s, batch, t->list * REC_KIN, sizeof(*p->kin));
        p->asked.kin = p->kin;
        p->asked.n_kin = REC_KIN;
    }
    for (size_t l = 0; l < t->n && !p->s.failed; l++)
        p->order[l] = (uint32_t)l;
    return p->s.failed ? err_set(ERR_NOMEM, "no memory to learn to re-rank")
                       : ERR_OK;
}

void rec_step_close(struct rec_step *p)
{
    mem_drop(&p->s);
}

void rec_step_set(struct rec_step *p, const struct rec_lessons *t, size_t first)
{
    const size_t row = t->list * t->features, n = t->list;

    for (size_t b = 0; b < p->batch; b++) {
        const size_t l = p->order[(first + b) % t->n];

        memcpy(p->x + b * row, t->x + l * row, row * sizeof(*p->x));
        memcpy(p->label + b * n, t->label + l * n, n * sizeof(*p->label));
        memcpy(p->mask + b * n, t->mask + l * n, n * sizeof(*p->mask));
        p->key[b] = t->key[l];
        if (t->item == NULL)
            continue;
        memcpy(p->item + b * n, t->item + l * n, n * sizeof(*p->item));
        memcpy(p->past + b * REC_PAST, t->past + l * REC_PAST,
               REC_PAST * sizeof(*p->past));
        if (t->kin != NULL)
            rec_kin_gather(t->kin, t->item + l * n, n,
                           p->kin + b * n * REC_KIN);
    }
}

enum err rec_lessons_pass(const struct rec_lessons *t, struct rec_step *p,
                          uint64_t seed, size_t epochs, const char *what,
                          enum err (*step)(void *arg, struct rec_step *p,
                                           uint64_t epoch, double *loss),
                          void *arg)
{
    for (size_t epoch = 0; epoch < epochs; epoch++) {
        double loss = 0;
        char note[40];

        rng_shuffle(rng_derive(seed, RNG_SHUFFLE, epoch), RNG_SHUFFLE, t->n,
                    p->order);
        for (size_t first = 0; first < t->n; first += p->batch) {
            double last = 0;

            if (log_stopping())
                return err_set(ERR_STOPPED, "stopped");
            rec_step_set(p, t, first);
            ERR_TRY(step(arg, p, epoch, &last));
            loss += last * (double)p->batch / (double)t->n;
        }
        (void)snprintf(note, sizeof(note), "loss %.4f", loss);
        log_tick(what, epoch + 1, (uint64_t)epochs, note);
    }
    return ERR_OK;
}

enum err rec_lessons_optim(struct nn_optim **out, struct nn_params *p,
                           const struct rec_model *m,
                           const struct rec_lessons *t, size_t batch,
                           size_t times)
{
    const struct rec_rerank_opts *o = m->opts;
    const size_t steps = (t->n + batch - 1) / batch * times;
    const struct nn_optim_opt adam = {
        .kind = NN_ADAM,
        .lr = o->rate,
        .decay = o->decay,
        .clip = 5,
        .rate = NN_RATE_COSINE,
        .period = steps * (uint64_t)o->epochs,
    };

    return nn_optim_new(out, p, &adam);
}

struct study {
    struct rec_thin *thin; /* of what a model keeps, or NULL */
    struct nn_optim *optim;
    uint64_t epoch; /* that it knows of, and one more */
    rec_lessons_step *step;
    void *arg;
};

static enum err study_step(void *arg, struct rec_step *p, uint64_t epoch,
                           double *loss)
{
    struct study *w = arg;

    if (w->thin != NULL && w->epoch != epoch + 1)
        ERR_TRY(rec_thin_epoch(w->thin, epoch, w->optim));
    w->epoch = epoch + 1;
    ERR_TRY(w->step(w->arg, p, w->optim, loss));
    if (w->thin != NULL)
        rec_thin_step(w->thin);
    return ERR_OK;
}

/* passes over the lessons, `times` steps for each batch. */
static enum err study(struct study *w, struct nn_params *params,
                      const struct rec_model *m, const struct rec_lessons *t,
                      size_t batch, size_t times, uint64_t seed, size_t passes,
                      const char *what)
{
    struct rec_step p;

    ERR_TRY(rec_lessons_optim(&w->optim, params, m, t, batch, times));
    enum err e = rec_step_open(&p, batch, t);

    if (e == ERR_OK)
        e = rec_lessons_pass(t, &p, seed, passes, what, study_step, w);
    rec_step_close(&p);
    nn_optim_free(w->optim);
    return e;
}

enum err rec_lessons_learn(struct nn_params *params, const struct rec_model *m,
                           const struct rec_lessons *t, size_t batch,
                           const char *what, rec_lessons_step *step, void *arg)
{
    const struct rec_rerank_opts *o = m->opts;
    struct study w = {.step = step, .arg = arg};

    return study(&w, params, m, t, batch, 1, m->seed, (size_t)o->epochs, what);
}

/* --- what a model keeps ----------------------------------------------------
 */

static enum err open_thin(struct rec_net *k, const struct rec_model *m,
                          struct nn_tape *tape)
{
    const struct rec_rerank_opts *o = m->opts;

    ERR_TRY(rec_thin_open(&k->thin, &o->thin, (size_t)o->epochs, m->seed,
                          k->params, tape));
    return k->thin.prune == NULL ||
                   nn_prune_count(k->thin.prune) <= REC_SPARSE_MOST
               ? ERR_OK
               : err_set(ERR_ARG,
                         "--sparsity is for networks of up to %d "
                         "layers that can be pruned",
                         REC_SPARSE_MOST);
}

enum err rec_net_teach(struct rec_net *k, const struct rec_model *m,
                       const struct rec_lessons *t, struct nn_tape *tape,
                       size_t times, const char *what, rec_lessons_step *step,
                       void *arg)
{
    const struct rec_rerank_opts *o = m->opts;
    enum err e = open_thin(k, m, tape);

    for (size_t l = 0; e == ERR_OK && l < (size_t)o->thin.levels; l++) {
        struct study w = {.thin = &k->thin, .step = step, .arg = arg};

        if (k->thin.prune != NULL)
            nn_prune_level(k->thin.prune, l);
        e = study(&w, k->params, m, t, k->batch, times, k->seed,
                  rec_thin_passes(&k->thin, (size_t)o->epochs), what);
        if (e == ERR_OK)
            e = rec_thin_end(&k->thin);
    }
    if (e == ERR_OK)
        nn_tape_training(tape, false);
    return e;
}

/* --- a network of one pass -------------------------------------------------
 */

static enum err pass_step(void *arg, struct rec_step *p, struct nn_optim *optim,
                          double *loss)
{
    struct rec_net *k = arg;

    nn_tape_set(k->tape, k->label, p->label);
    ERR_TRY(rec_net_set(k, &p->asked));
    if (k->learning != NULL)
        nn_tape_fill(k->tape, k->learning, 1);
    return nn_optim_train(optim, k->tape, loss);
}

static enum err learn_pass(struct rec_net *k, const struct rec_model *m,
                           const struct rec_lessons *t)
{
    ERR_TRY(rec_net_teach(k, m, t, k->tape, 1, "learning to re-rank", pass_step,
                          k));
    return k->thin.chex != NULL ? rec_net_narrow(k, m) : ERR_OK;
}

/* --- how it went -----------------------------------------------------------
 */

static double gain_of(float label)
{
    return krn_power_f64(2, (double)label) - 1;
}

static int by_label(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;

    return (x < y) - (x > y);
}

double rec_lessons_ndcg(const struct rec_lessons *t, size_t l,
                        const float *score, size_t k)
{
    struct rec_placed order[REC_LIST_MOST];
    const float *label = t->label + l * t->list;
    float best[REC_LIST_MOST];
    double sum = 0, ideal = 0;
    size_t n = 0;

    for (; n < t->list && t->mask[l * t->list + n] > 0; n++) {
        order[n] = (struct rec_placed){score != NULL ? score[n] : -(float)n,
                                       (uint32_t)n};
        best[n] = label[n];
    }
    qsort(order, n, sizeof(*order), rec_by_place);
    qsort(best, n, sizeof(*best), by_label);
    for (size_t r = 0; r < n && r < k; r++) {
        const double weight = 1 / krn_log2_f64((double)r + 2);

        sum += gain_of(label[order[r].at]) * weight;
        ideal += gain_of(best[r]) * weight;
    }
    return ideal > 0 ? sum / ideal : 0;
}

/* On the lists that it learnt from. */
static enum err look_back(struct rec_net *k, const struct rec_lessons *t)
{
    double before = 0, after = 0;
    struct rec_step p;
    enum err e = rec_step_open(&p, k->batch, t);
    float *value = mem_take(&p.s, k->batch, t->list, sizeof(*value));

    if (e == ERR_OK && p.s.failed)
        e = err_set(ERR_NOMEM, "no memory to look back");
    for (size_t first = 0; first < t->n && e == ERR_OK; first += k->batch) {
        rec_step_set(&p, t, first);
        e = rec_net_order(k, &p.asked, value);
        for (size_t b = 0; b < k->batch && first + b < t->n && e == ERR_OK;
             b++) {
            before += rec_lessons_ndcg(t, first + b, NULL, 20) / (double)t->n;
            after += rec_lessons_ndcg(t, first + b, value + b * t->list, 20) /
                     (double)t->n;
        }
    }
    rec_step_close(&p);
    if (e == ERR_OK)
        log_info("%zu lists to learn from: ndcg@20 of their held-out rows "
                 "%.4f before, %.4f after",
                 t->n, before, after);
    return e;
}

enum err rec_net_learn(struct rec_net *k, const struct rec_model *m,
                       const struct rec_lessons *t)
{
    const struct rec_rerank_opts *o = m->opts;
    const size_t most = t->n > 0 ? t->n : 1;
    const size_t batch = (size_t)o->batch < most ? (size_t)o->batch : most;

    ERR_TRY(rec_net_open(k, m, t->features, t->n_items, batch, t->n > 0));
    /* the last layer begins with nothing to say: the first stage's order */
    for (struct rec_net *x = k; x != NULL; x = x->next) {
        if (!o->faithful && nn_params_find(x->params, "net/out/weight") != NULL)
            ERR_TRY(nn_params_draw(x->params, "net/out/weight",
                                   (struct nn_init){.kind = NN_INIT_ZERO}));
    }
    if (t->n == 0)
        return ERR_OK;
    for (struct rec_net *x = k; k->how->ways == NULL && x != NULL; x = x->next)
        ERR_TRY(learn_pass(x, m, t));
    if (k->how->ways != NULL && k->how->ways->learn != NULL)
        ERR_TRY(k->how->ways->learn(k, m, t));
    return look_back(k, t);
}
