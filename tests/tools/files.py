# SPDX-License-Identifier: Apache-2.0
"""Files as they come: none is lost, none is waited for, none fills memory."""
import json
import os
import resource
import signal
import subprocess
import sys
import time

import ml_dtypes
import numpy as np
import onnx
from onnx import helper

sys.path.insert(0, os.path.dirname(__file__))
from command import DIGIT, MNIST, failing, measured, model, run_all, sanitized, write, write_tensor  # noqa: E402
from scalec import SCALEC, Skip, scalec  # noqa: E402


def small(tmp):
    """A model with external data, in m.onnx and w.bin."""
    w = np.arange(16, dtype=np.float32).reshape(4, 4)
    m = model([helper.make_node("MatMul", ["x", "w"], ["y"], name="mm")], [("x", [1, 4])], [("y", [1, 4])], [("w", w)])
    path = os.path.join(tmp, "m.onnx")
    onnx.save(m, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    return path


def folded(tmp):
    """A model whose text comes with constants that folding made."""
    w = np.random.default_rng(1).standard_normal((32, 32)).astype(np.float32)
    m = model([helper.make_node("Mul", ["a", "b"], ["w"]), helper.make_node("MatMul", ["x", "w"], ["y"])],
              [("x", [1, 32])], [("y", [1, 32])], [("a", w), ("b", w)])
    path = os.path.join(tmp, "folded.onnx")
    onnx.save(m, path)
    return path


def constants_of_texts(tmp):
    """A text finds its constants again: those in attributes, and those of nested graphs whose names are alike."""
    n, folder = 500, os.path.join(tmp, "texts")
    os.mkdir(folder)

    def branch(by):
        w = np.arange(n, dtype=np.float32) / np.float32(by)
        nodes = [helper.make_node("Constant", [], ["k"], value=onnx.numpy_helper.from_array(w)),
                 helper.make_node("Add", ["x", "k"], ["s"]), helper.make_node("Sub", ["s", "w"], ["z"])]
        return helper.make_graph(nodes, "g", [], [helper.make_tensor_value_info("z", 1, None)], [onnx.numpy_helper.from_array(-w, "w")])

    lists = [helper.make_node("Constant", [], ["f"], value_floats=[i / 7 for i in range(n)]),
             helper.make_node("Constant", [], ["i"], value_ints=list(range(n))),
             helper.make_node("Constant", [], ["s"], value_strings=[f"s{i}" for i in range(n)]),
             helper.make_node("Add", ["x", "f"], ["a"]), helper.make_node("Gather", ["i", "at"], ["b"]),
             helper.make_node("Gather", ["s", "at"], ["d"]),
             helper.make_node("If", ["c"], ["e"], then_branch=branch(3), else_branch=branch(7))]
    info = helper.make_tensor_value_info
    g = helper.make_graph(lists, "g", [info("x", 1, [n]), info("at", 7, [2]), info("c", 9, [])],
                          [info("a", 1, [n]), info("b", 7, [2]), info("d", 8, [2]), info("e", 1, [n])])
    path, text, data = (os.path.join(folder, name) for name in ("m.onnx", "m.sc", "in.npz"))
    onnx.save(helper.make_model(g, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    scalec("dump", path, "-o", text)
    x = np.ones(n, np.float32)
    for c in (True, False):
        np.savez(data, x=x, at=np.array([3, 499]), c=np.array(c))
        for source in (path, text):
            out = os.path.join(folder, "out.npz")
            scalec("run", source, "-i", data, "-o", out)
            y = np.load(out)
            np.testing.assert_allclose(y["a"], x + np.arange(n, dtype=np.float32) / 7, rtol=1e-5)
            np.testing.assert_allclose(y["e"], x + 2 * np.arange(n, dtype=np.float32) / (3 if c else 7), rtol=1e-5)
            assert y["b"].tolist() == [3, 499] and y["d"].tolist() == ["s3", "s499"], source


def bounded(*args, seconds=2, megabytes=300, stdin=None):
    """Standard error of a command that must refuse its input soon, within bounds of time and memory. The time is that of
    the processor: on a busy machine a command waits for others, but not for ever."""
    status, spent, used, kilobytes, err = measured(*args, stdin=stdin)
    assert status in (1, 2), f"status {status}: {err}"
    assert used < seconds and spent < 10 * seconds, f"{args}: {used} s of the processor's, {spent} s"
    assert sanitized() or kilobytes < megabytes << 10, f"{args}: {kilobytes >> 10} MB"
    return err


def inputs_stay(tmp):
    """An input is never an output, by whatever name it is reached."""
    path, digit = small(tmp), os.path.join(tmp, "digit.npy")
    np.save(digit, np.load(DIGIT))
    link, hard = os.path.join(tmp, "link"), os.path.join(tmp, "hard")
    os.symlink("m.onnx", link)
    os.link(path, hard)
    text, stats, recipe = (os.path.join(tmp, n) for n in ("t.sc", "m.stats", "my.recipe"))
    write(recipe, "name = mine\nweight = f8e4m3fn\n")
    scalec("dump", folded(tmp), "--stage", "raise", "-o", text)
    scalec("dump", MNIST, "--recipe", "fp8", "--calibrate", digit, "--save-stats", stats)
    weights = os.path.join(tmp, "w.bin")
    tasks = [(("dump", path), out) for out in (path, link, hard, weights)]
    tasks += [(("compile", path, "--emit", k), path) for k in ("asm", "obj", "exe", "so")]
    tasks += [(("compile", path), weights), (("dump", text), text), (("dump", text), text + ".npz"),
              (("dump", MNIST, "--recipe", recipe), recipe), (("run", MNIST, "-i", digit), digit),
              (("dump", MNIST, "--recipe", "fp8", "--calibrate", digit), digit),
              (("dump", MNIST, "--recipe", "fp8", "--calibrate", stats), stats)]
    for args, out in tasks:
        before = open(out, "rb").read()
        err = failing(*args, "-o", out)
        assert ("E0111" in err and err.startswith(out + ":")) or args[0] == "run", (args, out, err)
        assert open(out, "rb").read() == before, f"{args} -o {out}"
    before = open(digit, "rb").read()
    err = failing("dump", MNIST, "--recipe", "fp8", "--calibrate", digit, "--save-stats", digit)
    assert "E0111" in err and open(digit, "rb").read() == before, err


def outputs_are_asked_of_first(tmp):
    """check refuses where its results cannot go before it measures: nothing is on standard output."""
    path, stats = small(tmp), os.path.join(tmp, "new.stats")
    data = os.path.join(tmp, "x.npy")
    np.save(data, np.ones((1, 4), np.float32))
    before = open(path, "rb").read()
    check = [SCALEC, "check", path, "--recipe", "fp8", "--calibrate", data, "--data", data, "--save-stats", stats]
    for option in (["--html"], ["--suggest", "20", "-o"]):
        for out, why in ((path, "it is an input"), (os.path.join(tmp, "w.bin"), "it is an input"), (data, "it is an input"),
                         (tmp, "Is a directory"), (os.path.join(tmp, "none", "a"), "No such file")):
            p = subprocess.run([*check, *option, out], capture_output=True, text=True)
            assert p.returncode == 1 and why in p.stderr and not p.stdout and not os.path.exists(stats), (option, out, p)
    assert open(path, "rb").read() == before
    scalec(*check[1:], "--html", os.path.join(tmp, "page"))
    assert os.path.exists(stats)
    # And compile, dump and rewrite before they run the model on synthetic inputs, whose programs go there too.
    none = os.path.join(tmp, "none", "a")
    for beside in ("a.weights", "b.h", "c.npz", "d.onnx.data"):
        os.mkdir(os.path.join(tmp, beside))
    a, b, c, d = (os.path.join(tmp, n) for n in ("a", "b.so", "c", "d.onnx"))
    for args in (("compile", MNIST, "-o", a), ("compile", MNIST, "--emit", "so", "-o", b), ("dump", MNIST, "-o", c), ("rewrite", MNIST, "-o", d),
                 ("compile", MNIST, "-o", none), ("dump", MNIST, "-o", none), ("rewrite", MNIST, "-o", none),
                 ("compile", MNIST, "-o", tmp), ("compile", MNIST, "-o", os.path.join(tmp, "m"), "--lines", none)):
        err = failing(*args, "--recipe", "fp8", "--save-stats", os.path.join(tmp, "late.stats"))
        assert "E0111" in err and "warning" not in err and not os.path.exists(os.path.join(tmp, "late.stats")), (args, err)


def samples_are_asked_of_first(tmp):
    """check opens its samples before a probe runs: nothing that the probe measures is written."""
    stats, empty, other = (os.path.join(tmp, n) for n in ("new.stats", "empty", "other.npz"))
    os.mkdir(empty)
    np.savez(other, x=np.ones(1, np.float32))
    for data, why in ((os.path.join(tmp, "none"), "No such file"), (empty, "no file of samples"), (other, "does not fit")):
        for recipe in ("fp8", "fp8,mxfp8"):
            err = failing("check", MNIST, "--recipe", recipe, "--data", data, "--save-stats", stats)
            assert why in err and "warning" not in err and not os.path.exists(stats), (data, recipe, err)


def inputs_that_are_read_late_stay(tmp):
    """What is written early, or by the runtime, is none of what another reader reads later."""
    names = ("x.npy", "x.npz", "x.bin", "names.bin", "names.npz", "mine.recipe", "set/test_data_set_0/input_0.pb",
             "set/test_data_set_0/output_0.pb")
    npy, npz, raw, names_bin, names_npz, recipe, pb, want = paths = [os.path.join(tmp, n) for n in names]
    x = np.load(DIGIT).astype(np.float32)
    os.makedirs(os.path.dirname(pb))
    np.save(npy, x)
    np.savez(npz, Input3=x)
    x.tofile(raw)
    for f in (names_bin, names_npz):
        write(f, "\n".join(map(str, range(10))))
    write(recipe, "name = mine\nweight = f8e4m3fn\n")
    for f, a, name in ((pb, x, "Input3"), (want, np.zeros((1, 10), np.float32), "Plus214_Output_0")):
        write_tensor(f, a, name)
    folder, save, fp8 = os.path.join(tmp, "set"), "--save-stats", ("--recipe", "fp8", "--calibrate", npy)
    top = ("--top", "1", "--labels")
    tasks = [((c, MNIST, *fp8, "--data", data, *more, save), out)
             for c, more in (("check", ()), ("dump", ("--eval-each",)), ("compile", ("--eval-each", "-o", "none")))
             for data, out in ((npz, npz), (raw, raw), (folder, pb))]
    tasks += [(("check", MNIST, *fp8, "--data", folder, save), want), (("run", MNIST, *fp8, "--data", folder, save), want),
              (("check", MNIST, "--recipe", "fp8," + recipe, "--calibrate", npy, "--data", npy, save), recipe)]
    tasks += [(("run", MNIST, *fp8, "-i", i, save), out) for i, out in ((npz, npz), ("Input3=" + raw, raw), (pb, pb))]
    tasks += [(("run", MNIST, "--recipe", "fp8", "--calibrate", f, "-i", npy, o), f) for f in (npz, raw) for o in ("-o", "--state-save")]
    tasks += [(("run", MNIST, "--recipe", recipe, "-i", npy, "--state-save"), recipe),
              (("run", MNIST, *fp8, "-i", npy, *top, names_bin, save), names_bin),
              (("run", MNIST, "-i", npy, *top, names_bin, "-o"), names_bin),
              (("run", MNIST, "-i", npy, *top, names_npz, "--state-save"), names_npz)]
    before = {f: open(f, "rb").read() for f in paths}
    for args, out in tasks:
        err = failing(*args, out)
        assert "it is an input" in err and all(open(f, "rb").read() == b for f, b in before.items()), (args, out, err)
    exe, own, states, sidecar = (os.path.join(tmp, n) for n in ("exe", "own.bin", "states.npz", "exe.weights"))
    total = write(os.path.join(tmp, "total.sc"), "graph @g(%Input3: f32[1,1,28,28]) -> (%s) {\n  state @a (%p: f32[1,1,28,28] -> %s)\n"
                                                 "  %s = add %p, %Input3 : f32[1,1,28,28]\n}\n")
    scalec("compile", MNIST, "--embed-limit", 100, "-o", exe)
    scalec("compile", total, "-o", own)
    subprocess.run([own, "-i", npy, "--state-save", states], check=True, capture_output=True)
    os.rename(sidecar, sidecar + ".bin")
    os.symlink(sidecar + ".bin", sidecar)
    for args, out in (([exe, "-i", npy, "-o"], npy), ([exe, "-i", npy, *top, names_bin, "-o"], names_bin),
                      ([exe, "-i", npy, *top, names_npz, "--state-save"], names_npz), ([exe, "-i", npy, "-o"], sidecar + ".bin"),
                      ([exe, "-i", npy, "--weights", sidecar + ".bin", "-o"], sidecar + ".bin"), ([own, "-i", npy, "-o"], own),
                      ([own, "-i", npy, "--state-load", states, "-o"], states), ([SCALEC, "run", total, "-i", npy, "--state-load", states, "-o"], states)):
        was = open(out, "rb").read()
        p = subprocess.run([*args, out], capture_output=True, text=True)
        assert p.returncode == 1 and f"{out}: " in p.stderr and "it is an input" in p.stderr, (args, out, p.stderr)
        assert open(out, "rb").read() == was, (args, out)
    for start in ([own], [SCALEC, "run", total]):  # states move on
        subprocess.run([*start, "-i", npy, "--state-load", states, "--state-save", states], check=True, capture_output=True)
    np.testing.assert_array_equal(np.load(states)["a"], 3 * x)


def no_regular_file(tmp):
    """A pipe without a writer, a device, a huge hole: refused soon; a pipe with a writer is read."""
    fifo, hole, npy = (os.path.join(tmp, n) for n in ("fifo", "hole", "hole.npy"))
    os.mkfifo(fifo)
    write(hole, "")
    os.truncate(hole, 3 << 30)
    with open(npy, "wb") as f:
        np.lib.format.write_array_header_1_0(f, {"descr": "<f4", "fortran_order": False, "shape": (750 << 20,)})
        f.truncate(f.tell() + (3000 << 20))
    assert "nothing writes" in bounded("dump", fifo)
    assert "device" in bounded("dump", "/dev/zero")
    assert "bytes of at most" in bounded("dump", hole)
    os.truncate(hole, 1 << 30)
    assert "E0102" in bounded("dump", hole)
    with open("/dev/zero", "rb") as zero:
        assert "device" in bounded("dump", "-", stdin=zero)
    for path in (fifo, "/dev/zero", hole, npy):
        assert path in bounded("run", MNIST, "-i", path)
        assert path in bounded("run", MNIST, "--data", path)
    assert "of at most 67108864" in bounded("run", MNIST, "-i", DIGIT, "--top", "1", "--labels", hole)
    for path, word in ((fifo, "nothing writes"), ("/dev/zero", "device"), (tmp, "folder")):
        assert word in bounded("run", MNIST, "-i", DIGIT, "--state-load", path)
        assert word in bounded("diff", MNIST, path) and word in bounded("ops", path)
        assert word in bounded("compile", MNIST, "--entry", "more=" + path, "-o", os.path.join(tmp, "none"))
        assert path in bounded("dump", MNIST, "--recipe", "fp8", "--calibrate", path)
    assert "nothing writes" in bounded("dump", MNIST, "--recipe", fifo)
    assert "device" in bounded("dump", MNIST, "--recipe", "/dev/zero")
    for start in (b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"P6\n20000 20000\n255\n"):  # as pictures begin
        with open(hole, "r+b") as f:
            f.write(start)
        for args in (["run", MNIST, "-i", hole], ["check", MNIST, "--recipe", "fp8", "--data", hole]):
            assert hole in bounded(*args)
    endless = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
    try:
        assert "goes on" in bounded("dump", "-", stdin=endless.stdout)
    finally:
        endless.kill()
    for args in (["dump", fifo], ["run", MNIST, "-i", fifo]):
        source = DIGIT if args[0] == "run" else MNIST
        feed = subprocess.Popen(["sh", "-c", f"sleep 0.3; cat {source} >{fifo}"])
        scalec(*args, timeout=60)
        feed.wait(timeout=60)
    assert "graph @" in scalec("dump", "-", stdin=open(MNIST, "rb"))
    assert "nothing reads" in failing("dump", MNIST, "-o", fifo)


def archives(tmp):
    """An archive is asked for types and shapes before it is unpacked; what it holds is said."""
    npz, digit = os.path.join(tmp, "a.npz"), np.load(DIGIT)
    exe = os.path.join(tmp, "exe")
    scalec("compile", MNIST, "-o", exe)
    for shape, dtype in (((300 << 20,), np.uint8), ((16 << 20, 4), np.float32)):
        np.savez_compressed(npz, Input3=np.zeros(shape, dtype))
        for args in (["run", MNIST, "-i", npz], ["check", MNIST, "--recipe", "fp8", "--data", npz],
                     ["dump", MNIST, "--calibrate", npz, "--recipe", "fp8"]):
            err = bounded(*args, megabytes=150)
            assert npz in err and "Input3" in err, err
    np.savez_compressed(npz, Input3=digit, other=np.zeros(300 << 20, np.uint8), words=np.array(["a", "bc"]))
    scalec("run", MNIST, "-i", npz)
    scalec("dump", MNIST, "--calibrate", npz, "--recipe", "fp8")
    np.savez(npz, one=digit, two=digit)
    for args in (["run", MNIST, "-i", npz], ["check", MNIST, "--recipe", "fp8", "--data", npz]):
        err = failing(*args)
        assert "one" in err and "two" in err and "Input3" in err, err
    np.savez(npz, digit)
    want = scalec("run", MNIST, "-i", DIGIT, "--top", 3)
    assert scalec("run", MNIST, "-i", npz, "--top", 3) == want
    assert "SQNR" in scalec("check", MNIST, "--data", npz, "--recipe", "fp8")
    p = subprocess.run([exe, "-i", npz, "--top", "3"], capture_output=True, text=True)
    assert p.stdout == want, p.stderr


def safetensors(tmp):
    """Inputs and outputs, also of the types that NumPy lacks."""
    src, dst, digit = os.path.join(tmp, "x.safetensors"), os.path.join(tmp, "y.safetensors"), np.load(DIGIT)
    meta = {"__metadata__": {"format": "np", "a\"b": "\u00e9"}}

    def save(path, **arrays):
        head, at, data = dict(meta), 0, b""
        for name, (kind, shape, raw) in arrays.items():
            head[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + len(raw)]}
            at += len(raw)
            data += raw
        text = json.dumps(head).encode()
        with open(path, "wb") as f:
            f.write(len(text).to_bytes(8, "little") + text + data)

    def load(path):
        raw = open(path, "rb").read()
        n = int.from_bytes(raw[:8], "little")
        return {k: (v["dtype"], v["shape"], raw[8 + n:][slice(*v["data_offsets"])])
                for k, v in json.loads(raw[8:8 + n]).items()}
    save(src, Input3=("F32", [1, 1, 28, 28], digit.astype(np.float32).tobytes()), extra=("U8", [2], b"ab"))
    scalec("run", MNIST, "-i", src, "-o", dst)
    npy = os.path.join(tmp, "y.npy")
    scalec("run", MNIST, "-i", DIGIT, "-o", npy)
    (kind, shape, raw), = load(dst).values()
    assert (kind, shape) == ("F32", [1, 10])
    np.testing.assert_array_equal(np.frombuffer(raw, np.float32), np.load(npy)[0])
    text = write(os.path.join(tmp, "low.sc"), """graph @low(%a: f8e4m3fn[2,4], %b: bf16[3,1], %d: bool[2]) -> (%w, %x, %z) {
  %w = transpose %a {perm = [1,0]} : f8e4m3fn[4,2]
  %x = transpose %b {perm = [1,0]} : bf16[1,3]
  %z = not %d : bool[2]
}
""")
    a, b = bytes(range(8)), bytes(range(6))
    save(src, a=("F8_E4M3", [2, 4], a), b=("BF16", [3, 1], b), d=("BOOL", [2], bytes([0, 7])))
    scalec("run", text, "-i", src, "-o", dst)
    got = load(dst)
    assert got["w"] == ("F8_E4M3", [4, 2], bytes([0, 4, 1, 5, 2, 6, 3, 7])), got
    assert got["x"] == ("BF16", [1, 3], b), got
    assert got["z"] == ("BOOL", [2], bytes([1, 0])), got
    npz = os.path.join(tmp, "y.npz")
    scalec("run", text, "-i", src, "-o", npz)
    back = np.load(npz)
    assert back["w"].view(ml_dtypes.float8_e4m3fn).shape == (4, 2) and back["w"].dtype.kind == "V", back["w"].dtype
    assert back["x"].view(ml_dtypes.bfloat16).tobytes() == b
    np.savez(npz, a=np.frombuffer(a, ml_dtypes.float8_e4m3fn).reshape(2, 4), b=np.frombuffer(b, ml_dtypes.bfloat16).reshape(3, 1),
             d=np.array([False, True]))
    scalec("run", text, "-i", npz, "-o", dst)
    assert load(dst) == got
    save(src, Input3=("F32", [1, 1, 28, 28], b"short"))
    assert "Input3" in failing("run", MNIST, "-i", src)


def cut_short(tmp):
    """A mapped model that is cut while it is read ends the command with a message, not by a signal."""
    path = os.path.join(tmp, "large.onnx")
    w = np.random.default_rng(1).standard_normal((4096, 8192), np.float32)
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    onnx.save(model([node], [("x", [1, 4096])], [("y", [1, 8192])], [("w", w)]), path)
    p = subprocess.Popen([SCALEC, "compile", path, "-o", os.path.join(tmp, "exe")], stderr=subprocess.PIPE, text=True)
    while p.poll() is None:
        with open(f"/proc/{p.pid}/maps") as f:
            if path in f.read():
                os.truncate(path, 4096)
                break
    _, err = p.communicate(timeout=60)
    assert p.returncode == 1 and "cut short" in err, (p.returncode, err)
    assert os.listdir(tmp) == ["large.onnx"], os.listdir(tmp)


def outputs_stay_whole(tmp):
    """Whatever goes wrong, the old output is whole, nothing is left beside it, and the message names it."""
    exe, slow = os.path.join(tmp, "exe"), os.path.join(tmp, "slow")
    scalec("compile", MNIST, "--embed-limit", 100, "-o", exe)
    os.mkdir(slow)
    write(os.path.join(slow, "cc"), f"#!/bin/sh\n>{slow}/began\nsleep 30\n")
    os.chmod(os.path.join(slow, "cc"), 0o755)
    there = {f: open(os.path.join(tmp, f), "rb").read() for f in ("exe", "exe.weights")}

    def unchanged():
        assert sorted(os.listdir(tmp)) == ["exe", "exe.weights", "slow"], os.listdir(tmp)
        assert all(open(os.path.join(tmp, f), "rb").read() == b for f, b in there.items())
    for args in (["compile", MNIST, "--embed-limit", "100", "--recipe", "fp8"], ["compile", MNIST, "--emit", "obj"],
                 ["compile", MNIST, "--emit", "asm"], ["dump", MNIST]):
        p = subprocess.run([SCALEC, *args, "-o", exe], capture_output=True, text=True, timeout=60,
                           preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)))
        assert p.returncode == 1 and "too large" in p.stderr, (args, p.stderr)
        assert p.stderr.startswith(exe) or "exe" in p.stderr, p.stderr
        unchanged()
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        p = subprocess.Popen([SCALEC, "compile", MNIST, "-o", exe], stderr=subprocess.PIPE,
                             preexec_fn=lambda: signal.signal(sign, signal.SIG_DFL),  # a shell's & ignores some
                             env={**os.environ, "PATH": slow + ":" + os.environ["PATH"]})
        for _ in range(400):
            if os.path.exists(os.path.join(slow, "began")):
                break
            time.sleep(0.05)
        os.unlink(os.path.join(slow, "began"))
        p.send_signal(sign)
        assert p.wait(timeout=20) == -sign, p.stderr.read()
        unchanged()
    full = os.path.join(tmp, "full")
    write(full, "")
    scalec("compile", MNIST, "--embed-limit", 100, "-o", exe, env={**os.environ, "TMPDIR": full})
    os.unlink(full)
    unchanged()
    pair = [subprocess.Popen([SCALEC, "compile", MNIST, "--recipe", r, "--embed-limit", "100", "-o", exe])
            for r in ("f32", "fp8", "f16")]
    assert [p.wait(timeout=100) for p in pair] == [0, 0, 0]
    subprocess.run([exe, "-i", DIGIT], check=True, capture_output=True)
    assert sorted(os.listdir(tmp)) == ["exe", "exe.weights", "slow"], os.listdir(tmp)
    so = os.path.join(tmp, "m5.so")
    scalec("compile", MNIST, "--emit", "so", "-o", so)
    names = subprocess.run(["nm", "-D", "--defined-only", so], capture_output=True, text=True, check=True).stdout
    names = {line.split()[-1] for line in names.strip().split("\n")}
    assert "m5" in names and all(n == "m5" or n.startswith("scrt_") for n in names), names


# Runs a command where the folder $1 is a small file system of its own, full but for $3 bytes, with an old output.
SMALL_DISK = """
mount -t tmpfs -o size=64k none "$1" || exit 77
echo old >"$1/out"
cat /dev/zero >"$1/fill" 2>/dev/null
truncate -s "-$3" "$1/fill"
[ "$2" = rw ] || mount -o remount,ro "$1"
folder=$1
shift 3
"$@"
echo "status $?"
ls "$folder"
cat "$folder/out"
"""


def full_and_read_only_disks(tmp):
    """The old output stays, nothing is left beside it, the message names the file."""
    disk, exe = os.path.join(tmp, "disk"), os.path.join(tmp, "exe")
    os.mkdir(disk)
    out = os.path.join(disk, "out")
    scalec("compile", MNIST, "-o", exe)
    total, own = os.path.join(tmp, "total.sc"), os.path.join(tmp, "own")
    write(total, "graph @g(%x: f32[1,1,28,28]) -> (%s) {\n  state @a (%p: f32[1,1,28,28] -> %s)\n"
                 "  %q = mul %x, %x : f32[1,1,28,28]\n  %s = add %p, %q : f32[1,1,28,28]\n}\n")
    scalec("compile", total, "-o", own)

    def on_disk(kind, free, *args):
        return subprocess.run(["unshare", "-rm", "sh", "-c", SMALL_DISK, "sh", disk, kind, free, *map(str, args)],
                              capture_output=True, text=True)
    try:
        p = on_disk("rw", "0", "true")
    except FileNotFoundError:
        raise Skip("no unshare") from None
    if p.returncode == 77 or "status 0" not in p.stdout:
        raise Skip("this system lets nobody mount: " + p.stderr.strip())
    tasks = [[SCALEC, "compile", MNIST, "-o", out], [SCALEC, "compile", MNIST, "--emit", "so", "-o", out],
             [SCALEC, "compile", MNIST, "--emit", "obj", "-o", out], [SCALEC, "compile", MNIST, "--emit", "asm", "-o", out],
             [SCALEC, "compile", MNIST, "--embed-limit", "100", "-o", out], [SCALEC, "dump", MNIST, "-o", out],
             [SCALEC, "dump", MNIST, "--recipe", "fp8", "--calibrate", DIGIT, "--save-stats", out], [SCALEC, "rewrite", MNIST, "-o", out],
             [SCALEC, "compile", MNIST, "-o", exe + "3", "--lines", out],
             [SCALEC, "check", MNIST, "--recipe", "fp8", "--data", DIGIT, "--suggest", "10", "-o", out],
             [SCALEC, "run", total, "-i", DIGIT, "--state-save", out], [own, "-i", DIGIT, "--state-save", out]]
    for task in tasks:
        for kind, free in (("rw", "0"), ("rw", "4096"), ("ro", "0")):
            if free == "4096" and (task[1] not in ("compile", "rewrite") or "--lines" in task):
                continue  # it fits
            p = on_disk(kind, free, *task)
            assert "status 1\nfill\nout\nold\n" in p.stdout, (task, kind, free, p)
            assert out + ": " in p.stderr and ("No space" in p.stderr or "Read-only" in p.stderr), (task, kind, free, p.stderr)
    for free in ("0", "4096"):
        p = on_disk("rw", free, SCALEC, "compile", MNIST, "-o", exe + "2")
        assert "status 0" in p.stdout, p
        p = on_disk("rw", free, "env", "TMPDIR=" + disk, SCALEC, "compile", MNIST, "--recipe", "fp8", "-o", exe + "2")
        assert "status 0\nfill\nout\nold\n" in p.stdout, p
    for kind, word in (("rw", "No space"), ("ro", "Read-only")):
        npy = os.path.join(disk, "y.npy")
        p = on_disk(kind, "0", exe, "-i", DIGIT, "-o", npy)
        assert "status 1\nfill\nout\nold\n" in p.stdout and npy in p.stderr and word in p.stderr, p


run_all("tools-files", (constants_of_texts, full_and_read_only_disks, inputs_stay, outputs_are_asked_of_first, samples_are_asked_of_first, inputs_that_are_read_late_stay, no_regular_file, archives, safetensors, cut_short, outputs_stay_whole))
