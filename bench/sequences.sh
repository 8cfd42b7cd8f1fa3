#!/bin/sh
# bench/sequences.sh RECD DATA - the table of docs/sequences.md: models of
# sequences, and others beside them, leave one out, every item ranked.
#
# DATA is a folder with beauty-sequences/Beauty.txt and
# lastfm-sequences/LastFM.txt.  SETS, SEEDS ("1 2 3"), MODELS.
set -e
recd=$1 data=$2
[ -x "$recd" ] && [ -d "$data" ] || { sed -n 2,7p "$0"; exit 2; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

one() { # SET MODEL SEED [OPTION...]: hit@5 ndcg@5 hit@10 ndcg@10 seconds
    set=$1 model=$2 seed=$3
    shift 3
    "$recd" -q --json --store "$tmp/$set" --seed "$seed" train --model "$model" "$@" >"$tmp/train"
    "$recd" -q --json --store "$tmp/$set" evaluate --name "$model" --k 5,10 |
        python3 -c 'import json, sys
m = json.load(sys.stdin)["metrics"]
t = json.load(open(sys.argv[1]))
print(m["hit@5"], m["ndcg@5"], m["hit@10"], m["ndcg@10"], t["seconds"])' "$tmp/train"
}

options() { # SET MODEL: what differs from the defaults
    case $1.$2 in
    LastFM.sasrec | LastFM.bert4rec) echo "--negatives 0 --lr 0.001 --epochs 60" ;;
    LastFM.gru4rec) echo "--negatives 0 --lr 0.001 --epochs 20 --batch 4 --length 200" ;;
    LastFM.ials) echo "--alpha 5" ;;
    esac
}

for set in ${SETS:-Beauty LastFM}; do
    dir=$(echo "$set" | tr A-Z a-z)-sequences
    "$recd" -q --store "$tmp/$set" import --format sequences "$data/$dir/$set.txt" >/dev/null
    "$recd" -q --store "$tmp/$set" split --test 1 --by last >/dev/null
    echo
    echo "$set: mean of seeds ${SEEDS:-1 2 3}"
    echo
    echo "| model | hit@5 | ndcg@5 | hit@10 | ndcg@10 | seconds |"
    echo "|---|---|---|---|---|---|"
    for m in ${MODELS:-pop itemknn ease ials caser gru4rec bert4rec sasrec}; do
        for seed in ${SEEDS:-1 2 3}; do
            # shellcheck disable=SC2046
            one "$set" "$m" "$seed" $(options "$set" "$m")
        done | awk -v m="$m" '{ for (i = 1; i <= 5; i++) s[i] += $i; if (NR == 1 || $4 < lo) lo = $4; if ($4 > hi) hi = $4 }
            END { printf "| %s | %.4f | %.4f | %.4f | %.4f (%.4f to %.4f) | %.0f |\n", m, s[1]/NR, s[2]/NR, s[3]/NR, s[4]/NR, lo, hi, s[5]/NR }'
    done
done
