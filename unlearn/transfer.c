/*
 * unlearn/transfer.c - the decomposition, by iterations of a subspace.
 *
 * Let F = D^-1/2 X, G = D^-1/2 Y, P = F^T F, Q = G^T G (ridged), C = F^T N G
 * for N = D^-1/2 R D^-1/2.  The best maps of rank d are the leading singular
 * pairs of P^-1/2 C Q^-1/2.  A block Z of a few more columns than d is turned
 * towards them by Z <- Q^-1 C^T P^-1 C Z, kept orthonormal in the metric Q.
 * Nothing but products of matrices and the inverses of P and Q.
 */
#include "unlearn/transfer.h"

#include <math.h>
#include <string.h>

#include "base/la.h"
#include "base/par.h"
#include "base/rng.h"
#include "kernels/eig.h"

#define ROUNDS 6
#define RIDGE 1e-3f
#define TASK 1024 /* rows of a task */

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory to bring shards into one space");
}

/* --- the rows ---------------------------------------------------------------
 */

static void fill_roots(struct unl_transfer *t, size_t side)
{
    const size_t *ptr = t->ptr[side];

    for (size_t i = 0; i < t->rows[side]; i++)
        t->root[side][i] =
            ptr[i + 1] > ptr[i] ? 1 / sqrtf((float)(ptr[i + 1] - ptr[i])) : 0;
}

static void fill_values(struct unl_transfer *t, size_t side)
{
    const size_t *ptr = t->ptr[side];

    for (size_t i = 0; i < t->rows[side]; i++) {
        for (size_t r = ptr[i]; r < ptr[i + 1]; r++)
            t->val[side][r] =
                t->root[side][i] * t->root[1 - side][t->idx[side][r]];
    }
}

enum err unl_transfer_init(struct unl_transfer *t, const struct rec_data *d,
                           float *const x[2], size_t width)
{
    *t = (struct unl_transfer){
        .rows = {d->n_users, d->n_items}, .width = width, .x = {x[0], x[1]}};
    ERR_TRY(rec_columns_build(&t->cols, d));
    t->ptr[0] = d->user_ptr;
    t->idx[0] = d->item;
    t->ptr[1] = t->cols.ptr;
    t->idx[1] = t->cols.user;
    for (size_t side = 0; side < 2; side++) {
        t->val[side] = mem_take(&t->s, d->n_rows, 1, sizeof(float));
        t->root[side] = mem_take(&t->s, t->rows[side], 1, sizeof(float));
    }
    if (t->s.failed)
        return no_memory();
    for (size_t side = 0; side < 2; side++)
        fill_roots(t, side);
    for (size_t side = 0; side < 2; side++)
        fill_values(t, side);
    return ERR_OK;
}

void unl_transfer_free(struct unl_transfer *t)
{
    rec_columns_free(&t->cols);
    mem_drop(&t->s);
}

void unl_transfer_met(const struct unl_transfer *t, size_t side, const float *x,
                      float *y, size_t n)
{
    la_spmm(&(struct krn_spmm){.last = t->rows[side],
                               .d = n,
                               .ptr = t->ptr[side],
                               .idx = t->idx[side],
                               .val = t->val[side],
                               .x = x,
                               .ldx = n,
                               .y = y,
                               .ldy = n});
}

/* --- the matrices -----------------------------------------------------------
 */

struct solve {
    const struct unl_transfer *t;
    size_t w, m;                /* width; columns of the block */
    float *metric[2], *back[2]; /* [w][w] P and Q, their inverses */
    float *cross;               /* [w][w] C */
    float *z, *tmp, *turned;    /* [w][m] */
    float *gram;                /* [m][m] */
    double *eig;                /* [m + 3][m] */
};

/* c[m][n] = a b, or a^T b, of dense matrices without gaps. */
static enum err times(float *c, const float *a, bool turned, const float *b,
                      size_t m, size_t n, size_t k)
{
    return la_gemm(&(struct krn_gemm){.ta = turned,
                                      .m = m,
                                      .n = n,
                                      .k = k,
                                      .a = a,
                                      .lda = turned ? m : k,
                                      .b = b,
                                      .ldb = n,
                                      .c = c,
                                      .ldc = n});
}

struct scaling {
    const struct unl_transfer *t;
    size_t side;
    float *to;
};

static void scale_task(void *arg, size_t task, size_t thread)
{
    const struct scaling *s = arg;
    const size_t n = s->t->rows[s->side], w = s->t->width;
    const float *x = s->t->x[s->side];

    (void)thread;
    for (size_t i = task * TASK; i < (task + 1) * TASK && i < n; i++) {
        const float by = s->t->root[s->side][i];

        for (size_t k = 0; k < w; k++)
            s->to[i * w + k] = by * x[i * w + k];
    }
}

static void scaled(const struct unl_transfer *t, size_t side, float *to)
{
    par_for((t->rows[side] + TASK - 1) / TASK, scale_task,
            &(struct scaling){t, side, to});
}

/* The metric of one side and its inverse from its scaled vectors. */
static enum err metric(struct solve *s, size_t side, const float *f)
{
    const size_t w = s->w;
    float *g = s->metric[side];

    ERR_TRY(la_gram(g, f, s->t->rows[side], w));
    for (size_t k = 0; k < w; k++)
        g[k * w + k] = g[k * w + k] > 0 ? g[k * w + k] * (1 + RIDGE) : 1;
    memcpy(s->back[side], g, w * w * sizeof(*g));
    return la_spd_inverse(s->back[side], w);
}

static enum err matrices(struct solve *s)
{
    const size_t n = s->t->rows[0], items = s->t->rows[1], w = s->w;
    struct mem_scratch room = {0};
    float *f = mem_take_raw(&room, n, w, sizeof(float));
    float *g = mem_take_raw(&room, items, w, sizeof(float));
    float *met = mem_take_raw(&room, n, w, sizeof(float));
    enum err e = room.failed ? no_memory() : ERR_OK;

    if (e == ERR_OK) {
        scaled(s->t, 0, f);
        scaled(s->t, 1, g);
        e = metric(s, 0, f);
    }
    if (e == ERR_OK)
        e = metric(s, 1, g);
    if (e == ERR_OK) {
        unl_transfer_met(s->t, 0, g, met, w);
        e = times(s->cross, f, true, met, w, w, n);
    }
    mem_drop(&room);
    return e;
}

/* --- the block --------------------------------------------------------------
 */

/* Eigenvectors of the symmetric gram[m][m] into eig (rows), values after. */
static enum err decompose(struct solve *s)
{
    const size_t m = s->m;

    for (size_t i = 0; i < m; i++) {
        for (size_t k = 0; k < m; k++)
            s->eig[i * m + k] =
                ((double)s->gram[i * m + k] + (double)s->gram[k * m + i]) / 2;
    }
    return krn_eig_sym_f64(s->eig, s->eig + m * m, s->eig + m * m + m, m)
               ? ERR_OK
               : err_set(ERR_NUM, "the vectors of the shards are no numbers");
}

/* gram = the eigenvectors as columns, each times the fourth root of its value,
 * or divided by it; those that rounding made go. */
static void columns(struct solve *s, bool divide)
{
    const double *value = s->eig + s->m * s->m;
    const double least = value[0] > 0 ? 1e-6 * value[0] : 0;

    for (size_t k = 0; k < s->m; k++) {
        const double root = value[k] > least ? sqrt(sqrt(value[k])) : 0;
        const double by = divide && root > 0 ? 1 / root : root;

        for (size_t j = 0; j < s->m; j++)
            s->gram[j * s->m + k] = (float)(s->eig[k * s->m + j] * by);
    }
}

/* eig = the lower factor of gram[m][m]; what depends on columns before it gets
 * a pivot of 0. */
static void factorise(struct solve *s)
{
    const size_t m = s->m;
    double *l = s->eig;

    for (size_t j = 0; j < m; j++) {
        for (size_t i = j; i < m; i++) {
            double sum = (double)s->gram[i * m + j];

            for (size_t k = 0; k < j; k++)
                sum -= l[i * m + k] * l[j * m + k];
            if (i == j)
                l[j * m + j] =
                    sum > 1e-6 * (double)s->gram[j * m + j] && sum > 0
                        ? sqrt(sum)
                        : 0;
            else
                l[i * m + j] = l[j * m + j] > 0 ? sum / l[j * m + j] : 0;
        }
    }
}

/* gram = L^-T for the factor L; columns of no pivot go. */
static void invert(struct solve *s)
{
    const size_t m = s->m;
    const double *l = s->eig;

    memset(s->gram, 0, m * m * sizeof(*s->gram));
    for (size_t c = 0; c < m; c++) { /* column c of L^-1 into row c */
        double *x = s->eig + m * m;

        for (size_t i = 0; i < m; i++) {
            double sum = i == c;

            for (size_t k = c; k < i; k++)
                sum -= l[i * m + k] * x[k];
            x[i] = i >= c && l[i * m + i] > 0 ? sum / l[i * m + i] : 0;
            s->gram[c * m + i] = (float)x[i];
        }
    }
}

/* z becomes orthonormal in the metric of the items. */
static enum err orthonormal(struct solve *s)
{
    const size_t w = s->w, m = s->m;

    ERR_TRY(times(s->tmp, s->metric[1], false, s->z, w, m, w));
    ERR_TRY(times(s->gram, s->z, true, s->tmp, m, m, w));
    factorise(s);
    invert(s);
    memcpy(s->tmp, s->z, w * m * sizeof(*s->z));
    return times(s->z, s->tmp, false, s->gram, w, m, m);
}

/* turned = P^-1 C z, tmp = C z. */
static enum err turn(struct solve *s)
{
    ERR_TRY(times(s->tmp, s->cross, false, s->z, s->w, s->m, s->w));
    return times(s->turned, s->back[0], false, s->tmp, s->w, s->m, s->w);
}

static enum err iterate(struct solve *s)
{
    const size_t w = s->w, m = s->m;

    for (size_t i = 0; i < w * m; i++)
        s->z[i] = (float)rng_normal(1, RNG_PROJECT, i);
    ERR_TRY(orthonormal(s));
    for (size_t round = 0; round < ROUNDS; round++) {
        ERR_TRY(turn(s));
        ERR_TRY(times(s->tmp, s->cross, true, s->turned, w, m, w));
        ERR_TRY(times(s->z, s->back[1], false, s->tmp, w, m, w));
        ERR_TRY(orthonormal(s));
    }
    return ERR_OK;
}

/* map[w][to] = x[w][m] times the first columns of gram. */
static enum err finish(const struct solve *s, const float *x, size_t to,
                       float *map)
{
    return la_gemm(&(struct krn_gemm){.m = s->w,
                                      .n = to,
                                      .k = s->m,
                                      .a = x,
                                      .lda = s->m,
                                      .b = s->gram,
                                      .ldb = s->m,
                                      .c = map,
                                      .ldc = to});
}

/* With V S^2 V^T = (C z)^T P^-1 C z the maps are P^-1 C z V S^-1/2 and
 * z V S^1/2: scores are the same as with S on one side, and lengths agree. */
static enum err maps(struct solve *s, size_t to, float *const map[2])
{
    ERR_TRY(turn(s));
    ERR_TRY(times(s->gram, s->tmp, true, s->turned, s->m, s->m, s->w));
    ERR_TRY(decompose(s));
    columns(s, true);
    ERR_TRY(finish(s, s->turned, to, map[0]));
    columns(s, false);
    return finish(s, s->z, to, map[1]);
}

enum err unl_transfer_solve(const struct unl_transfer *t, size_t to,
                            float *const map[2])
{
    const size_t w = t->width, wide = to + to / 8 + 8;
    struct mem_scratch room = {0};
    struct solve s = {.t = t, .w = w, .m = wide < w ? wide : w};
    enum err e = ERR_OK;

    for (size_t side = 0; side < 2; side++) {
        s.metric[side] = mem_take_raw(&room, w, w, sizeof(float));
        s.back[side] = mem_take_raw(&room, w, w, sizeof(float));
    }
    s.cross = mem_take_raw(&room, w, w, sizeof(float));
    s.z = mem_take(&room, w, s.m, sizeof(float));
    s.tmp = mem_take(&room, w, s.m, sizeof(float));
    s.turned = mem_take(&room, w, s.m, sizeof(float));
    s.gram = mem_take(&room, s.m, s.m, sizeof(float));
    s.eig = mem_take(&room, s.m + 3, s.m, sizeof(double));
    if (room.failed)
        e = no_memory();
    if (e == ERR_OK)
        e = matrices(&s);
    if (e == ERR_OK)
        e = iterate(&s);
    if (e == ERR_OK)
        e = maps(&s, to, map);
    mem_drop(&room);
    return e;
}
