# SPDX-License-Identifier: Apache-2.0
"""What `scalec rewrite` makes of every model in a folder: `tests/bench/run rewrite DIR [SIZE=N...]`.

DIR is searched for *.onnx. Each is written with recipe fp8 in both profiles, checked (onnx.checker, full), and run in
ONNX Runtime as it optimises by default, beside what scalec compiles of the original. Inputs are made up; SIZE=N gives a
symbolic extent a size other than 1 (leading) or 9 (64 of an image). Without DIR, the models of the tests.

  opset, bytes   of the file that was written (qdq); its size to the original's
  beyond         elements that differ from ours by more than rtol 1e-3 and 1e-4 of the output's largest
  qdq, cast      SQNR in dB of ONNX Runtime's outputs against ours; inf: they are equal
  fp8            SQNR of ours against the f32 model: what FP8 itself costs. Two programs that add up in another order
                 round some values to other neighbours, and in a deep network these differences grow to a part of that."""
import glob
import os
import re
import sys
import tempfile

import numpy as np
import onnx

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "model"))
from rewritten import difference, made_up, ours, rewrite, run  # noqa: E402

HERE = os.path.join(os.path.dirname(__file__), "..", "model", "data")
RECIPE = ("--recipe", "fp8")


def why(e):
    text = str(e).strip().split("\n")
    said = [line for line in text if "error[" in line] or text[-1:]
    return re.sub(r"\s+", " ", re.sub(r"\S*/(\S+\.onnx)", r"\1", said[0]))[:150]


def row(path, sizes, tmp):
    try:
        feeds = made_up(path, sizes=sizes)
        plain = run(path, feeds)
    except Exception as e:
        return f"ONNX Runtime does not run the model itself: {why(e)}"
    try:
        want = ours(path, feeds, tmp, *RECIPE)
        cells, beyond = [], 0
        for profile in ("qdq", "cast"):
            out = rewrite(path, os.path.join(tmp, profile + ".onnx"), "--profile", profile, *RECIPE)
            far, count, db = difference(want, run(out, feeds))
            beyond = max(beyond, far)
            cells.append(f"{db:7.1f}")
        low = difference(plain, want)[2]
    except Exception as e:
        return why(e)
    first = os.path.join(tmp, "qdq.onnx")
    opset = onnx.load(first, load_external_data=False).opset_import[0].version
    size = os.path.getsize(first) / os.path.getsize(path)
    return f"{opset:5d} {size:6.2f} {beyond:8d} of {count:<8d} {' '.join(cells)} {low:7.1f}"


def main():
    sizes = {k: int(v) for k, v in (a.rsplit("=", 1) for a in sys.argv[1:] if "=" in a)}
    dirs = [a for a in sys.argv[1:] if "=" not in a] or [HERE]
    paths = [p for d in dirs for p in ([d] if d.endswith(".onnx") else
                                       sorted(glob.glob(os.path.join(d, "**", "*.onnx"), recursive=True)))]
    print(f"{'model':36} opset  bytes   beyond              {'qdq':>7} {'cast':>7} {'fp8':>7}", flush=True)
    with np.errstate(all="ignore"):
        for path in paths:
            with tempfile.TemporaryDirectory() as tmp:
                name = os.path.relpath(path, os.path.commonpath([os.path.dirname(p) for p in paths]))
                print(f"{name.removesuffix('.onnx')[-36:]:36} {row(path, sizes, tmp)}", flush=True)


main()
