/* nn/order.c - a random order that is a property of the samples' names. */
#include "nn/order.h"

#include "base/mem.h"
#include "kernels/draw.h"
#include "kernels/sort.h"

enum err nn_order(uint32_t *order, const uint64_t *keys, size_t n,
                  uint64_t seed, uint64_t epoch)
{
    struct mem_scratch s = {0};
    uint64_t *draw = mem_take(&s, n, 1, sizeof(*draw));
    uint64_t *tmp = mem_take(&s, n, 1, sizeof(*tmp));
    uint32_t *order_tmp = mem_take(&s, n, 1, sizeof(*order_tmp));

    if (s.failed) {
        mem_drop(&s);
        return err_set(ERR_NOMEM, "no memory to order %zu samples", n);
    }
    for (size_t i = 0; i < n; i++) {
        draw[i] = krn_draw_order(seed, epoch, keys[i]);
        order[i] = (uint32_t)i;
    }
    krn_sort_u64(draw, order, tmp, order_tmp, n);
    mem_drop(&s);
    return ERR_OK;
}
