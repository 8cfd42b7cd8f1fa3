/*
 * nn/gru_first.c - the gated recurrent unit whose reset gate acts first.
 *
 * Two products a step instead of one: of prev for r and z, of r prev for n.
 * Memory as in nn/gru.c, but un holds r prev, and dgh the gradient of r prev
 * ([batch][h] of it): the gates' gradients are those of dgi.
 */
#include "nn/recur.h"

/* One step of some rows. */
struct first {
    struct nn_tape *t;
    const struct nn_node *o;
    struct nn_recur r;
    size_t first, last, now, thread;
};

/* gh[:, from..to) = bias + a Wh[:, from..to), a being prev or un. */
static void first_product(const struct first *f, const void *a, size_t from,
                          size_t to)
{
    struct nn_tape *t = f->t;
    const size_t h = f->r.h, g = 3 * h;

    for (size_t b = f->first; b < f->last; b++)
        memcpy(nn_at(t, f->o->work, b * g + from),
               nn_at(t, f->o->in[NN_GRU_BH]->data, from),
               (to - from) * t->k->size);
    nn_recur_mm(
        t, f->thread,
        (struct krn_mm){false, false, true, f->last - f->first, to - from, h, a,
                        f->r.n * h, nn_at(t, f->o->in[NN_GRU_WH]->data, from),
                        g, nn_at(t, f->o->work, f->first * g + from), g, NULL});
}

/* r, z, and un = r prev */
static void first_gates(const struct first *f, size_t b)
{
    const size_t h = f->r.h, at = b * f->r.n + f->now;
    const struct krn_tape *k = f->t->k;
    void *act = nn_at(f->t, f->o->keep, at * 3 * h);

    k->zip(KRN_ZIP_ADD, act, act, nn_at(f->t, f->o->work, b * 3 * h), 2 * h);
    k->map(KRN_MAP_SIGMOID, 0, act, act, 2 * h);
    k->product(nn_gru_un(f->t, f->o, at), false, act,
               nn_gru_prev(f->t, f->o, at), h);
}

/* n, and next = n + z (prev - n) */
static void first_next(const struct first *f, size_t b)
{
    const size_t h = f->r.h, at = b * f->r.n + f->now;
    const struct krn_tape *k = f->t->k;
    void *act = nn_at(f->t, f->o->keep, at * 3 * h);
    void *z = nn_at(f->t, act, h), *n = nn_at(f->t, act, 2 * h);
    void *next = nn_at(f->t, f->o->out[0]->data, at * h);
    const void *prev = nn_gru_prev(f->t, f->o, at);

    k->zip(KRN_ZIP_ADD, n, n, nn_at(f->t, f->o->work, b * 3 * h + 2 * h), h);
    k->map(KRN_MAP_TANH, 0, n, n, h);
    if (nn_recur_masked(f->t, f->o->in[NN_GRU_MASK], at)) {
        memcpy(next, prev, h * k->size);
        return;
    }
    k->zip(KRN_ZIP_SUB, next, prev, n, h);
    k->product(next, false, next, z, h);
    k->zip(KRN_ZIP_ADD, next, next, n, h);
}

static void first_task(const struct nn_split *s, size_t first, size_t last,
                       size_t thread)
{
    struct first f = {s->t, s->o, nn_recur_of(s->o), first, last, 0, thread};
    const size_t h = f.r.h;

    for (size_t i = 0; i < f.r.n; i++) {
        f.now = nn_recur_step(&f.r, i);
        const size_t at = first * f.r.n + f.now;

        for (size_t b = first; b < last; b++)
            nn_recur_before(f.t, &f.r, nn_gru_prev(f.t, f.o, b * f.r.n + f.now),
                            f.o->out[0], f.o->in[NN_GRU_START], b, i);
        first_product(&f, nn_gru_prev(f.t, f.o, at), 0, 2 * h);
        for (size_t b = first; b < last; b++)
            first_gates(&f, b);
        first_product(&f, nn_gru_un(f.t, f.o, at), 2 * h, 3 * h);
        for (size_t b = first; b < last; b++)
            first_next(&f, b);
    }
}

static void first_forward(struct nn_tape *t, struct nn_node *o)
{
    nn_recur_input(t, o, o->keep, o->in[NN_GRU_WX], o->in[NN_GRU_BX]);
    nn_recur_run(t, o, first_task);
}

/* --- backward ----------------------------------------------------------------
 */

/* dz = d (prev - n) z (1 - z), dn = d (1 - z) (1 - n^2); d becomes d z */
static void first_step_grad(const struct first *f, const struct nn_gru_work *w,
                            size_t b)
{
    const size_t h = f->r.h, at = b * f->r.n + f->now;
    const struct krn_tape *k = f->t->k;
    const void *z = nn_at(f->t, f->o->keep, (at * 3 + 1) * h);
    const void *n = nn_at(f->t, f->o->keep, (at * 3 + 2) * h);
    void *d = nn_at(f->t, w->carry, b * h);
    void *dz = nn_at(f->t, w->dgi, (at * 3 + 1) * h), *dn = nn_at(f->t, dz, h);

    k->scale(d, true, 1, nn_at(f->t, f->o->out[0]->grad, at * h), 0, h);
    if (nn_recur_masked(f->t, f->o->in[NN_GRU_MASK], at)) {
        memset(dz, 0, 2 * h * k->size);
        return;
    }
    k->zip(KRN_ZIP_SUB, dz, nn_gru_prev(f->t, f->o, at), n, h);
    k->product(dz, false, dz, d, h);
    k->map_grad(KRN_MAP_SIGMOID, 0, false, dz, dz, NULL, z, h);
    k->product(dn, false, d, z, h);
    k->zip(KRN_ZIP_SUB, dn, d, dn, h);
    k->map_grad(KRN_MAP_TANH, 0, false, dn, dn, NULL, n, h);
    k->product(d, false, d, z, h);
}

/* From drp, the gradient of r prev: dr = drp prev r (1 - r); d += drp r */
static void first_reset_grad(const struct first *f, const struct nn_gru_work *w,
                             size_t b)
{
    const size_t h = f->r.h, at = b * f->r.n + f->now;
    const struct krn_tape *k = f->t->k;
    const void *r = nn_at(f->t, f->o->keep, at * 3 * h);
    const void *drp = nn_at(f->t, w->dgh, b * h);
    void *dr = nn_at(f->t, w->dgi, at * 3 * h);

    k->product(dr, false, drp, nn_gru_prev(f->t, f->o, at), h);
    k->map_grad(KRN_MAP_SIGMOID, 0, false, dr, dr, NULL, r, h);
    k->product(nn_at(f->t, w->carry, b * h), true, drp, r, h);
}

/* to[rows][h] (+)= dgi[:, from..to) Wh[:, from..to)^T */
static void first_back(const struct first *f, const struct nn_gru_work *w,
                       void *to, bool add, size_t from, size_t end)
{
    struct nn_tape *t = f->t;
    const size_t h = f->r.h, g = 3 * h;

    nn_recur_mm(t, f->thread,
                (struct krn_mm){
                    false, true, add, f->last - f->first, h, end - from,
                    nn_at(t, w->dgi, (f->first * f->r.n + f->now) * g + from),
                    f->r.n * g, nn_at(t, f->o->in[NN_GRU_WH]->data, from), g,
                    nn_at(t, to, f->first * h), h, NULL});
}

static void first_grad_task(const struct nn_split *s, size_t first, size_t last,
                            size_t thread)
{
    struct first f = {s->t, s->o, nn_recur_of(s->o), first, last, 0, thread};
    const struct nn_gru_work w = nn_gru_work_of(s->t, s->o);
    const size_t h = f.r.h;

    memset(nn_at(f.t, w.carry, first * h), 0,
           (last - first) * h * f.t->k->size);
    for (size_t i = f.r.n; i-- > 0;) {
        f.now = nn_recur_step(&f.r, i);
        for (size_t b = first; b < last; b++)
            first_step_grad(&f, &w, b);
        first_back(&f, &w, w.dgh, false, 2 * h, 3 * h);
        for (size_t b = first; b < last; b++)
            first_reset_grad(&f, &w, b);
        first_back(&f, &w, w.carry, true, 0, 2 * h);
    }
}

/* Columns from..to of the gradient of Wh: a^T dgi. */
static void first_weights(struct nn_tape *t, struct nn_node *o, const void *a,
                          const void *dgi, size_t from, size_t to)
{
    const struct nn_recur r = nn_recur_of(o);
    const size_t g = 3 * r.h;

    if (nn_node_wants(o, NN_GRU_WH))
        nn_product_run(&(struct nn_product){
            .mm = {true, false, nn_node_add(o, NN_GRU_WH), r.h, to - from,
                   r.batch * r.n, a, r.h, nn_at(t, dgi, from), g,
                   nn_at(t, o->in[NN_GRU_WH]->grad, from), g, NULL},
            .t = t});
}

static void first_backward(struct nn_tape *t, struct nn_node *o)
{
    const struct nn_recur r = nn_recur_of(o);
    const struct nn_gru_work w = nn_gru_work_of(t, o);

    nn_recur_run(t, o, first_grad_task);
    nn_recur_input_grad(t, o, NN_GRU_X, NN_GRU_WX, w.dgi, w.part);
    first_weights(t, o, nn_gru_prev(t, o, 0), w.dgi, 0, 2 * r.h);
    first_weights(t, o, nn_gru_un(t, o, 0), w.dgi, 2 * r.h, 3 * r.h);
    nn_recur_bias_grad(t, o, NN_GRU_BX, w.dgi, w.part);
    nn_recur_bias_grad(t, o, NN_GRU_BH, w.dgi, w.part);
    if (nn_node_wants(o, NN_GRU_START))
        t->k->scale(o->in[NN_GRU_START]->grad, nn_node_add(o, NN_GRU_START), 1,
                    w.carry, 0, r.batch * r.h);
}

const struct nn_op nn_gru_first = {"gru_first", first_forward, first_backward};
