/*
 * rec/model_gfcf.c - a spectral filter of the item graph; nothing is trained.
 *
 * With R the binary matrix of who met what, Rn = Du^-a R Di^-b / sigma (sigma
 * its largest singular value) and P = Rn^T Rn, V the k leading eigenvectors
 * of P and w their eigenvalues, a person with history r scores
 *
 *   ridge: r Di^-c (t P + V (f(w) - t w) V^T) Di^c,  f(w) = w / (w + ridge),
 *          t = f(w_k) / w_k: the filter f on what is known exactly, continued
 *          as a straight line through 0 on the rest of the spectrum;
 *   plain: r (P + alpha Di^-1/2 V V^T Di^1/2).
 *
 * Source: Shen et al., How powerful is graph convolution for recommendation?,
 * CIKM 2021 (GF-CF): `--filter plain --user-exponent .5 --item-exponent .5`.
 * Differs: the ridge filter and the exponents, both chosen on a validation
 * split of Gowalla; ratings are not looked at.
 *
 * Nothing of a person is used but the history: people whom the model never
 * saw score like the others.
 */
#include <stddef.h>
#include <string.h>

#include "base/cpu.h"
#include "base/la.h"
#include "base/mem.h"
#include "base/par.h"
#include "kernels/power.h"
#include "rec/model.h"
#include "rec/svd.h"

struct gfcf_opts {
    int64_t dim;
    const char *filter;
    double ridge, alpha, user_exponent, item_exponent, popularity;
};

#define AT(f) offsetof(struct gfcf_opts, f)
static const struct opt rows[] = {
    {"dim", 0, OPT_INT, AT(dim), "256", 1, 4096, "N",
     "singular vectors that are kept"},
    {"filter", 0, OPT_CHOICE, AT(filter), "ridge", 0, 0, "ridge|plain",
     "what is done to the spectrum; plain is GF-CF as published"},
    {"ridge", 0, OPT_REAL, AT(ridge), "0.03", 0, 1e6, "L",
     "filter ridge: strength, in units of the largest eigenvalue"},
    {"popularity", 0, OPT_REAL, AT(popularity), "0.3", 0, 2, "C",
     "filter ridge: exponent that turns from rare items to popular ones"},
    {"alpha", 0, OPT_REAL, AT(alpha), "0.3", 0, 1e6, "A",
     "filter plain: weight of the ideal low-pass part"},
    {"user-exponent", 0, OPT_REAL, AT(user_exponent), "0.25", 0, 2, "A",
     "of a person's number of rows in the normalisation; published: 0.5"},
    {"item-exponent", 0, OPT_REAL, AT(item_exponent), "0.35", 0, 2, "B",
     "of an item's number of rows in the normalisation; published: 0.5"},
    {.name = NULL},
};

static double fit_bytes(const struct rec_data *d, const void *opts)
{
    const struct gfcf_opts *o = opts;

    return rec_svd_bytes(d->n_users, d->n_items, (size_t)o->dim) +
           4 * (double)o->dim * (double)d->n_items +
           32 * (double)(d->n_users + d->n_items) + 28 * (double)d->n_rows;
}

/* The arrays of a model: who met what by items, scales, vectors. */
struct view {
    uint64_t *item_ptr;        /* [n_items + 1] */
    uint32_t *item_user;       /* [n_rows] */
    float *user_scale;         /* [n_users] Du^-2a / sigma^2 */
    float *near_in, *near_out; /* [n_items] before and after R^T Du^-2a R */
    float *far_in, *far_out;   /* [n_items] before and after V gain V^T */
    float *gain;               /* [k] */
    float *vectors;            /* [n_items][k] */
    size_t k;
};

static struct view view_of(const struct rec_model *m)
{
    return (struct view){
        .item_ptr = rec_model_array(m, "item_ptr"),
        .item_user = rec_model_array(m, "item_user"),
        .user_scale = rec_model_array(m, "user_scale"),
        .near_in = rec_model_array(m, "near_in"),
        .near_out = rec_model_array(m, "near_out"),
        .far_in = rec_model_array(m, "far_in"),
        .far_out = rec_model_array(m, "far_out"),
        .gain = rec_model_array(m, "gain"),
        .vectors = rec_model_array(m, "vectors"),
        .k = (size_t)((const struct gfcf_opts *)m->opts)->dim,
    };
}

_Static_assert(sizeof(size_t) == sizeof(uint64_t), "pointers are stored");

static enum err allocate(struct rec_model *m, const struct rec_data *d)
{
    const size_t k = (size_t)((const struct gfcf_opts *)m->opts)->dim;
    const struct rec_array_spec spec[] = {
        {"item_ptr", STO_U64, d->n_items + 1, 1},
        {"item_user", STO_U32, d->n_rows, 1},
        {"user_scale", STO_F32, d->n_users, 1},
        {"near_in", STO_F32, d->n_items, 1},
        {"near_out", STO_F32, d->n_items, 1},
        {"far_in", STO_F32, d->n_items, 1},
        {"far_out", STO_F32, d->n_items, 1},
        {"gain", STO_F32, k, 1},
        {"vectors", STO_F32, d->n_items, k},
    };

    return rec_model_alloc(m, d, spec, sizeof(spec) / sizeof(spec[0]));
}

/* n^-p, 0 for n = 0 */
static float power_of(size_t n, double p)
{
    return n > 0 ? (float)krn_power_f64((double)n, -p) : 0;
}

/* Scratch of a fit: Rn by rows and by columns. */
struct graph {
    float *row_val, *col_val; /* [n_rows] */
    float *user, *item;       /* Du^-a, Di^-b */
    double *w;                /* [k] */
};

static void normalise(struct graph *g, const struct rec_data *d,
                      const struct view *v, const struct gfcf_opts *o)
{
    for (size_t u = 0; u < d->n_users; u++)
        g->user[u] =
            power_of(d->user_ptr[u + 1] - d->user_ptr[u], o->user_exponent);
    for (size_t i = 0; i < d->n_items; i++)
        g->item[i] =
            power_of(v->item_ptr[i + 1] - v->item_ptr[i], o->item_exponent);
    for (size_t u = 0; u < d->n_users; u++)
        for (size_t e = d->user_ptr[u]; e < d->user_ptr[u + 1]; e++)
            g->row_val[e] = g->user[u] * g->item[d->item[e]];
    for (size_t i = 0; i < d->n_items; i++)
        for (size_t e = v->item_ptr[i]; e < v->item_ptr[i + 1]; e++)
            g->col_val[e] = g->item[i] * g->user[v->item_user[e]];
}

/* Eigenvalues in units of the largest, and from them the gains; returns t. */
static float gains(const struct graph *g, const struct view *v,
                   const struct gfcf_opts *o)
{
    const bool plain = strcmp(o->filter, "plain") == 0;
    size_t last = 0;
    double t = 1;

    while (last + 1 < v->k && g->w[last + 1] > 0)
        last++;
    if (!plain && g->w[0] > 0)
        t = 1 / (g->w[last] / g->w[0] + o->ridge);
    for (size_t j = 0; j <= last && g->w[0] > 0; j++) {
        const double w = g->w[j] / g->w[0];

        v->gain[j] = (float)(plain ? o->alpha : w / (w + o->ridge) - t * w);
    }
    return (float)t;
}

static void scales(const struct graph *g, const struct view *v,
                   const struct rec_data *d, const struct gfcf_opts *o, float t)
{
    const bool plain = strcmp(o->filter, "plain") == 0;
    /* GF-CF itself does not divide P by its largest value, which is 1 */
    const double unit = g->w[0] > 0 && !plain ? 1 / g->w[0] : 1;

    for (size_t u = 0; u < d->n_users; u++)
        v->user_scale[u] = (float)(unit * (double)(g->user[u] * g->user[u]));
    for (size_t i = 0; i < d->n_items; i++) {
        const size_t n = v->item_ptr[i + 1] - v->item_ptr[i];
        const double c = plain ? .5 : o->popularity;
        const float down = power_of(n, c), up = power_of(n, -c);

        v->far_in[i] = down;
        v->far_out[i] = up;
        v->near_in[i] = g->item[i] * (plain ? 1 : down);
        v->near_out[i] = t * g->item[i] * (plain ? 1 : up);
    }
}

static enum err analyse(struct rec_model *m, const struct rec_data *d,
                        struct graph *g, const struct view *v)
{
    const struct rec_svd svd = {
        .n_rows = d->n_users,
        .n_cols = d->n_items,
        .row_ptr = d->user_ptr,
        .col = d->item,
        .row_val = g->row_val,
        .col_ptr = v->item_ptr,
        .row = v->item_user,
        .col_val = g->col_val,
        .col_key = m->item_key,
        .seed = m->seed,
    };

    normalise(g, d, v, m->opts);
    ERR_TRY(rec_svd_top(&svd, v->k, v->vectors, g->w));
    scales(g, v, d, m->opts, gains(g, v, m->opts));
    return ERR_OK;
}

static enum err fit(struct rec_model *m, const struct rec_data *d,
                    const struct rec_watch *watch)
{
    struct mem_scratch s = {0};
    struct rec_columns cols;
    struct view v;
    enum err err = ERR_OK;

    (void)watch;
    ERR_TRY(allocate(m, d));
    v = view_of(m);
    if (d->n_items == 0)
        return ERR_OK;
    ERR_TRY(rec_columns_build(&cols, d));
    memcpy(v.item_ptr, cols.ptr, (d->n_items + 1) * sizeof(*cols.ptr));
    if (d->n_rows > 0)
        memcpy(v.item_user, cols.user, d->n_rows * sizeof(*cols.user));
    rec_columns_free(&cols);
    struct graph g = {mem_take(&s, d->n_rows, 1, sizeof(float)),
                      mem_take(&s, d->n_rows, 1, sizeof(float)),
                      mem_take(&s, d->n_users, 1, sizeof(float)),
                      mem_take(&s, d->n_items, 1, sizeof(float)),
                      mem_take(&s, v.k, 1, sizeof(double))};

    if (s.failed)
        err = err_set(ERR_NOMEM, "no memory for gfcf: lower --dim");
    else
        err = analyse(m, d, &g, &v);
    mem_drop(&s);
    return err;
}

/* --- scoring ----------------------------------------------------------------
 *
 * What the vectors say is one matrix product for all people, written over the
 * scores.  What the rows say is added by tasks of PEOPLE people, turned over:
 * rows are users or items, columns the people, so that the sparse product
 * streams and what one row needs is one cache line.
 */
enum { PEOPLE = 16, SLICE = 512 }; /* items between two visits of the scores */

struct batch {
    struct view v;
    size_t n_users, n_items;
    const struct rec_query *q;
    float *h;      /* [q->n][k] gain V^T r */
    float *met;    /* [threads][n_users][PEOPLE] Du^-2a R Di^-b r */
    float *near;   /* [threads][SLICE][PEOPLE] */
    float *scores; /* [q->n][n_items] */
};

static void spectrum_task(void *arg, size_t p, size_t thread)
{
    const struct batch *b = arg;
    const size_t k = b->v.k;
    float *h = b->h + p * k;

    (void)thread;
    memset(h, 0, k * sizeof(*h));
    for (size_t c = b->q->ptr[p]; c < b->q->ptr[p + 1]; c++) {
        const size_t i = b->q->item[c];

        cpu_ops()->axpy_f32(h, b->v.far_in[i], b->v.vectors + i * k, k);
    }
    for (size_t j = 0; j < k; j++)
        h[j] *= b->v.gain[j];
}

/* Only people who met something of the histories: the few non-zero rows. */
static void gather(const struct batch *b, size_t first, size_t n, float *met)
{
    const struct view *v = &b->v;

    memset(met, 0, b->n_users * PEOPLE * sizeof(*met));
    for (size_t p = 0; p < n; p++) {
        const size_t *row = b->q->ptr + first + p;

        for (size_t c = row[0]; c < row[1]; c++) {
            const size_t i = b->q->item[c];

            for (size_t e = v->item_ptr[i]; e < v->item_ptr[i + 1]; e++)
                met[v->item_user[e] * (size_t)PEOPLE + p] += v->near_in[i];
        }
    }
    for (size_t u = 0; u < b->n_users; u++)
        for (size_t p = 0; p < PEOPLE; p++)
            met[u * PEOPLE + p] *= v->user_scale[u];
}

/* Items first..last-1 of n people: far and near parts together. */
static void deliver(const struct batch *b, const float *near, size_t first,
                    size_t last, float *scores, size_t n)
{
    for (size_t p = 0; p < n; p++) {
        float *to = scores + p * b->n_items;

        for (size_t i = first; i < last; i++)
            to[i] = b->v.far_out[i] * to[i] +
                    b->v.near_out[i] * near[(i - first) * PEOPLE + p];
    }
}

static void people_task(void *arg, size_t task, size_t thread)
{
    const struct batch *b = arg;
    const size_t first = task * PEOPLE, left = b->q->n - first;
    const size_t n = left < PEOPLE ? left : PEOPLE;
    float *met = b->met + thread * b->n_users * PEOPLE;
    float *near = b->near + thread * SLICE * PEOPLE;

    gather(b, first, n, met);
    for (size_t i = 0; i < b->n_items; i += SLICE) {
        const size_t last = i + SLICE < b->n_items ? i + SLICE : b->n_items;
        const struct krn_spmm s = {.last = last - i,
                                   .d = PEOPLE,
                                   .ptr = b->v.item_ptr + i,
                                   .idx = b->v.item_user,
                                   .x = met,
                                   .ldx = PEOPLE,
                                   .y = near,
                                   .ldy = PEOPLE};

        cpu_ops()->spmm_f32(&s);
        deliver(b, near, i, last, b->scores + first * b->n_items, n);
    }
}

static enum err score_all(struct batch *b)
{
    par_for(b->q->n, spectrum_task, b);
    ERR_TRY(la_gemm(&(struct krn_gemm){.tb = true,
                                       .m = b->q->n,
                                       .n = b->n_items,
                                       .k = b->v.k,
                                       .a = b->h,
                                       .lda = b->v.k,
                                       .b = b->v.vectors,
                                       .ldb = b->v.k,
                                       .c = b->scores,
                                       .ldc = b->n_items}));
    par_for((b->q->n + PEOPLE - 1) / PEOPLE, people_task, b);
    return ERR_OK;
}

static enum err score(const struct rec_model *m, const struct rec_query *q,
                      float *scores)
{
    const size_t threads = par_threads();
    struct mem_scratch s = {0};
    struct batch b = {.v = view_of(m),
                      .n_users = m->n_users,
                      .n_items = m->n_items,
                      .q = q,
                      .scores = scores};
    enum err err;

    b.h = mem_take(&s, q->n, b.v.k, sizeof(float));
    b.met = mem_take(&s, m->n_users, threads * PEOPLE, sizeof(float));
    b.near = mem_take(&s, SLICE, threads * PEOPLE, sizeof(float));
    if (s.failed)
        err = err_set(ERR_NOMEM, "no memory to score people with gfcf");
    else
        err = score_all(&b);
    mem_drop(&s);
    return err;
}

static bool valid_graph(const struct rec_model *m)
{
    const struct view v = view_of(m);
    const uint64_t n = v.item_ptr[m->n_items];

    if (v.item_ptr[0] != 0 || !rec_model_has(m, "item_user", STO_U32, n, 1))
        return false;
    for (size_t i = 0; i < m->n_items; i++)
        if (v.item_ptr[i] > v.item_ptr[i + 1])
            return false;
    for (size_t e = 0; e < n; e++)
        if (v.item_user[e] >= m->n_users)
            return false;
    return true;
}

static bool valid(const struct rec_model *m)
{
    static const char *const by_item[] = {"near_in", "near_out", "far_in",
                                          "far_out"};
    const size_t k = (size_t)((const struct gfcf_opts *)m->opts)->dim;
    bool ok = rec_model_has(m, "item_ptr", STO_U64, m->n_items + 1, 1) &&
              rec_model_has(m, "user_scale", STO_F32, m->n_users, 1) &&
              rec_model_has(m, "gain", STO_F32, k, 1) &&
              rec_model_has(m, "vectors", STO_F32, m->n_items, k);

    for (size_t j = 0; j < sizeof(by_item) / sizeof(by_item[0]); j++)
        ok = ok && rec_model_has(m, by_item[j], STO_F32, m->n_items, 1);
    for (size_t a = 0; a < m->n_arrays; a++) /* before anything reads it */
        if (strcmp(m->array[a].name, "item_user") == 0)
            return ok && valid_graph(m);
    return false;
}

extern const struct rec_model_ops rec_model_gfcf;
const struct rec_model_ops rec_model_gfcf = {
    .name = "gfcf",
    .help = "GF-CF: a spectral filter of the item graph, without training",
    .opts = rows,
    .opts_bytes = sizeof(struct gfcf_opts),
    .fit_bytes = fit_bytes,
    .fit = fit,
    .score = score,
    .valid = valid,
};
