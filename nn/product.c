/*
 * nn/product.c - products in parallel.
 *
 * Elements of C are chains over k, so that their bits do not depend on how C is
 * cut into tiles.  Gradients of weights have few elements and long chains (one
 * link for each row of the batch): those are cut along k, into chunks that
 * depend on k alone, and the chunks' results are added in order.
 */
#include <assert.h>

#include "nn/node.h"

#define PRODUCT_ROWS 504
#define PRODUCT_COLS 1024
#define PRODUCT_LEAST                                                          \
    ((size_t)1 << 18) /* multiply-adds worth waking a thread */

static size_t product_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static size_t product_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Cut C into tiles: at most PRODUCT_ROWS x PRODUCT_COLS, and as many as there
 * are threads where C is large enough.  Elements of C are chains over k: their
 * bits do not depend on the cut. */
static void product_cut(struct nn_product *p, size_t threads)
{
    const size_t m = p->mm.m, n = p->mm.n;
    size_t down = (m + PRODUCT_ROWS - 1) / PRODUCT_ROWS;
    size_t across = (n + PRODUCT_COLS - 1) / PRODUCT_COLS;

    if (m * n <= PRODUCT_LEAST / (p->mm.k + 1))
        threads = 1;
    if (down * across < threads && m >= n && m >= 28)
        down = product_min(threads, m / 14);
    else if (down * across < threads && n >= 64)
        across = product_min(threads, n / 32);
    p->rows = product_up((m + down - 1) / down, 14);
    p->cols = product_up((n + across - 1) / across, 32);
    p->across = (n + p->cols - 1) / p->cols;
}

static void product_task(void *arg, size_t task, size_t thread)
{
    const struct nn_product *p = arg;
    const size_t i = task / p->across * p->rows;
    const size_t j = task % p->across * p->cols;
    struct krn_mm g = p->mm;

    g.m = product_min(p->rows, g.m - i);
    g.n = product_min(p->cols, g.n - j);
    g.a = nn_at(p->t, g.a, g.ta ? i : i * g.lda);
    g.b = nn_at(p->t, g.b, g.tb ? j * g.ldb : j);
    g.c = nn_at(p->t, g.c, i * g.ldc + j);
    g.scratch = p->t->scratch + thread * KRN_GEMM_SCRATCH;
    p->t->k->mm(&g);
    if (p->after != NULL)
        p->after(p, i, j, g.m, g.n);
}

void nn_product_run(struct nn_product *p)
{
    if (p->mm.m == 0 || p->mm.n == 0)
        return;
    product_cut(p, p->t->threads);
    par_for((p->mm.m + p->rows - 1) / p->rows * p->across, product_task, p);
}

/* --- long chains -------------------------------------------------------------
 */

#define LONG_CHUNK ((size_t)1024) /* never change: the bits depend on it */
#define LONG_LARGEST ((size_t)1 << 16)

static size_t long_chunks(size_t m, size_t n, size_t k)
{
    if (k < 2 * LONG_CHUNK || m * n > LONG_LARGEST)
        return 0;
    return nn_split_pieces(k, LONG_CHUNK);
}

size_t nn_product_long_room(size_t m, size_t n, size_t k)
{
    return long_chunks(m, n, k) * m * n;
}

static void long_chunk(void *arg, size_t task, size_t thread)
{
    const struct nn_product *p = arg;
    const size_t from = task * LONG_CHUNK;
    struct krn_mm g = p->mm;

    g.k = product_min(LONG_CHUNK, g.k - from);
    g.a = nn_at(p->t, g.a, g.ta ? from * g.lda : from);
    g.b = nn_at(p->t, g.b, g.tb ? from : from * g.ldb);
    g.c = nn_at(p->t, p->part, task * g.m * g.n);
    g.ldc = g.n;
    g.add = false;
    g.scratch = p->t->scratch + thread * KRN_GEMM_SCRATCH;
    p->t->k->mm(&g);
}

/* Elements of C, piece by piece: the sum over chunks. */
static void long_add(void *arg, size_t task, size_t thread)
{
    const struct nn_product *p = arg;
    const size_t all = p->mm.m * p->mm.n, from = task * NN_PIECE;

    (void)thread;
    p->t->k->columns(nn_at(p->t, p->mm.c, from), p->mm.add,
                     nn_at(p->t, p->part, from),
                     long_chunks(p->mm.m, p->mm.n, p->mm.k),
                     product_min(NN_PIECE, all - from), all);
}

void nn_product_long(struct nn_product *p)
{
    const size_t chunks = long_chunks(p->mm.m, p->mm.n, p->mm.k);

    assert(p->mm.ldc == p->mm.n);
    if (chunks == 0) {
        nn_product_run(p);
        return;
    }
    par_for(chunks, long_chunk, p);
    par_for(nn_split_pieces(p->mm.m * p->mm.n, NN_PIECE), long_add, p);
}
