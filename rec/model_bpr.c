/*
 * rec/model_bpr.c - matrix factorisation that ranks what was met above what
 * was not.
 *
 * Source: Rendle et al., BPR: Bayesian personalized ranking from implicit
 * feedback, UAI 2009 (`--loss bpr`).  Differs: Adam on large batches that
 * share their negatives, so that scores and gradients are matrix products
 * (rec/pairs.h); by default negatives are weighted towards the hard ones.
 * People whom the model never saw: rec/fold.h.
 */
#include <string.h>

#include "rec/fold.h"
#include "rec/model.h"
#include "rec/pairs.h"

struct bpr_opts {
    int64_t dim, epochs, batch, negatives;
    double lr, reg, start, temperature;
    const char *loss;
    struct rec_dsl_opts dsl;
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
    REC_DSL_OPTS(struct bpr_opts),
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
        .dsl = o->dsl,
    };
}

static double fit_bytes(const struct rec_data *d, const void *opts)
{
    const struct rec_pairs p = plan(opts);

    return rec_pairs_bytes(d, &p) +
           8 * (double)p.dim * (double)(d->n_users + d->n_items);
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

    ERR_TRY(rec_fold_fit(m, i->d, i->dim));
    return i->watch->epoch(i->watch->arg, m, epoch, stop);
}

static enum err fit(struct rec_model *m, const struct rec_data *d,
                    const struct rec_watch *watch)
{
    const struct rec_pairs p = plan(m->opts);
    struct inner inner = {watch, d, p.dim};
    const struct rec_watch outer = {watch_epoch, &inner};

    const bool whole = p.dsl.sparsity <= 0;

    ERR_TRY(rec_dsl_check(&p.dsl, m));
    ERR_TRY(rec_fold_alloc(m, d, p.dim));
    /* a schedule ends where its epochs end: there is nothing to stop early */
    ERR_TRY(rec_pairs_fit(m, d, &p, watch != NULL && whole ? &outer : NULL));
    return whole ? rec_fold_fit(m, d, p.dim) : rec_fold_pack(m, d, p.dim);
}

extern const struct rec_model_ops rec_model_bpr;
const struct rec_model_ops rec_model_bpr = {
    .name = "bpr",
    .help = "matrix factorisation by comparisons (BPR)",
    .opts = rows,
    .opts_bytes = sizeof(struct bpr_opts),
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
