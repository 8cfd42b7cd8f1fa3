/* kernels/cuda/order.cu - orders of samples by draws, and keys grouped. */
#include "kernels/cuda/parts.cuh"

#define THREADS 256

static __device__ inline size_t own()
{
    return (size_t)blockIdx.x * THREADS + threadIdx.x;
}

static __global__ void draw_kernel(struct krn_cuda_order o, uint64_t *draw,
                                   uint32_t *place)
{
    const size_t i = own();

    if (i >= o.n)
        return;
    place[i] = (uint32_t)i;
    if (o.dev_b == NULL) {
        draw[i] = krn_draw_order(o.seed, o.epoch, o.dev_a[i]);
    } else {
        const struct krn_u32x4 x = krn_draw_pair(
            o.seed, o.what, o.dev_a[o.dev_of_a[i]], o.dev_b[o.dev_of_b[i]]);

        draw[i] = (uint64_t)x.v[1] << 32 | x.v[0];
    }
}

size_t krn_cuda_order_bytes(size_t n)
{
    return 2 * krn_cuda_pad(8 * n) + krn_cuda_pad(4 * n) +
           krn_cuda_pad(krn_cuda_sort_room(n, 8));
}

int krn_cuda_order_run(const struct krn_cuda_order *o, char *why)
{
    char *at = (char *)o->dev_room;
    uint64_t *draw = krn_cuda_part<uint64_t>(&at, o->n);
    uint64_t *sorted = krn_cuda_part<uint64_t>(&at, o->n);
    uint32_t *place = krn_cuda_part<uint32_t>(&at, o->n);

    if (o->n == 0)
        return 0;
    KRN_LAUNCH(draw_kernel, krn_cuda_blocks(o->n, THREADS), THREADS, 0, *o,
               draw, place);
    return KRN_CUDA_LAUNCHED("drawing an order", why) ||
           krn_cuda_sort_u64(draw, sorted, place, o->dev_order, o->n, at,
                             krn_cuda_sort_room(o->n, 8), why);
}

static __global__ void bounds_kernel(const uint32_t *key, size_t n,
                                     size_t n_ptr, uint64_t *ptr)
{
    const size_t i = own();

    if (i < n_ptr)
        ptr[i] = krn_lane_below(key, n, (uint32_t)i);
}

size_t krn_cuda_sort_bytes(size_t n)
{
    return 2 * krn_cuda_pad(4 * n) + krn_cuda_pad(krn_cuda_sort_room(n, 4));
}

static int copy_words(uint32_t *to, const uint32_t *from, size_t n, char *why)
{
    return krn_cuda_check(cudaMemcpyAsync(to, from, 4 * n,
                                          cudaMemcpyDeviceToDevice,
                                          cudaStreamPerThread),
                          "sorting", why);
}

int krn_cuda_sort_run(const struct krn_cuda_sort *s, char *why)
{
    char *at = (char *)s->dev_room;
    uint32_t *key = krn_cuda_part<uint32_t>(&at, s->n);
    uint32_t *val = krn_cuda_part<uint32_t>(&at, s->n);

    if (s->n > 0 &&
        (copy_words(key, s->dev_key, s->n, why) ||
         copy_words(val, s->dev_val, s->n, why) ||
         krn_cuda_sort_u32(s->dev_key, key, s->dev_val, val, s->n, s->bits, at,
                           krn_cuda_sort_room(s->n, 4), why)))
        return 1;
    if (s->dev_ptr == NULL || s->n_ptr == 0)
        return 0;
    KRN_LAUNCH(bounds_kernel, krn_cuda_blocks(s->n_ptr, THREADS), THREADS, 0,
               (const uint32_t *)s->dev_key, s->n, s->n_ptr, s->dev_ptr);
    return KRN_CUDA_LAUNCHED("grouping keys", why);
}
