# SPDX-License-Identifier: Apache-2.0
"""What compiling takes of memory grows with the weights by less than 1.2 times their bytes; and where there is less than
it needs, it ends in a message."""
import os
import resource
import subprocess
import sys

import numpy as np
import onnx
from onnx import helper

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "model"))
from command import measured, model, run_all, sanitized  # noqa: E402
from scalec import SCALEC, Skip  # noqa: E402

LAYERS = 20  # more than 64 MB: a smaller file is read, not mapped
RECIPES = (("f32",), ("fp8",), ("fp8", "--scales", "propagate"), ("mxfp8", "--scales", "propagate"))


def products(path, n, external):
    rng = np.random.default_rng(1)
    w = [(f"w{i}", (rng.standard_normal((n, n)) / np.sqrt(n)).astype(np.float32)) for i in range(LAYERS)]
    nodes = [helper.make_node("MatMul", [f"x{i}", f"w{i}"], [f"x{i + 1}"]) for i in range(LAYERS)]
    m = model(nodes, [("x0", [1, n])], [(f"x{LAYERS}", [1, n])], w)
    onnx.save(m, path, save_as_external_data=external, location=os.path.basename(path) + ".data")


def peak(path, out, recipe):
    status, _, _, kilobytes, err = measured("compile", path, "--recipe", *recipe, "--embed-limit", "1000000", "-o", out)
    assert status == 0, err
    return kilobytes


def grows_with_the_weights(tmp):
    if sanitized():
        raise Skip("sanitizers take memory of their own")
    out, few = os.path.join(tmp, "out"), os.path.join(tmp, "few.onnx")
    products(few, 256, False)
    for external in (False, True):
        many = os.path.join(tmp, "many.onnx")
        products(many, 1024, external)
        weights = LAYERS * (1024 ** 2 - 256 ** 2) * 4 >> 10
        for recipe in RECIPES if not external else RECIPES[1:2]:
            grown = peak(many, out, recipe) - peak(few, out, recipe)
            assert grown < 1.2 * weights, f"{recipe}, external {external}: {grown / weights:.2f} times the weights"


def ends_in_a_message(tmp):
    """Under limits of address space from too little for the libraries to enough for all."""
    if sanitized():
        raise Skip("sanitizers take memory of their own")
    path = os.path.join(tmp, "weights.onnx")
    onnx.save(model([helper.make_node("MatMul", ["x", "w"], ["y"])], [("x", [1, 4000])], [("y", [1, 4000])],
                    [("w", np.zeros((4000, 4000), np.float32))]), path)
    said = set()
    for limit in range(100 << 20, 1000 << 20, 20 << 20):
        p = subprocess.run([SCALEC, "ops", path], capture_output=True, text=True,
                           preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
        assert p.returncode in (0, 1, 127), f"status {p.returncode} in {limit} bytes: {p.stderr}"
        said.add(p.stderr.split(":")[1].strip() if p.returncode == 1 and p.stderr.startswith("scalec:") else "")
        if p.returncode == 0:
            break
    assert p.returncode == 0 and "out of memory" in said, said


run_all("tools-memory", (grows_with_the_weights, ends_in_a_message))
