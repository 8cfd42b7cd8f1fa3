/* tests/gpu.h - what tests/gpu_check.c and tests/gpu_times.c share: arrays on
 * both sides, invented graphs and Shfl-BW weights. */
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
#include "kernels/cuda/lane.h"

static const struct krn_cuda *gpu;
static char why[KRN_CUDA_WHY];

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

static inline uint16_t bf16(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, 4);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
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
        val[i] = bf16((float)rng_normal(32, RNG_SYNTH, i));
    for (size_t i = 0; i < columns * n; i++)
        x[i] = bf16((float)rng_normal(33, RNG_SYNTH, i));
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
