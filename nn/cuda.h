/*
 * nn/cuda.h - the tape on the device; only nn/ includes this.
 *
 * A tape that is planned on the device (nn_tape_on_device()) has its arena
 * there, laid out as the host's, and so have the parameters their blocks: a
 * pointer of the host names the device's number at the same place (nn_dev()).
 * Numbers cross when they are set or asked for, and not in between.
 *
 * Differs from the CPU: sums run in other orders.
 */
#ifndef NN_CUDA_H
#define NN_CUDA_H

#include "base/device.h"
#include "nn/node.h"

/* Of struct nn_params: its blocks on the device. */
struct nn_params_cuda {
    float *values, *grads; /* grads NULL: no loss anywhere */
    bool host_newer, dev_newer;
    enum err e; /* sticky: of a transfer where nobody could be told */
};

/* What an operation does on the device; NULL where it has no gradient. */
struct nn_cuda_form {
    const char *name; /* of struct nn_op */
    int (*forward)(struct nn_tape *t, struct nn_node *o, char *why);
    int (*backward)(struct nn_tape *t, struct nn_node *o, char *why);
    bool (*can)(const struct nn_node *o);    /* NULL: always */
    size_t (*work)(const struct nn_node *o); /* bytes; NULL: none */
};
extern const struct nn_cuda_form nn_cuda_forms[]; /* ended by name NULL */
extern const struct nn_cuda_form nn_cuda_attend, nn_cuda_embed, nn_cuda_gru;

struct nn_tape_cuda {
    unsigned char *arena;
    void *work;
    const struct nn_cuda_form **form; /* [n_nodes] */
};

/* Find forms, take memory, send constants and ids.  ERR_ARG: an operation has
 * no form for the device. */
ERR_CHECK
enum err nn_cuda_plan(struct nn_tape *t);
void nn_cuda_drop(struct nn_tape *t);
ERR_CHECK
enum err nn_cuda_run(struct nn_tape *t, size_t node, bool back);
/* Before a run: the newest weights are there. */
ERR_CHECK
enum err nn_cuda_ready(struct nn_tape *t);

/* Bytes at a place of the host's, to the device and back. */
void nn_cuda_put(struct nn_tape *t, const void *at, size_t bytes);
void nn_cuda_get(const struct nn_tape *t, void *at, size_t bytes);

/* The host's values (or gradients) are the newest afterwards; written: and may
 * change. */
void nn_cuda_params_back(struct nn_params *p, bool grads);
void nn_cuda_params_drop(struct nn_params *p);
void nn_cuda_params_clear(struct nn_params *p); /* gradients */
/* The device's values are the newest from now on. */
void nn_cuda_params_stepped(struct nn_params *p);
struct nn_params_cuda *nn_cuda_params(const struct nn_params *p);

/* The device's address of a number of the tape or of its parameters. */
void *nn_dev(const struct nn_tape *t, const void *host);

/* Run a job, or a product: 0, or 1 with a sentence in why. */
int nn_cuda_job(struct krn_cuda_job j, char *why);
int nn_cuda_mm(const struct krn_cuda_mm *g, char *why);

/* nn/embed.c: o->work holds ids, then their positions, sorted by id; rows of
 * tables are marked. */
void nn_embed_sorted(struct nn_tape *t, struct nn_node *o);

#endif
