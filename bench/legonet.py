"""The curve of legonet: quality against the time of a forget request.

usage: legonet.py RECD DATA [SVG]

DATA: a folder with train.txt and test.txt (RecEraser's MovieLens-1M split, or
Gowalla), or with pairs.tsv and movies.dat (MovieLens-1M with its catalogue; a
fifth of everybody's rows is held out).  Each point is
adapters:active:reg[:encoder[:heads]] (learnt heads have no reg); a tenth of the people, drawn by the first
seed, is declared public, and requests come from the others.  A request takes
everything: records, model, disk, certificate; `model` is the model's part, `first
list` is a `recd recommend` afterwards, which makes the inverses that it needs;
`MB` is the most memory that training or a request held.  The last rows are PEERS,
models and shards such as "ease:1 wmf:1 wmf:10", trained and forgotten the same
way (wmf:10 with RecEraser's partition and attention).

Environment: POINTS, PEERS (ease:1 wmf:10), SEEDS (3), REQUESTS (20 persons and
20 interactions a seed), PEER_REQUESTS (2), PEER_SEEDS (SEEDS), WMF (further
options of wmf), THREADS (2).
"""
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

POINTS = ("64:1:40 64:2:60 64:4:100 64:8:150 64:16:300 128:8:100 128:16:150 "
          "256:16:100 64:1:40:public 64:2:60:public 64:4:100:public "
          "64:8:150:public 64:16:300:public 64:1:1:public:softmax "
          "64:2:1:public:softmax 64:4:1:public:softmax 64:8:1:public:softmax")


def setting(name, fallback):
    return os.environ.get(name, fallback)


def run(recd, store, seed, *words):
    """The JSON answer; "peak" is added: megabytes, by GNU time (a process that
    Python starts itself is said to have held what Python held)."""
    timed = os.path.exists("/usr/bin/time")
    with tempfile.NamedTemporaryFile("w+") as peak:
        out = subprocess.run(
            (["/usr/bin/time", "-f", "%M", "-o", peak.name] if timed else []) +
            [recd, "-q", "--json", "--store", store, "--seed", str(seed),
             "--threads", setting("THREADS", "2"), *words],
            capture_output=True, text=True)
        if out.returncode != 0:
            sys.exit("failed: %s: %s" % (" ".join(words), out.stderr))
        answer = json.loads(out.stdout) if out.stdout.strip() else {}
        held = float(peak.read()) / 1024 if timed else float("nan")
        return dict(answer, peak=held)


def rows_of(recd, store):
    """Everybody's training rows."""
    rows = {}
    out = subprocess.run([recd, "-q", "--store", store, "export"],
                         capture_output=True, text=True, check=True)
    for line in out.stdout.splitlines()[1:]:
        words = line.split(",")
        rows.setdefault(words[0], []).append(words[1])
    return rows


def make_store(recd, data):
    """A store, and the private people's rows."""
    base = tempfile.mkdtemp(prefix="recd-legonet-base-")
    train = os.path.join(data, "train.txt")
    if os.path.exists(train):
        run(recd, base, 1, "import", train)
        run(recd, base, 1, "import", "--as", "test",
            os.path.join(data, "test.txt"))
    else:
        run(recd, base, 1, "import", "--catalogue",
            os.path.join(data, "movies.dat"), os.path.join(data, "pairs.tsv"))
        run(recd, base, 1, "split", "--test", ".2")
    rows = rows_of(recd, base)
    public = random.Random(1).sample(sorted(rows), len(rows) // 10)
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as out:
        out.write("user,item\n")
        for user in public:
            out.writelines("%s,%s\n" % (user, item) for item in rows.pop(user))
        out.flush()
        run(recd, base, 1, "import", "--public", out.name)
    return base, rows


def requests(rows, seed, n):
    draw = random.Random(seed)
    people = draw.sample(sorted(rows), 2 * n)
    return [("user", u) for u in people[:n]] + [
        ("interaction", u, draw.choice(rows[u])) for u in people[n:]]


def measure(recd, base, rows, seed, words, n_requests):
    store = tempfile.mkdtemp(prefix="recd-legonet-")
    shutil.rmtree(store)
    shutil.copytree(base, store)
    trained = run(recd, store, seed, "train", *words)
    metrics = run(recd, store, seed, "evaluate", "--k", "20")["metrics"]
    whole, model, first = [], [], []
    peak = trained["peak"]
    for request in requests(rows, seed, n_requests):
        done = run(recd, store, seed, "forget", *request)
        whole.append(done["seconds"])
        model.append(sum(m["seconds"] for m in done["models"]))
        peak = max(peak, done["peak"])
    for user in requests(rows, seed + 100, 5):
        start = time.monotonic()
        subprocess.run([recd, "-q", "--store", store, "recommend", "--user",
                        user[1]], capture_output=True)
        first.append(time.monotonic() - start)
    size = sum(os.path.getsize(os.path.join(store, "models", f))
               for f in os.listdir(os.path.join(store, "models")))
    shutil.rmtree(store)
    return (metrics["recall@20"], metrics["ndcg@20"], trained["seconds"],
            whole, model, first, size, peak)


def p99(x):
    return sorted(x)[min(len(x) - 1, int(0.99 * len(x)))]


def row(name, runs):
    whole = [s for r in runs for s in r[3]]
    model = [s for r in runs for s in r[4]]
    out = (statistics.mean(r[0] for r in runs),
           statistics.mean(r[1] for r in runs), statistics.mean(model))
    print("| %s | %.4f | %.4f | %.2f | %.0f | %.0f | %.0f | %.0f | %.0f | %.1f "
          "| %.0f |"
          % (name, out[0], out[1], statistics.mean(r[2] for r in runs),
             1e3 * out[2], 1e3 * p99(model), 1e3 * statistics.mean(whole),
             1e3 * p99(whole),
             1e3 * statistics.median(s for r in runs for s in r[5]),
             runs[0][6] / 1e6, max(r[7] for r in runs)), flush=True)
    ready = out[2] + statistics.median(s for r in runs for s in r[5])
    return (name, out[0], out[1], ready)


SERIES = (("signs, closed forms", "#c2410c"), ("attributes", "#a16207"),
          ("public people, closed forms", "#15803d"),
          ("learnt heads", "#7e22ce"), ("peers", "#0f6fb5"))


def series(name):
    """Number in SERIES, and the words on the figure."""
    words = name.split(":")
    if not name[0].isdigit():
        return 4, name
    short = ":".join(words[:2])
    if "softmax" in words:
        return 3, short
    return (2 if "public" in words else 1 if "attributes" in words else 0), short


def draw(points, path):
    """Milliseconds from request to first list (logarithmic) against recall@20."""
    import math
    lo = math.floor(math.log10(min(p[3] for p in points) * 1e3))
    hi = math.ceil(math.log10(max(p[3] for p in points) * 1e3))
    least = math.floor(min(p[1] for p in points) * 50) / 50
    most = math.ceil(max(p[1] for p in points) * 50) / 50

    def x(p):
        return 60 + 520 * (math.log10(p[3] * 1e3) - lo) / max(1, hi - lo)

    def y(value):
        return 300 - 270 * (value - least) / (most - least)

    with open(path, "w") as out:
        out.write('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 350"'
                  ' font-family="sans-serif" font-size="11">\n')
        out.write('<path d="M60 20 V300 H600" fill="none" stroke="#555"/>\n')
        for e in range(lo, hi + 1):
            at = 60 + 520 * (e - lo) / max(1, hi - lo)
            out.write('<text x="%.0f" y="316" text-anchor="middle">%g ms</text>'
                      '\n' % (at, 10.0 ** e))
        for t in range(round(least * 50), round(most * 50) + 1):
            out.write('<path d="M60 %.1f H600" stroke="#eee"/><text x="54" '
                      'y="%.1f" text-anchor="end">%.2f</text>\n'
                      % (y(t / 50), y(t / 50) + 4, t / 50))
        out.write('<text x="330" y="338" text-anchor="middle">repair of the '
                  'model and first list after it; adapters:active</text>\n'
                  '<text x="16" y="160" transform="rotate(-90 16 160)" '
                  'text-anchor="middle">recall@20</text>\n')
        used = sorted(set(series(p[0])[0] for p in points))
        for n, k in enumerate(used):
            out.write('<circle cx="430" cy="%d" r="4" fill="%s"/><text x="440" '
                      'y="%d">%s</text>\n' % (225 + 15 * n, SERIES[k][1],
                                              229 + 15 * n, SERIES[k][0]))
        labels = []
        for p in sorted(points, key=x):
            k, words = series(p[0])
            places = [(x(p) + 6, y(p[1]) + 4 + up)
                      for up in (0, -9, 12, -18, 21, -27, 30)]
            at = next((q for q in places
                       if not any(abs(q[1] - b) < 9 and abs(q[0] - a) < 30
                                  for a, b in labels)), places[0])
            labels.append(at)
            out.write('<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>\n<text '
                      'x="%.1f" y="%.1f" font-size="9">%s</text>\n'
                      % (x(p), y(p[1]), SERIES[k][1], at[0], at[1], words))
        out.write("</svg>\n")


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    recd = os.path.abspath(sys.argv[1])
    seeds = range(1, 1 + int(setting("SEEDS", "3")))
    base, rows = make_store(recd, sys.argv[2])
    print("| adapters:active:reg | recall@20 | ndcg@20 | training s | model ms |"
          " p99 | request ms | p99 | first list ms | weights MB | MB |\n"
          "|---|---|---|---|---|---|---|---|---|---|---|")
    points = []
    for point in setting("POINTS", POINTS).split():
        n, a, reg, encoder, heads = (point.split(":") + ["signs", "ease"][
            point.count(":") - 2:])[:5]
        words = ["--model", "legonet", "--adapters", n, "--active", a,
                 "--encoder", encoder, "--heads", heads]
        if heads == "ease":
            words += ["--reg", reg]
        points.append(row(point, [
            measure(recd, base, rows, s, words, int(setting("REQUESTS", "20")))
            for s in seeds]))
    for peer in setting("PEERS", "ease:1 wmf:10").split():
        model, shards = peer.split(":")
        words = ["--model", model, "--shards", shards]
        if int(shards) > 1:
            words += ["--partition", "interaction", "--aggregate", "attention"]
        if model == "wmf":
            words += setting("WMF", "").split()
        points.append(row(peer, [
            measure(recd, base, rows, s, words,
                    int(setting("PEER_REQUESTS", "2")))
            for s in seeds[:int(setting("PEER_SEEDS", "99"))]]))
    shutil.rmtree(base)
    if len(sys.argv) > 3:
        draw(points, sys.argv[3])


if __name__ == "__main__":
    main()
