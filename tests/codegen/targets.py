# SPDX-License-Identifier: Apache-2.0
"""Every target's object and program: no undefined symbols, and under an emulator of just that processor."""
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "model"))
from scalec import SOURCE, Count, scalec  # noqa: E402

DATA = os.path.join(SOURCE, "tests", "model", "data")
MODELS = ["mnist/mnist.onnx", "marabou/mnist5x20_leaky_relu.onnx", "marabou/cnn_max_mninst2.onnx",
          "marabou/self-attention-mnist-pgd-medium-sim.onnx"]
RECIPES = ["f32", "f16", "bf16", "fp8", "fp8-weights"]
CPUS = ["x86-64-v2", "x86-64-v3", "x86-64-v4", "native"]
# A processor that has v2 and nothing of v3; one that has v3 and nothing of v4.
NEHALEM, HASWELL = "Nehalem", "Haswell"


def undefined(tmp, model, recipe, cpu):
    out = os.path.join(tmp, "m.o")
    scalec("compile", os.path.join(DATA, model), "--emit", "obj", "--recipe", recipe, "--cpu", cpu, "-o", out)
    nm = subprocess.run(["nm", "-u", out], capture_output=True, text=True, check=True).stdout
    names = {line.split()[-1] for line in nm.strip().split("\n") if line}
    assert names <= {"memcpy", "memset"}, names


def build(tmp, model, recipe, cpu):
    exe = os.path.join(tmp, f"{os.path.basename(model)}.{recipe}.{cpu}")
    if not os.path.exists(exe):  # what others are compared with is made once
        scalec("compile", os.path.join(DATA, model), "--recipe", recipe, "--cpu", cpu, "-o", exe)
    return exe


def run(exe, x, tmp, emulator=()):
    src, dst = os.path.join(tmp, "x.npy"), os.path.join(tmp, "y.npy")
    np.save(src, x)
    p = subprocess.run([*emulator, exe, "-i", src, "-o", dst, "--threads", "2"], capture_output=True, text=True)
    return p, np.load(dst) if p.returncode == 0 else None


def agree(tmp, model, recipe, cpu, x, emulator):
    p, got = run(build(tmp, model, recipe, cpu), x, tmp, emulator)
    assert p.returncode == 0, p.stderr
    p, want = run(build(tmp, model, recipe, "native"), x, tmp)
    assert p.returncode == 0, p.stderr
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4 if recipe == "f32" else 0.5)


def refuses(tmp, cpu, emulator):
    p, _ = run(build(tmp, MODELS[0], "fp8", cpu), np.zeros((1, 1, 28, 28), np.float32), tmp, emulator)
    assert p.returncode == 1 and "processor" in p.stderr and "avx" in p.stderr, (p.returncode, p.stderr)


def main():
    count = Count("codegen-targets")
    digit = np.load(os.path.join(DATA, "digits", "3.npy"))
    shapes = [(1, 1, 28, 28), (1, 1, 28, 28), (1, 28, 28, 1), (1, 28, 28, 1)]
    qemu = shutil.which("qemu-x86_64")
    with open("/proc/cpuinfo") as f:
        flags = set(next(line for line in f if line.startswith("flags")).split())
    with tempfile.TemporaryDirectory() as tmp:
        for model in MODELS:
            for recipe in RECIPES:
                for cpu in CPUS:
                    count.check(f"{model} {recipe} {cpu}: nm -u", lambda: undefined(tmp, model, recipe, cpu))
        for model, shape in zip(MODELS, shapes):
            x = digit.reshape(shape)
            for recipe in ("f32", "fp8"):
                for cpu, emulated in (("x86-64-v2", NEHALEM), ("x86-64-v3", HASWELL)):
                    what = f"{model} {recipe} {cpu} on {emulated}"
                    if qemu:
                        count.check(what, lambda: agree(tmp, model, recipe, cpu, x, (qemu, "-cpu", emulated)))
                    else:
                        count.skip(what, "no qemu-x86_64")
                what = f"{model} {recipe} x86-64-v4"
                if {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512cd"} <= flags:
                    count.check(what, lambda: agree(tmp, model, recipe, "x86-64-v4", x, ()))
                else:
                    count.skip(what, "no AVX-512 on this machine")
        if qemu:
            count.check("v3 is refused by a v2 processor",
                        lambda: refuses(tmp, "x86-64-v3", (qemu, "-cpu", NEHALEM)))
        else:
            count.skip("v3 is refused by a v2 processor", "no qemu-x86_64")
    count.close()


main()
