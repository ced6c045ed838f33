/* SPDX-License-Identifier: Apache-2.0 */
/* Operators about positions: ranges, triangles, diagonals, one-hot vectors. All are comparisons of
 * row iota, so that they follow symbolic extents. */
#include "frontend/frontend_priv.h"

#include <math.h>
#include <string.h>

/* --- Range ------------------------------------------------------------------------------------ */

/* max(ceil((limit - start) / delta), 0) of integers; of an extent the extent itself. */
static const ScTerm *whole_count(const ImNode *n)
{
    ScCtx *cx = n->im->cx;
    const ScTerm *start = im_content1(n, 0), *limit = start ? im_content1(n, 1) : NULL;
    const ScTerm *delta = limit ? im_content1(n, 2) : NULL, *zero = sc_term(cx, 0);
    int64_t by = 1;
    if (!delta || !im_require(n, SC_GUARD_DIFFER, delta, zero, "the step of a range"))
        return NULL;
    const ScTerm *length = sc_term_sub(cx, limit, start);
    if (sc_term_const(delta, &by) && by < 0 && by != INT64_MIN) { /* terms divide by positives */
        length = sc_term_sub(cx, start, limit);
        delta = sc_term(cx, -by);
    }
    const ScTerm *count = sc_term_cdiv(cx, length, delta);
    return sc_term_range(cx, count).lo >= 0 ? count : sc_term_max(cx, count, zero);
}

/* The same of floats: the difference in their own type, the quotient in f64. */
static const ScTerm *float_count(const ImNode *n)
{
    ScBuild *b = &n->im->b;
    int64_t c;
    ScVal in[3];
    for (uint32_t i = 0; i < 3; i++)
        in[i] = im_reshape(n, im_in(n, i), 0, NULL);
    ScVal none = im_scalar(n, SCRT_F64, 0), by = im_cast(n, in[2], SCRT_F64);
    ScVal steps = sc_op(b, div, im_cast(n, sc_op(b, sub, in[1], in[0]), SCRT_F64), by);
    steps = sc_op(b, where, sc_op(b, greater, steps, none), sc_op(b, ceil, steps), none);
    steps = sc_op(b, where, sc_op(b, equal, by, none), im_scalar(n, SCRT_F64, -1), steps);
    steps = sc_op(b, min, steps, im_scalar(n, SCRT_F64, INT32_MAX));
    ScVal count = im_cast(n, steps, SCRT_I64);
    if (count == SC_POISON)
        return NULL;
    const ScTerm *extent =
        im_known_int(n, count, &c) ? sc_term(b->cx, c) : sc_built(b, im_bind(n, count))->content[0];
    bool ok = im_require(n, SC_GUARD_AT_MOST, sc_term(b->cx, 0), extent,
                         "elements of a range, whose step is not 0") &&
              im_require(n, SC_GUARD_AT_MOST, extent, sc_term(b->cx, INT32_MAX - 1),
                         "elements of a range");
    return ok ? extent : NULL;
}

/* Floats of 16 bits are reckoned in f32. */
static bool range(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    if (!im_arity(n, 3, 3) || !IM_ONLY(n))
        return false;
    ScrtDtype t = im_type(n, 0)->dtype, in = t == SCRT_F16 || t == SCRT_BF16 ? SCRT_F32 : t;
    const ScTerm *count = scrt_dtype_is_float(t) ? float_count(n) : whole_count(n);
    if (!count)
        return false;
    ScVal i = im_cast(n, im_iota(n, count, 0), in);
    ScVal start = im_cast(n, im_reshape(n, im_in(n, 0), 0, NULL), in);
    ScVal delta = im_cast(n, im_reshape(n, im_in(n, 2), 0, NULL), in);
    return im_answer(im_cast(n, sc_op(b, add, start, sc_op(b, mul, i, delta)), t), ret_out);
}

/* --- Triangles and diagonals ------------------------------------------------------------------ */

/* column - row for a matrix of these extents. */
static ScVal diagonal(const ImNode *n, const ScTerm *rows, const ScTerm *columns)
{
    return sc_op(&n->im->b, sub, im_iota(n, columns, 0), im_iota(n, rows, 1));
}

static bool trilu(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    bool ok = true;
    int64_t upper = im_int(n, "upper", 1, &ok);
    if (!im_arity(n, 1, 2) || !ok || !IM_ONLY(n, "upper"))
        return false;
    const ScType *t = im_type(n, 0);
    if (t->rank < 2)
        return sc_fail(b->cx, n->loc, SC_E_RANK, "rank %u, at least 2 is needed", t->rank);
    ScVal k = im_has(n, 1) ? im_reshape(n, im_in(n, 1), 0, NULL) : im_number(n, sc_term(b->cx, 0));
    ScVal at = diagonal(n, t->dim[t->rank - 2], t->dim[t->rank - 1]);
    ScVal keep = upper ? sc_op(b, greater_or_equal, at, k) : sc_op(b, less_or_equal, at, k);
    return im_answer(sc_op(b, where, keep, im_in(n, 0), im_scalar(n, t->dtype, 0)), ret_out);
}

static bool eye_like(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    bool ok = true;
    if (!im_arity(n, 1, 1) || !IM_ONLY(n, "dtype", "k"))
        return false;
    const ScType *t = im_type(n, 0);
    int64_t k = im_int(n, "k", 0, &ok), to = im_int(n, "dtype", t->dtype, &ok);
    if (ok && (t->rank != 2 || scrt_dtype_bits((ScrtDtype)to) == 0))
        return sc_fail(b->cx, n->loc, SC_E_ATTRIBUTE, "rank %u, \"dtype\" %lld", t->rank,
                       (long long)to);
    ScVal on = sc_op(b, equal, diagonal(n, t->dim[0], t->dim[1]), im_number(n, sc_term(b->cx, k)));
    return ok && im_answer(im_cast(n, on, (ScrtDtype)to), ret_out);
}

/* --- OneHot ----------------------------------------------------------------------------------- */

/* An extent in operand i, of any type. */
static const ScTerm *count_of(const ImNode *n, uint32_t i)
{
    double x;
    if (!scrt_dtype_is_float(im_type(n, i)->dtype))
        return im_content1(n, i);
    return im_known1(n, i, &x) ? sc_term(n->im->cx, (int64_t)fmin(fmax(x, 0), INT32_MAX)) : NULL;
}

/* Indices are rounded toward zero; those outside [-depth, depth) are off everywhere. */
static bool one_hot(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    ScCtx *cx = b->cx;
    bool ok = true;
    uint32_t axis = 0;
    const ScTerm *dim[SCRT_MAX_RANK];
    int64_t given = im_int(n, "axis", -1, &ok);
    if (!im_arity(n, 3, 3) || !ok || !IM_ONLY(n, "axis"))
        return false;
    const ScType *t = im_type(n, 0);
    if (t->rank == SCRT_MAX_RANK || !im_axis(n, given, t->rank + 1, &axis))
        return t->rank == SCRT_MAX_RANK && sc_fail(cx, n->loc, SC_E_LIMIT, "rank %u", t->rank + 1);
    const ScTerm *depth = count_of(n, 1), *one = sc_term(cx, 1), *zero = sc_term(cx, 0);
    if (!depth)
        return false;
    for (uint32_t d = 0; d <= t->rank; d++)
        dim[d] = d == axis ? one : t->dim[d - (d > axis)];
    ScVal at = im_reshape(n, im_cast(n, im_in(n, 0), SCRT_I64), t->rank + 1, dim);
    ScVal from_end = sc_op(b, less, at, im_number(n, zero));
    at = sc_op(b, where, from_end, sc_op(b, add, at, im_number(n, depth)), at);
    ScVal off = im_reshape(n, im_slice(n, im_in(n, 2), 0, zero, one), 0, NULL);
    ScVal on = im_reshape(n, im_slice(n, im_in(n, 2), 0, one, NULL), 0, NULL);
    ScVal is = sc_op(b, equal, at, im_iota(n, depth, t->rank - axis));
    return im_answer(sc_op(b, where, is, on, off), ret_out);
}

/* --- Hardmax ---------------------------------------------------------------------------------- */

/* 1 at the first of the largest along an axis (before opset 13: along all from it on), else 0. */
static bool hardmax(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    ScCtx *cx = b->cx;
    bool ok = true;
    uint32_t axis = 0;
    int64_t given = im_int(n, "axis", n->opset < 13 ? 1 : -1, &ok);
    if (!im_arity(n, 1, 1) || !ok || !IM_ONLY(n, "axis"))
        return false;
    const ScType *t = im_type(n, 0);
    if (!im_axis(n, given, t->rank, &axis))
        return false;
    const ScTerm *flat[3] = {sc_term(cx, 1), t->dim[axis], sc_term(cx, 1)};
    for (uint32_t d = 0; d < t->rank; d++)
        if (d < axis || (d > axis && n->opset >= 13))
            flat[d < axis ? 0 : 2] = sc_term_mul(cx, flat[d < axis ? 0 : 2], t->dim[d]);
        else if (d > axis)
            flat[1] = sc_term_mul(cx, flat[1], t->dim[d]);
    const int64_t along = 1;
    ScVal x = im_reshape(n, im_in(n, 0), 3, flat), i = im_iota(n, flat[1], 1);
    ScVal largest = im_reduce(n, &sc_op_reduce_max, x, 1, &along, true);
    ScVal at = sc_op(b, where, sc_op(b, equal, x, largest), i, im_number(n, flat[1]));
    ScVal first = im_reduce(n, &sc_op_reduce_min, at, 1, &along, true);
    ScVal y = im_cast(n, sc_op(b, equal, i, first), t->dtype);
    return im_answer(im_reshape(n, y, t->rank, t->dim), ret_out);
}

/* --- ReverseSequence -------------------------------------------------------------------------- */

/* The first len[b] steps of sample b backward, the rest as they are: rows of x are gathered, which
 * are its first two axes, the times and the samples. */
static bool reverse_sequence(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    ScCtx *cx = b->cx;
    bool ok = true;
    int64_t time = im_int(n, "time_axis", 0, &ok), sample = im_int(n, "batch_axis", 1, &ok);
    if (!im_arity(n, 2, 2) || !ok || !IM_ONLY(n, "batch_axis", "time_axis"))
        return false;
    const ScType *t = im_type(n, 0), *lengths = im_type(n, 1);
    if (t->rank < 2 || time + sample != 1 || time < 0 || sample < 0 || lengths->rank != 1)
        return sc_fail(cx, n->loc, SC_E_AXIS, "\"time_axis\" %lld, \"batch_axis\" %lld, rank %u",
                       (long long)time, (long long)sample, t->rank);
    const ScTerm *rows[SCRT_MAX_RANK] = {sc_term_mul(cx, t->dim[0], t->dim[1])};
    const ScTerm *len_dim[] = {lengths->dim[0], sc_term(cx, 1)};
    for (uint32_t d = 2; d < t->rank; d++)
        rows[d - 1] = t->dim[d];
    ScVal len = im_reshape(n, im_cast(n, im_in(n, 1), SCRT_I64), sample ? 1 : 2, len_dim);
    ScVal step = im_iota(n, t->dim[time], time ? 0 : 1);
    ScVal who = im_iota(n, t->dim[sample], sample ? 0 : 1);
    ScVal back = sc_op(b, sub, sc_op(b, sub, len, step), im_number(n, sc_term(cx, 1)));
    step = sc_op(b, where, sc_op(b, less, step, len), back, step);
    ScVal wide = im_number(n, t->dim[1]);
    ScVal row = time ? sc_op(b, add, sc_op(b, mul, who, wide), step)
                     : sc_op(b, add, sc_op(b, mul, step, wide), who);
    return im_answer(im_gather(n, im_reshape(n, im_in(n, 0), t->rank - 1, rows), 0, row), ret_out);
}

/* --- Windows of signals ----------------------------------------------------------------------- */

/* a0 - a1 cos(2 pi i / m) + a2 cos(4 pi i / m) for i < size, of m = size, or size - 1 where the
 * window is not periodic. */
static bool cosine_window(const ImNode *n, double a0, double a1, double a2, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    bool ok = true;
    if (!im_arity(n, 1, 1) || !IM_ONLY(n, "output_datatype", "periodic"))
        return false;
    int64_t to = im_int(n, "output_datatype", SCRT_F32, &ok),
            periodic = im_int(n, "periodic", 1, &ok);
    const ScTerm *size = ok ? im_content1(n, 0) : NULL;
    if (!size)
        return false;
    if (scrt_dtype_bits((ScrtDtype)to) == 0)
        return sc_fail(b->cx, n->loc, SC_E_ATTRIBUTE, "\"output_datatype\" is %lld", (long long)to);
    ScVal m = im_cast(n, im_number(n, sc_term_addc(b->cx, size, periodic ? 0 : -1)), SCRT_F64);
    ScVal turn =
        sc_op(b, mul, im_cast(n, im_iota(n, size, 0), SCRT_F64), im_scalar(n, SCRT_F64, 2 * M_PI));
    turn = sc_op(b, div, turn, m);
    ScVal y = sc_op(b, mul, sc_op(b, cos, turn), im_scalar(n, SCRT_F64, a1));
    y = sc_op(b, sub, im_scalar(n, SCRT_F64, a0), y);
    if (a2 != 0) {
        ScVal twice = sc_op(b, cos, sc_op(b, add, turn, turn));
        y = sc_op(b, add, y, sc_op(b, mul, twice, im_scalar(n, SCRT_F64, a2)));
    }
    return im_answer(im_cast(n, y, (ScrtDtype)to), ret_out);
}

static bool hann(const ImNode *n, ScVal *ret_out)
{
    return cosine_window(n, 0.5, 0.5, 0, ret_out);
}

static bool hamming(const ImNode *n, ScVal *ret_out)
{
    return cosine_window(n, 25.0 / 46, 21.0 / 46, 0, ret_out);
}

static bool blackman(const ImNode *n, ScVal *ret_out)
{
    return cosine_window(n, 0.42, 0.5, 0.08, ret_out);
}

/* --- The rest --------------------------------------------------------------------------------- */

static bool size(const ImNode *n, ScVal *ret_out)
{
    if (!im_arity(n, 1, 1) || !IM_ONLY(n))
        return false;
    return im_answer(im_number(n, sc_type_count(n->im->cx, im_type(n, 0))), ret_out);
}

const ImAdapter im_index_adapters[] = {
    {"", "Range", 11, 0, range, 1},
    {"", "Trilu", 14, 0, trilu, 1},
    {"com.microsoft", "Trilu", 1, 0, trilu, 1},
    {"", "EyeLike", 9, 0, eye_like, 1},
    {"", "OneHot", 9, 0, one_hot, 1},
    {"", "Hardmax", 1, 0, hardmax, 1},
    {"", "Size", 1, 0, size, 1},
    {"", "HannWindow", 17, 0, hann, 1},
    {"", "HammingWindow", 17, 0, hamming, 1},
    {"", "BlackmanWindow", 17, 0, blackman, 1},
    {"", "ReverseSequence", 10, 0, reverse_sequence, 1},
    {NULL, NULL, 0, 0, NULL, 0},
};
