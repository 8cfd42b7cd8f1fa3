/*
 * kernels/simd/gemm.c - dense products from registers outwards.
 *
 * A tile of C stays in registers while k runs over a block of GEMM_KC; between
 * blocks it rests in C itself, so that each element remains the one chain of
 * the reference.  B is packed into panels of the tile's width, A into panels of
 * its height: both are then read in order.  Loops as in Goto and van de Geijn,
 * "Anatomy of High-Performance Matrix Multiplication", TOMS 34, 2008.
 */
#include <string.h>

#include "kernels/simd/gemm_thin.h"
#include "kernels/simd/gemm_tile.h"

#define GEMM_KC 512
/* Of packed A: a third of the L2 cache. */
#define GEMM_A_FLOATS (168 * GEMM_KC)
#define GEMM_A_ROOM (GEMM_A_FLOATS + 16) /* the last store runs over */
/* Of packed B: a quarter of the L2 cache, but so many columns that packing A
 * again for each block costs little. */
#define GEMM_B_FLOATS ((size_t)1 << 16)
#define GEMM_COLUMNS ((KRN_GEMM_SCRATCH - GEMM_A_ROOM) / GEMM_KC / 32 * 32)

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
        mr = gemm_rows(mc - i, GEMM_MR);
        gemm_pack_a_tile(to, g, i0 + i, mr, l0, kc);
    }
}

/* to[kc][GEMM_NR], sixteen of the columns of a B that lies across, n of them
 * real. */
static void gemm_turn_b16(float *to, const struct krn_gemm *g, size_t j,
                          size_t n, size_t l0, size_t kc)
{
    const struct v16 sign = v_set1(g->sub ? -1.0f : 1.0f);
    struct v16 v[16];

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

/* The same for n columns and `rows` rows of a B that lies as it is used. */
V_FN void gemm_copy_b16(float *to, const float *b, size_t ldb, size_t n,
                        size_t rows, struct v16 sign)
{
    for (size_t l = 0; l < rows; l++, b += ldb)
        v_store(to + l * GEMM_NR,
                v_mul(sign, n == 16 ? v_load(b) : v_load_n(b, n)));
}

#define GEMM_ROWS_B 16

/* Panels of B from column j0 + j on.  A few rows at a time, whole: a panel
 * would take 128 bytes here and 128 there, and a page for each. */
static void gemm_pack_b(float *to, const struct krn_gemm *g, size_t j0,
                        size_t j, size_t nc, size_t l0, size_t kc)
{
    const struct v16 sign = v_set1(g->sub ? -1.0f : 1.0f);

    for (size_t l = 0; l < kc; l += g->tb ? kc : GEMM_ROWS_B) {
        const size_t rows = gemm_min(GEMM_ROWS_B, kc - l);
        const float *b = g->b + (l0 + l) * g->ldb + j0;

        for (size_t c = j; c < nc; c += 16) {
            /* panels lie kc rows apart */
            float *panel =
                to + (c - j) / GEMM_NR * GEMM_NR * kc + (c - j) % GEMM_NR;
            const size_t n = gemm_min(16, nc - c);

            if (g->tb)
                gemm_turn_b16(panel, g, j0 + c, n, l0, kc);
            else
                gemm_copy_b16(panel + l * GEMM_NR, b + c, g->ldb, n, rows,
                              sign);
        }
    }
}

/* A block of the loops: rows i.. (mc), columns j.. (nc), k from l (kc). */
struct gemm_at {
    const struct krn_gemm *g;
    size_t i, mc, j, nc, l, kc;
    enum { GEMM_WHERE_IT_IS, GEMM_IN_ROWS, GEMM_IN_PANELS } a;
    bool copy_b; /* in panels, or read where it is */
    bool wide;   /* tiles of GEMM_WIDE_NR, of what is read where it is */
    size_t rows; /* of a tile, at most */
    float *pa, *pb;
};

/* A set of the first cache cannot hold rows that all fall into it
 * (KRN_GEMM_BAD): copies lie a line further each. */
#ifdef KRN_WITH_AVX512
#define GEMM_BAD_MR 12 /* rows that such a set can still hold */
#else
#define GEMM_BAD_MR GEMM_MR
#endif
/* Columns of B from which on the copies pay. */
#define GEMM_BAD_NR (4 * GEMM_NR)

static size_t gemm_row(size_t kc)
{
    return (kc + 15) / 16 * 16 + 16;
}

/* Rows come from far: some are fetched while others are copied. */
#define GEMM_ROWS_AHEAD 8

static void gemm_copy_a(const struct gemm_at *p)
{
    const size_t lda = p->g->lda, room = gemm_row(p->kc);
    const float *a = p->g->a + p->i * lda + p->l;
    float *to = p->pa;

    for (size_t i = 0; i < p->mc; i++, a += lda, to += room) {
        const float *soon =
            i + GEMM_ROWS_AHEAD < p->mc ? a + GEMM_ROWS_AHEAD * lda : a;

        V_FOR(x, lanes, p->kc)
        {
            _mm_prefetch((const char *)(soon + x), _MM_HINT_T0);
            v_store_n(to + x, v_load_n(a + x, lanes), lanes);
        }
    }
}

/* Columns of the block that are read where they are; the rest is packed. */
static size_t gemm_direct(const struct gemm_at *p)
{
    const size_t step = p->wide ? GEMM_WIDE_NR : GEMM_NR;

    return p->copy_b ? 0 : p->nc / step * step;
}

/* Where column j of the block is. */
static void gemm_find_b(struct gemm_tile *t, const struct gemm_at *p, size_t j,
                        size_t direct)
{
    const struct krn_gemm *g = p->g;
    const size_t at = p->j + j;

    if (g->panels) {
        t->ldb = KRN_PANEL;
        t->b =
            g->b + at / KRN_PANEL * g->ldb + p->l * KRN_PANEL + at % KRN_PANEL;
        t->soon = t->b + (at % KRN_PANEL + GEMM_NR < KRN_PANEL
                              ? GEMM_NR
                              : g->ldb + GEMM_NR - KRN_PANEL);
    } else if (j < direct) {
        t->ldb = g->ldb;
        t->b = g->b + p->l * g->ldb + at;
        /* to the right, or the first columns of the rows below */
        t->soon = j + t->n < p->nc ? t->b + t->n
                                   : g->b + (p->l + p->kc) * g->ldb + p->j;
    } else {
        t->ldb = GEMM_NR;
        t->b = p->pb + (j - direct) * p->kc;
        t->soon = t->b + GEMM_NR * p->kc;
    }
    t->soon_step = t->ldb;
}

/* C += A B for the block, operands packed already where they have to be. */
static void gemm_block(const struct gemm_at *p)
{
    const struct krn_gemm *g = p->g;
    const float *a =
        p->a != GEMM_WHERE_IT_IS ? p->pa : g->a + p->i * g->lda + p->l;
    struct gemm_tile t = {.lda = p->a == GEMM_IN_PANELS ? 0
                                 : p->a == GEMM_IN_ROWS ? gemm_row(p->kc)
                                                        : g->lda,
                          .ldc = g->ldc,
                          .kc = p->kc,
                          .zero = p->l == 0 && !g->add && !g->sub};

    for (size_t j = 0, step; j < p->nc; j += step) {
        const size_t direct = gemm_direct(p);
        const bool wide = p->wide && j < direct;
        const size_t most = wide ? GEMM_WIDE_MR : p->rows;

        step = wide ? GEMM_WIDE_NR : GEMM_NR;
        t.n = gemm_min(step, p->nc - j);
        t.a = a;
        t.c = g->c + p->i * g->ldc + p->j + j;
        gemm_find_b(&t, p, j, direct);
        for (size_t i = 0, mr; i < p->mc; i += mr) {
            mr = gemm_rows(p->mc - i, most);
            t.next = i + mr < p->mc ? t.c + mr * t.ldc : t.c;
            (wide ? gemm_wide_of : gemm_tile_of)[mr](&t);
            t.soon = t.b; /* the first tile has fetched the next columns */
            t.a += t.lda == 0 ? t.kc * GEMM_MR : mr * t.lda;
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

/* B is read where it is, row by row through a tile, and the next columns are
 * fetched meanwhile: that is faster than a copy unless very many tiles use
 * the block, or its rows fall into one set of the caches. */
#ifdef KRN_WITH_AVX512
#define GEMM_FEW_ROWS 1024
#define GEMM_BAD_FEW_ROWS (20 * GEMM_MR)
#else
#define GEMM_FEW_ROWS 512
#define GEMM_BAD_FEW_ROWS (5 * GEMM_MR)
#endif
/* Nor where all of B's rows of a panel stay in the first cache. */
#define GEMM_SHALLOW 128

/* Rows of B in a block, at most GEMM_KC. */
static size_t gemm_deep(const struct krn_gemm *g)
{
    return gemm_even(g->k, GEMM_KC, 16);
}

static void gemm_columns(struct gemm_at *p)
{
    const struct krn_gemm *g = p->g;
    const size_t deep = gemm_deep(g);
    const size_t room = p->a == GEMM_IN_ROWS ? gemm_row(deep) : deep;
    const size_t rows =
        gemm_even(g->m, GEMM_A_FLOATS / room / GEMM_MR * GEMM_MR, GEMM_MR);

    for (p->l = 0; p->l < g->k; p->l += deep) {
        p->kc = gemm_min(deep, g->k - p->l);
        if (!g->panels)
            gemm_pack_b(p->pb, g, p->j, gemm_direct(p), p->nc, p->l, p->kc);
        for (p->i = 0; p->i < g->m; p->i += rows) {
            p->mc = gemm_min(rows, g->m - p->i);
            if (p->a == GEMM_IN_PANELS)
                gemm_pack_a(p->pa, g, p->i, p->mc, p->l, p->kc);
            else if (p->a == GEMM_IN_ROWS)
                gemm_copy_a(p);
            gemm_block(p);
        }
    }
}

void KRN_TWIN(krn_gemm_f32)(const struct krn_gemm *g)
{
    struct gemm_at p = {
        .g = g, .pa = g->scratch, .pb = g->scratch + GEMM_A_ROOM};

    if (g->m <= GEMM_THIN && !g->tb && !g->panels) {
        if (!g->add && !g->sub)
            gemm_zero(g);
        gemm_thin(g);
        return;
    }
    if (g->k == 0 && !g->add && !g->sub)
        gemm_zero(g);
    p.copy_b = g->tb || g->sub ||
               (g->ldb % KRN_GEMM_BAD == 0
                    ? g->m > GEMM_BAD_FEW_ROWS
                    : g->m > GEMM_FEW_ROWS && g->k > GEMM_SHALLOW);
    p.wide = !p.copy_b && !g->panels && !g->ta && g->m <= GEMM_WIDE_ROWS &&
             g->k > GEMM_SHALLOW && g->n >= 10 * GEMM_WIDE_NR;
    p.a = g->ta                                              ? GEMM_IN_PANELS
          : p.wide                                           ? GEMM_WHERE_IT_IS
          : g->n > GEMM_BAD_NR && g->lda % KRN_GEMM_BAD == 0 ? GEMM_IN_ROWS
                                                             : GEMM_WHERE_IT_IS;
    p.rows = p.a == GEMM_WHERE_IT_IS && g->lda % KRN_GEMM_BAD == 0 ? GEMM_BAD_MR
                                                                   : GEMM_MR;
    if (g->m == 0 || g->n == 0 || g->k == 0)
        return;
    const size_t fit = GEMM_B_FLOATS / gemm_deep(g) / GEMM_NR * GEMM_NR;
    const size_t wide =
        gemm_even(g->n, fit > GEMM_COLUMNS ? fit : GEMM_COLUMNS, GEMM_NR);

    for (; p.j < g->n; p.j += wide) {
        p.nc = gemm_min(wide, g->n - p.j);
        gemm_columns(&p);
    }
}
