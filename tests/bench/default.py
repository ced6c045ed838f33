# SPDX-License-Identifier: Apache-2.0
"""Whether FP8 needs data, model by model: `tests/bench/run default [DIR [NAME...]]`.

DIR is as `accuracy` has it; without it, the models of the tests and the networks of tests/model/nets.py. Each cell is
the SQNR in dB of the worst float output against ONNX Runtime's of the model as it is, over all inputs that judge:

  tensor      recipe fp8 with scale = tensor, calibrated
  probe       recipe fp8 without data, the default
  calibrate   recipe fp8 with scales from the inputs that calibrate
  mxfp8       recipe mxfp8, whose convolutions and products of activations are calibrated
  propagate   recipe fp8 with scales that are estimated
  channels    what weights by channel gain: calibrate less tensor; "depthwise" where a convolution is so

What is wanted: probe at most 1 dB below calibrate, all outputs finite where f32's are, calibrate and mxfp8 not below
tensor (0.3 dB is luck of rounding). The last column says what fails; exit status 1 where something does."""
import glob
import os
import sys
import tempfile

import numpy as np
import onnx

from accuracy import TENSOR, judged, number, outputs, own_models
from peer import why
from nets import NETS, inputs  # in a folder that peer adds

COLUMNS = ("tensor", "probe", "calibrate", "mxfp8", "propagate")
LUCK = 0.3  # dB


def made_models(folder):
    """The models of the tests, and the networks."""
    own_models(folder)
    for name, net in NETS.items():
        m = net()
        onnx.save(m, os.path.join(folder, name + ".onnx"))
        for kind, seed in (("judge", 9), ("calibrate", 10)):
            os.mkdir(os.path.join(folder, f"{name}.{kind}"))
            np.savez(os.path.join(folder, f"{name}.{kind}", "0.npz"), input=inputs(m, seed))


def is_depthwise(path):
    m = onnx.load(path, load_external_data=False)
    groups = [a.i for n in m.graph.node if n.op_type == "Conv" for a in n.attribute if a.name == "group"]
    return any(g > 1 for g in groups)


def measure(path, tmp):
    """dB of each column."""
    judge, names, worst = judged(path)
    recipe = os.path.join(tmp, "tensor.recipe")
    with open(recipe, "w") as f:
        f.write(TENSOR)
    stats = os.path.join(tmp, "measured.stats")
    given = ["--calibrate", stats]
    options = {"calibrate": ["--recipe", "fp8", "--calibrate", path[:-5] + ".calibrate", "--save-stats", stats],
               "tensor": ["--recipe", recipe, *given], "probe": ["--recipe", "fp8"], "mxfp8": ["--recipe", "mxfp8", *given],
               "propagate": ["--recipe", "fp8", "--scales", "propagate"]}
    return {c: worst.sqnr(outputs(path, o, tmp, judge, names)) for c, o in options.items()}


def faults(x):
    ret = [f"{c} is not finite" for c in COLUMNS if x[c] == -np.inf]
    ret += ["probe below calibrate"] if x["probe"] < x["calibrate"] - 1 else []
    return ret + [f"{c} below tensor" for c in ("calibrate", "mxfp8") if x[c] < x["tensor"] - LUCK]


def main():
    failed = False
    with tempfile.TemporaryDirectory() as tmp:
        folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(tmp, "own")
        if len(sys.argv) < 2:
            os.mkdir(folder)
            made_models(folder)
        some = sys.argv[2:] or [os.path.basename(p)[:-5] for p in sorted(glob.glob(os.path.join(folder, "*.onnx")))]
        print("| model | " + " | ".join(COLUMNS) + " | channels | fails |\n|---" + "|---" * (len(COLUMNS) + 2) + "|")
        for name in some:
            path = os.path.join(folder, name + ".onnx")
            try:
                x = measure(path, tmp)
                wrong = faults(x)
                row = [number(x[c]) for c in COLUMNS]
                gain = f"{x['calibrate'] - x['tensor']:.1f}" if np.isfinite(x["calibrate"] - x["tensor"]) else "-"
                row.append(gain + (", depthwise" if is_depthwise(path) else ""))
            except Exception as e:  # a model that fails must not hide the others
                wrong, row = [why(e)], ["-"] * (len(COLUMNS) + 1)
            failed = failed or bool(wrong)
            print(f"| {name} | " + " | ".join(row) + f" | {'; '.join(wrong)} |", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
