# SPDX-License-Identifier: Apache-2.0
"""Sequences and optionals: of known structure, of a length that only the run knows, carried by loops, in branches."""

import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from case_kit import F32, I64, case, ints, node, ramp, write

TRUE = np.array(True)


def value(name, dtype=TensorProto.FLOAT, dims=None):
    return helper.make_tensor_value_info(name, dtype, dims)


def sequence(name, dtype=TensorProto.FLOAT, dims=None):
    return helper.make_tensor_sequence_value_info(name, dtype, dims)


def graph(nodes, inputs, outputs):
    return helper.make_graph(nodes, "inner", inputs, [onnx.ValueInfoProto(name=o) for o in outputs.split()])


def known():
    x = {"a": ramp(2, 3), "b": ramp(3, 3), "c": ramp(1, 3)}
    make = node("SequenceConstruct", "a b c", "s")
    for i, at in ((1, "b"), (-1, "c")):
        case(f"sequence-at-{i}", [make, node("SequenceAt", "s i")], x, {"i": np.array(i)}, want={"y": x[at]})
    case("sequence-at-outside", [make, node("SequenceAt", "s i")], x, {"i": np.array(3)}, words="position 3 in a sequence of 3")
    case("sequence-concat", [make, node("ConcatFromSequence", "s", axis=0)], x)
    case("sequence-insert", [make, node("SequenceInsert", "s a i", "t"), node("ConcatFromSequence", "t", axis=-2)], x,
         {"i": np.array(-1)}, want={"y": np.concatenate([x["a"], x["b"], x["a"], x["c"]])})
    case("sequence-erase", [make, node("SequenceErase", "s i", "t"), node("SequenceErase", "t", "u"),
                            node("ConcatFromSequence", "u", axis=0)], x, {"i": np.array(0)}, want={"y": x["b"]})
    case("sequence-output", make, x, outputs="s", want={"s_0": x["a"], "s_1": x["b"], "s_2": x["c"]})
    case("sequence-in-add", [make, node("Add", "s a")], x, words='operand 0, "s", is a sequence')
    front = [node("SequenceInsert", f"s{i} a i", f"s{i + 1}") for i in range(3000)]
    case("sequence-copied", [node("SequenceEmpty", "", "s0"), *front, node("SequenceLength", "s3000")], x, {"i": np.array(0)},
         words="sequences of more than 4194304 elements")
    behind = [node("SequenceInsert", f"s{i} a", f"s{i + 1}") for i in range(3000)]
    case("sequence-long", [node("SequenceEmpty", "", "s0"), *behind, node("SequenceLength", "s3000")], x, want={"y": np.array(3000)})
    case("sequence-empty", node("SequenceEmpty", ""), {}, words="is a sequence without elements")
    case("optional", [node("Optional", "a", "o"), node("OptionalGetElement", "o", "v"), node("OptionalHasElement", "o", "h"),
                      node("Cast", "h", "f", to=1), node("Mul", "v f")], x, opset=18, want={"y": x["a"]})
    case("optional-none", [node("Optional", "", "o"), node("OptionalHasElement", "o")], x, opset=18, want={"y": np.array(False)})
    case("optional-get-none", [node("Optional", "", "o"), node("OptionalGetElement", "o")], x, opset=18,
         words="an optional without an element")


def unknown_length():
    x = ramp(3, 4)
    for name, dims, more in (("known", None, {}), ("symbol", {"x": ["n", 4]}, {})):
        case(f"sequence-split-{name}", [node("SplitToSequence", "x", "s", axis=0, keepdims=0), node("SequenceAt", "s i", "t"),
                                        node("SequenceLength", "s", "n")], {"x": x, "i": np.array(2)}, dims=dims, outputs="t n",
             want={"t": x[2], "n": np.array(3)}, **more)
    for new, axis in ((0, 1), (1, 0), (1, 2), (0, 0)):
        split = node("SplitToSequence", "x l", "s", axis=1)
        case(f"sequence-pieces-{new}-{axis}", [split, node("ConcatFromSequence", "s", axis=axis, new_axis=new)], {"x": x},
             {"l": np.array(2)}, dims={"x": [3, "n"]},
             want={"y": (np.stack if new else np.concatenate)([x[:, :2], x[:, 2:]], axis)})
    case("sequence-sizes", [node("SplitToSequence", "x l", "s", axis=1), node("SequenceAt", "s i")],
         {"x": x, "l": ints(1, 3)}, {"i": np.array(1)}, want={"y": x[:, 1:]})
    split = node("SplitToSequence", "x", "s", axis=0)
    at = {"x": x, "i": np.array(1)}
    case("sequence-insert-somewhere", [split, node("Slice", "x zero one", "e"), node("SequenceInsert", "s e i", "t"),
                                       node("ConcatFromSequence", "t", axis=0)], at, {"zero": ints(0), "one": ints(1)},
         dims={"x": ["n", 4]}, want={"y": x[[0, 0, 1, 2]]})
    case("sequence-erase-somewhere", [split, node("SequenceErase", "s i", "t"), node("ConcatFromSequence", "t", axis=0)], at,
         dims={"x": ["n", 4]}, want={"y": x[[0, 2]]})
    case("sequence-erase-last", [split, node("SequenceErase", "s", "t"), node("ConcatFromSequence", "t", axis=0)], {"x": x},
         dims={"x": ["n", 4]}, want={"y": x[:2]})


def unlike():
    """Elements of unlike shapes at positions that only the run knows."""
    x = {"a": ramp(2, 3), "b": ramp(3, 1), "c": ramp(0, 3), "d": ramp(2, 3, by=0.5)}
    dims = {"a": ["m", 3], "b": ["n", "k"], "d": ["m", "k2"]}
    make, three = node("SequenceConstruct", "a b c", "s"), [x["a"], x["b"], x["c"]]
    lengths = [node("SequenceLength", "t", "l"), *(node("SequenceAt", f"t p{k}", f"y{k}") for k in range(4))]
    places = {f"p{k}": np.array(k) for k in range(4)}
    for i in range(-3, 4):
        at = {**x, "i": np.array(i)}
        if i < 3:
            case(f"sequence-unlike-at-{i}", [make, node("SequenceAt", "s i")], at, dims=dims, want={"y": three[i]})
            after = [v for k, v in enumerate(three) if k != i % 3]
            case(f"sequence-unlike-erase-{i}", [make, node("SequenceErase", "s i", "t"), *lengths[:3]], at, places, dims=dims, outputs="l y0 y1",
                 want={"l": np.array(2), "y0": after[0], "y1": after[1]})
        after = list(three)
        after.insert(i % 3 if i < 0 else i, x["d"])
        case(f"sequence-unlike-insert-{i}", [make, node("SequenceInsert", "s d i", "t"), *lengths], at, places, dims=dims,
             outputs="l y0 y1 y2 y3", want={"l": np.array(4), **{f"y{k}": v for k, v in enumerate(after)}})
    case("sequence-unlike-outside", [make, node("SequenceAt", "s i")], {**x, "i": np.array(3)}, words="i.0 is 3 and must be at most 2")
    case("sequence-unlike-before", [make, node("SequenceAt", "s i")], {**x, "i": np.array(-4)}, words="i.0 is -4 and must be at least -3")
    case("sequence-unlike-ranks", [node("Squeeze", "a z", "e"), node("SequenceConstruct", "a e", "s"), node("SequenceAt", "s i")],
         {"a": ramp(1, 3), "i": np.array(1)}, {"z": ints(0)}, words="of unlike ranks")
    chain = [make, node("SequenceErase", "s i", "t"), node("SequenceInsert", "t d i", "u"), node("SequenceAt", "u i")]
    case("sequence-unlike-chain", chain, {**x, "i": np.array(-2)}, dims=dims, want={"y": x["a"]})


def pieces():
    """Of a symbol, the last one shorter than the others."""
    for rows in (3, 4, 5):
        x, each = ramp(rows, 2), 2
        cut = [x[k : k + each] for k in range(0, rows, each)]
        split, dims = node("SplitToSequence", "x l", "s"), {"x": ["n", 2]}
        for i in range(-len(cut), len(cut)):
            at = {"x": x, "i": np.array(i)}
            case(f"pieces-{rows}-at-{i}", [split, node("SequenceAt", "s i"), node("SequenceLength", "s", "n")], at, {"l": np.array(each)},
                 dims=dims, outputs="y n", want={"y": cut[i], "n": np.array(len(cut))})
            left = [v for k, v in enumerate(cut) if k != i % len(cut)]
            case(f"pieces-{rows}-erase-{i}", [split, node("SequenceErase", "s i", "t"), node("ConcatFromSequence", "t", axis=0),
                                              node("SequenceLength", "t", "n")], {**at, "l": np.array(each)}, dims=dims, outputs="y n",
                 want={"y": np.concatenate(left), "n": np.array(len(left))})
        turn = [node("SequenceAt", "s turn", "e"), node("ReduceSum", "e", "r", keepdims=0), node("Identity", "on", "on2")]
        g = graph(turn, [value("turn", TensorProto.INT64, []), value("on", TensorProto.BOOL, [])], "on2 r")
        case(f"pieces-{rows}-loop", [split, node("SequenceLength", "s", "n"), node("Loop", "n on", body=g)], {"x": x},
             {"l": np.array(each), "on": TRUE}, dims=dims, want={"y": np.array([v.sum() for v in cut])})
        last = graph([node("SequenceErase", "s", "t")], [], "t")
        other = graph([node("Identity", "s", "e")], [], "e")
        for c in (True, False):
            case(f"pieces-{rows}-if-{c}", [split, node("If", "c", "u", then_branch=last, else_branch=other),
                                           node("ConcatFromSequence", "u", axis=0)], {"x": x, "c": np.array(c)}, {"l": np.array(each)}, dims=dims,
                 **({"want": {"y": np.concatenate(cut[:-1] if c else cut)}} if c or rows == 4 else {"words": "pieces of one shape"}))
    case("pieces-side-by-side", [split, node("ConcatFromSequence", "s", axis=1)], {"x": ramp(5, 2)}, {"l": np.array(2)}, dims=dims,
         words="pieces of one shape")


# --- Loops -------------------------------------------------------------------------------------------------------


def loop(name, body, carried, after, inputs, want, first=(), outputs="y", **more):
    """A Loop whose turns carry sequence s and tensor v."""
    ins = [value("turn", TensorProto.INT64, []), value("on", TensorProto.BOOL, []), sequence("s"), value("v")]
    g = graph([node("Identity", "on", "on2"), *body], ins, f"on2 {carried} v2")
    made = list(first) or [node("SequenceEmpty", "", "s0")]
    case(name, [*made, node("Loop", "n go s0 v0", "s1 v1", body=g), *after], {"v0": ramp(2, 2), **inputs}, {"go": TRUE},
         want=want, outputs=outputs)


def loops():
    v, turns = ramp(2, 2), {"n": np.array(3)}
    step, put = node("Add", "v v", "v2"), node("SequenceInsert", "s v2", "s2")
    powers = [v * 2 ** (k + 1) for k in range(3)]
    stack = [node("ConcatFromSequence", "s1", axis=0, new_axis=1)]
    loop("collect-appends", [step, put], "s2", stack, turns, {"y": np.stack(powers)})
    loop("collect-appends-joined", [step, put], "s2", [node("ConcatFromSequence", "s1", axis=1)], turns,
         {"y": np.concatenate(powers, 1)})
    loop("collect-appends-two", [step, put, node("SequenceInsert", "s2 v", "s3")], "s3", stack, turns,
         {"y": np.stack([p for k in range(3) for p in (v * 2 ** (k + 1), v * 2 ** k)])})
    begun = [node("SequenceConstruct", "v0 v0", "s0")]
    loop("collect-appends-to-two", [step, put], "s2", stack, turns, {"y": np.stack([v, v, *powers])}, first=begun)
    loop("collect-output", [step, put], "s2", [node("SequenceLength", "s1", "l")], turns,
         {"s1": np.stack(powers), "l": np.array(3)}, outputs="s1 l")
    loop("collect-never", [step, put], "s2", [node("SequenceLength", "s1", "l")], {"n": np.array(0)},
         {"s1": np.zeros((0, 2, 2), F32), "l": np.array(0)}, outputs="s1 l")
    last = [put, node("SequenceAt", "s2 turn", "w"), node("Add", "w v", "v2")]
    read = [node("Identity", "v", "x"), node("SequenceInsert", "s x", "s2"), *last[1:]]
    loop("collect-reads", read, "s2", stack, turns, {"y": np.stack([v, 2 * v, 4 * v])})
    front = [step, node("Sub", "turn turn", "zero"), node("SequenceInsert", "s v2 zero", "s2")]
    loop("collect-prepends", front, "s2", stack, turns, {"y": np.stack(powers[::-1])})
    known = {"n": np.array(3)}
    uneven = [node("Add", "turn one", "end"), node("Unsqueeze", "end zero", "e"), node("Slice", "v zero e", "w"),
              node("Identity", "v", "v2"), node("SequenceInsert", "s w", "s2")]
    ins = [value("turn", TensorProto.INT64, []), value("on", TensorProto.BOOL, []), sequence("s"), value("v")]
    g = graph([node("Identity", "on", "on2"), *uneven], ins, "on2 s2 v2")
    v0 = ramp(3, 2)
    case("collect-uneven", [node("SequenceEmpty", "", "s0"), node("Loop", "n go s0 v0", "s1 v1", body=g),
                         node("ConcatFromSequence", "s1", axis=0)], {"v0": v0},
         {"go": TRUE, "one": np.array(1), "zero": ints(0), **known}, want={"y": np.concatenate([v0[:1], v0[:2], v0])})
    for every in (1, 2):
        some = [step, node("Mod", "turn every", "r"), node("Equal", "r none", "c"),
                node("If", "c", "s2", then_branch=graph([node("SequenceInsert", "s v2", "t")], [], "t"),
                     else_branch=graph([node("Identity", "s", "e")], [], "e"))]
        g = graph([node("Identity", "on", "on2"), *some], ins, "on2 s2 v2")
        case(f"collect-appends-some-{every}", [node("SequenceEmpty", "", "s0"), node("Loop", "n go s0 v0", "s1 v1", body=g), *stack],
             {"v0": v, "n": np.array(3)}, {"go": TRUE, "every": np.array(every), "none": np.array(0)},
             want={"y": np.stack([p for k, p in enumerate(powers) if k % every == 0])})
    both = [step, node("Equal", "turn two", "c"),
            node("If", "c", "s2", then_branch=graph([node("SequenceInsert", "s v2", "t")], [], "t"),
                 else_branch=graph([node("Neg", "v2", "w"), node("SequenceInsert", "s w", "e")], [], "e"))]
    g = graph([node("Identity", "on", "on2"), *both], ins, "on2 s2 v2")
    case("collect-appends-either", [node("SequenceEmpty", "", "s0"), node("Loop", "n go s0 v0", "s1 v1", body=g), *stack],
         {"v0": v, **turns}, {"go": TRUE, "two": np.array(2)}, want={"y": np.stack([-powers[0], -powers[1], powers[2]])})
    inner = graph([node("Identity", "go_on", "on3"), node("SequenceInsert", "t v2", "t2")],
                  [value("inner_turn", TensorProto.INT64, []), value("go_on", TensorProto.BOOL, []), sequence("t")], "on3 t2")
    nest = [step, node("Loop", "n go s", "s2", body=inner)]
    loop("collect-in-loop-appends", nest, "s2", stack, {"n": np.array(2)}, {"y": np.stack([2 * v, 2 * v, 4 * v, 4 * v])})


def branches():
    x = {"a": ramp(2, 3), "b": ramp(2, 3, by=0.5), "d": ramp(1, 3)}
    two = graph([node("SequenceConstruct", "a b", "t")], [], "t")
    for name, other, want in (
            ("like", graph([node("SequenceConstruct", "b a", "e")], [], "e"), {True: "ab", False: "ba"}),
            ("unlike", graph([node("SequenceConstruct", "b", "e")], [], "e"), {True: "ab", False: "b"}),
            ("none", graph([node("SequenceEmpty", "", "e")], [], "e"), {True: "ab"}),
            ("around", graph([node("SequenceInsert", "s a", "e")], [], "e"), {True: "ab", False: "bda"})):
        for c, parts in want.items():
            case(f"if-sequence-{name}-{c}", [node("SequenceConstruct", "b d", "s"), node("If", "c", "y", then_branch=two, else_branch=other),
                                              node("ConcatFromSequence", "y", "z", axis=0)], {**x, "c": np.array(c)},
                 **({"words": "of unlike shapes"} if name == "around" else {"want": {"z": np.concatenate([x[p] for p in parts])}}),
                 outputs="z")
    case("if-optional", node("If", "c", "y", then_branch=graph([node("Optional", "a", "t")], [], "t"),
                             else_branch=graph([node("Optional", "", "e")], [], "e")), {**x, "c": TRUE}, opset=18,
         words="a condition that is not known decides what a result is")


def maps():
    x = ramp(3, 4)
    body = graph([node("Add", "e k", "o"), node("ReduceSum", "o", "p")], [value("e"), value("k")], "o p")
    for name, dims in (("known", {}), ("symbol", {"x": ["n", 4]})):
        case(f"sequence-map-{name}", [node("SplitToSequence", "x", "s", axis=0, keepdims=0), node("SequenceMap", "s k", "t u", body=body),
                                      node("ConcatFromSequence", "t", "y", axis=0, new_axis=1),
                                      node("ConcatFromSequence", "u", "z", axis=0)], {"x": x, "k": F32([1, 2, 3, 4])}, dims=dims,
             outputs="y z", want={"y": x + F32([1, 2, 3, 4]), "z": (x + F32([1, 2, 3, 4])).sum(1)})


# --- The official tests whose data are no tensors ------------------------------------------------------------------


def stacked(v):
    """What a compiled program takes for it: a sequence with its elements along a new axis; None where that cannot be."""
    if not isinstance(v, list):
        return v
    return np.stack(v) if v and all(e.shape == v[0].shape and e.dtype == v[0].dtype for e in v) else None


def read(path, info):
    kind = info.type.WhichOneof("value")
    kinds = {"tensor_type": (onnx.TensorProto, numpy_helper.to_array), "sequence_type": (onnx.SequenceProto, numpy_helper.to_list),
             "optional_type": (onnx.OptionalProto, numpy_helper.to_optional)}
    proto, convert = kinds[kind]
    with open(path, "rb") as f:
        return convert(proto.FromString(f.read()))


def official():
    """Integers and bools are constants here, as they must be for the structure to be known."""
    root = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data", "node")
    for name in sorted(os.listdir(root)):
        if not any(k in name for k in ("sequence", "optional", "_seq", "_opt")):
            continue
        with open(os.path.join(root, name, "model.onnx"), "rb") as f:
            model = onnx.ModelProto.FromString(f.read())
        data = os.path.join(root, name, "test_data_set_0")
        got = [{i.name: read(os.path.join(data, f"{kind}_{k}.pb"), i) for k, i in enumerate(infos)}
               for kind, infos in (("input", model.graph.input), ("output", model.graph.output))]
        if not any(v is None or isinstance(v, list) for g in got for v in g.values()):
            continue
        fixed = [k for k, v in got[0].items() if isinstance(v, np.ndarray) and v.dtype.kind in "ib"]
        model.graph.initializer.extend(numpy_helper.from_array(got[0][k], k) for k in fixed)
        for i in [i for i in model.graph.input if i.name in fixed]:
            model.graph.input.remove(i)
        inputs = {k: stacked(v) for k, v in got[0].items() if k not in fixed}
        untyped = any(i.type.WhichOneof("value") == "sequence_type" and not i.type.sequence_type.elem_type.tensor_type.HasField("shape")
                      for i in model.graph.input)
        if untyped or any(v is None for v in inputs.values()):
            continue
        whole = any(isinstance(v, list) for v in got[0].values())
        want = {}
        for k, v in got[1].items():
            if not isinstance(v, list):
                want[k] = v
            elif whole:
                want[k] = stacked(v)
            else:
                want.update({f"{k}_{i}": e for i, e in enumerate(v)})
        if all(v is not None for v in want.values()):
            write(f"official-{name}", model, inputs, want, None)


def all_of_them():
    known()
    unknown_length()
    unlike()
    pieces()
    loops()
    branches()
    maps()
    official()
