/*
 * tests/gpu_check.c - every kernel of the CUDA module against plain loops, with
 * odd shapes and poisoned outputs, twice for equal bits.  Exit 77 where there
 * is no GPU.  Run by `make gpu-check`.
 */
#include "tests/gpu_check.h"

const struct krn_cuda *gpu;
char why[KRN_CUDA_WHY];
static int failed;

void expect(bool good, const char *what)
{
    printf("%-52s %s\n", what, good ? "ok" : "FAILED");
    failed |= !good;
}

/* --- products ---------------------------------------------------- */

/* One of c = op(a) op(b), or c + that. */
static double gemm_at(const struct krn_cuda_gemm *g, const float *x,
                      const float *y, size_t i, size_t j)
{
    double sum = 0;

    for (size_t q = 0; q < g->k; q++)
        sum += (double)x[g->a_turned ? q * g->m + i : i * g->k + q] *
               (double)y[g->turned ? j * g->k + q : q * g->n + j];
    return sum;
}

static void check_gemm(struct krn_cuda_gemm g)
{
    const size_t batch = g.batch > 0 ? g.batch : 1, each = g.m * g.n;
    struct both a = floats(batch * g.m * g.k, 1),
                b = floats(batch * g.n * g.k, 2), was = floats(batch * each, 3),
                c = make(batch * each * sizeof(float));
    float *first = malloc(c.bytes);
    double most = 0;
    char what[80];

    g.dev_a = a.dev;
    g.dev_b = b.dev;
    g.dev_c = c.dev;
    for (int run = 0; run < 2; run++) {
        poison(&c);
        if (g.add)
            must(gpu->put(c.dev, was.host, c.bytes, why), "put");
        must(gpu->gemm(&g, why), "gemm");
        down(&c);
        if (run == 0)
            memcpy(first, c.host, c.bytes);
    }
    for (size_t i = 0; i < batch * each; i++) {
        const size_t s = i / each;
        const double want =
            gemm_at(&g, (float *)a.host + s * g.m * g.k,
                    (float *)b.host + s * g.n * g.k, i % each / g.n, i % g.n) +
            (g.add ? (double)((float *)was.host)[i] : 0);
        const double gap = fabs(want - (double)((float *)c.host)[i]);

        most = !(gap <= most) ? gap : most;
    }
    (void)snprintf(what, sizeof(what), "gemm %zu x %zu x %zu%s%s%s, %zu", g.m,
                   g.n, g.k, g.a_turned ? ", a turned" : "",
                   g.turned ? ", b turned" : "", g.add ? ", added" : "", batch);
    expect(most < 1e-4 * sqrt((double)g.k) &&
               memcmp(first, c.host, c.bytes) == 0,
           what);
    free(first);
    drop(&a);
    drop(&b);
    drop(&was);
    drop(&c);
}

/* A number as the CPU adds it: entries in order, one chain. */
static float spmm_at(const struct graph *g, const float *x, size_t d, size_t at,
                     bool valued, const float *add, float scale)
{
    const uint64_t *ptr = g->ptr.host;
    const uint32_t *idx = g->idx.host;
    float sum = add != NULL ? add[at] : 0;

    for (uint64_t e = ptr[at / d]; e < ptr[at / d + 1]; e++)
        sum = fmaf(valued ? ((float *)g->val.host)[e] : 1.0f,
                   x[idx[e] * d + at % d], sum);
    return scale == 1 ? sum : sum * scale;
}

static void check_spmm(size_t rows, size_t cols, size_t d, bool valued,
                       float scale)
{
    struct graph g = make_graph(rows, cols, 83, 5);
    struct both x = floats(cols * d, 6), add = floats(rows * d, 7),
                y = make(rows * d * sizeof(float));
    const bool added = scale != 1;
    const struct krn_cuda_spmm s = {.rows = rows,
                                    .d = d,
                                    .dev_ptr = g.ptr.dev,
                                    .dev_idx = g.idx.dev,
                                    .dev_val = valued ? g.val.dev : NULL,
                                    .dev_x = x.dev,
                                    .dev_add = added ? add.dev : NULL,
                                    .scale = scale,
                                    .dev_y = y.dev};
    bool same = true;
    char what[80];

    poison(&y);
    must(gpu->spmm(&s, why), "spmm");
    down(&y);
    for (size_t i = 0; i < rows * d && same; i++) {
        const float want =
            spmm_at(&g, x.host, d, i, valued, added ? add.host : NULL, scale);

        same = memcmp(&want, (float *)y.host + i, sizeof(want)) == 0;
    }
    (void)snprintf(what, sizeof(what), "spmm %zu x %zu, d %zu%s%s, equal bits",
                   rows, cols, d, valued ? "" : ", no values",
                   added ? ", added and scaled" : "");
    expect(same, what);
    drop_graph(&g);
    drop(&x);
    drop(&add);
    drop(&y);
}

static void check_sddmm(size_t n, size_t d)
{
    enum { ROWS = 17, COLS = 29 };
    struct both row = make(n * 4), idx = make(n * 4), out = make(n * 4);
    struct both a = floats(ROWS * d, 8), b = floats(COLS * d, 9);
    const struct krn_cuda_sddmm s = {n,     d,     row.dev, idx.dev, a.dev,
                                     b.dev, 0.75f, -1,      out.dev};
    double most = 0;
    char what[80];

    for (size_t e = 0; e < n; e++) {
        ((uint32_t *)row.host)[e] = (uint32_t)rng_below(8, RNG_SYNTH, e, ROWS);
        ((uint32_t *)idx.host)[e] = (uint32_t)rng_below(9, RNG_SYNTH, e, COLS);
    }
    up(&row);
    up(&idx);
    poison(&out);
    must(gpu->sddmm(&s, why), "sddmm");
    down(&out);
    for (size_t e = 0; e < n; e++) {
        double sum = 0;

        for (size_t k = 0; k < d; k++)
            sum +=
                (double)((float *)a.host)[((uint32_t *)row.host)[e] * d + k] *
                (double)((float *)b.host)[((uint32_t *)idx.host)[e] * d + k];
        const double gap =
            fabs(sum * 0.75 - 1 - (double)((float *)out.host)[e]);

        most = !(gap <= most) ? gap : most;
    }
    (void)snprintf(what, sizeof(what), "sddmm %zu entries, d %zu", n, d);
    expect(most < 1e-4 * sqrt((double)d), what);
    drop(&row);
    drop(&idx);
    drop(&out);
    drop(&a);
    drop(&b);
}

static void check_gram(size_t n, size_t d)
{
    struct both x = floats(n * d, 10), out = make(d * d * 4);
    struct both room = make(gpu->gram_bytes(n, d));
    const struct krn_cuda_gram g = {n, d, 0.5f, x.dev, room.dev, out.dev};
    const float *v = x.host;
    double most = 0;
    char what[80];

    poison(&out);
    poison(&room);
    must(gpu->gram(&g, why), "gram");
    down(&out);
    for (size_t i = 0; i < d * d; i++) {
        double sum = 0;

        for (size_t r = 0; r < n; r++)
            sum += (double)v[r * d + i / d] * (double)v[r * d + i % d];
        const double gap = fabs(sum / 2 - (double)((float *)out.host)[i]);

        most = !(gap <= most) ? gap : most;
    }
    (void)snprintf(what, sizeof(what), "gram of %zu x %zu", n, d);
    expect(most < 1e-5 * (double)(n + 16), what);
    drop(&x);
    drop(&out);
    drop(&room);
}

/* --- lists ------------------------------------------------------- */

static void check_topk(size_t people, size_t items, size_t d, size_t k)
{
    struct graph seen = make_graph(people, items, 9, 11);
    struct both vec = floats(people * d, 12), item = floats(items * d, 13);
    struct both id = make(people * k * 4), score = make(people * k * 4);
    struct both all = make(people * items * 4);
    const struct krn_cuda_topk t = {
        people,       items,        d,      k,        vec.dev, item.dev,
        seen.ptr.dev, seen.idx.dev, id.dev, score.dev};
    const struct krn_cuda_gemm g = {.m = people,
                                    .n = items,
                                    .k = d,
                                    .turned = 1,
                                    .dev_a = vec.dev,
                                    .dev_b = item.dev,
                                    .dev_c = all.dev};
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

/* --- Shfl-BW ----------------------------------------------------- */

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

/* --- 2:4 --------------------------------------------------------- */

static void check_two_four(size_t m, size_t n, size_t k)
{
    struct two_four f = make_two_four(m, n, k);
    const uint16_t *x = f.x.host;
    double most = 0;
    char what[80];

    poison(&f.y);
    must(gpu->two_four(&f.s, why), "2:4");
    down(&f.y);
    for (size_t i = 0; i < m * n; i++) {
        double sum = 0;

        for (size_t q = 0; q < k; q++)
            sum += (double)f.weight[i / n * k + q] *
                   (double)from_bf16(x[q * n + i % n]);
        const double gap = fabs(sum - (double)((float *)f.y.host)[i]);

        most = !(gap <= most) ? gap : most;
    }
    (void)snprintf(what, sizeof(what), "2:4 %zu x %zu x %zu", m, n, k);
    expect(most < 1e-3 * sqrt((double)k), what);
    drop_two_four(&f);
}

/* A refusal says how much was wanted and leaves the device as it was. */
static void check_memory(void)
{
    struct krn_cuda_info info;
    void *dev = NULL;

    must(gpu->info(&info, why), "info");
    const bool refused = gpu->alloc(&dev, info.memory + (1 << 20), why) != 0;

    expect(refused && strstr(why, "are needed") != NULL &&
               strstr(why, "are free") != NULL,
           "out of device memory says how much was needed");
    must(gpu->alloc(&dev, 1000, why), "alloc");
    gpu->free(dev);
}

int main(void)
{
    const int none = gpu_start();

    if (none != 0)
        return none;
    for (int how = 0; how < 8; how++) {
        const struct krn_cuda_gemm g = {.m = 33,
                                        .n = 65,
                                        .k = 17,
                                        .a_turned = how & 1,
                                        .turned = how >> 1 & 1,
                                        .add = how >> 2 & 1,
                                        .batch = 3};

        check_gemm(g);
    }
    check_gemm((struct krn_cuda_gemm){.m = 1, .n = 1, .k = 1});
    check_gemm((struct krn_cuda_gemm){.m = 128, .n = 257, .k = 64});
    check_spmm(1, 1, 1, true, 1);
    check_spmm(700, 300, 64, true, 1);
    check_spmm(300, 150, 74, true, 0.25f);
    check_spmm(513, 99, 37, false, 1);
    check_sddmm(1, 1);
    check_sddmm(501, 64);
    check_sddmm(77, 33);
    check_gram(1, 1);
    check_gram(700, 33);
    check_gram(40000, 12);
    check_gram(300, 130);
    check_topk(3, 10, 8, 20);
    check_topk(40, 5000, 16, 100);
    check_topk(5, 40000, 24, 1024);
    check_shfl(1, 64, 40, 8);
    check_shfl(4, 64, 500, 200);
    check_shfl(3, 128, 333, 72);
    check_two_four(64, 8, 64);
    check_two_four(128, 136, 192);
    check_two_four(64, 264, 512);
    gpu_check_train();
    gpu_check_small();
    check_memory();
    puts(failed ? "FAILED" : "all kernels agree with plain loops");
    return failed;
}
