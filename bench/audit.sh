#!/bin/sh
# bench/audit.sh RECD DATA [published|faithful|general|honest|defences|checks] - the tables of docs/audit.md.
#
# DATA is a folder with dlmia/ (lists published with DL-MIA) and
# ml-1m-lightgcnpp/, gowalla/ (see data/README.md).  SEEDS: of the published
# pairs.  MODELS, SETS, REFERENCES, ATTACKS ("lists,dl-mia"): of the honest setting;
# attacks on lists use the first reference alone.  PAIRS ("gru4rec.caser ..."), EPOCHS:
# of the published procedure, which takes minutes a pair.
set -e
recd=$1 data=$2 part=${3:-all}
[ -x "$recd" ] && [ -d "$data" ] || { sed -n 2,8p "$0"; exit 2; }
case $recd in /*) ;; *) recd=$PWD/$recd ;; esac
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# The numbers of a run, by name.
pick() { python3 -c '
import json, sys
j = json.load(sys.stdin)
for a in j["attacks"]:
    if not a["ran"]:
        continue
    print(a["attack"], "%.4f" % a["auc"], "%.4f" % a["auc_ci"][0],
          "%.4f" % a["auc_ci"][1],
          "%.4f" % a["accuracy"] if "accuracy" in a else "-",
          a["tpr_at_fpr"]["0.01"] if a["tpr_at_fpr"]["0.01"] is not None else "-",
          "%.3f" % a["epsilon"]["rates"] if "epsilon" in a else "-",
          a["controls"]["trusted"])'; }

sr=$data/dlmia/sr
side() { # MODEL LETTER: the four files
    echo "$sr/$1/ml-1m_$2member_train $sr/$1/ml-1m_$2nonmem_train" \
        "$sr/$1/ml-1m_$2member_recommendations.gz $sr/$1/ml-1m_$2nonmem_recommendation.gz"
}

pair() { # SHADOW TARGET SEED ATTACKS
    set -- "$3" "$4" $(side "$2" T) $(side "$1" S)
    # shellcheck disable=SC2086
    "$recd" -q audit membership --json --seed "$1" --attack $2 \
        --target-members "$3" --target-nonmembers "$4" --member-lists "$5" \
        --nonmember-lists "$6" --shadow-members "$7" --shadow-nonmembers "$8" \
        --shadow-member-lists "$9" --shadow-nonmember-lists "${10}" \
        --item-vectors "$tmp/vectors" | pick
}

item_vectors() {
    paste -d' ' "$sr/base/ml-1m_itemDict" "$sr/base/ml-1m_itemMatrix.txt" |
        awk '{ printf "%s", $1; for (i = 3; i <= NF; i++) printf " %s", $i; print "" }' >"$tmp/vectors"
}

published() {
    item_vectors
    echo "Balanced accuracy (area), lists of the DL-MIA repository; mean of seeds ${SEEDS:=1 2 3 4 5}"
    echo
    echo "| shadow -> target | dl-mia | lowest | published | st-mia | lists | popularity |"
    echo "|---|---|---|---|---|---|---|"
    for s in gru4rec caser bert4rec; do for t in gru4rec caser bert4rec; do
        for seed in $SEEDS; do pair $s $t $seed dl-mia,st-mia,lists,popularity; done |
        awk -v s=$s -v t=$t 'BEGIN {
            split("1.000 .992 .593 .999 .993 .583 .994 .964 .907", p)
            n["gru4rec"] = 0; n["caser"] = 1; n["bert4rec"] = 2; low = 2 }
            { acc[$1] += $5; auc[$1] += $2; k[$1]++ }
            $1 == "dl-mia" && $5 < low { low = $5 }
            function cell(a) { return sprintf("%.4f (%.4f)", acc[a] / k[a], auc[a] / k[a]) }
            END { printf "| %s -> %s | %s | %.4f | %s | %s | %s | %s |\n", s, t, cell("dl-mia"), low,
                p[3 * n[s] + n[t] + 1], cell("st-mia"), cell("lists"), cell("popularity") }'
    done; done
}

# The programs' own procedures beside ours; dl-mia's sees the target's labels.
faithful() {
    item_vectors
    echo "Balanced accuracy (area), one seed; the published dl-mia for ${EPOCHS:=10} of 200 epochs"
    echo
    echo "| shadow -> target | published | dl-mia --faithful | st-mia --faithful | sf-mia --faithful | dl-mia |"
    echo "|---|---|---|---|---|---|"
    for p in ${PAIRS:-gru4rec.gru4rec gru4rec.caser gru4rec.bert4rec caser.gru4rec caser.caser caser.bert4rec bert4rec.gru4rec bert4rec.caser bert4rec.bert4rec}; do
        { pair "${p%.*}" "${p#*.}" 1 "dl-mia,st-mia,sf-mia --faithful --faithful-epochs $EPOCHS"
          pair "${p%.*}" "${p#*.}" 1 dl-mia | sed 's/^/our /'; } |
        awk -v p=$p 'BEGIN {
            split("1.000 .992 .593 .999 .993 .583 .994 .964 .907", v)
            n["gru4rec"] = 0; n["caser"] = 1; n["bert4rec"] = 2; split(p, q, ".") }
            { o = $1 == "our" ; c[o $(1 + o)] = sprintf("%s (%s)", $(5 + o), $(2 + o)) }
            END { printf "| %s -> %s | %s | %s | %s | %s | %s |\n", q[1], q[2], v[3 * n[q[1]] + n[q[2]] + 1],
                c["0dl-mia"], c["0st-mia"], c["0sf-mia"], c["1dl-mia"] }'
    done
}

honest() {
    : "${ATTACKS:=population,lira,rmia,lists,st-mia,dl-mia}"
    for set in ${SETS:-ml-1m-lightgcnpp gowalla}; do
        "$recd" -q --store "$tmp/$set" import "$data/$set/train.txt" >/dev/null
        echo
        echo "$set, honest setting, ${REFERENCES:-16} references; area (95 % interval), accuracy, TPR at 1 % FPR, epsilon at least"
        echo
        echo "| model | $ATTACKS |" | sed 's/,/ | /g'
        echo "|---|$(echo "$ATTACKS" | sed 's/[^,]*/---/g; s/,/|/g')|"
        for m in ${MODELS:-pop itemknn ease ials bpr}; do
            "$recd" -q --store "$tmp/$set" train --model $m >/dev/null
            "$recd" -q --store "$tmp/$set" audit membership --json --name $m \
                --references ${REFERENCES:-16} --attack "$ATTACKS" | pick |
            awk -v m=$m -v a="$ATTACKS" '{ c[$1] = sprintf("%s (%s to %s), %s, %.3f, %s%s", $2, $3, $4, $5, $6, $7, $8 == "True" ? "" : " (controls not good)") }
                END { n = split(a, name, ","); row = "| " m " |"
                    for (i = 1; i <= n; i++) row = row " " c[name[i]] " |"
                    print row }'
        done
    done
}

# What a defence costs and what it buys: the model's recall on held-out rows
# beside attacks on the same recipe, honestly served; and the two ways of
# serving strangers by popularity.
defences() {
    set=ml-1m-lightgcnpp
    "$recd" -q --store "$tmp/defend" import "$data/$set/train.txt" >/dev/null
    "$recd" -q --store "$tmp/defend" import --as test "$data/$set/test.txt" >/dev/null
    echo "| recipe | recall@20 | ndcg@20 | lists | lira | rmia |"
    echo "|---|---|---|---|---|---|"
    while read -r words; do
        # shellcheck disable=SC2086
        "$recd" -q --store "$tmp/defend" train --name d --model $words >/dev/null
        quality=$("$recd" -q --json --store "$tmp/defend" evaluate --name d --k 20 |
            python3 -c 'import json, sys; m = json.load(sys.stdin)["metrics"]; print("%.4f | %.4f" % (m["recall@20"], m["ndcg@20"]))')
        "$recd" -q --store "$tmp/defend" audit membership --json --name d \
            --references ${REFERENCES:-16} --attack lists,lira,rmia | pick |
        awk -v w="$words" -v q="$quality" '{ c[$1] = sprintf("%s (%s to %s)%s", $2, $3, $4, $8 == "True" ? "" : " (controls not good)") }
            END { printf "| `%s` | %s | %s | %s | %s |\n", w, q, c["lists"], c["lira"], c["rmia"] }'
    done <<EOF
${RECIPES:-pop
itemknn
ease
ials
ials --epochs 3
ials --dim 16
dpsvd --dp-epsilon 100000
dpsvd --dp-epsilon 16
dpsvd --dp-epsilon 8
dpsvd --dp-epsilon 4}
EOF
    echo
    echo "| ials, strangers get | popularity | overlap | lists |"
    echo "|---|---|---|---|"
    "$recd" -q --store "$tmp/defend" train --name d --model ials >/dev/null
    for setting in published randomised honest; do
        "$recd" -q --store "$tmp/defend" audit membership --json --name d --setting $setting \
            --references 2 --attack popularity,overlap,lists | pick |
        awk -v s=$setting '{ c[$1] = sprintf("%s (%s to %s)", $2, $3, $4) }
            END { printf "| %s | %s | %s | %s |\n", s, c["popularity"], c["overlap"], c["lists"] }'
    done
}

case $part in
defences) defences ;;
published) published ;;
faithful) faithful ;;
general) python3 "$(dirname "$0")/audit_general.py" "$recd" "$data" ;;
honest) honest ;;
checks) python3 "$(dirname "$0")/audit_checks.py" "$recd" "$data" ;;
all)
    published
    python3 "$(dirname "$0")/audit_general.py" "$recd" "$data"
    honest
    defences
    python3 "$(dirname "$0")/audit_checks.py" "$recd" "$data"
    ;;
*) sed -n 2,8p "$0"; exit 2 ;;
esac
