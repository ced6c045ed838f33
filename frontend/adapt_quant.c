/* SPDX-License-Identifier: Apache-2.0 */
/* Quantised tensors as the arithmetic that they stand for. A parameter (a scale or a zero point) is
 * one for the tensor, one along an axis, or one a block of an axis.
 *
 * Products of integers are added up in floats that hold every partial sum exactly: f32 where the
 * number of products is known to be small enough, else f64. */
#include <math.h>

#include "frontend/frontend_priv.h"

#define MAX_PRODUCT (255 * 255) /* of 8-bit integers less their zero points */
#define F32_EXACT   (1 << 24)   /* integers up to here are f32 */

/* --- Parameters ------------------------------------------------------------------------------- */

/* A parameter of blocks: [.., ceil(D / size), ..] as [.., D, ..]. */
static ScVal blocks(const ImNode *n, ScVal p, const ScType *x, uint32_t axis, int64_t size)
{
    ScCtx *cx = n->im->cx;
    const ScType *t = im_type_of(n, p);
    const ScTerm *wide[SCRT_MAX_RANK + 1], *flat[SCRT_MAX_RANK];
    for (uint32_t d = 0; d < t->rank; d++) {
        wide[d + (d > axis)] = t->dim[d];
        flat[d] = d == axis ? sc_term_scale(cx, t->dim[d], size) : t->dim[d];
    }
    wide[axis + 1] = sc_term(cx, 1);
    p = im_reshape(n, p, t->rank + 1, wide);
    wide[axis + 1] = sc_term(cx, size);
    p = im_reshape(n, im_expand(n, p, t->rank + 1, wide), t->rank, flat);
    return flat[axis] == x->dim[axis] ? p : im_slice(n, p, axis, sc_term(cx, 0), x->dim[axis]);
}

/* Operand i, a parameter of x, in type t and so that it broadcasts to x. SC_POISON after sc_fail.
 */
static ScVal parameter(const ImNode *n, uint32_t i, const ScType *x, ScrtDtype t)
{
    ScCtx *cx = n->im->cx;
    bool ok = true;
    uint32_t axis = 0;
    ScVal p = im_in(n, i);
    const ScType *have = im_type(n, i);
    int64_t at = im_int(n, "axis", 1, &ok), size = im_int(n, "block_size", 0, &ok);
    if (!ok)
        return SC_POISON;
    if (sc_term_is(sc_type_count(cx, have), 1))
        return im_cast(n, im_reshape(n, p, 0, NULL), t);
    if (!im_axis(n, at, x->rank, &axis))
        return SC_POISON;
    if (size > 0 && have->rank == x->rank && x->rank < SCRT_MAX_RANK)
        return im_cast(n, blocks(n, p, x, axis, size), t);
    if (have->rank != 1) {
        sc_fail(cx, n->loc, SC_E_RANK, "operand %u has rank %u", i, have->rank);
        return SC_POISON;
    }
    const ScTerm *dim[SCRT_MAX_RANK] = {have->dim[0]};
    for (uint32_t d = axis + 1; d < x->rank; d++)
        dim[d - axis] = sc_term(cx, 1);
    return im_cast(n, im_reshape(n, p, x->rank - axis, dim), t);
}

/* --- QuantizeLinear, DequantizeLinear --------------------------------------------------------- */

/* round(x) + zero, bounded to integer type `to`; zero may be absent. x is f32 or f64. */
static ScVal to_integer(const ImNode *n, ScVal x, ScVal zero, ScrtDtype to, ScrtDtype in)
{
    ScBuild *b = &n->im->b;
    int bits = (int)scrt_dtype_bits(to);
    bool has_sign = scrt_dtype_kind(to) == SCRT_KIND_INT;
    double top = (double)((1ll << (has_sign ? bits - 1 : bits)) - 1);
    ScVal y = sc_op(b, round, x);
    y = zero == SC_ABSENT ? y : sc_op(b, add, y, zero);
    y = sc_op(b, clip, y, im_scalar(n, in, has_sign ? -top - 1 : 0), im_scalar(n, in, top));
    return im_cast(n, y, to);
}

/* The element type that an attribute names; `def` where there is none. */
static ScrtDtype type_attr(const ImNode *n, const char *name, ScrtDtype def, bool *ok)
{
    int64_t t = im_int(n, name, 0, ok);
    if (t && scrt_dtype_bits((ScrtDtype)t) == 0)
        *ok = sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"%s\" is no element type: %lld", name,
                      (long long)t);
    return t ? (ScrtDtype)t : def;
}

static bool quantize(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    bool ok = true;
    if (!im_arity(n, 2, 3) ||
        !IM_ONLY(n, "axis", "block_size", "output_dtype", "precision", "saturate"))
        return false;
    const ScType *x = im_type(n, 0);
    ScrtDtype scale = im_type(n, 1)->dtype;
    ScrtDtype to = type_attr(n, "output_dtype", SCRT_U8, &ok);
    ScrtDtype in = type_attr(n, "precision", scrt_dtype_is_low(scale) ? SCRT_F32 : scale, &ok);
    int64_t saturate = im_int(n, "saturate", 1, &ok);
    to = im_has(n, 2) ? im_type(n, 2)->dtype : to;
    ScVal by = ok ? parameter(n, 1, x, in) : SC_POISON;
    if (by == SC_POISON)
        return false;
    ScVal q = sc_op(b, div, im_cast(n, im_in(n, 0), in), by);
    if (!scrt_dtype_is_integer(to)) /* a zero point of floats is 0 */
        return im_answer(im_build(n, &sc_op_cast,
                                  IM_SET({"to", SC_DT(to)}, {"saturate", SC_INT(saturate != 0)}),
                                  IM_IN(q)),
                         ret_out);
    ScrtDtype sum = im_at_least_f32(in);
    ScVal zero = im_has(n, 2) ? parameter(n, 2, x, sum) : SC_ABSENT;
    return im_answer(to_integer(n, im_cast(n, q, sum), zero, to, sum), ret_out);
}

/* Operand i, scales of blocks, in E8M0, where they are constants and all are powers of two; else
 * SC_ABSENT. */
static ScVal powers_of_two(const ImNode *n, uint32_t i)
{
    ScCtx *cx = n->im->cx;
    const ScBlob *blob = im_const(n, im_in(n, i));
    int64_t dims[SCRT_MAX_RANK];
    if (!blob || !blob->data || !scrt_dtype_is_float(blob->dtype) ||
        !sc_type_const_dims(im_type(n, i), dims))
        return SC_ABSENT;
    uint8_t *code = sc_array(sc_ctx_arena(cx), uint8_t, blob->count + 1);
    for (size_t k = 0; k < blob->count; k++) {
        int e;
        if (frexp(scrt_load(blob->dtype, blob->data, k), &e) != 0.5 || e < -126 || e > 128)
            return SC_ABSENT;
        code[k] = (uint8_t)(e + 126);
    }
    blob = sc_blob_folded(cx, SCRT_F8E8M0, im_type(n, i)->rank, dims, code);
    return sc_const(&n->im->b, blob, SCRT_F8E8M0, NULL);
}

/* Constant codes of low floats by blocks whose scales are powers of two: products read them so.
 * SC_ABSENT: they are something else. */
static ScVal dequantized_blocks(const ImNode *n)
{
    const ScType *x = im_type(n, 0);
    bool ok = true;
    uint32_t axis;
    ScVal v = im_in(n, 0);
    int64_t at = im_int(n, "axis", 1, &ok), size = im_int(n, "block_size", 0, &ok);
    if (!ok || size <= 0 || !scrt_dtype_is_low(x->dtype) || x->dtype == SCRT_F8E8M0 ||
        im_type(n, 1)->rank != x->rank || !im_const(n, v))
        return SC_ABSENT;
    if (!im_axis(n, at, x->rank, &axis))
        return SC_POISON;
    ScVal scale = powers_of_two(n, 1);
    return scale == SC_ABSENT
               ? SC_ABSENT
               : im_build(n, &sc_op_dequantize,
                          IM_SET({"axis", SC_INT(axis)}, {"block", SC_INT(size)}), IM_IN(v, scale));
}

static bool dequantize(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    bool ok = true;
    if (!im_arity(n, 2, 3) || !IM_ONLY(n, "axis", "block_size", "output_dtype"))
        return false;
    const ScType *x = im_type(n, 0);
    ScrtDtype to = type_attr(n, "output_dtype", im_type(n, 1)->dtype, &ok);
    ScrtDtype in = im_at_least_f32(im_type(n, 1)->dtype);
    ScVal whole = ok ? dequantized_blocks(n) : SC_POISON;
    if (whole != SC_ABSENT)
        return whole != SC_POISON && im_answer(im_cast(n, whole, to), ret_out);
    ScVal scale = ok ? parameter(n, 1, x, in) : SC_POISON, y = im_cast(n, im_in(n, 0), in);
    if (scale == SC_POISON)
        return false;
    if (im_has(n, 2) && scrt_dtype_is_integer(x->dtype))
        y = sc_op(b, sub, y, parameter(n, 2, x, in));
    y = im_cast(n, sc_op(b, mul, y, scale), to);
    /* of integers under 8 bits once, when the model is compiled, not on each run */
    bool packed = scrt_dtype_bits(x->dtype) < 8 && scrt_dtype_is_integer(x->dtype);
    return im_answer(packed ? im_folded(n, y) : y, ret_out);
}

/* To u8 by the range of x, 0 included: the codes, the scale, the zero point. */
static bool dynamic_quantize(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    int64_t all[SCRT_MAX_RANK];
    if (!im_arity(n, 1, 1) || !IM_ONLY(n))
        return false;
    const ScType *t = im_type(n, 0);
    for (uint32_t d = 0; d < t->rank; d++)
        all[d] = d;
    ScVal x = im_in(n, 0), zero = im_scalar(n, SCRT_F32, 0), top = im_scalar(n, SCRT_F32, 255);
    ScVal hi = sc_op(b, max, im_reduce(n, &sc_op_reduce_max, x, t->rank, all, false), zero);
    ScVal lo = sc_op(b, min, im_reduce(n, &sc_op_reduce_min, x, t->rank, all, false), zero);
    ScVal range = sc_op(b, sub, hi, lo), none = sc_op(b, equal, range, zero);
    range = sc_op(b, where, none, im_scalar(n, SCRT_F32, 1), range);
    ScVal scale = sc_op(b, div, range, top);
    ScVal point = sc_op(b, clip, sc_op(b, neg, sc_op(b, div, lo, scale)), zero, top);
    point = sc_op(b, round, point);
    ScVal y = to_integer(n, sc_op(b, div, x, scale), point, SCRT_U8, SCRT_F32);
    ScVal got[] = {y, scale, im_cast(n, point, SCRT_U8)};
    bool ok = true;
    for (uint32_t i = 0; i < n->n_out; i++)
        ok = im_answer(got[i], &ret_out[i]) && ok;
    return ok;
}

/* --- Products of integers --------------------------------------------------------------------- */

/* The float type that holds sums of so many products exactly. */
static ScrtDtype sum_type(const ScTerm *count)
{
    int64_t c;
    return sc_term_const(count, &c) && c <= F32_EXACT / MAX_PRODUCT ? SCRT_F32 : SCRT_F64;
}

/* Operand i of matrices: a number, or one a row of the left matrix, which is a column here. */
static ScVal of_rows(const ImNode *n, uint32_t i, bool left, ScrtDtype t)
{
    const ScType *have = im_type(n, i);
    ScVal p = im_in(n, i);
    const ScTerm *column[] = {have->rank ? have->dim[0] : NULL, sc_term(n->im->cx, 1)};
    if (sc_term_is(sc_type_count(n->im->cx, have), 1))
        p = im_reshape(n, p, 0, NULL);
    else if (left && have->rank == 1)
        p = im_reshape(n, p, 2, column);
    return im_cast(n, p, t);
}

/* Operand i less the zero point in operand z, in type t. */
static ScVal centred(const ImNode *n, uint32_t i, uint32_t z, bool left, ScrtDtype t)
{
    ScVal x = im_cast(n, im_in(n, i), t);
    return im_has(n, z) ? sc_op(&n->im->b, sub, x, of_rows(n, z, left, t)) : x;
}

static ScrtDtype matmul_type(const ImNode *n)
{
    const ScType *a = im_type(n, 0);
    return a->rank ? sum_type(a->dim[a->rank - 1]) : SCRT_F64;
}

static bool matmul_integer(const ImNode *n, ScVal *ret_out)
{
    if (!im_arity(n, 2, 4) || !IM_ONLY(n))
        return false;
    ScrtDtype t = matmul_type(n);
    ScVal y = sc_op(&n->im->b, matmul, centred(n, 0, 2, true, t), centred(n, 1, 3, false, t));
    return im_answer(im_cast(n, y, SCRT_I32), ret_out);
}

/* sum times (scale of a times scale of b over scale of y), rounded to y's integers; the scales are
 * multiplied in f32. */
static ScVal requantized(const ImNode *n, ScVal sum, ScVal a, ScVal b, ScVal y, uint32_t zero)
{
    ScBuild *bd = &n->im->b;
    ScVal factor = im_cast(n, sc_op(bd, div, sc_op(bd, mul, a, b), y), SCRT_F64);
    ScVal point =
        im_has(n, zero) ? im_cast(n, im_reshape(n, im_in(n, zero), 0, NULL), SCRT_F64) : SC_ABSENT;
    ScrtDtype to = im_type(n, im_has(n, zero) ? zero : 0)->dtype;
    sum = sc_op(bd, mul, im_cast(n, sum, SCRT_F64), factor);
    return to_integer(n, sum, point, to, SCRT_F64);
}

/* a, its scale and zero point; b, its; y's. */
static bool qlinear_matmul(const ImNode *n, ScVal *ret_out)
{
    if (!im_arity(n, 8, 8) || !IM_ONLY(n))
        return false;
    ScrtDtype t = matmul_type(n);
    ScVal sum = sc_op(&n->im->b, matmul, centred(n, 0, 2, true, t), centred(n, 3, 5, false, t));
    return im_answer(requantized(n, sum, of_rows(n, 1, true, SCRT_F32),
                                 of_rows(n, 4, false, SCRT_F32), of_rows(n, 6, false, SCRT_F32), 7),
                     ret_out);
}

/* Operand i: a number, or one a channel of [.., channel, spatial...], `after` of them. */
static ScVal of_channels(const ImNode *n, uint32_t i, uint32_t after, ScrtDtype t)
{
    ScCtx *cx = n->im->cx;
    const ScTerm *dim[SCRT_MAX_RANK] = {sc_type_count(cx, im_type(n, i))};
    for (uint32_t d = 1; d <= after; d++)
        dim[d] = sc_term(cx, 1);
    bool one = sc_term_is(dim[0], 1);
    return im_cast(n, im_reshape(n, im_in(n, i), one ? 0 : after + 1, dim), t);
}

/* The convolution of x and w, operands ix and iw, less their zero points. */
static bool integer_conv(const ImNode *n, const uint32_t *ix, const uint32_t *iw, ScVal *ret)
{
    ScCtx *cx = n->im->cx;
    const ScType *w = im_type(n, iw[0]);
    if (w->rank < 3)
        return sc_fail(cx, n->loc, SC_E_RANK, "w has rank %u, at least 3 is needed", w->rank);
    const ScTerm *products = sc_type_count(cx, w);
    ScrtDtype t =
        sum_type(sc_term_is(w->dim[0], 0) ? w->dim[0] : sc_term_fdiv(cx, products, w->dim[0]));
    ScVal in[2] = {centred(n, ix[0], ix[1], false, t), im_cast(n, im_in(n, iw[0]), t)};
    if (im_has(n, iw[1])) /* one a filter, which is w's first axis */
        in[1] = sc_op(&n->im->b, sub, in[1], of_channels(n, iw[1], w->rank - 1, t));
    ImNode conv = *n;
    conv.in = in;
    conv.n_in = 2;
    return in[0] != SC_POISON && in[1] != SC_POISON && im_conv(&conv, ret);
}

static bool conv_integer(const ImNode *n, ScVal *ret_out)
{
    ScVal y;
    return im_arity(n, 2, 4) && IM_ONLY(n, IM_CONV_ATTRS) &&
           integer_conv(n, (uint32_t[]){0, 2}, (uint32_t[]){1, 3}, &y) &&
           im_answer(im_cast(n, y, SCRT_I32), ret_out);
}

/* x, its scale and zero point; w, its; y's; a bias in units of the product of the scales. */
static bool qlinear_conv(const ImNode *n, ScVal *ret_out)
{
    ScVal y;
    if (!im_arity(n, 8, 9) || !IM_ONLY(n, IM_CONV_ATTRS) ||
        !integer_conv(n, (uint32_t[]){0, 2}, (uint32_t[]){3, 5}, &y))
        return false;
    uint32_t after = im_type(n, 3)->rank - 2;
    if (im_has(n, 8))
        y = sc_op(&n->im->b, add, im_cast(n, y, SCRT_F64), of_channels(n, 8, after, SCRT_F64));
    return im_answer(requantized(n, y, of_channels(n, 1, after, SCRT_F32),
                                 of_channels(n, 4, after, SCRT_F32),
                                 of_channels(n, 6, after, SCRT_F32), 7),
                     ret_out);
}

/* --- Operators of com.microsoft on quantised tensors ------------------------------------------ */

/* What operand i stands for, its scale and zero point behind it: f32. */
static ScVal meant(const ImNode *n, uint32_t i)
{
    ScVal x = centred(n, i, i + 2, false, SCRT_F32);
    return sc_op(&n->im->b, mul, x, of_rows(n, i + 1, false, SCRT_F32));
}

/* f32 x as integers of the scale in operand i and the zero point behind it; u8 without one. */
static ScVal stored(const ImNode *n, ScVal x, uint32_t i)
{
    ScrtDtype to = im_has(n, i + 1) ? im_type(n, i + 1)->dtype : SCRT_U8;
    ScVal zero = im_has(n, i + 1) ? of_rows(n, i + 1, false, SCRT_F32) : SC_ABSENT;
    x = sc_op(&n->im->b, div, x, of_rows(n, i, false, SCRT_F32));
    return to_integer(n, x, zero, to, SCRT_F32);
}

static bool qlinear_add(const ImNode *n, ScVal *ret_out)
{
    return im_arity(n, 7, 8) && IM_ONLY(n) &&
           im_answer(stored(n, sc_op(&n->im->b, add, meant(n, 0), meant(n, 3)), 6), ret_out);
}

static bool qlinear_mul(const ImNode *n, ScVal *ret_out)
{
    return im_arity(n, 7, 8) && IM_ONLY(n) &&
           im_answer(stored(n, sc_op(&n->im->b, mul, meant(n, 0), meant(n, 3)), 6), ret_out);
}

static bool qlinear_sigmoid(const ImNode *n, ScVal *ret_out)
{
    return im_arity(n, 4, 5) && IM_ONLY(n) &&
           im_answer(stored(n, sc_op(&n->im->b, sigmoid, meant(n, 0)), 3), ret_out);
}

static bool qlinear_leaky_relu(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    double alpha = im_float(n, "alpha", 0.01, &ok);
    if (!ok || !im_arity(n, 4, 5) || !IM_ONLY(n, "alpha"))
        return false;
    ScVal y = sc_op_at(&n->im->b, leaky_relu, SC_ATTRS(SC_FLOAT(alpha)), meant(n, 0));
    return im_answer(stored(n, y, 3), ret_out);
}

/* y's scale and zero point, then three of each operand. */
static bool qlinear_concat(const ImNode *n, ScVal *ret_out)
{
    ScVal part[SC_MAX_IN];
    bool ok = true;
    uint32_t axis, count = n->n_in / 3;
    int64_t at = im_int(n, "axis", 0, &ok);
    if (!ok || !IM_ONLY(n, "axis") || !im_arity(n, 5, 2 + 3 * SC_MAX_IN) ||
        !im_axis(n, at, im_type(n, 2)->rank, &axis))
        return false;
    if (n->n_in % 3 != 2)
        return sc_fail(n->im->cx, n->loc, SC_E_ARITY, "%u operands", n->n_in);
    for (uint32_t i = 0; i < count; i++)
        part[i] = meant(n, 2 + 3 * i);
    return im_answer(stored(n, im_concat(n, axis, count, part), 0), ret_out);
}

static bool qlinear_global_pool(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    int64_t axes[SCRT_MAX_RANK], last = im_int(n, "channels_last", 0, &ok);
    uint32_t rank = im_type(n, 0)->rank;
    if (!ok || !im_arity(n, 4, 5) || !IM_ONLY(n, "channels_last"))
        return false;
    if (rank < 3)
        return sc_fail(n->im->cx, n->loc, SC_E_RANK, "x has rank %u, at least 3 is needed", rank);
    for (uint32_t i = 2; i < rank; i++)
        axes[i - 2] = last ? i - 1 : i;
    ScVal y = im_reduce(n, &sc_op_reduce_mean, meant(n, 0), rank - 2, axes, true);
    return im_answer(stored(n, y, 3), ret_out);
}

/* a, its scale and zero point; b, its; a bias in units of the product of the scales; y's, or
 * nothing where y is f32. */
static bool qgemm(const ImNode *n, ScVal *ret_out)
{
    static const int64_t turn[] = {1, 0};
    ScBuild *b = &n->im->b;
    bool ok = true;
    double alpha = im_float(n, "alpha", 1, &ok);
    int64_t ta = im_int(n, "transA", 0, &ok), tb = im_int(n, "transB", 0, &ok);
    if (!ok || !im_arity(n, 6, 9) || !IM_ONLY(n, "alpha", "transA", "transB"))
        return false;
    const ScType *a = im_type(n, 0);
    if (a->rank != 2 || im_type(n, 3)->rank != 2)
        return sc_fail(b->cx, n->loc, SC_E_RANK, "a and b must be matrices");
    ScrtDtype t = sum_type(a->dim[ta ? 0 : 1]);
    ScVal w = im_cast(n, im_in(n, 3), t);
    w = tb ? im_transpose(n, w, 2, turn) : w; /* zero points are one a column of this */
    w = im_has(n, 5) ? sc_op(b, sub, w, of_rows(n, 5, false, t)) : w;
    ScVal x = centred(n, 0, 2, false, t);
    ScVal y = im_cast(n, sc_op(b, matmul, ta ? im_transpose(n, x, 2, turn) : x, w), SCRT_F64);
    y = im_has(n, 6) ? sc_op(b, add, y, im_cast(n, im_in(n, 6), SCRT_F64)) : y;
    ScVal scale = sc_op(b, mul, of_rows(n, 1, false, SCRT_F32), of_rows(n, 4, false, SCRT_F32));
    scale = im_cast(n, sc_op(b, mul, scale, im_scalar(n, SCRT_F32, alpha)), SCRT_F64);
    y = im_cast(n, sc_op(b, mul, y, scale), SCRT_F32);
    return im_answer(im_has(n, 7) ? stored(n, y, 7) : y, ret_out);
}

/* f32 a by b, its scale and zero point, and a bias: a is quantised by its own range first. */
static bool dynamic_matmul(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    ScVal got[3];
    ImNode a = *n;
    a.n_in = 1;
    a.n_out = 3;
    if (!im_arity(n, 3, 5) || !IM_ONLY(n) || !dynamic_quantize(&a, got))
        return false;
    ScrtDtype t = matmul_type(n);
    ScVal x = sc_op(b, sub, im_cast(n, got[0], t), im_cast(n, got[2], t));
    ScVal w = centred(n, 1, 3, false, t);
    ScVal y = im_cast(n, sc_op(b, matmul, x, w), SCRT_F32);
    y = sc_op(b, mul, y, sc_op(b, mul, got[1], of_rows(n, 2, false, SCRT_F32)));
    return im_answer(im_has(n, 4) ? sc_op(b, add, y, im_in(n, 4)) : y, ret_out);
}

/* a, b, their scales, their zero points, a bias: f32. */
static bool matmul_to_float(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    if (!im_arity(n, 4, 7) || !IM_ONLY(n))
        return false;
    ScrtDtype t = matmul_type(n);
    ScVal y = sc_op(b, matmul, centred(n, 0, 4, true, t), centred(n, 1, 5, false, t));
    ScVal scale = sc_op(b, mul, of_rows(n, 2, true, SCRT_F32), of_rows(n, 3, false, SCRT_F32));
    y = sc_op(b, mul, im_cast(n, y, SCRT_F32), scale);
    return im_answer(im_has(n, 6) ? sc_op(b, add, y, im_in(n, 6)) : y, ret_out);
}

const ImAdapter im_quant_adapters[] = {
    {"", "QuantizeLinear", 10, 0, quantize, 1},
    {"", "DequantizeLinear", 10, 0, dequantize, 1},
    {"", "DynamicQuantizeLinear", 11, 0, dynamic_quantize, 3},
    {"", "MatMulInteger", 10, 0, matmul_integer, 1},
    {"", "QLinearMatMul", 10, 0, qlinear_matmul, 1},
    {"", "ConvInteger", 10, 0, conv_integer, 1},
    {"", "QLinearConv", 10, 0, qlinear_conv, 1},
    {"com.microsoft", "QuantizeLinear", 1, 0, quantize, 1},
    {"com.microsoft", "DequantizeLinear", 1, 0, dequantize, 1},
    {"com.microsoft", "QLinearAdd", 1, 0, qlinear_add, 1},
    {"com.microsoft", "QLinearMul", 1, 0, qlinear_mul, 1},
    {"com.microsoft", "QLinearSigmoid", 1, 0, qlinear_sigmoid, 1},
    {"com.microsoft", "QLinearLeakyRelu", 1, 0, qlinear_leaky_relu, 1},
    {"com.microsoft", "QLinearConcat", 1, 0, qlinear_concat, 1},
    {"com.microsoft", "QLinearGlobalAveragePool", 1, 0, qlinear_global_pool, 1},
    {"com.microsoft", "QGemm", 1, 0, qgemm, 1},
    {"com.microsoft", "DynamicQuantizeMatMul", 1, 0, dynamic_matmul, 1},
    {"com.microsoft", "MatMulIntegerToFloat", 1, 0, matmul_to_float, 1},
    {NULL, NULL, 0, 0, NULL, 0},
};
