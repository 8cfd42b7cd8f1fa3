/* kernels/step.c - optimiser steps, plain C references. */
#include <math.h>

#include "kernels/twins.h"

void krn_adam_f32(float *p, float *m, float *v, const float *g, size_t n,
                  const struct krn_adam *o)
{
    const float c1 = 1.0f - o->beta1, c2 = 1.0f - o->beta2;

    for (size_t i = 0; i < n; i++) {
        m[i] = fmaf(c1, g[i], o->beta1 * m[i]);
        v[i] = fmaf(c2 * g[i], g[i], o->beta2 * v[i]);
        p[i] =
            fmaf(-o->decay, p[i], p[i]) - o->lr * m[i] / (sqrtf(v[i]) + o->eps);
    }
}

void krn_adagrad_f32(float *p, float *s, const float *g, size_t n, float lr,
                     float eps)
{
    for (size_t i = 0; i < n; i++) {
        s[i] = fmaf(g[i], g[i], s[i]);
        p[i] -= lr * g[i] / (sqrtf(s[i]) + eps);
    }
}
