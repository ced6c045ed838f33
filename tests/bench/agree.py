# SPDX-License-Identifier: Apache-2.0
"""Compiled models beside ONNX Runtime: `tests/bench/run agree [--trace] [--recipe R] [DIR|MODEL...]`.

DIR is searched for *.onnx; without one, the models of the tests are taken. Beside NAME.onnx, NAME.judge/*.npz are its
samples, inputs by name; in a folder of test_data_set_*, as ONNX's own tests have them, these are. A model without any
gets made-up ones: where a leading extent is a symbol, of 1, 2 and 7. Each model is compiled once and runs all of them.
The reference is ONNX Runtime with its optimisations off; a model in bfloat16, which its processor provider lacks, is run
as an f32 twin that rounds to bfloat16 after each node. One line a model: of its samples the one that agrees least.

  error    the largest |ours - reference| in units of 1e-3 |reference| + 1e-4 of the output's largest; integers, booleans
           and strings are equal or infinitely far
  peer     the same of ONNX Runtime with all its optimisations: what another order of sums costs in this model
  ours, reference   where error is above 1 and 4 times peer: the distances from what an f64 twin gives in onnx's reference
           evaluator, RMS of the differences over RMS. Of a model in 16 bits, of a reference that rounds after each node,
           as its types say; ONNX Runtime keeps f32 between f16 nodes

A sample agrees where error is at most 1 or 4 times peer, or ours is the nearer one to the f64 twin. The status is 1
where one does not.

--trace makes every inner tensor an output on both sides, but for FP8 codes, and lists in the order of the nodes those
whose error is the largest so far: the first is where the two part."""
import argparse
import glob
import os
import subprocess
import sys
import tempfile

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
MOST = 4     # times what ONNX Runtime's own optimisations change
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
                      set(tensor_types(self.model.graph).values()))
        what = path if TensorProto.BFLOAT16 not in self.types else self.stepwise()
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

def command(*args):
    p = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=LIMIT)
    if p.returncode:
        raise RuntimeError((p.stderr.strip().splitlines() or [f"status {p.returncode}"])[0])


def ours(exe, feeds, names, tmp):
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
    """RMS of the difference over the RMS of what is true, of all float outputs together."""
    pairs = [(number(np.asarray(t)), number(np.asarray(g))) for t, g in zip(truth, got)]
    pairs = [(t, g) for t, g in pairs if t.dtype.kind == "f"]
    noise, signal = (sum(float((x ** 2).sum()) for x in xs) for xs in
                     ([t - g for t, g in pairs], [t for t, g in pairs]))
    return np.sqrt(noise / signal) if signal else 0.0


def is_near(e, peer):
    return e <= max(1, MOST * peer)


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


# --- The table, and where two part ---------------------------------------------------------------

class Sample:
    """How one agrees."""

    def __init__(self, name, peer, feeds, got):
        plain, optimised = peer.run(feeds)
        self.name, self.far = name, ""
        self.error = max(error(w, g) for w, g in zip(plain, got))
        self.peer = max(error(w, g) for w, g in zip(plain, optimised))
        self.agrees = is_near(self.error, self.peer)
        if not self.agrees:
            truth, plain = peer.judge(feeds, plain)
            ours, theirs = distance(truth, got), distance(truth, plain)
            self.far, self.agrees = f"{ours:9.2e} {theirs:9.2e}", ours <= theirs

    def rank(self):
        return not self.agrees, bool(self.far), self.error / max(1, MOST * self.peer)


def measure(path, recipe, tmp):
    """A line for the worst sample; whether all agree."""
    peer, exe = Peer(path), os.path.join(tmp, "model")
    command(SCALEC, "compile", path, "--recipe", recipe, "-o", exe)
    all_of = [Sample(name, peer, feeds, ours(exe, feeds, peer.names, tmp))
              for name, feeds in samples(path, peer).items()]
    worst = max(all_of, key=Sample.rank)
    bad = sum(not s.agrees for s in all_of)
    yield (f"{len(all_of):7} {worst.name:16.16} {worst.error:9.3g} {worst.peer:9.3g} {worst.far:19} "
           f"{f'{bad} DIFFER' if bad else 'agree'}"), not bad


def trace(path, recipe, tmp):
    m = onnx.shape_inference.infer_shapes(onnx.load(path))
    known = tensor_types(m.graph)
    made = [y for n in m.graph.node for y in n.output if y and known.get(y) not in CODES]
    del m.graph.output[:]
    m.graph.output.extend(helper.make_tensor_value_info(y, known[y], None) if y in known else onnx.ValueInfoProto(name=y)
                          for y in made)
    inner, exe = os.path.join(tmp, "inner.onnx"), os.path.join(tmp, "model")
    onnx.save(m, inner)
    peer = Peer(inner)
    command(SCALEC, "compile", inner, "--recipe", recipe, "-o", exe)
    op = {y: f"{n.op_type} {n.name}" for n in m.graph.node for y in n.output}
    for name, feeds in samples(path, peer).items():
        plain, optimised = peer.run(feeds)
        got, worst = ours(exe, feeds, peer.names, tmp), 0
        yield f"{name}: {len(got)} tensors", True
        for y, w, o, g in zip(peer.names, plain, optimised, got):
            e, p = error(w, g), error(w, o)
            if e > worst:
                worst = e
                yield f"  {e:9.3g} {p:9.3g} {y} of {op[y]}", is_near(e, p)


def models(places):
    for p in places:
        yield from [p] if p.endswith(".onnx") else sorted(glob.glob(os.path.join(p, "**", "*.onnx"), recursive=True))


def main():
    ap = argparse.ArgumentParser(usage=__doc__)
    ap.add_argument("--trace", action="store_true")
    ap.add_argument("--recipe", default="f32")
    ap.add_argument("place", nargs="*", default=[HERE])
    a = ap.parse_args()
    bad = 0
    if not a.trace:
        print(f"{'model':28} samples {'the worst':16} {'error':>9} {'peer':>9} {'ours':>9} {'reference':>9}")
    for path in models(a.place):
        name = os.path.basename(path)[:-5]
        with tempfile.TemporaryDirectory() as tmp:
            try:
                for line, near in (trace if a.trace else measure)(path, a.recipe, tmp):
                    bad += not near
                    print(f"{name:28.28} {line}", flush=True)
            except Exception as e:  # a model that fails must not hide the others
                bad += 1
                print(f"{name:28.28} {(str(e).strip() or type(e).__name__).splitlines()[0][:150]}", flush=True)
    return 1 if bad else 0


sys.exit(main())
