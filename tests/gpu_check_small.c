/* tests/gpu_check_small.c - orders, sorts, gather, scatter, optimisers, draws,
 * against the CPU's bits. */
#include "tests/gpu_check.h"

/* --- orders and sorts ---------------------------------------------- */

static void check_order(size_t n, bool pairs)
{
    struct both key = make(n * 8), of = make(n * 4), order = make(n * 4);
    struct both room = make(gpu->order_bytes(n));
    const struct krn_cuda_order o = {.n = n,
                                     .seed = 5,
                                     .epoch = 3,
                                     .what = RNG_SHUFFLE,
                                     .dev_a = key.dev,
                                     .dev_b = pairs ? key.dev : NULL,
                                     .dev_of_a = of.dev,
                                     .dev_of_b = of.dev,
                                     .dev_room = room.dev,
                                     .dev_order = order.dev};
    uint64_t *draw = malloc(n * sizeof(*draw));
    uint32_t *got = order.host;
    bool good = true;
    char what[80];

    for (size_t i = 0; i < n; i++) {
        ((uint64_t *)key.host)[i] = rng_u64(6, RNG_SYNTH, i);
        ((uint32_t *)of.host)[i] = (uint32_t)(i * 5 % n);
    }
    for (size_t i = 0; i < n; i++) {
        const uint64_t *k = key.host;
        const uint32_t *at = of.host;
        const struct krn_u32x4 x = rng_pair(5, RNG_SHUFFLE, k[at[i]], k[at[i]]);

        draw[i] = pairs ? (uint64_t)x.v[1] << 32 | x.v[0]
                        : krn_draw_order(5, 3, k[i]);
    }
    up(&key);
    up(&of);
    poison(&order);
    must(gpu->order(&o, why), "order");
    down(&order);
    for (size_t i = 0; i < n && good; i++)
        good = got[i] < n && (i == 0 || draw[got[i - 1]] < draw[got[i]]);
    (void)snprintf(what, sizeof(what), "order of %zu%s", n,
                   pairs ? ", by pairs" : "");
    expect(good, what);
    free(draw);
    drop(&key);
    drop(&of);
    drop(&order);
    drop(&room);
}

static void check_sort(size_t n, uint32_t most)
{
    struct both key = make(n * 4), val = make(n * 4),
                ptr = make((most + 1) * 8);
    struct both room = make(gpu->sort_bytes(n));
    const struct krn_cuda_sort s = {n,        11,       key.dev, val.dev,
                                    room.dev, most + 1, ptr.dev};
    uint32_t *k = key.host, *v = val.host;
    uint32_t *was = malloc(n * 4 + 4);
    bool good = true;
    char what[80];

    for (size_t i = 0; i < n; i++) {
        was[i] = k[i] = (uint32_t)rng_below(7, RNG_SYNTH, i, most);
        v[i] = (uint32_t)i;
    }
    up(&key);
    up(&val);
    poison(&ptr);
    must(gpu->sort(&s, why), "sort");
    down(&key);
    down(&val);
    down(&ptr);
    for (size_t i = 0; i < n && good; i++)
        good = v[i] < n && was[v[i]] == k[i] &&
               (i == 0 || k[i - 1] < k[i] ||
                (k[i - 1] == k[i] && v[i - 1] < v[i]));
    for (uint32_t i = 0; i <= most && good; i++) {
        const uint64_t at = ((uint64_t *)ptr.host)[i];

        good = at <= n && (at == n || k[at] >= i) && (at == 0 || k[at - 1] < i);
    }
    (void)snprintf(what, sizeof(what), "stable sort of %zu, grouped", n);
    expect(good, what);
    free(was);
    drop(&key);
    drop(&val);
    drop(&ptr);
    drop(&room);
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

/* --- optimisers: the CPU's bits --------------------------------------- */

enum { OPT_ROWS = 37, OPT_D = 21, OPT_N = OPT_ROWS * OPT_D };

static void check_adam(void)
{
    const struct krn_adam how = {.01f, .9f, .99f, 1e-8f, .1f};
    struct both p = floats(OPT_N, 51), m = floats(OPT_N, 52),
                v = floats(OPT_N, 53), g = floats(OPT_N, 54);
    float want[3][OPT_N];

    for (size_t i = 0; i < OPT_N; i++)
        ((float *)v.host)[i] = fabsf(((float *)v.host)[i]);
    up(&v);
    memcpy(want[0], p.host, p.bytes);
    memcpy(want[1], m.host, p.bytes);
    memcpy(want[2], v.host, p.bytes);
    cpu_ops()->adam_f32(want[0], want[1], want[2], g.host, OPT_N, &how);
    const struct krn_cuda_adam a = {OPT_N,   p.dev,    m.dev,     v.dev,
                                    g.dev,   how.lr,   how.beta1, how.beta2,
                                    how.eps, how.decay};

    must(gpu->adam(&a, why), "adam");
    down(&p);
    down(&m);
    down(&v);
    expect(memcmp(want[0], p.host, p.bytes) == 0 &&
               memcmp(want[1], m.host, p.bytes) == 0 &&
               memcmp(want[2], v.host, p.bytes) == 0,
           "adam, equal bits");
    drop(&p);
    drop(&m);
    drop(&v);
    drop(&g);
}

/* Every third row of p, thinned or not. */
static void check_adagrad(bool thinned)
{
    struct both p = floats(3 * OPT_N, 55), s = floats(3 * OPT_N, 56),
                g = floats(OPT_N, 57), thin = floats(OPT_N, 58),
                row = make(OPT_ROWS * 4);
    const struct krn_cuda_adagrad a = {.rows = OPT_ROWS,
                                       .d = OPT_D,
                                       .dev_row = row.dev,
                                       .dev_g = g.dev,
                                       .dev_thin = thinned ? thin.dev : NULL,
                                       .scale = 1.5f,
                                       .reg = 0.25f,
                                       .lr = 0.1f,
                                       .eps = 1e-10f,
                                       .dev_p = p.dev,
                                       .dev_s = s.dev};
    float *want = malloc(p.bytes), *sums = malloc(p.bytes), grad[OPT_D];

    for (size_t i = 0; i < 3 * OPT_N; i++)
        ((float *)s.host)[i] = fabsf(((float *)s.host)[i]);
    for (size_t i = 0; i < OPT_N; i += 4)
        ((float *)thin.host)[i] = 0;
    for (size_t i = 0; i < OPT_ROWS; i++)
        ((uint32_t *)row.host)[i] = (uint32_t)(3 * i + 1);
    up(&s);
    up(&thin);
    up(&row);
    memcpy(want, p.host, p.bytes);
    memcpy(sums, s.host, p.bytes);
    for (size_t i = 0; i < OPT_ROWS; i++) {
        float *at = want + (3 * i + 1) * OPT_D;

        for (size_t k = 0; k < OPT_D; k++) {
            const float one =
                thinned && ((float *)thin.host)[i * OPT_D + k] == 0
                    ? 0
                    : ((float *)g.host)[i * OPT_D + k] * 1.5f;

            grad[k] = 2 * (one + 0.25f * at[k]);
        }
        cpu_ops()->adagrad_f32(at, sums + (3 * i + 1) * OPT_D, grad, OPT_D,
                               0.1f, 1e-10f);
    }
    must(gpu->adagrad(&a, why), "adagrad");
    down(&p);
    down(&s);
    expect(memcmp(want, p.host, p.bytes) == 0 &&
               memcmp(sums, s.host, p.bytes) == 0,
           thinned ? "adagrad, thinned, equal bits" : "adagrad, equal bits");
    free(want);
    free(sums);
    drop(&p);
    drop(&s);
    drop(&g);
    drop(&thin);
    drop(&row);
}

static void check_thin_and_axpy(void)
{
    struct both x = floats(3 * OPT_N, 59), out = make(OPT_N * 4),
                row = make(OPT_ROWS * 4), name = make(3 * OPT_ROWS * 8);
    struct both by = floats(OPT_ROWS, 60);
    const struct krn_cuda_thin t = {OPT_ROWS,    OPT_D, row.dev, name.dev, 9,
                                    RNG_DROPOUT, 0.4f,  x.dev,   out.dev};
    const struct krn_cuda_axpy a = {OPT_ROWS, OPT_D, by.dev, x.dev, out.dev};
    float want[OPT_N];

    for (size_t i = 0; i < OPT_ROWS; i++)
        ((uint32_t *)row.host)[i] = (uint32_t)(3 * i + 2);
    for (size_t i = 0; i < 3 * OPT_ROWS; i++)
        ((uint64_t *)name.host)[i] = rng_u64(3, RNG_SYNTH, i);
    up(&row);
    up(&name);
    poison(&out);
    for (size_t i = 0; i < OPT_N; i++) {
        const size_t r = 3 * (i / OPT_D) + 2, k = i % OPT_D;
        const uint64_t seed =
            rng_derive(9, RNG_DROPOUT, ((uint64_t *)name.host)[r]);

        want[i] = rng_f32(seed, RNG_DROPOUT, k) < 0.4f
                      ? 0
                      : ((float *)x.host)[r * OPT_D + k] * (1 / (1 - 0.4f));
        want[i] =
            fmaf(((float *)by.host)[i / OPT_D], ((float *)x.host)[i], want[i]);
    }
    must(gpu->thin(&t, why), "thin");
    must(gpu->axpy(&a, why), "axpy");
    down(&out);
    expect(memcmp(want, out.host, out.bytes) == 0,
           "thinned rows, and rows added, equal bits");
    drop(&x);
    drop(&out);
    drop(&row);
    drop(&name);
    drop(&by);
}

void gpu_check_small(void)
{
    check_order(1, false);
    check_order(1003, false);
    check_order(1003, true);
    check_sort(1, 1);
    check_sort(5000, 1999);
    check_small();
    check_adam();
    check_adagrad(true);
    check_adagrad(false);
    check_thin_and_axpy();
}
