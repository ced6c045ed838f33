# SPDX-License-Identifier: Apache-2.0
"""Functions of the runtime, sizes that data decides and guards inside If, Loop and Scan."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from case_kit import F32, I64, beside, case, ints, node, ramp

CONSTS = {"two": ints(2), "zero": ints(0), "one": ints(1), "first": np.array(0, I64), "on0": np.array(True), "nought": F32(0),
          "rows": np.array([[0], [1]]), "marks": np.ones((2, 4), F32), "places": np.array([[0, 1, 1, 0]]),
          "more": np.full((1, 4), 9, F32), "many": ints(10), "overlap": F32([0.5]), "least": F32([0.1]), "two4": ints(2, 4)}

# from x [n,4] to r, floats of any shape
BODIES = {
    "topk": [node("TopK", "x two", "tv ti", axis=0), node("Cast", "ti", "tf", to=1), node("Add", "tv tf", "r")],
    "nonzero": [node("Relu", "x", "p"), node("NonZero", "p", "at"), node("Transpose", "at", "by"), node("GatherND", "p by", "r")],
    "scatternd": [node("ScatterND", "x rows marks", "r")],
    "scatterelements": [node("ScatterElements", "x places more", "r", axis=0, reduction="add")],
    "compress": [node("ReduceSum", "x one", "s", keepdims=0), node("Greater", "s nought", "c0"), node("Compress", "x c0", "r", axis=0)],
    "unique": [node("Floor", "x", "f"), node("Unique", "f", "r")],
    "nms": [node("Abs", "x", "a"), node("Unsqueeze", "a zero", "boxes"), node("Slice", "x zero one one", "s0"),
            node("Transpose", "s0", "s1"), node("Unsqueeze", "s1 zero", "scores"),
            node("NonMaxSuppression", "boxes scores many overlap least", "sel"), node("Cast", "sel", "r", to=1)],
    "guard": [node("Reshape", "x two4", "r")],
}


def value(name, dtype, dims):
    return helper.make_tensor_value_info(name, dtype, dims)


def graph(nodes, inputs, outputs):
    return helper.make_graph(nodes, "inner", inputs, [onnx.ValueInfoProto(name=o) for o in outputs.split()])


def bodies():
    rng = np.random.default_rng(5)
    x = {"x": rng.standard_normal((3, 4)).astype(F32)}
    turn = [value("turn", TensorProto.INT64, []), value("on", TensorProto.BOOL, []), value("v", TensorProto.FLOAT, ["n", 4])]
    row = [value("acc", TensorProto.FLOAT, []), value("x", TensorProto.FLOAT, ["n", 4])]
    for name, nodes in BODIES.items():
        # what x is to begin with must be [2,4] where it is reshaped so
        more = {"words": "and those of the shape asked for"} if name == "guard" else {}
        total = node("ReduceSum", "r", "q", keepdims=0)
        then = graph([*nodes, total], [], "q")
        for c in (True, False) if name != "guard" else (True,):
            case(f"body-if-{name}-{c}", node("If", "c", then_branch=then, else_branch=graph([node("ReduceSum", "x", "e", keepdims=0)], [], "e")),
                 {"c": np.array(c), **x}, CONSTS, dims={"x": ["n", 4]}, opset=18, **more)
        g = graph([node("Add", "v xx", "x"), *nodes, total, node("Tanh", "q", "h"), node("Add", "x h", "w"), node("Identity", "on", "on2")],
                  turn, "on2 w")
        case(f"body-loop-{name}", node("Loop", "t on0 xx", "y", body=g), {"t": np.array(3), "xx": x["x"]}, CONSTS,
             dims={"xx": ["n", 4]}, opset=18, **more)
        g = graph([*nodes, total, node("Add", "acc q", "sum"), node("Identity", "q", "q2")], row, "sum q2")
        case(f"body-scan-{name}", node("Scan", "nought xs", "a q", body=g, num_scan_inputs=1),
             {"xs": rng.standard_normal((2, 3, 4)).astype(F32)}, CONSTS, dims={"xs": ["s", "n", 4]}, outputs="a q", opset=18, **more)
    batched()


def batched():
    """Scan of opset 8: along axis 1 of each element of a batch."""
    g = graph([node("Add", "s a", "s1"), node("Mul", "s1 b", "y")], [value(k, 1, [3]) for k in "sab"], "s1 y")
    rng = np.random.default_rng(3)
    t = {"init": rng.standard_normal((2, 3)).astype(F32), "u": rng.standard_normal((2, 4, 3)).astype(F32),
         "v": rng.standard_normal((2, 4, 3)).astype(F32)}
    made = helper.make_node("Scan", ["", "init", "u", "v"], ["last", "all"], body=g, num_scan_inputs=2, directions=[0, 1])
    dims = {"init": ["n", 3], "u": ["n", "l", 3], "v": ["n", "l", 3]}
    case("scan8", made, t, want=beside, dims=dims, outputs="last all", opset=8, ir=3)
    case("scan8-lengths", helper.make_node("Scan", ["len", "init", "u", "v"], ["last", "all"], body=g, num_scan_inputs=2),
         {**t, "len": np.array([4, 3])}, dims=dims, outputs="last all", opset=8, ir=3, words="Scan of opset 8 with sequence_lens")
