#!/bin/sh
# bench/import.sh RECD [ROWS] - import beside sqlite3, in one run.
#
# A CSV of ROWS rows (default 20 million) by `recd synth`; `recd import`
# against sqlite3's .import into a table of the same columns with the primary
# key (user, item).  Needs sqlite3, GNU time and room for about 4 GB in TMPDIR.
set -eu
recd=$(realpath "$1") rows=${2:-20000000}
dir=$(mktemp -d "${TMPDIR:-/tmp}/recd-import.XXXXXX")
trap 'rm -rf "$dir"' EXIT
command -v sqlite3 >/dev/null || { echo "no sqlite3 here: nothing to compare with"; exit 77; }
"$recd" synth --users $((rows / 100)) --items $((rows / 400)) \
    --interactions "$rows" --output "$dir/rows.csv" >/dev/null
timed() { # words command... -> seconds and peak kB
    /usr/bin/time -f '%e %M' -o "$dir/time" "$@" >/dev/null
    cat "$dir/time"
}
set -- $(timed "$recd" --store "$dir/store" -q import "$dir/rows.csv")
ours=$1 peak=$2
sed 1d "$dir/rows.csv" >"$dir/bare.csv" && rm "$dir/rows.csv"
cat >"$dir/load.sql" <<SQL
CREATE TABLE rows(user TEXT, item TEXT, rating REAL, timestamp INTEGER, PRIMARY KEY(user, item));
.mode csv
.import $dir/bare.csv rows
SQL
set -- $(timed sh -c "sqlite3 $dir/rows.db <$dir/load.sql")
awk -v n="$rows" -v a="$ours" -v p="$peak" -v b="$1" -v q="$2" 'BEGIN {
    printf "recd import   %8.1f s  %10.0f rows/s  peak %6.0f MB\n", a, n / a, p / 1024
    printf "sqlite3       %8.1f s  %10.0f rows/s  peak %6.0f MB\n", b, n / b, q / 1024
    printf "ratio         %8.2f\n", b / a }'
