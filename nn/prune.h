/*
 * nn/prune.h - training that ends in sparse weights.
 *
 * Pruned are the matrices of linear layers (NAME/weight) with at least 16
 * inputs and 16 outputs; tables, biases and last layers of one output stay
 * whole.  Weights outside the mask are zero after every step.
 *
 *   once     dense for half of the epochs, then the largest weights stay
 *   gradual  the share that stays falls with the cube of time from the first
 *            tenth of the epochs to the seventh (Zhu & Gupta, 2017)
 *   gap      from a random sparse start, one part of the layers after the other
 *            grows dense, learns, and is pruned back: every weight gets its
 * turn (GaP, Ma et al., ICLR 2022, cyclic); the last 3 tenths tune
 *   gap-parallel  the same in rounds: as many workers as parts begin a round
 * with the same sparse network, each learns with one part dense; each part is
 * then pruned as its worker left it, everything else is the workers' mean, and
 * so is the optimiser's state (P-GaP).  One worker after the other here: epochs
 * are those of a worker
 *
 * Levels (nested sub-models, arXiv 2112.10930): the sparsest level is trained
 * as if it were alone, then frozen with everything else of the network; each
 * further level grows dense around it for half of its epochs, is pruned back to
 * its own share, and tuned.  Level l of L keeps 2^(l - L + 1) of what the last
 * one keeps.
 *
 * What is kept depends on weights, seed and epoch alone.
 */
#ifndef NN_PRUNE_H
#define NN_PRUNE_H

#include "nn/optim.h"
#include "nn/params.h"
#include "nn/sparse.h"

enum nn_schedule {
    NN_PRUNE_ONCE,
    NN_PRUNE_GRADUAL,
    NN_PRUNE_GAP,
    NN_PRUNE_PARALLEL
};

struct nn_prune_opt {
    struct nn_pattern pattern;
    double sparsity; /* share of weights that goes, 0 < x < 1 */
    enum nn_schedule schedule;
    size_t epochs; /* of the whole training, or of each level */
    size_t levels; /* 0, 1: one; groups alone, up to NN_LEVELS */
    size_t parts;  /* of gap; 0: 2, or as many as there are matrices */
    uint64_t seed;
};

struct nn_prune;

/* "once", "gradual", "gap", "gap-parallel".  ERR_ARG. */
ERR_CHECK
enum err nn_prune_parse(enum nn_schedule *out, const char *text);

/* After planning.  ERR_ARG: nothing to prune; a share that the pattern cannot
 * have.  ERR_NOMEM. */
ERR_CHECK
enum err nn_prune_new(struct nn_prune **p, struct nn_params *params,
                      const struct nn_prune_opt *o);
void nn_prune_free(struct nn_prune *p);

/* Begin with level `level`, after nn_prune_end() of the one before. */
void nn_prune_level(struct nn_prune *p, size_t level);

/* Passes over the data of a level: its epochs, or those of all workers. */
size_t nn_prune_passes(const struct nn_prune *p);

/* Before each pass of a level (from 0), after each step, and at its end.
 * optim: what trains; of workers its state goes back and forth with the
 * weights, its schedule of rates is to be that of the epochs. */
ERR_CHECK
enum err nn_prune_epoch(struct nn_prune *p, size_t pass,
                        struct nn_optim *optim);
void nn_prune_step(const struct nn_prune *p);
ERR_CHECK
enum err nn_prune_end(struct nn_prune *p);

/* The pruned matrices: how many, which (numbers of parameters), packed. */
size_t nn_prune_count(const struct nn_prune *p);
size_t nn_prune_number(const struct nn_prune *p, size_t i);
ERR_CHECK
enum err nn_prune_pack(const struct nn_prune *p, size_t i,
                       struct nn_sparse *out);
/* The share of the weights of these matrices that is zero. */
double nn_prune_sparsity(const struct nn_prune *p);

/* Which parameters a training prunes: number[] has room for `room`; returns
 * how many there are. */
size_t nn_prune_list(const struct nn_params *p, size_t *number, size_t room);

#endif
