/*
 * tests/gpu_times.c - a table of times of the CUDA module's kernels: medians of
 * twenty runs by events, after two to warm up.  Exit 77 where there is no GPU.
 * Run by `make gpu-times`.
 */
#include "tests/gpu.h"

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

int main(void)
{
    const int none = gpu_start();

    if (none == 0)
        times();
    return none;
}
