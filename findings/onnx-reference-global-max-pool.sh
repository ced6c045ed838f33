#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# onnx 1.23.2's reference evaluator, GlobalMaxPool of an x with one or three spatial dims: it takes the maximum over
# other axes than the spatial ones, without a word, so that [2,3,8] gives [2,1] (the channels are gone) and
# [2,3,2,2,2] six dims. GlobalAveragePool there, and both in ONNX Runtime 1.32.0, give what ONNX says: [N, C, 1, ...].
# Seen:
#     GlobalMaxPool [2,3,8]: reference [2,1], onnxruntime [2,3,1]
#     GlobalMaxPool [2,3,4,2]: reference [2,3,1,1], onnxruntime [2,3,1,1]
#     GlobalMaxPool [2,3,2,2,2]: reference [2,3,2,1,1,1], onnxruntime [2,3,1,1,1]
#     GlobalAveragePool [2,3,8]: reference [2,3,1], onnxruntime [2,3,1]
# The reference is what other software is often tested against: for audio (one spatial dim) and volumes (three)
# ReduceMax over the axes from 2 on is the same operator, and right there.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"$tmp/venv/bin/python" - >"$tmp/seen" <<'PY'
import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper
from onnx.reference import ReferenceEvaluator


def text(y):
    return "[" + ",".join(map(str, y.shape)) + "]"


for op, shape in (("GlobalMaxPool", (2, 3, 8)), ("GlobalMaxPool", (2, 3, 4, 2)), ("GlobalMaxPool", (2, 3, 2, 2, 2)),
                  ("GlobalAveragePool", (2, 3, 8))):
    graph = helper.make_graph([helper.make_node(op, ["x"], ["y"])], "g",
                              [helper.make_tensor_value_info("x", 1, shape)],
                              [helper.make_tensor_value_info("y", 1, shape[:2] + (1,) * (len(shape) - 2))])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    reference = ReferenceEvaluator(model).run(None, {"x": x})[0]
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    print(f"{op} {text(x)}: reference {text(reference)}, onnxruntime {text(session.run(None, {'x': x})[0])}")
PY
cat "$tmp/seen"
cat >"$tmp/want" <<'EOF'
GlobalMaxPool [2,3,8]: reference [2,1], onnxruntime [2,3,1]
GlobalMaxPool [2,3,4,2]: reference [2,3,1,1], onnxruntime [2,3,1,1]
GlobalMaxPool [2,3,2,2,2]: reference [2,3,2,1,1,1], onnxruntime [2,3,1,1,1]
GlobalAveragePool [2,3,8]: reference [2,3,1], onnxruntime [2,3,1]
EOF
cmp "$tmp/seen" "$tmp/want" && echo "as stated"
