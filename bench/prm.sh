#!/bin/sh
# bench/prm.sh [RECD [LISTS [THREADS]]] - seconds of a pass over LISTS lists (Gowalla has about 26,000) when training PRM,
# beside the same network in PyTorch, in turns, medians of three. TORCH_PYTHON: a python3 that has torch.
#
# recd's pass is a third of what five passes take more than two: reading the lists does not count.
set -e
recd=${1:-build/recd} lists=${2:-25600} threads=${3:-2}
python=${TORCH_PYTHON:-python3}
[ -x "$recd" ] || { echo "prm.sh: $recd is no program" >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$recd" -q rerank world --length 50 --count "$lists" --output "$dir/lists"
head -n 100 "$dir/lists" >"$dir/test"
export OMP_NUM_THREADS="$threads"
seconds() { # EPOCHS
    "$recd" -q --threads "$threads" --json rerank train --lists "$dir/lists" --test "$dir/test" --score 13 --k 5 --model prm \
        --epochs "$1" | python3 -c "import json,sys; print(json.load(sys.stdin)['seconds'])"
}
for round in 1 2 3; do
    two=$(seconds 2)
    five=$(seconds 5)
    own=$(python3 -c "print('%.3f' % (($five - $two) / 3))")
    peer=$("$python" "$(dirname "$0")/prm.py" "$lists" 3 "$threads" 2>/dev/null || echo nan)
    echo "$own $peer"
done | python3 -c "
import sys, math
rows = [list(map(float, l.split())) for l in sys.stdin]
own, peer = (sorted(c)[1] for c in zip(*rows))
print('a pass over $lists lists, $threads threads: recd %.2f s, PyTorch %s' % (own,
      'is not here' if math.isnan(peer) else '%.2f s, ratio %.2f' % (peer, peer / own)))"
