/* nn/cuda_optim.c - steps of optimisers on the device. */
#include "nn/cuda_optim.h"

#include <math.h>
#include <stdlib.h>

struct nn_optim_cuda {
    struct nn_params *p;
    struct device_room room;
    float *m, *v;   /* [size], or NULL */
    float *squares; /* [parameters] */
    uint32_t *rows; /* [the longest table] those that have gradients */
    float *host;    /* [parameters] */
    size_t n;
};

static float *take_zeros(struct nn_optim_cuda *c, size_t n)
{
    char why[KRN_CUDA_WHY] = "";
    float *dev = device_take(&c->room, NULL, n * sizeof(*dev));

    if (dev != NULL)
        c->room.e =
            device_said(device_cuda()->zero(dev, n * sizeof(*dev), why), why);
    return dev;
}

enum err nn_cuda_optim_new(struct nn_optim_cuda **out, struct nn_params *p,
                           bool one, bool two)
{
    struct nn_optim_cuda *c = mem_array(1, sizeof(*c));
    size_t longest = 1;

    *out = c;
    if (c == NULL)
        return err_set(ERR_NOMEM, "no memory for an optimiser");
    c->p = p;
    c->n = nn_params_count(p);
    for (size_t i = 0; i < c->n; i++) {
        const struct nn_param *q = nn_params_view(p, i);

        longest = q->by_rows && q->dim[0] > longest ? q->dim[0] : longest;
    }
    c->host = mem_array(c->n + 1, sizeof(*c->host));
    if (c->host == NULL)
        return err_set(ERR_NOMEM, "no memory for an optimiser");
    c->m = one ? take_zeros(c, nn_params_size(p)) : NULL;
    c->v = two ? take_zeros(c, nn_params_size(p)) : NULL;
    c->squares = take_zeros(c, c->n + 1);
    c->rows = device_take(&c->room, NULL, longest * sizeof(*c->rows));
    return c->room.e;
}

void nn_cuda_optim_free(struct nn_optim_cuda *c)
{
    if (c == NULL)
        return;
    device_room_drop(&c->room);
    free(c->host);
    free(c);
}

/* Rows that are not touched have a gradient of 0. */
enum err nn_cuda_optim_norm(struct nn_optim_cuda *c, double *norm)
{
    const struct nn_params_cuda *p = nn_cuda_params(c->p);
    char why[KRN_CUDA_WHY] = "";
    double sum = 0;

    for (size_t i = 0; i < c->n; i++) {
        const struct nn_param *q = nn_params_view(c->p, i);

        ERR_TRY(device_said(
            nn_cuda_job((struct krn_cuda_job){.work = KRN_JOB_SQUARE,
                                              .rows = 1,
                                              .n = q->n,
                                              .x = p->grads + q->at,
                                              .y = c->squares + i},
                        why),
            why));
    }
    ERR_TRY(device_get(c->host, c->squares, c->n * sizeof(*c->host)));
    for (size_t i = 0; i < c->n; i++)
        sum += nn_params_view(c->p, i)->frozen ? 0 : (double)c->host[i];
    *norm = sqrt(sum);
    return ERR_OK;
}

static struct krn_cuda_job job_of(const struct nn_optim_cuda *c,
                                  const struct nn_param *q,
                                  enum krn_cuda_work work,
                                  const struct krn_step *how, double clip)
{
    const struct nn_params_cuda *p = nn_cuda_params(c->p);
    const double decay =
        work == KRN_JOB_STEP_ADAM ? how->decay : how->lr * how->decay;

    return (struct krn_cuda_job){
        .work = work,
        .rows = q->by_rows ? q->n_touched : 1,
        .n = q->by_rows ? q->dim[1] : q->n,
        .y = p->values + q->at,
        .z = c->m != NULL ? c->m + q->at : NULL,
        .w = c->v != NULL ? c->v + q->at : NULL,
        .v_out = p->grads + q->at,
        .ids = q->by_rows ? c->rows : NULL,
        .lr = (float)how->lr,
        .beta1 = (float)how->beta1,
        .beta2 = (float)how->beta2,
        .a = (float)(1 - how->beta1),
        .b = (float)(1 - how->beta2),
        .eps = (float)how->eps,
        .keep = (float)(1 - decay),
        .l2 = (float)how->l2,
        .clip = (float)clip,
    };
}

enum err nn_cuda_optim_step(struct nn_optim_cuda *c, const struct nn_param *q,
                            enum krn_cuda_work work, const struct krn_step *how,
                            double clip)
{
    const struct nn_params_cuda *p = nn_cuda_params(c->p);
    char why[KRN_CUDA_WHY] = "";

    if (q->frozen)
        return device_said(
            device_cuda()->zero(p->grads + q->at, q->n * sizeof(float), why),
            why);
    if (q->by_rows && q->n_touched > 0)
        ERR_TRY(device_said(device_cuda()->put(c->rows, q->touched,
                                               q->n_touched * sizeof(*c->rows),
                                               why),
                            why));
    return device_said(nn_cuda_job(job_of(c, q, work, how, clip), why), why);
}

void nn_cuda_optim_get(struct nn_optim_cuda *c, float *m, float *v)
{
    const size_t bytes = nn_params_size(c->p) * sizeof(float);

    if (c->room.e == ERR_OK && m != NULL)
        c->room.e = device_get(m, c->m, bytes);
    if (c->room.e == ERR_OK && v != NULL)
        c->room.e = device_get(v, c->v, bytes);
}

void nn_cuda_optim_put(struct nn_optim_cuda *c, const float *m, const float *v)
{
    const size_t bytes = nn_params_size(c->p) * sizeof(float);
    char why[KRN_CUDA_WHY] = "";

    if (c->room.e == ERR_OK)
        c->room.e = device_said(
            (m != NULL && device_cuda()->put(c->m, m, bytes, why)) ||
                (v != NULL && device_cuda()->put(c->v, v, bytes, why)),
            why);
}
