# SPDX-License-Identifier: Apache-2.0
"""dump --format html and check --html: pages without anything from elsewhere; in headless Chromium, where there is one
($SCT_CHROMIUM or `chromium`), the one shows totals, finds a node and explains it, folds equal layers, and copes with
5,000 nodes; the other shows recipes as columns, and the histogram of a tensor that is searched for."""
import json
import os
import re
import shutil
import subprocess
import sys
import time

import numpy as np

sys.path.insert(0, os.path.dirname(__file__))
from command import DIGIT, MNIST, failing, run_all, write  # noqa: E402
from scalec import Skip, scalec  # noqa: E402

LIMIT = 60  # seconds for a page; a machine under load takes some


def page(path, tmp, *args):
    out = os.path.join(tmp, "page.html")
    scalec("dump", path, "--format", "html", "-o", out, *args)
    return out


def data(path):
    return json.loads(re.search(r'<script id="data" type="application/json">\n(.*?)\n</script>', open(path).read(), re.S)[1])


def alone(path):
    """Whether the page asks for nothing from elsewhere: all but its data, and the name that SVG has."""
    text = re.sub(r'<script id="data".*?</script>', "", open(path).read(), flags=re.S).replace("http://www.w3.org/2000/svg", "")
    return "<script>" in text and not re.search(r"(src|href)\s*=|https?:|@import|url\(", text)


def elements(path, tmp, fragment=""):
    """The page once its script has run."""
    browser = os.environ.get("SCT_CHROMIUM") or shutil.which("chromium")
    if not browser:
        raise Skip("no chromium")
    p = subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp}/profile",
                        "--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom", f"file://{path}{fragment}"],
                       capture_output=True, text=True, timeout=LIMIT)
    assert "Uncaught" not in p.stderr and "CONSOLE" not in p.stderr, p.stderr
    return p.stdout


def shown(path, tmp, fragment=""):
    """The side panel's text, and the status line."""
    page = elements(path, tmp, fragment)
    text = re.search(r'<aside id="side">(.*?)</aside>', page, re.S)[1]
    return re.sub(r"<[^>]*>", " ", text), re.search(r'<span id="found">(.*?)</span>', page)[1]


def holds_all(tmp):
    path = page(MNIST, tmp, "--recipe", "fp8")
    d = data(path)
    assert alone(path)
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
    assert 'label="/a/b"' in dot and re.search(r"subgraph cluster_\d+ \{[^}]*  n1 \[[^}]*  n2 \[", dot, re.S), dot


def rounding_fills_boxes(tmp):
    """Constants by what they lost, values by what samples lose or, without any, by what is expected; both drawings alike."""
    draw = lambda *args: scalec("dump", MNIST, "--recipe", "fp8", "--stage", "settle", "--format", "dot", *args)
    expected, measured = draw(), draw("--data", DIGIT)
    boxes = [{m[1]: m[0] for m in re.findall(r'(n\d+ \[label="(\w+) [^;]*);', t)} for t in (expected, measured)]
    for box, mark in zip(boxes, ("~", "")):
        assert re.search(r"%Parameter87: f8e4m3fn\[[^\]]*\], 3\d\.\d dB", box["conv"]) and 'fillcolor="#fff3bf"' in box["conv"], box
        assert re.search(rf"-> %\d+: f8e4m3fn.*, {mark}(29|3\d)\.\d dB", box["cast"]), box
        assert "fillcolor" not in box["relu"]
    assert expected.count("bgcolor") == 6 and "bgcolor" not in scalec("dump", MNIST, "--format", "dot", "--stage", "settle")
    for args, exact in (((), False), (("--data", DIGIT), True)):
        d = data(page(MNIST, tmp, "--recipe", "fp8", *args))
        casts = [d["values"][v] for n in d["nodes"] if n["op"] == "cast" for v in n["out"]]
        assert len(casts) == 3 and all(29 < v["db"] < 45 and v["measured"] == exact for v in casts), casts
        assert all(v["measured"] and v["db"] > 30 for v in d["values"] if v["low"] and d["nodes"][v["node"]]["op"] == "const")
        assert [c[0] for c in d["colours"]] == [30, 24, 18, 12, -999, None]
    # What is beneath the normal numbers of its format, or above the largest, loses more: six bits of room, then none.
    for by, colour in ((1, "#fff3bf"), (2 ** -7, "#ffa94d"), (2 ** -10, "#e03131"), (2 ** 10, "#e03131")):
        text = write(os.path.join(tmp, "r.sc"), f"graph @g(%x: f32[4,8], %w: f32[8,8]) -> (%y) {{\n  %k = const {by} : f32[]\n"
                     "  %a = mul %x, %k : f32[4,8]\n  %c = cast %a : f8e4m3fn[4,8]\n  %y = matmul %c, %w : f32[4,8]\n}\n")
        dot = scalec("dump", text, "--stage", "settle", "--format", "dot")
        assert re.search(rf'"cast[^;]*fillcolor="{colour}"', dot), (by, dot)


def rounding_to_no_number_is_told(tmp):
    """Codes of infinities, which samples find where nothing saturates; values of 16 bits have no fill."""
    text = write(os.path.join(tmp, "inf.sc"), "graph @g(%x: f32[4,8], %w: f32[8,8]) -> (%y, %h) {\n  %k = const 1e6 : f32[]\n"
                 "  %a = mul %x, %k : f32[4,8]\n  %c = cast %a {saturate = 0} : f8e5m2[4,8]\n  %y = matmul %c, %w : f32[4,8]\n"
                 "  %h = cast %x : f16[4,8]\n}\n")
    npz = os.path.join(tmp, "x.npz")
    np.savez(npz, x=np.ones((4, 8), np.float32), w=np.ones((8, 8), np.float32))
    d = data(page(text, tmp, "--stage", "settle", "--data", npz))
    casts = {v["t"]: v for n in d["nodes"] if n["op"] == "cast" for v in (d["values"][i] for i in n["out"])}
    assert casts["f8e5m2[4,8]"]["db"] == -999 and "db" not in casts["f16[4,8]"], casts
    dot = scalec("dump", text, "--stage", "settle", "--format", "dot", "--data", npz)
    assert 'fillcolor="#e03131"' in dot and "bgcolor" in dot, dot


def dot_draws_nested_graphs(tmp):
    """A cluster for each, names of their own, and an edge from the node; a loop in a branch is drawn in it."""
    text = write(os.path.join(tmp, "n.sc"), "graph @g(%c: bool[], %x: f32[4], %n: i64[]) -> (%y) {\n"
                 "  %y = if %c, %x, %n : f32[4] from \"choice\"\n  graph @then(%a: f32[4], %m: i64[]) -> (%r) {\n"
                 "    %r = relu %a : f32[4]\n  }\n  graph @else(%b: f32[4], %m: i64[]) -> (%s) {\n    %s = neg %b : f32[4]\n  }\n}\n")
    dot = scalec("dump", text, "--format", "dot", "--stage", "import")
    at = int(re.search(r'n(\d+) \[label="if', dot)[1])
    for k, (what, op) in enumerate((("then", "relu"), ("else", "neg"))):
        inside = re.search(rf'subgraph cluster_n{at}_{k}_ {{\s+style=dashed; label="{what}";(.*?)\n  }}\n', dot, re.S)[1]
        assert f'label="{op}' in inside and f"-> n{at}_{k}_out0;" in inside, inside
        assert f"n{at} -> n{at}_{k}_n0 [style=dashed, lhead=cluster_n{at}_{k}_];" in dot, dot
    if shutil.which("dot"):
        subprocess.run(["dot", "-Tsvg"], input=dot, text=True, capture_output=True, check=True, timeout=LIMIT)


def drawn(dot):
    """Seconds that graphviz takes to make a picture of the file."""
    began = time.monotonic()
    if not shutil.which("dot"):
        raise Skip("no dot")
    svg = subprocess.run(["dot", "-Tsvg", dot], capture_output=True, check=True, timeout=LIMIT).stdout
    return svg, time.monotonic() - began


def dot_draws_kernels(tmp):
    """A cluster for each, in that of its name's beginning, with its nodes: red edges lead from the cast in one kernel to the
    product in another, which says what its weights lost; what is made inside alone has no name."""
    dot = scalec("dump", MNIST, "--recipe", "fp8", "--format", "dot")
    inside = re.findall(r'  subgraph cluster_(n\d+_0_) \{\n  color="[^"]*"; label="(kernel \w+) from [^"]*";\n(.*?)\n  \}', dot, re.S)
    assert [k[1] for k in inside] == [f"kernel {c}" for c in ("map", "conv", "pool", "conv", "pool", "contract")], dot
    assert '[label="kernel' not in dot and "->" not in re.sub(r'"[^"]*"', "", "".join(k[2] for k in inside)), dot
    cast, conv = (re.search(rf'({inside[i][0]}n\d+) \[label="{op}[^;]*;', inside[i][2]) for i, op in ((0, "cast"), (1, "conv")))
    assert f'{cast[1]} -> {conv[1]} [color="#c92a2a", penwidth=2];' in dot, dot
    assert re.search(r"%Parameter5: f8e4m3fn\[[^\]]*\], 3\d\.\d dB", conv[0]) and 'fillcolor="#fff3bf"' in conv[0], conv[0]
    assert re.search(r"\\n-> %\S+: f8e4m3fn\[[^\]]*\] [^,]*, ~3\d\.\d dB", cast[0]) and 'fillcolor="#e9ecef"' in inside[0][2], cast[0]
    assert "\\n-> f32[1,8,28,28]" in conv[0] and "\\n-> %ReLU32_Output_0: f32" in inside[1][2], inside[1][2]
    text = write(os.path.join(tmp, "n.sc"), "graph @g(%c: bool[], %x: f32[4]) -> (%y) {\n"
                 "  %y = if %c, %x : f32[4] from \"/a/choice\"\n  graph @then(%a: f32[4]) -> (%r) {\n"
                 "    %p = relu %a : f32[4] from \"/a/p\"\n    %r = exp %p : f32[4] from \"/a/r\"\n  }\n"
                 "  graph @else(%b: f32[4]) -> (%s) {\n    %s = neg %b : f32[4]\n  }\n}\n")
    nested = scalec("dump", text, "--format", "dot")
    assert re.search(r'label="then";.*label="/a";\n  subgraph cluster_(n\d+_0_n\d+_0_) .*  \1n\d+ \[label="relu.*  \1n\d+ \[label="exp', nested, re.S), nested
    for x in (dot, nested):
        drawn(write(os.path.join(tmp, "k.dot"), x))


def dot_draws_a_thousand_nodes(tmp):
    """Layers with constants, casts and a sum around them, in seconds; what a node reads and makes stands at it."""
    lines, last = [], "x"
    for k in range(80):
        at = f'from "/m/layers.{k}/'
        weight, bias = (", ".join(str(i % 7 + k) for i in range(n)) for n in (16, 4))
        lines += [f'  %w{k} = const [{weight}] as f32[4,4] : f32[4,4]', f'  %b{k} = const [{bias}] as f32[4] : f32[4]',
                  f'  %u{k} = gemm %{last}, %w{k}, %b{k} : f32[8,4] {at}up"', f'  %r{k} = relu %u{k} : f32[8,4] {at}relu"',
                  f'  %d{k} = matmul %r{k}, %w{k} : f32[8,4] {at}down"', f'  %y{k} = add %d{k}, %{last} : f32[8,4] {at}sum"']
        last = f"y{k}"
    path, dot = os.path.join(tmp, "deep.sc"), os.path.join(tmp, "deep.dot")
    write(path, f"graph @g(%x: f32[8,4]) -> (%{last}) {{\n" + "\n".join(lines) + "\n}\n")
    recipe = write(os.path.join(tmp, "tensor.recipe"), "activation = f8e4m3fn\nweight = f8e4m3fn\n")
    scalec("dump", path, "--recipe", recipe, "--scales", "propagate", "--stage", "settle", "--format", "dot", "-o", dot)
    text = open(dot).read()
    assert text.count(" [label=") > 600 and "[label=\"const" not in text and text.count("subgraph cluster_") == 80
    assert re.search(r'"gemm from /m/layers.7/up\\n%w7: f8e4m3fn\[4,4\][^"]*\\n-> %u7: f32\[8,4\]', text), text[:2000]
    svg, _ = drawn(dot)
    assert svg.count(b"<title>") > 1200


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


def folds_layers_without_names(tmp):
    """As PyTorch's newer exporter names nodes: layers are what comes again, whether or not they need a rebalance or a
    factor, which is all that the third of them has more."""
    lines, last = [], "x"

    def add(text, name=""):
        nonlocal last
        lines.append(f"  %v{len(lines)} = {text} : f32[4]" + (f' from "{name}"' if name else ""))
        last = f"v{len(lines) - 1}"

    add("sqrt %x", "before")
    for k in range(40):
        for op in ("relu", "neg", "abs", "tanh", "exp", "sin", "cos"):
            add(f"{op} %{last}", f"node_{op}_{k}")
        if k == 2:
            lines.append("  %c = const 0.5 : f32[]")
            add(f"mul %{last}, %c", "node_mul")
    path = write(os.path.join(tmp, "alike.sc"), f"graph @g(%x: f32[4]) -> (%{last}) {{\n" + "\n".join(lines) + "\n}\n")
    text, found = shown(page(path, tmp, "--stage", "import"), tmp, "#node_tanh_3")
    assert found == "11 found" and "39 layers as node_relu_0" in text and "node_relu_39" in text, (text, found)
    text, _ = shown(page(path, tmp, "--stage", "import"), tmp, "#node_tanh_0")
    assert "layers as" not in text and "tanh" in text, text


def weights_have_names(tmp):
    """Whatever they are stored in: a search for the model's name finds the codes, and the bias that was made anew."""
    for args in (("fp8",), ("mxfp8",), ("mxfp4-weights",), ("fp8-weights",), ("fp8", "--scales", "dynamic-rows")):
        d = data(page(MNIST, tmp, "--recipe", *args))
        low = [v["n"].split("_")[0] for v in d["values"] if v["low"] and d["nodes"][v["node"]]["op"] == "const" and "e8m0" not in v["t"]]
        bias = {d["values"][n["in"][2]]["n"] for n in d["nodes"] if n["op"] in ("conv", "matmul") and len(n["in"]) > 2}
        assert low == ["Parameter5", "Parameter87", "Parameter193"], (args, low)
        assert bias - {v["n"] for v in d["values"] if d["nodes"][v["node"]]["op"] != "const"} <= {"Parameter6", "Parameter88", "Parameter194"}, bias
    scale = [v["n"] for v in data(page(MNIST, tmp, "--recipe", "mxfp8"))["values"] if "f8e8m0[8,10]" in v["t"]]
    assert scale == ["Parameter193_reshape1.scale"], scale


def values_below_a_ceiling_fit(tmp):
    """What is proven to stay within its format is not said to be near its end: 1 * 2^7 is less than 448."""
    for first, near in (("relu %x", True), ("clip %x, %lo, %hi", False)):
        path = write(os.path.join(tmp, "c.sc"), "graph @g(%x: f32[4,8], %w: f32[8,8]) -> (%y) {\n  %lo = const 0 : f32[]\n"
                     "  %hi = const 1 : f32[]\n  %k = const 128 : f32[]\n" f"  %a = {first} : f32[4,8]\n"
                     "  %b = mul %a, %k : f32[4,8]\n  %c = cast %b : f8e4m3fn[4,8]\n  %y = matmul %c, %w : f32[4,8]\n}\n")
        text = scalec("dump", path, "--stage", "settle")
        assert ("near the end of their format: 1, %c" in text) == near and "g 6." in text, text


def sheet(tmp, recipe, *args):
    out = os.path.join(tmp, "sheet.html")
    return out, scalec("check", MNIST, "--data", DIGIT, "--recipe", recipe, "--html", out, *args)


def checks_all_recipes(tmp):
    """The columns of numbers that the command prints, and each recipe's tensors with what the alone command says of them."""
    path, text = sheet(tmp, "fp8,fp8-weights")
    d = data(path)
    assert alone(path) and [r["recipe"] for r in d["recipes"]] == ["fp8", "fp8-weights"], d["recipes"]
    for r in d["recipes"]:
        assert f"{r['sqnr_db']:.1f}" in next(t for t in text.splitlines() if t.split()[:1] == [r["recipe"]]), text
    alike = json.loads(scalec("check", MNIST, "--data", DIGIT, "--recipe", "fp8", "--json"))["tensors"]
    assert alike == d["recipes"][0]["tensors"]
    sites = [t for t in alike if t["site"]]
    # One that is divided by a factor before its cast is called what the model calls it, as a recipe's site line must be.
    assert {"Input3", "Pooling66_Output_0", "Pooling160_Output_0_reshape0"} <= {t["name"] for t in sites}, sites
    assert len(sites) == 6 and sum(t["constant"] for t in sites) == 3 and all("octaves" in t for t in sites)
    w = next(t for t in sites if t["name"] == "Parameter5")["octaves"]  # 8 x 1 x 5 x 5 numbers, divided by channel: three octaves stay free
    assert sum(w["count"]) == 200 and (w["least"], w["normal"], w["most"]) == (-9, -6, 8) and w["first"] == -13
    assert max(w["first"] + i for i, n in enumerate(w["count"]) if n) == 5, w
    assert next(t for t in sites if t["name"] == "Parameter5")["factor_db"] > 1, sites
    depth = {t["name"]: t["depth"] for t in alike if not t["constant"]}
    assert depth["Input3"] < depth["Pooling66_Output_0"] < depth["Plus214_Output_0"], depth
    path, text = sheet(tmp, "fp8")
    assert "storage sites first" in text and len(data(path)["recipes"]) == 1
    assert "a file" in failing("check", MNIST, "--data", DIGIT, "--recipe", "fp8", "--html", "-", status=2)


def sheet_shows_columns_and_histograms(tmp):
    path, _ = sheet(tmp, "fp8,mxfp8")
    page = elements(path, tmp, "#Pooling66")
    head, rows = re.search(r'<table id="sites">(.*?)<tbody>(.*?)</tbody>', page, re.S).groups()
    assert re.findall(r"<th[^>]*>([^<]*)</th>", head)[-6:] == ["type", "rounding", "factor", "SQNR dB", "gain dB", "together"], head
    assert rows.count("<td") == 1 + 2 * 6, rows
    assert rows.count("<tr") == 1 and rows.count("f8e4m3fn") == 2, rows
    assert all(re.search(rf'<svg id="{chart}".*?<circle', page, re.S) for chart in ("depth", "rms"))
    text, found = shown(path, tmp, "#Pooling66")
    assert found == "1 found" and "Pooling66_Output_0" in text and text.count("rounding") == 2, text
    assert re.search(r'<aside.*class="histogram"', page, re.S)


run_all("tools-page", [checks_all_recipes, sheet_shows_columns_and_histograms, holds_all, names_are_data, totals_head_the_text, values_below_a_ceiling_fit, weights_have_names, names_that_begin_alike_cluster, rounding_fills_boxes, rounding_to_no_number_is_told, dot_draws_nested_graphs, dot_draws_kernels, dot_draws_a_thousand_nodes, shows_totals,
                       finds_and_explains, folds_layers_of_5000_nodes,
                       folds_layers_without_names])
