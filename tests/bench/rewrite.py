# SPDX-License-Identifier: Apache-2.0
"""What `scalec rewrite` makes of every model in a folder: `tests/bench/run rewrite [--recipe R] [DIR|MODEL...]`.

Models and samples are as `agree` has them. Each model is written in both profiles, checked (onnx.checker, full), run in
ONNX Runtime as it optimises by default beside what scalec compiles of the original, and compiled again from the file.

  opset, bytes   of the file that was written (qdq); its size to the original's
  beyond         elements that differ from ours by more than rtol 1e-3 and 1e-4 of the output's largest, in the profile
                 that has more of them
  qdq, cast      SQNR in dB of ONNX Runtime's outputs against ours; inf: they are equal
  back           the same of the program that is compiled from the file (the profile that has less)
  ulp            SQNR of ONNX Runtime's outputs (qdq) where the f32 result of every sum is moved by 2^-23 of itself, or 2^-21 or
                 2^-19, against those as they are: what another order of hundreds of terms may do. Where it keeps f32 between nodes of 16 bits, what
                 that does, if it is more. Only where something is beyond
  ours, theirs   SQNR of ours, and of ONNX Runtime's (qdq), against the model as it is: what the recipe itself costs
  cut            elements beyond the tolerance, of how many, where both programs get ONNX Runtime's values before each step
                 (rounding, comparison) as inputs: of every value that is rounded, and of the outputs

The last column judges. "same": nothing is beyond, in either profile or back. "as two orders": programs that add up in
another order round some values to other neighbours, and in a deep network these differences grow to as much as rounding
costs at all; so nothing is beyond where both are cut, and either both are equally far from the model (0.2 dB), or what is
between them is what an ulp does, and no more than is between two draws of all roundings (3 dB). All else is BAD, with the
first value that differs where both are cut; the status is 1 then."""
import argparse
import os
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from peer import (ATOL, HERE, NARROW, RTOL, Peer, compiled, distance, graphs, models, number, ours, samples, session,
                  tensor_types, why, widened)
from rewritten import rewrite  # in a folder that peer adds

PROFILES = ("qdq", "cast")
ALIKE = 0.2  # dB between two distances from the model
ORDER = 3    # dB: two draws of roundings are so much further from each other than from the model
MOVES = (2.0 ** -23, 2.0 ** -21, 2.0 ** -19)
SUMS = {"MatMul", "Gemm", "Conv", "ReduceSum", "ReduceMean", "Softmax", "LayerNormalization", "GlobalAveragePool",
        "AveragePool"}
ULP = {TensorProto.FLOAT16: 2.0 ** -10, TensorProto.BFLOAT16: 2.0 ** -7}
STEPS = {"QuantizeLinear", "Round", "Floor", "Ceil", "Sign", "ArgMax", "ArgMin", "TopK", "Less", "LessOrEqual", "Greater",
         "GreaterOrEqual", "Equal", "NonZero"}


def db(truth, got):
    d = distance(truth, got)
    return -20 * np.log10(d) if d > 0 else np.inf if d == 0 else -np.inf


def is_beyond(want, got, ulp=0.0):
    """Which elements are beyond the tolerance, or a step of a narrow type."""
    w, g = number(np.asarray(want)), number(np.asarray(got))
    if w.shape != g.shape:
        raise RuntimeError(f"{list(g.shape)}, not {list(w.shape)}")
    if w.dtype.kind != "f":
        return w != g
    top = np.abs(w[np.isfinite(w)]).max(initial=0)
    same = (w == g) | (np.isnan(w) & np.isnan(g))
    return ~(same | (np.abs(w - g) <= max(RTOL, ulp) * np.abs(w) + ATOL * top))


def beyond(want, got):
    return sum(int(is_beyond(w, g).sum()) for w, g in zip(want, got))


def moved(path, by):
    """The model with the f32 result of every other sum so much larger, of the rest smaller."""
    m, k = onnx.shape_inference.infer_shapes(onnx.load(path)), 0
    known = tensor_types(m.graph)
    for g in graphs(m.graph):
        nodes = []
        for n in g.node:
            nodes.append(n)
            if n.op_type in SUMS and known.get(n.output[0]) == TensorProto.FLOAT:
                y, k = n.output[0], k + 1
                n.output[0] = y + ".still"
                nodes.append(helper.make_node("Mul", [n.output[0], f"moved.{k % 2}"], [y]))
        del g.node[:]
        g.node.extend(nodes)
    m.graph.initializer.extend(numpy_helper.from_array(np.float32(1 + s * by), f"moved.{i}")
                               for i, s in enumerate((1, -1)))
    return m


# --- Both programs, cut where values step ----------------------------------------------------------

def is_step(n, known):
    to = [a.i for a in n.attribute if a.name == "to"] if n.op_type == "Cast" else []
    return n.op_type in STEPS or any(t not in (TensorProto.FLOAT, TensorProto.DOUBLE) for t in to)


def cuts(g, known):
    """Operands to be given, as (node, position): what is a float that another node makes, and steps or is narrow."""
    floats = {TensorProto.FLOAT, TensorProto.DOUBLE, *NARROW}
    made = {y for n in g.node for y in n.output if known.get(y) in floats}
    return [(n, i) for n in g.node for i, x in enumerate(n.input)
            if x in made and (known[x] in NARROW or is_step(n, known))]


def as_typed(x, dtype):
    """Of the twin's f32 what a file says: bfloat16 as two bytes."""
    if dtype == TensorProto.BFLOAT16:
        return (x.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).view("V2")
    return x.astype(helper.tensor_dtype_to_np_dtype(dtype))


class Cut:
    """Of one file, for one sample."""

    def __init__(self, path, feeds, tmp):
        self.tmp, m = tmp, onnx.shape_inference.infer_shapes(onnx.load(path))
        self.known = tensor_types(m.graph)
        self.op = {y: f"{n.op_type} {n.name}" for n in m.graph.node for y in n.output}
        at = cuts(m.graph, self.known)
        names = list(dict.fromkeys(n.input[i] for n, i in at))
        outputs = {o.name for o in m.graph.output}
        m.graph.output.extend(onnx.ValueInfoProto(name=x) for x in names if x not in outputs)
        self.names = [o.name for o in m.graph.output]
        whole = dict(zip(self.names, self.peer(m, "whole.onnx", feeds)))
        for n, i in at:
            n.input[i] = "given." + n.input[i]
        m.graph.input.extend(helper.make_tensor_value_info("given." + x, self.known[x], whole[x].shape) for x in names)
        self.want = self.peer(m, "cut.onnx", {**feeds, **{"given." + x: whole[x] for x in names}})
        exe = compiled(os.path.join(tmp, "cut.onnx"), os.path.join(tmp, "cut"))
        typed = {"given." + x: as_typed(whole[x], self.known[x]) for x in names}
        self.got = ours(exe, {**feeds, **typed}, self.names, tmp)

    def peer(self, m, name, feeds):
        path = os.path.join(self.tmp, name)
        onnx.save(m, path)
        has_bf16 = TensorProto.BFLOAT16 in {self.known.get(x) for x in self.op}
        s = session(widened(m, NARROW, TensorProto.FLOAT, True).SerializeToString() if has_bf16 else path, plain=True)
        return s.run(None, {i.name: feeds[i.name] for i in s.get_inputs()})

    def result(self):
        """Elements beyond, all of them, the first value that has some."""
        far = {y: int(is_beyond(w, g, ULP.get(self.known.get(y), 0)).sum())
               for y, w, g in zip(self.names, self.want, self.got)}
        first = next((y for y in self.op if far.get(y)), "")
        return sum(far.values()), sum(np.size(w) for w in self.want), first and f"{first} of {self.op[first]}"


# --- The table -----------------------------------------------------------------------------------

class Row:
    def __init__(self, path, recipe, tmp):
        self.path, self.recipe, self.tmp = path, recipe, tmp
        peer = Peer(path)
        self.names, self.feeds = peer.names, list(samples(path, peer).values())
        self.plain = [y for x in self.feeds for y in peer.run(x)[0]]
        self.want = self.answers(path, *recipe)
        self.count = sum(np.size(w) for w in self.want)
        self.file, self.theirs, self.back = {}, {}, {}
        for p in PROFILES:
            self.file[p] = rewrite(path, os.path.join(tmp, p + ".onnx"), "--profile", p, *recipe)
            self.theirs[p] = self.peers(self.file[p])
            self.back[p] = self.answers(self.file[p])

    def answers(self, path, *options):
        exe = compiled(path, os.path.join(self.tmp, "model"), *options)
        return [y for x in self.feeds for y in ours(exe, x, self.names, self.tmp)]

    def peers(self, path, optimised=True):
        peer = Peer(path)
        optimised = optimised and not peer.is_twin  # of whose f32 it makes what it likes
        runs = [dict(zip(peer.names, peer.run(x)[optimised])) for x in self.feeds]
        return [r[n] for r in runs for n in self.names]

    def ulp(self):
        path = os.path.join(self.tmp, "moved.onnx")
        still = self.peers(self.file["qdq"], False)
        ret = [db(still, self.theirs["qdq"])]
        for by in MOVES:
            onnx.save(moved(self.file["qdq"], by), path)
            ret.append(db(still, self.peers(path, False)))
        return min(ret)

    def judged(self):
        """The columns, and whether the model is well."""
        given = [d[p] for d in (self.theirs, self.back) for p in PROFILES]
        far = max(beyond(self.want, g) for g in given)
        qdq, cast, *back = (db(self.want, g) for g in given)
        low, theirs = db(self.plain, self.want), db(self.plain, self.theirs["qdq"])
        ulp, apart, said = "", "", "same"
        if far:
            (cut, all_of, first), least = self.cut(), self.ulp()
            near = abs(low - theirs) <= ALIKE or min(qdq, cast, *back) >= max(least, low) - ORDER
            ulp, apart = f"{least:.1f}", f"{cut} of {all_of}"
            said = f"BAD {first}" if cut else "as two orders" if near else "BAD further than an ulp moves"
        m = onnx.load(self.file["qdq"], load_external_data=False)
        size = os.path.getsize(self.file["qdq"]) / os.path.getsize(self.path)
        return (f"{m.opset_import[0].version:5d} {size:6.2f} {far:8d} of {self.count:<8d} {qdq:6.1f} {cast:6.1f} "
                f"{min(back):6.1f} {ulp:>6} {low:6.1f} {theirs:6.1f} {apart:18} {said}"), not said.startswith("BAD")

    def cut(self):
        ret = (0, 0, "")
        for p in PROFILES:
            n = len(self.names)
            worst = max(range(len(self.feeds)), key=lambda k: beyond(self.want[k * n:][:n], self.theirs[p][k * n:][:n]))
            far, count, first = Cut(self.file[p], self.feeds[worst], self.tmp).result()
            ret = ret[0] + far, ret[1] + count, ret[2] or first and f"({p}) {first}"
        return ret


def main():
    ap = argparse.ArgumentParser(usage=__doc__)
    ap.add_argument("--recipe", default="fp8")
    ap.add_argument("place", nargs="*", default=[HERE])
    a = ap.parse_args()
    failed = False
    print(f"{'model':30} opset  bytes   beyond                {'qdq':>6} {'cast':>6} {'back':>6} {'ulp':>6} {'ours':>6} "
          f"{'theirs':>6} {'cut':18} judgement", flush=True)
    with np.errstate(all="ignore"):
        for path in models(a.place):
            name = os.path.basename(path)[:-5]
            with tempfile.TemporaryDirectory() as tmp:
                try:
                    said, well = Row(path, ("--recipe", a.recipe), tmp).judged()
                except Exception as e:  # a model that fails must not hide the others
                    said, well = "BAD " + why(e), False
                failed = failed or not well
                print(f"{name[-30:]:30} {said}", flush=True)
    return failed


sys.exit(main())
