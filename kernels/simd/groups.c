/*
 * kernels/simd/groups.c - weights in groups of rows (Shfl-BW).
 *
 * Turned, a tile of GROUPS_TALL outputs of GROUPS_SLAB people stays in
 * registers while a group's vectors go by; what the people have is copied
 * into a panel first where its rows lie far apart.  By rows, the panel is
 * turned on the way in, and the result on the way out.
 */
#include <math.h>
#include <string.h>

#include "kernels/simd/v16.h"

#ifdef KRN_WITH_AVX512
#define GROUPS_WIDE 3
#define GROUPS_TALL 8
#else
#define GROUPS_WIDE 1
#define GROUPS_TALL 4
#endif
#define GROUPS_SLAB ((size_t)16 * GROUPS_WIDE)
#define GROUPS_AHEAD 24 /* rows that are fetched early */
#define GROUPS_FAR 128  /* floats between rows that are copied first */
_Static_assert(GROUPS_SLAB <= KRN_GROUPS_SLAB, "room of a panel");

/* Where people are side by side: x[k][ldx], y[rows][ldy]. */
struct groups_side {
    const float *x;
    size_t ldx;
    float *y;
    size_t ldy;
};

/* Ask for `wide` vectors that are needed soon. */
V_FN void groups_fetch(const float *x, size_t wide)
{
    V_UNROLL
    for (size_t v = 0; v < wide; v++)
        _mm_prefetch((const char *)(x + 16 * v), _MM_HINT_T0);
}

/* `tall` rows of a group from i on: `wide` vectors of people, `rest` lanes in
 * the last. */
V_FN void groups_tile(const struct krn_groups *s, const struct groups_side *t,
                      size_t g, size_t i, size_t tall, size_t wide, size_t rest)
{
    const uint32_t *row = s->row + g * s->v + i;
    struct v16 acc[GROUPS_TALL][GROUPS_WIDE];

    V_UNROLL
    for (size_t r = 0; r < tall; r++) {
        V_UNROLL
        for (size_t v = 0; v < wide; v++)
            acc[r][v] = v_zero();
        if (row[r] != KRN_NO_ROW)
            groups_fetch(t->y + (size_t)row[r] * t->ldy, wide);
    }
    for (size_t p = s->from[g]; p < s->to[g]; p++) {
        const float *at = t->x + (size_t)s->idx[p] * t->ldx;
        struct v16 x[GROUPS_WIDE];

        V_UNROLL
        for (size_t v = 0; v < wide; v++)
            x[v] = v + 1 < wide || rest == 16 ? v_load(at + 16 * v)
                                              : v_load_n(at + 16 * v, rest);
        V_UNROLL
        for (size_t r = 0; r < tall; r++) {
            const struct v16 w = v_set1(s->val[p * s->v + i + r]);

            V_UNROLL
            for (size_t v = 0; v < wide; v++)
                acc[r][v] = v_fma(w, x[v], acc[r][v]);
        }
    }
    V_UNROLL
    for (size_t r = 0; r < tall; r++) {
        if (row[r] == KRN_NO_ROW)
            continue;
        V_UNROLL
        for (size_t v = 0; v < wide; v++)
            v_store_n(t->y + (size_t)row[r] * t->ldy + 16 * v, acc[r][v],
                      v + 1 < wide ? 16 : rest);
    }
}

V_FN void groups_slab(const struct krn_groups *s, const struct groups_side *t,
                      size_t wide, size_t rest)
{
    for (size_t g = 0; g < s->n; g++) {
        size_t i = 0;

        for (; i + GROUPS_TALL <= s->v; i += GROUPS_TALL)
            groups_tile(s, t, g, i, GROUPS_TALL, wide, rest);
        for (; i < s->v; i++)
            groups_tile(s, t, g, i, 1, wide, rest);
    }
}

/* --- turned ----------------------------------------------------------------
 */

static void groups_whole_slab(const struct krn_groups *s, struct groups_side t)
{
    if (t.ldx > GROUPS_FAR) {
        for (size_t c = 0; c < s->k; c++) {
            if (c + GROUPS_AHEAD < s->k)
                groups_fetch(t.x + (c + GROUPS_AHEAD) * t.ldx, GROUPS_WIDE);
            memcpy(s->scratch + c * GROUPS_SLAB, t.x + c * t.ldx,
                   GROUPS_SLAB * sizeof(float));
        }
        t.x = s->scratch;
        t.ldx = GROUPS_SLAB;
    }
    groups_slab(s, &t, GROUPS_WIDE, 16);
}

void KRN_TWIN(krn_groups_turned_f32)(const struct krn_groups *s)
{
    struct groups_side t = {s->x, s->ldx, s->y, s->ldy};
    size_t b = 0;

    for (; b + GROUPS_SLAB <= s->m; b += GROUPS_SLAB) {
        groups_whole_slab(s, t);
        t.x += GROUPS_SLAB;
        t.y += GROUPS_SLAB;
    }
    for (; b + 16 <= s->m; b += 16) {
        groups_slab(s, &t, 1, 16);
        t.x += 16;
        t.y += 16;
    }
    if (b < s->m)
        groups_slab(s, &t, 1, s->m - b);
}

/* --- by rows ---------------------------------------------------------------
 */

/* to[cols][ldto] = from[rows][ldfrom] turned; edges are turned one by one. */
static void groups_turn(float *to, size_t ldto, const float *from,
                        size_t ldfrom, size_t rows, size_t cols)
{
    const size_t down = rows / 16 * 16, across = cols / 16 * 16;
    struct v16 v[16];

    for (size_t r = 0; r < down; r += 16) {
        for (size_t c = 0; c < across; c += 16) {
            v_load_turned(v, from + r * ldfrom + c, ldfrom);
            V_UNROLL
            for (size_t j = 0; j < 16; j++)
                v_store(to + (c + j) * ldto + r, v[j]);
        }
    }
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = r < down ? across : 0; c < cols; c++)
            to[c * ldto + r] = from[r * ldfrom + c];
    }
}

/* 16 * wide people from b on. */
V_FN void groups_rows(const struct krn_groups *s, size_t b, size_t wide)
{
    const size_t slab = 16 * wide;
    float *in = s->scratch, *out = s->scratch + s->k * slab;
    const struct groups_side t = {in, slab, out, slab};

    /* 16 people at a time: rows of 4096 bytes share their places in a cache */
    for (size_t v = 0; v < slab; v += 16)
        groups_turn(in + v, slab, s->x + (b + v) * s->ldx, s->ldx, 16, s->k);
    groups_slab(s, &t, wide, 16);
    for (size_t v = 0; v < slab; v += 16)
        groups_turn(s->y + (b + v) * s->ldy, s->ldy, out + v, slab, s->rows,
                    16);
}

/* `many` groups of up to 16 lanes for one person: they hide each other's
 * latency. */
V_FN void groups_few(const struct krn_groups *s, size_t g, size_t i, size_t n,
                     size_t many, const float *x, float *y)
{
    size_t least = SIZE_MAX;
    struct v16 acc[4];
    float out[16];

    V_UNROLL
    for (size_t k = 0; k < many; k++) {
        acc[k] = v_zero();
        least = s->to[g + k] - s->from[g + k] < least
                    ? s->to[g + k] - s->from[g + k]
                    : least;
    }
    for (size_t t = 0; t < least; t++) {
        V_UNROLL
        for (size_t k = 0; k < many; k++) {
            const size_t p = s->from[g + k] + t;
            const float *w = s->val + p * s->v + i;

            acc[k] = v_fma(n == 16 ? v_load(w) : v_load_n(w, n),
                           v_set1(x[s->idx[p]]), acc[k]);
        }
    }
    V_UNROLL
    for (size_t k = 0; k < many; k++) {
        const uint32_t *row = s->row + (g + k) * s->v + i;

        for (size_t p = s->from[g + k] + least; p < s->to[g + k]; p++)
            acc[k] = v_fma(v_load_n(s->val + p * s->v + i, n),
                           v_set1(x[s->idx[p]]), acc[k]);
        v_store(out, acc[k]);
        for (size_t j = 0; j < n; j++) {
            if (row[j] != KRN_NO_ROW)
                y[row[j]] = out[j];
        }
    }
}

/* Groups of one row: a chain each, eight side by side. */
V_FN void groups_single(const struct krn_groups *s, size_t g, size_t many,
                        const float *x, float *y)
{
    size_t least = SIZE_MAX;
    float sum[8];

    V_UNROLL
    for (size_t k = 0; k < many; k++) {
        sum[k] = 0;
        least = s->to[g + k] - s->from[g + k] < least
                    ? s->to[g + k] - s->from[g + k]
                    : least;
    }
    for (size_t t = 0; t < least; t++) {
        V_UNROLL
        for (size_t k = 0; k < many; k++) {
            const size_t p = s->from[g + k] + t;

            sum[k] = fmaf(s->val[p], x[s->idx[p]], sum[k]);
        }
    }
    V_UNROLL
    for (size_t k = 0; k < many; k++) {
        for (size_t p = s->from[g + k] + least; p < s->to[g + k]; p++)
            sum[k] = fmaf(s->val[p], x[s->idx[p]], sum[k]);
        if (s->row[g + k] != KRN_NO_ROW)
            y[s->row[g + k]] = sum[k];
    }
}

static void groups_person(const struct krn_groups *s, const float *x, float *y)
{
    size_t g = 0;

    if (s->v == 1) {
        for (; g + 8 <= s->n; g += 8)
            groups_single(s, g, 8, x, y);
        for (; g < s->n; g++)
            groups_single(s, g, 1, x, y);
        return;
    }
    for (; g + 4 <= s->n; g += 4) {
        size_t i = 0;

        for (; i + 16 <= s->v; i += 16)
            groups_few(s, g, i, 16, 4, x, y);
        if (s->v - i == 8)
            groups_few(s, g, i, 8, 4, x, y);
        else if (i < s->v)
            groups_few(s, g, i, s->v - i, 4, x, y);
    }
    for (; g < s->n; g++) {
        for (size_t i = 0; i < s->v; i += 16)
            groups_few(s, g, i, s->v - i < 16 ? s->v - i : 16, 1, x, y);
    }
}

void KRN_TWIN(krn_groups_f32)(const struct krn_groups *s)
{
    size_t b = 0;

    for (; b + GROUPS_SLAB <= s->m; b += GROUPS_SLAB)
        groups_rows(s, b, GROUPS_WIDE);
    for (; b + 16 <= s->m; b += 16)
        groups_rows(s, b, 1);
    for (; b < s->m; b++)
        groups_person(s, s->x + b * s->ldx, s->y + b * s->ldy);
}
