/* kernels/tape.c - the reference in float, and choosing among the tables. */
#define KRN_TAPE_TABLE krn_tape_f32
#define KRN_TAPE_NAME "reference"
#define KRN_TAPE_OPS krn_ops_reference
#include "kernels/tape_f32.inc"

const struct krn_tape *krn_tape_of(enum krn_isa isa)
{
#ifdef RECD_X86_ISA
    if (isa == KRN_AVX512)
        return &krn_tape_f32__avx512;
    if (isa == KRN_AVX2)
        return &krn_tape_f32__avx2;
#endif
    return isa == KRN_REFERENCE ? &krn_tape_f32 : NULL;
}

bool krn_map_needs_x(enum krn_map f)
{
    return f == KRN_MAP_GELU || f == KRN_MAP_SOFTPLUS || f == KRN_MAP_SWISH ||
           f == KRN_MAP_LOG || f == KRN_MAP_SQUARE;
}

double krn_tape_get(const struct krn_tape *k, const void *x, size_t i)
{
    if (k->size == sizeof(double))
        return ((const double *)x)[i];
    return (double)((const float *)x)[i];
}

void krn_tape_set(const struct krn_tape *k, void *x, size_t i, double value)
{
    if (k->size == sizeof(double))
        ((double *)x)[i] = value;
    else
        ((float *)x)[i] = (float)value;
}
