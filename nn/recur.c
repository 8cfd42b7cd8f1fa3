/* nn/recur.c - what GRU and LSTM share. */
#include "nn/recur.h"

void nn_recur_before(struct nn_tape *t, const struct nn_recur *r, void *to,
                     const struct nn_tensor *y, const struct nn_tensor *start,
                     size_t b, size_t s)
{
    const size_t bytes = r->h * t->k->size;

    if (s > 0)
        memcpy(to,
               nn_at(t, y->data, (b * r->n + nn_recur_step(r, s - 1)) * r->h),
               bytes);
    else if (start != NULL)
        memcpy(to, nn_at(t, start->data, b * r->h), bytes);
    else
        memset(to, 0, bytes);
}

void nn_recur_mm(struct nn_tape *t, size_t thread, struct krn_mm g)
{
    g.scratch = t->scratch + thread * KRN_GEMM_SCRATCH;
    t->k->mm(&g);
}

static void recur_bias(const struct nn_product *p, size_t row, size_t col,
                       size_t rows, size_t cols)
{
    const struct nn_tensor *b = p->arg;

    p->t->k->bias_map(KRN_MAP_NONE, 0,
                      nn_at(p->t, p->mm.c, row * p->mm.ldc + col), NULL,
                      nn_at(p->t, b->data, col), rows, cols, p->mm.ldc);
}

void nn_recur_input(struct nn_tape *t, struct nn_node *o, void *gates,
                    const struct nn_tensor *w, const struct nn_tensor *bias)
{
    const struct nn_recur r = nn_recur_of(o);
    const size_t gh = r.g * r.h;

    nn_product_run(&(struct nn_product){
        .mm = {false, false, false, r.batch * r.n, gh, r.d, o->in[0]->data, r.d,
               w->data, gh, gates, gh, NULL},
        .after = recur_bias,
        .t = t,
        .o = o,
        .arg = bias});
}

void nn_recur_input_grad(struct nn_tape *t, struct nn_node *o, size_t x,
                         size_t w, const void *dgates, void *part)
{
    const struct nn_recur r = nn_recur_of(o);
    const size_t gh = r.g * r.h, m = r.batch * r.n;

    if (nn_node_wants(o, w))
        nn_product_long(&(struct nn_product){
            .mm = {true, false, nn_node_add(o, w), r.d, gh, m, o->in[x]->data,
                   r.d, dgates, gh, o->in[w]->grad, gh, NULL},
            .t = t,
            .part = part});
    if (nn_node_wants(o, x))
        nn_product_run(&(struct nn_product){
            .mm = {false, true, nn_node_add(o, x), m, r.d, gh, dgates, gh,
                   o->in[w]->data, gh, o->in[x]->grad, r.d, NULL},
            .t = t});
}

void nn_recur_state_grad(struct nn_tape *t, struct nn_node *o, size_t w,
                         const void *prev, const void *dgates, void *part)
{
    const struct nn_recur r = nn_recur_of(o);
    const size_t gh = r.g * r.h;

    if (nn_node_wants(o, w))
        nn_product_long(&(struct nn_product){
            .mm = {true, false, nn_node_add(o, w), r.h, gh, r.batch * r.n, prev,
                   r.h, dgates, gh, o->in[w]->grad, gh, NULL},
            .t = t,
            .part = part});
}

static void recur_columns(const struct nn_split *s, size_t first, size_t last,
                          size_t thread)
{
    const struct nn_recur r = nn_recur_of(s->o);
    const size_t gh = r.g * r.h;

    (void)thread;
    s->t->k->columns(nn_at(s->t, s->c, first / s->piece * gh), false,
                     nn_at(s->t, s->a, first * gh), last - first, gh, gh);
}

static size_t recur_larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

size_t nn_recur_part(const struct nn_recur *r)
{
    const size_t gh = r->g * r->h, m = r->batch * r->n;

    return recur_larger(nn_split_pieces(m, nn_piece_rows(gh)) * gh,
                        recur_larger(nn_product_long_room(r->d, gh, m),
                                     nn_product_long_room(r->h, gh, m)));
}

void nn_recur_bias_grad(struct nn_tape *t, struct nn_node *o, size_t bias,
                        const void *dgates, void *part)
{
    const struct nn_recur r = nn_recur_of(o);
    const size_t gh = r.g * r.h;
    struct nn_split s = {
        t,      o,    r.batch * r.n, nn_piece_rows(gh), recur_columns,
        dgates, NULL, part};

    if (!nn_node_wants(o, bias))
        return;
    nn_split_run(&s);
    nn_split_combine(t, o->in[bias]->grad, part, nn_split_pieces(s.n, s.piece),
                     gh);
}

void nn_recur_run(struct nn_tape *t, struct nn_node *o,
                  void (*fn)(const struct nn_split *s, size_t first,
                             size_t last, size_t thread))
{
    nn_split_run(
        &(struct nn_split){t, o, o->i[0], NN_RECUR_ROWS, fn, NULL, NULL, NULL});
}
