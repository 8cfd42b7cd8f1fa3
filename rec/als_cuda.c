/* rec/als_cuda.c - implicit ALS on the GPU. */
#include "rec/als_cuda.h"

#include <stdlib.h>

#include "base/device.h"
#include "base/mem.h"
#include "rec/turn.h"

struct side {
    size_t n;
    uint64_t *ptr;
    uint32_t *idx;
    float *value; /* or NULL */
    float *x;     /* [n][dim] */
};

struct rec_als_cuda {
    size_t dim;
    struct device_room room;
    struct side people, items;
    float *turned;       /* [the longer][dim] */
    float *full, *basis; /* [dim][dim] */
    float *gram;         /* [dim] */
    void *gram_room;
    float *host; /* [dim][dim + 1] */
};

/* Values in the order of the items' entries. */
static float *values_by_item(const struct rec_columns *cols, const float *value,
                             size_t n)
{
    float *v = mem_array(n, sizeof(*v));

    for (size_t e = 0; e < n && v != NULL; e++)
        v[e] = value[cols->row[e]];
    return v;
}

static void take_rows(struct rec_als_cuda *c, const struct rec_data *d,
                      const struct rec_columns *cols, const float *value,
                      const float *by_item)
{
    struct device_room *r = &c->room;
    const size_t rows = d->n_rows;

    c->people.ptr =
        device_take(r, d->user_ptr, (d->n_users + 1) * sizeof(*d->user_ptr));
    c->people.idx = device_take(r, d->item, rows * sizeof(*d->item));
    c->items.ptr =
        device_take(r, cols->ptr, (d->n_items + 1) * sizeof(*cols->ptr));
    c->items.idx = device_take(r, cols->user, rows * sizeof(*cols->user));
    if (value == NULL)
        return;
    c->people.value = device_take(r, value, rows * sizeof(*value));
    c->items.value = device_take(r, by_item, rows * sizeof(*by_item));
}

static void take_factors(struct rec_als_cuda *c, const float *users,
                         const float *items)
{
    struct device_room *r = &c->room;
    const size_t row = c->dim * sizeof(float);
    const size_t longer = c->people.n > c->items.n ? c->people.n : c->items.n;

    c->people.x = device_take(r, users, c->people.n * row);
    c->items.x = device_take(r, items, c->items.n * row);
    c->turned = device_take(r, NULL, longer * row);
    c->full = device_take(r, NULL, c->dim * row);
    c->basis = device_take(r, NULL, c->dim * row);
    c->gram = device_take(r, NULL, row);
    c->gram_room =
        device_take(r, NULL, device_cuda()->gram_bytes(longer, c->dim));
}

enum err rec_als_cuda_new(struct rec_als_cuda **out, const struct rec_data *d,
                          const struct rec_columns *cols, const float *value,
                          size_t dim, bool exact, const float *users,
                          const float *items)
{
    const size_t most = exact ? KRN_CUDA_EXACT : KRN_CUDA_CG;
    struct rec_als_cuda *c = mem_array(1, sizeof(*c));
    float *by_item =
        value != NULL ? values_by_item(cols, value, d->n_rows) : NULL;
    enum err e = ERR_OK;

    *out = c;
    if (dim > most)
        e = err_set(ERR_ARG, "--device cuda: --dim of at most %zu%s", most,
                    exact ? " with --solver cholesky" : "");
    else if (c == NULL || (value != NULL && by_item == NULL))
        e = err_set(ERR_NOMEM, "no memory for ials on the GPU");
    if (e == ERR_OK) {
        c->dim = dim;
        c->people.n = d->n_users;
        c->items.n = d->n_items;
        c->host = mem_array(dim * (dim + 1), sizeof(*c->host));
        if (c->host == NULL)
            e = err_set(ERR_NOMEM, "no memory for ials on the GPU");
    }
    if (e == ERR_OK) {
        take_rows(c, d, cols, value, by_item);
        take_factors(c, users, items);
        e = c->room.e;
    }
    free(by_item);
    return e;
}

void rec_als_cuda_free(struct rec_als_cuda *c)
{
    if (c == NULL)
        return;
    device_room_drop(&c->room);
    free(c->host);
    free(c);
}

enum err rec_als_cuda_solve(struct rec_als_cuda *c, bool people,
                            const struct rec_als *a)
{
    const struct side *s = people ? &c->people : &c->items;
    const struct side *fixed = people ? &c->items : &c->people;
    const struct krn_cuda_als job = {
        .rows = s->n,
        .d = c->dim,
        .steps = a->steps,
        .dev_ptr = s->ptr,
        .dev_idx = s->idx,
        .dev_value = s->value,
        .dev_fixed = fixed->x,
        .dev_gram = c->gram,
        .alpha = a->alpha,
        .reg = a->reg,
        .base = (float)fixed->n / a->alpha,
        .exponent = a->exponent,
        .dev_x = s->x,
    };
    char why[KRN_CUDA_WHY] = "";

    return device_said(device_cuda()->als(&job, why), why);
}

/* x = x basis^T */
static int turn_rows(const struct rec_als_cuda *c, const struct side *s,
                     char *why)
{
    const struct krn_cuda_gemm g = {.m = s->n,
                                    .n = c->dim,
                                    .k = c->dim,
                                    .turned = 1,
                                    .dev_a = s->x,
                                    .dev_b = c->basis,
                                    .dev_c = c->turned};

    return device_cuda()->gemm(&g, why) ||
           device_cuda()->copy(s->x, c->turned, s->n * c->dim * sizeof(float),
                               why);
}

enum err rec_als_cuda_turn(struct rec_als_cuda *c, bool people)
{
    const struct krn_cuda *gpu = device_cuda();
    const struct side *s = people ? &c->people : &c->items;
    const struct krn_cuda_gram g = {s->n, c->dim,       1,
                                    s->x, c->gram_room, c->full};
    const size_t square = c->dim * c->dim;
    char why[KRN_CUDA_WHY] = "";

    ERR_TRY(device_said(gpu->gram(&g, why), why));
    ERR_TRY(device_get(c->host, c->full, square * sizeof(float)));
    ERR_TRY(rec_turn_basis(c->host, c->host + square, c->dim));
    return device_said(
        gpu->put(c->basis, c->host, square * sizeof(float), why) ||
            gpu->put(c->gram, c->host + square, c->dim * sizeof(float), why) ||
            turn_rows(c, &c->people, why) || turn_rows(c, &c->items, why),
        why);
}

enum err rec_als_cuda_get(const struct rec_als_cuda *c, float *users,
                          float *items, float *gram)
{
    const size_t row = c->dim * sizeof(float);

    ERR_TRY(device_get(users, c->people.x, c->people.n * row));
    ERR_TRY(device_get(items, c->items.x, c->items.n * row));
    return device_get(gram, c->gram, row);
}
