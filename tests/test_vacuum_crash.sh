#!/bin/sh
# tests/test_vacuum_crash.sh - a vacuum that is killed before or in the middle of
# any write, or finds the disk full at any: the store says what it said, the
# next command that writes removes what was left, and of who was forgotten no
# byte stays.
#
# RECD_VACUUM=--encrypt: a vacuum that encrypts the store on the way.
# shellcheck source=tests/crash.sh
. "${srcdir:-.}/tests/crash.sh"

awk 'BEGIN { print "user,item"; for (u = 1; u <= 300; u++)
    for (i = 1; i <= 40; i++) if ((u * i + u) % 3)
        print (u == 7 ? "canary-gone" : "person-" u) ",thing-" i }' >"$dir/a.csv"
s=$base
# shellcheck disable=SC2086
r import $sealed "$dir/a.csv" >/dev/null && r train --model pop >/dev/null ||
    { echo "FAIL: no store to begin with"; exit 1; }
[ -n "$sealed" ] || grep -rqa canary-gone "$s" || fail "the search for somebody finds nobody"
r forget user canary-gone >/dev/null || fail "nobody could be forgotten"
s=$dir/store
fresh
before=$(state)
how_so=${RECD_VACUUM:-}
SHIM_COUNT=$dir/count LD_PRELOAD=$kill r vacuum $how_so >/dev/null ||
    fail "undisturbed"
calls=$(cat "$dir/count")
[ "$(state)" = "$before" ] || fail "undisturbed: the records differ"
[ ! -e "$s/vacuum" ] || fail "undisturbed: the work folder stays"
for how in kill torn full once; do
    k=1
    while [ "$k" -le "$calls" ]; do
        fresh
        SHIM_DO=$how SHIM_AT=$k LD_PRELOAD=$kill r vacuum $how_so >/dev/null \
            2>"$dir/err"
        rc=$?
        [ "$(state)" = "$before" ] || fail "$how at write $k: the records differ"
        [ $rc -gt 100 ] || [ $rc -eq 0 ] || [ -s "$dir/err" ] ||
            fail "$how at write $k: no sentence"
        r train --model pop >/dev/null ||
            fail "$how at write $k: no command works after it"
        [ ! -e "$s/vacuum" ] || fail "$how at write $k: the work folder stays"
        one_keystore "$how at write $k"
        find "$s" -name '*.new' | grep -q . &&
            fail "$how at write $k: an attempt at a keystore stays"
        [ "$(state)" = "$before" ] || fail "$how at write $k: differ afterwards"
        r vacuum >/dev/null || fail "$how at write $k: no vacuum after it"
        k=$((k + ${step:-1}))
    done
    echo "$how at writes 1 to $calls, step ${step:-1}"
done
grep -rqa canary-gone "$s" && fail "somebody who was forgotten is there"
exit $bad
