/*
 * nn/cuda_ops.c - the forms of operations on the device.  What a node's
 * numbers i[] and r[] mean is said in the file of the operation.
 */
#include <math.h>

#include "nn/cuda.h"

#define JOB(...) nn_cuda_job((struct krn_cuda_job){.work = __VA_ARGS__}, why)

static float *data(const struct nn_tape *t, const struct nn_tensor *x)
{
    return x != NULL ? nn_dev(t, x->data) : NULL;
}

static float *grad(const struct nn_tape *t, const struct nn_tensor *x)
{
    return x != NULL ? nn_dev(t, x->grad) : NULL;
}

/* --- products ----------------------------------------------------------------
 */

static int linear_forward(struct nn_tape *t, struct nn_node *o, char *why)
{
    const struct nn_tensor *x = o->in[0], *w = o->in[1], *y = o->out[0];
    const size_t m = nn_rows(x), in = w->dim[0], out = w->dim[1];
    const struct krn_cuda_mm g = {.m = m,
                                  .n = out,
                                  .k = in,
                                  .a = data(t, x),
                                  .lda = in,
                                  .b = data(t, w),
                                  .ldb = out,
                                  .c = data(t, y),
                                  .ldc = out};

    if (nn_cuda_mm(&g, why))
        return 1;
    if (o->in[2] == NULL && o->i[0] == KRN_MAP_NONE)
        return 0;
    return JOB(KRN_JOB_BIAS_MAP, .f = (int)o->i[0], .a = (float)o->r[0],
               .rows = m, .n = out, .y = data(t, y), .u = data(t, o->in[2]),
               .z = o->keep_bytes != 0 ? nn_dev(t, o->keep) : NULL);
}

static int linear_inputs(struct nn_tape *t, struct nn_node *o, char *why)
{
    const struct nn_tensor *x = o->in[0], *w = o->in[1];
    const size_t m = nn_rows(x), in = w->dim[0], out = w->dim[1];
    const float *dy = grad(t, o->out[0]);
    const struct krn_cuda_mm dw = {.ta = 1,
                                   .add = nn_node_add(o, 1),
                                   .m = in,
                                   .n = out,
                                   .k = m,
                                   .a = data(t, x),
                                   .lda = in,
                                   .b = dy,
                                   .ldb = out,
                                   .c = grad(t, w),
                                   .ldc = out};
    const struct krn_cuda_mm dx = {.tb = 1,
                                   .add = nn_node_add(o, 0),
                                   .m = m,
                                   .n = in,
                                   .k = out,
                                   .a = dy,
                                   .lda = out,
                                   .b = data(t, w),
                                   .ldb = out,
                                   .c = grad(t, x),
                                   .ldc = in};

    return (nn_node_wants(o, 1) && nn_cuda_mm(&dw, why)) ||
           (nn_node_wants(o, 0) && nn_cuda_mm(&dx, why));
}

static int linear_backward(struct nn_tape *t, struct nn_node *o, char *why)
{
    const struct nn_tensor *y = o->out[0];
    const size_t out = nn_cols(y), m = nn_rows(y);
    float *dy = grad(t, y);

    if (o->i[0] != KRN_MAP_NONE &&
        JOB(KRN_JOB_MAP_GRAD, .f = (int)o->i[0], .a = (float)o->r[0], .rows = m,
            .n = out, .y = dy, .x = dy, .v = data(t, y),
            .u = o->keep_bytes != 0 ? nn_dev(t, o->keep) : NULL))
        return 1;
    if (nn_node_wants(o, 2) &&
        JOB(KRN_JOB_COLUMNS, .add = 1, .rows = m, .n = out, .ldx = out, .x = dy,
            .y = grad(t, o->in[2])))
        return 1;
    return linear_inputs(t, o, why);
}

/* i: turned, batch, m, k, n */
static struct krn_cuda_mm product_of(const struct nn_node *o, size_t m,
                                     size_t n, size_t k)
{
    return (struct krn_cuda_mm){.m = m, .n = n, .k = k, .batch = o->i[1]};
}

static int product_forward(struct nn_tape *t, struct nn_node *o, char *why)
{
    const size_t m = o->i[2], k = o->i[3], n = o->i[4];
    struct krn_cuda_mm g = product_of(o, m, n, k);

    g.tb = o->i[0] != 0;
    g.a = data(t, o->in[0]);
    g.lda = k;
    g.b = data(t, o->in[1]);
    g.ldb = g.tb ? k : n;
    g.c = data(t, o->out[0]);
    g.ldc = n;
    g.a_step.out = m * k;
    g.b_step.out = k * n;
    g.c_step.out = m * n;
    return nn_cuda_mm(&g, why);
}

static int product_da(struct nn_tape *t, struct nn_node *o, char *why)
{
    const size_t m = o->i[2], k = o->i[3], n = o->i[4];
    struct krn_cuda_mm g = product_of(o, m, k, n);

    g.tb = o->i[0] == 0;
    g.add = nn_node_add(o, 0);
    g.a = grad(t, o->out[0]);
    g.lda = n;
    g.b = data(t, o->in[1]);
    g.ldb = g.tb ? n : k;
    g.c = grad(t, o->in[0]);
    g.ldc = k;
    g.a_step.out = m * n;
    g.b_step.out = k * n;
    g.c_step.out = m * k;
    return nn_cuda_mm(&g, why);
}

static int product_db(struct nn_tape *t, struct nn_node *o, char *why)
{
    const bool turned = o->i[0] != 0;
    const size_t m = o->i[2], k = o->i[3], n = o->i[4];
    struct krn_cuda_mm g =
        turned ? product_of(o, n, k, m) : product_of(o, k, n, m);

    g.ta = 1;
    g.add = nn_node_add(o, 1);
    g.a = turned ? grad(t, o->out[0]) : data(t, o->in[0]);
    g.lda = turned ? n : k;
    g.b = turned ? data(t, o->in[0]) : grad(t, o->out[0]);
    g.ldb = turned ? k : n;
    g.c = grad(t, o->in[1]);
    g.ldc = turned ? k : n;
    g.a_step.out = m * g.lda;
    g.b_step.out = m * g.ldb;
    g.c_step.out = k * n;
    return nn_cuda_mm(&g, why);
}

static int product_backward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return (nn_node_wants(o, 0) && product_da(t, o, why)) ||
           (nn_node_wants(o, 1) && product_db(t, o, why));
}

/* --- element by element ------------------------------------------------------
 */

static int map_forward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return JOB(KRN_JOB_MAP, .f = (int)o->i[0], .a = (float)o->r[0], .rows = 1,
               .n = o->out[0]->n, .y = data(t, o->out[0]),
               .x = data(t, o->in[0]));
}

static int map_backward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return JOB(KRN_JOB_MAP_GRAD, .f = (int)o->i[0], .a = (float)o->r[0],
               .add = nn_node_add(o, 0), .rows = 1, .n = o->out[0]->n,
               .y = grad(t, o->in[0]), .x = grad(t, o->out[0]),
               .u = data(t, o->in[0]), .v = data(t, o->out[0]));
}

static int scale_forward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return JOB(KRN_JOB_SCALE, .a = (float)o->r[0], .b = (float)o->r[1],
               .rows = 1, .n = o->out[0]->n, .y = data(t, o->out[0]),
               .x = data(t, o->in[0]));
}

static int scale_backward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return JOB(KRN_JOB_SCALE, .a = (float)o->r[2], .add = nn_node_add(o, 0),
               .rows = 1, .n = o->out[0]->n, .y = grad(t, o->in[0]),
               .x = grad(t, o->out[0]));
}

static int clip_forward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return JOB(KRN_JOB_CLIP, .a = (float)o->r[0], .b = (float)o->r[1],
               .rows = 1, .n = o->out[0]->n, .y = data(t, o->out[0]),
               .x = data(t, o->in[0]));
}

static int clip_backward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return JOB(KRN_JOB_CLIP_GRAD, .a = (float)o->r[0], .b = (float)o->r[1],
               .add = nn_node_add(o, 0), .rows = 1, .n = o->out[0]->n,
               .y = grad(t, o->in[0]), .x = grad(t, o->out[0]),
               .u = data(t, o->in[0]));
}

static int zip_forward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return JOB(KRN_JOB_ZIP, .f = (int)o->i[0], .rows = 1, .n = o->out[0]->n,
               .other = o->in[1]->n, .y = data(t, o->out[0]),
               .x = data(t, o->in[0]), .u = data(t, o->in[1]));
}

static int zip_part(struct nn_tape *t, struct nn_node *o, size_t which,
                    float *to, int add, char *why)
{
    return JOB(which == 0 ? KRN_JOB_ZIP_A : KRN_JOB_ZIP_B, .f = (int)o->i[0],
               .add = add, .rows = 1, .n = o->out[0]->n, .other = o->in[1]->n,
               .y = to, .x = grad(t, o->out[0]), .u = data(t, o->in[0]),
               .v = data(t, o->in[1]));
}

static int zip_backward(struct nn_tape *t, struct nn_node *o, char *why)
{
    const size_t n = o->in[1]->n, rows = n > 0 ? o->out[0]->n / n : 0;

    if (nn_node_wants(o, 0) &&
        zip_part(t, o, 0, grad(t, o->in[0]), nn_node_add(o, 0), why))
        return 1;
    if (!nn_node_wants(o, 1))
        return 0;
    if (rows == 1)
        return zip_part(t, o, 1, grad(t, o->in[1]), nn_node_add(o, 1), why);
    return zip_part(t, o, 1, t->cuda->work, 0, why) ||
           JOB(KRN_JOB_COLUMNS, .add = nn_node_add(o, 1), .rows = rows, .n = n,
               .ldx = n, .x = t->cuda->work, .y = grad(t, o->in[1]));
}

static size_t zip_work(const struct nn_node *o)
{
    return o->out[0]->n * sizeof(float);
}

static int drop(struct nn_tape *t, struct nn_node *o, float *y, const float *x,
                int add, char *why)
{
    return JOB(KRN_JOB_DROP, .add = add, .rows = o->out[0]->n / o->i[0],
               .n = o->i[0], .y = y, .x = x,
               .keys = o->in[1] != NULL ? nn_dev(t, o->in[1]->data) : NULL,
               .seed = o->seed, .step = t->step,
               .rate = t->training ? o->r[0] : 0);
}

static int drop_forward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return drop(t, o, data(t, o->out[0]), data(t, o->in[0]), 0, why);
}

static int drop_backward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return drop(t, o, grad(t, o->in[0]), grad(t, o->out[0]), nn_node_add(o, 0),
                why);
}

/* --- rows --------------------------------------------------------------------
 */

static int norm_forward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return JOB(KRN_JOB_NORM, .rows = nn_rows(o->in[0]), .n = nn_cols(o->in[0]),
               .a = (float)o->r[0], .y = data(t, o->out[0]),
               .z = nn_dev(t, o->keep), .x = data(t, o->in[0]),
               .u = data(t, o->in[1]), .v = data(t, o->in[2]));
}

static int norm_backward(struct nn_tape *t, struct nn_node *o, char *why)
{
    const size_t rows = nn_rows(o->in[0]), n = nn_cols(o->in[0]);
    const float *dy = grad(t, o->out[0]), *x = data(t, o->in[0]);

    return (nn_node_wants(o, 1) &&
            JOB(KRN_JOB_NORM_GAIN, .add = 1, .rows = rows, .n = n, .ldx = n,
                .x = dy, .u = x, .w = nn_dev(t, o->keep),
                .y = grad(t, o->in[1]))) ||
           (nn_node_wants(o, 2) &&
            JOB(KRN_JOB_COLUMNS, .add = 1, .rows = rows, .n = n, .ldx = n,
                .x = dy, .y = grad(t, o->in[2]))) ||
           (nn_node_wants(o, 0) &&
            JOB(KRN_JOB_NORM_X, .add = nn_node_add(o, 0), .rows = rows, .n = n,
                .x = dy, .u = x, .v = data(t, o->in[1]),
                .w = nn_dev(t, o->keep), .y = grad(t, o->in[0])));
}

static int soft_forward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return JOB(o->i[0] != 0 ? KRN_JOB_LOG_SOFTMAX : KRN_JOB_SOFTMAX,
               .rows = nn_rows(o->in[0]), .n = nn_cols(o->in[0]),
               .y = data(t, o->out[0]), .x = data(t, o->in[0]),
               .u = data(t, o->in[1]));
}

static int soft_backward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return JOB(o->i[0] != 0 ? KRN_JOB_LOG_SOFTMAX_GRAD : KRN_JOB_SOFTMAX_GRAD,
               .add = nn_node_add(o, 0), .a = 1, .rows = nn_rows(o->in[0]),
               .n = nn_cols(o->in[0]), .y = grad(t, o->in[0]),
               .x = grad(t, o->out[0]), .u = data(t, o->out[0]));
}

static int ce_forward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return JOB(KRN_JOB_CE, .rows = nn_rows(o->in[0]), .n = nn_cols(o->in[0]),
               .y = data(t, o->out[0]), .z = nn_dev(t, o->keep),
               .x = data(t, o->in[0]),
               .ids = o->in[1] != NULL ? nn_dev(t, o->in[1]->data) : NULL);
}

static int ce_backward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return JOB(KRN_JOB_CE_GRAD, .add = nn_node_add(o, 0),
               .rows = nn_rows(o->in[0]), .n = nn_cols(o->in[0]),
               .y = grad(t, o->in[0]), .x = grad(t, o->out[0]),
               .u = nn_dev(t, o->keep),
               .ids = o->in[1] != NULL ? nn_dev(t, o->in[1]->data) : NULL);
}

static int list_forward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return JOB(KRN_JOB_LIST, .rows = nn_rows(o->in[0]), .n = nn_cols(o->in[0]),
               .y = data(t, o->out[0]), .z = nn_dev(t, o->keep),
               .x = data(t, o->in[0]), .u = data(t, o->in[1]),
               .v = data(t, o->in[2]));
}

static int list_backward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return JOB(KRN_JOB_ROWS, .add = nn_node_add(o, 0),
               .rows = nn_rows(o->in[0]), .n = nn_cols(o->in[0]),
               .y = grad(t, o->in[0]), .x = grad(t, o->out[0]),
               .u = nn_dev(t, o->keep));
}

/* --- sums --------------------------------------------------------------------
 */

static int sum_forward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return JOB(KRN_JOB_SUM, .add = o->i[0] == 0, .rows = 1, .n = o->in[0]->n,
               .y = data(t, o->out[0]), .z = nn_dev(t, o->keep),
               .x = data(t, o->in[0]), .u = data(t, o->in[1]));
}

static int sum_backward(struct nn_tape *t, struct nn_node *o, char *why)
{
    if (!nn_node_wants(o, 0))
        return 0;
    return JOB(KRN_JOB_FILL, .add = nn_node_add(o, 0), .rows = 1,
               .n = o->in[0]->n, .y = grad(t, o->in[0]),
               .x = grad(t, o->out[0]), .z = nn_dev(t, o->keep),
               .u = data(t, o->in[1]));
}

#define AXIS_MEAN 1 /* nn/reduce.c */

static float axis_factor(const struct nn_node *o)
{
    return o->i[3] == AXIS_MEAN ? (float)(1 / (double)o->i[1]) : 1;
}

static int axis_forward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return JOB(KRN_JOB_GATHER_UP, .a = axis_factor(o), .rows = o->i[0],
               .n = o->i[2], .other = o->i[1], .y = data(t, o->out[0]),
               .x = data(t, o->in[0]));
}

static int axis_backward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return JOB(KRN_JOB_SPREAD, .add = nn_node_add(o, 0), .a = axis_factor(o),
               .rows = o->i[0], .n = o->i[2], .other = o->i[1],
               .y = grad(t, o->in[0]), .x = grad(t, o->out[0]));
}

static bool axis_can(const struct nn_node *o)
{
    return o->i[3] <= AXIS_MEAN;
}

/* --- places ------------------------------------------------------------------
 */

static size_t span(const struct nn_tensor *x, size_t first, size_t last)
{
    size_t n = 1;

    for (size_t i = first; i < last; i++)
        n *= x->dim[i];
    return n;
}

static int concat(struct nn_tape *t, struct nn_node *o, bool back, char *why)
{
    const struct nn_tensor *y = o->out[0];
    const size_t outer = span(y, 0, o->i[0]);
    const size_t row = span(y, o->i[0], y->n_dims);
    size_t at = 0;
    int bad = 0;

    for (size_t k = 0; k < o->n_in && !bad; k++) {
        const struct nn_tensor *x = o->in[k];
        const size_t run = span(x, o->i[0], x->n_dims);

        if (!back)
            bad = JOB(KRN_JOB_MOVE, .rows = outer, .n = run, .ldx = run,
                      .ldy = row, .x = data(t, x), .y = data(t, y) + at);
        else if (nn_node_wants(o, k))
            bad = JOB(KRN_JOB_MOVE, .add = nn_node_add(o, k), .rows = outer,
                      .n = run, .ldx = row, .ldy = run, .x = grad(t, y) + at,
                      .y = grad(t, x));
        at += run;
    }
    return bad;
}

static int concat_forward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return concat(t, o, false, why);
}

static int concat_backward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return concat(t, o, true, why);
}

static int slice(struct nn_tape *t, struct nn_node *o, bool back, char *why)
{
    const struct nn_tensor *x = o->in[0], *y = o->out[0];
    const size_t outer = span(x, 0, o->i[0]);
    const size_t from = span(x, o->i[0], x->n_dims);
    const size_t run = span(y, o->i[0], y->n_dims);
    const size_t at = o->i[1] * span(x, o->i[0] + 1, x->n_dims);

    if (!back)
        return JOB(KRN_JOB_MOVE, .rows = outer, .n = run, .ldx = from,
                   .ldy = run, .x = data(t, x) + at, .y = data(t, y));
    return (!nn_node_add(o, 0) &&
            JOB(KRN_JOB_MOVE, .rows = 1, .n = x->n, .y = grad(t, x))) ||
           JOB(KRN_JOB_MOVE, .add = 1, .rows = outer, .n = run, .ldx = run,
               .ldy = from, .x = grad(t, y), .y = grad(t, x) + at);
}

static int slice_forward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return slice(t, o, false, why);
}

static int slice_backward(struct nn_tape *t, struct nn_node *o, char *why)
{
    return slice(t, o, true, why);
}

static int repeat_forward(struct nn_tape *t, struct nn_node *o, char *why)
{
    const size_t outer = o->i[0];

    return JOB(KRN_JOB_REPEAT, .rows = outer,
               .n = outer > 0 ? o->in[0]->n / outer : 0, .other = o->i[1],
               .y = data(t, o->out[0]), .x = data(t, o->in[0]));
}

static int repeat_backward(struct nn_tape *t, struct nn_node *o, char *why)
{
    const size_t outer = o->i[0];

    return JOB(KRN_JOB_GATHER_UP, .add = nn_node_add(o, 0), .a = 1,
               .rows = outer, .n = outer > 0 ? o->in[0]->n / outer : 0,
               .other = o->i[1], .y = grad(t, o->in[0]),
               .x = grad(t, o->out[0]));
}

static int pick_forward(struct nn_tape *t, struct nn_node *o, char *why)
{
    const struct nn_tensor *x = o->in[0], *ids = o->in[1];

    return JOB(KRN_JOB_PICK, .rows = ids->n, .n = x->dim[2], .ldx = x->dim[1],
               .other = ids->dim[1], .y = data(t, o->out[0]), .x = data(t, x),
               .ids = nn_dev(t, ids->data));
}

static int pick_backward(struct nn_tape *t, struct nn_node *o, char *why)
{
    const struct nn_tensor *x = o->in[0], *ids = o->in[1];

    if (!nn_node_wants(o, 0))
        return 0;
    return (!nn_node_add(o, 0) &&
            JOB(KRN_JOB_MOVE, .rows = 1, .n = x->n, .y = grad(t, x))) ||
           JOB(KRN_JOB_PICK_GRAD, .rows = x->dim[0], .n = x->dim[2],
               .ldx = x->dim[1], .other = ids->dim[1], .y = grad(t, x),
               .x = grad(t, o->out[0]), .ids = nn_dev(t, ids->data));
}

/* Its values went over with the arena. */
static int constant_forward(struct nn_tape *t, struct nn_node *o, char *why)
{
    (void)t, (void)o, (void)why;
    return 0;
}

const struct nn_cuda_form nn_cuda_forms[] = {
    {"linear", linear_forward, linear_backward, NULL, NULL},
    {"product", product_forward, product_backward, NULL, NULL},
    {"map", map_forward, map_backward, NULL, NULL},
    {"scale", scale_forward, scale_backward, NULL, NULL},
    {"stop", scale_forward, NULL, NULL, NULL},
    {"clip", clip_forward, clip_backward, NULL, NULL},
    {"pick", pick_forward, pick_backward, NULL, NULL},
    {"zip", zip_forward, zip_backward, NULL, zip_work},
    {"dropout", drop_forward, drop_backward, NULL, NULL},
    {"norm", norm_forward, norm_backward, NULL, NULL},
    {"softmax", soft_forward, soft_backward, NULL, NULL},
    {"ce", ce_forward, ce_backward, NULL, NULL},
    {"list", list_forward, list_backward, NULL, NULL},
    {"sum", sum_forward, sum_backward, NULL, NULL},
    {"reduce", axis_forward, axis_backward, axis_can, NULL},
    {"concat", concat_forward, concat_backward, NULL, NULL},
    {"slice", slice_forward, slice_backward, NULL, NULL},
    {"repeat", repeat_forward, repeat_backward, NULL, NULL},
    {"constant", constant_forward, NULL, NULL, NULL},
    {.name = NULL},
};
