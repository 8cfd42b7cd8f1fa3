/* nn/sparse_product.c - products with packed matrices. */
#include <math.h>

#include "base/cpu.h"
#include "kernels/ops.h"
#include "nn/sparse.h"

size_t nn_sparse_scratch(const struct nn_sparse *s)
{
    return KRN_GROUPS_SLAB * (s->cols + s->rows);
}

void nn_sparse_product(const struct nn_sparse *s, size_t level, size_t m,
                       const float *x, size_t ldx, float *y, size_t ldy,
                       float *scratch)
{
    if (nn_pattern_in_groups(&s->pattern))
        cpu_ops()->groups_f32(&(struct krn_groups){
            .v = s->pattern.v,
            .n = s->n_groups,
            .m = m,
            .k = s->cols,
            .rows = s->rows,
            .from = s->ptr,
            .to = nn_sparse_ends(s, level),
            .idx = s->idx,
            .val = s->val,
            .row = s->row,
            .x = x,
            .ldx = ldx,
            .y = y,
            .ldy = ldy,
            .scratch = scratch,
        });
    else
        cpu_ops()->packs_f32(&(struct krn_packs){
            .n = s->n_groups,
            .v = s->pattern.v,
            .each = s->pattern.each,
            .m = m,
            .from = s->ptr,
            .to = nn_sparse_ends(s, level),
            .idx = s->idx,
            .val = s->val,
            .row = s->row,
            .x = x,
            .ldx = ldx,
            .y = y,
            .ldy = ldy,
        });
}

void nn_sparse_product_back(const struct nn_sparse *s, size_t level, size_t m,
                            const float *y, size_t ldy, float *x, size_t ldx)
{
    const bool groups = nn_pattern_in_groups(&s->pattern);
    const size_t v = s->pattern.v;

    for (size_t g = 0; g < s->n_groups; g++) {
        const size_t end = nn_sparse_ends(s, level)[g];

        for (size_t p = s->ptr[g] * s->width; p < end * s->width; p++) {
            const size_t lane = p % s->width;
            const uint32_t r =
                s->row[g * v + (groups ? lane : lane / s->pattern.each)];
            const uint32_t c = s->idx[groups ? p / s->width : p];

            for (size_t b = 0; b < m && r != KRN_NO_ROW; b++)
                x[b * ldx + c] =
                    fmaf(s->val[p], y[b * ldy + r], x[b * ldx + c]);
        }
    }
}
