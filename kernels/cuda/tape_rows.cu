/* kernels/cuda/tape_rows.cu - jobs of a warp for each row, of columns, and of
 * whole tensors. */
#include "kernels/cuda/tape_each.cuh"

#define WARPS 8
#define LANES 32

struct span {
    const float *x, *mask; /* of a row; mask NULL: all count */
    size_t n;
};

static __device__ inline bool counts(const struct span &s, size_t c)
{
    return s.mask == NULL || s.mask[c] != 0;
}

static __device__ inline unsigned lane_of()
{
    return threadIdx.x % LANES;
}

static __device__ inline float top_of(const struct span &s, float by)
{
    float top = -INFINITY;

    for (size_t c = lane_of(); c < s.n; c += LANES) {
        const float x = by * s.x[c];

        top = counts(s, c) && x > top ? x : top;
    }
    return krn_warp_max(top);
}

static __device__ inline float exps_of(const struct span &s, float by,
                                       float top)
{
    float sum = 0;

    for (size_t c = lane_of(); c < s.n; c += LANES)
        sum += counts(s, c) ? krn_exp1(by * s.x[c] - top) : 0;
    return krn_warp_sum(sum);
}

/* y may be x. */
static __device__ inline void softmax(float *y, const struct span &s, float by)
{
    const float most = top_of(s, by), top = most > -INFINITY ? most : 0;
    const float sum = exps_of(s, by, top), up = sum == 0 ? 0 : 1 / sum;

    for (size_t c = lane_of(); c < s.n; c += LANES)
        y[c] = counts(s, c) ? krn_exp1(by * s.x[c] - top) * up : 0;
}

static __device__ inline float dot(const float *a, const float *b, size_t n)
{
    float sum = 0;

    for (size_t c = lane_of(); c < n; c += LANES)
        sum += a[c] * (b != NULL ? b[c] : 1);
    return krn_warp_sum(sum);
}

/* Keys that query `i` of list `b` may see. */
static __device__ inline void attend(const struct krn_cuda_job &j, size_t r)
{
    const size_t i = r % j.queries, b = r / (j.heads * j.queries);
    const size_t far = j.window == 0 ? j.queries + j.n : j.window;
    const size_t first = i > far ? i - far : 0;
    size_t last = i + far + 1 < j.n ? i + far + 1 : j.n;
    float *y = j.y + r * j.n;

    if (j.causal && last > i + 1)
        last = i + 1;
    const struct span s = {j.x + r * j.n + first,
                           j.u != NULL ? j.u + b * j.n + first : NULL,
                           first < last ? last - first : 0};

    if (s.n > 0)
        softmax(y + first, s, j.a);
    for (size_t c = lane_of(); c < j.n; c += LANES) {
        if (c < first || c >= last)
            y[c] = 0;
    }
}

static __device__ inline void norm(const struct krn_cuda_job &j, size_t r)
{
    const float *x = j.x + r * j.n;
    const float mean = dot(x, NULL, j.n) / (float)j.n;
    float sum = 0;

    for (size_t c = lane_of(); c < j.n; c += LANES)
        sum += (x[c] - mean) * (x[c] - mean);
    const float inv = 1 / sqrtf(krn_warp_sum(sum) / (float)j.n + j.a);

    for (size_t c = lane_of(); c < j.n; c += LANES)
        j.y[r * j.n + c] = (x[c] - mean) * inv * j.u[c] + j.v[c];
    if (lane_of() == 0) {
        j.z[2 * r] = mean;
        j.z[2 * r + 1] = inv;
    }
}

static __device__ inline void norm_x(const struct krn_cuda_job &j, size_t r)
{
    const float *dy = j.x + r * j.n, *x = j.u + r * j.n;
    const float mean = j.w[2 * r], inv = j.w[2 * r + 1];
    float sum = 0, along = 0;

    for (size_t c = lane_of(); c < j.n; c += LANES) {
        const float g = dy[c] * j.v[c];

        sum += g;
        along += g * ((x[c] - mean) * inv);
    }
    sum = krn_warp_sum(sum) / (float)j.n;
    along = krn_warp_sum(along) / (float)j.n;
    for (size_t c = lane_of(); c < j.n; c += LANES)
        put(j, j.y + r * j.n + c,
            inv * (dy[c] * j.v[c] - sum - (x[c] - mean) * inv * along));
}

static __device__ inline void log_softmax(const struct krn_cuda_job &j,
                                          size_t r)
{
    const struct span s = {j.x + r * j.n, NULL, j.n};
    const float top = top_of(s, 1);
    const float log_sum = top + log_of(exps_of(s, 1, top));

    for (size_t c = lane_of(); c < j.n; c += LANES)
        j.y[r * j.n + c] = s.x[c] - log_sum;
}

static __device__ inline void ce(const struct krn_cuda_job &j, size_t r)
{
    const struct span s = {j.x + r * j.n, NULL, j.n};
    const uint32_t label = j.ids != NULL ? j.ids[r] : 0;

    if (label == NOTHING) {
        if (lane_of() == 0)
            j.y[r] = 0;
        return;
    }
    const float top = top_of(s, 1), sum = exps_of(s, 1, top);

    for (size_t c = lane_of(); c < j.n; c += LANES)
        j.z[r * j.n + c] = krn_exp1(s.x[c] - top) * (1 / sum);
    if (lane_of() == 0)
        j.y[r] = top - s.x[label] + log_of(sum);
}

static __device__ inline void list(const struct krn_cuda_job &j, size_t r)
{
    const struct span s = {j.x + r * j.n, j.v != NULL ? j.v + r * j.n : NULL,
                           j.n};
    const float *label = j.u + r * j.n;
    float positive = 0, loss = 0, *z = j.z + r * j.n;

    for (size_t c = lane_of(); c < j.n; c += LANES)
        positive += counts(s, c) ? label[c] : 0;
    positive = krn_warp_sum(positive);
    if (!(positive > 0)) { /* the same to all lanes */
        for (size_t c = lane_of(); c < j.n; c += LANES)
            z[c] = 0;
        if (lane_of() == 0)
            j.y[r] = 0;
        return;
    }
    const float top = top_of(s, 1), sum = exps_of(s, 1, top);
    const float log_sum = top + log_of(sum);

    for (size_t c = lane_of(); c < j.n; c += LANES) {
        const float t = counts(s, c) ? label[c] / positive : 0;

        loss += counts(s, c) ? t * (log_sum - s.x[c]) : 0;
        z[c] = (counts(s, c) ? krn_exp1(s.x[c] - top) * (1 / sum) : 0) - t;
    }
    loss = krn_warp_sum(loss);
    if (lane_of() == 0)
        j.y[r] = loss;
}

static __global__ void __launch_bounds__(WARPS *LANES)
    row_kernel(struct krn_cuda_job j)
{
    const size_t r = (size_t)blockIdx.x * WARPS + threadIdx.x / LANES;

    if (r >= j.rows)
        return;
    const float *x = j.x + r * j.n, *u = j.u != NULL ? j.u + r * j.n : NULL;
    float by;

    switch (j.work) {
    case KRN_JOB_SOFTMAX:
        softmax(j.y + r * j.n, {x, u, j.n}, 1);
        break;
    case KRN_JOB_SOFTMAX_GRAD:
        by = dot(x, u, j.n);
        for (size_t c = lane_of(); c < j.n; c += LANES)
            put(j, j.y + r * j.n + c, u[c] * (x[c] - by) * j.a);
        break;
    case KRN_JOB_LOG_SOFTMAX:
        log_softmax(j, r);
        break;
    case KRN_JOB_LOG_SOFTMAX_GRAD:
        by = dot(x, NULL, j.n);
        for (size_t c = lane_of(); c < j.n; c += LANES)
            put(j, j.y + r * j.n + c, x[c] - krn_exp1(u[c]) * by);
        break;
    case KRN_JOB_NORM:
        norm(j, r);
        break;
    case KRN_JOB_NORM_X:
        norm_x(j, r);
        break;
    case KRN_JOB_CE:
        ce(j, r);
        break;
    case KRN_JOB_LIST:
        list(j, r);
        break;
    default:
        attend(j, r);
        break;
    }
}

/* 32 columns; WARPS rows at once, whose sums are added in order. */
static __global__ void __launch_bounds__(WARPS *LANES)
    column_kernel(struct krn_cuda_job j)
{
    __shared__ float part[WARPS][LANES];
    const size_t c = (size_t)blockIdx.x * LANES + lane_of();
    const unsigned warp = threadIdx.x / LANES;
    float sum = 0;

    for (size_t r = warp; r < j.rows && c < j.n; r += WARPS) {
        const float x = j.x[r * j.ldx + c];

        sum += j.work == KRN_JOB_COLUMNS
                   ? x
                   : x * ((j.u[r * j.n + c] - j.w[2 * r]) * j.w[2 * r + 1]);
    }
    part[warp][lane_of()] = sum;
    __syncthreads();
    if (warp > 0 || c >= j.n)
        return;
    for (unsigned w = 1; w < WARPS; w++)
        sum += part[w][lane_of()];
    put(j, j.y + c, sum);
}

#define SUM_THREADS 1024

static __global__ void __launch_bounds__(SUM_THREADS)
    sum_kernel(struct krn_cuda_job j)
{
    __shared__ float room[33];
    const float *u = j.work == KRN_JOB_SQUARE ? j.x : j.u;
    float sum = 0, weight = 0;

    for (size_t i = threadIdx.x; i < j.rows * j.n; i += SUM_THREADS) {
        sum += j.x[i] * (u != NULL ? u[i] : 1);
        weight += u != NULL ? u[i] : 1;
    }
    sum = krn_block_sum(sum, room);
    weight = krn_block_sum(weight, room);
    if (threadIdx.x > 0)
        return;
    if (j.work == KRN_JOB_SQUARE) {
        j.y[0] = sum;
        return;
    }
    j.z[0] = j.add ? 1 : weight == 0 ? 0 : 1 / weight;
    j.y[0] = sum * j.z[0];
}

int krn_cuda_job_run(const struct krn_cuda_job *j, char *why)
{
    if (j->work < KRN_JOB_SOFTMAX)
        return krn_cuda_each_run(j, why);
    if (j->work >= KRN_JOB_SUM)
        KRN_LAUNCH(sum_kernel, 1, SUM_THREADS, 0, *j);
    else if (j->n == 0 || (j->rows == 0 && j->work < KRN_JOB_COLUMNS))
        return 0;
    else if (j->work >= KRN_JOB_COLUMNS)
        KRN_LAUNCH(column_kernel, krn_cuda_blocks(j->n, LANES), WARPS * LANES,
                   0, *j);
    else
        KRN_LAUNCH(row_kernel, krn_cuda_blocks(j->rows, WARPS), WARPS * LANES,
                   0, *j);
    return KRN_CUDA_LAUNCHED("rows of a tensor", why);
}
