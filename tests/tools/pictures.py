# SPDX-License-Identifier: Apache-2.0
"""Pictures and bare bytes as inputs and outputs: formats, sizes, colours, what is refused."""
import base64
import os
import re
import struct
import subprocess
import sys
import zlib

import numpy as np
import onnx
from onnx import TensorProto, helper

sys.path.insert(0, os.path.dirname(__file__))
from command import MNIST, failing, run_all, write  # noqa: E402
from scalec import scalec  # noqa: E402

Y, X = np.mgrid[0:12, 0:16]
SMOOTH = np.stack([X * 15, Y * 20, 255 - X * 8 - Y * 8], -1).clip(0, 255).astype(np.uint8)
JPEG = """/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJBwYGCAsICQoKCgoKBggLDAsKDAkKCgr/
2wBDAQICAgICAgUDAwUKBwYHCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgr/wAARCAAMABADAREAAhEBAxEB/8QA
FQABAQAAAAAAAAAAAAAAAAAABwj/xAAhEAAAAwkBAQAAAAAAAAAAAAAAByUBAgYIETJCUdFBof/EABYBAQEBAAAAAAAAAAAAAAAAAAkHCP/EABwRAAEFAQEB
AAAAAAAAAAAAACIABQYHMiOhUf/aAAwDAQACEQMRAD8Aj0vpOrErWAQ6d3Drp6plWtjYNORfSdWJesBi6d3Drp6kFrWxsGqyL4sIPq4nfWcExnkneCNBTWr4
4gScy+LCD6uJ2vWcGLp3J3gjSDVq+OIF8X//2Q=="""


def ppm(path, a):
    return write(path, b"P%d # a comment\n%d\n%d 255\n" % (6 if a.ndim == 3 else 5, a.shape[1], a.shape[0]) + a.tobytes())


def png(path, a, kind=2, depth=8, palette=None):
    """A PNG of rows a: kind 0 grey, 2 RGB, 3 palette, 4 grey with transparency, 6 RGB with it."""
    def chunk(tag, data):
        return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))
    rows = b"".join(b"\0" + (r.astype(">u2") if depth == 16 else r).tobytes() for r in a)
    head = struct.pack(">IIBBBBB", a.shape[1], a.shape[0], depth, kind, 0, 0, 0)
    return write(path, b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + (chunk(b"PLTE", palette.tobytes()) if palette is not None else b"")
                 + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def identity(tmp, shape, kind=TensorProto.FLOAT, name="m.onnx"):
    x, y = (helper.make_tensor_value_info(n, kind, shape) for n in "xy")
    path = os.path.join(tmp, name)
    onnx.save(helper.make_model(helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y]),
                                opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def given(tmp, model, picture, image=None):
    """What the model is given of a picture."""
    out = os.path.join(tmp, "out.npy")
    scalec("run", model, "-i", picture, "-o", out, *(["--image", image] if image else []))
    return np.load(out)


def formats(tmp):
    """The bytes of each format; transparency is dropped, grey becomes three colours."""
    m = identity(tmp, [1, "h", "w", 3], TensorProto.UINT8)
    grey, alpha = SMOOTH[:, :, 0], np.full((12, 16, 1), 77, np.uint8)
    three = np.repeat(grey[:, :, None], 3, 2)
    palette = np.arange(48, dtype=np.uint8).reshape(16, 3)
    index = (X + Y).astype(np.uint8) % 16
    path = os.path.join(tmp, "p")
    cases = [(ppm(path + "0.ppm", SMOOTH), SMOOTH), (ppm(path + "1.pgm", grey), three), (png(path + "2.png", SMOOTH), SMOOTH),
             (png(path + "3.png", grey, 0), three), (png(path + "4.png", index, 3, palette=palette), palette[index]),
             (png(path + "5.png", np.dstack([grey, alpha]), 4), three), (png(path + "6.png", np.dstack([SMOOTH, alpha]), 6), SMOOTH),
             (png(path + "7.png", SMOOTH.astype(np.uint16) * 257, 2, 16), SMOOTH)]
    for file, want in cases:
        np.testing.assert_array_equal(given(tmp, m, file)[0], want, err_msg=file)
    got = given(tmp, m, write(path + "8.jpg", base64.b64decode(JPEG)))[0]
    assert np.abs(got.astype(int) - SMOOTH).max() <= 5, "JPEG"
    deep = write(path + "9.ppm", b"P6 16 12 65535\n" + (SMOOTH.astype(">u2") * 257).tobytes())
    np.testing.assert_array_equal(given(tmp, m, deep)[0], SMOOTH)
    plain = b"P%d\n16 12\n# a comment\n255\n%s\n"
    for kind, a, want in ((3, SMOOTH, SMOOTH), (2, grey, three)):
        text = b"\n".join(b" ".join(b"%d" % x for x in row.ravel()) for row in a)
        np.testing.assert_array_equal(given(tmp, m, write(path + "10.ppm", plain % (kind, text)))[0], want)
        assert "last pixel" in failing("run", m, "-i", write(path + "11.ppm", plain % (kind, text[:-4])))
    for mark, name in ((b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0", "BMP"), (b"\0\0\0\x1cftypavif", "AVIF"), (b"GIF89a", "GIF")):
        assert name in failing("run", m, "-i", write(path + "12", mark)), name


def resized(a, width, height):
    """The triangle filter, as wide as the step where the picture shrinks; across, then down, each to bytes."""
    def across(a, to):
        n = a.shape[1]
        step = n / to
        widen = max(step, 1)
        center = (np.arange(to) + 0.5) * step
        at = np.arange(n)[None, :]
        inside = (at >= np.floor(center - widen + 0.5)[:, None]) & (at < np.floor(center + widen + 0.5)[:, None])
        w = np.maximum(0, 1 - np.abs((at + 0.5 - center[:, None]) / widen)) * inside
        return np.floor(np.einsum("hwc,ow->hoc", a, w / w.sum(1, keepdims=True)) + 0.5)
    a = across(a.astype(float), width) if width != a.shape[1] else a.astype(float)
    return across(a.transpose(1, 0, 2), height).transpose(1, 0, 2) if height != a.shape[0] else a


def sizes(tmp):
    rng = np.random.default_rng(1)
    a = np.kron(rng.integers(0, 256, (11, 17, 3)), np.ones((4, 4, 1))).astype(np.uint8)  # 44 x 68
    p, m = ppm(os.path.join(tmp, "a.ppm"), a), identity(tmp, [1, "h", "w", 3], TensorProto.UINT8)
    fixed = identity(tmp, [1, 20, 24, 3], TensorProto.UINT8, "fixed.onnx")

    def same(got, want, most=1):
        assert got[0].shape == want.shape and np.abs(got[0].astype(int) - want).max() <= most, (got.shape, want.shape)
    for w, h in ((24, 20), (100, 7), (68, 90), (5, 44), (1, 1)):
        same(given(tmp, m, p, f"resize={w}x{h}"), resized(a, w, h))
    same(given(tmp, m, p, "resize=33x11,filter=nearest"),
         a[((np.arange(11) + 0.5) * 4).astype(int)][:, ((np.arange(33) + 0.5) * 68 / 33).astype(int)], 0)
    shrunk = given(tmp, m, p, "resize=30x20,filter=bicubic")
    assert 0 < np.abs(shrunk[0].astype(int) - resized(a, 30, 20)).max() < 90
    same(given(tmp, fixed, p), resized(a, 24, 20))
    same(given(tmp, m, p, "resize=22"), resized(a, 34, 22))
    same(given(tmp, fixed, p, "resize=22"), resized(a, 34, 22)[1:21, 5:29])
    same(given(tmp, m, p, "crop=24x20"), a[12:32, 22:46], 0)
    boxed = np.full((20, 24, 3), 114)
    boxed[2:18] = resized(a, 24, 16)
    same(given(tmp, fixed, p, "pad=114"), boxed)
    for words, why in (("crop=100", "too small"), ("crop=10", "10 wide now, the input takes 24"),
                       ("layout=nchw", "20 channels"), ("layout=hw", "2 dimensions")):
        assert why in failing("run", fixed, "-i", p, "--image", words), words
    for words in ("foo=1", "resize=0", "std=0", "mean=1,2", "mean=1,", "scale", "pad=1,crop=3", "order=gbr", "crop=70000", "=1"):
        assert "--image: " in failing("run", fixed, "-i", p, "--image", words, status=2), words


def colours(tmp):
    """Scale, mean and std; orders and layouts; integers."""
    p, mean, std = ppm(os.path.join(tmp, "a.ppm"), SMOOTH), np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    usual = "mean=0.485,0.456,0.406,std=0.229,0.224,0.225"
    want = ((SMOOTH / 255 - mean) / std).astype(np.float32)
    luma = (SMOOTH.astype(int) @ [19595, 38470, 7471] + 0x8000) >> 16
    for shape, words, value in (
            ([1, 3, 12, 16], usual, want.transpose(2, 0, 1)[None]), (["n", 12, 16, 3], usual + ",layout=nhwc", want[None]),
            ([3, 12, 16], usual, want.transpose(2, 0, 1)), ([12, 16, 3], "", (SMOOTH / 255).astype(np.float32)),
            ([1, "c", 12, 16], "layout=nchw,scale=2,mean=3", SMOOTH.transpose(2, 0, 1)[None] * 2.0 - 3),
            ([1, 3, 12, 16], "order=bgr,scale=1,mean=100,110,120", SMOOTH[None, :, :, ::-1].transpose(0, 3, 1, 2) - np.array([100., 110, 120])[:, None, None]),
            ([12, 16], "scale=1,layout=hw", luma.astype(np.float32)), ([1, 1, 12, 16], "scale=1/2,std=1/4", luma[None, None] * 2.0)):
        np.testing.assert_array_equal(given(tmp, identity(tmp, shape), p, words), value.astype(np.float32), err_msg=f"{shape} {words}")
    m = identity(tmp, [1, 12, 16, 3], TensorProto.INT8)
    np.testing.assert_array_equal(given(tmp, m, p, "mean=128"), (SMOOTH.astype(int) - 128).astype(np.int8)[None])
    for shape in (["a", "b", "c", "d"], [12, 16], ["tokens"], [3, 16, 3]):
        assert "layout" in failing("run", identity(tmp, shape), "-i", p), shape


def outputs(tmp):
    """What was a picture becomes it again, by the same words, in each format; values beyond bytes are cut off."""
    colour, grey = os.path.join(tmp, "a.ppm"), os.path.join(tmp, "a.pgm")
    ppm(colour, SMOOTH), ppm(grey, SMOOTH[:, :, 0])
    exe, npy = os.path.join(tmp, "exe"), os.path.join(tmp, "x.npy")
    usual = "mean=0.485,0.456,0.406,std=0.229,0.224,0.225"

    def back(path):
        return given(tmp, identity(tmp, [1, "h", "w", 3], TensorProto.UINT8, "u8.onnx"), path)[0]
    for shape, kind, words, src in (([1, 3, "h", "w"], TensorProto.FLOAT, usual, colour), (["h", "w", 3], TensorProto.UINT8, "order=bgr,layout=hwc", colour),
                                    ([1, 12, 16, 3], TensorProto.FLOAT, "scale=2,order=bgr", colour), ([1, 1, 12, 16], TensorProto.FLOAT, "", grey),
                                    ([12, 16], TensorProto.FLOAT16, "layout=hw,scale=1,mean=3", grey)):
        m, image = identity(tmp, shape, kind), (["--image", words] if words else [])
        scalec("compile", m, "-o", exe)
        for name in ("y.png", "y.ppm") + (("y.pgm",) if src == grey else ()):
            out = os.path.join(tmp, name)
            scalec("run", m, "-i", src, "-o", out, *image)
            np.testing.assert_array_equal(back(out), back(src), err_msg=f"{shape} {name}")
            if name != "y.png":
                want = open(out, "rb").read()
                subprocess.run([exe, "-i", src, "-o", out, *image], check=True)
                assert open(out, "rb").read() == want, name
    np.save(npy, np.array([[[-1, 0.5, np.nan], [np.inf, 1, 2]]], np.float32).reshape(1, 1, 2, 3))
    out, m = os.path.join(tmp, "y.pgm"), identity(tmp, [1, 1, 2, 3], name="few.onnx")
    for words, pixels in (([], [0, 128, 0, 255, 255, 255]), (["--image", "layout=nchw,scale=1"], [0, 0, 0, 255, 1, 2])):
        scalec("run", m, "-i", npy, "-o", out, "--image", "layout=nchw", *words)
        assert open(out, "rb").read() == b"P5\n3 2\n255\n" + bytes(pixels), (words, open(out, "rb").read())
    scalec("compile", m, "-o", exe)
    p = subprocess.run([exe, "-i", npy, "-o", os.path.join(tmp, "y.png")], capture_output=True, text=True)
    assert p.returncode == 1 and "let scalec run write it" in p.stderr, p
    for shape, words in (([2, 3, 4, 4], "one picture for an output of 2"), ([1, 5, 4, 4], "layout"), ([1, 3, 4, 4], "need a .ppm"), ([6], "layout")):
        np.save(npy, np.zeros(shape, np.float32))
        assert words in failing("run", identity(tmp, shape), "-i", npy, "-o", out), words
    assert "picture" in failing("run", MNIST, "-i", grey, "-o", os.path.join(tmp, "y.jpg"), status=2)


def in_programs(tmp):
    """The executable reads .ppm, and names what it does not; check and calibration take folders of pictures."""
    digit = (255 * np.random.default_rng(2).random((40, 30))).astype(np.uint8)
    folder, exe = os.path.join(tmp, "digits"), os.path.join(tmp, "exe")
    os.mkdir(folder)
    p = ppm(os.path.join(folder, "a.pgm"), digit)
    png(os.path.join(folder, "b.PNG"), digit, 0)
    scalec("compile", MNIST, "-o", exe)
    words = "crop=28,scale=1"

    def run(*args, status=0):
        r = subprocess.run([exe, *args], capture_output=True, text=True)
        assert r.returncode == status, r.stderr
        return r.stdout if status == 0 else r.stderr
    assert run("-i", p, "--image", words, "--top", "3") == scalec("run", MNIST, "-i", p, "--image", words, "--top", 3)
    assert scalec("run", MNIST, "-i", os.path.join(folder, "b.PNG"), "--image", words, "--top", 3) == run("-i", p, "--image", words, "--top", "3")
    assert "make it a .ppm" in run("-i", os.path.join(folder, "b.PNG"), status=1)
    assert "2 samples" in scalec("check", MNIST, "--recipe", "fp8", "--data", folder, "--image", words)
    scalec("compile", MNIST, "--recipe", "fp8", "--calibrate", folder, "--image", words, "-o", exe)
    npy = os.path.join(tmp, "x.npy")
    np.save(npy, np.zeros((1, 1, 28, 28), np.float32))
    np.savez(os.path.join(folder, "set.npz"), Input3=np.zeros((3, 1, 28, 28), np.float32))  # what pictures lie beside
    assert "3 samples" in scalec("check", MNIST, "--recipe", "fp8", "--data", folder)
    for args in (["-i", npy, "--image", words], ["-i", npy, "--shape", "1,1,28,28"], ["--bench", "--image", words],
                 ["-i", p, "--image", "crop"]):
        assert "--" in run(*args, status=2), args
    assert "no picture" in failing("check", MNIST, "--recipe", "fp8", "--data", npy, "--image", words)
    assert "--image" in failing("dump", MNIST, "--image", words, status=2)


def bare_bytes(tmp):
    """.bin: the elements as they lie in memory, in and out; open sizes are solved, or said."""
    x = np.random.default_rng(3).standard_normal((6, 4)).astype(np.float32)
    src, dst = os.path.join(tmp, "x.bin"), os.path.join(tmp, "y.bin")
    x.tofile(src)
    for shape, more in (([6, 4], []), (["n", 4], []), (["n", "m"], ["--shape", "x=6,4"]), (["n", "m"], ["--shape", "6,4"])):
        m, exe = identity(tmp, shape), os.path.join(tmp, "exe")
        scalec("run", m, "-i", src, "-o", dst, *more)
        assert open(dst, "rb").read() == x.tobytes(), shape
        scalec("compile", m, "-o", exe)
        subprocess.run([exe, "-i", "x=" + src, "-o", dst, *more], check=True)
        assert open(dst, "rb").read() == x.tobytes(), shape
    assert "2 sizes are open" in failing("run", m, "-i", src)
    assert "96 bytes" in failing("run", m, "-i", src, "--shape", "x=5,4")
    for wrong in ("x=6", "x=6,,4", "x=6,4,", "z=6,4", "x=6,-4", "x=99999999999999999999,1"):
        assert "--shape" in failing("run", m, "-i", src, "--shape", wrong, status=2), wrong
    assert "multiple" in failing("run", identity(tmp, ["n", 5]), "-i", src)
    loose = write(os.path.join(tmp, "loose.bin"), bytes(15))
    assert "takes 8 (packed" in failing("run", identity(tmp, [15], TensorProto.INT4, "i4.onnx"), "-i", loose)
    bits = write(os.path.join(tmp, "b.bin"), bytes([0x21, 0x43, 0x05]))
    text = write(os.path.join(tmp, "t.sc"), "graph @t(%x: u4[5]) -> (%y) {\n  %y = reshape %x {shape = [5,1]} : u4[5,1]\n}\n")
    scalec("run", text, "-i", bits, "-o", dst, "--evaluate")
    assert open(dst, "rb").read() == bytes([0x21, 0x43, 0x05])
    many = os.path.join(tmp, "many.bin")
    np.random.default_rng(4).random((5, 1, 1, 28, 28), np.float32).tofile(many)
    assert "5 samples" in scalec("check", MNIST, "--recipe", "fp8", "--data", many)


def hostile(tmp):
    """Damaged pictures and huge ones are refused."""
    m = identity(tmp, [1, 12, 16, 3], TensorProto.UINT8)
    ok = [ppm(os.path.join(tmp, "a.ppm"), SMOOTH), png(os.path.join(tmp, "a.png"), SMOOTH),
          write(os.path.join(tmp, "a.jpg"), base64.b64decode(JPEG))]
    for path in ok:
        whole = open(path, "rb").read()
        for n in (9, 20, 100, len(whole) // 2, len(whole) - 13):
            bad = write(os.path.join(tmp, "bad" + path[-4:]), whole[:n])
            assert "bad" + path[-4:] in failing("run", m, "-i", bad), (path, n)
    head = struct.pack(">IIBBBBB", 65535, 65535, 8, 2, 0, 0, 0)
    huge = write(os.path.join(tmp, "h.png"), open(ok[1], "rb").read()[:8] + struct.pack(">I", 13) + b"IHDR" + head
                 + struct.pack(">I", zlib.crc32(b"IHDR" + head)) + open(ok[1], "rb").read()[33:])
    assert "too large" in failing("run", m, "-i", huge)
    for text in (b"P6 70000 70000 255\n", b"P6 0 5 255\n", b"P6 16 12 0\n", b"P6 16 12 255", b"P6 99999999999999999999 1 255\n"):
        assert re.search("too large|header|ends before", failing("run", m, "-i", write(os.path.join(tmp, "x.ppm"), text))), text


run_all("tools-pictures", (formats, sizes, colours, outputs, in_programs, bare_bytes, hostile))
