/* kernels/cuda/sort.cu - stable radix sorts, by the CUDA Toolkit's CUB. */
#include <cub/device/device_radix_sort.cuh>

#include "kernels/cuda/parts.cuh"

size_t krn_cuda_sort_room(size_t n, int key_bytes)
{
    size_t bytes = 0;

    if (key_bytes == 4)
        (void)cub::DeviceRadixSort::SortPairs(
            NULL, bytes, (const uint32_t *)NULL, (uint32_t *)NULL,
            (const uint32_t *)NULL, (uint32_t *)NULL, (int64_t)n);
    else
        (void)cub::DeviceRadixSort::SortPairs(
            NULL, bytes, (const uint64_t *)NULL, (uint64_t *)NULL,
            (const uint32_t *)NULL, (uint32_t *)NULL, (int64_t)n);
    return bytes;
}

int krn_cuda_sort_u32(uint32_t *key, uint32_t *key_tmp, uint32_t *val,
                      uint32_t *val_tmp, size_t n, int bits, void *room,
                      size_t room_bytes, char *why)
{
    return krn_cuda_check(cub::DeviceRadixSort::SortPairs(
                              room, room_bytes, (const uint32_t *)key_tmp, key,
                              (const uint32_t *)val_tmp, val, (int64_t)n, 0,
                              bits, cudaStreamPerThread),
                          "sorting", why);
}

int krn_cuda_sort_u64(const uint64_t *key, uint64_t *key_out,
                      const uint32_t *val, uint32_t *val_out, size_t n,
                      void *room, size_t room_bytes, char *why)
{
    return krn_cuda_check(cub::DeviceRadixSort::SortPairs(
                              room, room_bytes, key, key_out, val, val_out,
                              (int64_t)n, 0, 64, cudaStreamPerThread),
                          "sorting", why);
}
