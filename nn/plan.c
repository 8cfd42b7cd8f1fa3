/*
 * nn/plan.c - where every tensor lives.
 *
 * Time: node i runs forward at time i and backward at time 2 n - 1 - i.  A
 * piece of memory is wanted from one time to another; pieces whose times do
 * not meet may share a place.  They are placed one after the other, each at
 * the lowest offset that is free for all of its time: not optimal, but simple
 * and close.  What lives all the time stands below and is left out of the
 * search, which would be slow for nets of thousands of nodes.
 *
 * With a loss, values live from forward until the node's own backward, so only
 * gradients share; without one, values share.
 */
#include <string.h>

#include "nn/cuda.h"
#include "nn/node.h"

struct plan_piece {
    size_t first, last; /* times, inclusive */
    size_t bytes, at;
    void **slot; /* where the pointer is wanted */
};

struct plan {
    struct nn_tape *t;
    struct plan_piece *piece; /* those wanted */
    size_t n;
    size_t base, end; /* bytes: what lives all the time; everything */
    void *work;
};

static size_t plan_end(const struct nn_tape *t)
{
    return 2 * t->n_nodes;
}

static void plan_want(struct plan *plan, void **slot, size_t bytes,
                      size_t first, size_t last)
{
    bytes = bytes == 0 ? 1 : bytes;
    bytes = (bytes + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN;
    plan->piece[plan->n++] = (struct plan_piece){first, last, bytes, 0, slot};
}

static bool plan_always(const struct plan *plan, const struct plan_piece *p)
{
    return p->first == 0 && p->last == plan_end(plan->t);
}

/* Where p must move to from p->at because one of the pieces before it that
 * share memory is in the way; p->at itself when none is. */
static size_t plan_next(const struct plan *plan, const struct plan_piece *p)
{
    for (const struct plan_piece *q = plan->piece; q < p; q++) {
        if (q->first <= p->last && p->first <= q->last &&
            q->at < p->at + p->bytes && p->at < q->at + q->bytes &&
            !plan_always(plan, q))
            return q->at + q->bytes;
    }
    return p->at;
}

/* First what lives all the time, one behind the other; then the rest above.
 * The inner loop ends: offsets only grow, and behind all pieces there is room.
 */
static void plan_place(struct plan *plan)
{
    struct plan_piece *const end = plan->piece + plan->n;

    for (struct plan_piece *p = plan->piece; p < end; p++) {
        if (plan_always(plan, p)) {
            p->at = plan->base;
            plan->base += p->bytes;
        }
    }
    plan->end = plan->base;
    for (struct plan_piece *p = plan->piece; p < end; p++) {
        if (plan_always(plan, p))
            continue;
        p->at = plan->base;
        for (size_t next; (next = plan_next(plan, p)) != p->at;)
            p->at = next;
        if (p->at + p->bytes > plan->end)
            plan->end = p->at + p->bytes;
    }
}

/* --- which gradients there are -----------------------------------------------
 */

static bool plan_wanted(const struct nn_node *o)
{
    for (size_t k = 0; k < NN_OUTS; k++) {
        if (o->out[k] != NULL && o->out[k]->root->has_grad)
            return true;
    }
    return false;
}

/* Walk back from the loss: mark nodes, and say of each input whether its
 * gradient is there already when this node adds its part. */
static void plan_backward(struct nn_tape *t)
{
    const size_t n = t->n_nodes;

    t->loss->root->has_grad = true;
    t->loss->root->first = n;
    for (size_t i = n; i-- > 0;) {
        struct nn_node *o = t->node[i];
        const size_t now = 2 * n - 1 - i;

        o->active = o->op->backward != NULL && plan_wanted(o);
        for (size_t k = 0; o->active && k < o->n_in; k++) {
            struct nn_tensor *x = o->in[k] == NULL ? NULL : o->in[k]->root;

            if (x == NULL || !x->needs_grad)
                continue;
            o->add[k] = x->has_grad || x->param != SIZE_MAX;
            if (x->param != SIZE_MAX && !o->by_rows)
                nn_params_at(t->params, x->param)->dense = true;
            if (x->param != SIZE_MAX && o->by_rows)
                nn_params_at(t->params, x->param)->looked_up = true;
            if (!x->has_grad)
                x->first = now;
            x->has_grad = true;
        }
    }
}

/* A second output that nobody's gradient reaches still has one: zero. */
static void plan_seconds(struct nn_tape *t)
{
    for (size_t i = 0; i < t->n_nodes; i++) {
        struct nn_node *o = t->node[i];

        for (size_t k = 0; o->active && k < NN_OUTS; k++) {
            if (o->out[k] == NULL || o->out[k]->has_grad)
                continue;
            o->out[k]->has_grad = true;
            o->out[k]->first = SIZE_MAX; /* from the beginning, kept zero */
        }
    }
}

static void plan_aliases(struct nn_tape *t)
{
    for (struct nn_tensor *x = t->tensors; x != NULL; x = x->older)
        x->has_grad = x->root->has_grad;
}

/* --- placing -----------------------------------------------------------------
 */

static size_t plan_elem(const struct nn_tape *t, const struct nn_tensor *x)
{
    return x->kind == NN_IDS    ? sizeof(uint32_t)
           : x->kind == NN_KEYS ? sizeof(uint64_t)
                                : t->k->size;
}

static void plan_values(struct plan *plan)
{
    struct nn_tape *t = plan->t;
    const size_t end = plan_end(t);

    for (size_t i = 0; t->loss == NULL && i < t->n_nodes; i++) {
        for (size_t k = 0; k < t->node[i]->n_in; k++) {
            if (t->node[i]->in[k] != NULL)
                t->node[i]->in[k]->root->last = i;
        }
    }
    for (struct nn_tensor *x = t->tensors; x != NULL; x = x->older) {
        if (x->root != x && !x->read) /* a result in another shape */
            x->root->kept = true;
    }
    for (struct nn_tensor *x = t->tensors; x != NULL; x = x->older) {
        const bool shares =
            t->loss == NULL && !x->kept && x->read && x->maker != SIZE_MAX;

        if (x->root == x && x->param == SIZE_MAX)
            plan_want(plan, &x->data, x->n * plan_elem(t, x),
                      shares ? x->maker : 0, shares ? x->last : end);
    }
}

static void plan_grads(struct plan *plan)
{
    struct nn_tape *t = plan->t;
    const size_t n = t->n_nodes;

    for (struct nn_tensor *x = t->tensors; x != NULL; x = x->older) {
        const bool zero = x->first == SIZE_MAX;

        if (x->root != x || x->param != SIZE_MAX || !x->has_grad)
            continue;
        const size_t last =
            x->maker == SIZE_MAX || zero ? 2 * n : 2 * n - 1 - x->maker;

        plan_want(plan, &x->grad, x->n * t->k->size, zero ? 0 : x->first, last);
    }
}

/* What nodes keep; and one piece of work memory for all. */
static void plan_nodes(struct plan *plan)
{
    struct nn_tape *t = plan->t;
    size_t work = 1;

    for (size_t i = 0; i < t->n_nodes; i++) {
        struct nn_node *o = t->node[i];

        if (o->keep_bytes != 0)
            plan_want(plan, &o->keep, o->keep_bytes, t->loss ? 0 : i,
                      t->loss ? plan_end(t) : i);
        const size_t bytes = o->work_bytes + t->threads * o->thread_bytes;

        work = bytes > work ? bytes : work;
    }
    plan_want(plan, &plan->work, work, 0, plan_end(t));
}

/* Fill in all pointers, now that the blocks are there. */
static void plan_point(struct plan *plan)
{
    struct nn_tape *t = plan->t;
    unsigned char *values = nn_params_values(t->params);
    unsigned char *grads = nn_params_grads(t->params);

    for (size_t i = 0; i < plan->n; i++)
        *plan->piece[i].slot = t->arena + plan->piece[i].at;
    for (struct nn_tensor *x = t->tensors; x != NULL; x = x->older) {
        if (x->param == SIZE_MAX)
            continue;
        const size_t at = nn_params_at(t->params, x->param)->at * t->k->size;

        x->data = values + at;
        x->grad = grads == NULL ? NULL : grads + at;
    }
    for (struct nn_tensor *x = t->tensors; x != NULL; x = x->older) {
        x->data = x->root->data;
        x->grad = x->root->grad;
    }
    for (size_t i = 0; i < t->n_nodes; i++) {
        struct nn_node *o = t->node[i];

        o->work = plan->work;
        if (o->n_in == 0) /* a constant: its values wait in keep */
            nn_tape_set(t, o->out[0], o->keep);
    }
}

/* --- the whole ---------------------------------------------------------------
 */

static enum err plan_refuse(struct nn_tape *t, double bytes)
{
    if (t->budget != 0 && bytes > (double)t->budget)
        return err_set(ERR_NOMEM,
                       "the network needs about %.1f MiB for a batch of this "
                       "size and %.1f MiB are allowed: make the batch smaller",
                       bytes / 0x1p20, (double)t->budget / 0x1p20);
    return mem_budget(bytes, "the network, for a batch of this size,");
}

static enum err plan_take(struct nn_tape *t, struct plan *plan)
{
    t->threads = par_threads();
    plan_values(plan);
    if (t->loss != NULL)
        plan_grads(plan);
    plan_nodes(plan);
    plan_place(plan);
    const size_t scratch = t->threads * KRN_GEMM_SCRATCH * sizeof(float);

    t->bytes = plan->end + scratch;
    ERR_TRY(plan_refuse(t, (double)t->bytes + nn_params_plan_bytes(
                                                  t->params, t->loss != NULL)));
    ERR_TRY(nn_params_plan(t->params, t->loss != NULL));
    t->arena = mem_array(t->bytes, 1);
    if (t->arena == NULL)
        return err_set(ERR_NOMEM, "no memory for a network: %.1f MiB",
                       (double)t->bytes / 0x1p20);
    t->scratch = (float *)(void *)(t->arena + plan->end);
    t->training = t->loss != NULL;
    t->planned = true;
    t->arena_bytes = plan->end;
    plan_point(plan);
    return t->on_device ? nn_cuda_plan(t) : ERR_OK;
}

/* Rows were all that other tapes gave gradients to, and optimisers count on
 * that. */
static enum err plan_tables(const struct nn_tape *t)
{
    for (size_t i = 0; i < nn_params_count(t->params); i++) {
        const struct nn_param *q = nn_params_view(t->params, i);

        if (q->by_rows && q->dense)
            return err_set(ERR_ARG,
                           "table '%s' is used as a whole here, and by look-up "
                           "in a network planned before: plan this one first",
                           q->name);
    }
    return ERR_OK;
}

static size_t plan_count(const struct nn_tape *t)
{
    size_t n = t->n_nodes + 1;

    for (const struct nn_tensor *x = t->tensors; x != NULL; x = x->older)
        n += 2;
    return n;
}

enum err nn_tape_plan(struct nn_tape *t, struct nn_tensor *loss)
{
    struct mem_scratch s = {0};
    struct plan plan = {.t = t};
    enum err e;

    if (t->failed != ERR_OK)
        return t->failed; /* the note may be old: say again */
    if (loss != NULL && (loss->n != 1 || !loss->needs_grad))
        return err_set(ERR_ARG,
                       "the loss must be one number that depends on "
                       "a parameter; '%s' is not",
                       loss->name);
    plan.piece = mem_take(&s, plan_count(t), 1, sizeof(*plan.piece));
    if (s.failed)
        return err_set(ERR_NOMEM, "no memory to plan a network");
    t->loss = loss;
    if (loss != NULL) {
        plan_backward(t);
        plan_seconds(t);
        plan_aliases(t);
    }
    e = plan_tables(t);
    if (e == ERR_OK)
        e = plan_take(t, &plan);
    mem_drop(&s);
    return e;
}
