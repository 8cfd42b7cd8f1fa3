/* bench/gpu_anchors.cu - cuBLASLt, cuSPARSE and cuSOLVER, on the stream of the
 * calling thread. */
#include <cstdio>

#include <cublasLt.h>
#include <cuda_runtime.h>
#include <cusolverDn.h>
#include <cusparse.h>

#include "bench/gpu_anchors.h"

#define WHY 300

static int check(int bad, const char *what, char *why)
{
    if (bad != 0)
        snprintf(why, WHY, "%s: status %d", what, bad);
    return bad != 0;
}

/* --- dense -------------------------------------------------------------------
 */

struct plan {
    cublasLtMatmulDesc_t how;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulHeuristicResult_t best;
    size_t m, n, k;
    int half;
};

static cublasLtHandle_t lt;

static int make_plan(struct plan *p, const struct gpu_anchor_gemm *g, char *why)
{
    const size_t workspace = GPU_ANCHOR_WORKSPACE;
    cublasLtMatmulPreference_t wish;
    int found = 0;

    *p = {};
    if ((lt == NULL && check(cublasLtCreate(&lt), "cuBLASLt", why)) ||
        check(cublasLtMatmulDescCreate(&p->how, CUBLAS_COMPUTE_32F, CUDA_R_32F),
              "cuBLASLt", why) ||
        check(cublasLtMatrixLayoutCreate(&p->a, CUDA_R_16BF, g->n, g->k,
                                         (int64_t)g->n),
              "cuBLASLt", why) ||
        check(cublasLtMatrixLayoutCreate(&p->b, CUDA_R_16BF, g->k, g->m,
                                         (int64_t)g->k),
              "cuBLASLt", why) ||
        check(cublasLtMatrixLayoutCreate(&p->c,
                                         g->half ? CUDA_R_16BF : CUDA_R_32F,
                                         g->n, g->m, (int64_t)g->n),
              "cuBLASLt", why) ||
        check(cublasLtMatmulPreferenceCreate(&wish), "cuBLASLt", why) ||
        check(cublasLtMatmulPreferenceSetAttribute(
                  wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                  sizeof(workspace)),
              "cuBLASLt", why) ||
        check(cublasLtMatmulAlgoGetHeuristic(lt, p->how, p->a, p->b, p->c, p->c,
                                             wish, 1, &p->best, &found),
              "cuBLASLt", why))
        return 1;
    p->m = g->m;
    p->n = g->n;
    p->k = g->k;
    p->half = g->half;
    return check(found == 0, "cuBLASLt: no algorithm", why);
}

static int gemm(const struct gpu_anchor_gemm *g, char *why)
{
    static struct plan p;
    const float one = 1, none = 0;

    if ((p.m != g->m || p.n != g->n || p.k != g->k || p.half != g->half) &&
        make_plan(&p, g, why))
        return 1;
    return check(cublasLtMatmul(lt, p.how, &one, g->dev_b, p.a, g->dev_a, p.b,
                                &none, g->dev_c, p.c, g->dev_c, p.c,
                                &p.best.algo, g->dev_workspace,
                                GPU_ANCHOR_WORKSPACE, cudaStreamPerThread),
                 "cuBLASLt", why);
}

/* --- sparse ------------------------------------------------------------------
 */

struct sparse {
    cusparseSpMatDescr_t a;
    cusparseDnMatDescr_t x, y;
    void *room;
};

static cusparseHandle_t sparse;

static cusparseSpMMAlg_t algorithm_of(const struct gpu_anchor_spmm *s)
{
    return s->algorithm == 2 ? CUSPARSE_SPMM_CSR_ALG2 : CUSPARSE_SPMM_CSR_ALG3;
}

static int prepare(struct gpu_anchor_spmm *s, struct sparse *p, char *why)
{
    const float one = 1, none = 0;
    size_t bytes = 0;

    return (sparse == NULL &&
            (check(cusparseCreate(&sparse), "cuSPARSE", why) ||
             check(cusparseSetStream(sparse, cudaStreamPerThread), "cuSPARSE",
                   why))) ||
           check(cusparseCreateCsr(&p->a, (int64_t)s->rows, (int64_t)s->cols,
                                   (int64_t)s->entries, (void *)s->dev_ptr,
                                   (void *)s->dev_idx, (void *)s->dev_val,
                                   CUSPARSE_INDEX_32I, CUSPARSE_INDEX_32I,
                                   CUSPARSE_INDEX_BASE_ZERO, CUDA_R_32F),
                 "cuSPARSE", why) ||
           check(cusparseCreateDnMat(&p->x, (int64_t)s->cols, (int64_t)s->d,
                                     (int64_t)s->d, (void *)s->dev_x,
                                     CUDA_R_32F, CUSPARSE_ORDER_ROW),
                 "cuSPARSE", why) ||
           check(cusparseCreateDnMat(&p->y, (int64_t)s->rows, (int64_t)s->d,
                                     (int64_t)s->d, s->dev_y, CUDA_R_32F,
                                     CUSPARSE_ORDER_ROW),
                 "cuSPARSE", why) ||
           check(cusparseSpMM_bufferSize(
                     sparse, CUSPARSE_OPERATION_NON_TRANSPOSE,
                     CUSPARSE_OPERATION_NON_TRANSPOSE, &one, p->a, p->x, &none,
                     p->y, CUDA_R_32F, algorithm_of(s), &bytes),
                 "cuSPARSE", why) ||
           check(cudaMalloc(&p->room, bytes + 1), "cuSPARSE's room", why) ||
           check(cusparseSpMM_preprocess(
                     sparse, CUSPARSE_OPERATION_NON_TRANSPOSE,
                     CUSPARSE_OPERATION_NON_TRANSPOSE, &one, p->a, p->x, &none,
                     p->y, CUDA_R_32F, algorithm_of(s), p->room),
                 "cuSPARSE", why);
}

static int spmm(struct gpu_anchor_spmm *s, char *why)
{
    const float one = 1, none = 0;
    struct sparse *p = (struct sparse *)s->plan;

    if (p == NULL) {
        s->plan = p = new struct sparse();
        if (prepare(s, p, why))
            return 1;
    }
    return check(cusparseSpMM(sparse, CUSPARSE_OPERATION_NON_TRANSPOSE,
                              CUSPARSE_OPERATION_NON_TRANSPOSE, &one, p->a,
                              p->x, &none, p->y, CUDA_R_32F, algorithm_of(s),
                              p->room),
                 "cuSPARSE", why);
}

/* --- systems -----------------------------------------------------------------
 */

static cusolverDnHandle_t solver;

static int chol(const struct gpu_anchor_chol *c, char *why)
{
    const int d = (int)c->d, n = (int)c->n;

    return (solver == NULL &&
            (check(cusolverDnCreate(&solver), "cuSOLVER", why) ||
             check(cusolverDnSetStream(solver, cudaStreamPerThread), "cuSOLVER",
                   why))) ||
           check(cusolverDnSpotrfBatched(solver, CUBLAS_FILL_MODE_LOWER, d,
                                         c->dev_a, d, c->dev_info, n),
                 "cuSOLVER potrfBatched", why) ||
           check(cusolverDnSpotrsBatched(solver, CUBLAS_FILL_MODE_LOWER, d, 1,
                                         c->dev_a, d, c->dev_b, d, c->dev_info,
                                         n),
                 "cuSOLVER potrsBatched", why);
}

extern "C" const struct gpu_anchors *gpu_anchors(void);
extern "C" const struct gpu_anchors *gpu_anchors(void)
{
    static const struct gpu_anchors table = {gemm, spmm, chol};

    return &table;
}
