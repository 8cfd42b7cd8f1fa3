/*
 * nn/shape.c - copying numbers to other places, and their gradients back.
 *
 * An axis cuts a tensor into outer x axis x inner; everything here copies or
 * adds runs of contiguous numbers.
 */
#include "nn/shape.h"

#include "nn/node.h"

/* Product of dimensions first..last-1. */
static size_t shape_span(const struct nn_tensor *x, size_t first, size_t last)
{
    size_t n = 1;

    for (size_t i = first; i < last; i++)
        n *= x->dim[i];
    return n;
}

/* to (+)= from, n numbers */
static void shape_move(const struct nn_tape *t, void *to, bool add,
                       const void *from, size_t n)
{
    if (add)
        t->k->scale(to, true, 1, from, 0, n);
    else
        memcpy(to, from, n * t->k->size);
}

struct nn_tensor *nn_shape_as(struct nn_tape *t, struct nn_tensor *x,
                              size_t n_dims, const size_t *dim)
{
    struct nn_tensor *y = nn_node_tensor(t, x->kind, x->name, n_dims, dim);

    if (y == &t->none)
        return y;
    if (y->n != x->n)
        return nn_node_fail(t,
                            "'%s' has %zu elements and cannot be seen as "
                            "%zu",
                            x->name, x->n, y->n);
    y->root = x->root;
    y->needs_grad = x->needs_grad;
    y->maker = x->maker;
    y->limit = x->limit;
    return y;
}

/* --- concat: i = axis --------------------------------------------------------
 */

/* Run over the inputs' runs: forward, or backward into those that want it. */
static void concat_task(const struct nn_split *s, size_t first, size_t last,
                        size_t thread)
{
    const struct nn_node *o = s->o;
    const bool back = s->a != NULL;
    const size_t row = shape_span(o->out[0], o->i[0], o->out[0]->n_dims);
    struct nn_tape *t = s->t;

    (void)thread;
    for (size_t r = first; r < last; r++) {
        size_t at = r * row;

        for (size_t k = 0; k < o->n_in; k++) {
            const struct nn_tensor *x = o->in[k];
            const size_t run = shape_span(x, o->i[0], x->n_dims);

            if (!back)
                shape_move(t, nn_at(t, o->out[0]->data, at), false,
                           nn_at(t, x->data, r * run), run);
            else if (nn_node_wants(o, k))
                shape_move(t, nn_at(t, x->grad, r * run), nn_node_add(o, k),
                           nn_at(t, o->out[0]->grad, at), run);
            at += run;
        }
    }
}

static void concat_run(struct nn_tape *t, struct nn_node *o, const void *back)
{
    const size_t outer = shape_span(o->out[0], 0, o->i[0]);
    const size_t row = o->out[0]->n / (outer == 0 ? 1 : outer);

    nn_split_run(&(struct nn_split){t, o, outer, nn_piece_rows(row),
                                    concat_task, back, NULL, NULL});
}

static void concat_forward(struct nn_tape *t, struct nn_node *o)
{
    concat_run(t, o, NULL);
}

static void concat_backward(struct nn_tape *t, struct nn_node *o)
{
    concat_run(t, o, o);
}

static const struct nn_op op_concat = {"concat", concat_forward,
                                       concat_backward};

static bool concat_fits(const struct nn_tensor *a, const struct nn_tensor *b,
                        size_t axis)
{
    if (a->n_dims != b->n_dims || axis >= a->n_dims)
        return false;
    for (size_t i = 0; i < a->n_dims; i++) {
        if (i != axis && a->dim[i] != b->dim[i])
            return false;
    }
    return true;
}

struct nn_tensor *nn_shape_concat(struct nn_tape *t, size_t n,
                                  struct nn_tensor *const *x, size_t axis)
{
    size_t dim[NN_DIMS] = {0};
    struct nn_node *o;

    if (t->failed != ERR_OK)
        return &t->none;
    memcpy(dim, x[0]->dim, sizeof(dim));
    if (axis < NN_DIMS)
        dim[axis] = 0;
    for (size_t k = 0; k < n; k++) {
        if (!concat_fits(x[0], x[k], axis))
            return nn_node_fail(t,
                                "'%s' and '%s' cannot be put one behind the "
                                "other along axis %zu",
                                x[0]->name, x[k]->name, axis);
        dim[axis] += x[k]->dim[axis];
    }
    o = nn_node_new(t, &op_concat, n, x, x[0]->n_dims, dim);
    if (o != NULL)
        o->i[0] = axis;
    return nn_node_out(t, o);
}

/* --- slice: i = axis, first --------------------------------------------------
 */

static void slice_forward(struct nn_tape *t, struct nn_node *o)
{
    const struct nn_tensor *x = o->in[0], *y = o->out[0];
    const size_t outer = shape_span(x, 0, o->i[0]);
    const size_t inner = shape_span(x, o->i[0] + 1, x->n_dims);
    const size_t from = shape_span(x, o->i[0], x->n_dims);
    const size_t run = shape_span(y, o->i[0], y->n_dims);

    for (size_t r = 0; r < outer; r++)
        shape_move(t, nn_at(t, y->data, r * run), false,
                   nn_at(t, x->data, r * from + o->i[1] * inner), run);
}

static void slice_backward(struct nn_tape *t, struct nn_node *o)
{
    const struct nn_tensor *x = o->in[0], *y = o->out[0];
    const size_t outer = shape_span(x, 0, o->i[0]);
    const size_t inner = shape_span(x, o->i[0] + 1, x->n_dims);
    const size_t from = shape_span(x, o->i[0], x->n_dims);
    const size_t run = shape_span(y, o->i[0], y->n_dims);

    if (!nn_node_add(o, 0))
        memset(x->grad, 0, x->n * t->k->size);
    for (size_t r = 0; r < outer; r++)
        shape_move(t, nn_at(t, x->grad, r * from + o->i[1] * inner), true,
                   nn_at(t, y->grad, r * run), run);
}

static const struct nn_op op_slice = {"slice", slice_forward, slice_backward};

struct nn_tensor *nn_shape_slice(struct nn_tape *t, struct nn_tensor *x,
                                 size_t axis, size_t first, size_t last)
{
    size_t dim[NN_DIMS];
    struct nn_node *o;

    if (t->failed == ERR_OK &&
        (axis >= x->n_dims || first >= last || last > x->dim[axis]))
        return nn_node_fail(t, "'%s' has no slice %zu..%zu along axis %zu",
                            x->name, first, last, axis);
    memcpy(dim, x->dim, sizeof(dim));
    if (axis < NN_DIMS)
        dim[axis] = last - first;
    o = nn_node_new(t, &op_slice, 1, &x, x->n_dims, dim);
    if (o != NULL) {
        o->i[0] = axis;
        o->i[1] = first;
    }
    return nn_node_out(t, o);
}

/* --- swap: i = a, b (a < b); dimensions are outer a middle b inner -----------
 */

struct swap {
    const struct nn_tensor *x; /* shape before */
    size_t a, b;
    void *to;
    bool add;
    const void *from;
};

/* Rows r of the first two parts: outer and a together. */
static void swap_task(const struct nn_split *s, size_t first, size_t last,
                      size_t thread)
{
    const struct swap *w = s->a;
    const struct nn_tensor *x = w->x;
    const size_t na = x->dim[w->a], nb = x->dim[w->b];
    const size_t middle = shape_span(x, w->a + 1, w->b);
    const size_t inner = shape_span(x, w->b + 1, x->n_dims);
    const struct nn_tape *t = s->t;

    (void)thread;
    for (size_t r = first; r < last; r++) {
        for (size_t mj = 0; mj < middle * nb; mj++) {
            const size_t m = mj / nb, j = mj % nb;
            const size_t is = ((r / na * nb + j) * middle + m) * na + r % na;

            shape_move(t, nn_at(t, w->to, is * inner), w->add,
                       nn_at(t, w->from, (r * middle * nb + mj) * inner),
                       inner);
        }
    }
}

static void swap_run(struct nn_tape *t, struct nn_node *o, const struct swap *w)
{
    const size_t rows = shape_span(w->x, 0, w->a + 1);
    const size_t row = w->x->n / (rows == 0 ? 1 : rows);

    nn_split_run(&(struct nn_split){t, o, rows, nn_piece_rows(row), swap_task,
                                    w, NULL, NULL});
}

static void swap_forward(struct nn_tape *t, struct nn_node *o)
{
    swap_run(t, o,
             &(struct swap){o->in[0], o->i[0], o->i[1], o->out[0]->data, false,
                            o->in[0]->data});
}

/* Swapping again is the way back. */
static void swap_backward(struct nn_tape *t, struct nn_node *o)
{
    swap_run(t, o,
             &(struct swap){o->out[0], o->i[0], o->i[1], o->in[0]->grad,
                            nn_node_add(o, 0), o->out[0]->grad});
}

static const struct nn_op op_swap = {"swap", swap_forward, swap_backward};

struct nn_tensor *nn_shape_swap(struct nn_tape *t, struct nn_tensor *x,
                                size_t a, size_t b)
{
    size_t dim[NN_DIMS];
    struct nn_node *o;

    if (t->failed == ERR_OK && (a >= x->n_dims || b >= x->n_dims || a == b))
        return nn_node_fail(t, "'%s' has no two axes %zu and %zu", x->name, a,
                            b);
    if (t->failed != ERR_OK)
        return &t->none;
    memcpy(dim, x->dim, sizeof(dim));
    dim[a] = x->dim[b];
    dim[b] = x->dim[a];
    o = nn_node_new(t, &op_swap, 1, &x, x->n_dims, dim);
    if (o != NULL) {
        o->i[0] = a < b ? a : b;
        o->i[1] = a < b ? b : a;
    }
    return nn_node_out(t, o);
}

/* --- repeat: i = outer, times ------------------------------------------------
 */

static void repeat_forward(struct nn_tape *t, struct nn_node *o)
{
    const size_t outer = o->i[0], times = o->i[1];
    const size_t run = o->in[0]->n / (outer == 0 ? 1 : outer);

    for (size_t r = 0; r < outer; r++) {
        for (size_t k = 0; k < times; k++)
            memcpy(nn_at(t, o->out[0]->data, (r * times + k) * run),
                   nn_at(t, o->in[0]->data, r * run), run * t->k->size);
    }
}

static void repeat_backward(struct nn_tape *t, struct nn_node *o)
{
    const size_t outer = o->i[0], times = o->i[1];
    const size_t run = o->in[0]->n / (outer == 0 ? 1 : outer);

    for (size_t r = 0; r < outer; r++)
        t->k->columns(nn_at(t, o->in[0]->grad, r * run), nn_node_add(o, 0),
                      nn_at(t, o->out[0]->grad, r * times * run), times, run,
                      run);
}

static const struct nn_op op_repeat = {"repeat", repeat_forward,
                                       repeat_backward};

struct nn_tensor *nn_shape_repeat(struct nn_tape *t, struct nn_tensor *x,
                                  size_t axis, size_t times)
{
    size_t dim[NN_DIMS] = {0};
    struct nn_node *o;

    if (t->failed != ERR_OK)
        return &t->none;
    if (x->n_dims >= NN_DIMS || axis > x->n_dims || times == 0)
        return nn_node_fail(t, "'%s' cannot get an axis %zu of length %zu",
                            x->name, axis, times);
    for (size_t i = 0; i <= x->n_dims; i++)
        dim[i] = i < axis ? x->dim[i] : i == axis ? times : x->dim[i - 1];
    o = nn_node_new(t, &op_repeat, 1, &x, x->n_dims + 1, dim);
    if (o != NULL) {
        o->i[0] = shape_span(x, 0, axis);
        o->i[1] = times;
    }
    return nn_node_out(t, o);
}
