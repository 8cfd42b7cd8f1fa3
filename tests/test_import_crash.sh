#!/bin/sh
# tests/test_import_crash.sh - the store through the worst moments of an import
# and of a training run: killed before or in the middle of any write, a full
# disk at any write, every allocation failing in turn, readers all the while.
# Afterwards the store is that of before or that of after, never between.
#
# RECD_EVERY=N tries every Nth write and allocation (make check-long: 1).
# shellcheck source=tests/crash.sh
. "${srcdir:-.}/tests/crash.sh"

awk 'BEGIN { print "user,item,rating,timestamp"; for (u = 1; u <= 30; u++)
    for (i = 1; i <= 12; i++) if ((u * i + u) % 3)
        print "u" u ",i" i "," 1 + (u + i) % 5 "," 1000 + u * i }' >"$dir/a.csv"
awk 'BEGIN { print "user,item,rating,timestamp"; for (u = 20; u <= 60; u++)
    for (i = 5; i <= 20; i++) if ((u * i + i) % 3)
        print "\"u" u "\",i" i "," 1 + (u * i) % 5 "," 2000 + u * i }' >"$dir/b.csv"
printf 'item,title\ni1,"One, first"\ni99,Nobody saw\n' >"$dir/items.csv"
s=$base
# shellcheck disable=SC2086
{ r import $sealed "$dir/a.csv" && r train --model pop; } >/dev/null ||
    { echo "FAIL: no store to begin with"; exit 1; }
s=$dir/store

# $1 the words, $2... the command: at each write, then at each allocation.
tortured() {
    words=$1; shift
    fresh
    before=$(state)
    SHIM_COUNT=$dir/count LD_PRELOAD=$kill r "$@" >/dev/null ||
        fail "$words: undisturbed"
    after=$(state)
    calls=$(cat "$dir/count")
    [ "$before" != "$after" ] || fail "$words: nothing changed"
    for how in kill torn full once; do
        was=0 became=0
        k=1
        while [ "$k" -le "$calls" ]; do
            fresh
            SHIM_DO=$how SHIM_AT=$k LD_PRELOAD=$kill r "$@" \
                >/dev/null 2>"$dir/err"
            rc=$?
            settle "$words, $how at write $k"
            k=$((k + 1))
        done
        echo "$words, $how at each of $calls writes: $was before, $became after"
        [ $was -gt 0 ] || fail "$words, $how: never as before"
    done
    fresh
    SHIM_COUNT=$dir/count LD_PRELOAD=$alloc r "$@" >/dev/null ||
        fail "$words: undisturbed"
    n=$(cat "$dir/count") was=0 became=0 k=1
    while [ "$k" -le "$n" ]; do
        fresh
        SHIM_AT=$k LD_PRELOAD=$alloc r "$@" >/dev/null 2>"$dir/err"
        rc=$?
        [ $rc -lt 100 ] || fail "$words, allocation $k: status $rc"
        settle "$words, allocation $k"
        k=$((k + every))
    done
    echo "$words, one of $n allocations fails: $was before, $became after"
}

# What is there now is one of the two, and says so with its status.
settle() {
    now=$(state)
    if [ "$now" = "$after" ]; then
        became=$((became + 1))
        [ $rc -eq 0 ] || [ $rc -gt 100 ] || fail "$1: says failed, and is done"
    elif [ "$now" = "$before" ]; then
        was=$((was + 1))
        [ $rc -ne 0 ] || fail "$1: says done, and is not"
        [ $rc -gt 100 ] || [ -s "$dir/err" ] || fail "$1: no sentence"
    else
        fail "$1: between: $(cat "$dir/err")"
    fi
    if [ -n "$sealed" ] && [ $rc -ne 0 ]; then
        r vacuum >/dev/null || fail "$1: no command works after it"
        one_keystore "$1"
        [ "$(state)" = "$now" ] || fail "$1: differs afterwards"
    fi
}

tortured "import" import --catalogue "$dir/items.csv" "$dir/b.csv"
for m in ease itemknn ials bpr gfcf lightgcn; do
    [ $m = ease ] || [ "$every" = 1 ] || [ $m = bpr ] || continue
    case $m in
    ials | bpr | lightgcn) few="--dim 4 --epochs 1" ;;
    gfcf) few="--dim 4" ;;
    *) few= ;;
    esac
    # shellcheck disable=SC2086
    tortured "train $m" train --model $m $few
done

# --- a killed import into no store at all -------------------------------------
# shellcheck disable=SC2086
for k in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
    rm -rf "$s"
    SHIM_DO=kill SHIM_AT=$k LD_PRELOAD=$kill r import $sealed "$dir/a.csv" \
        >/dev/null 2>&1
    r import $sealed "$dir/a.csv" >/dev/null 2>"$dir/err" ||
        fail "after a first import killed at $k: $(cat "$dir/err")"
    one_keystore "after a first import killed at $k"
    [ "$(r export | wc -l)" -eq "$(wc -l <"$dir/a.csv")" ] ||
        fail "after a first import killed at $k: rows differ"
done

# --- readers beside a writer, and a reader that died --------------------------
fresh
mkfifo "$dir/pipe"
awk 'BEGIN { print "user,item"; for (u = 1; u <= 2000; u++)
    for (i = 1; i <= 40; i++) print "u" u ",i" (u * i) % 997 }' >"$dir/c.csv"
r import "$dir/c.csv" >/dev/null
rows=$(r export | wc -l)
r export >"$dir/pipe" &
reader=$!
(sleep 1; cat >"$dir/old") <"$dir/pipe" &
sleep 0.2
r import "$dir/b.csv" >/dev/null || fail "an import beside a reader"
wait
[ "$(wc -l <"$dir/old")" -eq "$rows" ] ||
    fail "a reader did not see what it began with"
[ "$(r export | wc -l)" -gt "$rows" ] || fail "the import is not there"
r export >"$dir/pipe" &
reader=$!
(sleep 0.5; exec cat >/dev/null) <"$dir/pipe" &
sleep 0.2
kill -9 $reader 2>/dev/null
wait
r import "$dir/a.csv" >/dev/null || fail "an import after a reader that died"
mdb=$(command -v mdb_stat) && {
    $mdb -rr "$s" | grep -q "(no active readers)\|no readers" ||
        $mdb -r "$s" | tail -1 | grep -qi "reader" ||
        fail "a reader that died is still listed"
}
exit $bad
