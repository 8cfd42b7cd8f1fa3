/*
 * rec/model_lfm.c - the latent factor model: inner products near one for what
 * was met and near zero for what was not, by steps of one row.
 *
 * Source: the model that the DL-MIA paper attacks (spec of its programs): SGD
 * on squares, as many negatives as rows drawn for each person, in each epoch
 * anew.  Differs: first values are uniform below 1 / sqrt(dim), so that first
 * products are of the size of the targets; the rate falls by a factor.
 * Steps follow each other: one thread.
 */
#include <math.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "nn/order.h"
#include "rec/dsl.h"
#include "rec/fold.h"
#include "rec/model.h"
#include "rec/stage.h"

struct lfm_opts {
    int64_t dim, epochs;
    double lr, fall, reg;
    struct rec_dsl_opts dsl;
};

#define AT(f) offsetof(struct lfm_opts, f)
static const struct opt rows[] = {
    {"dim", 0, OPT_INT, AT(dim), "100", 1, 4096, "N",
     "numbers in the vector of a person or item"},
    {"epochs", 0, OPT_INT, AT(epochs), "20", 1, 1e6, "N",
     "passes over the rows"},
    {"lr", 0, OPT_REAL, AT(lr), "0.05", 1e-9, 1, "LR", "size of a step"},
    {"fall", 0, OPT_REAL, AT(fall), "0.95", .1, 1, "F",
     "factor of --lr after each pass"},
    {"reg", 0, OPT_REAL, AT(reg), "0.01", 0, 1e3, "L",
     "weight decay of a step"},
    REC_DSL_OPTS(struct lfm_opts),
    {.name = NULL},
};

struct lfm {
    const struct rec_data *d;
    const struct lfm_opts *o;
    float *p, *q;
    struct rec_dsl mask[2]; /* of p, of q; a person's rows are a step */
    float *slope;           /* [dim] of the row at hand, upwards */
    uint32_t *order;
    uint8_t *met; /* [n_items] by the person at hand */
    uint64_t seed;
    float lr;
};

static double fit_bytes(const struct rec_data *d, const void *opts)
{
    const struct lfm_opts *o = opts;

    const double n = (double)(d->n_users + d->n_items);

    return 12 * (double)o->dim * n + rec_dsl_bytes(&o->dsl, n, (double)o->dim);
}

/* First values, named by keys. */
static void start(float *x, const uint64_t *key, size_t n, size_t dim,
                  uint64_t seed)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t stream = rng_derive(seed, RNG_INIT, key[i]);

        for (size_t k = 0; k < dim; k++)
            x[i * dim + k] = rng_f32(stream, RNG_INIT, k) / sqrtf((float)dim);
    }
}

/* Row r of x, which is one of f->p or f->q, towards `with`. */
static void step_row(const struct lfm *f, const struct rec_dsl *mask, float *x,
                     size_t r, const float *with, float gap)
{
    const size_t dim = (size_t)f->o->dim;
    const float reg = (float)f->o->reg;
    float *own = x + r * dim;

    for (size_t k = 0; k < dim; k++)
        f->slope[k] = gap * with[k] - reg * own[k];
    rec_dsl_take(mask, r, 1, f->slope);
    for (size_t k = 0; k < dim; k++)
        own[k] += f->lr * f->slope[k];
}

/* The person's vector moves first; the item's sees it moved. */
static void step(const struct lfm *f, uint32_t u, uint32_t item, float target)
{
    const size_t dim = (size_t)f->o->dim;
    const float *p = f->p + u * dim, *q = f->q + item * dim;
    const float gap = target - cpu_ops()->dot_f32(p, q, dim);

    step_row(f, &f->mask[0], f->p, u, q, gap);
    step_row(f, &f->mask[1], f->q, item, p, gap);
}

static void teach_person(const struct lfm *f, uint32_t u, uint64_t epoch)
{
    const struct rec_data *d = f->d;
    const uint64_t stream = rng_derive(rng_derive(f->seed, RNG_NEGATIVE, epoch),
                                       RNG_NEGATIVE, d->user_key[u]);
    const size_t from = d->user_ptr[u], end = d->user_ptr[u + 1];

    for (size_t r = from; r < end; r++)
        f->met[d->item[r]] = 1;
    for (size_t r = from; r < end; r++) {
        const uint32_t drawn =
            (uint32_t)rng_below(stream, RNG_NEGATIVE, r - from, d->n_items);

        step(f, u, d->item[r], 1);
        if (!f->met[drawn])
            step(f, u, drawn, 0);
    }
    for (size_t r = from; r < end; r++)
        f->met[d->item[r]] = 0;
}

static enum err teach(struct lfm *f, struct rec_model *m,
                      const struct rec_watch *watch)
{
    const uint64_t from = rec_stage_from(m);
    const uint64_t to = rec_stage_to(m, (uint64_t)f->o->epochs);
    bool stop = false;

    f->lr = (float)f->o->lr;
    for (uint64_t e = 0; e < from; e++)
        f->lr *= (float)f->o->fall;
    for (uint64_t e = from; e < to && !stop; e++) {
        ERR_TRY(nn_order(f->order, f->d->user_key, f->d->n_users, f->seed, e));
        for (size_t u = 0; u < f->d->n_users; u++) {
            teach_person(f, f->order[u], e);
            ERR_TRY(rec_dsl_steps(
                f->mask, (const struct rec_dsl_side[2]){{f->p, NULL, NULL},
                                                        {f->q, NULL, NULL}}));
        }
        f->lr *= (float)f->o->fall;
        m->epochs = e + 1;
        log_tick("training", e + 1, to, NULL);
        if (log_stopping())
            return err_set(ERR_STOPPED, "stopped while training");
        if (watch != NULL) {
            ERR_TRY(rec_fold_fit(m, f->d, (size_t)f->o->dim));
            ERR_TRY(watch->epoch(watch->arg, m, e + 1, &stop));
        }
    }
    return ERR_OK;
}

static enum err fit(struct rec_model *m, const struct rec_data *d,
                    const struct rec_watch *watch)
{
    const struct lfm_opts *o = m->opts;
    const size_t dim = (size_t)o->dim;
    struct mem_scratch s = {0};
    struct lfm f = {.d = d, .o = o, .seed = m->seed};
    const bool whole = o->dsl.sparsity <= 0;

    ERR_TRY(rec_dsl_check(&o->dsl, m));
    ERR_TRY(rec_fold_alloc(m, d, dim));
    f.p = rec_model_array(m, "users");
    f.q = rec_model_array(m, "items");
    f.order = mem_take(&s, d->n_users, 1, sizeof(*f.order));
    f.met = mem_take(&s, d->n_items, 1, 1);
    f.slope = mem_take(&s, dim, 1, sizeof(*f.slope));
    enum err e =
        s.failed ? err_set(ERR_NOMEM, "no memory to train lfm") : ERR_OK;

    if (e == ERR_OK)
        e = rec_dsl_init_both(f.mask, &o->dsl, REC_DSL_ALIKE,
                              (uint64_t)o->epochs * d->n_users, d, dim, &s);
    if (e == ERR_OK) {
        start(f.p, d->user_key, d->n_users, dim, m->seed);
        start(f.q, d->item_key, d->n_items, dim, ~m->seed);
        const struct rec_stage_part part[] = {
            {"users", REC_OF_USERS, f.p, dim},
            {"items", REC_OF_ITEMS, f.q, dim},
        };

        e = rec_stage_begin(m, d, part, 2);
        if (e == ERR_OK)
            e = teach(&f, m, whole ? watch : NULL);
        if (e == ERR_OK)
            e = rec_stage_end(m, d, part, 2);
    }
    mem_drop(&s);
    if (e != ERR_OK)
        return e;
    return whole ? rec_fold_fit(m, d, dim) : rec_fold_pack(m, d, dim);
}

extern const struct rec_model_ops rec_model_lfm;
const struct rec_model_ops rec_model_lfm = {
    .name = "lfm",
    .help = "latent factors by steps on squares, as attacked by DL-MIA",
    .opts = rows,
    .opts_bytes = sizeof(struct lfm_opts),
    .stages = true,
    .iterates = true,
    .fit_bytes = fit_bytes,
    .fit = fit,
    .embed = rec_fold_embed,
    .item_vectors = rec_fold_items,
    .valid = rec_fold_valid,
    .ready = rec_fold_ready,
};
