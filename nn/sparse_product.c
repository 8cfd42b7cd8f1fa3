/* nn/sparse_product.c - products with packed matrices. */
#include <math.h>

#include "base/cpu.h"
#include "kernels/ops.h"
#include "nn/sparse.h"

size_t nn_sparse_scratch(const struct nn_sparse *s)
{
    return KRN_GROUPS_SLAB * (s->cols + s->rows);
}

/* One person: every row a chain over its blocks. */
static void nm_person(const struct nn_sparse *s, const float *x, float *y)
{
    const size_t n = s->width;

    for (size_t r = 0; r < s->rows; r++) {
        const size_t last = s->ptr[r + 1] * n;
        float sum = 0;

        for (size_t k = s->ptr[r] * n; k < last; k++)
            sum = fmaf(s->val[k], x[s->idx[k]], sum);
        y[r] = sum;
    }
}

/* A chain in each lane; the lanes of a row are added in order. */
static void gs_person(const struct nn_sparse *s, const float *x, float *y)
{
    const size_t width = s->width, each = s->pattern.each, v = s->pattern.v;

    for (size_t g = 0; g < s->n_groups; g++) {
        float lane[64] = {0};

        for (size_t p = s->ptr[g]; p < s->ptr[g + 1]; p++) {
            const float *val = s->val + p * width;
            const uint32_t *idx = s->idx + p * width;

            for (size_t l = 0; l < width; l++)
                lane[l] = fmaf(val[l], x[idx[l]], lane[l]);
        }
        for (size_t i = 0; i < v; i++) {
            float sum = lane[i * each];

            for (size_t e = 1; e < each; e++)
                sum += lane[i * each + e];
            if (s->row[g * v + i] != KRN_NO_ROW)
                y[s->row[g * v + i]] = sum;
        }
    }
}

void nn_sparse_product(const struct nn_sparse *s, size_t level, size_t m,
                       const float *x, size_t ldx, float *y, size_t ldy,
                       float *scratch)
{
    if (nn_pattern_in_groups(&s->pattern)) {
        cpu_ops()->groups_f32(&(struct krn_groups){
            .v = s->pattern.v,
            .n = s->n_groups,
            .m = m,
            .k = s->cols,
            .rows = s->rows,
            .from = s->ptr,
            .to = s->to + level * s->n_groups,
            .idx = s->idx,
            .val = s->val,
            .row = s->row,
            .x = x,
            .ldx = ldx,
            .y = y,
            .ldy = ldy,
            .scratch = scratch,
        });
        return;
    }
    for (size_t b = 0; b < m; b++) {
        if (s->pattern.kind == NN_GS)
            gs_person(s, x + b * ldx, y + b * ldy);
        else
            nm_person(s, x + b * ldx, y + b * ldy);
    }
}

void nn_sparse_product_back(const struct nn_sparse *s, size_t level, size_t m,
                            const float *y, size_t ldy, float *x, size_t ldx)
{
    const size_t v = s->pattern.v;

    for (size_t g = 0; g < s->n_groups; g++) {
        const size_t end = nn_pattern_in_groups(&s->pattern)
                               ? s->to[level * s->n_groups + g]
                               : s->ptr[g + 1];

        for (size_t p = s->ptr[g] * s->width; p < end * s->width; p++) {
            const size_t i = p % s->width;
            const uint32_t r =
                nn_pattern_in_groups(&s->pattern) ? s->row[g * v + i]
                : s->pattern.kind == NN_GS ? s->row[g * v + i / s->pattern.each]
                                           : (uint32_t)g;
            const uint32_t c =
                s->idx[nn_pattern_in_groups(&s->pattern) ? p / s->width : p];

            for (size_t b = 0; b < m && r != KRN_NO_ROW; b++)
                x[b * ldx + c] =
                    fmaf(s->val[p], y[b * ldy + r], x[b * ldx + c]);
        }
    }
}
