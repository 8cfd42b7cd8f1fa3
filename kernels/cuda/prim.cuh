/*
 * kernels/cuda/prim.cuh - where the device and its emulation differ: launches,
 * dynamic shared memory, asynchronous copies, matrix units.
 */
#ifndef KRN_CUDA_PRIM_CUH
#define KRN_CUDA_PRIM_CUH

#include "kernels/cuda/lane.h"

#ifdef __CUDACC__

#include <cuda_runtime.h>

/* Each host thread has a stream of its own, so that shards that are trained
 * side by side share the device. */
#define KRN_LAUNCH(kernel, grid, block, shared, ...)                           \
    kernel<<<grid, block, shared, cudaStreamPerThread>>>(__VA_ARGS__)
#define KRN_SHARED(type, name)                                                 \
    extern __shared__ __align__(16) unsigned char krn_shared_bytes[];          \
    type *name = reinterpret_cast<type *>(krn_shared_bytes)
#define KRN_UNROLL _Pragma("unroll")

static __device__ inline void krn_copy16(void *to, const void *from, bool there)
{
    const unsigned at = (unsigned)__cvta_generic_to_shared(to);

    /* with 0 bytes of source the 16 are zeroed */
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(at),
                 "l"(from), "r"(there ? 16 : 0)
                 : "memory");
}

static __device__ inline void krn_copy_commit()
{
    asm volatile("cp.async.commit_group;\n" ::: "memory");
}

/* All groups but the newest N have arrived. */
template <int N> static __device__ inline void krn_copy_wait()
{
    asm volatile("cp.async.wait_group %0;\n" ::"n"(N) : "memory");
}

static __device__ inline void krn_ldmatrix4t(uint32_t a[4], const void *at)
{
    const unsigned from = (unsigned)__cvta_generic_to_shared(at);

    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 "
                 "{%0, %1, %2, %3}, [%4];\n"
                 : "=r"(a[0]), "=r"(a[1]), "=r"(a[2]), "=r"(a[3])
                 : "r"(from)
                 : "memory");
}

static __device__ inline void krn_ldmatrix4(uint32_t a[4], const void *at)
{
    const unsigned from = (unsigned)__cvta_generic_to_shared(at);

    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 "
                 "{%0, %1, %2, %3}, [%4];\n"
                 : "=r"(a[0]), "=r"(a[1]), "=r"(a[2]), "=r"(a[3])
                 : "r"(from)
                 : "memory");
}

/* c += a b, m16n8k16, bf16. */
static __device__ inline void krn_mma(float c[4], const uint32_t a[4],
                                      const uint32_t b[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};\n"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]),
                   "r"(b[1]));
}

/* The same with a of 2:4, m16n8k32: two of four numbers, and where they are. */
static __device__ inline void krn_mma_sp(float c[4], const uint32_t a[4],
                                         const uint32_t b[4], uint32_t where)
{
    asm volatile("mma.sp::ordered_metadata.sync.aligned.m16n8k32.row.col.f32."
                 "bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
                 "{%8, %9, %10, %11}, {%0, %1, %2, %3}, %12, 0x0;\n"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]),
                   "r"(b[1]), "r"(b[2]), "r"(b[3]), "r"(where));
}

#else

#include "kernels/cuda/emulated.h"

#define KRN_LAUNCH(kernel, grid, block, shared, ...)                           \
    krn_emulated_launch(grid, block, shared, [=] { kernel(__VA_ARGS__); })
#define KRN_SHARED(type, name)                                                 \
    type *name = reinterpret_cast<type *>(krn_emulated_shared())
#define KRN_UNROLL
#define krn_copy16 krn_emulated_copy16
#define krn_copy_commit krn_emulated_commit
#define krn_mma krn_emulated_mma
#define krn_mma_sp krn_emulated_mma_sp

template <int N> static inline void krn_copy_wait()
{
    krn_emulated_wait(N);
}

static inline void krn_ldmatrix4t(uint32_t a[4], const void *at)
{
    krn_emulated_ldmatrix(a, 4, at, true);
}

static inline void krn_ldmatrix4(uint32_t a[4], const void *at)
{
    krn_emulated_ldmatrix(a, 4, at, false);
}

#endif

#define KRN_ALL 0xffffffffu /* lanes */

/* The sum of a warp's numbers, in all of its lanes, by a fixed tree. */
static __device__ inline float krn_warp_sum(float x)
{
    for (int by = 16; by > 0; by /= 2)
        x += __shfl_xor_sync(KRN_ALL, x, by);
    return x;
}

static __device__ inline float krn_warp_max(float x)
{
    for (int by = 16; by > 0; by /= 2) {
        const float y = __shfl_xor_sync(KRN_ALL, x, by);

        x = y > x ? y : x;
    }
    return x;
}

/* Of a block of at most 1024 threads, in all of them; room[33] in shared
 * memory is free again after the next barrier. */
static __device__ inline float krn_block_sum(float x, float *room)
{
    const unsigned warps = (blockDim.x + 31) / 32;

    x = krn_warp_sum(x);
    __syncthreads();
    if (threadIdx.x % 32 == 0)
        room[threadIdx.x / 32] = x;
    __syncthreads();
    x = 0;
    for (unsigned w = 0; w < warps; w++)
        x += room[w];
    return x;
}

static __device__ inline float krn_block_max(float x, float *room)
{
    const unsigned warps = (blockDim.x + 31) / 32;

    x = krn_warp_max(x);
    __syncthreads();
    if (threadIdx.x % 32 == 0)
        room[threadIdx.x / 32] = x;
    __syncthreads();
    x = room[0];
    for (unsigned w = 1; w < warps; w++)
        x = room[w] > x ? room[w] : x;
    return x;
}

#endif
