/*
 * kernels/simd/syrk.c - A += sum of w x x^T over gathered rows, lower triangle.
 *
 * Rows are taken in chunks that stay in the cache; for each chunk a tile of A
 * (SYRK_R rows by up to SYRK_V vectors) stays in registers.  The products
 * w[j] * x[j][i] of the tile's rows are made once per chunk.
 */
#include "kernels/simd/v16.h"

#ifdef KRN_WITH_AVX512
#define SYRK_R 8
#define SYRK_V 3
#else
#define SYRK_R 4
#define SYRK_V 1
#endif
#define SYRK_CHUNK 128

struct syrk {
    const float *row[SYRK_CHUNK];
    float wx[SYRK_CHUNK * SYRK_R + 16];
    const float *w; /* of the chunk, or NULL */
    float *a;
    size_t lda, d, n; /* n: rows in the chunk */
};

static void syrk_weigh(struct syrk *s, size_t i, size_t rows)
{
    for (size_t j = 0; j < s->n; j++) {
        const struct v16 x = v_load_n(s->row[j] + i, rows);
        const struct v16 wx = s->w != NULL ? v_mul(v_set1(s->w[j]), x) : x;

        v_store_n(s->wx + j * SYRK_R, wx, SYRK_R);
    }
}

/* Lanes of vector `col` that row i has at or below the diagonal: 0..16. */
V_FN size_t syrk_lanes(size_t i, size_t col)
{
    return i < col ? 0 : i - col < 15 ? i - col + 1 : 16;
}

/* Rows i.., columns col..: rows and nv are constants where this is inlined;
 * `last` columns exist in the last vector. */
V_FN void syrk_tile(const struct syrk *s, size_t i, size_t col, size_t rows,
                    size_t nv, size_t last)
{
    struct v16 acc[SYRK_R][SYRK_V], x[SYRK_V];

    V_UNROLL
    for (size_t r = 0; r < rows; r++) {
        V_UNROLL
        for (size_t v = 0; v < nv; v++) {
            const size_t n = syrk_lanes(i + r, col + 16 * v);
            const float *a = s->a + (i + r) * s->lda + col + 16 * v;

            acc[r][v] = n == 16 ? v_load(a) : n > 0 ? v_load_n(a, n) : v_zero();
        }
    }
    for (size_t j = 0; j < s->n; j++) {
        const float *row = s->row[j] + col, *wx = s->wx + j * SYRK_R;

        V_UNROLL
        for (size_t v = 0; v < nv; v++)
            x[v] = v + 1 < nv || last == 16 ? v_load(row + 16 * v)
                                            : v_load_n(row + 16 * v, last);
        V_UNROLL
        for (size_t r = 0; r < rows; r++) {
            const struct v16 t = v_set1(wx[r]);

            V_UNROLL
            for (size_t v = 0; v < nv; v++)
                acc[r][v] = v_fma(t, x[v], acc[r][v]);
        }
    }
    V_UNROLL
    for (size_t r = 0; r < rows; r++) {
        V_UNROLL
        for (size_t v = 0; v < nv; v++) {
            const size_t n = syrk_lanes(i + r, col + 16 * v);
            float *a = s->a + (i + r) * s->lda + col + 16 * v;

            if (n == 16)
                v_store(a, acc[r][v]);
            else if (n > 0)
                v_store_n(a, acc[r][v], n);
        }
    }
}

#define SYRK_TILE(R, V)                                                        \
    static void syrk_tile_##R##_##V(const struct syrk *s, size_t i,            \
                                    size_t col, size_t last)                   \
    {                                                                          \
        if (last == 16)                                                        \
            syrk_tile(s, i, col, R, V, 16);                                    \
        else                                                                   \
            syrk_tile(s, i, col, R, V, last);                                  \
    }
SYRK_TILE(1, 1)
SYRK_TILE(2, 1)
SYRK_TILE(4, 1)
#ifdef KRN_WITH_AVX512
SYRK_TILE(8, 1)
SYRK_TILE(1, 2)
SYRK_TILE(2, 2)
SYRK_TILE(4, 2)
SYRK_TILE(8, 2)
SYRK_TILE(1, 3)
SYRK_TILE(2, 3)
SYRK_TILE(4, 3)
SYRK_TILE(8, 3)
#endif

/* by vectors - 1 and log2 rows */
static void (*const syrk_tile_of[SYRK_V][4])(const struct syrk *, size_t,
                                             size_t, size_t) = {
#ifdef KRN_WITH_AVX512
    {syrk_tile_1_1, syrk_tile_2_1, syrk_tile_4_1, syrk_tile_8_1},
    {syrk_tile_1_2, syrk_tile_2_2, syrk_tile_4_2, syrk_tile_8_2},
    {syrk_tile_1_3, syrk_tile_2_3, syrk_tile_4_3, syrk_tile_8_3},
#else
    {syrk_tile_1_1, syrk_tile_2_1, syrk_tile_4_1, NULL},
#endif
};

/* Rows i..i+2^log-1, all columns up to the diagonal: vectors shared out
 * evenly, 4 = 2 + 2 rather than 3 + 1. */
static void syrk_rows(struct syrk *s, size_t i, size_t log)
{
    const size_t rows = (size_t)1 << log, all = (i + rows + 15) / 16;
    size_t tiles = (all + SYRK_V - 1) / SYRK_V;

    syrk_weigh(s, i, rows);
    for (size_t v = 0, nv; v < all; v += nv, tiles--) {
        nv = (all - v + tiles - 1) / tiles;
        const size_t left = s->d - 16 * v;

        syrk_tile_of[nv - 1][log](s, i, 16 * v,
                                  left < 16 * nv ? v_rest(left) : 16);
    }
}

static void syrk_chunk(struct syrk *s)
{
    size_t i = 0;

    for (; i + SYRK_R <= s->d; i += SYRK_R)
        syrk_rows(s, i, SYRK_R == 8 ? 3 : 2);
    for (size_t log = 3; log-- > 0;) {
        if (s->d - i >= (size_t)1 << log) {
            syrk_rows(s, i, log);
            i += (size_t)1 << log;
        }
    }
}

void KRN_TWIN(krn_syrk_rows_f32)(float *a, size_t lda, const float *x,
                                 size_t ldx, const uint32_t *idx,
                                 const float *w, size_t n, size_t d)
{
    struct syrk s;

    s.a = a;
    s.lda = lda;
    s.d = d;
    for (size_t j = 0; j < n; j += SYRK_CHUNK) {
        s.n = n - j < SYRK_CHUNK ? n - j : SYRK_CHUNK;
        s.w = w != NULL ? w + j : NULL;
        for (size_t i = 0; i < s.n; i++) {
            s.row[i] = x + (size_t)idx[j + i] * ldx;
            for (size_t c = 0; c < d; c += 16)
                _mm_prefetch((const char *)(s.row[i] + c), _MM_HINT_T0);
        }
        syrk_chunk(&s);
    }
}
