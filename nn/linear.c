/*
 * nn/linear.c - y = f(x W + b), and products of two tensors.
 *
 * Bias and activation are applied to each tile of the product while it is in
 * the cache.  Backward turns dL/dy into dL/d(x W + b) in place, forming the
 * bias' gradient in the same pass.
 */
#include "nn/linear.h"

#include "nn/node.h"
#include "nn/sparse.h"

enum { LINEAR_X, LINEAR_W, LINEAR_B };

static void linear_after(const struct nn_product *p, size_t row, size_t col,
                         size_t rows, size_t cols)
{
    const struct nn_node *o = p->o;
    const struct nn_tensor *b = o->in[LINEAR_B];
    const size_t ld = p->mm.ldc, at = row * ld + col;
    struct nn_tape *t = p->t;

    t->k->bias_map((enum krn_map)o->i[0], o->r[0],
                   nn_at(t, o->out[0]->data, at),
                   o->keep_bytes == 0 ? NULL : nn_at(t, o->keep, at),
                   b == NULL ? NULL : nn_at(t, b->data, col), rows, cols, ld);
}

#define SPARSE_ROWS ((size_t)192) /* of x in a task */

/* The packed twin of the weights, where one may stand for them. */
static const struct nn_param *linear_packed(const struct nn_tape *t,
                                            const struct nn_tensor *w)
{
    const struct nn_param *p =
        w->param != SIZE_MAX ? nn_params_at(t->params, w->param) : NULL;

    return p != NULL && p->packed != NULL && t->loss == NULL &&
                   nn_params_type(t->params) == NN_F32 &&
                   nn_sparse_scratch(p->packed) <= KRN_GEMM_SCRATCH
               ? p
               : NULL;
}

static void linear_sparse_task(void *arg, size_t task, size_t thread)
{
    const struct nn_product *p = arg;
    const struct nn_param *w = p->arg;
    const size_t first = task * SPARSE_ROWS;
    const size_t n =
        p->mm.m - first < SPARSE_ROWS ? p->mm.m - first : SPARSE_ROWS;

    nn_sparse_product(w->packed, w->level, n,
                      (const float *)p->mm.a + first * p->mm.lda, p->mm.lda,
                      (float *)p->mm.c + first * p->mm.ldc, p->mm.ldc,
                      p->t->scratch + thread * KRN_GEMM_SCRATCH);
    if (p->after != NULL)
        p->after(p, first, 0, n, p->mm.n);
}

static void linear_forward(struct nn_tape *t, struct nn_node *o)
{
    const struct nn_tensor *x = o->in[LINEAR_X], *w = o->in[LINEAR_W];
    struct nn_product p = {.mm = {.m = nn_rows(x),
                                  .n = w->dim[1],
                                  .k = w->dim[0],
                                  .a = x->data,
                                  .lda = w->dim[0],
                                  .b = w->data,
                                  .ldb = w->dim[1],
                                  .c = o->out[0]->data,
                                  .ldc = w->dim[1]},
                           .t = t,
                           .o = o};

    if (o->in[LINEAR_B] != NULL || o->i[0] != KRN_MAP_NONE)
        p.after = linear_after;
    p.arg = linear_packed(t, w);
    if (p.arg != NULL)
        par_for((p.mm.m + SPARSE_ROWS - 1) / SPARSE_ROWS, linear_sparse_task,
                &p);
    else
        nn_product_run(&p);
}

/* Rows first..last-1: dy becomes the gradient before the activation. */
static void linear_pre(const struct nn_split *s, size_t first, size_t last,
                       size_t thread)
{
    const struct nn_node *o = s->o;
    struct nn_tape *t = s->t;
    const size_t n = nn_cols(o->out[0]), at = first * n;
    void *dy = nn_at(t, o->out[0]->grad, at);

    (void)thread;
    if (o->i[0] != KRN_MAP_NONE)
        t->k->map_grad((enum krn_map)o->i[0], o->r[0], false, dy, dy,
                       o->keep_bytes == 0 ? NULL : nn_at(t, o->keep, at),
                       nn_at(t, o->out[0]->data, at), (last - first) * n);
    if (nn_node_wants(o, LINEAR_B))
        t->k->columns(nn_at(t, o->work, first / s->piece * n), false, dy,
                      last - first, n, n);
}

static void linear_backward(struct nn_tape *t, struct nn_node *o)
{
    const struct nn_tensor *x = o->in[LINEAR_X], *w = o->in[LINEAR_W];
    const size_t m = nn_rows(x), in = w->dim[0], out = w->dim[1];
    const void *dy = o->out[0]->grad;
    struct nn_split s = {t, o, m, nn_piece_rows(out), linear_pre, 0, 0, 0};

    if (o->i[0] != KRN_MAP_NONE || nn_node_wants(o, LINEAR_B))
        nn_split_run(&s);
    if (nn_node_wants(o, LINEAR_B))
        nn_split_combine(t, o->in[LINEAR_B]->grad, o->work,
                         nn_split_pieces(m, s.piece), out);
    if (nn_node_wants(o, LINEAR_W))
        nn_product_long(&(struct nn_product){
            .mm = {true, false, nn_node_add(o, LINEAR_W), in, out, m, x->data,
                   in, dy, out, w->grad, out, NULL},
            .t = t,
            .part = o->work});
    if (nn_node_wants(o, LINEAR_X))
        nn_product_run(&(struct nn_product){
            .mm = {false, true, nn_node_add(o, LINEAR_X), m, in, out, dy, out,
                   w->data, out, x->grad, in, NULL},
            .t = t});
}

static const struct nn_op op_linear = {"linear", linear_forward,
                                       linear_backward};

/* Sums of the bias, then (in the same place) chunks of a long product. */
static size_t linear_work(size_t m, size_t in, size_t out)
{
    const size_t sums = nn_split_pieces(m, nn_piece_rows(out)) * out;
    const size_t chunks = nn_product_long_room(in, out, m);

    return sums > chunks ? sums : chunks;
}

static struct nn_tensor *linear_make(struct nn_tape *t, struct nn_tensor *x,
                                     struct nn_tensor *w, struct nn_tensor *b,
                                     enum nn_act act)
{
    size_t dim[NN_DIMS];
    struct nn_node *o;

    memcpy(dim, x->dim, sizeof(dim));
    dim[x->n_dims - 1] = nn_cols(w);
    o = nn_node_new(t, &op_linear, 3, (struct nn_tensor *[]){x, w, b},
                    x->n_dims, dim);
    if (o != NULL) {
        o->i[0] = (size_t)act;
        o->r[0] = NN_SLOPE;
        o->work_bytes =
            linear_work(nn_rows(x), nn_cols(x), nn_cols(w)) * t->k->size;
        if (krn_map_needs_x((enum krn_map)act))
            o->keep_bytes = o->out[0]->n * t->k->size;
    }
    return nn_node_out(t, o);
}

static struct nn_tensor *linear_weight(struct nn_tape *t, struct nn_tensor *x,
                                       const char *name, size_t out,
                                       enum nn_act act)
{
    const bool half = act == NN_RELU || act == NN_LEAKY || act == NN_GELU;

    return nn_node_param(t, name, "weight", 2, (size_t[]){nn_cols(x), out},
                         (struct nn_init){half ? NN_INIT_HE : NN_INIT_XAVIER, 1,
                                          nn_cols(x), out});
}

struct nn_tensor *nn_linear(struct nn_tape *t, struct nn_tensor *x,
                            const char *name, size_t out, enum nn_act act)
{
    out = nn_params_outputs(t->params, name, out);
    struct nn_tensor *w = linear_weight(t, x, name, out, act);
    struct nn_tensor *b =
        nn_node_param(t, name, "bias", 1, &out, (struct nn_init){0});

    return linear_make(t, x, w, b, act);
}

struct nn_tensor *nn_linear_free(struct nn_tape *t, struct nn_tensor *x,
                                 const char *name, size_t out)
{
    out = nn_params_outputs(t->params, name, out);
    return linear_make(t, x, linear_weight(t, x, name, out, NN_NONE), NULL,
                       NN_NONE);
}

/* --- products of tensors
 * ------------------------------------------------------
 *
 * A [batch][m][k] times B [batch][k][n] ([batch][n][k] when turned), one task
 * a batch; or B [k][n] for all, which is one product with batch * m rows.
 * i: turned, batch, m, k, n.
 */
struct matmul {
    bool turned;
    size_t batch, m, k, n;
};

static struct matmul matmul_of(const struct nn_node *o)
{
    return (struct matmul){o->i[0] != 0, o->i[1], o->i[2], o->i[3], o->i[4]};
}

/* The product of batch number `b` with its pointers moved there. */
static void matmul_one(struct nn_tape *t, struct krn_mm g, size_t b,
                       size_t step_a, size_t step_b, size_t step_c,
                       size_t thread)
{
    g.a = nn_at(t, g.a, b * step_a);
    g.b = nn_at(t, g.b, b * step_b);
    g.c = nn_at(t, g.c, b * step_c);
    g.scratch = t->scratch + thread * KRN_GEMM_SCRATCH;
    t->k->mm(&g);
}

static void matmul_task(const struct nn_split *s, size_t first, size_t last,
                        size_t thread)
{
    const struct nn_node *o = s->o;
    const struct matmul d = matmul_of(o);
    const size_t ldb = d.turned ? d.k : d.n;
    const struct krn_mm g = {false,
                             d.turned,
                             false,
                             d.m,
                             d.n,
                             d.k,
                             o->in[0]->data,
                             d.k,
                             o->in[1]->data,
                             ldb,
                             o->out[0]->data,
                             d.n,
                             NULL};

    for (size_t b = first; b < last; b++)
        matmul_one(s->t, g, b, d.m * d.k, d.k * d.n, d.m * d.n, thread);
}

static struct krn_mm matmul_da(const struct nn_node *o)
{
    const struct matmul d = matmul_of(o);

    return (struct krn_mm){false,
                           !d.turned,
                           nn_node_add(o, 0),
                           d.m,
                           d.k,
                           d.n,
                           o->out[0]->grad,
                           d.n,
                           o->in[1]->data,
                           d.turned ? d.k : d.n,
                           o->in[0]->grad,
                           d.k,
                           NULL};
}

static struct krn_mm matmul_db(const struct nn_node *o)
{
    const struct matmul d = matmul_of(o);
    const void *a = o->in[0]->data, *dy = o->out[0]->grad;

    if (d.turned)
        return (struct krn_mm){
            true, false, nn_node_add(o, 1), d.n, d.k, d.m, dy, d.n,
            a,    d.k,   o->in[1]->grad,    d.k, NULL};
    return (struct krn_mm){
        true, false, nn_node_add(o, 1), d.k, d.n, d.m, a, d.k,
        dy,   d.n,   o->in[1]->grad,    d.n, NULL};
}

static void matmul_grad_task(const struct nn_split *s, size_t first,
                             size_t last, size_t thread)
{
    const struct matmul d = matmul_of(s->o);

    for (size_t b = first; b < last; b++) {
        if (nn_node_wants(s->o, 0))
            matmul_one(s->t, matmul_da(s->o), b, d.m * d.n, d.k * d.n,
                       d.m * d.k, thread);
        if (nn_node_wants(s->o, 1) && d.turned)
            matmul_one(s->t, matmul_db(s->o), b, d.m * d.n, d.m * d.k,
                       d.k * d.n, thread);
        else if (nn_node_wants(s->o, 1))
            matmul_one(s->t, matmul_db(s->o), b, d.m * d.k, d.m * d.n,
                       d.k * d.n, thread);
    }
}

static void matmul_forward(struct nn_tape *t, struct nn_node *o)
{
    const struct matmul d = matmul_of(o);

    if (d.batch > 1) {
        nn_split_run(
            &(struct nn_split){t, o, d.batch, 1, matmul_task, 0, 0, 0});
        return;
    }
    nn_product_run(&(struct nn_product){
        .mm = {false, d.turned, false, d.m, d.n, d.k, o->in[0]->data, d.k,
               o->in[1]->data, d.turned ? d.k : d.n, o->out[0]->data, d.n,
               NULL},
        .t = t});
}

static void matmul_backward(struct nn_tape *t, struct nn_node *o)
{
    if (matmul_of(o).batch > 1) {
        nn_split_run(
            &(struct nn_split){t, o, o->i[1], 1, matmul_grad_task, 0, 0, 0});
        return;
    }
    if (nn_node_wants(o, 0))
        nn_product_run(&(struct nn_product){.mm = matmul_da(o), .t = t});
    if (nn_node_wants(o, 1))
        nn_product_run(&(struct nn_product){.mm = matmul_db(o), .t = t});
}

static const struct nn_op op_matmul = {"product", matmul_forward,
                                       matmul_backward};

struct nn_tensor *nn_linear_product(struct nn_tape *t, struct nn_tensor *a,
                                    struct nn_tensor *b, bool turned)
{
    const bool many = b->n_dims == 3;
    const size_t k = nn_cols(a);
    const bool shaped = b->n_dims == 2 || many; /* a stand-in is not */
    const size_t inner = shaped ? b->dim[b->n_dims - (turned ? 1 : 2)] : 0;
    const size_t n = shaped ? b->dim[b->n_dims - (turned ? 2 : 1)] : 0;
    size_t dim[NN_DIMS];
    struct nn_node *o;

    if (t->failed != ERR_OK || !shaped || inner != k ||
        (many && (a->n_dims != 3 || a->dim[0] != b->dim[0])))
        return nn_node_fail(t,
                            "product of '%s' and '%s': widths differ (%zu "
                            "and %zu), or the numbers of matrices",
                            a->name, b->name, k, inner);
    memcpy(dim, a->dim, sizeof(dim));
    dim[a->n_dims - 1] = n;
    o = nn_node_new(t, &op_matmul, 2, (struct nn_tensor *[]){a, b}, a->n_dims,
                    dim);
    if (o != NULL) {
        o->i[0] = turned;
        o->i[1] = many ? b->dim[0] : 1;
        o->i[2] = many ? a->dim[1] : nn_rows(a);
        o->i[3] = k;
        o->i[4] = n;
    }
    return nn_node_out(t, o);
}

struct nn_tensor *nn_linear_param(struct nn_tape *t, const char *name,
                                  size_t n_dims, const size_t *dim,
                                  struct nn_init init)
{
    return nn_node_param(t, name, "", n_dims, dim, init);
}
