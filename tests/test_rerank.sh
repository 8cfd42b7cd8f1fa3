#!/bin/sh
# tests/test_rerank.sh - `recd rerank` from end to end: over a first stage, over
# ready-made lists, from the files of other programs; and what it says of
# mistakes.
recd=$PWD/recd
dir=$(mktemp -d /tmp/recd-rerank-XXXXXX) || exit 1
trap 'rm -rf "$dir"' EXIT

. "${srcdir:-.}/tests/shell.sh"
r() { "$recd" -q --store "$dir/store" "$@"; }
number() { # FIELD PATH...: of the JSON said last
    python3 -c "import json,sys
o = json.load(open(sys.argv[1]))
for k in sys.argv[2:]: o = o[k]
print('%.6f' % o if isinstance(o, float) else o)" "$dir/out" "$@"
}

expect 2 r rerank
say "say what: rerank train"
expect 2 r rerank train --model prm --lists "$dir/no"
say "wants --test too"
expect 1 r rerank train --model prm --lists "$dir/no" --test "$dir/no"
say "$dir/no"

# --- a made-up world -----------------------------------------------------------
expect 0 r rerank world --count 300 --length 6 --output "$dir/learn"
expect 0 r rerank world --count 100 --length 6 --part 2 --output "$dir/test"
[ "$(grep -c "^[01] qid:" "$dir/learn")" = 1800 ] || fail "the world has not 300 lists of 6"
r rerank world --count 300 --length 6 | cmp - "$dir/learn" || fail "another world for the same seed"
cmp -s "$dir/learn" "$dir/test" && fail "the same people in both parts"
expect 0 r rerank train --lists "$dir/learn" --test "$dir/test" --model identity --score 13
say "the best order"
say "ndcg@5"
for model in prm prs; do
    expect 0 r rerank train --lists "$dir/learn" --test "$dir/test" --model $model --score 13 --epochs 3 --dim 8 --batch 32 \
        --output "$dir/scores" --json --threads 1
    [ "$(wc -l <"$dir/scores")" = 600 ] || fail "scores of $(wc -l <"$dir/scores") items"
    for field in '"model": "'$model'"' '"base": "lists"' '"lists": 300' '"before":' '"after":' '"ceiling":' '"digest":' \
        '"expected_clicks":' '"best_expected_clicks":' '"seconds":'; do say "$field"; done
    cp "$dir/out" "$dir/one"
    cp "$dir/scores" "$dir/scores.one"
    expect 0 r rerank train --lists "$dir/learn" --test "$dir/test" --model $model --score 13 --epochs 3 --dim 8 --batch 32 \
        --output "$dir/scores" --json --threads 2
    [ "$(grep -o '"digest": "[0-9a-f]*"' "$dir/one")" = "$(grep -o '"digest": "[0-9a-f]*"' "$dir/out")" ] ||
        fail "$model: another digest for another number of threads"
    cmp "$dir/scores" "$dir/scores.one" || fail "$model: other scores for another number of threads"
done
# where the truth is known, searching lists finds more clicks than the first stage
[ "$(python3 -c "import json; m=json.load(open('$dir/out'))['metrics']; print(m['after']['expected_clicks'] > m['before']['expected_clicks'])")" = True ] ||
    fail "prs finds no more clicks"
expect 2 r rerank train --lists "$dir/learn" --test "$dir/test" --model mir
say "ready-made lists do not have"
expect 2 r rerank train --lists "$dir/learn" --test "$dir/test" --model prm --score 99
say "has features 1 to 13"
expect 2 r rerank train --lists "$dir/learn" --test "$dir/test" --model egr --sparsity 0.5 --schedule chex
say "networks of one pass: --ranker egr"
expect 2 r rerank train --lists "$dir/learn" --test "$dir/test" --model egr --sparsity 0.5 --faithful
say "sparsity means nothing to --ranker egr --faithful"
expect 2 r rerank train --lists "$dir/learn" --test "$dir/test" --model prm --trees 5
say "trees means nothing to --ranker prm"
expect 2 r rerank train --lists "$dir/learn" --test "$dir/test" --model prm --name x
say "name means nothing to train --lists"
for more in "--base ease" "--folds 2" "--candidates 9" --attributes --merge; do
    expect 2 r rerank train --lists "$dir/learn" --test "$dir/test" --model prm $more
    say "means nothing to train --lists"
done
expect 2 r rerank train --lists "$dir/learn" --test "$dir/test" --model dlcm --ranker gsf
say "give one of them"
expect 2 r rerank world --score 2
say "score means nothing to world"
printf '1 qid:1 1:2\n0 qid:1 2:x\n' >"$dir/bad"
expect 1 r rerank train --lists "$dir/bad" --test "$dir/bad" --model prm
say "bad:2: a feature's value is no number"

# --- files of other programs ---------------------------------------------------
printf '0 1:0.5 2:1\n1 1:0.25\n2 2:3\n' >"$dir/svm"
printf '1\n2\n' >"$dir/svm.query"
expect 2 r rerank import "$dir/svm" --output "$dir/lists"
say "wants --query"
expect 0 r rerank import "$dir/svm" --query "$dir/svm.query" --output "$dir/lists"
say "2 lists, 3 items"
printf '0 qid:1 1:0.5 2:1\n1 qid:2 1:0.25\n2 qid:2 2:3\n' | cmp - "$dir/lists" || fail "libsvm: $(cat "$dir/lists")"
printf '1\n1\n' >"$dir/svm.query"
expect 1 r rerank import "$dir/svm" --query "$dir/svm.query" --output "$dir/other"
say "svm:3: more rows than"
printf '1\n3\n' >"$dir/svm.query"
expect 1 r rerank import "$dir/svm" --query "$dir/svm.query" --output "$dir/other"
say "fewer rows than"
[ -e "$dir/other" ] && fail "half a file is left"
printf '7\t[1]\t[[11,2],[12,3]]\t[[0.5],[1.5]]\t[0,1]\n8\t[1]\t[[11,2]]\t[[2.5]]\t[1]\n' >"$dir/lr"
expect 0 r rerank import "$dir/lr" --format librerank --output "$dir/lists"
printf '%s\n' "0 qid:1 1:1.0986 2:1.0986 3:2 4:0.5" "1 qid:1 1:0.6931 2:0.6931 3:3 4:1.5" "1 qid:2 1:1.0986 2:1.0986 3:2 4:2.5" |
    cmp - "$dir/lists" || fail "librerank: $(cat "$dir/lists")"
printf '7\t[1]\t[[11,2]]\t[[0.5]]\t[0,1]\n' >"$dir/lr"
expect 1 r rerank import "$dir/lr" --format librerank --output "$dir/other"
say "lr:1: labels and items differ"
printf 'user_id\titem_id\ttime\tlabel\timpression_id\tc_hour\nu\ta\t1\t1\t5\t0.25\nu\tb\t2\t0\t5\t0.5\nv\ta\t3\t0\t6\t0.75\n' >"$dir/rc"
expect 0 r rerank import "$dir/rc" --format rechorus --output "$dir/lists"
printf '%s\n' "1 qid:1 1:1.0986 2:1.0986 3:0.25" "0 qid:1 1:1.0986 2:0.6931 3:0.5" "0 qid:2 1:0.6931 2:1.0986 3:0.75" |
    cmp - "$dir/lists" || fail "rechorus: $(cat "$dir/lists")"
printf 'user_id\titem_id\tlabel\nu\ta\t1\n' >"$dir/rc"
expect 1 r rerank import "$dir/rc" --format rechorus --output "$dir/other"
say "impression_id are wanted"

# --- over a first stage --------------------------------------------------------
"$recd" -q synth --users 300 --items 80 --interactions 8000 --seed 5 --output "$dir/rows.csv" >/dev/null
expect 0 r import "$dir/rows.csv"
expect 0 r split --test 0.2
expect 0 r rerank train --base itemknn:neighbours=20 --model setrank --also "" --candidates 20 --epochs 2 --dim 16 --name order
say "ceiling"
expect 0 r rerank train --base ease --model lambdamart --also itemknn --candidates 20 --trees 5 --name trees --json
for field in '"name": "trees"' '"model": "lambdamart"' '"base": "ease"' '"recall@20":' '"ceiling":' '"digest":'; do say "$field"; done
for model in mir egr cmr mmr dpp pier seq2slate grn prs; do
    more="--epochs 1 --dim 8"
    case $model in mmr | dpp) more= ;; cmr) more="$more --places 5 --trade 0.5" ;; pier) ;; mir) ;; *) more="$more --places 5" ;; esac
    expect 0 r rerank train --base itemknn --model $model --also "" --candidates 12 $more --name many
    expect 0 r recommend --all --rerank many -k 3 --format csv --output "$dir/lists.csv"
    [ "$(wc -l <"$dir/lists.csv")" -ge 900 ] || fail "$model: $(wc -l <"$dir/lists.csv") rows"
done
# the name of a stored model stands for its kind and options
expect 0 r train --model itemknn --neighbours 15 --name mine
expect 0 r rerank train --base mine --model identity --also "" --name same
expect 0 r rerank train --base itemknn:neighbours=15 --model identity --also "" --name other
[ "$(r info --json | python3 -c "import json,sys; print(len({m['digest'] for m in json.load(sys.stdin)['models'] if m['name'] in ('same', 'other')}))")" = 1 ] ||
    fail "a stored base is not the same as its options"
expect 1 r rerank train --base nobody --model prm
say "nobody"
# one network for all preferences
expect 0 r rerank train --base itemknn --model cmr --also "" --candidates 12 --epochs 2 --dim 8 --places 8 --name steered
for trade in 0 1; do
    expect 0 r recommend --all --rerank steered -k 5 --format csv --output "$dir/lists.$trade" --trade $trade
done
cmp -s "$dir/lists.0" "$dir/lists.1" && fail "the preference changes nothing"
expect 2 r recommend --all --rerank trees --trade 0.5
say "trade means nothing to --ranker lambdamart"
expect 0 r evaluate --rerank trees --k 5,20 --json
for field in '"metrics":' '"before":' '"ceiling":'; do say "$field"; done
best=$(number ceiling recall@5) after=$(number metrics recall@5)
[ "$(python3 -c "print($best >= $after)")" = True ] || fail "recall@5 $after above the ceiling $best"
expect 0 r evaluate --name trees
say "before"
expect 2 r evaluate --name trees --rerank trees
say "name has no place beside"
expect 0 r train --model itemknn
for what in evaluate "recommend --all"; do
    expect 2 r $what --rerank itemknn
    say "is no re-ranker"
done
# several over one first stage: the lists are made once, figures are those of
# models that are trained apart
expect 2 r rerank compare
say "compare wants --models"
expect 2 r rerank compare --models trees
say "there is no re-ranker"
expect 2 r rerank compare --models logistic:trees=5
say "trees means nothing to --ranker logistic"
for more in candidates=20 merge=true attributes=true; do
    expect 2 r rerank compare --models logistic,gsf:$more
    say "have the same lists"
done
expect 2 r rerank compare --models logistic --ranker gsf
say "models names them"
expect 2 r rerank compare --models logistic --name x
say "name means nothing to compare"
expect 2 r rerank compare --models logistic --k 60
say "longer than the lists"
expect 0 r rerank compare --base ease --also itemknn --candidates 20 --models lambdamart:trees=5,mmr,mir:epochs=1:dim=8,cmr:epochs=1:dim=8:places=5 \
    --seeds 2 --k 5,20 --json --threads 2
cp "$dir/out" "$dir/compared"
for field in '"before":' '"ceiling":' '"after":' '"cpu_microseconds_a_list":'; do say "$field"; done
expect 0 r evaluate --rerank trees --k 5,20 --json
python3 - "$dir/compared" "$dir/out" <<'PY' || fail "compare says other than evaluate"
import json, sys
c, e = (json.load(open(f)) for f in sys.argv[1:])
for k in "recall@5", "ndcg@5", "recall@20", "ndcg@20":
    assert abs(c["before"][0][k] - e["before"][k]) < 1e-9, k
    assert abs(c["after"][0]["seeds"][0][k] - e["metrics"][k]) < 1e-9, k
    assert abs(c["ceiling"][0][k] - e["ceiling"][k]) < 1e-9, k
PY
expect 0 r rerank compare --base ease --also itemknn --candidates 20 --models lambdamart:trees=5 --k 5
say "| lambdamart |"
# candidates from all generators
expect 2 r rerank train --base ease --also "" --model logistic --merge
say "merge means nothing without models in --also"
expect 0 r rerank train --base ease --also itemknn --candidates 20 --model lambdamart --trees 5 --merge --name wide --json --threads 1
cp "$dir/out" "$dir/one"
expect 0 r rerank train --base ease --also itemknn --candidates 20 --model lambdamart --trees 5 --merge --name wide --json --threads 2
[ "$(grep -o '"digest": "[0-9a-f]*"' "$dir/one")" = "$(grep -o '"digest": "[0-9a-f]*"' "$dir/out")" ] ||
    fail "merged: another digest for another number of threads"
expect 0 r rerank compare --base ease --also itemknn --candidates 20 --models lambdamart:trees=5 --merge --k 5,20 --json
cp "$dir/out" "$dir/compared"
expect 0 r evaluate --rerank wide --k 5,20 --json
python3 - "$dir/compared" "$dir/out" "$dir/one" <<'PY' || fail "compare says other than evaluate of merged candidates"
import json, sys
c, e, one = (json.load(open(f)) for f in sys.argv[1:])
for k in "recall@5", "ndcg@5", "recall@20", "ndcg@20":
    assert abs(c["before"][0][k] - e["before"][k]) < 1e-9, k
    assert abs(c["after"][0]["seeds"][0][k] - e["metrics"][k]) < 1e-9, k
    assert abs(c["ceiling"][0][k] - e["ceiling"][k]) < 1e-9, k
# all candidates in any order: the same hits; other candidates than the base's
assert e["before"]["clicks@20"] == e["metrics"]["clicks@20"] == e["ceiling"]["clicks@20"]
assert e["before"]["recall@20"] != e["ceiling"]["recall@20"]
PY
# attributes of people and items; where there are none they are refused
expect 2 r rerank train --base ease --also "" --model logistic --attributes
say "knows no attribute"
cut -d, -f1 "$dir/rows.csv" | sed 1d | sort -u |
    awk 'BEGIN { print "user_id,side" } { print $1 "," (NR % 2 ? "left" : "right") }' >"$dir/people.csv"
cut -d, -f2 "$dir/rows.csv" | sed 1d | sort -u |
    awk 'BEGIN { print "item_id,kind" } { print $1 "," (NR % 3 ? "a" : "b") }' >"$dir/catalogue.csv"
expect 0 r import --users "$dir/people.csv" --catalogue "$dir/catalogue.csv"
expect 0 r rerank train --base ease --also "" --model logistic --candidates 20 --attributes --name told
# hits and diversity of the candidates, by an attribute of the catalogue
expect 0 r evaluate --rerank told --k 5,20 --json --category kind
for field in clicks utility map_of_hits ilad err_ia; do say "\"$field@5\":"; done
# all candidates in any order: the same hits, no more than the ceiling's
[ "$(number metrics clicks@20)" = "$(number before clicks@20)" ] || fail "hits among all candidates depend on their order"
[ "$(number metrics ilad@20)" = "$(number ceiling ilad@20)" ] || fail "pairs among all candidates depend on their order"
[ "$(python3 -c "print($(number ceiling clicks@5) >= $(number metrics clicks@5))")" = True ] || fail "more clicks than the ceiling"
expect 0 r evaluate --rerank told --k 5
say "clicks@5"
grep -q ilad "$dir/out" && fail "diversity without a category"
expect 2 r evaluate --rerank told --category colour
say "no item has that attribute"
expect 2 r evaluate --name itemknn --category kind
say "category is for re-rankers"
# forgetting repairs them like any other model, to the bit
digest_of() {
    r info --json >"$dir/out"
    python3 -c "import json,sys
print([m['digest'] for m in json.load(open(sys.argv[1]))['models'] if m['name'] == sys.argv[2]][0])" "$dir/out" "$1"
}
expect 0 r forget user "$(sed -n 2p "$dir/rows.csv" | cut -d, -f1)"
repaired="$(digest_of trees) $(digest_of many)"
wide=$(digest_of wide)
told=$(digest_of told)
expect 0 r rerank train --base ease --model lambdamart --also itemknn --candidates 20 --trees 5 --name trees
expect 0 r rerank train --base itemknn --model prs --also "" --candidates 12 --epochs 1 --dim 8 --places 5 --name many
[ "$(digest_of trees) $(digest_of many)" = "$repaired" ] || fail "a repaired re-ranker is not the one trained again"
expect 0 r rerank train --base ease --also itemknn --candidates 20 --model lambdamart --trees 5 --merge --name wide
[ "$(digest_of wide)" = "$wide" ] || fail "a repaired re-ranker of merged candidates is not the one trained again"
expect 0 r rerank train --base ease --also "" --model logistic --candidates 20 --attributes --name told
[ "$(digest_of told)" = "$told" ] || fail "a repaired re-ranker with attributes is not the one trained again"
# nor does it hang on whom the store has met: rows and attributes without the person give the same bits
who=$(sed -n 2p "$dir/rows.csv" | cut -d, -f1)
"$recd" -q --store "$dir/never" import "$dir/rows.csv" >/dev/null
"$recd" -q --store "$dir/never" split --test 0.2 >/dev/null
"$recd" -q --store "$dir/never" import --users "$dir/people.csv" --catalogue "$dir/catalogue.csv" >/dev/null
"$recd" -q --store "$dir/never" forget user "$who" >/dev/null
"$recd" -q --store "$dir/never" rerank train --base ease --also "" --model logistic --candidates 20 --attributes --name told >/dev/null
[ "$("$recd" -q --store "$dir/never" info --json | python3 -c "import json,sys; print([m['digest'] for m in json.load(sys.stdin)['models'] if m['name'] == 'told'][0])")" = "$told" ] ||
    fail "another digest in a store that forgot the person before it learnt"
exit $bad
