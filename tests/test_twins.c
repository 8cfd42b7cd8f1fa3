/* tests/test_twins.c - every instruction set gives the bits of the reference.
 *
 * Random shapes (0, 1, primes, around the tile sizes, rows longer than used),
 * ordinary and odd numbers (infinities, NaN, denormals, both zeros).
 */
#include "tests/twins.h"

#include <math.h>

/* One number in eight is odd in some way. */
static void odd_fill(float *x, size_t n, uint64_t seed)
{
    static const float odd[] = {0.0f,     -0.0f,   INFINITY, -INFINITY, NAN,
                                1e-42f,   -3e-39f, 3e38f,    -3e38f,    88.9f,
                                -103.97f, 1.0f,    -87.4f,   1e-20f};

    for (size_t i = 0; i < n; i++) {
        const uint64_t r = rng_u64(seed, RNG_BOOT, i);

        x[i] = 20 * (2 * rng_f32(seed, RNG_SYNTH, i) - 1);
        if (r % 8 == 0)
            x[i] = odd[r / 8 % (sizeof(odd) / sizeof(odd[0]))];
    }
}

/* y = f(x) for one of the elementwise functions, by its number. */
static void elementwise(const struct krn_ops *o, size_t which, float *y,
                        const float *x, size_t n)
{
    switch (which) {
    case 0:
        o->exp_f32(y, x, n);
        break;
    case 1:
        o->log_f32(y, x, n);
        break;
    case 2:
        o->tanh_f32(y, x, n);
        break;
    case 3:
        o->sigmoid_f32(y, x, n);
        break;
    case 4:
        o->softmax_f32(y, x, n);
        break;
    case 5:
        o->layernorm_f32(y, x, NULL, NULL, n, 1e-5f);
        break;
    case 6:
        memcpy(y, x, n * sizeof(*x));
        o->scale_f32(y, 1.7f, n);
        break;
    default:
        y[0] = n > 0 ? o->logsumexp_f32(x, n) : 0;
        y[1] = o->sum_f32(x, n);
    }
}

static void check_elementwise(const struct krn_ops *twin)
{
    float x[300], want[300], got[300];

    for (size_t i = 0; i < N_SIZES * 2; i++) {
        const size_t n = sizes[i / 2];

        (i % 2 ? odd_fill : kern_fill)(x, n, i);
        for (size_t f = 0; f < 8; f++) {
            kern_fill(want, 300, 1); /* what lies behind must stay */
            kern_fill(got, 300, 1);
            elementwise(&krn_ops_reference, f, want, x, n);
            elementwise(twin, f, got, x, n);
            kern_assert_same(got, want, 300, twin->name, n, f, i);
        }
    }
}

/* Every 40-thousandth float there is, and all special ones. */
static void check_elementwise_everywhere(const struct krn_ops *twin)
{
    enum { N = 107375 };
    float *x = mem_array(N, sizeof(*x)), *want = mem_array(N, sizeof(*x));
    float *got = mem_array(N, sizeof(*x));

    assert_true(x != NULL && want != NULL && got != NULL);
    for (uint32_t i = 0; i < N; i++) {
        const uint32_t bits = i * 40000u;

        memcpy(x + i, &bits, sizeof(bits));
    }
    for (size_t f = 0; f < 4; f++) {
        elementwise(&krn_ops_reference, f, want, x, N);
        elementwise(twin, f, got, x, N);
        kern_assert_same(got, want, (size_t)N, twin->name, f, 0, 0);
    }
    free(x);
    free(want);
    free(got);
}

static void check_vectors(const struct krn_ops *twin)
{
    const struct krn_ops *ref = &krn_ops_reference;

    for (size_t i = 0; i < N_SIZES * 2; i++) {
        const size_t n = sizes[i / 2], m = sizes[(i * 7 + 3) % 10];
        const size_t ld = n + i % 3;
        float *a = kern_new(m * ld + n, i), *x = kern_new(n, i + 50);
        float want[600], got[600];

        if (i % 2)
            odd_fill(x, n, i);
        want[0] = ref->dot_f32(a, x, n);
        got[0] = twin->dot_f32(a, x, n);
        kern_assert_same(got, want, 1, twin->name, n, 0, 0);
        kern_fill(want, 600, 2);
        kern_fill(got, 600, 2);
        ref->axpy_f32(want, -.3f, x, n);
        twin->axpy_f32(got, -.3f, x, n);
        ref->gemv_f32(want + 300, a, ld, x, m, n);
        twin->gemv_f32(got + 300, a, ld, x, m, n);
        kern_assert_same(got, want, 600, twin->name, n, m, ld);
        free(a);
        free(x);
    }
}

static void check_steps(const struct krn_ops *twin)
{
    const struct krn_adam o = {
        .lr = .01f, .beta1 = .9f, .beta2 = .999f, .eps = 1e-8f, .decay = .001f};
    const struct krn_ops *ops[] = {&krn_ops_reference, twin};
    float state[2][4 * 300];

    for (size_t i = 0; i < N_SIZES; i++) {
        const size_t n = sizes[i];
        float *g = kern_new(n, i + 3);

        for (size_t which = 0; which < 2; which++) {
            float *p = state[which];

            kern_fill(p, 4 * 300, 5);
            for (size_t j = 600; j < 4 * 300; j++)
                p[j] = fabsf(p[j]);
            for (size_t turn = 0; turn < 3; turn++) {
                ops[which]->adam_f32(p, p + 300, p + 600, g, n, &o);
                ops[which]->adagrad_f32(p, p + 900, g, n, .05f, 1e-6f);
            }
        }
        kern_assert_same(state[1], state[0], 1200, twin->name, n, 0, 0);
        free(g);
    }
}

static void check_layernorm(const struct krn_ops *twin)
{
    float *x = kern_new(257, 1), *g = kern_new(257, 2), *b = kern_new(257, 3);
    float want[257], got[257];

    for (size_t i = 1; i < N_SIZES; i++) {
        krn_ops_reference.layernorm_f32(want, x, g, b, sizes[i], 1e-5f);
        twin->layernorm_f32(got, x, g, b, sizes[i], 1e-5f);
        kern_assert_same(got, want, sizes[i], twin->name, sizes[i], 0, 0);
    }
    free(x);
    free(g);
    free(b);
}

/* One product with all its buffers. */
static void check_one_gemm(const struct krn_ops *twin, size_t m, size_t n,
                           size_t k, uint64_t seed)
{
    const uint64_t how = rng_u64(seed, RNG_SPLIT, 0);
    struct krn_gemm g = {.ta = how & 1,
                         .tb = how >> 1 & 1,
                         .m = m,
                         .n = n,
                         .k = k,
                         .add = how >> 2 & 1,
                         .sub = how >> 3 & 1};

    g.add = g.add && !g.sub;
    g.panels = (how >> 20) % 2 == 0 && !g.tb && !g.sub;
    g.lda = (g.ta ? m : k) + (how >> 4) % 5;
    g.ldb = (g.tb ? k : n) + (how >> 8) % 5;
    g.ldc = n + (how >> 12) % 5;
    if (!g.ta && (how >> 24) % 3 == 0) /* rows that meet in the cache */
        g.lda = (k / 1024 + 1) * 1024;
    if (!g.tb && (how >> 28) % 3 == 0)
        g.ldb = (n / 1024 + 1) * 1024;
    const size_t size_a = g.lda * (g.ta ? k : m);
    const size_t panels = (n + KRN_PANEL - 1) / KRN_PANEL;

    if (g.panels)
        g.ldb = k * KRN_PANEL + (how >> 8) % 5;
    const size_t size_b = g.ldb * (g.panels ? panels : g.tb ? n : k);
    const size_t size_c = g.ldc * m;
    float *a = kern_new(size_a, seed), *b = kern_new(size_b, seed + 1);
    float *want = kern_new(size_c, 1), *got = kern_new(size_c, 1);

    if ((how >> 16) % 4 == 0)
        odd_fill(a, size_a, seed);
    g.a = a;
    g.b = b;
    g.c = want;
    krn_ops_reference.gemm_f32(&g);
    g.c = got;
    g.scratch = mem_array(KRN_GEMM_SCRATCH, sizeof(float));
    assert_non_null(g.scratch);
    twin->gemm_f32(&g);
    kern_assert_same(got, want, size_c, twin->name, m, n, k);
    free(a);
    free(b);
    free(want);
    free(got);
    free(g.scratch);
}

static void check_gemm(const struct krn_ops *twin)
{
    static const size_t shape[][3] = {
        {500, 70, 300},  {30, 1900, 33},  {29, 65, 700},  {1, 33, 513},
        {253, 31, 257},  {14, 32, 256},   {15, 3000, 2},  {5, 129, 1},
        {400, 200, 9},   {90, 150, 1100}, {33, 64, 2048}, {200, 160, 1024},
        {13, 4200, 600}, {2, 600, 40},
    };

    for (uint64_t i = 0; i < 400; i++) {
        const struct krn_u32x4 r = rng_pair(i, RNG_SYNTH, 1, 2);

        check_one_gemm(twin, sizes[r.v[0] % 17], sizes[r.v[1] % N_SIZES],
                       sizes[r.v[2] % 17], i);
    }
    for (size_t i = 0; i < sizeof(shape) / sizeof(shape[0]); i++) {
        for (size_t s = 0; s < 4; s++)
            check_one_gemm(twin, shape[i][0], shape[i][1], shape[i][2], s);
    }
    for (size_t m = 1; m <= 5; m++) { /* few rows: B is near; it is far */
        for (size_t s = 0; s < 24; s++)
            check_one_gemm(twin, m, 2133, 43, s);
        check_one_gemm(twin, m, 2133, 500, 5); /* taken away */
        check_one_gemm(twin, m, 2133, 500, 15);
    }
    for (size_t s = 0; s < 16; s++) { /* so many rows that B is copied */
        check_one_gemm(twin, 1030, 41, 140, s);
        check_one_gemm(twin, 290, 41, 140, s); /* where its rows meet */
    }
}

static void check_syrk(const struct krn_ops *twin)
{
    enum { ROWS = 60, LD = 259 };
    float *x = kern_new(ROWS * LD, 1), *w = kern_new(300, 2);
    uint32_t idx[300];

    for (size_t e = 0; e < 300; e++)
        idx[e] = (uint32_t)rng_below(5, RNG_SYNTH, e, ROWS);
    for (size_t i = 0; i < N_SIZES * 2; i++) {
        const size_t d = sizes[i / 2], n = sizes[(i * 5 + 1) % N_SIZES];
        float *want = kern_new(d * LD, 9), *got = kern_new(d * LD, 9);
        const float *weight = i & 1 ? w : NULL;

        krn_ops_reference.syrk_rows_f32(want, LD, x, LD, idx, weight, n, d);
        twin->syrk_rows_f32(got, LD, x, LD, idx, weight, n, d);
        kern_assert_same(got, want, d * LD, twin->name, d, n, i);
        free(want);
        free(got);
    }
    free(x);
    free(w);
}

/* Lower triangle of a random positive definite matrix, junk above. */
static float *spd_new(size_t d, size_t ld, uint64_t seed)
{
    float *x = kern_new(2 * d * d, seed), *a = kern_new(d * ld, seed + 1);
    uint32_t idx[1024];

    for (uint32_t i = 0; i < 2 * d; i++)
        idx[i] = i;
    for (size_t i = 0; i < d; i++) {
        for (size_t j = 0; j <= i; j++)
            a[i * ld + j] = i == j;
    }
    krn_ops_reference.syrk_rows_f32(a, ld, x, d, idx, NULL, 2 * d, d);
    free(x);
    return a;
}

static void check_chol(const struct krn_ops *twin)
{
    for (size_t i = 0; i < N_SIZES * 2; i++) {
        const size_t d = sizes[i / 2], ld = d + i % 2 * 5;
        float *a = spd_new(d, ld, i), *b = kern_new(d, i);
        float *a2 = kern_copy(a, d * ld), *b2 = kern_copy(b, d);

        if (i % 5 == 4 && d > 0)
            a[d / 2 * (ld + 1)] = a2[d / 2 * (ld + 1)] = -1;
        assert_int_equal(krn_ops_reference.chol_solve_f32(a, ld, b, d),
                         twin->chol_solve_f32(a2, ld, b2, d));
        kern_assert_same(b2, b, d, twin->name, d, ld, i);
        free(a);
        free(b);
        free(a2);
        free(b2);
    }
}

/* Sixteen different systems, number 5 without a solution. */
static void check_chol16(const struct krn_ops *twin)
{
    for (size_t i = 0; i < N_SIZES - 4; i++) {
        const size_t d = sizes[i], size = d * d;
        float *a = mem_array(16 * size, sizeof(*a));
        float *to = mem_array(16 * size, sizeof(*a));
        float *b = kern_new(16 * d, i), *x = kern_new(16 * d, 0);

        for (size_t lane = 0; lane < 16; lane++) {
            float *one = spd_new(d, d, lane + i);

            memcpy(a + lane * size, one, size * sizeof(*a));
            free(one);
        }
        if (d > 0)
            a[5 * size + (d - 1) / 2 * (d + 1)] = 0;
        for (size_t j = 0; j < 16 * d; j++)
            x[j] = b[j % 16 * d + j / 16];
        twin->interleave16_f32(to, a, size, d, d);
        twin->chol_solve16_f32(to, x, d);
        for (size_t lane = 0; lane < 16; lane++) {
            float *y = b + lane * d;
            const bool good =
                krn_ops_reference.chol_solve_f32(a + lane * size, d, y, d);

            assert_true(good == (lane != 5 || d == 0));
            for (size_t j = 0; j < d; j++) {
                assert_true(good || isnan(y[j]));
                kern_assert_same(x + j * 16 + lane, y + j, 1, twin->name, d,
                                 lane, j);
            }
        }
        free(a);
        free(to);
        free(b);
        free(x);
    }
}

/* Kinds of scores: any, many ties, odd ones, nothing that counts. */
static void fill_scores(float *x, size_t n, size_t i)
{
    if (i % 4 == 0)
        kern_fill(x, n, i);
    for (size_t j = 0; j < n && i % 4 == 1; j++)
        x[j] = (float)rng_below(i, RNG_SYNTH, j, 9);
    if (i % 4 == 2)
        odd_fill(x, n, i);
    for (size_t j = 0; j < n && i % 4 == 3; j++)
        x[j] = j % 3 ? NAN : -INFINITY;
}

static void check_lists(const struct krn_ops *twin, struct krn_topk t[2],
                        size_t i)
{
    krn_ops_reference.topk_prune_f32(t);
    twin->topk_prune_f32(t + 1);
    krn_ops_reference.topk_sort_f32(t);
    twin->topk_sort_f32(t + 1);
    assert_int_equal(t[0].n, t[1].n);
    assert_true(t[0].n == t[0].k);
    assert_memory_equal(t[0].id, t[1].id, t[0].n * sizeof(uint32_t));
    kern_assert_same(t[1].score, t[0].score, t[0].n, twin->name, t[0].k, i, 0);
}

static void assert_none_skipped(const struct krn_topk *t, const uint32_t *skip,
                                size_t skips)
{
    for (size_t j = 0; j < t->n; j++)
        for (size_t at = 0; at < skips; at++)
            assert_int_not_equal(t->id[j], skip[at]);
}

static void check_topk(const struct krn_ops *twin)
{
    static const size_t ks[] = {1, 2, 15, 16, 17, 20, 33, 100, 1024, 1025};
    enum { N = 5000, ROOM = KRN_TOPK_ROOM(1025) };
    static uint32_t id[2][ROOM], skip[N];
    static float s[2][ROOM];
    float *x = mem_array(N, sizeof(*x));

    assert_non_null(x);
    for (size_t i = 0; i < sizeof(ks) / sizeof(ks[0]) * 8; i++) {
        struct krn_topk t[2] = {krn_topk_start(ks[i / 8], s[0], id[0]),
                                krn_topk_start(ks[i / 8], s[1], id[1])};
        size_t skips = 0;

        fill_scores(x, N, i);
        for (uint32_t j = 0; j < N && i % 8 < 4; j++)
            if (rng_below(i, RNG_SHUFFLE, j, 3) == 0)
                skip[skips++] = j;
        t[0].skip = t[1].skip = skip;
        t[0].skip_end = t[1].skip_end = skip + skips;
        /* odd pieces; out of order where nothing is left out */
        for (size_t piece = 0, from, n; piece < 5; piece++) {
            from = (i % 8 < 4 ? piece : piece * 3 % 5) * (N / 5);
            n = N / 5 - piece % 2;
            krn_ops_reference.topk_push_f32(t, x + from, (uint32_t)from, n);
            twin->topk_push_f32(t + 1, x + from, (uint32_t)from, n);
        }
        check_lists(twin, t, i);
        assert_none_skipped(t, skip, skips);
    }
    free(x);
}

/* People of all numbers around the heights of tiles, with and without items to
 * leave out, scores that tie and scores that are no numbers. */
static void check_one_score(const struct krn_ops *twin, size_t m, size_t i)
{
    enum { MOST = 31, N = 403, LD = 70, K = 20, ROOM = KRN_TOPK_ROOM(K) };
    static float held[2][MOST][ROOM], a[MOST * LD],
        b[(N / KRN_PANEL + 1) * (LD * KRN_PANEL + 3)];
    static uint32_t id[2][MOST][ROOM], skip[N];
    static const size_t depth[] = {1, 2, 5, 17, 64, 70};
    const size_t k = depth[i % 6];
    struct krn_topk list[2][MOST];
    struct krn_score s = {.m = m,
                          .n = i % 2 ? N : N - 19,
                          .k = k,
                          .a = a,
                          .lda = i % 3 ? LD : k,
                          .b = b,
                          .ldb = k * KRN_PANEL + i % 4,
                          .first_id = 7};
    size_t skips = 0;

    fill_scores(a, sizeof(a) / sizeof(*a), i);
    fill_scores(b, sizeof(b) / sizeof(*b), i % 4 == 3 ? 0 : i);
    for (uint32_t j = 0; j < N; j++)
        if (rng_below(i, RNG_SHUFFLE, j, 4) == 0)
            skip[skips++] = s.first_id + j;
    for (size_t r = 0; r < 2 * m; r++) {
        struct krn_topk *t = &list[r / m][r % m];

        *t =
            krn_topk_start(1 + r % m % K, held[r / m][r % m], id[r / m][r % m]);
        t->skip = r % m % 3 ? skip : NULL;
        t->skip_end = r % m % 3 ? skip + skips : NULL;
    }
    s.list = list[0];
    krn_ops_reference.score_f32(&s);
    s.list = list[1];
    twin->score_f32(&s);
    for (size_t r = 0; r < m; r++)
        check_lists(twin, (struct krn_topk[]){list[0][r], list[1][r]}, i);
}

static void check_score(const struct krn_ops *twin)
{
    for (size_t m = 1; m <= 31; m++)
        for (size_t i = 0; i < 12; i++)
            check_one_score(twin, m, i);
}

/* Sums, lists and floors after a walk of steps there and back. */
static void check_pick(const struct krn_ops *twin)
{
    enum { N = 1000, STEPS = 12 };
    static int32_t sum[2][N], step[STEPS][N];

    for (size_t round = 0; round < 40; round++) {
        const size_t n = N - round * 7;
        const int32_t range = round % 4 == 0 ? 5 : 1 << 20; /* many ties */

        for (size_t i = 0; i < N; i++) {
            sum[0][i] = sum[1][i] = i % 11 == 3 ? -(1 << 29) : 0;
            for (size_t s = 0; s < STEPS; s++)
                step[s][i] = (int32_t)rng_below(round, RNG_SHUFFLE, i * 16 + s,
                                                (uint64_t)range) -
                             range / 2;
        }
        for (size_t s = 0; s < 3 * STEPS; s++) {
            const int32_t sign = s / STEPS % 2 == 0 ? 1 : -1;
            const int32_t *x = s % 5 == 4 ? NULL : step[s % STEPS];
            struct krn_pick t[2];

            memset(t, 0, sizeof(t));
            t[0].k = t[1].k = 1 + (round * 13 + s) % 100;
            t[0].floor = t[1].floor = s % 3 == 0 ? INT32_MIN : -(1 << 28);
            krn_ops_reference.pick_i32(sum[0], x, sign, n, &t[0]);
            twin->pick_i32(sum[1], x, sign, n, &t[1]);
            assert_memory_equal(sum[0], sum[1], n * sizeof(int32_t));
            assert_memory_equal(&t[0], &t[1], sizeof(t[0]));
            for (size_t i = 1; i < t[0].n; i++)
                assert_true(t[0].score[i - 1] > t[0].score[i] ||
                            (t[0].score[i - 1] == t[0].score[i] &&
                             t[0].id[i - 1] < t[0].id[i]));
        }
    }
}

TWIN_TEST(elementwise_functions_have_the_same_bits, check_elementwise)
TWIN_TEST(elementwise_functions_have_the_same_bits_over_all_exponents,
          check_elementwise_everywhere)
TWIN_TEST(vector_kernels_have_the_same_bits, check_vectors)
TWIN_TEST(optimiser_steps_have_the_same_bits, check_steps)
TWIN_TEST(layernorm_with_gain_and_bias_has_the_same_bits, check_layernorm)
TWIN_TEST(gemm_has_the_same_bits, check_gemm)
TWIN_TEST(syrk_rows_has_the_same_bits, check_syrk)
TWIN_TEST(chol_solve_has_the_same_bits, check_chol)
TWIN_TEST(chol_solve16_has_the_bits_of_chol_solve_in_each_lane, check_chol16)
TWIN_TEST(topk_push_holds_the_same, check_topk)
TWIN_TEST(scores_in_registers_make_the_same_lists, check_score)
TWIN_TEST(pick_holds_the_same, check_pick)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elementwise_functions_have_the_same_bits),
        cmocka_unit_test(
            elementwise_functions_have_the_same_bits_over_all_exponents),
        cmocka_unit_test(vector_kernels_have_the_same_bits),
        cmocka_unit_test(optimiser_steps_have_the_same_bits),
        cmocka_unit_test(layernorm_with_gain_and_bias_has_the_same_bits),
        cmocka_unit_test(gemm_has_the_same_bits),
        cmocka_unit_test(syrk_rows_has_the_same_bits),
        cmocka_unit_test(chol_solve_has_the_same_bits),
        cmocka_unit_test(chol_solve16_has_the_bits_of_chol_solve_in_each_lane),
        cmocka_unit_test(topk_push_holds_the_same),
        cmocka_unit_test(scores_in_registers_make_the_same_lists),
        cmocka_unit_test(pick_holds_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
