/*
 * nn/lstm.c - long short-term memory.
 *
 * out[0]: h; out[1]: c.
 * keep: gate [batch n][4h] after activation, prev and cprev [batch n][h].
 * work: backward dgate [batch n][4h], carry and dc [batch][h], partial sums.
 */
#include "nn/lstm.h"

#include "nn/recur.h"

enum {
    LSTM_X,
    LSTM_WX,
    LSTM_WH,
    LSTM_B,
    LSTM_START,
    LSTM_CELL,
    LSTM_MASK,
    LSTM_INPUTS
};

static void *lstm_prev(const struct nn_tape *t, const struct nn_node *o,
                       const struct nn_recur *r)
{
    return nn_at(t, o->keep, r->batch * r->n * 4 * r->h);
}

static void *lstm_cprev(const struct nn_tape *t, const struct nn_node *o,
                        const struct nn_recur *r)
{
    return nn_at(t, o->keep, r->batch * r->n * 5 * r->h);
}

static void lstm_step(struct nn_tape *t, const struct nn_node *o,
                      const struct nn_recur *r, size_t at)
{
    const size_t h = r->h, bytes = h * t->k->size;
    void *next = nn_at(t, o->out[0]->data, at * h);
    void *c = nn_at(t, o->out[1]->data, at * h);
    const void *cprev = nn_at(t, lstm_cprev(t, o, r), at * h);

    if (nn_recur_masked(t, o->in[LSTM_MASK], at)) {
        memcpy(next, nn_at(t, lstm_prev(t, o, r), at * h), bytes);
        memcpy(c, cprev, bytes);
        return;
    }
    t->k->lstm(
        &(struct krn_lstm){h, nn_at(t, o->keep, at * 4 * h), cprev, c, next});
}

static void lstm_task(const struct nn_split *s, size_t first, size_t last,
                      size_t thread)
{
    const struct nn_node *o = s->o;
    const struct nn_recur r = nn_recur_of(o);
    const size_t g = 4 * r.h;
    struct nn_tape *t = s->t;

    for (size_t i = 0; i < r.n; i++) {
        const size_t now = nn_recur_step(&r, i), at = first * r.n + now;

        for (size_t b = first; b < last; b++) {
            const size_t row = (b * r.n + now) * r.h;

            nn_recur_before(t, &r, nn_at(t, lstm_prev(t, o, &r), row),
                            o->out[0], o->in[LSTM_START], b, i);
            nn_recur_before(t, &r, nn_at(t, lstm_cprev(t, o, &r), row),
                            o->out[1], o->in[LSTM_CELL], b, i);
        }
        nn_recur_mm(t, thread,
                    (struct krn_mm){false, false, true, last - first, g, r.h,
                                    nn_at(t, lstm_prev(t, o, &r), at * r.h),
                                    r.n * r.h, o->in[LSTM_WH]->data, g,
                                    nn_at(t, o->keep, at * g), r.n * g, NULL});
        for (size_t b = first; b < last; b++)
            lstm_step(t, o, &r, b * r.n + now);
    }
}

static void lstm_forward(struct nn_tape *t, struct nn_node *o)
{
    nn_recur_input(t, o, o->keep, o->in[LSTM_WX], o->in[LSTM_B]);
    nn_recur_run(t, o, lstm_task);
}

/* --- backward ----------------------------------------------------------------
 */

struct lstm_work {
    void *dgate, *carry, *dc, *part;
};

static struct lstm_work lstm_work_of(const struct nn_tape *t,
                                     const struct nn_node *o,
                                     const struct nn_recur *r)
{
    const size_t all = r->batch * r->n * 4 * r->h, one = r->batch * r->h;

    return (struct lstm_work){o->work, nn_at(t, o->work, all),
                              nn_at(t, o->work, all + one),
                              nn_at(t, o->work, all + 2 * one)};
}

static void lstm_step_grad(struct nn_tape *t, const struct nn_node *o,
                           const struct nn_recur *r, const struct lstm_work *w,
                           size_t b, size_t now)
{
    const size_t at = b * r->n + now, h = r->h;
    void *carry = nn_at(t, w->carry, b * h), *dc = nn_at(t, w->dc, b * h);
    void *dgate = nn_at(t, w->dgate, at * 4 * h);

    t->k->scale(carry, true, 1, nn_at(t, o->out[0]->grad, at * h), 0, h);
    t->k->scale(dc, true, 1, nn_at(t, o->out[1]->grad, at * h), 0, h);
    if (nn_recur_masked(t, o->in[LSTM_MASK], at)) {
        memset(dgate, 0, 4 * h * t->k->size);
        return;
    }
    t->k->lstm_grad(&(struct krn_lstm_grad){
        h, nn_at(t, o->keep, at * 4 * h), nn_at(t, lstm_cprev(t, o, r), at * h),
        nn_at(t, o->out[1]->data, at * h), carry, dc, dgate, dc});
    memset(carry, 0, h * t->k->size);
}

static void lstm_grad_task(const struct nn_split *s, size_t first, size_t last,
                           size_t thread)
{
    const struct nn_node *o = s->o;
    const struct nn_recur r = nn_recur_of(o);
    const struct lstm_work w = lstm_work_of(s->t, o, &r);
    const size_t g = 4 * r.h, bytes = (last - first) * r.h * s->t->k->size;
    struct nn_tape *t = s->t;

    memset(nn_at(t, w.carry, first * r.h), 0, bytes);
    memset(nn_at(t, w.dc, first * r.h), 0, bytes);
    for (size_t i = r.n; i-- > 0;) {
        const size_t now = nn_recur_step(&r, i);

        for (size_t b = first; b < last; b++)
            lstm_step_grad(t, o, &r, &w, b, now);
        nn_recur_mm(t, thread,
                    (struct krn_mm){false, true, true, last - first, r.h, g,
                                    nn_at(t, w.dgate, (first * r.n + now) * g),
                                    r.n * g, o->in[LSTM_WH]->data, g,
                                    nn_at(t, w.carry, first * r.h), r.h, NULL});
    }
}

static void lstm_start_grad(struct nn_tape *t, struct nn_node *o, size_t input,
                            const void *carry)
{
    if (nn_node_wants(o, input))
        t->k->scale(o->in[input]->grad, nn_node_add(o, input), 1, carry, 0,
                    o->in[input]->n);
}

static void lstm_backward(struct nn_tape *t, struct nn_node *o)
{
    const struct nn_recur r = nn_recur_of(o);
    const struct lstm_work w = lstm_work_of(t, o, &r);

    nn_recur_run(t, o, lstm_grad_task);
    nn_recur_input_grad(t, o, LSTM_X, LSTM_WX, w.dgate, w.part);
    nn_recur_state_grad(t, o, LSTM_WH, lstm_prev(t, o, &r), w.dgate, w.part);
    nn_recur_bias_grad(t, o, LSTM_B, w.dgate, w.part);
    lstm_start_grad(t, o, LSTM_START, w.carry);
    lstm_start_grad(t, o, LSTM_CELL, w.dc);
}

static const struct nn_op op_lstm = {"lstm", lstm_forward, lstm_backward};

static bool lstm_fits(const struct nn_tensor *x, size_t h,
                      const struct nn_lstm *how)
{
    return x->n_dims == 3 && h > 0 &&
           (how->start == NULL || how->start->n == x->dim[0] * h) &&
           (how->start_cell == NULL || how->start_cell->n == x->dim[0] * h) &&
           (how->mask == NULL || how->mask->n == x->dim[0] * x->dim[1]);
}

/* Gates i f g o: the forget gate starts open. */
static struct nn_tensor *lstm_bias(struct nn_tape *t, const char *name,
                                   size_t h)
{
    return nn_node_param(t, name, "bias", 1, (size_t[]){4 * h},
                         (struct nn_init){NN_INIT_FORGET, 1, h, h});
}

struct nn_tensor *nn_lstm(struct nn_tape *t, struct nn_tensor *x,
                          const char *name, size_t h, const struct nn_lstm *how)
{
    const struct nn_init in = {NN_INIT_XAVIER, 1, nn_cols(x), h},
                         state = {NN_INIT_XAVIER, 1, h, h};
    const struct nn_lstm none = {0}, *g = how == NULL ? &none : how;
    const size_t d = nn_cols(x), h4 = 4 * h;
    struct nn_node *o;

    if (t->failed == ERR_OK && !lstm_fits(x, h, g))
        return nn_node_fail(t,
                            "lstm '%s' wants [batch][steps][width], starts "
                            "of [batch][%zu] and a mask of [batch][steps]",
                            name, h);
    struct nn_tensor *in_of[LSTM_INPUTS] = {
        x,
        nn_node_param(t, name, "input_weight", 2, (size_t[]){d, h4}, in),
        nn_node_param(t, name, "state_weight", 2, (size_t[]){h, h4}, state),
        lstm_bias(t, name, h),
        g->start,
        g->start_cell,
        g->mask};
    const size_t dim[3] = {x->dim[0], x->dim[1], h};

    o = nn_node_new(t, &op_lstm, LSTM_INPUTS, in_of, 3, dim);
    struct nn_tensor *cell = nn_node_second(t, o, 3, dim);

    if (g->cell != NULL)
        *g->cell = cell;
    if (o == NULL)
        return &t->none;
    const struct nn_recur r = {dim[0], dim[1], d, h, 4, g->reverse};
    const size_t all = r.batch * r.n * h;

    memcpy(o->i, (size_t[]){r.batch, r.n, d, h, 4, g->reverse},
           6 * sizeof(size_t));
    o->keep_bytes = 6 * all * t->k->size;
    o->work_bytes =
        (4 * all + 2 * r.batch * h + nn_recur_part(&r)) * t->k->size;
    return o->out[0];
}
