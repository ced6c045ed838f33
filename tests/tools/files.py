# SPDX-License-Identifier: Apache-2.0
"""Files as they come: none is lost, none is waited for, none fills memory."""
import os
import resource
import subprocess
import sys
import time

import numpy as np
import onnx
from onnx import helper

sys.path.insert(0, os.path.dirname(__file__))
from command import DIGIT, MNIST, failing, model, run_all, write  # noqa: E402
from scalec import SCALEC, scalec  # noqa: E402


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


def bounded(*args, seconds=2, megabytes=300, stdin=None):
    """Standard error of a command that must refuse its input soon, within bounds of time and memory."""
    begin = time.monotonic()
    p = subprocess.Popen([SCALEC, *args], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, stdin=stdin, text=True)
    err = p.stderr.read()
    _, status, use = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    assert p.returncode in (1, 2), f"status {p.returncode}: {err}"
    assert time.monotonic() - begin < seconds, f"{args}: {time.monotonic() - begin:.1f} s"
    limit = megabytes << 10
    assert "SANITIZE" in os.environ or use.ru_maxrss < limit, f"{args}: {use.ru_maxrss >> 10} MB"
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
    exe = os.path.join(tmp, "exe")
    scalec("compile", MNIST, "-o", exe)
    before = open(digit, "rb").read()
    p = subprocess.run([exe, "-i", digit, "-o", digit], capture_output=True, text=True)
    assert p.returncode == 1 and digit in p.stderr and open(digit, "rb").read() == before, p.stderr


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
    for path in (fifo, "/dev/zero", hole):
        assert path in bounded("run", MNIST, "-i", path)
        assert path in bounded("run", MNIST, "--data", path)
    assert "nothing writes" in bounded("dump", MNIST, "--recipe", fifo)
    assert "device" in bounded("dump", MNIST, "--recipe", "/dev/zero")
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


run_all("tools-files", (inputs_stay, no_regular_file))
