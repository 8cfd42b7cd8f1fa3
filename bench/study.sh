#!/bin/sh
# bench/study.sh RECD DATA [study|remedies|retrain|speed|reinforce ...]
#
# The figures of docs/simulate.md.  DATA holds ml-1m (pairs.tsv, users.dat,
# movies.dat) and lastfm-hetrec (user_artists.clean.dat).  Work, and what comes
# of it, is in ./simulate-study.
set -eu
recd=${1:-} data=${2:-} bench=$(cd "$(dirname "$0")" && pwd)
[ -x "$recd" ] && [ -d "$data" ] || { sed -n 2,6p "$0"; exit 2; }
shift 2
case $recd in /*) ;; *) recd=$PWD/$recd ;; esac
mkdir -p simulate-study
cd simulate-study
[ -d ml-1m ] || "$recd" -q --store ml-1m import "$data/ml-1m/pairs.tsv" \
    --users "$data/ml-1m/users.dat" --catalogue "$data/ml-1m/movies.dat" >/dev/null
[ -d lastfm ] || "$recd" -q --store lastfm import "$data/lastfm-hetrec/user_artists.clean.dat" >/dev/null

field() { python3 -c "import json,sys; o=json.load(sys.stdin); print(*[o[k] for k in sys.argv[1:]])" "$@"; }
one() { "$recd" -q simulate disclosure --json "$@" || [ $? = 3 ]; }

study() { "$recd" simulate "$bench/study.policy" || [ $? = 3 ]; }
remedies() { "$recd" simulate "$bench/remedies.policy" || [ $? = 3 ]; }

# One's own effect on the recommender: trained again with the best choice of
# each of 200 people.
retrain() {
    for set in ml-1m lastfm; do [ $set = ml-1m ] && bound=0.01 || bound=0.003; for m in whole+binary blocks:8+prefix blocks:8+free; do
        echo "$set itemknn $m: residual, of the 200, the same by training again, own effect, its size, utility:" \
            "$(one --store $set --model itemknn --mechanism $m --sensitivity lognormal:0.2 --retrain ${PEOPLE:-200} --min-people 5 --bound $bound |
               field residual retrained_before retrained_residual own_effect own_effect_size utility_anticipated)"
    done; done
}

# People a second, model fixed; then a hundred thousand made-up people.
speed() {
    for m in blocks:8+prefix blocks:8+free; do
        echo "$m: $("$recd" -q --store ml-1m simulate disclosure --model itemknn --mechanism $m --shrink 0 --rounds 8 |
            sed -n 's/^time *//p')"
    done
    [ -d synth ] || { "$recd" -q synth --users 100000 --items 5000 --interactions 5000000 --seed 1 --output synth.csv >/dev/null
        "$recd" -q --store synth import synth.csv >/dev/null; rm -f synth.csv; }
    /usr/bin/time -f "100,000 people: %M KiB, %e s" "$recd" -q --store synth simulate disclosure --model itemknn \
        --mechanism blocks:8+free --solver reinforce --samples 100 --shrink 0 --rounds 2 || [ $? = 3 ]
}

# Share of the exact gain, model fixed.
reinforce() {
    for s in 25 50 100 200 800; do
        echo "reinforce, $s samples: $(one --store ml-1m --model itemknn --mechanism blocks:8+free --sensitivity lognormal:0.1 \
            --shrink 0 --rounds 1 --solver reinforce --samples $s | field solver_share)"
    done
}

for what in ${@:-study}; do $what; done
