/* kernels/cuda/parts.cuh - what the module's files share. */
#ifndef KRN_CUDA_PARTS_CUH
#define KRN_CUDA_PARTS_CUH

#include <cuda_runtime.h>

#include "kernels/cuda/lane.h"
#include "kernels/cuda/module.h"

/* Write "what: reason" into why; 1. */
int krn_cuda_say(char *why, const char *what, const char *reason);
/* 0, or 1 with the error's words in why. */
int krn_cuda_check(cudaError_t e, const char *what, char *why);
/* Device memory; a refusal says how much was wanted and how much is free. */
int krn_cuda_take(void **dev, size_t bytes, char *why);
/* After a launch: whether it was accepted. */
#define KRN_CUDA_LAUNCHED(what, why) krn_cuda_check(cudaGetLastError(), what, why)

int krn_cuda_spmm_run(const struct krn_cuda_spmm *s, char *why);
int krn_cuda_gemm_run(const struct krn_cuda_gemm *g, char *why);
int krn_cuda_topk_run(const struct krn_cuda_topk *t, char *why);
int krn_cuda_als_run(const struct krn_cuda_als *a, char *why);
int krn_cuda_shfl_run(const struct krn_cuda_shfl *s, char *why);
int krn_cuda_adam_run(const struct krn_cuda_adam *a, char *why);
int krn_cuda_gather_run(const struct krn_cuda_gather *g, char *why);
int krn_cuda_scatter_run(size_t n_out, size_t d, const uint32_t *dev_start,
                         const uint32_t *dev_row, const float *dev_g,
                         float *dev_out, char *why);
int krn_cuda_philox_run(uint32_t *dev_out, size_t n, uint64_t key,
                        uint64_t first, char *why);

#endif
