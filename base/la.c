/*
 * base/la.c - parallel drivers.
 *
 * Every output element is one chain whatever the task it falls into, so that
 * tasks may be cut to suit the caches and the number of threads.
 */
#include "base/la.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/par.h"

#define LA_LINE 16 /* floats of a cache line: no two tasks share one */

static size_t la_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t la_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* KRN_GEMM_SCRATCH floats for each thread, not cleared, as most products touch
 * little of it.  One block is kept from product to product: malloc() hands so
 * much back to the system when it is freed, and a new one comes page by page as
 * it is touched, which cost a product of 128 x 512 x 512 half of its speed
 * with four threads. */
struct la_scratch {
    size_t threads;
    float *at;
};
static _Atomic(struct la_scratch *) la_kept;

static void la_scratch_drop(struct la_scratch *s)
{
    if (s != NULL)
        free(s->at);
    free(s);
}

/* NULL: no memory.  Give it back with la_scratch_give(). */
static struct la_scratch *la_scratch_take(size_t threads)
{
    struct la_scratch *s = atomic_exchange(&la_kept, NULL);

    if (s != NULL && s->threads >= threads)
        return s;
    la_scratch_drop(s);
    s = malloc(sizeof(*s));
    if (s == NULL)
        return NULL;
    *s = (struct la_scratch){
        threads,
        aligned_alloc(MEM_ALIGN, threads * KRN_GEMM_SCRATCH * sizeof(float))};
    if (s->at == NULL) {
        free(s);
        return NULL;
    }
    return s;
}

/* The larger of this and what is kept meanwhile stays. */
static void la_scratch_give(struct la_scratch *s)
{
    struct la_scratch *was = atomic_exchange(&la_kept, s);

    if (was != NULL && s != NULL && was->threads > s->threads)
        was = atomic_exchange(&la_kept, was);
    la_scratch_drop(was);
}

#define GEMM_TASK_ROWS 8192
/* With 4,096, one thread is 2 % slower at 4096 x 4096 x 4096. */
#define GEMM_TASK_COLS 2048
/* A shallow B is read where it is: a task's part of it fits the L2 cache. */
#define GEMM_SHALLOW 128
#define GEMM_TASK_FLOATS ((size_t)1 << 18)
#define GEMM_ALONE 1e6 /* multiply-adds that are not worth a second thread */

struct gemm_tasks {
    const struct krn_gemm *g;
    size_t rows, cols, across; /* of a task; tasks side by side */
    float *scratch;
};

static void gemm_task(void *arg, size_t task, size_t thread)
{
    const struct gemm_tasks *t = arg;
    struct krn_gemm g = *t->g;
    const size_t i = task / t->across * t->rows;
    const size_t j = task % t->across * t->cols;

    g.m = la_min(t->rows, g.m - i);
    g.n = la_min(t->cols, g.n - j);
    g.a += g.ta ? i : i * g.lda;
    g.b += g.panels ? j / KRN_PANEL * g.ldb : g.tb ? j * g.ldb : j;
    g.c += i * g.ldc + j;
    g.scratch = t->scratch + thread * KRN_GEMM_SCRATCH;
    cpu_ops()->gemm_f32(&g);
}

/* As many tasks as threads or more, as large and as even as can be.  Each
 * copies its rows of A, where the kernel does not read them where they are, and
 * its columns of B: side by side no column is copied twice. */
static void gemm_cut(struct gemm_tasks *t, size_t threads)
{
    const struct krn_gemm *g = t->g;
    const bool copies = g->ta || g->lda % KRN_GEMM_BAD == 0;
    size_t down = la_up(g->m, GEMM_TASK_ROWS) / GEMM_TASK_ROWS;
    const size_t most = g->k > GEMM_SHALLOW || g->k == 0
                            ? GEMM_TASK_COLS
                            : la_min(GEMM_TASK_COLS, GEMM_TASK_FLOATS / g->k);
    size_t across = la_up(g->n, most) / most;

    if (across > threads) /* all are done at the same time */
        across = la_up(across, threads);
    while (down * across % threads != 0 && down * across < 4 * threads &&
           (g->m / down > 28 || g->n / across > 64)) {
        const size_t rows = g->m / down, cols = g->n / across;

        if (cols <= 64 || (copies ? rows >= cols : rows >= 8 * cols))
            down++;
        else
            across++;
    }
    t->rows = la_up(la_up(g->m, down) / down, 2);
    t->cols = la_up(la_up(g->n, across) / across, 32);
    t->across = la_up(g->n, t->cols) / t->cols;
}

enum err la_gemm(const struct krn_gemm *g)
{
    const bool small = (double)g->m * (double)g->n * (double)g->k < GEMM_ALONE;
    const size_t threads = small || par_inside() ? 1 : par_threads();
    struct la_scratch *scratch = la_scratch_take(threads);
    struct gemm_tasks t = {.g = g};

    if (scratch == NULL)
        return err_set(ERR_NOMEM, "no memory for a matrix product");
    t.scratch = scratch->at;
    if (g->m > 0 && g->n > 0 && small) {
        struct krn_gemm one = *g;

        one.scratch = t.scratch;
        cpu_ops()->gemm_f32(&one);
    } else if (g->m > 0 && g->n > 0) {
        gemm_cut(&t, threads);
        par_for(la_up(g->m, t.rows) / t.rows * t.across, gemm_task, &t);
    }
    la_scratch_give(scratch);
    return ERR_OK;
}

/* --- sparse times dense ----------------------------------------------------
 */

#define SPMM_ENTRIES 8192 /* about so many in a task */

/* Rows first..last-1 of a CSR matrix, cut so that entries balance. */
struct row_tasks {
    const size_t *ptr;
    size_t first, last, n;
    const void *work; /* struct krn_spmm or krn_sddmm */
};

/* The first row of task i: where its share of the entries begins. */
static size_t row_cut(const struct row_tasks *t, size_t i)
{
    const size_t base = t->ptr[t->first];
    const size_t want = base + (t->ptr[t->last] - base) / t->n * i;
    size_t lo = t->first, hi = t->last;

    if (i == 0 || i == t->n)
        return i == 0 ? lo : hi;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;

        if (t->ptr[mid] < want)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void row_for(struct row_tasks *t,
                    void (*fn)(void *arg, size_t task, size_t thread))
{
    if (t->first >= t->last)
        return;
    t->n = 1 + (t->ptr[t->last] - t->ptr[t->first]) / SPMM_ENTRIES;
    t->n += (t->last - t->first) / SPMM_ENTRIES; /* many empty rows */
    par_for(t->n, fn, t);
}

static void spmm_task(void *arg, size_t task, size_t thread)
{
    const struct row_tasks *t = arg;
    struct krn_spmm s = *(const struct krn_spmm *)t->work;

    (void)thread;
    s.first = row_cut(t, task);
    s.last = row_cut(t, task + 1);
    cpu_ops()->spmm_f32(&s);
}

void la_spmm(const struct krn_spmm *s)
{
    struct row_tasks t = {s->ptr, s->first, s->last, 1, s};

    row_for(&t, spmm_task);
}

static void sddmm_task(void *arg, size_t task, size_t thread)
{
    const struct row_tasks *t = arg;
    struct krn_sddmm s = *(const struct krn_sddmm *)t->work;

    (void)thread;
    s.first = row_cut(t, task);
    s.last = row_cut(t, task + 1);
    cpu_ops()->sddmm_f32(&s);
}

void la_sddmm(const struct krn_sddmm *s)
{
    struct row_tasks t = {s->ptr, s->first, s->last, 1, s};

    row_for(&t, sddmm_task);
}

/* --- Gram matrix -----------------------------------------------------------
 */

#define GRAM_ROWS 4096 /* never change: the bits depend on it */

struct gram_tasks {
    const float *x;
    size_t n, d;
    float *part; /* [chunks][d][d] */
    float *scratch;
};

static void gram_task(void *arg, size_t task, size_t thread)
{
    const struct gram_tasks *t = arg;
    const float *x = t->x + task * GRAM_ROWS * t->d;
    const struct krn_gemm g = {.ta = true,
                               .m = t->d,
                               .n = t->d,
                               .a = x,
                               .lda = t->d,
                               .b = x,
                               .k = la_min(GRAM_ROWS, t->n - task * GRAM_ROWS),
                               .ldb = t->d,
                               .c = t->part + task * t->d * t->d,
                               .ldc = t->d,
                               .scratch =
                                   t->scratch + thread * KRN_GEMM_SCRATCH};

    cpu_ops()->gemm_f32(&g);
}

enum err la_gram(float *gram, const float *x, size_t n, size_t d)
{
    const size_t chunks = la_up(n, GRAM_ROWS) / GRAM_ROWS;
    struct mem_scratch s = {0};
    struct gram_tasks t = {x, n, d, mem_take(&s, chunks, d * d, sizeof(float)),
                           NULL};
    struct la_scratch *scratch = la_scratch_take(par_threads());

    if (s.failed || scratch == NULL) {
        mem_drop(&s);
        la_scratch_give(scratch);
        return err_set(ERR_NOMEM, "no memory for a Gram matrix of %zu", d);
    }
    t.scratch = scratch->at;
    par_for(chunks, gram_task, &t);
    memset(gram, 0, d * d * sizeof(*gram));
    for (size_t i = 0; i < chunks; i++)
        cpu_ops()->axpy_f32(gram, 1.0f, t.part + i * d * d, d * d);
    mem_drop(&s);
    la_scratch_give(scratch);
    return ERR_OK;
}

/* --- inverse of a symmetric positive definite matrix -------------------------
 *
 * Three sweeps over block columns, in place in the lower triangle; with [i][j]
 * for blocks:
 *   factor   L[i][j] = (A[i][j] - sum_{k<j} L[i][k] L[j][k]^T) W[j][j]^T,
 *            W[j][j] = L[j][j]^-1, which takes the place of L[j][j] at once
 *   invert   W[i][j] = -(sum_{j<k<=i} W[i][k] L[k][j]) W[j][j], j descending
 *   multiply P[i][j] = sum_{k>=i} W[k][i]^T W[k][j], i ascending
 * each one long product per block, which is all the work there is.  Diagonal
 * blocks go the same way with smaller blocks, and those by hand.
 */
#define SPD_BLOCK 512
#define SPD_INNER 32

struct spd {
    float *a;
    size_t ld, n, nb;
    size_t at;        /* first row of the block column (row) at hand */
    float *block;     /* [threads][nb][nb] a block to multiply by another */
    float *panel;     /* [n][nb] a copy of a block column */
    float *scratch;   /* for gemm, per thread */
    struct spd *less; /* for diagonal blocks; NULL: by hand */
};

/* Rows of the block that begins at row i. */
static size_t spd_rows(const struct spd *s, size_t i)
{
    return la_min(s->nb, s->n - i);
}

static float *spd_at(const struct spd *s, size_t i, size_t j)
{
    return s->a + i * s->ld + j;
}

static void spd_gemm(const struct spd *s, struct krn_gemm g, size_t thread)
{
    g.scratch = s->scratch + thread * KRN_GEMM_SCRATCH;
    if (g.k > 0)
        cpu_ops()->gemm_f32(&g);
}

/* This thread's copy of block (i, j), rows of nb. */
static float *spd_copy(const struct spd *s, size_t i, size_t j, size_t thread)
{
    float *to = s->block + thread * s->nb * s->nb;

    for (size_t r = 0; r < spd_rows(s, i); r++)
        memcpy(to + r * s->nb, spd_at(s, i + r, j),
               spd_rows(s, j) * sizeof(float));
    return to;
}

/* a[n][n] = L, then W = L^-1 with zeros above; by hand.  Returns the number
 * of good pivots. */
static size_t spd_by_hand(float *a, size_t ld, size_t n)
{
    const struct krn_ops *ops = cpu_ops();

    for (size_t j = 0; j < n; j++) {
        float *row = a + j * ld;

        for (size_t k = 0; k < j; k++) /* row j of L: forward substitution */
            row[k] =
                (row[k] - ops->dot_f32(row, a + k * ld, k)) * a[k * ld + k];
        const float s = row[j] - ops->dot_f32(row, row, j);

        if (!(s > 0 && s < INFINITY))
            return j;
        row[j] = 1.0f / sqrtf(s); /* of L, but W[j][j] already */
    }
    for (size_t i = 0; i < n; i++) {
        float *row = a + i * ld;
        float w[SPD_INNER] = {0};

        for (size_t k = 0; k < i; k++)
            ops->axpy_f32(w, -row[k] * row[i], a + k * ld, k + 1);
        memcpy(row, w, i * sizeof(float));
        memset(row + i + 1, 0, (n - i - 1) * sizeof(float));
    }
    return n;
}

static size_t spd_factor(struct spd *s);
static void spd_invert(struct spd *s);

/* The diagonal block at row j becomes W; the number of good pivots. */
static size_t spd_diagonal(struct spd *s, size_t j)
{
    const size_t n = spd_rows(s, j);
    struct spd *less = s->less;

    if (less == NULL)
        return spd_by_hand(spd_at(s, j, j), s->ld, n);
    less->a = spd_at(s, j, j);
    less->n = n;
    const size_t good = spd_factor(less);

    if (good == n)
        spd_invert(less);
    for (size_t r = 0; r < n; r++)
        memset(spd_at(s, j + r, j) + r + 1, 0, (n - r - 1) * sizeof(float));
    return good;
}

static void spd_update_task(void *arg, size_t task, size_t thread)
{
    const struct spd *s = arg;
    const size_t j = s->at, i = j + task * s->nb;

    spd_gemm(s,
             (struct krn_gemm){.sub = true,
                               .tb = true,
                               .k = j,
                               .m = spd_rows(s, i),
                               .n = spd_rows(s, j),
                               .a = spd_at(s, i, 0),
                               .lda = s->ld,
                               .b = spd_at(s, j, 0),
                               .ldb = s->ld,
                               .c = spd_at(s, i, j),
                               .ldc = s->ld},
             thread);
}

static void spd_solve_task(void *arg, size_t task, size_t thread)
{
    const struct spd *s = arg;
    const size_t j = s->at, i = j + (task + 1) * s->nb;

    spd_gemm(s,
             (struct krn_gemm){.tb = true,
                               .k = spd_rows(s, j),
                               .m = spd_rows(s, i),
                               .n = spd_rows(s, j),
                               .a = spd_copy(s, i, j, thread),
                               .lda = s->nb,
                               .b = spd_at(s, j, j),
                               .ldb = s->ld,
                               .c = spd_at(s, i, j),
                               .ldc = s->ld},
             thread);
}

/* The number of good pivots; n when the matrix is positive definite. */
static size_t spd_factor(struct spd *s)
{
    for (size_t j = 0; j < s->n; j += s->nb) {
        const size_t below = la_up(s->n - j, s->nb) / s->nb - 1;

        s->at = j;
        if (j > 0)
            par_for(below + 1, spd_update_task, s);
        const size_t good = spd_diagonal(s, j);

        if (good < spd_rows(s, j))
            return j + good;
        par_for(below, spd_solve_task, s);
    }
    return s->n;
}

static void spd_invert_task(void *arg, size_t task, size_t thread)
{
    const struct spd *s = arg;
    const size_t j = s->at, first = j + s->nb;
    /* longest products first */
    const size_t i =
        first + (la_up(s->n - first, s->nb) / s->nb - 1 - task) * s->nb;
    float *sum = s->block + thread * s->nb * s->nb;

    spd_gemm(s,
             (struct krn_gemm){.k = i + spd_rows(s, i) - first,
                               .m = spd_rows(s, i),
                               .n = s->nb,
                               .a = spd_at(s, i, first),
                               .lda = s->ld,
                               .b = s->panel,
                               .ldb = s->nb,
                               .c = sum,
                               .ldc = s->nb},
             thread);
    for (size_t r = 0; r < spd_rows(s, i); r++)
        memset(spd_at(s, i + r, j), 0, s->nb * sizeof(float));
    spd_gemm(s,
             (struct krn_gemm){.sub = true,
                               .k = s->nb,
                               .m = spd_rows(s, i),
                               .n = s->nb,
                               .a = sum,
                               .lda = s->nb,
                               .b = spd_at(s, j, j),
                               .ldb = s->ld,
                               .c = spd_at(s, i, j),
                               .ldc = s->ld},
             thread);
}

static void spd_invert(struct spd *s)
{
    for (size_t j = (s->n - 1) / s->nb * s->nb; j > 0;) {
        j -= s->nb;
        s->at = j;
        for (size_t r = j + s->nb; r < s->n; r++)
            memcpy(s->panel + (r - j - s->nb) * s->nb, spd_at(s, r, j),
                   s->nb * sizeof(float));
        par_for(la_up(s->n - j, s->nb) / s->nb - 1, spd_invert_task, s);
    }
}

static void spd_multiply_task(void *arg, size_t task, size_t thread)
{
    const struct spd *s = arg;
    const size_t i = s->at, j = task * s->nb, below = i + spd_rows(s, i);
    struct krn_gemm g = {.ta = true,
                         .k = spd_rows(s, i),
                         .m = spd_rows(s, i),
                         .n = spd_rows(s, j),
                         .a = s->panel,
                         .lda = s->nb,
                         .b = spd_copy(s, i, j, thread),
                         .ldb = s->nb,
                         .c = spd_at(s, i, j),
                         .ldc = s->ld};

    spd_gemm(s, g, thread);
    g.add = true;
    g.k = s->n - below;
    g.a = spd_at(s, below, i);
    g.b = spd_at(s, below, j);
    g.lda = g.ldb = s->ld;
    spd_gemm(s, g, thread);
}

static void spd_multiply(struct spd *s)
{
    for (size_t i = 0; i < s->n; i += s->nb) {
        s->at = i;
        for (size_t r = 0; r < spd_rows(s, i); r++)
            memcpy(s->panel + r * s->nb, spd_at(s, i + r, i),
                   spd_rows(s, i) * sizeof(float));
        par_for(i / s->nb + 1, spd_multiply_task, s);
    }
}

/* Block row `task` below the diagonal, transposed to above. */
static void spd_mirror_task(void *arg, size_t task, size_t thread)
{
    const struct spd *s = arg;
    const size_t i = task * SPD_INNER, end = la_min(i + SPD_INNER, s->n);

    (void)thread;
    for (size_t j = 0; j < end; j += SPD_INNER) {
        for (size_t r = i; r < end; r++) {
            for (size_t c = j; c < la_min(j + SPD_INNER, r); c++)
                *spd_at(s, c, r) = *spd_at(s, r, c);
        }
    }
}

enum err la_spd_inverse(float *a, size_t n)
{
    const size_t t = par_threads();
    const size_t nb = la_min(SPD_BLOCK, la_up(n + 1, LA_LINE)), in = SPD_INNER;
    struct mem_scratch m = {0};
    struct la_scratch *scratch = la_scratch_take(t);
    struct spd less = {.ld = n,
                       .nb = in,
                       .scratch = scratch != NULL ? scratch->at : NULL,
                       .block = mem_take(&m, t, in * in, sizeof(float)),
                       .panel = mem_take(&m, nb, in, sizeof(float))};
    struct spd s = {.a = a,
                    .ld = n,
                    .n = n,
                    .nb = nb,
                    .less = &less,
                    .scratch = less.scratch,
                    .block = mem_take(&m, t, nb * nb, sizeof(float)),
                    .panel = mem_take(&m, la_up(n, nb), nb, sizeof(float))};
    enum err e = ERR_OK;

    if (m.failed || scratch == NULL)
        e = err_set(ERR_NOMEM, "no memory to invert a matrix of %zu", n);
    const size_t good = e == ERR_OK && n > 0 ? spd_factor(&s) : n;

    if (good < n)
        e = err_set(ERR_NUM,
                    "matrix of %zu: pivot %zu is not positive, so that it has "
                    "no Cholesky factor; raise the regularisation",
                    n, good);
    if (e == ERR_OK && n > 0) {
        spd_invert(&s);
        spd_multiply(&s);
        par_for(la_up(n, in) / in, spd_mirror_task, &s);
    }
    mem_drop(&m);
    la_scratch_give(scratch);
    return e;
}
