/* kernels/simd/packs.c - gather-scatter packs, 16 lanes a gather. */
#include "kernels/simd/v16.h"

/* Lanes at..at + n - 1 of a group's packs; two chains would change the bits, so
 * groups hide each other's latency. */
V_FN void packs_lanes(const struct krn_packs *s, size_t g, size_t at, size_t n,
                      size_t many, const float *x, float (*lane)[64])
{
    const size_t width = s->v * s->each;
    size_t least = SIZE_MAX;
    struct v16 acc[4];

    V_UNROLL
    for (size_t k = 0; k < many; k++) {
        const size_t packs = s->to[g + k] - s->from[g + k];

        acc[k] = v_zero();
        least = packs < least ? packs : least;
    }
    for (size_t t = 0; t < least; t++) {
        V_UNROLL
        for (size_t k = 0; k < many; k++) {
            const size_t p = (s->from[g + k] + t) * width + at;

            acc[k] =
                v_fma(n == 16 ? v_load(s->val + p) : v_load_n(s->val + p, n),
                      v_gather_n(x, s->idx + p, n), acc[k]);
        }
    }
    V_UNROLL
    for (size_t k = 0; k < many; k++) {
        for (size_t q = s->from[g + k] + least; q < s->to[g + k]; q++)
            acc[k] = v_fma(v_load_n(s->val + q * width + at, n),
                           v_gather_n(x, s->idx + q * width + at, n), acc[k]);
        v_store_n(lane[k] + at, acc[k], n);
    }
}

V_FN void packs_groups(const struct krn_packs *s, size_t g, size_t many,
                       const float *x, float *y)
{
    const size_t width = s->v * s->each;
    float lane[4][64];

    for (size_t at = 0; at < width; at += 16) {
        if (width - at >= 16)
            packs_lanes(s, g, at, 16, many, x, lane);
        else
            packs_lanes(s, g, at, width - at, many, x, lane);
    }
    for (size_t k = 0; k < many; k++) {
        for (size_t i = 0; i < s->v; i++) {
            const uint32_t row = s->row[(g + k) * s->v + i];
            float sum = lane[k][i * s->each];

            for (size_t e = 1; e < s->each; e++)
                sum += lane[k][i * s->each + e];
            if (row != KRN_NO_ROW)
                y[row] = sum;
        }
    }
}

void KRN_TWIN(krn_packs_f32)(const struct krn_packs *s)
{
    for (size_t b = 0; b < s->m; b++) {
        const float *x = s->x + b * s->ldx;
        float *y = s->y + b * s->ldy;
        size_t g = 0;

        for (; g + 4 <= s->n; g += 4)
            packs_groups(s, g, 4, x, y);
        for (; g < s->n; g++)
            packs_groups(s, g, 1, x, y);
    }
}
