/*
 * kernels/cuda/module.h - what the CUDA module offers to a program that is not
 * linked to CUDA.
 *
 * The module (recd-cuda.so) is opened at run time (base/device.h) and gives one
 * table of functions.  Pointers called dev_* are on the device.  A function
 * returns 0, or another number and a sentence in why[KRN_CUDA_WHY].
 *
 * Results: sparse products and top-k lists have the bits of the CPU's; dense
 * products and Cholesky are equal from run to run, and to the CPU within a
 * tolerance (kernels/cuda/check.h).  No atomics on floating point anywhere.
 */
#ifndef KRN_CUDA_MODULE_H
#define KRN_CUDA_MODULE_H

#include <stddef.h>
#include <stdint.h>

#define KRN_CUDA_VERSION 1
#define KRN_CUDA_WHY 300
#define KRN_CUDA_TOPK 1024 /* longest list */

struct krn_cuda_info {
    char name[128];
    int major, minor; /* compute capability */
    size_t memory, free_memory;
    int processors; /* SMs */
};

/* y[rows][d] = A x: CSR with u64 ptr and u32 idx; val NULL: all 1. */
struct krn_cuda_spmm {
    size_t rows, d;
    const uint64_t *dev_ptr;
    const uint32_t *dev_idx;
    const float *dev_val, *dev_x;
    float *dev_y;
};

/* c[m][n] = a[m][k] op(b); turned: b is [n][k]. */
struct krn_cuda_gemm {
    size_t m, n, k;
    int turned;
    const float *dev_a, *dev_b;
    float *dev_c;
};

/* The k best of scores vec[people][d] item[items][d]^T, best first, ties to the
 * lower number; items in seen_idx[seen_ptr[p]..] are left out (seen_ptr NULL:
 * none).  id is UINT32_MAX where there are fewer. */
struct krn_cuda_topk {
    size_t people, items, d, k;
    const float *dev_vec, *dev_item;
    const uint64_t *dev_seen_ptr;
    const uint32_t *dev_seen_idx;
    uint32_t *dev_id; /* [people][k] */
    float *dev_score; /* [people][k] */
};

/*
 * For each row r: (gram + alpha sum_e w_e w_e^T + reg_r I) x = (1 + alpha)
 * sum_e w_e over its entries e, w = fixed[idx[e]]: implicit ALS, exactly.
 * reg_r = reg * (entries + base)^exponent.  d <= 128.
 */
struct krn_cuda_als {
    size_t rows, d;
    const uint64_t *dev_ptr;
    const uint32_t *dev_idx;
    const float *dev_fixed, *dev_gram; /* [*][d], [d][d] */
    float alpha, reg, base, exponent;
    float *dev_x; /* [rows][d] */
};

/* Shfl-BW: y[row_id][n] = sum over the vectors of a group (docs/sparse.md);
 * bf16 weights and inputs, float sums.  v is 64 or 128, n a multiple of 8. */
struct krn_cuda_shfl {
    size_t groups, v, n;
    const uint32_t *dev_ptr, *dev_col, *dev_row; /* [groups + 1], [vectors],
                                                    [groups v] */
    const uint16_t *dev_val, *dev_x; /* [vectors][v], [columns][n] bf16 */
    float *dev_y;                    /* [rows][n] */
};

struct krn_cuda_adam {
    size_t n;
    float *dev_p, *dev_m, *dev_v;
    const float *dev_g;
    float lr, beta1, beta2, eps, decay, unbias1, unbias2;
};

/* out[rows][d] = x[idx[row]] */
struct krn_cuda_gather {
    size_t rows, d;
    const uint32_t *dev_idx;
    const float *dev_x;
    float *dev_out;
};

struct krn_cuda {
    int version;
    int (*info)(struct krn_cuda_info *out, char *why);
    int (*alloc)(void **dev, size_t bytes, char *why);
    void (*free)(void *dev);
    int (*put)(void *dev, const void *from, size_t bytes, char *why);
    int (*get)(void *to, const void *dev, size_t bytes, char *why);
    int (*zero)(void *dev, size_t bytes, char *why);
    int (*wait)(char *why);
    /* Milliseconds of fn(arg), repeated, by events: the median. */
    int (*time)(int (*fn)(void *arg, char *why), void *arg, int repeats,
                float *ms, char *why);
    int (*spmm)(const struct krn_cuda_spmm *s, char *why);
    int (*gemm)(const struct krn_cuda_gemm *g, char *why);
    int (*topk)(const struct krn_cuda_topk *t, char *why);
    int (*als)(const struct krn_cuda_als *a, char *why);
    int (*shfl)(const struct krn_cuda_shfl *s, char *why);
    int (*adam)(const struct krn_cuda_adam *a, char *why);
    int (*gather)(const struct krn_cuda_gather *g, char *why);
    /* Sums of the rows of g by equal idx, which ascend: out[i] += ... in
     * order; starts[n_out + 1] and rows[n_out] name the runs. */
    int (*scatter)(size_t n_out, size_t d, const uint32_t *dev_start,
                   const uint32_t *dev_row, const float *dev_g, float *dev_out,
                   char *why);
    /* 4 n words: Philox of counters first.. under key. */
    int (*philox)(uint32_t *dev_out, size_t n, uint64_t key, uint64_t first,
                  char *why);
};

/* The one symbol of the module. */
#define KRN_CUDA_SYMBOL "krn_cuda_module"
typedef const struct krn_cuda *(*krn_cuda_open_fn)(void);

#endif
