/*
 * rec/model_ncf.c - neural collaborative filtering (NeuMF).
 *
 * Half of a person's and an item's numbers are multiplied (GMF), the other
 * halves go through layers of 2 dim, dim, dim / 2, dim / 4; one linear layer
 * adds both up.  Binary cross entropy against items that were not met.
 *
 * Source: He et al., Neural collaborative filtering, WWW 2017, section 3.4.
 * Differs: both parts are trained together from the start (no pre-training);
 * batches are of rows in an order by names; people whom the model never saw:
 * rec/fold.h, for both halves at once.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/la.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "nn/nn.h"
#include "rec/dsl.h"
#include "rec/fold.h"
#include "rec/model.h"

#define LAYERS 3

struct ncf_opts {
    int64_t dim, epochs, batch, negatives;
    double lr, reg;
    struct rec_dsl_opts dsl;
};

#define AT(f) offsetof(struct ncf_opts, f)
static const struct opt rows[] = {
    {"dim", 0, OPT_INT, AT(dim), "32", 4, 1024, "N",
     "numbers of each half of the vector of a person or item"},
    {"epochs", 0, OPT_INT, AT(epochs), "10", 1, 1e6, "N",
     "passes over the rows"},
    {"batch", 0, OPT_INT, AT(batch), "1024", 1, 1e6, "N", "rows of a step"},
    {"negatives", 0, OPT_INT, AT(negatives), "4", 1, 1024, "N",
     "items drawn beside each row"},
    {"lr", 0, OPT_REAL, AT(lr), "0.001", 1e-9, 10, "LR",
     "learning rate of Adam"},
    {"reg", 0, OPT_REAL, AT(reg), "0", 0, 1e3, "L",
     "weight decay of the layers"},
    REC_DSL_OPTS(struct ncf_opts),
    {.name = NULL},
};

/* Outputs of layer l. */
static size_t width(const struct ncf_opts *o, size_t l)
{
    return (size_t)o->dim >> l;
}

static const char *const layer_name[LAYERS] = {"m0", "m1", "m2"};
static const char *const weight_name[LAYERS] = {"m0/weight", "m1/weight",
                                                "m2/weight"};
static const char *const bias_name[LAYERS] = {"m0/bias", "m1/bias", "m2/bias"};

/* --- training ---------------------------------------------------------------
 */

struct ncf {
    struct rec_model *m;
    const struct rec_data *d;
    const struct ncf_opts *o;
    struct nn_params *params;
    struct nn_tape *tape;
    struct nn_optim *optim;
    struct nn_tensor *user, *item, *label, *weight;
    size_t samples; /* of a batch */
    uint32_t *who;  /* [n_rows] whose row it is */
    uint64_t *name; /* [n_rows] */
    uint32_t *order;
    uint32_t *user_id, *item_id; /* [samples] */
    float *y, *w;
    struct rec_dsl mask[2]; /* of users, of items */
    size_t table[2];        /* their numbers among the parameters */
};

static double fit_bytes(const struct rec_data *d, const void *opts)
{
    const struct ncf_opts *o = opts;
    const double dim = (double)o->dim;

    return 40 * dim * (double)(d->n_users + d->n_items) +
           64 * dim * (double)o->batch * (double)(1 + o->negatives) +
           16 * (double)d->n_rows +
           rec_dsl_bytes(&o->dsl, (double)(d->n_users + d->n_items), 2 * dim);
}

static enum err open_net(struct ncf *f)
{
    const size_t dim = (size_t)f->o->dim, n = f->samples;
    const struct nn_optim_opt adam = {.kind = NN_ADAM,
                                      .lr = f->o->lr,
                                      .decay = f->o->reg,
                                      .spare_tables = true};
    struct nn_tensor *half[2], *part[2];

    ERR_TRY(nn_params_new(&f->params, NN_F32, f->m->seed));
    ERR_TRY(nn_tape_new(&f->tape, f->params));
    struct nn_tape *t = f->tape;

    f->user = nn_tape_ids(t, "user", 1, &n);
    f->item = nn_tape_ids(t, "item", 1, &n);
    f->label = nn_tape_input(t, "label", 2, (size_t[]){n, 1});
    f->weight = nn_tape_input(t, "weight", 2, (size_t[]){n, 1});
    half[0] = nn_embed(t, f->user, "users", f->d->n_users, 2 * dim, 0.05);
    half[1] = nn_embed(t, f->item, "items", f->d->n_items, 2 * dim, 0.05);
    struct nn_tensor *product =
        nn_map_mul(t, nn_shape_slice(t, half[0], 1, 0, dim),
                   nn_shape_slice(t, half[1], 1, 0, dim));

    for (size_t i = 0; i < 2; i++)
        part[i] = nn_shape_slice(t, half[i], 1, dim, 2 * dim);
    struct nn_tensor *h = nn_shape_concat(t, 2, part, 1);

    for (size_t l = 0; l < LAYERS; l++)
        h = nn_linear(t, h, layer_name[l], width(f->o, l), NN_RELU);
    h = nn_shape_concat(t, 2, (struct nn_tensor *[]){product, h}, 1);
    h = nn_linear_free(t, h, "out", 1);
    ERR_TRY(nn_tape_plan(
        t, nn_reduce_mean(t, nn_loss_bce(t, h, f->label), f->weight)));
    ERR_TRY(nn_params_init_rows(f->params, "users", f->d->user_key));
    ERR_TRY(nn_params_init_rows(f->params, "items", f->d->item_key));
    return nn_optim_new(&f->optim, f->params, &adam);
}

static void put(struct ncf *f, size_t at, uint32_t u, uint32_t item, float y,
                float w)
{
    f->user_id[at] = u;
    f->item_id[at] = item;
    f->y[at] = y;
    f->w[at] = w;
}

/* Row r and what is drawn beside it, by names; a draw that was met counts
 * nothing. */
static void put_row(struct ncf *f, size_t at, size_t r, uint64_t epoch)
{
    const uint64_t stream = rng_derive(
        rng_derive(f->m->seed, RNG_NEGATIVE, epoch), RNG_NEGATIVE, f->name[r]);
    const uint32_t u = f->who[r];

    put(f, at, u, f->d->item[r], 1, 1);
    for (size_t j = 0; j < (size_t)f->o->negatives; j++) {
        const uint32_t drawn =
            (uint32_t)rng_below(stream, RNG_NEGATIVE, j, f->d->n_items);

        put(f, at + 1 + j, u, drawn, 0, !rec_data_has(f->d, u, drawn));
    }
}

/* Values (or gradients) of a table. */
static float *table_of(const struct ncf *f, size_t which, bool grads)
{
    float *block =
        grads ? nn_params_grads(f->params) : nn_params_values(f->params);

    return block + nn_params_view(f->params, f->table[which])->at;
}

/* A step of tables under a budget.  The optimiser's means of what is gone
 * fade by themselves, as it gets no gradient; what they still move is undone.
 */
static enum err step_thin(struct ncf *f)
{
    const size_t dim = 2 * (size_t)f->o->dim;
    const uint32_t *id[2] = {f->user_id, f->item_id};

    nn_tape_step(f->tape, nn_optim_steps(f->optim));
    ERR_TRY(nn_tape_forward(f->tape));
    if (!isfinite(nn_tape_loss(f->tape)))
        return err_set(ERR_NUM, "the loss of ncf is not finite: a lower --lr "
                                "may help");
    ERR_TRY(nn_tape_backward(f->tape));
    for (size_t k = 0; k < 2; k++) {
        const struct nn_param *x = nn_params_view(f->params, f->table[k]);
        float *grads = table_of(f, k, true);

        for (size_t r = 0; r < x->n_touched; r++)
            rec_dsl_take(&f->mask[k], x->touched[r], 1,
                         grads + x->touched[r] * dim);
    }
    ERR_TRY(nn_optim_step(f->optim));
    for (size_t k = 0; k < 2; k++) {
        float *values = table_of(f, k, false);

        for (size_t s = 0; s < f->samples; s++) {
            if (id[k][s] != NN_PAD)
                rec_dsl_keep(&f->mask[k], id[k][s], values + id[k][s] * dim);
        }
        rec_dsl_step(&f->mask[k], &(struct rec_dsl_side){values, NULL, NULL});
    }
    return ERR_OK;
}

static enum err train_batch(struct ncf *f, size_t first, uint64_t epoch)
{
    const size_t each = 1 + (size_t)f->o->negatives;

    for (size_t b = 0; b < (size_t)f->o->batch; b++) {
        if (first + b < f->d->n_rows) {
            put_row(f, b * each, f->order[first + b], epoch);
            continue;
        }
        for (size_t j = 0; j < each; j++)
            put(f, b * each + j, NN_PAD, NN_PAD, 0, 0);
    }
    ERR_TRY(nn_tape_set_ids(f->tape, f->user, f->user_id));
    ERR_TRY(nn_tape_set_ids(f->tape, f->item, f->item_id));
    nn_tape_set(f->tape, f->label, f->y);
    nn_tape_set(f->tape, f->weight, f->w);
    return f->o->dsl.sparsity > 0 ? step_thin(f)
                                  : nn_optim_train(f->optim, f->tape, NULL);
}

static enum err keep(struct ncf *f)
{
    for (size_t i = 0; i < nn_params_count(f->params); i++) {
        const struct nn_param *v = nn_params_view(f->params, i);

        memcpy(rec_model_array(f->m, v->name),
               (const float *)nn_params_values(f->params) + v->at,
               v->n * sizeof(float));
    }
    return rec_fold_fit(f->m, f->d, 2 * (size_t)f->o->dim);
}

static enum err teach(struct ncf *f, const struct rec_watch *watch)
{
    const uint64_t epochs = (uint64_t)f->o->epochs;
    bool stop = false;

    for (uint64_t e = 0; e < epochs && !stop; e++) {
        ERR_TRY(nn_order(f->order, f->name, f->d->n_rows, f->m->seed, e));
        for (size_t r = 0; r < f->d->n_rows; r += (size_t)f->o->batch) {
            ERR_TRY(train_batch(f, r, e));
            log_tick("training", e * f->d->n_rows + r, epochs * f->d->n_rows,
                     NULL);
            if (log_stopping())
                return err_set(ERR_STOPPED, "stopped while training");
        }
        f->m->epochs = e + 1;
        if (watch != NULL) {
            ERR_TRY(keep(f));
            ERR_TRY(watch->epoch(watch->arg, f->m, e + 1, &stop));
        }
    }
    ERR_TRY(keep(f));
    return f->o->dsl.sparsity > 0
               ? rec_fold_pack(f->m, f->d, 2 * (size_t)f->o->dim)
               : ERR_OK;
}

static void name_rows(struct ncf *f)
{
    for (size_t u = 0; u < f->d->n_users; u++) {
        for (size_t r = f->d->user_ptr[u]; r < f->d->user_ptr[u + 1]; r++) {
            f->who[r] = (uint32_t)u;
            f->name[r] = rng_derive(f->d->user_key[u], RNG_SHUFFLE,
                                    f->d->item_key[f->d->item[r]]);
        }
    }
}

static enum err alloc(struct ncf *f)
{
    const size_t dim = (size_t)f->o->dim;
    struct rec_array_spec spec[4 + 2 * LAYERS] = {
        {"users", STO_F32, f->d->n_users, 2 * dim},
        {"items", STO_F32, f->d->n_items, 2 * dim},
        {"fold", STO_F32, f->d->n_items, 2 * dim},
        {"out/weight", STO_F32, dim + width(f->o, LAYERS - 1), 1},
    };

    for (size_t l = 0; l < LAYERS; l++) {
        const size_t in = l == 0 ? 2 * dim : width(f->o, l - 1);

        spec[4 + 2 * l] = (struct rec_array_spec){weight_name[l], STO_F32, in,
                                                  width(f->o, l)};
        spec[5 + 2 * l] =
            (struct rec_array_spec){bias_name[l], STO_F32, 1, width(f->o, l)};
    }
    return rec_model_alloc(f->m, f->d, spec, 4 + 2 * LAYERS);
}

static enum err open_masks(struct ncf *f, struct mem_scratch *s)
{
    const uint64_t batches =
        (f->d->n_rows + (uint64_t)f->o->batch - 1) / (uint64_t)f->o->batch;
    const size_t n[2] = {f->d->n_users, f->d->n_items};

    for (size_t k = 0; k < 2; k++) {
        ERR_TRY(rec_dsl_init(&f->mask[k], &f->o->dsl,
                             batches * (uint64_t)f->o->epochs, n[k],
                             2 * (size_t)f->o->dim, s));
        for (size_t i = 0; i < nn_params_count(f->params); i++) {
            if (strcmp(nn_params_view(f->params, i)->name,
                       k == 0 ? "users" : "items") == 0)
                f->table[k] = i;
        }
    }
    return ERR_OK;
}

static enum err fit(struct rec_model *m, const struct rec_data *d,
                    const struct rec_watch *watch)
{
    struct ncf f = {.m = m, .d = d, .o = m->opts};
    struct mem_scratch s = {0};

    ERR_TRY(rec_dsl_check(&f.o->dsl, m));
    if (d->n_rows >= UINT32_MAX)
        return err_set(ERR_ARG, "ncf learns from at most 4,294,967,294 rows: "
                                "shard the data");
    f.samples = (size_t)f.o->batch * (size_t)(1 + f.o->negatives);
    f.who = mem_take(&s, d->n_rows, 1, sizeof(*f.who));
    f.name = mem_take(&s, d->n_rows, 1, sizeof(*f.name));
    f.order = mem_take(&s, d->n_rows, 1, sizeof(*f.order));
    f.user_id = mem_take(&s, f.samples, 1, sizeof(*f.user_id));
    f.item_id = mem_take(&s, f.samples, 1, sizeof(*f.item_id));
    f.y = mem_take(&s, f.samples, 1, sizeof(*f.y));
    f.w = mem_take(&s, f.samples, 1, sizeof(*f.w));
    enum err e =
        s.failed ? err_set(ERR_NOMEM, "no memory to train ncf") : ERR_OK;

    if (e == ERR_OK)
        e = alloc(&f);
    if (e == ERR_OK)
        e = open_net(&f);
    if (e == ERR_OK)
        e = open_masks(&f, &s);
    if (e == ERR_OK) {
        name_rows(&f);
        /* a schedule of masks ends where its epochs end */
        e = teach(&f, f.o->dsl.sparsity > 0 ? NULL : watch);
    }
    nn_optim_free(f.optim);
    nn_tape_free(f.tape);
    nn_params_free(f.params);
    mem_drop(&s);
    return e;
}

/* --- scores
 * -------------------------------------------------------------------
 */

struct scoring {
    const struct rec_model *m;
    const struct ncf_opts *o;
    const float *vec;   /* [people][2 dim] */
    const float *items; /* [n_items][2 dim] */
    const float *item;  /* [n_items][dim] the items' share of the first layer */
    float *room[2];     /* [threads][n_items][dim] */
    float *out;         /* [people][n_items] */
    enum err *result;   /* [people] */
};

static void bias_relu(float *x, const float *bias, size_t n_rows, size_t n)
{
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t k = 0; k < n; k++) {
            const float y = x[r * n + k] + bias[k];

            x[r * n + k] = y > 0 ? y : 0;
        }
    }
}

/* The first layer: what the items add is there, the person's is added. */
static void first_layer(const struct scoring *s, const float *mlp, float *h)
{
    const size_t dim = (size_t)s->o->dim, n = s->m->n_items;
    const float *weight = rec_model_array(s->m, weight_name[0]);
    const float *bias = rec_model_array(s->m, bias_name[0]);
    float own[1024];

    memcpy(own, bias, dim * sizeof(*own));
    for (size_t k = 0; k < dim; k++)
        cpu_ops()->axpy_f32(own, mlp[k], weight + k * dim, dim);
    for (size_t i = 0; i < n; i++)
        memcpy(h + i * dim, s->item + i * dim, dim * sizeof(*h));
    bias_relu(h, own, n, dim);
}

static enum err layers(const struct scoring *s, float *h, float *next,
                       const float **last)
{
    for (size_t l = 1; l < LAYERS; l++) {
        const size_t in = width(s->o, l - 1), out = width(s->o, l);
        float *was = h;

        ERR_TRY(la_gemm(
            &(struct krn_gemm){.m = s->m->n_items,
                               .n = out,
                               .k = in,
                               .a = h,
                               .lda = in,
                               .b = rec_model_array(s->m, weight_name[l]),
                               .ldb = out,
                               .c = next,
                               .ldc = out}));
        bias_relu(next, rec_model_array(s->m, bias_name[l]), s->m->n_items,
                  out);
        h = next;
        next = was;
    }
    *last = h;
    return ERR_OK;
}

static void score_task(void *arg, size_t u, size_t thread)
{
    const struct scoring *s = arg;
    const size_t dim = (size_t)s->o->dim, n = s->m->n_items;
    const size_t deep = width(s->o, LAYERS - 1);
    const float *items = s->items, *h = NULL;
    const float *weight = rec_model_array(s->m, "out/weight");
    const float *vec = s->vec + u * 2 * dim;
    float gmf[1024], *room = s->room[0] + thread * n * dim;

    first_layer(s, vec + dim, room);
    s->result[u] = layers(s, room, s->room[1] + thread * n * dim, &h);
    if (s->result[u] != ERR_OK)
        return;
    for (size_t k = 0; k < dim; k++)
        gmf[k] = vec[k] * weight[k];
    for (size_t i = 0; i < n; i++)
        s->out[u * n + i] =
            cpu_ops()->dot_f32(gmf, items + i * 2 * dim, dim) +
            cpu_ops()->dot_f32(weight + dim, h + i * deep, deep);
}

static enum err score(const struct rec_model *m, const struct rec_query *q,
                      float *scores)
{
    const struct ncf_opts *o = m->opts;
    const size_t dim = (size_t)o->dim;
    const float *items = rec_fold_items(m, &(size_t){0});
    const float *weight = rec_model_array(m, weight_name[0]);
    struct mem_scratch room = {0};
    float *vec = mem_take(&room, q->n, 2 * dim, sizeof(*vec));
    float *item = mem_take(&room, m->n_items, dim, sizeof(*item));
    struct scoring s = {
        .m = m, .o = o, .vec = vec, .items = items, .item = item};

    for (size_t i = 0; i < 2; i++)
        s.room[i] = mem_take(&room, par_threads(), m->n_items * dim,
                             sizeof(*s.room[i]));
    s.result = mem_take(&room, q->n, 1, sizeof(*s.result));
    s.out = scores;
    enum err e =
        room.failed ? err_set(ERR_NOMEM, "no memory to ask ncf") : ERR_OK;

    if (e == ERR_OK)
        e = rec_fold_embed(m, q, vec);
    if (e == ERR_OK) /* items' second halves with the rows that meet them */
        e = la_gemm(&(struct krn_gemm){.m = m->n_items,
                                       .n = dim,
                                       .k = dim,
                                       .a = items + dim,
                                       .lda = 2 * dim,
                                       .b = weight + dim * dim,
                                       .ldb = dim,
                                       .c = item,
                                       .ldc = dim});
    if (e == ERR_OK)
        par_for(q->n, score_task, &s);
    for (size_t u = 0; u < q->n && e == ERR_OK; u++)
        e = s.result[u];
    mem_drop(&room);
    return e;
}

static bool valid(const struct rec_model *m)
{
    const struct ncf_opts *o = m->opts;
    const size_t dim = (size_t)o->dim;
    const size_t map = rec_model_cols(m, "map"); /* of tables with holes */
    bool fits =
        rec_fold_valid(m) &&
        (map > 0 ? map : rec_model_cols(m, "items")) == 2 * dim &&
        rec_model_has(m, "out/weight", STO_F32, dim + width(o, LAYERS - 1), 1);

    for (size_t l = 0; l < LAYERS; l++)
        fits = fits &&
               rec_model_has(m, weight_name[l], STO_F32,
                             l == 0 ? 2 * dim : width(o, l - 1), width(o, l)) &&
               rec_model_has(m, bias_name[l], STO_F32, 1, width(o, l));
    return fits;
}

extern const struct rec_model_ops rec_model_ncf;
const struct rec_model_ops rec_model_ncf = {
    .name = "ncf",
    .help = "neural collaborative filtering (NeuMF)",
    .opts = rows,
    .opts_bytes = sizeof(struct ncf_opts),
    .iterates = true,
    .fit_bytes = fit_bytes,
    .fit = fit,
    .score = score,
    .valid = valid,
    .ready = rec_fold_ready,
};
