/*
 * tests/nn_cases.h - small networks, one or more for each operation of nn/,
 * that tests of gradients, types and threads run over.
 */
#ifndef TESTS_NN_CASES_H
#define TESTS_NN_CASES_H

#include "nn/nn.h"

#define NN_CASE_INPUTS 12

/* A network under construction: whatever it has of inputs is registered here,
 * and filled by the test. */
struct nn_case_net {
    struct nn_tape *t;
    struct nn_params *p;
    struct nn_tensor *leaf[NN_CASE_INPUTS], *ids[NN_CASE_INPUTS];
    double low[NN_CASE_INPUTS], high[NN_CASE_INPUTS]; /* of leaves */
    bool step[NN_CASE_INPUTS]; /* values are 0 or 1 alone, no gradient */
    size_t n_leaves, n_ids;
    struct nn_tensor *out, *weight, *loss;
};

struct nn_case {
    const char *name;
    struct nn_tensor *(*build)(struct nn_case_net *g);
};

extern const struct nn_case nn_cases[]; /* ended by name == NULL */

/* Build the network of a case and plan it, on the device where one is open. */
enum err nn_case_build(struct nn_case_net *g, const struct nn_case *c,
                       enum nn_type type, uint64_t seed);
/* Build the network of a case, plan it and fill it from `seed`; checks with
 * cmocka that nothing fails. */
void nn_case_open(struct nn_case_net *g, const struct nn_case *c,
                  enum nn_type type, uint64_t seed);
void nn_case_close(struct nn_case_net *g);

#endif
