/*
 * rec/model_bpr.c - matrix factorisation that ranks what was met above what
 * was not.
 *
 * Source: Rendle et al., BPR: Bayesian personalized ranking from implicit
 * feedback, UAI 2009 (`--loss bpr`).  Differs: Adam on large batches that
 * share their negatives, so that scores and gradients are matrix products
 * (rec/pairs.h); by default negatives are weighted towards the hard ones.
 *
 * People whom the model never saw get the sum of a linear image of their items'
 * vectors; the map is the ridge regression of the known people's vectors on
 * the sums of theirs.
 */
#include <math.h>
#include <string.h>

#include "base/la.h"
#include "base/mem.h"
#include "base/par.h"
#include "rec/model.h"
#include "rec/pairs.h"

struct bpr_opts {
    int64_t dim, epochs, batch, negatives;
    double lr, reg, start, temperature;
    const char *loss;
};

#define AT(f) offsetof(struct bpr_opts, f)
static const struct opt rows[] = {
    {"dim", 0, OPT_INT, AT(dim), "64", 1, 4096, "N",
     "numbers in the vector of a person or item"},
    {"epochs", 0, OPT_INT, AT(epochs), "10", 1, 1e6, "N",
     "passes over the rows"},
    {"lr", 0, OPT_REAL, AT(lr), "0.01", 1e-9, 1e3, "LR",
     "learning rate of Adam at the start; it falls to 0 on a cosine"},
    {"reg", 0, OPT_REAL, AT(reg), "0.5", 0, 1e3, "L", "weight decay"},
    {"batch", 0, OPT_INT, AT(batch), "8192", 1, 1e8, "N", "rows of a step"},
    {"negatives", 0, OPT_INT, AT(negatives), "256", 1, 65536, "N",
     "items that the rows of a chunk are compared with"},
    {"loss", 0, OPT_CHOICE, AT(loss), "hard", 0, 0, "hard|bpr|softmax",
     "BPR weighted to the hard negatives, plain BPR, or softmax"},
    {"temperature", 0, OPT_REAL, AT(temperature), "1", 1e-6, 1e6, "T",
     "what scores are divided by in the loss"},
    {"start", 0, OPT_REAL, AT(start), "0.1", 1e-9, 1e3, "S",
     "deviation of the first values"},
    {.name = NULL},
};

static struct rec_pairs plan(const struct bpr_opts *o)
{
    return (struct rec_pairs){
        .dim = (size_t)o->dim,
        .batch = (size_t)o->batch,
        .negatives = (size_t)o->negatives,
        .epochs = (uint64_t)o->epochs,
        .lr = o->lr,
        .reg = o->reg,
        .start = o->start,
        .temperature = o->temperature,
        .loss = rec_pairs_loss_of(o->loss),
    };
}

static double fit_bytes(const struct rec_data *d, const void *opts)
{
    const struct rec_pairs p = plan(opts);

    return rec_pairs_bytes(d, &p) +
           8 * (double)p.dim * (double)(d->n_users + d->n_items);
}

/* --- a linear map for strangers ---------------------------------------------
 */

struct sums {
    const struct rec_data *d;
    const float *items;
    float *out; /* [n_users][dim] */
    size_t dim;
};

static void sum_history(float *v, const float *x, const uint32_t *item,
                        size_t n, size_t dim)
{
    memset(v, 0, dim * sizeof(*v));
    for (size_t r = 0; r < n; r++) {
        for (size_t k = 0; k < dim; k++)
            v[k] += x[item[r] * dim + k];
    }
    for (size_t k = 0; k < dim && n > 0; k++)
        v[k] /= sqrtf((float)n);
}

static void sums_task(void *arg, size_t u, size_t thread)
{
    const struct sums *s = arg;
    const size_t first = s->d->user_ptr[u];

    (void)thread;
    sum_history(s->out + u * s->dim, s->items, s->d->item + first,
                s->d->user_ptr[u + 1] - first, s->dim);
}

/* map[dim][dim] of the ridge regression users ~ sums map. */
static enum err regress(const float *sums, const float *users, size_t n,
                        size_t dim, float *gram, float *both, float *map)
{
    ERR_TRY(la_gram(gram, sums, n, dim));
    float trace = 0;

    for (size_t k = 0; k < dim; k++)
        trace += gram[k * dim + k];
    for (size_t k = 0; k < dim; k++)
        gram[k * dim + k] += 1e-3f * trace / (float)dim + 1e-20f;
    ERR_TRY(la_spd_inverse(gram, dim));
    ERR_TRY(la_gemm(&(struct krn_gemm){.ta = true,
                                       .m = dim,
                                       .n = dim,
                                       .k = n,
                                       .a = sums,
                                       .lda = dim,
                                       .b = users,
                                       .ldb = dim,
                                       .c = both,
                                       .ldc = dim}));
    return la_gemm(&(struct krn_gemm){.m = dim,
                                      .n = dim,
                                      .k = dim,
                                      .a = gram,
                                      .lda = dim,
                                      .b = both,
                                      .ldb = dim,
                                      .c = map,
                                      .ldc = dim});
}

static enum err fill_fold(struct rec_model *m, const struct rec_data *d,
                          size_t dim)
{
    struct mem_scratch s = {0};
    const float *items = rec_model_array(m, "items");
    struct sums sums = {d, items, mem_take(&s, d->n_users, dim, sizeof(float)),
                        dim};
    float *gram = mem_take(&s, dim, dim, sizeof(*gram));
    float *both = mem_take(&s, dim, dim, sizeof(*both));
    float *map = mem_take(&s, dim, dim, sizeof(*map));
    enum err e =
        s.failed ? err_set(ERR_NOMEM, "no memory to fold people in") : ERR_OK;

    if (e == ERR_OK) {
        par_for(d->n_users, sums_task, &sums);
        e = regress(sums.out, rec_model_array(m, "users"), d->n_users, dim,
                    gram, both, map);
    }
    if (e == ERR_OK)
        e = la_gemm(&(struct krn_gemm){.m = d->n_items,
                                       .n = dim,
                                       .k = dim,
                                       .a = items,
                                       .lda = dim,
                                       .b = map,
                                       .ldb = dim,
                                       .c = rec_model_array(m, "fold"),
                                       .ldc = dim});
    mem_drop(&s);
    return e;
}

/* What early stopping looks at must be whole. */
struct inner {
    const struct rec_watch *watch;
    const struct rec_data *d;
    size_t dim;
};

static enum err watch_epoch(void *arg, struct rec_model *m, uint64_t epoch,
                            bool *stop)
{
    const struct inner *i = arg;

    ERR_TRY(fill_fold(m, i->d, i->dim));
    return i->watch->epoch(i->watch->arg, m, epoch, stop);
}

static enum err fit(struct rec_model *m, const struct rec_data *d,
                    const struct rec_watch *watch)
{
    const struct rec_pairs p = plan(m->opts);
    const struct rec_array_spec spec[] = {{"users", STO_F32, d->n_users, p.dim},
                                          {"items", STO_F32, d->n_items, p.dim},
                                          {"fold", STO_F32, d->n_items, p.dim}};
    struct inner inner = {watch, d, p.dim};
    const struct rec_watch outer = {watch_epoch, &inner};

    ERR_TRY(rec_model_alloc(m, d, spec, 3));
    ERR_TRY(rec_pairs_fit(m, d, &p, watch != NULL ? &outer : NULL));
    return fill_fold(m, d, p.dim);
}

/* --- scoring ----------------------------------------------------------------
 */

static enum err embed(const struct rec_model *m, const struct rec_query *q,
                      float *vec)
{
    const size_t d = (size_t)((const struct bpr_opts *)m->opts)->dim;
    const float *users = rec_model_array(m, "users");
    const float *fold = rec_model_array(m, "fold");

    for (size_t i = 0; i < q->n; i++) {
        if (q->user[i] != REC_NOBODY)
            memcpy(vec + i * d, users + q->user[i] * d, d * sizeof(*vec));
        else
            sum_history(vec + i * d, fold, q->item + q->ptr[i],
                        q->ptr[i + 1] - q->ptr[i], d);
    }
    return ERR_OK;
}

static const float *item_vectors(const struct rec_model *m, size_t *d)
{
    *d = (size_t)((const struct bpr_opts *)m->opts)->dim;
    return rec_model_array(m, "items");
}

static bool valid(const struct rec_model *m)
{
    const size_t d = (size_t)((const struct bpr_opts *)m->opts)->dim;

    return rec_model_has(m, "users", STO_F32, m->n_users, d) &&
           rec_model_has(m, "items", STO_F32, m->n_items, d) &&
           rec_model_has(m, "fold", STO_F32, m->n_items, d);
}

extern const struct rec_model_ops rec_model_bpr;
const struct rec_model_ops rec_model_bpr = {
    .name = "bpr",
    .help = "matrix factorisation by comparisons (BPR)",
    .opts = rows,
    .opts_bytes = sizeof(struct bpr_opts),
    .iterates = true,
    .fit_bytes = fit_bytes,
    .fit = fit,
    .embed = embed,
    .item_vectors = item_vectors,
    .valid = valid,
};
