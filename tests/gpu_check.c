/*
 * tests/gpu_check.c - every kernel of the CUDA module against plain loops, with
 * odd shapes and poisoned outputs, twice for equal bits; with --times, a table.
 * Exit 77 where there is no GPU.  Run by `make gpu-check`, `make gpu-times`.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/device.h"
#include "base/rng.h"
#include "kernels/cuda/lane.h"

static const struct krn_cuda *gpu;
static int failed;
static char why[KRN_CUDA_WHY];

static void must(int bad, const char *what)
{
    if (bad == 0)
        return;
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static void expect(bool good, const char *what)
{
    printf("%-44s %s\n", what, good ? "ok" : "FAILED");
    failed |= !good;
}

/* --- arrays on both sides ------------------------------------------------- */

struct both {
    void *host, *dev;
    size_t bytes;
};

static struct both make(size_t bytes)
{
    struct both b = {calloc(bytes + 1, 1), NULL, bytes};

    if (b.host == NULL)
        exit(1);
    must(gpu->alloc(&b.dev, bytes, why), "alloc");
    return b;
}

static void up(const struct both *b)
{
    must(gpu->put(b->dev, b->host, b->bytes, why), "put");
}

/* Outputs hold what is no number before. */
static void poison(const struct both *b)
{
    memset(b->host, 0xff, b->bytes);
    up(b);
}

static void down(const struct both *b)
{
    must(gpu->wait(why), "wait");
    must(gpu->get(b->host, b->dev, b->bytes, why), "get");
}

static void drop(struct both *b)
{
    gpu->free(b->dev);
    free(b->host);
}

static struct both floats(size_t n, uint64_t seed)
{
    struct both b = make(n * sizeof(float));

    for (size_t i = 0; i < n; i++)
        ((float *)b.host)[i] = (float)rng_normal(seed, RNG_SYNTH, i);
    up(&b);
    return b;
}

static double worst(const float *a, const float *b, size_t n)
{
    double most = 0;

    for (size_t i = 0; i < n; i++) {
        const double gap = fabs((double)a[i] - (double)b[i]);

        most = !(gap <= most) ? gap : most; /* NaN stays */
    }
    return most;
}

/* --- products
 * ----------------------------------------------------------------- */

static void check_gemm(size_t m, size_t n, size_t k, int turned)
{
    struct both a = floats(m * k, 1), b = floats(n * k, 2),
                c = make(m * n * sizeof(float));
    float *want = calloc(m * n, sizeof(*want)), *first = malloc(c.bytes);
    const struct krn_cuda_gemm g = {m, n, k, turned, a.dev, b.dev, c.dev};
    const float *x = a.host, *y = b.host;
    char what[80];

    for (size_t i = 0; i < m * n; i++) {
        double sum = 0;

        for (size_t q = 0; q < k; q++)
            sum += (double)x[i / n * k + q] *
                   (double)(turned ? y[i % n * k + q] : y[q * n + i % n]);
        want[i] = (float)sum;
    }
    poison(&c);
    must(gpu->gemm(&g, why), "gemm");
    down(&c);
    memcpy(first, c.host, c.bytes);
    poison(&c);
    must(gpu->gemm(&g, why), "gemm");
    down(&c);
    (void)snprintf(what, sizeof(what), "gemm %zu x %zu x %zu%s", m, n, k,
                   turned ? ", turned" : "");
    expect(worst(want, c.host, m * n) < 1e-5 * sqrt((double)k) * 10 &&
               memcmp(first, c.host, c.bytes) == 0,
           what);
    free(want);
    free(first);
    drop(&a);
    drop(&b);
    drop(&c);
}

struct graph {
    struct both ptr, idx, val;
    size_t rows;
};

static struct graph make_graph(size_t rows, size_t cols, size_t most,
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

static void drop_graph(struct graph *g)
{
    drop(&g->ptr);
    drop(&g->idx);
    drop(&g->val);
}

static void check_spmm(size_t rows, size_t cols, size_t d, int valued)
{
    struct graph g = make_graph(rows, cols, 23, 5);
    struct both x = floats(cols * d, 6), y = make(rows * d * sizeof(float));
    const struct krn_cuda_spmm s = {
        rows, d, g.ptr.dev, g.idx.dev, valued ? g.val.dev : NULL, x.dev, y.dev};
    bool same = true;
    char what[80];

    poison(&y);
    must(gpu->spmm(&s, why), "spmm");
    down(&y);
    for (size_t i = 0; i < rows * d && same; i++) {
        const float want =
            krn_lane_spmm(g.ptr.host, g.idx.host, valued ? g.val.host : NULL,
                          x.host, d, i / d, i % d);

        same = memcmp(&want, (float *)y.host + i, sizeof(want)) == 0;
    }
    (void)snprintf(what, sizeof(what), "spmm %zu x %zu, d %zu%s, equal bits",
                   rows, cols, d, valued ? "" : ", no values");
    expect(same, what);
    drop_graph(&g);
    drop(&x);
    drop(&y);
}

/* --- lists
 * ------------------------------------------------------------------------ */

static void check_topk(size_t people, size_t items, size_t d, size_t k)
{
    struct graph seen = make_graph(people, items, 9, 11);
    struct both vec = floats(people * d, 12), item = floats(items * d, 13);
    struct both id = make(people * k * 4), score = make(people * k * 4);
    struct both all = make(people * items * 4);
    const struct krn_cuda_topk t = {
        people,       items,        d,      k,        vec.dev, item.dev,
        seen.ptr.dev, seen.idx.dev, id.dev, score.dev};
    const struct krn_cuda_gemm g = {people,  items,    d,      1,
                                    vec.dev, item.dev, all.dev};
    uint64_t *key = malloc(items * sizeof(*key));
    bool same = true;
    char what[80];

    poison(&id);
    must(gpu->topk(&t, why), "topk");
    must(gpu->gemm(&g, why), "gemm");
    down(&id);
    down(&all);
    for (size_t p = 0; p < people; p++) {
        const uint64_t *ptr = seen.ptr.host;
        float *s = (float *)all.host + p * items;

        for (uint64_t e = ptr[p]; e < ptr[p + 1]; e++)
            s[((uint32_t *)seen.idx.host)[e]] = -INFINITY;
        for (size_t i = 0; i < items; i++)
            key[i] = s[i] > -INFINITY ? krn_lane_key(s[i], (uint32_t)i) : 0;
        for (size_t j = 0; j < k; j++) {
            size_t best = 0;

            for (size_t i = 1; i < items; i++)
                best = key[i] > key[best] ? i : best;
            const uint32_t want =
                j < items && key[best] != 0 ? (uint32_t)best : UINT32_MAX;

            same = same && ((uint32_t *)id.host)[p * k + j] == want;
            key[best] = 0;
        }
    }
    (void)snprintf(what, sizeof(what), "top-%zu of %zu, %zu people", k, items,
                   people);
    expect(same, what);
    free(key);
    drop_graph(&seen);
    drop(&vec);
    drop(&item);
    drop(&id);
    drop(&score);
    drop(&all);
}

/* --- ALS
 * ------------------------------------------------------------------------------
 */

/* What is left of A x - b, at its largest. */
static void check_als(size_t rows, size_t d)
{
    struct graph g = make_graph(rows, 50, 40, 21);
    struct both fixed = floats(50 * d, 22), gram = make(d * d * 4),
                x = make(rows * d * 4);
    const struct krn_cuda_als a = {rows,      d,        g.ptr.dev, g.idx.dev,
                                   fixed.dev, gram.dev, 3,         0.5f,
                                   2,         0.7f,     x.dev};
    const float *f = fixed.host, *y = x.host;
    const uint64_t *ptr = g.ptr.host;
    const uint32_t *idx = g.idx.host;
    double most = 0;
    char what[80];

    for (size_t i = 0; i < d * d; i++)
        ((float *)gram.host)[i] = i / d == i % d ? 1.0f : 0.01f;
    up(&gram);
    poison(&x);
    must(gpu->als(&a, why), "als");
    down(&x);
    for (size_t r = 0; r < rows; r++) {
        const double reg = 0.5 * pow((double)(ptr[r + 1] - ptr[r]) + 2, 0.7);

        for (size_t i = 0; i < d; i++) {
            double left = reg * (double)y[r * d + i];

            for (size_t k = 0; k < d; k++)
                left += (double)((float *)gram.host)[i * d + k] *
                        (double)y[r * d + k];
            for (uint64_t e = ptr[r]; e < ptr[r + 1]; e++) {
                const float *w = f + idx[e] * d;
                double dot = 0;

                for (size_t k = 0; k < d; k++)
                    dot += (double)w[k] * (double)y[r * d + k];
                left += 3 * (double)w[i] * dot - 4 * (double)w[i];
            }
            most = !(fabs(left) <= most) ? fabs(left) : most;
        }
    }
    (void)snprintf(what, sizeof(what), "als %zu rows, d %zu", rows, d);
    expect(most < 2e-2, what);
    drop_graph(&g);
    drop(&fixed);
    drop(&gram);
    drop(&x);
}

/* --- Shfl-BW
 * ----------------------------------------------------------------------- */

static uint16_t bf16(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, 4);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float from_bf16(uint16_t x)
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
static struct shfl make_shfl(size_t groups, size_t v, size_t columns, size_t n,
                             size_t kept)
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

static void drop_shfl(struct shfl *f)
{
    drop(&f->ptr);
    drop(&f->col);
    drop(&f->row);
    drop(&f->val);
    drop(&f->x);
    drop(&f->y);
}

static void check_shfl(size_t groups, size_t v, size_t columns, size_t n)
{
    struct shfl f = make_shfl(groups, v, columns, n, 30);
    const uint32_t *ptr = f.ptr.host, *col = f.col.host, *row = f.row.host;
    const uint16_t *val = f.val.host, *x = f.x.host;
    double most = 0;
    char what[80];

    poison(&f.y);
    must(gpu->shfl(&f.s, why), "shfl");
    down(&f.y);
    for (size_t r = 0; r < groups * v; r++) {
        for (size_t c = 0; c < n; c++) {
            double sum = 0;

            for (uint32_t p = ptr[r / v]; p < ptr[r / v + 1]; p++)
                sum += (double)from_bf16(val[p * v + r % v]) *
                       (double)from_bf16(x[col[p] * n + c]);
            const double gap =
                fabs(sum - (double)((float *)f.y.host)[row[r] * n + c]);

            most = !(gap <= most) ? gap : most;
        }
    }
    (void)snprintf(what, sizeof(what), "shfl-bw %zu x %zu x %zu, V %zu",
                   groups * v, columns, n, v);
    expect(most < 1e-3 * sqrt((double)columns), what);
    drop_shfl(&f);
}

/* --- small ones
 * ------------------------------------------------------------------------ */

static void check_small(void)
{
    enum { N = 1003, D = 7, OUT = 31 };
    struct both x = floats(N * D, 41), out = make(N * D * 4);
    struct both idx = make(N * 4), start = make((OUT + 1) * 4);
    struct both row = make(OUT * 4), sum = make(2 * OUT * D * 4);
    struct both words = make(N * 16);
    bool same = true;

    for (size_t i = 0; i < N; i++)
        ((uint32_t *)idx.host)[i] = (uint32_t)(i * 13 % N);
    up(&idx);
    poison(&out);
    const struct krn_cuda_gather g = {N, D, idx.dev, x.dev, out.dev};

    must(gpu->gather(&g, why), "gather");
    down(&out);
    for (size_t i = 0; i < N; i++)
        same = same && memcmp((float *)out.host + i * D,
                              (float *)x.host + i * 13 % N * D, D * 4) == 0;
    expect(same, "gather");
    for (size_t i = 0; i < OUT; i++) {
        ((uint32_t *)start.host)[i + 1] = (uint32_t)((i + 1) * N / OUT);
        ((uint32_t *)row.host)[i] = (uint32_t)(2 * i);
    }
    up(&start);
    up(&row);
    must(gpu->zero(sum.dev, sum.bytes, why), "zero");
    must(gpu->scatter(OUT, D, start.dev, row.dev, x.dev, sum.dev, why),
         "scatter");
    down(&sum);
    same = true;
    for (size_t i = 0; i < OUT * D; i++) {
        const float want =
            krn_lane_segment(start.host, x.host, D, i / D, i % D, 0);

        same = same &&
               memcmp(&want, (float *)sum.host + i / D * 2 * D + i % D, 4) == 0;
    }
    expect(same, "sorted scatter, equal bits");
    must(gpu->philox(words.dev, N, 77, 5, why), "philox");
    down(&words);
    same = true;
    for (size_t i = 0; i < N; i++) {
        const struct krn_u32x4 c = {{(uint32_t)(5 + i), 0, 0, 0}};
        const struct krn_u32x4 want = krn_philox(77, c);

        same = same && memcmp(&want, (uint32_t *)words.host + 4 * i, 16) == 0;
    }
    expect(same, "philox");
    drop(&x);
    drop(&out);
    drop(&idx);
    drop(&start);
    drop(&row);
    drop(&sum);
    drop(&words);
}

static void check_adam(void)
{
    enum { N = 777 };
    struct both p = floats(N, 51), m = floats(N, 52), v = floats(N, 53),
                g = floats(N, 54);
    double most = 0;

    for (size_t i = 0; i < N; i++)
        ((float *)v.host)[i] = fabsf(((float *)v.host)[i]);
    up(&v);
    float *was = malloc(p.bytes), *m0 = malloc(p.bytes), *v0 = malloc(p.bytes);

    memcpy(was, p.host, p.bytes);
    memcpy(m0, m.host, p.bytes);
    memcpy(v0, v.host, p.bytes);
    const struct krn_cuda_adam a = {N,    p.dev, m.dev, v.dev, g.dev, 0.01f,
                                    0.9f, 0.99f, 1e-8f, 0.1f,  1.5f,  1.2f};

    must(gpu->adam(&a, why), "adam");
    down(&p);
    for (size_t i = 0; i < N; i++) {
        const double gi = (double)((float *)g.host)[i];
        const double mi = 0.9 * (double)m0[i] + 0.1 * gi;
        const double vi = 0.99 * (double)v0[i] + 0.01 * gi * gi;
        const double want =
            (double)was[i] -
            0.01 * (mi * 1.5 / (sqrt(vi * 1.2) + 1e-8) + 0.1 * (double)was[i]);

        most = fmax(most, fabs(want - (double)((float *)p.host)[i]));
    }
    expect(most < 1e-5, "adam");
    free(was);
    free(m0);
    free(v0);
    drop(&p);
    drop(&m);
    drop(&v);
    drop(&g);
}

/* --- times
 * -------------------------------------------------------------------------- */

static int run_gemm(void *arg, char *said)
{
    return gpu->gemm(arg, said);
}

static int run_spmm(void *arg, char *said)
{
    return gpu->spmm(arg, said);
}

static int run_shfl(void *arg, char *said)
{
    return gpu->shfl(arg, said);
}

static int run_topk(void *arg, char *said)
{
    return gpu->topk(arg, said);
}

static int run_als(void *arg, char *said)
{
    return gpu->als(arg, said);
}

static double timed(int (*fn)(void *arg, char *said), void *arg)
{
    float ms = 0;

    must(gpu->time(fn, arg, 20, &ms, why), "timing");
    return (double)ms;
}

static void times(void)
{
    printf("| kernel | shape | ms | Gflop/s | GB/s |\n|---|---|---|---|---|\n");
    for (size_t n = 1024; n <= 4096; n *= 2) {
        struct both a = floats(n * n, 1), b = floats(n * n, 2),
                    c = make(n * n * 4);
        struct krn_cuda_gemm g = {n, n, n, 0, a.dev, b.dev, c.dev};
        const double ms = timed(run_gemm, &g),
                     flop = 2e-6 * (double)(n * n) * (double)n;

        printf("| gemm fp32 | %zu^3 | %.3f | %.0f | |\n", n, ms, flop / ms);
        for (size_t v = 64; v <= 128; v *= 2) {
            for (size_t kept = 25; kept >= 10; kept -= 15) {
                struct shfl f = make_shfl(n / v, v, n, n, kept);
                const double took = timed(run_shfl, &f.s);

                printf("| shfl-bw V %zu, %zu %% | %zu^3 | %.3f | %.0f (of the "
                       "dense work %.0f) | |\n",
                       v, kept, n, took, flop * (double)kept / 100 / took,
                       flop / took);
                drop_shfl(&f);
            }
        }
        drop(&a);
        drop(&b);
        drop(&c);
    }
    struct graph g = make_graph(144000, 144000, 64, 5);
    struct both x = floats(144000 * 64, 6), y = make(144000 * 64 * 4);
    struct krn_cuda_spmm s = {144000, 64,    g.ptr.dev, g.idx.dev,
                              NULL,   x.dev, y.dev};
    const double entries = (double)((uint64_t *)g.ptr.host)[144000];
    double ms = timed(run_spmm, &s);

    printf(
        "| spmm d 64 | 144,000 rows, %.1f M entries | %.3f | %.0f | %.0f |\n",
        entries / 1e6, ms, 128e-6 * entries / ms, 256e-6 * entries / ms);
    struct both gram = make(64 * 64 * 4);

    for (size_t i = 0; i < 64; i++)
        ((float *)gram.host)[i * 65] = 1;
    up(&gram);
    struct krn_cuda_als a = {144000, 64, g.ptr.dev, g.idx.dev, x.dev, gram.dev,
                             3,      1,  1,         0.5f,      y.dev};

    ms = timed(run_als, &a);
    printf("| als d 64 | 144,000 rows | %.3f | %.0f | |\n", ms,
           (144000.0 * 64 * 64 * 64 / 3 + entries * 64 * 64) * 1e-6 / ms);
    struct both id = make(4096 * 100 * 4), score = make(4096 * 100 * 4),
                item = floats(1000000ul * 64, 7);
    struct krn_cuda_topk t = {4096,     1000000, 64,   100,    x.dev,
                              item.dev, NULL,    NULL, id.dev, score.dev};

    ms = timed(run_topk, &t);
    printf("| top-100 | 4,096 people, 1 M items, d 64 | %.3f | %.0f | |\n", ms,
           2e-6 * 4096 * 1e6 * 64 / ms);
    drop_graph(&g);
    drop(&x);
    drop(&y);
    drop(&gram);
    drop(&id);
    drop(&score);
    drop(&item);
}

int main(int argc, char **argv)
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
    if (argc > 1 && strcmp(argv[1], "--times") == 0) {
        times();
        return 0;
    }
    check_gemm(1, 1, 1, 0);
    check_gemm(33, 65, 17, 0);
    check_gemm(128, 257, 64, 1);
    check_spmm(1, 1, 1, 1);
    check_spmm(700, 300, 64, 1);
    check_spmm(513, 99, 37, 0);
    check_topk(3, 10, 8, 20);
    check_topk(40, 5000, 16, 100);
    check_topk(5, 40000, 24, 1024);
    check_als(60, 1);
    check_als(300, 32);
    check_als(100, 128);
    check_shfl(1, 64, 40, 8);
    check_shfl(4, 64, 500, 200);
    check_shfl(3, 128, 333, 72);
    check_small();
    check_adam();
    puts(failed ? "FAILED" : "all kernels agree with plain loops");
    return failed;
}
