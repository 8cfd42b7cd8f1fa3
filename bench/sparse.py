#!/usr/bin/env python3
"""python3 bench/sparse.py RECD DATA [OUT.svg] - quality of sparse re-rankers
against their weights, and against the time that a list takes; of vectors against
their bytes.

PRM behind gfcf on MovieLens-1M (LightGCN++ split), with --dim 128: shfl-bw:8 by gap
at several shares, by gap-parallel at one, nested (levels), and whole channels
(chex); with --dim 64: schedules with shfl-bw:16 (narrow); then vectors of
which a half is there.  SEEDS="1 2 3"; ONLY=gap,parallel,chex,levels,
narrow,vectors chooses.  The times are those of `recd bench kernels --kernel
rerank-list` on this machine, now.  Prints tables; draws OUT.svg.
"""
import json
import os
import subprocess
import sys
import tempfile

ALL = "gap,parallel,chex,levels,narrow,vectors"
SPARSITIES = [0.5, 0.8, 0.9, 0.95]
# options of `recd rerank compare`; then the networks: part of ONLY, sparsity, what is
# said of it in --models, name
SHFL = ["--dim", "128", "--pattern", "shfl-bw:8"], [
    ("gap", x, f"sparsity={x}", f"`gap`, {1 - x:.0%} of the weights") for x in SPARSITIES] + [
    ("parallel", 0.8, "sparsity=0.8:schedule=gap-parallel", "`gap-parallel`, 20% of the weights")]
CHANNELS = ["--dim", "128"], [
    ("dense", 0, "", "dense"),
    ("chex", 0.5, "sparsity=0.5:schedule=chex", "`chex`, 50% of the multiply-adds")]
NARROW = ["--dim", "64"], [("dense", 0, "", "dense")] + [
    ("narrow", 0.8, f"sparsity=0.8:schedule={how}", f"`{how}`, 20% of the weights")
    for how in ("gap", "gradual", "once")]
LEVELS = 3
VECTORS = [("bpr", ["--reg", "0.8"]), ("lightgcn", ["--reg", "0.005", "--negatives", "64", "--epochs", "10"]),
           ("lfm", []), ("wmf", []), ("ncf", [])]


def run(recd, store, *words):
    out = subprocess.run([recd, "-q", "--store", store, *words],
                         capture_output=True, text=True)
    if out.returncode:
        sys.exit(out.stderr)
    return out.stdout


def figures(recd, store, *more):
    out = json.loads(run(recd, store, "--json", "evaluate", "--name", "row", "--k", "20", *more))
    return out["metrics"]


def quality(recd, store, seed, model, more):
    run(recd, store, "--seed", str(seed), "train", "--model", model, "--name", "row", *more)
    return figures(recd, store)


def compared(recd, store, seeds, way, parts):
    """[(part, sparsity, name, [figures of each seed])] of the networks of these parts."""
    options, rows = way
    rows = [r for r in rows if r[0] in parts]
    found = [(part, x, name, []) for part, x, _, name in rows]
    models = ",".join(":".join(["prm"] + [said] * (said != "")) for _, _, said, _ in rows)
    for seed in seeds if rows else []:
        out = json.loads(run(recd, store, "--json", "--seed", str(seed), "rerank", "compare", "--base", "gfcf",
                             *options, "--models", models, "--k", "20", "--seeds", "1"))
        for row, after in zip(found, out["after"]):
            row[3].append(after["seeds"][0])
    return found


def nested(recd, store, seeds):
    """The levels of one network, of 5, 10 and 20 % of the weights."""
    found = [("levels", 1 - 0.2 / 2 ** (LEVELS - k), f"level {k}, {0.2 / 2 ** (LEVELS - k):.0%} of the weights", [])
             for k in range(1, LEVELS + 1)]
    for seed in seeds:
        run(recd, store, "--seed", str(seed), "train", "--model", "rerank", "--ranker", "prm", "--name", "row",
            "--sparsity", "0.8", "--levels", str(LEVELS), *SHFL[0])
        for k, row in enumerate(found):
            row[3].append(figures(recd, store, "--level", str(k + 1)))
    return found


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


INKS = {"dense": "#0f6fb5", "gap": "#0f6fb5", "parallel": "#7a3fb0", "chex": "#c2571a", "levels": "#2f8f4e"}


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
        for k, (part, word) in enumerate((("gap", "gap"), ("parallel", "gap-parallel"), ("chex", "chex"),
                                           ("levels", "levels of one"))):
            out.write(f'<text x="215" y="{140 + 14 * k}" fill="{INKS[part]}">{word}</text>')
        out.write('<text x="12" y="110" transform="rotate(-90 12 110)" text-anchor="middle">ndcg@20</text></svg>\n')


HEAD = "| {} | ndcg@20 | against dense | recall@20 | {} |\n|---|---|---|---|---|"


def row_of(name, found, dense, last):
    """found, dense: figures of each seed."""
    seeds = {m: " ".join(f"{f[m]:.4f}"[1:] for f in found) for m in ("ndcg@20", "recall@20")}
    gain = 100 * (sum(f["ndcg@20"] for f in found) / sum(f["ndcg@20"] for f in dense) - 1)
    print(f"| {name} | {seeds['ndcg@20']} | {gain:+.2f} % | {seeds['recall@20']} | {last} |", flush=True)


def wide(recd, store, seeds, only):
    """Networks of width 128; what the drawing shows."""
    took = times(recd)
    found = compared(recd, store, seeds, CHANNELS, ["dense"] + only)
    dense, drawn = found[0][3], []
    print(HEAD.format("prm --dim 128", "us a list"))
    found += compared(recd, store, seeds, SHFL, only) + (nested(recd, store, seeds) if "levels" in only else [])
    for part, x, name, of in found:
        q = [f["ndcg@20"] for f in of]
        us = took[{"dense": None, "chex": "channels"}.get(part, "shfl-bw:8"), round(x, 3)]
        row_of(name, of, dense, f"{us:.0f}")
        drawn.append((x, sum(q) / len(q), min(q), max(q), us, part))
    return sorted(drawn)


def narrow(recd, store, seeds):
    found = compared(recd, store, seeds, NARROW, ["dense", "narrow"])
    print(HEAD.format("prm --dim 64", ""))
    for _, _, name, of in found:
        row_of(name, of, found[0][3], "")


def vectors(recd, store, seeds):
    def size():
        folder = os.path.join(store, "models")
        return max(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder)
                   if f.startswith("row-"))

    print(HEAD.format("vectors", "bytes"))
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
    only = os.environ.get("ONLY", ALL).split(",")
    with tempfile.TemporaryDirectory() as folder:
        store = os.path.join(folder, "store")
        run(recd, store, "import", "--format", "adjacency", data + "/train.txt", data + "/valid.txt")
        run(recd, store, "import", "--as", "test", "--format", "adjacency", data + "/test.txt")
        rows = wide(recd, store, seeds, only) if set(only) - {"narrow", "vectors"} else []
        if "narrow" in only:
            narrow(recd, store, seeds)
        if "vectors" in only:
            vectors(recd, store, seeds)
    if len(sys.argv) > 3 and rows:
        draw(sys.argv[3], rows)


if __name__ == "__main__":
    main()
