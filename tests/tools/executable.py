# SPDX-License-Identifier: Apache-2.0
"""The compiled executable as a tool of its own: proofs, labels, JSON, measurements without inputs."""
import json
import os
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, os.path.dirname(__file__))
from command import DIGIT, MNIST, model, run_all, write, write_tensor  # noqa: E402
from scalec import SCALEC, scalec  # noqa: E402


def tool(tmp):
    exe = os.path.join(tmp, "exe")
    scalec("compile", MNIST, "-o", exe)

    def run(*args, status=0):
        p = subprocess.run([exe, *args], capture_output=True, text=True)
        assert p.returncode == status, (args, p.returncode, p.stdout, p.stderr)
        return p.stdout if status in (0, 3) else p.stderr
    return run


def proves_itself(tmp):
    """--data: 0 where all agrees, 3 where not, without the compiler."""
    run, want = tool(tmp), os.path.join(tmp, "want.npy")
    folder = os.path.join(tmp, "set", "test_data_set_0")
    os.makedirs(folder)
    scalec("run", MNIST, "-i", DIGIT, "-o", want)
    y = np.load(want)

    def save(name, a, label):
        write_tensor(os.path.join(folder, name), a, label)
    save("input_0.pb", np.load(DIGIT), "Input3")
    assert "no expected outputs" in run("--data", folder, status=1)
    save("output_0.pb", y, "Plus214_Output_0")
    for path in (folder, os.path.dirname(folder)):
        assert "1 of 1 outputs agree" in run("--data", path)
    save("output_0.pb", y + np.float32(0.5), "Plus214_Output_0")
    out = run("--data", folder, status=3)
    assert "10 of 10 elements differ" in out and "0 of 1 outputs agree" in out, out
    sqnr = 10 * np.log10(np.sum((y + np.float32(0.5)).astype(float) ** 2) / (10 * 0.25))
    assert f"; SQNR {sqnr:.1f} dB\n" in out, (out, sqnr)
    assert "1 of 1" in run("--data", folder, "--atol", "1")
    save("output_0.pb", y[0], "Plus214_Output_0")
    assert "is f32[1,10], expected f32[10]" in run("--data", folder, status=3)
    assert "holds no set" in run("--data", tmp, status=1)
    assert "rounding of" in run("--help")


HALF, BRAIN = TensorProto.FLOAT16, TensorProto.BFLOAT16


def cast(src, dst, to):
    return helper.make_node("Cast", [src], [dst], to=to)


def narrow_product(t):
    """y = x w, computed in t."""
    return [cast("x", "h", t), cast("w", "v", t), helper.make_node("MatMul", ["h", "v"], ["p"]), cast("p", "y", 1)]


class Rounded:
    """A model of x [32, 32] and a test_data_set, and what --data says of it, compiled or not."""

    def __init__(self, tmp):
        rng = np.random.default_rng(5)
        self.x, self.w = (rng.standard_normal((32, 32)).astype(np.float32) for _ in range(2))
        self.noise = rng.standard_normal((32, 32))
        self.path, self.exe, self.npy, self.folder = (os.path.join(tmp, n) for n in ("m.onnx", "m", "x.npy", "set"))
        os.mkdir(self.folder)
        np.save(self.npy, self.x)
        self.save("input_0.pb", self.x, "x")

    def save(self, name, a, label):
        write_tensor(os.path.join(self.folder, name), a, label)

    def compile(self, m):
        """Which outputs it rounds, to what."""
        onnx.save(m, self.path)
        scalec("compile", self.path, "-o", self.exe)
        return json.loads(subprocess.run([self.exe, "--info", "--json"], capture_output=True, check=True).stdout)["info"].get("rounds")

    def compared(self, *args):
        for start in ([self.exe], [SCALEC, "run", self.path], [SCALEC, "run", self.path, "--evaluate"]):
            yield subprocess.run([*start, "--data", self.folder, *args], capture_output=True, text=True)


def grants_what_the_model_rounds(tmp):
    """--data: noise as of the model's own rounding is no difference; more, or one wrong element, is. f32 is granted none,
    nor is a model whose weights alone are narrow."""
    r, out = Rounded(tmp), os.path.join(tmp, "y.npy")

    def qdq(src, dst):
        return [helper.make_node("QuantizeLinear", [src, "s", "z"], [dst + "q"]), helper.make_node("DequantizeLinear", [dst + "q", "s", "z"], [dst])]
    product, zero = helper.make_node("MatMul", ["a", "b"], ["y"]), [("s", np.float32(1 / 64)), ("z", np.uint8(128))]
    for name, nodes, rounds, least in (
            ("f32", [helper.make_node("MatMul", ["x", "w"], ["y"])], None, None),
            ("f16", narrow_product(HALF), "f16", 9), ("bf16", narrow_product(BRAIN), "bf16", 6),
            ("u8", [*qdq("x", "a"), helper.make_node("Identity", ["w"], ["b"]), product], "u8", 6),
            ("f16 weights", [helper.make_node("Identity", ["x"], ["a"]), cast("w16", "b", 1), product], None, None)):
        said = r.compile(model(nodes, [("x", [32, 32])], [("y", [32, 32])], [("w", r.w), ("w16", r.w.astype(np.float16)), *zero]))
        assert said == (rounds and {"y": rounds}), (name, said)
        scalec("run", r.path, "-i", r.npy, "-o", out)
        y = np.load(out).astype(np.float64)
        rms, mean = np.sqrt((y ** 2).mean()), 2.0 ** -(least or 10)
        spike = np.zeros_like(y)
        spike[3, 5] = 4 * mean * 3 * (rms + abs(y[3, 5]))
        for wrong, args, agrees in ((r.noise * rms * mean / 2, (), rounds is not None), (r.noise * rms * mean / 2, ("--rtol", "1e-3"), False),
                                    (r.noise * rms * mean * 2, (), False), (spike, (), False)):
            r.save("output_0.pb", (y + wrong).astype(np.float32), "y")
            for p in r.compared(*args):
                assert p.returncode == (0 if agrees else 3), (name, p)
                assert (f"the model's own rounding to {rounds}: SQNR" in p.stdout) == agrees and "SQNR" in p.stdout, (name, p)


def grants_outputs_what_is_rounded_before_them(tmp):
    """What is rounded beside an output, or behind it, grants that output nothing; what a body rounds, all outputs of its
    node."""
    r, npz = Rounded(tmp), os.path.join(tmp, "yz.npz")

    def body(name, *nodes):
        outputs = [helper.make_tensor_value_info(name + str(i), 1, [32, 32]) for i in range(2)]
        return helper.make_graph(list(nodes), name, [], outputs)
    then = body("t", cast("x", "h", HALF), cast("h", "t0", 1), helper.make_node("Neg", ["x"], ["t1"]))
    other = body("e", helper.make_node("Neg", ["x"], ["e0"]), helper.make_node("Abs", ["x"], ["e1"]))
    for name, nodes, rounded in (
            ("beside", [*narrow_product(HALF), helper.make_node("MatMul", ["x", "w"], ["z"])], {"y": "f16"}),
            ("behind", [helper.make_node("MatMul", ["x", "w"], ["z"]), cast("z", "h", HALF), cast("h", "y", 1)], {"y": "f16"}),
            ("before", [cast("x", "h", HALF), cast("h", "y", 1), helper.make_node("MatMul", ["y", "w"], ["z"])], {"y": "f16", "z": "f16"}),
            ("body", [helper.make_node("If", ["c"], ["y", "z"], then_branch=then, else_branch=other)], {"y": "f16", "z": "f16"})):
        m = model(nodes, [("x", [32, 32])], [("y", [32, 32]), ("z", [32, 32])], [("w", r.w)])
        if name == "body":
            m.graph.input.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
        said = r.compile(m)
        assert said == rounded, (name, said)
        if name == "body":
            continue
        scalec("run", r.path, "-i", r.npy, "-o", npz)
        for wrong in "yz":
            for i, label in enumerate("yz"):
                a = np.load(npz)[label].astype(np.float64)
                a += r.noise * np.sqrt((a ** 2).mean()) * 2.0 ** -10 * (label == wrong)
                r.save(f"output_{i}.pb", a.astype(np.float32), label)
            for p in r.compared():
                assert p.returncode == (0 if wrong in rounded else 3), (name, wrong, p)
    assert subprocess.run([r.exe, "--info"], capture_output=True, text=True).stdout.count("\nrounds.") == 2


def measures_without_inputs(tmp):
    run = tool(tmp)
    assert "ms/run" in run("--profile")
    times = json.loads(run("--bench", "--json"))
    assert times["min_ms"] <= times["p10_ms"] <= times["median_ms"] <= times["p90_ms"], times
    (y,) = json.loads(run("-i", DIGIT, "--json"))["outputs"]
    for args, outputs in ((("-i", DIGIT), [y]), ((), None), (("-i", DIGIT, "-o", os.path.join(tmp, "y.npy")), None)):
        got = json.loads(run("--profile", "--json", *args))
        assert got["kernels"] and got["kernels"][0]["runs"] == 1 and "copies" in got and got.get("outputs") == outputs, got
    assert "p10" in run("--bench") and "compiled by scalec" in run("--version")


def sizes_of_made_up_inputs(tmp):
    """A size that nobody gave and that the model refuses: --bench says what to do, --info has no need of it."""
    exe = os.path.join(tmp, "pool")
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], name="pool")
    onnx.save(model([node], [("x", [1, 1, "height", "width"])], [("y", None)]), exe + ".onnx")
    scalec("compile", exe + ".onnx", "-o", exe)

    def run(*args):
        return subprocess.run([exe, *args], capture_output=True, text=True)
    p = run("--bench", "--dim", "width=8")
    assert p.returncode == 1 and "pool" in p.stderr and "made up with height = 1: --dim NAME=N" in p.stderr, p.stderr
    assert "median" in run("--bench", "--dim", "width=8", "--dim", "height=2").stdout
    p = run("--info")
    assert p.returncode == 0 and not p.stderr and "recipe" in p.stdout, p.stderr


def sizes_that_are_sums(tmp):
    """Exporters call a mask's extent by a sum; the made-up one is the sum of what is known of its parts."""
    exe = os.path.join(tmp, "cache")
    nodes = [helper.make_node("Concat", ["a", "b"], ["c"], axis=0), helper.make_node("Add", ["c", "m"], ["y"])]
    onnx.save(model(nodes, [("a", ["old"]), ("b", ["new"]), ("m", ["old + new"]), ("z", ["odd, + 3"])], [("y", None)]), exe + ".onnx")
    scalec("compile", exe + ".onnx", "-o", exe)
    for dims, old, new, m in (((), 1, 1, 2), (("old=5",), 5, 1, 6), (("old=5", "new=2"), 5, 2, 7), (("old=1", "new=6", "old + new=7"), 1, 6, 7)):
        args = [a for d in dims for a in ("--dim", d)]
        p = subprocess.run([exe, "--bench", "--json", *args], capture_output=True, text=True)
        assert p.returncode == 0, p
        assert json.loads(p.stdout)["inputs"] == {"a": [old], "b": [new], "m": [m], "z": [1]}, p.stdout
    p = subprocess.run([exe, "--bench", "--dim", "old + new=9"], capture_output=True, text=True)
    assert p.returncode == 1 and "made up with old = 1, new = 1" in p.stderr, p
    # a message of long names has each of them whole, or says that it does not
    old, new = "past_sequence_length_of_the_cache" * 2, "sequence_length_of_what_is_new" * 2
    onnx.save(model(nodes, [("a", [old]), ("b", [new]), ("m", [old + " + " + new])], [("y", None)]), exe + ".onnx")
    scalec("compile", exe + ".onnx", "-o", exe)
    p = subprocess.run([exe, "--bench", "--dim", f"{old} + {new}=9"], capture_output=True, text=True)
    assert p.returncode == 1 and "... is " in p.stderr and f"{new} is dimension 0 of input 'b'" in p.stderr, p


def prints_for_programs_and_people(tmp):
    run, want = tool(tmp), os.path.join(tmp, "want.npy")
    run("-i", DIGIT, "-o", want)
    (y,) = json.loads(run("-i", DIGIT, "--json"))["outputs"]
    assert (y["type"], y["dims"]) == ("f32", [1, 10])
    np.testing.assert_array_equal(np.array(y["data"], np.float32), np.load(want)[0])
    names = write(os.path.join(tmp, "names"), "\n".join(f"digit {i}" for i in range(10)))
    assert "30.4" in run("-i", DIGIT, "--top", "2") and "  digit 3\n" in run("-i", DIGIT, "--top", "2", "--labels", names)
    for n, note in ((10, False), (11, True), (9, True)):
        write(names, "\n".join(f"digit {i}" for i in range(n)) + "\n\n")
        p = subprocess.run([os.path.join(tmp, "exe"), "-i", DIGIT, "--top", "1", "--labels", names], capture_output=True, text=True)
        assert p.returncode == 0 and ((f"names {n} elements, output 'Plus214_Output_0' has 10" in p.stderr) == note), p
    names = write(names, "\r\n".join(f"digit {i}" for i in range(10)))
    assert "  digit 3\n" in scalec("run", MNIST, "-i", DIGIT, "--top", "2", "--labels", names)


def draws_ids_of_the_table(tmp):
    """--bench without inputs draws positions that the table has; --info says the range."""
    table = np.zeros((1000, 4), np.float32)
    nodes = [helper.make_node("Unsqueeze", ["ids", "z"], ["u"]), helper.make_node("Gather", ["w", "u"], ["e"]),
             helper.make_node("Gather", ["few", "kind"], ["k"]), helper.make_node("Add", ["e", "k"], ["y"])]
    ports = [helper.make_tensor_value_info(n, TensorProto.INT64, ["n"]) for n in ("ids", "kind")]
    g = helper.make_graph(nodes, "g", ports, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
                          [numpy_helper.from_array(a, n) for a, n in ((table, "w"), (table[:2], "few"), (np.array([0]), "z"))])
    path, exe = os.path.join(tmp, "ids.onnx"), os.path.join(tmp, "exe")
    onnx.save(helper.make_model(g, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    scalec("compile", path, "-o", exe)

    def run(*args):
        return subprocess.run([exe, *args], capture_output=True, text=True, check=True).stdout
    assert json.loads(run("--info", "--json"))["info"]["ranges"] == {"ids": [0, 1000], "kind": [0, 2]}
    assert "ranges.ids: [0,1000]" in run("--info")
    assert "random" in run("--bench", "--dim", "n=2000")  # an id beyond the table would end it
    # GatherElements counts rows, though its parts index all elements
    rows = helper.make_graph([helper.make_node("GatherElements", ["few", "at"], ["y"], axis=0)], "g",
                             [helper.make_tensor_value_info("at", TensorProto.INT64, ["n", 4])],
                             [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
                             [numpy_helper.from_array(table[:2], "few")])
    onnx.save(helper.make_model(rows, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    scalec("compile", path, "-o", exe)
    assert json.loads(run("--info", "--json"))["info"]["ranges"] == {"at": [0, 2]}
    # what was drawn, kept by states
    text = write(os.path.join(tmp, "ids.sc"), """graph @g(%ids: i64[n], %w: f32[1000,2]) -> (%y) {
      state @most (%a: i64[] -> %b)
      state @least (%c: i64[] -> %d)
      %y = gather %w, %ids {axis = 0} : f32[n,2]
      %m = reduce_max %ids {axes = [0], keepdims = 0} : i64[]
      %b = max %a, %m : i64[]
      %l = reduce_min %ids {axes = [0], keepdims = 0} : i64[]
      %d = min %c, %l : i64[]
    }
    """)
    scalec("compile", text, "-o", exe)
    saved = os.path.join(tmp, "states.npz")
    run("--profile", "--dim", "n=2000", "--state-save", saved)
    seen = np.load(saved)
    assert 500 < seen["most"] < 1000 and seen["least"] == 0, dict(seen)
    p = subprocess.run([exe, "--bench", "--state-save", saved], capture_output=True, text=True)
    assert p.returncode == 2 and "--state-save" in p.stderr, p


run_all("tools-executable", (draws_ids_of_the_table, proves_itself, grants_what_the_model_rounds, grants_outputs_what_is_rounded_before_them,
                          measures_without_inputs, sizes_of_made_up_inputs, sizes_that_are_sums, prints_for_programs_and_people))
