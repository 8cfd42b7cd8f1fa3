#!/bin/sh
# tests/test_simulate.sh - `recd simulate` from end to end: one game, a policy
# file that is stopped and goes on, policies from outside; and what it says of
# mistakes.
recd=$PWD/recd
dir=$(mktemp -d /tmp/recd-simulate-XXXXXX) || exit 1
trap 'rm -rf "$dir"' EXIT

. "${srcdir:-.}/tests/shell.sh"
r() { "$recd" -q --store "$dir/store" "$@"; }

"$recd" -q synth --users 400 --items 120 --interactions 12000 --seed 5 --output "$dir/rows.csv" >"$dir/out"
sed 1d "$dir/rows.csv" | cut -d, -f1 | sort -u |
    awk 'BEGIN { print "user_id,side" } { print $1 "," (NR % 3 ? "left" : "right") }' >"$dir/people.csv"
expect 2 r simulate
say "say what to simulate"
expect 1 r simulate disclosure --model itemknn
say "there is no store"
expect 0 r import "$dir/rows.csv" --users "$dir/people.csv"
expect 2 r simulate disclosure
say "say with --model"

# --- one game ------------------------------------------------------------------
expect 0 r simulate disclosure --model itemknn --mechanism blocks:4+free --attributes side --group side \
    --rounds 30 --people "$dir/people.out"
say "settled after"
say "people's utility"
[ "$(head -n 1 "$dir/people.out" | cut -d, -f1-3)" = "person,lambda,shown" ] || fail "people: $(head -n 1 "$dir/people.out")"
expect 0 r simulate disclosure --model ease --mechanism blocks:4+prefix --rounds 30 --json --threads 1
cp "$dir/out" "$dir/one"
for field in '"mechanism": "blocks:4+prefix"' '"user_utility":' '"platform":' '"nash_residual":' '"rounds":' '"recall@20":' \
    '"ndcg@20":' '"groups":' '"seconds":'; do say "$field"; done
expect 0 r simulate disclosure --model ease --mechanism blocks:4+prefix --rounds 30 --json --threads 2
sed 's/"seconds.*//' "$dir/one" >"$dir/a"
sed 's/"seconds.*//' "$dir/out" | cmp - "$dir/a" || fail "another number of threads, other figures"
expect 3 r simulate disclosure --model itemknn --mechanism blocks:8+free --shrink 0 --rounds 2
say "not settled"
for solver in "reinforce --samples 40" "policy --samples 40" greedy; do
    expect 3 r simulate disclosure --model itemknn --mechanism blocks:4+free --solver $solver --rounds 1 --bound 0
done
expect 3 r simulate disclosure --model bpr --epochs 2 --mechanism item+free --solver greedy --rounds 1 --bound 0
expect 0 r simulate disclosure --model itemknn --mechanism whole+fixed:0.5 --exclude all
expect 0 r simulate disclosure --model itemknn --mechanism whole+binary --retrain 3
say "of 3 people: .* trained again"
for more in "--folds 2" --fictitious "--mechanism whole+fixed:0.5"; do
    expect 2 r simulate disclosure --model itemknn --retrain 3 $more
    say "not with --folds, --fictitious"
done
expect 0 r simulate disclosure --model itemknn --mechanism whole+fixed:0 --json
say '"digest": "0000000000000000'
expect 0 r simulate disclosure --model itemknn --mechanism whole+binary --report "$dir/one.html" --json
grep -q -e draws -e model_text "$dir/out" && fail "the report changes the figures"
grep -q "whole+binary" "$dir/one.html" || fail "the report names no mechanism"
# an option that would be passed over is a mistake
expect 2 r simulate disclosure --model itemknn --dry-run
say "dry-run means nothing to .recd simulate disclosure"
for more in "--samples 9" "--rate 0.1" "--learners 0.5" "--category color" "--attribute-cost 0.2"; do
    expect 2 r simulate disclosure --model itemknn $more
    say "means nothing to this solver, mechanism and these attributes"
done
for more in "--people x" "--retrain 2" "--solver greedy" --dry-run "--report x"; do
    expect 2 r simulate env --model itemknn $more
    say "means nothing to .recd simulate env"
done
expect 2 r simulate disclosure --model ials --mechanism whole+binary
say "not a sum over the history"
expect 2 r simulate disclosure --model itemknn --mechanism whole
say "SPLIT+RULE"
expect 2 r simulate disclosure --model itemknn --sensitivity normal:1
say "not a distribution"
expect 2 r simulate disclosure --model itemknn --utility hit@10
say "ndcg@K or recall@K"
expect 2 r simulate disclosure --model itemknn --mechanism category+free
say "no item has a category"
expect 2 r simulate disclosure --model itemknn --mechanism blocks:40+free
say "at most 16 segments"
expect 2 r simulate disclosure --model itemknn --solver exakt
say 'did you mean "exact"'
expect 2 r simulate disclosure --model itemknn --min-rows 10000
say "nobody is left"

# Everybody's sensitivity from a file, and by group.
sed 1d "$dir/people.csv" | awk -F, 'BEGIN { print "person,lambda" } { print $1 ",1e6" }' >"$dir/lambda"
expect 0 r simulate disclosure --model itemknn --sensitivity "file:$dir/lambda" --rounds 9 --json
say '"disclosed": 0.0,'
head -n 3 "$dir/lambda" >"$dir/few"
expect 1 r simulate disclosure --model itemknn --sensitivity "file:$dir/few"
say "has no sensitivity for"
echo "somebody" >>"$dir/few"
expect 1 r simulate disclosure --model itemknn --sensitivity "file:$dir/few"
say "few:4: PERSON,LAMBDA was expected"
expect 0 r simulate disclosure --model itemknn --mechanism whole+binary --sensitivity const:0.01 --group side \
    --group-factors right=1e6 --rounds 9 --json
say '"group": "right", "people": [0-9]*, "disclosed": 0.0,'
expect 2 r simulate disclosure --model itemknn --group side --group-factors up=2
say 'nobody is of the group "up"'

# --- a policy file ---------------------------------------------------------------
cat >"$dir/policy" <<END
# two mechanisms and a control
dataset small $dir/store group=side
model itemknn neighbours=20
mechanism all whole+fixed:1
mechanism m1 whole+binary
mechanism m3 blocks:3+free
sensitivity lognormal:0.1 const:0.2
seed 1 2
rounds 30
out $dir/study
END
expect 0 "$recd" simulate "$dir/policy" --dry-run
say "12 cells"
[ -e "$dir/study" ] && fail "a dry run left something"
expect 0 "$recd" -q simulate "$dir/policy"
say "12 cells (0 were there), 0 not settled"
cp -r "$dir/study" "$dir/before"
rm "$dir"/study/*.* "$(find "$dir/study/cells" -name '*.json' | sort | head -n 1)"
expect 0 "$recd" -q simulate "$dir/policy" --threads 1
say "12 cells (11 were there)"
for file in cells.csv rounds.csv groups.csv summary.json report.html; do
    cmp "$dir/study/$file" "$dir/before/$file" || fail "$file differs after a stop"
done
[ "$(wc -l <"$dir/study/cells.csv")" = 13 ] || fail "lines of cells.csv"
grep -q '"verdict": "' "$dir/study/summary.json" || fail "no comparisons"
grep -q "<svg" "$dir/study/report.html" || fail "no drawing"
expect 2 "$recd" simulate "$dir/policy" --rounds 3
say '"rounds VALUE"'
expect 2 "$recd" simulate "$dir/policy" --model ease
say "its lines name models"
expect 2 "$recd" --store x simulate "$dir/policy"
say "its lines name stores"
expect 2 "$recd" --seed 3 simulate "$dir/policy"
say 'as "seed N..."'
grep -q -e "http" -e "<script" -e "<link" -e "src=" "$dir/study/report.html" && fail "the report needs more than itself"
# what is wrong is found before anything runs, with its line
try() { printf '%s\n' "$1" >"$dir/wrong"; expect "$2" "$recd" -q simulate "$dir/wrong"; say "$3"; }
try "model itemknn" 1 "at least one dataset"
try "mechanism m1" 1 "wrong:1: a name is missing"
try "seed one" 1 "wrong:1: not a seed"
try "dataset d x color" 1 "key=value was expected"
try "rounds" 1 "a line is KEY VALUE"
# change FROM TO SENTENCE: the policy file with a mistake
change() { sed "s/$1/$2/" "$dir/policy" >"$dir/wrong"; expect 1 "$recd" -q simulate "$dir/wrong"; say "$3"; }
change "rounds 30" "round 30" "wrong:9: there is no option --round: did you mean --rounds"
change neighbours neighbors "wrong:3: .*neighbours"
change itemknn itemkmn 'wrong:3: .*did you mean "itemknn"'
change "rounds 30" "dry-run yes" "wrong:9: not a setting of a sweep"
change group=side sensitivity=const:1 "wrong:2: not a setting of a sweep"
change blocks:3+free blocks:3+fee "wrong:6: .*SPLIT+RULE"
change const:0.2 constant:0.2 "wrong:7: .*not a distribution"
change "mechanism m1" "mechanism all" "wrong:5: the name is taken"
change whole+binary "whole+binary temperature=.1 solver=greedy" "wrong:5: --temperature goes with"
change "rounds 30" "utility hit@3" "wrong:.*ndcg@K"
# what a file of sensitivities says, and what is known of people, is part of a cell
sed "s|sensitivity .*|sensitivity file:$dir/lambda|" "$dir/policy" >"$dir/other"
expect 0 "$recd" -q simulate "$dir/other"
sed 's/1e6/1e5/' "$dir/lambda" >"$dir/less" && mv "$dir/less" "$dir/lambda"
expect 0 "$recd" -q simulate "$dir/other"
say "6 cells (0 were there)"
sed 's/left/port/' "$dir/people.csv" >"$dir/renamed"
expect 0 r import "$dir/rows.csv" --users "$dir/renamed"
expect 0 "$recd" -q simulate "$dir/other"
say "6 cells (0 were there)"
expect 0 "$recd" -q simulate "$dir/other"
say "6 cells (6 were there)"
expect 1 "$recd" -q simulate "$dir/nothing"
say "cannot read"

# --- policies from outside ----------------------------------------------------------
env() { printf "$1" | "$recd" -q --store "$dir/store" simulate env --model itemknn --mechanism blocks:4+free; }
expect 0 env '{"reset": true}\n\n{"reset": true}\n'
[ "$(wc -l <"$dir/out")" = 2 ] || fail "two resets, $(wc -l <"$dir/out") answers"
expect 1 env '{"step": []}\n'
say '"reset": true} is expected'
expect 1 env '{"reset": true}\n{"step": [1, 2]}\n'
say "one mask for each"
expect 1 env '{"reset'
say "this is no JSON"
if command -v python3 >/dev/null; then
    expect 0 python3 "$srcdir/docs/simulate_env.py" "$recd" "$dir/store"
    say "best that each person saw"
fi
exit $bad
