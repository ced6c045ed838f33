# SPDX-License-Identifier: Apache-2.0
"""The command line as its users meet it: errors, exit statuses, dumps, states, comparisons."""
import json
import os
import subprocess
import sys

import numpy as np
import onnx
from onnx import helper

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "model"))
from command import ATTENTION, DIGIT, LEAKY, MNIST, failing, model, run_all, write, write_tensor  # noqa: E402
from scalec import SCALEC, SOURCE, Model, scalec  # noqa: E402

STAGES = ["import", "fold", "simplify", "raise", "scalify", "quantize", "settle", "expand", "layout", "fuse"]

SUM = """graph @total(%x: f32[4]) -> (%sum) {
  state @acc (%past: f32[4] -> %sum)
  %sum = add %past, %x : f32[4]
}
"""


def broken_inner(tmp):
    """Node 17 multiplies [8,64] by [32,10]."""
    chain = [helper.make_node("Relu", ["x" if i == 0 else f"h{i - 1}"], ["relu0_out" if i == 16 else f"h{i}"],
                              name=f"relu{i}") for i in range(17)]
    mm = helper.make_node("MatMul", ["relu0_out", "fc1.weight"], ["y"], name="fc1/MatMul")
    m = model([*chain, mm], [("x", [8, 64])], [("y", [8, 10])],
              [("fc1.weight", np.zeros((32, 10), np.float32))])
    onnx.save(m, os.path.join(tmp, "mnist.onnx"))
    err = failing("compile", "mnist.onnx", "-o", "out", cwd=tmp)
    assert err == (
        'mnist.onnx: error[E0203] in MatMul "fc1/MatMul" (node 17): inner dimensions differ\n'
        "    A  relu0_out    f32[8,64]\n"
        "    B  fc1.weight   f32[32,10]\n"
        "  note: A's last extent, 64, must equal B's second to last, 32\n"), err
    assert not os.path.exists(os.path.join(tmp, "out"))
    p = subprocess.run([SCALEC, "compile", "mnist.onnx", "-o", "out", "--json"], capture_output=True, text=True,
                       cwd=tmp)
    d = json.loads(p.stderr)
    assert d["id"] == "E0203" and d["nodes"][0]["name"] == "fc1/MatMul", d


def statuses(tmp):
    assert "usage" in failing(status=2)
    failing("compile", MNIST, status=2)  # where to?
    failing("compile", MNIST, "-o", os.path.join(tmp, "x"), "--emit", "elf", status=2)
    failing("compile", MNIST, "-o", os.path.join(tmp, "x"), "--nonsense", status=2)
    for symbol in ("", "9a", "a-b", "a;b", "a b"):
        failing("compile", MNIST, "-o", os.path.join(tmp, "x"), "--symbol", symbol, status=2)
    for symbol in ("int", "namespace", "main", "memcpy", "scrt_open", "ScrtModel", "size_t", "_start", "INT8_MAX"):
        assert f"model_{symbol}" in failing("compile", MNIST, "-o", os.path.join(tmp, "x"), "--symbol", symbol, status=2)
    assert "No such file" in failing("dump", os.path.join(tmp, "absent.onnx"))
    assert "E0302" in failing("dump", MNIST, "--recipe", "fp8-train", status=2)
    assert "inner" in scalec("explain", "E0203")
    failing("explain", "E9999", status=2)
    for command in ("compile", "run", "dump", "check", "ops", "explain"):
        assert "usage" in scalec(command, "--help")
    rows = json.loads(scalec("ops", "--json"))
    assert [r["onnx"] for r in rows].count("Split") == 1 and [r["onnx"] for r in rows].count("Gemm") == 1
    assert any(r["name"] == "matmul" and r["scale"].startswith("a, b") for r in rows)


def compiler_missing(tmp):
    p = subprocess.run([SCALEC, "compile", MNIST, "-o", os.path.join(tmp, "no-cc")], capture_output=True, text=True,
                       env={**os.environ, "PATH": tmp})
    assert p.returncode == 1 and "E0403" in p.stderr and "cc" in p.stderr, p.stderr
    assert not [f for f in os.listdir(tmp) if f.startswith("no-cc")]


def dumps(tmp):
    """At every stage the text parses back to a graph that prints the same; DOT renders; JSON is JSON."""
    for path in (MNIST, ATTENTION):
        for recipe in ("f32", "fp8"):
            for stage in STAGES:
                text = os.path.join(tmp, "stage.sc")
                for f in (text, text + ".npz"):
                    if os.path.exists(f):
                        os.unlink(f)
                scalec("dump", path, "--recipe", recipe, "--stage", stage, "-o", text)
                with open(text) as f:
                    first = f.read()
                again = scalec("dump", text, "--stage", "import")

                def lines(s):
                    return [x.split(" ;")[0].rstrip() for x in s.split("\n") if x and not x.startswith(";")]
                assert lines(first) == lines(again), f"{path} {recipe} {stage}"
    dot = os.path.join(tmp, "g.dot")
    scalec("dump", ATTENTION, "--format", "dot", "--recipe", "fp8", "--stage", "settle", "-o", dot)
    svg = subprocess.run(["dot", "-Tsvg", dot], capture_output=True, check=True).stdout
    assert svg.count(b"<g id=\"node") > 20
    for ending, begins in (("html", b"<!"), ("json", b"{"), ("dot", b"digraph"), ("onnx", b"\x08"), ("sc", b"; ")):
        out = os.path.join(tmp, "as." + ending)
        scalec("dump", MNIST, "--stage", "settle", "-o", out)
        assert open(out, "rb").read().startswith(begins), ending
    g = json.loads(scalec("dump", MNIST, "--format", "json", "--recipe", "fp8", "--stage", "settle"))
    assert sum(n["op"] in ("matmul", "gemm", "conv") for n in g["nodes"]) == 3
    text = scalec("dump", MNIST, "--recipe", "fp8", "--stage", "scalify")
    assert "a, b" in text and " g " in text and "* 2^" in text
    text = scalec("dump", MNIST, "--recipe", "fp8")
    assert "tile" in text and "kernel" in text
    np.savez(os.path.join(tmp, "x.npz"), Input3=np.load(DIGIT))
    assert "stored outside its format's range" in scalec("dump", MNIST, "--recipe", "fp8", "--stage", "settle",
                                                         "--data", os.path.join(tmp, "x.npz"))


def folded_text_runs(tmp):
    """A dumped text with folded constants is a model like any other."""
    text = os.path.join(tmp, "folded.sc")
    scalec("dump", MNIST, "--stage", "raise", "-o", text)
    a, b = os.path.join(tmp, "a.npy"), os.path.join(tmp, "b.npy")
    scalec("run", MNIST, "-i", f"Input3={DIGIT}", "-o", a)
    scalec("run", text, "-i", f"Input3={DIGIT}", "-o", b)
    np.testing.assert_array_equal(np.load(a), np.load(b))
    # Constants of nested graphs too: the weights of a loop over seven steps.
    path, x = os.path.join(tmp, "steps.onnx"), os.path.join(tmp, "x.npy")
    rng = np.random.default_rng(3)
    w, r = (rng.standard_normal((1, 20, k)).astype(np.float32) for k in (3, 5))
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=5, direction="reverse")
    onnx.save(model([node], [("x", (7, 2, 3))], [("y", (7, 1, 2, 5))], [("w", w), ("r", r)]), path)
    np.save(x, rng.standard_normal((7, 2, 3)).astype(np.float32))
    scalec("dump", path, "-o", text)
    scalec("run", path, "-i", x, "-o", a)
    scalec("run", text, "-i", x, "-o", b)
    np.testing.assert_array_equal(np.load(a), np.load(b))


def states(tmp):
    """A running sum written by hand: executable and .so, saved, loaded and reset."""
    text = write(os.path.join(tmp, "total.sc"), SUM)
    exe, x, y, st = (os.path.join(tmp, n) for n in ("total", "x.npy", "y.npy", "st.npz"))
    np.save(x, np.arange(4, dtype=np.float32))
    scalec("compile", text, "-o", exe)
    def run(*args):
        subprocess.run([exe, "-i", x, "-o", y, *args], check=True)
        return np.load(y)
    one = np.arange(4, dtype=np.float32)
    np.testing.assert_array_equal(run("--state-save", st), one)
    np.testing.assert_array_equal(run("--state-load", st, "--state-save", st), 2 * one)
    np.testing.assert_array_equal(run("--state-load", st), 3 * one)
    np.testing.assert_array_equal(run(), one)
    so = os.path.join(tmp, "total.so")
    scalec("compile", text, "--emit", "so", "--symbol", "model", "-o", so)
    m = Model(so)
    for k in (1, 2, 3):
        np.testing.assert_array_equal(m.run(one)[0], k * one)
    m.lib.scrt_state_save.argtypes = m.lib.scrt_state_load.argtypes = None
    import ctypes
    err = ctypes.create_string_buffer(512)
    assert m.lib.scrt_state_save(m.session, st.encode(), err) == 0, err.value
    m.lib.scrt_state_reset(m.session)
    np.testing.assert_array_equal(m.run(one)[0], one)
    assert m.lib.scrt_state_load(m.session, st.encode(), err) == 0, err.value
    np.testing.assert_array_equal(m.run(one)[0], 4 * one)


def data_sets(tmp):
    """run --data: 0 where all agrees, 3 where not."""
    folder = os.path.join(tmp, "set", "test_data_set_0")
    os.makedirs(folder)
    x = np.load(DIGIT)
    y_path = os.path.join(tmp, "want.npy")
    scalec("run", MNIST, "-i", DIGIT, "-o", y_path)
    y = np.load(y_path)
    def save(name, a, label):
        write_tensor(os.path.join(folder, name), a, label)
    save("input_0.pb", x, "Input3")
    save("output_0.pb", y, "Plus214_Output_0")
    assert "1 of 1" in scalec("run", MNIST, "--data", os.path.dirname(folder))
    assert "1 of 1" in scalec("run", MNIST, "--data", folder, "--evaluate", "--rtol", "1e-4", "--atol", "1e-4")
    save("output_0.pb", y + np.float32(0.5), "Plus214_Output_0")
    out = scalec("run", MNIST, "--data", folder, status=3)
    assert "10 of 10 elements differ" in out, out
    table = json.loads(scalec("check", MNIST, "--data", folder, "--recipe", "fp8", "--json"))
    worst = table["tensors"]
    assert len(worst) > 2 and all(r["name"] for r in worst)
    assert "SQNR" in scalec("check", MNIST, "--data", folder, "--recipe", "fp8")


def executables(tmp):
    exe = os.path.join(tmp, "mnist")
    scalec("compile", MNIST, "--recipe", "fp8", "-o", exe)
    run = lambda *a, status=0: subprocess.run([exe, *a], capture_output=True, text=True)  # noqa: E731
    p = run("--help")
    assert p.returncode == 0 and "Input3" in p.stdout and "f32" in p.stdout, p.stdout
    info = run("--info").stdout
    for word in ("fp8", "mnist.onnx", "weights", "peak"):
        assert word in info, info
    top = run("-i", DIGIT, "--top", "3").stdout
    assert "3" in top.split("\n")[1], top
    assert "median_ms" in json.loads(run("--bench", "--json").stdout)
    p = run("-i", os.path.join(tmp, "absent.npy"))
    assert p.returncode == 1 and "absent.npy" in p.stderr
    assert run("--nonsense").returncode == 2
    libs = subprocess.run(["ldd", exe], capture_output=True, text=True, check=True).stdout
    names = {line.split()[0].split(".")[0] for line in libs.strip().split("\n")}
    assert names <= {"linux-vdso", "libc", "libm", "libz", "/lib64/ld-linux-x86-64"}, libs


def options(tmp):
    """What the pipeline's options promise."""
    npz, exe, obj = (os.path.join(tmp, n) for n in ("x.npz", "m", "m.o"))
    np.savez(npz, Input3=np.load(DIGIT))
    p = subprocess.run([SCALEC, "compile", MNIST, "-o", exe, "--eval-each", "--data", npz, "--verify",
                        "--time-passes"], capture_output=True, text=True)
    assert p.returncode == 0 and all(f"\n{s} " in "\n" + p.stderr for s in ("fold", "scalify", "fuse")), p.stderr
    text = scalec("compile", MNIST, "-o", exe, "--dump-after", "all")
    assert all(f"; after {s}\n" in text for s in STAGES)
    want = os.path.join(tmp, "want.npy")
    scalec("run", MNIST, "-i", DIGIT, "-o", want)
    for name in ("fold", "simplify", "raise"):
        got = os.path.join(tmp, "got.npy")
        scalec("run", MNIST, "-i", DIGIT, "-o", got, "--disable", name)
        np.testing.assert_allclose(np.load(got), np.load(want), rtol=1e-4, atol=1e-4)
    stats = os.path.join(tmp, "m.stats")
    fp8 = ("compile", MNIST, "--recipe", "fp8", "--emit", "obj", "-o", obj)
    scalec(*fp8, "--calibrate", npz, "--save-stats", stats)
    first = open(obj, "rb").read()
    scalec(*fp8, "--calibrate", stats)
    assert open(obj, "rb").read() == first, "a file of statistics is not what was measured"
    assert "E0303" in failing("compile", LEAKY, *fp8[2:], "--calibrate", stats)
    scalec("compile", LEAKY, "-o", exe, "--dim", "batch_size=3")
    shown = subprocess.run([exe, "--help"], capture_output=True, text=True, check=True).stdout
    assert "f32[3,1,28,28]" in shown and "f32[3,10]" in shown, shown
    err = failing("compile", LEAKY, "-o", exe, "--dim", "batch=3", status=2)
    assert "E0501" in err and '"batch"' in err and '"batch_size"' in err, err
    assert '"n"' in failing("dump", MNIST, "--dim", "n=3", status=2)


def symbols_of_files(tmp):
    """An object of any name compiles into programs of C and of C++: its model's name is none of theirs."""
    text = write(os.path.join(tmp, "t.sc"), "graph @g(%x: f32[4]) -> (%y) {\n  %y = relu %x : f32[4]\n}\n")
    names = ("int", "template", "memcpy", "scrt_open", "ScrtModel", "SCRT_ABI", "NULL", "int64_t", "linux")
    for name in names:
        scalec("compile", text, "--emit", "obj", "-o", os.path.join(tmp, f"{name}.o"))
        assert f"extern const ScrtModel model_{name};" in open(os.path.join(tmp, f"{name}.h")).read()
    include = ["-I" + tmp, *("-I" + os.path.join(os.path.abspath(SOURCE), d) for d in ("runtime", "."))]
    heads = "".join(f"#include <{h}.h>\n" for h in ("stdio", "stdint", "stdlib", "string"))
    user = write(os.path.join(tmp, "user.c"), heads + "".join(f'#include "{n}.h"\n' for n in names))
    for language in ("c", "c++"):
        subprocess.run(["clang-19", "-x", language, "-fsyntax-only", "-Werror", *include, user], check=True)
    # what the program's own main is made of is nobody's name
    for name in ("print_info", "run_model", "load_inputs"):
        scalec("compile", text, "-o", os.path.join(tmp, name))


def numbers(tmp):
    """A number that an option does not take is the command's fault, and the option says what it takes."""
    text = write(os.path.join(tmp, "t.sc"), "graph @g(%x: f32[n,4]) -> (%y) {\n  %y = relu %x : f32[n,4]\n}\n")
    out = os.path.join(tmp, "x")
    for value in ("0", "-1", "1.5", "x", "", "1e3", " 3", "+3", "2000000", "99999999999999999999"):
        for option in ("--threads", "--repeat", "--top"):
            assert "from 1 to 1048576" in failing("run", MNIST, "-i", DIGIT, option, value, status=2)
        assert "from 1 to 1048576" in failing("compile", text, "-o", out, "--state-capacity", value, status=2)
        assert "from 1 to 1048576" in failing("check", MNIST, "--data", DIGIT, "--top", value, status=2)
    for value in ("-1", "nan", "inf", "1e999", "x", ""):
        assert "not a number of 0 or more" in failing("run", MNIST, "-i", DIGIT, "--rtol", value, status=2)
        words = "noise below 0" if value == "-1" else "is not a number"  # of a --metric it may be any
        assert words in failing("check", MNIST, "--data", DIGIT, "--recipe", "fp8", "--suggest", value, status=2)
    assert "wants a command" in failing("check", MNIST, "--data", DIGIT, "--recipe", "fp8", "--suggest", "-1", "--metric", "", status=2)
    for state, words in (("y=q", 'no input "q"'), ("q=x", 'no output "q"'), ("*=*.in", "no such state")):
        assert words in failing("compile", text, "-o", out, "--state", state, status=2)
    assert "--dim is for ONNX models" in failing("compile", text, "-o", out, "--dim", "n=3", status=2)


def models_are_no_inputs(tmp):
    assert "is a model, no tensor" in failing("run", MNIST, "-i", MNIST)
    assert "is a model, no tensor" in failing("check", MNIST, "--data", MNIST, "--recipe", "fp8")
    odd = write(os.path.join(tmp, "x.txt"), "numbers")
    assert "read from .npy, .npz" in failing("run", MNIST, "-i", odd)
    assert "is missing: -i FILE, a .npy, .npz" in failing("run", MNIST, status=2)


def bare_object(tmp):
    """A C program of its own: the header alone names the model, the object holds the weights, and no header of the
    system hides behind one of the runtime."""
    obj, main, exe = (os.path.join(tmp, n) for n in ("digit.o", "main.c", "main"))
    made = ("compile", MNIST, "--recipe", "fp8", "--emit", "obj", "--symbol", "digit", "-o", obj, "--print-link")
    link = scalec(*made)
    assert json.loads(scalec(*made, "--json"))["link"] == link.strip()
    x, y = (os.path.join(tmp, n) for n in ("x.f32", "y.npy"))
    np.load(DIGIT).astype(np.float32).tofile(x)
    scalec("run", MNIST, "--recipe", "fp8", "-i", DIGIT, "-o", y)
    write(main, """#include "digit.h"
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv)
{
    static float x[28 * 28];
    ScrtTensor in = {.dtype = 1, .rank = 4, .dims = {1, 1, 28, 28}, .data = x}, out = {.data = NULL};
    ScrtSession *s;
    FILE *f = fopen(argv[argc - 1], "rb");
    if (!f || fread(x, 1, sizeof x, f) != sizeof x || scrt_open(&digit, NULL, &s) != SCRT_OK ||
        scrt_run(s, &in, &out) != SCRT_OK)
        return 1;
    float y[10];
    memcpy(y, out.data, sizeof y);
    for (int i = 0; i < 10; i++)
        printf("%.9g ", y[i]);
    scrt_free(out.data);
    scrt_close(s);
    return fclose(f);
}
""")
    include = ["-I" + tmp, "-I" + os.path.join(os.path.abspath(SOURCE), "runtime")]
    subprocess.run([*link.split(), "-Wall", "-Wextra", "-Werror", "-o", exe], check=True, cwd=tmp)
    got = subprocess.run([exe, x], capture_output=True, text=True, check=True).stdout.split()
    np.testing.assert_array_equal(np.array(got, np.float32), np.load(y)[0])
    header = write(os.path.join(tmp, "alone.c"), '#include "digit.h"\n#include "digit.h"\n')
    for language in ("c", "c++"):
        subprocess.run(["clang-19", "-x", language, "-fsyntax-only", "-Wall", "-Wextra", "-Werror", *include, header],
                       check=True)


def names_of_models(tmp):
    """Whatever the file is called: the name that the header declares is the object's, and the program starts. The
    command that --print-link says is one to paste, in whatever folder, and its program finds a shared object."""
    folder = os.path.join(tmp, "it's here, or there")
    os.mkdir(folder)
    main = "#include <%s.h>\n#include <stdio.h>\nint main(void)\n{\n    return puts(%s.name) == EOF;\n}\n"
    for name, symbol in (("k2", "k2"), ("c5", "c5"), ("argc", "argc"), ("main", "model_main"), ("scrt_run", "model_scrt_run"),
                         ("template", "model_template"), ("resnet-18.v1", "resnet_18")):
        out, exe = (os.path.join(folder, name + end) for end in (".o", ".exe"))
        scalec("compile", MNIST, "-o", exe)
        p = subprocess.run([exe, "-i", DIGIT, "--top", "1"], capture_output=True, text=True)
        assert p.returncode == 0 and "\n       3 " in p.stdout, (name, p)
        for kind in ("obj", "so") if name in ("k2", "resnet-18.v1") else ("obj",):
            link = scalec("compile", MNIST, "--emit", kind, "--print-link", "-o", out)
            write(os.path.join(tmp, "main.c"), main % (name if "." not in name else "resnet-18.v1", symbol))
            subprocess.run(link.strip() + " -Wall -Werror -o ran", shell=True, check=True, cwd=tmp)
            assert subprocess.run([os.path.join(tmp, "ran")], capture_output=True, text=True).stdout == "CNTKGraph\n", (name, kind)
    scalec("compile", MNIST, "--emit", "obj", "--embed-limit", 100, "-o", out)
    with open(os.path.join(folder, "resnet-18.v1.h")) as f:
        said = f.read()
    assert "ScrtOptions.weights_file" in said and "-lscrt -lm -pthread" in said, said


def deep(tmp):
    """Forty layers: what a recipe does to one layer's exponent must not add up to an overflow."""
    rng = np.random.default_rng(3)
    nodes, init, x = [], [], "x"
    for i in range(40):
        init.append((f"w{i}", (rng.standard_normal((64, 64)) / 6).astype(np.float32)))
        nodes += [helper.make_node("MatMul", [x, f"w{i}"], [f"m{i}"], name=f"m{i}"),
                  helper.make_node("Relu", [f"m{i}"], [f"h{i}"], name=f"r{i}")]
        x = f"h{i}"
    path, src = os.path.join(tmp, "deep.onnx"), os.path.join(tmp, "x.npy")
    onnx.save(model(nodes, [("x", [3, 64])], [(x, [3, 64])], init), path)
    np.save(src, rng.standard_normal((3, 64)).astype(np.float32))
    out = {}
    for recipe in ("f32", "fp8-weights", "fp8", "f16", "bf16"):
        dst = os.path.join(tmp, "y.npy")
        scalec("run", path, "-i", src, "-o", dst, "--recipe", recipe)
        out[recipe] = np.load(dst).astype(np.float64)
        error = np.linalg.norm(out[recipe] - out["f32"]) / np.linalg.norm(out["f32"])
        assert error < {"f32": 1e-9, "f16": 1e-2, "bf16": 0.1}.get(recipe, 0.5), (recipe, error)


def operand_maps(tmp):
    """An operation on what is added to a product joins its kernel, though it stands before it."""
    text = write(os.path.join(tmp, "g.sc"), """graph @g(%x: f32[m,8], %w: f32[8,5], %z: f32[m,5]) -> (%y) {
  %n = neg %z : f32[m,5]
  %p = matmul %x, %w : f32[m,5]
  %y = add %n, %p : f32[m,5]
}
""")
    rng = np.random.default_rng(4)
    npz, a, b = (os.path.join(tmp, n) for n in ("in.npz", "a.npy", "b.npy"))
    for m in (1, 9):
        np.savez(npz, x=rng.standard_normal((m, 8)).astype(np.float32),
                 w=rng.standard_normal((8, 5)).astype(np.float32), z=rng.standard_normal((m, 5)).astype(np.float32))
        scalec("run", text, "-i", npz, "-o", a)
        scalec("run", text, "-i", npz, "-o", b, "--evaluate")
        np.testing.assert_allclose(np.load(a), np.load(b), rtol=1e-5, atol=1e-5)


def hostile_names(tmp):
    """Names are data: a model's names never become paths, formats or C identifiers."""
    w = np.ones((4, 4), np.float32)
    name = "../../%s%n;rm -rf $(x)\n\"quoted\""
    m = model([helper.make_node("MatMul", ["x", name], ["y/../%n"], name=name)], [("x", [1, 4])],
              [("y/../%n", [1, 4])], [(name, w)])
    m.graph.name = name
    path, exe = os.path.join(tmp, "names.onnx"), os.path.join(tmp, "names")
    onnx.save(m, path)
    scalec("dump", path, "-o", os.path.join(tmp, "names.sc"))
    scalec("compile", path, "--emit", "obj", "-o", exe + ".o")
    scalec("compile", path, "-o", exe)
    np.save(os.path.join(tmp, "x.npy"), w[:1])
    subprocess.run([exe, "-i", os.path.join(tmp, "x.npy"), "-o", os.path.join(tmp, "y.npz")], check=True)


def outputs(tmp):
    """What lies at -o is replaced whole or not at all; links are followed, and what is no file stays."""
    fifo, link, real, npy = (os.path.join(tmp, n) for n in ("fifo", "link", "real", "link.npy"))
    os.mkfifo(fifo)
    before = os.lstat(fifo)
    assert "regular" in failing("compile", MNIST, "-o", fifo)
    for args in (["compile", MNIST, "--emit", "asm"], ["compile", MNIST, "--emit", "obj"], ["dump", MNIST]):
        reader = subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE)
        try:
            subprocess.run([SCALEC, *args, "-o", fifo], check=True, timeout=100)
            assert len(reader.communicate(timeout=100)[0]) > 1000, args
        finally:
            reader.kill()
        after = os.lstat(fifo)
        assert (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode), "a pipe was replaced"
    os.symlink("real", link)
    os.symlink("real", npy)
    for args in (["dump", MNIST], ["compile", MNIST, "--emit", "asm"], ["compile", MNIST]):
        write(real, "old")
        scalec(*args, "-o", link)
        assert os.path.islink(link) and os.path.getsize(real) > 1000, args
    write(real, "old")
    scalec("run", MNIST, "-i", DIGIT, "-o", npy)
    assert os.path.islink(npy) and np.load(real).shape == (1, 10)
    with open(os.path.join(tmp, "shell"), "w") as f:
        subprocess.run([SCALEC, "dump", MNIST, "-o", "/proc/self/fd/1"], stdout=f, check=True)
    assert os.path.getsize(os.path.join(tmp, "shell")) > 1000

    def lost(*args):
        """Nothing is left of, or beside, what could not be linked; what was there before is."""
        there = sorted(os.listdir(tmp))
        p = subprocess.run([SCALEC, "compile", MNIST, *args], capture_output=True, text=True,
                           env={**os.environ, "PATH": tmp})
        assert p.returncode == 1 and "E0403" in p.stderr, p.stderr
        assert sorted(os.listdir(tmp)) == there
    lost("-o", os.path.join(tmp, "a"), "--embed-limit", "100")
    lost("-o", os.path.join(tmp, "a.so"), "--emit", "so")
    exe = os.path.join(tmp, "big")
    scalec("compile", MNIST, "--embed-limit", "100", "-o", exe)
    lost("-o", exe, "--embed-limit", "100", "--recipe", "fp8")
    subprocess.run([exe, "-i", DIGIT], check=True, capture_output=True)
    os.unlink(exe + ".weights")
    os.mkfifo(exe + ".weights")
    p = subprocess.run([exe, "-i", DIGIT], capture_output=True, text=True, timeout=20)
    assert p.returncode == 1 and "big.weights" in p.stderr, p.stderr


run_all("tools-cli", (broken_inner, statuses, symbols_of_files, numbers, models_are_no_inputs, compiler_missing, dumps, folded_text_runs, states,
                      data_sets, executables, options, bare_object, names_of_models, deep, operand_maps, outputs, hostile_names))
