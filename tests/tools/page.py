# SPDX-License-Identifier: Apache-2.0
"""dump --format html: one page without anything from elsewhere; in headless Chromium, where there is one ($SCT_CHROMIUM
or `chromium`), it shows totals, finds a node and explains it, folds equal layers, and copes with 5,000 nodes."""
import json
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from command import MNIST, run_all, write  # noqa: E402
from scalec import Skip, scalec  # noqa: E402

LIMIT = 60  # seconds for a page; a machine under load takes some


def page(path, tmp, *args):
    out = os.path.join(tmp, "page.html")
    scalec("dump", path, "--format", "html", "-o", out, *args)
    return out


def data(path):
    return json.loads(re.search(r'<script id="data" type="application/json">\n(.*?)\n</script>', open(path).read(), re.S)[1])


def shown(path, tmp, fragment=""):
    """The side panel's text, and the status line, once the page's script has run."""
    browser = os.environ.get("SCT_CHROMIUM") or shutil.which("chromium")
    if not browser:
        raise Skip("no chromium")
    p = subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp}/profile",
                        "--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom", f"file://{path}{fragment}"],
                       capture_output=True, text=True, timeout=LIMIT)
    assert "Uncaught" not in p.stderr and "CONSOLE" not in p.stderr, p.stderr
    text = re.search(r'<aside id="side">(.*?)</aside>', p.stdout, re.S)[1]
    found = re.search(r'<span id="found">(.*?)</span>', p.stdout)[1]
    return re.sub(r"<[^>]*>", " ", text), found


def holds_all(tmp):
    path = page(MNIST, tmp, "--recipe", "fp8")
    d, text = data(path), open(path).read()
    assert not re.search(r"(src|href)\s*=|https?:|@import|url\(", text.split('<script id="data"')[0])
    assert [t[0] for t in d["totals"]][:3] == ["nodes", "casts", "constants"], d["totals"]
    conv = [n for n in d["nodes"] if n["op"] == "conv"]
    assert len(conv) == 2 and conv[0]["from"] == ["Convolution28", "Plus30"] and conv[0]["sig"] == "a, b, a+b -> a+b"
    out = d["values"][conv[0]["out"][0]]
    operands = [d["values"][v] for v in conv[0]["in"]]
    a, b = (int(o["e"]) for o in operands[:2])
    assert operands[0]["low"] and operands[1]["low"] and int(out["e"]) == a + b
    assert f"conv, a, b, a+b -> a+b with a = {a}, b = {b}" in out["why"] and out["by"] == conv[0]["in"]


def names_are_data(tmp):
    name = '</script><b>\\"'
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    text = write(os.path.join(tmp, "g.sc"), f'graph @g(%x: f32[4]) -> (%y) {{\n  %y = relu %x : f32[4] from "{quoted}"\n}}\n')
    path = page(text, tmp)
    assert data(path)["nodes"][1]["from"] == [name] and "<b>\\" not in open(path).read()


def totals_head_the_text(tmp):
    text = scalec("dump", MNIST, "--recipe", "fp8", "--stage", "settle")
    assert re.match(r"; nodes: \d+ \(\d+ map, ", text) and "\n; casts: 3 (3 to f8e4m3fn), rebalances: 4\n" in text, text[:300]
    assert "5960 bytes of f8e4m3fn" in text.split("graph")[0]
    again = write(os.path.join(tmp, "again.sc"), text)
    plain = [re.sub(r"\s*;.*", "", t.split("graph @", 1)[1]) for t in (text, scalec("dump", again, "--stage", "settle"))]
    assert plain[0] == plain[1], plain[1]


def names_that_begin_alike_cluster(tmp):
    text = write(os.path.join(tmp, "g.sc"), 'graph @g(%x: f32[4]) -> (%y) {\n  %1 = relu %x : f32[4] from "/a/b/relu"\n'
                 '  %y = neg %1 : f32[4] from "/a/b/neg"\n}\n')
    dot = scalec("dump", text, "--format", "dot", "--stage", "import")
    assert 'label="/a/b"' in dot and re.search(r"subgraph cluster_\d+ \{[^}]*n1; n2;", dot, re.S), dot


def shows_totals(tmp):
    text, _ = shown(page(MNIST, tmp, "--recipe", "fp8"), tmp)
    assert " map, " in text and "5960 bytes of f8e4m3fn" in text, text


def finds_and_explains(tmp):
    text, found = shown(page(MNIST, tmp, "--recipe", "fp8"), tmp, "#Convolution28")
    assert found.endswith("found") and int(found.split()[0]) >= 4
    assert "Why this exponent" in text and "rebalance from 2^0" in text, text


def folds_layers_of_5000_nodes(tmp):
    lines, last = [], "x"
    for k in range(250):
        for op in ["relu", "neg", "abs", "tanh"] * 5:
            lines.append(f'  %v{len(lines)} = {op} %{last} : f32[4] from "/m/layers.{k}/{op}"')
            last = f"v{len(lines) - 1}"
    path = write(os.path.join(tmp, "large.sc"), f"graph @g(%x: f32[4]) -> (%{last}) {{\n" + "\n".join(lines) + "\n}\n")
    began = time.monotonic()
    path = page(path, tmp, "--stage", "import")
    text, found = shown(path, tmp, "#layers.17/")
    assert found == "20 found" and "249 layers as /m/layers.0" in text, (text, found)
    assert time.monotonic() - began < LIMIT


run_all("tools-page", [holds_all, names_are_data, totals_head_the_text, names_that_begin_alike_cluster, shows_totals,
                       finds_and_explains, folds_layers_of_5000_nodes])
