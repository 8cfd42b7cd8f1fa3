/* kernels/cuda/module.cu - memory, timing, and the table of the module. */
#include <algorithm>
#include <cstdio>
#include <vector>

#include "kernels/cuda/parts.cuh"

int krn_cuda_say(char *why, const char *what, const char *reason)
{
    snprintf(why, KRN_CUDA_WHY, "%s: %s", what, reason);
    return 1;
}

int krn_cuda_check(cudaError_t e, const char *what, char *why)
{
    return e == cudaSuccess ? 0
                            : krn_cuda_say(why, what, cudaGetErrorString(e));
}

static int info(struct krn_cuda_info *out, char *why)
{
    cudaDeviceProp p;
    int n = 0;

    if (krn_cuda_check(cudaGetDeviceCount(&n), "looking for a GPU", why))
        return 1;
    if (n == 0)
        return krn_cuda_say(why, "looking for a GPU", "there is none");
    if (krn_cuda_check(cudaGetDeviceProperties(&p, 0), "asking the GPU", why) ||
        krn_cuda_check(cudaMemGetInfo(&out->free_memory, &out->memory),
                       "asking for its memory", why))
        return 1;
    snprintf(out->name, sizeof(out->name), "%.100s", p.name);
    out->major = p.major;
    out->minor = p.minor;
    out->processors = p.multiProcessorCount;
    return 0;
}

int krn_cuda_take(void **dev, size_t bytes, char *why)
{
    size_t unused = 0, all = 0;
    const cudaError_t e = cudaMalloc(dev, bytes > 0 ? bytes : 1);

    if (e != cudaErrorMemoryAllocation)
        return krn_cuda_check(e, "taking device memory", why);
    (void)cudaGetLastError();
    (void)cudaMemGetInfo(&unused, &all);
    snprintf(why, KRN_CUDA_WHY,
             "out of device memory: %.2f GB are needed, %.2f GB are free",
             (double)bytes / 1e9, (double)unused / 1e9);
    return 1;
}

static void drop(void *dev)
{
    (void)cudaFree(dev);
}

static int move(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                const char *what, char *why)
{
    return krn_cuda_check(
        cudaMemcpyAsync(to, from, bytes, kind, cudaStreamPerThread), what, why);
}

static int wait_all(char *why)
{
    return krn_cuda_check(cudaStreamSynchronize(cudaStreamPerThread),
                          "waiting for the device", why);
}

/* The caller may change what it gave at once. */
static int put(void *dev, const void *from, size_t bytes, char *why)
{
    return move(dev, from, bytes, cudaMemcpyHostToDevice,
                "copying to the device", why) ||
           wait_all(why);
}

static int get(void *to, const void *dev, size_t bytes, char *why)
{
    return move(to, dev, bytes, cudaMemcpyDeviceToHost,
                "copying from the device", why) ||
           wait_all(why);
}

static int copy(void *to, const void *from, size_t bytes, char *why)
{
    return move(to, from, bytes, cudaMemcpyDeviceToDevice,
                "copying on the device", why);
}

static int zero(void *dev, size_t bytes, char *why)
{
    return krn_cuda_check(cudaMemsetAsync(dev, 0, bytes, cudaStreamPerThread),
                          "clearing device memory", why);
}

static int time_fn(int (*fn)(void *arg, char *why), void *arg, int repeats,
                   float *ms, char *why)
{
    std::vector<float> took;
    cudaEvent_t begin, end;

    if (krn_cuda_check(cudaEventCreate(&begin), "making an event", why) ||
        krn_cuda_check(cudaEventCreate(&end), "making an event", why))
        return 1;
    for (int i = 0; i < repeats + 2; i++) { /* two to warm up */
        float one = 0;

        cudaEventRecord(begin, cudaStreamPerThread);
        if (fn(arg, why))
            return 1;
        cudaEventRecord(end, cudaStreamPerThread);
        if (krn_cuda_check(cudaEventSynchronize(end), "timing", why) ||
            krn_cuda_check(cudaEventElapsedTime(&one, begin, end), "timing",
                           why))
            return 1;
        if (i >= 2)
            took.push_back(one);
    }
    std::sort(took.begin(), took.end());
    *ms = took[took.size() / 2];
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    return 0;
}

extern "C" const struct krn_cuda *krn_cuda_module(void);
extern "C" const struct krn_cuda *krn_cuda_module(void)
{
    static const struct krn_cuda table = {
        KRN_CUDA_VERSION,
        info,
        krn_cuda_take,
        drop,
        put,
        get,
        copy,
        zero,
        wait_all,
        time_fn,
        krn_cuda_spmm_run,
        krn_cuda_sddmm_run,
        krn_cuda_gemm_run,
        krn_cuda_gram_bytes,
        krn_cuda_gram_run,
        krn_cuda_topk_run,
        krn_cuda_als_run,
        krn_cuda_chol_run,
        krn_cuda_shfl_run,
        krn_cuda_two_four_run,
        krn_cuda_adam_run,
        krn_cuda_adagrad_run,
        krn_cuda_gather_run,
        krn_cuda_scatter_run,
        krn_cuda_axpy_run,
        krn_cuda_thin_run,
        krn_cuda_philox_run,
        krn_cuda_order_bytes,
        krn_cuda_order_run,
        krn_cuda_sort_bytes,
        krn_cuda_sort_run,
        krn_cuda_compare_bytes,
        krn_cuda_compare_run,
        {krn_cuda_mm_run, krn_cuda_job_run},
    };

    return &table;
}
