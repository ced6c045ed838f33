/* SPDX-License-Identifier: Apache-2.0 */
/* Reductions: axes that became operands, reductions over no axes, and of integers what the rows,
 * which are of floats, do not say. */
#include "frontend/frontend_priv.h"

#include <string.h>

typedef struct Reduce {
    const ImNode *n;
    const ScOp *op;
    uint32_t n_axis;
    int64_t axis[SCRT_MAX_RANK]; /* in [0, rank) */
    bool keep;
} Reduce;

static ScVal cast_to(const Reduce *r, ScVal x, ScrtDtype to)
{
    return sc_op_at(&r->n->im->b, cast, SC_ATTRS(SC_DT(to)), x);
}

static ScVal over(const Reduce *r, const ScOp *op, ScVal x)
{
    return im_build(r->n, op,
                    IM_SET({"axes", SC_INTS(r->n_axis, r->axis)}, {"keepdims", SC_INT(r->keep)}),
                    IM_IN(x));
}

/* Over no axes nothing is added up; what a composite reduction does beside that stays. */
static ScVal over_nothing(const Reduce *r, ScVal x)
{
    ScBuild *b = &r->n->im->b;
    if (r->op == &sc_op_reduce_sum_square)
        return sc_op(b, mul, x, x);
    if (r->op == &sc_op_reduce_l1 || r->op == &sc_op_reduce_l2)
        return sc_op(b, abs, x);
    return r->op == &sc_op_reduce_log_sum ? sc_op(b, log, x) : x;
}

/* The number of elements that are reduced to one, as an integer of type t that broadcasts. */
static ScVal count(const Reduce *r, ScrtDtype t)
{
    ScCtx *cx = r->n->im->cx;
    ScBuild *b = &r->n->im->b;
    const ScType *x = im_type(r->n, 0);
    const ScTerm *n = sc_term(cx, 1);
    int64_t c;
    for (uint32_t i = 0; i < r->n_axis; i++)
        n = sc_term_mul(cx, n, x->dim[r->axis[i]]);
    ScVal v = sc_term_const(n, &c) ? sc_const_i64(b, 1, &c)
                                   : sc_op_at(b, term, SC_ATTRS(SC_TERMS(1, &n)));
    v = sc_op_at(b, reshape, SC_ATTRS(SC_TERMS(0, NULL)), v);
    return t == SCRT_I64 ? v : cast_to(r, v, t);
}

/* Integers: sums wrap as their type does, the mean rounds toward zero; roots and logarithms are
 * taken in f64 and rounded toward zero. */
static ScVal of_integers(const Reduce *r, ScVal x, ScrtDtype t)
{
    ScBuild *b = &r->n->im->b;
    if (r->op == &sc_op_reduce_mean)
        return sc_op(b, div, over(r, &sc_op_reduce_sum, x), count(r, t));
    if (r->op == &sc_op_reduce_l1)
        return over(r, &sc_op_reduce_sum, sc_op(b, abs, x));
    if (r->op == &sc_op_reduce_sum_square)
        return over(r, &sc_op_reduce_sum, sc_op(b, mul, x, x));
    if (r->op == &sc_op_reduce_l2 || r->op == &sc_op_reduce_log_sum ||
        r->op == &sc_op_reduce_log_sum_exp)
        return cast_to(r, over(r, r->op, cast_to(r, x, SCRT_F64)), t);
    return over(r, r->op, x);
}

/* The axes, an attribute before opset `since` and an operand from it on, or all. False after
 * sc_fail. *ret_none: none are given. */
static bool read_axes(Reduce *r, int since, bool *ret_none)
{
    const ImNode *n = r->n;
    bool ok = true, operand = n->opset >= since;
    uint32_t n_axes = 0, rank = im_type(n, 0)->rank;
    const int64_t *axes = NULL;
    if (!operand)
        axes = im_ints(n, "axes", &n_axes, &ok);
    else if (im_has(n, 1))
        ok = (axes = im_const_ints(n, 1, &n_axes)) != NULL;
    if (!ok)
        return false;
    if (n_axes > rank)
        return sc_fail(n->im->cx, n->loc, SC_E_AXIS, "%u axes for rank %u", n_axes, rank);
    for (uint32_t i = 0; i < n_axes; i++) {
        if (axes[i] < -(int64_t)rank || axes[i] >= (int64_t)rank)
            return sc_fail(n->im->cx, n->loc, SC_E_AXIS, "%lld for rank %u", (long long)axes[i],
                           rank);
        r->axis[i] = axes[i] < 0 ? axes[i] + rank : axes[i];
    }
    *ret_none = n_axes == 0;
    for (uint32_t i = 0; n_axes == 0 && i < rank; i++)
        r->axis[i] = i;
    r->n_axis = n_axes ? n_axes : rank;
    return true;
}

static bool reduce(const ImNode *n, ScVal *ret_out)
{
    bool ok = true, none = false;
    Reduce r = {.n = n, .op = sc_op_onnx(n->im->cx, "", n->pb->op_type, n->opset)};
    r.keep = im_int(n, "keepdims", 1, &ok) != 0;
    int64_t noop = im_int(n, "noop_with_empty_axes", 0, &ok);
    static const char *const known[] = {"axes", "keepdims", "noop_with_empty_axes", NULL};
    if (n->n_in < 1 || !im_has(n, 0))
        return sc_fail(n->im->cx, n->loc, SC_E_ARITY, "operand data is missing");
    if (!ok || !im_only_attrs(n, known) ||
        !read_axes(&r, r.op == &sc_op_reduce_sum ? 13 : 18, &none))
        return false;
    ScVal x = im_in(n, 0);
    ScrtDtype t = im_type(n, 0)->dtype;
    bool order = r.op == &sc_op_reduce_max || r.op == &sc_op_reduce_min;
    bool whole = scrt_dtype_is_integer(t);
    bool wide = whole && none && noop && r.op == &sc_op_reduce_log_sum; /* logarithms are floats */
    x = wide ? cast_to(&r, x, SCRT_F64) : x;
    if (none && noop)
        ret_out[0] = wide ? cast_to(&r, over_nothing(&r, x), t) : over_nothing(&r, x);
    else if (order && t == SCRT_BOOL) /* ordered as the numbers 0 and 1 */
        ret_out[0] = cast_to(&r, over(&r, r.op, cast_to(&r, x, SCRT_U8)), SCRT_BOOL);
    else
        ret_out[0] = whole ? of_integers(&r, x, t) : over(&r, r.op, x);
    return ret_out[0] != SC_POISON;
}

/* The axis is an operand. */
static bool running(const ImNode *n, const ScOp *op, ScVal *ret_out)
{
    bool ok = true;
    double axis;
    int64_t exclusive = im_int(n, "exclusive", 0, &ok), reverse = im_int(n, "reverse", 0, &ok);
    if (!ok || !im_arity(n, 2, 2) || !IM_ONLY(n, "exclusive", "reverse") || !im_known1(n, 1, &axis))
        return false;
    return im_answer(
        im_build(n, op,
                 IM_SET({"axis", SC_INT((int64_t)axis)}, {"exclusive", SC_INT(exclusive != 0)},
                        {"reverse", SC_INT(reverse != 0)}),
                 IM_IN(im_in(n, 0))),
        ret_out);
}

static bool cumsum(const ImNode *n, ScVal *ret_out)
{
    return running(n, &sc_op_cumsum, ret_out);
}

static bool cumprod(const ImNode *n, ScVal *ret_out)
{
    return running(n, &sc_op_cumprod, ret_out);
}

const ImAdapter im_reduce_adapters[] = {
    {"", "ReduceSum", 1, 0, reduce, 1},    {"", "ReduceMean", 1, 0, reduce, 1},
    {"", "ReduceMax", 1, 0, reduce, 1},    {"", "ReduceMin", 1, 0, reduce, 1},
    {"", "ReduceProd", 1, 0, reduce, 1},   {"", "ReduceL1", 1, 0, reduce, 1},
    {"", "ReduceL2", 1, 0, reduce, 1},     {"", "ReduceSumSquare", 1, 0, reduce, 1},
    {"", "CumSum", 11, 0, cumsum, 1},      {"", "CumProd", 26, 0, cumprod, 1},
    {"", "ReduceLogSum", 1, 0, reduce, 1}, {"", "ReduceLogSumExp", 1, 0, reduce, 1},
    {NULL, NULL, 0, 0, NULL, 0},
};
