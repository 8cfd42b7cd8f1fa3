/*
 * kernels/cuda/compare.cu - rows against random items: draws, scores, losses
 * and the gradient, summed by node.
 *
 * Rows are padded to whole chunks (node `none`: never summed; vectors of
 * zeros).  Parts are [rows' people][rows' items][negatives]; a stable sort by
 * node and a sparse product in that order add them up.
 */
#include "kernels/cuda/parts.cuh"

#define THREADS 256
#define ROW_THREADS 128 /* of a row's loss */

struct room {
    size_t chunks, rows, others, parts; /* rows: padded */
    uint32_t none;
    float *people, *items; /* [rows][d], [others][d] gathered */
    float *score;          /* [rows][negatives] */
    float *part;           /* [parts][d] */
    float *loss;           /* [rows] */
    uint32_t *node, *from; /* [parts] */
    uint64_t *ptr;         /* [nodes + 1] */
    void *sort;
};

static struct room room_of(const struct krn_cuda_compare *c, size_t *bytes)
{
    struct room r = {};
    char *const start = (char *)c->dev_room, *at = start;

    r.chunks = (c->rows + c->chunk - 1) / c->chunk;
    r.rows = r.chunks * c->chunk;
    r.others = r.chunks * c->negatives;
    r.parts = 2 * r.rows + r.others;
    r.none = (uint32_t)(c->n_users + c->n_items);
    r.people = krn_cuda_part<float>(&at, r.rows * c->d);
    r.items = krn_cuda_part<float>(&at, r.others * c->d);
    r.score = krn_cuda_part<float>(&at, r.rows * c->negatives);
    r.part = krn_cuda_part<float>(&at, r.parts * c->d);
    r.loss = krn_cuda_part<float>(&at, r.rows);
    r.node = krn_cuda_part<uint32_t>(&at, r.parts);
    r.from = krn_cuda_part<uint32_t>(&at, r.parts);
    r.ptr = krn_cuda_part<uint64_t>(&at, (size_t)r.none + 1);
    r.sort = at;
    *bytes = (size_t)(at - start);
    return r;
}

size_t krn_cuda_compare_bytes(const struct krn_cuda_compare *c)
{
    size_t bytes;
    const struct room r = room_of(c, &bytes);

    return bytes + krn_cuda_sort_bytes(r.parts);
}

/* --- who and what ------------------------------------------------------------
 */

static __global__ void name_kernel(struct krn_cuda_compare c, struct room r)
{
    const size_t a = (size_t)blockIdx.x * THREADS + threadIdx.x;

    if (a >= r.parts)
        return;
    uint32_t node = r.none;

    if (a >= 2 * r.rows) {
        const size_t m = a - 2 * r.rows, chunk = m / c.negatives;
        const uint64_t seed = krn_draw_derive(c.seed, c.what, c.first + chunk);

        node =
            (uint32_t)(c.n_users + krn_draw_scale(krn_draw_u64(seed, c.what,
                                                               m % c.negatives),
                                                  c.n_items));
    } else if (a % r.rows < c.rows) {
        const uint32_t row = c.dev_order[a % r.rows];

        node = a < r.rows ? c.dev_user[row]
                          : (uint32_t)c.n_users + c.dev_item[row];
    }
    r.node[a] = node;
    r.from[a] = (uint32_t)a;
}

static __global__ void fetch_kernel(struct krn_cuda_compare c, struct room r)
{
    const size_t at = (size_t)blockIdx.x * THREADS + threadIdx.x;
    const size_t row = at / c.d, k = at % c.d;

    if (row < r.rows) {
        const uint32_t node = r.node[row];

        r.people[at] = node != r.none ? c.dev_vec[node * c.d + k] : 0;
    } else if (row < r.rows + r.others) {
        r.items[at - r.rows * c.d] = c.dev_vec[r.node[row + r.rows] * c.d + k];
    }
}

/* --- losses: a block for each row --------------------------------------------
 */

struct row {
    float *s;         /* [negatives] scores, then derivatives */
    size_t n;         /* negatives */
    float own, t;     /* the row's own score; the temperature */
    float share;      /* of the row in the mean */
    float *room;      /* of reductions */
    float top;        /* of the negatives; -INFINITY: all were met */
    float pull, loss; /* out: derivative by own, loss */
};

/* -INFINITY for what the person has met; the greatest of the others. */
static __device__ inline void strike_met(const struct krn_cuda_compare &c,
                                         const struct room &r, struct row *w)
{
    const uint32_t user = r.node[blockIdx.x];
    const uint64_t from = c.dev_user_ptr[user];
    const size_t n = (size_t)(c.dev_user_ptr[user + 1] - from);
    const uint32_t *met = c.dev_item + from;
    const uint32_t *drawn =
        r.node + 2 * r.rows + blockIdx.x / c.chunk * c.negatives;
    float top = -INFINITY;

    for (size_t j = threadIdx.x; j < w->n; j += ROW_THREADS) {
        const uint32_t item = drawn[j] - (uint32_t)c.n_users;
        const size_t at = krn_lane_below(met, n, item);

        if (at < n && met[at] == item)
            w->s[j] = -INFINITY;
        top = w->s[j] > top ? w->s[j] : top;
    }
    w->top = krn_block_max(top, w->room);
}

static __device__ inline void row_softmax(struct row *w)
{
    const float top = w->own > w->top ? w->own : w->top;
    const float mine = expf((w->own - top) / w->t);
    float sum = 0;

    for (size_t j = threadIdx.x; j < w->n; j += ROW_THREADS) {
        w->s[j] = expf((w->s[j] - top) / w->t);
        sum += w->s[j];
    }
    sum = mine + krn_block_sum(sum, w->room);
    for (size_t j = threadIdx.x; j < w->n; j += ROW_THREADS)
        w->s[j] = w->s[j] / (sum * w->t) * w->share;
    w->pull = -(1 - mine / sum) / w->t * w->share;
    w->loss = -logf(fmaxf(mine / sum, 1e-37f));
}

/* 1 / sum of exp(s / t), with s - top: the weights of the hard loss. */
static __device__ inline float hard_share(const struct row *w)
{
    float sum = 0;

    for (size_t j = threadIdx.x; j < w->n; j += ROW_THREADS)
        sum += expf((w->s[j] - w->top) / w->t);
    return 1 / krn_block_sum(sum, w->room);
}

static __device__ inline float counted(const struct row *w)
{
    float n = 0;

    for (size_t j = threadIdx.x; j < w->n; j += ROW_THREADS)
        n += w->s[j] > -INFINITY ? 1 : 0;
    return krn_block_sum(n, w->room);
}

static __device__ inline void row_bpr(struct row *w, enum krn_cuda_loss loss)
{
    const bool hard = loss == KRN_CUDA_HARD;
    float pull = 0, bad = 0;

    if (w->top == -INFINITY) { /* nothing to compare with */
        for (size_t j = threadIdx.x; j < w->n; j += ROW_THREADS)
            w->s[j] = 0;
        w->pull = w->loss = 0;
        return;
    }
    const float even = hard                           ? hard_share(w)
                       : loss == KRN_CUDA_BPR_COUNTED ? 1 / counted(w)
                                                      : 1 / (float)w->n;

    for (size_t j = threadIdx.x; j < w->n; j += ROW_THREADS) {
        const float x = (w->s[j] - w->own) / w->t;
        const float weight =
            hard ? even * expf((w->s[j] - w->top) / w->t) : even;
        const float wrong = 1 / (1 + expf(-x)); /* sigmoid */

        bad += weight * (fmaxf(x, 0) + log1pf(expf(-fabsf(x))));
        w->s[j] = weight * wrong / w->t * w->share;
        pull += w->s[j];
    }
    w->pull = -krn_block_sum(pull, w->room);
    w->loss = krn_block_sum(bad, w->room);
}

static __global__ void __launch_bounds__(ROW_THREADS)
    loss_kernel(struct krn_cuda_compare c, struct room r)
{
    __shared__ float reduce[33];
    const size_t b = blockIdx.x;
    const bool is = b < c.rows; /* the same to all threads */
    const float *user = r.people + b * c.d;
    const float *item = c.dev_vec + (is ? r.node[r.rows + b] : 0) * c.d;
    struct row w = {r.score + b * c.negatives,
                    c.negatives,
                    0,
                    c.temperature,
                    1 / (float)c.rows,
                    reduce,
                    0,
                    0,
                    0};
    float own = 0;

    if (is) {
        for (size_t k = threadIdx.x; k < c.d; k += ROW_THREADS)
            own = fmaf(user[k], item[k], own);
        w.own = krn_block_sum(own, reduce);
        strike_met(c, r, &w);
        if (c.loss == KRN_CUDA_SOFTMAX)
            row_softmax(&w);
        else
            row_bpr(&w, c.loss);
    } else {
        for (size_t j = threadIdx.x; j < c.negatives; j += ROW_THREADS)
            w.s[j] = 0;
    }
    for (size_t k = threadIdx.x; k < c.d; k += ROW_THREADS) {
        r.part[b * c.d + k] = is ? w.pull * item[k] : 0;
        r.part[(r.rows + b) * c.d + k] = is ? w.pull * user[k] : 0;
    }
    if (threadIdx.x == 0)
        r.loss[b] = w.loss;
}

/* The mean of loss[n], by one block. */
static __global__ void mean_kernel(const float *loss, size_t n, float *out)
{
    __shared__ float reduce[33];
    float sum = 0;

    for (size_t i = threadIdx.x; i < n; i += THREADS)
        sum += loss[i];
    sum = krn_block_sum(sum, reduce);
    if (threadIdx.x == 0)
        *out = sum / (float)n;
}

/* --- a batch -----------------------------------------------------------------
 */

static int score(const struct krn_cuda_compare *c, const struct room *r,
                 char *why)
{
    const struct krn_cuda_gemm g = {
        c->chunk, c->negatives, c->d,      0,        1,
        0,        r->chunks,    r->people, r->items, r->score};

    KRN_LAUNCH(name_kernel, krn_cuda_blocks(r->parts, THREADS), THREADS, 0, *c,
               *r);
    KRN_LAUNCH(fetch_kernel,
               krn_cuda_blocks((r->rows + r->others) * c->d, THREADS), THREADS,
               0, *c, *r);
    return KRN_CUDA_LAUNCHED("fetching a batch", why) ||
           krn_cuda_gemm_run(&g, why);
}

/* People's part += derivatives x negatives; negatives' = derivatives^T x
 * people. */
static int hand_back(const struct krn_cuda_compare *c, const struct room *r,
                     char *why)
{
    const struct krn_cuda_gemm people = {
        c->chunk, c->d,      c->negatives, 0,        0,
        1,        r->chunks, r->score,     r->items, r->part};
    const struct krn_cuda_gemm others = {c->negatives,
                                         c->d,
                                         c->chunk,
                                         1,
                                         0,
                                         0,
                                         r->chunks,
                                         r->score,
                                         r->people,
                                         r->part + 2 * r->rows * c->d};

    return krn_cuda_gemm_run(&people, why) || krn_cuda_gemm_run(&others, why);
}

static int bits_of(size_t n)
{
    int bits = 1;

    while (n >> bits > 0)
        bits++;
    return bits;
}

static int collect(const struct krn_cuda_compare *c, const struct room *r,
                   char *why)
{
    const struct krn_cuda_sort sort = {
        r->parts, bits_of(r->none),    r->node, r->from,
        r->sort,  (size_t)r->none + 1, r->ptr};
    const struct krn_cuda_spmm sum = {r->none, c->d, r->ptr, r->from,    NULL,
                                      r->part, NULL, 1,      c->dev_grad};

    return krn_cuda_sort_run(&sort, why) || krn_cuda_spmm_run(&sum, why);
}

int krn_cuda_compare_run(const struct krn_cuda_compare *c, char *why)
{
    size_t bytes;
    const struct room r = room_of(c, &bytes);

    if (c->rows == 0)
        return 0;
    if (score(c, &r, why))
        return 1;
    KRN_LAUNCH(loss_kernel, (unsigned)r.rows, ROW_THREADS, 0, *c, r);
    if (c->dev_loss != NULL)
        KRN_LAUNCH(mean_kernel, 1, THREADS, 0, (const float *)r.loss, c->rows,
                   c->dev_loss);
    return KRN_CUDA_LAUNCHED("losses", why) || hand_back(c, &r, why) ||
           collect(c, &r, why);
}
