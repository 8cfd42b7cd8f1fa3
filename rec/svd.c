/*
 * rec/svd.c - block subspace iteration with a Chebyshev filter.
 *
 * X [n][d] holds d approximate eigenvectors of P = R^T R (n columns).  A round
 * is: orthonormalise X; Rayleigh-Ritz (rotate X so that X^T P X is diagonal);
 * filter X by T_3(2 P / c - 1), which stays within [-1, 1] on [0, c] and grows
 * fast above c, the smallest Ritz value.  Directions above c so outgrow those
 * below; null directions keep their length, so a rank below d does no harm.
 */
#include "rec/svd.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/la.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "kernels/eig.h"

enum {
    POWERS = 2,  /* first rounds: x = P x, while Ritz values mean nothing */
    ROUNDS = 10, /* in all; the vectors at the cut are then good to 1e-2 */
    CHUNK = 512, /* rows of an elementwise task */
};

/* Never filter with c below this part of the largest value: T_3 would then
 * amplify the rounding error of float beyond what orthonormalising undoes. */
static const double least_cut = .05;

/* Shift of the unit-diagonal Gram matrix in the two passes of Cholesky QR:
 * the first is above the rounding error of a float Gram matrix, so that it
 * stays positive definite whatever x is; the second repairs what that spoils.
 * Source: Fukaya et al., "Shifted Cholesky QR", SIAM J. Sci. Comput. 42. */
static const double shift[2] = {1e-3, 1e-6};
/* What is left of a column that is none, in each pass; a float Gram matrix is
 * good to about as much. */
static const double nothing[2] = {0, 1e-5};
/* A Ritz value below this part of the largest is rounding. */
static const double none_left = 1e-7;

struct block {
    const struct rec_svd *r;
    size_t n, d;
    float *x, *y, *z; /* [n][d] */
    float *u;         /* [n_rows][d] */
    float *gram;      /* [d][d] */
    double *a;        /* [d][d] */
    double *w;        /* [d] */
    double *work;     /* [2 d] */
};

/* The rank is at most the number of rows. */
static size_t block_width(size_t n_rows, size_t n_cols, size_t k)
{
    const size_t most = n_rows < n_cols ? n_rows : n_cols;
    const size_t d = k + k / 8 + 8;

    return d < most ? d : most;
}

double rec_svd_bytes(size_t n_rows, size_t n_cols, size_t k)
{
    const double d = (double)block_width(n_rows, n_cols, k);

    return 4 * d * (3 * (double)n_cols + (double)n_rows) + 12 * d * d;
}

static void start_task(void *arg, size_t task, size_t thread)
{
    const struct block *b = arg;
    const size_t first = task * CHUNK;
    const size_t last = first + CHUNK < b->n ? first + CHUNK : b->n;

    (void)thread;
    for (size_t i = first; i < last; i++)
        for (size_t j = 0; j < b->d; j++)
            b->x[i * b->d + j] =
                rng_f32(b->r->seed, RNG_INIT, b->r->col_key[i] + j) - .5f;
}

/* u = R x */
static void times_r(const struct block *b, const float *x)
{
    la_spmm(&(struct krn_spmm){.last = b->r->n_rows,
                               .d = b->d,
                               .ptr = b->r->row_ptr,
                               .idx = b->r->col,
                               .val = b->r->row_val,
                               .x = x,
                               .ldx = b->d,
                               .y = b->u,
                               .ldy = b->d});
}

/* y = R^T R x; leaves R x in u */
static void times_p(const struct block *b, const float *x, float *y)
{
    times_r(b, x);
    la_spmm(&(struct krn_spmm){.last = b->r->n_cols,
                               .d = b->d,
                               .ptr = b->r->col_ptr,
                               .idx = b->r->row,
                               .val = b->r->col_val,
                               .x = b->u,
                               .ldx = b->d,
                               .y = y,
                               .ldy = b->d});
}

/* x = x T for T [d][d] in gram; the old x ends up in y. */
static enum err rotate(struct block *b)
{
    float *const old = b->x;

    ERR_TRY(la_gemm(&(struct krn_gemm){.m = b->n,
                                       .n = b->d,
                                       .k = b->d,
                                       .a = b->x,
                                       .lda = b->d,
                                       .b = b->gram,
                                       .ldb = b->d,
                                       .c = b->y,
                                       .ldc = b->d}));
    b->x = b->y;
    b->y = old;
    return ERR_OK;
}

/* a = L (lower) with L L^T = S gram S + more, S = diag(w) making the
 * diagonal 1 (0 for a zero column).  A column that the ones before it explain
 * to within `none` has no direction of its own: it becomes zero, for good (a
 * matrix of lower rank than the block is wide has many). */
static void cholesky_scaled(struct block *b, double more, double none)
{
    const size_t d = b->d;

    for (size_t j = 0; j < d; j++) {
        const double g = (double)b->gram[j * d + j];

        b->w[j] = g > 0 ? 1 / sqrt(g) : 0;
    }
    for (size_t j = 0; j < d; j++)
        for (size_t i = j; i < d; i++) {
            double s = b->w[i] * b->w[j] * (double)b->gram[i * d + j];

            if (i == j)
                s = 1 + more;
            for (size_t l = 0; l < j; l++)
                s -= b->a[i * d + l] * b->a[j * d + l];
            if (i == j && s <= none) {
                memset(b->a + j * d, 0, j * sizeof(*b->a));
                b->w[j] = 0;
                s = 1;
            }
            /* the floor is for NaN's sake alone: see shift */
            b->a[i * d + j] =
                i == j ? sqrt(fmax(s, more / 2)) : s / b->a[j * d + j];
        }
}

/* gram = S L^-T, upper triangular: row j of L^-1 becomes its column j. */
static void invert_scaled(struct block *b)
{
    const size_t d = b->d;

    for (size_t j = 0; j < d; j++) {
        double *const row = b->work;

        for (size_t i = j + 1; i-- > 0;) {
            double s = i == j ? 1 : 0;

            for (size_t l = i + 1; l <= j; l++)
                s -= row[l] * b->a[l * d + i];
            row[i] = s / b->a[i * d + i];
        }
        for (size_t i = 0; i < d; i++)
            b->gram[i * d + j] = i <= j ? (float)(b->w[i] * row[i]) : 0;
    }
}

/* Columns of x orthonormal: Cholesky QR, twice (once loses half the digits). */
static enum err orthonormalise(struct block *b)
{
    for (int pass = 0; pass < 2; pass++) {
        ERR_TRY(la_gram(b->gram, b->x, b->n, b->d));
        cholesky_scaled(b, shift[pass], nothing[pass]);
        invert_scaled(b);
        ERR_TRY(rotate(b));
    }
    return ERR_OK;
}

/* Rotate x to the Ritz vectors; w descending.  X^T P X = (R X)^T (R X). */
static enum err rayleigh_ritz(struct block *b)
{
    const size_t d = b->d;

    times_r(b, b->x);
    ERR_TRY(la_gram(b->gram, b->u, b->r->n_rows, d));
    for (size_t i = 0; i < d * d; i++)
        b->a[i] = (double)b->gram[i];
    if (!krn_eig_sym_f64(b->a, b->w, b->work, d))
        return err_set(ERR_NUM, "the singular vectors of the interactions did "
                                "not settle: their values are not numbers");
    for (size_t i = 0; i < d; i++) /* row j of a is vector j */
        for (size_t j = 0; j < d; j++)
            b->gram[i * d + j] = (float)b->a[j * d + i];
    return rotate(b);
}

/* out = p * f - y - before (before may be NULL) over [n][d] */
struct combine {
    float *out;
    const float *p, *y, *before;
    float f, g; /* out = f * p - g * y - before */
    size_t n;
};

static void combine_task(void *arg, size_t task, size_t thread)
{
    const struct combine *c = arg;
    const size_t first = task * CHUNK * 64;
    const size_t last = first + CHUNK * 64 < c->n ? first + CHUNK * 64 : c->n;

    (void)thread;
    for (size_t i = first; i < last; i++) {
        const float s = c->f * c->p[i] - c->g * c->y[i];

        c->out[i] = c->before != NULL ? s - c->before[i] : s;
    }
}

static void combine(const struct block *b, float *out, const float *p,
                    const float *y, const float *before, double f, double g)
{
    struct combine c = {out, p, y, before, (float)f, (float)g, b->n * b->d};

    par_for((c.n + CHUNK * 64 - 1) / (CHUNK * 64), combine_task, &c);
}

/* x = T_3(2 P / c - 1) x, by T_m+1(t) = 2 t T_m(t) - T_m-1(t). */
static void filter(struct block *b)
{
    const double c = fmax(b->w[b->d - 1], least_cut * b->w[0]);
    float *const t0 = b->x;

    times_p(b, t0, b->y);
    combine(b, b->y, b->y, t0, NULL, 2 / c, 1); /* T_1 in y */
    times_p(b, b->y, b->z);
    combine(b, b->z, b->z, b->y, t0, 4 / c, 2); /* T_2 in z */
    times_p(b, b->z, b->x);
    combine(b, b->x, b->x, b->z, b->y, 4 / c, 2); /* T_3 in x */
}

static void power(struct block *b)
{
    float *const old = b->x;

    times_p(b, b->x, b->y);
    b->x = b->y;
    b->y = old;
}

static enum err iterate(struct block *b)
{
    par_for((b->n + CHUNK - 1) / CHUNK, start_task, b);
    for (uint64_t round = 0; round <= ROUNDS; round++) {
        if (log_stopping())
            return err_set(ERR_STOPPED, "stopped before the singular vectors "
                                        "of the interactions were found");
        ERR_TRY(orthonormalise(b));
        ERR_TRY(rayleigh_ritz(b));
        if (!(b->w[0] > 0))
            break; /* no interactions: nothing to filter */
        if (round >= POWERS && b->w[b->d - 1] <= none_left * b->w[0])
            break; /* the block holds all there is: filtering would spoil it */
        if (round < POWERS)
            power(b);
        else if (round < ROUNDS)
            filter(b);
        log_tick("singular vectors", round, ROUNDS, NULL);
    }
    return ERR_OK;
}

/* Row with the largest magnitude of column j, first among equals. */
static float column_sign(const struct block *b, size_t j)
{
    float best = 0, at = 0;

    for (size_t i = 0; i < b->n; i++)
        if (fabsf(b->x[i * b->d + j]) > best) {
            at = b->x[i * b->d + j];
            best = fabsf(at);
        }
    return at < 0 ? -1 : 1;
}

static void deliver(const struct block *b, size_t k, float *v, double *w)
{
    for (size_t j = 0; j < k; j++) {
        const bool real = j < b->d && b->w[j] > 1e-6 * b->w[0];
        const float sign = real ? column_sign(b, j) : 0;

        w[j] = real ? b->w[j] : 0;
        for (size_t i = 0; i < b->n; i++)
            v[i * k + j] = real ? sign * b->x[i * b->d + j] : 0;
    }
}

enum err rec_svd_top(const struct rec_svd *r, size_t k, float *v, double *w)
{
    const size_t n = r->n_cols, d = block_width(r->n_rows, n, k);
    struct mem_scratch s = {0};
    struct block b = {
        .r = r,
        .n = n,
        .d = d,
        .x = mem_take(&s, n, d, sizeof(float)),
        .y = mem_take(&s, n, d, sizeof(float)),
        .z = mem_take(&s, n, d, sizeof(float)),
        .u = mem_take(&s, r->n_rows, d, sizeof(float)),
        .gram = mem_take(&s, d, d, sizeof(float)),
        .a = mem_take(&s, d, d, sizeof(double)),
        .w = mem_take(&s, d, 1, sizeof(double)),
        .work = mem_take(&s, d, 2, sizeof(double)),
    };
    enum err e;

    assert(k > 0 && n > 0 && r->n_rows > 0);
    if (s.failed) {
        mem_drop(&s);
        return err_set(ERR_NOMEM,
                       "no memory for %zu singular vectors of %zu "
                       "items: lower --dim",
                       k, n);
    }
    e = iterate(&b);
    if (e == ERR_OK)
        deliver(&b, k, v, w);
    mem_drop(&s);
    return e;
}
