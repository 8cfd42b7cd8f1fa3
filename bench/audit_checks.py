"""What every audit must pass: no finding in one population, order and threads
of no matter, swapped labels, minutes.

usage: audit_checks.py RECD DATA     (DATA: the folder with dlmia/)

null      the strangers of GRU4Rec's lists, who are all of one kind, are called
          members and others at random, 100 times over: how many 95 % intervals of
          the area cover one half, how many lower bounds of epsilon are above 0.
swapped   members and others change places: areas must add up to one.
threads   report, scores and figures with one thread and with two.
time      seconds of one pair of published lists, controls included.

Environment: SPLITS (100), FIRST (0), of them; CHECKS ("null swapped threads time"); THREADS (2), of
the last part.
"""
import collections
import gzip
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time

LISTS = ["popularity", "overlap", "sf-mia", "lists"]
LEARNED = LISTS + ["st-mia", "dl-mia"]


def lines_of(path):
    """Lines by person."""
    people = collections.OrderedDict()
    with (gzip.open(path, "rt") if path.endswith(".gz") else open(path)) as f:
        for line in f:
            user = line.replace(",", "\t").split("\t")[0]
            people.setdefault(user, []).append(line)
    return people


class Pair:
    """GRU4Rec's lists on MovieLens-1M; T is the target, S the shadow."""

    def __init__(self, program, data, tmp):
        self.program, self.tmp = program, tmp
        sr = os.path.join(data, "dlmia", "sr")
        self.vectors = os.path.join(tmp, "vectors")
        with open(os.path.join(sr, "base", "ml-1m_itemDict")) as names, open(
                os.path.join(sr, "base", "ml-1m_itemMatrix.txt")) as rows, open(
                    self.vectors, "w") as out:
            for name, row in zip(names, rows):
                out.write(" ".join([name.split()[0]] + row.split()) + "\n")
        at = os.path.join(sr, "gru4rec", "ml-1m_")
        self.sides = {}
        for side in "TS":
            self.sides[side, "member"] = (
                at + side + "member_train",
                at + side + "member_recommendations.gz")
            self.sides[side, "other"] = (
                at + side + "nonmem_train",
                at + side + "nonmem_recommendation.gz")

    def audit(self, attacks, target, shadow=None, threads=1, extra=()):
        words = [self.program, "-q", "audit", "membership", "--json", "--seed",
                 "1", "--threads", str(threads), "--attack", ",".join(attacks),
                 "--item-vectors", self.vectors,
                 "--target-members", target[0][0],
                 "--member-lists", target[0][1],
                 "--target-nonmembers", target[1][0],
                 "--nonmember-lists", target[1][1]]
        if shadow:
            words += ["--shadow-members", shadow[0][0],
                      "--shadow-member-lists", shadow[0][1],
                      "--shadow-nonmembers", shadow[1][0],
                      "--shadow-nonmember-lists", shadow[1][1]]
        # Threads that wait do not spin: others may use this machine, too.
        run = subprocess.run(words + list(extra), capture_output=True,
                             text=True, env=dict(
                                 os.environ, OMP_WAIT_POLICY="passive"))
        if run.returncode not in (0, 3):
            sys.exit("failed: " + run.stderr)
        return json.loads(run.stdout)

    def both(self, side):
        return self.sides[side, "member"], self.sides[side, "other"]


def figures(report):
    return dict((a["attack"], a) for a in report["attacks"])


def coin(*key):
    return hashlib.sha256(repr(key).encode()).digest()[0] & 1


def halves(rows, name, tmp, split):
    """Histories and lists of one kind of people, parted by fair coins."""
    people = [u for u in rows[0] if u in rows[1]]
    member = set(u for u in people if coin(split, name, u))
    out = []
    for kind in (True, False):
        paths = []
        for part, lines in zip(("train.csv", "list.tsv"), rows):
            path = os.path.join(tmp, "%s-%s-%s" % (name, kind, part))
            with open(path, "w") as f:
                for u in people:
                    if (u in member) is kind:
                        f.writelines(lines[u])
            paths.append(path)
        out.append(tuple(paths))
    return out


def null(pair):
    splits = int(os.environ.get("SPLITS", "100"))
    rows = dict((s, [lines_of(p) for p in pair.sides[s, "other"]])
                for s in "TS")
    cover, above = collections.Counter(), collections.Counter()
    first = int(os.environ.get("FIRST", "0"))
    for split in range(first, first + splits):
        target = halves(rows["T"], "target", pair.tmp, split)
        shadow = halves(rows["S"], "shadow", pair.tmp, split)
        for name, a in figures(pair.audit(LISTS, target, shadow)).items():
            lo, hi = a["auc_ci"]
            cover[name] += lo <= .5 <= hi
            above[name] += a["epsilon"]["rates"] > 0
    print("null: %d splits of one population" % splits)
    for name in LISTS:
        print("  %-10s  %d intervals cover .5, %d bounds of epsilon above 0"
              % (name, cover[name], above[name]))


def swapped(pair):
    member, other = pair.both("T")
    shadow = pair.both("S")
    one = figures(pair.audit(LEARNED, (member, other), shadow))
    two = figures(pair.audit(LEARNED, (other, member), shadow))
    print("swapped: area, area with members and others exchanged, their sum")
    for name in LEARNED:
        a, b = one[name]["auc"], two[name]["auc"]
        print("  %-10s  %.10f  %.10f  %.10f" % (name, a, b, a + b))


def threads(pair):
    got = []
    for n in (1, 2):
        paths = [os.path.join(pair.tmp, "%d.%s" % (n, e))
                 for e in ("html", "csv")]
        report = pair.audit(LEARNED, pair.both("T"), pair.both("S"), n,
                            ["--report", paths[0], "--scores", paths[1]])
        report.pop("seconds")
        got.append([open(p, "rb").read() for p in paths] +
                   [json.dumps(report)])
    for what, a, b in zip(("report", "scores", "figures"), *got):
        print("threads: %s of one and of two are %s (%d bytes)" % (
            what, "equal" if a == b else "DIFFERENT", len(a)))


def clock(pair):
    n = int(os.environ.get("THREADS", "2"))
    for attacks in (LISTS, ["st-mia"], ["dl-mia"]):
        start = time.monotonic()
        pair.audit(attacks, pair.both("T"), pair.both("S"), n)
        print("time: %s: %.1f s on %d threads" % (
            ",".join(attacks), time.monotonic() - start, n))


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    parts = os.environ.get("CHECKS", "null swapped threads time").split()
    with tempfile.TemporaryDirectory() as tmp:
        pair = Pair(os.path.abspath(sys.argv[1]), sys.argv[2], tmp)
        for part in parts:
            {"null": null, "swapped": swapped, "threads": threads,
             "time": clock}[part](pair)
            sys.stdout.flush()


if __name__ == "__main__":
    main()
