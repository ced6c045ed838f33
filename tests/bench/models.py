# SPDX-License-Identifier: Apache-2.0
"""Models that benchmarks make themselves, so that no file is needed: shapes of well-known networks, weights a Gaussian
that keeps the data's variance. `make(NAME, DIR)` answers the path of the ONNX file; NAMES are what there is."""
import os

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

PAST, TOKENS = 127, 128  # of GPT-2: before the token that is decoded; of a prompt
WIDE, HEADS, LAYERS, WORDS = 768, 12, 12, 50257


class Net:
    """A graph under construction: its methods answer names of values."""

    def __init__(self, seed=1):
        self.rng, self.nodes, self.init, self.n = np.random.default_rng(seed), [], [], 0
        self.ins, self.outs = [], []

    def name(self):
        self.n += 1
        return f"v{self.n}"

    def const(self, x):
        self.init.append(numpy_helper.from_array(np.asarray(x), self.name()))
        return self.init[-1].name

    def weight(self, *shape, rms):
        return self.const((rms * self.rng.standard_normal(shape)).astype(np.float32))

    def op(self, kind, *x, n=1, **attr):
        out = [self.name() for _ in range(n)]
        self.nodes.append(helper.make_node(kind, list(x), out, name=f"{kind}.{out[0]}", **attr))
        return out[0] if n == 1 else out

    def input(self, name, shape, elem=T.FLOAT):
        self.ins.append(helper.make_tensor_value_info(name, elem, shape))
        return name

    def output(self, value, name, shape):
        self.nodes.append(helper.make_node("Identity", [value], [name], name=name))
        self.outs.append(helper.make_tensor_value_info(name, T.FLOAT, shape))

    def save(self, path):
        g = helper.make_graph(self.nodes, "g", self.ins, self.outs, self.init)
        onnx.save(helper.make_model(g, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)

    # --- Layers -----------------------------------------------------------------------------------

    def conv(self, x, cin, cout, k, stride=1, gain=2.0, relu=True):
        """Batch-norm is folded, as exporters do for inference."""
        w, b = self.weight(cout, cin, k, k, rms=np.sqrt(gain / (cin * k * k))), self.weight(cout, rms=0.1)
        y = self.op("Conv", x, w, b, kernel_shape=[k, k], strides=[stride] * 2, pads=[k // 2] * 4)
        return self.op("Relu", y) if relu else y

    def dense(self, x, k, n, gain=1.0):
        y = self.op("MatMul", x, self.weight(k, n, rms=np.sqrt(gain / k)))
        return self.op("Add", y, self.weight(n, rms=0.02))

    def norm(self, x):
        g, b = self.const(1 + 0.1 * self.rng.standard_normal(WIDE).astype(np.float32)), self.weight(WIDE, rms=0.1)
        return self.op("LayerNormalization", x, g, b, axis=-1, epsilon=1e-5)

    def scalar(self, x):
        return self.const(np.array(x, np.float32))

    def gelu(self, x):
        """GPT-2's, of a tanh."""
        cubed = self.op("Mul", self.op("Pow", x, self.scalar(3)), self.scalar(0.044715))
        t = self.op("Tanh", self.op("Mul", self.op("Add", x, cubed), self.scalar(np.sqrt(2 / np.pi))))
        return self.op("Mul", self.op("Mul", x, self.scalar(0.5)), self.op("Add", t, self.scalar(1)))


def resnet(path, deep):
    """ResNet-18 (blocks of two 3 x 3) or ResNet-50 (of 1 x 1, 3 x 3, 1 x 1, stride in the middle one)."""
    net, counts, wide = Net(), (3, 4, 6, 3) if deep else (2, 2, 2, 2), 4 if deep else 1
    x, cin = net.conv(net.input("x", [1, 3, 224, 224]), 3, 64, 7, 2), 64
    x = net.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for stage, count in enumerate(counts):
        mid = 64 << stage
        for i in range(count):
            stride, short = 2 if stage and not i else 1, x
            if stride > 1 or cin != mid * wide:
                short = net.conv(x, cin, mid * wide, 1, stride, 0.5, False)
            if deep:
                y = net.conv(net.conv(x, cin, mid, 1), mid, mid, 3, stride)
                y = net.conv(y, mid, mid * wide, 1, 1, 0.5, False)
            else:
                y = net.conv(net.conv(x, cin, mid, 3, stride), mid, mid, 3, 1, 0.5, False)
            x, cin = net.op("Relu", net.op("Add", y, short)), mid * wide
    x = net.op("Flatten", net.op("GlobalAveragePool", x))
    net.output(net.dense(x, cin, 1000), "y", [1, 1000])
    net.save(path)


def attention(net, x, layer, tokens, past=0, causal=True):
    """Of `tokens` rows, behind what a cache holds where past (a number or a symbol); its next contents are outputs."""
    q, k, v = net.op("Split", net.dense(x, WIDE, 3 * WIDE), n=3, axis=-1)
    shape = net.const(np.array([1, tokens, HEADS, WIDE // HEADS]))
    q, k, v = (net.op("Transpose", net.op("Reshape", t, shape), perm=[0, 2, 1, 3]) for t in (q, k, v))
    if past:
        total = past + ".all" if isinstance(past, str) else past + tokens
        kept, grown = [1, HEADS, past, WIDE // HEADS], [1, HEADS, total, WIDE // HEADS]
        k = net.op("Concat", net.input(f"past.{layer}.key", kept), k, axis=2)
        v = net.op("Concat", net.input(f"past.{layer}.value", kept), v, axis=2)
        net.output(k, f"present.{layer}.key", grown)
        net.output(v, f"present.{layer}.value", grown)
    s = net.op("Div", net.op("MatMul", q, net.op("Transpose", k, perm=[0, 1, 3, 2])), net.scalar(8))
    if tokens > 1 and causal:
        hidden = np.triu(np.full((tokens, past + tokens), np.finfo(np.float32).min, np.float32), past + 1)
        s = net.op("Add", s, net.const(hidden[None, None]))
    y = net.op("Transpose", net.op("MatMul", net.op("Softmax", s, axis=-1), v), perm=[0, 2, 1, 3])
    y = net.op("Reshape", y, net.const(np.array([1, tokens, WIDE])))
    return net.dense(y, WIDE, WIDE, 0.25)


def gpt2(path, tokens, past=0, last=False):
    """GPT-2 small; `last`: the logits of the last token alone. Where past is a symbol, the place is an input."""
    net = Net()
    ids = net.input("ids", [1, tokens], T.INT64)
    table = (0.02 * net.rng.standard_normal((WORDS, WIDE))).astype(np.float32)
    words, places = net.const(table), net.weight(1024, WIDE, rms=0.02)
    grows = isinstance(past, str)
    at = net.input("place", [1, tokens], T.INT64) if grows else net.const(np.arange(past, past + tokens)[None])
    x = net.op("Add", net.op("Gather", words, ids), net.op("Gather", places, at))
    for layer in range(LAYERS):
        x = net.op("Add", x, attention(net, net.norm(x), layer, tokens, past))
        y = net.gelu(net.dense(net.norm(x), WIDE, 4 * WIDE))
        x = net.op("Add", x, net.dense(y, 4 * WIDE, WIDE, 0.25))
    if last:
        x = net.op("Slice", x, *(net.const(np.array([i])) for i in (tokens - 1, tokens, 1)))
    y = net.op("MatMul", net.norm(x), net.const(table.T.copy()))  # twice in the file, as exporters write it
    net.output(y, "logits", [1, 1 if last else tokens, WORDS])
    net.save(path)


def bert(path):
    """BERT-base's encoder on 128 tokens that no mask hides."""
    net = Net()
    ids = net.input("ids", [1, TOKENS], T.INT64)
    places = net.op("Unsqueeze", net.weight(TOKENS, WIDE, rms=1), net.const(np.array([0])))
    x = net.norm(net.op("Add", net.op("Gather", net.weight(30522, WIDE, rms=1), ids), places))
    for layer in range(LAYERS):
        x = net.norm(net.op("Add", x, attention(net, x, layer, TOKENS, causal=False)))
        y = net.dense(x, WIDE, 4 * WIDE)
        half = net.op("Erf", net.op("Div", y, net.scalar(np.sqrt(2))))
        y = net.op("Mul", net.op("Mul", y, net.op("Add", half, net.scalar(1))), net.scalar(0.5))
        x = net.norm(net.op("Add", x, net.dense(y, 4 * WIDE, WIDE)))
    net.output(x, "y", [1, TOKENS, WIDE])
    net.save(path)


def mlp(path):
    net, extent = Net(), (1024, 4096, 4096, 1024)
    x = net.input("x", [1, extent[0]])
    for i in range(3):
        x = net.op("MatMul", x, net.weight(extent[i], extent[i + 1], rms=np.sqrt((1 if i == 0 else 2) / extent[i])))
        x = net.op("Relu", x) if i < 2 else x
    net.output(x, "y", [1, extent[-1]])
    net.save(path)


def lstms(path):
    """One step of two LSTMs of 128 and a mask of 257 frequencies, states in and out, as in DTLN."""
    net, wide, bins = Net(), 128, 257
    spectrum = net.input("spectrum", [1, 1, bins])
    x = spectrum
    for i in range(2):
        k = bins if i == 0 else wide
        state = [net.input(f"{s}{i}", [1, 1, wide]) for s in "hc"]
        w = [net.weight(1, 4 * wide, n, rms=n ** -0.5) for n in (k, wide)]
        y, h, c = net.op("LSTM", x, *w, net.weight(1, 8 * wide, rms=0.1), "", *state, n=3, hidden_size=wide)
        net.output(h, f"next.h{i}", [1, 1, wide])
        net.output(c, f"next.c{i}", [1, 1, wide])
        x = net.op("Squeeze", y, net.const(np.array([1])))
    y = net.op("Mul", net.op("Sigmoid", net.dense(x, wide, bins)), spectrum)
    net.output(y, "y", [1, 1, bins])
    net.save(path)


MAKE = {
    "resnet18": lambda path: resnet(path, False),
    "resnet50": lambda path: resnet(path, True),
    "gpt2-decode": lambda path: gpt2(path, 1, PAST),
    "gpt2-grows": lambda path: gpt2(path, 1, "past"),
    "gpt2-prefill": lambda path: gpt2(path, TOKENS),
    "gpt2-prefill-last": lambda path: gpt2(path, TOKENS, last=True),
    "bert": bert,
    "mlp": mlp,
    "lstms": lstms,
}
NAMES = [name for name in MAKE if name != "gpt2-grows"]  # without inputs of unknown extents


def make(name, folder):
    path = os.path.join(folder, name + ".onnx")
    MAKE[name](path)
    return path
