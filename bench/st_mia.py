"""The attack st-mia on published lists: recd's beside the same network written
in PyTorch, many seeds each, because one seed says little.

usage: st_mia.py RECD DATA     (DATA: the folder with dlmia/; needs numpy, torch)

For each shadow and target: mean, standard error and range over the seeds of
the balanced accuracy at a threshold of 0.  The network in PyTorch: 100-32-8-2,
descent at .01 with momentum .7, one person a step, 15 epochs in shuffled
order, cross-entropy of the softmax's output; all its seeds learn side by side.
Environment: SEEDS (40); SHADOWS, TARGETS ("bert4rec gru4rec caser").
"""
import gzip
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch

SEEDS = int(os.environ.get("SEEDS", "40"))
ALL = "gru4rec caser bert4rec"


def rows(path):
    people = {}
    with (gzip.open(path, "rt") if path.endswith(".gz") else open(path)) as f:
        for line in f:
            user, item = line.replace(",", "\t").split("\t")[:2]
            if user.strip().isdigit():
                people.setdefault(int(user), []).append(int(item))
    return people


class Lists:
    def __init__(self, data):
        self.at = os.path.join(data, "dlmia", "sr")
        base = os.path.join(self.at, "base", "ml-1m_item")
        with open(base + "Dict") as names, open(base + "Matrix.txt") as matrix:
            self.vectors = {
                int(name.split()[0]): np.array(row.split(), dtype=np.float64)
                for name, row in zip(names, matrix)
            }

    def files(self, model, side):
        at = os.path.join(self.at, model, "ml-1m_" + side)
        return [at + "member_train", at + "nonmem_train",
                at + "member_recommendations.gz", at + "nonmem_recommendation.gz"]

    def mean(self, items):
        known = [self.vectors[i] for i in items if i in self.vectors]
        return np.mean(known, axis=0)

    def differences(self, model, side):
        members, others, lists, popular = map(rows, self.files(model, side))
        x, y = [], []
        for histories, given, label in ((members, lists, 1), (others, popular, 0)):
            for user, history in histories.items():
                if user in given:
                    x.append(self.mean(history) - self.mean(given[user]))
                    y.append(label)
        return (torch.tensor(np.array(x), dtype=torch.float32),
                torch.tensor(np.array(y)))


def layer(inputs, outputs, generators):
    """First values of torch.nn.Linear: uniform within 1 / sqrt(inputs)."""
    bound = inputs**-0.5

    def draw(*shape):
        return torch.stack([(torch.rand(shape, generator=g) * 2 - 1) * bound
                            for g in generators]).requires_grad_()
    return draw(inputs, outputs), draw(1, outputs)


def learn(x, y):
    generators = [torch.Generator().manual_seed(s) for s in range(1, SEEDS + 1)]
    sizes = [x.shape[1], 32, 8, 2]
    layers = [layer(a, b, generators) for a, b in zip(sizes, sizes[1:])]

    def run(z):
        for i, (w, b) in enumerate(layers):
            z = torch.baddbmm(b, z, w)
            z = z.relu() if i < len(layers) - 1 else z
        return z
    descent = torch.optim.SGD([p for pair in layers for p in pair], lr=0.01, momentum=0.7)
    for _ in range(15):
        order = torch.stack([torch.randperm(len(y), generator=g) for g in generators])
        for step in order.T:
            descent.zero_grad()
            out = run(x[step].unsqueeze(1)).squeeze(1).softmax(1)
            torch.nn.functional.cross_entropy(out, y[step], reduction="sum").backward()
            descent.step()
    return lambda z: run(z.expand(SEEDS, -1, -1)).detach()


def balanced(out, y):
    said = (out[:, :, 1] > out[:, :, 0]).float()
    return ((said[:, y == 1].mean(1) + 1 - said[:, y == 0].mean(1)) / 2).tolist()


def ours(program, lists, shadow, target, vectors):
    named = ["--target-members", "--target-nonmembers", "--member-lists", "--nonmember-lists",
             "--shadow-members", "--shadow-nonmembers", "--shadow-member-lists",
             "--shadow-nonmember-lists"]
    given = lists.files(target, "T") + lists.files(shadow, "S")
    words = [w for pair in zip(named, given) for w in pair]
    found = []
    for seed in range(1, SEEDS + 1):
        done = subprocess.run(
            [program, "-q", "audit", "membership", "--json", "--seed", str(seed), "--attack",
             "st-mia", "--item-vectors", vectors] + words, stdout=subprocess.PIPE, text=True, check=True)
        found.append(json.loads(done.stdout)["attacks"][0]["accuracy"])
    return found


def cell(values):
    v = np.array(values)
    return "%.3f +- %.3f (%.3f to %.3f)" % (v.mean(), v.std(ddof=1) / len(v)**0.5, v.min(), v.max())


def main():
    if len(sys.argv) != 3 or not os.path.isdir(os.path.join(sys.argv[2], "dlmia")):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    program, data = os.path.abspath(sys.argv[1]), sys.argv[2]
    lists = Lists(data)
    torch.set_num_threads(1)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as vectors:
        for name, v in lists.vectors.items():
            vectors.write(" ".join([str(name)] + ["%.6f" % a for a in v]) + "\n")
        vectors.flush()
        print("| shadow -> target | recd, %d seeds | the same in PyTorch | difference |" % SEEDS)
        print("|---|---|---|---|")
        for shadow in os.environ.get("SHADOWS", ALL).split():
            network = learn(*lists.differences(shadow, "S"))
            for target in os.environ.get("TARGETS", ALL).split():
                z, y = lists.differences(target, "T")
                theirs = balanced(network(z), y)
                mine = ours(program, lists, shadow, target, vectors.name)
                print("| %s -> %s | %s | %s | %+.3f |" % (
                    shadow, target, cell(mine), cell(theirs), np.mean(mine) - np.mean(theirs)),
                      flush=True)


if __name__ == "__main__":
    main()
