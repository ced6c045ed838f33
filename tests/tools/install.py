# SPDX-License-Identifier: Apache-2.0
"""What `meson install` lays out: a compiler that finds its libraries, headers, man page and completion; and programs
that link two models with it."""
import gzip
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(__file__))
from command import DIGIT, MNIST, run_all  # noqa: E402
from scalec import BUILD, SOURCE, scalec  # noqa: E402


def installed(tmp):
    root = os.path.join(tmp, "root")
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", root], check=True, capture_output=True)
    (prefix,) = [d[:-len("/bin")] for d, _, files in os.walk(root) if "scalec" in files and d.endswith("/bin")]
    return prefix


def layout(tmp):
    prefix = installed(tmp)

    def read(*path):
        path = os.path.join(prefix, *path)
        data = open(path, "rb").read() if os.path.exists(path) else gzip.open(path + ".gz").read()
        return data.decode()
    assert read("share", "man", "man1", "scalec.1") == scalec("help", "--man")
    completion = "share/bash-completion/completions/scalec.bash"
    assert read(completion) == scalec("help", "--bash")
    assert read("share/zsh/site-functions/_scalec") == scalec("help", "--zsh")
    assert read("share/fish/vendor_completions.d/scalec.fish") == scalec("help", "--fish")
    ask = 'COMP_WORDS=(scalec compile --rec); COMP_CWORD=2; _scalec; echo "${COMPREPLY[@]}"'
    p = subprocess.run(["bash", "-c", f'. "{prefix}/{completion}"; {ask}'], capture_output=True, text=True, check=True)
    assert p.stdout.strip() == "--recipe", p.stdout
    exe = os.path.join(tmp, "m")
    env = {k: v for k, v in os.environ.items() if k != "SCALEC_LIBDIR"}
    subprocess.run([os.path.join(prefix, "bin", "scalec"), "compile", MNIST, "-o", exe], check=True, capture_output=True, env=env)
    assert "30.4" in subprocess.run([exe, "-i", DIGIT, "--top", "1"], check=True, capture_output=True, text=True).stdout
    (lib,) = {d for d, _, files in os.walk(prefix) if "libscrtio.a" in files}
    models(tmp, f"-I{prefix}/include/scalec", lib)


def models(tmp, include, lib):
    """tests/tools/two_models.c with objects, and with shared objects."""
    prog = os.path.join(tmp, "two")
    source = os.path.join(SOURCE, "tests", "tools", "two_models.c")
    for kind, end in (("obj", "o"), ("so", "so")):
        made = [os.path.join(tmp, f"{name}.{end}") for name in ("plain", "small")]
        for path, recipe in zip(made, ("f32", "fp8")):
            scalec("compile", MNIST, "--recipe", recipe, "--emit", kind, "-o", path)
        more = [f"{lib}/libscrtio.a", f"{lib}/libscrt.a", "-lz", "-lm", "-pthread"] if kind == "obj" else []
        subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", include, f"-I{tmp}", source, *made, *more, "-o", prog], check=True)
        p = subprocess.run([prog, DIGIT], check=True, capture_output=True, text=True)
        assert p.stdout == "f32: 3, FP8: 3\n", p.stdout


def options_are_said_everywhere(tmp):
    """Each option stands in its command's help, in the man page and in the completions; README leads to them."""
    man, bash = scalec("help", "--man").replace("\\-", "-"), scalec("help", "--bash")
    zsh, fish = scalec("help", "--zsh"), scalec("help", "--fish")
    with open(os.path.join(SOURCE, "README.md")) as f:
        readme = f.read()
    names = re.search(r'compgen -W "([a-z ]+) help"', bash).group(1).split()
    assert "compile" in names and "check" in names, names
    for name in names:
        options = re.findall(r"^  (?:-\w,|   ) --([a-z-]+)", scalec(name, "--help"), re.M)
        section = re.search(rf"^\.SS scalec {name} .*?(?=^\.S|\Z)", man, re.M | re.S).group(0)
        assert options and all(f"--{o}" in section and f"--{o} " in bash for o in options), (name, options)
        section = re.search(rf"^    {name}\)\n.*?;;", zsh, re.M | re.S).group(0)
        assert all(re.search(rf"--{o}\b", section) for o in options), (name, options)
        assert all(f"from {name}' -l {o} " in fish for o in options), (name, options)
        assert f"scalec {name}" in readme or f"$scalec {name}" in readme, name
    assert all(way in readme for way in ("scalec help", "man scalec", "--help")), "README: how to find an option"


run_all("tools-install", (layout, options_are_said_everywhere))
