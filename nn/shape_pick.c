/* nn/shape_pick.c - elements of lists, by position. */
#include "nn/node.h"
#include "nn/shape.h"

/* One list a task: what it adds to in backward is its own. */
static void pick_task(const struct nn_split *s, size_t first, size_t last,
                      size_t thread)
{
    const struct nn_tensor *x = s->o->in[0], *y = s->o->out[0];
    const size_t l = x->dim[1], d = x->dim[2], k = y->dim[1];
    const uint32_t *ids = s->o->in[1]->data;
    struct nn_tape *t = s->t;

    (void)thread;
    for (size_t r = first * k; r < last * k; r++) {
        void *to = nn_at(t, y->data, r * d);

        if (ids[r] == NN_PAD)
            memset(to, 0, d * t->k->size);
        else
            memcpy(to, nn_at(t, x->data, (r / k * l + ids[r]) * d),
                   d * t->k->size);
    }
}

static void pick_grad(const struct nn_split *s, size_t first, size_t last,
                      size_t thread)
{
    const struct nn_tensor *x = s->o->in[0], *y = s->o->out[0];
    const size_t l = x->dim[1], d = x->dim[2], k = y->dim[1];
    const uint32_t *ids = s->o->in[1]->data;
    struct nn_tape *t = s->t;

    (void)thread;
    if (!nn_node_add(s->o, 0))
        memset(nn_at(t, x->grad, first * l * d), 0,
               (last - first) * l * d * t->k->size);
    for (size_t r = first * k; r < last * k; r++) {
        if (ids[r] != NN_PAD)
            t->k->scale(nn_at(t, x->grad, (r / k * l + ids[r]) * d), true, 1,
                        nn_at(t, y->grad, r * d), 0, d);
    }
}

static void pick_run(struct nn_tape *t, struct nn_node *o,
                     void (*fn)(const struct nn_split *s, size_t first,
                                size_t last, size_t thread))
{
    const struct nn_tensor *x = o->in[0];

    nn_split_run(&(struct nn_split){t, o, x->dim[0],
                                    nn_piece_rows(x->dim[1] * x->dim[2]), fn,
                                    NULL, NULL, NULL});
}

static void pick_forward(struct nn_tape *t, struct nn_node *o)
{
    pick_run(t, o, pick_task);
}

static void pick_backward(struct nn_tape *t, struct nn_node *o)
{
    pick_run(t, o, pick_grad);
}

static const struct nn_op op_pick = {"pick", pick_forward, pick_backward};

struct nn_tensor *nn_shape_pick(struct nn_tape *t, struct nn_tensor *x,
                                struct nn_tensor *ids)
{
    if (t->failed == ERR_OK &&
        (x->n_dims != 3 || ids->n_dims != 2 || ids->kind != NN_IDS ||
         ids->dim[0] != x->dim[0]))
        return nn_node_fail(t,
                            "'%s' are to be picked from '%s': [n][l][d] and "
                            "ids [n][k] are wanted",
                            ids->name, x->name);
    if (t->failed != ERR_OK)
        return &t->none;
    if (ids->root->limit > x->dim[1])
        ids->root->limit = ids->limit = x->dim[1];
    return nn_node_out(
        t, nn_node_new(t, &op_pick, 2, (struct nn_tensor *[]){x, ids}, 3,
                       (size_t[]){x->dim[0], ids->dim[1], x->dim[2]}));
}
