/* nn/map.c - element-wise operations, in flat pieces. */
#include "nn/map.h"

#include "nn/node.h"

static void map_run(struct nn_tape *t, struct nn_node *o,
                    void (*fn)(const struct nn_split *s, size_t first,
                               size_t last, size_t thread))
{
    nn_split_run(&(struct nn_split){t, o, o->out[0]->n, NN_PIECE, fn, 0, 0, 0});
}

/* A node of x's shape. */
static struct nn_node *map_node(struct nn_tape *t, const struct nn_op *op,
                                struct nn_tensor *x)
{
    return nn_node_new(t, op, 1, &x, x->n_dims, x->dim);
}

/* --- f(x) --------------------------------------------------------------------
 */

static void act_task(const struct nn_split *s, size_t first, size_t last,
                     size_t thread)
{
    const struct nn_node *o = s->o;

    (void)thread;
    s->t->k->map((enum krn_map)o->i[0], o->r[0],
                 nn_at(s->t, o->out[0]->data, first),
                 nn_at(s->t, o->in[0]->data, first), last - first);
}

static void act_grad(const struct nn_split *s, size_t first, size_t last,
                     size_t thread)
{
    const struct nn_node *o = s->o;

    (void)thread;
    s->t->k->map_grad((enum krn_map)o->i[0], o->r[0], nn_node_add(o, 0),
                      nn_at(s->t, o->in[0]->grad, first),
                      nn_at(s->t, o->out[0]->grad, first),
                      nn_at(s->t, o->in[0]->data, first),
                      nn_at(s->t, o->out[0]->data, first), last - first);
}

static void act_forward(struct nn_tape *t, struct nn_node *o)
{
    map_run(t, o, act_task);
}

static void act_backward(struct nn_tape *t, struct nn_node *o)
{
    map_run(t, o, act_grad);
}

static const struct nn_op op_act = {"map", act_forward, act_backward};

struct nn_tensor *nn_map(struct nn_tape *t, struct nn_tensor *x,
                         enum nn_act act)
{
    struct nn_node *o = map_node(t, &op_act, x);

    if (o != NULL) {
        o->i[0] = (size_t)act;
        o->r[0] = NN_SLOPE;
    }
    return nn_node_out(t, o);
}

/* --- a x + shift -------------------------------------------------------------
 */

static void scale_task(const struct nn_split *s, size_t first, size_t last,
                       size_t thread)
{
    const struct nn_node *o = s->o;

    (void)thread;
    s->t->k->scale(nn_at(s->t, o->out[0]->data, first), false, o->r[0],
                   nn_at(s->t, o->in[0]->data, first), o->r[1], last - first);
}

static void scale_forward(struct nn_tape *t, struct nn_node *o)
{
    map_run(t, o, scale_task);
}

/* Of scale and of reverse: r[2] times the gradient. */
static void scale_grad(const struct nn_split *s, size_t first, size_t last,
                       size_t thread)
{
    const struct nn_node *o = s->o;

    (void)thread;
    s->t->k->scale(nn_at(s->t, o->in[0]->grad, first), nn_node_add(o, 0),
                   o->r[2], nn_at(s->t, o->out[0]->grad, first), 0,
                   last - first);
}

static void scale_backward(struct nn_tape *t, struct nn_node *o)
{
    map_run(t, o, scale_grad);
}

static const struct nn_op op_scale = {"scale", scale_forward, scale_backward};
static const struct nn_op op_stop = {"stop", scale_forward, NULL};

struct nn_tensor *nn_map_scale(struct nn_tape *t, struct nn_tensor *x, double a,
                               double shift)
{
    struct nn_node *o = map_node(t, &op_scale, x);

    if (o != NULL) {
        o->r[0] = o->r[2] = a;
        o->r[1] = shift;
    }
    return nn_node_out(t, o);
}

struct nn_tensor *nn_map_stop(struct nn_tape *t, struct nn_tensor *x)
{
    struct nn_node *o = map_node(t, &op_stop, x);

    if (o != NULL)
        o->r[0] = 1;
    return nn_node_out(t, o);
}

static void reverse_backward(struct nn_tape *t, struct nn_node *o)
{
    o->r[2] = -krn_tape_get(t->k, o->in[1]->data, 0);
    map_run(t, o, scale_grad);
}

static const struct nn_op op_reverse = {"reverse", scale_forward,
                                        reverse_backward};

struct nn_tensor *nn_map_reverse(struct nn_tape *t, struct nn_tensor *x,
                                 struct nn_tensor *factor)
{
    struct nn_node *o =
        nn_node_new(t, &op_reverse, 2, (struct nn_tensor *[]){x, factor},
                    x->n_dims, x->dim);

    if (factor->n != 1 || factor->needs_grad)
        return nn_node_fail(t, "the factor of a gradient reversal is one "
                               "number without gradient");
    if (o != NULL)
        o->r[0] = 1;
    return nn_node_out(t, o);
}

/* --- limits ------------------------------------------------------------------
 */

static void clip_task(const struct nn_split *s, size_t first, size_t last,
                      size_t thread)
{
    const struct nn_node *o = s->o;

    (void)thread;
    s->t->k->clip(nn_at(s->t, o->out[0]->data, first),
                  nn_at(s->t, o->in[0]->data, first), o->r[0], o->r[1],
                  last - first);
}

static void clip_grad(const struct nn_split *s, size_t first, size_t last,
                      size_t thread)
{
    const struct nn_node *o = s->o;

    (void)thread;
    s->t->k->clip_grad(nn_at(s->t, o->in[0]->grad, first), nn_node_add(o, 0),
                       nn_at(s->t, o->out[0]->grad, first),
                       nn_at(s->t, o->in[0]->data, first), o->r[0], o->r[1],
                       last - first);
}

static void clip_forward(struct nn_tape *t, struct nn_node *o)
{
    map_run(t, o, clip_task);
}

static void clip_backward(struct nn_tape *t, struct nn_node *o)
{
    map_run(t, o, clip_grad);
}

static const struct nn_op op_clip = {"clip", clip_forward, clip_backward};

struct nn_tensor *nn_map_clip(struct nn_tape *t, struct nn_tensor *x, double lo,
                              double hi)
{
    struct nn_node *o = map_node(t, &op_clip, x);

    if (o != NULL) {
        o->r[0] = lo;
        o->r[1] = hi;
    }
    return nn_node_out(t, o);
}
