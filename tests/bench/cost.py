# SPDX-License-Identifier: Apache-2.0
"""What compiling costs, and what running takes of memory: `tests/bench/run cost MODEL...`. Columns:

  file MB           of the ONNX file with its external data
  f32, fp8          recipes: seconds of `scalec compile`, most memory it held as parts of the file's size
  functions         of kernels in each program: equal kernels are one
  run fp8           most memory of the FP8 program in a run on made-up inputs, as part of what a Python with ONNX Runtime
                    held in one beyond what it held before it read the model
"""
import os
import subprocess
import sys
import tempfile
import time

import onnxruntime as ort

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "model"))
from scalec import SCALEC  # noqa: E402

RECIPES = ["f32", "fp8"]
PEER = """
import resource, sys
import numpy as np, onnxruntime as ort
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
o = ort.SessionOptions()
o.log_severity_level = 4
s = ort.InferenceSession(sys.argv[1], o, providers=["CPUExecutionProvider"])
kind = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float)": np.float32}
s.run(None, {i.name: np.ones([d if isinstance(d, int) else 1 for d in i.shape], kind[i.type]) for i in s.get_inputs()})
print(peak() - before)
"""


def measured(*cmd):
    """Seconds and most memory, in bytes, of a command that has to succeed."""
    start = time.perf_counter()
    p = subprocess.Popen(cmd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode:
        raise SystemExit(f"{' '.join(cmd)}: status {p.returncode}")
    return time.perf_counter() - start, 1024 * used.ru_maxrss


def functions(exe):
    """Kernels' entries among the symbols: k and a number."""
    out = subprocess.run(["nm", exe], check=True, capture_output=True, text=True).stdout
    names = [line.split()[-1] for line in out.splitlines()]
    return sum(n[:1] == "k" and n[1:].isdigit() for n in names)


def costs(path, tmp):
    """Bytes of the file, recipe -> (seconds, memory as part of it, kernels), and the run's memory as part of the peer's."""
    data = path + ".data"
    size = os.path.getsize(path) + (os.path.getsize(data) if os.path.exists(data) else 0)
    found = {}
    for r in RECIPES:
        exe = os.path.join(tmp, r)
        s, held = measured(SCALEC, "compile", path, "--recipe", r, "-o", exe)
        found[r] = s, held / size, functions(exe)
    mine = measured(os.path.join(tmp, "fp8"), "--bench")[1]
    peer = subprocess.run([sys.executable, "-c", PEER, path], check=True, capture_output=True, text=True).stdout
    return size, found, mine / (1024 * int(peer))


def main():
    print(f"ONNX Runtime {ort.__version__}")
    heads = [f"{r:>7}   {'memory':>6} {'functions':>9}" for r in RECIPES]
    print(f"{'model':<26} {'file MB':>9}", *heads, "run fp8", sep="  ")
    for path in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as tmp:
            size, found, mine = costs(path, tmp)
        cells = [f"{s:>7.2f} s {held:>6.2f} {n:>9}" for s, held, n in found.values()]
        print(f"{os.path.basename(path)[:-5]:<26} {1e-6 * size:>9.1f}", *cells, f"{mine:>7.2f}", sep="  ", flush=True)


if __name__ == "__main__":
    main()
