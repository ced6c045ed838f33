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
import os
import sys
import tempfile

import numpy as np
import onnx
from onnx import helper

from peer import CODES, HERE, Peer, compiled, distance, error, models, ours, samples, tensor_types, why

MOST = 4  # times what ONNX Runtime's own optimisations change


def is_near(e, peer):
    return e <= max(1, MOST * peer)


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
    peer, exe = Peer(path), compiled(path, os.path.join(tmp, "model"), "--recipe", recipe)
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
    inner = os.path.join(tmp, "inner.onnx")
    onnx.save(m, inner)
    peer, exe = Peer(inner), compiled(inner, os.path.join(tmp, "model"), "--recipe", recipe)
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
                print(f"{name:28.28} {why(e)}", flush=True)
    return 1 if bad else 0


sys.exit(main())
