# SPDX-License-Identifier: Apache-2.0
"""Whether FP8 needs data, model by model: `tests/bench/run default [--draws N] [DIR [NAME...]]`.

DIR is as `accuracy` has it; without it, the models of the tests and the networks of tests/model/nets.py. Each cell is
the SQNR in dB of the worst float output against ONNX Runtime's of the model as it is, over all inputs that judge:

  tensor      recipe fp8 with scale = tensor, calibrated
  probe       recipe fp8 without data, the default
  calibrate   recipe fp8 with scales from the inputs that calibrate
  mxfp8       recipe mxfp8, whose convolutions and products of activations are calibrated
  propagate   recipe fp8 with scales that are estimated
  channels    what weights by channel gain: calibrate less tensor; "depthwise" where a convolution is so

What is wanted: probe at most 1 dB below calibrate, all outputs finite where f32's are, calibrate and mxfp8 not below
tensor (0.3 dB is luck of rounding). The last column says what fails; exit status 1 where something does.

Where few products make the rounding, luck is more than that: other factors of activations, which say nothing of the
model, move the outputs of small networks by 1 dB RMS. With --draws N (2 at least) probe and calibrate are compiled N
times more, by their statistics with the same factors drawn for both; the column `drawn` has the mean and the deviation
of each, and probe is judged by the difference of the means, less that difference's standard error."""
import argparse
import glob
import os
import random
import re
import sys
import tempfile

import numpy as np
import onnx

from accuracy import TENSOR, judged, number, outputs, own_models
from peer import why
from nets import NETS, inputs  # in a folder that peer adds

COLUMNS = ("tensor", "probe", "calibrate", "mxfp8", "propagate")
LUCK = 0.3  # dB
LEAST = 1   # dB that probe may lie below calibrate
N_FACTOR = 32  # factors lie so many to the octave


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


def with_factors(stats, seed, out):
    """The statistics with a factor drawn for each value, by its name, which is said to pay."""
    def drawn(m):
        k = random.Random(f"{seed} {m[1]}").randrange(N_FACTOR)
        return f"{m[1]}{m[2]} factor {1 + k / N_FACTOR} gain 1"
    with open(stats) as f:
        text = re.sub(r"^(.+)( rms \S+ amax \S+ finite \S+)( factor \S+ gain \S+)?", drawn, f.read(), flags=re.M)
    with open(out, "w") as f:
        f.write(text)
    return out


def measure(path, tmp, draws):
    """dB of each column, and of draws of probe and calibrate, [n, 2]."""
    judge, names, worst = judged(path)
    recipe = os.path.join(tmp, "tensor.recipe")
    with open(recipe, "w") as f:
        f.write(TENSOR)
    stats = os.path.join(tmp, "measured.stats")
    guess = os.path.join(tmp, "probed.stats")
    given = ["--calibrate", stats]
    options = {"calibrate": ["--recipe", "fp8", "--calibrate", path[:-5] + ".calibrate", "--save-stats", stats],
               "tensor": ["--recipe", recipe, *given], "probe": ["--recipe", "fp8", "--save-stats", guess],
               "mxfp8": ["--recipe", "mxfp8", *given],
               "propagate": ["--recipe", "fp8", "--scales", "propagate"]}
    def sqnr(o):
        return worst.sqnr(outputs(path, o, tmp, judge, names))
    ret = {c: sqnr(o) for c, o in options.items()}
    drawn = os.path.join(tmp, "drawn.stats")
    return ret, np.array([[sqnr(["--recipe", "fp8", "--calibrate", with_factors(s, seed, drawn)]) for s in (guess, stats)]
                          for seed in range(draws)]).reshape(draws, 2)


def is_below(x, drawn):
    """Whether probe lies too far below calibrate."""
    if len(drawn) < 2:
        return x["probe"] < x["calibrate"] - LEAST
    far = drawn[:, 1] - drawn[:, 0]
    return far.mean() - far.std(ddof=1) / np.sqrt(len(far)) > LEAST


def faults(x, drawn):
    ret = [f"{c} is not finite" for c in COLUMNS if x[c] == -np.inf]
    ret += ["probe below calibrate"] if is_below(x, drawn) else []
    return ret + [f"{c} below tensor" for c in ("calibrate", "mxfp8") if x[c] < x["tensor"] - LUCK]


def main():
    ap = argparse.ArgumentParser(usage=__doc__)
    ap.add_argument("--draws", type=int, default=0)
    ap.add_argument("folder", nargs="?")
    ap.add_argument("name", nargs="*")
    a = ap.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as tmp:
        folder = a.folder or os.path.join(tmp, "own")
        if not a.folder:
            os.mkdir(folder)
            made_models(folder)
        some = a.name or [os.path.basename(p)[:-5] for p in sorted(glob.glob(os.path.join(folder, "*.onnx")))]
        print("| model | " + " | ".join(COLUMNS) + " | channels | drawn | fails |\n|---" + "|---" * (len(COLUMNS) + 3) + "|")
        for name in some:
            path = os.path.join(folder, name + ".onnx")
            try:
                x, drawn = measure(path, tmp, a.draws)
                wrong = faults(x, drawn)
                row = [number(x[c]) for c in COLUMNS]
                gain = f"{x['calibrate'] - x['tensor']:.1f}" if np.isfinite(x["calibrate"] - x["tensor"]) else "-"
                row.append(gain + (", depthwise" if is_depthwise(path) else ""))
                row.append(" / ".join(f"{d.mean():.1f} +- {d.std(ddof=1):.1f}" for d in drawn.T) if a.draws > 1 else "-")
            except Exception as e:  # a model that fails must not hide the others
                wrong, row = [why(e)], ["-"] * (len(COLUMNS) + 2)
            failed = failed or bool(wrong)
            print(f"| {name} | " + " | ".join(row) + f" | {'; '.join(wrong)} |", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
