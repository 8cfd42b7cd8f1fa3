/* kernels/cuda/plain.cu - kernels of one number a thread: sparse products,
 * gather, sorted scatter, Adam, Philox; and cuBLASLt for the dense product. */
#include <cublasLt.h>

#include "kernels/cuda/parts.cuh"

#define THREADS 256

static unsigned blocks_of(size_t n)
{
    return (unsigned)((n + THREADS - 1) / THREADS);
}

/* Neighbouring threads have neighbouring columns: loads of a row of x are
 * contiguous. */
static __global__ void spmm_kernel(struct krn_cuda_spmm s)
{
    const size_t at = (size_t)blockIdx.x * THREADS + threadIdx.x;

    if (at < s.rows * s.d)
        s.dev_y[at] = krn_lane_spmm(s.dev_ptr, s.dev_idx, s.dev_val, s.dev_x,
                                    s.d, at / s.d, at % s.d);
}

int krn_cuda_spmm_run(const struct krn_cuda_spmm *s, char *why)
{
    if (s->rows * s->d == 0)
        return 0;
    spmm_kernel<<<blocks_of(s->rows * s->d), THREADS>>>(*s);
    return KRN_CUDA_LAUNCHED("sparse product", why);
}

static __global__ void gather_kernel(struct krn_cuda_gather g)
{
    const size_t at = (size_t)blockIdx.x * THREADS + threadIdx.x;

    if (at < g.rows * g.d)
        g.dev_out[at] = g.dev_x[g.dev_idx[at / g.d] * g.d + at % g.d];
}

int krn_cuda_gather_run(const struct krn_cuda_gather *g, char *why)
{
    if (g->rows * g->d == 0)
        return 0;
    gather_kernel<<<blocks_of(g->rows * g->d), THREADS>>>(*g);
    return KRN_CUDA_LAUNCHED("gather", why);
}

static __global__ void scatter_kernel(size_t n_out, size_t d,
                                      const uint32_t *start,
                                      const uint32_t *row, const float *g,
                                      float *out)
{
    const size_t at = (size_t)blockIdx.x * THREADS + threadIdx.x;

    if (at < n_out * d) {
        float *to = out + row[at / d] * d + at % d;

        *to = krn_lane_segment(start, g, d, at / d, at % d, *to);
    }
}

int krn_cuda_scatter_run(size_t n_out, size_t d, const uint32_t *dev_start,
                         const uint32_t *dev_row, const float *dev_g,
                         float *dev_out, char *why)
{
    if (n_out * d == 0)
        return 0;
    scatter_kernel<<<blocks_of(n_out * d), THREADS>>>(n_out, d, dev_start,
                                                      dev_row, dev_g, dev_out);
    return KRN_CUDA_LAUNCHED("sorted scatter", why);
}

static __global__ void adam_kernel(struct krn_cuda_adam a)
{
    const size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;

    if (i >= a.n)
        return;
    const float g = a.dev_g[i];
    const float m = a.beta1 * a.dev_m[i] + (1 - a.beta1) * g;
    const float v = a.beta2 * a.dev_v[i] + (1 - a.beta2) * g * g;

    a.dev_m[i] = m;
    a.dev_v[i] = v;
    a.dev_p[i] -= a.lr * (m * a.unbias1 / (sqrtf(v * a.unbias2) + a.eps) +
                          a.decay * a.dev_p[i]);
}

int krn_cuda_adam_run(const struct krn_cuda_adam *a, char *why)
{
    if (a->n == 0)
        return 0;
    adam_kernel<<<blocks_of(a->n), THREADS>>>(*a);
    return KRN_CUDA_LAUNCHED("Adam", why);
}

static __global__ void philox_kernel(uint32_t *out, size_t n, uint64_t key,
                                     uint64_t first)
{
    const size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;

    if (i >= n)
        return;
    const uint64_t at = first + i;
    const struct krn_u32x4 c = {{(uint32_t)at, (uint32_t)(at >> 32), 0, 0}};
    const struct krn_u32x4 r = krn_philox(key, c);

    for (int w = 0; w < 4; w++)
        out[4 * i + w] = r.v[w];
}

int krn_cuda_philox_run(uint32_t *dev_out, size_t n, uint64_t key,
                        uint64_t first, char *why)
{
    if (n == 0)
        return 0;
    philox_kernel<<<blocks_of(n), THREADS>>>(dev_out, n, key, first);
    return KRN_CUDA_LAUNCHED("Philox", why);
}

/* --- the dense product: cuBLASLt is column-major, so that C^T = op(B)^T A^T -- */

static int lt_check(cublasStatus_t s, const char *what, char *why)
{
    return s == CUBLAS_STATUS_SUCCESS
               ? 0
               : krn_cuda_say(why, what, cublasLtGetStatusString(s));
}

/* One for the process: making it takes longer than most products. */
static cublasLtHandle_t lt_handle;

struct lt {
    cublasLtMatmulDesc_t how;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulPreference_t wish;
};

static int lt_open(struct lt *l, const struct krn_cuda_gemm *g, char *why)
{
    const cublasOperation_t op = g->turned ? CUBLAS_OP_T : CUBLAS_OP_N;
    const size_t no_workspace = 0; /* no split of k: the same bits each run */
    const uint64_t b_rows = g->turned ? g->k : g->n;
    const uint64_t b_cols = g->turned ? g->n : g->k;

    if (lt_handle == NULL &&
        lt_check(cublasLtCreate(&lt_handle), "starting cuBLASLt", why))
        return 1;
    return lt_check(cublasLtMatmulDescCreate(&l->how, CUBLAS_COMPUTE_32F,
                                             CUDA_R_32F),
                    "describing a product", why) ||
           lt_check(cublasLtMatmulDescSetAttribute(
                        l->how, CUBLASLT_MATMUL_DESC_TRANSA, &op, sizeof(op)),
                    "describing a product", why) ||
           lt_check(cublasLtMatrixLayoutCreate(&l->a, CUDA_R_32F, b_rows,
                                               b_cols, (int64_t)b_rows),
                    "describing a matrix", why) ||
           lt_check(cublasLtMatrixLayoutCreate(&l->b, CUDA_R_32F, g->k, g->m,
                                               (int64_t)g->k),
                    "describing a matrix", why) ||
           lt_check(cublasLtMatrixLayoutCreate(&l->c, CUDA_R_32F, g->n, g->m,
                                               (int64_t)g->n),
                    "describing a matrix", why) ||
           lt_check(cublasLtMatmulPreferenceCreate(&l->wish),
                    "choosing an algorithm", why) ||
           lt_check(cublasLtMatmulPreferenceSetAttribute(
                        l->wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                        &no_workspace, sizeof(no_workspace)),
                    "choosing an algorithm", why);
}

static void lt_close(struct lt *l)
{
    if (l->wish != NULL)
        cublasLtMatmulPreferenceDestroy(l->wish);
    if (l->c != NULL)
        cublasLtMatrixLayoutDestroy(l->c);
    if (l->b != NULL)
        cublasLtMatrixLayoutDestroy(l->b);
    if (l->a != NULL)
        cublasLtMatrixLayoutDestroy(l->a);
    if (l->how != NULL)
        cublasLtMatmulDescDestroy(l->how);
}

static int lt_run(const struct lt *l, const struct krn_cuda_gemm *g, char *why)
{
    const float one = 1, none = 0;
    cublasLtMatmulHeuristicResult_t best = {};
    int found = 0;

    if (lt_check(cublasLtMatmulAlgoGetHeuristic(lt_handle, l->how, l->a, l->b,
                                                l->c, l->c, l->wish, 1, &best,
                                                &found),
                 "choosing an algorithm", why))
        return 1;
    if (found == 0)
        return krn_cuda_say(why, "dense product", "no algorithm fits");
    return lt_check(cublasLtMatmul(lt_handle, l->how, &one, g->dev_b, l->a,
                                   g->dev_a, l->b, &none, g->dev_c, l->c,
                                   g->dev_c, l->c, &best.algo, NULL, 0, 0),
                    "dense product", why);
}

int krn_cuda_gemm_run(const struct krn_cuda_gemm *g, char *why)
{
    struct lt l = {};

    if (g->m == 0 || g->n == 0)
        return 0;
    const int bad = lt_open(&l, g, why) || lt_run(&l, g, why);

    lt_close(&l);
    return bad;
}
