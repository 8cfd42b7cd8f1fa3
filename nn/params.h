/*
 * nn/params.h - the weights of a network: one block, with named views.
 *
 * Saving, loading, digests, optimisers and gradient checks are loops over one
 * array.  A parameter is declared by the operation that uses it; the same
 * name used again (in another tape, or twice in one) is the same parameter.
 *
 * First values are drawn from (seed, name, index): they depend neither on the
 * order of declaration nor on what else there is.  Rows of embedding tables
 * can be named by keys, so that the row of an item is the same whatever else
 * is in the table (nn_params_init_rows).
 *
 * nn/ does no input or output: nn_params_save() makes bytes that store/ can
 * keep.
 */
#ifndef NN_PARAMS_H
#define NN_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "kernels/tape.h"
#include "nn/tape.h"

enum nn_init_kind {
    NN_INIT_ZERO,
    NN_INIT_CONSTANT, /* scale */
    NN_INIT_XAVIER,   /* uniform +- scale sqrt(6 / (in + out)) */
    NN_INIT_HE,       /* normal, deviation scale sqrt(2 / in) */
    NN_INIT_NORMAL,   /* deviation scale */
    NN_INIT_UNIFORM,  /* +- scale */
    NN_INIT_FORGET,   /* zero, but scale in [in..in + out): an LSTM's bias */
};

struct nn_init {
    enum nn_init_kind kind;
    double scale;
    size_t in, out; /* fans */
};

struct nn_param {
    const char *name;
    size_t n_dims, dim[NN_DIMS];
    size_t n, at; /* elements, and where the first one is in the block */
    struct nn_init init;
    bool frozen;
    bool dense;     /* some training gives a gradient to the whole */
    bool looked_up; /* some training gives gradients to rows */
    /* Used by look-ups alone: touched[] lists the rows that have gradients,
     * and steps are made on them alone (a large table costs what it uses). */
    bool by_rows;
    uint32_t *touched; /* [dim[0]] */
    uint8_t *mark;     /* [dim[0]] */
    size_t n_touched;
    /* The same weights packed, for layers of tapes that do not train: rows are
     * outputs.  Borrowed; NULL: none. */
    const struct nn_sparse *packed;
    size_t level;
};

/* ERR_NOMEM. */
ERR_CHECK
enum err nn_params_new(struct nn_params **p, enum nn_type type, uint64_t seed);
void nn_params_free(struct nn_params *p);

/* Parameters whose names begin with prefix get no gradients in tapes that are
 * built from now on (freeze), or get them again. */
void nn_params_freeze(struct nn_params *p, const char *prefix, bool frozen);

/* Linear layers whose weights are called `weight` (LAYER/weight) get so many
 * outputs in tapes that are built from now on, where they would have more: how
 * a network is built narrower than its code says (nn/chex.h).  ERR_NOMEM. */
ERR_CHECK
enum err nn_params_narrow(struct nn_params *p, const char *weight,
                          size_t outputs);

/* After planning: */
enum nn_type nn_params_type(const struct nn_params *p);
size_t nn_params_count(const struct nn_params *p);
const struct nn_param *nn_params_view(const struct nn_params *p, size_t i);
/* NULL when there is none of that name. */
const struct nn_param *nn_params_find(const struct nn_params *p,
                                      const char *name);
/* The block: nn_params_size() elements of the type, padding included (zero).
 * Of NN_F32, the weights of view v are (float *)block + v->at. */
void *nn_params_values(const struct nn_params *p);
void *nn_params_grads(const struct nn_params *p); /* NULL: no loss anywhere */
size_t nn_params_size(const struct nn_params *p);
/* The arithmetic of its type and of this machine. */
const struct krn_tape *nn_params_kernels(const struct nn_params *p);

/* Serve parameter i by its packed twin s (NULL: no longer), which has to
 * outlive its use and to hold the same weights. */
void nn_params_serve(struct nn_params *p, size_t i, const struct nn_sparse *s,
                     size_t level);

/* Draw all first values again, with another seed. */
void nn_params_reset(struct nn_params *p, uint64_t seed);
/* Draw one parameter again in another way.  ERR_NOTFOUND. */
ERR_CHECK
enum err nn_params_draw(struct nn_params *p, const char *name,
                        struct nn_init init);
/* Draw row r of a table again, named by keys[r].  ERR_NOTFOUND. */
ERR_CHECK
enum err nn_params_init_rows(struct nn_params *p, const char *name,
                             const uint64_t *keys);
/* Forget gradients. */
void nn_params_clear(struct nn_params *p);

/* Copy values by name between equal shapes, converting the type; what has no
 * namesake stays.  Returns how many were copied. */
size_t nn_params_copy(struct nn_params *to, const struct nn_params *from);

/*
 * Bytes that hold names, shapes and values (as float, little-endian), and
 * back.  `more` and `n_more` are further floats kept with them (an optimiser's
 * state, see nn/optim.h), or NULL and 0.
 * save: out has room for nn_params_save_bytes().
 * load: ERR_FORMAT when the bytes are not such an image, or names or shapes
 * differ from the planned ones; nothing is changed then.
 */
size_t nn_params_save_bytes(const struct nn_params *p, size_t n_more);
void nn_params_save(const struct nn_params *p, const float *more, size_t n_more,
                    void *out);
ERR_CHECK
enum err nn_params_load(struct nn_params *p, float *more, size_t n_more,
                        const void *image, size_t bytes);

/* --- for nn/ alone --- */

/* Outputs of the linear layer `name` that would have `outputs`. */
size_t nn_params_outputs(const struct nn_params *p, const char *name,
                         size_t outputs);

/* Number of the parameter, declared if new; ERR_ARG: another shape before, or
 * new after planning. */
ERR_CHECK
enum err nn_params_declare(struct nn_params *p, const char *name, size_t n_dims,
                           const size_t *dim, struct nn_init init,
                           size_t *number);
struct nn_param *nn_params_at(struct nn_params *p, size_t i);
/* Take the block and draw values (once), and the block of gradients. */
ERR_CHECK
enum err nn_params_plan(struct nn_params *p, bool grads);
/* What nn_params_plan() would take now. */
double nn_params_plan_bytes(const struct nn_params *p, bool grads);
uint64_t nn_params_seed(const struct nn_params *p);

#endif
