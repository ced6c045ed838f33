# SPDX-License-Identifier: Apache-2.0
"""Strings in files and on the screen: NumPy's U and S, ONNX's string_data, JSON, text; dumps that are models; ONNX written again."""
import json
import os
import subprocess
import sys

import numpy as np
from onnx import TensorProto, checker, helper, load, numpy_helper, save

sys.path.insert(0, os.path.dirname(__file__))
from command import failing, run_all, write, write_tensor  # noqa: E402
from scalec import SCALEC, scalec  # noqa: E402

WORDS = np.array([["hello", "Ünï"], ["", "日本\n\""]])


def make(tmp):
    """y = x + c; where x is in the list, its number."""
    def value(name, kind):
        return helper.make_tensor_value_info(name, kind, ["n", 2])
    nodes = [helper.make_node("StringConcat", ["x", "c"], ["y"]),
             helper.make_node("LabelEncoder", ["x"], ["i"], domain="ai.onnx.ml", keys_strings=["hello", ""], values_int64s=[7, 8])]
    c = helper.make_tensor("c", TensorProto.STRING, [2], ["!", "\\?"])
    g = helper.make_graph(nodes, "words", [value("x", TensorProto.STRING)], [value("y", TensorProto.STRING), value("i", TensorProto.INT64)], [c])
    m = helper.make_model(g, opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 4)], ir_version=9)
    path, exe = os.path.join(tmp, "words.onnx"), os.path.join(tmp, "words")
    save(m, path)
    scalec("compile", path, "-o", exe)
    return path, exe


def files(tmp):
    path, exe = make(tmp)
    src, dst = os.path.join(tmp, "x.npy"), os.path.join(tmp, "y.npz")
    want = np.array([["hello!", "Ünï\\?"], ["!", "日本\n\"\\?"]])
    for x in WORDS, np.asfortranarray(WORDS), WORDS.astype(WORDS.dtype.newbyteorder()), np.char.encode(WORDS, "utf-8"):
        np.save(src, x)
        for run in ([exe, "-i", src], [SCALEC, "run", path, "-i", src], [SCALEC, "run", path, "-i", src, "--evaluate"]):
            subprocess.run([*run, "-o", dst], check=True)
            got = np.load(dst)
            assert got["y"].dtype == want.dtype and (got["y"] == want).all(), (run, got["y"])
            assert got["i"].tolist() == [[7, -1], [8, -1]], got["i"]
    np.save(src, np.array([[b"\xff", b"a"]]))
    subprocess.run([exe, "-i", src, "-o", dst], check=True)
    assert np.load(dst)["y"].tolist() == [[b"\xff!", b"a\\?"]]
    np.save(src, WORDS.astype(object), allow_pickle=True)
    assert "elements of type '|O' are not supported" in failing("run", path, "-i", src)
    raw = write(os.path.join(tmp, "x.bin"), b"12345678" * 2)
    assert "bytes alone are no strings" in failing("run", path, "-i", raw)
    np.save(src, WORDS)
    assert "safetensors have no type string" in failing("run", path, "-i", src, "-o", os.path.join(tmp, "y.safetensors"))


def shown(tmp):
    path, exe = make(tmp)
    src = os.path.join(tmp, "x.npy")
    np.save(src, WORDS)
    out = subprocess.run([exe, "-i", src, "--json"], check=True, capture_output=True).stdout
    y = json.loads(out)["outputs"][0]
    assert y["type"] == "string" and y["dims"] == [2, 2] and y["data"] == ["hello!", "Ünï\\?", "!", "日本\n\"\\?"], y
    np.save(src, np.array([[b"\xff" * 3, b"long " * 40]]))
    out = subprocess.run([exe, "-i", src], check=True, capture_output=True).stdout.decode()
    assert "'???!'" in out and "...'" in out and max(map(len, out.splitlines())) < 200, out
    for more in (["--top", "1"], ["--repeat", "3"]):
        subprocess.run([exe, "-i", src, *more], check=True, capture_output=True)
    subprocess.run([exe, "--bench", "--dim", "n=3"], check=True, capture_output=True)


def data(tmp):
    """An ONNX test_data_set, compared exactly."""
    path, exe = make(tmp)
    folder = os.path.join(tmp, "test_data_set_0")
    os.makedirs(folder)
    for name, array in (("input_0", WORDS), ("output_0", np.array([["hello!", "Ünï\\?"], ["!", "日本\n\"\\?"]]))):
        write_tensor(os.path.join(folder, name + ".pb"), array.astype(object), name)
    subprocess.run([exe, "--data", folder], check=True, capture_output=True)
    write_tensor(os.path.join(folder, "output_0.pb"), np.array([["hello!", "Ünï\\?"], ["!", "日本"]], object), "output_0")
    p = subprocess.run([exe, "--data", folder, "--rtol", "9", "--atol", "9"], capture_output=True, text=True)
    assert p.returncode == 3 and "1 of 4 elements differ; worst at 3" in p.stdout and "expected '日本'" in p.stdout, p.stdout


def again(tmp):
    """Dumps of every stage are models, and so is what is written as ONNX."""
    path, exe = make(tmp)
    src, out = os.path.join(tmp, "x.npy"), {}
    np.save(src, WORDS)
    want = subprocess.run([exe, "-i", src], check=True, capture_output=True).stdout
    for stage in "import", "fold", "raise", "scalify", "expand", "fuse":
        sc = os.path.join(tmp, stage + ".sc")
        scalec("dump", path, "--stage", stage, "--recipe", "fp8", "--scales", "propagate", "-o", sc)
        out[stage] = scalec("run", sc, "-i", src).encode() if stage != "fuse" else want
        assert out[stage] == want, (stage, out[stage])
    model = load(path)
    del model.graph.node[1], model.graph.output[1]
    save(model, path)
    onnx = os.path.join(tmp, "again.onnx")
    scalec("dump", path, "--stage", "simplify", "--format", "onnx", "-o", onnx)
    checker.check_model(onnx)
    assert scalec("run", onnx, "-i", src) == scalec("run", path, "-i", src)


def beside_numbers(tmp):
    """Words that become rows of numbers, in FP8, with samples that outlive their files; diff sees strings that differ."""
    table, weight = (np.linspace(-2, 2, n * m).reshape(n, m).astype(np.float32) for n, m in ((3, 32), (32, 16)))
    nodes = [helper.make_node("StringNormalizer", ["x"], ["s"], case_change_action="LOWER", stopwords=["the"]),
             helper.make_node("LabelEncoder", ["s"], ["i"], domain="ai.onnx.ml", keys_strings=["a", "b"], values_int64s=[1, 2], default_int64=0),
             helper.make_node("Gather", ["t", "i"], ["e"]), helper.make_node("MatMul", ["e", "w"], ["y"])]
    g = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.STRING, ["n"])],
                          [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
                          [numpy_helper.from_array(table, "t"), numpy_helper.from_array(weight, "w")])
    m = helper.make_model(g, opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 4)], ir_version=9)
    path, exe, src, dst = (os.path.join(tmp, n) for n in ("m.onnx", "m", "x.npy", "y.npy"))
    save(m, path)
    np.save(src, np.array(["A", "the", "zz", "b"]))
    want = table[[1, 0, 2]] @ weight
    for more in (["--recipe", "f32"], ["--recipe", "fp8"], ["--recipe", "fp8", "--calibrate", src]):
        scalec("compile", path, *more, "-o", exe)
        subprocess.run([exe, "-i", src, "-o", dst], check=True)
        assert np.abs(np.load(dst) - want).max() <= (1e-4 if more[-1] == "f32" else 2), more
    scalec("check", path, "--data", src, "--recipe", "fp8")
    one, two = (write(os.path.join(tmp, c + ".sc"), f"""graph @g(%x: string[n]) -> (%y) {{
      %c = const "{c}" : string[]
      %y = string_concat %x, %c : string[n]
    }}""") for c in "ab")
    assert "output y: equal" in scalec("diff", one, one, "--data", src)
    assert "output y: equal" not in scalec("diff", one, two, "--data", src, status=3)
    assert "strings are not kept from run to run" in failing("compile", one, "--state", "y=x", "-o", exe)


def locale(tmp):
    """What StringNormalizer's locale would change is not done, which is said where letters change."""
    path, exe = os.path.join(tmp, "case.onnx"), os.path.join(tmp, "case")
    for attributes, warns in (({"locale": "tr_TR", "case_change_action": "UPPER"}, True), ({"locale": "tr_TR"}, False),
                              ({"locale": "en_US", "case_change_action": "UPPER"}, False), ({"case_change_action": "LOWER"}, False)):
        x, y = (helper.make_tensor_value_info(name, TensorProto.STRING, ["n"]) for name in "xy")
        g = helper.make_graph([helper.make_node("StringNormalizer", ["x"], ["y"], name="case", **attributes)], "g", [x], [y])
        save(helper.make_model(g, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)
        p = subprocess.run([SCALEC, "compile", path, "-o", exe], capture_output=True, text=True)
        assert p.returncode == 0, p.stderr
        said = 'warning[E0118] in StringNormalizer "case" (node 0): attribute is not heeded: "locale" tr_TR is not asked'
        assert (p.stderr.count(said), p.stderr.count("warning")) == (warns, warns), p.stderr


run_all("tools-strings", (files, shown, data, again, beside_numbers, locale))
