/*
 * kernels/simd/gemm.c - dense products from registers outwards.
 *
 * A tile of C stays in registers while k runs over a block of GEMM_KC; between
 * blocks it rests in C itself, so that each element remains the one chain of
 * the reference.  B is packed into panels of the tile's width, A into panels of
 * its height: both are then read in order.  Loops as in Goto and van de Geijn,
 * "Anatomy of High-Performance Matrix Multiplication", TOMS 34, 2008.
 */
#include "kernels/simd/v16.h"

#ifdef KRN_WITH_AVX512
#define GEMM_MR 14 /* 14 x 2 of 32 registers accumulate */
#define GEMM_NV 2
#else
#define GEMM_MR 6 /* 6 x 2 of 16 */
#define GEMM_NV 1
#endif
#define GEMM_NR (16 * GEMM_NV)
#define GEMM_KC 256
#define GEMM_MC 252
#define GEMM_A_ROOM                                                            \
    (GEMM_MC * GEMM_KC + 16) /* 16: the last store runs over                   \
                              */
#define GEMM_NC ((KRN_GEMM_SCRATCH - GEMM_A_ROOM) / GEMM_KC / 32 * 32)

static size_t gemm_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Rows of the next tile when `left` remain: as even as can be. */
static size_t gemm_rows(size_t left)
{
    const size_t tiles = (left + GEMM_MR - 1) / GEMM_MR;

    return (left + tiles - 1) / tiles;
}

/* to[kc][GEMM_MR] = rows (columns when ta) i.. of A. */
static void gemm_pack_a_tile(float *to, const struct krn_gemm *g, size_t i,
                             size_t mr, size_t l0, size_t kc)
{
    struct v16 v[16];

    if (g->ta) {
        for (size_t l = 0; l < kc; l++)
            v_store(to + l * GEMM_MR,
                    v_load_n(g->a + (l0 + l) * g->lda + i, mr));
        return;
    }
    for (size_t l = 0; l < kc; l += 16) {
        const size_t n = gemm_min(16, kc - l);
        const float *a = g->a + i * g->lda + l0 + l;

        for (size_t r = 0; r < 16; r++)
            v[r] = r < mr ? v_load_n(a + r * g->lda, n) : v_zero();
        v_transpose(v);
        for (size_t c = 0; c < n; c++)
            v_store(to + (l + c) * GEMM_MR, v[c]);
    }
}

static void gemm_pack_a(float *to, const struct krn_gemm *g, size_t i0,
                        size_t mc, size_t l0, size_t kc)
{
    for (size_t i = 0, mr; i < mc; i += mr, to += kc * GEMM_MR) {
        mr = gemm_rows(mc - i);
        gemm_pack_a_tile(to, g, i0 + i, mr, l0, kc);
    }
}

/* to[kc][GEMM_NR], sixteen of the columns, n of them real. */
static void gemm_pack_b16(float *to, const struct krn_gemm *g, size_t j,
                          size_t n, size_t l0, size_t kc)
{
    const struct v16 sign = v_set1(g->sub ? -1.0f : 1.0f);
    struct v16 v[16];

    if (!g->tb) {
        const float *b = g->b + l0 * g->ldb + j;

        for (size_t l = 0; l < kc; l++, b += g->ldb)
            v_store(to + l * GEMM_NR,
                    v_mul(sign, n == 16 ? v_load(b) : v_load_n(b, n)));
        return;
    }
    for (size_t l = 0; l < kc; l += 16) {
        const size_t m = gemm_min(16, kc - l);
        const float *b = g->b + j * g->ldb + l0 + l;

        for (size_t c = 0; c < 16; c++)
            v[c] = c < n ? v_load_n(b + c * g->ldb, m) : v_zero();
        v_transpose(v);
        for (size_t c = 0; c < m; c++)
            v_store(to + (l + c) * GEMM_NR, v_mul(sign, v[c]));
    }
}

static void gemm_pack_b(float *to, const struct krn_gemm *g, size_t j0,
                        size_t nc, size_t l0, size_t kc)
{
    for (size_t j = 0; j < nc; j += GEMM_NR, to += kc * GEMM_NR) {
        for (size_t c = 0; c < GEMM_NR && j + c < nc; c += 16)
            gemm_pack_b16(to + c, g, j0 + j + c, gemm_min(16, nc - j - c), l0,
                          kc);
    }
}

/* One tile of C and where to find its operands. */
struct gemm_tile {
    const float *a, *b; /* packed panels */
    float *c;
    const float *next; /* the tile of C after this one, for prefetch */
    size_t ldc, kc, n; /* n: columns, up to 16 nv */
    bool zero;         /* start from 0, not from C */
};

V_FN void gemm_load(struct v16 acc[][GEMM_NV], const struct gemm_tile *t,
                    size_t mr, size_t nv)
{
    const bool full = t->n == 16 * nv;

    V_UNROLL
    for (size_t r = 0; r < mr; r++) {
        V_UNROLL
        for (size_t v = 0; v < nv; v++) {
            const float *c = t->c + r * t->ldc + 16 * v;

            acc[r][v] = t->zero              ? v_zero()
                        : full || v + 1 < nv ? v_load(c)
                                             : v_load_n(c, t->n - 16 * v);
        }
    }
}

V_FN void gemm_store(struct v16 acc[][GEMM_NV], const struct gemm_tile *t,
                     size_t mr, size_t nv)
{
    const bool full = t->n == 16 * nv;

    V_UNROLL
    for (size_t r = 0; r < mr; r++) {
        V_UNROLL
        for (size_t v = 0; v < nv; v++) {
            float *c = t->c + r * t->ldc + 16 * v;

            if (full || v + 1 < nv)
                v_store(c, acc[r][v]);
            else
                v_store_n(c, acc[r][v], t->n - 16 * v);
        }
    }
}

V_FN void gemm_run(const struct gemm_tile *t, size_t mr, size_t nv)
{
    const float *a = t->a, *b = t->b, *end = a + t->kc * GEMM_MR;
    struct v16 acc[GEMM_MR][GEMM_NV], vb[GEMM_NV];

    gemm_load(acc, t, mr, nv);
    V_UNROLL
    for (size_t r = 0; r < mr; r++) {
        _mm_prefetch((const char *)(t->next + r * t->ldc), _MM_HINT_T0);
        _mm_prefetch((const char *)(t->next + r * t->ldc + 16), _MM_HINT_T0);
    }
    for (; a < end; a += GEMM_MR, b += GEMM_NR) {
        V_UNROLL
        for (size_t v = 0; v < nv; v++)
            vb[v] = v_load(b + 16 * v);
        V_UNROLL
        for (size_t r = 0; r < mr; r++) {
            const struct v16 va = v_set1(a[r]);

            V_UNROLL
            for (size_t v = 0; v < nv; v++)
                acc[r][v] = v_fma(va, vb[v], acc[r][v]);
        }
    }
    gemm_store(acc, t, mr, nv);
}

/* A function per tile shape, so that each keeps its registers. */
#define GEMM_SHAPE(MR)                                                         \
    static void gemm_tile_##MR(const struct gemm_tile *t)                      \
    {                                                                          \
        if (t->n > 16 * (GEMM_NV - 1))                                         \
            gemm_run(t, MR, GEMM_NV);                                          \
        else                                                                   \
            gemm_run(t, MR, 1);                                                \
    }
GEMM_SHAPE(1)
GEMM_SHAPE(2)
GEMM_SHAPE(3)
GEMM_SHAPE(4)
GEMM_SHAPE(5)
GEMM_SHAPE(6)
#ifdef KRN_WITH_AVX512
GEMM_SHAPE(7)
GEMM_SHAPE(8)
GEMM_SHAPE(9)
GEMM_SHAPE(10)
GEMM_SHAPE(11)
GEMM_SHAPE(12)
GEMM_SHAPE(13)
GEMM_SHAPE(14)
#endif

static void (*const gemm_tile_of[GEMM_MR + 1])(const struct gemm_tile *) = {
    NULL,         gemm_tile_1,  gemm_tile_2,  gemm_tile_3,
    gemm_tile_4,  gemm_tile_5,  gemm_tile_6,
#ifdef KRN_WITH_AVX512
    gemm_tile_7,  gemm_tile_8,  gemm_tile_9,  gemm_tile_10,
    gemm_tile_11, gemm_tile_12, gemm_tile_13, gemm_tile_14,
#endif
};

/* C[mc][nc] at c from packed a and b. */
static void gemm_block(const struct gemm_tile *proto, size_t mc, size_t nc)
{
    for (size_t j = 0; j < nc; j += GEMM_NR) {
        struct gemm_tile t = *proto;

        t.b += j * t.kc;
        t.c += j;
        t.n = gemm_min(GEMM_NR, nc - j);
        for (size_t i = 0, mr; i < mc; i += mr) {
            mr = gemm_rows(mc - i);
            t.next = i + mr < mc ? t.c + mr * t.ldc : t.c;
            gemm_tile_of[mr](&t);
            t.a += t.kc * GEMM_MR;
            t.c += mr * t.ldc;
        }
    }
}

static void gemm_zero(const struct krn_gemm *g)
{
    for (size_t i = 0; i < g->m; i++) {
        for (size_t j = 0; j < g->n; j++)
            g->c[i * g->ldc + j] = 0;
    }
}

void KRN_TWIN(krn_gemm_f32)(const struct krn_gemm *g)
{
    const bool keep = g->add || g->sub;
    float *pa = g->scratch, *pb = pa + GEMM_A_ROOM;

    if (g->k == 0 && !keep)
        gemm_zero(g);
    for (size_t j = 0; j < g->n; j += GEMM_NC) {
        const size_t nc = gemm_min(GEMM_NC, g->n - j);

        for (size_t l = 0; l < g->k; l += GEMM_KC) {
            const size_t kc = gemm_min(GEMM_KC, g->k - l);

            gemm_pack_b(pb, g, j, nc, l, kc);
            for (size_t i = 0; i < g->m; i += GEMM_MC) {
                const size_t mc = gemm_min(GEMM_MC, g->m - i);
                const struct gemm_tile t = {.a = pa,
                                            .b = pb,
                                            .c = g->c + i * g->ldc + j,
                                            .ldc = g->ldc,
                                            .kc = kc,
                                            .zero = l == 0 && !keep};

                gemm_pack_a(pa, g, i, mc, l, kc);
                gemm_block(&t, mc, nc);
            }
        }
    }
}
