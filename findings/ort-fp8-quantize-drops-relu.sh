#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ONNX Runtime 1.32.0 (CPU), Relu in front of QuantizeLinear to FP8: with its optimizations, which are on
# by default, the Relu is deleted and negative numbers come through. For uint8 with zero point 0 the
# saturation of QuantizeLinear does what Relu did; FP8 has negative codes. int8 is done right. Seen, for
# x = -3, 3, scale 1, zero point 0:
#     uint8, optimized: 0 3
#     int8, optimized: 0 3
#     float8e4m3fn, not optimized: 0 3
#     float8e4m3fn, optimized: -3 3
#     float8e5m2, not optimized: 0 3
#     float8e5m2, optimized: -3 3
#     float8e4m3fn by output_dtype, optimized: 0 3
# Who writes such a model says the type by output_dtype (opset 21) and leaves the zero point out.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check onnx==1.22.0 onnxruntime==1.32.0 numpy==2.4.6
"$tmp/venv/bin/python" - >"$tmp/seen" <<'PY'
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])


def run(name, optimized, by_output_dtype=False):
    dtype = getattr(TensorProto, name.upper())
    zero = [] if by_output_dtype else [helper.make_tensor("zero", dtype, [], [0])]
    given = {"output_dtype": dtype} if by_output_dtype else {}
    operands = ["scale", *(t.name for t in zero)]
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("QuantizeLinear", ["r", *operands], ["q"], **given),
             helper.make_node("DequantizeLinear", ["q", *operands], ["y"])]
    graph = helper.make_graph(nodes, "g", [x], [y], [numpy_helper.from_array(np.float32(1), "scale"), *zero])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    options = ort.SessionOptions()
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimized else level.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    seen = session.run(None, {"x": np.array([-3, 3], np.float32)})[0]
    how = f"{' by output_dtype' if by_output_dtype else ''}, {'' if optimized else 'not '}optimized"
    print(f"{name}{how}: {seen[0]:g} {seen[1]:g}")


run("uint8", True)
run("int8", True)
for name in ("float8e4m3fn", "float8e5m2"):
    run(name, False)
    run(name, True)
run("float8e4m3fn", True, by_output_dtype=True)
PY
cat "$tmp/seen"
cat >"$tmp/want" <<'EOF'
uint8, optimized: 0 3
int8, optimized: 0 3
float8e4m3fn, not optimized: 0 3
float8e4m3fn, optimized: -3 3
float8e5m2, not optimized: 0 3
float8e5m2, optimized: -3 3
float8e4m3fn by output_dtype, optimized: 0 3
EOF
cmp "$tmp/seen" "$tmp/want" && echo "as stated"
