/*
 * nn/chex.h - training that ends in a narrower network.
 *
 * A channel is an output of a linear layer that only another linear layer
 * reads (through activations and dropout), or a coordinate of a head of
 * self-attention: of its queries and keys, or of its values.  Taking it away
 * takes a column of one matrix and a row of the next: what is left is a smaller
 * dense network.
 *
 * In the first seven tenths of the epochs, at the beginning of each:
 *   layers    channels have a gate: the length of what they read with times the
 *             length of what they are read with, over its mean in the layer.
 *             The smallest gates of all layers go until the network has its
 *             share of multiply-adds: so many channels does each layer keep
 *   columns   of each layer those with the largest leverage scores stay: with G
 *             the Gram matrix of the channels' weights and V its first k
 *             eigenvectors, |V_j|^2
 *   regrow    some of the others come back with the weights that they had last:
 *             drawn without replacement, with probability softmax(|x - P x|), P
 *             the projection on what stays.  Their share falls on a cosine
 * Then the mask stays.
 *
 * Source: Hou et al., CHEX: CHannel EXploration for CNN model compression, CVPR
 * 2022, section 3.  Differs: gates as above (a network without batch norm has
 * no scales of channels); a channel is what it reads with, its bias and what it
 * is read with, not its filter alone; the budget is of multiply-adds; layers
 * keep multiples of 8.
 *
 * The result depends on weights, seed and epochs alone; draws are named by the
 * layer, epoch and channel.
 */
#ifndef NN_CHEX_H
#define NN_CHEX_H

#include "nn/params.h"
#include "nn/tape.h"

struct nn_chex_opt {
    double share; /* of the multiply-adds that goes, 0 < x < 1 */
    size_t epochs;
    uint64_t seed;
};

struct nn_chex;

/* Of a planned tape that trains (NN_F32), which must outlive it.  ERR_ARG:
 * there are no channels; what is not in them needs more than the share that
 * may stay.  ERR_NOMEM. */
ERR_CHECK
enum err nn_chex_new(struct nn_chex **c, struct nn_tape *t,
                     const struct nn_chex_opt *o);
void nn_chex_free(struct nn_chex *c);

/* Before each epoch (from 0), after each step, and at the end. */
ERR_CHECK
enum err nn_chex_epoch(struct nn_chex *c, size_t epoch);
void nn_chex_step(const struct nn_chex *c);
ERR_CHECK
enum err nn_chex_end(struct nn_chex *c);

/* The layers that have channels: how many; their names, and how many outputs
 * each has now (of attention: queries, keys and values together). */
size_t nn_chex_count(const struct nn_chex *c);
const char *nn_chex_name(const struct nn_chex *c, size_t layer);
size_t nn_chex_outputs(const struct nn_chex *c, size_t layer);
/* Multiply-adds now, over those of the whole network. */
double nn_chex_share(const struct nn_chex *c);

/* Weights of the narrow network: `small` was made with nn_params_narrow() by
 * these names and numbers, its tapes are built and planned. */
void nn_chex_copy(const struct nn_chex *c, struct nn_params *small);

/* --- for nn/chex*.c alone ------------------------------------------------ */

#define NN_CHEX_LAYERS 64
#define NN_CHEX_NONE SIZE_MAX

/* Channels of a layer: in sets of equal size that keep equally many.  A linear
 * layer has one; attention has 2 for each head (queries and keys; values). */
struct nn_chex_layer {
    size_t in, bias, out; /* parameters; bias may be NN_CHEX_NONE */
    size_t heads;         /* 0: linear */
    size_t sets, channels, keep;
    uint8_t *there; /* [sets][channels] */
};

/* What a product costs: rows * inputs * outputs of parameter `weight`, or rows
 * * channels of the layer that attention stands on. */
struct nn_chex_cost {
    size_t weight, layer; /* one of them NN_CHEX_NONE */
    double rows;
};

struct nn_chex_plan {
    struct nn_chex_layer layer[NN_CHEX_LAYERS];
    struct nn_chex_cost cost[4 * NN_CHEX_LAYERS];
    size_t n, n_costs;
};

/* The layers of t; there is not filled. */
void nn_chex_find(struct nn_chex_plan *p, const struct nn_tape *t);

#endif
