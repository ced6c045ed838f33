# SPDX-License-Identifier: Apache-2.0
"""scalec check: its tables, which sites it ranks first, what it suggests."""
import json
import os
import re
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper

from command import DIGIT, MNIST, RNG, SCALEC, SOURCE, failing, model, normal, run_all, write
from scalec import BUILD, scalec  # in a folder that command adds


def columns_stand_below_their_heads(tmp):
    """A name wider than its column ends there as it ends."""
    far = "/".join(["encoder"] * 12) + "/"
    path, npz = os.path.join(tmp, "far.onnx"), os.path.join(tmp, "x.npz")
    nodes = [helper.make_node("MatMul", ["x", "w"], [far + "product"], "up"), helper.make_node("Relu", [far + "product"], ["y"], "relu")]
    onnx.save(model(nodes, [("x", [4, 16])], [("y", [4, 24])], [("w", np.eye(16, 24, dtype=np.float32))]), path)
    np.savez(npz, x=np.ones((4, 16), np.float32))
    table = scalec("check", path, "--data", npz, "--recipe", "fp8", "--scales", "propagate")
    head, *rows = re.search(r"^tensor .*?(?=\n\n)", table, re.M | re.S)[0].split("\n")
    at = head.index("type")
    assert any(r.startswith("...") and r[:at].endswith("/product ") for r in rows), table
    assert all(r[at - 1] == " " and r[at:].split()[0] in ("f32", "f8e4m3fn") for r in rows), table


def check_ranks_by_what_is_gained(tmp):
    """The first site is worth what it says: kept in f32 by a recipe, the output gains that."""
    rng = np.random.default_rng(8)
    w = [rng.standard_normal((32, 32)).astype(np.float32) for _ in range(3)]
    w[1] = np.sign(w[1]) * np.float32(0.25)  # codes of E4M3 hold it exactly
    nodes = [helper.make_node("MatMul", ["x", "a"], ["h1"], "first"), helper.make_node("Relu", ["h1"], ["h2"], "r"),
             helper.make_node("MatMul", ["h2", "b"], ["h3"], "exact"),
             helper.make_node("MatMul", ["h3", "c"], ["y"], "last")]
    path, npz = os.path.join(tmp, "m.onnx"), os.path.join(tmp, "x.npz")
    onnx.save(model(nodes, [("x", [64, 32])], [("y", [64, 32])], list(zip("abc", w))), path)
    np.savez(npz, x=rng.standard_normal((64, 32)).astype(np.float32))
    args = ("check", path, "--data", npz, "--json", "--recipe")

    def table(recipe, *more):
        t = json.loads(scalec(*args, recipe, *more))["tensors"]
        return t, next(x["sqnr_db"] for x in t if x["output"])
    t, low = table("fp8")
    sites = [x for x in t if x["site"]]
    assert len(sites) == 6 and all(x["gain_measured"] for x in sites)
    assert sites[0]["gain_together_db"] == sites[0]["gain_db"] == max(x["gain_db"] for x in sites)
    assert all(x["gain_together_db"] > x["gain_db"] for x in sites[1:4]) and sites[5]["gain_together_db"] is None, sites
    exact = next(x for x in sites if x["name"] == "b")
    assert exact["gain_db"] == 0 and exact["rounding_db"] is None, exact
    assert all(29.5 < x["rounding_db"] < 36 for x in sites if x["name"] != "b"), sites
    last = next(x for x in sites if x["name"] == "c")
    recipe = write(os.path.join(tmp, "r.txt"),
                   'activation = f8e4m3fn\nweight = f8e4m3fn\nscale = channel\nlayer "last" weight=f32\n')
    assert abs(table(recipe)[1] - low - last["gain_db"]) < 0.3, (table(recipe)[1], low, last)
    t, _ = table("fp8", "--budget", "0")
    assert not any(x["gain_measured"] for x in t if x["site"])
    assert "~" in scalec(*args[:4], "--recipe", "fp8", "--budget", "0")
    for other in ("f16", "fp8-weights"):
        t, _ = table(other)
        assert all(x["gain_measured"] for x in t if x["site"]), other
    for blocks, count, least in (("mxfp8", 6, 29), ("mxfp6", 6, 29), ("mxfp4-weights", 3, 15)):
        t, low = table(blocks)
        sites = [x for x in t if x["site"]]
        assert len(sites) == count and all(x["gain_measured"] for x in sites), (blocks, sites)
        assert all(x["rounding_db"] is None or x["rounding_db"] > least for x in sites), (blocks, sites)
    t, _ = table("fp8", "--scales", "dynamic-rows")
    sites = [x for x in t if x["site"]]
    assert len(sites) == 6 and all(x["gain_measured"] for x in sites), sites
    assert all(x["rounding_db"] is None or x["rounding_db"] > 29 for x in sites), sites
    said = scalec(*args[:4], "--recipe", "mxfp4-weights", "--suggest", "60")
    assert said.count(" format=f32") == 2 and "site \"b\"" not in said, said  # FP4 holds the exact one too


def check_says_what_factors_gain(tmp):
    """As much as the rounding is worse where the same statistics have no factor; of constants, what their channels' gain."""
    path, npz, stats = (os.path.join(tmp, f) for f in ("m.onnx", "x.npz", "m.stats"))
    w, exact = normal(96, 64), np.sign(normal(96, 32)) * np.float32(0.25)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], "first"), helper.make_node("MatMul", ["x", "b"], ["z"], "exact")]
    onnx.save(model(nodes, [("x", [64, 96])], [("y", [64, 64]), ("z", [64, 32])], [("w", w), ("b", exact)]), path)
    np.savez(npz, x=np.sign(normal(64, 96)) * RNG.uniform(1.04, 1.09, (64, 96)).astype(np.float32))

    def sites(recipe, given):
        text = scalec("check", path, "--data", npz, "--recipe", recipe, "--calibrate", given, "--budget", "0")
        head, *rows = re.search(r"^tensor .*?(?=\n\n)", text, re.M | re.S)[0].split("\n")
        end = head.index("factor") + len("factor")
        shown = {r.split()[0]: r[:end].split()[-1] for r in rows if r.split()[1] == "f8e4m3fn"}
        found = json.loads(scalec("check", path, "--data", npz, "--recipe", recipe, "--calibrate", given, "--budget", "0", "--json"))
        ret = {t["name"]: t for t in found["tensors"] if t["site"]}
        said = {k: "-" if t["factor_db"] is None else f"{t['factor_db']:.1f}" for k, t in ret.items()}
        assert said.items() <= shown.items(), (shown, ret)
        return ret
    scalec("compile", path, "--recipe", "fp8", "--calibrate", npz, "--save-stats", stats, "-o", os.path.join(tmp, "m"))
    text = open(stats).read()
    none = write(os.path.join(tmp, "none.stats"), re.sub(r" factor \S+ gain \S+", "", text))
    says = float(re.search(r'^"?x"? .* gain (\S+)', text, re.M)[1])
    for recipe in ("fp8", "mxfp8"):
        given, without = sites(recipe, stats), sites(recipe, none)
        gain = given["x"]["factor_db"]
        assert gain > 3 and abs(gain - says) < 0.1 and without["x"]["factor_db"] is None, (recipe, given["x"], says)
        assert abs(given["x"]["rounding_db"] - without["x"]["rounding_db"] - gain) < 0.1, (recipe, given["x"], without["x"])
        assert given["w"]["factor_db"] > 0.5 and given["b"]["factor_db"] is None, given
    tensor = write(os.path.join(tmp, "tensor.recipe"), "activation = f8e4m3fn\nweight = f8e4m3fn\n")
    assert all(t["factor_db"] is None for t in sites(tensor, stats).values())


def check_finds_the_sites(tmp):
    """Of MNIST's six sites the three that gain most together are none of the three that gain most alone but one."""
    bench, digits = os.path.join(BUILD, "tests", "bench-sites"), os.path.dirname(DIGIT)
    p = subprocess.run([bench, MNIST, digits, "fp8", "60"], capture_output=True, text=True)
    sites, measured, _, check, *best = map(float, p.stdout.split())
    assert sites == measured == 6 and check > 0.8 * max(best) > 5, p


def check_compares_and_suggests(tmp):
    """Recipes as columns, with a command's number; the fewest sites in f32 for a wanted SQNR, as a recipe that has it."""
    data, made = os.path.join(SOURCE, "tests", "model", "data", "digits"), os.path.join(tmp, "made.recipe")
    args = ("check", MNIST, "--data", data, "--recipe")
    count = "sh -c 'ls \"$0\" | wc -l'"  # it gets the folder as its last word
    got = json.loads(scalec(*args, "fp8,fp8-weights,f32", "--metric", count, "--json"))
    assert "17 recipes" in failing(*args, ",".join(["fp8"] * 17), status=2)
    n, columns = got["samples"], {c["recipe"]: c for c in got["recipes"]}
    assert n == len(os.listdir(data)) and all(c["metric"] == n and c["rows"] == n for c in columns.values()), got
    assert 20 < columns["fp8"]["sqnr_db"] < columns["fp8-weights"]["sqnr_db"] and columns["f32"]["sqnr_db"] is None, got
    assert columns["fp8"]["max_error"] > columns["fp8-weights"]["max_error"] > columns["f32"]["max_error"] == 0
    assert columns["fp8"]["weights"] < 0.3 * columns["f32"]["weights"] and columns["fp8"]["same"] == n
    quick = json.loads(scalec(*args, "fp8", "--budget", "0", "--suggest", "10", "--json"))
    alone = next(t["sqnr_db"] for t in quick["tensors"] if t["output"])  # tensors are looked at on the first sample alone
    assert quick["samples_of_tensors"] == 1 < quick["samples"] == n and "on the first 1" in scalec(*args, "fp8", "--budget", "0")
    assert abs(alone - columns["fp8"]["sqnr_db"]) < 0.01 > abs(quick["suggest"]["steps"][0]["sqnr_db"] - alone), quick
    want = columns["fp8"]["sqnr_db"] + 4
    steps = json.loads(scalec(*args, "fp8", "--suggest", str(want), "-o", made, "--json"))["suggest"]
    assert 0 < steps["sites"] < 6 and steps["steps"][0]["sites"] == 0, steps
    fewer = [s["sqnr_db"] for s in steps["steps"] if s["sites"] < steps["sites"]]
    assert fewer and max(fewer) < want, steps
    reached = json.loads(scalec(*args, f"fp8,{made}", "--json"))["recipes"][1]
    assert reached["sqnr_db"] > want - 0.3, (reached, open(made).read())
    assert "the fewest" in scalec(*args, "fp8", "--suggest", "10")
    ranked, placed = (scalec(*args, "fp8", "--order", o).splitlines() for o in ("rank", "graph"))
    assert ranked[6:] != placed[6:] and sorted(ranked[6:]) == sorted(placed[6:]), placed
    first = [line.split()[0] for line in placed[6:] if line]
    assert first.index("Input3") < first.index("ReLU32_Output_0") < first.index("Plus214_Output_0"), placed
    odd = os.path.join(tmp, "it's $HOME")  # the outputs are in $TMPDIR, whatever it is called
    os.mkdir(odd)
    got = json.loads(scalec(*args, "fp8,f32", "--metric", count, "--json", env={**os.environ, "TMPDIR": odd}))
    assert all(c["metric"] == n for c in got["recipes"]) and not os.listdir(odd), got
    os.environ["TMPDIR"] = gone = os.path.join(tmp, "gone")
    assert gone in failing(*args, "fp8,f16", "--metric", count)
    del os.environ["TMPDIR"]
    assert "the command fails" in failing(*args, "fp8,f16", "--metric", "false")
    assert "no number" in failing(*args, "fp8,f16", "--metric", "true")
    for wrong in (("fp8,f16", "--suggest", "30"), ("fp8", "--metric", count), ("fp8", "-o", made),
                  ("fp8,f16", "--suggest", "30", "--metric", count),
                  ("fp8", "--suggest", "30", "-o", "-"), ("fp8", "--order", "size"), ("fp8,f16", "--order", "rank")):
        failing(*args, *wrong, status=2)


def sites_that_no_sample_meets(tmp):
    """In a branch that none takes; and codes of rows that are made of a constant, whose numbers nobody is told."""
    path, data, made = (os.path.join(tmp, f) for f in ("if.onnx", "x.npz", "made.recipe"))
    rng = np.random.default_rng(1)

    def drawn(*shape):
        return rng.standard_normal(shape).astype(np.float32)
    branch = [helper.make_graph([helper.make_node("MatMul", ["x", f"w{k}"], [f"m{k}"], f"mm{k}")], f"b{k}", [],
                                [onnx.ValueInfoProto(name=f"m{k}")]) for k in range(2)]
    m = model([helper.make_node("If", ["c"], ["a"], then_branch=branch[0], else_branch=branch[1]),
               helper.make_node("MatMul", ["a", "w2"], ["y"], "mm2")], [("x", [4, 16])], [("y", [4, 16])],
              [(f"w{k}", drawn(16, 16)) for k in range(3)])
    m.graph.input.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
    onnx.save(m, path)
    np.savez(data, x=drawn(4, 16), c=np.array(True))
    table = scalec("check", path, "--data", data, "--recipe", "fp8", "--suggest", "60", "-o", made)
    assert "6 storage sites" in table and "of 6 sites in f32: inf dB" in table and 'site "w2" format=f32' in open(made).read(), table
    onnx.save(model([helper.make_node("Gemm", ["a", "w", "x"], ["y"], "fc")], [("x", [1, 8])], [("y", [1, 8])],
                    [("a", drawn(1, 32)), ("w", drawn(32, 8))]), path)
    np.savez(data, x=drawn(1, 8))
    table = scalec("check", path, "--data", data, "--recipe", "mxfp6")
    assert re.search(r"^\S+ +f6e2m3 .*", table, re.M) and "output y: SQNR" in table, table


def a_metric_is_reached(tmp):
    """The fewest sites in f32 until a command is content, which may be the labels' script of the benches."""
    data, made, judge = (os.path.join(tmp, f) for f in ("data", "made.recipe", "least.py"))
    os.mkdir(data)
    for i, name in enumerate(sorted(os.listdir(os.path.dirname(DIGIT)))):  # 10.npz comes behind 9.npz there
        if name.endswith(".npy"):
            x = np.load(os.path.join(os.path.dirname(DIGIT), name)).astype(np.float32).reshape(1, 1, 28, 28)
            np.savez(os.path.join(data, f"{i}.npz"), Input3=x, label=[int(name[0])])
    args = ("check", MNIST, "--data", data, "--recipe")
    labels = f"{sys.executable} {os.path.join(SOURCE, 'tests', 'bench', 'labels.py')} {data}"
    right = json.loads(scalec(*args, "fp8,f32", "--metric", labels, "--json"))["recipes"]
    assert right[0]["metric"] == right[1]["metric"] == 100, right
    keep = os.path.join(tmp, "kept")
    scalec(*args, "fp8,f32", "--metric", f"sh -c 'mkdir -p {keep}; cp $0/* {keep}; echo 1'")  # f32's are there at last
    write(judge, "import glob, sys\nimport numpy as np\nnoise = signal = 0\n"
          f"for p in glob.glob({keep!r} + '/*.npz'):\n"
          "    w, g = (np.load(f)['Plus214_Output_0'].astype(float) for f in (p, p.replace(sys.argv[1], sys.argv[2])))\n"
          "    noise, signal = noise + ((w - g) ** 2).sum(), signal + (w ** 2).sum()\n"
          "print(10 * np.log10(signal / max(noise, 1e-30)))\n")
    metric = f"{sys.executable} {judge} {keep}"
    want = json.loads(scalec(*args, "fp8,f32", "--metric", metric, "--json"))["recipes"][0]["metric"] + 3
    found = json.loads(scalec(*args, "fp8", "--suggest", str(want), "--metric", metric, "-o", made, "--json"))["suggest"]
    assert found["wanted_metric"] == want and 0 < found["sites"] < 6 and found["steps"][0]["sites"] == 6, found
    assert all((s["metric"] >= want) == (s["sites"] >= found["sites"]) for s in found["steps"]), found
    reached = json.loads(scalec(*args, f"fp8,{made}", "--metric", metric, "--json"))["recipes"][1]
    assert reached["metric"] > want - 0.3, (reached, open(made).read())
    assert "for a metric of 99" in scalec(*args, "fp8", "--suggest", "99", "--metric", labels)
    assert "the metric is 1, not 2" in failing(*args, "fp8", "--suggest", "2", "--metric", "echo 1 #")
    assert "the command fails" in failing(*args, "fp8", "--suggest", "2", "--metric", "false")


def loop_of_products(tmp):
    """A loop's body, and a branch in it."""
    def branch(name, node):
        return helper.make_graph([node], name, [], [helper.make_tensor_value_info(name, 1, [4, 8])])
    body = helper.make_graph(
        [helper.make_node("MatMul", ["v", "w1"], ["/turn/a"], "/turn/first"), helper.make_node("Tanh", ["/turn/a"], ["b"]),
         helper.make_node("If", ["low"], ["next"], "which", then_branch=branch(
             "t", helper.make_node("MatMul", ["b", "w2"], ["t"], "then")),
             else_branch=branch("e", helper.make_node("Identity", ["v"], ["e"], "else"))),
         helper.make_node("Identity", ["on"], ["still"])],
        "body", [helper.make_tensor_value_info("i", 7, []), helper.make_tensor_value_info("on", 9, []),
                 helper.make_tensor_value_info("v", 1, [4, 8])],
        [helper.make_tensor_value_info("still", 9, []), helper.make_tensor_value_info("next", 1, [4, 8])])
    nodes = [helper.make_node("Greater", ["s", "zero"], ["low"]), helper.make_node("Cast", ["s"], ["n"], to=7),
             helper.make_node("Loop", ["n", "go", "x"], ["l"], "loop", body=body),
             helper.make_node("MatMul", ["l", "w3"], ["y"], "last")]
    m = model(nodes, [("x", [4, 8]), ("s", [])], [("y", [4, 8])],
              [("w1", normal(8, 8)), ("w2", normal(8, 8)), ("w3", normal(8, 8)), ("go", np.bool_(True)),
               ("zero", np.float32(0))])
    path, npz = os.path.join(tmp, "loop.onnx"), os.path.join(tmp, "in.npz")
    onnx.save(m, path)
    np.savez(npz, x=normal(4, 8), s=np.float32(3))
    return path, npz


def what_is_nested_is_ranked_too(tmp):
    path, npz = loop_of_products(tmp)
    said = subprocess.run([SCALEC, "run", path, "--recipe", "fp8", "--scales", "propagate", "--saturations", "--json", "-i", npz],
                          check=True, capture_output=True, text=True)
    assert [s["tensor"] for s in json.loads(said.stdout)["saturations"]] == ["l"], said.stdout
    assert said.stderr.count("is stored in a nested graph") == 2 and "/turn/first" in said.stderr, said.stderr
    table = json.loads(scalec("check", path, "--data", npz, "--recipe", "fp8-weights", "--json"))["tensors"]
    sites = [t for t in table if t["site"]]
    assert {t["name"] for t in sites} == {"w3", "1/w1", "1/1/w2"}, sites
    assert [t["gain_db"] for t in sites] == sorted((t["gain_db"] for t in sites), reverse=True), sites
    assert all(t["gain_measured"] and t["rounding_db"] > 10 for t in sites), sites
    assert sum(t["gain_db"] > 0.5 for t in sites) >= 2, sites
    inside = [t for t in table if t["name"] in ("1//turn/a", "1/b")]
    assert inside and all(5 < t["sqnr_db"] < 80 for t in inside), inside
    kept = os.path.join(tmp, "kept.recipe")
    scalec("check", path, "--data", npz, "--recipe", "fp8-weights", "--suggest", "200", "-o", kept)
    text = open(kept).read()
    assert all(f'site "{w}" format=f32' in text for w in ("w1", "w2", "w3")), text
    after = json.loads(scalec("check", path, "--data", npz, "--recipe", kept, "--json"))["tensors"]
    assert not any(t["site"] for t in after), after
    why = scalec("dump", path, "--recipe", "fp8", "--why", "/turn/a")
    assert '1/"/turn/a"' in why.splitlines()[0] and "given from outside" in why and "%x: " in why, why
    why = scalec("dump", path, "--recipe", "fp8", "--why", "l")
    assert "given by what is nested in it" in why and "%1/1/t" in why, why


def values_of_one_name_are_told_apart(tmp):
    """What a cell's loop is given has one name: hidden state, cell and input are each compared with themselves."""
    init = [("w", normal(1, 64, 8) / 4), ("r", normal(1, 64, 16) / 4)]
    lstm = helper.make_node("LSTM", ["x", "w", "r"], ["", "h", "c"], "lstm", hidden_size=16)
    path, npz = os.path.join(tmp, "lstm.onnx"), os.path.join(tmp, "in.npz")
    onnx.save(model([lstm], [("x", [5, 2, 8])], [("h", [1, 2, 16]), ("c", [1, 2, 16])], init), path)
    np.savez(npz, x=normal(5, 2, 8))
    table = json.loads(scalec("check", path, "--data", npz, "--recipe", "fp8", "--scales", "propagate", "--json"))["tensors"]
    given = {t["name"]: t["sqnr_db"] for t in table if t["name"].startswith("1/x") and not t["site"]}
    assert set(given) == {"1/x", "1/x~2", "1/x~3"} and all(10 < db < 80 for db in given.values()), given
    again = helper.make_node("LSTM", ["y", "w2", "r"], ["", "h", "c"], "other", hidden_size=16)
    lstm.output[0] = "y1"
    nodes = [lstm, helper.make_node("Squeeze", ["y1", "one"], ["y"], "squeeze"), again]
    del lstm.output[1:]
    onnx.save(model(nodes, [("x", [5, 2, 8])], [("h", [1, 2, 16]), ("c", [1, 2, 16])],
                    init + [("w2", normal(1, 64, 16) / 4), ("one", np.array([1]))]), path)
    said = scalec("check", path, "--data", npz, "--recipe", "fp8", "--scales", "propagate", "--suggest", "300")
    assert 'site "x"' not in said and 'layer "other" activation=f32' in said and 'site "w2"' not in said, said


run_all("tools-check", [check_compares_and_suggests, sites_that_no_sample_meets, a_metric_is_reached,
                        check_ranks_by_what_is_gained, check_says_what_factors_gain, check_finds_the_sites, what_is_nested_is_ranked_too,
                        values_of_one_name_are_told_apart, columns_stand_below_their_heads])
