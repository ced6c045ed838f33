# SPDX-License-Identifier: Apache-2.0
"""scalec rewrite: what it writes is standard ONNX, gives ONNX Runtime our results, and is read back as the same graph."""
import functools
import glob
import json
import os
import re
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, os.path.dirname(__file__))
from command import ATTENTION, MNIST, SOURCE, failing, run_all, sanitized, write  # noqa: E402
from rewritten import check, difference, made_up, ours, rewrite, run, session  # noqa: E402
from scalec import scalec  # noqa: E402

MODELS = sorted(glob.glob(os.path.join(SOURCE, "tests", "model", "data", "*", "*.onnx")))
FP8 = {TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E5M2, TensorProto.FLOAT8E4M3FNUZ, TensorProto.FLOAT8E5M2FNUZ}


def save(tmp, name, nodes, inputs, outputs, init=(), opset=19):
    """inputs, outputs: (name, type, shape)."""
    g = helper.make_graph(nodes, "g", [helper.make_tensor_value_info(*v) for v in inputs],
                          [helper.make_tensor_value_info(*v) for v in outputs],
                          [numpy_helper.from_array(np.asarray(a), n) for n, a in init])
    path = os.path.join(tmp, name + ".onnx")
    onnx.save(helper.make_model(g, opset_imports=[helper.make_opsetid("", opset)], ir_version=9), path)
    return path


def node(op, ins, out, **attr):
    return helper.make_node(op, ins, [out] if isinstance(out, str) else out, name=f"{op}.{out}", **attr)


@functools.cache
def ours_of(path, *args):
    """Made-up inputs and our results, of a model and arguments that stay what they are."""
    feeds = made_up(path)
    with tempfile.TemporaryDirectory() as tmp:
        return feeds, ours(path, feeds, tmp, *args)


def agree(path, tmp, *args, profile="qdq", feeds=None):
    """The model that was written, after it was found to give our results."""
    out = rewrite(path, os.path.join(tmp, f"{profile}.onnx"), "--profile", profile, *args)
    if feeds is None and path in MODELS and not any(map(os.path.exists, args)):
        feeds, want = ours_of(path, *args)
    else:
        feeds = feeds or made_up(path)
        want = ours(path, feeds, tmp, *args)
    beyond, count, _ = difference(want, run(out, feeds))
    assert beyond == 0, f"{beyond} of {count} elements beyond the tolerance"
    return onnx.load(out)


def types(m):
    return {i.data_type for i in m.graph.initializer}


def ops(g):
    ret = []
    for n in g.node:
        ret.append(n.op_type)
        for a in n.attribute:
            if a.type == onnx.AttributeProto.GRAPH:
                ret += ops(a.g)
    return ret


def fp4(tmp):
    """mxfp4-weights whose rows stay in f32, as ONNX has them."""
    return write(os.path.join(tmp, "fp4"), "activation = f32\nweight = f4e2m1\nscale = block\nrows = f32\n")


def models_agree(tmp):
    recipes = ["fp8", "mxfp8", "f32", "fp8-weights", "f16", "bf16", "mxfp6", fp4(tmp)]
    for path in MODELS:
        for recipe in recipes[:2 if sanitized() else None]:
            m = agree(path, tmp, "--recipe", recipe)
            assert m.opset_import[0].version <= 21, m.opset_import  # blocks too: scales are f32, codes E4M3
        m = agree(path, tmp, "--recipe", "fp8", profile="cast")
        assert "QuantizeLinear" not in ops(m.graph) and m.opset_import[0].version == 19


def fp8_is_stored(tmp):
    m = agree(MNIST, tmp, "--recipe", "fp8")
    assert types(m) & FP8 and m.opset_import[0].version == 21
    weights = [i for i in m.graph.initializer if i.name.startswith("Parameter193")]
    assert weights and weights[0].data_type == TensorProto.FLOAT8E4M3FN
    assert ops(m.graph).count("QuantizeLinear") == 3 and ops(m.graph).count("DequantizeLinear") == 6
    m = agree(MNIST, tmp, "--recipe", "fp8-weights")
    assert m.opset_import[0].version == 19 and ops(m.graph).count("DequantizeLinear") == 3


def names_stay(tmp):
    was, m = onnx.load(MNIST), agree(MNIST, tmp, "--recipe", "fp8")
    assert [i.name for i in m.graph.input] == ["Input3"] and m.graph.output[0].name == was.graph.output[0].name
    kept = {n.name for n in m.graph.node}
    assert {n.name for n in was.graph.node if n.op_type in ("Conv", "Relu", "MaxPool")} <= kept
    assert len(kept) == len(m.graph.node)


def every_fp8_type(tmp):
    for t in ("f8e4m3fn", "f8e5m2"):
        recipe = write(os.path.join(tmp, t), f"activation = {t}\nweight = {t}\n")
        for profile in ("qdq", "cast"):
            m = agree(ATTENTION, tmp, "--recipe", recipe, profile=profile)
            assert types(m) & FP8
    rng = np.random.default_rng(0)
    init = [(f"w{i}", (rng.standard_normal((64, 64)) / 8).astype(np.float32)) for i in range(2)]
    init.append(("b", rng.standard_normal(64).astype(np.float32)))
    f, shape = TensorProto.FLOAT, ["n", 64]
    path = save(tmp, "biased", [node("MatMul", ["x", "w0"], "h"), node("Add", ["h", "b"], "k"), node("MatMul", ["k", "w1"], "y")],
                [("x", f, shape)], [("y", f, shape)], init)
    feeds = {"x": rng.standard_normal((5, 64)).astype(np.float32)}
    for a, w in (("f8e4m3fn", "f8e4m3fn"), ("f8e5m2", "f8e4m3fn"), ("f8e4m3fnuz", "f8e4m3fnuz"), ("f8e5m2fnuz", "f8e5m2")):
        recipe = write(os.path.join(tmp, "r"), f"activation = {a}\nweight = {w}\n")
        m = agree(path, tmp, "--recipe", recipe, feeds=feeds)  # a bias that is not rounded to integers
        assert "QuantizeLinear" in ops(m.graph), a
    recipe = write(os.path.join(tmp, "channel"), "activation = f8e4m3fn\nweight = f8e4m3fn\nscale = channel\n")
    agree(MNIST, tmp, "--recipe", recipe)


def encoder(tmp, batch="batch", length="length"):
    """Embedding, attention of two heads, normalisations, a gate: extents that are symbols."""
    rng = np.random.default_rng(0)
    init = [("table", rng.standard_normal((3000, 32)).astype(np.float32)), ("heads", np.array([0, 0, 2, 16])),
            ("flat", np.array([0, 0, 32])), ("root", np.float32(4)), ("g", np.ones(32, np.float32)),
            ("b", np.zeros(32, np.float32))]
    nodes = [node("Gather", ["table", "ids"], "e")]
    for k in "qkv":
        init.append((f"w{k}", (rng.standard_normal((32, 32)) / 4).astype(np.float32)))
        nodes += [node("MatMul", ["e", f"w{k}"], f"{k}0"), node("Reshape", [f"{k}0", "heads"], f"{k}1"),
                  node("Transpose", [f"{k}1"], k, perm=[0, 2, 3, 1] if k == "k" else [0, 2, 1, 3])]
    init += [("w1", (rng.standard_normal((32, 64)) / 4).astype(np.float32)), ("b1", np.ones(64, np.float32)),
             ("w2", (rng.standard_normal((64, 32)) / 4).astype(np.float32))]
    nodes += [node("MatMul", ["q", "k"], "s0"), node("Div", ["s0", "root"], "s"), node("Softmax", ["s"], "p", axis=-1),
              node("MatMul", ["p", "v"], "m0"), node("Transpose", ["m0"], "m1", perm=[0, 2, 1, 3]),
              node("Reshape", ["m1", "flat"], "m"), node("Add", ["m", "e"], "r"),
              node("LayerNormalization", ["r", "g", "b"], "n", axis=-1), node("MatMul", ["n", "w1"], "h0"),
              node("Add", ["h0", "b1"], "h1"), node("Sigmoid", ["h1"], "h2"), node("Mul", ["h1", "h2"], "h"),
              node("MatMul", ["h", "w2"], "f"), node("Add", ["n", "f"], "y")]
    return save(tmp, "encoder", nodes, [("ids", TensorProto.INT64, [batch, length])],
                [("y", TensorProto.FLOAT, [batch, length, 32])], init)


def symbols_stay(tmp):
    path = encoder(tmp)
    for recipe in ("f32", "fp8", "fp8-weights", "f16"):
        for profile in ("qdq", "cast"):
            m = agree(path, tmp, "--recipe", recipe, profile=profile)
            assert [d.dim_param for d in m.graph.input[0].type.tensor_type.shape.dim] == ["batch", "length"]
            feeds = {"ids": np.arange(6).reshape(3, 2)}
            beyond, _, _ = difference(ours(path, feeds, tmp, "--recipe", recipe), run(os.path.join(tmp, f"{profile}.onnx"), feeds))
            assert beyond == 0


def sizes_that_data_says(tmp):
    one = [("x", TensorProto.FLOAT, ["n"])]
    path = save(tmp, "chosen", [node("Greater", ["x", "zero"], "c"), node("Compress", ["x", "c"], "p", axis=0),
                                node("NonZero", ["x"], "z"), node("Unique", ["x"], ["u", "first", "back", "counts"]),
                                node("Shape", ["x"], "s"), node("TopK", ["x", "s"], ["t", "i"])],
                one, [("p", TensorProto.FLOAT, ["k"]), ("z", TensorProto.INT64, [1, "j"]), ("u", TensorProto.FLOAT, ["m"]),
                      ("counts", TensorProto.INT64, ["m"]), ("back", TensorProto.INT64, ["n"]), ("t", TensorProto.FLOAT, ["n"])],
                [("zero", np.float32(0))])
    feeds = {"x": np.array([3, -1, 0, 3, 2, -5, 2], np.float32)}
    agree(path, tmp, feeds=feeds)
    assert [len(v) for v in run(os.path.join(tmp, "qdq.onnx"), feeds).values()][0] == 4


def control_flow(tmp):
    def graph(name, nodes, inputs, outputs, init=()):
        return helper.make_graph(nodes, name, [helper.make_tensor_value_info(*v) for v in inputs],
                                 [helper.make_tensor_value_info(*v) for v in outputs],
                                 [numpy_helper.from_array(np.asarray(a), n) for n, a in init])
    f, w = TensorProto.FLOAT, (np.random.default_rng(0).standard_normal((8, 8)) / 4).astype(np.float32)
    then = graph("then", [node("MatMul", ["x", "w"], "a")], [], [("a", f, None)])
    other = graph("other", [node("Neg", ["x"], "b0"), node("Relu", ["b0"], "b")], [], [("b", f, None)])
    body = graph("body", [node("MatMul", ["state", "w"], "m"), node("Tanh", ["m"], "next"), node("Identity", ["on"], "on2"),
                          node("ReduceSum", ["next"], "total", keepdims=0)],
                 [("turn", TensorProto.INT64, []), ("on", TensorProto.BOOL, []), ("state", f, None)],
                 [("on2", TensorProto.BOOL, []), ("next", f, None), ("total", f, None)])
    path = save(tmp, "control", [helper.make_node("If", ["c"], ["h"], name="if", then_branch=then, else_branch=other),
                                 helper.make_node("Loop", ["trips", "yes", "h"], ["y", "totals"], name="loop", body=body)],
                [("x", f, ["n", 8]), ("c", TensorProto.BOOL, []), ("trips", TensorProto.INT64, [])],
                [("y", f, ["n", 8]), ("totals", f, ["t"])], [("w", w), ("yes", np.array(True))])
    for c in (True, False):
        feeds = {"x": np.random.default_rng(1).standard_normal((3, 8)).astype(np.float32), "c": np.array(c),
                 "trips": np.array(4)}
        for recipe in ("f32", "fp8-weights", "fp8"):
            m = agree(path, tmp, "--recipe", recipe, "--scales", "propagate", feeds=feeds)
            assert {"If", "Loop"} <= set(ops(m.graph))


def half_models(tmp):
    rng = np.random.default_rng(5)
    path = save(tmp, "half", [node("MatMul", ["x", "w"], "h"), node("Relu", ["h"], "r"), node("MatMul", ["r", "w"], "y")],
                [("x", TensorProto.FLOAT16, ["n", 16])], [("y", TensorProto.FLOAT16, ["n", 16])],
                [("w", rng.standard_normal((16, 16)).astype(np.float16))])
    for profile in ("qdq", "cast"):
        agree(path, tmp, "--recipe", "fp8", profile=profile)


def newer_types_need_newer_opsets(tmp):
    for t, opset, ir in ((TensorProto.UINT4, 21, 10), (TensorProto.FLOAT4E2M1, 23, 11), (TensorProto.FLOAT8E8M0, 24, 12),
                         (TensorProto.FLOAT, 19, 9)):
        path = save(tmp, "typed", [node("Cast", ["x"], "y", to=TensorProto.FLOAT)], [("x", t, [4])],
                    [("y", TensorProto.FLOAT, [4])], opset=24)
        out = os.path.join(tmp, "out.onnx")
        scalec("dump", path, "--stage", "import", "--format", "onnx", "-o", out)
        check(out)
        m = onnx.load(out)
        assert (m.opset_import[0].version, m.ir_version) == (opset, ir), (t, m.opset_import, m.ir_version)


def outputs_that_are_stored_too(tmp):
    """What a runtime quantizes for its next reader must stay as it is where it is an output: caches, say."""
    w = np.random.default_rng(0).standard_normal((32, 32)).astype(np.float32)
    path = save(tmp, "kept", [node("MatMul", ["x", "w"], "key"), node("Transpose", ["key"], "t", perm=[1, 0]),
                              node("MatMul", ["w", "t"], "y")],
                [("x", TensorProto.FLOAT, [32, 32])],
                [("key", TensorProto.FLOAT, [32, 32]), ("y", TensorProto.FLOAT, [32, 32])], [("w", w)])
    for profile in ("qdq", "cast"):
        agree(path, tmp, "--recipe", "fp8", profile=profile)


def data_beside(tmp):
    out = rewrite(MNIST, os.path.join(tmp, "large.onnx"), "--recipe", "fp8", "--embed-limit", "1000")
    assert os.path.getsize(out + ".data") > 3000
    feeds = made_up(MNIST)
    assert difference(ours(MNIST, feeds, tmp, "--recipe", "fp8"), run(out, feeds))[0] == 0


def stages_are_models(tmp):
    feeds = made_up(MNIST)
    want = ours(MNIST, feeds, tmp)
    for stage in ("import", "simplify", "raise", "expand"):
        out = os.path.join(tmp, stage + ".onnx")
        scalec("dump", MNIST, "--stage", stage, "--format", "onnx", "-o", out)
        check(out)
        assert difference(want, run(out, feeds))[0] == 0, stage
    assert "--stage layout" in failing("dump", MNIST, "--stage", "fuse", "--format", "onnx", "-o", os.path.join(tmp, "k.onnx"))


def stored_operands(path, *args):
    """How many operands of products are stored in FP8, of how many, and tables that are."""
    g = json.loads(scalec("dump", path, "--stage", "settle", "--json", *args))
    types = {o["name"]: o["dtype"] for n in g["nodes"] for o in n["out"]}
    count = {"matmul": 2, "gemm": 2, "conv": 2, "attention": 3, "gather": 1}
    operands = [types[i] for n in g["nodes"] if n["op"] in count for i in n["in"][:count[n["op"]]]]
    return sum(t.startswith("f8") for t in operands), len(operands)


def read_back(tmp):
    for path in [*MODELS, encoder(tmp)]:
        for profile in ("qdq", "cast"):
            first = rewrite(path, os.path.join(tmp, "1.onnx"), "--recipe", "fp8", "--profile", profile)
            for k in (2, 3):
                scalec("dump", os.path.join(tmp, f"{k - 1}.onnx"), "--stage", "simplify", "--format", "onnx",
                       "--profile", profile, "-o", os.path.join(tmp, f"{k}.onnx"))
            scalec("diff", first, os.path.join(tmp, "2.onnx"), "--stage", "simplify")
            assert open(os.path.join(tmp, "2.onnx"), "rb").read() == open(os.path.join(tmp, "3.onnx"), "rb").read()
            assert stored_operands(first) == stored_operands(path, "--recipe", "fp8"), path
            assert stored_operands(first)[0] > 0, path
            feeds = made_up(path)
            beyond, count, _ = difference(ours(path, feeds, tmp, "--recipe", "fp8"), ours(first, feeds, tmp))
            assert beyond == 0, (path, profile, beyond, count)


def extents_come_back(tmp):
    """Attention over the pixels that a stride left, in f32 by symbols that nothing else names."""
    f, w = TensorProto.FLOAT, np.random.default_rng(0).standard_normal
    nodes = [node("Conv", ["x", "w"], "c", strides=[2, 2], pads=[1, 1, 1, 1]), node("Reshape", ["c", "flat"], "f"),
             node("Transpose", ["f"], "t", perm=[0, 2, 1])]
    nodes += [node("MatMul", ["t", f"w{k}"], k) for k in "qkv"]
    nodes += [node("Transpose", ["k"], "kt", perm=[0, 2, 1]), node("MatMul", ["q", "kt"], "s"),
              node("Softmax", ["s"], "p", axis=-1), node("MatMul", ["p", "v"], "y")]
    init = [("w", w((8, 3, 3, 3)).astype(np.float32)), ("flat", np.array([0, 8, -1]))]
    init += [(f"w{k}", w((8, 8)).astype(np.float32) / 4) for k in "qkv"]
    path = save(tmp, "strided", nodes, [("x", f, ["batch", 3, "h", "w"])], [("y", f, ["batch", "n", 8])], init)
    feeds = {"x": w((2, 3, 7, 6)).astype(np.float32)}
    for profile in ("qdq", "cast"):
        m = agree(path, tmp, "--recipe", "fp8", profile=profile, feeds=feeds)
        assert "Mod" not in ops(m.graph)
        there = os.path.join(tmp, profile + ".onnx")
        said = scalec("dump", there, "--stage", "settle")
        assert " = attention " in said and "floordiv(h+1,2)*floordiv(w+1,2)" in said and "Reshape.1" not in said, said


def qdq_by_others(tmp):
    """Scales that are no powers of two, for a tensor or each channel, in every FP8 type; blocks."""
    rng = np.random.default_rng(2)
    f = TensorProto.FLOAT
    for t in sorted(FP8):
        bits = t in (TensorProto.FLOAT8E5M2, TensorProto.FLOAT8E5M2FNUZ)

        def codes(*shape):
            a = rng.integers(0, 0x70 if not bits else 0x48, shape).astype(np.uint8) | rng.choice([0, 0x80], shape).astype(np.uint8)
            a[a == 0x80] = 0  # NaN where there is no negative zero
            return a
        init = [("sx", np.float32(0.037)), ("sm", (0.01 + 0.1 * rng.random(8)).astype(np.float32)),
                ("sg", (0.01 + rng.random(6)).astype(np.float32)), ("bg", rng.standard_normal(6).astype(np.float32)),
                ("sw", (0.001 + 0.01 * rng.random(3)).astype(np.float32)), ("bw", rng.standard_normal(3).astype(np.float32)),
                ("sb", (0.01 + rng.random((2, 4))).astype(np.float32)), ("flat", np.array([-1, 8]))]
        nodes = [helper.make_node("QuantizeLinear", ["x", "sx"], ["q"], name="q", output_dtype=t),
                 node("DequantizeLinear", ["q", "sx"], "dx"), node("DequantizeLinear", ["w", "sw"], "dw", axis=0),
                 node("Conv", ["dx", "dw", "bw"], "c", pads=[1, 1, 1, 1]), node("Reshape", ["c", "flat"], "r0"),
                 helper.make_node("QuantizeLinear", ["r0", "sx"], ["qr"], name="qr", output_dtype=t),
                 node("DequantizeLinear", ["qr", "sx"], "r"), node("DequantizeLinear", ["m", "sm"], "dm", axis=1),
                 node("MatMul", ["r", "dm"], "y"), node("DequantizeLinear", ["g", "sg"], "dg", axis=0),
                 node("Gemm", ["r", "dg", "bg"], "z", transB=1), node("DequantizeLinear", ["b", "sb"], "db", axis=0, block_size=4),
                 node("MatMul", ["r", "db"], "v")]
        g = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", f, [1, 2, 4, 8])],
                              [helper.make_tensor_value_info(n, f, ["k", d]) for n, d in (("y", 8), ("z", 6), ("v", 4))],
                              [numpy_helper.from_array(np.asarray(a), n) for n, a in init] +
                              [TensorProto(name=n, data_type=t, dims=s, raw_data=codes(*s).tobytes())
                               for n, s in (("w", [3, 2, 3, 3]), ("m", [8, 8]), ("g", [6, 8]), ("b", [8, 4]))])
        path = os.path.join(tmp, "others.onnx")
        onnx.save(helper.make_model(g, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
        check(path)
        low, count = stored_operands(path)
        assert (low, count) == (7, 8), (t, low, count)  # the blocks are no power of the product's
        feeds = {"x": rng.standard_normal((1, 2, 4, 8)).astype(np.float32)}
        s = session(path, plain=True)
        want = dict(zip([o.name for o in s.get_outputs()], s.run(None, feeds)))
        beyond, _, _ = difference(want, ours(path, feeds, tmp))
        assert beyond == 0, (t, beyond)
        out = os.path.join(tmp, "again.onnx")  # the same operators are written again
        scalec("dump", path, "--stage", "import", "--format", "onnx", "-o", out)
        assert ops(onnx.load(out).graph).count("DequantizeLinear") >= 5 and difference(want, run(out, feeds))[0] == 0


def blocks_are_read_as_blocks(tmp):
    for recipe in (fp4(tmp), "mxfp8"):  # ONNX Runtime 1.32 has no kernels for these
        back = rewrite(MNIST, os.path.join(tmp, "blocks.onnx"), "--recipe", recipe)
        assert any(a.name == "block_size" for n in onnx.load(back).graph.node for a in n.attribute)
        assert "= block_matmul" in scalec("dump", back, "--stage", "raise"), recipe
        feeds = made_up(MNIST)
        assert difference(ours(MNIST, feeds, tmp, "--recipe", recipe), ours(back, feeds, tmp))[0] == 0


def exponents_of_a_run(tmp):
    agree(MNIST, tmp, "--recipe", "fp8", "--scales", "dynamic")
    rows = ("--recipe", "fp8", "--scales", "dynamic-rows")
    back = rewrite(MNIST, os.path.join(tmp, "rows.onnx"), *rows)
    feeds = made_up(MNIST)
    assert difference(ours(MNIST, feeds, tmp, *rows), ours(back, feeds, tmp))[0] == 0


def in_turns(path, tmp, feeds, *args):
    """Three runs of one session: ONNX Runtime gets each NAME.next as NAME, and at first nothing."""
    out = rewrite(path, os.path.join(tmp, "states.onnx"), *args)
    s, kept, file = session(out), {}, os.path.join(tmp, "states.bin")
    names = [o.name for o in s.get_outputs()]
    for turn in range(3):
        got = dict(zip(names, s.run(None, {**feeds, **kept})))
        kept = {n.removesuffix(".next"): got.pop(n) for n in names if n.endswith(".next")}
        assert kept
        want = ours(path, feeds, tmp, "--state-save", file, *args, *(["--state-load", file] if turn else []))
        assert difference(want, got)[0] == 0, (path, turn)


def states_are_pairs(tmp):
    x = np.arange(4, dtype=np.float32)
    f = TensorProto.FLOAT
    kept = save(tmp, "kept", [node("Add", ["a", "x"], "b"), node("Neg", ["b"], "y")],
                [("a", f, [4]), ("x", f, [4])], [("y", f, [4]), ("b", f, [4])], [("a", np.float32([1, 2, 3, 4]))])
    in_turns(kept, tmp, {"x": x}, "--state", "b=a")
    half = write(os.path.join(tmp, "half.sc"), "graph @g [scaled] (%x: f16[4]) -> (%y) {\n"
                 "  state @s (%p: f16[4] * 2^3 -> %n) = [8, 16, 24, 32]\n  %r = rebalance %x, 3 : f16[4] * 2^3\n"
                 "  %n = add %p, %r : f16[4] * 2^3\n  %y = rebalance %n, 0 : f16[4]\n}\n")
    in_turns(half, tmp, {"x": x.astype(np.float16)})
    first = {i.name: numpy_helper.to_array(i) for i in onnx.load(os.path.join(tmp, "states.onnx")).graph.initializer}["s"]
    assert first.tolist() == [1, 2, 3, 4], first  # data, as the next values of the state are
    in_turns(os.path.join(SOURCE, "tests", "tools", "decode.sc"), tmp, {"token": x[None]})
    in_turns(MNIST, tmp, made_up(MNIST), "--recipe", "fp8", "--scales", "delayed")
    random = save(tmp, "random", [node("RandomNormalLike", ["x"], "r", seed=3.0), node("Add", ["x", "r"], "y"),
                                  node("RandomUniform", [], "u", shape=[5])], [("x", f, ["m"])],
                  [("y", f, ["m"]), ("u", f, [5])])
    in_turns(random, tmp, {"x": x})


def strings(tmp):
    x = np.array([["a b  c", "", "x,y"], [" q ", "Monday", "a"]], object)
    s, i, f, d = TensorProto.STRING, TensorProto.INT64, TensorProto.FLOAT, TensorProto.DOUBLE

    def written(nodes, of, to, x):
        g = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", of, "mn"[:x.ndim])],
                              [helper.make_tensor_value_info(n, t, None) for n, t in to])
        path = os.path.join(tmp, "strings.onnx")
        sets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 4)]
        onnx.save(helper.make_model(g, opset_imports=sets, ir_version=9), path)
        out = rewrite(path, os.path.join(tmp, "out.onnx"))
        want, got, back = (run(path, {"x": x}), run(out, {"x": x}), ours(out, {"x": x}, tmp) if of != s else {})
        for n, w in want.items():
            assert w.shape == got[n].shape and (w == got[n]).all(), (n, w, got[n])
            assert n not in back or (w.astype("U") == back[n].astype("U")).all(), (n, w, back[n])
        return ops(onnx.load(out).graph)
    for kind in ({}, {"delimiter": ",", "maxsplit": 1}):
        nodes = [helper.make_node("StringSplit", ["x"], ["y", "z"], **kind)]
        assert "StringSplit" in written(nodes, s, [("y", s), ("z", i)], x)
    for of, to, x, attr in (
            (s, i, x, {"keys_strings": ["Monday", "a", "q"], "values_int64s": [3, 5, 7], "default_int64": -4}),
            (f, s, np.array([0, 1, 1.5, np.nan, -0.0], np.float32),
             {"keys_floats": [1.5, np.nan, 0.0], "values_strings": ["u", "v", "w"], "default_string": "none"}),
            (i, f, np.array([0, 4, -3, 1 << 40]),
             {"keys_int64s": [4, 1 << 40, -3], "values_floats": [1.0, 2.0, 3.0], "default_float": 9.0}),
            (d, i, np.array([0, 1.5, 2.25]), {"keys_tensor": numpy_helper.from_array(np.array([1.5, 2.25])),
                                              "values_tensor": numpy_helper.from_array(np.array([7, 8])),
                                              "default_tensor": numpy_helper.from_array(np.array([0]))})):
        encoder_node = helper.make_node("LabelEncoder", ["x"], ["y"], domain="ai.onnx.ml", **attr)
        assert written([encoder_node], of, [("y", to)], x) == ["LabelEncoder", "Gather"]


def keys_that_a_run_gives(tmp):
    """The first key that is equal, NaN too; the number of keys where none is."""
    out = os.path.join(tmp, "out.onnx")
    ints, floats, words = ([3, 9, -1, 5], [-1, 3, 4]), ([2, np.nan, 0, 7], [0, 2, np.nan]), (["b", "", "a", "q"], ["", "a", "b"])
    for t, dtype, (values, keys), want in (
            ("i64", np.int64, ints, [1, 3, 0, 3]), ("i8", np.int8, ints, [1, 3, 0, 3]), ("f32", np.float32, floats, [1, 2, 0, 3]),
            ("f16", np.float16, floats, [1, 2, 0, 3]), ("string", object, words, [2, 0, 1, 3])):
        path = write(os.path.join(tmp, "l.sc"), f"graph @g(%x: {t}[n,2], %k: {t}[m]) -> (%y) {{\n"
                     f"  %y = lookup %x, %k : i64[n,2] from \"find\"\n}}\n")
        rewrite(path, out)
        for k in (keys, []):
            feeds = {"x": np.array(values, dtype).reshape(2, 2), "k": np.array(k, dtype)}
            both = [run(out, feeds)] + ([ours(path, feeds, tmp)] if dtype != object else [])
            assert all(y["y"].ravel().tolist() == (want if k else [0] * 4) for y in both), (t, k, both)


def differences(tmp):
    first, other = (os.path.join(tmp, n + ".sc") for n in "ab")
    for path, stage in ((first, "scalify"), (other, "settle")):
        scalec("dump", MNIST, "--recipe", "fp8", "--stage", stage, "-o", path)
    assert "0 differences, 0 nodes only in A, 0 only in B" in scalec("diff", first, first)
    said = scalec("diff", first, other, status=3)
    assert "~ %ReLU32_Output_0 = relu from \"ReLU32\": exponent" in said, said
    assert "\n+ " in said and "\n- " in said and "~ %Parameter5 = const" in said and "type f32[8,1,5,5] -> f8e4m3fn" in said
    j = json.loads(scalec("diff", first, other, "--json", status=3))
    assert {n["kind"] for n in j["nodes"]} == {"only_a", "only_b", "changed"} and j["same"] > 0
    digit = os.path.join(SOURCE, "tests", "model", "data", "digits", "3.npy")
    said = scalec("diff", first, other, "--data", digit, status=3)
    assert "output Plus214_Output_0: SQNR " in said
    assert re.search(r"\n[1-9][0-9]* values of both by name, 0 of them equal\nfirst that differs: %Plus30_Output_0 = conv: "
                     r"SQNR [0-9.]+ dB", said), said
    assert "differs most: %" in said and "\nvalue %" not in said
    assert "\nvalue %ReLU32_Output_0 = relu: SQNR " in scalec("diff", first, other, "--data", digit, "--verbose", status=3)
    values = json.loads(scalec("diff", first, other, "--data", digit, "--json", status=3))["values"]
    assert any(v["name"] == "ReLU32_Output_0" and v["sqnr"] > 10 for v in values)
    written = rewrite(MNIST, os.path.join(tmp, "m.onnx"), "--recipe", "fp8")
    said = scalec("diff", other, written, "--stage", "settle", "--data", digit)
    assert "output Plus214_Output_0: equal" in said and " of both by name, 0 of them equal" not in said
    assert not re.search(r"blob \S+ (\w{16}) -> \S+ \1\n", said)  # the same data by another name
    scalec("diff", first, other, "--data", digit, "--rtol", "1", "--atol", "100")
    twice = "graph @g(%x: f32[4]) -> (%y) {{\n  %h = relu %x : f32[4]\n  %h~2 = {} %h : f32[4]\n  %y = exp %h~2 : f32[4]\n}}\n"
    neg, abs_ = (write(os.path.join(tmp, op + ".sc"), twice.format(op)) for op in ("neg", "abs"))
    x = os.path.join(tmp, "x.npy")
    np.save(x, np.float32([-1, 2, 3, -4]))
    assert "3 values of both by name, 3 of them equal\noutput y: equal" in scalec("diff", neg, neg, "--data", x)
    said = scalec("diff", neg, abs_, "--data", x, status=3)
    assert "3 values of both by name, 1 of them equal\nfirst that differs: %h~2 = neg" in said, said
    assert "equal" in scalec("diff", MNIST, MNIST, "--data", digit, "--stage", "raise")
    assert "two arguments are needed" in failing("diff", MNIST, status=2)


def what_is_refused(tmp):
    copy = write(os.path.join(tmp, "m.onnx"), open(MNIST, "rb").read())
    assert "E0111" in failing("rewrite", copy, "-o", copy) and open(copy, "rb").read() == open(MNIST, "rb").read()
    assert "-o OUT" in failing("rewrite", MNIST, status=2)
    assert "qdq or cast" in failing("rewrite", MNIST, "-o", "x.onnx", "--profile", "x", status=2)
    text = write(os.path.join(tmp, "s.sc"), "graph @g(%x: string[4], %d: string[]) -> (%y) {\n"
                 "  %y = string_parts %x, %d {most = -1} : i64[4] from \"far\"\n}\n")
    said = failing("rewrite", text, "-o", os.path.join(tmp, "y.onnx"))
    assert "E0117" in said and "far" in said and not os.path.exists(os.path.join(tmp, "y.onnx"))


run_all("tools-rewrite", [models_agree, fp8_is_stored, names_stay, every_fp8_type, symbols_stay, sizes_that_data_says,
                          control_flow, half_models, newer_types_need_newer_opsets,
                          outputs_that_are_stored_too, data_beside, stages_are_models, read_back,
                          extents_come_back, qdq_by_others, blocks_are_read_as_blocks, exponents_of_a_run, states_are_pairs, strings,
                          keys_that_a_run_gives, differences, what_is_refused])
