/*
 * tests/gpu_check.c - every kernel of the CUDA module against plain loops, with
 * odd shapes and poisoned outputs, twice for equal bits.  Exit 77 where there
 * is no GPU.  Run by `make gpu-check`.
 */
#include "tests/gpu.h"

static int failed;

static void expect(bool good, const char *what)
{
    printf("%-44s %s\n", what, good ? "ok" : "FAILED");
    failed |= !good;
}

/* --- products ---------------------------------------------------- */

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

/* --- ALS --------------------------------------------------------- */

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

/* --- small ones -------------------------------------------------- */

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

int main(void)
{
    const int none = gpu_start();

    if (none != 0)
        return none;
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
