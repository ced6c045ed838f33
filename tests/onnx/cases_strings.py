# SPDX-License-Identifier: Apache-2.0
"""Strings: moved by what moves numbers, normalised, split, encoded, cast; sizes that only the run knows."""

import numpy as np
from onnx import TensorProto, helper

from case_kit import F32, I64, case, ints, node

ML = [helper.make_opsetid("ai.onnx.ml", 4)]
WORDS = np.array(["Monday", "", "tuesday", "MONDAY", "Ärger", "b"], object)


def text(*x):
    return np.array(x, object)


def encoder(**attributes):
    return helper.make_node("LabelEncoder", ["x"], ["y"], domain="ai.onnx.ml", **attributes)


def moved():
    x = {"x": WORDS.reshape(2, 3)}
    dims = {"x": ["n", 3]}
    for name, nodes, consts, want in (
            ("transpose", node("Transpose", "x", perm=[1, 0]), {}, x["x"].T),
            ("tile", node("Tile", "x r"), {"r": ints(2, 1)}, np.tile(x["x"], (2, 1))),
            ("parts", node("Split", "x", "a y", axis=1, num_outputs=2), {}, x["x"][:, 2:]),
            ("gather", node("Gather", "x i"), {"i": ints(-1, 0)}, x["x"][[-1, 0]]),
            ("scatter", node("ScatterND", "x i u"), {"i": ints(1).reshape(1, 1), "u": text("p", "q", "r").reshape(1, 3)},
             np.concatenate([x["x"][:1], text("p", "q", "r").reshape(1, 3)])),
            ("pad-where", [node("Equal", "x c", "e"), node("Not", "e", "f"), node("Where", "f x c", "y")], {"c": text("b")}, x["x"])):
        case(f"strings-{name}", nodes, x, consts, want={"y": want}, dims=dims, opset=21)
    case("strings-add", node("Add", "x x"), x, words="must be a tensor of numbers")
    case("strings-less", node("Less", "x x"), x, words="must be a tensor of numbers")


def normalised():
    x = {"x": WORDS}
    for name, attributes, want in (
            ("upper", {"case_change_action": "UPPER"}, text("MONDAY", "", "TUESDAY", "MONDAY", "ÄRGER", "B")),
            ("stop", {"stopwords": ["monday", "äRGER"]}, text("", "tuesday", "b")),
            ("stop-empty", {"stopwords": [""], "is_case_sensitive": 1}, WORDS[[0, 2, 3, 4, 5]]),
            ("stop-case", {"stopwords": ["Monday"], "is_case_sensitive": 1, "case_change_action": "LOWER"},
             text("", "tuesday", "monday", "ärger", "b")),
            ("stop-all", {"stopwords": ["monday", "", "tuesday", "ärger", "b"]}, text(""))):
        case(f"strings-normal-{name}", node("StringNormalizer", "x", **attributes), x, want={"y": want}, dims={"x": ["n"]})
        case(f"strings-normal-row-{name}", node("StringNormalizer", "x", **attributes), {"x": WORDS.reshape(1, 6)},
             want={"y": want.reshape(1, -1)}, dims={"x": [None, "n"]})
    case("strings-normal-rows", node("StringNormalizer", "x", stopwords=["a"]), {"x": WORDS.reshape(2, 3)}, words="rows of strings")
    case("strings-normal-action", node("StringNormalizer", "x", case_change_action="TITLE"), x, words='"case_change_action" TITLE')
    case("strings-normal-none", node("StringNormalizer", "x", stopwords=["a"]), {"x": WORDS[:0]}, want={"y": text("")},
         dims={"x": ["n"]})


def split():
    x = {"x": text("a.b.c", "", ".", " a  b ")}
    want = np.array([s.split(".") + [""] * (3 - len(s.split("."))) for s in x["x"]], object)
    case("strings-split", node("StringSplit", "x", "y z", delimiter="."), x, outputs="y z", want={"y": want, "z": ints(3, 1, 2, 1)},
         dims={"x": ["n"]}, opset=20)
    case("strings-split-no", node("StringSplit", "x", "y z"), {"x": text("", " ")}, outputs="y z",
         want={"y": np.zeros((2, 0), object), "z": ints(0, 0)}, dims={"x": ["n"]}, opset=20)
    case("strings-split-twice", [node("StringSplit", "x", "a", delimiter="."), node("StringSplit", "a", "y", maxsplit=1)],
         {"x": text("a b c.d")}, want={"y": text("a", "b c", "d", "").reshape(1, 2, 2)}, opset=20)


def encoded():
    x, numbers = {"x": WORDS}, {"x": np.array([0, np.nan, -0.0, 7], F32)}
    keys = ["b", "Monday", "", "b"]
    case("strings-label", encoder(keys_strings=keys, values_int64s=[1, 2, 3, 4], default_int64=2**62 + 1), x,
         want={"y": ints(2, 3, 2**62 + 1, 2**62 + 1, 2**62 + 1, 1)}, dims={"x": ["n"]}, domains=ML)
    case("strings-label-back", encoder(keys_int64s=[7, -1], values_strings=["x", "y"]), {"x": ints(-1, 7, 0)},
         want={"y": text("y", "x", "_Unused")}, domains=ML)
    case("strings-label-float", encoder(keys_floats=[float("nan"), 0.0], values_floats=[1.0, 2.0], default_float=0.5), numbers,
         want={"y": np.array([2, 1, 2, 0.5], F32)}, domains=ML)
    case("strings-label-text", encoder(keys_strings=["b"], values_strings=["B"], default_string=""), x,
         want={"y": text("", "", "", "", "", "B")}, domains=ML)
    tensor = helper.make_tensor("k", TensorProto.STRING, [2], ["b", ""])
    value = helper.make_tensor("v", TensorProto.DOUBLE, [2], [0.5, 1])
    case("strings-label-tensor", encoder(keys_tensor=tensor, values_tensor=value,
                                         default_tensor=helper.make_tensor("d", TensorProto.DOUBLE, [1], [9])), x,
         want={"y": np.array([9, 1, 9, 9, 9, 0.5])}, domains=ML)
    case("strings-label-length", encoder(keys_strings=["a"], values_int64s=[1, 2]), x, words="as many of one as of the other",
         domains=ML)
    case("strings-label-type", encoder(keys_int64s=[1], values_int64s=[1]), x, words="keys must have the type", domains=ML)
    case("strings-label-list", encoder(keys_strings=[1, 2], values_int64s=[1, 2]), x, words="is no list of string", domains=ML)


def cast():
    numbers = {"x": text("1.5", " -2 ", "1e3", "NaN")}
    case("strings-cast", node("Cast", "x", to=TensorProto.FLOAT), numbers, want={"y": np.array([1.5, -2, 1000, np.nan], F32)})
    case("strings-cast-int", node("Cast", "x", to=TensorProto.INT64), {"x": text("100.5", "9223372036854775807", "1e3")},
         want={"y": np.array([100, 2**63 - 1, 1000], I64)})
    case("strings-cast-bad", node("Cast", "x", to=TensorProto.INT64, name="wrong"), {"x": text("1", "one")}, words="a string is no number")
    case("strings-cast-back", node("Cast", "x", to=TensorProto.STRING), {"x": np.array([1.5, 1e10, np.inf, 1e-5], F32)},
         want={"y": text("1.5", "1e+10", "INF", "9.9999997e-06")})
    case("strings-cast-bool", node("Cast", "x", to=TensorProto.STRING), {"x": np.array([True, False])}, want={"y": text("1", "0")})
    case("strings-cast-same", [node("Cast", "x", "z", to=TensorProto.STRING), node("CastLike", "z x")], {"x": WORDS}, want={"y": WORDS},
         opset=21)
    case("strings-cast-to-bool", node("Cast", "x", to=TensorProto.BOOL, name="truth"), {"x": text("1")},
         words='error[E0104] in Cast "truth" (node 0): operator is not supported: strings as bool')
    case("strings-unique", node("Unique", "x", name="words"), {"x": WORDS},
         words='error[E0104] in Unique "words" (node 0): operator is not supported: Unique of strings')
    case("strings-regex", node("RegexFullMatch", "x", pattern="a*"), {"x": WORDS}, words="RegexFullMatch", opset=20)


def all_of_them():
    for some in moved, normalised, split, encoded, cast:
        some()
