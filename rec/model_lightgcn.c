/*
 * rec/model_lightgcn.c - LightGCN: vectors smoothed over the graph of who met
 * what.
 *
 * Source: He et al., LightGCN: simplifying and powering graph convolution
 * network for recommendation, SIGIR 2020.  Differs: large batches with shared
 * negatives, and the softmax loss by default (`--loss bpr` is the paper's;
 * rec/pairs.h has both); a falling learning rate.
 *
 * People whom the model never saw get what the layers make of their history.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "rec/model.h"
#include "rec/pairs.h"

struct lightgcn_opts {
    int64_t dim, layers, epochs, batch, negatives;
    double lr, reg, start, temperature;
    const char *loss;
};

#define AT(f) offsetof(struct lightgcn_opts, f)
static const struct opt rows[] = {
    {"dim", 0, OPT_INT, AT(dim), "64", 1, 4096, "N",
     "numbers in the vector of a person or item"},
    {"layers", 0, OPT_INT, AT(layers), "3", 1, 16, "N", "steps over the graph"},
    {"epochs", 0, OPT_INT, AT(epochs), "15", 1, 1e6, "N",
     "passes over the rows"},
    {"lr", 0, OPT_REAL, AT(lr), "0.02", 1e-9, 1e3, "LR",
     "learning rate of Adam at the start; it falls to 0 on a cosine"},
    {"reg", 0, OPT_REAL, AT(reg), "0", 0, 1e3, "L", "weight decay"},
    {"batch", 0, OPT_INT, AT(batch), "8192", 1, 1e8, "N", "rows of a step"},
    {"negatives", 0, OPT_INT, AT(negatives), "256", 1, 65536, "N",
     "items that the rows of a chunk are compared with"},
    {"loss", 0, OPT_CHOICE, AT(loss), "softmax", 0, 0, "softmax|bpr|hard",
     "softmax over the negatives, BPR, or BPR weighted to the hard ones"},
    {"temperature", 0, OPT_REAL, AT(temperature), "1", 1e-6, 1e6, "T",
     "what scores are divided by in the loss"},
    {"start", 0, OPT_REAL, AT(start), "0.1", 1e-9, 1e3, "S",
     "deviation of the first values"},
    {.name = NULL},
};

static struct rec_pairs plan(const struct lightgcn_opts *o)
{
    return (struct rec_pairs){
        .dim = (size_t)o->dim,
        .layers = (size_t)o->layers,
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
           4 * (double)p.dim * (double)(d->n_users + 2 * d->n_items);
}

static enum err fit(struct rec_model *m, const struct rec_data *d,
                    const struct rec_watch *watch)
{
    const struct rec_pairs p = plan(m->opts);
    const struct rec_array_spec spec[] = {{"users", STO_F32, d->n_users, p.dim},
                                          {"items", STO_F32, d->n_items, p.dim},
                                          {"fold", STO_F32, d->n_items, p.dim}};

    ERR_TRY(rec_model_alloc(m, d, spec, 3));
    return rec_pairs_fit(m, d, &p, watch);
}

static enum err embed(const struct rec_model *m, const struct rec_query *q,
                      float *vec)
{
    const size_t d = (size_t)((const struct lightgcn_opts *)m->opts)->dim;
    const float *users = rec_model_array(m, "users");
    const float *fold = rec_model_array(m, "fold");

    for (size_t i = 0; i < q->n; i++) {
        float *v = vec + i * d;
        const size_t n = q->ptr[i + 1] - q->ptr[i];

        if (q->user[i] != REC_NOBODY) {
            memcpy(v, users + q->user[i] * d, d * sizeof(*v));
            continue;
        }
        memset(v, 0, d * sizeof(*v));
        for (size_t r = q->ptr[i]; r < q->ptr[i + 1]; r++) {
            for (size_t k = 0; k < d; k++)
                v[k] += fold[q->item[r] * d + k] / sqrtf((float)n);
        }
    }
    return ERR_OK;
}

static const float *item_vectors(const struct rec_model *m, size_t *d)
{
    *d = (size_t)((const struct lightgcn_opts *)m->opts)->dim;
    return rec_model_array(m, "items");
}

static bool valid(const struct rec_model *m)
{
    const size_t d = (size_t)((const struct lightgcn_opts *)m->opts)->dim;

    return rec_model_has(m, "users", STO_F32, m->n_users, d) &&
           rec_model_has(m, "items", STO_F32, m->n_items, d) &&
           rec_model_has(m, "fold", STO_F32, m->n_items, d);
}

extern const struct rec_model_ops rec_model_lightgcn;
const struct rec_model_ops rec_model_lightgcn = {
    .name = "lightgcn",
    .help = "LightGCN: vectors smoothed over the graph of who met what",
    .opts = rows,
    .opts_bytes = sizeof(struct lightgcn_opts),
    .iterates = true,
    .fit_bytes = fit_bytes,
    .fit = fit,
    .embed = embed,
    .item_vectors = item_vectors,
    .valid = valid,
};
