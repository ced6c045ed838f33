# SPDX-License-Identifier: Apache-2.0
"""This build's executables beside another build's: `tests/bench/run --beside OTHER/tools/scalec [MODEL...]`.

Each round lets both executables time themselves (--bench), one after the other, so a slow moment of the
machine meets both; the table shows the median of the rounds' ratios (other's time over ours: above 1, this
build is faster) and its quartiles. Without models: those of bench.py."""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

HERE = os.path.join(os.path.dirname(__file__), "..", "model", "data")
CASES = [("mnist/mnist.onnx", ""), ("marabou/mnist5x20_leaky_relu.onnx", ""),
         ("marabou/mnist5x20_leaky_relu.onnx", "batch_size=64"), ("marabou/cnn_max_mninst2.onnx", ""),
         ("marabou/cnn_max_mninst2.onnx", "N=64"), ("marabou/self-attention-mnist-pgd-medium-sim.onnx", "")]
RECIPES = ["f32", "fp8", "fp8-weights"]
ROUNDS = 9


def median_us(exe, dim):
    args = [exe, "--bench", "--json", "--threads", "1"] + (["--dim", dim] if dim else [])
    out = subprocess.run(args, check=True, capture_output=True, text=True)
    return 1e3 * json.loads(out.stdout)["median_ms"]


def main():
    other = sys.argv[1]
    cases = [(m, "") for m in sys.argv[2:]] or [(os.path.join(HERE, m), dim) for m, dim in CASES]
    ours = os.path.join(os.environ["SCT_BUILD"], "tools", "scalec")
    print(f"1 thread, {ROUNDS} rounds; ratio: time of {other} / ours")
    print(f"{'model':<44} {'recipe':<12} {'ratio':>6} {'quartiles':>13} {'us':>11} {'other us':>11}")
    with tempfile.TemporaryDirectory() as tmp:
        for model, dim in cases:
            name = f"{os.path.basename(model)} {dim}"
            for recipe in RECIPES:
                exe = [os.path.join(tmp, side) for side in ("ours", "other")]
                for compiler, path in zip((ours, other), exe):
                    subprocess.run([compiler, "compile", model, "--recipe", recipe, "--scales", "propagate",
                                    "-o", path], check=True, stdout=subprocess.DEVNULL)
                t = np.array([[median_us(e, dim) for e in exe] for _ in range(ROUNDS)])
                q = np.percentile(t[:, 1] / t[:, 0], [25, 50, 75])
                us = np.median(t, axis=0)
                print(f"{name:<44} {recipe:<12} {q[1]:>6.2f} {q[0]:>6.2f}-{q[2]:<6.2f} "
                      f"{us[0]:>11.1f} {us[1]:>11.1f}", flush=True)


main()
