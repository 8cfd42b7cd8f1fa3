/* nn/params_type.h - what struct nn_params is; only nn/params*.c see it. */
#ifndef NN_PARAMS_TYPE_H
#define NN_PARAMS_TYPE_H

#include <stdlib.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "nn/params.h"

struct nn_params_width {
    const char *weight; /* LAYER/weight */
    size_t outputs;
};

struct nn_params {
    enum nn_type type;
    uint64_t seed;
    const struct krn_tape *k;
    struct nn_param *param; /* [n] in order of declaration */
    size_t n, room;
    struct nn_params_width *width; /* [n_widths] of layers that are narrower */
    size_t n_widths, width_room;
    struct mem_scratch names; /* and the lists of touched rows */
    void *values, *grads;     /* [size], or NULL before planning */
    size_t size;
    struct nn_params_cuda *cuda; /* nn/cuda.h, or NULL */
};

/* Which instruction set cpu_ops() has chosen. */
static inline enum krn_isa cpu_ops_isa(void)
{
    for (enum krn_isa isa = KRN_AVX512; isa > KRN_REFERENCE; isa--) {
        if (cpu_ops_of(isa) == cpu_ops())
            return isa;
    }
    return KRN_REFERENCE;
}

#endif
