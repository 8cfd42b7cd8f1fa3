/*
 * nn/attend.c - one task for each list and head.
 *
 * With S = Q K^T / sqrt(w), P = softmax(S), D = dropout(P), O = D V:
 *   dV = D^T dO, dD = dO V^T, dP = dropout(dD), dS = softmax'(dP),
 *   dQ = dS K / sqrt(w), dK = dS^T Q / sqrt(w).
 * Heads are column ranges of Q, K, V and O: products run on them in place.
 * Self-attention has Q, K and V side by side in one tensor, to save copies.
 *
 * keep: P [batch][heads][n][l], then D where there is dropout.
 */
#include "nn/attend.h"

#include <math.h>

#include "nn/linear.h"
#include "nn/node.h"

enum { ATTEND_Q, ATTEND_K, ATTEND_V, ATTEND_MASK, ATTEND_KEYS };

struct attend {
    size_t heads, w, n, l, ld; /* w: of a head; ld: of q, k and v */
    bool causal, packed, drops;
    size_t window;
};

static struct attend attend_of(const struct nn_tape *t, const struct nn_node *o)
{
    return (struct attend){.heads = o->i[0],
                           .w = nn_cols(o->out[0]) / o->i[0],
                           .n = o->i[1],
                           .l = o->i[2],
                           .ld = nn_cols(o->in[0]),
                           .causal = o->i[3] != 0,
                           .packed = o->i[4] != 0,
                           .window = o->i[5],
                           .drops = o->r[0] > 0 && t->training};
}

/* Where list b, head h of Q, K or V begins. */
static void *attend_part(const struct nn_tape *t, const struct nn_node *o,
                         const struct attend *a, size_t which, size_t b,
                         size_t h, bool grad)
{
    const struct nn_tensor *x = o->in[a->packed ? ATTEND_Q : which];
    const size_t rows = a->packed || which == ATTEND_Q ? a->n : a->l;
    const size_t side = a->packed ? which * a->heads * a->w : 0;

    return nn_at(t, grad ? x->grad : x->data,
                 b * rows * a->ld + side + h * a->w);
}

static bool attend_adds(const struct nn_node *o, const struct attend *a,
                        size_t which)
{
    return nn_node_add(o, a->packed ? ATTEND_Q : which);
}

static bool attend_wants(const struct nn_node *o, const struct attend *a,
                         size_t which)
{
    return nn_node_wants(o, a->packed ? ATTEND_Q : which);
}

/* Row i of P: softmax over the keys first..last-1 that it may see. */
static void attend_row(const struct nn_tape *t, const struct nn_node *o,
                       const struct attend *a, void *row, size_t b, size_t i)
{
    /* without a window everything is near, however many queries there are */
    const size_t far = a->window == 0 ? a->n + a->l : a->window;
    const size_t first = i > far ? i - far : 0;
    size_t last = i + far + 1 < a->l ? i + far + 1 : a->l;
    const void *mask =
        o->in[ATTEND_MASK] == NULL
            ? NULL
            : nn_at(t, o->in[ATTEND_MASK]->data, b * a->l + first);

    if (a->causal && last > i + 1)
        last = i + 1;
    if (first >= last) {
        memset(row, 0, a->l * t->k->size);
        return;
    }
    t->k->softmax(nn_at(t, row, first), nn_at(t, row, first), mask,
                  last - first);
    memset(row, 0, first * t->k->size);
    memset(nn_at(t, row, last), 0, (a->l - last) * t->k->size);
}

static void attend_drop(const struct nn_tape *t, const struct nn_node *o,
                        const struct attend *a, void *y, const void *x,
                        size_t b, size_t h)
{
    const uint64_t key = o->in[ATTEND_KEYS] == NULL
                             ? b
                             : ((const uint64_t *)o->in[ATTEND_KEYS]->data)[b];

    t->k->drop(y, false, x, o->seed + h, key, t->step, o->r[0], a->n * a->l);
}

static void attend_mm(const struct nn_split *s, size_t thread, struct krn_mm g)
{
    g.scratch = s->t->scratch + thread * KRN_GEMM_SCRATCH;
    s->t->k->mm(&g);
}

static void attend_one(const struct nn_split *s, const struct attend *a,
                       size_t b, size_t h, size_t thread)
{
    const struct nn_node *o = s->o;
    struct nn_tape *t = s->t;
    const size_t cell = a->n * a->l, d = a->heads * a->w;
    void *p = nn_at(t, o->keep, (b * a->heads + h) * cell), *drop = p;

    attend_mm(s, thread,
              (struct krn_mm){false, true, false, a->n, a->l, a->w,
                              attend_part(t, o, a, ATTEND_Q, b, h, false),
                              a->ld,
                              attend_part(t, o, a, ATTEND_K, b, h, false),
                              a->ld, p, a->l, NULL});
    t->k->scale(p, false, 1 / sqrt((double)a->w), p, 0, cell);
    for (size_t i = 0; i < a->n; i++)
        attend_row(t, o, a, nn_at(t, p, i * a->l), b, i);
    if (a->drops) {
        drop = nn_at(t, p, o->i[6]);
        attend_drop(t, o, a, drop, p, b, h);
    }
    attend_mm(s, thread,
              (struct krn_mm){
                  false, false, false, a->n, a->w, a->l, drop, a->l,
                  attend_part(t, o, a, ATTEND_V, b, h, false), a->ld,
                  nn_at(t, o->out[0]->data, b * a->n * d + h * a->w), d, NULL});
}

static void attend_task(const struct nn_split *s, size_t first, size_t last,
                        size_t thread)
{
    const struct attend a = attend_of(s->t, s->o);

    for (size_t r = first; r < last; r++)
        attend_one(s, &a, r / a.heads, r % a.heads, thread);
}

/* dS of one list and head, in ds [n][l]. */
static void attend_ds(const struct nn_split *s, const struct attend *a,
                      size_t b, size_t h, size_t thread, void *ds)
{
    const struct nn_node *o = s->o;
    struct nn_tape *t = s->t;
    const size_t cell = a->n * a->l, d = a->heads * a->w;
    const void *p = nn_at(t, o->keep, (b * a->heads + h) * cell);

    attend_mm(
        s, thread,
        (struct krn_mm){false, true, false, a->n, a->l, a->w,
                        nn_at(t, o->out[0]->grad, b * a->n * d + h * a->w), d,
                        attend_part(t, o, a, ATTEND_V, b, h, false), a->ld, ds,
                        a->l, NULL});
    if (a->drops)
        attend_drop(t, o, a, ds, ds, b, h);
    for (size_t i = 0; i < a->n; i++)
        t->k->softmax_grad(nn_at(t, ds, i * a->l), false,
                           nn_at(t, ds, i * a->l), nn_at(t, p, i * a->l), a->l);
    t->k->scale(ds, false, 1 / sqrt((double)a->w), ds, 0, cell);
}

/* Q, then K, then V: the first that shares a tensor with others replaces. */
static void attend_grad(const struct nn_split *s, const struct attend *a,
                        size_t b, size_t h, size_t thread)
{
    const struct nn_node *o = s->o;
    struct nn_tape *t = s->t;
    const size_t cell = a->n * a->l, d = a->heads * a->w;
    const size_t at = (b * a->heads + h) * cell;
    void *ds = nn_at(t, o->work, thread * cell);

    attend_ds(s, a, b, h, thread, ds);
    if (attend_wants(o, a, ATTEND_Q))
        attend_mm(s, thread,
                  (struct krn_mm){
                      false, false, attend_adds(o, a, ATTEND_Q), a->n, a->w,
                      a->l, ds, a->l,
                      attend_part(t, o, a, ATTEND_K, b, h, false), a->ld,
                      attend_part(t, o, a, ATTEND_Q, b, h, true), a->ld, NULL});
    if (attend_wants(o, a, ATTEND_K))
        attend_mm(s, thread,
                  (struct krn_mm){
                      true, false, attend_adds(o, a, ATTEND_K), a->l, a->w,
                      a->n, ds, a->l,
                      attend_part(t, o, a, ATTEND_Q, b, h, false), a->ld,
                      attend_part(t, o, a, ATTEND_K, b, h, true), a->ld, NULL});
    if (attend_wants(o, a, ATTEND_V))
        attend_mm(s, thread,
                  (struct krn_mm){
                      true, false, attend_adds(o, a, ATTEND_V), a->l, a->w,
                      a->n, nn_at(t, o->keep, at + (a->drops ? o->i[6] : 0)),
                      a->l, nn_at(t, o->out[0]->grad, b * a->n * d + h * a->w),
                      d, attend_part(t, o, a, ATTEND_V, b, h, true), a->ld,
                      NULL});
}

static void attend_grad_task(const struct nn_split *s, size_t first,
                             size_t last, size_t thread)
{
    const struct attend a = attend_of(s->t, s->o);

    for (size_t r = first; r < last; r++)
        attend_grad(s, &a, r / a.heads, r % a.heads, thread);
}

static void attend_forward(struct nn_tape *t, struct nn_node *o)
{
    nn_split_run(&(struct nn_split){t, o, o->out[0]->dim[0] * o->i[0], 4,
                                    attend_task, NULL, NULL, NULL});
}

static void attend_backward(struct nn_tape *t, struct nn_node *o)
{
    nn_split_run(&(struct nn_split){t, o, o->out[0]->dim[0] * o->i[0], 4,
                                    attend_grad_task, NULL, NULL, NULL});
}

static const struct nn_op op_attend = {"attend", attend_forward,
                                       attend_backward};

static bool attend_fits(const struct nn_tensor *q, const struct nn_tensor *k,
                        const struct nn_tensor *v, const struct nn_attend *how,
                        size_t width)
{
    return q->n_dims == 3 && k->n_dims == 3 && v->n_dims == 3 &&
           q->dim[0] == k->dim[0] && k->dim[0] == v->dim[0] &&
           k->dim[1] == v->dim[1] && q->dim[2] == k->dim[2] &&
           k->dim[2] == v->dim[2] && how->heads > 0 &&
           width % how->heads == 0 &&
           (how->mask == NULL || how->mask->n == k->dim[0] * k->dim[1]) &&
           (how->keys == NULL || how->keys->n == k->dim[0]);
}

/* packed: q holds all three, of `width` each. */
static struct nn_tensor *attend_make(struct nn_tape *t, struct nn_tensor *q,
                                     struct nn_tensor *k, struct nn_tensor *v,
                                     const struct nn_attend *how, size_t width,
                                     bool packed)
{
    struct nn_node *o;

    if (t->failed == ERR_OK &&
        (!attend_fits(q, k, v, how, width) || !(how->drop < 1) ||
         (how->drop > 0 && how->drop_name == NULL)))
        return nn_node_fail(t,
                            "attention over '%s': three dimensions, equal "
                            "batches and widths, a width that %zu heads "
                            "divide, a mask of [batch][keys]",
                            q->name, how->heads);
    o = nn_node_new(t, &op_attend, 5,
                    (struct nn_tensor *[]){q, packed ? NULL : k,
                                           packed ? NULL : v, how->mask,
                                           how->keys},
                    3, (size_t[]){q->dim[0], q->dim[1], width});
    if (o == NULL)
        return &t->none;
    const size_t cell = q->dim[1] * k->dim[1];
    const size_t all = q->dim[0] * how->heads * cell;

    memcpy(o->i,
           (size_t[]){how->heads, q->dim[1], k->dim[1], how->causal, packed,
                      how->window, all},
           7 * sizeof(size_t));
    o->r[0] = how->drop;
    o->seed = how->drop > 0 ? nn_node_seed(t, how->drop_name) : 0;
    o->keep_bytes = (how->drop > 0 ? 2 : 1) * all * t->k->size;
    o->thread_bytes = cell * t->k->size;
    return o->out[0];
}

struct nn_tensor *nn_attend(struct nn_tape *t, struct nn_tensor *q,
                            struct nn_tensor *k, struct nn_tensor *v,
                            const struct nn_attend *how)
{
    return attend_make(t, q, k, v, how, nn_cols(q), false);
}

struct nn_tensor *nn_attend_self(struct nn_tape *t, struct nn_tensor *x,
                                 const char *name, size_t width,
                                 const struct nn_attend *how)
{
    width = nn_params_outputs(t->params, name, 3 * width) / 3;
    struct nn_tensor *qkv = nn_linear(t, x, name, 3 * width, NN_NONE);

    return attend_make(t, qkv, qkv, qkv, how, width, true);
}
