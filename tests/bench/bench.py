# SPDX-License-Identifier: Apache-2.0
"""Compiled models beside ONNX Runtime on the same machine in the same run: `tests/bench/run`.

Each round times both, one after the other; the table shows the median of the rounds' ratios (compiled time
over ONNX Runtime's: below 1 is faster) and its quartiles. Absolute times only say what was measured."""
import os
import sys
import tempfile
import time

import numpy as np
import onnxruntime as ort

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "model"))
from scalec import Model, scalec  # noqa: E402

HERE = os.path.join(os.path.dirname(__file__), "..", "model", "data")
CASES = [("mnist/mnist.onnx", 1), ("marabou/mnist5x20_leaky_relu.onnx", 1),
         ("marabou/mnist5x20_leaky_relu.onnx", 64), ("marabou/cnn_max_mninst2.onnx", 1),
         ("marabou/cnn_max_mninst2.onnx", 64), ("marabou/self-attention-mnist-pgd-medium-sim.onnx", 1)]
RECIPES = ["f32", "fp8", "fp8-weights"]
ROUNDS = 15
SLICE = 0.03  # seconds a side and round


def per_call(fn, seconds):
    n, spent = 0, 0.0
    start = time.perf_counter()
    while spent < seconds:
        fn()
        n += 1
        spent = time.perf_counter() - start
    return spent / n


def onnxruntime(path, threads):
    """A session whose threads spin in a run, as they do by default, and not behind it: by default for 50 ms more (1.32, two
    cores), while others are timed."""
    opt = ort.SessionOptions()
    opt.intra_op_num_threads, opt.log_severity_level = threads, 4
    opt.add_session_config_entry("session.force_spinning_stop", "1")
    return ort.InferenceSession(path, opt, providers=["CPUExecutionProvider"])


def main():
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else os.cpu_count()
    print(f"{threads} threads, {ROUNDS} rounds; ratio: compiled time / ONNX Runtime {ort.__version__} f32 time")
    print(f"{'model':<52} {'batch':>5} {'recipe':<12} {'ratio':>6} {'quartiles':>13} {'us':>9} {'ORT us':>9}")
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as tmp:
        for name, batch in CASES:
            path = os.path.join(HERE, name)
            peer = onnxruntime(path, threads)
            port = peer.get_inputs()[0]
            shape = [d if isinstance(d, int) else batch for d in port.shape]
            x = rng.random(shape, dtype=np.float32)
            for recipe in RECIPES:
                so = os.path.join(tmp, f"{os.path.basename(name)}.{batch}.{recipe}.so")
                scalec("compile", path, "--emit", "so", "--symbol", "model", "--recipe", recipe, "-o", so)
                m = Model(so, threads=threads)
                call = m.caller(x)
                mine, theirs = [], []
                for _ in range(ROUNDS):
                    mine.append(per_call(call, SLICE))
                    theirs.append(per_call(lambda: peer.run(None, {port.name: x}), SLICE))
                m.close()
                r = np.array(mine) / np.array(theirs)
                q = np.percentile(r, [25, 50, 75])
                print(f"{name:<52} {batch:>5} {recipe:<12} {q[1]:>6.2f} {q[0]:>6.2f}-{q[2]:<6.2f} "
                      f"{1e6 * np.median(mine):>9.1f} {1e6 * np.median(theirs):>9.1f}", flush=True)


if __name__ == "__main__":
    main()
