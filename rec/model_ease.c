/*
 * rec/model_ease.c - EASE^R: one ridge regression per item, in closed form.
 *
 * B[i][j] = -P[i][j] / P[j][j] off the diagonal, 0 on it, P = (X^T X + reg
 * I)^-1 for the binary matrix X of who met what; scores are the sums of the
 * rows of B over a history.
 *
 * Source: Steck, Embarrassingly shallow autoencoders for sparse data, WWW
 * 2019, eq. 8.  Differs: nothing.
 *
 * X^T X are counts, added as whole numbers (exact in float below 2^24), so
 * the weights are a function of integers: their order of arrival, and rows
 * that came and went, leave no trace.
 */
#include <stddef.h>

#include "base/cpu.h"
#include "base/la.h"
#include "base/par.h"
#include "rec/ease.h"
#include "rec/model.h"

struct ease_opts {
    double reg;
};

static const struct opt rows[] = {
    {"reg", 0, OPT_REAL, offsetof(struct ease_opts, reg), "0", 0, 1e9, "L",
     "ridge added to the co-occurrence counts; 0 = 5 times the mean number of "
     "rows of an item"},
    {.name = NULL},
};

static double fit_bytes(const struct rec_data *d, const void *opts)
{
    const double n = (double)d->n_items;

    (void)opts;
    return 4 * n * n + 24 * n + 8 * (double)d->n_users +
           12 * (double)d->n_rows + 2048 * n + 4e6 * (double)par_threads();
}

static float ridge(const struct ease_opts *o, const struct rec_data *d)
{
    if (o->reg > 0)
        return (float)o->reg;
    return (float)(5 * (double)d->n_rows / (double)d->n_items);
}

struct ease {
    const struct rec_data *d;
    const struct rec_counts *counts; /* or NULL: by the columns */
    struct rec_columns cols;
    float reg;
    float *b;        /* [n][n] */
    float *diagonal; /* [n] of P, which corrections need (rec/ease.h) */
};

/* Row i of the counts up to the diagonal, and the ridge. */
static void count_task(void *arg, size_t i, size_t thread)
{
    const struct ease *e = arg;
    float *row = e->b + i * e->d->n_items;

    (void)thread;
    for (size_t c = e->cols.ptr[i]; c < e->cols.ptr[i + 1]; c++) {
        const uint32_t *j = e->d->item + e->d->user_ptr[e->cols.user[c]];

        for (; *j < i; j++) /* ends at i itself: this person has item i */
            row[*j] += 1.0f;
    }
    row[i] = (float)(e->cols.ptr[i + 1] - e->cols.ptr[i]) + e->reg;
}

static void weights_task(void *arg, size_t i, size_t thread)
{
    const struct ease *e = arg;
    const size_t n = e->d->n_items;
    float *row = e->b + i * n;

    (void)thread;
    for (size_t j = 0; j < n; j++)
        row[j] = -row[j] / e->diagonal[j];
    row[i] = 0;
}

/* The same from counts. */
static void counted_task(void *arg, size_t i, size_t thread)
{
    const struct ease *e = arg;
    float *row = e->b + i * e->d->n_items;

    (void)thread;
    for (size_t j = 0; j <= i; j++)
        row[j] = (float)rec_counts_at(e->counts, i, j);
    row[i] += e->reg;
}

static enum err ease_solve(struct ease *e)
{
    const size_t n = e->d->n_items;

    par_for(n, e->counts != NULL ? counted_task : count_task, e);
    ERR_TRY(la_spd_inverse(e->b, n));
    for (size_t i = 0; i < n; i++)
        e->diagonal[i] = e->b[i * n + i];
    par_for(n, weights_task, e);
    return ERR_OK;
}

static enum err fit_from(struct rec_model *m, const struct rec_data *d,
                         const struct rec_counts *counts)
{
    const struct rec_array_spec spec[] = {
        {"diagonal", STO_F32, d->n_items, 1},
        {"weights", STO_F32, d->n_items, d->n_items}};
    struct ease e = {.d = d, .counts = counts, .reg = ridge(m->opts, d)};

    if (d->n_users >= (size_t)1 << 24)
        return err_set(ERR_ARG, "ease counts at most 16,777,215 people "
                                "exactly: shard the data");
    ERR_TRY(rec_model_alloc(m, d, spec, 2));
    if (counts == NULL)
        ERR_TRY(rec_columns_build(&e.cols, d));
    e.b = rec_model_array(m, "weights");
    e.diagonal = rec_model_array(m, "diagonal");
    const enum err err = ease_solve(&e);

    rec_columns_free(&e.cols);
    return err;
}

static enum err fit(struct rec_model *m, const struct rec_data *d,
                    const struct rec_watch *watch)
{
    (void)watch;
    return fit_from(m, d, NULL);
}

static enum err fit_counts(struct rec_model *m, const struct rec_data *d,
                           const struct rec_counts *c)
{
    return fit_from(m, d, c);
}

static uint64_t pair_weight(const void *opts, size_t n_rows)
{
    (void)opts;
    (void)n_rows;
    return 1;
}

/* --- scoring ----------------------------------------------------------------
 */

#define PEOPLE 4 /* of a task */

struct scoring {
    const struct rec_model *m;
    const struct rec_query *q;
    float *scores;
};

static void score_task(void *arg, size_t task, size_t thread)
{
    const struct scoring *s = arg;
    const size_t first = task * PEOPLE;
    const struct krn_spmm g = {
        .first = first,
        .last = first + PEOPLE < s->q->n ? first + PEOPLE : s->q->n,
        .d = s->m->n_items,
        .ptr = s->q->ptr,
        .idx = s->q->item,
        .x = rec_model_array(s->m, "weights"),
        .ldx = s->m->n_items,
        .y = s->scores,
        .ldy = s->m->n_items,
    };

    (void)thread;
    cpu_ops()->spmm_f32(&g);
}

static enum err score(const struct rec_model *m, const struct rec_query *q,
                      float *scores)
{
    struct scoring s = {m, q, scores};

    par_for((q->n + PEOPLE - 1) / PEOPLE, score_task, &s);
    return ERR_OK;
}

static bool valid(const struct rec_model *m)
{
    return rec_model_has(m, "diagonal", STO_F32, m->n_items, 1) &&
           rec_model_has(m, "weights", STO_F32, m->n_items, m->n_items);
}

extern const struct rec_model_ops rec_model_ease;
const struct rec_model_ops rec_model_ease = {
    .name = "ease",
    .help = "EASE: item-to-item ridge regression in closed form",
    .opts = rows,
    .opts_bytes = sizeof(struct ease_opts),
    .fit_bytes = fit_bytes,
    .fit = fit,
    .fit_counts = fit_counts,
    .pair_weight = pair_weight,
    .correct = rec_ease_correct,
    .score = score,
    .valid = valid,
};
