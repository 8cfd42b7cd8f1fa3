/* src/bench_small.c - systems of equations, and functions of rows. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/par.h"
#include "src/bench.h"

/* --- Cholesky: 16 systems a call, one thread -------------------------------
 */

struct systems {
    size_t d;
    float *a;      /* [16][d][d] */
    float *b;      /* [16][d] */
    float *across; /* [d][d][16] */
    float *right;  /* [d][16] */
    float *copy;   /* [d][d] for LAPACK, which overwrites */
    float *x;      /* [d] */
};

/* Row-major matrices in, solutions out: the turning is part of the work. */
static void solve_own(void *arg)
{
    const struct systems *s = arg;

    cpu_ops()->interleave16_f32(s->across, s->a, s->d * s->d, s->d, s->d);
    for (size_t j = 0; j < s->d; j++)
        for (size_t l = 0; l < 16; l++)
            s->right[j * 16 + l] = s->b[l * s->d + j];
    cpu_ops()->chol_solve16_f32(s->across, s->right, s->d);
}

static void solve_lapack(void *arg)
{
    const struct systems *s = arg;

    for (size_t l = 0; l < 16; l++) {
        memcpy(s->copy, s->a + l * s->d * s->d, s->d * s->d * sizeof(float));
        memcpy(s->x, s->b + l * s->d, s->d * sizeof(float));
        cmd_bench_blas_solve(s->copy, s->x, s->d);
    }
}

static enum err cholesky(struct bench *b, size_t d)
{
    struct mem_scratch m = {0};
    struct systems s = {d,
                        mem_take(&m, 16 * d, d, sizeof(float)),
                        mem_take(&m, 16, d, sizeof(float)),
                        mem_take(&m, d * d, 16, sizeof(float)),
                        mem_take(&m, d, 16, sizeof(float)),
                        mem_take(&m, d, d, sizeof(float)),
                        mem_take(&m, d, 1, sizeof(float))};
    const double n = (double)d, work = 16 * (n * n * n / 3 + 2 * n * n);
    double mine, other;
    char shape[48];

    if (m.failed)
        return err_set(ERR_NOMEM, "no memory for matrices");
    for (size_t l = 0; l < 16; l++) {
        for (size_t i = 0; i < d * d; i++)
            s.a[l * d * d + i] =
                i % (d + 1) == 0 ? (float)(l + 2) : 0.5f / (float)d;
        for (size_t i = 0; i < d; i++)
            s.b[l * d + i] = (float)(i % 7);
    }
    cmd_bench_threads(1);
    cmd_bench_time(&mine, &other, solve_own,
                   cmd_bench_blas_open() ? solve_lapack : NULL, &s);
    (void)snprintf(shape, sizeof(shape), "d=%zu", d);
    cmd_bench_add(b,
                  &(struct bench_row){"cholesky-solve", shape, "us", "lapack",
                                      1, mine / 16 * 1e6, other / 16 * 1e6,
                                      work / mine / b->peak[0]});
    mem_drop(&m);
    return ERR_OK;
}

/* --- functions of rows -----------------------------------------------------
 */

#define MAP_ROWS 1024
#define MAP_COLS 512
#define MAP_TASK 64 /* rows */

struct maps {
    enum bench_map which;
    float *x, *y;
    struct bench_dnnl_map *other;
};

static void map_task(void *arg, size_t task, size_t thread)
{
    const struct maps *m = arg;

    (void)thread;
    for (size_t r = task * MAP_TASK; r < (task + 1) * MAP_TASK; r++) {
        const float *x = m->x + r * MAP_COLS;
        float *y = m->y + r * MAP_COLS;

        if (m->which == BENCH_EXP)
            cpu_ops()->exp_f32(y, x, MAP_COLS);
        else if (m->which == BENCH_SOFTMAX)
            cpu_ops()->softmax_f32(y, x, MAP_COLS);
        else
            cpu_ops()->layernorm_f32(y, x, NULL, NULL, MAP_COLS, 1e-5f);
    }
}

static void map_own(void *arg)
{
    par_for(MAP_ROWS / MAP_TASK, map_task, arg);
}

static void map_dnnl(void *arg)
{
    const struct maps *m = arg;

    cmd_bench_dnnl_run(m->other);
}

static void copy_task(void *arg, size_t task, size_t thread)
{
    const struct maps *m = arg;
    const size_t at = task * MAP_TASK * MAP_COLS;

    (void)thread;
    memcpy(m->y + at, m->x + at, MAP_TASK * MAP_COLS * sizeof(float));
}

static void map_copy(void *arg)
{
    par_for(MAP_ROWS / MAP_TASK, copy_task, arg);
}

static void map_row(struct bench *b, struct maps *m, const char *name,
                    size_t threads)
{
    const double n = MAP_ROWS * MAP_COLS;
    double mine, other, copy, none;

    cmd_bench_threads(threads);
    m->other = cmd_bench_dnnl_open() ? cmd_bench_dnnl_map(m->which, MAP_ROWS,
                                                          MAP_COLS, m->x, m->y)
                                     : NULL;
    cmd_bench_time(&mine, &other, map_own, m->other != NULL ? map_dnnl : NULL,
                   m);
    cmd_bench_time(&copy, &none, map_copy, NULL, m);
    cmd_bench_add(b, &(struct bench_row){name, "1024x512", "G/s", "onednn",
                                         threads, n / mine * 1e-9,
                                         n / other * 1e-9, copy / mine});
    cmd_bench_dnnl_free(m->other);
}

static enum err maps(struct bench *b)
{
    static const char *const names[] = {"exp", "softmax", "layernorm"};
    struct maps m = {.x = cmd_bench_random(MAP_ROWS * MAP_COLS, 1),
                     .y = cmd_bench_random(MAP_ROWS * MAP_COLS, 2)};

    if (m.x == NULL || m.y == NULL) {
        free(m.x);
        free(m.y);
        return err_set(ERR_NOMEM, "no memory for matrices");
    }
    for (size_t i = 0; i < 3; i++) {
        m.which = (enum bench_map)i;
        if (!cmd_bench_wants(b, names[i]))
            continue;
        map_row(b, &m, names[i], 1);
        if (b->most > 1)
            map_row(b, &m, names[i], b->most);
    }
    free(m.x);
    free(m.y);
    return ERR_OK;
}

enum err cmd_bench_small(struct bench *b)
{
    static const size_t sizes[] = {32, 64, 128, 256};

    for (size_t i = 0; i < 4 && cmd_bench_wants(b, "cholesky-solve"); i++)
        ERR_TRY(cholesky(b, sizes[i]));
    return maps(b);
}
