# SPDX-License-Identifier: Apache-2.0
"""Operators that import writes as several nodes, with symbolic extents: one compiled program, run at unlike sizes,
against ONNX Runtime. The official node tests have constant extents only."""
import os
import sys
import tempfile

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "model"))
from scalec import Count, Model, scalec  # noqa: E402

RNG = np.random.default_rng(7)


def f32(*dims):
    return RNG.standard_normal(dims).astype(np.float32)


# name: (signature, body, feeds at each size)
CASES = {
    "parts": (
        "(float[a,b] x, float[n,4,h,w] c) => (float[p,q] head, float[p,q] tail, float[p,q] tiled, float[n,1,p,q] deep,"
        " float[n,p,h,w] flat, float[a,p] constant, float[a,p] edge, float[a,p] reflected, float[a,p] wrapped,"
        " float[a,p] cut)",
        """
        sizes = Constant<value = int64[2] {2, 1}>()
        rep = Constant<value = int64[2] {2, 3}>()
        pads = Constant<value = int64[4] {0, 2, 0, 1}>()
        less = Constant<value = int64[4] {0, -1, 0, 2}>()
        value = Constant<value = float {7.0}>()
        head, tail = Split<axis = 1, num_outputs = 2>(x)
        tiled = Tile(x, rep)
        deep = DepthToSpace<blocksize = 2>(c)
        flat = SpaceToDepth<blocksize = 2>(deep)
        constant = Pad(x, pads, value)
        edge = Pad<mode = "edge">(x, pads)
        reflected = Pad<mode = "reflect">(x, pads)
        wrapped = Pad<mode = "wrap">(x, pads)
        cut = Pad(x, less)
        """,
        lambda k: [f32(k, 2 * k), f32(k, 4, k + 1, 3)]),
    "positions": (
        "(float[a,b] x, int64[n] at) => (float[a,b] low, float[a,b] high, int64[p] r, float[a,b] eye, float[n,p] hot,"
        " int64 s, float[a,b] hard, float[p] down)",
        """
        one = Constant<value = int64 {1}>()
        zero = Constant<value = int64 {0}>()
        three = Constant<value = int64 {3}>()
        five = Constant<value = int64[1] {5}>()
        values = Constant<value = float[2] {-1.0, 2.0}>()
        low = Trilu<upper = 0>(x)
        high = Trilu(x, one)
        cols = Shape<start = 1>(x)
        none = Constant<value = int64[0] {}>()
        limit = Reshape(cols, none)
        r = Range(zero, limit, three)
        eye = EyeLike<k = 1>(x)
        hot = OneHot(at, five, values)
        s = Size(x)
        hard = Hardmax(x)
        minus = Constant<value = int64 {-2}>()
        ri = Range(limit, zero, minus)
        down = Cast<to = 1>(ri)
        """,
        lambda k: [f32(k, 2 * k + 1), RNG.integers(-5, 5, k)]),
}


def build(name, path):
    signature, body, _ = CASES[name]
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]>\n{name} {signature}\n{{{body}}}')
    onnx.save(model, path)


def check(name, tmp):
    path, so = os.path.join(tmp, name + ".onnx"), os.path.join(tmp, name + ".so")
    build(name, path)
    scalec("compile", path, "--emit", "so", "--symbol", "model", "-o", so)
    model, reference = Model(so), ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    for k in (2, 5, 19):
        feeds = CASES[name][2](k)
        want = reference.run(None, {i.name: f for i, f in zip(reference.get_inputs(), feeds)})
        for o, a, b in zip(reference.get_outputs(), model.run(*feeds), want):
            if a.shape != b.shape or not np.allclose(a, b, rtol=1e-4, atol=1e-5):
                raise AssertionError(f"size {k}: {o.name} {a.shape} differs from {b.shape}:\n{a}\n{b}")
    model.close()


def main():
    count = Count("onnx-symbolic")
    ort.set_default_logger_severity(4)
    with tempfile.TemporaryDirectory() as tmp:
        for name in CASES:
            count.check(name, lambda: check(name, tmp))
    count.close()


if __name__ == "__main__":
    main()
