# SPDX-License-Identifier: Apache-2.0
"""Objects for AArch64, one for each level: what instructions they have, and their results under an emulator of a processor
that has just the level."""
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
MODELS = {"mnist/mnist.onnx": (1, 1, 28, 28), "marabou/mnist5x20_leaky_relu.onnx": (1, 1, 28, 28),
          "marabou/cnn_max_mninst2.onnx": (1, 28, 28, 1), "marabou/self-attention-mnist-pgd-medium-sim.onnx": (1, 28, 28, 1)}
RECIPES = {"generic": ("f32", "f16", "fp8", "mxfp8"), "armv8.2-a+fp16": ("fp8", "fp8-weights"),
           "armv8.6-a+bf16": ("bf16", "fp8", "mxfp8")}
TARGET = "aarch64-linux-gnu"
# A processor, as QEMU calls it, that has the level and nothing of the next one.
LEVELS = {"generic": "cortex-a53", "armv8.2-a+fp16": "neoverse-n1", "armv8.6-a+bf16": "max"}
BASE, FP16, BF16 = LEVELS
H = r"fmul\sv\d+\.8h"  # a product of eight numbers of f16
FLOATS = ("f32", "bf16", "f8e4m3fn", "f8e5m2")
ROWS = (1, 2, 3, 4, 17)
# Rows of B, columns: chunks of k, odd ends of both.
SHAPES = ((37, 5), (300, 13), (16, 33))


class Tools:
    """The cross compiler, the emulator, libscrt for AArch64."""

    def __init__(self, tmp):
        self.cc, self.qemu = shutil.which(f"{TARGET}-gcc"), shutil.which("qemu-aarch64")
        self.lacks = f"no {TARGET}-gcc" if not self.cc else "" if self.qemu else "no qemu-aarch64"
        self.scrt = [] if self.lacks else self.runtime(tmp)

    def runtime(self, tmp):
        """Of the sources that README names."""
        with open(os.path.join(SOURCE, "README.md")) as f:
            named = re.search(r'R=runtime; SRC="(.*?)"', f.read()).group(1).replace("$R", "runtime").split()
        parts = [sorted(glob.glob(os.path.join(SOURCE, n))) for n in named]
        assert all(parts), named
        at = os.path.join(tmp, "scrt")
        os.mkdir(at)
        subprocess.run([self.cc, "-O1", "-ffp-contract=off", "-D_GNU_SOURCE", f"-I{SOURCE}", "-c", *sum(parts, [])], cwd=at,
                       check=True)
        return glob.glob(os.path.join(at, "*.o"))

    def link(self, tmp, model, recipe, cpu):
        at = os.path.join(tmp, f"{os.path.basename(model)}.{recipe}.{cpu}")
        if not os.path.exists(os.path.join(at, "exe")):
            os.makedirs(at)
            obj, exe = os.path.join(at, "model.o"), os.path.join(at, "exe")
            scalec("compile", model, "--recipe", recipe, "--target", TARGET, "--emit", "obj", "-o", obj, "--symbol", "model",
                   "--cpu", cpu)
            subprocess.run([self.cc, "-O1", f"-I{at}", f"-I{SOURCE}/runtime", os.path.join(SOURCE, "tests", "codegen", "elsewhere.c"),
                            obj, *self.scrt, "-static", "-lm", "-pthread", "-o", exe], check=True)
        return os.path.join(at, "exe")

    def run(self, exe, x, processor):
        """What it says, which is the level that ran, and what comes out."""
        src, dst = exe + ".in", exe + ".out"
        x.astype(np.float32).tofile(src)
        p = subprocess.run([self.qemu, "-cpu", processor, exe, src, dst, *map(str, x.shape)], capture_output=True, text=True)
        return p, np.fromfile(dst, np.float32) if p.returncode == 0 else None


def native(tmp, model, recipe, x):
    """Of the host's."""
    exe = os.path.join(tmp, f"{os.path.basename(model)}.{recipe}")
    if not os.path.exists(exe):
        scalec("compile", model, "--recipe", recipe, "-o", exe)
    src, dst = exe + ".x.npy", exe + ".y.npy"
    np.save(src, x.astype(np.float32))
    p = subprocess.run([exe, "-i", src, "-o", dst, "--threads", "2"], capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
    return np.load(dst)


def elsewhere(tools, tmp, model, recipe, cpu, x):
    p, got = tools.run(tools.link(tmp, model, recipe, cpu), x, LEVELS[cpu])
    assert p.returncode == 0, p.stderr
    want = native(tmp, model, recipe, x)
    np.testing.assert_allclose(got.reshape(want.shape), want, rtol=1e-3, atol=1e-4 if recipe == "f32" else 0.5)


# --- Products ---


def product(tmp, name, a, b, w, m="m"):
    """The graph of f32[m,k], m known or not, cast to a, by the constant w in b; names are of unlike weights."""
    path = os.path.join(tmp, f"{name}_{a}_{b}_{w.shape[0]}x{w.shape[1]}.sc")
    c = "bf16" if a == "bf16" else "f32"
    text = [f"graph @g(%x: f32[{m},{w.shape[0]}]) -> (%y) {{",
            f"  %w = const [{','.join(repr(float(v)) for v in w.flat)}] as f32[{w.size}] : {b}[{w.shape[0]},{w.shape[1]}]",
            f"  %a = cast %x : {a}[{m},{w.shape[0]}]" if a != "f32" else "",
            f"  %{'z' if c == 'bf16' else 'y'} = matmul {'%x' if a == 'f32' else '%a'}, %w : {c}[{m},{w.shape[1]}]",
            f"  %y = cast %z : f32[{m},{w.shape[1]}]" if c == "bf16" else "", "}"]
    with open(path, "w") as f:
        f.write("\n".join(line for line in text if line) + "\n")
    return path


def whole_numbers(tools, tmp, a, b, k, n, cpu):
    """Sums that f32 holds exactly: the bits are the host's."""
    rng = np.random.default_rng(k * n)
    model = product(tmp, "whole", a, b, rng.integers(-8, 9, (k, n)).astype(np.float32))
    for m in ROWS:
        x = rng.integers(-8, 9, (m, k)).astype(np.float32)
        p, got = tools.run(tools.link(tmp, model, "f32", cpu), x, LEVELS[cpu])
        assert p.returncode == 0, p.stderr
        np.testing.assert_array_equal(got.reshape(m, n), native(tmp, model, "f32", x))


def known_rows(tools, tmp, a, b, cpu):
    """Tiles of all heights: even and odd, the last one lower."""
    rng = np.random.default_rng(1)
    for m in (5, 7, 16, 19):
        w, x = (rng.integers(-8, 9, shape).astype(np.float32) for shape in ((260, 4), (m, 260)))
        p, got = tools.run(tools.link(tmp, product(tmp, f"rows{m}", a, b, w, m), "f32", cpu), x, LEVELS[cpu])
        assert p.returncode == 0, p.stderr
        np.testing.assert_array_equal(got.reshape(m, 4), x @ w)


def draw(rng, shape):
    """Numbers that both types of FP8 hold."""
    return np.ldexp(rng.choice([-1, 1], shape) * (1 + rng.integers(0, 4, shape) / 4), rng.integers(-6, 6, shape))


def bound(tools, tmp, a, b, cpu):
    """An error of half a unit for each term at most, beside that of the result; a row has the bits that it has among others."""
    k, n = 700, 16
    rng = np.random.default_rng(7)
    w = draw(rng, (k, n))
    model, x = product(tmp, "drawn", a, b, w), draw(rng, (5, k))
    p, got = tools.run(tools.link(tmp, model, "f32", cpu), x, LEVELS[cpu])
    assert p.returncode == 0, p.stderr
    got = got.reshape(5, n)
    most = (k + 2) * 2.0**-24 * (np.abs(x) @ np.abs(w)) + (2.0**-8 * np.abs(x @ w) if a == "bf16" else 0)
    assert (np.abs(got - x @ w) <= most).all(), (np.abs(got - x @ w) / most).max()
    for m in (1, 2, 3):
        p, few = tools.run(tools.link(tmp, model, "f32", cpu), x[:m], LEVELS[cpu])
        assert few.tobytes() == got[:m].tobytes(), (m, np.abs(few - got[:m].ravel()).max())


def codes(t):
    """The numbers of all finite codes."""
    man, bias = (3, 7) if t == "f8e4m3fn" else (2, 15)
    c = np.arange(0x7f if man == 3 else 0x7c)
    e, m = c >> man, (c & ((1 << man) - 1)) / (1 << man)
    x = np.where(e == 0, np.ldexp(m, 1 - bias), np.ldexp(1 + m, e - bias))
    return np.concatenate([x, -x])


def all_codes(tools, tmp, t, cpu):
    """Each code of B by 1, and each of A, NaN and infinities too, by 1: the numbers that they are."""
    x = codes(t)
    rows = np.resize(x, (16, 16)).astype(np.float32)
    model = product(tmp, "codes", "f8e5m2", t, rows)
    for m in (3, 16):
        p, got = tools.run(tools.link(tmp, model, "f32", cpu), np.eye(16)[:m], LEVELS[cpu])
        assert p.returncode == 0, p.stderr
        np.testing.assert_array_equal(got.reshape(m, 16), rows[:m])
    model = product(tmp, "ones", t, "f8e5m2", np.eye(16, dtype=np.float32))
    special = np.concatenate([x, [np.inf, -np.inf, np.nan]]).astype(np.float32)
    a = np.zeros((special.size, 16), np.float32)
    a[np.arange(special.size), np.arange(special.size) % 16] = special
    p, got = tools.run(tools.link(tmp, model, "f32", cpu), a, LEVELS[cpu])
    assert p.returncode == 0, p.stderr
    np.testing.assert_array_equal(got.reshape(a.shape), native(tmp, model, "f32", a))


# --- Levels ---


def instructions(tmp, a, b, cpu, has, lacks):
    model, out = product(tmp, "ones", a, b, np.ones((64, 16))), os.path.join(tmp, "m.s")
    scalec("compile", model, "--target", TARGET, "--emit", "asm", "--cpu", cpu, "-o", out)
    with open(out) as f:
        text = f.read()
    for name in has:
        assert re.search(rf"\t{name}", text), f"{a} x {b} on {cpu}: no {name}"
    for name in lacks:
        assert not re.search(rf"\t{name}", text), f"{a} x {b} on {cpu}: {name}"


def said(tmp):
    model = product(tmp, "ones", "f8e4m3fn", "f8e5m2", np.ones((784, 512)))
    text = scalec("dump", model, "--target", TARGET, "--cpu", "fat")
    parts = text.split("; level ")[1:]
    assert [p.split("\n")[0] for p in parts] == list(LEVELS), text[-2000:]
    for part, way in zip(parts, ("decode by f16", "decode by f16", "tile 8x8 of bf16, 2 x 2 at once, kc 196; decode by pairs")):
        assert way in part, part[-300:]


def levels(tools, tmp):
    """The one program runs the last level that the processor has; one for that alone is refused by those below."""
    rng = np.random.default_rng(3)
    model, x = product(tmp, "levels", "f8e4m3fn", "f8e4m3fn", draw(rng, (700, 16))), draw(rng, (5, 700))
    for i, (cpu, processor) in enumerate(LEVELS.items()):
        p, alone = tools.run(tools.link(tmp, model, "f32", cpu), x, processor)
        assert p.returncode == 0 and p.stdout == f"{cpu}\n", (p.stdout, p.stderr)
        p, got = tools.run(tools.link(tmp, model, "f32", "fat"), x, processor)
        assert p.returncode == 0 and p.stdout == f"{cpu}\n", (p.stdout, p.stderr)
        assert got.tobytes() == alone.tobytes()
        for lesser in list(LEVELS.values())[:i]:
            p, _ = tools.run(tools.link(tmp, model, "f32", cpu), x, lesser)
            assert p.returncode == 1 and "processor" in p.stderr, (p.returncode, p.stderr)


def not_linked(tmp):
    out, model = os.path.join(tmp, "m"), os.path.join(DATA, "mnist/mnist.onnx")
    p = subprocess.run([SCALEC, "compile", model, "--target", TARGET, "-o", out], capture_output=True, text=True)
    assert p.returncode == 2 and "--emit obj" in p.stderr and not os.path.exists(out), p.stderr
    p = subprocess.run([SCALEC, "compile", model, "--target", TARGET, "--emit", "obj", "-o", out, "--cpu", "haswell"],
                       capture_output=True, text=True)
    assert p.returncode == 2 and "neoverse-n1" in p.stderr and "x86" not in p.stderr, p.stderr


def main():
    count = Count("codegen-aarch64")
    digit = np.load(os.path.join(DATA, "digits", "3.npy"))
    with tempfile.TemporaryDirectory() as tmp:
        tools = Tools(tmp)

        def emulated(what, fn):
            if tools.lacks:
                count.skip(what, tools.lacks)
            else:
                count.check(what, fn)

        count.check("a program for AArch64 is not linked here", lambda: not_linked(tmp))
        count.check("what levels do is said", lambda: said(tmp))
        for a, b, cpu, has, lacks in (
                ("f8e4m3fn", "f8e4m3fn", BASE, ("fmla", "fcvtl"), ("bf", H)),
                ("f8e4m3fn", "f8e4m3fn", FP16, ("fmla", "fcvtl", H), ("bf",)),
                ("f8e4m3fn", "f8e4m3fn", BF16, ("bfdot", "bfmmla", "tbx"), ("fmla",)),
                ("f8e5m2", "f8e4m3fn", "neoverse-n2", ("bfdot", "bfmmla", "tbx"), ("fmla",)),
                ("bf16", "bf16", BF16, ("bfdot", "bfmmla"), ("fmla",)),
                ("f32", "f8e4m3fn", BF16, ("fmla", "fcvtl"), ("bf",)),
                ("f32", "f32", BF16, ("fmla",), ("bf",))):
            count.check(f"instructions of {a} x {b} on {cpu}", lambda: instructions(tmp, a, b, cpu, has, lacks))
        for cpu in LEVELS:
            for a in FLOATS:
                for b in {"bf16": (a,), "f8e4m3fn": (a, "f8e5m2")}.get(a, (a, "f8e4m3fn")):
                    for k, n in SHAPES[:len(SHAPES) if cpu == BF16 else 1]:
                        emulated(f"{a} x {b}, {k}x{n} on {cpu}", lambda: whole_numbers(tools, tmp, a, b, k, n, cpu))
            for t in FLOATS[2:]:
                emulated(f"codes of {t} on {cpu}", lambda: all_codes(tools, tmp, t, cpu))
                emulated(f"errors of {t} on {cpu}", lambda: bound(tools, tmp, t, t, cpu))
            emulated(f"known rows on {cpu}", lambda: known_rows(tools, tmp, "f8e4m3fn", "f8e5m2", cpu))
            emulated(f"errors of bf16 on {cpu}", lambda: bound(tools, tmp, "bf16", "bf16", cpu))
            for model, shape in MODELS.items():
                for recipe in RECIPES[cpu]:
                    emulated(f"{model} {recipe} on {cpu}",
                             lambda: elsewhere(tools, tmp, os.path.join(DATA, model), recipe, cpu, digit.reshape(shape)))
        emulated("the processor chooses the level", lambda: levels(tools, tmp))
    count.close()


main()
