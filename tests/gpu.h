/* tests/gpu.h - what tests/gpu_check*.c and tests/gpu_times.c share: arrays on
 * both sides, invented graphs and sparse weights. */
#ifndef TESTS_GPU_H
#define TESTS_GPU_H

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/device.h"
#include "base/rng.h"
#include "kernels/cuda/pack.h"

extern const struct krn_cuda *gpu;
extern char why[KRN_CUDA_WHY];

static inline void must(int bad, const char *what)
{
    if (bad == 0)
        return;
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

/* --- arrays on both sides ------------------------------------------------- */

struct both {
    void *host, *dev;
    size_t bytes;
};

static inline struct both make(size_t bytes)
{
    struct both b = {calloc(bytes + 1, 1), NULL, bytes};

    if (b.host == NULL)
        exit(1);
    must(gpu->alloc(&b.dev, bytes, why), "alloc");
    return b;
}

static inline void up(const struct both *b)
{
    must(gpu->put(b->dev, b->host, b->bytes, why), "put");
}

/* Outputs hold what is no number before. */
static inline void poison(const struct both *b)
{
    memset(b->host, 0xff, b->bytes);
    up(b);
}

static inline void down(const struct both *b)
{
    must(gpu->wait(why), "wait");
    must(gpu->get(b->host, b->dev, b->bytes, why), "get");
}

static inline void drop(struct both *b)
{
    gpu->free(b->dev);
    free(b->host);
}

static inline struct both floats(size_t n, uint64_t seed)
{
    struct both b = make(n * sizeof(float));

    for (size_t i = 0; i < n; i++)
        ((float *)b.host)[i] = (float)rng_normal(seed, RNG_SYNTH, i);
    up(&b);
    return b;
}

static inline double worst(const float *a, const float *b, size_t n)
{
    double most = 0;

    for (size_t i = 0; i < n; i++) {
        const double gap = fabs((double)a[i] - (double)b[i]);

        most = !(gap <= most) ? gap : most; /* NaN stays */
    }
    return most;
}

struct graph {
    struct both ptr, idx, val;
    size_t rows;
};

static inline struct graph make_graph(size_t rows, size_t cols, size_t most,
                                      uint64_t seed)
{
    struct graph g = {
        make((rows + 1) * 8), make(rows * most * 4 + 4), {NULL, NULL, 0}, rows};
    uint64_t *ptr = g.ptr.host;
    uint32_t *idx = g.idx.host;

    for (size_t r = 0; r < rows; r++) {
        const size_t n = rng_below(seed, RNG_SYNTH, r, most + 1);

        ptr[r + 1] = ptr[r];
        for (size_t e = 0; e < n; e++)
            idx[ptr[r + 1]++] =
                (uint32_t)rng_below(seed + 1, RNG_SYNTH, r * most + e, cols);
    }
    g.val = floats(rows * most + 1, seed + 2);
    up(&g.ptr);
    up(&g.idx);
    return g;
}

static inline void drop_graph(struct graph *g)
{
    drop(&g->ptr);
    drop(&g->idx);
    drop(&g->val);
}

static inline float from_bf16(uint16_t x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float out;

    memcpy(&out, &bits, 4);
    return out;
}

struct shfl {
    struct both ptr, col, row, val, x, y;
    struct krn_cuda_shfl s;
};

/* A weight of groups v x columns of which `kept` of 100 vectors are there. */
static inline struct shfl make_shfl(size_t groups, size_t v, size_t columns,
                                    size_t n, size_t kept)
{
    struct shfl f = {.ptr = make((groups + 1) * 4),
                     .col = make(groups * columns * 4),
                     .row = make(groups * v * 4),
                     .val = make(groups * columns * v * 2),
                     .x = make(columns * n * 2),
                     .y = make(groups * v * n * 4)};
    uint32_t *ptr = f.ptr.host, *col = f.col.host, *row = f.row.host;
    uint16_t *val = f.val.host, *x = f.x.host;

    for (size_t g = 0; g < groups; g++) {
        ptr[g + 1] = ptr[g];
        for (size_t c = 0; c < columns; c++) {
            if (rng_below(31, RNG_SYNTH, g * columns + c, 100) < kept)
                col[ptr[g + 1]++] = (uint32_t)c;
        }
    }
    for (size_t i = 0; i < groups * v; i++)
        row[i] = (uint32_t)(i * 7 % (groups * v)); /* 7 divides no power of 2 */
    for (size_t i = 0; i < (size_t)ptr[groups] * v; i++)
        val[i] = krn_pack_bf16((float)rng_normal(32, RNG_SYNTH, i));
    for (size_t i = 0; i < columns * n; i++)
        x[i] = krn_pack_bf16((float)rng_normal(33, RNG_SYNTH, i));
    up(&f.ptr);
    up(&f.col);
    up(&f.row);
    up(&f.val);
    up(&f.x);
    f.s = (struct krn_cuda_shfl){groups,    v,         n,
                                 f.ptr.dev, f.col.dev, f.row.dev,
                                 f.val.dev, f.x.dev,   f.y.dev};
    return f;
}

static inline void drop_shfl(struct shfl *f)
{
    drop(&f->ptr);
    drop(&f->col);
    drop(&f->row);
    drop(&f->val);
    drop(&f->x);
    drop(&f->y);
}

struct two_four {
    struct both val, where, x, y;
    float *weight; /* [m][k] what was packed, as bf16 holds it */
    struct krn_cuda_two_four s;
};

/* Two of each four weights, at random places; some of them 0. */
static inline struct two_four make_two_four(size_t m, size_t n, size_t k)
{
    struct two_four f = {.val = make(m * k),
                         .where = make(m * k / 8),
                         .x = make(k * n * 2),
                         .y = make(m * n * 4),
                         .weight = calloc(m * k, sizeof(float))};
    uint16_t *x = f.x.host;

    if (f.weight == NULL)
        exit(1);
    for (size_t c = 0; c < m * k; c += 4) {
        const size_t skip = rng_below(61, RNG_SYNTH, c, 16);

        for (size_t i = 0; i < 4; i++) {
            const float w = from_bf16(
                krn_pack_bf16((float)rng_normal(62, RNG_SYNTH, c + i)));

            f.weight[c + i] = i == skip % 4 ||
                                      i == (skip % 4 + 1 + skip / 4 % 3) % 4 ||
                                      rng_below(63, RNG_SYNTH, c + i, 20) == 0
                                  ? 0
                                  : w;
        }
    }
    for (size_t i = 0; i < k * n; i++)
        x[i] = krn_pack_bf16((float)rng_normal(64, RNG_SYNTH, i));
    must(!krn_pack_two_four(f.weight, m, k, f.val.host, f.where.host),
         "packing 2:4");
    up(&f.val);
    up(&f.where);
    up(&f.x);
    f.s = (struct krn_cuda_two_four){m,           n,       k,      f.val.dev,
                                     f.where.dev, f.x.dev, f.y.dev};
    return f;
}

static inline void drop_two_four(struct two_four *f)
{
    drop(&f->val);
    drop(&f->where);
    drop(&f->x);
    drop(&f->y);
    free(f->weight);
}

/* Open the GPU and say which it is; 77 where there is none. */
static inline int gpu_start(void)
{
    struct krn_cuda_info info;

    if (device_open("cuda") != ERR_OK) {
        printf("skipped: %s\n", err_note());
        return 77;
    }
    gpu = device_cuda();
    must(gpu->info(&info, why), "info");
    printf("%s, compute capability %d.%d, %d processors, %.0f GB\n", info.name,
           info.major, info.minor, info.processors, (double)info.memory / 1e9);
    return 0;
}

#endif
