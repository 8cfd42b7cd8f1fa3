#!/bin/sh
# tests/test_cli.sh - the program as a person uses it, from files to the
# certificate.  Prints one line a check; ends with 1 when one failed.
srcdir=$(cd "${srcdir:-.}" && pwd)
recd=$PWD/recd
[ -x "$recd" ] || { echo "no ./recd here"; exit 99; }
work=$(mktemp -d "${TMPDIR:-/tmp}/recd-cli.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 99
export RECD_STORE="$work/store"
failed=0

ok() { echo "ok: $1"; }
no() { echo "NOT OK: $1"; failed=1; }
check() { # words command...
    words=$1; shift
    if "$@" >out 2>err; then ok "$words"; else no "$words"; cat out err; fi
}
# The command ends with this status and says this on stderr.
refuses() { # status text command...
    status=$1 text=$2; shift 2
    "$@" >out 2>err
    got=$?
    if [ $got -eq "$status" ] && grep -qF -- "$text" err; then
        ok "refused: $text"
    else
        no "expected status $status and \"$text\", got $got:"; cat out err
    fi
}
json() { # words field... : out is one object with these fields
    words=$1; shift
    for field in "$@"; do
        grep -q "\"$field\":" out || { no "$words: no \"$field\""; cat out; return; }
    done
    if [ "$(grep -c . out)" -eq 1 ] && grep -q '^{.*}$' out; then
        ok "$words"
    else
        no "$words: not one JSON object"; cat out
    fi
}
equal() { # words a b
    if [ "$2" = "$3" ]; then ok "$1"; else no "$1: \"$2\" is not \"$3\""; fi
}
digest() { sed -n 's/.*"digest": "\([0-9a-f]*\)".*/\1/p' out; }

# --- an import is all or nothing ------------------------------------------------
printf 'item,title\ni1,One\n' >list.csv
printf 'user,item\na,i1\nb\n' >half.csv
refuses 1 "half.csv:3: 1 columns where 2 are expected" "$recd" import --catalogue list.csv half.csv
check "a failed first import makes no store" test ! -e store
printf 'user,item\na,i1\n' >whole.csv
check "import a row" "$recd" -q import whole.csv
refuses 1 "half.csv:3:" "$recd" import --catalogue list.csv whole.csv half.csv
"$recd" --json info >out
equal "a failed import of several files changes nothing" "$(grep -o '"items": 1' out)" '"items": 1'
refuses 1 "cannot write" "$recd" export --output no-such-folder/x.csv
check "recommend to a file" "$recd" -q train --model pop
check "lists as one object" "$recd" recommend --all --json --include-seen --output lists.json
check "the object is JSON" python3 -m json.tool lists.json
check "no temporary file is left" test ! -e lists.json.tmp
rm -rf store

# --- every layout gives the same rows -----------------------------------------
rows() { # user item rating time, blank-separated
    awk 'BEGIN { for (u = 1; u <= 30; u++) for (i = 1; i <= 25; i++)
        if ((u * i + u) % 4 == 0 || u % 25 == i) print u, i, 1 + (u + i) % 5, 1000 + u * 31 + i }'
}
rows | tr ' ' '\t' >ml100k.data
rows | sed 's/ /::/g' >ml1m.dat
{ echo 'user,item,rating,timestamp'; rows | sed 's/\([0-9]*\) \([0-9]*\) /"\1","\2",/; s/ /,/'; } >quoted.csv
{ printf 'userID\titemID\trating\ttimestamp\n'; rows | tr ' ' '\t'; } >header.tsv
{ printf 'user_id:token\titem_id:token\trating:float\ttimestamp:float\n'; rows | tr ' ' '\t'; } >atomic.inter
rows | awk '{ l[$1] = l[$1] " " $2 } END { for (u = 1; u <= 30; u++) print u l[u] }' >adjacency.txt
gzip -c quoted.csv >quoted.csv.gz
n=$(rows | wc -l)
for file in ml100k.data ml1m.dat quoted.csv header.tsv atomic.inter quoted.csv.gz; do
    rm -rf store
    "$recd" import --json "$file" >out 2>err
    json "import of $file" read stored duplicates skipped users items seconds
    "$recd" export --format csv 2>err | sort >"$file.rows"
    equal "$file: rows" "$(grep -c . "$file.rows")" $((n + 1))
    cmp -s "$file.rows" ml100k.data.rows && ok "$file: the same rows" ||
        no "$file: other rows than ml100k.data"
done
rm -rf store
check "import from stdin" sh -c "'$recd' import --format csv - <quoted.csv"
"$recd" export --format csv 2>err | sort >stdin.rows
cmp -s stdin.rows ml100k.data.rows && ok "stdin: the same rows" || no "stdin: other rows"
rm -rf store
"$recd" import --json --format adjacency adjacency.txt >out 2>err
equal "adjacency: rows" "$(sed -n 's/.*"stored": \([0-9]*\).*/\1/p' out)" "$n"

# --- the whole path ---------------------------------------------------------------
rm -rf store
check "import" "$recd" import quoted.csv
check "split" "$recd" split --test 0.2
"$recd" info --json >out; json "info" users items interactions bytes models certificates
for model in pop itemknn ease ials bpr gfcf lightgcn; do
    options=
    case $model in ials|bpr|lightgcn) options='--dim 8 --epochs 2' ;; gfcf) options='--dim 8' ;; esac
    "$recd" train --json --model $model $options >out 2>err
    json "train $model" name model epochs shards seconds digest threads
    "$recd" evaluate --json --name $model --k 5,10 >out 2>err
    json "evaluate $model" name users metrics recall@5 ndcg@10 hit@5 precision@5 map@5 mrr@5 coverage@5 seconds
done
"$recd" train --json --model ials --dim 8 --epochs 2 --threads 1 >out 2>err; one=$(digest)
for threads in 2 7; do
    "$recd" train --json --model ials --dim 8 --epochs 2 --threads $threads >out 2>err
    equal "the same digest with $threads threads" "$(digest)" "$one"
done
check "recommend to one" "$recd" recommend --user 3 -k 5 --name ease
equal "five items" "$(grep -c '^ *[0-9]' out)" 5
"$recd" recommend --json --user 3 -k 5 --name ease >out 2>err; json "recommend --json" lists items score
check "recommend to all, csv" "$recd" recommend --all -k 4 --name pop --format csv --output lists.csv
equal "csv has a header" "$(head -n 1 lists.csv)" "user,rank,item,score"
equal "csv has everybody" "$(sed 1d lists.csv | cut -d, -f1 | sort -u | wc -l)" 30
check "recommend to all, json lines" "$recd" recommend --all -k 4 --name pop --format json --output lists.json
equal "json lines" "$(grep -c '^{"user":.*}$' lists.json)" 30
"$recd" export --format csv 2>err | grep '^3,' | cut -d, -f2 | sort >met
"$recd" recommend --user 3 -k 25 --name pop --json 2>err | tr '{' '\n' | sed -n 's/.*"item": "\([0-9]*\)".*/\1/p' | sort >got
equal "the list is not empty" "$([ -s got ] && echo yes)" yes
equal "what was met is left out" "$(comm -12 met got | wc -l)" 0
"$recd" recommend --user 3 -k 25 --name pop --include-seen --json 2>err | tr '{' '\n' | sed -n 's/.*"item": "\([0-9]*\)".*/\1/p' | sort >got
equal "or not, when asked" "$(comm -12 met got | wc -l)" "$(wc -l <met)"
for family in models partitions aggregates rerankers attacks mechanisms solvers patterns; do
    check "list $family" "$recd" list $family
    equal "list $family says something" "$([ -n "$("$recd" list $family)" ] && echo yes)" yes
done
refuses 2 'did you mean "patterns"' "$recd" list paterns

# --- the order of rows does not matter ----------------------------------------------
{ head -n 1 quoted.csv; sed 1d quoted.csv | sort -t, -k2,2r -k1,1; } >shuffled.csv
for file in quoted.csv shuffled.csv; do
    "$recd" --store "$file.store" import "$file" >out 2>err
    for model in ease ials lightgcn; do
        options=; [ $model = ease ] || options='--dim 8 --epochs 2'
        "$recd" --store "$file.store" train --json --model $model $options >out 2>err
        digest >>"$file.digests"
    done
done
cmp -s quoted.csv.digests shuffled.csv.digests && ok "shuffled import: the same digests" ||
    no "shuffled import: other digests"

# --- forgetting ----------------------------------------------------------------------
check "train shards" "$recd" train --model ials --name shards --shards 4 --dim 8 --epochs 2
"$recd" forget --json --dry-run user 5 >out 2>err; json "forget --dry-run" interactions models
"$recd" forget --json user 5 6 >out 2>err
json "forget" users interactions models name shards retrained exactness seconds digest erased certificate
refuses 1 'user "5" is not in the store' "$recd" recommend --user 5 --name ease
printf 'user 7\ninteraction 8 8\n# a remark\nitem 9\n' >requests
check "forget --from" "$recd" forget --from requests
"$recd" forget --json --defer user 11 >out 2>err; json "forget --defer" pending certificate
"$recd" repair --json >out 2>err; json "repair" models certificate
check "certificate list" "$recd" certificate list
check "certificate export" "$recd" certificate export 4 --output chain.json
check "verify" "$recd" verify chain.json --key "$("$recd" certificate key)"
sed 's/"finished_at\\":1/"finished_at\\":2/' chain.json >forged.json
cmp -s chain.json forged.json && no "the forgery did not take"
"$recd" verify forged.json >out 2>err
equal "a forged certificate: exit status" $? 3
printf 'user 12\nuser nobody\n' >requests
refuses 1 'line 2: user "nobody" is not in the store' "$recd" forget --from requests
check "nothing was forgotten then" "$recd" recommend --user 12 --name ease

# --- mistakes -------------------------------------------------------------------------
refuses 2 'did you mean "train"' "$recd" trian
refuses 2 'did you mean "ease"' "$recd" train --model eese
refuses 1 'there is no store at nowhere' "$recd" --store nowhere info
refuses 2 'does not divide --dim 64' "$recd" train --model sasrec --heads 3
refuses 2 'recd import --public' "$recd" train --model legonet --encoder public
refuses 2 'epochs means nothing to --heads ease' "$recd" train --model legonet --epochs 3
refuses 2 'leave --shards out' "$recd" train --model dpsvd --shards 2
refuses 2 'keeps to its epsilon alone' "$recd" rerank train --base dpsvd --model prm
refuses 2 'name the file that has them' "$recd" import --public --catalogue missing.csv
refuses 2 'no option --frobnicate' "$recd" train --model ease --frobnicate
refuses 2 'export runs on the CPU alone' "$recd" --device cuda export
refuses 1 'recd-cuda.so cannot be opened' env RECD_CUDA_MODULE=/nowhere "$recd" --device cuda evaluate --name ease
refuses 1 'the store holds no model "nix"' "$recd" remove nix
printf 'user,item,rating\na,b,c\n' >bad.csv
refuses 1 'bad.csv:2: ' "$recd" import bad.csv
check "remove" "$recd" remove lightgcn

# --- an encrypted store -------------------------------------------------------------
RECD_STORE="$work/clear" "$recd" -q import whole.csv >out 2>err
awk 'BEGIN { print "user,item"; for (u = 1; u <= 9; u++) for (i = 1; i <= 5; i++)
    if ((u + i) % 3) print "person-" u ",thing-" i }' >some.csv
export RECD_STORE="$work/sealed"
check "import into an encrypted store" "$recd" -q import --encrypt some.csv
check "more, without saying so again" "$recd" -q import some.csv
"$recd" info >out 2>err
grep -q "bytes, encrypted)" out && ok "info says so" || no "info does not say that it is encrypted"
"$recd" --json info >out 2>err
grep -q '"encrypted": true' out && ok "info --json says so" || no "info --json does not say so"
grep -qa person- "$RECD_STORE/data.mdb" && no "ids in the clear" || ok "no id in the data file"
"$recd" -q export >sealed.rows
"$recd" -q train --model ease --json >out 2>err
sealed=$(digest)
export RECD_STORE="$work/later"
check "the same rows in the clear" "$recd" -q import some.csv
grep -qa person- "$RECD_STORE/data.mdb" && ok "ids are in the clear" || no "a search for ids finds none"
"$recd" -q train --model ease --json >out 2>err
equal "encryption changes no model" "$(digest)" "$sealed"
refuses 2 "\`recd vacuum --encrypt\` encrypts all of it" "$recd" import --encrypt some.csv
check "encrypt what is there" "$recd" vacuum --encrypt
grep -qa person- "$RECD_STORE/data.mdb" && no "ids in the clear after vacuum" || ok "no id after vacuum --encrypt"
"$recd" -q export | cmp -s - sealed.rows && ok "the rows are the same" || no "the rows differ"
refuses 2 "is encrypted already" "$recd" vacuum --encrypt
check "forget somebody" "$recd" forget user person-3
grep -q "keys destroyed: 1, replaced: 0" out && ok "the key is destroyed" || { no "no word of the key"; cat out; }
"$recd" --json forget interaction person-4 thing-1 >out 2>err
json "forget --json has the keys" keys_destroyed keys_renewed certificate
mv "$RECD_STORE/keys" elsewhere
refuses 1 "keys/people-3.keys is missing: put it back" "$recd" export
refuses 1 "keys/people-3.keys is missing: put it back" "$recd" import some.csv
mv elsewhere "$RECD_STORE/keys"
check "with it all is well" "$recd" export
export RECD_STORE="$work/store"

# --- pages ----------------------------------------------------------------------------
"$recd" help train --model ials >out 2>err
grep -q -- '--alpha' out && ok "help train --model ials has its options" || no "help train --model ials"
check "man pages" "$srcdir/tools/make-man" "$recd" man
for page in man/*.1; do
    head -n 1 "$page" | grep -q '^\.TH' && grep -q '^\.SH NAME' "$page" || no "$page has no heading"
done
equal "a page for each command" "$(ls man | wc -l)" "$(($("$recd" help | sed -n '/^commands:/,/^$/p' | grep -c '^  ') + 1))"
if command -v bash >/dev/null; then
    bash -c "PATH=$(dirname "$recd"):\$PATH; source '$srcdir/src/recd.bash'; COMP_WORDS=(recd tra); COMP_CWORD=1; _recd; echo \"\${COMPREPLY[*]}\"" >out 2>err
    equal "completion of a command" "$(cat out)" train
    bash -c "PATH=$(dirname "$recd"):\$PATH; source '$srcdir/src/recd.bash'; COMP_WORDS=(recd train --model gf); COMP_CWORD=3; _recd; echo \"\${COMPREPLY[*]}\"" >out 2>err
    equal "completion of a model" "$(cat out)" gfcf
fi

# --- MovieLens-100K, where it is -------------------------------------------------------
data=${RECD_DATA:-$srcdir/../shared/data}
if [ -f "$data/ml-100k/u.data" ]; then
    export RECD_STORE="$work/ml"
    check "ml-100k: import" "$recd" import "$data/ml-100k/u.data"
    [ ! -f "$data/ml-100k/u.item" ] || check "ml-100k: catalogue" "$recd" import --catalogue "$data/ml-100k/u.item"
    check "ml-100k: split" "$recd" split --test 0.2
    check "ml-100k: train" "$recd" train --model ease --reg 300
    "$recd" evaluate --json --k 20 >out 2>err
    recall=$(sed -n 's/.*"recall@20": \([0-9.]*\).*/\1/p' out)
    awk "BEGIN { exit !($recall > .30) }" && ok "ml-100k: recall@20 $recall" || no "ml-100k: recall@20 $recall"
else
    echo "skipped: no MovieLens-100K"
fi
exit $failed
