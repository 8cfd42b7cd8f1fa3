/* nn/map_drop.c - dropout and normal noise, drawn by name, step and row. */
#include "nn/map.h"
#include "nn/node.h"

/* in[keys] names rows of i[0] numbers; without it their position does. */
static uint64_t drop_key(const struct nn_node *o, size_t keys, size_t r)
{
    return o->in[keys] == NULL ? r : ((const uint64_t *)o->in[keys]->data)[r];
}

static struct nn_split drop_split(struct nn_tape *t, struct nn_node *o)
{
    return (struct nn_split){.t = t,
                             .o = o,
                             .n = o->out[0]->n / o->i[0],
                             .piece = nn_piece_rows(o->i[0])};
}

static void drop_rows(const struct nn_split *s, size_t first, size_t last,
                      const void *x, void *y, bool add)
{
    const struct nn_node *o = s->o;
    const size_t n = o->i[0];

    for (size_t r = first; r < last; r++)
        s->t->k->drop(nn_at(s->t, y, r * n), add, nn_at(s->t, x, r * n),
                      o->seed, drop_key(o, 1, r), s->t->step,
                      s->t->training ? o->r[0] : 0, n);
}

static void drop_task(const struct nn_split *s, size_t first, size_t last,
                      size_t thread)
{
    (void)thread;
    drop_rows(s, first, last, s->o->in[0]->data, s->o->out[0]->data, false);
}

static void drop_grad(const struct nn_split *s, size_t first, size_t last,
                      size_t thread)
{
    (void)thread;
    drop_rows(s, first, last, s->o->out[0]->grad, s->o->in[0]->grad,
              nn_node_add(s->o, 0));
}

static void drop_forward(struct nn_tape *t, struct nn_node *o)
{
    struct nn_split s = drop_split(t, o);

    s.fn = drop_task;
    nn_split_run(&s);
}

static void drop_backward(struct nn_tape *t, struct nn_node *o)
{
    struct nn_split s = drop_split(t, o);

    s.fn = drop_grad;
    nn_split_run(&s);
}

static const struct nn_op op_drop = {"dropout", drop_forward, drop_backward};

/* Length of the rows that keys name; 0 when they do not divide x. */
static size_t drop_length(const struct nn_tensor *x,
                          const struct nn_tensor *keys)
{
    if (keys == NULL)
        return nn_cols(x);
    return keys->n == 0 || x->n % keys->n != 0 || keys->kind != NN_KEYS
               ? 0
               : x->n / keys->n;
}

struct nn_tensor *nn_map_drop(struct nn_tape *t, struct nn_tensor *x,
                              const char *name, double rate,
                              struct nn_tensor *keys)
{
    const size_t n = drop_length(x, keys);
    struct nn_node *o;

    if (t->failed == ERR_OK && (n == 0 || !(rate >= 0 && rate < 1)))
        return nn_node_fail(t,
                            "dropout '%s': the rate is in [0, 1), and keys "
                            "name equal parts of the tensor",
                            name);
    o = nn_node_new(t, &op_drop, 2, (struct nn_tensor *[]){x, keys}, x->n_dims,
                    x->dim);
    if (o != NULL) {
        o->i[0] = n;
        o->r[0] = rate;
        o->seed = nn_node_seed(t, name);
    }
    return nn_node_out(t, o);
}

/* --- noise -------------------------------------------------------------------
 */

static void noise_task(const struct nn_split *s, size_t first, size_t last,
                       size_t thread)
{
    const struct nn_node *o = s->o;
    const size_t n = o->i[0];

    (void)thread;
    for (size_t r = first; r < last; r++)
        s->t->k->gauss(nn_at(s->t, o->out[0]->data, r * n), o->seed,
                       drop_key(o, 0, r), s->t->step, n);
}

static void noise_forward(struct nn_tape *t, struct nn_node *o)
{
    struct nn_split s = drop_split(t, o);

    s.fn = noise_task;
    if (t->training)
        nn_split_run(&s);
    else
        memset(o->out[0]->data, 0, o->out[0]->n * t->k->size);
}

static const struct nn_op op_noise = {"noise", noise_forward, NULL};

struct nn_tensor *nn_map_sample(struct nn_tape *t, struct nn_tensor *mean,
                                struct nn_tensor *logvar, const char *name,
                                struct nn_tensor *keys)
{
    const size_t n = drop_length(mean, keys);
    struct nn_node *o;

    if (t->failed == ERR_OK && n == 0)
        return nn_node_fail(t,
                            "sample '%s': keys name equal parts of the "
                            "tensor",
                            name);
    o = nn_node_new(t, &op_noise, 1, &keys, mean->n_dims, mean->dim);
    if (o != NULL) {
        o->i[0] = n;
        o->seed = nn_node_seed(t, name);
    }
    return nn_map_add(
        t, mean,
        nn_map_mul(t, nn_node_out(t, o),
                   nn_map(t, nn_map_scale(t, logvar, 0.5, 0), NN_EXP)));
}
