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
#define GEMM_KC 1024
#define GEMM_AHEAD                                                             \
    24 /* rows of B that are fetched early, into the next panel */
/* Of packed A: a third of the L2 cache. */
#define GEMM_A_FLOATS (84 * GEMM_KC)
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
            float *panel = to + c / GEMM_NR * GEMM_NR * kc + c % GEMM_NR;
            const size_t n = gemm_min(16, nc - c);

            if (g->tb)
                gemm_turn_b16(panel, g, j0 + c, n, l0, kc);
            else
                gemm_copy_b16(panel + l * GEMM_NR, b + c, g->ldb, n, rows,
                              sign);
        }
    }
}

/* One tile of C and where to find its operands. */
struct gemm_tile {
    const float *a, *b;
    float *c;
    const float *next; /* the tile of C after this one, for prefetch */
    size_t ahead;      /* from a row of B to what to fetch early */
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

V_FN void gemm_prefetch(const struct gemm_tile *t, size_t mr)
{
    V_UNROLL
    for (size_t r = 0; r < mr; r++) {
        _mm_prefetch((const char *)(t->next + r * t->ldc), _MM_HINT_T1);
        _mm_prefetch((const char *)(t->next + r * t->ldc + 16), _MM_HINT_T1);
    }
}

/* A in a panel: element (r, k) at a[k * GEMM_MR + r]. */
V_FN void gemm_run_packed(const struct gemm_tile *t, size_t mr, size_t nv)
{
    const float *a = t->a, *b = t->b, *end = a + t->kc * GEMM_MR;
    struct v16 acc[GEMM_MR][GEMM_NV], vb[GEMM_NV];

    gemm_load(acc, t, mr, nv);
    gemm_prefetch(t, mr);
    for (; a < end; a += GEMM_MR, b += t->ldb) {
        V_UNROLL
        for (size_t v = 0; v < nv; v++) {
            vb[v] = v_load(b + 16 * v);
            _mm_prefetch((const char *)(b + t->ahead + 16 * v), _MM_HINT_T0);
        }
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

/* A where it is: element (r, k) at a[r * lda + k]. */
V_FN void gemm_run(const struct gemm_tile *t, size_t mr, size_t nv)
{
    const size_t lda = t->lda;
    const float *a[5], *b = t->b, *end = b + t->kc * t->ldb;
    struct v16 acc[GEMM_MR][GEMM_NV], vb[GEMM_NV];

    gemm_load(acc, t, mr, nv);
    gemm_prefetch(t, mr);
    V_UNROLL /* a register for three rows: there are not enough for each */
        for (size_t i = 0; i < 5; i++) a[i] = t->a + 3 * i * lda;
    for (; b < end; b += t->ldb) {
        V_UNROLL
        for (size_t v = 0; v < nv; v++) {
            vb[v] = v_load(b + 16 * v);
            _mm_prefetch((const char *)(b + t->ahead + 16 * v), _MM_HINT_T0);
        }
        V_UNROLL
        for (size_t r = 0; r < mr; r++) {
            const struct v16 va = v_set1(a[r / 3][r % 3 * lda]);

            V_UNROLL
            for (size_t v = 0; v < nv; v++)
                acc[r][v] = v_fma(va, vb[v], acc[r][v]);
        }
        V_UNROLL
        for (size_t i = 0; i < 5; i++)
            a[i]++;
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
            gemm_run(t, MR, GEMM_NV);                                          \
        else if (t->lda != 0)                                                  \
            gemm_run(t, MR, 1);                                                \
        else if (wide)                                                         \
            gemm_run_packed(t, MR, GEMM_NV);                                   \
        else                                                                   \
            gemm_run_packed(t, MR, 1);                                         \
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
    /* a panel that is soon used up: have the next one ready */
    const bool shallow = p->kc <= 8 * GEMM_AHEAD;

    for (size_t j = 0; j < p->nc; j += GEMM_NR) {
        t.n = gemm_min(GEMM_NR, p->nc - j);
        t.a = a;
        t.c = g->c + p->i * g->ldc + p->j + j;
        t.ldb = GEMM_NR;
        t.b = p->pb + j * p->kc;
        t.ahead = shallow ? GEMM_AHEAD * t.ldb : 0;
        if (g->panels) {
            const size_t at = p->j + j;

            t.ldb = KRN_PANEL;
            t.b = g->b + at / KRN_PANEL * g->ldb + p->l * KRN_PANEL +
                  at % KRN_PANEL;
            t.ahead = shallow ? GEMM_AHEAD * t.ldb : 0;
        } else if (!p->copy_b && t.n == GEMM_NR) {
            t.ldb = g->ldb;
            t.b = g->b + p->l * g->ldb + p->j + j;
            t.ahead = GEMM_NR;
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

/* A few rows of C: four rows of B at a time are read in order, a stretch of C
 * stays in the cache. */
#define GEMM_THIN 4
#define GEMM_STRETCH 4096
#define GEMM_SOON 256 /* floats that are fetched early */

static void gemm_thin_row(const struct krn_gemm *g, size_t i, size_t j,
                          size_t n, size_t l)
{
    const size_t step = g->ta ? g->lda : 1;
    const float *a = g->a + (g->ta ? i : i * g->lda) + l * step;
    const float *b = g->b + l * g->ldb + j;
    float *c = g->c + i * g->ldc + j;
    const size_t rows = gemm_min(4, g->k - l);
    struct v16 va[4];

    for (size_t r = 0; r < rows; r++)
        va[r] = v_set1(g->sub ? -a[r * step] : a[r * step]);
    V_FOR(x, lanes, n)
    {
        struct v16 sum = v_load_n(c + x, lanes);

        if (rows == 4) {
            V_UNROLL
            for (size_t r = 0; r < 4; r++) {
                const float *at = b + r * g->ldb + x;

                _mm_prefetch((const char *)(at + GEMM_SOON), _MM_HINT_T0);
                sum = v_fma(va[r], v_load_n(at, lanes), sum);
            }
        } else {
            for (size_t r = 0; r < rows; r++)
                sum = v_fma(va[r], v_load_n(b + r * g->ldb + x, lanes), sum);
        }
        v_store_n(c + x, sum, lanes);
    }
}

static void gemm_thin(const struct krn_gemm *g)
{
    if (!g->add && !g->sub)
        gemm_zero(g);
    for (size_t j = 0; j < g->n; j += GEMM_STRETCH) {
        const size_t n = gemm_min(GEMM_STRETCH, g->n - j);

        for (size_t l = 0; l < g->k; l += 4) {
            for (size_t i = 0; i < g->m; i++)
                gemm_thin_row(g, i, j, n, l);
        }
    }
}

/* A copy costs about as much as reading the operand twice from the cache: it
 * pays when the block is used by several tiles. */
#define GEMM_FEW_COLS (4 * GEMM_NR)
#define GEMM_FEW_ROWS (5 * GEMM_MR)

/* Rows of B in a block, at most GEMM_KC. */
static size_t gemm_deep(const struct krn_gemm *g)
{
    return gemm_even(g->k, GEMM_KC, 16);
}

static void gemm_columns(struct gemm_at *p)
{
    const struct krn_gemm *g = p->g;
    const size_t deep = gemm_deep(g);
    const size_t rows =
        gemm_even(g->m, GEMM_A_FLOATS / deep / GEMM_MR * GEMM_MR, GEMM_MR);

    for (p->l = 0; p->l < g->k; p->l += deep) {
        p->kc = gemm_min(deep, g->k - p->l);
        if (!g->panels)
            gemm_pack_b(p->pb, g, p->j,
                        p->copy_b ? 0 : p->nc / GEMM_NR * GEMM_NR, p->nc, p->l,
                        p->kc);
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

    if (g->m <= GEMM_THIN && !g->tb && !g->panels) {
        gemm_thin(g);
        return;
    }
    if (g->k == 0 && !g->add && !g->sub)
        gemm_zero(g);
    p.copy_a =
        g->ta || (g->n > GEMM_FEW_COLS && (g->k <= 128 || g->lda % 1024 == 0));
    p.copy_b = g->tb || g->sub || g->m > GEMM_FEW_ROWS;
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
