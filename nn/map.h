/*
 * nn/map.h - element by element: activations, sums, products; and dropout.
 */
#ifndef NN_MAP_H
#define NN_MAP_H

#include "nn/tape.h"

enum nn_act {
    NN_NONE = KRN_MAP_NONE,
    NN_RELU = KRN_MAP_RELU,
    NN_LEAKY = KRN_MAP_LEAKY, /* slope NN_SLOPE below zero */
    NN_GELU = KRN_MAP_GELU,   /* with tanh */
    NN_TANH = KRN_MAP_TANH,
    NN_SIGMOID = KRN_MAP_SIGMOID,
    NN_SOFTPLUS = KRN_MAP_SOFTPLUS,
    NN_SWISH = KRN_MAP_SWISH,
    NN_EXP = KRN_MAP_EXP,
    NN_LOG = KRN_MAP_LOG, /* below 1.2e-38: -87.3 */
    NN_SQRT = KRN_MAP_SQRT,
    NN_SQUARE = KRN_MAP_SQUARE,
};
#define NN_SLOPE 0.01

struct nn_tensor *nn_map(struct nn_tape *t, struct nn_tensor *x,
                         enum nn_act act);
/* a x + shift */
struct nn_tensor *nn_map_scale(struct nn_tape *t, struct nn_tensor *x, double a,
                               double shift);
/* x limited to lo..hi */
struct nn_tensor *nn_map_clip(struct nn_tape *t, struct nn_tensor *x, double lo,
                              double hi);
/* x as it is; its gradient times -factor (one number).
 * Source: Ganin & Lempitsky, ICML 2015. */
struct nn_tensor *nn_map_reverse(struct nn_tape *t, struct nn_tensor *x,
                                 struct nn_tensor *factor);
/* x as it is, without gradient. */
struct nn_tensor *nn_map_stop(struct nn_tape *t, struct nn_tensor *x);

/* Two tensors of one shape; or b is shorter, and has the shape of the last
 * dimensions of a: then it is repeated (a bias, positions). */
struct nn_tensor *nn_map_add(struct nn_tape *t, struct nn_tensor *a,
                             struct nn_tensor *b);
struct nn_tensor *nn_map_sub(struct nn_tape *t, struct nn_tensor *a,
                             struct nn_tensor *b);
struct nn_tensor *nn_map_mul(struct nn_tape *t, struct nn_tensor *a,
                             struct nn_tensor *b);
struct nn_tensor *nn_map_div(struct nn_tape *t, struct nn_tensor *a,
                             struct nn_tensor *b);
struct nn_tensor *nn_map_min(struct nn_tape *t, struct nn_tensor *a,
                             struct nn_tensor *b);

/*
 * Zero with probability `rate` (0 <= rate < 1), else times 1 / (1 - rate);
 * x itself when the tape is not training.
 * The draw of an element depends on the parameters' seed, `name`, the step
 * (nn_tape_step), and the key of its row: keys->n divides x->n, and each key
 * names that many numbers; NULL: rows are named by position.
 */
struct nn_tensor *nn_map_drop(struct nn_tape *t, struct nn_tensor *x,
                              const char *name, double rate,
                              struct nn_tensor *keys);

/* mean + exp(logvar / 2) e, e standard normal, drawn as for dropout; the mean
 * when the tape is not training.  Source: Kingma & Welling, ICLR 2014. */
struct nn_tensor *nn_map_sample(struct nn_tape *t, struct nn_tensor *mean,
                                struct nn_tensor *logvar, const char *name,
                                struct nn_tensor *keys);

#endif
