"""Quality and time of forgetting, over models, partitions and numbers of shards.

usage: forget.py RECD DATA [SVG]

DATA: the folder of RecEraser's MovieLens-1M split (train.txt, test.txt).
The rows of the table are those of RecEraser's paper: full retraining, SISA
(whole persons by hash, mean), GraphEraser (balanced clusters of persons, learnt
weights) and RecEraser (clusters of rows, attention); and attention over the
two partitions whose forgetting is exact, `hash` and `lsh`.
A request is one random interaction, as in the paper, then one whole person, as
the law means it; each takes everything: records, models, disk, certificate.

Environment: MODELS (wmf,bpr,lightgcn), METHODS (rows of the table:
0,1,2,3,4,5; empty: the figure alone),
REQUESTS (100 interactions), PERSONS (20), RETRAIN (3: requests that retrain
everything), OTHERS (100: at most as many interactions, and a fifth as many
persons, for rows other than RecEraser's), SEEDS (3), SHARDS (1,5,10,20,50: of
the figure; the table is K = 10), THREADS (2), PREFIX (words before each command that is timed),
CLOCK (wall; cpu: processor seconds of the whole command instead, on a machine
that others use; also in "model s"; with THREADS=1).  Seconds
are means over requests and seeds; p50 and p95 are of whole persons; "model s"
is the part of one interaction's request that the paper times: the shard, the
aggregation, and here also finding what changed and saving.
"""
import json
import math
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

ATTENTION = ["--aggregate", "attention"]
METHODS = [
    ("retrain", 0, []),
    ("SISA: hash, mean", 1, ["--partition", "hash"]),
    ("GraphEraser: user, static", 1,
     ["--partition", "user", "--aggregate", "static", "--aggregate-epochs",
      "100"]),
    ("RecEraser: interaction, attention", 2,
     ["--partition", "interaction"] + ATTENTION),
    ("hash, attention: exact", 2, ["--partition", "hash"] + ATTENTION),
    ("lsh, attention: exact", 2, ["--partition", "lsh"] + ATTENTION),
]

RECERASER = 3  # of METHODS: the row that the paper times


def options_of(model, which, shards):
    """Of `which`: 0 all rows, 1 shards that answer for themselves, 2 shards
    whose vectors attention learns from.  Shards make as many steps whatever
    their number; those of attention need fewer.  Chosen on a tenth of the
    training rows."""
    if model == "wmf" and which == 2:
        return ["--epochs", str(2 * shards)]
    if model == "bpr" and which == 1:
        return ["--batch", str(8192 // shards)]
    if model == "bpr" and which == 2:
        return ["--batch", str(10240 // shards), "--epochs", "4", "--lr",
                "0.03", "--start", "0.01", "--negatives", "64"]
    if model == "lightgcn":
        return ["--epochs", "4" if which == 2 else "12",
                "--reg", "0.001" if which else "0.005"]
    return []


def setting(name, fallback):
    return os.environ.get(name, fallback)


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Store:
    """A copy of the imported data, gone with the object."""

    def __init__(self, recd, base, seed):
        self.dir = tempfile.mkdtemp(prefix="recd-forget-")
        shutil.rmtree(self.dir)
        shutil.copytree(base, self.dir)
        self.recd, self.seed = recd, seed

    def run(self, *words, timed=True):
        prefix = setting("PREFIX", "").split() if timed else []
        before = cpu_seconds()
        out = subprocess.run(
            prefix + [self.recd, "-q", "--json", "--store", self.dir, "--seed",
             str(self.seed), "--threads", setting("THREADS", "2"), *words],
            capture_output=True, text=True)
        if out.returncode != 0:
            sys.exit("failed: %s: %s" % (" ".join(words), out.stderr))
        report = json.loads(out.stdout)
        if setting("CLOCK", "wall") == "cpu" and "seconds" in report:
            report["seconds"] = cpu_seconds() - before
            for m in report.get("models", []):
                m["seconds"] = report["seconds"]
        return report

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir)


def rows_of(path):
    rows = []
    for line in open(path):
        words = line.split()
        rows += [(words[0], item) for item in words[1:]]
    return rows


def seconds_of(store, requests):
    """Each with the erasing and the certificate; and the model's part of it."""
    done = [store.run("forget", *r) for r in requests]
    return ([d["seconds"] for d in done],
            [d["models"][0]["seconds"] for d in done])


def measure(recd, base, model, which, method, shards, seed, rows, n, persons):
    with Store(recd, base, seed) as store:
        words = ["train", "--model", model, "--name", "m"]
        words += options_of(model, which, shards) + method
        if method:
            words += ["--shards", str(shards)]
        trained = store.run(*words)["seconds"]
        metrics = store.run("evaluate", "--name", "m", "--k", "10,20,50",
                            timed=False)["metrics"]
        draw = random.Random(seed)
        one, part = seconds_of(store, [("interaction", u, i)
                                       for u, i in draw.sample(rows, n)])
        known = sorted({u for u, _ in rows})
        whole, _ = seconds_of(
            store, [("user", u) for u in draw.sample(known, persons)])
    return {"trained": [trained], "recall": [metrics["recall@20"]],
            "ndcg": [metrics["ndcg@20"]], "recall10": [metrics["recall@10"]],
            "ndcg10": [metrics["ndcg@10"]], "one": one, "part": part, "whole": whole}


def quantile(x, q):
    return sorted(x)[max(0, math.ceil(q * len(x)) - 1)] if x else math.nan


def mean(x):
    return statistics.mean(x) if x else math.nan


def table(recd, base, rows, seeds, requests, persons):
    print("| model | method | recall@10 | recall@20 | spread | ndcg@10 | "
          "ndcg@20 | training s | model s | ratio | one interaction s | ratio "
          "| one person s | p50 | p95 | ratio |\n|" + "---|" * 16)
    again = int(setting("RETRAIN", "3"))
    others = int(setting("OTHERS", "100"))
    chosen = [int(m) for m in setting("METHODS", "0,1,2,3,4,5").split(",") if m]
    for model in setting("MODELS", "wmf,bpr,lightgcn").split(","):
        full = retrained = math.nan
        for m in chosen:
            name, which, method = METHODS[m]
            few = which == 0
            most = again if few else requests if m == RECERASER else others
            some = again if few else persons if m == RECERASER else others // 5
            all_runs = [measure(recd, base, model, which, method, 10, seed,
                                rows, min(requests, most), min(persons, some))
                        for seed in range(1, seeds + 1)]
            a = {k: [x for r in all_runs for x in r[k]] for k in all_runs[0]}
            if few:  # both kinds of request retrain all of it
                full = mean(a["one"] + a["whole"])
                retrained = mean(a["part"])
            print("| %s | %s | %.4f | %.4f | %.4f | %.4f | %.4f | %.1f | %.2f "
                  "| %.1fx | %.2f | %.1fx | %.2f | %.2f | %.2f | %.1fx |" %
                  (model, name, mean(a["recall10"]), mean(a["recall"]),
                   max(a["recall"]) - min(a["recall"]), mean(a["ndcg10"]),
                   mean(a["ndcg"]), mean(a["trained"]), mean(a["part"]),
                   retrained / mean(a["part"]), mean(a["one"]),
                   full / mean(a["one"]), mean(a["whole"]),
                   quantile(a["whole"], .5), quantile(a["whole"], .95),
                   full / mean(a["whole"])), flush=True)


# --- the figure --------------------------------------------------------------

COLOURS = ["#1f77b4", "#d62728", "#2ca02c"]  # of models
DASHES = ["", ' stroke-dasharray="5 3"', ' stroke-dasharray="2 2"']


def figure(recd, base, rows, requests, path):
    points = []
    for m, model in enumerate(setting("MODELS", "wmf,bpr,lightgcn").split(",")):
        whole = None
        for name, which, method in (METHODS[1], METHODS[3], METHODS[4]):
            line = []
            for k in map(int, setting("SHARDS", "1,5,10,20,50").split(",")):
                if k == 1:
                    a = whole = whole or measure(recd, base, model, 0, [], 1, 1,
                                                 rows, 1, 0)
                else:
                    a = measure(recd, base, model, which, method, k, 1, rows,
                                requests, 0)
                line.append((mean(a["one"]), a["recall"][0], k))
                print("%s, %s, K = %d: %.2f s, %.4f" %
                      (model, name, k, line[-1][0], line[-1][1]),
                      file=sys.stderr, flush=True)
            points.append(("%s, %s" % (model, name), COLOURS[m % 3],
                           DASHES[len(points) % 3], line))
    xs = [math.log10(x) for _, _, _, l in points for x, _, _ in l]
    ys = [y for _, _, _, l in points for _, y, _ in l]
    x0, x1, y0, y1 = min(xs) - .1, max(xs) + .1, min(ys) - .01, max(ys) + .01

    def at(x, y):
        return (60 + 560 * (math.log10(x) - x0) / (x1 - x0),
                380 - 340 * (y - y0) / (y1 - y0))

    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 940 440" '
           'font-family="sans-serif" font-size="12">',
           '<rect width="940" height="440" fill="white"/>',
           '<path d="M60 40V380H620" fill="none" stroke="black"/>',
           '<text x="250" y="425">seconds to forget one interaction '
           '(logarithmic)</text>',
           '<text x="12" y="30">recall@20</text>']
    for e in range(math.floor(x0), math.ceil(x1) + 1):
        if x0 <= e <= x1:
            out.append('<text x="%.0f" y="398">%g</text>' %
                       (at(10 ** e, y0)[0], 10 ** e))
    for step in range(6):
        y = y0 + (y1 - y0) * step / 5
        out.append('<text x="20" y="%.0f">%.3f</text>' % (at(1, y)[1], y))
    for i, (name, colour, dash, line) in enumerate(points):
        path_data = " ".join("%s%.1f %.1f" % ("ML"[j > 0], *at(x, y))
                             for j, (x, y, _) in enumerate(line))
        out.append('<path d="%s" fill="none" stroke="%s"%s/>' %
                   (path_data, colour, dash))
        for x, y, k in line:
            px, py = at(x, y)
            out.append('<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>'
                       '<text x="%.1f" y="%.1f" font-size="10">%d</text>' %
                       (px, py, colour, px + 4, py - 4, k))
        out.append('<path d="M635 %d h20" stroke="%s"%s/>'
                   '<text x="660" y="%d">%s</text>' %
                   (60 + 20 * i, colour, dash, 64 + 20 * i, name))
    open(path, "w").write("\n".join(out + ["</svg>\n"]))


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    recd, data = os.path.abspath(sys.argv[1]), sys.argv[2]
    requests = int(setting("REQUESTS", "100"))
    persons = int(setting("PERSONS", "20"))
    base = tempfile.mkdtemp(prefix="recd-forget-base-")
    try:
        for words in (["import"], ["import", "--as", "test"]):
            name = "test.txt" if len(words) > 1 else "train.txt"
            subprocess.run([recd, "-q", "--store", base, *words, "--format",
                            "adjacency", os.path.join(data, name)], check=True,
                           stdout=subprocess.DEVNULL)
        rows = rows_of(os.path.join(data, "train.txt"))
        table(recd, base, rows, int(setting("SEEDS", "3")), requests, persons)
        if len(sys.argv) > 3:
            figure(recd, base, rows, min(requests, 10), sys.argv[3])
    finally:
        shutil.rmtree(base)


main()
