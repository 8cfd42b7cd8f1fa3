#!/bin/sh
# tests/test_cuda_emulated.sh - the CUDA kernels, run by fibers on the CPU
# (kernels/cuda/emulated.h): each against plain loops, with threads that run in
# two orders; then the program trains, forgets and recommends on that device.
so=$PWD/emulated-cuda.so
[ -e "$so" ] || { echo "no C++ compiler: not emulated"; exit 77; }
recd=$PWD/recd
dir=$(mktemp -d "${TMPDIR:-/tmp}/recd-cuda.XXXXXX") || exit 99
trap 'rm -rf "$dir"' EXIT
. "$srcdir/tests/shell.sh"
RECD_CUDA_MODULE=$so RECD_EMULATED_MEMORY=1000000000
export RECD_CUDA_MODULE RECD_EMULATED_MEMORY

for order in 1 7; do
    RECD_EMULATED_ORDER=$order expect 0 ./tests/gpu_check
    say 'all kernels agree with plain loops'
done

# the measuring program runs (its figures mean nothing here)
expect 0 ./tests/gpu_times small
say 'top-100'

# --- the program -------------------------------------------------------------
"$recd" -q synth --users 60 --items 40 --interactions 700 --output "$dir/rows.csv"
for s in gpu cpu; do
    "$recd" -q --store "$dir/$s" import "$dir/rows.csv" || fail "import into $s"
done
digest() { "$recd" --store "$dir/$1" --json info | sed -n "s/.*\"name\": \"$2\",.*/&/p" | tr '{' '\n' |
    sed -n "s/.*\"name\": \"$2\".*\"digest\": \"\([0-9a-f]*\)\".*/\1/p"; }
train() { # store device name options...
    store=$1 device=$2 name=$3
    shift 3
    expect 0 "$recd" -q --store "$dir/$store" --device "$device" train --name "$name" "$@"
}
bpr="--model bpr --dim 8 --epochs 2 --negatives 9"
sharded="$bpr --shards 3 --threads 2"

# bits do not hang on the order of threads, and the record says who made them
train gpu cuda one $bpr
was=$(digest gpu one)
[ -n "$was" ] || fail "no digest"
for order in 1 7; do
    RECD_EMULATED_ORDER=$order train gpu cuda one $bpr
    [ "$(digest gpu one)" = "$was" ] || fail "threads in order $order made other bits"
done
expect 0 "$recd" --store "$dir/gpu" info
say 'emulated (9.0), module'
train cpu cpu one $bpr
expect 0 "$recd" --store "$dir/cpu" info
grep -q emulated "$dir/out" && fail "a model of the CPU is said to be the GPU's"

expect 2 "$recd" --store "$dir/gpu" --device cuda train --model ease
say 'ease is trained on the CPU'

# forgetting on the device: shards keep their bits, the model is that of a
# training without the person
train gpu cuda shards $sharded
"$recd" -q --store "$dir/gpu" vacuum || fail vacuum
rm -rf "$dir/moved"; cp -r "$dir/gpu" "$dir/moved"
who=$(sed -n 2p "$dir/rows.csv" | cut -d, -f1)
grep -v "^$who," "$dir/rows.csv" >"$dir/left.csv"
"$recd" -q --store "$dir/left" import "$dir/left.csv" || fail "import of what is left"
expect 0 "$recd" --store "$dir/gpu" --device cuda forget user "$who"
say 'shards *1 of 3 shards'
train left cuda shards $sharded
[ "$(digest gpu shards)" = "$(digest left shards)" ] || fail "forgetting on the device is not exact"

# on another device: all of it is trained again, and is that device's model
expect 0 "$recd" --store "$dir/moved" forget user "$who"
say 'shards *3 of 3 shards'
say 'trained on "emulated'
train left cpu shards $sharded
[ "$(digest moved shards)" = "$(digest left shards)" ] || fail "forgetting elsewhere is not exact"

# lists of the device are the CPU's
train left cpu one $bpr
for device in cpu cuda; do
    expect 0 "$recd" -q --store "$dir/left" --device $device recommend --name one --all -k 5 --format csv --output "$dir/$device.csv"
done
cut -d, -f1-3 "$dir/cpu.csv" >"$dir/a"
cut -d, -f1-3 "$dir/cuda.csv" >"$dir/b"
cmp "$dir/a" "$dir/b" || fail "lists differ"

# a device that is full says how much was wanted
RECD_EMULATED_MEMORY=5000 expect 1 "$recd" --store "$dir/left" --device cuda train --model bpr
say 'out of device memory: .* are needed'

exit $bad
