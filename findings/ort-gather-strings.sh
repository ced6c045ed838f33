#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ONNX Runtime 1.32.0 (CPU), Gather of strings: of each slice behind the axis the first element is copied, the others
# are empty, without an error; onnx.checker takes the model. Numbers are copied whole, and so are strings where nothing
# lies behind the axis. Seen, of ["a", "b"; "c", "d"; "e", "f"] and indices 2, 0 (numbers: 1 to 6):
#     strings, axis 0: e . a .
#     strings, axis 1, indices 1, 0: b a d c f e
#     numbers, axis 0: 5 6 1 2
# Who gathers rows of strings gathers along the last axis, after a Transpose, or in flat indices.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check onnx==1.22.0 onnxruntime==1.32.0 numpy==2.4.6
"$tmp/venv/bin/python" - >"$tmp/seen" <<'PY'
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

ort.set_default_logger_severity(2)
strings = np.array([["a", "b"], ["c", "d"], ["e", "f"]], object)
numbers = np.array([[1, 2], [3, 4], [5, 6]], np.int64)
for name, x, t, axis, at in (("strings, axis 0", strings, TensorProto.STRING, 0, [2, 0]),
                             ("strings, axis 1, indices 1, 0", strings, TensorProto.STRING, 1, [1, 0]),
                             ("numbers, axis 0", numbers, TensorProto.INT64, 0, [2, 0])):
    y = [3, 2]
    y[axis] = 2
    graph = helper.make_graph([helper.make_node("Gather", ["x", "at"], ["y"], axis=axis)], "g",
                              [helper.make_tensor_value_info("x", t, [3, 2]), helper.make_tensor_value_info("at", TensorProto.INT64, [2])],
                              [helper.make_tensor_value_info("y", t, y)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    got = session.run(None, {"x": x, "at": np.array(at)})[0]
    print(f"{name}:", *(str(e) or "." for e in got.ravel()))
PY
cat "$tmp/seen"
cat >"$tmp/want" <<'EOF'
strings, axis 0: e . a .
strings, axis 1, indices 1, 0: b a d c f e
numbers, axis 0: 5 6 1 2
EOF
cmp "$tmp/seen" "$tmp/want" && echo "as stated"
