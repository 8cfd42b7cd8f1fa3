/*
 * rec/ease_correct.c - EASE without some of its rows, at once.
 *
 * P = (X^T X + reg I)^-1 lies in the model: P[i][j] = -B[i][j] P[j][j], and its
 * diagonal is kept.  Rows that leave change X^T X by V C V^T, one column v and
 * one number c a change: the row of a person who left (c is less what they
 * weigh), of one who keeps some the row before (less) and after (more), and a
 * unit vector for an item that leaves, with c without bound: what is left of P
 * is then the inverse without that item's row and column.  By Woodbury's
 * identity, with U = P V,
 *
 *   P' = P + U M U^T,   M = -(C^-1 + V^T U)^-1,
 *
 * and B'[i][j] = a[j] (B[i][j] - sum_k (U M)[i][k] U[j][k] / P[j][j]), where
 * a[j] = P[j][j] / P'[j][j]: one pass over B.
 *
 * Source: Woodbury's identity; Jeunen, Van Balen and Goethals, Embarrassingly
 * shallow auto-encoders for dynamic collaborative filtering, UMUAI 2022, has
 * it for rows that come.
 */
#include "rec/ease.h"

#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "base/la.h"
#include "base/mem.h"
#include "base/par.h"

#define ROWS 16 /* of the weights, of a task */
/* Weights whose pass one thread makes alone.  12 million take it 8 ms; a second
 * thread saves 3 of them, and costs up to 10 where it wakes on the processor on
 * which the first one waits for it. */
#define ALONE ((size_t)1 << 25)
#define FEW 8      /* columns that are added row by row */
#define LEAST 1e-9 /* of a pivot, beside the largest */

struct changes {
    size_t n, m;     /* items; columns */
    size_t rows;     /* of the weights, of a task */
    size_t *ptr;     /* [m + 1] */
    uint32_t *item;  /* where a column is 1, ascending */
    double *inverse; /* [m] 1 / c */
    float *b, *diagonal;
    float *u, *w, *q; /* [m][n] U, U M, U / P[j][j], transposed */
    double *s;        /* [m][2 m] */
    float *small;     /* [m][m] M */
    float *scale;     /* [n] a */
    float *after;     /* [n] P'[j][j] */
};

/* --- the columns ------------------------------------------------------------
 */

static void add_column(struct changes *c, double inverse, const uint32_t *item,
                       size_t n, const uint8_t *keep)
{
    size_t at = c->ptr[c->m];

    for (size_t r = 0; r < n; r++) {
        if (keep == NULL || keep[r])
            c->item[at++] = item[r];
    }
    c->inverse[c->m] = inverse;
    c->ptr[++c->m] = at;
}

/* How many of person u's rows stay, and whether one goes whose item stays or
 * the person weighs something else without those that go. */
static size_t kept_rows(const struct rec_ease_opts *o, const struct rec_data *d,
                        size_t u, const uint8_t *keep, const uint8_t *gone,
                        bool *changes)
{
    size_t n = 0;

    *changes = false;
    for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++) {
        n += keep[r] != 0;
        *changes = *changes || (!keep[r] && !gone[d->item[r]]);
    }
    if (rec_ease_weight(o, n) !=
        rec_ease_weight(o, d->user_ptr[u + 1] - d->user_ptr[u]))
        *changes = true;
    return n;
}

static enum err count_columns(const struct rec_ease_opts *o,
                              const struct rec_data *d, const uint8_t *keep,
                              const uint8_t *gone, size_t *m, size_t *entries)
{
    *m = *entries = 0;
    for (uint32_t i = 0; i < d->n_items; i++)
        *m += gone[i] != 0;
    *entries = *m;
    for (size_t u = 0; u < d->n_users; u++) {
        bool changes;
        const size_t kept = kept_rows(o, d, u, keep, gone, &changes);

        if (changes) {
            *m += kept > 0 ? 2 : 1;
            *entries += d->user_ptr[u + 1] - d->user_ptr[u] + kept;
        }
    }
    return *m <= REC_EASE_RANK_MAX
               ? ERR_OK
               : err_set(ERR_ARG,
                         "%zu changes are more than ease corrects at once", *m);
}

/* 1 / what a person of n rows weighs. */
static double inverse_weight(const struct rec_ease_opts *o, size_t n)
{
    return 1 / ((double)rec_ease_weight(o, n) * rec_ease_unit(o));
}

static void fill_columns(struct changes *c, const struct rec_ease_opts *o,
                         const struct rec_data *d, const uint8_t *keep,
                         const uint8_t *gone)
{
    for (uint32_t i = 0; i < d->n_items; i++) {
        if (gone[i])
            add_column(c, 0, &i, 1, NULL);
    }
    for (size_t u = 0; u < d->n_users; u++) {
        const size_t first = d->user_ptr[u], n = d->user_ptr[u + 1] - first;
        bool changes;
        const size_t kept = kept_rows(o, d, u, keep, gone, &changes);

        if (changes)
            add_column(c, -inverse_weight(o, n), d->item + first, n, NULL);
        if (changes && kept > 0)
            add_column(c, inverse_weight(o, kept), d->item + first, n,
                       keep + first);
    }
}

/* --- from columns to what is added ------------------------------------------
 */

/* Row k of U^T: the sum of the rows of B where column k is 1, made P's. */
static void column_task(void *arg, size_t k, size_t thread)
{
    const struct changes *c = arg;
    float *u = c->u + k * c->n;

    (void)thread;
    cpu_ops()->spmm_f32(&(struct krn_spmm){.first = k,
                                           .last = k + 1,
                                           .d = c->n,
                                           .ptr = c->ptr,
                                           .idx = c->item,
                                           .x = c->b,
                                           .ldx = c->n,
                                           .y = c->u,
                                           .ldy = c->n});
    for (size_t j = 0; j < c->n; j++)
        u[j] *= -c->diagonal[j];
    for (size_t r = c->ptr[k]; r < c->ptr[k + 1]; r++)
        u[c->item[r]] += c->diagonal[c->item[r]];
}

/* Row k of C^-1 + V^T U, beside the unit matrix. */
static void inner_task(void *arg, size_t k, size_t thread)
{
    const struct changes *c = arg;
    double *row = c->s + k * 2 * c->m;

    (void)thread;
    for (size_t l = 0; l < c->m; l++) {
        for (size_t r = c->ptr[k]; r < c->ptr[k + 1]; r++)
            row[l] += (double)c->u[l * c->n + c->item[r]];
    }
    row[k] += c->inverse[k];
    row[c->m + k] = 1;
}

static void swap_rows(double *a, double *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double x = a[i];

        a[i] = b[i];
        b[i] = x;
    }
}

/* Gauss and Jordan, the largest pivot of the column first: the right half of
 * s[m][2m] becomes the inverse of the left. */
static enum err invert_small(double *s, size_t m)
{
    const size_t ld = 2 * m;
    double largest = 0;

    for (size_t k = 0; k < m; k++) {
        size_t best = k;

        for (size_t i = k + 1; i < m; i++) {
            if (fabs(s[i * ld + k]) > fabs(s[best * ld + k]))
                best = i;
        }
        const double pivot = s[best * ld + k];

        largest = fmax(largest, fabs(pivot));
        if (!(fabs(pivot) > LEAST * largest))
            return err_set(ERR_NUM, "a correction of ease has no inverse");
        if (best != k)
            swap_rows(s + k * ld, s + best * ld, ld);
        for (size_t j = k; j < ld; j++)
            s[k * ld + j] /= pivot;
        for (size_t i = 0; i < m; i++) {
            const double x = s[i * ld + k];

            for (size_t j = k; i != k && x != 0 && j < ld; j++)
                s[i * ld + j] -= x * s[k * ld + j];
        }
    }
    return ERR_OK;
}

/* The new diagonal, and how columns of B are scaled. */
static enum err new_diagonal(struct changes *c, const uint8_t *gone)
{
    for (size_t j = 0; j < c->n; j++) {
        double p = (double)c->diagonal[j];

        for (size_t k = 0; k < c->m; k++)
            p += (double)c->w[k * c->n + j] * (double)c->u[k * c->n + j];
        if (gone[j]) /* what leaves is written, too, before it is dropped */
            p = 1;
        if (!(p > 0 && p < INFINITY))
            return err_set(ERR_NUM, "a correction of ease is not definite");
        c->after[j] = (float)p;
        c->scale[j] = (float)((double)c->diagonal[j] / p);
        for (size_t k = 0; k < c->m; k++)
            c->q[k * c->n + j] = c->u[k * c->n + j] / c->diagonal[j];
    }
    return ERR_OK;
}

static enum err find_change(struct changes *c, const uint8_t *gone)
{
    par_for(c->m, column_task, c);
    par_for(c->m, inner_task, c);
    ERR_TRY(invert_small(c->s, c->m));
    for (size_t k = 0; k < c->m; k++) {
        for (size_t l = 0; l < c->m; l++)
            c->small[k * c->m + l] = (float)-c->s[k * 2 * c->m + c->m + l];
    }
    ERR_TRY(la_gemm(&(struct krn_gemm){.m = c->m,
                                       .n = c->n,
                                       .k = c->m,
                                       .a = c->small,
                                       .lda = c->m,
                                       .b = c->u,
                                       .ldb = c->n,
                                       .c = c->w,
                                       .ldc = c->n}));
    return new_diagonal(c, gone);
}

/* --- the pass over the weights ----------------------------------------------
 */

static void weights_task(void *arg, size_t task, size_t thread)
{
    const struct changes *c = arg;
    const size_t next = (task + 1) * c->rows;
    const size_t end = next < c->n ? next : c->n;

    (void)thread;
    for (size_t i = task * c->rows; i < end; i++) {
        float *row = c->b + i * c->n;

        for (size_t k = 0; c->m <= FEW && k < c->m; k++)
            cpu_ops()->axpy_f32(row, -c->w[k * c->n + i], c->q + k * c->n,
                                c->n);
        for (size_t j = 0; j < c->n; j++)
            row[j] *= c->scale[j];
        row[i] = 0;
    }
}

/* The product comes first: it is what can fail. */
static enum err change_weights(struct changes *c)
{
    if (c->m > FEW)
        ERR_TRY(la_gemm(&(struct krn_gemm){.ta = true,
                                           .sub = true,
                                           .m = c->n,
                                           .n = c->n,
                                           .k = c->m,
                                           .a = c->w,
                                           .lda = c->n,
                                           .b = c->q,
                                           .ldb = c->n,
                                           .c = c->b,
                                           .ldc = c->n}));
    c->rows = c->n * c->n > ALONE ? ROWS : c->n;
    par_for((c->n + c->rows - 1) / c->rows, weights_task, c);
    memcpy(c->diagonal, c->after, c->n * sizeof(float));
    return ERR_OK;
}

/* to[] = from[0..n) without those that are gone; how many are left. */
static size_t squeeze_row(float *to, const float *from, const uint8_t *gone,
                          size_t n)
{
    size_t left = 0;

    for (size_t j = 0, run; j < n; j += run + 1) {
        const uint8_t *end = memchr(gone + j, 1, n - j);

        run = end != NULL ? (size_t)(end - (gone + j)) : n - j;
        memmove(to + left, from + j, run * sizeof(float));
        left += run;
    }
    return left;
}

/* Items that leave take their row and column along. */
static void drop_items(struct changes *c, const uint8_t *gone)
{
    size_t left = 0, at = 0;

    if (memchr(gone, 1, c->n) == NULL)
        return;
    for (size_t i = 0; i < c->n; i++) {
        if (gone[i])
            continue;
        /* at <= i * n: read before written */
        at += squeeze_row(c->b + at, c->b + i * c->n, gone, c->n);
        c->diagonal[left++] = c->diagonal[i];
    }
}

static void set_shapes(struct rec_model *m, const uint8_t *gone)
{
    size_t left = 0;

    for (size_t i = 0; i < m->n_items; i++)
        left += !gone[i];
    for (size_t i = 0; i < m->n_arrays; i++) {
        struct sto_array *a = &m->array[i];

        if (strcmp(a->name, "weights") == 0)
            a->rows = a->cols = left;
        if (strcmp(a->name, "diagonal") == 0)
            a->rows = left;
    }
}

static bool take(struct changes *c, struct mem_scratch *s, size_t m,
                 size_t entries)
{
    c->ptr = mem_take(s, m + 1, 1, sizeof(*c->ptr));
    c->item = mem_take(s, entries, 1, sizeof(*c->item));
    c->inverse = mem_take(s, m, 1, sizeof(*c->inverse));
    c->u = mem_take(s, m, c->n, sizeof(*c->u));
    c->w = mem_take(s, m, c->n, sizeof(*c->w));
    c->q = mem_take(s, m, c->n, sizeof(*c->q));
    c->s = mem_take(s, m, 2 * m, sizeof(*c->s));
    c->small = mem_take(s, m, m, sizeof(*c->small));
    c->scale = mem_take(s, c->n, 1, sizeof(*c->scale));
    c->after = mem_take(s, c->n, 1, sizeof(*c->after));
    return !s->failed;
}

enum err rec_ease_correct(struct rec_model *m, const struct rec_data *d,
                          const uint8_t *keep, const uint8_t *gone)
{
    struct changes c = {.n = d->n_items};
    struct mem_scratch s = {0};
    size_t rank, entries;
    enum err e;

    ERR_TRY(count_columns(m->opts, d, keep, gone, &rank, &entries));
    c.b = rec_model_array(m, "weights");
    c.diagonal = rec_model_array(m, "diagonal");
    if (!take(&c, &s, rank, entries)) {
        e = err_set(ERR_NOMEM, "no memory to correct ease");
    } else {
        fill_columns(&c, m->opts, d, keep, gone);
        e = find_change(&c, gone);
    }
    if (e == ERR_OK)
        e = change_weights(&c);
    if (e == ERR_OK) {
        drop_items(&c, gone);
        set_shapes(m, gone);
    }
    mem_drop(&s);
    return e;
}
