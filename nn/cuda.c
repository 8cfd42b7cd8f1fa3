/* nn/cuda.c - planning a tape on the device, and what crosses. */
#include "nn/cuda.h"

#include <stdlib.h>
#include <string.h>

#include "nn/params_type.h"

/* --- addresses ---------------------------------------------------------------
 */

static bool within(const void *at, const void *block, size_t bytes)
{
    const uintptr_t a = (uintptr_t)at, b = (uintptr_t)block;

    return block != NULL && a >= b && a - b < bytes;
}

static void *moved(const void *at, const void *from, void *to)
{
    return (unsigned char *)to + ((uintptr_t)at - (uintptr_t)from);
}

void *nn_dev(const struct nn_tape *t, const void *host)
{
    const struct nn_params *p = t->params;
    const size_t bytes = p->size * sizeof(float);

    if (host == NULL)
        return NULL;
    if (within(host, p->values, bytes))
        return moved(host, p->values, p->cuda->values);
    if (within(host, p->grads, bytes))
        return moved(host, p->grads, p->cuda->grads);
    return moved(host, t->arena, t->cuda->arena);
}

struct nn_params_cuda *nn_cuda_params(const struct nn_params *p)
{
    return p->cuda;
}

int nn_cuda_job(struct krn_cuda_job j, char *why)
{
    j.other = j.other == 0 ? 1 : j.other;
    j.heads = j.heads == 0 ? 1 : j.heads;
    return device_cuda()->tape.job(&j, why);
}

int nn_cuda_mm(const struct krn_cuda_mm *g, char *why)
{
    return device_cuda()->tape.mm(g, why);
}

/* --- transfers ---------------------------------------------------------------
 */

static void note(struct nn_params_cuda *c, enum err e)
{
    if (c->e == ERR_OK)
        c->e = e;
}

void nn_cuda_put(struct nn_tape *t, const void *at, size_t bytes)
{
    char why[KRN_CUDA_WHY] = "";

    if (t->cuda != NULL && t->params->cuda->e == ERR_OK)
        note(t->params->cuda,
             device_said(device_cuda()->put(nn_dev(t, at), at, bytes, why),
                         why));
}

void nn_cuda_get(const struct nn_tape *t, void *at, size_t bytes)
{
    if (t->cuda != NULL && t->params->cuda->e == ERR_OK)
        note(t->params->cuda, device_get(at, nn_dev(t, at), bytes));
}

void nn_cuda_params_back(struct nn_params *p, bool grads)
{
    struct nn_params_cuda *c = p->cuda;
    const size_t bytes = p->size * sizeof(float);

    if (c == NULL || c->e != ERR_OK)
        return;
    if (grads && c->grads != NULL)
        note(c, device_get(p->grads, c->grads, bytes));
    if (!grads && c->dev_newer)
        note(c, device_get(p->values, c->values, bytes));
    if (!grads) {
        c->dev_newer = false;
        c->host_newer = true; /* the caller may change it */
    }
}

void nn_cuda_params_clear(struct nn_params *p)
{
    char why[KRN_CUDA_WHY] = "";

    if (p->cuda != NULL && p->cuda->grads != NULL)
        note(p->cuda,
             device_said(device_cuda()->zero(p->cuda->grads,
                                             p->size * sizeof(float), why),
                         why));
}

void nn_cuda_params_stepped(struct nn_params *p)
{
    p->cuda->dev_newer = true;
}

enum err nn_cuda_ready(struct nn_tape *t)
{
    struct nn_params *p = t->params;
    char why[KRN_CUDA_WHY] = "";

    if (p->cuda->e != ERR_OK)
        return err_set(p->cuda->e, "GPU: a copy to or from it failed");
    if (!p->cuda->host_newer)
        return ERR_OK;
    p->cuda->host_newer = false;
    return device_said(device_cuda()->put(p->cuda->values, p->values,
                                          p->size * sizeof(float), why),
                       why);
}

/* --- planning ----------------------------------------------------------------
 */

static enum err params_take(struct nn_params *p)
{
    const size_t bytes = p->size * sizeof(float);
    char why[KRN_CUDA_WHY] = "";
    void *dev;

    if (p->cuda == NULL)
        p->cuda = mem_array(1, sizeof(*p->cuda));
    if (p->cuda == NULL)
        return err_set(ERR_NOMEM, "no memory for a network on the GPU");
    if (p->cuda->values == NULL) {
        ERR_TRY(device_put(&dev, NULL, bytes));
        p->cuda->values = dev;
        p->cuda->host_newer = true;
    }
    if (p->cuda->grads != NULL || p->grads == NULL)
        return ERR_OK;
    ERR_TRY(device_put(&dev, NULL, bytes));
    p->cuda->grads = dev;
    return device_said(device_cuda()->zero(dev, bytes, why), why);
}

void nn_cuda_params_drop(struct nn_params *p)
{
    if (p->cuda == NULL)
        return;
    device_drop(p->cuda->values);
    device_drop(p->cuda->grads);
    free(p->cuda);
    p->cuda = NULL;
}

static const struct nn_cuda_form *form_of(const struct nn_node *o)
{
    const struct nn_cuda_form *const more[] = {&nn_cuda_attend, &nn_cuda_embed,
                                               &nn_cuda_gru};
    const struct nn_cuda_form *found = NULL;

    for (size_t i = 0; i < 3; i++)
        found = strcmp(more[i]->name, o->op->name) == 0 ? more[i] : found;
    for (const struct nn_cuda_form *f = nn_cuda_forms; f->name != NULL; f++)
        found = strcmp(f->name, o->op->name) == 0 ? f : found;
    return found != NULL && (found->can == NULL || found->can(o)) ? found
                                                                  : NULL;
}

static enum err find_forms(struct nn_tape *t, size_t *work)
{
    *work = 1;
    for (size_t i = 0; i < t->n_nodes; i++) {
        const struct nn_node *o = t->node[i];
        const struct nn_cuda_form *f = form_of(o);

        if (f == NULL)
            return err_set(ERR_ARG,
                           "the operation '%s' has no form for the GPU in "
                           "these shapes: train this network on the CPU",
                           o->op->name);
        t->cuda->form[i] = f;
        const size_t bytes = f->work != NULL ? f->work(o) : 0;

        *work = bytes > *work ? bytes : *work;
    }
    return ERR_OK;
}

enum err nn_cuda_plan(struct nn_tape *t)
{
    size_t work;
    void *dev;

    if (t->k->size != sizeof(float))
        return err_set(ERR_ARG, "a network on the GPU has weights of 32 bits");
    t->cuda = mem_take(&t->build, 1, 1, sizeof(*t->cuda));
    if (t->cuda != NULL)
        t->cuda->form =
            mem_take(&t->build, t->n_nodes, 1, sizeof(*t->cuda->form));
    if (t->cuda == NULL || t->cuda->form == NULL) {
        t->cuda = NULL;
        return err_set(ERR_NOMEM, "no memory for a network on the GPU");
    }
    ERR_TRY(find_forms(t, &work));
    ERR_TRY(params_take(t->params));
    /* the arena as plan_point() left it: zeros and constants */
    ERR_TRY(device_put(&dev, t->arena, t->arena_bytes));
    t->cuda->arena = dev;
    return device_put(&t->cuda->work, NULL, work);
}

void nn_cuda_drop(struct nn_tape *t)
{
    if (t->cuda == NULL)
        return;
    device_drop(t->cuda->arena);
    device_drop(t->cuda->work);
}

enum err nn_cuda_run(struct nn_tape *t, size_t node, bool back)
{
    const struct nn_cuda_form *f = t->cuda->form[node];
    char why[KRN_CUDA_WHY] = "";

    return device_said((back ? f->backward : f->forward)(t, t->node[node], why),
                       why);
}
