# SPDX-License-Identifier: Apache-2.0
"""What the cases of cases.py are made with: a case is one call of `case`, with what is special in its name."""

import os

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

ROOT = os.path.join(os.environ["SCT_BUILD"], "cases")
F32, I64 = np.float32, np.int64
CODE = {np.dtype(t): helper.np_dtype_to_tensor_dtype(np.dtype(t)) for t in
        ("f4", "f8", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "bool")}
CODE[np.dtype(object)] = TensorProto.STRING
made = set()


def node(op, inputs, outputs="y", **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def ints(*x):
    return np.array(x, I64)


def ramp(*shape, dtype=F32, by=1.0):
    """Numbers around 0, no two alike."""
    count = int(np.prod(shape, dtype=int))
    return ((np.arange(count) - count // 2) * by).reshape(shape).astype(dtype)


def beside(model, inputs):
    """What ONNX Runtime gives, for `want`."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip((o.name for o in session.get_outputs()), session.run(None, inputs)))


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
    want: expected outputs, or what makes them of model and inputs; words: of the error that the model must end in."""
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
    if callable(want):
        want = want(model, inputs)
    if want is None and not words:
        found = ReferenceEvaluator(model).run(None, inputs)
        want = dict(zip((o.name for o in graph.output), map(np.asarray, found)))
    if declare:
        graph.output[0].CopyFrom(helper.make_tensor_value_info(graph.output[0].name, *declare))
        model.graph.CopyFrom(graph)
    return write(name, model, inputs, want, words)
