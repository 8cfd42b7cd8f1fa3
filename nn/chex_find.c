/* nn/chex_find.c - which outputs of a network are channels. */
#include <string.h>

#include "nn/chex.h"
#include "nn/node.h"

#define LEAST 16 /* channels of a set */

static bool is(const struct nn_node *o, const char *op)
{
    return strcmp(o->op->name, op) == 0;
}

static size_t param_of(const struct nn_tensor *x)
{
    return x != NULL ? x->param : SIZE_MAX;
}

/* The only node that reads x, at place *at; NULL: others do, or another shape
 * of it is read. */
static const struct nn_node *reader_of(const struct nn_tape *t,
                                       const struct nn_tensor *x, size_t *at)
{
    const struct nn_node *found = NULL;

    for (size_t i = 0; i < t->n_nodes; i++) {
        const struct nn_node *o = t->node[i];

        for (size_t k = 0; k < o->n_in; k++) {
            if (o->in[k] == NULL || o->in[k]->root != x->root)
                continue;
            /* attention reads one tensor three times over */
            if ((found != NULL && found != o) || o->in[k] != x)
                return NULL;
            *at = found == NULL ? k : *at;
            found = o;
        }
    }
    return found;
}

/* Whether only one node uses the parameter. */
static bool used_once(const struct nn_tape *t, size_t param)
{
    size_t n = 0;

    for (size_t i = 0; i < t->n_nodes; i++) {
        for (size_t k = 0; k < t->node[i]->n_in; k++)
            n += param_of(t->node[i]->in[k]) == param;
    }
    return n == 1;
}

/* The node that reads x behind activations and dropout. */
static const struct nn_node *behind(const struct nn_tape *t,
                                    const struct nn_tensor *x, size_t *at)
{
    const struct nn_node *o = reader_of(t, x, at);

    while (o != NULL && *at == 0 && (is(o, "map") || is(o, "dropout")))
        o = reader_of(t, o->out[0], at);
    return o != NULL && *at == 0 ? o : NULL;
}

static bool is_linear(const struct nn_tape *t, const struct nn_node *o)
{
    return o != NULL && is(o, "linear") && param_of(o->in[1]) != SIZE_MAX &&
           used_once(t, param_of(o->in[1]));
}

/* A layer whose outputs are channels. */
static void add_layer(struct nn_chex_plan *p, const struct nn_tape *t,
                      const struct nn_node *o)
{
    const struct nn_tensor *w = o->in[1];
    struct nn_chex_layer *l = &p->layer[p->n];
    size_t at = 0;
    const struct nn_node *next = behind(t, o->out[0], &at);

    *l = (struct nn_chex_layer){.in = w->param,
                                .bias = param_of(o->in[2]),
                                .sets = 1,
                                .channels = w->dim[1]};
    if (next != NULL && is(next, "attend") && next->i[4] != 0) {
        l->heads = next->i[0];
        l->sets = 2 * l->heads;
        l->channels = w->dim[1] / (3 * l->heads);
        p->cost[p->n_costs++] = (struct nn_chex_cost){
            NN_CHEX_NONE, p->n,
            2.0 * (double)(next->out[0]->dim[0] * l->heads * next->i[1] *
                           next->i[2])};
        next = behind(t, next->out[0], &at);
    }
    l->out = is_linear(t, next) ? next->in[1]->param : NN_CHEX_NONE;
    if (l->out != NN_CHEX_NONE && l->channels >= LEAST)
        p->n++;
    else if (l->heads > 0)
        p->n_costs--;
}

void nn_chex_find(struct nn_chex_plan *p, const struct nn_tape *t)
{
    *p = (struct nn_chex_plan){.n = 0};
    for (size_t i = 0; i < t->n_nodes; i++) {
        const struct nn_node *o = t->node[i];

        if (!is_linear(t, o) || p->n == NN_CHEX_LAYERS)
            continue;
        p->cost[p->n_costs++] = (struct nn_chex_cost){
            o->in[1]->param, NN_CHEX_NONE, (double)nn_rows(o->in[0])};
        add_layer(p, t, o);
        if (p->n_costs + 2 > 4 * NN_CHEX_LAYERS)
            return;
    }
}
