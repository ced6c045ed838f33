# SPDX-License-Identifier: Apache-2.0
"""The element types that NumPy lacks, both ways: as ml_dtypes saves and loads them, and in safetensors."""
import json
import os
import subprocess
import sys

import ml_dtypes
import numpy as np
from onnx import TensorProto, numpy_helper

sys.path.insert(0, os.path.dirname(__file__))
from command import failing, run_all, write  # noqa: E402
from scalec import SCALEC, scalec  # noqa: E402

# ours: ml_dtypes', safetensors' (None: the format lacks it)
TYPES = {"f8e4m3fn": ("float8_e4m3fn", "F8_E4M3"), "f8e5m2": ("float8_e5m2", "F8_E5M2"),
         "f8e4m3fnuz": ("float8_e4m3fnuz", "F8_E4M3FNUZ"), "f8e5m2fnuz": ("float8_e5m2fnuz", "F8_E5M2FNUZ"),
         "f8e8m0": ("float8_e8m0fnu", "F8_E8M0"), "f4e2m1": ("float4_e2m1fn", "F4"), "f6e2m3": ("float6_e2m3fn", "F6_E2M3"),
         "f6e3m2": ("float6_e3m2fn", "F6_E3M2"), "bf16": ("bfloat16", "BF16"), "i4": ("int4", None), "u4": ("uint4", None),
         "i2": ("int2", None), "u2": ("uint2", None)}
NUMPY = {"f64": "f8", "f32": "f4", "f16": "f2", "bool": "?", **{k + str(8 * n): k + str(n) for k in "iu" for n in (1, 2, 4, 8)}}


def graph(tmp, t):
    """y is x with its axes swapped: as it is, no arithmetic."""
    return write(os.path.join(tmp, t + ".sc"), f"graph @g(%x: {t}[3,5]) -> (%y) {{\n  %y = transpose %x {{perm = [1,0]}} : {t}[5,3]\n}}\n")


def run(*args):
    """By evaluator and by compiled code, which write the same."""
    out, files = args[-1], []
    for more in (["--evaluate"], []):
        scalec("run", *args, *more)
        with open(out, "rb") as f:
            files.append(f.read())
    assert files[0] == files[1], args


def values(theirs):
    """15 of them, of all signs and magnitudes, as ml_dtypes holds them."""
    kind = getattr(ml_dtypes, theirs)
    info = ml_dtypes.iinfo(kind) if "int" in theirs else ml_dtypes.finfo(kind)
    low = max(float(info.min), -2.0 if info.bits < 8 else -200)
    if "e8m0" in theirs:
        low = 0.25
    return np.linspace(low, float(min(info.max, 200)), 15).astype(kind).reshape(3, 5)


def numpy_files(tmp):
    """Saved by np.save and np.savez, loaded by np.load; the signature settles the type."""
    src, dst, npz, exe = (os.path.join(tmp, n) for n in ("x.npy", "y.npy", "x.npz", "exe"))
    for t, (theirs, _) in TYPES.items():
        m, x = graph(tmp, t), values(theirs)
        want = x.T.tobytes()
        np.save(src, x)
        np.savez(npz, x=x, other=x)
        run(m, "-i", src, "-o", dst)
        y = np.load(dst)
        assert y.shape == (5, 3) and y.dtype.itemsize == x.dtype.itemsize, (t, y.dtype)
        assert np.array_equal(y.view(x.dtype).astype(float), x.T.astype(float), equal_nan=True), (t, y.view(x.dtype), x.T)
        for given in (npz, dst):  # what was written is read
            out = os.path.join(tmp, "z.npz")
            back = graph(tmp, t) if given == npz else write(os.path.join(tmp, "b.sc"), open(m).read().replace("3,5", "0,0")
                                                           .replace("5,3", "3,5").replace("0,0", "5,3"))
            run(back, "-i", given, "-o", out)
            got = np.load(out)["y"].view(x.dtype)
            wanted = x.T if given == npz else x
            assert np.array_equal(got.astype(float), wanted.astype(float), equal_nan=True), (t, given)
        if t in ("f8e4m3fn", "bf16"):
            scalec("compile", m, "-o", exe)
            subprocess.run([exe, "-i", src, "-o", dst], check=True)
            assert np.load(dst).tobytes() == want
    other = values("float8_e5m2")
    np.save(src, other)
    assert "f8e5m2" in failing("run", graph(tmp, "f8e4m3fn"), "-i", src)
    np.save(src, values("bfloat16"))
    assert "u16" in failing("run", graph(tmp, "f8e4m3fn"), "-i", src)


def packed(codes, bits):
    """Codes of `bits` bits each, the first in the lowest ones."""
    word = sum(int(c) << (bits * i) for i, c in enumerate(codes))
    return word.to_bytes((len(codes) * bits + 7) // 8, "little")


def safetensors(tmp):
    src, dst = os.path.join(tmp, "x.safetensors"), os.path.join(tmp, "y.safetensors")
    for t, (theirs, kind) in TYPES.items():
        x = values(theirs)
        bits = int(t[1:].split("e")[0]) if t != "bf16" else 16
        npy, m = os.path.join(tmp, "x.npy"), graph(tmp, t)
        np.save(npy, x)
        if not kind:
            assert t in failing("run", m, "-i", npy, "-o", dst)
            continue
        pattern = np.uint16 if bits == 16 else np.uint8
        raw = packed(x.view(pattern).ravel(), bits)
        head = json.dumps({"x": {"dtype": kind, "shape": [3, 5], "data_offsets": [0, len(raw)]}}).encode()
        write(src, len(head).to_bytes(8, "little") + head + raw)
        run(m, "-i", src, "-o", dst)
        got = open(dst, "rb").read()
        n = int.from_bytes(got[:8], "little")
        meta = json.loads(got[8:8 + n])["y"]
        assert (meta["dtype"], meta["shape"]) == (kind, [5, 3]), (t, meta)
        assert got[8 + n:] == packed(x.T.copy().view(pattern).ravel(), bits), t


def tensor(a, label):
    """As a TensorProto; NumPy's helper lacks FP6, whose entries may be a code each."""
    code = {"float6_e2m3fn": 27, "float6_e3m2fn": 28}.get(a.dtype.name)
    if not code:
        return numpy_helper.from_array(a, label)
    return TensorProto(name=label, dims=a.shape, data_type=code, int32_data=a.view(np.uint8).ravel().tolist())


def proofs(tmp):
    """An executable proves itself on an ONNX test_data_set of every type; a step off is seen."""
    exe, folder = os.path.join(tmp, "exe"), os.path.join(tmp, "set")
    os.mkdir(folder)

    def save(name, a, label):
        write(os.path.join(folder, name + ".pb"), tensor(np.ascontiguousarray(a), label).SerializeToString())
    kinds = {t: values(theirs) for t, (theirs, _) in TYPES.items()}
    for t, kind in NUMPY.items():
        kinds[t] = (np.arange(15) % 2 if t == "bool" else 2**53 + np.arange(15) if t[1:] == "64" and t != "f64" else
                    np.arange(15)).astype(kind).reshape(3, 5)
    for t, x in kinds.items():
        m = graph(tmp, t)
        save("input_0", x, "x")
        save("output_0", x.T, "y")
        scalec("compile", m, "-o", exe)
        for tool in ([exe], [SCALEC, "run", m], [SCALEC, "run", m, "--evaluate"]):
            p = subprocess.run([*tool, "--data", folder], capture_output=True, text=True)
            assert p.returncode == 0 and "1 of 1 outputs agree" in p.stdout, (t, p)
        if t == "i4":  # fifteen of them are eight bytes
            p = subprocess.run([exe, "--profile"], capture_output=True, text=True, check=True)
            assert [line.split()[5:7] for line in p.stdout.splitlines() if "call: convert" in line] == [["8", "15"], ["15", "8"]], p.stdout
        off = x.T.copy()
        off[3, 1] = next(v for v in x.ravel() if v != off[3, 1])
        save("output_0", off, "y")
        p = subprocess.run([exe, "--data", folder], capture_output=True, text=True)
        assert p.returncode == 3 and "1 of 15 elements differ" in p.stdout, (t, p)
        if t == "i64":
            assert f"worst at 10: {x[1, 3]}, expected {off[3, 1]}\n" in p.stdout, (p.stdout, x, off)


SMALL = [t for t in TYPES if not t.startswith("f8") and t != "bf16"]


def under_a_byte(tmp):
    """Types of fewer bits than a byte has: rounded or wrapped, kept in a state, carried by a loop, joined, alone."""
    src, dst = os.path.join(tmp, "x.npy"), os.path.join(tmp, "y.npz")
    x = np.linspace(-9, 9, 13).astype(np.float32)
    np.save(src, x)
    for t in SMALL:
        through = write(os.path.join(tmp, "t.sc"), f"""graph @g(%x: f32[13]) -> (%y, %z, %w) {{
          state @s (%past: {t}[13] -> %y)
          %w = cast %past {{to = f32}} : f32[13]
          %y = cast %x {{to = {t}}} : {t}[13]
          %j = concat %y, %y {{axis = 0}} : {t}[26]
          %z = cast %j {{to = f32}} : f32[26]
        }}""")
        run(through, "-i", src, "-o", dst)
        got = np.load(dst)
        kind = getattr(ml_dtypes, TYPES[t][0])
        want = x.astype(kind) if t[0] == "f" else x.astype(np.int8).astype(kind)
        assert np.array_equal(got["y"].view(kind).astype(float), want.astype(float)), (t, got["y"], want)
        assert np.array_equal(got["z"], np.tile(want.astype(np.float32), 2)), t
        assert not got["w"].any()


run_all("tools-elements", (numpy_files, safetensors, proofs, under_a_byte))
