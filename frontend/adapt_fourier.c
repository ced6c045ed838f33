/* SPDX-License-Identifier: Apache-2.0 */
/* Fourier transforms as products with tables of cosines, which fold where the lengths are known: a
 * signal [.., samples, parts], parts 1 (real) or 2 (real, imaginary), by a table [samples, parts,
 * bins, parts]. A short-time transform is the convolution with such a table under a window. */
#include "frontend/frontend_priv.h"

#include <math.h>

#define OP(op, ...) sc_op(&n->im->b, op, __VA_ARGS__)

typedef struct Table {
    const ScTerm *length;         /* N of the transform */
    const ScTerm *samples, *bins; /* that the operand has, that the result gets */
    int64_t in, out;              /* parts of each */
    bool inverse, half;           /* half: the operand is the first half of a real one's bins */
} Table;

static ScVal real(const ImNode *n, double x)
{
    return im_scalar(n, SCRT_F64, x);
}

/* 0 .. count - 1 in f64, `after` axes of extent 1 behind. */
static ScVal count_up(const ImNode *n, const ScTerm *count, uint32_t after)
{
    return im_cast(n, im_iota(n, count, after), SCRT_F64);
}

/* What sample i weighs: nothing beyond the length; of half a spectrum twice, but for the first and
 * the middle one, whose mirror images they are themselves. */
static ScVal weights(const ImNode *n, const Table *t)
{
    ScVal i = im_iota(n, t->samples, 3), size = im_number(n, t->length);
    if (!t->half)
        return im_cast(n, OP(less, i, size), SCRT_F64);
    ScVal twice = OP(add, i, i), zero = im_number(n, sc_term(n->im->cx, 0));
    ScVal below = im_cast(n, OP(less, twice, size), SCRT_F64);
    ScVal middle = im_cast(n, OP(equal, twice, size), SCRT_F64);
    ScVal first = im_cast(n, OP(equal, i, zero), SCRT_F64);
    return OP(sub, OP(add, OP(mul, below, real(n, 2)), middle), first);
}

/* [samples, in, bins, out]: the cosine of 2 pi i k / N, a quarter of a turn on for an imaginary
 * result and back for an imaginary operand, which makes sines of it. */
static ScVal table(const ImNode *n, const Table *t)
{
    ScCtx *cx = n->im->cx;
    ScVal size = im_number(n, t->length);
    ScVal ik = OP(mul, im_iota(n, t->samples, 3), im_iota(n, t->bins, 1));
    ik = im_cast(n, sc_op_at(&n->im->b, mod, SC_ATTRS(SC_INT(0)), ik, size), SCRT_F64);
    ScVal turn = OP(div, real(n, (t->inverse ? -2 : 2) * M_PI), im_cast(n, size, SCRT_F64));
    ScVal quarter =
        OP(sub, count_up(n, sc_term(cx, t->out), 0), count_up(n, sc_term(cx, t->in), 2));
    ScVal angle = OP(add, OP(mul, ik, turn), OP(mul, quarter, real(n, M_PI / 2)));
    ScVal y = OP(mul, OP(cos, angle), weights(n, t));
    return t->inverse ? OP(div, y, im_cast(n, size, SCRT_F64)) : y;
}

/* The parts that operand i has: 1 or 2; 0 after sc_fail. */
static int64_t parts_of(const ImNode *n, const ScType *t)
{
    int64_t parts = 0;
    if (t->rank < 2 || !sc_term_const(t->dim[t->rank - 1], &parts) || parts < 1 || parts > 2) {
        sc_fail(n->im->cx, n->loc, SC_E_SHAPE, "the last extent of a signal must be 1 or 2");
        return 0;
    }
    return parts;
}

/* floor(x / 2) + 1 */
static const ScTerm *half_of(ScCtx *cx, const ScTerm *x)
{
    return sc_term_addc(cx, sc_term_fdiv(cx, x, sc_term(cx, 2)), 1);
}

/* The axis was an attribute before opset 20. */
static bool dft_axis(const ImNode *n, uint32_t rank, uint32_t *ret)
{
    bool ok = true;
    double given = n->opset < 20 ? (double)im_int(n, "axis", 1, &ok) : -2;
    if (!ok || (im_has(n, 2) && !im_known1(n, 2, &given)) || !im_axis(n, (int64_t)given, rank, ret))
        return false;
    return *ret + 1 < rank || sc_fail(n->im->cx, n->loc, SC_E_AXIS, "the last one holds parts");
}

static bool dft(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    bool ok = true;
    int64_t perm[SCRT_MAX_RANK];
    uint32_t axis;
    const ScTerm *dim[SCRT_MAX_RANK];
    if (!im_arity(n, 1, 3) || !IM_ONLY(n, "inverse", "onesided", n->opset < 20 ? "axis" : NULL))
        return false;
    const ScType *x = im_type(n, 0);
    Table t = {.inverse = im_int(n, "inverse", 0, &ok) != 0, .in = parts_of(n, x)};
    bool half = im_int(n, "onesided", 0, &ok) != 0;
    if (!ok || t.in == 0 || !dft_axis(n, x->rank, &axis))
        return false;
    t.half = t.inverse && half;
    t.samples = x->dim[axis];
    t.out = t.half ? 1 : 2;
    t.length = im_has(n, 1) ? im_content1(n, 1)
               : t.half     ? sc_term_scale(cx, sc_term_addc(cx, t.samples, -1), 2)
                            : t.samples;
    if (!t.length || !im_require(n, SC_GUARD_AT_MOST, sc_term(cx, 1), t.length, "a length"))
        return false;
    t.bins = half && !t.inverse ? half_of(cx, t.length) : t.length;
    uint32_t last = x->rank - 2; /* where the axis goes, and where it comes back from */
    for (uint32_t d = 0; d < x->rank; d++)
        perm[d] = d == axis ? last : d == last ? axis : d;
    for (uint32_t d = 0; d < last; d++)
        dim[d] = x->dim[perm[d]];
    dim[last] = sc_term_scale(cx, t.samples, t.in);
    const ScTerm *flat[] = {dim[last], sc_term_scale(cx, t.bins, t.out)};
    ScVal rows = im_reshape(n, im_transpose(n, im_in(n, 0), x->rank, perm), last + 1, dim);
    ScVal y = OP(matmul, rows, im_cast(n, im_reshape(n, table(n, &t), 2, flat), x->dtype));
    dim[last] = t.bins;
    dim[last + 1] = sc_term(cx, t.out);
    return im_answer(im_transpose(n, im_reshape(n, y, x->rank, dim), x->rank, perm), ret_out);
}

/* signal, step, window, length */
static bool stft(const ImNode *n, ScVal *ret_out)
{
    static const int64_t parts_first[] = {0, 2, 1}, taps_last[] = {2, 3, 1, 0};
    ScCtx *cx = n->im->cx;
    bool ok = true;
    double step = 0;
    int64_t known;
    if (!im_arity(n, 2, 4) || !IM_ONLY(n, "onesided"))
        return false;
    const ScType *x = im_type(n, 0);
    bool half = im_int(n, "onesided", 1, &ok) != 0;
    Table t = {.in = x->rank == 3 ? parts_of(n, x) : 0, .out = 2};
    if (x->rank != 3)
        return sc_fail(cx, n->loc, SC_E_RANK, "the signal has rank %u, not 3", x->rank);
    if (!ok || t.in == 0 || !im_known1(n, 1, &step))
        return false;
    if (!im_has(n, 3) && (!im_has(n, 2) || im_type(n, 2)->rank != 1))
        return sc_fail(cx, n->loc, SC_E_ARITY, "neither a window nor a length");
    t.length = im_has(n, 3) ? im_content1(n, 3) : im_type(n, 2)->dim[0];
    if (!t.length)
        return false;
    if (!im_number_of(n, t.length, "the length of a frame", &known))
        return false;
    if (known < 1 || known > INT32_MAX || step < 1 || step > INT32_MAX)
        return sc_fail(cx, n->loc, SC_E_SHAPE, "frames of %lld, %g apart", (long long)known, step);
    t.samples = t.length;
    t.bins = half ? half_of(cx, t.length) : t.length;
    const ScTerm *channels = sc_term_scale(cx, t.bins, 2),
                 *none[] = {sc_term(cx, 0), sc_term(cx, 0)};
    const ScTerm *taps[] = {channels, sc_term(cx, t.in), t.length}, *one = sc_term(cx, 1);
    ScVal w = table(n, &t);
    if (im_has(n, 2)) {
        const ScTerm *column[] = {t.length, one, one, one};
        if (!im_require(n, SC_GUARD_EQUAL, sc_type_count(cx, im_type(n, 2)), t.length,
                        "the window and the length of a frame"))
            return false;
        w = OP(mul, w, im_cast(n, im_reshape(n, im_in(n, 2), 4, column), SCRT_F64));
    }
    w = im_reshape(n, im_transpose(n, im_cast(n, w, x->dtype), 4, taps_last), 3, taps);
    const int64_t by = (int64_t)step, single = 1;
    ScVal y = im_build(n, &sc_op_conv,
                       IM_SET({"strides", SC_INTS(1, &by)}, {"pads", SC_TERMS(2, none)},
                              {"dilations", SC_INTS(1, &single)}, {"group", SC_INT(1)}),
                       IM_IN(im_transpose(n, im_in(n, 0), 3, parts_first), w));
    if (y == SC_POISON)
        return false;
    const ScType *got = im_type_of(n, y);
    const ScTerm *to[] = {got->dim[0], got->dim[2], t.bins, sc_term(cx, 2)};
    return im_answer(im_reshape(n, im_transpose(n, y, 3, parts_first), 4, to), ret_out);
}

/* --- MelWeightMatrix -------------------------------------------------------------------------- */

#define MAX_MEL (1 << 24) /* elements of a matrix */

static double mel(double hertz)
{
    return 2595 * log10(1 + hertz / 700);
}

/* Triangles between the bins of the mel scale's even steps: p holds bands, length of the transform,
 * sample rate, lowest and highest frequency. ret [bins, bands], bins = length / 2 + 1. */
static bool triangles(const double *p, int64_t bins, double *ret)
{
    int64_t bands = (int64_t)p[0];
    double low = mel(p[3]), step = (mel(p[4]) - low) / (double)(bands + 2);
    for (int64_t i = 0; i < bands; i++) {
        int64_t edge[3];
        for (int64_t k = 0; k < 3; k++) {
            double hertz = 700 * (pow(10, ((double)(i + k) * step + low) / 2595) - 1);
            double at = floor((p[1] + 1) * hertz / p[2]);
            if (!(at >= 0 && at <= (double)bins))
                return false;
            edge[k] = (int64_t)at;
        }
        int64_t rise = edge[1] - edge[0], fall = edge[2] - edge[1];
        if (edge[1] >= bins)
            return false;
        for (int64_t j = edge[0]; rise > 0 && j <= edge[1]; j++)
            ret[j * bands + i] = (double)(j - edge[0]) / (double)rise;
        if (rise == 0)
            ret[edge[1] * bands + i] = 1;
        for (int64_t j = edge[1]; j < edge[2]; j++)
            ret[j * bands + i] = (double)(edge[2] - j) / (double)fall;
    }
    return true;
}

/* All operands are known numbers. */
static bool mel_weights(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    bool ok = true;
    double p[5];
    ScrtDtype to = (ScrtDtype)im_int(n, "output_datatype", SCRT_F32, &ok);
    if (!ok || !im_arity(n, 5, 5) || !IM_ONLY(n, "output_datatype"))
        return false;
    for (uint32_t i = 0; i < 5; i++)
        if (!im_known1(n, i, &p[i]))
            return false;
    if (!(p[0] >= 1 && p[1] >= 1 && p[2] >= 1) || p[0] > MAX_MEL || p[1] > MAX_MEL ||
        p[0] * (p[1] / 2 + 1) > MAX_MEL || scrt_dtype_bits(to) < 8)
        return sc_fail(cx, n->loc, SC_E_LIMIT, "%g bands of a transform of %g at %g", p[0], p[1],
                       p[2]);
    int64_t dim[] = {(int64_t)p[1] / 2 + 1, (int64_t)p[0]};
    size_t count = (size_t)(dim[0] * dim[1]);
    double *data = sc_array(sc_ctx_arena(cx), double, count);
    if (!triangles(p, dim[0], data))
        return sc_fail(cx, n->loc, SC_E_ATTRIBUTE, "frequencies from %g to %g lie outside", p[3],
                       p[4]);
    ScVal y = sc_const(&n->im->b, sc_blob(cx, NULL, SCRT_F64, 2, dim, data), SCRT_F64, NULL);
    return im_answer(im_cast(n, y, to), ret_out);
}

const ImAdapter im_fourier_adapters[] = {
    {"", "DFT", 17, 0, dft, 1},
    {"", "STFT", 17, 0, stft, 1},
    {"", "MelWeightMatrix", 17, 0, mel_weights, 1},
    {NULL, NULL, 0, 0, NULL, 0},
};
