#!/bin/sh
# tests/test_usage.sh - options common to all commands, layouts that people
# bring from elsewhere, and rows that leave and come back.  Quick.
recd=$PWD/recd
[ -x "$recd" ] || { echo "no ./recd here"; exit 99; }
work=$(mktemp -d "${TMPDIR:-/tmp}/recd-usage.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 99
unset RECD_STORE
failed=0

equal() { # words a b
    if [ "$2" = "$3" ]; then echo "ok: $1"; else
        echo "NOT OK: $1: \"$2\" is not \"$3\""; failed=1
    fi
}
status() { # status words command...
    want=$1 words=$2; shift 2
    "$@" >out 2>err
    equal "$words: exit status" $? "$want"
}

# --- layouts from elsewhere: the rows of plain.csv -------------------------------
rows() {
    awk 'BEGIN { for (u = 1; u <= 12; u++) for (i = 1; i <= 9; i++)
        if ((u * i + u) % 3 == 0 || u % 9 == i) print u, i, 1 + (u + i) % 5, 1000 + u * 31 + i }'
}
{ echo user,item,rating,timestamp; rows | tr ' ' ','; } >plain.csv
sed 's/$/\r/' plain.csv >crlf.csv
{ printf '\357\273\277'; cat plain.csv; } >bom.csv
{ echo item,user,timestamp,rating; rows | awk '{ print $2 "," $1 "," $4 "," $3 }'; } >order.csv
status 0 "import" "$recd" --store plain import plain.csv
"$recd" --store plain export | sort >plain.rows
equal "every row is there" "$(grep -c . plain.rows)" "$(grep -c . plain.csv)"
for file in crlf.csv bom.csv order.csv; do
    status 0 "import of $file" "$recd" --store "$file.store" import "$file"
    "$recd" --store "$file.store" export | sort >got
    cmp got plain.rows; equal "$file: the same rows" $? 0
done
{ printf 'userID\tartistID\tweight\n'; rows | awk '{ print $1 "\t" $2 "\t" $3 }'; } >hetrec.dat
status 0 "import of the HetRec layout" "$recd" --store hetrec import hetrec.dat
"$recd" --store hetrec export | cut -d, -f1-3 | sort >got
cut -d, -f1-3 plain.rows | cmp - got; equal "HetRec: the same rows" $? 0
status 0 "export to recbole" "$recd" --store plain export --format recbole --output back.inter
status 0 "import of what was exported" "$recd" --store back import back.inter
"$recd" --store back export | sort >got
cmp got plain.rows; equal "recbole and back: the same rows" $? 0

# --- where common options may stand ----------------------------------------------
status 0 "options before the command" "$recd" --json --store plain info
cp out before
status 0 "options after the command" "$recd" info --store plain --json
cmp -s before out; equal "the same answer" $? 0
RECD_STORE=plain "$recd" info --json >out 2>err
cmp -s before out; equal "RECD_STORE names the store too" $? 0
status 0 "--store=DIR" "$recd" --store=plain info --json
cmp -s before out; equal "the same answer with =" $? 0
status 0 "--version" "$recd" --version
equal "--version says one line" "$(grep -c '^recd [0-9]' out)" 1
status 0 "--help" "$recd" --help
status 2 "no command" "$recd"
"$recd" help evaluate >a 2>err; "$recd" evaluate --help >b 2>err
cmp a b; equal "help evaluate is evaluate --help" $? 0
status 0 "-q" "$recd" -q --store plain train --model pop
equal "-q: nothing on stderr" "$(wc -c <err)" 0

# --- evaluate's cuts ---------------------------------------------------------------
status 1 "evaluate without test rows" "$recd" --store plain evaluate
status 0 "split" "$recd" --store plain split --test 0.3
status 0 "--k 3,7" "$recd" --store plain evaluate --json --k 3,7
equal "two values of recall" "$(grep -o '"recall@[37]"' out | wc -l)" 2
for k in 0 7,3 x 5, 1,2,3,4,5,6,7,8,9 ''; do
    status 2 "evaluate --k '$k'" "$recd" --store plain evaluate --k "$k"
done
status 0 "remove" "$recd" --store plain remove pop
status 1 "remove again" "$recd" --store plain remove pop
exit $failed
