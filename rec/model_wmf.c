/*
 * rec/model_wmf.c - weighted matrix factorisation on whole rows: every item
 * counts, none is sampled.
 *
 * The loss of a batch of people B, for scores s_ui = <p_u, q_i> and weight w of
 * what was not met:
 *
 *   sum over u in B [ sum over all i of w s_ui^2
 *                     + sum over met i of (1 - w) s_ui^2 - 2 s_ui ]
 *
 * The first sum needs no scores: it is w <Q^T Q, P_B^T P_B>.  A share of the
 * numbers of a person's vector is dropped in each batch.  Adagrad.
 *
 * Source: Chen, Zhang, Zhang, Liu, Ma, Efficient neural matrix factorization
 * without sampling for recommendation, TOIS 2020, as RecEraser uses it (Chen,
 * Sun, Zhang, Ding, WWW 2022).  Differs: docs/papers.md.
 */
#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "base/device.h"
#include "base/la.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "nn/order.h"
#include "rec/dsl.h"
#include "rec/fold.h"
#include "rec/model.h"
#include "rec/stage.h"
#include "rec/wmf_cuda.h"

struct wmf_opts {
    int64_t dim, epochs, batch;
    double lr, weight, drop, start, reg;
    struct rec_dsl_opts dsl;
};

#define AT(f) offsetof(struct wmf_opts, f)
static const struct opt rows[] = {
    {"dim", 0, OPT_INT, AT(dim), "64", 1, 4096, "N",
     "numbers in the vector of a person or item"},
    {"epochs", 0, OPT_INT, AT(epochs), "300", 1, 1e6, "N",
     "passes over the people"},
    {"lr", 0, OPT_REAL, AT(lr), "0.05", 1e-9, 1e3, "LR",
     "learning rate of Adagrad"},
    {"weight", 0, OPT_REAL, AT(weight), "0.3", 1e-9, 1, "W",
     "weight of what was not met; that of what was met is 1"},
    {"drop", 0, OPT_REAL, AT(drop), "0.4", 0, 0.95, "F",
     "share of a person's vector that is dropped in training"},
    {"reg", 0, OPT_REAL, AT(reg), "0", 0, 1e6, "L",
     "penalty on squared lengths"},
    {"batch", 0, OPT_INT, AT(batch), "128", 1, 1e8, "N", "people of a step"},
    {"start", 0, OPT_REAL, AT(start), "0.01", 1e-9, 1e3, "S",
     "deviation of the first values"},
    REC_DSL_OPTS(struct wmf_opts),
    {.name = NULL},
};

#define CHUNK 16  /* people of a task */
#define ITEMS 256 /* items of a task */
#define ADAGRAD_FIRST 1e-8f
#define ADAGRAD_LEAST 1e-10f

struct wmf {
    const struct wmf_opts *o;
    const struct rec_data *d;
    struct rec_model *m;
    float *p, *q;           /* [n_users][dim], [n_items][dim]: the model's */
    float *p_sum, *q_sum;   /* of squared gradients */
    struct rec_dsl mask[2]; /* of p, of q */
    uint32_t *order;        /* [n_users] */
    uint64_t epoch;
    size_t first, n; /* people of the batch in `order` */
    float *b;        /* [batch][dim] their vectors, thinned */
    float *b_grad, *q_grad;
    float *gram;   /* [dim][dim] */
    size_t *ptr;   /* [batch + 1] their rows */
    uint32_t *idx; /* items of these; room for all rows */
    float *val;
    size_t *t_ptr; /* [n_items + 2] the same by item */
    uint32_t *t_idx;
    float *t_val;
    struct rec_wmf_cuda *cuda; /* or NULL */
};

static double fit_bytes(const struct rec_data *d, const void *opts)
{
    const struct wmf_opts *o = opts;
    const double dim = (double)o->dim, users = (double)d->n_users;
    const double items = (double)d->n_items;

    return rec_dsl_bytes(&o->dsl, users + items, dim) +
           4 * dim * (3 * users + 4 * items) + 24 * (double)d->n_rows;
}

/* --- a batch ----------------------------------------------------------------
 */

static uint32_t person(const struct wmf *w, size_t i)
{
    return w->order[w->first + i];
}

/* Names what is dropped of a person's vector. */
static uint64_t drop_seed(const struct wmf *w, size_t u)
{
    return rng_derive(rng_derive(w->m->seed, RNG_DROPOUT, w->epoch),
                      RNG_DROPOUT, w->d->user_key[u]);
}

static bool drops(const struct wmf *w, uint64_t seed, size_t k)
{
    return rng_f32(seed, RNG_DROPOUT, k) < (float)w->o->drop;
}

/* A person's vector, thinned: what is left is scaled up by as much. */
static void thin(const struct wmf *w, size_t i)
{
    const size_t dim = (size_t)w->o->dim, u = person(w, i);
    const float scale = 1 / (1 - (float)w->o->drop);
    const uint64_t seed = drop_seed(w, u);

    for (size_t k = 0; k < dim; k++)
        w->b[i * dim + k] = drops(w, seed, k) ? 0 : w->p[u * dim + k] * scale;
}

static void thin_task(void *arg, size_t task, size_t thread)
{
    const struct wmf *w = arg;

    (void)thread;
    for (size_t i = task * CHUNK; i < (task + 1) * CHUNK && i < w->n; i++)
        thin(w, i);
}

static void take_rows(struct wmf *w)
{
    size_t at = 0;

    for (size_t i = 0; i < w->n; i++) {
        const size_t u = person(w, i), from = w->d->user_ptr[u];
        const size_t n = w->d->user_ptr[u + 1] - from;

        memcpy(w->idx + at, w->d->item + from, n * sizeof(*w->idx));
        w->ptr[i] = at;
        at += n;
    }
    w->ptr[w->n] = at;
}

/* The rows by item, people ascending in the batch. */
static void turn_rows(struct wmf *w)
{
    const size_t n_items = w->d->n_items;

    memset(w->t_ptr, 0, (n_items + 2) * sizeof(*w->t_ptr));
    for (size_t e = 0; e < w->ptr[w->n]; e++)
        w->t_ptr[w->idx[e] + 2]++;
    for (size_t i = 2; i < n_items + 2; i++)
        w->t_ptr[i] += w->t_ptr[i - 1];
    for (size_t u = 0; u < w->n; u++) {
        for (size_t e = w->ptr[u]; e < w->ptr[u + 1]; e++) {
            const size_t to = w->t_ptr[w->idx[e] + 1]++;

            w->t_idx[to] = (uint32_t)u;
            w->t_val[to] = w->val[e];
        }
    }
}

/* grad = weight x gram, [n][dim]. */
static enum err spread(const struct wmf *w, float *grad, const float *x,
                       size_t n)
{
    const size_t dim = (size_t)w->o->dim;

    return la_gemm(&(struct krn_gemm){.m = n,
                                      .n = dim,
                                      .k = dim,
                                      .a = x,
                                      .lda = dim,
                                      .b = w->gram,
                                      .ldb = dim,
                                      .c = grad,
                                      .ldc = dim});
}

static enum err grams(struct wmf *w, const float *x, size_t n)
{
    const size_t dim = (size_t)w->o->dim;

    ERR_TRY(la_gram(w->gram, x, n, dim));
    cpu_ops()->scale_f32(w->gram, (float)w->o->weight, dim * dim);
    return ERR_OK;
}

/* Half of the gradients, of the people's thinned vectors and of all items. */
static enum err gradients(struct wmf *w)
{
    const size_t dim = (size_t)w->o->dim, n_items = w->d->n_items;
    const float rest = 1 - (float)w->o->weight;

    ERR_TRY(grams(w, w->q, n_items));
    ERR_TRY(spread(w, w->b_grad, w->b, w->n));
    ERR_TRY(grams(w, w->b, w->n));
    ERR_TRY(spread(w, w->q_grad, w->q, n_items));
    la_sddmm(&(struct krn_sddmm){.last = w->n,
                                 .d = dim,
                                 .ptr = w->ptr,
                                 .idx = w->idx,
                                 .a = w->b,
                                 .lda = dim,
                                 .b = w->q,
                                 .ldb = dim,
                                 .out = w->val});
    for (size_t e = 0; e < w->ptr[w->n]; e++)
        w->val[e] = rest * w->val[e] - 1;
    turn_rows(w);
    la_spmm(&(struct krn_spmm){.add = true,
                               .last = w->n,
                               .d = dim,
                               .ptr = w->ptr,
                               .idx = w->idx,
                               .val = w->val,
                               .x = w->q,
                               .ldx = dim,
                               .y = w->b_grad,
                               .ldy = dim});
    la_spmm(&(struct krn_spmm){.add = true,
                               .last = n_items,
                               .d = dim,
                               .ptr = w->t_ptr,
                               .idx = w->t_idx,
                               .val = w->t_val,
                               .x = w->b,
                               .ldx = dim,
                               .y = w->q_grad,
                               .ldy = dim});
    return ERR_OK;
}

/* Adagrad on one vector; grad is half the gradient. */
static void step_row(const struct wmf *w, float *p, float *sum, float *grad)
{
    const size_t dim = (size_t)w->o->dim;
    const float reg = (float)w->o->reg;

    for (size_t k = 0; k < dim; k++)
        grad[k] = 2 * (grad[k] + reg * p[k]);
    cpu_ops()->adagrad_f32(p, sum, grad, dim, (float)w->o->lr, ADAGRAD_LEAST);
}

static void step_person(const struct wmf *w, size_t i)
{
    const size_t dim = (size_t)w->o->dim, u = person(w, i);
    const float scale = 1 / (1 - (float)w->o->drop);
    const uint64_t seed = drop_seed(w, u);
    float *grad = w->b_grad + i * dim;

    /* what was dropped did not matter; what is 0 for another reason may come */
    for (size_t k = 0; k < dim; k++)
        grad[k] =
            w->b[i * dim + k] == 0 && drops(w, seed, k) ? 0 : grad[k] * scale;
    rec_dsl_take(&w->mask[0], u, 1, grad);
    step_row(w, w->p + u * dim, w->p_sum + u * dim, grad);
}

static void step_people(void *arg, size_t task, size_t thread)
{
    const struct wmf *w = arg;

    (void)thread;
    for (size_t i = task * CHUNK; i < (task + 1) * CHUNK && i < w->n; i++)
        step_person(w, i);
}

static void step_items(void *arg, size_t task, size_t thread)
{
    const struct wmf *w = arg;
    const size_t dim = (size_t)w->o->dim;

    (void)thread;
    for (size_t i = task * ITEMS; i < (task + 1) * ITEMS && i < w->d->n_items;
         i++) {
        rec_dsl_take(&w->mask[1], i, 1, w->q_grad + i * dim);
        step_row(w, w->q + i * dim, w->q_sum + i * dim, w->q_grad + i * dim);
    }
}

static enum err batch(struct wmf *w)
{
    if (w->cuda != NULL)
        return rec_wmf_cuda_step(w->cuda, w->first, w->n,
                                 rng_derive(w->m->seed, RNG_DROPOUT, w->epoch));
    par_for((w->n + CHUNK - 1) / CHUNK, thin_task, w);
    take_rows(w);
    ERR_TRY(gradients(w));
    par_for((w->n + CHUNK - 1) / CHUNK, step_people, w);
    par_for((w->d->n_items + ITEMS - 1) / ITEMS, step_items, w);
    return rec_dsl_steps(
        w->mask, (const struct rec_dsl_side[2]){{w->p, NULL, w->p_sum},
                                                {w->q, NULL, w->q_sum}});
}

/* --- training ---------------------------------------------------------------
 */

static size_t batch_of(const struct wmf_opts *o, const struct rec_data *d)
{
    return (size_t)o->batch < d->n_users ? (size_t)o->batch : d->n_users;
}

static void start(float *x, const uint64_t *key, size_t n, uint64_t seed,
                  const struct wmf_opts *o)
{
    const size_t dim = (size_t)o->dim;

    for (size_t i = 0; i < n; i++) {
        const uint64_t own = rng_derive(seed, RNG_INIT, key[i]);

        for (size_t k = 0; k < dim; k++)
            x[i * dim + k] = (float)(o->start * rng_normal(own, RNG_INIT, k));
    }
}

/* What an epoch on the CPU works with. */
static void take(struct wmf *w, struct mem_scratch *s)
{
    const size_t dim = (size_t)w->o->dim, n_rows = w->d->n_rows;
    const size_t users = w->d->n_users, items = w->d->n_items;
    const size_t most = batch_of(w->o, w->d);

    w->p_sum = mem_take(s, users, dim, sizeof(float));
    w->q_sum = mem_take(s, items, dim, sizeof(float));
    w->b = mem_take(s, most, dim, sizeof(float));
    w->b_grad = mem_take(s, most, dim, sizeof(float));
    w->q_grad = mem_take(s, items, dim, sizeof(float));
    w->gram = mem_take(s, dim, dim, sizeof(float));
    w->ptr = mem_take(s, most + 1, 1, sizeof(*w->ptr));
    w->idx = mem_take(s, n_rows, 1, sizeof(*w->idx));
    w->val = mem_take(s, n_rows, 1, sizeof(*w->val));
    w->t_ptr = mem_take(s, items + 2, 1, sizeof(*w->t_ptr));
    w->t_idx = mem_take(s, n_rows, 1, sizeof(*w->t_idx));
    w->t_val = mem_take(s, n_rows, 1, sizeof(*w->t_val));
    for (size_t i = 0; i < users * dim && !s->failed; i++)
        w->p_sum[i] = ADAGRAD_FIRST;
    for (size_t i = 0; i < items * dim && !s->failed; i++)
        w->q_sum[i] = ADAGRAD_FIRST;
}

static enum err draw_masks(struct wmf *w, struct mem_scratch *s)
{
    const size_t most = batch_of(w->o, w->d), dim = (size_t)w->o->dim;
    const uint64_t steps =
        (uint64_t)w->o->epochs * ((w->d->n_users + most - 1) / most);

    return rec_dsl_init_both(w->mask, &w->o->dsl,
                             w->o->drop > 0 ? REC_DSL_STAY : REC_DSL_ALIKE,
                             steps, w->d, dim, s);
}

/* look: the model is asked afterwards. */
static enum err epoch(struct wmf *w, bool look)
{
    const size_t most = batch_of(w->o, w->d);

    ERR_TRY(nn_order(w->order, w->d->user_key, w->d->n_users, w->m->seed,
                     w->epoch));
    if (w->cuda != NULL)
        ERR_TRY(rec_wmf_cuda_order(w->cuda, w->order));
    for (w->first = 0; w->first < w->d->n_users; w->first += w->n) {
        w->n =
            w->d->n_users - w->first < most ? w->d->n_users - w->first : most;
        ERR_TRY(batch(w));
        if (log_stopping())
            return err_set(ERR_STOPPED, "training was interrupted");
    }
    if (w->cuda != NULL && (look || w->epoch == (uint64_t)w->o->epochs))
        ERR_TRY(rec_wmf_cuda_get(w->cuda, w->p, w->q));
    return isfinite(w->q[0]) ? ERR_OK
                             : err_set(ERR_NUM, "wmf diverged: lower --lr");
}

static enum err run(struct wmf *w, const struct rec_watch *watch)
{
    const uint64_t epochs = rec_stage_to(w->m, (uint64_t)w->o->epochs);
    const size_t dim = (size_t)w->o->dim;
    bool stop = false;

    w->epoch = rec_stage_from(w->m) + 1;
    for (; w->epoch <= epochs && !stop; w->epoch++) {
        ERR_TRY(epoch(w, watch != NULL));
        w->m->epochs = w->epoch;
        log_tick("training", w->epoch, epochs, NULL);
        if (watch == NULL || w->mask[0].mask != NULL)
            continue; /* a schedule ends where its epochs end */
        ERR_TRY(rec_fold_fit(w->m, w->d, dim));
        ERR_TRY(watch->epoch(watch->arg, w->m, w->epoch, &stop));
    }
    return w->mask[0].mask == NULL ? rec_fold_fit(w->m, w->d, dim)
                                   : rec_fold_pack(w->m, w->d, dim);
}

static enum err run_cuda(struct wmf *w, const struct rec_watch *watch)
{
    const struct rec_wmf_how how = {.dim = (size_t)w->o->dim,
                                    .batch = batch_of(w->o, w->d),
                                    .lr = (float)w->o->lr,
                                    .weight = (float)w->o->weight,
                                    .drop = (float)w->o->drop,
                                    .reg = (float)w->o->reg,
                                    .first = ADAGRAD_FIRST,
                                    .eps = ADAGRAD_LEAST};
    enum err e = rec_wmf_cuda_new(&w->cuda, w->d, &how, w->p, w->q);

    if (e == ERR_OK)
        e = run(w, watch);
    rec_wmf_cuda_free(w->cuda);
    return e;
}

/* The epochs, from where a stage before ended. */
static enum err run_stage(struct wmf *w, const struct rec_watch *watch)
{
    const size_t dim = (size_t)w->o->dim;
    const struct rec_stage_part part[] = {
        {"users", REC_OF_USERS, w->p, dim},
        {"users.sum", REC_OF_USERS, w->p_sum, dim},
        {"items", REC_OF_ITEMS, w->q, dim},
        {"items.sum", REC_OF_ITEMS, w->q_sum, dim},
    };

    ERR_TRY(rec_stage_begin(w->m, w->d, part, 4));
    ERR_TRY(run(w, watch));
    return rec_stage_end(w->m, w->d, part, 4);
}

static enum err fit(struct rec_model *m, const struct rec_data *d,
                    const struct rec_watch *watch)
{
    const struct wmf_opts *o = m->opts;
    const size_t dim = (size_t)o->dim;
    struct mem_scratch s = {0};
    struct wmf w = {.o = o, .d = d, .m = m};
    enum err e = ERR_OK;

    ERR_TRY(rec_dsl_check(&o->dsl, m));
    ERR_TRY(rec_fold_alloc(m, d, dim));
    m->epochs = 0;
    w.p = rec_model_array(m, "users");
    w.q = rec_model_array(m, "items");
    w.order = mem_take(&s, d->n_users, 1, sizeof(*w.order));
    if (device_cuda() == NULL)
        take(&w, &s);
    if (s.failed) {
        e = err_set(ERR_NOMEM, "no memory to train wmf");
    } else {
        start(w.p, d->user_key, d->n_users, m->seed, o);
        start(w.q, d->item_key, d->n_items, ~m->seed, o);
        e = draw_masks(&w, &s);
    }
    if (e == ERR_OK)
        e = device_cuda() != NULL ? run_cuda(&w, watch) : run_stage(&w, watch);
    mem_drop(&s);
    return e;
}

extern const struct rec_model_ops rec_model_wmf;
const struct rec_model_ops rec_model_wmf = {
    .name = "wmf",
    .help = "weighted matrix factorisation on whole rows (WMF)",
    .opts = rows,
    .opts_bytes = sizeof(struct wmf_opts),
    .stages = true,
    .iterates = true,
    .fit_bytes = fit_bytes,
    .fit = fit,
    .on_device = true,
    .embed = rec_fold_embed,
    .item_vectors = rec_fold_items,
    .valid = rec_fold_valid,
    .ready = rec_fold_ready,
};
