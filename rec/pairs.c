/* rec/pairs.c - batches, gradients, Adam. */
#include "rec/pairs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/la.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "kernels/elem.h"
#include "nn/order.h"
#include "rec/stage.h"
#include "rec/train_cuda.h"

#define CHUNK REC_PAIRS_CHUNK
#define NONE UINT32_MAX
#define ADAM_ROWS 1024 /* rows of a task */

/* Scratch of a thread. */
struct room {
    float *user, *item; /* [CHUNK][d] gathered */
    float *score;       /* [CHUNK][negatives] */
    float *scratch;     /* of the matrix product */
    uint32_t *head;     /* [n_items] first place of an item among negatives */
    uint32_t *next;     /* [negatives] */
};

struct pairs {
    struct rec_model *m;
    const struct rec_data *d;
    const struct rec_pairs *o;
    size_t n;              /* persons and items: rows of all vectors below */
    float *e, *mean, *var; /* [n][d] parameters and Adam's moments */
    float *grad;           /* [n][d] */
    uint32_t *user_of;     /* [n_rows] */
    uint64_t *name;        /* [n_rows] of the row, for its order */
    uint32_t *order;       /* [n_rows] */
    struct room *room;     /* [threads] */
    struct rec_cuda *cuda; /* or NULL */
    /* the batch: */
    uint64_t epoch;
    struct rec_dsl mask[2];     /* of persons, of items */
    size_t first, rows, chunks; /* rows first..first+rows-1 of order */
    float *pull;     /* [batch + chunks * negatives][d] gradients, then sums */
    float *coef;     /* [batch] of the positive */
    uint32_t *drawn; /* [chunks][negatives] */
    float *batch_user; /* [batch][d] */
    size_t *at;        /* [n + 2] CSR of the scatter */
    uint32_t *from;    /* [2 batch + chunks * negatives] */
    float *times;      /* the same */
};

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for the vectors of a model");
}

enum rec_pairs_loss rec_pairs_loss_of(const char *word)
{
    if (strcmp(word, "bpr") == 0)
        return REC_PAIRS_BPR;
    return strcmp(word, "hard") == 0 ? REC_PAIRS_HARD : REC_PAIRS_SOFTMAX;
}

static size_t chunks_of(size_t rows)
{
    return (rows + CHUNK - 1) / CHUNK;
}

/* Batches as large as the option says, or all rows. */
static size_t batch_of(const struct rec_data *d, const struct rec_pairs *o)
{
    return o->batch < d->n_rows ? o->batch : d->n_rows;
}

double rec_pairs_bytes(const struct rec_data *d, const struct rec_pairs *o)
{
    const double n = (double)(d->n_users + d->n_items), dim = (double)o->dim;
    const double batch = (double)batch_of(d, o);
    const double negatives = (double)(chunks_of(batch_of(d, o)) * o->negatives);
    const double room = 8 * CHUNK * dim + 4 * CHUNK * (double)o->negatives +
                        4 * KRN_GEMM_SCRATCH + 4 * (double)d->n_items;

    return rec_dsl_bytes(&o->dsl, n, dim) + 16 * n * dim +
           16 * (double)d->n_rows + 4 * (2 * batch + negatives) * (dim + 8) +
           (double)par_threads() * room + 16 * n;
}

/* --- a chunk
 * ----------------------------------------------------------------------
 */

static void draw_negatives(const struct pairs *p, size_t chunk, uint32_t *drawn)
{
    const uint64_t seed =
        rng_derive(rng_derive(p->m->seed, RNG_NEGATIVE, p->epoch), RNG_NEGATIVE,
                   p->first / CHUNK + chunk);

    for (size_t j = 0; j < p->o->negatives; j++)
        drawn[j] = (uint32_t)rng_below(seed, RNG_NEGATIVE, j, p->d->n_items);
}

/* What the persons of the chunk have met does not count against them. */
static void mask_met(const struct pairs *p, struct room *w,
                     const uint32_t *drawn, const uint32_t *row, size_t n)
{
    const struct rec_data *d = p->d;

    for (size_t j = 0; j < p->o->negatives; j++) {
        w->next[j] = w->head[drawn[j]];
        w->head[drawn[j]] = (uint32_t)j;
    }
    for (size_t b = 0; b < n; b++) {
        const size_t u = p->user_of[row[b]];

        for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++) {
            for (uint32_t j = w->head[d->item[r]]; j != NONE; j = w->next[j])
                w->score[b * p->o->negatives + j] = -INFINITY;
        }
    }
    for (size_t j = 0; j < p->o->negatives; j++)
        w->head[drawn[j]] = NONE;
}

/* Softmax of the negatives' and the row's scores: coefficients in place.
 * Returns that of the row itself. */
static float pull_softmax(float *s, size_t n, float own, float t)
{
    const struct krn_ops *ops = cpu_ops();
    float top = own;

    for (size_t j = 0; j < n; j++)
        top = s[j] > top ? s[j] : top;
    for (size_t j = 0; j < n; j++)
        s[j] = (s[j] - top) / t;
    ops->exp_f32(s, s, n);
    const float mine = krn_exp1((own - top) / t);
    const float sum = mine + ops->sum_f32(s, n);

    for (size_t j = 0; j < n; j++)
        s[j] /= sum * t;
    return -(1 - mine / sum) / t;
}

/* BPR: w[j] sigmoid(-(own - s_j) / t) / t; w even, or softmax of s / t. */
static float pull_bpr(float *s, size_t n, float own, float t, bool hard,
                      float *weight)
{
    const struct krn_ops *ops = cpu_ops();
    float sum = 0, top = -INFINITY;

    for (size_t j = 0; j < n; j++)
        top = s[j] > top ? s[j] : top;
    if (top == -INFINITY) { /* all were met: nothing to compare with */
        memset(s, 0, n * sizeof(*s));
        return 0;
    }
    for (size_t j = 0; j < n; j++) {
        weight[j] = hard ? s[j] / t : 0;
        s[j] = (s[j] - own) / t;
    }
    if (hard)
        ops->softmax_f32(weight, weight, n);
    ops->sigmoid_f32(s, s, n);
    for (size_t j = 0; j < n; j++) {
        s[j] *= (hard ? weight[j] : 1 / (float)n) / t;
        sum += s[j];
    }
    return -sum;
}

static void gather(const struct pairs *p, struct room *w, const uint32_t *row,
                   size_t n, float *user)
{
    const size_t d = p->o->dim;
    const float *items = p->e + p->d->n_users * d;

    for (size_t b = 0; b < n; b++) {
        memcpy(user + b * d, p->e + p->user_of[row[b]] * d, d * sizeof(float));
        memcpy(w->user + b * d, items + p->d->item[row[b]] * d,
               d * sizeof(float));
    }
}

static void chunk_task(void *arg, size_t chunk, size_t thread)
{
    struct pairs *p = arg;
    struct room *w = p->room + thread;
    const size_t d = p->o->dim, k = p->o->negatives, first = chunk * CHUNK;
    const size_t n = p->rows - first < CHUNK ? p->rows - first : CHUNK;
    const uint32_t *row = p->order + p->first + first;
    uint32_t *drawn = p->drawn + chunk * k;
    float *user = p->batch_user + first * d;
    float *pull = p->pull + first * d, *met = w->user;
    float *pull_drawn = p->pull + (p->rows + chunk * k) * d;
    const float t = (float)p->o->temperature;
    const float share = 1 / (float)p->rows;
    struct krn_gemm g = {.tb = true,
                         .m = n,
                         .n = k,
                         .k = d,
                         .a = user,
                         .lda = d,
                         .b = w->item,
                         .ldb = d,
                         .c = w->score,
                         .ldc = k,
                         .scratch = w->scratch};

    draw_negatives(p, chunk, drawn);
    gather(p, w, row, n, user);
    for (size_t j = 0; j < k; j++)
        memcpy(w->item + j * d, p->e + (p->d->n_users + drawn[j]) * d,
               d * sizeof(float));
    cpu_ops()->gemm_f32(&g);
    mask_met(p, w, drawn, row, n);
    for (size_t b = 0; b < n; b++) {
        const float own = cpu_ops()->dot_f32(user + b * d, met + b * d, d);
        float *s = w->score + b * k;
        const float c =
            p->o->loss == REC_PAIRS_SOFTMAX
                ? pull_softmax(s, k, own, t)
                : pull_bpr(s, k, own, t, p->o->loss == REC_PAIRS_HARD,
                           w->score + CHUNK * k);

        p->coef[first + b] = c * share;
        for (size_t j = 0; j < k; j++)
            s[j] *= share;
        for (size_t j = 0; j < d; j++)
            pull[b * d + j] = c * share * met[b * d + j];
    }
    /* of the persons: scores x negatives, onto what is there */
    g = (struct krn_gemm){.add = true,
                          .m = n,
                          .n = d,
                          .k = k,
                          .a = w->score,
                          .lda = k,
                          .b = w->item,
                          .ldb = d,
                          .c = pull,
                          .ldc = d,
                          .scratch = w->scratch};
    cpu_ops()->gemm_f32(&g);
    /* of the negatives: scores^T x persons */
    g = (struct krn_gemm){.ta = true,
                          .m = k,
                          .n = d,
                          .k = n,
                          .a = w->score,
                          .lda = k,
                          .b = user,
                          .ldb = d,
                          .c = pull_drawn,
                          .ldc = d,
                          .scratch = w->scratch};
    cpu_ops()->gemm_f32(&g);
}

/* --- adding up
 * ----------------------------------------------------------------------
 */

/* Row of `grad` that entry e of the batch adds to. */
static uint32_t target_of(const struct pairs *p, size_t e)
{
    const uint32_t items = (uint32_t)p->d->n_users;

    if (e < p->rows)
        return p->user_of[p->order[p->first + e]];
    e -= p->rows;
    if (e < p->rows)
        return items + p->d->item[p->order[p->first + e]];
    return items + p->drawn[e - p->rows];
}

/* grad = the batch's gradients, as a sparse matrix times p->pull: persons and
 * negatives take a row of their own, an item that was met takes the vector of
 * the person, times the coefficient. */
static void scatter(struct pairs *p)
{
    const size_t n = 2 * p->rows + p->chunks * p->o->negatives;
    const size_t d = p->o->dim;
    const size_t users_at = p->rows + p->chunks * p->o->negatives;

    memset(p->at, 0, (p->n + 2) * sizeof(*p->at));
    for (size_t e = 0; e < n; e++)
        p->at[target_of(p, e) + 2]++;
    for (size_t i = 2; i < p->n + 2; i++)
        p->at[i] += p->at[i - 1];
    memcpy(p->pull + users_at * d, p->batch_user,
           p->rows * d * sizeof(*p->pull));
    for (size_t e = 0; e < n; e++) {
        const size_t to = p->at[target_of(p, e) + 1]++;
        const bool met = e >= p->rows && e < 2 * p->rows;

        p->from[to] = (uint32_t)(e < p->rows ? e
                                 : met       ? users_at + e - p->rows
                                             : e - p->rows);
        p->times[to] = met ? p->coef[e - p->rows] : 1;
    }
    la_spmm(&(struct krn_spmm){.last = p->n,
                               .d = d,
                               .ptr = p->at,
                               .idx = p->from,
                               .val = p->times,
                               .x = p->pull,
                               .ldx = d,
                               .y = p->grad,
                               .ldy = d});
}

struct step {
    struct pairs *p;
    struct krn_adam adam;
};

static void adam_task(void *arg, size_t task, size_t thread)
{
    const struct step *s = arg;
    const struct pairs *p = s->p;
    const size_t d = p->o->dim, first = task * ADAM_ROWS;
    const size_t rows = p->n - first < ADAM_ROWS ? p->n - first : ADAM_ROWS;

    (void)thread;
    rec_dsl_take_both(p->mask, first, rows, p->grad + first * d);
    cpu_ops()->adam_f32(p->e + first * d, p->mean + first * d,
                        p->var + first * d, p->grad + first * d, rows * d,
                        &s->adam);
}

static struct krn_adam rate(const struct pairs *p, uint64_t steps, double lr)
{
    double fade1 = 1, fade2 = 1;

    for (uint64_t i = 0; i < steps && (fade1 > 1e-9 || fade2 > 1e-9); i++) {
        fade1 *= .9;
        fade2 *= .999;
    }
    return (struct krn_adam){.lr = (float)(lr * sqrt(1 - fade2) / (1 - fade1)),
                             .beta1 = .9f,
                             .beta2 = .999f,
                             .eps = 1e-8f,
                             .decay = (float)(lr * p->o->reg)};
}

/* --- epochs
 * ---------------------------------------------------------------------------
 */

/* (1 + cos(pi x)) / 2 for 0 <= x <= 1: a polynomial, so that no bit depends on
 * the C library; exact at both ends, within 1e-3 between. */
static double cosine(double x)
{
    const double y = 1 - 2 * x, y2 = y * y;

    /* sin(pi/2 y) = y (a - y2 (b - c y2)), a - b + c = 1 */
    return .5 + .5 * y * (1.5703125 - y2 * (0.6425781 - 0.0722656 * y2));
}

static enum err step_cuda(struct pairs *p, const struct krn_adam *how)
{
    ERR_TRY(rec_cuda_compare(p->cuda, p->cuda->e, p->first, p->rows,
                             rng_derive(p->m->seed, RNG_NEGATIVE, p->epoch),
                             p->first / CHUNK));
    return rec_cuda_adam(p->cuda, p->cuda->grad, how);
}

static enum err step(struct pairs *p, uint64_t done, uint64_t of)
{
    struct step s = {
        p, rate(p, done + 1, p->o->lr * cosine((double)done / (double)of))};

    if (p->cuda != NULL)
        return step_cuda(p, &s.adam);
    par_for(p->chunks, chunk_task, p);
    scatter(p);
    par_for((p->n + ADAM_ROWS - 1) / ADAM_ROWS, adam_task, &s);
    return rec_dsl_step_both(p->mask, p->e, p->mean, p->var);
}

static enum err fill_model(struct pairs *p)
{
    const size_t d = p->o->dim, users = p->d->n_users;

    if (p->cuda != NULL)
        ERR_TRY(device_get(p->e, p->cuda->e, p->n * d * sizeof(float)));
    memcpy(rec_model_array(p->m, "users"), p->e, users * d * sizeof(float));
    memcpy(rec_model_array(p->m, "items"), p->e + users * d,
           p->d->n_items * d * sizeof(float));
    return ERR_OK;
}

static enum err order(struct pairs *p)
{
    char why[KRN_CUDA_WHY] = "";

    if (p->cuda == NULL)
        return nn_order(p->order, p->name, p->d->n_rows, p->m->seed, p->epoch);
    p->cuda->by.seed = p->m->seed;
    p->cuda->by.epoch = p->epoch;
    return device_said(device_cuda()->order(&p->cuda->by, why), why);
}

/* Of an epoch. */
static uint64_t steps_of(const struct pairs *p)
{
    const size_t batch = batch_of(p->d, p->o);

    return (p->d->n_rows + batch - 1) / batch;
}

static enum err epoch(struct pairs *p)
{
    const size_t batch = batch_of(p->d, p->o);
    const uint64_t steps = steps_of(p);

    ERR_TRY(order(p));
    for (uint64_t s = 0; s < steps; s++) {
        p->first = s * batch;
        p->rows =
            p->d->n_rows - p->first < batch ? p->d->n_rows - p->first : batch;
        p->chunks = chunks_of(p->rows);
        ERR_TRY(step(p, (p->epoch - 1) * steps + s,
                     rec_stage_all(p->m, p->o->epochs) * steps));
        if (log_stopping())
            return err_set(ERR_STOPPED, "training was interrupted");
    }
    return ERR_OK;
}

static enum err run(struct pairs *p, const struct rec_watch *watch)
{
    const uint64_t epochs = rec_stage_to(p->m, p->o->epochs);
    bool stop = false;

    p->m->epochs = 0;
    p->epoch = rec_stage_from(p->m) + 1;
    for (; p->epoch <= epochs && !stop; p->epoch++) {
        ERR_TRY(epoch(p));
        p->m->epochs = p->epoch;
        log_tick("training", p->epoch, epochs, NULL);
        if (watch != NULL) {
            ERR_TRY(fill_model(p));
            ERR_TRY(watch->epoch(watch->arg, p->m, p->epoch, &stop));
        }
    }
    return fill_model(p);
}

/* --- start
 * ------------------------------------------------------------------------------
 */

static void start_task(void *arg, size_t v, size_t thread)
{
    struct pairs *p = arg;
    const size_t d = p->o->dim, users = p->d->n_users;
    /* an item may have a person's key: two streams */
    const uint64_t seed =
        v < users
            ? rng_derive(p->m->seed, RNG_INIT, p->d->user_key[v])
            : rng_derive(~p->m->seed, RNG_INIT, p->d->item_key[v - users]);

    (void)thread;
    for (size_t k = 0; k < d; k++)
        p->e[v * d + k] = (float)(p->o->start * rng_normal(seed, RNG_INIT, k));
}

static void name_rows(struct pairs *p)
{
    const struct rec_data *d = p->d;

    for (size_t u = 0; u < d->n_users; u++) {
        for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++) {
            p->user_of[r] = (uint32_t)u;
            p->name[r] = rng_derive(d->user_key[u], RNG_SHUFFLE,
                                    d->item_key[d->item[r]]);
        }
    }
}

static void take_rooms(struct pairs *p, struct mem_scratch *s)
{
    const size_t d = p->o->dim, k = p->o->negatives;

    p->room = mem_take(s, par_threads(), 1, sizeof(*p->room));
    for (size_t t = 0; t < par_threads() && !s->failed; t++) {
        struct room *w = p->room + t;

        w->user = mem_take(s, CHUNK, d, sizeof(float));
        w->item = mem_take(s, k, d, sizeof(float));
        w->score = mem_take(s, CHUNK + 1, k, sizeof(float));
        w->scratch = mem_take_raw(s, 1, KRN_GEMM_SCRATCH, sizeof(float));
        w->head = mem_take(s, p->d->n_items, 1, sizeof(*w->head));
        w->next = mem_take(s, k, 1, sizeof(*w->next));
        if (w->head != NULL)
            memset(w->head, 0xff, p->d->n_items * sizeof(*w->head));
    }
}

static void take_all(struct pairs *p, struct mem_scratch *s)
{
    const size_t d = p->o->dim, batch = batch_of(p->d, p->o);
    const size_t negatives = chunks_of(batch) * p->o->negatives;

    p->e = mem_take(s, p->n, d, sizeof(float));
    p->user_of = mem_take(s, p->d->n_rows, 1, sizeof(*p->user_of));
    p->name = mem_take(s, p->d->n_rows, 1, sizeof(*p->name));
    if (device_cuda() != NULL) /* the others are there */
        return;
    p->mean = mem_take(s, p->n, d, sizeof(float));
    p->var = mem_take(s, p->n, d, sizeof(float));
    p->grad = mem_take(s, p->n, d, sizeof(float));
    p->order = mem_take(s, p->d->n_rows, 1, sizeof(*p->order));
    p->pull = mem_take(s, 2 * batch + negatives, d, sizeof(float));
    p->coef = mem_take(s, batch, 1, sizeof(float));
    p->drawn = mem_take(s, negatives, 1, sizeof(*p->drawn));
    p->batch_user = mem_take(s, batch, d, sizeof(float));
    p->at = mem_take(s, p->n + 2, 1, sizeof(*p->at));
    p->from = mem_take(s, 2 * batch + negatives, 1, sizeof(*p->from));
    p->times = mem_take(s, 2 * batch + negatives, 1, sizeof(*p->times));
    take_rooms(p, s);
}

static enum err fit_cuda(struct pairs *p, const struct rec_watch *watch)
{
    static const enum krn_cuda_loss loss[] = {
        [REC_PAIRS_BPR] = KRN_CUDA_BPR,
        [REC_PAIRS_HARD] = KRN_CUDA_HARD,
        [REC_PAIRS_SOFTMAX] = KRN_CUDA_SOFTMAX,
    };
    const struct krn_cuda_compare how = {.chunk = CHUNK,
                                         .negatives = p->o->negatives,
                                         .loss = loss[p->o->loss],
                                         .temperature =
                                             (float)p->o->temperature};
    struct rec_cuda c;
    enum err e = rec_cuda_open(&c, p->d, p->o->dim, p->e, p->user_of,
                               batch_of(p->d, p->o), &how);

    p->cuda = &c;
    c.by.dev_a = device_take(&c.room, p->name, p->d->n_rows * sizeof(*p->name));
    if (e == ERR_OK)
        e = c.room.e;
    if (e == ERR_OK)
        e = run(p, watch);
    device_room_drop(&c.room);
    return e;
}

/* The epochs, from where a stage before ended. */
static enum err run_stage(struct pairs *p, const struct rec_watch *watch)
{
    const size_t d = p->o->dim, people = p->d->n_users * d;
    const struct rec_stage_part part[] = {
        {"users", REC_OF_USERS, p->e, d},
        {"users.mean", REC_OF_USERS, p->mean, d},
        {"users.var", REC_OF_USERS, p->var, d},
        {"items", REC_OF_ITEMS, p->e + people, d},
        {"items.mean", REC_OF_ITEMS, p->mean + people, d},
        {"items.var", REC_OF_ITEMS, p->var + people, d},
    };

    ERR_TRY(rec_stage_begin(p->m, p->d, part, 6));
    ERR_TRY(run(p, watch));
    return rec_stage_end(p->m, p->d, part, 6);
}

enum err rec_pairs_fit(struct rec_model *m, const struct rec_data *d,
                       const struct rec_pairs *o, const struct rec_watch *watch)
{
    struct mem_scratch s = {0};
    struct pairs p = {.m = m, .d = d, .o = o, .n = d->n_users + d->n_items};
    enum err e = ERR_OK;

    take_all(&p, &s);
    if (s.failed)
        e = no_memory();
    if (e == ERR_OK) {
        name_rows(&p);
        par_for(p.n, start_task, &p);
        e = rec_dsl_init_both(p.mask, &o->dsl, REC_DSL_ALIKE,
                              o->epochs * steps_of(&p), d, o->dim, &s);
    }
    if (e == ERR_OK) {
        e = device_cuda() != NULL ? fit_cuda(&p, watch) : run_stage(&p, watch);
    }
    mem_drop(&s);
    return e;
}
