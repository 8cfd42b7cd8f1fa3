/*
 * base/cpu.h - which instruction set the kernels use.
 *
 * Chosen once: the best one that processor and build have, or what the
 * environment variable RECD_ISA names (reference, avx2, avx512), for tests.
 */
#ifndef BASE_CPU_H
#define BASE_CPU_H

#include "kernels/ops.h"

/* The kernels in use.  Thread-safe after the first call. */
const struct krn_ops *cpu_ops(void);

/* The kernels of one instruction set, or NULL where processor or build lack
 * it. */
const struct krn_ops *cpu_ops_of(enum krn_isa isa);

#endif
