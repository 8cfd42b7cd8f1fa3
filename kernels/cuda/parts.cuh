/* kernels/cuda/parts.cuh - what the module's files share. */
#ifndef KRN_CUDA_PARTS_CUH
#define KRN_CUDA_PARTS_CUH

#include "kernels/cuda/module.h"
#include "kernels/cuda/prim.cuh"

/* Write "what: reason" into why; 1. */
int krn_cuda_say(char *why, const char *what, const char *reason);
/* 0, or 1 with the error's words in why. */
int krn_cuda_check(cudaError_t e, const char *what, char *why);
/* Device memory; a refusal says how much was wanted and how much is free. */
int krn_cuda_take(void **dev, size_t bytes, char *why);
/* After a launch: whether it was accepted. */
#define KRN_CUDA_LAUNCHED(what, why)                                           \
    krn_cuda_check(cudaGetLastError(), what, why)

/* Blocks of `each` that hold n. */
static inline unsigned krn_cuda_blocks(size_t n, size_t each)
{
    return (unsigned)((n + each - 1) / each);
}

/* Bytes up to the next array of a room. */
static inline size_t krn_cuda_pad(size_t bytes)
{
    return (bytes + 255) & ~(size_t)255;
}

/* The next array of a room; *at goes on. */
template <typename T> static inline T *krn_cuda_part(char **at, size_t n)
{
    T *const here = reinterpret_cast<T *>(*at);

    *at += krn_cuda_pad(n * sizeof(T));
    return here;
}

/* Sort n keys below 2^bits into *key and *val from the other two. */
size_t krn_cuda_sort_room(size_t n, int key_bytes);
int krn_cuda_sort_u32(uint32_t *key, uint32_t *key_tmp, uint32_t *val,
                      uint32_t *val_tmp, size_t n, int bits, void *room,
                      size_t room_bytes, char *why);
int krn_cuda_sort_u64(const uint64_t *key, uint64_t *key_out,
                      const uint32_t *val, uint32_t *val_out, size_t n,
                      void *room, size_t room_bytes, char *why);

int krn_cuda_spmm_run(const struct krn_cuda_spmm *s, char *why);
int krn_cuda_sddmm_run(const struct krn_cuda_sddmm *s, char *why);
int krn_cuda_gemm_run(const struct krn_cuda_gemm *g, char *why);
size_t krn_cuda_gram_bytes(size_t n, size_t d);
int krn_cuda_gram_run(const struct krn_cuda_gram *g, char *why);
int krn_cuda_topk_run(const struct krn_cuda_topk *t, char *why);
int krn_cuda_als_run(const struct krn_cuda_als *a, char *why);
int krn_cuda_cg_run(const struct krn_cuda_als *a, char *why);
int krn_cuda_chol_run(const struct krn_cuda_chol *c, char *why);
int krn_cuda_shfl_run(const struct krn_cuda_shfl *s, char *why);
int krn_cuda_two_four_run(const struct krn_cuda_two_four *s, char *why);
int krn_cuda_adam_run(const struct krn_cuda_adam *a, char *why);
int krn_cuda_adagrad_run(const struct krn_cuda_adagrad *a, char *why);
int krn_cuda_gather_run(const struct krn_cuda_gather *g, char *why);
int krn_cuda_scatter_run(size_t n_out, size_t d, const uint32_t *dev_start,
                         const uint32_t *dev_row, const float *dev_g,
                         float *dev_out, char *why);
int krn_cuda_axpy_run(const struct krn_cuda_axpy *a, char *why);
int krn_cuda_thin_run(const struct krn_cuda_thin *t, char *why);
int krn_cuda_philox_run(uint32_t *dev_out, size_t n, uint64_t key,
                        uint64_t first, char *why);
size_t krn_cuda_order_bytes(size_t n);
int krn_cuda_order_run(const struct krn_cuda_order *o, char *why);
size_t krn_cuda_sort_bytes(size_t n);
int krn_cuda_sort_run(const struct krn_cuda_sort *s, char *why);
size_t krn_cuda_compare_bytes(const struct krn_cuda_compare *c);
int krn_cuda_mm_run(const struct krn_cuda_mm *g, char *why);
int krn_cuda_each_run(const struct krn_cuda_job *j, char *why);
int krn_cuda_job_run(const struct krn_cuda_job *j, char *why);
int krn_cuda_compare_run(const struct krn_cuda_compare *c, char *why);

#endif
