/* rec/turn.c - other axes for factors. */
#include "rec/turn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/la.h"
#include "base/mem.h"
#include "base/par.h"
#include "kernels/eig.h"

#define TURN_ROWS 252 /* of a task */

struct turn {
    float *x;
    size_t n, d;
    const float *basis; /* [d][d] rows are the new axes */
    float *rows;        /* [threads][TURN_ROWS][d] */
    float *scratch;     /* [threads][KRN_GEMM_SCRATCH] */
};

static void turn_task(void *arg, size_t task, size_t thread)
{
    const struct turn *t = arg;
    const size_t first = task * TURN_ROWS, d = t->d;
    const size_t n = t->n - first < TURN_ROWS ? t->n - first : TURN_ROWS;
    float *rows = t->rows + thread * TURN_ROWS * d;
    const struct krn_gemm g = {
        .tb = true,
        .m = n,
        .n = d,
        .k = d,
        .a = rows,
        .lda = d,
        .b = t->basis,
        .ldb = d,
        .c = t->x + first * d,
        .ldc = d,
        .scratch = t->scratch + thread * KRN_GEMM_SCRATCH,
    };

    memcpy(rows, g.c, n * d * sizeof(*rows));
    cpu_ops()->gemm_f32(&g);
}

/* x[n][d] by new axes, the rows of basis[d][d]. */
static enum err turn_rows(float *x, size_t n, const float *basis, size_t d)
{
    struct mem_scratch m = {0};
    const size_t threads = par_threads();
    const struct turn t = {
        .x = x,
        .n = n,
        .d = d,
        .basis = basis,
        .rows = mem_take(&m, threads * TURN_ROWS, d, sizeof(float)),
        .scratch = mem_take_raw(&m, threads, KRN_GEMM_SCRATCH, sizeof(float))};

    if (!m.failed)
        par_for((n + TURN_ROWS - 1) / TURN_ROWS, turn_task, (void *)&t);
    const bool failed = m.failed;

    mem_drop(&m);
    return failed ? err_set(ERR_NOMEM, "no memory to turn factors") : ERR_OK;
}

enum err rec_turn_basis(float *g, float *gram, size_t d)
{
    struct mem_scratch m = {0};
    double *a = mem_take(&m, d, d, sizeof(*a));
    double *w = mem_take(&m, d, 3, sizeof(*w));
    bool settled = false;

    if (m.failed)
        return mem_drop(&m), err_set(ERR_NOMEM, "no memory for eigenvectors");
    for (size_t i = 0; i < d * d; i++)
        a[i] = (double)g[i];
    settled = krn_eig_sym_f64(a, w, w + d, d);
    for (size_t i = 0; i < d * d; i++)
        g[i] = (float)a[i];
    for (size_t k = 0; k < d; k++)
        gram[k] = w[k] > 0 ? (float)w[k] : 0;
    mem_drop(&m);
    return settled ? ERR_OK
                   : err_set(ERR_NUM, "the factors hold values that are no "
                                      "numbers: raise --reg");
}

enum err rec_turn_axes(float *x, size_t n, float *other, size_t n_other,
                       size_t d, float *gram)
{
    float *g = mem_array(d * d, sizeof(*g));
    enum err e =
        g == NULL ? err_set(ERR_NOMEM, "no memory for a Gram matrix of %zu", d)
                  : la_gram(g, x, n, d);

    if (e == ERR_OK)
        e = rec_turn_basis(g, gram, d);
    if (e == ERR_OK)
        e = turn_rows(x, n, g, d);
    if (e == ERR_OK)
        e = turn_rows(other, n_other, g, d);
    free(g);
    return e;
}

/* --- both sides alike ------------------------------------------------------
 *
 * With Y^T Y = V D V^T and D^1/2 V^T (X^T X) V D^1/2 = Z S^2 Z^T
 *
 *   A = V D^1/2 Z S^-1/2   and   B = V D^-1/2 Z S^1/2
 *
 * have A B^T = I, (X A)^T (X A) = S = (Y B)^T (Y B).
 */

/* Of the largest eigenvalue: less is taken for this much, as it is noise that
 * a division would raise. */
#define LEAST 1e-10

struct balance {
    size_t d;
    float *gram;    /* [d][d] */
    double *v, *z;  /* [d][d]: vectors in rows */
    double *value;  /* [d], then two more for work */
    double *root;   /* [d] of D */
    float *axes[2]; /* [d][d]: columns of A and of B, in rows */
};

/* Row k of a, and values[k] from below. */
static bool settle(const struct balance *b, double *a)
{
    if (!krn_eig_sym_f64(a, b->value, b->value + b->d, b->d) ||
        !isfinite(b->value[0]))
        return false;
    for (size_t k = 0; k < b->d; k++)
        b->value[k] = fmax(b->value[k], fmax(LEAST * b->value[0], 1e-30));
    return true;
}

/* z = D^1/2 V^T gram V D^1/2, of the other side's Gram matrix. */
static void meet(const struct balance *b)
{
    const size_t d = b->d;

    for (size_t k = 0; k < d; k++) {
        double *half = b->value + d; /* row k of V^T gram */

        for (size_t j = 0; j < d; j++) {
            half[j] = 0;
            for (size_t i = 0; i < d; i++)
                half[j] += b->v[k * d + i] * (double)b->gram[i * d + j];
        }
        for (size_t l = 0; l < d; l++) {
            double sum = 0;

            for (size_t j = 0; j < d; j++)
                sum += half[j] * b->v[l * d + j];
            b->z[k * d + l] = sum * b->root[k] * b->root[l];
        }
    }
    for (size_t k = 0; k < d; k++) { /* symmetric to the last bit */
        for (size_t l = 0; l < k; l++)
            b->z[k * d + l] = b->z[l * d + k];
    }
}

static void set_axes(const struct balance *b)
{
    const size_t d = b->d;

    for (size_t m = 0; m < d; m++) {
        const double scale = sqrt(sqrt(b->value[m])); /* S^1/2 */

        for (size_t i = 0; i < d; i++) {
            double x = 0, y = 0;

            for (size_t k = 0; k < d; k++) {
                const double part = b->v[k * d + i] * b->z[m * d + k];

                x += part * b->root[k];
                y += part / b->root[k];
            }
            b->axes[0][m * d + i] = (float)(x / scale);
            b->axes[1][m * d + i] = (float)(y * scale);
        }
    }
}

static enum err find_axes(const struct balance *b, const float *x, size_t n_x,
                          const float *y, size_t n_y)
{
    const size_t d = b->d;
    bool settled = false;

    ERR_TRY(la_gram(b->gram, y, n_y, d));
    for (size_t i = 0; i < d * d; i++)
        b->v[i] = (double)b->gram[i];
    settled = settle(b, b->v);
    for (size_t k = 0; k < d && settled; k++)
        b->root[k] = sqrt(b->value[k]);
    ERR_TRY(la_gram(b->gram, x, n_x, d));
    if (settled)
        meet(b);
    if (!settled || !settle(b, b->z))
        return err_set(ERR_NUM, "the factors hold values that are no numbers");
    set_axes(b);
    return ERR_OK;
}

enum err rec_turn_alike(float *x, size_t n_x, float *y, size_t n_y, size_t d)
{
    struct mem_scratch m = {0};
    const struct balance b = {
        .d = d,
        .gram = mem_take(&m, d, d, sizeof(float)),
        .v = mem_take(&m, d, d, sizeof(double)),
        .z = mem_take(&m, d, d, sizeof(double)),
        .value = mem_take(&m, d, 3, sizeof(double)),
        .root = mem_take(&m, d, 1, sizeof(double)),
        .axes = {mem_take(&m, d, d, sizeof(float)),
                 mem_take(&m, d, d, sizeof(float))},
    };
    enum err e =
        m.failed ? err_set(ERR_NOMEM, "no memory for Gram matrices of %zu", d)
                 : find_axes(&b, x, n_x, y, n_y);

    if (e == ERR_OK)
        e = turn_rows(x, n_x, b.axes[0], d);
    if (e == ERR_OK)
        e = turn_rows(y, n_y, b.axes[1], d);
    mem_drop(&m);
    return e;
}
