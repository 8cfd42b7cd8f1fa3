/* kernels/ops.c - the tables of kernels. */
#include "kernels/twins.h"

const struct krn_ops krn_ops_reference = KRN_TABLE(, "reference");

#ifdef RECD_X86_ISA
const struct krn_ops krn_ops_avx2 = KRN_TABLE(, "avx2");
const struct krn_ops krn_ops_avx512 = KRN_TABLE(, "avx512");
#endif
