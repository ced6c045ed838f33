# SPDX-License-Identifier: Apache-2.0
"""Every target's object and program: no undefined symbols, and under an emulator of just that processor."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "model"))
from scalec import SCALEC, SOURCE, Count, scalec  # noqa: E402

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


# --- AArch64: an object, and the runtime from its sources ---

AARCH64 = "aarch64-linux-gnu"


def runtime(tmp, cc):
    """libscrt for AArch64, of the sources that README names."""
    with open(os.path.join(SOURCE, "README.md")) as f:
        named = re.search(r'R=runtime; SRC="(.*?)"', f.read()).group(1).replace("$R", "runtime").split()
    parts = [sorted(glob.glob(os.path.join(SOURCE, n))) for n in named]
    assert all(parts), named
    src = sum(parts, [])
    at = os.path.join(tmp, "scrt")
    os.mkdir(at)
    subprocess.run([cc, "-O1", "-ffp-contract=off", "-D_GNU_SOURCE", f"-I{SOURCE}", "-c", *src], cwd=at, check=True)
    return glob.glob(os.path.join(at, "*.o"))


def elsewhere(tmp, model, recipe, x, cc, qemu, scrt):
    obj, exe, src, dst = (os.path.join(tmp, n) for n in ("model.o", "elsewhere", "x.bin", "y.bin"))
    scalec("compile", os.path.join(DATA, model), "--recipe", recipe, "--target", AARCH64, "--emit", "obj", "-o", obj,
           "--symbol", "model")
    subprocess.run([cc, "-O1", f"-I{tmp}", f"-I{SOURCE}/runtime", os.path.join(SOURCE, "tests", "codegen", "elsewhere.c"), obj,
                    *scrt, "-static", "-lm", "-pthread", "-o", exe], check=True)
    x.astype(np.float32).tofile(src)
    subprocess.run([qemu, exe, src, dst, *map(str, x.shape)], check=True)
    p, want = run(build(tmp, model, recipe, "native"), x, tmp)
    assert p.returncode == 0, p.stderr
    got = np.fromfile(dst, np.float32).reshape(want.shape)
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4 if recipe == "f32" else 0.5)


def not_linked(tmp):
    out = os.path.join(tmp, "m")
    p = subprocess.run([SCALEC, "compile", os.path.join(DATA, MODELS[0]), "--target", AARCH64, "-o", out], capture_output=True,
                       text=True)
    assert p.returncode == 2 and "--emit obj" in p.stderr and not os.path.exists(out), p.stderr
    p = subprocess.run([SCALEC, "compile", os.path.join(DATA, MODELS[0]), "--target", AARCH64, "--emit", "obj", "-o", out,
                        "--cpu", "haswell"], capture_output=True, text=True)
    assert p.returncode == 2 and "neoverse-n1" in p.stderr and "x86" not in p.stderr, p.stderr


def on_aarch64(count, tmp, digit, shapes):
    count.check("a program for AArch64 is not linked here", lambda: not_linked(tmp))
    cc, qemu = shutil.which(f"{AARCH64}-gcc"), shutil.which("qemu-aarch64")
    lacks = [n for n, at in ((f"{AARCH64}-gcc", cc), ("qemu-aarch64", qemu)) if not at]
    scrt = None if lacks else runtime(tmp, cc)
    for model, shape in zip(MODELS, shapes):
        for recipe in ("f32", "f16", "fp8", "mxfp8"):
            what = f"{model} {recipe} on AArch64"
            if lacks:
                count.skip(what, f"no {lacks[0]}")
            else:
                count.check(what, lambda: elsewhere(tmp, model, recipe, digit.reshape(shape), cc, qemu, scrt))


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
        on_aarch64(count, tmp, digit, shapes)
    count.close()


main()
