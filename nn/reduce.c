/* nn/reduce.c - reductions: fixed pieces, added in order. */
#include "nn/reduce.h"

#include "nn/node.h"

/* --- everything into one number: i = mean; keep = [sum of weights] -----------
 */

static void all_task(const struct nn_split *s, size_t first, size_t last,
                     size_t thread)
{
    const struct nn_node *o = s->o;
    struct nn_tape *t = s->t;
    const void *x = nn_at(t, o->in[0]->data, first), *w = s->a;
    double *part = o->work;

    (void)thread;
    part += 2 * (first / s->piece);
    part[0] = w == NULL ? t->k->sum(x, last - first)
                        : t->k->dot(x, nn_at(t, w, first), last - first);
    part[1] = w == NULL ? (double)(last - first)
                        : t->k->sum(nn_at(t, w, first), last - first);
}

static void all_forward(struct nn_tape *t, struct nn_node *o)
{
    const struct nn_tensor *w = o->in[1];
    struct nn_split s = {t,        o,        o->in[0]->n,
                         NN_PIECE, all_task, w == NULL ? NULL : w->data,
                         NULL,     NULL};
    double sum = 0, weight = 0, *keep = o->keep;
    const double *part = o->work;

    nn_split_run(&s);
    for (size_t i = 0; i < nn_split_pieces(s.n, s.piece); i++) {
        sum += part[2 * i];
        weight += part[2 * i + 1];
    }
    *keep = o->i[0] == 0 ? 1 : weight == 0 ? 0 : 1 / weight;
    krn_tape_set(t->k, o->out[0]->data, 0, sum * *keep);
}

static void all_grad(const struct nn_split *s, size_t first, size_t last,
                     size_t thread)
{
    const struct nn_node *o = s->o;
    struct nn_tape *t = s->t;
    const double *keep = o->keep;
    const double up = krn_tape_get(t->k, o->out[0]->grad, 0) * *keep;
    void *dx = nn_at(t, o->in[0]->grad, first);

    (void)thread;
    if (s->a != NULL)
        t->k->scale(dx, nn_node_add(o, 0), up, nn_at(t, s->a, first), 0,
                    last - first);
    else
        t->k->scale(dx, nn_node_add(o, 0), 0, nn_at(t, o->in[0]->data, first),
                    up, last - first);
}

static void all_backward(struct nn_tape *t, struct nn_node *o)
{
    const struct nn_tensor *w = o->in[1];

    if (nn_node_wants(o, 0))
        nn_split_run(&(struct nn_split){t, o, o->in[0]->n, NN_PIECE, all_grad,
                                        w == NULL ? NULL : w->data, NULL,
                                        NULL});
}

static const struct nn_op op_all = {"sum", all_forward, all_backward};

static struct nn_tensor *all_make(struct nn_tape *t, struct nn_tensor *x,
                                  struct nn_tensor *w, bool mean)
{
    struct nn_node *o;

    if (t->failed == ERR_OK && w != NULL && (w->n != x->n || w->needs_grad))
        return nn_node_fail(t,
                            "weights '%s' of a sum over '%s': as many, "
                            "without gradient",
                            w->name, x->name);
    o = nn_node_new(t, &op_all, 2, (struct nn_tensor *[]){x, w}, 1,
                    (size_t[]){1});
    if (o != NULL) {
        o->i[0] = mean;
        o->keep_bytes = sizeof(double);
        o->work_bytes = nn_split_pieces(x->n, NN_PIECE) * 2 * sizeof(double);
    }
    return nn_node_out(t, o);
}

struct nn_tensor *nn_reduce_sum(struct nn_tape *t, struct nn_tensor *x,
                                struct nn_tensor *weight)
{
    return all_make(t, x, weight, false);
}

struct nn_tensor *nn_reduce_mean(struct nn_tape *t, struct nn_tensor *x,
                                 struct nn_tensor *weight)
{
    return all_make(t, x, weight, true);
}

/* --- one axis: i = outer, axis, inner, what; keep = where the largest is -----
 */

enum { AXIS_SUM, AXIS_MEAN, AXIS_MAX };

/* The largest of each column of x [n][inner], and its row. */
static void axis_max(const struct nn_tape *t, void *y, uint32_t *where,
                     const void *x, size_t n, size_t inner)
{
    for (size_t j = 0; j < inner; j++) {
        double best = krn_tape_get(t->k, x, j);

        where[j] = 0;
        for (size_t i = 1; i < n; i++) {
            const double v = krn_tape_get(t->k, x, i * inner + j);

            if (v > best) {
                best = v;
                where[j] = (uint32_t)i;
            }
        }
        krn_tape_set(t->k, y, j, best);
    }
}

static void axis_task(const struct nn_split *s, size_t first, size_t last,
                      size_t thread)
{
    const struct nn_node *o = s->o;
    const size_t n = o->i[1], inner = o->i[2];
    struct nn_tape *t = s->t;

    (void)thread;
    for (size_t r = first; r < last; r++) {
        const void *x = nn_at(t, o->in[0]->data, r * n * inner);
        void *y = nn_at(t, o->out[0]->data, r * inner);

        if (o->i[3] == AXIS_MAX) {
            axis_max(t, y, (uint32_t *)o->keep + r * inner, x, n, inner);
            continue;
        }
        if (inner == 1)
            krn_tape_set(t->k, y, 0, t->k->sum(x, n));
        else
            t->k->columns(y, false, x, n, inner, inner);
        if (o->i[3] == AXIS_MEAN)
            t->k->scale(y, false, 1 / (double)n, y, 0, inner);
    }
}

static void axis_grad(const struct nn_split *s, size_t first, size_t last,
                      size_t thread)
{
    const struct nn_node *o = s->o;
    const size_t n = o->i[1], inner = o->i[2];
    const double up = o->i[3] == AXIS_MEAN ? 1 / (double)n : 1;
    const bool add = nn_node_add(o, 0);
    struct nn_tape *t = s->t;

    (void)thread;
    for (size_t r = first; r < last; r++) {
        void *dx = nn_at(t, o->in[0]->grad, r * n * inner);
        const void *dy = nn_at(t, o->out[0]->grad, r * inner);
        const uint32_t *where = o->keep;

        if (o->i[3] == AXIS_MAX && !add)
            memset(dx, 0, n * inner * t->k->size);
        for (size_t j = 0; o->i[3] == AXIS_MAX && j < inner; j++) {
            const size_t at = where[r * inner + j] * inner + j;

            krn_tape_set(t->k, dx, at,
                         krn_tape_get(t->k, dx, at) +
                             krn_tape_get(t->k, dy, j));
        }
        if (o->i[3] == AXIS_MAX)
            continue;
        if (inner == 1)
            t->k->scale(dx, add, 0, nn_at(t, o->in[0]->data, r * n),
                        up * krn_tape_get(t->k, dy, 0), n);
        for (size_t i = 0; inner > 1 && i < n; i++)
            t->k->scale(nn_at(t, dx, i * inner), add, up, dy, 0, inner);
    }
}

static void axis_run(struct nn_tape *t, struct nn_node *o,
                     void (*fn)(const struct nn_split *s, size_t first,
                                size_t last, size_t thread))
{
    nn_split_run(&(struct nn_split){
        t, o, o->i[0], nn_piece_rows(o->i[1] * o->i[2]), fn, NULL, NULL, NULL});
}

static void axis_forward(struct nn_tape *t, struct nn_node *o)
{
    axis_run(t, o, axis_task);
}

static void axis_backward(struct nn_tape *t, struct nn_node *o)
{
    axis_run(t, o, axis_grad);
}

static const struct nn_op op_axis = {"reduce", axis_forward, axis_backward};

static struct nn_tensor *axis_make(struct nn_tape *t, struct nn_tensor *x,
                                   size_t axis, size_t what)
{
    size_t dim[NN_DIMS] = {1}, n_dims = 0, span[3] = {1, 1, 1};
    struct nn_node *o;

    if (t->failed != ERR_OK)
        return &t->none;
    if (axis >= x->n_dims || x->n == 0)
        return nn_node_fail(t, "'%s' has no axis %zu to reduce", x->name, axis);
    for (size_t i = 0; i < x->n_dims; i++) {
        span[i < axis ? 0 : i == axis ? 1 : 2] *= x->dim[i];
        if (i != axis)
            dim[n_dims++] = x->dim[i];
    }
    o = nn_node_new(t, &op_axis, 1, &x, n_dims == 0 ? 1 : n_dims, dim);
    if (o != NULL) {
        memcpy(o->i, span, sizeof(span));
        o->i[3] = what;
        if (what == AXIS_MAX)
            o->keep_bytes = o->out[0]->n * sizeof(uint32_t);
    }
    return nn_node_out(t, o);
}

struct nn_tensor *nn_reduce_axis_sum(struct nn_tape *t, struct nn_tensor *x,
                                     size_t axis)
{
    return axis_make(t, x, axis, AXIS_SUM);
}

struct nn_tensor *nn_reduce_axis_mean(struct nn_tape *t, struct nn_tensor *x,
                                      size_t axis)
{
    return axis_make(t, x, axis, AXIS_MEAN);
}

struct nn_tensor *nn_reduce_axis_max(struct nn_tape *t, struct nn_tensor *x,
                                     size_t axis)
{
    return axis_make(t, x, axis, AXIS_MAX);
}

/* --- soft maxima: i = logarithm ----------------------------------------------
 */

static void soft_task(const struct nn_split *s, size_t first, size_t last,
                      size_t thread)
{
    const struct nn_node *o = s->o;
    const size_t n = nn_cols(o->in[0]);
    struct nn_tape *t = s->t;

    (void)thread;
    for (size_t r = first; r < last; r++) {
        const void *x = nn_at(t, o->in[0]->data, r * n);
        void *y = nn_at(t, o->out[0]->data, r * n);

        if (o->i[0] != 0)
            t->k->log_softmax(y, x, n);
        else
            t->k->softmax(
                y, x, o->in[1] == NULL ? NULL : nn_at(t, o->in[1]->data, r * n),
                n);
    }
}

static void soft_grad(const struct nn_split *s, size_t first, size_t last,
                      size_t thread)
{
    const struct nn_node *o = s->o;
    const size_t n = nn_cols(o->in[0]);
    struct nn_tape *t = s->t;

    (void)thread;
    for (size_t r = first; r < last; r++)
        (o->i[0] != 0 ? t->k->log_softmax_grad : t->k->softmax_grad)(
            nn_at(t, o->in[0]->grad, r * n), nn_node_add(o, 0),
            nn_at(t, o->out[0]->grad, r * n), nn_at(t, o->out[0]->data, r * n),
            n);
}

static void soft_forward(struct nn_tape *t, struct nn_node *o)
{
    nn_split_run(&(struct nn_split){t, o, nn_rows(o->in[0]),
                                    nn_piece_rows(nn_cols(o->in[0])), soft_task,
                                    NULL, NULL, NULL});
}

static void soft_backward(struct nn_tape *t, struct nn_node *o)
{
    nn_split_run(&(struct nn_split){t, o, nn_rows(o->in[0]),
                                    nn_piece_rows(nn_cols(o->in[0])), soft_grad,
                                    NULL, NULL, NULL});
}

static const struct nn_op op_soft = {"softmax", soft_forward, soft_backward};

static struct nn_tensor *soft_make(struct nn_tape *t, struct nn_tensor *x,
                                   struct nn_tensor *mask, size_t log)
{
    struct nn_node *o;

    if (t->failed == ERR_OK && mask != NULL && mask->n != x->n)
        return nn_node_fail(t, "mask '%s' has another shape than '%s'",
                            mask->name, x->name);
    o = nn_node_new(t, &op_soft, 2, (struct nn_tensor *[]){x, mask}, x->n_dims,
                    x->dim);
    if (o != NULL)
        o->i[0] = log;
    return nn_node_out(t, o);
}

struct nn_tensor *nn_reduce_softmax(struct nn_tape *t, struct nn_tensor *x,
                                    struct nn_tensor *mask)
{
    return soft_make(t, x, mask, 0);
}

struct nn_tensor *nn_reduce_log_softmax(struct nn_tape *t, struct nn_tensor *x)
{
    return soft_make(t, x, NULL, 1);
}
