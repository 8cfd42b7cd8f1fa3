/*
 * nn/recur.h - what GRU and LSTM share; only nn/ includes this.
 *
 * The input's part of the gates is one product for all steps.  Then a task
 * takes NN_RECUR_ROWS sequences through all steps, without meeting others.
 * Backward goes the same way and leaves the gradients of the gates for all
 * steps, from which those of the weights are one product each.
 */
#ifndef NN_RECUR_H
#define NN_RECUR_H

#include "nn/node.h"

#define NN_RECUR_ROWS ((size_t)16)

struct nn_recur {
    size_t batch, n, d, h, g; /* g gates */
    bool reverse;
};

static inline struct nn_recur nn_recur_of(const struct nn_node *o)
{
    return (struct nn_recur){o->i[0], o->i[1], o->i[2],
                             o->i[3], o->i[4], o->i[5] != 0};
}

/* Number of the step that is done s-th. */
static inline size_t nn_recur_step(const struct nn_recur *r, size_t s)
{
    return r->reverse ? r->n - 1 - s : s;
}

static inline bool nn_recur_masked(const struct nn_tape *t,
                                   const struct nn_tensor *mask, size_t at)
{
    return mask != NULL && krn_tape_get(t->k, mask->data, at) == 0;
}

/* to = what y was one step before step s of sequence b; at first `start`, or
 * zero where that is NULL */
void nn_recur_before(struct nn_tape *t, const struct nn_recur *r, void *to,
                     const struct nn_tensor *y, const struct nn_tensor *start,
                     size_t b, size_t s);

/* C (+)= op(A) op(B) within a task. */
void nn_recur_mm(struct nn_tape *t, size_t thread, struct krn_mm g);

/* gates [batch n][g h] = x Wx + bias */
void nn_recur_input(struct nn_tape *t, struct nn_node *o, void *gates,
                    const struct nn_tensor *w, const struct nn_tensor *bias);

/* From the gradients of gates: of x and Wx; of Wh, given previous states;
 * of a bias (which may be NULL). */
void nn_recur_input_grad(struct nn_tape *t, struct nn_node *o, size_t x,
                         size_t w, const void *dgates, void *part);
void nn_recur_state_grad(struct nn_tape *t, struct nn_node *o, size_t w,
                         const void *prev, const void *dgates, void *part);
void nn_recur_bias_grad(struct nn_tape *t, struct nn_node *o, size_t bias,
                        const void *dgates, void *part);
/* Elements that `part` must hold. */
size_t nn_recur_part(const struct nn_recur *r);

/* Inputs of a GRU, and where it keeps its un and prev (nn/gru.c). */
enum {
    NN_GRU_X,
    NN_GRU_WX,
    NN_GRU_WH,
    NN_GRU_BX,
    NN_GRU_BH,
    NN_GRU_START,
    NN_GRU_MASK,
    NN_GRU_INPUTS
};

static inline void *nn_gru_un(const struct nn_tape *t, const struct nn_node *o,
                              size_t at)
{
    const struct nn_recur r = nn_recur_of(o);

    return nn_at(t, o->keep, (r.batch * r.n * 3 + at) * r.h);
}

static inline void *nn_gru_prev(const struct nn_tape *t,
                                const struct nn_node *o, size_t at)
{
    const struct nn_recur r = nn_recur_of(o);

    return nn_at(t, o->keep, (r.batch * r.n * 4 + at) * r.h);
}

struct nn_gru_work {
    void *dgi, *dgh, *carry, *part;
};

struct nn_gru_work nn_gru_work_of(const struct nn_tape *t,
                                  const struct nn_node *o);

/* The form in which the reset gate acts first (nn/gru_first.c). */
extern const struct nn_op nn_gru_first;

void nn_recur_run(struct nn_tape *t, struct nn_node *o,
                  void (*fn)(const struct nn_split *s, size_t first,
                             size_t last, size_t thread));

#endif
