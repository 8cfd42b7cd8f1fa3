"""The nine pairs of general recommenders of the DL-MIA paper on MovieLens-1M.

usage: audit_general.py RECD DATA     (DATA: the folder with ml-1m/pairs.tsv)

The paper's setting: records fall into three thirds (shadow, target, vectors);
people with fewer than 20 records leave; the first half of them are members. Each
recommender (item-based CF, LFM, NeuMF) is trained by recd on the members alone,
who get their 100 best items, seen ones too; the others get the 100 items most
popular among themselves, all the same ones. Vectors of items: the attacker's
own, from the histories that it holds.

Environment: SEEDS ("1 2 3 4 5"), MODELS ("itemknn lfm ncf"), ATTACKS
(dl-mia,st-mia,lists,popularity), THREADS (1: on a machine that others use too,
two threads that wait for each other are slower than one).
"""
import collections
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile

# Rows are shadows, columns targets, as published (balanced accuracy at the best
# epoch): item-based CF, LFM, NCF.
PUBLISHED = {("itemknn", "itemknn"): 1.0, ("itemknn", "lfm"): .997,
             ("itemknn", "ncf"): .959, ("lfm", "itemknn"): .997,
             ("lfm", "lfm"): .992, ("lfm", "ncf"): .957,
             ("ncf", "itemknn"): .990, ("ncf", "lfm"): .987,
             ("ncf", "ncf"): .999}


def setting(name, fallback):
    return os.environ.get(name, fallback).split()


def recd(program, *words):
    out = subprocess.run([program, "-q", "--threads",
                          os.environ.get("THREADS", "1"), *words],
                         capture_output=True, text=True)
    if out.returncode not in (0, 3):  # 3: the audit says that it leaks
        sys.exit("failed: %s: %s" % (" ".join(words), out.stderr))
    return out.stdout


def thirds(path):
    """Two thirds of the records, people renumbered."""
    draw = random.Random(2022)
    part = [collections.defaultdict(list) for _ in range(3)]
    with open(path) as lines:
        for line in lines:
            user, item = line.split()[:2]
            part[draw.randrange(3)][int(user)].append(item)
    return [dict((u, rows) for u, rows in p.items() if len(rows) >= 20)
            for p in part[:2]]


def write(path, rows):
    with open(path, "w") as out:
        out.write("user,item\n")
        for user, items in rows.items():
            out.writelines("%s,%s\n" % (user, i) for i in items)


def make_side(program, tmp, name, rows, models):
    """Histories and lists of one third; MODEL's lists are NAME.MODEL."""
    people = sorted(rows)
    member = dict((u, rows[u]) for u in people[:len(people) // 2])
    other = dict((u, rows[u]) for u in people[len(people) // 2:])
    count = collections.Counter(i for items in other.values() for i in items)
    popular = [i for i, _ in sorted(count.items(),
                                    key=lambda x: (-x[1], x[0]))[:100]]

    write(os.path.join(tmp, name + ".member"), member)
    write(os.path.join(tmp, name + ".other"), other)
    write(os.path.join(tmp, name + ".popular"),
          dict((u, popular) for u in other))
    store = os.path.join(tmp, name)
    recd(program, "--store", store, "import", "--format", "csv",
         os.path.join(tmp, name + ".member"))
    for model in models:
        recd(program, "--store", store, "train", "--model", model)
        lists = os.path.join(tmp, name + ".csv")
        recd(program, "--store", store, "recommend", "--all", "--name", model,
             "-k", "100", "--include-seen", "--format", "csv", "--output",
             lists)
        with open(lists) as full, open(
                os.path.join(tmp, name + "." + model), "w") as out:
            out.write("user,item\n")
            next(full)
            for line in full:  # user, rank, item, score
                words = line.split(",")
                out.write("%s,%s\n" % (words[0], words[2]))


def attack(program, tmp, shadow, target, seed):
    out = recd(program, "--seed", seed, "audit", "membership", "--json",
               "--attack",
               os.environ.get("ATTACKS", "dl-mia,st-mia,lists,popularity"),
               "--target-members", tmp + "/target.member",
               "--target-nonmembers", tmp + "/target.other",
               "--member-lists", tmp + "/target." + target,
               "--nonmember-lists", tmp + "/target.popular",
               "--shadow-members", tmp + "/shadow.member",
               "--shadow-nonmembers", tmp + "/shadow.other",
               "--shadow-member-lists", tmp + "/shadow." + shadow,
               "--shadow-nonmember-lists", tmp + "/shadow.popular")
    return dict((a["attack"], a) for a in json.loads(out)["attacks"]
                if a["ran"])


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    program = os.path.abspath(sys.argv[1])
    models = setting("MODELS", "itemknn lfm ncf")
    with tempfile.TemporaryDirectory() as tmp:
        sides = thirds(os.path.join(sys.argv[2], "ml-1m", "pairs.tsv"))
        for name, rows in zip(("shadow", "target"), sides):
            make_side(program, tmp, name, rows, models)
        names, means = None, collections.defaultdict(list)
        for s in models:
            for t in models:
                runs = [attack(program, tmp, s, t, seed)
                        for seed in setting("SEEDS", "1 2 3 4 5")]
                if names is None:
                    names = list(runs[0])
                    print("| shadow -> target | published | "
                          + " | ".join(names) + " |\n|---|---|"
                          + "---|" * len(names))
                cells = []
                for n in names:
                    got = [r[n].get("accuracy", float("nan")) for r in runs]
                    means[n].append(statistics.mean(got))
                    cells.append("%.4f (%.4f)" % (
                        statistics.mean(got),
                        statistics.mean(r[n]["auc"] for r in runs)))
                print("| %s -> %s | %.3f | %s |" % (
                    s, t, PUBLISHED[s, t], " | ".join(cells)), flush=True)
        print("| mean | %.3f | %s |" % (
            statistics.mean(PUBLISHED[s, t] for s in models for t in models),
            " | ".join("%.4f" % statistics.mean(means[n]) for n in names)))


if __name__ == "__main__":
    main()
