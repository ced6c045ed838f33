# SPDX-License-Identifier: Apache-2.0
"""What the tests of the command line share: models, failing commands, small files."""
import os
import subprocess
import sys
import tempfile

import numpy as np
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "model"))
from scalec import SCALEC, SOURCE, Count  # noqa: E402

MNIST = os.path.join(SOURCE, "tests", "model", "data", "mnist", "mnist.onnx")
LEAKY = os.path.join(SOURCE, "tests", "model", "data", "marabou", "mnist5x20_leaky_relu.onnx")
ATTENTION = os.path.join(SOURCE, "tests", "model", "data", "marabou",
                         "self-attention-mnist-pgd-medium-sim.onnx")
DIGIT = os.path.join(SOURCE, "tests", "model", "data", "digits", "3.npy")


def write(path, data):
    with open(path, "w" if isinstance(data, str) else "wb") as f:
        f.write(data)
    return path


def write_tensor(path, array, name):
    """A file of a test_data_set."""
    return write(path, numpy_helper.from_array(array, name).SerializeToString())


def failing(*args, status=1, cwd=None):
    """Standard error of a command that must fail with this status."""
    p = subprocess.run([SCALEC, *args], capture_output=True, text=True, cwd=cwd)
    assert p.returncode == status, f"status {p.returncode}: {p.stderr}"
    return p.stderr


RNG = np.random.default_rng(3)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def model(nodes, inputs, outputs, init=(), opset=17, dtype=TensorProto.FLOAT):
    def value(v):
        return helper.make_tensor_value_info(v[0], dtype, v[1])
    g = helper.make_graph(nodes, "g", [value(v) for v in inputs], [value(v) for v in outputs],
                          [numpy_helper.from_array(a, n) for n, a in init])
    return helper.make_model(g, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


# Runs a command from a process that is small itself: a child's peak of memory begins with its parent's.
MEASURE = """
import resource, subprocess, sys, time
begin = time.monotonic()
p = subprocess.run(sys.argv[1:], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
spent = time.monotonic() - begin
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(p.returncode, spent, used.ru_utime + used.ru_stime, used.ru_maxrss, p.stderr, sep="\\n", end="")
"""


def measured(*args, stdin=None):
    """scalec's exit status, seconds, those of the processor, peak of memory in kilobytes, standard error."""
    p = subprocess.run([sys.executable, "-S", "-c", MEASURE, SCALEC, *args], stdin=stdin, capture_output=True, text=True,
                       check=True)
    status, spent, used, kilobytes, err = p.stdout.split("\n", 4)
    return int(status), float(spent), float(used), int(kilobytes), err


def sanitized():
    """Whether scalec was built with sanitizers: its memory is several times the program's."""
    with open(SCALEC, "rb") as f:
        return b"__asan_init" in f.read()


def run_all(name, checks):
    """Each check in a folder of its own."""
    count = Count(name)
    for fn in checks:
        with tempfile.TemporaryDirectory() as tmp:
            count.check(fn.__name__, lambda: fn(tmp))
    count.close()
