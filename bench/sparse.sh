#!/bin/sh
# bench/sparse.sh [RECD [DATA]] - the tables of docs/sparse.md: quality of sparse
# re-rankers and of their levels, then products and networks timed.
#
# SEEDS="1 2 3"; needs python3 for the JSON.
set -e
recd=${1:-build/recd}
data=${2:-${RECD_DATA:-../shared/data}}
[ -x "$recd" ] || { echo "sparse.sh: $recd is no program" >&2; exit 2; }
[ -d "$data/ml-1m-lightgcnpp" ] || { echo "skipped: no data in $data" >&2; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
r() { "$recd" -q --store "$dir/store" "$@"; }
r import --format adjacency "$data/ml-1m-lightgcnpp/train.txt" "$data/ml-1m-lightgcnpp/valid.txt" >/dev/null
r import --as test --format adjacency "$data/ml-1m-lightgcnpp/test.txt" >/dev/null

figures() { # evaluate's options: recall@20 ndcg@20
    r --json evaluate --k 20 --name row "$@" | python3 -c "
import json, sys
m = json.load(sys.stdin)['metrics']
print('%.4f %.4f' % (m['recall@20'], m['ndcg@20']))"
}

for how in "--dim 64" "--dim 64 --sparsity 0.8 --schedule once" "--dim 64 --sparsity 0.8 --schedule gradual" \
    "--dim 64 --sparsity 0.8" "--dim 128" "--dim 128 --sparsity 0.8" "--dim 128 --sparsity 0.8 --pattern shfl-bw:8"; do
    for seed in ${SEEDS:-1 2 3}; do
        r --seed "$seed" train --model rerank --ranker prm --name row $how >/dev/null
        echo "$how, seed $seed: recall@20 ndcg@20 $(figures)"
    done
done
for seed in ${SEEDS:-1 2 3}; do
    r --seed "$seed" train --model rerank --ranker prm --name row --dim 128 --sparsity 0.8 --pattern shfl-bw:8 --levels 3 >/dev/null
    for level in 1 2 3; do echo "level $level of 3, seed $seed: $(figures --level $level)"; done
done
"$recd" bench kernels --kernel sparse
"$recd" bench kernels --kernel rerank-list
