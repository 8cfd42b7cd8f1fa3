"""Policies of your own in recd's disclosure game, in the form of Gymnasium.

    python3 docs/simulate_env.py RECD STORE

A step is a round for everybody: an action is a mask for each person, the reward
their anticipated utility.  Nothing but the standard library is needed; the five
results of step() are those of gymnasium.Env.
"""
import json
import random
import subprocess
import sys


class DisclosureEnv:
    def __init__(self, recd, store, model="itemknn", mechanism="blocks:4+free", **options):
        command = [recd, "-q", "--store", store, "simulate", "env", "--model", model, "--mechanism", mechanism]
        for name, value in options.items():
            command += ["--" + name.replace("_", "-"), str(value)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def _ask(self, question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("recd ended: see its error above")
        return json.loads(line)

    def reset(self, seed=None, options=None):
        out = self._ask({"reset": True})
        return out["observation"], out["info"]

    def step(self, masks):
        out = self._ask({"step": masks})
        return out["observation"], out["reward"], out["terminated"], out["truncated"], out["info"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def main():
    """Everybody tries single changes and keeps what was better."""
    env = DisclosureEnv(sys.argv[1], sys.argv[2], sensitivity="const:0.1", rounds=12)
    draw = random.Random(1)
    seen, info = env.reset()
    n = info["users"]
    best, worth = list(seen["mask"]), [-1e9] * n
    first = None
    done = False
    while not done:
        masks = [m ^ (1 << draw.randrange(seen["segments"][u])) if first is not None else m
                 for u, m in enumerate(best)]
        seen, reward, terminated, done, info = env.step(masks)
        first = sum(reward) / n if first is None else first
        for u in range(n):
            if reward[u] > worth[u]:
                best[u], worth[u] = masks[u], reward[u]
    print("utility at first %.4f, best that each person saw %.4f" % (first, sum(worth) / n))
    env.close()


if __name__ == "__main__":
    main()
