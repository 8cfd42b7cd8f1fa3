/*
 * nn/conv.c - convolution as a linear layer over windows.
 *
 * Windows of a row-major sequence overlap in memory; they are copied out side
 * by side (width times the memory), after which everything is nn_linear().
 * i: width, before.
 */
#include "nn/conv.h"

#include "nn/linear.h"
#include "nn/node.h"

/* Runs of sequence b: step s of window j is position j + s - before. */
static void windows_move(struct nn_tape *t, const struct nn_node *o, size_t b,
                         bool back)
{
    const struct nn_tensor *x = o->in[0], *y = o->out[0];
    const size_t n = x->dim[1], d = x->dim[2], width = o->i[0];
    const size_t before = o->i[1], bytes = d * t->k->size;

    for (size_t j = 0; j < y->dim[1]; j++) {
        for (size_t s = 0; s < width; s++) {
            const size_t to = ((b * y->dim[1] + j) * width + s) * d;
            const bool in = j + s >= before && j + s - before < n;
            const size_t at = in ? (b * n + j + s - before) * d : 0;

            if (back && in)
                t->k->scale(nn_at(t, x->grad, at), true, 1,
                            nn_at(t, y->grad, to), 0, d);
            else if (!back && in)
                memcpy(nn_at(t, y->data, to), nn_at(t, x->data, at), bytes);
            else if (!back)
                memset(nn_at(t, y->data, to), 0, bytes);
        }
    }
}

static void windows_task(const struct nn_split *s, size_t first, size_t last,
                         size_t thread)
{
    (void)thread;
    for (size_t b = first; b < last; b++)
        windows_move(s->t, s->o, b, false);
}

static void windows_grad(const struct nn_split *s, size_t first, size_t last,
                         size_t thread)
{
    const struct nn_tensor *x = s->o->in[0];
    const size_t n = x->dim[1] * x->dim[2];

    (void)thread;
    for (size_t b = first; b < last; b++) {
        if (!nn_node_add(s->o, 0))
            memset(nn_at(s->t, x->grad, b * n), 0, n * s->t->k->size);
        windows_move(s->t, s->o, b, true);
    }
}

static void windows_forward(struct nn_tape *t, struct nn_node *o)
{
    nn_split_run(&(struct nn_split){t, o, o->in[0]->dim[0], 1, windows_task,
                                    NULL, NULL, NULL});
}

static void windows_backward(struct nn_tape *t, struct nn_node *o)
{
    nn_split_run(&(struct nn_split){t, o, o->in[0]->dim[0], 1, windows_grad,
                                    NULL, NULL, NULL});
}

static const struct nn_op op_windows = {"windows", windows_forward,
                                        windows_backward};

struct nn_tensor *nn_conv(struct nn_tape *t, struct nn_tensor *x,
                          const char *name, size_t out,
                          const struct nn_conv *how)
{
    struct nn_node *o;

    if (t->failed == ERR_OK &&
        (x->n_dims != 3 || how->width == 0 ||
         x->dim[1] + how->before + how->after < how->width))
        return nn_node_fail(t,
                            "convolution '%s' wants [batch][steps][width] "
                            "with at least %zu steps",
                            name, how->width);
    if (t->failed != ERR_OK)
        return &t->none;
    const size_t n = x->dim[1] + how->before + how->after - how->width + 1;

    o = nn_node_new(t, &op_windows, 1, &x, 3,
                    (size_t[]){x->dim[0], n, how->width * x->dim[2]});
    if (o != NULL) {
        o->i[0] = how->width;
        o->i[1] = how->before;
    }
    return nn_linear(t, nn_node_out(t, o), name, out, how->act);
}
