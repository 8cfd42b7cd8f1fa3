#!/bin/sh
# tests/test_encrypt_restore.sh - a backup of an encrypted store is put back beside
# the keystore of today: until `recd repair --restored` every command refuses,
# afterwards whoever was forgotten since is not in it, and killing it at any
# write changes nothing of that.
# shellcheck source=tests/crash.sh
RECD_SEALED=--encrypt
. "${srcdir:-.}/tests/crash.sh"

awk 'BEGIN { print "user,item"; for (u = 1; u <= 14; u++)
    for (i = 1; i <= 9; i++) if ((u * i + u + i) % 4)
        print "canary-" u ",thing-" i }' >"$dir/rows.csv"
s=$base
{ r import $sealed "$dir/rows.csv" && r train --model ease; } >/dev/null ||
    { echo "FAIL: no store to begin with"; exit 1; }
cp -r "$base" "$dir/backup" && rm -r "$dir/backup/keys"
# the promise that a script may rely on: a backup without keys/ opens nothing
s=$dir/backup
expect 1 r export
say "its keystore keys/people-1.keys is missing"
s=$base
r forget user canary-5 >/dev/null && r forget interaction canary-6 thing-3 \
    >/dev/null || fail "nothing could be forgotten"
cp "$dir/backup/data.mdb" "$base/data.mdb" && rm "$base/lock.mdb"
rm -r "$base/models" && mkdir "$base/models"

s=$dir/store
for words in info export "train --model pop" "forget user canary-1" vacuum \
    "import $dir/rows.csv" repair; do
    fresh
    # shellcheck disable=SC2086
    expect 1 r $words
    say "a backup was put back (.recd repair --restored. takes out of it"
done
fresh
SHIM_COUNT=$dir/count LD_PRELOAD=$kill r repair --restored >"$dir/out" 2>"$dir/err" ||
    fail "undisturbed: $(cat "$dir/err")"
calls=$(cat "$dir/count")
after=$(state)
one_keystore "undisturbed"
r export | grep -q "^canary-[56]," && fail "somebody came back"
[ "$(r export | cut -d, -f1 | sort -u | wc -l)" = 13 ] ||
    fail "others are not there"
r certificate show 1 | grep -q "a backup was put back" || fail "no certificate"
expect 0 r repair --restored
say "nothing waits"
for how in kill torn full once; do
    k=1 done=0
    while [ "$k" -le "$calls" ]; do
        fresh
        SHIM_DO=$how SHIM_AT=$k LD_PRELOAD=$kill r repair --restored \
            >/dev/null 2>"$dir/err" && done=$((done + 1))
        r repair --restored >/dev/null 2>"$dir/err" ||
            fail "$how at $k: $(cat "$dir/err")"
        [ "$(state)" = "$after" ] || fail "$how at $k: the store differs"
        one_keystore "$how at $k"
        k=$((k + every / 2 + 1))
    done
    echo "restored, $how at writes 1 to $calls"
done
exit $bad
