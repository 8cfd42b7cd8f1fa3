/* kernels/pick.c - the k best of sums of whole numbers. */
#include "kernels/pick.h"

#include "kernels/twins.h"

void krn_pick_i32(int32_t *sum, const int32_t *step, int32_t sign, size_t n,
                  struct krn_pick *t)
{
    for (size_t i = 0; i < n; i++) {
        if (step != NULL)
            sum[i] += sign * step[i];
        if (sum[i] > t->floor)
            krn_pick_put(t, sum[i], (uint32_t)i);
    }
}
