/*
 * nn/gru.h - gated recurrent units over sequences.
 *
 *   r, z = sigmoid(x Wx + bx + h Wh + bh);
 *   n = tanh(x Wx_n + bx_n + r (h Wh_n + bh_n));  h' = (1 - z) n + z h
 * Source: Cho et al., EMNLP 2014.  Differs: the reset gate acts after the
 * product, as in cuDNN, PyTorch and Keras; reset_first is the paper's form and
 * TensorFlow's cell,
 *   n = tanh(x Wx_n + bx_n + (r h) Wh_n + bh_n).
 */
#ifndef NN_GRU_H
#define NN_GRU_H

#include "nn/tape.h"

struct nn_gru {
    bool reverse;            /* from the last step to the first */
    bool reset_first;        /* see above; slower */
    struct nn_tensor *start; /* [batch][h], or NULL: zero */
    struct nn_tensor *mask; /* [batch][n], 0 = state is carried over; or NULL */
};

/* x [batch][n][d] -> all states [batch][n][h].  Parameters name/input_weight
 * [d][3h], name/state_weight [h][3h], name/input_bias, name/state_bias [3h]
 * (gates r, z, n).  how NULL: all defaults. */
struct nn_tensor *nn_gru(struct nn_tape *t, struct nn_tensor *x,
                         const char *name, size_t h, const struct nn_gru *how);

#endif
