# SPDX-License-Identifier: Apache-2.0
"""Operators that import writes as several nodes, with symbolic extents: one compiled program, run at unlike sizes,
against ONNX Runtime. The official node tests have constant extents only."""
import os
import re
import sys
import tempfile

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "model"))
from scalec import Count, Model, scalec  # noqa: E402

RNG = np.random.default_rng(7)


def f32(*dims):
    return RNG.standard_normal(dims).astype(np.float32)


# name: (signature, body, feeds at each size)
CASES = {
    "parts": (
        "(float[a,b] x, float[n,4,h,w] c) => (float[p,q] head, float[p,q] tail, float[p,q] tiled, float[n,1,p,q] deep,"
        " float[n,p,h,w] flat, float[a,p] constant, float[a,p] edge, float[a,p] reflected, float[a,p] wrapped,"
        " float[a,p] cut, float[a,b] expanded)",
        """
        sizes = Constant<value = int64[2] {2, 1}>()
        rep = Constant<value = int64[2] {2, 3}>()
        pads = Constant<value = int64[4] {0, 2, 0, 1}>()
        less = Constant<value = int64[4] {0, -1, 0, 2}>()
        value = Constant<value = float {7.0}>()
        head, tail = Split<axis = 1, num_outputs = 2>(x)
        tiled = Tile(x, rep)
        deep = DepthToSpace<blocksize = 2>(c)
        flat = SpaceToDepth<blocksize = 2>(deep)
        constant = Pad(x, pads, value)
        edge = Pad<mode = "edge">(x, pads)
        reflected = Pad<mode = "reflect">(x, pads)
        wrapped = Pad<mode = "wrap">(x, pads)
        cut = Pad(x, less)
        extents = Shape(x)
        keep = Constant<value = int64[2] {-1, -1}>()
        is_kept = Equal(extents, keep)
        not_kept = Not(is_kept)
        wanted = Where(not_kept, extents, keep)
        expanded = Expand(x, wanted)
        """,
        lambda k: [f32(k, 2 * k), f32(k, 4, k + 1, 3)]),
    "recurrent": (  # extents of which one operand or the other knows the number
        "(float[t,b,i] x, float[d,g,3] w, float[1,g2,h] r, float[d2,g3] bias, float[d3,b2,h2] first)"
        " => (float[t,q,b3,h3] y, float[q,b3,h3] last)",
        """
        y, last = GRU<hidden_size = 2>(x, w, r, bias, , first)
        """,
        lambda k: [f32(k, k, 3), f32(1, 6, 3), f32(1, 6, 2), f32(1, 12), f32(1, k, 2)]),
    "positions": (
        "(float[a,b] x, int64[n] at) => (float[a,b] low, float[a,b] high, int64[p] r, float[a,b] eye, float[n,p] hot,"
        " int64 s, float[a,b] hard, float[p] down)",
        """
        one = Constant<value = int64 {1}>()
        zero = Constant<value = int64 {0}>()
        three = Constant<value = int64 {3}>()
        five = Constant<value = int64[1] {5}>()
        values = Constant<value = float[2] {-1.0, 2.0}>()
        low = Trilu<upper = 0>(x)
        high = Trilu(x, one)
        cols = Shape<start = 1>(x)
        none = Constant<value = int64[0] {}>()
        limit = Reshape(cols, none)
        r = Range(zero, limit, three)
        eye = EyeLike<k = 1>(x)
        hot = OneHot(at, five, values)
        s = Size(x)
        hard = Hardmax(x)
        minus = Constant<value = int64 {-2}>()
        ri = Range(limit, zero, minus)
        down = Cast<to = 1>(ri)
        """,
        lambda k: [f32(k, 2 * k + 1), RNG.integers(-5, 5, k)]),
    "resize": (
        "(float[n,3,h,w] x) => (float[n,3,p,q] up, float[n,3,p,q] half, float[n,3,p,q] linear, float[n,3,p,q] corners,"
        " float[n,3,p,q] cubic, float[n,3,p,q] sized)",
        """
        twice = Constant<value = float[4] {1.0, 1.0, 2.0, 2.0}>()
        less = Constant<value = float[4] {1.0, 1.0, 0.5, 1.5}>()
        up = Resize<coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">(x, , twice)
        half = Resize<mode = "nearest">(x, , less)
        linear = Resize<mode = "linear", coordinate_transformation_mode = "pytorch_half_pixel">(x, , less)
        corners = Resize<mode = "linear", coordinate_transformation_mode = "align_corners">(x, , twice)
        cubic = Resize<mode = "cubic", cubic_coeff_a = -0.5, exclude_outside = 1>(x, , less)
        shape = Shape(x)
        more = Constant<value = int64[4] {0, 0, 3, 1}>()
        size = Add(shape, more)
        sized = Resize<mode = "linear">(x, , , size)
        """,
        lambda k: [f32(k, 3, 2 * k + 1, k + 3)]),
    "quantised": (
        "(float[n,4] x, float[4] s, float[n,c,6,6] im) => (uint8[n,4] q, float[n,4] f, uint8[n,4] d, float ds, uint8 dz,"
        " int32[n,5] m, int32[n,2,4,4] ci, float[n,2,4,4] qf)",
        """
        zero = Constant<value = uint8 {100}>()
        zeros = Constant<value = int8[4] {1, -2, 3, 0}>()
        scale = Constant<value = float {0.05}>()
        b = Constant<value = int8[4,5] {1,-2,3,4,5,-6,7,8,9,10,-11,12,13,14,15,127,-128,1,2,3}>()
        q = QuantizeLinear(x, scale, zero)
        p = Abs(s)
        half = Constant<value = float {0.5}>()
        positive = Add(p, half)
        a = QuantizeLinear<axis = 1>(x, positive, zeros)
        f = DequantizeLinear<axis = 1>(a, positive, zeros)
        d, ds, dz = DynamicQuantizeLinear(x)
        m = MatMulInteger(q, b, zero)
        iq = QuantizeLinear(im, scale, zero)
        w = Constant<value = int8[2,1,3,3] {1,-2,3,4,5,-6,7,8,9,10,-11,12,13,14,15,127,-128,1}>()
        ci = ConvInteger(iq, w, zero)
        wz = Constant<value = int8 {0}>()
        ws = Constant<value = float[2] {0.02, 0.01}>()
        wzs = Constant<value = int8[2] {0, 0}>()
        bias = Constant<value = int32[2] {100, -50}>()
        qc = QLinearConv(iq, scale, zero, w, ws, wzs, half, zero, bias)
        qf = DequantizeLinear(qc, half, zero)
        """,
        lambda k: [3 * f32(k, 4), f32(4), 3 * f32(k, 1, 6, 6)]),
    "attention": (
        "(float[n,l,16] x, float[n,2,past,8] pk, bool[l,t] mask, float[32,4] cos,"
        " float[32,4] sin, int64[n,l] at) => (float[n,l,u] y, float[n,2,t,8] present, float[n,l,u] z, float[n,l,16] turned)",
        """
        turned = RotaryEmbedding<num_heads = 2>(x, cos, sin, at)
        q = Concat<axis = 2>(x, turned)
        y = Attention<q_num_heads = 4, kv_num_heads = 2, is_causal = 1>(q, x, turned)
        z, present, pv = Attention<q_num_heads = 2, kv_num_heads = 2>(x, turned, x, mask, pk, pk)
        """,
        lambda k: [f32(k, k + 1, 16), f32(k, 2, 3, 8),
                   np.arange(k + 4) % 3 != RNG.integers(0, 3, (k + 1, 1)), f32(32, 4), f32(32, 4),
                   RNG.integers(0, 16, (k, k + 1))]),
    "causal": (  # as PyTorch's exporters write it: places that count up beside padding, and a cache in front
        "(float[n,2,l,8] q, float[n,2,l,8] k, bool[n,l] keep, float[n,2,past,8] pk) => (float[n,2,a,8] y, float[n,2,b,8] z)",
        """
        two = Constant<value = int64 {2}>()
        three = Constant<value = int64 {3}>()
        zero = Constant<value = int64 {0}>()
        one = Constant<value = int64 {1}>()
        zeros = Constant<value = float {0.0}>()
        none = Constant<value_float = -inf>()
        extents = Shape(q)
        length = Gather(extents, two)
        at = Range(zero, length, one)
        columns = Unsqueeze(at, zero)
        rows = Unsqueeze(at, one)
        before = LessOrEqual(columns, rows)
        batched = Constant<value = int64[2] {1, 2}>()
        padding = Unsqueeze(keep, batched)
        seen = And(before, padding)
        mask = Where(seen, zeros, none)
        turned = Transpose<perm = [0, 1, 3, 2]>(k)
        scores = MatMul(q, turned)
        masked = Add(scores, mask)
        weights = Softmax(masked)
        nan = IsNaN(weights)
        whole = Where(nan, zeros, weights)
        y = MatMul(whole, k)
        keys = Concat<axis = 2>(pk, k)
        all = Shape(keys)
        total = Gather(all, two)
        all_at = Range(zero, total, one)
        past_extents = Shape(pk)
        past = Gather(past_extents, two)
        moved = Add(rows, past)
        later = Greater(all_at, moved)
        turned_keys = Transpose<perm = [0, 1, 3, 2]>(keys)
        key_scores = MatMul(q, turned_keys)
        filled = Where(later, none, key_scores)
        key_weights = Softmax(filled)
        z = MatMul(key_weights, keys)
        """,
        lambda k: [f32(2, 2, k, 8), f32(2, 2, k, 8), np.arange(2 * k).reshape(2, k) % 3 > 0, f32(2, 2, k + 1, 8)]),
    "contracted": (
        "(float[n,l,4,8] q, float[n,s,4,8] k, float[n,3,h,w] im, float[n,p,p,2] grid, float[n,2,3] theta, int64[n] lens)"
        " => (float[n,4,l,s] y, float[n,t] z, float[l,t] o, float[n,3,p,p] a, float[n,3,p,p] b, float[n,3,p,p] c,"
        " float[n,5,6,2] g, float[n,l,4,8] back, float[n,3,e,f] lp)",
        """
        y = Einsum<equation = "blhd,bshd->bhls">(q, k)
        z = Einsum<equation = "...ij -> ...">(im)
        o = Einsum<equation = "nlhd, nshd, nshd -> ls">(q, k, k)
        a = GridSample(im, grid)
        b = GridSample<mode = "nearest", padding_mode = "border", align_corners = 1>(im, grid)
        c = GridSample<mode = "cubic", padding_mode = "reflection">(im, grid)
        size = Constant<value = int64[4] {2, 3, 5, 6}>()
        g = AffineGrid(theta, size)
        back = ReverseSequence<time_axis = 1, batch_axis = 0>(q, lens)
        lp = LpPool<kernel_shape = [2, 3], strides = [2, 1], pads = [0, 1, 1, 1], p = 3>(im)
        """,
        lambda k: [f32(2, k, 4, 8), f32(2, k + 1, 4, 8), f32(2, 3, k + 2, k), 1.5 * f32(2, k, k, 2), f32(2, 2, 3),
                   RNG.integers(1, k + 1, 2)]),
    "norms": (
        "(float[n,6,w] x, float[6] s, float[6] t, int64[n,w] at) => (float[n,6,w] i, float[n,6,w] m, float[n,6,w] p,"
        " float[n,6,w] q, float[n,6,w,u] r, float loss, float[n,6,w] log)",
        """
        i = InstanceNormalization(x, s, t)
        g = GroupNormalization<num_groups = 3>(x, s, t)
        m = MeanVarianceNormalization<axes = [0, 2]>(g)
        p = LpNormalization<axis = 1, p = 1>(x)
        q = LpNormalization(x)
        last = Constant<value = int64[1] {3}>()
        u = Unsqueeze(x, last)
        r = LRN<size = 3, alpha = 0.5>(u)
        loss, log = SoftmaxCrossEntropyLoss<ignore_index = 2>(x, at, s)
        """,
        lambda k: [f32(k, 6, k + 2), f32(6), f32(6), RNG.integers(0, 6, (k, k + 2))]),
    "scattered": (
        "(float[n,4] x, float[n,3] u, int64[n,3] at, int64[m,1] row, float[m,4] rows) => (float[n,4] put, float[n,4] added, float[n,4] scaled, float[n,4] high,"
        " float[n,4] first, float[n,4] put_rows, float[n,4] added_rows, float[n,4] scaled_rows, float[n,4] low_rows)",
        """
        last = ScatterElements<axis = 1>(x, at, u)
        put = Neg(last)
        added = ScatterElements<axis = -1, reduction = "add">(x, at, u)
        scaled = ScatterElements<axis = 1, reduction = "mul">(x, at, u)
        high = ScatterElements<axis = 1, reduction = "max">(x, at, u)
        zero = Constant<value = int64[1] {0}>()
        one = Constant<value = int64[1] {1}>()
        part = Slice(rows, zero, one, one)
        first = ScatterElements<axis = 0>(x, row, part)
        put_rows = ScatterND(x, row, rows)
        twice = Relu(x)
        added_rows = ScatterND<reduction = "add">(twice, row, rows)
        scaled_rows = ScatterND<reduction = "mul">(x, row, rows)
        low_rows = ScatterND<reduction = "min">(x, row, rows)
        """,
        lambda k: [f32(k, 4), f32(k, 3), np.argsort(f32(k, 4), axis=1)[:, :3] - 4, RNG.permutation(k)[:k - 1, None] - 1,
                   f32(k - 1, 4)]),
    "found": (
        "(float[a,b] x, bool[c] keep, int64[1] k, float[b,5] w) => (int64[2,p] at, float[p] picked, int64[2] extents,"
        " float[p,2] wide, float[q,b] kept, float[r] flat, float[s] values, int64[s] first, int64[n] inverse,"
        " int64[s] counts, float[t,b] rows, int64[t] row_first, float[a,v] high, int64[a,v] high_at, float[v,b] low,"
        " float[q,5] product)",
        """
        positive = Relu(x)
        at = NonZero(positive)
        tuples = Transpose<perm = [1, 0]>(at)
        picked = GatherND(x, tuples)
        extents = Shape(at)
        column = Constant<value = int64[2] {-1, 1}>()
        twice = Constant<value = int64[2] {1, 2}>()
        tall = Reshape(picked, column)
        wide = Tile(tall, twice)
        kept = Compress<axis = 0>(x, keep)
        flat = Compress(x, keep)
        product = MatMul(kept, w)
        whole = Round(x)
        values, first, inverse, counts = Unique<sorted = 0>(whole)
        sign = Sign(x)
        rows, row_first = Unique<axis = 0>(sign)
        high, high_at = TopK(x, k)
        low, low_at = TopK<axis = 0, largest = 0>(x, k)
        """,
        lambda k: [f32(k, k + 2), f32(k) > 0, np.array([(k + 1) // 2]), f32(k + 2, 5)]),
    "boxes": (
        "(float[i,n,4] boxes, float[i,c,n] scores, int64[1] most, float[1] iou, float[1] least) =>"
        " (int64[p,3] chosen, int64[q,3] all_but, float[p,4] kept)",
        """
        chosen = NonMaxSuppression(boxes, scores, most, iou, least)
        two = Constant<value = int64 {2}>()
        loose = Constant<value = float {0.8}>()
        all_but = NonMaxSuppression<center_point_box = 1>(boxes, scores, two, loose)
        of = Constant<value = int64[2] {0, 2}>()
        tuples = Gather<axis = 1>(chosen, of)
        kept = GatherND(boxes, tuples)
        """,
        lambda k: [np.concatenate([c := RNG.uniform(0, 3, (2, 3 * k, 2)), c + 1], 2).astype(np.float32), f32(2, 3, 3 * k),
                   np.array([k]), np.array([0.3], np.float32), np.array([-0.5], np.float32)]),
    "undone": (
        "(float[n,c,h,w] x, float[r,4] rois, int64[r] of, float[n,c,h,w] pooled, int64[n,c,h,w] at, float[n,k,l] columns,"
        " int64[2] image, float[b,m,m] square) => (float[r,c,3,2] means, float[r,c,2,2] tops, float[n,c,p,q] unpooled,"
        " float[n,e,s,t] summed, float[b] det)",
        """
        means = RoiAlign<output_height = 3, output_width = 2, sampling_ratio = 2, spatial_scale = 0.5>(x, rois, of)
        tops = RoiAlign<output_height = 2, output_width = 2, mode = "max",
                        coordinate_transformation_mode = "output_half_pixel">(x, rois, of)
        unpooled = MaxUnpool<kernel_shape = [2, 2], strides = [2, 2]>(pooled, at)
        block = Constant<value = int64[2] {2, 3}>()
        summed = Col2Im<pads = [1, 0, 1, 0], strides = [2, 1], dilations = [1, 2]>(columns, image, block)
        det = Det(square)
        """,
        lambda k: [f32(2, 3, k, k + 1), np.sort(RNG.uniform(-1, 2 * k, (4, 2, 2)), 1).reshape(4, 4).astype(np.float32),
                   RNG.integers(0, 2, 4), f32(2, 3, k, k + 1),
                   RNG.permutation(24 * k * (k + 1))[:6 * k * (k + 1)].reshape(2, 3, k, k + 1),
                   f32(2, 18, ((k + 2 - 2) // 2 + 1) * (k + 4 - 4)), np.array([k, k + 4]), f32(3, k % 7 + 2, k % 7 + 2)]),
    "padded": (  # by what the run says, twice: extents that would be long terms
        "(float[a,b,c,d] x, int64[8] p, int64[8] q) => (float[e,f,g,h] twice)",
        """
        once = Pad(x, p)
        twice = Pad<mode = "edge">(once, q)
        """,
        lambda k: [f32(k, 2, k + 1, 3), np.array([0, k, 1, 0, 0, 0, 2, -1]), np.array([1, 0, 0, k, 0, 2, 0, -1])]),
    "parted": (  # shapes of which the run says a part: the rest is known, so widths fit weights and axes stay as they are
        "(float[a,b] x, int64[1] rows, float[n,c,h,w] i, int64[2] size) => (float[d,5] y, float[n,c,e,f] z)",
        """
        wide = Constant<value = int64[1] {4}>()
        shape = Concat<axis = 0>(rows, wide)
        r = Reshape(x, shape)
        m = Constant<value = float[4,5] {1,2,3,4,5,6,7,8,9,10,-1,-2,-3,-4,-5,-6,-7,-8,-9,-10}>()
        y = MatMul(r, m)
        outer = Shape<end = 2>(i)
        sizes = Concat<axis = 0>(outer, size)
        z = Resize<mode = "linear">(i, , , sizes)
        """,
        lambda k: [f32(k, 8), np.array([2 * k]), f32(2, k, 3, k), np.array([k, 5])]),
}


OPSET = {"undone": 21}  # what ONNX Runtime has no newer version of; else 23


ROWS = {"causal": {"attention": 2, "softmax": 0, "diagonal": 2}}  # words of the raised graph, how often


def build(name, path):
    signature, body, _ = CASES[name]
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": {OPSET.get(name, 23)}]>\n{name} {signature}\n{{{body}}}')
    onnx.save(model, path)


def check(name, tmp):
    path, so = os.path.join(tmp, name + ".onnx"), os.path.join(tmp, name + ".so")
    build(name, path)
    text = scalec("dump", path, "--stage", "raise") if name in ROWS else ""
    for word, n in ROWS.get(name, {}).items():
        if len(re.findall(rf"\b{word} [%=]", text)) != n:
            raise AssertionError(f"{n} times {word} is wanted:\n{text}")
    scalec("compile", path, "--emit", "so", "--symbol", "model", "-o", so)
    model, reference = Model(so), ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    for k in (2, 5, 19):
        feeds = CASES[name][2](k)
        want = reference.run(None, {i.name: f for i, f in zip(reference.get_inputs(), feeds)})
        for o, a, b in zip(reference.get_outputs(), model.run(*feeds), want):
            if a.shape != b.shape or not np.allclose(a, b, rtol=1e-4, atol=1e-5):
                raise AssertionError(f"size {k}: {o.name} {a.shape} differs from {b.shape}:\n{a}\n{b}")
    model.close()


def bits(tmp):
    """Weights of 4 bits are stored in 4 bits, and scales that f16 holds in 16."""
    path, k, n, block = os.path.join(tmp, "bits.onnx"), 64, 24, 32
    codes = RNG.integers(0, 256, (n, k // block, block // 2)).astype(np.uint8)
    scales = RNG.uniform(0.1, 1, n * k // block).astype(np.float16).astype(np.float32)
    product = onnx.helper.make_node("MatMulNBits", ["x", "b", "s"], ["y"], domain="com.microsoft", K=k, N=n, bits=4,
                                    block_size=block)
    info = [onnx.helper.make_tensor_value_info(name, 1, ["m", dim]) for name, dim in (("x", k), ("y", n))]
    graph = onnx.helper.make_graph([product], "g", info[:1], info[1:], [onnx.numpy_helper.from_array(codes, "b"),
                                                                        onnx.numpy_helper.from_array(scales, "s")])
    domains = [onnx.helper.make_opsetid("", 21), onnx.helper.make_opsetid("com.microsoft", 1)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=domains, ir_version=10), path)
    text = scalec("dump", path, "--stage", "fuse")
    if f"i4[{n},{k}]" not in text or f"f16[{n},{k // block}]" not in text or "f32[24,64]" in text:
        raise AssertionError(text)


def main():
    count = Count("onnx-symbolic")
    ort.set_default_logger_severity(4)
    with tempfile.TemporaryDirectory() as tmp:
        for name in CASES:
            count.check(name, lambda: check(name, tmp))
        count.check("bits", lambda: bits(tmp))
    count.close()


if __name__ == "__main__":
    main()
