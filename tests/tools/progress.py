# SPDX-License-Identifier: Apache-2.0
"""What is shown of the work: progress on a terminal, the time of each stage, the closing line."""
import json
import os
import pty
import re
import subprocess
import sys
import time

import numpy as np
import onnx
from onnx import helper

sys.path.insert(0, os.path.dirname(__file__))
from command import DIGIT, MNIST, model, run_all, write  # noqa: E402
from scalec import SCALEC, Skip  # noqa: E402


def slow_cc(tmp, seconds):
    """An environment whose cc takes its time."""
    folder = os.path.join(tmp, "bin")
    os.makedirs(folder, exist_ok=True)
    write(os.path.join(folder, "cc"), f'#!/bin/sh\nsleep {seconds}\nPATH="${{PATH#*:}}"\nexec cc "$@"\n')
    os.chmod(os.path.join(folder, "cc"), 0o755)
    return {**os.environ, "PATH": folder + ":" + os.environ["PATH"]}


def on_terminal(args, until=None, **more):
    """What a command writes to a terminal; it is ended once `until` was seen."""
    try:
        ours, its = pty.openpty()
    except OSError as e:
        raise Skip(f"no terminal can be had: {e}") from e
    p = subprocess.Popen([SCALEC, *args], stdin=its, stdout=its, stderr=its, **more)
    os.close(its)
    out = b""
    while not (until and re.search(until, out)):
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        out += piece
    if until:
        p.kill()
    os.close(ours)
    return out.decode(), p.wait(timeout=100)


def stages_are_drawn(tmp):
    """After two seconds: what is being done and for how long; nothing of it is left."""
    args = ["compile", MNIST, "-o", os.path.join(tmp, "m")]
    out, status = on_terminal(args, env=slow_cc(tmp, 3))
    assert status == 0 and "\rscalec compile: linking, 2 s\033[K" in out, out
    assert re.search(r"\r\033\[K[^\r\033]*: \d+ kernels[^\r]*\r\n$", out), repr(out)
    p = subprocess.run([SCALEC, *args], capture_output=True, text=True, env=slow_cc(tmp, 2.5))
    assert p.returncode == 0 and "\r" not in p.stderr and not p.stdout, p.stderr


def share_and_time_left(tmp):
    samples = os.path.join(tmp, "many.npz")
    np.savez(samples, Input3=np.repeat(np.load(DIGIT), 3000, axis=0))
    for args in (["check", MNIST, "--recipe", "fp8", "--data", samples],
                 ["compile", MNIST, "--recipe", "fp8", "--calibrate", samples, "-o", os.path.join(tmp, "m")]):
        out, _ = on_terminal(args, until=rb"(samples|calibrate) \d+ %, \d+ s left")
        assert "s left" in out, repr(out)


def times_are_whole(tmp):
    """The stages and what lies between them are the time that passes."""
    args = [SCALEC, "compile", MNIST, "--recipe", "fp8", "--verify", "--time-passes", "-o", os.path.join(tmp, "m")]
    begin = time.monotonic()
    p = subprocess.run(args, capture_output=True, text=True, env=slow_cc(tmp, 1))
    spent = 1e3 * (time.monotonic() - begin)
    lines = re.findall(r"^(\S.*?) +([\d.]+) ms(?:  (\d+) nodes)?$", p.stderr, re.M)
    times = {name: float(ms) for name, ms, _ in lines}
    passes = "import fold simplify raise scalify quantize settle expand layout fuse".split()
    assert sorted(times) == sorted(passes + "hash verify probe codegen packing LLVM cost linking".split() + ["the rest", "all"]), times
    assert abs(sum(times.values()) - 2 * times["all"]) < 1, times
    assert times["all"] <= spent and times["linking"] > 1000, (spent, times)
    assert times["the rest"] < 0.2 * times["all"], times
    assert {name for name, _, nodes in lines if nodes} == set(passes), lines
    p = subprocess.run([SCALEC, "run", MNIST, "-i", DIGIT, "--repeat", "30000", "--threads", "1", "--time-passes"], capture_output=True, text=True)
    times = {name: float(ms) for name, ms in re.findall(r"^(\S.*?) +([\d.]+) ms", p.stderr, re.M)}
    assert p.returncode == 0 and times["run"] > 0.3 * times["all"] and times["the rest"] < 0.2 * times["all"], times


def closing_line(tmp):
    out = os.path.join(tmp, "m")
    for recipe, weights, where in (("f32", 30248, "none of 3 {} stored low"), ("fp8", 7912, "f8e4m3fn in 3 of 3 {}"),
                                   ("fp8-weights", 7912, "f8e4m3fn beside wider operands in 3 of 3 {}")):
        args = [SCALEC, "compile", MNIST, "--cpu", "x86-64-v3", "--recipe", recipe, "-o", out]
        p = subprocess.run(args, capture_output=True, text=True)
        kernels, line = re.match(rf"{out}: (\d+) kernels, (.*)\n$", p.stderr).groups()
        line, _, cost = line.partition("; outputs beside f32's on synthetic inputs: SQNR ")
        assert bool(cost) == (recipe != "f32"), p.stderr
        more = " (packed for speed)" if weights > 23976 else ""
        assert line == f"weights 23976 -> {weights} bytes{more}, {where}".format("matmuls and convolutions") and not p.stdout, p.stderr
        p = subprocess.run(args + ["--json"], capture_output=True, text=True)
        got = json.loads(p.stdout)
        assert (got["kernels"], got["constants_before"], got["weights"]) == (int(kernels), 23976, weights), got
        assert got["products"] == 3 and sum(x["all"] + x["beside_wider"] for x in got["low"]) == 3 * (recipe != "f32"), got
    p = subprocess.run([SCALEC, "compile", MNIST, "--embed-limit", "100", "-o", out], capture_output=True, text=True)
    assert f" bytes (packed for speed) in {out}.weights, none" in p.stderr, p.stderr
    # the integers of a model that somebody quantized are stored low, too
    w = np.random.default_rng(1).integers(-127, 128, (64, 32)).astype(np.int8)
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]), helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
             helper.make_node("DequantizeLinear", ["w", "s"], ["v"]), helper.make_node("MatMul", ["d", "v"], ["y"])]
    path = os.path.join(tmp, "qdq.onnx")
    onnx.save(model(nodes, [("x", [5, 64])], [("y", [5, 32])], [("w", w), ("s", np.float32(0.1)), ("z", np.uint8(7))]), path)
    p = subprocess.run([SCALEC, "compile", path, "-o", out], capture_output=True, text=True)
    assert re.search("i16 in 1 of 1 matmuls", p.stderr), p.stderr
    # a picture's bytes are what it is, not how it is stored
    nodes = [helper.make_node("Cast", ["x"], ["f"], to=1), helper.make_node("Mul", ["f", "s"], ["d"]),
             helper.make_node("MatMul", ["d", "v"], ["y"])]
    m = model(nodes, [("x", [5, 64])], [("y", [5, 32])], [("v", w.astype(np.float32)), ("s", np.float32(1 / 255))])
    m.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    onnx.save(m, path)
    p = subprocess.run([SCALEC, "compile", path, "-o", out], capture_output=True, text=True)
    assert "none of 1 matmuls" in p.stderr, p.stderr
    # no clause of products where there is none
    onnx.save(model([helper.make_node("Relu", ["x"], ["y"])], [("x", [4])], [("y", [4])]), path)
    p = subprocess.run([SCALEC, "compile", path, "--recipe", "fp8", "-o", out], capture_output=True, text=True)
    assert ", ;" not in p.stderr and "weights 0 -> 0 bytes, outputs beside f32's on synthetic inputs: the same" in p.stderr, p.stderr
    p = subprocess.run([SCALEC, "compile", MNIST, "--emit", "asm", "--json", "-o", "-"], capture_output=True, text=True)
    assert "kernels" not in p.stdout and ".text" in p.stdout


run_all("tools-progress", (stages_are_drawn, share_and_time_left, times_are_whole, closing_line))
