#!/bin/sh
# tests/test_verify.sh - `recd certificate`, `recd verify`, and the second
# reader (tools/verify-certificate) agree about good and changed files.
src=${srcdir:-.} recd=$PWD/recd
dir=$(mktemp -d /tmp/recd-verify-XXXXXX) || exit 1
trap 'rm -rf "$dir"' EXIT
store=$dir/store

. "${srcdir:-.}/tests/shell.sh"

awk 'BEGIN { print "user,item"; for (u = 1; u <= 12; u++) for (i = 1; i <= 9; i++)
    if ((u * i + u) % 4) print "canary-" u ",thing-" i }' >"$dir/rows.csv"
r() { "$recd" -q --store "$store" "$@"; }
expect 0 r import "$dir/rows.csv"
expect 0 r train --model ease
expect 0 r certificate list
[ -s "$dir/out" ] && fail "an empty list says something"
expect 1 r certificate show 1
for u in 1 2 5; do expect 0 r forget user canary-$u; done
expect 0 r certificate list
[ "$(wc -l <"$dir/out")" = 3 ] || fail "the list has not three lines"
expect 0 r --json certificate show 2
say '"number": *2'
grep -q canary "$dir/out" && fail "a certificate names a person"
expect 2 r certificate show 0
expect 2 r certificate show 2x
expect 2 r certificate burn 2
expect 1 r certificate export 4 -o "$dir/four"
[ -e "$dir/four" ] && fail "a failed export leaves a file"
expect 1 r certificate export 1 -o "$dir/no-folder/file"
if [ -c /dev/full ]; then
    expect 1 r certificate export 1 -o /dev/full
    [ -c /dev/full ] || fail "a failed export removes a device"
fi
expect 0 r certificate export 3 -o "$dir/file"
expect 0 r certificate key
key=$(cat "$dir/out")
other=$(echo "$key" | tr 0123456789abcdef 123456789abcdef0)

expect 0 "$recd" verify "$dir/file"
expect 0 "$recd" verify "$dir/file" --key "$key"
expect 3 "$recd" verify "$dir/file" --key "$other"
say "another key"
expect 2 "$recd" verify "$dir/file" --key 12
expect 1 "$recd" verify "$dir/no-such-file"
expect 2 "$recd" verify
expect 0 "$recd" --json verify "$dir/file"
say '"valid": *true'
sed 's/"train\\":/"train\\":1/' "$dir/file" >"$dir/changed"
expect 3 "$recd" --json verify "$dir/changed"
say '"valid": *false'

# No key, another key, half a key: nothing is removed that cannot be certified.
refuses() {
    expect 1 r forget user canary-9
    say "$1"
    expect 0 r export
    say "^canary-9,"
}
mv "$store/signing.key" "$dir/kept"
refuses "put it back"
head -c 20 "$dir/kept" >"$store/signing.key"
refuses "is damaged"
head -c 32 /dev/urandom >"$store/signing.key"
refuses "not the one that signed certificate 3"
cp "$dir/kept" "$store/signing.key"
expect 0 r forget user canary-9
expect 0 r certificate export 4 -o "$dir/four"
expect 0 "$recd" verify "$dir/four" --key "$key"

if ! python3 -c 'import hashlib; hashlib.blake2b' 2>/dev/null; then
    echo "no python3: the second reader is left out"
    exit $bad
fi
py="$src/tools/verify-certificate"
expect 0 python3 "$py" "$dir/file" "$key"
expect 3 python3 "$py" "$dir/file" "$other"
expect 3 python3 "$py" "$dir/changed"
for f in "$src"/tests/fuzz/cert/*; do
    "$recd" verify "$f" >"$dir/out" 2>&1
    ours=$?
    python3 "$py" "$f" >"$dir/out" 2>&1
    theirs=$?
    [ $ours = $theirs ] || fail "$f: recd says $ours, the second reader $theirs"
done
exit $bad
