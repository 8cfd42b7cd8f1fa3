/*
 * rec/model_dpsvd.c - item factors under user-level differential privacy.
 *
 * Every person is a vector over the items: at most --cap of their rows, each
 * over a power of the item's number of rows, at length one.  Subspace iteration
 * on the sum of the people's outer products finds its leading eigenvectors; in
 * each round a person adds their vector times (their vector times the basis),
 * clipped to --clip, and noise is added to the sum (rec/dp.h).  How many rows
 * an item has is such a noisy sum too.  Eigenvalues below what noise alone
 * would give are cut off.
 *
 * Nothing of a person is learnt: everybody, known or not, is answered from
 * their own history through the noisy item factors (joint differential
 * privacy).  What --dp-epsilon speaks of: everything that is computed from
 * others' rows in a list or a score.  The model's file also names its people
 * (a repair needs them), and is not for publication.
 *
 * Noise is drawn from a key of the store and from the rows: the same rows give
 * the same model, one row less gives other noise, so that the model before a
 * forget request and the one after it are two releases (their epsilons add up)
 * and do not differ by the person alone.
 *
 * Source: Hardt & Price, The noisy power method, NeurIPS 2014; the split in
 * noisy item side and exact user side: Chien et al., Private alternating least
 * squares, ICML 2021.  Differs: eigenvectors in place of alternating steps.
 */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/la.h"
#include "base/mem.h"
#include "base/rng.h"
#include "kernels/power.h"
#include "rec/dp.h"
#include "rec/model.h"
#include "rec/turn.h"

struct dpsvd_opts {
    int64_t dim, cap, rounds;
    double epsilon, delta, clip, rate, item_exponent, ridge, popularity;
};

#define AT(f) offsetof(struct dpsvd_opts, f)
static const struct opt rows[] = {
    {"dp-epsilon", 0, OPT_REAL, AT(epsilon), "8", 1e-3, 1e6, "E",
     "bound of what one person can change; 10000 or more: no noise"},
    {"dp-delta", 0, OPT_REAL, AT(delta), "1e-5", 1e-15, 0.1, "D",
     "chance that the bound does not hold; below 1 / people"},
    {"dim", 0, OPT_INT, AT(dim), "32", 1, 1024, "N",
     "eigenvectors that are kept; more carry more noise"},
    {"rounds", 0, OPT_INT, AT(rounds), "3", 1, 1000, "T",
     "of the iteration; each spends of --dp-epsilon"},
    {"clip", 0, OPT_REAL, AT(clip), "0.05", 1e-6, 1, "C",
     "length to which a person's part in a round is clipped"},
    {"cap", 0, OPT_INT, AT(cap), "500", 1, 1e6, "N",
     "rows of a person that count"},
    {"rate", 0, OPT_REAL, AT(rate), "1", 1e-4, 1, "Q",
     "chance of each person to take part in a round"},
    {"item-exponent", 0, OPT_REAL, AT(item_exponent), "0.1", 0, 1, "B",
     "of an item's number of rows in the vectors"},
    {"ridge", 0, OPT_REAL, AT(ridge), "0.003", 0, 1e6, "L",
     "of the filter of the spectrum, in units of the largest eigenvalue"},
    {"popularity", 0, OPT_REAL, AT(popularity), "0.15", 0, 2, "C",
     "exponent that turns from rare items to popular ones"},
    {.name = NULL},
};

#define NOISELESS 1e4 /* epsilon from which on there is no noise */
#define FIRST 2.0     /* noise of the items' numbers, in units of the others' */

static double fit_bytes(const struct rec_data *d, const void *opts)
{
    const struct dpsvd_opts *o = opts;
    const double k = (double)o->dim;

    return 16 * k * (double)(d->n_items + d->n_users) + 60 * (double)d->n_rows;
}

/* Scratch of a fit. */
struct run {
    struct rec_model *m;
    const struct rec_data *d; /* capped */
    const struct dpsvd_opts *o;
    struct rec_columns cols;
    size_t k;
    double sigma;
    unsigned char key[REC_DP_KEY]; /* of this store, seed and these rows */
    float *row_val, *col_val;      /* [n_rows] people's vectors */
    float *count;                  /* [n_items] noisy */
    float *weight;                 /* [n_items] count^-b */
    float *x, *y;                  /* [n_items][k] basis, and its image */
    float *p;                      /* [n_users][k] */
    float *gram;                   /* [k] */
};

/* --- people's vectors -------------------------------------------------------
 */

struct row_draw {
    uint32_t draw;
    size_t row;
};

static int by_draw(const void *a, const void *b)
{
    const struct row_draw *x = a, *y = b;

    return x->draw != y->draw ? (x->draw < y->draw ? -1 : 1)
                              : (x->row > y->row) - (x->row < y->row);
}

/* The rows that count: of each person the `cap` smallest draws. */
static enum err choose_rows(const struct rec_data *d, size_t cap, uint64_t seed,
                            uint8_t *keep)
{
    struct row_draw *draw = mem_array(rec_data_most_rows(d), sizeof(*draw));

    if (draw == NULL)
        return err_set(ERR_NOMEM, "no memory to train dpsvd");
    for (size_t u = 0; u < d->n_users; u++) {
        const size_t from = d->user_ptr[u], n = d->user_ptr[u + 1] - from;

        for (size_t r = 0; r < n; r++)
            draw[r] =
                (struct row_draw){rng_pair(seed, RNG_NOISE, d->user_key[u],
                                           d->item_key[d->item[from + r]])
                                      .v[0],
                                  from + r};
        if (n > cap)
            qsort(draw, n, sizeof(*draw), by_draw);
        for (size_t r = 0; r < n && r < cap; r++)
            keep[draw[r].row] = 1;
    }
    free(draw);
    return ERR_OK;
}

/* Entries weight[item], each person's at length one, by rows and columns. */
static void make_vectors(struct run *r)
{
    const struct rec_data *d = r->d;

    for (size_t u = 0; u < d->n_users; u++) {
        const size_t from = d->user_ptr[u], end = d->user_ptr[u + 1];
        double square = 0;

        for (size_t e = from; e < end; e++)
            square +=
                (double)r->weight[d->item[e]] * (double)r->weight[d->item[e]];
        for (size_t e = from; e < end; e++)
            r->row_val[e] =
                (float)((double)r->weight[d->item[e]] / sqrt(square));
    }
    for (size_t e = 0; e < d->n_rows; e++)
        r->col_val[e] = r->row_val[r->cols.row[e]];
}

static enum err noise(struct run *r, float *x, size_t n, double deviation,
                      uint64_t what)
{
    return r->o->epsilon >= NOISELESS
               ? ERR_OK
               : rec_dp_noise(x, n, deviation, r->key, what);
}

/* How many rows items have, with noise: everybody's rows at length one, then
 * scaled to the number of people that there seem to be. */
static enum err count_items(struct run *r)
{
    const struct rec_data *d = r->d;
    const double floor_at =
        r->o->epsilon >= NOISELESS ? 1e-3 : 2 * FIRST * r->sigma;

    for (size_t u = 0; u < d->n_users; u++) {
        const size_t from = d->user_ptr[u], end = d->user_ptr[u + 1];

        for (size_t e = from; e < end; e++)
            r->count[d->item[e]] += 1 / sqrtf((float)(end - from));
    }
    ERR_TRY(noise(r, r->count, d->n_items, FIRST * r->sigma, 0));
    for (size_t i = 0; i < d->n_items; i++) {
        const double n = fmax((double)r->count[i], floor_at);

        r->count[i] = (float)n;
        r->weight[i] = (float)krn_power_f64(n, -r->o->item_exponent);
    }
    return ERR_OK;
}

/* --- rounds
 * -------------------------------------------------------------------
 */

static bool takes_part(const struct run *r, size_t u, uint64_t round)
{
    uint64_t secret; /* who takes part must not be known either */

    memcpy(&secret, r->key, sizeof(secret));
    return r->o->rate >= 1 ||
           (double)rng_f32(rng_derive(secret, RNG_SHUFFLE, r->d->user_key[u]),
                           RNG_SHUFFLE, round) < r->o->rate;
}

/* p = R x, each person's row clipped; y = R^T p, and noise. */
static enum err one_round(struct run *r, uint64_t round)
{
    const struct rec_data *d = r->d;
    const size_t k = r->k;

    la_spmm(&(struct krn_spmm){.last = d->n_users,
                               .d = k,
                               .ptr = d->user_ptr,
                               .idx = d->item,
                               .val = r->row_val,
                               .x = r->x,
                               .ldx = k,
                               .y = r->p,
                               .ldy = k});
    for (size_t u = 0; u < d->n_users; u++) {
        float *p = r->p + u * k;
        double square = 0;

        for (size_t j = 0; j < k; j++)
            square += (double)p[j] * (double)p[j];
        const double clip = r->o->clip / sqrt(square);
        const float by = !takes_part(r, u, round) ? 0
                         : clip < 1               ? (float)clip
                                                  : 1;

        for (size_t j = 0; j < k; j++)
            p[j] *= by;
    }
    la_spmm(&(struct krn_spmm){.last = d->n_items,
                               .d = k,
                               .ptr = r->cols.ptr,
                               .idx = r->cols.user,
                               .val = r->col_val,
                               .x = r->p,
                               .ldx = k,
                               .y = r->y,
                               .ldy = k});
    return noise(r, r->y, d->n_items * k, r->sigma * r->o->clip, round);
}

/* y's columns, made orthogonal and of length one, become the basis; gram[j] is
 * the square of the j-th length. */
static enum err new_basis(struct run *r)
{
    ERR_TRY(rec_turn_axes(r->y, r->d->n_items, r->y, 0, r->k, r->gram));
    for (size_t i = 0; i < r->d->n_items; i++) {
        for (size_t j = 0; j < r->k; j++)
            r->x[i * r->k + j] =
                r->gram[j] > 0 ? r->y[i * r->k + j] / sqrtf(r->gram[j]) : 0;
    }
    return ERR_OK;
}

static enum err iterate(struct run *r)
{
    for (size_t i = 0; i < r->d->n_items; i++) {
        const uint64_t stream =
            rng_derive(r->m->seed, RNG_PROJECT, r->d->item_key[i]);

        for (size_t j = 0; j < r->k; j++)
            r->y[i * r->k + j] = (float)rng_normal(stream, RNG_INIT, j);
    }
    ERR_TRY(new_basis(r));
    for (uint64_t t = 1; t <= (uint64_t)r->o->rounds; t++) {
        ERR_TRY(one_round(r, t));
        ERR_TRY(new_basis(r));
    }
    return ERR_OK;
}

/* --- the model
 * ------------------------------------------------------------------
 */

/* What is left of an eigenvalue when noise is taken off, through the filter. */
static void gains(const struct run *r, float *gain)
{
    const double edge =
        r->o->epsilon >= NOISELESS
            ? 0
            : r->sigma * r->o->clip *
                  (sqrt((double)r->d->n_items) + sqrt((double)r->k));
    double first = 0;

    for (size_t j = 0; j < r->k; j++) {
        const double w =
            sqrt(fmax((double)r->gram[j] - edge * edge, 0)) / r->o->rate;

        first = w > first ? w : first;
        gain[j] = first > 0 ? (float)(w / (w + r->o->ridge * first)) : 0;
    }
}

static void finish(const struct run *r)
{
    uint32_t *popularity = rec_model_array(r->m, "popularity");
    float *in = rec_model_array(r->m, "in");
    float *items = rec_model_array(r->m, "items");
    float *gain = rec_model_array(r->m, "gain");

    gains(r, gain);
    for (size_t i = 0; i < r->d->n_items; i++) {
        const double n = (double)r->count[i];

        /* exact numbers of rows have no place in a private model */
        popularity[i] = (uint32_t)(n + 0.5);
        in[i] = (float)krn_power_f64(n, -r->o->popularity);
        for (size_t j = 0; j < r->k; j++)
            items[i * r->k + j] =
                r->x[i * r->k + j] * (float)krn_power_f64(n, r->o->popularity);
    }
}

/* The rows name the noise: see the head of this file. */
static void make_key(struct run *r, const struct rec_data *d)
{
    unsigned char digest[KEY_DIGEST_BYTES];
    struct key_digest k;

    rec_data_digest(d, digest);
    key_digest_init(&k);
    key_digest_add(&k, r->m->secret, sizeof(r->m->secret));
    key_digest_add(&k, &r->m->seed, sizeof(r->m->seed));
    key_digest_add(&k, digest, sizeof(digest));
    key_digest_end(&k, r->key);
}

static enum err take(struct run *r, struct mem_scratch *s)
{
    const size_t k = r->k, n = r->d->n_items;

    r->row_val = mem_take(s, r->d->n_rows, 1, sizeof(float));
    r->col_val = mem_take(s, r->d->n_rows, 1, sizeof(float));
    r->count = mem_take(s, n, 1, sizeof(float));
    r->weight = mem_take(s, n, 1, sizeof(float));
    r->x = mem_take(s, n, k, sizeof(float));
    r->y = mem_take(s, n, k, sizeof(float));
    r->p = mem_take(s, r->d->n_users, k, sizeof(float));
    r->gram = mem_take(s, k, 1, sizeof(float));
    return s->failed ? err_set(ERR_NOMEM, "no memory to train dpsvd") : ERR_OK;
}

static enum err fit_capped(struct run *r)
{
    struct mem_scratch s = {0};
    enum err e = take(r, &s);

    if (e == ERR_OK)
        e = rec_columns_build(&r->cols, r->d);
    if (e == ERR_OK && r->o->epsilon < NOISELESS)
        e = rec_dp_sigma(r->o->epsilon, r->o->delta, r->o->rate,
                         (uint64_t)r->o->rounds, FIRST, &r->sigma);
    if (e == ERR_OK)
        e = count_items(r);
    if (e == ERR_OK) {
        make_vectors(r);
        e = iterate(r);
    }
    if (e == ERR_OK)
        finish(r);
    rec_columns_free(&r->cols);
    mem_drop(&s);
    return e;
}

static enum err fit(struct rec_model *m, const struct rec_data *d,
                    const struct rec_watch *watch)
{
    const struct dpsvd_opts *o = m->opts;
    const size_t k = (size_t)o->dim < d->n_items ? (size_t)o->dim : d->n_items;
    const struct rec_array_spec spec[] = {
        {"items", STO_F32, d->n_items, k},
        {"in", STO_F32, d->n_items, 1},
        {"gain", STO_F32, k, 1},
    };
    struct run r = {.m = m, .o = o, .k = k};
    struct rec_data capped = {0};
    uint8_t *keep = mem_array(d->n_rows, 1);

    (void)watch;
    enum err e = keep == NULL ? err_set(ERR_NOMEM, "no memory to train dpsvd")
                              : choose_rows(d, (size_t)o->cap, m->seed, keep);

    if (e == ERR_OK)
        e = rec_data_subset(&capped, d, keep);
    free(keep);
    if (e == ERR_OK)
        e = rec_model_alloc(m, d, spec, 3);
    if (e == ERR_OK) {
        r.d = &capped;
        make_key(&r, d);
        e = fit_capped(&r);
    }
    rec_data_free(&capped);
    return e;
}

/* --- answers
 * --------------------------------------------------------------------
 */

static enum err embed(const struct rec_model *m, const struct rec_query *q,
                      float *vec)
{
    const size_t k = rec_model_cols(m, "items");
    const float *items = rec_model_array(m, "items");
    const float *in = rec_model_array(m, "in");
    const float *gain = rec_model_array(m, "gain");

    memset(vec, 0, q->n * k * sizeof(*vec));
    for (size_t p = 0; p < q->n; p++) {
        float *v = vec + p * k;

        for (size_t c = q->ptr[p]; c < q->ptr[p + 1]; c++) {
            const size_t i = q->item[c];

            for (size_t j = 0; j < k; j++) /* in^2: items hold the inverse */
                v[j] += in[i] * in[i] * items[i * k + j];
        }
        for (size_t j = 0; j < k; j++)
            v[j] *= gain[j];
    }
    return ERR_OK;
}

static const float *item_vectors(const struct rec_model *m, size_t *d)
{
    *d = rec_model_cols(m, "items");
    return rec_model_array(m, "items");
}

static bool valid(const struct rec_model *m)
{
    const size_t k = rec_model_cols(m, "items");

    return k > 0 && rec_model_has(m, "items", STO_F32, m->n_items, k) &&
           rec_model_has(m, "in", STO_F32, m->n_items, 1) &&
           rec_model_has(m, "gain", STO_F32, k, 1);
}

extern const struct rec_model_ops rec_model_dpsvd;
const struct rec_model_ops rec_model_dpsvd = {
    .name = "dpsvd",
    .help = "item factors under user-level differential privacy",
    .opts = rows,
    .opts_bytes = sizeof(struct dpsvd_opts),
    .secretive = true,
    .fit_bytes = fit_bytes,
    .fit = fit,
    .embed = embed,
    .item_vectors = item_vectors,
    .valid = valid,
};
