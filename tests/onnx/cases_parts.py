# SPDX-License-Identifier: Apache-2.0
"""Cases of cases.py: ranges, parts and pads whose sizes are data."""

import numpy as np
from onnx import helper

from case_kit import F32, beside, case, ints, node, ramp


def ranges():
    for t in ("i2", "i8"):
        for i, (start, limit, delta) in enumerate(((2, 9, 3), (5, 1, -2), (5, 9, -1), (0, 7, 7), (9, 0, -1), (4, 4, 1))):
            three = {k: np.array(v, t) for k, v in zip("abc", (start, limit, delta))}
            case(f"range-{t}-{i}", node("Range", "a b c"), three)
        still = {k: np.array(v, t) for k, v in zip("abc", (1, 5, 0))}
        case(f"range-{t}-still", node("Range", "a b c"), still, words="must")
        case(f"range-{t}-never", node("Range", "a b c"), {"x": ramp(2)}, still, words="must")
    for t in ("f4", "f8"):
        for i, (start, limit, delta) in enumerate(((0, 0.3, 0.1), (0, 0.7, 0.1), (0.5, 3, 0.3), (1, 0, -0.1), (1, 2, -1), (2, 2, -0.5))):
            three = {k: np.array(v, t) for k, v in zip("abc", (start, limit, delta))}
            count = max(int(np.ceil(float(three["b"] - three["a"]) / float(three["c"]))), 0)
            want = {"y": three["a"] + np.arange(count).astype(t) * three["c"]}
            case(f"range-{t}-{i}", node("Range", "a b c"), three, want=want)
            case(f"range-{t}-{i}-known", [node("Range", "a b c", "r"), node("Add", "x r")], {"x": np.zeros(1, t)}, three, want=want)
        for i, (start, limit, delta) in enumerate(((0, 1, 0), (1, 1, 0), (0, 1, 1e-30), (np.nan, 1, 1))):
            three = {k: np.array(v, t) for k, v in zip("abc", (start, limit, delta))}
            bad = {"words": "must"} if start == start else {"want": {"y": np.zeros(0, t)}}
            case(f"range-{t}-far-{i}", node("Range", "a b c"), three, **bad)
    grown = [node("Shape", "x", "s"), node("ReduceMax", "s", "n", keepdims=0), node("Cast", "n", "f", to=1), node("Range", "z f h")]
    case("range-shape", grown, {"x": ramp(3)}, {"z": F32(0), "h": F32(0.5)}, dims={"x": ["n"]},
         want={"y": np.arange(6).astype(F32) / 2})


def splits():
    """A part that nobody reads is one nevertheless."""
    x = ramp(6)
    for names, at in (("y z w", 0), ("z y w", 2), ("z w y", 4)):
        want = {"y": x[at : at + 2]}
        key = names.replace(" ", "")
        case(f"split-{key}", node("Split", "x", names), {"x": x}, opset=13, want=want, dims={"x": ["n"]})
        case(f"split-{key}-sizes", node("Split", "x s", names), {"x": x, "s": ints(2, 2, 2)}, opset=13, want=want)
        case(f"split-{key}-first", node("Split", "x", names, split=[2, 2, 2]), {"x": x}, opset=2, want=want)
        case(f"split-{key}-18", node("Split", "x", names, num_outputs=3), {"x": x[:5]}, opset=18, dims={"x": ["n"]},
             want={"y": x[:5][at : at + 2]})
    for name, sizes, words in (("short", (2, 2), "must"), ("below", (7, -1), "must")):
        case(f"split-{name}", node("Split", "x s", "y z"), {"x": x, "s": ints(*sizes)}, dims={"x": ["n"]}, words=words)
    case("split-odd", node("Split", "x", "y z"), {"x": x[:5]}, opset=13, dims={"x": ["n"]}, words="must be a multiple of")
    case("split-odd-known", node("Split", "x", "y z"), {"x": x[:5]}, opset=13, words="must divide")


def pads():
    x, dims = ramp(3, 4), {"x": ["n", "m"]}
    for mode in ("constant", "edge", "reflect", "wrap"):
        for i, p in enumerate(((1, 0, 0, 2), (-1, 0, 0, -2), (-1, 1, 1, -2), (1, -2, -1, 1))):
            kept = x[max(-p[0], 0) : 3 + min(p[2], 0), max(-p[1], 0) : 4 + min(p[3], 0)]
            want = {"y": np.pad(kept, [(max(p[k], 0), max(p[k + 2], 0)) for k in (0, 1)], mode)}
            case(f"pad-{mode}-{i}", node("Pad", "x p", mode=mode), {"x": x, "p": ints(*p)}, opset=19, dims=dims, want=want)
            case(f"pad-{mode}-{i}-known", node("Pad", "x p", mode=mode), {"x": x}, {"p": ints(*p)}, opset=19, dims=dims, want=want)
    case("pad-nothing-left", node("Pad", "x p"), {"x": x, "p": ints(-2, 0, -2, 0)}, dims=dims, words="must")
    case("pad-nothing-left-known", node("Pad", "x p"), {"x": x}, {"p": ints(-2, -1, -2, 2)}, words="must be at most")
    for size in ((3, 4), (5, 5), (2, 2), (6, 1), (1, 7)):
        s = ints(*size)
        for name, form in (("data", {"inputs": {"x": x, "s": s}}), ("known", {"inputs": {"x": x}, "consts": {"s": s}})):
            case("crop-{}x{}-{}".format(*size, name), node("CenterCropPad", "x s"), opset=18, dims=dims, **form)


def outside():
    """An index outside its axis ends the run, whatever picks or puts by it, and where nothing is picked any axis will do."""
    x, far = {"x": ramp(3, 4)}, "is outside an axis of"
    for name, op, at in (("gather", "Gather", ints(0, 3)), ("gather-below", "Gather", ints(-4)),
                         ("elements", "GatherElements", ints(0, 1, 2, 3).reshape(1, 4)), ("nd", "GatherND", ints(0, 1, 2, 4).reshape(2, 2))):
        case(f"outside-{name}", node(op, "x i"), {**x, "i": at}, dims={"x": ["n", "m"]}, words=far)
        case(f"outside-{name}-known", node(op, "x i"), x, {"i": at}, words=far)
    for name, op, at in (("elements", "GatherElements", ints(0, -1, 1, 2).reshape(1, 4)), ("nd", "GatherND", ints(0, -1, 2, 3).reshape(2, 2))):
        case(f"inside-{name}-known", node(op, "x i"), x, {"i": at}, dims={"x": ["n", "m"]})
    put = {"i": ints(3).reshape(1, 1), "u": ramp(1, 1)}
    case("outside-scatter", node("ScatterElements", "x i u"), {**x, **put}, opset=18, words=far)
    case("outside-sequence", [node("SequenceConstruct", "x x", "s"), node("SequenceAt", "s i")], {**x, "i": np.array(2, np.int64)}, words=far)
    case("outside-loss", node("NegativeLogLikelihoodLoss", "x t"), {**x, "t": ints(0, 4, 1)}, words=far)
    none = {"x": ramp(0, 4), "i": ints().reshape(0, 4)}
    case("outside-nothing", node("GatherElements", "x i"), none, dims={"x": ["n", 4], "i": ["k", 4]}, want={"y": ramp(0, 4)})


def nothing_meets_one():
    """0 beside 1 in a broadcast is 0, where only the run knows either."""
    for k in (1, 2, 3, 4):
        x, dims = {"x": ramp(k, 2)}, {"x": ["n", 2]}
        cut = {"two": ints(2), "three": ints(3), "zero": ints(0)}
        part = node("Slice", "x two three zero", "p")
        if k != 2:
            case(f"nothing-meets-{k}", [part, node("Max", "p x")], x, cut, dims=dims)
            case(f"nothing-meets-{k}-twice", [part, node("Add", "p x", "a"), node("Mul", "x a", "b"), node("Sub", "b p")], x, cut, dims=dims)
            case(f"nothing-meets-{k}-where", [part, node("Less", "x p", "c"), node("Where", "c p x")], x, cut, dims=dims)
            rows = [node("Unsqueeze", "x zero", "u"), node("Transpose", "u", "l", perm=[1, 0, 2]), node("Slice", "l two three zero", "r"),
                    node("Transpose", "l", "t", perm=[0, 2, 1]), node("MatMul", "r t")]
            case(f"nothing-meets-{k}-matmul", rows, x, cut, dims=dims)
    for start, end in ((0, 0), (0, 1), (1, 1)):
        x = {"x": ramp(1, 2), "z": ramp(3, 2), "s": ints(start), "e": ints(end)}
        case(f"nothing-meets-data-{start}-{end}", [node("Slice", "z s e zero", "p"), node("Add", "x p")], x, {"zero": ints(0)},
             dims={"x": ["n", 2], "z": ["m", 2]})


def scales():
    """Scales and regions of a Resize that only the run knows, and what they make of a symbol."""
    x, dims = {"x": ramp(1, 1, 4, 5, by=0.3)}, {"x": [1, 1, "h", "w"]}
    none = {"none": np.zeros(0, F32)}
    for mode in ("nearest", "linear", "cubic"):
        for i, scale in enumerate(([1, 1, 1.37, 2], [1, 1, 0.6, 0.41], [1, 1, 1, 1])):
            s = {"s": np.array(scale, F32)}
            for form in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"):
                if mode != "nearest" and form in ("asymmetric", "pytorch_half_pixel"):
                    continue
                resize = node("Resize", "x none s", mode=mode, coordinate_transformation_mode=form)
                want = None if form == "align_corners" else beside  # which takes another width there
                case(f"resize-{mode}-{form}-{i}-data", resize, {**x, **s}, none, dims=dims, want=want)
                case(f"resize-{mode}-{form}-{i}", resize, x, {**none, **s}, dims=dims, want=want)
    case("resize-old-data", node("Upsample", "x s", mode="linear"), {**x, "s": np.array([1, 1, 1.5, 2], F32)}, opset=9, dims=dims, want=beside)
    crop = node("Resize", "x r none s", mode="linear", coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=-9.0)
    region = {"r": np.array([0, 0, 0.1, -0.2, 1, 1, 0.8, 1.3], F32), "s": ints(1, 1, 3, 4)}
    case("resize-crop-data", crop, {**x, **region}, none, dims=dims, want=beside)
    case("resize-region-unread", node("Resize", "x r s", mode="nearest"), {**x, "r": np.zeros(8, F32)}, {"s": np.array([1, 1, 2, 2], F32)},
         want={"y": x["x"].repeat(2, 2).repeat(2, 3)})
    for policy in ("not_larger", "not_smaller"):
        keep = node("Resize", "x none none s", mode="linear", keep_aspect_ratio_policy=policy, axes=[2, 3])
        case(f"resize-{policy}", keep, {**x, "s": ints(7, 6)}, none, dims=dims, opset=18, want=beside)
    case("resize-scale-0", node("Resize", "x none s"), {**x, "s": np.array([1, 1, 0, 1], F32)}, none, words="an extent times its scale")
    case("resize-antialias", node("Resize", "x none s", mode="linear", antialias=1), {**x, "s": np.ones(4, F32)}, none, opset=18,
         dims=dims, words="--dim h=N")
    shaped = [node("Shape", "x", "n"), node("Cast", "n", "f", to=1), node("Div", "t f", "s"), node("Resize", "x none s", mode="nearest")]
    case("resize-shape", shaped, x, {"t": np.array([1, 1, 8, 8], F32), **none}, dims=dims, want=beside)


def kernels():
    """Convolutions by kernels whose extents only the run knows."""
    for name, x, w, more in (("1d", (2, 3, 9), (4, 3, 3), {}), ("2d", (1, 2, 6, 7), (3, 2, 2, 3), {"strides": [2, 1], "pads": [1, 0, 0, 2]}),
                             ("groups", (2, 4, 5, 6), (6, 2, 3, 2), {"group": 2, "dilations": [1, 2]}),
                             ("same", (1, 1, 5, 6), (2, 1, 3, 2), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
                             ("3d", (1, 2, 3, 4, 5), (2, 2, 2, 1, 3), {"pads": [0, 1, 1, 1, 0, 1]})):
        both = {"x": ramp(*x, by=0.25), "w": ramp(*w, by=0.5), "b": ramp(w[0])}
        dims = {"x": ["n", x[1], *"hwd"[: len(x) - 2]], "w": [*w[:2], *"ijk"[: len(w) - 2]]}
        case(f"kernel-late-{name}", node("Conv", "x w b", **more), both, dims=dims, want=beside)
        del both["b"]
        case(f"kernel-late-{name}-bare", node("Conv", "x w", **more), both, dims=dims, want=beside)
    for name, x, w, more in (("1d", (2, 3, 5), (3, 4, 3), {}), ("2d", (1, 2, 4, 3), (2, 3, 2, 3), {"strides": [2, 3], "pads": [1, 0, 0, 2]}),
                             ("groups", (2, 4, 3, 3), (4, 3, 3, 2), {"group": 2, "dilations": [1, 2], "strides": [3, 1]}),
                             ("more", (1, 1, 3, 4), (1, 2, 2, 2), {"strides": [3, 2], "output_padding": [2, 1], "pads": [0, 1, 0, 1]}),
                             ("shape", (1, 1, 3, 4), (1, 2, 3, 3), {"strides": [2, 2], "output_shape": [6, 9]})):
        both = {"x": ramp(*x, by=0.25), "w": ramp(*w, by=0.5), "b": ramp(w[1] * more.get("group", 1))}
        dims = {"x": ["n", x[1], *"hwd"[: len(x) - 2]], "w": [*w[:2], *"ijk"[: len(w) - 2]]}
        case(f"kernel-late-transposed-{name}", node("ConvTranspose", "x w b", **more), both, dims=dims, want=beside)
    case("kernel-late-large", node("Conv", "x w"), {"x": ramp(1, 1, 3, 3), "w": ramp(1, 1, 4, 2)}, dims={"x": [1, 1, "h", "w"], "w": [1, 1, "i", "j"]},
         words="fits into the padded input")


def unknown():
    """What import must know and a symbol hides: told by an attribute, by ranks, by nothing but --dim."""
    image = {"x": ramp(1, 1, 4, 4), "w": ramp(1, 1, 2, 2)}
    kernel = {"w": [1, 1, "a", "b"]}
    for op in ("Conv", "ConvTranspose"):
        case(f"kernel-{op}", node(op, "x w", kernel_shape=[2, 2]), image, dims=kernel)
        case(f"kernel-{op}-other", node(op, "x w", kernel_shape=[2, 3]), image, dims=kernel, words="must")
    x, dims = ramp(4, 3), {"i": ["c", "k"], "u": ["d", "e"]}
    for name, at, words in (("", ints(0, 2).reshape(2, 1), None), ("-other", ints(0, 2).reshape(1, 2), "must")):
        case(f"scatternd-by-ranks{name}", node("ScatterND", "x i u"), {"x": x, "i": at, "u": ramp(2, 3)}, dims=dims, words=words)
        case(f"gathernd-declared{name}", node("GatherND", "x i"), {"x": x, "i": at}, dims=dims, words=words, declare=(1, ["p", "q"]))
    case("gathernd-unknown", node("GatherND", "x i"), {"x": x, "i": ints(0, 2).reshape(2, 1)}, dims=dims, words="--dim k=N")
    for name, batch, y in (("", 0, ramp(4)), ("-batch", 1, ramp(2, 4))):
        at = {"x": y, "i": ints(0, 2).reshape(2, 1)}
        case(f"gathernd-one-axis{name}", node("GatherND", "x i", batch_dims=batch), at, dims=dims)
    for name, y in (("row", ramp(5)), ("rows", ramp(2, 3, 5))):
        case(f"features-{name}", node("ArrayFeatureExtractor", "x i", domain="ai.onnx.ml"), {"x": y, "i": ints(4, 0, 4)},
             dims={"i": ["k"]}, domains=[helper.make_opsetid("ai.onnx.ml", 3)], want={"y": y[..., [4, 0, 4]].reshape(*(y.shape[:-1] or (1,)), 3)})
    square = {"x": ramp(3, 3)}
    case("einsum-diagonal", node("Einsum", "x", equation="ii->i"), square, dims={"x": ["n", 3]}, want={"y": square["x"].diagonal()})
    case("einsum-diagonal-unknown", node("Einsum", "x", equation="ii->i"), square, dims={"x": ["n", "m"]}, words="--dim m=N")
    rng = np.random.default_rng(3)
    heads = {k: rng.standard_normal((1, 2, 3, 4)).astype(F32) for k in "qkv"}
    case("attention-width", node("Attention", "q k v"), heads, opset=23, dims={k: [1, 2, 3, "d"] for k in "qkv"})


ALL = (ranges, splits, pads, outside, nothing_meets_one, scales, kernels, unknown)
