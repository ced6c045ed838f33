# SPDX-License-Identifier: Apache-2.0
"""Random numbers: beside the generator written again in NumPy, which is held to the published answers and to the
moments of what is drawn. The first run of a program draws with run = 0."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from case_kit import F32, I64, case, ints, node, ramp

U32 = np.uint32


def threefry(x, y, key, key2):
    """The first word of Threefry-2x32-20."""
    with np.errstate(over="ignore"):
        x, y, key, key2 = (np.asarray(v, U32) for v in (x, y, key, key2))
        keys = [key, key2, key ^ key2 ^ U32(0x1BD11BDA)]
        x, y = x + keys[0], y + keys[1]
        for i in range(20):
            by = U32((13, 15, 26, 6, 17, 29, 16, 24)[i % 8])
            x = x + y
            y = (y << by | y >> U32(32 - by)) ^ x
            if i % 4 == 3:
                k = i // 4 + 1
                x, y = x + keys[k % 3], y + keys[(k + 1) % 3] + U32(k)
        return x


for counter, key, bits in (((0, 0), (0, 0), 0x6B200159), ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, 0x1CB996FC),
                           ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), 0xC4923A9C)):
    assert threefry(*counter, *key) == bits


class Draws:
    """What node number `index` of a model draws, its elements in order."""

    def __init__(self, count, index=0, seed=F32(0), run=0):
        of = seed.view(U32)
        self.keys = threefry(run, 0, of, index), threefry(run, 1, of, index)
        self.at, self.drawn = np.arange(count, dtype=U32), 0

    def bits(self):
        self.drawn += 1
        return threefry(self.at, self.drawn - 1, *self.keys)

    def uniform(self, bits=24):
        return (self.bits() >> U32(32 - bits)) * 0.5**bits

    def normal(self):
        u = (self.bits().astype(F32) + 0.5) * 0.5**32
        return np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * self.uniform())


def moments(x, mean, var):
    """Within five standard errors."""
    assert abs(x.mean() - mean) < 5 * np.sqrt(var / x.size), (x.mean(), mean)
    assert abs(x.var() / var - 1) < 5 * np.sqrt(3 / x.size), (x.var(), var)
    assert abs(np.corrcoef(x[1:], x[:-1])[0, 1]) < 5 / np.sqrt(x.size)


def plain():
    many = 40000
    u, z = Draws(many).uniform(), Draws(many, seed=F32(3)).normal()
    moments(u, 1 / 2, 1 / 12)
    moments(z, 0, 1)
    moments(Draws(many, 1).uniform() * u, 1 / 4, 7 / 144)
    cells = np.bincount((u * 64).astype(int), minlength=64)
    assert ((cells - many / 64) ** 2).sum() / (many / 64) < 110  # chi squared of 63: below 110 but for 1 in 4000
    case("random-uniform", node("RandomUniform", "", shape=[many], low=-1.0, high=3.0), want={"y": (4 * u - 1).astype(F32)})
    case("random-normal", node("RandomNormal", "", shape=[many], mean=1.0, scale=2.0, seed=3.0), want={"y": (2 * z + 1).astype(F32)})
    x = {"x": ramp(3, 5)}
    case("random-like", [node("RandomUniformLike", "x", "a"), node("RandomNormalLike", "x", "b", dtype=11), node("Cast", "b", "c", to=1)], x,
         dims={"x": ["n", 5]}, outputs="a c", want={"a": Draws(15).uniform().astype(F32).reshape(3, 5),
                                                    "c": doubles(Draws(15, 1)).astype(F32).reshape(3, 5)})
    case("random-f16", node("RandomUniform", "", shape=[3, 5], dtype=10), want={"y": Draws(15).uniform().astype(np.float16).reshape(3, 5)})
    case("random-int", node("RandomUniform", "", shape=[3], dtype=6), words="random numbers are floats")


def doubles(d):
    u = (d.bits().astype(np.float64) + 0.5) * 0.5**32
    return np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * d.uniform(32))


def chosen():
    p = np.linspace(0, 1, 24, dtype=F32).reshape(4, 6)
    case("random-bernoulli", node("Bernoulli", "x", dtype=7), {"x": p}, dims={"x": ["n", 6]}, opset=15,
         want={"y": (Draws(24).uniform().reshape(4, 6) < p).astype(I64)})
    weights = np.array([[1, 2, 3, 2], [1, 1, 0, 6]], np.float64)
    u = Draws(2 * 4000).uniform().reshape(2, 4000, 1)
    picked = (np.cumsum(weights, 1)[:, None, :3] / weights.sum(1)[:, None, None] <= u).sum(2)
    for row, w in zip(picked, weights):
        assert (abs(np.bincount(row, minlength=4) / 4000 - w / w.sum()) < 5 * np.sqrt(0.25 / 4000)).all()
    with np.errstate(divide="ignore"):
        logs = np.log(weights).astype(F32)
    case("random-multinomial", node("Multinomial", "x", sample_size=4000, dtype=7), {"x": logs}, dims={"x": ["n", 4]},
         want={"y": picked.astype(I64)})
    x = ramp(20, 50)
    keep = Draws(1000, seed=U32(7)).uniform().reshape(20, 50) >= F32(0.3)
    assert abs(keep.mean() - 0.7) < 5 * np.sqrt(0.21 / 1000)
    dropped = np.where(keep, x / F32(0.7), 0).astype(F32)
    one = {"r": F32(0.3), "t": np.array(True)}
    case("random-dropout", node("Dropout", "x r t", "y m", seed=7), {"x": x}, one, dims={"x": ["n", 50]}, outputs="y m",
         want={"y": dropped, "m": keep})
    for t in (True, False):
        case(f"random-dropout-asked-{t}", node("Dropout", "x r t", "y m", seed=7), {"x": x, "t": np.array(t)}, {"r": F32(0.3)}, outputs="y m",
             want={"y": dropped if t else x, "m": keep | (not t)})


def inside():
    """Each turn of a loop draws others, also where it is written out."""
    turn = [helper.make_tensor_value_info(k, t, []) for k, t in (("turn", TensorProto.INT64), ("on", TensorProto.BOOL))]
    g = helper.make_graph([node("Identity", "on", "on2"), node("RandomUniform", "", "part", shape=[4])], "body", turn,
                          [onnx.ValueInfoProto(name=k) for k in ("on2", "part")])
    go = {"go": np.array(True)}
    # the body is built once where it stays nested, and once more for each turn that is written out
    case("random-turns", node("Loop", "n go", body=g), {"n": np.array(3)}, go,
         want={"y": np.stack([Draws(4, 0, run=threefry(k, 1, 0, 0)).uniform() for k in range(3)]).astype(F32)})
    case("random-turns-known", node("Loop", "n go", body=g), {}, {"n": np.array(3), **go},
         want={"y": np.stack([Draws(4, 1 + k).uniform() for k in range(3)]).astype(F32)})
    branch = [helper.make_graph([node("RandomUniform", "", o, shape=[4])], o, [], [onnx.ValueInfoProto(name=o)]) for o in "te"]
    for c in (True, False):
        case(f"random-branch-{c}", node("If", "c", then_branch=branch[0], else_branch=branch[1]), {"c": np.array(c)},
             want={"y": Draws(4, 0 if c else 1).uniform().astype(F32)})


def all_of_them():
    plain()
    chosen()
    inside()
