#!/bin/sh
# bench/nn.sh - training steps of three networks beside PyTorch's, in one run.
#
# Run in a build folder: sh ../bench/nn.sh [threads].  PyTorch is taken from
# the Python in $TORCH_PYTHON, or put into a virtual environment in
# ./torch-venv; where it cannot be had the columns say so.
srcdir=$(dirname "$0")
threads=${1:-2}
repeats=${2:-40}
python=${TORCH_PYTHON:-torch-venv/bin/python}
make -s bench/nn_step || exit 1
if ! "$python" -c 'import torch' 2>/dev/null; then
    python3 -m venv torch-venv &&
        torch-venv/bin/pip install -q torch \
            --extra-index-url https://download.pytorch.org/whl/cpu
    python=torch-venv/bin/python
fi 2>/dev/null
export OMP_PROC_BIND=true OMP_NUM_THREADS="$threads"
for round in 1 2 3; do
    ./bench/nn_step "$threads" "$repeats" | sed 's/^/own /'
    "$python" "$srcdir/nn.py" "$threads" "$repeats" 2>/dev/null |
        sed 's/^/torch /'
done | awk -v threads="$threads" '
    { key = $1 " " $2; n[key]++; v[key, n[key]] = $3 }
    function middle(key,   a, b, c, t) {
        a = v[key, 1]; b = v[key, 2]; c = v[key, 3]
        if (a > b) { t = a; a = b; b = t }
        return c < a ? a : c > b ? b : c
    }
    END {
        printf "%-12s %10s %10s %8s   (ms, forward and backward, %d threads)\n",
               "network", "recd", "PyTorch", "ratio", threads
        split("mlp transformer gru", name, " ")
        for (i = 1; i <= 3; i++) {
            own = middle("own " name[i])
            if (n["torch " name[i]] == 3) {
                peer = middle("torch " name[i])
                printf "%-12s %10.2f %10.2f %7.2fx\n", name[i], own, peer,
                       peer / own
            } else
                printf "%-12s %10.2f %10s %8s\n", name[i], own,
                       "not found", "-"
        }
    }'
