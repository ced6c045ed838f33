# SPDX-License-Identifier: Apache-2.0
"""A model that `scalec rewrite` wrote, checked and run in ONNX Runtime beside what scalec compiles of the original."""
import os

import numpy as np
import onnx
import onnxruntime as ort

from scalec import scalec

RTOL, ATOL = 1e-3, 1e-4  # absolute: of the largest element of an output
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64,
         "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(uint8)": np.uint8, "tensor(int8)": np.int8,
         "tensor(bool)": np.bool_}


def session(model, plain=False):
    """Of a path or of the bytes of a model; plain: without optimisations."""
    opt = ort.SessionOptions()
    opt.log_severity_level = 4
    if plain:  # what it fuses would not be what is asked: Relu between FP8 QDQ disappears
        opt.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return ort.InferenceSession(model, opt, providers=["CPUExecutionProvider"])
    except Exception as e:
        if plain or "float8" not in str(e):
            raise
        # Between FP8 QDQ it fuses a MatMul to QLinearMatMul, which has no FP8.
        opt.add_session_config_entry("session.disable_quant_qdq", "1")
        return ort.InferenceSession(model, opt, providers=["CPUExecutionProvider"])


def extent(dim, k, i, size):
    """Of input i's dimension k, which may be a symbol or a sum of some."""
    if isinstance(dim, int):
        return dim
    if dim and "+" in dim:
        return sum(int(p) if p.strip().isdigit() else extent(p.strip(), k, i, size) for p in dim.split("+"))
    return size.setdefault(dim or f"{i.name}.{k}", 1 if k == 0 else 64 if len(i.shape) == 4 and k > 1 and
                           i.type == "tensor(float)" and "past" not in i.name else 9)


def made_up(path, seed=1, sizes={}):
    """Inputs by name: normal floats, small integers, masks of ones; a symbolic extent is 1 where it leads, else 9, or
    64 of an image."""
    rng, size, feeds = np.random.default_rng(seed), dict(sizes), {}
    for i in session(path, plain=True).get_inputs():
        shape = [extent(d, k, i, size) for k, d in enumerate(i.shape)]
        t = np.dtype(TYPES[i.type])
        if t.kind == "f":
            feeds[i.name] = rng.standard_normal(shape).astype(t)
        elif not shape and i.name in sizes:
            feeds[i.name] = np.array(sizes[i.name], t)
        elif "mask" in i.name and t.kind != "b":
            feeds[i.name] = np.ones(shape, t)
        else:
            feeds[i.name] = np.asarray(rng.integers(0, 2 if "type" in i.name else 100, shape) * (t.kind != "b")).astype(t)
    return feeds


def difference(want, got):
    """Elements beyond the tolerance, all elements, the worst output's SQNR in dB."""
    beyond, count, worst = 0, 0, np.inf
    for name, w in want.items():
        g = got[name]
        assert w.shape == g.shape and w.dtype == g.dtype, (name, w.shape, g.shape, w.dtype, g.dtype)
        count += w.size
        if w.dtype.kind != "f":
            beyond += int((w != g).sum())
            continue
        w, g = w.astype(np.float64), g.astype(np.float64)
        finite = np.isfinite(w)
        top = np.abs(w[finite]).max(initial=0)
        err = np.where((w == g) | (np.isnan(w) & np.isnan(g)), 0, np.abs(w - g))
        beyond += int((~(err <= RTOL * np.abs(w) + ATOL * top)).sum())
        noise, signal = float((err[finite] ** 2).sum()), float((w[finite] ** 2).sum())
        worst = min(worst, 10 * np.log10(signal / noise) if noise > 0 and signal > 0 else np.inf)
    return beyond, count, worst


def check(path):
    onnx.checker.check_model(path, full_check=True)


def run(path, feeds):
    s = session(path)
    return dict(zip([o.name for o in s.get_outputs()], s.run(None, feeds)))


def ours(path, feeds, tmp, *args):
    given, out = os.path.join(tmp, "in.npz"), os.path.join(tmp, "out.npz")
    np.savez(given, **feeds)
    scalec("run", path, "-i", given, "-o", out, *args)
    with np.load(out) as z:
        return {k: z[k] for k in z.files}


def rewrite(path, out, *args):
    scalec("rewrite", path, "-o", out, *args)
    check(out)
    return out
