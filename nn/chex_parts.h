/* nn/chex_parts.h - what the files of nn/chex.h share. */
#ifndef NN_CHEX_PARTS_H
#define NN_CHEX_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "nn/chex.h"
#include "nn/node.h"

/* Which rows and columns of a matrix are there. */
struct nn_chex_sides {
    size_t rows, cols;
    uint8_t *row, *col; /* NULL: all */
};

struct nn_chex {
    struct nn_params *params;
    struct nn_chex_opt o;
    struct nn_chex_plan plan;
    struct nn_chex_sides *side; /* [parameters] */
    float *last;                /* [block] */
    double whole;               /* multiply-adds of the whole network */
    bool settled;
    /* of a set: Gram matrix, its eigenvectors, eigenvalues and work, scores */
    double *gram, *basis, *value, *score;
    double *x; /* [channels][numbers of each] */
    struct mem_scratch room;
};

/* The numbers of a parameter, as they are trained. */
static inline float *nn_chex_block(const struct nn_chex *c, size_t param)
{
    return (float *)nn_params_values(c->params) +
           nn_params_view(c->params, param)->at;
}

#endif
