/* nn/norm.c - layer norm, unit rows; batch norm as layer norm turned over. */
#include "nn/norm.h"

#include "nn/map.h"
#include "nn/node.h"
#include "nn/reduce.h"
#include "nn/shape.h"

enum { NORM_X, NORM_GAIN, NORM_BIAS };

static void norm_run(struct nn_tape *t, struct nn_node *o,
                     void (*fn)(const struct nn_split *s, size_t first,
                                size_t last, size_t thread))
{
    const size_t n = nn_cols(o->in[0]);

    nn_split_run(&(struct nn_split){t, o, nn_rows(o->in[0]), nn_piece_rows(n),
                                    fn, NULL, NULL, NULL});
}

static void norm_task(const struct nn_split *s, size_t first, size_t last,
                      size_t thread)
{
    const struct nn_node *o = s->o;
    const size_t n = nn_cols(o->in[0]);
    struct nn_tape *t = s->t;

    (void)thread;
    for (size_t r = first; r < last; r++)
        t->k->norm(nn_at(t, o->out[0]->data, r * n), nn_at(t, o->keep, 2 * r),
                   nn_at(t, o->in[NORM_X]->data, r * n), o->in[NORM_GAIN]->data,
                   o->in[NORM_BIAS]->data, n, o->r[0]);
}

/* Gradients of gain and bias go to work: [pieces][2][n]. */
static void norm_grad(const struct nn_split *s, size_t first, size_t last,
                      size_t thread)
{
    const struct nn_node *o = s->o;
    const size_t n = nn_cols(o->in[0]);
    struct nn_tape *t = s->t;
    void *part = nn_at(t, o->work, first / s->piece * 2 * n);

    (void)thread;
    memset(part, 0, 2 * n * t->k->size);
    for (size_t r = first; r < last; r++)
        t->k->norm_grad(nn_node_wants(o, NORM_X)
                            ? nn_at(t, o->in[NORM_X]->grad, r * n)
                            : NULL,
                        nn_node_add(o, NORM_X), part, nn_at(t, part, n),
                        nn_at(t, o->out[0]->grad, r * n),
                        nn_at(t, o->in[NORM_X]->data, r * n),
                        o->in[NORM_GAIN]->data, nn_at(t, o->keep, 2 * r), n);
}

static void norm_forward(struct nn_tape *t, struct nn_node *o)
{
    norm_run(t, o, norm_task);
}

static void norm_backward(struct nn_tape *t, struct nn_node *o)
{
    const size_t n = nn_cols(o->in[0]);
    const size_t pieces = nn_split_pieces(nn_rows(o->in[0]), nn_piece_rows(n));

    norm_run(t, o, norm_grad);
    if (nn_node_wants(o, NORM_GAIN))
        t->k->columns(o->in[NORM_GAIN]->grad, true, o->work, pieces, n, 2 * n);
    if (nn_node_wants(o, NORM_BIAS))
        t->k->columns(o->in[NORM_BIAS]->grad, true, nn_at(t, o->work, n),
                      pieces, n, 2 * n);
}

static const struct nn_op op_norm = {"norm", norm_forward, norm_backward};

struct nn_tensor *nn_norm(struct nn_tape *t, struct nn_tensor *x,
                          const char *name)
{
    const size_t n = nn_cols(x);
    struct nn_tensor *gain = nn_node_param(
        t, name, "gain", 1, &n, (struct nn_init){NN_INIT_CONSTANT, 1, 0, 0});
    struct nn_tensor *bias =
        nn_node_param(t, name, "bias", 1, &n, (struct nn_init){0});
    struct nn_node *o =
        nn_node_new(t, &op_norm, 3, (struct nn_tensor *[]){x, gain, bias},
                    x->n_dims, x->dim);

    if (o != NULL) {
        o->r[0] = NN_NORM_EPS;
        o->keep_bytes = 2 * nn_rows(x) * t->k->size;
        o->work_bytes =
            nn_split_pieces(nn_rows(x), nn_piece_rows(n)) * 2 * n * t->k->size;
    }
    return nn_node_out(t, o);
}

/* --- unit rows ---------------------------------------------------------------
 */

static void unit_task(const struct nn_split *s, size_t first, size_t last,
                      size_t thread)
{
    const struct nn_node *o = s->o;
    const size_t n = nn_cols(o->in[0]);
    struct nn_tape *t = s->t;

    (void)thread;
    for (size_t r = first; r < last; r++)
        t->k->unit(nn_at(t, o->out[0]->data, r * n), nn_at(t, o->keep, r),
                   nn_at(t, o->in[0]->data, r * n), n, 1e-12);
}

static void unit_grad(const struct nn_split *s, size_t first, size_t last,
                      size_t thread)
{
    const struct nn_node *o = s->o;
    const size_t n = nn_cols(o->in[0]);
    struct nn_tape *t = s->t;

    (void)thread;
    for (size_t r = first; r < last; r++)
        t->k->unit_grad(nn_at(t, o->in[0]->grad, r * n), nn_node_add(o, 0),
                        nn_at(t, o->out[0]->grad, r * n),
                        nn_at(t, o->out[0]->data, r * n), nn_at(t, o->keep, r),
                        n);
}

static void unit_forward(struct nn_tape *t, struct nn_node *o)
{
    norm_run(t, o, unit_task);
}

static void unit_backward(struct nn_tape *t, struct nn_node *o)
{
    norm_run(t, o, unit_grad);
}

static const struct nn_op op_unit = {"unit", unit_forward, unit_backward};

struct nn_tensor *nn_norm_unit(struct nn_tape *t, struct nn_tensor *x)
{
    struct nn_node *o = nn_node_new(t, &op_unit, 1, &x, x->n_dims, x->dim);

    if (o != NULL)
        o->keep_bytes = nn_rows(x) * t->k->size;
    return nn_node_out(t, o);
}

/* --- batch norm, from other operations ---------------------------------------
 */

struct nn_tensor *nn_norm_batch(struct nn_tape *t, struct nn_tensor *x,
                                const char *name)
{
    const size_t n = nn_cols(x);
    struct nn_tensor *gain = nn_node_param(
        t, name, "gain", 1, &n, (struct nn_init){NN_INIT_CONSTANT, 1, 0, 0});
    struct nn_tensor *bias =
        nn_node_param(t, name, "bias", 1, &n, (struct nn_init){0});

    if (t->failed == ERR_OK && nn_rows(x) < 2)
        return nn_node_fail(t, "batch norm '%s' wants at least two rows", name);
    struct nn_tensor *flat = nn_shape_as(t, x, 2, (size_t[]){nn_rows(x), n});
    struct nn_tensor *off =
        nn_map_sub(t, flat, nn_reduce_axis_mean(t, flat, 0));
    struct nn_tensor *var =
        nn_reduce_axis_mean(t, nn_map(t, off, NN_SQUARE), 0);
    struct nn_tensor *dev =
        nn_map(t, nn_map_scale(t, var, 1, NN_NORM_EPS), NN_SQRT);
    struct nn_tensor *y =
        nn_map_add(t, nn_map_mul(t, nn_map_div(t, off, dev), gain), bias);

    return nn_shape_as(t, y, x->n_dims, x->dim);
}
