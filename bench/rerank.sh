#!/bin/sh
# bench/rerank.sh [RECD [DATA]] - the table of docs/rerank.md.
#
# RECD: the program (build/recd); DATA: the folder with gowalla/ and
# ml-1m-lightgcnpp/ (see data/README.md).  SEEDS="1 2 3", RANKERS, SETS and
# ALSO (further generators) narrow or widen it.  Needs python3 for the JSON.
set -e
recd=${1:-build/recd}
data=${2:-${RECD_DATA:-../shared/data}}
[ -x "$recd" ] || { echo "rerank.sh: $recd is no program" >&2; exit 2; }
[ -d "$data/gowalla" ] || { echo "skipped: no data in $data" >&2; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
rankers=${RANKERS:-logistic midnn gsf dlcm prm setrank}

figures() { # NAME: recall@20, ndcg@20, ndcg@10, milliseconds for everybody's lists
    start=$(date +%s%N)
    "$recd" -q --store "$store" --json evaluate --name "$1" --k 10,20 >"$dir/out"
    end=$(date +%s%N)
    python3 - "$dir/out" $(((end - start) / 1000000)) <<'PY'
import json, sys
o = json.load(open(sys.argv[1])); m = o["metrics"]
print("%.4f %.4f %.4f %s" % (m["recall@20"], m["ndcg@20"], m["ndcg@10"], sys.argv[2]))
PY
}

# The ceiling of lists of fifty: the first stage's recall@50 bounds recall@20.
ceiling() {
    "$recd" -q --store "$store" --json evaluate --name first --k 50 |
        python3 -c "import json,sys; print('%.4f' % json.load(sys.stdin)['metrics']['recall@50'])"
}

for set in ${SETS:-gowalla ml-1m-lightgcnpp}; do
    store=$dir/$set
    train=$data/$set/train.txt
    [ ! -f "$data/$set/valid.txt" ] || train="$train $data/$set/valid.txt"
    "$recd" -q --store "$store" import --format adjacency $train >/dev/null
    "$recd" -q --store "$store" import --as test --format adjacency "$data/$set/test.txt" >/dev/null
    "$recd" -q --store "$store" train --model gfcf --name first >/dev/null
    printf '\n%s; recall@50 of the first stage: %s\n\n' "$set" "$(ceiling)"
    echo "| | recall@20 | ndcg@20 | ndcg@10 | training, s | everybody's lists, ms |"
    echo "|---|---|---|---|---|---|"
    set -- $(figures first)
    echo "| first stage, \`gfcf\` | $1 | $2 | $3 | | $4 |"
    for r in $rankers; do
        for seed in ${SEEDS:-1}; do
            rate=0.001
            [ $r != logistic ] || rate=0.01
            seconds=$("$recd" -q --seed $seed --store "$store" --json train --model rerank --ranker $r --rate $rate \
                --also ${ALSO:-itemknn,ials} --name row | python3 -c "import json,sys; print('%.0f' % json.load(sys.stdin)['seconds'])")
            set -- $(figures row)
            echo "| \`$r\`, seed $seed | $1 | $2 | $3 | $seconds | $4 |"
        done
    done
done
