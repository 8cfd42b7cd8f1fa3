/* nn/pattern.c - where a sparse matrix may have weights. */
#include "nn/pattern.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/ops.h"

const struct nn_pattern_name nn_pattern_names[] = {
    {"unstructured", "any weights"},
    {"block:V", "V x V blocks"},
    {"vector:V", "V outputs beside each other share their inputs"},
    {"shfl-bw:V", "V outputs that belong together share their inputs"},
    {"nm:N:M", "N of M neighbouring inputs of each output"},
    {"nm-both:2:4", "2 of 4, of each output and of each input"},
    {"gs:B:K", "packs of B weights, K of each output, in B different banks"},
    {"gs-scatter:B:K", "the same, of outputs that need not be neighbours"},
    {"channels", "whole outputs of layers: what stays is a smaller dense "
                 "network (--schedule chex)"},
    {NULL, NULL},
};

/* --- names -----------------------------------------------------------------
 */

static enum err bad_pattern(const char *text, const char *why)
{
    return err_set(ERR_ARG,
                   "--pattern %s: %s (unstructured, block:V, vector:V, "
                   "shfl-bw:V, nm:N:M, nm-both:2:4, gs:B:K or gs-scatter:B:K)",
                   text, why);
}

/* Numbers after the name: returns how many, at most 2; 3: something else. */
static int numbers(const char *p, unsigned long x[2])
{
    int n = 0;

    while (*p == ':' && n < 2) {
        char *end;

        if (p[1] < '0' || p[1] > '9')
            return 3;
        x[n++] = strtoul(p + 1, &end, 10);
        p = end;
    }
    return *p == '\0' ? n : 3;
}

static enum err grouped(struct nn_pattern *out, const char *text, int n,
                        unsigned long v)
{
    out->v = n == 0 ? 16 : v;
    if (n > 1 || out->v < 8 || out->v > 128 || out->v % 8 != 0)
        return bad_pattern(text, "V is 8, 16, 24 ... 128");
    return ERR_OK;
}

enum err nn_pattern_parse(struct nn_pattern *out, const char *text)
{
    static const char *const name[] = {"unstructured", "block",     "vector",
                                       "shfl-bw",      "nm",        "nm-both",
                                       "gs",           "gs-scatter"};
    unsigned long x[2] = {0, 0};
    const size_t len = strcspn(text, ":");
    const int n = numbers(text + len, x);
    size_t k = 0;

    while (k < 8 && (strlen(name[k]) != len || memcmp(name[k], text, len) != 0))
        k++;
    if (k == 8 || n == 3)
        return bad_pattern(text, "no such pattern");
    *out = (struct nn_pattern){.kind = k == 7 ? NN_GS : (enum nn_pattern_kind)k,
                               .v = 1,
                               .scatter = k == 7};
    switch (out->kind) {
    case NN_UNSTRUCTURED:
        return n == 0 ? ERR_OK : bad_pattern(text, "it has no numbers");
    case NN_BLOCK:
    case NN_VECTOR:
    case NN_SHFL:
        return grouped(out, text, n, x[0]);
    case NN_NM:
    case NN_NM_BOTH:
        out->n = x[0];
        out->m = x[1];
        if (n != 2 || x[0] < 1 || x[1] > 64 || x[0] >= x[1])
            return bad_pattern(text, "1 <= N < M <= 64");
        if (out->kind == NN_NM_BOTH && (x[0] != 2 || x[1] != 4))
            return bad_pattern(text, "only 2:4 is known both ways");
        return ERR_OK;
    case NN_GS:
        out->banks = x[0];
        out->each = x[1];
        if (n != 2 || x[0] < 2 || x[0] > 64 || x[1] < 1 || x[0] % x[1] != 0)
            return bad_pattern(text, "2 <= B <= 64, and K divides B");
        out->v = x[0] / x[1];
        return ERR_OK;
    }
    return ERR_OK;
}

double nn_pattern_density(const struct nn_pattern *p)
{
    return p->kind == NN_NM || p->kind == NN_NM_BOTH
               ? (double)p->n / (double)p->m
               : 0;
}

size_t nn_pattern_groups(const struct nn_pattern *p, size_t rows)
{
    return (rows + p->v - 1) / p->v;
}

/* --- projections -----------------------------------------------------------
 */

static int descending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x < y) - (x > y);
}

enum err nn_pattern_best(const double *score, size_t n, size_t most,
                         uint8_t *take)
{
    double *sorted = mem_array(n, sizeof(*sorted));
    size_t taken = 0;

    if (sorted == NULL)
        return err_set(ERR_NOMEM, "no memory to prune");
    most = most < n ? most : n;
    memcpy(sorted, score, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), descending);
    memset(take, 0, n);
    if (most > 0) {
        const double floor = sorted[most - 1];

        for (size_t i = 0; i < n; i++)
            taken += take[i] = score[i] > floor;
        for (size_t i = 0; i < n && taken < most; i++) {
            if (score[i] == floor) {
                take[i] = 1;
                taken++;
            }
        }
    }
    free(sorted);
    return ERR_OK;
}

/* Sums of |W| over each group's part of each unit of `wide` columns. */
static void score_units(const struct nn_pattern *p, const struct nn_matrix *w,
                        const uint32_t *order, size_t wide, double *score)
{
    const size_t across = (w->cols + wide - 1) / wide;

    for (size_t g = 0; g < nn_pattern_groups(p, w->rows); g++) {
        for (size_t i = 0; i < p->v; i++) {
            const uint32_t r = order[g * p->v + i];

            for (size_t c = 0; c < w->cols && r != KRN_NO_ROW; c++)
                score[g * across + c / wide] += (double)nn_matrix_size(w, r, c);
        }
    }
}

static void fill_units(const struct nn_pattern *p, const struct nn_matrix *w,
                       const uint32_t *order, size_t wide, const uint8_t *take,
                       uint8_t *mask)
{
    const size_t across = (w->cols + wide - 1) / wide;

    for (size_t k = 0; k < nn_pattern_groups(p, w->rows) * p->v; k++) {
        const uint32_t r = order[k];

        for (size_t c = 0; c < w->cols && r != KRN_NO_ROW; c++)
            mask[r * w->cols + c] = take[k / p->v * across + c / wide];
    }
}

/* Units of v rows in the order and `wide` columns, the best of all; *kept is
 * the sum of what they hold. */
static enum err project_units(const struct nn_pattern *p,
                              const struct nn_matrix *w, double density,
                              size_t wide, const uint32_t *order, uint8_t *mask,
                              double *kept)
{
    const size_t n =
        nn_pattern_groups(p, w->rows) * ((w->cols + wide - 1) / wide);
    const size_t most = (size_t)(density * (double)n + 0.5);
    double *score = mem_array(n, sizeof(*score));
    uint8_t *take = mem_array(n, 1);
    enum err e = score == NULL || take == NULL
                     ? err_set(ERR_NOMEM, "no memory to prune")
                     : ERR_OK;

    if (e == ERR_OK) {
        score_units(p, w, order, wide, score);
        e = nn_pattern_best(score, n, most > 0 ? most : 1, take);
    }
    *kept = 0;
    for (size_t i = 0; e == ERR_OK && i < n; i++)
        *kept += take[i] ? score[i] : 0;
    if (e == ERR_OK)
        fill_units(p, w, order, wide, take, mask);
    free(score);
    free(take);
    return e;
}

static void natural_order(const struct nn_pattern *p, size_t rows,
                          uint32_t *order)
{
    for (size_t k = 0; k < nn_pattern_groups(p, rows) * p->v; k++)
        order[k] = k < rows ? (uint32_t)k : KRN_NO_ROW;
}

/* Clustered rows, unless their own order keeps as much. */
static enum err project_shfl(const struct nn_pattern *p,
                             const struct nn_matrix *w, double density,
                             uint8_t *mask, uint32_t *order)
{
    double natural, clustered;

    natural_order(p, w->rows, order);
    ERR_TRY(project_units(p, w, density, 1, order, mask, &natural));
    ERR_TRY(nn_pattern_cluster(p, w, density, order));
    ERR_TRY(project_units(p, w, density, 1, order, mask, &clustered));
    if (clustered > natural)
        return ERR_OK;
    natural_order(p, w->rows, order);
    return project_units(p, w, density, 1, order, mask, &natural);
}

enum err nn_pattern_project(const struct nn_pattern *p,
                            const struct nn_matrix *w, double density,
                            const uint32_t *keep, uint8_t *mask,
                            uint32_t *order)
{
    const size_t places = nn_pattern_groups(p, w->rows) * p->v;
    double kept;

    if (keep != NULL)
        memmove(order, keep, places * sizeof(*order));
    else
        natural_order(p, w->rows, order);
    switch (p->kind) {
    case NN_UNSTRUCTURED:
    case NN_VECTOR:
        return project_units(p, w, density, 1, order, mask, &kept);
    case NN_BLOCK:
        return project_units(p, w, density, p->v, order, mask, &kept);
    case NN_SHFL:
        return keep != NULL
                   ? project_units(p, w, density, 1, order, mask, &kept)
                   : project_shfl(p, w, density, mask, order);
    case NN_NM:
    case NN_NM_BOTH:
        return nn_pattern_project_nm(p, w, mask);
    case NN_GS:
        return nn_pattern_project_gs(p, w, density, keep == NULL, mask, order);
    }
    return ERR_OK;
}

/* --- checks ----------------------------------------------------------------
 */

/* Units of a group are all on or all off. */
static bool whole_units(const struct nn_pattern *p, size_t rows, size_t cols,
                        size_t wide, const uint8_t *mask, const uint32_t *order)
{
    for (size_t k = 0; k < nn_pattern_groups(p, rows) * p->v; k++) {
        const uint32_t first = order[k / p->v * p->v], r = order[k];

        for (size_t c = 0; c < cols && r != KRN_NO_ROW; c++) {
            if (mask[r * cols + c] != mask[first * cols + c / wide * wide])
                return false;
        }
    }
    return true;
}

/* At most n of every m neighbours, `n_lines` lines of `len` with strides. */
static bool few_of_many(const struct nn_pattern *p, size_t n_lines, size_t len,
                        size_t line, size_t step, const uint8_t *mask)
{
    for (size_t i = 0; i < n_lines; i++) {
        for (size_t first = 0; first < len; first += p->m) {
            size_t ones = 0;

            for (size_t k = first; k < len && k < first + p->m; k++)
                ones += mask[i * line + k * step];
            if (ones > p->n)
                return false;
        }
    }
    return true;
}

bool nn_pattern_allows(const struct nn_pattern *p, size_t rows, size_t cols,
                       const uint8_t *mask, const uint32_t *order)
{
    switch (p->kind) {
    case NN_UNSTRUCTURED:
    case NN_GS: /* any mask falls into packs, with padding */
        return true;
    case NN_VECTOR:
    case NN_SHFL:
        return whole_units(p, rows, cols, 1, mask, order);
    case NN_BLOCK:
        return whole_units(p, rows, cols, p->v, mask, order);
    case NN_NM:
        return few_of_many(p, rows, cols, cols, 1, mask);
    case NN_NM_BOTH:
        return few_of_many(p, rows, cols, cols, 1, mask) &&
               few_of_many(p, cols, rows, 1, cols, mask);
    }
    return false;
}
