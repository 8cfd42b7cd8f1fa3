/* kernels/cuda/emulated_libs.cc - plain loops in place of cuBLASLt and CUB. */
#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "kernels/cuda/parts.cuh"

int krn_cuda_gemm_run(const struct krn_cuda_gemm *g, char *)
{
    for (size_t b = 0; b < (g->batch > 0 ? g->batch : 1); b++) {
        const float *x = g->dev_a + b * g->m * g->k;
        const float *y = g->dev_b + b * g->k * g->n;
        float *z = g->dev_c + b * g->m * g->n;

        for (size_t i = 0; i < g->m; i++) {
            for (size_t j = 0; j < g->n; j++) {
                float sum = 0;

                for (size_t q = 0; q < g->k; q++)
                    sum = fmaf(x[g->a_turned ? q * g->m + i : i * g->k + q],
                               y[g->turned ? j * g->k + q : q * g->n + j], sum);
                z[i * g->n + j] = g->add ? z[i * g->n + j] + sum : sum;
            }
        }
    }
    return 0;
}

size_t krn_cuda_sort_room(size_t n, int)
{
    return 8 * n;
}

template <typename K>
static void sort_pairs(const K *key, K *key_out, const uint32_t *val,
                       uint32_t *val_out, size_t n)
{
    std::vector<size_t> at(n);

    std::iota(at.begin(), at.end(), (size_t)0);
    std::stable_sort(at.begin(), at.end(),
                     [=](size_t a, size_t b) { return key[a] < key[b]; });
    for (size_t i = 0; i < n; i++) {
        key_out[i] = key[at[i]];
        val_out[i] = val[at[i]];
    }
}

int krn_cuda_sort_u32(uint32_t *key, uint32_t *key_tmp, uint32_t *val,
                      uint32_t *val_tmp, size_t n, int bits, void *, size_t,
                      char *)
{
    for (size_t i = 0; i < n; i++)
        if (bits < 32 && key_tmp[i] >> bits != 0)
            abort(); /* a key is wider than was said */
    sort_pairs<uint32_t>(key_tmp, key, val_tmp, val, n);
    return 0;
}

int krn_cuda_sort_u64(const uint64_t *key, uint64_t *key_out,
                      const uint32_t *val, uint32_t *val_out, size_t n, void *,
                      size_t, char *)
{
    sort_pairs<uint64_t>(key, key_out, val, val_out, n);
    return 0;
}
