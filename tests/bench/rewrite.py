# SPDX-License-Identifier: Apache-2.0
"""What `scalec rewrite` makes of every model in a folder: `tests/bench/run rewrite DIR [SIZE=N...]`.

DIR is searched for *.onnx. Each is written with recipe fp8 in both profiles, checked (onnx.checker, full), and run in
ONNX Runtime as it optimises by default, beside what scalec compiles of the original. Inputs are made up; SIZE=N gives a
symbolic extent a size other than 1 (leading) or 9 (64 of an image). Without DIR, the models of the tests.

  opset, bytes   of the file that was written (qdq); its size to the original's
  beyond         elements that differ from ours by more than rtol 1e-3 and 1e-4 of the output's largest
  qdq, cast      SQNR in dB of ONNX Runtime's outputs against ours; inf: they are equal
  ours, theirs   SQNR of ours, and of ONNX Runtime's (qdq), against the f32 model: what FP8 itself costs. Two programs
                 that add up in another order round some values to other neighbours, and in a deep network these
                 differences grow to a part of that.
  cut            elements beyond the tolerance where both get ONNX Runtime's values before each rounding to FP8 as inputs
                 (qdq, which scalec reads back): 0 says that the programs compute the same and nothing but such
                 neighbours sets them apart. Only where something is beyond."""
import glob
import os
import re
import sys
import tempfile

import numpy as np
import onnx

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "model"))
from rewritten import difference, made_up, ours, rewrite, run, session  # noqa: E402

HERE = os.path.join(os.path.dirname(__file__), "..", "model", "data")
RECIPE = ("--recipe", "fp8")


def why(e):
    text = str(e).strip().split("\n")
    said = [line for line in text if "error[" in line] or text[-1:]
    return re.sub(r"\s+", " ", re.sub(r"\S*/(\S+\.onnx)", r"\1", said[0]))[:150]


def rounded(g):
    """Nodes that round what another node computes to FP8."""
    made = {o for n in g.node for o in n.output}
    ends = {i for n in g.node if n.op_type in ("DequantizeLinear", "Cast") for i in n.input[:1]}
    low = [n for n in g.node if n.op_type == "QuantizeLinear" or (n.op_type == "Cast" and 17 <= n.attribute[0].i <= 20)]
    return [n for n in low if n.input[0] in made and n.output[0] in ends]


def run_all(m, path, feeds):
    onnx.save(m, path)
    s = session(path, plain=True)
    return dict(zip([o.name for o in s.get_outputs()], s.run(None, feeds)))


def cut(written, feeds, tmp):
    """Elements beyond the tolerance, of how many, where every value before a rounding is given to both programs."""
    m = onnx.load(written)
    g, path = m.graph, os.path.join(tmp, "cut.onnx")
    names = list(dict.fromkeys(n.input[0] for n in rounded(g)))
    known = {o.name for o in g.output}
    g.output.extend(onnx.helper.make_empty_tensor_value_info(x) for x in names if x not in known)
    values = run_all(m, path, feeds)
    for n in rounded(g):
        n.input[0] = "given." + n.input[0]
    for x in names:
        t = onnx.helper.np_dtype_to_tensor_dtype(values[x].dtype)
        g.input.append(onnx.helper.make_tensor_value_info("given." + x, t, values[x].shape))
    given = {**feeds, **{"given." + x: values[x] for x in names}}
    want = run_all(m, path, given)
    return difference(want, ours(path, given, tmp))[:2]


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
        first = os.path.join(tmp, "qdq.onnx")
        low, theirs = difference(plain, want)[2], difference(plain, run(first, feeds))[2]
        apart = "{} of {}".format(*cut(first, feeds, tmp)) if beyond else ""
    except Exception as e:
        return why(e)
    opset = onnx.load(first, load_external_data=False).opset_import[0].version
    size = os.path.getsize(first) / os.path.getsize(path)
    return f"{opset:5d} {size:6.2f} {beyond:8d} of {count:<8d} {' '.join(cells)} {low:7.1f} {theirs:7.1f} {apart}"


def main():
    sizes = {k: int(v) for k, v in (a.rsplit("=", 1) for a in sys.argv[1:] if "=" in a)}
    dirs = [a for a in sys.argv[1:] if "=" not in a] or [HERE]
    paths = [p for d in dirs for p in ([d] if d.endswith(".onnx") else
                                       sorted(glob.glob(os.path.join(d, "**", "*.onnx"), recursive=True)))]
    print(f"{'model':36} opset  bytes   beyond              {'qdq':>7} {'cast':>7} {'ours':>7} {'theirs':>7} cut", flush=True)
    with np.errstate(all="ignore"):
        for path in paths:
            with tempfile.TemporaryDirectory() as tmp:
                name = os.path.relpath(path, os.path.commonpath([os.path.dirname(p) for p in paths]))
                print(f"{name.removesuffix('.onnx')[-36:]:36} {row(path, sizes, tmp)}", flush=True)


main()
