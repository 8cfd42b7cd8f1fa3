#!/bin/sh
# bench/gpu.sh - on a machine with an NVIDIA GPU and the CUDA Toolkit: build
# recd and its module, check every kernel, time them beside the Toolkit's
# libraries, then train and recommend on both devices; under nine minutes.
#
# Run in the root of a checkout.  BUILD: the folder to build in (build-gpu).
# What is printed last is the table for docs/gpu.md.
set -e
cd "$(dirname "$0")/.."
build=${BUILD:-build-gpu}
started=$(date +%s)
[ -x configure ] || autoreconf -i >/dev/null
mkdir -p "$build"
(cd "$build" && [ -e Makefile ] || ../configure -q --with-cuda CFLAGS=-O2)
make -s -C "$build" -j"$(nproc)" recd recd-cuda.so recd-cuda-anchors.so tests/gpu_check tests/gpu_times >/dev/null
recd=$PWD/$build/recd
export RECD_CUDA_MODULE="$PWD/$build/recd-cuda.so" RECD_CUDA_ANCHORS="$PWD/$build/recd-cuda-anchors.so"
nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.mem --format=csv || true
"$build/tests/gpu_check" >"$build/gpu_check.txt" || { status=$?; grep -v ' ok$' "$build/gpu_check.txt"; exit $status; }
tail -1 "$build/gpu_check.txt"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
seconds() { # command...: seconds that it took
    t=$(date +%s.%N)
    "$@" >/dev/null
    echo "$(date +%s.%N) $t" | awk '{ printf "%.3f", $1 - $2 }'
}
# Seconds of an epoch: the difference of two runs, so that reading, starting and saving drop out.
epoch() { # device few many options...
    device=$1 few=$2 many=$3
    shift 3
    a=$(seconds "$recd" -q --threads 2 --store "$dir/s" --device "$device" train --name "$device$1$2" --epochs "$few" "$@")
    b=$(seconds "$recd" -q --threads 2 --store "$dir/s" --device "$device" train --name "$device$1$2" --epochs "$many" "$@")
    echo "$a $b $few $many" | awk '{ printf "%.4f", ($2 - $1) / ($4 - $3) }'
}

# The size of Gowalla: 29,858 people, 40,981 items, 1,027,370 rows (invented).
"$recd" -q synth --users 29858 --items 40981 --interactions 1027370 --output "$dir/rows.csv"
"$recd" -q --store "$dir/s" import "$dir/rows.csv" >/dev/null
echo
echo "| an epoch, 1 M rows, d 64 | CPU, 2 threads, s | GPU, s | times | bar |"
echo "|---|---|---|---|---|"
for model in lightgcn bpr ials wmf; do
    many=3
    [ $model = wmf ] && many=2
    cpu=$(epoch cpu 1 $many --model $model)
    gpu=$(epoch cuda 1 21 --model $model)
    bar=0
    [ $model = lightgcn ] && bar=20
    echo "$model $cpu $gpu $bar" | awk '{
        r = $2 / $3
        printf "| %s | %s | %s | %.1f | %s |\n", $1, $2, $3, r, $4 ? $4 ": " (r >= $4 ? "PASS" : "MISS") : ""
    }'
done
for device in cpu cuda; do
    s=$(seconds "$recd" -q --store "$dir/s" --device $device recommend --name cpu--modelbpr --all -k 100 --format csv \
        --output "$dir/$device.csv")
    echo "top-100 of everybody, bpr, $device: $s s"
done
echo "lists that differ: $(diff "$dir/cuda.csv" "$dir/cpu.csv" | grep -c '^<' || true) rows of $(wc -l <"$dir/cpu.csv")"
echo
"$build/tests/gpu_times"
echo "all of it: $(($(date +%s) - started)) s"
