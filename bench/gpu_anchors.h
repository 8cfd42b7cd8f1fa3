/*
 * bench/gpu_anchors.h - what the kernels are measured against: the CUDA
 * Toolkit's own libraries, in a module that tests/gpu_times opens.  Nothing
 * else uses it.
 */
#ifndef BENCH_GPU_ANCHORS_H
#define BENCH_GPU_ANCHORS_H

#include <stddef.h>
#include <stdint.h>

#define GPU_ANCHORS_SYMBOL "gpu_anchors"

/* c[m][n] = a[m][k] b[k][n], bf16 in, float sums; c is float or, when half,
 * bf16.  cuBLASLt, with a workspace of 64 MB. */
struct gpu_anchor_gemm {
    size_t m, n, k;
    int half;
    const uint16_t *dev_a, *dev_b;
    void *dev_c;
    void *dev_workspace;
};

/* y[rows][d] = A x, 32-bit ptr.  cuSPARSE, algorithm 2 or 3 of CSR. */
struct gpu_anchor_spmm {
    size_t rows, cols, entries, d;
    int algorithm;
    const uint32_t *dev_ptr, *dev_idx;
    const float *dev_val, *dev_x;
    float *dev_y;
    void *plan; /* of the library; begins as NULL */
};

/* n systems of a (spoilt) and b: cuSOLVER's potrfBatched and potrsBatched. */
struct gpu_anchor_chol {
    size_t n, d;
    float **dev_a, **dev_b; /* [n] pointers, on the device */
    int *dev_info;          /* [n] */
};

#define GPU_ANCHOR_WORKSPACE ((size_t)64 << 20)

struct gpu_anchors {
    int (*gemm)(const struct gpu_anchor_gemm *g, char *why);
    int (*spmm)(struct gpu_anchor_spmm *s, char *why);
    int (*chol)(const struct gpu_anchor_chol *c, char *why);
};
typedef const struct gpu_anchors *(*gpu_anchors_fn)(void);

#endif
