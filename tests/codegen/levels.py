# SPDX-License-Identifier: Apache-2.0
"""Programs with code for several levels: each gives the bits of a program for that level alone, the processor
chooses, and nothing is stored twice that all can read."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "model"))
from scalec import SOURCE, Count, Model, scalec  # noqa: E402

DATA = os.path.join(SOURCE, "tests", "model", "data")
MODELS = {"mnist/mnist.onnx": (1, 1, 28, 28), "marabou/mnist5x20_leaky_relu.onnx": (1, 1, 28, 28),
          "marabou/cnn_max_mninst2.onnx": (1, 28, 28, 1), "marabou/self-attention-mnist-pgd-medium-sim.onnx": (1, 28, 28, 1)}
MNIST = os.path.join(DATA, "mnist", "mnist.onnx")
RECIPES = ["f32", "f16", "bf16", "fp8", "fp8-weights", "mxfp8", "mxfp6", "mxfp4-weights"]
LEVELS = ["x86-64-v3", "x86-64-v4", "sapphirerapids"]
VECTORS = ",".join(LEVELS[:2])  # those that read the same panels; tile registers want their own of FP8 and bf16
V3 = "Haswell"  # as QEMU calls a processor that has v3 and nothing of v4
DIGIT = os.path.join(DATA, "digits", "3.npy")


def flags():
    with open("/proc/cpuinfo") as f:
        return set(next(line for line in f if line.startswith("flags")).split())


HERE = [level for level, needs in zip(LEVELS, ({"avx2", "fma", "f16c", "movbe", "bmi1", "bmi2"},
                                               {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512cd"},
                                               {"amx_tile", "amx_bf16", "amx_int8", "avx512_fp16"})) if needs <= flags()]


def build(tmp, model, recipe, cpu, *more):
    exe = os.path.join(tmp, f"{os.path.basename(model)}.{recipe}.{cpu}")
    if not os.path.exists(exe):
        scalec("compile", os.path.join(DATA, model), "--recipe", recipe, "--cpu", cpu, "-o", exe, *more)
    return exe


def run(exe, *more, emulator=()):
    return subprocess.run([*emulator, exe, *map(str, more)], capture_output=True, text=True)


def result(exe, src, *more, emulator=()):
    dst = exe + ".npy"
    p = run(exe, "-i", src, "-o", dst, "--threads", "2", *more, emulator=emulator)
    assert p.returncode == 0, p.stderr
    return np.load(dst)


def info(exe, *more, emulator=()):
    p = run(exe, "--info", "--json", *more, emulator=emulator)
    assert p.returncode in (0, 1) and p.stdout, p.stderr
    return json.loads(p.stdout)


def same_bits(tmp, model, recipe, level):
    src = os.path.join(tmp, "x.npy")
    np.save(src, np.load(DIGIT).reshape(MODELS[model]))
    want = result(build(tmp, model, recipe, level), src)
    got = result(build(tmp, model, recipe, "fat"), src, "--level", level)
    assert want.tobytes() == got.tobytes(), np.abs(want - got).max()


def stored_once(tmp, model, recipe):
    fat, last = (info(build(tmp, model, recipe, cpu)) for cpu in (VECTORS, LEVELS[1]))
    assert fat["weights_bytes"] == last["weights_bytes"], (fat["weights_bytes"], last["weights_bytes"])
    assert all(x["weights_bytes"] == last["levels"][0]["weights_bytes"] for x in fat["levels"]), fat["levels"]


def what_is_said(tmp):
    out = os.path.join(tmp, "said")
    p = json.loads(scalec("compile", MNIST, "--recipe", "fp8", "--cpu", "fat", "--json", "-o", out))
    assert [x["name"] for x in p["levels"]] == LEVELS, p
    i = info(out)
    assert i["level"] == (HERE or LEVELS)[-1] and i["info"]["cpu"] == "fat", i["level"]
    assert [(x["name"], x["weights_bytes"]) for x in i["levels"]] == [(x["name"], x["weights"]) for x in p["levels"]]
    assert "avx512f" in i["levels"][1]["features"] and "avx512f" not in i["levels"][0]["features"]
    assert all(x["weights_bytes"] <= i["weights_bytes"] for x in i["levels"])
    p = run(out, "--level", "x86-64-v2")
    assert p.returncode == 2 and ", ".join(LEVELS) in p.stderr, p.stderr
    assert "one has: " + ", ".join(LEVELS) + "\n" in run(out, "--help").stdout
    one = build(tmp, "mnist/mnist.onnx", "fp8", LEVELS[0])
    assert f"one has: {LEVELS[0]}\n" in run(one, "--help").stdout
    i = json.loads(run(one, "--info", "--json").stdout)
    assert i["levels"][0]["weights_bytes"] == i["weights_bytes"], i


def libraries(tmp):
    x = np.load(DIGIT).reshape(1, 1, 28, 28)
    want = result(build(tmp, "mnist/mnist.onnx", "fp8", HERE[-1]), DIGIT)
    so = os.path.join(tmp, "fat.so")
    scalec("compile", MNIST, "--recipe", "fp8", "--cpu", "fat", "--emit", "so", "-o", so, "--symbol", "model")
    m = Model(so, threads=2)
    assert m.run(x)[0].tobytes() == want.tobytes()
    m.close()
    obj = os.path.join(tmp, "fat.o")
    scalec("compile", MNIST, "--recipe", "fp8", "--cpu", "fat", "--emit", "obj", "-o", obj)
    names = {line.split()[-1] for line in subprocess.run(["nm", "-u", obj], capture_output=True, text=True,
                                                         check=True).stdout.strip().split("\n") if line}
    assert names <= {"memcpy", "memset"}, names
    with open(os.path.join(tmp, "fat.h")) as f:
        assert "level 0, x86-64-v3, level 1, x86-64-v4, level 2, sapphirerapids" in f.read()


def dumped(tmp):
    text = scalec("dump", MNIST, "--recipe", "fp8", "--scales", "propagate", "--cpu", "fat")
    parts = text.split("; level ")
    assert [p.split("\n")[0] for p in parts[1:]] == LEVELS, text


def chosen(tmp, processor, level, qemu):
    exe = build(tmp, "mnist/mnist.onnx", "fp8", "fat")
    i = info(exe, emulator=(qemu, "-cpu", processor))
    assert i["level"] == level, i["level"]
    got = result(exe, DIGIT, emulator=(qemu, "-cpu", processor))
    assert got.argmax() == 3
    if level in HERE:
        assert got.tobytes() == result(exe, DIGIT, "--level", level).tobytes()


def refused(tmp, qemu):
    exe = build(tmp, "mnist/mnist.onnx", "fp8", "fat")
    p = run(exe, "-i", DIGIT, emulator=(qemu, "-cpu", "Nehalem"))
    assert p.returncode == 1 and "the least level, x86-64-v3, needs" in p.stderr and "avx2" in p.stderr, p.stderr
    p = run(exe, "-i", DIGIT, "--level", "x86-64-v4", emulator=(qemu, "-cpu", V3))
    assert p.returncode == 1 and "lacks avx512f" in p.stderr and "level x86-64-v4 needs" in p.stderr, p.stderr


def states(tmp):
    """What one level leaves the next goes on with."""
    exe, before, after = (os.path.join(tmp, n) for n in ("decode", "before.npz", "after.npz"))
    scalec("compile", os.path.join(SOURCE, "tests", "tools", "decode.sc"), "--cpu", "fat", "-o", exe)
    p = run(exe, "--profile", "--level", HERE[0], "--state-save", before)
    assert p.returncode == 0, p.stderr
    p = run(exe, "--profile", "--state-load", before, "--state-save", after)
    assert p.returncode == 0, p.stderr
    with np.load(before) as a, np.load(after) as b:
        assert a.files and set(a.files) == set(b.files)
        for name in a.files:
            assert b[name].size > a[name].size, (name, a[name].shape, b[name].shape)


def main():
    count = Count("codegen-levels")
    qemu = shutil.which("qemu-x86_64")
    with tempfile.TemporaryDirectory() as tmp:
        for model in MODELS:
            for recipe in RECIPES:
                for level in LEVELS:
                    what = f"{model} {recipe} on {level}"
                    if level in HERE:
                        count.check(what, lambda: same_bits(tmp, model, recipe, level))
                    else:
                        count.skip(what, f"this processor lacks {level}")
                count.check(f"{model} {recipe}: stored once", lambda: stored_once(tmp, model, recipe))
        for what, fn in (("what is said", what_is_said), ("dump", dumped)):
            count.check(what, lambda: fn(tmp))
        for what, fn in (("a shared object and an object", libraries), ("states", states)):
            if HERE:
                count.check(what, lambda: fn(tmp))
            else:
                count.skip(what, "this processor has no level")
        for what, fn in ((f"{V3} runs x86-64-v3", lambda: chosen(tmp, V3, LEVELS[0], qemu)),
                         ("what lacks is told", lambda: refused(tmp, qemu))):
            if qemu:
                count.check(what, fn)
            else:
                count.skip(what, "no qemu-x86_64")
    count.close()


main()
