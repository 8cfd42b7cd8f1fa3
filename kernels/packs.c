/* kernels/packs.c - gather-scatter packs: the plain reference. */
#include <math.h>

#include "kernels/twins.h"

static void packs_group(const struct krn_packs *s, size_t g, const float *x,
                        float *y)
{
    const size_t width = s->v * s->each;
    float lane[64] = {0};

    for (size_t p = s->from[g]; p < s->to[g]; p++) {
        for (size_t l = 0; l < width; l++)
            lane[l] =
                fmaf(s->val[p * width + l], x[s->idx[p * width + l]], lane[l]);
    }
    for (size_t i = 0; i < s->v; i++) {
        float sum = lane[i * s->each];

        for (size_t e = 1; e < s->each; e++)
            sum += lane[i * s->each + e];
        if (s->row[g * s->v + i] != KRN_NO_ROW)
            y[s->row[g * s->v + i]] = sum;
    }
}

void krn_packs_f32(const struct krn_packs *s)
{
    for (size_t b = 0; b < s->m; b++) {
        for (size_t g = 0; g < s->n; g++)
            packs_group(s, g, s->x + b * s->ldx, s->y + b * s->ldy);
    }
}
