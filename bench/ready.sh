#!/bin/sh
# bench/ready.sh [RECD [DATA]] - re-rankers over ready-made lists: the tables of
# docs/rerank.md for the made-up world of clicks and for the learning-to-rank
# sample.
#
# RECD: the program (build/recd); DATA: the folder with learning-to-rank/ (see
# data/README.md; without it, the world alone).  SEEDS="1 2 3", RANKERS, LENGTHS
# and LISTS narrow or widen it.  LightGBM's row wants a python3 (PYTHON) that
# has lightgbm (`pip install lightgbm`).
set -e
recd=${1:-build/recd}
data=${2:-${RECD_DATA:-../shared/data}}
[ -x "$recd" ] || { echo "ready.sh: $recd is no program" >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
rankers=${RANKERS:-identity logistic lambdamart midnn gsf dlcm prm setrank imsab srga seq2slate egr grn cmr prs pier}
python=${PYTHON:-python3}

# Options that the tables were made with.
options() {
    case $1 in
    identity) ;;
    lambdamart) echo "--trees 100" ;;
    logistic) echo "--rate 0.01" ;;
    egr | grn | prs) [ $2 = letor ] || echo "--epochs 8 --batch 64" ;;
    cmr) [ $2 = letor ] && echo "--trade 1" || echo "--epochs 8 --batch 64 --rate 0.002 --trade 1" ;;
    pier) echo "--epochs 10 --batch 64 --rate 0.003 --drop 0" ;;
    esac
}

show() { # what to print of the JSON of several seeds: mean and half the spread
    "$python" - "$@" <<'PY'
import json, sys
what, files = sys.argv[1].split(","), sys.argv[2:]
runs = [json.load(open(f)) for f in files]
def value(o, w):
    if w == "share": return o["metrics"]["after"]["expected_clicks"] / o["metrics"]["ceiling"]["best_expected_clicks"]
    if w in ("seconds", "microseconds_a_list"): return o[w]
    return o["metrics"]["after"][w]
cells = []
for w in what:
    v = [value(o, w) for o in runs]
    mean = sum(v) / len(v)
    spread = (max(v) - min(v)) / 2
    form = "%.0f" if w == "microseconds_a_list" else "%.1f" if w == "seconds" else "%.4f"
    cells.append((form % mean) + ((" +- " + form % spread) if len(v) > 1 and w not in ("seconds", "microseconds_a_list") else ""))
print("| " + " | ".join(cells) + " |")
PY
}

world() { # LENGTH
    "$recd" -q rerank world --count ${LISTS:-20000} --length $1 --part 1 --output "$dir/learn"
    "$recd" -q rerank world --count 2000 --length $1 --part 2 --output "$dir/test"
    printf '\nclicks, lists of %s: share of the best order'"'"'s true clicks\n\n' $1
    echo "| | share | clicks of a list | training, s | us a list |"
    echo "|---|---|---|---|---|"
    for r in $rankers; do
        [ $1 = 5 ] || [ $r != pier ] || continue
        files=
        for seed in ${SEEDS:-1}; do
            "$recd" -q --seed $seed --json rerank train --lists "$dir/learn" --test "$dir/test" --score 13 --k 5 \
                --model $r $(options $r clicks) >"$dir/$seed.json"
            files="$files $dir/$seed.json"
        done
        printf '| `%s` ' $r
        show share,expected_clicks,seconds,microseconds_a_list $files
    done
}

letor() {
    at=$data/learning-to-rank
    for part in train test; do
        "$recd" -q rerank import "$at/rank.$part" --query "$at/rank.$part.query" --output "$dir/$part"
    done
    printf '\nlearning-to-rank sample\n\n| | ndcg@5 | ndcg@10 | training, s |\n|---|---|---|---|\n'
    for r in $rankers; do
        [ $r != pier ] || continue
        files=
        for seed in ${SEEDS:-1}; do
            "$recd" -q --seed $seed --json rerank train --lists "$dir/train" --test "$dir/test" --k 5,10 \
                --model $r $(options $r letor) >"$dir/$seed.json"
            files="$files $dir/$seed.json"
        done
        printf '| `%s` ' $r
        show ndcg@5,ndcg@10,seconds $files
    done
    "$python" - "$at" "${SEEDS:-1}" <<'PY' || echo "| LightGBM lambdarank | not here: no lightgbm in this python | | |"
import sys, time
import lightgbm as lgb
at, seeds = sys.argv[1], [int(s) for s in sys.argv[2].split()]
def load(part):
    q = [int(l) for l in open("%s/rank.%s.query" % (at, part))]
    return lgb.Dataset("%s/rank.%s" % (at, part), group=q, params={"verbose": -1}, free_raw_data=False)
rows, seconds = [], 0
for s in seeds:
    train = load("train"); test = load("test").set_reference(train)
    out = {}
    start = time.time()
    lgb.train({"objective": "lambdarank", "metric": "ndcg", "eval_at": [5, 10], "verbose": -1, "seed": s, "num_threads": 2,
               "learning_rate": 0.05, "num_leaves": 31, "min_data_in_leaf": 20}, train, 100, valid_sets=[test],
              valid_names=["test"], callbacks=[lgb.record_evaluation(out)])
    seconds = time.time() - start
    rows.append([out["test"]["ndcg@5"][-1], out["test"]["ndcg@10"][-1]])
mean = [sum(c) / len(c) for c in zip(*rows)]
print("| LightGBM lambdarank | %.4f | %.4f | %.1f |" % (mean[0], mean[1], seconds))
PY
}

for length in ${LENGTHS-5 10}; do world $length; done
[ ! -d "$data/learning-to-rank" ] || letor
