/* kernels/tape_avx512.c - the float table, compiled for avx512. */
#define KRN_TAPE_TABLE krn_tape_f32__avx512
#define KRN_TAPE_NAME "avx512"
#define KRN_TAPE_OPS krn_ops_avx512
#include "kernels/tape_f32.inc"
