/*
 * kernels/cuda/topk.cu - scores of a tile of items by the dense product, then a
 * block for each person: what passes the worst of the list so far is collected
 * in shared memory and sorted in when the room is full.
 *
 * Keys of score and item are all different, so that the k largest are one set
 * whatever the order in which they are met; the counter is the only atomic.
 */
#include "kernels/cuda/parts.cuh"

#define THREADS 256
#define ROOM 2048 /* keys in shared memory: the list, and candidates */
#define TILE 16384

/* Sort ROOM keys, descending. */
static __device__ void sort_room(uint64_t *key)
{
    for (size_t size = 2; size <= ROOM; size *= 2) {
        for (size_t stride = size / 2; stride > 0; stride /= 2) {
            __syncthreads();
            for (size_t t = threadIdx.x; t < ROOM / 2; t += THREADS) {
                const size_t i = krn_lane_bitonic(t, stride), j = i + stride;
                const uint64_t a = key[i], b = key[j];

                if ((a < b) == krn_lane_bitonic_down(i, size)) {
                    key[i] = b;
                    key[j] = a;
                }
            }
        }
    }
    __syncthreads();
}

static __global__ void mask_kernel(float *score, size_t first, size_t n,
                                   const uint64_t *ptr, const uint32_t *idx)
{
    const size_t p = blockIdx.x;

    for (uint64_t e = ptr[p] + threadIdx.x; e < ptr[p + 1]; e += THREADS) {
        if (idx[e] >= first && idx[e] < first + n)
            score[p * n + idx[e] - first] = -INFINITY;
    }
}

static __global__ void push_kernel(const float *score, size_t first, size_t n,
                                   size_t k, uint64_t *list)
{
    __shared__ uint64_t key[ROOM];
    __shared__ unsigned count;
    const float *s = score + (size_t)blockIdx.x * n;
    uint64_t *own = list + (size_t)blockIdx.x * k;

    for (size_t j = threadIdx.x; j < ROOM; j += THREADS)
        key[j] = j < k ? own[j] : 0;
    if (threadIdx.x == 0)
        count = (unsigned)k;
    __syncthreads();
    for (size_t i = 0; i < n; i += THREADS) {
        const uint64_t least = key[k - 1]; /* of the sorted list */
        const size_t at = i + threadIdx.x;

        if (count + THREADS > ROOM) { /* the same to all threads */
            sort_room(key);
            for (size_t j = k + threadIdx.x; j < ROOM; j += THREADS)
                key[j] = 0;
            if (threadIdx.x == 0)
                count = (unsigned)k;
            __syncthreads();
            i -= THREADS; /* again, with the better bound */
            continue;
        }
        __syncthreads();
        if (at < n && s[at] > -INFINITY) {
            const uint64_t one = krn_lane_key(s[at], (uint32_t)(first + at));

            if (one > least)
                key[atomicAdd(&count, 1u)] = one;
        }
        __syncthreads();
    }
    sort_room(key);
    for (size_t j = threadIdx.x; j < k; j += THREADS)
        own[j] = key[j];
}

static __global__ void finish_kernel(const uint64_t *list, size_t n,
                                     uint32_t *id, float *score)
{
    const size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;

    if (i >= n)
        return;
    id[i] = list[i] != 0 ? krn_lane_key_item(list[i]) : UINT32_MAX;
    score[i] = list[i] != 0 ? krn_lane_key_score(list[i]) : -INFINITY;
}

/* Items first..first + n - 1. */
static int tile(const struct krn_cuda_topk *t, size_t first, size_t n,
                float *score, uint64_t *list, char *why)
{
    const struct krn_cuda_gemm g = {
        t->people, n, t->d, 0, 1, 0, 1, t->dev_vec, t->dev_item + first * t->d,
        score};

    if (krn_cuda_gemm_run(&g, why))
        return 1;
    if (t->dev_seen_ptr != NULL)
        KRN_LAUNCH(mask_kernel, (unsigned)t->people, THREADS, 0, score, first,
                   n, t->dev_seen_ptr, t->dev_seen_idx);
    KRN_LAUNCH(push_kernel, (unsigned)t->people, THREADS, 0,
               (const float *)score, first, n, t->k, list);
    return KRN_CUDA_LAUNCHED("top-k", why);
}

int krn_cuda_topk_run(const struct krn_cuda_topk *t, char *why)
{
    const size_t most = t->items < TILE ? t->items : TILE;
    const size_t n = t->people * t->k;
    uint64_t *list = NULL;
    float *score = NULL;

    if (t->k == 0 || t->k > KRN_CUDA_TOPK)
        return krn_cuda_say(why, "top-k", "lists are of 1 to 1024 items");
    if (t->people == 0 || t->items == 0)
        return 0;
    int bad =
        krn_cuda_take((void **)&score, t->people * most * 4, why) ||
        krn_cuda_take((void **)&list, n * 8, why) ||
        krn_cuda_check(cudaMemsetAsync(list, 0, n * 8, cudaStreamPerThread),
                       "clearing lists", why);

    for (size_t i = 0; i < t->items && !bad; i += TILE)
        bad = tile(t, i, t->items - i < TILE ? t->items - i : TILE, score, list,
                   why);
    if (!bad) {
        KRN_LAUNCH(finish_kernel, krn_cuda_blocks(n, THREADS), THREADS, 0,
                   (const uint64_t *)list, n, t->dev_id, t->dev_score);
        bad = KRN_CUDA_LAUNCHED("top-k", why) ||
              krn_cuda_check(cudaStreamSynchronize(cudaStreamPerThread),
                             "top-k", why);
    }
    (void)cudaFree(score);
    (void)cudaFree(list);
    return bad;
}
