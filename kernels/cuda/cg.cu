/*
 * kernels/cuda/cg.cu - rows of implicit ALS by conjugate gradients, a block of
 * four warps for each.  Every warp holds the vectors whole, N numbers a lane,
 * and takes every fourth group of entries; sums of the warps are added in
 * their order.  The steps are those of kernels/als.c.
 */
#include "kernels/cuda/parts.cuh"

#define WARPS 4
#define AHEAD 4 /* entries asked for at once */
#define LEAST 1e-30f

template <int N> struct row {
    const struct krn_cuda_als *s;
    uint64_t from, n;
    float *part; /* [WARPS][2][32 N] */
};

template <int N>
static __device__ inline float dot(const float *a, const float *b)
{
    float sum = 0;

    KRN_UNROLL
    for (int i = 0; i < N; i++)
        sum = fmaf(a[i], b[i], sum);
    return krn_warp_sum(sum);
}

/* to[i] and more[i] become the sums of all warps'. */
template <int N>
static __device__ inline void add_warps(const struct row<N> &r, float *to,
                                        float *more)
{
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;

    KRN_UNROLL
    for (int i = 0; i < N; i++) {
        r.part[(warp * 2 * N + i) * 32 + lane] = to[i];
        if (more != NULL)
            r.part[(warp * 2 * N + N + i) * 32 + lane] = more[i];
    }
    __syncthreads();
    KRN_UNROLL
    for (int i = 0; i < N; i++) {
        to[i] = r.part[i * 32 + lane];
        for (unsigned w = 1; w < WARPS; w++)
            to[i] += r.part[(w * 2 * N + i) * 32 + lane];
        if (more == NULL)
            continue;
        more[i] = r.part[(N + i) * 32 + lane];
        for (unsigned w = 1; w < WARPS; w++)
            more[i] += r.part[(w * 2 * N + N + i) * 32 + lane];
    }
    __syncthreads();
}

/*
 * start: sum += (1 + c - c <x, v>) x and more += c x^2, else sum += c <x, v> x,
 * over all entries.
 */
template <int N, bool START>
static __device__ inline void pass(const struct row<N> &r, const float *v,
                                   float *sum, float *more)
{
    const struct krn_cuda_als &s = *r.s;
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;

    for (uint64_t e = warp * AHEAD; e < r.n; e += WARPS * AHEAD) {
        float x[AHEAD][N], c[AHEAD];

        KRN_UNROLL
        for (int q = 0; q < AHEAD; q++) {
            const bool is = e + q < r.n;
            const uint64_t at = r.from + (is ? e + q : 0);
            const float *from = s.dev_fixed + s.dev_idx[at] * s.d;

            c[q] = !is                   ? 0
                   : s.dev_value != NULL ? s.alpha * s.dev_value[at]
                                         : s.alpha;
            KRN_UNROLL
            for (int i = 0; i < N; i++)
                x[q][i] = is && lane + 32 * i < s.d ? from[lane + 32 * i] : 0;
        }
        KRN_UNROLL
        for (int q = 0; q < AHEAD; q++) {
            const float along = dot<N>(x[q], v);
            const float t = START ? fmaf(-c[q], along, 1 + c[q]) : c[q] * along;

            KRN_UNROLL
            for (int i = 0; i < N; i++) {
                sum[i] = fmaf(t, x[q][i], sum[i]);
                if (START)
                    more[i] = fmaf(c[q] * x[q][i], x[q][i], more[i]);
            }
        }
    }
    add_warps<N>(r, sum, START ? more : NULL);
}

template <int N>
static __device__ inline void solve(const struct row<N> &row, const float *diag,
                                    float *w)
{
    float r[N] = {}, m[N] = {}, p[N], q[N], z[N];

    pass<N, true>(row, w, r, m);
    KRN_UNROLL
    for (int i = 0; i < N; i++) {
        r[i] -= diag[i] * w[i];
        m[i] = 1 / (m[i] + diag[i]);
        p[i] = z[i] = m[i] * r[i];
    }
    float rz = dot<N>(r, z);

    for (size_t step = 0; step < row.s->steps && rz > LEAST; step++) {
        KRN_UNROLL
        for (int i = 0; i < N; i++)
            q[i] = 0;
        pass<N, false>(row, p, q, NULL);
        KRN_UNROLL
        for (int i = 0; i < N; i++)
            q[i] = fmaf(diag[i], p[i], q[i]);
        const float a = rz / dot<N>(p, q);

        KRN_UNROLL
        for (int i = 0; i < N; i++) {
            w[i] = fmaf(a, p[i], w[i]);
            r[i] = fmaf(-a, q[i], r[i]);
            z[i] = m[i] * r[i];
        }
        const float next = dot<N>(r, z), b = next / rz;

        KRN_UNROLL
        for (int i = 0; i < N; i++)
            p[i] = fmaf(b, p[i], z[i]);
        rz = next;
    }
}

template <int N>
static __global__ void __launch_bounds__(WARPS * 32)
    cg_kernel(struct krn_cuda_als s)
{
    __shared__ float part[WARPS * 2 * N * 32];
    const unsigned lane = threadIdx.x % 32;
    const uint64_t from = s.dev_ptr[blockIdx.x];
    const uint64_t n = s.dev_ptr[blockIdx.x + 1] - from;
    const struct row<N> row = {
        &s, from, n, part
    };
    const float reg = s.reg * powf((float)n + s.base, s.exponent);
    float *out = s.dev_x + (size_t)blockIdx.x * s.d;
    float w[N], diag[N];

    KRN_UNROLL
    for (int i = 0; i < N; i++) {
        const unsigned k = lane + 32 * i;

        w[i] = k < s.d && n > 0 ? out[k] : 0;
        diag[i] = k < s.d ? s.dev_gram[k] + reg : 1;
    }
    if (n > 0) /* the same to all threads */
        solve<N>(row, diag, w);
    if (threadIdx.x >= 32)
        return;
    KRN_UNROLL
    for (int i = 0; i < N; i++) {
        if (lane + 32 * i < s.d)
            out[lane + 32 * i] = w[i];
    }
}

int krn_cuda_cg_run(const struct krn_cuda_als *a, char *why)
{
    const unsigned rows = (unsigned)a->rows;

    if (a->d > KRN_CUDA_CG)
        return krn_cuda_say(why, "ALS", "at most 512 factors");
    if (a->d <= 32)
        KRN_LAUNCH(cg_kernel<1>, rows, WARPS * 32, 0, *a);
    else if (a->d <= 64)
        KRN_LAUNCH(cg_kernel<2>, rows, WARPS * 32, 0, *a);
    else if (a->d <= 128)
        KRN_LAUNCH(cg_kernel<4>, rows, WARPS * 32, 0, *a);
    else if (a->d <= 256)
        KRN_LAUNCH(cg_kernel<8>, rows, WARPS * 32, 0, *a);
    else
        KRN_LAUNCH(cg_kernel<16>, rows, WARPS * 32, 0, *a);
    return KRN_CUDA_LAUNCHED("conjugate gradients", why);
}
