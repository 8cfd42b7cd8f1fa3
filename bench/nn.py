"""Milliseconds of a forward and backward pass in PyTorch on the CPU.

The networks of bench/nn_step.c; prints "name median" lines.
usage: nn.py THREADS REPEATS
"""
import sys
import time
import warnings

warnings.filterwarnings("ignore")
import torch  # noqa: E402


def networks():
    mlp = torch.nn.Sequential(
        torch.nn.Linear(256, 512), torch.nn.ReLU(),
        torch.nn.Linear(512, 512), torch.nn.ReLU(),
        torch.nn.Linear(512, 64))
    layers = [torch.nn.TransformerEncoderLayer(
        64, 2, 256, dropout=0.0, batch_first=True) for _ in range(2)]
    transformer = torch.nn.Sequential(*layers)
    gru = torch.nn.GRU(64, 64, batch_first=True)
    sequence = torch.rand(128, 50, 64) - 0.5
    return [
        ("mlp", mlp, mlp, torch.rand(1024, 256) - 0.5),
        ("transformer", transformer, transformer,
         sequence.clone().requires_grad_()),
        ("gru", gru, lambda x: gru(x)[0], sequence.clone().requires_grad_()),
    ]


def measure(module, run, x, repeats):
    times = []
    for r in range(repeats + 5):
        start = time.perf_counter()
        module.zero_grad(set_to_none=False)
        x.grad = None
        run(x).square().mean().backward()
        if r >= 5:
            times.append((time.perf_counter() - start) * 1e3)
    return sorted(times)[repeats // 2]


def main():
    torch.set_num_threads(int(sys.argv[1]))
    repeats = int(sys.argv[2])
    for name, module, run, x in networks():
        print("%s %.3f" % (name, measure(module, run, x, repeats)))


main()
