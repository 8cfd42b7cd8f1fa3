/* kernels/groups.c - weights in groups of rows: the plain reference. */
#include <math.h>

#include "kernels/twins.h"

/* Y element of row i of group g: a chain over the group's vectors. */
static float groups_one(const struct krn_groups *s, size_t g, size_t i,
                        const float *x, size_t step)
{
    float y = 0;

    for (size_t p = s->from[g]; p < s->to[g]; p++)
        y = fmaf(s->val[p * s->v + i], x[s->idx[p] * step], y);
    return y;
}

void krn_groups_f32(const struct krn_groups *s)
{
    for (size_t g = 0; g < s->n; g++) {
        for (size_t i = 0; i < s->v; i++) {
            const uint32_t r = s->row[g * s->v + i];

            for (size_t b = 0; b < s->m && r != KRN_NO_ROW; b++)
                s->y[b * s->ldy + r] =
                    groups_one(s, g, i, s->x + b * s->ldx, 1);
        }
    }
}

void krn_groups_turned_f32(const struct krn_groups *s)
{
    for (size_t g = 0; g < s->n; g++) {
        for (size_t i = 0; i < s->v; i++) {
            const uint32_t r = s->row[g * s->v + i];

            for (size_t b = 0; b < s->m && r != KRN_NO_ROW; b++)
                s->y[r * s->ldy + b] = groups_one(s, g, i, s->x + b, s->ldx);
        }
    }
}
