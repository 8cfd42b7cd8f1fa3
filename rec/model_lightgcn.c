/*
 * rec/model_lightgcn.c - vectors of people and items, smoothed over the graph.
 *
 * With e the trained vectors (people and items), A the normalised adjacency
 * matrix and L layers, final vectors are f = (e + A e + ... + A^L e) / (L + 1)
 * and scores their inner products.  The loss is rec/contrast.h's on f, plus
 * reg / 2 times the mean over the rows (u, i) of |e_u|^2 + |e_i|^2.
 *
 * Source: He et al., LightGCN: simplifying and powering graph convolution
 * network for recommendation, SIGIR 2020, eq. 3, 4, 6, 15.  Differs: by
 * default large batches (the graph is walked 2 L times a batch, whatever its
 * size) with shared negatives and a softmax over them, instead of one negative
 * a row and bpr; cosine decay of the learning rate; the penalty is that of
 * all rows, not of the batch's.
 *
 * People whom the model never saw, with history H: their e is 0, so f is
 * |H|^-1/2 sum over i in H of fold_i, fold = d^-1/2 (e + ... + A^(L-1) e) /
 * (L + 1).  For a person of the data the same sum, plus e_u / (L + 1), is f_u.
 *
 * With --sparsity e has holes (rec/dsl.h), and f and fold have none: stored are
 * e and the rows, and the graph is walked again when the model is opened.
 */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/device.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "kernels/sort.h"
#include "nn/optim.h"
#include "rec/contrast.h"
#include "rec/dsl.h"
#include "rec/graph.h"
#include "rec/graph_cuda.h"
#include "rec/model.h"
#include "rec/smooth.h"
#include "rec/stage.h"

struct lightgcn_opts {
    int64_t dim, layers, epochs, batch, negatives;
    double lr, reg, temperature, init;
    const char *loss;
    struct rec_dsl_opts dsl;
};

#define AT(f) offsetof(struct lightgcn_opts, f)
static const struct opt rows[] = {
    {"dim", 0, OPT_INT, AT(dim), "64", 1, 4096, "N", "length of the vectors"},
    {"layers", 0, OPT_INT, AT(layers), "3", 1, 16, "L",
     "steps over the graph that a vector gathers from"},
    {"epochs", 0, OPT_INT, AT(epochs), "20", 1, 1e6, "N",
     "passes over the rows; the learning rate falls to 0 over them"},
    {"lr", 0, OPT_REAL, AT(lr), "0.02", 1e-9, 10, "X",
     "learning rate of Adam at the start"},
    {"reg", 0, OPT_REAL, AT(reg), "0.02", 0, 1e6, "L", "weight of the penalty"},
    {"batch", 0, OPT_INT, AT(batch), "0", 0, 1e8, "N",
     "rows of a step; 0 = a hundredth of all, from 128 to 8192"},
    {"negatives", 0, OPT_INT, AT(negatives), "256", 1, 1e6, "N",
     "random items that the rows of a piece of 128 are set against"},
    {"loss", 0, OPT_CHOICE, AT(loss), "softmax", 0, 0, "softmax|bpr",
     "what is minimised"},
    {"temperature", 0, OPT_REAL, AT(temperature), "1", 1e-3, 1e3, "T",
     "loss softmax: scores are divided by it"},
    {"init", 0, OPT_REAL, AT(init), "0.1", 1e-6, 100, "S",
     "standard deviation of the vectors at the start"},
    REC_DSL_OPTS(struct lightgcn_opts),
    {.name = NULL},
};

#define CHUNK 4096 /* nodes or rows of an elementwise task */

struct run {
    struct rec_model *m;
    const struct rec_data *d;
    const struct lightgcn_opts *o;
    struct rec_graph graph;
    struct rec_contrast loss;
    size_t n, dim, batch;    /* nodes; length of a vector; rows of a step */
    float *e;                /* [n][dim] what is trained */
    float *m1, *m2;          /* moments */
    struct rec_dsl mask[2];  /* of people, of items */
    float *f, *g, *tmp;      /* [n][dim] final vectors, gradients */
    uint32_t *row, *row_tmp; /* [n_rows] the epoch's order */
    uint64_t *draw, *draw_tmp;
    uint64_t step, seed;   /* of Adam, from 1; of the epoch */
    double power1, power2; /* beta1^step, beta2^step */
    struct krn_adam adam;
    struct rec_graph_cuda *cuda; /* or NULL */
};

static size_t batch_of(const struct lightgcn_opts *o, const struct rec_data *d)
{
    size_t b = (size_t)o->batch;

    if (b == 0)
        b = d->n_rows / 100 < 128    ? 128
            : d->n_rows / 100 > 8192 ? 8192
                                     : d->n_rows / 100;
    return b < d->n_rows ? b : d->n_rows;
}

static struct rec_contrast_opts loss_of(const struct lightgcn_opts *o,
                                        const struct rec_data *d)
{
    return (struct rec_contrast_opts){
        .dim = (size_t)o->dim,
        .batch = batch_of(o, d),
        .negatives = (size_t)o->negatives,
        .bpr = strcmp(o->loss, "bpr") == 0,
        .temperature = (float)o->temperature,
    };
}

static double fit_bytes(const struct rec_data *d, const void *opts)
{
    const struct lightgcn_opts *o = opts;
    const struct rec_contrast_opts loss = loss_of(o, d);
    const double n = (double)(d->n_users + d->n_items);

    return rec_dsl_bytes(&o->dsl, n, (double)o->dim) +
           rec_contrast_bytes(d, &loss) + 4 * 8 * n * (double)o->dim + 24 * n +
           (16 + 16 + 24) * (double)d->n_rows;
}

/* --- start ------------------------------------------------------------------
 */

/* Vectors are named by the side and the key. */
static void start_task(void *arg, size_t task, size_t thread)
{
    const struct run *r = arg;
    const size_t last = (task + 1) * CHUNK < r->n ? (task + 1) * CHUNK : r->n;

    (void)thread;
    for (size_t a = task * CHUNK; a < last; a++) {
        const bool person = a < r->d->n_users;
        const uint64_t key =
            person ? r->d->user_key[a] : r->d->item_key[a - r->d->n_users];
        const uint64_t seed =
            rng_derive(rng_derive(r->m->seed, RNG_INIT, person), RNG_INIT, key);

        for (size_t j = 0; j < r->dim; j++)
            r->e[a * r->dim + j] =
                (float)(r->o->init * rng_normal(seed, RNG_INIT, j));
    }
}

static size_t chunks(size_t n)
{
    return (n + CHUNK - 1) / CHUNK;
}

static enum err take(struct run *r, struct mem_scratch *s)
{
    const size_t rows_n = device_cuda() == NULL ? r->d->n_rows : 0;
    float **const block[] = {&r->e, &r->f, &r->g, &r->tmp, &r->m1, &r->m2};

    /* on a GPU the moments stay there */
    for (size_t b = 0; b < (device_cuda() == NULL ? 6 : 4); b++)
        *block[b] = mem_take(s, r->n, r->dim, sizeof(float));
    r->row = mem_take(s, rows_n, 1, sizeof(*r->row));
    r->row_tmp = mem_take(s, rows_n, 1, sizeof(*r->row_tmp));
    r->draw = mem_take(s, rows_n, 1, sizeof(*r->draw));
    r->draw_tmp = mem_take(s, rows_n, 1, sizeof(*r->draw_tmp));
    if (s->failed)
        return err_set(ERR_NOMEM, "no memory for lightgcn: lower --dim");
    return ERR_OK;
}

/* --- one epoch --------------------------------------------------------------
 */

static void draw_task(void *arg, size_t task, size_t thread)
{
    const struct run *r = arg;
    const struct rec_data *d = r->d;
    const size_t last =
        (task + 1) * CHUNK < d->n_rows ? (task + 1) * CHUNK : d->n_rows;

    (void)thread;
    for (size_t k = task * CHUNK; k < last; k++) {
        const struct krn_u32x4 x =
            rng_pair(r->seed, RNG_SHUFFLE, d->user_key[r->loss.row_user[k]],
                     d->item_key[d->item[k]]);

        r->row[k] = (uint32_t)k;
        r->draw[k] = (uint64_t)x.v[1] << 32 | x.v[0];
    }
}

/* An order of the rows in which each stands by its own draw. */
static enum err shuffle(struct run *r, uint64_t epoch)
{
    r->seed = rng_derive(r->m->seed, RNG_SHUFFLE, epoch);
    if (r->cuda != NULL)
        return rec_graph_cuda_order(r->cuda, r->seed);
    par_for(chunks(r->d->n_rows), draw_task, r);
    krn_sort_u64(r->draw, r->row, r->draw_tmp, r->row_tmp, r->d->n_rows);
    return ERR_OK;
}

static void move_task(void *arg, size_t task, size_t thread)
{
    const struct run *r = arg;
    const size_t first = task * CHUNK, dim = r->dim;
    const size_t n = r->n - first < CHUNK ? r->n - first : CHUNK;
    float *g = r->f + first * dim; /* the gradient by e */

    (void)thread;
    for (size_t a = 0; a < n && r->o->reg > 0; a++) {
        const size_t *ptr = r->graph.ptr + first + a;
        const double share = (double)(ptr[1] - ptr[0]) / (double)r->d->n_rows;

        cpu_ops()->axpy_f32(g + a * dim, (float)(r->o->reg * share),
                            r->e + (first + a) * dim, dim);
    }
    rec_dsl_take_both(r->mask, first, n, g);
    cpu_ops()->adam_f32(r->e + first * dim, r->m1 + first * dim,
                        r->m2 + first * dim, g, n * dim, &r->adam);
}

/* Adam with its two corrections in the learning rate and in eps. */
static void set_rate(struct run *r, uint64_t steps)
{
    const struct nn_optim_opt rate = {
        .lr = r->o->lr, .rate = NN_RATE_COSINE, .period = steps};

    r->power1 *= (double).9f;
    r->power2 *= (double).999f;
    const double fix = sqrt(1 - r->power2);

    r->adam = (struct krn_adam){
        .lr = (float)(nn_optim_lr(&rate, r->step) * fix / (1 - r->power1)),
        .beta1 = .9f,
        .beta2 = .999f,
        .eps = (float)(1e-8 * fix)};
    r->step++;
}

static enum err train_batch(struct run *r, size_t first, size_t n, double *loss)
{
    const size_t layers = (size_t)r->o->layers;
    const float mean = 1 / (float)(layers + 1);

    if (r->cuda != NULL)
        return rec_graph_cuda_step(r->cuda, first, n,
                                   rng_derive(r->seed, RNG_NEGATIVE, first),
                                   &r->adam, loss);
    krn_sort_u32(r->row + first, NULL, r->row_tmp, NULL, n);
    rec_graph_sum(&r->graph, layers, mean, r->dim, r->e, r->f, r->tmp);
    *loss =
        rec_contrast_step(&r->loss, r->row + first, n,
                          rng_derive(r->seed, RNG_NEGATIVE, first), r->f, r->g);
    rec_graph_sum(&r->graph, layers, mean, r->dim, r->g, r->f, r->tmp);
    par_for(chunks(r->n), move_task, r);
    return rec_dsl_step_both(r->mask, r->e, r->m1, r->m2);
}

/* Of so many epochs. */
static uint64_t steps_of(const struct run *r, uint64_t epochs)
{
    return (r->d->n_rows + r->batch - 1) / r->batch * epochs;
}

static enum err train_epoch(struct run *r, uint64_t epoch)
{
    const size_t n = r->d->n_rows;
    const uint64_t all =
        steps_of(r, rec_stage_all(r->m, (uint64_t)r->o->epochs));
    char note[32] = "";

    ERR_TRY(shuffle(r, epoch));
    for (size_t first = 0; first < n; first += r->batch) {
        const size_t left = n - first;
        double loss = 0;

        if (log_stopping())
            return err_set(ERR_STOPPED, "training was interrupted");
        set_rate(r, all);
        ERR_TRY(
            train_batch(r, first, left < r->batch ? left : r->batch, &loss));
        (void)snprintf(note, sizeof(note), "loss %.4f", loss);
        log_tick("lightgcn", r->step, all, note);
    }
    return ERR_OK;
}

/* --- what is kept -----------------------------------------------------------
 */

/* The model's arrays from e. */
static enum err keep(struct run *r)
{
    struct rec_smooth f = {.graph = &r->graph,
                           .layers = (size_t)r->o->layers,
                           .dim = r->dim,
                           .n_users = r->d->n_users,
                           .n_items = r->d->n_items,
                           .e = r->e,
                           .f = r->f,
                           .g = r->g,
                           .tmp = r->tmp,
                           .user = rec_model_array(r->m, "user"),
                           .item = rec_model_array(r->m, "item"),
                           .fold = rec_model_array(r->m, "fold")};

    if (r->cuda != NULL)
        ERR_TRY(rec_graph_cuda_get(r->cuda, r->e));
    rec_smooth_finish(&f);
    return ERR_OK;
}

static bool has_holes(const struct rec_model *m)
{
    return ((const struct lightgcn_opts *)m->opts)->dsl.sparsity > 0;
}

static enum err ready(struct rec_model *m)
{
    const struct lightgcn_opts *o = m->opts;

    return has_holes(m) ? rec_smooth_ready(m, (size_t)o->layers, (size_t)o->dim)
                        : ERR_OK;
}

/* --- training ----------------------------------------------------------------
 */

static enum err train(struct run *r, const struct rec_watch *watch)
{
    const uint64_t epochs = rec_stage_to(r->m, (uint64_t)r->o->epochs);
    const uint64_t from = rec_stage_from(r->m);
    bool stop = false;

    r->step = steps_of(r, from);
    for (uint64_t epoch = from + 1; epoch <= epochs && !stop; epoch++) {
        ERR_TRY(train_epoch(r, epoch));
        r->m->epochs = epoch;
        if (watch == NULL)
            continue;
        ERR_TRY(keep(r));
        ERR_TRY(watch->epoch(watch->arg, r->m, epoch, &stop));
    }
    if (has_holes(r->m))
        return rec_smooth_pack(r->m, r->d, r->e, r->dim);
    return watch == NULL ? keep(r) : ERR_OK;
}

static enum err train_cuda(struct run *r, const struct rec_watch *watch)
{
    const struct rec_contrast_opts loss = loss_of(r->o, r->d);
    enum err e =
        rec_graph_cuda_new(&r->cuda, &r->graph, r->d, &loss,
                           (size_t)r->o->layers, (float)r->o->reg, r->e);

    r->power1 = r->power2 = 1;
    if (e == ERR_OK)
        e = train(r, watch);
    rec_graph_cuda_free(r->cuda);
    return e;
}

/* The epochs, from where a stage before ended. */
static enum err train_stage(struct run *r, const struct rec_watch *watch)
{
    const size_t people = r->d->n_users * r->dim;
    float power[4] = {1, 0, 1, 0}; /* a double is two floats, nearly */
    const struct rec_stage_part part[] = {
        {"user", REC_OF_USERS, r->e, r->dim},
        {"user.m1", REC_OF_USERS, r->m1, r->dim},
        {"user.m2", REC_OF_USERS, r->m2, r->dim},
        {"item", REC_OF_ITEMS, r->e + people, r->dim},
        {"item.m1", REC_OF_ITEMS, r->m1 + people, r->dim},
        {"item.m2", REC_OF_ITEMS, r->m2 + people, r->dim},
        {"powers", REC_OF_ALL, power, 4},
    };

    ERR_TRY(rec_stage_begin(r->m, r->d, part, 7));
    r->power1 = (double)power[0] + (double)power[1];
    r->power2 = (double)power[2] + (double)power[3];
    ERR_TRY(train(r, watch));
    power[0] = (float)r->power1;
    power[1] = (float)(r->power1 - (double)power[0]);
    power[2] = (float)r->power2;
    power[3] = (float)(r->power2 - (double)power[2]);
    return rec_stage_end(r->m, r->d, part, 7);
}

static enum err prepare_and_train(struct run *r, const struct rec_watch *watch)
{
    const struct rec_contrast_opts loss = loss_of(r->o, r->d);

    if (has_holes(r->m)) /* a schedule ends where its epochs end */
        watch = NULL;
    ERR_TRY(rec_graph_build(&r->graph, r->d));
    par_for(chunks(r->n), start_task, r);
    if (device_cuda() != NULL)
        return train_cuda(r, watch);
    ERR_TRY(rec_contrast_init(&r->loss, r->d, &loss));
    return train_stage(r, watch);
}

static enum err fit(struct rec_model *m, const struct rec_data *d,
                    const struct rec_watch *watch)
{
    const struct lightgcn_opts *o = m->opts;
    const size_t dim = (size_t)o->dim;
    const struct rec_array_spec spec[] = {
        {"user", STO_F32, d->n_users, dim},
        {"item", STO_F32, d->n_items, dim},
        {"fold", STO_F32, d->n_items, dim},
    };
    struct mem_scratch s = {0};
    struct run r = {.m = m,
                    .d = d,
                    .o = o,
                    .n = d->n_users + d->n_items,
                    .dim = dim,
                    .batch = batch_of(o, d)};
    enum err e;

    if (d->n_rows >= UINT32_MAX)
        return err_set(ERR_ARG, "lightgcn learns from at most 4,294,967,294 "
                                "rows: shard the data");
    ERR_TRY(rec_dsl_check(&o->dsl, m));
    rec_smooth_drop(m);
    ERR_TRY(rec_model_alloc(m, d, spec, 3));
    e = take(&r, &s);
    if (e == ERR_OK)
        e = rec_dsl_init_both(r.mask, &o->dsl, REC_DSL_ITEMS,
                              steps_of(&r, (uint64_t)o->epochs), d, dim, &s);
    if (e == ERR_OK)
        e = prepare_and_train(&r, watch);
    rec_contrast_free(&r.loss);
    rec_graph_free(&r.graph);
    mem_drop(&s);
    return e == ERR_OK ? ready(m) : e;
}

/* --- scoring ----------------------------------------------------------------
 */

static void fold_in(const struct rec_model *m, const struct rec_query *q,
                    size_t p, size_t dim, float *vec)
{
    const size_t n = q->ptr[p + 1] - q->ptr[p];

    cpu_ops()->spmm_f32(&(struct krn_spmm){.last = 1,
                                           .d = dim,
                                           .ptr = q->ptr + p,
                                           .idx = q->item,
                                           .x = rec_smooth_table(m, "fold"),
                                           .ldx = dim,
                                           .y = vec,
                                           .ldy = dim});
    if (n > 0)
        cpu_ops()->scale_f32(vec, 1 / sqrtf((float)n), dim);
}

static enum err embed(const struct rec_model *m, const struct rec_query *q,
                      float *vec)
{
    const size_t dim = (size_t)((const struct lightgcn_opts *)m->opts)->dim;
    const float *user = rec_smooth_table(m, "user");

    for (size_t p = 0; p < q->n; p++) {
        if (q->user[p] == REC_NOBODY)
            fold_in(m, q, p, dim, vec + p * dim);
        else
            memcpy(vec + p * dim, user + q->user[p] * dim, dim * sizeof(*vec));
    }
    return ERR_OK;
}

static const float *item_vectors(const struct rec_model *m, size_t *d)
{
    *d = (size_t)((const struct lightgcn_opts *)m->opts)->dim;
    return rec_smooth_table(m, "item");
}

static bool valid(const struct rec_model *m)
{
    const size_t dim = (size_t)((const struct lightgcn_opts *)m->opts)->dim;

    if (has_holes(m))
        return rec_smooth_valid(m, dim);
    return rec_model_has(m, "user", STO_F32, m->n_users, dim) &&
           rec_model_has(m, "item", STO_F32, m->n_items, dim) &&
           rec_model_has(m, "fold", STO_F32, m->n_items, dim);
}

extern const struct rec_model_ops rec_model_lightgcn;
const struct rec_model_ops rec_model_lightgcn = {
    .name = "lightgcn",
    .help = "LightGCN: vectors smoothed over the graph of who met what",
    .opts = rows,
    .opts_bytes = sizeof(struct lightgcn_opts),
    .stages = true,
    .iterates = true,
    .fit_bytes = fit_bytes,
    .fit = fit,
    .on_device = true,
    .embed = embed,
    .item_vectors = item_vectors,
    .valid = valid,
    .ready = ready,
};
