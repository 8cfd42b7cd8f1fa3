/* nn/tape.c - life of a tape: making, filling, running. */
#include "nn/tape.h"

#include <assert.h>
#include <string.h>

#include "nn/cuda.h"
#include "nn/node.h"

enum err nn_tape_new(struct nn_tape **out, struct nn_params *params)
{
    struct nn_tape *t = mem_array(1, sizeof(*t));

    if (t == NULL)
        return err_set(ERR_NOMEM, "no memory for a network");
    t->params = params;
    t->k = nn_params_kernels(params);
    t->none.name = "none";
    t->none.n_dims = 1;
    t->none.dim[0] = t->none.n = 1;
    t->none.root = &t->none;
    t->none.param = t->none.maker = SIZE_MAX;
    *out = t;
    return ERR_OK;
}

void nn_tape_free(struct nn_tape *t)
{
    if (t == NULL)
        return;
    nn_cuda_drop(t);
    free(t->arena);
    free(t->node);
    mem_drop(&t->build);
    free(t);
}

struct nn_tensor *nn_tape_input(struct nn_tape *t, const char *name,
                                size_t n_dims, const size_t *dim)
{
    return nn_node_tensor(t, NN_REALS, name, n_dims, dim);
}

struct nn_tensor *nn_tape_ids(struct nn_tape *t, const char *name,
                              size_t n_dims, const size_t *dim)
{
    return nn_node_tensor(t, NN_IDS, name, n_dims, dim);
}

struct nn_tensor *nn_tape_keys(struct nn_tape *t, const char *name, size_t n)
{
    return nn_node_tensor(t, NN_KEYS, name, 1, &n);
}

struct nn_tensor *nn_tape_leaf(struct nn_tape *t, const char *name,
                               size_t n_dims, const size_t *dim)
{
    struct nn_tensor *x = nn_node_tensor(t, NN_REALS, name, n_dims, dim);

    x->needs_grad = x != &t->none;
    return x;
}

static void constant_forward(struct nn_tape *t, struct nn_node *o)
{
    (void)t, (void)o; /* written when the plan is made */
}

static const struct nn_op op_constant = {"constant", constant_forward, NULL};

struct nn_tensor *nn_tape_constant(struct nn_tape *t, const char *name,
                                   size_t n_dims, const size_t *dim,
                                   const float *values)
{
    struct nn_node *o = nn_node_new(t, &op_constant, 0, NULL, n_dims, dim);

    if (o == NULL)
        return &t->none;
    (void)name;
    o->keep = mem_take(&t->build, o->out[0]->n, 1, sizeof(float));
    if (o->keep == NULL)
        return nn_node_fail(t, "no memory for constant '%s'", name);
    memcpy(o->keep, values, o->out[0]->n * sizeof(float));
    o->out[0]->kept = true;
    return o->out[0];
}

void nn_tape_keep(struct nn_tape *t, struct nn_tensor *x)
{
    (void)t;
    x->root->kept = true;
}

void nn_tape_on_device(struct nn_tape *t)
{
    t->on_device = device_cuda() != NULL;
}

void nn_tape_budget(struct nn_tape *t, uint64_t bytes)
{
    t->budget = bytes;
}

uint64_t nn_tape_bytes(const struct nn_tape *t)
{
    return t->bytes;
}

/* --- in and out --------------------------------------------------------------
 */

void nn_tape_set(struct nn_tape *t, struct nn_tensor *x, const float *values)
{
    assert(t->planned && x->kind == NN_REALS);
    if (t->k->size == sizeof(float)) {
        memcpy(x->data, values, x->n * sizeof(float));
        nn_cuda_put(t, x->data, x->n * sizeof(float));
        return;
    }
    for (size_t i = 0; i < x->n; i++)
        krn_tape_set(t->k, x->data, i, (double)values[i]);
}

enum err nn_tape_set_ids(struct nn_tape *t, struct nn_tensor *x,
                         const uint32_t *ids)
{
    assert(t->planned && x->kind == NN_IDS);
    for (size_t i = 0; i < x->n; i++) {
        if (ids[i] >= x->limit && ids[i] != NN_PAD)
            return err_set(ERR_ARG,
                           "%s: id %lu at position %zu, but there "
                           "are only %zu",
                           x->name, (unsigned long)ids[i], i, x->limit);
    }
    memcpy(x->data, ids, x->n * sizeof(*ids));
    nn_cuda_put(t, x->data, x->n * sizeof(*ids));
    return ERR_OK;
}

void nn_tape_set_keys(struct nn_tape *t, struct nn_tensor *x,
                      const uint64_t *keys)
{
    assert(t->planned && x->kind == NN_KEYS);
    memcpy(x->data, keys, x->n * sizeof(*keys));
    nn_cuda_put(t, x->data, x->n * sizeof(*keys));
}

void nn_tape_fill(struct nn_tape *t, struct nn_tensor *x, double value)
{
    assert(t->planned && x->kind == NN_REALS);
    for (size_t i = 0; i < x->n; i++)
        krn_tape_set(t->k, x->data, i, value);
    nn_cuda_put(t, x->data, x->n * t->k->size);
}

void nn_tape_put(struct nn_tape *t, struct nn_tensor *x, size_t i, double value)
{
    assert(t->planned && x->kind == NN_REALS && i < x->n);
    krn_tape_set(t->k, x->data, i, value);
    nn_cuda_put(t, nn_at(t, x->data, i), t->k->size);
}

void nn_tape_get(const struct nn_tape *t, const struct nn_tensor *x,
                 float *values)
{
    assert(t->planned && x->kind == NN_REALS);
    nn_cuda_get(t, x->data, x->n * t->k->size);
    for (size_t i = 0; i < x->n; i++)
        values[i] = (float)krn_tape_get(t->k, x->data, i);
}

double nn_tape_at(const struct nn_tape *t, const struct nn_tensor *x, size_t i)
{
    assert(t->planned && x->kind == NN_REALS && i < x->n);
    nn_cuda_get(t, nn_at(t, x->data, i), t->k->size);
    return krn_tape_get(t->k, x->data, i);
}

double nn_tape_grad_at(const struct nn_tape *t, const struct nn_tensor *x,
                       size_t i)
{
    assert(t->planned && i < x->n);
    if (x->has_grad)
        nn_cuda_get(t, nn_at(t, x->grad, i), t->k->size);
    return x->has_grad ? krn_tape_get(t->k, x->grad, i) : 0;
}

double nn_tape_loss(const struct nn_tape *t)
{
    return t->loss == NULL ? 0 : nn_tape_at(t, t->loss, 0);
}

/* --- running -----------------------------------------------------------------
 */

void nn_tape_step(struct nn_tape *t, uint64_t step)
{
    t->step = step;
}

void nn_tape_training(struct nn_tape *t, bool training)
{
    t->training = training;
}

static enum err tape_ready(struct nn_tape *t)
{
    if (!t->planned)
        return err_set(ERR_ARG, "a network must be planned before it is run");
    if (par_threads() > t->threads)
        return err_set(ERR_ARG,
                       "the network was planned for %zu threads and there are "
                       "%zu now: set threads before planning",
                       t->threads, par_threads());
    return t->cuda != NULL ? nn_cuda_ready(t) : ERR_OK;
}

static enum err tape_run(struct nn_tape *t, size_t node, bool back)
{
    struct nn_node *o = t->node[node];

    if (t->cuda != NULL)
        return nn_cuda_run(t, node, back);
    (back ? o->op->backward : o->op->forward)(t, o);
    return ERR_OK;
}

enum err nn_tape_forward_to(struct nn_tape *t, const struct nn_tensor *to,
                            bool again)
{
    ERR_TRY(tape_ready(t));
    if (again)
        t->next = 0;
    for (; t->next < t->n_nodes && t->next <= to->root->maker; t->next++)
        ERR_TRY(tape_run(t, t->next, false));
    return ERR_OK;
}

enum err nn_tape_forward(struct nn_tape *t)
{
    ERR_TRY(tape_ready(t));
    for (t->next = 0; t->next < t->n_nodes; t->next++)
        ERR_TRY(tape_run(t, t->next, false));
    return ERR_OK;
}

enum err nn_tape_backward(struct nn_tape *t)
{
    ERR_TRY(tape_ready(t));
    if (t->loss == NULL)
        return err_set(ERR_ARG, "this network was planned without a loss");
    krn_tape_set(t->k, t->loss->grad, 0, 1);
    nn_cuda_put(t, t->loss->grad, t->k->size);
    for (size_t i = t->n_nodes; i-- > 0;) {
        if (t->node[i]->active)
            ERR_TRY(tape_run(t, i, true));
    }
    return ERR_OK;
}
