#!/usr/bin/env python3
"""python3 bench/sparse.py RECD DATA [OUT.svg] - quality of sparse re-rankers
against their weights, and against the time that a list takes; of vectors against
their bytes.

PRM with --dim 128 behind gfcf on MovieLens-1M (LightGCN++ split): shfl-bw:8 by gap
at several shares, by gap-parallel at one, and whole channels (chex); then
bpr and lightgcn with vectors of which a half is there.  SEEDS="1 2 3";
ONLY=gap,parallel,chex,vectors chooses.  The times are those of `recd bench
kernels --kernel rerank-list` on this machine, now.  Prints tables; draws OUT.svg.
"""
import json
import os
import subprocess
import sys
import tempfile

SPARSITIES = [0, 0.5, 0.8, 0.9, 0.95]
SHFL = ["--pattern", "shfl-bw:8"]
# what --sparsity X is followed by; X; the name of the row; part of ONLY
WAYS = [(SHFL, x, f"`gap`, {1 - x:.0%} of the weights", "gap") for x in SPARSITIES[1:]] + [
    (SHFL + ["--schedule", "gap-parallel"], 0.8, "`gap-parallel`, 20% of the weights", "parallel"),
    (["--schedule", "chex"], 0.5, "`chex`, 50% of the multiply-adds", "chex")]
VECTORS = [("bpr", []), ("lightgcn", ["--reg", "0.005", "--negatives", "64", "--epochs", "10"])]


def run(recd, store, *words):
    out = subprocess.run([recd, "-q", "--store", store, *words],
                         capture_output=True, text=True)
    if out.returncode:
        sys.exit(out.stderr)
    return out.stdout


def ndcg(recd, store):
    out = json.loads(run(recd, store, "--json", "evaluate", "--name", "row", "--k", "20"))
    return out["metrics"]["ndcg@20"]


def quality(recd, store, seed, model, more):
    run(recd, store, "--seed", str(seed), "train", "--model", model, "--name", "row", *more)
    return ndcg(recd, store)


def rerank(recd, store, seed, more):
    return quality(recd, store, seed, "rerank", ["--ranker", "prm", "--dim", "128", *more])


def times(recd):
    """Microseconds of a list, by pattern and sparsity; (None, 0) is dense."""
    out = json.loads(subprocess.run([recd, "--json", "bench", "kernels", "--kernel", "rerank-list"],
                                    capture_output=True, text=True, check=True).stdout)
    found = {}
    for row in out["rows"]:
        name, pattern, share = row["shape"].split()
        if name == "prm-128":
            found[pattern, float(share)] = row["value"]
            found[None, 0] = row["anchor_value"]
    return found


INKS = {"dense": "#0f6fb5", "gap": "#0f6fb5", "parallel": "#7a3fb0", "chex": "#c2571a"}


def axis(out, x0, label, ticks, place):
    out.write(f'<path d="M{x0} 20V200H{x0 + 230}" fill="none" stroke="#888"/>')
    out.write(f'<text x="{x0 + 115}" y="235" text-anchor="middle">{label}</text>')
    for t in ticks:
        out.write(f'<text x="{place(t):.1f}" y="215" text-anchor="middle">{t:g}</text>')


def draw(path, rows):
    """rows: (sparsity, mean, least, most, microseconds, part of ONLY)."""
    low = min(r[2] for r in rows) - 0.0005
    high = max(r[3] for r in rows) + 0.0005
    slow = max(r[4] for r in rows) * 1.05
    y = lambda q: 200 - (q - low) / (high - low) * 180
    places = [(60, "share of the weights", [0.05, 0.2, 0.5, 1], lambda v: 60 + 230 * v / 1.05,
               lambda r: 1 - r[0]),
              (370, "microseconds a list of 50", [round(slow / 4 * k) for k in range(1, 4)],
               lambda v: 370 + 230 * v / slow, lambda r: r[4])]
    with open(path, "w", encoding="utf-8") as out:
        out.write('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 620 250" font-family="sans-serif" '
                  'font-size="11"><title>Quality of sparse re-rankers</title>'
                  '<rect width="620" height="250" fill="#fff"/>')
        for x0, label, ticks, place, of in places:
            axis(out, x0, label, ticks, place)
            line = [r for r in rows if r[5] in ("dense", "gap")]
            points = " ".join(f"{place(of(r)):.1f},{y(r[1]):.1f}" for r in line)
            out.write(f'<polyline points="{points}" fill="none" stroke="#0f6fb5"/>')
            for r in rows:
                x, ink = place(of(r)), INKS[r[5]]
                out.write(f'<path d="M{x:.1f} {y(r[2]):.1f}V{y(r[3]):.1f}" stroke="{ink}"/>'
                          f'<circle cx="{x:.1f}" cy="{y(r[1]):.1f}" r="3" fill="{ink}"/>')
        for q in (low + 0.0005, high - 0.0005):
            out.write(f'<text x="55" y="{y(q):.1f}" text-anchor="end">{q:.4f}</text>')
        for k, (part, word) in enumerate((("gap", "gap"), ("parallel", "gap-parallel"), ("chex", "chex"))):
            out.write(f'<text x="230" y="{150 + 14 * k}" fill="{INKS[part]}">{word}</text>')
        out.write('<text x="12" y="110" transform="rotate(-90 12 110)" text-anchor="middle">ndcg@20</text></svg>\n')


def row_of(name, q, dense, took):
    print(f"| {name} | {sum(q) / len(q):.4f} ({min(q):.4f} to {max(q):.4f}) | "
          f"{100 * (sum(q) / sum(dense) - 1):+.2f} % | {took} |", flush=True)


def rerankers(recd, store, seeds, only):
    took = times(recd)
    dense = [rerank(recd, store, seed, []) for seed in seeds]
    rows = [(0, sum(dense) / len(dense), min(dense), max(dense), took[None, 0], "dense")]
    print("| PRM | ndcg@20, mean (least to most) | against dense | us a list |\n|---|---|---|---|")
    row_of("dense", dense, dense, f"{took[None, 0]:.0f}")
    for more, x, name, part in WAYS:
        if part not in only:
            continue
        q = [rerank(recd, store, seed, ["--sparsity", str(x), *more]) for seed in seeds]
        us = took["channels" if part == "chex" else "shfl-bw:8", x]
        rows.append((x, sum(q) / len(q), min(q), max(q), us, part))
        row_of(name, q, dense, f"{us:.0f}")
    return rows


def vectors(recd, store, seeds):
    def size():
        folder = os.path.join(store, "models")
        return max(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder)
                   if f.startswith("row-"))

    print("| vectors | ndcg@20, mean (least to most) | against dense | bytes |\n|---|---|---|---|")
    for model, more in VECTORS:
        dense = None
        for name, thin in (("dense", []), ("`dsl`", ["--sparsity", "0.5"]),
                           ("`once`", ["--sparsity", "0.5", "--schedule", "once"])):
            q = [quality(recd, store, seed, model, more + thin) for seed in seeds]
            dense = dense or q
            row_of(f"`{model}`, {name}", q, dense, size())


def main():
    if len(sys.argv) < 3 or not os.path.isdir(os.path.join(sys.argv[2], "ml-1m-lightgcnpp")):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    recd, data = sys.argv[1], os.path.join(sys.argv[2], "ml-1m-lightgcnpp")
    seeds = [int(s) for s in os.environ.get("SEEDS", "1 2 3").split()]
    only = os.environ.get("ONLY", "gap,parallel,chex,vectors").split(",")
    with tempfile.TemporaryDirectory() as folder:
        store = os.path.join(folder, "store")
        run(recd, store, "import", "--format", "adjacency", data + "/train.txt", data + "/valid.txt")
        run(recd, store, "import", "--as", "test", "--format", "adjacency", data + "/test.txt")
        rows = rerankers(recd, store, seeds, only) if set(only) - {"vectors"} else []
        if "vectors" in only:
            vectors(recd, store, seeds)
    if len(sys.argv) > 3 and rows:
        draw(sys.argv[3], rows)


if __name__ == "__main__":
    main()
