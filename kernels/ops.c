/* kernels/ops.c - the tables of kernels. */
#include "kernels/twins.h"

const struct krn_ops krn_ops_reference = KRN_TABLE(, "reference");
