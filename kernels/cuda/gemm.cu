/* kernels/cuda/gemm.cu - dense products by cuBLASLt, which is column-major: C^T
 * = op(B)^T op(A)^T. */
#include <array>
#include <map>
#include <mutex>

#include <cublasLt.h>

#include "kernels/cuda/parts.cuh"

static int lt_check(cublasStatus_t s, const char *what, char *why)
{
    return s == CUBLAS_STATUS_SUCCESS
               ? 0
               : krn_cuda_say(why, what, cublasLtGetStatusString(s));
}

/* One for the process: making it takes longer than most products. */
static cublasLtHandle_t lt_handle;

/* A product's description and its algorithm, which is kept: the same for the
 * same shape, and no search the second time. */
struct lt {
    cublasLtMatmulDesc_t how;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulAlgo_t algo;
};

static int lt_matrix(cublasLtMatrixLayout_t *m, uint64_t rows, uint64_t cols,
                     size_t batch, char *why)
{
    const int32_t n = (int32_t)batch;
    const int64_t stride = (int64_t)(rows * cols);

    return lt_check(cublasLtMatrixLayoutCreate(m, CUDA_R_32F, rows, cols,
                                               (int64_t)rows),
                    "describing a matrix", why) ||
           lt_check(cublasLtMatrixLayoutSetAttribute(
                        *m, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &n, sizeof(n)),
                    "describing a matrix", why) ||
           lt_check(cublasLtMatrixLayoutSetAttribute(
                        *m, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                        &stride, sizeof(stride)),
                    "describing a matrix", why);
}

/* Bytes that the addresses of a product's matrices are multiples of, at most
 * 256, which is what the library takes for granted otherwise. */
static uint32_t lt_aligned(const struct krn_cuda_gemm *g)
{
    const uintptr_t bits =
        (uintptr_t)g->dev_a | (uintptr_t)g->dev_b | (uintptr_t)g->dev_c | 256;

    return (uint32_t)(bits & (~bits + 1));
}

static int lt_wish(cublasLtMatmulPreference_t wish, uint32_t aligned, char *why)
{
    static const cublasLtMatmulPreferenceAttributes_t side[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    const size_t no_workspace = 0; /* no split of k: the same bits each run */

    for (int i = 0; i < 4; i++) {
        if (lt_check(cublasLtMatmulPreferenceSetAttribute(
                         wish, side[i], &aligned, sizeof(aligned)),
                     "choosing an algorithm", why))
            return 1;
    }
    return lt_check(cublasLtMatmulPreferenceSetAttribute(
                        wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                        &no_workspace, sizeof(no_workspace)),
                    "choosing an algorithm", why);
}

static int lt_choose(struct lt *l, uint32_t aligned, char *why)
{
    cublasLtMatmulPreference_t wish;
    cublasLtMatmulHeuristicResult_t best = {};
    int found = 0;

    if (lt_check(cublasLtMatmulPreferenceCreate(&wish), "choosing an algorithm",
                 why))
        return 1;
    const int bad = lt_wish(wish, aligned, why) ||
                    lt_check(cublasLtMatmulAlgoGetHeuristic(
                                 lt_handle, l->how, l->a, l->b, l->c, l->c,
                                 wish, 1, &best, &found),
                             "choosing an algorithm", why);

    cublasLtMatmulPreferenceDestroy(wish);
    if (!bad && found == 0)
        return krn_cuda_say(why, "dense product", "no algorithm fits");
    l->algo = best.algo;
    return bad;
}

static int lt_open(struct lt *l, const struct krn_cuda_gemm *g, char *why)
{
    const cublasOperation_t left = g->turned ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasOperation_t right = g->a_turned ? CUBLAS_OP_T : CUBLAS_OP_N;
    const size_t batch = g->batch > 0 ? g->batch : 1;

    if (lt_handle == NULL &&
        lt_check(cublasLtCreate(&lt_handle), "starting cuBLASLt", why))
        return 1;
    return lt_check(cublasLtMatmulDescCreate(&l->how, CUBLAS_COMPUTE_32F,
                                             CUDA_R_32F),
                    "describing a product", why) ||
           lt_check(cublasLtMatmulDescSetAttribute(l->how,
                                                   CUBLASLT_MATMUL_DESC_TRANSA,
                                                   &left, sizeof(left)),
                    "describing a product", why) ||
           lt_check(cublasLtMatmulDescSetAttribute(l->how,
                                                   CUBLASLT_MATMUL_DESC_TRANSB,
                                                   &right, sizeof(right)),
                    "describing a product", why) ||
           lt_matrix(&l->a, g->turned ? g->k : g->n, g->turned ? g->n : g->k,
                     batch, why) ||
           lt_matrix(&l->b, g->a_turned ? g->m : g->k,
                     g->a_turned ? g->k : g->m, batch, why) ||
           lt_matrix(&l->c, g->n, g->m, batch, why) ||
           lt_choose(l, lt_aligned(g), why);
}

static int lt_run(const struct lt *l, const struct krn_cuda_gemm *g, char *why)
{
    const float one = 1, beta = g->add ? 1 : 0;

    return lt_check(cublasLtMatmul(lt_handle, l->how, &one, g->dev_b, l->a,
                                   g->dev_a, l->b, &beta, g->dev_c, l->c,
                                   g->dev_c, l->c, &l->algo, NULL, 0,
                                   cudaStreamPerThread),
                    "dense product", why);
}

/* That of the product's shape, made at its first use. */
static const struct lt *lt_of(const struct krn_cuda_gemm *g, char *why)
{
    static std::mutex one_at_a_time;
    static std::map<std::array<size_t, 7>, struct lt> known;
    const std::lock_guard<std::mutex> lock(one_at_a_time);
    const std::array<size_t, 7> shape = {g->m,
                                         g->n,
                                         g->k,
                                         g->batch,
                                         (size_t)(g->turned != 0),
                                         (size_t)(g->a_turned != 0),
                                         lt_aligned(g)};
    const auto at = known.find(shape);
    struct lt l = {};

    if (at != known.end())
        return &at->second;
    if (lt_open(&l, g, why))
        return NULL;
    return &known.emplace(shape, l).first->second;
}

int krn_cuda_gemm_run(const struct krn_cuda_gemm *g, char *why)
{
    if (g->m == 0 || g->n == 0)
        return 0;
    if (g->k == 0)
        return g->add ? 0
                      : krn_cuda_check(
                            cudaMemsetAsync(g->dev_c, 0,
                                            (g->batch > 0 ? g->batch : 1) *
                                                g->m * g->n * sizeof(float),
                                            cudaStreamPerThread),
                            "dense product", why);
    const struct lt *l = lt_of(g, why);

    return l == NULL || lt_run(l, g, why);
}
