# SPDX-License-Identifier: Apache-2.0
"""The four MNIST models, from ONNX to f32 and FP8 shared objects and executables, against ONNX Runtime."""
import gzip
import os
import re
import subprocess
import tempfile

import numpy as np
import onnxruntime as ort

from scalec import DATA, SOURCE, Count, Model, scalec

HERE = os.path.join(SOURCE, "tests", "model", "data")
# Correct answers over the 10,000 test images in ONNX Runtime f32, in percent.
MODELS = {
    "mnist/mnist.onnx": (98.90, False),
    "marabou/mnist5x20_leaky_relu.onnx": (94.51, True),
    "marabou/cnn_max_mninst2.onnx": (98.23, True),
    "marabou/self-attention-mnist-pgd-medium-sim.onnx": (97.41, False),
}
FP8_POINTS = 0.15
BATCHES = (1, 2, 7, 64, 0)
CALIBRATION = 256  # training images, the first ones


def idx(name):
    with gzip.open(os.path.join(DATA, "images", "mnist", name)) as f:
        raw = f.read()
    rank = raw[3]
    dims = np.frombuffer(raw, ">u4", rank, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(dims)


def digits():
    folder = os.path.join(HERE, "digits")
    return np.concatenate([np.load(os.path.join(folder, f)) for f in sorted(os.listdir(folder))])


class Case:
    def __init__(self, name, symbolic, tmp):
        self.path, self.symbolic, self.tmp = os.path.join(HERE, name), symbolic, tmp
        opt = ort.SessionOptions()
        opt.intra_op_num_threads = 2
        self.ort = ort.InferenceSession(self.path, opt, providers=["CPUExecutionProvider"])
        self.input = self.ort.get_inputs()[0].name
        self.shape = [d if isinstance(d, int) else -1 for d in self.ort.get_inputs()[0].shape]
        self.stem = os.path.join(tmp, os.path.basename(name).replace(".onnx", ""))

    def feed(self, images):
        return images.reshape([len(images)] + self.shape[1:]).astype(np.float32)

    def compile(self, tag, *args):
        out = f"{self.stem}.{tag}.so"
        scalec("compile", self.path, "--emit", "so", "--symbol", "model", "-o", out, *args)
        return Model(out)

    def reference(self, x):
        if self.symbolic:
            return self.ort.run(None, {self.input: x})[0]
        return np.concatenate([self.ort.run(None, {self.input: x[i : i + 1]})[0] for i in range(len(x))])

    def run(self, m, x, batch=64):
        step = batch if self.symbolic else 1
        return np.concatenate([m.run(x[i : i + step])[0] for i in range(0, len(x), step)])


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-5)


def accuracy(out, labels):
    return 100.0 * np.mean(out.argmax(1) == labels)


def check_model(count, name, percent, symbolic, tmp, images, labels, train):
    c = Case(name, symbolic, tmp)
    short = os.path.basename(name)
    x = c.feed(images)
    want = c.reference(x)
    f32 = c.compile("f32")
    out = c.run(f32, x)
    count.check(f"{short}: f32 equals ONNX Runtime", lambda: close(out, want))
    if symbolic:
        for b in BATCHES:
            count.check(f"{short}: batch {b}", lambda b=b: close(f32.run(x[:b])[0], want[:b]))
    ways = {"probe": []}
    if train is not None:
        npz = os.path.join(tmp, "train.npz")
        np.savez(npz, **{c.input: c.feed(train)})
        ways["calibrate"] = ["--scales", "calibrate", "--calibrate", npz]

        def exact():
            assert round(accuracy(out, labels), 2) == percent, accuracy(out, labels)
        count.check(f"{short}: f32 accuracy", exact)
    for way, args in ways.items():
        fp8 = c.compile(f"fp8-{way}", "--recipe", "fp8", *args)
        got = c.run(fp8, x)

        def near():
            assert abs(accuracy(got, labels) - percent) <= FP8_POINTS, accuracy(got, labels)

        def small():
            assert fp8.head.weights_size <= 0.30 * f32.head.weights_size, (
                fp8.head.weights_size, f32.head.weights_size)
        if train is not None:
            print(f"{short}: fp8, {way}: {accuracy(got, labels):.2f} % (f32 {percent:.2f} %), weights "
                  f"{fp8.head.weights_size} of {f32.head.weights_size} bytes")
            count.check(f"{short}: fp8 accuracy, {way}", near)
        else:
            count.check(f"{short}: fp8 names the digits",
                        lambda: np.testing.assert_array_equal(got.argmax(1), labels))
        count.check(f"{short}: fp8 weights, {way}", small)
    count.check(f"{short}: fp8 operands everywhere", lambda: check_dump(c))
    count.check(f"{short}: the executable", lambda: check_exe(c, x[:100], got[:100], args))


def check_dump(c):
    text = scalec("dump", c.path, "--recipe", "fp8", "--stage", "settle")
    dtype = dict(re.findall(r"%(\S+) = \S+ .*?: ([a-z0-9]+)\[", text))
    for line in re.findall(r"%\S+ = (?:matmul|gemm|conv) (.*?) :", text):
        for operand in re.findall(r"%([^\s,]+)", line)[:2]:
            assert dtype[operand] == "f8e4m3fn", line


def check_exe(c, x, want, args):
    exe = f"{c.stem}.exe"
    scalec("compile", c.path, "--recipe", "fp8", "-o", exe, *args)
    for i in range(len(x)):
        np.save(f"{c.stem}.x.npy", x[i : i + 1])
        subprocess.run([exe, "-i", f"{c.stem}.x.npy", "-o", f"{c.stem}.y.npy"], check=True)
        np.testing.assert_array_equal(np.load(f"{c.stem}.y.npy"), want[i : i + 1])


def check_same_bytes(c):
    def obj(*args):
        out = f"{c.stem}.o"
        scalec("compile", c.path, "--emit", "obj", "-o", out, *args)
        with open(out, "rb") as f:
            return f.read()
    assert obj() == obj(), "two compiles differ"
    assert obj() == obj("--disable", "scalify"), "scalify leaves a trace in f32"
    assert obj("--recipe", "fp8") == obj("--recipe", "fp8"), "two fp8 compiles differ"
    text = scalec("compile", c.path, "--emit", "obj", "-o", f"{c.stem}.o", "--dump-after", "scalify")
    assert re.search(r"\* 2\^", text), "scalify gave no exponents"


def check_threads(c, x):
    out = f"{c.stem}.threads.so"
    scalec("compile", c.path, "--recipe", "fp8", "--emit", "so", "--symbol", "model", "-o", out)
    base = None
    for threads in (1, 2, 3):
        got = c.run(Model(out, threads=threads), x[:70], 35)
        base = got if base is None else base
        np.testing.assert_array_equal(got, base)


def main():
    count = Count("model-mnist")
    have = os.path.exists(os.path.join(DATA, "images", "mnist", "t10k-images-idx3-ubyte.gz"))
    if have:
        images = idx("t10k-images-idx3-ubyte.gz").astype(np.float32) / 255
        labels = idx("t10k-labels-idx1-ubyte.gz")
        train = idx("train-images-idx3-ubyte.gz")[:CALIBRATION].astype(np.float32) / 255
    else:
        images, train = digits(), None
        labels = np.array([int(f[0]) for f in sorted(os.listdir(os.path.join(HERE, "digits")))])
        count.skip("accuracies over 10,000 images", "no MNIST images beside the source folder")
    with tempfile.TemporaryDirectory() as tmp:
        for name, (percent, symbolic) in MODELS.items():
            count.check(name, lambda: check_model(count, name, percent, symbolic, tmp, images, labels, train))
            c = Case(name, symbolic, tmp)
            count.check(f"{name}: bytes", lambda: check_same_bytes(c))
            count.check(f"{name}: threads", lambda: check_threads(c, c.feed(images)))
    count.close()


main()
