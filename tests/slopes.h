/* tests/slopes.h - gradients of whole networks by central differences. */
#ifndef TESTS_SLOPES_H
#define TESTS_SLOPES_H

#include <math.h>

#include "nn/nn.h"
#include "tests/rec_cases.h"

/* Slopes of some parameters by central differences. */
static inline void check_slopes(const char *name, struct nn_params *p,
                                struct nn_tape *t, enum err (*run)(void *),
                                void *arg)
{
    double *value = nn_params_values(p);
    const double *grad = nn_params_grads(p), step = 1e-7;

    nn_params_clear(p);
    assert_int_equal(run(arg), ERR_OK);
    assert_int_equal(nn_tape_backward(t), ERR_OK);
    for (size_t i = 0; i < nn_params_count(p); i++) {
        const struct nn_param *v = nn_params_view(p, i);

        for (size_t e = 0; e < v->n; e += 1 + v->n / 3) {
            double *x = value + v->at + e, was = *x, up;

            *x = was + step;
            assert_int_equal(run(arg), ERR_OK);
            up = nn_tape_loss(t);
            *x = was - step;
            assert_int_equal(run(arg), ERR_OK);
            const double slope = (up - nn_tape_loss(t)) / (2 * step);

            *x = was;
            if (!(fabs(slope - grad[v->at + e]) <= 3e-5 * (1 + fabs(slope))))
                fail_msg("%s: slope of %s, element %zu, is %.9g, not %.9g",
                         name, v->name, e, grad[v->at + e], slope);
        }
    }
}

#endif
