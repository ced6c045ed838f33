# SPDX-License-Identifier: Apache-2.0
"""Estimates of log2 RMS beside what is measured, of every tensor: networks whose weights and inputs are as random as the
rules of growth take them to be, in recipe fp8. The worst of each is printed."""
import json
import os
import tempfile

import numpy as np
import onnx

import nets
import sequences
from scalec import Count, scalec

# Bits that the worst tensor of a network may be off, and that all may be in the mean square, by propagation and by probe:
# a little more than they are, and less than with a rule that counts wrong. A probe's estimate stands half way between its
# run on noise and the one on ramps: in `gates` ramps are 2^6.6 larger.
MOST = {"norms-behind": ((1.2, .38), (.4, .1)), "norms-before": ((1.25, .43), (.7, .15)), "decoder": ((.85, .22), (.6, .2)),
        "recurrent": ((1.75, .75), (2.1, .5)), "crossed": ((1.5, .52), (1.4, .45)), "unet": ((1.7, .4), (1.7, .35)),
        "concatenations": ((1.7, .9), (1.5, .55)), "branches": ((1.5, .7), (.75, .3)), "clips": ((2, 1.35), (.85, .2)),
        "gates": ((3.1, 1.35), (3.5, 1.8)), "f16": ((1.2, .55), (.4, .1))}


def drift(path, npz, scales):
    """[(bits, name)] of all tensors: estimated less measured."""
    found = scalec("check", path, "--data", npz, "--budget", "0", "--json", "--recipe", "fp8", "--scales", scales)
    return [(t["log2_rms_expected"] - np.log2(t["rms"]), t["name"]) for t in json.loads(found)["tensors"]
            if t["log2_rms_expected"] is not None and t["rms"]]


def check(name):
    m = {**nets.NETS, **sequences.NETS}[name]()
    given = {"input": nets.inputs(m, 9)} if name in nets.NETS else sequences.inputs(m, 9)
    with tempfile.TemporaryDirectory() as tmp:
        path, npz = (os.path.join(tmp, f) for f in ("m.onnx", "x.npz"))
        onnx.save(m, path)
        np.savez(npz, **given)
        for scales, (far, mean) in zip(("propagate", "probe"), MOST[name]):
            seen = drift(path, npz, scales)
            off, worst = max(seen, key=lambda x: abs(x[0]))
            all_of = np.sqrt(np.mean([x[0] ** 2 for x in seen]))
            print(f"{name}, {scales}: of {len(seen)} estimates that of {worst} is {off:+.2f} bits off, all are {all_of:.2f}")
            assert abs(off) <= far and all_of <= mean, (scales, off, worst, all_of)


count = Count("model-estimates")
for name in MOST:
    count.check(name, lambda: check(name))
count.close()
