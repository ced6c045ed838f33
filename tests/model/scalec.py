# SPDX-License-Identifier: Apache-2.0
"""What the Python tests share: the compiler as a command, a compiled .so through ctypes, counting."""
import ctypes
import os
import subprocess
import sys

import numpy as np

SOURCE = os.environ.get("SCT_SOURCE", ".")
BUILD = os.environ.get("SCT_BUILD", "build")
SCALEC = os.path.join(BUILD, "tools", "scalec")
DATA = os.environ.get("SCT_DATA", os.path.join(SOURCE, "..", "shared", "data"))
OK = 0
MAX_RANK = 16
# ONNX TensorProto codes of the types that the tests use.
DTYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float16,
          11: np.float64}
CODES = {np.dtype(t): c for c, t in DTYPES.items()}


class Tensor(ctypes.Structure):
    _fields_ = [("dtype", ctypes.c_uint32), ("rank", ctypes.c_uint32), ("dims", ctypes.c_int64 * MAX_RANK),
                ("data", ctypes.c_void_p)]


class Options(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint32) for n in ("entry", "level", "n_thread")] + [
        ("profile", ctypes.c_bool), ("weights", ctypes.c_void_p), ("weights_file", ctypes.c_char_p), ("states", ctypes.c_void_p)]


class Port(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("dtype", ctypes.c_uint32), ("rank", ctypes.c_uint32),
                ("dims", ctypes.c_char_p)]


class Entry(ctypes.Structure):
    """The leading fields of ScrtEntry."""
    _fields_ = [("name", ctypes.c_char_p)] + [
        (n, ctypes.c_uint32) for n in ("n_in", "n_out", "n_sym", "n_kernel")] + [
        ("inp", ctypes.POINTER(Port)), ("out", ctypes.POINTER(Port))]


class ModelHead(ctypes.Structure):
    """ScrtModel, as far as weights_size."""
    _fields_ = [(n, ctypes.c_uint32) for n in ("abi", "n_entry", "n_state", "n_level")] + [
        ("name", ctypes.c_char_p), ("info", ctypes.c_char_p), ("entry", ctypes.POINTER(Entry)),
        ("state", ctypes.POINTER(Port)), ("state_info", ctypes.c_void_p),
        ("weights_size", ctypes.c_uint64)]


def tensors(arrays):
    """The arrays in C order, which are to be kept, and tensors of their memory."""
    arrays = [np.asarray(a, order="C") for a in arrays]
    ret = (Tensor * max(1, len(arrays)))()
    for t, a in zip(ret, arrays):
        t.dtype, t.rank, t.data = CODES[a.dtype], a.ndim, a.ctypes.data
        for i, d in enumerate(a.shape):
            t.dims[i] = d
    return arrays, ret


class Model:
    """A compiled .so: run(x, ...) -> [outputs]."""

    def __init__(self, path, symbol="model", threads=0):
        self.lib = ctypes.CDLL(path)
        self.lib.scrt_error.restype = ctypes.c_char_p
        self.lib.scrt_free.argtypes = [ctypes.c_void_p]
        self.address = ctypes.addressof(ctypes.c_char.in_dll(self.lib, symbol))
        self.head = ModelHead.from_address(self.address)
        self.entry = self.head.entry[0]
        self.session = ctypes.c_void_p()
        beside = path + ".weights"  # where there are many
        opt = Options(n_thread=threads, weights_file=beside.encode() if os.path.exists(beside) else None)
        st = self.lib.scrt_open(ctypes.c_void_p(self.address), ctypes.byref(opt), ctypes.byref(self.session))
        if st != OK:
            raise RuntimeError(f"scrt_open: status {st}")

    def run(self, *arrays):
        arrays, ins = tensors(arrays)
        outs = (Tensor * self.entry.n_out)()
        st = self.lib.scrt_run(self.session, ins, outs)
        if st != OK:
            raise RuntimeError(f"scrt_run: status {st}: {self.lib.scrt_error(self.session).decode()}")
        ret = []
        for t in outs:
            shape, dtype = tuple(t.dims[: t.rank]), np.dtype(DTYPES[t.dtype])
            n = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            ret.append(np.frombuffer(ctypes.string_at(t.data, n), dtype=dtype).reshape(shape))
            self.lib.scrt_free(t.data)
        return ret

    def caller(self, *arrays):
        """A function that runs the model on them again and again with nothing of Python's but the call."""
        out = self.run(*arrays)
        arrays, ins = tensors(arrays)
        _, outs = tensors(out)  # their extents say the room of what data decides
        keep = [np.zeros(o.size + 16, o.dtype) for o in out]
        for t, a in zip(outs, keep):
            t.data = a.ctypes.data
        run, session = self.lib.scrt_run, self.session

        def call(_keep=(arrays, keep)):
            if run(session, ins, outs) != OK:
                raise RuntimeError(self.lib.scrt_error(session).decode())
        return call

    def close(self):
        self.lib.scrt_close(self.session)


def scalec(*args, status=0, **kw):
    """Runs the command; answers its standard output."""
    p = subprocess.run([SCALEC, *map(str, args)], capture_output=True, text=True, **kw)
    if p.returncode != status:
        raise AssertionError(f"scalec {' '.join(map(str, args))}: status {p.returncode}\n{p.stderr}")
    return p.stdout


class Skip(Exception):
    """Raised by a check for which something is missing; says what."""


class Count:
    """Runs named checks and closes with the line that tests/run adds up."""

    def __init__(self, name):
        self.name, self.passed, self.failed, self.skipped = name, 0, 0, 0

    def check(self, what, fn):
        try:
            fn()
            self.passed += 1
        except Skip as e:
            self.skip(what, e)
        except Exception as e:  # a failed check must not hide the next ones
            self.failed += 1
            print(f"FAIL {self.name}: {what}: {type(e).__name__}: {e}", flush=True)

    def skip(self, what, why):
        self.skipped += 1
        print(f"SKIP {self.name}: {what}: {why}")

    def close(self):
        print(f"{self.name}: {self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        sys.exit(1 if self.failed else 0)
