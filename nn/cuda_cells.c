/* nn/cuda_cells.c - attention, look-ups and gated recurrent units on the
 * device; formulas and what is kept: nn/attend.c, nn/embed.c, nn/gru.c. */
#include <math.h>

#include "nn/cuda.h"
#include "nn/recur.h"

#define JOB(...) nn_cuda_job((struct krn_cuda_job){.work = __VA_ARGS__}, why)

static float *data(const struct nn_tape *t, const struct nn_tensor *x)
{
    return x != NULL ? nn_dev(t, x->data) : NULL;
}

static float *grad(const struct nn_tape *t, const struct nn_tensor *x)
{
    return x != NULL ? nn_dev(t, x->grad) : NULL;
}

/* --- attention ---------------------------------------------------------------
 */

enum { Q, K, V, MASK, KEYS };

struct attend {
    size_t heads, w, n, l, ld, batch, cell;
    bool packed, drops;
    float *p, *dropped; /* [batch][heads][n][l] */
};

static struct attend attend_of(const struct nn_tape *t, const struct nn_node *o)
{
    struct attend a = {.heads = o->i[0],
                       .w = nn_cols(o->out[0]) / o->i[0],
                       .n = o->i[1],
                       .l = o->i[2],
                       .ld = nn_cols(o->in[0]),
                       .batch = o->out[0]->dim[0],
                       .packed = o->i[4] != 0,
                       .drops = o->r[0] > 0 && t->training};

    a.cell = a.n * a.l;
    a.p = nn_dev(t, o->keep);
    a.dropped = a.p + (a.drops ? o->i[6] : 0);
    return a;
}

/* One of Q, K and V, or of their gradients, and its steps by list and head. */
static float *part(const struct nn_tape *t, const struct nn_node *o,
                   const struct attend *a, size_t which, bool back,
                   struct krn_cuda_step *step)
{
    const struct nn_tensor *x = o->in[a->packed ? Q : which];
    const size_t rows = a->packed || which == Q ? a->n : a->l;

    *step = (struct krn_cuda_step){rows * a->ld, a->w};
    return (back ? grad(t, x) : data(t, x)) +
           (a->packed ? which * a->heads * a->w : 0);
}

static struct krn_cuda_mm attend_mm(const struct attend *a, size_t m, size_t n,
                                    size_t k)
{
    return (struct krn_cuda_mm){.m = m,
                                .n = n,
                                .k = k,
                                .batch = a->batch * a->heads,
                                .inner = a->heads};
}

static struct krn_cuda_step cells(const struct attend *a)
{
    return (struct krn_cuda_step){a->heads * a->cell, a->cell};
}

/* to = x y^T for x of Q's rows and y of K's: [n][l] for each list and head. */
static int across(const struct attend *a, const float *x, size_t ldx,
                  struct krn_cuda_step x_step, const float *y,
                  struct krn_cuda_step y_step, float *to, char *why)
{
    struct krn_cuda_mm g = attend_mm(a, a->n, a->l, a->w);

    g.tb = 1;
    g.a = x;
    g.lda = ldx;
    g.a_step = x_step;
    g.b = y;
    g.ldb = a->ld;
    g.b_step = y_step;
    g.c = to;
    g.ldc = a->l;
    g.c_step = cells(a);
    return nn_cuda_mm(&g, why);
}

static int attend_drop(struct nn_tape *t, struct nn_node *o,
                       const struct attend *a, float *y, const float *x,
                       char *why)
{
    return JOB(KRN_JOB_DROP, .rows = a->batch * a->heads, .n = a->cell,
               .heads = a->heads, .y = y, .x = x,
               .keys =
                   o->in[KEYS] != NULL ? nn_dev(t, o->in[KEYS]->data) : NULL,
               .seed = o->seed, .step = t->step, .rate = o->r[0]);
}

static int attend_forward(struct nn_tape *t, struct nn_node *o, char *why)
{
    const struct attend a = attend_of(t, o);
    const size_t d = a.heads * a.w;
    struct krn_cuda_mm g = attend_mm(&a, a.n, a.w, a.l);
    struct krn_cuda_step q, k;
    const float *queries = part(t, o, &a, Q, false, &q);
    const float *keys = part(t, o, &a, K, false, &k);

    g.a = a.dropped;
    g.lda = a.l;
    g.a_step = cells(&a);
    g.b = part(t, o, &a, V, false, &g.b_step);
    g.ldb = a.ld;
    g.c = data(t, o->out[0]);
    g.ldc = d;
    g.c_step = (struct krn_cuda_step){a.n * d, a.w};
    return across(&a, queries, a.ld, q, keys, k, a.p, why) ||
           JOB(KRN_JOB_ATTEND, .rows = a.batch * a.heads * a.n, .n = a.l,
               .a = (float)(1 / sqrt((double)a.w)), .y = a.p, .x = a.p,
               .u = data(t, o->in[MASK]), .heads = a.heads, .queries = a.n,
               .window = o->i[5], .causal = o->i[3] != 0) ||
           (a.drops && attend_drop(t, o, &a, a.dropped, a.p, why)) ||
           nn_cuda_mm(&g, why);
}

/* Gradient of one of Q, K and V: from [n][l] matrices x (turned for K and V)
 * times y. */
static int attend_part(struct nn_tape *t, struct nn_node *o,
                       const struct attend *a, size_t which, const float *x,
                       const float *y, size_t ldy, struct krn_cuda_step y_step,
                       char *why)
{
    const size_t in = a->packed ? Q : which;
    struct krn_cuda_mm g = which == Q ? attend_mm(a, a->n, a->w, a->l)
                                      : attend_mm(a, a->l, a->w, a->n);

    if (!nn_node_wants(o, in))
        return 0;
    g.ta = which != Q;
    g.add = nn_node_add(o, in);
    g.a = x;
    g.lda = a->l;
    g.a_step = cells(a);
    g.b = y;
    g.ldb = ldy;
    g.b_step = y_step;
    g.c = part(t, o, a, which, true, &g.c_step);
    g.ldc = a->ld;
    return nn_cuda_mm(&g, why);
}

static int attend_backward(struct nn_tape *t, struct nn_node *o, char *why)
{
    const struct attend a = attend_of(t, o);
    const size_t d = a.heads * a.w;
    const float *dy = grad(t, o->out[0]);
    const struct krn_cuda_step dy_step = {a.n * d, a.w};
    struct krn_cuda_step q, k, v;
    const float *queries = part(t, o, &a, Q, false, &q);
    const float *keys = part(t, o, &a, K, false, &k);
    const float *values = part(t, o, &a, V, false, &v);
    float *ds = t->cuda->work;

    return across(&a, dy, d, dy_step, values, v, ds, why) ||
           (a.drops && attend_drop(t, o, &a, ds, ds, why)) ||
           JOB(KRN_JOB_SOFTMAX_GRAD, .rows = a.batch * a.heads * a.n, .n = a.l,
               .a = (float)(1 / sqrt((double)a.w)), .y = ds, .x = ds,
               .u = a.p) ||
           attend_part(t, o, &a, Q, ds, keys, a.ld, k, why) ||
           attend_part(t, o, &a, K, ds, queries, a.ld, q, why) ||
           attend_part(t, o, &a, V, a.dropped, dy, d, dy_step, why);
}

static size_t attend_work(const struct nn_node *o)
{
    return o->i[6] * sizeof(float);
}

const struct nn_cuda_form nn_cuda_attend = {"attend", attend_forward,
                                            attend_backward, NULL, attend_work};

/* --- look-ups: i = rows, d, most, mean, bag ----------------------------------
 */

static int embed_forward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return JOB(KRN_JOB_EMBED, .rows = o->in[0]->n, .n = o->i[1],
               .y = data(t, o->out[0]), .x = data(t, o->in[1]),
               .ids = nn_dev(t, o->in[0]->data));
}

/* Ids are known on the host, which sorts them. */
static int embed_backward(struct nn_tape *t, struct nn_node *o, char *why)
{
    const size_t n = o->in[0]->n;
    uint32_t *id = t->cuda->work;

    if (!nn_node_wants(o, 1))
        return 0;
    nn_embed_sorted(t, o);
    return device_cuda()->put(id, o->work, 2 * n * sizeof(*id), why) ||
           JOB(KRN_JOB_EMBED_GRAD, .rows = n, .n = o->i[1], .ids = id,
               .places = id + n, .x = grad(t, o->out[0]),
               .y = grad(t, o->in[1]));
}

static bool embed_can(const struct nn_node *o)
{
    return o->i[4] == 0; /* no bags */
}

static size_t embed_work(const struct nn_node *o)
{
    return 2 * o->in[0]->n * sizeof(uint32_t);
}

const struct nn_cuda_form nn_cuda_embed = {
    "embed", embed_forward, embed_backward, embed_can, embed_work};

/* --- gated recurrent units ---------------------------------------------------
 */

/* The state before step number s, of all sequences, to where it is kept. */
static int gru_before(struct nn_tape *t, struct nn_node *o, size_t s, char *why)
{
    const struct nn_recur r = nn_recur_of(o);
    const size_t row = r.n * r.h, now = nn_recur_step(&r, s);
    float *prev = nn_dev(t, nn_gru_prev(t, o, 0));

    if (s > 0)
        return JOB(KRN_JOB_MOVE, .rows = r.batch, .n = r.h, .ldx = row,
                   .ldy = row, .y = prev + now * r.h,
                   .x = data(t, o->out[0]) + nn_recur_step(&r, s - 1) * r.h);
    return JOB(KRN_JOB_MOVE, .rows = r.batch, .n = r.h, .ldx = r.h, .ldy = row,
               .y = prev + now * r.h, .x = data(t, o->in[NN_GRU_START]));
}

static int gru_step(struct nn_tape *t, struct nn_node *o, size_t s, char *why)
{
    const struct nn_recur r = nn_recur_of(o);
    const size_t now = nn_recur_step(&r, s), g = 3 * r.h;
    float *prev = nn_dev(t, nn_gru_prev(t, o, 0)), *own = t->cuda->work;
    const struct krn_cuda_mm mm = {.add = 1,
                                   .m = r.batch,
                                   .n = g,
                                   .k = r.h,
                                   .a = prev + now * r.h,
                                   .lda = r.n * r.h,
                                   .b = data(t, o->in[NN_GRU_WH]),
                                   .ldb = g,
                                   .c = own,
                                   .ldc = g};

    return gru_before(t, o, s, why) ||
           JOB(KRN_JOB_REPEAT, .rows = 1, .n = g, .other = r.batch, .y = own,
               .x = data(t, o->in[NN_GRU_BH])) ||
           nn_cuda_mm(&mm, why) ||
           JOB(KRN_JOB_GRU, .rows = r.batch, .n = r.h, .ldx = r.n,
               .queries = now, .v_out = nn_dev(t, o->keep), .u = own, .v = prev,
               .w = data(t, o->in[NN_GRU_MASK]),
               .z = nn_dev(t, nn_gru_un(t, o, 0)), .y = data(t, o->out[0]));
}

static int gru_forward(struct nn_tape *t, struct nn_node *o, char *why)
{
    const struct nn_recur r = nn_recur_of(o);
    const size_t g = 3 * r.h, m = r.batch * r.n;
    float *gates = nn_dev(t, o->keep);
    const struct krn_cuda_mm mm = {.m = m,
                                   .n = g,
                                   .k = r.d,
                                   .a = data(t, o->in[NN_GRU_X]),
                                   .lda = r.d,
                                   .b = data(t, o->in[NN_GRU_WX]),
                                   .ldb = g,
                                   .c = gates,
                                   .ldc = g};
    int bad =
        nn_cuda_mm(&mm, why) || JOB(KRN_JOB_BIAS_MAP, .rows = m, .n = g,
                                    .y = gates, .u = data(t, o->in[NN_GRU_BX]));

    for (size_t s = 0; s < r.n && !bad; s++)
        bad = gru_step(t, o, s, why);
    return bad;
}

struct gru_room {
    float *dgi, *dgh, *carry;
};

static struct gru_room gru_room_of(struct nn_tape *t, const struct nn_node *o)
{
    const struct nn_recur r = nn_recur_of(o);
    const size_t all = r.batch * r.n * 3 * r.h;
    float *work = t->cuda->work;

    return (struct gru_room){work, work + all, work + 2 * all};
}

static int gru_step_back(struct nn_tape *t, struct nn_node *o, size_t s,
                         char *why)
{
    const struct nn_recur r = nn_recur_of(o);
    const struct gru_room w = gru_room_of(t, o);
    const size_t now = nn_recur_step(&r, s), g = 3 * r.h;
    const struct krn_cuda_mm mm = {.tb = 1,
                                   .add = 1,
                                   .m = r.batch,
                                   .n = r.h,
                                   .k = g,
                                   .a = w.dgh + now * g,
                                   .lda = r.n * g,
                                   .b = data(t, o->in[NN_GRU_WH]),
                                   .ldb = g,
                                   .c = w.carry,
                                   .ldc = r.h};

    return JOB(KRN_JOB_MOVE, .add = 1, .rows = r.batch, .n = r.h,
               .ldx = r.n * r.h, .ldy = r.h, .y = w.carry,
               .x = grad(t, o->out[0]) + now * r.h) ||
           JOB(KRN_JOB_GRU_GRAD, .rows = r.batch, .n = r.h, .ldx = r.n,
               .queries = now, .u = nn_dev(t, o->keep),
               .x = nn_dev(t, nn_gru_un(t, o, 0)),
               .v = nn_dev(t, nn_gru_prev(t, o, 0)),
               .w = data(t, o->in[NN_GRU_MASK]), .z = w.carry, .y = w.dgi,
               .v_out = w.dgh) ||
           nn_cuda_mm(&mm, why);
}

/* Of weights: to = x^T dgates; of a bias: their sum. */
static int gru_weight(struct nn_tape *t, struct nn_node *o, size_t in,
                      const float *x, size_t width, const float *dgates,
                      char *why)
{
    const struct nn_recur r = nn_recur_of(o);
    const size_t g = 3 * r.h, m = r.batch * r.n;
    const struct krn_cuda_mm mm = {.ta = 1,
                                   .add = nn_node_add(o, in),
                                   .m = width,
                                   .n = g,
                                   .k = m,
                                   .a = x,
                                   .lda = width,
                                   .b = dgates,
                                   .ldb = g,
                                   .c = grad(t, o->in[in]),
                                   .ldc = g};

    if (!nn_node_wants(o, in))
        return 0;
    if (x == NULL)
        return JOB(KRN_JOB_COLUMNS, .add = 1, .rows = m, .n = g, .ldx = g,
                   .x = dgates, .y = grad(t, o->in[in]));
    return nn_cuda_mm(&mm, why);
}

static int gru_inputs(struct nn_tape *t, struct nn_node *o, char *why)
{
    const struct nn_recur r = nn_recur_of(o);
    const struct gru_room w = gru_room_of(t, o);
    const struct krn_cuda_mm dx = {.tb = 1,
                                   .add = nn_node_add(o, NN_GRU_X),
                                   .m = r.batch * r.n,
                                   .n = r.d,
                                   .k = 3 * r.h,
                                   .a = w.dgi,
                                   .lda = 3 * r.h,
                                   .b = data(t, o->in[NN_GRU_WX]),
                                   .ldb = 3 * r.h,
                                   .c = grad(t, o->in[NN_GRU_X]),
                                   .ldc = r.d};

    return gru_weight(t, o, NN_GRU_WX, data(t, o->in[NN_GRU_X]), r.d, w.dgi,
                      why) ||
           gru_weight(t, o, NN_GRU_WH, nn_dev(t, nn_gru_prev(t, o, 0)), r.h,
                      w.dgh, why) ||
           gru_weight(t, o, NN_GRU_BX, NULL, 0, w.dgi, why) ||
           gru_weight(t, o, NN_GRU_BH, NULL, 0, w.dgh, why) ||
           (nn_node_wants(o, NN_GRU_X) && nn_cuda_mm(&dx, why)) ||
           (nn_node_wants(o, NN_GRU_START) &&
            JOB(KRN_JOB_SCALE, .a = 1, .add = nn_node_add(o, NN_GRU_START),
                .rows = 1, .n = r.batch * r.h,
                .y = grad(t, o->in[NN_GRU_START]), .x = w.carry));
}

static int gru_backward(struct nn_tape *t, struct nn_node *o, char *why)
{
    const struct nn_recur r = nn_recur_of(o);
    const struct gru_room w = gru_room_of(t, o);
    int bad = JOB(KRN_JOB_MOVE, .rows = 1, .n = r.batch * r.h, .y = w.carry);

    for (size_t s = r.n; s-- > 0 && !bad;)
        bad = gru_step_back(t, o, s, why);
    return bad || gru_inputs(t, o, why);
}

static size_t gru_work(const struct nn_node *o)
{
    const struct nn_recur r = nn_recur_of(o);

    return (6 * r.batch * r.n * r.h + 3 * r.batch * r.h) * sizeof(float);
}

const struct nn_cuda_form nn_cuda_gru = {"gru", gru_forward, gru_backward, NULL,
                                         gru_work};
