/* nn/optim.c - optimiser steps over the block of weights. */
#include "nn/optim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/par.h"
#include "nn/cuda_optim.h"

#define OPTIM_PIECE ((size_t)16384)

struct nn_optim {
    struct nn_params *p;
    const struct krn_tape *k;
    struct nn_optim_opt opt;
    uint64_t steps;
    void *m, *v;                /* [size], or NULL */
    struct nn_optim_cuda *cuda; /* nn/cuda_optim.h, or NULL */
};

static enum err optim_check(const struct nn_optim_opt *o)
{
    const bool fine = o->lr >= 0 && o->beta1 >= 0 && o->beta1 < 1 &&
                      o->beta2 >= 0 && o->beta2 < 1 && o->eps >= 0 &&
                      o->decay >= 0 && o->l2 >= 0 && o->clip >= 0 &&
                      o->factor >= 0 && o->lr < 1e6;

    if (!fine)
        return err_set(ERR_ARG, "the optimiser wants lr, eps, decay, l2, clip "
                                "and factor >= 0, and betas in [0, 1)");
    if (o->rate != NN_RATE_CONSTANT && o->period == 0)
        return err_set(ERR_ARG, "a schedule of the learning rate wants a "
                                "period of at least one step");
    return ERR_OK;
}

static void optim_defaults(struct nn_optim_opt *o)
{
    if (o->kind == NN_ADAM && o->beta1 == 0)
        o->beta1 = 0.9;
    if (o->kind == NN_ADAM && o->beta2 == 0)
        o->beta2 = 0.999;
    if (o->eps == 0)
        o->eps = o->kind == NN_ADAGRAD ? 1e-10 : 1e-8;
}

enum err nn_optim_new(struct nn_optim **out, struct nn_params *p,
                      const struct nn_optim_opt *opt)
{
    const bool two = opt->kind == NN_ADAM;
    const bool one = opt->kind != NN_SGD || opt->beta1 > 0;
    struct nn_optim *o;

    ERR_TRY(optim_check(opt));
    if (nn_params_grads(p) == NULL)
        return err_set(ERR_ARG, "an optimiser wants a network planned with a "
                                "loss");
    o = mem_array(1, sizeof(*o));
    if (o == NULL)
        return err_set(ERR_NOMEM, "no memory for an optimiser");
    o->p = p;
    o->k = nn_params_kernels(p);
    o->opt = *opt;
    optim_defaults(&o->opt);
    o->m = one ? mem_array(nn_params_size(p), o->k->size) : NULL;
    o->v = two ? mem_array(nn_params_size(p), o->k->size) : NULL;
    if ((one && o->m == NULL) || (two && o->v == NULL)) {
        nn_optim_free(o);
        return err_set(ERR_NOMEM,
                       "no memory for the state of an optimiser of "
                       "%zu weights",
                       nn_params_size(p));
    }
    *out = o;
    if (nn_cuda_params(p) == NULL)
        return ERR_OK;
    const enum err e = nn_cuda_optim_new(&o->cuda, p, one, two);

    if (e != ERR_OK)
        nn_optim_free(o);
    return e;
}

void nn_optim_free(struct nn_optim *o)
{
    if (o == NULL)
        return;
    nn_cuda_optim_free(o->cuda);
    free(o->m);
    free(o->v);
    free(o);
}

uint64_t nn_optim_steps(const struct nn_optim *o)
{
    return o->steps;
}

/* --- rates -------------------------------------------------------------------
 */

/* b^n by squaring: the C library's pow() need not be the same everywhere. */
static double optim_power(double b, uint64_t n)
{
    double p = 1;

    for (; n > 0; n >>= 1, b *= b) {
        if (n & 1)
            p *= b;
    }
    return p;
}

/* cos(pi x) for x in [0, 1], by Taylor's series about the nearer of 0 and 1/2
 * (as a sine); the C library's need not be the same everywhere. */
static double optim_cos_pi(double x)
{
    const double pi = 3.14159265358979323846;
    const double y = x > 0.5 ? 1 - x : x;
    const bool small = y < 0.25;
    const double z = pi * (small ? y : 0.5 - y);
    double term = small ? 1 : z, sum = term;

    for (int k = small ? 1 : 2; k < 24; k += 2) {
        term *= -z * z / (k * (k + 1));
        sum += term;
    }
    return x > 0.5 ? -sum : sum;
}

double nn_optim_lr(const struct nn_optim_opt *o, uint64_t step)
{
    const double factor =
        o->factor == 0 && o->rate == NN_RATE_STEP ? 0.1 : o->factor;
    const uint64_t s = step < o->warm_up ? 0 : step - o->warm_up;

    if (step < o->warm_up)
        return o->lr * (double)(step + 1) / (double)o->warm_up;
    if (o->rate == NN_RATE_STEP)
        return o->lr * optim_power(factor, s / o->period);
    if (o->rate == NN_RATE_COSINE) {
        const double part = s >= o->period ? 1 : (double)s / (double)o->period;

        return o->lr * (factor + (1 - factor) * (1 + optim_cos_pi(part)) / 2);
    }
    return o->lr;
}

/* --- norm --------------------------------------------------------------------
 */

static const void *optim_at(const struct krn_tape *k, const void *x, size_t i)
{
    return (const unsigned char *)x + i * k->size;
}

static double optim_square(const struct krn_tape *k, const void *g, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i += OPTIM_PIECE) {
        const size_t m = n - i < OPTIM_PIECE ? n - i : OPTIM_PIECE;
        const void *x = optim_at(k, g, i);

        sum += k->dot(x, x, m);
    }
    return sum;
}

double nn_optim_norm(const struct nn_params *p)
{
    const struct krn_tape *k = nn_params_kernels(p);
    const void *g = nn_params_grads(p);
    double sum = 0;

    for (size_t i = 0; i < nn_params_count(p); i++) {
        const struct nn_param *q = nn_params_view(p, i);

        if (q->frozen)
            continue;
        if (!q->by_rows)
            sum += optim_square(k, optim_at(k, g, q->at), q->n);
        for (size_t r = 0; r < q->n_touched; r++)
            sum += optim_square(
                k, optim_at(k, g, q->at + q->touched[r] * q->dim[1]),
                q->dim[1]);
    }
    return sqrt(sum);
}

/* --- steps -------------------------------------------------------------------
 */

struct optim_job {
    struct nn_optim *o;
    const struct nn_param *q;
    double clip;
    struct krn_step step;
};

static void *optim_of(const struct nn_optim *o, void *x, size_t at)
{
    return x == NULL ? NULL : (unsigned char *)x + at * o->k->size;
}

/* Elements at..at+n-1 of the block. */
static void optim_apply(const struct optim_job *j, size_t at, size_t n)
{
    const struct nn_optim *o = j->o;
    void *p = optim_of(o, nn_params_values(o->p), at);
    void *g = optim_of(o, nn_params_grads(o->p), at);
    void *m = optim_of(o, o->m, at), *v = optim_of(o, o->v, at);

    switch (o->opt.kind) {
    case NN_SGD:
        o->k->sgd(p, m, g, n, j->clip, &j->step);
        break;
    case NN_ADAM:
        o->k->adam(p, m, v, g, n, j->clip, &j->step);
        break;
    case NN_ADAGRAD:
        o->k->adagrad(p, m, g, n, j->clip, &j->step);
        break;
    }
    memset(g, 0, n * o->k->size);
}

static void optim_piece(void *arg, size_t task, size_t thread)
{
    const struct optim_job *j = arg;
    const size_t first = task * OPTIM_PIECE, left = j->q->n - first;

    (void)thread;
    optim_apply(j, j->q->at + first, left < OPTIM_PIECE ? left : OPTIM_PIECE);
}

static void optim_rows(void *arg, size_t task, size_t thread)
{
    const struct optim_job *j = arg;
    const size_t d = j->q->dim[1];

    (void)thread;
    for (size_t r = task * 64; r < j->q->n_touched && r < task * 64 + 64; r++)
        optim_apply(j, j->q->at + j->q->touched[r] * d, d);
}

static struct krn_step optim_now(const struct nn_optim *o,
                                 const struct nn_param *q)
{
    const struct nn_optim_opt *p = &o->opt;
    const bool matrix = q->n_dims > 1 && !(q->by_rows && p->spare_tables);
    struct krn_step s = {
        nn_optim_lr(p, o->steps), p->beta1,          p->beta2, p->eps,
        matrix ? p->decay : 0,    matrix ? p->l2 : 0};

    if (p->kind == NN_ADAM) { /* bias correction, into lr and eps */
        const double c1 = 1 - optim_power(p->beta1, o->steps + 1);
        const double c2 = sqrt(1 - optim_power(p->beta2, o->steps + 1));

        s.decay *= s.lr; /* as the kernel wants it */
        s.lr *= c2 / c1;
        s.eps *= c2;
    }
    return s;
}

static void optim_clear_rows(struct nn_param *q)
{
    for (size_t r = 0; r < q->n_touched; r++)
        q->mark[q->touched[r]] = 0;
    q->n_touched = 0;
}

/* What a frozen parameter gathered in tapes built before it was frozen. */
static void optim_forget(const struct nn_optim *o, struct nn_param *q)
{
    void *g = nn_params_grads(o->p);
    const size_t bytes = o->k->size;

    for (size_t r = 0; q->by_rows && r < q->n_touched; r++)
        memset(optim_of(o, g, q->at + q->touched[r] * q->dim[1]), 0,
               q->dim[1] * bytes);
    if (q->by_rows)
        optim_clear_rows(q);
    else
        memset(optim_of(o, g, q->at), 0, q->n * bytes);
}

static enum err optim_norm(const struct nn_optim *o, double *norm)
{
    if (o->cuda != NULL)
        return nn_cuda_optim_norm(o->cuda, norm);
    *norm = nn_optim_norm(o->p);
    return ERR_OK;
}

static enum err optim_cuda(struct nn_optim *o, double clip)
{
    static const enum krn_cuda_work work[] = {[NN_SGD] = KRN_JOB_STEP_SGD,
                                              [NN_ADAM] = KRN_JOB_STEP_ADAM,
                                              [NN_ADAGRAD] =
                                                  KRN_JOB_STEP_ADAGRAD};

    for (size_t i = 0; i < nn_params_count(o->p); i++) {
        struct nn_param *q = nn_params_at(o->p, i);
        const struct krn_step step = optim_now(o, q);

        ERR_TRY(nn_cuda_optim_step(o->cuda, q, work[o->opt.kind], &step, clip));
        if (q->by_rows)
            optim_clear_rows(q);
    }
    nn_cuda_params_stepped(o->p);
    o->steps++;
    return ERR_OK;
}

enum err nn_optim_step(struct nn_optim *o)
{
    double clip = 1;

    if (o->opt.clip > 0) {
        double norm = 0;

        ERR_TRY(optim_norm(o, &norm));

        if (!isfinite(norm))
            return err_set(ERR_NUM,
                           "the gradient is not finite in step %llu: "
                           "lower the learning rate",
                           (unsigned long long)o->steps);
        clip = norm > o->opt.clip ? o->opt.clip / norm : 1;
    }
    if (o->cuda != NULL)
        return optim_cuda(o, clip);
    for (size_t i = 0; i < nn_params_count(o->p); i++) {
        struct nn_param *q = nn_params_at(o->p, i);
        struct optim_job j = {o, q, clip, optim_now(o, q)};

        if (q->frozen) {
            optim_forget(o, q);
        } else if (q->by_rows) {
            par_for((q->n_touched + 63) / 64, optim_rows, &j);
            optim_clear_rows(q);
        } else {
            par_for((q->n + OPTIM_PIECE - 1) / OPTIM_PIECE, optim_piece, &j);
        }
    }
    o->steps++;
    return ERR_OK;
}

enum err nn_optim_train(struct nn_optim *o, struct nn_tape *t, double *loss)
{
    double l;

    nn_tape_step(t, o->steps);
    ERR_TRY(nn_tape_forward(t));
    l = nn_tape_loss(t);
    if (!isfinite(l))
        return err_set(ERR_NUM,
                       "the loss is not finite in step %llu: lower "
                       "the learning rate",
                       (unsigned long long)o->steps);
    ERR_TRY(nn_tape_backward(t));
    ERR_TRY(nn_optim_step(o));
    if (loss != NULL)
        *loss = l;
    return ERR_OK;
}

/* --- state: steps in two floats of 24 bits, then m, then v -------------------
 */

size_t nn_optim_state_size(const struct nn_optim *o)
{
    const size_t n = nn_params_size(o->p);

    return 2 + (o->m != NULL ? n : 0) + (o->v != NULL ? n : 0);
}

void nn_optim_state(const struct nn_optim *o, float *state)
{
    const size_t n = nn_params_size(o->p);

    if (o->cuda != NULL)
        nn_cuda_optim_get(o->cuda, o->m, o->v);
    *state++ = (float)(o->steps & 0xffffff);
    *state++ = (float)(o->steps >> 24);
    for (size_t i = 0; o->m != NULL && i < n; i++)
        *state++ = (float)krn_tape_get(o->k, o->m, i);
    for (size_t i = 0; o->v != NULL && i < n; i++)
        *state++ = (float)krn_tape_get(o->k, o->v, i);
}

void nn_optim_restore(struct nn_optim *o, const float *state)
{
    const size_t n = nn_params_size(o->p);

    o->steps = (uint64_t)state[0] + ((uint64_t)state[1] << 24);
    state += 2;
    for (size_t i = 0; o->m != NULL && i < n; i++)
        krn_tape_set(o->k, o->m, i, (double)*state++);
    for (size_t i = 0; o->v != NULL && i < n; i++)
        krn_tape_set(o->k, o->v, i, (double)*state++);
    if (o->cuda != NULL)
        nn_cuda_optim_put(o->cuda, o->m, o->v);
}
