# tests/crash.sh - what the tests of the worst moments share; they source it.
#
# A store to begin with is made at $base by `s=$base`, then r; fresh copies it
# to $dir/store.  LD_PRELOAD=$kill or $alloc puts a shim under the program.
# RECD_SEALED=--encrypt: the stores are encrypted ones.
recd=$PWD/recd
kill=$PWD/tests/.libs/libshim.so alloc=$PWD/tests/.libs/libshimalloc.so
every=${RECD_EVERY:-16}
sealed=${RECD_SEALED:-}
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
        s/"trained_at": *[0-9]*//g; s/"encrypted": *[a-z]*//'
    r export 2>&1
}
# An encrypted store's keystore is one file, with as many keys as people.
one_keystore() {
    r --json info | grep -q '"encrypted": *true' || return 0
    people=$(r --json info | sed 's/.*"users": *\([0-9]*\).*/\1/')
    [ "$(find "$s/keys" -type f | wc -l)" = 1 ] ||
        fail "$1: not one keystore: $(ls "$s/keys")"
    [ "$(cat "$s"/keys/* | wc -c)" = $((80 + 56 * people)) ] ||
        fail "$1: $people people, and a keystore of $(cat "$s"/keys/* | wc -c) bytes"
}
