# SPDX-License-Identifier: Apache-2.0
"""What the benches share: scalec and its programs as commands, ONNX Runtime and twins of other types beside them,
samples of a model, how far two answers are apart."""
import glob
import os
import re
import subprocess
import sys

import numpy as np
import onnx
import onnx.inliner
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "model"))
from rewritten import ATOL, RTOL, made_up, session  # noqa: E402
from scalec import SCALEC  # noqa: E402

HERE = os.path.join(os.path.dirname(__file__), "..", "model", "data")
LIMIT = 900  # seconds a command
BATCHES = (1, 2, 7)
NARROW = {TensorProto.FLOAT16, TensorProto.BFLOAT16}
WIDE = {TensorProto.FLOAT: np.float32, TensorProto.DOUBLE: np.float64}
CODES = {TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E4M3FNUZ, TensorProto.FLOAT8E5M2, TensorProto.FLOAT8E5M2FNUZ}
TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype", "stash_type")


# --- ONNX Runtime --------------------------------------------------------------------------------

def graphs(graph):
    yield graph
    for n in graph.node:
        for a in n.attribute:
            for g in [a.g] if a.HasField("g") else a.graphs:
                yield from graphs(g)


def tensor_types(graph):
    """Tensors by name -> element type, as far as shape inference knows."""
    known = {}
    for g in graphs(graph):
        for v in [*g.input, *g.output, *g.value_info]:
            if v.type.HasField("tensor_type"):
                known[v.name] = v.type.tensor_type.elem_type
    return known


def widen_tensor(t, to):
    t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(t).astype(WIDE[to]), t.name))


def widened(model, narrow, to, rounded):
    """The model with type `to` in place of those of `narrow`; rounded: each tensor that was narrow is rounded to its
    type after it was made."""
    m = onnx.shape_inference.infer_shapes(onnx.inliner.inline_local_functions(model))
    was = tensor_types(m.graph)
    for g in graphs(m.graph):
        for t in g.initializer:
            if t.data_type in narrow:
                widen_tensor(t, to)
        for v in [*g.input, *g.output, *g.value_info]:
            if v.type.tensor_type.elem_type in narrow:
                v.type.tensor_type.elem_type = to
        nodes = []
        for n in g.node:
            for a in n.attribute:
                if a.name in TYPE_ATTRIBUTES and a.i in narrow:
                    a.i = to
                if a.HasField("t") and a.t.data_type in narrow:
                    widen_tensor(a.t, to)
            nodes.append(n)
            for i, y in enumerate(n.output if rounded else []):
                if was.get(y) in narrow:
                    n.output[i] = y + ".wide"
                    nodes += [helper.make_node("Cast", [y + ".wide"], [y + ".low"], to=was[y]),
                              helper.make_node("Cast", [y + ".low"], [y], to=to)]
        del g.node[:]
        g.node.extend(nodes)
    return m


class GlobalMaxPool(OpRun):
    """onnx's own (1.23) takes the largest over axes that are only those of pictures."""
    op_domain = ""

    def _run(self, x):
        return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


def fed(feeds, to):
    return {k: x.astype(to) if x.dtype in (np.float16, np.float32) else x for k, x in feeds.items()}


class Peer:
    """ONNX Runtime with and without its optimisations, and twins of other types."""

    def __init__(self, path):
        self.model = onnx.load(path)
        self.types = ({t.data_type for g in graphs(self.model.graph) for t in g.initializer} |
                      {a.i for g in graphs(self.model.graph) for n in g.node for a in n.attribute if a.name == "to"} |
                      set(tensor_types(self.model.graph).values()))
        self.is_twin = TensorProto.BFLOAT16 in self.types
        what = self.stepwise() if self.is_twin else path
        self.plain, self.optimised = session(what, plain=True), session(what)
        self.names = [o.name for o in self.plain.get_outputs()]
        self.inputs = self.plain.get_inputs()

    def stepwise(self):
        return widened(self.model, NARROW, TensorProto.FLOAT, True).SerializeToString()

    def run(self, feeds):
        """Without optimisations, and with them."""
        feeds = {i.name: feeds[i.name] for i in self.inputs}
        return self.plain.run(None, feeds), self.optimised.run(None, feeds)

    def judge(self, feeds, plain):
        """What an f64 twin gives, and the reference beside it."""
        feeds = {i.name: feeds[i.name] for i in self.inputs}
        twin = widened(self.model, NARROW | {TensorProto.FLOAT}, TensorProto.DOUBLE, False)
        truth = ReferenceEvaluator(twin, new_ops=[GlobalMaxPool]).run(None, fed(feeds, np.float64))
        if self.types & NARROW:
            plain = session(self.stepwise(), plain=True).run(None, fed(feeds, np.float32))
        return truth, plain


# --- scalec --------------------------------------------------------------------------------------

def why(e):
    """A line: what scalec's first error says, or the last line of another's."""
    text = str(e).strip().splitlines()
    said = [line for line in text if "error[" in line] or text[-1:] or [type(e).__name__]
    return re.sub(r"\s+", " ", re.sub(r"\S*/(\S+\.onnx)", r"\1", said[0]))[:150]


def command(*args):
    p = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=LIMIT)
    if p.returncode:
        raise RuntimeError(p.stderr.strip() or f"status {p.returncode}")


def compiled(path, exe, *options):
    command(SCALEC, "compile", path, *options, "-o", exe)
    return exe


def ours(exe, feeds, names, tmp):
    """What a compiled program answers."""
    given, out = os.path.join(tmp, "x.npz"), os.path.join(tmp, "y.npz")
    np.savez(given, **feeds)
    command(exe, "-i", given, "-o", out)
    with np.load(out) as z:
        return [z[n] for n in names]


# --- Comparing -----------------------------------------------------------------------------------

def number(x):
    """Floats as f64; bfloat16, which NumPy lacks, comes as two bytes."""
    if x.dtype.kind == "V" and x.itemsize == 2:
        x = (x.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return x.astype(np.float64) if x.dtype.kind == "f" else x


def error(want, got):
    """Of one output, in units of the tolerance."""
    want, got = number(np.asarray(want)), number(np.asarray(got))
    if want.shape != got.shape or (want.dtype != got.dtype and want.dtype.kind != "O"):
        raise RuntimeError(f"{got.dtype}{list(got.shape)}, not {want.dtype}{list(want.shape)}")
    if want.dtype.kind != "f":
        return 0.0 if np.array_equal(want, got) else np.inf
    top = np.abs(want[np.isfinite(want)]).max(initial=0)
    same = (want == got) | (np.isnan(want) & np.isnan(got))
    with np.errstate(invalid="ignore", divide="ignore"):
        e = np.where(same, 0, np.abs(want - got) / (RTOL * np.abs(want) + ATOL * top))
    return float(np.where(np.isnan(e), np.inf, e).max(initial=0))


def distance(truth, got):
    """RMS of the difference over the RMS of what is true, of all float outputs together, where that is finite."""
    noise = signal = 0.0
    for t, g in ((number(np.asarray(t)), number(np.asarray(g))) for t, g in zip(truth, got)):
        if t.dtype.kind == "f":
            ok = np.isfinite(t)
            noise, signal = noise + float(((t - g)[ok] ** 2).sum()), signal + float((t[ok] ** 2).sum())
    return np.sqrt(noise / signal) if signal else 0.0


# --- Samples -------------------------------------------------------------------------------------

def test_data(folder, peer):
    ret = {}
    for i, port in enumerate(peer.inputs):
        t = TensorProto()
        with open(os.path.join(folder, f"input_{i}.pb"), "rb") as f:
            t.ParseFromString(f.read())
        ret[port.name] = numpy_helper.to_array(t)
    return ret


def samples(path, peer):
    """Name -> feeds."""
    files = sorted(glob.glob(path[:-5] + ".judge/*.npz"))
    ret = {}
    for f in files:
        with np.load(f, allow_pickle=False) as z:
            ret[os.path.basename(f)[:-4]] = {k: z[k] for k in z.files}
    if not ret:
        for folder in sorted(glob.glob(os.path.join(os.path.dirname(path), "test_data_set_*"))):
            ret[os.path.basename(folder)] = test_data(folder, peer)
    if not ret:
        leading = [i.shape[0] for i in peer.inputs if i.shape and isinstance(i.shape[0], str)]
        for b in BATCHES if leading else BATCHES[:1]:
            ret[f"made up, {b}"] = made_up(path, sizes={leading[0]: b} if leading else {})
    return ret


def models(places):
    for p in places:
        yield from [p] if p.endswith(".onnx") else sorted(glob.glob(os.path.join(p, "**", "*.onnx"), recursive=True))
