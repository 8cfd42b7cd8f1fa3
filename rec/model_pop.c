/*
 * rec/model_pop.c - the most popular items for everybody: the least that any
 * other model has to beat.
 */
#include "rec/model.h"

static double fit_bytes(const struct rec_data *d, const void *opts)
{
    (void)opts;
    return 8.0 * (double)d->n_users + 12.0 * (double)d->n_items;
}

static enum err fit(struct rec_model *m, const struct rec_data *d,
                    const struct rec_watch *watch)
{
    (void)watch;
    return rec_model_alloc(m, d, NULL, 0);
}

static enum err score(const struct rec_model *m, const struct rec_query *q,
                      float *scores)
{
    for (size_t i = 0; i < q->n; i++) {
        for (size_t j = 0; j < m->n_items; j++)
            scores[i * m->n_items + j] = (float)m->popularity[j];
    }
    return ERR_OK;
}

/* All there is to it is what every model has: rec_model_correct(). */
static enum err correct(struct rec_model *m, const struct rec_data *d,
                        const uint8_t *keep, const uint8_t *gone)
{
    (void)m;
    (void)d;
    (void)keep;
    (void)gone;
    return ERR_OK;
}

static const struct opt rows[] = {{.name = NULL}};

extern const struct rec_model_ops rec_model_pop;
const struct rec_model_ops rec_model_pop = {
    .name = "pop",
    .help = "popularity: the items with most training rows, for everybody",
    .opts = rows,
    .fit_bytes = fit_bytes,
    .fit = fit,
    .correct = correct,
    .score = score,
};
