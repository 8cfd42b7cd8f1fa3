/*
 * kernels/cuda/emulated.h - enough of CUDA for a C++ compiler to run the
 * module's kernels on the CPU, so that tests cover them where there is no GPU.
 *
 * A block's threads are fibers of one thread.  A fiber runs until it reaches a
 * barrier; when all of the block (or warp) that are left have reached it, they
 * go on.  The order in which they run is ascending, descending or shuffled
 * (RECD_EMULATED_ORDER = 0, 1, 2...), so that a missing barrier shows as a
 * result that hangs on it; a barrier that not all threads reach ends the
 * program.  Asynchronous copies happen when they are waited for, not before.
 * Shared memory and new device memory hold what is no number.
 *
 * Differs: one block at a time, streams are one, and matrix units are sums in
 * float by the fragments that the PTX manual gives.
 */
#ifndef KRN_CUDA_EMULATED_H
#define KRN_CUDA_EMULATED_H

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1)
        : x(x_), y(y_), z(z_)
    {
    }
};
struct float2 {
    float x, y;
};
struct __attribute__((aligned(16))) float4 {
    float x, y, z, w;
};

/* --- inside kernels ------------------------------------------------------- */

extern dim3 threadIdx, blockIdx, blockDim, gridDim;

void __syncthreads();
void __syncwarp(unsigned mask = 0xffffffffu);
/* Each thread of the warp gives 4 bytes and gets all of them: [32]. */
const uint32_t *krn_emulated_swap(uint32_t mine);

template <typename T> static inline T __shfl_sync(unsigned, T mine, int lane)
{
    uint32_t bits;
    static_assert(sizeof(T) == 4, "shuffles are of 4 bytes");

    memcpy(&bits, &mine, 4);
    bits = krn_emulated_swap(bits)[lane & 31];
    memcpy(&mine, &bits, 4);
    return mine;
}

template <typename T>
static inline T __shfl_xor_sync(unsigned mask, T mine, int by)
{
    return __shfl_sync(mask, mine, (int)(threadIdx.x % 32) ^ by);
}

static inline unsigned atomicAdd(unsigned *at, unsigned by)
{
    const unsigned was = *at;

    *at = was + by;
    return was;
}

template <typename T> static inline T __ldg(const T *at)
{
    return *at;
}

unsigned char *krn_emulated_shared();
void krn_emulated_copy16(void *to, const void *from, bool there);
void krn_emulated_commit();
void krn_emulated_wait(int newest); /* all groups but the newest */
/* lane's four numbers of C += A B for the fragments of one warp. */
void krn_emulated_mma(float c[4], const uint32_t a[4], const uint32_t b[2]);
void krn_emulated_mma_sp(float c[4], const uint32_t a[4], const uint32_t b[4],
                         uint32_t where);
/* Eight rows of eight 16-bit numbers a matrix; row r of matrix q is where lane
 * 8 q + r points. */
void krn_emulated_ldmatrix(uint32_t *out, int n, const void *at, bool turned);

/* --- outside -------------------------------------------------------------- */

void krn_emulated_launch(dim3 grid, dim3 block, size_t shared,
                         const std::function<void()> &kernel);

typedef int cudaError_t;
typedef void *cudaStream_t;
typedef double *cudaEvent_t;
enum {
    cudaSuccess = 0,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9
};
enum cudaMemcpyKind {
    cudaMemcpyHostToDevice = 1,
    cudaMemcpyDeviceToHost = 2,
    cudaMemcpyDeviceToDevice = 3
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
struct cudaDeviceProp {
    char name[256];
    int major, minor, multiProcessorCount;
};
#define cudaStreamPerThread ((cudaStream_t)0)

const char *cudaGetErrorString(cudaError_t e);
cudaError_t cudaGetLastError();
cudaError_t cudaGetDeviceCount(int *n);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int device);
cudaError_t cudaMemGetInfo(size_t *unused, size_t *all);
cudaError_t cudaMalloc(void **dev, size_t bytes);
cudaError_t cudaFree(void *dev);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes,
                            cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void *dev, int byte, size_t bytes,
                            cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaEventCreate(cudaEvent_t *e);
cudaError_t cudaEventDestroy(cudaEvent_t e);
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t e);
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to);
template <typename F>
static inline cudaError_t cudaFuncSetAttribute(F *, cudaFuncAttribute, int n)
{
    return n <= 227 * 1024 ? cudaSuccess : cudaErrorInvalidConfiguration;
}

#endif
