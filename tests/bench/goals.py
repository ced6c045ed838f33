# SPDX-License-Identifier: Apache-2.0
"""How fast compiled programs are meant to be, and whether they are: `tests/bench/run goals [--part NAME]... [DIR]`.

Two threads unless a line says so, medians of rounds in which all sides run one after the other. Each line has what was
reached, what is wanted, what is the least, and "goal", "floor" or BELOW. A processor has the goals of AVX2, or those of
AVX-512 with AMX where it has tile registers; the others' are not measured on it. Models are those of models.py; DIR may
hold others, as `peers` has them: mobilenetv2*.onnx and silero*.onnx have goals of their own, and all of them are to be
at least 0.9 of ONNX Runtime's speed in recipe f32, 1.2 in the median. Parts: token, products, models, memory, compile;
all, and DIR where it is named, without --part.

The token is beside ONNX Runtime that of a program which takes its cache and gives back the next one, as ONNX Runtime
does, and beside llama.cpp that of one which keeps it, as llama.cpp does. The status is 1 where something is below."""

import argparse
import glob
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

import models
import decode
import gemms
import peers
from peer import why

BOTH = ("fp8", "fp8-weights")
COLUMN = {"fp8": "fp8", "fp8-weights": "fp8-w", "f32": "f32"}  # of peers
SLOWEST, MEDIAN = 0.9, 1.2  # of ONNX Runtime's speed, in f32, of any model


def goal(avx2, amx=None):
    """(wanted, least) by AVX2, and by AVX-512 with AMX; None: no goal there. At most, where wanted is less than least."""
    return avx2, avx2 if amx is None else amx


def token(ms, threads):
    """What, against, reached, goals."""
    def ratio(side, c):
        return np.median(ms[side] / ms[c])
    for r in BOTH:
        one = threads == 1
        work = f"token, {r}" + (", 1 thread" if one else "")
        yield work, "ORT f32", ratio("ORT f32", r), goal((3.5, 3.1) if one else (4.0, 3.1), (4.5, 3.3) if one else (4.2, 3.3))
        yield work, "ORT int8", ratio("ORT int8", r), goal((1.8, 1.35))
        yield work + ", kept", "Q8_0", ratio("Q8_0", r + ", kept"), goal((1.9, 1.45), (1.7, 1.35))
    r = "mxfp4-weights"
    work = f"token, {r}" + (", 1 thread" if threads == 1 else "")
    yield work + ", kept", "Q4_0", ratio("Q4_0", r + ", kept"), goal((1.2, 1.0), (1.3, 1.05))


def tokens():
    for threads in (2, 1):
        yield from token(decode.times(threads), threads)


def products():
    for name, recipe, _, part, by in gemms.measured(peers.LIMIT_THREADS):
        if by == "read":
            if recipe != "f32":
                yield f"products of the token, {recipe}", "reading", part, goal((0.9, 0.78), (0.88, 0.75))
        else:
            amx = (0.4, 0.25) if by == "tile" else (0.85, 0.7)
            yield f"products of {name}, {recipe}", gemms.UNITS.get(by, "FMA"), part, goal((0.92, 0.8), amx)


def beside(work, path, wanted):
    """wanted: (recipe, column of the peer or None for ONNX Runtime's f32, its name, goals)."""
    _, found = peers.ratios(path, {}, peers.LIMIT_THREADS)
    for recipe, column, peer, of in wanted:
        mine, other = found[COLUMN[recipe]], found[column] if column else 1
        yield f"{work}, {recipe}", peer, mine / other if mine and other else None, of


ORT, OV, OV_F32, INT8 = (None, "ORT f32"), ("ov", "OpenVINO"), ("ov f32", "OpenVINO f32"), ("int8", "ORT int8")
MADE = {
    "gpt2-prefill-last": ("prompt of 128, last logit", [("fp8", *ORT, goal((1.2, 1.05), (4.5, 3.2))),
                                                        ("fp8", *OV, goal(None, (1.35, 1.05)))]),
    "gpt2-prefill": ("prompt of 128, all logits", [("fp8", *ORT, goal((1.3, 1.05), (3.5, 2.6)))]),
    "bert": ("BERT-base 1 x 128", [("fp8", *ORT, goal((1.2, 1.05), (4.5, 3.2))), ("fp8", *OV, goal(None, (1.2, 1.0)))]),
    "resnet18": ("ResNet-18", [("f32", *ORT, goal((1.5, 1.2))), ("f32", *OV_F32, goal((1.2, 1.0))),
                               ("fp8", *OV, goal((1.2, 1.0), (1.0, 0.8)))]),
    "resnet50": ("ResNet-50", [("f32", *ORT, goal((1.2, 1.05))), ("f32", *OV_F32, goal((1.2, 1.0))),
                               ("fp8", *OV, goal((1.2, 1.0), (1.0, 0.8)))]),
    "mlp": ("MLP 1024-4096-4096-1024", [("fp8", *ORT, goal((4.0, 3.2), (4.4, 3.5))),
                                        ("fp8", *INT8, goal(None, (1.15, 1.0)))]),
    "lstms": ("two LSTMs of 128, one step", [("f32", *ORT, goal((2.0, 1.3)))]),
}
OWN = {
    "mobilenetv2": ("MobileNetV2", [("f32", *ORT, goal((1.2, 1.0))), ("f32", *OV_F32, goal((1.2, 1.0), (1.1, 0.95)))]),
    "silero": ("silero-vad, one frame", [("f32", *ORT, goal((2.0, 1.3)))]),
}


def made(tmp):
    for name, (work, wanted) in MADE.items():
        yield from beside(work, models.make(name, tmp), wanted)


def operators():
    for name, part, _ in peers.memory_parts():
        yield f"{name} on 64 MiB", "a copy", part, goal((0.9, 0.8))


# In a process of its own: what Linux says a child has held at most begins with what its parent holds.
COSTS = "import cost, json, sys; print(json.dumps(cost.costs(sys.argv[1], sys.argv[2])))"


def compiling(tmp):
    path = models.make("gpt2-prefill", tmp)
    out = subprocess.run([sys.executable, "-c", COSTS, path, tmp], check=True, stdout=subprocess.PIPE, text=True,
                         cwd=os.path.dirname(os.path.abspath(__file__))).stdout
    _, found, run = json.loads(out)
    seconds, memory, _ = found["fp8"]
    yield "compile of GPT-2 in fp8", "seconds", seconds, goal((5, 10))
    yield "compile of GPT-2 in fp8, memory", "the f32 file", memory, goal((1.5, 2.5))
    yield "run of GPT-2 in fp8, memory", "ORT f32", run, goal((0.3, 0.4))


def folder(path):
    found = []
    for file in sorted(glob.glob(os.path.join(path, "*.onnx"))):
        name = os.path.basename(file)[:-5]
        work, wanted = next((v for k, v in OWN.items() if name.startswith(k)), (name, []))
        rest = ("f32", *ORT, goal((1.0, SLOWEST)))
        try:
            lines = list(beside(work if wanted else name, file, wanted or [rest]))
        except Exception as e:  # ONNX Runtime's: a model that it does not take must not hide the others
            print(f"{name}: not measured: {why(e)}", flush=True)
            continue
        for work, peer, reached, of in lines:
            yield work, peer, reached, of
            if peer == ORT[1] and reached:
                found.append(reached)
    if found:
        yield f"median of {len(found)} models, f32", "ORT f32", np.median(found), goal((MEDIAN, MEDIAN))


def verdict(reached, wanted, least):
    if reached is None:
        return "BELOW: one of the two does not take the model"
    sign = -1 if wanted < least else 1
    return "goal" if sign * reached >= sign * wanted else "floor" if sign * reached >= sign * least else "BELOW"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--part", action="append", default=[], choices=["token", "products", "models", "memory", "compile"])
    p.add_argument("folder", nargs="?", metavar="DIR")
    arg = p.parse_args()
    has_tiles = "amx_bf16" in peers.machine(peers.LIMIT_THREADS)
    names = ("AVX2", "AVX-512 with AMX")
    print(f"goals of {names[has_tiles]}; those of {names[not has_tiles]} are not measured: this processor "
          f"{'has' if has_tiles else 'lacks'} tile registers")
    print(f"{'work':<44} {'against':<14} {'reached':>8} {'goal':>6} {'floor':>6}")
    count = {"goal": 0, "floor": 0, "BELOW": 0}
    with tempfile.TemporaryDirectory() as tmp:
        parts = {"token": tokens, "products": products, "models": lambda: made(tmp), "memory": operators,
                 "compile": lambda: compiling(tmp)}
        lines = [parts[k] for k in arg.part or parts] + ([lambda: folder(arg.folder)] if arg.folder else [])
        for part in lines:
            for work, peer, reached, of in part():
                if of[has_tiles] is None:
                    continue
                said = verdict(reached, *of[has_tiles])
                count[said.split(":")[0]] += 1
                cell = "-" if reached is None else f"{reached:.2f}"
                print(f"{work:<44} {peer:<14} {cell:>8} {of[has_tiles][0]:>6} {of[has_tiles][1]:>6}  {said}", flush=True)
    print(", ".join(f"{n} {k}" for k, n in count.items()))
    return count["BELOW"] > 0


if __name__ == "__main__":
    sys.exit(main())
