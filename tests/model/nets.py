# SPDX-License-Identifier: Apache-2.0
"""Convolutional networks whose structure lets estimates of scale drift, as exporters write them: chains of
concatenations (DenseNet), sums of branches (RepVGG), clips at 6 (MobileNetV2), gates (EfficientNet), and f16. Weights
are Kaiming-normal."""
import numpy as np
from onnx import helper, numpy_helper

SIZE = 32
BATCH = 8  # the error of a single input is luck: it varies by 8 dB from one to the next
CLASSES = 50


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


# name -> a model
NETS = {"concatenations": lambda: densenet(Net(1)), "branches": lambda: repvgg(Net(2)), "clips": lambda: clips(Net(3)),
        "gates": lambda: gates(Net(4)), "f16": lambda: resnet(Net(5, np.float16))}


def inputs(m, seed):
    """Of one of them: normal numbers."""
    t = helper.tensor_dtype_to_np_dtype(m.graph.input[0].type.tensor_type.elem_type)
    return (np.random.default_rng(seed).standard_normal((BATCH, 3, SIZE, SIZE)) * .7 + .2).astype(t)
