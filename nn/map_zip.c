/*
 * nn/map_zip.c - f(a, b) where b may be repeated over the rows of a.
 *
 * i: f, length of a row.  The gradient of a repeated b is summed per piece of
 * rows into work, and the pieces are added in order.
 */
#include "nn/map.h"
#include "nn/node.h"

static bool zip_repeats(const struct nn_node *o)
{
    return o->in[1]->n != o->in[0]->n;
}

static struct nn_split zip_split(struct nn_tape *t, struct nn_node *o)
{
    const size_t n = o->i[1];

    if (!zip_repeats(o))
        return (struct nn_split){
            .t = t, .o = o, .n = o->out[0]->n, .piece = NN_PIECE};
    return (struct nn_split){
        .t = t, .o = o, .n = o->out[0]->n / n, .piece = nn_piece_rows(n)};
}

static void zip_task(const struct nn_split *s, size_t first, size_t last,
                     size_t thread)
{
    const struct nn_node *o = s->o;
    const enum krn_zip f = (enum krn_zip)o->i[0];
    const size_t n = o->i[1];
    const void *a = o->in[0]->data, *b = o->in[1]->data;
    struct nn_tape *t = s->t;

    (void)thread;
    if (!zip_repeats(o)) {
        t->k->zip(f, nn_at(t, o->out[0]->data, first), nn_at(t, a, first),
                  nn_at(t, b, first), last - first);
        return;
    }
    for (size_t r = first; r < last; r++)
        t->k->zip(f, nn_at(t, o->out[0]->data, r * n), nn_at(t, a, r * n), b,
                  n);
}

static void zip_grad_task(const struct nn_split *s, size_t first, size_t last,
                          size_t thread)
{
    const struct nn_node *o = s->o;
    const enum krn_zip f = (enum krn_zip)o->i[0];
    const bool rows = zip_repeats(o);
    const size_t n = rows ? o->i[1] : last - first;
    struct nn_tape *t = s->t;

    (void)thread;
    for (size_t r = first; r < last; r = rows ? r + 1 : last) {
        const size_t at = rows ? r * n : r;
        void *da = nn_node_wants(o, 0) ? nn_at(t, o->in[0]->grad, at) : NULL;
        void *db = !nn_node_wants(o, 1) ? NULL
                   : rows ? nn_at(t, o->work, first / s->piece * n)
                          : nn_at(t, o->in[1]->grad, at);

        t->k->zip_grad(
            f, da, nn_node_add(o, 0), db, rows ? r > first : nn_node_add(o, 1),
            nn_at(t, o->out[0]->grad, at), nn_at(t, o->in[0]->data, at),
            nn_at(t, o->in[1]->data, rows ? 0 : at), n);
    }
}

static void zip_forward(struct nn_tape *t, struct nn_node *o)
{
    struct nn_split s = zip_split(t, o);

    s.fn = zip_task;
    nn_split_run(&s);
}

static void zip_backward(struct nn_tape *t, struct nn_node *o)
{
    struct nn_split s = zip_split(t, o);

    s.fn = zip_grad_task;
    nn_split_run(&s);
    if (!zip_repeats(o) || !nn_node_wants(o, 1))
        return;
    t->k->columns(o->in[1]->grad, nn_node_add(o, 1), o->work,
                  nn_split_pieces(s.n, s.piece), o->i[1], o->i[1]);
}

static const struct nn_op op_zip = {"zip", zip_forward, zip_backward};

/* b's dimensions are the last of a's. */
static bool zip_fits(const struct nn_tensor *a, const struct nn_tensor *b)
{
    const size_t off = a->n_dims - b->n_dims;

    if (b->n_dims > a->n_dims)
        return false;
    for (size_t i = 0; i < b->n_dims; i++) {
        if (a->dim[off + i] != b->dim[i])
            return false;
    }
    return true;
}

static struct nn_tensor *zip_make(struct nn_tape *t, enum krn_zip f,
                                  struct nn_tensor *a, struct nn_tensor *b)
{
    struct nn_node *o;

    if (t->failed == ERR_OK && !zip_fits(a, b))
        return nn_node_fail(t,
                            "'%s' and '%s' cannot be combined: the second "
                            "must have the shape of the first, or of its "
                            "last dimensions",
                            a->name, b->name);
    o = nn_node_new(t, &op_zip, 2, (struct nn_tensor *[]){a, b}, a->n_dims,
                    a->dim);
    if (o == NULL)
        return &t->none;
    o->i[0] = (size_t)f;
    o->i[1] = b->n;
    if (zip_repeats(o))
        o->work_bytes = nn_split_pieces(a->n / b->n, nn_piece_rows(b->n)) *
                        b->n * t->k->size;
    return o->out[0];
}

struct nn_tensor *nn_map_add(struct nn_tape *t, struct nn_tensor *a,
                             struct nn_tensor *b)
{
    return zip_make(t, KRN_ZIP_ADD, a, b);
}

struct nn_tensor *nn_map_sub(struct nn_tape *t, struct nn_tensor *a,
                             struct nn_tensor *b)
{
    return zip_make(t, KRN_ZIP_SUB, a, b);
}

struct nn_tensor *nn_map_mul(struct nn_tape *t, struct nn_tensor *a,
                             struct nn_tensor *b)
{
    return zip_make(t, KRN_ZIP_MUL, a, b);
}

struct nn_tensor *nn_map_div(struct nn_tape *t, struct nn_tensor *a,
                             struct nn_tensor *b)
{
    return zip_make(t, KRN_ZIP_DIV, a, b);
}

struct nn_tensor *nn_map_min(struct nn_tape *t, struct nn_tensor *a,
                             struct nn_tensor *b)
{
    return zip_make(t, KRN_ZIP_MIN, a, b);
}
