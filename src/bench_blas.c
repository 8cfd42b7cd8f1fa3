/* src/bench_blas.c - OpenBLAS, opened at run time, as an anchor. */
#include <dlfcn.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "src/bench.h"

/* cblas.h's numbers */
enum { ROW_MAJOR = 101, PLAIN = 111, TURNED = 112 };

static struct {
    void (*sgemm)(int order, int ta, int tb, int m, int n, int k, float alpha,
                  const float *a, int lda, const float *b, int ldb, float beta,
                  float *c, int ldc);
    void (*spotrf)(const char *uplo, const int *n, float *a, const int *lda,
                   int *info);
    void (*spotrs)(const char *uplo, const int *n, const int *nrhs,
                   const float *a, const int *lda, float *b, const int *ldb,
                   int *info);
    void (*threads)(int n);
} blas;

static void *symbol(void *library, const char *name)
{
    return library != NULL ? dlsym(library, name) : NULL;
}

bool cmd_bench_blas_open(void)
{
    void *l;

    if (blas.sgemm != NULL)
        return true;
    /* Debian's 0.3.21 takes a processor that it does not know for Haswell */
    if (cpu_ops_of(KRN_AVX512) != NULL)
        (void)setenv("OPENBLAS_CORETYPE", "SkylakeX", 1);
    l = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    *(void **)&blas.spotrf = symbol(l, "spotrf_");
    *(void **)&blas.spotrs = symbol(l, "spotrs_");
    *(void **)&blas.threads = symbol(l, "openblas_set_num_threads");
    if (blas.spotrf != NULL && blas.spotrs != NULL && blas.threads != NULL)
        *(void **)&blas.sgemm = symbol(l, "cblas_sgemm");
    return blas.sgemm != NULL;
}

void cmd_bench_blas_threads(size_t n)
{
    if (blas.threads != NULL)
        blas.threads((int)n);
}

void cmd_bench_blas_gemm(const struct krn_gemm *g)
{
    blas.sgemm(ROW_MAJOR, g->ta ? TURNED : PLAIN, g->tb ? TURNED : PLAIN,
               (int)g->m, (int)g->n, (int)g->k, 1.0f, g->a, (int)g->lda, g->b,
               (int)g->ldb, 0.0f, g->c, (int)g->ldc);
}

void cmd_bench_blas_solve(float *a, float *b, size_t d)
{
    const int n = (int)d, one = 1;
    int info;

    blas.spotrf("U", &n, a, &n, &info); /* columns: our lower triangle */
    blas.spotrs("U", &n, &one, a, &n, b, &n, &info);
}
