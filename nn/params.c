/*
 * nn/params.c - declaring, planning and drawing weights.
 *
 * Offsets are multiples of 16 elements: every tensor starts on a cache line.
 */
#include "nn/params.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "base/key.h"
#include "base/mem.h"
#include "base/rng.h"
#include "nn/cuda.h"
#include "nn/params_type.h"

#define PARAMS_ALIGN 16

enum err nn_params_new(struct nn_params **out, enum nn_type type, uint64_t seed)
{
    struct nn_params *p = mem_array(1, sizeof(*p));

    if (p == NULL)
        return err_set(ERR_NOMEM, "no memory for the weights of a network");
    p->type = type;
    p->seed = seed;
    p->k = type == NN_F64 ? &krn_tape_f64 : krn_tape_of(cpu_ops_isa());
    *out = p;
    return ERR_OK;
}

void nn_params_free(struct nn_params *p)
{
    if (p == NULL)
        return;
    nn_cuda_params_drop(p);
    free(p->param);
    free(p->width);
    free(p->values);
    free(p->grads);
    mem_drop(&p->names);
    free(p);
}

void nn_params_freeze(struct nn_params *p, const char *prefix, bool frozen)
{
    for (size_t i = 0; i < p->n; i++) {
        if (strncmp(p->param[i].name, prefix, strlen(prefix)) == 0)
            p->param[i].frozen = frozen;
    }
}

static char *params_name(struct nn_params *p, const char *name)
{
    const size_t len = strlen(name) + 1;
    char *copy = mem_take(&p->names, len, 1, 1);

    if (copy != NULL)
        memcpy(copy, name, len);
    return copy;
}

enum err nn_params_narrow(struct nn_params *p, const char *weight,
                          size_t outputs)
{
    const char *copy = params_name(p, weight);

    if (copy == NULL)
        return err_set(ERR_NOMEM, "no memory for a narrower layer");
    ERR_TRY(mem_grow(&p->width, &p->width_room, p->n_widths + 1,
                     sizeof(*p->width)));
    p->width[p->n_widths++] = (struct nn_params_width){copy, outputs};
    return ERR_OK;
}

size_t nn_params_outputs(const struct nn_params *p, const char *name,
                         size_t outputs)
{
    const size_t len = strlen(name);

    for (size_t i = 0; i < p->n_widths; i++) {
        const struct nn_params_width *w = &p->width[i];

        if (strncmp(w->weight, name, len) == 0 &&
            strcmp(w->weight + len, "/weight") == 0 && w->outputs < outputs)
            return w->outputs;
    }
    return outputs;
}

static bool params_same(const struct nn_param *q, size_t n_dims,
                        const size_t *dim)
{
    return q->n_dims == n_dims &&
           memcmp(q->dim, dim, n_dims * sizeof(*dim)) == 0;
}

static enum err params_add(struct nn_params *p, const char *name, size_t n_dims,
                           const size_t *dim, struct nn_init init)
{
    struct nn_param q = {.n_dims = n_dims, .n = 1, .init = init};

    q.name = params_name(p, name);
    if (q.name == NULL)
        return err_set(ERR_NOMEM, "no memory for parameter '%s'", name);
    for (size_t i = 0; i < n_dims; i++) {
        if (dim[i] != 0 && q.n > SIZE_MAX / 64 / dim[i])
            return err_set(ERR_NOMEM, "parameter '%s' is too large", name);
        q.dim[i] = dim[i];
        q.n *= dim[i];
    }
    ERR_TRY(mem_grow(&p->param, &p->room, p->n + 1, sizeof(*p->param)));
    p->param[p->n++] = q;
    return ERR_OK;
}

enum err nn_params_declare(struct nn_params *p, const char *name, size_t n_dims,
                           const size_t *dim, struct nn_init init,
                           size_t *number)
{
    size_t i = 0;

    while (i < p->n && strcmp(p->param[i].name, name) != 0)
        i++;
    if (i == p->n && p->values != NULL)
        return err_set(ERR_ARG,
                       "parameter '%s' is new, but the weights are planned: "
                       "build all tapes before planning the first",
                       name);
    if (i == p->n)
        ERR_TRY(params_add(p, name, n_dims, dim, init));
    else if (!params_same(&p->param[i], n_dims, dim))
        return err_set(ERR_ARG,
                       "parameter '%s' is used with two shapes: give the "
                       "second use another name",
                       name);
    *number = i;
    return ERR_OK;
}

struct nn_param *nn_params_at(struct nn_params *p, size_t i)
{
    return &p->param[i];
}

/* --- planning ----------------------------------------------------------------
 */

static size_t params_layout(struct nn_params *p)
{
    size_t at = 0;

    for (size_t i = 0; i < p->n; i++) {
        p->param[i].at = at;
        at += (p->param[i].n + PARAMS_ALIGN - 1) / PARAMS_ALIGN * PARAMS_ALIGN;
    }
    return at;
}

double nn_params_plan_bytes(const struct nn_params *p, bool grads)
{
    double n = 0;

    for (size_t i = 0; i < p->n; i++)
        n += (double)p->param[i].n + PARAMS_ALIGN;
    n *= (double)p->k->size;
    return (p->values == NULL ? n : 0) + (grads && p->grads == NULL ? n : 0);
}

static enum err params_plan_grads(struct nn_params *p)
{
    for (size_t i = 0; i < p->n; i++) {
        struct nn_param *q = &p->param[i];

        q->by_rows = q->looked_up && !q->dense && q->n_dims == 2;
        if (!q->by_rows)
            continue;
        q->touched = mem_take(&p->names, q->dim[0], 1, sizeof(*q->touched));
        q->mark = mem_take(&p->names, q->dim[0], 1, 1);
    }
    p->grads = mem_array(p->size, p->k->size);
    if (p->grads == NULL || p->names.failed) {
        free(p->grads);
        p->grads = NULL;
        return err_set(ERR_NOMEM, "no memory for gradients of %zu weights",
                       p->size);
    }
    return ERR_OK;
}

enum err nn_params_plan(struct nn_params *p, bool grads)
{
    if (p->values == NULL) {
        p->size = params_layout(p);
        p->values = mem_array(p->size, p->k->size);
        if (p->values == NULL)
            return err_set(ERR_NOMEM, "no memory for %zu weights", p->size);
        nn_params_reset(p, p->seed);
    }
    if (grads && p->grads == NULL)
        return params_plan_grads(p);
    return ERR_OK;
}

/* --- first values ------------------------------------------------------------
 */

/* Numbers first..first+n-1 of a parameter, from the stream `seed`. */
static void params_draw(struct nn_params *p, size_t at, size_t n, uint64_t seed,
                        uint64_t key, const struct nn_init *init)
{
    const double fans = (double)(init->in + init->out);
    const double wide = init->kind == NN_INIT_XAVIER
                            ? init->scale * sqrt(6 / fans)
                            : init->scale;
    const double dev = init->kind == NN_INIT_HE
                           ? init->scale * sqrt(2 / (double)init->in)
                           : init->scale;
    void *x = (unsigned char *)nn_params_values(p) + at * p->k->size;

    switch (init->kind) {
    case NN_INIT_ZERO:
        memset(x, 0, n * p->k->size);
        break;
    case NN_INIT_CONSTANT:
        for (size_t i = 0; i < n; i++)
            krn_tape_set(p->k, x, i, init->scale);
        break;
    case NN_INIT_FORGET:
        memset(x, 0, n * p->k->size);
        for (size_t i = init->in; i < init->in + init->out && i < n; i++)
            krn_tape_set(p->k, x, i, init->scale);
        break;
    case NN_INIT_XAVIER:
    case NN_INIT_UNIFORM:
        for (size_t i = 0; i < n; i++) {
            const double u = (double)rng_f32(seed ^ key, RNG_INIT, (uint64_t)i);

            krn_tape_set(p->k, x, i, (double)(float)(wide * (2 * u - 1)));
        }
        break;
    case NN_INIT_HE:
    case NN_INIT_NORMAL:
        p->k->gauss(x, seed, key, RNG_INIT, n);
        for (size_t i = 0; i < n; i++)
            krn_tape_set(p->k, x, i,
                         (double)(float)(dev * krn_tape_get(p->k, x, i)));
        break;
    }
}

static uint64_t params_seed(uint64_t seed, const char *name)
{
    return seed ^ key_of(name, strlen(name));
}

void nn_params_serve(struct nn_params *p, size_t i, const struct nn_sparse *s,
                     size_t level)
{
    p->param[i].packed = s;
    p->param[i].level = level;
}

void nn_params_reset(struct nn_params *p, uint64_t seed)
{
    p->seed = seed;
    for (size_t i = 0; i < p->n; i++) {
        const struct nn_param *q = &p->param[i];

        params_draw(p, q->at, q->n, params_seed(seed, q->name), 0, &q->init);
    }
}

static enum err params_named(const struct nn_params *p, const char *name,
                             const struct nn_param **q)
{
    *q = nn_params_find(p, name);
    if (*q == NULL || p->values == NULL)
        return err_set(ERR_NOTFOUND, "the network has no parameter '%s'", name);
    return ERR_OK;
}

enum err nn_params_draw(struct nn_params *p, const char *name,
                        struct nn_init init)
{
    const struct nn_param *q;

    ERR_TRY(params_named(p, name, &q));
    params_draw(p, q->at, q->n, params_seed(p->seed, name), 0, &init);
    return ERR_OK;
}

enum err nn_params_init_rows(struct nn_params *p, const char *name,
                             const uint64_t *keys)
{
    const struct nn_param *q;

    ERR_TRY(params_named(p, name, &q));
    const size_t d = q->dim[0] == 0 ? 0 : q->n / q->dim[0];

    for (size_t r = 0; r < q->dim[0]; r++)
        params_draw(p, q->at + r * d, d, params_seed(p->seed, name), keys[r],
                    &q->init);
    return ERR_OK;
}

/* --- looking at them ---------------------------------------------------------
 */

enum nn_type nn_params_type(const struct nn_params *p)
{
    return p->type;
}

size_t nn_params_count(const struct nn_params *p)
{
    return p->n;
}

const struct nn_param *nn_params_view(const struct nn_params *p, size_t i)
{
    return &p->param[i];
}

const struct nn_param *nn_params_find(const struct nn_params *p,
                                      const char *name)
{
    for (size_t i = 0; i < p->n; i++) {
        if (strcmp(p->param[i].name, name) == 0)
            return &p->param[i];
    }
    return NULL;
}

void *nn_params_values(const struct nn_params *p)
{
    nn_cuda_params_back((struct nn_params *)(uintptr_t)p, false);
    return p->values;
}

void *nn_params_grads(const struct nn_params *p)
{
    nn_cuda_params_back((struct nn_params *)(uintptr_t)p, true);
    return p->grads;
}

size_t nn_params_size(const struct nn_params *p)
{
    return p->size;
}

const struct krn_tape *nn_params_kernels(const struct nn_params *p)
{
    return p->k;
}

uint64_t nn_params_seed(const struct nn_params *p)
{
    return p->seed;
}

void nn_params_clear(struct nn_params *p)
{
    if (p->grads == NULL)
        return;
    memset(p->grads, 0, p->size * p->k->size);
    nn_cuda_params_clear(p);
    for (size_t i = 0; i < p->n; i++) {
        if (!p->param[i].by_rows)
            continue;
        p->param[i].n_touched = 0;
        memset(p->param[i].mark, 0, p->param[i].dim[0]);
    }
}

size_t nn_params_copy(struct nn_params *to, const struct nn_params *from)
{
    size_t copied = 0;

    (void)nn_params_values(to); /* what a device has is newer */
    (void)nn_params_values(from);
    for (size_t i = 0; i < to->n; i++) {
        const struct nn_param *a = &to->param[i];
        const struct nn_param *b = nn_params_find(from, a->name);

        if (b == NULL || !params_same(b, a->n_dims, a->dim))
            continue;
        for (size_t j = 0; j < a->n; j++)
            krn_tape_set(to->k, to->values, a->at + j,
                         krn_tape_get(from->k, from->values, b->at + j));
        copied++;
    }
    return copied;
}
