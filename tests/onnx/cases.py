# SPDX-License-Identifier: Apache-2.0
"""Small models that importers get wrong: made here, run by `onnx-backend --cases`.

usage: cases.py ONNX_BACKEND [FILTER]. Expected values are those of ONNX's reference evaluator, or stand in
the case where it knows no such model. A case is one call of `case`, with what is special in its name.
"""

import os
import shutil
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

ROOT = os.path.join(os.environ["SCT_BUILD"], "cases")
F32, I64 = np.float32, np.int64
CODE = {np.dtype(t): helper.np_dtype_to_tensor_dtype(np.dtype(t)) for t in
        ("f4", "f8", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "bool")}
made = set()


def node(op, inputs, outputs="y", **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def ints(*x):
    return np.array(x, I64)


def ramp(*shape, dtype=F32, by=1.0):
    """Numbers around 0, no two alike."""
    count = int(np.prod(shape, dtype=int))
    return ((np.arange(count) - count // 2) * by).reshape(shape).astype(dtype)


def write(name, model, inputs, want, words):
    folder = os.path.join(ROOT, name)
    data = os.path.join(folder, "test_data_set_0")
    os.makedirs(data)
    with open(os.path.join(folder, "model.onnx"), "wb") as f:
        f.write(model.SerializeToString())
    for kind, arrays in (("input", inputs.items()), ("output", (want or {}).items())):
        for i, (key, array) in enumerate(arrays):
            with open(os.path.join(data, f"{kind}_{i}.pb"), "wb") as f:
                f.write(numpy_helper.from_array(array, key).SerializeToString())
    if words:
        with open(os.path.join(folder, "EXPECT"), "w") as f:
            f.write(words + "\n")
    return folder


def case(name, nodes, inputs=None, consts=None, want=None, dims=None, opset=17, ir=8, words=None, outputs="y",
         declare=None, functions=(), domains=()):
    """One folder. functions and domains: of the model's own. declare: an element type and extents for the first output; dims: the extents that the model says of an input (numbers, names, None), else those of its array;
    want: expected outputs; words: of the error that the model must end in."""
    assert name not in made, name
    made.add(name)
    inputs, consts, dims = inputs or {}, consts or {}, dims or {}
    graph = helper.make_graph(
        nodes if isinstance(nodes, list) else [nodes],
        "g",
        [helper.make_tensor_value_info(k, CODE[v.dtype], dims.get(k, v.shape)) for k, v in inputs.items()],
        [onnx.ValueInfoProto(name=k) for k in outputs.split()],
        [v if isinstance(v, onnx.TensorProto) else numpy_helper.from_array(np.asarray(v), k) for k, v in consts.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)] + list(domains), ir_version=ir,
                              functions=functions)
    if want is None and not words:
        found = ReferenceEvaluator(model).run(None, inputs)
        want = dict(zip((o.name for o in graph.output), map(np.asarray, found)))
    if declare:
        graph.output[0].CopyFrom(helper.make_tensor_value_info(graph.output[0].name, *declare))
        model.graph.CopyFrom(graph)
    return write(name, model, inputs, want, words)


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
    case("dropout-training", node("Dropout", "x r t"), t, {"r": F32(0.5), "t": np.array(True)}, opset=13,
         words="Dropout in training mode")
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
    case("guard-inner-differs", node("MatMul", "x w"), {"x": ramp(3, 3)}, {"w": w}, dims=dims, words="k = 4 is needed")
    case("guard-gemm", node("Gemm", "x w c"), {"x": x}, {"w": w, "c": ramp(5)}, dims=dims)
    case("guard-broadcast", node("Add", "x c"), {"x": x}, {"c": ramp(4)}, dims=dims)
    case("guard-broadcast-one", node("Add", "x c"), {"x": ramp(3, 1)}, {"c": ramp(4)}, dims=dims)
    case("guard-broadcast-differs", node("Add", "x c"), {"x": ramp(3, 3)}, {"c": ramp(4)}, dims=dims, words="is needed")
    two = {"x": ["n", "k"], "z": ["m", "k"]}
    case("guard-symbols", node("Mul", "x z"), {"x": x, "z": ramp(1, 4)}, dims=two)
    case("guard-symbols-differ", node("Mul", "x z"), {"x": x, "z": ramp(2, 4)}, dims=two, words="is needed")
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
    case("guard-expand-differs", node("Expand", "x s"), {"x": x}, {"s": ints(5, 4)}, dims=dims, words="is needed")
    case("guard-reshape", node("Reshape", "x s"), {"x": x}, {"s": ints(2, 6)}, dims=dims)
    case("guard-reshape-differs", node("Reshape", "x s"), {"x": x}, {"s": ints(2, 5)}, dims=dims, words="is needed")
    case("guard-reshape-uneven", node("Reshape", "x s"), {"x": x}, {"s": ints(-1, 5)}, dims=dims, words="must divide")
    like = [node("Shape", "z", "s"), node("Reshape", "x s")]
    case("guard-reshape-like", like, {"x": x, "z": ramp(6, 2)}, dims={"x": ["n", "k"], "z": ["p", "q"]})
    case("guard-reshape-like-differs", like, {"x": x, "z": ramp(5, 2)}, dims={"x": ["n", "k"], "z": ["p", "q"]},
         words="is needed")
    thin = {"x": ramp(1, 3, 1)}
    case("guard-squeeze", node("Squeeze", "x a"), thin, {"a": ints(0)}, dims={"x": ["n", 3, "m"]})
    case("guard-squeeze-all", node("Squeeze", "x"), thin, dims={"x": ["n", 3, 1]}, words="n != 1 is needed")
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
    for i, (shape, words) in enumerate((((-1, 4), None), ((0, 6), None), ((3, 8), None), ((5, 5), "is needed"),
                                        ((-1, -1), "is needed"), ((0, 0), None))):
        case(f"size-reshape-{i}", node("Reshape", "x s"), {"x": x, "s": ints(*shape)}, dims=dims, words=words)
    one = ramp(4, 1)
    for i, (shape, words) in enumerate((((2, 1, 3), None), ((2, 4, 3), None), ((2, 5, 3), "is needed"), ((-1, 4, 3), "is needed"))):
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
    case("size-count-differs", node("Tile", "x t"), {"x": x, "t": ints(2, 3, 1)}, dims={"t": ["k"]}, words="is needed")
    case("size-count-pad", node("Pad", "x p"), {"x": x, "p": ints(1, 0, 2, 0)}, dims={"x": ["n", 6], "p": ["k"]})
    case("size-count-slice", node("Slice", "x a b z"), {"x": x, "a": ints(1), "b": ints(-1)}, {"z": ints(0)},
         dims={"x": ["n", 6], "a": ["k"], "b": ["l"]})
    case("size-count-unknown", node("Expand", "x t"), {"x": x, "t": ints(4, 6)}, dims={"t": ["k"]}, words="k; --dim k=N")
    image = {"x": ramp(1, 1, 4, 4), "w": ramp(1, 1, 2, 2)}
    case("size-kernel", node("Conv", "x w"), image, dims={"w": [1, 1, "a", "b"]}, words="a, b; --dim a=N")
    case("size-fill", node("ConstantOfShape", "s"), {"s": ints(2, 3)})
    case("size-fill-negative", node("ConstantOfShape", "s"), {"s": ints(-1, 3)}, words="is needed")
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
    case("if-rank-unknown", nodes, {"x": x}, consts, dims=dims, words="the branches give result 0")
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


def picks():
    """Elements by positions along several axes, negative ones too, of symbolic extents; of equal ones the first."""
    x, two = ramp(3, 4, 5), {"x": ["n", 4, 5]}
    case("gathernd-two", node("GatherND", "x i"), {"x": x, "i": np.array([[0, 1], [-1, -4]])}, dims={"x": ["n", "m", 5]})
    case("gathernd-batch", node("GatherND", "x i", batch_dims=1), {"x": x, "i": np.array([[[1]], [[-1]], [[0]]])}, dims=two,
         want={"y": np.stack([x[0, 1:2], x[1, 3:4], x[2, 0:1]])})
    case("gathernd-deep", node("GatherND", "x i"), {"x": x, "i": np.array([[0, 1, 2, 3]])}, dims={"x": ["n", 4, 5]},
         words="4 positions for 3 axes")
    i = np.array([[[-1, 0]], [[2, 1]]])
    case("gatherelements", node("GatherElements", "x i", axis=-1), {"x": x, "i": i}, dims={"x": ["n", 4, 5], "i": ["k", 1, 2]},
         want={"y": np.take_along_axis(x[:2, :1], i, axis=-1)})
    case("gatherelements-more", node("GatherElements", "x i", axis=2), {"x": x, "i": np.zeros((4, 1, 1), I64)},
         dims={"x": ["n", 4, 5], "i": ["k", 1, 1]}, words="extents of the indices")
    y = np.array([[1, 3, 3, np.nan], [2, 2, 1, 0], [5, 5, 5, 5]], F32)
    for last in (0, 1):
        case(f"argmax-{last}", node("ArgMax", "x", axis=1, select_last_index=last), {"x": y}, dims={"x": ["n", "m"]})
    case("argmin-u8", node("ArgMin", "x", axis=0, keepdims=0), {"x": ramp(4, 3, dtype=np.uint8)}, dims={"x": ["n", 3]})


def transposed():
    """Transposed convolutions by their definition: y[i s + k d] += x[i] w[k], then the pads are cut off."""

    def expected(x, w, b, strides, dilations, before, extents):
        full = [s * (n - 1) + (k - 1) * d + 1 + e for n, k, s, d, e in
                zip(x.shape[2:], w.shape[2:], strides, dilations, extents)]
        groups = len(b) // w.shape[1]
        y = np.zeros([len(x), len(b)] + full, np.float64)
        for k in np.ndindex(w.shape[2:]):
            at = tuple(slice(i * d, i * d + (n - 1) * s + 1, s) for i, d, n, s in zip(k, dilations, x.shape[2:], strides))
            tap, c = w[(slice(None), slice(None)) + k], x.shape[1] // groups
            for g in range(groups):
                part = np.einsum("nc...,cm->nm...", x[:, g * c:(g + 1) * c], tap[g * c:(g + 1) * c])
                y[(slice(None), slice(g * w.shape[1], (g + 1) * w.shape[1])) + at] += part
        y += b.reshape([1, -1] + [1] * len(extents))
        return {"y": y[(slice(None),) * 2 + tuple(slice(p, p + e) for p, e in zip(before, extents))].astype(F32)}

    def try_it(name, x, w, before, extents, group=1, strides=(1, 1), dilations=(1, 1), fed=False, dims=None, **more):
        b = ramp(w.shape[1] * group, by=0.5)
        n = len(extents)
        strides, dilations = strides[:n], dilations[:n]
        rest = {"w": w, "b": b}
        case(f"transposed-{name}", node("ConvTranspose", "x w b", group=group, strides=strides, dilations=dilations, **more),
             {"x": x, **(rest if fed else {})}, {} if fed else rest, dims=dims,
             want=expected(x, w, b, strides, dilations, before, extents))

    x, w = ramp(2, 4, 3, 5, by=0.05), ramp(4, 2, 3, 3, by=0.03)
    image = {"x": ["n", 4, "h", "w"]}
    try_it("plain", x, w, (0, 0), (5, 7), dims=image)
    try_it("twice", x, w, (1, 1), (6, 10), strides=(2, 2), pads=[1, 1, 1, 1], output_padding=[1, 1], dims=image)
    try_it("weights-fed", x, w, (1, 0), (5, 9), strides=(2, 2), pads=[1, 0, 1, 2], fed=True)
    try_it("groups", x, w, (0, 2), (7, 13), group=2, strides=(2, 3), pads=[0, 2, 0, 0], dims=image)
    try_it("common-divisor", x, w, (3, 0), (10, 29), strides=(4, 6), dilations=(6, 2), pads=[3, 0, 8, 0], dims=image)
    try_it("dilated", x, w, (1, 2), (9, 8), strides=(2, 1), dilations=(3, 4), pads=[1, 2, 1, 3])
    try_it("thin", x, w[:, :, :1, :1], (0, 0), (9, 15), strides=(3, 3), auto_pad="SAME_UPPER", dims=image)
    for mode, before in (("SAME_UPPER", (1, 0)), ("SAME_LOWER", (1, 1))):
        try_it(mode.lower(), x, w, before, (3, 10), strides=(1, 2), auto_pad=mode, dims=image)
    try_it("shape", x, w, (1, 1), (6, 10), strides=(2, 2), output_shape=[6, 10])
    try_it("shape-symbols", x, w, (1, 1), (6, 10), strides=(2, 2), output_shape=[6, 10], dims=image)
    try_it("line", x[:, :, 0], w[:, :, 0], (2,), (8,), strides=(2,), pads=[2, 1], dims={"x": ["n", 4, "w"]})
    try_it("space", ramp(1, 4, 2, 2, 2, by=0.05), ramp(4, 2, 2, 3, 1, by=0.1), (0, 1, 0), (4, 4, 2), strides=(2, 2, 1),
           dilations=(1, 1, 1), pads=[0, 1, 0, 0, 0, 0], dims={"x": ["n", 4, "d", "h", "w"]})
    case("transposed-nothing", node("ConvTranspose", "x w", pads=[3, 3, 3, 3]), {"x": x}, {"w": w}, words="there is a result")


def recurrent():
    """RNN, GRU and LSTM by their equations, one sample and one step after the other."""
    rng = np.random.default_rng(11)
    soft = {"Sigmoid": lambda v: 1 / (1 + np.exp(-v)), "Tanh": np.tanh, "Relu": lambda v: np.maximum(v, 0)}
    plain = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}

    def cell(op, f, x, h, c, w, r, wb, rb, p, clip, input_forget, linear_before_reset):
        n = len(h)
        cut = (lambda v: np.clip(v, -clip, clip)) if clip else (lambda v: v)
        part = lambda m, i: m[i * n:(i + 1) * n]  # noqa: E731
        pre = lambda i: part(w, i) @ x + part(wb, i) + part(r, i) @ h + part(rb, i)  # noqa: E731
        if op == "RNN":
            return f[0](cut(pre(0))), c
        if op == "GRU":
            z, t = f[0](cut(pre(0))), f[0](cut(pre(1)))
            inner = t * (part(r, 2) @ h + part(rb, 2)) if linear_before_reset else part(r, 2) @ (t * h) + part(rb, 2)
            return (1 - z) * f[1](cut(part(w, 2) @ x + part(wb, 2) + inner)) + z * h, c
        i = f[0](cut(pre(0) + part(p, 0) * c))
        forget = 1 - i if input_forget else f[0](cut(pre(2) + part(p, 2) * c))
        c = forget * c + i * f[1](cut(pre(3)))
        return f[0](cut(pre(1) + part(p, 1) * c)) * f[2](c), c

    def try_it(name, op, steps=3, batch=2, size=4, hidden=5, direction="forward", lens=None, more="", names=None, symbols=False,
               clip=0, input_forget=0, linear_before_reset=0, layout=0, fed=False):
        d, g = 1 + (direction == "bidirectional"), {"RNN": 1, "GRU": 3, "LSTM": 4}[op]
        draw = lambda *shape: rng.uniform(-1, 1, shape).astype(F32)  # noqa: E731
        t = {"x": draw(steps, batch, size), "w": draw(d, g * hidden, size), "r": draw(d, g * hidden, hidden)}
        for key, shape in (("b", (d, 2 * g * hidden)), ("h", (d, batch, hidden)), ("c", (d, batch, hidden)), ("p", (d, 3 * hidden))):
            if key in more:
                t[key] = draw(*shape)
        zero = {"b": np.zeros((d, 2 * g * hidden)), "h": np.zeros((d, batch, hidden)), "c": np.zeros((d, batch, hidden)),
                "p": np.zeros((d, 3 * hidden))}
        f = [soft[k] for k in (names or plain[op] * d)]
        y, last = np.zeros((steps, d, batch, hidden)), [np.zeros((d, batch, hidden)) for _ in "hc"]
        for k in range(d):
            b = t.get("b", zero["b"])[k]
            for s in range(batch):
                h, c = (t.get(key, zero[key])[k, s] for key in "hc")
                order = range(lens[s] if lens else steps)
                for i in reversed(order) if k == 1 or direction == "reverse" else order:
                    h, c = cell(op, f[k * len(f) // d:], t["x"][i, s].astype(float), h, c, t["w"][k], t["r"][k], b[:g * hidden],
                                b[g * hidden:], t.get("p", zero["p"])[k], clip, input_forget, linear_before_reset)
                    y[i, k, s] = h
                last[0][k, s], last[1][k, s] = h, c
        want = {"y": y, "yh": last[0], "yc": last[1]}
        if lens:
            t["l"] = np.array(lens, np.int32)
        if layout:
            t = {k: v.swapaxes(0, 1) if k in "xhc" else v for k, v in t.items()}
            want = {"y": y.transpose(2, 0, 1, 3), "yh": last[0].swapaxes(0, 1), "yc": last[1].swapaxes(0, 1)}
        attributes = {"hidden_size": hidden, "direction": direction}
        for key, value in (("clip", clip), ("input_forget", input_forget), ("linear_before_reset", linear_before_reset),
                           ("layout", layout), ("activations", names)):
            if value:
                attributes[key] = value
        results = ["y", "yh", "yc"][:3 if op == "LSTM" else 2]
        made = helper.make_node(op, [k if k in t else "" for k in "xwrblhcp"[:8 if op == "LSTM" else 6]], results, **attributes)
        inputs = {k: v for k, v in t.items() if fed or k in "xlhc"}
        case(f"recurrent-{name}", made, inputs, {k: v for k, v in t.items() if k not in inputs}, opset=14, outputs=" ".join(results),
             dims={"x": ["b", "t", size] if layout else ["t", "b", size]} if symbols else None,
             want={k: want[k].astype(F32) for k in results})

    for op in plain:
        own = {"RNN": "bh", "GRU": "bh", "LSTM": "bhcp"}[op]
        try_it(f"{op}-bare", op)
        try_it(f"{op}-one-step", op, steps=1, more=own)
        try_it(f"{op}-full", op, more=own, direction="bidirectional", lens=[3, 2], clip=0.4)
        try_it(f"{op}-reverse", op, more=own, direction="reverse", lens=[1, 3], fed=True)
        try_it(f"{op}-batch-first", op, more=own, direction="bidirectional", layout=1, lens=[3, 3])
        try_it(f"{op}-relu", op, names=["Relu"] * len(plain[op]))
        # a loop: constant steps, or as many as the run says, one among them
        try_it(f"{op}-many", op, steps=7, more=own, direction="bidirectional", lens=[7, 4])
        try_it(f"{op}-any", op, steps=6, more=own, direction="bidirectional", symbols=True)
        try_it(f"{op}-any-reverse", op, steps=5, more=own, direction="reverse", lens=[2, 5], symbols=True, layout=1, fed=True)
        try_it(f"{op}-any-one", op, steps=1, symbols=True)
    try_it("GRU-linear", "GRU", more="bh", linear_before_reset=1, direction="bidirectional")
    try_it("LSTM-coupled", "LSTM", more="bhcp", input_forget=1)
    x, w, r = ramp(2, 1, 3), ramp(1, 4, 3), ramp(1, 4, 1)
    case("recurrent-unknown", node("LSTM", "x w r", activations=["Sigmoid", "Tan", "Tanh"]), {"x": x}, {"w": w, "r": r}, opset=14,
         words='activation "Tan" is not known')
    case("recurrent-differs", node("LSTM", "x w r"), {"x": ramp(2, 1, 2)}, {"w": w, "r": r}, opset=14, words="is needed")


def fused():
    """What ONNX Runtime's optimiser writes, beside the arithmetic that it stands for."""
    rng = np.random.default_rng(5)
    draw = lambda *shape: rng.uniform(-2, 2, shape).astype(F32)  # noqa: E731
    sigmoid = lambda v: 1 / (1 + np.exp(-v.astype(float)))  # noqa: E731
    gelu_tanh = lambda v: v / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (v + 0.044715 * v.astype(float) ** 3)))  # noqa: E731

    def try_it(name, op, want, operands, domain="com.microsoft", dims=None, **attributes):
        keys = [f"x{i}" for i in range(len(operands))]
        t = dict(zip(keys, operands))
        made = node(op, " ".join(keys), domain=domain, **attributes)
        case(f"fused-{name}", made, {"x0": t["x0"]}, {k: v for k, v in t.items() if k != "x0"}, want={"y": want},
             domains=[helper.make_opsetid("com.microsoft", 1)], dims={"x0": dims} if dims else None)

    a, w = draw(2, 3, 4), draw(2, 5, 4)
    try_it("matmul", "FusedMatMul", (a @ w.swapaxes(1, 2) / 2).astype(F32), [a, w], transB=1, alpha=0.5, dims=[2, "n", 4])
    try_it("matmul-a", "FusedMatMul", a.swapaxes(1, 2) @ a, [a, a], transA=1)
    x, k, b, z = draw(1, 3, 4), draw(2, 3, 1), draw(2), draw(1, 2, 4)
    y = np.einsum("ncx,mc->nmx", x, k[:, :, 0]) + b[:, None]
    try_it("conv", "FusedConv", np.clip(y, -1, 1), [x, k, b], activation="Clip", activation_params=[-1.0, 1.0], dims=[1, 3, "n"])
    try_it("conv-sum", "FusedConv", np.maximum(y + z, 0), [x, k, b, z], activation="Relu")
    m, v, c = draw(3, 4), draw(4, 5), draw(5)
    y = m @ v + c
    try_it("gemm", "FusedGemm", np.where(y < 0, y * F32(0.25), y), [m, v, c], activation="LeakyRelu", activation_alpha=0.25)
    bias = draw(4)
    try_it("gelu-fast", "FastGelu", gelu_tanh(m + bias).astype(F32), [m, bias], dims=["n", 4])
    try_it("gelu-quick", "QuickGelu", (m * sigmoid(1.702 * m)).astype(F32), [m], dims=["n", 4])

    def norm(v, eps, mean):
        d = v.astype(float) - (v.mean(-1, keepdims=True) if mean else 0)
        return d / np.sqrt((d * d).mean(-1, keepdims=True) + eps)

    skip, gain = draw(2, 3, 4), draw(4)
    try_it("skip-layernorm", "SkipLayerNormalization", (norm(a + skip + c[:4], 1e-5, True) * gain + bias).astype(F32),
           [a, skip, gain, bias, c[:4]], epsilon=1e-5, dims=["n", 3, 4])
    try_it("skip-rmsnorm", "SkipSimplifiedLayerNormalization", (norm(a + skip, 1e-6, False) * gain).astype(F32), [a, skip, gain])
    try_it("rmsnorm", "SimplifiedLayerNormalization", (norm(a, 1e-5, False) * gain).astype(F32), [a, gain], domain="")
    sums = node("SkipLayerNormalization", "x s g", "y m v t", domain="com.microsoft")
    case("fused-skip-sum", [sums, node("Neg", "t", "z")], {"x": a}, {"s": skip, "g": gain}, want={"z": -(a + skip)}, outputs="z",
         domains=[helper.make_opsetid("com.microsoft", 1)])

    codes = lambda *shape: rng.integers(0, 256, shape).astype(np.uint8)  # noqa: E731
    code = lambda v, s, zero: np.clip(np.rint(v / F32(s)) + zero, 0, 255).astype(np.uint8)  # noqa: E731
    real = lambda q, s, zero: (q.astype(F32) - zero) * F32(s)  # noqa: E731
    p, q, zero = codes(3, 4), codes(4), np.uint8(100)
    s, out, ten = F32(0.125), F32(0.25), np.uint8(10)
    try_it("qlinear-add", "QLinearAdd", code(real(p, s, 100) + real(q, s, 10), 0.25, 10), [p, s, zero, q, s, ten, out, ten])
    try_it("qlinear-mul", "QLinearMul", code(real(p, s, 100) * real(q, s, 10), 0.25, 10), [p, s, zero, q, s, ten, out, ten])
    try_it("qlinear-sigmoid", "QLinearSigmoid", code(sigmoid(real(p, s, 100)), 2**-8, 0), [p, s, zero, F32(2**-8), np.uint8(0)])
    try_it("qlinear-leaky", "QLinearLeakyRelu", code(np.where(p < 100, 0.5, 1) * real(p, s, 100), 0.25, 10), [p, s, zero, out, ten],
           alpha=0.5)
    r = codes(2, 4)
    try_it("qlinear-concat", "QLinearConcat", code(np.concatenate([real(p, s, 100), real(r, 0.5, 10)]), 0.25, 10),
           [out, ten, p, s, zero, r, F32(0.5), ten], axis=0)
    pool = codes(2, 3, 4, 4)
    try_it("qlinear-pool", "QLinearGlobalAveragePool", code(real(pool, s, 100).mean((2, 3), keepdims=True), 0.25, 10),
           [pool, s, zero, out, ten])
    weights, extra = rng.integers(-128, 128, (5, 4)).astype(np.int8), rng.integers(-99, 99, 5).astype(np.int32)
    product = (p.astype(int) - 100) @ (weights.astype(int) - 3).T
    try_it("qgemm", "QGemm", code((product + extra) * F32(0.0625), 16, 10),
           [p, s, zero, weights, F32(0.5), np.int8(3), extra, F32(16), ten], transB=1)
    try_it("matmul-to-float", "MatMulIntegerToFloat", (product * F32(0.0625) + c).astype(F32),
           [p, np.ascontiguousarray(weights.T), s, F32(0.5), zero, np.int8(3), c])
    ramped = np.array([[0, 51, 204, 255], [-255, 0, 0, 0]], F32)  # scale 2, zero point 128: all but 51 is met exactly
    near = np.array([[0, 52, 204, 254], [-256, 0, 0, 0]], F32)
    try_it("dynamic-matmul", "DynamicQuantizeMatMul", near @ ((weights.T.astype(F32) - 3) / 2) + c,
           [ramped, np.ascontiguousarray(weights.T), F32(0.5), np.int8(3), c])


def pool_indices():
    """Where the maxima lie: by looking at each element of each window."""

    def expected(x, kernel, strides, dilations, pads, extents, by_column):
        y = np.zeros(x.shape[:2] + extents, x.dtype)
        at = np.zeros(y.shape, I64)
        space = x.shape[2:]
        steps = np.cumprod((1,) + (space if by_column else space[::-1]))[:-1]
        steps = steps if by_column else steps[::-1]
        for o in np.ndindex(y.shape):
            best = None
            for k in np.ndindex(*kernel):
                i = [o[2 + a] * strides[a] + k[a] * dilations[a] - pads[a] for a in range(len(space))]
                if all(0 <= p < n for p, n in zip(i, space)) and (best is None or x[o[:2] + tuple(i)] > y[o]):
                    best = y[o] = x[o[:2] + tuple(i)]
                    at[o] = (o[0] * x.shape[1] + o[1]) * int(np.prod(space)) + int(np.dot(i, steps))
        return {"y": y, "i": at}

    rng = np.random.default_rng(3)
    x = rng.integers(-9, 9, (2, 3, 6, 5)).astype(F32)
    symbols = {"x": ["n", 3, "h", "w"]}

    def try_it(name, x, kernel, extents, strides=None, dilations=None, pads=None, order=0, dims=None, **more):
        n = len(kernel)
        strides, dilations, pads = strides or [1] * n, dilations or [1] * n, pads or [0] * 2 * n
        case(f"maxpool-indices-{name}", node("MaxPool", "x", "y i", kernel_shape=kernel, strides=strides, dilations=dilations,
                                             pads=pads, storage_order=order, **more), {"x": x}, opset=12, outputs="y i", dims=dims,
             want=expected(x, kernel, strides, dilations, pads, extents, order))

    try_it("plain", x, [2, 2], (5, 4))
    try_it("strides", x, [3, 2], (3, 3), strides=[2, 2], pads=[1, 1, 1, 0], dims=symbols)
    try_it("columns", x, [2, 3], (3, 3), strides=[2, 1], order=1, dims=symbols)
    try_it("dilated", x, [2, 2], (5, 4), dilations=[3, 2], pads=[1, 0, 1, 1], dims=symbols)
    try_it("hangs", x, [2, 2], (3, 3), strides=[2, 2], ceil_mode=1, dims=symbols)
    try_it("line", x[:, :, 0], [2], (4,))
    try_it("bytes", x[:, :, :4, :4].astype(np.int8), [2, 2], (3, 3))
    cube = rng.integers(-9, 9, (1, 2, 3, 3, 3)).astype(F32)
    try_it("space", cube, [2, 2, 2], (2, 2, 2), order=1, dims={"x": ["n", 2, "d", "h", "w"]})
    pairs = [node("MaxPool", "x", "p i", kernel_shape=[2, 2], strides=[2, 2]), node("MaxUnpool", "p i", kernel_shape=[2, 2], strides=[2, 2])]
    picked = expected(x[:, :, :, :4], [2, 2], [2, 2], [1, 1], [0] * 4, (3, 2), 0)
    back = np.zeros(x[:, :, :, :4].shape, F32)
    back.reshape(-1)[picked["i"].reshape(-1)] = picked["y"].reshape(-1)
    case("maxunpool", pairs, {"x": x[:, :, :, :4]}, opset=12, want={"y": back}, dims={"x": ["n", 3, 6, 4]})


def fourier():
    rng = np.random.default_rng(2)
    x = rng.uniform(-1, 1, (2, 7, 3, 2)).astype(F32)
    z, apart = x[..., 0] + 1j * x[..., 1], lambda v: np.stack([v.real, v.imag], -1).astype(F32)
    any_size = {"x": ["n", "t", 3, 2]}
    for name, length in (("same", 7), ("longer", 9), ("shorter", 4)):
        t = {"l": I64(length), "a": I64(1)}
        case(f"dft-{name}", node("DFT", "x l a"), {"x": x}, t, opset=20, dims=any_size, want={"y": apart(np.fft.fft(z, length, axis=1))})
        case(f"dft-inverse-{name}", node("DFT", "x l a", inverse=1), {"x": x}, t, opset=20, dims=any_size,
             want={"y": apart(np.fft.ifft(z, length, axis=1))})
        case(f"dft-real-{name}", node("DFT", "x l a", onesided=1), {"x": x[..., :1]}, t, opset=20, dims={"x": ["n", "t", 3, 1]},
             want={"y": apart(np.fft.rfft(x[..., 0], length, axis=1))})
    half = np.fft.rfft(x[..., 0], axis=1)
    for length in (6, 7, 12):
        case(f"dft-to-real-{length}", node("DFT", "x l a", inverse=1, onesided=1), {"x": apart(half)}, {"l": I64(length), "a": I64(1)},
             opset=20, dims={"x": ["n", "t", 3, 2]}, want={"y": np.fft.irfft(half, length, axis=1)[..., None].astype(F32)})
    case("dft-17", node("DFT", "x", axis=2), {"x": x}, opset=17, want={"y": apart(np.fft.fft(z, axis=2))}, dims={"x": ["n", 7, "k", 2]})
    signal, window = rng.uniform(-1, 1, (2, 40, 1)).astype(F32), np.hanning(16).astype(F32)
    frames = np.stack([signal[:, i:i + 16, 0] for i in range(0, 25, 4)], 1)
    for name, made in (("window", window), ("plain", np.ones(16, F32))):
        case(f"stft-{name}", node("STFT", "x s w"), {"x": signal}, {"s": I64(4), "w": made}, dims={"x": ["n", "t", 1]},
             want={"y": apart(np.fft.rfft(frames * made, axis=2))})


def heads():
    """Attention of com.microsoft: masks add -10000; a past lies before the keys."""
    rng = np.random.default_rng(9)
    draw = lambda *shape: rng.uniform(-2, 2, shape).astype(F32)  # noqa: E731
    apart = lambda v: v.reshape(v.shape[0], v.shape[1], 2, -1).transpose(0, 2, 1, 3)  # noqa: E731
    opset = [helper.make_opsetid("com.microsoft", 1)]

    def attend(q, k, v, add=0.0):
        s = q @ k.swapaxes(2, 3) / 2 + add  # heads are 4 wide
        w = np.exp(s - s.max(-1, keepdims=True))
        y = w / w.sum(-1, keepdims=True) @ v
        return y.transpose(0, 2, 1, 3).reshape(len(y), y.shape[2], -1).astype(F32)

    q, k, v, b = draw(2, 3, 8), draw(2, 5, 8), draw(2, 5, 8), draw(24)
    near = np.where(np.arange(5) <= np.arange(3)[:, None] + 2, 0, -10000)
    mask = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1]], np.int32)
    t = {"q": q, "k": k, "v": v}
    any_size = {"q": ["n", "l", 8], "k": ["n", "s", 8], "v": ["n", "s", 8]}

    def try_it(name, names, want, more=None, consts=None, outputs="y", **attributes):
        made = helper.make_node("MultiHeadAttention", names.split(" "), outputs.split(), domain="com.microsoft", num_heads=2, **attributes)
        case(f"heads-{name}", made, {**t, **(more or {})}, consts, dims=any_size, domains=opset, outputs=outputs,
             want={"y": want} if isinstance(want, np.ndarray) else want)

    try_it("plain", "q k v", attend(apart(q), apart(k), apart(v)))
    try_it("mask", "q k v b m", attend(apart(q + b[:8]), apart(k + b[8:16]), apart(v + b[16:]),
                                       np.where(mask, 0, -10000)[:, None, None]), {"m": mask}, {"b": b})
    lengths = np.array([2, 5], np.int32)
    try_it("lengths", "q k v  m", attend(apart(q), apart(k), apart(v), np.where(np.arange(5) < lengths[:, None], 0, -10000)[:, None, None]),
           {"m": lengths})
    bias = draw(1, 2, 3, 5)
    try_it("bias", "q k v   a", attend(apart(q), apart(k), apart(v), bias), {"a": bias})
    past = draw(2, 2, 2, 2, 4)
    t = {"q": q, "k": k[:, :3], "v": v[:, :3]}
    keys, values = (np.concatenate([p, apart(x[:, :3])], 2) for p, x in zip(past, (k, v)))
    try_it("past", "q k v    pk pv", {"y": attend(apart(q), keys, values, near), "nk": keys, "nv": values},
           {"pk": past[0], "pv": past[1]}, outputs="y nk nv", unidirectional=1)
    x, w = draw(2, 3, 8), draw(8, 24)
    parts = [apart(m) for m in np.split(x @ w + b, 3, axis=2)]
    case("heads-projected", node("Attention", "x w b m", domain="com.microsoft", num_heads=2), {"x": x, "m": mask[:, :3]}, {"w": w, "b": b},
         domains=opset, dims={"x": ["n", "l", 8]}, want={"y": attend(*parts, np.where(mask[:, :3], 0, -10000)[:, None, None])})
    keys, values = (np.concatenate([p, m], 2) for p, m in zip(past, parts[1:]))
    case("heads-projected-past", helper.make_node("Attention", ["x", "w", "b", "", "p"], ["y", "np"], domain="com.microsoft", num_heads=2,
                                                  unidirectional=1), {"x": x, "p": past}, {"w": w, "b": b}, domains=opset,
         outputs="y np", want={"y": attend(parts[0], keys, values, near), "np": np.stack([keys, values])})
    angle = rng.uniform(-3, 3, (9, 2)).astype(F32)
    for name, at in (("each", np.array([[0, 1, 2], [5, 4, 8]])), ("first", np.array([4]))):
        rows = angle[at if at.ndim == 2 else at + np.arange(3)[None].repeat(2, 0)][:, None]
        a, c = np.split(apart(x), 2, axis=3)
        y = np.concatenate([a * np.cos(rows) - c * np.sin(rows), c * np.cos(rows) + a * np.sin(rows)], 3)
        case(f"heads-rotary-{name}", node("RotaryEmbedding", "x p c s", domain="com.microsoft"), {"x": x, "p": at},
             {"c": np.cos(angle), "s": np.sin(angle)}, domains=opset, dims={"x": ["n", "l", 8]},
             want={"y": y.transpose(0, 2, 1, 3).reshape(2, 3, 8).astype(F32)})


def main():
    shutil.rmtree(ROOT, ignore_errors=True)
    for make in (versions, reductions, integers, unread, mixed, order, dimensions, external, declarations, guards, slices,
                 sizes, long_terms, control, widths, near, picks, transposed, recurrent, fused, pool_indices, fourier, heads):
        make()
    sys.stdout.flush()
    os.execv(sys.argv[1], [sys.argv[1], "--cases", ROOT, *sys.argv[2:]])


main()
