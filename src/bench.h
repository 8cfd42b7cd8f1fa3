/*
 * src/bench.h - `recd bench kernels`: figures of this machine, each beside the
 * same work of a library that others use, in one run.
 *
 * The libraries are opened when asked for; where one is missing its row says
 * so.  A figure is a median of warm calls; own and other take turns, with a
 * rest between them so that threads of the one that still spin do not take the
 * other's processor.
 */
#ifndef SRC_BENCH_H
#define SRC_BENCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "kernels/ops.h"
#include "rec/data.h"

struct bench {
    bool json;
    json_t *rows;     /* of the JSON answer */
    size_t most;      /* threads: figures for 1 and for this many */
    double peak[2];   /* fp32 operations a second: one thread, `most` */
    const char *only; /* this kernel alone, or NULL */
    size_t sizes[3];  /* sgemm of m, n, k alone; 0: those of the table */
    const char *python;
};

struct bench_row {
    const char *kernel, *shape, *unit, *anchor;
    size_t threads;
    double value, anchor_value; /* NaN: the anchor is missing */
    double of_bound;            /* NaN: no bound */
};
void cmd_bench_add(struct bench *b, const struct bench_row *r);
/* Whether rows of this kernel are wanted. */
bool cmd_bench_wants(const struct bench *b, const char *kernel);

/* Median seconds of a call of own() and other() (NaN when other is NULL). */
void cmd_bench_time(double *own_s, double *other_s, void (*own)(void *),
                    void (*other)(void *), void *arg);
/* Threads of recd, of OpenMP and of OpenBLAS from here on, each on a
 * processor of its own. */
void cmd_bench_threads(size_t n);
/* The calling thread may run anywhere again (before it becomes a child). */
void cmd_bench_unpin(void);

/* The groups of rows. */
ERR_CHECK
enum err cmd_bench_dense(struct bench *b); /* sgemm */
ERR_CHECK
enum err cmd_bench_small(struct bench *b); /* Cholesky, exp, softmax, ... */
ERR_CHECK
enum err cmd_bench_graph(struct bench *b, const struct rec_data *d,
                         const char *shape);
ERR_CHECK
enum err cmd_bench_sparse(struct bench *b); /* patterns of nn/pattern.h */
ERR_CHECK
enum err cmd_bench_rerank(struct bench *b); /* microseconds a list of 50 */
ERR_CHECK
enum err cmd_bench_topk(struct bench *b);
/* Operations a second of fused multiply-adds on registers. */
double cmd_bench_peak(size_t threads);
/* n values in -.5 .. .5; NULL when memory is short. */
float *cmd_bench_random(size_t n, uint64_t seed);

/* --- anchors: src/bench_blas.c, bench_dnnl.c, bench_python.c ---------------
 */

/* OpenBLAS as it would be chosen by someone who knows this processor
 * (OPENBLAS_CORETYPE=SkylakeX where there is AVX-512). */
bool cmd_bench_blas_open(void);
void cmd_bench_blas_threads(size_t n);
void cmd_bench_blas_gemm(const struct krn_gemm *g);
/* Solve A x = b in place, A [d][d] symmetric positive definite. */
void cmd_bench_blas_solve(float *a, float *b, size_t d);

bool cmd_bench_dnnl_open(void);
void cmd_bench_dnnl_gemm(const struct krn_gemm *g);
enum bench_map { BENCH_EXP, BENCH_SOFTMAX, BENCH_LAYERNORM };
/* A function of the rows of x [n][d] to y, made once; NULL when it cannot. */
struct bench_dnnl_map *cmd_bench_dnnl_map(enum bench_map which, size_t n,
                                          size_t d, float *x, float *y);
void cmd_bench_dnnl_run(const struct bench_dnnl_map *m);
void cmd_bench_dnnl_free(struct bench_dnnl_map *m);

/* Runs src/anchors.py in b->python over the files in `dir`: seconds of a call
 * under each name; an empty object where there is no such Python. */
json_t *cmd_bench_python(const struct bench *b, const char *what,
                         const char *dir);
/* Put n bytes into dir/name. */
ERR_CHECK
enum err cmd_bench_save(const char *dir, const char *name, const void *data,
                        size_t n);

#endif
