/* rec/wmf_cuda.c - wmf's batches on the GPU (rec/model_wmf.c says what a batch
 * is). */
#include "rec/wmf_cuda.h"

#include <stdlib.h>
#include <string.h>

#include "base/device.h"
#include "base/mem.h"
#include "base/rng.h"

struct rec_wmf_cuda {
    const struct rec_data *d;
    struct rec_wmf_how how;
    struct device_room room;
    size_t most;                       /* rows of a batch */
    float *p, *p_sum, *q, *q_sum;      /* vectors, and Adagrad's sums */
    float *b, *b_grad, *q_grad, *gram; /* of a batch */
    float *val, *t_val;                /* [n_rows], [most] */
    uint64_t *name, *ptr, *t_ptr;      /* keys; [n_users + 1], [n_items + 1] */
    uint32_t *order, *idx, *row;       /* [n_users], [n_rows], [n_rows] */
    uint32_t *key, *from, *count, *t_idx; /* [most] */
    void *gram_room, *sort_room;
    uint64_t *host_ptr; /* [n_users + 1] of the epoch's people, in order */
    uint32_t *host_idx, *host_row;
    struct mem_scratch s;
};

/* Rows of the most that `batch` people can have. */
static size_t most_rows(const struct rec_data *d, size_t batch)
{
    size_t most = 0;

    for (size_t u = 0; u < d->n_users; u++) {
        const size_t n = d->user_ptr[u + 1] - d->user_ptr[u];

        most = n > most ? n : most;
    }
    return most * batch < d->n_rows ? most * batch : d->n_rows;
}

static float *take_sums(struct rec_wmf_cuda *w, size_t n)
{
    const size_t floats = n * w->how.dim;
    float *sum = mem_array(floats, sizeof(*sum));

    for (size_t i = 0; i < floats && sum != NULL; i++)
        sum[i] = w->how.first;
    if (sum == NULL && w->room.e == ERR_OK)
        w->room.e = err_set(ERR_NOMEM, "no memory for wmf on the GPU");
    float *dev = device_take(&w->room, sum, floats * sizeof(*sum));

    free(sum);
    return dev;
}

static void take_vectors(struct rec_wmf_cuda *w, const float *p, const float *q)
{
    const size_t dim = w->how.dim * sizeof(float);
    const size_t users = w->d->n_users, items = w->d->n_items;
    const size_t longer = items > w->how.batch ? items : w->how.batch;
    struct device_room *r = &w->room;

    w->p = device_take(r, p, users * dim);
    w->q = device_take(r, q, items * dim);
    w->p_sum = take_sums(w, users);
    w->q_sum = take_sums(w, items);
    w->b = device_take(r, NULL, w->how.batch * dim);
    w->b_grad = device_take(r, NULL, w->how.batch * dim);
    w->q_grad = device_take(r, NULL, items * dim);
    w->gram = device_take(r, NULL, w->how.dim * dim);
    w->gram_room =
        device_take(r, NULL, device_cuda()->gram_bytes(longer, w->how.dim));
}

static void take_rows(struct rec_wmf_cuda *w)
{
    const size_t users = w->d->n_users, rows = w->d->n_rows;
    struct device_room *r = &w->room;

    w->name = device_take(r, w->d->user_key, users * sizeof(*w->name));
    w->ptr = device_take(r, NULL, (users + 1) * sizeof(*w->ptr));
    w->t_ptr = device_take(r, NULL, (w->d->n_items + 1) * sizeof(*w->t_ptr));
    w->order = device_take(r, NULL, users * sizeof(*w->order));
    w->idx = device_take(r, NULL, rows * sizeof(*w->idx));
    w->row = device_take(r, NULL, rows * sizeof(*w->row));
    w->val = device_take(r, NULL, rows * sizeof(*w->val));
    w->key = device_take(r, NULL, w->most * sizeof(*w->key));
    w->from = device_take(r, NULL, w->most * sizeof(*w->from));
    w->t_idx = device_take(r, NULL, w->most * sizeof(*w->t_idx));
    w->t_val = device_take(r, NULL, w->most * sizeof(*w->t_val));
    w->sort_room = device_take(r, NULL, device_cuda()->sort_bytes(w->most));
    for (size_t i = 0; i < w->most; i++)
        w->host_idx[i] = (uint32_t)i;
    w->count = device_take(r, w->host_idx, w->most * sizeof(*w->count));
}

enum err rec_wmf_cuda_new(struct rec_wmf_cuda **out, const struct rec_data *d,
                          const struct rec_wmf_how *how, const float *p,
                          const float *q)
{
    struct rec_wmf_cuda *w = mem_array(1, sizeof(*w));

    *out = w;
    if (w == NULL)
        return err_set(ERR_NOMEM, "no memory for wmf on the GPU");
    w->d = d;
    w->how = *how;
    w->most = most_rows(d, how->batch);
    w->host_ptr = mem_take(&w->s, d->n_users + 1, 1, sizeof(*w->host_ptr));
    w->host_idx = mem_take(&w->s, d->n_rows, 1, sizeof(*w->host_idx));
    w->host_row = mem_take(&w->s, d->n_rows, 1, sizeof(*w->host_row));
    if (w->s.failed)
        return err_set(ERR_NOMEM, "no memory for wmf on the GPU");
    take_vectors(w, p, q);
    take_rows(w);
    return w->room.e;
}

void rec_wmf_cuda_free(struct rec_wmf_cuda *w)
{
    if (w == NULL)
        return;
    device_room_drop(&w->room);
    mem_drop(&w->s);
    free(w);
}

enum err rec_wmf_cuda_order(struct rec_wmf_cuda *w, const uint32_t *order)
{
    const struct krn_cuda *gpu = device_cuda();
    const struct rec_data *d = w->d;
    char why[KRN_CUDA_WHY] = "";
    size_t at = 0;

    for (size_t i = 0; i < d->n_users; i++) {
        w->host_ptr[i] = at;
        for (size_t r = d->user_ptr[order[i]]; r < d->user_ptr[order[i] + 1];
             r++) {
            w->host_idx[at] = d->item[r];
            w->host_row[at++] = (uint32_t)(i % w->how.batch);
        }
    }
    w->host_ptr[d->n_users] = at;
    return device_said(
        gpu->put(w->order, order, d->n_users * sizeof(*order), why) ||
            gpu->put(w->ptr, w->host_ptr,
                     (d->n_users + 1) * sizeof(*w->host_ptr), why) ||
            gpu->put(w->idx, w->host_idx, at * sizeof(*w->idx), why) ||
            gpu->put(w->row, w->host_row, at * sizeof(*w->row), why),
        why);
}

/* grad = weight x (other^T other), [n][dim]. */
static int spread(const struct rec_wmf_cuda *w, float *grad, const float *x,
                  size_t n, const float *other, size_t n_other, char *why)
{
    const size_t dim = w->how.dim;
    const struct krn_cuda_gram gram = {n_other, dim,          w->how.weight,
                                       other,   w->gram_room, w->gram};
    const struct krn_cuda_gemm product = {.m = n,
                                          .n = dim,
                                          .k = dim,
                                          .dev_a = x,
                                          .dev_b = w->gram,
                                          .dev_c = grad};

    return device_cuda()->gram(&gram, why) ||
           device_cuda()->gemm(&product, why);
}

/* The batch's rows by item: t_ptr, and t_idx, t_val of people and values. */
static int turn(const struct rec_wmf_cuda *w, size_t from, size_t n, char *why)
{
    const struct krn_cuda *gpu = device_cuda();
    int bits = 1;

    while (w->d->n_items >> bits > 0)
        bits++;
    const struct krn_cuda_sort sort = {
        n, bits, w->key, w->from, w->sort_room, w->d->n_items + 1, w->t_ptr};
    /* numbers of 4 bytes, whatever they mean */
    const struct krn_cuda_gather people = {
        n, 1, w->from, (const float *)(const void *)(w->row + from),
        (float *)(void *)w->t_idx};
    const struct krn_cuda_gather values = {n, 1, w->from, w->val + from,
                                           w->t_val};

    return gpu->copy(w->key, w->idx + from, n * sizeof(*w->key), why) ||
           gpu->copy(w->from, w->count, n * sizeof(*w->from), why) ||
           gpu->sort(&sort, why) || gpu->gather(&people, why) ||
           gpu->gather(&values, why);
}

/* Half of the gradients, as gradients() of rec/model_wmf.c. */
static int gradients(const struct rec_wmf_cuda *w, size_t first, size_t n,
                     char *why)
{
    const struct krn_cuda *gpu = device_cuda();
    const size_t dim = w->how.dim, items = w->d->n_items;
    const size_t from = w->host_ptr[first],
                 rows = w->host_ptr[first + n] - from;
    const struct krn_cuda_sddmm met = {.n = rows,
                                       .d = dim,
                                       .dev_row = w->row + from,
                                       .dev_idx = w->idx + from,
                                       .dev_a = w->b,
                                       .dev_b = w->q,
                                       .by = 1 - w->how.weight,
                                       .more = -1,
                                       .dev_out = w->val + from};
    const struct krn_cuda_spmm people = {.rows = n,
                                         .d = dim,
                                         .dev_ptr = w->ptr + first,
                                         .dev_idx = w->idx,
                                         .dev_val = w->val,
                                         .dev_x = w->q,
                                         .dev_add = w->b_grad,
                                         .scale = 1,
                                         .dev_y = w->b_grad};
    const struct krn_cuda_spmm others = {.rows = items,
                                         .d = dim,
                                         .dev_ptr = w->t_ptr,
                                         .dev_idx = w->t_idx,
                                         .dev_val = w->t_val,
                                         .dev_x = w->b,
                                         .dev_add = w->q_grad,
                                         .scale = 1,
                                         .dev_y = w->q_grad};

    return spread(w, w->b_grad, w->b, n, w->q, items, why) ||
           spread(w, w->q_grad, w->q, items, w->b, n, why) ||
           gpu->sddmm(&met, why) || turn(w, from, rows, why) ||
           gpu->spmm(&people, why) || gpu->spmm(&others, why);
}

enum err rec_wmf_cuda_step(struct rec_wmf_cuda *w, size_t first, size_t n,
                           uint64_t seed)
{
    const struct krn_cuda *gpu = device_cuda();
    const struct krn_cuda_thin thin = {
        n,           w->how.dim, w->order + first,
        w->name,     seed,       RNG_DROPOUT,
        w->how.drop, w->p,       w->b};
    const struct krn_cuda_adagrad people = {.rows = n,
                                            .d = w->how.dim,
                                            .dev_row = w->order + first,
                                            .dev_g = w->b_grad,
                                            .dev_thin = w->b,
                                            .scale = 1 / (1 - w->how.drop),
                                            .reg = w->how.reg,
                                            .lr = w->how.lr,
                                            .eps = w->how.eps,
                                            .dev_p = w->p,
                                            .dev_s = w->p_sum};
    const struct krn_cuda_adagrad items = {.rows = w->d->n_items,
                                           .d = w->how.dim,
                                           .dev_g = w->q_grad,
                                           .scale = 1,
                                           .reg = w->how.reg,
                                           .lr = w->how.lr,
                                           .eps = w->how.eps,
                                           .dev_p = w->q,
                                           .dev_s = w->q_sum};
    char why[KRN_CUDA_WHY] = "";

    return device_said(gpu->thin(&thin, why) || gradients(w, first, n, why) ||
                           gpu->adagrad(&people, why) ||
                           gpu->adagrad(&items, why),
                       why);
}

enum err rec_wmf_cuda_get(const struct rec_wmf_cuda *w, float *p, float *q)
{
    const size_t dim = w->how.dim * sizeof(float);

    ERR_TRY(device_get(p, w->p, w->d->n_users * dim));
    return device_get(q, w->q, w->d->n_items * dim);
}
