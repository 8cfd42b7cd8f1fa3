"""The table of bench/models.sh: recd beside implicit and LIBMF, "own / peer", one
process a figure.

usage: models.py DATA THREADS RUNS GFLOPS [ROW...]

A row is a function with @row: it yields Measure objects.  Both programs read
the same files, minimise the same loss, and are timed on `fit` alone, in a
process of their own that reports its peak memory.
"""
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np

FACTORS, EPOCHS, CG_STEPS, CUT = 64, 15, 3, 20


@dataclass
class Measure:
    name: str
    data: str
    options: list    # of bench/fit: model, then options and values
    peer: dict       # of implicit: class, options
    flop: object     # work of a fit: f(Sets) -> floating point operations
    samples: tuple = None   # comparisons a training row: recd's, the peer's


@dataclass
class Sets:
    train: list
    test: str


def sets_of(folder, data):
    where = os.path.join(folder, data)
    if data == "ml-1m":
        return Sets([os.path.join(where, "pairs.tsv")], "-")
    names = ["train.txt"] + (["valid.txt"] if "lightgcnpp" in data else [])
    return Sets([os.path.join(where, n) for n in names],
                os.path.join(where, "test.txt"))


def pairs_of(files):
    users, items = [], []
    for name in files:
        with open(name) as file:
            for line in file:
                row = [int(x) for x in line.split()]
                users += row[:1] * (len(row) - 1)
                items += row[1:]
    return np.array(users), np.array(items)


def counts_of(s):
    """Entries of each person and of each item."""
    users, items = pairs_of(s.train)
    return [c[c > 0] for c in (np.bincount(users), np.bincount(items))]


# --- rows --------------------------------------------------------------------

ROWS = {}


def row(function):
    ROWS[function.__name__] = function
    return function


def cg_flop(s):
    """A step is two passes over the entries; the first has the diagonal too."""
    per_entry = FACTORS * (4 * CG_STEPS + 7)
    return EPOCHS * per_entry * sum(int(c.sum()) for c in counts_of(s))


def exact_flop(s):
    """Gram matrix of the shorter side of each system, and its factor."""
    total = 0
    for c in counts_of(s):
        n = np.minimum(c, FACTORS).astype(float)
        longer = np.maximum(c, FACTORS).astype(float)
        total += float((n * n * longer + n ** 3 / 3).sum())
    return EPOCHS * total


def ials(name, solver, use_cg, flop):
    # implicit's alpha A is a confidence of A, recd's of 1 + alpha.
    for data, alpha, reg in (("gowalla", 40, 1), ("ml-1m", 3, 10),
                             ("ml-1m-lightgcnpp", 3, 10)):
        yield Measure(
            name, data,
            ["ials", "dim", FACTORS, "epochs", EPOCHS, "alpha", alpha - 1,
             "reg", reg, "reg-exponent", 0, "solver", solver,
             "steps", CG_STEPS],
            {"class": "als", "factors": FACTORS, "iterations": EPOCHS,
             "alpha": alpha, "regularization": reg, "use_cg": use_cg}, flop)


@row
def ials_cg():
    return ials("ials, cg", "cg", True, cg_flop)


@row
def ials_exact():
    return ials("ials, exact", "cholesky", False, exact_flop)


def bpr_flop(s):
    """A comparison: the score, and its gradient for both sides."""
    return BPR[0] * BPR[1] * 6 * FACTORS * len(pairs_of(s.train)[0])


# A sample is one comparison of an item that a person met with one that they
# did not, whose gradient is taken.  recd with its default options.
BPR = (10, 256)   # epochs, comparisons a row


def bpr_rows(name, peer):
    for data in ("gowalla", "ml-1m-lightgcnpp"):
        yield Measure(name, data,
                      ["bpr", "dim", FACTORS, "epochs", BPR[0], "negatives",
                       BPR[1]], dict(peer), bpr_flop,
                      (BPR[0] * BPR[1], peer["iterations"]))


@row
def bpr():
    return bpr_rows("bpr, implicit", {
        "class": "bpr", "factors": FACTORS, "iterations": 100,
        "learning_rate": .05, "regularization": .01})


@row
def bpr_libmf():
    return bpr_rows("bpr, LIBMF", {"class": "libmf", "iterations": 30})


# --- measuring ---------------------------------------------------------------

def child(command):
    """Its JSON line, with the peak of its memory in MB."""
    out = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    text = out.stdout.read()
    _, status, usage = os.wait4(out.pid, 0)
    out.returncode = status
    if status != 0:
        raise SystemExit("failed: " + " ".join(command))
    answer = next(x for x in text.splitlines() if x.startswith("{"))
    return dict(json.loads(answer), peak=usage.ru_maxrss / 1024)


def own(m, s, threads, runs):
    return child(["bench/fit", str(runs), str(threads), m.options[0],
                  ",".join(s.train), s.test] + [str(x) for x in m.options[1:]])


def peer(m, s, threads, runs):
    task = json.dumps([m.peer, s.train, s.test, threads, runs])
    return child([sys.executable, os.path.abspath(__file__), "--peer", task])


def quality(model, rows, test):
    """Recall and ndcg of the lists of people who have test rows."""
    wanted = {}
    for u, i in zip(*pairs_of([test])):
        wanted.setdefault(int(u), set()).add(int(i))
    people = np.array(sorted(u for u in wanted if u < rows.shape[0]))
    lists, _ = model.recommend(people, rows[people], N=CUT)
    gain = 1 / np.log2(np.arange(2, CUT + 2))
    recall, ndcg = [], []
    for u, items in zip(people, lists):
        hit = np.array([int(i) in wanted[int(u)] for i in items])
        n = len(wanted[int(u)])
        recall.append(hit.sum() / n)
        ndcg.append((hit * gain).sum() / gain[:min(n, CUT)].sum())
    return float(np.mean(recall)), float(np.mean(ndcg))


def median(values):
    return sorted(values)[len(values) // 2]


def seconds_of(function, runs):
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return median(times)


def run_libmf(options, users, items, threads, runs):
    """Speed alone: the factors that its Python package hands out are not
    those of the model (recall .000 with any options), so none is scored."""
    from libmf import mf

    rows = np.column_stack([users, items, np.ones(len(users))])
    seconds = seconds_of(
        lambda: mf.MF(fun=10, k=FACTORS, nr_threads=threads, quiet=True,
                      nr_iters=options["iterations"]).fit(rows), runs)
    print("\n" + json.dumps({"seconds": seconds, "top20_per_s": 0}), flush=True)


def run_peer(options, train, test, threads, runs):
    from scipy.sparse import csr_matrix
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    users, items = pairs_of(train)
    if options["class"] == "libmf":
        run_libmf(options, users, items, threads, runs)
        return
    rows = csr_matrix((np.ones(len(users), np.float32), (users, items)))
    models = {"als": AlternatingLeastSquares,
              "bpr": BayesianPersonalizedRanking}
    make = models[options.pop("class")]
    kept = []

    def fit():
        kept[:] = [make(num_threads=threads, random_state=1, **options)]
        kept[0].fit(rows, show_progress=False)

    seconds = seconds_of(fit, runs)
    people = np.unique(users)
    rank = seconds_of(lambda: kept[0].recommend(people, rows[people], N=CUT),
                      runs)
    recall, ndcg = quality(kept[0], rows, test) if test != "-" else (0, 0)
    print(json.dumps({"seconds": seconds, "top20_per_s": len(people) / rank,
                      "recall": recall, "ndcg": ndcg}))


# --- table -------------------------------------------------------------------

def pair(form, a, b, key):
    return " / ".join(form % x[key] if key in x else "-" for x in (a, b))


def samples(m, s, a, b):
    """Millions of comparisons a second and their ratio."""
    if m.samples is None:
        return "- | -"
    rows = len(pairs_of(s.train)[0])
    own, other = (n * rows / x["seconds"] / 1e6
                  for n, x in zip(m.samples, (a, b)))
    return "%.1f / %.1f | %.0fx" % (own, other, own / other)


def show(m, s, a, b, gflops):
    users, items = counts_of(s)
    top = 2 * FACTORS * len(items) / (gflops * 1e9) * a["top20_per_s"]
    bound = m.flop(s) / (gflops * 1e9) / a["seconds"]
    if s.test == "-":
        a.pop("recall", 0), b.pop("recall", 0)
    rank = "- | - | -"
    if b["top20_per_s"] > 0:
        rank = "%.0f / %.0f | %.1fx | %.0f%%" % (
            a["top20_per_s"], b["top20_per_s"],
            a["top20_per_s"] / b["top20_per_s"], 100 * top)
    print("| %s | %s | %.3f / %.3f | %.1fx | %.0f%% | %s | %s | %s | %s |" %
          (m.name, m.data, a["seconds"], b["seconds"],
           b["seconds"] / a["seconds"], 100 * bound, samples(m, s, a, b),
           pair("%.4f", a, b, "recall"), rank, pair("%.0f", a, b, "peak")),
          flush=True)


def main(folder, threads, runs, gflops, names):
    print("| model | data | s | ratio | of bound | M samples/s | ratio | "
          "recall@20 | top-20 people/s | ratio | of bound | peak MB |\n|" +
          "---|" * 12)
    for name in names or ROWS:
        for m in ROWS[name]():
            s = sets_of(folder, m.data)
            show(m, s, own(m, s, threads, runs), peer(m, s, threads, runs),
                 gflops)


if sys.argv[1] == "--peer":
    run_peer(*json.loads(sys.argv[2]))
else:
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]),
         sys.argv[5:])
