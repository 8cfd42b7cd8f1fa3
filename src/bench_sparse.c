/* src/bench_sparse.c - sparse weights beside dense ones. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/la.h"
#include "base/mem.h"
#include "base/par.h"
#include "nn/sparse.h"
#include "src/bench.h"

#define N ((size_t)1024) /* inputs and outputs */
#define MANY ((size_t)960)
#define TASK ((size_t)96) /* people of a task */

static const struct {
    const char *pattern;
    double density;
} cases[] = {
    {"shfl-bw:8", 0.25}, {"shfl-bw:16", 0.25},   {"shfl-bw:32", 0.25},
    {"shfl-bw:8", 0.10}, {"shfl-bw:16", 0.10},   {"shfl-bw:32", 0.10},
    {"block:16", 0.10},  {"nm:2:8", 0.25},       {"gs:16:16", 0.10},
    {"gs:16:1", 0.10},   {"unstructured", 0.25}, {"unstructured", 0.10}};
#define CASES (sizeof(cases) / sizeof(*cases))

struct job {
    struct nn_sparse s;
    size_t m;
    float *w, *x, *y, *scratch; /* [N][N], [m][N], [m][N], a thread's each */
};

static void some(void *arg, size_t task, size_t thread)
{
    const struct job *j = arg;
    const size_t first = task * TASK;

    nn_sparse_product(&j->s, 0, j->m - first < TASK ? j->m - first : TASK,
                      j->x + first * N, N, j->y + first * N, N,
                      j->scratch + thread * nn_sparse_scratch(&j->s));
}

static void own(void *arg)
{
    const struct job *j = arg;

    par_for((j->m + TASK - 1) / TASK, some, arg);
}

static void dense(void *arg)
{
    const struct job *j = arg;

    cmd_bench_dnnl_gemm(&(struct krn_gemm){.tb = true,
                                           .m = j->m,
                                           .n = N,
                                           .k = N,
                                           .a = j->x,
                                           .lda = N,
                                           .b = j->w,
                                           .ldb = N,
                                           .c = j->y,
                                           .ldc = N});
}

/* The same with people side by side: x[N][m], y[N][m]. */
static void some_turned(void *arg, size_t task, size_t thread)
{
    const struct job *j = arg;
    const size_t first = task * TASK;

    cpu_ops()->groups_turned_f32(&(struct krn_groups){
        .v = j->s.pattern.v,
        .n = j->s.n_groups,
        .m = j->m - first < TASK ? j->m - first : TASK,
        .k = N,
        .rows = N,
        .from = j->s.ptr,
        .to = j->s.to,
        .idx = j->s.idx,
        .val = j->s.val,
        .row = j->s.row,
        .x = j->x + first,
        .ldx = j->m,
        .y = j->y + first,
        .ldy = j->m,
        .scratch = j->scratch + thread * nn_sparse_scratch(&j->s),
    });
}

static void own_turned(void *arg)
{
    const struct job *j = arg;

    par_for((j->m + TASK - 1) / TASK, some_turned, arg);
}

static void dense_turned(void *arg)
{
    const struct job *j = arg;

    cmd_bench_dnnl_gemm(&(struct krn_gemm){.m = N,
                                           .n = j->m,
                                           .k = N,
                                           .a = j->w,
                                           .lda = N,
                                           .b = j->x,
                                           .ldb = j->m,
                                           .c = j->y,
                                           .ldc = j->m});
}

/* turned: y = W x with x[N][m], as sparse products are usually timed. */
static void row(struct bench *b, struct job *j, size_t m, size_t threads,
                size_t i, bool turned)
{
    const double work = 2.0 * (double)m * (double)nn_sparse_weights(&j->s, 0);
    double mine, other;
    char shape[64];

    j->m = m;
    cmd_bench_threads(threads);
    cmd_bench_time(&mine, &other, turned ? own_turned : own,
                   !cmd_bench_dnnl_open() ? NULL
                   : turned               ? dense_turned
                                          : dense,
                   j);
    (void)snprintf(shape, sizeof(shape), "%s %.2f, %zu%s", cases[i].pattern,
                   cases[i].density, m, turned ? " T" : "");
    cmd_bench_add(b, &(struct bench_row){"sparse", shape, "us", "dense dnnl",
                                         threads, mine * 1e6, other * 1e6,
                                         work / mine / b->peak[threads > 1]});
}

static enum err pack(struct job *j, size_t i, uint8_t *mask, uint32_t *order)
{
    const struct nn_matrix w = {j->w, N, N, N, 1};
    struct nn_pattern p;

    ERR_TRY(nn_pattern_parse(&p, cases[i].pattern));
    ERR_TRY(nn_pattern_project(&p, &w, cases[i].density, NULL, mask, order));
    return nn_sparse_pack(&j->s, &p, &w, mask, order, NULL, 1);
}

enum err cmd_bench_sparse(struct bench *b)
{
    struct mem_scratch s = {0};
    uint8_t *mask = mem_take(&s, N, N, 1);
    uint32_t *order = mem_take(&s, N, 1, sizeof(*order));
    struct job j = {.w = cmd_bench_random(N * N, 1),
                    .x = cmd_bench_random(MANY * N, 2),
                    .y = cmd_bench_random(MANY * N, 3),
                    .scratch = mem_take(&s, b->most, 96 * N, sizeof(float))};
    enum err e = s.failed || j.w == NULL || j.x == NULL || j.y == NULL
                     ? err_set(ERR_NOMEM, "no memory for matrices")
                     : ERR_OK;

    for (size_t i = 0; i < CASES && e == ERR_OK; i++) {
        e = pack(&j, i, mask, order);
        if (e == ERR_OK) {
            row(b, &j, 1, 1, i, false);
            row(b, &j, MANY, 1, i, false);
            if (b->most > 1)
                row(b, &j, MANY, b->most, i, false);
            if (j.s.pattern.kind == NN_SHFL) {
                row(b, &j, 96, 1, i, true);
                row(b, &j, MANY, 1, i, true);
            }
        }
        nn_sparse_free(&j.s);
    }
    free(j.w);
    free(j.x);
    free(j.y);
    mem_drop(&s);
    return e;
}
