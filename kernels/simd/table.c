/* kernels/simd/table.c - the table of one instruction set. */
#include "kernels/simd/v16.h"

#ifdef KRN_WITH_AVX512
const struct krn_ops krn_ops_avx512 = KRN_TABLE(__avx512, "avx512");
#else
const struct krn_ops krn_ops_avx2 = KRN_TABLE(__avx2, "avx2");
#endif
