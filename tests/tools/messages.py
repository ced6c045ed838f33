# SPDX-License-Identifier: Apache-2.0
"""What the command line says: faults of the command itself, operators, errors, help."""
import json
import os
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper

sys.path.insert(0, os.path.dirname(__file__))
from command import DIGIT, LEAKY, MNIST, failing, model, run_all, write  # noqa: E402
from scalec import SCALEC, scalec  # noqa: E402


def faults_of_the_command(tmp):
    """Status 2, in our words, with what is near or known."""
    out, stats = os.path.join(tmp, "out"), write(os.path.join(tmp, "s.stats"), "")
    for args, words in (
            (("complie", MNIST), "compile is near"), (("frobnicate",), 'no command "frobnicate"'),
            (("help", "frobnicate"), "no command"), (("dump", MNIST, "--recip", "fp8"), "--recipe is near"),
            (("dump", MNIST, "--threads", "2"), "--threads is an option of run"),
            (("dump", MNIST, "--xyzzy"), "no option --xyzzy"), (("dump", MNIST, "-q"), "no option -q"),
            (("dump", MNIST, "--recipe"), "--recipe needs a value"), (("dump", MNIST, "--json=1"), "takes no value"),
            (("dump", MNIST, MNIST), "one argument is taken"), (("dump",), "one argument is needed"),
            (("dump", MNIST, "--stage", "foo"), "stages are import, fold"),
            (("dump", MNIST, "--dump-after", "x"), "--dump-after is an option of"),
            (("compile", MNIST, "-o", out, "--dump-after", "x"), 'no stage "x"'),
            (("run", MNIST, "-i", DIGIT, "-o", "-", "--dump-after", "fold"), "--dump-after prints on standard output"),
            (("compile", MNIST, "-o", out, "--json", "--dump-after", "fold"), "--dump-after prints on standard output"),
            (("dump", MNIST, "--disable", "foo"), "what may be left out"),
            (("dump", MNIST, "--disable", "fuse"), "cannot be left out"),
            (("dump", MNIST, "--recipe", "fp9"), "recipes are f32"),
            (("compile", MNIST, "-o", out, "--cpu", "pentium9"), "known are native"),
            (("compile", MNIST, "-o", out, "--target", "riscv64-linux-gnu"), "E0402"),
            (("dump", MNIST, "--format", "svg"), "is not text, dot, json, html or onnx"),
            (("compile", MNIST, "-o", out, "--emit", "elf"), "is not exe, so, obj, asm or llvm"),
            (("dump", LEAKY, "--dim", "batch=3"), '"batch_size"'), (("dump", MNIST, "--dim", "n"), "is not NAME=N"),
            (("ops", "--dtype", "f9"), "no element type"), (("explain", "E9999"), "--all lists them"),
            (("explain",), "--all"), (("compile", MNIST), "-o OUT"),
            (("dump", MNIST, "--calibrate", DIGIT, "--scales", "propagate"), "only --scales calibrate"),
            (("dump", MNIST, "--save-stats", out), "nothing is measured"),
            (("dump", MNIST, "--calibrate", stats, "--save-stats", out), "nothing is measured"),
            (("dump", MNIST, "--scales", "calibrate"), "needs --calibrate"),
            (("compile", MNIST, "-o", out, "--data", DIGIT), "--eval-each"),
            (("compile", MNIST, "-o", out, "--eval-each"), "--data PATH"),
            (("dump", MNIST, "--data", DIGIT, "-o", out + ".onnx"), "behind the text"),
            (("dump", MNIST, "--data", DIGIT, "--json"), "behind the text"),
            (("diff", MNIST, MNIST, "--recipe", "fp8"), "of later stages than import"),
            (("diff", MNIST, MNIST, "--stage", "import", "--disable", "fold"), "of later stages than import"),
            (("diff", MNIST, MNIST, "--stage", "settle", "--save-stats", out), "--save-stats is an option of compile"),
            (("run", MNIST, "-i", DIGIT, "--atol", "1"), "with --data"), (("diff", MNIST, MNIST, "--rtol", "1"), "with --data"),
            (("compile", MNIST, "-o", out, "--rtol", "1"), "with --data"), (("dump", MNIST, "--rtol", "1", "--data", DIGIT), "with --data"),
            (("dump", MNIST, "--state-capacity", "9"), "with --state"), (("ops", MNIST, "--internal"), "without a MODEL"),
            (("ops", MNIST, "--dtype", "f32"), "without a MODEL"), (("explain", "--all", "E0203"), "no number"),
            (("check", MNIST, "--data", DIGIT, "--recipe", "fp8,mxfp8", "--top", "3"), "of one recipe"),
            (("run", MNIST, "--data", DIGIT, "-o", out), "goes with none of")):
        err = failing(*args, status=2)
        assert words in err and MNIST + ":" not in err.replace("error", "", 1) or "batch_size" in words, (args, err)
        assert not os.path.exists(out)


def words_without_end(tmp):
    """What a message repeats of the command line is cut in the middle, as names of a model are."""
    long = "q" * 100000
    for args in ((long,), ("dump", long), ("dump", MNIST, "--" + long), ("dump", MNIST, "--format", long), ("dump", MNIST, "--why", long),
                 ("run", MNIST, "--threads", long), ("compile", MNIST, "-o", "x", "--symbol", "9" + long), ("explain", long)):
        p = subprocess.run([SCALEC, *args], capture_output=True, text=True, cwd=tmp)
        assert p.returncode in (1, 2) and len(p.stderr) < 3000 and "qqq" in p.stderr, (args[:2], p.returncode, len(p.stderr))


def file_at_fault(tmp):
    """A message begins with the file that it is about."""
    absent, text = os.path.join(tmp, "absent", "x"), write(os.path.join(tmp, "bad.npz"), "PK")
    for args, path in ((("dump", MNIST, "-o", absent), absent), (("compile", MNIST, "-o", absent), absent),
                       (("compile", MNIST, "--emit", "obj", "-o", absent), absent),
                       (("check", MNIST, "--recipe", "fp8", "--data", text), text),
                       (("dump", MNIST, "--recipe", "fp8", "--calibrate", absent), absent),
                       (("dump", MNIST, "--recipe", "fp8", "--calibrate", DIGIT, "--save-stats", absent), absent)):
        err = failing(*args)
        assert err.startswith(path + ": error["), err


def headings_fit(tmp):
    """What heads a message, and what `explain` says of its number, is of the case at hand."""
    other = write(os.path.join(tmp, "o.sc"), "graph @g(%x: f32[4]) -> (%y) {\n  %y = relu %x : f32[4]\n}\n")
    for args, status, number, heading, word in (
            (("dump", MNIST, "--why", "nosuch"), 2, "E0408", "no such tensor", "--why"),
            (("dump", MNIST, "--stage", "nosuch"), 2, "E0407", "no such pass or stage", "--stage"),
            (("dump", MNIST, "--disable", "nosuch"), 2, "E0407", "no such pass or stage", "--disable"),
            (("compile", MNIST, "-o", os.path.join(tmp, "x"), "--dump-after", "nosuch"), 2, "E0407", "no such pass or stage", "--dump-after"),
            (("dump", MNIST, "--disable", "fuse"), 2, "E0405", "passes do not fit together", "left out"),
            (("compile", MNIST, "-o", os.path.join(tmp, "x"), "--save-stats", os.path.join(tmp, "s")), 2, "E0309", "nothing is measured",
             "--save-stats"),
            (("diff", MNIST, other, "--data", DIGIT), 1, "E0506", "cannot be compared", "inputs"),
            (("check", MNIST, "--data", DIGIT, "--recipe", "fp8", "--suggest", "1", "--metric", "false"), 1, "E0505", "says nothing", "number")):
        err = failing(*args, status=status)
        assert f"error[{number}]: " in err and heading in err, (args, err)
        assert word in scalec("explain", number), number


def products_of_two_types(tmp):
    """Operands of a product have one type, as ONNX says, also where a kernel of ours could multiply two."""
    path = os.path.join(tmp, "mixed.onnx")
    kinds = {TensorProto.FLOAT: "f32", TensorProto.INT8: "i8", TensorProto.UINT8: "u8", TensorProto.INT16: "i16",
             TensorProto.FLOAT8E4M3FN: "f8e4m3fn", TensorProto.FLOAT16: "f16"}
    contrib, matrices, windows = "com.microsoft", ([2, 4], [4, 3]), ([1, 4, 5, 5], [3, 4, 2, 2])
    for op, domain, dims, more in (
            ("MatMul", "", matrices, {}), ("Gemm", "", matrices, {}), ("Conv", "", windows, {}),
            ("ConvTranspose", "", ([1, 4, 5, 5], [4, 3, 2, 2]), {}), ("Einsum", "", matrices, {"equation": "ij,jk->ik"}),
            ("DeformConv", "", (*windows, [1, 8, 4, 4]), {}), ("LSTM", "", ([3, 1, 4], [1, 20, 4], [1, 20, 5]), {"hidden_size": 5}),
            ("FusedMatMul", contrib, matrices, {}), ("FusedGemm", contrib, matrices, {"activation": "Relu"}),
            ("FusedConv", contrib, windows, {"activation": "Relu"})):
        for a, b in [(a, TensorProto.FLOAT) for a in kinds] + [(TensorProto.FLOAT, b) for b in kinds]:
            types = (a, b, TensorProto.FLOAT)
            ports = [helper.make_tensor_value_info(k, t, d) for k, t, d in zip("xwr", types, dims)]
            g = helper.make_graph([helper.make_node(op, [p.name for p in ports], ["y"], name="mixed", domain=domain, **more)], "g", ports,
                                  [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
            opsets = [helper.make_opsetid("", 19), helper.make_opsetid(contrib, 1)]
            onnx.save(helper.make_model(g, opset_imports=opsets, ir_version=9), path)
            if a == b:
                scalec("dump", path, "--stage", "import")
                continue
            err = failing("dump", path, "--stage", "import")
            assert '"mixed"' in err and "E0202" in err and kinds[a] in err and kinds[b] in err, (op, kinds[a], kinds[b], err)


def unsupported_operators(tmp):
    """All in one message, each once; the nodes on demand; `ops MODEL` says it before anything else."""
    kinds = ["Dett", "Dett", "Einsuum", "NonZeroo", "Gridd", "Dett"]
    nodes = [helper.make_node("Relu", ["x"], ["r"])]
    nodes += [helper.make_node(k, ["r"], [f"y{i}"], name=f"node{i}") for i, k in enumerate(kinds)]
    nodes.append(helper.make_node("Fancy", ["r"], ["f"], name="fancy", domain="my.own"))
    m = model(nodes, [("x", [2, 2])], [("y0", [])])
    path = os.path.join(tmp, "five.onnx")
    onnx.save(m, path)
    err = failing("dump", path)
    assert err.count("E0104") == 1 and "5 of 6" in err and 'Dett, opset 17 (3 nodes, first "node0")' in err, err
    assert all(k in err for k in kinds) and "my.own::Fancy" in err and "node5" not in err, err
    assert all(f"node{i}" in failing("dump", path, "-v") for i in range(6))
    rows = json.loads(failing("dump", path, "--json"))["rows"]
    assert {"label": "Dett", "name": "node5", "text": "node 6"} in rows, rows
    nodes = [helper.make_node("T%03d" % (i % 150), ["x"], [f"y{i}"]) for i in range(300)]
    onnx.save(model(nodes, [("x", [2, 2])], [("y0", [])]), path)
    err = failing("dump", path)
    assert "150 of 150" in err and "T149" in err, err
    onnx.save(m, path)
    p = subprocess.run([SCALEC, "ops", path], capture_output=True, text=True)
    assert p.returncode == 1 and "1 of 6 operators are covered" in p.stdout and p.stderr == "", p
    table = json.loads(subprocess.run([SCALEC, "ops", path, "--json"], capture_output=True, text=True).stdout)
    assert [(r["onnx"], r["nodes"], r["covered"]) for r in table[:1]] == [("Dett", 3, False)], table
    text = scalec("ops", MNIST)
    assert "Conv" in text and "f32" in text and "the model can be compiled" in text, text
    branch = [helper.make_graph([helper.make_node(k, ["x"], ["b"])], k, [], [helper.make_tensor_value_info("b", 1, None)]) for k in ("Sqrt", "Exp")]
    nodes = [helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0), helper.make_node("Cast", ["m"], ["c"], to=9),
             helper.make_node("If", ["c"], ["y"], then_branch=branch[0], else_branch=branch[1])]
    onnx.save(model(nodes, [("x", [2, 2])], [("y", None)]), path)
    table = {r["onnx"]: r["types"] for r in json.loads(scalec("ops", path, "--json"))}
    assert table["Sqrt"] == table["Exp"] == ["f32"] and "bool" in table["If"], table
    for op, covered in (("Transpose", False), ("Identity", True)):
        ports = [helper.make_tensor_value_info(k, onnx.TensorProto.COMPLEX64, [2, 2]) for k in "xy"]
        g = helper.make_graph([helper.make_node(op, ["x"], ["y"])], "g", ports[:1], ports[1:])
        onnx.save(helper.make_model(g, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
        p = subprocess.run([SCALEC, "ops", path], capture_output=True, text=True)
        assert (p.returncode == 0) == covered and ("the model can be compiled" in p.stdout) == covered and p.stderr == "", p
        compiled = subprocess.run([SCALEC, "compile", path, "-o", os.path.join(tmp, "complex")], capture_output=True, text=True)
        assert (compiled.returncode == 0) == covered, compiled
        assert covered or "no: element type complex64" in p.stdout, p
    name = "A" * 100000 + "Z" * 100000
    onnx.save(model([helper.make_node(name, ["x"], ["y"], name=name)], [("x", [2])], [("y", [2])]), path)
    err = failing("dump", path)
    assert len(err) < 2000 and "200000 bytes" in err and "AAA" in err and "ZZZ" in err, err
    onnx.save(model([helper.make_node("MatMul", ["x", "x"], ["y"], name=name)], [("x", [2, 3])], [("y", [2])]), path)
    err = failing("dump", path)
    assert len(err) < 2000 and "200000 bytes" in err, err


def operators(tmp):
    """`ops` lists what users know; --internal the rest; --dtype filters; --json has both."""
    text = scalec("ops")
    assert "\nMatMul " in text and "\nrebalance" not in text and "\nrebalance" in scalec("ops", "--internal")
    only = scalec("ops", "--dtype", "bool")
    assert "\nAnd " in only and "\nMatMul " not in only
    rows = json.loads(scalec("ops", "--json"))
    assert any(r["name"] == "rebalance" and r["internal"] for r in rows)
    assert any(r["onnx"] == "MatMul" and not r["internal"] and r["types"] for r in rows)


def helps(tmp):
    assert "--recipe" in scalec("help", "compile") and scalec("help", "compile") == scalec("compile", "--help")
    assert scalec("help") == scalec("--help") and scalec("version") == scalec("--version")
    every = scalec("explain", "--all")
    assert "E0104: " in every and "E0503: " in every and "example:" in scalec("run", "-h")
    man = os.path.join(tmp, "scalec.1")
    write(man, scalec("help", "--man"))
    assert ".SS scalec compile" in open(man).read() and "\\-\\-recipe" in open(man).read()
    script = write(os.path.join(tmp, "c.bash"), scalec("help", "--bash") + """
complete_for() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _scalec; echo "${COMPREPLY[@]}"; }
complete_for scalec com
complete_for scalec compile --emit l
complete_for scalec run m.onnx --be
complete_for scalec compile --emit = l
complete_for scalec help rew
""")
    got = subprocess.run(["bash", script], capture_output=True, text=True, check=True).stdout
    assert got.split() == ["compile", "llvm", "--bench", "llvm", "rewrite"], got
    assert all(len(line) <= 96 for line in scalec("compile", "--help").split("\n"))


def no_c_compiler(tmp):
    p = subprocess.run([SCALEC, "compile", MNIST, "-o", os.path.join(tmp, "x")], capture_output=True, text=True,
                       env={**os.environ, "PATH": tmp})
    assert p.returncode == 1 and "install one" in p.stderr and "--emit obj" in p.stderr, p.stderr


def information(tmp):
    """`--info` says what is so: no scales where nothing is stored low."""
    exe = os.path.join(tmp, "m")
    for args, scales in ((("--recipe", "f32", "--calibrate", DIGIT), "none"), (("--recipe", "fp8", "--scales", "propagate"), "propagate"), (("--recipe", "fp8"), "probe"),
                         (("--recipe", "fp8", "--calibrate", DIGIT), "calibrate")):
        scalec("compile", MNIST, *args, "-o", exe)
        info = json.loads(subprocess.run([exe, "--info", "--json"], capture_output=True, check=True).stdout)
        assert info["info"]["scales"] == scales, info["info"]


def names_join(tmp):
    """Statistics, JSON and text write a name in the same way, so that files join by it."""
    name, path, x, stats = 'a "b" c\\d', *(os.path.join(tmp, n) for n in ("m.onnx", "x.npy", "m.stats"))
    w = np.random.default_rng(1).standard_normal((16, 16)).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], [name], name=name), helper.make_node("Relu", [name], ["y"]),
             helper.make_node("MatMul", ["y", "w"], ["z"])]
    onnx.save(model(nodes, [("x", [1, 16])], [("z", [1, 16])], [("w", w)]), path)
    np.save(x, w[:1])
    fp8 = ("dump", path, "--recipe", "fp8", "--calibrate")
    text = scalec(*fp8, x, "--stage", "settle", "--save-stats", stats)
    quoted = json.dumps(name)
    assert f"\n{quoted} rms " in open(stats).read(), open(stats).read()
    assert f"%{quoted} = add" in text and f"from {quoted}" in text, text
    assert scalec(*fp8, stats, "--stage", "settle") == text
    rows = json.loads(scalec("check", path, "--recipe", "fp8", "--data", x, "--json"))["tensors"]
    assert any(name in r["from"] for r in rows), rows


def patterns_of_nobody(tmp):
    """A recipe's pattern that no node answers to is warned of, whatever it is a pattern of."""
    for line, words in (('layer "zzz*" weight=f16', 'layer "zzz*"'), ('rescale "zz*"', 'rescale "zz*"'), ('layer "*" weight=f16', None)):
        recipe = write(os.path.join(tmp, "mine.recipe"), f"name = mine\nweight = f8e4m3fn\n{line}\n")
        p = subprocess.run([SCALEC, "dump", MNIST, "--recipe", recipe, "--stage", "settle"], capture_output=True, text=True)
        assert p.returncode == 0 and ("warning[E0302]" in p.stderr) == (words is not None) and (words or "") in p.stderr, (line, p.stderr)


def warnings_of_a_run(tmp):
    """Whoever only runs a model is told how it was read."""
    nodes = [helper.make_node("Neg", ["a"], ["y"]), helper.make_node("Abs", ["x"], ["a"])]
    ports = [helper.make_tensor_value_info(n, 1, [2]) for n in "xy"]
    path, x = os.path.join(tmp, "turned.onnx"), os.path.join(tmp, "x.npy")
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", ports[:1], ports[1:]), opset_imports=[helper.make_opsetid("", 17)]), path)
    np.save(x, np.array([1, -2], np.float32))
    for how in ([], ["--evaluate"]):
        p = subprocess.run([SCALEC, "run", path, "-i", x, *how], capture_output=True, text=True)
        assert p.returncode == 0 and "-2" in p.stdout and "warning[E0114]" in p.stderr, p


run_all("tools-messages", (words_without_end, headings_fit, patterns_of_nobody, warnings_of_a_run, names_join, faults_of_the_command, file_at_fault, products_of_two_types, unsupported_operators, operators, helps, no_c_compiler,
                           information))
