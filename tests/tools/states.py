# SPDX-License-Identifier: Apache-2.0
"""--state: a decoder that is asked token by token keeps its cache in the program. The same model,
its cache an input and an output, is evaluated beside it."""
import json
import os
import re
import subprocess
import sys

import numpy as np
from onnx import TensorProto, helper, load, numpy_helper, save

sys.path.insert(0, os.path.dirname(__file__))
from command import failing, run_all  # noqa: E402
from scalec import SCALEC, scalec  # noqa: E402

LAYERS, HEADS, D = 2, 2, 8
RULE = "present.*=past.*"


def decoder(tmp, keys=64):
    """x [1, s, 16] and for each layer keys and values [1, 2, p, 8] of the past. keys: their size, so that what the probe
    measures moves exponents."""
    rng = np.random.default_rng(3)
    width = HEADS * D
    nodes, init, inputs, outputs = [], [], [], []

    def node(op, ins, out, **attr):
        nodes.append(helper.make_node(op, ins, [out], name=out, **attr))
        return out

    def const(name, a):
        init.append(numpy_helper.from_array(np.asarray(a), name))
        return name

    def port(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    heads, flat = const("heads", [1, -1, HEADS, D]), const("flat", [1, -1, width])
    x = "x"
    for i in range(LAYERS):
        part = {}
        for k in ("q", "key", "value"):
            size = keys if k == "key" else 1 / 4
            w = const(f"{k}{i}.w", (rng.standard_normal((width, width)) * size).astype(np.float32))
            y = node("MatMul", [x, w], f"{k}{i}.y")
            part[k] = node("Transpose", [node("Reshape", [y, heads], f"{k}{i}.r")], f"{k}{i}.t",
                           perm=[0, 2, 1, 3])
        for k in ("key", "value"):
            inputs.append(port(f"past.{i}.{k}", [1, HEADS, "p", D]))
            outputs.append(port(f"present.{i}.{k}", [1, HEADS, "all", D]))
            part[k] = node("Concat", [f"past.{i}.{k}", part[k]], f"present.{i}.{k}", axis=2)
        turned = node("Transpose", [part["key"]], f"kt{i}", perm=[0, 1, 3, 2])
        scores = node("Softmax", [node("MatMul", [part["q"], turned], f"s{i}")], f"p{i}", axis=-1)
        mixed = node("Transpose", [node("MatMul", [scores, part["value"]], f"m{i}")], f"mt{i}",
                     perm=[0, 2, 1, 3])
        x = node("Add", [x, node("Reshape", [mixed, flat], f"mr{i}")], f"x{i}")
    node("Identity", [x], "y")
    g = helper.make_graph(nodes, "g", [port("x", [1, "s", width])] + inputs,
                          [port("y", [1, "s", width])] + outputs, init)
    m = helper.make_model(g, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = os.path.join(tmp, "decoder.onnx")
    save(m, path)
    return path, [i.name for i in inputs]


def run(exe, tmp, *args, status=0):
    p = subprocess.run([exe, *args], capture_output=True, text=True, cwd=tmp)
    assert p.returncode == status, (args, p.returncode, p.stdout, p.stderr)
    return p.stderr


def near(got, want):
    assert got.shape == want.shape and np.allclose(got, want, 1e-4, 1e-5), np.abs(got - want).max()


def decodes(tmp):
    path, past = decoder(tmp)
    exe, rng = os.path.join(tmp, "decoder"), np.random.default_rng(5)
    scalec("compile", path, "--state", RULE, "--state-capacity", "12", "-o", exe)
    cache = {n: np.zeros((1, HEADS, 0, D), np.float32) for n in past}
    step, first = os.path.join(tmp, "step.npz"), True
    for tokens in (4, 1, 1, 3, 1):
        x = rng.standard_normal((1, tokens, HEADS * D)).astype(np.float32)
        np.savez(step, x=x, **cache)
        scalec("run", path, "-i", step, "--evaluate", "-o", os.path.join(tmp, "want.npz"))
        want = np.load(os.path.join(tmp, "want.npz"))
        cache = {n: want[n.replace("past", "present")] for n in past}
        np.save(os.path.join(tmp, "x.npy"), x)
        load = [] if first else ["--state-load", "states.npz"]
        run(exe, tmp, "-i", "x=x.npy", *load, "--state-save", "states.npz", "-o", "y.npy")
        near(np.load(os.path.join(tmp, "y.npy")), want["y"])
        held = np.load(os.path.join(tmp, "states.npz"))
        for n in past:
            near(held[n], cache[n])
        first = False
    np.save(os.path.join(tmp, "x.npy"), np.zeros((1, 3, HEADS * D), np.float32))
    said = run(exe, tmp, "-i", "x=x.npy", "--state-load", "states.npz", status=1)
    assert "state 'past.0.key' would have 13 along dimension 2, and has room for 12" in said, said
    said = run(exe, tmp, "-i", "x=x.npy", "--state-save", "new.npz", "-o", "./new.npz", status=2)
    assert "are one file" in said and not os.path.exists(os.path.join(tmp, "new.npz")), said


def compiles_small(tmp):
    """The cache is written in place, nothing is cast anew, and layers share their code."""
    path, past = decoder(tmp)
    for recipe in ("f32", "fp8"):
        text = scalec("dump", path, "--state", RULE, "--recipe", recipe)
        kernels = re.findall(r"^; k\d+ .*", text, re.M)
        own = [k for k in kernels if "(the code of" not in k]
        assert len(own) < len(kernels) * 0.7, text
        appends = [k for k in kernels if ": concat: 2 operands" in k]
        assert len(appends) == len(past) and all("no code" in k for k in appends), text
        assert not re.search(r"kernel %\"?present.*f8e4m3fn\[1,2,p\+s", text), text


def caches_are_stored_low(tmp):
    """In a recipe's format, the new part alone is cast; what is above its range is warned of."""
    path, past = decoder(tmp, 1 / 4)
    x = np.random.default_rng(7).standard_normal((1, 9, HEADS * D)).astype(np.float32)

    def steps(exe, kept):
        y, load = [], []
        for a, b in ((0, 4), (4, 5), (5, 8), (8, 9)):
            np.save(os.path.join(tmp, "x.npy"), x[:, a:b])
            run(exe, tmp, "-i", "x=x.npy", *load, "--state-save", kept, "-o", "y.npy")
            y.append(np.load(os.path.join(tmp, "y.npy"))[0])
            load = ["--state-load", kept]
        return np.concatenate(y)
    plain = os.path.join(tmp, "plain")
    scalec("compile", path, "--state", RULE, "-o", plain)
    want = steps(plain, "f32.npz")
    for fmt, least, width in (("f16", 60, 2), ("f8e4m3fn", 24, 1), ("f8e5m2", 18, 1)):
        for base, floor in (("f32", least), ("f8e4m3fn", min(least, 18))):
            recipe = os.path.join(tmp, "r.recipe")
            with open(recipe, "w") as f:
                f.write(f"activation = {base}\nweight = {base}\ncache = {fmt}\n")
            exe = os.path.join(tmp, "low")
            scalec("compile", path, "--state", RULE, "--recipe", recipe, "-o", exe)
            noise = steps(exe, "low.npz") - want
            db = 10 * np.log10((want ** 2).sum() / (noise ** 2).sum())
            assert floor < db < 20 * least, (fmt, base, db)
            with np.load(os.path.join(tmp, "low.npz")) as held:
                assert all(held[n].shape == (1, HEADS, 9, D) and held[n].itemsize == width for n in past), fmt
            said = run(exe, tmp, "-i", "x=x.npy", "--state-load", "f32.npz", status=1)
            assert f"state 'past.0.key' is f32, not {fmt}" in said, said
            text = scalec("dump", path, "--state", RULE, "--recipe", recipe)
            appends = [k for k in re.findall(r"^; k\d+ .*", text, re.M) if ": concat: 2 operands" in k]
            assert len(appends) == len(past) and all("no code" in k for k in appends), text
            assert not re.search(r"kernel .*: f32\[1,2,p\+s,8\]", text), text
    with open(recipe, "w") as f:
        f.write("cache = f8e4m3fn\n")
    for keys in (1 / 4, 64):
        dump = [SCALEC, "dump", decoder(tmp, keys)[0], "--state", RULE, "--recipe", recipe]
        said = subprocess.run(dump, capture_output=True, text=True)
        assert said.returncode == 0 and ("present.0.key holds numbers" in said.stderr) == (keys > 1), said.stderr
    said = subprocess.run([SCALEC, "dump", path, "--recipe", recipe], capture_output=True, text=True).stderr
    assert "no state grows by what is appended to it" in said, said


GROWS = """graph @cache(%x: f32[1,8], %k: f32[s,8]) -> (%y, %all) {
  state @past (%past: f32[p,8] up to p = 64 -> %all)
  state @saturated.past (%n: f32[1] -> %m)
  %m = neg %n : f32[1]
  %all = concat %past, %k {axis = 0} : f32[p+s,8]
  %1 = transpose %all {perm = [1,0]} : f32[8,p+s]
  %s = matmul %x, %1 : f32[1,p+s]
  %y = matmul %s, %all : f32[1,8]
}
"""


def outputs_grow_with_states(tmp):
    """Over repeated runs; a benchmark goes on where a state is full; what a cache clips is counted, though the model has a
    state of such a name itself."""
    text, recipe, exe = (os.path.join(tmp, f) for f in ("grows.sc", "c.recipe", "grows"))
    with open(text, "w") as f:
        f.write(GROWS)
    np.savez(os.path.join(tmp, "in.npz"), x=np.ones((1, 8), np.float32), k=np.full((2, 8), 1e4, np.float32))
    scalec("compile", text, "-o", exe)
    run(exe, tmp, "-i", "in.npz", "--repeat", "31", "-o", "out.npz")
    assert np.load(os.path.join(tmp, "out.npz"))["all"].shape == (62, 8)
    assert "has room for 64" in run(exe, tmp, "-i", "in.npz", "--repeat", "33", status=1)
    timed = json.loads(subprocess.run([exe, "-i", "in.npz", "--bench", "--json"], cwd=tmp, check=True, capture_output=True).stdout)
    assert timed["runs"] > 32, timed
    with open(recipe, "w") as f:
        f.write("cache = f8e4m3fn\n")
    scalec("compile", text, "--recipe", recipe, "--saturations", "--verify", "-o", exe)
    out = json.loads(subprocess.run([exe, "-i", "in.npz", "--json", "--saturations"], cwd=tmp, check=True, capture_output=True).stdout)
    assert out["saturations"] == [{"tensor": "k", "saturated": 16, "elements": 16}], out
    with open(recipe, "w") as f:
        f.write('cache = f8e4m3fn\nsite "p*st" format=f32\n')
    assert "f8e4m3fn" not in scalec("dump", text, "--recipe", recipe)


def two_entries(tmp):
    """Some tokens at once, then one at a time by code for one: as one entry does with all."""
    path, past = decoder(tmp)
    exe, rng = os.path.join(tmp, "two"), np.random.default_rng(6)
    scalec("compile", path, "--state", RULE, "--entry", "decode", "--dim", "decode:s=1", "-o", exe)
    x = rng.standard_normal((1, 6, HEADS * D)).astype(np.float32)
    for name, part in (("some", x[:, :4]), ("a", x[:, 4:5]), ("b", x[:, 5:])):
        np.save(os.path.join(tmp, name + ".npy"), part)
    keep = ["--state-load", "states.npz", "--state-save", "states.npz"]
    y = []
    for entry in ("main", "decode"):
        run(exe, tmp, "-i", "x=some.npy", "--state-save", "states.npz")
        run(exe, tmp, "-i", "x=a.npy", "--entry", entry, *keep)
        run(exe, tmp, "-i", "x=b.npy", "--entry", entry, *keep, "-o", "y.npy")
        y.append(np.load(os.path.join(tmp, "y.npy")))
    near(y[0], y[1])
    assert "[1,1,16]" in run(exe, tmp, "-i", "x=some.npy", "--entry", "decode", status=1)
    piped = os.path.join(tmp, "piped")  # standard input is read once for both
    with open(path, "rb") as model:
        scalec("compile", "-", "--state", RULE, "--entry", "decode", "--dim", "decode:s=1", "-o", piped, stdin=model)
    assert "[1,1,16]" in run(piped, tmp, "-i", "x=some.npy", "--entry", "decode", status=1)
    info = json.loads(subprocess.run([exe, "--info", "--json", "--entry", "decode"], check=True,
                                     capture_output=True, text=True).stdout)
    assert info["entry"] == "decode" and info["entries"] == ["main", "decode"], info
    assert len(info["states"]) == len(past) and info["info"]["entries"]["main"] == "decoder.onnx", info
    one = os.path.join(tmp, "one")
    scalec("compile", path, "--state", RULE, "-o", one)
    alone = json.loads(subprocess.run([one, "--info", "--json"], check=True, capture_output=True,
                                      text=True).stdout)
    assert info["weights_bytes"] < 1.1 * alone["weights_bytes"], (info, alone)
    recipe, other = os.path.join(tmp, "c.recipe"), os.path.join(tmp, "other.sc")
    with open(recipe, "w") as f:
        f.write('cache = f8e4m3fn\nlayer "nothing*" weight=f16\nsite "past" format=f8e4m3fn\n')
    with open(other, "w") as f:
        f.write("graph @g(%x: f32[2]) -> (%y) {\n  %y = neg %x : f32[2]\n}\n")
    grows, plays = os.path.join(tmp, "grows.sc"), os.path.join(tmp, "plays.sc")
    with open(grows, "w") as f:
        f.write(GROWS)
    with open(plays, "w") as f:  # what it holds is changed too
        f.write(GROWS.replace("%all = concat", "%c = concat").replace("%1 = ", "%all = neg %c : f32[p+s,8]\n  %1 = "))
    for pair in ((grows, other), (other, grows)):  # what one entry meets nobody is warned of; all else once
        p = subprocess.run([SCALEC, "compile", pair[0], "--entry", "b=" + pair[1], "--recipe", recipe, "-o", exe], capture_output=True, text=True)
        assert p.returncode == 0 and "cache = " not in p.stderr and 'site "' not in p.stderr, p.stderr
        assert p.stderr.count('layer "nothing*"') == 1, p.stderr
    p = subprocess.run([SCALEC, "compile", other, "--entry", "b=" + other, "--recipe", recipe, "-o", exe], capture_output=True, text=True)
    assert p.stderr.count("no state grows") == 1, p.stderr
    said = failing("compile", grows, "--entry", "b=" + plays, "--recipe", recipe, "-o", exe)
    assert 'state "past" stays in f32, since more is done to it' in said and "E0406" in said, said
    for entry in ("main", "=x.onnx", "a=", "a:b"):
        assert "--entry" in failing("compile", path, "--entry", entry, "-o", exe, status=2)
    said = failing("compile", path, "--state", RULE, "--entry", "d", "--dim", "d:q=1", "-o", exe, status=2)
    assert '"q"' in said or "'q'" in said, said


def first_contents(tmp):
    """An input of a pair that has an initializer is a state that begins with it; one that declares a
    symbol grows from there."""
    path, past = decoder(tmp)
    rng, exe, full = np.random.default_rng(7), os.path.join(tmp, "full"), os.path.join(tmp, "full.onnx")
    cache = {n: rng.standard_normal((1, HEADS, 3, D)).astype(np.float32) for n in past}
    m = load(path)
    m.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in cache.items())
    save(m, full)
    x = rng.standard_normal((1, 2, HEADS * D)).astype(np.float32)
    np.save(os.path.join(tmp, "x.npy"), x)
    np.savez(os.path.join(tmp, "all.npz"), x=x, **cache)
    scalec("run", path, "-i", os.path.join(tmp, "all.npz"), "--evaluate", "-o", os.path.join(tmp, "want.npz"))
    want = np.load(os.path.join(tmp, "want.npz"))
    for recipe in ("f32", "fp8-weights"):
        scalec("compile", full, "--state", RULE, "--state-capacity", "8", "--recipe", recipe, "-o", exe)
        run(exe, tmp, "-i", "x=x.npy", "-o", "y.npy", "--state-save", "held.npz")
        held = np.load(os.path.join(tmp, "held.npz"))
        for n in past:
            assert held[n].shape == (1, HEADS, 5, D), held[n].shape
            assert np.array_equal(held[n][:, :, :3], cache[n]), n
        if recipe == "f32":
            near(np.load(os.path.join(tmp, "y.npy")), want["y"])
    text = scalec("dump", full, "--state", RULE, "--stage", "import")
    assert "up to p = 2048 from 3" in text, text
    said = failing("compile", full, "--state", RULE, "--state-capacity", "2", "-o", exe, status=1)
    assert "contents that do not fit its shape, or its capacity, has state past.0.key" in said, said
    total = helper.make_graph(
        [helper.make_node("Add", ["was", "x"], ["sum"]), helper.make_node("Relu", ["was"], ["y"])],
        "g", [helper.make_tensor_value_info(n, TensorProto.FLOAT, [3]) for n in ("x", "was")],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [3]) for n in ("sum", "y")],
        [numpy_helper.from_array(np.float32([1, 2, 3]), "was")])
    save(helper.make_model(total, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
         os.path.join(tmp, "total.onnx"))
    np.save(os.path.join(tmp, "x.npy"), np.float32([10, 20, 30]))
    run_twice = scalec("run", os.path.join(tmp, "total.onnx"), "--state", "sum=was", "-i",
                       os.path.join(tmp, "x.npy"), "--repeat", "2", "-o", os.path.join(tmp, "y.npy"))
    assert np.array_equal(np.load(os.path.join(tmp, "y.npy")), [11, 22, 33]), run_twice
    said = failing("run", os.path.join(tmp, "total.onnx"), "--state", "sum=was", "-i", "was=" + os.path.join(tmp, "x.npy"), status=2)
    assert "no input 'was', but a state (--state-load); it has: x" in said, said
    total.initializer[0].CopyFrom(numpy_helper.from_array(np.float32([100, 200, 300]), "was"))  # far from RMS 1
    save(helper.make_model(total, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), os.path.join(tmp, "far.onnx"))
    np.savez(os.path.join(tmp, "x.npz"), x=np.float32([10, 20, 30]))
    scalec("run", os.path.join(tmp, "far.onnx"), "--state", "sum=was", "--recipe", "fp8", "--calibrate", os.path.join(tmp, "x.npz"),
           "-i", os.path.join(tmp, "x.npz"), "--repeat", "2", "-o", os.path.join(tmp, "y.npy"))
    assert np.array_equal(np.load(os.path.join(tmp, "y.npy")), [110, 220, 330])


def says_what_is_wrong(tmp):
    path, _ = decoder(tmp)

    def said(rule):
        return failing("dump", path, "--state", rule, status=2)
    assert 'there is no output "pre.*"' in said("pre.*=past.*")
    assert 'there is no input "gone.0.key" for output "present.0.key"' in said("present.*=gone.*")
    assert 'output "y", f32[1,s,16], is no next value of input "past.0.key"' in said("y=past.0.key")
    again = failing("dump", path, "--state", RULE, "--state", "present.0.key=past.0.value", status=2)
    assert 'input "past.0.value" has two next values' in again, again
    for rule in ("present", "=past", "present.*=past", "a*b*=c*d*"):
        assert "--state" in failing("dump", path, "--state", rule, status=2)


run_all("tools-states", [decodes, compiles_small, caches_are_stored_low, outputs_grow_with_states, two_entries, first_contents, says_what_is_wrong])
