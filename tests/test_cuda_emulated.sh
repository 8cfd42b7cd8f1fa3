#!/bin/sh
# tests/test_cuda_emulated.sh - the CUDA kernels, run by fibers on the CPU
# (kernels/cuda/emulated.h): each against plain loops, with threads that run in
# three orders.
so=$PWD/emulated-cuda.so
[ -e "$so" ] || { echo "no C++ compiler: not emulated"; exit 77; }
recd=$PWD/recd
dir=$(mktemp -d "${TMPDIR:-/tmp}/recd-cuda.XXXXXX") || exit 99
trap 'rm -rf "$dir"' EXIT
. "$srcdir/tests/shell.sh"
RECD_CUDA_MODULE=$so RECD_EMULATED_MEMORY=1000000000
export RECD_CUDA_MODULE RECD_EMULATED_MEMORY

for order in 0 1 7; do
    RECD_EMULATED_ORDER=$order expect 0 ./tests/gpu_check
    say 'all kernels agree with plain loops'
done

exit $bad
