# SPDX-License-Identifier: Apache-2.0
"""Small models that importers get wrong: made here, run by `onnx-backend --cases`.

usage: cases.py ONNX_BACKEND [FILTER]. Expected values are those of ONNX's reference evaluator, or stand in
the case where it knows no such model.
"""

import os
import shutil
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import cases_bodies
import cases_composed
import cases_contrib
import cases_legacy
import cases_random
import cases_sequences
import cases_strings
from case_kit import F32, I64, ROOT, beside, case, ints, made, node, ramp, write

# --- Versions ----------------------------------------------------------------------------------------------------


def versions():
    x = ramp(2, 3)
    for name, opset, ir in (("newest", 28, 14), ("beyond", 40, 30)):
        case(f"version-{name}", node("Relu", "x"), {"x": x}, opset=opset, ir=ir, want={"y": np.maximum(x, 0)})
    case("version-beyond-unknown", node("Frobnicate", "x"), {"x": x}, opset=40, words="Frobnicate")
    # FP6: 1, -7.5, 0.125 and 2; 1, -28, 0.0625 and 2, low bits first
    for code, patterns, values in ((27, (8, 63, 1, 16), (1, -7.5, 0.125, 2)), (28, (12, 63, 1, 16), (1, -28, 0.0625, 2))):
        stream = sum(p << 6 * i for i, p in enumerate(patterns)).to_bytes(3, "little")
        forms = {"raw": {"raw_data": stream}, "entries": {"int32_data": patterns}}
        for form, field in forms.items():
            w = onnx.TensorProto(name="w", data_type=code, dims=[4], **field)
            case(f"fp6-{code}-{form}", node("Cast", "w", to=TensorProto.FLOAT), consts={"w": w}, opset=28, ir=14,
                 want={"y": np.array(values, F32)})


# --- Reductions --------------------------------------------------------------------------------------------------

REDUCTIONS = "Sum Mean Max Min Prod L1 L2 SumSquare LogSum LogSumExp".split()


def reductions():
    x = np.array([[1, 2, -3], [4, -5, 6]])
    nothing = {"Sum": x, "Mean": x, "Max": x, "Min": x, "Prod": x, "L1": abs(x), "L2": abs(x), "SumSquare": x * x,
               "LogSum": np.log(abs(x) + 1.0), "LogSumExp": x}
    for op in REDUCTIONS:
        f = (abs(x) + 1 if op == "LogSum" else x).astype(F32)
        want = {"y": nothing[op].astype(F32)}
        attribute = 18 if op != "Sum" else 13
        case(f"noop-{op}", node(f"Reduce{op}", "x", noop_with_empty_axes=1), {"x": f}, want=want, opset=18)
        case(f"noop-empty-{op}", node(f"Reduce{op}", "x a", noop_with_empty_axes=1), {"x": f}, {"a": ints()}, want=want,
             opset=18)
        case(f"all-{op}", node(f"Reduce{op}", "x a", keepdims=0), {"x": f}, {"a": ints()}, opset=attribute)
    whole = {"Sum": x.sum(1), "Mean": np.trunc(x.sum(1) / 3), "Max": x.max(1), "Min": x.min(1), "Prod": x.prod(1),
             "L1": abs(x).sum(1), "L2": np.trunc(np.sqrt((x * x).sum(1))), "SumSquare": (x * x).sum(1)}
    for op, want in whole.items():
        for t in ("i4", "i8"):
            case(f"int-{op}-{t}", node(f"Reduce{op}", "x a", keepdims=0), {"x": x.astype(t)}, {"a": ints(1)},
                 want={"y": want.astype(t)}, opset=18, dims={"x": ["n", 3]} if op == "Mean" else None)
    u = abs(x).astype(np.uint32)
    case("int-Mean-u4", node("ReduceMean", "x a", keepdims=0), {"x": u}, {"a": ints(0)}, opset=18, dims={"x": ["n", 3]},
         want={"y": (u.sum(0) // 2).astype(np.uint32)})
    case("int-LogSum", node("ReduceLogSum", "x a", keepdims=0), {"x": u}, {"a": ints(1)}, opset=18,
         want={"y": np.trunc(np.log(u.sum(1))).astype(np.uint32)})


# --- Integers where floats are usual -----------------------------------------------------------------------------


def integers():
    x, w, c = np.array([[3, -2]], np.int32), np.array([[2], [4]], np.int32), np.array([[7]], np.int32)
    case("gemm-half", node("Gemm", "x w", alpha=0.75), {"x": x}, {"w": w}, want={"y": np.array([[-1]], np.int32)})
    case("gemm-half-beta", node("Gemm", "x w c", beta=0.5), {"x": x}, {"w": w, "c": c}, want={"y": np.array([[1]], np.int32)})
    case("gemm-twice", node("Gemm", "x w c", alpha=2.0, beta=3.0), {"x": x.astype(I64)}, {"w": w.astype(I64), "c": c.astype(I64)},
         want={"y": np.array([[17]], I64)})
    for t in ("i4", "i8"):
        case(f"prelu-{t}", node("PRelu", "x s"), {"x": np.array([[-3, 5, -7]], t)}, {"s": np.array([2, 9, -1], t)},
             want={"y": np.array([[-6, 5, 7]], t)})
    big = np.array([2**63 + 5, 3], np.uint64)
    case("prelu-u8", node("PRelu", "x s"), {"x": big}, {"s": np.array([2], np.uint64)}, want={"y": big})


# --- Results and operands that nobody reads ----------------------------------------------------------------------


def batch(dtype=F32):
    rng = np.random.default_rng(7)
    x = rng.standard_normal((2, 3, 4)).astype(dtype)
    return x, {k: rng.uniform(0.5, 2, 3).astype(F32) for k in "sbmv"}


def by_own_statistics(x, stats):
    """Normalised by its own statistics over all axes but the second."""
    mean, var = x.mean((0, 2), keepdims=True), x.var((0, 2), keepdims=True)
    s, b = (stats[k].reshape(1, 3, 1) for k in "sb")
    return ((x - mean) / np.sqrt(var + F32(1e-5)) * s + b).astype(x.dtype)


def unread():
    x, stats = batch()
    one = {"x": ramp(1, 1, 4, 4)}
    pool = np.lib.stride_tricks.sliding_window_view(one["x"], (2, 2), (2, 3)).max((4, 5))
    case("maxpool-indices", node("MaxPool", "x", "y i", kernel_shape=[2, 2]), one, opset=12, want={"y": pool})
    case("maxpool-order", node("MaxPool", "x", kernel_shape=[2, 2], storage_order=1), one, opset=12, want={"y": pool})
    t = {"x": ramp(2, 3)}
    for opset in (7, 10, 12, 13):
        ratio = {"ratio": 0.25} if opset < 12 else {}
        case(f"dropout-{opset}", [node("Dropout", "x", "t m", **ratio), node("Relu", "t")], t, opset=opset,
             want={"y": np.maximum(t["x"], 0)})
    for opset, kind in ((7, F32), (10, bool)):
        case(f"dropout-mask-{opset}", node("Dropout", "x", "y m"), t, opset=opset, outputs="y m",
             want={"y": t["x"], "m": np.ones((2, 3), kind)})
    case("dropout-known", [node("Sub", "r r", "zero"), node("Dropout", "x zero t")], t, {"r": F32(0.5), "t": np.array(True)}, opset=13,
         want={"y": t["x"]})
    case("dropout-mask", node("Dropout", "x", "y m"), t, opset=13, outputs="y m", dims={"x": ["n", 3]},
         want={"y": t["x"], "m": np.ones((2, 3), bool)})
    case("dropout-not-training", node("Dropout", "x r t"), t, {"r": F32(0.5), "t": np.array(False)}, opset=13, want={"y": t["x"]})
    case("dropout-of-nothing", node("Dropout", "x r t", "y m"), t, {"r": F32(0), "t": np.array(True)}, opset=13, outputs="y m",
         want={"y": t["x"], "m": np.ones((2, 3), bool)})
    case("batchnorm-training", node("BatchNormalization", "x s b m v", "y m1 v1", training_mode=1, momentum=0.75), {"x": x}, stats,
         opset=15, outputs="y m1 v1")
    case("batchnorm-five", node("BatchNormalization", "x s b m v", "y m1 v1 m2 v2"), {"x": x}, stats, opset=9,
         want={"y": by_own_statistics(x, stats)})


def mixed():
    x, stats = batch(np.float16)
    s, b, m, v = (stats[k].reshape(1, 3, 1) for k in "sbmv")
    case("batchnorm-f16", node("BatchNormalization", "x s b m v"), {"x": x}, stats, opset=15,
         want={"y": ((x.astype(F32) - m) / np.sqrt(v + F32(1e-5)) * s + b).astype(np.float16)})
    half = {k: a.astype(np.float16) for k, a in stats.items() if k in "sb"}
    case("batchnorm-f32-f16", node("BatchNormalization", "x s b m v"), {"x": x.astype(F32)}, {**stats, **half}, opset=15,
         want={"y": ((x.astype(F32) - m) / np.sqrt(v + F32(1e-5)) * half["s"].reshape(1, 3, 1).astype(F32)
                     + half["b"].reshape(1, 3, 1).astype(F32)).astype(F32)})
    rows = ramp(2, 4, by=0.5)
    scale = {"s": np.array([1, 2, 3, 4], F32), "b": np.array([0, 1, 0, 1], F32)}
    d = rows - rows.mean(1, keepdims=True)
    norm = d / np.sqrt((d * d).mean(1, keepdims=True) + 1e-5) * scale["s"] + scale["b"]
    for opset in (9, 16, 17):
        case(f"layernorm-{opset}", node("LayerNormalization", "x s b", axis=-1), {"x": rows}, scale, opset=opset,
             want={"y": norm.astype(F32)})
    case("layernorm-f16", node("LayerNormalization", "x s b"), {"x": rows.astype(np.float16)}, scale,
         want={"y": norm.astype(np.float16)})


def stashed():
    """What statistics are kept in; the result has x's type, or the scale's."""
    x = {t: ramp(2, 4, 3, by=0.25).astype(t) for t in ("f2", "f4", "f8")}
    mean, var = (f(x["f8"], 2, keepdims=True) for f in (np.mean, np.var))
    norm = (x["f8"] - mean) / np.sqrt(var + 1e-5)
    for t, stash in (("f8", TensorProto.FLOAT), ("f4", TensorProto.DOUBLE), ("f2", TensorProto.FLOAT16)):
        kind = helper.tensor_dtype_to_np_dtype(stash)
        case(f"stash-layer-{t}", node("LayerNormalization", "x s", "y m d", stash_type=stash), {"x": x[t]}, {"s": np.ones(3, t)}, outputs="y m d",
             dims={"x": ["n", 4, 3]}, want={"y": norm.astype(t), "m": mean.astype(kind), "d": (1 / np.sqrt(var + 1e-5)).astype(kind)})
        case(f"stash-rms-{t}", node("RMSNormalization", "x s", stash_type=stash), {"x": x[t]}, {"s": np.ones(3, t)}, opset=23, ir=11,
             want={"y": (x["f8"] / np.sqrt((x["f8"] ** 2).mean(2, keepdims=True) + 1e-5)).astype(t)})
        case(f"stash-group-{t}", node("GroupNormalization", "x s b", stash_type=stash, num_groups=4), {"x": x[t]},
             {"s": np.ones(4, t), "b": np.zeros(4, t)}, opset=21, ir=10, want={"y": norm.astype(t)})
    case("stash-integer", node("LayerNormalization", "x s", stash_type=7), {"x": x["f4"]}, {"s": np.ones(3, F32)}, words="no float")
    places = {k: abs(ramp(3, 4, by=0.3)) + F32(i) for i, k in enumerate("sbmv", 1)}
    s, b, m, v = places.values()
    case("batchnorm-places", node("BatchNormalization", "x s b m v", spatial=0), {"x": ramp(2, 3, 4)}, places, opset=8, ir=3,
         dims={"x": ["n", 3, 4]}, want={"y": ((ramp(2, 3, 4) - m) / np.sqrt(v + F32(1e-5)) * s + b).astype(F32)})


# --- Constants ---------------------------------------------------------------------------------------------------


def constants():
    words = np.array(["a", "ä b", ""], object)
    case("constant-string", node("Constant", "", value_string="ä b"), want={"y": np.array("ä b", object)})
    case("constant-strings", [node("Constant", "", "s", value_strings=words.tolist()), node("Identity", "s")], want={"y": words})
    dense = np.zeros((2, 3), F32)
    dense[0, 1], dense[1, 2] = 4, -2
    x = ramp(2, 3)

    def sparse(places, values=(4, -2), dims=(2, 3), name="w"):
        return helper.make_sparse_tensor(numpy_helper.from_array(np.array(values, F32), name), numpy_helper.from_array(np.array(places, I64)), dims)

    def around(name, outer, inner=None, words=None):
        """The sparse tensor among the graph's initializers, or those of a branch."""
        add = node("Add", "x w")
        if inner:
            g = helper.make_graph([node("Add", "x w", "z")], "g", [], [helper.make_tensor_value_info("z", 1, [2, 3])], sparse_initializer=[inner])
            add = node("If", "c", then_branch=g, else_branch=g)
        g = helper.make_graph([add], "g", [helper.make_tensor_value_info("x", 1, ["n", 3])] + ([helper.make_tensor_value_info("c", 9, [])] if inner else []),
                              [helper.make_tensor_value_info("y", 1, ["n", 3])], sparse_initializer=[outer] if outer else [])
        inputs = {"x": x, **({"c": np.array(True)} if inner else {})}
        made.add(f"sparse-{name}")
        write(f"sparse-{name}", helper.make_model(g, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), inputs,
              None if words else {"y": x + dense}, words)

    around("places", sparse((1, 5)))
    around("axes", sparse(((0, 1), (1, 2))))
    around("nested", None, sparse((1, 5)))
    around("outside", sparse((1, 6)), words='sparse tensor "w": element 1 lies outside')
    around("unlike", sparse((1, 5, 2)), words='sparse tensor "w": values and indices')
    around("bomb", sparse((1, 5), dims=(2**20, 2**20)), words='sparse tensor "w": with their zeros')
    case("sparse-constant", [node("Constant", "", "w", sparse_value=sparse((1, 5))), node("Add", "x w")], {"x": x}, want={"y": x + dense})


# --- Order of nodes ----------------------------------------------------------------------------------------------


def order():
    x = {"x": ramp(2, 3)}
    case("order-backward", [node("Neg", "b"), node("Relu", "a", "b"), node("Abs", "x", "a")], x, want={"y": -abs(x["x"])})
    case("order-circle", [node("Add", "x b", "a"), node("Neg", "a", "b"), node("Relu", "b")], x,
         words='each needs the one before it: "a" -> "b" -> "a"')
    case("order-itself", [node("Add", "x a", "a"), node("Relu", "a")], x, words='"a" -> "a"')


# --- Names of dimensions -----------------------------------------------------------------------------------------


def dimensions():
    x, z = ramp(3, 2), ramp(2, 2)
    two = [node("Relu", "x"), node("Neg", "z", "w")]
    case("dim-taken", two, {"x": x, "z": z}, dims={"x": [None, 2], "z": ["x_0", 2]}, outputs="y w")
    case("dim-taken-twice", two, {"x": x, "z": ramp(4, 5)}, dims={"x": [None, 2], "z": ["x_0", "x_0_"]}, outputs="y w")
    for i, name in enumerate(("overflow!", "threads!", "threads", "a b", '"', "2*n", "n%s")):
        case(f"dim-named-{i}", [node("MatMul", "x c", "t"), node("Concat", "t t", axis=0)], {"x": x}, {"c": ramp(2, 3, by=0.3)},
             dims={"x": [name, 2]})
    case("dim-negative", node("Relu", "x"), {"x": x}, dims={"x": [-3, 2]}, words='input "x"')


# --- External data -----------------------------------------------------------------------------------------------


def external():
    w = ramp(2, 3)
    x = {"x": ramp(4, 2)}
    want = {"y": x["x"] @ w}

    def make(name, location, words=None):
        t = onnx.TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2, 3], data_location=TensorProto.EXTERNAL)
        t.external_data.add(key="location", value=location)
        return case(f"external-{name}", node("MatMul", "x w"), x, {"w": t}, want=want, words=words)

    def data(folder, path):
        os.makedirs(os.path.dirname(os.path.join(folder, path)), exist_ok=True)
        w.tofile(os.path.join(folder, path))

    data(make("plain", "w.bin"), "w.bin")
    data(make("here", "./w.bin"), "w.bin")
    for name in ("down-and-up", "folder"):
        folder = make(name, "sub/../w.bin" if name == "down-and-up" else "sub//w.bin")
        data(folder, "sub/w.bin")
        data(folder, "w.bin")
    folder = make("link-inside", "w.bin")
    data(folder, "sub/real.bin")
    os.symlink("sub/real.bin", os.path.join(folder, "w.bin"))
    # A cache of downloads: the model and its data are links to files of one folder, with other names.
    hub = os.path.join(ROOT, "hub")
    folder = make("hub", "model.onnx_data")
    os.makedirs(os.path.join(hub, "blobs"))
    os.rename(os.path.join(folder, "model.onnx"), os.path.join(hub, "blobs/0a1b"))
    os.symlink("../hub/blobs/0a1b", os.path.join(folder, "model.onnx"))
    data(hub, "blobs/2c3d")
    os.symlink("../hub/blobs/2c3d", os.path.join(folder, "model.onnx_data"))
    # Everything else is refused.
    outside = "is not a path beneath the model"
    data(ROOT, "outside.bin")
    make("up", "../outside.bin", outside)
    make("absolute", os.path.join(ROOT, "outside.bin"), outside)
    make("empty", "", outside)
    folder = make("link-outside", "w.bin", outside)
    os.symlink("../outside.bin", os.path.join(folder, "w.bin"))
    make("missing", "w.bin", "No such file")
    os.mkdir(os.path.join(make("is-folder", "w.bin", "is a folder, not a file"), "w.bin"))
    os.mkfifo(os.path.join(make("pipe", "w.bin", "is a pipe or a device, not a file"), "w.bin"))
    folder = make("device", "w.bin", "beneath the model")
    os.symlink("/dev/zero", os.path.join(folder, "w.bin"))
    folder = make("zero-byte", "w.binX.txt", "a text holds a zero byte")
    path = os.path.join(folder, "model.onnx")
    with open(path, "rb") as f:
        damaged = f.read().replace(b"w.binX.txt", b"w.bin\0.txt")
    with open(path, "wb") as f:
        f.write(damaged)
    data(folder, "w.bin")


# --- Models without inputs, and declarations that are wrong ------------------------------------------------------


def declarations():
    case("no-inputs", node("Relu", "a"), consts={"a": np.array([-1, 2], F32)})
    x, f32 = {"x": ramp(2, 3)}, TensorProto.FLOAT
    case("declared", node("Relu", "x"), x, declare=(f32, [2, "m"]))
    case("declared-symbol", node("Relu", "x"), x, dims={"x": ["n", 3]}, declare=(f32, [2, 3]))
    case("declared-type", node("Relu", "x"), x, declare=(TensorProto.FLOAT16, [2, 3]), words="declared as f16")
    case("declared-rank", node("Relu", "x"), x, declare=(f32, [2, 3, 1]), words="declared as f32[2,3,1]")
    case("declared-extent", node("Relu", "x"), x, declare=(f32, [2, 4]), words="declared as f32[2,4]")


# --- Extents that are not proven ---------------------------------------------------------------------------------


def guards():
    x, w = ramp(3, 4), ramp(4, 5, by=0.3)
    dims = {"x": ["n", "k"]}
    case("guard-inner", node("MatMul", "x w"), {"x": x}, {"w": w}, dims=dims)
    case("guard-inner-differs", node("MatMul", "x w"), {"x": ramp(3, 3)}, {"w": w}, dims=dims, words="k is 3 and must be 4")
    case("guard-gemm", node("Gemm", "x w c"), {"x": x}, {"w": w, "c": ramp(5)}, dims=dims)
    case("guard-broadcast", node("Add", "x c"), {"x": x}, {"c": ramp(4)}, dims=dims)
    case("guard-broadcast-one", node("Add", "x c"), {"x": ramp(3, 1)}, {"c": ramp(4)}, dims=dims)
    case("guard-broadcast-differs", node("Add", "x c"), {"x": ramp(3, 3)}, {"c": ramp(4)}, dims=dims, words="must")
    two = {"x": ["n", "k"], "z": ["m", "k"]}
    case("guard-symbols", node("Mul", "x z"), {"x": x, "z": ramp(1, 4)}, dims=two)
    case("guard-symbols-differ", node("Mul", "x z"), {"x": x, "z": ramp(2, 4)}, dims=two, words="must")
    case("guard-concat", node("Concat", "x z", axis=1), {"x": x, "z": ramp(3, 2)}, dims={"x": ["n", 4], "z": ["m", "l"]})
    case("guard-concat-differs", node("Concat", "x z", axis=1), {"x": x, "z": ramp(2, 2)},
         dims={"x": ["n", 4], "z": ["m", "l"]}, words="side by side")
    image = {"x": ramp(1, 3, 6, 6, by=0.1), "w": ramp(2, 3, 3, 3, by=0.1)}
    case("guard-conv", node("Conv", "x w"), image, dims={"x": ["n", "c", "h", "w"], "w": ["o", 3, 3, 3]})
    case("guard-prelu", node("PRelu", "x s"), {"x": x}, {"s": ramp(4)}, dims=dims)
    case("guard-batchnorm", node("BatchNormalization", "x a b c d"), {"x": x},
         {"a": ramp(4), "b": ramp(4), "c": ramp(4), "d": abs(ramp(4)) + 1}, dims=dims)
    case("guard-layernorm", node("LayerNormalization", "x a"), {"x": x}, {"a": ramp(4)}, dims=dims)
    case("guard-expand", node("Expand", "x s"), {"x": x}, {"s": ints(2, 3, 4)}, dims=dims)
    case("guard-expand-differs", node("Expand", "x s"), {"x": x}, {"s": ints(5, 4)}, dims=dims, words="must")
    case("guard-reshape", node("Reshape", "x s"), {"x": x}, {"s": ints(2, 6)}, dims=dims)
    case("guard-reshape-differs", node("Reshape", "x s"), {"x": x}, {"s": ints(2, 5)}, dims=dims, words="must")
    case("guard-reshape-uneven", node("Reshape", "x s"), {"x": x}, {"s": ints(-1, 5)}, dims=dims, words="must be a multiple of")
    like = [node("Shape", "z", "s"), node("Reshape", "x s")]
    case("guard-reshape-like", like, {"x": x, "z": ramp(6, 2)}, dims={"x": ["n", "k"], "z": ["p", "q"]})
    case("guard-reshape-like-differs", like, {"x": x, "z": ramp(5, 2)}, dims={"x": ["n", "k"], "z": ["p", "q"]},
         words="must")
    thin = {"x": ramp(1, 3, 1)}
    case("guard-squeeze", node("Squeeze", "x a"), thin, {"a": ints(0)}, dims={"x": ["n", 3, "m"]})
    case("guard-squeeze-all", node("Squeeze", "x"), thin, dims={"x": ["n", 3, 1]}, words="n is 1 and must not be 1")
    case("guard-squeeze-declared", node("Squeeze", "x"), thin, dims={"x": ["n", 3, 1]}, declare=(TensorProto.FLOAT, [3]))
    case("guard-gather", node("Gather", "x i"), {"x": ramp(0, 2), "i": ints(0)}, dims={"x": ["n", 2]},
         words="no element to pick")


def slices():
    x = ramp(7, 2)
    top, low = 2**63 - 1, -(2**63)
    for i, (start, end, step) in enumerate(((-9, top, 1), (0, -9, 1), (-3, top, 1), (5, 2, 1), (9, top, 1), (0, top, top),
                                            (-1, low, -1), (top, low, -2), (6, low + 1, low), (-9, low, -1), (2, -20, -1),
                                            (0, 2**31 - 1, 2**31 - 1), (-1, -(2**31), -(2**31)))):
        case(f"slice-{i}", node("Slice", "x a b c d"), {"x": x},
             {"a": ints(start), "b": ints(end), "c": ints(0), "d": ints(step)}, dims={"x": ["n", 2]},
             want={"y": x[slice(*(None if abs(v) > 100 else v for v in (start, end)), max(-100, min(step, 100)))]
                   if (start, end) != (-9, low) else x[:1]})  # ONNX clamps to the first
    # bounds that are terms: n - 9 from the start, the last n - 4, and both downward
    size = [node("Shape", "x", "s"), node("Gather", "s z", "n"), node("Sub", "n k", "t")]
    for k in (4, 7, 9, 20):
        t = 7 - k
        for name, bounds, want in (("start", "t b", x[t:]), ("end", "z t", x[:t])):
            case(f"slice-term-{name}-{k}", size + [node("Slice", f"x {bounds} z")], {"x": x},
                 {"z": ints(0), "k": ints(k), "b": ints(top)}, dims={"x": ["n", 2]}, want={"y": want})


# --- Sizes that are inputs ---------------------------------------------------------------------------------------


def sizes():
    x, dims = ramp(4, 6), {"x": ["n", 6]}
    for i, (shape, words) in enumerate((((-1, 4), None), ((0, 6), None), ((3, 8), None), ((5, 5), "must"),
                                        ((-1, -1), "must"), ((0, 0), None))):
        case(f"size-reshape-{i}", node("Reshape", "x s"), {"x": x, "s": ints(*shape)}, dims=dims, words=words)
    one = ramp(4, 1)
    for i, (shape, words) in enumerate((((2, 1, 3), None), ((2, 4, 3), None), ((2, 5, 3), "must"), ((-1, 4, 3), "must"))):
        case(f"size-expand-{i}", node("Expand", "x s"), {"x": one, "s": ints(*shape)}, dims={"x": ["n", 1]}, words=words)
    for i, (start, end) in enumerate(((0, 2), (-1, 9), (-9, -1), (3, 1), (2**63 - 1, 2**63 - 1), (-(2**63), 2**63 - 1))):
        case(f"size-slice-{i}", node("Slice", "x a b"), {"x": x, "a": ints(start), "b": ints(end)}, dims=dims,
             want={"y": x[slice(*(max(-50, min(v, 50)) for v in (start, end)))]})
    top, low = 2**63 - 1, -(2**63)
    for i, (start, end) in enumerate(((top, low), (low, top), (top, top), (low, low), (-1, low), (top, -3), (2, -9))):
        for step in (-3, -1, 2):
            want = x[slice(*(max(-50, min(v, 50)) for v in (start, end)), step)] if start != low or step > 0 else x[:end < 0]
            case(f"size-slice-far-{i}-{step}", node("Slice", "x a b z s"), {"x": x, "a": ints(start), "b": ints(end)},
                 {"z": ints(0), "s": ints(step)}, dims=dims, want={"y": want})
    case("size-tile-nothing", [node("Tile", "x t", "a"), node("Abs", "a")], {"x": ramp(5, 0), "t": ints(2, 3)},
         want={"y": ramp(10, 0)})
    case("size-count", node("Tile", "x t"), {"x": x, "t": ints(2, 3)}, dims={"t": ["k"]})
    case("size-count-differs", node("Tile", "x t"), {"x": x, "t": ints(2, 3, 1)}, dims={"t": ["k"]}, words="must")
    image = abs(ramp(1, 1, 3, 3)).astype(np.uint8) * 61
    case("size-count-resize", helper.make_node("Resize", ["x", "", "", "t"], ["y"]),
         {"x": image, "t": ints(1, 1, 6, 2)}, dims={"t": ["k"]})
    case("size-count-resize-scales", helper.make_node("Resize", ["x", "", "t"], ["y"]), {"x": image, "t": F32([1, 1, 2, 1])}, dims={"t": ["k"]})
    case("size-count-pad", node("Pad", "x p"), {"x": x, "p": ints(1, 0, 2, 0)}, dims={"x": ["n", 6], "p": ["k"]})
    case("size-count-slice", node("Slice", "x a b z"), {"x": x, "a": ints(1), "b": ints(-1)}, {"z": ints(0)},
         dims={"x": ["n", 6], "a": ["k"], "b": ["l"]})
    case("size-count-unknown", node("Expand", "x t"), {"x": x, "t": ints(4, 6)}, dims={"t": ["k"]}, words="k; --dim k=N")
    case("size-fill", node("ConstantOfShape", "s"), {"s": ints(2, 3)})
    case("size-fill-negative", node("ConstantOfShape", "s"), {"s": ints(-1, 3)}, words="must")
    joined = [node("Concat", "b m", "s", axis=0), node("Reshape", "x s", "t"), node("Relu", "t")]
    case("size-joined", joined, {"x": x, "b": ints(2)}, {"m": ints(-1)}, dims=dims)


def long_terms():
    """Extents that become too long to say are data."""
    x, chain, content = ramp(5), [], [node("Shape", "x", "n0")]
    for i in range(14):
        chain += [node("Slice", f"x{i or ''} z top z two", f"s{i}"), node("Concat", f"x{i or ''} s{i}", f"x{i + 1}", axis=0)]
        content += [node("Div", f"n{i} two", f"h{i}"), node("Add", f"n{i} h{i}", f"m{i}"), node("Mod", f"m{i} most", f"n{i + 1}")]
    consts = {"z": ints(0), "top": ints(2**62), "two": ints(2), "most": ints(40)}
    case("terms-long", chain + [node("ReduceMax", "x14", keepdims=0)], {"x": x}, consts, dims={"x": ["n"]})
    case("terms-long-content", content + [node("Expand", "one n14")], {"x": x}, {**consts, "one": ramp(1)}, dims={"x": ["n"]})


# --- Control flow and functions ----------------------------------------------------------------------------------


def body(nodes, inputs="", outputs="", init=()):
    values = [[onnx.ValueInfoProto(name=k) for k in names.split()] for names in (inputs, outputs)]
    return helper.make_graph(nodes, "b", *values, [numpy_helper.from_array(a, k) for k, a in init])


def control():
    x, dims = ramp(3, 2), {"x": ["n", 2]}
    yes = body([node("Relu", "x", "t")], outputs="t")
    no = body([node("Neg", "x", "e")], outputs="e")
    for c in (True, False):
        case(f"if-{c}", node("If", "c", then_branch=yes, else_branch=no), {"c": np.array(c), "x": x}, dims=dims)
        case(f"if-constant-{c}", node("If", "c", then_branch=yes, else_branch=no), {"x": x}, {"c": np.array(c)}, dims=dims)
    # what PyTorch writes for squeeze(0)
    nodes = [node("Shape", "x", "s"), node("Gather", "s z", "d"), node("Equal", "d one", "c"),
             node("If", "c", then_branch=body([node("Squeeze", "x z", "t")], outputs="t"),
                  else_branch=body([node("Identity", "x", "e")], outputs="e"))]
    consts = {"z": ints(0), "one": ints(1)}
    case("if-rank-1", nodes, {"x": ramp(1, 2)}, consts)
    case("if-rank-2", nodes, {"x": x}, consts)
    case("if-rank-not-1", nodes, {"x": x}, consts, dims=dims, words="what the condition compares")
    case("if-rank-must-be-1", nodes, {"x": ramp(1, 2)}, consts, dims=dims)
    branch = {a.name: a.g for a in nodes[3].attribute}
    other = [*nodes[:3], node("Not", "c", "d1"),
             node("If", "d1", then_branch=branch["else_branch"], else_branch=branch["then_branch"])]
    case("if-rank-not", other, {"x": ramp(1, 2)}, consts, dims=dims)
    case("if-rank-not-declared", other, {"x": x}, consts, dims=dims, declare=(TensorProto.FLOAT, ["a", "b"]))
    other[-1] = node("If", "c", then_branch=body([node("Squeeze", "x z", "t")], outputs="t"),
                     else_branch=body([node("Neg", "x", "e")], outputs="e"))
    case("if-rank-unknown", other, {"x": x}, consts, dims=dims, words="the rank of a result follows from a condition")
    turn = body([node("Add", "v x", "w"), node("Identity", "k", "more"), node("Cast", "i", "f", to=1),
                 node("Mul", "w f", "part")], "i k v", "more w part")
    case("loop", node("Loop", "m k0 x", "y z", body=turn), {"x": x}, {"m": np.array(3), "k0": np.array(True)}, dims=dims,
         outputs="y z", want={"y": 4 * x, "z": np.stack([0 * x, 3 * x, 8 * x])})
    grows = body([node("Concat", "v x", "w", axis=0), node("Less", "i two", "more")], "i k v", "more w")
    case("loop-exit", node("Loop", "m k0 x", body=grows), {"x": x},
         {"m": np.array(100), "k0": np.array(True), "two": np.array(2)}, dims=dims)
    for m in (3, 0, 70):  # turns that only the run knows, none, and more than are written out
        case(f"loop-data-{m}", node("Loop", "m k0 x", "y z", body=turn), {"x": x, "m": np.array(m)},
             {"k0": np.array(True)}, outputs="y z", dims=dims,
             want={"y": (1 + m) * x, "z": np.array([(i + 2) * x * i for i in range(m)], F32).reshape(m, 3, 2)})
    case("loop-false", node("Loop", "m k0 x", "y z", body=turn), {"x": x, "k0": np.array(False)}, {"m": np.array(3)},
         outputs="y z", want={"y": x, "z": np.zeros((0, 3, 2), F32)})
    # no condition: what the body says of it does not count; a vector of one as the number of turns
    case("loop-unending",
         helper.make_node("Loop", ["m", "", "x"], ["y", "z"], body=body(
             [node("Add", "v v", "w"), node("Less", "i i", "more"), node("Neg", "v", "part")], "i k v", "more w part")),
         {"x": x, "m": ints(4)}, dims=dims, outputs="y z",
         want={"y": 16 * x, "z": np.stack([-x, -2 * x, -4 * x, -8 * x])})
    # what a body reads of around it: a weight, an input, what is computed there, a shape
    weighed = [x]
    for _ in range(2):
        weighed.append(weighed[-1] @ ramp(2, 2) - x)
    weighs = body([node("MatMul", "v w", "p"), node("Add", "p n", "q"), node("Reshape", "q s", "r"),
                   node("Reshape", "r s2", "next"), node("Identity", "k", "more")], "i k v", "more next r")
    case("loop-reads", [node("Neg", "x", "n"), node("Shape", "x", "s2"), node("Gather", "s2 turned", "s"),
                        node("Loop", "m k0 x", "y z", body=weighs)],
         {"x": x, "m": np.array(2)}, {"k0": np.array(True), "w": ramp(2, 2), "turned": ints(1, 0)}, dims=dims,
         outputs="y z", want={"y": weighed[2], "z": np.stack([w.reshape(2, 3) for w in weighed[1:]])})
    # an empty value that grows, which its declared rank alone says
    collect = body([node("Unsqueeze", "i z0", "e"), node("Concat", "v e", "w", axis=0), node("Identity", "k", "more")],
                   "i k v", "more w")
    case("loop-collects", [node("Loop", "m k0 none", "c", body=collect), node("Neg", "c")], {"m": np.array(5)},
         {"k0": np.array(True), "none": np.zeros(0, I64), "z0": ints(0)}, want={"y": -np.arange(5)})
    # a branch in a loop, a loop in it, unlike extents, functions of both
    inner = body([node("Mul", "u two", "u2"), node("Identity", "kk", "go")], "j kk u", "go u2")
    deep = body([node("Mod", "i m2", "odd"), node("Cast", "odd", "is", to=9),
                 node("If", "is", "w", then_branch=body([node("Loop", "i k v", "t", body=inner)], outputs="t"),
                      else_branch=body([node("Add", "v x", "e")], outputs="e")), node("Identity", "k", "more")],
                "i k v", "more w w")
    case("loop-deep", node("Loop", "m k0 x", "y z", body=deep), {"x": x, "m": np.array(4)},
         {"k0": np.array(True), "m2": np.array(2), "two": np.array(2, F32)}, dims=dims, outputs="y z",
         want={"y": 40 * x, "z": np.stack([2 * x, 4 * x, 5 * x, 40 * x])})
    for c in (True, False):
        case(f"if-extents-{c}", [node("If", "c", "t", then_branch=body([node("Concat", "x x", "a", axis=0)], outputs="a"),
                                      else_branch=body([node("Slice", "x z one", "b")], outputs="b")), node("Neg", "t")],
             {"c": np.array(c), "x": x}, {"z": ints(0), "one": ints(1)}, dims=dims)
    # each level is walked anew for each one around it, which must end
    graph = body([node("Concat", "v0 x", "w0", axis=0), node("Identity", "k0", "more0")], "i0 k0 v0", "more0 w0")
    for i in range(1, 28):
        graph = body([node("Loop", f"i{i} k{i} v{i}", f"u{i}", body=graph), node("Concat", f"u{i} x", f"w{i}", axis=0),
                      node("Identity", f"k{i}", f"more{i}")], f"i{i} k{i} v{i}", f"more{i} w{i}")
    case("loop-nested-deep", node("Loop", "m k x", body=graph), {"x": x, "m": np.array(1)}, {"k": np.array(True)},
         words="nested graphs of more than")
    case("if-types", node("If", "c", then_branch=yes, else_branch=body([node("Shape", "x", "e")], outputs="e")),
         {"c": np.array(True), "x": x}, words='If "y"')
    case("loop-types", node("Loop", "m k0 x", body=body([node("Shape", "v", "w"), node("Identity", "k", "more")], "i k v", "more w")),
         {"x": x, "m": np.array(3)}, {"k0": np.array(True)}, words='leaves a turn as i64')
    case("loop-unknown-name", node("Loop", "m k0 x", body=body([node("Add", "v nowhere", "w"), node("Identity", "k", "more")], "i k v", "more w")),
         {"x": x, "m": np.array(3)}, {"k0": np.array(True)}, words='"nowhere"')
    step = body([node("Add", "s p", "t"), node("Relu", "t", "q")], "s p", "t q")
    for i, (axis, down, out, up) in enumerate(((0, 0, 0, 0), (1, 1, 1, 0), (1, 0, 0, 1))):
        z = ramp(3, 4) if axis else ramp(4, 3)
        found = []
        state = ramp(3)
        parts = list(np.moveaxis(z, axis, 0))
        for p in parts[::-1] if down else parts:
            state = state + p
            found.append(np.maximum(state, 0))
        for known in (None, {"x": [3, "n"] if axis else ["n", 3]}):
            case(f"scan-{i}{'-of-n' if known else ''}", node("Scan", "s x", "y z", body=step, num_scan_inputs=1, scan_input_axes=[axis],
                                   scan_input_directions=[down], scan_output_axes=[out], scan_output_directions=[up]),
                 {"s": ramp(3), "x": z}, outputs="y z", dims=known,
                 want={"y": state, "z": np.stack(found[::-1] if up else found, axis=out)})
    own = [helper.make_opsetid("own", 1)]
    leaky = node("LeakyRelu", "t")
    leaky.attribute.append(onnx.AttributeProto(name="alpha", ref_attr_name="alpha", type=onnx.AttributeProto.FLOAT))
    lin = helper.make_function("own", "Lin", ["x", "w"], ["y"], [node("MatMul", "x w", "t"), leaky],
                               [helper.make_opsetid("", 17)], ["alpha"])
    two = helper.make_function("own", "Two", ["x", "w"], ["y", "z"],
                               [node("Lin", "x w", "a", domain="own", alpha=0.5), node("Lin", "a w", domain="own"),
                                node("Relu", "a", "z")], [helper.make_opsetid("", 17)] + own)
    w = ramp(2, 2, by=0.3)

    def calls(v):
        a = v @ w
        a = np.where(a < 0, a * F32(0.5), a)
        y = a @ w
        return np.where(y < 0, y * F32(0.01), y), np.maximum(a, 0)

    first, b = calls(x)
    case("functions", [node("Two", "x w", "a b", domain="own"), node("Two", "a w", "y c", domain="own")], {"x": x},
         {"w": w}, dims=dims, outputs="y b", functions=[lin, two], domains=own, want={"y": calls(first)[0], "b": b})
    again = helper.make_function("own", "Again", ["x"], ["y"], [node("Again", "x", domain="own")], own)
    case("functions-cycle", node("Again", "x", domain="own"), {"x": x}, functions=[again], domains=own,
         words="functions call each other")


def no_steps():
    """Of a sequence without steps the states stay as they are."""
    for op, gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4)):
        states = "y h c" if op == "LSTM" else "y h"
        names = ["x", "w", "r", "", "", "h0"]
        first = ramp(2, 2, 2)
        want = {"y": np.zeros((0, 2, 2, 2), F32), "h": first, "c": np.zeros((2, 2, 2), F32)}
        case(f"steps-none-{op}", helper.make_node(op, names, states.split(), hidden_size=2, direction="bidirectional"), {"x": ramp(0, 2, 4), "h0": first},
             {"w": ramp(2, 2 * gates, 4, by=0.1), "r": ramp(2, 2 * gates, 2, by=0.1)}, outputs=states, opset=14,
             want={k: want[k] for k in states.split()})


def counts():
    """A number that is asked of an operand without elements."""
    case("boxes-none-wanted", node("NonMaxSuppression", "b s most"), {"b": ramp(1, 3, 4), "s": ramp(1, 1, 3)},
         {"most": np.zeros(0, I64)}, words="must be one number")


def widths():
    """What is known of an integer tensor's elements wraps as its type does."""
    x = {"x": ramp(1)}
    for name, op, dtype, a, b in (("add-u8", "Add", np.uint8, 200, 100), ("mul-i8", "Mul", np.int8, 100, 3),
                                  ("sub-u16", "Sub", np.uint16, 3, 65530), ("mul-i16", "Mul", np.int16, 300, 219),
                                  ("mul-u32", "Mul", np.uint32, 65537, 65537), ("mul-i32", "Mul", np.int32, 65537, 65536),
                                  ("max-u8", "Max", np.uint8, 3, 200)):
        wide = {"Add": a + b, "Sub": a - b, "Mul": a * b, "Max": max(a, b)}[op]
        n = wide % (1 << 8 * np.dtype(dtype).itemsize)
        if n > 100000:
            n = n % 100000  # the sum below
        case(f"width-{name}", [node(op, "a b", "s"), node("Cast", "s", "w", to=onnx.TensorProto.INT64),
                               node("Mod", "w m", "n"), node("Expand", "x n")], x,
             {"a": np.array([a], dtype), "b": np.array([b], dtype), "m": ints(100000)},
             want={"y": np.broadcast_to(x["x"], (n,))})
    for dtype, whole, n in ((np.int32, (70000, 70000, 3), 112), (np.uint8, (20, 20), 144), (np.int8, (2, 64, 1), 872), (np.int16, (300, 219), 164)):
        case(f"width-prod-{np.dtype(dtype)}", [node("ReduceProd", "a", "s"), node("Cast", "s", "w", to=onnx.TensorProto.INT64),
                                               node("Mod", "w m", "n"), node("Expand", "x n")], x,
             {"a": np.array(whole, dtype), "m": ints(1000)}, want={"y": np.broadcast_to(x["x"], (n,))})
    case("width-cast", [node("Cast", "a", "s", to=onnx.TensorProto.UINT8), node("Cast", "s", "n", to=onnx.TensorProto.INT64),
                        node("Expand", "x n")], x, {"a": ints(300)}, want={"y": np.broadcast_to(x["x"], (44,))})


def near():
    """Constants that are not quite an idiom's stay what they are."""
    x = {"x": ramp(6, by=0.7)}
    root = F32(np.sqrt(2))
    for name, one, two, by in (("sum", 1.0009, 2, root), ("half", 1, 2.001, root), ("root", 1, 2, F32(1.4149))):
        case(f"near-gelu-{name}", [node("Div", "x r", "a"), node("Erf", "a", "e"), node("Add", "e o", "s"),
                                   node("Mul", "x s", "p"), node("Div", "p h")], x,
             {"r": by, "o": F32(one), "h": F32(two)})
    rows = {"x": ramp(2, 8, by=0.3)}
    case("near-layernorm", [node("ReduceMean", "x", "m", axes=[-1]), node("Sub", "x m", "d"), node("Pow", "d p", "q"),
                            node("ReduceMean", "q", "v", axes=[-1]), node("Add", "v e", "w"), node("Sqrt", "w", "s"),
                            node("Div", "d s")], rows, {"p": F32(4), "e": F32(1e-5)})


def resizes():
    """Integers are rounded once, after the last axis; a position that the first version had."""
    x = (np.arange(25).reshape(1, 1, 5, 5) ** 2 * 37 % 256).astype(np.uint8)
    taps = np.zeros((10, 5), F32)  # of twice as many elements
    for i in range(10):
        at = min(max((i + F32(0.5)) / 2 - F32(0.5), 0), 4)
        low = min(int(at), 3)
        taps[i, low], taps[i, low + 1] = low + 1 - at, at - low
    twice = {"s": F32([1, 1, 2, 2])}
    for dtype in (np.uint8, np.int32):
        case(f"resize-{np.dtype(dtype)}", helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear"), {"x": x.astype(dtype)}, twice,
             opset=13, want={"y": (taps @ x.astype(F32) @ taps.T).astype(dtype)})
    case("resize-tf-nearest", helper.make_node("Resize", ["x", "r", "s"], ["y"], coordinate_transformation_mode="tf_half_pixel_for_nn", nearest_mode="floor"),
         {"x": x}, {"r": F32([]), "s": F32([1, 1, 0.5, 2])}, opset=11, want=beside)


def main():
    shutil.rmtree(ROOT, ignore_errors=True)
    for make in (versions, reductions, integers, unread, mixed, order, dimensions, external, declarations, guards, slices,
                 sizes, resizes, constants, stashed, long_terms, control, no_steps, counts, widths, near, *cases_composed.ALL,
                 cases_sequences.all_of_them, cases_strings.all_of_them, cases_bodies.bodies, cases_random.all_of_them, cases_contrib.all_of_them, cases_legacy.legacy):
        make()
    sys.stdout.flush()
    os.execv(sys.argv[1], [sys.argv[1], "--cases", ROOT, *sys.argv[2:]])


main()
