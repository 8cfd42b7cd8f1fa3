/*
 * rec/model_itemknn.c - people who met this also met that.
 *
 * s[i][j] = w[i][j] / (c[i]^b c[j]^h + shrink), where c counts the people who
 * met an item and w adds d^-a over the people who met both, d being the number
 * of items that the person met.  Of each item the nearest `neighbours` stay
 * (ties: canonical order), and the score of item i is the sum of s[i][j] over
 * the history's items j among them.
 *
 * Sources: Sarwar et al., Item-based collaborative filtering, WWW 2001: the
 * cosine of binary columns is a = 0, b = h = 1/2; shrinkage as in Bell and
 * Koren, ICDM 2007; exponents: Deshpande and Karypis, TOIS 2004, sec. 4.1.2;
 * what people with long histories say counts less (a > 0): ibid., 4.1.1.
 * `--normalise` (the sum of an item's neighbours is 1) is what some programs
 * call cosine neighbours, too.
 *
 * d^-a is rounded to a whole number of 2^-32, so that sums over people are
 * exact and do not depend on their order.  Weights are kept by the item j that
 * gives, so that a history is a list of rows to add.
 */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/par.h"
#include "kernels/power.h"
#include "rec/model.h"

struct knn_opts {
    int64_t neighbours;
    double shrink, user_exponent, item_exponent, history_exponent;
    bool normalise;
};

#define AT(f) offsetof(struct knn_opts, f)
static const struct opt rows[] = {
    {"neighbours", 0, OPT_INT, AT(neighbours), "100", 1, 1e5, "N",
     "nearest items kept for each item"},
    {"shrink", 0, OPT_REAL, AT(shrink), "0", 0, 1e6, "X",
     "added to the denominator, against rare items"},
    {"user-exponent", 0, OPT_REAL, AT(user_exponent), "0.7", 0, 2, "A",
     "people weigh their number of rows to the power -A; cosine: 0"},
    {"item-exponent", 0, OPT_REAL, AT(item_exponent), "0.3", 0, 2, "B",
     "of a candidate's number of rows in the denominator; cosine: 0.5"},
    {"history-exponent", 0, OPT_REAL, AT(history_exponent), "0.5", 0, 2, "H",
     "of a met item's number of rows in the denominator; cosine: 0.5"},
    {"normalise", 0, OPT_BOOL, AT(normalise), NULL, 0, 0, NULL,
     "divide by the sum over an item's neighbours"},
    {.name = NULL},
};

static size_t knn_width(const struct knn_opts *o, const struct rec_data *d)
{
    const size_t k = (size_t)o->neighbours;

    return k < d->n_items ? k : d->n_items;
}

static double fit_bytes(const struct rec_data *d, const void *opts)
{
    const double n = (double)d->n_items;

    return n * (double)knn_width(opts, d) * 16 + 48 * n +
           16 * (double)d->n_users + 12 * (double)d->n_rows +
           20 * n * (double)par_threads();
}

#define BLOCK 8 /* items of a task, where counts are there */

struct knn {
    const struct rec_data *d;
    const struct rec_counts *counts; /* or NULL: by the columns */
    struct rec_columns cols;
    double shrink;
    bool normalise;
    bool cosine; /* b = h = 1/2: equal cosines of counts come out equal */
    size_t k;
    uint64_t *weight;  /* [n_users] d^-a in units of 1 / ONE */
    double *own;       /* [n_items] c^b */
    double *given;     /* [n_items] c^h */
    size_t block;      /* items of a task */
    uint64_t *sum;     /* [threads][block][n_items] zero between tasks */
    uint32_t *met;     /* [threads][n_items] */
    float *sim;        /* [threads][n_items] */
    float *near;       /* [n_items][k] */
    uint32_t *near_id; /* [n_items][k] */
    uint32_t *held;    /* [n_items] */
};

static double power_of(size_t n, double p)
{
    return n > 0 ? krn_power_f64((double)n, p) : 1;
}

#define ONE 4294967296.0 /* 2^32 */

static uint64_t pair_weight(const void *opts, size_t n_rows)
{
    const struct knn_opts *o = opts;
    const double x = power_of(n_rows, -o->user_exponent) * ONE;

    return x < 1 ? 1 : (uint64_t)(x + 0.5);
}

/* people[n_items]: scratch, how many met each item. */
static void weigh(const struct knn *w, const struct knn_opts *o,
                  uint32_t *people)
{
    const struct rec_data *d = w->d;

    for (size_t u = 0; u < d->n_users; u++)
        w->weight[u] = pair_weight(o, d->user_ptr[u + 1] - d->user_ptr[u]);
    for (size_t r = 0; r < d->n_rows; r++)
        people[d->item[r]]++;
    for (size_t i = 0; i < d->n_items; i++) {
        const size_t n = people[i];

        people[i] = 0;
        w->own[i] = w->cosine ? (double)n : power_of(n, o->item_exponent);
        w->given[i] = w->cosine ? (double)n : power_of(n, o->history_exponent);
    }
}

/* The other items that the people of item i met, and what they weigh. */
static size_t add_others(const struct knn *w, size_t i, uint64_t *sum,
                         uint32_t *met)
{
    size_t n = 0;

    for (size_t c = w->cols.ptr[i]; c < w->cols.ptr[i + 1]; c++) {
        const size_t u = w->cols.user[c];

        for (size_t r = w->d->user_ptr[u]; r < w->d->user_ptr[u + 1]; r++) {
            const uint32_t j = w->d->item[r];

            if (sum[j] == 0)
                met[n++] = j;
            sum[j] += w->weight[u];
        }
    }
    return n;
}

/* Similarities of item i in sim[0..n-1], zeroing the sums. */
static void similarities(const struct knn *w, size_t i, uint64_t *sum,
                         const uint32_t *met, float *sim, size_t n)
{
    for (size_t a = 0; a < n; a++) {
        const uint32_t j = met[a];
        const double x = w->own[i] * w->given[j];
        const double norm = (w->cosine ? sqrt(x) : x) + w->shrink;

        sim[a] = j == i ? 0.0f : (float)((double)sum[j] / ONE / norm);
        sum[j] = 0;
    }
}

static bool nearer(float s, uint32_t i, float r, uint32_t j)
{
    return s > r || (s == r && i < j);
}

/* Move the last of n entries, best first, to where it belongs. */
static void sink(float *near, uint32_t *id, size_t n)
{
    const float s = near[n - 1];
    const uint32_t i = id[n - 1];
    size_t at = n - 1;

    for (; at > 0 && nearer(s, i, near[at - 1], id[at - 1]); at--) {
        near[at] = near[at - 1];
        id[at] = id[at - 1];
    }
    near[at] = s;
    id[at] = i;
}

/* The sum of near[n], best first, becomes 1. */
static void normalise(float *near, size_t n)
{
    double sum = 0;

    for (size_t a = 0; a < n; a++)
        sum += (double)near[a];
    for (size_t a = 0; a < n; a++)
        near[a] = (float)((double)near[a] / sum);
}

/* The near ones of item i, from the sums of the n items in met[]; sum[] is zero
 * afterwards. */
static void keep_near(struct knn *w, size_t i, uint64_t *sum, size_t n,
                      size_t thread)
{
    const uint32_t *met = w->met + thread * w->d->n_items;
    float *sim = w->sim + thread * w->d->n_items;
    float *near = w->near + i * w->k;
    uint32_t *id = w->near_id + i * w->k;
    size_t held = 0;

    similarities(w, i, sum, met, sim, n);
    for (size_t a = 0; a < n; a++) {
        if (!(sim[a] > 0))
            continue;
        if (held == w->k &&
            !nearer(sim[a], met[a], near[held - 1], id[held - 1]))
            continue;
        held += held < w->k;
        near[held - 1] = sim[a];
        id[held - 1] = met[a];
        sink(near, id, held);
    }
    if (w->normalise)
        normalise(near, held);
    w->held[i] = (uint32_t)held;
}

static void near_task(void *arg, size_t i, size_t thread)
{
    struct knn *w = arg;
    uint64_t *sum = w->sum + thread * w->block * w->d->n_items;

    keep_near(w, i, sum, add_others(w, i, sum, w->met + thread * w->d->n_items),
              thread);
}

/* The same for a block of items from counts: what they share of each row of the
 * triangle is read at once. */
static void counted_task(void *arg, size_t task, size_t thread)
{
    struct knn *w = arg;
    const size_t n = w->d->n_items, first = task * BLOCK;
    const size_t last = first + BLOCK < n ? first + BLOCK : n;
    uint64_t *sum = w->sum + thread * w->block * n;
    uint32_t *met = w->met + thread * n;

    for (size_t j = 0; j < n; j++) {
        for (size_t i = first; i < last; i++)
            sum[(i - first) * n + j] =
                rec_counts_at(w->counts, i > j ? i : j, i > j ? j : i);
    }
    for (size_t i = first; i < last; i++) {
        uint64_t *own = sum + (i - first) * n;
        size_t there = 0;

        for (size_t j = 0; j < n; j++) {
            if (own[j] != 0)
                met[there++] = (uint32_t)j;
        }
        keep_near(w, i, own, there, thread);
    }
}

/* From "the near ones of i" to "whom j is near to", i ascending. */
static void turn_round(const struct knn *w, struct rec_model *m)
{
    uint64_t *ptr = rec_model_array(m, "ptr");
    uint32_t *item = rec_model_array(m, "item");
    float *weight = rec_model_array(m, "weight");
    const size_t n = w->d->n_items;

    for (size_t i = 0; i < n; i++) {
        for (size_t a = 0; a < w->held[i]; a++)
            ptr[w->near_id[i * w->k + a] + (size_t)2]++;
    }
    for (size_t j = 2; j <= n; j++)
        ptr[j] += ptr[j - 1];
    for (size_t i = 0; i < n; i++) {
        for (size_t a = 0; a < w->held[i]; a++) {
            const size_t j = w->near_id[i * w->k + a];
            const uint64_t at = ptr[j + 1]++;

            item[at] = (uint32_t)i;
            weight[at] = w->near[i * w->k + a];
        }
    }
}

static enum err knn_arrays(const struct knn *w, struct rec_model *m)
{
    size_t n = 0;

    for (size_t i = 0; i < w->d->n_items; i++)
        n += w->held[i];
    /* ptr has one spare entry, which turn_round() needs while it counts */
    const struct rec_array_spec spec[] = {
        {"ptr", STO_U64, w->d->n_items + 2, 1},
        {"item", STO_U32, n, 1},
        {"weight", STO_F32, n, 1},
    };

    ERR_TRY(rec_model_alloc(m, w->d, spec, 3));
    turn_round(w, m);
    return ERR_OK;
}

static enum err knn_fit(struct knn *w, struct mem_scratch *s,
                        struct rec_model *m)
{
    const size_t n = w->d->n_items;

    w->weight = mem_take(s, w->d->n_users, 1, sizeof(*w->weight));
    w->own = mem_take(s, n, 1, sizeof(*w->own));
    w->given = mem_take(s, n, 1, sizeof(*w->given));
    w->sum = mem_take(s, par_threads() * w->block, n, sizeof(*w->sum));
    w->met = mem_take(s, par_threads(), n, sizeof(*w->met));
    w->sim = mem_take(s, par_threads(), n, sizeof(*w->sim));
    w->near = mem_take(s, n, w->k, sizeof(*w->near));
    w->near_id = mem_take(s, n, w->k, sizeof(*w->near_id));
    w->held = mem_take(s, n, 1, sizeof(*w->held));
    if (s->failed)
        return err_set(ERR_NOMEM, "no memory for itemknn");
    weigh(w, m->opts, w->met);
    if (w->counts == NULL)
        par_for(n, near_task, w);
    else
        par_for((n + BLOCK - 1) / BLOCK, counted_task, w);
    return knn_arrays(w, m);
}

static enum err fit_from(struct rec_model *m, const struct rec_data *d,
                         const struct rec_counts *counts)
{
    const struct knn_opts *o = m->opts;
    struct mem_scratch s = {0};
    struct knn w = {.d = d,
                    .counts = counts,
                    .block = counts == NULL ? 1 : BLOCK,
                    .shrink = o->shrink,
                    .normalise = o->normalise,
                    .cosine =
                        o->item_exponent == 0.5 && o->history_exponent == 0.5,
                    .k = knn_width(o, d)};
    enum err e;

    if (counts == NULL)
        ERR_TRY(rec_columns_build(&w.cols, d));
    e = knn_fit(&w, &s, m);
    rec_columns_free(&w.cols);
    mem_drop(&s);
    return e;
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

/* --- scoring ----------------------------------------------------------------
 */

struct scoring {
    size_t n_items;
    const struct rec_query *q;
    const uint64_t *ptr;
    const uint32_t *item;
    const float *weight;
    float *scores;
};

static void score_task(void *arg, size_t p, size_t thread)
{
    const struct scoring *s = arg;
    float *row = s->scores + p * s->n_items;

    (void)thread;
    memset(row, 0, s->n_items * sizeof(*row));
    for (size_t r = s->q->ptr[p]; r < s->q->ptr[p + 1]; r++) {
        const size_t j = s->q->item[r];

        for (uint64_t a = s->ptr[j]; a < s->ptr[j + 1]; a++)
            row[s->item[a]] += s->weight[a];
    }
}

static enum err score(const struct rec_model *m, const struct rec_query *q,
                      float *scores)
{
    struct scoring s = {m->n_items,
                        q,
                        rec_model_array(m, "ptr"),
                        rec_model_array(m, "item"),
                        rec_model_array(m, "weight"),
                        scores};

    par_for(q->n, score_task, &s);
    return ERR_OK;
}

static uint64_t entries(const struct rec_model *m)
{
    for (size_t i = 0; i < m->n_arrays; i++) {
        if (strcmp(m->array[i].name, "item") == 0)
            return m->array[i].rows;
    }
    return 0;
}

static bool valid(const struct rec_model *m)
{
    const uint64_t n = entries(m);
    const uint64_t *ptr;
    const uint32_t *item;

    if (!rec_model_has(m, "ptr", STO_U64, m->n_items + 2, 1) ||
        !rec_model_has(m, "item", STO_U32, n, 1) ||
        !rec_model_has(m, "weight", STO_F32, n, 1))
        return false;
    ptr = rec_model_array(m, "ptr");
    item = rec_model_array(m, "item");
    for (size_t j = 0; j < m->n_items; j++) {
        if (ptr[j] > ptr[j + 1] || ptr[j + 1] > n)
            return false;
    }
    for (uint64_t a = 0; a < n; a++) {
        if (item[a] >= m->n_items)
            return false;
    }
    return true;
}

extern const struct rec_model_ops rec_model_itemknn;
const struct rec_model_ops rec_model_itemknn = {
    .name = "itemknn",
    .help = "nearest items by the cosine of who met them",
    .opts = rows,
    .opts_bytes = sizeof(struct knn_opts),
    .fit_bytes = fit_bytes,
    .fit = fit,
    .fit_counts = fit_counts,
    .pair_weight = pair_weight,
    .score = score,
    .valid = valid,
};
