/*
 * nn/tape.h - networks as a list of operations that can be run backwards.
 *
 * A tape is built once, by calling the functions that make tensors (nn/nn.h
 * lists them), then planned, then run as often as wanted:
 *
 *     nn_params_new(&p, NN_F32, seed);
 *     nn_tape_new(&t, p);
 *     x = nn_tape_input(t, "x", 2, (size_t[]){batch, 20});
 *     ... y = nn_linear(t, x, "first", 64, NN_RELU); ...
 *     err = nn_tape_plan(t, loss);       all memory is taken here, or refused
 *     for each step:
 *         nn_tape_set(t, x, values);  nn_tape_forward(t);
 *         nn_tape_backward(t);        nn_optim_step(o);
 *
 * Building cannot fail halfway: a mistake (shapes that do not match, no
 * memory) is noted, everything after it is skipped, and nn_tape_plan()
 * returns it.  After planning nothing is allocated until nn_tape_free().
 *
 * Batches have one size, that of the plan.  A last, smaller batch is filled up
 * and its rows are weighted 0 in nn_reduce_mean().
 *
 * Determinism: work is cut into tasks of fixed size, sums are formed in the
 * order of tasks, random draws are counted, not asked for in turn: the same
 * bits for any number of threads and any instruction set.
 * Threads: one tape is run by one thread at a time, and works with as many
 * as par_threads() said when it was planned, at most.
 */
#ifndef NN_TAPE_H
#define NN_TAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "kernels/tape.h"

/* NN_F64 is for checking gradients; it is slow. */
enum nn_type { NN_F32, NN_F64 };

enum nn_kind {
    NN_REALS,
    NN_IDS,  /* uint32_t */
    NN_KEYS, /* uint64_t: stable names of rows, for random draws */
};

/* An id that stands for "nothing here": its embedding is zero. */
#define NN_PAD UINT32_MAX

#define NN_DIMS 4

struct nn_tape;
struct nn_params;

/* Made by the tape, owned by the tape.  Row-major, contiguous. */
struct nn_tensor {
    const char *name;
    enum nn_kind kind;
    size_t n_dims, dim[NN_DIMS];
    size_t n;        /* elements */
    bool needs_grad; /* the loss may depend on a parameter through it */

    /* For nn/ alone: */
    void *data, *grad;      /* after planning */
    struct nn_tensor *root; /* whose memory this is another shape of, or self */
    size_t param;           /* number of the parameter, or SIZE_MAX */
    size_t limit;           /* ids are below this, or NN_PAD */
    size_t maker;           /* number of the node that makes it, or SIZE_MAX */
    bool kept;              /* memory is not shared in an inference tape */
    bool read;              /* some node reads it */
    bool has_grad;          /* a gradient is formed in backward */
    size_t first, last;     /* for the plan */
    struct nn_tensor *older; /* list of all tensors of the tape */
};

/* The parameters must outlive the tape.  Several tapes may share them: build
 * all of them before planning the first.  ERR_NOMEM. */
ERR_CHECK
enum err nn_tape_new(struct nn_tape **t, struct nn_params *params);
void nn_tape_free(struct nn_tape *t);

/* What the caller fills before each run. */
struct nn_tensor *nn_tape_input(struct nn_tape *t, const char *name,
                                size_t n_dims, const size_t *dim);
struct nn_tensor *nn_tape_ids(struct nn_tape *t, const char *name,
                              size_t n_dims, const size_t *dim);
struct nn_tensor *nn_tape_keys(struct nn_tape *t, const char *name, size_t n);
/* An input whose gradient is wanted too. */
struct nn_tensor *nn_tape_leaf(struct nn_tape *t, const char *name,
                               size_t n_dims, const size_t *dim);
/* n numbers fixed at building. */
struct nn_tensor *nn_tape_constant(struct nn_tape *t, const char *name,
                                   size_t n_dims, const size_t *dim,
                                   const float *values);

/* Keep x readable after a run of an inference tape (planned without loss);
 * tensors that nothing else reads are kept anyway. */
void nn_tape_keep(struct nn_tape *t, struct nn_tensor *x);

/* Refuse plans above so many bytes; 0 (default): what the machine has. */
void nn_tape_budget(struct nn_tape *t, uint64_t bytes);

/* Run on device_cuda(), where there is one and operations have forms for it
 * (ERR_ARG when planning where one has not).  All tapes of the parameters, or
 * none. */
void nn_tape_on_device(struct nn_tape *t);

/*
 * Take all memory.  loss: the one number that backward starts from, or NULL
 * for inference, where memory of intermediate tensors is shared.
 * ERR_NOMEM: does not fit; the sentence has the estimate.  ERR_ARG: what was
 * wrong in building.
 */
ERR_CHECK
enum err nn_tape_plan(struct nn_tape *t, struct nn_tensor *loss);

/* Bytes of the plan: tensors and scratch, without parameters. */
uint64_t nn_tape_bytes(const struct nn_tape *t);

/* Copy in; values has x->n numbers.  nn_tape_set_ids() refuses ids that are
 * outside the tables they index (ERR_ARG, naming position and id). */
void nn_tape_set(struct nn_tape *t, struct nn_tensor *x, const float *values);
ERR_CHECK
enum err nn_tape_set_ids(struct nn_tape *t, struct nn_tensor *x,
                         const uint32_t *ids);
void nn_tape_set_keys(struct nn_tape *t, struct nn_tensor *x,
                      const uint64_t *keys);
/* Set all, or one, to a number. */
void nn_tape_fill(struct nn_tape *t, struct nn_tensor *x, double value);
void nn_tape_put(struct nn_tape *t, struct nn_tensor *x, size_t i,
                 double value);

/* Copy out; and one element of the values or of the gradient. */
void nn_tape_get(const struct nn_tape *t, const struct nn_tensor *x,
                 float *values);
double nn_tape_at(const struct nn_tape *t, const struct nn_tensor *x, size_t i);
double nn_tape_grad_at(const struct nn_tape *t, const struct nn_tensor *x,
                       size_t i);

/* The loss that was planned, after a run; 0 in an inference tape. */
double nn_tape_loss(const struct nn_tape *t);

/* Number of the step, which random draws depend on; and whether dropout acts
 * (default: in tapes with a loss). */
void nn_tape_step(struct nn_tape *t, uint64_t step);
void nn_tape_training(struct nn_tape *t, bool training);

/* ERR_ARG: not planned, or more threads now than when it was. */
ERR_CHECK
enum err nn_tape_forward(struct nn_tape *t);
/* The nodes that make `to` and everything before it, from where the last call
 * ended (from the start with again == true): for decoders that choose. */
ERR_CHECK
enum err nn_tape_forward_to(struct nn_tape *t, const struct nn_tensor *to,
                            bool again);
/* Adds to the gradients of the parameters.  After nn_tape_forward(). */
ERR_CHECK
enum err nn_tape_backward(struct nn_tape *t);

#endif
