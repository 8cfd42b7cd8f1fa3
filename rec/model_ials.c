/*
 * rec/model_ials.c - matrix factorisation of who met what, by alternating
 * least squares.  The loss and its solution: rec/als.h.
 *
 * Source: Hu, Koren, Volinsky, Collaborative filtering for implicit feedback
 * datasets, ICDM 2008 (`--reg-exponent 0` is their loss, with their alpha and
 * lambda); Takacs, Pilaszy, Tikk, Applications of the conjugate gradient
 * method for implicit feedback collaborative filtering, RecSys 2011 (cg);
 * Rendle, Krichene, Zhang, Koren, Revisiting the performance of iALS on item
 * recommendation benchmarks, RecSys 2022 (`--reg-exponent 1`).  Differs: the
 * basis of the factors, see rec/als.h; items start uniform, users at 0.
 *
 * An epoch solves the people, then the items.  People whom the model never saw
 * get the exact solution for their history with the items as they are.
 */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/device.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "kernels/elem.h"
#include "rec/als.h"
#include "rec/als_cuda.h"
#include "rec/model.h"
#include "rec/stage.h"
#include "rec/turn.h"

struct ials_opts {
    int64_t dim, epochs, steps;
    double alpha, reg, reg_exponent;
    const char *solver;
    bool weights;
};

#define AT(f) offsetof(struct ials_opts, f)
static const struct opt rows[] = {
    {"dim", 0, OPT_INT, AT(dim), "64", 1, 4096, "N",
     "factors of a person and of an item"},
    {"epochs", 0, OPT_INT, AT(epochs), "15", 1, 1e6, "N",
     "times that all people, then all items are solved"},
    {"alpha", 0, OPT_REAL, AT(alpha), "0", 0, 1e9, "A",
     "what was met counts 1 + A, what was not 1; 0: from the density"},
    {"reg", 0, OPT_REAL, AT(reg), "0", 0, 1e9, "L",
     "weight of the squared factors (L/A is Rendle's lambda); 0: from A"},
    {"reg-exponent", 0, OPT_REAL, AT(reg_exponent), "1", 0, 2, "V",
     "L is multiplied by (rows + others / A)^V; 0: the same for everybody"},
    {"solver", 0, OPT_CHOICE, AT(solver), "cg", 0, 0, "cg|cholesky",
     "a few steps of conjugate gradients from the last epoch, or exact"},
    {"steps", 0, OPT_INT, AT(steps), "3", 1, 1000, "N",
     "solver cg: steps of one solution"},
    {"weights", 0, OPT_BOOL, AT(weights), NULL, 0, 0, NULL,
     "A is multiplied by the value of each row (counts; not stars)"},
    {.name = NULL},
};

static bool exact(const struct ials_opts *o)
{
    return strcmp(o->solver, "cholesky") == 0;
}

static double fit_bytes(const struct rec_data *d, const void *opts)
{
    const struct ials_opts *o = opts;
    const double dim = (double)o->dim, n = (double)(d->n_users + d->n_items);
    const size_t longer = d->n_users > d->n_items ? d->n_users : d->n_items;

    return 4 * n * dim + 24 * n + 12 * (double)d->n_rows +
           4 * dim * dim * (4 + (double)longer / 4096) +
           (double)par_threads() * (4 << 20) +
           rec_als_bytes(longer, longer, (size_t)o->dim, exact(o));
}

struct fit {
    struct rec_model *m;
    const struct rec_data *d;
    const struct ials_opts *o;
    struct rec_columns cols;
    float *users, *items, *gram;
    struct rec_als_cuda *cuda; /* or NULL */
};

/* --- start -------------------------------------------------------------------
 */

/* Item i: uniform numbers of variance .01 / d, named by its key. */
static void start_task(void *arg, size_t i, size_t thread)
{
    const struct fit *f = arg;
    const size_t d = (size_t)f->o->dim;
    const uint64_t seed = rng_derive(f->m->seed, RNG_INIT, f->m->item_key[i]);
    const float wide = 0.2f * sqrtf(3.0f / (float)d);

    (void)thread;
    for (size_t k = 0; k < d; k++)
        f->items[i * d + k] = wide * (rng_f32(seed, RNG_INIT, k) - 0.5f);
}

static enum err start(struct fit *f, const struct rec_stage_part *part)
{
    par_for(f->d->n_items, start_task, f);
    if (device_cuda() != NULL) {
        ERR_TRY(rec_als_cuda_new(
            &f->cuda, f->d, &f->cols, f->o->weights ? f->d->value : NULL,
            (size_t)f->o->dim, exact(f->o), f->users, f->items));
        return rec_als_cuda_turn(f->cuda, false);
    }
    ERR_TRY(rec_stage_begin(f->m, f->d, part, 2));
    return rec_turn_axes(f->items, f->d->n_items, f->users, f->d->n_users,
                         (size_t)f->o->dim, f->gram);
}

/* --- epochs ------------------------------------------------------------------
 */

/* Where the person leaves them open, alpha and reg follow the share of cells
 * that are rows: 4 and .04 for MovieLens-1M, 73 and .23 for Gowalla, near the
 * best of a search on validation rows of both. */
static void choose(const struct ials_opts *o, double density, float *alpha,
                   float *reg)
{
    const float log = krn_log1((float)density);

    *alpha = o->alpha > 0 ? (float)o->alpha : 0.3f * krn_exp1(-0.75f * log);
    *reg = o->reg > 0
               ? (float)o->reg
               : *alpha * 0.01f * krn_exp1(-0.4f * krn_log1(*alpha * 0.25f));
}

static struct rec_als problem(const struct rec_model *m)
{
    const struct ials_opts *o = m->opts;
    const float *chosen = rec_model_array(m, "chosen");

    return (struct rec_als){
        .d = (size_t)o->dim,
        .gram = rec_model_array(m, "gram"),
        .alpha = chosen[0],
        .reg = chosen[1],
        .exponent = (float)o->reg_exponent,
        .steps = exact(o) ? 0 : (size_t)o->steps,
    };
}

static enum err solve_cuda(struct fit *f, bool people)
{
    const struct rec_als a = problem(f->m);

    ERR_TRY(rec_als_cuda_solve(f->cuda, people, &a));
    return rec_als_cuda_turn(f->cuda, people);
}

static enum err solve_users(struct fit *f)
{
    struct rec_als a = problem(f->m);

    if (f->cuda != NULL)
        return solve_cuda(f, true);
    a.n = f->d->n_users;
    a.ptr = f->d->user_ptr;
    a.idx = f->d->item;
    a.value = f->o->weights ? f->d->value : NULL;
    a.n_fixed = f->d->n_items;
    a.fixed = f->items;
    a.out = f->users;
    ERR_TRY(rec_als_solve(&a));
    return rec_turn_axes(f->users, a.n, f->items, a.n_fixed, a.d, f->gram);
}

static enum err solve_items(struct fit *f)
{
    struct rec_als a = problem(f->m);

    if (f->cuda != NULL)
        return solve_cuda(f, false);
    a.n = f->d->n_items;
    a.ptr = f->cols.ptr;
    a.idx = f->cols.user;
    a.value = f->o->weights ? f->d->value : NULL;
    a.value_at = f->cols.row;
    a.n_fixed = f->d->n_users;
    a.fixed = f->users;
    a.out = f->items;
    ERR_TRY(rec_als_solve(&a));
    return rec_turn_axes(f->items, a.n, f->users, a.n_fixed, a.d, f->gram);
}

static enum err stopped(void)
{
    return log_stopping() ? err_set(ERR_STOPPED, "training was interrupted")
                          : ERR_OK;
}

static enum err run(struct fit *f, const struct rec_watch *watch)
{
    const uint64_t epochs = rec_stage_to(f->m, (uint64_t)f->o->epochs);
    const size_t dim = (size_t)f->o->dim;
    const struct rec_stage_part part[] = {
        {"users", REC_OF_USERS, f->users, dim},
        {"items", REC_OF_ITEMS, f->items, dim},
    };
    bool stop = false;

    f->m->epochs = 0;
    ERR_TRY(start(f, part));
    for (uint64_t epoch = rec_stage_from(f->m) + 1; epoch <= epochs && !stop;
         epoch++) {
        ERR_TRY(stopped());
        ERR_TRY(solve_users(f));
        ERR_TRY(stopped());
        ERR_TRY(solve_items(f));
        f->m->epochs = epoch;
        log_tick("training ials", epoch, epochs, NULL);
        if (f->cuda != NULL && (watch != NULL || epoch == epochs))
            ERR_TRY(rec_als_cuda_get(f->cuda, f->users, f->items, f->gram));
        if (watch != NULL)
            ERR_TRY(watch->epoch(watch->arg, f->m, epoch, &stop));
    }
    return rec_stage_end(f->m, f->d, part, 2);
}

static enum err check_values(const struct rec_data *d,
                             const struct ials_opts *o)
{
    for (size_t r = 0; o->weights && d->value != NULL && r < d->n_rows; r++) {
        if (!(d->value[r] > 0 && d->value[r] < INFINITY))
            return err_set(ERR_ARG,
                           "--weights needs values above 0, and there is a row "
                           "of value %g: leave such rows out (import "
                           "--min-rating) or train without --weights",
                           (double)d->value[r]);
    }
    return ERR_OK;
}

static enum err fit(struct rec_model *m, const struct rec_data *d,
                    const struct rec_watch *watch)
{
    struct fit f = {.m = m, .d = d, .o = m->opts};
    const size_t dim = (size_t)f.o->dim;
    const struct rec_array_spec spec[] = {{"users", STO_F32, d->n_users, dim},
                                          {"items", STO_F32, d->n_items, dim},
                                          {"gram", STO_F32, dim, 1},
                                          {"chosen", STO_F32, 2, 1}};
    enum err e;

    ERR_TRY(check_values(d, f.o));
    ERR_TRY(rec_model_alloc(m, d, spec, 4));
    f.users = rec_model_array(m, "users");
    f.items = rec_model_array(m, "items");
    f.gram = rec_model_array(m, "gram");
    float *chosen = rec_model_array(m, "chosen");

    choose(f.o, (double)d->n_rows / ((double)d->n_users * (double)d->n_items),
           &chosen[0], &chosen[1]);
    ERR_TRY(rec_columns_build(&f.cols, d));
    e = run(&f, watch);
    rec_als_cuda_free(f.cuda);
    rec_columns_free(&f.cols);
    return e;
}

/* --- scoring ----------------------------------------------------------------
 */

/* The people of q whom m does not know: their rows in q. */
static size_t strangers(const struct rec_query *q, uint32_t *row)
{
    size_t n = 0;

    for (size_t i = 0; i < q->n; i++) {
        if (q->user[i] == REC_NOBODY)
            row[n++] = (uint32_t)i;
    }
    return n;
}

static enum err fold_in(const struct rec_model *m, const struct rec_query *q,
                        uint32_t *row, size_t n, float *vec)
{
    const struct ials_opts *o = m->opts;
    struct rec_als a = problem(m);

    a.n = n;
    a.row = row;
    a.ptr = q->ptr;
    a.idx = q->item;
    a.value = o->weights ? q->value : NULL;
    a.n_fixed = m->n_items;
    a.fixed = rec_model_array(m, "items");
    a.out = vec;
    a.steps = 0;
    return rec_als_solve(&a);
}

static enum err embed(const struct rec_model *m, const struct rec_query *q,
                      float *vec)
{
    const size_t d = (size_t)((const struct ials_opts *)m->opts)->dim;
    const float *users = rec_model_array(m, "users");
    struct mem_scratch s = {0};
    uint32_t *row = mem_take(&s, q->n, 1, sizeof(*row));
    enum err e = ERR_OK;

    if (s.failed)
        return err_set(ERR_NOMEM, "no memory to look up people");
    for (size_t i = 0; i < q->n; i++) {
        if (q->user[i] != REC_NOBODY)
            memcpy(vec + i * d, users + q->user[i] * d, d * sizeof(*vec));
    }
    const size_t n = strangers(q, row);

    if (n > 0)
        e = fold_in(m, q, row, n, vec);
    mem_drop(&s);
    return e;
}

static const float *item_vectors(const struct rec_model *m, size_t *d)
{
    *d = (size_t)((const struct ials_opts *)m->opts)->dim;
    return rec_model_array(m, "items");
}

static bool valid(const struct rec_model *m)
{
    const size_t d = (size_t)((const struct ials_opts *)m->opts)->dim;

    return rec_model_has(m, "users", STO_F32, m->n_users, d) &&
           rec_model_has(m, "items", STO_F32, m->n_items, d) &&
           rec_model_has(m, "gram", STO_F32, d, 1) &&
           rec_model_has(m, "chosen", STO_F32, 2, 1);
}

extern const struct rec_model_ops rec_model_ials;
const struct rec_model_ops rec_model_ials = {
    .name = "ials",
    .help = "implicit ALS: weighted matrix factorisation in exact steps",
    .opts = rows,
    .opts_bytes = sizeof(struct ials_opts),
    .stages = true,
    .iterates = true,
    .fit_bytes = fit_bytes,
    .fit = fit,
    .on_device = true,
    .embed = embed,
    .item_vectors = item_vectors,
    .valid = valid,
};
