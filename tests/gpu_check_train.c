/* tests/gpu_check_train.c - kernels that training uses, against plain loops. */
#include "tests/gpu_check.h"

/* --- ALS --------------------------------------------------------- */

/* What is left of A x - b for a row, at its largest. */
static double residual(const struct graph *g, const struct krn_cuda_als *a,
                       const float *fixed, const float *gram, const float *x,
                       size_t r)
{
    const uint64_t *ptr = g->ptr.host;
    const uint32_t *idx = g->idx.host;
    const double n = (double)(ptr[r + 1] - ptr[r]);
    const double reg =
        (double)a->reg * pow(n + (double)a->base, (double)a->exponent);
    double most = 0;

    for (size_t i = 0; i < a->d; i++) {
        double left = (reg + (double)gram[i]) * (double)x[i];

        for (uint64_t e = ptr[r]; e < ptr[r + 1]; e++) {
            const float *w = fixed + idx[e] * a->d;
            const double c =
                (double)a->alpha *
                (a->dev_value != NULL ? (double)fabsf(((float *)g->val.host)[e])
                                      : 1);
            double dot = 0;

            for (size_t k = 0; k < a->d; k++)
                dot += (double)w[k] * (double)x[k];
            left += c * (double)w[i] * dot - (1 + c) * (double)w[i];
        }
        most = !(fabs(left) <= most) ? fabs(left) : most;
    }
    return most;
}

static void check_als(size_t rows, size_t d, size_t steps, bool valued)
{
    struct graph g = make_graph(rows, 50, 40, 21);
    struct both fixed = floats(50 * d, 22), gram = make(d * 4),
                x = make(rows * d * 4);
    const struct krn_cuda_als a = {.rows = rows,
                                   .d = d,
                                   .steps = steps,
                                   .dev_ptr = g.ptr.dev,
                                   .dev_idx = g.idx.dev,
                                   .dev_value = valued ? g.val.dev : NULL,
                                   .dev_fixed = fixed.dev,
                                   .dev_gram = gram.dev,
                                   .alpha = 3,
                                   .reg = 0.5f,
                                   .base = 2,
                                   .exponent = 0.7f,
                                   .dev_x = x.dev};
    double most = 0;
    char what[80];

    for (size_t e = 0; e < g.val.bytes / 4; e++)
        ((float *)g.val.host)[e] = fabsf(((float *)g.val.host)[e]);
    up(&g.val);
    for (size_t i = 0; i < d; i++)
        ((float *)gram.host)[i] = 1.0f + (float)i / (float)d;
    up(&gram);
    poison(&x);
    if (steps > 0)
        must(gpu->zero(x.dev, x.bytes, why), "zero");
    must(gpu->als(&a, why), "als");
    down(&x);
    for (size_t r = 0; r < rows; r++)
        most = fmax(most, residual(&g, &a, fixed.host, gram.host,
                                   (float *)x.host + r * d, r));
    (void)snprintf(what, sizeof(what), "als %zu rows, d %zu%s%s", rows, d,
                   steps > 0 ? ", conjugate gradients" : ", Cholesky",
                   valued ? ", values" : "");
    expect(most < 5e-2, what);
    drop_graph(&g);
    drop(&fixed);
    drop(&gram);
    drop(&x);
}

/* The reference of the CPU after as many steps. */
static void check_cg_steps(size_t d)
{
    enum { ROWS = 9, COLS = 50 };
    struct graph g = make_graph(ROWS, COLS, 40, 23);
    struct both fixed = floats(COLS * d, 24), gram = make(d * 4),
                x = floats(ROWS * d, 25);
    const struct krn_cuda_als a = {.rows = ROWS,
                                   .d = d,
                                   .steps = 3,
                                   .dev_ptr = g.ptr.dev,
                                   .dev_idx = g.idx.dev,
                                   .dev_fixed = fixed.dev,
                                   .dev_gram = gram.dev,
                                   .alpha = 2,
                                   .reg = 0.5f,
                                   .base = 1,
                                   .exponent = 1,
                                   .dev_x = x.dev};
    const uint64_t *ptr = g.ptr.host;
    float *want = malloc(x.bytes), *diag = malloc(d * 4), *c = malloc(164);
    float *y = malloc(224), *v = malloc(5 * d * 4);
    double most = 0;
    char what[80];

    for (size_t i = 0; i < d; i++)
        ((float *)gram.host)[i] = 1.0f + (float)i / (float)d;
    up(&gram);
    memcpy(want, x.host, x.bytes);
    must(gpu->als(&a, why), "als");
    down(&x);
    for (size_t r = 0; r < ROWS; r++) {
        const size_t n = ptr[r + 1] - ptr[r];

        for (size_t i = 0; i < d; i++) {
            diag[i] = ((float *)gram.host)[i] + 0.5f * (float)(n + 1);
            want[r * d + i] = n > 0 ? want[r * d + i] : 0;
        }
        for (size_t j = 0; j < n; j++)
            c[j] = 2;
        if (n > 0)
            cpu_ops()->cg_row_f32(
                want + r * d,
                &(struct krn_cg){.n = n,
                                 .d = d,
                                 .steps = 3,
                                 .x = fixed.host,
                                 .ldx = d,
                                 .idx = (uint32_t *)g.idx.host + ptr[r],
                                 .c = c,
                                 .diag = diag,
                                 .y = y,
                                 .v = v});
    }
    most = worst(want, x.host, ROWS * d);
    (void)snprintf(what, sizeof(what), "three steps as the CPU's, d %zu", d);
    expect(most < 1e-4, what);
    free(want);
    free(diag);
    free(c);
    free(y);
    free(v);
    drop_graph(&g);
    drop(&fixed);
    drop(&gram);
    drop(&x);
}

static void check_chol(size_t n, size_t d)
{
    struct both w = floats(n * d * d, 26), a = make(n * d * d * 4),
                b = floats(n * d, 27), x = make(n * d * 4);
    const struct krn_cuda_chol c = {n, d, a.dev, x.dev};
    float *full = a.host;
    double most = 0;
    char what[80];

    for (size_t i = 0; i < n * d * d; i++) { /* w w^T / d + I */
        const float *s = (float *)w.host + i / (d * d) * d * d;
        double sum = i / d % d == i % d ? 1 : 0;

        for (size_t k = 0; k < d; k++)
            sum += (double)s[i / d % d * d + k] * (double)s[i % d * d + k] /
                   (double)d;
        full[i] = (float)sum;
    }
    up(&a);
    memcpy(x.host, b.host, b.bytes);
    up(&x);
    must(gpu->chol(&c, why), "chol");
    down(&x);
    for (size_t i = 0; i < n * d; i++) {
        double left = -(double)((float *)b.host)[i];

        for (size_t k = 0; k < d; k++)
            left += (double)full[i * d + k] *
                    (double)((float *)x.host)[i / d * d + k];
        most = !(fabs(left) <= most) ? fabs(left) : most;
    }
    (void)snprintf(what, sizeof(what), "cholesky, %zu of %zu", n, d);
    expect(most < 1e-4, what);
    drop(&w);
    drop(&a);
    drop(&b);
    drop(&x);
}

/* --- rows against random items ------------------------------------- */

enum { PEOPLE = 23, ITEMS = 41, ROWS = 300, D = 9 };

struct world {
    struct both ptr, item, user, order, vec, grad, loss, room;
    size_t n; /* rows of all */
};

static struct world make_world(void)
{
    struct world w = {.ptr = make((PEOPLE + 1) * 8),
                      .item = make(PEOPLE * ITEMS * 4),
                      .user = make(PEOPLE * ITEMS * 4),
                      .vec = floats((PEOPLE + ITEMS) * D, 31),
                      .grad = make((PEOPLE + ITEMS) * D * 4),
                      .loss = make(4)};
    uint64_t *ptr = w.ptr.host;

    for (size_t u = 0; u < PEOPLE; u++) {
        ptr[u + 1] = ptr[u];
        for (uint32_t i = 0; i < ITEMS; i++) {
            /* person 0 has met everything: nothing to compare with */
            if (u > 0 && rng_below(32, RNG_SYNTH, u * ITEMS + i, 3) > 0)
                continue;
            ((uint32_t *)w.item.host)[ptr[u + 1]] = i;
            ((uint32_t *)w.user.host)[ptr[u + 1]++] = (uint32_t)u;
        }
    }
    w.n = ptr[PEOPLE];
    w.order = make(w.n * 4);
    for (size_t i = 0; i < w.n; i++)
        ((uint32_t *)w.order.host)[i] = (uint32_t)(i * 97 % w.n);
    up(&w.ptr);
    up(&w.item);
    up(&w.user);
    up(&w.order);
    return w;
}

/* The loss of row b, and what it gives to the gradient. */
static double plain_row(const struct krn_cuda_compare *c, const struct world *w,
                        size_t b, double *grad)
{
    const float *vec = w->vec.host;
    const uint32_t row = ((uint32_t *)w->order.host)[b];
    const uint32_t u = ((uint32_t *)w->user.host)[row];
    const uint32_t own = ((uint32_t *)w->item.host)[row];
    const uint64_t *ptr = w->ptr.host;
    const uint64_t seed =
        rng_derive(c->seed, RNG_NEGATIVE, c->first + b / c->chunk);
    const double t = (double)c->temperature;
    double s[64], top = -INFINITY, sum = 0, pull = 0, loss = 0, s_own = 0;
    size_t j_item[64], counted = 0;

    for (size_t k = 0; k < D; k++)
        s_own += (double)vec[u * D + k] * (double)vec[(PEOPLE + own) * D + k];
    for (size_t j = 0; j < c->negatives; j++) {
        j_item[j] = rng_below(seed, RNG_NEGATIVE, j, ITEMS);
        s[j] = 0;
        for (size_t k = 0; k < D; k++)
            s[j] += (double)vec[u * D + k] *
                    (double)vec[(PEOPLE + j_item[j]) * D + k];
        for (uint64_t r = ptr[u]; r < ptr[u + 1]; r++)
            if (((uint32_t *)w->item.host)[r] == j_item[j])
                s[j] = -INFINITY;
        counted += s[j] > -INFINITY;
        top = fmax(top, s[j]);
    }
    if (c->loss != KRN_CUDA_SOFTMAX && counted == 0)
        return 0;
    if (c->loss == KRN_CUDA_SOFTMAX)
        top = fmax(top, s_own);
    for (size_t j = 0; j < c->negatives; j++)
        sum += exp((s[j] - top) / t);
    if (c->loss == KRN_CUDA_SOFTMAX) {
        sum += exp((s_own - top) / t);
        loss = -log(exp((s_own - top) / t) / sum);
        pull = (exp((s_own - top) / t) / sum - 1) / t;
    }
    for (size_t j = 0; j < c->negatives; j++) {
        const double weight = c->loss == KRN_CUDA_BPR ? 1 / (double)c->negatives
                              : c->loss == KRN_CUDA_BPR_COUNTED
                                  ? 1 / (double)counted
                                  : exp((s[j] - top) / t) / sum;
        const double wrong = 1 / (1 + exp(-(s[j] - s_own) / t));
        const double by =
            c->loss == KRN_CUDA_SOFTMAX ? weight / t : weight * wrong / t;

        if (c->loss != KRN_CUDA_SOFTMAX) {
            pull -= by;
            loss -= weight * log(1 - wrong);
        }
        for (size_t k = 0; k < D; k++) {
            grad[(PEOPLE + j_item[j]) * D + k] +=
                by * (double)vec[u * D + k] / (double)c->rows;
            grad[u * D + k] += by * (double)vec[(PEOPLE + j_item[j]) * D + k] /
                               (double)c->rows;
        }
    }
    for (size_t k = 0; k < D; k++) {
        grad[(PEOPLE + own) * D + k] +=
            pull * (double)vec[u * D + k] / (double)c->rows;
        grad[u * D + k] +=
            pull * (double)vec[(PEOPLE + own) * D + k] / (double)c->rows;
    }
    return loss;
}

static void check_compare(enum krn_cuda_loss loss, size_t rows,
                          size_t negatives)
{
    static const char *const name[] = {"softmax", "bpr", "bpr, counted",
                                       "hard"};
    struct world w = make_world();
    struct krn_cuda_compare c = {.rows = rows < w.n ? rows : w.n,
                                 .chunk = 64,
                                 .negatives = negatives,
                                 .d = D,
                                 .n_users = PEOPLE,
                                 .n_items = ITEMS,
                                 .loss = loss,
                                 .temperature = 0.7f,
                                 .seed = 77,
                                 .first = 5,
                                 .what = RNG_NEGATIVE,
                                 .dev_order = w.order.dev,
                                 .dev_user = w.user.dev,
                                 .dev_item = w.item.dev,
                                 .dev_user_ptr = w.ptr.dev,
                                 .dev_vec = w.vec.dev,
                                 .dev_loss = w.loss.dev,
                                 .dev_grad = w.grad.dev};
    double grad[(PEOPLE + ITEMS) * D] = {0}, want = 0, most = 0;
    float *first = malloc(w.grad.bytes);
    char what[80];

    w.room = make(gpu->compare_bytes(&c));
    c.dev_room = w.room.dev;
    for (int run = 0; run < 2; run++) {
        poison(&w.grad);
        poison(&w.room);
        must(gpu->compare(&c, why), "compare");
        down(&w.grad);
        if (run == 0)
            memcpy(first, w.grad.host, w.grad.bytes);
    }
    down(&w.loss);
    for (size_t b = 0; b < c.rows; b++)
        want += plain_row(&c, &w, b, grad) / (double)c.rows;
    for (size_t i = 0; i < (PEOPLE + ITEMS) * D; i++) {
        const double gap = fabs(grad[i] - (double)((float *)w.grad.host)[i]);

        most = !(gap <= most) ? gap : most;
    }
    (void)snprintf(what, sizeof(what), "%s, %zu rows, %zu negatives",
                   name[loss], c.rows, negatives);
    expect(most < 1e-6 && fabs(want - (double)*(float *)w.loss.host) < 1e-4 &&
               memcmp(first, w.grad.host, w.grad.bytes) == 0,
           what);
    free(first);
    drop(&w.ptr);
    drop(&w.item);
    drop(&w.user);
    drop(&w.order);
    drop(&w.vec);
    drop(&w.grad);
    drop(&w.loss);
    drop(&w.room);
}

void gpu_check_train(void)
{
    check_als(60, 1, 0, false);
    check_als(300, 32, 0, true);
    check_als(40, 63, 0, false);
    check_als(30, 128, 0, false);
    check_als(60, 1, 5, false);
    check_als(50, 50, 60, true);
    check_als(20, 130, 90, false);
    check_cg_steps(64);
    check_cg_steps(33);
    check_cg_steps(300);
    check_chol(5, 1);
    check_chol(30, 64);
    check_chol(7, 100);
    check_chol(3, 128);
    for (int l = KRN_CUDA_SOFTMAX; l <= KRN_CUDA_HARD; l++) {
        check_compare((enum krn_cuda_loss)l, 300, 17);
        check_compare((enum krn_cuda_loss)l, 64, 1);
        check_compare((enum krn_cuda_loss)l, 3, 60);
    }
}
