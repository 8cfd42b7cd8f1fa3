/* rec/holes.c - bits and numbers. */
#include "rec/holes.h"

#include <string.h>

static size_t bytes_of(size_t dim)
{
    return (dim + 7) / 8;
}

static bool is_there(float x)
{
    return x > 0 || x < 0;
}

void rec_holes_spec(const struct rec_holes *h, const float *x, size_t rows,
                    size_t dim, struct rec_array_spec spec[2])
{
    size_t n = 0;

    for (size_t i = 0; i < rows * dim; i++)
        n += is_there(x[i]);
    spec[0] = (struct rec_array_spec){h->mask, STO_U8, rows, bytes_of(dim)};
    spec[1] = (struct rec_array_spec){h->kept, STO_F32, n, 1};
}

void rec_holes_store(const struct rec_holes *h, struct rec_model *m,
                     const float *x, size_t rows, size_t dim)
{
    uint8_t *mask = rec_model_array(m, h->mask);
    float *kept = rec_model_array(m, h->kept);

    memset(mask, 0, rows * bytes_of(dim));
    for (size_t r = 0; r < rows; r++, mask += bytes_of(dim), x += dim) {
        for (size_t k = 0; k < dim; k++) {
            if (!is_there(x[k]))
                continue;
            mask[k / 8] |= (uint8_t)(1 << k % 8);
            *kept++ = x[k];
        }
    }
}

bool rec_holes_valid(const struct rec_holes *h, const struct rec_model *m,
                     size_t rows, size_t dim)
{
    const size_t bytes = bytes_of(dim);
    const uint8_t *mask;
    uint64_t n = 0;

    if (!rec_model_has(m, h->mask, STO_U8, rows, bytes))
        return false;
    mask = rec_model_array(m, h->mask);
    for (size_t i = 0; i < rows * bytes; i++) {
        if (dim % 8 != 0 && i % bytes == bytes - 1 && mask[i] >> dim % 8 != 0)
            return false; /* a coordinate that vectors do not have */
        n += (uint64_t)__builtin_popcount(mask[i]);
    }
    return rec_model_has(m, h->kept, STO_F32, n, 1);
}

void rec_holes_open(const struct rec_holes *h, const struct rec_model *m,
                    size_t rows, size_t dim, float *x)
{
    const uint8_t *mask = rec_model_array(m, h->mask);
    const float *kept = rec_model_array(m, h->kept);

    for (size_t r = 0; r < rows; r++, mask += bytes_of(dim), x += dim) {
        for (size_t k = 0; k < dim; k++)
            x[k] = mask[k / 8] >> k % 8 & 1 ? *kept++ : 0;
    }
}
