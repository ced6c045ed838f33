# SPDX-License-Identifier: Apache-2.0
"""Operators of opsets 1 to 6, which no runtime of today has: expected values are written out."""

import numpy as np
import onnx
from onnx import helper

from case_kit import F32, beside, case, node, ramp

OLD = {"opset": 6, "ir": 3}


def legacy():
    x, dims = ramp(2, 3, 4, by=0.25), {"x": ["n", 3, 4]}
    for op, f in (("Add", np.add), ("Sub", np.subtract), ("Mul", np.multiply), ("Div", np.divide)):
        b = ramp(3, by=2) + F32(7)
        case(f"legacy-{op}", node(op, "x b", broadcast=1, axis=1), {"x": x}, {"b": b}, want={"y": f(x, b[:, None])}, dims=dims, **OLD)
    b = ramp(3, 4)
    case("legacy-last", node("Add", "x b", broadcast=1), {"x": x}, {"b": b}, want={"y": x + b}, dims=dims, **OLD)
    case("legacy-first", node("Mul", "x b", broadcast=1, axis=-3), {"x": x}, {"b": ramp(2, 3)}, want={"y": x * ramp(2, 3)[:, :, None]}, **OLD)
    case("legacy-one", node("Pow", "x b", broadcast=1), {"x": x}, {"b": F32([2])}, want={"y": x * x}, dims=dims, **OLD)
    case("legacy-too-far", node("Add", "x b", broadcast=1, axis=2), {"x": x}, {"b": ramp(3, 4)}, words="2 for ranks 3 and 2", **OLD)
    case("legacy-not-asked", node("Add", "x b"), {"x": x}, {"b": b}, words='ranks 3 and 2, and "broadcast" is 0', **OLD)
    case("legacy-unlike", node("Add", "x b"), {"x": x}, {"b": ramp(1, 3, 4)}, words="extents of the operands", **OLD)
    case("legacy-less", node("Less", "x b", broadcast=1, axis=0), {"x": x}, {"b": F32([0, 1])}, want={"y": x < F32([0, 1])[:, None, None]}, **OLD)
    case("legacy-unary", [node("Abs", "x", "a", consumed_inputs=[0]), node("Sqrt", "a", consumed_inputs=[0])], {"x": x}, want={"y": np.sqrt(abs(x))},
         opset=1, ir=3)
    case("legacy-sum", [node("Sum", "x x x", "s", consumed_inputs=[0, 0, 0]), node("Max", "s x")], {"x": x}, want={"y": np.maximum(3 * x, x)},
         opset=1, ir=3)
    slope = F32([0.5, 0.25, 2])
    case("legacy-prelu", node("PRelu", "x s"), {"x": x}, {"s": slope}, want={"y": np.where(x < 0, x * slope[:, None], x)}, dims=dims, **OLD)
    stats = {k: F32([v, v + 1, v + 2]) for k, v in (("s", 1), ("b", 2), ("m", 0), ("v", 3))}
    s, b, m, v = (stats[k][:, None] for k in "sbmv")
    case("legacy-batchnorm", node("BatchNormalization", "x s b m v", is_test=1, epsilon=0.5), {"x": x}, stats, dims=dims,
         want={"y": (x - m) / np.sqrt(v + F32(0.5)) * s + b}, **OLD)
    mean, var = x.mean((0, 2), keepdims=True), x.var((0, 2), keepdims=True)
    case("legacy-batchnorm-trains", node("BatchNormalization", "x s b m v", epsilon=0.5), {"x": x}, stats, dims=dims,
         want={"y": (x - mean) / np.sqrt(var + F32(0.5)) * s + b}, **OLD)
    case("legacy-dropout", node("Dropout", "x", "y m", is_test=1), {"x": x}, outputs="y m", want={"y": x, "m": np.ones_like(x)}, dims=dims, **OLD)
    case("legacy-concat", node("Concat", "x x"), {"x": x}, want={"y": np.concatenate([x, x], 1)}, dims=dims, opset=3, ir=3)
    case("legacy-cast", node("Cast", "x", to="INT32"), {"x": x}, want={"y": x.astype(np.int32)}, dims=dims, opset=5, ir=3)
    case("legacy-pad", node("Pad", "x", paddings=[0, 1, 0, 0, 0, 2], mode="reflect"), {"x": x}, dims=dims, opset=1, ir=3,
         want={"y": np.pad(x, ((0, 0), (1, 0), (0, 2)), "reflect")})
    case("legacy-tile", node("Tile", "x t a"), {"x": x}, {"t": F32([3]), "a": F32([1])}, dims=dims, opset=5, ir=3,
         want={"y": np.tile(x, (1, 3, 1))})
    case("legacy-tile-axis", node("Tile", "x t a"), {"x": x}, {"t": F32([3]), "a": F32([3])}, words="3 for rank 3", opset=5, ir=3)
    mean, var = x.mean(2, keepdims=True), x.var(2, keepdims=True)
    case("legacy-instancenorm", node("InstanceNormalization", "x s b", consumed_inputs=[0, 0, 0], epsilon=0.5), {"x": x},
         {k: stats[k] for k in "sb"}, dims=dims, want={"y": (x - mean) / np.sqrt(var + F32(0.5)) * s + b}, opset=5, ir=3)
    for op, gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4)):
        weights = {"w": ramp(1, 2 * gates, 4, by=0.05), "r": ramp(1, 2 * gates, 2, by=0.1)}
        now = helper.make_node(op, ["x", "w", "r"], ["y", "h"], hidden_size=2)
        old = helper.make_node(op, ["x", "w", "r"], ["y", "h"], hidden_size=2, output_sequence=1)

        def as_later(model, inputs, now=now):
            model = onnx.ModelProto.FromString(model.SerializeToString())
            model.graph.node[0].CopyFrom(now)
            model.opset_import[0].version = 7
            return beside(model, inputs)

        case(f"legacy-{op}", old, {"x": x}, weights, want=as_later, dims=dims, outputs="y h", **OLD)
    case("legacy-cast-unknown", node("Cast", "x", to="STRONG"), {"x": x}, words='"to" is "STRONG"', opset=5, ir=3)
