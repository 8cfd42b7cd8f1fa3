/* base/cpu.c - chooses the kernels. */
#include "base/cpu.h"

static bool cpu_has(enum krn_isa isa)
{
#ifdef RECD_X86_ISA
    __builtin_cpu_init();
    if (isa == KRN_AVX512)
        return __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl");
    if (isa == KRN_AVX2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return isa == KRN_REFERENCE;
}

const struct krn_ops *cpu_ops_of(enum krn_isa isa)
{
    if (!cpu_has(isa))
        return NULL;
#ifdef RECD_X86_ISA
    if (isa == KRN_AVX512)
        return &krn_ops_avx512;
    if (isa == KRN_AVX2)
        return &krn_ops_avx2;
#endif
    return &krn_ops_reference;
}

/* The one that RECD_ISA names; NULL where it names none that can run. */
static const struct krn_ops *cpu_named(const char *name)
{
    for (enum krn_isa isa = KRN_REFERENCE; isa <= KRN_AVX512; isa++) {
        const struct krn_ops *ops = cpu_ops_of(isa);

        if (name != NULL && ops != NULL && strcmp(name, ops->name) == 0)
            return ops;
    }
    return NULL;
}

static const struct krn_ops *cpu_best(void)
{
    const struct krn_ops *ops = cpu_named(getenv("RECD_ISA"));

    for (enum krn_isa isa = KRN_AVX512; ops == NULL; isa--)
        ops = cpu_ops_of(isa);
    return ops;
}

const struct krn_ops *cpu_ops(void)
{
    /* All threads that race here store the same pointer. */
    static _Atomic(const struct krn_ops *) chosen;

    if (chosen == NULL)
        chosen = cpu_best();
    return chosen;
}
