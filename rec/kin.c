/* rec/kin.c - which items are alike. */
#include "rec/kin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "rec/svd.h"

static float root_of(size_t n)
{
    return n > 0 ? (float)(1 / sqrt((double)n)) : 0;
}

/* Values of the matrix, by rows and by columns. */
static void weigh(const struct rec_data *d, const struct rec_columns *c,
                  float *row_val, float *col_val)
{
    for (size_t u = 0; u < d->n_users; u++) {
        const float own = root_of(d->user_ptr[u + 1] - d->user_ptr[u]);

        for (size_t e = d->user_ptr[u]; e < d->user_ptr[u + 1]; e++) {
            const uint32_t i = d->item[e];

            row_val[e] = own * root_of(c->ptr[i + 1] - c->ptr[i]);
        }
    }
    for (size_t e = 0; e < d->n_rows; e++)
        col_val[e] = row_val[c->row[e]];
}

/* Rows of v times the singular values, of length 1. */
static void finish(const struct rec_data *d, const float *v, const double *w,
                   float *kin)
{
    for (size_t i = 0; i < d->n_items; i++) {
        double square = 0;

        for (size_t k = 0; k < REC_KIN; k++) {
            const double x = (double)v[i * REC_KIN + k] * sqrt(w[k]);

            square += x * x;
            kin[i * REC_KIN + k] = (float)x;
        }
        const float unit = square > 1e-20 ? (float)(1 / sqrt(square)) : 0;

        for (size_t k = 0; k < REC_KIN; k++)
            kin[i * REC_KIN + k] *= unit;
    }
}

enum err rec_kin_make(const struct rec_data *d, uint64_t seed, float *kin)
{
    struct rec_columns c = {0};
    struct mem_scratch s = {0};
    float *row_val = mem_take_raw(&s, d->n_rows, 1, sizeof(*row_val));
    float *col_val = mem_take_raw(&s, d->n_rows, 1, sizeof(*col_val));
    float *v = mem_take(&s, d->n_items, REC_KIN, sizeof(*v));
    double w[REC_KIN] = {0};
    enum err e = s.failed ? err_set(ERR_NOMEM, "no memory for kinship")
                          : rec_columns_build(&c, d);

    if (e == ERR_OK) {
        weigh(d, &c, row_val, col_val);
        const struct rec_svd r = {d->n_users,  d->n_items, d->user_ptr, d->item,
                                  row_val,     c.ptr,      c.user,      col_val,
                                  d->item_key, seed};

        e = rec_svd_top(&r, REC_KIN, v, w);
    }
    if (e == ERR_OK)
        finish(d, v, w, kin);
    rec_columns_free(&c);
    mem_drop(&s);
    return e;
}

void rec_kin_gather(const float *kin, const uint32_t *item, size_t n,
                    float *out)
{
    for (size_t k = 0; k < n; k++) {
        if (item[k] == NN_PAD)
            memset(out + k * REC_KIN, 0, REC_KIN * sizeof(*out));
        else
            memcpy(out + k * REC_KIN, kin + (size_t)item[k] * REC_KIN,
                   REC_KIN * sizeof(*out));
    }
}
