#!/bin/sh
# tests/fuzz/run.sh NAME [SECONDS] - fuzz tests/fuzz/fuzz_NAME.c with clang's
# libFuzzer, from the corpus tests/fuzz/NAME/.  Run it in a build folder that
# was configured with CC=clang --enable-sanitizers and built (`make check
# TESTS=`).  A file that breaks something is left here: add it to the corpus.
name=$1 seconds=${2:-60} src=$(dirname "$0")/../..
[ -f "$src/tests/fuzz/fuzz_$name.c" ] || { echo "no target \"$name\"" >&2; exit 2; }
[ -f config.h ] || { echo "run me in a build folder" >&2; exit 2; }
libs=$(sed -n 's/^LIBS_ALL = //p' Makefile | tail -1)
for lib in LMDB CSV SODIUM JANSSON ZLIB; do
    value=$(sed -n "s/^${lib}_LIBS = //p" Makefile)
    libs=$(echo "$libs" | sed "s|\$(${lib}_LIBS)|$value|")
done
# what the target names is compiled with it, so that the fuzzer sees its way
more=$(sed -n 's/^ \* Instrumented: *//p' "$src/tests/fuzz/fuzz_$name.c" |
    sed "s|[^ ]*|$src/&|g")
${CC:-clang} -std=gnu11 -g -O1 -fopenmp -fsanitize=fuzzer,address,undefined \
    -include config.h -I"$src" -I. -o "fuzz_$name" \
    "$src/tests/fuzz/fuzz_$name.c" $more \
    .libs/libunl.a .libs/librec.a .libs/libnn.a .libs/libsto.a \
    .libs/libbase.a .libs/libkrn.a $libs -lm || exit 1
mkdir -p "corpus-$name"
exec "./fuzz_$name" -max_total_time="$seconds" -max_len=16384 -timeout=10 \
    "corpus-$name" "$src/tests/fuzz/$name"
