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
#define GEMM_KC 512
#define GEMM_MC 126
#define GEMM_A_ROOM                                                            \
    (GEMM_MC * GEMM_KC + 16) /* 16: the last store runs over                   \
                              */
#define GEMM_NC ((KRN_GEMM_SCRATCH - GEMM_A_ROOM) / GEMM_KC / 32 * 32)

static size_t gemm_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* n cut into pieces of at most `most`, as even as multiples of `unit` allow:
 * the size of each but the last. */
static size_t gemm_even(size_t n, size_t most, size_t unit)
{
    const size_t pieces = (n + most - 1) / most;
    const size_t size = (n + pieces - 1) / pieces;

    return (size + unit - 1) / unit * unit;
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

/* Panels of B from column j0 + j on. */
static void gemm_pack_b(float *to, const struct krn_gemm *g, size_t j0,
                        size_t j, size_t nc, size_t l0, size_t kc)
{
    for (; j < nc; j += GEMM_NR) {
        for (size_t c = 0; c < GEMM_NR && j + c < nc; c += 16)
            gemm_pack_b16(to + j * kc + c, g, j0 + j + c,
                          gemm_min(16, nc - j - c), l0, kc);
    }
}

/* One tile of C and where to find its operands. */
struct gemm_tile {
    const float *a, *b;
    float *c;
    const float *next; /* the tile of C after this one, for prefetch */
    size_t lda;        /* 0: a is a packed panel; else its row stride */
    size_t ldb, ldc, kc;
    size_t n;  /* columns, up to 16 nv */
    bool zero; /* start from 0, not from C */
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

/* Element (r, k) of A is at a[r * row + k * step]. */
V_FN void gemm_run(const struct gemm_tile *t, size_t mr, size_t nv, size_t row,
                   size_t step)
{
    const float *a = t->a, *b = t->b, *end = a + t->kc * step;
    struct v16 acc[GEMM_MR][GEMM_NV], vb[GEMM_NV];

    gemm_load(acc, t, mr, nv);
    V_UNROLL
    for (size_t r = 0; r < mr; r++) {
        _mm_prefetch((const char *)(t->next + r * t->ldc), _MM_HINT_T1);
        _mm_prefetch((const char *)(t->next + r * t->ldc + 16), _MM_HINT_T1);
    }
    for (; a < end; a += step, b += t->ldb) {
        V_UNROLL
        for (size_t v = 0; v < nv; v++)
            vb[v] = v_load(b + 16 * v);
        V_UNROLL
        for (size_t r = 0; r < mr; r++) {
            const struct v16 va = v_set1(a[r * row]);

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
        const bool wide = t->n > 16 * (GEMM_NV - 1);                           \
                                                                               \
        if (t->lda != 0 && wide)                                               \
            gemm_run(t, MR, GEMM_NV, t->lda, 1);                               \
        else if (t->lda != 0)                                                  \
            gemm_run(t, MR, 1, t->lda, 1);                                     \
        else if (wide)                                                         \
            gemm_run(t, MR, GEMM_NV, 1, GEMM_MR);                              \
        else                                                                   \
            gemm_run(t, MR, 1, 1, GEMM_MR);                                    \
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

/* A block of the loops: rows i.. (mc), columns j.. (nc), k from l (kc). */
struct gemm_at {
    const struct krn_gemm *g;
    size_t i, mc, j, nc, l, kc;
    bool copy_a, copy_b; /* packed, or read where they are */
    float *pa, *pb;
};

/* C += A B for the block, operands packed already where they have to be. */
static void gemm_block(const struct gemm_at *p)
{
    const struct krn_gemm *g = p->g;
    const float *a = p->copy_a ? p->pa : g->a + p->i * g->lda + p->l;
    struct gemm_tile t = {.lda = p->copy_a ? 0 : g->lda,
                          .ldc = g->ldc,
                          .kc = p->kc,
                          .zero = p->l == 0 && !g->add && !g->sub};

    for (size_t j = 0; j < p->nc; j += GEMM_NR) {
        t.n = gemm_min(GEMM_NR, p->nc - j);
        t.a = a;
        t.c = g->c + p->i * g->ldc + p->j + j;
        t.ldb = GEMM_NR;
        t.b = p->pb + j * p->kc;
        if (!p->copy_b && t.n == GEMM_NR) {
            t.ldb = g->ldb;
            t.b = g->b + p->l * g->ldb + p->j + j;
        }
        for (size_t i = 0, mr; i < p->mc; i += mr) {
            mr = gemm_rows(p->mc - i);
            t.next = i + mr < p->mc ? t.c + mr * t.ldc : t.c;
            gemm_tile_of[mr](&t);
            t.a += p->copy_a ? t.kc * GEMM_MR : mr * t.lda;
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

/* A copy costs about as much as reading the operand twice from the cache: it
 * pays when the block is used by several tiles. */
#define GEMM_FEW_COLS (4 * GEMM_NR)
#define GEMM_FEW_ROWS (5 * GEMM_MR)

static void gemm_columns(struct gemm_at *p)
{
    const struct krn_gemm *g = p->g;
    const size_t rows = gemm_even(g->m, GEMM_MC, GEMM_MR);
    const size_t deep = gemm_even(g->k, GEMM_KC, 16);

    for (p->l = 0; p->l < g->k; p->l += deep) {
        p->kc = gemm_min(deep, g->k - p->l);
        gemm_pack_b(p->pb, g, p->j, p->copy_b ? 0 : p->nc / GEMM_NR * GEMM_NR,
                    p->nc, p->l, p->kc);
        for (p->i = 0; p->i < g->m; p->i += rows) {
            p->mc = gemm_min(rows, g->m - p->i);
            if (p->copy_a)
                gemm_pack_a(p->pa, g, p->i, p->mc, p->l, p->kc);
            gemm_block(p);
        }
    }
}

void KRN_TWIN(krn_gemm_f32)(const struct krn_gemm *g)
{
    struct gemm_at p = {
        .g = g, .pa = g->scratch, .pb = g->scratch + GEMM_A_ROOM};

    if (g->k == 0 && !g->add && !g->sub)
        gemm_zero(g);
    p.copy_a = g->ta || g->n > GEMM_FEW_COLS;
    p.copy_b = g->tb || g->sub || g->m > GEMM_FEW_ROWS;
    if (g->m == 0 || g->n == 0 || g->k == 0)
        return;
    const size_t wide = gemm_even(g->n, GEMM_NC, GEMM_NR);

    for (; p.j < g->n; p.j += wide) {
        p.nc = gemm_min(wide, g->n - p.j);
        gemm_columns(&p);
    }
}
