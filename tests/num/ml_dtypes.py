# SPDX-License-Identifier: Apache-2.0
"""Number formats against ml_dtypes: every pattern of every format, and millions of floats.

usage: ml_dtypes.py CONVERT_TOOL, with a Python that has numpy and ml_dtypes named in $SCT_PYTHON.
Where the two differ on purpose (num.h follows ONNX Cast) the difference stands in `onnx_says`.
"""

import os
import subprocess
import sys

NAME = "num-ml-dtypes"


def skip(reason):
    print(f"SKIP {NAME}: {reason}")
    print(f"{NAME}: 0 passed, 0 failed, 1 skipped")
    sys.exit(0)


if not os.environ.get("SCT_PYTHON"):
    skip("SCT_PYTHON names no Python with ml_dtypes")
if "SCT_PYTHON_STARTED" not in os.environ:
    os.environ["SCT_PYTHON_STARTED"] = "1"
    try:
        os.execv(os.environ["SCT_PYTHON"], [os.environ["SCT_PYTHON"], *sys.argv])
    except OSError as e:
        skip(f"{os.environ['SCT_PYTHON']}: {e.strerror}")
sys.path.pop(0)  # the folder of this file, which would hide the package of the same name
try:
    import ml_dtypes
    import numpy as np
except ImportError as e:
    skip(str(e))

TOOL = sys.argv[1]
NEAREST, UP, DOWN = 0, 1, 2
np.seterr(all="ignore")

FORMATS = {  # name: (NumPy type, its unsigned integer)
    "f16": (np.float16, np.uint16),
    "bf16": (ml_dtypes.bfloat16, np.uint16),
    "f8e4m3fn": (ml_dtypes.float8_e4m3fn, np.uint8),
    "f8e4m3fnuz": (ml_dtypes.float8_e4m3fnuz, np.uint8),
    "f8e5m2": (ml_dtypes.float8_e5m2, np.uint8),
    "f8e5m2fnuz": (ml_dtypes.float8_e5m2fnuz, np.uint8),
    "f8e8m0": (ml_dtypes.float8_e8m0fnu, np.uint8),
    "f6e2m3": (ml_dtypes.float6_e2m3fn, np.uint8),
    "f6e3m2": (ml_dtypes.float6_e3m2fn, np.uint8),
    "f4e2m1": (ml_dtypes.float4_e2m1fn, np.uint8),
}
PACKED = {"f6e2m3": 6, "f6e3m2": 6, "f4e2m1": 4}  # bits of an element, the first in the low bits


def convert(source, target, data, out, saturate=False, mode=NEAREST):
    """Elements of `data` by the runtime; packed ones are packed on the way there and unpacked on the way back."""
    n = len(data)
    raw = data
    if source in PACKED:
        bits = np.unpackbits(data[:, None], axis=1, bitorder="little")[:, : PACKED[source]]
        raw = np.packbits(bits.reshape(-1), bitorder="little")
    args = [TOOL, source, target, str(int(saturate)), str(mode), str(n)]
    done = subprocess.run(args, input=raw.tobytes(), stdout=subprocess.PIPE, check=True)
    if target in PACKED:
        bits = np.unpackbits(np.frombuffer(done.stdout, np.uint8), bitorder="little")
        bits = bits[: n * PACKED[target]].reshape(n, PACKED[target])
        return np.packbits(bits, axis=1, bitorder="little").reshape(-1)
    return np.frombuffer(done.stdout, out)


def floats():
    """f32 numbers of all kinds: every f16, bf16 and f8 number, random patterns, moderate numbers."""
    rng = np.random.default_rng(1)
    half = np.arange(1 << 16, dtype=np.uint16)
    with_neighbours = np.concatenate(
        [half.view(np.float16).astype(np.float32), half.view(ml_dtypes.bfloat16).astype(np.float32)]
    )
    bits = with_neighbours.view(np.uint32)
    return np.concatenate(
        [
            with_neighbours,
            (bits + 1).view(np.float32),
            (bits - 1).view(np.float32),
            rng.integers(0, 1 << 32, 2_000_000, dtype=np.uint32).view(np.float32),
            rng.standard_normal(1_000_000, dtype=np.float32),
            np.float32(2.0) ** rng.integers(-30, 20, 500_000).astype(np.float32)
            * rng.integers(-64, 64, 500_000).astype(np.float32)
            / np.float32(32),
        ]
    )


def onnx_says(name, x, patterns, saturate):
    """ml_dtypes' patterns of x, put right where ONNX Cast asks for something else."""
    patterns = patterns.copy()
    if name in PACKED:  # has no NaN; ours is the zero of its sign, theirs of the other
        nan = np.isnan(x)
        patterns[nan] = np.where(np.signbit(x[nan]), 1 << PACKED[name] - 1, 0)
    if name == "f8e8m0":  # below the smallest: kept out where nothing saturates
        patterns[x == 0] = 0 if saturate else 255
        if not saturate:
            patterns[(x > 0) & (x < 1.5 * 2.0**-128)] = 255
        # 2^-127 and up to its middle with 2^-126: ml_dtypes 0.6 rounds f32's subnormals upward
        patterns[(x >= 2.0**-127) & (x < 1.5 * 2.0**-127)] = 0
    return patterns


def same(name, ours, theirs):
    """True where patterns agree; of NaNs it is enough that both are."""
    kind = FORMATS[name][0]
    both = np.isnan(ours.view(kind).astype(np.float64)) & np.isnan(theirs.view(kind).astype(np.float64))
    return (ours == theirs) | (both if name in ("f16", "bf16") else False)


def report(what, agree, detail):
    if agree.all():
        return True
    at = int(np.flatnonzero(~agree)[0])
    print(f"FAIL {what}: {int((~agree).sum())} differ, first {detail(at)}")
    return False


def check_values(name):
    kind, unsigned = FORMATS[name]
    count = 1 << PACKED[name] if name in PACKED else 1 << 8 * np.dtype(unsigned).itemsize
    patterns = np.arange(count, dtype=np.uint32).astype(unsigned)
    theirs = patterns.view(kind).astype(np.float64)
    ours = convert(name, "f64", patterns, np.float64)
    agree = (ours == theirs) & (np.signbit(ours) == np.signbit(theirs)) | np.isnan(ours) & np.isnan(theirs)
    return report(f"values of {name}", agree, lambda i: f"{i:#x}: {ours[i]}, not {theirs[i]}")


def check_rounding(name, x, saturate):
    kind, unsigned = FORMATS[name]
    clipped = x
    if saturate:
        largest = np.float32(ml_dtypes.finfo(kind).max)
        clipped = np.where(np.isnan(x), x, np.clip(x, -largest, largest))
        if name == "f8e8m0":
            clipped = np.where(x < 0, x, clipped)
    theirs = onnx_says(name, x, clipped.astype(kind).view(unsigned), saturate)
    ours = convert("f32", name, x, unsigned, saturate)
    return report(
        f"f32 to {name}, saturate {saturate}",
        same(name, ours, theirs),
        lambda i: f"{float(x[i]).hex()}: {ours[i]:#x}, not {theirs[i]:#x}",
    )


def main():
    x = floats()
    results = [check_values(name) for name in FORMATS]
    results += [check_rounding(name, x, saturate) for name in FORMATS for saturate in (False, True)]
    failed = results.count(False)
    print(f"{NAME}: {len(results) - failed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)


main()
