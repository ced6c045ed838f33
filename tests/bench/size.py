# SPDX-License-Identifier: Apache-2.0
"""What executables weigh: `tests/bench/run size [--most PERCENT] [DIR|MODEL...]`.

DIR is searched for *.onnx; without one, the models of the tests are taken. One line a model: bytes of the executable of
recipe f32, its file of weights (NAME.weights) included, and what those of fp8 and fp8-weights are of that, in percent;
`model`: what the ONNX file is, with its external data. Scales are propagated, for they change no size. The status is 1
where one of fp8 or fp8-weights is above PERCENT. On GPT-2 and BERT of the usual sizes (124 and 110 million parameters),
embeddings among them, both are 25 %."""
import argparse
import glob
import os
import sys
import tempfile

import onnx

from peer import HERE, command, models, why
from scalec import SCALEC  # in a folder that peer adds

RECIPES = ("f32", "fp8", "fp8-weights")


def compiled(path, recipe, tmp):
    """Bytes of the executable and what lies beside it."""
    out = os.path.join(tmp, "model")
    command(SCALEC, "compile", path, "--recipe", recipe, "--scales", "propagate", "-o", out)
    files = glob.glob(out + "*")
    size = sum(map(os.path.getsize, files))
    for f in files:
        os.remove(f)
    return size


def model_bytes(path):
    m = onnx.load(path, load_external_data=False)
    places = {e.value for t in m.graph.initializer for e in t.external_data if e.key == "location"}
    return os.path.getsize(path) + sum(os.path.getsize(os.path.join(os.path.dirname(path), p)) for p in places)


def main():
    ap = argparse.ArgumentParser(usage=__doc__)
    ap.add_argument("--most", type=float, default=float("inf"))
    ap.add_argument("place", nargs="*", default=[HERE])
    a = ap.parse_args()
    failed = False
    print(f"{'model':32} {'f32':>12} {'model':>7} {'fp8':>7} {'fp8-weights':>12}", flush=True)
    for path in models(a.place):
        name = os.path.basename(path).removesuffix(".onnx")
        with tempfile.TemporaryDirectory() as tmp:
            try:
                f32, *low = (compiled(path, r, tmp) for r in RECIPES)
            except RuntimeError as e:
                print(f"{name:32.32} {why(e)}", flush=True)
                failed = True
                continue
        share = [100 * x / f32 for x in (model_bytes(path), *low)]
        failed = failed or max(share[1:]) > a.most
        print(f"{name:32.32} {f32:12} {share[0]:7.1f} {share[1]:7.1f} {share[2]:12.1f}", flush=True)
    return failed


sys.exit(main())
