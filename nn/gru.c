/*
 * nn/gru.c - gated recurrent units.
 *
 * keep: act [batch n][3h] (r z n), un [batch n][h], prev [batch n][h].
 * work: forward gh [batch][3h]; backward dgi, dgh [batch n][3h], carry
 * [batch][h], partial sums of biases.
 */
#include "nn/gru.h"

#include "nn/recur.h"

static void gru_step(struct nn_tape *t, const struct nn_node *o,
                     const struct nn_recur *r, size_t b, size_t now)
{
    const size_t at = b * r->n + now, h = r->h;
    void *prev = nn_gru_prev(t, o, at);
    void *next = nn_at(t, o->out[0]->data, at * h);

    if (nn_recur_masked(t, o->in[NN_GRU_MASK], at)) {
        memcpy(next, prev, h * t->k->size);
        return;
    }
    t->k->gru(&(struct krn_gru){h, nn_at(t, o->keep, at * 3 * h),
                                nn_at(t, o->work, b * 3 * h),
                                nn_gru_un(t, o, at), prev, next});
}

static void gru_task(const struct nn_split *s, size_t first, size_t last,
                     size_t thread)
{
    const struct nn_node *o = s->o;
    const struct nn_recur r = nn_recur_of(o);
    const size_t g = 3 * r.h, bytes = g * s->t->k->size;
    struct nn_tape *t = s->t;

    for (size_t i = 0; i < r.n; i++) {
        const size_t now = nn_recur_step(&r, i);

        for (size_t b = first; b < last; b++) {
            nn_recur_before(t, &r, nn_gru_prev(t, o, b * r.n + now), o->out[0],
                            o->in[NN_GRU_START], b, i);
            memcpy(nn_at(t, o->work, b * g), o->in[NN_GRU_BH]->data, bytes);
        }
        nn_recur_mm(t, thread,
                    (struct krn_mm){false, false, true, last - first, g, r.h,
                                    nn_gru_prev(t, o, first * r.n + now),
                                    r.n * r.h, o->in[NN_GRU_WH]->data, g,
                                    nn_at(t, o->work, first * g), g, NULL});
        for (size_t b = first; b < last; b++)
            gru_step(t, o, &r, b, now);
    }
}

static void gru_forward(struct nn_tape *t, struct nn_node *o)
{
    nn_recur_input(t, o, o->keep, o->in[NN_GRU_WX], o->in[NN_GRU_BX]);
    nn_recur_run(t, o, gru_task);
}

/* --- backward ----------------------------------------------------------------
 */

struct nn_gru_work nn_gru_work_of(const struct nn_tape *t,
                                  const struct nn_node *o)
{
    const struct nn_recur r = nn_recur_of(o);
    const size_t all = r.batch * r.n * 3 * r.h;

    return (struct nn_gru_work){o->work, nn_at(t, o->work, all),
                                nn_at(t, o->work, 2 * all),
                                nn_at(t, o->work, 2 * all + r.batch * r.h)};
}

static void gru_step_grad(struct nn_tape *t, const struct nn_node *o,
                          const struct nn_recur *r, const struct nn_gru_work *w,
                          size_t b, size_t now)
{
    const size_t at = b * r->n + now, h = r->h;
    void *carry = nn_at(t, w->carry, b * h);
    void *dgi = nn_at(t, w->dgi, at * 3 * h),
         *dgh = nn_at(t, w->dgh, at * 3 * h);

    t->k->scale(carry, true, 1, nn_at(t, o->out[0]->grad, at * h), 0, h);
    if (nn_recur_masked(t, o->in[NN_GRU_MASK], at)) {
        memset(dgi, 0, 3 * h * t->k->size);
        memset(dgh, 0, 3 * h * t->k->size);
        return;
    }
    t->k->gru_grad(&(struct krn_gru_grad){
        h, nn_at(t, o->keep, at * 3 * h), nn_gru_un(t, o, at),
        nn_gru_prev(t, o, at), carry, dgi, dgh, carry});
}

static void gru_grad_task(const struct nn_split *s, size_t first, size_t last,
                          size_t thread)
{
    const struct nn_node *o = s->o;
    const struct nn_recur r = nn_recur_of(o);
    const struct nn_gru_work w = nn_gru_work_of(s->t, o);
    const size_t g = 3 * r.h;
    struct nn_tape *t = s->t;

    memset(nn_at(t, w.carry, first * r.h), 0,
           (last - first) * r.h * t->k->size);
    for (size_t i = r.n; i-- > 0;) {
        const size_t now = nn_recur_step(&r, i);

        for (size_t b = first; b < last; b++)
            gru_step_grad(t, o, &r, &w, b, now);
        nn_recur_mm(t, thread,
                    (struct krn_mm){false, true, true, last - first, r.h, g,
                                    nn_at(t, w.dgh, (first * r.n + now) * g),
                                    r.n * g, o->in[NN_GRU_WH]->data, g,
                                    nn_at(t, w.carry, first * r.h), r.h, NULL});
    }
}

static void gru_backward(struct nn_tape *t, struct nn_node *o)
{
    const struct nn_recur r = nn_recur_of(o);
    const struct nn_gru_work w = nn_gru_work_of(t, o);

    nn_recur_run(t, o, gru_grad_task);
    nn_recur_input_grad(t, o, NN_GRU_X, NN_GRU_WX, w.dgi, w.part);
    nn_recur_state_grad(t, o, NN_GRU_WH, nn_gru_prev(t, o, 0), w.dgh, w.part);
    nn_recur_bias_grad(t, o, NN_GRU_BX, w.dgi, w.part);
    nn_recur_bias_grad(t, o, NN_GRU_BH, w.dgh, w.part);
    if (nn_node_wants(o, NN_GRU_START))
        t->k->scale(o->in[NN_GRU_START]->grad, nn_node_add(o, NN_GRU_START), 1,
                    w.carry, 0, r.batch * r.h);
}

static const struct nn_op op_gru = {"gru", gru_forward, gru_backward};

static bool gru_fits(const struct nn_tensor *x, size_t h,
                     const struct nn_gru *how)
{
    return x->n_dims == 3 && h > 0 &&
           (how->start == NULL || how->start->n == x->dim[0] * h) &&
           (how->mask == NULL || how->mask->n == x->dim[0] * x->dim[1]);
}

struct nn_tensor *nn_gru(struct nn_tape *t, struct nn_tensor *x,
                         const char *name, size_t h, const struct nn_gru *how)
{
    const struct nn_init zero = {0}, in = {NN_INIT_XAVIER, 1, nn_cols(x), h},
                         state = {NN_INIT_XAVIER, 1, h, h};
    const struct nn_gru none = {0}, *g = how == NULL ? &none : how;
    const size_t d = nn_cols(x), h3 = 3 * h;
    struct nn_node *o;

    if (t->failed == ERR_OK && !gru_fits(x, h, g))
        return nn_node_fail(t,
                            "gru '%s' wants [batch][steps][width], a start "
                            "of [batch][%zu] and a mask of [batch][steps]",
                            name, h);
    struct nn_tensor *in_of[NN_GRU_INPUTS] = {
        x,
        nn_node_param(t, name, "input_weight", 2, (size_t[]){d, h3}, in),
        nn_node_param(t, name, "state_weight", 2, (size_t[]){h, h3}, state),
        nn_node_param(t, name, "input_bias", 1, &h3, zero),
        nn_node_param(t, name, "state_bias", 1, &h3, zero),
        g->start,
        g->mask};

    o = nn_node_new(t, g->reset_first ? &nn_gru_first : &op_gru, NN_GRU_INPUTS,
                    in_of, 3, (size_t[]){x->dim[0], x->dim[1], h});
    if (o == NULL)
        return &t->none;
    const struct nn_recur r = {x->dim[0], x->dim[1], d, h, 3, g->reverse};
    const size_t all = r.batch * r.n * h;

    memcpy(o->i, (size_t[]){r.batch, r.n, d, h, 3, g->reverse},
           6 * sizeof(size_t));
    o->keep_bytes = 5 * all * t->k->size;
    o->work_bytes =
        (6 * all + r.batch * 3 * h + nn_recur_part(&r)) * t->k->size;
    return o->out[0];
}
