# SPDX-License-Identifier: Apache-2.0
"""What low precision costs, model by model: `tests/bench/run accuracy [DIR [NAME...]]`.

DIR holds NAME.onnx, and beside it NAME.judge/*.npz, inputs by name that judge, and NAME.calibrate/*.npz, other inputs
that calibrate. Without DIR, the models of the tests and the digits drawn for them. Each cell is the SQNR in dB of the
worst float output against ONNX Runtime's of the model as it is, over all inputs that judge, in the order of their names.
An array `label` among the inputs that judge is the index that the first output should be largest at. Lines OUTPUT=INPUT
in NAME.states: each input that judges, but the first, gets what the run before it gave.

  cast, amax   baselines in ONNX Runtime itself: the operands of every MatMul, Gemm and Conv are rounded to FP8 E4M3 as they
               are, or divided by amax/448 first, the amax of the inputs that calibrate; the products are f32. Recurrent
               operators stay as they are, whose products scalec's recipes store too; a model whose products lie in
               nested graphs has no such cell
  int8         ONNX Runtime's static quantizer, per tensor, min and max of the inputs that calibrate
  propagate, probe, calibrate   scalec's recipe fp8 with scales from that source; probe is the default
  dynamic, rows   the same with scales that the run finds, of each activation and of each row of those that have rows
  tensor       recipe fp8 with scale = tensor, which has powers of two only, scales from the inputs that calibrate
  weights, mxfp8   these recipes; the latter's scales are from the inputs that calibrate, where a run does not find them
  top-1        positions whose largest element is the same in f32 and in fp8 by probe, in percent
  labels       in percent, where there are labels: right in f32, in fp8 by probe and calibrated"""
import glob
import os
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper

from peer import HERE, SCALEC, command, graphs, session, why
from scalec import Model  # in a folder that peer adds

FORMAT_MAX = 448.0
PRODUCTS = ("MatMul", "Gemm", "Conv")
OURS = {"propagate": ["--recipe", "fp8", "--scales", "propagate"], "probe": ["--recipe", "fp8", "--scales", "probe"],
        "calibrate": ["--recipe", "fp8"], "tensor": [], "weights": ["--recipe", "fp8-weights"],
        "dynamic": ["--recipe", "fp8", "--scales", "dynamic"], "rows": ["--recipe", "fp8", "--scales", "dynamic-rows"],
        "mxfp8": ["--recipe", "mxfp8"]}
TENSOR = "activation = f8e4m3fn\nweight = f8e4m3fn\nscale = tensor\n"


def in_order(path):
    """1.npz, 2.npz, ..., 10.npz."""
    stem = os.path.basename(path)[:-4]
    return (int(stem), "") if stem.isdigit() else (0, stem)


def samples(folder):
    ret = []
    for path in sorted(glob.glob(os.path.join(folder, "*.npz")), key=in_order):
        with np.load(path) as z:
            ret.append({k: z[k] for k in z.files})
    return ret


class Worst:
    """Signal and noise of each float output over the inputs that judge."""

    def __init__(self, want):
        self.want = want

    def sqnr(self, got):
        worst = np.inf
        for k in range(len(self.want[0])):
            pairs = [(w[k].astype(np.float64), g[k].astype(np.float64)) for w, g in zip(self.want, got)
                     if w[k].dtype.kind == "f"]
            ok = [(w[np.isfinite(w)], g[np.isfinite(w)]) for w, g in pairs]
            signal, noise = (sum(float((f(w, g) ** 2).sum()) for w, g in ok) for f in (lambda w, g: w, np.subtract))
            if signal > 0 and not noise == 0:
                worst = min(worst, 10 * np.log10(signal / noise) if np.isfinite(noise) else -np.inf)
        return worst

    def top1(self, got):
        """Of the first float output of more than one element a row."""
        for k in range(len(self.want[0])):
            w = [x[k] for x in self.want]
            if w[0].dtype.kind == "f" and w[0].ndim and w[0].shape[-1] > 1:
                same = [np.argmax(x, -1) == np.argmax(g[k], -1) for x, g in zip(w, got)]
                return 100 * np.concatenate([np.atleast_1d(s).ravel() for s in same]).mean()
        return np.nan


class Steps:
    """Runs inputs one after the other, with what earlier runs left where the model has states."""

    def __init__(self, path, names):
        self.names, self.back = names, []
        if os.path.exists(path[:-5] + ".states"):
            with open(path[:-5] + ".states") as f:
                self.back = [line.split("=") for line in f.read().split()]

    def run(self, one, inputs):
        ret, left = [], {}
        for x in inputs:
            ret.append(one({**x, **left}))
            left = {i: ret[-1][self.names.index(o)] for o, i in self.back}
        return ret


# --- Baselines in ONNX Runtime -------------------------------------------------------------------

def operands(model):
    """The operands of products, in the order of the nodes."""
    seen = {}
    inside = [g for g in graphs(model.graph)][1:]
    if any(n.op_type in PRODUCTS for g in inside for n in g.node):
        raise ValueError("products in nested graphs")
    for n in model.graph.node:
        if n.op_type in PRODUCTS and n.domain in ("", "ai.onnx"):
            seen.update((x, None) for x in n.input[:2])
    return list(seen)


def amaxes(path, data, tmp):
    """The largest magnitude of each operand over data."""
    m = onnx.load(path)
    names = operands(m)
    for i, x in enumerate(names):
        m.graph.node.extend([helper.make_node("Abs", [x], [f"scale.abs.{i}"]),
                             helper.make_node("ReduceMax", [f"scale.abs.{i}"], [f"scale.amax.{i}"], keepdims=0)])
        m.graph.output.append(helper.make_tensor_value_info(f"scale.amax.{i}", TensorProto.FLOAT, []))
    onnx.save(m, os.path.join(tmp, "amax.onnx"))
    s = session(os.path.join(tmp, "amax.onnx"))
    rows = [s.run([f"scale.amax.{i}" for i in range(len(names))], x) for x in data]
    return {x: float(max(r[i] for r in rows)) for i, x in enumerate(names)}


def rounded(path, amax, out):
    """The model with the operands of its products rounded to FP8; amax None: as they are."""
    m = onnx.load(path)
    g, nodes = m.graph, []
    low = {x: f"low.{i}" for i, x in enumerate(operands(m))}
    made = set()

    def make(x):
        made.add(x)
        scale, y, steps = (amax[x] / FORMAT_MAX if amax else 1) or 1, low[x], []
        if scale != 1:
            t = helper.make_tensor("scale", TensorProto.FLOAT, [], [scale])
            steps += [helper.make_node("Constant", [], [f"{y}.scale"], value=t),
                      helper.make_node("Div", [x, f"{y}.scale"], [f"{y}.div"])]
        steps += [helper.make_node("Cast", [f"{y}.div" if steps else x], [f"{y}.fp8"], to=TensorProto.FLOAT8E4M3FN),
                  helper.make_node("Cast", [f"{y}.fp8"], [f"{y}.f32"], to=TensorProto.FLOAT)]
        steps.append(helper.make_node("Mul", [f"{y}.f32", f"{y}.scale"], [y]) if scale != 1 else
                     helper.make_node("Identity", [f"{y}.f32"], [y]))
        return steps

    for n in g.node:
        if n.op_type in PRODUCTS and n.domain in ("", "ai.onnx"):
            for x in n.input[:2]:
                nodes += [] if x in made else make(x)
            n.input[0], n.input[1] = low[n.input[0]], low[n.input[1]]
        nodes.append(n)
    del g.node[:]
    g.node.extend(nodes)
    for o in m.opset_import:
        if o.domain in ("", "ai.onnx") and o.version < 19:
            m = onnx.version_converter.convert_version(m, 19)
            break
    m.ir_version = max(m.ir_version, 9)
    onnx.save(m, out)


def fp8_peer(path, amax, tmp, judge, steps):
    out = os.path.join(tmp, "fp8.onnx")
    rounded(path, amax, out)
    s = session(out, plain=True)
    return steps.run(lambda x: s.run(None, x), judge)


def int8_peer(path, calibrate, tmp, judge, steps):
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.it = iter(calibrate)

        def get_next(self):
            return next(self.it, None)
    pre, out = os.path.join(tmp, "pre.onnx"), os.path.join(tmp, "int8.onnx")
    quant_pre_process(path, pre, skip_symbolic_shape=True)
    quantize_static(pre, out, Reader(), quant_format=QuantFormat.QDQ, activation_type=QuantType.QInt8,
                    weight_type=QuantType.QInt8)
    s = session(out)
    return steps.run(lambda x: s.run(None, x), judge)


# --- scalec --------------------------------------------------------------------------------------

def outputs(path, options, tmp, judge, names):
    """What the program that is compiled with options answers to each input that judges."""
    so = os.path.join(tempfile.mkdtemp(dir=tmp), "model.so")  # a path is loaded once
    command(SCALEC, "compile", path, *options, "--emit", "so", "--symbol", "model", "-o", so)
    m = Model(so)
    given = [m.entry.inp[i].name.decode() for i in range(m.entry.n_in)]
    made = [m.entry.out[i].name.decode() for i in range(m.entry.n_out)]

    def one(x):
        y = dict(zip(made, m.run(*(x[n] for n in given))))
        return [y[n] for n in names]
    try:
        return Steps(path, names).run(one, judge)
    finally:
        m.close()


def jobs(path, calibrate, judge, calibrate_path, names, tmp):
    """Column -> a function that answers the outputs of each input that judges."""
    recipe = os.path.join(tmp, "tensor.recipe")
    with open(recipe, "w") as f:
        f.write(TENSOR)
    stats, steps = os.path.join(tmp, "measured.stats"), Steps(path, names)
    more = {"calibrate": ["--calibrate", calibrate_path, "--save-stats", stats],
            "tensor": ["--recipe", recipe, "--calibrate", stats], "mxfp8": ["--calibrate", stats]}
    ret = {"cast": lambda: fp8_peer(path, None, tmp, judge, steps),
           "amax": lambda: fp8_peer(path, amaxes(path, calibrate, tmp), tmp, judge, steps),
           "int8": lambda: int8_peer(path, calibrate, tmp, judge, steps)}
    for name, options in OURS.items():
        ret[name] = lambda o=options + more.get(name, []): outputs(path, o, tmp, judge, names)
    return ret


def number(x):
    return "same" if x == np.inf else f"{x:.1f}"


def judged(path):
    """The inputs that judge, the names of the outputs, and what ONNX Runtime makes of the model as it is."""
    peer = session(path, plain=True)
    used, names = [i.name for i in peer.get_inputs()], [o.name for o in peer.get_outputs()]
    judge = [{k: x[k] for k in used} for x in samples(path[:-5] + ".judge")]
    return judge, names, Worst(Steps(path, names).run(lambda x: peer.run(None, x), judge))


def right(path, results):
    """How many of the labels, in percent; None where there are none."""
    labels = [x["label"] for x in samples(path[:-5] + ".judge") if "label" in x]
    if not labels:
        return None
    found = [y[0].reshape(len(label), -1).argmax(1) for y, label in zip(results, labels)]
    return 100 * np.mean(np.concatenate(found) == np.concatenate(labels))


def measure(path, tmp):
    """A row of the table, and why a cell is empty."""
    calibrate_path = path[:-5] + ".calibrate"
    calibrate, (judge, names, worst) = samples(calibrate_path), judged(path)
    row, notes, top1, labels = [], [], "-", [right(path, worst.want)]
    for name, job in jobs(path, calibrate, judge, calibrate_path, names, tmp).items():
        try:
            got = job()
            row.append(number(worst.sqnr(got)))
            if name == "probe":
                top1 = number(worst.top1(got))
            if name in ("probe", "calibrate"):
                labels.append(right(path, got))
        except Exception as e:  # a column that fails must not hide the others
            row.append("-")
            notes.append(f"{name}: {why(e)}")
    return row + [top1, "-" if labels[0] is None else ", ".join(f"{x:.2f}" for x in labels)], notes


def own_models(tmp):
    """The models of the tests: half of the digits judge, the other half calibrates."""
    digits = [np.load(p).astype(np.float32) for p in sorted(glob.glob(os.path.join(HERE, "digits", "*.npy")))]
    for path in sorted(glob.glob(os.path.join(HERE, "*", "*.onnx"))):
        name = os.path.join(tmp, os.path.basename(path)[:-5])
        os.symlink(os.path.abspath(path), name + ".onnx")
        port = session(path).get_inputs()[0]
        shape = [d if isinstance(d, int) else 1 for d in port.shape]
        for kind, some in (("judge", digits[::2]), ("calibrate", digits[1::2])):
            os.mkdir(f"{name}.{kind}")
            for i, x in enumerate(some):
                np.savez(f"{name}.{kind}/{i}.npz", **{port.name: x.reshape(shape)})


def main():
    with tempfile.TemporaryDirectory() as tmp:
        folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(tmp, "own")
        if len(sys.argv) < 2:
            os.mkdir(folder)
            own_models(folder)
        columns = ["cast", "amax", "int8", *OURS, "top-1", "labels"]
        print("| model | " + " | ".join(columns) + " |\n|---" + "|---" * len(columns) + "|")
        notes = []
        some = sys.argv[2:] or [os.path.basename(p)[:-5] for p in sorted(glob.glob(os.path.join(folder, "*.onnx")))]
        for name in some:
            path = os.path.join(folder, name + ".onnx")
            try:
                row, empty = measure(path, tmp)
            except Exception as e:  # ONNX Runtime cannot say what is right: the other models still have their rows
                row, empty = ["-"] * len(columns), [why(e)]
            print(f"| {name} | " + " | ".join(row) + " |", flush=True)
            notes += [f"{name}, {n}" for n in empty]
        for n in notes:
            print(n)


if __name__ == "__main__":
    main()
