#!/bin/sh
# bench/quality.sh [RECD [DATA]] - the table of README.md, made by the program.
#
# RECD: the program (build/recd); DATA: the folder with gowalla/ and
# ml-1m-lightgcnpp/ (see data/README.md).  SKIP="ease bpr" leaves models out:
# ease on Gowalla takes 7 GB and minutes.  Needs python3 for the JSON.
set -e
recd=${1:-build/recd}
data=${2:-${RECD_DATA:-../shared/data}}
[ -x "$recd" ] || { echo "quality.sh: $recd is no program" >&2; exit 2; }
[ -d "$data/gowalla" ] || { echo "skipped: no data in $data" >&2; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

load() { # STORE TEST TRAIN...
    store=$dir/$1 test=$2
    shift 2
    "$recd" -q --store "$store" import --format adjacency "$@" >/dev/null
    "$recd" -q --store "$store" import --as test --format adjacency "$test" >/dev/null
}

row() { # STORE MODEL OPTIONS...
    store=$dir/$1 model=$2
    shift 2
    case " $SKIP " in *" $model "*) return ;; esac
    trained=$("$recd" -q --store "$store" --json train --model "$model" --name row "$@")
    measured=$("$recd" -q --store "$store" --json evaluate --name row --k 20)
    "$recd" -q --store "$store" remove row >/dev/null
    python3 - "$model $*" "$trained" "$measured" <<'PY'
import json, sys
t, e = json.loads(sys.argv[2]), json.loads(sys.argv[3])
m = e["metrics"]
print("| `--model %s` | %.4f | %.4f | %.1f |" % (sys.argv[1].strip(),
      m["recall@20"], m["ndcg@20"], t["seconds"]))
PY
}

head_of() {
    printf '\n%s\n\n| recd train | recall@20 | ndcg@20 | seconds |\n|---|---|---|---|\n' "$1"
}

head_of "Gowalla, official split"
load gowalla "$data/gowalla/test.txt" "$data/gowalla/train.txt"
row gowalla pop
row gowalla itemknn
row gowalla itemknn --neighbours 500
row gowalla ease --reg 80
row gowalla ials
row gowalla ials --dim 128
row gowalla ials --dim 512 --alpha 160 --reg 1
row gowalla bpr
row gowalla gfcf
row gowalla lightgcn
row gowalla blend

head_of "MovieLens-1M, LightGCN++ split (validation rows are training rows)"
load movies "$data/ml-1m-lightgcnpp/test.txt" \
    "$data/ml-1m-lightgcnpp/train.txt" "$data/ml-1m-lightgcnpp/valid.txt"
row movies pop
row movies itemknn
row movies ease --reg 700
row movies ials
row movies bpr
row movies gfcf
row movies lightgcn --reg 0.005 --negatives 64 --epochs 10
