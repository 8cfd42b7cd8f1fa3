/* kernels/tape_avx2.c - the float table, compiled for avx2. */
#define KRN_TAPE_TABLE krn_tape_f32__avx2
#define KRN_TAPE_NAME "avx2"
#define KRN_TAPE_OPS krn_ops_avx2
#include "kernels/tape_f32.inc"
