# SPDX-License-Identifier: Apache-2.0
"""Debug lines: objdump finds each kernel's instructions at the lines of the nodes that they serve."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "model"))
from command import DIGIT, MNIST, failing, run_all  # noqa: E402
from scalec import SOURCE, scalec  # noqa: E402


def lines_of(path, listing):
    """Of each function the lines of the listing that its instructions name."""
    text = subprocess.run(["objdump", "-dl", "--no-show-raw-insn", path], capture_output=True, text=True,
                          check=True).stdout
    ret, function = {}, None
    for line in text.splitlines():
        begin = re.fullmatch(r"[0-9a-f]+ <(\w+)>:", line)
        at = re.fullmatch(re.escape(listing) + r":(\d+)(?: \(discriminator \d+\))?", line)
        if begin:
            function = ret.setdefault(begin[1], set())
        elif at:
            function.add(int(at[1]))
    return ret


def text_of(path):
    return subprocess.run(["objdump", "-d", "--no-show-raw-insn", path], capture_output=True, text=True,
                          check=True).stdout.split("\n", 3)[3]


def nodes(tmp):
    listing, plain, lined = (os.path.join(tmp, name) for name in ("m.sc", "plain.o", "m.o"))
    options = ("--recipe", "fp8", "--scales", "propagate", "--emit", "obj", "--cpu", "x86-64-v3", "--symbol", "m")
    scalec("compile", MNIST, *options, "-o", plain)
    scalec("compile", MNIST, *options, "-o", lined, "--lines", listing)
    with open(listing, encoding="utf-8") as f:
        text = f.read().splitlines()
    of = {}  # of each kernel, the operators of its lines
    for name, found in lines_of(lined, listing).items():
        of.setdefault(name.split("_")[0], set()).update(text[i - 1].split(" = ", 1)[1].split()[0] for i in found)
    assert {"conv", "mul", "relu"} <= of["k1"], of
    assert {"maxpool", "cast"} <= of["k2"], of
    assert {"matmul", "mul", "rebalance"} <= of["k5"], of
    assert text_of(plain) == text_of(lined), "the code differs"


def entries(tmp):
    listing, out = os.path.join(tmp, "two.sc"), os.path.join(tmp, "two.o")
    at = os.path.join(SOURCE, "tests", "tools")
    scalec("compile", os.path.join(at, "prefill.sc"), "--entry", "decode=" + os.path.join(at, "decode.sc"), "--emit",
           "obj", "-o", out, "--lines", listing)
    with open(listing, encoding="utf-8") as f:
        text = f.read().splitlines()
    second = text.index("; entry decode") + 1
    found = set().union(*lines_of(out, listing).values())
    assert min(found) < second < max(found) <= len(text), (found, second)


def refused(tmp):
    out = os.path.join(tmp, "o")
    assert "a file, which" in failing("compile", MNIST, "-o", out, "--lines", "-", status=2)
    gone = os.path.join(tmp, "gone", "m.sc")
    assert "gone/m.sc: " in failing("compile", MNIST, "-o", out, "--lines", gone)
    model = os.path.join(tmp, "m.onnx")
    with open(MNIST, "rb") as f, open(model, "wb") as copy:
        copy.write(f.read())
    assert "it is an input" in failing("compile", model, "-o", out, "--lines", model)
    assert not os.path.exists(out)


def meeting(tmp):
    """Results that would be one file, however it is spelled: nothing is written."""
    real, link = os.path.join(tmp, "real"), os.path.join(tmp, "link")
    os.mkdir(real)
    os.symlink(real, link)
    old, alias = os.path.join(real, "old"), os.path.join(real, "alias")
    with open(old, "w", encoding="utf-8") as f:
        f.write("old")
    os.symlink("old", alias)
    obj, fp8 = ("--emit", "obj"), ("--recipe", "fp8")
    for args in (("compile", MNIST, "-o", "m", "--lines", "m"),
                 ("compile", MNIST, "-o", "m", "--lines", "./m"),
                 ("compile", MNIST, "-o", os.path.join(real, "m"), "--lines", "../link/m"),
                 ("compile", MNIST, "-o", "old", "--lines", "alias"),
                 ("compile", MNIST, "-o", "alias", "--lines", "./old.weights"),
                 ("compile", MNIST, "-o", "m", "--lines", os.path.join(link, "m.weights")),
                 ("compile", MNIST, *obj, "-o", "m.o", "--lines", "./m.h"),
                 ("compile", MNIST, *obj, "-o", "m.h"),
                 ("compile", MNIST, "--emit", "so", "-o", "m.so", "--lines", "m.h"),
                 ("compile", MNIST, *fp8, "-o", "m", "--save-stats", "../real/m"),
                 ("compile", MNIST, *fp8, "-o", "m", "--save-stats", "s", "--lines", "./s"),
                 ("dump", MNIST, *fp8, "-o", "m.sc", "--save-stats", "./m.sc"),
                 ("dump", MNIST, *fp8, "-o", "m.sc", "--save-stats", "./m.sc.npz"),
                 ("rewrite", MNIST, *fp8, "-o", "m.onnx", "--save-stats", "./m.onnx.data"),
                 ("run", MNIST, "-i", DIGIT, "-o", "y.npz", "--state-save", "./y.npz")):
        err = failing(*args, status=2, cwd=real)
        assert "two results would go to one file" in err, (args, err)
    assert sorted(os.listdir(real)) == ["alias", "old"], os.listdir(real)
    with open(old, encoding="utf-8") as f:
        assert f.read() == "old"


def apart(tmp):
    """Names alike in other folders, and what this kind of output has not beside it."""
    os.mkdir(os.path.join(tmp, "a"))
    scalec("compile", MNIST, "-o", os.path.join(tmp, "m"), "--lines", os.path.join(tmp, "a", "m"))
    scalec("compile", MNIST, "-o", os.path.join(tmp, "m"), "--lines", os.path.join(tmp, "m.h"))


run_all("tools-lines", [nodes, entries, refused, meeting, apart])
