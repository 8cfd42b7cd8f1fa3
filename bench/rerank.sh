#!/bin/sh
# bench/rerank.sh [RECD [DATA]] - the tables of docs/rerank.md over a first stage.
#
# RECD: the program (build/recd); DATA: the folder with gowalla/,
# ml-1m-lightgcnpp/ and ml-1m/ (see data/README.md).  SEEDS=5, SETS, MODELS (as
# compare takes them), FOLDS and OPTIONS narrow or widen it; VALID=1 measures on the
# validation rows of MovieLens-1M.  First stages
# and lists are made once a seed for all models.  Needs python3 for the movies.
set -e
recd=${1:-build/recd}
data=${2:-${RECD_DATA:-../shared/data}}
here=$(dirname "$0")
[ -x "$recd" ] || { echo "rerank.sh: $recd is no program" >&2; exit 2; }
[ -d "$data/gowalla" ] || { echo "skipped: no data in $data" >&2; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
models=logistic:rate=0.01,lambdamart:trees=60,midnn:epochs=3,gsf:epochs=3,dlcm:epochs=3,prm:epochs=3,setrank:epochs=3,imsab:epochs=3
models=$models,imsab:epochs=3:members=3,srga:epochs=3,mir:epochs=3,seq2slate:epochs=3,mmr,dpp,pier:epochs=3,prs:epochs=3
models=$models,egr:epochs=1:places=10,grn:epochs=1:places=10,cmr:epochs=1:places=10
models=${MODELS:-$models}

for set in ${SETS:-ml-1m-lightgcnpp gowalla}; do
    store=$dir/$set
    train=$data/$set/train.txt test=$data/$set/test.txt
    more="--base gfcf --also itemknn,ials"
    folds=1
    if [ $set = ml-1m-lightgcnpp ]; then
        if [ -n "$VALID" ]; then
            test=$data/$set/valid.txt
        else
            train="$train $data/$set/valid.txt"
        fi
        more="--base gfcf --also ease:reg=700,ials,itemknn --attributes"
        folds=5
    fi
    "$recd" -q --store "$store" import --format adjacency $train >/dev/null
    "$recd" -q --store "$store" import --as test --format adjacency "$test" >/dev/null
    if [ $set = ml-1m-lightgcnpp ]; then
        python3 "$here/movies.py" "$data/ml-1m" "$data/$set" "$dir"
        "$recd" -q --store "$store" import --catalogue "$dir/movies.dat" --users "$dir/users.dat" >/dev/null
    fi
    printf '\n%s: ' "$set"
    "$recd" -q --store "$store" ${THREADS:+--threads $THREADS} rerank compare $more ${OPTIONS} --folds ${FOLDS:-$folds} \
        --models $models --seeds ${SEEDS:-5} --k 20
done
