#!/usr/bin/env python3
"""python3 bench/sparse.py RECD DATA [OUT.svg] - quality of sparse re-rankers
against their weights, and against the time that a list takes.

PRM with --dim 128 behind gfcf on MovieLens-1M (LightGCN++ split), shfl-bw:8, gap;
seeds: SEEDS="1 2 3".  The times are those of `recd bench kernels --kernel
rerank-list` on this machine, now.  Prints the table; draws OUT.svg.
"""
import json
import os
import subprocess
import sys
import tempfile

SPARSITIES = [0, 0.5, 0.8, 0.9, 0.95]


def run(recd, store, *words):
    out = subprocess.run([recd, "-q", "--store", store, *words],
                         capture_output=True, text=True)
    if out.returncode:
        sys.exit(out.stderr)
    return out.stdout


def quality(recd, store, seed, sparsity):
    more = [] if sparsity == 0 else ["--sparsity", str(sparsity), "--pattern", "shfl-bw:8"]
    run(recd, store, "--seed", str(seed), "train", "--model", "rerank", "--ranker", "prm",
        "--dim", "128", "--name", "row", *more)
    out = json.loads(run(recd, store, "--json", "evaluate", "--name", "row", "--k", "20"))
    return out["metrics"]["ndcg@20"]


def times(recd):
    """Microseconds of a list at each sparsity."""
    out = json.loads(subprocess.run([recd, "--json", "bench", "kernels", "--kernel", "rerank-list"],
                                    capture_output=True, text=True, check=True).stdout)
    found = {}
    for row in out["rows"]:
        if row["shape"].startswith("prm-128 shfl-bw:8 "):
            found[float(row["shape"].split()[-1])] = row["value"]
            found[0] = row["anchor_value"]
    return found


def axis(out, x0, label, ticks, place):
    out.write(f'<path d="M{x0} 20V200H{x0 + 230}" fill="none" stroke="#888"/>')
    out.write(f'<text x="{x0 + 115}" y="235" text-anchor="middle">{label}</text>')
    for t in ticks:
        out.write(f'<text x="{place(t):.1f}" y="215" text-anchor="middle">{t:g}</text>')


def draw(path, rows):
    """rows: (sparsity, mean, least, most, microseconds)."""
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
            points = " ".join(f"{place(of(r)):.1f},{y(r[1]):.1f}" for r in rows)
            out.write(f'<polyline points="{points}" fill="none" stroke="#0f6fb5"/>')
            for r in rows:
                x = place(of(r))
                out.write(f'<path d="M{x:.1f} {y(r[2]):.1f}V{y(r[3]):.1f}" stroke="#0f6fb5"/>'
                          f'<circle cx="{x:.1f}" cy="{y(r[1]):.1f}" r="3" fill="#0f6fb5"/>')
        for q in (low + 0.0005, high - 0.0005):
            out.write(f'<text x="55" y="{y(q):.1f}" text-anchor="end">{q:.4f}</text>')
        out.write('<text x="12" y="110" transform="rotate(-90 12 110)" text-anchor="middle">ndcg@20</text></svg>\n')


def main():
    if len(sys.argv) < 3 or not os.path.isdir(os.path.join(sys.argv[2], "ml-1m-lightgcnpp")):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    recd, data = sys.argv[1], os.path.join(sys.argv[2], "ml-1m-lightgcnpp")
    seeds = [int(s) for s in os.environ.get("SEEDS", "1 2 3").split()]
    took = times(recd)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        store = os.path.join(folder, "store")
        run(recd, store, "import", "--format", "adjacency", data + "/train.txt", data + "/valid.txt")
        run(recd, store, "import", "--as", "test", "--format", "adjacency", data + "/test.txt")
        print("| weights kept | ndcg@20, mean (least to most) | against dense | us a list |\n|---|---|---|---|")
        for s in SPARSITIES:
            q = [quality(recd, store, seed, s) for seed in seeds]
            rows.append((s, sum(q) / len(q), min(q), max(q), took[s]))
            print(f"| {1 - s:.0%} | {rows[-1][1]:.4f} ({min(q):.4f} to {max(q):.4f}) | "
                  f"{100 * (rows[-1][1] / rows[0][1] - 1):+.2f} % | {took[s]:.0f} |", flush=True)
    if len(sys.argv) > 3:
        draw(sys.argv[3], rows)


if __name__ == "__main__":
    main()
