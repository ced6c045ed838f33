# SPDX-License-Identifier: Apache-2.0
"""Everything that the README says that a recipe may say, by what it does to a model that has a node for each example."""
import json
import os
import re
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, os.path.dirname(__file__))
from command import SOURCE, run_all, write  # noqa: E402
from scalec import scalec  # noqa: E402

FP8 = "activation = f8e4m3fn\nweight = f8e4m3fn\nscale = tensor\n"
FORMATS = ["f32", "f16", "bf16", "f8e4m3fn", "f8e5m2", "f8e4m3fnuz", "f8e5m2fnuz"]
BY_BLOCK = ["f6e2m3", "f6e3m2", "f4e2m1"]


def readme():
    """The lines of the recipe, without what is said of them; and that."""
    with open(os.path.join(SOURCE, "README.md")) as f:
        block = re.search(r"```\n(name = careful.*?)```", f.read(), re.S).group(1)
    lines = [re.split(r"\s*;", line, maxsplit=1) for line in block.strip().split("\n")]
    return [line[0] for line in lines if line[0]], " ".join(line[-1] for line in lines)


def model(tmp):
    rng = np.random.default_rng(4)
    f = TensorProto.FLOAT
    w = {n: (rng.standard_normal(s) / np.sqrt(s[0])).astype(np.float32)
         for n, s in (("w1", (64, 64)), ("w2", (64, 64)), ("w3", (64, 64)), ("b1", (64,)), ("k", (4, 1, 3, 3)))}

    def node(op, ins, name, out=None, **attr):
        return helper.make_node(op, ins, [out or name], name=name, **attr)
    nodes = [node("MatMul", ["x", "w1"], "a/proj"), node("Add", ["a/proj", "b1"], "a/bias"),
             node("Add", ["a/bias", "x"], "a/Add"), node("Relu", ["a/Add"], "a/Relu", "a/gelu"),
             node("MatMul", ["a/gelu", "w2"], "a/fc2"), node("MatMul", ["a/fc2", "w3"], "head/out"),
             node("Conv", ["image", "k"], "a/dw1", pads=[1] * 4, group=4)]
    g = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", f, ["n", 64]),
                                       helper.make_tensor_value_info("image", f, [1, 4, 8, 8])],
                          [helper.make_tensor_value_info("head/out", f, ["n", 64]),
                           helper.make_tensor_value_info("a/dw1", f, [1, 4, 8, 8])],
                          [numpy_helper.from_array(a, n) for n, a in w.items()])
    path = os.path.join(tmp, "m.onnx")
    onnx.save(helper.make_model(g, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


class Dump:
    """The model as a recipe leaves it."""

    def __init__(self, tmp, text, stage="settle"):
        self.recipe = write(os.path.join(tmp, "r.recipe"), text)
        args = ("dump", model(tmp), "--recipe", self.recipe, "--stage", stage)
        self.text, self.node = scalec(*args), json.loads(scalec(*args, "--json"))["nodes"]
        self.type = {o["name"]: o["dtype"] for n in self.node for o in n["out"]}

    def operands(self, name):
        """Types of what the product from ONNX node `name` reads."""
        at = [n for n in self.node if n["op"] in ("matmul", "conv", "block_matmul") and name in str(n.get("from"))]
        assert len(at) == 1, (name, self.text)
        return [self.type[x] for x in at[0]["in"][:2]]

    def count(self, op):
        return sum(n["op"] == op for n in self.node)


def the_whole_of_it(tmp):
    lines, _ = readme()
    keys = [re.match(r"\w+", line).group() for line in lines]
    assert {"name", "activation", "weight", "scale", "bias", "cache", "rows", "round", "scales", "window", "margin", "rescale",
            "layer", "site"} == set(keys), keys
    d = Dump(tmp, "\n".join(lines))
    assert d.operands("a/fc2") == ["f8e5m2", "f32"] and d.operands("head/out") == ["f8e4m3fn", "f16"], d.text
    for name in ("a/proj", "a/dw1"):
        assert d.operands(name) == ["f8e4m3fn"] * 2, d.text
    out, given = os.path.join(tmp, "model"), os.path.join(tmp, "x.npz")
    scalec("compile", os.path.join(tmp, "m.onnx"), "--recipe", d.recipe, "-o", out)
    np.savez(given, x=np.ones((3, 64), np.float32), image=np.ones((1, 4, 8, 8), np.float32))
    assert "careful" in subprocess.run([out, "--info"], capture_output=True, text=True).stdout
    assert subprocess.run([out, "-i", given]).returncode == 0


def formats(tmp):
    _, said = readme()
    assert all(t in said for t in FORMATS + BY_BLOCK), said
    for t in FORMATS:
        assert Dump(tmp, f"activation = {t}\nweight = f32\n").operands("a/proj")[0] == t
        assert Dump(tmp, f"activation = f32\nweight = {t}\n").operands("a/proj")[1] == t
    for t in BY_BLOCK:
        assert f": {t}[" in Dump(tmp, f"activation = f32\nweight = {t}\nscale = block\n").text, t


def granularity(tmp):
    tensor, channel, block = (Dump(tmp, FP8.replace("tensor", s)) for s in ("tensor", "channel", "block"))
    assert block.count("block_matmul") == 3 and channel.count("block_matmul") == tensor.count("block_matmul") == 0
    assert channel.count("mul") > tensor.count("mul"), channel.text


def settings(tmp):
    base = Dump(tmp, FP8)
    for line in ("bias = corrected", "round = growth", "scales = static", "cache = f32"):  # the defaults
        assert Dump(tmp, FP8 + line).text == base.text, line
    for line in ("bias = kept", "round = down"):
        assert Dump(tmp, FP8 + line).text != base.text, line
    assert base.count("measure") == 0
    for source in ("dynamic", "dynamic-rows", "delayed"):
        d = Dump(tmp, f"{FP8}scales = {source}")
        assert d.count("measure") or "quantize_rows" in d.text or "amax" in d.text, (source, d.text)
    small = FP8.replace("tensor", "block").replace("weight = f8e4m3fn", "weight = f4e2m1")
    for line, bits in (("", 8), ("rows = i8", 8), ("rows = i16", 16), ("rows = f32", 0)):
        assert Dump(tmp, small + line).text.count(f"a_bits = {bits}") == (3 if bits else 0), (line, Dump(tmp, small + line).text)
    delayed = Dump(tmp, f"{FP8}scales = delayed\n").text
    assert delayed == Dump(tmp, f"{FP8}scales = delayed\nwindow = 16\nmargin = 1\n").text
    for line in ("window = 3", "margin = 4"):
        assert delayed != Dump(tmp, f"{FP8}scales = delayed\n{line}\n").text, line
    assert Dump(tmp, FP8 + 'rescale "*/Add"', "scalify").count("measure") == 1


def layers(tmp):
    d = Dump(tmp, FP8 + 'layer "head/*" weight=f16')
    assert d.operands("head/out") == ["f8e4m3fn", "f16"] and d.operands("a/fc2") == ["f8e4m3fn"] * 2
    d = Dump(tmp, FP8 + 'layer "*" weight=f8e5m2\nlayer "*/proj" weight=f8e4m3fn activation=f8e5m2')
    assert d.operands("a/proj") == ["f8e5m2", "f8e4m3fn"] and d.operands("a/fc2") == ["f8e4m3fn", "f8e5m2"]
    d = Dump(tmp, FP8 + 'layer "*/proj" scales=dynamic')
    assert d.count("measure") == 1
    channel = FP8.replace("tensor", "channel")
    assert Dump(tmp, channel + 'layer "*/dw*" scale=tensor').count("mul") < Dump(tmp, channel).count("mul")


def sites(tmp):
    d = Dump(tmp, FP8 + 'layer "*" activation=f16\nsite "*/gelu" format=f8e5m2\nlayer "a/fc2" activation=f32')
    assert d.operands("a/fc2") == ["f8e5m2", "f8e4m3fn"] and d.operands("head/out")[0] == "f16", d.text
    d = Dump(tmp, FP8 + 'site "w*" format=f8e5m2\nsite "w2" format=f32')
    assert [d.operands(n)[1] for n in ("a/proj", "a/fc2", "head/out")] == ["f8e5m2", "f32", "f8e5m2"], d.text
    assert [d.operands(n)[0] for n in ("a/proj", "a/fc2", "head/out")] == ["f8e4m3fn"] * 3, d.text
    d = Dump(tmp, FP8 + 'scales = dynamic\nsite "*/gelu" format=bf16')
    assert d.operands("a/fc2")[0] == "bf16" and d.count("measure") == 3, d.text
    d = Dump(tmp, FP8.replace("tensor", "block") + 'site "w2" format=f8e5m2\nsite "*/gelu" format=f32')
    assert d.operands("a/fc2") == ["f32", "f8e5m2"] and d.count("quantize") == 2, d.text


run_all("tools-recipes", [the_whole_of_it, formats, granularity, settings, layers, sites])
