"""Quality and time of forgetting, over models, partitions and numbers of shards.

usage: forget.py RECD DATA [SVG]

DATA: the folder of RecEraser's MovieLens-1M split (train.txt, test.txt).
The rows of the table are those of RecEraser's paper: full retraining, SISA
(whole persons by hash, mean), GraphEraser (balanced clusters of persons, learnt
weights) and RecEraser (clusters of rows, attention), and `lsh` with the mean.
A request is one random interaction, as in the paper, then one whole person, as
the law means it; each takes everything: records, models, disk, certificate.

Environment: MODELS (wmf,bpr,lightgcn), REQUESTS (100 interactions), PERSONS (20),
SEEDS (3), SHARDS (1,5,10,20,50: of the figure; the table is K = 10),
THREADS (2).  Seconds are means; p95 is of whole persons.
"""
import json
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile

METHODS = [
    ("retrain", []),
    ("SISA: hash, mean", ["--partition", "hash"]),
    ("GraphEraser: user, static",
     ["--partition", "user", "--aggregate", "static"]),
    ("RecEraser: interaction, attention",
     ["--partition", "interaction", "--aggregate", "attention",
      "--aggregate-epochs", "200"]),
    ("lsh, mean", ["--partition", "lsh"]),
]


def setting(name, fallback):
    return os.environ.get(name, fallback)


class Store:
    """A copy of the imported data, gone with the object."""

    def __init__(self, recd, base, seed):
        self.dir = tempfile.mkdtemp(prefix="recd-forget-")
        shutil.rmtree(self.dir)
        shutil.copytree(base, self.dir)
        self.recd, self.seed = recd, seed

    def run(self, *words):
        out = subprocess.run(
            [self.recd, "-q", "--json", "--store", self.dir, "--seed",
             str(self.seed), "--threads", setting("THREADS", "2"), *words],
            capture_output=True, text=True)
        if out.returncode != 0:
            sys.exit("failed: %s: %s" % (" ".join(words), out.stderr))
        return json.loads(out.stdout)

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
    """Each with the erasing and the certificate."""
    return [store.run("forget", *r)["seconds"] for r in requests]


def measure(recd, base, model, method, shards, seed, rows, n, persons):
    with Store(recd, base, seed) as store:
        words = ["train", "--model", model, "--name", "m"] + method
        if method:
            words += ["--shards", str(shards)]
        trained = store.run(*words)["seconds"]
        metrics = store.run("evaluate", "--name", "m", "--k", "10,20")["metrics"]
        draw = random.Random(seed)
        chosen = draw.sample(rows, n)
        one = seconds_of(store, [("interaction", u, i) for u, i in chosen])
        known = sorted({u for u, _ in rows})
        whole = seconds_of(
            store, [("user", u) for u in draw.sample(known, persons)])
    return {"trained": trained, "recall": metrics["recall@20"],
            "ndcg": metrics["ndcg@20"], "one": statistics.mean(one),
            "whole": statistics.mean(whole),
            "p95": sorted(whole)[math.ceil(.95 * len(whole)) - 1]}


def average(runs):
    return {k: statistics.mean(r[k] for r in runs) for k in runs[0]}


def table(recd, base, rows, seeds, requests, persons):
    print("| model | method | recall@20 | spread | ndcg@20 | training s | "
          "one interaction s | ratio | one person s | p95 | ratio |\n|" +
          "---|" * 11)
    for model in setting("MODELS", "wmf,bpr,lightgcn").split(","):
        full = None
        for name, method in METHODS:
            few = name == "retrain"
            runs = [measure(recd, base, model, method, 10, seed, rows,
                            min(requests, 3) if few else requests,
                            min(persons, 3) if few else persons)
                    for seed in range(1, seeds + 1)]
            a = average(runs)
            spread = (max(r["recall"] for r in runs) -
                      min(r["recall"] for r in runs))
            full = full or a
            print("| %s | %s | %.4f | %.4f | %.4f | %.1f | %.2f | %.1fx | "
                  "%.2f | %.2f | %.1fx |" %
                  (model, name, a["recall"], spread, a["ndcg"], a["trained"],
                   a["one"], full["one"] / a["one"], a["whole"], a["p95"],
                   full["whole"] / a["whole"]), flush=True)


# --- the figure --------------------------------------------------------------

COLOURS = ["#1f77b4", "#d62728", "#2ca02c"]


def figure(recd, base, rows, requests, persons, path):
    points = []
    for m, model in enumerate(setting("MODELS", "wmf,bpr,lightgcn").split(",")):
        for name, method in (METHODS[1], METHODS[3]):
            line = []
            for k in map(int, setting("SHARDS", "1,5,10,20,50").split(",")):
                a = measure(recd, base, model, method if k > 1 else [], k, 1,
                            rows, requests, persons)
                line.append((a["one"], a["recall"], k))
            points.append(("%s, %s" % (model, name), COLOURS[m % 3],
                           name.startswith("Rec"), line))
    xs = [math.log10(x) for _, _, _, l in points for x, _, _ in l]
    ys = [y for _, _, _, l in points for _, y, _ in l]
    x0, x1, y0, y1 = min(xs) - .1, max(xs) + .1, min(ys) - .01, max(ys) + .01

    def at(x, y):
        return (60 + 560 * (math.log10(x) - x0) / (x1 - x0),
                380 - 340 * (y - y0) / (y1 - y0))

    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 440" '
           'font-family="sans-serif" font-size="12">',
           '<rect width="860" height="440" fill="white"/>',
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
    for i, (name, colour, dashed, line) in enumerate(points):
        path_data = " ".join("%s%.1f %.1f" % ("ML"[j > 0], *at(x, y))
                             for j, (x, y, _) in enumerate(line))
        dash = ' stroke-dasharray="5 3"' if dashed else ""
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
            figure(recd, base, rows, min(requests, 10), min(persons, 3),
                   sys.argv[3])
    finally:
        shutil.rmtree(base)


main()
