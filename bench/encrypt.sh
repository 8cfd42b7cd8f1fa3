#!/bin/sh
# bench/encrypt.sh RECD [ROWS] - what an encrypted store costs, beside one that is not.
#
# `recd synth` makes ROWS rows (default 2 million) of ROWS / 100 people, and half as
# many again of ROWS / 4 people: the worst case, since a record costs more than
# its bytes.  Seconds of each command, the best of three.  Needs GNU time and
# room for about 500 MB in TMPDIR.
set -eu
recd=$(realpath "$1") rows=${2:-2000000}
dir=$(mktemp -d "${TMPDIR:-/tmp}/recd-encrypt.XXXXXX")
trap 'rm -rf "$dir"' EXIT
"$recd" -q synth --users $((rows / 100)) --items 5000 --interactions "$rows" \
    --output "$dir/few.csv" >/dev/null
"$recd" -q synth --users $((rows / 4)) --items 5000 --interactions \
    $((rows * 3 / 2)) --output "$dir/many.csv" >/dev/null
best() { # prepare command: seconds of the command
    for _ in 1 2 3; do
        eval "$1"
        eval "words=\"$2\""
        # shellcheck disable=SC2086
        /usr/bin/time -f %e -o "$dir/time" $words >/dev/null
        cat "$dir/time"
    done | sort -n | head -1
}
row() { # words prepare command: one line, the four stores
    printf '| %s |' "$1"
    for data in few many; do
        for flag in "" --encrypt; do
            s=$dir/$data$flag
            r="$recd -q --store $s"
            printf ' %s |' "$(best "$2" "$3")"
        done
    done
    printf '\n'
}
# shellcheck disable=SC2016
{
    row '`import`' 'rm -rf "$s"' '$r import $flag $dir/$data.csv'
    row '`train --model pop` (reads everything)' : '$r train --model pop'
    row '`recommend --user` (reads one person)' : \
        '$r recommend --user $(sed -n 1000p $dir/$data.csv | cut -d, -f1)'
    row '`export`' : '$r export'
    row '`forget user`' 'n=$((${n:-1000} + 999))' \
        '$r forget user $(sed -n ${n}p $dir/$data.csv | cut -d, -f1)'
    row '`info`' : '$r info'
}
ls -l "$dir"/*/data.mdb "$dir"/*/keys/* | awk '{ print $5, $NF }' >&2
