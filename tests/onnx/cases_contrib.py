# SPDX-License-Identifier: Apache-2.0
"""Operators of com.microsoft as generators and optimisers write them, beside ONNX Runtime; attention of new kinds."""

import numpy as np
from onnx import helper, numpy_helper

from case_kit import F32, beside, case

RNG = np.random.default_rng(11)


def contrib(name, op, operands, outputs, inputs, consts=None, dims=None, words=None, opset=17, ir=8, **attributes):
    made = helper.make_node(op, operands, outputs.split(), domain="com.microsoft", **attributes)
    case(f"contrib-{name}", made, inputs, consts, None if words else beside, dims, outputs=outputs, words=words, opset=opset, ir=ir,
         domains=[helper.make_opsetid("com.microsoft", 1)])


def draw(*shape):
    return RNG.standard_normal(shape).astype(F32)


def grouped(name, batch, queries, past, packed=False, angles=0, positions=False, bias=False, sink=False, off=0, words=None, **attributes):
    heads, kv, e = 4, 2, 32
    t = {"q": draw(batch, queries, (heads + 2 * kv if packed else heads) * e)}
    if not packed:
        t.update(k=draw(batch, queries, kv * e), v=draw(batch, queries, kv * e))
    t.update(pk=draw(batch, kv, past, e), pv=draw(batch, kv, past, e), n=np.full(batch, past + queries - 1 + off, np.int32),
             total=np.array(past + queries, np.int32))
    consts = {}
    if angles:
        a = RNG.uniform(0, 6, (16, angles)).astype(F32)
        consts.update(c=np.cos(a), s=np.sin(a))
    if positions:
        t["at"] = np.tile(np.arange(past, past + queries), (batch, 1))
    if bias:
        t["bias"] = draw(batch, 1, queries, past + queries)
    if sink:
        consts["sink"] = draw(heads)
    operands = [k if k in t or k in consts else "" for k in ("q", "k", "v", "pk", "pv", "n", "total", "c", "s", "at", "bias", "sink")]
    while not operands[-1]:
        operands.pop()
    dims = {"q": ["b", "l", t["q"].shape[2]], "k": ["b", "l", kv * e], "v": ["b", "l", kv * e], "pk": ["b", kv, "p", e],
            "pv": ["b", kv, "p", e], "n": ["b"], "at": ["b", "l"], "bias": ["b", 1, "l", "t"]}
    contrib(f"grouped-{name}-{queries}-{past}", "GroupQueryAttention", operands, "y nk nv", t, consts,
            {k: v for k, v in dims.items() if k in t}, words, num_heads=heads, kv_num_heads=kv, **attributes)


def attentions():
    for queries, past in ((5, 0), (1, 5)):
        grouped("plain", 2 if past else 1, queries, past)
        grouped("turned", 1, queries, past, angles=16, do_rotary=1)
        grouped("packed", 1, queries, past, packed=True, angles=16, do_rotary=1, rotary_interleaved=1)
        grouped("window", 1, queries, past, local_window_size=3)
        grouped("rest", 1, queries, past, angles=8, do_rotary=1, positions=True, bias=True, sink=True, softcap=5.0, scale=0.3)
        grouped("capped", 1, queries, past, angles=8, do_rotary=1, positions=True, bias=True, softcap=5.0, scale=0.3,
                local_window_size=4)
        grouped("smooth", 1, queries, past, smooth_softmax=1)
    grouped("shorter", 1, 1, 5, off=-1, words="seqlens_k + 1 and all keys")
    t = {k: draw(1, 3, 64) for k in "qkv"}
    t.update(n=np.array([2], np.int32), bias=draw(7, 5, 3, 3))
    contrib("grouped-bias-unlike", "GroupQueryAttention", [*"qkv", "", "", "n", "total", "", "", "", "bias"], "y", t,
            {"total": np.array(3, np.int32)}, {}, "the mask must broadcast", num_heads=2, kv_num_heads=2)


def bits(name, bits, k, n, block, zeros=None, bias=False, words=None, data=None, scales=F32, **attributes):
    blocks = -(-k // block)
    b = RNG.integers(0, 256, (n, blocks, block * bits // 8)).astype(np.uint8) if data is None else data
    consts = {"b": b, "s": RNG.uniform(0.1, 1, n * blocks).astype(scales).astype(F32)}
    operands = ["x", "b", "s"] + (["z"] if zeros else [""] * bias) + (["", "c"] if bias else [])
    if zeros == "bytes":
        consts["z"] = RNG.integers(0, 256, n * -(-blocks * bits // 8)).astype(np.uint8)
    elif zeros:
        consts["z"] = RNG.uniform(0, 8, (n, blocks)).astype(F32)
    if bias:
        consts["c"] = draw(n)
    x = RNG.integers(-127, 128, (3, k)) / 16  # which integers of 8 bits hold: accuracy_level may have them made of it
    x[:, ::8] = 127 / 16
    contrib(f"bits-{name}", "MatMulNBits", operands, "y", {"x": x.astype(F32)}, consts, {"x": ["m", k]}, words, K=k, N=n, bits=bits,
            block_size=block, **attributes)


def packed():
    bits("four", 4, 64, 24, 32)
    bits("four-zeros", 4, 80, 24, 32, "bytes", bias=True)
    bits("four-numbers", 4, 96, 16, 16, "numbers")
    bits("four-wide", 4, 256, 40, 128)
    bits("four-inexact", 4, 256, 40, 128, accuracy_level=2)
    bits("four-bytes", 4, 256, 40, 128, accuracy_level=4)
    bits("four-bytes-zeros", 4, 256, 40, 32, "bytes", accuracy_level=4)
    bits("four-short", 4, 80, 24, 32, scales=np.float16)
    bits("four-blocks", 4, 96, 24, 32, "bytes")
    bits("eight", 8, 64, 24, 32, "bytes")
    bits("two", 2, 64, 24, 32)
    bits("short", 4, 64, 24, 32, data=np.zeros((24, 2, 15), np.uint8), words="operand 1 has 720 bytes")
    bits("three", 3, 64, 24, 32, words="3 bits in blocks of 32")
    # an int4 weight of more elements than are computed as a matter of course
    w = helper.make_tensor("w", 22, [256, 300], RNG.integers(-8, 8, 256 * 300).tolist())
    q, x, s = numpy_helper.to_array(w).astype(int), draw(2, 256), RNG.uniform(0.1, 1, (8, 300)).astype(F32)
    case("contrib-int4", [helper.make_node("DequantizeLinear", ["w", "s"], ["d"], axis=0, block_size=32),
                          helper.make_node("MatMul", ["x", "d"], ["y"])], {"x": x}, {"w": w, "s": s}, opset=21, ir=10,
         want={"y": (x.astype(float) @ (q * s.repeat(32, 0))).astype(F32)})


def rows():
    """Rows of a table in blocks: of bytes that hold two codes, of bytes, of 4-bit integers."""
    indices = {"i": RNG.integers(-20, 20, (2, 3))}
    for name, kind, bits, zeros in (("bytes", np.uint8, 4, False), ("bytes-zeros", np.uint8, 4, True), ("eight", np.uint8, 8, False),
                                    ("eight-zeros", np.uint8, 8, True), ("u4", 21, 4, False), ("i4-zeros", 22, 4, True)):
        consts = {"s": RNG.uniform(0.1, 1, (20, 4)).astype(F32)}
        for key, width in (("d", 64), ("z", 4)):
            if kind is np.uint8:
                consts[key] = RNG.integers(0, 256, (20, width * bits // 8)).astype(np.uint8)
            else:
                consts[key] = helper.make_tensor(key, kind, [20, width], RNG.integers(0, 8, 20 * width).tolist())
        consts = {k: v for k, v in consts.items() if zeros or k != "z"}
        contrib(f"rows-{name}", "GatherBlockQuantized", ["d", "i", "s"] + ["z"] * zeros, "y", indices, consts, {"i": ["n", "m"]}, opset=21, ir=10,
                block_size=16, gather_axis=0, quantize_axis=1, **({"bits": bits} if kind is np.uint8 else {}))


def heads():
    """Keys that an encoder gave, of four axes, whose bias is in them; lengths that say where keys begin as well."""
    t = {"q": draw(2, 5, 32), "k": draw(2, 4, 7, 8), "v": draw(2, 4, 7, 8)}
    dims = {"q": ["b", "l", 32], "k": ["b", 4, "s", 8], "v": ["b", 4, "s", 8]}
    contrib("heads-cross", "MultiHeadAttention", [*"qkv", "bias"], "y", t, {"bias": draw(96)}, dims, num_heads=4)
    consts = {"w": draw(16, 48), "bias": draw(48)}
    contrib("heads-begin", "Attention", ["x", "w", "bias", "m"], "y", {"x": draw(2, 6, 16), "m": np.array([4, 6, 1, 3], np.int32)}, consts,
            num_heads=2)


def not_imported():
    """A model that does not say that it imports com.microsoft, as the optimiser makes them in memory."""
    case("contrib-not-imported", helper.make_node("BiasGelu", ["x", "b"], ["y"], domain="com.microsoft"), {"x": draw(2, 8), "b": draw(8)},
         want=beside)


def embeddings():
    tables = {"w": draw(20, 8), "p": draw(9, 8), "t": draw(2, 8), "g": draw(8), "b": draw(8)}
    ids = lambda top: RNG.integers(0, top, (2, 5)).astype(np.int32)  # noqa: E731
    size = ["n", "l"]
    contrib("embed", "EmbedLayerNormalization", ["i", "j", "w", "p", "t", "g", "b", "m"], "y m1", {"i": ids(20), "j": ids(2), "m": ids(2)},
            tables, {"i": size, "j": size, "m": size}, mask_index_type=1)
    contrib("embed-placed", "EmbedLayerNormalization", ["i", "", "w", "p", "", "g", "b", "", "at"], "y m1 s",
            {"i": ids(20), "at": ids(9)}, {k: v for k, v in tables.items() if k != "t"}, {"i": size, "at": size}, epsilon=1e-3)
    for a, b in ((1, 0), (0, 1)):
        x, y = ((4, 3, 5), (3, 5, 6)) if a else ((3, 4, 5), (5, 3, 6))
        contrib(f"batch-{a}{b}", "FusedMatMul", ["x", "y"], "z", {"x": draw(*x), "y": draw(*y)}, transBatchA=a, transBatchB=b)
    contrib("trilu", "Trilu", ["x"], "y", {"x": draw(2, 4, 5)}, dims={"x": [2, "n", "m"]}, upper=0)


def newer():
    """Any number of tokens; what the official tests have is known extents."""
    t = {"q": draw(2, 5, 16), "k": draw(2, 5, 8), "v": draw(2, 5, 12), "p": draw(2, 2, 4, 6), "d": -np.abs(draw(2, 5, 2)), "r": draw(2, 5, 2)}
    dims = {k: ["n", "l", v.shape[2]] for k, v in t.items() if k != "p"}
    for rule in ("linear", "gated", "delta", "gated_delta"):
        names = [*"qkvp", "d" if "gated" in rule else "", "r" if "delta" in rule else ""]
        case(f"linear-{rule}", helper.make_node("LinearAttention", names, ["y", "np"], q_num_heads=4, kv_num_heads=2, update_rule=rule),
             {k: v for k, v in t.items() if k in names}, dims={**dims, "p": ["n", 2, 4, 6]}, outputs="y np", opset=27, ir=13)
    g = helper.make_graph([helper.make_node("Tanh", ["x"], ["t"]), helper.make_node("Mul", ["t", "five"], ["z"])], "mod",
                          [helper.make_tensor_value_info("x", 1, None)], [helper.make_tensor_value_info("z", 1, None)])
    q, k, v = draw(2, 4, 3, 8), draw(2, 2, 5, 8), draw(2, 2, 5, 6)
    s = 5 * np.tanh(q @ k.repeat(2, 1).swapaxes(2, 3) / np.sqrt(8))
    w = np.exp(s) / np.exp(s).sum(3, keepdims=True)
    size = {"q": ["n", 4, "l", 8], "k": ["n", 2, "s", 8], "v": ["n", 2, "s", 6]}
    case("flex", helper.make_node("FlexAttention", list("qkv"), ["y"], domain="ai.onnx.preview", score_mod=g), {"q": q, "k": k, "v": v},
         {"five": F32(5)}, dims=size, domains=[helper.make_opsetid("ai.onnx.preview", 1)], want={"y": (w @ v.repeat(2, 1)).astype(F32)})
    g = helper.make_graph([helper.make_node("ReduceSum", ["x"], ["z"], keepdims=0)], "mod", [helper.make_tensor_value_info("x", 1, None)],
                          [helper.make_tensor_value_info("z", 1, None)])
    case("flex-rank", helper.make_node("FlexAttention", list("qkv"), ["y"], domain="ai.onnx.preview", prob_mod=g), {"q": q, "k": k, "v": v},
         domains=[helper.make_opsetid("ai.onnx.preview", 1)], words="weights of rank 0")


def all_of_them():
    newer()
    attentions()
    packed()
    rows()
    embeddings()
    not_imported()
    heads()
