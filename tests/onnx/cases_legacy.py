# SPDX-License-Identifier: Apache-2.0
"""Operators of opsets 1 to 6, which no runtime of today has: expected values are written out."""

import numpy as np

from case_kit import F32, case, node, ramp

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
    case("legacy-cast-unknown", node("Cast", "x", to="STRONG"), {"x": x}, words='"to" is "STRONG"', opset=5, ir=3)
