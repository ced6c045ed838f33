# SPDX-License-Identifier: Apache-2.0
"""The networks of nets.py in FP8: the outputs stay near those of f32, without data as with it."""
import json
import os
import subprocess
import tempfile

import numpy as np
import onnx

from nets import NETS, inputs
from scalec import SCALEC, Count

# Bits between an estimate of log2 RMS and what is measured on noise. A probe's estimate stands half way between its run
# on noise and the one on ramps: in `gates`, whose weights are random, ramps are 2^6.6 larger.
MOST_DRIFT = 3.5


def run(path, npz, out, *options):
    subprocess.run([SCALEC, "run", path, "-i", npz, "-o", out, *options], check=True, capture_output=True)
    with np.load(out) as z:
        return z[z.files[0]].astype(np.float64)


def sqnr(want, got):
    assert np.isfinite(got).all(), got
    return 10 * np.log10((want ** 2).sum() / ((want - got) ** 2).sum())


def drift(path, npz, options):
    """Of all tensors the one whose measured log2 RMS is farthest from the estimate: (bits, name)."""
    p = subprocess.run([SCALEC, "check", path, "--data", npz, "--budget", "0", "--json", *options], check=True,
                       capture_output=True)
    seen = [(abs(t["log2_rms_expected"] - np.log2(t["rms"])), t["name"]) for t in json.loads(p.stdout)["tensors"]
            if t["log2_rms_expected"] is not None and t["rms"]]
    return max(seen)


def check(net, options, least):
    """The net must give the outputs of its f32 run within so many dB, whatever the options are, and where activations are
    stored low no estimate may be far from what is measured."""
    with tempfile.TemporaryDirectory() as tmp:
        path, npz, out = (os.path.join(tmp, f) for f in ("m.onnx", "x.npz", "y.npz"))
        m = NETS[net]()
        onnx.save(m, path)
        np.savez(npz, input=inputs(m, 9))
        want = run(path, npz, out)
        got = {" ".join(o): sqnr(want, run(path, npz, out, *o)) for o in options}
        assert all(x >= least for x in got.values()), got
        for o in options:
            if "--scales" in o:
                bits, name = drift(path, npz, o)
                print(f"{' '.join(o)}: the worst estimate is {bits:.2f} bits off, of {name}")
                assert bits <= MOST_DRIFT, (bits, name)


FP8 = [["--recipe", "fp8", "--scales", s] for s in ("propagate", "probe")]
count = Count("model-cnns")
for name, least in (("concatenations", 18), ("branches", 18), ("clips", 15), ("gates", 18)):
    count.check(name, lambda: check(name, FP8, least))
count.check("f16", lambda: check("f16", FP8 + [["--recipe", r] for r in ("f16", "fp8-weights")], 18))
count.close()
