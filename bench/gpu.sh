#!/bin/sh
# bench/gpu.sh - on a machine with an NVIDIA GPU and the CUDA Toolkit: build
# recd and its module, check every kernel, time them; under nine minutes.
#
# Run in the root of a checkout.  BUILD: the folder to build in (build-gpu).
set -e
cd "$(dirname "$0")/.."
build=${BUILD:-build-gpu}
[ -x configure ] || autoreconf -i >/dev/null
mkdir -p "$build"
(cd "$build" && [ -e Makefile ] || ../configure -q --with-cuda CFLAGS=-O2)
make -C "$build" -j"$(nproc)" all >/dev/null
make -C "$build" -j"$(nproc)" tests/gpu_check tests/gpu_times >/dev/null
nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.mem --format=csv || true
make -s -C "$build" gpu-check
make -s -C "$build" gpu-times
echo
echo "lists of everybody, GPU and CPU (recommend --all -k 100, bpr, synthetic 20,000 x 50,000)"
store=$(mktemp -d)
trap 'rm -rf "$store"' EXIT
"$build/recd" -q synth --users 20000 --items 50000 --interactions 600000 --output "$store/rows.csv"
"$build/recd" -q --store "$store/s" import "$store/rows.csv"
"$build/recd" -q --store "$store/s" train --model bpr --epochs 1 >/dev/null
for device in cuda cpu; do
    start=$(date +%s.%N)
    RECD_CUDA_MODULE=$PWD/$build/recd-cuda.so "$build/recd" -q --store "$store/s" --device $device \
        recommend --all -k 100 --format csv --output "$store/$device.csv"
    echo "$device $(echo "$(date +%s.%N) - $start" | bc) s"
done
echo "rows that differ: $(diff "$store/cuda.csv" "$store/cpu.csv" | grep -c '^<' || true) of $(wc -l <"$store/cpu.csv")"
