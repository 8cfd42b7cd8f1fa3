#!/bin/sh
# tests/test_forget_crash.sh - a forget request, and the worst moments for it.
#
# Killed before or in the middle of any write, on a full disk, at random times,
# twice at once, during a training run, beside readers, on a read-only store:
# the next command finishes the request or finds it not begun, the models and
# the certificate are those of an undisturbed one, and nobody comes back.
#
# RECD_EVERY=N tries every Nth write (make check-long: 1).
# shellcheck source=tests/crash.sh
. "${srcdir:-.}/tests/crash.sh"
who=canary-5

# Names and digests of the models; the number of certificates.
digests() {
    r --json info | tr '{' '\n' |
        sed -n 's/.*"name": *"\([a-z]*\)".*"digest": *"\([0-9a-f]*\)".*/\1 \2/p'
}
certificates() { r --json info | sed 's/.*"certificates": *\([0-9]*\).*/\1/'; }
is_there() { r export | grep -q "^$who,"; }

# After the undisturbed request; $1: what was done, for the message.
is_after() {
    is_there && fail "$1: $who is back"
    [ "$(digests)" = "$after" ] || fail "$1: the models differ"
    [ "$(r export)" = "$left" ] || fail "$1: the other rows differ"
    one_keystore "$1"
    [ "$(certificates)" = 1 ] || fail "$1: $(certificates) certificates, not 1"
    grep -rqa "$who" "$s" && fail "$1: bytes of $who are left"
    [ "$(find "$s/models" -type f | wc -l)" = 3 ] || fail "$1: stray files"
    find "$s" -name '*.tmp*' | grep -q . && fail "$1: temporary files are left"
    r certificate export 1 -o "$dir/file" && "$recd" verify "$dir/file" \
        >/dev/null || fail "$1: the certificate does not verify"
    for m in ease ials itemknn; do
        grep -q "\"name.\":.\"$m" "$dir/file" ||
            fail "$1: the certificate leaves out $m"
    done
}

# The next command finishes it or finds it not begun; then it is done.
settles() {
    r repair >/dev/null 2>"$dir/err" ||
        fail "$1: repair: $(cat "$dir/err")"
    if is_there; then
        [ "$(digests)" = "$before" ] || fail "$1: half begun: models differ"
        [ "$(r export)" = "$all" ] || fail "$1: half begun: rows differ"
        [ "$(certificates)" = 0 ] || fail "$1: half begun: a certificate"
        not_begun=$((not_begun + 1))
        r forget user $who >/dev/null 2>"$dir/err" ||
            fail "$1: again: $(cat "$dir/err")"
    else
        finished=$((finished + 1))
    fi
    is_after "$1"
}

shimmed() { # HOW WHERE
    SHIM_DO=$1 SHIM_AT=$2 LD_PRELOAD=$kill r forget user $who >"$dir/out" \
        2>"$dir/err"
}

# --- the stores ---------------------------------------------------------------
awk 'BEGIN { print "user,item"; for (u = 1; u <= 14; u++)
    for (i = 1; i <= 9; i++) if ((u * i + u + i) % 4)
        print "canary-" u ",thing-" i }' >"$dir/rows.csv"
s=$base
{
    # shellcheck disable=SC2086
    r import $sealed "$dir/rows.csv" && r train --model ease &&
        r train --model itemknn &&
        r train --model ials --dim 4 --epochs 4 --shards 2 --slices 2 --partition hash \
            --aggregate mean
} >/dev/null || { echo "FAIL: no store to begin with"; exit 1; }
before=$(digests) all=$(r export)
s=$dir/store
fresh
SHIM_COUNT=$dir/count LD_PRELOAD=$kill r forget user $who >/dev/null ||
    fail "the undisturbed request"
calls=$(cat "$dir/count")
after=$(digests) left=$(r export)
is_after "undisturbed"
[ "$before" != "$after" ] || fail "nothing changed"
[ "$(echo "$after" | wc -l)" = 3 ] || fail "there are not three models"
[ "$calls" -gt 50 ] || fail "only $calls calls were counted"

# --- killed, torn, disk full at each write --------------------------------------
offset=1
for how in kill torn full once; do
    finished=0 not_begun=0
    # the first are before the removal, wherever the others fall
    for k in 1 2 4 6 8 $(seq "$offset" "$every" "$calls"); do
        fresh
        if shimmed $how "$k"; then
            is_there && fail "$how at $k: says done, and is not"
        elif [ $how = full ] || [ $how = once ]; then
            grep -q "^recd forget: ." "$dir/err" ||
                fail "$how at $k: no sentence: $(cat "$dir/err")"
        fi
        settles "$how at $k"
    done
    echo "$how: $finished finished by the next command, $not_begun not begun"
    [ $finished -gt 0 ] && [ $not_begun -gt 0 ] ||
        fail "$how: only one side was seen"
    offset=$((offset + 3))
    [ $offset -gt "$every" ] && offset=1
done

# --- deferred: killed on the way, then killed in the repair ----------------------------
# One certificate says that models wait, the next that they are done.
deferred() { # WHAT
    r repair >/dev/null 2>"$dir/err" || fail "$1: repair: $(cat "$dir/err")"
    if is_there; then
        [ "$(digests)" = "$before" ] || fail "$1: half begun: models differ"
        not_begun=$((not_begun + 1))
        return
    fi
    finished=$((finished + 1))
    n=$(certificates)
    [ "$n" = 1 ] || [ "$n" = 2 ] || fail "$1: $n certificates"
    [ "$(digests)" = "$after" ] || fail "$1: the models differ"
    grep -rqa "$who" "$s" && fail "$1: bytes of $who are left"
    r certificate export "$n" -o "$dir/file" &&
        "$recd" verify "$dir/file" >/dev/null || fail "$1: the chain is broken"
    for m in ease ials itemknn; do
        r --json certificate show "$n" | grep -q "\"name\": *\"$m\"" ||
            fail "$1: the last certificate leaves out $m"
    done
}
finished=0 not_begun=0
k=1
while [ "$k" -le "$calls" ]; do
    fresh
    SHIM_DO=kill SHIM_AT=$k LD_PRELOAD=$kill r forget --defer user $who \
        >/dev/null 2>&1
    deferred "deferred, killed at $k"
    fresh
    r forget --defer user $who >/dev/null || fail "deferred at $k"
    is_there && fail "deferred at $k: $who is there"
    grep -rqa "$who" "$s" && fail "deferred at $k: bytes of $who are left"
    SHIM_DO=kill SHIM_AT=$k LD_PRELOAD=$kill r repair >/dev/null 2>&1
    deferred "deferred, repair killed at $k"
    k=$((k + every))
done
echo "deferred: $finished finished by the next command, $not_begun not begun"

# --- killed at random times -----------------------------------------------------
finished=0 not_begun=0
for ms in 002 007 012 018 025 033 040 050 060; do
    fresh
    (
        "$recd" -q --threads 1 --store "$s" forget user $who >/dev/null 2>&1 &
        p=$! # of the program itself, not of a shell around it
        sleep 0.$ms
        kill -9 $p
        wait $p
    ) 2>/dev/null
    settles "killed after $ms ms"
done
echo "random: $finished finished by the next command, $not_begun not begun"

# --- two at once ------------------------------------------------------------------
fresh
r forget user $who >/dev/null && r forget user canary-6 >/dev/null
both=$(digests)
fresh
r forget user $who >/dev/null 2>"$dir/err5" &
p5=$!
r forget user canary-6 >/dev/null 2>"$dir/err6" &
p6=$!
wait $p5 || fail "two at once: $(cat "$dir/err5")"
wait $p6 || fail "two at once: $(cat "$dir/err6")"
[ "$(digests)" = "$both" ] || fail "two at once: the models differ"
[ "$(certificates)" = 2 ] || fail "two at once: $(certificates) certificates"
grep -rqaE "$who|canary-6" "$s" && fail "two at once: bytes are left"
r certificate export 2 -o "$dir/file" && "$recd" verify "$dir/file" >/dev/null ||
    fail "two at once: the chain does not verify"

# --- during a training run ---------------------------------------------------------
slow() { r train --model ials --name slow --dim 64 --epochs 300; }
fresh
r forget user $who >/dev/null
slow >/dev/null
fair=$(digests | grep slow)
fresh
slow >/dev/null 2>"$dir/err" &
p=$!
sleep 0.1
r forget user $who >/dev/null 2>"$dir/err5" ||
    fail "during training: $(cat "$dir/err5")"
if wait $p; then
    r repair >/dev/null
    [ "$(digests | grep slow)" = "$fair" ] ||
        fail "during training: a model that saw $who was stored"
else
    digests | grep -q slow && fail "during training: it failed, and is stored"
    grep -q "^recd train: ." "$dir/err" || fail "during training: no sentence"
fi
[ "$(digests | grep -v slow)" = "$after" ] ||
    fail "during training: the other models differ"
grep -rqa "$who" "$s" && fail "during training: bytes are left"

# --- a read-only store ----------------------------------------------------------
fresh
shimmed readonly 0 && fail "read-only: says done"
grep -q "^recd forget: .*Read-only" "$dir/err" ||
    fail "read-only: $(cat "$dir/err")"
cmp -s "$base/data.mdb" "$s/data.mdb" || fail "read-only: the store changed"
SHIM_DO=readonly LD_PRELOAD=$kill r recommend --user canary-2 --name ease \
    >/dev/null 2>"$dir/err" || fail "read-only: recommend: $(cat "$dir/err")"
settles "read-only"

# --- beside a reader ----------------------------------------------------------------
# An export that nobody reads stands still with the store open.
awk 'BEGIN { print "user,item"; for (u = 1; u <= 500; u++)
    for (i = 1; i <= 40; i++) print "canary-" u ",thing-" (u * i) % 97 }' \
    >"$dir/more.csv"
rm -rf "$s"
# shellcheck disable=SC2086
{ r import $sealed "$dir/more.csv" && r train --model pop; } >/dev/null
mkfifo "$dir/pipe"
hold() { # SECONDS
    r export >"$dir/pipe" &
    reader=$!
    (sleep "$1"; cat >"$dir/old") <"$dir/pipe" &
    sleep 0.3
}
hold 1.5
r forget user $who >/dev/null 2>"$dir/err" ||
    fail "a short reader: $(cat "$dir/err")"
is_there && fail "a short reader: $who is there"
wait
grep -q "^$who," "$dir/old" || fail "a reader did not see what it began with"
grep -rqa "$who," "$s" && fail "a short reader: bytes are left"
if [ "$every" = 1 ]; then
    who=canary-7
    hold 20
    r forget user $who >/dev/null 2>"$dir/err" && fail "a long reader: says done"
    grep -q "read" "$dir/err" || fail "a long reader: $(cat "$dir/err")"
    is_there && fail "a long reader: $who is still served"
    wait
    r repair >/dev/null 2>"$dir/err" || fail "after it: $(cat "$dir/err")"
    [ "$(certificates)" = 2 ] || fail "after a long reader: no certificate"
    grep -rqaw "$who" "$s" && fail "after a long reader: bytes are left"
fi
exit $bad
