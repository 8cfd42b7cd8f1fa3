/*
 * nn/lstm.h - long short-term memory over sequences.
 *
 *   i, f, o = sigmoid(x Wx + h Wh + b), g = tanh(...);
 *   c' = f c + i g;  h' = o tanh(c')
 * Source: Hochreiter & Schmidhuber, 1997; Gers et al., 2000.  The forget bias
 * starts at 1 (Jozefowicz et al., ICML 2015).
 */
#ifndef NN_LSTM_H
#define NN_LSTM_H

#include "nn/tape.h"

struct nn_lstm {
    bool reverse;
    struct nn_tensor *start;      /* [batch][h], or NULL: zero */
    struct nn_tensor *start_cell; /* [batch][h], or NULL: zero */
    struct nn_tensor *mask;       /* [batch][n], 0 = carried over; or NULL */
    struct nn_tensor **cell;      /* out, if wanted: [batch][n][h] */
};

/* x [batch][n][d] -> [batch][n][h].  Parameters name/input_weight [d][4h],
 * name/state_weight [h][4h], name/bias [4h] (gates i, f, g, o). */
struct nn_tensor *nn_lstm(struct nn_tape *t, struct nn_tensor *x,
                          const char *name, size_t h,
                          const struct nn_lstm *how);

#endif
