/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that pick elements by positions along several axes at once: the positions become one
 * number each, which counts the elements laid out one after the other, and row gather reads there;
 * and the positions of the largest and the smallest. */
#include "frontend/frontend_priv.h"

#define OP(op, ...) sc_op(&n->im->b, op, __VA_ARGS__)

/* Integers that count from the end where they are negative, brought into [0, extent). */
static ScVal position(const ImNode *n, ScVal i, const ScTerm *extent)
{
    return sc_op_at(&n->im->b, position, SC_ATTRS(SC_TERMS(1, &extent)), i);
}

static const ScTerm *product(const ImNode *n, uint32_t count, const ScTerm *const *dim)
{
    const ScTerm *p = sc_term(n->im->cx, 1);
    for (uint32_t i = 0; i < count; i++)
        p = sc_term_mul(n->im->cx, p, dim[i]);
    return p;
}

/* There must be elements to pick from. */
static bool some(const ImNode *n, const ScTerm *extent)
{
    return im_require(n, SC_GUARD_AT_MOST, sc_term(n->im->cx, 1), extent,
                      "an axis that elements are picked along has some");
}

/* --- GatherND --------------------------------------------------------------------------------- */

/* The k-th position of every index: indices without their last axis. */
static ScVal part(const ImNode *n, ScVal indices, uint32_t k)
{
    const ScType *t = im_type(n, 1);
    ScVal one = im_slice(n, indices, t->rank - 1, sc_term(n->im->cx, k), sc_term(n->im->cx, k + 1));
    return im_reshape(n, one, t->rank - 1, t->dim);
}

static bool gather_nd(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    bool ok = true;
    int64_t batch = im_int(n, "batch_dims", 0, &ok), depth;
    if (!im_arity(n, 2, 2) || !ok || !IM_ONLY(n, "batch_dims"))
        return false;
    const ScType *x = im_type(n, 0), *t = im_type(n, 1);
    if (t->rank == 0 || batch < 0 || batch >= t->rank || batch >= x->rank)
        return sc_fail(cx, n->loc, SC_E_RANK, "%lld batch axes of ranks %u and %u",
                       (long long)batch, x->rank, t->rank);
    /* How many positions an index has may follow from the only axis there is, or from the rank that
     * is declared; else the rank of the result depends on it. */
    int declared = x->rank - batch == 1 ? (int)t->rank - 1 : im_declared_rank(n, 0);
    const ScTerm *last = t->dim[t->rank - 1];
    if (last->kind != SC_T_CONST && declared >= 0) {
        const ScTerm *so = sc_term(cx, (int64_t)t->rank - 1 + x->rank - batch - declared);
        if (!im_require(n, SC_GUARD_EQUAL, last, so, "positions of an index, by the ranks"))
            return false;
        last = so;
    }
    if (!im_number_of(n, last, "the last extent of the indices", &depth))
        return false;
    if (depth < 1 || batch + depth > x->rank)
        return sc_fail(cx, n->loc, SC_E_SHAPE, "%lld positions for %u axes", (long long)depth,
                       x->rank - (uint32_t)batch);
    uint32_t first = (uint32_t)batch, rest = first + (uint32_t)depth;
    ScVal at = SC_ABSENT;
    for (uint32_t k = first; k < rest; k++) {
        ScVal p = position(n, part(n, im_in(n, 1), k - first), x->dim[k]);
        at = at == SC_ABSENT ? p : OP(add, OP(mul, at, im_number(n, x->dim[k])), p);
    }
    for (uint32_t i = 0; i < first; i++)
        if (!im_require(n, SC_GUARD_EQUAL, x->dim[i], t->dim[i], "batch axes of data and indices"))
            return false;
    if (first) { /* each batch has a part of its own */
        const ScTerm *dim[SCRT_MAX_RANK];
        ScVal number = im_iota(n, product(n, first, x->dim), 0);
        for (uint32_t i = 0; i + 1 < t->rank; i++)
            dim[i] = i < first ? x->dim[i] : sc_term(cx, 1);
        number = im_reshape(n, number, t->rank - 1, dim);
        ScVal each = im_number(n, product(n, rest - first, x->dim + first));
        at = OP(add, OP(mul, number, each), at);
    }
    const ScTerm *flat[SCRT_MAX_RANK] = {product(n, rest, x->dim)};
    for (uint32_t d = rest; d < x->rank; d++)
        flat[1 + d - rest] = x->dim[d];
    ScVal data = im_reshape(n, im_in(n, 0), 1 + x->rank - rest, flat);
    return im_answer(im_gather(n, data, 0, at), ret_out);
}

/* --- GatherElements --------------------------------------------------------------------------- */

static bool gather_elements(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    bool ok = true;
    uint32_t axis;
    int64_t given = im_int(n, "axis", 0, &ok);
    if (!im_arity(n, 2, 2) || !ok || !IM_ONLY(n, "axis"))
        return false;
    const ScType *x = im_type(n, 0), *t = im_type(n, 1);
    if (x->rank != t->rank || x->rank == 0)
        return sc_fail(cx, n->loc, SC_E_RANK, "data of rank %u, indices of rank %u", x->rank,
                       t->rank);
    if (!im_axis(n, given, x->rank, &axis))
        return false;
    ScVal at = SC_ABSENT;
    for (uint32_t d = 0; d < x->rank; d++) {
        if (d != axis && !im_require(n, SC_GUARD_AT_MOST, t->dim[d], x->dim[d],
                                     "extents of the indices and of the data"))
            return false;
        ScVal p = d == axis ? position(n, im_in(n, 1), x->dim[d])
                            : im_iota(n, t->dim[d], x->rank - 1 - d);
        at = at == SC_ABSENT ? p : OP(add, OP(mul, at, im_number(n, x->dim[d])), p);
    }
    const ScTerm *count = sc_type_count(cx, x);
    ScVal flat = im_reshape(n, im_in(n, 0), 1, &count);
    return im_answer(im_gather(n, flat, 0, at), ret_out);
}

/* Of the last axis; what has no other gets one before it. */
static bool array_feature_extractor(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    if (!im_arity(n, 2, 2) || !IM_ONLY(n))
        return false;
    const ScType *x = im_type(n, 0);
    const ScTerm *count = sc_type_count(cx, im_type(n, 1)), *row[] = {sc_term(cx, 1), count};
    if (x->rank == 0)
        return sc_fail(cx, n->loc, SC_E_RANK, "rank 0, at least 1 is needed");
    ScVal at = im_reshape(n, im_in(n, 1), 1, &count);
    ScVal y = im_gather(n, im_in(n, 0), x->rank - 1, at);
    return im_answer(x->rank == 1 ? im_reshape(n, y, 2, row) : y, ret_out);
}

/* --- ArgMax, ArgMin --------------------------------------------------------------------------- */

/* The first position, or the last, of what equals the extreme; a NaN is one. */
static bool arg(const ImNode *n, const ScOp *extreme, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    bool ok = true;
    uint32_t axis;
    int64_t given = im_int(n, "axis", 0, &ok), keep = im_int(n, "keepdims", 1, &ok);
    int64_t last = im_int(n, "select_last_index", 0, &ok);
    if (!im_arity(n, 1, 1) || !ok || !IM_ONLY(n, "axis", "keepdims", "select_last_index"))
        return false;
    const ScType *x = im_type(n, 0);
    if (!im_axis(n, given, x->rank, &axis) || !some(n, x->dim[axis]))
        return false;
    int64_t over = axis;
    ScVal v = im_in(n, 0), hit = OP(equal, v, im_reduce(n, extreme, v, 1, &over, true));
    if (scrt_dtype_is_float(x->dtype))
        hit = OP(or, hit, OP(isnan, v));
    ScVal at = im_iota(n, x->dim[axis], x->rank - 1 - axis);
    ScVal none = last ? im_number(n, sc_term(cx, -1)) : im_number(n, x->dim[axis]);
    const ScOp *which = last ? &sc_op_reduce_max : &sc_op_reduce_min;
    return im_answer(im_reduce(n, which, OP(where, hit, at, none), 1, &over, keep != 0), ret_out);
}

static bool arg_max(const ImNode *n, ScVal *ret_out)
{
    return arg(n, &sc_op_reduce_max, ret_out);
}

static bool arg_min(const ImNode *n, ScVal *ret_out)
{
    return arg(n, &sc_op_reduce_min, ret_out);
}

const ImAdapter im_pick_adapters[] = {
    {"", "GatherND", 11, 0, gather_nd, 1},
    {"", "GatherElements", 11, 0, gather_elements, 1},
    {"ai.onnx.ml", "ArrayFeatureExtractor", 1, 0, array_feature_extractor, 1},
    {"", "ArgMax", 1, 0, arg_max, 1},
    {"", "ArgMin", 1, 0, arg_min, 1},
    {NULL, NULL, 0, 0, NULL, 0},
};
