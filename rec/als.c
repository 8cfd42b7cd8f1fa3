/*
 * rec/als.c - rows of alternating least squares, in tasks of like rows.
 *
 * Rows are taken by descending number of entries, so that the long ones do not
 * come last; exact systems of one size are factored sixteen at a time.
 *
 * With D = diag(gram) + L_u, X the row's entries, C = diag(c), b = 1 + c:
 *   primal  (D + X^T C X) w = X^T b                      when n >= d
 *   dual    w = D^-1 X^T C^1/2 z,
 *           (I + C^1/2 X D^-1 X^T C^1/2) z = C^-1/2 b    when n < d
 * (Woodbury's identity).
 */
#include "rec/als.h"

#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "base/la.h"
#include "base/mem.h"
#include "base/par.h"
#include "kernels/elem.h"
#include "kernels/sort.h"

#define LANES 16      /* systems that are factored together */
#define TOGETHER 128  /* greatest size for which they are */
#define STEP 8        /* dual systems are padded to a multiple of this */
#define TASK_COST 512 /* entries of a task of conjugate gradients, about */

/* Of one thread. */
struct room {
    float *c, *y;    /* [n_most + 16] weights; scratch, or coefficients */
    float *diag;     /* [d] D */
    float *by;       /* [d] D^-1/2 */
    float *v;        /* [5][d] */
    float *turned;   /* [d][size] C^1/2 X D^-1/2, turned over */
    float *system;   /* [LANES][size][size] */
    float *together; /* the same, interleaved */
    float *rhs;      /* [LANES][size], then interleaved */
};

struct als {
    const struct rec_als *a;
    uint32_t *order; /* [n] rows that have entries, long ones first */
    size_t *first;   /* [n_tasks + 1] of order */
    uint32_t *dims;  /* [d] 0..d-1 */
    size_t n_tasks;
    struct room *room;
};

static size_t entries(const struct rec_als *a, size_t r)
{
    return a->ptr[r + 1] - a->ptr[r];
}

/* Size of a row's exact system. */
static size_t system_size(const struct rec_als *a, size_t n)
{
    const size_t padded = (n + STEP - 1) / STEP * STEP;

    return padded < a->d ? padded : a->d;
}

static bool is_dual(const struct rec_als *a, size_t n)
{
    return (n + STEP - 1) / STEP * STEP < a->d;
}

/* L_u */
static float ridge(const struct rec_als *a, size_t n)
{
    const float count = (float)n + (float)a->n_fixed / a->alpha;

    if (a->exponent == 0)
        return a->reg;
    if (a->exponent == 1)
        return a->reg * count;
    return a->reg * krn_exp1(a->exponent * krn_log1(count));
}

/* c and D of row r. */
static void prepare(const struct rec_als *a, size_t r, struct room *w)
{
    const size_t n = entries(a, r), at = a->ptr[r];
    const float reg = ridge(a, n);

    for (size_t j = 0; j < n; j++) {
        const size_t e = a->value_at != NULL ? a->value_at[at + j] : at + j;

        w->c[j] = a->value != NULL ? a->alpha * a->value[e] : a->alpha;
    }
    for (size_t k = 0; k < a->d; k++)
        w->diag[k] = a->gram[k] + reg;
}

/* --- conjugate gradients -----------------------------------------------------
 */

static void cg_task(void *arg, size_t task, size_t thread)
{
    const struct als *s = arg;
    const struct rec_als *a = s->a;
    struct room *w = s->room + thread;
    struct krn_cg g = {.d = a->d,
                       .steps = a->steps,
                       .x = a->fixed,
                       .ldx = a->d,
                       .c = w->c,
                       .diag = w->diag,
                       .y = w->y,
                       .v = w->v};

    for (size_t i = s->first[task]; i < s->first[task + 1]; i++) {
        const size_t r = s->order[i];

        prepare(a, r, w);
        g.n = entries(a, r);
        g.idx = a->idx + a->ptr[r];
        cpu_ops()->cg_row_f32(a->out + r * a->d, &g);
    }
}

/* --- exact -------------------------------------------------------------------
 */

/* out[d] = sum_j y[j] x_j */
static void sum_rows(const struct rec_als *a, size_t r, const float *y,
                     float *out)
{
    const size_t ptr[2] = {0, entries(a, r)};
    const struct krn_spmm g = {.last = 1,
                               .d = a->d,
                               .ptr = ptr,
                               .idx = a->idx + a->ptr[r],
                               .val = y,
                               .x = a->fixed,
                               .ldx = a->d,
                               .y = out,
                               .ldy = a->d};

    cpu_ops()->spmm_f32(&g);
}

static void set_diagonal(float *m, const float *diag, size_t size)
{
    memset(m, 0, size * size * sizeof(*m));
    for (size_t k = 0; k < size; k++)
        m[k * size + k] = diag != NULL ? diag[k] : 1;
}

static void build_primal(const struct als *s, size_t r, struct room *w,
                         float *m, float *rhs)
{
    const struct rec_als *a = s->a;
    const size_t n = entries(a, r);

    set_diagonal(m, w->diag, a->d);
    cpu_ops()->syrk_rows_f32(m, a->d, a->fixed, a->d, a->idx + a->ptr[r], w->c,
                             n, a->d);
    for (size_t j = 0; j < n; j++)
        w->y[j] = 1 + w->c[j];
    sum_rows(a, r, w->y, rhs);
}

static void build_dual(const struct als *s, size_t r, struct room *w, float *m,
                       float *rhs, size_t size)
{
    const struct rec_als *a = s->a;
    const size_t n = entries(a, r);

    for (size_t k = 0; k < a->d; k++)
        w->by[k] = 1 / sqrtf(w->diag[k]);
    for (size_t j = 0; j < size; j++) {
        w->y[j] = j < n ? sqrtf(w->c[j]) : 0;
        rhs[j] = j < n ? (1 + w->c[j]) / w->y[j] : 0;
    }
    cpu_ops()->gather_t_f32(w->turned, size, a->fixed, a->d, a->idx + a->ptr[r],
                            w->by, w->y, n, a->d);
    set_diagonal(m, NULL, size);
    cpu_ops()->syrk_rows_f32(m, size, w->turned, size, s->dims, NULL, a->d,
                             size);
}

static void finish_dual(const struct als *s, size_t r, struct room *w,
                        const float *z)
{
    const struct rec_als *a = s->a;
    float *out = a->out + r * a->d;

    prepare(a, r, w);
    for (size_t j = 0; j < entries(a, r); j++)
        w->y[j] = sqrtf(w->c[j]) * z[j];
    sum_rows(a, r, w->y, out);
    for (size_t k = 0; k < a->d; k++)
        out[k] /= w->diag[k];
}

static void build(const struct als *s, size_t r, struct room *w, float *m,
                  float *rhs, size_t size)
{
    prepare(s->a, r, w);
    if (is_dual(s->a, entries(s->a, r)))
        build_dual(s, r, w, m, rhs, size);
    else
        build_primal(s, r, w, m, rhs);
}

static void finish(const struct als *s, size_t r, struct room *w,
                   const float *z)
{
    if (is_dual(s->a, entries(s->a, r)))
        finish_dual(s, r, w, z);
    else
        memcpy(s->a->out + r * s->a->d, z, s->a->d * sizeof(*z));
}

/* Turn rhs[LANES][size] into [size][LANES], or back. */
static void turn_rhs(float *to, const float *from, size_t rows, size_t cols)
{
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < cols; j++)
            to[j * rows + i] = from[i * cols + j];
    }
}

static void solve_together(const struct als *s, const uint32_t *row, size_t n,
                           struct room *w, size_t size)
{
    float *side = w->rhs + LANES * size;

    for (size_t i = 0; i < n; i++)
        build(s, row[i], w, w->system + i * size * size, w->rhs + i * size,
              size);
    cpu_ops()->interleave16_f32(w->together, w->system, size * size, size,
                                size);
    turn_rhs(side, w->rhs, LANES, size);
    cpu_ops()->chol_solve16_f32(w->together, side, size);
    turn_rhs(w->rhs, side, size, LANES);
    for (size_t i = 0; i < n; i++)
        finish(s, row[i], w, w->rhs + i * size);
}

static void exact_task(void *arg, size_t task, size_t thread)
{
    const struct als *s = arg;
    struct room *w = s->room + thread;
    const uint32_t *row = s->order + s->first[task];
    const size_t n = s->first[task + 1] - s->first[task];
    const size_t size = system_size(s->a, entries(s->a, row[0]));

    if (size <= TOGETHER && n > 1) {
        solve_together(s, row, n, w, size);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        build(s, row[i], w, w->system, w->rhs, size);
        (void)cpu_ops()->chol_solve_f32(w->system, size, w->rhs, size);
        finish(s, row[i], w, w->rhs);
    }
}

/* --- tasks -------------------------------------------------------------------
 */

/* Whether a task that began with a row of `first` entries, and holds n rows
 * and `sum` entries, ends before a row of `next` entries. */
static bool task_ends(const struct rec_als *a, size_t n, size_t sum,
                      size_t first, size_t next)
{
    const size_t size = system_size(a, first);

    if (a->steps > 0)
        return sum + 8 * n >= TASK_COST;
    if (size > TOGETHER)
        return true;
    return n == LANES || system_size(a, next) != size;
}

static void cut_tasks(struct als *s, size_t n)
{
    const struct rec_als *a = s->a;
    size_t begin = 0, sum = 0;

    for (size_t i = 0; i < n; i++) {
        const size_t here = entries(a, s->order[i]);

        if (i > begin &&
            task_ends(a, i - begin, sum, entries(a, s->order[begin]), here)) {
            s->first[s->n_tasks++] = begin;
            begin = i;
            sum = 0;
        }
        sum += here;
    }
    if (n > 0)
        s->first[s->n_tasks++] = begin;
    s->first[s->n_tasks] = n;
}

/* Long rows first; rows without entries are solved here: they are 0. */
static size_t order_rows(struct als *s, uint32_t *key, uint32_t *tmp)
{
    const struct rec_als *a = s->a;
    size_t n = 0;

    for (size_t i = 0; i < a->n; i++) {
        const size_t r = a->row != NULL ? a->row[i] : i;

        if (entries(a, r) == 0) {
            memset(a->out + r * a->d, 0, a->d * sizeof(*a->out));
        } else {
            s->order[n] = (uint32_t)r;
            key[n++] = UINT32_MAX - (uint32_t)entries(a, r);
        }
    }
    krn_sort_u32(key, s->order, tmp, tmp + a->n, n);
    return n;
}

static size_t most_entries(const struct rec_als *a)
{
    size_t most = 0;

    for (size_t i = 0; i < a->n; i++) {
        const size_t n = entries(a, a->row != NULL ? a->row[i] : i);

        most = n > most ? n : most;
    }
    return most;
}

static void room_take(struct room *w, struct mem_scratch *m, size_t most,
                      size_t d, bool exact)
{
    const size_t lanes = d <= TOGETHER ? LANES : 1;
    /* beyond TOGETHER one alone, below it sixteen */
    const size_t floats = d <= TOGETHER || d * d > LANES * TOGETHER * TOGETHER
                              ? lanes * d * d
                              : LANES * (size_t)TOGETHER * TOGETHER;

    w->c = mem_take(m, most + 16, 1, sizeof(float));
    w->y = mem_take(m, most + 16, 1, sizeof(float));
    w->diag = mem_take(m, d, 1, sizeof(float));
    w->v = mem_take(m, d, 5, sizeof(float));
    if (!exact)
        return;
    w->by = mem_take(m, d, 1, sizeof(float));
    w->turned = mem_take(m, d, d, sizeof(float));
    w->system = mem_take(m, floats, 1, sizeof(float));
    w->together = mem_take(m, floats, 1, sizeof(float));
    w->rhs = mem_take(m, d, 2 * LANES, sizeof(float));
}

double rec_als_bytes(size_t n, size_t n_most, size_t d, bool exact)
{
    const double size = (double)d, threads = (double)par_threads();
    const double least = LANES * (double)TOGETHER * TOGETHER;
    const double many = d <= TOGETHER ? LANES * size * size : size * size;
    const double systems = many > least || d <= TOGETHER ? many : least;

    return 24 * (double)n +
           threads * (8 * (double)n_most + 32 * size +
                      (exact ? 8 * systems + 4 * size * (size + 34) : 0));
}

enum err rec_als_solve(const struct rec_als *a)
{
    struct mem_scratch m = {0};
    struct als s = {.a = a};
    uint32_t *key = mem_take(&m, a->n, 1, sizeof(*key));
    uint32_t *tmp = mem_take(&m, a->n, 2, sizeof(*tmp));

    s.order = mem_take(&m, a->n, 1, sizeof(*s.order));
    s.first = mem_take(&m, a->n + 1, 1, sizeof(*s.first));
    s.dims = mem_take(&m, a->d, 1, sizeof(*s.dims));
    s.room = mem_take(&m, par_threads(), 1, sizeof(*s.room));
    for (size_t t = 0; t < par_threads() && !m.failed; t++)
        room_take(s.room + t, &m, most_entries(a), a->d, a->steps == 0);
    if (m.failed) {
        mem_drop(&m);
        return err_set(ERR_NOMEM, "no memory to solve rows of %zu factors",
                       a->d);
    }
    for (size_t k = 0; k < a->d; k++)
        s.dims[k] = (uint32_t)k;
    cut_tasks(&s, order_rows(&s, key, tmp));
    par_for(s.n_tasks, a->steps > 0 ? cg_task : exact_task, &s);
    mem_drop(&m);
    return ERR_OK;
}
