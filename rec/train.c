/*
 * rec/train.c - holding out, looking, stopping, refitting.
 *
 * A look compares the watched metric with the best so far; only a greater
 * value counts, so the earliest of equal looks is the best one.
 */
#include "rec/train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "rec/metrics.h"

#define T(member) offsetof(struct rec_train_opts, member)
const struct opt rec_train_rows[] = {
    {"validate", 0, OPT_REAL, T(validate), "0", 0, 0.9, "SHARE",
     "hold out this share of each person's rows to choose when to stop"},
    {"metric", 0, OPT_TEXT, T(metric), "ndcg@20", 0, 0, "METRIC@K",
     "metric to watch on the rows held out"},
    {"every", 0, OPT_INT, T(every), "1", 1, 1e6, "N",
     "epochs between two looks at the rows held out"},
    {"patience", 0, OPT_INT, T(patience), "5", 1, 1e6, "N",
     "stop after so many looks without a better value"},
    {"refit", 0, OPT_BOOL, T(refit), NULL, 0, 0, NULL,
     "then train on all rows for the best number of epochs"},
    {.name = NULL},
};

struct run {
    const struct rec_train_opts *opts;
    const struct rec_data *fit, *held;
    enum rec_metric metric;
    size_t cut;
    struct rec_train_result best;
    bool looked;
    int64_t worse; /* looks since the best */
    char *copy;    /* the block at the best look */
    size_t bytes;  /* of it */
};

static enum err look(struct run *r, const struct rec_model *m, double *value)
{
    struct rec_report report;

    ERR_TRY(rec_evaluate(m, r->fit, r->held, &r->cut, 1, &report));
    *value = report.value[0][r->metric];
    return ERR_OK;
}

static size_t block_bytes(const struct rec_model *m)
{
    const struct sto_array *last = &m->array[m->n_arrays - 1];

    return (size_t)((const char *)last->data - (const char *)m->block) +
           (size_t)(last->rows * last->cols) * sto_type_bytes(last->type);
}

static enum err keep_copy(struct run *r, const struct rec_model *m)
{
    const size_t bytes = block_bytes(m);

    if (r->opts->refit) /* the weights will not be used */
        return ERR_OK;
    if (r->copy == NULL || r->bytes != bytes) {
        char *copy = mem_array(bytes, 1);

        if (copy == NULL)
            return err_set(ERR_NOMEM, "no memory to keep the best weights");
        free(r->copy);
        r->copy = copy;
        r->bytes = bytes;
    }
    memcpy(r->copy, m->block, bytes);
    return ERR_OK;
}

static enum err watch_epoch(void *arg, struct rec_model *m, uint64_t epoch,
                            bool *stop)
{
    struct run *r = arg;
    double value = 0;

    if (epoch % (uint64_t)r->opts->every != 0)
        return ERR_OK;
    ERR_TRY(look(r, m, &value));
    log_info("epoch %llu: %s %.5f", (unsigned long long)epoch, r->opts->metric,
             value);
    if (!r->looked || value > r->best.best) {
        ERR_TRY(keep_copy(r, m));
        r->best = (struct rec_train_result){value, epoch};
        r->looked = true;
        r->worse = 0;
    } else if (++r->worse >= r->opts->patience) {
        *stop = true;
    }
    return ERR_OK;
}

static enum err set_epochs(struct rec_model *m, uint64_t epochs)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)epochs);
    return opt_assign(m->ops->opts, m->opts, "epochs", text);
}

static enum err fit_watched(struct run *r, struct rec_model *m)
{
    const struct rec_watch watch = {watch_epoch, r};

    ERR_TRY(rec_model_fit(m, r->fit, m->ops->iterates ? &watch : NULL));
    if (r->looked)
        return ERR_OK;
    /* closed form, or fewer epochs than one look apart */
    r->best.best_epoch = m->ops->iterates ? m->epochs : 0;
    ERR_TRY(look(r, m, &r->best.best));
    return keep_copy(r, m);
}

static enum err run_validated(struct run *r, struct rec_model *m,
                              const struct rec_data *all)
{
    ERR_TRY(fit_watched(r, m));
    if (r->opts->refit) {
        if (m->ops->iterates)
            ERR_TRY(set_epochs(m, r->best.best_epoch));
        return rec_model_fit(m, all, NULL);
    }
    memcpy(m->block, r->copy, r->bytes);
    if (m->ops->iterates)
        m->epochs = r->best.best_epoch;
    return ERR_OK;
}

/* The two parts of d. */
static enum err part_data(const struct rec_data *d, double share, uint64_t seed,
                          struct rec_data *fit, struct rec_data *held)
{
    uint8_t *keep = mem_array(d->n_rows, 1);
    enum err e;

    if (keep == NULL)
        return err_set(ERR_NOMEM, "no memory for the validation split");
    rec_data_holdout(d, share, seed, keep);
    e = rec_data_subset(fit, d, keep);
    for (size_t r = 0; r < d->n_rows; r++)
        keep[r] = !keep[r];
    if (e == ERR_OK)
        e = rec_data_subset(held, d, keep);
    free(keep);
    if (e == ERR_OK && held->n_rows == 0)
        e = err_set(ERR_ARG,
                    "--validate %g holds out no row of these data: "
                    "raise it",
                    share);
    return e;
}

enum err rec_train(struct rec_model *m, const struct rec_data *d,
                   const struct rec_train_opts *opts,
                   struct rec_train_result *out)
{
    struct rec_data fit = {0}, held = {0};
    struct run r = {.opts = opts, .fit = &fit, .held = &held};
    enum err e;

    if (opts->validate <= 0) {
        ERR_TRY(rec_model_fit(m, d, NULL));
        *out = (struct rec_train_result){0, 0};
        return ERR_OK;
    }
    ERR_TRY(rec_metric_parse(opts->metric, &r.metric, &r.cut));
    e = part_data(d, opts->validate, m->seed, &fit, &held);
    if (e == ERR_OK)
        e = run_validated(&r, m, d);
    free(r.copy);
    rec_data_free(&fit);
    rec_data_free(&held);
    if (e == ERR_OK)
        *out = r.best;
    return e;
}
