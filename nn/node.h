/*
 * nn/node.h - what operations are made of; only nn/ includes this.
 *
 * An operation is a `struct nn_op` and a function that builds a node of it.
 * forward() writes out[]; backward() reads out[]->grad, which it may destroy,
 * and writes or adds to (nn_node_add) the gradients of the inputs that want
 * one (nn_node_wants).  Gradients of parameters are always added to.
 * Everything that an operation will need was stated when it was built:
 * keep_bytes live from forward to backward, work_bytes (and thread_bytes for
 * each thread) during one call.
 */
#ifndef NN_NODE_H
#define NN_NODE_H

#include "base/mem.h"
#include "base/par.h"
#include "nn/params.h"
#include "nn/tape.h"

#define NN_OUTS 2
#define NN_NONE_ID SIZE_MAX

struct nn_node {
    const struct nn_op *op;
    size_t n_in;
    struct nn_tensor **in;          /* [n_in]; may hold NULL */
    struct nn_tensor *out[NN_OUTS]; /* the second may be NULL */
    bool *add;                      /* [n_in] */
    bool by_rows; /* lists the rows of parameters that it gives gradients */
    bool active;  /* takes part in backward */
    size_t i[8];  /* numbers of the operation's own */
    double r[4];
    uint64_t seed; /* of random draws */
    size_t keep_bytes, work_bytes, thread_bytes;
    void *keep, *work;
};

struct nn_op {
    const char *name;
    void (*forward)(struct nn_tape *t, struct nn_node *o);
    void (*backward)(struct nn_tape *t, struct nn_node *o); /* NULL: constant */
};

struct nn_tape {
    const struct krn_tape *k;
    struct nn_params *params;
    enum err failed; /* sticky */
    struct mem_scratch build;
    struct nn_tensor *tensors; /* newest first */
    struct nn_node **node;
    size_t n_nodes, room;
    struct nn_tensor *loss;
    struct nn_tensor none; /* what failed builders return */
    uint64_t budget, step;
    bool planned, training;
    size_t threads, next; /* next node of forward_to */
    size_t bytes, arena_bytes;
    unsigned char *arena;
    float *scratch; /* of products, per thread */
    bool on_device; /* wanted; then, after planning: */
    struct nn_tape_cuda *cuda;
};

/* Note that building went wrong, once; always returns &t->none. */
struct nn_tensor *nn_node_fail(struct nn_tape *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A node with n_in inputs (NULL entries allowed) and one output of the given
 * shape; NULL when the tape has failed.  in[] is copied. */
struct nn_node *nn_node_new(struct nn_tape *t, const struct nn_op *op,
                            size_t n_in, struct nn_tensor *const *in,
                            size_t n_dims, const size_t *dim);
/* The second output. */
struct nn_tensor *nn_node_second(struct nn_tape *t, struct nn_node *o,
                                 size_t n_dims, const size_t *dim);
/* out[0] of o, or the stand-in where o is NULL. */
struct nn_tensor *nn_node_out(struct nn_tape *t, struct nn_node *o);

/* A tensor that no node makes. */
struct nn_tensor *nn_node_tensor(struct nn_tape *t, enum nn_kind kind,
                                 const char *name, size_t n_dims,
                                 const size_t *dim);
/* A parameter as a tensor; `name` and `part` make "name/part". */
struct nn_tensor *nn_node_param(struct nn_tape *t, const char *name,
                                const char *part, size_t n_dims,
                                const size_t *dim, struct nn_init init);
/* Seed of the draws of the thing called `name`. */
uint64_t nn_node_seed(const struct nn_tape *t, const char *name);

/* In backward: is the gradient of input i wanted; is it added to. */
static inline bool nn_node_wants(const struct nn_node *o, size_t i)
{
    return o->in[i] != NULL && o->in[i]->has_grad;
}

static inline bool nn_node_add(const struct nn_node *o, size_t i)
{
    return o->add[i];
}

/* Last dimension, and how many rows of it there are. */
static inline size_t nn_cols(const struct nn_tensor *x)
{
    return x->dim[x->n_dims - 1];
}

static inline size_t nn_rows(const struct nn_tensor *x)
{
    return nn_cols(x) == 0 ? 0 : x->n / nn_cols(x);
}

/* Element i of an array of the tape's real type. */
static inline void *nn_at(const struct nn_tape *t, const void *base, size_t i)
{
    return (unsigned char *)(uintptr_t)base + i * t->k->size;
}

/*
 * Run fn(t, o, first, last, thread) over 0..n-1 in pieces of `piece`.
 */
struct nn_split {
    struct nn_tape *t;
    struct nn_node *o;
    size_t n, piece;
    void (*fn)(const struct nn_split *s, size_t first, size_t last,
               size_t thread);
    const void *a, *b; /* of the function's own */
    void *c;
};
void nn_split_run(struct nn_split *s);
static inline size_t nn_split_pieces(size_t n, size_t piece)
{
    return (n + piece - 1) / piece;
}

/* Pieces of element-wise work, and rows of length n of about that size.
 * Never change: sums are formed piece by piece.  Short rows cost more than
 * their numbers, hence the 256. */
#define NN_PIECE ((size_t)8192)
static inline size_t nn_piece_rows(size_t n)
{
    const size_t rows = NN_PIECE / (n == 0 ? 1 : n);

    return rows == 0 ? 1 : rows > 256 ? 256 : rows;
}

/* c[n] += the sum of `pieces` rows of part[][n], in order. */
void nn_split_combine(struct nn_tape *t, void *c, const void *part,
                      size_t pieces, size_t n);

/* C (+)= op(A) op(B) in parallel; then each finished tile of C is given to
 * after(arg, row, col, rows, cols), unless NULL. */
struct nn_product {
    struct krn_mm mm;
    void (*after)(const struct nn_product *p, size_t row, size_t col,
                  size_t rows, size_t cols);
    struct nn_tape *t;
    const struct nn_node *o;
    const void *arg;           /* of after() */
    void *part;                /* of nn_product_long() */
    size_t rows, cols, across; /* set by nn_product_run() */
};
void nn_product_run(struct nn_product *p);

/* The same for a C without gaps and a long k, which is cut as well; no after().
 * part has room for so many elements as nn_product_long_room() says. */
size_t nn_product_long_room(size_t m, size_t n, size_t k);
void nn_product_long(struct nn_product *p);

#endif
