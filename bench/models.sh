#!/bin/sh
# bench/models.sh [DATA [ROW...]] - training and ranking beside other programs.
#
# Run in a build folder.  DATA: the folder with gowalla/, ml-1m/ and
# ml-1m-lightgcnpp/ (see data/README.md).  implicit is taken from the Python in
# $IMPLICIT_PYTHON, or put into a virtual environment in ./implicit-venv.
# THREADS, RUNS and GFLOPS (peak of the machine with THREADS threads, single
# precision) have the values below.  One ROW is one function in models.py.
srcdir=$(dirname "$0")
data=${1:-${RECD_DATA:-../../shared/data}}
[ $# -gt 0 ] && shift
python=${IMPLICIT_PYTHON:-implicit-venv/bin/python}
[ -d "$data/gowalla" ] || { echo "skipped: no data in $data" >&2; exit 77; }
make -s rec/models.def && make -s bench/fit || exit 1
if ! "$python" -c 'import implicit' 2>/dev/null; then
    python3 -m venv implicit-venv 2>/dev/null &&
        implicit-venv/bin/pip install -q implicit libmf 2>/dev/null
    python=implicit-venv/bin/python
    "$python" -c 'import implicit' 2>/dev/null || {
        echo "skipped: implicit cannot be had here" >&2
        exit 77
    }
fi
"$python" -c 'import libmf' 2>/dev/null || {
    echo "LIBMF cannot be had here: its rows are left out" >&2
    [ $# -gt 0 ] || set -- ials_cg ials_exact bpr
}
export OMP_PROC_BIND=true OPENBLAS_NUM_THREADS=1
exec "$python" "$srcdir/models.py" "$data" "${THREADS:-2}" "${RUNS:-5}" \
    "${GFLOPS:-516}" "$@"
