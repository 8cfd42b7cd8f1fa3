/*
 * nn/loss.c - losses.  Those that are a short formula are built from other
 * operations, and get their gradients from them.
 */
#include "nn/loss.h"

#include <assert.h>

#include "nn/map.h"
#include "nn/node.h"
#include "nn/reduce.h"
#include "nn/shape.h"

/* softplus(x) - x y */
struct nn_tensor *nn_loss_bce(struct nn_tape *t, struct nn_tensor *x,
                              struct nn_tensor *y)
{
    return nn_map_sub(t, nn_map(t, x, NN_SOFTPLUS), nn_map_mul(t, x, y));
}

struct nn_tensor *nn_loss_square(struct nn_tape *t, struct nn_tensor *x,
                                 struct nn_tensor *y)
{
    return nn_map(t, nn_map_sub(t, x, y), NN_SQUARE);
}

struct nn_tensor *nn_loss_bpr(struct nn_tape *t, struct nn_tensor *positive,
                              struct nn_tensor *negative)
{
    return nn_map(t, nn_map_sub(t, negative, positive), NN_SOFTPLUS);
}

struct nn_tensor *nn_loss_hinge(struct nn_tape *t, struct nn_tensor *positive,
                                struct nn_tensor *negative, double margin)
{
    struct nn_tensor *d = nn_map_sub(t, negative, positive);

    return nn_map(t, nn_map_scale(t, d, 1, margin), NN_RELU);
}

/* (mean^2 + e^logvar - 1 - logvar) / 2, summed over d */
struct nn_tensor *nn_loss_kl_gauss(struct nn_tape *t, struct nn_tensor *mean,
                                   struct nn_tensor *logvar)
{
    struct nn_tensor *a =
        nn_map_add(t, nn_map(t, mean, NN_SQUARE), nn_map(t, logvar, NN_EXP));
    struct nn_tensor *b = nn_map_sub(t, a, nn_map_scale(t, logvar, 1, 1));

    return nn_reduce_axis_sum(t, nn_map_scale(t, b, 0.5, 0), mean->n_dims - 1);
}

struct nn_tensor *nn_loss_elbo(struct nn_tape *t, struct nn_tensor *rec,
                               struct nn_tensor *kl, double beta)
{
    return nn_map_add(t, rec, nn_map_scale(t, kl, beta, 0));
}

struct nn_tensor *nn_loss_entropy(struct nn_tape *t, struct nn_tensor *x)
{
    struct nn_tensor *logp = nn_reduce_log_softmax(t, x);
    struct nn_tensor *plogp = nn_map_mul(t, nn_map(t, logp, NN_EXP), logp);

    return nn_map_scale(t, nn_reduce_axis_sum(t, plogp, x->n_dims - 1), -1, 0);
}

struct nn_tensor *nn_loss_policy(struct nn_tape *t, struct nn_tensor *logp,
                                 struct nn_tensor *reward,
                                 struct nn_tensor *baseline)
{
    struct nn_tensor *a = nn_map_stop(t, reward);

    if (baseline != NULL)
        a = nn_map_sub(t, a, nn_map_stop(t, baseline));
    return nn_map_scale(t, nn_map_mul(t, logp, a), -1, 0);
}

struct nn_tensor *nn_loss_ppo(struct nn_tape *t, struct nn_tensor *logp,
                              struct nn_tensor *old,
                              struct nn_tensor *advantage, double eps)
{
    struct nn_tensor *r =
        nn_map(t, nn_map_sub(t, logp, nn_map_stop(t, old)), NN_EXP);
    struct nn_tensor *a = nn_map_stop(t, advantage);
    struct nn_tensor *clipped =
        nn_map_mul(t, nn_map_clip(t, r, 1 - eps, 1 + eps), a);

    return nn_map_scale(t, nn_map_min(t, nn_map_mul(t, r, a), clipped), -1, 0);
}

/* --- softmax cross entropy of rows: keep = softmax
 * ---------------------------- */

static void ce_task(const struct nn_split *s, size_t first, size_t last,
                    size_t thread)
{
    const struct nn_node *o = s->o;
    const size_t n = nn_cols(o->in[0]);
    struct nn_tape *t = s->t;

    (void)thread;
    for (size_t r = first; r < last; r++) {
        const void *x = nn_at(t, o->in[0]->data, r * n);
        void *keep = nn_at(t, o->keep, r * n);
        const uint32_t label =
            o->in[1] == NULL ? 0 : ((const uint32_t *)o->in[1]->data)[r];

        krn_tape_set(t->k, o->out[0]->data, r,
                     label == NN_PAD ? 0 : t->k->ce(keep, x, label, n));
    }
}

/* dx = dy (softmax - one at the label) */
static void ce_grad(const struct nn_split *s, size_t first, size_t last,
                    size_t thread)
{
    const struct nn_node *o = s->o;
    const size_t n = nn_cols(o->in[0]);
    const bool add = nn_node_add(o, 0);
    struct nn_tape *t = s->t;

    (void)thread;
    for (size_t r = first; r < last; r++) {
        const uint32_t label =
            o->in[1] == NULL ? 0 : ((const uint32_t *)o->in[1]->data)[r];
        const double dy = krn_tape_get(t->k, o->out[0]->grad, r);
        void *dx = nn_at(t, o->in[0]->grad, r * n);

        if (label == NN_PAD && !add)
            memset(dx, 0, n * t->k->size);
        if (label == NN_PAD)
            continue;
        t->k->scale(dx, add, dy, nn_at(t, o->keep, r * n), 0, n);
        krn_tape_set(t->k, dx, label, krn_tape_get(t->k, dx, label) - dy);
    }
}

static void row_run(struct nn_tape *t, struct nn_node *o,
                    void (*fn)(const struct nn_split *s, size_t first,
                               size_t last, size_t thread))
{
    const size_t n = nn_cols(o->in[0]);

    nn_split_run(&(struct nn_split){t, o, nn_rows(o->in[0]), nn_piece_rows(n),
                                    fn, NULL, NULL, NULL});
}

static void ce_forward(struct nn_tape *t, struct nn_node *o)
{
    row_run(t, o, ce_task);
}

static void ce_backward(struct nn_tape *t, struct nn_node *o)
{
    row_run(t, o, ce_grad);
}

static const struct nn_op op_ce = {"ce", ce_forward, ce_backward};

/* label NULL: the first column is the right one. */
static struct nn_tensor *ce_make(struct nn_tape *t, struct nn_tensor *x,
                                 struct nn_tensor *label)
{
    const size_t rows = nn_rows(x);
    struct nn_node *o;

    if (t->failed == ERR_OK && label != NULL &&
        (label->kind != NN_IDS || label->n != rows))
        return nn_node_fail(t, "labels '%s' of '%s': %zu ids are wanted",
                            label->name, x->name, rows);
    o = nn_node_new(t, &op_ce, 2, (struct nn_tensor *[]){x, label},
                    label == NULL ? 1 : label->n_dims,
                    label == NULL ? &rows : label->dim);
    if (o == NULL)
        return &t->none;
    o->keep_bytes = x->n * t->k->size;
    if (label != NULL && label->root->limit > nn_cols(x))
        label->root->limit = label->limit = nn_cols(x);
    return o->out[0];
}

struct nn_tensor *nn_loss_ce(struct nn_tape *t, struct nn_tensor *x,
                             struct nn_tensor *label)
{
    return ce_make(t, x, label);
}

struct nn_tensor *nn_loss_sampled(struct nn_tape *t, struct nn_tensor *positive,
                                  struct nn_tensor *negative,
                                  struct nn_tensor *logq_positive,
                                  struct nn_tensor *logq_negative)
{
    struct nn_tensor *p = positive, *q = negative;

    if (t->failed != ERR_OK)
        return &t->none;
    if (logq_positive != NULL && logq_negative != NULL) {
        p = nn_map_sub(t, p, logq_positive);
        q = nn_map_sub(t, q, logq_negative);
    }
    p = nn_shape_as(t, p, 2, (size_t[]){p->n, 1});
    return ce_make(t, nn_shape_concat(t, 2, (struct nn_tensor *[]){p, q}, 1),
                   NULL);
}

/* --- lists: keep = gradient --------------------------------------------------
 */

static void list_task(const struct nn_split *s, size_t first, size_t last,
                      size_t thread)
{
    const struct nn_node *o = s->o;
    const size_t n = nn_cols(o->in[0]);
    struct nn_tape *t = s->t;

    (void)thread;
    for (size_t r = first; r < last; r++) {
        const void *mask =
            o->in[2] == NULL ? NULL : nn_at(t, o->in[2]->data, r * n);

        krn_tape_set(t->k, o->out[0]->data, r,
                     t->k->list_ce(nn_at(t, o->keep, r * n),
                                   nn_at(t, o->in[0]->data, r * n),
                                   nn_at(t, o->in[1]->data, r * n), mask, n));
    }
}

static void list_grad(const struct nn_split *s, size_t first, size_t last,
                      size_t thread)
{
    const struct nn_node *o = s->o;
    const size_t n = nn_cols(o->in[0]);
    struct nn_tape *t = s->t;

    (void)thread;
    for (size_t r = first; r < last; r++)
        t->k->scale(nn_at(t, o->in[0]->grad, r * n), nn_node_add(o, 0),
                    krn_tape_get(t->k, o->out[0]->grad, r),
                    nn_at(t, o->keep, r * n), 0, n);
}

static void list_forward(struct nn_tape *t, struct nn_node *o)
{
    row_run(t, o, list_task);
}

static void list_backward(struct nn_tape *t, struct nn_node *o)
{
    row_run(t, o, list_grad);
}

static const struct nn_op op_list = {"list", list_forward, list_backward};

struct nn_tensor *nn_loss_list(struct nn_tape *t, struct nn_tensor *scores,
                               struct nn_tensor *labels, struct nn_tensor *mask)
{
    struct nn_node *o;

    if (t->failed == ERR_OK &&
        (labels->n != scores->n || (mask != NULL && mask->n != scores->n) ||
         labels->needs_grad))
        return nn_node_fail(t,
                            "labels '%s' of '%s': the same shape, without "
                            "gradient; so the mask",
                            labels->name, scores->name);
    o = nn_node_new(t, &op_list, 3,
                    (struct nn_tensor *[]){scores, labels, mask},
                    scores->n_dims == 1 ? 1 : scores->n_dims - 1,
                    scores->n_dims == 1 ? (size_t[]){1} : scores->dim);
    if (o != NULL)
        o->keep_bytes = scores->n * t->k->size;
    return nn_node_out(t, o);
}
