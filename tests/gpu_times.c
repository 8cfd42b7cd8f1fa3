/*
 * tests/gpu_times.c - a table of times of the CUDA module's kernels beside the
 * CUDA Toolkit's libraries: medians of twenty runs by events, after two to warm
 * up, on numbers that are not zeros.  Exit 77 where there is no GPU.  Run by
 * `make gpu-times`; `small` as a word: shapes that an emulated device runs.
 *
 * A bound is counted: operations and the fewest bytes, each over a rate that is
 * measured here first (a copy; a dense product in bf16, and in float).
 */
#include <dlfcn.h>

#include "bench/gpu_anchors.h"
#include "tests/gpu.h"

const struct krn_cuda *gpu;
char why[KRN_CUDA_WHY];

static const struct gpu_anchors *anchors; /* or NULL */
static bool small;
static double copy_rate, half_rate, float_rate; /* bytes, operations a ms */
static int missed;

/* --- measuring ---------------------------------------------------- */

#define RUNS(name, type)                                                       \
    static int run_##name(void *arg, char *said)                               \
    {                                                                          \
        return gpu->name((const struct krn_cuda_##type *)arg, said);           \
    }
RUNS(gemm, gemm)
RUNS(spmm, spmm)
RUNS(shfl, shfl)
RUNS(two_four, two_four)
RUNS(topk, topk)
RUNS(als, als)

static double timed(int (*fn)(void *arg, char *said), void *arg)
{
    float ms = 0;

    must(gpu->time(fn, arg, small ? 1 : 20, &ms, why), "timing");
    return (double)ms;
}

/* One row: ops and bytes that the work needs; bar: what ratio must be reached,
 * 0: none. */
static void row(const char *what, double ms, double ops, double rate,
                double bytes, double other, double bar)
{
    const double by_ops = rate > 0 ? ops / rate : 0;
    const double by_bytes = copy_rate > 0 ? bytes / copy_rate : 0;
    const double bound = by_ops > by_bytes ? by_ops : by_bytes;
    char beside[64] = "| |", verdict[32] = "";

    if (other > 0) {
        (void)snprintf(beside, sizeof(beside), "%.3f | %.2f |", other,
                       other / ms);
        if (bar > 0)
            (void)snprintf(verdict, sizeof(verdict), "%.1f: %s", bar,
                           other / ms >= bar ? "PASS" : "MISS");
        missed += bar > 0 && other / ms < bar;
    }
    printf("| %s | %.3f | %.3f (%s) | %.0f %% | %s %s |\n", what, ms, bound,
           by_ops > by_bytes ? "arithmetic" : "bytes", 100 * bound / ms, beside,
           verdict);
}

/* --- ceilings ------------------------------------------------------ */

struct copying {
    void *to, *from;
    size_t bytes;
};

static int run_copy(void *arg, char *said)
{
    const struct copying *c = arg;

    return gpu->copy(c->to, c->from, c->bytes, said);
}

static int run_anchor_gemm(void *arg, char *said)
{
    return anchors->gemm(arg, said);
}

/* Milliseconds of the dense bf16 product, the better of both outputs. */
static double dense(size_t m, size_t n, size_t k)
{
    struct both a = make(m * k * 2), b = make(k * n * 2), c = make(m * n * 4);
    struct both room = make(GPU_ANCHOR_WORKSPACE);
    struct gpu_anchor_gemm g = {m, n, k, 0, a.dev, b.dev, c.dev, room.dev};
    double best = 0;

    for (size_t i = 0; i < m * k; i++)
        ((uint16_t *)a.host)[i] =
            krn_pack_bf16((float)rng_f32(1, RNG_SYNTH, i) - 0.5f);
    for (size_t i = 0; i < k * n; i++)
        ((uint16_t *)b.host)[i] =
            krn_pack_bf16((float)rng_f32(2, RNG_SYNTH, i) - 0.5f);
    up(&a);
    up(&b);
    for (g.half = 0; g.half < 2 && anchors != NULL; g.half++) {
        const double ms = timed(run_anchor_gemm, &g);

        best = best == 0 || ms < best ? ms : best;
    }
    drop(&a);
    drop(&b);
    drop(&c);
    drop(&room);
    return best;
}

static void ceilings(void)
{
    const size_t n = small ? 64 : 4096, bytes = small ? 1 << 16 : 1 << 30;
    struct both a = floats(n * n, 1), b = floats(n * n, 2), c = make(n * n * 4);
    struct krn_cuda_gemm g = {
        .m = n, .n = n, .k = n, .dev_a = a.dev, .dev_b = b.dev, .dev_c = c.dev};
    const double ops = 2 * (double)n * (double)n * (double)n;
    struct copying copy = {NULL, NULL, bytes};

    must(gpu->alloc(&copy.to, bytes, why), "alloc");
    must(gpu->alloc(&copy.from, bytes, why), "alloc");
    copy_rate = 2 * (double)bytes / timed(run_copy, &copy);
    float_rate = ops / timed(run_gemm, &g);
    half_rate = anchors != NULL ? ops / dense(n, n, n) : 0;
    printf("copy %.0f GB/s, product in float %.1f Tflop/s, in bf16 %.0f "
           "Tflop/s\n\n",
           copy_rate * 1e-6, float_rate * 1e-9, half_rate * 1e-9);
    gpu->free(copy.to);
    gpu->free(copy.from);
    drop(&a);
    drop(&b);
    drop(&c);
}

/* --- weights on tensor cores --------------------------------------- */

static void times_weights(void)
{
    static const double bar[2] = {1.9, 3.5};
    const size_t n = small ? 128 : 4096;
    const double ops = 2 * (double)n * (double)n * (double)n;
    const double other = dense(n, n, n);

    for (size_t v = 64; v <= 128; v *= 2) {
        for (int s = 0; s < 2; s++) {
            const double kept = s == 0 ? .25 : .10;
            struct shfl f = make_shfl(n / v, v, n, n, s == 0 ? 25 : 10);
            char what[64];

            (void)snprintf(what, sizeof(what), "Shfl-BW V %zu, %.0f %%, %zu^3",
                           v, 100 - 100 * kept, n);
            row(what, timed(run_shfl, &f.s), kept * ops, half_rate,
                (double)(n * n) * (2 + 4 + 2 * kept), other, bar[s]);
            drop_shfl(&f);
        }
    }
    struct two_four f = make_two_four(n, n, n);

    row("2:4, 4096^3", timed(run_two_four, &f.s), ops / 2, half_rate,
        (double)(n * n) * (2 + 4 + 1 + .125), other, 1.4);
    drop_two_four(&f);
}

/* --- a graph of the size of Amazon-book --------------------------------- */

struct book {
    struct graph g;
    struct both ptr32, x, y;
    size_t n, d;
    double entries;
};

/* 52,643 people and 91,599 items with 2.98 M rows, items by a steep slope of
 * popularity, both directions. */
static struct book make_book(void)
{
    const size_t users = small ? 52 : 52643, items = small ? 91 : 91599;
    const size_t rows = small ? 900 : 2984108, n = users + items;
    struct book b = {.n = n, .d = 64, .entries = 2 * (double)rows};
    uint32_t *u = malloc(rows * 4), *i = malloc(rows * 4);

    b.g = (struct graph){make((n + 1) * 8), make(2 * rows * 4),
                         floats(2 * rows, 5), n};
    b.ptr32 = make((n + 1) * 4);
    b.x = floats(n * b.d, 6);
    b.y = make(n * b.d * 4);
    uint64_t *ptr = b.g.ptr.host;
    uint32_t *idx = b.g.idx.host;

    if (u == NULL || i == NULL)
        exit(1);
    for (size_t r = 0; r < rows; r++) {
        const double x = rng_f64(7, RNG_SYNTH, r), y = rng_f64(8, RNG_SYNTH, r);

        u[r] = (uint32_t)((double)users * x * x);
        i[r] = (uint32_t)((double)users + (double)items * y * y * y);
        ptr[u[r] + 1]++;
        ptr[i[r] + 1]++;
    }
    for (size_t a = 0; a < n; a++)
        ptr[a + 1] += ptr[a];
    uint64_t *at = malloc(n * 8);

    if (at == NULL)
        exit(1);
    memcpy(at, ptr, n * 8);
    for (size_t r = 0; r < rows; r++) {
        idx[at[u[r]]++] = i[r];
        idx[at[i[r]]++] = u[r];
    }
    for (size_t a = 0; a <= n; a++)
        ((uint32_t *)b.ptr32.host)[a] = (uint32_t)ptr[a];
    free(at);
    free(u);
    free(i);
    up(&b.g.ptr);
    up(&b.g.idx);
    up(&b.ptr32);
    return b;
}

static int run_anchor_spmm(void *arg, char *said)
{
    return anchors->spmm(arg, said);
}

/* The better of cuSPARSE's algorithms 2 and 3. */
static double sparse_anchor(const struct book *b)
{
    double best = 0;

    for (int a = 2; a <= 3 && anchors != NULL; a++) {
        struct gpu_anchor_spmm s = {.rows = b->n,
                                    .cols = b->n,
                                    .entries = (size_t)b->entries,
                                    .d = b->d,
                                    .algorithm = a,
                                    .dev_ptr = b->ptr32.dev,
                                    .dev_idx = b->g.idx.dev,
                                    .dev_val = b->g.val.dev,
                                    .dev_x = b->x.dev,
                                    .dev_y = b->y.dev};
        const double ms = timed(run_anchor_spmm, &s);

        printf("(cuSPARSE CSR algorithm %d: %.3f ms)\n", a, ms);
        best = best == 0 || ms < best ? ms : best;
    }
    return best;
}

static void times_graph(void)
{
    struct book b = make_book();
    const double vectors = (double)b.n * (double)b.d * 4;
    const struct krn_cuda_spmm s = {.rows = b.n,
                                    .d = b.d,
                                    .dev_ptr = b.g.ptr.dev,
                                    .dev_idx = b.g.idx.dev,
                                    .dev_val = b.g.val.dev,
                                    .dev_x = b.x.dev,
                                    .scale = 1,
                                    .dev_y = b.y.dev};
    const double other = sparse_anchor(&b);
    const double ms = timed(run_spmm, (void *)(uintptr_t)&s);

    /* what must come from memory at least; the rows that entries name come
     * from the L2 cache, whose rate is the real bound */
    row("CSR, d 64, size of Amazon-book", ms, 2 * b.entries * (double)b.d,
        float_rate, 8 * b.entries + 8 * (double)b.n + 2 * vectors, other, 1.4);
    printf("(gathered: %.0f GB/s)\n", b.entries * (double)b.d * 4 / ms * 1e-6);
    struct both gram = floats(b.d, 9);

    for (size_t i = 0; i < b.d; i++)
        ((float *)gram.host)[i] = fabsf(((float *)gram.host)[i]) + 1;
    up(&gram);
    for (size_t steps = 0; steps <= 3; steps += 3) {
        const struct krn_cuda_als a = {.rows = b.n,
                                       .d = b.d,
                                       .steps = steps,
                                       .dev_ptr = b.g.ptr.dev,
                                       .dev_idx = b.g.idx.dev,
                                       .dev_fixed = b.x.dev,
                                       .dev_gram = gram.dev,
                                       .alpha = 3,
                                       .reg = 1,
                                       .base = 1,
                                       .exponent = .5f,
                                       .dev_x = b.y.dev};
        const double d = (double)b.d;

        must(gpu->zero(b.y.dev, b.y.bytes, why), "zero");
        row(steps > 0 ? "ALS of all rows, 3 steps" : "ALS of all rows, exact",
            timed(run_als, (void *)(uintptr_t)&a),
            steps > 0 ? b.entries * d * 4 * 4
                      : b.entries * d * d + (double)b.n * d * d * d / 3,
            float_rate, 4 * b.entries + 2 * vectors, 0, 0);
    }
    drop(&gram);
    drop_graph(&b.g);
    drop(&b.ptr32);
    drop(&b.x);
    drop(&b.y);
}

/* --- systems ------------------------------------------------------- */

struct systems {
    struct both a, b, kept, pa, pb, info;
    struct krn_cuda_chol own;
    struct gpu_anchor_chol other;
};

/* Both restore what they spoil, and the copies are measured apart. */
static int restore(void *arg, char *said)
{
    const struct systems *s = arg;

    return gpu->copy(s->a.dev, s->kept.dev, s->a.bytes, said);
}

static int run_chol(void *arg, char *said)
{
    const struct systems *s = arg;

    return gpu->chol(&s->own, said);
}

static int run_anchor_chol(void *arg, char *said)
{
    const struct systems *s = arg;

    return restore(arg, said) || anchors->chol(&s->other, said);
}

static void times_systems(size_t n, size_t d)
{
    struct systems s = {.a = make(n * d * d * 4),
                        .b = floats(n * d, 3),
                        .kept = make(n * d * d * 4),
                        .pa = make(n * 8),
                        .pb = make(n * 8),
                        .info = make(n * 4)};
    double other = 0;
    char what[64];

    for (size_t i = 0; i < n; i++) {
        float *a = (float *)s.kept.host + i * d * d;

        for (size_t r = 0; r < d * d; r++)
            a[r] =
                r / d == r % d
                    ? 2
                    : .5f / (float)d * rng_f32(4, RNG_SYNTH, i + r / d + r % d);
        ((float **)s.pa.host)[i] = (float *)s.a.dev + i * d * d;
        ((float **)s.pb.host)[i] = (float *)s.b.dev + i * d;
    }
    memcpy(s.a.host, s.kept.host, s.a.bytes);
    up(&s.a);
    up(&s.kept);
    up(&s.pa);
    up(&s.pb);
    s.own = (struct krn_cuda_chol){n, d, s.a.dev, s.b.dev};
    s.other = (struct gpu_anchor_chol){n, d, s.pa.dev, s.pb.dev, s.info.dev};
    const double ms = timed(run_chol, &s);

    if (anchors != NULL)
        other = timed(run_anchor_chol, &s) - timed(restore, &s);
    (void)snprintf(what, sizeof(what), "Cholesky and solution, %zu of %zu", n,
                   d);
    row(what, ms,
        (double)n *
            ((double)d * (double)d * (double)d / 3 + 2 * (double)d * (double)d),
        float_rate, (double)n * (double)(d * d / 2 + 2 * d) * 4, other, 2);
    drop(&s.a);
    drop(&s.b);
    drop(&s.kept);
    drop(&s.pa);
    drop(&s.pb);
    drop(&s.info);
}

/* --- lists --------------------------------------------------------- */

static void times_lists(void)
{
    const size_t people = small ? 8 : 4096, items = small ? 3000 : 1000000;
    struct both vec = floats(people * 64, 6), item = floats(items * 64, 7),
                id = make(people * 100 * 4), score = make(people * 100 * 4);
    const struct krn_cuda_topk t = {.people = people,
                                    .items = items,
                                    .d = 64,
                                    .k = 100,
                                    .dev_vec = vec.dev,
                                    .dev_item = item.dev,
                                    .dev_id = id.dev,
                                    .dev_score = score.dev};
    const double scores = (double)people * (double)items;

    row("top-100 of 1 M items, 4,096 people, d 64",
        timed(run_topk, (void *)(uintptr_t)&t), 2 * scores * 64, float_rate,
        (double)(people + items) * 256, 0, 0);
    printf("(its scores go through memory once: %.2f ms more at the copy's "
           "rate)\n",
           8 * scores / copy_rate);
    drop(&vec);
    drop(&item);
    drop(&id);
    drop(&score);
}

static void open_anchors(void)
{
    const char *path = getenv("RECD_CUDA_ANCHORS");
    void *m = path != NULL ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    gpu_anchors_fn open_fn = NULL;

    if (m != NULL)
        *(void **)&open_fn = dlsym(m, GPU_ANCHORS_SYMBOL);
    anchors = open_fn != NULL ? open_fn() : NULL;
    if (anchors == NULL)
        printf("no anchors: %s\n",
               path == NULL ? "RECD_CUDA_ANCHORS names none" : dlerror());
}

int main(int argc, char **argv)
{
    const int none = gpu_start();

    if (none != 0)
        return none;
    small = argc > 1 && strcmp(argv[1], "small") == 0;
    open_anchors();
    ceilings();
    puts("| kernel | ms | bound, ms | of the bound | library, ms | times as "
         "fast | bar |\n|---|---|---|---|---|---|---|");
    times_weights();
    times_graph();
    times_systems(small ? 9 : 20000, 64);
    times_systems(small ? 5 : 5000, 128);
    times_lists();
    if (anchors != NULL)
        printf("bars missed: %d\n", missed);
    return 0;
}
