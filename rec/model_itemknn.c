/*
 * rec/model_itemknn.c - people who met this also met that.
 *
 * s[i][j] = c[i][j] / (sqrt(c[i] c[j]) + shrink) for the counts c of people
 * who met an item, or both; of each item the nearest `neighbours` stay (ties:
 * canonical order), and the score of item i is the sum of s[i][j] over the
 * history's items j among them.
 *
 * Source: Sarwar et al., Item-based collaborative filtering, WWW 2001;
 * shrinkage as in Bell and Koren, ICDM 2007.  Differs: binary data.
 *
 * The weights are a function of integer counts.  They are kept by the item j
 * that gives, so that a history is a list of rows to add.
 */
#include <math.h>
#include <stddef.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/par.h"
#include "rec/model.h"

struct knn_opts {
    int64_t neighbours;
    double shrink;
};

static const struct opt rows[] = {
    {"neighbours", 0, OPT_INT, offsetof(struct knn_opts, neighbours), "200", 1,
     1e5, "N", "nearest items kept for each item"},
    {"shrink", 0, OPT_REAL, offsetof(struct knn_opts, shrink), "30", 0, 1e6,
     "X", "added to the cosine's denominator, against rare items"},
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

    return n * (double)knn_width(opts, d) * 16 + 32 * n +
           8 * (double)d->n_users + 12 * (double)d->n_rows +
           12 * n * (double)par_threads();
}

struct knn {
    const struct rec_data *d;
    struct rec_columns cols;
    double shrink;
    size_t k;
    uint32_t *count;   /* [threads][n_items] zero between tasks */
    uint32_t *met;     /* [threads][n_items] */
    float *sim;        /* [threads][n_items] */
    float *near;       /* [n_items][k] */
    uint32_t *near_id; /* [n_items][k] */
    uint32_t *held;    /* [n_items] */
};

static size_t popularity(const struct knn *w, size_t i)
{
    return w->cols.ptr[i + 1] - w->cols.ptr[i];
}

/* The other items that the people of item i met, and how many did. */
static size_t count_others(const struct knn *w, size_t i, uint32_t *count,
                           uint32_t *met)
{
    size_t n = 0;

    for (size_t c = w->cols.ptr[i]; c < w->cols.ptr[i + 1]; c++) {
        const size_t u = w->cols.user[c];

        for (size_t r = w->d->user_ptr[u]; r < w->d->user_ptr[u + 1]; r++) {
            const uint32_t j = w->d->item[r];

            if (count[j]++ == 0)
                met[n++] = j;
        }
    }
    return n;
}

/* Similarities of item i in sim[0..n-1], zeroing the counts. */
static void similarities(const struct knn *w, size_t i, uint32_t *count,
                         const uint32_t *met, float *sim, size_t n)
{
    const double own = (double)popularity(w, i);

    for (size_t a = 0; a < n; a++) {
        const uint32_t j = met[a];
        const double norm = sqrt(own * (double)popularity(w, j));

        sim[a] = j == i ? 0.0f : (float)((double)count[j] / (norm + w->shrink));
        count[j] = 0;
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

static void near_task(void *arg, size_t i, size_t thread)
{
    struct knn *w = arg;
    uint32_t *count = w->count + thread * w->d->n_items;
    uint32_t *met = w->met + thread * w->d->n_items;
    float *sim = w->sim + thread * w->d->n_items;
    float *near = w->near + i * w->k;
    uint32_t *id = w->near_id + i * w->k;
    const size_t n = count_others(w, i, count, met);
    size_t held = 0;

    similarities(w, i, count, met, sim, n);
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
    w->held[i] = (uint32_t)held;
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

    w->count = mem_take(s, par_threads(), n, sizeof(*w->count));
    w->met = mem_take(s, par_threads(), n, sizeof(*w->met));
    w->sim = mem_take(s, par_threads(), n, sizeof(*w->sim));
    w->near = mem_take(s, n, w->k, sizeof(*w->near));
    w->near_id = mem_take(s, n, w->k, sizeof(*w->near_id));
    w->held = mem_take(s, n, 1, sizeof(*w->held));
    if (s->failed)
        return err_set(ERR_NOMEM, "no memory for itemknn");
    par_for(n, near_task, w);
    return knn_arrays(w, m);
}

static enum err fit(struct rec_model *m, const struct rec_data *d,
                    const struct rec_watch *watch)
{
    const struct knn_opts *o = m->opts;
    struct mem_scratch s = {0};
    struct knn w = {.d = d, .shrink = o->shrink, .k = knn_width(o, d)};
    enum err e;

    (void)watch;
    ERR_TRY(rec_columns_build(&w.cols, d));
    e = knn_fit(&w, &s, m);
    rec_columns_free(&w.cols);
    mem_drop(&s);
    return e;
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
    .score = score,
    .valid = valid,
};
