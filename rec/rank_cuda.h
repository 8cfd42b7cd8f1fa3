/* rec/rank_cuda.h - rec_rank() on the GPU, for models of inner products. */
#ifndef REC_RANK_CUDA_H
#define REC_RANK_CUDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rec/model.h"

/* As rec_rank(), where device_cuda() is there and the model has vectors; people
 * without a history get what a vector of zeros gets.  item [n][k]; score [n][k]
 * or NULL.  Scores are products of cuBLASLt: equal from run to run, and to the
 * CPU's within float rounding, so that items of nearly equal scores may change
 * places.  ERR_ARG: k above KRN_CUDA_TOPK; ERR_NOMEM, ERR_IO. */
ERR_CHECK
enum err rec_rank_cuda(const struct rec_model *m, const struct rec_query *q,
                       size_t k, bool hide_seen, uint32_t *item, float *score);

#endif
