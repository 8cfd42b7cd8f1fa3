/* src/bench_dense.c - dense products beside oneDNN and OpenBLAS. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/la.h"
#include "src/bench.h"

/* m, n, k: squares, then the skinny ones of factor models and re-rankers. */
static const size_t shapes[][3] = {
    {256, 256, 256},    {512, 512, 512},    {1024, 1024, 1024},
    {2048, 2048, 2048}, {4096, 4096, 4096}, {8192, 64, 64},
    {256, 10000, 64},   {128, 50000, 128},  {64, 64, 8192},
    {16, 1024, 1024},   {1, 4096, 4096}};
#define N_SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static void own(void *arg)
{
    if (la_gemm(arg) != ERR_OK)
        abort(); /* 4 MiB a thread */
}

static void onednn(void *arg)
{
    cmd_bench_dnnl_gemm(arg);
}

static void openblas(void *arg)
{
    cmd_bench_blas_gemm(arg);
}

static void row(struct bench *b, const size_t *s, size_t threads,
                const char *anchor, double own_s, double other_s)
{
    const double work = 2.0 * (double)s[0] * (double)s[1] * (double)s[2];
    char shape[48];

    (void)snprintf(shape, sizeof(shape), "%zux%zux%zu", s[0], s[1], s[2]);
    cmd_bench_add(b, &(struct bench_row){"sgemm", shape, "GFLOP/s", anchor,
                                         threads, work / own_s * 1e-9,
                                         work / other_s * 1e-9,
                                         work / own_s / b->peak[threads > 1]});
}

static void shape(struct bench *b, const struct krn_gemm *g, const size_t *s,
                  size_t threads)
{
    double mine, other;

    cmd_bench_threads(threads);
    cmd_bench_time(&mine, &other, own, cmd_bench_dnnl_open() ? onednn : NULL,
                   (void *)g);
    row(b, s, threads, "onednn", mine, other);
    cmd_bench_time(&mine, &other, own, cmd_bench_blas_open() ? openblas : NULL,
                   (void *)g);
    row(b, s, threads, "openblas", mine, other);
}

enum err cmd_bench_dense(struct bench *b)
{
    const bool given = b->sizes[0] > 0;
    enum err e = ERR_OK;

    for (size_t i = 0; i < (given ? 1 : N_SHAPES) && e == ERR_OK; i++) {
        const size_t *s = given ? b->sizes : shapes[i];
        float *x = cmd_bench_random(s[0] * s[2], 1);
        float *y = cmd_bench_random(s[2] * s[1], 2);
        float *z = cmd_bench_random(s[0] * s[1], 3);
        struct krn_gemm g = {.m = s[0],
                             .n = s[1],
                             .k = s[2],
                             .a = x,
                             .lda = s[2],
                             .b = y,
                             .ldb = s[1],
                             .c = z,
                             .ldc = s[1]};

        if (x == NULL || y == NULL || z == NULL)
            e = err_set(ERR_NOMEM, "no memory for matrices");
        else
            shape(b, &g, s, 1);
        if (e == ERR_OK && b->most > 1)
            shape(b, &g, s, b->most);
        free(x);
        free(y);
        free(z);
    }
    return e;
}
