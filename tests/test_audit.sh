#!/bin/sh
# tests/test_audit.sh - `recd audit` from end to end: a model, files of another
# system, a forgotten person; and what it says of mistakes.
recd=$PWD/recd
dir=$(mktemp -d /tmp/recd-audit-XXXXXX) || exit 1
trap 'rm -rf "$dir"' EXIT
TMPDIR=$dir/tmp
export TMPDIR
mkdir "$TMPDIR"

. "${srcdir:-.}/tests/shell.sh"
r() { "$recd" -q --store "$dir/store" "$@"; }

# --- a model -------------------------------------------------------------------
"$recd" -q synth --users 600 --items 200 --interactions 12000 --seed 3 --output "$dir/rows.csv"
expect 2 r audit
say "what to audit"
expect 1 r audit membership
say "there is no store"
expect 0 r import "$dir/rows.csv"
expect 0 r train --model ials --dim 48
expect 2 r audit membership --attack lyra
say 'did you mean "lira"'
expect 0 r audit membership --references 4 --attack population,lira,rmia,popularity,overlap,lists,sf-mia,st-mia \
    --report "$dir/one.html" --scores "$dir/one.csv"
say "lira .*area"
expect 0 r audit membership --references 4 --attack population,lira,rmia,popularity,overlap,lists,sf-mia,st-mia \
    --report "$dir/two.html" --scores "$dir/two.csv" --threads 1
cmp "$dir/one.html" "$dir/two.html" || fail "another number of threads, another report"
cmp "$dir/one.csv" "$dir/two.csv" || fail "another number of threads, other scores"
grep -q "<svg" "$dir/one.html" || fail "the report has no drawing"
grep -q -e "http" -e "<script" -e "<link" -e "src=" "$dir/one.html" && fail "the report needs more than itself"
[ "$(head -n 1 "$dir/one.csv")" = "person,member,population,lira,rmia,popularity,overlap,lists,sf-mia,st-mia" ] ||
    fail "columns: $(head -n 1 "$dir/one.csv")"
expect 3 r audit membership --references 4 --attack lira --max-auc 0.501 --json
for field in '"attack": "lira"' '"auc":' '"auc_ci":' '"accuracy":' '"tpr_at_fpr":' '"verdict": "leaks"' '"seconds":'; do say "$field"; done
say '"target": "ials"'
say '"utility": "not compared: the store has no test rows'
"$recd" -q synth --users 600 --items 200 --interactions 2000 --seed 4 --output "$dir/held.csv"
cp -r "$dir/store" "$dir/held" && expect 0 r --store "$dir/held" import --as test "$dir/held.csv"
expect 0 r --store "$dir/held" audit membership --references 2 --attack lists --json
for field in '"utility, target": "test rows of ' '"utility, shadow": "test rows of ' '"utility, difference": "shadow minus target: ndcg@20 '; do say "$field"; done
expect 0 r audit membership --references 4 --attack popularity --max-auc 0.9
say "a low area proves nothing: of planted members"
say "verdict: not judged (bound 0.9, strongest attack popularity"
expect 0 r audit membership --references 4 --attack overlap --max-auc 0.9
say "verdict: passed (bound 0.9, strongest attack overlap"
expect 2 r audit membership --unit interaction --setting published
say "asks models for scores"
expect 0 r audit membership --unit interaction --references 12 --attack recps --json \
    --report "$dir/rows.html" --scores "$dir/rows.out"
say '"by_chance":'
say '"models": 12'
[ "$(head -n 1 "$dir/rows.out")" = "person,member,recps,row_score" ] || fail "columns: $(head -n 1 "$dir/rows.out")"
grep -q "Single rows" "$dir/rows.html" || fail "the report has no scores of rows"
python3 - "$dir/out" "$dir/rows.out" <<'EOF' || fail "an overtrained model's rows are no more exposed than by chance"
import csv, json, sys
r = json.load(open(sys.argv[1]))["rows"]
score = [float(x["row_score"]) for x in csv.DictReader(open(sys.argv[2]))]
assert len(score) == r["rows"] and abs(sum(score) / len(score) - r["mean"]) < 1e-9
assert r["by_chance"] + 0.2 < r["mean"] <= r["most"], r
EOF
expect 2 r audit membership --people 20
say '`recd audit membership` of a model'
expect 2 r audit forgotten --references 65
say "64 at most"
expect 2 r audit forgotten --attack lira
say '`recd audit forgotten` as a rehearsal'
ls "$TMPDIR"/recd* 2>/dev/null && fail "a folder is left"

# --- as published -----------------------------------------------------------------
expect 2 r audit membership --faithful
say "faithful means nothing to popularity, which has no other published form"
expect 2 r audit membership --faithful --attack lira
expect 2 r audit membership --faithful --attack st-mia --faithful-epochs 3
say "faithful-epochs means nothing to an audit without --faithful --attack dl-mia"
expect 2 r audit membership --attack dl-mia --faithful-epochs 3
expect 2 r audit forgotten --faithful
say '`recd audit forgotten` as a rehearsal'
expect 0 r audit membership --references 2 --faithful --attack sf-mia,dl-mia --faithful-epochs 1 --max-auc 0.001
say "sf-mia .*area"
say "no evidence: as published, it uses the true labels that it is to find"
say "verdict: not judged"
expect 0 r audit membership --references 2 --faithful --attack dl-mia --faithful-epochs 1 --json
say '"sees_labels": true'
say "1 of 200 epochs of the encoders"
expect 0 r audit membership --references 2 --faithful --attack st-mia --json
say "as published: lists weighed by rank"

# --- files of another system ------------------------------------------------------
sed 1d "$dir/rows.csv" | awk -F, -v d="$dir" '
    { side = $1; gsub(/[^0-9]/, "", side); m = side % 2 ? "in" : "out"
      print $1 "," $2 > (d "/" m ".hist")
      if (side % 2) print $1 "," $2 > (d "/in.list")        # repeats the history
      else if (n[$1]++ < 5) print $1 ",item-popular-" n[$1] > (d "/out.list") }'
expect 0 "$recd" -q audit membership --target-members "$dir/in.hist" --target-nonmembers "$dir/out.hist" \
    --member-lists "$dir/in.list" --nonmember-lists "$dir/out.list" --attack overlap,lira
say "overlap .*area 1.0000"
say "lira .*did not run: it needs scores of the model"
expect 0 "$recd" -q audit membership --target-members "$dir/in.hist" --target-nonmembers "$dir/out.hist" \
    --member-lists "$dir/in.list" --nonmember-lists "$dir/out.list" --shadow-members "$dir/in.hist" \
    --shadow-nonmembers "$dir/out.hist" --shadow-member-lists "$dir/in.list" --shadow-nonmember-lists "$dir/out.list" \
    --attack lists --json
say "100.0 % and 0.0 % are in the owner's history"
say "600 people are on both sides"
expect 2 "$recd" -q audit membership --target-members "$dir/in.hist" --references 4
say "references means nothing"
expect 2 "$recd" -q audit membership --target-members "$dir/in.hist" --target-nonmembers "$dir/out.hist" \
    --member-lists "$dir/in.list"
say "nonmember-lists"
expect 2 "$recd" -q audit membership --target-members "$dir/in.hist" --target-nonmembers "$dir/in.hist" \
    --member-lists "$dir/in.list" --nonmember-lists "$dir/in.list"
say "is among the members and among"
printf 'item-1 0.5 0.25\nitem-2 0.5\n' >"$dir/vectors"
expect 1 "$recd" -q audit membership --target-members "$dir/in.hist" --target-nonmembers "$dir/out.hist" \
    --member-lists "$dir/in.list" --nonmember-lists "$dir/out.list" --item-vectors "$dir/vectors"
say "vectors:2: another number of columns"
printf 'item-1 0.5\n item-2 0.5\n' >"$dir/vectors"
expect 1 "$recd" -q audit membership --target-members "$dir/in.hist" --target-nonmembers "$dir/out.hist" \
    --member-lists "$dir/in.list" --nonmember-lists "$dir/out.list" --item-vectors "$dir/vectors"
say "vectors:2: the line begins with a blank"

# --- forgotten people ----------------------------------------------------------------
expect 0 r audit forgotten --people 60 --references 3
say "equal, bit by bit"
say "verdict: forgotten"
[ -z "$(ls -A "$TMPDIR")" ] || fail "the rehearsal left something"
expect 2 r audit forgotten --certificate 1
say "goes with --histories"
expect 0 r train --model ials --dim 8 --shards 3 --partition-secret --name secret
expect 0 r audit forgotten --name secret --people 60 --references 3 --json
say '"same_bits": true'
expect 0 r remove secret
ids=$(sed 1d "$dir/rows.csv" | cut -d, -f1 | sort -u | head -n 30)
for id in $ids; do grep "^$id," "$dir/rows.csv" | cut -d, -f1,2; done >"$dir/mine.csv"
for id in $ids; do echo "user $id"; done >"$dir/asked"
expect 2 r audit forgotten --people 10000
say "needs a store of"
expect 0 r forget --from "$dir/asked"
expect 0 r audit forgotten --certificate 1 --histories "$dir/mine.csv" --references 3 --json
say '"verdict": "forgotten"'
say '"same_bits": true'
echo "somebody-else,item-1" >>"$dir/mine.csv"
expect 2 r audit forgotten --certificate 1 --histories "$dir/mine.csv" --references 3
say "is not among the people of certificate 1"
exit $bad
