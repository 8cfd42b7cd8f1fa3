/*
 * nn/attend.h - scaled dot-product attention in several heads.
 *
 * Source: Vaswani et al., NeurIPS 2017, section 3.2.
 */
#ifndef NN_ATTEND_H
#define NN_ATTEND_H

#include "nn/tape.h"

struct nn_attend {
    size_t heads;           /* divides the width */
    bool causal;            /* position i sees 0..i alone */
    size_t window;          /* and |i - j| <= window; 0: no such limit */
    struct nn_tensor *mask; /* [batch][keys], 0 = not there; or NULL */
    double drop;            /* of attention weights, in training */
    const char *drop_name;  /* names its draws; wanted when drop > 0 */
    struct nn_tensor *keys; /* [batch] names of the lists, or NULL: position */
};

/* q [batch][n][d], k and v [batch][l][d] -> [batch][n][d].  No parameters.  A
 * query that may see nothing gives zeros. */
struct nn_tensor *nn_attend(struct nn_tape *t, struct nn_tensor *q,
                            struct nn_tensor *k, struct nn_tensor *v,
                            const struct nn_attend *how);

/* Self-attention: name/qkv [d][3 width] with bias, attention, no product at
 * the end: x [batch][n][d] -> [batch][n][width]. */
struct nn_tensor *nn_attend_self(struct nn_tape *t, struct nn_tensor *x,
                                 const char *name, size_t width,
                                 const struct nn_attend *how);

#endif
