# SPDX-License-Identifier: Apache-2.0
"""Networks that are no plain convolutional ones, as exporters write them, small: transformers with norms before and
behind, a decoder with its cache, recurrent ones, attention over what is far from zero on average, a U-Net with a
step. Weights are normal with the variance that keeps a sum's."""
import numpy as np
import onnx
from onnx import TensorProto, helper

from nets import Net

WORDS, LENGTH, WIDTH, HEADS = 100, 16, 64, 4
PAST = 8


class Sequence(Net):
    def __init__(self, seed):
        super().__init__(seed)
        self.given, self.made = [], []

    def ints(self, *x):
        self.n += 1
        self.init.append(onnx.numpy_helper.from_array(np.array(x, np.int64), f"w{self.n}"))
        return f"w{self.n}"

    def given_as(self, name, shape, t=TensorProto.FLOAT):
        self.given.append(helper.make_tensor_value_info(name, t, shape))
        return name

    def result(self, x, name=None):
        self.nodes.append(helper.make_node("Identity", [x], [name or f"{x}.out"]))
        self.made.append(onnx.ValueInfoProto(name=name or f"{x}.out"))

    def linear(self, x, ci, co, bias=True, gain=1.0):
        x = self.op("MatMul", x, self.const(self.rng.standard_normal((ci, co)) * np.sqrt(gain / ci)))
        return self.op("Add", self.const(self.rng.standard_normal(co) * .02), x) if bias else x

    def layer_norm(self, x, c=WIDTH):
        return self.op("LayerNormalization", x, self.const(1 + .1 * self.rng.standard_normal(c)),
                       self.const(.1 * self.rng.standard_normal(c)), axis=-1, epsilon=1e-5)

    def rms_norm(self, x, c=WIDTH):
        """As Llama's exporters write it."""
        square = self.op("ReduceMean", self.op("Pow", x, self.const(2.)), axes=[-1], keepdims=1)
        root = self.op("Sqrt", self.op("Add", square, self.const(1e-6)))
        scaled = self.op("Mul", x, self.op("Div", self.const(1.), root))
        return self.op("Mul", self.const(1 + .1 * self.rng.standard_normal(c)), scaled)

    def gelu(self, x):
        y = self.op("Erf", self.op("Div", x, self.const(np.sqrt(2.))))
        y = self.op("Mul", x, self.op("Add", y, self.const(1.)))
        return self.op("Mul", y, self.const(.5))

    def heads(self, x, c=WIDTH, order=(0, 2, 1, 3)):
        x = self.op("Reshape", x, self.ints(0, 0, HEADS, c // HEADS))
        return self.op("Transpose", x, perm=list(order))

    def joined(self, x, c=WIDTH):
        return self.op("Reshape", self.op("Transpose", x, perm=[0, 2, 1, 3]), self.ints(0, 0, c))

    def attend(self, q, k, v, mask=None, c=WIDTH, shown=False):
        """k: [batch, heads, size, keys]; shown: the weights are results too, which keeps this from becoming one node."""
        scores = self.op("Div", self.op("MatMul", q, k), self.const(np.sqrt(c // HEADS)))
        scores = self.op("Add", scores, mask) if mask else scores
        weights = self.op("Softmax", scores, axis=-1)
        if shown:
            self.result(weights)
        return self.op("MatMul", weights, v)

    def attention(self, x, of=None, c=WIDTH, shown=False):
        of = of or x
        q, k, v = (self.linear(y, c, c) for y in (x, of, of))
        y = self.attend(self.heads(q, c), self.heads(k, c, (0, 2, 3, 1)), self.heads(v, c), c=c, shown=shown)
        return self.linear(self.joined(y, c), c, c)

    def embedding(self, tokens, c=WIDTH, deviation=1.0):
        table = self.const(self.rng.standard_normal((WORDS, c)) * deviation)
        return self.op("Gather", table, tokens, axis=0)

    def model(self):
        g = helper.make_graph(self.nodes, "g", self.given, self.made, self.init)
        return onnx.shape_inference.infer_shapes(
            helper.make_model(g, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


def encoder(seed, before):
    """BERT's layers (norms behind sums), or ViT's (before), whose weights are results."""
    n = Sequence(seed)
    x = n.embedding(n.given_as("tokens", [2, LENGTH], TensorProto.INT64), deviation=.02)
    x = n.op("Add", x, n.const(n.rng.standard_normal((LENGTH, WIDTH)) * .02))
    x = x if before else n.layer_norm(x)
    for _ in range(6):
        y = n.attention(n.layer_norm(x) if before else x, shown=before)
        x = n.op("Add", y, x) if before else n.layer_norm(n.op("Add", y, x))
        y = n.linear(n.layer_norm(x) if before else x, WIDTH, 4 * WIDTH)
        y = n.linear(n.gelu(y), 4 * WIDTH, WIDTH)
        x = n.op("Add", y, x) if before else n.layer_norm(n.op("Add", y, x))
    n.result(n.linear(n.layer_norm(x) if before else x, WIDTH, WORDS))
    return n.model()


def decoder():
    """Llama's layers, whose keys and values are handed in and out: rotary positions, gated products, a causal mask."""
    n, size, tokens = Sequence(12), WIDTH // HEADS, 4
    x = n.embedding(n.given_as("tokens", [1, tokens], TensorProto.INT64), deviation=.05)
    at = np.arange(PAST, PAST + tokens)[:, None] / 10000 ** (np.arange(size // 2) * 2 / size)
    cos, sin = (n.const(np.concatenate([f(at)] * 2, -1)) for f in (np.cos, np.sin))
    mask = n.const(np.where(np.arange(PAST + tokens) > PAST + np.arange(tokens)[:, None], np.finfo(np.float32).min, 0))

    def rotated(x):
        first, last = (n.op("Slice", x, n.ints(a), n.ints(b), n.ints(3)) for a, b in ((0, size // 2), (size // 2, size)))
        turned = n.op("Concat", n.op("Neg", last), first, axis=-1)
        return n.op("Add", n.op("Mul", x, cos), n.op("Mul", turned, sin))

    def kept(x, name):
        past = n.given_as(f"past.{name}", [1, HEADS, PAST, size])
        x = n.op("Concat", past, x, axis=2)
        n.result(x, f"present.{name}")
        return x
    for k in range(4):
        y = n.rms_norm(x)
        q, key, v = (n.heads(n.linear(y, WIDTH, WIDTH, False)) for _ in range(3))
        key, v = kept(rotated(key), f"{k}.key"), kept(v, f"{k}.value")
        y = n.attend(rotated(q), n.op("Transpose", key, perm=[0, 1, 3, 2]), v, mask)
        x = n.op("Add", x, n.linear(n.joined(y), WIDTH, WIDTH, False))
        y = n.rms_norm(x)
        y = n.op("Mul", n.silu(n.linear(y, WIDTH, 3 * WIDTH, False)), n.linear(y, WIDTH, 3 * WIDTH, False))
        x = n.op("Add", x, n.linear(y, 3 * WIDTH, WIDTH, False))
    n.result(n.linear(n.rms_norm(x), WIDTH, WORDS, False))
    return n.model()


def recurrent():
    """An LSTM, a GRU both ways and a plain one, in a row."""
    n, steps, batch = Sequence(13), 12, 2
    x, c = n.given_as("input", [steps, batch, WIDTH]), WIDTH
    for kind, gates, ways in (("LSTM", 4, 1), ("GRU", 3, 2), ("RNN", 1, 1)):
        w, r = (n.const(n.rng.uniform(-1, 1, (ways, gates * WIDTH, k)) / np.sqrt(WIDTH)) for k in (c, WIDTH))
        b = n.const(n.rng.uniform(-1, 1, (ways, 2 * gates * WIDTH)) / np.sqrt(WIDTH))
        x = n.op(kind, x, w, r, b, hidden_size=WIDTH, direction="forward" if ways == 1 else "bidirectional")
        x, c = n.op("Reshape", n.op("Transpose", x, perm=[0, 2, 1, 3]), n.ints(0, 0, -1)), ways * WIDTH
    n.result(n.linear(x, WIDTH, WORDS))
    return n.model()


def crossed():
    """Attention of few queries over many keys, which are all positive, and over few; no norms."""
    n = Sequence(14)
    x, of = n.given_as("queries", [2, 4, WIDTH]), n.given_as("keys", [2, 200, WIDTH])
    for act in ("Tanh", "HardSwish") * 2:
        x = n.op("Add", x, n.attention(x, n.relu(of)))
        x = n.op("Add", x, n.attention(x))
        x = n.op("Add", x, n.linear(n.op(act, n.linear(x, WIDTH, WIDTH)), WIDTH, WIDTH))
    n.result(n.linear(x, WIDTH, 10))
    return n.model()


def unet():
    """Down and up again with what was there before beside it: norms of groups, a step's sines, attention in the middle."""
    n, size = Sequence(15), 16
    x, t = n.given_as("input", [2, 4, size, size]), n.given_as("step", [2, 1])
    angle = n.op("Mul", t, n.const(10000. ** (-np.arange(8) / 8)))
    emb = n.op("Concat", n.op("Sin", angle), n.op("Cos", angle), axis=-1)
    emb = n.linear(n.silu(n.linear(emb, 16, 64)), 64, 64)

    def norm(x, c):
        """GroupNormalization, as PyTorch exports it."""
        y = n.op("InstanceNormalization", n.op("Reshape", x, n.ints(0, 8, -1)), n.const(np.ones(8)), n.const(np.zeros(8)), epsilon=1e-5)
        y = n.op("Reshape", y, n.op("Shape", x))
        scale, shift = (n.const(a + .1 * n.rng.standard_normal((c, 1, 1))) for a in (1, 0))
        return n.op("Add", n.op("Mul", y, scale), shift)

    def block(x, ci, c):
        y = n.conv(n.silu(norm(x, ci) if ci % 8 == 0 else x), ci, c, gain=1)
        y = n.op("Add", y, n.op("Reshape", n.linear(n.silu(emb), 64, c), n.ints(0, -1, 1, 1)))
        y = n.conv(n.silu(norm(y, c)), c, c, gain=1)
        return n.op("Add", y, n.conv(x, ci, c, 1, gain=1) if ci != c else x)
    left, c = [], 4
    for co in (16, 32, 64):
        x, c = block(x, c, co), co
        left.append(x)
        x = n.conv(x, c, c, stride=2, gain=1)
    y = n.op("Transpose", n.op("Reshape", norm(x, c), n.ints(0, 0, -1)), perm=[0, 2, 1])
    y = n.op("Transpose", n.attention(y, c=c), perm=[0, 2, 1])
    x = n.op("Add", x, n.op("Reshape", y, n.op("Shape", x)))
    for co in (64, 32, 16):
        x = n.op("Resize", x, "", n.const([1., 1., 2., 2.]), mode="nearest", nearest_mode="floor",
                 coordinate_transformation_mode="asymmetric")
        x = n.op("Concat", n.conv(x, c, co, gain=1), left.pop(), axis=1)
        x, c = block(x, 2 * co, co), co
    n.result(n.conv(n.silu(norm(x, c)), c, 4, gain=1))
    return n.model()


# name -> a model
NETS = {"norms-behind": lambda: encoder(10, False), "norms-before": lambda: encoder(11, True), "decoder": decoder,
        "recurrent": recurrent, "crossed": crossed, "unet": unet}


def inputs(m, seed):
    """By name: words, or normal numbers."""
    rng, ret = np.random.default_rng(seed), {}
    for x in m.graph.input:
        shape = [d.dim_value for d in x.type.tensor_type.shape.dim]
        ints = x.type.tensor_type.elem_type == TensorProto.INT64
        ret[x.name] = rng.integers(0, WORDS, shape) if ints else rng.standard_normal(shape).astype(np.float32)
    return ret
