/*
 * attack/mlp.h - a small network that tells members from non-members.
 */
#ifndef ATK_MLP_H
#define ATK_MLP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct atk_mlp {
    size_t dim;    /* numbers a person */
    size_t epochs; /* over the people it learns from, shuffled anew each */
    double lr;     /* of stochastic gradient descent, one person a step */
    double momentum;
    bool members_first; /* not shuffled: all of them, then the others */
    bool soft_twice; /* cross-entropy of the softmax's output, as published */
    bool as_pytorch; /* first values as that draws them, biases too */
    uint64_t seed;
};

/*
 * Learn a dim-32-8-2 network from x [n][dim], member [n]; then the difference
 * of its two outputs (above 0: member) for x and for z [n_z][dim].  ERR_NOMEM,
 * ERR_NUM.
 */
ERR_CHECK
enum err atk_mlp_scores(const struct atk_mlp *how, const float *x,
                        const uint8_t *member, size_t n, const float *z,
                        size_t n_z, double *of_x, double *of_z);

#endif
