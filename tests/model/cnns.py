# SPDX-License-Identifier: Apache-2.0
"""The networks of nets.py in FP8: the outputs stay near those of f32, without data as with it."""
import os
import subprocess
import tempfile

import numpy as np
import onnx

from nets import NETS, inputs
from scalec import SCALEC, Count


def run(path, npz, out, *options):
    subprocess.run([SCALEC, "run", path, "-i", npz, "-o", out, *options], check=True, capture_output=True)
    with np.load(out) as z:
        return z[z.files[0]].astype(np.float64)


def sqnr(want, got):
    assert np.isfinite(got).all(), got
    return 10 * np.log10((want ** 2).sum() / ((want - got) ** 2).sum())


def check(net, options, least):
    """The net must give the outputs of its f32 run within so many dB, whatever the options are."""
    with tempfile.TemporaryDirectory() as tmp:
        path, npz, out = (os.path.join(tmp, f) for f in ("m.onnx", "x.npz", "y.npz"))
        m = NETS[net]()
        onnx.save(m, path)
        np.savez(npz, input=inputs(m, 9))
        want = run(path, npz, out)
        got = {" ".join(o): sqnr(want, run(path, npz, out, *o)) for o in options}
        assert all(x >= least for x in got.values()), got


FP8 = [["--recipe", "fp8", "--scales", s] for s in ("propagate", "probe")]
count = Count("model-cnns")
for name, least in (("concatenations", 18), ("branches", 18), ("clips", 15), ("gates", 18)):
    count.check(name, lambda: check(name, FP8, least))
count.check("f16", lambda: check("f16", FP8 + [["--recipe", r] for r in ("f16", "fp8-weights")], 18))
count.close()
