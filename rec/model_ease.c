/*
 * rec/model_ease.c - EASE^R: one ridge regression per item, in closed form.
 *
 * B[i][j] = -P[i][j] / P[j][j] off the diagonal, 0 on it, P = (X^T X + reg
 * I)^-1 for the binary matrix X of who met what; scores are the sums of the
 * rows of B over a history.
 *
 * Source: Steck, Embarrassingly shallow autoencoders for sparse data, WWW
 * 2019, eq. 8.  Differs: with --user-exponent p a person of n rows counts n^-p
 * times in X^T X, in fixed point.
 *
 * X^T X are counts, added as whole numbers, so the weights are a function of
 * integers: their order of arrival, and rows that came and went, leave no
 * trace.
 */
#include <stddef.h>
#include <string.h>

#include "base/cpu.h"
#include "base/la.h"
#include "base/mem.h"
#include "base/par.h"
#include "kernels/power.h"
#include "rec/ease.h"
#include "rec/model.h"

static const struct opt rows[] = {
    {"reg", 0, OPT_REAL, offsetof(struct rec_ease_opts, reg), "0", 0, 1e9, "L",
     "ridge added to the co-occurrence counts; 0 = 5 times the mean number of "
     "rows of an item (of what they weigh)"},
    {"user-exponent", 0, OPT_REAL,
     offsetof(struct rec_ease_opts, user_exponent), "0", 0, 2, "P",
     "a person's pairs weigh their number of rows to the power -P"},
    {.name = NULL},
};

static double fit_bytes(const struct rec_data *d, const void *opts)
{
    const double n = (double)d->n_items;

    (void)opts;
    return 4 * n * n + 24 * n + 16 * (double)d->n_users +
           12 * (double)d->n_rows + 2048 * n +
           (8 * n + 4e6) * (double)par_threads();
}

uint64_t rec_ease_weight(const struct rec_ease_opts *o, size_t n_rows)
{
    if (o->user_exponent <= 0 || n_rows == 0)
        return 1;
    const double x = krn_power_f64((double)n_rows, -o->user_exponent);

    return (uint64_t)(x * REC_EASE_ONE + 0.5) + (x * REC_EASE_ONE < 0.5);
}

double rec_ease_unit(const struct rec_ease_opts *o)
{
    return o->user_exponent > 0 ? 1 / REC_EASE_ONE : 1;
}

static float ridge(const struct rec_ease_opts *o, const struct rec_data *d)
{
    uint64_t sum = 0;

    if (o->reg > 0)
        return (float)o->reg;
    for (size_t u = 0; u < d->n_users; u++) {
        const size_t n = d->user_ptr[u + 1] - d->user_ptr[u];

        sum += n * rec_ease_weight(o, n);
    }
    return (float)(5 * ((double)sum * rec_ease_unit(o)) / (double)d->n_items);
}

struct ease {
    const struct rec_data *d;
    const struct rec_counts *counts; /* or NULL: by the columns */
    struct rec_columns cols;
    const uint64_t *weight; /* [n_users], or NULL: ones */
    double unit;            /* of weights */
    uint64_t *sum;          /* [threads][n]: a row of weights */
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

/* The same where people weigh differently. */
static void weigh_task(void *arg, size_t i, size_t thread)
{
    const struct ease *e = arg;
    float *row = e->b + i * e->d->n_items;
    uint64_t *sum = e->sum + thread * e->d->n_items;

    memset(sum, 0, (i + 1) * sizeof(*sum));
    for (size_t c = e->cols.ptr[i]; c < e->cols.ptr[i + 1]; c++) {
        const uint32_t u = e->cols.user[c];
        const uint32_t *j = e->d->item + e->d->user_ptr[u];

        for (; *j <= i; j++) {
            sum[*j] += e->weight[u];
            if (*j == i)
                break;
        }
    }
    for (size_t j = 0; j <= i; j++)
        row[j] = (float)((double)sum[j] * e->unit);
    row[i] += e->reg;
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
        row[j] = (float)((double)rec_counts_at(e->counts, i, j) * e->unit);
    row[i] += e->reg;
}

static enum err ease_solve(struct ease *e)
{
    const size_t n = e->d->n_items;

    par_for(n,
            e->counts != NULL   ? counted_task
            : e->weight != NULL ? weigh_task
                                : count_task,
            e);
    ERR_TRY(la_spd_inverse(e->b, n));
    for (size_t i = 0; i < n; i++)
        e->diagonal[i] = e->b[i * n + i];
    par_for(n, weights_task, e);
    return ERR_OK;
}

/* What each person weighs, and a row of sums for each thread. */
static enum err weigh_people(struct ease *e, const struct rec_ease_opts *o,
                             struct mem_scratch *s)
{
    const struct rec_data *d = e->d;
    uint64_t *w = mem_take(s, d->n_users, 1, sizeof(*w));

    e->sum = mem_take(s, par_threads(), d->n_items, sizeof(*e->sum));
    if (s->failed)
        return err_set(ERR_NOMEM, "no memory to weigh people for ease");
    for (size_t u = 0; u < d->n_users; u++)
        w[u] = rec_ease_weight(o, d->user_ptr[u + 1] - d->user_ptr[u]);
    e->weight = w;
    return ERR_OK;
}

static enum err fit_from(struct rec_model *m, const struct rec_data *d,
                         const struct rec_counts *counts)
{
    const struct rec_array_spec spec[] = {
        {"diagonal", STO_F32, d->n_items, 1},
        {"weights", STO_F32, d->n_items, d->n_items}};
    const struct rec_ease_opts *o = m->opts;
    struct ease e = {
        .d = d, .counts = counts, .unit = rec_ease_unit(o), .reg = ridge(o, d)};
    struct mem_scratch s = {0};
    enum err err = ERR_OK;

    if (d->n_users >= (size_t)1 << 24)
        return err_set(ERR_ARG, "ease counts at most 16,777,215 people "
                                "exactly: shard the data");
    ERR_TRY(rec_model_alloc(m, d, spec, 2));
    if (counts == NULL)
        ERR_TRY(rec_columns_build(&e.cols, d));
    if (counts == NULL && o->user_exponent > 0)
        err = weigh_people(&e, o, &s);
    e.b = rec_model_array(m, "weights");
    e.diagonal = rec_model_array(m, "diagonal");
    if (err == ERR_OK)
        err = ease_solve(&e);
    mem_drop(&s);
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
    return rec_ease_weight(opts, n_rows);
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
    .opts_bytes = sizeof(struct rec_ease_opts),
    .fit_bytes = fit_bytes,
    .fit = fit,
    .fit_counts = fit_counts,
    .pair_weight = pair_weight,
    .correct = rec_ease_correct,
    .score = score,
    .valid = valid,
};
