#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ONNX Runtime 1.32.0 (CPU), RNN with the activation "Affine" or "ScaledTanh" and no activation_alpha,
# activation_beta: both count as 0, so every output is 0, without a warning; onnx.checker takes the model.
# ONNX says that the defaults are those of the operator of that name, and for HardSigmoid (0.2, 0.5) ONNX
# Runtime does so. Seen, for one step of x = 0.5 and weights of 1:
#     Tanh: 0.462117
#     HardSigmoid: 0.600000
#     Affine: 0.000000
#     Affine, alpha 1, beta 0: 0.500000
#     ScaledTanh: 0.000000
#     ScaledTanh, alpha 1, beta 1: 0.462117
# Who writes such a network states alpha and beta.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check onnx==1.22.0 onnxruntime==1.32.0 numpy==2.4.6
"$tmp/venv/bin/python" - >"$tmp/seen" <<'PY'
import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

ort.set_default_logger_severity(2)
one = np.ones((1, 1, 1), np.float32)
for activation, alpha, beta in (("Tanh", None, None), ("HardSigmoid", None, None), ("Affine", None, None), ("Affine", 1.0, 0.0),
                                ("ScaledTanh", None, None), ("ScaledTanh", 1.0, 1.0)):
    given = {} if alpha is None else {"activation_alpha": [alpha], "activation_beta": [beta]}
    node = helper.make_node("RNN", ["x", "w", "r"], ["", "h"], hidden_size=1, activations=[activation], **given)
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", 1, [1, 1, 1])],
                              [helper.make_tensor_value_info("h", 1, [1, 1, 1])],
                              [numpy_helper.from_array(one, "w"), numpy_helper.from_array(one, "r")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    h = session.run(None, {"x": one / 2})[0].item()
    print(f"{activation}{'' if alpha is None else f', alpha {alpha:g}, beta {beta:g}'}: {h:.6f}")
PY
cat "$tmp/seen"
cat >"$tmp/want" <<'EOF'
Tanh: 0.462117
HardSigmoid: 0.600000
Affine: 0.000000
Affine, alpha 1, beta 0: 0.500000
ScaledTanh: 0.000000
ScaledTanh, alpha 1, beta 1: 0.462117
EOF
cmp "$tmp/seen" "$tmp/want" && echo "as stated"
