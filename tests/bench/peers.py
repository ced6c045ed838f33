# SPDX-License-Identifier: Apache-2.0
"""Compiled models beside other runtimes: `tests/bench/run peers [--threads N] [--dim NAME=N]... [DIR|MODEL|NAME...]`.

NAME is one of models.py, which are all made and run where nothing is named. DIR is searched for *.onnx. Beside
NAME.onnx, NAME.judge/*.npz are its samples, inputs by name, of which the first is run; without any it is made up, with
the extents that --dim gives to symbols. Each round times all of them, one after the other; a cell is the median of the
rounds' ratios, ONNX Runtime's f32 time over the column's: above 1 is faster than it.

  f32, fp8, fp8-w   scalec's recipes; -: does not compile
  int8              ONNX Runtime with weights that its quantize_dynamic made
  ov f32, ov        OpenVINO told to compute in f32, and as it is

Last come three operators on 64 MiB: of what memory allows, a copy past the caches by limits.c in the same round, the
part that they reach; and what multiplications and additions reach in registers: of f32, of pairs of bf16, of those in
tile registers, 0 where there are none."""
import argparse
import glob
import os
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
import openvino
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

import models
from bench import onnxruntime, per_call
from gemms import Limits
from rewritten import made_up  # in a folder that bench adds
from scalec import Model, scalec

RECIPES = {"f32": "f32", "fp8": "fp8", "fp8-w": "fp8-weights"}
COLUMNS = [*RECIPES, "int8", "ov f32", "ov"]
LIMIT_THREADS = 2  # of limits.c
ROUNDS = 7
SLICE = 0.1   # seconds a side and round
SIDE = 4096   # of the square of floats that the operators on memory get


# --- The sides: each a function that runs the model once -----------------------------------------

def peer(path, feeds, threads):
    s = onnxruntime(path, threads)
    return lambda: s.run(None, feeds)


def int8(path, feeds, threads, tmp):
    out = os.path.join(tmp, "int8.onnx")
    quantize_dynamic(path, out)
    return peer(out, feeds, threads)


def compiled(path, feeds, recipe, threads, tmp):
    so = os.path.join(tmp, f"{recipe}.so")
    scalec("compile", path, "--emit", "so", "--symbol", "model", "--recipe", recipe, "--embed-limit", 1 << 40, "-o", so)
    m = Model(so, threads=threads)
    return m.caller(*feeds.values())


def vino(path, feeds, threads, hint):
    core = openvino.Core()
    model = core.read_model(path)
    model.reshape({k: list(x.shape) for k, x in feeds.items()})
    config = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", **hint}
    request = core.compile_model(model, "CPU", config).create_infer_request()
    return lambda: request.infer(feeds, share_inputs=True, share_outputs=True)


def sides(path, feeds, threads, tmp):
    """Column -> function, or None where this side does not take the model."""
    make = {c: lambda r=r: compiled(path, feeds, r, threads, tmp) for c, r in RECIPES.items()}
    make["int8"] = lambda: int8(path, feeds, threads, tmp)
    make["ov f32"] = lambda: vino(path, feeds, threads, {"INFERENCE_PRECISION_HINT": "f32"})
    make["ov"] = lambda: vino(path, feeds, threads, {})
    ret = {}
    for c in COLUMNS:
        try:
            ret[c] = make[c]()
            ret[c]()
        except Exception as e:  # whatever another runtime throws, the others still have their cells
            print(f"{os.path.basename(path)}: {c}: {str(e).strip().splitlines()[0][:160]}", file=sys.stderr)
            ret[c] = None
    return ret


# --- Rows ----------------------------------------------------------------------------------------

def sample(path, dims):
    """Of the inputs of the model, in their order."""
    names = [i.name for i in ort.InferenceSession(path, providers=["CPUExecutionProvider"]).get_inputs()]
    files = sorted(glob.glob(path[:-5] + ".judge/*.npz"))
    if not files:
        return {k: x for k, x in made_up(path, sizes=dims).items() if k in names}
    with np.load(files[0], allow_pickle=False) as z:
        return {k: z[k] for k in names}


def ratios(path, dims, threads):
    """ONNX Runtime's time in ms, and column -> its time over the column's; None where that has none."""
    feeds = sample(path, dims)
    with tempfile.TemporaryDirectory() as tmp:
        base, side = peer(path, feeds, threads), sides(path, feeds, threads, tmp)
        base()
        times = {c: [] for c in COLUMNS}
        ms = []
        for _ in range(ROUNDS):
            ms.append(per_call(base, SLICE))
            for c, fn in side.items():
                if fn:
                    times[c].append(ms[-1] / per_call(fn, SLICE))
    return 1e3 * np.median(ms), {c: np.median(times[c]) if side[c] else None for c in COLUMNS}


def row(path, dims, threads):
    ms, found = ratios(path, dims, threads)
    cells = ["      -" if x is None else f"{x:7.2f}" for x in found.values()]
    print(f"{os.path.basename(path)[:-5]:<26} {ms:>9.3f} {' '.join(cells)}", flush=True)


def on_memory(tmp):
    """Name -> path of a model of one operator, or of a chain of eight."""
    chain = ["Mul", "Add", "Relu", "Mul", "Sub", "Abs", "Max", "Neg"]
    nodes = [helper.make_node(op, [f"x{i}" if i else "x"] + (["a"] if op in ("Mul", "Add", "Sub", "Max") else []),
                              [f"x{i + 1}" if i + 1 < len(chain) else "y"]) for i, op in enumerate(chain)]
    models = {"chain of 8": nodes, "softmax": [helper.make_node("Softmax", ["x"], ["y"], axis=-1)],
              "layernorm": [helper.make_node("LayerNormalization", ["x", "g"], ["y"], axis=-1)]}
    init = [numpy_helper.from_array(np.array(1.25, np.float32), "a"),
            numpy_helper.from_array(np.random.default_rng(1).standard_normal(SIDE).astype(np.float32), "g")]
    port = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [SIDE, SIDE]) for n in "xy"]
    for name, nodes in models.items():
        used = {i for n in nodes for i in n.input}
        g = helper.make_graph(nodes, "g", port[:1], port[1:], [t for t in init if t.name in used])
        path = os.path.join(tmp, name + ".onnx")
        onnx.save(helper.make_model(g, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
        yield name, path


def memory_parts():
    """Name, the part of a copy that it reaches, and the limits of the same rounds by name."""
    x = {"x": np.random.default_rng(2).standard_normal((SIDE, SIDE)).astype(np.float32)}
    with tempfile.TemporaryDirectory() as tmp, Limits() as limits:
        for name, path in on_memory(tmp):
            call, part = compiled(path, x, "f32", LIMIT_THREADS, tmp), []
            for _ in range(ROUNDS):
                allow = limits.now()
                part.append((2e-9 * x["x"].nbytes / per_call(call, SLICE) / allow["copy"], *allow.values()))
            reached, *middle = np.median(part, axis=0)
            yield name, reached, dict(zip(allow, middle))


def memory_rows():
    for name, reached, allow in memory_parts():
        print(f"{name:<26} {100 * reached:5.0f} % of a copy ({allow['copy']:.0f} GB/s; read {allow['read']:.0f} GB/s)", flush=True)
    print(f"peak {allow['fma']:.0f} GFLOP/s; of bf16 pairs {allow['dot']:.0f}; in tile registers {allow['tile']:.0f}")


def paths(named, tmp):
    if named in models.NAMES:
        return [models.make(named, tmp)]
    if named.endswith(".onnx"):
        return [named]
    return sorted(glob.glob(os.path.join(named, "**", "*.onnx"), recursive=True))


def machine(threads):
    with open("/proc/cpuinfo") as f:
        flags = next(line for line in f if line.startswith("flags")).split()
    have = [f for f in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16") if f in flags]
    print(f"{threads} threads; {' '.join(have)}; ONNX Runtime {ort.__version__}, OpenVINO {openvino.__version__}", flush=True)
    return have


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--dim", action="append", default=[], metavar="NAME=N")
    p.add_argument("--threads", type=int, default=LIMIT_THREADS)
    p.add_argument("models", nargs="*", metavar="DIR|MODEL|NAME", default=models.NAMES)
    arg = p.parse_args()
    dims = {k: int(v) for k, v in (d.split("=") for d in arg.dim)}
    machine(arg.threads)
    print(f"{'model':<26} {'ORT ms':>9} {' '.join(f'{c:>7}' for c in COLUMNS)}")
    for m in arg.models:
        with tempfile.TemporaryDirectory() as tmp:
            for path in paths(m, tmp):
                row(path, dims, arg.threads)
    memory_rows()


if __name__ == "__main__":
    main()
