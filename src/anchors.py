"""Seconds of a call, by the Python libraries that others use.

usage: python3 -c SCRIPT WHAT DIR THREADS
WHAT: spmm (ptr, idx, val, x in DIR; scipy and PyTorch) or topk (users, items;
FAISS).  Prints one JSON object; a library that is missing is left out.
"""
import json
import os
import sys
import time

what, folder, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.environ["OMP_NUM_THREADS"] = str(threads)
try:
    import numpy as np
except ImportError:
    print("{}")
    sys.exit()

D = 64


def load(name, kind):
    return np.fromfile(os.path.join(folder, name), kind)


def median(call):
    times = []
    call()
    start = time.perf_counter()
    while len(times) < 5 or time.perf_counter() - start < 1:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return sorted(times)[len(times) // 2]


def scipy_spmm(ptr, idx, val, x):
    from scipy.sparse import csr_matrix
    a = csr_matrix((val, idx, ptr), shape=(len(ptr) - 1, len(x)))
    return lambda: a @ x


def torch_spmm(ptr, idx, val, x):
    import torch
    torch.set_num_threads(threads)
    a = torch.sparse_csr_tensor(
        torch.from_numpy(ptr), torch.from_numpy(idx.astype(np.int64)),
        torch.from_numpy(val), (len(ptr) - 1, len(x)))
    y = torch.from_numpy(x)
    return lambda: a @ y


def faiss_topk(users, items):
    import faiss
    faiss.omp_set_num_threads(threads)
    index = faiss.IndexFlatIP(D)
    index.add(items)
    return lambda: index.search(users, 100)


def main():
    import warnings
    warnings.filterwarnings("ignore")
    if what == "spmm":
        given = (load("ptr", np.int64), load("idx", np.int32),
                 load("val", np.float32), load("x", np.float32).reshape(-1, D))
        calls = {"scipy": scipy_spmm, "pytorch": torch_spmm}
    else:
        given = (load("users", np.float32).reshape(-1, D),
                 load("items", np.float32).reshape(-1, D))
        calls = {"faiss": faiss_topk}
    seconds = {}
    for name, make in calls.items():
        try:
            seconds[name] = median(make(*given))
        except ImportError:
            pass
    print(json.dumps(seconds))


main()
