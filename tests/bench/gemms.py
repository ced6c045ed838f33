# SPDX-License-Identifier: Apache-2.0
"""What products reach of what the machine allows in the same round: `tests/bench/run gemms [--threads N]`. Models are
those of models.py, compiled as programs, whose profile says what the products by weights take together.

  decode            GB/s of weights, and of what streams of reading reach
  prompts           GFLOP/s, and of what multiplications in registers reach: of f32, or of pairs of bf16 or in
                    tile registers where the program multiplies so

A limit is the best of a few, so times are calm ones too: a product's share of the mean, of the time that a tenth of the
runs stay below. A machine that others use disturbs long runs more than short loops."""
import argparse
import os
import re
import subprocess
import tempfile

import numpy as np

import models
from bench import ROUNDS  # which adds the folder of scalec's module
from scalec import BUILD, scalec

LEAST = 100e3  # bytes of a layer's weights
UNIT = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9}
UNITS = {"dot": "bf16 pairs", "tile": "tile registers"}  # limit -> what a kernel says of itself; else "fma"
BITS = {"f32": 32, "fp8": 8, "fp8-weights": 8, "mxfp4-weights": 4.25}


class Limits:
    """The program of limits.c: READ and COPY in GB/s, FMA, DOT and TILE in GFLOP/s, on two threads."""

    def __init__(self):
        self.proc = subprocess.Popen([os.path.join(BUILD, "tests", "bench-limits")], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proc.communicate()

    def now(self):
        self.proc.stdin.write("\n")
        self.proc.stdin.flush()
        return dict(zip(("read", "copy", "fma", "dot", "tile"), map(float, self.proc.stdout.readline().split())))


def by_weights(exe, threads):
    """Seconds a calm run, bytes of weights and words about one kernel, of all products by weights of a program."""
    out = subprocess.run([exe, "--bench", "--profile", "--threads", str(threads)], check=True, capture_output=True,
                         text=True).stdout
    seconds, held, what = 0.0, 0.0, ""
    for line in out.splitlines():
        m = re.match(r"k\d+ +([\d.]+) +[\d.]+% +\d+ +([\d.]+)([KMG]?) .* contract (.*)", line)
        if m and float(m[2]) * UNIT[m[3]] >= LEAST:
            seconds, held, what = seconds + 1e-3 * float(m[1]), held + float(m[2]) * UNIT[m[3]], m[4]
    p10, mean = map(float, re.search(r"p10 ([\d.]+), .* mean ([\d.]+)", out).groups())
    return seconds * p10 / mean, held, what


def part(path, recipe, rows, threads, limits, tmp):
    """GB/s or GFLOP/s, what part of the limit that is, and of which: "read", or as UNITS and "fma" have it."""
    exe = os.path.join(tmp, f"{recipe}.exe")
    scalec("compile", path, "--recipe", recipe, "-o", exe)
    rates, parts = [], []
    for _ in range(ROUNDS // 2):
        allow = limits.now()
        seconds, held, what = by_weights(exe, threads)
        by = next((unit for unit, text in UNITS.items() if text in what), "fma")
        if rows == 1:
            limit, rate = allow["read"], 1e-9 * held / seconds
        else:
            limit = threads / 2 * allow[by]
            rate = 1e-9 * 2 * rows * held * 8 / BITS[recipe] / seconds
        rates.append(rate)
        parts.append(rate / limit)
    return np.median(rates), np.median(parts), "read" if rows == 1 else by


CASES = (("gpt2-decode", 1, ("f32", "fp8", "fp8-weights", "mxfp4-weights")),
         ("gpt2-prefill", models.TOKENS, ("f32", "fp8", "fp8-weights")),
         ("bert", models.TOKENS, ("f32", "fp8", "fp8-weights")))


def measured(threads):
    """Model, recipe, and what part says of it."""
    with tempfile.TemporaryDirectory() as tmp, Limits() as limits:
        for name, rows, recipes in CASES:
            path = models.make(name, tmp)
            for r in recipes:
                yield name, r, *part(path, r, rows, threads, limits, tmp)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--threads", type=int, default=2)
    for name, recipe, rate, reached, by in measured(p.parse_args().threads):
        unit, of = ("GB/s", "reading") if by == "read" else ("GFLOP/s", UNITS.get(by, "FMA"))
        print(f"{name:<18} {recipe:<14} {rate:8.1f} {unit:<8} {100 * reached:4.0f} % of {of}", flush=True)


if __name__ == "__main__":
    main()
