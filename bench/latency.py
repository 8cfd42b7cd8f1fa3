"""How long a forget request takes, whole: records, models, disk, certificate.

usage: latency.py RECD DATA [MODEL ...]

DATA: the folder of RecEraser's MovieLens-1M split (train.txt).  MODEL: a model,
or a model and options joined by commas, such as wmf,shards=10,slices=5 (default:
those of docs/unlearning.md).  For each: training, PERSONS single persons drawn
by the seed, then batches of BATCHES persons, each on a fresh copy of the store.

  serves    ms from the removal's commit until the corrected model serves
  certified s of one whole person until the certificate is there
  batch     s of that many persons at once, and persons a second
  full      s of training the model again and keeping it (`recd train`)

Environment: PERSONS (20), BATCHES (60,200), THREADS (2), SEED (1).
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
import time

MODELS = ["pop", "itemknn", "ease,reg=1200", "ease", "bpr,shards=10",
          "bpr,shards=10,slices=5", "wmf,shards=10", "wmf,shards=10,slices=5"]


def setting(name, fallback):
    return os.environ.get(name, fallback)


def run(recd, store, *words):
    out = subprocess.run(
        [recd, "-q", "--json", "--store", store, "--seed", setting("SEED", "1"),
         "--threads", setting("THREADS", "2"), *words],
        capture_output=True, text=True)
    if out.returncode != 0:
        sys.exit("failed: %s: %s" % (" ".join(words), out.stderr))
    return json.loads(out.stdout)


def quantile(x, q):
    return sorted(x)[math.ceil(q * len(x)) - 1]


def options(spec):
    model, *rest = spec.split(",")
    return ["--model", model, "--name", "m"] + [
        w for pair in rest for w in ("--" + pair.split("=")[0],
                                     pair.split("=")[1])]


def one_by_one(recd, store, persons):
    """Seconds of each, and of those that were corrected until they served."""
    whole, serves = [], []
    for who in persons:
        report = run(recd, store, "forget", "user", who)
        whole.append(report["seconds"])
        serves += [m["seconds"] for m in report.get("interim", [])]
    return whole, serves


def batch(recd, base, persons):
    store = tempfile.mkdtemp(prefix="recd-latency-")
    shutil.rmtree(store)
    shutil.copytree(base, store)
    path = os.path.join(store, "requests.txt")
    with open(path, "w") as f:
        f.writelines("user %s\n" % who for who in persons)
    seconds = run(recd, store, "forget", "--from", path)["seconds"]
    shutil.rmtree(store)
    return seconds


def measure(recd, base, spec, persons, batches):
    start = time.monotonic()
    run(recd, base, "train", *options(spec))
    full = time.monotonic() - start
    sizes = [(n, batch(recd, base, persons[:n])) for n in batches]
    whole, serves = one_by_one(recd, base, persons[:int(setting("PERSONS", "20"))])
    run(recd, base, "remove", "m")
    cells = [spec, "%.2f" % full]
    cells.append("%.1f / %.1f" % (1e3 * statistics.median(serves),
                                  1e3 * quantile(serves, .95))
                 if serves else "-")
    cells.append("%.2f / %.2f" % (statistics.median(whole),
                                  quantile(whole, .95)))
    cells.append("%.1f" % (full / statistics.mean(whole)))
    cells += ["%.2f (%.0f)" % (s, n / s) for n, s in sizes]
    print("| " + " | ".join(cells) + " |", flush=True)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    recd, data, *models = sys.argv[1:]
    batches = [int(n) for n in setting("BATCHES", "60,200").split(",")]
    rows = os.path.join(data, "train.txt")
    base = tempfile.mkdtemp(prefix="recd-latency-base-")
    print("| model | full s | serves ms p50 / p95 | certified s p50 / p95 | "
          "full / certified | " +
          " | ".join("batch of %d: s (persons/s)" % n for n in batches) +
          " |\n|" + "---|" * (5 + len(batches)))
    try:
        run(recd, base, "import", "--format", "adjacency", rows)
        known = sorted(line.split()[0] for line in open(rows))
        draw = random.Random(int(setting("SEED", "1")))
        for spec in models or MODELS:
            measure(recd, base, spec, draw.sample(known, 1000), batches)
            shutil.rmtree(base)
            run(recd, base, "import", "--format", "adjacency", rows)
    finally:
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
