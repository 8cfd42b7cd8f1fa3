/* tests/nn_lab.h - a network with random inputs, run once in double. */
#ifndef TESTS_NN_LAB_H
#define TESTS_NN_LAB_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "nn/nn.h"

struct lab {
    struct nn_params *p;
    struct nn_tape *t;
    uint64_t seed;
};

static inline void lab_open(struct lab *l)
{
    l->seed = 1;
    assert_int_equal(nn_params_new(&l->p, NN_F64, 3), ERR_OK);
    assert_int_equal(nn_tape_new(&l->t, l->p), ERR_OK);
}

static inline void lab_plan(struct lab *l)
{
    if (nn_tape_plan(l->t, NULL) != ERR_OK)
        fail_msg("%s", err_note());
    for (size_t i = 0; i < nn_params_size(l->p); i++)
        ((double *)nn_params_values(l->p))[i] =
            (double)rng_f32(99, RNG_SYNTH, i) - 0.5;
}

static inline void lab_fill(struct lab *l, struct nn_tensor *x)
{
    l->seed++;
    for (size_t i = 0; i < x->n; i++)
        nn_tape_put(l->t, x, i, 3 * (double)rng_f32(l->seed, RNG_SYNTH, i) - 1);
}

static inline void lab_run(struct lab *l)
{
    assert_int_equal(nn_tape_forward(l->t), ERR_OK);
}

static inline void lab_close(struct lab *l)
{
    nn_tape_free(l->t);
    nn_params_free(l->p);
}

static inline double at(const struct nn_tensor *x, size_t i)
{
    return ((const double *)x->data)[i];
}

static inline void same(double got, double want)
{
    if (!(fabs(got - want) <= 1e-12 * (1 + fabs(want))))
        fail_msg("%.15g is not %.15g", got, want);
}

static inline double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

#endif /* TESTS_NN_LAB_H */
