/* rec/train_cuda.c - learning from rows against random items, on the GPU. */
#include "rec/train_cuda.h"

#include "base/rng.h"

enum err rec_cuda_open(struct rec_cuda *c, const struct rec_data *d, size_t dim,
                       const float *e, const uint32_t *user_of, size_t batch,
                       const struct krn_cuda_compare *loss)
{
    struct device_room *r = &c->room;
    const size_t n = d->n_users + d->n_items, bytes = n * dim * sizeof(*e);
    char why[KRN_CUDA_WHY] = "";

    *c = (struct rec_cuda){.d = d, .n = n, .dim = dim, .loss = *loss};
    c->e = device_take(r, e, bytes);
    c->m = device_take(r, NULL, bytes);
    c->v = device_take(r, NULL, bytes);
    c->grad = device_take(r, NULL, bytes);
    c->order = device_take(r, NULL, d->n_rows * sizeof(*c->order));
    c->loss.rows = batch;
    c->loss.d = dim;
    c->loss.n_users = d->n_users;
    c->loss.n_items = d->n_items;
    c->loss.what = RNG_NEGATIVE;
    c->loss.dev_user = device_take(r, user_of, d->n_rows * sizeof(*user_of));
    c->loss.dev_item = device_take(r, d->item, d->n_rows * sizeof(*d->item));
    c->loss.dev_user_ptr =
        device_take(r, d->user_ptr, (d->n_users + 1) * sizeof(*d->user_ptr));
    c->loss.dev_grad = c->grad;
    c->loss.dev_room =
        device_take(r, NULL, device_cuda()->compare_bytes(&c->loss));
    c->by.n = d->n_rows;
    c->by.dev_order = c->order;
    c->by.dev_room =
        device_take(r, NULL, device_cuda()->order_bytes(d->n_rows));
    if (r->e != ERR_OK)
        return r->e;
    return device_said(device_cuda()->zero(c->m, bytes, why) ||
                           device_cuda()->zero(c->v, bytes, why),
                       why);
}

enum err rec_cuda_compare(struct rec_cuda *c, const float *vec, size_t first,
                          size_t rows, uint64_t seed, uint64_t name)
{
    char why[KRN_CUDA_WHY] = "";

    c->loss.rows = rows;
    c->loss.seed = seed;
    c->loss.first = name;
    c->loss.dev_order = c->order + first;
    c->loss.dev_vec = vec;
    return device_said(device_cuda()->compare(&c->loss, why), why);
}

enum err rec_cuda_adam(const struct rec_cuda *c, const float *grad,
                       const struct krn_adam *how)
{
    const struct krn_cuda_adam a = {.n = c->n * c->dim,
                                    .dev_p = c->e,
                                    .dev_m = c->m,
                                    .dev_v = c->v,
                                    .dev_g = grad,
                                    .lr = how->lr,
                                    .beta1 = how->beta1,
                                    .beta2 = how->beta2,
                                    .eps = how->eps,
                                    .decay = how->decay};
    char why[KRN_CUDA_WHY] = "";

    return device_said(device_cuda()->adam(&a, why), why);
}
