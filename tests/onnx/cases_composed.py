# SPDX-License-Identifier: Apache-2.0
"""Cases of operators that import writes as several nodes: networks' layers, spectra, what optimisers join."""

import numpy as np
from onnx import helper

import cases_parts
from case_kit import F32, I64, case, node, ramp


def picks():
    """Elements by positions along several axes, negative ones too, of symbolic extents; of equal ones the first."""
    x, two = ramp(3, 4, 5), {"x": ["n", 4, 5]}
    case("gathernd-two", node("GatherND", "x i"), {"x": x, "i": np.array([[0, 1], [-1, -4]])}, dims={"x": ["n", "m", 5]})
    case("gathernd-batch", node("GatherND", "x i", batch_dims=1), {"x": x, "i": np.array([[[1]], [[-1]], [[0]]])}, dims=two,
         want={"y": np.stack([x[0, 1:2], x[1, 3:4], x[2, 0:1]])})
    case("gathernd-deep", node("GatherND", "x i"), {"x": x, "i": np.array([[0, 1, 2, 3]])}, dims={"x": ["n", 4, 5]},
         words="4 positions for 3 axes")
    i = np.array([[[-1, 0]], [[2, 1]]])
    case("gatherelements", node("GatherElements", "x i", axis=-1), {"x": x, "i": i}, dims={"x": ["n", 4, 5], "i": ["k", 1, 2]},
         want={"y": np.take_along_axis(x[:2, :1], i, axis=-1)})
    case("gatherelements-more", node("GatherElements", "x i", axis=2), {"x": x, "i": np.zeros((4, 1, 1), I64)},
         dims={"x": ["n", 4, 5], "i": ["k", 1, 1]}, words="extents of the indices")
    y = np.array([[1, 3, 3, np.nan], [2, 2, 1, 0], [5, 5, 5, 5]], F32)
    for last in (0, 1):
        case(f"argmax-{last}", node("ArgMax", "x", axis=1, select_last_index=last), {"x": y}, dims={"x": ["n", "m"]})
    case("argmin-u8", node("ArgMin", "x", axis=0, keepdims=0), {"x": ramp(4, 3, dtype=np.uint8)}, dims={"x": ["n", 3]})


def transposed():
    """Transposed convolutions by their definition: y[i s + k d] += x[i] w[k], then the pads are cut off."""

    def expected(x, w, b, strides, dilations, before, extents):
        full = [s * (n - 1) + (k - 1) * d + 1 + e for n, k, s, d, e in
                zip(x.shape[2:], w.shape[2:], strides, dilations, extents)]
        groups = len(b) // w.shape[1]
        y = np.zeros([len(x), len(b)] + full, np.float64)
        for k in np.ndindex(w.shape[2:]):
            at = tuple(slice(i * d, i * d + (n - 1) * s + 1, s) for i, d, n, s in zip(k, dilations, x.shape[2:], strides))
            tap, c = w[(slice(None), slice(None)) + k], x.shape[1] // groups
            for g in range(groups):
                part = np.einsum("nc...,cm->nm...", x[:, g * c:(g + 1) * c], tap[g * c:(g + 1) * c])
                y[(slice(None), slice(g * w.shape[1], (g + 1) * w.shape[1])) + at] += part
        y += b.reshape([1, -1] + [1] * len(extents))
        return {"y": y[(slice(None),) * 2 + tuple(slice(p, p + e) for p, e in zip(before, extents))].astype(F32)}

    def try_it(name, x, w, before, extents, group=1, strides=(1, 1), dilations=(1, 1), fed=False, dims=None, **more):
        b = ramp(w.shape[1] * group, by=0.5)
        n = len(extents)
        strides, dilations = strides[:n], dilations[:n]
        rest = {"w": w, "b": b}
        case(f"transposed-{name}", node("ConvTranspose", "x w b", group=group, strides=strides, dilations=dilations, **more),
             {"x": x, **(rest if fed else {})}, {} if fed else rest, dims=dims,
             want=expected(x, w, b, strides, dilations, before, extents))

    x, w = ramp(2, 4, 3, 5, by=0.05), ramp(4, 2, 3, 3, by=0.03)
    image = {"x": ["n", 4, "h", "w"]}
    try_it("plain", x, w, (0, 0), (5, 7), dims=image)
    try_it("twice", x, w, (1, 1), (6, 10), strides=(2, 2), pads=[1, 1, 1, 1], output_padding=[1, 1], dims=image)
    try_it("weights-fed", x, w, (1, 0), (5, 9), strides=(2, 2), pads=[1, 0, 1, 2], fed=True)
    try_it("groups", x, w, (0, 2), (7, 13), group=2, strides=(2, 3), pads=[0, 2, 0, 0], dims=image)
    try_it("common-divisor", x, w, (3, 0), (10, 29), strides=(4, 6), dilations=(6, 2), pads=[3, 0, 8, 0], dims=image)
    try_it("dilated", x, w, (1, 2), (9, 8), strides=(2, 1), dilations=(3, 4), pads=[1, 2, 1, 3])
    try_it("thin", x, w[:, :, :1, :1], (0, 0), (9, 15), strides=(3, 3), auto_pad="SAME_UPPER", dims=image)
    for mode, before in (("SAME_UPPER", (1, 0)), ("SAME_LOWER", (1, 1))):
        try_it(mode.lower(), x, w, before, (3, 10), strides=(1, 2), auto_pad=mode, dims=image)
    try_it("shape", x, w, (1, 1), (6, 10), strides=(2, 2), output_shape=[6, 10])
    try_it("shape-symbols", x, w, (1, 1), (6, 10), strides=(2, 2), output_shape=[6, 10], dims=image)
    try_it("line", x[:, :, 0], w[:, :, 0], (2,), (8,), strides=(2,), pads=[2, 1], dims={"x": ["n", 4, "w"]})
    try_it("space", ramp(1, 4, 2, 2, 2, by=0.05), ramp(4, 2, 2, 3, 1, by=0.1), (0, 1, 0), (4, 4, 2), strides=(2, 2, 1),
           dilations=(1, 1, 1), pads=[0, 1, 0, 0, 0, 0], dims={"x": ["n", 4, "d", "h", "w"]})
    case("transposed-nothing", node("ConvTranspose", "x w", pads=[3, 3, 3, 3]), {"x": x}, {"w": w}, words="there is a result")


def recurrent():
    """RNN, GRU and LSTM by their equations, one sample and one step after the other."""
    rng = np.random.default_rng(11)
    soft = {"Sigmoid": lambda v: 1 / (1 + np.exp(-v)), "Tanh": np.tanh, "Relu": lambda v: np.maximum(v, 0)}
    plain = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}

    def cell(op, f, x, h, c, w, r, wb, rb, p, clip, input_forget, linear_before_reset):
        n = len(h)
        cut = (lambda v: np.clip(v, -clip, clip)) if clip else (lambda v: v)
        part = lambda m, i: m[i * n:(i + 1) * n]  # noqa: E731
        pre = lambda i: part(w, i) @ x + part(wb, i) + part(r, i) @ h + part(rb, i)  # noqa: E731
        if op == "RNN":
            return f[0](cut(pre(0))), c
        if op == "GRU":
            z, t = f[0](cut(pre(0))), f[0](cut(pre(1)))
            inner = t * (part(r, 2) @ h + part(rb, 2)) if linear_before_reset else part(r, 2) @ (t * h) + part(rb, 2)
            return (1 - z) * f[1](cut(part(w, 2) @ x + part(wb, 2) + inner)) + z * h, c
        i = f[0](cut(pre(0) + part(p, 0) * c))
        forget = 1 - i if input_forget else f[0](cut(pre(2) + part(p, 2) * c))
        c = forget * c + i * f[1](cut(pre(3)))
        return f[0](cut(pre(1) + part(p, 1) * c)) * f[2](c), c

    def try_it(name, op, steps=3, batch=2, size=4, hidden=5, direction="forward", lens=None, more="", names=None, symbols=False,
               clip=0, input_forget=0, linear_before_reset=0, layout=0, fed=False):
        d, g = 1 + (direction == "bidirectional"), {"RNN": 1, "GRU": 3, "LSTM": 4}[op]
        draw = lambda *shape: rng.uniform(-1, 1, shape).astype(F32)  # noqa: E731
        t = {"x": draw(steps, batch, size), "w": draw(d, g * hidden, size), "r": draw(d, g * hidden, hidden)}
        for key, shape in (("b", (d, 2 * g * hidden)), ("h", (d, batch, hidden)), ("c", (d, batch, hidden)), ("p", (d, 3 * hidden))):
            if key in more:
                t[key] = draw(*shape)
        zero = {"b": np.zeros((d, 2 * g * hidden)), "h": np.zeros((d, batch, hidden)), "c": np.zeros((d, batch, hidden)),
                "p": np.zeros((d, 3 * hidden))}
        f = [soft[k] for k in (names or plain[op] * d)]
        y, last = np.zeros((steps, d, batch, hidden)), [np.zeros((d, batch, hidden)) for _ in "hc"]
        for k in range(d):
            b = t.get("b", zero["b"])[k]
            for s in range(batch):
                h, c = (t.get(key, zero[key])[k, s] for key in "hc")
                order = range(lens[s] if lens else steps)
                for i in reversed(order) if k == 1 or direction == "reverse" else order:
                    h, c = cell(op, f[k * len(f) // d:], t["x"][i, s].astype(float), h, c, t["w"][k], t["r"][k], b[:g * hidden],
                                b[g * hidden:], t.get("p", zero["p"])[k], clip, input_forget, linear_before_reset)
                    y[i, k, s] = h
                last[0][k, s], last[1][k, s] = h, c
        want = {"y": y, "yh": last[0], "yc": last[1]}
        if lens:
            t["l"] = np.array(lens, np.int32)
        if layout:
            t = {k: v.swapaxes(0, 1) if k in "xhc" else v for k, v in t.items()}
            want = {"y": y.transpose(2, 0, 1, 3), "yh": last[0].swapaxes(0, 1), "yc": last[1].swapaxes(0, 1)}
        attributes = {"hidden_size": hidden, "direction": direction}
        for key, value in (("clip", clip), ("input_forget", input_forget), ("linear_before_reset", linear_before_reset),
                           ("layout", layout), ("activations", names)):
            if value:
                attributes[key] = value
        results = ["y", "yh", "yc"][:3 if op == "LSTM" else 2]
        made = helper.make_node(op, [k if k in t else "" for k in "xwrblhcp"[:8 if op == "LSTM" else 6]], results, **attributes)
        inputs = {k: v for k, v in t.items() if fed or k in "xlhc"}
        case(f"recurrent-{name}", made, inputs, {k: v for k, v in t.items() if k not in inputs}, opset=14, outputs=" ".join(results),
             dims={"x": ["b", "t", size] if layout else ["t", "b", size]} if symbols else None,
             want={k: want[k].astype(F32) for k in results})

    for op in plain:
        own = {"RNN": "bh", "GRU": "bh", "LSTM": "bhcp"}[op]
        try_it(f"{op}-bare", op)
        try_it(f"{op}-one-step", op, steps=1, more=own)
        try_it(f"{op}-full", op, more=own, direction="bidirectional", lens=[3, 2], clip=0.4)
        try_it(f"{op}-reverse", op, more=own, direction="reverse", lens=[1, 3], fed=True)
        try_it(f"{op}-batch-first", op, more=own, direction="bidirectional", layout=1, lens=[3, 3])
        try_it(f"{op}-relu", op, names=["Relu"] * len(plain[op]))
        # a loop: constant steps, or as many as the run says, one among them
        try_it(f"{op}-many", op, steps=7, more=own, direction="bidirectional", lens=[7, 4])
        try_it(f"{op}-any", op, steps=6, more=own, direction="bidirectional", symbols=True)
        try_it(f"{op}-any-reverse", op, steps=5, more=own, direction="reverse", lens=[2, 5], symbols=True, layout=1, fed=True)
        try_it(f"{op}-any-one", op, steps=1, symbols=True)
    try_it("GRU-linear", "GRU", more="bh", linear_before_reset=1, direction="bidirectional")
    try_it("LSTM-coupled", "LSTM", more="bhcp", input_forget=1)
    x, w, r = ramp(2, 1, 3), ramp(1, 4, 3), ramp(1, 4, 1)
    case("recurrent-unknown", node("LSTM", "x w r", activations=["Sigmoid", "Tan", "Tanh"]), {"x": x}, {"w": w, "r": r}, opset=14,
         words='activation "Tan" is not known')
    case("recurrent-differs", node("LSTM", "x w r"), {"x": ramp(2, 1, 2)}, {"w": w, "r": r}, opset=14, words="must")


def fused():
    """What ONNX Runtime's optimiser writes, beside the arithmetic that it stands for."""
    rng = np.random.default_rng(5)
    draw = lambda *shape: rng.uniform(-2, 2, shape).astype(F32)  # noqa: E731
    sigmoid = lambda v: 1 / (1 + np.exp(-v.astype(float)))  # noqa: E731
    gelu_tanh = lambda v: v / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (v + 0.044715 * v.astype(float) ** 3)))  # noqa: E731

    def try_it(name, op, want, operands, domain="com.microsoft", dims=None, **attributes):
        keys = [f"x{i}" for i in range(len(operands))]
        t = dict(zip(keys, operands))
        made = node(op, " ".join(keys), domain=domain, **attributes)
        case(f"fused-{name}", made, {"x0": t["x0"]}, {k: v for k, v in t.items() if k != "x0"}, want={"y": want},
             domains=[helper.make_opsetid("com.microsoft", 1)], dims={"x0": dims} if dims else None)

    a, w = draw(2, 3, 4), draw(2, 5, 4)
    try_it("matmul", "FusedMatMul", (a @ w.swapaxes(1, 2) / 2).astype(F32), [a, w], transB=1, alpha=0.5, dims=[2, "n", 4])
    try_it("matmul-a", "FusedMatMul", a.swapaxes(1, 2) @ a, [a, a], transA=1)
    x, k, b, z = draw(1, 3, 4), draw(2, 3, 1), draw(2), draw(1, 2, 4)
    y = np.einsum("ncx,mc->nmx", x, k[:, :, 0]) + b[:, None]
    try_it("conv", "FusedConv", np.clip(y, -1, 1), [x, k, b], activation="Clip", activation_params=[-1.0, 1.0], dims=[1, 3, "n"])
    try_it("conv-sum", "FusedConv", np.maximum(y + z, 0), [x, k, b, z], activation="Relu")
    m, v, c = draw(3, 4), draw(4, 5), draw(5)
    y = m @ v + c
    try_it("gemm", "FusedGemm", np.where(y < 0, y * F32(0.25), y), [m, v, c], activation="LeakyRelu", activation_alpha=0.25)
    bias = draw(4)
    try_it("gelu-fast", "FastGelu", gelu_tanh(m + bias).astype(F32), [m, bias], dims=["n", 4])
    try_it("gelu-quick", "QuickGelu", (m * sigmoid(1.702 * m)).astype(F32), [m], dims=["n", 4])

    def norm(v, eps, mean):
        d = v.astype(float) - (v.mean(-1, keepdims=True) if mean else 0)
        return d / np.sqrt((d * d).mean(-1, keepdims=True) + eps)

    skip, gain = draw(2, 3, 4), draw(4)
    try_it("skip-layernorm", "SkipLayerNormalization", (norm(a + skip + c[:4], 1e-5, True) * gain + bias).astype(F32),
           [a, skip, gain, bias, c[:4]], epsilon=1e-5, dims=["n", 3, 4])
    try_it("skip-rmsnorm", "SkipSimplifiedLayerNormalization", (norm(a + skip, 1e-6, False) * gain).astype(F32), [a, skip, gain])
    try_it("rmsnorm", "SimplifiedLayerNormalization", (norm(a, 1e-5, False) * gain).astype(F32), [a, gain], domain="")
    sums = node("SkipLayerNormalization", "x s g", "y m v t", domain="com.microsoft")
    case("fused-skip-sum", [sums, node("Neg", "t", "z")], {"x": a}, {"s": skip, "g": gain}, want={"z": -(a + skip)}, outputs="z",
         domains=[helper.make_opsetid("com.microsoft", 1)])

    codes = lambda *shape: rng.integers(0, 256, shape).astype(np.uint8)  # noqa: E731
    code = lambda v, s, zero: np.clip(np.rint(v / F32(s)) + zero, 0, 255).astype(np.uint8)  # noqa: E731
    real = lambda q, s, zero: (q.astype(F32) - zero) * F32(s)  # noqa: E731
    p, q, zero = codes(3, 4), codes(4), np.uint8(100)
    s, out, ten = F32(0.125), F32(0.25), np.uint8(10)
    try_it("qlinear-add", "QLinearAdd", code(real(p, s, 100) + real(q, s, 10), 0.25, 10), [p, s, zero, q, s, ten, out, ten])
    try_it("qlinear-mul", "QLinearMul", code(real(p, s, 100) * real(q, s, 10), 0.25, 10), [p, s, zero, q, s, ten, out, ten])
    try_it("qlinear-sigmoid", "QLinearSigmoid", code(sigmoid(real(p, s, 100)), 2**-8, 0), [p, s, zero, F32(2**-8), np.uint8(0)])
    try_it("qlinear-leaky", "QLinearLeakyRelu", code(np.where(p < 100, 0.5, 1) * real(p, s, 100), 0.25, 10), [p, s, zero, out, ten],
           alpha=0.5)
    r = codes(2, 4)
    try_it("qlinear-concat", "QLinearConcat", code(np.concatenate([real(p, s, 100), real(r, 0.5, 10)]), 0.25, 10),
           [out, ten, p, s, zero, r, F32(0.5), ten], axis=0)
    pool = codes(2, 3, 4, 4)
    try_it("qlinear-pool", "QLinearGlobalAveragePool", code(real(pool, s, 100).mean((2, 3), keepdims=True), 0.25, 10),
           [pool, s, zero, out, ten])
    weights, extra = rng.integers(-128, 128, (5, 4)).astype(np.int8), rng.integers(-99, 99, 5).astype(np.int32)
    product = (p.astype(int) - 100) @ (weights.astype(int) - 3).T
    try_it("qgemm", "QGemm", code((product + extra) * F32(0.0625), 16, 10),
           [p, s, zero, weights, F32(0.5), np.int8(3), extra, F32(16), ten], transB=1)
    try_it("matmul-to-float", "MatMulIntegerToFloat", (product * F32(0.0625) + c).astype(F32),
           [p, np.ascontiguousarray(weights.T), s, F32(0.5), zero, np.int8(3), c])
    ramped = np.array([[0, 51, 204, 255], [-255, 0, 0, 0]], F32)  # scale 2, zero point 128: all but 51 is met exactly
    near = np.array([[0, 52, 204, 254], [-256, 0, 0, 0]], F32)
    try_it("dynamic-matmul", "DynamicQuantizeMatMul", near @ ((weights.T.astype(F32) - 3) / 2) + c,
           [ramped, np.ascontiguousarray(weights.T), F32(0.5), np.int8(3), c])


def pool_indices():
    """Where the maxima lie: by looking at each element of each window."""

    def expected(x, kernel, strides, dilations, pads, extents, by_column):
        y = np.zeros(x.shape[:2] + extents, x.dtype)
        at = np.zeros(y.shape, I64)
        space = x.shape[2:]
        steps = np.cumprod((1,) + (space if by_column else space[::-1]))[:-1]
        steps = steps if by_column else steps[::-1]
        for o in np.ndindex(y.shape):
            best = None
            for k in np.ndindex(*kernel):
                i = [o[2 + a] * strides[a] + k[a] * dilations[a] - pads[a] for a in range(len(space))]
                if all(0 <= p < n for p, n in zip(i, space)) and (best is None or x[o[:2] + tuple(i)] > y[o]):
                    best = y[o] = x[o[:2] + tuple(i)]
                    at[o] = (o[0] * x.shape[1] + o[1]) * int(np.prod(space)) + int(np.dot(i, steps))
        return {"y": y, "i": at}

    rng = np.random.default_rng(3)
    x = rng.integers(-9, 9, (2, 3, 6, 5)).astype(F32)
    symbols = {"x": ["n", 3, "h", "w"]}

    def try_it(name, x, kernel, extents, strides=None, dilations=None, pads=None, order=0, dims=None, **more):
        n = len(kernel)
        strides, dilations, pads = strides or [1] * n, dilations or [1] * n, pads or [0] * 2 * n
        case(f"maxpool-indices-{name}", node("MaxPool", "x", "y i", kernel_shape=kernel, strides=strides, dilations=dilations,
                                             pads=pads, storage_order=order, **more), {"x": x}, opset=12, outputs="y i", dims=dims,
             want=expected(x, kernel, strides, dilations, pads, extents, order))

    try_it("plain", x, [2, 2], (5, 4))
    try_it("strides", x, [3, 2], (3, 3), strides=[2, 2], pads=[1, 1, 1, 0], dims=symbols)
    try_it("columns", x, [2, 3], (3, 3), strides=[2, 1], order=1, dims=symbols)
    try_it("dilated", x, [2, 2], (5, 4), dilations=[3, 2], pads=[1, 0, 1, 1], dims=symbols)
    try_it("hangs", x, [2, 2], (3, 3), strides=[2, 2], ceil_mode=1, dims=symbols)
    try_it("line", x[:, :, 0], [2], (4,))
    try_it("bytes", x[:, :, :4, :4].astype(np.int8), [2, 2], (3, 3))
    cube = rng.integers(-9, 9, (1, 2, 3, 3, 3)).astype(F32)
    try_it("space", cube, [2, 2, 2], (2, 2, 2), order=1, dims={"x": ["n", 2, "d", "h", "w"]})
    pairs = [node("MaxPool", "x", "p i", kernel_shape=[2, 2], strides=[2, 2]), node("MaxUnpool", "p i", kernel_shape=[2, 2], strides=[2, 2])]
    picked = expected(x[:, :, :, :4], [2, 2], [2, 2], [1, 1], [0] * 4, (3, 2), 0)
    back = np.zeros(x[:, :, :, :4].shape, F32)
    back.reshape(-1)[picked["i"].reshape(-1)] = picked["y"].reshape(-1)
    case("maxunpool", pairs, {"x": x[:, :, :, :4]}, opset=12, want={"y": back}, dims={"x": ["n", 3, 6, 4]})


def fourier():
    rng = np.random.default_rng(2)
    x = rng.uniform(-1, 1, (2, 7, 3, 2)).astype(F32)
    z, apart = x[..., 0] + 1j * x[..., 1], lambda v: np.stack([v.real, v.imag], -1).astype(F32)
    any_size = {"x": ["n", "t", 3, 2]}
    for name, length in (("same", 7), ("longer", 9), ("shorter", 4)):
        t = {"l": I64(length), "a": I64(1)}
        case(f"dft-{name}", node("DFT", "x l a"), {"x": x}, t, opset=20, dims=any_size, want={"y": apart(np.fft.fft(z, length, axis=1))})
        case(f"dft-inverse-{name}", node("DFT", "x l a", inverse=1), {"x": x}, t, opset=20, dims=any_size,
             want={"y": apart(np.fft.ifft(z, length, axis=1))})
        case(f"dft-real-{name}", node("DFT", "x l a", onesided=1), {"x": x[..., :1]}, t, opset=20, dims={"x": ["n", "t", 3, 1]},
             want={"y": apart(np.fft.rfft(x[..., 0], length, axis=1))})
    half = np.fft.rfft(x[..., 0], axis=1)
    for length in (6, 7, 12):
        case(f"dft-to-real-{length}", node("DFT", "x l a", inverse=1, onesided=1), {"x": apart(half)}, {"l": I64(length), "a": I64(1)},
             opset=20, dims={"x": ["n", "t", 3, 2]}, want={"y": np.fft.irfft(half, length, axis=1)[..., None].astype(F32)})
    case("dft-17", node("DFT", "x", axis=2), {"x": x}, opset=17, want={"y": apart(np.fft.fft(z, axis=2))}, dims={"x": ["n", 7, "k", 2]})
    signal, window = rng.uniform(-1, 1, (2, 40, 1)).astype(F32), np.hanning(16).astype(F32)
    frames = np.stack([signal[:, i:i + 16, 0] for i in range(0, 25, 4)], 1)
    for name, made in (("window", window), ("plain", np.ones(16, F32))):
        case(f"stft-{name}", node("STFT", "x s w"), {"x": signal}, {"s": I64(4), "w": made}, dims={"x": ["n", "t", 1]},
             want={"y": apart(np.fft.rfft(frames * made, axis=2))})


def heads():
    """Attention of com.microsoft: masks add -10000; a past lies before the keys."""
    rng = np.random.default_rng(9)
    draw = lambda *shape: rng.uniform(-2, 2, shape).astype(F32)  # noqa: E731
    apart = lambda v: v.reshape(v.shape[0], v.shape[1], 2, -1).transpose(0, 2, 1, 3)  # noqa: E731
    opset = [helper.make_opsetid("com.microsoft", 1)]

    def attend(q, k, v, add=0.0):
        s = q @ k.swapaxes(2, 3) / 2 + add  # heads are 4 wide
        w = np.exp(s - s.max(-1, keepdims=True))
        y = w / w.sum(-1, keepdims=True) @ v
        return y.transpose(0, 2, 1, 3).reshape(len(y), y.shape[2], -1).astype(F32)

    q, k, v, b = draw(2, 3, 8), draw(2, 5, 8), draw(2, 5, 8), draw(24)
    near = np.where(np.arange(5) <= np.arange(3)[:, None] + 2, 0, -10000)
    mask = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1]], np.int32)
    t = {"q": q, "k": k, "v": v}
    any_size = {"q": ["n", "l", 8], "k": ["n", "s", 8], "v": ["n", "s", 8]}

    def try_it(name, names, want, more=None, consts=None, outputs="y", **attributes):
        made = helper.make_node("MultiHeadAttention", names.split(" "), outputs.split(), domain="com.microsoft", num_heads=2, **attributes)
        case(f"heads-{name}", made, {**t, **(more or {})}, consts, dims=any_size, domains=opset, outputs=outputs,
             want={"y": want} if isinstance(want, np.ndarray) else want)

    try_it("plain", "q k v", attend(apart(q), apart(k), apart(v)))
    try_it("mask", "q k v b m", attend(apart(q + b[:8]), apart(k + b[8:16]), apart(v + b[16:]),
                                       np.where(mask, 0, -10000)[:, None, None]), {"m": mask}, {"b": b})
    lengths = np.array([2, 5], np.int32)
    try_it("lengths", "q k v  m", attend(apart(q), apart(k), apart(v), np.where(np.arange(5) < lengths[:, None], 0, -10000)[:, None, None]),
           {"m": lengths})
    bias = draw(1, 2, 3, 5)
    try_it("bias", "q k v   a", attend(apart(q), apart(k), apart(v), bias), {"a": bias})
    past = draw(2, 2, 2, 2, 4)
    t = {"q": q, "k": k[:, :3], "v": v[:, :3]}
    keys, values = (np.concatenate([p, apart(x[:, :3])], 2) for p, x in zip(past, (k, v)))
    try_it("past", "q k v    pk pv", {"y": attend(apart(q), keys, values, near), "nk": keys, "nv": values},
           {"pk": past[0], "pv": past[1]}, outputs="y nk nv", unidirectional=1)
    x, w = draw(2, 3, 8), draw(8, 24)
    parts = [apart(m) for m in np.split(x @ w + b, 3, axis=2)]
    case("heads-projected", node("Attention", "x w b m", domain="com.microsoft", num_heads=2), {"x": x, "m": mask[:, :3]}, {"w": w, "b": b},
         domains=opset, dims={"x": ["n", "l", 8]}, want={"y": attend(*parts, np.where(mask[:, :3], 0, -10000)[:, None, None])})
    keys, values = (np.concatenate([p, m], 2) for p, m in zip(past, parts[1:]))
    case("heads-projected-past", helper.make_node("Attention", ["x", "w", "b", "", "p"], ["y", "np"], domain="com.microsoft", num_heads=2,
                                                  unidirectional=1), {"x": x, "p": past}, {"w": w, "b": b}, domains=opset,
         outputs="y np", want={"y": attend(parts[0], keys, values, near), "np": np.stack([keys, values])})
    angle = rng.uniform(-3, 3, (9, 2)).astype(F32)
    for name, at in (("each", np.array([[0, 1, 2], [5, 4, 8]])), ("first", np.array([4]))):
        rows = angle[at if at.ndim == 2 else at + np.arange(3)[None].repeat(2, 0)][:, None]
        a, c = np.split(apart(x), 2, axis=3)
        y = np.concatenate([a * np.cos(rows) - c * np.sin(rows), c * np.cos(rows) + a * np.sin(rows)], 3)
        case(f"heads-rotary-{name}", node("RotaryEmbedding", "x p c s", domain="com.microsoft"), {"x": x, "p": at},
             {"c": np.cos(angle), "s": np.sin(angle)}, domains=opset, dims={"x": ["n", "l", 8]},
             want={"y": y.transpose(0, 2, 1, 3).reshape(2, 3, 8).astype(F32)})


def deformed():
    """A convolution with moved taps, of symbolic extents."""
    rng = np.random.default_rng(9)
    draw = lambda *shape: rng.uniform(-2, 2, shape).astype(F32)  # noqa: E731
    dims = {"x": ["n", 4, "h", "w"], "o": ["n", 16, "p", "q"], "m": ["n", 8, "p", "q"]}
    case("deform", node("DeformConv", "x w o b m", kernel_shape=[2, 2], pads=[1, 0, 1, 1], group=2, offset_group=2, strides=[2, 1],
                        dilations=[1, 2]),
         {"x": draw(2, 4, 5, 6), "o": draw(2, 16, 3, 5), "m": draw(2, 8, 3, 5)}, {"w": draw(6, 2, 2, 2), "b": draw(6)}, dims=dims, opset=19)
    case("deform-other", node("DeformConv", "x w o", kernel_shape=[2, 2]), {"x": draw(1, 4, 5, 6), "o": draw(1, 8, 3, 5)},
         {"w": draw(6, 4, 2, 2)}, opset=19, words="extents of the offsets")


ALL = (deformed, picks, transposed, recurrent, fused, pool_indices, fourier, heads, *cases_parts.ALL)
