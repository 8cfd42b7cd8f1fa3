/*
 * nn/embed.c - gather forward, sorted scatter-add backward.
 *
 * Both look-ups are one operation: position p of the ids reads its row with a
 * factor, and adds it to row p / most of the output.
 * i: rows, d, most, mean, bag (without: most is 1 and so is the factor).  keep:
 * factors [positions]. work: ids and positions sorted by id, and scratch of the
 * sort.
 */
#include "nn/embed.h"

#include "kernels/sort.h"
#include "nn/cuda.h"
#include "nn/node.h"

struct embed {
    size_t rows, d, most, n; /* n positions */
    bool bag;
    const uint32_t *ids;
};

static struct embed embed_of(const struct nn_node *o)
{
    return (struct embed){.rows = o->i[0],
                          .d = o->i[1],
                          .most = o->i[2],
                          .n = o->in[0]->n,
                          .bag = o->i[4] != 0,
                          .ids = o->in[0]->data};
}

/* Factors of the positions of one bag. */
static void embed_factors(const struct nn_tape *t, struct nn_node *o, size_t r)
{
    const struct embed e = embed_of(o);
    double sum = 0;

    for (size_t p = r * e.most; p < (r + 1) * e.most; p++) {
        const double w = e.ids[p] == NN_PAD ? 0
                         : o->in[2] == NULL
                             ? 1
                             : krn_tape_get(t->k, o->in[2]->data, p);

        sum += w;
        krn_tape_set(t->k, o->keep, p, w);
    }
    if (o->i[3] != 0 && sum != 0)
        t->k->scale(nn_at(t, o->keep, r * e.most), false, 1 / sum,
                    nn_at(t, o->keep, r * e.most), 0, e.most);
}

static void embed_task(const struct nn_split *s, size_t first, size_t last,
                       size_t thread)
{
    struct nn_node *o = s->o;
    const struct embed e = embed_of(o);
    struct nn_tape *t = s->t;
    const size_t bytes = e.d * t->k->size;

    (void)thread;
    for (size_t r = first; r < last; r++) {
        void *y = nn_at(t, o->out[0]->data, r * e.d);

        if (!e.bag && e.ids[r] != NN_PAD)
            memcpy(y, nn_at(t, o->in[1]->data, e.ids[r] * e.d), bytes);
        else
            memset(y, 0, bytes);
        if (!e.bag)
            continue;
        embed_factors(t, o, r);
        for (size_t p = r * e.most; p < (r + 1) * e.most; p++) {
            if (e.ids[p] != NN_PAD)
                t->k->scale(y, true, krn_tape_get(t->k, o->keep, p),
                            nn_at(t, o->in[1]->data, e.ids[p] * e.d), 0, e.d);
        }
    }
}

static void embed_forward(struct nn_tape *t, struct nn_node *o)
{
    const struct embed e = embed_of(o);

    nn_split_run(&(struct nn_split){t, o, e.n / e.most,
                                    nn_piece_rows(e.d * e.most), embed_task,
                                    NULL, NULL, NULL});
}

/* --- backward ----------------------------------------------------------------
 */

/* The rows of sorted positions first..last-1; a row belongs to the piece in
 * which its first position lies. */
static void embed_grad_task(const struct nn_split *s, size_t first, size_t last,
                            size_t thread)
{
    const struct nn_node *o = s->o;
    const struct embed e = embed_of(o);
    const uint32_t *id = s->a, *at = s->b;
    struct nn_tape *t = s->t;

    (void)thread;
    size_t j = first;

    while (j > 0 && j < last && id[j] == id[j - 1])
        j++; /* begun in another piece, which goes on to its end */
    if (j == last)
        return;
    for (; j < s->n && id[j] != NN_PAD && (j < last || id[j] == id[j - 1]); j++)
        t->k->scale(nn_at(t, o->in[1]->grad, id[j] * e.d), true,
                    e.bag ? krn_tape_get(t->k, o->keep, at[j]) : 1,
                    nn_at(t, o->out[0]->grad, at[j] / e.most * e.d), 0, e.d);
}

static void embed_touch(struct nn_param *q, const uint32_t *id, size_t n)
{
    for (size_t j = 0; q->by_rows && j < n && id[j] != NN_PAD; j++) {
        if (q->mark[id[j]] != 0)
            continue;
        q->mark[id[j]] = 1;
        q->touched[q->n_touched++] = id[j];
    }
}

void nn_embed_sorted(struct nn_tape *t, struct nn_node *o)
{
    const struct embed e = embed_of(o);
    uint32_t *id = o->work, *at = id + e.n;

    memcpy(id, e.ids, e.n * sizeof(*id));
    for (size_t p = 0; p < e.n; p++)
        at[p] = (uint32_t)p;
    krn_sort_u32(id, at, id + 2 * e.n, id + 3 * e.n, e.n);
    embed_touch(nn_params_at(t->params, o->in[1]->param), id, e.n);
}

static void embed_backward(struct nn_tape *t, struct nn_node *o)
{
    const struct embed e = embed_of(o);
    uint32_t *id = o->work, *at = id + e.n;

    if (!nn_node_wants(o, 1))
        return;
    nn_embed_sorted(t, o);
    nn_split_run(&(struct nn_split){t, o, e.n, nn_piece_rows(e.d),
                                    embed_grad_task, id, at, NULL});
}

static const struct nn_op op_embed = {"embed", embed_forward, embed_backward};

static struct nn_init embed_init(double dev)
{
    return (struct nn_init){NN_INIT_NORMAL, dev, 0, 0};
}

static struct nn_tensor *embed_make(struct nn_tape *t, struct nn_tensor *ids,
                                    struct nn_tensor *weight,
                                    struct nn_tensor *table, size_t n_dims,
                                    const size_t *dim, bool bag, bool mean)
{
    const size_t most = bag ? ids->dim[1] : 1;
    struct nn_node *o;

    if (t->failed == ERR_OK &&
        (ids->kind != NN_IDS || ids->n >= UINT32_MAX ||
         (weight != NULL && (weight->n != ids->n || weight->needs_grad))))
        return nn_node_fail(t,
                            "'%s' cannot be looked up in '%s': ids are "
                            "wanted, and a weight for each",
                            ids->name, table->name);
    o = nn_node_new(t, &op_embed, 3, (struct nn_tensor *[]){ids, table, weight},
                    n_dims, dim);
    if (o == NULL)
        return &t->none;
    o->i[0] = table->dim[0];
    o->i[1] = table->dim[1];
    o->i[2] = most;
    o->i[3] = mean;
    o->i[4] = bag;
    o->by_rows = true;
    o->keep_bytes = !bag ? 0 : ids->n * t->k->size;
    o->work_bytes = 4 * ids->n * sizeof(uint32_t);
    if (ids->root->limit > table->dim[0])
        ids->root->limit = ids->limit = table->dim[0];
    return o->out[0];
}

struct nn_tensor *nn_embed(struct nn_tape *t, struct nn_tensor *ids,
                           const char *name, size_t rows, size_t d, double dev)
{
    struct nn_tensor *table = nn_embed_table(t, name, rows, d, dev);
    size_t dim[NN_DIMS];

    if (t->failed == ERR_OK && ids->n_dims == NN_DIMS)
        return nn_node_fail(t, "'%s' has too many dimensions to look up",
                            ids->name);
    if (t->failed != ERR_OK)
        return &t->none;
    memcpy(dim, ids->dim, sizeof(dim));
    dim[ids->n_dims] = d;
    return embed_make(t, ids, NULL, table, ids->n_dims + 1, dim, false, false);
}

struct nn_tensor *nn_embed_bag(struct nn_tape *t, struct nn_tensor *ids,
                               struct nn_tensor *weight, const char *name,
                               size_t rows, size_t d, double dev, bool mean)
{
    struct nn_tensor *table = nn_embed_table(t, name, rows, d, dev);

    if (t->failed == ERR_OK && ids->n_dims != 2)
        return nn_node_fail(t, "bags '%s' have two dimensions", ids->name);
    if (t->failed != ERR_OK)
        return &t->none;
    return embed_make(t, ids, weight, table, 2, (size_t[]){ids->dim[0], d},
                      true, mean);
}

struct nn_tensor *nn_embed_table(struct nn_tape *t, const char *name,
                                 size_t rows, size_t d, double dev)
{
    return nn_node_param(t, name, "", 2, (size_t[]){rows, d}, embed_init(dev));
}
