/* nn/node.c - building nodes, and cutting work into tasks. */
#include "nn/node.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/key.h"

struct nn_tensor *nn_node_fail(struct nn_tape *t, const char *fmt, ...)
{
    char note[400];
    va_list args;

    if (t->failed == ERR_OK) {
        va_start(args, fmt);
        (void)vsnprintf(note, sizeof(note), fmt, args);
        va_end(args);
        t->failed = err_set(ERR_ARG, "%s", note);
    }
    return &t->none;
}

static void *node_take(struct nn_tape *t, size_t n, size_t size)
{
    void *p = mem_take(&t->build, n, 1, size);

    if (p == NULL && t->failed == ERR_OK)
        t->failed = err_set(ERR_NOMEM, "no memory to build a network");
    return p;
}

static char *node_text(struct nn_tape *t, const char *a, const char *b)
{
    const size_t n = strlen(a) + strlen(b) + 2;
    char *text = node_take(t, n, 1);

    if (text != NULL)
        (void)snprintf(text, n, "%s%s%s", a, *b == '\0' ? "" : "/", b);
    return text;
}

/* The product of dim[], or SIZE_MAX when it is out of all proportion. */
static size_t node_size(size_t n_dims, const size_t *dim)
{
    size_t n = 1;

    for (size_t i = 0; i < n_dims; i++) {
        if (dim[i] != 0 && n > ((size_t)1 << 48) / dim[i])
            return SIZE_MAX;
        n *= dim[i];
    }
    return n;
}

struct nn_tensor *nn_node_tensor(struct nn_tape *t, enum nn_kind kind,
                                 const char *name, size_t n_dims,
                                 const size_t *dim)
{
    if (t->failed != ERR_OK)
        return &t->none;
    assert(!t->planned);
    if (n_dims < 1 || n_dims > NN_DIMS || node_size(n_dims, dim) == SIZE_MAX)
        return nn_node_fail(t,
                            "tensor '%s' has 1 to %d dimensions and fits "
                            "into memory, not %zu of them",
                            name, NN_DIMS, n_dims);
    struct nn_tensor *x = node_take(t, 1, sizeof(*x));

    if (x == NULL || (x->name = node_text(t, name, "")) == NULL)
        return &t->none;
    x->kind = kind;
    x->n_dims = n_dims;
    memcpy(x->dim, dim, n_dims * sizeof(*dim));
    x->n = node_size(n_dims, dim);
    x->root = x;
    x->param = x->maker = SIZE_MAX;
    x->limit = SIZE_MAX;
    x->older = t->tensors;
    t->tensors = x;
    return x;
}

static struct nn_tensor *node_weights(struct nn_tape *t, const char *name,
                                      size_t n_dims, const size_t *dim,
                                      struct nn_init init)
{
    size_t number;

    if (t->failed != ERR_OK || name == NULL)
        return &t->none;
    t->failed = nn_params_declare(t->params, name, n_dims, dim, init, &number);
    for (struct nn_tensor *x = t->tensors; t->failed == ERR_OK && x != NULL;
         x = x->older) {
        if (x->param == number)
            return x;
    }
    struct nn_tensor *x = nn_node_tensor(t, NN_REALS, name, n_dims, dim);

    if (x != &t->none) {
        x->param = number;
        x->needs_grad = !nn_params_at(t->params, number)->frozen;
    }
    return x;
}

struct nn_tensor *nn_node_param(struct nn_tape *t, const char *name,
                                const char *part, size_t n_dims,
                                const size_t *dim, struct nn_init init)
{
    if (t->failed != ERR_OK)
        return &t->none;
    return node_weights(t, node_text(t, name, part), n_dims, dim, init);
}

uint64_t nn_node_seed(const struct nn_tape *t, const char *name)
{
    return nn_params_seed(t->params) ^ key_of(name, strlen(name));
}

static struct nn_node *node_push(struct nn_tape *t, size_t n_in)
{
    struct nn_node *o = node_take(t, 1, sizeof(*o));

    if (o == NULL)
        return NULL;
    o->n_in = n_in;
    o->in = node_take(t, n_in, sizeof(struct nn_tensor *));
    o->add = node_take(t, n_in, sizeof(bool));
    if (t->failed == ERR_OK)
        t->failed = mem_grow(&t->node, &t->room, t->n_nodes + 1,
                             sizeof(struct nn_node *));
    if (t->failed != ERR_OK)
        return NULL;
    t->node[t->n_nodes++] = o;
    return o;
}

static struct nn_tensor *node_made(struct nn_tape *t, struct nn_node *o,
                                   size_t n_dims, const size_t *dim)
{
    struct nn_tensor *y = nn_node_tensor(t, NN_REALS, o->op->name, n_dims, dim);

    if (y == &t->none)
        return y;
    y->maker = t->n_nodes - 1;
    for (size_t i = 0; i < o->n_in; i++) {
        if (o->in[i] != NULL && o->in[i]->needs_grad)
            y->needs_grad = o->op->backward != NULL;
    }
    return y;
}

struct nn_node *nn_node_new(struct nn_tape *t, const struct nn_op *op,
                            size_t n_in, struct nn_tensor *const *in,
                            size_t n_dims, const size_t *dim)
{
    struct nn_node *o = t->failed == ERR_OK ? node_push(t, n_in) : NULL;

    if (o == NULL)
        return NULL;
    o->op = op;
    for (size_t i = 0; i < n_in; i++) {
        o->in[i] = in[i];
        if (in[i] != NULL)
            in[i]->read = in[i]->root->read = true;
    }
    o->out[0] = node_made(t, o, n_dims, dim);
    return t->failed == ERR_OK ? o : NULL;
}

struct nn_tensor *nn_node_second(struct nn_tape *t, struct nn_node *o,
                                 size_t n_dims, const size_t *dim)
{
    if (o == NULL)
        return &t->none;
    o->out[1] = node_made(t, o, n_dims, dim);
    return o->out[1];
}

struct nn_tensor *nn_node_out(struct nn_tape *t, struct nn_node *o)
{
    return o == NULL ? &t->none : o->out[0];
}

/* --- tasks -------------------------------------------------------------------
 */

static void split_task(void *arg, size_t task, size_t thread)
{
    const struct nn_split *s = arg;
    const size_t first = task * s->piece;
    const size_t last = first + s->piece < s->n ? first + s->piece : s->n;

    s->fn(s, first, last, thread);
}

void nn_split_run(struct nn_split *s)
{
    par_for(nn_split_pieces(s->n, s->piece), split_task, s);
}

void nn_split_combine(struct nn_tape *t, void *c, const void *part,
                      size_t pieces, size_t n)
{
    t->k->columns(c, true, part, pieces, n, n);
}
