/*
 * nn/conv.h - convolution along sequences.
 */
#ifndef NN_CONV_H
#define NN_CONV_H

#include "nn/map.h"
#include "nn/tape.h"

struct nn_conv {
    size_t width;         /* steps that a filter sees, >= 1 */
    size_t before, after; /* zeros put at the ends: width - 1 and 0 is causal */
    enum nn_act act;
};

/* x [batch][n][d] -> [batch][n + before + after - width + 1][out].  Parameters
 * name/weight [width d][out] and name/bias [out]. */
struct nn_tensor *nn_conv(struct nn_tape *t, struct nn_tensor *x,
                          const char *name, size_t out,
                          const struct nn_conv *how);

#endif
