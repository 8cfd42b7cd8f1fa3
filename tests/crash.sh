# tests/crash.sh - what the tests of the worst moments share; they source it.
#
# A store to begin with is made at $base by `s=$base`, then r; fresh copies it
# to $dir/store.  LD_PRELOAD=$kill or $alloc puts a shim under the program.
recd=$PWD/recd
kill=$PWD/tests/.libs/libshim.so alloc=$PWD/tests/.libs/libshimalloc.so
every=${RECD_EVERY:-16}
dir=$(mktemp -d /tmp/recd-crash-XXXXXX) || exit 1
trap 'rm -rf "$dir"' EXIT
base=$dir/base s=$dir/store
LD_PRELOAD=$kill "$recd" --version >/dev/null 2>&1 || {
    echo "skipped: the program does not run with a preloaded library"
    exit 77
}

. "${srcdir:-.}/tests/shell.sh"
r() { "$recd" -q --threads 1 --store "$s" "$@"; }
fresh() { rm -rf "$s"; cp -r "$base" "$s"; }
# Everything that the store says, without times and the size of its files.
state() {
    r --json info 2>&1 | sed 's/"bytes": *[0-9]*//; s/"seconds": *[0-9.e-]*//g
        s/"trained_at": *[0-9]*//g'
    r export 2>&1
}
