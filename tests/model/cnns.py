# SPDX-License-Identifier: Apache-2.0
"""Convolutional networks whose structure lets estimates of scale drift, as exporters write them: chains of
concatenations (DenseNet), sums of branches (RepVGG), clips at 6 (MobileNetV2), gates (EfficientNet), and f16. Weights
are Kaiming-normal. In FP8 the outputs stay near those of f32, without data as with it."""
import json
import os
import subprocess
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from scalec import SCALEC, Count

SIZE = 32
BATCH = 8  # the error of a single input is luck: it varies by 8 dB from one to the next
CLASSES = 50
# Bits between an estimate of log2 RMS and what is measured.
MOST_DRIFT = {"propagate": 3.5, "probe": 2.5}


class Net:
    def __init__(self, seed, dtype=np.float32):
        self.rng, self.nodes, self.init, self.n, self.dtype = np.random.default_rng(seed), [], [], 0, dtype

    def const(self, a):
        self.n += 1
        self.init.append(numpy_helper.from_array(np.asarray(a).astype(self.dtype), f"w{self.n}"))
        return f"w{self.n}"

    def op(self, kind, *x, **attributes):
        self.n += 1
        y = f"{kind.lower()}_{self.n}"
        self.nodes.append(helper.make_node(kind, list(x), [y], name=f"/{kind}_{self.n}", **attributes))
        return y

    def conv(self, x, ci, co, k=3, stride=1, group=1, gain=2.0):
        w = self.rng.standard_normal((co, ci // group, k, k)) * np.sqrt(gain / (ci // group * k * k))
        return self.op("Conv", x, self.const(w), self.const(self.rng.standard_normal(co) * 0.05),
                       kernel_shape=[k, k], pads=[k // 2] * 4, strides=[stride, stride], group=group)

    def norm(self, x, c):
        one, zero = np.ones(c), np.zeros(c)
        return self.op("BatchNormalization", x, *(self.const(a) for a in (one, zero, zero, one)))

    def relu(self, x):
        return self.op("Relu", x)

    def clip(self, x):
        return self.op("Clip", x, self.const(0.), self.const(6.))

    def silu(self, x):
        return self.op("Mul", x, self.op("Sigmoid", x))

    def gate(self, x, c):
        y = self.silu(self.conv(self.op("GlobalAveragePool", x), c, c // 4, 1))
        return self.op("Mul", x, self.op("Sigmoid", self.conv(y, c // 4, c, 1)))

    def model(self, x, c):
        x = self.op("Flatten", self.op("GlobalAveragePool", x), axis=1)
        w = self.rng.standard_normal((CLASSES, c)) / np.sqrt(c)
        x = self.op("Gemm", x, self.const(w), self.const(np.zeros(CLASSES)), transB=1)
        t = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        g = helper.make_graph(self.nodes, "g", [helper.make_tensor_value_info("input", t, [BATCH, 3, SIZE, SIZE])],
                              [helper.make_tensor_value_info(x, t, [BATCH, CLASSES])], self.init)
        return helper.make_model(g, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def densenet(n):
    x, c = n.relu(n.conv("input", 3, 16, 3, 2)), 16
    for block in range(2):
        for _ in range(8):
            y = n.relu(n.conv(n.relu(n.norm(x, c)), c, 32, 1))
            x, c = n.op("Concat", x, n.conv(y, 32, 8), axis=1), c + 8
        if block == 0:
            x = n.op("AveragePool", n.conv(n.relu(x), c, c // 2, 1), kernel_shape=[2, 2], strides=[2, 2])
            c //= 2
    return n.model(n.relu(x), c)


def repvgg(n):
    x, ci = "input", 3
    for c, layers in ((16, 3), (32, 6), (48, 12)):
        for i in range(layers):
            stride = 2 if i == 0 else 1
            y = n.op("Add", n.conv(x, ci, c, 3, stride, gain=1), n.conv(x, ci, c, 1, stride, gain=1))
            x, ci = n.relu(y if i == 0 else n.op("Add", y, n.norm(x, c))), c
    return n.model(x, ci)


def inverted(n, act, gated):
    """Inverted residuals around depthwise convolutions."""
    x, ci = act(n.conv("input", 3, 16, 3, 2)), 16
    for c, layers in ((16, 2), (24, 4), (40, 6)):
        for i in range(layers):
            y = act(n.conv(act(n.conv(x, ci, 4 * ci, 1)), 4 * ci, 4 * ci, 3, 2 if i == 0 and c > 16 else 1, 4 * ci))
            y = n.conv(n.gate(y, 4 * ci) if gated else y, 4 * ci, c, 1)
            x, ci = n.op("Add", x, y) if ci == c else y, c
    return n.model(act(x), ci)


def clips(n):
    return inverted(n, n.clip, False)


def gates(n):
    return inverted(n, n.silu, True)


def resnet(n):
    x, ci = n.relu(n.conv("input", 3, 16, 3, 2)), 16
    for c in (32, 64, 128):
        for i in range(3):
            stride = 2 if i == 0 and c > 32 else 1
            y = n.relu(n.conv(n.relu(n.conv(x, ci, c // 2, 1)), c // 2, c // 2, 3, stride))
            x = n.relu(n.op("Add", n.conv(y, c // 2, c, 1, gain=.5), n.conv(x, ci, c, 1, stride) if ci != c else x))
            ci = c
    return n.model(x, ci)


def run(path, npz, out, *options):
    subprocess.run([SCALEC, "run", path, "-i", npz, "-o", out, *options], check=True, capture_output=True)
    with np.load(out) as z:
        return z[z.files[0]].astype(np.float64)


def sqnr(want, got):
    assert np.isfinite(got).all(), got
    return 10 * np.log10((want ** 2).sum() / ((want - got) ** 2).sum())


def drift(path, npz, options):
    """Of all tensors the one whose measured log2 RMS is farthest from the estimate: (bits, name)."""
    p = subprocess.run([SCALEC, "check", path, "--data", npz, "--budget", "0", "--json", *options], check=True,
                       capture_output=True)
    seen = [(abs(t["log2_rms_expected"] - np.log2(t["rms"])), t["name"]) for t in json.loads(p.stdout)["tensors"]
            if t["log2_rms_expected"] is not None and t["rms"]]
    return max(seen)


def check(net, options, least):
    """net must give the outputs of its f32 run within so many dB, whatever the options are, and where activations are
    stored low no estimate may be far from what is measured."""
    with tempfile.TemporaryDirectory() as tmp:
        path, npz, out = (os.path.join(tmp, f) for f in ("m.onnx", "x.npz", "y.npz"))
        m = net()
        onnx.save(m, path)
        t = helper.tensor_dtype_to_np_dtype(m.graph.input[0].type.tensor_type.elem_type)
        np.savez(npz, input=(np.random.default_rng(9).standard_normal((BATCH, 3, SIZE, SIZE)) * .7 + .2).astype(t))
        want = run(path, npz, out)
        got = {" ".join(o): sqnr(want, run(path, npz, out, *o)) for o in options}
        assert all(x >= least for x in got.values()), got
        for o in options:
            if "--scales" in o:
                bits, name = drift(path, npz, o)
                print(f"{' '.join(o)}: the worst estimate is {bits:.2f} bits off, of {name}")
                assert bits <= MOST_DRIFT[o[-1]], (bits, name)


FP8 = [["--recipe", "fp8", "--scales", s] for s in ("propagate", "probe")]
count = Count("model-cnns")
count.check("concatenations", lambda: check(lambda: densenet(Net(1)), FP8, 18))
count.check("branches", lambda: check(lambda: repvgg(Net(2)), FP8, 18))
count.check("clips", lambda: check(lambda: clips(Net(3)), FP8, 15))
count.check("gates", lambda: check(lambda: gates(Net(4)), FP8, 18))
count.check("f16", lambda: check(lambda: resnet(Net(5, np.float16)),
                                 FP8 + [["--recipe", r] for r in ("f16", "fp8-weights")], 18))
count.close()
